//! The two heads beside the density: reward and end of the step, both linear in h (equations 16 and
//! 17); the reward's may have a hidden layer that sees the next latent too. An auxiliary head of something
//! that is measured may stand beside them in training.

use burn::tensor::{Tensor, activation::relu};
use frmdn_engine::{Params, linear::dot, params::ParamError};

use super::{LossConfig, MemoryConfig, Outcomes, Prediction};
use crate::recurrent::{Heads, Rows};

/// Most units of the reward's hidden layer.
pub(super) const MOST_UNITS: usize = 256;

/// The heads of a world model on a recurrent density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorldHeads {
    /// The weights of their losses.
    pub loss: LossConfig,
    /// Units of the reward's hidden layer ([`MemoryConfig::reward_hidden`]).
    pub reward_hidden: usize,
}

impl WorldHeads {
    /// Those of a memory.
    pub fn of(config: &MemoryConfig) -> Self {
        Self {
            loss: config.loss,
            reward_hidden: config.reward_hidden,
        }
    }
}

impl Heads for WorldHeads {
    type Targets = Outcomes;

    fn tensors(&self, hidden: usize, dim: usize) -> Vec<(String, Vec<usize>)> {
        let (units, mut all) = (self.reward_hidden, Vec::new());
        if units > 0 {
            all.push(("reward.hidden.weight".into(), vec![hidden + dim, units]));
            all.push(("reward.hidden.bias".into(), vec![units]));
        }
        let of_reward = if units > 0 { units } else { hidden };
        let auxiliary = self.has_auxiliary().then_some(("auxiliary", hidden));
        for (head, n) in [("reward", of_reward), ("done", hidden)]
            .into_iter()
            .chain(auxiliary)
        {
            all.push((format!("{head}.weight"), vec![n, 1]));
            all.push((format!("{head}.bias"), vec![1]));
        }
        all
    }

    fn losses(&self) -> usize {
        2 + usize::from(self.has_auxiliary())
    }

    fn add(&self, params: &Params, rows: &mut Rows<'_, Outcomes>) -> (Vec<f64>, Params) {
        let n = rows.mask.len();
        let (h, d) = (rows.hidden.len() / n, rows.next.len() / n);
        let mut heads = LoadedHeads::load(self, params, h, d)
            .expect("the trainer's weights have the model's shapes");
        for row in (0..n).filter(|&row| rows.mask[row] > 0.0) {
            let at = row * h..(row + 1) * h;
            heads.add(
                &Seen {
                    hidden: &rows.hidden[at.clone()],
                    next: &rows.next[row * d..(row + 1) * d],
                },
                Came {
                    reward: rows.targets.reward[row],
                    done: rows.targets.done[row],
                    measured: rows.targets.measured[row],
                },
                f64::from(rows.weights[row]),
                &mut rows.d_hidden[at],
            );
        }
        let mut sums = vec![heads.squares, heads.cross_entropy];
        if self.has_auxiliary() {
            sums.push(heads.auxiliary_squares);
        }
        (sums, heads.gradients())
    }

    fn define(
        &self,
        tensors: &[Tensor<2>],
        hidden: Tensor<2>,
        next: Tensor<2>,
        targets: &Outcomes,
    ) -> (Tensor<2>, Vec<Tensor<2>>) {
        let (loss, device) = (self.loss, hidden.device());
        let column = |v: &[f32]| frmdn_density::constant(v, v.len(), 1, &device);
        let (reward, done) = (column(&targets.reward), column(&targets.done));
        let (predicted, logit) = self.values(tensors, hidden.clone(), next);
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
        let mut losses = vec![squares, cross_entropy];
        if !self.has_auxiliary() {
            return (total, losses);
        }
        let [weight, bias] = &tensors[tensors.len() - 2..] else {
            unreachable!("a slice of two")
        };
        let error = hidden.matmul(weight.clone()) + bias.clone() - column(&targets.measured);
        losses.push(error.clone() * error.clone());
        (
            total + error.clone() * error * loss.auxiliary_weight,
            losses,
        )
    }
}

impl WorldHeads {
    fn has_auxiliary(&self) -> bool {
        self.loss.auxiliary_weight > 0.0
    }

    /// Reward, and the logit of the end (equation 16), of each row `[rows, 1]` of `hidden`, which is
    /// followed by the latents `next`, from the heads' tensors.
    pub(super) fn values(
        &self,
        tensors: &[Tensor<2>],
        hidden: Tensor<2>,
        next: Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>) {
        let linear =
            |at: usize, x: Tensor<2>| x.matmul(tensors[at].clone()) + tensors[at + 1].clone();
        match self.reward_hidden {
            0 => (linear(0, hidden.clone()), linear(2, hidden)),
            _ => {
                let seen = Tensor::cat(vec![hidden.clone(), next], 1);
                (linear(2, relu(linear(0, seen))), linear(4, hidden))
            }
        }
    }
}

/// What the heads see of a step.
pub(super) struct Seen<'a> {
    /// h after it.
    pub hidden: &'a [f32],
    /// The latent that followed.
    pub next: &'a [f32],
}

/// What came of a step.
#[derive(Clone, Copy)]
pub(super) struct Came {
    pub reward: f32,
    /// 1 where the episode ended, else 0.
    pub done: f32,
    /// What was measured, in standard deviations from its mean.
    pub measured: f32,
}

/// All heads, with the sums of their losses and gradients.
pub(super) struct LoadedHeads {
    loss: LossConfig,
    /// A hidden layer before the reward's head.
    units: Option<Units>,
    reward: Head,
    done: Head,
    auxiliary: Option<Head>,
    /// Σ (r̂ − r)².
    pub squares: f64,
    /// Σ of the end's cross-entropies, every step counting once.
    pub cross_entropy: f64,
    /// Σ of the auxiliary head's squared errors.
    pub auxiliary_squares: f64,
}

/// max(0, W [h, z′] + b).
struct Units {
    /// W, a row for each unit `[units, hidden + dim]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    gradient: Vec<f32>,
    bias_gradient: Vec<f32>,
}

impl Units {
    fn load(params: &Params, width: usize, units: usize) -> Result<Self, ParamError> {
        let by_inputs = params.get("reward.hidden.weight", &[width, units])?;
        let bias = params.get("reward.hidden.bias", &[units])?.to_vec();
        let mut weight = vec![0.0; width * units];
        for (i, row) in by_inputs.chunks_exact(units).enumerate() {
            for (unit, value) in row.iter().enumerate() {
                weight[unit * width + i] = *value;
            }
        }
        Ok(Self {
            gradient: vec![0.0; weight.len()],
            bias_gradient: vec![0.0; units],
            weight,
            bias,
        })
    }

    /// The units' values, in the first places.
    fn values(&self, seen: &Seen<'_>) -> [f32; MOST_UNITS] {
        let (h, width) = (seen.hidden.len(), seen.hidden.len() + seen.next.len());
        let mut out = [0.0; MOST_UNITS];
        let rows = self.weight.chunks_exact(width).zip(&self.bias);
        for (out, (row, bias)) in out.iter_mut().zip(rows) {
            *out = (dot(&row[..h], seen.hidden) + dot(&row[h..], seen.next) + bias).max(0.0);
        }
        out
    }

    /// Adds the gradients of a loss whose derivatives by the units `values` are `d`.
    fn backward(&mut self, seen: &Seen<'_>, values: &[f32], d: &[f32], d_hidden: &mut [f32]) {
        let (h, width) = (seen.hidden.len(), seen.hidden.len() + seen.next.len());
        for (unit, (value, d)) in values.iter().zip(d).enumerate() {
            if *value <= 0.0 {
                continue;
            }
            self.bias_gradient[unit] += d;
            let of_unit = unit * width..(unit + 1) * width;
            let gradient = &mut self.gradient[of_unit.clone()];
            for (g, x) in gradient[..h].iter_mut().zip(seen.hidden) {
                *g += d * x;
            }
            for (g, x) in gradient[h..].iter_mut().zip(seen.next) {
                *g += d * x;
            }
            for (dh, w) in d_hidden.iter_mut().zip(&self.weight[of_unit]) {
                *dh += d * w;
            }
        }
    }

    /// The gradient of W as its tensor has it.
    fn by_inputs(&self) -> Vec<f32> {
        let units = self.bias.len();
        let width = self.weight.len() / units;
        let mut out = vec![0.0; self.weight.len()];
        for (unit, row) in self.gradient.chunks_exact(width).enumerate() {
            for (i, value) in row.iter().enumerate() {
                out[i * units + unit] = *value;
            }
        }
        out
    }
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
    /// The heads of `params`, for `hidden` cells and `dim` values of a latent.
    pub fn load(
        heads: &WorldHeads,
        params: &Params,
        hidden: usize,
        dim: usize,
    ) -> Result<Self, ParamError> {
        let (units, of_reward) = match heads.reward_hidden {
            0 => (None, hidden),
            n => (Some(Units::load(params, hidden + dim, n)?), n),
        };
        Ok(Self {
            loss: heads.loss,
            units,
            reward: Head::load(params, "reward", of_reward)?,
            done: Head::load(params, "done", hidden)?,
            auxiliary: match heads.has_auxiliary() {
                true => Some(Head::load(params, "auxiliary", hidden)?),
                false => None,
            },
            squares: 0.0,
            cross_entropy: 0.0,
            auxiliary_squares: 0.0,
        })
    }

    /// Reward in the environment's unit.
    fn reward(&self, seen: &Seen<'_>) -> f32 {
        match &self.units {
            None => self.reward.value(seen.hidden),
            Some(units) => {
                let values = units.values(seen);
                self.reward.value(&values[..self.reward.weight.len()])
            }
        }
    }

    /// Reward in the environment's unit, and the logit of the end, of a step whose h is followed by
    /// the latent `next`.
    pub fn predict(&self, hidden: &[f32], next: &[f32]) -> (f64, f64) {
        let reward = self.reward(&Seen { hidden, next });
        (f64::from(reward), f64::from(self.done.value(hidden)))
    }

    /// Reward and probability of the end.
    pub fn predict_step(&self, hidden: &[f32], next: &[f32]) -> Prediction {
        Prediction {
            reward: self.reward(&Seen { hidden, next }),
            done: 1.0 / (1.0 + libm::expf(-self.done.value(hidden))),
        }
    }

    /// Adds one step of weight `weight` in the loss, and its gradient by h to `d_hidden`.
    ///
    /// The loss of the end (equation 17) is that of the logit l + log w with positive steps counted
    /// w times: its minimum is at the true log odds l, so that counting them more often leaves the
    /// prediction calibrated.
    pub fn add(&mut self, seen: &Seen<'_>, came: Came, weight: f64, d_hidden: &mut [f32]) {
        let h = seen.hidden;
        let (predicted, logit) = self.predict(h, seen.next);
        let (error, done) = (predicted - f64::from(came.reward), f64::from(came.done));
        self.squares += error * error;
        self.cross_entropy += cross_entropy(logit, done);
        let LossConfig {
            reward_scale,
            done_weight,
            done_positive_weight: w,
            ..
        } = self.loss;
        let p = 1.0 / (1.0 + libm::exp(-(logit + libm::log(w))));
        let d_reward = 2.0 * weight * reward_scale * reward_scale * error;
        match &mut self.units {
            None => self.reward.backward(h, d_reward, d_hidden),
            Some(units) => {
                let n = self.reward.weight.len();
                let (values, mut d) = (units.values(seen), [0.0; MOST_UNITS]);
                self.reward.backward(&values[..n], d_reward, &mut d[..n]);
                units.backward(seen, &values[..n], &d[..n], d_hidden);
            }
        }
        self.done.backward(
            h,
            weight * done_weight * (w * done * (p - 1.0) + (1.0 - done) * p),
            d_hidden,
        );
        if let Some(head) = &mut self.auxiliary {
            let error = f64::from(head.value(h)) - f64::from(came.measured);
            self.auxiliary_squares += error * error;
            let d = 2.0 * weight * self.loss.auxiliary_weight * error;
            head.backward(h, d, d_hidden);
        }
    }

    /// The gradients, in the parameters' order.
    pub fn gradients(self) -> Params {
        let mut params = Params::default();
        if let Some(units) = &self.units {
            let n = units.bias.len();
            let (weight, width) = (units.by_inputs(), units.weight.len() / n);
            params.push("reward.hidden.weight", &[width, n], weight);
            params.push("reward.hidden.bias", &[n], units.bias_gradient.clone());
        }
        let auxiliary = self.auxiliary.map(|head| ("auxiliary", head));
        for (name, head) in [("reward", self.reward), ("done", self.done)]
            .into_iter()
            .chain(auxiliary)
        {
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
        if let [_, _, _, _, _, _, a, b, c] = *weights {
            p.push("auxiliary.weight", &[2, 1], vec![a, b]);
            p.push("auxiliary.bias", &[1], vec![c]);
        }
        p
    }

    fn linear(loss: LossConfig, params: &Params) -> LoadedHeads {
        let heads = WorldHeads {
            loss,
            reward_hidden: 0,
        };
        LoadedHeads::load(&heads, params, 2, 1).unwrap()
    }

    fn seen(hidden: &[f32]) -> Seen<'_> {
        Seen { hidden, next: &[] }
    }

    /// Three units on [h, z′]: values and gradients of all tensors and of h by the definition, one of
    /// the units off.
    #[test]
    fn a_hidden_layer_sees_what_follows_and_has_the_gradients_of_finite_differences() {
        let heads = WorldHeads {
            loss: LossConfig {
                reward_scale: 0.5,
                ..LossConfig::default()
            },
            reward_hidden: 3,
        };
        let start: Vec<f32> = (0..21)
            .map(|i| ((i * 37 % 17) as f32 - 8.0) / 9.0)
            .collect();
        let (h, next, reward) = ([0.4f32, -0.7], [1.3f32], 2.0f32);
        let load = |v: &[f32]| {
            let mut p = Params::default();
            p.push("reward.hidden.weight", &[3, 3], v[..9].to_vec());
            p.push("reward.hidden.bias", &[3], v[9..12].to_vec());
            p.push("reward.weight", &[3, 1], v[12..15].to_vec());
            p.push("reward.bias", &[1], v[15..16].to_vec());
            p.push("done.weight", &[2, 1], v[16..18].to_vec());
            p.push("done.bias", &[1], v[18..19].to_vec());
            LoadedHeads::load(&heads, &p, 2, 1).unwrap()
        };
        // The reward's loss from its definition, at the tensors (16) and h.
        let predicted = |v: &[f64], h: &[f64]| -> f64 {
            let x = [h[0], h[1], f64::from(next[0])];
            let unit = |j: usize| {
                let sum: f64 = (0..3).map(|i| v[i * 3 + j] * x[i]).sum();
                (sum + v[9 + j]).max(0.0)
            };
            (0..3).map(|j| v[12 + j] * unit(j)).sum::<f64>() + v[15]
        };
        let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let loaded = load(&start);
        let got = loaded.predict(&h, &next).0;
        assert!((got - predicted(&wide(&start), &wide(&h))).abs() < 1e-6);
        assert_ne!(got, loaded.predict(&h, &[0.0]).0);
        let off = loaded.units.as_ref().unwrap().values(&Seen {
            hidden: &h,
            next: &next,
        });
        assert!(
            off[..3].contains(&0.0) && off[..3].iter().any(|v| *v > 0.0),
            "{:?}",
            &off[..3]
        );
        let (mut loaded, mut d_hidden) = (load(&start), [0.0; 2]);
        let step = Seen {
            hidden: &h,
            next: &next,
        };
        // Without the end's part, whose gradients are those of the other test.
        loaded.loss.done_weight = 0.0;
        let came = Came {
            reward,
            done: 0.0,
            measured: 0.0,
        };
        loaded.add(&step, came, 1.0, &mut d_hidden);
        let got: Vec<f32> = loaded
            .gradients()
            .0
            .into_iter()
            .flat_map(|p| p.value)
            .collect();
        let loss = |v: &[f64], h: &[f64]| {
            0.25 * (predicted(v, h) - f64::from(reward)) * (predicted(v, h) - f64::from(reward))
        };
        for i in 0..18 {
            let shifted = |by: f64| {
                let (mut v, mut h) = (wide(&start), wide(&h));
                match i {
                    0..16 => v[i] += by,
                    _ => h[i - 16] += by,
                }
                loss(&v, &h)
            };
            let want = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            let got = if i < 16 { got[i] } else { d_hidden[i - 16] };
            assert!((f64::from(got) - want).abs() < 1e-4, "{i}: {got} {want}");
        }
    }

    #[test]
    fn gradients_are_finite_differences() {
        let loss = LossConfig {
            reward_scale: 0.3,
            done_weight: 0.7,
            done_positive_weight: 5.0,
            auxiliary_weight: 0.9,
            ..LossConfig::default()
        };
        let base = [0.3f32, -0.2, 0.1, 0.5, 0.4, -1.0, 0.7, -0.3, 0.2, 0.8, -0.6];
        let steps = [(2.0f32, 1.0f32, 0.25f64), (-0.5, 0.0, 0.5)];
        const MEASURED: f32 = -1.3;
        // The loss from its definition, at weights (9) and h (2).
        let value = |at: &[f64]| -> f64 {
            let (h, dot) = (&at[9..], |w: &[f64], b: f64| {
                w[0] * at[9] + w[1] * at[10] + b
            });
            assert_eq!(h.len(), 2);
            let (r, l) = (dot(&at[..2], at[2]), dot(&at[3..5], at[5]) + 5f64.ln());
            let auxiliary = 0.9 * (dot(&at[6..8], at[8]) - f64::from(MEASURED)).powi(2);
            let one = |(reward, done, weight): (f32, f32, f64)| {
                let end = if done > 0.0 {
                    5.0 * (1.0 + (-l).exp()).ln()
                } else {
                    (1.0 + l.exp()).ln()
                };
                weight * ((0.3 * (r - f64::from(reward))).powi(2) + 0.7 * end + auxiliary)
            };
            steps.into_iter().map(one).sum()
        };
        let mut heads = linear(loss, &params(&base[..9]));
        let mut d_hidden = [0.0; 2];
        steps.into_iter().for_each(|(reward, done, weight)| {
            let came = Came {
                reward,
                done,
                measured: MEASURED,
            };
            heads.add(&seen(&base[9..]), came, weight, &mut d_hidden)
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
                let mut heads = linear(loss, &params(&[0.0, 0.0, 0.0, 0.0, 0.0, bias]));
                (0..10).for_each(|i| {
                    let came = Came {
                        reward: 0.0,
                        done: f32::from(u8::from(i == 0)),
                        measured: 0.0,
                    };
                    heads.add(&seen(&[0.0, 0.0]), came, 0.1, &mut [0.0; 2])
                });
                bias -= 0.5 * heads.gradients().value("done.bias")[0];
            }
            let p = 1.0 / (1.0 + (-bias).exp());
            assert!((p - 0.1).abs() < 1e-3, "{w}: {p}");
        }
    }
}
