//! The data of a comparison: episodes that memories learn from, and the world that controllers
//! drive in.

use frmdn_engine::Params;

use super::{Experiment, Score, bank_dreams};
use crate::{
    agent::Agent,
    controller::Actions,
    memory::{self, Memory, MemoryConfig, Variant},
    rollout::ActingModel,
    run::{Preset, Result, RunError, RunFolder},
    stages::{self, Context},
    studies::data,
    vision::Vae,
    worlds::World,
};

/// Data that are ready to be driven in.
pub struct Data {
    pub name: String,
    pub folder: RunFolder,
    /// The folder's settings with the plan's changes.
    pub preset: Preset,
    pub world: World,
    /// The world as the episodes were recorded in.
    pub recorded: World,
    vae: Option<Vae>,
    /// Checksum of V's weights.
    pub vision: String,
    pub actions: Actions,
    /// Whether dreams can end early; false where nothing dreams.
    pub ends: bool,
}

impl Data {
    /// Opens `folder` for the experiments of `plan`, and encodes its episodes if they are needed. A
    /// report needs V alone, to know which results are of it.
    ///
    /// # Errors
    /// If V or an episode cannot be read, or the environment fails.
    pub fn prepare(
        plan: &Score,
        folder: RunFolder,
        preset: Preset,
        context: &Context<'_>,
    ) -> Result<Self> {
        let world = context.world(&preset.environment)?;
        let spec = world.spec()?;
        if plan.train {
            stages::encode(&folder, context)?;
        }
        let recorded = if preset.collect.random_start {
            world.with_random_start()?
        } else {
            world.clone()
        };
        let (weights, vision) = Agent::load_vision(&folder)?;
        let vae = Vae::if_any(preset.vision.model, &weights)
            .map_err(|e| RunError::Failed(format!("compare: {e}")))?;
        let actions = Actions::of(&spec);
        let dreams = plan.train && (plan.does(Experiment::E1) || plan.does(Experiment::E4));
        Ok(Self {
            name: data::name(&folder),
            ends: dreams && bank_dreams::ends(&folder, actions.width())?,
            folder,
            preset,
            world,
            recorded,
            vae,
            vision: format!("{vision:016x}"),
            actions,
        })
    }

    /// Number of latents.
    pub fn latent(&self) -> usize {
        self.preset.vision.model.latent
    }

    /// The acting model with this memory.
    pub fn model(&self, memory: Box<dyn Memory>) -> ActingModel {
        ActingModel {
            encoder: self.vae.as_ref().map(Vae::encoder),
            memory,
            latent: self.latent(),
            actions: self.actions.clone(),
        }
    }

    /// A memory with these weights.
    ///
    /// # Errors
    /// If the weights do not fit the settings.
    pub fn memory(&self, config: &MemoryConfig, weights: &Params) -> Result<Box<dyn Memory>> {
        memory::load(config, self.latent(), self.actions.width(), weights).map_err(|e| {
            RunError::Failed(format!("a memory's weights do not fit its settings: {e}"))
        })
    }

    /// A memory that has no weights: `none`, `stack2`, `copy`.
    ///
    /// # Errors
    /// If the variant has weights.
    pub fn memory_without_weights(&self, variant: Variant) -> Result<Box<dyn Memory>> {
        let config = MemoryConfig {
            variant,
            ..self.preset.memory.model
        };
        self.memory(&config, &Params::default())
    }
}
