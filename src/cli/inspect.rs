//! `frmdn inspect`: what is in a run folder or checkpoint.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::{dream, load_agent, out::out, remedy::printable, table::table, train};
use crate::{
    agent::Agent,
    controller::Controller,
    dream::{
        Against, AlarmConfig, HOLD_PARTS, HoldConfig, HoldTest, Shown, Window, against, alarms,
        ends, hold_tests,
    },
    pilot::Pilot,
    rollout::{self, Summary},
    run::{DriverName, Metrics, RunError, RunFolder, seeds},
    stages::{self, Context},
    studies::Trained,
};

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// A run folder, a checkpoint or the name of a shipped one, or a density's folder.
    dir: PathBuf,
    /// How an agent drives by what lies ahead; and, in a run folder, how well the environment's
    /// inner state can be read off what its controller sees, by a linear map.
    #[arg(long)]
    car: bool,
    /// Hold tests of an agent's memory: from real states one action is held for 60 steps, in the
    /// real environment and in the dream.
    #[arg(long, conflicts_with = "car", group = "driven")]
    dream: bool,
    /// With --dream: who drives to these states; with --ends: who drives (default: the agent itself).
    /// As --policy of evaluate.
    #[arg(long, value_name = "NAME", requires = "driven")]
    policy: Option<DriverName>,
    /// With --dream: the number of these states.
    #[arg(long, default_value_t = 200, requires = "dream", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    states: u32,
    /// With --dream: the temperature of the dreams; several, with commas between, for those in which
    /// the agent's controller acts.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1",
        requires = "dream"
    )]
    temperature: Vec<f32>,
    /// With --dream: the probability that a unit of h is hidden from M's predictions for the whole of a
    /// dream, 0 to below 1.
    #[arg(long, value_name = "P", default_value_t = 0.0, requires = "dream")]
    dropout: f32,
    /// How well the agent's memory notices that its world is altered: by its likelihood, within 20
    /// steps.
    #[arg(long, conflicts_with_all = ["car", "dream"], group = "episodic")]
    surprise: bool,
    /// How well the agent's memory foresees the ends of its episodes, by how they end.
    #[arg(long, conflicts_with_all = ["car", "dream", "surprise"], groups = ["episodic", "driven"])]
    ends: bool,
    /// With --surprise or --ends: the number of episodes.
    #[arg(long, default_value_t = 100, requires = "episodic", value_parser = clap::value_parser!(u32).range(2..=1000))]
    episodes: u32,
    /// With --dream, --surprise or --ends: print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Bytes of a file, or of the files in a folder. Links are not followed: they could lead in circles.
fn size(path: &Path) -> u64 {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return 0;
    };
    if !found.is_dir() {
        return found.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

fn megabytes(path: &Path) -> String {
    format!("{:.1} MB", size(path) as f64 / 1e6)
}

pub fn inspect(args: &InspectArgs, context: &Context<'_>) -> Result<()> {
    if args.car {
        return car(&args.dir, context);
    }
    if args.dream {
        return holds(args, context);
    }
    if args.surprise {
        return surprise(args, context);
    }
    if args.ends {
        return foreseen(args, context);
    }
    if args.json {
        return Err(RunError::Config("--json: add --dream, --surprise or --ends".into()).into());
    }
    if !args.dir.join("run.toml").exists() && Trained::is_in(&args.dir) {
        return density(&args.dir);
    }
    if !args.dir.join("run.toml").exists() {
        let agent = load_agent(&args.dir, context)?;
        out!("an agent for {}", agent.info.environment);
        out!("{}", toml::to_string_pretty(&agent.info)?);
        out!("{}", parts(agent.tensors()));
        return Ok(());
    }
    let folder = RunFolder::open(&args.dir)?;
    let settings = folder.preset().to_toml();
    out!("run folder {}\n\n{settings}", args.dir.display());
    out!("{}\n", progress(&folder)?);
    if let Some(line) = first_episode(&folder)? {
        out!("{line}");
    }
    match Agent::load(&args.dir) {
        Ok(agent) => out!("\n{}", parts(agent.tensors())),
        Err(e) => out!("\nnot an agent yet: {}", printable(&e.to_string())),
    }
    if folder.path("evaluation/summary.json").exists() {
        stages::summary(&folder)?;
        out!("\n{}", train::summary(&folder)?);
    }
    Ok(())
}

/// A density that was fitted to data that are no world.
fn density(dir: &Path) -> Result<()> {
    let (trained, weights) = Trained::load(dir)?;
    out!(
        "a density of {}\n\n{}",
        trained.source,
        toml::to_string_pretty(&trained)?
    );
    let lines = Metrics::read(&dir.join("metrics.jsonl"))?;
    if let Some(at) = lines.last().and_then(|line| line["update"].as_u64()) {
        out!("trained for {at} updates\n");
    }
    let tensors = weights.0.iter();
    out!(
        "{}",
        parts(tensors.map(|t| (t.name.clone(), t.shape.clone())))
    );
    Ok(())
}

/// How far each stage has come, and how large it is on disk.
fn progress(folder: &RunFolder) -> Result<String> {
    let preset = folder.preset();
    let last = |stage: &str| -> Result<Value> {
        let lines = Metrics::read(&folder.path(&format!("{stage}/metrics.jsonl")))?;
        Ok(lines.last().cloned().unwrap_or_default())
    };
    let total = preset.collect.episodes;
    let (v, m, c) = (last("vision")?, last("memory")?, last("controller")?);
    let states = [
        (
            "episodes",
            format!("{} of {total}", folder.episodes().count(total)),
        ),
        (
            "vision",
            reached(&v["update"], "update", "at most ", preset.vision.updates),
        ),
        (
            "latents",
            format!("{} episodes", folder.latents().count(total)),
        ),
        (
            "memory",
            reached(&m["update"], "update", "at most ", preset.memory.updates),
        ),
        (
            "controller",
            reached(
                &c["generation"],
                "generation",
                "",
                preset.controller.generations,
            ),
        ),
    ];
    let rows: Vec<Vec<String>> = states
        .into_iter()
        .map(|(part, state)| vec![part.into(), state, megabytes(&folder.path(part))])
        .collect();
    Ok(table(&["part", "state", "on disk"], &rows))
}

/// A line about the first episode that is recorded.
fn first_episode(folder: &RunFolder) -> Result<Option<String>> {
    let store = folder.episodes();
    let Some(first) = (0..folder.preset().collect.episodes).find(|&i| store.has(i)) else {
        return Ok(None);
    };
    let episode = store.load(first, None)?;
    let total: f64 = episode.rewards.iter().map(|&r| f64::from(r)).sum();
    Ok(Some(format!(
        "first episode: seed {}, {} steps, return {total:.1}, terminated {}",
        episode.seed,
        episode.steps(),
        episode.terminated
    )))
}

/// Selection tracks that an agent drives on for --car.
const TRACKS: u64 = 40;

fn car(dir: &Path, context: &Context<'_>) -> Result<()> {
    let run = dir.join("run.toml").exists();
    if run {
        motion(dir, context)?;
    }
    let agent = load_agent(dir, context)?;
    match agent.controller() {
        Ok(controller) => driving(&agent, &controller, context),
        // The run has no C yet; the readout of its inputs was shown.
        Err(RunError::Missing { .. }) if run => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn driving(agent: &Agent, controller: &Controller, context: &Context<'_>) -> Result<()> {
    let world = context.world(&agent.info.environment)?;
    let model = agent.acting_model(&world.spec()?)?;
    let tracks = seeds::SELECTION.start..seeds::SELECTION.start + TRACKS;
    let bands = rollout::driving(&model, controller, &world, tracks.clone(), context.stop)?;
    let bands = bands.ok_or(RunError::Stopped)?;
    let spec = world.probe_spec()?;
    let of = &spec.quantities[spec.bands_by];
    let rows: Vec<Vec<String>> = bands
        .iter()
        .map(|b| {
            let what = match b.below {
                None => format!("the first {} steps", spec.start_steps),
                Some(most) if most.is_infinite() => "more".into(),
                Some(most) => format!("below {most} {}", of.unit),
            };
            let share = format!("{:.1} %", 100.0 * b.share);
            let moments = b.moments.iter().map(|[mean, sd]| match b.share {
                0.0 => "–".to_owned(),
                _ => format!("{mean:.3} ± {sd:.3}"),
            });
            [what, share].into_iter().chain(moments).collect()
        })
        .collect();
    out!(
        "How it drives, mean ± sd, by the {}; tracks {}..{}:\n",
        of.name,
        tracks.start,
        tracks.end
    );
    let mut head = vec!["ahead".to_owned(), "of all steps".to_owned()];
    head.extend(spec.driving.iter().map(|&i| {
        let quantity = &spec.quantities[i];
        match quantity.unit.is_empty() {
            true => quantity.name.to_string(),
            false => format!("{}, {}", quantity.name, quantity.unit),
        }
    }));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    out!("{}", table(&head, &rows));
    Ok(())
}

/// Steps before a world is altered, and those in which that is to be noticed.
const ALTERED: [u32; 2] = [100, 20];

fn surprise(args: &InspectArgs, context: &Context<'_>) -> Result<()> {
    let agent = load_agent(&args.dir, context)?;
    let world = context.world(&agent.info.environment)?;
    let pilot = Pilot::of(agent, &world)?;
    let Some(driver) = pilot.agent() else {
        unreachable!("it is of an agent");
    };
    let config = AlarmConfig {
        first_seed: seeds::LIKELIHOOD.start,
        episodes: args.episodes.into(),
        before: ALTERED[0],
        within: ALTERED[1],
    };
    let alarms = alarms(
        driver,
        &world,
        |name| context.world(name),
        config,
        context.stop,
    )?;
    let alarms = alarms.ok_or(RunError::Stopped)?;
    if args.json {
        let json = serde_json::json!({ "environment": world.name(), "episodes": args.episodes,
            "before": config.before, "within": config.within, "alarms": alarms });
        out!("{json}");
        return Ok(());
    }
    out!(
        "How well the memory notices, {} steps after the world is altered at step {}: the probability \
         that an altered episode surprises it more than an unaltered one (1 always, 0.5 by chance), \
         and 95 % interval; {} episodes from {} on:\n",
        config.within,
        config.before,
        args.episodes,
        config.first_seed
    );
    let mut rows = Vec::new();
    for alarm in &alarms {
        let figure = |area: &Summary| {
            format!(
                "{:.3} [{:.3}, {:.3}]",
                area.mean, area.ci95[0], area.ci95[1]
            )
        };
        let figures = [&alarm.surprise, &alarm.at_once, &alarm.change].map(figure);
        let actions = match alarm.is_driven {
            true => "its own",
            false => "the same",
        };
        let row = [alarm.altered, actions].map(str::to_owned);
        rows.push([&row, &figures[..]].concat());
    }
    let head = [
        "altered",
        "actions",
        "surprise",
        "of the first step alone",
        "control: change of the latents",
    ];
    out!("{}", table(&head, &rows));
    if alarms.iter().any(|alarm| alarm.is_driven) {
        out!(
            "\nActions \"its own\": this changes what actions do, so the agent itself drives in \
             the altered world."
        );
    }
    Ok(())
}

fn foreseen(args: &InspectArgs, context: &Context<'_>) -> Result<()> {
    let agent = load_agent(&args.dir, context)?;
    let world = context.world(&agent.info.environment)?;
    let pilot = match &args.policy {
        Some(name) => Pilot::load(name, &world, 0, None)?,
        None => Pilot::of(agent.clone(), &world)?,
    };
    let first = seeds::LIKELIHOOD.start;
    let episodes = [first, args.episodes.into()];
    let found = ends(&agent, &pilot, &world, episodes, context.stop)?;
    let found = found.ok_or(RunError::Stopped)?;
    if args.json {
        let json = serde_json::json!({ "environment": world.name(), "episodes": args.episodes,
            "ends": found });
        out!("{json}");
        return Ok(());
    }
    out!(
        "What the memory says of ends, in {} episodes from {first} on, driven by {}: the \
         probability of an end, and how often it is at least a half.\n",
        args.episodes,
        match &args.policy {
            Some(name) => name.to_string(),
            None => "the agent".into(),
        }
    );
    let row = |name: String, count: u64, mean: f64, foreseen: f64| {
        let shares = [mean, foreseen].map(|share| format!("{:.2} %", 100.0 * share));
        [vec![name, count.to_string()], shares.to_vec()].concat()
    };
    let mut rows: Vec<Vec<String>> = (found.kinds.iter())
        .map(|end| {
            let name = format!("the last step: {}", end.kind);
            let count = end.episodes as u64;
            row(name, count, end.probability.mean, end.foreseen)
        })
        .collect();
    let others = "every other step".to_owned();
    rows.push(row(others, found.others, found.probability, found.foreseen));
    let head = ["step", "number", "probability", "at least a half"];
    out!("{}", table(&head, &rows));
    if found.cut_off > 0 {
        out!(
            "\n{} episodes were cut off by a limit of steps.",
            found.cut_off
        );
    }
    Ok(())
}

fn holds(args: &InspectArgs, context: &Context<'_>) -> Result<()> {
    for temperature in &args.temperature {
        dream::check_temperature(*temperature)?;
    }
    if !(0.0..1.0).contains(&args.dropout) {
        let what = format!(
            "--dropout {} is impossible: it can be from 0 to below 1",
            args.dropout
        );
        return Err(RunError::Config(what).into());
    }
    let agent = load_agent(&args.dir, context)?;
    let world = context.world(&agent.info.environment)?;
    let pilot = match &args.policy {
        Some(name) => Pilot::load(name, &world, 0, None)?,
        None => Pilot::of(agent.clone(), &world)?,
    };
    let config = HoldConfig {
        first_seed: seeds::LIKELIHOOD.start,
        states: args.states as usize,
        steps: HOLD_PARTS[1],
        parts: HOLD_PARTS,
        dropout: args.dropout,
        temperatures: args.temperature.clone(),
    };
    let tests = hold_tests(&agent, &pilot, &world, &config, context.stop)?;
    let tests = tests.ok_or(RunError::Stopped)?.tests;
    let measured = match agent.controller() {
        Ok(_) => {
            let found = against(&agent, &pilot, &world, &config, context.stop)?;
            Some(found.ok_or(RunError::Stopped)?)
        }
        Err(_) => None,
    };
    if args.json {
        let json = serde_json::json!({ "environment": world.name(), "states": args.states,
            "temperature": args.temperature, "holds": tests, "against": measured });
        out!("{json}");
        return Ok(());
    }
    out!(
        "Reward a step while one action is held, from {} real states on (episodes {}..), mean and \
         95 % interval:\n",
        args.states,
        config.first_seed
    );
    out!("{}", windows(&tests, |test| &test.reward, (1.0, 2)));
    for (i, shown) in tests[0].shown.iter().enumerate() {
        out!("\n{}:\n", asked(shown));
        out!(
            "{}",
            windows(&tests, |test| &test.shown[i].windows, unit(shown))
        );
    }
    if let Some(measured) = &measured {
        out!("\n{}", beside(measured));
    }
    for test in &tests {
        let Some(last) = test.reward.last() else {
            continue;
        };
        if last.real.mean <= 0.0 && last.dreamt.mean > 0.0 {
            out!(
                "\n{}: nothing comes of it, and the dream pays {:.2} a step: an evolution in this \
                 dream would find that out.",
                test.action,
                last.dreamt.mean
            );
        }
    }
    Ok(())
}

/// The measures of an agent's own driving.
fn beside(measured: &Against) -> String {
    let tests: Vec<HoldTest> = (measured.controller.iter())
        .map(|controlled| controlled.test.clone())
        .collect();
    let mut text = format!(
        "The agent's controller drives on from the same states; reward a step:\n\n{}\n",
        windows(&tests, |test| &test.reward, (1.0, 2))
    );
    for (i, shown) in tests[0].shown.iter().enumerate() {
        text.push_str(&format!(
            "\n{}:\n\n{}\n",
            asked(shown),
            windows(&tests, |test| &test.shown[i].windows, unit(shown))
        ));
    }
    let figure = |summary: &Summary| {
        let [low, high] = summary.ci95;
        format!("{:.2} [{low:.2}, {high:.2}]", summary.mean)
    };
    let again = &measured.again;
    text.push_str(&format!(
        "\nThe same actions again for {} steps, as long as what is in view lasts: the dream's reward is \
         {} away from the real one; that of a real state which looks alike {} (difference {}).\n",
        again.steps,
        figure(&again.dreamt),
        figure(&again.look_alike),
        figure(&again.difference)
    ));
    if let Some(above) = &measured.above_floor {
        text.push_str(&format!(
            "What the agent sees is {} nats a step above the floor.\n",
            figure(above)
        ));
    }
    text
}

/// What a gauge asks, in words.
fn asked(shown: &Shown) -> String {
    match shown.is_share {
        true => format!("Percent of the steps {}", shown.name),
        false => format!("Mean of {}", shown.name),
    }
}

/// Unit and digits in which a gauge's value is shown.
fn unit(shown: &Shown) -> (f64, usize) {
    if shown.is_share { (100.0, 2) } else { (1.0, 5) }
}

/// A row for each action and part of the steps, in a unit and with so many digits.
fn windows(
    tests: &[HoldTest],
    of: impl Fn(&HoldTest) -> &[Window],
    (factor, digits): (f64, usize),
) -> String {
    let mut rows = Vec::new();
    for test in tests {
        for window in of(test) {
            let figure = |summary: &Summary| {
                let [mean, low, high] =
                    [summary.mean, summary.ci95[0], summary.ci95[1]].map(|x| factor * x);
                format!("{mean:.digits$} [{low:.digits$}, {high:.digits$}]")
            };
            let [from, to] = window.steps;
            let figures = [&window.real, &window.dreamt, &window.difference].map(figure);
            let mut row = vec![test.action.clone(), format!("{from}–{to}")];
            row.extend(figures);
            rows.push(row);
        }
    }
    table(&["held", "steps", "real", "dreamt", "dreamt − real"], &rows)
}

fn motion(dir: &Path, context: &Context<'_>) -> Result<()> {
    let rows: Vec<Vec<String>> = stages::readout(&RunFolder::open(dir)?, context)?
        .iter()
        .map(|r| {
            let [z, zh] = [0, 1].map(|i| format!("{:.3} (± {:.3})", r.explained[i], r.error[i]));
            vec![
                format!("{}, {}", r.name, r.unit),
                format!("{:.3}", r.sd),
                z,
                zh,
            ]
        })
        .collect();
    out!(
        "{}\n",
        table(
            &[
                "inner state",
                "sd",
                "explained by z (mean error)",
                "by [z, h]"
            ],
            &rows
        )
    );
    Ok(())
}

fn parts(tensors: impl IntoIterator<Item = (String, Vec<usize>)>) -> String {
    let rows: Vec<Vec<String>> = tensors
        .into_iter()
        .map(|(name, shape)| {
            vec![
                printable(&name),
                format!("{shape:?}"),
                shape.iter().product::<usize>().to_string(),
            ]
        })
        .collect();
    table(&["tensor", "shape", "numbers"], &rows)
}

/// How far a stage has come, from its last line of metrics.
fn reached(at: &serde_json::Value, unit: &str, bound: &str, last: u64) -> String {
    match at.as_u64() {
        Some(at) => format!("{unit} {at} of {bound}{last}"),
        None => "not begun".into(),
    }
}
