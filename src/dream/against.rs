//! A memory against its environment: its dreams beside what really follows from the same states.

use std::ops::ControlFlow;

use frmdn_engine::random::{fill_normal, stream};
use rayon::prelude::*;
use serde::Serialize;

use super::holds::{HoldConfig, HoldTest, Met, State, Tests};
use crate::{
    agent::Agent,
    controller::Controller,
    memory::{Scratch, posterior_entropy},
    pilot::Pilot,
    rollout::{Driver, Job, Moment, Summary, Who},
    run::{Interrupt, Result, RunError},
    vision::EncoderScratch,
    worlds::World,
};

/// Steps for which the controller acts.
const STEPS: u32 = 200;
/// Steps of what it did that are done again, where the environment does not say how long what is in
/// view lasts.
const AGAIN: u32 = 20;
/// Episodes and steps of each that the likelihood is measured on.
const LIKELIHOOD: (u64, u32) = (20, 400);

/// What an agent's memory is worth beside its environment.
#[derive(Clone, Debug, Serialize)]
pub struct Against {
    /// The agent's controller acts for 200 steps, in reality and in the dream: one for each
    /// temperature.
    pub controller: Vec<Controlled>,
    /// What it really did is done again.
    pub again: Again,
    /// Nats a step by which the memory's −log likelihood of what the agent really sees is above its
    /// floor, the entropy of V's posterior; of each episode.
    pub above_floor: Option<Summary>,
}

/// The agent's controller in dreams of one temperature.
#[derive(Clone, Debug, Serialize)]
pub struct Controlled {
    /// The temperature.
    pub temperature: f32,
    /// Beside reality; the first part of the steps is that of [`Again`].
    pub test: HoldTest,
}

/// The same actions for as long as what was in view lasts. Beyond it the dream invents the road, and
/// nothing can be compared.
#[derive(Clone, Debug, Serialize)]
pub struct Again {
    /// Number of steps.
    pub steps: u32,
    /// Distance of the dream's reward from the real one, summed over the steps.
    pub dreamt: Summary,
    /// The same of the real environment in the state of another episode whose latent is the closest:
    /// what can be had without any memory by who knows the rules.
    pub look_alike: Summary,
    /// Dream less look-alike, state by state.
    pub difference: Summary,
}

/// The measures of `agent`, from states of the episodes that `pilot` drives in `world`, each of
/// `config`'s temperatures by itself. `None` if interrupted.
///
/// # Errors
/// As [`super::hold_tests`]; and if the agent has no controller.
pub fn against(
    agent: &Agent,
    pilot: &Pilot,
    world: &World,
    config: &HoldConfig,
    stop: &Interrupt,
) -> Result<Option<Against>> {
    let tests = Tests::new(agent, world, config, stop)?;
    let controller = agent.controller()?;
    let Some((states, _)) = tests.states(pilot)? else {
        return Ok(None);
    };
    let again = world.spec()?.steps_in_view.unwrap_or(AGAIN);
    let real: Vec<Met> = (states.par_iter())
        .map(|state| tests.really(state, Who::Controller(&controller), STEPS))
        .collect::<Result<_>>()?;
    let mut controlled = Vec::new();
    for &temperature in &config.temperatures {
        let dreamt = tests.dream(&states, STEPS, temperature, |i, step, [z, h], out| {
            controller.outputs(z, h, out);
            controller.draw(states[i].dream.chances, step.into(), out);
            tests.model.actions.squash(out);
        })?;
        let what = format!("the agent, T {temperature}");
        controlled.push(Controlled {
            temperature,
            test: tests.compare(what, [again, STEPS], &real, &dreamt),
        });
    }
    let again = done_again(&tests, &states, &real, again)?;
    let above_floor = above_floor(&tests, &controller)?;
    if stop.is_set() {
        return Ok(None);
    }
    Ok(Some(Against {
        controller: controlled,
        again,
        above_floor,
    }))
}

/// What was done in `real` from `states`, for `steps` steps in the dream and in states that look alike.
fn done_again(tests: &Tests<'_>, states: &[State], real: &[Met], steps: u32) -> Result<Again> {
    let width = tests.model.actions.width();
    let temperature = tests.config.temperatures[0];
    let dreamt = tests.dream(states, steps, temperature, |i, step, _, out| {
        let all = &real[i].actions;
        // Where the real episode ended before, its last action again.
        let at = (step as usize * width).min(all.len() - width);
        out.copy_from_slice(&all[at..at + width]);
    })?;
    let closest = look_alikes(states);
    let alike: Vec<Met> = (closest.par_iter().zip(real))
        .map(|(&other, real)| tests.really(&states[other], Who::Recorded(&real.actions), steps))
        .collect::<Result<_>>()?;
    let sum = |met: &Met| met.rewards.iter().take(steps as usize).sum::<f64>();
    let away = |others: &[Met]| -> Vec<f64> {
        let pairs = real.iter().zip(others);
        pairs
            .map(|(real, other)| (sum(real) - sum(other)).abs())
            .collect()
    };
    let (dreamt, alike) = (away(&dreamt), away(&alike));
    let difference: Vec<f64> = dreamt.iter().zip(&alike).map(|(a, b)| a - b).collect();
    Ok(Again {
        steps,
        dreamt: Summary::of(&dreamt),
        look_alike: Summary::of(&alike),
        difference: Summary::of(&difference),
    })
}

/// For each of `states` the number of the one of another episode whose latent is the closest.
fn look_alikes(states: &[State]) -> Vec<usize> {
    let distance = |a: &State, b: &State| -> f32 {
        let pairs = a.dream.latent.iter().zip(&b.dream.latent);
        pairs.map(|(a, b)| (a - b) * (a - b)).sum()
    };
    let closest = |i: usize| {
        let mut best: Option<(f32, usize)> = None;
        for (j, other) in states.iter().enumerate() {
            let away = distance(&states[i], other);
            if other.seed != states[i].seed && best.is_none_or(|(least, _)| away < least) {
                best = Some((away, j));
            }
        }
        best.map_or(i, |(_, j)| j)
    };
    (0..states.len()).map(closest).collect()
}

/// Of episodes that the agent drives. `None` where no V draws latents.
fn above_floor(tests: &Tests<'_>, controller: &Controller) -> Result<Option<Summary>> {
    let Some(encoder) = &tests.model.encoder else {
        return Ok(None);
    };
    let (episodes, steps) = LIKELIHOOD;
    let first = tests.config.first_seed;
    let of = |seed: u64| -> Result<f64> {
        let (mut frames, mut actions) = (Vec::new(), Vec::new());
        let mut look = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
            frames.extend_from_slice(moment.seen.frame());
            actions.extend_from_slice(moment.action);
            Ok(match moment.outcome.steps == steps {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        Driver::new(tests.world, tests.stop)
            .with_model(&tests.model)
            .watch(Job::of(controller, seed), &mut look)?;
        let (latent, memory) = (tests.model.latent, tests.model.memory.as_ref());
        let width = tests.model.actions.width();
        let rows = actions.len() / width;
        let (mut mean, mut log_variance) = (vec![0.0; rows * latent], vec![0.0; rows * latent]);
        let mut scratch = EncoderScratch::default();
        encoder.encode_with_variance(&mut scratch, &frames, &mut mean, &mut log_variance);
        // Draws of V's posterior, which M was trained on.
        let mut z = vec![0.0; mean.len()];
        fill_normal(&mut stream(0, "dream/against", &[seed]), &mut z);
        for ((z, mean), log_variance) in z.iter_mut().zip(&mean).zip(&log_variance) {
            *z = mean + libm::expf(0.5 * log_variance) * *z;
        }
        let (mut state, mut scratch) = (vec![0.0; memory.state_len()], Scratch::default());
        let mut above = 0.0;
        for t in 1..rows {
            let [now, next] = [t - 1, t].map(|t| &z[t * latent..(t + 1) * latent]);
            let action = &actions[(t - 1) * width..t * width];
            memory.step(1, now, action, &mut state, &mut scratch);
            let nats = memory.nats(&state, next);
            above += nats.map_err(|e| RunError::Failed(e.to_string()))?
                - posterior_entropy(&log_variance[t * latent..(t + 1) * latent]);
        }
        Ok(above / (rows - 1).max(1) as f64)
    };
    let all: Vec<f64> = (first..first + episodes)
        .into_par_iter()
        .map(of)
        .collect::<Result<_>>()?;
    Ok(Some(Summary::of(&all)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dream::Start, rollout::StartPoint, worlds};

    #[test]
    fn what_looks_alike_is_of_another_episode() {
        let world = worlds::World::open("car-racing", &Default::default()).unwrap();
        let mut point = None;
        let mut look = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
            point = StartPoint::of(&moment);
            Ok(ControlFlow::Break(()))
        };
        let pilot = Pilot::open_loop(crate::rollout::OpenLoop::Noop, 0);
        let stop = Interrupt::default();
        let driver = pilot.driver(&world, &stop);
        driver.watch(pilot.job(0), &mut look).unwrap();
        let real = point.unwrap();
        let state = |seed: u64, z: f32| State {
            real: real.clone(),
            seed,
            dream: Start {
                latent: vec![z, 0.0],
                state: Vec::new(),
                chances: 0,
            },
        };
        let states = [state(1, 0.0), state(1, 0.1), state(2, 1.0), state(3, 4.0)];
        assert_eq!(look_alikes(&states), [2, 2, 1, 2]);
    }
}
