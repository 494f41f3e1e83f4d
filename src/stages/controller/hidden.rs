//! The hidden layer of C: fitted, with outputs of its own, to what planners found of the actions.

use frmdn_engine::{
    Params,
    activation::tanh_inplace,
    adam::{Adam, AdamConfig},
    linear::Linear,
    random::{fill_normal, stream},
};
use rand::seq::SliceRandom;

use super::planned::Planned;
use crate::{
    controller::Hidden,
    run::{Recovery, Result, RunError},
};

/// Times that every state is seen.
const EPOCHS: usize = 30;
/// States of an update.
const BATCH: usize = 128;
/// Learning rate of the first update; it falls to 0 along a line.
const RATE: f64 = 2e-3;
/// Part of a weight that is added to its gradient.
const DECAY: f32 = 1e-4;
/// Of so many states the last one is only tested on.
const TESTED: usize = 10;

/// Values, and the states that they were found in, both in units of their standard deviations.
struct Standard {
    features: usize,
    actions: usize,
    states: Vec<f32>,
    values: Vec<f32>,
    /// Mean and standard deviation of each of [z, h].
    scale: Vec<[f32; 2]>,
}

/// A hidden layer of `units` units, and the share of the variance of `planned` that it explains in
/// states that it was not fitted to. `seed` is the root of its random numbers.
///
/// # Errors
/// If there are fewer states than units.
pub fn fit(planned: &Planned, units: usize, seed: u64) -> Result<(Hidden, f64)> {
    let rows = planned.len();
    if rows < units {
        return Err(RunError::refused(
            format!("controller: planners made {rows} plans, too few to fit {units} hidden units"),
            Recovery::Episodes,
        ));
    }
    let data = Standard::of(planned);
    let mut network = Network::new(&data, units, seed);
    let (tested, mut trained): (Vec<usize>, Vec<usize>) =
        (0..rows).partition(|i| i % TESTED == TESTED - 1);
    let mut rng = stream(seed, "controller/hidden/order", &[]);
    let batch = BATCH.min(trained.len());
    let updates = EPOCHS * (trained.len() / batch);
    let mut done = 0;
    for _ in 0..EPOCHS {
        trained.shuffle(&mut rng);
        for batch in trained.chunks_exact(batch) {
            let rate = RATE * (1.0 - done as f64 / updates as f64);
            network.update(&data, batch, rate);
            done += 1;
        }
    }
    let explained = network.explained(&data, &tested);
    Ok((network.layer(&data), explained))
}

impl Standard {
    fn of(planned: &Planned) -> Self {
        let (features, actions) = (planned.features, planned.actions);
        let (mut states, mut values) = (planned.states.clone(), planned.values.clone());
        let scale = (0..features).map(|i| moments(states.iter().skip(i).step_by(features)));
        let scale: Vec<[f32; 2]> = scale.collect();
        for row in states.chunks_exact_mut(features) {
            for (x, [mean, sd]) in row.iter_mut().zip(&scale) {
                *x = (*x - mean) / sd;
            }
        }
        let [_, unit] = moments(values.iter());
        values.iter_mut().for_each(|value| *value /= unit);
        Self {
            features,
            actions,
            states,
            values,
            scale,
        }
    }

    /// The states `rows` and their values, one after the other.
    fn gather(&self, rows: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let (mut states, mut values) = (Vec::new(), Vec::new());
        for &i in rows {
            states.extend_from_slice(&self.states[i * self.features..(i + 1) * self.features]);
            values.extend_from_slice(&self.values[i * self.actions..(i + 1) * self.actions]);
        }
        (states, values)
    }
}

/// Mean and standard deviation, the latter 1 of what does not vary.
fn moments<'a>(values: impl Iterator<Item = &'a f32>) -> [f32; 2] {
    let (mut n, mut sum, mut squares) = (0.0f64, 0.0, 0.0);
    for value in values {
        let x = f64::from(*value);
        n += 1.0;
        sum += x;
        squares += x * x;
    }
    let mean = sum / n.max(1.0);
    let sd = (squares / n.max(1.0) - mean * mean).max(0.0).sqrt();
    [mean as f32, if sd > 1e-6 { sd as f32 } else { 1.0 }]
}

/// The layer with its outputs, while it is fitted.
struct Network {
    /// `hidden.weight` [features, units], `hidden.bias`, `weight` [units, actions], `bias`.
    weights: Params,
    gradients: Params,
    adam: Adam,
    layers: [Linear; 2],
    units: usize,
}

impl Network {
    fn new(data: &Standard, units: usize, seed: u64) -> Self {
        let (features, actions) = (data.features, data.actions);
        let mut first = vec![0.0; features * units];
        fill_normal(&mut stream(seed, "controller/hidden", &[]), &mut first);
        let scale = 1.0 / (features as f32).sqrt();
        first.iter_mut().for_each(|w| *w *= scale);
        let mut weights = Params::default();
        weights.push("hidden.weight", &[features, units], first);
        weights.push("hidden.bias", &[units], vec![0.0; units]);
        weights.push("weight", &[units, actions], vec![0.0; units * actions]);
        weights.push("bias", &[actions], vec![0.0; actions]);
        Self {
            gradients: weights.zeros_like(),
            adam: Adam::new(&weights, AdamConfig::default()),
            weights,
            layers: [Linear::new(features, units), Linear::new(units, actions)],
            units,
        }
    }

    /// Units and outputs in `states`.
    fn forward(&mut self, states: &[f32], actions: usize) -> (Vec<f32>, Vec<f32>) {
        let rows = states.len() / self.weights.0[0].shape[0];
        let [first, first_bias, second, second_bias] =
            [0, 1, 2, 3].map(|i| &self.weights.0[i].value);
        let [hidden, outputs] = &mut self.layers;
        hidden.load(first, first_bias);
        outputs.load(second, second_bias);
        let (mut units, mut out) = (vec![0.0; rows * self.units], vec![0.0; rows * actions]);
        hidden.forward(states, rows, false, &mut units);
        tanh_inplace(&mut units);
        outputs.forward(&units, rows, false, &mut out);
        (units, out)
    }

    /// One update on the states `batch`: half the mean square of the errors.
    fn update(&mut self, data: &Standard, batch: &[usize], rate: f64) {
        let (states, values) = data.gather(batch);
        let (units, mut errors) = self.forward(&states, data.actions);
        let rows = batch.len();
        for (error, value) in errors.iter_mut().zip(&values) {
            *error = (*error - value) / rows as f32;
        }
        let mut back = vec![0.0; units.len()];
        let [hidden, outputs] = &mut self.layers;
        outputs.load_backward(&self.weights.0[2].value);
        outputs.backward_input(&errors, rows, &mut back);
        for (back, unit) in back.iter_mut().zip(&units) {
            *back *= 1.0 - unit * unit;
        }
        for (gradient, weight) in self.gradients.0.iter_mut().zip(&self.weights.0) {
            let decay = if weight.shape.len() > 1 { DECAY } else { 0.0 };
            for (g, w) in gradient.value.iter_mut().zip(&weight.value) {
                *g = decay * w;
            }
        }
        let [first, first_bias, second, second_bias] = &mut self.gradients.0[..] else {
            unreachable!("two layers")
        };
        hidden.backward_weights(
            &states,
            &back,
            rows,
            &mut first.value,
            &mut first_bias.value,
        );
        outputs.backward_weights(
            &units,
            &errors,
            rows,
            &mut second.value,
            &mut second_bias.value,
        );
        self.adam.step(&mut self.weights, &mut self.gradients, rate);
    }

    /// The share of the variance of the values in the states `rows` that the outputs explain.
    fn explained(&mut self, data: &Standard, rows: &[usize]) -> f64 {
        let (states, values) = data.gather(rows);
        let (_, outputs) = self.forward(&states, data.actions);
        let square = |x: f32| f64::from(x) * f64::from(x);
        let missed: f64 = outputs
            .iter()
            .zip(&values)
            .map(|(o, v)| square(o - v))
            .sum();
        let all: f64 = values.iter().map(|v| square(*v)).sum();
        1.0 - missed / all.max(f64::MIN_POSITIVE)
    }

    /// The layer on [z, h] as they are.
    fn layer(&self, data: &Standard) -> Hidden {
        let [weight, bias] = [0, 1].map(|i| &self.weights.0[i].value);
        let mut rows = Vec::with_capacity(self.units * (data.features + 1));
        for unit in 0..self.units {
            let mut at_mean = f64::from(bias[unit]);
            for (i, [mean, sd]) in data.scale.iter().enumerate() {
                let w = weight[i * self.units + unit] / sd;
                at_mean -= f64::from(w) * f64::from(*mean);
                rows.push(w);
            }
            rows.push(at_mean as f32);
        }
        Hidden::new(data.features, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of two actions that no linear map explains: ± tanh(2 x₀ x₁) of normal x. A feature
    /// that never varies does not matter.
    #[test]
    fn a_product_is_explained_and_the_layer_stands_on_the_features_as_they_are() {
        let (rows, features) = (4000, 3);
        let mut states = vec![0.0; rows * features];
        fill_normal(&mut stream(3, "test/hidden", &[]), &mut states);
        states
            .iter_mut()
            .skip(2)
            .step_by(features)
            .for_each(|x| *x = 7.0);
        let raw = states.clone();
        let value = |row: &[f32]| f64::from(2.0 * row[0] * row[1]).tanh() as f32;
        let values = raw
            .chunks_exact(features)
            .flat_map(|row| [value(row), -value(row)]);
        let data = Standard::of(&Planned {
            features,
            actions: 2,
            states,
            values: values.collect(),
        });
        let (mut network, tested) = (Network::new(&data, 16, 1), Vec::from_iter(3600..4000));
        assert!(network.explained(&data, &tested).abs() < 0.05);
        let all: Vec<usize> = (0..3600).collect();
        for _ in 0..60 {
            for batch in all.chunks_exact(100) {
                network.update(&data, batch, 5e-3);
            }
        }
        let explained = network.explained(&data, &tested);
        assert!(explained > 0.9, "{explained}");
        // The units of the folded layer are those of the network on standardised features.
        let hidden = network.layer(&data);
        let (units, _) = network.forward(&data.gather(&[5]).0, 2);
        let mut folded = vec![0.0; 16];
        hidden.units_of(&raw[15..17], &raw[17..18], &mut folded);
        for (a, b) in units.iter().zip(&folded) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
