//! The configuration of a density, and its parameters.

use frmdn_engine::{
    Params,
    random::{fill_normal, fill_uniform, stream},
};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// The form of a component's Gaussian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// No joint components: a one-dimensional mixture for each value (equation 11; Ha & Schmidhuber
    /// 2018).
    Factored,
    /// P = D.
    Diagonal,
    /// P = D + U Uᵀ (equation 2).
    LowRank,
    /// The same with U a free parameter: it does not depend on the features.
    Tied,
    /// P⁻¹ = D⁻¹ + U Uᵀ (equation 7): U adds variance instead of precision. Ours.
    LowRankCovariance,
    /// P = A D Aᵀ with A unit lower triangular (equation 8): any Gaussian.
    Full,
}

/// The layers of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowKind {
    /// RealNVP's affine couplings (equation 6).
    Affine,
    /// Rational-quadratic spline couplings (equation 9). Ours.
    Spline,
    /// One learned invertible matrix L U, whatever the number of couplings (equation 10).
    Linear,
}

/// Which values the couplings of a flow keep, and which they move, in turns: those of one half of the
/// values in some order, then those of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    /// The order that the values have: the first half, the second one.
    #[default]
    Halves,
    /// Every second value: neighbours, of a sound or a picture, are in different halves. Ours.
    Interleaved,
    /// A random order, a function of the number of dimensions. Ours.
    Random,
}

/// A density that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Nothing of what at least one is needed of.
    #[error("{name} = {value} is impossible: it must be at least 1")]
    TooSmall {
        /// What there is too little of.
        name: &'static str,
        /// How much of it there is.
        value: usize,
    },
    /// More columns of U than dimensions.
    #[error("rank = {rank} is impossible: it must be at most the number of dimensions, {dim}")]
    Rank {
        /// Rank r of U.
        rank: usize,
        /// Values d of a target.
        dim: usize,
    },
    /// Couplings over a single value.
    #[error(
        "couplings need at least two dimensions: half of the values decide how the others are moved"
    )]
    OneDimension,
    /// A limit of precisions that is none.
    #[error("log_precision_limit = {limit} is impossible: it must be above 0 and at most 40")]
    Limit {
        /// The limit.
        limit: f32,
    },
    /// A flow without a coupling or without hidden values.
    #[error("a flow needs at least one coupling and one hidden value")]
    EmptyFlow,
}

/// A flow from data to base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// Its layers.
    pub kind: FlowKind,
    /// Couplings; the halves are transformed in turn.
    pub couplings: usize,
    /// Width of the conditioners' three hidden layers.
    pub hidden: usize,
    /// Whether the conditioners of couplings see the features too. Ours; the paper's flow is one
    /// fixed map.
    pub conditional: bool,
    /// What the couplings keep.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub mask: Mask,
    /// The matrix of [`FlowKind::Linear`] before the couplings. Ours.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub matrix: bool,
}

impl FlowConfig {
    /// Couplings of this kind, number and width that keep halves and see nothing else.
    pub fn new(kind: FlowKind, couplings: usize, hidden: usize) -> Self {
        Self {
            kind,
            couplings,
            hidden,
            conditional: false,
            mask: Mask::Halves,
            matrix: false,
        }
    }
}

/// A conditional density over `dim` values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DensityConfig {
    /// Values d of a target.
    pub dim: usize,
    /// Components K of the mixture.
    pub components: usize,
    /// Form of the components.
    pub form: Form,
    /// Rank r of U, in the forms that have one.
    pub rank: usize,
    /// The flow between targets and the mixture's space, if any.
    pub flow: Option<FlowConfig>,
    /// The last `dim` features are a point y₀ of the target's space, and means are f(y₀) + μ_k: a
    /// mixture of changes (equation 13).
    pub residual: bool,
    /// log d stays within ± this, and so do the logarithms of a matrix's diagonal: without a limit
    /// values without noise would take the likelihood to infinity.
    #[serde(default = "default_limit", skip_serializing_if = "is_default_limit")]
    pub log_precision_limit: f32,
}

/// Standard deviations between e⁻⁶ and e⁶ of a value's unit.
pub const LOG_PRECISION_LIMIT: f32 = 12.0;

#[doc(hidden)]
pub fn default_limit() -> f32 {
    LOG_PRECISION_LIMIT
}

#[doc(hidden)]
pub fn is_default_limit(limit: &f32) -> bool {
    *limit == LOG_PRECISION_LIMIT
}

/// Largest limit of log d: precisions up to e⁴⁰ are squares of what `f32` holds.
const MOST_LIMIT: f32 = 40.0;

/// Parameters of a spline for each transformed value: widths and heights of its bins, and the
/// slopes between bins.
pub(crate) const SPLINE: usize = 3 * crate::BINS - 1;

impl DensityConfig {
    /// A mixture of `components` diagonal Gaussians over `dim` values, the start of every other
    /// configuration.
    pub fn diagonal(dim: usize, components: usize) -> Self {
        Self {
            dim,
            components,
            form: Form::Diagonal,
            rank: 0,
            flow: None,
            residual: false,
            log_precision_limit: LOG_PRECISION_LIMIT,
        }
    }

    /// Checks that such a density exists.
    ///
    /// # Errors
    ///
    /// The first impossible value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (dim, rank) = (self.dim, self.rank);
        for (name, value) in [("dimensions", dim), ("components", self.components)] {
            if value < 1 {
                return Err(ConfigError::TooSmall { name, value });
            }
        }
        if self.columns() > dim {
            return Err(ConfigError::Rank { rank, dim });
        }
        let limit = self.log_precision_limit;
        if !(limit > 0.0 && limit <= MOST_LIMIT) {
            return Err(ConfigError::Limit { limit });
        }
        match self.couplings() {
            Some(_) if dim < 2 => Err(ConfigError::OneDimension),
            Some(flow) if flow.couplings == 0 || flow.hidden == 0 => Err(ConfigError::EmptyFlow),
            _ => Ok(()),
        }
    }

    /// Columns of U: 0 in the forms that have none.
    pub fn columns(&self) -> usize {
        if matches!(
            self.form,
            Form::LowRank | Form::Tied | Form::LowRankCovariance
        ) {
            self.rank
        } else {
            0
        }
    }

    /// Components that a draw chooses: one, or one for each value.
    pub fn choices(&self) -> usize {
        if self.form == Form::Factored {
            self.dim
        } else {
            1
        }
    }

    /// Values of one component's Gaussian: mean, log D, and U or the lower part of A.
    pub(crate) fn component_width(&self) -> usize {
        let lower = if self.form == Form::Full {
            self.dim * (self.dim - 1) / 2
        } else {
            0
        };
        self.dim * (2 + self.columns()) + lower
    }

    /// Outputs of the head per step: K (1 + d (2 + r)) for precisions D + U Uᵀ.
    pub fn outputs(&self) -> usize {
        self.parts().iter().map(|(_, width)| width).sum()
    }

    /// Name and width of the head's parts, in the order of its outputs; the logits first.
    pub(crate) fn parts(&self) -> Vec<(String, usize)> {
        let wide = self.components * self.dim;
        let logits = self.components * self.choices();
        let mut parts = vec![
            ("logits".into(), logits),
            ("mean".into(), wide),
            ("log_precision".into(), wide),
        ];
        match self.form {
            Form::LowRank | Form::LowRankCovariance => {
                parts.extend((0..self.rank).map(|a| (format!("direction{a}"), wide)))
            }
            Form::Full => parts.push(("lower".into(), wide * (self.dim - 1) / 2)),
            Form::Factored | Form::Diagonal | Form::Tied => {}
        }
        parts
    }

    /// The couplings' kind, number, hidden width and whether they see the features, where there are
    /// couplings.
    pub(crate) fn couplings(&self) -> Option<FlowConfig> {
        self.flow.filter(|f| f.kind != FlowKind::Linear)
    }

    /// Whether the flow has a matrix, before its couplings or alone.
    pub(crate) fn has_matrix(&self) -> bool {
        let is_it = |flow: &FlowConfig| flow.matrix || flow.kind == FlowKind::Linear;
        self.flow.as_ref().is_some_and(is_it)
    }

    /// The order in which the couplings see the values, whose halves take turns; `None` where it is
    /// that of the values.
    pub fn order(&self) -> Option<Vec<usize>> {
        let dim = self.dim;
        match self.couplings()?.mask {
            Mask::Halves => None,
            Mask::Interleaved => {
                // Of an odd number the first half has fewer.
                Some((1..dim).step_by(2).chain((0..dim).step_by(2)).collect())
            }
            Mask::Random => {
                let mut order: Vec<usize> = (0..dim).collect();
                order.shuffle(&mut stream(0, "density/mask", &[dim as u64]));
                Some(order)
            }
        }
    }

    /// (kept, transformed) values of coupling `i`: the halves take turns.
    pub fn halves(&self, i: usize) -> (usize, usize) {
        let first = self.dim / 2;
        if i.is_multiple_of(2) {
            (first, self.dim - first)
        } else {
            (self.dim - first, first)
        }
    }

    /// Multiply-adds of the flow for one row, one way.
    pub fn flow_products(&self, features: usize) -> usize {
        let matrix = usize::from(self.has_matrix()) * 2 * self.dim * self.dim;
        let Some(flow) = self.couplings() else {
            return matrix;
        };
        let outputs = if flow.kind == FlowKind::Spline {
            SPLINE
        } else {
            2
        };
        let seen = if flow.conditional { features } else { 0 };
        (0..flow.couplings)
            .map(|i| self.halves(i))
            .map(|(k, m)| flow.hidden * (k + seen + 2 * flow.hidden + outputs * m))
            .sum::<usize>()
            + matrix
    }

    /// Name and shape of every tensor.
    ///
    /// | tensor | shape |
    /// |---|---|
    /// | `head.{logits, mean, log_precision}.weight` | `[features, K]` (`[features, d·K]` factored), `[features, K·d]` twice |
    /// | `head.direction{a}.weight` | `[features, K·d]`: column a of every V, U = D^½ V (of a covariance D^-½ V) |
    /// | `head.lower.weight` | `[features, K·d(d−1)/2]`: A below its diagonal, row after row |
    /// | `tied.factor{a}` | `[K·d]`, where U is a free parameter |
    /// | `flow.{i}.layer{1,2,3}.weight` | `[kept (+ features), hidden]`, `[hidden, hidden]` twice |
    /// | `flow.{i}.{log_scale, shift}.weight` | `[hidden, transformed]`, affine |
    /// | `flow.{i}.bound` | `[transformed]`: log-scales stay within ± this |
    /// | `flow.{i}.spline.weight` | `[hidden, transformed · (3·8 − 1)]`: widths, heights, slopes of each value |
    /// | `flow.{lower, upper}`, `flow.log_diagonal` | `[d, d]` twice, `[d]`, of a matrix |
    /// | `….bias` | `[out]` |
    pub fn tensors(&self, features: usize) -> Vec<(String, Vec<usize>)> {
        let mut list = Vec::new();
        let add = |list: &mut Vec<(String, Vec<usize>)>, name: String, from: usize, to: usize| {
            list.push((format!("{name}.weight"), vec![from, to]));
            list.push((format!("{name}.bias"), vec![to]));
        };
        for (part, width) in self.parts() {
            add(&mut list, format!("head.{part}"), features, width);
        }
        if self.form == Form::Tied {
            list.extend(
                (0..self.rank)
                    .map(|a| (format!("tied.factor{a}"), vec![self.components * self.dim])),
            );
        }
        if let Some(FlowConfig {
            kind,
            couplings,
            hidden,
            conditional,
            ..
        }) = self.couplings()
        {
            for i in 0..couplings {
                let (kept, moved) = self.halves(i);
                let seen = if conditional { kept + features } else { kept };
                for (layer, from) in [("layer1", seen), ("layer2", hidden), ("layer3", hidden)] {
                    add(&mut list, format!("flow.{i}.{layer}"), from, hidden);
                }
                if kind == FlowKind::Spline {
                    add(
                        &mut list,
                        format!("flow.{i}.spline"),
                        hidden,
                        moved * SPLINE,
                    );
                } else {
                    add(&mut list, format!("flow.{i}.log_scale"), hidden, moved);
                    add(&mut list, format!("flow.{i}.shift"), hidden, moved);
                }
            }
            if kind == FlowKind::Affine {
                list.extend(
                    (0..couplings).map(|i| (format!("flow.{i}.bound"), vec![self.halves(i).1])),
                );
            }
        }
        if self.has_matrix() {
            list.extend(
                ["flow.lower", "flow.upper"].map(|name| (name.into(), vec![self.dim, self.dim])),
            );
            list.push(("flow.log_diagonal".into(), vec![self.dim]));
        }
        list
    }

    /// Initial parameters from the stream (`seed`, `density/init`).
    ///
    /// Layers are uniform in ± 1/√inputs, as PyTorch's. The last layers of the conditioners and the
    /// matrices of a linear flow are zero, so that every flow starts as the identity. U starts at
    /// N(0, 0.1²/d) from its bias, never at zero: the likelihood is even in U, its gradient there
    /// would vanish. Biases of the means are spread by N(0, 0.5²), or all components would be one.
    pub fn init(&self, features: usize, seed: u64) -> Params {
        let mut params = Params::default();
        for (at, (name, shape)) in self.tensors(features).into_iter().enumerate() {
            let mut value = vec![0.0; shape.iter().product()];
            let rng = &mut stream(seed, "density/init", &[at as u64]);
            let is = |part: &str| name.contains(part);
            let mut normal = |scale: f32| {
                fill_normal(rng, &mut value);
                value.iter_mut().for_each(|v| *v *= scale);
            };
            if is(".bound") {
                value.fill(1.0);
            } else if [
                "log_scale",
                "shift",
                "spline",
                "flow.lower",
                "flow.upper",
                "log_diagonal",
            ]
            .into_iter()
            .any(is)
            {
                // The identity.
            } else if is("tied") || (is("direction") && is("bias")) {
                normal(0.1 / (self.dim as f32).sqrt());
            } else if is("mean.bias") {
                normal(0.5);
            } else if is("weight") {
                let bound = 1.0 / (shape[0] as f32).sqrt();
                fill_uniform(
                    rng,
                    if is("direction") || is("lower") {
                        0.1 * bound
                    } else {
                        bound
                    },
                    &mut value,
                );
            }
            params.push(name, &shape, value);
        }
        params
    }
}
