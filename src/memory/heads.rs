//! The two linear heads beside the density: reward and end of the step, both on h (equations 16 and
//! 17).

use burn::tensor::{Tensor, activation::relu};
use frmdn_engine::{Params, linear::dot, params::ParamError};

use super::{LossConfig, Outcomes, Prediction};
use crate::recurrent::{Heads, Rows};

/// The heads of a world model on a recurrent density, with the weights of their losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorldHeads(pub LossConfig);

impl Heads for WorldHeads {
    type Targets = Outcomes;

    fn tensors(&self, hidden: usize) -> Vec<(String, Vec<usize>)> {
        let tensors = ["reward", "done"].map(|head| {
            [
                (format!("{head}.weight"), vec![hidden, 1]),
                (format!("{head}.bias"), vec![1]),
            ]
        });
        tensors.into_iter().flatten().collect()
    }

    fn losses(&self) -> usize {
        2
    }

    fn add(&self, params: &Params, rows: &mut Rows<'_, Outcomes>) -> (Vec<f64>, Params) {
        let h = rows.hidden.len() / rows.mask.len();
        let mut heads = LoadedHeads::load(&self.0, params, h)
            .expect("the trainer's weights have the model's shapes");
        for row in (0..rows.mask.len()).filter(|&row| rows.mask[row] > 0.0) {
            let at = row * h..(row + 1) * h;
            heads.add(
                &rows.hidden[at.clone()],
                rows.targets.reward[row],
                rows.targets.done[row],
                f64::from(rows.weights[row]),
                &mut rows.d_hidden[at],
            );
        }
        let sums = vec![heads.squares, heads.cross_entropy];
        (sums, heads.gradients())
    }

    fn define(
        &self,
        tensors: &[Tensor<2>],
        hidden: Tensor<2>,
        targets: &Outcomes,
    ) -> (Tensor<2>, Vec<Tensor<2>>) {
        let (loss, device) = (self.0, hidden.device());
        let column = |v: &[f32]| frmdn_density::constant(v, v.len(), 1, &device);
        let (reward, done) = (column(&targets.reward), column(&targets.done));
        let (predicted, logit) = Self::values(tensors, hidden);
        let error = predicted - reward;
        let squares = error.clone() * error;
        let softplus = |x: Tensor<2>| relu(x.clone()) + (x.abs().neg().exp() + 1.0).log();
        let w = loss.done_positive_weight;
        let moved = logit.clone() + libm::log(w);
        let ends = softplus(moved.clone().neg()) * done.clone() * w
            + softplus(moved) * (done.clone().neg() + 1.0);
        let cross_entropy = softplus(logit.clone()) - logit * done;
        let total =
            squares.clone() * (loss.reward_scale * loss.reward_scale) + ends * loss.done_weight;
        (total, vec![squares, cross_entropy])
    }
}

impl WorldHeads {
    /// Reward, and the logit of the end (equation 16), of each row of `hidden` `[rows, 1]`, from the
    /// heads' tensors.
    pub(super) fn values(tensors: &[Tensor<2>], hidden: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let head = |at: usize| {
            let (weight, bias) = (tensors[at].clone(), tensors[at + 1].clone());
            hidden.clone().matmul(weight) + bias
        };
        (head(0), head(2))
    }
}

/// Both heads, with the sums of their losses and gradients.
pub(super) struct LoadedHeads {
    loss: LossConfig,
    reward: Head,
    done: Head,
    /// Σ (r̂ − r)².
    pub squares: f64,
    /// Σ of the end's cross-entropies, every step counting once.
    pub cross_entropy: f64,
}

/// y = w · h + b.
struct Head {
    weight: Vec<f32>,
    bias: f32,
    gradient: Vec<f32>,
    bias_gradient: f64,
}

/// Cross-entropy of the logit l against d (0 or 1): log(1 + eˡ) − d l.
pub(super) fn cross_entropy(logit: f64, done: f64) -> f64 {
    logit.max(0.0) + libm::log1p(libm::exp(-logit.abs())) - done * logit
}

impl Head {
    fn load(params: &Params, name: &str, hidden: usize) -> Result<Self, ParamError> {
        let weight = params
            .get(&format!("{name}.weight"), &[hidden, 1])?
            .to_vec();
        let bias = params.get(&format!("{name}.bias"), &[1])?[0];
        Ok(Self {
            gradient: vec![0.0; hidden],
            weight,
            bias,
            bias_gradient: 0.0,
        })
    }

    fn value(&self, h: &[f32]) -> f32 {
        dot(&self.weight, h) + self.bias
    }

    /// Adds the gradients of a loss whose derivative by this head's value is `d`.
    fn backward(&mut self, h: &[f32], d: f64, d_hidden: &mut [f32]) {
        self.bias_gradient += d;
        let d = d as f32;
        for ((g, w), (h, dh)) in self
            .gradient
            .iter_mut()
            .zip(&self.weight)
            .zip(h.iter().zip(d_hidden))
        {
            *g += d * h;
            *dh += d * w;
        }
    }
}

impl LoadedHeads {
    /// The heads of `params`, for `hidden` cells.
    pub fn load(loss: &LossConfig, params: &Params, hidden: usize) -> Result<Self, ParamError> {
        let (reward, done) = (
            Head::load(params, "reward", hidden)?,
            Head::load(params, "done", hidden)?,
        );
        Ok(Self {
            loss: *loss,
            reward,
            done,
            squares: 0.0,
            cross_entropy: 0.0,
        })
    }

    /// Reward in the environment's unit, and the logit of the end.
    pub fn predict(&self, h: &[f32]) -> (f64, f64) {
        (
            f64::from(self.reward.value(h)),
            f64::from(self.done.value(h)),
        )
    }

    /// Reward and probability of the end.
    pub fn predict_step(&self, h: &[f32]) -> Prediction {
        Prediction {
            reward: self.reward.value(h),
            done: 1.0 / (1.0 + libm::expf(-self.done.value(h))),
        }
    }

    /// Adds one step of weight `weight` in the loss, and its gradient by h to `d_hidden`.
    ///
    /// The loss of the end (equation 17) is that of the logit l + log w with positive steps counted
    /// w times: its minimum is at the true log odds l, so that counting them more often leaves the
    /// prediction calibrated.
    pub fn add(&mut self, h: &[f32], reward: f32, done: f32, weight: f64, d_hidden: &mut [f32]) {
        let (predicted, logit) = self.predict(h);
        let (error, done) = (predicted - f64::from(reward), f64::from(done));
        self.squares += error * error;
        self.cross_entropy += cross_entropy(logit, done);
        let LossConfig {
            reward_scale,
            done_weight,
            done_positive_weight: w,
            ..
        } = self.loss;
        let p = 1.0 / (1.0 + libm::exp(-(logit + libm::log(w))));
        self.reward.backward(
            h,
            2.0 * weight * reward_scale * reward_scale * error,
            d_hidden,
        );
        self.done.backward(
            h,
            weight * done_weight * (w * done * (p - 1.0) + (1.0 - done) * p),
            d_hidden,
        );
    }

    /// The gradients, in the parameters' order.
    pub fn gradients(self) -> Params {
        let mut params = Params::default();
        for (name, head) in [("reward", self.reward), ("done", self.done)] {
            params.push(
                format!("{name}.weight"),
                &[head.gradient.len(), 1],
                head.gradient,
            );
            params.push(
                format!("{name}.bias"),
                &[1],
                vec![head.bias_gradient as f32],
            );
        }
        params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(weights: &[f32]) -> Params {
        let mut p = Params::default();
        p.push("reward.weight", &[2, 1], weights[..2].to_vec());
        p.push("reward.bias", &[1], vec![weights[2]]);
        p.push("done.weight", &[2, 1], weights[3..5].to_vec());
        p.push("done.bias", &[1], vec![weights[5]]);
        p
    }

    #[test]
    fn gradients_are_finite_differences() {
        let loss = LossConfig {
            reward_scale: 0.3,
            done_weight: 0.7,
            done_positive_weight: 5.0,
            ..LossConfig::default()
        };
        let base = [0.3f32, -0.2, 0.1, 0.5, 0.4, -1.0, 0.8, -0.6];
        let steps = [(2.0f32, 1.0f32, 0.25f64), (-0.5, 0.0, 0.5)];
        // The loss from its definition, at weights (6) and h (2).
        let value = |at: &[f64]| -> f64 {
            let (h, dot) = (&at[6..], |w: &[f64], b: f64| {
                w[0] * at[6] + w[1] * at[7] + b
            });
            assert_eq!(h.len(), 2);
            let (r, l) = (dot(&at[..2], at[2]), dot(&at[3..5], at[5]) + 5f64.ln());
            let one = |(reward, done, weight): (f32, f32, f64)| {
                let end = if done > 0.0 {
                    5.0 * (1.0 + (-l).exp()).ln()
                } else {
                    (1.0 + l.exp()).ln()
                };
                weight * ((0.3 * (r - f64::from(reward))).powi(2) + 0.7 * end)
            };
            steps.into_iter().map(one).sum()
        };
        let mut heads = LoadedHeads::load(&loss, &params(&base[..6]), 2).unwrap();
        let mut d_hidden = [0.0; 2];
        steps.into_iter().for_each(|(reward, done, weight)| {
            heads.add(&base[6..], reward, done, weight, &mut d_hidden)
        });
        let got: Vec<f32> = heads
            .gradients()
            .0
            .into_iter()
            .flat_map(|p| p.value)
            .chain(d_hidden)
            .collect();
        let mut at: Vec<f64> = base.iter().map(|&v| f64::from(v)).collect();
        for (i, got) in got.into_iter().enumerate() {
            let mut shifted = |by: f64| {
                at[i] += by;
                let v = value(&at);
                at[i] -= by;
                v
            };
            let want = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!((f64::from(got) - want).abs() < 1e-5, "{i}: {got} {want}");
        }
    }

    /// Descent on a constant h with one step in ten at an end: the probability goes to a tenth,
    /// whatever ends count.
    #[test]
    fn counting_ends_more_often_leaves_their_probability_calibrated() {
        for w in [1.0, 20.0] {
            let loss = LossConfig {
                done_positive_weight: w,
                ..LossConfig::default()
            };
            let mut bias = 0.0f32;
            for _ in 0..2000 {
                let mut heads =
                    LoadedHeads::load(&loss, &params(&[0.0, 0.0, 0.0, 0.0, 0.0, bias]), 2).unwrap();
                (0..10).for_each(|i| {
                    heads.add(
                        &[0.0, 0.0],
                        0.0,
                        f32::from(u8::from(i == 0)),
                        0.1,
                        &mut [0.0; 2],
                    )
                });
                bias -= 0.5 * heads.gradients().value("done.bias")[0];
            }
            let p = 1.0 / (1.0 + (-bias).exp());
            assert!((p - 0.1).abs() < 1e-3, "{w}: {p}");
        }
    }
}
