//! The controller that acts: W [z, h] + b (Ha & Schmidhuber 2018, section 2.4), or the same on
//! hidden layers. [`Actions`](super::Actions) turns its outputs into actions.

use std::sync::Arc;

use frmdn_engine::random::stream;
use rand::RngExt;

use super::{Hidden, affine};

/// Weights of one controller. With a 32-d latent, 256 hidden values and 3 actions that is (32 + 256
/// + 1) · 3 = 867 numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    /// What the weights multiply: values of [z, h], or units of the last hidden layer.
    inputs: usize,
    actions: usize,
    /// `actions` rows of `inputs` weights and one bias.
    weights: Vec<f32>,
    hidden: Option<Arc<Hidden>>,
    temperature: f32,
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
            temperature: 0.0,
        }
    }

    /// The same, of whose outputs for a discrete space the action is drawn: action i with a
    /// probability in proportion to exp(output i / `temperature`). At 0 it is the largest.
    #[must_use]
    pub fn with_temperature(self, temperature: f32) -> Self {
        Self {
            temperature,
            ..self
        }
    }

    /// The temperature of [`Controller::with_temperature`].
    pub fn temperature(&self) -> f32 {
        self.temperature
    }

    /// Adds to the outputs what makes the largest of them a draw (Gumbel noise in units of the
    /// temperature); nothing at a temperature of 0. The noise of a step is a function of the seed of
    /// its episode and of the number of the step.
    pub fn draw(&self, seed: u64, step: u64, outputs: &mut [f32]) {
        if self.temperature <= 0.0 {
            return;
        }
        let mut rng = stream(seed, "controller/draw", &[step]);
        for output in outputs {
            // Above 0 and below 1.
            let uniform = (f64::from(rng.random::<u32>()) + 0.5) / 4_294_967_296.0;
            let gumbel = -libm::log(-libm::log(uniform));
            *output += self.temperature * gumbel as f32;
        }
    }

    /// The same on the units of `hidden`, if there are any.
    ///
    /// # Panics
    /// If they have another number of units than the controller has inputs: a programming error.
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

    /// The hidden layers, if there are any.
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
            affine(&self.weights, z, h, out);
            return;
        };
        let mut units = [0.0; Hidden::MOST];
        let units = &mut units[..self.inputs];
        hidden.units_of(z, h, units);
        affine(&self.weights, units, &[], out);
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
        let hidden = Hidden::new(2, vec![vec![0.5, 0.0, -1.0, 0.0, 2.0, 2.5]]);
        let c = Controller::new(2, 1, vec![7.0, -2.0, 1.0]).with_hidden(Some(Arc::new(hidden)));
        let mut a = [0.0];
        c.outputs(&[2.0], &[-1.0], &mut a);
        assert!((a[0] - 0.075_766).abs() < 1e-5, "{a:?}");
        assert_eq!((c.features(), c.inputs()), (2, 2));
    }

    /// Of outputs 0 and 1 at a temperature of 0.5 the second is drawn with the probability
    /// 1 / (1 + e⁻²) = 0.881; the largest always at 0.
    #[test]
    fn actions_are_drawn_by_the_softmax_of_the_outputs() {
        let c = Controller::new(1, 2, vec![0.0; 4]);
        let share = |c: &Controller| {
            let drawn = (0..10_000u64).filter(|step| {
                let mut outputs = [0.0, 1.0];
                c.draw(7, *step, &mut outputs);
                outputs[1] > outputs[0]
            });
            drawn.count() as f64 / 10_000.0
        };
        assert_eq!(share(&c), 1.0);
        let found = share(&c.with_temperature(0.5));
        // Three standard deviations.
        assert!((found - 0.881).abs() < 0.01, "{found}");
    }

    #[test]
    fn ha_s_controller_has_867_weights() {
        assert_eq!(Controller::count(32 + 256, 3), 867);
    }
}
