//! Presets: every choice of a run in one TOML file, resolved once and kept in the run folder.

mod check;

use std::path::Path;

use frmdn_cma_es::{Covariance, Recombination};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{Result, RunError};
use crate::{memory::MemoryConfig, vision::VaeConfig};

/// The presets that are compiled in: name and text.
pub const SHIPPED: [(&str, &str); 5] = [
    ("tiny", include_str!("../../agents/tiny.toml")),
    (
        "car-racing-scout",
        include_str!("../../agents/car-racing-scout.toml"),
    ),
    (
        "car-racing-rmdn",
        include_str!("../../agents/car-racing-rmdn.toml"),
    ),
    (
        "car-racing-frmdn",
        include_str!("../../agents/car-racing-frmdn.toml"),
    ),
    ("likelihood", include_str!("../../agents/likelihood.toml")),
];

/// Everything that decides a run. All keys are explicit; the run folder keeps the resolved copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What it is for and what it costs, in words.
    pub description: String,
    /// Name of the environment (see [`crate::worlds`]).
    pub environment: String,
    /// Root seed of every random stream of the run.
    pub seed: u64,
    /// An earlier round: an agent that is trained before anything else and drives some of the
    /// episodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstConfig>,
    /// What V and M must reach before anything is built on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<GatesConfig>,
    /// Collection of episodes.
    pub collect: CollectConfig,
    /// V and its training.
    pub vision: VisionTraining,
    /// M and its training.
    pub memory: MemoryTraining,
    /// C and its evolution.
    pub controller: ControllerConfig,
    /// The final evaluation.
    pub evaluate: EvaluateConfig,
}

/// Tested means that an evolution remembers.
pub const FINALISTS: usize = 8;

/// Name of the agent of the earlier round among the drivers, and of its folder in the run folder.
pub const FIRST: &str = "first";

/// An earlier round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstConfig {
    /// Name of its preset, or path of a TOML file: environment and seed are the run's own. Or the
    /// folder of a run or checkpoint, whose agent is taken as it is.
    pub preset: String,
}

impl FirstConfig {
    /// The folder whose agent is taken as it is, if that is what `preset` names. A shipped preset
    /// is none, whatever folders there are.
    pub fn agent(&self) -> Option<&Path> {
        let shipped = SHIPPED.iter().any(|(name, _)| *name == self.preset);
        Some(Path::new(&self.preset)).filter(|path| !shipped && path.is_dir())
    }

    /// What it names must be there, and must not come back to itself.
    fn check(&self) -> Result<()> {
        let (mut seen, mut next) = (Vec::new(), Some(self.clone()));
        while let Some(first) = next.filter(|first| first.agent().is_none()) {
            let name = first.preset;
            if seen.contains(&name) {
                return Err(RunError::Config(format!(
                    "first.preset: `{name}` is an earlier round of itself"
                )));
            }
            let text = preset_text(&name).map_err(|e| {
                RunError::Config(format!(
                    "first.preset: {e}; or the folder of a run or checkpoint, \
                    whose agent is taken as it is"
                ))
            });
            let (_, text) = text?;
            // Whatever else is wrong in it is told when it is resolved.
            next = toml::from_str::<Preset>(&text)
                .ok()
                .and_then(|preset| preset.first);
            seen.push(name);
        }
        Ok(())
    }
}

/// What V and M must reach on held-out episodes before the next stage begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatesConfig {
    /// Mean squared error of a pixel's value (0..1) in V's reconstruction, at most.
    pub pixel_mse: f64,
    /// Distance of V's KL from its target, in parts of the target, at most.
    pub kl: f64,
    /// Active dimensions of the latent, at least.
    pub active: u64,
    /// M's nats a step above the floor, at most.
    pub above_floor: f64,
    /// Correlation of M's rewards with the real ones, at least.
    pub reward_correlation: f64,
}

/// Collection of episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectConfig {
    /// Who drives: `brownian`, `scripted` (a noisy driver that knows the track), `first` (the agent
    /// of the earlier round), or the path of a run or checkpoint; several, with commas between,
    /// take turns.
    pub policy: String,
    /// Number of episodes; every tenth is held out.
    pub episodes: usize,
    /// Most steps of one episode.
    pub steps: usize,
    /// The car starts at a random tile.
    pub random_start: bool,
}

impl CollectConfig {
    /// The drivers, in the order in which they take turns.
    pub fn policies(&self) -> Vec<&str> {
        self.policy.split(',').map(str::trim).collect()
    }

    /// Which of the drivers has episode `index`. Turns are shifted after every ten episodes,
    /// because every tenth is held out.
    pub fn driver(&self, index: usize) -> usize {
        (index + index / 10) % self.policies().len()
    }
}

/// Training of V.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionTraining {
    /// The VAE itself.
    pub model: VaeConfig,
    /// KL per frame in nats that β is adapted to.
    pub target_kl: f64,
    /// Part of the range that colours of the frames V sees in training are altered by, 0 (not at
    /// all) to 1; it reconstructs the frames as they were. Latents are always those of unaltered
    /// frames.
    #[serde(default)]
    pub augment: f64,
    /// Frames per update.
    pub batch: usize,
    /// Most updates.
    pub updates: u64,
    /// Adam's rate at the start; falls to a tenth along a cosine.
    pub learning_rate: f64,
    /// Episodes that are in memory at a time.
    pub window_episodes: usize,
    /// Updates on one window of episodes before the next is loaded.
    pub window_updates: u64,
    /// Updates between held-out losses (and checkpoints).
    pub evaluate_every: u64,
    /// Held-out losses without an improvement after which training stops.
    pub patience: u64,
}

/// Latents that M is fed; those that it predicts are always draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// The draws that were predicted a step before: what a dream feeds it.
    #[default]
    Draws,
    /// V's means: what acting feeds it.
    Means,
}

/// Training of M.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryTraining {
    /// The memory itself.
    pub model: MemoryConfig,
    /// Sequences per update.
    pub batch: usize,
    /// Steps per sequence.
    pub sequence: usize,
    /// Most updates.
    pub updates: u64,
    /// Adam's rate at the start; falls along a cosine.
    pub learning_rate: f64,
    /// What it falls to, in parts of itself.
    #[serde(default = "default_final_rate")]
    pub final_rate: f64,
    /// Episodes of latents that are in memory at a time.
    pub window_episodes: usize,
    /// Updates on one window before the next is loaded.
    pub window_updates: u64,
    /// Updates between held-out losses (and checkpoints).
    pub evaluate_every: u64,
    /// Held-out losses without an improvement after which training stops.
    pub patience: u64,
    /// Sequences of consecutive batches follow each other in their episodes, and states are carried
    /// on (truncated backward through time); else every sequence starts anywhere, from a zero
    /// state.
    #[serde(default)]
    pub carry: bool,
    /// What M is fed.
    #[serde(default)]
    pub inputs: Inputs,
    /// Standard deviation of the latents around V's mean, in parts of each dimension's own; 0: V's
    /// posterior.
    #[serde(default)]
    pub noise: f64,
    /// Standard deviation of normal noise on the latents that M is fed (not on those it predicts),
    /// in the same parts.
    #[serde(default)]
    pub input_noise: f64,
}

fn default_final_rate() -> f64 {
    0.1
}

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

/// The final evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Test tracks.
    pub episodes: usize,
}

/// Where the preset `name` comes from, and its text.
fn preset_text(name: &str) -> Result<(String, String)> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok((
            name.to_owned(),
            std::fs::read_to_string(path).map_err(RunError::io("read", path))?,
        ));
    }
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return Ok((
            format!("agents/{name}.toml (compiled in)"),
            (*text).to_owned(),
        ));
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(n, _)| *n).collect();
    Err(RunError::Config(format!(
        "there is no preset and no file `{name}`. Presets: {}; or give the path of a TOML file, \
         for example a changed copy of one from agents/",
        names.join(", ")
    )))
}

impl Preset {
    /// The preset `name`, a shipped one or a path (a path wins), with `sets` (`key=value`, dotted
    /// keys) applied.
    pub fn resolve(name: &str, sets: &[String]) -> Result<Self> {
        let (origin, text) = preset_text(name)?;
        let preset: Self =
            toml::from_str(&text).map_err(|e| RunError::Config(format!("{origin}: {e}")))?;
        let preset = preset.with(sets)?;
        preset
            .validate()
            .map_err(|e| RunError::Config(format!("{origin}: {e}")))?;
        Ok(preset)
    }

    /// This preset with `sets` applied.
    pub fn with(self, sets: &[String]) -> Result<Self> {
        let mut table = self.table();
        for set in sets {
            let fail = |what: String| RunError::Config(format!("--set {set}: {what}"));
            let (key, text) = set.split_once('=').ok_or_else(|| {
                fail("write it as key=value, for example vision.updates=500".into())
            })?;
            let mut parts: Vec<&str> = key.trim().split('.').collect();
            let last = parts.pop().unwrap_or_default();
            let mut at = &mut table;
            for part in parts {
                let keys = at.keys().cloned().collect::<Vec<_>>().join(", ");
                at = at
                    .get_mut(part)
                    .and_then(Value::as_table_mut)
                    .ok_or_else(|| {
                        fail(format!("there is no table `{part}`; allowed here: {keys}"))
                    })?;
            }
            let keys = at.keys().cloned().collect::<Vec<_>>().join(", ");
            let slot = at
                .get_mut(last)
                .ok_or_else(|| fail(format!("there is no key `{last}`; allowed here: {keys}")))?;
            // A bare word is a string, so that nobody has to quote quotes in a shell.
            let value = toml::from_str::<Table>(&format!("v = {text}"))
                .ok()
                .and_then(|mut t| t.remove("v"));
            let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
            *slot = match (&*slot, value) {
                (Value::Float(_), Value::Integer(i)) => Value::Float(i as f64),
                (_, value) => value,
            };
        }
        let resolved: Self = table.try_into().map_err(|e: toml::de::Error| {
            RunError::Config(format!(
                "--set {}: {}",
                sets.join(" --set "),
                e.to_string().trim()
            ))
        })?;
        resolved.validate().map_err(RunError::Config)?;
        Ok(resolved)
    }

    fn table(&self) -> Table {
        Table::try_from(self).expect("a preset is plain data")
    }

    /// Whether nothing but the number of generations differs, and `self` has more of them.
    pub fn only_lengthens(&self, other: &Self) -> bool {
        let mut same = self.clone();
        same.controller.generations = other.controller.generations;
        self.controller.generations > other.controller.generations
            && same.differences(other).is_empty()
    }

    /// The keys in which `self` and `other` differ, one line each; empty if they agree. The
    /// description decides nothing.
    pub fn differences(&self, other: &Self) -> String {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        flatten("", &Value::Table(self.table()), &mut a);
        flatten("", &Value::Table(other.table()), &mut b);
        let find = |list: &[(String, String)], key: &str| {
            list.iter()
                .find(|(k, _)| k == key)
                .map_or("(unset)".into(), |(_, v)| v.clone())
        };
        let mut keys: Vec<&String> = a.iter().chain(&b).map(|(k, _)| k).collect();
        keys.sort();
        keys.dedup();
        keys.iter()
            .filter(|k| k.as_str() != "description" && find(&a, k) != find(&b, k))
            .map(|k| {
                format!(
                    "  {k}: the run has {}, now asked for {}",
                    find(&a, k),
                    find(&b, k)
                )
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// As TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a preset is plain data")
    }
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(&path, value, out);
            }
        }
        other => out.push((prefix.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_preset_is_valid_and_survives_its_own_toml() {
        for (name, _) in SHIPPED {
            let preset = Preset::resolve(name, &[]).unwrap();
            assert_eq!(
                toml::from_str::<Preset>(&preset.to_toml()).unwrap(),
                preset,
                "{name}"
            );
        }
    }

    #[test]
    fn settings_are_applied_and_wrong_ones_name_the_key_and_what_is_allowed() {
        let preset = Preset::resolve(
            "tiny",
            &[
                "vision.updates=7".into(),
                "controller.sigma=1".into(),
                "memory.model.variant=rmdn".into(),
            ],
        )
        .unwrap();
        assert_eq!((preset.vision.updates, preset.controller.sigma), (7, 1.0));
        let error = |set: &str| {
            Preset::resolve("tiny", &[set.to_owned()])
                .and_then(|p| p.check_sources())
                .unwrap_err()
                .to_string()
        };
        for (set, words) in [
            (
                "collect.policy=expert",
                vec!["expert", "brownian", "scripted"],
            ),
            (
                "vision.update=7",
                vec!["vision.update", "allowed here", "updates"],
            ),
            ("visio.updates=7", vec!["visio", "allowed here", "vision"]),
            (
                "vision.augment=1.5",
                vec!["vision.augment = 1.5", "from 0 to 1"],
            ),
            ("vision.updates=0", vec!["vision.updates = 0", "at least 1"]),
            ("vision.updates=x", vec!["vision.updates=x", "u64"]),
            (
                "controller.outputs=odd",
                vec!["controller.outputs=odd", "even"],
            ),
            (
                "controller.population=2",
                vec!["controller.population = 2", "at least 4"],
            ),
            ("environment=pong", vec!["pong", "car-racing"]),
            (
                "collect.policy=brownian,driver",
                vec!["`driver`", "brownian", "scripted"],
            ),
            ("memory.model.variant=gru", vec!["gru", "frmdn"]),
            (
                "memory.sequence=100000",
                vec!["memory.sequence", "collect.steps"],
            ),
            ("seed", vec!["key=value"]),
        ] {
            let text = error(set);
            for word in words {
                assert!(text.contains(word), "{set}: {text}");
            }
        }
    }

    #[test]
    fn a_limit_of_losses_is_not_negative() {
        let of = |set: &str| Preset::resolve("car-racing-frmdn", &[set.to_owned()]);
        assert_eq!(
            of("controller.late.loss_limit=0")
                .unwrap()
                .controller
                .late
                .unwrap()
                .loss_limit,
            0.0
        );
        let error = of("controller.late.loss_limit=-1").unwrap_err().to_string();
        assert!(
            error.contains("controller.late.loss_limit = -1") && error.contains("at least 0"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_preset_lists_those_there_are_and_an_unknown_key_names_the_file() {
        let error = Preset::resolve("nothing", &[]).unwrap_err().to_string();
        assert!(
            error.contains("tiny") && error.contains("agents/"),
            "{error}"
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        std::fs::write(&path, format!("speed = 3\n{}", SHIPPED[0].1)).unwrap();
        let error = Preset::resolve(path.to_str().unwrap(), &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mine.toml")
                && error.contains("speed")
                && error.contains("expected one of"),
            "{error}"
        );
    }

    #[test]
    fn differences_name_the_keys() {
        let a = Preset::resolve("tiny", &[]).unwrap();
        let b = a
            .clone()
            .with(&["vision.batch=33".into(), "seed=99".into()])
            .unwrap();
        let text = a.differences(&b);
        assert!(
            text.contains("vision.batch")
                && text.contains("33")
                && text.contains("seed")
                && text.lines().count() == 2,
            "{text}"
        );
        assert_eq!(a.differences(&a), "");
    }
}
