//! `compare robustness`: agents on test tracks under changes that they were not trained with.

use std::path::PathBuf;

use frmdn_car_racing::Perturbation;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    report::{Block, markdown},
    store::Results,
};
use crate::{
    agent::Agent,
    rollout::{Evaluation, Summary},
    run::{Result, RunError, seeds, write_atomically, write_json},
    stages::{self, Context},
    worlds::World,
};

/// The row without a perturbation.
const NONE: &str = "none";

/// What is to be compared.
pub struct Robustness {
    /// Run folders or checkpoints, one a column.
    pub agents: Vec<PathBuf>,
    /// Test tracks, from the first one.
    pub episodes: u64,
    /// Another environment than each agent's own; a native Car-Racing.
    pub environment: Option<String>,
    /// Folder of the report and of finished cells.
    pub out: PathBuf,
    /// The command, for the report.
    pub command: String,
}

/// One agent under one perturbation: a file of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    agent: String,
    checksum: String,
    perturbation: String,
    evaluation: Evaluation,
}

/// A column: an agent and its cells, the unperturbed one first.
struct Column {
    agent: String,
    checksum: String,
    cells: Vec<Cell>,
}

/// Drives what is missing, and writes the report. Returns the path of report.md.
///
/// A cell is finished if its file tells of the same weights, environment, rule and tracks; others
/// are driven anew.
pub fn robustness(plan: &Robustness, context: &Context<'_>) -> Result<PathBuf> {
    let mut columns = Vec::new();
    // Every agent and environment is looked at before anything is driven.
    for path in &plan.agents {
        let agent = Agent::load(path)?;
        agent.controller()?;
        let name = plan
            .environment
            .clone()
            .unwrap_or_else(|| agent.info.environment.clone());
        let world = context.world(&name)?;
        if world
            .car_racing()
            .is_none_or(|env| env.config().perturbation.is_some())
        {
            return Err(RunError::Config(format!(
                "{}: perturbations are those of car-racing, and {name} is another environment or \
                 perturbed already. Add --env car-racing",
                path.display()
            )));
        }
        agent.acting_model(&world)?;
        columns.push((path, agent, name));
    }
    let mut results = Results::open(&plan.out)?;
    let columns = columns.into_iter().map(|(path, agent, name)| {
        let label = path.display().to_string();
        let checksum = agent.checksum();
        let perturbations = std::iter::once(None).chain(Perturbation::ALL.map(Some));
        let cells = perturbations.map(|perturbation| {
            let (row, name) = match perturbation {
                None => (NONE, name.clone()),
                Some(p) => (p.name(), format!("{name},perturb={}", p.name())),
            };
            let folder = path
                .file_name()
                .map_or_else(|| "agent".into(), |n| n.to_string_lossy());
            let run = format!("{folder}-{}-{row}", &checksum[..8]);
            let world = context.world(&name)?;
            // A damaged cell is driven anew, as one with other settings.
            let known = results.load::<Cell>(&run).unwrap_or(None);
            if let Some(cell) = known.filter(|cell| answers(cell, plan, &world, &checksum)) {
                return Ok(Cell {
                    agent: label.clone(),
                    ..cell
                });
            }
            context.report.say(&format!("{label} under {row}"));
            let evaluation = drive(plan, &agent, &world, context)?;
            let cell = Cell {
                agent: label.clone(),
                checksum: checksum.clone(),
                perturbation: row.into(),
                evaluation,
            };
            results.save(&run, &cell)?;
            Ok(cell)
        });
        let cells = cells.collect::<Result<Vec<_>>>()?;
        Ok(Column {
            agent: label,
            checksum,
            cells,
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    results.pack()?;
    write(plan, &columns)
}

fn tracks(plan: &Robustness) -> std::ops::Range<u64> {
    seeds::TEST.start..seeds::TEST.start + plan.episodes
}

/// Whether `cell` is what driving in `world` would give.
fn answers(cell: &Cell, plan: &Robustness, world: &World, checksum: &str) -> bool {
    let (known, range) = (&cell.evaluation, tracks(plan));
    cell.checksum == checksum
        && known.environment == world.name()
        && world.rule().is_ok_and(|rule| rule == known.rule)
        && known.seeds == [range.start, range.end]
}

fn drive(
    plan: &Robustness,
    agent: &Agent,
    world: &World,
    context: &Context<'_>,
) -> Result<Evaluation> {
    let (model, controller, range) = (
        agent.acting_model(world)?,
        agent.controller()?,
        tracks(plan),
    );
    let all = stages::outcomes(
        world,
        &model,
        &controller,
        range.clone(),
        context,
        |_, _| Ok(()),
    )?;
    let all = all.ok_or_else(|| RunError::Interrupted {
        command: plan.command.clone(),
    })?;
    let rule = world.rule().map_err(RunError::Failed)?;
    Ok(Evaluation::of(&all, range.start, world.name(), &rule))
}

/// Score under the perturbation less score without it, track by track.
fn difference(column: &Column, cell: &Cell) -> Summary {
    let pairs = cell
        .evaluation
        .scores
        .iter()
        .zip(&column.cells[0].evaluation.scores);
    Summary::of(
        &pairs
            .map(|(with, without)| with - without)
            .collect::<Vec<_>>(),
    )
}

fn write(plan: &Robustness, columns: &[Column]) -> Result<PathBuf> {
    let range = tracks(plan);
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let interval =
        |mean: f64, ci95: [f64; 2]| format!("{mean:.1} [{:.1}, {:.1}]", ci95[0], ci95[1]);
    let rows = |heading: &str, cell: &dyn Fn(&Column, &Cell) -> String, skip: usize| {
        let names = std::iter::once(heading.to_owned())
            .chain(columns.iter().map(|c| format!("`{}`", c.agent)));
        let row = |i: usize| {
            std::iter::once(columns[0].cells[i].perturbation.clone())
                .chain(columns.iter().map(|c| cell(c, &c.cells[i])))
                .collect()
        };
        Block::Table(
            names.collect(),
            (skip..columns[0].cells.len()).map(row).collect(),
        )
    };
    let stopped = columns.iter().map(|column| {
        let shares = column.cells.iter().filter(|c| c.evaluation.stopped > 0.0);
        let shares: Vec<String> = shares
            .map(|c| format!("{} {}", c.perturbation, percent(c.evaluation.stopped)))
            .collect();
        let shares = if shares.is_empty() {
            "never".into()
        } else {
            shares.join(", ")
        };
        Block::Text(format!(
            "Absorbing state “stopped”, `{}`: {shares}.",
            column.agent
        ))
    });
    let perturbations = Perturbation::ALL
        .iter()
        .map(|p| vec![p.name().to_owned(), p.description().to_owned()]);
    let agents = columns.iter().map(|c| {
        vec![
            format!("`{}`", c.agent),
            c.checksum.clone(),
            c.cells[0].evaluation.rule.clone(),
        ]
    });
    let text = |text: &str| Block::Text(text.to_owned());
    let heading = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    let mut blocks = vec![
        Block::Heading("Robustness of agents".into()),
        Block::Text(format!("Made by `{}`.", plan.command)),
        Block::Text(format!(
            "{} test tracks, seeds {}..{}, the same in every cell. Nobody was trained for this \
             table; an agent may have seen altered colours (`vision.augment`), its card says.",
            plan.episodes, range.start, range.end
        )),
        Block::Table(
            heading(&["perturbation", "what it does"]),
            perturbations.collect(),
        ),
        Block::Table(
            heading(&["agent", "checksum", "rule without a perturbation"]),
            agents.collect(),
        ),
        Block::Heading("Scores".into()),
        text("Mean and its 95 % interval (Student's t)."),
        rows(
            "score",
            &|_, c| interval(c.evaluation.mean, c.evaluation.ci95),
            0,
        ),
        text(
            "Difference from the score without a perturbation, track by track, and its 95 % \
             interval:",
        ),
        rows(
            "difference",
            &|column, c| {
                let d = difference(column, c);
                interval(d.mean, d.ci95)
            },
            1,
        ),
        text(
            "For scale, mean ± standard deviation of Ha & Schmidhuber's agent on CarRacing-v0, as \
             Tang, Nguyen & Ha (2020) report them: colour \
             655 ± 353, bars 166 ± 137, blob 446 ± 299. Bars and blob have other sizes there.",
        ),
        Block::Heading("How episodes end".into()),
        text(
            "Laps finished / stopped for good / without progress. Stopped: the car stood still \
             (below 0.1 world units a second) for the last \
             100 steps or more and until the end: an absorbing state. Without progress: not \
             finished, and no new tile in the last 100 steps or \
             more, the stopped among them; the others still moved.",
        ),
        rows(
            "finished / stopped / no progress",
            &|_, c| {
                [
                    c.evaluation.completed,
                    c.evaluation.stopped,
                    c.evaluation.lost,
                ]
                .map(percent)
                .join(" / ")
            },
            0,
        ),
    ];
    blocks.extend(stopped);
    let json = columns.iter().map(|column| {
        let cells = column.cells.iter().map(|c| {
            let d = difference(column, c);
            json!({ "perturbation": c.perturbation, "evaluation": c.evaluation,
                "difference": { "mean": d.mean, "ci95": d.ci95 } })
        });
        json!({ "agent": column.agent, "checksum": column.checksum,
            "cells": cells.collect::<Vec<_>>() })
    });
    let json = json!({ "command": plan.command, "seeds": [range.start, range.end],
        "agents": json.collect::<Vec<_>>() });
    write_json(&plan.out.join("report.json"), &json)?;
    let path = plan.out.join("report.md");
    let markdown = markdown(&blocks);
    write_atomically(&path, |w| std::io::Write::write_all(w, markdown.as_bytes()))?;
    Ok(path)
}
