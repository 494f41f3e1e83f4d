//! What an environment says of itself.

use std::{borrow::Cow, ops::Deref};

use crate::{ActionSpace, ObservationSpace};

/// An environment's declaration. Everything that is built on environments, scores, films and the
/// training of agents, asks it instead of knowing environments by name.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvSpec {
    /// Its name.
    pub name: String,
    /// The rule under which scores are counted, in words; it is stored beside every score.
    pub rule: String,
    /// Number of steps after which an episode is truncated; `None` without a limit.
    pub max_steps: Option<u32>,
    /// Steps per second of the time that the environment simulates, for films.
    pub steps_per_second: f64,
    /// The actions that [`crate::Env::step`] accepts.
    pub actions: ActionSpace,
    /// Names of the values of a box of actions, or of discrete ones; empty where they have none.
    pub action_names: Vec<Cow<'static, str>>,
    /// How a controller's outputs become values of a box of actions, one each; empty for
    /// [`ActionForm::Scaled`] everywhere and for discrete actions.
    pub action_forms: Vec<ActionForm>,
    /// What [`crate::Env::reset`] and [`crate::Env::step`] write.
    pub observation: ObservationSpace,
    /// The checksum of the encoder that made the observations, where they are its latents of frames
    /// that nobody sees: only an agent with this very encoder can act on them.
    pub encoder: Option<String>,
    /// Steps, at a usual pace, after which nothing is left of what was in view; `None` where nobody
    /// has measured it.
    pub steps_in_view: Option<u32>,
    /// Steps at the beginning of an episode in which what is seen is not yet as it is later.
    pub opening_steps: u32,
    /// What every step measures, in the order of [`crate::Step::measured`]; at most
    /// [`Measured::MOST`].
    pub measurements: Vec<Measurement>,
    /// Which measurement grows as the task is being done.
    pub progress: Option<Progress>,
    /// Which measurement is 1 once the task was completed.
    pub completed: Option<usize>,
    /// Which measurement is 1 while nothing moves.
    pub still: Option<usize>,
    /// What a step without progress costs. An episode that is given up is charged as much for every
    /// step that remains.
    pub stall_cost: Option<f64>,
    /// Whether all seeds give the same episode.
    pub is_deterministic: bool,
    /// Whether [`crate::Env::snapshot`] gives the whole state.
    pub has_snapshots: bool,
    /// Names and versions of other programs that decide what it does.
    pub versions: Vec<(String, String)>,
}

impl EnvSpec {
    /// An environment of which nothing is known but its spaces: no limit on steps, nothing measured,
    /// 30 steps a second.
    pub fn new(
        name: impl Into<String>,
        actions: ActionSpace,
        observation: ObservationSpace,
    ) -> Self {
        Self {
            name: name.into(),
            rule: "its own".into(),
            max_steps: None,
            steps_per_second: 30.0,
            actions,
            action_names: Vec::new(),
            action_forms: Vec::new(),
            observation,
            encoder: None,
            steps_in_view: None,
            opening_steps: 0,
            measurements: Vec::new(),
            progress: None,
            completed: None,
            still: None,
            stall_cost: None,
            is_deterministic: false,
            has_snapshots: false,
            versions: Vec::new(),
        }
    }

    /// Whether the task was completed, as far as the environment tells.
    pub fn is_completed(&self, measured: &[f64]) -> bool {
        self.completed.is_some_and(|i| measured[i] != 0.0)
    }

    /// Whether nothing moves, as far as the environment tells.
    pub fn is_still(&self, measured: &[f64]) -> bool {
        self.still.is_some_and(|i| measured[i] != 0.0)
    }

    /// Progress so far and the largest possible, which is infinite where it is not known; `None`
    /// where the environment measures none.
    pub fn progress_of(&self, measured: &[f64]) -> Option<(f64, f64)> {
        let progress = self.progress?;
        let most = progress.most.map_or(f64::INFINITY, |i| measured[i]);
        Some((measured[progress.value], most))
    }
}

/// How one output of a controller, any real number, becomes one value of a box of actions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ActionForm {
    /// Its tanh, scaled to the range.
    Scaled,
    /// Its tanh as it is, for a range of −1..1.
    Plain,
    /// As [`ActionForm::Scaled`], for a value whose good range is near its lower end, as Car-Racing's
    /// gas: where the tanh is flatter, steps of a search are `output_scale` times as long.
    ScaledBy {
        /// That factor.
        output_scale: f64,
    },
    /// Its tanh where that is positive, else nothing: for a brake, which is rarely touched.
    Clipped {
        /// As in [`ActionForm::ScaledBy`].
        output_scale: f64,
    },
}

impl ActionForm {
    /// The form called `plain`, `scaled`, `scaled:FACTOR`, `clipped` or `clipped:FACTOR`, where the
    /// factor is its `output_scale`, above 0 and at most 1000.
    pub fn named(text: &str) -> Option<Self> {
        let (name, factor) = match text.split_once(':') {
            Some((name, factor)) => (name, Some(factor.parse::<f64>().ok()?)),
            None => (text, None),
        };
        if factor.is_some_and(|f| !(f > 0.0 && f <= 1000.0)) {
            return None;
        }
        match (name, factor) {
            ("plain", None) => Some(Self::Plain),
            ("scaled", None) => Some(Self::Scaled),
            ("scaled", Some(output_scale)) => Some(Self::ScaledBy { output_scale }),
            ("clipped", factor) => Some(Self::Clipped {
                output_scale: factor.unwrap_or(1.0),
            }),
            _ => None,
        }
    }
}

/// One thing that an environment measures at every step.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Its name, a word or two.
    pub name: Cow<'static, str>,
    /// Its unit; empty for counts of nothing in particular and for yes (1) or no (0).
    pub unit: Cow<'static, str>,
    /// Whether more of it is better or worse, or neither.
    pub better: Better,
}

/// Which values of a measurement are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Higher ones.
    Higher,
    /// Lower ones.
    Lower,
    /// None: it only describes.
    Neither,
}

impl Measurement {
    /// A measurement of a native environment.
    pub const fn new(name: &'static str, unit: &'static str, better: Better) -> Self {
        Self {
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
            better,
        }
    }
}

/// Which measurement is progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of the measurement. It may fall; what counts is whether it rises.
    pub value: usize,
    /// The number of the measurement that is its largest possible value, if there is one.
    pub most: Option<usize>,
}

/// The measurements of one step, in the order of [`EnvSpec::measurements`]. A few values in place,
/// so that a step allocates nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    values: [f64; Self::MOST],
    len: usize,
}

impl Measured {
    /// Most measurements of an environment.
    pub const MOST: usize = 12;

    /// These values.
    ///
    /// # Panics
    /// If they are more than [`Measured::MOST`].
    pub fn new(values: &[f64]) -> Self {
        let mut measured = Self::default();
        measured.values[..values.len()].copy_from_slice(values);
        measured.len = values.len();
        measured
    }
}

impl Deref for Measured {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values[..self.len]
    }
}
