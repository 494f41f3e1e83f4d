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
mod tests {
    use std::io::Write;

    use super::*;
    use crate::run::npy::header;

    fn sample() -> Episode {
        let len = SIDE * SIDE * 3;
        let frames: Vec<u8> = (0..3 * len).map(|i| (i * 7 % 251) as u8).collect();
        Episode {
            seed: 9,
            observed: Observed::Frames { len, bytes: frames },
            action_len: 2,
            actions: vec![0.5, -1.0, 0.0, 1.0],
            values: vec![2.0, -2.0, 0.0, 0.0],
            rewards: vec![-0.1, 3.3],
            measured: vec![12.5, -3.0],
            terminated: true,
        }
    }

    #[test]
    fn episodes_come_back_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.npz");
        sample().save(&path).unwrap();
        assert_eq!(Episode::load(&path).unwrap(), sample());
        let latents = Episode {
            observed: Observed::Latents {
                len: 2,
                values: vec![0.5, -1.0, 2.0, 3.0, -4.0, 5.0],
            },
            ..sample()
        };
        latents.save(&path).unwrap();
        assert_eq!(Episode::load(&path).unwrap(), latents);
        sample().save(&path).unwrap();
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        let error = Episode::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("0.npz") && error.contains("damaged"),
            "{error}"
        );
        // Flip bytes inside of the compressed frames: the CRC of the entry must fail, or the
        // archive itself.
        let mut noticed = 0;
        for at in (60..good.len() / 2).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            match Episode::load(&path) {
                Err(_) => noticed += 1,
                Ok(read) => assert_eq!(read, sample(), "byte {at} changed the episode unnoticed"),
            }
        }
        assert!(noticed > 3);
    }

    #[test]
    fn latents_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.npz");
        let latent = LatentEpisode {
            seed: 1,
            latent: 2,
            action_len: 1,
            mean: vec![0.1, 0.2, 0.3, 0.4],
            log_variance: vec![-1.0; 4],
            actions: vec![0.3],
            rewards: vec![1.0],
            measured: vec![7.5],
            terminated: false,
            vision: u64::MAX - 1,
        };
        latent.save(&path).unwrap();
        assert_eq!(LatentEpisode::load(&path).unwrap(), latent);
    }

    /// Arrays of an archive: name, header and bytes.
    type Arrays = Vec<(&'static str, Vec<u8>, Vec<u8>)>;

    const STEPS: usize = 3;

    /// The arrays of an episode of Car-Racing with the seed 2.
    fn arrays() -> Arrays {
        let floats = |n: usize| [0.5f32.to_le_bytes(); 100][..n].concat();
        let meta = [VERSION, 2, 0].map(u64::to_le_bytes).concat();
        let frames = [STEPS + 1, SIDE, SIDE, 3];
        vec![
            ("meta", header("<u8", &[3]), meta),
            (
                "frames",
                header("|u1", &frames),
                vec![7; frames.iter().product()],
            ),
            ("actions", header("<f4", &[STEPS, 3]), floats(3 * STEPS)),
            ("rewards", header("<f4", &[STEPS]), floats(STEPS)),
        ]
    }

    fn write(path: &Path, arrays: &Arrays) {
        let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        for (name, header, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(header).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    }

    fn set(arrays: &mut Arrays, name: &str, descr: &str, shape: &[usize], bytes: Vec<u8>) {
        let array = arrays.iter_mut().find(|array| array.0 == name).unwrap();
        (array.1, array.2) = (header(descr, shape), bytes);
    }

    /// Writes `to` for `from` in the header of the array `name`.
    fn rewrite(arrays: &mut Arrays, name: &str, from: &str, to: &str) {
        let array = arrays.iter_mut().find(|array| array.0 == name).unwrap();
        let text = String::from_utf8_lossy(&array.1[10..]).replace(from, to);
        array.1.splice(8..10, (text.len() as u16).to_le_bytes());
        array.1.splice(10.., text.into_bytes());
    }

    /// Episodes of a run of Car-Racing, of at most 100 steps.
    struct Episodes {
        _dir: tempfile::TempDir,
        store: EpisodeStore,
        recorded: Recorded,
    }

    impl Episodes {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let sets = ["collect.steps=100", "memory.sequence=100"].map(String::from);
            let preset = Preset::resolve("tiny", &sets).unwrap();
            Self {
                store: EpisodeStore::new(dir.path().to_path_buf(), 0, &preset),
                recorded: Recorded::of(&crate::worlds::default_spec()),
                _dir: dir,
            }
        }

        /// Episode 2 of these arrays is refused with these words, its file and what helps.
        fn refuse(&self, arrays: &Arrays, words: &[&str]) {
            write(&self.store.path(2), arrays);
            let Err(error) = self.store.load(2, Some(self.recorded)) else {
                panic!("accepted: {words:?}");
            };
            let text = error.to_string();
            for word in ["000002.npz"].iter().chain(words) {
                assert!(text.contains(word), "`{word}` is missing in: {text}");
            }
            let (RunError::Damaged { recovery, .. } | RunError::Refused { recovery, .. }) = error
            else {
                panic!("{text}");
            };
            assert_eq!(recovery, Recovery::Episode, "{text}");
        }
    }

    #[test]
    fn arrays_of_other_sizes_and_types_are_refused_with_file_member_and_what_is_needed() {
        let episodes = Episodes::new();
        write(&episodes.store.path(2), &arrays());
        let good = episodes.store.load(2, Some(episodes.recorded)).unwrap();
        assert_eq!(good.steps(), STEPS);
        let (wanted, rewards) = ("[4, 64, 64, 3] is needed", "[1 to 100] is needed");
        for (name, descr, shape, words) in [
            ("frames", "|u1", &[4, 32, 32, 3][..], wanted),
            ("frames", "|u1", &[3, 64, 64, 3], wanted),
            ("frames", "|u1", &[4, 64, 64, 1], wanted),
            ("frames", "|i1", &[4, 64, 64, 3], "'|i1', '|u1' is needed"),
            ("actions", "<f4", &[3, 2], "[3, 2], [3, 3] is needed"),
            ("actions", "<f4", &[3, 5], "[3, 5], [3, 3] is needed"),
            ("actions", "<f4", &[9], "[9], [3, 3] is needed"),
            ("rewards", "<f4", &[0], rewards),
            ("rewards", "<f4", &[3000], rewards),
            ("rewards", ">f4", &[3], "'>f4', '<f4' is needed"),
            ("rewards", "<f8", &[3], "'<f8', '<f4' is needed"),
            ("meta", "<u8", &[2], "[2], [3] is needed"),
        ] {
            let mut changed = arrays();
            let width = usize::from(descr.as_bytes()[2] - b'0');
            let zeros = vec![0; width * shape.iter().product::<usize>()];
            set(&mut changed, name, descr, shape, zeros);
            episodes.refuse(&changed, &[&format!("`{name}`"), words]);
        }
        // Larger than it says, and not unpacked.
        let mut changed = arrays();
        set(
            &mut changed,
            "frames",
            "|u1",
            &[4, 64, 64, 3],
            vec![0; 100_000_000],
        );
        episodes.refuse(
            &changed,
            &["`frames`", "needs 49152 bytes, and it has 100000000"],
        );
        let huge = "(1, 9223372036854775808, 2, 3)";
        let mut changed = arrays();
        rewrite(&mut changed, "frames", "(4, 64, 64, 3,)", huge);
        episodes.refuse(&changed, &["`frames`", "9223372036854775808", wanted]);
    }

    #[test]
    fn an_episode_of_another_number_order_or_without_a_member_or_a_number_is_refused() {
        let episodes = Episodes::new();
        for name in ["frames", "actions"] {
            let mut changed = arrays();
            rewrite(&mut changed, name, "False", "True ");
            episodes.refuse(&changed, &[&format!("`{name}`"), "Fortran order"]);
        }
        for name in ["meta", "rewards", "actions", "frames"] {
            let mut changed = arrays();
            changed.retain(|array| array.0 != name);
            episodes.refuse(&changed, &[&format!("no array `{name}`")]);
        }
        let mut changed = arrays();
        let rewards = [1.0f32, f32::NAN, 1.0].map(f32::to_le_bytes).concat();
        set(&mut changed, "rewards", "<f4", &[3], rewards);
        episodes.refuse(&changed, &["`rewards`", "number 1 is NaN"]);
        let mut changed = arrays();
        let actions = f32::INFINITY.to_le_bytes().repeat(9);
        set(&mut changed, "actions", "<f4", &[3, 3], actions);
        episodes.refuse(&changed, &["`actions`", "number 0 is inf"]);
        let mut changed = arrays();
        let meta = [VERSION, 3, 0].map(u64::to_le_bytes).concat();
        set(&mut changed, "meta", "<u8", &[3], meta);
        episodes.refuse(
            &changed,
            &["`meta`", "its seed is 3", "of this number is 2"],
        );
        // A copy of another episode.
        let (store, recorded) = (&episodes.store, episodes.recorded);
        write(&store.path(2), &arrays());
        std::fs::copy(store.path(2), store.path(7)).unwrap();
        let text = store.load(7, Some(recorded)).unwrap_err().to_string();
        assert!(
            text.contains("000007.npz") && text.contains("its seed is 2"),
            "{text}"
        );
    }

    #[test]
    fn the_actions_of_an_episode_of_any_run_are_read_if_their_width_fits() {
        let episodes = Episodes::new();
        let path = episodes.store.path(2);
        write(&path, &arrays());
        assert_eq!(recorded_actions(&path, 3).unwrap(), [0.5; 3 * STEPS]);
        let text = recorded_actions(&path, 2).unwrap_err().to_string();
        assert!(text.contains("[3, 3], [3, 2] is needed"), "{text}");
    }

    /// The archive states a size for each entry, and can lie.
    #[test]
    fn an_entry_that_is_longer_than_the_archive_states_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.npz");
        let mut arrays = arrays();
        let packed = 3_000_000;
        arrays[1].2 = vec![0; packed];
        write(&path, &arrays);
        let mut bytes = std::fs::read(&path).unwrap();
        let stated = (arrays[1].1.len() + packed) as u32;
        let lie = (arrays[1].1.len() + (STEPS + 1) * SIDE * SIDE * 3) as u32;
        let mut found = 0;
        for at in 0..bytes.len() - 4 {
            if bytes[at..at + 4] == stated.to_le_bytes() {
                bytes[at..at + 4].copy_from_slice(&lie.to_le_bytes());
                found += 1;
            }
        }
        assert!(found >= 1);
        std::fs::write(&path, bytes).unwrap();
        let text = Episode::load(&path).unwrap_err().to_string();
        assert!(
            text.contains("`frames`") && text.contains("larger than its declared"),
            "{text}"
        );
    }

    #[test]
    fn latents_of_another_length_width_or_seed_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let preset = Preset::resolve("tiny", &["vision.model.latent=2".into()]).unwrap();
        let store = EpisodeStore::new(dir.path().to_path_buf(), 5, &preset);
        let latent = |latent: usize, seed: u64| LatentEpisode {
            seed,
            latent,
            action_len: 1,
            mean: vec![0.5; 2 * latent],
            log_variance: vec![-1.0; 2 * latent],
            actions: vec![0.3],
            rewards: vec![1.0],
            measured: Vec::new(),
            terminated: false,
            vision: 1,
        };
        let refused = |episode: LatentEpisode, actions: usize, words: &str| {
            episode.save(&store.path(1)).unwrap();
            let text = store.load_latents(1, actions).unwrap_err().to_string();
            assert!(
                text.contains(words) && text.contains("000001.npz"),
                "{text}"
            );
        };
        latent(2, 6).save(&store.path(1)).unwrap();
        assert_eq!(store.load_latents(1, 1).unwrap(), latent(2, 6));
        refused(
            latent(3, 6),
            1,
            "`mean`: its shape is [2, 3], [2, 2] is needed",
        );
        refused(
            latent(2, 6),
            3,
            "`actions`: its shape is [1, 1], [1, 3] is needed",
        );
        refused(
            latent(2, 5),
            1,
            "its seed is 5, that of the episode of this number is 6",
        );
        let mut infinite = latent(2, 6);
        infinite.log_variance[3] = f32::NEG_INFINITY;
        refused(infinite, 1, "`log_variance`: its value number 3 is -inf");
    }
}
