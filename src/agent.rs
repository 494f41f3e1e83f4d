//! An agent: V, M and C together, loaded from a run folder or from a shipped checkpoint.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use frmdn_engine::{Params, params::Param};
use frmdn_env::{EnvSpec, ObservationSpace};
use serde::{Deserialize, Serialize};

use crate::{
    controller::{Actions, Controller, Hidden},
    memory::{self, Memory, MemoryConfig},
    rollout::ActingModel,
    run::{
        Checkpoint, CheckpointKind, Part, Recovery, Result, RunError, RunFolder, meant,
        shipped_candidates, shipped_folders,
    },
    vision::{Decoder, Vae, VaeConfig},
};

/// Metadata of an agent: everything but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Name of the environment it was trained in.
    pub environment: String,
    /// V.
    pub vision: VaeConfig,
    /// M.
    pub memory: MemoryConfig,
    /// Values of one action.
    pub actions: usize,
}

/// Name of the controller's temperature in a file; it is 0 where there is none.
const TEMPERATURE: &str = "temperature";

/// Most values of an action, more than any environment has.
const MOST_ACTIONS: usize = 1 << 16;

impl AgentInfo {
    /// Checks what a file of elsewhere says: sizes, before anything is made of them, and that the
    /// environment's name is one that can be printed.
    fn check(&self) -> std::result::Result<(), String> {
        let latent = self.vision.latent;
        self.vision.validate().map_err(|e| format!("its V: {e}"))?;
        self.memory.validate().map_err(|e| format!("its M: {e}"))?;
        if let Some(density) = self.memory.density(latent) {
            density.validate().map_err(|e| format!("its M: {e}"))?;
        }
        if self.actions > MOST_ACTIONS {
            return Err(format!("its actions have {} values", self.actions));
        }
        if self.environment.chars().any(char::is_control) {
            let name = self.environment.escape_debug();
            return Err(format!("its environment is called \"{name}\""));
        }
        Ok(())
    }
}

/// V, M and, once it was evolved, C.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its metadata.
    pub info: AgentInfo,
    vision: Params,
    memory: Params,
    controller: Option<Params>,
    /// Where it was loaded from, for messages.
    origin: PathBuf,
}

/// Name of the file that holds an agent as a whole.
pub const FILE: &str = "agent.safetensors";

/// What `path` may have meant, and the runs and checkpoints that can be named, for error messages.
fn known(path: &Path) -> String {
    let runs = names_in(Path::new("runs"), "run.toml");
    let mut all: Vec<String> = runs.iter().map(|name| format!("runs/{name}")).collect();
    for folder in shipped_folders() {
        all.extend(names_in(&folder, FILE));
    }
    all.sort();
    all.dedup();
    if all.is_empty() {
        return String::new();
    }
    let nearest = meant(&path.to_string_lossy(), all.iter().map(String::as_str));
    format!("{nearest}. Here there are: {}", all.join(", "))
}

/// Names of the folders in `folder` that hold `file`.
fn names_in(folder: &Path, file: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().join(file).exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The file of the checkpoint that `path` names: the file itself, or its folder.
fn checkpoint(path: &Path) -> Option<PathBuf> {
    for candidate in shipped_candidates(path) {
        let inside = candidate.join(FILE);
        for file in [candidate, inside] {
            if file.is_file() {
                return Some(file);
            }
        }
    }
    None
}

impl Agent {
    /// The agent of a run folder (`run.toml`), or of a checkpoint: `agent.safetensors`, its folder,
    /// or its name in one of the folders of shipped agents ([`shipped_folders`]).
    ///
    /// # Errors
    /// If there is none, or one of its files is damaged.
    pub fn load(dir: &Path) -> Result<Self> {
        if dir.join("run.toml").exists() {
            return Self::of_run(&RunFolder::open(dir)?);
        }
        let path = checkpoint(dir).ok_or_else(|| {
            RunError::refused(
                format!(
                    "{} is neither a run folder (run.toml) nor a checkpoint (agent.safetensors){}",
                    dir.display(),
                    known(dir)
                ),
                Recovery::Agent,
            )
        })?;
        let file = Checkpoint::<AgentInfo>::load(&path, CheckpointKind::Agent)?;
        let recovery = CheckpointKind::Agent.recovery();
        file.state
            .check()
            .map_err(|what| RunError::damaged(&path, what, recovery))?;
        let part = |prefix: &str| file.tensors.part(prefix);
        let controller = Some(part("controller.")).filter(|c| !c.0.is_empty());
        Ok(Self {
            info: file.state,
            vision: part("vision."),
            memory: part("memory."),
            controller,
            origin: path,
        })
    }

    /// Copies the agent of `from`, which must have a controller, into the file `copy`, so that the
    /// run does not depend on the original folder.
    pub fn keep(from: &Path, copy: &Path) -> Result<()> {
        let agent = Self::load(from)?;
        agent.controller()?;
        if let Some(folder) = copy.parent() {
            std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
        }
        agent.save(copy)
    }

    fn of_run(folder: &RunFolder) -> Result<Self> {
        let preset = folder.preset();
        let missing = |what| RunError::Missing {
            what,
            path: folder.root().to_path_buf(),
        };
        let (v, m, c) = (
            vision_path(folder),
            memory_path(folder),
            controller_path(folder),
        );
        if !v.exists() {
            return Err(missing(Part::Vision));
        }
        let vision = Checkpoint::<VaeConfig>::load(&v, CheckpointKind::Vision)?.tensors;
        if !m.exists() {
            return Err(missing(Part::Memory));
        }
        let memory = Checkpoint::<MemoryConfig>::load(&m, CheckpointKind::Memory)?.tensors;
        let controller = if c.exists() {
            Some(Checkpoint::<()>::load(&c, CheckpointKind::Controller)?.tensors)
        } else {
            None
        };
        let info = AgentInfo {
            environment: preset.environment.clone(),
            vision: preset.vision.model,
            memory: preset.memory.model,
            actions: action_width(
                &preset.memory.model,
                preset.vision.model.latent,
                &memory,
                controller.as_ref(),
            ),
        };
        Ok(Self {
            info,
            vision,
            memory,
            controller,
            origin: folder.root().to_path_buf(),
        })
    }

    /// The run folder or the file it was loaded from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// Writes V, M and C as one file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = Params::default();
        for (prefix, part) in [
            ("vision", Some(&self.vision)),
            ("memory", Some(&self.memory)),
            ("controller", self.controller.as_ref()),
        ] {
            for t in part.into_iter().flat_map(|p| &p.0) {
                tensors.push(format!("{prefix}.{}", t.name), &t.shape, t.value.clone());
            }
        }
        Checkpoint {
            tensors,
            state: self.info.clone(),
        }
        .save(path, CheckpointKind::Agent)
    }

    /// The parts that act, for acting in the environment `spec`, which must have actions of the kind
    /// the agent was trained with.
    pub fn acting_model(&self, spec: &EnvSpec) -> Result<ActingModel> {
        let (actions, latent) = (Actions::of(spec), self.info.vision.latent);
        if actions.width() != self.info.actions {
            return Err(RunError::Config(format!(
                "{} acts with {} values, {} wants {}: choose an environment like {}, which it \
                 was trained in",
                self.origin.display(),
                self.info.actions,
                spec.name,
                spec.actions,
                self.info.environment
            )));
        }
        // In a dream the latents are there already, and must be those of this very V.
        let encoder = match &spec.encoder {
            Some(theirs) if self.encoder_checksum().is_some_and(|own| own != *theirs) => {
                return Err(RunError::refused(
                    format!(
                        "{} sees with another V than {} is dreamt in",
                        self.origin.display(),
                        spec.name
                    ),
                    Recovery::SameVision(self.origin.clone()),
                ));
            }
            Some(_) => None,
            None => self.vae()?.map(|vae| vae.encoder()),
        };
        let observed = match spec.observation {
            ObservationSpace::Frame { .. } => None,
            ObservationSpace::Latent(n) => Some(n),
        };
        if encoder.is_some() != observed.is_none() || observed.is_some_and(|n| n != latent) {
            let what = |frames| match frames {
                true => "frames".to_owned(),
                false => format!("{latent} numbers"),
            };
            let sees = observed.map_or("frames".to_owned(), |n| format!("{n} numbers"));
            return Err(RunError::Config(format!(
                "{} sees {}, {} gives {sees}: choose an environment like {}, which it was trained \
                 in",
                self.origin.display(),
                what(encoder.is_some()),
                spec.name,
                self.info.environment
            )));
        }
        Ok(ActingModel {
            encoder,
            memory: self.memory()?,
            latent,
            actions,
        })
    }

    /// How `part` can be had again where it does not fit: in a run folder the stage is run again; a
    /// single file cannot be repaired.
    fn recovery(&self, part: CheckpointKind) -> Recovery {
        if self.origin.is_file() {
            CheckpointKind::Agent.recovery()
        } else {
            part.recovery()
        }
    }

    /// M, for acting and dreaming.
    pub fn memory(&self) -> Result<Box<dyn Memory>> {
        memory::load(
            &self.info.memory,
            self.info.vision.latent,
            self.info.actions,
            &self.memory,
        )
        .map_err(|e| {
            RunError::damaged(
                &self.origin,
                format!("its M does not fit its settings: {e}"),
                self.recovery(CheckpointKind::Memory),
            )
        })
    }

    /// V's decoder; `None` where the agent needs no V, because it sees latents.
    pub fn decoder(&self) -> Result<Option<Decoder>> {
        Ok(self.vae()?.map(|vae| vae.decoder()))
    }

    fn vae(&self) -> Result<Option<Vae>> {
        Vae::if_any(self.info.vision, &self.vision).map_err(|e| {
            RunError::damaged(
                &self.origin,
                format!("its V does not fit its settings: {e}"),
                self.recovery(CheckpointKind::Vision),
            )
        })
    }

    /// Name and shape of every tensor.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let parts = [
            ("vision", Some(&self.vision)),
            ("memory", Some(&self.memory)),
            ("controller", self.controller.as_ref()),
        ];
        let named = parts.into_iter().flat_map(|(prefix, part)| {
            part.into_iter()
                .flat_map(move |p| p.0.iter().map(move |t| (prefix, t)))
        });
        named
            .map(|(prefix, t)| (format!("{prefix}.{}", t.name), t.shape.clone()))
            .collect()
    }

    /// The first half of the SHA-256 of the metadata and all weights, in hexadecimal: the same for
    /// a run folder and for its checkpoint.
    pub fn checksum(&self) -> String {
        let info = serde_json::to_string(&self.info).expect("the metadata is plain data");
        let parts = [&self.vision, &self.memory].into_iter();
        let tensors = parts.chain(&self.controller).flat_map(|part| &part.0);
        checksum(&info, tensors)
    }

    /// As [`Agent::checksum`], of V's weights alone; `None` where there is no V.
    pub fn encoder_checksum(&self) -> Option<String> {
        (!self.vision.0.is_empty()).then(|| checksum("", &self.vision.0))
    }

    /// As [`Agent::checksum`], of a run's V and M alone: what its C is evolved for.
    pub fn model_checksum(folder: &RunFolder) -> Result<String> {
        let mut model = Self {
            controller: None,
            ..Self::of_run(folder)?
        };
        // Where M takes no actions, only C fixes their number.
        model.info.actions = 0;
        Ok(model.checksum())
    }

    /// C, if it was evolved.
    pub fn controller(&self) -> Result<Controller> {
        let features =
            self.info.vision.latent + self.info.memory.hidden_len(self.info.vision.latent);
        let damaged = |e: String| {
            RunError::damaged(&self.origin, e, self.recovery(CheckpointKind::Controller))
        };
        let c = self.controller.as_ref().ok_or_else(|| RunError::Missing {
            what: Part::Controller,
            path: self.origin.clone(),
        })?;
        let hidden = Hidden::of(c, features).map_err(damaged)?;
        let inputs = hidden.as_ref().map_or(features, Hidden::units);
        let weights = c
            .get("weight", &[self.info.actions, inputs + 1])
            .map_err(|e| damaged(e.to_string()))?;
        let temperature = match c.0.iter().any(|t| t.name == TEMPERATURE) {
            true => c
                .get(TEMPERATURE, &[1])
                .map_err(|e| damaged(e.to_string()))?[0],
            false => 0.0,
        };
        let controller = Controller::new(inputs, self.info.actions, weights.to_vec());
        let controller = controller.with_temperature(temperature);
        Ok(controller.with_hidden(hidden.map(Arc::new)))
    }

    /// V and M of a run whose controller is not evolved yet.
    pub fn load_model(folder: &RunFolder, spec: &EnvSpec) -> Result<ActingModel> {
        let mut agent = Self::of_run(folder)?;
        if !agent.info.memory.is_recurrent() {
            // Neither M nor C fixes the width of an action yet.
            agent.info.actions = Actions::of(spec).width();
        }
        agent.acting_model(spec)
    }

    /// Saves V's weights.
    pub fn save_vision(folder: &RunFolder, weights: &Params) -> Result<()> {
        Checkpoint {
            tensors: weights.clone(),
            state: folder.preset().vision.model,
        }
        .save(&vision_path(folder), CheckpointKind::Vision)
    }

    /// Saves M's weights.
    pub fn save_memory(folder: &RunFolder, weights: &Params) -> Result<()> {
        Checkpoint {
            tensors: weights.clone(),
            state: folder.preset().memory.model,
        }
        .save(&memory_path(folder), CheckpointKind::Memory)
    }

    /// Saves C's weights.
    pub fn save_controller(folder: &RunFolder, controller: &Controller) -> Result<()> {
        let mut tensors = Params::default();
        tensors.push(
            "weight",
            &[controller.actions(), controller.inputs() + 1],
            controller.weights().to_vec(),
        );
        if let Some(hidden) = controller.hidden() {
            hidden.add_to(&mut tensors);
        }
        if controller.temperature() > 0.0 {
            tensors.push(TEMPERATURE, &[1], vec![controller.temperature()]);
        }
        Checkpoint { tensors, state: () }.save(&controller_path(folder), CheckpointKind::Controller)
    }

    /// V's weights of a run, with the first bytes of the file's checksum: the latents it encodes
    /// carry them.
    pub fn load_vision(folder: &RunFolder) -> Result<(Params, u64)> {
        use sha2::{Digest, Sha256};
        let path = vision_path(folder);
        let weights = Checkpoint::<VaeConfig>::load(&path, CheckpointKind::Vision)?.tensors;
        let bytes = std::fs::read(&path).map_err(RunError::io("read", &path))?;
        let sum = Sha256::digest(bytes);
        Ok((
            weights,
            u64::from_le_bytes(sum[..8].try_into().expect("eight bytes of thirty-two")),
        ))
    }
}

/// The first half of the SHA-256 of `info` and of the names and values of `tensors`, in hexadecimal.
fn checksum<'a>(info: &str, tensors: impl IntoIterator<Item = &'a Param>) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(info);
    for tensor in tensors {
        hash.update(&tensor.name);
        let values = tensor.value.iter();
        values.for_each(|value| hash.update(value.to_le_bytes()));
    }
    let half = &hash.finalize()[..16];
    half.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Values of an action, inferred from the shapes of M and C; 0 if neither fixes it yet.
fn action_width(
    config: &MemoryConfig,
    latent: usize,
    memory: &Params,
    controller: Option<&Params>,
) -> usize {
    let rows = |params: &Params, name: &str| {
        params
            .0
            .iter()
            .find(|t| t.name == name || t.name == format!("member0.{name}"))
            .and_then(|t| t.shape.first().copied())
    };
    let seen = if config.is_recurrent() {
        rows(memory, "lstm.weight_input").map(|n| n.saturating_sub(latent))
    } else {
        None
    };
    seen.or_else(|| rows(controller?, "weight")).unwrap_or(0)
}

fn vision_path(folder: &RunFolder) -> PathBuf {
    folder.path("vision/weights.safetensors")
}

fn memory_path(folder: &RunFolder) -> PathBuf {
    folder.path("memory/weights.safetensors")
}

fn controller_path(folder: &RunFolder) -> PathBuf {
    folder.path("controller/weights.safetensors")
}
