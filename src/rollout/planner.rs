//! A driver that plans: it tries sequences of actions on snapshots of the environment.
//!
//! Random shooting with held actions, warm-started with the last plan: it needs no training and no
//! knowledge of the world, only its snapshots. What is random in the world it does not foresee: its
//! trials draw from seeds of their own ([`Env::reseed`]).

use std::cmp::Ordering;

use frmdn_engine::random::{Pcg64, stream};
use frmdn_env::{
    ActionSpace, Env, EnvError, EnvSpec, ObservationMut, ObservationSpace, Snapshot, Step,
};
use rand::RngExt;

use super::DriveError;
use crate::worlds::WorldError;

/// Sequences that are tried for each plan.
const SEQUENCES: usize = 32;
/// Steps of a sequence.
const STEPS: usize = 20;
/// Steps of a plan that are carried out before the next one is made.
const CARRIED_OUT: usize = 2;
/// The same in danger, where most sequences were lost.
const CARRIED_OUT_IN_DANGER: usize = 1;
/// Steps from one look to the next while another acts: neighbours say nearly the same.
const LOOK_AFTER: usize = 8;
/// The same in danger: there the choice matters.
const LOOK_AFTER_IN_DANGER: usize = 2;
/// The best sequences, which are tried again with other random numbers.
const FINALISTS: usize = 4;
/// Number of these trials.
const AGAIN: usize = 7;
/// A random action is held for 1 to this many steps.
const HELD: usize = 8;
/// A disturbance lasts as long.
const DISTURBED: usize = 6;

/// Steps of trials for each step that is carried out; 0.58 plans were counted for each in Ember Run.
pub const PLANNED_STEPS: f64 = 0.58 * ((SEQUENCES + FINALISTS * AGAIN) * STEPS) as f64;

/// The same for each step while it looks on, one in twenty of them where most trials are lost (one
/// look for seven steps was counted in Ember Run).
pub const WATCHED_STEPS: f64 =
    (SEQUENCES * STEPS) as f64 * (0.95 / LOOK_AFTER as f64 + 0.05 / LOOK_AFTER_IN_DANGER as f64);

/// Plans in one episode.
pub(super) struct Planner {
    /// Where sequences are tried.
    ahead: Box<dyn Env>,
    trial: Trial,
    rng: Pcg64,
    /// The rest of the plan, as actions of the environment, and how many of them are to be carried
    /// out before the next plan.
    plan: Vec<Vec<f32>>,
    left: usize,
    /// Probability that a step begins a disturbance.
    noise: f32,
    /// What disturbs, and for how many more steps.
    disturbance: (Vec<f32>, usize),
    /// What the last plan says of each action; empty at steps that were planned before.
    values: Vec<f32>,
}

/// Buffers of a trial.
struct Trial {
    frame: Vec<u8>,
    latent: Vec<f32>,
}

/// A sequence that was tried, and what became of it.
type Tried = (Worth, Vec<Vec<f32>>);

/// What became of a sequence, and of several trials of one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Worth {
    /// Trials in which the episode ended without the task being done.
    lost: f64,
    /// Rewards.
    reward: f64,
}

impl Worth {
    /// Better ones are greater: first those that are lost less often.
    fn cmp(&self, other: &Self) -> Ordering {
        let lost = other.lost.total_cmp(&self.lost);
        lost.then(self.reward.total_cmp(&other.reward))
    }

    fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.reward += other.reward;
    }
}

impl Planner {
    /// The planner of the episode of `seed`, whose random numbers are a function of it and of the
    /// root seed `root`; `ahead` is another environment of the same world. With the probability
    /// `noise` a step begins a disturbance: a random action, held for some steps.
    ///
    /// # Errors
    /// If the environment has no snapshots.
    pub fn new(ahead: Box<dyn Env>, noise: f32, root: u64, seed: u64) -> Result<Self, DriveError> {
        let spec = ahead.spec();
        if !spec.has_snapshots {
            return Err(WorldError::NoSnapshots(spec.name.clone()).into());
        }
        let (frame, latent) = match spec.observation {
            space @ ObservationSpace::Frame { .. } => (space.len(), 0),
            ObservationSpace::Latent(len) => (0, len),
        };
        Ok(Self {
            ahead,
            trial: Trial {
                frame: vec![0; frame],
                latent: vec![0.0; latent],
            },
            rng: stream(root, "rollout/planner", &[seed]),
            plan: Vec::new(),
            left: 0,
            noise,
            disturbance: (Vec::new(), 0),
            values: Vec::new(),
        })
    }

    /// The next action, in the environment's form, for the present state of `env`.
    ///
    /// # Errors
    /// If an environment refuses a call.
    pub fn act(&mut self, env: &dyn Env) -> Result<Vec<f32>, EnvError> {
        self.values.clear();
        if self.left == 0 || self.plan.is_empty() {
            self.make_plan(env)?;
        }
        self.left -= 1;
        let planned = self.plan.remove(0);
        if self.disturbance.1 == 0 && self.rng.random::<f32>() < self.noise {
            let steps = self.rng.random_range(1..=DISTURBED);
            self.disturbance = (random_action(&env.spec().actions, &mut self.rng), steps);
        }
        if self.disturbance.1 == 0 {
            return Ok(planned);
        }
        self.disturbance.1 -= 1;
        // What was planned led elsewhere.
        self.left = 0;
        Ok(self.disturbance.0.clone())
    }

    /// What the trials of this step say of each of a discrete space's actions as the next one, less
    /// their mean; empty where nothing was tried.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Looks on while another acts: at times it tries sequences, for [`Planner::values`], more often
    /// where most are lost.
    ///
    /// # Errors
    /// If an environment refuses a call.
    pub fn look(&mut self, env: &dyn Env) -> Result<(), EnvError> {
        self.values.clear();
        if self.left == 0 {
            let (_, mut tried) = self.try_sequences(env)?;
            self.left = match is_dangerous(&tried) {
                true => LOOK_AFTER_IN_DANGER,
                false => LOOK_AFTER,
            };
            self.plan = tried.swap_remove(0).1;
        }
        self.left -= 1;
        self.plan.remove(0);
        Ok(())
    }

    /// Makes a plan in the present state of `env`, and says for how many steps it holds.
    fn make_plan(&mut self, env: &dyn Env) -> Result<(), EnvError> {
        let (now, mut tried) = self.try_sequences(env)?;
        self.left = match is_dangerous(&tried) {
            true => CARRIED_OUT_IN_DANGER,
            false => CARRIED_OUT,
        };
        tried.truncate(FINALISTS);
        for (worth, sequence) in &mut tried {
            for _ in 0..AGAIN {
                self.ahead.restore(&now)?;
                self.ahead.reseed(self.rng.random());
                worth.add(self.trial.of(self.ahead.as_mut(), sequence)?);
            }
        }
        tried.sort_by(|a, b| b.0.cmp(&a.0));
        self.plan = tried.swap_remove(0).1;
        Ok(())
    }

    /// Tries sequences from the present state of `env`. Returns it and them, the best first.
    fn try_sequences(&mut self, env: &dyn Env) -> Result<(Snapshot, Vec<Tried>), EnvError> {
        let now = env.snapshot().ok_or(EnvError::NeedsReset)?;
        let mut tried = Vec::with_capacity(SEQUENCES);
        for i in 0..SEQUENCES {
            let sequence = self.sequence(i, env.spec());
            self.ahead.restore(&now)?;
            self.ahead.reseed(self.rng.random());
            let worth = self.trial.of(self.ahead.as_mut(), &sequence)?;
            tried.push((worth, sequence));
        }
        if let ActionSpace::Discrete(n) = env.spec().actions {
            self.values = values(&tried[1..], n);
        }
        // The earlier one of two equals stays ahead: what was planned before.
        tried.sort_by(|a, b| b.0.cmp(&a.0));
        Ok((now, tried))
    }

    /// Sequence number `i` of a plan: the rest of the last plan, then variations of it and new ones
    /// in turn. Of a discrete space each action comes first equally often.
    fn sequence(&mut self, i: usize, spec: &EnvSpec) -> Vec<Vec<f32>> {
        let mut sequence = match i == 0 || i % 2 == 1 {
            true => self.plan.clone(),
            false => Vec::new(),
        };
        if i > 0 && !sequence.is_empty() {
            let from = self.rng.random_range(0..sequence.len());
            let held = self.rng.random_range(1..=HELD);
            let action = random_action(&spec.actions, &mut self.rng);
            for place in sequence.iter_mut().skip(from).take(held) {
                place.clone_from(&action);
            }
        }
        while sequence.len() < STEPS {
            let held = self.rng.random_range(1..=HELD).min(STEPS - sequence.len());
            let action = random_action(&spec.actions, &mut self.rng);
            sequence.extend(std::iter::repeat_n(action, held));
        }
        if i > 0
            && let ActionSpace::Discrete(n) = spec.actions
        {
            // For as long as the drawn one would have been.
            let drawn = sequence[0].clone();
            let first = vec![((i - 1) / 2 % n) as f32];
            let same = sequence.iter().take_while(|action| **action == drawn);
            let held = same.count().min(self.rng.random_range(1..=HELD));
            sequence[..held].fill(first);
        }
        sequence
    }
}

/// Whether most of the sequences were lost.
fn is_dangerous(tried: &[Tried]) -> bool {
    let lost = tried.iter().filter(|(worth, _)| worth.lost > 0.0).count();
    2 * lost > tried.len()
}

/// The value of each of `n` actions as the first one of the sequences `tried`, less their mean: the
/// mean over all pairs of its sequences of the better one's reward, which does not depend on how
/// many there are. A lost one counts as the worst reward less the whole range of them. Empty where
/// an action came first less than twice.
fn values(tried: &[Tried], n: usize) -> Vec<f32> {
    let rewards = tried.iter().map(|(worth, _)| worth.reward);
    let (worst, best) = rewards.fold((f64::MAX, f64::MIN), |(low, high), r| {
        (low.min(r), high.max(r))
    });
    let mut values = Vec::with_capacity(n);
    for action in 0..n {
        let own = tried
            .iter()
            .filter(|(_, sequence)| sequence[0][0] as usize == action);
        let mut worth: Vec<f64> = own
            .map(|(worth, _)| match worth.lost > 0.0 {
                true => worst - (best - worst),
                false => worth.reward,
            })
            .collect();
        if worth.len() < 2 {
            return Vec::new();
        }
        worth.sort_by(f64::total_cmp);
        // Number i of them is the better one of i pairs.
        let sum: f64 = worth.iter().enumerate().map(|(i, w)| i as f64 * w).sum();
        values.push(2.0 * sum / (worth.len() * (worth.len() - 1)) as f64);
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    values.iter().map(|value| (value - mean) as f32).collect()
}

impl Trial {
    /// Plays `sequence` in `env` to its end, or to that of the episode.
    fn of(&mut self, env: &mut dyn Env, sequence: &[Vec<f32>]) -> Result<Worth, EnvError> {
        let mut worth = Worth::default();
        for action in sequence {
            let out = match self.latent.is_empty() {
                true => ObservationMut::Frame(&mut self.frame),
                false => ObservationMut::Latent(&mut self.latent),
            };
            let step: Step = env.step_unseen(action, out)?;
            worth.reward += step.reward;
            if step.done() {
                let is_lost = step.terminated && !env.spec().is_completed(&step.measured);
                worth.lost = f64::from(u8::from(is_lost));
                break;
            }
        }
        Ok(worth)
    }
}

/// A uniformly drawn action of the environment.
fn random_action(space: &ActionSpace, rng: &mut Pcg64) -> Vec<f32> {
    match space {
        ActionSpace::Discrete(n) => vec![rng.random_range(0..*n) as f32],
        ActionSpace::Box { low, high } => {
            let ends = low.iter().zip(high);
            ends.map(|(l, h)| l + (h - l) * rng.random::<f32>())
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewards of action 0: 10, 4 and 1; of action 1: 6, and one that is lost at 2. The worst is 1
    /// and the range 9, so the lost one counts −8. Pairs: (10, 4), (10, 1), (4, 1) have a mean best
    /// of 8, (6, −8) of 6; less their mean that is ±1.
    #[test]
    fn an_action_is_worth_the_better_of_two_of_its_sequences() {
        let tried =
            |action: f32, reward: f64, lost: f64| (Worth { lost, reward }, vec![vec![action]]);
        let all = [
            tried(0.0, 4.0, 0.0),
            tried(1.0, 6.0, 0.0),
            tried(0.0, 10.0, 0.0),
            tried(1.0, 2.0, 1.0),
            tried(0.0, 1.0, 0.0),
        ];
        assert_eq!(values(&all, 2), [1.0, -1.0]);
        // Of the third action nothing is known.
        assert!(values(&all, 3).is_empty());
    }
}
