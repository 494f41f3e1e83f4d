//! Draws in tensors, from given random numbers.

use burn::Tensor;

use super::Definition;
use crate::{
    DensityConfig, Form,
    definition::{
        flow::solve_unit,
        mixture::{back_substitution, cholesky, forward_substitution, places},
    },
    host::check_temperature,
};

impl Definition {
    /// A draw from p(· | h) of each row at temperature τ, as
    /// [`Density::sample`](crate::Density::sample) makes it: `uniform` `[rows, choices]` in 0..1
    /// chooses the components, `noise` `[rows, dim + columns of U]` is standard normal.
    ///
    /// # Panics
    /// If the temperature is negative, infinite or no number.
    pub fn sample(
        &self,
        h: Tensor<2>,
        temperature: f32,
        uniform: Tensor<2>,
        noise: Tensor<2>,
    ) -> Tensor<2> {
        check_temperature(temperature);
        let DensityConfig {
            dim, components, ..
        } = self.config;
        let (rows, choices) = (h.dims()[0], self.config.choices());
        let logits = self
            .linear("head.logits", h.clone())
            .reshape([rows * choices, components]);
        let chosen = chosen(logits, temperature, uniform.reshape([rows * choices, 1]));
        let component = Drawn {
            definition: self,
            h: h.clone(),
            chosen: chosen.reshape([rows, choices, components]).swap_dims(1, 2),
        };
        let mut y = component.part("mean", dim);
        if temperature > 0.0 {
            y = y + component.noise(&noise) * f64::from(temperature).sqrt();
        }
        if let Some(anchor) = self.anchor(&h) {
            y = y + anchor;
        }
        self.inverse(&h, y)
    }
}

/// The components that were drawn for the rows of `h`.
struct Drawn<'a> {
    definition: &'a Definition,
    h: Tensor<2>,
    /// 1 for the component of each value, else 0 `[rows, components, dim or 1]`.
    chosen: Tensor<3>,
}

impl Drawn<'_> {
    /// The drawn component's entries of `all` `[rows, components, width]`.
    fn pick(&self, all: Tensor<3>) -> Tensor<2> {
        let [rows, _, width] = all.dims();
        (all * self.chosen.clone())
            .sum_dim(1)
            .reshape([rows, width])
    }

    /// The head's part `name` of the drawn component `[rows, width]`.
    fn part(&self, name: &str, width: usize) -> Tensor<2> {
        let (rows, components) = (self.h.dims()[0], self.definition.config.components);
        let all = self
            .definition
            .linear(&format!("head.{name}"), self.h.clone());
        self.pick(all.reshape([rows, components, width]))
    }

    /// Columns of V = D^-½ U, of a covariance D^½ U; `scale` is D^-½.
    fn directions(&self, scale: &Tensor<2>) -> Vec<Tensor<2>> {
        let DensityConfig { dim, form, .. } = self.definition.config;
        let rows = self.h.dims()[0];
        (0..self.definition.config.columns())
            .map(|j| match form {
                Form::Tied => {
                    self.pick(self.definition.tied(j).repeat_dim(0, rows)) * scale.clone()
                }
                _ => self.part(&format!("direction{j}"), dim),
            })
            .collect()
    }

    /// A draw from N(0, P⁻¹) of the drawn component, from the standard normal `noise`.
    fn noise(&self, noise: &Tensor<2>) -> Tensor<2> {
        let DensityConfig { dim, form, .. } = self.definition.config;
        let rows = self.h.dims()[0];
        let limit = self.definition.config.log_precision_limit;
        let log_d = self.part("log_precision", dim).clamp(-limit, limit);
        let scale = (log_d * -0.5).exp();
        let e1 = noise.clone().slice([0..rows, 0..dim]);
        let e2 = |j: usize| noise.clone().slice([0..rows, dim + j..dim + j + 1]);
        match form {
            Form::Factored | Form::Diagonal => e1 * scale,
            Form::Full if dim == 1 => e1 * scale,
            // A⁻ᵀ D^-½ ε.
            Form::Full => {
                let device = self.h.device();
                let lower = self.part("lower", dim * (dim - 1) / 2);
                let (i, j) = (places(dim, 0, &device), places(dim, 1, &device));
                let lower: Tensor<3> =
                    lower.unsqueeze_dim::<3>(1) * j.transpose().unsqueeze_dim::<3>(0);
                let n = lower.matmul(i.unsqueeze_dim::<3>(0).repeat_dim(0, rows));
                solve_unit(n, (e1 * scale).unsqueeze_dim::<3>(2), true).reshape([rows, dim])
            }
            Form::LowRankCovariance => {
                let mut w = e1;
                for (j, v) in self.directions(&scale).into_iter().enumerate() {
                    w = w + v * e2(j);
                }
                w * scale
            }
            // Equation 5 with V = D^-½ U: P⁻¹ v = D^-½ (w − V C⁻¹ Vᵀ w), w = ε₁ + V ε₂, C = I + Vᵀ
            // V.
            Form::LowRank | Form::Tied => {
                let v = self.directions(&scale);
                let mut w = e1;
                for (j, v) in v.iter().enumerate() {
                    w = w + v.clone() * e2(j);
                }
                let l = cholesky(&v, &|x: Tensor<2>| x.sum_dim(1));
                let mut t: Vec<Tensor<2>> = v
                    .iter()
                    .map(|v| (v.clone() * w.clone()).sum_dim(1))
                    .collect();
                forward_substitution(&l, &mut t);
                back_substitution(&l, &mut t);
                for (v, t) in v.into_iter().zip(t) {
                    w = w - v * t;
                }
                w * scale
            }
        }
    }
}

/// 1 for the component that was chosen, else 0: `logits` `[n, components]`, `uniform` `[n, 1]`.
fn chosen(logits: Tensor<2>, temperature: f32, uniform: Tensor<2>) -> Tensor<2> {
    let [n, components] = logits.dims();
    let most = logits.clone().max_dim(1);
    if temperature <= 0.0 {
        // The first of the likeliest.
        let likeliest = logits.greater_equal(most).float();
        let mut free = Tensor::ones([n, 1], &likeliest.device());
        let columns = (0..components).map(|k| {
            let here = likeliest.clone().slice([0..n, k..k + 1]) * free.clone();
            free = free.clone() - here.clone();
            here
        });
        return Tensor::cat(columns.collect(), 1);
    }
    let weights = ((logits - most) / f64::from(temperature)).exp();
    let at = uniform * weights.clone().sum_dim(1);
    let mut passed = Tensor::zeros([n, 1], &at.device());
    let columns = (0..components).map(|k| {
        let from = at.clone().greater_equal(passed.clone()).float();
        passed = passed.clone() + weights.clone().slice([0..n, k..k + 1]);
        // The last one takes what rounding leaves.
        if k + 1 == components {
            from
        } else {
            from * at.clone().lower(passed.clone()).float()
        }
    });
    Tensor::cat(columns.collect(), 1)
}
