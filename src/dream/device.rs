//! The same dreams in burn tensors: a whole population as one batch on any device.
//!
//! Chances are those of the engine, number for number, drawn on the host; sums are rounded
//! otherwise there, so a dream follows the engine's closely at first and, like all dreams, parts
//! from it in the end.

use burn::tensor::{Device, Tensor};
use frmdn_density::constant;
use frmdn_engine::random::stream;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{DreamConfig, Dreamt, Start};
use crate::{
    controller::{Actions, LinearController},
    memory::definition::MemoryDefinition,
};

/// Lets each of `controllers` drive from each of `starts` in the memory of `definition`, all at
/// once on `device`; the outcomes are `[controllers, starts]`. Dreams that ended are computed on,
/// but not counted.
///
/// # Panics
/// If a start's or a controller's sizes disagree with the memory.
pub fn dream_on(
    definition: &MemoryDefinition,
    actions: &Actions,
    controllers: &[&LinearController],
    starts: &[Start],
    config: DreamConfig,
    device: &Device,
) -> Vec<Dreamt> {
    let (c, s, width) = (controllers.len(), starts.len(), actions.width());
    let (rows, latent, hidden) = (c * s, starts[0].latent.len(), definition.config().hidden);
    let features = latent + hidden;
    // Weights [features, actions] and biases of each controller.
    let (mut weight, mut bias) = (vec![0.0; c * features * width], vec![0.0; c * width]);
    for (i, controller) in controllers.iter().enumerate() {
        for (a, row) in controller.weights().chunks_exact(features + 1).enumerate() {
            (0..features).for_each(|f| weight[(i * features + f) * width + a] = row[f]);
            bias[i * width + a] = row[features];
        }
    }
    let weight = constant(&weight, c * features, width, device).reshape([c, features, width]);
    let bias = constant(&bias, c, width, device).reshape([c, 1, width]);
    // Each start once for every controller.
    let spread = |values: Vec<f32>, n: usize| {
        constant(&values, s, n, device)
            .reshape([1, s, n])
            .repeat_dim(0, c)
            .reshape([rows, n])
    };
    let part = |range: std::ops::Range<usize>| {
        starts
            .iter()
            .flat_map(|start| start.state[range.clone()].to_vec())
            .collect::<Vec<_>>()
    };
    let mut z = spread(
        starts
            .iter()
            .flat_map(|start| start.latent.clone())
            .collect(),
        latent,
    );
    let (mut h, mut cells) = (
        spread(part(0..hidden), hidden),
        spread(part(hidden..2 * hidden), hidden),
    );
    let mut alive = Tensor::<2>::ones([rows, 1], device);
    let (mut reward, mut steps) = (
        Tensor::<2>::zeros([rows, 1], device),
        Tensor::<2>::zeros([rows, 1], device),
    );
    let density = definition.density.config();
    let (normals, chosen) = (latent + density.columns(), density.choices());
    for step in 0..config.steps {
        let (mut choices, mut noise, mut ends) = (
            Vec::with_capacity(s * chosen),
            Vec::with_capacity(s * normals),
            Vec::with_capacity(s),
        );
        for episode in 0..s as u64 {
            let mut rng = stream(config.seed, "dream", &[episode, u64::from(step)]);
            if config.temperature > 0.0 {
                choices.extend((0..chosen).map(|_| rng.random::<f64>() as f32));
                noise.extend((0..normals).map(|_| -> f32 {
                    let normal: f64 = StandardNormal.sample(&mut rng);
                    normal as f32
                }));
            } else {
                choices.extend(std::iter::repeat_n(0.0, chosen));
                noise.extend(std::iter::repeat_n(0.0, normals));
            }
            ends.push(rng.random::<f32>());
        }
        let seen = Tensor::cat(vec![z.clone(), h.clone()], 1).reshape([c, s, features]);
        let outputs = (seen.matmul(weight.clone()) + bias.clone()).reshape([rows, width]);
        let action = squash(actions, outputs, device);
        (h, cells) = definition.step(Tensor::cat(vec![z.clone(), action], 1), h, cells);
        let seen = definition.features(h.clone(), z);
        z = definition.density.sample(
            seen,
            config.temperature,
            spread(choices, chosen),
            spread(noise, normals),
        );
        let (expected, end) = definition.heads(h.clone());
        reward = reward + expected * alive.clone();
        steps = steps + alive.clone();
        if config.ends {
            let over = spread(ends, 1)
                .lower(burn::tensor::activation::sigmoid(end))
                .float();
            alive = alive * (over.neg() + 1.0);
        }
    }
    let read = |x: Tensor<2>| x.into_data().try_to_vec::<f32>().expect("sums are f32");
    let outcome = read(reward).into_iter().zip(read(steps)).zip(read(alive));
    outcome
        .map(|((reward, steps), alive)| Dreamt {
            reward: f64::from(reward),
            steps: steps as u32,
            ended: alive < 0.5,
        })
        .collect()
}

/// [`Actions::squash`] in tensors.
fn squash(actions: &Actions, outputs: Tensor<2>, device: &Device) -> Tensor<2> {
    let [rows, width] = outputs.dims();
    let column = |k: usize| outputs.clone().slice([0..rows, k..k + 1]).tanh();
    match actions {
        Actions::CarRacing => Tensor::cat(
            vec![
                column(0),
                (column(1) + 1.0) * 0.5,
                column(2).clamp(0.0, 1.0),
            ],
            1,
        ),
        Actions::Box { low, high } => {
            let span: Vec<f32> = low.iter().zip(high).map(|(l, h)| h - l).collect();
            (outputs.tanh() + 1.0) * 0.5 * constant(&span, 1, width, device)
                + constant(low, 1, width, device)
        }
        // Ties, where the engine takes the first, do not happen among real numbers.
        Actions::Discrete(_) => outputs.clone().greater_equal(outputs.max_dim(1)).float(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::setup, *};
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
            let controllers: Vec<&LinearController> = setup.controllers.iter().collect();
            for (temperature, ends) in [(1.0, true), (0.0, false)] {
                let config = DreamConfig {
                    steps: 12,
                    temperature,
                    seed: 4,
                    ends,
                };
                let engine = dream(
                    setup.memory.as_ref(),
                    &Actions::CarRacing,
                    &controllers,
                    &setup.starts,
                    config,
                )
                .unwrap();
                let there = dream_on(
                    &definition,
                    &Actions::CarRacing,
                    &controllers,
                    &setup.starts,
                    config,
                    &device,
                );
                assert_eq!(there.len(), engine.len());
                // A chance at the edge of two outcomes may fall to the other side: one dream in
                // twenty at most.
                let parted = engine.iter().zip(&there).filter(|(a, b)| {
                    (a.steps, a.ended) != (b.steps, b.ended) || (a.reward - b.reward).abs() > 1e-3
                });
                assert!(
                    parted.count() <= engine.len() / 20,
                    "{variant} at {temperature}: {engine:?} {there:?}"
                );
            }
        }
    }
}
