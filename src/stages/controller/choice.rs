//! The final choice of the controller.

use serde_json::{Value, json};

use super::{CandidateEvaluator, Evolution, evolution::Finalist, frames, mean};
use crate::{
    agent::Agent,
    controller::Controller,
    rollout::DriveOptions,
    run::{Recovery, Result, RunError, RunFolder, seeds, write_json},
};

/// What the choice came to.
const FILE: &str = "controller/choice.json";

/// The final choice among the best tested means, of an evolution in dreams the last one and those
/// whose candidates drove best, and their average, by successive halving: each round adds as many real selection tracks as all rounds
/// before, and the better half stays. The tracks of the earlier tests do not count: the means were
/// selected by them.
pub(super) fn choose(
    folder: &RunFolder,
    evaluator: &CandidateEvaluator<'_>,
    state: &mut Evolution,
) -> Result<()> {
    let (config, actions) = (
        &evaluator.preset.controller,
        evaluator.model.actions.width(),
    );
    let mut finalists: Vec<Finalist> = state
        .finalists
        .iter()
        .take(config.finalists.max(1))
        .cloned()
        .collect();
    let average = finalists.len();
    if average > 1 {
        // All of them estimate the same optimum; their average is one more candidate.
        let x = average_of(&finalists);
        finalists.push(Finalist {
            generation: state.generation,
            score: 0.0,
            driven: false,
            x,
        });
    }
    let mut left: Vec<(usize, f64)> = (0..finalists.len()).map(|i| (i, 0.0)).collect();
    let first = seeds::SELECTION.start + config.select_seeds as u64;
    let (mut driven, mut count) = (0, 0);
    while left.len() > 1 {
        let controllers: Vec<Controller> = left
            .iter()
            .map(|(i, _)| state.controller(actions, &finalists[*i].x))
            .collect();
        let more = driven.max(config.choice_seeds() as u64);
        let further: Vec<u64> = (first + driven..first + driven + more).collect();
        let all: Vec<&Controller> = controllers.iter().collect();
        let Some(outcomes) = evaluator.drive(&all, &further, DriveOptions::default())? else {
            return evaluator.context.check();
        };
        count += frames(&outcomes);
        let (old, all) = (driven as f64, (driven + more) as f64);
        for ((_, score), outcomes) in left.iter_mut().zip(&outcomes) {
            *score = (old * *score + more as f64 * mean(outcomes, |o| o.score)) / all;
        }
        driven += more;
        left.sort_by(|a, b| b.1.total_cmp(&a.1));
        left.truncate(left.len().div_ceil(2));
    }
    if let Some(&(best, score)) = left.first() {
        let finalist = &finalists[best];
        Agent::save_controller(folder, &state.controller(actions, &finalist.x))?;
        let whose = if average > 1 && best == average {
            format!("the average of {average} means")
        } else {
            format!("the mean of generation {}", finalist.generation)
        };
        let (score, driven) = if average > 1 {
            (score, driven)
        } else {
            (finalist.score, config.select_seeds as u64)
        };
        let frames = evaluator.recorded_frames()? + state.frames + count;
        let on = match evaluator.dreams {
            Some(_) if average == 1 => "dreams from held-out episodes",
            _ => "selection tracks",
        };
        evaluator.context.report.say(&format!(
            "controller: {whose} is chosen, {score:.1} on {driven} {on}; {frames} frames in all"
        ));
        let choice = json!({ "chosen": whose, "score": score, "of": finalists.len(), "on": on,
            "episodes": driven, "frames": frames });
        write_json(&folder.path(FILE), &choice)?;
    }
    state.chosen = true;
    state.save(folder)
}

/// What the choice in `folder` came to; null where none was made.
///
/// # Errors
/// If it cannot be read.
pub fn choice(folder: &RunFolder) -> Result<Value> {
    let path = folder.path(FILE);
    if !path.exists() {
        return Ok(Value::Null);
    }
    let bytes = std::fs::read(&path).map_err(RunError::io("read", &path))?;
    serde_json::from_slice(&bytes)
        .map_err(|e| RunError::damaged(&path, e.to_string(), Recovery::Stage("controller")))
}

/// The average of the parameters of `finalists`.
fn average_of(finalists: &[Finalist]) -> Vec<f64> {
    let count = finalists.len() as f64;
    (0..finalists[0].x.len())
        .map(|i| finalists.iter().map(|f| f.x[i]).sum::<f64>() / count)
        .collect()
}
