//! Rollouts inside the memory: many episodes of a population of controllers as one batch, without
//! frames.
//!
//! ```text
//! [z, h] → C → a        (z, a) → M → h'        h' → z', reward, end
//! ```
//!
//! All random numbers of episode e at step t come from the stream (seed, "dream", e, t). So a dream
//! depends neither on the size of the batch nor on threads, and every controller gets the same
//! random numbers, as it would on common tracks.
//!
//! [`DreamKind`] makes the same dreams an environment, `dream:RUN`, one at a time: whatever runs in
//! environments runs in them.

mod against;
mod device;
mod ends;
mod holds;
mod onlooker;
mod price;
mod surprise;
mod world;

use std::ops::Range;

use frmdn_engine::random::{Pcg64, stream};
use rand::RngExt;
use rayon::prelude::*;

pub use against::{Again, Against, Controlled, against};
pub use device::dream_on;
pub use ends::{End, Ends, ends};
pub use holds::{HOLD_PARTS, HoldConfig, HoldTest, HoldTests, Shown, Window, hold_tests};
pub use price::Price;
pub use surprise::{Alarm, AlarmConfig, Surprise, alarms};
pub use world::{DreamKind, DreamSettings, dream_world};

use crate::{
    controller::{Actions, Controller},
    memory::{Memory, NoPrediction, Prediction, Scratch},
    run::LatentEpisode,
};

/// Dreams that one thread works on at a time: enough rows for efficient matrix products, and few
/// enough states for the cache.
const ROWS_PER_BATCH: usize = 64;

/// Where a dream begins: the latent that C sees first, and the memory's state before it consumes
/// that latent.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// z `[latent]`.
    pub latent: Vec<f32>,
    /// State of [`Memory::state_len`] values; zeros at the start of an episode.
    pub state: Vec<f32>,
    /// What is drawn is a function of this, of the root seed and of the step.
    pub chances: u64,
}

impl Start {
    /// After `steps` steps of a recorded episode, which `memory` follows; V's means are what it sees.
    ///
    /// # Panics
    /// If the episode has fewer steps.
    pub fn in_episode(
        memory: &dyn Memory,
        episode: &LatentEpisode,
        steps: usize,
        chances: u64,
        scratch: &mut Scratch,
    ) -> Self {
        let (d, a) = (episode.latent, episode.action_len);
        let mut state = vec![0.0; memory.state_len()];
        let latents = episode.mean.chunks_exact(d);
        for (z, action) in latents.zip(episode.actions.chunks_exact(a)).take(steps) {
            memory.step(1, z, action, &mut state, scratch);
        }
        Self {
            latent: episode.mean[steps * d..(steps + 1) * d].to_vec(),
            state,
            chances,
        }
    }
}

/// Settings of dreams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DreamConfig {
    /// Largest number of steps of a dream.
    pub steps: u32,
    /// Temperature of the latents; 0 takes the mean of the likeliest component.
    pub temperature: f32,
    /// Root seed of the random streams.
    pub seed: u64,
    /// Whether ends are sampled from the predicted probability; otherwise every dream has `steps`
    /// steps.
    pub ends: bool,
    /// Probability that a unit of h is hidden from what predicts, for the whole of a dream: the
    /// memory's dropout in training, with a mask that is kept (Wenke & Fleming, "Dropout's Dream Land",
    /// 2021). 0: none is.
    pub dropout: f32,
}

/// The outcome of one dream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DreamOutcome {
    /// Sum of the predicted rewards.
    pub reward: f64,
    /// Sum of what its actions cost ([`Price`]), and of what it is charged where it is given up.
    pub price: f64,
    /// Number of steps.
    pub steps: u32,
    /// Whether the memory ended it.
    pub ended: bool,
    /// Whether it was given up.
    pub given_up: bool,
}

/// What an evolution asks of dreams beside their rewards.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules<'a> {
    /// What actions cost.
    pub price: Option<&'a Price>,
    /// When a dream is given up.
    pub give_up: Option<GiveUp>,
    /// Sum of rewards with which a dream ends, for no episode of the environment pays more: whoever
    /// comes to it sooner is no better.
    pub enough: Option<f64>,
}

/// A dream in which nothing was gained for some steps ends, as real episodes do that are given up: what
/// comes later was never shown to the memory. The predicted reward is an expectation with errors of
/// either sign around the little that a lost car gets, so single steps say nothing: what counts is
/// whether the sum grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GiveUp {
    /// Steps since the rewards' sum was at its highest.
    pub after: u32,
    /// Charged for each step that remains, points.
    pub cost: f64,
}

/// Lets each of `controllers` drive from each of `starts`; the outcomes are `[controllers,
/// starts]`.
///
/// # Errors
/// If the memory predicts nothing.
///
/// # Panics
/// If a start's or a controller's sizes disagree with the memory.
pub fn dream(
    memory: &dyn Memory,
    actions: &Actions,
    controllers: &[&Controller],
    starts: &[Start],
    config: DreamConfig,
) -> Result<Vec<DreamOutcome>, NoPrediction> {
    dream_by(
        Rules::default(),
        memory,
        actions,
        controllers,
        starts,
        config,
    )
}

/// The same by `rules`.
///
/// # Errors
/// If the memory predicts nothing.
///
/// # Panics
/// If a start's or a controller's sizes disagree with the memory.
pub fn dream_by(
    rules: Rules<'_>,
    memory: &dyn Memory,
    actions: &Actions,
    controllers: &[&Controller],
    starts: &[Start],
    config: DreamConfig,
) -> Result<Vec<DreamOutcome>, NoPrediction> {
    let dreams = Dreams {
        memory,
        actions,
        controllers,
        starts,
        config,
        rules,
    };
    let mut outcomes = vec![DreamOutcome::default(); dreams.len()];
    // Batches of equal size, so that no thread is idle while another has several left.
    let batch = outcomes
        .len()
        .div_ceil(rayon::current_num_threads())
        .clamp(1, ROWS_PER_BATCH);
    outcomes
        .par_chunks_mut(batch)
        .enumerate()
        .try_for_each_init(Buffers::default, |buffers, (i, outcomes)| {
            buffers.dream(&dreams, i * batch, outcomes)
        })?;
    Ok(outcomes)
}

/// The random numbers of a step of the dream that draws `chances`.
fn chances(root: u64, chances: u64, step: u32) -> Pcg64 {
    stream(root, "dream", &[chances, u64::from(step)])
}

/// Dreams that go on together: what each sees, remembers and does is one row.
#[derive(Default)]
struct Rows {
    /// Values of an action.
    width: usize,
    len: usize,
    latents: Vec<f32>,
    states: Vec<f32>,
    actions: Vec<f32>,
    /// What h is multiplied by where something is predicted from it, 0 or 1 / (1 − p) for each of its
    /// values; empty without dropout.
    masks: Vec<f32>,
    /// The states so multiplied.
    masked: Vec<f32>,
    /// The random numbers of the next step.
    rngs: Vec<Pcg64>,
    predictions: Vec<Prediction>,
    memory: Scratch,
}

impl Rows {
    /// One row for each of `starts`, with actions of `width` values.
    ///
    /// # Panics
    /// If they are not all of the same sizes.
    fn begin<'s>(&mut self, width: usize, starts: impl Iterator<Item = &'s Start>) {
        self.latents.clear();
        self.states.clear();
        (self.width, self.len) = (width, 0);
        for start in starts {
            self.latents.extend_from_slice(&start.latent);
            self.states.extend_from_slice(&start.state);
            self.len += 1;
            let sizes = (self.latents.len(), self.states.len());
            let even = (self.len * start.latent.len(), self.len * start.state.len());
            assert_eq!(sizes, even, "all starts have the memory's sizes");
        }
        self.actions.clear();
        self.actions.resize(self.len * width, 0.0);
        self.masks.clear();
    }

    /// Hides each of the `hidden` units of h with the probability `dropout`, in the row of each of
    /// `starts` others, and the same in all of its dreams.
    fn hide<'s>(
        &mut self,
        dropout: f32,
        hidden: usize,
        seed: u64,
        starts: impl Iterator<Item = &'s Start>,
    ) {
        if dropout == 0.0 {
            return;
        }
        for start in starts {
            let mut rng = stream(seed, "dream/dropout", &[start.chances]);
            self.masks.extend((0..hidden).map(|_| {
                let is_hidden = rng.random::<f32>() < dropout;
                f32::from(u8::from(!is_hidden)) / (1.0 - dropout)
            }));
        }
    }

    /// z and h of row `i`, and where its action goes.
    fn seen(&mut self, memory: &dyn Memory, i: usize) -> (&[f32], &[f32], &mut [f32]) {
        let (latent, state) = (self.latents.len() / self.len, memory.state_len());
        (
            &self.latents[i * latent..][..latent],
            memory.hidden(&self.states[i * state..][..state]),
            &mut self.actions[i * self.width..][..self.width],
        )
    }

    /// Sets the random numbers of the next step, one stream for each row.
    fn draw(&mut self, chances: impl Iterator<Item = Pcg64>) {
        self.rngs.clear();
        self.rngs.extend(chances);
    }

    /// (z, a) → M → h′ → z′, reward and end of all rows.
    fn advance(&mut self, memory: &dyn Memory, temperature: f32) -> Result<(), NoPrediction> {
        memory.step(
            self.len,
            &self.latents,
            &self.actions,
            &mut self.states,
            &mut self.memory,
        );
        self.predictions.resize(self.len, Prediction::default());
        let mut states = &self.states;
        if !self.masks.is_empty() {
            self.masked.clone_from(&self.states);
            let rows = self.masked.chunks_exact_mut(memory.state_len());
            // A state begins with h.
            for (row, mask) in rows.zip(self.masks.chunks_exact(memory.hidden_len())) {
                row.iter_mut().zip(mask).for_each(|(h, m)| *h *= m);
            }
            states = &self.masked;
        }
        memory.predict(
            states,
            temperature,
            &mut self.rngs,
            &mut self.latents,
            &mut self.predictions,
            &mut self.memory,
        )
    }

    /// The reward of row `i`'s last step.
    fn reward(&self, i: usize) -> f64 {
        self.predictions[i].reward.into()
    }

    /// Whether its last step ended the dream of row `i`: drawn after the latent, from the same numbers.
    fn ends(&mut self, i: usize) -> bool {
        self.rngs[i].random::<f32>() < self.predictions[i].done
    }

    /// Removes row `i`, whose place the last one takes.
    fn remove(&mut self, i: usize) {
        self.len -= 1;
        let (seen, done) = ([&mut self.latents, &mut self.states], &mut self.actions);
        for values in seen.into_iter().chain([done, &mut self.masks]) {
            let row = values.len() / (self.len + 1);
            values.copy_within(self.len * row.., i * row);
            values.truncate(self.len * row);
        }
    }
}

/// All dreams of one call. Dream number `controller · starts + start` is that of a controller from
/// a start.
struct Dreams<'a> {
    memory: &'a dyn Memory,
    actions: &'a Actions,
    controllers: &'a [&'a Controller],
    starts: &'a [Start],
    config: DreamConfig,
    rules: Rules<'a>,
}

/// Buffers of one thread. Row i belongs to `running[i]`.
#[derive(Default)]
struct Buffers {
    running: Vec<RunningDream>,
    rows: Rows,
}

/// A dream that has not ended.
#[derive(Clone, Copy)]
struct RunningDream {
    /// Its number in [`Dreams`].
    number: usize,
    outcome: DreamOutcome,
    /// The most that its rewards came to, and the steps since.
    best: f64,
    unpaid: u32,
}

impl Dreams<'_> {
    fn len(&self) -> usize {
        self.controllers.len() * self.starts.len()
    }

    fn controller(&self, number: usize) -> &Controller {
        self.controllers[number / self.starts.len()]
    }

    fn start(&self, number: usize) -> &Start {
        &self.starts[number % self.starts.len()]
    }

    /// The random numbers of a dream's step, the same for every controller.
    fn rng(&self, number: usize, step: u32) -> Pcg64 {
        chances(self.config.seed, self.start(number).chances, step)
    }
}

impl Buffers {
    /// Dreams as many of `dreams` as `outcomes` has places, from number `first` on.
    fn dream(
        &mut self,
        dreams: &Dreams<'_>,
        first: usize,
        outcomes: &mut [DreamOutcome],
    ) -> Result<(), NoPrediction> {
        self.begin(dreams, first..first + outcomes.len());
        for step in 0..dreams.config.steps {
            if self.running.is_empty() {
                break;
            }
            self.choose_actions(dreams, step);
            self.rows
                .advance(dreams.memory, dreams.config.temperature)?;
            self.retire_ended(dreams, |number, outcome| outcomes[number - first] = outcome);
        }
        for dream in &self.running {
            outcomes[dream.number - first] = dream.outcome;
        }
        Ok(())
    }

    /// Fills the rows with the starts of the dreams `numbers`.
    fn begin(&mut self, dreams: &Dreams<'_>, numbers: Range<usize>) {
        let starts = numbers.clone().map(|number| dreams.start(number));
        let DreamConfig { dropout, seed, .. } = dreams.config;
        self.rows.begin(dreams.actions.width(), starts.clone());
        (self.rows).hide(dropout, dreams.memory.hidden_len(), seed, starts);
        self.running.clear();
        self.running.extend(numbers.map(|number| RunningDream {
            number,
            outcome: DreamOutcome::default(),
            best: 0.0,
            unpaid: 0,
        }));
    }

    /// [z, h] → C → actions of all rows, and the random streams of `step`.
    fn choose_actions(&mut self, dreams: &Dreams<'_>, step: u32) {
        for (i, dream) in self.running.iter_mut().enumerate() {
            let (z, h, action) = self.rows.seen(dreams.memory, i);
            let controller = dreams.controller(dream.number);
            controller.outputs(z, h, action);
            let chances = dreams.start(dream.number).chances;
            controller.draw(dreams.config.seed ^ chances, step.into(), action);
            dreams.actions.squash(action);
            dream.outcome.price += dreams.rules.price.map_or(0.0, |price| price.at(action));
        }
        let running = self.running.iter();
        (self.rows).draw(running.map(|dream| dreams.rng(dream.number, step)));
    }

    /// Counts the step and hands the outcomes of the dreams that ended with it to `store`.
    fn retire_ended(&mut self, dreams: &Dreams<'_>, mut store: impl FnMut(usize, DreamOutcome)) {
        // From the last row down: a row that ends is replaced by the last one, which was already
        // counted in this pass.
        for i in (0..self.running.len()).rev() {
            let RunningDream {
                outcome,
                best,
                unpaid,
                ..
            } = &mut self.running[i];
            outcome.reward += self.rows.reward(i);
            outcome.steps += 1;
            outcome.ended = dreams.config.ends && self.rows.ends(i);
            if outcome.reward > *best {
                (*best, *unpaid) = (outcome.reward, 0);
            } else {
                *unpaid += 1;
            }
            if let Some(give_up) = dreams.rules.give_up
                && *unpaid >= give_up.after
                && !outcome.ended
            {
                outcome.given_up = true;
                outcome.price += give_up.cost * f64::from(dreams.config.steps - outcome.steps);
            }
            let has_enough = (dreams.rules.enough).is_some_and(|enough| outcome.reward >= enough);
            if outcome.ended || outcome.given_up || has_enough {
                let dream = self.running.swap_remove(i);
                store(dream.number, dream.outcome);
                self.rows.remove(i);
            }
        }
    }
}

#[cfg(test)]
mod tests;
