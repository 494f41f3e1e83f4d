//! The density on the engine: likelihoods, draws and summaries of many rows, without burn.

use frmdn_engine::{
    Params,
    linear::Linear,
    params::ParamError,
    random::{Pcg64, fill_normal, stream},
};

use crate::{
    DensityConfig, Form,
    flow::{Flow, FlowScratch},
    mixture::{Buffers, Component, choose, log_sum_exp, log_weights},
};

/// Rows whose likelihoods are computed at a time: enough for efficient products, few enough for the
/// cache.
const ROWS: usize = 256;

/// A conditional density with its weights.
#[derive(Clone, Debug)]
pub struct Density {
    config: DensityConfig,
    features: usize,
    logits: Linear,
    /// The rest of the head, cut by component: a draw looks at one of them only.
    components: Vec<Linear>,
    flow: Flow,
}

/// The linear layer `name` of `params`.
pub(crate) fn layer(
    params: &Params,
    name: &str,
    from: usize,
    to: usize,
) -> Result<Linear, ParamError> {
    let mut layer = Linear::new(from, to);
    layer.load(
        params.get(&format!("{name}.weight"), &[from, to])?,
        params.get(&format!("{name}.bias"), &[to])?,
    );
    Ok(layer)
}

/// A Monte-Carlo estimate and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean over the draws.
    pub value: f64,
    /// Standard deviation of that mean.
    pub error: f64,
}

impl Estimate {
    /// Of independent draws.
    fn of(draws: &[f64]) -> Self {
        let n = draws.len() as f64;
        let value = draws.iter().sum::<f64>() / n;
        let variance =
            draws.iter().map(|x| (x - value) * (x - value)).sum::<f64>() / (n - 1.0).max(1.0);
        Self {
            value,
            error: (variance / n).sqrt(),
        }
    }
}

impl Density {
    /// A density on `features` values with `params` (see [`DensityConfig::tensors`]).
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn new(
        config: DensityConfig,
        features: usize,
        params: &Params,
    ) -> Result<Self, ParamError> {
        let n = config.components;
        // Weight (none for a free parameter), bias and the width of one component.
        let mut wide: Vec<(&[f32], &[f32], usize)> = Vec::new();
        for (part, width) in &config.parts()[1..] {
            let weight = params.get(&format!("head.{part}.weight"), &[features, *width])?;
            wide.push((
                weight,
                params.get(&format!("head.{part}.bias"), &[*width])?,
                width / n,
            ));
        }
        if config.form == Form::Tied {
            for a in 0..config.rank {
                wide.push((
                    &[],
                    params.get(&format!("tied.factor{a}"), &[n * config.dim])?,
                    config.dim,
                ));
            }
        }
        let component = |k: usize| {
            let mut weight = Vec::with_capacity(features * config.component_width());
            for row in 0..features {
                for (w, _, width) in &wide {
                    if w.is_empty() {
                        weight.extend(std::iter::repeat_n(0.0, *width));
                    } else {
                        weight.extend_from_slice(&w[(row * n + k) * width..][..*width]);
                    }
                }
            }
            let bias: Vec<f32> = wide
                .iter()
                .flat_map(|(_, b, width)| b[k * width..(k + 1) * width].iter().copied())
                .collect();
            let mut layer = Linear::new(features, bias.len());
            layer.load(&weight, &bias);
            layer
        };
        Ok(Self {
            config,
            features,
            logits: layer(params, "head.logits", features, n * config.choices())?,
            components: (0..n).map(component).collect(),
            flow: Flow::new(&config, features, params)?,
        })
    }

    /// What it is made of.
    pub fn config(&self) -> &DensityConfig {
        &self.config
    }

    /// Data to base: x = f(y) for the rows of `y` `[rows, dim]` with features `h` `[rows,
    /// features]`, in place. Returns log|det ∂f/∂y| of each row.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn forward(&self, h: &[f32], y: &mut [f32]) -> Vec<f64> {
        let mut log_det = vec![0.0; self.rows(h, y)];
        self.flow
            .forward(h, y, &mut log_det, &mut FlowScratch::default());
        log_det
    }

    /// The inverse of [`Density::forward`], base to data.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn inverse(&self, h: &[f32], x: &mut [f32]) {
        self.rows(h, x);
        self.flow.inverse(h, x, &mut FlowScratch::default());
    }

    fn rows(&self, h: &[f32], y: &[f32]) -> usize {
        let rows = y.len() / self.config.dim;
        assert_eq!(
            (h.len(), y.len()),
            (rows * self.features, rows * self.config.dim),
            "rows of features and of targets"
        );
        rows
    }

    /// f(y₀) of equation 13 for each row; empty where means count from zero.
    fn anchors(&self, h: &[f32], scratch: &mut FlowScratch) -> Vec<f32> {
        if !self.config.residual {
            return Vec::new();
        }
        let (f, d) = (self.features, self.config.dim);
        let mut anchors: Vec<f32> = h
            .chunks_exact(f)
            .flat_map(|h| h[f - d..].iter().copied())
            .collect();
        self.flow
            .forward(h, &mut anchors, &mut vec![0.0; h.len() / f], scratch);
        anchors
    }

    /// log p(y | h) of each row: `h` is `[rows, features]`, `y` `[rows, dim]` (equations 1 and 11).
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn log_prob(&self, h: &[f32], y: &[f32]) -> Vec<f64> {
        let (f, d, n) = (self.features, self.config.dim, self.config.components);
        let rows = self.rows(h, y);
        let (width, choices) = (self.config.component_width(), self.config.choices());
        let mut raw = vec![0.0; ROWS.min(rows) * width.max(n * choices)];
        let mut out = Vec::with_capacity(rows);
        let (mut buffers, mut scratch) = (Buffers::new(&self.config), FlowScratch::default());
        for (h, y) in h.chunks(ROWS * f).zip(y.chunks(ROWS * d)) {
            let rows = y.len() / d;
            let (mut x, mut log_det) = (y.to_vec(), vec![0.0; rows]);
            self.flow.forward(h, &mut x, &mut log_det, &mut scratch);
            x.iter_mut()
                .zip(self.anchors(h, &mut scratch))
                .for_each(|(x, anchor)| *x -= anchor);
            let raw_logits = &mut raw[..rows * n * choices];
            self.logits.forward(h, rows, false, raw_logits);
            let mut joint: Vec<f64> = raw_logits
                .chunks_exact(n)
                .flat_map(|l| log_weights(l, 1.0))
                .collect();
            for (k, component) in self.components.iter().enumerate() {
                let raw = &mut raw[..rows * width];
                component.forward(h, rows, false, raw);
                for (row, (raw, x)) in raw.chunks_exact(width).zip(x.chunks_exact(d)).enumerate() {
                    let component = Component::new(&self.config, raw);
                    if self.config.form == Form::Factored {
                        (0..d).for_each(|i| {
                            joint[(row * d + i) * n + k] += component.log_prob_of(x, i)
                        });
                    } else {
                        joint[row * n + k] += component.log_prob(x, &mut buffers);
                    }
                }
            }
            let of_rows = joint.chunks_exact(n * choices).zip(log_det);
            out.extend(of_rows.map(|(joint, log_det)| {
                joint
                    .chunks_exact(n)
                    .map(|joint| log_sum_exp(joint.iter().copied()))
                    .sum::<f64>()
                    + log_det
            }));
        }
        out
    }

    /// A draw from p(· | h) at temperature τ for each of `rows` rows (equation 12): mixture logits
    /// divided by τ, noise times √τ, in the mixture's space. τ = 0 gives the likeliest component's
    /// mean. `h` is [rows, features], `y` receives [rows, dim]; row i draws from `rngs[i]`, and
    /// what it draws does not depend on the other rows.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn sample(
        &self,
        h: &[f32],
        temperature: f32,
        rngs: &mut [Pcg64],
        y: &mut [f32],
        scratch: &mut SampleScratch,
    ) {
        let (f, d, n, rows) = (
            self.features,
            self.config.dim,
            self.config.components,
            rngs.len(),
        );
        assert_eq!(
            (h.len(), y.len()),
            (rows * f, rows * d),
            "rows of features, and of draws"
        );
        let SampleScratch {
            logits,
            order,
            members,
            features,
            raw,
            buffers,
            flow,
        } = scratch;
        // Buffers that served a density of another form are made anew.
        let buffers = match buffers {
            Some(there) if there.gaussian.form() == self.config.form => there,
            other => other.insert(Buffers::new(&self.config)),
        };
        let (width, choices) = (self.config.component_width(), self.config.choices());
        logits.resize(rows * n * choices, 0.0);
        self.logits.forward(h, rows, false, logits);
        order.clear();
        // Row, and value of it, that a component was drawn for.
        for ((row, logits), rng) in logits
            .chunks_exact(n * choices)
            .enumerate()
            .zip(rngs.iter_mut())
        {
            let drawn = logits
                .chunks_exact(n)
                .map(|logits| choose(logits, f64::from(temperature), rng));
            order.extend(drawn.enumerate().map(|(i, k)| (k, row * choices + i)));
        }
        // Rows of the same component together: each row pays for one component only, and products
        // stay wide.
        order.sort_unstable();
        let scale = f64::from(temperature).sqrt();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            members.clear();
            members.extend(group.iter().map(|&(_, at)| at / choices));
            members.dedup();
            features.clear();
            members
                .iter()
                .for_each(|&row| features.extend_from_slice(&h[row * f..(row + 1) * f]));
            raw.resize(members.len() * width, 0.0);
            self.components[group[0].0].forward(features, members.len(), false, raw);
            for (&row, raw) in members.iter().zip(raw.chunks_exact(width)) {
                let component = Component::new(&self.config, raw);
                let y = &mut y[row * d..(row + 1) * d];
                if self.config.form == Form::Factored {
                    // Its mean and precision wait in their places until the row's generator is
                    // asked, value after value.
                    let mine = group
                        .iter()
                        .filter(|(_, at)| at / d == row)
                        .map(|(_, at)| at % d);
                    mine.for_each(|i| {
                        let log_d = component.log_precision(i);
                        (y[i], logits[(row * d + i) * n]) =
                            (component.mean()[i], (-0.5 * log_d).exp() as f32);
                    });
                    continue;
                }
                y.copy_from_slice(component.mean());
                if temperature > 0.0 {
                    component.gaussian(&mut buffers.gaussian);
                    buffers
                        .gaussian
                        .sample(&mut rngs[row], &mut buffers.noise, &mut buffers.small);
                    y.iter_mut()
                        .zip(buffers.noise.iter())
                        .for_each(|(y, noise)| *y = (f64::from(*y) + scale * noise) as f32);
                }
            }
        }
        if self.config.form == Form::Factored && temperature > 0.0 {
            let noise = &mut buffers.noise;
            noise.resize(d, 0.0);
            for ((row, y), rng) in y.chunks_exact_mut(d).enumerate().zip(rngs) {
                for (i, y) in y.iter_mut().enumerate() {
                    let e: f64 = rand_distr::Distribution::sample(&rand_distr::StandardNormal, rng);
                    *y = (f64::from(*y) + scale * f64::from(logits[(row * d + i) * n]) * e) as f32;
                }
            }
        }
        if self.config.residual {
            y.iter_mut()
                .zip(self.anchors(h, flow))
                .for_each(|(y, anchor)| *y += anchor);
        }
        self.flow.inverse(h, y, flow);
    }

    /// f⁻¹ of the mixture's mean Σ π μ, for one row `h`: the mean of p(· | h) where there is no
    /// flow (or a linear one), a point near it where there is one. `y` receives `dim` values.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn center(&self, h: &[f32], y: &mut [f32]) {
        assert_eq!(
            (h.len(), y.len()),
            (self.features, self.config.dim),
            "one row of features, one target"
        );
        let (n, choices) = (self.config.components, self.config.choices());
        let mut logits = vec![0.0; n * choices];
        self.logits.forward(h, 1, false, &mut logits);
        let weights: Vec<f64> = logits
            .chunks_exact(n)
            .flat_map(|l| log_weights(l, 1.0))
            .collect();
        let mut raw = vec![0.0; self.config.component_width()];
        y.fill(0.0);
        for (k, component) in self.components.iter().enumerate() {
            component.forward(h, 1, false, &mut raw);
            for (i, (y, m)) in y.iter_mut().zip(&raw).enumerate() {
                *y += weights[if choices == 1 { k } else { i * n + k }].exp() as f32 * m;
            }
        }
        let mut scratch = FlowScratch::default();
        y.iter_mut()
            .zip(self.anchors(h, &mut scratch))
            .for_each(|(y, anchor)| *y += anchor);
        self.flow.inverse(h, y, &mut scratch);
    }

    /// `draws` draws for one row `h`, `[draws, dim]`.
    fn draws(&self, h: &[f32], draws: usize, rng: &mut Pcg64) -> Vec<f32> {
        let mut y = vec![0.0; draws * self.config.dim];
        let mut scratch = SampleScratch::default();
        for y in y.chunks_exact_mut(self.config.dim) {
            self.sample(h, 1.0, std::slice::from_mut(rng), y, &mut scratch);
        }
        y
    }

    /// The mean E[y | h] of one row `h`, value by value: exact (with an error of 0) without a flow,
    /// from `draws` draws with one.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn mean(&self, h: &[f32], draws: usize, rng: &mut Pcg64) -> Vec<Estimate> {
        let d = self.config.dim;
        if self.flow.is_none() {
            let mut y = vec![0.0; d];
            self.center(h, &mut y);
            return y
                .into_iter()
                .map(|v| Estimate {
                    value: f64::from(v),
                    error: 0.0,
                })
                .collect();
        }
        let y = self.draws(h, draws, rng);
        (0..d)
            .map(|i| {
                Estimate::of(
                    &y.iter()
                        .skip(i)
                        .step_by(d)
                        .map(|&v| f64::from(v))
                        .collect::<Vec<_>>(),
                )
            })
            .collect()
    }

    /// The entropy −E[log p(y | h)] of one row `h` in nats, from `draws` draws.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn entropy(&self, h: &[f32], draws: usize, rng: &mut Pcg64) -> Estimate {
        let y = self.draws(h, draws, rng);
        let nats: Vec<f64> = self
            .log_prob(&h.repeat(draws), &y)
            .into_iter()
            .map(|l| -l)
            .collect();
        Estimate::of(&nats)
    }

    /// The likeliest point of one row `h` that is found from the components' means: the best of
    /// their images, then uphill by steps along the values and along as many random directions,
    /// both ways, which grow while they lead up and shrink to 1e-5 when they do not. `y` receives
    /// `dim` values; returns log p there.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn mode(&self, h: &[f32], y: &mut [f32]) -> f64 {
        assert_eq!(
            (h.len(), y.len()),
            (self.features, self.config.dim),
            "one row of features, one target"
        );
        let (d, mut scratch) = (self.config.dim, FlowScratch::default());
        let anchors = self.anchors(h, &mut scratch);
        let mut starts = Vec::with_capacity(self.components.len() * d);
        let mut raw = vec![0.0; self.config.component_width()];
        for component in &self.components {
            component.forward(h, 1, false, &mut raw);
            let mut start = raw[..d].to_vec();
            start
                .iter_mut()
                .zip(&anchors)
                .for_each(|(y, anchor)| *y += anchor);
            self.flow.inverse(h, &mut start, &mut scratch);
            starts.extend(start);
        }
        let best_of = |points: &[f32]| -> (f64, Vec<f32>) {
            let there = self
                .log_prob(&h.repeat(points.len() / d), points)
                .into_iter()
                .zip(points.chunks_exact(d));
            let first = (f64::MIN, &points[..d]);
            let (best, point) = there.fold(
                first,
                |best, here| if here.0 > best.0 { here } else { best },
            );
            (best, point.to_vec())
        };
        let (mut best, mut at) = best_of(&starts);
        let mut rng = stream(0, "density/mode", &[]);
        let (mut step, mut directions, mut points) = (0.25f32, vec![0.0; 2 * d * d], Vec::new());
        while step > 1e-5 {
            fill_normal(&mut rng, &mut directions);
            directions[..d * d]
                .iter_mut()
                .enumerate()
                .for_each(|(i, v)| *v = f32::from(u8::from(i % d == i / d)));
            points.clear();
            for direction in directions.chunks_exact(d) {
                let length = direction
                    .iter()
                    .map(|v| v * v)
                    .sum::<f32>()
                    .sqrt()
                    .max(f32::MIN_POSITIVE);
                for sign in [step / length, -step / length] {
                    points.extend(at.iter().zip(direction).map(|(y, v)| y + sign * v));
                }
            }
            let (there, point) = best_of(&points);
            if there > best {
                (best, at) = (there, point);
                step *= 1.5;
            } else {
                step *= 0.5;
            }
        }
        y.copy_from_slice(&at);
        best
    }
}

/// Buffers of [`Density::sample`], reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct SampleScratch {
    logits: Vec<f32>,
    /// Component and row (or, with a mixture for each value, row and value), sorted.
    order: Vec<(usize, usize)>,
    /// Rows of one component.
    members: Vec<usize>,
    features: Vec<f32>,
    raw: Vec<f32>,
    buffers: Option<Buffers>,
    flow: FlowScratch,
}
