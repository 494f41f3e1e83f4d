//! The report of agents under perturbations.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Cell, Column, Robustness};
use crate::{
    rollout::Summary,
    run::{Result, write_json},
    studies::report::{self, Format, Table},
};

/// What `robustness.jinja` shows.
#[derive(Serialize)]
struct Report<'a> {
    command: &'a str,
    episodes: u64,
    /// First seed, and the one after the last.
    seeds: [u64; 2],
    perturbations: Table,
    agents: Table,
    scores: Table,
    differences: Table,
    ends: Table,
    stopped: Vec<Stopped<'a>>,
}

/// Perturbations under which an agent came to the absorbing state.
#[derive(Serialize)]
struct Stopped<'a> {
    name: &'a str,
    cells: Vec<StoppedCell<'a>>,
}

#[derive(Serialize)]
struct StoppedCell<'a> {
    perturbation: &'a str,
    share: String,
}

/// Writes report.json and report.md; returns the path of the latter. `perturbations` are names and
/// what they do.
///
/// # Errors
/// If a file cannot be written.
pub fn write(
    plan: &Robustness,
    perturbations: &[(&str, &str)],
    columns: &[Column],
) -> Result<PathBuf> {
    let perturbations = perturbations
        .iter()
        .map(|(name, what)| vec![(*name).to_owned(), (*what).to_owned()]);
    let agent = |column: &Column| {
        let rule = column.cells[0].evaluation.rule.clone();
        vec![format!("`{}`", column.agent), column.checksum.clone(), rule]
    };
    let range = plan.tracks();
    let report = Report {
        command: &plan.command,
        episodes: plan.episodes,
        seeds: [range.start, range.end],
        perturbations: Table::new(&["perturbation", "what it does"], perturbations.collect()),
        agents: Table::new(
            &["agent", "checksum", "rule without a perturbation"],
            columns.iter().map(agent).collect(),
        ),
        scores: table("score", columns, 0, |_, cell| {
            interval(cell.evaluation.mean, cell.evaluation.ci95)
        }),
        differences: table("difference", columns, 1, |column, cell| {
            let difference = difference(column, cell);
            interval(difference.mean, difference.ci95)
        }),
        ends: table("finished / stopped / no progress", columns, 0, |_, cell| {
            let e = &cell.evaluation;
            [e.completed, e.standstill, e.no_progress]
                .map(percent)
                .join(" / ")
        }),
        stopped: columns.iter().map(stopped).collect(),
    };
    write_json(&plan.out.join("report.json"), &json_figures(plan, columns))?;
    report::write(&plan.out, "robustness", Format::Markdown, &report)
}

/// A row for every perturbation but the first `skip`, a column for every agent.
fn table(
    name: &str,
    columns: &[Column],
    skip: usize,
    text: impl Fn(&Column, &Cell) -> String,
) -> Table {
    let mut heading = vec![name.to_owned()];
    heading.extend(columns.iter().map(|column| format!("`{}`", column.agent)));
    let mut rows = Vec::new();
    for (i, cell) in columns[0].cells.iter().enumerate().skip(skip) {
        let mut row = vec![cell.perturbation.clone()];
        for column in columns {
            row.push(text(column, &column.cells[i]));
        }
        rows.push(row);
    }
    Table { heading, rows }
}

fn stopped(column: &Column) -> Stopped<'_> {
    let cells = column
        .cells
        .iter()
        .filter(|c| c.evaluation.standstill > 0.0);
    let cells = cells.map(|cell| StoppedCell {
        perturbation: &cell.perturbation,
        share: percent(cell.evaluation.standstill),
    });
    Stopped {
        name: &column.agent,
        cells: cells.collect(),
    }
}

/// Score under the perturbation less score without it, track by track.
fn difference(column: &Column, cell: &Cell) -> Summary {
    let unperturbed = &column.cells[0].evaluation.scores;
    let pairs = cell.evaluation.scores.iter().zip(unperturbed);
    let differences: Vec<f64> = pairs.map(|(with, without)| with - without).collect();
    Summary::of(&differences)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn interval(mean: f64, [low, high]: [f64; 2]) -> String {
    format!("{mean:.1} [{low:.1}, {high:.1}]")
}

/// The contents of report.json.
fn json_figures(plan: &Robustness, columns: &[Column]) -> Value {
    let mut agents = Vec::new();
    for column in columns {
        let cells = column.cells.iter().map(|cell| {
            let d = difference(column, cell);
            json!({ "perturbation": cell.perturbation, "evaluation": cell.evaluation,
                "difference": { "mean": d.mean, "ci95": d.ci95 } })
        });
        agents.push(json!({ "agent": column.agent, "checksum": column.checksum,
            "cells": cells.collect::<Vec<_>>() }));
    }
    let range = plan.tracks();
    json!({ "command": plan.command, "seeds": [range.start, range.end], "agents": agents })
}
