//! A batch of Car-Racing environments, stepped on the threads of its own pool.

use frmdn_car_racing::{CarRacing, CarRacingConfig};
use frmdn_env::{ActionSpace, Env, ObservationMut, Picture};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::error::Error;

/// Values of an action.
pub(crate) const ACTION: usize = 3;
/// Values of a row of progress: tiles visited, tiles in all, 1 if a lap was finished.
pub(crate) const PROGRESS: usize = 3;

/// The batch behind a handle.
pub(crate) struct Batch {
    slots: Vec<Slot>,
    observation: [usize; 3],
    /// Of this batch alone, so that a batch made after a `fork` has threads; absent where one
    /// thread does the work.
    pool: Option<ThreadPool>,
}

struct Slot {
    env: CarRacing,
    running: bool,
}

/// Where a call writes: `n` rows of each kind, one environment after the other.
pub(crate) struct Rows<'a> {
    pub observation: &'a mut [u8],
    pub reward: &'a mut [f64],
    pub terminated: &'a mut [u8],
    pub truncated: &'a mut [u8],
    pub progress: &'a mut [u32],
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
        // The car has already moved once, so the tiles under it are visited; they are paid with the
        // first step.
        let touched = visited.iter().filter(|&&tile| tile).count();
        progress.copy_from_slice(&[touched as u32, visited.len() as u32, 0]);
        Ok(())
    }
}

impl Batch {
    /// `n` environments on `threads` threads, 0 for one a core.
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

    /// Starts the episode of `seeds[i]` in every environment `i` that `mask` names, all without a
    /// mask.
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

    /// Steps every environment but those with a mark in `resets`, which start the episode of their
    /// seed instead and are paid nothing. Refuses the whole call, before anything moves, if an
    /// action is outside of the space or an episode is over.
    pub fn step(
        &mut self,
        actions: &[f32],
        resets: Option<(&[u8], &[u64])>,
        rows: Rows<'_>,
    ) -> Result<(), Error> {
        // A discrete action is the first value of its row.
        let used = self.slots[0].env.action_space().len();
        let seed = |i: usize| resets.and_then(|(mask, seeds)| (mask[i] != 0).then(|| seeds[i]));
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
            slot.env.action_space().check(&action[..used])?;
        }
        let width = self.observation_len();
        let work = |i: usize, slot: &mut Slot, action: &[f32], row: Rows<'_>| {
            if let Some(seed) = seed(i) {
                slot.reset(seed, row.observation, row.progress)?;
                (row.reward[0], row.terminated[0], row.truncated[0]) = (0.0, 0, 0);
                return Ok(());
            }
            let step = slot
                .env
                .step(&action[..used], ObservationMut::Frame(row.observation))?;
            slot.running = !step.done();
            row.reward[0] = step.reward;
            row.terminated[0] = step.terminated.into();
            row.truncated[0] = step.truncated.into();
            let (visited, tiles) = step.info.progress;
            row.progress
                .copy_from_slice(&[visited, tiles, step.info.completed.into()]);
            Ok(())
        };
        let Rows {
            observation,
            reward,
            terminated,
            truncated,
            progress,
        } = rows;
        match &self.pool {
            None => {
                let flags = terminated
                    .chunks_exact_mut(1)
                    .zip(truncated.chunks_exact_mut(1));
                let paid = reward
                    .chunks_exact_mut(1)
                    .zip(progress.chunks_exact_mut(PROGRESS));
                let rows = observation.chunks_exact_mut(width).zip(paid).zip(flags);
                let steps = self
                    .slots
                    .iter_mut()
                    .zip(actions.chunks_exact(ACTION))
                    .zip(rows)
                    .enumerate();
                for (
                    i,
                    ((slot, action), ((observation, (reward, progress)), (terminated, truncated))),
                ) in steps
                {
                    work(
                        i,
                        slot,
                        action,
                        Rows {
                            observation,
                            reward,
                            terminated,
                            truncated,
                            progress,
                        },
                    )?;
                }
                Ok(())
            }
            Some(pool) => pool.install(|| {
                let flags = terminated
                    .par_chunks_exact_mut(1)
                    .zip(truncated.par_chunks_exact_mut(1));
                let paid = reward
                    .par_chunks_exact_mut(1)
                    .zip(progress.par_chunks_exact_mut(PROGRESS));
                let rows = observation.par_chunks_exact_mut(width).zip(paid).zip(flags);
                let steps = self
                    .slots
                    .par_iter_mut()
                    .zip(actions.par_chunks_exact(ACTION))
                    .zip(rows)
                    .enumerate();
                steps.try_for_each(
                    |(
                        i,
                        (
                            (slot, action),
                            ((observation, (reward, progress)), (terminated, truncated)),
                        ),
                    )| {
                        work(
                            i,
                            slot,
                            action,
                            Rows {
                                observation,
                                reward,
                                terminated,
                                truncated,
                                progress,
                            },
                        )
                    },
                )
            }),
        }
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
