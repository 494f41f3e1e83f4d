//! Environments by name.
//!
//! A name may have options after commas: `car-racing`, `car-racing,rule=v4`,
//! `gym:CarRacing-v3,domain_randomize=true`; those of wrappers (`skip=4`, `sticky=0.25`, …) are the
//! same for all. Presets, agents and scores store it. Each kind of
//! environment has one file here that knows its names and options; nothing else asks what kind one
//! is.

pub mod car_racing;
mod error;
pub mod gym;
mod homebrew;
mod maker;
mod name;
mod pursuit;
pub mod super_mario;
mod trust;
mod wrap;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use frmdn_env::{Env, EnvSpec, ObservationSpace, ProbeSpec};

pub use error::WorldError;
pub use maker::{Expert, Gauge, Kind, Look, Maker};
pub use pursuit::Script;
pub use trust::Trust;

use name::Name;
use wrap::Wrapping;

/// The environment of commands that are given none.
pub const DEFAULT: &str = car_racing::NAME;

/// What a name can be, for people.
pub const NAMES: &str = "The environment: car-racing, homebrew, super-mario, dream:RUN, or gym:ID; options follow after \
                         commas (car-racing,rule=v4)";
/// The same in place of an agent's own.
pub const OTHER: &str = "Another environment than the agent's own: car-racing, homebrew, super-mario, dream:RUN, or \
                         gym:ID, with options after commas (car-racing,rule=v4)";

/// What the environment of [`DEFAULT`] says of itself, for tests.
#[cfg(test)]
pub(crate) fn default_spec() -> EnvSpec {
    let world = World::open(DEFAULT, &Bridge::default()).expect("it is compiled in");
    world.spec().expect("no server is needed")
}

/// Settings of `gym:` environments.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// The Python interpreter; `None` searches for one, see [`frmdn_gym_bridge::Python::find`].
    pub python: Option<PathBuf>,
    /// Longest time of a reset or a step. The start of an environment may take three times as long.
    pub deadline: Duration,
    /// What Python may import for them.
    pub trust: Trust,
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            python: None,
            deadline: Duration::from_secs(60),
            trust: Trust::default(),
        }
    }
}

/// The observation of an environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// The agent's view, 64 × 64 RGB.
    #[default]
    Agent,
    /// The whole frame of the environment.
    Whole,
}

/// An environment by name. Cheap to clone; clones share the servers of a `gym:` environment.
#[derive(Clone)]
pub struct World {
    name: String,
    maker: Arc<dyn Maker>,
}

/// Checks a name and its options. Whether Python has a `gym:` environment is checked when it is
/// opened.
///
/// # Errors
/// If the name or an option does not exist.
pub fn check(name: &str) -> Result<(), WorldError> {
    parse(name, Frames::Agent).map(drop)
}

/// What the environment `name` says of itself; `None` for one behind the bridge, which says it only
/// once Python was started, and for a name that does not exist.
pub fn declared(name: &str) -> Option<EnvSpec> {
    native(name, Frames::Agent).ok()??.spec().ok()
}

/// Whether `name` asks for wrappers.
///
/// # Errors
/// If one of them has a value that it cannot have, or the name is malformed.
pub fn has_wrappers(name: &str) -> Result<bool, WorldError> {
    Ok(Wrapping::take(&mut Name::parse(name)?)? != Wrapping::default())
}

/// How the names of all environments are written that are not behind the bridge.
pub fn names() -> Vec<&'static str> {
    kinds().iter().map(|kind| kind.form()).collect()
}

/// What kinds of environments need that is no part of the program, by their names.
pub fn needs() -> Vec<(&'static str, String)> {
    let kinds = kinds();
    let needs = kinds
        .iter()
        .filter_map(|kind| Some((kind.name(), kind.needs()?)));
    needs.collect()
}

/// Checks that the environment `name` has a random start.
///
/// # Errors
/// If it has none, or if the name does not exist.
pub fn check_random_start(name: &str) -> Result<(), WorldError> {
    let parsed = parse(name, Frames::Agent)?;
    match parsed.and_then(|(maker, _)| maker.with_random_start()) {
        Some(_) => Ok(()),
        None => Err(WorldError::NoRandomStart(name.to_owned())),
    }
}

/// Kinds that a program of someone else's has added.
static ADDED: Mutex<Vec<&'static dyn Kind>> = Mutex::new(Vec::new());

/// Adds a kind of environment, so that its name means something to every command and function
/// (`examples/own_environment.rs`). To be called once, before anything is opened; of two kinds with
/// one name the first is used.
pub fn add(kind: &'static dyn Kind) {
    // A thread that panicked while it added another one has done no harm.
    let mut added = ADDED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    added.push(kind);
}

/// All kinds that are not behind the bridge.
fn kinds() -> Vec<&'static dyn Kind> {
    let added = ADDED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let built_in: [&'static dyn Kind; 3] = [
        &car_racing::CarRacingKind,
        &homebrew::HomebrewKind,
        &super_mario::MarioKind,
    ];
    built_in.into_iter().chain(added.iter().copied()).collect()
}

/// The kind of environment that `name` begins with; `None` for one behind the bridge, and for one
/// that does not exist.
fn kind_of(name: &Name<'_>) -> Option<&'static dyn Kind> {
    let begin = match name.subject() {
        Some(subject) => &name.kind[..name.kind.len() - subject.len() - 1],
        None => name.kind,
    };
    kinds().into_iter().find(|kind| kind.name() == begin)
}

/// The error of a name that is none of these.
fn unknown() -> WorldError {
    WorldError::UnknownName(names().join(", "))
}

/// A name that was read.
type Parsed = (Arc<dyn Maker>, Wrapping);

/// The environment `text` and the wrappers that it asks for; `None` for one behind the bridge.
/// Nothing is started or read for it.
fn parse(text: &str, frames: Frames) -> Result<Option<Parsed>, WorldError> {
    let mut name = Name::parse(text)?;
    let wrapping = Wrapping::take(&mut name)?;
    if gym::id(&name)?.is_some() {
        return Ok(None);
    }
    let kind = kind_of(&name).ok_or_else(unknown)?;
    let maker = match name.subject() {
        Some(subject) => kind.open_of(subject, &name.options, frames)?,
        None => kind.open(&name.options, frames)?,
    };
    Ok(Some((maker, wrapping)))
}

/// The environment `text` with its wrappers; `None` for one behind the bridge.
fn native(text: &str, frames: Frames) -> Result<Option<Arc<dyn Maker>>, WorldError> {
    let Some((maker, mut wrapping)) = parse(text, frames)? else {
        return Ok(None);
    };
    if let (Frames::Agent, ObservationSpace::Frame { .. }) = (frames, maker.spec()?.observation) {
        wrapping.see(VIEW, &maker.spec()?);
    }
    Ok(Some(wrapping.around(maker)))
}

/// Side of the agent's view in pixels.
const VIEW: usize = 64;

impl World {
    /// The environment `name` with the agent's view.
    ///
    /// # Errors
    /// If the name does not exist, or if there is no Python for a `gym:` environment, or if that
    /// would import a package that [`Bridge::trust`] does not have.
    pub fn open(name: &str, bridge: &Bridge) -> Result<Self, WorldError> {
        Self::open_with(name, bridge, Frames::Agent)
    }

    /// The environment `name` with the observation `frames`.
    ///
    /// # Errors
    /// As those of [`World::open`].
    pub fn open_with(name: &str, bridge: &Bridge, frames: Frames) -> Result<Self, WorldError> {
        let maker = match native(name, frames)? {
            Some(maker) => maker,
            None => {
                let wrapping = Wrapping::take(&mut Name::parse(name)?)?;
                wrapping.around(Arc::new(gym::Gym::open(name, bridge, frames, true)?))
            }
        };
        Ok(Self::of(name, maker))
    }

    /// A world of environments that are made in another way than by name.
    pub fn of(name: &str, maker: Arc<dyn Maker>) -> Self {
        Self {
            name: name.to_owned(),
            maker,
        }
    }

    /// The same world with episodes that begin at random places.
    ///
    /// # Errors
    /// If it has no such start.
    pub fn with_random_start(&self) -> Result<Self, WorldError> {
        let maker = self.maker.with_random_start();
        let maker = maker.ok_or_else(|| WorldError::NoRandomStart(self.name.clone()))?;
        Ok(Self::of(&self.name, maker))
    }

    /// The same world, altered by the perturbation `name` in step `step` of its episodes and all after
    /// it, see [`Maker::altered_from`].
    pub fn altered_from(&self, name: &str, step: u32) -> Option<Self> {
        let maker = self.maker.altered_from(name, step)?;
        Some(Self::of(&format!("{} under {name}", self.name), maker))
    }

    /// The name by which it was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its environments say of themselves. The first call starts the server of a `gym:`
    /// environment.
    ///
    /// # Errors
    /// If that server fails.
    pub fn spec(&self) -> Result<EnvSpec, WorldError> {
        self.maker.spec()
    }

    /// A new environment.
    ///
    /// # Errors
    /// If the server of a `gym:` environment fails.
    pub fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        self.maker.make()
    }

    /// Its changes for tests of robustness, see [`Maker::perturbations`].
    pub fn perturbations(&self) -> &'static [(&'static str, &'static str)] {
        self.maker.perturbations()
    }

    /// What can be told of its frames, see [`Maker::gauges`].
    pub fn gauges(&self) -> &'static [Gauge] {
        self.maker.gauges()
    }

    /// The environment behind the bridge that it re-implements, see [`Maker::reference`].
    ///
    /// # Errors
    /// If it has none.
    pub fn reference(&self) -> Result<String, WorldError> {
        let reference = self.maker.reference();
        reference.ok_or_else(|| WorldError::NoReference(self.name.clone()))
    }

    /// An environment with a driver that knows more than an agent sees, see [`Maker::expert`].
    ///
    /// # Errors
    /// If it has none.
    pub fn expert(&self, noise: f32, root: u64, seed: u64) -> Result<Box<dyn Expert>, WorldError> {
        let expert = self.maker.expert(noise, root, seed);
        expert.ok_or_else(|| WorldError::NoExpert(self.name.clone()))
    }

    /// What can be read of the inner state of its environments.
    ///
    /// # Errors
    /// If it shows none, or if the server of a `gym:` environment fails.
    pub fn probe_spec(&self) -> Result<&'static ProbeSpec, WorldError> {
        let mut env = self.make()?;
        let probe = env.probe().map(|probe| probe.probe_spec());
        probe.ok_or_else(|| WorldError::NoProbe(self.name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_is_refused_with_what_does() {
        for (name, words) in [
            ("pong", vec!["car-racing", "gym:ID"]),
            ("gym:", vec!["gym:CarRacing-v3"]),
            ("car-racing,rule=v5", vec!["rule=v5", "rule=v3|v4"]),
            (
                "car-racing,speed=3",
                vec!["speed=3", "domain_randomize", "perturb=colour|bars"],
            ),
            (
                "car-racing,perturb=rain",
                vec!["rain", "perturb=colour|bars|blob|noise|throttle|friction"],
            ),
            ("car-racing,fast", vec!["fast", "key=value"]),
            (
                "car-racing,perturb=colour,perturb=noise",
                vec!["perturb", "twice"],
            ),
            ("gym:CarRacing-v3,a=1,a=2", vec!["`a`", "twice"]),
            ("atari:Pong", vec!["no such environment", "gym:ID"]),
        ] {
            let text = check(name).unwrap_err().to_string();
            for word in words {
                assert!(text.contains(word), "{name}: {text}");
            }
        }
    }
}
