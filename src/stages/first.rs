//! The earlier round: an agent of another preset, in a run folder inside the run folder, whose
//! driving provides better data.

use super::{Context, Stage};
use crate::{
    agent::{self, Agent},
    run::{FIRST, Preset, Result, RunError, RunFolder},
};

/// Settings of `preset` that its earlier rounds have too.
pub fn inherited_settings(preset: &Preset) -> Vec<String> {
    let mut sets = vec![
        format!("seed={}", preset.seed),
        format!("environment={}", preset.environment),
    ];
    // An environment without random starts has none in the earlier rounds either.
    if !preset.collect.random_start {
        sets.push("collect.random_start=false".into());
    }
    sets
}

/// Trains the agent that the preset's table `first` names, where it has one: all its stages but the
/// evaluation. The agent of a folder is copied instead.
pub fn first(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let Some(first) = &preset.first else {
        return Ok(());
    };
    let copy = folder.path(FIRST).join(agent::FILE);
    if copy.exists() {
        return Ok(());
    }
    if let Some(dir) = first.agent() {
        return Agent::keep(&dir, &copy);
    }
    // A round that was begun continues with its own settings, even if the preset's text has
    // changed.
    let begun = folder.path(FIRST).join("run.toml").exists();
    let asked = if begun {
        None
    } else {
        Some(Preset::resolve(&first.preset, &inherited_settings(preset))?)
    };
    let inner = RunFolder::create_or_resume(&folder.path(FIRST), asked)?;
    let work = || {
        for stage in Stage::Controller.up_to() {
            stage.run(&inner, context)?;
            super::gate(&inner, stage.name(), context)?;
        }
        Ok(())
    };
    work().map_err(|e| match e {
        RunError::Gate {
            stage,
            what,
            figure,
            ..
        } => RunError::Gate {
            stage,
            what: format!("in the earlier round, {}, {what}", inner.root().display()),
            figure,
            earlier_round: true,
        },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::BEST;

    #[test]
    fn earlier_rounds_have_the_seed_the_environment_and_its_start() {
        let sets = [
            "seed=7",
            "environment=gym:Pendulum-v1",
            "collect.random_start=false",
        ]
        .map(String::from);
        let outer = Preset::resolve(BEST, &sets).unwrap();
        let inner = Preset::resolve(
            &outer.first.clone().unwrap().preset,
            &inherited_settings(&outer),
        )
        .unwrap();
        assert_eq!(
            (
                inner.seed,
                inner.environment.as_str(),
                inner.collect.random_start
            ),
            (7, "gym:Pendulum-v1", false)
        );
        assert!(
            Preset::resolve(
                &inner.first.clone().unwrap().preset,
                &inherited_settings(&inner)
            )
            .is_ok()
        );
    }
}
