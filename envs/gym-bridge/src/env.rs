//! One environment of a fleet, as an [`Env`].

use std::sync::Arc;

use frmdn_env::{Env, EnvError, EnvSpec, ObservationMut, Picture, Step};

use crate::{
    Fleet, GymError, GymSpec,
    fleet::EnvSlot,
    process::Pending,
    protocol::{Request, Stepped},
};

/// An environment of Gymnasium.
///
/// [`Env::begin`] sends an action without waiting for its outcome, so that many environments can
/// work at the same time. If the process ends or hangs, another one is started and the episode is
/// played again up to the lost step; this is done once per episode.
pub struct GymEnv {
    fleet: Arc<Fleet>,
    /// `None` only while a replacement is started.
    slot: Option<EnvSlot>,
    spec: Arc<GymSpec>,
    /// The last whole frame.
    frame: Vec<u8>,
    episode: Option<Episode>,
    /// The action of [`Env::begin`] with its pending outcome.
    begun: Option<(Vec<f32>, Pending)>,
}

/// What is needed to play an episode again.
struct Episode {
    seed: u64,
    actions: Vec<f32>,
    rewards: Vec<f64>,
    running: bool,
    /// It was played again once already.
    recovered: bool,
}

fn failed(error: GymError) -> EnvError {
    EnvError::other(error)
}

impl GymEnv {
    pub(crate) fn new(fleet: Arc<Fleet>, slot: EnvSlot, spec: Arc<GymSpec>) -> Self {
        let (height, width, channels) = spec.frame;
        Self {
            fleet,
            slot: Some(slot),
            spec,
            frame: vec![0; height * width * channels],
            episode: None,
            begun: None,
        }
    }

    /// The last whole frame `[height, width, channels]`; zeros before the first reset.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The internal state of Car-Racing as bytes: `what` is one of the names of `probe` in
    /// `server.py`.
    ///
    /// # Errors
    /// If the server fails, or if there is nothing of that name.
    pub fn probe(&self, what: &str) -> Result<Vec<u8>, GymError> {
        let EnvSlot { server, number } = self.slot();
        let body = [&number.to_le_bytes(), what.as_bytes()].concat();
        server
            .send(Request::Probe, &body)?
            .wait(server, self.fleet.config().deadline)
    }

    fn slot(&self) -> &EnvSlot {
        self.slot
            .as_ref()
            .expect("there is always a slot, except inside `recover`, which has `&mut self`")
    }

    /// Starts the episode of `seed` and stores its frame.
    fn request_reset(&mut self, seed: u64) -> Result<(), GymError> {
        let EnvSlot { server, number } = self.slot();
        let body = [&number.to_le_bytes()[..], &seed.to_le_bytes()].concat();
        let frame = server
            .send(Request::Reset, &body)?
            .wait(server, self.fleet.config().deadline)?;
        self.store_frame(&frame)
    }

    fn send_step(&self, action: &[f32]) -> Result<Pending, GymError> {
        let EnvSlot { server, number } = self.slot();
        let mut body = number.to_le_bytes().to_vec();
        for value in action {
            body.extend(value.to_le_bytes());
        }
        server.send(Request::Step, &body)
    }

    fn receive_step(&mut self, pending: Pending) -> Result<Stepped, GymError> {
        let server = self.slot().server.clone();
        let body = pending.wait(&server, self.fleet.config().deadline)?;
        let count = self.spec.env.measurements.len();
        let (stepped, frame) = Stepped::read(&body, count)
            .ok_or_else(|| server.garbled("its step is too short".into()))?;
        self.store_frame(frame)?;
        Ok(stepped)
    }

    fn store_frame(&mut self, frame: &[u8]) -> Result<(), GymError> {
        if frame.len() != self.frame.len() {
            let what = format!(
                "a frame of {} bytes instead of {}",
                frame.len(),
                self.frame.len()
            );
            return Err(self.slot().server.garbled(what));
        }
        self.frame.copy_from_slice(frame);
        Ok(())
    }

    /// After `fault`: gets a slot in another server and plays the episode again, up to the last
    /// step with a known outcome.
    fn recover(&mut self, fault: GymError) -> Result<(), GymError> {
        let first = self.episode.as_ref().is_some_and(|e| !e.recovered);
        if !fault.is_crash() || !first {
            return Err(fault);
        }
        tracing::warn!(
            "{fault}\nanother server is started and the episode played again up to here"
        );
        self.begun = None;
        self.slot = None;
        let (slot, _) = self.fleet.acquire()?;
        self.slot = Some(slot);
        let Some(mut episode) = self.episode.take() else {
            return Err(fault);
        };
        episode.recovered = true;
        let outcome = self.replay(&episode, &fault);
        self.episode = Some(episode);
        outcome
    }

    /// Plays `episode` again and compares its rewards.
    fn replay(&mut self, episode: &Episode, fault: &GymError) -> Result<(), GymError> {
        self.request_reset(episode.seed)?;
        let width = self.spec.env.actions.len();
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

    /// Applies `action`, which may have been sent by [`Env::begin`] already.
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
    fn spec(&self) -> &EnvSpec {
        &self.spec.env
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let out = observation.frame(self.observation_space().len())?;
        self.begun = None;
        self.episode = Some(Episode {
            seed,
            actions: Vec::new(),
            rewards: Vec::new(),
            running: false,
            recovered: false,
        });
        if let Err(fault) = self.request_reset(seed) {
            self.recover(fault).map_err(failed)?;
        }
        if let Some(episode) = &mut self.episode {
            episode.running = true;
        }
        self.write(out);
        Ok(())
    }

    fn begin(&mut self, action: &[f32]) -> Result<(), EnvError> {
        self.spec.env.actions.check(action)?;
        if self.begun.is_none() && self.episode.as_ref().is_some_and(|e| e.running) {
            // An error here is reported by the next step.
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
        self.spec.env.actions.check(action)?;
        let out = observation.frame(self.observation_space().len())?;
        let outcome = self.advance(action);
        let episode = self.episode.as_mut().ok_or(EnvError::NeedsReset)?;
        episode.running = false;
        let stepped = outcome.map_err(failed)?;
        episode.actions.extend_from_slice(action);
        episode.rewards.push(stepped.reward);
        let [terminated, truncated] = [1, 2].map(|bit| stepped.flags & bit != 0);
        episode.running = !(terminated || truncated);
        self.write(out);
        Ok(Step {
            reward: stepped.reward,
            terminated,
            truncated,
            measured: stepped.measured,
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        self.episode.as_ref()?;
        let (height, width, channels) = self.spec.frame;
        let mut rgb = Vec::with_capacity(height * width * 3);
        for pixel in self.frame.chunks_exact(channels) {
            if channels == 1 {
                rgb.extend([pixel[0]; 3]);
            } else {
                rgb.extend_from_slice(&pixel[..3]);
            }
        }
        Some(Picture { width, height, rgb })
    }
}

impl Drop for GymEnv {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take().filter(|slot| slot.server.is_alive()) {
            self.fleet.release(slot);
        }
    }
}
