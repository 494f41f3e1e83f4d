//! Presets: every choice of a run in one TOML file, resolved once and kept in the run folder.

use std::path::Path;

use frmdn_cma_es::{Covariance, Recombination};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{Result, RunError};
use crate::{memory::MemoryConfig, vision::VaeConfig};

/// The presets that are compiled in: name and text.
pub const SHIPPED: [(&str, &str); 5] = [
    ("tiny", include_str!("../../agents/tiny.toml")),
    ("car-racing-scout", include_str!("../../agents/car-racing-scout.toml")),
    ("car-racing-rmdn", include_str!("../../agents/car-racing-rmdn.toml")),
    ("car-racing-frmdn", include_str!("../../agents/car-racing-frmdn.toml")),
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
    /// An earlier round: an agent that is trained before anything else and drives some of the episodes.
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
    /// Name of its preset, or path of a TOML file: environment and seed are the run's own. Or the folder of a run or checkpoint, whose
    /// agent is taken as it is.
    pub preset: String,
}

impl FirstConfig {
    /// The folder whose agent is taken as it is, if that is what `preset` names. A shipped preset is none, whatever folders there are.
    pub fn agent(&self) -> Option<&Path> {
        let shipped = SHIPPED.iter().any(|(name, _)| *name == self.preset);
        Some(Path::new(&self.preset)).filter(|path| !shipped && path.is_dir())
    }

    /// What it names must be there when the run begins (later the run keeps its own), and must not come back to itself.
    pub(super) fn check(&self) -> Result<()> {
        let (mut seen, mut next) = (Vec::new(), Some(self.clone()));
        while let Some(first) = next.filter(|first| first.agent().is_none()) {
            let name = first.preset;
            if seen.contains(&name) {
                return Err(RunError::Config(format!("first.preset: `{name}` is an earlier round of itself")));
            }
            let text = preset_text(&name).map_err(|e| {
                RunError::Config(format!("first.preset: {e}; or the folder of a run or checkpoint, whose agent is taken as it is"))
            });
            let (_, text) = text?;
            // Whatever else is wrong in it is told when it is resolved.
            next = toml::from_str::<Preset>(&text).ok().and_then(|preset| preset.first);
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
    /// Who drives: `brownian`, `scripted` (a noisy driver that knows the track), `first` (the agent of the earlier round), or the path of a
    /// run or checkpoint; several, with commas between, take turns.
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

    /// Which of the drivers has episode `index`. Turns are shifted after every ten episodes, because every tenth is held out.
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
    /// Part of the range that colours of the frames V sees in training are altered by, 0 (not at all) to 1; it reconstructs the frames as
    /// they were. Latents are always those of unaltered frames.
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
    #[serde(default = "a_tenth")]
    pub final_rate: f64,
    /// Episodes of latents that are in memory at a time.
    pub window_episodes: usize,
    /// Updates on one window before the next is loaded.
    pub window_updates: u64,
    /// Updates between held-out losses (and checkpoints).
    pub evaluate_every: u64,
    /// Held-out losses without an improvement after which training stops.
    pub patience: u64,
    /// Sequences of consecutive batches follow each other in their episodes, and states are carried on (truncated backward through
    /// time); else every sequence starts anywhere, from a zero state.
    #[serde(default)]
    pub carry: bool,
    /// What M is fed.
    #[serde(default)]
    pub inputs: Inputs,
    /// Standard deviation of the latents around V's mean, in parts of each dimension's own; 0: V's posterior.
    #[serde(default)]
    pub noise: f64,
    /// Standard deviation of normal noise on the latents that M is fed (not on those it predicts), in the same parts.
    #[serde(default)]
    pub input_noise: f64,
}

fn a_tenth() -> f64 {
    0.1
}

/// Evolution of C.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerConfig {
    /// Candidates per generation.
    pub population: usize,
    /// Generations. Of a run that was begun they can be made more: typed with the run's folder it goes on from where it was. If the last
    /// one was a multiple of `select_every`, it ends as if that many had been asked for at first.
    pub generations: u64,
    /// Tracks per candidate, common to a generation.
    pub tracks: usize,
    /// Initial step size of CMA-ES.
    pub sigma: f64,
    /// Form of the covariance.
    pub covariance: Covariance,
    /// What moves the mean: the better half, all candidates, or pairs of them.
    #[serde(default)]
    pub recombination: Recombination,
    /// In training only: an episode without progress for that many steps ends and is charged the time that remains. 0: never.
    pub give_up_after: u32,
    /// Generations between tests of the distribution's mean on selection tracks.
    pub select_every: u64,
    /// Selection tracks of such a test.
    pub select_tracks: usize,
    /// What the evolved weights multiply.
    #[serde(default)]
    pub inputs: ControllerInputs,
    /// Where the evolution begins.
    #[serde(default)]
    pub start: ControllerStart,
    /// Axes of h, where `inputs` are principal ones.
    #[serde(default)]
    pub axes: usize,
    /// Of the tracks, at most that many are ones that a quarter of the candidates have failed: with less than nine tenths of what
    /// they come to on average.
    #[serde(default)]
    pub hard_tracks: usize,
    /// Further tracks of a generation's better half.
    #[serde(default)]
    pub more_tracks: usize,
    /// Evolutions begun; the one that is best after `start_generations` goes on.
    #[serde(default = "once")]
    pub starts: u64,
    /// Generations of a start.
    #[serde(default = "ten")]
    pub start_generations: u64,
    /// Tests without an improvement after which the evolution starts again from the best mean, with half the step size and twice the
    /// population. 0: never.
    #[serde(default)]
    pub patience: u64,
    /// Tested means that the final choice is made from, by successive halving on further selection tracks, 8 at most. 0 and 1: the best of
    /// the tests.
    #[serde(default)]
    pub finalists: usize,
    /// Part of the mean's score that its candidates should reach on average, on tracks that were not failed before; where they reach
    /// less between two tests, steps are made shorter by a fifth. CMA-ES itself takes hundreds of generations for that where there are
    /// hundreds of parameters. 0: it is left alone.
    #[serde(default)]
    pub candidates_keep: f64,
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
    /// Each value less its mean, in units of its standard deviation.
    Standard,
    /// z like that, and h along its widest principal axes.
    Principal,
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
    /// Tracks per candidate.
    pub tracks: usize,
    /// Of these, at most that many which a quarter of the candidates have failed.
    pub hard_tracks: usize,
    /// Further tracks of the better half.
    pub more_tracks: usize,
    /// As the evolution's `candidates_keep`, and larger: a mean wanders as far as its candidates lie from it. 0: as before.
    #[serde(default)]
    pub candidates_keep: f64,
    /// What moves the mean from here on. Not given: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recombination: Option<Recombination>,
}

fn once() -> u64 {
    1
}

fn ten() -> u64 {
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
        return Ok((name.to_owned(), std::fs::read_to_string(path).map_err(RunError::io("read", path))?));
    }
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return Ok((format!("agents/{name}.toml (compiled in)"), (*text).to_owned()));
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(n, _)| *n).collect();
    Err(RunError::Config(format!(
        "there is no preset and no file `{name}`. Presets: {}; or give the path of a TOML file, for example a changed copy of one from agents/",
        names.join(", ")
    )))
}

impl Preset {
    /// The preset `name`, a shipped one or a path (a path wins), with `sets` (`key=value`, dotted keys) applied.
    pub fn resolve(name: &str, sets: &[String]) -> Result<Self> {
        let (origin, text) = preset_text(name)?;
        let preset: Self = toml::from_str(&text).map_err(|e| RunError::Config(format!("{origin}: {e}")))?;
        let preset = preset.with(sets)?;
        preset.validate().map_err(|e| RunError::Config(format!("{origin}: {e}")))?;
        Ok(preset)
    }

    /// This preset with `sets` applied.
    pub fn with(self, sets: &[String]) -> Result<Self> {
        let mut table = self.table();
        for set in sets {
            let fail = |what: String| RunError::Config(format!("--set {set}: {what}"));
            let (key, text) = set.split_once('=').ok_or_else(|| fail("write it as key=value, for example vision.updates=500".into()))?;
            let mut parts: Vec<&str> = key.trim().split('.').collect();
            let last = parts.pop().unwrap_or_default();
            let mut at = &mut table;
            for part in parts {
                let keys = at.keys().cloned().collect::<Vec<_>>().join(", ");
                at = at
                    .get_mut(part)
                    .and_then(Value::as_table_mut)
                    .ok_or_else(|| fail(format!("there is no table `{part}`; allowed here: {keys}")))?;
            }
            let keys = at.keys().cloned().collect::<Vec<_>>().join(", ");
            let slot = at.get_mut(last).ok_or_else(|| fail(format!("there is no key `{last}`; allowed here: {keys}")))?;
            // A bare word is a string, so that nobody has to quote quotes in a shell.
            let value = toml::from_str::<Table>(&format!("v = {text}")).ok().and_then(|mut t| t.remove("v"));
            let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
            *slot = match (&*slot, value) {
                (Value::Float(_), Value::Integer(i)) => Value::Float(i as f64),
                (_, value) => value,
            };
        }
        let resolved: Self = table
            .try_into()
            .map_err(|e: toml::de::Error| RunError::Config(format!("--set {}: {}", sets.join(" --set "), e.to_string().trim())))?;
        resolved.validate().map_err(RunError::Config)?;
        Ok(resolved)
    }

    fn table(&self) -> Table {
        Table::try_from(self).expect("a preset is plain data")
    }

    /// Impossible values, named by key.
    fn validate(&self) -> std::result::Result<(), String> {
        let at_least = |key: &str, value: u64, least: u64| {
            if value >= least { Ok(()) } else { Err(format!("{key} = {value} is impossible: it must be at least {least}")) }
        };
        let positive = |key: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(format!("{key} = {value} is impossible: it must be a number above 0"))
            }
        };
        crate::worlds::check(&self.environment).map_err(|e| format!("environment = \"{}\": {e}", self.environment))?;
        if self.collect.random_start {
            crate::worlds::check_random_start(&self.environment).map_err(|e| {
                format!(
                    "collect.random_start = true with environment = \"{}\": {e}. Add --set collect.random_start=false",
                    self.environment
                )
            })?;
        }
        for policy in self.collect.policies() {
            if policy == FIRST && self.first.is_none() {
                return Err("collect.policy: there is no `first` agent without a table [first] that names its preset".into());
            }
            if !["brownian", "scripted", FIRST].contains(&policy) && !Path::new(policy).is_dir() {
                return Err(format!("collect.policy: `{policy}` is neither brownian nor scripted, nor the folder of a run or checkpoint"));
            }
        }
        at_least("collect.episodes", self.collect.episodes as u64, 10)?;
        if self.collect.episodes as u64 > super::seeds::COLLECT.end {
            return Err(format!(
                "collect.episodes = {} is impossible: there are {} seeds",
                self.collect.episodes,
                super::seeds::COLLECT.end
            ));
        }
        at_least("collect.steps", self.collect.steps as u64, 2)?;
        let v = &self.vision;
        v.model.validate().map_err(|e| format!("vision.model: {e}"))?;
        positive("vision.target_kl", v.target_kl)?;
        if !(0.0..=1.0).contains(&v.augment) {
            return Err(format!("vision.augment = {} is impossible: it must be a number from 0 to 1", v.augment));
        }
        at_least("vision.batch", v.batch as u64, 1)?;
        at_least("vision.updates", v.updates, 1)?;
        positive("vision.learning_rate", v.learning_rate)?;
        at_least("vision.window_episodes", v.window_episodes as u64, 1)?;
        at_least("vision.window_updates", v.window_updates, 1)?;
        at_least("vision.evaluate_every", v.evaluate_every, 1)?;
        at_least("vision.patience", v.patience, 1)?;
        let m = &self.memory;
        m.model.validate().map_err(|e| format!("memory.model: {e}"))?;
        if let Some(density) = m.model.density(v.model.latent) {
            density.validate().map_err(|e| format!("memory.model with vision.model.latent = {}: {e}", v.model.latent))?;
        }
        at_least("memory.batch", m.batch as u64, 1)?;
        at_least("memory.sequence", m.sequence as u64, 1)?;
        if m.sequence > self.collect.steps {
            return Err(format!(
                "memory.sequence = {} is impossible: episodes have at most collect.steps = {}",
                m.sequence, self.collect.steps
            ));
        }
        at_least("memory.updates", m.updates, 1)?;
        positive("memory.learning_rate", m.learning_rate)?;
        at_least("memory.window_episodes", m.window_episodes as u64, 1)?;
        at_least("memory.window_updates", m.window_updates, 1)?;
        at_least("memory.evaluate_every", m.evaluate_every, 1)?;
        at_least("memory.patience", m.patience, 1)?;
        if !(m.final_rate > 0.0 && m.final_rate <= 1.0) {
            return Err(format!("memory.final_rate = {} is impossible: it must be above 0 and at most 1", m.final_rate));
        }
        for (key, value) in [("memory.noise", m.noise), ("memory.input_noise", m.input_noise)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("{key} = {value} is impossible: it must be a number of at least 0"));
            }
        }
        let c = &self.controller;
        at_least("controller.population", c.population as u64, 4)?;
        at_least("controller.generations", c.generations, 1)?;
        at_least("controller.tracks", c.tracks as u64, 1)?;
        positive("controller.sigma", c.sigma)?;
        at_least("controller.select_every", c.select_every, 1)?;
        at_least("controller.select_tracks", c.select_tracks as u64, 1)?;
        let (tests, most) = (super::seeds::SELECTION.end - super::seeds::SELECTION.start, FINALISTS);
        if c.finalists > most {
            return Err(format!("controller.finalists = {} is impossible: {most} tested means are remembered", c.finalists));
        }
        // Successive halving doubles the tracks with every round.
        let halved = c.select_tracks as u64 * (2 * c.finalists.max(1)).next_power_of_two() as u64;
        if halved > tests {
            return Err(format!(
                "controller.select_tracks = {} is impossible: the choice among controller.finalists = {} would take {halved} selection tracks, and there are {tests}",
                c.select_tracks, c.finalists
            ));
        }
        paired("controller", c.recombination, c.population, c.more_tracks)?;
        if let Some(late) = &c.late {
            paired("controller.late", late.recombination.unwrap_or(c.recombination), late.population, late.more_tracks)?;
        }
        at_least("controller.starts", c.starts, 1)?;
        if c.starts > 1 && c.generations < c.starts * c.start_generations {
            return Err(format!(
                "controller.generations = {} is impossible: {} starts of {} generations take more",
                c.generations, c.starts, c.start_generations
            ));
        }
        if c.start == ControllerStart::First && !self.collect.policies().contains(&FIRST) {
            return Err("controller.start = \"first\" needs episodes of that agent: name `first` in collect.policy too".into());
        }
        at_least("controller.start_generations", c.start_generations, 1)?;
        if !(0.0..1.0).contains(&c.candidates_keep) {
            return Err(format!("controller.candidates_keep = {} is impossible: it must be at least 0 and below 1", c.candidates_keep));
        }
        if c.inputs == ControllerInputs::Principal {
            at_least("controller.axes", c.axes as u64, 1)?;
        }
        if let Some(late) = &c.late {
            if !(0.0..1.0).contains(&late.candidates_keep) {
                let value = late.candidates_keep;
                return Err(format!("controller.late.candidates_keep = {value} is impossible: it must be at least 0 and below 1"));
            }
            at_least("controller.late.population", late.population as u64, 4)?;
            at_least("controller.late.tracks", late.tracks as u64, 1)?;
        }
        let needed = c.generations * (c.tracks + c.more_tracks).max(c.late.as_ref().map_or(0, |l| l.tracks + l.more_tracks)) as u64;
        let there = super::seeds::EVOLVE.end - super::seeds::EVOLVE.start;
        if needed > there {
            return Err(format!("controller.generations × controller.tracks = {needed} is impossible: there are {there} training tracks"));
        }
        at_least("evaluate.episodes", self.evaluate.episodes as u64, 2)?;
        let tests = super::seeds::TEST.end - super::seeds::TEST.start;
        if self.evaluate.episodes as u64 > tests {
            return Err(format!("evaluate.episodes = {} is impossible: there are {tests} test tracks", self.evaluate.episodes));
        }
        Ok(())
    }

    /// Whether nothing but the number of generations differs, and `self` has more of them.
    pub fn lengthens(&self, other: &Self) -> bool {
        let mut same = self.clone();
        same.controller.generations = other.controller.generations;
        self.controller.generations > other.controller.generations && same.differences(other).is_empty()
    }

    /// The keys in which `self` and `other` differ, one line each; empty if they agree. The description decides nothing.
    pub fn differences(&self, other: &Self) -> String {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        flatten("", &Value::Table(self.table()), &mut a);
        flatten("", &Value::Table(other.table()), &mut b);
        let find = |list: &[(String, String)], key: &str| list.iter().find(|(k, _)| k == key).map_or("(unset)".into(), |(_, v)| v.clone());
        let mut keys: Vec<&String> = a.iter().chain(&b).map(|(k, _)| k).collect();
        keys.sort();
        keys.dedup();
        keys.iter()
            .filter(|k| k.as_str() != "description" && find(&a, k) != find(&b, k))
            .map(|k| format!("  {k}: the run has {}, now asked for {}", find(&a, k), find(&b, k)))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// As TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a preset is plain data")
    }
}

/// Generations of pairs have an even number of candidates, all of which drive the same tracks.
fn paired(table: &str, recombination: Recombination, population: usize, more_tracks: usize) -> std::result::Result<(), String> {
    if recombination != Recombination::Pairs {
        return Ok(());
    }
    if population % 2 == 1 {
        return Err(format!("{table}.population = {population} is impossible: pairs need an even number"));
    }
    if more_tracks > 0 {
        return Err(format!("{table}.more_tracks = {more_tracks} is impossible: both sides of a pair drive the same tracks, write 0"));
    }
    Ok(())
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
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
            assert_eq!(toml::from_str::<Preset>(&preset.to_toml()).unwrap(), preset, "{name}");
        }
    }

    #[test]
    fn settings_are_applied_and_wrong_ones_name_the_key_and_what_is_allowed() {
        let preset =
            Preset::resolve("tiny", &["vision.updates=7".into(), "controller.sigma=1".into(), "memory.model.variant=rmdn".into()]).unwrap();
        assert_eq!((preset.vision.updates, preset.controller.sigma), (7, 1.0));
        let error = |set: &str| Preset::resolve("tiny", &[set.to_owned()]).unwrap_err().to_string();
        for (set, words) in [
            ("vision.update=7", vec!["vision.update", "allowed here", "updates"]),
            ("visio.updates=7", vec!["visio", "allowed here", "vision"]),
            ("vision.augment=1.5", vec!["vision.augment = 1.5", "from 0 to 1"]),
            ("vision.updates=0", vec!["vision.updates = 0", "at least 1"]),
            ("vision.updates=x", vec!["vision.updates=x", "u64"]),
            ("controller.population=2", vec!["controller.population = 2", "at least 4"]),
            ("environment=pong", vec!["pong", "car-racing"]),
            ("collect.policy=expert", vec!["expert", "brownian", "scripted"]),
            ("collect.policy=brownian,driver", vec!["`driver`", "brownian", "scripted"]),
            ("memory.model.variant=gru", vec!["gru", "frmdn"]),
            ("memory.sequence=100000", vec!["memory.sequence", "collect.steps"]),
            ("seed", vec!["key=value"]),
        ] {
            let text = error(set);
            for word in words {
                assert!(text.contains(word), "{set}: {text}");
            }
        }
    }

    #[test]
    fn a_missing_preset_lists_those_there_are_and_an_unknown_key_names_the_file() {
        let error = Preset::resolve("nothing", &[]).unwrap_err().to_string();
        assert!(error.contains("tiny") && error.contains("agents/"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        std::fs::write(&path, format!("speed = 3\n{}", SHIPPED[0].1)).unwrap();
        let error = Preset::resolve(path.to_str().unwrap(), &[]).unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains("speed") && error.contains("expected one of"), "{error}");
    }

    #[test]
    fn differences_name_the_keys() {
        let a = Preset::resolve("tiny", &[]).unwrap();
        let b = a.clone().with(&["vision.batch=33".into(), "seed=99".into()]).unwrap();
        let text = a.differences(&b);
        assert!(text.contains("vision.batch") && text.contains("33") && text.contains("seed") && text.lines().count() == 2, "{text}");
        assert_eq!(a.differences(&a), "");
    }
}
