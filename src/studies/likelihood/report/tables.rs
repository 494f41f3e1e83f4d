//! The tables of one regime.

use serde::Serialize;

use super::{
    BASELINE,
    claims::PRIMARY,
    figures::{Regime, nats, percent},
};
use crate::{
    memory::Calibration,
    studies::{
        likelihood::{
            judge::Finished,
            linear::{self, Linear},
        },
        report::Table,
        statistics::{Interval, format_p, holm},
    },
};

/// The figures of one regime.
#[derive(Serialize)]
pub struct RegimeReport {
    kl: String,
    floor: String,
    runs: usize,
    memories: Table,
    linear: Option<LinearReport>,
    by_driver: Table,
    open_loop: OpenLoop,
}

/// The linear predictor's nats above the floor.
#[derive(Serialize)]
struct LinearReport {
    latents: usize,
    actions: usize,
    episodes: usize,
    diagonal: String,
    full: String,
}

/// Open-loop errors and calibration.
#[derive(Serialize)]
struct OpenLoop {
    table: Table,
    /// Number of latents that were ranked, and the calibration error of a perfect memory, per cent.
    ranks: u64,
    expected_error: String,
}

/// The report of `regime`; `linear` are the linear predictors on its data.
pub fn regime(
    regime: &Regime<'_>,
    variants: &[String],
    drivers: &[String],
    linear: &[&Linear],
) -> RegimeReport {
    let variants = regime.trained_variants(variants);
    RegimeReport {
        kl: regime.target_kl.to_string(),
        floor: format!("{:.3}", regime.floor(BASELINE)),
        runs: regime.runs.len(),
        memories: memories(regime, &variants),
        linear: (!linear.is_empty()).then(|| linear_report(linear)),
        by_driver: by_driver(regime, &variants, drivers),
        open_loop: open_loop(regime, &variants),
    }
}

fn memories(regime: &Regime<'_>, variants: &[&str]) -> Table {
    let heading = [
        "memory",
        "nats above the floor",
        "nats a step",
        "removed of rmdn's",
        "p (Holm)",
        "held out, in rmdn's time",
        "reward correlation",
        "end, nats",
        "parameters",
        "ms an update",
        "s in all",
        "µs a step, median / 99 %",
        "diverged",
    ];
    let removed: Vec<Option<Interval>> = variants
        .iter()
        .map(|variant| regime.removed(variant, BASELINE))
        .collect();
    let p_values = p_values(variants, &removed);
    let mut rows = Vec::new();
    for ((variant, removed), p) in variants.iter().zip(removed).zip(p_values) {
        rows.push(memory(regime, variant, removed, p));
    }
    Table::new(&heading, rows)
}

/// The p-value of each variant's contrast with the baseline, which has none itself. The primary
/// contrast stands alone; the rest is corrected.
fn p_values(variants: &[&str], removed: &[Option<Interval>]) -> Vec<String> {
    let is_corrected = |variant: &str| variant != BASELINE && variant != PRIMARY;
    let mut uncorrected = Vec::new();
    for (variant, removed) in variants.iter().zip(removed) {
        if let (true, Some(removed)) = (is_corrected(variant), removed) {
            uncorrected.push(removed.p);
        }
    }
    let mut corrected = holm(&uncorrected).into_iter();
    let mut out = Vec::new();
    for (variant, removed) in variants.iter().zip(removed) {
        out.push(match removed {
            Some(_) if is_corrected(variant) => corrected.next().map_or_else(String::new, format_p),
            Some(removed) if *variant == PRIMARY => format!("{} (primary)", format_p(removed.p)),
            _ => String::new(),
        });
    }
    out
}

fn memory(
    regime: &Regime<'_>,
    variant: &str,
    removed: Option<Interval>,
    p_value: String,
) -> Vec<String> {
    let (sums, runs) = (regime.sums(variant), regime.trained(variant));
    let judged = sums.evaluation();
    let seconds = regime.seconds(variant);
    let baseline_seconds = regime.seconds(BASELINE) * regime.updates(BASELINE);
    let in_baseline_time = regime.mean(variant, |run| {
        at_update(run, baseline_seconds / seconds).unwrap_or(f64::NAN)
    });
    let in_baseline_time = if in_baseline_time.is_finite() {
        format!("{in_baseline_time:.3}")
    } else {
        "–".into()
    };
    let [median, slow] = regime.step_us(variant);
    let diverged = regime.diverged(variant);
    vec![
        variant.to_owned(),
        nats(regime.above_floor(variant, |_| true)),
        format!("{:.3}", sums.nll / sums.steps),
        percent(removed),
        p_value,
        in_baseline_time,
        format!("{:.3}", judged.reward_correlation),
        format!("{:.4}", judged.done_bce),
        format!("{}", runs.first().map_or(0, |r| r.parameters)),
        format!("{:.1}", 1e3 * seconds),
        format!("{:.0}", seconds * regime.updates(variant)),
        format!("{median:.1} / {slow:.1}"),
        format!("{diverged} of {}", diverged + runs.len()),
    ]
}

/// Held-out nats above the floor of a run after `update` updates, between two held-out losses along
/// a line; of a shorter run the last one.
fn at_update(run: &Finished, update: f64) -> Option<f64> {
    match run.curve.iter().position(|[u, _]| *u >= update) {
        None => run.curve.last().map(|[_, nats]| *nats),
        Some(0) => None,
        Some(i) => {
            let ([u0, n0], [u1, n1]) = (run.curve[i - 1], run.curve[i]);
            Some(n0 + (n1 - n0) * (update - u0) / (u1 - u0))
        }
    }
}

fn linear_report(linear: &[&Linear]) -> LinearReport {
    let mean = |value: fn(&Linear) -> f64| {
        let sum = linear.iter().map(|l| value(l)).sum::<f64>();
        format!("{:.3}", sum / linear.len() as f64)
    };
    LinearReport {
        latents: linear::PAST,
        actions: linear::ACTIONS,
        episodes: linear::EPISODES,
        diagonal: mean(|l| l.diagonal),
        full: mean(|l| l.full),
    }
}

fn by_driver(regime: &Regime<'_>, variants: &[&str], drivers: &[String]) -> Table {
    let mut heading = vec!["memory"];
    heading.extend(drivers.iter().map(String::as_str));
    let mut rows = Vec::new();
    for variant in variants {
        let mut row = vec![(*variant).to_owned()];
        for driver in 0..drivers.len() {
            row.push(nats(regime.above_floor(variant, |e| e.driver == driver)));
        }
        rows.push(row);
    }
    Table::new(&heading, rows)
}

fn open_loop(regime: &Regime<'_>, variants: &[&str]) -> OpenLoop {
    let horizons = variants
        .first()
        .map(|variant| regime.horizons(variant))
        .unwrap_or_default();
    let mut heading = vec!["memory".to_owned()];
    heading.extend(horizons.iter().map(|steps| format!("{steps} steps")));
    heading.extend(["PIT of values".into(), "PIT of likelihoods".into()]);
    let mut ranks = 0;
    let mut rows = Vec::new();
    for variant in variants {
        let mut row = vec![(*variant).to_owned()];
        for horizon in 0..horizons.len() {
            row.push(format!("{:.3}", regime.open_loop(variant, horizon)[0]));
        }
        let calibration = regime.calibration(variant);
        ranks = calibration.likelihoods.iter().sum::<u64>();
        for counts in [&calibration.values, &calibration.likelihoods] {
            row.push(format!("{:.1} %", 100.0 * Calibration::error(counts)));
        }
        rows.push(row);
    }
    if let Some(variant) = variants.first() {
        let mut row = vec!["copy".to_owned()];
        for horizon in 0..horizons.len() {
            row.push(format!("{:.3}", regime.open_loop(variant, horizon)[1]));
        }
        row.extend(["–".into(), "–".into()]);
        rows.push(row);
    }
    OpenLoop {
        table: Table { heading, rows },
        ranks,
        expected_error: format!("{:.1}", 100.0 * Calibration::expected_error(ranks)),
    }
}
