//! Many environments at once.

use rayon::prelude::*;

use crate::{ActionSpace, Env, EnvError, ObservationMut, ObservationSpace, Step};

/// A batch of environments with equal spaces, stepped on all threads of the current rayon pool.
///
/// Actions are `[batch, action length]` and observations `[batch, observation length]`. An
/// environment depends on its own seed and actions only, not on the number of threads.
pub struct VecEnv {
    envs: Vec<Slot>,
    action_space: ActionSpace,
    observation_space: ObservationSpace,
}

struct Slot {
    env: Box<dyn Env>,
    running: bool,
}

impl VecEnv {
    /// A batch of `envs`.
    ///
    /// # Errors
    /// If there is none, or if their spaces differ.
    pub fn new(envs: Vec<Box<dyn Env>>) -> Result<Self, EnvError> {
        let first = envs
            .first()
            .ok_or_else(|| EnvError::other("a batch needs at least one environment"))?;
        let (action_space, observation_space) =
            (first.action_space().clone(), first.observation_space());
        for (i, env) in envs.iter().enumerate() {
            if *env.action_space() != action_space || env.observation_space() != observation_space {
                return Err(EnvError::other(format!(
                    "environment {i} of the batch has other spaces than environment 0"
                )));
            }
        }
        let envs = envs
            .into_iter()
            .map(|env| Slot {
                env,
                running: false,
            })
            .collect();
        Ok(Self {
            envs,
            action_space,
            observation_space,
        })
    }

    /// Number of environments.
    pub fn len(&self) -> usize {
        self.envs.len()
    }

    /// Always false, see [`VecEnv::new`].
    pub fn is_empty(&self) -> bool {
        self.envs.is_empty()
    }

    /// The action space of each environment.
    pub fn action_space(&self) -> &ActionSpace {
        &self.action_space
    }

    /// The observation space of each environment.
    pub fn observation_space(&self) -> ObservationSpace {
        self.observation_space
    }

    /// Whether the episode of environment `i` has begun and not ended.
    pub fn is_running(&self, i: usize) -> bool {
        self.envs[i].running
    }

    /// Environment `i`, for example for its picture.
    pub fn env_mut(&mut self, i: usize) -> &mut dyn Env {
        self.envs[i].env.as_mut()
    }

    /// Starts the episode of `seeds[i]` in every environment `i` that has a seed; the observations
    /// of the others stay as they are.
    ///
    /// # Errors
    /// If a length does not fit the batch, or if an environment fails.
    pub fn reset(
        &mut self,
        seeds: &[Option<u64>],
        observations: ObservationMut<'_>,
    ) -> Result<(), EnvError> {
        self.check_len("seeds", seeds.len(), 1)?;
        let rows = self.rows(observations)?;
        self.envs
            .par_iter_mut()
            .zip(seeds)
            .zip(rows)
            .try_for_each(|((slot, seed), row)| {
                if let Some(seed) = *seed {
                    slot.running = false;
                    slot.env.reset(seed, row)?;
                    slot.running = true;
                }
                Ok(())
            })
    }

    /// Steps every running environment. For the others `steps[i]` is `None`, and their actions and
    /// observations are ignored.
    ///
    /// # Errors
    /// If a length does not fit the batch, if an action is invalid (before any environment moves),
    /// or if an environment fails.
    pub fn step(
        &mut self,
        actions: &[f32],
        observations: ObservationMut<'_>,
        steps: &mut [Option<Step>],
    ) -> Result<(), EnvError> {
        let width = self.action_space.len();
        self.check_len("actions", actions.len(), width)?;
        self.check_len("steps", steps.len(), 1)?;
        for (slot, action) in self.envs.iter().zip(actions.chunks_exact(width)) {
            if slot.running {
                self.action_space.check(action)?;
            }
        }
        let rows = self.rows(observations)?;
        let slots = self
            .envs
            .par_iter_mut()
            .zip(actions.par_chunks_exact(width))
            .zip(rows)
            .zip(steps);
        slots.try_for_each(|(((slot, action), row), step)| {
            *step = None;
            if slot.running {
                let taken = slot.env.step(action, row)?;
                slot.running = !taken.done();
                *step = Some(taken);
            }
            Ok(())
        })
    }

    fn check_len(&self, what: &str, found: usize, width: usize) -> Result<(), EnvError> {
        let expected = self.len() * width;
        if found == expected {
            return Ok(());
        }
        Err(EnvError::other(format!(
            "{found} {what} were given to a batch of {} that needs {expected}",
            self.len()
        )))
    }

    /// Splits the buffer of the batch into one per environment.
    fn rows<'a>(
        &self,
        observations: ObservationMut<'a>,
    ) -> Result<Vec<ObservationMut<'a>>, EnvError> {
        let width = self.observation_space.len();
        let expected = self.len() * width;
        match (self.observation_space, observations) {
            (ObservationSpace::Frame { .. }, observations) => Ok(observations
                .frame(expected)?
                .chunks_exact_mut(width)
                .map(ObservationMut::Frame)
                .collect()),
            (ObservationSpace::Latent(_), observations) => Ok(observations
                .latent(expected)?
                .chunks_exact_mut(width)
                .map(ObservationMut::Latent)
                .collect()),
        }
    }
}
