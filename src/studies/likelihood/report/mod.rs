//! The figures of a likelihood comparison's report.

mod claims;
mod conditions;
mod figures;
mod pictures;
mod tables;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Likelihood,
    grid::{self, Choice, Trial},
    judge::Finished,
    linear::Linear,
};
use crate::{
    run::{Inputs, Preset, Result, write_json},
    studies::report::{self, Format, Table},
};
use figures::Regime;

/// The memory that all others are compared with.
const BASELINE: &str = "rmdn";

/// All that is finished of a comparison.
pub struct Source<'a> {
    pub plan: &'a Likelihood,
    /// Settings of each data.
    pub presets: Vec<&'a Preset>,
    /// The linear predictor of each data.
    pub linear: &'a [Linear],
    /// The trials that learning rate and dropout were chosen from, where they were.
    pub grid: Option<(Choice, &'a [Trial])>,
    pub finished: &'a [Finished],
}

/// What `likelihood.jinja` shows.
#[derive(Serialize)]
struct Report<'a> {
    command: &'a str,
    setup: Setup,
    regimes: Vec<tables::RegimeReport>,
    expectations: Vec<claims::Expectation>,
    claims: Vec<claims::Claims>,
    noises: Option<conditions::Noises>,
    shifted: Option<Table>,
    pictures: Option<pictures::Pictures>,
    grid: Option<Table>,
}

/// Settings that all memories have in common.
#[derive(Serialize)]
struct Setup {
    episodes: usize,
    steps: usize,
    drivers: String,
    test_episodes: usize,
    hidden: usize,
    batch: usize,
    sequence: usize,
    updates: u64,
    /// Whether memories are fed means instead of draws.
    means: bool,
}

/// Writes the report, its figures and its pictures into the folder of the comparison. Returns the
/// path of report.md.
///
/// # Errors
/// If a file cannot be written.
pub fn write(source: &Source<'_>) -> Result<PathBuf> {
    let plan = source.plan;
    let variants: Vec<String> = plan.variants.iter().map(ToString::to_string).collect();
    let drivers = drivers(source.presets[0]);
    let noise = source.presets[0].memory.noise;
    let regimes = regimes(source.finished, noise);
    let mut regime_reports = Vec::new();
    for regime in &regimes {
        let linear = linear_of(source, regime.target_kl);
        regime_reports.push(tables::regime(regime, &variants, &drivers, &linear));
    }
    let report = Report {
        command: &plan.command,
        setup: setup(source),
        regimes: regime_reports,
        expectations: claims::expectations(&regimes),
        claims: regimes.iter().map(claims::claims).collect(),
        noises: conditions::noises(plan, source.finished, noise)?,
        shifted: conditions::shifted(plan, source.finished, noise, drivers.len()),
        pictures: match regimes.first() {
            Some(regime) => Some(pictures::plot(plan, regime)?),
            None => None,
        },
        grid: source.grid.as_ref().map(|grid| grid_table(grid.0, grid.1)),
    };
    write_json(
        &plan.out.join("report.json"),
        &json_figures(&regimes, &variants),
    )?;
    report::write(&plan.out, "likelihood", Format::Html, &report)?;
    report::write(&plan.out, "likelihood", Format::Markdown, &report)
}

/// The drivers of the data by name.
fn drivers(preset: &Preset) -> Vec<String> {
    let drivers = preset.collect.policies();
    drivers.iter().map(ToString::to_string).collect()
}

fn setup(source: &Source<'_>) -> Setup {
    let preset = source.presets[0];
    Setup {
        episodes: preset.collect.episodes,
        steps: preset.collect.steps,
        drivers: drivers(preset).join(", "),
        test_episodes: source.plan.test_episodes,
        hidden: preset.memory.model.hidden,
        batch: preset.memory.batch,
        sequence: preset.memory.sequence,
        updates: preset.memory.updates,
        means: preset.memory.inputs == Inputs::Means,
    }
}

/// One regime for each KL target of a V, in the order of the runs. Runs under special conditions
/// are left out, among them those with another noise of the latents than `noise`.
fn regimes(finished: &[Finished], noise: f64) -> Vec<Regime<'_>> {
    let mut targets: Vec<f64> = Vec::new();
    for run in finished {
        if !targets.contains(&run.target_kl) {
            targets.push(run.target_kl);
        }
    }
    let regime = |target_kl: f64| Regime {
        target_kl,
        runs: finished
            .iter()
            .filter(|r| r.split == "all" && r.settings.noise == noise)
            .filter(|r| r.target_kl == target_kl)
            .collect(),
        all: finished,
    };
    targets.into_iter().map(regime).collect()
}

/// The linear predictors of the data of one regime.
fn linear_of<'a>(source: &Source<'a>, target_kl: f64) -> Vec<&'a Linear> {
    source
        .linear
        .iter()
        .zip(&source.presets)
        .filter(|(_, preset)| preset.vision.target_kl == target_kl)
        .map(|(linear, _)| linear)
        .collect()
}

/// The contents of report.json: per variant the figures of the first regime it has runs in, and
/// those of every regime by name.
fn json_figures(regimes: &[Regime<'_>], variants: &[String]) -> Value {
    let mut out = Map::new();
    for (n, regime) in regimes.iter().enumerate() {
        for variant in variants {
            let Some(above) = regime.above_floor(variant, |_| true) else {
                continue;
            };
            let sums = regime.sums(variant);
            let figures = json!({
                "nats_above_floor": above.value,
                "nats_per_step": sums.nll / sums.steps,
                "ci95": above.ci95,
                "floor": regime.floor(variant),
                "seeds": regime.trained(variant).len(),
                "target_kl": regime.target_kl,
                "removed_of_rmdn": regime.removed(variant, BASELINE).map(|i| json!({
                    "value": i.value, "ci95": i.ci95 })),
            });
            let entry = out
                .entry(variant.clone())
                .or_insert_with(|| if n == 0 { figures.clone() } else { json!({}) });
            entry[format!("kl{}", regime.target_kl)] = figures;
        }
    }
    Value::Object(out)
}

fn grid_table(choice: Choice, trials: &[Trial]) -> Table {
    let heading = [
        "memory",
        "learning rate",
        "dropout",
        "held-out nats above the floor",
    ];
    let row = |trial: &Trial| {
        let mark = if choice.is(trial) { " ← chosen" } else { "" };
        vec![
            trial.finished.variant.clone(),
            format!("{:e}", trial.finished.settings.learning_rate),
            grid::POINTS[trial.point].1.to_string(),
            format!("{:.3}{mark}", trial.finished.best_held_out()),
        ]
    };
    Table::new(&heading, trials.iter().map(row).collect())
}
