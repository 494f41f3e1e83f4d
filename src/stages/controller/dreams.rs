//! Generations that are driven in dreams of M.
//!
//! A dream begins in a recorded episode, after as many of its steps as M has followed: where an episode
//! begins, anywhere where it went well, or where it is lost. There candidates meet the same random
//! numbers, and pay for actions that the data hardly hold ([`Price`]).

use frmdn_engine::random::{Pcg64, stream};
use rand::RngExt;
use rayon::prelude::*;

use crate::{
    controller::Controller,
    dream::{DreamConfig, DreamOutcome, GiveUp, Price, Rules, Start, dream_by},
    memory::Scratch,
    rollout::{ActingModel, Outcome},
    run::{DreamsConfig, EpisodeStore, LatentEpisode, Result, RunError, RunFolder},
    stages::{held_out, training_indices},
};

/// Episodes that rewards and actions are measured on, of each kind.
const MEASURED: usize = 100;
/// Steps over which rewards are averaged.
const SPAN: usize = 20;
/// Episodes that are looked at, and states of each, until one is as it should be.
const TRIES: usize = 20;

/// Dreams of a round.
pub(super) struct Dreams<'a> {
    config: &'a DreamsConfig,
    model: &'a ActingModel,
    store: EpisodeStore,
    /// Episodes to begin in.
    training: Episodes,
    /// The same for tests.
    held_out: Episodes,
    price: Price,
    /// What a step without progress costs in the environment, points.
    stall_cost: f64,
    /// Mean rewards of [`SPAN`] steps: the lowest quarter of them ends at the first, the lower half at
    /// the second.
    quartiles: [f32; 2],
    /// Episodes of the data can end by themselves.
    ends: bool,
}

/// What a candidate came to in the first steps of an episode, dreamt or real.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub reward: f64,
    pub given_up: bool,
}

/// Those of the data's drivers, and the rounds' own.
struct Episodes {
    driven: Vec<usize>,
    own: Vec<usize>,
}

impl Episodes {
    /// `episodes`, of which the drivers' are the first `driven`.
    fn new(episodes: impl Iterator<Item = usize>, driven: usize) -> Self {
        let (driven, own) = episodes.partition(|&i| i < driven);
        Self { driven, own }
    }

    /// One of them, one of the rounds' own with the probability `share`, as far as there are any.
    fn choose(&self, share: f64, rng: &mut Pcg64) -> usize {
        let is_own = !self.own.is_empty() && rng.random::<f64>() < share;
        let from = if is_own { &self.own } else { &self.driven };
        from[rng.random_range(0..from.len())]
    }
}

/// Where in an episode a dream begins.
#[derive(Clone, Copy)]
enum Place {
    Beginning,
    Lost,
    Driving,
}

impl<'a> Dreams<'a> {
    /// Dreams of `model`, which are entered in the episodes of `folder`; in its environment a step
    /// without progress costs `stall_cost` points.
    pub fn new(
        folder: &RunFolder,
        config: &'a DreamsConfig,
        model: &'a ActingModel,
        stall_cost: f64,
    ) -> Result<Self> {
        let collect = &folder.preset().collect;
        let driven = collect.driven();
        let held_out = (0..collect.episodes).filter(|&i| held_out(i));
        let training = Episodes::new(training_indices(collect.episodes), driven);
        let store = folder.latents();
        let (mut rewards, mut actions, mut ends) = (Vec::new(), Vec::new(), false);
        let latest = training.own.iter().rev().take(MEASURED);
        for &index in training.driven.iter().take(MEASURED).chain(latest) {
            let episode = store.load_latents(index, model.actions.width())?;
            let spans = episode.rewards.windows(SPAN);
            rewards.extend(spans.map(|span| span.iter().sum::<f32>() / SPAN as f32));
            actions.extend_from_slice(&episode.actions);
            ends |= episode.terminated;
        }
        rewards.sort_by(f32::total_cmp);
        // Where no episode is as long, none has a place that goes well or badly.
        let quartile = |n: usize| rewards.get(n * rewards.len() / 4).copied().unwrap_or(0.0);
        Ok(Self {
            config,
            store,
            training,
            held_out: Episodes::new(held_out, driven),
            price: Price::of(&model.actions, config.price, &actions),
            stall_cost,
            quartiles: [quartile(1), quartile(2)],
            ends,
            model,
        })
    }

    /// What `candidates` come to in the first steps of a dream that begins where their own real episode
    /// did, of `steps` steps at most, and what they really came to in as many, each with whether it was
    /// given up; the candidates drove the episodes `episodes` in turn.
    pub fn beside(
        &self,
        seed: u64,
        candidates: &[Controller],
        episodes: std::ops::Range<usize>,
        steps: u32,
    ) -> Result<Vec<[Came; 2]>> {
        let both = episodes.into_par_iter().map(|index| {
            let episode = self.load(index)?;
            let memory = self.model.memory.as_ref();
            let start =
                Start::in_episode(memory, &episode, 0, index as u64, &mut Scratch::default());
            let candidate = &candidates[index % candidates.len()];
            // By the rule of the real episodes.
            let rules = self.rules(self.config.give_up_after, 0.0);
            let dreamt = self.dream(rules, &[start], seed, &[candidate], steps)?[0];
            let real = episode.rewards.iter().take(steps as usize);
            let given_up = episode.steps() < steps as usize && !episode.terminated;
            let dreamt = Came {
                reward: dreamt.reward,
                given_up: dreamt.given_up,
            };
            let reward = real.map(|&r| f64::from(r)).sum();
            Ok([dreamt, Came { reward, given_up }])
        });
        both.collect()
    }

    /// Real steps of all episodes so far.
    pub fn frames(&self, episodes: usize) -> Result<u64> {
        let steps = (0..episodes).into_par_iter();
        steps
            .map(|index| Ok(self.load(index)?.steps() as u64))
            .sum()
    }

    fn load(&self, index: usize) -> Result<LatentEpisode> {
        self.store.load_latents(index, self.model.actions.width())
    }

    /// Lets each of `candidates` drive in the dreams of a generation.
    pub fn drive(
        &self,
        seed: u64,
        generation: u64,
        candidates: &[&Controller],
        count: usize,
    ) -> Result<Vec<Vec<Outcome>>> {
        let mut rng = stream(seed, "controller/dreams", &[generation]);
        let starts = self.starts(count, &mut rng, &self.training)?;
        let rules = self.rules(self.config.unpaid, self.config.enough);
        let horizon = self.config.horizon;
        let dreams = self.dream(rules, &starts, rng.random(), candidates, horizon)?;
        let of_each = dreams.chunks(starts.len());
        Ok(of_each.map(outcomes).collect())
    }

    /// Tests `controller` in dreams that are the same for all means of a round.
    pub fn test(&self, seed: u64, count: usize, controller: &Controller) -> Result<Vec<Outcome>> {
        let mut rng = stream(seed, "controller/dreams/test", &[]);
        let starts = self.starts(count, &mut rng, &self.held_out)?;
        let rules = self.rules(self.config.unpaid, self.config.enough);
        let horizon = self.config.horizon;
        let dreams = self.dream(rules, &starts, rng.random(), &[controller], horizon)?;
        Ok(outcomes(&dreams))
    }

    /// `count` states of `episodes`.
    fn starts(&self, count: usize, rng: &mut Pcg64, episodes: &Episodes) -> Result<Vec<Start>> {
        let share = |share: f64| (share * count as f64).round() as usize;
        let (beginning, lost) = (share(self.config.beginning), share(self.config.lost));
        let mut drawn = Vec::with_capacity(count);
        for i in 0..count {
            let place = match i {
                _ if i < beginning => Place::Beginning,
                _ if i < beginning + lost => Place::Lost,
                _ => Place::Driving,
            };
            let candidates = match place {
                Place::Beginning => 1,
                _ => TRIES,
            };
            let share = self.config.own;
            let episodes: Vec<usize> = (0..candidates)
                .map(|_| episodes.choose(share, rng))
                .collect();
            drawn.push((place, episodes, rng.random::<u64>()));
        }
        let starts = drawn.par_iter().enumerate();
        let starts = starts.map_init(Scratch::default, |scratch, (i, (place, episodes, seed))| {
            let mut rng = stream(*seed, "controller/dreams/start", &[]);
            for (n, &index) in episodes.iter().enumerate() {
                let episode = self.load(index)?;
                let is_last = n + 1 == episodes.len();
                if let Some(step) = self.place(*place, &episode, is_last, &mut rng) {
                    let memory = self.model.memory.as_ref();
                    return Ok(Start::in_episode(memory, &episode, step, i as u64, scratch));
                }
            }
            unreachable!("the last episode has a place")
        });
        starts.collect()
    }

    /// A step of `episode` to begin at; where there is none as it should be, none, or any if that
    /// `is_last`.
    fn place(
        &self,
        place: Place,
        episode: &LatentEpisode,
        is_last: bool,
        rng: &mut Pcg64,
    ) -> Option<usize> {
        let [lost, half] = self.quartiles;
        let steps = episode.steps();
        for _ in 0..TRIES {
            let step = match place {
                Place::Beginning => return Some(0),
                _ => rng.random_range(0..steps),
            };
            if step < SPAN {
                continue;
            }
            let before = &episode.rewards[step - SPAN..step];
            let mean = before.iter().sum::<f32>() / SPAN as f32;
            let is_there = match place {
                Place::Lost => mean <= lost,
                _ => mean > half,
            };
            if is_there {
                return Some(step);
            }
        }
        is_last.then(|| rng.random_range(0..steps))
    }

    /// The rules of dreams that are given up after `unpaid` steps in which their reward did not grow, and
    /// end with `enough` points; 0: never.
    fn rules(&self, unpaid: u32, enough: f64) -> Rules<'_> {
        Rules {
            price: Some(&self.price),
            give_up: (unpaid > 0).then_some(GiveUp {
                after: unpaid,
                cost: self.stall_cost,
            }),
            enough: (enough > 0.0).then_some(enough),
        }
    }

    /// The dreams of each of `controllers` from each of `starts`, of `steps` steps at most, by `rules`.
    fn dream(
        &self,
        rules: Rules<'_>,
        starts: &[Start],
        seed: u64,
        controllers: &[&Controller],
        steps: u32,
    ) -> Result<Vec<DreamOutcome>> {
        let config = DreamConfig {
            steps,
            temperature: self.config.temperature as f32,
            seed,
            ends: self.ends,
            dropout: self.config.dropout as f32,
        };
        let (memory, actions) = (self.model.memory.as_ref(), &self.model.actions);
        dream_by(rules, memory, actions, controllers, starts, config)
            .map_err(|e| RunError::Failed(format!("controller: {e}")))
    }
}

/// The dreams of one controller as episodes.
fn outcomes(dreams: &[DreamOutcome]) -> Vec<Outcome> {
    let outcome = |dream: &DreamOutcome| Outcome {
        score: dream.reward,
        fitness: dream.reward - dream.price,
        steps: dream.steps,
        ..Outcome::default()
    };
    dreams.iter().map(outcome).collect()
}
