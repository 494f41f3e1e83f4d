//! One environment of a fleet, behind the trait.

use std::sync::Arc;

use frmdn_env::{
    ActionSpace, Env, EnvError, Info, ObservationMut, ObservationSpace, Picture, Step,
};

use crate::{
    Fleet, GymError, GymSpec,
    fleet::Lease,
    process::Pending,
    protocol::{Request, Stepped},
};

/// An environment of Gymnasium.
///
/// [`Env::begin`] sends an action without waiting for its outcome, so that many environments can be
/// at work at once. If the process ends or hangs, another is started and the episode is played
/// again, once an episode, up to the step that was lost.
pub struct GymEnv {
    fleet: Arc<Fleet>,
    /// `None` only for a moment while another one is sought.
    lease: Option<Lease>,
    spec: Arc<GymSpec>,
    /// The last frame, as the environment gave it.
    frame: Vec<u8>,
    episode: Option<Episode>,
    /// The action that was sent ahead, and its outcome to come.
    begun: Option<(Vec<f32>, Pending)>,
}

/// All that is needed to play an episode again.
struct Episode {
    seed: u64,
    actions: Vec<f32>,
    rewards: Vec<f64>,
    running: bool,
    /// A server was lost in this episode already.
    lost: bool,
}

fn failed(error: GymError) -> EnvError {
    EnvError::Other(error.to_string())
}

impl GymEnv {
    pub(crate) fn new(fleet: Arc<Fleet>, lease: Lease, spec: Arc<GymSpec>) -> Self {
        let (height, width, channels) = spec.frame;
        Self {
            fleet,
            lease: Some(lease),
            spec,
            frame: vec![0; height * width * channels],
            episode: None,
            begun: None,
        }
    }

    /// What the environment is.
    pub fn spec(&self) -> &GymSpec {
        &self.spec
    }

    /// The last frame as the environment gave it, `[height, width, channels]`; zeros before the
    /// first reset.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// What lies behind the frames of Car-Racing, see `probe` in `server.py`.
    pub fn probe(&self, what: &str) -> Result<Vec<u8>, GymError> {
        let Lease { server, slot } = self.lease();
        let body = [&slot.to_le_bytes(), what.as_bytes()].concat();
        server
            .send(Request::Probe, &body)?
            .wait(server, self.fleet.config().deadline)
    }

    fn lease(&self) -> &Lease {
        self.lease.as_ref().expect(
            "there is always one but while another is sought, which needs the whole of self",
        )
    }

    /// Starts the episode of `seed`; its frame.
    fn ask_reset(&mut self, seed: u64) -> Result<(), GymError> {
        let Lease { server, slot } = self.lease();
        let body = [&slot.to_le_bytes()[..], &seed.to_le_bytes()].concat();
        let frame = server
            .send(Request::Reset, &body)?
            .wait(server, self.fleet.config().deadline)?;
        self.keep(&frame)
    }

    fn send_step(&self, action: &[f32]) -> Result<Pending, GymError> {
        let Lease { server, slot } = self.lease();
        let body: Vec<u8> = slot
            .to_le_bytes()
            .into_iter()
            .chain(action.iter().flat_map(|a| a.to_le_bytes()))
            .collect();
        server.send(Request::Step, &body)
    }

    fn receive_step(&mut self, pending: Pending) -> Result<Stepped, GymError> {
        let server = self.lease().server.clone();
        let body = pending.wait(&server, self.fleet.config().deadline)?;
        let (stepped, frame) =
            Stepped::read(&body).ok_or_else(|| server.garbled("its step is too short".into()))?;
        self.keep(frame)?;
        Ok(stepped)
    }

    fn keep(&mut self, frame: &[u8]) -> Result<(), GymError> {
        if frame.len() != self.frame.len() {
            let what = format!(
                "a frame of {} bytes instead of {}",
                frame.len(),
                self.frame.len()
            );
            return Err(self.lease().server.garbled(what));
        }
        self.frame.copy_from_slice(frame);
        Ok(())
    }

    /// After `fault`: another server and the same episode up to the last step that was known.
    fn recover(&mut self, fault: GymError) -> Result<(), GymError> {
        let first = self.episode.as_ref().is_some_and(|e| !e.lost);
        if !fault.is_crash() || !first {
            return Err(fault);
        }
        tracing::warn!(
            "{fault}\nanother server is started and the episode played again up to here"
        );
        self.begun = None;
        self.lease = None;
        let (lease, _) = self.fleet.lease()?;
        self.lease = Some(lease);
        let Some(mut episode) = self.episode.take() else {
            return Err(fault);
        };
        episode.lost = true;
        let outcome = self.replay(&episode, &fault);
        self.episode = Some(episode);
        outcome
    }

    fn replay(&mut self, episode: &Episode, fault: &GymError) -> Result<(), GymError> {
        self.ask_reset(episode.seed)?;
        let width = self.spec.action_space.len();
        for (i, (action, reward)) in episode
            .actions
            .chunks_exact(width)
            .zip(&episode.rewards)
            .enumerate()
        {
            let stepped = self.send_step(action)?;
            let stepped = self.receive_step(stepped)?;
            if stepped.reward.to_bits() != reward.to_bits() || stepped.flags & 3 != 0 {
                let id = self.fleet.config().id.clone();
                return Err(GymError::Unrepeatable {
                    id,
                    seed: episode.seed,
                    step: i + 1,
                    fault: fault.to_string(),
                });
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut [u8]) {
        match &self.spec.view {
            Some(view) => view.write(&self.frame, out),
            None => out.copy_from_slice(&self.frame),
        }
    }

    fn advance(&mut self, action: &[f32]) -> Result<Stepped, GymError> {
        let sent = match self.begun.take() {
            Some((begun, pending)) => {
                if begun != action {
                    let why = format!("an action {action:?} after {begun:?} was begun");
                    return Err(GymError::Refused {
                        id: self.fleet.config().id.clone(),
                        why,
                    });
                }
                Ok(pending)
            }
            None => self.send_step(action),
        };
        match sent.and_then(|pending| self.receive_step(pending)) {
            Ok(stepped) => Ok(stepped),
            Err(fault) => {
                self.recover(fault)?;
                let pending = self.send_step(action)?;
                self.receive_step(pending)
            }
        }
    }
}

impl Env for GymEnv {
    fn action_space(&self) -> &ActionSpace {
        &self.spec.action_space
    }

    fn observation_space(&self) -> ObservationSpace {
        match &self.spec.view {
            Some(view) => ObservationSpace::Frame {
                height: view.side(),
                width: view.side(),
                channels: 3,
            },
            None => {
                let (height, width, channels) = self.spec.frame;
                ObservationSpace::Frame {
                    height,
                    width,
                    channels,
                }
            }
        }
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let out = observation.frame(self.observation_space().len())?;
        self.begun = None;
        self.episode = Some(Episode {
            seed,
            actions: Vec::new(),
            rewards: Vec::new(),
            running: false,
            lost: false,
        });
        if let Err(fault) = self.ask_reset(seed) {
            self.recover(fault).map_err(failed)?;
        }
        if let Some(episode) = &mut self.episode {
            episode.running = true;
        }
        self.write(out);
        Ok(())
    }

    fn begin(&mut self, action: &[f32]) -> Result<(), EnvError> {
        self.spec.action_space.check(action)?;
        if self.begun.is_none() && self.episode.as_ref().is_some_and(|e| e.running) {
            // What goes wrong here comes to light in the step.
            self.begun = self
                .send_step(action)
                .ok()
                .map(|pending| (action.to_vec(), pending));
        }
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        if !self.episode.as_ref().is_some_and(|e| e.running) {
            return Err(EnvError::NeedsReset);
        }
        self.spec.action_space.check(action)?;
        let out = observation.frame(self.observation_space().len())?;
        let outcome = self.advance(action);
        let episode = self.episode.as_mut().ok_or(EnvError::NeedsReset)?;
        episode.running = false;
        let stepped = outcome.map_err(failed)?;
        episode.actions.extend_from_slice(action);
        episode.rewards.push(stepped.reward);
        let [terminated, truncated, completed] = [1, 2, 4].map(|bit| stepped.flags & bit != 0);
        episode.running = !(terminated || truncated);
        let steps = u32::try_from(episode.rewards.len()).unwrap_or(u32::MAX);
        self.write(out);
        Ok(Step {
            reward: stepped.reward,
            terminated,
            truncated,
            info: Info {
                steps,
                progress: stepped.progress,
                completed,
                still: false,
            },
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        self.episode.as_ref()?;
        let (height, width, channels) = self.spec.frame;
        let pixels = self.frame.chunks_exact(channels);
        let rgb = pixels
            .flat_map(|p| {
                if channels == 1 {
                    [p[0]; 3]
                } else {
                    [p[0], p[1], p[2]]
                }
            })
            .collect();
        Some(Picture { width, height, rgb })
    }
}

impl Drop for GymEnv {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take().filter(|lease| lease.server.is_alive()) {
            self.fleet.release(lease);
        }
    }
}
