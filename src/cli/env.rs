//! `frmdn env`: traces of environments, and our Car-Racing beside Gymnasium's.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use frmdn_env::{Env, ObservationMut, ObservationSpace};
use serde_json::json;

use super::table::table;
use crate::{
    parity::{self, Parity, ParityConfig, state_of, state_of_gym},
    pictures::{Film, Panel},
    run::{RunError, write_atomically},
    stages::Context,
    worlds::{Frames, World},
};

#[derive(Debug, Subcommand)]
pub enum EnvCommand {
    /// Drive given actions and write what happens, step by step.
    Trace(TraceArgs),
    /// Run our Car-Racing and Gymnasium's side by side and show where they differ first.
    Parity(ParityArgs),
}

#[derive(Args, Debug)]
pub struct TraceArgs {
    /// car-racing, or gym:ID; options follow after commas (car-racing,rule=v4).
    environment: String,
    /// Environment seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// One action a line, its numbers apart by commas or blanks; or a .npy of [steps, values].
    #[arg(long, value_name = "FILE")]
    actions: PathBuf,
    /// Folder for trace.jsonl, frames.npy and frames.gif.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args, Debug)]
pub struct ParityArgs {
    /// Episodes, spread over five drivers.
    #[arg(long, default_value_t = 100)]
    episodes: usize,
    /// Tracks compared tile for tile.
    #[arg(long, default_value_t = 1000)]
    tracks: usize,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps between two frames that are compared.
    #[arg(long, default_value_t = 25)]
    frames_every: u32,
    /// Options of both environments, for example continuous=false,domain_randomize=true.
    #[arg(long, default_value = "")]
    options: String,
    /// A picture of the pair of frames with the largest error: ours, Gymnasium's, the difference
    /// eightfold.
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Frames on the track may be that far apart on average, of 255.
const MEAN: f64 = 0.35;
/// That share of their values may be off by more than 16.
const FAR: f64 = 0.005;

pub fn env(command: &EnvCommand, context: &Context<'_>) -> Result<()> {
    match command {
        EnvCommand::Trace(args) => trace(args, context),
        EnvCommand::Parity(args) => parity(args, context),
    }
}

/// The actions of a file, `width` numbers each.
fn read_actions(path: &Path, width: usize) -> Result<Vec<Vec<f32>>> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    if path.extension().is_some_and(|e| e == "npy") {
        let file =
            npyz::NpyFile::new(&bytes[..]).with_context(|| format!("{shown} is no .npy file"))?;
        let shape = file.shape().to_vec();
        let values: Vec<f64> = match file.dtype().descr().trim_matches('\'') {
            "<f4" => file.into_vec::<f32>()?.into_iter().map(f64::from).collect(),
            "<f8" => file.into_vec::<f64>()?,
            "<i8" => file
                .into_vec::<i64>()?
                .into_iter()
                .map(|v| v as f64)
                .collect(),
            other => bail!("{shown} holds values of type {other}: write float32, float64 or int64"),
        };
        if shape.get(1).copied().unwrap_or(1) != width as u64 || shape.len() > 2 {
            bail!("{shown} has the shape {shape:?}: [steps, {width}] is needed");
        }
        return Ok(values
            .chunks(width)
            .map(|row| row.iter().map(|&v| v as f32).collect())
            .collect());
    }
    let text = String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("{shown} is no text and does not end in .npy"))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let parts = line.split([',', ' ', '\t']).filter(|part| !part.is_empty());
            let row: Result<Vec<f32>, _> = parts.map(str::parse).collect();
            match row {
                Ok(row) if row.len() == width => Ok(row),
                _ => bail!(
                    "line {} of {shown} is `{line}`: {width} numbers apart by commas or \
                    blanks are needed",
                    number + 1
                ),
            }
        })
        .collect()
}

/// An environment with its state, where it can be looked at.
enum Traced {
    Native(Box<frmdn_car_racing::CarRacing>),
    Gym(frmdn_gym_bridge::GymEnv),
}

impl Traced {
    fn env(&mut self) -> &mut dyn Env {
        match self {
            Self::Native(env) => env.as_mut(),
            Self::Gym(env) => env,
        }
    }

    /// The car's state where there is a car.
    fn state(&self) -> serde_json::Value {
        let state = match self {
            Self::Native(env) => state_of(env).ok(),
            Self::Gym(env) => state_of_gym(env).ok(),
        };
        state.map_or(serde_json::Value::Null, |s| {
            let body = |k: usize| s.car[k * 6..k * 6 + 6].to_vec();
            json!({ "hull": body(4), "wheels": [body(0), body(1), body(2), body(3)],
                "rolling": s.car[30..34], "phase": s.car[34..38], "on_road": s.on_road })
        })
    }
}

fn trace(args: &TraceArgs, context: &Context<'_>) -> Result<()> {
    let world = World::open_with(&args.environment, context.bridge, Frames::Whole, true)?;
    let mut traced = match (world.car_racing(), world.gym()?) {
        (Some(env), _) => Traced::Native(Box::new(env)),
        (None, Some(env)) => Traced::Gym(env),
        (None, None) => bail!("{} cannot be traced", args.environment),
    };
    let actions = read_actions(&args.actions, traced.env().action_space().len())?;
    let ObservationSpace::Frame {
        height,
        width,
        channels,
    } = traced.env().observation_space()
    else {
        bail!("{} has no frames", args.environment)
    };
    let mut frame = vec![0; height * width * channels];
    let mut frames = Vec::new();
    let mut lines = Vec::new();
    traced
        .env()
        .reset(args.seed, ObservationMut::Frame(&mut frame))?;
    frames.extend_from_slice(&frame);
    lines.push(json!({ "step": 0, "car": traced.state() }));
    let mut score = 0.0;
    let mut ended = "the actions ended";
    context
        .report
        .begin("trace", "steps", 0, actions.len() as u64);
    for (t, action) in actions.iter().enumerate() {
        let step = traced.env().step(action, ObservationMut::Frame(&mut frame));
        let step = step
            .inspect_err(|_| context.report.end())
            .with_context(|| format!("action {} of {}", t + 1, args.actions.display()))?;
        score += step.reward;
        frames.extend_from_slice(&frame);
        lines.push(
            json!({ "step": t + 1, "action": action, "reward": step.reward,
            "terminated": step.terminated,
            "truncated": step.truncated, "completed": step.info.completed,
            "progress": [step.info.progress.0, step.info.progress.1],
            "car": traced.state() }),
        );
        context
            .report
            .advance(t as u64 + 1, &format!("score {score:.1}"));
        if step.done() {
            ended = if step.terminated {
                "terminated"
            } else {
                "truncated"
            };
            break;
        }
        if context.stop.is_set() {
            context.report.end();
            return Err(RunError::Stopped.into());
        }
    }
    context.report.end();
    write_atomically(&args.out.join("trace.jsonl"), |w| {
        for line in &lines {
            serde_json::to_writer(&mut *w, line)?;
            w.write_all(b"\n")?;
        }
        Ok(())
    })?;
    let count = lines.len();
    write_atomically(&args.out.join("frames.npy"), |w| {
        use npyz::WriterBuilder;
        let shape = [count as u64, height as u64, width as u64, channels as u64];
        let mut npy = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(&mut *w)
            .begin_nd()?;
        npy.extend(frames.iter().copied())?;
        npy.finish()
    })?;
    if channels == 3 {
        let mut film = Film::create(&args.out.join("frames.gif"), 40)?;
        for shown in frames.chunks(frame.len()).step_by(4) {
            film.push(
                &Panel::new(width, height, shown.to_vec()).enlarged((288 / width.max(1)).max(1)),
            )?;
        }
        film.finish()?;
    }
    println!(
        "{} steps of {}, seed {}: score {score:.1}, {ended}; {}",
        count - 1,
        args.environment,
        args.seed,
        args.out.display()
    );
    Ok(())
}

fn parity(args: &ParityArgs, context: &Context<'_>) -> Result<()> {
    if args.episodes == 0 && args.tracks == 0 {
        bail!("--episodes 0 --tracks 0 leaves nothing to compare");
    }
    let config = ParityConfig {
        options: args.options.clone(),
        episodes: args.episodes,
        tracks: args.tracks,
        seed: args.seed,
        frames_every: args.frames_every,
    };
    let outcome = parity::compare(&config, context.bridge, context.report, context.stop)?;
    let Some(outcome) = outcome else {
        return Err(RunError::Stopped.into());
    };
    if args.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        show(&outcome);
    }
    if let (Some(path), Some(worst)) = (&args.out, &outcome.worst) {
        let difference: Vec<u8> = worst
            .ours
            .iter()
            .zip(&worst.theirs)
            .map(|(a, b)| a.abs_diff(*b).saturating_mul(8))
            .collect();
        let panel =
            |rgb: &[u8], title: &str| Panel::new(96, 96, rgb.to_vec()).enlarged(3).titled(title);
        Panel::row(vec![
            panel(&worst.ours, "OURS"),
            panel(&worst.theirs, "GYMNASIUM"),
            panel(&difference, "DIFFERENCE TIMES 8"),
        ])
        .save(path)?;
        eprintln!(
            "the worst pair of frames, seed {} after {} steps, is in {}",
            worst.seed,
            worst.step,
            path.display()
        );
    }
    if !outcome.holds(MEAN, FAR) {
        bail!("the two are not the same: see above. Please report this with the versions shown");
    }
    Ok(())
}

fn show(outcome: &Parity) {
    let versions: Vec<String> = outcome
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    println!(
        "{} beside {} ({})\n",
        outcome.names[0],
        outcome.names[1],
        versions.join(", ")
    );
    let first = |d: &Option<parity::Difference>| match d {
        None => "none".to_owned(),
        Some(d) => format!(
            "seed {}, step {}: {} is {}, Gymnasium's {}",
            d.seed, d.step, d.what, d.ours, d.theirs
        ),
    };
    if outcome.tracks > 0 {
        println!(
            "tracks: {} compared, largest difference of a tile {:e}; differing: {}\n",
            outcome.tracks,
            outcome.track_error,
            first(&outcome.track_difference)
        );
    }
    let rows: Vec<Vec<String>> = outcome
        .drives
        .iter()
        .filter(|d| d.episodes > 0)
        .map(|d| {
            let name = d.drive.name().to_owned();
            vec![
                name,
                d.episodes.to_string(),
                d.steps.to_string(),
                d.laps.to_string(),
                d.off_field.to_string(),
                first(&d.difference),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    println!("rewards, flags, progress, contacts and the car's state, bit for bit:");
    println!(
        "{}\n",
        table(
            &[
                "driver",
                "episodes",
                "steps",
                "laps",
                "off the field",
                "first difference"
            ],
            &rows
        )
    );
    let f = &outcome.frames;
    let parts = [
        ("scene, on the track", &f.on_track),
        ("scene, all frames", &f.scene),
        ("scene, while zooming in", &f.zooming),
        ("gauges", &f.gauges),
        ("agent's view, drawn directly", &f.view),
    ];
    let rows: Vec<Vec<String>> = parts
        .iter()
        .map(|(name, e)| {
            vec![
                (*name).to_owned(),
                e.frames.to_string(),
                format!("{:.3}", e.mean()),
                format!("{:.3}", e.worst),
                format!("{:.3} %", 100.0 * e.far()),
            ]
        })
        .collect();
    println!(
        "frames (of 255; on the track at most {MEAN} on average and {} % off by more than 16):",
        100.0 * FAR
    );
    println!(
        "{}",
        table(
            &[
                "part",
                "frames",
                "mean error",
                "worst frame",
                "off by more than 16"
            ],
            &rows
        )
    );
}
