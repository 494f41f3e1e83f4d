//! The variants by name, their parameters and their first values.

use frmdn_density::{DensityConfig, FlowConfig, FlowKind, Form, LOG_PRECISION_LIMIT, Mask};
use frmdn_engine::{
    Params,
    random::{fill_normal, stream},
};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::heads::MOST_UNITS;
use crate::recurrent::{RecurrentConfig, init_lstm, uniform};

/// The memories by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// A mixture for each dimension of the latent (Ha & Schmidhuber's head).
    RmdnFactored,
    /// A joint mixture with diagonal precisions.
    Rmdn,
    /// Precisions D + U Uᵀ.
    RmdnLowrank,
    /// Covariances D + U Uᵀ. Ours.
    RmdnLowrankCov,
    /// Any precision A D Aᵀ, A unit lower triangular: the upper bound of a Gaussian head.
    RmdnFull,
    /// One learned invertible matrix before a diagonal mixture: the smallest flow.
    RmdnLinear,
    /// A RealNVP flow before a diagonal mixture (the paper's first two versions).
    FrmdnDiagonal,
    /// A RealNVP flow before precisions D + U Uᵀ (the paper's third version).
    Frmdn,
    /// The same with U a free parameter, constant in time (the tied form).
    FrmdnTied,
    /// The same with a flow that sees h. Ours.
    FrmdnConditional,
    /// A RealNVP flow before covariances D + U Uᵀ. Ours.
    FrmdnLowrankCov,
    /// A flow of rational-quadratic splines that sees h, before precisions D + U Uᵀ. Ours.
    FrmdnSpline,
    /// One learned invertible matrix, then a RealNVP flow, before precisions D + U Uᵀ. Ours.
    FrmdnLinear,
    /// A RealNVP flow before a mixture for each dimension. Ours.
    FrmdnFactored,
    /// A random LSTM that is never trained: the control in comparisons.
    Untrained,
    /// No memory: the controller sees z alone.
    None,
    /// No memory but the previous latent: the controller sees z of this step and of the one before.
    Stack2,
    /// Predicts that the latent stays what it is: the trivial baseline.
    Copy,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Self; 18] = [
        Self::RmdnFactored,
        Self::Rmdn,
        Self::RmdnLowrank,
        Self::RmdnLowrankCov,
        Self::RmdnFull,
        Self::RmdnLinear,
        Self::FrmdnDiagonal,
        Self::Frmdn,
        Self::FrmdnTied,
        Self::FrmdnConditional,
        Self::FrmdnLowrankCov,
        Self::FrmdnSpline,
        Self::FrmdnLinear,
        Self::FrmdnFactored,
        Self::Untrained,
        Self::None,
        Self::Stack2,
        Self::Copy,
    ];

    /// The variants with a density, which are trained.
    pub fn trained() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|v| v.parts().is_some())
    }

    /// Form of the components, and the flow's kind and whether it sees h, of the variants with a
    /// density.
    fn parts(self) -> Option<(Form, Option<(FlowKind, bool)>)> {
        let affine = Some((FlowKind::Affine, false));
        Some(match self {
            Self::RmdnFactored => (Form::Factored, None),
            Self::Rmdn => (Form::Diagonal, None),
            Self::RmdnLowrank => (Form::LowRank, None),
            Self::RmdnLowrankCov => (Form::LowRankCovariance, None),
            Self::RmdnFull => (Form::Full, None),
            Self::RmdnLinear => (Form::Diagonal, Some((FlowKind::Linear, false))),
            Self::FrmdnDiagonal => (Form::Diagonal, affine),
            Self::Frmdn => (Form::LowRank, affine),
            Self::FrmdnTied => (Form::Tied, affine),
            Self::FrmdnConditional => (Form::LowRank, Some((FlowKind::Affine, true))),
            Self::FrmdnLowrankCov => (Form::LowRankCovariance, affine),
            Self::FrmdnSpline => (Form::LowRank, Some((FlowKind::Spline, true))),
            Self::FrmdnLinear => (Form::LowRank, affine),
            Self::FrmdnFactored => (Form::Factored, affine),
            Self::Untrained | Self::None | Self::Stack2 | Self::Copy => return None,
        })
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RmdnFactored => "rmdn-factored",
            Self::Rmdn => "rmdn",
            Self::RmdnLowrank => "rmdn-lowrank",
            Self::RmdnLowrankCov => "rmdn-lowrank-cov",
            Self::RmdnFull => "rmdn-full",
            Self::RmdnLinear => "rmdn-linear",
            Self::FrmdnDiagonal => "frmdn-diagonal",
            Self::Frmdn => "frmdn",
            Self::FrmdnTied => "frmdn-tied",
            Self::FrmdnConditional => "frmdn-conditional",
            Self::FrmdnLowrankCov => "frmdn-lowrank-cov",
            Self::FrmdnSpline => "frmdn-spline",
            Self::FrmdnLinear => "frmdn-linear",
            Self::FrmdnFactored => "frmdn-factored",
            Self::Untrained => "untrained",
            Self::None => "none",
            Self::Stack2 => "stack2",
            Self::Copy => "copy",
        })
    }
}

/// A value of [`MemoryConfig`] that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A size.
    #[error("{key} = {value} is impossible: it must be in {min}..={max}")]
    Size {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: usize,
        /// Its smallest value.
        min: usize,
        /// Its largest value.
        max: usize,
    },
    /// A number that must be above 0.
    #[error("{key} = {value} is impossible: it must be a number above 0")]
    NotPositive {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: f64,
    },
    /// A probability that must be below 1.
    #[error("{key} = {value} is impossible: it must be at least 0 and below 1")]
    Probability {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: f64,
    },
}

/// A memory and its size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// Which memory.
    pub variant: Variant,
    /// LSTM cells.
    pub hidden: usize,
    /// Components of the mixture.
    pub components: usize,
    /// Rank of U, where the variant has one.
    pub rank: usize,
    /// Couplings of the flow, where the variant has one.
    pub flow_couplings: usize,
    /// Width of the flow's conditioners.
    pub flow_hidden: usize,
    /// Which values the flow's couplings keep. Ours where it is not `halves`.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub mask: Mask,
    /// A learned invertible matrix stands before the flow's couplings; the variant `frmdn-linear`
    /// always has it. Ours.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub matrix: bool,
    /// Limit of the logarithms of precisions, up and down: at 12 a standard deviation is at least
    /// e⁻⁶ of a value's unit.
    #[serde(
        default = "frmdn_density::default_limit",
        skip_serializing_if = "frmdn_density::is_default_limit"
    )]
    pub log_precision_limit: f32,
    /// Means are changes of the present latent (in the mixture's space), which the head then sees
    /// too.
    #[serde(default)]
    pub residual: bool,
    /// Units of a hidden layer of the reward's head, which then sees the next latent beside h; 0: it is
    /// linear in h. Ours.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub reward_hidden: usize,
    /// Memories that are trained separately, from different first weights and on different batches,
    /// and predict as one mixture (equation 20); the controller sees the h of all.
    #[serde(default = "one")]
    pub members: usize,
    /// The loss besides the likelihood, and the bound of the gradient.
    #[serde(default)]
    pub loss: LossConfig,
    /// Spectral radius of each gate's recurrent weights in the variant `untrained`.
    #[serde(default = "default_spectral_radius")]
    pub spectral_radius: f64,
}

fn one() -> usize {
    1
}

fn default_spectral_radius() -> f64 {
    0.95
}

/// The loss beside the likelihood of the next latent, whose weight is 1 (nats a step, summed over
/// dimensions).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Errors of the reward are multiplied by this before they are squared: the loss adds (scale ·
    /// error)². A tenth keeps Car-Racing's −100 for leaving the field from drowning the likelihood;
    /// predictions are in the environment's unit.
    pub reward_scale: f64,
    /// Weight of the end's cross-entropy.
    pub done_weight: f64,
    /// Steps that end an episode count this many times in it; the predicted probability stays
    /// calibrated all the same.
    pub done_positive_weight: f64,
    /// Weight of the squared error of what an auxiliary head, linear in h, makes of a measurement in
    /// standard deviations; 0: there is no such head. It is learned for what it makes h keep, and used
    /// for nothing. Ours.
    #[serde(skip_serializing_if = "frmdn_engine::is_default")]
    pub auxiliary_weight: f64,
    /// Gradients are scaled down to this global norm: likelihoods of sharp densities have rare,
    /// very large gradients. On Car-Racing latents the norm is 20 to 45 all along; a limit of 10,
    /// which cuts every update, cost 0.65 nats a step after 1,500 updates of the preset `tiny`.
    pub clip_norm: f64,
    /// Part of h that is hidden from heads and density in training, drawn anew at every step
    /// (equation 18).
    pub dropout: f64,
    /// Part of the input latents that are the memory's own draws instead of the recorded ones: the
    /// network runs once on the recorded latents, draws from its predictions, and learns on the
    /// mixed inputs (parallel scheduled sampling, equation 19).
    pub scheduled_sampling: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            reward_scale: 0.1,
            done_weight: 1.0,
            done_positive_weight: 1.0,
            auxiliary_weight: 0.0,
            clip_norm: 100.0,
            dropout: 0.0,
            scheduled_sampling: 0.0,
        }
    }
}

impl Default for MemoryConfig {
    /// `frmdn` at the widths of Ha & Schmidhuber.
    fn default() -> Self {
        Self {
            variant: Variant::Frmdn,
            hidden: 256,
            components: 5,
            rank: 2,
            flow_couplings: 2,
            flow_hidden: 64,
            mask: Mask::Halves,
            matrix: false,
            log_precision_limit: LOG_PRECISION_LIMIT,
            residual: false,
            reward_hidden: 0,
            members: one(),
            loss: LossConfig::default(),
            spectral_radius: default_spectral_radius(),
        }
    }
}

impl MemoryConfig {
    /// Checks sizes and settings.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let members = if self.is_trained() { 16 } else { 1 };
        for (key, value, [min, max]) in [
            ("hidden", self.hidden, [1, 4096]),
            ("components", self.components, [1, 40]),
            ("rank", self.rank, [0, 8]),
            ("members", self.members, [1, members]),
            ("flow_couplings", self.flow_couplings, [1, 16]),
            ("flow_hidden", self.flow_hidden, [1, 4096]),
            ("reward_hidden", self.reward_hidden, [0, MOST_UNITS]),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::Size {
                    key,
                    value,
                    min,
                    max,
                });
            }
        }
        let positive = |key: &'static str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(ConfigError::NotPositive { key, value })
            }
        };
        let loss = &self.loss;
        positive("loss.reward_scale", loss.reward_scale)?;
        positive("loss.done_weight", loss.done_weight)?;
        positive("loss.done_positive_weight", loss.done_positive_weight)?;
        positive("loss.clip_norm", loss.clip_norm)?;
        if loss.auxiliary_weight != 0.0 {
            positive("loss.auxiliary_weight", loss.auxiliary_weight)?;
        }
        for (key, value) in [
            ("loss.dropout", loss.dropout),
            ("loss.scheduled_sampling", loss.scheduled_sampling),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(ConfigError::Probability { key, value });
            }
        }
        positive("spectral_radius", self.spectral_radius)
    }

    /// Length of h: what the controller sees beside the `latent` values of z.
    pub fn hidden_len(&self, latent: usize) -> usize {
        match self.variant {
            Variant::None | Variant::Copy => 0,
            Variant::Stack2 => latent,
            _ => self.members * self.hidden,
        }
    }

    /// One memory of an ensemble; the memory itself where it is alone.
    pub fn member(&self) -> Self {
        Self {
            members: 1,
            ..*self
        }
    }

    /// The root seed of member `index`.
    pub fn member_seed(seed: u64, index: usize) -> u64 {
        if index == 0 {
            seed
        } else {
            stream(seed, "memory/member", &[index as u64]).random()
        }
    }

    /// Values that the density sees: h, and the present latent where means are changes of it.
    pub fn features(&self, latent: usize) -> usize {
        self.hidden + if self.residual { latent } else { 0 }
    }

    /// Whether the variant is an LSTM.
    pub fn is_recurrent(&self) -> bool {
        !matches!(
            self.variant,
            Variant::None | Variant::Stack2 | Variant::Copy
        )
    }

    /// Whether the variant is trained at all.
    pub fn is_trained(&self) -> bool {
        self.variant.parts().is_some()
    }

    /// Floating point operations (two per multiply-add) of one row's step, without and with a draw
    /// of the next latent: of the mixture, one component is computed.
    pub fn operations(&self, latent: usize, actions: usize) -> [f64; 2] {
        if !self.is_recurrent() {
            return [0.0; 2];
        }
        let (h, features) = (self.hidden, self.features(latent));
        let step = 8 * (latent + actions + h) * h;
        let draw = self.density(latent).map_or(0, |d| {
            2 * (features * (d.outputs() / d.components + d.components * d.choices() + 2)
                + d.flow_products(features))
        });
        // All members run, one is drawn from.
        [
            (self.members * step) as f64,
            (self.members * step + draw) as f64,
        ]
    }

    /// The same for one step of a sequence in training: forward, all components, and backward to
    /// weights and inputs.
    pub fn training_operations(&self, latent: usize, actions: usize) -> f64 {
        if self.members > 1 {
            return self.members as f64 * self.member().training_operations(latent, actions);
        }
        let rest = self.density(latent).map_or(0, |d| {
            self.features(latent) * (d.outputs() - d.outputs() / d.components)
        });
        3.0 * (self.operations(latent, actions)[1] + 2.0 * rest as f64)
    }

    /// The memory without its heads, where the variant has a density.
    pub fn recurrent(&self, latent: usize, actions: usize) -> Option<RecurrentConfig> {
        Some(RecurrentConfig {
            hidden: self.hidden,
            given: actions,
            density: self.density(latent)?,
            clip_norm: self.loss.clip_norm,
            dropout: self.loss.dropout,
            scheduled_sampling: self.loss.scheduled_sampling,
        })
    }

    /// The density of the next latent given h, where the variant has one.
    pub fn density(&self, latent: usize) -> Option<DensityConfig> {
        let (form, flow) = self.variant.parts()?;
        let flow = flow.map(|(kind, conditional)| FlowConfig {
            conditional,
            mask: self.mask,
            matrix: self.matrix || self.variant == Variant::FrmdnLinear,
            ..FlowConfig::new(kind, self.flow_couplings, self.flow_hidden)
        });
        Some(DensityConfig {
            dim: latent,
            components: self.components,
            form,
            rank: self.rank,
            flow,
            residual: self.residual,
            log_precision_limit: self.log_precision_limit,
        })
    }
}

/// First weights, from named streams of `seed`: those of the LSTM ([`init_lstm`]), the density's,
/// `reward.*` and `done.*` [H, 1]; `reward.hidden.*` [H + latent, units], where the reward's head has a
/// hidden layer; `auxiliary.*` [H, 1], where there is such a head.
///
/// The untrained memory's recurrent weights are
/// normal, each gate's block scaled to the configured spectral radius, so that past inputs
/// fade slowly. Tensors of an ensemble's members begin with `member0.`, `member1.`, ….
pub fn init(config: &MemoryConfig, latent: usize, actions: usize, seed: u64) -> Params {
    if !config.is_recurrent() {
        return Params::default();
    }
    if config.members > 1 {
        let members = (0..config.members).map(|m| {
            init(
                &config.member(),
                latent,
                actions,
                MemoryConfig::member_seed(seed, m),
            )
        });
        return Params::joined("member", members);
    }
    let h = config.hidden;
    let Some(recurrent) = config.recurrent(latent, actions) else {
        let mut params = init_lstm(latent + actions, h, seed);
        for p in &mut params.0 {
            if p.name == "lstm.weight_hidden" {
                p.value = untrained(h, config.spectral_radius, seed);
            }
        }
        return params;
    };
    let mut params = recurrent.init(seed);
    let units = config.reward_hidden;
    if units > 0 {
        let seen = h + latent;
        let weight = uniform(seed, 5, seen, seen * units);
        params.push("reward.hidden.weight", &[seen, units], weight);
        params.push("reward.hidden.bias", &[units], vec![0.0; units]);
    }
    let of_reward = if units > 0 { units } else { h };
    let auxiliary = (config.loss.auxiliary_weight > 0.0).then_some((6, "auxiliary", h));
    for (at, head, n) in [(3, "reward", of_reward), (4, "done", h)]
        .into_iter()
        .chain(auxiliary)
    {
        params.push(format!("{head}.weight"), &[n, 1], uniform(seed, at, n, n));
        params.push(format!("{head}.bias"), &[1], vec![0.0]);
    }
    params
}

/// Recurrent weights [h, 4 h] of a memory that is never trained, each gate's of this spectral radius.
fn untrained(h: usize, radius: f64, seed: u64) -> Vec<f32> {
    let mut recurrent = vec![0.0; h * 4 * h];
    fill_normal(&mut stream(seed, "memory/init", &[1]), &mut recurrent);
    for gate in 0..4 {
        let block = |v: &[f32]| -> Vec<f64> {
            v.chunks_exact(4 * h)
                .flat_map(|row| row[gate * h..(gate + 1) * h].iter().map(|&v| f64::from(v)))
                .collect()
        };
        let scale = (radius / spectral_radius(&block(&recurrent), h)) as f32;
        for row in recurrent.chunks_exact_mut(4 * h) {
            for v in &mut row[gate * h..(gate + 1) * h] {
                *v *= scale;
            }
        }
    }
    recurrent
}

/// The largest magnitude of an eigenvalue of a square matrix, by Gelfand's formula ‖Aⁿ‖^(1/n) with
/// n = 2¹⁶, the powers by repeated squaring: the leading pair of a random matrix is complex and
/// close to the next, so power iteration of a vector does not converge.
fn spectral_radius(matrix: &[f64], n: usize) -> f64 {
    const SQUARINGS: i32 = 16;
    let mut a = matrix.to_vec();
    let mut log_norm = 0.0;
    for step in 0..=SQUARINGS {
        let norm = a.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm == 0.0 {
            return 0.0;
        }
        // The logarithm of ‖A^(2^step)‖ counts 2^-step times.
        log_norm += libm::log(norm) / f64::from(1 << step);
        a.iter_mut().for_each(|v| *v /= norm);
        if step < SQUARINGS {
            let mut square = vec![0.0; n * n];
            for (row, out) in a.chunks_exact(n).zip(square.chunks_exact_mut(n)) {
                for (x, line) in row.iter().zip(a.chunks_exact(n)) {
                    out.iter_mut().zip(line).for_each(|(o, l)| *o += x * l);
                }
            }
            a = square;
        }
    }
    libm::exp(log_norm)
}

/// Entropy Σ ½ log(2πe σ²) of Gaussians with these log-variances, in nats: the floor of a
/// likelihood of their draws (equation 21).
pub fn posterior_entropy(log_variance: &[f32]) -> f64 {
    let constant = libm::log(2.0 * std::f64::consts::PI * std::f64::consts::E);
    log_variance
        .iter()
        .map(|&v| 0.5 * (constant + f64::from(v)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entropy of a standard normal is 1.418939 nats.
    #[test]
    fn entropy_of_standard_normals() {
        assert!((posterior_entropy(&[0.0, 0.0]) - 2.0 * 1.418_938_533).abs() < 1e-8);
    }

    /// A rotation scaled by 0.7 beside 0.3, sheared; a Jordan block; and the circular law at width
    /// 128.
    #[test]
    fn spectral_radii() {
        let (c, s) = (0.7 * 0.6f64, 0.7 * 0.8f64);
        assert!((spectral_radius(&[c, -s, 5.0, s, c, 2.0, 0.0, 0.0, 0.3], 3) - 0.7).abs() < 1e-3);
        assert!((spectral_radius(&[0.5, 1.0, 0.0, 0.5], 2) - 0.5).abs() < 1e-3);
        let mut normal = vec![0.0; 128 * 128];
        fill_normal(&mut stream(1, "radius-test", &[]), &mut normal);
        let wide: Vec<f64> = normal.iter().map(|&v| f64::from(v)).collect();
        let radius = spectral_radius(&wide, 128) / 128f64.sqrt();
        assert!((0.95..1.15).contains(&radius), "{radius}");
    }

    #[test]
    fn the_untrained_memory_has_its_spectral_radius() {
        let config = MemoryConfig {
            variant: Variant::Untrained,
            hidden: 16,
            spectral_radius: 0.8,
            ..MemoryConfig::default()
        };
        let params = init(&config, 4, 2, 3);
        let recurrent = params.value("lstm.weight_hidden");
        for gate in 0..4 {
            let block: Vec<f64> = recurrent
                .chunks_exact(64)
                .flat_map(|row| {
                    row[gate * 16..(gate + 1) * 16]
                        .iter()
                        .map(|&v| f64::from(v))
                })
                .collect();
            assert!((spectral_radius(&block, 16) - 0.8).abs() < 1e-3);
        }
    }
}
