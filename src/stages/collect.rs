//! Collection: random episodes of the real environment, one file each.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use frmdn_env::ObservationMut;
use rayon::prelude::*;

use super::Context;
use crate::{
    rollout::Blind,
    run::{Episode, Preset, Result, RunError, RunFolder, seeds},
    worlds::{self, WorldOptions},
};

/// Records the episodes that are missing. Episode `i` has training seed `i` and its own random walk.
pub fn collect(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let store = folder.episodes();
    let missing: Vec<usize> = (0..preset.collect.episodes).filter(|&i| !store.has(i)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let total = (preset.collect.episodes * preset.collect.steps) as u64;
    let done = AtomicU64::new(total - (missing.len() * preset.collect.steps) as u64);
    context.report.begin("collect", "frames", done.load(Ordering::Relaxed), total);
    let returns = Mutex::new(Vec::new());
    let outcome = missing.par_iter().try_for_each(|&index| {
        if context.stop.is_set() {
            return Ok(());
        }
        let episode = record(preset, seeds::COLLECT.start + index as u64)?;
        episode.save(&store.path(index))?;
        let mut returns = returns.lock().expect("no thread panics while it counts");
        returns.push(episode.rewards.iter().map(|&r| f64::from(r)).sum::<f64>());
        let mean = returns.iter().sum::<f64>() / returns.len() as f64;
        let now = done.fetch_add(preset.collect.steps as u64, Ordering::Relaxed) + preset.collect.steps as u64;
        context.report.advance(now, &format!("mean return {mean:.1}"));
        Ok(())
    });
    context.report.end();
    outcome?;
    context.check(folder)
}

/// Drives one Brownian episode.
pub fn record(preset: &Preset, seed: u64) -> Result<Episode> {
    let options = WorldOptions { random_start: preset.collect.random_start };
    let mut env = worlds::make(&preset.environment, options).map_err(RunError::Failed)?;
    let frame_len = env.observation_space().len();
    let action_len = env.action_space().len();
    let mut episode =
        Episode { seed, frame_len, action_len, frames: vec![0; frame_len], actions: Vec::new(), rewards: Vec::new(), terminated: false };
    let failed = |e: frmdn_env::EnvError| RunError::Failed(e.to_string());
    env.reset(seed, ObservationMut::Frame(&mut episode.frames)).map_err(failed)?;
    let mut driver = Blind::Brownian.driver(preset.seed, seed);
    let mut action = vec![0.0; action_len];
    while episode.steps() < preset.collect.steps {
        driver.act(&mut action);
        let at = episode.frames.len();
        episode.frames.resize(at + frame_len, 0);
        let step = env.step(&action, ObservationMut::Frame(&mut episode.frames[at..])).map_err(failed)?;
        episode.actions.extend_from_slice(&action);
        episode.rewards.push(step.reward as f32);
        episode.terminated = step.terminated;
        if step.done() {
            break;
        }
    }
    Ok(episode)
}
