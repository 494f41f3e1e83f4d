//! Trains an FRMDN memory on plain arrays: no frames, no run folder, no environment.
//!
//! The data are made here. A point z moves along the unit circle; the action turns it forwards or
//! backwards, and its angle is noisy. So p(z' | z, action) is a crescent, which a Gaussian mixture
//! approximates with several components and a flow can straighten.
//!
//! Type: cargo run --release --example train_memory

use std::error::Error;

use frmdn::memory::{MemoryConfig, MemoryTrainer, SequenceBatch, Variant};
use frmdn_engine::random::{fill_normal, fill_uniform, stream};

const LATENT: usize = 2;
const ACTIONS: usize = 1;
const STEPS: usize = 32;
const SEQUENCES: usize = 32;
const UPDATES: u64 = 600;

/// Sequences of the point, in the layout of the trainer: time first, then sequences.
fn sequences(seed: u64) -> SequenceBatch {
    let mut rng = stream(seed, "example/sequences", &[]);
    let mut batch = SequenceBatch::zeros(STEPS, SEQUENCES, LATENT, ACTIONS);
    fill_uniform(&mut rng, 1.0, &mut batch.given);
    let mut noise = vec![0.0; STEPS * SEQUENCES * 2];
    fill_normal(&mut rng, &mut noise);
    let mut angles = vec![0.0f32; SEQUENCES];
    fill_uniform(&mut rng, std::f32::consts::PI, &mut angles);
    let mut z: Vec<[f32; 2]> = angles.iter().map(|a| [a.cos(), a.sin()]).collect();
    for t in 0..STEPS {
        for b in 0..SEQUENCES {
            let row = t * SEQUENCES + b;
            batch.seen[2 * row..2 * row + 2].copy_from_slice(&z[b]);
            angles[b] += batch.given[row] + 0.4 * noise[2 * row];
            let radius = 1.0 + 0.05 * noise[2 * row + 1];
            z[b] = [radius * angles[b].cos(), radius * angles[b].sin()];
            batch.next[2 * row..2 * row + 2].copy_from_slice(&z[b]);
        }
    }
    batch.mask.fill(1.0);
    batch
}

/// Mean −log p(z' | z, action, h) of a step, in nats; lower is better.
fn nats(trainer: &MemoryTrainer, data: &SequenceBatch) -> f64 {
    let log_prob = trainer.log_prob(data);
    -log_prob.iter().sum::<f64>() / log_prob.len() as f64
}

fn main() -> Result<(), Box<dyn Error>> {
    let held_out = sequences(1_000_000);
    for variant in [Variant::Rmdn, Variant::FrmdnConditional] {
        let config = MemoryConfig {
            variant,
            hidden: 32,
            components: 3,
            flow_hidden: 32,
            ..MemoryConfig::default()
        };
        let mut trainer = MemoryTrainer::new(&config, LATENT, ACTIONS, 1);
        let before = nats(&trainer, &held_out);
        for update in 0..UPDATES {
            trainer.step(&sequences(update), 5e-3, update)?;
        }
        let after = nats(&trainer, &held_out);
        println!("{variant}: {before:.2} nats per step before training, {after:.2} after");
    }
    Ok(())
}
