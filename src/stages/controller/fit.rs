//! First weights of C for a new V and M that imitate an earlier agent: ridge regression onto its
//! outputs.

use rayon::prelude::*;

use super::ridge::Ridge;
use crate::{
    agent::Agent,
    controller::{LinearController, Whitening},
    memory::Scratch,
    rollout::ActingModel,
    run::{DriverName, Episode, FIRST, LatentEpisode, Recovery, Result, RunError, RunFolder},
    stages::training_indices,
    vision::EncoderScratch,
    worlds::World,
};

/// Episodes of the fit.
const EPISODES: usize = 200;
/// Outputs are clamped to ± this: tanh(2) is 0.96, and larger values carry no information.
const MAX_OUTPUT: f32 = 2.0;
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
    let (old, controller) = (agent.acting_model(&world.spec()?)?, agent.controller()?);
    let collect = &preset.collect;
    let is_of_first = |&i: &usize| collect.policies()[collect.driver(i)] == DriverName::First;
    let chosen: Vec<usize> = training_indices(collect.episodes)
        .filter(is_of_first)
        .take(EPISODES)
        .collect();
    let (n, actions) = (whitening.len() + 1, model.actions.width());
    let sums_of = |&i: &usize| {
        let episode = folder.episode(i)?;
        let latents = LatentEpisode::load(&folder.latents().path(i))?;
        let mut sums = Ridge::new(n, actions);
        let imitated = (&old, &controller);
        add(&mut sums, &episode, &latents, imitated, model, whitening);
        Ok(sums)
    };
    let mut all = Ridge::new(n, actions);
    // A few episodes at a time, added in their order, so that the sums do not depend on threads.
    for chunk in chosen.chunks(8) {
        let parts: Vec<Ridge> = chunk.par_iter().map(sums_of).collect::<Result<_>>()?;
        for part in parts {
            all.merge(part);
        }
    }
    let unsolvable = || {
        RunError::refused(
            "controller: the first agent's episodes are empty",
            Recovery::Episodes,
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
    let mut encoder_scratch = EncoderScratch::default();
    let mut scratch = [Scratch::default(), Scratch::default()];
    let mut old_state = vec![0.0; old.memory.state_len()];
    let mut new_state = vec![0.0; new.memory.state_len()];
    let mut raw = vec![0.0; actions];
    for t in 0..episode.steps() {
        let action = &episode.actions[t * actions..(t + 1) * actions];
        let new_z = &latents.mean[t * new.latent..(t + 1) * new.latent];
        match &old.encoder {
            Some(encoder) => encoder.encode(&mut encoder_scratch, episode.frame(t), &mut z),
            // Without V both see the same.
            None => z.copy_from_slice(new_z),
        }
        controller.outputs(&z, old.memory.hidden(&old_state), &mut raw);
        let wanted: Vec<f64> = raw
            .iter()
            .map(|w| f64::from(w.clamp(-MAX_OUTPUT, MAX_OUTPUT)))
            .collect();
        let mut row = whitening.of(&[new_z, new.memory.hidden(&new_state)].concat());
        row.push(1.0);
        sums.add(&row, &wanted);
        old.memory
            .step(1, &z, action, &mut old_state, &mut scratch[0]);
        new.memory
            .step(1, new_z, action, &mut new_state, &mut scratch[1]);
    }
}
