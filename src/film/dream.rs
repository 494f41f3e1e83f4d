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
    /// `real`, or `dream`, or what tells it from the others: the temperature, the number of the
    /// future, who dreams.
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
    let in_view = world.spec()?.steps_in_view.map(|steps| steps as usize);
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
        let panel = |side: Side<'_>, rgb: &[u8], score: f64, is_over: bool| {
            let [name, course] = titles(side, step, score, is_over);
            let panel = Panel::new(VIEW, VIEW, rgb.to_vec());
            panel.enlarged(scale).titled(&course).titled(&name)
        };
        let score = now.score - real[begin].score;
        let mut panels = vec![panel(Side::Real, &now.frame, score, t > last)];
        for take in &takes {
            let at = t.min(take.latents.len() - 1);
            (take.decoder).decode_u8(&mut scratch, &take.latents[at], &mut rgb);
            let score = at.checked_sub(begin).map_or(0.0, |step| take.scores[step]);
            let side = Side::Dream(&take.course.what);
            panels.push(panel(side, &rgb, score, t > at));
        }
        let is_in_view = step.is_none_or(|step| in_view.is_none_or(|steps| step < steps));
        let banner = match begin.saturating_sub(t) {
            0 => banner(count, is_in_view).to_owned(),
            left => format!("THE DREAM BEGINS IN {left} STEPS"),
        };
        out.push(&Panel::grid(panels, columns).titled(&banner))?;
    }
    out.finish()?;
    let courses = takes.into_iter().map(|take| take.course);
    Ok(std::iter::once(course).chain(courses).collect())
}

/// What a panel shows.
#[derive(Clone, Copy)]
enum Side<'a> {
    /// The real environment.
    Real,
    /// A dream, by what tells it from the others.
    Dream(&'a str),
}

/// The two lines above a panel: what it is, and how far it has come, in 21 characters each
/// ([`tests::titles_fit_above_the_smallest_panels`]).
fn titles(side: Side<'_>, step: Option<usize>, score: f64, is_over: bool) -> [String; 2] {
    let (name, counted) = match side {
        Side::Real => ("REAL", "SCORE"),
        Side::Dream(DREAM) => ("DREAM", "DREAMT"),
        Side::Dream(what) => (what, "DREAMT"),
    };
    let course = match step {
        None if matches!(side, Side::Real) => "THE REAL WORLD".to_owned(),
        None => "WHAT THE AGENT SEES".to_owned(),
        Some(_) if is_over => format!("ENDED, {counted} {score:.0}"),
        Some(step) => format!("STEP {step}, {counted} {score:.0}"),
    };
    [name.to_owned(), course]
}

/// The line above `count` dreams.
fn banner(count: usize, is_in_view: bool) -> &'static str {
    match (count, is_in_view) {
        (1, true) => "RIGHT: THE AGENT DRIVES IN WHAT ITS MEMORY DREAMS",
        (1, false) => "RIGHT: INVENTED BY THE MEMORY, IT WAS NEVER IN VIEW",
        (_, true) => "ALL BUT THE FIRST: AGENTS DRIVE IN WHAT MEMORIES DREAM",
        (_, false) => "ALL BUT THE FIRST ARE INVENTED, NEVER IN VIEW",
    }
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
    if film.temperatures.len() > 1 {
        what.push(format!("T {}", settings.temperature));
    }
    if film.futures > 1 {
        what.push(format!("no. {}", settings.future + 1));
    }
    if film.agents.len() > 1 {
        what.push(name(film.agents, agent));
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

/// A short name of one of `agents`: its kind of memory, where that tells them all apart, else the name of
/// its folder.
fn name(agents: &[Agent], agent: &Agent) -> String {
    let variant = |agent: &Agent| agent.info.memory.variant.to_string();
    let same = agents.iter().filter(|a| variant(a) == variant(agent));
    if same.count() == 1 {
        return variant(agent);
    }
    let folder = agent.origin().parent().filter(|_| agent.origin().is_file());
    let name = folder.unwrap_or(agent.origin()).file_name();
    name.unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::title_len;

    /// The largest numbers that a film comes to, in the panels of many dreams.
    #[test]
    fn titles_fit_above_the_smallest_panels() {
        let room = title_len((PANEL / VIEW - 1) * VIEW);
        for side in [Side::Real, Side::Dream("T 1.15 no. 24 frmdn")] {
            for step in [None, Some(0), Some(999)] {
                for (score, is_over) in [(-100.4, false), (1234.0, false), (-100.0, true)] {
                    for title in titles(side, step, score, is_over) {
                        assert!(title.len() <= room, "{title}: {} of {room}", title.len());
                    }
                }
            }
        }
        // The row of two panels is the narrowest film.
        let room = title_len(2 * PANEL);
        for count in [1, 3] {
            for is_in_view in [true, false] {
                let text = banner(count, is_in_view);
                assert!(text.len() <= room, "{text}: {} of {room}", text.len());
            }
        }
    }
}
