//! A batch of Car-Racing environments, stepped on the threads of its own pool.

use frmdn_car_racing::{CarRacing, CarRacingConfig, measured};
use frmdn_env::{ActionSpace, Env, ObservationMut, Picture};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::error::Error;

/// Number of values of an action.
pub(crate) const ACTION: usize = 3;
/// Number of values of a row of progress: tiles visited, all tiles, 1 if a lap was finished.
pub(crate) const PROGRESS: usize = 3;

/// The batch behind a handle.
pub(crate) struct Batch {
    slots: Vec<Slot>,
    observation: [usize; 3],
    /// The threads of this batch, so that a batch made after a `fork` has threads; `None` where one
    /// thread does the work.
    pool: Option<ThreadPool>,
}

struct Slot {
    env: CarRacing,
    running: bool,
}

/// Where a step of the batch writes: one row per environment in each buffer.
pub(crate) struct StepOutputs<'a> {
    /// `[n, height, width, 3]`.
    pub observation: &'a mut [u8],
    /// `[n]`, as are the next two.
    pub reward: &'a mut [f64],
    pub terminated: &'a mut [u8],
    pub truncated: &'a mut [u8],
    /// `[n, PROGRESS]`.
    pub progress: &'a mut [u32],
}

/// The row of one environment in [`StepOutputs`].
struct StepRow<'a> {
    observation: &'a mut [u8],
    reward: &'a mut f64,
    terminated: &'a mut u8,
    truncated: &'a mut u8,
    progress: &'a mut [u32],
}

impl<'a> StepOutputs<'a> {
    /// The rows one after the other, with observations of `len` bytes.
    fn into_rows(self, len: usize) -> impl Iterator<Item = StepRow<'a>> {
        let results = self
            .reward
            .iter_mut()
            .zip(self.terminated)
            .zip(self.truncated);
        let buffers = self
            .observation
            .chunks_exact_mut(len)
            .zip(self.progress.chunks_exact_mut(PROGRESS));
        buffers.zip(results).map(
            |((observation, progress), ((reward, terminated), truncated))| StepRow {
                observation,
                reward,
                terminated,
                truncated,
                progress,
            },
        )
    }
}

impl Slot {
    fn reset(
        &mut self,
        seed: u64,
        observation: &mut [u8],
        progress: &mut [u32],
    ) -> Result<(), Error> {
        self.running = false;
        self.env.reset(seed, ObservationMut::Frame(observation))?;
        self.running = true;
        let visited = self.env.visited().unwrap_or_default();
        // The car has already moved once, so the tiles under it are visited; the first step pays
        // their reward.
        let touched = visited.iter().filter(|&&tile| tile).count();
        progress.copy_from_slice(&[touched as u32, visited.len() as u32, 0]);
        Ok(())
    }

    /// Starts an episode in place of a step.
    fn restart(&mut self, seed: u64, row: StepRow<'_>) -> Result<(), Error> {
        self.reset(seed, row.observation, row.progress)?;
        (*row.reward, *row.terminated, *row.truncated) = (0.0, 0, 0);
        Ok(())
    }

    /// Steps with `action`; a discrete action is its first value.
    fn step(&mut self, action: &[f32], row: StepRow<'_>) -> Result<(), Error> {
        let used = self.env.action_space().len();
        let observation = ObservationMut::Frame(row.observation);
        let step = self.env.step(&action[..used], observation)?;
        self.running = !step.done();
        *row.reward = step.reward;
        *row.terminated = step.terminated.into();
        *row.truncated = step.truncated.into();
        let row_of = [measured::TILES, measured::TRACK, measured::LAP];
        row.progress
            .copy_from_slice(&row_of.map(|i| step.measured[i] as u32));
        Ok(())
    }
}

impl Batch {
    /// `n` environments on `threads` threads, 0 for one per core.
    pub fn new(n: usize, threads: usize, config: &CarRacingConfig) -> Result<Self, Error> {
        if n == 0 {
            return Err(Error::Argument(
                "a batch needs at least one environment: give n_envs ≥ 1".into(),
            ));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores } else { threads }.min(n);
        let pool = if threads > 1 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            Some(pool.map_err(|e| {
                Error::Internal(format!("{threads} threads could not be started: {e}"))
            })?)
        } else {
            None
        };
        let frmdn_env::ObservationSpace::Frame {
            height,
            width,
            channels,
        } = config.observation.space()
        else {
            return Err(Error::Internal(
                "Car-Racing is expected to observe frames".into(),
            ));
        };
        let slots = (0..n)
            .map(|_| Slot {
                env: config.init(),
                running: false,
            })
            .collect();
        Ok(Self {
            slots,
            observation: [height, width, channels],
            pool,
        })
    }

    /// Number of discrete actions, 0 where actions are continuous.
    pub fn buttons(&self) -> usize {
        match self.slots[0].env.action_space() {
            ActionSpace::Discrete(n) => *n,
            ActionSpace::Box { .. } => 0,
        }
    }

    /// Number of environments.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Height, width and channels of an observation.
    pub fn observation(&self) -> [usize; 3] {
        self.observation
    }

    /// Bytes of an observation.
    pub fn observation_len(&self) -> usize {
        self.observation.iter().product()
    }

    /// Starts the episode of `seed` in environment `i`.
    pub fn reset_one(
        &mut self,
        i: usize,
        seed: u64,
        observation: &mut [u8],
        progress: &mut [u32],
    ) -> Result<(), Error> {
        self.slot(i)?.reset(seed, observation, progress)
    }

    /// Starts the episode of `seeds[i]` in every environment `i` with `mask[i] ≠ 0`, in all of them
    /// without a mask.
    pub fn reset(
        &mut self,
        mask: Option<&[u8]>,
        seeds: &[u64],
        observation: &mut [u8],
        progress: &mut [u32],
    ) -> Result<(), Error> {
        let width = self.observation_len();
        let work = |(i, slot, row, progress): (usize, &mut Slot, &mut [u8], &mut [u32])| {
            if mask.is_none_or(|mask| mask[i] != 0) {
                slot.reset(seeds[i], row, progress)
            } else {
                Ok(())
            }
        };
        match &self.pool {
            None => {
                let rows = observation
                    .chunks_exact_mut(width)
                    .zip(progress.chunks_exact_mut(PROGRESS));
                self.slots
                    .iter_mut()
                    .zip(rows)
                    .enumerate()
                    .try_for_each(|(i, (slot, (row, p)))| work((i, slot, row, p)))
            }
            Some(pool) => pool.install(|| {
                let rows = observation
                    .par_chunks_exact_mut(width)
                    .zip(progress.par_chunks_exact_mut(PROGRESS));
                self.slots
                    .par_iter_mut()
                    .zip(rows)
                    .enumerate()
                    .try_for_each(|(i, (slot, (row, p)))| work((i, slot, row, p)))
            }),
        }
    }

    /// Steps every environment except those with a mark in `resets`, which start the episode of
    /// their seed instead and get the reward 0. Refuses the whole call, before any environment
    /// moves, if an action is outside of the space or an episode is over.
    pub fn step(
        &mut self,
        actions: &[f32],
        resets: Option<(&[u8], &[u64])>,
        outputs: StepOutputs<'_>,
    ) -> Result<(), Error> {
        let seed = |i: usize| match resets {
            Some((mask, seeds)) if mask[i] != 0 => Some(seeds[i]),
            _ => None,
        };
        self.check(actions, seed)?;
        let rows = outputs.into_rows(self.observation_len());
        let work =
            |((i, slot), (action, row)): ((usize, &mut Slot), (&[f32], StepRow<'_>))| match seed(i)
            {
                Some(seed) => slot.restart(seed, row),
                None => slot.step(action, row),
            };
        let actions = actions.chunks_exact(ACTION);
        match &self.pool {
            None => self
                .slots
                .iter_mut()
                .enumerate()
                .zip(actions.zip(rows))
                .try_for_each(work),
            Some(pool) => {
                let inputs: Vec<_> = actions.zip(rows).collect();
                pool.install(|| {
                    self.slots
                        .par_iter_mut()
                        .enumerate()
                        .zip(inputs)
                        .try_for_each(work)
                })
            }
        }
    }

    /// Refuses a step with an invalid action, or of an episode that is over. Environments with a
    /// seed are not checked.
    fn check(&self, actions: &[f32], seed: impl Fn(usize) -> Option<u64>) -> Result<(), Error> {
        for (i, (slot, action)) in self
            .slots
            .iter()
            .zip(actions.chunks_exact(ACTION))
            .enumerate()
        {
            if seed(i).is_some() {
                continue;
            }
            if !slot.running {
                return Err(Error::NeedsReset(i));
            }
            let space = slot.env.action_space();
            space.check(&action[..space.len()])?;
        }
        Ok(())
    }

    /// The picture of environment `i`.
    pub fn picture(&mut self, i: usize) -> Result<Picture, Error> {
        self.slot(i)?.env.picture().ok_or(Error::NeedsReset(i))
    }

    fn slot(&mut self, i: usize) -> Result<&mut Slot, Error> {
        let n = self.len();
        self.slots
            .get_mut(i)
            .ok_or_else(|| Error::Argument(format!("environment {i} of a batch of {n}")))
    }
}
