//! The VAE on the engine: configuration, weights, encoder and decoder.

use frmdn_engine::Params;
use frmdn_engine::activation::{relu_inplace, sigmoid_inplace};
use frmdn_engine::conv::{Conv2d, ConvTranspose2d};
use frmdn_engine::linear::Linear;
use frmdn_engine::params::ParamError;
use frmdn_engine::random::{fill_uniform, stream};
use serde::{Deserialize, Serialize};

use super::{FRAME, SIDE};

/// The size of the auto-encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Filters of the first convolution; the others follow (×2, ×4, ×8). Ha: 32. Half width: 16.
    pub width: usize,
    /// Filters of the decoder's third transposed convolution; the second has twice and the first four
    /// times as many. 0: as `width`. Only training and dreams pay for it.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub decoder_width: usize,
    /// Dimensions of the latent vector. Ha: 32.
    pub latent: usize,
}

/// A size that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} is impossible: it must be in 1..={max}")]
pub struct ConfigError {
    /// Field of [`VaeConfig`].
    pub key: &'static str,
    /// Its value.
    pub value: usize,
    /// Its largest value; the smallest is 1.
    pub max: usize,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            width: 32,
            decoder_width: 0,
            latent: 32,
        }
    }
}

impl VaeConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    ///
    /// The first size that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("width", self.width, 256),
            ("decoder_width", self.decoder_width(), 256),
            ("latent", self.latent, 1024),
        ];
        for (key, value, max) in sizes {
            if !(1..=max).contains(&value) {
                return Err(ConfigError { key, value, max });
            }
        }
        Ok(())
    }

    /// Filters of the four convolutions (4×4, stride 2): images of 31, 14, 6 and 2 pixels a side.
    pub fn encoder_filters(&self) -> [usize; 4] {
        [self.width, 2 * self.width, 4 * self.width, 8 * self.width]
    }

    /// Filters of the decoder's third transposed convolution.
    fn decoder_width(&self) -> usize {
        match self.decoder_width {
            0 => self.width,
            width => width,
        }
    }

    /// (kernel, filters) of the four transposed convolutions (stride 2): images of 5, 13, 30 and 64
    /// pixels a side.
    pub fn decoder_filters(&self) -> [(usize, usize); 4] {
        [
            (5, 4 * self.decoder_width()),
            (5, 2 * self.decoder_width()),
            (6, self.decoder_width()),
            (6, 3),
        ]
    }

    /// Length of the flattened last convolution (Ha: 1024).
    pub fn encoded(&self) -> usize {
        32 * self.width
    }

    /// Length of the decoder's first layer (Ha: 1024). With a width of its own it has four times the
    /// latent's: it is linear, as is the next, and more of it learns no better.
    pub fn hidden(&self) -> usize {
        match self.decoder_width {
            0 => 32 * self.width,
            _ => 4 * self.latent,
        }
    }

    /// Floating point operations of encoding one frame to its mean (two per multiply-add; Ha's
    /// widths: 29.6 million), by the sums that define it: the engine needs a third fewer (see
    /// `winograd.rs` there), so its rate by this count can exceed the machine's peak.
    pub fn encoder_operations(&self) -> f64 {
        let (mut side, mut input, mut sum) = (SIDE, 3, 0);
        for out in self.encoder_filters() {
            side = (side - 4) / 2 + 1;
            sum += side * side * out * 16 * input;
            input = out;
        }
        2.0 * (sum + self.encoded() * self.latent) as f64
    }

    /// The same for one frame in training: encoder and decoder forward, and backward to weights and
    /// inputs (three times forward).
    pub fn training_operations(&self) -> f64 {
        let (mut side, mut input, mut sum) = (1, self.hidden(), self.latent * self.hidden());
        for (kernel, out) in self.decoder_filters() {
            sum += side * side * kernel * kernel * input * out;
            side = 2 * (side - 1) + kernel;
            input = out;
        }
        3.0 * (self.encoder_operations() + 2.0 * (sum + self.encoded() * self.latent) as f64)
    }

    /// Name and shape of every tensor, in the order of the weights.
    ///
    /// | tensor | shape |
    /// |---|---|
    /// | `encoder.conv1…4.weight` | `[kernel, kernel, in, out]`, over NHWC images |
    /// | `encoder.head.weight` | [encoded, 2·latent]: columns of the mean, then of the log-variance; rows in (y, x, channel) order |
    /// | `decoder.linear.weight` | [latent, hidden] |
    /// | `decoder.deconv1…4.weight` | [kernel, kernel, **out, in**]: the convolution it is the adjoint of |
    /// | `….bias` | `[out]` |
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = Vec::new();
        let mut add = |layer: String, weight: Vec<usize>, out: usize| {
            list.push((format!("{layer}.weight"), weight));
            list.push((format!("{layer}.bias"), vec![out]));
        };
        let mut input = 3;
        for (i, out) in self.encoder_filters().into_iter().enumerate() {
            add(
                format!("encoder.conv{}", i + 1),
                vec![4, 4, input, out],
                out,
            );
            input = out;
        }
        add(
            "encoder.head".into(),
            vec![self.encoded(), 2 * self.latent],
            2 * self.latent,
        );
        add(
            "decoder.linear".into(),
            vec![self.latent, self.hidden()],
            self.hidden(),
        );
        input = self.hidden();
        for (i, (kernel, out)) in self.decoder_filters().into_iter().enumerate() {
            add(
                format!("decoder.deconv{}", i + 1),
                vec![kernel, kernel, out, input],
                out,
            );
            input = out;
        }
        list
    }
}

/// A VAE: its configuration and its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Vae {
    config: VaeConfig,
    params: Params,
}

impl Vae {
    /// Fresh weights, uniform in ±√(6 / fan-in) before a ReLU and ±√(1 / fan-in) elsewhere (He et
    /// al. 2015), biases 0; each tensor from the stream (`seed`, `vision/init`, its number).
    pub fn init(config: VaeConfig, seed: u64) -> Self {
        let mut params = Params::default();
        for (i, (name, shape)) in config.tensors().into_iter().enumerate() {
            let mut value = vec![0.0; shape.iter().product()];
            if shape.len() > 1 {
                let fan_in = match shape[..] {
                    [kh, kw, input, _] if name.starts_with("encoder") => kh * kw * input,
                    // From a single pixel each output is reached by one tap; later, at stride 2, by
                    // a quarter of them.
                    [_, _, _, input] if name.starts_with("decoder.deconv1") => input,
                    [kh, kw, _, input] => kh * kw * input / 4,
                    _ => shape[0],
                };
                let clipped = name.starts_with("encoder.conv")
                    || (name.starts_with("decoder.deconv") && !name.starts_with("decoder.deconv4"));
                let bound = (if clipped { 6.0 } else { 1.0 } / fan_in as f32).sqrt();
                fill_uniform(
                    &mut stream(seed, "vision/init", &[i as u64]),
                    bound,
                    &mut value,
                );
            }
            params.push(name, &shape, value);
        }
        Self { config, params }
    }

    /// As [`Vae::from_params`]; `None` if there are no weights at all, as in a run whose environment
    /// gives latents, which need no V.
    ///
    /// # Errors
    /// If there are some that do not fit `config`.
    pub fn if_any(config: VaeConfig, params: &Params) -> Result<Option<Self>, ParamError> {
        if params.0.is_empty() {
            return Ok(None);
        }
        Self::from_params(config, params).map(Some)
    }

    /// Takes weights from `params`, which may hold other tensors too.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn from_params(config: VaeConfig, params: &Params) -> Result<Self, ParamError> {
        let mut own = Params::default();
        for (name, shape) in config.tensors() {
            let value = params.get(&name, &shape)?.to_vec();
            own.push(name, &shape, value);
        }
        Ok(Self {
            config,
            params: own,
        })
    }

    /// The configuration.
    pub fn config(&self) -> VaeConfig {
        self.config
    }

    /// The weights, in the order of [`VaeConfig::tensors`].
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The encoder, ready to act.
    pub fn encoder(&self) -> Encoder {
        let mut encoder = Encoder::new(self.config);
        encoder.load(&self.params, false);
        encoder
    }

    /// The decoder, ready to draw.
    pub fn decoder(&self) -> Decoder {
        let mut decoder = Decoder::new(self.config);
        decoder.load(&self.params, false);
        decoder
    }
}

/// Frames that go through a layer together: enough to read the last layers' weights once for many
/// frames, few enough that the images stay in the second-level cache. Results do not depend on it.
const TOGETHER: usize = 16;

/// The encoder: frames → mean (and log-variance). Shared freely between threads, each with its own
/// scratch.
#[derive(Clone, Debug)]
pub struct Encoder {
    pub(super) convs: [Conv2d; 4],
    pub(super) head: Linear,
    latent: usize,
}

/// Buffers of [`Encoder::encode`]; they grow to what is needed and are then reused.
#[derive(Clone, Debug, Default)]
pub struct EncoderScratch {
    input: Vec<f32>,
    images: [Vec<f32>; 4],
    blocks: Vec<f32>,
    head: Vec<f32>,
}

/// `x / 255` for every byte.
pub(super) fn unit(frames: &[u8], out: &mut [f32]) {
    for (y, &x) in out.iter_mut().zip(frames) {
        *y = f32::from(x) * (1.0 / 255.0);
    }
}

impl Encoder {
    pub(super) fn new(config: VaeConfig) -> Self {
        let [a, b, c, d] = config.encoder_filters();
        let convs = [
            Conv2d::new(64, 64, 3, 4, 2, a),
            Conv2d::new(31, 31, a, 4, 2, b),
            Conv2d::new(14, 14, b, 4, 2, c),
            Conv2d::new(6, 6, c, 4, 2, d),
        ];
        Self {
            convs,
            head: Linear::new(config.encoded(), 2 * config.latent),
            latent: config.latent,
        }
    }

    /// Loads `params`, which have the configuration's tensors; with `training`, for the backward
    /// pass too.
    pub(super) fn load(&mut self, params: &Params, training: bool) {
        for (i, conv) in self.convs.iter_mut().enumerate() {
            let (weight, bias) = pair(params, &format!("encoder.conv{}", i + 1));
            conv.load(weight, bias);
            // The gradient of the frames is not needed.
            if training && i > 0 {
                conv.load_backward(weight);
            }
        }
        let (weight, bias) = pair(params, "encoder.head");
        self.head.load(weight, bias);
        if training {
            self.head.load_backward(weight);
        }
    }

    /// Dimensions of the latent vector.
    pub fn latent(&self) -> usize {
        self.latent
    }

    /// Writes the mean of each frame's latent into `mean` [n, latent], from `frames` [n, 64, 64,
    /// 3]. A frame's result does not depend, in any bit, on how many or which frames are encoded
    /// with it.
    ///
    /// # Panics
    /// If the lengths disagree.
    pub fn encode(&self, scratch: &mut EncoderScratch, frames: &[u8], mean: &mut [f32]) {
        self.run(scratch, frames, mean, None);
    }

    /// Like [`Encoder::encode`], with the logarithm of the variance [n, latent] as well.
    ///
    /// # Panics
    /// If the lengths disagree.
    pub fn encode_with_variance(
        &self,
        scratch: &mut EncoderScratch,
        frames: &[u8],
        mean: &mut [f32],
        log_variance: &mut [f32],
    ) {
        assert_eq!(
            mean.len(),
            log_variance.len(),
            "mean and log-variance differ in length"
        );
        self.run(scratch, frames, mean, Some(log_variance));
    }

    fn run(
        &self,
        scratch: &mut EncoderScratch,
        frames: &[u8],
        mean: &mut [f32],
        mut log_variance: Option<&mut [f32]>,
    ) {
        assert_eq!(frames.len() % FRAME, 0, "frames are 64×64×3 bytes each");
        assert_eq!(
            mean.len(),
            frames.len() / FRAME * self.latent,
            "output has the wrong size"
        );
        let l = self.latent;
        for (part, frames) in frames.chunks(TOGETHER * FRAME).enumerate() {
            let n = frames.len() / FRAME;
            scratch.input.resize(n * FRAME, 0.0);
            unit(frames, &mut scratch.input);
            let mut x = &scratch.input;
            for (conv, y) in self.convs.iter().zip(&mut scratch.images) {
                y.resize(n * conv.output_len(), 0.0);
                conv.forward(x, n, true, &mut scratch.blocks, y);
                x = y;
            }
            scratch.head.resize(n * 2 * l, 0.0);
            self.head.forward(x, n, false, &mut scratch.head);
            for (i, row) in scratch.head.chunks_exact(2 * l).enumerate() {
                let at = (part * TOGETHER + i) * l;
                mean[at..at + l].copy_from_slice(&row[..l]);
                if let Some(out) = &mut log_variance {
                    out[at..at + l].copy_from_slice(&row[l..]);
                }
            }
        }
    }
}

/// The decoder: latents → frames. Shared freely between threads, each with its own scratch.
#[derive(Clone, Debug)]
pub struct Decoder {
    pub(super) linear: Linear,
    pub(super) deconvs: [ConvTranspose2d; 4],
    latent: usize,
    hidden: usize,
}

/// Buffers of [`Decoder::decode`].
#[derive(Clone, Debug, Default)]
pub struct DecoderScratch {
    linear: Vec<f32>,
    images: [Vec<f32>; 3],
    columns: Vec<f32>,
    frames: Vec<f32>,
}

impl Decoder {
    pub(super) fn new(config: VaeConfig) -> Self {
        let (mut side, mut channels) = (1, config.hidden());
        let deconvs = config.decoder_filters().map(|(kernel, filters)| {
            let layer = ConvTranspose2d::new(side, side, channels, kernel, 2, filters);
            (side, channels) = (layer.output().0, filters);
            layer
        });
        Self {
            linear: Linear::new(config.latent, config.hidden()),
            deconvs,
            latent: config.latent,
            hidden: config.hidden(),
        }
    }

    pub(super) fn load(&mut self, params: &Params, training: bool) {
        let (weight, bias) = pair(params, "decoder.linear");
        self.linear.load(weight, bias);
        if training {
            self.linear.load_backward(weight);
        }
        for (i, layer) in self.deconvs.iter_mut().enumerate() {
            let (weight, bias) = pair(params, &format!("decoder.deconv{}", i + 1));
            layer.load(weight, bias);
            if training {
                layer.load_backward(weight);
            }
        }
    }

    /// Draws `latents` [n, latent] into `frames` [n, 64, 64, 3], values in 0..1.
    ///
    /// # Panics
    /// If the lengths disagree.
    pub fn decode(&self, scratch: &mut DecoderScratch, latents: &[f32], frames: &mut [f32]) {
        assert_eq!(
            latents.len() % self.latent,
            0,
            "latents have {} values each",
            self.latent
        );
        assert_eq!(
            frames.len(),
            latents.len() / self.latent * FRAME,
            "output has the wrong size"
        );
        for (latents, frames) in latents
            .chunks(TOGETHER * self.latent)
            .zip(frames.chunks_mut(TOGETHER * FRAME))
        {
            let n = latents.len() / self.latent;
            scratch.linear.resize(n * self.hidden, 0.0);
            self.linear.forward(latents, n, false, &mut scratch.linear);
            let mut x = &scratch.linear;
            for (layer, y) in self.deconvs.iter().zip(&mut scratch.images) {
                y.resize(n * layer.output_len(), 0.0);
                layer.forward(x, n, &mut scratch.columns, y);
                relu_inplace(y);
                x = y;
            }
            self.deconvs[3].forward(x, n, &mut scratch.columns, frames);
            sigmoid_inplace(frames);
        }
    }

    /// Like [`Decoder::decode`], as bytes.
    ///
    /// # Panics
    /// If the lengths disagree.
    pub fn decode_u8(&self, scratch: &mut DecoderScratch, latents: &[f32], frames: &mut [u8]) {
        let mut values = std::mem::take(&mut scratch.frames);
        values.resize(frames.len(), 0.0);
        self.decode(scratch, latents, &mut values);
        for (y, x) in frames.iter_mut().zip(&values) {
            *y = (x * 255.0 + 0.5) as u8;
        }
        scratch.frames = values;
    }
}

/// Weight and bias of a layer.
fn pair<'a>(params: &'a Params, layer: &str) -> (&'a [f32], &'a [f32]) {
    (
        params.value(&format!("{layer}.weight")),
        params.value(&format!("{layer}.bias")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_the_paper() {
        let params = Vae::init(VaeConfig::default(), 1).params;
        // Ha's VAE has 4,348,547 parameters.
        assert_eq!(params.count(), 4_348_547);
        assert!(
            Vae::from_params(
                VaeConfig {
                    width: 16,
                    decoder_width: 0,
                    latent: 32
                },
                &params
            )
            .is_err()
        );
    }

    #[test]
    fn a_frame_does_not_depend_on_its_batch() {
        let vae = Vae::init(
            VaeConfig {
                width: 16,
                decoder_width: 0,
                latent: 32,
            },
            3,
        );
        let (encoder, decoder) = (vae.encoder(), vae.decoder());
        let frames: Vec<u8> = (0..17 * FRAME)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8)
            .collect();
        let mut scratch = EncoderScratch::default();
        let one = |i: usize, mean: &mut Vec<f32>| {
            mean.resize(32, 0.0);
            encoder.encode(
                &mut EncoderScratch::default(),
                &frames[i * FRAME..(i + 1) * FRAME],
                mean,
            );
        };
        let mut alone = Vec::new();
        for n in [1, 2, 3, 16, 17] {
            let mut mean = vec![0.0; n * 32];
            encoder.encode(&mut scratch, &frames[..n * FRAME], &mut mean);
            let mut pictures = vec![0.0; n * FRAME];
            decoder.decode(&mut DecoderScratch::default(), &mean, &mut pictures);
            for i in 0..n {
                one(i, &mut alone);
                assert_eq!(alone, mean[i * 32..(i + 1) * 32], "frame {i} of {n}");
                let mut picture = vec![0.0; FRAME];
                decoder.decode(&mut DecoderScratch::default(), &alone, &mut picture);
                assert_eq!(
                    picture,
                    pictures[i * FRAME..(i + 1) * FRAME],
                    "picture {i} of {n}"
                );
            }
        }
    }
}
