//! Judgement of one trained density on sequences that nothing else uses.

use frmdn_engine::Params;
use serde::{Deserialize, Serialize};

use super::train::Trained;
use crate::{
    data::Domain,
    recurrent::{NoHeads, Trainer},
    run::{MemoryTraining, Result, RunError},
};

/// The result of a finished run, as it is on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// Version of the form.
    pub format: u32,
    /// Name of the data.
    pub data: String,
    /// Variant and settings.
    pub variant: String,
    /// Seed of the density.
    pub seed: u64,
    /// Settings of the training.
    pub settings: MemoryTraining,
    /// Number of parameters.
    pub parameters: usize,
    /// The error, if a loss or gradient was not finite.
    pub diverged: Option<String>,
    /// Seconds of one update on one core, lower decile; 0 if unknown.
    pub seconds_per_update: f64,
    /// Update and held-out nats a step.
    pub curve: Vec<[f64; 2]>,
    /// Values of a step.
    pub dim: usize,
    /// One entry a test sequence.
    pub items: Vec<TestItem>,
    /// Share of the precisions that are at their limit, over the test steps.
    pub at_limit: f64,
}

/// Sums over one test sequence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TestItem {
    /// For each class of steps: their number, and Σ −log p of the values as they were learned.
    pub classes: Vec<[f64; 2]>,
    /// Nats that are added for the whole sequence in the data's own unit.
    pub unit: f64,
}

impl TestItem {
    /// Number of steps.
    pub fn steps(&self) -> f64 {
        self.classes.iter().map(|[steps, _]| steps).sum()
    }

    /// Steps and nats, in the data's own unit, of one class, or of all.
    pub fn nats(&self, class: Option<usize>) -> [f64; 2] {
        let all = self.steps();
        let chosen = self.classes.iter().enumerate();
        let chosen = chosen.filter(|(i, _)| class.is_none_or(|class| class == *i));
        let (mut steps, mut nats) = (0.0, 0.0);
        for (_, [n, sum]) in chosen {
            steps += n;
            nats += sum + self.unit * n / all;
        }
        [steps, nats]
    }
}

/// Judges the density with `weights` on the test sequences of `data`. Returns an entry for each, and
/// the share of precisions at their limit.
///
/// # Errors
/// If a sequence cannot be read, or the weights do not fit.
pub fn judge<D: Domain>(
    data: &D,
    trained: &Trained,
    weights: &Params,
) -> Result<(Vec<TestItem>, f64)> {
    const NAME: &str = "density/test";
    let config = trained.recurrent()?;
    let trainer = Trainer::with_heads(config, NoHeads, config.init(0), 0)
        .with_weights(weights)
        .map_err(|e| RunError::Failed(format!("a density's weights do not fit: {e}")))?;
    let likelihood = trainer.likelihood();
    let (mut items, mut limit) = (Vec::new(), [0.0; 2]);
    for index in data.parts().test {
        let item = data.load(index)?;
        // The noise is the same for all densities.
        let batch = data.whole(&item, 0, NAME, index);
        let mut classes = vec![[0.0; 2]; data.classes().len()];
        let (log_probs, at_limit) = likelihood.log_prob_and_limit(&batch);
        for (step, log_prob) in log_probs.into_iter().enumerate() {
            let [steps, nats] = &mut classes[data.class(&item, step)];
            *steps += 1.0;
            *nats -= log_prob;
        }
        limit = [limit[0] + at_limit, limit[1] + batch.steps as f64];
        let unit = data.unit(&item, 0, NAME, index);
        items.push(TestItem { classes, unit });
    }
    Ok((items, limit[0] / f64::max(limit[1], 1.0)))
}
