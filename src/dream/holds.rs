//! Trials of a memory: the same is done from the same real states, in the real environment and in the
//! dream.
//!
//! Hold tests hold one action for some steps: does the memory know what actions do that its data
//! hardly hold? An evolution in dreams finds whatever the dream pays too much for; the extremes of
//! the actions are where it looks first. In the other trials the agent's own controller acts, or what
//! it did is done again ([`Against`]).

use std::{
    ops::{ControlFlow, Range},
    path::Path,
};

use frmdn_engine::random::stream;
use frmdn_env::{EnvSpec, Step};
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use super::{Rows, Start, chances, onlooker::Onlooker};
use crate::{
    agent::Agent,
    controller::Actions,
    pilot::Pilot,
    rollout::{
        ActingModel, DriveOptions, Driver, Job, Moment, Seen, StartPoint, Summary, Watcher, Who,
    },
    run::{Interrupt, Result, RunError},
    vision::{Decoder, DecoderScratch, FRAME},
    worlds::{Gauge, Look, World},
};

/// States of one episode, at most.
const STATES_PER_EPISODE: usize = 4;
/// Steps of an episode, after its opening ones, in which they lie, as far as it is that long.
const WHERE: Range<u32> = 10..350;
/// Steps from one look of the gauges to the next: to decode a latent costs more than all else.
const LOOK_EVERY: u32 = 4;
/// Episodes for each one that would be enough if all were long.
const PATIENCE: u64 = 8;

/// Ends of the two parts of the steps that an action is held for.
pub const HOLD_PARTS: [u32; 2] = [20, 60];

/// Settings of hold tests.
#[derive(Clone, Debug)]
pub struct HoldConfig {
    /// Seed of the first episode that states are taken from.
    pub first_seed: u64,
    /// Number of states.
    pub states: usize,
    /// Steps that an action is held for.
    pub steps: u32,
    /// Ends of the parts of them that are told apart; the last one is `steps`.
    pub parts: [u32; 2],
    /// Probability that a unit of h is hidden from the memory's predictions for the whole of a dream.
    pub dropout: f32,
    /// Temperature of the dreams; in the trials of the agent's controller each of them.
    pub temperatures: Vec<f32>,
}

/// All hold tests.
#[derive(Clone, Debug)]
pub struct HoldTests {
    /// One for each action that was held.
    pub tests: Vec<HoldTest>,
    /// Steps in the real environment: those to the states, and those in which actions were held.
    pub frames: u64,
}

/// What was done, in the real environment and in the dream.
#[derive(Clone, Debug, Serialize)]
pub struct HoldTest {
    /// Which action was held, or who acted.
    pub action: String,
    /// Reward a step, in each part of the steps.
    pub reward: Vec<Window>,
    /// Mean reward of each step, real and dreamt, over the states that are still running.
    pub by_step: [Vec<f64>; 2],
    /// What the environment's gauges say of the decoded latents.
    pub shown: Vec<Shown>,
}

/// What a gauge says.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Its name.
    pub name: &'static str,
    /// Whether it is the part of the steps that show it; else the mean of a quantity.
    pub is_share: bool,
    /// In each part of the steps.
    pub windows: Vec<Window>,
}

/// Means over the states of their means in a part of the steps.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    /// First step of the part, and the one after its last.
    pub steps: [u32; 2],
    /// Of the real environment.
    pub real: Summary,
    /// Of the dream.
    pub dreamt: Summary,
    /// Dream less reality, state by state.
    pub difference: Summary,
}

/// A real state.
pub(super) struct State {
    pub real: StartPoint,
    pub seed: u64,
    pub dream: Start,
}

/// What was met from one state, step by step.
#[derive(Clone, Debug, Default)]
pub(super) struct Met {
    pub rewards: Vec<f64>,
    /// In the real environment what was done, `[steps, width]`.
    pub actions: Vec<f32>,
    /// For each gauge its value, 1 or 0 of a frame, at one step in [`LOOK_EVERY`].
    shown: Vec<Vec<f64>>,
}

/// All hold tests of `agent`, from states of the episodes that `pilot` drives in `world`. `None` if
/// interrupted.
///
/// # Errors
/// If the environment has no snapshots, if its episodes are too short, or if the memory predicts
/// nothing.
pub fn hold_tests(
    agent: &Agent,
    pilot: &Pilot,
    world: &World,
    config: &HoldConfig,
    stop: &Interrupt,
) -> Result<Option<HoldTests>> {
    let tests = Tests::new(agent, world, config, stop)?;
    let Some((states, mut frames)) = tests.states(pilot)? else {
        return Ok(None);
    };
    let mut all = Vec::new();
    for (name, action) in held(&world.spec()?, &tests.model.actions) {
        let real: Vec<Met> = (states.par_iter())
            .map(|state| tests.really(state, Who::Recorded(&action), config.steps))
            .collect::<Result<_>>()?;
        frames += real.iter().map(|met| met.rewards.len() as u64).sum::<u64>();
        let temperature = config.temperatures[0];
        let dreamt = tests.dream(&states, config.steps, temperature, |_, _, _, out| {
            out.copy_from_slice(&action);
        })?;
        if stop.is_set() {
            return Ok(None);
        }
        all.push(tests.compare(name, config.parts, &real, &dreamt));
    }
    Ok(Some(HoldTests { tests: all, frames }))
}

/// The actions that are held, with their names: none, and each value at the ends of its range; or
/// each of the discrete ones.
fn held(spec: &EnvSpec, actions: &Actions) -> Vec<(String, Vec<f32>)> {
    let mut none = vec![0.0; actions.width()];
    actions.none(&mut none);
    let name = |i: usize| match spec.action_names.get(i) {
        Some(name) => name.to_string(),
        None => format!("action {i}"),
    };
    match actions {
        Actions::Discrete(n) => (0..*n)
            .map(|i| {
                let mut action = vec![0.0; *n];
                action[i] = 1.0;
                (name(i), action)
            })
            .collect(),
        Actions::Box { low, high, .. } => {
            let mut all = vec![("nothing".to_owned(), none.clone())];
            for i in 0..none.len() {
                for end in [low[i], high[i]].into_iter().filter(|end| *end != none[i]) {
                    let mut action = none.clone();
                    action[i] = end;
                    all.push((format!("{} {end}", name(i)), action));
                }
            }
            all
        }
    }
}

/// Whoever does something, in the real environment and in dreams.
pub(super) struct Tests<'a> {
    /// Where the agent was loaded from.
    origin: &'a Path,
    pub model: ActingModel,
    decoder: Option<Decoder>,
    gauges: &'static [Gauge],
    pub world: &'a World,
    pub config: &'a HoldConfig,
    pub stop: &'a Interrupt,
}

impl<'a> Tests<'a> {
    /// Of the memory of `agent`.
    ///
    /// # Errors
    /// If the environment has no snapshots, or the agent does not fit it.
    pub fn new(
        agent: &'a Agent,
        world: &'a World,
        config: &'a HoldConfig,
        stop: &'a Interrupt,
    ) -> Result<Self> {
        let spec = world.spec()?;
        if !spec.has_snapshots {
            return Err(RunError::Config(format!(
                "{} has no snapshots, and a hold test goes back to real states: choose an agent of \
                 car-racing, homebrew or super-mario",
                spec.name
            )));
        }
        Ok(Self {
            origin: agent.origin(),
            model: agent.acting_model(&spec)?,
            decoder: agent.decoder()?,
            gauges: world.gauges(),
            world,
            config,
            stop,
        })
    }

    /// Real states that `pilot` comes to, and the steps of all its episodes. `None` if interrupted.
    pub fn states(&self, pilot: &Pilot) -> Result<Option<(Vec<State>, u64)>> {
        let &HoldConfig {
            first_seed, states, ..
        } = self.config;
        let batch = states.div_ceil(STATES_PER_EPISODE) as u64;
        let (mut found, mut frames) = (Vec::new(), 0);
        for round in 0..PATIENCE {
            let first = first_seed + round * batch;
            let of = |seed| self.states_of(pilot, seed);
            let episodes: Vec<(Vec<State>, u64)> = (first..first + batch)
                .into_par_iter()
                .map(of)
                .collect::<Result<_>>()?;
            if self.stop.is_set() {
                return Ok(None);
            }
            for (states, steps) in episodes {
                found.extend(states);
                frames += steps;
            }
            if found.len() >= states {
                found.truncate(states);
                return Ok(Some((found, frames)));
            }
        }
        Err(RunError::Failed(format!(
            "{} episodes have {} states and not {states}, because who drives does not last: give \
             fewer --states, or another --policy",
            PATIENCE * batch,
            found.len()
        )))
    }

    /// Those of the episode of `seed`, and its steps.
    fn states_of(&self, pilot: &Pilot, seed: u64) -> Result<(Vec<State>, u64)> {
        let mut rng = stream(0, "dream/holds", &[seed]);
        let opening = self.world.spec()?.opening_steps;
        let range = opening + WHERE.start..opening + WHERE.end;
        let mut when: Vec<u32> = (0..STATES_PER_EPISODE)
            .map(|_| rng.random_range(range.clone()))
            .collect();
        when.sort_unstable();
        let mut states = Vec::new();
        let mut look = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
            let step = moment.outcome.steps;
            if when.contains(&step)
                && let Some(real) = StartPoint::of(&moment)
            {
                let dream = Start {
                    latent: moment.latent.to_vec(),
                    state: moment.state.to_vec(),
                    chances: seed << 10 | u64::from(step),
                };
                states.push(State { real, seed, dream });
            }
            Ok(match when.last().is_some_and(|last| step >= *last) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        let onlooker = Onlooker {
            origin: self.origin,
            model: &self.model,
            world: self.world,
            stop: self.stop,
        };
        let outcome = onlooker.watch(pilot, seed, range.end, &mut look)?;
        Ok((states, outcome.steps.into()))
    }

    /// What comes of `who` acting from `state`.
    pub fn really(&self, state: &State, who: Who<'_>, steps: u32) -> Result<Met> {
        let mut met = Real {
            tests: self,
            met: self.nothing(),
            scratch: DecoderScratch::default(),
        };
        let options = DriveOptions {
            most_steps: Some(steps),
            ..DriveOptions::default()
        };
        let job = Job {
            from: Some(&state.real),
            ..Job::of(who, state.seed)
        };
        Driver::new(self.world, self.stop)
            .with_model(&self.model)
            .with_options(options)
            .watch(job, &mut met)?;
        Ok(met.met)
    }

    /// What the memory says of it, from each of `states`. `act` gets the number of a state, that of the
    /// step, z and h together, and writes the action.
    pub fn dream(
        &self,
        states: &[State],
        steps: u32,
        temperature: f32,
        act: impl Fn(usize, u32, [&[f32]; 2], &mut [f32]) + Sync,
    ) -> Result<Vec<Met>> {
        let chunk = states.len().div_ceil(rayon::current_num_threads()).max(1);
        let dreamt = states.par_chunks(chunk).enumerate().map(|(i, states)| {
            let act = |row: usize, step: u32, seen: [&[f32]; 2], out: &mut [f32]| {
                act(i * chunk + row, step, seen, out);
            };
            self.dream_rows(states, steps, temperature, act)
        });
        let dreamt: Vec<Vec<Met>> = dreamt.collect::<Result<_>>()?;
        Ok(dreamt.concat())
    }

    fn dream_rows(
        &self,
        states: &[State],
        steps: u32,
        temperature: f32,
        act: impl Fn(usize, u32, [&[f32]; 2], &mut [f32]),
    ) -> Result<Vec<Met>> {
        let (memory, mut rows) = (self.model.memory.as_ref(), Rows::default());
        rows.begin(
            self.model.actions.width(),
            states.iter().map(|state| &state.dream),
        );
        rows.hide(
            self.config.dropout,
            memory.hidden_len(),
            0,
            states.iter().map(|state| &state.dream),
        );
        let mut decoder = DecoderScratch::default();
        let mut all = vec![self.nothing(); states.len()];
        let mut is_over = vec![false; states.len()];
        for step in 0..steps {
            for i in (0..states.len()).filter(|&i| !is_over[i]) {
                let (z, h, action) = rows.seen(memory, i);
                self.look(step, z, &mut decoder, &mut all[i]);
                act(i, step, [z, h], action);
            }
            let starts = states.iter().map(|state| &state.dream);
            rows.draw(starts.map(|start| chances(0, start.chances, step)));
            rows.advance(memory, temperature)
                .map_err(|e| RunError::Failed(e.to_string()))?;
            for (i, (met, is_over)) in all.iter_mut().zip(&mut is_over).enumerate() {
                if !*is_over {
                    met.rewards.push(rows.reward(i));
                    *is_over = rows.ends(i);
                }
            }
        }
        Ok(all)
    }

    fn nothing(&self) -> Met {
        Met {
            rewards: Vec::new(),
            actions: Vec::new(),
            shown: vec![Vec::new(); self.gauges.len()],
        }
    }

    /// Adds what the gauges say of the decoded latent. The real ones are decoded too, so that what V
    /// leaves out is left out of both.
    fn look(&self, step: u32, latent: &[f32], scratch: &mut DecoderScratch, met: &mut Met) {
        if self.gauges.is_empty() || !step.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let mut frame = Vec::new();
        if let Some(decoder) = &self.decoder {
            frame.resize(FRAME, 0);
            decoder.decode_u8(scratch, latent, &mut frame);
        }
        for (gauge, shown) in self.gauges.iter().zip(&mut met.shown) {
            match gauge.look {
                Look::Frame(shows) if self.decoder.is_some() => {
                    shown.push(f64::from(u8::from(shows(&frame))));
                }
                Look::Frame(_) => {}
                Look::Numbers(of) => shown.push(of(latent)),
            }
        }
    }

    /// What was met in both, in the parts of the steps that end at `parts`.
    pub fn compare(
        &self,
        action: String,
        parts: [u32; 2],
        real: &[Met],
        dreamt: &[Met],
    ) -> HoldTest {
        let [first, last] = parts;
        let parts = [[0, first], [first, last]];
        let windows = |every: u32, of: &dyn Fn(&Met) -> Vec<f64>| -> Vec<Window> {
            let [real, dreamt] = [real, dreamt].map(|all| all.iter().map(of).collect::<Vec<_>>());
            let of_part = |part: [u32; 2]| window(part, every, &real, &dreamt);
            parts.into_iter().filter_map(of_part).collect()
        };
        let by_step = [real, dreamt].map(|all| {
            let at = |t: usize| {
                let running: Vec<f64> = (all.iter())
                    .filter_map(|met| met.rewards.get(t).copied())
                    .collect();
                running.iter().sum::<f64>() / running.len().max(1) as f64
            };
            (0..last as usize).map(at).collect()
        });
        let gauges = self.gauges.iter().enumerate();
        let shown = gauges.map(|(i, gauge)| Shown {
            name: gauge.name,
            is_share: matches!(gauge.look, Look::Frame(_)),
            windows: windows(LOOK_EVERY, &|met| met.shown[i].clone()),
        });
        HoldTest {
            action,
            reward: windows(1, &|met| met.rewards.clone()),
            by_step,
            shown: shown.collect(),
        }
    }
}

/// The means in a part of the steps, of which one in `every` has a value, of the states that reach it
/// in both. `None` where none does.
fn window(part: [u32; 2], every: u32, real: &[Vec<f64>], dreamt: &[Vec<f64>]) -> Option<Window> {
    let [from, to] = part.map(|step| step.div_ceil(every) as usize);
    let mean = |values: &[f64]| {
        let inside = &values[from.min(values.len())..to.min(values.len())];
        (!inside.is_empty()).then(|| inside.iter().sum::<f64>() / inside.len() as f64)
    };
    let pairs: Vec<[f64; 2]> = (real.iter().zip(dreamt))
        .filter_map(|(real, dreamt)| Some([mean(real)?, mean(dreamt)?]))
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let summary = |of: fn(&[f64; 2]) -> f64| Summary::of(&pairs.iter().map(of).collect::<Vec<_>>());
    Some(Window {
        steps: part,
        real: summary(|[real, _]| *real),
        dreamt: summary(|[_, dreamt]| *dreamt),
        difference: summary(|[real, dreamt]| dreamt - real),
    })
}

/// Looks on while an action is really held.
struct Real<'a> {
    tests: &'a Tests<'a>,
    met: Met,
    scratch: DecoderScratch,
}

impl Watcher for Real<'_> {
    fn before(&mut self, moment: Moment<'_>) -> Result<ControlFlow<()>> {
        let step = self.met.rewards.len() as u32;
        (self.tests).look(step, moment.latent, &mut self.scratch, &mut self.met);
        self.met.actions.extend_from_slice(moment.action);
        Ok(ControlFlow::Continue(()))
    }

    fn after(&mut self, step: &Step, _: Seen<'_>) -> Result<()> {
        self.met.rewards.push(step.reward);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of three states the second ends after 3 steps in the dream: it counts in 0–2 and not in 4–6.
    #[test]
    fn windows_pair_what_reaches_them() {
        let real = [
            vec![1.0; 6],
            vec![2.0; 6],
            vec![0.0, 3.0, 9.0, 9.0, 1.0, 2.0],
        ];
        let dreamt = [vec![2.0; 6], vec![5.0; 3], vec![0.5; 6]];
        let early = window([0, 2], 1, &real, &dreamt).unwrap();
        assert_eq!([early.real.mean, early.dreamt.mean], [1.5, 2.5]);
        assert_eq!(early.difference.mean, 1.0);
        let late = window([4, 6], 1, &real, &dreamt).unwrap();
        assert_eq!([late.real.mean, late.dreamt.mean], [1.25, 1.25]);
        assert!(window([7, 9], 1, &real, &dreamt).is_none());
        // One value for two steps: those of steps 4 and 6.
        let rare = window([4, 8], 2, &real, &dreamt).unwrap();
        assert_eq!(rare.real.mean, (1.0 + 2.0 + 9.0) / 3.0);
    }

    #[test]
    fn every_end_of_a_range_and_every_button_is_held() {
        let spec = crate::worlds::default_spec();
        let names = |spec: &EnvSpec| -> Vec<String> {
            let held = held(spec, &Actions::of(spec));
            held.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(
            names(&spec),
            ["nothing", "steering -1", "steering 1", "gas 1", "brake 1"]
        );
        let name = "homebrew,actions=right_only";
        let spec = crate::worlds::declared(name).unwrap();
        let buttons = ["nothing", "right", "right, A", "right, B", "right, A, B"];
        assert_eq!(names(&spec), buttons);
        let spec = EnvSpec {
            action_names: Vec::new(),
            ..spec
        };
        assert_eq!(names(&spec)[1], "action 1");
    }
}
