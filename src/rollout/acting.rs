//! The acting loop: frame → V → [z, h] → C → action → environment, and (z, a) → M → the next h.

use std::{
    ops::{ControlFlow, Range},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use frmdn_env::{Env, EnvSpec, Measured, ObservationMut, Step};

use super::{Blackout, DriveError, blackout::BlackoutRow};
use crate::{
    controller::{Actions, LinearController},
    memory::{self, Memory},
    run::{self, Interrupt},
    vision::{self, Encoder},
    worlds::World,
};

/// Largest number of episodes that one thread drives side by side: enough rows for efficient matrix
/// products, and few enough frames for the cache.
const LANES: usize = 16;

/// The parts of an agent that acting needs, shared by all threads; the decoder of V is not needed.
pub struct ActingModel {
    /// V's encoder.
    pub encoder: Encoder,
    /// M.
    pub memory: Box<dyn Memory>,
    /// Length of the latent z.
    pub latent: usize,
    /// How outputs of C become actions of the environment.
    pub actions: Actions,
}

/// One episode to drive.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// C of the episode.
    pub controller: &'a LinearController,
    /// Seed of the environment.
    pub seed: u64,
}

/// The outcome of one episode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Sum of rewards.
    pub score: f64,
    /// The score; in training, less a charge for the remaining steps of an episode that was given
    /// up, see [`DriveOptions`].
    pub fitness: f64,
    /// Number of steps.
    pub steps: u32,
    /// The task was completed.
    pub completed: bool,
    /// Progress made and the largest possible ([`EnvSpec::progress_of`]); `None` where the
    /// environment measures none.
    pub progress: Option<(f64, f64)>,
    /// Number of steps since the last progress.
    pub stalled: u32,
    /// Number of steps since something last moved; 0 where the environment cannot tell.
    pub still: u32,
    /// What the environment measured in the last step.
    pub measured: Measured,
}

impl Outcome {
    /// [`Outcome::stalled`] or [`Outcome::still`] of an episode that counts as one that ended
    /// without progress or at a standstill.
    const STANDSTILL_STEPS: u32 = 100;

    /// Adds a step of the environment `spec`.
    pub(super) fn add(&mut self, step: Step, spec: &EnvSpec) {
        self.score += step.reward;
        self.fitness = self.score;
        self.steps += 1;
        self.completed |= spec.is_completed(&step.measured);
        let progress = spec.progress_of(&step.measured);
        let rises = progress.is_some_and(|(now, _)| now > self.progress.map_or(0.0, |p| p.0));
        self.stalled = if rises { 0 } else { self.stalled + 1 };
        self.still = if spec.is_still(&step.measured) {
            self.still + 1
        } else {
            0
        };
        self.progress = progress;
        self.measured = step.measured;
    }

    /// Whether nothing moved in the last 100 steps or more.
    pub fn ended_at_standstill(&self) -> bool {
        self.still >= Self::STANDSTILL_STEPS
    }

    /// Whether the last 100 steps or more brought no progress, moving or not, and the task was not
    /// completed. False where the environment measures no progress.
    pub fn ended_without_progress(&self) -> bool {
        self.progress.is_some() && !self.completed && self.stalled >= Self::STANDSTILL_STEPS
    }
}

/// Progress as JSON, `[so far, largest possible]`: whole numbers without a point, null for a largest
/// one that is not known and where nothing is measured.
pub fn progress_json(progress: Option<(f64, f64)>) -> serde_json::Value {
    let number = |x: f64| match x.fract() {
        0.0 => serde_json::json!(x as i64),
        _ => serde_json::json!(x),
    };
    match progress {
        Some((now, most)) => serde_json::json!([number(now), number(most)]),
        None => serde_json::Value::Null,
    }
}

/// Options of [`ActingModel::drive`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DriveOptions {
    /// Ends an episode after this many steps without progress. For training only, never for a
    /// reported score. One that was given up is charged what the environment says that a step
    /// without progress costs ([`EnvSpec::stall_cost`]), for each step that remains. Without effect
    /// where the environment measures no progress.
    pub give_up_after: Option<u32>,
    /// Steps whose latent is withheld and drawn by the memory, which must be able to predict.
    pub blackout: Option<Blackout>,
}

/// What an observer sees at each step, before the environment is stepped.
pub struct View<'a> {
    /// The agent's observation, 64 × 64 × 3 bytes.
    pub frame: &'a [u8],
    /// Its latent.
    pub latent: &'a [f32],
    /// The agent's action, in its own form.
    pub action: &'a [f32],
    /// Sum of rewards so far.
    pub score: f64,
    /// The environment, for its picture.
    pub env: &'a mut dyn Env,
}

/// Called at every step of an episode that is watched. [`ControlFlow::Break`] ends the episode
/// before the action is applied.
pub type Observer<'a> = &'a mut dyn FnMut(View<'_>) -> run::Result<ControlFlow<()>>;

/// What the threads of one call share.
struct Shared<'a> {
    model: &'a ActingModel,
    world: &'a World,
    jobs: &'a [Job<'a>],
    options: DriveOptions,
    stop: &'a Interrupt,
    /// Frames driven so far, for progress.
    frames: &'a AtomicU64,
    /// Number of the first job that no thread has started.
    next_job: AtomicUsize,
    /// One per job.
    outcomes: Mutex<Vec<Outcome>>,
}

/// A thread and the episodes that it drives side by side, one per lane.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    /// Environments without an episode.
    idle: Vec<Box<dyn Env>>,
    lanes: Vec<Lane<'a>>,
    buffers: Buffers,
}

/// A running episode.
struct Lane<'a> {
    job: usize,
    controller: &'a LinearController,
    outcome: Outcome,
    env: Box<dyn Env>,
}

/// Buffers of one thread. Row i of `frames`, `latents`, `actions` and `states` belongs to lane i.
struct Buffers {
    frames: Vec<u8>,
    latents: Vec<f32>,
    actions: Vec<f32>,
    states: Vec<f32>,
    frame_len: usize,
    latent_len: usize,
    action_len: usize,
    state_len: usize,
    vision: vision::EncoderScratch,
    memory: memory::Scratch,
}

/// The places of row `i` in a buffer with rows of `len` values.
fn row(i: usize, len: usize) -> Range<usize> {
    i * len..(i + 1) * len
}

impl ActingModel {
    /// Length of [z, h].
    pub fn features(&self) -> usize {
        self.latent + self.memory.hidden_len()
    }

    /// Drives all `jobs` on all threads of the current rayon pool. Returns one outcome per job, in
    /// order, or `None` if interrupted. `frames` counts the frames driven, for progress.
    ///
    /// # Errors
    /// If an environment cannot be made or refuses a call, or if the memory cannot fill a blackout.
    pub fn drive(
        &self,
        world: &World,
        jobs: &[Job<'_>],
        options: DriveOptions,
        stop: &Interrupt,
        frames: &AtomicU64,
    ) -> Result<Option<Vec<Outcome>>, DriveError> {
        let threads = rayon::current_num_threads().min(jobs.len()).max(1);
        let lanes = jobs.len().div_ceil(threads).min(LANES);
        let shared = Shared::new(self, world, jobs, options, stop, frames);
        let failure = Mutex::new(None);
        rayon::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|_| {
                    let driven = Worker::new(&shared, lanes).and_then(|worker| worker.run(None));
                    if let Err(e) = driven {
                        *failure.lock().expect("no thread panics while it stores") = Some(e);
                    }
                });
            }
        });
        if let Some(e) = failure.into_inner().expect("no thread panicked") {
            return Err(e);
        }
        let outcomes = shared.outcomes.into_inner().expect("no thread panicked");
        Ok(if stop.is_set() { None } else { Some(outcomes) })
    }

    /// Drives one episode and calls `observer` at every step. The outcome is that of the steps
    /// until the end, or until the observer broke off; it is empty if interrupted.
    ///
    /// # Errors
    /// If the environment cannot be made or refuses a call, or if the observer fails.
    pub fn watch(
        &self,
        world: &World,
        job: Job<'_>,
        stop: &Interrupt,
        observer: Observer<'_>,
    ) -> Result<Outcome, DriveError> {
        let (jobs, frames) = ([job], AtomicU64::new(0));
        let shared = Shared::new(self, world, &jobs, DriveOptions::default(), stop, &frames);
        Worker::new(&shared, 1)?.run(Some(observer))?;
        Ok(shared.outcomes.into_inner().expect("single thread")[0])
    }
}

impl<'a> Shared<'a> {
    fn new(
        model: &'a ActingModel,
        world: &'a World,
        jobs: &'a [Job<'a>],
        options: DriveOptions,
        stop: &'a Interrupt,
        frames: &'a AtomicU64,
    ) -> Self {
        Self {
            model,
            world,
            jobs,
            options,
            stop,
            frames,
            next_job: AtomicUsize::new(0),
            outcomes: Mutex::new(vec![Outcome::default(); jobs.len()]),
        }
    }

    /// A job that no thread has started; `None` if there is none left, or if interrupted.
    fn take_job(&self) -> Option<usize> {
        let job = self.next_job.fetch_add(1, Ordering::Relaxed);
        (job < self.jobs.len() && !self.stop.is_set()).then_some(job)
    }

    fn store(&self, job: usize, outcome: Outcome) {
        self.outcomes
            .lock()
            .expect("no thread panics while it stores")[job] = outcome;
    }
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>, lanes: usize) -> Result<Self, DriveError> {
        let mut idle = Vec::with_capacity(lanes);
        for _ in 0..lanes {
            idle.push(shared.world.make()?);
        }
        let buffers = Buffers::new(shared.model, lanes, idle[0].observation_space().len());
        Ok(Self {
            shared,
            idle,
            lanes: Vec::with_capacity(lanes),
            buffers,
        })
    }

    /// Drives jobs until none is left.
    fn run(mut self, mut observer: Option<Observer<'_>>) -> Result<(), DriveError> {
        loop {
            self.start_episodes()?;
            if self.lanes.is_empty() || self.shared.stop.is_set() {
                return Ok(());
            }
            self.shared
                .frames
                .fetch_add(self.lanes.len() as u64, Ordering::Relaxed);
            self.choose_actions()?;
            if let Some(observe) = observer.as_mut()
                && observe(self.view())?.is_break()
            {
                let lane = &self.lanes[0];
                self.shared.store(lane.job, lane.outcome);
                return Ok(());
            }
            self.step_memory()?;
            self.step_environments()?;
        }
    }

    /// Gives every idle environment the next job. One for which there is none is dropped.
    fn start_episodes(&mut self) -> Result<(), DriveError> {
        while let Some(mut env) = self.idle.pop() {
            let Some(job) = self.shared.take_job() else {
                break;
            };
            let Job { controller, seed } = self.shared.jobs[job];
            let (lane, rows) = (self.lanes.len(), &mut self.buffers);
            let frame = &mut rows.frames[row(lane, rows.frame_len)];
            env.reset(seed, ObservationMut::Frame(frame))?;
            rows.states[row(lane, rows.state_len)].fill(0.0);
            self.lanes.push(Lane {
                job,
                controller,
                outcome: Outcome::default(),
                env,
            });
        }
        Ok(())
    }

    /// Frames → V → z (or the memory's draws) → C → actions, for all lanes.
    fn choose_actions(&mut self) -> Result<(), DriveError> {
        let Shared {
            model,
            jobs,
            options,
            ..
        } = *self.shared;
        let (n, rows) = (self.lanes.len(), &mut self.buffers);
        model.encoder.encode(
            &mut rows.vision,
            &rows.frames[..n * rows.frame_len],
            &mut rows.latents[..n * rows.latent_len],
        );
        if let Some(blackout) = options.blackout {
            let running = self
                .lanes
                .iter()
                .enumerate()
                .map(|(row, lane)| BlackoutRow {
                    row,
                    track: jobs[lane.job].seed,
                    step: lane.outcome.steps,
                });
            blackout.fill(
                model.memory.as_ref(),
                running,
                &rows.states,
                &mut rows.latents,
                rows.latent_len,
                &mut rows.memory,
            )?;
        }
        for (i, lane) in self.lanes.iter().enumerate() {
            let z = &rows.latents[row(i, rows.latent_len)];
            let h = model.memory.hidden(&rows.states[row(i, rows.state_len)]);
            let action = &mut rows.actions[row(i, rows.action_len)];
            lane.controller.outputs(z, h, action);
            model.actions.squash(action);
        }
        Ok(())
    }

    /// What an observer sees: the first lane, before its environment moves on.
    fn view(&mut self) -> View<'_> {
        let (lane, rows) = (&mut self.lanes[0], &self.buffers);
        View {
            frame: &rows.frames[..rows.frame_len],
            latent: &rows.latents[..rows.latent_len],
            action: &rows.actions[..rows.action_len],
            score: lane.outcome.score,
            env: lane.env.as_mut(),
        }
    }

    /// Sends the actions ahead, so that an environment in another process works while M does, and
    /// steps M.
    fn step_memory(&mut self) -> Result<(), DriveError> {
        let model = self.shared.model;
        let (n, rows) = (self.lanes.len(), &mut self.buffers);
        let actions = &rows.actions[..n * rows.action_len];
        let mut index = [0.0];
        for (lane, action) in self
            .lanes
            .iter_mut()
            .zip(actions.chunks_exact(rows.action_len))
        {
            lane.env.begin(model.actions.for_env(action, &mut index))?;
        }
        model.memory.step(
            n,
            &rows.latents[..n * rows.latent_len],
            actions,
            &mut rows.states[..n * rows.state_len],
            &mut rows.memory,
        );
        Ok(())
    }

    /// Steps the environments of all lanes and retires the episodes that end.
    fn step_environments(&mut self) -> Result<(), DriveError> {
        let mut index = [0.0];
        // From the last lane down: a finished lane is replaced by the last one, which was already
        // stepped in this pass.
        for i in (0..self.lanes.len()).rev() {
            let (lane, rows) = (&mut self.lanes[i], &mut self.buffers);
            let frame = &mut rows.frames[row(i, rows.frame_len)];
            let action = &rows.actions[row(i, rows.action_len)];
            let action = self.shared.model.actions.for_env(action, &mut index);
            let step = lane.env.step(action, ObservationMut::Frame(frame))?;
            if lane.count(step, self.shared.options) {
                self.retire(i);
            }
        }
        Ok(())
    }

    /// Stores the outcome of lane `i` and moves the last lane into its place.
    fn retire(&mut self, i: usize) {
        let lane = self.lanes.swap_remove(i);
        self.shared.store(lane.job, lane.outcome);
        self.idle.push(lane.env);
        self.buffers.move_row(self.lanes.len(), i);
    }
}

impl Buffers {
    /// Buffers of `lanes` rows for the sizes of `model` and frames of `frame_len` bytes.
    fn new(model: &ActingModel, lanes: usize, frame_len: usize) -> Self {
        let latent_len = model.latent;
        let action_len = model.actions.width();
        let state_len = model.memory.state_len();
        Self {
            frames: vec![0; lanes * frame_len],
            latents: vec![0.0; lanes * latent_len],
            actions: vec![0.0; lanes * action_len],
            states: vec![0.0; lanes * state_len],
            frame_len,
            latent_len,
            action_len,
            state_len,
            vision: vision::EncoderScratch::default(),
            memory: memory::Scratch::default(),
        }
    }

    /// Copies what an episode carries from step to step: its frame and the memory's state.
    fn move_row(&mut self, from: usize, to: usize) {
        self.frames
            .copy_within(row(from, self.frame_len), to * self.frame_len);
        self.states
            .copy_within(row(from, self.state_len), to * self.state_len);
    }
}

impl Lane<'_> {
    /// Adds a step to the outcome. Returns whether the episode is over or given up.
    fn count(&mut self, step: Step, options: DriveOptions) -> bool {
        let spec = self.env.spec();
        self.outcome.add(step, spec);
        if step.done() {
            return true;
        }
        let given_up = self.outcome.progress.is_some()
            && options
                .give_up_after
                .is_some_and(|n| self.outcome.stalled >= n);
        if given_up && let (Some(cost), Some(most)) = (spec.stall_cost, spec.max_steps) {
            self.outcome.fitness -= cost * f64::from(most.saturating_sub(self.outcome.steps));
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frmdn_car_racing::CarRacingConfig;

    /// Tiles in steps 1 and 50, a stop from step 51 on.
    #[test]
    fn standing_still_and_getting_nowhere_are_counted_to_the_end() {
        let spec = CarRacingConfig::default().spec();
        let mut outcome = Outcome::default();
        let mut drive = |steps: std::ops::Range<u32>, tiles: f64, still: bool| {
            for _ in steps {
                let still = f64::from(u8::from(still));
                let step = Step {
                    reward: -0.1,
                    terminated: false,
                    truncated: false,
                    measured: Measured::new(&[tiles, 9.0, 0.0, 1.0 - still, still]),
                };
                outcome.add(step, &spec);
            }
            (
                outcome.stalled,
                outcome.still,
                outcome.ended_without_progress(),
                outcome.ended_at_standstill(),
            )
        };
        assert_eq!(drive(1..50, 1.0, false), (48, 0, false, false));
        assert_eq!(drive(50..51, 2.0, false), (0, 0, false, false));
        assert_eq!(drive(51..150, 2.0, true), (99, 99, false, false));
        assert_eq!(drive(150..151, 2.0, true), (100, 100, true, true));
        // It moves again, and still finds no tile.
        assert_eq!(drive(151..152, 2.0, false), (101, 0, true, false));
    }
}
