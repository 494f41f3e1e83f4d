//! What a density is made of, and its parameters.

use frmdn_engine::{
    Params,
    random::{fill_normal, fill_uniform, stream},
};
use serde::{Deserialize, Serialize};

/// A RealNVP flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// Affine couplings; which half is transformed alternates.
    pub couplings: usize,
    /// Width of the conditioners' three hidden layers.
    pub hidden: usize,
}

/// A conditional density over `dim` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DensityConfig {
    /// Values d of a target.
    pub dim: usize,
    /// Components K of the mixture.
    pub components: usize,
    /// Rank r of U in the precisions D + U Uᵀ; 0 leaves them diagonal.
    pub rank: usize,
    /// The flow between targets and the mixture's space, if any.
    pub flow: Option<FlowConfig>,
}

impl DensityConfig {
    /// Outputs of the head per step: K (1 + d (2 + r)).
    pub fn outputs(&self) -> usize {
        self.components * (1 + self.dim * (2 + self.rank))
    }

    /// Name and width of the head's parts, in the order of its outputs.
    pub(crate) fn parts(&self) -> Vec<(String, usize)> {
        let wide = self.components * self.dim;
        let mut parts = vec![("logits".into(), self.components), ("mean".into(), wide), ("log_precision".into(), wide)];
        parts.extend((0..self.rank).map(|a| (format!("factor{a}"), wide)));
        parts
    }

    /// (kept, transformed) values of coupling `i`: the halves take turns.
    pub fn halves(&self, i: usize) -> (usize, usize) {
        let first = self.dim / 2;
        if i.is_multiple_of(2) { (first, self.dim - first) } else { (self.dim - first, first) }
    }

    /// Name and shape of every tensor.
    ///
    /// | tensor | shape |
    /// |---|---|
    /// | `head.{logits, mean, log_precision, factor0…}.weight` | `[features, K]`, `[features, K·d]` … |
    /// | `flow.{i}.layer{1,2,3}.weight` | `[kept, hidden]`, `[hidden, hidden]` twice |
    /// | `flow.{i}.{log_scale, shift}.weight` | `[hidden, transformed]` |
    /// | `flow.{i}.bound` | `[transformed]`: log-scales stay within ± this |
    /// | `….bias` | `[out]` |
    pub fn tensors(&self, features: usize) -> Vec<(String, Vec<usize>)> {
        let mut list = Vec::new();
        let mut add = |name: String, from: usize, to: usize| {
            list.push((format!("{name}.weight"), vec![from, to]));
            list.push((format!("{name}.bias"), vec![to]));
        };
        for (part, width) in self.parts() {
            add(format!("head.{part}"), features, width);
        }
        for i in 0..self.flow.map_or(0, |f| f.couplings) {
            let (kept, moved) = self.halves(i);
            let hidden = self.flow.map_or(0, |f| f.hidden);
            for (layer, from) in [("layer1", kept), ("layer2", hidden), ("layer3", hidden)] {
                add(format!("flow.{i}.{layer}"), from, hidden);
            }
            add(format!("flow.{i}.log_scale"), hidden, moved);
            add(format!("flow.{i}.shift"), hidden, moved);
        }
        for i in 0..self.flow.map_or(0, |f| f.couplings) {
            list.push((format!("flow.{i}.bound"), vec![self.halves(i).1]));
        }
        list
    }

    /// Initial parameters from the stream (`seed`, `density/init`).
    ///
    /// Layers are uniform in ± 1/√inputs, as PyTorch's. The last layers of the conditioners are zero, so that the flow
    /// starts as the identity. U starts at N(0, 0.1²/d) from its bias, never at zero: the likelihood is even in U, its
    /// gradient there would vanish. Biases of the means are spread by N(0, 0.5²), or all components would be one.
    pub fn init(&self, features: usize, seed: u64) -> Params {
        let mut params = Params::default();
        for (at, (name, shape)) in self.tensors(features).into_iter().enumerate() {
            let mut value = vec![0.0; shape.iter().product()];
            let rng = &mut stream(seed, "density/init", &[at as u64]);
            let is = |part: &str| name.contains(part);
            if is(".bound") {
                value.fill(1.0);
            } else if is("log_scale") || is("shift") {
                // The identity.
            } else if is("factor") && is("bias") {
                fill_normal(rng, &mut value);
                let scale = 0.1 / (self.dim as f32).sqrt();
                value.iter_mut().for_each(|v| *v *= scale);
            } else if is("mean.bias") {
                fill_normal(rng, &mut value);
                value.iter_mut().for_each(|v| *v *= 0.5);
            } else if is("weight") {
                let bound = 1.0 / (shape[0] as f32).sqrt();
                fill_uniform(rng, if is("factor") { 0.1 * bound } else { bound }, &mut value);
            }
            params.push(name, &shape, value);
        }
        params
    }
}
