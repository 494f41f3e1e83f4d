//! Agents that drive in the dreams of their memories, beside the real episode.

use std::{ops::ControlFlow, path::Path};

use super::{DELAY, PANEL, VIEW, record, steps_per_frame};
use crate::{
    agent::Agent,
    dream::{DreamSettings, dream_world},
    pictures::{Film, Panel},
    rollout::{Driver, Job, Moment, OpenLoop, Policy, Who},
    run::{Interrupt, Recovery, Result, RunError},
    vision::{Decoder, DecoderScratch, FRAME},
    worlds::World,
};

/// Panels that stand side by side at full size; more are a grid of smaller ones.
const IN_A_ROW: usize = 3;

/// The name of the only dream of a film.
const DREAM: &str = "dream";

/// Which dreams stand in a film.
pub struct DreamFilm<'a> {
    /// Who dreams, each in its own memory. The first one drives the real episode too, and the real
    /// steps before the dreams.
    pub agents: &'a [Agent],
    /// Temperatures of the dreams.
    pub temperatures: &'a [f32],
    /// Dreams of each agent at each temperature, which differ by chance alone.
    pub futures: u32,
    /// Seed of the environment.
    pub seed: u64,
    /// Real steps before the dreams.
    pub warm_up: u32,
    /// Most steps of a dream.
    pub steps: u32,
}

/// What became of the real episode, from where the dreams begin, or of a dream.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// `real`, or `dream` with what tells it from the others: who dreams, the temperature, the
    /// number of the future.
    pub what: String,
    /// Sum of rewards.
    pub reward: f64,
    /// Number of steps.
    pub steps: u32,
    /// Whether it ended before the film did.
    pub ended: bool,
}

/// A dream as it is shown.
struct Take {
    course: Course,
    decoder: Decoder,
    /// Latents of the real steps before, then of the dream.
    latents: Vec<Vec<f32>>,
    /// Rewards of the dream before each of its latents.
    scores: Vec<f64>,
}

/// Writes a film of the dreams of `film` beside the real episode to `path`; in both the agents act on
/// what they see. Returns the real course, and those of the dreams. Interrupted, it writes nothing
/// and returns nothing.
///
/// # Errors
/// If an agent does not fit `world` or has no V, if its memory cannot dream, if the real episode ends
/// before the dreams begin, or if the film cannot be written.
pub fn dream(
    film: &DreamFilm<'_>,
    world: &World,
    path: &Path,
    stop: &Interrupt,
) -> Result<Vec<Course>> {
    film.agents
        .iter()
        .try_for_each(|agent| decoder(agent).map(drop))?;
    let mut out = Film::create(path, DELAY)?;
    let wanted = (film.warm_up + film.steps) as usize + 1;
    let real = record(&film.agents[0], world, film.seed, wanted, stop)?;
    let begin = film.warm_up as usize;
    if stop.is_set() {
        return Ok(Vec::new());
    }
    if real.len() < begin + 2 {
        return Err(too_late(film.seed, real.len()));
    }
    let driven: Vec<f32> = (real.iter().take(begin))
        .flat_map(|step| step.action.iter().copied())
        .collect();
    let mut takes = Vec::new();
    for agent in film.agents {
        for &temperature in film.temperatures {
            for future in 0..film.futures {
                let settings = DreamSettings {
                    temperature,
                    horizon: Some(film.steps),
                    warm_up: film.warm_up,
                    future,
                    ends: true,
                };
                takes.push(take(film, agent, world, settings, &driven, stop)?);
                if stop.is_set() {
                    return Ok(Vec::new());
                }
            }
        }
    }
    let last = real.len() - 1;
    let course = Course {
        what: "real".into(),
        reward: real[last].score - real[begin].score,
        steps: (last - begin) as u32,
        ended: real.len() < wanted,
    };
    let shown = takes.iter().map(|take| take.latents.len()).max();
    let frames = real.len().max(shown.unwrap_or(0));
    let every = steps_per_frame(&world.spec()?).div_ceil(2) as usize;
    let (mut scratch, mut rgb) = (DecoderScratch::default(), vec![0; FRAME]);
    let count = takes.len();
    let scale = match count < IN_A_ROW {
        true => PANEL / VIEW,
        false => PANEL / VIEW - 1,
    };
    let columns = (1..).find(|n| n * n > count).unwrap_or(1).max(IN_A_ROW);
    for t in (0..frames).step_by(every) {
        if stop.is_set() {
            return Ok(Vec::new());
        }
        let step = t.checked_sub(begin);
        let now = &real[t.min(last)];
        let panel = |name: &str, rgb: &[u8], score: f64, is_over: bool| {
            let title = match step {
                None if name == DREAM => "WHAT THE AGENT SEES".to_owned(),
                None => name.to_owned(),
                Some(_) if is_over => format!("{name} ENDED: {score:.0}"),
                Some(step) if count < IN_A_ROW => format!("{name}, STEP {step}, SCORE {score:.0}"),
                Some(step) => format!("{name} +{step}: {score:.0}"),
            };
            let panel = Panel::new(VIEW, VIEW, rgb.to_vec());
            panel.enlarged(scale).titled(&title)
        };
        let score = now.score - real[begin].score;
        let mut panels = vec![panel("REAL", &now.frame, score, t > last)];
        for take in &takes {
            let at = t.min(take.latents.len() - 1);
            (take.decoder).decode_u8(&mut scratch, &take.latents[at], &mut rgb);
            let score = at.checked_sub(begin).map_or(0.0, |step| take.scores[step]);
            panels.push(panel(&take.course.what, &rgb, score, t > at));
        }
        let banner = match begin.saturating_sub(t) {
            0 if count == 1 => "RIGHT: DREAMT BY THE AGENT'S MEMORY, NOT REAL".to_owned(),
            0 => "ALL BUT THE FIRST ARE DREAMT BY A MEMORY, NOT REAL".to_owned(),
            left => format!("THE DREAM BEGINS IN {left} STEPS"),
        };
        out.push(&Panel::grid(panels, columns).titled(&banner))?;
    }
    out.finish()?;
    let courses = takes.into_iter().map(|take| take.course);
    Ok(std::iter::once(course).chain(courses).collect())
}

/// A seed whose episode ends before its dream would begin.
pub(super) fn too_late(seed: u64, steps: usize) -> RunError {
    RunError::refused(
        format!("the episode on track {seed} ended after {steps} steps, before the dream began"),
        Recovery::EarlierDream,
    )
}

/// What draws the dreams of `agent`.
pub(super) fn decoder(agent: &Agent) -> Result<Decoder> {
    agent.decoder()?.ok_or_else(|| {
        RunError::Config(format!(
            "{} sees numbers and no frames: there is nothing to draw of its dreams",
            agent.origin().display()
        ))
    })
}

/// Lets `agent` dream after the real steps with the actions `driven`.
fn take(
    film: &DreamFilm<'_>,
    agent: &Agent,
    world: &World,
    settings: DreamSettings,
    driven: &[f32],
    stop: &Interrupt,
) -> Result<Take> {
    let decoder = decoder(agent)?;
    let world = dream_world(agent, world, settings, Some(driven))?;
    let model = agent.acting_model(&world.spec()?)?;
    let controller = agent.controller().ok();
    let who = match &controller {
        Some(controller) => Who::Controller(controller),
        None => Who::Policy(Policy::OpenLoop(OpenLoop::Brownian), 0),
    };
    let (mut latents, mut scores) = (Vec::new(), Vec::new());
    let mut look = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
        if latents.is_empty() {
            let before = moment.env.history().latents.chunks_exact(model.latent);
            latents.extend(before.map(<[f32]>::to_vec));
        }
        latents.push(moment.latent.to_vec());
        scores.push(moment.outcome.score);
        Ok(ControlFlow::Continue(()))
    };
    let outcome = Driver::new(&world, stop)
        .with_model(&model)
        .watch(Job::of(who, film.seed), &mut look)?;
    let mut what = Vec::new();
    if film.agents.len() * film.temperatures.len() == 1 && film.futures == 1 {
        what.push(DREAM.into());
    }
    if film.agents.len() > 1 {
        let name = agent.origin().parent().filter(|_| agent.origin().is_file());
        let name = name.unwrap_or(agent.origin()).file_name();
        what.push(name.unwrap_or_default().to_string_lossy().into_owned());
    }
    if film.temperatures.len() > 1 {
        what.push(format!("T {}", settings.temperature));
    }
    if film.futures > 1 {
        what.push(format!("no. {}", settings.future + 1));
    }
    Ok(Take {
        course: Course {
            what: what.join(" "),
            reward: outcome.score,
            steps: outcome.steps,
            ended: outcome.steps < film.steps,
        },
        decoder,
        latents,
        scores,
    })
}
