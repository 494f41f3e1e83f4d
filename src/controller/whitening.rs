//! The coordinates that a controller is evolved in: standardised values of [z, h], or fewer of them
//! along h's principal axes.

use serde::{Deserialize, Serialize};

use super::Controller;

/// An affine map of [z, h]: coordinate i is rows\[i\] · ([z, h] − mean).
///
/// One step size of CMA-ES then means the same change of an output for every weight, whatever the
/// scale of its feature; outputs can be scaled besides. The map is folded into the weights, so that
/// the acting controller is a [`Controller`] on [z, h] itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whitening {
    mean: Vec<f64>,
    /// One row of `mean.len()` values for each coordinate.
    rows: Vec<f64>,
    /// Factor of the parameters of each output; 1 where there is none.
    #[serde(default, rename = "outputs")]
    output_scale: Vec<f64>,
}

/// First and second moments of [z, h], summed over rows.
#[derive(Clone, Debug)]
pub struct Moments {
    n: f64,
    sum: Vec<f64>,
    /// Sums of products, `[features, features]`.
    products: Vec<f64>,
}

impl Moments {
    /// Sums over no rows yet.
    pub fn new(features: usize) -> Self {
        Self {
            n: 0.0,
            sum: vec![0.0; features],
            products: vec![0.0; features * features],
        }
    }

    /// Adds one row.
    pub fn add(&mut self, row: &[f32]) {
        self.n += 1.0;
        let d = self.sum.len();
        for (i, &x) in row.iter().enumerate() {
            let x = f64::from(x);
            self.sum[i] += x;
            // The lower triangle.
            for (sum, &y) in self.products[i * d..=i * d + i].iter_mut().zip(row) {
                *sum += x * f64::from(y);
            }
        }
    }

    fn mean(&self) -> Vec<f64> {
        self.sum.iter().map(|s| s / self.n.max(1.0)).collect()
    }

    fn covariance(&self, i: usize, j: usize) -> f64 {
        let (d, n) = (self.sum.len(), self.n.max(1.0));
        let products = self.products[i.max(j) * d + i.min(j)];
        (products - self.sum[i] * self.sum[j] / n) / n
    }

    fn sd(&self, i: usize) -> f64 {
        self.covariance(i, i).max(0.0).sqrt()
    }
}

/// A feature with a smaller standard deviation is treated as constant: its weight has no effect
/// instead of a huge one.
const MIN_SD: f64 = 1e-6;

impl Whitening {
    /// [z, h] itself.
    pub fn raw(features: usize) -> Self {
        let mut rows = vec![0.0; features * features];
        rows.iter_mut().step_by(features + 1).for_each(|x| *x = 1.0);
        Self {
            mean: vec![0.0; features],
            rows,
            output_scale: Vec::new(),
        }
    }

    /// Every value less its mean, in units of its standard deviation.
    pub fn standard(moments: &Moments) -> Self {
        let d = moments.sum.len();
        let mut rows = vec![0.0; d * d];
        for i in 0..d {
            let sd = moments.sd(i);
            if sd > MIN_SD {
                rows[i * d + i] = 1.0 / sd;
            }
        }
        Self {
            mean: moments.mean(),
            rows,
            output_scale: Vec::new(),
        }
    }

    /// The first `latent` values standardised, and the rest, which must be more than `axes` values,
    /// along its `axes` widest principal axes, in units of the widest one's standard deviation.
    pub fn principal(moments: &Moments, latent: usize, axes: usize) -> Self {
        let d = moments.sum.len();
        let mut map = Self::standard(moments);
        map.rows.truncate(latent * d);
        let n = d - latent;
        let mut covariance = Vec::with_capacity(n * n);
        for i in latent..d {
            for j in latent..d {
                covariance.push(moments.covariance(i, j));
            }
        }
        let found = principal_axes(&covariance, n, axes);
        let scale = match found.first() {
            Some((variance, _)) => 1.0 / variance.sqrt().max(MIN_SD),
            None => 1.0,
        };
        for (_, axis) in found {
            map.rows.resize(map.rows.len() + latent, 0.0);
            map.rows.extend(axis.iter().map(|x| x * scale));
        }
        map
    }

    /// The same coordinates, with the parameters of output i multiplied by `scale[i]`: for outputs
    /// that change their action less than others, as one far in the tail of its tanh does.
    #[must_use]
    pub fn with_output_scale(self, scale: &[f64]) -> Self {
        Self {
            output_scale: scale.to_vec(),
            ..self
        }
    }

    fn scale_of(&self, i: usize) -> f64 {
        self.output_scale.get(i).copied().unwrap_or(1.0)
    }

    /// The parameters of the controller whose outputs are `rows[i] · (coordinates, 1)`.
    pub fn parameters(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        let mut x = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let scale = self.scale_of(i);
            x.extend(row.iter().map(|x| x / scale));
        }
        x
    }

    /// Number of values of [z, h].
    pub fn features(&self) -> usize {
        self.mean.len()
    }

    /// Number of coordinates.
    pub fn len(&self) -> usize {
        self.rows.len() / self.mean.len().max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of parameters of a controller in these coordinates.
    pub fn count(&self, actions: usize) -> usize {
        Controller::count(self.len(), actions)
    }

    /// The controller with the parameters `x`: for each action one weight for each coordinate and a
    /// bias.
    pub fn controller(&self, actions: usize, x: &[f64]) -> Controller {
        let (d, n) = (self.mean.len(), self.len());
        let mut weights = Vec::with_capacity(Controller::count(d, actions));
        for (i, x) in x.chunks_exact(n + 1).enumerate() {
            let scale = self.scale_of(i);
            let mut row = vec![0.0; d];
            for (x, coordinate) in x.iter().zip(self.rows.chunks_exact(d)) {
                for (weight, r) in row.iter_mut().zip(coordinate) {
                    *weight += scale * x * r;
                }
            }
            let bias = scale * x[n] - row.iter().zip(&self.mean).map(|(w, m)| w * m).sum::<f64>();
            row.push(bias);
            weights.extend(row.into_iter().map(|w| w as f32));
        }
        Controller::new(d, actions, weights)
    }

    /// The coordinates of one row of [z, h].
    pub fn of(&self, features: &[f32]) -> Vec<f64> {
        let d = self.mean.len();
        let centred: Vec<f64> = features
            .iter()
            .zip(&self.mean)
            .map(|(&x, m)| f64::from(x) - m)
            .collect();
        self.rows
            .chunks_exact(d)
            .map(|row| row.iter().zip(&centred).map(|(r, x)| r * x).sum())
            .collect()
    }
}

/// The `count` largest eigenvalues of a symmetric positive matrix with their vectors, by orthogonal
/// iteration (Golub & Van Loan, section 8.2). Axes of nearly the same variance may be mixed; as
/// coordinates they serve as well.
fn principal_axes(matrix: &[f64], n: usize, count: usize) -> Vec<(f64, Vec<f64>)> {
    const ROUNDS: usize = 300;
    let product = |v: &[f64]| -> Vec<f64> {
        matrix
            .chunks_exact(n)
            .map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
            .collect()
    };
    // Cosines of different frequencies are independent, and no axis of a real covariance is
    // orthogonal to all of them.
    let mut axes: Vec<Vec<f64>> = (0..count.min(n))
        .map(|j| {
            (0..n)
                .map(|i| libm::cos(std::f64::consts::PI * (i as f64 + 0.5) * j as f64 / n as f64))
                .collect()
        })
        .collect();
    orthonormalise(&mut axes);
    for _ in 0..ROUNDS {
        axes.iter_mut().for_each(|v| *v = product(v));
        orthonormalise(&mut axes);
    }
    axes.into_iter()
        .map(|v| (product(&v).iter().zip(&v).map(|(a, b)| a * b).sum(), v))
        .collect()
}

/// Gram–Schmidt, each vector twice because of rounding.
fn orthonormalise(axes: &mut [Vec<f64>]) {
    for j in 0..axes.len() {
        let (done, rest) = axes.split_at_mut(j);
        let v = &mut rest[0];
        for _ in 0..2 {
            for u in done.iter() {
                let along: f64 = u.iter().zip(v.iter()).map(|(a, b)| a * b).sum();
                for (v, u) in v.iter_mut().zip(u) {
                    *v -= along * u;
                }
            }
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        for x in v.iter_mut() {
            *x /= norm.max(f64::MIN_POSITIVE);
        }
    }
}

#[cfg(test)]
mod tests {
    use frmdn_engine::random::{fill_normal, stream};

    use super::*;

    /// Rows [z, h] = [3 + 2 a, b, 5 b + 0.1 c, 7] of independent standard normal a, b, c.
    fn moments() -> (Moments, Vec<[f32; 4]>) {
        let mut rng = stream(1, "coordinates-test", &[]);
        let rows: Vec<[f32; 4]> = (0..20_000)
            .map(|_| {
                let mut e = [0.0f32; 3];
                fill_normal(&mut rng, &mut e);
                [3.0 + 2.0 * e[0], e[1], 5.0 * e[1] + 0.1 * e[2], 7.0]
            })
            .collect();
        let mut moments = Moments::new(4);
        rows.iter().for_each(|r| moments.add(r));
        (moments, rows)
    }

    fn spread(map: &Whitening, rows: &[[f32; 4]]) -> Vec<[f64; 2]> {
        let all: Vec<Vec<f64>> = rows.iter().map(|r| map.of(r)).collect();
        (0..map.len())
            .map(|i| {
                let mean = all.iter().map(|c| c[i]).sum::<f64>() / all.len() as f64;
                [
                    mean,
                    (all.iter().map(|c| (c[i] - mean).powi(2)).sum::<f64>() / all.len() as f64)
                        .sqrt(),
                ]
            })
            .collect()
    }

    #[test]
    fn standard_coordinates_have_mean_zero_and_deviation_one_and_what_is_still_counts_nothing() {
        let (moments, rows) = moments();
        for (i, [mean, sd]) in spread(&Whitening::standard(&moments), &rows)
            .into_iter()
            .enumerate()
        {
            assert!(
                mean.abs() < 1e-6 && (sd - if i == 3 { 0.0 } else { 1.0 }).abs() < 1e-5,
                "{i}: {mean} {sd}"
            );
        }
    }

    /// The covariance of (b, 5 b + 0.1 c, 0) has its widest axis along (1, 5, 0)/√26, with variance
    /// 26 (+ 0.01 · 25/26).
    #[test]
    fn principal_coordinates_find_the_widest_axis() {
        let (moments, rows) = moments();
        let map = Whitening::principal(&moments, 1, 1);
        assert_eq!(map.len(), 2);
        let [_, [mean, sd]] = spread(&map, &rows)[..] else {
            panic!("two coordinates")
        };
        assert!(mean.abs() < 1e-6 && (sd - 1.0).abs() < 1e-5, "{mean} {sd}");
        let axis: Vec<f64> = map.rows[4..].iter().map(|x| x * 26f64.sqrt()).collect();
        let sign = axis[1].signum();
        for (found, wanted) in axis.iter().zip([0.0, 1.0, 5.0, 0.0]) {
            assert!(
                (sign * found * 26f64.sqrt() - wanted).abs() < 0.1,
                "{axis:?}"
            );
        }
    }

    #[test]
    fn parameters_of_an_output_count_as_often_as_it_says() {
        let (moments, rows) = moments();
        let (plain, scaled) = (
            Whitening::standard(&moments),
            Whitening::standard(&moments).with_output_scale(&[1.0, 3.0]),
        );
        let wanted: Vec<Vec<f64>> = [1.0, 2.0]
            .map(|k| (0..5).map(|i| f64::from(i) - k).collect())
            .to_vec();
        let x = scaled.parameters(&wanted);
        assert_eq!((x[4], x[9]), (wanted[0][4], wanted[1][4] / 3.0));
        let (one, other) = (
            plain.controller(2, &plain.parameters(&wanted)),
            scaled.controller(2, &x),
        );
        for row in &rows[..20] {
            let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
            one.outputs(&row[..1], &row[1..], &mut a);
            other.outputs(&row[..1], &row[1..], &mut b);
            assert!(
                a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4),
                "{a:?} {b:?}"
            );
        }
    }

    /// W c + b of the coordinates c is what the folded controller gives for [z, h].
    #[test]
    fn the_map_is_folded_into_the_weights() {
        let (moments, rows) = moments();
        for map in [
            Whitening::raw(4),
            Whitening::standard(&moments),
            Whitening::principal(&moments, 1, 2),
        ] {
            let x: Vec<f64> = (0..map.count(2)).map(|i| (i as f64).sin()).collect();
            let controller = map.controller(2, &x);
            for row in &rows[..20] {
                let c = map.of(row);
                let mut out = [0.0; 2];
                controller.outputs(&row[..1], &row[1..], &mut out);
                for (out, x) in out.iter().zip(x.chunks_exact(map.len() + 1)) {
                    let wanted = x[map.len()] + c.iter().zip(x).map(|(c, x)| c * x).sum::<f64>();
                    assert!((f64::from(*out) - wanted).abs() < 1e-4, "{out} {wanted}");
                }
            }
        }
    }
}
