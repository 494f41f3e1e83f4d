//! A hidden layer between [z, h] and the outputs.

use frmdn_engine::{Params, activation::tanh_inplace, linear::dot};

/// tanh(W [z, h] + b). It is fitted before an evolution, which then moves only what its units are
/// multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct Hidden {
    features: usize,
    /// A row of `features` weights and a bias for each unit.
    weights: Vec<f32>,
}

/// Name of its weights in a file.
const NAME: &str = "hidden";

impl Hidden {
    /// Most units.
    pub const MOST: usize = 256;

    /// The layer with `weights`, in rows of `features` weights and one bias per unit.
    ///
    /// # Panics
    /// If these are no whole rows, or more than [`Hidden::MOST`]: a programming error.
    pub fn new(features: usize, weights: Vec<f32>) -> Self {
        assert!(weights.len().is_multiple_of(features + 1));
        assert!(weights.len() / (features + 1) <= Self::MOST);
        Self { features, weights }
    }

    /// The layer in `tensors`, if there is one, for `features` values of [z, h].
    ///
    /// # Errors
    /// If it has another shape.
    pub fn of(tensors: &Params, features: usize) -> Result<Option<Self>, String> {
        let Some(found) = tensors.0.iter().find(|t| t.name == NAME) else {
            return Ok(None);
        };
        match found.shape[..] {
            [units, n] if n == features + 1 && units <= Self::MOST => {
                Ok(Some(Self::new(features, found.value.clone())))
            }
            _ => Err(format!(
                "{NAME} has the shape {:?}, and [units, {}] was expected",
                found.shape,
                features + 1
            )),
        }
    }

    /// Adds the layer to `tensors`.
    pub fn add_to(&self, tensors: &mut Params) {
        let shape = [self.units(), self.features + 1];
        tensors.push(NAME, &shape, self.weights.clone());
    }

    /// The weights, in the order of [`Hidden::new`].
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Length of [z, h].
    pub fn features(&self) -> usize {
        self.features
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.weights.len() / (self.features + 1)
    }

    /// The units for latent `z` and hidden state `h`.
    pub fn units_of(&self, z: &[f32], h: &[f32], out: &mut [f32]) {
        for (row, out) in self.weights.chunks_exact(self.features + 1).zip(&mut *out) {
            let (wz, rest) = row.split_at(z.len());
            *out = dot(wz, z) + dot(&rest[..h.len()], h) + rest[h.len()];
        }
        tanh_inplace(out);
    }
}
