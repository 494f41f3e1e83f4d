//! Prints the steps per second of one core with uniform random actions, with resets, as a JSON
//! object, for each observation: `cargo run --release -p frmdn-car-racing --example car_speed --
//! [SECONDS]`.

use std::time::{Duration, Instant};

use frmdn_car_racing::{CarRacingConfig, Observation, rng::Rng};
use frmdn_env::{Env, EnvError, ObservationMut, ObservationSpace};

/// Steps per second, and the mean time of a reset in milliseconds.
fn measure(observation: Observation, span: Duration) -> Result<(f64, f64), EnvError> {
    let mut env = CarRacingConfig {
        observation,
        ..CarRacingConfig::default()
    }
    .init();
    let space = env.observation_space();
    let (mut bytes, mut latent) = (vec![0; space.len()], vec![0.0; space.len()]);
    let mut observation = match space {
        ObservationSpace::Frame { .. } => ObservationMut::Frame(&mut bytes),
        ObservationSpace::Latent(_) => ObservationMut::Latent(&mut latent),
    };
    let mut rng = Rng::new(0);
    let (mut steps, mut resets, mut resetting) = (0u32, 0u32, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < span {
        let before = Instant::now();
        env.reset(u64::from(resets), observation.again())?;
        resetting += before.elapsed();
        resets += 1;
        loop {
            let action = [rng.uniform(-1.0, 1.0), rng.random(), rng.random()].map(|x| x as f32);
            steps += 1;
            if env.step(&action, observation.again())?.done() || began.elapsed() >= span {
                break;
            }
        }
    }
    Ok((
        f64::from(steps) / began.elapsed().as_secs_f64(),
        resetting.as_secs_f64() * 1e3 / f64::from(resets),
    ))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args()
        .nth(1)
        .map_or(Ok(3.0), |text| text.parse())?;
    let span = Duration::try_from_secs_f64(seconds)?;
    let (small, reset) = measure(Observation::Agent64, span)?;
    let (whole, _) = measure(Observation::Full96, span)?;
    let (state, _) = measure(Observation::State, span)?;
    println!(
        "{}",
        serde_json::json!({
            "agent64": small,
            "full96": whole,
            "state": state,
            "reset_ms": reset,
        })
    );
    Ok(())
}
