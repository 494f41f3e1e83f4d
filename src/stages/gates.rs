//! Health gates: what V and M must reach before hours are spent on what stands on them.

use serde_json::Value;

use super::Context;
use crate::run::{Metrics, Result, RunError, RunFolder};

/// One figure beside its gate.
struct Gate {
    name: &'static str,
    value: Option<f64>,
    /// Smallest and largest value that pass.
    range: [f64; 2],
    remedy: &'static str,
}

/// What was measured of the weights of `stage` that are kept, which need not be the last ones. Null
/// where nothing was.
pub fn kept(folder: &RunFolder, stage: &str) -> Result<Value> {
    let mut lines = Metrics::read(&folder.path(&format!("{stage}/metrics.jsonl")))?;
    let kept = lines.last().and_then(|last| last["kept"].as_u64());
    let at = kept.and_then(|kept| lines.iter().position(|line| line["update"] == kept));
    Ok(at
        .map(|at| lines.swap_remove(at))
        .or_else(|| lines.pop())
        .unwrap_or(Value::Null))
}

/// Compares what `stage` came to with the preset's gates, where it has some. A stage that is not
/// trained passes.
pub fn gate(folder: &RunFolder, stage: &str, context: &Context<'_>) -> Result<()> {
    let Some(gates) = &folder.preset().gates else {
        return Ok(());
    };
    let most = |most: f64| [f64::NEG_INFINITY, most];
    let least = |least: f64| [least, f64::INFINITY];
    let (stage, gates) = match stage {
        "vision" => {
            let (line, target) = (kept(folder, "vision")?, folder.preset().vision.target_kl);
            let held_out = &line["held_out"];
            let gates = vec![
                Gate {
                    name: "pixel error of held-out reconstructions",
                    value: held_out["pixel_mse"].as_f64(),
                    range: most(gates.pixel_mse),
                    remedy: "Look at pictures/reconstructions.png in the run folder: give V more \
                        updates (--set vision.updates=…), more width (vision.model.width) or more \
                        nats (vision.target_kl), in a new run (--run DIR).",
                },
                Gate {
                    name: "KL of held-out frames in nats",
                    value: held_out["kl"].as_f64(),
                    range: [(1.0 - gates.kl) * target, (1.0 + gates.kl) * target],
                    remedy: "β has not settled, or the episodes are too few: give V more updates \
                        (--set vision.updates=…) or more episodes (collect.episodes), in a new run \
                        (--run DIR).",
                },
                Gate {
                    name: "number of active dimensions of the latent",
                    value: held_out["active"].as_f64(),
                    range: least(gates.active as f64),
                    remedy: "V leaves dimensions unused: raise vision.target_kl, or lower \
                        vision.model.latent, in a new run (--run DIR).",
                },
            ];
            ("vision", gates)
        }
        "memory" => {
            let line = kept(folder, "memory")?;
            let above = line["best_nll"]
                .as_f64()
                .zip(line["floor"].as_f64())
                .map(|(nll, floor)| nll - floor);
            let gates = vec![
                Gate {
                    name: "nats a step above the floor, held out",
                    value: above,
                    range: most(gates.above_floor),
                    remedy: "M predicts too little: look at pictures/memory.png in the run folder \
                        and give it more updates (--set memory.updates=…) or another \
                        learning_rate, in a new run (--run DIR).",
                },
                Gate {
                    name: "correlation of predicted with real rewards, held out",
                    value: line["reward_correlation"].as_f64(),
                    range: least(gates.reward_correlation),
                    remedy: "The episodes may hold too few rewards (drivers that never get going), \
                        or M too few updates: see collect.policy and memory.updates, in a new run \
                        (--run DIR).",
                },
            ];
            ("memory", gates)
        }
        _ => return Ok(()),
    };
    for Gate {
        name,
        value,
        range: [low, high],
        remedy,
    } in gates
    {
        let Some(value) = value.filter(|v| !(low..=high).contains(v)) else {
            continue;
        };
        let wanted = match (low.is_finite(), high.is_finite()) {
            (true, true) => format!("between {low:.4} and {high:.4}"),
            (true, false) => format!("at least {low}"),
            _ => format!("at most {high}"),
        };
        let what = format!("the {name} is {value:.4}, the gate of this preset is {wanted}");
        if !context.ignore_gates {
            return Err(RunError::Gate {
                stage,
                what,
                remedy,
            });
        }
        context
            .report
            .say(&format!("{stage}: {what} (ignored, as asked)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
