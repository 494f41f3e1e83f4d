//! Matrix and affine couplings forward and backward on the engine (equations 6 and 10): what a step of
//! training needs of the flow, several times as fast as by autodiff.

use std::ops::Range;

use frmdn_engine::{
    Params,
    activation::{exp_inplace, tanh_inplace},
    linear::Linear,
    params::ParamError,
};

use super::{matrix::TrainedMatrix, take_layer};
use crate::{DensityConfig, FlowKind, LEAK};

/// The flow of a density, with what its gradients need.
pub(super) struct TrainedFlow {
    dim: usize,
    matrix: Option<TrainedMatrix>,
    /// See [`DensityConfig::order`].
    order: Option<Vec<usize>>,
    couplings: Vec<Coupling>,
}

/// y_moved exp(s) + t, where s = bound · tanh(u); u and t are linear in the last of three hidden
/// layers, which see y_kept and, if the flow is conditional, the features.
struct Coupling {
    hidden: [TrainedLinear; 3],
    log_scale: TrainedLinear,
    shift: TrainedLinear,
    bound: Vec<f32>,
    /// Number of the bound in the list of tensors.
    bound_at: usize,
    kept: Range<usize>,
    moved: Range<usize>,
    /// Features that the conditioner sees.
    seen: usize,
}

/// A linear map with the numbers of its weight and bias in the list of tensors.
pub(super) struct TrainedLinear {
    /// As in the list of tensors, without `.weight`.
    pub name: String,
    /// Numbers of weight and bias.
    at: [usize; 2],
    /// Length of an output.
    pub outputs: usize,
    linear: Linear,
}

/// What [`TrainedFlow::backward`] needs of a run of [`TrainedFlow::forward`].
pub(super) struct Tape {
    /// What the matrix saw; empty without one.
    before: Vec<f32>,
    /// Coupling by coupling.
    steps: Vec<Step>,
}

struct Step {
    /// Inputs of the hidden layers and of the last ones: `[rows, their width]`.
    inputs: [Vec<f32>; 4],
    /// tanh(u) `[rows, moved]`.
    tanh: Vec<f32>,
    /// exp(s) `[rows, moved]`.
    scale: Vec<f32>,
    /// y_moved before it was moved `[rows, moved]`.
    before: Vec<f32>,
}

impl TrainedLinear {
    /// The map called `name` of `params`, whose tensors are those of `tensors` in that order.
    pub fn load(
        name: &str,
        tensors: &[(String, Vec<usize>)],
        params: &Params,
    ) -> Result<Self, ParamError> {
        let place = |part: &str| {
            let name = format!("{name}.{part}");
            let at = tensors.iter().position(|(n, _)| *n == name);
            at.ok_or(ParamError::Missing(name))
        };
        let at = [place("weight")?, place("bias")?];
        let [(weight_name, shape), (bias_name, bias_shape)] = at.map(|i| &tensors[i]);
        let values = params.get(weight_name, shape)?;
        let mut linear = Linear::new(shape[0], shape[1]);
        linear.load(values, params.get(bias_name, bias_shape)?);
        linear.load_backward(values);
        Ok(Self {
            name: name.to_owned(),
            at,
            outputs: shape[1],
            linear,
        })
    }

    /// Outputs for `x` `[rows, inputs]`.
    pub fn forward(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut y = vec![0.0; rows * self.outputs];
        self.linear.forward(x, rows, false, &mut y);
        y
    }

    /// Adds the gradients of weight and bias that follow from `dy` `[rows, outputs]`.
    pub fn backward_weights(&self, x: &[f32], dy: &[f32], rows: usize, gradients: &mut Params) {
        let [mut weight, mut bias] = self.at.map(|at| take_layer(gradients, at));
        self.linear
            .backward_weights(x, dy, rows, &mut weight, &mut bias);
        (gradients.0[self.at[0]].value, gradients.0[self.at[1]].value) = (weight, bias);
    }

    /// The gradient by the inputs, each of `width` values.
    pub fn backward_input(&self, dy: &[f32], rows: usize, width: usize) -> Vec<f32> {
        let mut dx = vec![0.0; rows * width];
        self.linear.backward_input(dy, rows, &mut dx);
        dx
    }
}

impl TrainedFlow {
    /// The flow of `config`, if it is a matrix, affine couplings, or both.
    pub fn load(
        config: &DensityConfig,
        features: usize,
        params: &Params,
    ) -> Result<Option<Self>, ParamError> {
        let Some(flow) = config.flow.filter(|flow| flow.kind != FlowKind::Spline) else {
            return Ok(None);
        };
        let count = config.couplings().map_or(0, |flow| flow.couplings);
        let tensors = config.tensors(features);
        let half = config.dim / 2;
        let load = |i: usize| {
            let part =
                |part: &str| TrainedLinear::load(&format!("flow.{i}.{part}"), &tensors, params);
            let bound = format!("flow.{i}.bound");
            let bound_at = tensors
                .iter()
                .position(|(name, _)| *name == bound)
                .ok_or_else(|| ParamError::Missing(bound.clone()))?;
            let (first, second) = (0..half, half..config.dim);
            let (kept, moved) = if i.is_multiple_of(2) {
                (first, second)
            } else {
                (second, first)
            };
            Ok(Coupling {
                hidden: [part("layer1")?, part("layer2")?, part("layer3")?],
                log_scale: part("log_scale")?,
                shift: part("shift")?,
                bound: params.get(&bound, &[moved.len()])?.to_vec(),
                bound_at,
                kept,
                moved,
                seen: if flow.conditional { features } else { 0 },
            })
        };
        Ok(Some(Self {
            dim: config.dim,
            matrix: TrainedMatrix::load(config, &tensors, params)?,
            order: config.order(),
            couplings: (0..count).map(load).collect::<Result<_, _>>()?,
        }))
    }

    /// Data to base, `y` `[rows, dim]` in place, with the features `h` of the rows. Returns log|det
    /// ∂f/∂y| of each row.
    pub fn forward(&self, h: &[f32], y: &mut [f32]) -> (Vec<f32>, Tape) {
        let mut log_det = vec![0.0; y.len() / self.dim];
        let mut before = Vec::new();
        if let Some(matrix) = &self.matrix {
            before.extend_from_slice(y);
            y.copy_from_slice(&matrix.forward(&before, &mut log_det));
        }
        if let Some(order) = &self.order {
            for row in y.chunks_exact_mut(self.dim) {
                let all = row.to_vec();
                for (value, &from) in row.iter_mut().zip(order) {
                    *value = all[from];
                }
            }
        }
        let mut steps = Vec::with_capacity(self.couplings.len());
        for coupling in &self.couplings {
            steps.push(coupling.forward(h, y, self.dim, &mut log_det));
        }
        (log_det, Tape { before, steps })
    }

    /// Adds the gradients of all parameters to `gradients` and of the features to `d_features`, for
    /// a loss whose gradient by the base values is `dx` `[rows, dim]` and by log|det| is
    /// `d_log_det` `[rows]`. `dx` is overwritten.
    pub fn backward(
        &self,
        tape: &Tape,
        dx: &mut [f32],
        d_log_det: &[f32],
        gradients: &mut Params,
        d_features: &mut [f32],
    ) {
        let couplings = self.couplings.iter().zip(&tape.steps).enumerate();
        for (i, (coupling, step)) in couplings.rev() {
            let d_hidden = coupling.backward(step, dx, self.dim, d_log_det, gradients);
            // The data themselves need no gradient.
            if i > 0 || coupling.seen > 0 || self.matrix.is_some() {
                coupling.backward_input(&d_hidden, dx, self.dim, d_features);
            }
        }
        let Some(matrix) = &self.matrix else {
            return;
        };
        if let Some(order) = &self.order {
            for row in dx.chunks_exact_mut(self.dim) {
                let all = row.to_vec();
                for (&to, d) in order.iter().zip(all) {
                    row[to] = d;
                }
            }
        }
        matrix.backward(&tape.before, dx, d_log_det, gradients);
    }
}

impl Coupling {
    /// Moves one half of `y`; adds Σ s of each row to `log_det`.
    fn forward(&self, h: &[f32], y: &mut [f32], dim: usize, log_det: &mut [f32]) -> Step {
        let (rows, m) = (log_det.len(), self.moved.len());
        let mut joint = Vec::with_capacity(rows * (self.kept.len() + self.seen));
        for (row, y) in y.chunks_exact(dim).enumerate() {
            joint.extend_from_slice(&y[self.kept.clone()]);
            joint.extend_from_slice(&h[row * self.seen..(row + 1) * self.seen]);
        }
        let mut inputs = [joint, Vec::new(), Vec::new(), Vec::new()];
        for (i, layer) in self.hidden.iter().enumerate() {
            let mut out = layer.forward(&inputs[i], rows);
            for v in &mut out {
                *v = if *v > 0.0 { *v } else { LEAK * *v };
            }
            inputs[i + 1] = out;
        }
        let mut tanh = self.log_scale.forward(&inputs[3], rows);
        tanh_inplace(&mut tanh);
        let mut scale = tanh.clone();
        for (scale, log_det) in scale.chunks_exact_mut(m).zip(log_det) {
            for (s, bound) in scale.iter_mut().zip(&self.bound) {
                *s *= bound;
            }
            *log_det += scale.iter().sum::<f32>();
        }
        exp_inplace(&mut scale);
        let shift = self.shift.forward(&inputs[3], rows);
        let mut before = Vec::with_capacity(rows * m);
        for (y, (scale, shift)) in y
            .chunks_exact_mut(dim)
            .zip(scale.chunks_exact(m).zip(shift.chunks_exact(m)))
        {
            let y = &mut y[self.moved.clone()];
            before.extend_from_slice(y);
            for (y, (scale, shift)) in y.iter_mut().zip(scale.iter().zip(shift)) {
                *y = *y * scale + shift;
            }
        }
        Step {
            inputs,
            tanh,
            scale,
            before,
        }
    }

    /// Makes the gradient by the moved half that before it was moved, adds those of the parameters,
    /// and returns that by the sums of the first hidden layer `[rows, hidden]`.
    fn backward(
        &self,
        step: &Step,
        dx: &mut [f32],
        dim: usize,
        d_log_det: &[f32],
        gradients: &mut Params,
    ) -> Vec<f32> {
        let (rows, m) = (d_log_det.len(), self.moved.len());
        let (mut d_u, mut d_t) = (vec![0.0; rows * m], vec![0.0; rows * m]);
        let mut d_bound = take_layer(gradients, self.bound_at);
        for (row, dx) in dx.chunks_exact_mut(dim).enumerate() {
            let of_row = row * m..(row + 1) * m;
            let (tanh, scale) = (&step.tanh[of_row.clone()], &step.scale[of_row.clone()]);
            let before = &step.before[of_row.clone()];
            let (d_u, d_t) = (&mut d_u[of_row.clone()], &mut d_t[of_row]);
            d_t.copy_from_slice(&dx[self.moved.clone()]);
            let dx = &mut dx[self.moved.clone()];
            for i in 0..m {
                let d_before = d_t[i] * scale[i];
                let d_s = d_before * before[i] + d_log_det[row];
                d_bound[i] += d_s * tanh[i];
                d_u[i] = d_s * self.bound[i] * (1.0 - tanh[i] * tanh[i]);
                dx[i] = d_before;
            }
        }
        gradients.0[self.bound_at].value = d_bound;
        let width = self.width();
        let last = &step.inputs[3];
        self.log_scale.backward_weights(last, &d_u, rows, gradients);
        self.shift.backward_weights(last, &d_t, rows, gradients);
        let mut d = self.log_scale.backward_input(&d_u, rows, width);
        for (d, more) in d
            .iter_mut()
            .zip(self.shift.backward_input(&d_t, rows, width))
        {
            *d += more;
        }
        for i in (0..3).rev() {
            // A LeakyReLU's output has the sign of its input.
            for (d, out) in d.iter_mut().zip(&step.inputs[i + 1]) {
                if *out <= 0.0 {
                    *d *= LEAK;
                }
            }
            self.hidden[i].backward_weights(&step.inputs[i], &d, rows, gradients);
            if i > 0 {
                d = self.hidden[i].backward_input(&d, rows, width);
            }
        }
        d
    }

    /// Adds to the gradients by the kept half and by the features what comes through the first
    /// hidden layer, by whose sums the gradient is `d_hidden`.
    fn backward_input(&self, d_hidden: &[f32], dx: &mut [f32], dim: usize, d_features: &mut [f32]) {
        let rows = dx.len() / dim;
        let width = self.kept.len() + self.seen;
        let d_input = self.hidden[0].backward_input(d_hidden, rows, width);
        for (row, d_input) in d_input.chunks_exact(width).enumerate() {
            let (d_kept, d_seen) = d_input.split_at(self.kept.len());
            let kept = &mut dx[row * dim..(row + 1) * dim][self.kept.clone()];
            for (d, x) in kept.iter_mut().zip(d_kept) {
                *d += x;
            }
            let features = &mut d_features[row * self.seen..(row + 1) * self.seen];
            for (d, x) in features.iter_mut().zip(d_seen) {
                *d += x;
            }
        }
    }

    /// Width of the hidden layers.
    fn width(&self) -> usize {
        self.hidden[2].outputs
    }
}
