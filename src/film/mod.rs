//! Films: an agent driving, with the reconstructions of V, and the memory's dream beside the real
//! episode.

mod curve;
mod dream;
mod open_loop;

use std::{ops::ControlFlow, path::Path};

use frmdn_env::{AgentView, EnvSpec, Picture};

use crate::{
    agent::Agent,
    pictures::{Film, Panel},
    pilot::Pilot,
    rollout::{Driver, Job, Moment, OpenLoop, Outcome, Policy, Seen, Who},
    run::{Interrupt, Result, RunError},
    vision::{DecoderScratch, FRAME, SIDE as VIEW},
    worlds::World,
};

use curve::Curve;

pub use dream::{Course, DreamFilm, dream};
pub use open_loop::{ReplayFilm, Replayed, replay};

/// Milliseconds between two frames: 25 a second.
const DELAY: u32 = 40;

/// Steps that one frame of a film stands for, so that it plays at twice the speed of the environment
/// or at its own where that is slow.
fn steps_per_frame(spec: &EnvSpec) -> u32 {
    (2.0 * spec.steps_per_second * f64::from(DELAY) / 1000.0)
        .round()
        .max(1.0) as u32
}

/// Side of a panel in pixels: twice the 96-pixel picture, three times the 64-pixel observation.
const PANEL: usize = 192;

fn frame_panel(rgb: &[u8]) -> Panel {
    Panel::new(VIEW, VIEW, rgb.to_vec()).enlarged(PANEL / VIEW)
}

fn picture_panel(picture: Picture) -> Panel {
    // Other sizes are averaged over areas, as the agent's view is.
    if picture.width == picture.height && PANEL.is_multiple_of(picture.width) {
        return Panel::new(picture.width, picture.height, picture.rgb)
            .enlarged(PANEL / picture.width);
    }
    let fitted =
        AgentView::new((picture.height, picture.width, 3), 0..picture.height, PANEL).map(|view| {
            let mut rgb = vec![0; view.len()];
            view.write(&picture.rgb, &mut rgb);
            rgb
        });
    Panel::new(
        PANEL,
        PANEL,
        fitted.unwrap_or_else(|_| vec![0; PANEL * PANEL * 3]),
    )
}

/// Drives one episode and writes a film of it to `path`: the picture for people, the agent's view
/// and, where an agent drives, V's reconstruction of it. Interrupted, it writes nothing and the
/// outcome is empty.
///
/// # Errors
/// If the pilot cannot drive in `world`, if the environment fails, or if the film cannot be written.
pub fn drive(
    pilot: &Pilot,
    world: &World,
    seed: u64,
    path: &Path,
    stop: &Interrupt,
) -> Result<Outcome> {
    drive_with(pilot, world, seed, path, false, stop)
}

/// The same, and with `surprise` a curve of it below: how many nats less likely than before the
/// memory finds what is seen ([`crate::dream::Surprise`]).
///
/// # Errors
/// As [`drive`]; and if no agent drives, or its memory has no density.
pub fn drive_with(
    pilot: &Pilot,
    world: &World,
    seed: u64,
    path: &Path,
    surprise: bool,
    stop: &Interrupt,
) -> Result<Outcome> {
    let decoder = pilot.agent().map(|pilot| pilot.agent.decoder());
    let decoder = decoder.transpose()?.flatten();
    let mut film = Film::create(path, DELAY)?;
    let every = steps_per_frame(&world.spec()?);
    let mut scratch = DecoderScratch::default();
    let mut rebuilt = vec![0u8; FRAME];
    let mut curve = match (surprise, pilot.agent()) {
        (true, Some(pilot)) => Some(Curve::new(&pilot.model)),
        (true, None) => {
            return Err(RunError::Config(
                "--surprise is what the memory of an agent says: name a run folder or checkpoint"
                    .into(),
            ));
        }
        (false, _) => None,
    };
    let mut observe = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
        if let Some(curve) = &mut curve {
            curve.add(&moment)?;
        }
        if !moment.outcome.steps.is_multiple_of(every) {
            return Ok(ControlFlow::Continue(()));
        }
        let title = format!("SCORE {:.0}", moment.outcome.score);
        let person = moment.env.picture().map(picture_panel);
        let mut panels = Vec::with_capacity(3);
        panels.extend(person.map(|panel| panel.titled(&title)));
        if let Seen::Frame(frame) = moment.seen {
            panels.push(frame_panel(frame).titled("THE AGENT'S VIEW"));
        }
        if let Some(decoder) = &decoder {
            decoder.decode_u8(&mut scratch, moment.latent, &mut rebuilt);
            panels.push(frame_panel(&rebuilt).titled("ITS RECONSTRUCTION"));
        }
        let row = Panel::row(panels);
        film.push(&match &curve {
            Some(curve) => Panel::column(vec![row.clone(), curve.panel(row.width())]),
            None => row,
        })?;
        Ok(ControlFlow::Continue(()))
    };
    let outcome = pilot
        .driver(world, stop)
        .watch(pilot.job(seed), &mut observe)?;
    if !stop.is_set() {
        film.finish()?;
    }
    Ok(outcome)
}

/// One step of the real episode.
struct RecordedStep {
    frame: Vec<u8>,
    latent: Vec<f32>,
    action: Vec<f32>,
    /// Sum of rewards before the action.
    score: f64,
}

/// Records the first `wanted` steps of the episode of `seed`, which the agent drives, or a random
/// walk where it has no controller; fewer if the episode ends.
fn record(
    agent: &Agent,
    world: &World,
    seed: u64,
    wanted: usize,
    stop: &Interrupt,
) -> Result<Vec<RecordedStep>> {
    let model = agent.acting_model(&world.spec()?)?;
    let controller = agent.controller().ok();
    let who = match &controller {
        Some(controller) => Who::Controller(controller),
        None => Who::Policy(Policy::OpenLoop(OpenLoop::Brownian), 0),
    };
    let mut steps = Vec::new();
    let mut observe = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
        steps.push(RecordedStep {
            frame: moment.seen.frame().to_vec(),
            latent: moment.latent.to_vec(),
            action: moment.action.to_vec(),
            score: moment.outcome.score,
        });
        Ok(match steps.len() == wanted {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    };
    let job = Job::of(who, seed);
    Driver::new(world, stop)
        .with_model(&model)
        .watch(job, &mut observe)?;
    Ok(steps)
}
