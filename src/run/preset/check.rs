//! What a preset cannot be.

use std::path::Path;

use frmdn_cma_es::Recombination;

use super::{ControllerInputs, ControllerStart, Preset};
use crate::run::{FINALISTS, FIRST, Result, RunError, existing_folder, seeds, shipped_remedy};

impl Preset {
    /// What it names must be there when the run begins; later the run has its own.
    ///
    /// # Errors
    /// If an earlier round's preset or a driver is not there, or a round comes back to itself.
    pub fn check_sources(&self) -> Result<()> {
        if let Some(first) = &self.first {
            first.check()?;
        }
        for policy in self.collect.policies() {
            let named = ["brownian", "scripted", FIRST].contains(&policy);
            if !named && existing_folder(Path::new(policy)).is_none() {
                return Err(RunError::Config(format!(
                    "collect.policy: `{policy}` is neither brownian nor scripted, nor the folder \
                     of a run or checkpoint{}",
                    shipped_remedy()
                )));
            }
        }
        Ok(())
    }

    /// Impossible values, named by key.
    pub(super) fn validate(&self) -> std::result::Result<(), String> {
        let at_least = |key: &str, value: u64, least: u64| {
            if value >= least {
                Ok(())
            } else {
                Err(format!(
                    "{key} = {value} is impossible: it must be at least {least}"
                ))
            }
        };
        let positive = |key: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(format!(
                    "{key} = {value} is impossible: it must be a number above 0"
                ))
            }
        };
        crate::worlds::check(&self.environment)
            .map_err(|e| format!("environment = \"{}\": {e}", self.environment))?;
        if self.collect.random_start {
            crate::worlds::check_random_start(&self.environment).map_err(|e| {
                format!(
                    "collect.random_start = true with environment = \"{}\": {e}. Add --set \
                     collect.random_start=false",
                    self.environment
                )
            })?;
        }
        for policy in self.collect.policies() {
            if policy == FIRST && self.first.is_none() {
                return Err(
                    "collect.policy: there is no `first` agent without a table [first] that \
                    names its preset"
                        .into(),
                );
            }
        }
        at_least("collect.episodes", self.collect.episodes as u64, 10)?;
        if self.collect.episodes as u64 > seeds::COLLECT.end {
            return Err(format!(
                "collect.episodes = {} is impossible: there are {} seeds",
                self.collect.episodes,
                seeds::COLLECT.end
            ));
        }
        at_least("collect.steps", self.collect.steps as u64, 2)?;
        let v = &self.vision;
        v.model
            .validate()
            .map_err(|e| format!("vision.model: {e}"))?;
        positive("vision.target_kl", v.target_kl)?;
        if !(0.0..=1.0).contains(&v.augment) {
            return Err(format!(
                "vision.augment = {} is impossible: it must be a number from 0 to 1",
                v.augment
            ));
        }
        at_least("vision.batch", v.batch as u64, 1)?;
        at_least("vision.updates", v.updates, 1)?;
        positive("vision.learning_rate", v.learning_rate)?;
        at_least("vision.window_episodes", v.window_episodes as u64, 1)?;
        at_least("vision.window_updates", v.window_updates, 1)?;
        at_least("vision.evaluate_every", v.evaluate_every, 1)?;
        at_least("vision.patience", v.patience, 1)?;
        let m = &self.memory;
        m.model
            .validate()
            .map_err(|e| format!("memory.model: {e}"))?;
        if let Some(density) = m.model.density(v.model.latent) {
            density.validate().map_err(|e| {
                format!(
                    "memory.model with vision.model.latent = {}: {e}",
                    v.model.latent
                )
            })?;
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
            return Err(format!(
                "memory.final_rate = {} is impossible: it must be above 0 and at most 1",
                m.final_rate
            ));
        }
        for (key, value) in [
            ("memory.noise", m.noise),
            ("memory.input_noise", m.input_noise),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!(
                    "{key} = {value} is impossible: it must be a number of at least 0"
                ));
            }
        }
        let c = &self.controller;
        at_least("controller.population", c.population as u64, 4)?;
        at_least("controller.generations", c.generations, 1)?;
        at_least("controller.tracks", c.seeds as u64, 1)?;
        positive("controller.sigma", c.sigma)?;
        at_least("controller.select_every", c.select_every, 1)?;
        at_least("controller.select_tracks", c.select_seeds as u64, 1)?;
        let (tests, most) = (seeds::SELECTION.end - seeds::SELECTION.start, FINALISTS);
        if c.finalists > most {
            return Err(format!(
                "controller.finalists = {} is impossible: {most} tested means are remembered",
                c.finalists
            ));
        }
        // Successive halving doubles the tracks with every round.
        let halved = c.select_seeds as u64 * (2 * c.finalists.max(1)).next_power_of_two() as u64;
        if halved > tests {
            return Err(format!(
                "controller.select_tracks = {} is impossible: the choice among \
                 controller.finalists = {} would take {halved} selection tracks, and there are \
                 {tests}",
                c.select_seeds, c.finalists
            ));
        }
        paired("controller", c.recombination, c.population, c.more_seeds)?;
        if let Some(late) = &c.late {
            paired(
                "controller.late",
                late.recombination.after(c.recombination),
                late.population,
                late.more_seeds,
            )?;
        }
        at_least("controller.starts", c.starts, 1)?;
        if c.starts > 1 && c.generations < c.starts * c.start_generations {
            return Err(format!(
                "controller.generations = {} is impossible: {} starts of {} generations take more",
                c.generations, c.starts, c.start_generations
            ));
        }
        if c.start == ControllerStart::First && !self.collect.policies().contains(&FIRST) {
            return Err(
                "controller.start = \"first\" needs episodes of that agent: name `first` in \
                collect.policy too"
                    .into(),
            );
        }
        at_least("controller.start_generations", c.start_generations, 1)?;
        if !(0.0..1.0).contains(&c.candidate_ratio) {
            return Err(format!(
                "controller.candidates_keep = {} is impossible: it must be at least 0 and below 1",
                c.candidate_ratio
            ));
        }
        if c.inputs == ControllerInputs::Principal {
            at_least("controller.axes", c.axes as u64, 1)?;
        }
        if let Some(late) = &c.late {
            if !(0.0..1.0).contains(&late.candidate_ratio) {
                let value = late.candidate_ratio;
                return Err(format!(
                    "controller.late.candidates_keep = {value} is impossible: it must be at least \
                     0 and below 1"
                ));
            }
            if !(late.loss_limit.is_finite() && late.loss_limit >= 0.0) {
                let value = late.loss_limit;
                return Err(format!(
                    "controller.late.loss_limit = {value} is impossible: it must be a number of at \
                     least 0"
                ));
            }
            at_least("controller.late.population", late.population as u64, 4)?;
            at_least("controller.late.tracks", late.seeds as u64, 1)?;
        }
        let needed = c.generations
            * (c.seeds + c.more_seeds).max(c.late.as_ref().map_or(0, |l| l.seeds + l.more_seeds))
                as u64;
        let there = seeds::EVOLVE.end - seeds::EVOLVE.start;
        if needed > there {
            return Err(format!(
                "controller.generations × controller.tracks = {needed} is impossible: there are \
                 {there} training tracks"
            ));
        }
        at_least("evaluate.episodes", self.evaluate.episodes as u64, 2)?;
        let tests = seeds::TEST.end - seeds::TEST.start;
        if self.evaluate.episodes as u64 > tests {
            return Err(format!(
                "evaluate.episodes = {} is impossible: there are {tests} test tracks",
                self.evaluate.episodes
            ));
        }
        Ok(())
    }
}

/// Generations of pairs have an even number of candidates, all of which drive the same tracks.
fn paired(
    table: &str,
    recombination: Recombination,
    population: usize,
    more_seeds: usize,
) -> std::result::Result<(), String> {
    if recombination != Recombination::Mirrored {
        return Ok(());
    }
    if population % 2 == 1 {
        return Err(format!(
            "{table}.population = {population} is impossible: pairs need an even number"
        ));
    }
    if more_seeds > 0 {
        return Err(format!(
            "{table}.more_tracks = {more_seeds} is impossible: both sides of a pair drive the \
             same tracks, write 0"
        ));
    }
    Ok(())
}
