//! Pictures of the first regime.

use serde::Serialize;

use super::figures::Regime;
use crate::{
    memory::Calibration,
    pictures::Series,
    run::Result,
    studies::{likelihood::Likelihood, report::Picture},
};

/// Memories that pictures show.
const VARIANTS: [&str; 6] = [
    "rmdn",
    "rmdn-lowrank-cov",
    "rmdn-full",
    "frmdn",
    "frmdn-conditional",
    "frmdn-spline",
];

/// The pictures of one regime.
#[derive(Serialize)]
pub struct Pictures {
    kl: String,
    pictures: Vec<Picture>,
}

pub fn plot(plan: &Likelihood, regime: &Regime<'_>) -> Result<Pictures> {
    let mut variants = VARIANTS.to_vec();
    variants.retain(|variant| !regime.trained(variant).is_empty());
    let plot = |file, title, axes, series: Vec<Series>| {
        Picture::plot(&plan.out, file, title, axes, &series)
    };
    let pictures = vec![
        plot(
            "training.png",
            "Held-out likelihood in training",
            ["update", "nats above the floor"],
            training(regime, &variants),
        )?,
        plot(
            "open-loop.png",
            "Open-loop error",
            ["steps ahead", "squared error / variance"],
            open_loop(regime, &variants),
        )?,
        plot(
            "pit-values.png",
            "PIT of values",
            ["rank among 19 draws", "share / level"],
            ranks(regime, &variants, |calibration| &calibration.values),
        )?,
        plot(
            "pit-likelihoods.png",
            "PIT of likelihoods",
            ["rank among 19 draws", "share / level"],
            ranks(regime, &variants, |calibration| &calibration.likelihoods),
        )?,
    ];
    let kl = regime.target_kl.to_string();
    Ok(Pictures { kl, pictures })
}

/// Held-out nats above the floor, means over runs.
fn training(regime: &Regime<'_>, variants: &[&str]) -> Vec<Series> {
    let mut series = Vec::new();
    for variant in variants {
        let runs = regime.trained(variant);
        let mut points = Vec::new();
        for (i, [update, _]) in runs[0].curve.iter().enumerate().skip(1) {
            let nats = runs.iter().filter_map(|r| r.curve.get(i).map(|c| c[1]));
            let nats: Vec<f64> = nats.collect();
            points.push((*update, nats.iter().sum::<f64>() / nats.len() as f64));
        }
        series.push(Series::new(variant, points));
    }
    series
}

/// Open-loop errors of five memories at most, and of `copy`.
fn open_loop(regime: &Regime<'_>, variants: &[&str]) -> Vec<Series> {
    let errors = |variant: &str, side: usize| {
        let mut points = Vec::new();
        for (i, steps) in regime.horizons(variant).into_iter().enumerate() {
            points.push((steps, regime.open_loop(variant, i)[side]));
        }
        points
    };
    let mut series = Vec::new();
    for variant in variants.iter().take(5) {
        series.push(Series::new(variant, errors(variant, 0)));
    }
    if let Some(variant) = variants.first() {
        series.push(Series::new("copy", errors(variant, 1)));
    }
    series
}

/// Histograms of ranks over their level.
fn ranks<const N: usize>(
    regime: &Regime<'_>,
    variants: &[&str],
    counts: impl Fn(&Calibration) -> &[u64; N],
) -> Vec<Series> {
    let mut series = Vec::new();
    for variant in variants {
        let calibration = regime.calibration(variant);
        let counts = counts(&calibration);
        let level = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
        let points = counts.iter().enumerate();
        let points = points.map(|(rank, &count)| (rank as f64, count as f64 / level));
        series.push(Series::new(variant, points.collect()));
    }
    series
}
