//! The configuration of the environment.

use frmdn_env::{ActionForm, ActionSpace, AgentView, EnvSpec, ObservationSpace, Progress};
use serde::{Deserialize, Serialize};

use crate::{
    FrictionRange, Perturbation,
    env::{FPS, MEASUREMENTS, measured},
    observed,
};

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
    /// No picture but 54 `f32`, about of unit size: how the car moves, seen from where its hull was
    /// a step before, its place on the road and the bends ahead, see [`observed`]. As an option of
    /// an environment it is written `observe=state`. No frame is drawn for a step;
    /// [`Env::picture`] still draws one.
    ///
    /// [`Env::picture`]: frmdn_env::Env::picture
    State,
}

impl Observation {
    /// The space of these observations.
    pub fn space(self) -> ObservationSpace {
        let side = match self {
            Self::Agent64 => AGENT,
            Self::Full96 => FULL,
            Self::State => return ObservationSpace::Latent(observed::COUNT),
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
    /// visited for the first time after more than 95 % of the tiles. The second case never occurs
    /// if the car starts on tile 0, which is visited at reset. It occurs with
    /// [`CarRacingConfig::random_start`], if the start is among the first 5 % of the tiles.
    #[default]
    V3,
    /// The rule as the documentation states it (`CarRacing-v4`): when a wheel reaches the tile of
    /// the start after more than 95 % of the tiles were visited, or when every tile has been
    /// visited.
    V4,
}

/// The form of an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actions {
    /// Steering, gas and brake.
    #[default]
    Continuous,
    /// Gymnasium's `continuous=False`: 0 nothing, 1 steer right (0.6), 2 steer left (0.6), 3 gas
    /// (0.2), 4 brake (0.8).
    Discrete,
}

/// The configuration; the defaults are Gymnasium's values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CarRacingConfig {
    /// The observation.
    pub observation: Observation,
    /// Start at a random tile instead of the first one; the track of a seed stays the same. Then
    /// tile 0 is not visited at reset, so that the 95 % of [`Rule::V3`] can apply. The start line
    /// of [`Rule::V4`] is the tile of the start.
    pub random_start: bool,
    /// When a lap is finished.
    pub rule: Rule,
    /// New colours of road, field and grass at every reset. They are drawn before the track, so a
    /// seed has another track with them than without.
    pub domain_randomize: bool,
    /// The form of an action.
    pub actions: Actions,
    /// Number of steps after which an episode is truncated.
    pub max_steps: u32,
    /// A change for tests of robustness. `None` leaves every bit of the environment as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perturbation: Option<Perturbation>,
    /// The number of the first step with the perturbation, where the first step of an episode is 1
    /// and the reset is 0, the default: then the whole episode is altered. This step acts in the
    /// altered world, and its observation is the first that shows it; what was before is the
    /// unaltered world's in every bit. An episode that ends earlier is not altered. As an option of
    /// an environment it is written `perturb_from=STEP`. Without a perturbation it has no effect.
    #[serde(skip_serializing_if = "is_reset")]
    pub perturbation_from: u32,
    /// A factor of the road's friction, drawn for every episode from this range by a stream of the
    /// seed of its own, and not observed, whatever the observation is. The track of a seed stays the
    /// same, and so does the friction of grass, which is 0.6 of the road's without a factor. It
    /// multiplies the factor of [`Perturbation::Friction`]. As an option of an environment it is
    /// written `friction=LOW..HIGH`, as `friction=0.6..1.4`. `None` leaves every bit of the
    /// environment as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub friction: Option<FrictionRange>,
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
            perturbation_from: 0,
            friction: None,
        }
    }
}

/// Whether a number of a step is that of the reset.
fn is_reset(step: &u32) -> bool {
    *step == 0
}

/// Names of the three controls.
const CONTROLS: [&str; 3] = ["steering", "gas", "brake"];
/// Names of Gymnasium's five discrete actions.
const DISCRETE: [&str; 5] = ["nothing", "steer right", "steer left", "gas", "brake"];

/// Steps after which the road that was in view is passed: 18 to 28 at the pace of good drivers.
const STEPS_IN_VIEW: u32 = 25;

impl CarRacingConfig {
    /// The environment, before its first reset.
    pub fn init(&self) -> crate::CarRacing {
        crate::CarRacing::new(self.clone())
    }

    /// What the environment says of itself.
    pub fn spec(&self) -> EnvSpec {
        let (actions, action_forms, names) = match self.actions {
            Actions::Continuous => (continuous_actions(), continuous_forms(), &CONTROLS[..]),
            Actions::Discrete => (ActionSpace::Discrete(5), Vec::new(), &DISCRETE[..]),
        };
        EnvSpec {
            rule: self.rule_in_words(),
            max_steps: Some(self.max_steps),
            steps_per_second: FPS,
            action_names: names.iter().map(|name| (*name).into()).collect(),
            action_forms,
            measurements: MEASUREMENTS.to_vec(),
            progress: Some(Progress {
                value: measured::TILES,
                most: Some(measured::TRACK),
            }),
            completed: Some(measured::LAP),
            still: Some(measured::STILL),
            stall_cost: Some(STEP_COST),
            steps_in_view: Some(STEPS_IN_VIEW),
            // The camera comes down in the first second.
            opening_steps: FPS as u32,
            has_snapshots: true,
            ..EnvSpec::new("car-racing", actions, self.observation.space())
        }
    }

    fn rule_in_words(&self) -> String {
        let version = match self.rule {
            Rule::V3 => {
                "CarRacing-v3 as in Gymnasium 1.4.0: 1000 / tiles per tile, a lap is every tile"
            }
            Rule::V4 => {
                "v4: 1000 / tiles per tile, a lap is the start line after 95 % of the tiles, or \
                 every tile"
            }
        };
        let mut text = format!(
            "{version}, -0.1 per step, {} steps at most, -100 for leaving the field",
            self.max_steps
        );
        if self.domain_randomize {
            text.push_str(", colours of the domain randomised");
        }
        if self.actions != Actions::default() {
            text.push_str(", discrete actions");
        }
        if self.random_start {
            text.push_str(
                ", start at a random tile (tile 0 is not visited beforehand: it ends a lap after \
                 95 % under v3)",
            );
        }
        if let Some(perturbation) = self.perturbation {
            text.push_str(", ");
            text.push_str(perturbation.description());
            if self.perturbation_from > 0 {
                text.push_str(&format!(" from step {} on", self.perturbation_from));
            }
        }
        if let Some(range) = self.friction {
            text.push_str(&format!(
                ", road friction × {range}, drawn for every episode and hidden"
            ));
        }
        if self.observation == Observation::State {
            text.push_str(&format!(
                ", observed are {} numbers of the car and the road ahead",
                observed::COUNT
            ));
        }
        text
    }

    /// Factor of the road's friction once the perturbation has begun, exactly 1 unless perturbed,
    /// without the one that an episode draws ([`CarRacingConfig::friction`]).
    pub fn road_friction(&self) -> f64 {
        self.perturbation.map_or(1.0, Perturbation::road_friction)
    }

    /// Largest gas that has an effect once the perturbation has begun, 1 unless perturbed.
    pub fn max_gas(&self) -> f64 {
        self.perturbation.map_or(1.0, Perturbation::max_gas)
    }
}

/// What a step costs.
pub(crate) const STEP_COST: f64 = 0.1;

/// The space of `[steer, gas, brake]`.
fn continuous_actions() -> ActionSpace {
    ActionSpace::Box {
        low: vec![-1.0, 0.0, 0.0],
        high: vec![1.0; 3],
    }
}

/// Steering, gas and brake of a controller as Ha and Schmidhuber squash them. A good lap keeps the
/// gas at 0.1 of its range, where its tanh is three times less steep than the steering's; the brake
/// gets the scale of the gas.
pub fn continuous_forms() -> Vec<ActionForm> {
    let output_scale = 3.0;
    vec![
        ActionForm::Plain,
        ActionForm::ScaledBy { output_scale },
        ActionForm::Clipped { output_scale },
    ]
}

/// The definition of the agent's view: rows 0–83 of the 96 × 96 frame, averaged by areas to 64 ×
/// 64.
///
/// [`Observation::Agent64`] is drawn directly at its size. It differs from this view of Gymnasium's
/// frames by 0.31 of 255 on average and by less than 0.9 in every frame (`frmdn env parity`,
/// `tests/frames.rs`), because this view blurs edges twice.
pub fn agent_view() -> AgentView {
    AgentView::new((FULL, FULL, 3), 0..SCENE, AGENT).expect("these are rows of that frame")
}
