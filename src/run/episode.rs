//! Episodes and latents on disk: npz archives (open in numpy), one file an episode, numbered.

use std::{
    io::BufReader,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use frmdn_env::{EnvSpec, ObservationSpace};
use zip::{ZipArchive, ZipWriter};

use super::{
    Part, Preset, Recovery, Result, RunError,
    npy::NpyError,
    npz::{Archive, ArrayError, Wanted, get, get_f32, get_u64, put, put_f32, put_u64},
    write_atomically,
};
use crate::{controller::Actions, vision::SIDE};

/// Version of the episode format, stored in every file.
const VERSION: u64 = 1;

/// One recorded episode of T steps: `action[t]` was taken on seeing `frame[t]`, gave `reward[t]`
/// and led to `frame[t+1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Environment seed.
    pub seed: u64,
    /// T + 1 observations.
    pub observed: Observed,
    /// Values of one action.
    pub action_len: usize,
    /// Actions `[T, action_len]`.
    pub actions: Vec<f32>,
    /// What a planner found of each of a discrete space's actions, less their mean,
    /// `[T, action_len]`, zeros at steps where it found nothing; empty where no planner drove.
    pub values: Vec<f32>,
    /// Rewards `[T]`.
    pub rewards: Vec<f32>,
    /// The measurement that a preset records ([`MemoryTraining::auxiliary`]), after each step `[T]`;
    /// empty where it records none.
    ///
    /// [`MemoryTraining::auxiliary`]: super::MemoryTraining::auxiliary
    pub measured: Vec<f32>,
    /// The last step ended in a terminal state (not cut off by a limit).
    pub terminated: bool,
}

/// Observations of an episode, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// Frames `[T + 1, height, width, 3]`.
    Frames {
        /// Bytes of one frame, `height · width · 3`.
        len: usize,
        /// All bytes.
        bytes: Vec<u8>,
    },
    /// Latents `[T + 1, len]`, which need no V.
    Latents {
        /// Values of one latent.
        len: usize,
        /// All values.
        values: Vec<f32>,
    },
}

impl Observed {
    /// No observation of `space` yet.
    pub fn none(space: ObservationSpace) -> Self {
        let len = space.len();
        match space {
            ObservationSpace::Frame { .. } => Self::Frames {
                len,
                bytes: Vec::new(),
            },
            ObservationSpace::Latent(_) => Self::Latents {
                len,
                values: Vec::new(),
            },
        }
    }
}

/// What the episodes of an environment are made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recorded {
    /// What is seen.
    pub observation: ObservationSpace,
    /// Values of an action.
    pub actions: usize,
}

impl Recorded {
    /// Those of the environment `spec`.
    pub fn of(spec: &EnvSpec) -> Self {
        Self {
            observation: spec.observation,
            actions: Actions::of(spec).width(),
        }
    }
}

/// The same episode seen by V: posterior means and log-variances instead of frames.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentEpisode {
    /// Environment seed.
    pub seed: u64,
    /// Latent size.
    pub latent: usize,
    /// Values of one action.
    pub action_len: usize,
    /// Means `[T + 1, latent]`.
    pub mean: Vec<f32>,
    /// Log-variances `[T + 1, latent]`.
    pub log_variance: Vec<f32>,
    /// Actions `[T, action_len]`.
    pub actions: Vec<f32>,
    /// Rewards `[T]`.
    pub rewards: Vec<f32>,
    /// As [`Episode::measured`].
    pub measured: Vec<f32>,
    /// The last step ended in a terminal state.
    pub terminated: bool,
    /// First eight bytes of the checksum of the V that encoded it.
    pub vision: u64,
}

impl Episode {
    /// Number of steps T.
    pub fn steps(&self) -> usize {
        self.rewards.len()
    }

    /// Adds an action, and what a planner found of all of them, if it did.
    pub fn add(&mut self, action: &[f32], values: &[f32]) {
        self.actions.extend_from_slice(action);
        if !values.is_empty() || !self.values.is_empty() {
            // Steps without are zeros.
            let end = self.actions.len();
            self.values.resize(end, 0.0);
            self.values[end - values.len()..].copy_from_slice(values);
        }
    }

    /// Frame `t` of `0..=T`; empty where latents were observed.
    pub fn frame(&self, t: usize) -> &[u8] {
        match &self.observed {
            Observed::Frames { len, bytes } => &bytes[t * len..(t + 1) * len],
            Observed::Latents { .. } => &[],
        }
    }
}

impl LatentEpisode {
    /// Number of steps T.
    pub fn steps(&self) -> usize {
        self.rewards.len()
    }
}

/// What an episode must be. Where nothing is known of it, its arrays must agree with each other.
#[derive(Clone, Debug)]
struct Form {
    seed: Option<u64>,
    steps: RangeInclusive<usize>,
    /// Values of a latent.
    latent: RangeInclusive<usize>,
    observation: Option<ObservationSpace>,
    /// Values of an action.
    actions: RangeInclusive<usize>,
}

/// Any number of something, at least one.
const ANY: RangeInclusive<usize> = 1..=usize::MAX;

impl Form {
    /// An episode of no run.
    const UNKNOWN: Self = Self {
        seed: None,
        steps: ANY,
        latent: ANY,
        observation: None,
        actions: ANY,
    };
}

/// A file of an episode that is being read.
struct Reader<'a> {
    path: &'a Path,
    form: &'a Form,
    zip: Archive,
}

impl<'a> Reader<'a> {
    fn open(path: &'a Path, form: &'a Form) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(RunError::io("read", path))?;
        let zip = ZipArchive::new(BufReader::with_capacity(1 << 16, file))
            .map_err(|e| RunError::damaged(path, e, Recovery::Episode))?;
        Ok(Self { path, form, zip })
    }

    /// The numbers after the version.
    fn meta<const N: usize>(&mut self) -> Result<[u64; N]> {
        let meta = get_u64(&mut self.zip, "meta").map_err(|e| self.error(e))?;
        if meta[0] != VERSION {
            return Err(RunError::Version {
                path: self.path.to_path_buf(),
                found: u32::try_from(meta[0]).unwrap_or(u32::MAX),
                expected: VERSION as u32,
            });
        }
        match self.form.seed {
            Some(seed) if meta[1] != seed => Err(self.another(format!(
                "array `meta`: its seed is {}, that of the episode of this number is {seed}",
                meta[1]
            ))),
            _ => Ok(meta),
        }
    }

    fn f32(&mut self, name: &'static str, wanted: Wanted<'_>) -> Result<(Vec<usize>, Vec<f32>)> {
        get_f32(&mut self.zip, name, wanted).map_err(|e| self.error(e))
    }

    /// The rewards, whose number is that of the steps; the actions, and the values of one.
    fn steps(&mut self) -> Result<(Vec<f32>, Vec<f32>, usize)> {
        let (_, rewards) = self.f32("rewards", std::slice::from_ref(&self.form.steps))?;
        let steps = rewards.len();
        let (shape, actions) = self.f32("actions", &[steps..=steps, self.form.actions.clone()])?;
        Ok((rewards, actions, shape[1]))
    }

    /// What was measured after each of `steps` steps, if anything was.
    fn measured(&mut self, steps: usize) -> Result<Vec<f32>> {
        match self.zip.index_for_name("measured.npy") {
            Some(_) => Ok(self.f32("measured", &[steps..=steps])?.1),
            None => Ok(Vec::new()),
        }
    }

    /// Latents of `frames` moments, and the values of one.
    fn latents(&mut self, name: &'static str, frames: usize) -> Result<(Vec<f32>, usize)> {
        let (shape, values) = self.f32(name, &[frames..=frames, self.form.latent.clone()])?;
        Ok((values, shape[1]))
    }

    /// What was observed at `frames` moments. Where it is not known what that is, latents if there
    /// are some, else frames.
    fn observed(&mut self, frames: usize) -> Result<Observed> {
        let [height, width, channels] = match self.form.observation {
            Some(ObservationSpace::Frame {
                height,
                width,
                channels,
            }) => [height, width, channels],
            None if self.zip.index_for_name("latents.npy").is_none() => [SIDE, SIDE, 3],
            _ => {
                let (values, len) = self.latents("latents", frames)?;
                return Ok(Observed::Latents { len, values });
            }
        };
        let shape = [frames, height, width, channels].map(|n| n..=n);
        let (_, bytes) = get(&mut self.zip, "frames", "|u1", &shape).map_err(|e| self.error(e))?;
        Ok(Observed::Frames {
            len: height * width * channels,
            bytes,
        })
    }

    /// An intact array of another shape is not one of this run; all else is damage.
    fn error(&self, error: ArrayError) -> RunError {
        match error {
            ArrayError::Array {
                cause: NpyError::Shape { .. },
                ..
            } => self.another(error.to_string()),
            _ => RunError::damaged(self.path, error, Recovery::Episode),
        }
    }

    fn another(&self, what: String) -> RunError {
        let path = self.path.display();
        RunError::refused(
            format!("{path} is another episode than this run needs: {what}"),
            Recovery::Episode,
        )
    }
}

impl Episode {
    /// Writes `path` atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let t = self.steps();
        write_atomically(path, |w| {
            let mut zip = ZipWriter::new(w);
            put_u64(
                &mut zip,
                "meta",
                &[VERSION, self.seed, u64::from(self.terminated)],
            )?;
            match &self.observed {
                Observed::Frames { len, bytes } => {
                    let side = ((len / 3) as f64).sqrt() as usize;
                    let shape = [t + 1, side, len / 3 / side, 3];
                    put(&mut zip, "frames", "|u1", &shape, bytes)?;
                }
                Observed::Latents { len, values } => {
                    put_f32(&mut zip, "latents", &[t + 1, *len], values)?;
                }
            }
            put_f32(&mut zip, "actions", &[t, self.action_len], &self.actions)?;
            put_f32(&mut zip, "rewards", &[t], &self.rewards)?;
            if !self.values.is_empty() {
                put_f32(&mut zip, "values", &[t, self.action_len], &self.values)?;
            }
            if !self.measured.is_empty() {
                put_f32(&mut zip, "measured", &[t], &self.measured)?;
            }
            zip.finish().map(|_| ()).map_err(std::io::Error::from)
        })
    }

    /// Reads `path`, of which nothing is known. An episode of a run is read by
    /// [`EpisodeStore::load`].
    ///
    /// # Errors
    /// If it cannot be read or is damaged, or its arrays disagree.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_as(path, &Form::UNKNOWN)
    }

    fn load_as(path: &Path, form: &Form) -> Result<Self> {
        let mut reader = Reader::open(path, form)?;
        let [_, seed, terminated] = reader.meta()?;
        let (rewards, actions, action_len) = reader.steps()?;
        let values = match reader.zip.index_for_name("values.npy") {
            Some(_) => {
                reader
                    .f32(
                        "values",
                        &[rewards.len()..=rewards.len(), action_len..=action_len],
                    )?
                    .1
            }
            None => Vec::new(),
        };
        Ok(Self {
            seed,
            values,
            measured: reader.measured(rewards.len())?,
            observed: reader.observed(rewards.len() + 1)?,
            action_len,
            actions,
            rewards,
            terminated: terminated != 0,
        })
    }
}

/// The actions of an episode of any run, `width` values each; its frames are not unpacked.
///
/// # Errors
/// If it cannot be read or is damaged, or its actions have another width.
pub(crate) fn recorded_actions(path: &Path, width: usize) -> Result<Vec<f32>> {
    let form = Form {
        actions: width..=width,
        ..Form::UNKNOWN
    };
    let mut reader = Reader::open(path, &form)?;
    let [_, _, _] = reader.meta()?;
    Ok(reader.steps()?.1)
}

impl LatentEpisode {
    /// Writes `path` atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let t = self.steps();
        write_atomically(path, |w| {
            let mut zip = ZipWriter::new(w);
            put_u64(
                &mut zip,
                "meta",
                &[VERSION, self.seed, u64::from(self.terminated), self.vision],
            )?;
            put_f32(&mut zip, "mean", &[t + 1, self.latent], &self.mean)?;
            put_f32(
                &mut zip,
                "log_variance",
                &[t + 1, self.latent],
                &self.log_variance,
            )?;
            put_f32(&mut zip, "actions", &[t, self.action_len], &self.actions)?;
            put_f32(&mut zip, "rewards", &[t], &self.rewards)?;
            if !self.measured.is_empty() {
                put_f32(&mut zip, "measured", &[t], &self.measured)?;
            }
            zip.finish().map(|_| ()).map_err(std::io::Error::from)
        })
    }

    /// Reads `path`, of which nothing is known. Latents of a run are read by
    /// [`EpisodeStore::load_latents`].
    ///
    /// # Errors
    /// If it cannot be read or is damaged, or its arrays disagree.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_as(path, &Form::UNKNOWN)
    }

    fn load_as(path: &Path, form: &Form) -> Result<Self> {
        let mut reader = Reader::open(path, form)?;
        let [_, seed, terminated, vision] = reader.meta()?;
        let (rewards, actions, action_len) = reader.steps()?;
        let frames = rewards.len() + 1;
        let (mean, latent) = reader.latents("mean", frames)?;
        let (_, log_variance) = reader.f32("log_variance", &[frames..=frames, latent..=latent])?;
        Ok(Self {
            seed,
            latent,
            action_len,
            measured: reader.measured(rewards.len())?,
            mean,
            log_variance,
            actions,
            rewards,
            terminated: terminated != 0,
            vision,
        })
    }
}

/// A folder of the numbered episodes `000000.npz`, `000001.npz`, … of a run.
#[derive(Clone, Debug)]
pub struct EpisodeStore {
    folder: PathBuf,
    /// What an episode must be; the seed is that of episode 0.
    form: Form,
}

impl EpisodeStore {
    /// The store in `folder` for a run of `preset`; episode `i` has the seed `first_seed + i`.
    pub fn new(folder: PathBuf, first_seed: u64, preset: &Preset) -> Self {
        let latent = preset.vision.model.latent;
        let form = Form {
            seed: Some(first_seed),
            steps: 1..=preset.collect.steps,
            latent: latent..=latent,
            ..Form::UNKNOWN
        };
        Self { folder, form }
    }

    /// Path of episode `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index:06}.npz"))
    }

    /// Whether episode `index` is there. Files appear whole or not at all.
    pub fn has(&self, index: usize) -> bool {
        self.path(index).is_file()
    }

    /// How many of episodes `0..total` are there.
    pub fn count(&self, total: usize) -> usize {
        (0..total).filter(|&i| self.has(i)).count()
    }

    /// What the episodes are made of, by the first one: no environment is started for it.
    ///
    /// # Errors
    /// As [`EpisodeStore::load`].
    pub fn recorded(&self) -> Result<Recorded> {
        let first = self.load(0, None)?;
        let observation = match first.observed {
            // V has no other frames; a file that has is refused by its name when it is read.
            Observed::Frames { .. } => ObservationSpace::Frame {
                height: SIDE,
                width: SIDE,
                channels: 3,
            },
            Observed::Latents { len, .. } => ObservationSpace::Latent(len),
        };
        Ok(Recorded {
            observation,
            actions: first.action_len,
        })
    }

    /// Reads episode `index`; without `recorded`, what is seen and done there is not checked.
    ///
    /// # Errors
    /// If it is missing, cannot be read or is damaged; or if it cannot be an episode of this run: its
    /// seed is not that of its number, it has more steps than the run records, its observations or actions
    /// are not those of the environment, or a value is no finite number. What was packed is not
    /// unpacked before its size is known to be right.
    pub fn load(&self, index: usize, recorded: Option<Recorded>) -> Result<Episode> {
        if !self.has(index) {
            return Err(RunError::Missing {
                what: Part::Episode(index),
                path: self.folder.parent().unwrap_or(&self.folder).to_path_buf(),
            });
        }
        let mut form = self.form_of(index);
        if let Some(Recorded {
            observation,
            actions,
        }) = recorded
        {
            (form.observation, form.actions) = (Some(observation), actions..=actions);
        }
        Episode::load_as(&self.path(index), &form)
    }

    /// Reads the latents of episode `index`, whose actions have `actions` values.
    ///
    /// # Errors
    /// As [`EpisodeStore::load`].
    pub fn load_latents(&self, index: usize, actions: usize) -> Result<LatentEpisode> {
        let form = Form {
            actions: actions..=actions,
            ..self.form_of(index)
        };
        LatentEpisode::load_as(&self.path(index), &form)
    }

    fn form_of(&self, index: usize) -> Form {
        let seed = self.form.seed.map(|first| first.wrapping_add(index as u64));
        Form {
            seed,
            ..self.form.clone()
        }
    }
}

#[cfg(test)]
mod tests;
