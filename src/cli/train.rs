//! `frmdn train` and its stages by themselves.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::{RunArgs, command_line::typed, out::out, table::table};
use crate::{
    rollout::Evaluation,
    run::{ControllerStart, Metrics, RunFolder},
    stages::{self, Context, Stage},
};

/// All stages, then the table.
pub fn train(args: &RunArgs, context: &Context<'_>) -> Result<()> {
    let folder = args.open(context)?;
    context.report.say(&format!(
        "run folder {}: {}",
        folder.root().display(),
        folder.preset().description
    ));
    go(&folder, context, Stage::Evaluate)?;
    out!("{}", summary(&folder)?);
    Ok(())
}

/// Which run, and which policy drives in it.
#[derive(Args, Clone, Debug)]
pub struct CollectArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// The policy: brownian, scripted (it reads the track), or the folder of a run or checkpoint.
    #[arg(long, value_name = "brownian|scripted|RUN")]
    policy: Option<String>,
}

/// Only the episodes.
pub fn collect(args: &CollectArgs, context: &Context<'_>) -> Result<()> {
    let mut run = args.run.clone();
    run.sets.extend(
        args.policy
            .iter()
            .map(|policy| format!("collect.policy={policy}")),
    );
    stage(&run, context, Stage::Collect)
}

/// The stages up to `last`; those that are finished return at once.
pub fn stage(args: &RunArgs, context: &Context<'_>, last: Stage) -> Result<()> {
    let folder = args.open(context)?;
    go(&folder, context, last)?;
    out!(
        "{} is done in {}. Go on with: frmdn train --run {}",
        last.name(),
        folder.root().display(),
        typed(folder.root())
    );
    Ok(())
}

fn go(folder: &RunFolder, context: &Context<'_>, last: Stage) -> Result<()> {
    let finished = folder.path("evaluation/summary.json").exists();
    // A run that misses a gate is finished only if that was to be ignored; it need not be said again.
    let context = &Context {
        ignore_gates: context.ignore_gates || finished,
        ..*context
    };
    for stage in last.up_to() {
        let began = Instant::now();
        let outcome = stage.run(folder, context);
        let seconds = began.elapsed().as_secs_f64();
        // Times are added up over interruptions. They are measurements and no part of the result;
        // a look at a finished stage is not counted.
        if seconds > 0.05 && !finished {
            let mut times = Metrics::resume(&folder.path("times.jsonl"), "n", u64::MAX)?;
            times.append(
                &serde_json::json!({ "n": 0, "stage": stage.name(), "seconds": seconds }),
            )?;
        }
        outcome?;
        stages::gate(folder, stage.name(), context)?;
    }
    Ok(())
}

/// The table that closes a run.
pub fn summary(folder: &RunFolder) -> Result<String> {
    let times = Times::read(folder)?;
    let preset = folder.preset();
    let mut rows: Vec<[String; 3]> = Vec::new();
    for (stage, outcome) in trained(folder)? {
        rows.push([stage.name().into(), times.of(stage), outcome]);
    }
    let text = std::fs::read_to_string(folder.path("evaluation/summary.json"))?;
    let scores: Value = serde_json::from_str(&text)?;
    let [agent, random] = ["agent", "random"].map(|who| score(&scores[who]));
    rows.push([
        "evaluate".into(),
        times.of(Stage::Evaluate),
        format!("score {agent}"),
    ]);
    rows.push(["".into(), "".into(), format!("a random policy: {random}")]);
    let began_at = match preset.controller.start {
        _ if preset.controller.dreams.is_some() => {
            "without the dreams, the clone of the candidates that drove last"
        }
        ControllerStart::First => "the clone of the first agent that C began at",
        _ => "the clone of the experts that C began at",
    };
    let clones = [
        ("clone", began_at),
        ("experts_clone", "the clone of the experts in the data"),
    ];
    for (key, whose) in clones {
        if !scores[key].is_object() {
            continue;
        }
        let better = &scores[format!("better_than_{key}")];
        let [mean, low, high] =
            [&better["mean"], &better["ci95"][0], &better["ci95"][1]].map(|v| v.as_f64());
        let [mean, low, high] = [mean, low, high].map(|v| v.unwrap_or(f64::NAN));
        let clone = score(&scores[key]);
        rows.push([
            "".into(),
            "".into(),
            format!(
                "{whose}: {clone}; the agent scores {mean:.1} more on the same tracks [{low:.1}, \
                 {high:.1}]"
            ),
        ]);
    }
    rows.push([
        "in all".into(),
        times.total(),
        format!("seed {}, {}", preset.seed, preset.environment),
    ]);
    // All columns but the first are aligned to the right: the last one is filled with blanks.
    let width = rows.iter().map(|r| r[2].chars().count()).max().unwrap_or(0);
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|[name, time, outcome]| {
            vec![name, format!("{time:>12}"), format!("{outcome:<width$}")]
        })
        .collect();
    let root = typed(folder.root());
    // Without V there is nothing to draw of a dream.
    let dream = match stages::kept(folder, "vision")?.is_null() {
        true => String::new(),
        false => format!("frmdn dream {root} --out dream.gif · "),
    };
    Ok(format!(
        "{}\n\nrule: {}\npictures: {root}/pictures (drive.gif shows the agent and what it \
         sees)\nsee it: frmdn play {root} --out drive.gif · {dream}frmdn evaluate {root} \
         --episodes 100",
        table(&["stage", "time", "outcome"], &rows),
        scores["agent"]["rule"].as_str().unwrap_or("?")
    ))
}

/// Seconds spent in each stage, over all interruptions.
struct Times(Vec<(String, f64)>);

impl Times {
    fn read(folder: &RunFolder) -> Result<Self> {
        let mut times = Vec::new();
        for line in Metrics::read(&folder.path("times.jsonl"))? {
            if let (Some(stage), Some(seconds)) = (line["stage"].as_str(), line["seconds"].as_f64())
            {
                times.push((stage.to_owned(), seconds));
            }
        }
        Ok(Self(times))
    }

    fn of(&self, stage: Stage) -> String {
        let own = self.0.iter().filter(|(name, _)| name == stage.name());
        clock(own.map(|(_, seconds)| seconds).sum())
    }

    fn total(&self) -> String {
        clock(self.0.iter().map(|(_, seconds)| seconds).sum())
    }
}

fn clock(seconds: f64) -> String {
    // An empty sum is -0.
    let seconds = seconds.abs();
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    // Rounded first: 239.6 seconds are four minutes.
    let whole = seconds.round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

/// The outcome of every stage before the evaluation, in words.
fn trained(folder: &RunFolder) -> Result<Vec<(Stage, String)>> {
    let preset = folder.preset();
    let mut outcomes = Vec::new();
    if let Some(first) = &preset.first {
        let agent = format!("an agent of preset {} for data", first.preset);
        outcomes.push((Stage::First, agent));
    }
    let collect = format!(
        "{} episodes of at most {} steps",
        preset.collect.episodes, preset.collect.steps
    );
    outcomes.push((Stage::Collect, collect));
    let v = stages::kept(folder, "vision")?;
    let vision = match v.is_null() {
        true => "none: what is seen is the latent already".to_owned(),
        false => format!(
            "pixel MSE {} held out, KL {} nats a frame, {} of {} dimensions active",
            number(&v["held_out"]["pixel_mse"], 5),
            number(&v["held_out"]["kl"], 1),
            v["held_out"]["active"],
            preset.vision.model.latent
        ),
    };
    outcomes.push((Stage::Vision, vision));
    let m = stages::kept(folder, "memory")?;
    let memory = match (m["best_nll"].as_f64(), m["floor"].as_f64()) {
        (Some(nll), Some(floor)) => format!(
            "{nll:.2} nats a step held out, {:.2} above the floor of {floor:.2}",
            nll - floor
        ),
        _ => "not trained".into(),
    };
    let memory = format!("{}: {memory}", preset.memory.model.variant);
    outcomes.push((Stage::Memory, memory));
    let c = stages::kept(folder, "controller")?;
    let rounds = Metrics::read(&folder.path("controller/rounds.jsonl"))?;
    let controller = match rounds.last() {
        Some(round) => {
            // The choice of the last mean takes some more.
            let choice = stages::choice(folder)?;
            let frames = choice.get("frames").unwrap_or(&round["frames"]);
            format!(
                "{} generations in dreams; {frames} real frames in all; the last candidates dreamt \
                 {} and really came to {}, rank correlation {}",
                c["generation"],
                number(&round["dreamt"], 1),
                number(&round["real"], 1),
                number(&round["rank_correlation"], 2)
            )
        }
        None => format!(
            "{} generations, {} frames driven",
            c["generation"], c["frames"]
        ),
    };
    outcomes.push((Stage::Controller, controller));
    Ok(outcomes)
}

fn number(value: &Value, digits: usize) -> String {
    value
        .as_f64()
        .map_or("–".into(), |x| format!("{x:.digits$}"))
}

/// A score with its interval, from `evaluation/summary.json`.
fn score(of: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let finished = 100.0 * number(&of["completed"]);
    let is_one_episode = serde_json::from_value::<Evaluation>(of.clone())
        .is_ok_and(|evaluation| evaluation.is_one_episode());
    if is_one_episode {
        return format!(
            "{:.1} in each of {} equal episodes ({finished:.0} % finished)",
            number(&of["mean"]),
            of["episodes"],
        );
    }
    format!(
        "{:.1} [{:.1}, {:.1}] on {} unseen tracks ({finished:.0} % finished)",
        number(&of["mean"]),
        number(&of["ci95"][0]),
        number(&of["ci95"][1]),
        of["episodes"],
    )
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn no_clock_shows_sixty_seconds() {
        let shown = [-0.0, 59.94, 59.96, 239.4, 239.6, 3600.0].map(clock);
        let expected = [
            "0.0 s",
            "59.9 s",
            "1 min 00 s",
            "3 min 59 s",
            "4 min 00 s",
            "60 min 00 s",
        ];
        assert_eq!(shown, expected);
    }
}
