//! What a kind of environment implements to be a world, and what it may offer beside the contract.

use std::sync::Arc;

use frmdn_env::{Env, EnvSpec, ObservationSpace};

use super::{Frames, WorldError, wrap};

/// A kind of environment: what names can begin with.
pub trait Kind: Send + Sync {
    /// Its name, without a comma or a colon.
    fn name(&self) -> &'static str;

    /// How its names are written, for messages.
    fn form(&self) -> &'static str {
        self.name()
    }

    /// What it needs that is no part of the program, and whether that is there, for `doctor`.
    fn needs(&self) -> Option<String> {
        None
    }

    /// Whether it has an option `perturb` of its own, in place of the wrapper that other kinds get.
    fn has_perturbations(&self) -> bool {
        false
    }

    /// The environments of its name with these options, of which none stands there twice; those of
    /// wrappers are taken out. `frames` is what an agent or a person wants to see; frames that are
    /// not the agent's are reduced to them by the caller.
    ///
    /// # Errors
    /// If an option does not exist, or not with this value.
    fn open(&self, options: &[(&str, &str)], frames: Frames) -> Result<Arc<dyn Maker>, WorldError>;

    /// The same of `NAME:SUBJECT`, for a kind whose environments are of something.
    ///
    /// # Errors
    /// As those of [`Kind::open`], and where they are of nothing.
    fn open_of(
        &self,
        subject: &str,
        options: &[(&str, &str)],
        frames: Frames,
    ) -> Result<Arc<dyn Maker>, WorldError> {
        let _ = (subject, options, frames);
        Err(WorldError::NoSubject(self.name()))
    }
}

/// Makes the environments of one name.
pub trait Maker: Send + Sync {
    /// What they say of themselves.
    ///
    /// # Errors
    /// If a server that has to be asked fails.
    fn spec(&self) -> Result<EnvSpec, WorldError>;

    /// A new environment.
    ///
    /// # Errors
    /// If a server fails.
    fn make(&self) -> Result<Box<dyn Env>, WorldError>;

    /// The same with episodes that begin at random places, where that is possible.
    fn with_random_start(&self) -> Option<Arc<dyn Maker>> {
        None
    }

    /// Names of changes for tests of robustness, each an option `perturb=NAME`, and what they do;
    /// none where the environment is changed already. Those of the wrapper, where there are frames.
    fn perturbations(&self) -> &'static [(&'static str, &'static str)] {
        match self.spec().map(|spec| spec.observation) {
            Ok(ObservationSpace::Frame { .. }) => &wrap::PERTURBATIONS,
            _ => &[],
        }
    }

    /// The same, altered by the perturbation `name` in step `step` of every episode and all after it, the
    /// reset being step 0; nothing where that is not possible.
    fn altered_from(&self, name: &str, step: u32) -> Option<Arc<dyn Maker>> {
        let _ = (name, step);
        None
    }

    /// What can be told of what an agent sees alone, dreamt or real; nothing where nobody has said.
    fn gauges(&self) -> &'static [Gauge] {
        &[]
    }

    /// The name of the environment behind the bridge that it re-implements, where there is one that
    /// declares the same measurements.
    fn reference(&self) -> Option<String> {
        None
    }

    /// An environment with a driver that knows more than an agent sees, for the episode of `seed`.
    /// `noise` is the standard deviation of the noise on its controls, which are a function of the
    /// root seed `root` and of `seed`.
    fn expert(&self, noise: f32, root: u64, seed: u64) -> Option<Box<dyn Expert>> {
        let _ = (noise, root, seed);
        None
    }
}

/// A question to what an agent sees.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// What it asks, in a few words.
    pub name: &'static str,
    /// How it is answered.
    pub look: Look,
}

/// How a [`Gauge`] looks.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    /// Whether a frame of 64 × 64 × 3 bytes shows it.
    Frame(fn(&[u8]) -> bool),
    /// How much of it is in the numbers of an environment that is seen in numbers.
    Numbers(fn(&[f32]) -> f64),
}

/// An environment with a driver that knows more than an agent sees.
pub trait Expert: Send {
    /// The environment.
    fn env(&mut self) -> &mut dyn Env;

    /// Writes the driver's next action, in the agent's form.
    ///
    /// # Errors
    /// Before the first reset.
    fn act(&mut self, action: &mut [f32]) -> Result<(), WorldError>;
}
