//! Gates: what V and M must reach before the next stage starts.

use serde_json::{Value, json};

use super::{Context, Evolution};
use crate::{
    agent::Agent,
    dream::{HOLD_PARTS, HoldConfig, HoldTests, hold_tests},
    pilot::Pilot,
    run::{
        GatedFigure, GatesConfig, HoldGates, Metrics, Result, RunError, RunFolder, seeds,
        write_json,
    },
};

/// One figure beside its gate.
struct Gate {
    name: String,
    value: Option<f64>,
    /// Smallest and largest value that pass.
    range: [f64; 2],
    figure: GatedFigure,
}

/// The line of metrics of the weights that `stage` saved, which need not be the last ones. Null
/// where there is none.
pub fn kept(folder: &RunFolder, stage: &str) -> Result<Value> {
    let mut lines = Metrics::read(&folder.path(&format!("{stage}/metrics.jsonl")))?;
    let Some(last) = lines.pop() else {
        return Ok(Value::Null);
    };
    // A stage that saves its last weights says nothing of them.
    let saved = last["kept"].as_u64();
    let line = saved.and_then(|saved| lines.into_iter().find(|line| line["update"] == saved));
    Ok(line.unwrap_or(last))
}

/// Compares what `stage` came to with the preset's gates, where it has some. A stage that is not
/// trained passes.
///
/// # Errors
///
/// [`RunError::Gate`] for the first gate that is missed, if gates are not ignored.
pub fn gate(folder: &RunFolder, stage: &str, context: &Context<'_>) -> Result<()> {
    let Some(config) = &folder.preset().gates else {
        return Ok(());
    };
    let (stage, gates) = match stage {
        "vision" => ("vision", vision_gates(folder, config)?),
        // It passed them before it began to learn from C's rounds.
        "memory" if folder.preset().controller.dreams.is_some() && Evolution::begun(folder) => {
            return Ok(());
        }
        "memory" => {
            let mut gates = memory_gates(folder, config)?;
            if let Some(holds) = &config.holds {
                gates.extend(hold_gates(folder, holds, context)?);
            }
            ("memory", gates)
        }
        _ => return Ok(()),
    };
    for gate in gates {
        let Some(what) = gate.missed() else {
            continue;
        };
        if !context.ignore_gates {
            return Err(RunError::Gate {
                stage,
                what,
                figure: gate.figure,
                earlier_round: false,
            });
        }
        context
            .report
            .say(&format!("{stage}: {what} (ignored, as asked)"));
    }
    Ok(())
}

impl Gate {
    /// Value and range in words, if the value is outside. A value that was not measured passes.
    fn missed(&self) -> Option<String> {
        let (name, value, [low, high]) = (&self.name, self.value?, self.range);
        if (low..=high).contains(&value) {
            return None;
        }
        let wanted = match (low.is_finite(), high.is_finite()) {
            (true, true) => format!("between {low:.4} and {high:.4}"),
            (true, false) => format!("at least {low}"),
            _ => format!("at most {high}"),
        };
        Some(format!(
            "the {name} is {value:.4}, the gate of this preset is {wanted}"
        ))
    }
}

fn vision_gates(folder: &RunFolder, gates: &GatesConfig) -> Result<Vec<Gate>> {
    let (line, target) = (kept(folder, "vision")?, folder.preset().vision.target_kl);
    let held_out = &line["held_out"];
    Ok(vec![
        Gate {
            name: "pixel error of held-out reconstructions".into(),
            value: held_out["pixel_mse"].as_f64(),
            range: [f64::NEG_INFINITY, gates.pixel_mse],
            figure: GatedFigure::PixelError,
        },
        Gate {
            name: "error of held-out pixels of rare colours".into(),
            value: gates.rare_mse.and(held_out["rare_mse"].as_f64()),
            range: [f64::NEG_INFINITY, gates.rare_mse.unwrap_or(f64::INFINITY)],
            figure: GatedFigure::RareError,
        },
        Gate {
            name: "KL of held-out frames in nats".into(),
            value: held_out["kl"].as_f64(),
            range: [(1.0 - gates.kl) * target, (1.0 + gates.kl) * target],
            figure: GatedFigure::Kl,
        },
        Gate {
            name: "number of active dimensions of the latent".into(),
            value: held_out["active"].as_f64(),
            range: [gates.active as f64, f64::INFINITY],
            figure: GatedFigure::ActiveDimensions,
        },
    ])
}

fn memory_gates(folder: &RunFolder, gates: &GatesConfig) -> Result<Vec<Gate>> {
    let line = kept(folder, "memory")?;
    let (nll, floor) = (line["best_nll"].as_f64(), line["floor"].as_f64());
    Ok(vec![
        Gate {
            name: "nats a step above the floor, held out".into(),
            value: nll.zip(floor).map(|(nll, floor)| nll - floor),
            range: [f64::NEG_INFINITY, gates.above_floor],
            figure: GatedFigure::NatsAboveFloor,
        },
        Gate {
            name: "correlation of predicted with real rewards, held out".into(),
            value: line["reward_correlation"].as_f64(),
            range: [gates.reward_correlation, f64::INFINITY],
            figure: GatedFigure::RewardCorrelation,
        },
    ])
}

/// Where the outcome of the hold tests is kept.
const HOLDS: &str = "memory/holds.json";

fn kept_holds(folder: &RunFolder) -> Option<Value> {
    let bytes = std::fs::read(folder.path(HOLDS)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Real frames of the hold tests that M had to pass.
pub fn hold_frames(folder: &RunFolder) -> u64 {
    kept_holds(folder).map_or(0, |kept| kept["frames"].as_u64().unwrap_or(0))
}

/// Hold tests are made once for an M, and their outcome is kept.
fn hold_gates(folder: &RunFolder, gates: &HoldGates, context: &Context<'_>) -> Result<Vec<Gate>> {
    let (agent, of) = (Agent::load(folder.root())?, Agent::model_checksum(folder)?);
    let kept = kept_holds(folder).filter(|kept| kept["model"] == of.as_str());
    let found = match kept {
        Some(kept) => kept,
        None => {
            let world = context.world(&folder.preset().environment)?;
            let driver = gates.policy.parse().unwrap_or_else(|e| match e {});
            let pilot = Pilot::load(&driver, &world, folder.preset().seed, Some(folder.root()))?;
            let config = HoldConfig {
                first_seed: seeds::SELECTION.start,
                states: gates.states,
                steps: HOLD_PARTS[1],
                parts: HOLD_PARTS,
                dropout: 0.0,
                temperatures: vec![1.0],
            };
            context.report.say("memory: hold tests of its dreams");
            let tests = hold_tests(&agent, &pilot, &world, &config, context.stop)?;
            let HoldTests { tests, frames } = tests.ok_or(RunError::Interrupted)?;
            let found = json!({ "model": of, "holds": tests, "frames": frames });
            write_json(&folder.path(HOLDS), &found)?;
            found
        }
    };
    let mut all = Vec::new();
    for test in found["holds"].as_array().into_iter().flatten() {
        let name = test["action"].as_str().unwrap_or_default();
        let windows = test["reward"].as_array().into_iter().flatten();
        for (window, most) in windows.zip([gates.first, gates.later]) {
            let [from, to] = [&window["steps"][0], &window["steps"][1]];
            all.push(Gate {
                name: format!(
                    "reward a step that M dreams above the real one ({name}, steps {from} to {to})"
                ),
                value: window["difference"]["mean"].as_f64(),
                range: [f64::NEG_INFINITY, most],
                figure: GatedFigure::Overpaid,
            });
        }
        // What really brings nothing in the end must not be paid in dreams: standing, for example.
        let last = &test["reward"].as_array().and_then(|windows| windows.last());
        if let Some(last) = last.filter(|last| last["real"]["mean"].as_f64() <= Some(0.0)) {
            all.push(Gate {
                name: format!(
                    "lower end of the reward a step that M dreams where nothing is really paid ({name})"
                ),
                value: last["dreamt"]["ci95"][0].as_f64(),
                range: [f64::NEG_INFINITY, 0.0],
                figure: GatedFigure::Overpaid,
            });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Preset;

    #[test]
    fn what_counts_is_measured_of_the_weights_that_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let folder =
            RunFolder::create_or_resume(&run, Some(Preset::resolve("tiny", &[]).unwrap())).unwrap();
        assert_eq!(kept(&folder, "memory").unwrap(), Value::Null);
        std::fs::create_dir(run.join("memory")).unwrap();
        let mut metrics = Metrics::resume(&run.join("memory/metrics.jsonl"), "update", 0).unwrap();
        for (update, best) in [(10, 10), (20, 20), (30, 20)] {
            metrics
                .append(&json!({ "update": update, "kept": best }))
                .unwrap();
        }
        assert_eq!(kept(&folder, "memory").unwrap()["update"], 20);
        // Of a stage that keeps its last weights.
        metrics.append(&json!({ "update": 40 })).unwrap();
        assert_eq!(kept(&folder, "memory").unwrap()["update"], 40);
    }
}
