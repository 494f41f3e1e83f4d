//! Versioned checkpoints: safetensors (opens in Python) with one metadata entry that carries kind,
//! version, a checksum of everything else, and the plain state as JSON.

use std::{
    collections::{HashMap, HashSet},
    io::Write,
    path::Path,
};

use frmdn_engine::Params;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{Recovery, Result, RunError, write_atomically};

/// Version of the checkpoint format.
const VERSION: u32 = 1;

/// The metadata key of our header. One key, because the order of several is not fixed in the file.
const KEY: &str = "frmdn";

/// What a checkpoint holds; reading one as another kind is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointKind {
    /// Training state of V: weights, Adam's moments, β.
    VisionState,
    /// Weights of V that training chose.
    Vision,
    /// Training state of M.
    MemoryState,
    /// Weights of M that training chose.
    Memory,
    /// State of the evolution of C.
    ControllerState,
    /// Weights of C that the evolution chose.
    Controller,
    /// Training state of a density without a world.
    DensityState,
    /// Weights of such a density that training chose, with what its values stand for.
    Density,
    /// V, M and C together: all that is needed to act, dream and be evaluated.
    Agent,
}

impl CheckpointKind {
    /// How such a file of a run folder can be had again. A stage's weights and its state are
    /// deleted together, because the stage cannot go on with one of them.
    pub fn recovery(self) -> Recovery {
        match self {
            Self::VisionState | Self::Vision => Recovery::Stage("vision"),
            Self::MemoryState | Self::Memory => Recovery::Stage("memory"),
            Self::ControllerState | Self::Controller => Recovery::Stage("controller"),
            Self::DensityState => Recovery::Folder,
            Self::Density | Self::Agent => Recovery::Restore,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    kind: CheckpointKind,
    sha256: String,
    /// Names in the model's own order (safetensors sorts them).
    order: Vec<String>,
    state: serde_json::Value,
}

/// Named tensors and a plain state that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<S> {
    /// The tensors in the model's order.
    pub tensors: Params,
    /// Everything that is not a tensor.
    pub state: S,
}

fn digest(kind: CheckpointKind, tensors: &Params, state: &serde_json::Value) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{kind:?}\n{state}\n"));
    for tensor in &tensors.0 {
        hash.update(format!("{} {:?}\n", tensor.name, tensor.shape));
        hash.update(bytes_of(&tensor.value));
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl<S: Serialize> Checkpoint<S> {
    /// Writes `path` atomically.
    pub fn save(&self, path: &Path, kind: CheckpointKind) -> Result<()> {
        let state = serde_json::to_value(&self.state).map_err(|e| {
            RunError::Failed(format!("cannot write the state of {}: {e}", path.display()))
        })?;
        let header = Header {
            version: VERSION,
            kind,
            sha256: digest(kind, &self.tensors, &state),
            order: self.tensors.0.iter().map(|t| t.name.clone()).collect(),
            state,
        };
        let json = serde_json::to_string(&header)
            .map_err(|e| RunError::Failed(format!("cannot write {}: {e}", path.display())))?;
        let data: Vec<(&str, Vec<usize>, Vec<u8>)> = self
            .tensors
            .0
            .iter()
            .map(|t| (t.name.as_str(), t.shape.clone(), bytes_of(&t.value)))
            .collect();
        let failed = |e: safetensors::SafeTensorError| {
            RunError::Failed(format!("cannot write {}: {e}", path.display()))
        };
        let views = data
            .iter()
            .map(|(name, shape, bytes)| {
                Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(failed)?;
        let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)])))
            .map_err(failed)?;
        write_atomically(path, |w| w.write_all(&bytes))
    }
}

impl<S: DeserializeOwned> Checkpoint<S> {
    /// Reads `path` and checks version, kind and checksum, as a file of a run folder.
    pub fn load(path: &Path, kind: CheckpointKind) -> Result<Self> {
        Self::load_with(path, kind, kind.recovery())
    }

    /// As [`Self::load`], for a file that can be had again in another way.
    pub fn load_with(path: &Path, kind: CheckpointKind, recovery: Recovery) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(RunError::io("read", path))?;
        let damaged = |what: String| RunError::damaged(path, what, recovery.clone());
        if !looks_like_safetensors(&bytes) {
            return Err(foreign(path, "it is no safetensors file", &recovery));
        }
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
        let json = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let what = "it is a safetensors file of another program";
        let json = json.ok_or_else(|| foreign(path, what, &recovery))?;
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?;
        // The version is checked first, because other versions may have another header.
        let found = value["version"]
            .as_u64()
            .and_then(|v| u32::try_from(v).ok())
            .ok_or_else(|| damaged("it states no version".into()))?;
        if found != VERSION {
            return Err(RunError::Version {
                path: path.to_path_buf(),
                found,
                expected: VERSION,
            });
        }
        let header: Header = serde_json::from_value(value).map_err(|e| damaged(e.to_string()))?;
        if header.kind != kind {
            return Err(damaged(format!("it holds {:?}, not {kind:?}", header.kind)));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
        // Every tensor once: a name that stands there often would be copied as often.
        let names: HashSet<&String> = header.order.iter().collect();
        if names.len() != header.order.len() || names.len() != file.len() {
            return Err(damaged(
                "its list of tensors is not that of its tensors".into(),
            ));
        }
        let mut tensors = Params::default();
        for name in &header.order {
            let view = file.tensor(name).map_err(|e| damaged(e.to_string()))?;
            if view.dtype() != Dtype::F32 {
                return Err(damaged(format!(
                    "tensor `{name}` is {:?}, not f32",
                    view.dtype()
                )));
            }
            let value = view
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            tensors.push(name, view.shape(), value);
        }
        if digest(kind, &tensors, &header.state) != header.sha256 {
            return Err(damaged("its checksum does not fit its contents".into()));
        }
        // The checksum matches, so the file is intact and only its state has another form.
        let state = serde_json::from_value(header.state).map_err(|e| RunError::Foreign {
            path: path.to_path_buf(),
            what: e.to_string(),
        })?;
        Ok(Self { tensors, state })
    }
}

/// Whether a file begins as the format does: eight bytes of a length, and an object in JSON. What is
/// cut short or altered further on is damaged; anything else is another kind of file.
fn looks_like_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && bytes[5..8] == [0; 3]
}

/// The error of a file that is no checkpoint. In a run folder there must be one at that place, so
/// that it is had again as a damaged one is.
fn foreign(path: &Path, what: &str, recovery: &Recovery) -> RunError {
    let recovery = match recovery {
        Recovery::Restore => Recovery::Agent,
        other => other.clone(),
    };
    RunError::refused(
        format!("{} is no checkpoint: {what}", path.display()),
        recovery,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint<(u64, f64)> {
        let mut tensors = Params::default();
        tensors.push("b", &[2, 2], vec![1.0, -2.5, f32::MIN_POSITIVE, 0.1]);
        tensors.push("a", &[1], vec![3.0]);
        Checkpoint {
            tensors,
            state: (7, 0.25),
        }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was_and_its_bytes_repeat() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        sample().save(&a, CheckpointKind::Vision).unwrap();
        sample().save(&b, CheckpointKind::Vision).unwrap();
        assert_eq!(
            Checkpoint::<(u64, f64)>::load(&a, CheckpointKind::Vision).unwrap(),
            sample()
        );
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    }

    #[test]
    fn every_flipped_byte_every_truncation_and_another_kind_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        sample().save(&path, CheckpointKind::Vision).unwrap();
        let good = std::fs::read(&path).unwrap();
        let load = || Checkpoint::<(u64, f64)>::load(&path, CheckpointKind::Vision);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x01;
            std::fs::write(&path, &bad).unwrap();
            // Blanks that pad the header carry nothing; everything else must be noticed.
            if let Ok(read) = load() {
                assert_eq!(read, sample(), "byte {at} changed the contents unnoticed");
                assert!(good[at] == b' ', "byte {at} = {:?}", good[at] as char);
            }
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(load().is_err(), "truncated at {at}");
        }
        std::fs::write(&path, &good).unwrap();
        let error = Checkpoint::<(u64, f64)>::load(&path, CheckpointKind::Memory)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("damaged") && error.contains("Memory"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_checkpoint_is_called_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.safetensors");
        let tensor = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let of_another = safetensors::serialize([("a", tensor)], None).unwrap();
        for bytes in [&b""[..], b"hello", b"a text that is longer", &of_another] {
            std::fs::write(&path, bytes).unwrap();
            let error = Checkpoint::<()>::load(&path, CheckpointKind::Agent).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("agent.safetensors is no checkpoint")
                    && matches!(
                        error,
                        RunError::Refused {
                            recovery: Recovery::Agent,
                            ..
                        }
                    ),
                "{text}"
            );
        }
    }

    #[test]
    fn a_tensor_that_is_listed_twice_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        sample().save(&path, CheckpointKind::Vision).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let order = br#"[\"b\",\"a\"]"#;
        let at = bytes.windows(order.len()).position(|w| w == order).unwrap();
        let mut twice = bytes.clone();
        twice[at + 9] = b'b';
        std::fs::write(&path, twice).unwrap();
        let error = Checkpoint::<(u64, f64)>::load(&path, CheckpointKind::Vision).unwrap_err();
        assert!(error.to_string().contains("list of tensors"), "{error}");
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        sample().save(&path, CheckpointKind::Vision).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes
            .windows(13)
            .position(|w| w == b"\\\"version\\\":1")
            .expect("version in the header")
            + 12;
        let mut other = bytes.clone();
        other[at] = b'9';
        std::fs::write(&path, other).unwrap();
        let error = Checkpoint::<(u64, f64)>::load(&path, CheckpointKind::Vision).unwrap_err();
        assert!(
            matches!(
                error,
                RunError::Version {
                    found: 9,
                    expected: 1,
                    ..
                }
            ),
            "{error}"
        );
        std::fs::write(&path, bytes).unwrap();
        let error =
            Checkpoint::<(u64, f64, String)>::load(&path, CheckpointKind::Vision).unwrap_err();
        assert!(matches!(error, RunError::Foreign { .. }), "{error}");
    }
}
