//! Long short-term memory (Hochreiter & Schmidhuber 1997; gates in PyTorch's order i, f, g, o), one layer:
//!
//! ```text
//! [i f g o] = x Wx + h Wh + b      i, f, o: logistic, g: tanh
//! c' = f c + i g                   h' = o tanh(c')
//! ```

use crate::{
    activation::{sigmoid_inplace, tanh_inplace},
    matmul::{Mat, matmul},
};

/// Views of the weights.
#[derive(Clone, Copy, Debug)]
pub struct Lstm<'a> {
    /// Length of an input.
    pub inputs: usize,
    /// Cells H.
    pub hidden: usize,
    /// `[inputs, 4 H]`.
    pub weight_input: &'a [f32],
    /// `[H, 4 H]`.
    pub weight_hidden: &'a [f32],
    /// `[4 H]`.
    pub bias: &'a [f32],
}

/// What the way back needs of the way forward.
#[derive(Clone, Debug)]
pub struct Tape {
    /// Gates after their activations `[steps, batch, 4 H]`.
    gates: Vec<f32>,
    /// Cells c' `[steps, batch, H]`.
    cells: Vec<f32>,
    /// Hidden states h' `[steps, batch, H]`.
    pub hidden: Vec<f32>,
}

/// Gradients of the weights, in their layout.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Of [`Lstm::weight_input`].
    pub weight_input: Vec<f32>,
    /// Of [`Lstm::weight_hidden`].
    pub weight_hidden: Vec<f32>,
    /// Of [`Lstm::bias`].
    pub bias: Vec<f32>,
}

/// Gates from their sums, in place, and the new cells and hidden states of one step.
///
/// `gates` is `[batch, 4 H]`, `before`, `cells` and `hidden` `[batch, H]`; `before` is the old c, none for zeros.
pub fn cell(h: usize, gates: &mut [f32], before: Option<&[f32]>, cells: &mut [f32], hidden: &mut [f32]) {
    for (row, (gates, (cells, hidden))) in
        gates.chunks_exact_mut(4 * h).zip(cells.chunks_exact_mut(h).zip(hidden.chunks_exact_mut(h))).enumerate()
    {
        let (input_forget, rest) = gates.split_at_mut(2 * h);
        let (candidate, output) = rest.split_at_mut(h);
        sigmoid_inplace(input_forget);
        tanh_inplace(candidate);
        sigmoid_inplace(output);
        let (input, forget) = input_forget.split_at(h);
        match before {
            Some(before) => {
                let before = &before[row * h..(row + 1) * h];
                for (j, c) in cells.iter_mut().enumerate() {
                    *c = forget[j] * before[j] + input[j] * candidate[j];
                }
            }
            None => {
                for (j, c) in cells.iter_mut().enumerate() {
                    *c = input[j] * candidate[j];
                }
            }
        }
        hidden.copy_from_slice(cells);
        tanh_inplace(hidden);
        for (y, o) in hidden.iter_mut().zip(output.iter()) {
            *y *= o;
        }
    }
}

impl Lstm<'_> {
    /// Runs `x` `[steps, batch, inputs]` from a zero state.
    pub fn forward(&self, x: &[f32], steps: usize, batch: usize) -> Tape {
        let (h, g) = (self.hidden, 4 * self.hidden);
        let mut gates: Vec<f32> = self.bias.repeat(steps * batch);
        // One product for the inputs of all steps.
        matmul(1.0, Mat::new(x, steps * batch, self.inputs), Mat::new(self.weight_input, self.inputs, g), 1.0, &mut gates);
        let mut cells = vec![0.0; steps * batch * h];
        let mut hidden = vec![0.0; steps * batch * h];
        for t in 0..steps {
            let now = &mut gates[t * batch * g..(t + 1) * batch * g];
            let (c_before, c_now) = cells.split_at_mut(t * batch * h);
            let (h_before, h_now) = hidden.split_at_mut(t * batch * h);
            let last = t.checked_sub(1).map(|t| t * batch * h);
            if let Some(at) = last {
                matmul(1.0, Mat::new(&h_before[at..], batch, h), Mat::new(self.weight_hidden, h, g), 1.0, now);
            }
            cell(h, now, last.map(|at| &c_before[at..]), &mut c_now[..batch * h], &mut h_now[..batch * h]);
        }
        Tape { gates, cells, hidden }
    }

    /// Back through time: `d_hidden` is the loss's gradient by every hidden state `[steps, batch, H]`.
    pub fn backward(&self, x: &[f32], tape: &Tape, d_hidden: &[f32], steps: usize, batch: usize) -> Gradients {
        let (h, g) = (self.hidden, 4 * self.hidden);
        let mut d_gates = vec![0.0; steps * batch * g];
        let mut dh = vec![0.0; batch * h];
        let mut dc = vec![0.0; batch * h];
        let mut tanh_c = vec![0.0; batch * h];
        for t in (0..steps).rev() {
            let at = t * batch * h..(t + 1) * batch * h;
            for (a, b) in dh.iter_mut().zip(&d_hidden[at.clone()]) {
                *a += b;
            }
            tanh_c.copy_from_slice(&tape.cells[at.clone()]);
            tanh_inplace(&mut tanh_c);
            let before = t.checked_sub(1).map(|t| &tape.cells[t * batch * h..(t + 1) * batch * h]);
            let now = t * batch * g..(t + 1) * batch * g;
            let rows = tape.gates[now.clone()].chunks_exact(g).zip(d_gates[now.clone()].chunks_exact_mut(g)).enumerate();
            for (row, (gates, d)) in rows {
                let base = row * h;
                for j in 0..h {
                    let (i, f, c, o) = (gates[j], gates[h + j], gates[2 * h + j], gates[3 * h + j]);
                    let (t_c, d_h) = (tanh_c[base + j], dh[base + j]);
                    let d_c = dc[base + j] + d_h * o * (1.0 - t_c * t_c);
                    let old = before.map_or(0.0, |b| b[base + j]);
                    d[j] = d_c * c * i * (1.0 - i);
                    d[h + j] = d_c * old * f * (1.0 - f);
                    d[2 * h + j] = d_c * i * (1.0 - c * c);
                    d[3 * h + j] = d_h * t_c * o * (1.0 - o);
                    dc[base + j] = d_c * f;
                }
            }
            if t > 0 {
                matmul(1.0, Mat::new(&d_gates[now], batch, g), Mat::new(self.weight_hidden, h, g).t(), 0.0, &mut dh);
            }
        }
        let rows = steps * batch;
        let mut weight_input = vec![0.0; self.inputs * g];
        matmul(1.0, Mat::new(x, rows, self.inputs).t(), Mat::new(&d_gates, rows, g), 0.0, &mut weight_input);
        let mut weight_hidden = vec![0.0; h * g];
        if steps > 1 {
            // h of step t meets the gates of step t + 1; the first step's h is zero.
            let earlier = rows - batch;
            let left = Mat::new(&tape.hidden[..earlier * h], earlier, h).t();
            matmul(1.0, left, Mat::new(&d_gates[batch * g..], earlier, g), 0.0, &mut weight_hidden);
        }
        let mut bias = vec![0.0; g];
        for row in d_gates.chunks_exact(g) {
            for (b, d) in bias.iter_mut().zip(row) {
                *b += d;
            }
        }
        Gradients { weight_input, weight_hidden, bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{fill_uniform, stream};

    /// The loss Σ weightₜ · hₜ in f64, from the equations.
    fn reference(inputs: usize, h: usize, w: &[Vec<f64>; 3], x: &[f64], d: &[f64], steps: usize, batch: usize) -> f64 {
        let logistic = |v: f64| 1.0 / (1.0 + (-v).exp());
        let mut loss = 0.0;
        for b in 0..batch {
            let (mut hs, mut cs) = (vec![0.0; h], vec![0.0; h]);
            for t in 0..steps {
                let row = (t * batch + b) * inputs;
                let sum = |k: usize| {
                    let from_x: f64 = (0..inputs).map(|i| x[row + i] * w[0][i * 4 * h + k]).sum();
                    let from_h: f64 = (0..h).map(|j| hs[j] * w[1][j * 4 * h + k]).sum();
                    from_x + from_h + w[2][k]
                };
                let sums: Vec<f64> = (0..4 * h).map(sum).collect();
                for j in 0..h {
                    let (i, f, g, o) = (logistic(sums[j]), logistic(sums[h + j]), sums[2 * h + j].tanh(), logistic(sums[3 * h + j]));
                    cs[j] = f * cs[j] + i * g;
                    hs[j] = o * cs[j].tanh();
                    loss += d[(t * batch + b) * h + j] * hs[j];
                }
            }
        }
        loss
    }

    #[test]
    fn forward_and_gradients_equal_the_equations_in_f64() {
        let (inputs, h, steps, batch) = (3, 4, 5, 2);
        let mut rng = stream(1, "lstm-test", &[]);
        let mut draw = |n: usize| {
            let mut v = vec![0.0f32; n];
            fill_uniform(&mut rng, 0.8, &mut v);
            v
        };
        let w = [draw(inputs * 4 * h), draw(h * 4 * h), draw(4 * h)];
        let (x, d) = (draw(steps * batch * inputs), draw(steps * batch * h));
        let lstm = Lstm { inputs, hidden: h, weight_input: &w[0], weight_hidden: &w[1], bias: &w[2] };
        let tape = lstm.forward(&x, steps, batch);
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let mut w64 = [wide(&w[0]), wide(&w[1]), wide(&w[2])];
        let (x64, d64) = (wide(&x), wide(&d));
        let loss: f64 = tape.hidden.iter().zip(&d64).map(|(&h, d)| f64::from(h) * d).sum();
        assert!((loss - reference(inputs, h, &w64, &x64, &d64, steps, batch)).abs() < 1e-5);
        let got = lstm.backward(&x, &tape, &d, steps, batch);
        for (part, gradient) in [got.weight_input, got.weight_hidden, got.bias].into_iter().enumerate() {
            for (i, g) in gradient.into_iter().enumerate() {
                let old = w64[part][i];
                w64[part][i] = old + 1e-5;
                let up = reference(inputs, h, &w64, &x64, &d64, steps, batch);
                w64[part][i] = old - 1e-5;
                let down = reference(inputs, h, &w64, &x64, &d64, steps, batch);
                w64[part][i] = old;
                let want = (up - down) / 2e-5;
                assert!((f64::from(g) - want).abs() < 1e-4 * want.abs().max(0.1), "part {part} entry {i}: {g} {want}");
            }
        }
    }
}
