//! Steps per second of one core, everything included: `cargo run --release -p frmdn-car-racing --example speed`.

use std::time::Instant;

use frmdn_car_racing::{CarRacingConfig, Observation};
use frmdn_env::{Env, EnvError, ObservationMut};

fn main() -> Result<(), EnvError> {
    for observation in [Observation::Agent64, Observation::Full96] {
        let mut env = CarRacingConfig { observation, ..CarRacingConfig::default() }.init();
        let mut frame = vec![0; env.observation_space().len()];
        let (mut steps, mut resets) = (0u32, 0u64);
        let begin = Instant::now();
        while begin.elapsed().as_secs_f64() < 3.0 {
            env.reset(resets, ObservationMut::Frame(&mut frame))?;
            resets += 1;
            for i in 0u32.. {
                let action = [0.3 * (i as f32 * 0.05).sin(), 0.3, 0.0];
                let step = env.step(&action, ObservationMut::Frame(&mut frame))?;
                steps += 1;
                if step.done() {
                    break;
                }
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        println!("{observation:?}: {:.0} steps/s ({steps} steps and {resets} resets in {seconds:.2} s)", f64::from(steps) / seconds);
    }
    Ok(())
}
