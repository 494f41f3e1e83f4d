//! Long short-term memory (Hochreiter & Schmidhuber 1997), one layer, forward and backward
//! through time.
//!
//! ```text
//! [i f g o] = [x h] W + b          i, f, o: logistic, g: tanh   (the order of PyTorch's gates)
//! c' = f ∘ c + i ∘ g               h' = o ∘ tanh(c')
//! ```
//!
//! W is `[inputs + hidden, 4 hidden]`: PyTorch's `weight_ih`ᵀ on top of `weight_hh`ᵀ; b `[4
//! hidden]` is the sum of its two biases. x and h stand side by side in one row, so that a step is
//! one product, acting and training run the same arithmetic (equal bit for bit), and the gradient
//! of W over all steps is one product too.

use crate::activation::{sigmoid_inplace, tanh_inplace};
use crate::conv::add_columns;
use crate::gather::{Packed, Windows, gram, product};

/// An LSTM whose weights are packed for the kernels.
#[derive(Clone, Debug)]
pub struct Lstm {
    inputs: usize,
    hidden: usize,
    rows: Windows,
    gradient_rows: Windows,
    forward: Packed,
    backward: Packed,
}

/// Buffers of [`Lstm::step`], reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct StepScratch {
    joint: Vec<f32>,
    gates: Vec<f32>,
    tanh: Vec<f32>,
}

/// A run of [`Lstm::forward`]: what the backward pass needs, and the hidden states. Buffers are
/// reused from run to run.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    steps: usize,
    batch: usize,
    /// [x, h] of every step `[steps, batch, inputs + hidden]`.
    joint: Vec<f32>,
    /// Gates after their activations `[steps, batch, 4 hidden]`; after the backward pass, the
    /// gradients of their sums.
    gates: Vec<f32>,
    /// c' `[steps, batch, hidden]`.
    cells: Vec<f32>,
    /// tanh(c') `[steps, batch, hidden]`.
    tanh: Vec<f32>,
    /// h' `[steps, batch, hidden]`.
    hidden: Vec<f32>,
    /// [h, c] before the first step `[batch, 2 hidden]`.
    start: Vec<f32>,
    /// Gradients of h and c during the backward pass `[batch, hidden]`.
    gradients: [Vec<f32>; 2],
}

impl Tape {
    /// Hidden states after every step `[steps, batch, hidden]`.
    pub fn hidden(&self) -> &[f32] {
        &self.hidden
    }

    /// [h, c] after the last step `[batch, 2 hidden]`.
    pub fn last(&self) -> Vec<f32> {
        let n = self.hidden.len() / self.steps.max(1);
        let h = n / self.batch.max(1);
        let of = |v: &[f32], row: usize| v[v.len() - n + row * h..][..h].to_vec();
        (0..self.batch)
            .flat_map(|row| [of(&self.hidden, row), of(&self.cells, row)].concat())
            .collect()
    }
}

impl Lstm {
    /// An LSTM whose weights are still to be loaded.
    pub fn new(inputs: usize, hidden: usize) -> Self {
        let (rows, gradient_rows) = (Windows::dense(inputs + hidden), Windows::dense(4 * hidden));
        Self {
            inputs,
            hidden,
            rows,
            gradient_rows,
            forward: Packed::default(),
            backward: Packed::default(),
        }
    }

    /// Length of an input.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of cells.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Takes in W and b for [`Lstm::step`] and [`Lstm::forward`].
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn load(&mut self, weight: &[f32], bias: &[f32]) {
        self.forward.pack(
            weight,
            self.inputs + self.hidden,
            4 * self.hidden,
            Some(bias),
        );
    }

    /// Takes in W for [`Lstm::backward`].
    ///
    /// # Panics
    /// If the length disagrees with the layer.
    pub fn load_backward(&mut self, weight: &[f32]) {
        self.backward.pack_transposed(
            &weight[self.inputs * 4 * self.hidden..],
            4 * self.hidden,
            self.hidden,
        );
    }

    /// One step of `rows` rows. `x` holds the parts of the input, each `[rows, its width]`, that
    /// stand side by side; `state` is `[rows, 2 hidden]`, [h, c] of each row. Nothing is allocated
    /// once `scratch` has grown; a row's result does not depend on the other rows.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn step(&self, rows: usize, x: &[&[f32]], state: &mut [f32], scratch: &mut StepScratch) {
        let (h, width) = (self.hidden, self.inputs + self.hidden);
        assert_eq!(state.len(), rows * 2 * h, "a state row is [h, c]");
        assert_eq!(
            x.iter().map(|part| part.len()).sum::<usize>(),
            rows * self.inputs,
            "inputs have the wrong size"
        );
        let StepScratch { joint, gates, tanh } = scratch;
        joint.resize(rows * width, 0.0);
        gates.resize(rows * 4 * h, 0.0);
        tanh.resize(h, 0.0);
        for (r, (joint, state)) in joint
            .chunks_exact_mut(width)
            .zip(state.chunks_exact(2 * h))
            .enumerate()
        {
            let mut at = 0;
            for part in x {
                let w = part.len() / rows;
                joint[at..at + w].copy_from_slice(&part[r * w..(r + 1) * w]);
                at += w;
            }
            joint[at..].copy_from_slice(&state[..h]);
        }
        product(joint, &self.rows, rows, &self.forward, false, gates);
        for (gates, state) in gates
            .chunks_exact_mut(4 * h)
            .zip(state.chunks_exact_mut(2 * h))
        {
            activate(h, gates);
            let (hidden, cells) = state.split_at_mut(h);
            advance(gates, cells, tanh, hidden);
        }
    }

    /// Runs `x` `[steps, batch, inputs]` from zero states into `tape`.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn forward(&self, x: &[f32], steps: usize, batch: usize, tape: &mut Tape) {
        self.forward_from(&[], x, steps, batch, tape);
    }

    /// The same from `start` `[batch, 2 hidden]`, [h, c] of each row; empty for zeros. The
    /// backward pass ends there.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn forward_from(
        &self,
        start: &[f32],
        x: &[f32],
        steps: usize,
        batch: usize,
        tape: &mut Tape,
    ) {
        let (h, width) = (self.hidden, self.inputs + self.hidden);
        assert!(
            start.is_empty() || start.len() == batch * 2 * h,
            "a state row is [h, c]"
        );
        tape.start.clear();
        tape.start.extend_from_slice(start);
        tape.start.resize(batch * 2 * h, 0.0);
        assert_eq!(
            x.len(),
            steps * batch * self.inputs,
            "inputs have the wrong size"
        );
        (tape.steps, tape.batch) = (steps, batch);
        tape.joint.resize(steps * batch * width, 0.0);
        tape.gates.resize(steps * batch * 4 * h, 0.0);
        for buffer in [&mut tape.cells, &mut tape.tanh, &mut tape.hidden] {
            buffer.resize(steps * batch * h, 0.0);
        }
        for t in 0..steps {
            let (done, now) = (t * batch * h, t * batch * h..(t + 1) * batch * h);
            let joint = &mut tape.joint[t * batch * width..(t + 1) * batch * width];
            for (r, row) in joint.chunks_exact_mut(width).enumerate() {
                let at = (t * batch + r) * self.inputs;
                let (input, hidden) = row.split_at_mut(self.inputs);
                input.copy_from_slice(&x[at..at + self.inputs]);
                match t {
                    0 => hidden.copy_from_slice(&tape.start[r * 2 * h..][..h]),
                    _ => hidden.copy_from_slice(&tape.hidden[done - (batch - r) * h..][..h]),
                }
            }
            let gates = &mut tape.gates[t * batch * 4 * h..(t + 1) * batch * 4 * h];
            product(joint, &self.rows, batch, &self.forward, false, gates);
            let (before, cells) = tape.cells.split_at_mut(done);
            let cells = &mut cells[..batch * h];
            match t {
                0 => cells
                    .chunks_exact_mut(h)
                    .zip(tape.start.chunks_exact(2 * h))
                    .for_each(|(c, start)| c.copy_from_slice(&start[h..])),
                _ => cells.copy_from_slice(&before[done - batch * h..]),
            }
            let rows = cells
                .chunks_exact_mut(h)
                .zip(tape.tanh[now.clone()].chunks_exact_mut(h))
                .zip(tape.hidden[now].chunks_exact_mut(h));
            for (gates, ((cells, tanh), hidden)) in gates.chunks_exact_mut(4 * h).zip(rows) {
                activate(h, gates);
                advance(gates, cells, tanh, hidden);
            }
        }
    }

    /// Backward through time: adds the gradients of W and b for a loss whose gradient by every
    /// hidden state is `d_hidden` `[steps, batch, hidden]`. The gates in `tape` are overwritten.
    ///
    /// # Panics
    /// If a length disagrees with the layer or the run.
    pub fn backward(
        &self,
        tape: &mut Tape,
        d_hidden: &[f32],
        weight: &mut [f32],
        bias: &mut [f32],
    ) {
        let (h, g, steps, batch) = (self.hidden, 4 * self.hidden, tape.steps, tape.batch);
        assert_eq!(
            d_hidden.len(),
            steps * batch * h,
            "gradient of the hidden states has the wrong size"
        );
        let [dh, dc] = &mut tape.gradients;
        for buffer in [&mut *dh, &mut *dc] {
            buffer.clear();
            buffer.resize(batch * h, 0.0);
        }
        for t in (0..steps).rev() {
            for r in 0..batch {
                let (at, row) = ((t * batch + r) * h, r * h..(r + 1) * h);
                let before = if t == 0 {
                    &tape.start[(2 * r + 1) * h..][..h]
                } else {
                    &tape.cells[at - batch * h..][..h]
                };
                let gates = &mut tape.gates[4 * at..4 * at + g];
                row_backward(
                    gates,
                    before,
                    &tape.tanh[at..at + h],
                    &d_hidden[at..at + h],
                    &dh[row.clone()],
                    &mut dc[row],
                );
            }
            if t > 0 {
                product(
                    &tape.gates[t * batch * g..(t + 1) * batch * g],
                    &self.gradient_rows,
                    batch,
                    &self.backward,
                    false,
                    dh,
                );
            }
        }
        gram(
            &tape.joint,
            &self.rows,
            steps * batch,
            &tape.gates,
            g,
            weight,
        );
        add_columns(&tape.gates, bias);
    }
}

/// Sums of one row `[i f g o]` to gates.
fn activate(h: usize, gates: &mut [f32]) {
    sigmoid_inplace(&mut gates[..2 * h]);
    tanh_inplace(&mut gates[2 * h..3 * h]);
    sigmoid_inplace(&mut gates[3 * h..]);
}

/// c to c', and h', of one row; all slices have the length of `cells`, `gates` four times that.
fn advance(gates: &[f32], cells: &mut [f32], tanh: &mut [f32], hidden: &mut [f32]) {
    let n = cells.len();
    let (i, rest) = gates.split_at(n);
    let (f, rest) = rest.split_at(n);
    let (g, o) = rest.split_at(n);
    for ((c, f), (i, g)) in cells.iter_mut().zip(f).zip(i.iter().zip(g)) {
        *c = f * *c + i * g;
    }
    tanh.copy_from_slice(cells);
    tanh_inplace(tanh);
    for ((y, o), t) in hidden.iter_mut().zip(o).zip(tanh.iter()) {
        *y = o * t;
    }
}

/// One row, one step backward: the gates become the gradients of their sums, `dc` that of the c
/// before.
fn row_backward(
    gates: &mut [f32],
    before: &[f32],
    tanh: &[f32],
    d_hidden: &[f32],
    dh: &[f32],
    dc: &mut [f32],
) {
    let n = before.len();
    let (i, rest) = gates.split_at_mut(n);
    let (f, rest) = rest.split_at_mut(n);
    let (g, o) = rest.split_at_mut(n);
    let (tanh, d_hidden, dh, dc, o) = (
        &tanh[..n],
        &d_hidden[..n],
        &dh[..n],
        &mut dc[..n],
        &mut o[..n],
    );
    for j in 0..n {
        let (gi, gf, gg, go, tc) = (i[j], f[j], g[j], o[j], tanh[j]);
        let d_h = d_hidden[j] + dh[j];
        let d_c = dc[j] + d_h * go * (1.0 - tc * tc);
        i[j] = d_c * gg * gi * (1.0 - gi);
        f[j] = d_c * before[j] * gf * (1.0 - gf);
        g[j] = d_c * gi * (1.0 - gg * gg);
        o[j] = d_h * tc * go * (1.0 - go);
        dc[j] = d_c * gf;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{fill_uniform, stream};

    fn draw(name: &str, n: usize) -> Vec<f32> {
        let mut v = vec![0.0f32; n];
        fill_uniform(&mut stream(1, name, &[]), 0.8, &mut v);
        v
    }

    /// The loss Σ dₜ · hₜ in f64, from the equations.
    fn reference(
        [inputs, h, steps, batch]: [usize; 4],
        w: &[f64],
        bias: &[f64],
        x: &[f32],
        d: &[f32],
    ) -> f64 {
        let logistic = |v: f64| 1.0 / (1.0 + (-v).exp());
        let mut loss = 0.0;
        for b in 0..batch {
            let (mut hs, mut cs) = (vec![0.0; h], vec![0.0; h]);
            for t in 0..steps {
                let row = (t * batch + b) * inputs;
                let joint: Vec<f64> = x[row..row + inputs]
                    .iter()
                    .map(|&v| f64::from(v))
                    .chain(hs.iter().copied())
                    .collect();
                let sum = |k: usize| {
                    bias[k]
                        + joint
                            .iter()
                            .enumerate()
                            .map(|(i, v)| v * w[i * 4 * h + k])
                            .sum::<f64>()
                };
                for j in 0..h {
                    cs[j] = logistic(sum(h + j)) * cs[j] + logistic(sum(j)) * sum(2 * h + j).tanh();
                    hs[j] = logistic(sum(3 * h + j)) * cs[j].tanh();
                    loss += f64::from(d[(t * batch + b) * h + j]) * hs[j];
                }
            }
        }
        loss
    }

    #[test]
    fn forward_and_gradients_equal_the_equations_in_f64() {
        let shape @ [inputs, h, steps, batch] = [3, 5, 6, 3];
        let (weight, bias) = (draw("w", (inputs + h) * 4 * h), draw("b", 4 * h));
        let (x, d) = (
            draw("x", steps * batch * inputs),
            draw("d", steps * batch * h),
        );
        let mut lstm = Lstm::new(inputs, h);
        lstm.load(&weight, &bias);
        lstm.load_backward(&weight);
        let mut tape = Tape::default();
        // Twice, the first time longer: old contents of the buffers must not matter.
        lstm.forward(
            &draw("y", (steps + 1) * batch * inputs),
            steps + 1,
            batch,
            &mut tape,
        );
        lstm.forward(&x, steps, batch, &mut tape);
        let loss: f64 = tape
            .hidden()
            .iter()
            .zip(&d)
            .map(|(&h, &d)| f64::from(h) * f64::from(d))
            .sum();
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (mut w64, mut b64) = (wide(&weight), wide(&bias));
        assert!((loss - reference(shape, &w64, &b64, &x, &d)).abs() < 1e-5);
        let (mut gw, mut gb) = (vec![0.0; weight.len()], vec![0.0; bias.len()]);
        lstm.backward(&mut tape, &d, &mut gw, &mut gb);
        for (i, &g) in gw.iter().chain(&gb).enumerate() {
            let mut loss_at = |delta: f64| {
                let slot = if i < gw.len() {
                    &mut w64[i]
                } else {
                    &mut b64[i - gw.len()]
                };
                *slot += delta;
                let loss = reference(shape, &w64, &b64, &x, &d);
                let slot = if i < gw.len() {
                    &mut w64[i]
                } else {
                    &mut b64[i - gw.len()]
                };
                *slot -= delta;
                loss
            };
            let want = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
            assert!(
                (f64::from(g) - want).abs() < 1e-4 * want.abs().max(0.1),
                "entry {i}: {g} {want}"
            );
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_batch_and_steps_equal_the_run() {
        let (inputs, h) = (7, 20);
        let (weight, bias) = (draw("w", (inputs + h) * 4 * h), draw("b", 4 * h));
        let mut lstm = Lstm::new(inputs, h);
        lstm.load(&weight, &bias);
        let (z, a, steps) = (draw("z", 17 * 5), draw("a", 17 * 2), 4);
        let mut scratch = StepScratch::default();
        // Every row by itself is the reference.
        let alone: Vec<Vec<f32>> = (0..17)
            .map(|r| {
                let mut state = vec![0.0; 2 * h];
                (0..steps).for_each(|_| {
                    lstm.step(
                        1,
                        &[&z[r * 5..][..5], &a[r * 2..][..2]],
                        &mut state,
                        &mut scratch,
                    )
                });
                state
            })
            .collect();
        for rows in [17, 2, 16, 3] {
            let mut state = vec![0.0; rows * 2 * h];
            (0..steps).for_each(|_| {
                lstm.step(
                    rows,
                    &[&z[..rows * 5], &a[..rows * 2]],
                    &mut state,
                    &mut scratch,
                )
            });
            assert_eq!(state, alone[..rows].concat(), "batch of {rows}");
        }
        let x: Vec<f32> = (0..17)
            .flat_map(|r| [&z[r * 5..][..5], &a[r * 2..][..2]].concat())
            .collect();
        let mut tape = Tape::default();
        lstm.forward(&x.repeat(steps), steps, 17, &mut tape);
        let last: Vec<f32> = alone.iter().flat_map(|s| s[..h].to_vec()).collect();
        assert_eq!(tape.hidden()[(steps - 1) * 17 * h..], last);
    }
}
