//! Settings of the evolution of C.

use frmdn_cma_es::{Covariance, Recombination};
use serde::{Deserialize, Serialize};

/// Tested means that an evolution remembers.
pub const FINALISTS: usize = 8;

/// Evolution of C.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerConfig {
    /// Candidates per generation.
    pub population: usize,
    /// Generations. Of a run that was begun they can be made more: typed with the run's folder it
    /// goes on from where it was. If the last one was a multiple of `select_every`, it ends as if
    /// that many had been asked for at first.
    pub generations: u64,
    /// Episodes per candidate, on seeds common to a generation.
    #[serde(rename = "tracks", alias = "seeds")]
    pub seeds: usize,
    /// Initial step size of CMA-ES.
    pub sigma: f64,
    /// Form of the covariance.
    pub covariance: Covariance,
    /// What moves the mean: the better half, all candidates, or mirrored samples.
    #[serde(default)]
    pub recombination: Recombination,
    /// In training only: an episode without progress for that many steps ends and is charged the
    /// time that remains. 0: never.
    pub give_up_after: u32,
    /// Generations between tests of the distribution's mean on selection tracks.
    pub select_every: u64,
    /// Selection seeds of such a test.
    #[serde(rename = "select_tracks", alias = "select_seeds")]
    pub select_seeds: usize,
    /// What the evolved weights multiply.
    #[serde(default)]
    pub inputs: ControllerInputs,
    /// Where the evolution begins.
    #[serde(default)]
    pub start: ControllerStart,
    /// Axes of h, where `inputs` are principal ones.
    #[serde(default)]
    pub axes: usize,
    /// Of the seeds, at most that many are ones that a quarter of the candidates have failed: with
    /// less than nine tenths of what they come to on average.
    #[serde(default, rename = "hard_tracks", alias = "hard_seeds")]
    pub hard_seeds: usize,
    /// Further seeds of a generation's better half.
    #[serde(default, rename = "more_tracks", alias = "more_seeds")]
    pub more_seeds: usize,
    /// Evolutions begun; the one that is best after `start_generations` goes on.
    #[serde(default = "default_starts")]
    pub starts: u64,
    /// Generations of a start.
    #[serde(default = "default_start_generations")]
    pub start_generations: u64,
    /// Tests without an improvement after which the evolution starts again from the best mean, with
    /// half the step size and twice the population. 0: never.
    #[serde(default)]
    pub patience: u64,
    /// Tested means that the final choice is made from, by successive halving on further selection
    /// tracks, 8 at most. 0 and 1: the best of the tests.
    #[serde(default)]
    pub finalists: usize,
    /// Part of the mean's score that its candidates should reach on average, on seeds that were
    /// not failed before; where they reach less between two tests, steps are made shorter by a
    /// fifth. CMA-ES itself takes hundreds of generations for that where there are hundreds of
    /// parameters. 0: it is left alone.
    #[serde(default, rename = "candidates_keep", alias = "candidate_ratio")]
    pub candidate_ratio: f64,
    /// What a step of the evolution moves.
    #[serde(default)]
    pub outputs: ControllerOutputs,
    /// Larger generations for good drivers.
    #[serde(default)]
    pub late: Option<LateConfig>,
}

/// What the evolved weights multiply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControllerInputs {
    /// [z, h] as they are.
    #[default]
    Raw,
    /// Whitened: each value less its mean, in units of its standard deviation.
    #[serde(rename = "standard", alias = "whitened")]
    Whitened,
    /// z whitened, and h along its widest principal axes.
    Principal,
}

/// What a step of the evolution moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControllerOutputs {
    /// All outputs of the controller alike.
    #[default]
    Raw,
    /// Those of Car-Racing's gas and brake three times as far
    /// ([`crate::controller::Actions::output_scale`]); of other actions all alike.
    #[serde(rename = "even", alias = "scaled")]
    Scaled,
}

/// Where an evolution begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControllerStart {
    /// At weights of zero.
    #[default]
    Origin,
    /// At the weights that come closest, by ridge regression, to what the agent in `first` did.
    First,
}

/// Larger generations for good drivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateConfig {
    /// Score on the selection tracks from which they are used.
    pub score: f64,
    /// Candidates per generation.
    pub population: usize,
    /// Episodes per candidate.
    #[serde(rename = "tracks", alias = "seeds")]
    pub seeds: usize,
    /// Of their seeds, at most that many which a quarter of the candidates have failed.
    #[serde(rename = "hard_tracks", alias = "hard_seeds")]
    pub hard_seeds: usize,
    /// Further seeds of the better half.
    #[serde(rename = "more_tracks", alias = "more_seeds")]
    pub more_seeds: usize,
    /// As the evolution's `candidate_ratio`, and larger: a mean wanders as far as its candidates
    /// lie from it. 0: as before.
    #[serde(default, rename = "candidates_keep", alias = "candidate_ratio")]
    pub candidate_ratio: f64,
    /// What moves the mean from here on.
    #[serde(default)]
    pub recombination: LateRecombination,
    /// On no track does a candidate count as more than that many points worse than the median
    /// candidate there: an accident would hide what was learned about pace on all other tracks. 0:
    /// no limit.
    #[serde(default)]
    pub loss_limit: f64,
}

/// What moves the mean in late generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LateRecombination {
    /// What moved it before.
    #[default]
    AsBefore,
    /// [`Recombination::BetterHalf`].
    BetterHalf,
    /// [`Recombination::All`].
    All,
    /// [`Recombination::Mirrored`].
    #[serde(rename = "pairs", alias = "mirrored")]
    Mirrored,
}

impl LateRecombination {
    /// What it is after `before`.
    pub fn after(self, before: Recombination) -> Recombination {
        match self {
            Self::AsBefore => before,
            Self::BetterHalf => Recombination::BetterHalf,
            Self::All => Recombination::All,
            Self::Mirrored => Recombination::Mirrored,
        }
    }
}

fn default_starts() -> u64 {
    1
}

fn default_start_generations() -> u64 {
    10
}
