//! Paired hierarchical bootstrap: seeds first, then episodes; its variance with Student's t where
//! there are few seeds.

use std::collections::HashMap;

use frmdn_engine::random::{Pcg64, stream};
use rand::RngExt;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::rollout::student_t_975;

/// Replicates of a bootstrap.
const REPLICATES: u64 = 4000;

/// Pairs of numbers of each episode of one trained memory: nats above the floor and steps, or
/// whatever a statistic is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Training run: the V it stands on and the memory's seed.
    pub cell: String,
    /// One pair an episode.
    pub episodes: Vec<[f64; 2]>,
    /// Name of what the episodes are the same of in every cell that has this name (test episodes,
    /// tracks, a bank): they are drawn once for all of these cells, since their noise does not
    /// average out over memories. `None`: episodes of its own.
    pub common: Option<String>,
    /// Consecutive episodes that are drawn together, because they have a track in common.
    pub unit: usize,
}

impl Sample {
    /// Episodes that no other cell has.
    pub fn own(cell: String, episodes: Vec<[f64; 2]>) -> Self {
        Self {
            cell,
            episodes,
            common: None,
            unit: 1,
        }
    }

    /// Number of groups of episodes that are drawn apart.
    fn units(&self) -> usize {
        self.episodes.len() / self.unit
    }

    /// The same, but of episodes that the other cells of `common` have too, `unit` by `unit`.
    #[must_use]
    pub fn common(self, common: &str, unit: usize) -> Self {
        Self {
            common: Some(common.to_owned()),
            unit: unit.max(1),
            ..self
        }
    }
}

/// A figure with its uncertainty.
///
/// With two or three memories the bootstrap has only a few different means, all between the
/// memories' own: the middle 95 % of its replicates miss the true value in every second to fourth
/// case. So the bootstrap only provides the variance, in two parts: between cells, times n/(n − 1)
/// because the mean is estimated from the same cells, and, where cells have their episodes in
/// common, between episodes. The interval is Student's t with the degrees of freedom of Welch and
/// Satterthwaite (1946) for both parts. For the mean of cells with episodes of their own it is the
/// usual t interval of the cells' means.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// The figure of the data themselves.
    pub value: f64,
    /// The 95 % interval; of a single number, that number.
    pub ci95: [f64; 2],
    /// Two-sided p-value of the figure being zero; 1 for a single number. With one cell it is of
    /// the episodes alone.
    pub p: f64,
}

impl Interval {
    /// Of `value`, its variance by cells and by episodes, each with its degrees of freedom.
    fn new(value: f64, parts: [(f64, f64); 2]) -> Self {
        let parts: Vec<(f64, f64)> = parts
            .into_iter()
            .filter(|(variance, df)| *variance > 0.0 && *df > 0.0)
            .collect();
        let variance: f64 = parts.iter().map(|(v, _)| v).sum();
        if variance == 0.0 {
            return Self {
                value,
                ci95: [value, value],
                p: 1.0,
            };
        }
        let df = variance * variance / parts.iter().map(|(v, df)| v * v / df).sum::<f64>();
        let (se, t) = (
            variance.sqrt(),
            StudentsT::new(0.0, 1.0, df).expect("positive degrees of freedom"),
        );
        let half = student_t_975(df) * se;
        Self {
            value,
            ci95: [value - half, value + half],
            p: 2.0 * t.sf((value / se).abs()),
        }
    }
}

/// Sample variance.
fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0).max(1.0)
}

/// Sums over episodes of one trained memory, or whatever pairs of numbers a statistic is made of.
type Episodes = Vec<[f64; 2]>;

/// Mean over cells of the ratio of the sums: nats above the floor a step, or, where the second
/// number is 1, a plain mean.
fn mean(cells: &[Episodes]) -> f64 {
    let ratio = |episodes: &Episodes| {
        let sums = episodes
            .iter()
            .fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
        sums[0] / sums[1].max(1.0)
    };
    cells.iter().map(ratio).sum::<f64>() / cells.len() as f64
}

/// The interval of `figure` of the mean nats a step of `a` and, in the same cells and episodes, of
/// `b`. Cells that one of them lacks are left out; `None` if there are none.
pub fn bootstrap(a: &[Sample], b: &[Sample], figure: impl Fn(f64, f64) -> f64) -> Option<Interval> {
    bootstrap_of(a, b, mean, figure)
}

/// The same for any `statistic` of the cells' episodes. Replicates in which the figure is not a
/// number are left out.
pub fn bootstrap_of(
    a: &[Sample],
    b: &[Sample],
    statistic: impl Fn(&[Episodes]) -> f64,
    figure: impl Fn(f64, f64) -> f64,
) -> Option<Interval> {
    let (a, b) = common_cells(a, b);
    if a.is_empty() {
        return None;
    }
    let evaluate = |drawn: &[Cell]| {
        let [a, b] = [&a, &b].map(|samples| statistic(&episodes_of(samples, drawn)));
        figure(a, b)
    };
    let all: Vec<Cell> = (0..a.len())
        .map(|cell| (cell, (0..a[cell].episodes.len()).collect()))
        .collect();
    let value = evaluate(&all);
    // Of every replicate the figure with the cells drawn, and with the cells as they are.
    let (mut drawn, mut fixed) = (Vec::new(), Vec::new());
    for i in 0..REPLICATES {
        let mut replicate = Replicate::new(&a, i);
        drawn.push(evaluate(&replicate.drawn_cells()));
        fixed.push(evaluate(&replicate.all_cells()));
    }
    for figures in [&mut drawn, &mut fixed] {
        figures.retain(|v| v.is_finite());
    }
    if drawn.is_empty() || fixed.is_empty() {
        return None;
    }
    Some(Interval::new(value, variances(&a, &drawn, &fixed)))
}

/// The samples of `a` and of `b` in the cells that both have with equally many episodes.
fn common_cells<'a>(a: &'a [Sample], b: &'a [Sample]) -> (Vec<&'a Sample>, Vec<&'a Sample>) {
    let mut common = (Vec::new(), Vec::new());
    for a in a.iter().filter(|a| !a.episodes.is_empty()) {
        let is_same = |b: &&Sample| b.cell == a.cell && b.episodes.len() == a.episodes.len();
        if let Some(b) = b.iter().find(is_same) {
            common.0.push(a);
            common.1.push(b);
        }
    }
    common
}

/// Number of a sample and numbers of the episodes that were drawn of it.
type Cell = (usize, Vec<usize>);

fn episodes_of(samples: &[&Sample], drawn: &[Cell]) -> Vec<Episodes> {
    let mut out = Vec::new();
    for (cell, episodes) in drawn {
        let sample = &samples[*cell].episodes;
        out.push(episodes.iter().map(|&e| sample[e]).collect());
    }
    out
}

/// The random numbers of one replicate.
struct Replicate<'a> {
    samples: &'a [&'a Sample],
    episodes: Pcg64,
    cells: Pcg64,
    /// The episodes that were drawn once for all cells that have them in common, by the name and
    /// the number of these episodes.
    common: HashMap<(&'a str, usize), Vec<usize>>,
}

impl<'a> Replicate<'a> {
    fn new(samples: &'a [&'a Sample], number: u64) -> Self {
        let mut replicate = Self {
            samples,
            episodes: stream(0, "compare/bootstrap", &[number]),
            cells: stream(0, "compare/bootstrap/cells", &[number]),
            common: HashMap::new(),
        };
        // The common ones first: what a cell is given does not depend on which cells were drawn
        // before it.
        for sample in samples {
            if let Some(name) = &sample.common {
                let key = (name.as_str(), sample.episodes.len());
                if !replicate.common.contains_key(&key) {
                    let drawn = replicate.draw(sample);
                    replicate.common.insert(key, drawn);
                }
            }
        }
        replicate
    }

    /// As many units of `sample` as it has, with replacement.
    fn draw(&mut self, sample: &Sample) -> Vec<usize> {
        let units = sample.units();
        let mut drawn = Vec::with_capacity(sample.episodes.len());
        for _ in 0..units {
            let unit = self.episodes.random_range(0..units);
            drawn.extend(unit * sample.unit..(unit + 1) * sample.unit);
        }
        drawn
    }

    fn cell(&mut self, cell: usize) -> Cell {
        let sample = self.samples[cell];
        let common = sample
            .common
            .as_deref()
            .and_then(|name| self.common.get(&(name, sample.episodes.len())));
        match common {
            Some(episodes) => (cell, episodes.clone()),
            None => (cell, self.draw(sample)),
        }
    }

    /// As many cells as there are, with replacement, with their episodes.
    fn drawn_cells(&mut self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for _ in 0..self.samples.len() {
            let cell = self.cells.random_range(0..self.samples.len());
            cells.push(self.cell(cell));
        }
        cells
    }

    /// Every cell once, with its episodes.
    fn all_cells(&mut self) -> Vec<Cell> {
        (0..self.samples.len())
            .map(|cell| self.cell(cell))
            .collect()
    }
}

/// The variance of a figure by cells and by episodes, each with its degrees of freedom, from the
/// figures of all replicates with the cells drawn and with the cells as they are.
fn variances(samples: &[&Sample], drawn: &[f64], fixed: &[f64]) -> [(f64, f64); 2] {
    let n = samples.len() as f64;
    let units = samples.iter().map(|s| s.units()).min().unwrap_or_default() as f64;
    let inside = variance(fixed);
    let between = if samples.len() > 1 {
        (variance(drawn) - inside).max(0.0) * n / (n - 1.0)
    } else {
        0.0
    };
    // The noise of a cell's own episodes is part of how cells differ; that of common ones is not.
    let is_shared = samples.len() == 1 || samples.iter().any(|s| s.common.is_some());
    let inside = if is_shared && units > 1.0 {
        inside * units / (units - 1.0)
    } else {
        0.0
    };
    [(between, n - 1.0), (inside, units - 1.0)]
}

/// A p-value as reports print it.
pub fn format_p(p: f64) -> String {
    if p < 1e-4 {
        "< 0.0001".into()
    } else {
        format!("{p:.4}")
    }
}

/// Holm's correction of p-values, in their order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut out, mut most) = (vec![0.0; p.len()], 0.0f64);
    for (rank, &i) in order.iter().enumerate() {
        most = most.max(p[i] * (p.len() - rank) as f64).min(1.0);
        out[i] = most;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use frmdn_engine::random::fill_normal;

    fn sample(cell: usize, mean: f32, noise: &[f32]) -> Sample {
        let episodes = noise
            .iter()
            .map(|n| [f64::from((mean + n) * 50.0), 50.0])
            .collect();
        Sample::own(cell.to_string(), episodes)
    }

    /// Episodes differ by 1 nat, memories by 0.2 in the same episodes: paired, the interval of the
    /// difference is narrow; with one cell the interval of the mean has the width of a standard
    /// error of 1/√n.
    #[test]
    fn pairing_takes_the_episodes_out_and_the_mean_has_its_standard_error() {
        let mut noise = [0.0f32; 400];
        fill_normal(&mut stream(1, "bootstrap-test", &[]), &mut noise);
        let (a, b) = ([sample(0, 10.0, &noise)], [sample(0, 9.8, &noise)]);
        let difference = bootstrap(&a, &b, |a, b| a - b).unwrap();
        assert!(
            (difference.value - 0.2).abs() < 1e-4
                && difference.ci95[0] > 0.199
                && difference.p < 0.001,
            "{difference:?}"
        );
        let mean = bootstrap(&a, &a, |a, _| a).unwrap();
        let half = (mean.ci95[1] - mean.ci95[0]) / 2.0;
        assert!((half - 1.96 / 20.0).abs() < 0.015, "{mean:?}");
        // Cells that differ by ± 1 widen the interval of their mean, though episodes are many.
        let cells: Vec<Sample> = (0..4)
            .map(|i| sample(i, 10.0 + i as f32 - 1.5, &noise))
            .collect();
        let mean = bootstrap(&cells, &cells, |a, _| a).unwrap();
        assert!((mean.ci95[1] - mean.ci95[0]) > 1.5, "{mean:?}");
        assert!(bootstrap(&a, &[sample(9, 1.0, &noise)], |a, _| a).is_none());
    }

    /// Four memories without differences on the same 400 episodes: their mean is as uncertain as
    /// that of one of them, not half as much; and where two episodes share a track, as uncertain as
    /// the tracks are.
    #[test]
    fn what_all_cells_share_does_not_average_out() {
        let mut noise = [0.0f32; 400];
        fill_normal(&mut stream(2, "bootstrap-test", &[]), &mut noise);
        let half = |cells: &[Sample]| {
            let i = bootstrap(cells, cells, |a, _| a).unwrap();
            (i.ci95[1] - i.ci95[0]) / 2.0
        };
        let common: Vec<Sample> = (0..4)
            .map(|i| sample(i, 10.0, &noise).common("tracks", 1))
            .collect();
        assert!(
            (half(&common) - 1.96 / 20.0).abs() < 0.015,
            "{}",
            half(&common)
        );
        let twice: Vec<f32> = noise[..200].iter().flat_map(|n| [*n, *n]).collect();
        let pairs = half(&[sample(0, 10.0, &twice).common("tracks", 2)]);
        assert!((pairs - 1.96 / 200f64.sqrt()).abs() < 0.02, "{pairs}");
    }

    /// Means of three memories 1, 2 and 4: mean 2.333, standard error 1.5275/√3 = 0.8819, t(2) =
    /// 4.3027: half width 3.795, and p = 0.1178 (2 (1 − F(2.6458)), F(t) = ½ + t/(2 √(2 + t²)) for
    /// two degrees of freedom). Whether each has one episode or two.
    #[test]
    fn of_few_cells_it_is_the_interval_of_student() {
        for spread in [0.0, 0.3] {
            let cells: Vec<Sample> = [1.0, 2.0, 4.0]
                .iter()
                .enumerate()
                .map(|(i, m)| {
                    Sample::own(i.to_string(), vec![[m - spread, 1.0], [m + spread, 1.0]])
                })
                .collect();
            let i = bootstrap(&cells, &cells, |a, _| a).unwrap();
            let half = (i.ci95[1] - i.ci95[0]) / 2.0;
            assert!(
                (i.value - 7.0 / 3.0).abs() < 1e-12
                    && (half - 3.795).abs() < 0.12
                    && (i.p - 0.1178).abs() < 0.006,
                "{i:?}"
            );
        }
        let one = [Sample::own("0".into(), vec![[3.0, 1.0]])];
        assert_eq!(
            bootstrap(&one, &one, |a, _| a),
            Some(Interval {
                value: 3.0,
                ci95: [3.0, 3.0],
                p: 1.0
            })
        );
    }

    /// Cells that differ by ±1 (variance 5/3 of four) and 25 common episodes of standard deviation
    /// 2: variances 5/12 and 4/25 of the mean, with 3 and 24 degrees of freedom, 5.64 together.
    #[test]
    fn both_parts_have_their_degrees_of_freedom() {
        let mut noise = [0.0f32; 25];
        fill_normal(&mut stream(3, "bootstrap-test", &[]), &mut noise);
        let mean = noise.iter().sum::<f32>() / 25.0;
        let sd = (noise.iter().map(|n| (n - mean) * (n - mean)).sum::<f32>() / 24.0).sqrt();
        noise.iter_mut().for_each(|n| *n = (*n - mean) / sd * 2.0);
        let cells: Vec<Sample> = (0..4)
            .map(|i| sample(i, i as f32 - 1.5, &noise).common("tracks", 1))
            .collect();
        let i = bootstrap(&cells, &cells, |a, _| a).unwrap();
        // t(5.64) = 2.486, between 2.5706 and 2.4469, linear in 1/df.
        let half = 2.486 * (5.0f64 / 12.0 + 4.0 / 25.0).sqrt();
        assert!(
            ((i.ci95[1] - i.ci95[0]) / 2.0 - half).abs() < 0.04 * half
                && i.value.abs() < 1e-5
                && i.p > 0.99,
            "{i:?} {half}"
        );
    }

    /// Hand calculation.
    #[test]
    fn holm_multiplies_by_what_is_left_and_never_falls() {
        let got = holm(&[0.01, 0.04, 0.03, 0.005]);
        assert!(
            got.iter()
                .zip([0.03, 0.06, 0.06, 0.02])
                .all(|(a, b)| (a - b).abs() < 1e-12),
            "{got:?}"
        );
    }
}
