//! Tests that every variant must pass.

mod acting;
mod evaluation;
mod training;

use frmdn_engine::{
    Params,
    lstm::Lstm,
    random::{fill_normal, stream},
};

use super::*;

const LATENT: usize = 4;
const ACTIONS: usize = 2;

fn config(variant: Variant) -> MemoryConfig {
    MemoryConfig {
        variant,
        hidden: 8,
        components: 3,
        flow_hidden: 6,
        ..MemoryConfig::default()
    }
}

/// z turns slowly under the action; the last quarter of the last sequence is padding.
fn batch(steps: usize, size: usize) -> SequenceBatch {
    let mut b = SequenceBatch::zeros(steps, size, LATENT, ACTIONS);
    let mut rng = stream(2, "memory-test", &[]);
    fill_normal(&mut rng, &mut b.given);
    fill_normal(&mut rng, &mut b.seen);
    for row in 0..steps * size {
        for i in 0..LATENT {
            b.next[row * LATENT + i] =
                0.8 * b.seen[row * LATENT + (i + 1) % LATENT] + 0.2 * b.given[row * ACTIONS];
        }
        b.targets.reward[row] = b.seen[row * LATENT];
        b.targets.done[row] = f32::from(b.seen[row * LATENT + 1] > 1.5);
        b.targets.measured[row] = b.given[row * ACTIONS];
        b.mask[row] = f32::from(!(row % size == size - 1 && row / size >= steps * 3 / 4));
    }
    b
}

/// The engine's LSTM with `weights`.
fn packed(c: &MemoryConfig, weights: &Params) -> Lstm {
    let mut weight = weights.value("lstm.weight_input").to_vec();
    weight.extend_from_slice(weights.value("lstm.weight_hidden"));
    let mut lstm = Lstm::new(LATENT + ACTIONS, c.hidden);
    lstm.load(&weight, weights.value("lstm.bias"));
    lstm.load_backward(&weight);
    lstm
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}
