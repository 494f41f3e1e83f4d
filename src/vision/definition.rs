//! The VAE as a burn module: the definition, the autodiff reference and the GPU path.
//!
//! Inside, images are [batch, channels, height, width], burn's order; weights are exchanged with
//! the engine's [`Params`] by [`VaeModule::from_params`] and [`VaeModule::to_params`].

use burn::module::{Module, Param as Weight};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use frmdn_engine::Params;
use frmdn_engine::params::ParamError;

use super::{FRAME, SIDE, VaeConfig};

/// The whole auto-encoder.
#[derive(Module, Debug)]
pub struct VaeModule {
    convs: Vec<Conv2d>,
    head: Linear,
    linear: Linear,
    deconvs: Vec<ConvTranspose2d>,
    latent: usize,
}

/// The parts of the loss, each summed over latent dimensions or pixels and averaged over the
/// batch.
#[derive(Debug)]
pub struct VaeLoss {
    /// Sum of squared errors per frame `[1]`.
    pub squared_error: Tensor<1>,
    /// KL divergence from the standard normal per frame, in nats `[1]`.
    pub kl: Tensor<1>,
}

impl VaeConfig {
    /// The burn module on `device`, its weights still burn's own: load them with
    /// [`VaeModule::from_params`].
    pub fn init(&self, device: &Device) -> VaeModule {
        let mut input = 3;
        let convs = self.encoder_filters().map(|out| {
            let layer = Conv2dConfig::new([input, out], [4, 4])
                .with_stride([2, 2])
                .init(device);
            input = out;
            layer
        });
        let mut input = self.hidden();
        let deconvs = self.decoder_filters().map(|(kernel, out)| {
            let layer = ConvTranspose2dConfig::new([input, out], [kernel, kernel])
                .with_stride([2, 2])
                .init(device);
            input = out;
            layer
        });
        VaeModule {
            convs: convs.into(),
            head: LinearConfig::new(self.encoded(), 2 * self.latent).init(device),
            linear: LinearConfig::new(self.latent, self.hidden()).init(device),
            deconvs: deconvs.into(),
            latent: self.latent,
        }
    }
}

/// A tensor of `params` on `device`.
fn tensor<const D: usize>(
    params: &Params,
    name: &str,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor<D>, ParamError> {
    Ok(Tensor::from_data(
        TensorData::new(params.get(name, shape)?.to_vec(), shape.to_vec()),
        device,
    ))
}

/// The values of a tensor, row-major.
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_to_vec::<f32>()
        .expect("the module's tensors are f32")
}

impl VaeModule {
    /// The module with the engine's weights. A convolution's [kernel, kernel, in, out] becomes
    /// burn's [out, in, kernel, kernel], a transposed one's [kernel, kernel, out, in] becomes [in,
    /// out, kernel, kernel].
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn from_params(
        config: &VaeConfig,
        params: &Params,
        device: &Device,
    ) -> Result<Self, ParamError> {
        let mut module = config.init(device);
        let shapes = config.tensors();
        let get = |i: usize| (shapes[i].0.as_str(), shapes[i].1.as_slice());
        let bias = |i: usize| -> Result<_, ParamError> {
            let (name, shape) = get(2 * i + 1);
            Ok(Some(Weight::from_tensor(tensor::<1>(
                params, name, shape, device,
            )?)))
        };
        let image = |i: usize| -> Result<_, ParamError> {
            let (name, shape) = get(2 * i);
            Ok(Weight::from_tensor(
                tensor::<4>(params, name, shape, device)?.permute([3, 2, 0, 1]),
            ))
        };
        let matrix = |i: usize| -> Result<_, ParamError> {
            let (name, shape) = get(2 * i);
            Ok(Weight::from_tensor(tensor::<2>(
                params, name, shape, device,
            )?))
        };
        for (i, layer) in module.convs.iter_mut().enumerate() {
            (layer.weight, layer.bias) = (image(i)?, bias(i)?);
        }
        (module.head.weight, module.head.bias) = (matrix(4)?, bias(4)?);
        (module.linear.weight, module.linear.bias) = (matrix(5)?, bias(5)?);
        for (i, layer) in module.deconvs.iter_mut().enumerate() {
            (layer.weight, layer.bias) = (image(6 + i)?, bias(6 + i)?);
        }
        Ok(module)
    }

    /// The weights in the engine's order and layout.
    pub fn to_params(&self, config: &VaeConfig) -> Params {
        self.collect(config, &|w| w.val(), &|w| w.val(), &|w| w.val())
    }

    /// The gradients in the engine's order and layout; zero where there is none.
    pub fn gradients(&self, config: &VaeConfig, gradients: &Gradients) -> Params {
        fn of<const D: usize>(w: &Weight<Tensor<D>>, gradients: &Gradients) -> Tensor<D> {
            w.val()
                .grad(gradients)
                .unwrap_or_else(|| w.val().inner().zeros_like())
        }
        self.collect(config, &|w| of(w, gradients), &|w| of(w, gradients), &|w| {
            of(w, gradients)
        })
    }

    fn collect(
        &self,
        config: &VaeConfig,
        image: &dyn Fn(&Weight<Tensor<4>>) -> Tensor<4>,
        matrix: &dyn Fn(&Weight<Tensor<2>>) -> Tensor<2>,
        vector: &dyn Fn(&Weight<Tensor<1>>) -> Tensor<1>,
    ) -> Params {
        let mut list = Vec::new();
        let mut add = |weight: Vec<f32>, bias: &Option<Weight<Tensor<1>>>| {
            list.push(weight);
            list.push(
                bias.as_ref()
                    .map(|b| values(vector(b)))
                    .expect("every layer has a bias"),
            );
        };
        for layer in &self.convs {
            add(
                values(image(&layer.weight).permute([2, 3, 1, 0])),
                &layer.bias,
            );
        }
        add(values(matrix(&self.head.weight)), &self.head.bias);
        add(values(matrix(&self.linear.weight)), &self.linear.bias);
        for layer in &self.deconvs {
            add(
                values(image(&layer.weight).permute([2, 3, 1, 0])),
                &layer.bias,
            );
        }
        let mut params = Params::default();
        for ((name, shape), value) in config.tensors().into_iter().zip(list) {
            params.push(name, &shape, value);
        }
        params
    }

    /// Mean and log-variance [batch, latent] of `frames` [batch, 3, 64, 64], values in 0..1.
    pub fn encode(&self, frames: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let mut x = frames;
        for conv in &self.convs {
            x = relu(conv.forward(x));
        }
        // The engine's images are channels-last, and so is the order of the head's inputs.
        let head = self
            .head
            .forward(x.permute([0, 2, 3, 1]).flatten::<2>(1, 3));
        let parts = head.chunk(2, 1);
        (parts[0].clone(), parts[1].clone())
    }

    /// Frames [batch, 3, 64, 64], values in 0..1, of `latents` [batch, latent].
    pub fn decode(&self, latents: Tensor<2>) -> Tensor<4> {
        let h = self.linear.forward(latents);
        let [n, hidden] = h.dims();
        let mut x = h.reshape([n, hidden, 1, 1]);
        for (i, layer) in self.deconvs.iter().enumerate() {
            x = layer.forward(x);
            x = if i < 3 { relu(x) } else { sigmoid(x) };
        }
        x
    }

    /// The loss parts of `frames` [batch, 3, 64, 64] with `noise` [batch, latent]: z = μ + σ·noise,
    /// with μ and σ from the encoder at `seen`.
    pub fn loss(
        &self,
        seen: Tensor<4>,
        frames: Tensor<4>,
        noise: Tensor<2>,
        weights: Option<Tensor<4>>,
    ) -> VaeLoss {
        let n = frames.dims()[0] as f64;
        let (mean, log_variance) = self.encode(seen);
        let deviation = log_variance.clone().mul_scalar(0.5).exp();
        let error = self.decode(mean.clone() + deviation * noise) - frames;
        let kl = (mean.clone() * mean + log_variance.clone().exp() - log_variance)
            .sub_scalar(1.0)
            .mul_scalar(0.5);
        let squares = error.clone() * error;
        let squares = match weights {
            Some(weights) => squares * weights,
            None => squares,
        };
        VaeLoss {
            squared_error: squares.sum() / n,
            kl: kl.sum() / n,
        }
    }
}

/// Frames `[n, 64, 64, 3]` of bytes as a tensor [n, 3, 64, 64] with values in 0..1.
pub fn to_tensor(frames: &[u8], device: &Device) -> Tensor<4> {
    let x: Vec<f32> = frames.iter().map(|&x| f32::from(x) / 255.0).collect();
    Tensor::<4>::from_data(
        TensorData::new(x, [frames.len() / FRAME, SIDE, SIDE, 3]),
        device,
    )
    .permute([0, 3, 1, 2])
}

/// A batch as the trainer has it.
pub(super) struct VaeBatch<'a> {
    /// Frames that the encoder sees `[n, 64, 64, 3]`.
    pub seen: &'a [u8],
    /// Frames that are to be reconstructed `[n, 64, 64, 3]`.
    pub frames: &'a [u8],
    /// ε of z = μ + σ·ε `[n, latent]`.
    pub noise: &'a [f32],
    /// Weights of the pixels' errors `[n, 64, 64]`, if they do not count alike.
    pub weights: Option<&'a [f32]>,
}

/// Squared error and KL of `batch` (means over frames), and the gradients of squared error + `beta`
/// KL.
pub(super) fn differentiate(
    config: &VaeConfig,
    weights: &Params,
    batch: &VaeBatch<'_>,
    beta: f64,
    device: &Device,
) -> (f64, f64, Params) {
    let VaeBatch {
        seen,
        frames,
        noise,
        weights: pixels,
    } = *batch;
    let module = VaeModule::from_params(config, weights, device)
        .expect("the trainer's weights have the model's shapes");
    let noise = Tensor::from_data(
        TensorData::new(noise.to_vec(), [frames.len() / FRAME, config.latent]),
        device,
    );
    let pixels = pixels.map(|weights| {
        let shape = [frames.len() / FRAME, 1, SIDE, SIDE];
        Tensor::from_data(TensorData::new(weights.to_vec(), shape), device)
    });
    let (seen, frames) = (to_tensor(seen, device), to_tensor(frames, device));
    let VaeLoss { squared_error, kl } = module.loss(seen, frames, noise, pixels);
    let gradients = (squared_error.clone() + kl.clone() * beta).backward();
    let number = |x: Tensor<1>| f64::from(x.into_scalar::<f32>());
    (
        number(squared_error),
        number(kl),
        module.gradients(config, &gradients),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Vae;
    use super::super::graph::{Network, Shard};
    use super::super::model::{DecoderScratch, EncoderScratch};
    use super::*;
    use frmdn_engine::random::{fill_normal, stream};

    const CONFIG: VaeConfig = VaeConfig {
        width: 4,
        decoder_width: 6,
        latent: 6,
    };

    fn frames(n: usize) -> Vec<u8> {
        (0..n * FRAME)
            .map(|i| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8)
            .collect()
    }

    fn close(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        let scale = want.iter().fold(1e-12f32, |m, x| m.max(x.abs()));
        for (g, w) in got.iter().zip(want) {
            assert!(
                (g - w).abs() <= tolerance * scale,
                "{what}: {g} {w} (largest {scale})"
            );
        }
    }

    #[test]
    fn the_engine_encodes_and_decodes_like_burn() {
        let device = Device::flex();
        let vae = Vae::init(CONFIG, 11);
        let module = VaeModule::from_params(&CONFIG, vae.params(), &device).unwrap();
        assert_eq!(&module.to_params(&CONFIG), vae.params());
        let frames = frames(3);
        let (mut mean, mut log_variance) = (vec![0.0; 18], vec![0.0; 18]);
        vae.encoder().encode_with_variance(
            &mut EncoderScratch::default(),
            &frames,
            &mut mean,
            &mut log_variance,
        );
        let (want_mean, want_log_variance) = module.encode(to_tensor(&frames, &device));
        close(&mean, &values(want_mean), 1e-5, "mean");
        close(
            &log_variance,
            &values(want_log_variance),
            1e-5,
            "log-variance",
        );
        let mut latents = vec![0.0; 18];
        fill_normal(&mut stream(1, "latents", &[]), &mut latents);
        let mut pictures = vec![0.0; 3 * FRAME];
        vae.decoder()
            .decode(&mut DecoderScratch::default(), &latents, &mut pictures);
        let want = module.decode(Tensor::from_data(TensorData::new(latents, [3, 6]), &device));
        close(
            &pictures,
            &values(want.permute([0, 2, 3, 1])),
            1e-5,
            "pictures",
        );
    }

    #[test]
    fn the_engine_differentiates_like_burn() {
        let device = Device::flex().autodiff();
        let vae = Vae::init(CONFIG, 12);
        let frames = frames(3);
        let mut shard = Shard::new(vae.params());
        shard.noise = vec![0.0; 18];
        fill_normal(&mut stream(2, "noise", &[]), &mut shard.noise);
        let mut network = Network::new(CONFIG);
        network.load(vae.params(), true);
        shard.forward(&network, &frames, None, None);
        shard.backward(&network, 7.0, 1.0 / 3.0);

        let module = VaeModule::from_params(&CONFIG, vae.params(), &device).unwrap();
        let noise = Tensor::from_data(TensorData::new(shard.noise.clone(), [3, 6]), &device);
        let seen = to_tensor(&frames, &device);
        let loss = module.loss(seen.clone(), seen, noise, None);
        let squares = values(loss.squared_error.clone())[0];
        let kl = values(loss.kl.clone())[0];
        close(
            &[(shard.sums.squares / 3.0) as f32],
            &[squares],
            1e-5,
            "squared error",
        );
        close(
            &[(shard.sums.kl.iter().sum::<f64>() / 3.0) as f32],
            &[kl],
            1e-4,
            "KL",
        );
        let gradients = (loss.squared_error + loss.kl * 7.0).backward();
        let want = module.gradients(&CONFIG, &gradients);
        for (got, want) in shard.gradients.0.iter().zip(&want.0) {
            assert!(
                want.value.iter().any(|&x| x != 0.0),
                "{} has no gradient",
                want.name
            );
            close(&got.value, &want.value, 1e-4, &got.name);
        }
    }
}
