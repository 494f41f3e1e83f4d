//! The controller that acts: W [z, h] + b (Ha & Schmidhuber 2018, section 2.4), or the same on a
//! hidden layer. [`Actions`](super::Actions) turns its outputs into actions.

use std::sync::Arc;

use frmdn_engine::linear::dot;

use super::Hidden;

/// Weights of one controller. With a 32-d latent, 256 hidden values and 3 actions that is (32 + 256
/// + 1) · 3 = 867 numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    /// What the weights multiply: values of [z, h], or units of the hidden layer.
    inputs: usize,
    actions: usize,
    /// `actions` rows of `inputs` weights and one bias.
    weights: Vec<f32>,
    hidden: Option<Arc<Hidden>>,
}

impl Controller {
    /// Number of weights of a controller from `inputs` values to `actions` values.
    pub fn count(inputs: usize, actions: usize) -> usize {
        (inputs + 1) * actions
    }

    /// A controller with `weights`, in rows of `inputs` weights and one bias per action.
    ///
    /// # Panics
    /// If there are not [`Controller::count`] weights: a programming error.
    pub fn new(inputs: usize, actions: usize, weights: Vec<f32>) -> Self {
        assert_eq!(weights.len(), Self::count(inputs, actions));
        Self {
            inputs,
            actions,
            weights,
            hidden: None,
        }
    }

    /// The same on the units of `hidden`, if there is one.
    ///
    /// # Panics
    /// If it has another number of units than the controller has inputs: a programming error.
    #[must_use]
    pub fn with_hidden(self, hidden: Option<Arc<Hidden>>) -> Self {
        assert!(
            hidden
                .as_ref()
                .is_none_or(|layer| layer.units() == self.inputs)
        );
        Self { hidden, ..self }
    }

    /// The weights, in the order of [`Controller::new`].
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The hidden layer, if there is one.
    pub fn hidden(&self) -> Option<&Hidden> {
        self.hidden.as_deref()
    }

    /// Number of values that the weights of an action multiply.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Length of [z, h].
    pub fn features(&self) -> usize {
        self.hidden().map_or(self.inputs, Hidden::features)
    }

    /// Length of an action.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// The raw outputs for latent `z` and hidden state `h`.
    pub fn outputs(&self, z: &[f32], h: &[f32], out: &mut [f32]) {
        debug_assert_eq!(
            (z.len() + h.len(), out.len()),
            (self.features(), self.actions)
        );
        let Some(hidden) = &self.hidden else {
            self.outputs_of(z, h, out);
            return;
        };
        let mut units = [0.0; Hidden::MOST];
        let units = &mut units[..self.inputs];
        hidden.units_of(z, h, units);
        self.outputs_of(units, &[], out);
    }

    /// The outputs for the inputs `[a, b]`.
    fn outputs_of(&self, a: &[f32], b: &[f32], out: &mut [f32]) {
        let rows = self.weights.chunks_exact(self.inputs + 1);
        for (row, out) in rows.zip(out) {
            let (wa, rest) = row.split_at(a.len());
            *out = dot(wa, a) + dot(&rest[..b.len()], b) + rest[b.len()];
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

    /// Hand calculation: units tanh(0.5·2 − 1) = 0 and tanh(2·(−1) + 2.5) = tanh(0.5) = 0.462117;
    /// the output 7·0 − 2·0.462117 + 1 = 0.075766.
    #[test]
    fn a_hidden_layer_comes_before_the_outputs() {
        let hidden = Hidden::new(2, vec![0.5, 0.0, -1.0, 0.0, 2.0, 2.5]);
        let c = Controller::new(2, 1, vec![7.0, -2.0, 1.0]).with_hidden(Some(Arc::new(hidden)));
        let mut a = [0.0];
        c.outputs(&[2.0], &[-1.0], &mut a);
        assert!((a[0] - 0.075_766).abs() < 1e-5, "{a:?}");
        assert_eq!((c.features(), c.inputs()), (2, 2));
    }

    #[test]
    fn ha_s_controller_has_867_weights() {
        assert_eq!(Controller::count(32 + 256, 3), 867);
    }
}
