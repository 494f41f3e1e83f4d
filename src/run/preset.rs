//! Presets: every choice of a run in one TOML file, resolved once and saved in the run folder.

mod check;
mod controller;
mod first;
mod memory;
mod settings;
mod source;
mod spelling;
mod training;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use self::source::Source;
use super::Result;

pub use self::{
    controller::{
        ArchiveConfig, ControllerConfig, ControllerInputs, ControllerOutputs, ControllerStart,
        DreamsConfig, FINALISTS, LateConfig, LateRecombination, LessonsConfig,
    },
    first::{FIRST, FirstConfig},
    source::{BEST, SCOUT, SHIPPED},
    training::{
        CollectConfig, EvaluateConfig, GatesConfig, HoldGates, Inputs, MemoryTraining,
        VisionTraining,
    },
};

pub(crate) use self::settings::changed;

/// Everything that decides a run. The run folder has a copy with all keys, over those of the bases.
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
    /// What V and M must reach before the next stage starts.
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

impl Preset {
    /// The preset `name`, a shipped one or a path (a path wins), over its bases, with `sets`
    /// (`key=value`, dotted keys) applied.
    ///
    /// # Errors
    /// If it is not there, cannot be read, or has impossible values.
    pub fn resolve(name: &str, sets: &[String]) -> Result<Self> {
        let source = Source::find(name)?;
        let preset = source.read()?;
        if !sets.is_empty() {
            return preset.with(sets);
        }
        preset.validate().map_err(|e| source.error(e))?;
        Ok(preset)
    }

    /// The settings up to round number `round` of C's dreams, from 0 on: so many more episodes,
    /// updates of M and generations of C.
    #[must_use]
    pub fn in_round(&self, round: u64) -> Self {
        let mut preset = self.clone();
        let Some(dreams) = &self.controller.dreams else {
            return preset;
        };
        if round > 0 {
            preset.collect.give_up_after = dreams.give_up_after;
        }
        let own = round as usize * dreams.episodes;
        preset.collect.own = own;
        preset.collect.episodes += own;
        preset.memory.updates += round * dreams.updates;
        let generations = (round + 1) * dreams.round;
        preset.controller.generations = self.controller.generations.min(generations);
        preset
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
                "collect.policy=nobody",
                vec!["nobody", "brownian", "scripted"],
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
            ("environment=pong", vec!["pong", crate::worlds::DEFAULT]),
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
        let of = |set: &str| Preset::resolve(BEST, &[set.to_owned()]);
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
