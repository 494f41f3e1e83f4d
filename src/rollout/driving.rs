//! How an agent drives: pace, gas and brake by the sharpest bend ahead.

use frmdn_env::{Env, ObservationMut};
use rayon::prelude::*;

use super::ActingModel;
use crate::{controller::LinearController, memory, run::Interrupt, vision, worlds::World};

/// Tiles that are looked ahead, about as far as the agent sees: 16 of 3.5 units.
pub(crate) const AHEAD: usize = 16;
/// Steps of the way up to speed, counted apart.
const START: usize = 100;
/// Curvatures below which a bend belongs to a band, radians per unit; the sharpest of the game are
/// beyond 0.08.
const BANDS: [f64; 4] = [0.02, 0.04, 0.08, f64::INFINITY];

/// Means over the steps of one band.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Driving {
    /// The sharpest bend of the band, radians per unit; none for the first 100 steps of episodes,
    /// which are counted apart.
    pub bend: Option<f64>,
    /// Part of all steps.
    pub share: f64,
    /// Mean forward speed, units a second.
    pub speed: f64,
    /// Its standard deviation.
    pub speed_sd: f64,
    /// Mean gas on the rear wheels, 0 to 1.
    pub gas: f64,
    /// Mean brake on the wheels, 0 to 1.
    pub brake: f64,
    /// Part of the steps with a wheel beside the road.
    pub beside: f64,
}

/// Sums over steps: their number, speed, its square, gas, brake, steps beside the road.
type Sums = [[f64; 6]; BANDS.len() + 1];

/// How `controller` drives on `tracks` of the native Car-Racing: the first steps, then a band for
/// every kind of bend. `None` if interrupted.
///
/// # Errors
///
/// Where `world` is not the native Car-Racing.
pub fn driving(
    model: &ActingModel,
    controller: &LinearController,
    world: &World,
    tracks: std::ops::Range<u64>,
    stop: &Interrupt,
) -> Result<Option<Vec<Driving>>, String> {
    let each: Vec<Sums> = tracks
        .into_par_iter()
        .map(|seed| track(model, controller, world, seed, stop))
        .collect::<Result<_, _>>()?;
    let mut sums = Sums::default();
    for one in &each {
        sums.as_flattened_mut()
            .iter_mut()
            .zip(one.as_flattened())
            .for_each(|(sum, x)| *sum += x);
    }
    if stop.is_set() {
        return Ok(None);
    }
    let all: f64 = sums.iter().map(|s| s[0]).sum();
    let bends = [None].into_iter().chain(BANDS.map(Some));
    let of_band = bends
        .zip(sums)
        .map(|(bend, [n, speed, square, gas, brake, beside])| {
            let of = |sum: f64| sum / n.max(1.0);
            let speed_sd = (of(square) - of(speed).powi(2)).max(0.0).sqrt();
            Driving {
                bend,
                share: n / all.max(1.0),
                speed: of(speed),
                speed_sd,
                gas: of(gas),
                brake: of(brake),
                beside: of(beside),
            }
        })
        .collect();
    Ok(Some(of_band))
}

fn track(
    model: &ActingModel,
    controller: &LinearController,
    world: &World,
    seed: u64,
    stop: &Interrupt,
) -> Result<Sums, String> {
    let mut env = world.car_racing().ok_or_else(|| {
        format!(
            "how a car is driven can be seen in car-racing only, not in {}",
            world.name()
        )
    })?;
    let failed = |e: frmdn_env::EnvError| e.to_string();
    let mut frame = vec![0; env.observation_space().len()];
    env.reset(seed, ObservationMut::Frame(&mut frame))
        .map_err(failed)?;
    let (mut eyes, mut scratch) = (
        vision::EncoderScratch::default(),
        memory::Scratch::default(),
    );
    let (mut z, mut state, mut action) = (
        vec![0.0; model.latent],
        vec![0.0; model.memory.state_len()],
        vec![0.0; model.actions.width()],
    );
    let (mut sums, mut at, mut index) = (Sums::default(), None, [0.0]);
    for step in 0.. {
        if stop.is_set() {
            break;
        }
        model.encoder.encode(&mut eyes, &frame, &mut z);
        controller.outputs(&z, model.memory.hidden(&state), &mut action);
        model.actions.squash(&mut action);
        let (Some(car), Some(road)) = (env.state(), env.track()) else {
            return Err("the car has no state".into());
        };
        let [x, y] = car.hull.position.map(f64::from);
        let here = road.nearest((x, y), at);
        at = Some(here);
        let bend = road.max_curvature(here, AHEAD);
        let band = if step < START {
            0
        } else {
            1 + BANDS.partition_point(|most| bend >= *most)
        };
        let [speed, _] = car.hull.forward_and_sideways();
        let beside = car.wheels.iter().any(|w| !w.on_road);
        let rear = car.wheels[3];
        let seen = [
            1.0,
            speed,
            speed * speed,
            rear.gas,
            rear.brake,
            f64::from(u8::from(beside)),
        ];
        sums[band]
            .iter_mut()
            .zip(seen)
            .for_each(|(sum, x)| *sum += x);
        model.memory.step(1, &z, &action, &mut state, &mut scratch);
        if env
            .step(
                model.actions.for_env(&action, &mut index),
                ObservationMut::Frame(&mut frame),
            )
            .map_err(failed)?
            .done()
        {
            break;
        }
    }
    Ok(sums)
}
