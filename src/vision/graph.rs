//! Forward and backward pass of the whole VAE over one shard of frames.

use frmdn_engine::Params;
use frmdn_engine::activation::{exp_inplace, relu_backward, relu_inplace, sigmoid_inplace};

use super::loss::Sums;
use super::model::{Decoder, Encoder, VaeConfig, unit};
use super::{FRAME, SIDE};

/// Both halves with weights loaded; shared by the threads of a step.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub encoder: Encoder,
    pub decoder: Decoder,
    pub config: VaeConfig,
}

impl Network {
    pub fn new(config: VaeConfig) -> Self {
        Self {
            encoder: Encoder::new(config),
            decoder: Decoder::new(config),
            config,
        }
    }

    pub fn load(&mut self, params: &Params, training: bool) {
        rayon::join(
            || self.encoder.load(params, training),
            || self.decoder.load(params, training),
        );
    }
}

/// All buffers of one shard, and its gradients; allocated once.
#[derive(Clone, Debug)]
pub(super) struct Shard {
    input: Vec<f32>,
    /// What is to be reconstructed, where it is not the input.
    target: Vec<f32>,
    /// The weight of each pixel's error; none where all count alike.
    weights: Vec<f32>,
    images: [Vec<f32>; 4],
    head: Vec<f32>,
    pub noise: Vec<f32>,
    deviation: Vec<f32>,
    latent: Vec<f32>,
    linear: Vec<f32>,
    pictures: [Vec<f32>; 4],
    /// Gradients of the images on both sides of the layer at work.
    upper: Vec<f32>,
    lower: Vec<f32>,
    columns: Vec<f32>,
    pub gradients: Params,
    pub sums: Sums,
}

impl Shard {
    pub fn new(params: &Params) -> Self {
        Self {
            input: Vec::new(),
            target: Vec::new(),
            weights: Vec::new(),
            images: Default::default(),
            head: Vec::new(),
            noise: Vec::new(),
            deviation: Vec::new(),
            latent: Vec::new(),
            linear: Vec::new(),
            pictures: Default::default(),
            upper: Vec::new(),
            lower: Vec::new(),
            columns: Vec::new(),
            gradients: params.zeros_like(),
            sums: Sums::default(),
        }
    }

    /// The forward pass: loss parts of `frames` into `sums`. The encoder sees `seen` in their
    /// place, where there is such; errors of pixels have `weights` [n, 64, 64], where there are
    /// some. `noise` [n, latent] is added times the deviation; where it is
    /// empty the mean itself is decoded.
    pub fn forward(
        &mut self,
        net: &Network,
        frames: &[u8],
        seen: Option<&[u8]>,
        weights: Option<&[f32]>,
    ) {
        let n = frames.len() / FRAME;
        self.input.resize(n * FRAME, 0.0);
        unit(seen.unwrap_or(frames), &mut self.input);
        self.target.clear();
        if seen.is_some() {
            self.target.resize(n * FRAME, 0.0);
            unit(frames, &mut self.target);
        }
        self.weights.clear();
        self.weights.extend_from_slice(weights.unwrap_or_default());
        self.sums.reset(net.config.latent);
        self.sums.frames = n;
        self.encode(net);
        self.draw_latents(net.config.latent);
        self.decode(net);
        let target = target(&self.target, &self.input);
        if self.weights.is_empty() {
            let rows = self.pictures[3].chunks_exact(SIDE);
            for (y, x) in rows.zip(target.chunks_exact(SIDE)) {
                let row: f32 = y.iter().zip(x).map(|(y, x)| (y - x) * (y - x)).sum();
                self.sums.squares += f64::from(row);
            }
            return;
        }
        let pixels = self.pictures[3].chunks_exact(3).zip(target.chunks_exact(3));
        for ((y, x), weight) in pixels.zip(&self.weights) {
            let pixel: f32 = y.iter().zip(x).map(|(y, x)| (y - x) * (y - x)).sum();
            self.sums.squares += f64::from(weight * pixel);
        }
    }

    /// Mean and log-variance of `input`, into `head`.
    fn encode(&mut self, net: &Network) {
        let n = self.sums.frames;
        let mut x = &self.input;
        for (conv, y) in net.encoder.convs.iter().zip(&mut self.images) {
            y.resize(n * conv.output_len(), 0.0);
            conv.forward(x, n, true, &mut self.columns, y);
            x = y;
        }
        self.head.resize(n * 2 * net.config.latent, 0.0);
        net.encoder.head.forward(x, n, false, &mut self.head);
    }

    /// z = μ + σ·ε with σ = exp(½ log σ²), for `l` dimensions.
    fn draw_latents(&mut self, l: usize) {
        let n = self.sums.frames;
        self.deviation.resize(n * l, 0.0);
        self.latent.resize(n * l, 0.0);
        for (s, row) in self
            .deviation
            .chunks_exact_mut(l)
            .zip(self.head.chunks_exact(2 * l))
        {
            for (s, &v) in s.iter_mut().zip(&row[l..]) {
                *s = 0.5 * v;
            }
        }
        exp_inplace(&mut self.deviation);
        for (i, row) in self.head.chunks_exact(2 * l).enumerate() {
            for j in 0..l {
                let (mean, log_variance, s) = (row[j], row[l + j], self.deviation[i * l + j]);
                self.latent[i * l + j] = if self.noise.is_empty() {
                    mean
                } else {
                    mean + s * self.noise[i * l + j]
                };
                self.sums.latent(j, mean, log_variance, s);
            }
        }
    }

    /// Frames of `latent`, into the last of `pictures`.
    fn decode(&mut self, net: &Network) {
        let n = self.sums.frames;
        self.linear.resize(n * net.config.hidden(), 0.0);
        net.decoder
            .linear
            .forward(&self.latent, n, false, &mut self.linear);
        let mut x = &self.linear;
        for (i, (layer, y)) in net
            .decoder
            .deconvs
            .iter()
            .zip(&mut self.pictures)
            .enumerate()
        {
            y.resize(n * layer.output_len(), 0.0);
            layer.forward(x, n, &mut self.columns, y);
            if i < 3 {
                relu_inplace(y);
            } else {
                sigmoid_inplace(y);
            }
            x = y;
        }
    }

    /// The backward pass after [`Shard::forward`]: gradients of `scale` · Σ over frames (squares +
    /// `beta` · KL).
    pub fn backward(&mut self, net: &Network, beta: f32, scale: f32) {
        for p in &mut self.gradients.0 {
            p.value.fill(0.0);
        }
        self.decoder_backward(net, scale);
        self.latent_backward(net.config.latent, scale * beta);
        self.encoder_backward(net);
    }

    /// From the squared error to the gradient of the latents, which is left in `lower`.
    fn decoder_backward(&mut self, net: &Network, scale: f32) {
        let n = self.sums.frames;
        self.upper.resize(self.pictures[3].len(), 0.0);
        let target = target(&self.target, &self.input);
        for ((g, &y), &x) in self.upper.iter_mut().zip(&self.pictures[3]).zip(target) {
            *g = scale * 2.0 * (y - x) * y * (1.0 - y);
        }
        for (pixel, weight) in self.upper.chunks_exact_mut(3).zip(&self.weights) {
            pixel.iter_mut().for_each(|g| *g *= weight);
        }
        for i in (0..4).rev() {
            let layer = &net.decoder.deconvs[i];
            let x = if i > 0 {
                &self.pictures[i - 1]
            } else {
                &self.linear
            };
            let (weight, bias) = of_layer(&mut self.gradients, 6 + i);
            layer.backward_weights(x, &self.upper, n, weight, bias);
            self.lower.resize(x.len(), 0.0);
            layer.backward_input(&self.upper, n, &mut self.lower);
            if i > 0 {
                relu_backward(x, &mut self.lower);
            }
            std::mem::swap(&mut self.upper, &mut self.lower);
        }
        let layer = &net.decoder.linear;
        let (weight, bias) = of_layer(&mut self.gradients, 5);
        layer.backward_weights(&self.latent, &self.upper, n, weight, bias);
        self.lower.resize(self.latent.len(), 0.0);
        layer.backward_input(&self.upper, n, &mut self.lower);
    }

    /// From the gradient of the latents in `lower` to that of the head's outputs in `upper`, with
    /// the KL divergence of weight `kl`: ∂z/∂μ = 1, ∂z/∂log σ² = ½σε;
    /// KL = −½ Σ (1 + log σ² − μ² − σ²).
    fn latent_backward(&mut self, l: usize, kl: f32) {
        self.upper.resize(self.sums.frames * 2 * l, 0.0);
        for (i, row) in self.upper.chunks_exact_mut(2 * l).enumerate() {
            for j in 0..l {
                let (at, s) = (i * l + j, self.deviation[i * l + j]);
                let gz = self.lower[at];
                row[j] = gz + kl * self.head[i * 2 * l + j];
                let noise = self.noise.get(at).copied().unwrap_or(0.0);
                row[l + j] = 0.5 * gz * s * noise + 0.5 * kl * (s * s - 1.0);
            }
        }
    }

    /// From the gradient of the head's outputs in `upper` to the encoder's weights.
    fn encoder_backward(&mut self, net: &Network) {
        let n = self.sums.frames;
        let head = &net.encoder.head;
        let (weight, bias) = of_layer(&mut self.gradients, 4);
        head.backward_weights(&self.images[3], &self.upper, n, weight, bias);
        self.lower.resize(self.images[3].len(), 0.0);
        head.backward_input(&self.upper, n, &mut self.lower);
        for i in (0..4).rev() {
            relu_backward(&self.images[i], &mut self.lower);
            std::mem::swap(&mut self.upper, &mut self.lower);
            let layer = &net.encoder.convs[i];
            let x = if i > 0 {
                &self.images[i - 1]
            } else {
                &self.input
            };
            let (weight, bias) = of_layer(&mut self.gradients, i);
            layer.backward_weights(x, &self.upper, n, weight, bias);
            if i > 0 {
                self.lower.resize(x.len(), 0.0);
                layer.backward_input(&self.upper, n, &mut self.columns, &mut self.lower);
            }
        }
    }
}

/// What is to be reconstructed: the input, where no other target is set.
fn target<'a>(target: &'a [f32], input: &'a [f32]) -> &'a [f32] {
    if target.is_empty() { input } else { target }
}

/// The gradients of weight and bias of a layer. Tensors come in the order of `VaeConfig::tensors`:
/// weight, bias; four convolutions, head, linear, four more.
fn of_layer(gradients: &mut Params, layer: usize) -> (&mut [f32], &mut [f32]) {
    let (weight, bias) = gradients.0[2 * layer..2 * layer + 2].split_at_mut(1);
    (&mut weight[0].value, &mut bias[0].value)
}
