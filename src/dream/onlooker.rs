//! A memory that looks on at an episode, whoever drives.

use std::{ops::ControlFlow, path::Path};

use crate::{
    pilot::Pilot,
    rollout::{ActingModel, Driver, Job, Moment, Outcome, Watcher, Who},
    run::{Interrupt, Result},
    worlds::World,
};

/// The V and M of an agent, in a world.
pub(super) struct Onlooker<'a> {
    /// Where the agent was loaded from.
    pub origin: &'a Path,
    pub model: &'a ActingModel,
    pub world: &'a World,
    pub stop: &'a Interrupt,
}

impl Onlooker<'_> {
    /// Shows `watcher` the episode of `seed` that `pilot` drives, with the latents and states of this
    /// memory. Another agent drives with a memory of its own, for `most` steps if it is not over before,
    /// and what it did is then done again.
    ///
    /// # Errors
    /// If the environment fails, or whatever `watcher` returns.
    pub fn watch(
        &self,
        pilot: &Pilot,
        seed: u64,
        most: u32,
        watcher: &mut dyn Watcher,
    ) -> Result<Outcome> {
        let looks_on = Driver::new(self.world, self.stop).with_model(self.model);
        let other = pilot
            .agent()
            .filter(|other| other.agent.origin() != self.origin);
        let Some(other) = other else {
            return Ok(looks_on.watch(pilot.job(seed), watcher)?);
        };
        let mut actions = Vec::new();
        let mut record = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
            actions.extend_from_slice(moment.action);
            Ok(match moment.outcome.steps >= most {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        Driver::new(self.world, self.stop)
            .with_model(&other.model)
            .watch(pilot.job(seed), &mut record)?;
        Ok(looks_on.watch(Job::of(Who::Recorded(&actions), seed), watcher)?)
    }
}
