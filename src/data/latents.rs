//! The latents of a run as batches of sequences.

use frmdn_engine::random::{Pcg64, fill_normal};

use super::Dataset;
use crate::{
    memory::{Outcomes, SequenceBatch, posterior_entropy},
    run::{
        EpisodeStore, Inputs, LatentEpisode, MemoryTraining, Recovery, Result, RunError, RunFolder,
    },
};

/// Episodes that the spread of latents is measured on.
const SPREAD_EPISODES: usize = 100;

/// The latents of a run, and how values are drawn from them.
#[derive(Clone)]
pub struct Latents {
    store: EpisodeStore,
    /// Values of an action.
    actions: usize,
    /// Standard deviation of the draws of each dimension; `None`: V's posterior.
    sd: Option<Vec<f32>>,
    /// What M is fed.
    inputs: Inputs,
    /// Standard deviation of the noise that is added to M's inputs; `None`: no noise.
    input_sd: Option<Vec<f32>>,
    /// What is measured beside.
    auxiliary: Option<Auxiliary>,
    /// Most steps of an episode.
    pub longest: usize,
}

/// A measurement that M learns to tell.
#[derive(Clone)]
struct Auxiliary {
    name: String,
    mean: f64,
    /// Standard deviation.
    sd: f64,
}

impl Latents {
    /// Latents of `folder`, whose actions have `actions` values, with the noise of `config`; its unit
    /// is the spread of the means in the episodes `training`.
    pub fn new(
        folder: &RunFolder,
        config: &MemoryTraining,
        actions: usize,
        training: &[usize],
    ) -> Result<Self> {
        let store = folder.latents();
        let mut latents = Self {
            store,
            actions,
            sd: None,
            inputs: config.inputs,
            input_sd: None,
            auxiliary: None,
            longest: folder.preset().collect.steps,
        };
        if config.noise > 0.0 || config.input_noise > 0.0 {
            let sd = latents.spread(training)?;
            let scaled = |noise: f64| -> Option<Vec<f32>> {
                (noise > 0.0).then(|| sd.iter().map(|sd| (noise * sd) as f32).collect())
            };
            (latents.sd, latents.input_sd) = (scaled(config.noise), scaled(config.input_noise));
        }
        if !config.auxiliary.is_empty() {
            latents.auxiliary = Some(latents.auxiliary(&config.auxiliary, training)?);
        }
        Ok(latents)
    }

    /// The measurement `name`, with its spread in the episodes `training`.
    fn auxiliary(&self, name: &str, training: &[usize]) -> Result<Auxiliary> {
        let mut auxiliary = Auxiliary {
            name: name.into(),
            mean: 0.0,
            sd: 1.0,
        };
        let mut values = Vec::new();
        for &index in training.iter().take(SPREAD_EPISODES) {
            let episode = self.load(index)?;
            auxiliary.check(&episode)?;
            values.extend(episode.measured.iter().map(|&v| f64::from(v)));
        }
        let n = values.len().max(1) as f64;
        auxiliary.mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - auxiliary.mean).powi(2));
        let sd = (squares.sum::<f64>() / n).sqrt();
        if sd > 0.0 {
            auxiliary.sd = sd;
        }
        Ok(auxiliary)
    }

    /// Standard deviation of each dimension of V's means.
    pub fn spread(&self, training: &[usize]) -> Result<Vec<f64>> {
        let (mut n, mut sums) = (0.0, Vec::new());
        for &index in training.iter().take(SPREAD_EPISODES) {
            let episode = self.load(index)?;
            sums.resize(episode.latent, [0.0; 2]);
            for row in episode.mean.chunks_exact(episode.latent) {
                n += 1.0;
                for ([sum, squares], &v) in sums.iter_mut().zip(row) {
                    *sum += f64::from(v);
                    *squares += f64::from(v) * f64::from(v);
                }
            }
        }
        Ok(sums
            .into_iter()
            .map(|[sum, squares]| (squares / n - (sum / n) * (sum / n)).max(0.0).sqrt())
            .collect())
    }

    /// Draws z_t for `frames` frames of an episode from `first` on: mean + standard deviation · ε.
    fn sample(
        &self,
        episode: &LatentEpisode,
        first: usize,
        frames: usize,
        rng: &mut Pcg64,
    ) -> Vec<f32> {
        let d = episode.latent;
        let mut z = vec![0.0; frames * d];
        fill_normal(rng, &mut z);
        let mean = &episode.mean[first * d..][..frames * d];
        let log_variance = &episode.log_variance[first * d..][..frames * d];
        for (i, z) in z.iter_mut().enumerate() {
            let sd = match &self.sd {
                Some(sd) => sd[i % d],
                None => libm::expf(0.5 * log_variance[i]),
            };
            *z = mean[i] + sd * *z;
        }
        z
    }
}

impl Auxiliary {
    /// Refuses an episode that was recorded without it.
    fn check(&self, episode: &LatentEpisode) -> Result<()> {
        if episode.measured.len() == episode.steps() {
            return Ok(());
        }
        Err(RunError::refused(
            format!(
                "the episode of seed {} was recorded without `{}`, which memory.auxiliary asks for",
                episode.seed, self.name
            ),
            Recovery::Episodes,
        ))
    }
}

impl Dataset for Latents {
    type Item = LatentEpisode;
    type Targets = Outcomes;

    fn widths(&self, episode: &LatentEpisode) -> [usize; 2] {
        [episode.latent, episode.action_len]
    }

    fn load(&self, index: usize) -> Result<LatentEpisode> {
        let episode = self.store.load_latents(index, self.actions)?;
        if let Some(auxiliary) = &self.auxiliary {
            auxiliary.check(&episode)?;
        }
        Ok(episode)
    }

    fn name(&self, episode: &LatentEpisode) -> String {
        format!("the episode of seed {}", episode.seed)
    }

    fn steps(&self, episode: &LatentEpisode) -> usize {
        episode.steps()
    }

    fn floor(&self, episode: &LatentEpisode) -> f64 {
        match &self.sd {
            None => posterior_entropy(&episode.log_variance[episode.latent..]),
            Some(sd) => {
                let log_variance: Vec<f32> = sd.iter().map(|sd| 2.0 * libm::logf(*sd)).collect();
                posterior_entropy(&log_variance) * episode.steps() as f64
            }
        }
    }

    /// Inputs and targets share their draws: the target z of one step is the input z of the next,
    /// unless M is fed means.
    fn fill(
        &self,
        batch: &mut SequenceBatch,
        column: usize,
        episode: &LatentEpisode,
        first: usize,
        steps: usize,
        rng: &mut Pcg64,
    ) {
        if steps == 0 {
            return;
        }
        let (d, a, b) = (episode.latent, episode.action_len, batch.batch);
        let mut z = self.sample(episode, first, steps + 1, rng);
        for t in 0..steps {
            let row = t * b + column;
            let fed = if self.inputs == Inputs::Means {
                &episode.mean[(first + t) * d..][..d]
            } else {
                &z[t * d..(t + 1) * d]
            };
            batch.seen[row * d..(row + 1) * d].copy_from_slice(fed);
            batch.next[row * d..(row + 1) * d].copy_from_slice(&z[(t + 1) * d..(t + 2) * d]);
            let from = (first + t) * a;
            batch.given[row * a..(row + 1) * a].copy_from_slice(&episode.actions[from..from + a]);
            batch.targets.reward[row] = episode.rewards[first + t];
            batch.targets.done[row] =
                f32::from(episode.terminated && first + t + 1 == episode.steps());
            if let Some(Auxiliary { mean, sd, .. }) = self.auxiliary {
                let measured = f64::from(episode.measured[first + t]);
                batch.targets.measured[row] = ((measured - mean) / sd) as f32;
            }
            batch.mask[row] = 1.0;
        }
        if let Some(sd) = &self.input_sd {
            for t in 0..steps {
                fill_normal(rng, &mut z[..d]);
                let row = &mut batch.seen[(t * b + column) * d..][..d];
                for (v, (e, sd)) in row.iter_mut().zip(z.iter().zip(sd)) {
                    *v += sd * e;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use frmdn_engine::random::stream;

    use super::*;
    use crate::run::Preset;

    fn episode(steps: usize) -> LatentEpisode {
        let mean: Vec<f32> = (0..=steps).flat_map(|t| [t as f32, -(t as f32)]).collect();
        LatentEpisode {
            seed: 0,
            latent: 2,
            action_len: 1,
            log_variance: vec![-60.0; mean.len()],
            mean,
            actions: (0..steps).map(|t| 100.0 + t as f32).collect(),
            rewards: (0..steps).map(|t| 200.0 + t as f32).collect(),
            measured: Vec::new(),
            terminated: true,
            vision: 0,
        }
    }

    fn latents() -> Latents {
        Latents {
            store: EpisodeStore::new(PathBuf::new(), 0, &Preset::resolve("tiny", &[]).unwrap()),
            actions: 1,
            sd: None,
            inputs: Inputs::Draws,
            input_sd: None,
            auxiliary: None,
            longest: 9,
        }
    }

    /// What is measured after a step belongs to that step, in standard deviations from its mean; an
    /// episode without is refused by its seed.
    #[test]
    fn measurements_are_aligned_and_asked_for() {
        let measured = |steps: usize| LatentEpisode {
            measured: (0..steps).map(|t| 5.0 + 3.0 * t as f32).collect(),
            ..episode(steps)
        };
        let auxiliary = Auxiliary {
            name: "speed".into(),
            mean: 5.0,
            sd: 3.0,
        };
        let told = auxiliary.check(&episode(4)).unwrap_err().to_string();
        assert!(
            told.contains("seed 0") && told.contains("`speed`"),
            "{told}"
        );
        assert!(auxiliary.check(&measured(4)).is_ok());
        let latents = Latents {
            auxiliary: Some(auxiliary),
            ..latents()
        };
        let mut rng = stream(1, "t", &[]);
        let (batch, _) = latents.sequences(&[measured(9)], 3, 5, &mut rng);
        for row in (0..15).filter(|&row| batch.mask[row] > 0.0) {
            let step = batch.targets.reward[row] - 200.0;
            assert!((batch.targets.measured[row] - step).abs() < 1e-5);
        }
    }

    /// The action that leads from z_t to z_{t+1} is a_t; `done` belongs to the step that ended the
    /// episode.
    #[test]
    fn inputs_targets_actions_and_ends_are_aligned() {
        let mut rng = stream(1, "t", &[]);
        let latents = latents();
        for _ in 0..20 {
            let (batch, _) = latents.sequences(&[episode(9)], 3, 5, &mut rng);
            for row in 0..15 {
                let t = batch.seen[row * 2];
                assert!((batch.next[row * 2] - (t + 1.0)).abs() < 1e-6);
                assert!(
                    (batch.given[row] - (100.0 + t)).abs() < 1e-5
                        && (batch.targets.reward[row] - (200.0 + t)).abs() < 1e-5
                );
                assert_eq!(batch.targets.done[row], f32::from(t > 7.5), "{t}");
                assert_eq!(batch.mask[row], 1.0);
            }
        }
    }

    /// Fed means, M sees no noise; what it predicts stays a draw.
    #[test]
    fn means_are_fed_where_they_are_asked_for() {
        let mut noisy = episode(9);
        noisy.log_variance.fill(0.0);
        let latents = Latents {
            inputs: Inputs::Means,
            ..latents()
        };
        let (batch, _) = latents.sequences(&[noisy], 3, 5, &mut stream(1, "t", &[]));
        for row in 0..15 {
            let t = batch.given[row] - 100.0;
            assert_eq!(batch.seen[row * 2..row * 2 + 2], [t, -t]);
            assert!((batch.next[row * 2] - (t + 1.0)).abs() > 1e-4);
        }
    }

    #[test]
    fn short_episodes_are_padded_and_masked() {
        let (batch, _) = latents().sequences(&[episode(3)], 2, 5, &mut stream(1, "t", &[]));
        assert_eq!(
            batch.mask,
            [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        );
        assert_eq!(batch.seen[6 * 2..], [0.0; 8]);
    }
}
