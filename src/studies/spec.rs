//! One variant of a comparison, with the settings in which it differs.

use std::str::FromStr;

use crate::run::{Preset, Result, RunError};

/// A variant by name, and keys of `memory.model` that it changes: `rmdn`, `rmdn:components=20`,
/// `frmdn:components=2:rank=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    text: String,
}

impl FromStr for Spec {
    type Err = RunError;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() || text.split(':').skip(1).any(|part| !part.contains('=')) {
            return Err(RunError::Config(format!(
                "`{text}` is no variant: write its name, and settings after colons, for example \
                 rmdn:components=20"
            )));
        }
        Ok(Self {
            text: text.to_owned(),
        })
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Refuses a list that names a variant twice: it would count twice.
///
/// # Errors
/// If it does.
pub fn distinct(option: &str, specs: &[Spec]) -> Result<()> {
    for (i, spec) in specs.iter().enumerate() {
        if specs[..i].contains(spec) {
            return Err(RunError::Config(format!(
                "{option}: {spec} is there twice: leave one out"
            )));
        }
    }
    Ok(())
}

impl Spec {
    /// Name of the variant without settings.
    pub fn variant(&self) -> &str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// Whether it has a flow: such variants inherit the learning rate and dropout chosen for
    /// `frmdn`, the others those for `rmdn`.
    pub fn has_flow(&self) -> bool {
        self.variant().starts_with("frmdn") || self.variant() == "rmdn-linear"
    }

    /// The settings that make it, as `--set` takes them.
    pub fn sets(&self) -> Vec<String> {
        let mut sets = vec![format!("memory.model.variant={}", self.variant())];
        let others = self.text.split(':').skip(1);
        sets.extend(others.map(|set| format!("memory.model.{set}")));
        sets
    }

    /// `preset` with this memory.
    ///
    /// # Errors
    /// If the variant or a setting is unknown or impossible, or has several members.
    pub fn resolve(&self, preset: &Preset) -> Result<Preset> {
        let preset = preset.clone().with(&self.sets())?;
        if preset.memory.model.members > 1 {
            return Err(RunError::Config(format!(
                "{self}: members are compared one by one; leave out members"
            )));
        }
        Ok(preset)
    }

    /// The same with a memory that must have a likelihood.
    ///
    /// # Errors
    /// As [`Spec::resolve`], and if it has none.
    pub fn apply(&self, preset: &Preset) -> Result<Preset> {
        let preset = self.resolve(preset)?;
        if preset.memory.model.is_trained() {
            Ok(preset)
        } else {
            Err(RunError::Config(format!(
                "{self}: it has no likelihood; `copy` is in every report as the \
                 baseline of open-loop errors"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_with_settings_become_presets_and_others_are_refused() {
        let tiny = Preset::resolve("tiny", &[]).unwrap();
        let preset_of = |text: &str| text.parse::<Spec>().unwrap().apply(&tiny);
        let model = preset_of("rmdn:components=20:rank=1").unwrap().memory.model;
        assert_eq!(
            (model.variant.to_string(), model.components, model.rank),
            ("rmdn".into(), 20, 1)
        );
        assert!(
            "rmdn:components"
                .parse::<Spec>()
                .unwrap_err()
                .to_string()
                .contains("rmdn:components=20")
        );
        assert!(
            preset_of("none")
                .unwrap_err()
                .to_string()
                .contains("no likelihood")
        );
        assert!(preset_of("gru").unwrap_err().to_string().contains("gru"));
        let twice = ["rmdn", "frmdn", "rmdn"].map(|name| name.parse().unwrap());
        assert!(
            distinct("variants", &twice)
                .unwrap_err()
                .to_string()
                .contains("variants: rmdn is there twice")
                && distinct("variants", &twice[1..]).is_ok()
        );
        assert!(
            preset_of("rmdn:cells=3")
                .unwrap_err()
                .to_string()
                .contains("allowed here")
        );
    }
}
