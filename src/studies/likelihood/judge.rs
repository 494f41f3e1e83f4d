//! Measurements of one trained memory on episodes that nothing else uses.

use std::time::Instant;

use frmdn_engine::{Params, random::stream};
use serde::{Deserialize, Serialize};

use crate::{
    memory::{
        self, Calibration, EvaluationSums, MemoryTrainer, Prediction, Scratch, SequenceBatch,
    },
    run::{LatentEpisode, MemoryTraining, Result, RunError},
};

/// Steps ahead at which open-loop errors are taken.
pub const HORIZONS: [usize; 7] = [1, 2, 5, 10, 20, 35, 50];
/// Real steps before a rollout, and between the starts of two.
const WARM: usize = 25;
const APART: usize = 110;
/// Steps of the shortest episodes that have such a start.
pub const MIN_STEPS: usize = WARM + HORIZONS[HORIZONS.len() - 1];
/// Rollouts whose mean is the prediction.
const ROLLOUTS: usize = 8;
/// Every so many steps are ranked for calibration.
const RANKED: usize = 12;
/// Acting steps that are timed.
const TIMED: usize = 3000;

/// The result of a finished run, as it is on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// Version of the form.
    pub format: u32,
    /// Name of the data's folder.
    pub data: String,
    /// KL target of the V that made the latents.
    pub target_kl: f64,
    /// Checksum of V's weights: results of another V are not comparable.
    pub vision: String,
    /// Variant and settings.
    pub variant: String,
    /// Seed of the memory.
    pub seed: u64,
    /// `all`, or `shifted`: trained without the last driver.
    pub split: String,
    /// Settings of the training.
    pub settings: MemoryTraining,
    /// Number of parameters.
    pub parameters: usize,
    /// The error, if a loss or gradient was not finite.
    pub diverged: Option<String>,
    /// Seconds of one update on one core, lower decile. 0 if unknown, because the run was
    /// interrupted between training and judging.
    pub seconds_per_update: f64,
    /// Update and held-out nats above the floor.
    pub curve: Vec<[f64; 2]>,
    /// Measurements on test episodes; empty for trials and runs that diverged.
    #[serde(flatten)]
    pub measured: Measured,
}

impl Finished {
    /// The least held-out nats above the floor in training.
    pub fn best_held_out(&self) -> f64 {
        let nats = self.curve.iter().map(|[_, nats]| *nats);
        nats.fold(f64::INFINITY, f64::min)
    }
}

/// Measurements of a trained memory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// One entry a test episode.
    pub episodes: Vec<TestEpisode>,
    /// Ranks among draws.
    pub calibration: Calibration,
    /// For each horizon: steps ahead, and the mean squared errors of the memory and of `copy` over
    /// the latents' variance.
    pub open_loop: Vec<[f64; 3]>,
    /// Median and 99 % quantile of one step with a draw of the next latent, microseconds.
    pub step_us: [f64; 2],
}

/// Sums over one test episode.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TestEpisode {
    /// Seed of its track.
    pub seed: u64,
    /// Number of the driver in `collect.policy`.
    pub driver: usize,
    /// Entropy of the targets, nats: the floor of the likelihood.
    pub floor: f64,
    /// The memory's sums.
    #[serde(flatten)]
    pub sums: EvaluationSums,
}

impl TestEpisode {
    /// Nats above the floor, and steps.
    pub fn above(&self) -> [f64; 2] {
        [self.sums.nll - self.floor, self.sums.steps]
    }
}

/// Test episodes as batches, with their floors and drivers.
pub struct Test {
    pub episodes: Vec<(LatentEpisode, SequenceBatch, f64, usize)>,
    /// Standard deviation of each dimension's mean.
    pub spread: Vec<f64>,
}

/// Measures the memory with `weights`.
///
/// # Errors
/// If the weights do not fit `config`, or no episode is long enough for open-loop errors.
pub fn judge(
    config: &MemoryTraining,
    actions: usize,
    weights: &Params,
    test: &Test,
) -> Result<Measured> {
    let latent = test.spread.len();
    let wrong = |e: frmdn_engine::params::ParamError| {
        RunError::Failed(format!("a memory's weights do not fit its settings: {e}"))
    };
    let trainer = MemoryTrainer::new(&config.model, latent, actions, 0)
        .with_weights(weights)
        .map_err(wrong)?;
    let batches: Vec<SequenceBatch> = test
        .episodes
        .iter()
        .map(|(_, batch, ..)| batch.clone())
        .collect();
    let judged = trainer.evaluate_each(&batches);
    let episodes = test.episodes.iter().zip(judged);
    let episodes = episodes.map(|((episode, _, floor, driver), sums)| TestEpisode {
        seed: episode.seed,
        driver: *driver,
        floor: *floor,
        sums,
    });
    let mut calibration = Calibration::default();
    for (i, batch) in batches.iter().enumerate() {
        calibration += trainer.calibrate(batch, RANKED, i as u64);
    }
    let memory = memory::load(&config.model, latent, actions, weights).map_err(wrong)?;
    let open_loop = open_loop(memory.as_ref(), test)?;
    Ok(Measured {
        episodes: episodes.collect(),
        calibration,
        open_loop,
        step_us: timed(memory.as_ref(), latent, actions)?,
    })
}

/// Errors of rollouts with the real actions: the mean of several against V's means.
fn open_loop(memory: &dyn memory::Memory, test: &Test) -> Result<Vec<[f64; 3]>> {
    let d = test.spread.len();
    let longest = HORIZONS[HORIZONS.len() - 1];
    // Inactive dimensions have only V's noise as spread. They are summed like the others.
    let variance: f64 = test.spread.iter().map(|sd| sd * sd).sum();
    let mut sums = vec![[0.0; 2]; HORIZONS.len()];
    let (mut n, mut scratch) = (0.0, Scratch::default());
    for (at, (episode, batch, ..)) in test.episodes.iter().enumerate() {
        let a = episode.action_len;
        let mut state = vec![0.0; memory.state_len()];
        for t in 0..episode.steps() {
            if t >= WARM && (t - WARM).is_multiple_of(APART) && t + longest <= episode.steps() {
                n += 1.0;
                let mut states = state.repeat(ROLLOUTS);
                let mut z = batch.seen[t * d..(t + 1) * d].repeat(ROLLOUTS);
                let mut prediction = [Prediction::default(); ROLLOUTS];
                let mut rngs: Vec<_> = (0..ROLLOUTS as u64)
                    .map(|i| stream(0, "compare/open-loop", &[at as u64, t as u64, i]))
                    .collect();
                for ahead in 1..=longest {
                    let action =
                        episode.actions[(t + ahead - 1) * a..(t + ahead) * a].repeat(ROLLOUTS);
                    memory.step(ROLLOUTS, &z.clone(), &action, &mut states, &mut scratch);
                    memory
                        .predict(
                            &states,
                            1.0,
                            &mut rngs,
                            &mut z,
                            &mut prediction,
                            &mut scratch,
                        )
                        .map_err(|e| RunError::Failed(e.to_string()))?;
                    if let Some(h) = HORIZONS.iter().position(|&h| h == ahead) {
                        let truth = &episode.mean[(t + ahead) * d..(t + ahead + 1) * d];
                        for (i, truth) in truth.iter().enumerate() {
                            let mean = z
                                .iter()
                                .skip(i)
                                .step_by(d)
                                .map(|&v| f64::from(v))
                                .sum::<f64>()
                                / ROLLOUTS as f64;
                            let last = f64::from(episode.mean[t * d + i]);
                            sums[h][0] += (mean - f64::from(*truth)).powi(2) / variance;
                            sums[h][1] += (last - f64::from(*truth)).powi(2) / variance;
                        }
                    }
                }
            }
            memory.step(
                1,
                &batch.seen[t * d..(t + 1) * d],
                &batch.given[t * a..(t + 1) * a],
                &mut state,
                &mut scratch,
            );
        }
    }
    if n == 0.0 {
        return Err(RunError::Config(format!(
            "no test episode lasts {MIN_STEPS} steps, which open-loop errors take: make data \
             with a larger collect.steps"
        )));
    }
    Ok(HORIZONS
        .iter()
        .zip(sums)
        .map(|(&h, s)| [h as f64, s[0] / n, s[1] / n])
        .collect())
}

/// Median and 99 % quantile of a step with a draw, one row, microseconds.
fn timed(memory: &dyn memory::Memory, latent: usize, actions: usize) -> Result<[f64; 2]> {
    let (mut state, mut z, a) = (
        vec![0.0; memory.state_len()],
        vec![0.0; latent],
        vec![0.0; actions],
    );
    let (mut scratch, mut prediction, mut rng) = (
        Scratch::default(),
        [Prediction::default()],
        [stream(0, "compare/timed", &[])],
    );
    let mut times = Vec::with_capacity(TIMED);
    for _ in 0..TIMED {
        let start = Instant::now();
        memory.step(1, &z.clone(), &a, &mut state, &mut scratch);
        memory
            .predict(&state, 1.0, &mut rng, &mut z, &mut prediction, &mut scratch)
            .map_err(|e| RunError::Failed(e.to_string()))?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok([times[TIMED / 2], times[TIMED * 99 / 100]])
}
