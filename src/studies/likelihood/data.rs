//! The data of a comparison: latents that memories learn from, and test episodes on tracks that
//! nothing else uses.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::{Likelihood, judge::Test};
use crate::{
    agent::Agent,
    controller::Actions,
    data::{Dataset, Latents},
    run::{EpisodeStore, Preset, Result, RunError, RunFolder, seeds},
    stages::{self, Context},
    studies::data,
    vision::{EncoderScratch, Vae},
    worlds::World,
};

/// Data that are ready to be learned from.
pub struct Data {
    pub name: String,
    pub folder: RunFolder,
    /// The folder's settings with the plan's changes.
    pub preset: Preset,
    /// Checksum of V's weights.
    pub vision: u64,
    /// Width of an action.
    pub actions: usize,
    test: EpisodeStore,
}

impl Data {
    /// Encodes the run's episodes, and records and encodes the test episodes, where they are
    /// missing. A report needs V alone, to know which results are of it.
    ///
    /// # Errors
    /// If V or an episode cannot be read, the environment fails, or the user interrupts.
    pub fn prepare(
        folder: RunFolder,
        preset: Preset,
        plan: &Likelihood,
        context: &Context<'_>,
    ) -> Result<Self> {
        let mut world = context.world(&preset.environment)?;
        let spec = world.spec()?;
        if plan.train {
            stages::encode(&folder, context)?;
        }
        if preset.collect.random_start {
            world = world.with_random_start()?;
        }
        let (weights, vision) = Agent::load_vision(&folder)?;
        let actions = Actions::of(&spec).width();
        let data = Self {
            name: data::name(&folder),
            test: EpisodeStore::new(
                folder.path("test-latents"),
                seeds::LIKELIHOOD.start,
                folder.preset(),
            ),
            folder,
            preset,
            vision,
            actions,
        };
        if plan.train {
            let vae = Vae::if_any(data.preset.vision.model, &weights)
                .map_err(|e| RunError::Failed(format!("compare: {e}")))?;
            data.record_tests(plan.test_episodes, vae.as_ref(), &world, context)?;
        }
        Ok(data)
    }

    /// Number of latents.
    pub fn latent(&self) -> usize {
        self.preset.vision.model.latent
    }

    /// V's checksum as results name it.
    pub fn vision_name(&self) -> String {
        format!("{:016x}", self.vision)
    }

    /// Records and encodes those of `count` test episodes that are missing or of another V.
    fn record_tests(
        &self,
        count: usize,
        vae: Option<&Vae>,
        world: &World,
        context: &Context<'_>,
    ) -> Result<()> {
        let test = &self.test;
        let of_other_vision = |i: usize| {
            let found = test.load_latents(i, self.actions);
            found.is_ok_and(|episode| episode.vision != self.vision)
        };
        let missing: Vec<usize> = (0..count)
            .into_par_iter()
            .filter(|&i| !test.has(i) || of_other_vision(i))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let encoder = vae.map(Vae::encoder);
        let drivers = stages::Drivers::new(&self.folder, world)?;
        let collect = &self.preset.collect;
        let done = AtomicU64::new((count - missing.len()) as u64);
        let first = done.load(Ordering::Relaxed);
        context
            .report
            .begin("test episodes", "episodes", first, count as u64);
        let record = |scratch: &mut EncoderScratch, &index: &usize| -> Result<()> {
            if context.stop.is_set() {
                return Ok(());
            }
            let seed = seeds::LIKELIHOOD.start + index as u64;
            let episode = drivers.record(collect.driver(index), collect.steps, seed)?;
            stages::encoded(encoder.as_ref(), scratch, episode, self.vision)
                .save(&test.path(index))?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            context.report.advance(done, "");
            Ok(())
        };
        let outcome = missing
            .par_iter()
            .try_for_each_init(EncoderScratch::default, record);
        context.report.end();
        outcome?;
        context.check()
    }

    /// The first `count` test episodes as batches; `spread` is the standard deviation of each
    /// dimension of the latents' means.
    ///
    /// # Errors
    /// If an episode cannot be read.
    pub fn tests(&self, latents: &Latents, count: usize, spread: Vec<f64>) -> Result<Test> {
        let load = |index: usize| {
            let episode = self.test.load_latents(index, self.actions)?;
            let batch = latents.whole(&episode, self.preset.seed, "compare/test", index);
            let floor = latents.floor(&episode);
            Ok((episode, batch, floor, self.preset.collect.driver(index)))
        };
        Ok(Test {
            episodes: (0..count).map(load).collect::<Result<_>>()?,
            spread,
        })
    }
}
