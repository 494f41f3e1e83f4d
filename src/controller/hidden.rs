//! Hidden layers between [z, h] and the outputs.

use frmdn_engine::{Params, activation::tanh_inplace};

use super::affine;

/// Layers of tanh(W x + b), the first on [z, h]. They are fitted before an evolution, which then
/// moves only what the units of the last one are multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct Hidden {
    layers: Vec<Layer>,
}

/// One layer: for each unit a row of `inputs` weights and a bias.
#[derive(Clone, Debug, PartialEq)]
struct Layer {
    inputs: usize,
    weights: Vec<f32>,
}

impl Layer {
    fn units(&self) -> usize {
        self.weights.len() / (self.inputs + 1)
    }

    fn forward(&self, a: &[f32], b: &[f32], out: &mut [f32]) {
        affine(&self.weights, a, b, out);
        tanh_inplace(out);
    }
}

/// Name of the weights of layer `i` in a file.
fn name(i: usize) -> String {
    format!("hidden.{}", i + 1)
}

impl Hidden {
    /// Most units of a layer.
    pub const MOST: usize = 256;
    /// Most layers.
    pub const LAYERS: usize = 4;

    /// The layers with these weights, each in rows of one weight for each value below and one bias
    /// per unit; `features` is the length of [z, h].
    ///
    /// # Panics
    /// If there is none, if these are no whole rows, or more than [`Hidden::MOST`]: a programming
    /// error.
    pub fn new(features: usize, weights: Vec<Vec<f32>>) -> Self {
        let (mut layers, mut inputs) = (Vec::with_capacity(weights.len()), features);
        for weights in weights {
            assert!(weights.len().is_multiple_of(inputs + 1));
            let layer = Layer { inputs, weights };
            inputs = layer.units();
            assert!((1..=Self::MOST).contains(&inputs));
            layers.push(layer);
        }
        assert!((1..=Self::LAYERS).contains(&layers.len()));
        Self { layers }
    }

    /// The layers in `tensors`, if there are any, for `features` values of [z, h].
    ///
    /// # Errors
    /// If they have other shapes.
    pub fn of(tensors: &Params, features: usize) -> Result<Option<Self>, String> {
        let (mut weights, mut inputs) = (Vec::new(), features);
        for i in 0..Self::LAYERS {
            let Some(found) = tensors.0.iter().find(|t| t.name == name(i)) else {
                break;
            };
            match found.shape[..] {
                [units, n] if n == inputs + 1 && (1..=Self::MOST).contains(&units) => {
                    weights.push(found.value.clone());
                    inputs = units;
                }
                _ => {
                    return Err(format!(
                        "{} has the shape {:?}, and [units, {}] was expected",
                        found.name,
                        found.shape,
                        inputs + 1
                    ));
                }
            }
        }
        Ok((!weights.is_empty()).then(|| Self::new(features, weights)))
    }

    /// Adds the layers to `tensors`.
    pub fn add_to(&self, tensors: &mut Params) {
        for (i, layer) in self.layers.iter().enumerate() {
            let shape = [layer.units(), layer.inputs + 1];
            tensors.push(name(i), &shape, layer.weights.clone());
        }
    }

    /// Length of [z, h].
    pub fn features(&self) -> usize {
        self.layers[0].inputs
    }

    /// Number of units of the last layer.
    pub fn units(&self) -> usize {
        self.layers[self.layers.len() - 1].units()
    }

    /// The units of the last layer for latent `z` and hidden state `h`.
    pub fn units_of(&self, z: &[f32], h: &[f32], out: &mut [f32]) {
        let (mut first, mut second) = ([0.0; Self::MOST], [0.0; Self::MOST]);
        let (mut below, mut above) = (&mut first, &mut second);
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let units = match i == last {
                true => &mut *out,
                false => &mut above[..layer.units()],
            };
            match i {
                0 => layer.forward(z, h, units),
                _ => layer.forward(&below[..layer.inputs], &[], units),
            }
            std::mem::swap(&mut below, &mut above);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand calculation: the first layer gives tanh(0.5·2 − 1) = 0 and tanh(2·(−1) + 2.5) =
    /// 0.462117, the second tanh(3·0 + 2·0.462117 − 0.5) = tanh(0.424234) = 0.400495.
    #[test]
    fn a_layer_stands_on_the_one_below() {
        let hidden = Hidden::new(
            2,
            vec![vec![0.5, 0.0, -1.0, 0.0, 2.0, 2.5], vec![3.0, 2.0, -0.5]],
        );
        let mut units = [0.0];
        hidden.units_of(&[2.0], &[-1.0], &mut units);
        assert!((units[0] - 0.400_495).abs() < 1e-5, "{units:?}");
        assert_eq!((hidden.features(), hidden.units()), (2, 1));
        // What is in a file is the same again, and another length of [z, h] is refused.
        let mut tensors = Params::default();
        hidden.add_to(&mut tensors);
        assert_eq!(Hidden::of(&tensors, 2), Ok(Some(hidden)));
        let error = Hidden::of(&tensors, 3).unwrap_err();
        assert_eq!(
            error,
            "hidden.1 has the shape [2, 3], and [units, 4] was expected"
        );
        assert_eq!(Hidden::of(&Params::default(), 3), Ok(None));
    }
}
