//! Training: one Adam update per batch, bit-equal for any number of threads and across a save and
//! reload.

use burn::tensor::Device;
use frmdn_engine::Params;
use frmdn_engine::adam::{Adam, AdamConfig};
use frmdn_engine::params::ParamError;
use frmdn_engine::random::{fill_normal, stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::augment;
use super::definition::{self, VaeBatch};
use super::graph::{Network, Shard};
use super::loss::{BetaConfig, BetaState, Sums, VaeEvaluation, VaeMetrics};
use super::model::{Vae, VaeConfig};
use super::rare;
use super::{FRAME, SIDE};

/// Frames in a shard. Part of the arithmetic: gradients are summed inside a shard first, then over
/// shards in order.
const SHARD: usize = 16;

/// Settings of a training run besides the network's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VaeTrainerConfig {
    /// How β is steered.
    pub beta: BetaConfig,
    /// Gradients whose global norm exceeds this are scaled down to it.
    pub clip_norm: Option<f64>,
    /// Colours of what the encoder sees are altered by up to this part of the range, 0 to 1; what
    /// is to be reconstructed is the frame as it was, so that latents become invariant to colour.
    pub augment: f64,
    /// How much more pixels of rare colours count: their weight is the colour's frequency in their
    /// rows of the batch to the power of minus this, 0 to 1.
    #[serde(skip_serializing_if = "frmdn_engine::is_default")]
    pub rare: f64,
}

/// A loss or gradient that is not a number or infinite. The weights are those before the update.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "update {update} of the vision model: `{tensor}` is not finite; lower the learning rate or \
     clip the gradient, and resume"
)]
pub struct NonFinite {
    /// `loss`, or the tensor whose gradient it is.
    pub tensor: String,
    /// The update's number.
    pub update: u64,
}

/// The plain numbers of a training state; the tensors are apart, see [`VaeTrainer::save`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeState {
    /// Size of the network.
    pub model: VaeConfig,
    /// Settings.
    pub trainer: VaeTrainerConfig,
    /// Updates made so far.
    pub updates: u64,
    /// State of the controller of β.
    pub beta: BetaState,
}

/// The model in training.
#[derive(Clone, Debug)]
pub struct VaeTrainer {
    config: VaeTrainerConfig,
    weights: Params,
    adam: Adam,
    beta: BetaState,
    network: Network,
    shards: Vec<Shard>,
    total: Params,
    /// Where gradients are computed, if not on the engine.
    device: Option<Device>,
}

impl VaeTrainer {
    /// Starts from the weights of `vae`, with fresh moments.
    pub fn new(vae: &Vae, config: VaeTrainerConfig) -> Self {
        let weights = vae.params().clone();
        let adam = Adam::new(
            &weights,
            AdamConfig {
                clip_norm: config.clip_norm,
                ..AdamConfig::default()
            },
        );
        Self::assemble(
            vae.config(),
            config,
            weights,
            adam,
            BetaState::new(&config.beta),
        )
    }

    fn assemble(
        model: VaeConfig,
        config: VaeTrainerConfig,
        weights: Params,
        adam: Adam,
        beta: BetaState,
    ) -> Self {
        let total = weights.zeros_like();
        Self {
            config,
            weights,
            adam,
            beta,
            network: Network::new(model),
            shards: Vec::new(),
            total,
            device: None,
        }
    }

    /// The trainer with its gradients computed through burn on `device`; without one, on the
    /// engine.
    #[must_use]
    pub fn on(self, device: Option<&Device>) -> Self {
        Self {
            device: device.map(|d| d.clone().autodiff()),
            ..self
        }
    }

    /// The model as it is now.
    ///
    /// # Panics
    /// Never: the weights have the configuration's shapes.
    pub fn vae(&self) -> Vae {
        Vae::from_params(self.network.config, &self.weights)
            .expect("the trainer's weights have the model's shapes")
    }

    /// The weights as they are now.
    pub fn weights(&self) -> &Params {
        &self.weights
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.adam.updates
    }

    /// β of the next update.
    pub fn beta(&self) -> f64 {
        self.beta.beta
    }

    /// One update on `frames` [n, 64, 64, 3]. The noise comes from the stream (`seed`,
    /// `vision/noise`, `update`, shard). Runs on the current rayon pool; the result does not depend
    /// on the number of threads.
    ///
    /// # Errors
    /// If the loss or a gradient is not finite; nothing has changed then.
    ///
    /// # Panics
    /// If `frames` is empty or not whole frames.
    pub fn step(
        &mut self,
        frames: &[u8],
        learning_rate: f64,
        update: u64,
        seed: u64,
    ) -> Result<VaeMetrics, NonFinite> {
        assert!(
            !frames.is_empty() && frames.len().is_multiple_of(FRAME),
            "frames are 64×64×3 bytes each, one at least"
        );
        let beta = self.beta.beta;
        let altered =
            (self.config.augment > 0.0).then(|| augment(frames, self.config.augment, seed, update));
        let altered = altered.as_deref();
        let pixels = (self.config.rare > 0.0).then(|| rare::weights(frames, self.config.rare));
        let pixels = pixels.as_deref();
        let (squared_error, kl) = match self.device.clone() {
            None => self.on_engine((frames, altered, pixels), update, seed),
            Some(device) => {
                let latent = self.network.config.latent;
                let mut noise = vec![0.0; frames.len() / FRAME * latent];
                for (i, noise) in noise.chunks_mut(SHARD * latent).enumerate() {
                    fill_normal(
                        &mut stream(seed, "vision/noise", &[update, i as u64]),
                        noise,
                    );
                }
                let batch = VaeBatch {
                    seen: altered.unwrap_or(frames),
                    frames,
                    noise: &noise,
                    weights: pixels,
                };
                let (squared_error, kl, gradients) = definition::differentiate(
                    &self.network.config,
                    &self.weights,
                    &batch,
                    beta,
                    &device,
                );
                self.total = gradients;
                (squared_error, kl)
            }
        };
        let loss = squared_error + beta * kl;
        if !loss.is_finite() {
            return Err(NonFinite {
                tensor: "loss".into(),
                update,
            });
        }
        if let Some(tensor) = self.total.first_non_finite() {
            return Err(NonFinite {
                tensor: tensor.into(),
                update,
            });
        }
        let gradient_norm = self
            .adam
            .step(&mut self.weights, &mut self.total, learning_rate);
        self.beta.update(&self.config.beta, kl);
        Ok(VaeMetrics {
            loss,
            squared_error,
            mse: squared_error / FRAME as f64,
            kl,
            beta,
            gradient_norm,
        })
    }

    /// Squared error and KL, means over frames, of a batch: the frames, what the encoder sees in
    /// their place, and the weights of the pixels. The gradients are left in `total`.
    fn on_engine(
        &mut self,
        (frames, altered, pixels): (&[u8], Option<&[u8]>, Option<&[f32]>),
        update: u64,
        seed: u64,
    ) -> (f64, f64) {
        let n = frames.len() / FRAME;
        let latent = self.network.config.latent;
        let (beta, scale) = (self.beta.beta, 1.0 / n as f32);
        self.network.load(&self.weights, true);
        self.grow(n.div_ceil(SHARD));
        let network = &self.network;
        let shards = &mut self.shards[..n.div_ceil(SHARD)];
        shards
            .par_iter_mut()
            .zip(frames.par_chunks(SHARD * FRAME))
            .enumerate()
            .for_each(|(i, (shard, frames))| {
                shard.noise.resize(frames.len() / FRAME * latent, 0.0);
                fill_normal(
                    &mut stream(seed, "vision/noise", &[update, i as u64]),
                    &mut shard.noise,
                );
                let from = i * SHARD * FRAME;
                shard.forward(
                    network,
                    frames,
                    altered.map(|altered| &altered[from..from + frames.len()]),
                    pixels.map(|pixels| &pixels[from / 3..(from + frames.len()) / 3]),
                );
                shard.backward(network, beta as f32, scale);
            });

        let mut sums = Sums::default();
        sums.reset(latent);
        shards.iter().for_each(|s| sums.add(&s.sums));
        let squared_error = sums.squares / n as f64;
        let kl = sums.kl.iter().sum::<f64>() / n as f64;
        reduce(shards, &mut self.total);
        (squared_error, kl)
    }

    fn grow(&mut self, shards: usize) {
        while self.shards.len() < shards {
            self.shards.push(Shard::new(&self.weights));
        }
    }

    /// Loss parts and latent statistics over `frames` [n, 64, 64, 3], each frame's mean latent
    /// being decoded.
    ///
    /// # Panics
    /// If `frames` is not whole frames.
    pub fn evaluate(&mut self, frames: &[u8]) -> VaeEvaluation {
        assert!(
            frames.len().is_multiple_of(FRAME),
            "frames are 64×64×3 bytes each"
        );
        self.network.load(&self.weights, false);
        let latent = self.network.config.latent;
        let mut sums = Sums::default();
        sums.reset(latent);
        // As many shards at once as there are threads; the sums are taken in shard order all the
        // same.
        self.grow(rayon::current_num_threads());
        let network = &self.network;
        for part in frames.chunks(self.shards.len() * SHARD * FRAME) {
            self.shards
                .par_iter_mut()
                .zip(part.par_chunks(SHARD * FRAME))
                .for_each(|(shard, frames)| {
                    shard.noise.clear();
                    shard.forward(network, frames, None, None);
                });
            self.shards[..part.len().div_ceil(SHARD * FRAME)]
                .iter()
                .for_each(|s| sums.add(&s.sums));
        }
        sums.evaluation()
    }

    /// Everything needed to continue bit for bit: plain numbers, and the tensors `weights.…`,
    /// `adam.first.…`, `adam.second.…`.
    pub fn save(&self) -> (VaeState, Params) {
        let state = VaeState {
            model: self.network.config,
            trainer: self.config,
            updates: self.adam.updates,
            beta: self.beta,
        };
        (state, self.adam.tensors(&self.weights))
    }

    /// The trainer that [`VaeTrainer::save`] described.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn restore(state: &VaeState, tensors: &Params) -> Result<Self, ParamError> {
        let list = |prefix: &str| {
            let mut params = Params::default();
            for (name, shape) in state.model.tensors() {
                let value = tensors.get(&format!("{prefix}.{name}"), &shape)?.to_vec();
                params.push(name, &shape, value);
            }
            Ok(params)
        };
        let (weights, first, second) =
            (list("weights")?, list("adam.first")?, list("adam.second")?);
        let config = AdamConfig {
            clip_norm: state.trainer.clip_norm,
            ..AdamConfig::default()
        };
        let adam = Adam {
            config,
            updates: state.updates,
            first,
            second,
        };
        Ok(Self::assemble(
            state.model,
            state.trainer,
            weights,
            adam,
            state.beta,
        ))
    }
}

/// `total` = Σ of the shards' gradients, in shard order for every element; chunks of tensors in
/// parallel.
fn reduce(shards: &[Shard], total: &mut Params) {
    const CHUNK: usize = 256 * SIDE;
    total.0.par_iter_mut().enumerate().for_each(|(t, out)| {
        out.value
            .par_chunks_mut(CHUNK)
            .enumerate()
            .for_each(|(chunk, out)| {
                let range = chunk * CHUNK..chunk * CHUNK + out.len();
                out.copy_from_slice(&shards[0].gradients.0[t].value[range.clone()]);
                for shard in &shards[1..] {
                    for (x, y) in out
                        .iter_mut()
                        .zip(&shard.gradients.0[t].value[range.clone()])
                    {
                        *x += y;
                    }
                }
            });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Soft discs of random place and colour on a grey ground: something that compresses.
    fn frames(n: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(n * FRAME);
        for i in 0..n {
            let (cx, cy, r) = (10 + (i * 13) % 44, 10 + (i * 29) % 44, 6 + (i % 7));
            for (y, x, c) in
                (0..64).flat_map(|y| (0..64).flat_map(move |x| (0..3).map(move |c| (y, x, c))))
            {
                let inside = x.max(cx) - x.min(cx) < r && y.max(cy) - y.min(cy) < r;
                out.push(if inside {
                    [230, 40, 90][(c + i) % 3]
                } else {
                    110
                });
            }
        }
        out
    }

    const CONFIG: VaeConfig = VaeConfig {
        width: 4,
        decoder_width: 0,
        latent: 8,
    };

    fn run(trainer: &mut VaeTrainer, updates: std::ops::Range<u64>) -> Vec<VaeMetrics> {
        let frames = frames(40);
        updates
            .map(|u| trainer.step(&frames, 1e-3, u, 9).unwrap())
            .collect()
    }

    #[test]
    fn a_device_trains_like_the_engine() {
        let frames = frames(20);
        let vae = Vae::init(CONFIG, 3);
        for (augment, rare) in [(0.0, 0.0), (0.3, 0.0), (0.3, 0.5)] {
            let config = VaeTrainerConfig {
                augment,
                rare,
                ..VaeTrainerConfig::default()
            };
            let mut engine = VaeTrainer::new(&vae, config);
            let mut device =
                VaeTrainer::new(&vae, config).on(Some(&crate::device::device_under_test()));
            for update in 0..3 {
                let (a, b) = (
                    engine.step(&frames, 1e-3, update, 1).unwrap(),
                    device.step(&frames, 1e-3, update, 1).unwrap(),
                );
                for (a, b) in [
                    (a.squared_error, b.squared_error),
                    (a.kl, b.kl),
                    (a.gradient_norm, b.gradient_norm),
                ] {
                    assert!(
                        (a - b).abs() < 1e-3 * a.abs(),
                        "augment {augment}, rare {rare}, update {update}: {a} {b}"
                    );
                }
            }
        }
    }

    /// With its last layer at zero the decoder's picture is grey whatever the encoder sees: the
    /// error is that of the frames as they were, and only the KL tells that it saw others.
    #[test]
    fn altered_frames_are_seen_and_unaltered_ones_are_the_target() {
        let mut params = Vae::init(CONFIG, 3).params().clone();
        let last = params.0.len() - 2;
        params.0[last..].iter_mut().for_each(|p| p.value.fill(0.0));
        let vae = Vae::from_params(CONFIG, &params).unwrap();
        let frames = frames(20);
        let step = |augment: f64| {
            let config = VaeTrainerConfig {
                augment,
                ..VaeTrainerConfig::default()
            };
            VaeTrainer::new(&vae, config)
                .step(&frames, 1e-3, 0, 9)
                .unwrap()
        };
        let (plain, altered) = (step(0.0), step(0.3));
        assert_eq!(plain.squared_error, altered.squared_error);
        assert_ne!(plain.kl, altered.kl);
        assert_eq!(altered, step(0.3));
    }

    #[test]
    fn updates_do_not_depend_on_the_number_of_threads() {
        let result = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let mut trainer =
                    VaeTrainer::new(&Vae::init(CONFIG, 1), VaeTrainerConfig::default());
                let metrics = run(&mut trainer, 0..4);
                let evaluation = trainer.evaluate(&frames(50));
                (metrics, evaluation, trainer.save())
            })
        };
        assert_eq!(result(1), result(2));
    }

    #[test]
    fn a_saved_run_goes_on_bit_for_bit() {
        let mut whole = VaeTrainer::new(&Vae::init(CONFIG, 1), VaeTrainerConfig::default());
        run(&mut whole, 0..6);
        let mut first = VaeTrainer::new(&Vae::init(CONFIG, 1), VaeTrainerConfig::default());
        run(&mut first, 0..3);
        let (state, tensors) = first.save();
        let state: VaeState =
            serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        let mut second = VaeTrainer::restore(&state, &tensors).unwrap();
        run(&mut second, 3..6);
        assert_eq!(whole.save(), second.save());
    }

    #[test]
    fn a_loss_that_is_not_finite_changes_nothing() {
        let mut vae = Vae::init(CONFIG, 1).params().clone();
        let at = vae
            .0
            .iter()
            .position(|p| p.name == "encoder.head.bias")
            .unwrap();
        vae.0[at].value[CONFIG.latent] = 400.0;
        let mut trainer = VaeTrainer::new(
            &Vae::from_params(CONFIG, &vae).unwrap(),
            VaeTrainerConfig::default(),
        );
        let before = trainer.save();
        let error = trainer.step(&frames(3), 1e-3, 17, 9).unwrap_err();
        assert_eq!(
            error,
            NonFinite {
                tensor: "loss".into(),
                update: 17
            }
        );
        assert_eq!(trainer.save(), before);
    }

    #[test]
    fn it_learns_a_few_frames() {
        let mut trainer = VaeTrainer::new(&Vae::init(CONFIG, 1), VaeTrainerConfig::default());
        let metrics = run(&mut trainer, 0..300);
        let (first, last) = (metrics[0], metrics[299]);
        println!("{first:?}\n{last:?}");
        assert!(
            last.squared_error < 0.35 * first.squared_error,
            "{first:?} {last:?}"
        );
        let evaluation = trainer.evaluate(&frames(40));
        assert!(evaluation.active > 1, "{evaluation:?}");
    }
}
