//! Affine couplings (Dinh et al. 2017, "Real NVP"; equation 6) on the engine, both ways.

use std::ops::Range;

use frmdn_engine::{Params, linear::Linear, params::ParamError};

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
    pub fn forward(&self, y: &mut [f32], dim: usize, log_det: &mut [f64]) {
        let (s, t) = self.condition(y, log_det.len(), dim);
        let m = self.moved.len();
        for ((y, log_det), (s, t)) in y.chunks_exact_mut(dim).zip(log_det).zip(s.chunks(m).zip(t.chunks(m))) {
            for (v, (s, t)) in y[self.moved.clone()].iter_mut().zip(s.iter().zip(t)) {
                *v = *v * s.exp() + t;
            }
            *log_det += s.iter().map(|&s| f64::from(s)).sum::<f64>();
        }
    }

    /// The inverse of [`Coupling::forward`]: base to data.
    pub fn inverse(&self, x: &mut [f32], dim: usize) {
        let (s, t) = self.condition(x, x.len() / dim, dim);
        let m = self.moved.len();
        for (x, (s, t)) in x.chunks_exact_mut(dim).zip(s.chunks(m).zip(t.chunks(m))) {
            for (v, (s, t)) in x[self.moved.clone()].iter_mut().zip(s.iter().zip(t)) {
                *v = (*v - t) * (-s).exp();
            }
        }
    }

    /// Log-scales s and shifts t of `rows` rows, from the values that are kept.
    fn condition(&self, y: &[f32], rows: usize, dim: usize) -> (Vec<f32>, Vec<f32>) {
        let mut a: Vec<f32> = y.chunks_exact(dim).flat_map(|row| row[self.kept.clone()].iter().copied()).collect();
        for layer in &self.layers {
            let mut b = vec![0.0; rows * self.hidden];
            layer.forward(&a, rows, false, &mut b);
            b.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { LEAK * *v });
            a = b;
        }
        let m = self.moved.len();
        let (mut s, mut t) = (vec![0.0; rows * m], vec![0.0; rows * m]);
        self.log_scale.forward(&a, rows, false, &mut s);
        self.shift.forward(&a, rows, false, &mut t);
        for row in s.chunks_exact_mut(m) {
            row.iter_mut().zip(&self.bound).for_each(|(s, b)| *s = s.tanh() * b);
        }
        (s, t)
    }
}
