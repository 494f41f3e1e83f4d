//! gym-rs's environments as ours.

use std::{
    fmt,
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
};

use frmdn_env::{
    ActionSpace, Env, EnvError, EnvSpec, Measured, ObservationMut, ObservationSpace, Picture, Step,
};
use gym_rs::{
    core::{Env as Theirs, EnvProperties},
    envs::classical_control::{cartpole::CartPoleEnv, mountain_car::MountainCarEnv},
    spaces::Discrete,
    utils::{custom::traits::Sample, renderer::RenderMode},
};

/// An environment of gym-rs with discrete actions.
///
/// gym-rs's environments hold the handle of a window and cannot be sent to another thread, so each
/// runs in its own thread. gym-rs has no limit on steps; here episodes are truncated after a given
/// number. Nothing is drawn, and [`Env::picture`] is `None`.
pub struct FromGymRs {
    spec: EnvSpec,
    width: usize,
    max_steps: u32,
    /// Steps since reset; `None` if no episode is running.
    steps: Option<u32>,
    /// Dropping the sender ends the thread.
    requests: Option<Sender<Request>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

enum Request {
    Reset(u64),
    Step(usize),
}

struct Answer {
    observation: Vec<f64>,
    reward: f64,
    done: bool,
}

/// gym-rs's cart pole: keep the pole upright; truncated after 500 steps.
pub fn cart_pole() -> FromGymRs {
    FromGymRs::new(|| CartPoleEnv::new(RenderMode::None), 500)
}

/// gym-rs's mountain car: drive up the hill; truncated after 200 steps.
pub fn mountain_car() -> FromGymRs {
    FromGymRs::new(|| MountainCarEnv::new(RenderMode::None), 200)
}

impl FromGymRs {
    /// The environment that `make` makes; episodes are truncated after `max_steps` steps.
    ///
    /// # Panics
    /// If `make` panics.
    pub fn new<E>(make: impl FnOnce() -> E + Send + 'static, max_steps: u32) -> Self
    where
        E: Theirs<Action = usize> + EnvProperties<ActionSpace = Discrete>,
        E::Observation: Sample + Into<Vec<f64>>,
    {
        let (requests, inbox) = channel();
        let (outbox, answers) = channel();
        let (spaces_sender, spaces) = channel();
        let thread = std::thread::spawn(move || {
            let mut env = make();
            let Discrete(actions) = *env.action_space();
            let first: Vec<f64> = env.reset(Some(0), false, None).0.into();
            // Fails if the adapter was dropped; there is no receiver then.
            let _ = spaces_sender.send((actions, first.len()));
            for request in inbox {
                let answer = match request {
                    Request::Reset(seed) => Answer {
                        observation: env.reset(Some(seed), false, None).0.into(),
                        reward: 0.0,
                        done: false,
                    },
                    Request::Step(action) => {
                        let taken = env.step(action);
                        Answer {
                            observation: taken.observation.into(),
                            reward: *taken.reward,
                            done: taken.done,
                        }
                    }
                };
                if outbox.send(answer).is_err() {
                    return;
                }
            }
        });
        let (actions, width) = spaces
            .recv()
            .expect("making the environment does not panic");
        let spaces = (
            ActionSpace::Discrete(actions),
            ObservationSpace::Latent(width),
        );
        let spec = EnvSpec {
            max_steps: Some(max_steps),
            ..EnvSpec::new("gym-rs", spaces.0, spaces.1)
        };
        Self {
            spec,
            width,
            max_steps,
            steps: None,
            requests: Some(requests),
            answers,
            thread: Some(thread),
        }
    }

    fn ask(&self, request: Request) -> Result<Answer, EnvError> {
        let gone = || EnvError::other("the environment of gym-rs panicked");
        self.requests
            .as_ref()
            .ok_or_else(gone)?
            .send(request)
            .map_err(|_| gone())?;
        self.answers.recv().map_err(|_| gone())
    }
}

impl fmt::Debug for FromGymRs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromGymRs")
            .field("action_space", &self.spec.actions)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Drop for FromGymRs {
    fn drop(&mut self) {
        self.requests = None;
        // A panic in the thread was already returned as an error.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn write(values: &[f64], out: &mut [f32]) {
    out.iter_mut()
        .zip(values)
        .for_each(|(out, &value)| *out = value as f32);
}

impl Env for FromGymRs {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let out = observation.latent(self.width)?;
        self.steps = None;
        write(&self.ask(Request::Reset(seed))?.observation, out);
        self.steps = Some(0);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let before = self.steps.ok_or(EnvError::NeedsReset)?;
        self.spec.actions.check(action)?;
        let out = observation.latent(self.width)?;
        let Answer {
            observation,
            reward,
            done,
        } = self.ask(Request::Step(action[0] as usize))?;
        write(&observation, out);
        let steps = before + 1;
        let truncated = steps >= self.max_steps;
        self.steps = (!done && !truncated).then_some(steps);
        Ok(Step {
            reward,
            terminated: done,
            truncated,
            measured: Measured::default(),
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        None
    }
}
