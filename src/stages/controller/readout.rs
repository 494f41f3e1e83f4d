//! What a linear controller can know of the car: how well its motion is read off z, and off [z, h],
//! by a linear map.

use frmdn_env::{Env, ObservationMut};
use rayon::prelude::*;

use super::{moments, ridge::Ridge};
use crate::{
    agent::Agent,
    controller::Whitening,
    memory::Scratch,
    rollout::{AHEAD, ActingModel},
    run::{Episode, LatentEpisode, Result, RunError, RunFolder},
    stages::{Context, held_out},
    worlds::World,
};

/// Episodes that the map is fitted to, and held-out ones that it is judged on.
const EPISODES: [usize; 2] = [80, 20];
/// Added to the diagonal of the normal equations, in parts of the number of steps.
const RIDGE: f64 = 1e-4;

/// What is read: name, unit.
const MOTION: [(&str, &str); 4] = [
    ("forward speed", "units/s"),
    ("sideways speed", "units/s"),
    ("turning", "rad/s"),
    ("sharpest bend in the next 16 tiles", "rad/unit"),
];

/// How well one quantity is read, on held-out episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearReadout {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its standard deviation.
    pub sd: f64,
    /// Of z, and of [z, h]: the part of its variance that a linear map of them explains.
    pub explained: [f64; 2],
    /// Of z, and of [z, h]: mean absolute error of that map.
    pub error: [f64; 2],
}

/// Rows of an episode, standardised [z, h], and the car's motion beside them.
struct Rows {
    features: Vec<Vec<f64>>,
    motion: Vec<[f64; MOTION.len()]>,
}

/// Reads the car's motion off what the controller of `folder` sees. The recorded episodes are
/// driven again for the car's state, their rewards compared on the way.
///
/// # Errors
///
/// Where V or M are not trained, the environment is not the native Car-Racing, or episodes are
/// missing or of another program's physics.
pub fn readout(folder: &RunFolder, context: &Context<'_>) -> Result<Vec<LinearReadout>> {
    let preset = folder.preset();
    let mut world = context.world(&preset.environment)?;
    if world.car_racing().is_none() {
        return Err(RunError::Failed(format!(
            "the state of the car can be read in car-racing only, not in {}",
            world.name()
        )));
    }
    let model = Agent::load_model(folder, &world)?;
    if preset.collect.random_start {
        world = world.with_random_start()?;
    }
    let standard = Whitening::standard(&moments(folder, &model)?);
    let chosen = |held: bool, count: usize| {
        (0..preset.collect.episodes)
            .filter(move |&i| held_out(i) == held)
            .take(count)
    };
    let rows = |index: usize| rows(folder, &world, &model, &standard, index);
    let latent = model.latent;
    let fitted: Vec<Rows> = chosen(false, EPISODES[0])
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(rows)
        .collect::<Result<_>>()?;
    let judged: Vec<Rows> = chosen(true, EPISODES[1])
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(rows)
        .collect::<Result<_>>()?;
    let maps = [latent, standard.len()].map(|width| {
        let mut sums = Ridge::new(width + 1, MOTION.len());
        for rows in &fitted {
            for (row, motion) in rows.features.iter().zip(&rows.motion) {
                sums.add(&[&row[..width], &[1.0]].concat(), motion);
            }
        }
        sums.solve(RIDGE).map(|(weights, _)| weights)
    });
    let [Some(eyes), Some(all)] = maps else {
        return Err(RunError::Failed("the episodes are empty".into()));
    };
    let count = judged.iter().map(|r| r.motion.len()).sum::<usize>() as f64;
    let every = || judged.iter().flat_map(|r| r.features.iter().zip(&r.motion));
    Ok((0..MOTION.len())
        .map(|i| {
            let mean = every().map(|(_, m)| m[i]).sum::<f64>() / count;
            let variance = every().map(|(_, m)| (m[i] - mean).powi(2)).sum::<f64>() / count;
            let errors = |map: &[Vec<f64>]| -> [f64; 2] {
                let mut sums = [0.0; 2];
                for (row, motion) in every() {
                    let (offset, weights) = map[i]
                        .split_last()
                        .expect("a weight for every value and one more");
                    let error = motion[i]
                        - offset
                        - weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>();
                    sums = [sums[0] + error * error, sums[1] + error.abs()];
                }
                sums.map(|s| s / count)
            };
            let [z, zh] = [errors(&eyes), errors(&all)];
            LinearReadout {
                name: MOTION[i].0,
                unit: MOTION[i].1,
                sd: variance.sqrt(),
                explained: [z, zh].map(|e| 1.0 - e[0] / variance),
                error: [z, zh].map(|e| e[1]),
            }
        })
        .collect())
}

fn rows(
    folder: &RunFolder,
    world: &World,
    model: &ActingModel,
    standard: &Whitening,
    index: usize,
) -> Result<Rows> {
    let episode = Episode::load(&folder.episodes().path(index))?;
    let latents = LatentEpisode::load(&folder.latents().path(index))?;
    let mut env = world.car_racing().expect("asked before");
    let failed = |e: frmdn_env::EnvError| RunError::Failed(e.to_string());
    let mut frame = vec![0; env.observation_space().len()];
    env.reset(episode.seed, ObservationMut::Frame(&mut frame))
        .map_err(failed)?;
    let (mut state, mut scratch) = (vec![0.0; model.memory.state_len()], Scratch::default());
    let mut rows = Rows {
        features: Vec::new(),
        motion: Vec::new(),
    };
    let (d, a) = (latents.latent, episode.action_len);
    let (mut at, mut number) = (None, [0.0]);
    for t in 0..episode.steps() {
        let (z, action) = (
            &latents.mean[t * d..(t + 1) * d],
            &episode.actions[t * a..(t + 1) * a],
        );
        let (Some(car), Some(road)) = (env.state(), env.track()) else {
            return Err(RunError::Failed("the car has no state".into()));
        };
        let [x, y] = car.hull.position.map(f64::from);
        let here = road.nearest((x, y), at);
        at = Some(here);
        let [forward, sideways] = car.hull.forward_and_sideways();
        rows.features
            .push(standard.of(&[z, model.memory.hidden(&state)].concat()));
        rows.motion.push([
            forward,
            sideways,
            f64::from(car.hull.angular_velocity),
            road.max_curvature(here, AHEAD),
        ]);
        let step = env
            .step(
                model.actions.for_env(action, &mut number),
                ObservationMut::Frame(&mut frame),
            )
            .map_err(failed)?;
        if (step.reward as f32 - episode.rewards[t]).abs() > 1e-4 {
            return Err(RunError::damaged(
                &folder.episodes().path(index),
                format!(
                    "step {t} brings {} here and brought {} there",
                    step.reward, episode.rewards[t]
                ),
                "Delete the folder episodes/ of the run and type: frmdn collect --run RUN",
            ));
        }
        model.memory.step(1, z, action, &mut state, &mut scratch);
    }
    Ok(rows)
}
