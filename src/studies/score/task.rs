//! The tasks of a comparison, each of which makes one result.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::Value;

use super::{
    Experiment, Score, bank, bank_dreams, blackout, data::Data, dream_training, entry::Entry,
    population,
};
use crate::{
    run::Result,
    stages::Context,
    studies::{progress::Progress, queue::one_per_core, store::Results},
};

/// How a result is made.
type Make<'a> = dyn Fn(&Context<'_>) -> Result<Value> + Send + Sync + 'a;

/// A result of an experiment: its name, what decides it, and how it is made.
pub struct Task<'a> {
    pub name: String,
    pub settings: Value,
    pub make: Box<Make<'a>>,
}

/// Makes what is missing: memories first, then the banks, then all results, one on each core.
///
/// # Errors
/// If something finished was made with other settings, a file cannot be read or written, or the
/// user interrupts.
pub fn make_all(
    plan: &Score,
    all: &[(Data, Vec<Entry>)],
    results: &Results,
    context: &Context<'_>,
) -> Result<()> {
    train_memories(plan, all, context)?;
    let mut missing = Vec::new();
    let tasks = tasks(plan, all, results, context)?;
    let total = tasks.len() as u64;
    for task in tasks {
        let finished: Option<Value> = results.load_with_settings(&task.name, &task.settings)?;
        if finished.is_none() {
            missing.push(task);
        }
    }
    let done = AtomicU64::new(total - missing.len() as u64);
    let first = done.load(Ordering::Relaxed);
    context.report.begin("score", "tasks", first, total);
    let outcome = one_per_core(missing, |task| {
        context.check()?;
        let quiet = Context {
            report: &(),
            ..*context
        };
        results.save_with_settings(&task.name, &task.settings, (task.make)(&quiet)?)?;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        context.report.advance(done, &task.name);
        Ok(())
    });
    context.report.end();
    outcome
}

fn train_memories(plan: &Score, all: &[(Data, Vec<Entry>)], context: &Context<'_>) -> Result<()> {
    let mut untrained: Vec<(&Data, &Entry)> = Vec::new();
    let mut updates = 0;
    for (data, entries) in all {
        for entry in entries {
            if entry.needs_training(plan, data)? {
                untrained.push((data, entry));
                updates += entry.preset.memory.updates;
            }
        }
    }
    if untrained.is_empty() {
        return Ok(());
    }
    let progress = Progress::new(context);
    context.report.begin("memories", "updates", 0, updates);
    let outcome = one_per_core(untrained, |(data, entry)| {
        entry.train(plan, data, &progress)
    });
    context.report.end();
    outcome
}

/// The tasks of all experiments; the banks they need are made now.
fn tasks<'a>(
    plan: &'a Score,
    all: &'a [(Data, Vec<Entry>)],
    results: &Results,
    context: &Context<'_>,
) -> Result<Vec<Task<'a>>> {
    let mut tasks = Vec::new();
    for (data, entries) in all {
        if plan.does(Experiment::E1) || plan.does(Experiment::E2) {
            let bank = Arc::new(bank::make(plan, data, results, context)?);
            if plan.does(Experiment::E1) {
                tasks.extend(bank_dreams::tasks(plan, data, entries, &bank));
            }
            if plan.does(Experiment::E2) {
                tasks.extend(blackout::tasks(plan, data, entries, &bank));
            }
        }
        if plan.does(Experiment::E3) {
            tasks.extend(population::tasks(plan, data, entries));
        }
        if plan.does(Experiment::E4) {
            tasks.extend(dream_training::tasks(plan, data, entries));
        }
    }
    Ok(tasks)
}
