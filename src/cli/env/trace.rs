//! `frmdn env trace`: given actions, and what the environment makes of them.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use frmdn_env::{ObservationMut, ObservationSpace, Step};
use serde_json::{Value, json};

use crate::{
    parity::Traced,
    pictures::{Film, Panel},
    rollout::progress_json,
    run::{RunError, write_atomically},
    stages::Context,
};

#[derive(Args, Debug)]
pub struct TraceArgs {
    /// Its name, with options after commas.
    environment: String,
    /// Environment seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// One action a line, its numbers separated by commas or blanks; or a .npy of [steps, values].
    #[arg(long, value_name = "FILE")]
    actions: PathBuf,
    /// Folder for trace.jsonl, frames.npy and frames.gif.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
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

/// Steps and frames of one episode.
struct Recording {
    /// One JSON object a step, the state after the reset first.
    lines: Vec<Value>,
    /// Height, width and channels of a frame.
    shape: [usize; 3],
    /// One frame a line.
    frames: Vec<u8>,
    score: f64,
    /// Why there are no more steps.
    ended: &'static str,
}

pub fn trace(args: &TraceArgs, context: &Context<'_>) -> Result<()> {
    let mut traced = Traced::open(&args.environment, context.bridge)?;
    let actions = read_actions(&args.actions, traced.env().action_space().len())?;
    context
        .report
        .begin("trace", "steps", 0, actions.len() as u64);
    let recording = drive(&mut traced, &actions, args, context);
    context.report.end();
    let recording = recording?;
    recording.save(&args.out)?;
    println!(
        "{} steps of {}, seed {}: score {:.1}, {}; {}",
        recording.lines.len() - 1,
        args.environment,
        args.seed,
        recording.score,
        recording.ended,
        args.out.display()
    );
    Ok(())
}

fn drive(
    traced: &mut Traced,
    actions: &[Vec<f32>],
    args: &TraceArgs,
    context: &Context<'_>,
) -> Result<Recording> {
    let ObservationSpace::Frame {
        height,
        width,
        channels,
    } = traced.env().observation_space()
    else {
        bail!("{} has no frames", args.environment)
    };
    let mut frame = vec![0; height * width * channels];
    let mut recording = Recording {
        lines: Vec::new(),
        shape: [height, width, channels],
        frames: Vec::new(),
        score: 0.0,
        ended: "the actions ended",
    };
    let first = ObservationMut::Frame(&mut frame);
    traced.env().reset(args.seed, first)?;
    recording.frames.extend_from_slice(&frame);
    let line = json!({ "step": 0, "car": traced.state() });
    recording.lines.push(line);
    for (t, action) in actions.iter().enumerate() {
        let step = traced
            .env()
            .step(action, ObservationMut::Frame(&mut frame))
            .with_context(|| format!("action {} of {}", t + 1, args.actions.display()))?;
        recording.score += step.reward;
        recording.frames.extend_from_slice(&frame);
        let spec = traced.env().spec();
        let told = [
            json!(spec.is_completed(&step.measured)),
            progress_json(spec.progress_of(&step.measured)),
        ];
        let line = line_of(t + 1, action, &step, told, traced.state());
        recording.lines.push(line);
        let note = format!("score {:.1}", recording.score);
        context.report.advance(t as u64 + 1, &note);
        if step.done() {
            recording.ended = if step.terminated {
                "terminated"
            } else {
                "truncated"
            };
            break;
        }
        if context.stop.is_set() {
            return Err(RunError::Stopped.into());
        }
    }
    Ok(recording)
}

fn line_of(
    number: usize,
    action: &[f32],
    step: &Step,
    [completed, progress]: [Value; 2],
    car: Value,
) -> Value {
    json!({ "step": number, "action": action, "reward": step.reward,
        "terminated": step.terminated,
        "truncated": step.truncated, "completed": completed,
        "progress": progress,
        "car": car })
}

impl Recording {
    /// Writes `trace.jsonl`, `frames.npy` and, of coloured frames, `frames.gif`.
    fn save(&self, folder: &Path) -> Result<()> {
        write_atomically(&folder.join("trace.jsonl"), |w| {
            for line in &self.lines {
                serde_json::to_writer(&mut *w, line)?;
                w.write_all(b"\n")?;
            }
            Ok(())
        })?;
        let [height, width, channels] = self.shape;
        write_atomically(&folder.join("frames.npy"), |w| {
            use npyz::WriterBuilder;
            let shape = [self.lines.len(), height, width, channels].map(|n| n as u64);
            let mut npy = npyz::WriteOptions::new()
                .default_dtype()
                .shape(&shape)
                .writer(&mut *w)
                .begin_nd()?;
            npy.extend(self.frames.iter().copied())?;
            npy.finish()
        })?;
        if channels != 3 {
            return Ok(());
        }
        let mut film = Film::create(&folder.join("frames.gif"), 40)?;
        let scale = (288 / width.max(1)).max(1);
        for frame in self.frames.chunks(height * width * channels).step_by(4) {
            film.push(&Panel::new(width, height, frame.to_vec()).enlarged(scale))?;
        }
        film.finish()?;
        Ok(())
    }
}
