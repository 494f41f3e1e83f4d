//! The acting loop: frame → V → [z, h] → C → action → environment, and (z, a) → M → the next h.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use frmdn_env::{Env, ObservationMut, Step};

use super::Blackout;
use crate::{
    controller::{Actions, LinearController},
    memory::{self, Memory},
    run::Interrupt,
    vision::{self, Encoder},
    worlds::World,
};

/// Most episodes that one thread drives at a time: enough rows for efficient products, few enough
/// frames for the cache.
const LANES: usize = 16;

/// The parts of an agent that acting needs, shared by all threads. The decoder is not among them.
pub struct ActingModel {
    /// V's encoder.
    pub encoder: Encoder,
    /// M.
    pub memory: Box<dyn Memory>,
    /// Latent size.
    pub latent: usize,
    /// The form of its actions.
    pub actions: Actions,
}

/// One episode to drive.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Who drives.
    pub controller: &'a LinearController,
    /// Environment seed.
    pub seed: u64,
}

/// The outcome of one episode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Sum of rewards.
    pub score: f64,
    /// The score, less the time that remained where the episode was given up (in training only).
    pub fitness: f64,
    /// Steps driven.
    pub steps: u32,
    /// The task was completed.
    pub completed: bool,
    /// Progress made and the most there is.
    pub progress: (u32, u32),
    /// Steps at its end without progress.
    pub stalled: u32,
    /// Steps at its end during which nothing moved, where the environment can tell.
    pub still: u32,
}

impl Outcome {
    /// Steps of [`Outcome::stalled`] and [`Outcome::still`] from which an episode counts as one
    /// that ended in standstill.
    const STANDSTILL_STEPS: u32 = 100;

    /// Adds a step.
    pub(super) fn add(&mut self, step: Step) {
        self.score += step.reward;
        self.fitness = self.score;
        self.steps += 1;
        self.completed |= step.info.completed;
        self.stalled = if step.info.progress.0 > self.progress.0 {
            0
        } else {
            self.stalled + 1
        };
        self.still = if step.info.still { self.still + 1 } else { 0 };
        self.progress = step.info.progress;
    }

    /// It stood still for its last 100 steps or more: it had stopped, and stayed so.
    pub fn stopped(&self) -> bool {
        self.still >= Self::STANDSTILL_STEPS
    }

    /// It made no progress in its last 100 steps or more (where there is such a thing), whether or
    /// not it moved, and did not complete the task.
    pub fn lost(&self) -> bool {
        self.progress.1 > 0 && !self.completed && self.stalled >= Self::STANDSTILL_STEPS
    }
}

/// How [`ActingModel::drive`] goes about its jobs.
#[derive(Clone, Copy, Debug, Default)]
pub struct DriveOptions {
    /// Give an episode up after that many steps without progress. Never in a reported score.
    pub give_up_after: Option<u32>,
    /// Steps of a whole episode, for the charge of one that was given up: 0.1 for each that
    /// remains, Car-Racing's price.
    pub max_steps: u32,
    /// Steps whose latent is withheld and drawn by the memory, which must be one that predicts.
    pub blackout: Option<Blackout>,
}

/// What an observer of an episode sees at each step, before the environment moves on.
pub struct View<'a> {
    /// The agent's observation.
    pub frame: &'a [u8],
    /// Its latent.
    pub latent: &'a [f32],
    /// The action taken on it.
    pub action: &'a [f32],
    /// Sum of rewards so far.
    pub score: f64,
    /// The environment, for its picture.
    pub env: &'a mut dyn Env,
}

/// Watches one episode.
pub type Observer<'a> = &'a mut dyn FnMut(View<'_>) -> Result<(), String>;

struct Lane<'a> {
    job: usize,
    controller: &'a LinearController,
    outcome: Outcome,
    env: Box<dyn Env>,
}

/// Buffers of one thread, one row per lane.
struct Rows {
    frames: Vec<u8>,
    latents: Vec<f32>,
    actions: Vec<f32>,
    states: Vec<f32>,
    vision: vision::EncoderScratch,
    memory: memory::Scratch,
}

impl ActingModel {
    /// Length of [z, h].
    pub fn features(&self) -> usize {
        self.latent + self.memory.hidden_len()
    }

    /// Drives all `jobs` on all threads of the current rayon pool. Returns one outcome per job, in
    /// order, or `None` if interrupted. `frames` counts the frames driven, for progress.
    pub fn drive(
        &self,
        world: &World,
        jobs: &[Job<'_>],
        options: DriveOptions,
        stop: &Interrupt,
        frames: &AtomicU64,
    ) -> Result<Option<Vec<Outcome>>, String> {
        let threads = rayon::current_num_threads().min(jobs.len()).max(1);
        let lanes = jobs.len().div_ceil(threads).min(LANES);
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(vec![Outcome::default(); jobs.len()]);
        let failure = Mutex::new(None);
        rayon::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|_| {
                    let store = |job: usize, outcome| {
                        outcomes.lock().expect("no thread panics while it stores")[job] = outcome
                    };
                    if let Err(e) = self.work(
                        world, jobs, lanes, &next, options, stop, frames, &store, None,
                    ) {
                        *failure.lock().expect("no thread panics while it stores") = Some(e);
                    }
                });
            }
        });
        if let Some(e) = failure.into_inner().expect("no thread panicked") {
            return Err(e);
        }
        Ok(if stop.is_set() {
            None
        } else {
            Some(outcomes.into_inner().expect("no thread panicked"))
        })
    }

    /// Drives one episode under the eyes of `observer`.
    pub fn watch(
        &self,
        world: &World,
        job: Job<'_>,
        stop: &Interrupt,
        observer: Observer<'_>,
    ) -> Result<Outcome, String> {
        let result = Mutex::new(Outcome::default());
        let store = |_: usize, outcome| *result.lock().expect("single thread") = outcome;
        let frames = AtomicU64::new(0);
        self.work(
            world,
            &[job],
            1,
            &AtomicUsize::new(0),
            DriveOptions::default(),
            stop,
            &frames,
            &store,
            Some(observer),
        )?;
        Ok(result.into_inner().expect("single thread"))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "private, called twice; a struct would only repeat the names"
    )]
    fn work(
        &self,
        world: &World,
        jobs: &[Job<'_>],
        lanes: usize,
        next: &AtomicUsize,
        options: DriveOptions,
        stop: &Interrupt,
        frames: &AtomicU64,
        store: &dyn Fn(usize, Outcome),
        mut observer: Option<Observer<'_>>,
    ) -> Result<(), String> {
        let mut idle: Vec<Box<dyn Env>> =
            (0..lanes).map(|_| world.make()).collect::<Result<_, _>>()?;
        let frame_len = idle[0].observation_space().len();
        let (state_len, action_len) = (self.memory.state_len(), self.actions.width());
        let mut index = [0.0];
        let mut rows = Rows {
            frames: vec![0; lanes * frame_len],
            latents: vec![0.0; lanes * self.latent],
            actions: vec![0.0; lanes * self.actions.width()],
            states: vec![0.0; lanes * state_len],
            vision: vision::EncoderScratch::default(),
            memory: memory::Scratch::default(),
        };
        let mut busy: Vec<Lane<'_>> = Vec::with_capacity(lanes);
        loop {
            while let Some(env) = idle.pop() {
                let job = next.fetch_add(1, Ordering::Relaxed);
                if job >= jobs.len() || stop.is_set() {
                    break;
                }
                let at = busy.len();
                let mut env = env;
                let frame = &mut rows.frames[at * frame_len..(at + 1) * frame_len];
                env.reset(jobs[job].seed, ObservationMut::Frame(frame))
                    .map_err(|e| e.to_string())?;
                rows.states[at * state_len..(at + 1) * state_len].fill(0.0);
                let controller = jobs[job].controller;
                busy.push(Lane {
                    job,
                    controller,
                    outcome: Outcome::default(),
                    env,
                });
            }
            let n = busy.len();
            if n == 0 || stop.is_set() {
                return Ok(());
            }
            frames.fetch_add(n as u64, Ordering::Relaxed);
            self.encoder.encode(
                &mut rows.vision,
                &rows.frames[..n * frame_len],
                &mut rows.latents[..n * self.latent],
            );
            if let Some(blackout) = options.blackout {
                let under = busy
                    .iter()
                    .enumerate()
                    .map(|(i, lane)| (i, jobs[lane.job].seed, lane.outcome.steps));
                let filled = blackout.fill(
                    self.memory.as_ref(),
                    under,
                    &rows.states,
                    &mut rows.latents,
                    self.latent,
                    &mut rows.memory,
                );
                filled.map_err(|e| e.to_string())?;
            }
            for (i, lane) in busy.iter().enumerate() {
                let z = &rows.latents[i * self.latent..(i + 1) * self.latent];
                let h = self
                    .memory
                    .hidden(&rows.states[i * state_len..(i + 1) * state_len]);
                let action = &mut rows.actions[i * action_len..(i + 1) * action_len];
                lane.controller.outputs(z, h, action);
                self.actions.squash(action);
            }
            if let Some(observe) = observer.as_mut() {
                observe(View {
                    frame: &rows.frames[..frame_len],
                    latent: &rows.latents[..self.latent],
                    action: &rows.actions[..action_len],
                    score: busy[0].outcome.score,
                    env: busy[0].env.as_mut(),
                })?;
            }
            let (z, a) = (
                &rows.latents[..n * self.latent],
                &rows.actions[..n * action_len],
            );
            // An environment in another process works while M does.
            for (lane, action) in busy.iter_mut().zip(a.chunks_exact(action_len)) {
                lane.env
                    .begin(self.actions.for_env(action, &mut index))
                    .map_err(|e| e.to_string())?;
            }
            self.memory
                .step(n, z, a, &mut rows.states[..n * state_len], &mut rows.memory);
            // From the last lane down: a finished lane is replaced by the last one, which has had
            // its turn already.
            for i in (0..n).rev() {
                let lane = &mut busy[i];
                let frame = &mut rows.frames[i * frame_len..(i + 1) * frame_len];
                let action = self.actions.for_env(
                    &rows.actions[i * action_len..(i + 1) * action_len],
                    &mut index,
                );
                let step = lane
                    .env
                    .step(action, ObservationMut::Frame(frame))
                    .map_err(|e| e.to_string())?;
                if lane.count(step, options) {
                    let done = busy.swap_remove(i);
                    store(done.job, done.outcome);
                    idle.push(done.env);
                    let last = busy.len();
                    rows.frames
                        .copy_within(last * frame_len..(last + 1) * frame_len, i * frame_len);
                    rows.states
                        .copy_within(last * state_len..(last + 1) * state_len, i * state_len);
                }
            }
        }
    }
}

impl Lane<'_> {
    /// Adds a step to the outcome; whether the episode is over (or given up).
    fn count(&mut self, step: Step, options: DriveOptions) -> bool {
        self.outcome.add(step);
        if step.done() {
            return true;
        }
        // Without progress to look at nobody can tell.
        let given_up = step.info.progress.1 > 0
            && options
                .give_up_after
                .is_some_and(|n| self.outcome.stalled >= n);
        if given_up {
            // What standing still to the end would have cost: 0.1 for each step that remains.
            self.outcome.fitness -=
                0.1 * f64::from(options.max_steps.saturating_sub(self.outcome.steps));
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frmdn_env::Info;

    /// Tiles in steps 1 and 50, a stop from step 51 on.
    #[test]
    fn standing_still_and_getting_nowhere_are_counted_to_the_end() {
        let mut outcome = Outcome::default();
        let mut drive = |steps: std::ops::Range<u32>, tiles: u32, still: bool| {
            for steps in steps {
                let info = Info {
                    steps,
                    progress: (tiles, 9),
                    completed: false,
                    still,
                };
                outcome.add(Step {
                    reward: -0.1,
                    terminated: false,
                    truncated: false,
                    info,
                });
            }
            (
                outcome.stalled,
                outcome.still,
                outcome.lost(),
                outcome.stopped(),
            )
        };
        assert_eq!(drive(1..50, 1, false), (48, 0, false, false));
        assert_eq!(drive(50..51, 2, false), (0, 0, false, false));
        assert_eq!(drive(51..150, 2, true), (99, 99, false, false));
        assert_eq!(drive(150..151, 2, true), (100, 100, true, true));
        // It moves again, and still finds no tile.
        assert_eq!(drive(151..152, 2, false), (101, 0, true, false));
    }
}
