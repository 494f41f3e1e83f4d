//! Environments by name.
//!
//! A name may have options after commas: `car-racing`, `car-racing,rule=v4`,
//! `gym:CarRacing-v3,domain_randomize=true`. Presets, agents and scores store it.

mod error;
mod name;
mod scripted;

use std::{path::PathBuf, sync::Arc, time::Duration};

use frmdn_car_racing::{CarRacing, CarRacingConfig, Observation, Rule};
use frmdn_env::{ActionSpace, Env};
use frmdn_gym_bridge::{Fleet, GymConfig, GymEnv, Python};

pub use error::WorldError;
pub use scripted::{Script, Scripted};

use name::Name;

/// Side of the agent's view in pixels.
const VIEW: usize = 64;
/// Rows of Car-Racing's frame above the bar of gauges, which are those of the agent's view.
const SCENE: std::ops::Range<usize> = 0..84;

/// Settings of `gym:` environments.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// The Python interpreter; `None` searches for one, see [`Python::find`].
    pub python: Option<PathBuf>,
    /// Longest time of a reset or a step. The start of an environment may take three times as long.
    pub deadline: Duration,
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            python: None,
            deadline: Duration::from_secs(60),
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
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    CarRacing(CarRacingConfig),
    Gym(Arc<Fleet>),
}

/// Checks a name and its options. Whether Python has a `gym:` environment is checked when it is
/// opened.
///
/// # Errors
/// If the name or an option does not exist.
pub fn check(name: &str) -> Result<(), WorldError> {
    Name::parse(name).map(drop)
}

/// Checks that the environment `name` has a random start.
///
/// # Errors
/// If it has none, or if the name does not exist.
pub fn check_random_start(name: &str) -> Result<(), WorldError> {
    match Name::parse(name)? {
        Name::CarRacing(_) => Ok(()),
        Name::Gym { .. } => Err(WorldError::OnlyCarRacing),
    }
}

impl World {
    /// The environment `name` with the agent's view.
    ///
    /// # Errors
    /// If the name does not exist, or if there is no Python for a `gym:` environment.
    pub fn open(name: &str, bridge: &Bridge) -> Result<Self, WorldError> {
        Self::open_with(name, bridge, Frames::Agent, true)
    }

    /// The environment `name` with the observation `frames`. Without `draw`, a `gym:` Car-Racing
    /// leaves its frames empty, which makes it fifty times faster.
    ///
    /// # Errors
    /// As those of [`World::open`].
    pub fn open_with(
        name: &str,
        bridge: &Bridge,
        frames: Frames,
        draw: bool,
    ) -> Result<Self, WorldError> {
        let kind = match Name::parse(name)? {
            Name::CarRacing(config) => {
                let observation = if frames == Frames::Agent {
                    Observation::Agent64
                } else {
                    Observation::Full96
                };
                Kind::CarRacing(CarRacingConfig {
                    observation,
                    ..config
                })
            }
            Name::Gym { id, kwargs } => {
                let python = Python::find(bridge.python.as_deref(), &id)?;
                let mut config = GymConfig::new(id);
                config.kwargs = kwargs;
                config.draw = draw;
                config.processes = rayon::current_num_threads();
                config.view = (frames == Frames::Agent)
                    .then(|| (is_car_racing(&config.id).then_some(SCENE), VIEW));
                config.deadline = bridge.deadline;
                config.start_deadline = bridge.deadline * 3;
                Kind::Gym(Fleet::new(config, python.launch()?))
            }
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
        })
    }

    /// The same world, in which the car starts at a random tile.
    ///
    /// # Errors
    /// If it is not the native Car-Racing.
    pub fn with_random_start(&self) -> Result<Self, WorldError> {
        match &self.kind {
            Kind::CarRacing(config) => Ok(Self {
                name: self.name.clone(),
                kind: Kind::CarRacing(CarRacingConfig {
                    random_start: true,
                    ..config.clone()
                }),
            }),
            Kind::Gym(_) => Err(WorldError::NoRandomStart(self.name.clone())),
        }
    }

    /// The name by which it was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new environment.
    ///
    /// # Errors
    /// If the server of a `gym:` environment fails.
    pub fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        Ok(match &self.kind {
            Kind::CarRacing(config) => Box::new(config.init()),
            Kind::Gym(fleet) => Box::new(fleet.make()?),
        })
    }

    /// Its actions. The first call starts the server of a `gym:` environment.
    ///
    /// # Errors
    /// If that server fails.
    pub fn action_space(&self) -> Result<ActionSpace, WorldError> {
        Ok(match &self.kind {
            Kind::CarRacing(config) => config.init().action_space().clone(),
            Kind::Gym(fleet) => fleet.spec()?.action_space.clone(),
        })
    }

    /// Number of steps after which an episode is truncated; `None` without a limit.
    ///
    /// # Errors
    /// If the server of a `gym:` environment fails.
    pub fn max_steps(&self) -> Result<Option<u32>, WorldError> {
        Ok(match &self.kind {
            Kind::CarRacing(config) => Some(config.max_steps),
            Kind::Gym(fleet) => fleet.spec()?.max_steps,
        })
    }

    /// The rule under which scores are counted, in words; it is stored beside every score.
    ///
    /// # Errors
    /// If the server of a `gym:` environment fails.
    pub fn rule(&self) -> Result<String, WorldError> {
        Ok(match &self.kind {
            Kind::CarRacing(config) => {
                let version = match config.rule {
                    Rule::V3 => {
                        "CarRacing-v3 as in Gymnasium 1.4.0: 1000 / tiles per tile, a lap is every \
                         tile"
                    }
                    Rule::V4 => {
                        "v4: 1000 / tiles per tile, a lap is the start line after 95 % of the \
                         tiles, or every tile"
                    }
                };
                let mut text = format!(
                    "{version}, -0.1 per step, {} steps at most, -100 for leaving the field",
                    config.max_steps
                );
                for (is, what) in [
                    (
                        config.domain_randomize,
                        ", colours of the domain randomised",
                    ),
                    (
                        config.actions != frmdn_car_racing::Actions::default(),
                        ", discrete actions",
                    ),
                    (
                        config.random_start,
                        ", start at a random tile (tile 0 is not visited beforehand: it ends a lap \
                         after 95 % under v3)",
                    ),
                ] {
                    text.push_str(if is { what } else { "" });
                }
                if let Some(perturbation) = config.perturbation {
                    text.push_str(&format!(", {}", perturbation.description()));
                }
                text
            }
            Kind::Gym(fleet) => {
                let spec = fleet.spec()?;
                let packages = spec.versions.iter().filter(|(name, _)| {
                    ["gymnasium", "gym-super-mario-bros"].contains(&name.as_str())
                });
                let packages: Vec<String> = packages
                    .map(|(name, version)| format!("{name} {version}"))
                    .collect();
                let most = spec
                    .max_steps
                    .map_or("no limit on steps".into(), |n| format!("{n} steps at most"));
                format!("{}'s own, of {}: {most}", self.name, packages.join(", "))
            }
        })
    }

    /// Versions of Python and its packages; empty for a native environment.
    ///
    /// # Errors
    /// If the server of a `gym:` environment fails.
    pub fn versions(&self) -> Result<Vec<(String, String)>, WorldError> {
        Ok(match &self.kind {
            Kind::CarRacing(_) => Vec::new(),
            Kind::Gym(fleet) => fleet.spec()?.versions.clone().into_iter().collect(),
        })
    }

    /// A new native Car-Racing, which shows its state; `None` for another environment.
    pub fn car_racing(&self) -> Option<CarRacing> {
        match &self.kind {
            Kind::CarRacing(config) => Some(config.init()),
            Kind::Gym(_) => None,
        }
    }

    /// A new environment of Gymnasium, which shows its state; `None` for a native environment.
    ///
    /// # Errors
    /// If its server fails.
    pub fn gym(&self) -> Result<Option<GymEnv>, WorldError> {
        match &self.kind {
            Kind::CarRacing(_) => Ok(None),
            Kind::Gym(fleet) => Ok(Some(fleet.make()?)),
        }
    }
}

/// Whether an id of Gymnasium is a Car-Racing, whose frames have a bar of gauges.
fn is_car_racing(id: &str) -> bool {
    id.rsplit([':', '/'])
        .next()
        .is_some_and(|base| base.starts_with("CarRacing-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_name_their_rule() {
        let rule = |name: &str| {
            World::open(name, &Bridge::default())
                .unwrap()
                .rule()
                .unwrap()
        };
        assert!(
            rule("car-racing").contains("CarRacing-v3")
                && rule("car-racing").contains("every tile")
        );
        let text =
            rule("car-racing,rule=v4,domain_randomize=true,continuous=false,random_start=true");
        for word in ["v4", "95 %", "colours", "discrete", "random tile"] {
            assert!(text.contains(word), "{text}");
        }
        for perturbation in frmdn_car_racing::Perturbation::ALL {
            let text = rule(&format!("car-racing,perturb={}", perturbation.name()));
            assert!(
                text.starts_with(&rule("car-racing")) && text.ends_with(perturbation.description()),
                "{text}"
            );
        }
    }

    #[test]
    fn car_racings_of_gymnasium_are_known() {
        for (id, is) in [
            ("CarRacing-v3", true),
            ("frmdn_gym:frmdn/CarRacing-v3", true),
            ("ALE/Pong-v5", false),
            ("MyCarRacing-v3", false),
        ] {
            assert_eq!(is_car_racing(id), is, "{id}");
        }
    }
}
