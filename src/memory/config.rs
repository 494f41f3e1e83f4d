//! The variants by name, their parameters and their first values.

use frmdn_density::{DensityConfig, FlowConfig};
use frmdn_engine::{
    Params,
    random::{fill_normal, fill_uniform, stream},
};
use serde::{Deserialize, Serialize};

/// The memories by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// A joint mixture with diagonal precisions.
    Rmdn,
    /// Precisions D + U Uᵀ.
    RmdnLowrank,
    /// A RealNVP flow before a diagonal mixture (the paper's first two versions).
    FrmdnDiagonal,
    /// A RealNVP flow before precisions D + U Uᵀ (the paper's third version).
    Frmdn,
    /// A random LSTM that is never trained: the control of every comparison.
    Untrained,
    /// No memory: the controller sees z alone.
    None,
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rmdn => "rmdn",
            Self::RmdnLowrank => "rmdn-lowrank",
            Self::FrmdnDiagonal => "frmdn-diagonal",
            Self::Frmdn => "frmdn",
            Self::Untrained => "untrained",
            Self::None => "none",
        })
    }
}

/// A memory and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl MemoryConfig {
    /// Names an impossible value.
    pub fn validate(&self) -> Result<(), String> {
        let range = |key: &str, value: usize, least: usize, most: usize| {
            let fits = (least..=most).contains(&value);
            fits.then_some(()).ok_or_else(|| format!("{key} = {value} is impossible: it must be in {least}..={most}"))
        };
        range("hidden", self.hidden, 1, 4096)?;
        range("components", self.components, 1, 40)?;
        range("rank", self.rank, 0, 8)?;
        range("flow_couplings", self.flow_couplings, 1, 16)?;
        range("flow_hidden", self.flow_hidden, 1, 4096)
    }

    /// Length of h.
    pub fn hidden_len(&self) -> usize {
        if self.variant == Variant::None { 0 } else { self.hidden }
    }

    /// Whether the variant is trained at all.
    pub fn is_trained(&self) -> bool {
        !matches!(self.variant, Variant::None | Variant::Untrained)
    }

    /// The density of the next latent given h, where the variant has one.
    pub fn density(&self, latent: usize) -> Option<DensityConfig> {
        let (flow, lowrank) = match self.variant {
            Variant::Rmdn => (false, false),
            Variant::RmdnLowrank => (false, true),
            Variant::FrmdnDiagonal => (true, false),
            Variant::Frmdn => (true, true),
            Variant::Untrained | Variant::None => return None,
        };
        let flow = flow.then_some(FlowConfig { couplings: self.flow_couplings, hidden: self.flow_hidden });
        Some(DensityConfig { dim: latent, components: self.components, rank: if lowrank { self.rank } else { 0 }, flow })
    }
}

/// First weights, from named streams of `seed`.
///
/// `lstm.weight_input` [latent + actions, 4 H], `lstm.weight_hidden` [H, 4 H], `lstm.bias` [4 H] (gates i, f, g, o; uniform
/// ± 1/√H as PyTorch's, the forget gate's bias raised by 1), the density's tensors, `reward.*` and `done.*` [H, 1]. The
/// untrained memory's recurrent weights are normal with spectral radius about 0.95 in each gate's block, so that what it
/// has seen fades slowly.
pub fn init(config: &MemoryConfig, latent: usize, actions: usize, seed: u64) -> Params {
    let mut params = Params::default();
    if config.variant == Variant::None {
        return params;
    }
    let (h, inputs) = (config.hidden, latent + actions);
    let bound = 1.0 / (h as f32).sqrt();
    let uniform = |at: u64, n: usize| {
        let mut v = vec![0.0; n];
        fill_uniform(&mut stream(seed, "memory/init", &[at]), bound, &mut v);
        v
    };
    params.push("lstm.weight_input", &[inputs, 4 * h], uniform(0, inputs * 4 * h));
    let mut recurrent = uniform(1, h * 4 * h);
    if config.variant == Variant::Untrained {
        // By the circular law a normal matrix of deviation s has spectral radius s √H.
        fill_normal(&mut stream(seed, "memory/init", &[1]), &mut recurrent);
        recurrent.iter_mut().for_each(|v| *v *= 0.95 * bound);
    }
    params.push("lstm.weight_hidden", &[h, 4 * h], recurrent);
    let mut bias = uniform(2, 4 * h);
    bias[h..2 * h].iter_mut().for_each(|b| *b += 1.0);
    params.push("lstm.bias", &[4 * h], bias);
    if let Some(density) = config.density(latent) {
        params.0.extend(density.init(h, seed).0);
        for (at, head) in [(3, "reward"), (4, "done")] {
            params.push(format!("{head}.weight"), &[h, 1], uniform(at, h));
            params.push(format!("{head}.bias"), &[1], vec![0.0]);
        }
    }
    params
}

/// Entropy Σ ½ log(2πe σ²) of Gaussians with these log-variances, in nats: the floor of a likelihood of their draws.
pub fn posterior_entropy(log_variance: &[f32]) -> f64 {
    let constant = (2.0 * std::f64::consts::PI * std::f64::consts::E).ln();
    log_variance.iter().map(|&v| 0.5 * (constant + f64::from(v))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entropy of a standard normal is 1.418939 nats.
    #[test]
    fn entropy_of_standard_normals() {
        assert!((posterior_entropy(&[0.0, 0.0]) - 2.0 * 1.418_938_533).abs() < 1e-8);
    }
}
