//! The hidden layers of C: fitted, with outputs of their own, to what planners found of the actions.

use frmdn_engine::{
    Params,
    activation::tanh_inplace,
    adam::{Adam, AdamConfig},
    linear::Linear,
    random::{Pcg64, fill_normal, stream},
};
use rand::seq::SliceRandom;

use super::planned::Planned;
use crate::{
    controller::Hidden,
    run::{Recovery, Result, RunError},
};

/// Times that every state is seen.
const EPOCHS: usize = 24;
/// States of an update.
const BATCH: usize = 128;
/// Learning rate of the first update; it falls to 0 along a line.
const RATE: f64 = 2e-3;
/// Part of a weight that is added to its gradient.
const DECAY: f32 = 1e-3;
/// Standard deviation of the noise on [z, h] while the layers are fitted, in parts of that of each
/// value: there are few plans, and [z, h] never comes twice.
const NOISE: f32 = 0.2;
/// Of so many blocks of states the last one is only tested on; neighbours are much alike.
const TESTED: usize = 10;
/// States of a block.
const BLOCK: usize = 128;

/// States and targets, the former in units of their standard deviations.
struct Standard {
    features: usize,
    actions: usize,
    states: Vec<f32>,
    targets: Vec<f32>,
    /// Mean and standard deviation of each of [z, h].
    scale: Vec<[f32; 2]>,
}

/// Hidden layers of `units` units each, and the share of the variance of the targets of `planned`
/// that they explain in states that they were not fitted to. `seed` is the root of their random
/// numbers.
///
/// # Errors
/// If there are fewer states than units.
pub fn fit(planned: &Planned, units: &[usize], seed: u64) -> Result<(Hidden, f64)> {
    let (rows, most) = (planned.len(), units.iter().max().copied().unwrap_or(0));
    if rows < most {
        return Err(RunError::refused(
            format!("controller: planners made {rows} plans, too few to fit {most} hidden units"),
            Recovery::Episodes,
        ));
    }
    let data = Standard::of(planned);
    let mut network = Network::new(&data, units, seed);
    let (tested, mut trained): (Vec<usize>, Vec<usize>) =
        (0..rows).partition(|i| i / BLOCK % TESTED == TESTED - 1);
    let mut rng = stream(seed, "controller/hidden/order", &[]);
    let mut noise = stream(seed, "controller/hidden/noise", &[]);
    let batch = BATCH.min(trained.len());
    let updates = EPOCHS * (trained.len() / batch);
    let mut done = 0;
    for _ in 0..EPOCHS {
        trained.shuffle(&mut rng);
        for batch in trained.chunks_exact(batch) {
            let rate = RATE * (1.0 - done as f64 / updates as f64);
            network.update(&data, batch, rate, &mut noise);
            done += 1;
        }
    }
    // A few states fill no block of their own.
    let explained = match tested.is_empty() {
        true => network.explained(&data, &trained),
        false => network.explained(&data, &tested),
    };
    Ok((network.layers(&data), explained))
}

impl Standard {
    fn of(planned: &Planned) -> Self {
        let (features, actions) = (planned.features, planned.actions);
        let mut states = planned.states.clone();
        let scale = (0..features).map(|i| moments(states.iter().skip(i).step_by(features)));
        let scale: Vec<[f32; 2]> = scale.collect();
        for row in states.chunks_exact_mut(features) {
            for (x, [mean, sd]) in row.iter_mut().zip(&scale) {
                *x = (*x - mean) / sd;
            }
        }
        Self {
            features,
            actions,
            states,
            targets: planned.targets(),
            scale,
        }
    }

    /// The states `rows` and their targets, one after the other.
    fn gather(&self, rows: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let (mut states, mut targets) = (Vec::new(), Vec::new());
        for &i in rows {
            states.extend_from_slice(&self.states[i * self.features..(i + 1) * self.features]);
            targets.extend_from_slice(&self.targets[i * self.actions..(i + 1) * self.actions]);
        }
        (states, targets)
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

/// The layers with outputs, while they are fitted.
struct Network {
    /// For each layer, the outputs last: `weight` [below, units], `bias` [units].
    weights: Params,
    gradients: Params,
    adam: Adam,
    layers: Vec<Linear>,
    /// Lengths of [z, h], of each layer and of the outputs.
    sizes: Vec<usize>,
}

impl Network {
    fn new(data: &Standard, units: &[usize], seed: u64) -> Self {
        let sizes = [&[data.features][..], units, &[data.actions]].concat();
        let (mut weights, mut layers) = (Params::default(), Vec::new());
        for (i, pair) in sizes.windows(2).enumerate() {
            let (below, above) = (pair[0], pair[1]);
            let mut weight = vec![0.0; below * above];
            // The outputs begin at zero.
            if i < units.len() {
                let index = i as u64;
                fill_normal(
                    &mut stream(seed, "controller/hidden", &[index]),
                    &mut weight,
                );
                let scale = 1.0 / (below as f32).sqrt();
                weight.iter_mut().for_each(|w| *w *= scale);
            }
            weights.push(format!("weight.{i}"), &[below, above], weight);
            weights.push(format!("bias.{i}"), &[above], vec![0.0; above]);
            layers.push(Linear::new(below, above));
        }
        Self {
            gradients: weights.zeros_like(),
            adam: Adam::new(&weights, AdamConfig::default()),
            weights,
            layers,
            sizes,
        }
    }

    /// What every layer makes of `states`, the outputs last.
    fn forward(&mut self, states: &[f32]) -> Vec<Vec<f32>> {
        let rows = states.len() / self.sizes[0];
        let mut made: Vec<Vec<f32>> = Vec::with_capacity(self.layers.len());
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.load(
                &self.weights.0[2 * i].value,
                &self.weights.0[2 * i + 1].value,
            );
            let below = made.last().map_or(states, Vec::as_slice);
            let mut out = vec![0.0; rows * self.sizes[i + 1]];
            layer.forward(below, rows, false, &mut out);
            if i < last {
                tanh_inplace(&mut out);
            }
            made.push(out);
        }
        made
    }

    /// One update on the states `batch`: half the mean square of the errors.
    fn update(&mut self, data: &Standard, batch: &[usize], rate: f64, noise: &mut Pcg64) {
        let (mut states, targets) = data.gather(batch);
        let mut drawn = vec![0.0; states.len()];
        fill_normal(noise, &mut drawn);
        for (x, drawn) in states.iter_mut().zip(&drawn) {
            *x += NOISE * drawn;
        }
        let mut made = self.forward(&states);
        let rows = batch.len();
        let mut back = made.pop().expect("outputs");
        for (error, target) in back.iter_mut().zip(&targets) {
            *error = (*error - target) / rows as f32;
        }
        for (gradient, weight) in self.gradients.0.iter_mut().zip(&self.weights.0) {
            let decay = if weight.shape.len() > 1 { DECAY } else { 0.0 };
            for (g, w) in gradient.value.iter_mut().zip(&weight.value) {
                *g = decay * w;
            }
        }
        for (i, layer) in self.layers.iter_mut().enumerate().rev() {
            let [weight, bias] = &mut self.gradients.0[2 * i..2 * i + 2] else {
                unreachable!("a weight and a bias for each layer")
            };
            let below = if i == 0 { &states } else { &made[i - 1] };
            layer.backward_weights(below, &back, rows, &mut weight.value, &mut bias.value);
            if i > 0 {
                let mut through = vec![0.0; below.len()];
                layer.load_backward(&self.weights.0[2 * i].value);
                layer.backward_input(&back, rows, &mut through);
                for (back, unit) in through.iter_mut().zip(below) {
                    *back *= 1.0 - unit * unit;
                }
                back = through;
            }
        }
        self.adam.step(&mut self.weights, &mut self.gradients, rate);
    }

    /// The share of the variance of the targets in the states `rows` that the outputs explain.
    fn explained(&mut self, data: &Standard, rows: &[usize]) -> f64 {
        let (states, targets) = data.gather(rows);
        let outputs = self.forward(&states).pop().expect("outputs");
        let square = |x: f32| f64::from(x) * f64::from(x);
        let missed: f64 = outputs
            .iter()
            .zip(&targets)
            .map(|(o, v)| square(o - v))
            .sum();
        let all: f64 = targets.iter().map(|v| square(*v)).sum();
        1.0 - missed / all.max(f64::MIN_POSITIVE)
    }

    /// The layers on [z, h] as they are.
    fn layers(&self, data: &Standard) -> Hidden {
        let mut layers = Vec::with_capacity(self.sizes.len() - 2);
        for i in 0..self.sizes.len() - 2 {
            let (below, units) = (self.sizes[i], self.sizes[i + 1]);
            let [weight, bias] = [0, 1].map(|j| &self.weights.0[2 * i + j].value);
            let mut rows = Vec::with_capacity(units * (below + 1));
            for unit in 0..units {
                let mut at_mean = f64::from(bias[unit]);
                for j in 0..below {
                    let w = weight[j * units + unit];
                    // Units have no scale of their own.
                    let [mean, sd] = if i == 0 { data.scale[j] } else { [0.0, 1.0] };
                    at_mean -= f64::from(w / sd) * f64::from(mean);
                    rows.push(w / sd);
                }
                rows.push(at_mean as f32);
            }
            layers.push(rows);
        }
        Hidden::new(data.features, layers)
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
        let mut network = Network::new(&data, &[16, 8], 1);
        let tested = Vec::from_iter(3600..4000);
        let mut noise = stream(3, "test/noise", &[]);
        assert!(network.explained(&data, &tested).abs() < 0.05);
        let all: Vec<usize> = (0..3600).collect();
        for _ in 0..60 {
            for batch in all.chunks_exact(100) {
                network.update(&data, batch, 5e-3, &mut noise);
            }
        }
        let explained = network.explained(&data, &tested);
        assert!(explained > 0.9, "{explained}");
        // The units of the folded layers are those of the network on standardised features.
        let hidden = network.layers(&data);
        let made = network.forward(&data.gather(&[5]).0);
        let mut folded = vec![0.0; 8];
        hidden.units_of(&raw[15..17], &raw[17..18], &mut folded);
        for (a, b) in made[1].iter().zip(&folded) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}
