//! `compare robustness`: agents on test tracks under changes that they were not trained with.

mod report;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store::Results;
use crate::{
    agent::Agent,
    pilot::Pilot,
    rollout::Evaluation,
    run::{Recovery, Result, RunError, seeds},
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
    /// Another environment than each agent's own, one with perturbations.
    pub environment: Option<String>,
    /// Folder of the report and of finished cells.
    pub out: PathBuf,
    /// The command, for the report.
    pub command: String,
}

impl Robustness {
    /// Seeds of the tracks.
    fn tracks(&self) -> std::ops::Range<u64> {
        seeds::TEST.start..seeds::TEST.start + self.episodes
    }
}

/// The result of one agent under one perturbation.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    agent: String,
    checksum: String,
    perturbation: String,
    evaluation: Evaluation,
}

impl Cell {
    /// Whether driving in `world` with these weights would give this result.
    fn is_of(&self, plan: &Robustness, world: &World, checksum: &str) -> bool {
        let (evaluation, range) = (&self.evaluation, plan.tracks());
        self.checksum == checksum
            && evaluation.environment == world.name()
            && world.spec().is_ok_and(|spec| spec.rule == evaluation.rule)
            && evaluation.seeds == [range.start, range.end]
    }
}

/// A column: an agent and its cells, the unperturbed one first.
struct Column {
    agent: String,
    checksum: String,
    cells: Vec<Cell>,
}

/// An agent of the comparison, ready to drive.
struct Contender<'a> {
    path: &'a Path,
    agent: Agent,
    checksum: String,
    /// Name of the environment without a perturbation.
    environment: String,
    /// Names of its perturbations, and what they do.
    perturbations: &'static [(&'static str, &'static str)],
}

/// Drives what is missing, and writes the report. Returns the path of report.md.
///
/// A cell is finished if its result is of the same weights, environment, rule and tracks; others
/// are driven anew.
///
/// # Errors
/// If an agent cannot drive in its environment, that has no perturbations, a file cannot be read or
/// written, or the user interrupts.
pub fn robustness(plan: &Robustness, context: &Context<'_>) -> Result<PathBuf> {
    let mut contenders = Vec::new();
    // Every agent and environment is looked at before anything is driven.
    for path in &plan.agents {
        contenders.push(contender(plan, path, context)?);
    }
    let perturbations = contenders.first().map_or(&[][..], |c| c.perturbations);
    let mut results = Results::open(&plan.out)?;
    let mut columns = Vec::new();
    for contender in contenders {
        let mut cells = vec![cell(plan, &contender, None, &results, context)?];
        for (name, _) in contender.perturbations {
            cells.push(cell(plan, &contender, Some(name), &results, context)?);
        }
        columns.push(Column {
            agent: contender.path.display().to_string(),
            checksum: contender.checksum,
            cells,
        });
    }
    results.pack()?;
    report::write(plan, perturbations, &columns)
}

fn contender<'a>(
    plan: &Robustness,
    path: &'a Path,
    context: &Context<'_>,
) -> Result<Contender<'a>> {
    let agent = Agent::load(path)?;
    agent.controller()?;
    let environment = plan
        .environment
        .clone()
        .unwrap_or_else(|| agent.info.environment.clone());
    let world = context.world(&environment)?;
    let perturbations = world.perturbations();
    if perturbations.is_empty() {
        return Err(RunError::refused(
            format!(
                "{}: {environment} has no perturbations, or is perturbed already",
                path.display()
            ),
            Recovery::OtherEnvironment,
        ));
    }
    agent.acting_model(&world.spec()?)?;
    Ok(Contender {
        path,
        checksum: agent.checksum(),
        agent,
        environment,
        perturbations,
    })
}

/// The cell of one agent and perturbation: its finished result, or driven now.
fn cell(
    plan: &Robustness,
    contender: &Contender<'_>,
    perturbation: Option<&str>,
    results: &Results,
    context: &Context<'_>,
) -> Result<Cell> {
    let Contender { path, checksum, .. } = contender;
    let (row, environment) = match perturbation {
        None => (NONE, contender.environment.clone()),
        Some(p) => (p, format!("{},perturb={p}", contender.environment)),
    };
    let folder = path
        .file_name()
        .map_or_else(|| "agent".into(), |name| name.to_string_lossy());
    let run = format!("{folder}-{}-{row}", &checksum[..8]);
    let world = context.world(&environment)?;
    let agent = path.display().to_string();
    // A damaged result is made anew, as one with other settings.
    let finished = results.load::<Cell>(&run).unwrap_or(None);
    if let Some(cell) = finished.filter(|cell| cell.is_of(plan, &world, checksum)) {
        return Ok(Cell { agent, ..cell });
    }
    context.report.say(&format!("{agent} under {row}"));
    let cell = Cell {
        agent,
        checksum: checksum.clone(),
        perturbation: row.into(),
        evaluation: drive(plan, &contender.agent, &world, context)?,
    };
    results.save(&run, &cell)?;
    Ok(cell)
}

fn drive(
    plan: &Robustness,
    agent: &Agent,
    world: &World,
    context: &Context<'_>,
) -> Result<Evaluation> {
    let pilot = Pilot::of(agent.clone(), world)?;
    let range = plan.tracks();
    let first = range.start;
    let keep_nothing = |_: _, _: &_| Ok(());
    let outcomes = stages::outcomes(world, &pilot, range, context, keep_nothing)?;
    let outcomes = outcomes.ok_or(RunError::Interrupted)?;
    let rule = world.spec()?.rule;
    Ok(Evaluation::of(&outcomes, first, world.name(), &rule))
}
