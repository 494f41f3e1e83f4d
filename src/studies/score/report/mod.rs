//! The figures of a score comparison's report: what was expected, what came out, and how sure that
//! is.

mod bank_dreams;
mod blackout;
mod dream_training;
mod findings;
mod finished;
mod intervals;
mod population;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::{
    Scale, Score,
    bank::Scored,
    bank_dreams::PRIMARY,
    data::Data,
    evolve::{SIGMA, SIGMA_AT_DRIVER, TRACKS},
};
use crate::{
    pictures::Series,
    run::{Result, write_json},
    studies::{
        report::{self, Format, Picture, Table},
        statistics::Interval,
    },
};
use findings::Findings;
pub use finished::Finished;

/// The memory that others are compared with, and the one whose contrast with it was declared as the
/// primary one.
const BASELINE: &str = "rmdn";
const OURS: &str = "frmdn";
/// Real score from which a controller of the bank is good.
const GOOD: f64 = 700.0;

/// What `score.jinja` shows.
#[derive(Serialize)]
struct Report<'a> {
    command: &'a str,
    setup: Setup<'a>,
    scale: &'a Scale,
    search: SearchSettings,
    /// Score of a good controller.
    good: String,
    /// Temperature of the primary contrast.
    temperature: String,
    expectations: Table,
    bank: Option<Table>,
    e1: Option<Section>,
    e2: Option<Section>,
    e3: Option<Section>,
    e4: Option<Section>,
    contrasts: Option<Table>,
    finished: Counts,
}

/// Settings that all memories have in common.
#[derive(Serialize)]
struct Setup<'a> {
    data: String,
    environment: &'a str,
    hidden: usize,
    updates: u64,
    batch: usize,
    sequence: usize,
    seeds: u64,
    budget: u64,
    quick: bool,
}

/// Settings of evolutions.
#[derive(Serialize)]
struct SearchSettings {
    tracks: usize,
    sigma: String,
    sigma_at_drivers: String,
}

/// One experiment.
#[derive(Serialize)]
struct Section {
    table: Table,
    pictures: Vec<Picture>,
}

/// Numbers of finished results.
#[derive(Serialize)]
struct Counts {
    e1: usize,
    e2: usize,
    e3: usize,
    e4: usize,
}

/// Writes the report, its figures and its pictures into the folder of the comparison. Returns the
/// path of report.md.
///
/// # Errors
/// If a file cannot be written.
pub fn write(plan: &Score, data: &[&Data], finished: &Finished) -> Result<PathBuf> {
    let mut findings = Findings::default();
    let e1 = bank_dreams::section(&mut findings, plan, finished)?;
    let e2 = blackout::section(&mut findings, plan, finished)?;
    let e3 = population::section(&mut findings, plan, finished)?;
    let e4 = dream_training::section(&mut findings, plan, finished)?;
    let report = Report {
        command: &plan.command,
        setup: setup(plan, data),
        scale: &plan.scale,
        search: SearchSettings {
            tracks: TRACKS,
            sigma: SIGMA.to_string(),
            sigma_at_drivers: SIGMA_AT_DRIVER.to_string(),
        },
        good: GOOD.to_string(),
        temperature: PRIMARY.to_string(),
        expectations: findings.expectations(),
        bank: bank(data, &finished.banks),
        e1,
        e2,
        e3,
        e4,
        contrasts: findings.contrasts(),
        finished: Counts {
            e1: finished.e1.len(),
            e2: finished.e2.len(),
            e3: finished.e3.len(),
            e4: finished.e4.len(),
        },
    };
    let figures = Value::Object(findings.figures);
    write_json(&plan.out.join("report.json"), &figures)?;
    report::write(&plan.out, "score", Format::Html, &report)?;
    report::write(&plan.out, "score", Format::Markdown, &report)
}

fn setup<'a>(plan: &Score, data: &[&'a Data]) -> Setup<'a> {
    let names: Vec<&str> = data.iter().map(|data| data.name.as_str()).collect();
    let preset = &data[0].preset;
    Setup {
        data: names.join(", "),
        environment: &preset.environment,
        hidden: preset.memory.model.hidden,
        updates: preset.memory.updates,
        batch: preset.memory.batch,
        sequence: preset.memory.sequence,
        seeds: plan.seeds,
        budget: plan.budget,
        quick: plan.scale == Scale::QUICK,
    }
}

/// A curve over temperatures for each of `variants`.
fn by_temperature(
    variants: &[String],
    temperatures: &[f32],
    figure: impl Fn(&str, f32) -> Option<Interval>,
) -> Vec<Series> {
    let mut series = Vec::new();
    for variant in variants {
        let mut points = Vec::new();
        for &temperature in temperatures {
            if let Some(i) = figure(variant, temperature) {
                points.push([f64::from(temperature), i.value, i.ci95[0], i.ci95[1]]);
            }
        }
        series.push(Series::banded(variant, points));
    }
    series
}

/// The spread of the real scores of each bank; `None` before one is finished.
fn bank(data: &[&Data], banks: &[Option<Scored>]) -> Option<Table> {
    let heading = [
        "data",
        "controllers",
        "worst",
        "25 %",
        "median",
        "75 %",
        "best",
        "above 700",
    ];
    let mut rows = Vec::new();
    for (data, scored) in data.iter().zip(banks) {
        let Some(scored) = scored else { continue };
        let mut means = scored.means();
        means.sort_by(f64::total_cmp);
        let mut row = vec![data.name.clone(), means.len().to_string()];
        for quantile in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let at = ((means.len() - 1) as f64 * quantile).round() as usize;
            row.push(format!("{:.0}", means[at]));
        }
        let good = means.iter().filter(|mean| **mean > GOOD).count();
        row.push(good.to_string());
        rows.push(row);
    }
    (!rows.is_empty()).then(|| Table::new(&heading, rows))
}
