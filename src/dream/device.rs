//! The same dreams in burn tensors: a whole population as one batch on any device.
//!
//! The random numbers are those of the engine, drawn on the host. Sums are rounded differently on a
//! device, so a dream follows the engine's closely at first and diverges from it later.

use burn::tensor::{Device, Tensor, activation::sigmoid};
use frmdn_density::constant;
use frmdn_env::ActionForm;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{DreamConfig, DreamOutcome, Start, chances};
use crate::{
    controller::{Actions, Controller},
    memory::definition::MemoryDefinition,
};

/// Lets each of `controllers` drive from each of `starts` in the memory of `definition`, all at
/// once on `device`; the outcomes are `[controllers, starts]`. Dreams that ended are still
/// computed, but no longer counted.
///
/// # Panics
/// If a start's or a controller's sizes disagree with the memory, or a controller is not linear.
pub fn dream_on(
    definition: &MemoryDefinition,
    actions: &Actions,
    controllers: &[&Controller],
    starts: &[Start],
    config: DreamConfig,
    device: &Device,
) -> Vec<DreamOutcome> {
    let sizes = Sizes {
        controllers: controllers.len(),
        starts: starts.len(),
        latent: starts[0].latent.len(),
        hidden: definition.config.hidden,
        actions: actions.width(),
    };
    let population = Population::new(controllers, &sizes, device);
    let mut rows = Rows::new(starts, &sizes, device);
    let density = definition.density.config();
    let (choices, normals) = (density.choices(), sizes.latent + density.columns());
    for step in 0..config.steps {
        let draws = Draws::new(&config, starts, step, [choices, normals]);
        let outputs = population.outputs(rows.z.clone(), rows.h.clone());
        let action = squash(actions, outputs);
        (rows.h, rows.cells) = definition.step(
            Tensor::cat(vec![rows.z.clone(), action], 1),
            rows.h,
            rows.cells,
        );
        rows.z = definition.density.sample(
            definition.features(rows.h.clone(), rows.z),
            config.temperature,
            sizes.repeat(&draws.choices, choices, device),
            sizes.repeat(&draws.normals, normals, device),
        );
        let (reward, end) = definition.heads(rows.h.clone(), rows.z.clone());
        rows.reward = rows.reward + reward * rows.alive.clone();
        rows.steps = rows.steps + rows.alive.clone();
        if config.ends {
            let ends = sizes.repeat(&draws.ends, 1, device).lower(sigmoid(end));
            rows.alive = rows.alive * (ends.float().neg() + 1.0);
        }
    }
    rows.outcomes()
}

/// Sizes of a batch of dreams. It has `controllers · starts` rows.
struct Sizes {
    controllers: usize,
    starts: usize,
    latent: usize,
    hidden: usize,
    actions: usize,
}

impl Sizes {
    fn rows(&self) -> usize {
        self.controllers * self.starts
    }

    /// `values` [starts, n] once for every controller, `[controllers · starts, n]`.
    fn repeat(&self, values: &[f32], n: usize, device: &Device) -> Tensor<2> {
        constant(values, self.starts, n, device)
            .reshape([1, self.starts, n])
            .repeat_dim(0, self.controllers)
            .reshape([self.rows(), n])
    }
}

/// The controllers as one batched linear map.
struct Population {
    /// `[controllers, latent + hidden, actions]`.
    weight: Tensor<3>,
    /// `[controllers, 1, actions]`.
    bias: Tensor<3>,
    starts: usize,
}

impl Population {
    fn new(controllers: &[&Controller], sizes: &Sizes, device: &Device) -> Self {
        let (c, width) = (sizes.controllers, sizes.actions);
        let features = sizes.latent + sizes.hidden;
        let (mut weight, mut bias) = (vec![0.0; c * features * width], vec![0.0; c * width]);
        for (i, controller) in controllers.iter().enumerate() {
            assert!(controller.hidden().is_none() && controller.temperature() == 0.0);
            for (a, row) in controller.weights().chunks_exact(features + 1).enumerate() {
                for (f, value) in row[..features].iter().enumerate() {
                    weight[(i * features + f) * width + a] = *value;
                }
                bias[i * width + a] = row[features];
            }
        }
        Self {
            weight: constant(&weight, c * features, width, device).reshape([c, features, width]),
            bias: constant(&bias, c, width, device).reshape([c, 1, width]),
            starts: sizes.starts,
        }
    }

    /// Outputs `[rows, actions]` for z `[rows, latent]` and h `[rows, hidden]`.
    fn outputs(&self, z: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        let [c, features, width] = self.weight.dims();
        let inputs = Tensor::cat(vec![z, h], 1).reshape([c, self.starts, features]);
        (inputs.matmul(self.weight.clone()) + self.bias.clone()).reshape([c * self.starts, width])
    }
}

/// The state of all dreams, one row each.
struct Rows {
    /// `[rows, latent]`.
    z: Tensor<2>,
    /// `[rows, hidden]`.
    h: Tensor<2>,
    /// `[rows, hidden]`.
    cells: Tensor<2>,
    /// 1 until a dream ends, then 0; `[rows, 1]`, as are the next two.
    alive: Tensor<2>,
    reward: Tensor<2>,
    steps: Tensor<2>,
}

impl Rows {
    /// Each start once for every controller.
    fn new(starts: &[Start], sizes: &Sizes, device: &Device) -> Self {
        let hidden = sizes.hidden;
        let (mut z, mut h, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        for start in starts {
            z.extend_from_slice(&start.latent);
            h.extend_from_slice(&start.state[..hidden]);
            cells.extend_from_slice(&start.state[hidden..2 * hidden]);
        }
        let column = [sizes.rows(), 1];
        Self {
            z: sizes.repeat(&z, sizes.latent, device),
            h: sizes.repeat(&h, hidden, device),
            cells: sizes.repeat(&cells, hidden, device),
            alive: Tensor::ones(column, device),
            reward: Tensor::zeros(column, device),
            steps: Tensor::zeros(column, device),
        }
    }

    fn outcomes(self) -> Vec<DreamOutcome> {
        let read = |x: Tensor<2>| x.into_data().try_to_vec::<f32>().expect("sums are f32");
        let columns = read(self.reward)
            .into_iter()
            .zip(read(self.steps))
            .zip(read(self.alive));
        columns
            .map(|((reward, steps), alive)| DreamOutcome {
                reward: f64::from(reward),
                steps: steps as u32,
                ended: alive < 0.5,
                ..DreamOutcome::default()
            })
            .collect()
    }
}

/// The random numbers of one step, one row per start.
struct Draws {
    /// Uniform, for the choice of components; 0 at temperature 0.
    choices: Vec<f32>,
    /// Standard normal, for the latents; 0 at temperature 0.
    normals: Vec<f32>,
    /// Uniform, for the ends.
    ends: Vec<f32>,
}

impl Draws {
    /// The numbers in the engine's order, for a row of `choices` and `normals` values of each start.
    fn new(
        config: &DreamConfig,
        starts: &[Start],
        step: u32,
        [choices, normals]: [usize; 2],
    ) -> Self {
        let count = starts.len();
        let mut draws = Self {
            choices: vec![0.0; count * choices],
            normals: vec![0.0; count * normals],
            ends: vec![0.0; count],
        };
        for (start, at) in starts.iter().enumerate() {
            let mut rng = chances(config.seed, at.chances, step);
            if config.temperature > 0.0 {
                for choice in &mut draws.choices[start * choices..(start + 1) * choices] {
                    *choice = rng.random::<f64>() as f32;
                }
                for value in &mut draws.normals[start * normals..(start + 1) * normals] {
                    let normal: f64 = StandardNormal.sample(&mut rng);
                    *value = normal as f32;
                }
            }
            draws.ends[start] = rng.random::<f32>();
        }
        draws
    }
}

/// [`Actions::squash`] in tensors.
fn squash(actions: &Actions, outputs: Tensor<2>) -> Tensor<2> {
    let rows = outputs.dims()[0];
    let column = |k: usize| outputs.clone().slice([0..rows, k..k + 1]).tanh();
    match actions {
        Actions::Box { low, high, forms } => {
            let value = |k: usize| match forms[k] {
                ActionForm::Plain => column(k),
                ActionForm::Scaled | ActionForm::ScaledBy { .. } => {
                    (column(k) + 1.0) * 0.5 * f64::from(high[k] - low[k]) + f64::from(low[k])
                }
                ActionForm::Clipped { .. } => column(k).clamp(low[k].max(0.0), high[k]),
            };
            Tensor::cat((0..forms.len()).map(value).collect(), 1)
        }
        // Ties, where the engine takes the first value, have probability 0.
        Actions::Discrete(_) => outputs.clone().greater_equal(outputs.max_dim(1)).float(),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{car_racing, setup},
        *,
    };
    use crate::{dream::dream, memory::Variant};

    #[test]
    fn a_device_dreams_what_the_engine_dreams() {
        let device = crate::device::device_under_test();
        for variant in Variant::trained() {
            let setup = setup(variant);
            let definition = MemoryDefinition::new(
                &setup.config,
                super::super::tests::LATENT,
                3,
                &setup.weights,
                &device,
            )
            .unwrap();
            let controllers: Vec<&Controller> = setup.controllers.iter().collect();
            for (temperature, ends) in [(1.0, true), (0.0, false)] {
                let config = DreamConfig {
                    steps: 12,
                    temperature,
                    seed: 4,
                    ends,
                    dropout: 0.0,
                };
                let engine = dream(
                    setup.memory.as_ref(),
                    &car_racing(),
                    &controllers,
                    &setup.starts,
                    config,
                )
                .unwrap();
                let there = dream_on(
                    &definition,
                    &car_racing(),
                    &controllers,
                    &setup.starts,
                    config,
                    &device,
                );
                assert_eq!(there.len(), engine.len());
                // A random number near a threshold can select the other outcome: in at most one
                // dream of twenty.
                let diverged = engine.iter().zip(&there).filter(|(a, b)| {
                    (a.steps, a.ended) != (b.steps, b.ended) || (a.reward - b.reward).abs() > 1e-3
                });
                assert!(
                    diverged.count() <= engine.len() / 20,
                    "{variant} at {temperature}: {engine:?} {there:?}"
                );
            }
        }
    }
}
