//! Affine couplings (Dinh et al. 2017, "Real NVP"; equation 6) on the engine, both ways.

use std::ops::Range;

use frmdn_engine::{
    Params,
    activation::{exp_inplace, tanh_inplace},
    linear::Linear,
    params::ParamError,
};

use crate::{DensityConfig, LEAK, host::layer};

/// y_kept stays; y_moved becomes y_moved · exp(s) + t, with s and t from y_kept.
#[derive(Clone, Debug)]
pub(crate) struct Coupling {
    layers: [Linear; 3],
    log_scale: Linear,
    shift: Linear,
    bound: Vec<f32>,
    hidden: usize,
    kept: Range<usize>,
    moved: Range<usize>,
}

impl Coupling {
    /// Coupling `i` of a flow.
    pub fn new(config: &DensityConfig, i: usize, params: &Params) -> Result<Self, ParamError> {
        let hidden = config.flow.map_or(0, |f| f.hidden);
        let (kept, moved) = config.halves(i);
        let name = |part: &str| format!("flow.{i}.{part}");
        let (first, second) = (0..config.dim / 2, config.dim / 2..config.dim);
        let (k, m) = if i.is_multiple_of(2) { (first, second) } else { (second, first) };
        Ok(Self {
            layers: [
                layer(params, &name("layer1"), kept, hidden)?,
                layer(params, &name("layer2"), hidden, hidden)?,
                layer(params, &name("layer3"), hidden, hidden)?,
            ],
            log_scale: layer(params, &name("log_scale"), hidden, moved)?,
            shift: layer(params, &name("shift"), hidden, moved)?,
            bound: params.get(&name("bound"), &[moved])?.to_vec(),
            hidden,
            kept: k,
            moved: m,
        })
    }

    /// Data to base, in place, `dim` values a row; adds log|det| = Σ s of each row to `log_det`.
    pub fn forward(&self, y: &mut [f32], dim: usize, log_det: &mut [f64], scratch: &mut FlowScratch) {
        self.condition(y, log_det.len(), dim, scratch);
        let m = self.moved.len();
        for (log_det, s) in log_det.iter_mut().zip(scratch.log_scale.chunks_exact(m)) {
            *log_det += s.iter().map(|&s| f64::from(s)).sum::<f64>();
        }
        exp_inplace(&mut scratch.log_scale);
        for (y, (scale, t)) in y.chunks_exact_mut(dim).zip(scratch.log_scale.chunks_exact(m).zip(scratch.shift.chunks_exact(m))) {
            for (v, (scale, t)) in y[self.moved.clone()].iter_mut().zip(scale.iter().zip(t)) {
                *v = *v * scale + t;
            }
        }
    }

    /// The inverse of [`Coupling::forward`]: base to data.
    pub fn inverse(&self, x: &mut [f32], dim: usize, scratch: &mut FlowScratch) {
        self.condition(x, x.len() / dim, dim, scratch);
        let m = self.moved.len();
        scratch.log_scale.iter_mut().for_each(|s| *s = -*s);
        exp_inplace(&mut scratch.log_scale);
        for (x, (scale, t)) in x.chunks_exact_mut(dim).zip(scratch.log_scale.chunks_exact(m).zip(scratch.shift.chunks_exact(m))) {
            for (v, (scale, t)) in x[self.moved.clone()].iter_mut().zip(scale.iter().zip(t)) {
                *v = (*v - t) * scale;
            }
        }
    }

    /// Log-scales s and shifts t of `rows` rows, from the values that are kept.
    fn condition(&self, y: &[f32], rows: usize, dim: usize, scratch: &mut FlowScratch) {
        let FlowScratch { a, b, log_scale, shift } = scratch;
        a.clear();
        y.chunks_exact(dim).for_each(|row| a.extend_from_slice(&row[self.kept.clone()]));
        for layer in &self.layers {
            b.resize(rows * self.hidden, 0.0);
            layer.forward(a, rows, false, b);
            b.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { LEAK * *v });
            std::mem::swap(a, b);
        }
        let m = self.moved.len();
        log_scale.resize(rows * m, 0.0);
        shift.resize(rows * m, 0.0);
        self.log_scale.forward(a, rows, false, log_scale);
        self.shift.forward(a, rows, false, shift);
        tanh_inplace(log_scale);
        for row in log_scale.chunks_exact_mut(m) {
            row.iter_mut().zip(&self.bound).for_each(|(s, b)| *s *= b);
        }
    }
}

/// Buffers of the couplings, reused from call to call.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowScratch {
    a: Vec<f32>,
    b: Vec<f32>,
    log_scale: Vec<f32>,
    shift: Vec<f32>,
}
