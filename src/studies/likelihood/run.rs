//! One run of a comparison: which memory is trained on which data.

use super::{data::Data, grid, grid::Choice};
use crate::{
    run::{MemoryTraining, Preset, Result},
    studies::Spec,
};

/// A memory on some data.
#[derive(Clone, Debug)]
pub struct Run {
    /// Number of the data.
    pub data: usize,
    pub spec: Spec,
    pub seed: u64,
    /// Whether it is trained without the last driver.
    pub shifted: bool,
    /// Noise of the targets in parts of the latents' standard deviation; 0 for V's posterior.
    pub noise: f64,
    /// Number of the point in the grid, where it is a trial of it.
    pub trial: Option<usize>,
}

impl Run {
    /// The run of a memory without special conditions.
    pub fn new(data: usize, spec: Spec, seed: u64) -> Self {
        Self {
            data,
            spec,
            seed,
            shifted: false,
            noise: 0.0,
            trial: None,
        }
    }

    /// The name of its results, on the data of this name.
    pub fn name(&self, data: &str) -> String {
        let mut name = format!(
            "{data}-{}-{}",
            self.spec.to_string().replace([':', '='], "_"),
            self.seed
        );
        if self.shifted {
            name.push_str("-shifted");
        }
        if self.noise > 0.0 {
            name.push_str(&format!("-noise{}", self.noise));
        }
        if let Some(trial) = self.trial {
            name = format!("grid-{name}-{trial}");
        }
        name
    }

    /// Name of the split of episodes that it is trained on.
    pub fn split(&self) -> &'static str {
        if self.shifted { "shifted" } else { "all" }
    }

    /// Its settings: the data's, the variant's, and what the grid chose.
    ///
    /// # Errors
    /// If a value of the variant is impossible.
    pub fn settings(&self, data: &Data, choice: Option<Choice>) -> Result<MemoryTraining> {
        let Preset { mut memory, .. } = self.spec.apply(&data.preset)?;
        let chosen = choice.map(|choice| choice.point(self.spec.has_flow()));
        if let Some(point) = self.trial.or(chosen) {
            grid::apply(point, &mut memory);
        }
        if self.noise > 0.0 {
            memory.noise = self.noise;
        }
        if self.trial.is_some() {
            grid::shorten(&mut memory);
        }
        Ok(memory)
    }
}
