//! Paired hierarchical bootstrap: seeds first, then episodes; its variance with Student's t where
//! there are few seeds.

use std::collections::HashMap;

use frmdn_engine::random::stream;
use rand::RngExt;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::rollout::student_t_975;

/// Replicates of a bootstrap.
const REPLICATES: u64 = 4000;

/// Nats above the floor and steps of each test episode of one trained memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Training run: the V it stands on and the memory's seed.
    pub cell: String,
    /// Per episode: nats above the floor, and steps.
    pub episodes: Vec<[f64; 2]>,
    /// Name of what the episodes are the same of in every cell that has this name (test episodes,
    /// tracks, a bank): they are drawn once for all of these cells, since their chances do not
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

    /// Episodes that are drawn apart.
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

/// A figure and how sure it is.
///
/// Of two or three memories the bootstrap has but a few different means, all of them between the
/// memories' own: the middle 95 % of its replicates leave out the truth in every second to fourth
/// case. So what the bootstrap gives is the variance, in two parts: of which cells there are, with
/// n/(n − 1) for the mean being theirs, and, where cells have their episodes in common, of which
/// these are. The interval is Student's t, its degrees of freedom Welch and Satterthwaite's (1946)
/// of both parts. For the mean of cells with episodes of their own it is the usual t interval of
/// the cells' means.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// On the data themselves.
    pub value: f64,
    /// The 95 % interval; of a single number, that number.
    pub ci95: [f64; 2],
    /// Two-sided probability of a figure as far from zero if there were nothing; 1 for a single
    /// number. Of one cell it speaks of the episodes alone.
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
    let of = |episodes: &Episodes| {
        let sums = episodes
            .iter()
            .fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
        sums[0] / sums[1].max(1.0)
    };
    cells.iter().map(of).sum::<f64>() / cells.len() as f64
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
    let pairs: Vec<(&Sample, &Sample)> = a
        .iter()
        .filter_map(|a| {
            b.iter()
                .find(|b| b.cell == a.cell && b.episodes.len() == a.episodes.len())
                .map(|b| (a, b))
        })
        .filter(|(a, _)| !a.episodes.is_empty())
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let (a, b): (Vec<&Sample>, Vec<&Sample>) = pairs.into_iter().unzip();
    let all: Vec<(usize, Vec<usize>)> = a
        .iter()
        .enumerate()
        .map(|(i, s)| (i, (0..s.episodes.len()).collect()))
        .collect();
    let of = |cells: &[&Sample], chosen: &[(usize, Vec<usize>)]| {
        let drawn = chosen
            .iter()
            .map(|(cell, episodes)| episodes.iter().map(|&e| cells[*cell].episodes[e]).collect());
        statistic(&drawn.collect::<Vec<Episodes>>())
    };
    let value = figure(of(&a, &all), of(&b, &all));
    // Of every replicate the figure with the cells drawn, and with the cells as they are.
    let (mut drawn, mut fixed) = (Vec::new(), Vec::new());
    for i in 0..REPLICATES {
        let mut rng = stream(0, "compare/bootstrap", &[i]);
        let mut common: HashMap<(&str, usize), Vec<usize>> = HashMap::new();
        let mut draw = |sample: &Sample| -> Vec<usize> {
            let units = sample.units();
            (0..units)
                .map(|_| rng.random_range(0..units))
                .flat_map(|i| i * sample.unit..(i + 1) * sample.unit)
                .collect()
        };
        // The common ones first: what a cell is given does not depend on which cells were drawn
        // before it.
        for sample in &a {
            if let Some(name) = &sample.common {
                common
                    .entry((name, sample.episodes.len()))
                    .or_insert_with(|| draw(sample));
            }
        }
        let mut cells = stream(0, "compare/bootstrap/cells", &[i]);
        let mut chosen = |cell: usize| {
            let sample = a[cell];
            let shared = sample
                .common
                .as_deref()
                .and_then(|name| common.get(&(name, sample.episodes.len())));
            (cell, shared.cloned().unwrap_or_else(|| draw(sample)))
        };
        let of_cells: Vec<_> = (0..a.len())
            .map(|_| chosen(cells.random_range(0..a.len())))
            .collect();
        drawn.push(figure(of(&a, &of_cells), of(&b, &of_cells)));
        let as_they_are: Vec<_> = (0..a.len()).map(&mut chosen).collect();
        fixed.push(figure(of(&a, &as_they_are), of(&b, &as_they_are)));
    }
    for list in [&mut drawn, &mut fixed] {
        list.retain(|v| v.is_finite());
    }
    if drawn.is_empty() || fixed.is_empty() {
        return None;
    }
    let (inside, n, units) = (
        variance(&fixed),
        a.len() as f64,
        a.iter().map(|s| s.units()).min().unwrap_or_default() as f64,
    );
    let between = if a.len() > 1 {
        (variance(&drawn) - inside).max(0.0) * n / (n - 1.0)
    } else {
        0.0
    };
    // Chances of a cell's own episodes are part of how cells differ; those of common ones are not.
    let shared = a.len() == 1 || a.iter().any(|s| s.common.is_some());
    let inside = if shared && units > 1.0 {
        inside * units / (units - 1.0)
    } else {
        0.0
    };
    Some(Interval::new(
        value,
        [(between, n - 1.0), (inside, units - 1.0)],
    ))
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
