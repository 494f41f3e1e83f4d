//! The fully connected layer, forward and backward.

use crate::conv::add_columns;
use crate::gather::{Packed, Windows, gram, product};

/// Dot product in eight fixed partial sums: vectorisable, and always in the same order.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, a1) = a.as_chunks::<8>();
    let (b8, b1) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for (s, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *s += x * y;
        }
    }
    sums.iter().sum::<f32>() + a1.iter().zip(b1).map(|(x, y)| x * y).sum::<f32>()
}

/// y = x·W + b, with weights [inputs, outputs] and bias `[outputs]`.
#[derive(Clone, Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    rows: Windows,
    gradient_rows: Windows,
    forward: Packed,
    backward: Packed,
}

impl Linear {
    /// A layer whose weights are still to be loaded.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        let (rows, gradient_rows) = (Windows::dense(inputs), Windows::dense(outputs));
        Self {
            inputs,
            outputs,
            rows,
            gradient_rows,
            forward: Packed::default(),
            backward: Packed::default(),
        }
    }

    /// Takes in weights for [`Linear::forward`].
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn load(&mut self, weight: &[f32], bias: &[f32]) {
        self.forward
            .pack(weight, self.inputs, self.outputs, Some(bias));
    }

    /// Takes in weights for [`Linear::backward_input`].
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn load_backward(&mut self, weight: &[f32]) {
        self.backward
            .pack_transposed(weight, self.outputs, self.inputs);
    }

    /// `y` [rows, outputs] from `x` [rows, inputs]; a row does not depend on the other rows.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn forward(&self, x: &[f32], rows: usize, relu: bool, y: &mut [f32]) {
        product(x, &self.rows, rows, &self.forward, relu, y);
    }

    /// Adds the gradients of weights and bias.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn backward_weights(
        &self,
        x: &[f32],
        gy: &[f32],
        rows: usize,
        weight: &mut [f32],
        bias: &mut [f32],
    ) {
        gram(x, &self.rows, rows, gy, self.outputs, weight);
        add_columns(gy, bias);
    }

    /// Writes the gradient of the input into `gx`.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn backward_input(&self, gy: &[f32], rows: usize, gx: &mut [f32]) {
        product(gy, &self.gradient_rows, rows, &self.backward, false, gx);
    }
}
