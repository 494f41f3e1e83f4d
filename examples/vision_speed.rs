//! Frames per second of the vision model: encoding on one thread, training on one thread and on all.
//!
//! `cargo run --release --example vision_speed`

use frmdn::vision::{EncoderScratch, FRAME, Vae, VaeConfig, VaeTrainer, VaeTrainerConfig};
use std::time::Instant;

/// Calls per second: the best of five spells of about 0.3 s, the first call not counted.
fn rate(mut f: impl FnMut()) -> f64 {
    f();
    let spell = || {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < 0.3 {
            f();
            calls += 1;
        }
        f64::from(calls) / start.elapsed().as_secs_f64()
    };
    std::iter::repeat_with(spell).take(5).fold(0.0, f64::max)
}

fn main() {
    let frames: Vec<u8> = (0..64 * FRAME).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
    for width in [32, 16, 8] {
        let vae = Vae::init(VaeConfig { width, latent: 32 }, 1);
        let encoder = vae.encoder();
        for n in [1, 16, 64] {
            let (mut scratch, mut mean) = (EncoderScratch::default(), vec![0.0; n * 32]);
            let calls = rate(|| encoder.encode(&mut scratch, &frames[..n * FRAME], &mut mean));
            println!("width {width}: encode, batch {n}, 1 thread: {:.0} frames/s", calls * n as f64);
        }
        for threads in [1, std::thread::available_parallelism().map_or(1, usize::from)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            let mut trainer = VaeTrainer::new(&vae, VaeTrainerConfig::default());
            let mut update = 0;
            let calls = pool.install(|| {
                rate(|| {
                    trainer.step(&frames, 1e-4, update, 1).expect("the loss stays finite");
                    update += 1;
                })
            });
            println!("width {width}: train, batch 64, {threads} threads: {:.0} frames/s", calls * 64.0);
        }
    }
}
