//! A controller for new eyes and a new memory that does what an earlier agent did: ridge regression
//! onto its outputs.

use rayon::prelude::*;

use super::ridge::Ridge;
use crate::{
    agent::Agent,
    controller::{LinearController, Whitening},
    memory::Scratch,
    rollout::ActingModel,
    run::{Episode, FIRST, LatentEpisode, Result, RunError, RunFolder},
    stages::training_indices,
    vision::EncoderScratch,
    worlds::World,
};

/// Episodes that it is fitted to.
const EPISODES: usize = 200;
/// Outputs are cut off here: tanh(2) is 0.96, and how far beyond a controller is says nothing.
const MOST: f32 = 2.0;
/// Added to the diagonal of the normal equations, in parts of the number of steps: coordinates have
/// a variance of about one.
const RIDGE: f64 = 1e-2;

/// The parameters, in `coordinates`, of the controller that comes closest to the outputs of the
/// agent in the run folder's `first`, on the episodes that this agent drove; and the share of the
/// outputs' variance that it explains.
pub fn fit(
    folder: &RunFolder,
    world: &World,
    model: &ActingModel,
    whitening: &Whitening,
) -> Result<(Vec<f64>, f64)> {
    let preset = folder.preset();
    let agent = Agent::load(&folder.path(FIRST))?;
    let (old, controller) = (agent.acting_model(world)?, agent.controller()?);
    let driven = |i: usize| preset.collect.policies()[preset.collect.driver(i)] == FIRST;
    let chosen: Vec<usize> = training_indices(preset.collect.episodes)
        .filter(|&i| driven(i))
        .take(EPISODES)
        .collect();
    let (n, actions) = (whitening.len() + 1, model.actions.width());
    let mut all = Ridge::new(n, actions);
    // A few episodes at a time, added in their order, so that the sums do not depend on threads.
    for chunk in chosen.chunks(8) {
        let parts: Vec<Ridge> = chunk
            .par_iter()
            .map(|&i| {
                let mut sums = Ridge::new(n, actions);
                let episode = Episode::load(&folder.episodes().path(i))?;
                let latents = LatentEpisode::load(&folder.latents().path(i))?;
                add(
                    &mut sums,
                    &episode,
                    &latents,
                    (&old, &controller),
                    model,
                    whitening,
                );
                Ok(sums)
            })
            .collect::<Result<_>>()?;
        parts.into_iter().for_each(|part| all.merge(part));
    }
    let unsolvable = || {
        RunError::Failed(
            "controller: the first agent's episodes are empty: delete episodes/ and \
            type the same command again"
                .into(),
        )
    };
    let (weights, explained) = all.solve(RIDGE).ok_or_else(unsolvable)?;
    Ok((whitening.parameters(&weights), explained))
}

/// Adds one episode, which both agents see.
fn add(
    sums: &mut Ridge,
    episode: &Episode,
    latents: &LatentEpisode,
    (old, controller): (&ActingModel, &LinearController),
    new: &ActingModel,
    whitening: &Whitening,
) {
    let actions = controller.actions();
    let mut z = vec![0.0; old.latent];
    let (mut eyes, mut scratch) = (
        EncoderScratch::default(),
        [Scratch::default(), Scratch::default()],
    );
    let (mut before, mut now) = (
        vec![0.0; old.memory.state_len()],
        vec![0.0; new.memory.state_len()],
    );
    let mut raw = vec![0.0; actions];
    for t in 0..episode.steps() {
        let action = &episode.actions[t * actions..(t + 1) * actions];
        old.encoder.encode(
            &mut eyes,
            &episode.frames[t * episode.frame_len..(t + 1) * episode.frame_len],
            &mut z,
        );
        controller.outputs(&z, old.memory.hidden(&before), &mut raw);
        let wanted: Vec<f64> = raw
            .iter()
            .map(|w| f64::from(w.clamp(-MOST, MOST)))
            .collect();
        let seen = &latents.mean[t * new.latent..(t + 1) * new.latent];
        let mut row = whitening.of(&[seen, new.memory.hidden(&now)].concat());
        row.push(1.0);
        sums.add(&row, &wanted);
        old.memory.step(1, &z, action, &mut before, &mut scratch[0]);
        new.memory.step(1, seen, action, &mut now, &mut scratch[1]);
    }
}
