//! `frmdn env trace`: given actions, and what the environment makes of them.

use std::{
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::Args;
use frmdn_env::{EnvSpec, ObservationSpace, Step};
use serde_json::{Value, json};

use crate::{
    cli::out::out,
    controller::Actions,
    parity::Traced,
    pictures::{Film, Panel},
    pilot,
    rollout::{Driver, Job, Moment, Seen, Watcher, Who, progress_json},
    run::{self, RunError, write_atomically},
    stages::Context,
};

/// File of the steps.
const STEPS: &str = "trace.jsonl";

#[derive(Args, Debug)]
pub struct TraceArgs {
    /// Its name, with options after commas.
    pub(in crate::cli) environment: String,
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
    let there = args.out.join(STEPS);
    if there.exists() {
        bail!(
            "{} is there already: delete it, or choose another folder with --out DIR",
            there.display()
        );
    }
    let traced = Traced::open(&args.environment, context.bridge)?;
    let spec = traced.world.spec()?;
    let ObservationSpace::Frame {
        height,
        width,
        channels,
    } = spec.observation
    else {
        bail!("{} has no frames", args.environment)
    };
    let actions = Actions::of(&spec);
    let list = pilot::read_actions(&args.actions, &actions)?;
    let steps = list.len() / actions.width();
    let mut tracer = Tracer {
        traced: &traced,
        spec,
        actions,
        action: Vec::new(),
        steps,
        context,
        recording: Recording {
            lines: Vec::new(),
            shape: [height, width, channels],
            frames: Vec::new(),
            score: 0.0,
            ended: "the actions ended",
        },
    };
    context.report.begin("trace", "steps", 0, steps as u64);
    let job = Job::of(Who::Recorded(&list), args.seed);
    let driven = Driver::new(&traced.world, context.stop).watch(job, &mut tracer);
    context.report.end();
    driven?;
    if context.stop.is_set() {
        return Err(RunError::Stopped.into());
    }
    let recording = tracer.recording;
    recording.save(&args.out)?;
    out!(
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

/// Writes down every step.
struct Tracer<'a> {
    traced: &'a Traced,
    spec: EnvSpec,
    actions: Actions,
    /// The action of the step, as the environment takes it.
    action: Vec<f32>,
    /// Number of actions that were given.
    steps: usize,
    context: &'a Context<'a>,
    recording: Recording,
}

impl Watcher for Tracer<'_> {
    fn before(&mut self, moment: Moment<'_>) -> run::Result<ControlFlow<()>> {
        let steps = moment.outcome.steps as usize;
        let recording = &mut self.recording;
        if steps == 0 {
            recording.frames.extend_from_slice(moment.seen.frame());
            let first = json!({ "step": 0, "car": self.traced.state() });
            recording.lines.push(first);
        }
        if steps == self.steps {
            return Ok(ControlFlow::Break(()));
        }
        self.action = self.actions.for_env(moment.action, &mut [0.0]).to_vec();
        Ok(ControlFlow::Continue(()))
    }

    fn after(&mut self, step: &Step, seen: Seen<'_>) -> run::Result<()> {
        let (recording, spec) = (&mut self.recording, &self.spec);
        recording.score += step.reward;
        recording.frames.extend_from_slice(seen.frame());
        let number = recording.lines.len();
        recording.lines.push(json!({
            "step": number,
            "action": self.action,
            "reward": step.reward,
            "terminated": step.terminated,
            "truncated": step.truncated,
            "completed": spec.is_completed(&step.measured),
            "progress": progress_json(spec.progress_of(&step.measured)),
            "car": self.traced.state(),
        }));
        let note = format!("score {:.1}", recording.score);
        self.context.report.advance(number as u64, &note);
        if step.terminated {
            recording.ended = "terminated";
        } else if step.truncated {
            recording.ended = "truncated";
        }
        Ok(())
    }
}

impl Recording {
    /// Writes `trace.jsonl`, `frames.npy` and, of coloured frames, `frames.gif`.
    fn save(&self, folder: &Path) -> Result<()> {
        write_atomically(&folder.join(STEPS), |w| {
            for line in &self.lines {
                serde_json::to_writer(&mut *w, line)?;
                w.write_all(b"\n")?;
            }
            Ok(())
        })?;
        let [height, width, channels] = self.shape;
        write_atomically(&folder.join("frames.npy"), |w| {
            let shape = [self.lines.len(), height, width, channels];
            w.write_all(&run::npy::header("|u1", &shape))?;
            w.write_all(&self.frames)
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
