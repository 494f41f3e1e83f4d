//! What is learned of h beside the density.

use burn::tensor::Tensor;
use frmdn_engine::Params;

use super::Targets;

/// Heads on h besides the density: what they predict, and the losses that are added to the
/// likelihood's.
pub trait Heads: Clone + Send + Sync {
    /// What they are to predict.
    type Targets: Targets;

    /// Names and shapes of their tensors, for `hidden` cells and `dim` values.
    fn tensors(&self, hidden: usize, dim: usize) -> Vec<(String, Vec<usize>)>;

    /// Number of their losses.
    fn losses(&self) -> usize;

    /// Adds the gradient of the losses by `hidden` [rows, h] to `d_hidden`, each row with its weight
    /// in `weights`; rows of mask 0 count nowhere. Returns each loss as a sum over rows, and the
    /// gradients by the heads' tensors in `params`.
    fn add(&self, params: &Params, rows: &mut Rows<'_, Self::Targets>) -> (Vec<f64>, Params);

    /// The same in burn: the sum of all losses of each row [rows, 1], and each by itself.
    fn define(
        &self,
        tensors: &[Tensor<2>],
        hidden: Tensor<2>,
        next: Tensor<2>,
        targets: &Self::Targets,
    ) -> (Tensor<2>, Vec<Tensor<2>>);
}

/// Rows of h and what they are to say.
pub struct Rows<'a, T> {
    /// What is to be predicted.
    pub targets: &'a T,
    /// Whether a row is real.
    pub mask: &'a [f32],
    /// h [rows, hidden].
    pub hidden: &'a [f32],
    /// The values that followed [rows, dim].
    pub next: &'a [f32],
    /// Weight of each row in the loss.
    pub weights: &'a [f32],
    /// Gradient of the loss by h, which is added to.
    pub d_hidden: &'a mut [f32],
}

/// No heads: sequences that are no worlds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoHeads;

impl Heads for NoHeads {
    type Targets = ();

    fn tensors(&self, _: usize, _: usize) -> Vec<(String, Vec<usize>)> {
        Vec::new()
    }

    fn losses(&self) -> usize {
        0
    }

    fn add(&self, _: &Params, _: &mut Rows<'_, ()>) -> (Vec<f64>, Params) {
        (Vec::new(), Params::default())
    }

    fn define(
        &self,
        _: &[Tensor<2>],
        hidden: Tensor<2>,
        _: Tensor<2>,
        (): &(),
    ) -> (Tensor<2>, Vec<Tensor<2>>) {
        let [rows, _] = hidden.dims();
        (Tensor::zeros([rows, 1], &hidden.device()), Vec::new())
    }
}
