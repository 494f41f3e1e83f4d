//! What can be chosen about the environment.

use frmdn_env::{AgentView, ObservationSpace};
use serde::{Deserialize, Serialize};

/// Side of the agent's picture.
pub(crate) const AGENT: usize = 64;
/// Side of the whole picture.
pub(crate) const FULL: usize = 96;

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
        ObservationSpace::Frame { height: side, width: side, channels: 3 }
    }
}

/// When a lap is finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Gymnasium 1.4.0's `CarRacing-v3`: when every tile has been visited. Its `lap_complete_percent` has no effect, because
    /// the tile that it asks about is visited at reset.
    #[default]
    V3,
    /// The rule as its documentation means it (`CarRacing-v4`): when a wheel comes to the tile of the start after more than
    /// 95 % of the tiles were visited, or when every tile has been visited.
    V4,
}

/// How it is steered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actions {
    /// Steering, gas and brake.
    #[default]
    Continuous,
    /// One of five.
    Discrete,
}

/// The choices, with Gymnasium's values as defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CarRacingConfig {
    /// What an agent sees.
    pub observation: Observation,
    /// Start at a random tile instead of the first one. The track of a seed stays the same.
    pub random_start: bool,
    /// When a lap is finished.
    pub rule: Rule,
    /// New colours at every reset.
    pub domain_randomize: bool,
    /// How it is steered.
    pub actions: Actions,
    /// Steps after which an episode is truncated.
    pub max_steps: u32,
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
        }
    }
}

impl CarRacingConfig {
    /// The environment, before its first reset.
    pub fn init(&self) -> crate::CarRacing {
        crate::CarRacing::new(self.clone())
    }
}

/// The definition of the agent's view.
pub fn agent_view() -> AgentView {
    AgentView::new((FULL, FULL, 3), 0..84, AGENT).expect("rows of the frame")
}
