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

/// Compares what `stage` came to with the preset's gates, where it has some. A stage that is not trained passes.
pub fn gate(folder: &RunFolder, stage: &str, context: &Context<'_>) -> Result<()> {
    let Some(gates) = &folder.preset().gates else { return Ok(()) };
    let last = |file: &str| -> Result<Value> { Ok(Metrics::read(&folder.path(file))?.pop().unwrap_or(Value::Null)) };
    let most = |most: f64| [f64::NEG_INFINITY, most];
    let least = |least: f64| [least, f64::INFINITY];
    let (stage, gates) = match stage {
        "vision" => {
            let (line, target) = (last("vision/metrics.jsonl")?, folder.preset().vision.target_kl);
            let held_out = &line["held_out"];
            let gates = vec![
                Gate {
                    name: "pixel error of held-out reconstructions",
                    value: held_out["pixel_mse"].as_f64(),
                    range: most(gates.pixel_mse),
                    remedy: "Look at pictures/reconstructions.png in the run folder: give V more updates (--set vision.updates=…), more width (vision.model.width) or more nats (vision.target_kl), in a new run (--run DIR).",
                },
                Gate {
                    name: "KL of held-out frames in nats",
                    value: held_out["kl"].as_f64(),
                    range: [(1.0 - gates.kl) * target, (1.0 + gates.kl) * target],
                    remedy: "β has not settled, or the episodes are too few: give V more updates (--set vision.updates=…) or more episodes (collect.episodes), in a new run (--run DIR).",
                },
                Gate {
                    name: "number of active dimensions of the latent",
                    value: held_out["active"].as_f64(),
                    range: least(gates.active as f64),
                    remedy: "V leaves dimensions unused: raise vision.target_kl, or lower vision.model.latent, in a new run (--run DIR).",
                },
            ];
            ("vision", gates)
        }
        "memory" => {
            let line = last("memory/metrics.jsonl")?;
            // The weights that are kept are those of the lowest likelihood; the other figures are of the last test.
            let above = line["best_nll"].as_f64().zip(line["floor"].as_f64()).map(|(nll, floor)| nll - floor);
            let gates = vec![
                Gate {
                    name: "nats a step above the floor, held out",
                    value: above,
                    range: most(gates.above_floor),
                    remedy: "M predicts too little: look at pictures/memory.png in the run folder and give it more updates (--set memory.updates=…) or another learning_rate, in a new run (--run DIR).",
                },
                Gate {
                    name: "correlation of predicted with real rewards, held out",
                    value: line["reward_correlation"].as_f64(),
                    range: least(gates.reward_correlation),
                    remedy: "The episodes may hold too few rewards (drivers that never get going), or M too few updates: see collect.policy and memory.updates, in a new run (--run DIR).",
                },
            ];
            ("memory", gates)
        }
        _ => return Ok(()),
    };
    for Gate { name, value, range: [low, high], remedy } in gates {
        let Some(value) = value.filter(|v| !(low..=high).contains(v)) else { continue };
        let wanted = match (low.is_finite(), high.is_finite()) {
            (true, true) => format!("between {low:.4} and {high:.4}"),
            (true, false) => format!("at least {low}"),
            _ => format!("at most {high}"),
        };
        let what = format!("the {name} is {value:.4}, the gate of this preset is {wanted}");
        if !context.ignore_gates {
            return Err(RunError::Gate { stage, what, remedy });
        }
        context.report.say(&format!("{stage}: {what} (ignored, as asked)"));
    }
    Ok(())
}
