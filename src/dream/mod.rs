//! Rollouts inside the memory: populations of controllers, many episodes each, as one batch without
//! any frame.
//!
//! ```text
//! [z, h] → C → a        (z, a) → M → h'        h' → z', reward, end
//! ```
//!
//! Everything random in episode e at step t comes from the stream (seed, "dream", e, t). So a dream
//! does not depend on how many others are dreamt beside it, nor on threads; and every controller
//! meets the same chances, as on common tracks.

mod device;

use frmdn_engine::random::{Pcg64, stream};
use rand::RngExt;
use rayon::prelude::*;

pub use device::dream_on;

use crate::{
    controller::{Actions, LinearController},
    memory::{Memory, NoPrediction, Prediction, Scratch},
};

/// Dreams that one thread works on at a time: enough rows for efficient products, few enough states
/// for the cache.
const TOGETHER: usize = 64;

/// Where a dream begins: the latent that is seen, and the memory's state before it consumes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// z `[latent]`.
    pub latent: Vec<f32>,
    /// As [`Memory::state_len`] says; zeros at the start of an episode.
    pub state: Vec<f32>,
}

/// How to dream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DreamConfig {
    /// Most steps of one dream.
    pub steps: u32,
    /// Temperature of the latents: 0 takes the likeliest component's mean.
    pub temperature: f32,
    /// Root of all chances.
    pub seed: u64,
    /// Ends are drawn with the probability that the memory foresees; else dreams go on to the last
    /// step.
    pub ends: bool,
}

/// What became of one dream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dreamt {
    /// Sum of the rewards foreseen.
    pub reward: f64,
    /// Steps dreamt.
    pub steps: u32,
    /// The memory ended it.
    pub ended: bool,
}

/// A dream under way.
#[derive(Clone, Copy)]
struct Row {
    /// Controller · starts + start.
    job: usize,
    dreamt: Dreamt,
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
    controllers: &[&LinearController],
    starts: &[Start],
    config: DreamConfig,
) -> Result<Vec<Dreamt>, NoPrediction> {
    let mut outcomes = vec![Dreamt::default(); controllers.len() * starts.len()];
    // In shares of equal size, so that no thread idles while another has several left.
    let share = outcomes
        .len()
        .div_ceil(rayon::current_num_threads())
        .clamp(1, TOGETHER);
    let work = |scratch: &mut Buffers, (at, outcomes): (usize, &mut [Dreamt])| {
        let jobs = at * share..at * share + outcomes.len();
        let first = jobs.start;
        scratch.dream(
            memory,
            actions,
            controllers,
            starts,
            config,
            jobs,
            &mut |_, _| (),
            &mut |job, dreamt| outcomes[job - first] = dreamt,
        )
    };
    outcomes
        .par_chunks_mut(share)
        .enumerate()
        .try_for_each_init(Buffers::default, work)?;
    Ok(outcomes)
}

/// The dreams of [`dream`], each with the actions taken in it, `[steps, actions]`: what is driven
/// in the real environment to see what they would really have brought.
///
/// # Errors
/// If the memory predicts nothing.
///
/// # Panics
/// If a start's or a controller's sizes disagree with the memory.
pub fn dream_actions(
    memory: &dyn Memory,
    actions: &Actions,
    controllers: &[&LinearController],
    starts: &[Start],
    config: DreamConfig,
) -> Result<Vec<(Dreamt, Vec<f32>)>, NoPrediction> {
    let mut outcomes = vec![(Dreamt::default(), Vec::new()); controllers.len() * starts.len()];
    let work = |scratch: &mut Buffers, (at, outcomes): (usize, &mut [(Dreamt, Vec<f32>)])| {
        let jobs = at * TOGETHER..at * TOGETHER + outcomes.len();
        let first = jobs.start;
        let mut taken = vec![Vec::new(); outcomes.len()];
        let each = &mut |job: usize, action: &[f32]| taken[job - first].extend_from_slice(action);
        let store = &mut |job: usize, dreamt| outcomes[job - first].0 = dreamt;
        scratch.dream(
            memory,
            actions,
            controllers,
            starts,
            config,
            jobs,
            each,
            store,
        )?;
        outcomes
            .iter_mut()
            .zip(taken)
            .for_each(|(outcome, taken)| outcome.1 = taken);
        Ok(())
    };
    outcomes
        .par_chunks_mut(TOGETHER)
        .enumerate()
        .try_for_each_init(Buffers::default, work)?;
    Ok(outcomes)
}

/// Buffers of one thread, one row per dream.
#[derive(Default)]
struct Buffers {
    rows: Vec<Row>,
    latents: Vec<f32>,
    states: Vec<f32>,
    actions: Vec<f32>,
    rngs: Vec<Pcg64>,
    predictions: Vec<Prediction>,
    memory: Scratch,
}

impl Buffers {
    #[expect(
        clippy::too_many_arguments,
        reason = "private, called twice; a struct would only repeat the names"
    )]
    fn dream(
        &mut self,
        memory: &dyn Memory,
        form: &Actions,
        controllers: &[&LinearController],
        starts: &[Start],
        config: DreamConfig,
        jobs: std::ops::Range<usize>,
        each: &mut dyn FnMut(usize, &[f32]),
        store: &mut dyn FnMut(usize, Dreamt),
    ) -> Result<(), NoPrediction> {
        let Self {
            rows,
            latents,
            states,
            actions,
            rngs,
            predictions,
            memory: scratch,
        } = self;
        let (width, state_len) = (form.width(), memory.state_len());
        let latent = starts[0].latent.len();
        rows.clear();
        latents.clear();
        states.clear();
        for job in jobs {
            let start = &starts[job % starts.len()];
            assert_eq!(
                (start.latent.len(), start.state.len()),
                (latent, state_len),
                "a start has the memory's sizes"
            );
            rows.push(Row {
                job,
                dreamt: Dreamt::default(),
            });
            latents.extend_from_slice(&start.latent);
            states.extend_from_slice(&start.state);
        }
        for step in 0..config.steps {
            let n = rows.len();
            if n == 0 {
                break;
            }
            actions.resize(n * width, 0.0);
            rngs.clear();
            for (i, (row, action)) in rows.iter().zip(actions.chunks_exact_mut(width)).enumerate() {
                let (z, h) = (
                    &latents[i * latent..(i + 1) * latent],
                    memory.hidden(&states[i * state_len..(i + 1) * state_len]),
                );
                controllers[row.job / starts.len()].outputs(z, h, action);
                form.squash(action);
                each(row.job, action);
                rngs.push(stream(
                    config.seed,
                    "dream",
                    &[(row.job % starts.len()) as u64, u64::from(step)],
                ));
            }
            memory.step(n, latents, actions, states, scratch);
            predictions.resize(n, Prediction::default());
            memory.predict(
                states,
                config.temperature,
                rngs,
                latents,
                predictions,
                scratch,
            )?;
            // From the last row down: one that ends is replaced by the last one, which has had its
            // turn.
            for i in (0..n).rev() {
                let dreamt = &mut rows[i].dreamt;
                dreamt.reward += f64::from(predictions[i].reward);
                dreamt.steps += 1;
                dreamt.ended = config.ends && rngs[i].random::<f32>() < predictions[i].done;
                if dreamt.ended {
                    let row = rows.swap_remove(i);
                    store(row.job, row.dreamt);
                    let last = rows.len();
                    latents.copy_within(last * latent..(last + 1) * latent, i * latent);
                    states.copy_within(last * state_len..(last + 1) * state_len, i * state_len);
                    latents.truncate(last * latent);
                    states.truncate(last * state_len);
                }
            }
        }
        rows.iter().for_each(|row| store(row.job, row.dreamt));
        Ok(())
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
        pub controllers: Vec<LinearController>,
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
        // At first the ends are improbable; here one step in about ten ends, and rewards depend on
        // h.
        for t in &mut weights.0 {
            if t.name == "done.bias" {
                t.value[0] = -2.2;
            }
        }
        let memory = memory::load(&config, LATENT, 3, &weights).unwrap();
        let count = LinearController::count(LATENT + 20, 3);
        let draw = |name: &str, i: u64, n: usize| {
            let mut v = vec![0.0; n];
            fill_normal(&mut stream(9, name, &[i]), &mut v);
            v
        };
        let controllers = (0..7)
            .map(|i| LinearController::new(LATENT + 20, 3, draw("c", i, count)))
            .collect();
        let starts = (0..11)
            .map(|i| Start {
                latent: draw("z", i, LATENT),
                state: draw("s", i, 40),
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
    };

    fn run(setup: &Setup, controllers: &[usize], starts: &[Start], threads: usize) -> Vec<Dreamt> {
        let controllers: Vec<&LinearController> =
            controllers.iter().map(|&i| &setup.controllers[i]).collect();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            dream(
                setup.memory.as_ref(),
                &Actions::CarRacing,
                &controllers,
                starts,
                CONFIG,
            )
        })
        .unwrap()
    }

    #[test]
    fn a_dream_depends_neither_on_the_batch_nor_on_threads() {
        for variant in [Variant::Rmdn, Variant::Frmdn] {
            let setup = setup(variant);
            let all = run(&setup, &[0, 1, 2, 3, 4, 5, 6], &setup.starts, 1);
            assert_eq!(all, run(&setup, &[0, 1, 2, 3, 4, 5, 6], &setup.starts, 3));
            for c in 0..7 {
                assert_eq!(
                    all[c * 11..(c + 1) * 11],
                    run(&setup, &[c], &setup.starts, 1),
                    "{variant} controller {c}"
                );
                // Fewer episodes: the first ones are the same.
                assert_eq!(
                    all[c * 11..c * 11 + 4],
                    run(&setup, &[c], &setup.starts[..4], 2)
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
        let Setup {
            memory,
            controllers,
            starts,
            ..
        } = setup(Variant::Frmdn);
        let config = DreamConfig {
            ends: false,
            ..CONFIG
        };
        let got = dream(
            memory.as_ref(),
            &Actions::CarRacing,
            &[&controllers[2]],
            &starts[..3],
            config,
        )
        .unwrap()[1];
        let Start {
            latent: mut z,
            mut state,
        } = starts[1].clone();
        let (mut reward, mut action, mut predictions, mut scratch) =
            (0.0, [0.0; 3], [Prediction::default()], Scratch::default());
        for step in 0..40 {
            controllers[2].outputs(&z, memory.hidden(&state), &mut action);
            Actions::CarRacing.squash(&mut action);
            memory.step(1, &z, &action, &mut state, &mut scratch);
            memory
                .predict(
                    &state,
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
            Dreamt {
                reward,
                steps: 40,
                ended: false
            }
        );
        // The same with its actions, the last of which is that of the last step.
        let with = dream_actions(
            memory.as_ref(),
            &Actions::CarRacing,
            &[&controllers[2]],
            &starts[..3],
            config,
        )
        .unwrap();
        assert_eq!(
            (with[1].0, with[1].1.len(), &with[1].1[39 * 3..]),
            (got, 40 * 3, &action[..])
        );
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
            &Actions::CarRacing,
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
