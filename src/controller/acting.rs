//! The linear controller (Ha & Schmidhuber 2018, section 2.4): W [z, h] + b.
//! [`Actions`](super::Actions) turns its outputs into actions.

use frmdn_engine::linear::dot;

/// Weights of one controller. With a 32-d latent, 256 hidden values and 3 actions that is (32 + 256
/// + 1) · 3 = 867 numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    features: usize,
    actions: usize,
    /// `actions` rows of `features` weights and one bias.
    weights: Vec<f32>,
}

impl Controller {
    /// Number of weights of a controller from `features` values to `actions` values.
    pub fn count(features: usize, actions: usize) -> usize {
        (features + 1) * actions
    }

    /// A controller with `weights`, in rows of `features` weights and one bias per action.
    ///
    /// # Panics
    /// If there are not [`Controller::count`] weights: a programming error.
    pub fn new(features: usize, actions: usize, weights: Vec<f32>) -> Self {
        assert_eq!(weights.len(), Self::count(features, actions));
        Self {
            features,
            actions,
            weights,
        }
    }

    /// The weights, in the order of [`Controller::new`].
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Length of [z, h].
    pub fn features(&self) -> usize {
        self.features
    }

    /// Length of an action.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// The raw outputs for latent `z` and hidden state `h`.
    pub fn outputs(&self, z: &[f32], h: &[f32], out: &mut [f32]) {
        debug_assert_eq!(
            (z.len() + h.len(), out.len()),
            (self.features, self.actions)
        );
        for (row, out) in self
            .weights
            .chunks_exact(self.features + 1)
            .zip(out.iter_mut())
        {
            let (wz, rest) = row.split_at(z.len());
            *out = dot(wz, z) + dot(&rest[..h.len()], h) + rest[h.len()];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand calculation: features (z = [2], h = [-1]); row 0: 0.5·2 + 0.25·(-1) + 0.1 = 0.85, row 1
    /// all zero, row 2: bias -3.
    #[test]
    fn the_outputs_are_the_affine_map() {
        let c = Controller::new(2, 3, vec![0.5, 0.25, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, -3.0]);
        let mut a = [0.0; 3];
        c.outputs(&[2.0], &[-1.0], &mut a);
        assert!((a[0] - 0.85).abs() < 1e-6);
        assert_eq!((a[1], a[2]), (0.0, -3.0));
    }

    #[test]
    fn ha_s_controller_has_867_weights() {
        assert_eq!(Controller::count(32 + 256, 3), 867);
    }
}
