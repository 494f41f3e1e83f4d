//! Episodes and latents on disk: npz archives (open in numpy), one file an episode, numbered.

use std::path::{Path, PathBuf};

use frmdn_env::ObservationSpace;
use zip::{ZipArchive, ZipWriter};

use super::{
    Recovery, Result, RunError,
    npz::{ArrayError, check, get, get_f32, get_u64, put, put_f32, put_u64},
    write_atomically,
};

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
    /// Rewards `[T]`.
    pub rewards: Vec<f32>,
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

fn open(path: &Path) -> Result<ZipArchive<std::io::BufReader<std::fs::File>>> {
    let file = std::fs::File::open(path).map_err(RunError::io("read", path))?;
    ZipArchive::new(std::io::BufReader::with_capacity(1 << 16, file))
        .map_err(|e| RunError::damaged(path, e, Recovery::Episode))
}

fn version(path: &Path, found: u64) -> Result<()> {
    if found == VERSION {
        return Ok(());
    }
    Err(RunError::Version {
        path: path.to_path_buf(),
        found: u32::try_from(found).unwrap_or(u32::MAX),
        expected: VERSION as u32,
    })
}

impl Episode {
    /// Writes `path` atomically.
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
            zip.finish().map(|_| ()).map_err(std::io::Error::from)
        })
    }

    /// Reads and checks `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let mut zip = open(path)?;
        let damaged = |what| RunError::damaged(path, what, Recovery::Episode);
        let [found, seed, terminated] = get_u64(&mut zip, "meta").map_err(damaged)?;
        version(path, found)?;
        let mut read = || -> std::result::Result<Self, ArrayError> {
            let (shape, observed) = observations(&mut zip)?;
            let (action_shape, actions) = get_f32(&mut zip, "actions")?;
            let (reward_shape, rewards) = get_f32(&mut zip, "rewards")?;
            let t = rewards.len();
            check("observations", &shape[..1], &[t + 1])?;
            check("rewards", &reward_shape, &[t])?;
            let [at, action_len] = action_shape[..] else {
                return Err(ArrayError::Dimensions {
                    name: "actions",
                    shape: action_shape,
                });
            };
            check("actions", &[at], &[t])?;
            Ok(Self {
                seed,
                observed,
                action_len,
                actions,
                rewards,
                terminated: terminated != 0,
            })
        };
        read().map_err(damaged)
    }
}

/// Frames, or latents where there are none; and their shape.
fn observations(
    zip: &mut ZipArchive<impl std::io::Read + std::io::Seek>,
) -> std::result::Result<(Vec<usize>, Observed), ArrayError> {
    let wrong = |name, shape| ArrayError::Dimensions { name, shape };
    if zip.index_for_name("latents.npy").is_some() {
        let (shape, values) = get_f32(zip, "latents")?;
        let [_, len] = shape[..] else {
            return Err(wrong("latents", shape));
        };
        return Ok((shape, Observed::Latents { len, values }));
    }
    let (shape, bytes) = get(zip, "frames", "|u1")?;
    let [_, height, width, 3] = shape[..] else {
        return Err(wrong("frames", shape));
    };
    let len = height * width * 3;
    Ok((shape, Observed::Frames { len, bytes }))
}

impl LatentEpisode {
    /// Writes `path` atomically.
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
            zip.finish().map(|_| ()).map_err(std::io::Error::from)
        })
    }

    /// Reads and checks `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let mut zip = open(path)?;
        let damaged = |what| RunError::damaged(path, what, Recovery::Episode);
        let [found, seed, terminated, vision] = get_u64(&mut zip, "meta").map_err(damaged)?;
        version(path, found)?;
        let mut read = || -> std::result::Result<Self, ArrayError> {
            let (shape, mean) = get_f32(&mut zip, "mean")?;
            let (variance_shape, log_variance) = get_f32(&mut zip, "log_variance")?;
            let (action_shape, actions) = get_f32(&mut zip, "actions")?;
            let (_, rewards) = get_f32(&mut zip, "rewards")?;
            let t = rewards.len();
            let [n, latent] = shape[..] else {
                return Err(ArrayError::Dimensions {
                    name: "mean",
                    shape,
                });
            };
            check("mean", &[n], &[t + 1])?;
            check("log_variance", &variance_shape, &shape)?;
            let [at, action_len] = action_shape[..] else {
                return Err(ArrayError::Dimensions {
                    name: "actions",
                    shape: action_shape,
                });
            };
            check("actions", &[at], &[t])?;
            Ok(Self {
                seed,
                latent,
                action_len,
                mean,
                log_variance,
                actions,
                rewards,
                terminated: terminated != 0,
                vision,
            })
        };
        read().map_err(damaged)
    }
}

/// A folder of numbered files `000000.npz`, `000001.npz`, ….
#[derive(Clone, Debug)]
pub struct EpisodeStore(PathBuf);

impl EpisodeStore {
    /// The store in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Path of episode `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        self.0.join(format!("{index:06}.npz"))
    }

    /// Whether episode `index` is there. Files appear whole or not at all.
    pub fn has(&self, index: usize) -> bool {
        self.path(index).is_file()
    }

    /// How many of episodes `0..total` are there.
    pub fn count(&self, total: usize) -> usize {
        (0..total).filter(|&i| self.has(i)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Episode {
        let frames: Vec<u8> = (0..3 * 4 * 4 * 3).map(|i| (i * 7 % 251) as u8).collect();
        Episode {
            seed: 9,
            observed: Observed::Frames {
                len: 48,
                bytes: frames,
            },
            action_len: 2,
            actions: vec![0.5, -1.0, 0.0, 1.0],
            rewards: vec![-0.1, 3.3],
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
            terminated: false,
            vision: u64::MAX - 1,
        };
        latent.save(&path).unwrap();
        assert_eq!(LatentEpisode::load(&path).unwrap(), latent);
    }
}
