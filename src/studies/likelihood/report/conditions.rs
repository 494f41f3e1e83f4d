//! Memories under special conditions, on the first data and seed: other target noises, and a driver
//! they were not trained with.

use serde::Serialize;

use super::{
    BASELINE,
    figures::{nats, percent},
};
use crate::{
    pictures::Series,
    run::Result,
    studies::{
        likelihood::{
            Likelihood,
            judge::{Finished, TestEpisode},
        },
        report::{Picture, Table},
        statistics::{Sample, bootstrap},
    },
};

/// Memories trained with other target noises.
#[derive(Serialize)]
pub struct Noises {
    table: Table,
    picture: Picture,
}

/// Those of other noises than `own`, that of all memories, beside it. `None` before a run with another
/// noise is finished.
pub fn noises(plan: &Likelihood, finished: &[Finished], own: f64) -> Result<Option<Noises>> {
    let heading = [
        "noise",
        "memory",
        "nats above the floor",
        "removed of rmdn's",
        "nats gained",
    ];
    let (mut rows, mut curves) = (Vec::new(), vec![Vec::new(); plan.noisy.len()]);
    for noise in std::iter::once(own).chain(plan.noises.iter().copied()) {
        let baseline = with_noise(finished, BASELINE, noise);
        for (variant, curve) in plan.noisy.iter().zip(&mut curves) {
            let samples = with_noise(finished, &variant.to_string(), noise);
            let above = bootstrap(&samples, &samples, |a, _| a);
            let removed = bootstrap(&samples, &baseline, |a, b| 1.0 - a / b);
            let gained = bootstrap(&baseline, &samples, |a, b| a - b);
            if let (true, Some(removed)) = (noise > 0.0, removed) {
                curve.push((libm::log10(noise), 100.0 * removed.value));
            }
            if above.is_some() {
                let name = if noise == 0.0 {
                    "V's posterior".to_owned()
                } else {
                    format!("{noise} of the latents' sd")
                };
                let variant = variant.to_string();
                rows.push(vec![
                    name,
                    variant,
                    nats(above),
                    percent(removed),
                    nats(gained),
                ]);
            }
        }
    }
    if rows.len() <= plan.noisy.len() {
        return Ok(None);
    }
    let picture = noise_picture(plan, curves)?;
    let table = Table::new(&heading, rows);
    Ok(Some(Noises { table, picture }))
}

/// The runs of `variant` with `noise` on the first data and seed.
fn with_noise(finished: &[Finished], variant: &str, noise: f64) -> Vec<Sample> {
    finished
        .iter()
        .filter(|r| r.variant == variant && r.split == "all" && r.seed == 1)
        .filter(|r| r.settings.noise == noise && r.data == finished[0].data)
        .map(|r| sample(r, |_| true))
        .collect()
}

fn sample(run: &Finished, include: impl Fn(&TestEpisode) -> bool) -> Sample {
    let episodes = run.measured.episodes.iter().filter(|e| include(e));
    Sample::own(run.data.clone(), episodes.map(TestEpisode::above).collect())
}

/// Plots the part of the baseline's nats that each memory of `plan.noisy` removes.
fn noise_picture(plan: &Likelihood, curves: Vec<Vec<(f64, f64)>>) -> Result<Picture> {
    let mut series: Vec<Series> = Vec::new();
    for (variant, mut curve) in plan.noisy.iter().zip(curves) {
        if !curve.is_empty() {
            curve.sort_by(|a, b| a.0.total_cmp(&b.0));
            series.push(Series::new(&variant.to_string(), curve));
        }
    }
    let axes = [
        "log10 (noise / the latents' standard deviation)",
        "% of rmdn's nats removed",
    ];
    let title = "Gain against target noise";
    Picture::plot(&plan.out, "target-noise.png", title, axes, &series)
}

/// Memories that were trained without the last driver, on that driver's test episodes; `None`
/// before one is finished.
pub fn shifted(
    plan: &Likelihood,
    finished: &[Finished],
    noise: f64,
    drivers: usize,
) -> Option<Table> {
    let heading = [
        "memory",
        "trained on all drivers",
        "trained without the last",
        "removed of rmdn's, shifted",
    ];
    let samples = |variant: &str, split: &str| -> Vec<Sample> {
        finished
            .iter()
            .filter(|r| r.variant == variant && r.split == split && r.seed == 1)
            .filter(|r| r.settings.noise == noise && r.data == finished[0].data)
            .filter(|r| r.diverged.is_none())
            .map(|r| sample(r, |e| e.driver + 1 == drivers))
            .collect()
    };
    let mut rows = Vec::new();
    for variant in &plan.shifted {
        let variant = variant.to_string();
        let [all, shifted] = ["all", "shifted"].map(|split| samples(&variant, split));
        if shifted.is_empty() {
            continue;
        }
        let baseline = samples(BASELINE, "shifted");
        let removed = bootstrap(&shifted, &baseline, |a, b| 1.0 - a / b);
        let [all, shifted] = [all, shifted].map(|s| nats(bootstrap(&s, &s, |a, _| a)));
        rows.push(vec![variant, all, shifted, percent(removed)]);
    }
    (!rows.is_empty()).then(|| Table::new(&heading, rows))
}
