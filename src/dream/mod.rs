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
mod tests {
    use frmdn_engine::random::fill_normal;

    use super::*;
    use crate::memory::{self, MemoryConfig, Variant};

    pub const LATENT: usize = 6;

    pub struct Setup {
        pub config: MemoryConfig,
        pub weights: frmdn_engine::Params,
        pub memory: Box<dyn Memory>,
        pub controllers: Vec<Controller>,
        pub starts: Vec<Start>,
    }

    pub fn setup(variant: Variant) -> Setup {
        let config = MemoryConfig {
            variant,
            hidden: 20,
            components: 3,
            flow_hidden: 8,
            ..MemoryConfig::default()
        };
        let mut weights = memory::init(&config, LATENT, 3, 1);
        // Initial weights make ends improbable; with this bias about one step in ten ends.
        for t in &mut weights.0 {
            if t.name == "done.bias" {
                t.value[0] = -2.2;
            }
        }
        let memory = memory::load(&config, LATENT, 3, &weights).unwrap();
        let count = Controller::count(LATENT + 20, 3);
        let draw = |name: &str, i: u64, n: usize| {
            let mut v = vec![0.0; n];
            fill_normal(&mut stream(9, name, &[i]), &mut v);
            v
        };
        let controllers = (0..7)
            .map(|i| Controller::new(LATENT + 20, 3, draw("c", i, count)))
            .collect();
        let starts = (0..11)
            .map(|i| Start {
                latent: draw("z", i, LATENT),
                state: draw("s", i, 40),
                chances: i,
            })
            .collect();
        Setup {
            config,
            weights,
            memory,
            controllers,
            starts,
        }
    }

    const CONFIG: DreamConfig = DreamConfig {
        steps: 40,
        temperature: 1.0,
        seed: 4,
        ends: true,
        dropout: 0.0,
    };

    fn run(
        setup: &Setup,
        controllers: &[usize],
        starts: &[Start],
        [threads, percent_hidden]: [usize; 2],
    ) -> Vec<DreamOutcome> {
        let controllers: Vec<&Controller> =
            controllers.iter().map(|&i| &setup.controllers[i]).collect();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            dream(
                setup.memory.as_ref(),
                &car_racing(),
                &controllers,
                starts,
                DreamConfig {
                    dropout: percent_hidden as f32 / 100.0,
                    ..CONFIG
                },
            )
        })
        .unwrap()
    }

    pub(super) fn car_racing() -> Actions {
        Actions::of(&crate::worlds::default_spec())
    }

    #[test]
    fn a_dream_depends_neither_on_the_batch_nor_on_threads() {
        for (variant, hidden) in [(Variant::Rmdn, 0), (Variant::Frmdn, 0), (Variant::Rmdn, 30)] {
            let setup = setup(variant);
            let every = [0, 1, 2, 3, 4, 5, 6];
            let all = run(&setup, &every, &setup.starts, [1, hidden]);
            assert_eq!(all, run(&setup, &every, &setup.starts, [3, hidden]));
            for c in 0..7 {
                assert_eq!(
                    all[c * 11..(c + 1) * 11],
                    run(&setup, &[c], &setup.starts, [1, hidden]),
                    "{variant} controller {c}"
                );
                // Fewer episodes: the first ones are the same.
                assert_eq!(
                    all[c * 11..c * 11 + 4],
                    run(&setup, &[c], &setup.starts[..4], [2, hidden])
                );
            }
            let ended = all.iter().filter(|d| d.ended).count();
            assert!(
                (1..77).contains(&ended) || all.iter().all(|d| d.steps < 40),
                "{ended}"
            );
            assert!(
                all.iter()
                    .all(|d| d.reward.is_finite() && d.steps >= 1 && (d.ended || d.steps == 40))
            );
        }
    }

    /// The same by hand: one row, the memory's own functions, one after the other.
    #[test]
    fn one_dream_is_the_memory_fed_with_its_own_draws() {
        let dreams = [0.0, 0.5].map(dream_by_hand);
        assert_ne!(dreams[0], dreams[1]);
    }

    fn dream_by_hand(dropout: f32) -> f64 {
        let Setup {
            memory,
            controllers,
            starts,
            ..
        } = setup(Variant::Frmdn);
        let config = DreamConfig {
            ends: false,
            dropout,
            ..CONFIG
        };
        let mut rng = stream(4, "dream/dropout", &[1]);
        let mask: Vec<f32> = (0..20)
            .map(|_| match rng.random::<f32>() < dropout {
                true => 0.0,
                false => 1.0 / (1.0 - dropout),
            })
            .collect();
        let got = dream(
            memory.as_ref(),
            &car_racing(),
            &[&controllers[2]],
            &starts[..3],
            config,
        )
        .unwrap()[1];
        let Start {
            latent: mut z,
            mut state,
            ..
        } = starts[1].clone();
        let (mut reward, mut action, mut predictions, mut scratch) =
            (0.0, [0.0; 3], [Prediction::default()], Scratch::default());
        for step in 0..40 {
            controllers[2].outputs(&z, memory.hidden(&state), &mut action);
            car_racing().squash(&mut action);
            memory.step(1, &z, &action, &mut state, &mut scratch);
            let mut shown = state.clone();
            shown.iter_mut().zip(&mask).for_each(|(h, m)| *h *= m);
            memory
                .predict(
                    &shown,
                    1.0,
                    &mut [stream(4, "dream", &[1, step])],
                    &mut z,
                    &mut predictions,
                    &mut scratch,
                )
                .unwrap();
            reward += f64::from(predictions[0].reward);
        }
        assert_eq!(
            got,
            DreamOutcome {
                reward,
                price: 0.0,
                steps: 40,
                ..DreamOutcome::default()
            }
        );
        reward
    }

    /// Where nothing is paid a dream is given up, and charged what remains; where something is, not.
    #[test]
    fn a_dream_that_pays_nothing_is_given_up() {
        let mut setup = setup(Variant::Rmdn);
        for (reward, steps, price) in [(-0.5, 7, 3.3), (0.5, 40, 0.0)] {
            for t in &mut setup.weights.0 {
                match t.name.as_str() {
                    "reward.weight" => t.value.fill(0.0),
                    "reward.bias" => t.value.fill(reward),
                    _ => {}
                }
            }
            let memory = memory::load(&setup.config, LATENT, 3, &setup.weights).unwrap();
            let rules = Rules {
                give_up: Some(GiveUp {
                    after: 7,
                    cost: 0.1,
                }),
                ..Rules::default()
            };
            let (controllers, starts) = ([&setup.controllers[0]], &setup.starts[..2]);
            let config = DreamConfig {
                ends: false,
                ..CONFIG
            };
            let actions = car_racing();
            let dreams = dream_by(
                rules,
                memory.as_ref(),
                &actions,
                &controllers,
                starts,
                config,
            );
            for dream in dreams.unwrap() {
                assert_eq!((dream.steps, dream.given_up), (steps, steps == 7));
                let expected = f64::from(reward) * f64::from(steps);
                assert!((dream.reward - expected).abs() < 1e-5, "{dream:?}");
                assert!((dream.price - price).abs() < 1e-9, "{dream:?}");
            }
        }
    }

    /// Rewards of either sign around a loss are no progress: a dream ends when their sum has not been
    /// higher for as many steps, whatever a single step paid.
    #[test]
    fn a_dream_is_given_up_by_the_sum_of_its_rewards() {
        const AFTER: usize = 6;
        let mut setup = setup(Variant::Rmdn);
        for t in &mut setup.weights.0 {
            if t.name == "reward.weight" {
                t.value.iter_mut().for_each(|w| *w *= 20.0);
            }
        }
        let memory = memory::load(&setup.config, LATENT, 3, &setup.weights).unwrap();
        let (actions, controllers) = (car_racing(), [&setup.controllers[0]]);
        let run = |rules: Rules<'_>, steps: u32| {
            let config = DreamConfig {
                steps,
                ends: false,
                ..CONFIG
            };
            let memory = memory.as_ref();
            dream_by(rules, memory, &actions, &controllers, &setup.starts, config).unwrap()
        };
        let sums: Vec<_> = (1..=40).map(|n| run(Rules::default(), n)).collect();
        let give_up = GiveUp {
            after: AFTER as u32,
            cost: 0.0,
        };
        let rules = Rules {
            give_up: Some(give_up),
            ..Rules::default()
        };
        let mut paid_in_between = 0;
        for (start, dream) in run(rules, 40).iter().enumerate() {
            let sums: Vec<f64> = sums.iter().map(|dreams| dreams[start].reward).collect();
            let end = (AFTER..=40).find(|&n| {
                let last = n - AFTER;
                let before = sums[..last].iter().copied().fold(0.0, f64::max);
                sums[last..n].iter().all(|&sum| sum <= before)
            });
            assert_eq!(dream.steps as usize, end.unwrap_or(40));
            assert_eq!(dream.given_up, end.is_some());
            if let Some(n) = end {
                let rose = |i: usize| i > 0 && sums[i] > sums[i - 1];
                paid_in_between += usize::from((n - AFTER..n).any(rose));
            }
        }
        assert!(paid_in_between > 0);
    }

    /// A dream of half a point a step is over with the step that brings what is asked for.
    #[test]
    fn a_dream_ends_with_what_is_enough() {
        let mut setup = setup(Variant::Rmdn);
        for t in &mut setup.weights.0 {
            match t.name.as_str() {
                "reward.weight" => t.value.fill(0.0),
                "reward.bias" => t.value.fill(0.5),
                _ => {}
            }
        }
        let memory = memory::load(&setup.config, LATENT, 3, &setup.weights).unwrap();
        for (enough, steps) in [(Some(3.9), 8), (Some(4.0), 8), (Some(1e9), 40), (None, 40)] {
            let rules = Rules {
                enough,
                ..Rules::default()
            };
            let (controllers, starts) = ([&setup.controllers[0]], &setup.starts[..2]);
            let config = DreamConfig {
                steps: 40,
                ends: false,
                ..CONFIG
            };
            let (memory, actions) = (memory.as_ref(), &car_racing());
            let dreams = dream_by(rules, memory, actions, &controllers, starts, config);
            for dream in dreams.unwrap() {
                assert_eq!((dream.steps, dream.given_up), (steps, false));
            }
        }
    }

    #[test]
    fn a_memory_that_predicts_nothing_cannot_dream() {
        let Setup {
            memory,
            controllers,
            starts,
            ..
        } = setup(Variant::Untrained);
        let error = dream(
            memory.as_ref(),
            &car_racing(),
            &[&controllers[0]],
            &starts,
            CONFIG,
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("untrained") && error.contains("frmdn"),
            "{error}"
        );
    }
}
