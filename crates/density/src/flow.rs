//! Flows on the engine: x = f(y) from data to base, and its inverse.

use std::ops::Range;

use frmdn_engine::{
    Params,
    activation::{exp_inplace, tanh_inplace},
    linear::Linear,
    params::ParamError,
};

use crate::{DensityConfig, FlowKind, LEAK, config::SPLINE, host::layer, spline::Spline};

/// The layers of a flow; none, where the density has no flow.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    dim: usize,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
enum Layer {
    Coupling(Box<Coupling>),
    Matrix(Matrix),
    /// Puts value `order[i]` at place i.
    Order(Vec<usize>),
}

impl Flow {
    /// The flow of `config` on `features` values.
    pub fn new(
        config: &DensityConfig,
        features: usize,
        params: &Params,
    ) -> Result<Self, ParamError> {
        let mut layers = Vec::new();
        if config.has_matrix() {
            layers.push(Layer::Matrix(Matrix::new(config, params)?));
        }
        layers.extend(config.order().map(Layer::Order));
        for i in 0..config.couplings().map_or(0, |flow| flow.couplings) {
            let coupling = Coupling::new(config, i, features, params)?;
            layers.push(Layer::Coupling(Box::new(coupling)));
        }
        Ok(Self {
            dim: config.dim,
            layers,
        })
    }

    /// Whether f is the identity by construction.
    pub fn is_none(&self) -> bool {
        self.layers.is_empty()
    }

    /// Data to base, in place; adds log|det ∂f/∂y| of each row to `log_det`. `h` holds the rows'
    /// features.
    pub fn forward(
        &self,
        h: &[f32],
        y: &mut [f32],
        log_det: &mut [f64],
        scratch: &mut FlowScratch,
    ) {
        for layer in &self.layers {
            match layer {
                Layer::Coupling(coupling) => coupling.forward(h, y, self.dim, log_det, scratch),
                Layer::Matrix(matrix) => matrix.forward(y, log_det),
                Layer::Order(order) => {
                    for row in y.chunks_exact_mut(self.dim) {
                        scratch.a.clear();
                        scratch.a.extend(order.iter().map(|&from| row[from]));
                        row.copy_from_slice(&scratch.a);
                    }
                }
            }
        }
    }

    /// Base to data, in place.
    pub fn inverse(&self, h: &[f32], x: &mut [f32], scratch: &mut FlowScratch) {
        for layer in self.layers.iter().rev() {
            match layer {
                Layer::Coupling(coupling) => coupling.inverse(h, x, self.dim, scratch),
                Layer::Matrix(matrix) => matrix.inverse(x),
                Layer::Order(order) => {
                    for row in x.chunks_exact_mut(self.dim) {
                        scratch.a.clear();
                        scratch.a.extend_from_slice(row);
                        for (&to, &value) in order.iter().zip(&scratch.a) {
                            row[to] = value;
                        }
                    }
                }
            }
        }
    }
}

/// A coupling: y_kept stays, and determines (with the features, if the flow is conditional) how
/// y_moved is transformed.
#[derive(Clone, Debug)]
struct Coupling {
    layers: [Linear; 3],
    moves: Moves,
    hidden: usize,
    /// Features that the conditioner sees.
    seen: usize,
    kept: Range<usize>,
    moved: Range<usize>,
}

/// The last layers of a conditioner.
#[derive(Clone, Debug)]
enum Moves {
    /// Equation 6: y_moved exp(s) + t, with s within ± bound.
    Affine {
        log_scale: Box<Linear>,
        shift: Box<Linear>,
        bound: Vec<f32>,
    },
    /// Equation 9.
    Spline(Box<Linear>),
}

impl Coupling {
    fn new(
        config: &DensityConfig,
        i: usize,
        features: usize,
        params: &Params,
    ) -> Result<Self, ParamError> {
        let flow = config
            .couplings()
            .ok_or_else(|| ParamError::Missing("flow".into()))?;
        let (hidden, (kept, moved)) = (flow.hidden, config.halves(i));
        let name = |part: &str| format!("flow.{i}.{part}");
        let (first, second) = (0..config.dim / 2, config.dim / 2..config.dim);
        let (k, m) = if i.is_multiple_of(2) {
            (first, second)
        } else {
            (second, first)
        };
        let seen = if flow.conditional { features } else { 0 };
        let moves = if flow.kind == FlowKind::Spline {
            Moves::Spline(Box::new(layer(
                params,
                &name("spline"),
                hidden,
                moved * SPLINE,
            )?))
        } else {
            Moves::Affine {
                log_scale: Box::new(layer(params, &name("log_scale"), hidden, moved)?),
                shift: Box::new(layer(params, &name("shift"), hidden, moved)?),
                bound: params.get(&name("bound"), &[moved])?.to_vec(),
            }
        };
        let layers = [
            layer(params, &name("layer1"), kept + seen, hidden)?,
            layer(params, &name("layer2"), hidden, hidden)?,
            layer(params, &name("layer3"), hidden, hidden)?,
        ];
        Ok(Self {
            layers,
            moves,
            hidden,
            seen,
            kept: k,
            moved: m,
        })
    }

    fn forward(
        &self,
        h: &[f32],
        y: &mut [f32],
        dim: usize,
        log_det: &mut [f64],
        scratch: &mut FlowScratch,
    ) {
        let rows = log_det.len();
        self.condition(h, y, rows, dim, scratch);
        let m = self.moved.len();
        match &self.moves {
            Moves::Affine { .. } => {
                let FlowScratch { scale, shift, .. } = self.affine(rows, scratch);
                for (log_det, s) in log_det.iter_mut().zip(scale.chunks_exact(m)) {
                    *log_det += s.iter().map(|&s| f64::from(s)).sum::<f64>();
                }
                exp_inplace(scale);
                for (y, (scale, t)) in y
                    .chunks_exact_mut(dim)
                    .zip(scale.chunks_exact(m).zip(shift.chunks_exact(m)))
                {
                    for (v, (scale, t)) in y[self.moved.clone()].iter_mut().zip(scale.iter().zip(t))
                    {
                        *v = *v * scale + t;
                    }
                }
            }
            Moves::Spline(last) => {
                let raw = Self::splines(last, rows, m, scratch);
                for ((y, raw), log_det) in y
                    .chunks_exact_mut(dim)
                    .zip(raw.chunks_exact(m * SPLINE))
                    .zip(log_det)
                {
                    for (v, raw) in y[self.moved.clone()]
                        .iter_mut()
                        .zip(raw.chunks_exact(SPLINE))
                    {
                        let (moved, log_slope) = Spline::new(raw).forward(f64::from(*v));
                        *v = moved as f32;
                        *log_det += log_slope;
                    }
                }
            }
        }
    }

    fn inverse(&self, h: &[f32], x: &mut [f32], dim: usize, scratch: &mut FlowScratch) {
        let rows = x.len() / dim;
        self.condition(h, x, rows, dim, scratch);
        let m = self.moved.len();
        match &self.moves {
            Moves::Affine { .. } => {
                let FlowScratch { scale, shift, .. } = self.affine(rows, scratch);
                scale.iter_mut().for_each(|s| *s = -*s);
                exp_inplace(scale);
                for (x, (scale, t)) in x
                    .chunks_exact_mut(dim)
                    .zip(scale.chunks_exact(m).zip(shift.chunks_exact(m)))
                {
                    for (v, (scale, t)) in x[self.moved.clone()].iter_mut().zip(scale.iter().zip(t))
                    {
                        *v = (*v - t) * scale;
                    }
                }
            }
            Moves::Spline(last) => {
                let raw = Self::splines(last, rows, m, scratch);
                for (x, raw) in x.chunks_exact_mut(dim).zip(raw.chunks_exact(m * SPLINE)) {
                    for (v, raw) in x[self.moved.clone()]
                        .iter_mut()
                        .zip(raw.chunks_exact(SPLINE))
                    {
                        *v = Spline::new(raw).inverse(f64::from(*v)) as f32;
                    }
                }
            }
        }
    }

    /// The conditioner's last hidden layer of `rows` rows, into `scratch.a`.
    fn condition(&self, h: &[f32], y: &[f32], rows: usize, dim: usize, scratch: &mut FlowScratch) {
        let FlowScratch { a, b, .. } = scratch;
        a.clear();
        for (row, y) in y.chunks_exact(dim).enumerate() {
            a.extend_from_slice(&y[self.kept.clone()]);
            a.extend_from_slice(&h[row * self.seen..(row + 1) * self.seen]);
        }
        for layer in &self.layers {
            b.resize(rows * self.hidden, 0.0);
            layer.forward(a, rows, false, b);
            b.iter_mut()
                .for_each(|v| *v = if *v > 0.0 { *v } else { LEAK * *v });
            std::mem::swap(a, b);
        }
    }

    /// Log-scales and shifts of an affine coupling.
    fn affine<'a>(&self, rows: usize, scratch: &'a mut FlowScratch) -> &'a mut FlowScratch {
        if let Moves::Affine {
            log_scale,
            shift,
            bound,
        } = &self.moves
        {
            let m = self.moved.len();
            scratch.scale.resize(rows * m, 0.0);
            scratch.shift.resize(rows * m, 0.0);
            log_scale.forward(&scratch.a, rows, false, &mut scratch.scale);
            shift.forward(&scratch.a, rows, false, &mut scratch.shift);
            tanh_inplace(&mut scratch.scale);
            for row in scratch.scale.chunks_exact_mut(m) {
                row.iter_mut().zip(bound).for_each(|(s, b)| *s *= b);
            }
        }
        scratch
    }

    /// The numbers of all splines.
    fn splines<'a>(
        last: &Linear,
        rows: usize,
        moved: usize,
        scratch: &'a mut FlowScratch,
    ) -> &'a [f32] {
        scratch.scale.resize(rows * moved * SPLINE, 0.0);
        last.forward(&scratch.a, rows, false, &mut scratch.scale);
        &scratch.scale
    }
}

/// Equation 10: x = L U y with L unit lower triangular, and U upper triangular with the diagonal
/// exp(ℓ).
#[derive(Clone, Debug)]
struct Matrix {
    dim: usize,
    lower: Vec<f64>,
    upper: Vec<f64>,
    log_diagonal: Vec<f64>,
}

impl Matrix {
    fn new(config: &DensityConfig, params: &Params) -> Result<Self, ParamError> {
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let (dim, limit) = (config.dim, f64::from(config.log_precision_limit));
        Ok(Self {
            dim,
            lower: wide(params.get("flow.lower", &[dim, dim])?),
            upper: wide(params.get("flow.upper", &[dim, dim])?),
            log_diagonal: wide(params.get("flow.log_diagonal", &[dim])?)
                .into_iter()
                .map(|v| v.clamp(-limit, limit))
                .collect(),
        })
    }

    fn forward(&self, y: &mut [f32], log_det: &mut [f64]) {
        let (d, total) = (self.dim, self.log_diagonal.iter().sum::<f64>());
        for (y, log_det) in y.chunks_exact_mut(d).zip(log_det) {
            *log_det += total;
            let v: Vec<f64> = (0..d)
                .map(|i| {
                    let above = (i + 1..d)
                        .map(|j| self.upper[i * d + j] * f64::from(y[j]))
                        .sum::<f64>();
                    libm::exp(self.log_diagonal[i]) * f64::from(y[i]) + above
                })
                .collect();
            for (i, y) in y.iter_mut().enumerate() {
                *y = (v[i] + (0..i).map(|j| self.lower[i * d + j] * v[j]).sum::<f64>()) as f32;
            }
        }
    }

    fn inverse(&self, x: &mut [f32]) {
        let d = self.dim;
        for x in x.chunks_exact_mut(d) {
            let mut v: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            for i in 0..d {
                v[i] -= (0..i).map(|j| self.lower[i * d + j] * v[j]).sum::<f64>();
            }
            for i in (0..d).rev() {
                v[i] = (v[i]
                    - (i + 1..d)
                        .map(|j| self.upper[i * d + j] * v[j])
                        .sum::<f64>())
                    * libm::exp(-self.log_diagonal[i]);
            }
            x.iter_mut().zip(v).for_each(|(x, v)| *x = v as f32);
        }
    }
}

/// Buffers of the couplings, reused from call to call.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowScratch {
    a: Vec<f32>,
    b: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}
