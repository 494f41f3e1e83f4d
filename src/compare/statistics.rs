//! Paired hierarchical bootstrap: seeds first, then episodes.

use std::collections::HashMap;

use frmdn_engine::random::stream;
use rand::RngExt;

/// Replicates of a bootstrap.
const REPLICATES: u64 = 4000;

/// Nats above the floor and steps of each test episode of one trained memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Training run: the V it stands on and the memory's seed.
    pub cell: String,
    /// Per episode: nats above the floor, and steps.
    pub episodes: Vec<[f64; 2]>,
    /// Name of what the episodes are the same of in every cell that has this name (test episodes, tracks, a bank): they are drawn once
    /// for all of these cells, since their chances do not average out over memories. `None`: episodes of its own.
    pub common: Option<String>,
    /// Consecutive episodes that are drawn together, because they have a track in common.
    pub unit: usize,
}

impl Sample {
    /// Episodes that no other cell has.
    pub fn own(cell: String, episodes: Vec<[f64; 2]>) -> Self {
        Self { cell, episodes, common: None, unit: 1 }
    }

    /// The same, but of episodes that the other cells of `common` have too, `unit` by `unit`.
    #[must_use]
    pub fn common(self, common: &str, unit: usize) -> Self {
        Self { common: Some(common.to_owned()), unit: unit.max(1), ..self }
    }
}

/// A figure and the middle 95 % of its bootstrap replicates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// On the data themselves.
    pub value: f64,
    /// 2.5 % and 97.5 % quantile.
    pub ci95: [f64; 2],
    /// Two-sided bootstrap probability of the other side of zero, at least one in the number of replicates.
    pub p: f64,
}

/// Sums over episodes of one trained memory, or whatever pairs of numbers a statistic is made of.
type Episodes = Vec<[f64; 2]>;

/// Mean over cells of the ratio of the sums: nats above the floor a step, or, where the second number is 1, a plain mean.
fn mean(cells: &[Episodes]) -> f64 {
    let of = |episodes: &Episodes| {
        let sums = episodes.iter().fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
        sums[0] / sums[1].max(1.0)
    };
    cells.iter().map(of).sum::<f64>() / cells.len() as f64
}

/// The interval of `figure` of the mean nats a step of `a` and, in the same cells and episodes, of `b`. Cells that one of them lacks
/// are left out; `None` if there are none.
pub fn bootstrap(a: &[Sample], b: &[Sample], figure: impl Fn(f64, f64) -> f64) -> Option<Interval> {
    bootstrap_of(a, b, mean, figure)
}

/// The same for any `statistic` of the cells' episodes. Replicates in which the figure is not a number are left out.
pub fn bootstrap_of(
    a: &[Sample],
    b: &[Sample],
    statistic: impl Fn(&[Episodes]) -> f64,
    figure: impl Fn(f64, f64) -> f64,
) -> Option<Interval> {
    let pairs: Vec<(&Sample, &Sample)> = a
        .iter()
        .filter_map(|a| b.iter().find(|b| b.cell == a.cell && b.episodes.len() == a.episodes.len()).map(|b| (a, b)))
        .filter(|(a, _)| !a.episodes.is_empty())
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let (a, b): (Vec<&Sample>, Vec<&Sample>) = pairs.into_iter().unzip();
    let all: Vec<(usize, Vec<usize>)> = a.iter().enumerate().map(|(i, s)| (i, (0..s.episodes.len()).collect())).collect();
    let of = |cells: &[&Sample], chosen: &[(usize, Vec<usize>)]| {
        let drawn = chosen.iter().map(|(cell, episodes)| episodes.iter().map(|&e| cells[*cell].episodes[e]).collect());
        statistic(&drawn.collect::<Vec<Episodes>>())
    };
    let value = figure(of(&a, &all), of(&b, &all));
    let mut replicates: Vec<f64> = (0..REPLICATES)
        .map(|i| {
            let mut rng = stream(0, "compare/bootstrap", &[i]);
            let mut common: HashMap<(&str, usize), Vec<usize>> = HashMap::new();
            let mut draw = |sample: &Sample| -> Vec<usize> {
                let (n, unit) = (sample.episodes.len(), sample.unit);
                let units = n / unit;
                (0..units).map(|_| rng.random_range(0..units)).flat_map(|i| i * unit..(i + 1) * unit).collect()
            };
            // The common ones first: what a cell is given does not depend on which cells were drawn before it.
            for sample in &a {
                if let Some(name) = &sample.common {
                    common.entry((name, sample.episodes.len())).or_insert_with(|| draw(sample));
                }
            }
            let mut cells = stream(0, "compare/bootstrap/cells", &[i]);
            let chosen: Vec<(usize, Vec<usize>)> = (0..a.len())
                .map(|_| {
                    let cell = cells.random_range(0..a.len());
                    let sample = a[cell];
                    let shared = sample.common.as_deref().and_then(|name| common.get(&(name, sample.episodes.len())));
                    (cell, shared.cloned().unwrap_or_else(|| draw(sample)))
                })
                .collect();
            figure(of(&a, &chosen), of(&b, &chosen))
        })
        .filter(|v| v.is_finite())
        .collect();
    if replicates.is_empty() {
        return None;
    }
    replicates.sort_by(f64::total_cmp);
    let quantile = |q: f64| replicates[((replicates.len() - 1) as f64 * q).round() as usize];
    let below = replicates.iter().filter(|v| **v <= 0.0).count().min(replicates.iter().filter(|v| **v >= 0.0).count());
    let p = (2.0 * below.max(1) as f64 / replicates.len() as f64).min(1.0);
    Some(Interval { value, ci95: [quantile(0.025), quantile(0.975)], p })
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
        let episodes = noise.iter().map(|n| [f64::from((mean + n) * 50.0), 50.0]).collect();
        Sample::own(cell.to_string(), episodes)
    }

    /// Episodes differ by 1 nat, memories by 0.2 in the same episodes: paired, the interval of the difference is narrow; with one
    /// cell the interval of the mean has the width of a standard error of 1/√n.
    #[test]
    fn pairing_takes_the_episodes_out_and_the_mean_has_its_standard_error() {
        let mut noise = [0.0f32; 400];
        fill_normal(&mut stream(1, "bootstrap-test", &[]), &mut noise);
        let (a, b) = ([sample(0, 10.0, &noise)], [sample(0, 9.8, &noise)]);
        let difference = bootstrap(&a, &b, |a, b| a - b).unwrap();
        assert!((difference.value - 0.2).abs() < 1e-4 && difference.ci95[0] > 0.199 && difference.p < 0.001, "{difference:?}");
        let mean = bootstrap(&a, &a, |a, _| a).unwrap();
        let half = (mean.ci95[1] - mean.ci95[0]) / 2.0;
        assert!((half - 1.96 / 20.0).abs() < 0.015, "{mean:?}");
        // Cells that differ by ± 1 widen the interval of their mean, though episodes are many.
        let cells: Vec<Sample> = (0..4).map(|i| sample(i, 10.0 + i as f32 - 1.5, &noise)).collect();
        let mean = bootstrap(&cells, &cells, |a, _| a).unwrap();
        assert!((mean.ci95[1] - mean.ci95[0]) > 1.5, "{mean:?}");
        assert!(bootstrap(&a, &[sample(9, 1.0, &noise)], |a, _| a).is_none());
    }

    /// Four memories without differences on the same 400 episodes: their mean is as uncertain as that of one of them, not half as
    /// much; and where two episodes share a track, as uncertain as the tracks are.
    #[test]
    fn what_all_cells_share_does_not_average_out() {
        let mut noise = [0.0f32; 400];
        fill_normal(&mut stream(2, "bootstrap-test", &[]), &mut noise);
        let half = |cells: &[Sample]| {
            let i = bootstrap(cells, cells, |a, _| a).unwrap();
            (i.ci95[1] - i.ci95[0]) / 2.0
        };
        let own: Vec<Sample> = (0..4).map(|i| sample(i, 10.0, &noise)).collect();
        let common: Vec<Sample> = own.iter().map(|s| s.clone().common("tracks", 1)).collect();
        assert!(
            (half(&own) - 1.96 / 40.0).abs() < 0.008 && (half(&common) - 1.96 / 20.0).abs() < 0.015,
            "{} {}",
            half(&own),
            half(&common)
        );
        let twice: Vec<f32> = noise[..200].iter().flat_map(|n| [*n, *n]).collect();
        let pairs = half(&[sample(0, 10.0, &twice).common("tracks", 2)]);
        assert!((pairs - 1.96 / 200f64.sqrt()).abs() < 0.02, "{pairs}");
    }

    /// Hand calculation.
    #[test]
    fn holm_multiplies_by_what_is_left_and_never_falls() {
        let got = holm(&[0.01, 0.04, 0.03, 0.005]);
        assert!(got.iter().zip([0.03, 0.06, 0.06, 0.02]).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
    }
}
