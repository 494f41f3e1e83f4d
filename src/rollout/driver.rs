//! The step loop: frame → V → [z, h] → C → action → environment, and (z, a) → M → the next h.
//!
//! All driving goes through it, whoever drives and whatever is recorded. Only parity's lockstep
//! ([`crate::parity`]), which compares two environments step by step, and the raw speed of
//! environments ([`crate::measure`]) have loops of their own.

use std::{
    ops::Range,
    slice::ChunksExact,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use frmdn_env::{Env, EnvError, ObservationMut, ObservationSpace, Step};

use super::{
    ActingModel, Blackout, Bursts, DriveError, Moment, OpenLoopDriver, Outcome, Policy, Seen,
    StartPoint, Watcher,
    blackout::{BlackoutRow, BlackoutScratch},
    planner::Planner,
};
use crate::{
    controller::{Actions, Controller},
    memory,
    run::Interrupt,
    vision,
    worlds::{Expert, World},
};

/// Largest number of episodes that one thread drives side by side: enough rows for efficient matrix
/// products, and few enough frames for the cache.
const LANES: usize = 16;

/// Drives episodes in a world.
#[derive(Clone, Copy)]
pub struct Driver<'a> {
    world: &'a World,
    model: Option<&'a ActingModel>,
    options: DriveOptions,
    stop: &'a Interrupt,
}

/// Who acts in an episode.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// C, on what the driver's model makes of the observations.
    Controller(&'a Controller),
    /// C acts, and a planner, whose random numbers are a function of this root seed and of the seed
    /// of the episode, looks on ([`Moment::values`]).
    Watched(&'a Controller, u64),
    /// C acts, interrupted by bursts of held actions, a function of this root seed and of the seed of
    /// the episode.
    Disturbed(&'a Controller, u64),
    /// Recorded actions first, `[steps, width]` in the agent's form, and C after them.
    After(&'a [f32], &'a Controller),
    /// A policy that needs no model. Its random numbers are a function of this root seed and of the
    /// seed of the episode.
    Policy(Policy, u64),
    /// Recorded actions `[steps, width]` in the agent's form, one after the other; the last one
    /// again where they are too few.
    Recorded(&'a [f32]),
}

/// One episode to drive.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Who acts.
    pub who: Who<'a>,
    /// Seed of the environment.
    pub seed: u64,
    /// Where it begins, if not at its beginning.
    pub from: Option<&'a StartPoint>,
}

impl<'a> Job<'a> {
    /// The episode of `seed`, in which `who` acts.
    pub fn of(who: impl Into<Who<'a>>, seed: u64) -> Self {
        Self {
            who: who.into(),
            seed,
            from: None,
        }
    }
}

impl<'a> From<&'a Controller> for Who<'a> {
    fn from(controller: &'a Controller) -> Self {
        Self::Controller(controller)
    }
}

/// Options of a [`Driver`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DriveOptions {
    /// Ends an episode after this many steps without progress. For training only, never for a
    /// reported score. One that was given up is charged what the environment says that a step
    /// without progress costs ([`frmdn_env::EnvSpec::stall_cost`]), for each step that remains.
    /// Without effect where the environment measures no progress.
    pub give_up_after: Option<u32>,
    /// Ends an episode after this many steps. For training only.
    pub most_steps: Option<u32>,
    /// Steps whose latent is withheld and drawn by the memory, which must be able to predict.
    pub blackout: Option<Blackout>,
}

impl<'a> Driver<'a> {
    /// Drives in `world` without a model, until `stop` is set.
    pub fn new(world: &'a World, stop: &'a Interrupt) -> Self {
        Self {
            world,
            model: None,
            options: DriveOptions::default(),
            stop,
        }
    }

    /// The same with V and M of `model`, which follow every episode, whoever acts.
    #[must_use]
    pub fn with_model(self, model: &'a ActingModel) -> Self {
        Self {
            model: Some(model),
            ..self
        }
    }

    /// The same with these options.
    #[must_use]
    pub fn with_options(self, options: DriveOptions) -> Self {
        Self { options, ..self }
    }

    /// Drives all `jobs` on all threads of the current rayon pool. Returns one outcome per job, in
    /// order, or `None` if interrupted.
    ///
    /// # Errors
    /// If an environment cannot be made or refuses a call, if a driver does not fit the world or
    /// has no model, or if the memory cannot fill a blackout.
    pub fn drive(&self, jobs: &[Job<'_>]) -> Result<Option<Vec<Outcome>>, DriveError> {
        let threads = rayon::current_num_threads().min(jobs.len()).max(1);
        let lanes = jobs.len().div_ceil(threads).min(LANES);
        let shared = Shared::new(self, jobs)?;
        let failure = Mutex::new(None);
        rayon::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|_| {
                    if let Err(e) = Worker::new(&shared, lanes).run(None) {
                        shared.failed.store(true, Ordering::Relaxed);
                        *failure.lock().expect("no thread panics while it stores") = Some(e);
                    }
                });
            }
        });
        if let Some(e) = failure.into_inner().expect("no thread panicked") {
            return Err(e);
        }
        let outcomes = shared.outcomes.into_inner().expect("no thread panicked");
        let outcomes = (!self.stop.is_set()).then_some(outcomes);
        Ok(outcomes)
    }

    /// Drives one episode while `watcher` looks on. The outcome is that of the steps until the end,
    /// or until the watcher broke off; it is empty if interrupted.
    ///
    /// # Errors
    /// As those of [`Driver::drive`], and if the watcher fails.
    pub fn watch(&self, job: Job<'_>, watcher: &mut dyn Watcher) -> Result<Outcome, DriveError> {
        let jobs = [job];
        let shared = Shared::new(self, &jobs)?;
        Worker::new(&shared, 1).run(Some(watcher))?;
        Ok(shared.outcomes.into_inner().expect("single thread")[0])
    }
}

/// What the threads of one call share.
struct Shared<'a> {
    driver: &'a Driver<'a>,
    jobs: &'a [Job<'a>],
    /// How actions become those of the environment.
    actions: Actions,
    observation: ObservationSpace,
    /// Number of the first job that no thread has started.
    next_job: AtomicUsize,
    /// One per job.
    outcomes: Mutex<Vec<Outcome>>,
    /// A thread has failed: the others need not go on.
    failed: AtomicBool,
}

/// A thread and the episodes that it drives side by side, one per lane.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    /// Most lanes.
    most: usize,
    /// Environments without an episode.
    idle: Vec<Box<dyn Env>>,
    lanes: Vec<Lane<'a>>,
    buffers: Buffers,
}

/// A running episode.
struct Lane<'a> {
    job: usize,
    actor: Actor<'a>,
    seat: Seat,
    outcome: Outcome,
}

/// Who acts, with what changes from step to step.
enum Actor<'a> {
    Controller(&'a Controller, Company<'a>),
    OpenLoop(OpenLoopDriver),
    Planner(Box<Planner>),
    /// The one in [`Seat::Expert`].
    Expert,
    Recorded(ChunksExact<'a, f32>),
}

/// Who is beside C.
enum Company<'a> {
    Nobody,
    /// A planner that looks on.
    Planner(Box<Planner>),
    /// Bursts that interrupt it.
    Bursts(Box<Bursts>),
    /// Recorded actions that are taken first.
    Recorded(ChunksExact<'a, f32>),
}

/// An environment, or one with the driver that belongs to it.
enum Seat {
    Plain(Box<dyn Env>),
    Expert(Box<dyn Expert>),
}

impl Seat {
    fn env(&mut self) -> &mut dyn Env {
        match self {
            Self::Plain(env) => env.as_mut(),
            Self::Expert(expert) => expert.env(),
        }
    }
}

/// Buffers of one thread. Row i of each belongs to lane i.
struct Buffers {
    /// Observations that are frames.
    frames: Vec<u8>,
    /// Observations that are latents, or what V makes of frames.
    latents: Vec<f32>,
    actions: Vec<f32>,
    states: Vec<f32>,
    frame_len: usize,
    latent_len: usize,
    action_len: usize,
    state_len: usize,
    vision: vision::EncoderScratch,
    memory: memory::Scratch,
    blackout: BlackoutScratch,
}

/// The places of row `i` in a buffer with rows of `len` values.
fn row(i: usize, len: usize) -> Range<usize> {
    i * len..(i + 1) * len
}

impl<'a> Shared<'a> {
    fn new(driver: &'a Driver<'a>, jobs: &'a [Job<'a>]) -> Result<Self, DriveError> {
        let spec = driver.world.spec()?;
        let by_controller = |job: &Job<'_>| !matches!(job.who, Who::Policy(..) | Who::Recorded(_));
        if driver.model.is_none() && jobs.iter().any(by_controller) {
            return Err(DriveError::NoModel);
        }
        Ok(Self {
            driver,
            jobs,
            actions: match driver.model {
                Some(model) => model.actions.clone(),
                None => Actions::of(&spec),
            },
            observation: spec.observation,
            next_job: AtomicUsize::new(0),
            outcomes: Mutex::new(vec![Outcome::default(); jobs.len()]),
            failed: AtomicBool::new(false),
        })
    }

    /// Whether nothing is to be driven any more.
    fn is_over(&self) -> bool {
        self.driver.stop.is_set() || self.failed.load(Ordering::Relaxed)
    }

    /// A job that no thread has started; `None` if there is none left, or if interrupted.
    fn take_job(&self) -> Option<usize> {
        let job = self.next_job.fetch_add(1, Ordering::Relaxed);
        (job < self.jobs.len() && !self.is_over()).then_some(job)
    }

    fn store(&self, job: usize, outcome: Outcome) {
        self.outcomes
            .lock()
            .expect("no thread panics while it stores")[job] = outcome;
    }
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>, lanes: usize) -> Self {
        Self {
            shared,
            most: lanes,
            idle: Vec::with_capacity(lanes),
            lanes: Vec::with_capacity(lanes),
            buffers: Buffers::new(shared, lanes),
        }
    }

    /// Drives jobs until none is left.
    fn run(mut self, mut watcher: Option<&mut dyn Watcher>) -> Result<(), DriveError> {
        loop {
            self.start_episodes()?;
            if self.lanes.is_empty() || self.shared.is_over() {
                return Ok(());
            }
            self.choose_actions()?;
            if let Some(watcher) = &mut watcher
                && watcher.before(self.moment(0))?.is_break()
            {
                self.retire(0);
                continue;
            }
            self.step_memory()?;
            self.step_environments(&mut watcher)?;
        }
    }

    /// Begins episodes until every lane has one or no job is left; environments without one are
    /// then dropped.
    fn start_episodes(&mut self) -> Result<(), DriveError> {
        let model = self.shared.driver.model;
        while self.lanes.len() < self.most {
            let Some(job) = self.shared.take_job() else {
                self.idle.clear();
                break;
            };
            let Job { who, seed, from } = self.shared.jobs[job];
            let (actor, mut seat) = self.seat(who, seed)?;
            let lane = self.lanes.len();
            match from {
                Some(start) => {
                    seat.env().restore(&start.snapshot)?;
                    seat.env().reseed(start.chances);
                    self.buffers.begin_at(lane, start);
                }
                None => {
                    seat.env().reset(seed, self.buffers.observation(lane))?;
                    self.buffers.remember(lane, seat.env(), model)?;
                }
            }
            self.lanes.push(Lane {
                job,
                actor,
                seat,
                outcome: Outcome::default(),
            });
        }
        Ok(())
    }

    /// Whoever acts in the episode of `seed`, and an environment for it.
    fn seat(&mut self, who: Who<'a>, seed: u64) -> Result<(Actor<'a>, Seat), DriveError> {
        let (world, actions) = (self.shared.driver.world, &self.shared.actions);
        let actor = match who {
            Who::Policy(Policy::Scripted { noise }, root) => {
                let expert = world.expert(noise, root, seed)?;
                return Ok((Actor::Expert, Seat::Expert(expert)));
            }
            Who::Policy(Policy::Planner { noise }, root) => {
                let ahead = world.make()?;
                Actor::Planner(Box::new(Planner::new(ahead, noise, root, seed)?))
            }
            Who::Policy(Policy::OpenLoop(policy), root) => {
                Actor::OpenLoop(policy.driver(actions, root, seed))
            }
            Who::Controller(controller) => Actor::Controller(controller, Company::Nobody),
            Who::After(recorded, controller) => {
                let recorded = recorded.chunks_exact(actions.width());
                Actor::Controller(controller, Company::Recorded(recorded))
            }
            Who::Disturbed(controller, root) => {
                let bursts = Bursts::new(actions, root, seed);
                Actor::Controller(controller, Company::Bursts(Box::new(bursts)))
            }
            Who::Watched(controller, root) => {
                let ahead = world.make()?;
                let planner = Planner::new(ahead, 0.0, root, seed)?;
                Actor::Controller(controller, Company::Planner(Box::new(planner)))
            }
            Who::Recorded(recorded) => Actor::Recorded(recorded.chunks_exact(actions.width())),
        };
        let env = match self.idle.pop() {
            Some(env) => env,
            None => world.make()?,
        };
        Ok((actor, Seat::Plain(env)))
    }

    /// Frames → V → z (or the memory's draws) → C → actions, for all lanes.
    fn choose_actions(&mut self) -> Result<(), DriveError> {
        let (n, rows) = (self.lanes.len(), &mut self.buffers);
        let model = self.shared.driver.model;
        if let Some(encoder) = model.and_then(|model| model.encoder.as_ref()) {
            encoder.encode(
                &mut rows.vision,
                &rows.frames[..n * rows.frame_len],
                &mut rows.latents[..n * rows.latent_len],
            );
        }
        if let (Some(model), Some(blackout)) = (model, self.shared.driver.options.blackout) {
            let lanes = self.lanes.iter().enumerate();
            let running = lanes.map(|(row, lane)| BlackoutRow {
                row,
                track: self.shared.jobs[lane.job].seed,
                step: lane.outcome.steps,
            });
            blackout.fill(
                model.memory.as_ref(),
                running,
                &rows.states,
                &mut rows.latents,
                rows.latent_len,
                &mut rows.blackout,
            )?;
        }
        for (i, lane) in self.lanes.iter_mut().enumerate() {
            let action = &mut rows.actions[row(i, rows.action_len)];
            match (&mut lane.actor, &mut lane.seat, model) {
                (Actor::Controller(controller, company), Seat::Plain(env), Some(model)) => {
                    if let Company::Planner(planner) = company {
                        planner.look(env.as_ref())?;
                    }
                    let z = &rows.latents[row(i, rows.latent_len)];
                    let h = model.memory.hidden(&rows.states[row(i, rows.state_len)]);
                    controller.outputs(z, h, action);
                    let Job { seed, from, .. } = self.shared.jobs[lane.job];
                    let seed = seed ^ from.map_or(0, |start| start.chances);
                    controller.draw(seed, lane.outcome.steps.into(), action);
                    model.actions.squash(action);
                    match company {
                        Company::Bursts(bursts) => bursts.interrupt(action),
                        Company::Recorded(recorded) => {
                            if let Some(recorded) = recorded.next() {
                                action.copy_from_slice(recorded);
                            }
                        }
                        Company::Nobody | Company::Planner(_) => {}
                    }
                }
                (Actor::Expert, Seat::Expert(expert), _) => expert.act(action)?,
                (Actor::Planner(planner), Seat::Plain(env), _) => {
                    let planned = planner.act(env.as_ref())?;
                    let own = self.shared.actions.of_env(&planned);
                    action.copy_from_slice(&own.expect("an action of the environment"));
                }
                (Actor::OpenLoop(driver), ..) => driver.act(action),
                (Actor::Recorded(recorded), ..) => {
                    if let Some(recorded) = recorded.next() {
                        action.copy_from_slice(recorded);
                    }
                }
                _ => unreachable!("controllers have a model, and experts their seat"),
            }
        }
        Ok(())
    }

    /// What is seen of lane `i` before its environment moves on.
    fn moment(&mut self, i: usize) -> Moment<'_> {
        let (lane, rows) = (&mut self.lanes[i], &self.buffers);
        Moment {
            env: lane.seat.env(),
            seen: rows.seen(i),
            latent: &rows.latents[row(i, rows.latent_len)],
            state: &rows.states[row(i, rows.state_len)],
            action: &rows.actions[row(i, rows.action_len)],
            values: match &lane.actor {
                Actor::Planner(planner) | Actor::Controller(_, Company::Planner(planner)) => {
                    planner.values()
                }
                _ => &[],
            },
            outcome: &lane.outcome,
        }
    }

    /// Sends the actions ahead, so that an environment in another process works while M does, and
    /// steps M.
    fn step_memory(&mut self) -> Result<(), DriveError> {
        let Some(model) = self.shared.driver.model else {
            return Ok(());
        };
        let (n, rows) = (self.lanes.len(), &mut self.buffers);
        let actions = &rows.actions[..n * rows.action_len];
        let mut index = [0.0];
        let each = actions.chunks_exact(rows.action_len);
        for (lane, action) in self.lanes.iter_mut().zip(each) {
            let action = model.actions.for_env(action, &mut index);
            lane.seat.env().begin(action)?;
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
    fn step_environments(
        &mut self,
        watcher: &mut Option<&mut dyn Watcher>,
    ) -> Result<(), DriveError> {
        let mut index = [0.0];
        // From the last lane down: a finished lane is replaced by the last one, which was already
        // stepped in this pass.
        for i in (0..self.lanes.len()).rev() {
            let (lane, rows) = (&mut self.lanes[i], &mut self.buffers);
            let (action, seen) = rows.action_and_observation(i);
            let action = self.shared.actions.for_env(action, &mut index);
            let step = lane.seat.env().step(action, seen)?;
            let over = lane.count(step, self.shared.driver.options);
            if let Some(watcher) = watcher {
                watcher.after(&step, rows.seen(i))?;
            }
            if over {
                self.retire(i);
            }
        }
        Ok(())
    }

    /// Stores the outcome of lane `i` and moves the last lane into its place.
    fn retire(&mut self, i: usize) {
        let lane = self.lanes.swap_remove(i);
        self.shared.store(lane.job, lane.outcome);
        if let Seat::Plain(env) = lane.seat {
            self.idle.push(env);
        }
        self.buffers.move_row(self.lanes.len(), i);
    }
}

impl Buffers {
    /// Buffers of `lanes` rows.
    fn new(shared: &Shared<'_>, lanes: usize) -> Self {
        let (frame_len, observed) = match shared.observation {
            ObservationSpace::Frame { .. } => (shared.observation.len(), 0),
            ObservationSpace::Latent(len) => (0, len),
        };
        let (latent_len, state_len) = match shared.driver.model {
            Some(model) => (model.latent, model.memory.state_len()),
            None => (observed, 0),
        };
        let action_len = shared.actions.width();
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
            blackout: BlackoutScratch::default(),
        }
    }

    /// Where the environment of lane `i` writes its observation.
    fn observation(&mut self, i: usize) -> ObservationMut<'_> {
        self.action_and_observation(i).1
    }

    /// The action of lane `i`, and where its environment writes its observation.
    fn action_and_observation(&mut self, i: usize) -> (&[f32], ObservationMut<'_>) {
        let seen = if self.frame_len > 0 {
            ObservationMut::Frame(&mut self.frames[row(i, self.frame_len)])
        } else {
            ObservationMut::Latent(&mut self.latents[row(i, self.latent_len)])
        };
        (&self.actions[row(i, self.action_len)], seen)
    }

    /// M of lane `i` begins, with what led to the first observation of `env`.
    fn remember(
        &mut self,
        i: usize,
        env: &dyn Env,
        model: Option<&ActingModel>,
    ) -> Result<(), DriveError> {
        let state = &mut self.states[row(i, self.state_len)];
        state.fill(0.0);
        let Some(model) = model else {
            return Ok(());
        };
        let history = env.history();
        let latents = history.latents.chunks_exact(self.latent_len);
        let actions = history.actions.chunks_exact(env.action_space().len());
        for (latent, action) in latents.zip(actions) {
            let action = model.actions.of_env(action).map_err(EnvError::other)?;
            (model.memory).step(1, latent, &action, state, &mut self.memory);
        }
        Ok(())
    }

    /// Lane `i` begins at `start`.
    fn begin_at(&mut self, i: usize, start: &StartPoint) {
        if self.frame_len > 0 {
            self.frames[row(i, self.frame_len)].copy_from_slice(&start.frame);
        } else {
            self.latents[row(i, self.latent_len)].copy_from_slice(&start.latent);
        }
        self.states[row(i, self.state_len)].copy_from_slice(&start.state);
    }

    /// The observation of lane `i`.
    fn seen(&self, i: usize) -> Seen<'_> {
        if self.frame_len > 0 {
            Seen::Frame(&self.frames[row(i, self.frame_len)])
        } else {
            Seen::Latent(&self.latents[row(i, self.latent_len)])
        }
    }

    /// Copies what an episode carries from step to step: its observation and the memory's state.
    fn move_row(&mut self, from: usize, to: usize) {
        let frame = row(from, self.frame_len);
        self.frames.copy_within(frame, to * self.frame_len);
        let latent = row(from, self.latent_len);
        self.latents.copy_within(latent, to * self.latent_len);
        let state = row(from, self.state_len);
        self.states.copy_within(state, to * self.state_len);
    }
}

impl Lane<'_> {
    /// Adds a step to the outcome. Returns whether the episode is over or given up.
    fn count(&mut self, step: Step, options: DriveOptions) -> bool {
        let spec = self.seat.env().spec();
        self.outcome.add(step, spec);
        let over = options.most_steps;
        if step.done() || over.is_some_and(|most| self.outcome.steps >= most) {
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
