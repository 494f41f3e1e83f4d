//! Settings of the evolution of C.

use frmdn_cma_es::{Covariance, Recombination};
use serde::{Deserialize, Serialize};

/// Number of tested means that an evolution remembers.
pub const FINALISTS: usize = 8;

/// Evolution of C.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerConfig {
    /// Candidates per generation.
    pub population: usize,
    /// Number of generations. It can be raised for a run that was begun, which then goes on from
    /// its last one. If that was a multiple of `select_every`, the run ends as if it had had the
    /// larger number from the start.
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
    /// Number of generations between tests of the distribution's mean on selection tracks.
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
    /// Units of each hidden layer between [z, h] and the outputs. They are fitted to what planners
    /// found of the actions; the evolution then moves what the units of the last one are multiplied
    /// by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<usize>,
    /// Of a discrete space an action is drawn with a probability in proportion to exp(its output /
    /// temperature). 0: the action of the largest output.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub temperature: f64,
    /// Axes of h, where `inputs` are principal ones.
    #[serde(default)]
    pub axes: usize,
    /// At most so many of the seeds are hard ones: a quarter of the candidates scored less than
    /// nine tenths of their average on them.
    #[serde(default, rename = "hard_tracks", alias = "hard_seeds")]
    pub hard_seeds: usize,
    /// Further seeds of a generation's better half.
    #[serde(default, rename = "more_tracks", alias = "more_seeds")]
    pub more_seeds: usize,
    /// Number of evolutions that are started; the best after `start_generations` goes on.
    #[serde(default = "default_starts")]
    pub starts: u64,
    /// Number of generations of a start.
    #[serde(default = "default_start_generations")]
    pub start_generations: u64,
    /// Number of tests without an improvement after which the evolution starts again from the best
    /// mean, with half the step size and twice the population. 0: never.
    #[serde(default)]
    pub patience: u64,
    /// Number of tested means that the final choice is made from, by successive halving on further
    /// selection tracks, 8 at most: the best of the tests, or in dreams the last one and those whose
    /// candidates drove best in the rounds' real episodes. 0 and 1: the best or the last one is kept.
    #[serde(default)]
    pub finalists: usize,
    /// Share of the mean's score that its candidates should reach on average, on seeds that are
    /// not hard ones; where they reach less between two tests, the step size is reduced by a
    /// fifth. CMA-ES itself takes hundreds of generations for that where there are hundreds of
    /// parameters. 0: the step size is left to CMA-ES.
    #[serde(default, rename = "candidates_keep", alias = "candidate_ratio")]
    pub candidate_ratio: f64,
    /// What a step of the evolution moves.
    #[serde(default)]
    pub outputs: ControllerOutputs,
    /// Episodes in which a planner looks on, before the evolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lessons: Option<LessonsConfig>,
    /// First generations, which begin in the middle of recorded episodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveConfig>,
    /// All generations are driven in dreams of M, which learns between them from where they lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dreams: Option<DreamsConfig>,
    /// Settings of late generations, used from `score` on.
    #[serde(default)]
    pub late: Option<LateConfig>,
}

impl ControllerConfig {
    /// Number of rounds: 1 where C does not learn in dreams.
    pub fn rounds(&self) -> u64 {
        let round = self.dreams.as_ref().map(|dreams| dreams.round);
        round.map_or(1, |round| self.generations.div_ceil(round))
    }

    /// Selection tracks on which each of the `finalists` drives first.
    pub fn choice_seeds(&self) -> usize {
        let dreams = self.dreams.as_ref();
        dreams.map_or(self.select_seeds, |dreams| dreams.choice_seeds)
    }
}

/// Before the evolution, what was fitted to the planners' values drives while a planner looks on
/// and values the actions where *it* comes to, and is fitted again to all of it (Ross, Gordon &
/// Bagnell, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
/// Learning", 2011).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LessonsConfig {
    /// Number of times.
    pub rounds: usize,
    /// Episodes of each.
    pub episodes: usize,
}

/// Generations whose episodes begin in the middle of recorded ones of experts: near their ends at
/// first, anywhere in them at last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveConfig {
    /// Number of these generations.
    pub generations: u64,
    /// The first of them, in which the starts move from the ends of the recorded episodes back to
    /// their beginnings. In the others a start is anywhere in an episode. 0: all of them.
    #[serde(default)]
    pub backward: u64,
    /// Episodes of a candidate, from starts common to a generation.
    pub starts: usize,
    /// In the generations after `backward`, starts from shortly before so many episodes were lost by
    /// the mean of the search distribution take the place of recorded ones; at most eight times as
    /// many episodes are driven to find them.
    #[serde(default)]
    pub own: usize,
    /// Steps after which such an episode ends.
    pub steps: u32,
    /// Charged for an episode that is lost: what would have come after `steps`.
    #[serde(default)]
    pub loss: f64,
}

/// Learning in dreams: C's fitness is M's reward. After every `round` generations the candidates drive
/// real episodes, from which M learns before the next ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DreamsConfig {
    /// Generations of a round.
    pub round: u64,
    /// Most steps of a dream.
    pub horizon: u32,
    /// Temperature of the latents.
    pub temperature: f64,
    /// Share of the dreams that begin where an episode does.
    pub beginning: f64,
    /// Share of the dreams that begin after steps with little reward: the lowest quarter of the data.
    pub lost: f64,
    /// What an action costs, for each square of its distance from those of the data in standard
    /// deviations, in points of reward; of discrete actions for each nat that it is rarer.
    pub price: f64,
    /// Real episodes between two rounds.
    pub episodes: usize,
    /// Such an episode ends after that many steps without progress. It should last long enough to show
    /// how a way back is found. 0: never.
    pub give_up_after: u32,
    /// M's updates on them, and on those before.
    pub updates: u64,
    /// Adam's rate at the start of these, as a share of M's first one.
    pub rate: f64,
    /// Share of what M learns there, and of what dreams begin with, that is of the rounds' own
    /// episodes.
    pub own: f64,
    /// So many of the `episodes` are interrupted by bursts of held actions. What a driver does follows
    /// from what it sees, so that its episodes alone hardly tell what another action would have led
    /// to. They are not set beside dreams.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub disturbed: usize,
    /// A dream ends that many steps after its reward was at its highest, and is charged the time that
    /// remains, as real episodes of training are. 0: never.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub unpaid: u32,
    /// A dream ends with so much reward, in points: in the environment there is no more to gain, so
    /// that safety is worth more than speed. 0: never.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub enough: f64,
    /// Where candidates drove worse in a round's real episodes than those of the best round so far, by
    /// more than so many points, the search goes back to that round's mean; M keeps what it learned.
    /// 0: never.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub back: f64,
    /// Probability that a unit of h is hidden from M's predictions, for the whole of a dream; M's own
    /// dropout if it was trained with one. 0: none is.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub dropout: f64,
    /// Real selection tracks on which each of the `finalists` drives first.
    #[serde(
        default,
        rename = "choice_tracks",
        skip_serializing_if = "frmdn_engine::is_default"
    )]
    pub choice_seeds: usize,
}

impl ArchiveConfig {
    /// Earliest share of a recorded episode that starts of generation `generation` lie at; `None`
    /// where the way back is over.
    pub fn earliest(&self, generation: u64) -> Option<f64> {
        let backward = match self.backward {
            0 => self.generations,
            some => some,
        };
        let passed = (generation + 1) as f64 / backward as f64;
        (generation < backward).then_some(1.0 - passed)
    }
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
    /// The same, to what drivers of the data did that know more than an agent sees: `planner` and
    /// `scripted`.
    Imitate,
    /// At what comes closest, by ridge regression, to the values that planners found of a discrete
    /// space's actions: it does what looks best.
    Values,
}

/// Settings of late generations: larger ones, for good controllers.
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
    /// At most so many of their seeds are hard ones.
    #[serde(rename = "hard_tracks", alias = "hard_seeds")]
    pub hard_seeds: usize,
    /// Further seeds of the better half.
    #[serde(rename = "more_tracks", alias = "more_seeds")]
    pub more_seeds: usize,
    /// As the evolution's `candidate_ratio`, and larger: the noise of the mean grows with the
    /// distance of its candidates. 0: as before.
    #[serde(default, rename = "candidates_keep", alias = "candidate_ratio")]
    pub candidate_ratio: f64,
    /// What moves the mean from here on.
    #[serde(default)]
    pub recombination: LateRecombination,
    /// Limit of a candidate's loss on one track against the median candidate there, in points: an
    /// accident would outweigh small gains in speed on all other tracks. 0: no limit.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_move_back_and_then_are_anywhere() {
        let mut archive = ArchiveConfig {
            generations: 8,
            backward: 4,
            starts: 1,
            own: 0,
            steps: 1,
            loss: 0.0,
        };
        let earliest =
            |archive: &ArchiveConfig| Vec::from_iter((0..6).map(|g| archive.earliest(g)));
        assert_eq!(
            earliest(&archive),
            [Some(0.75), Some(0.5), Some(0.25), Some(0.0), None, None]
        );
        archive.backward = 0;
        assert_eq!(archive.earliest(7), Some(0.0));
        assert_eq!(archive.earliest(5), Some(0.25));
    }
}
