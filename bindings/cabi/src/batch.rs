//! A batch of Car-Racing environments, stepped on the threads of its own pool.

use frmdn_car_racing::{CarRacing, CarRacingConfig, EpisodeSource, VIDEO, measured, rng::Rng};
use frmdn_env::{ActionSpace, Env, ObservationMut, Picture};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::error::Error;

/// Number of values of an action.
pub(crate) const ACTION: usize = 3;
/// Number of values of a row of progress: tiles visited, all tiles, 1 if a lap was finished.
pub(crate) const PROGRESS: usize = 3;
/// Most environments of a batch.
pub(crate) const MAX_ENVS: i64 = 4096;
/// Most threads of a batch.
pub(crate) const MAX_THREADS: i64 = 1024;
/// Width and height of the picture that is Gymnasium's observation.
pub(crate) const STATE: [usize; 2] = [96, 96];
/// More bytes than an environment holds beside the canvas that it draws on (190 KB).
const HELD: usize = 256 << 10;
/// More bytes than the start of an episode allocates (420 KB).
const EPISODE: usize = 512 << 10;
/// More bytes than a canvas has for each byte of its picture.
const CANVAS: usize = 6;

/// The batch behind a handle.
pub(crate) struct Batch {
    slots: Vec<Slot>,
    observation: [usize; 3],
    /// Whether actions beyond the space are taken as the nearest inside.
    clip: bool,
    /// The threads of this batch, so that a batch made after a `fork` has threads; `None` where one
    /// thread does the work.
    pool: Option<ThreadPool>,
}

struct Slot {
    env: CarRacing,
    running: bool,
}

/// The state of a stream of random numbers, as numpy's `PCG64().state` has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrmdnStream {
    /// Upper and lower half of `state`.
    pub state: [u64; 2],
    /// Upper and lower half of `inc`, which is odd.
    pub increment: [u64; 2],
    /// `uinteger`.
    pub half: u32,
    /// `has_uint32`: whether `half` is the next number of 32 bits.
    pub has_half: u32,
}

impl FrmdnStream {
    fn load(&self) -> Rng {
        let wide = |[high, low]: [u64; 2]| u128::from(high) << 64 | u128::from(low);
        Rng {
            state: wide(self.state),
            increment: wide(self.increment),
            half: (self.has_half != 0).then_some(self.half),
        }
    }

    fn store(&mut self, rng: &Rng) {
        let halves = |wide: u128| [(wide >> 64) as u64, wide as u64];
        self.state = halves(rng.state);
        self.increment = halves(rng.increment);
        // numpy leaves a half that was used where it is.
        self.half = rng.half.unwrap_or(self.half);
        self.has_half = rng.half.is_some().into();
    }
}

/// The episodes that a call starts: where `mask[i] ≠ 0`, everywhere without a mask.
pub(crate) struct Starts<'a> {
    pub mask: Option<&'a [u8]>,
    /// `[n]`.
    pub seeds: &'a [u64],
    /// `[n]`: the streams that the episodes are drawn from, and that are moved on; without them those
    /// of the seeds.
    pub streams: Option<&'a mut [FrmdnStream]>,
    pub keep_colors: bool,
}

impl<'a> Starts<'a> {
    /// What each environment starts.
    fn into_rows(self) -> impl Iterator<Item = Option<Start<'a>>> {
        let (mask, keep_colors) = (self.mask, self.keep_colors);
        let mut streams = self.streams.map(<[_]>::iter_mut);
        self.seeds.iter().enumerate().map(move |(i, &seed)| {
            let stream = streams.as_mut().and_then(Iterator::next);
            mask.is_none_or(|mask| mask[i] != 0).then_some(Start {
                seed,
                stream,
                keep_colors,
            })
        })
    }
}

/// The start of one episode.
struct Start<'a> {
    seed: u64,
    stream: Option<&'a mut FrmdnStream>,
    keep_colors: bool,
}

/// Where the batch writes: one row per environment in each buffer.
pub(crate) struct Rows<'a> {
    /// `[n, height, width, 3]`.
    pub observation: &'a mut [u8],
    /// `[n]`, as are the next two.
    pub reward: &'a mut [f64],
    pub terminated: &'a mut [u8],
    pub truncated: &'a mut [u8],
    /// `[n, PROGRESS]`.
    pub progress: &'a mut [u32],
}

/// The row of one environment in [`Rows`].
struct Row<'a> {
    observation: &'a mut [u8],
    reward: &'a mut f64,
    terminated: &'a mut u8,
    truncated: &'a mut u8,
    progress: &'a mut [u32],
}

impl<'a> Rows<'a> {
    /// The rows one after the other, with observations of `len` bytes.
    fn into_rows(self, len: usize) -> impl Iterator<Item = Row<'a>> {
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
            |((observation, progress), ((reward, terminated), truncated))| Row {
                observation,
                reward,
                terminated,
                truncated,
                progress,
            },
        )
    }
}

/// What one environment does in a call.
enum Task<'a> {
    Start(Start<'a>),
    Act(&'a [f64; ACTION]),
}

impl Slot {
    fn new(config: &CarRacingConfig) -> Self {
        Self {
            env: config.init().with_skids(),
            running: false,
        }
    }

    fn run(&mut self, task: Task<'_>, row: Row<'_>) -> Result<(), Error> {
        match task {
            Task::Start(start) => self.start(start, row),
            Task::Act(action) => self.act(action, row),
        }
    }

    fn start(&mut self, start: Start<'_>, row: Row<'_>) -> Result<(), Error> {
        let Start {
            seed,
            stream,
            keep_colors,
        } = start;
        room_for(EPISODE)?;
        self.running = false;
        let mut rng = stream
            .as_ref()
            .map_or_else(|| Rng::new(seed), |stream| stream.load());
        let source = EpisodeSource {
            stream: &mut rng,
            seed,
            keep_colors,
        };
        self.env
            .reset_from(source, ObservationMut::Frame(row.observation))?;
        if let Some(stream) = stream {
            stream.store(&rng);
        }
        self.running = true;
        (*row.reward, *row.terminated, *row.truncated) = (0.0, 0, 0);
        let visited = self.env.visited().unwrap_or_default();
        // The car has already moved once, so the tiles under it are visited; the first step pays
        // their reward.
        let touched = visited.iter().filter(|&&tile| tile).count();
        row.progress
            .copy_from_slice(&[touched as u32, visited.len() as u32, 0]);
        Ok(())
    }

    /// Steps with an action that [`Slot::check`] has passed; a discrete one is its first value.
    fn act(&mut self, action: &[f64; ACTION], row: Row<'_>) -> Result<(), Error> {
        let observation = ObservationMut::Frame(row.observation);
        let step = match self.env.action_space() {
            ActionSpace::Box { .. } => self.env.drive(*action, observation),
            ActionSpace::Discrete(_) => self.env.step(&[action[0] as f32], observation),
        }?;
        self.running = !step.done();
        *row.reward = step.reward;
        *row.terminated = step.terminated.into();
        *row.truncated = step.truncated.into();
        let row_of = [measured::TILES, measured::TRACK, measured::LAP];
        row.progress
            .copy_from_slice(&row_of.map(|i| step.measured[i] as u32));
        Ok(())
    }

    /// Refuses what [`Slot::run`] could not do; `i` is the number of this environment.
    fn check(&self, i: usize, task: &Task<'_>, clip: bool) -> Result<(), Error> {
        let action = match task {
            Task::Act(_) if !self.running => return Err(Error::NeedsReset(i)),
            Task::Act(action) => action,
            Task::Start(Start {
                stream: Some(stream),
                ..
            }) if stream.increment[1].is_multiple_of(2) => {
                return Err(Error::Argument(format!(
                    "streams[{i}].increment is even: it must be an odd number"
                )));
            }
            Task::Start(_) => return Ok(()),
        };
        let space = self.env.action_space();
        let fits = match space {
            ActionSpace::Box { low, high } => {
                action.iter().zip(low.iter().zip(high)).all(|(a, (l, h))| {
                    !a.is_nan() && (clip || (f64::from(*l) <= *a && *a <= f64::from(*h)))
                })
            }
            ActionSpace::Discrete(n) => {
                action[0] >= 0.0 && action[0] < *n as f64 && action[0].fract() == 0.0
            }
        };
        if fits {
            return Ok(());
        }
        let used = &action[..space.len()];
        Err(Error::Action(format!(
            "environment {i}: the action {used:?} is outside of the action space: {space}"
        )))
    }
}

impl Batch {
    /// `num_envs` environments on `threads` threads, 0 for one per core.
    pub fn new(
        num_envs: i64,
        threads: i64,
        config: &CarRacingConfig,
        clip: bool,
    ) -> Result<Self, Error> {
        let n = whole("num_envs", num_envs, 1, MAX_ENVS)?;
        let threads = whole("threads", threads, 0, MAX_THREADS)?;
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
        let observation = [height, width, channels];
        room_for(n * (HELD + CANVAS * observation.iter().product::<usize>()))?;
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
        Ok(Self {
            slots: (0..n).map(|_| Slot::new(config)).collect(),
            observation,
            clip,
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

    /// Starts episodes. The rows of the other environments stay as they are.
    pub fn reset(&mut self, starts: Starts<'_>, rows: Rows<'_>) -> Result<(), Error> {
        let tasks = starts.into_rows().map(|start| start.map(Task::Start));
        self.run(tasks, rows)
    }

    /// Steps every environment with its action, except those that start an episode instead, with the
    /// reward 0. Refuses the whole call, before any environment moves, if an action is outside of
    /// the space or an episode is over.
    pub fn step(
        &mut self,
        actions: &[f64],
        starts: Option<Starts<'_>>,
        rows: Rows<'_>,
    ) -> Result<(), Error> {
        let mut starts = starts.map(Starts::into_rows);
        let tasks = actions.as_chunks().0.iter().map(|action| {
            let start = starts.as_mut().and_then(Iterator::next).flatten();
            Some(start.map_or(Task::Act(action), Task::Start))
        });
        self.run(tasks, rows)
    }

    /// Does the task of every environment that has one, if all of them can be done.
    fn run<'a>(
        &mut self,
        tasks: impl Iterator<Item = Option<Task<'a>>>,
        rows: Rows<'_>,
    ) -> Result<(), Error> {
        let rows = rows.into_rows(self.observation_len());
        let mut work = Vec::with_capacity(self.len());
        for (i, ((slot, task), row)) in self.slots.iter_mut().zip(tasks).zip(rows).enumerate() {
            if let Some(task) = task {
                slot.check(i, &task, self.clip)?;
                work.push((slot, task, row));
            }
        }
        match &self.pool {
            None => work
                .into_iter()
                .try_for_each(|(slot, task, row)| slot.run(task, row)),
            Some(pool) => pool.install(|| {
                work.into_par_iter()
                    .try_for_each(|(slot, task, row)| slot.run(task, row))
            }),
        }
    }

    /// The picture of environment `i` with this width and height: [`STATE`] or [`VIDEO`].
    pub fn picture(&mut self, i: i64, width: i64, height: i64) -> Result<Picture, Error> {
        let i = whole("index", i, 0, self.len() as i64 - 1)?;
        let size = [width, height];
        let [state, video] = [STATE, VIDEO].map(|size| size.map(|side| side as i64));
        if size != state && size != video {
            return Err(Error::Argument(format!(
                "a picture of {width} × {height} was asked for: there are 96 × 96 and 600 × 400"
            )));
        }
        room_for((CANVAS + 1) * 3 * VIDEO[0] * VIDEO[1])?;
        let env = &mut self.slots[i].env;
        let picture = if size == state {
            env.picture()
        } else {
            env.video()
        };
        picture.ok_or(Error::NeedsReset(i))
    }
}

/// `value`, if it lies in `least..=most`.
fn whole(name: &str, value: i64, least: i64, most: i64) -> Result<usize, Error> {
    if (least..=most).contains(&value) {
        Ok(value as usize)
    } else {
        Err(Error::Argument(format!(
            "{name} is {value}: it must be a whole number from {least} to {most}"
        )))
    }
}

/// Refuses a call that needs more memory than there is, which would end the process. `bytes` is an
/// upper bound of what the call allocates.
fn room_for(bytes: usize) -> Result<(), Error> {
    Vec::<u8>::new()
        .try_reserve_exact(bytes)
        .map_err(|_| Error::Memory(bytes))
}
