//! How an agent drives: speed, gas and brake by the sharpest bend ahead.

use frmdn_env::{Env, ObservationMut};
use rayon::prelude::*;

use super::{ActingModel, DriveError};
use crate::{
    controller::LinearController, memory, run::Interrupt, vision::EncoderScratch, worlds::World,
};

/// Tiles ahead of the car that count, about as far as the agent sees: 16 tiles of 3.5 units.
pub(crate) const AHEAD: usize = 16;
/// Steps of the start phase, reported separately.
const START_STEPS: usize = 100;
/// Upper limits of the bands of curvature, radians per unit; the sharpest bends of the game lie
/// beyond 0.08.
const BANDS: [f64; 4] = [0.02, 0.04, 0.08, f64::INFINITY];

/// Means over the steps of one band.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Driving {
    /// Largest curvature of the band, radians per unit; `None` for the first 100 steps of all
    /// episodes.
    pub bend: Option<f64>,
    /// Share of all steps, 0 to 1.
    pub share: f64,
    /// Mean forward speed, units per second.
    pub speed: f64,
    /// Its standard deviation.
    pub speed_sd: f64,
    /// Mean gas on the rear wheels, 0 to 1.
    pub gas: f64,
    /// Mean brake on the wheels, 0 to 1.
    pub brake: f64,
    /// Share of the steps with a wheel beside the road, 0 to 1.
    pub beside: f64,
}

/// Sums over steps: their number, speed, its square, gas, brake, steps beside the road.
type Sums = [[f64; 6]; BANDS.len() + 1];

/// Drives `controller` on `tracks` of the native Car-Racing and returns the means of the start
/// phase, then of each band of curvature. `None` if interrupted.
///
/// # Errors
/// If `world` is not the native Car-Racing, or if it refuses a call.
pub fn driving(
    model: &ActingModel,
    controller: &LinearController,
    world: &World,
    tracks: std::ops::Range<u64>,
    stop: &Interrupt,
) -> Result<Option<Vec<Driving>>, DriveError> {
    let by_track: Vec<Sums> = tracks
        .into_par_iter()
        .map(|seed| track(model, controller, world, seed, stop))
        .collect::<Result<_, _>>()?;
    let mut sums = Sums::default();
    for of_track in &by_track {
        for (sum, x) in sums
            .as_flattened_mut()
            .iter_mut()
            .zip(of_track.as_flattened())
        {
            *sum += x;
        }
    }
    if stop.is_set() {
        return Ok(None);
    }
    let all: f64 = sums.iter().map(|s| s[0]).sum();
    let bends = [None].into_iter().chain(BANDS.map(Some));
    let of_band = bends
        .zip(sums)
        .map(|(bend, [n, speed, square, gas, brake, beside])| {
            let mean = |sum: f64| sum / n.max(1.0);
            let speed_sd = (mean(square) - mean(speed).powi(2)).max(0.0).sqrt();
            Driving {
                bend,
                share: n / all.max(1.0),
                speed: mean(speed),
                speed_sd,
                gas: mean(gas),
                brake: mean(brake),
                beside: mean(beside),
            }
        })
        .collect();
    Ok(Some(of_band))
}

/// The sums of the episode of `seed`.
fn track(
    model: &ActingModel,
    controller: &LinearController,
    world: &World,
    seed: u64,
    stop: &Interrupt,
) -> Result<Sums, DriveError> {
    let mut env = world
        .car_racing()
        .ok_or_else(|| DriveError::NotCarRacing(world.name().to_owned()))?;
    let mut frame = vec![0; env.observation_space().len()];
    env.reset(seed, ObservationMut::Frame(&mut frame))?;
    let (mut vision, mut scratch) = (EncoderScratch::default(), memory::Scratch::default());
    let (mut z, mut state, mut action) = (
        vec![0.0; model.latent],
        vec![0.0; model.memory.state_len()],
        vec![0.0; model.actions.width()],
    );
    let (mut sums, mut last_point, mut index) = (Sums::default(), None, [0.0]);
    for step in 0.. {
        if stop.is_set() {
            break;
        }
        model.encoder.encode(&mut vision, &frame, &mut z);
        controller.outputs(&z, model.memory.hidden(&state), &mut action);
        model.actions.squash(&mut action);
        let (Some(car), Some(road)) = (env.state(), env.track()) else {
            return Err(DriveError::NoState);
        };
        let [x, y] = car.hull.position.map(f64::from);
        let here = road.nearest((x, y), last_point);
        last_point = Some(here);
        let bend = road.max_curvature(here, AHEAD);
        let band = if step < START_STEPS {
            0
        } else {
            1 + BANDS.partition_point(|most| bend >= *most)
        };
        let [speed, _] = car.hull.forward_and_sideways();
        let beside = car.wheels.iter().any(|w| !w.on_road);
        let rear = car.wheels[3];
        let values = [
            1.0,
            speed,
            speed * speed,
            rear.gas,
            rear.brake,
            f64::from(u8::from(beside)),
        ];
        for (sum, x) in sums[band].iter_mut().zip(values) {
            *sum += x;
        }
        model.memory.step(1, &z, &action, &mut state, &mut scratch);
        let env_action = model.actions.for_env(&action, &mut index);
        let step = env.step(env_action, ObservationMut::Frame(&mut frame))?;
        if step.done() {
            break;
        }
    }
    Ok(sums)
}
