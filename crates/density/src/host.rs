//! The density on the engine: likelihoods, draws and summaries of many rows, without burn.

use frmdn_engine::{
    Params,
    linear::Linear,
    params::ParamError,
    random::{Pcg64, fill_normal, stream},
};

use rand_distr::{Distribution, StandardNormal};

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
    /// The estimate from independent draws.
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

/// Refuses a temperature that has no meaning.
///
/// # Panics
/// If it is negative, infinite or no number.
pub(crate) fn check_temperature(temperature: f32) {
    assert!(
        temperature >= 0.0 && temperature.is_finite(),
        "temperature {temperature} is impossible: it is a number of at least 0"
    );
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

    /// The configuration.
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

    /// Whether a component has a precision at its limit ([`DensityConfig::log_precision_limit`]), for
    /// each row of `h` `[rows, features]`.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn at_limit(&self, h: &[f32]) -> Vec<bool> {
        let (f, width, config) = (self.features, self.config.component_width(), &self.config);
        let rows = h.len() / f;
        assert_eq!(rows * f, h.len(), "rows of features");
        let mut raw = vec![0.0; ROWS.min(rows) * width];
        let mut out = Vec::with_capacity(rows);
        for h in h.chunks(ROWS * f) {
            let (rows, first) = (h.len() / f, out.len());
            out.resize(first + rows, false);
            for component in &self.components {
                let raw = &mut raw[..rows * width];
                component.forward(h, rows, false, raw);
                for (raw, out) in raw.chunks_exact(width).zip(&mut out[first..]) {
                    let mut log_precisions = raw[config.dim..2 * config.dim].iter();
                    *out |= log_precisions.any(|v| v.abs() >= config.log_precision_limit);
                }
            }
        }
        out
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
            for (x, anchor) in x.iter_mut().zip(self.anchors(h, &mut scratch)) {
                *x -= anchor;
            }
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
                        for i in 0..d {
                            joint[(row * d + i) * n + k] += component.log_prob_of(x, i);
                        }
                    } else {
                        joint[row * n + k] += component.log_prob(x, &mut buffers);
                    }
                }
            }
            for (joint, log_det) in joint.chunks_exact(n * choices).zip(log_det) {
                let mixtures = joint.chunks_exact(n);
                let log_mixture: f64 = mixtures.map(|l| log_sum_exp(l.iter().copied())).sum();
                out.push(log_mixture + log_det);
            }
        }
        out
    }

    /// A draw from p(· | h) at temperature τ for each of `rows` rows (equation 12): mixture logits
    /// divided by τ, noise times √τ, in the mixture's space. τ = 0 gives the likeliest component's
    /// mean. `h` is [rows, features], `y` receives [rows, dim]; row i draws from `rngs[i]`, and
    /// what it draws does not depend on the other rows.
    ///
    /// # Panics
    /// If a length disagrees, or the temperature is negative, infinite or no number.
    pub fn sample(
        &self,
        h: &[f32],
        temperature: f32,
        rngs: &mut [Pcg64],
        y: &mut [f32],
        scratch: &mut SampleScratch,
    ) {
        let (f, d, rows) = (self.features, self.config.dim, rngs.len());
        assert_eq!(
            (h.len(), y.len()),
            (rows * f, rows * d),
            "rows of features, and of draws"
        );
        check_temperature(temperature);
        self.choose_components(h, temperature, rngs, scratch);
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
        let (n, width) = (self.config.components, self.config.component_width());
        let (choices, factored) = (self.config.choices(), self.config.form == Form::Factored);
        let scale = f64::from(temperature).sqrt();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            members.clear();
            members.extend(group.iter().map(|&(_, at)| at / choices));
            members.dedup();
            features.clear();
            for &row in members.iter() {
                features.extend_from_slice(&h[row * f..(row + 1) * f]);
            }
            raw.resize(members.len() * width, 0.0);
            self.components[group[0].0].forward(features, members.len(), false, raw);
            for (&row, raw) in members.iter().zip(raw.chunks_exact(width)) {
                let component = Component::new(&self.config, raw);
                let y = &mut y[row * d..(row + 1) * d];
                if factored {
                    // Mean and standard deviation are stored until the row's generator draws, value
                    // after value.
                    for &(_, at) in group.iter().filter(|(_, at)| at / d == row) {
                        let i = at % d;
                        y[i] = component.mean()[i];
                        logits[at * n] = libm::exp(-0.5 * component.log_precision(i)) as f32;
                    }
                    continue;
                }
                y.copy_from_slice(component.mean());
                if temperature > 0.0 {
                    component.gaussian(&mut buffers.gaussian);
                    buffers
                        .gaussian
                        .sample(&mut rngs[row], &mut buffers.noise, &mut buffers.small);
                    for (y, noise) in y.iter_mut().zip(&buffers.noise) {
                        *y = (f64::from(*y) + scale * noise) as f32;
                    }
                }
            }
        }
        if factored && temperature > 0.0 {
            self.add_independent_noise(y, logits, scale, rngs);
        }
        if self.config.residual {
            for (y, anchor) in y.iter_mut().zip(self.anchors(h, flow)) {
                *y += anchor;
            }
        }
        self.flow.inverse(h, y, flow);
    }

    /// Draws the components of the rows of `h` into `scratch.order`, sorted by component: each row
    /// then pays for one component only, and products stay wide.
    fn choose_components(
        &self,
        h: &[f32],
        temperature: f32,
        rngs: &mut [Pcg64],
        scratch: &mut SampleScratch,
    ) {
        let (n, choices, rows) = (self.config.components, self.config.choices(), rngs.len());
        let SampleScratch { logits, order, .. } = scratch;
        logits.resize(rows * n * choices, 0.0);
        self.logits.forward(h, rows, false, logits);
        order.clear();
        for ((row, logits), rng) in logits.chunks_exact(n * choices).enumerate().zip(rngs) {
            for (i, logits) in logits.chunks_exact(n).enumerate() {
                let k = choose(logits, f64::from(temperature), rng);
                order.push((k, row * choices + i));
            }
        }
        order.sort_unstable();
    }

    /// Adds normal noise to every value of `y` `[rows, dim]`, with `scale` times the standard
    /// deviation that stands first among the value's numbers in `stored` `[rows, dim, components]`.
    fn add_independent_noise(&self, y: &mut [f32], stored: &[f32], scale: f64, rngs: &mut [Pcg64]) {
        let (d, n) = (self.config.dim, self.config.components);
        let rows = y.chunks_exact_mut(d).zip(stored.chunks_exact(d * n));
        for ((y, stored), rng) in rows.zip(rngs) {
            for (y, sd) in y.iter_mut().zip(stored.iter().step_by(n)) {
                let e: f64 = StandardNormal.sample(rng);
                *y = (f64::from(*y) + scale * f64::from(*sd) * e) as f32;
            }
        }
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
                *y += libm::exp(weights[if choices == 1 { k } else { i * n + k }]) as f32 * m;
            }
        }
        let mut scratch = FlowScratch::default();
        for (y, anchor) in y.iter_mut().zip(self.anchors(h, &mut scratch)) {
            *y += anchor;
        }
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
        let column = |i: usize| -> Vec<f64> {
            let values = y.iter().skip(i).step_by(d);
            values.map(|&v| f64::from(v)).collect()
        };
        (0..d).map(|i| Estimate::of(&column(i))).collect()
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

    /// A mode of one row `h`, by a pattern search from the likeliest image of a component's mean:
    /// steps along the axes and as many random directions, both ways, that grow while they lead up
    /// and otherwise shrink, down to 1e-5. `y` receives `dim` values; returns log p there.
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
            for (y, anchor) in start.iter_mut().zip(&anchors) {
                *y += anchor;
            }
            self.flow.inverse(h, &mut start, &mut scratch);
            starts.extend(start);
        }
        // The first of the likeliest.
        let best_of = |points: &[f32]| -> (f64, Vec<f32>) {
            let (mut best, mut at) = (f64::MIN, &points[..d]);
            let log_prob = self.log_prob(&h.repeat(points.len() / d), points);
            for (log_prob, point) in log_prob.into_iter().zip(points.chunks_exact(d)) {
                if log_prob > best {
                    (best, at) = (log_prob, point);
                }
            }
            (best, at.to_vec())
        };
        let (mut best, mut at) = best_of(&starts);
        let mut rng = stream(0, "density/mode", &[]);
        let (mut step, mut directions, mut points) = (0.25f32, vec![0.0; 2 * d * d], Vec::new());
        while step > 1e-5 {
            fill_normal(&mut rng, &mut directions);
            // The first d of them are the axes.
            directions[..d * d].fill(0.0);
            directions[..d * d]
                .iter_mut()
                .step_by(d + 1)
                .for_each(|v| *v = 1.0);
            points.clear();
            for direction in directions.chunks_exact(d) {
                let length = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
                let length = length.max(f32::MIN_POSITIVE);
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
    /// Component and row (with a mixture for each value: row · dim + value), sorted.
    order: Vec<(usize, usize)>,
    /// Rows of one component.
    members: Vec<usize>,
    features: Vec<f32>,
    raw: Vec<f32>,
    buffers: Option<Buffers>,
    flow: FlowScratch,
}
