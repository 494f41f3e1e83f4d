//! `frmdn plan`: what a preset costs, from rates that are measured on this machine.

use anyhow::Result;
use clap::Args;

use super::{out::out, progress::span, table::table};
use crate::{
    controller::Actions,
    device::Device,
    measure,
    rollout::{PLANNED_STEPS, WATCHED_STEPS},
    run::{DriverName, Preset},
    stages::{self, Context},
    vision::FRAME,
};

#[derive(Args, Debug)]
pub struct PlanArgs {
    /// A preset or the path of a TOML file.
    #[arg(default_value = "tiny")]
    pub(super) preset: String,
    /// Change one setting, for example vision.updates=500. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) sets: Vec<String>,
}

/// Held-out losses, reading and saving add about a tenth to the time of the updates (preset tiny).
const OVERHEAD: f64 = 1.1;

/// Stage, frames or steps, and seconds.
type Cost = (String, f64, f64);

pub fn plan(args: &PlanArgs, context: &Context<'_>) -> Result<()> {
    let preset = Preset::resolve(&args.preset, &args.sets)?;
    preset.check_sources()?;
    let cores = rayon::current_num_threads();
    tracing::info!(
        "measuring this machine for about 15 seconds, and as long for every earlier round …"
    );
    let mut parts = costs(&preset, cores, context)?;
    let mut rounds = Vec::new();
    let (mut earlier, mut disk) = (preset.first.clone(), stored(&preset));
    while let Some(first) = earlier.filter(|first| first.agent().is_none()) {
        let inner = Preset::resolve(&first.preset, &stages::inherited_settings(&preset))?;
        disk += stored(&inner);
        let spent = costs(&inner, cores, context)?;
        // Its evaluation is left out.
        let spent = &spent[..spent.len() - 1];
        rounds.push((
            first.preset,
            spent.iter().map(|p| p.1).sum(),
            spent.iter().map(|p| p.2).sum(),
        ));
        earlier = inner.first;
    }
    // The latest of them was found first. Their presets can have one name.
    let numbered = rounds.into_iter().rev().enumerate();
    let rounds =
        numbered.map(|(i, (name, frames, s))| (format!("round {}: {name}", i + 1), frames, s));
    parts.splice(0..0, rounds);
    let mut rows: Vec<Vec<String>> = parts
        .iter()
        .map(|(name, frames, s)| vec![name.clone(), format!("{frames:.0}"), span(*s)])
        .collect();
    rows.push(vec![
        "in all".into(),
        String::new(),
        span(parts.iter().map(|p| p.2).sum()),
    ]);
    out!("{}\n", table(&["stage", "frames (at most)", "time"], &rows));
    let v = &preset.vision;
    let window = 2.0
        * v.window_episodes.min(preset.collect.episodes) as f64
        * (preset.collect.steps + 1) as f64
        * FRAME as f64;
    out!(
        "memory: about {:.1} GB (two windows of {} episodes and the models)",
        window / 1e9 + 0.5,
        v.window_episodes
    );
    out!("disk: about {:.1} GB in the run folder", disk / 1e9 + 0.1);
    out!("threads: {cores}; frmdn train goes on after any interruption");
    Ok(())
}

/// Bytes of episodes and latents: flat colours deflate to about an eighth; a latent frame is a mean
/// and a log-variance.
fn stored(preset: &Preset) -> f64 {
    let collected = (preset.collect.episodes * preset.collect.steps) as f64;
    collected * (FRAME as f64 / 8.0 + preset.vision.model.latent as f64 * 8.0)
}

/// What the stages of `preset` cost on this machine, `evaluate` last.
fn costs(preset: &Preset, cores: usize, context: &Context<'_>) -> Result<Vec<Cost>> {
    let world = context.world(&preset.environment)?;
    let env = measure::environment(&world, 1)?.steps;
    let acting = measure::acting(preset, &world, cores)?;
    let forms = Actions::of(&world.spec()?);
    let actions = forms.width();
    let (v, m, c) = (&preset.vision, &preset.memory, &preset.controller);
    let vision = v.batch as f64 / measure::vision(v.model, v.batch, cores, context.device)?;
    let steps = measure::memory(
        &m.model,
        v.model.latent,
        actions,
        [m.sequence, m.batch],
        cores,
        context.device,
    )?;
    let memory = if steps > 0.0 {
        (m.sequence * m.batch) as f64 / steps
    } else {
        0.0
    };
    let collected = (preset.collect.episodes * preset.collect.steps) as f64;
    // The better half of a generation drives further tracks. Which of early and late generations
    // there are more of is not known beforehand: the more expensive ones count.
    let episodes =
        |population: usize, tracks: usize, more: usize| population * tracks + population / 2 * more;
    let early = episodes(c.population, c.seeds, c.more_seeds);
    let late = c
        .late
        .as_ref()
        .map_or(0, |l| episodes(l.population, l.seeds, l.more_seeds));
    // Episodes of a learning driver end early at first and run to the limit later: three quarters of
    // it on average (preset tiny). Those that begin in recorded ones have a limit of their own.
    let limit = f64::from(world.spec()?.max_steps.unwrap_or(1000));
    let archived = c.archive.as_ref().map_or((0, 0.0), |archive| {
        let generations = archive.generations.min(c.generations);
        let steps = (c.population * archive.starts * archive.steps as usize) as f64;
        // Until as many are lost, half of the most are driven, to half of the limit.
        let own = (4 * archive.own) as f64 * 0.5 * limit;
        (generations, generations as f64 * (steps + own))
    });
    // Trials take about a third of a step with its picture, V and M.
    let taught = c.lessons.as_ref().map_or(0.0, |lessons| {
        let episodes = (lessons.rounds * lessons.episodes) as f64;
        episodes * 0.75 * limit * (1.0 + WATCHED_STEPS / 3.0)
    });
    let driven = archived.1
        + taught
        + (c.generations - archived.0) as f64 * early.max(late) as f64 * 0.75 * limit
        + (c.generations / c.select_every) as f64 * c.select_seeds as f64 * 0.95 * limit;
    // Frames and seconds of C.
    let evolved = match &c.dreams {
        None => (driven, driven / acting),
        Some(dreams) => {
            // The dreams, and in between real episodes of half the length, and M's updates.
            let (rows, between) = (c.population * c.seeds, (c.rounds() - 1) as f64);
            let engine = Device::default();
            let rate = measure::dreaming(&m.model, v.model.latent, &forms, rows, cores, &engine)?;
            let dreamt = c.generations as f64 * rows as f64 * f64::from(dreams.horizon);
            let steps = preset.collect.steps as f64;
            let driven = between * dreams.episodes as f64 * 0.5 * steps;
            let learned = between * dreams.updates as f64 * memory * OVERHEAD;
            (driven, dreamt / rate + driven / acting + learned)
        }
    };
    let tested = preset.evaluate.episodes as f64 * 0.95 * limit;
    // Recording also compresses and writes; measured at about two thirds of the bare environment.
    // The trials of a planner are steps that nobody sees, which take about a third of others.
    let policies = preset.collect.policies();
    let planners = policies.iter().filter(|name| **name == DriverName::Planner);
    let planned = planners.count() as f64 / policies.len() as f64;
    let trials = 1.0 + planned * PLANNED_STEPS / 3.0;
    Ok(vec![
        (
            "collect".into(),
            collected,
            collected * trials / (0.65 * env * cores as f64),
        ),
        (
            "vision".into(),
            v.updates as f64 * v.batch as f64,
            v.updates as f64 * vision * OVERHEAD,
        ),
        (
            "memory".into(),
            m.updates as f64 * (m.batch * m.sequence) as f64,
            m.updates as f64 * memory * OVERHEAD,
        ),
        ("controller".into(), evolved.0, evolved.1),
        (
            "evaluate".into(),
            tested,
            tested / acting + tested / (env * cores as f64),
        ),
    ])
}
