//! Speed of the memories at the widths of Ha & Schmidhuber: training in sequences per second on one thread and on all,
//! acting and dreaming in rows per second on one thread.
//!
//! `cargo run --release --example memory_speed [variant …]`

use std::time::Instant;

use frmdn::memory::{MemoryConfig, MemoryTrainer, Scratch, SequenceBatch, Variant, init, load};
use frmdn_engine::random::{fill_normal, stream};

const LATENT: usize = 32;
const ACTIONS: usize = 3;

/// Calls per second: the best of five spells of about 0.5 s, the first call not counted.
fn rate(mut f: impl FnMut()) -> f64 {
    f();
    let spell = || {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < 0.5 {
            f();
            calls += 1;
        }
        f64::from(calls) / start.elapsed().as_secs_f64()
    };
    std::iter::repeat_with(spell).take(5).fold(0.0, f64::max)
}

fn main() {
    let (steps, sequences) = (128, 32);
    let mut batch = SequenceBatch::zeros(steps, sequences, LATENT, ACTIONS);
    let mut rng = stream(1, "speed", &[]);
    for part in [&mut batch.z, &mut batch.z_next, &mut batch.actions, &mut batch.reward] {
        fill_normal(&mut rng, part);
    }
    batch.mask.fill(1.0);
    let config = |variant| MemoryConfig { variant, ..MemoryConfig::default() };
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |v: &Variant| asked.is_empty() || asked.contains(&v.to_string());
    for variant in [Variant::Rmdn, Variant::RmdnLowrank, Variant::FrmdnDiagonal, Variant::Frmdn].into_iter().filter(wanted) {
        let config = config(variant);
        for threads in [1, std::thread::available_parallelism().map_or(1, usize::from)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            let mut trainer = MemoryTrainer::new(&config, LATENT, ACTIONS, 1);
            let mut update = 0;
            let calls = pool.install(|| {
                rate(|| {
                    trainer.step(&batch, 1e-4, update).expect("the loss stays finite");
                    update += 1;
                })
            });
            println!("{variant}: training, batch {sequences} × {steps}, {threads} threads: {:.0} sequences/s", calls * sequences as f64);
        }
    }
    for variant in [Variant::Rmdn, Variant::Frmdn].into_iter().filter(wanted) {
        let config = config(variant);
        let memory = load(&config, LATENT, ACTIONS, &init(&config, LATENT, ACTIONS, 1)).expect("the weights fit");
        for rows in [1, 16, 64] {
            let mut scratch = Scratch::default();
            let mut state = vec![0.0; rows * memory.state_len()];
            let (mut z, a) = (vec![0.1; rows * LATENT], vec![0.2; rows * ACTIONS]);
            let calls = rate(|| memory.step(rows, &z, &a, &mut state, &mut scratch));
            println!("{variant}: acting, {rows} rows, 1 thread: {:.0} rows/s", calls * rows as f64);
            let calls = rate(|| {
                memory.step(rows, &z, &a, &mut state, &mut scratch);
                for (state, z) in state.chunks_exact(memory.state_len()).zip(z.chunks_exact_mut(LATENT)) {
                    memory.predict(state, 1.0, &mut rng, z).expect("this variant predicts");
                }
            });
            println!("{variant}: dreaming, {rows} rows, 1 thread: {:.0} rows/s", calls * rows as f64);
        }
    }
}
