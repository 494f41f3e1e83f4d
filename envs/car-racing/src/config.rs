//! What can be chosen about the environment.

use frmdn_env::{AgentView, ObservationSpace};
use serde::{Deserialize, Serialize};

use crate::Perturbation;

/// Side of the agent's picture.
pub(crate) const AGENT: usize = 64;
/// Side of the whole picture.
pub(crate) const FULL: usize = 96;
/// Rows of the whole picture above the bar of gauges.
pub(crate) const SCENE: usize = 84;

/// What [`CarRacing`](crate::CarRacing) writes as an observation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// 64 × 64 RGB: the picture without the bar of gauges, drawn at this size.
    #[default]
    Agent64,
    /// 96 × 96 RGB: the whole picture, as Gymnasium's observation.
    Full96,
}

impl Observation {
    /// The space of these observations.
    pub fn space(self) -> ObservationSpace {
        let side = match self {
            Self::Agent64 => AGENT,
            Self::Full96 => FULL,
        };
        ObservationSpace::Frame {
            height: side,
            width: side,
            channels: 3,
        }
    }
}

/// When a lap is finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Gymnasium 1.4.0's `CarRacing-v3`: when every tile has been visited, or when tile 0 is
    /// visited for the first time after more than 95 % of the tiles. The second never happens where
    /// the car starts on tile 0, which is visited at reset; with [`CarRacingConfig::random_start`]
    /// it does, where the start is among the first 5 % of the tiles.
    #[default]
    V3,
    /// The rule as its documentation means it (`CarRacing-v4`): when a wheel comes to the tile of
    /// the start after more than 95 % of the tiles were visited, or when every tile has been
    /// visited.
    V4,
}

/// How the car is driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actions {
    /// Steering, gas and brake.
    #[default]
    Continuous,
    /// Gymnasium's `continuous=False`: 0 nothing, 1 steer right (0.6), 2 steer left, 3 gas (0.2), 4
    /// brake (0.8).
    Discrete,
}

/// The choices, with Gymnasium's values as defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CarRacingConfig {
    /// What an agent sees.
    pub observation: Observation,
    /// Start at a random tile instead of the first one; the track of a seed stays the same. Then
    /// tile 0 is not visited beforehand, so that the 95 % of [`Rule::V3`] come to life; the line of
    /// [`Rule::V4`] is the tile of the start.
    pub random_start: bool,
    /// When a lap is finished.
    pub rule: Rule,
    /// New colours of road, field and grass at every reset, drawn before the track: with them a
    /// seed has another track.
    pub domain_randomize: bool,
    /// How the car is driven.
    pub actions: Actions,
    /// Steps after which an episode is truncated.
    pub max_steps: u32,
    /// A change for tests of robustness. None: the environment as it is, in every bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perturbation: Option<Perturbation>,
}

impl Default for CarRacingConfig {
    fn default() -> Self {
        Self {
            observation: Observation::default(),
            random_start: false,
            rule: Rule::default(),
            domain_randomize: false,
            actions: Actions::default(),
            max_steps: 1000,
            perturbation: None,
        }
    }
}

impl CarRacingConfig {
    /// The environment, before its first reset.
    pub fn init(&self) -> crate::CarRacing {
        crate::CarRacing::new(self.clone())
    }

    /// What the road's friction is multiplied by: exactly 1 unless perturbed.
    pub fn road_friction(&self) -> f64 {
        self.perturbation.map_or(1.0, Perturbation::road_friction)
    }

    /// The most gas that has an effect: 1 unless perturbed.
    pub fn max_gas(&self) -> f64 {
        self.perturbation.map_or(1.0, Perturbation::max_gas)
    }
}

/// The definition of the agent's view: rows 0–83 of the 96 × 96 frame, averaged by areas to 64 ×
/// 64.
///
/// [`Observation::Agent64`] is drawn at its size directly. On Gymnasium's frames the two are 0.31
/// of 255 apart on average and less than 0.9 in every one (`frmdn env parity`, `tests/frames.rs`),
/// because the definition blurs edges twice.
pub fn agent_view() -> AgentView {
    AgentView::new((FULL, FULL, 3), 0..SCENE, AGENT).expect("these are rows of that frame")
}
