//! A controller for new eyes and a new memory that does what an earlier agent did: ridge regression onto its outputs.

use frmdn_engine::cholesky::Cholesky;
use rayon::prelude::*;

use crate::{
    agent::Agent,
    controller::{Coordinates, LinearController},
    memory::Scratch,
    rollout::ActingModel,
    run::{Episode, FIRST, LatentEpisode, Result, RunError, RunFolder},
    stages::held_out,
    vision::EncoderScratch,
    worlds::World,
};

/// Episodes that it is fitted to.
const EPISODES: usize = 200;
/// Outputs are cut off here: tanh(2) is 0.96, and how far beyond a controller is says nothing.
const MOST: f32 = 2.0;
/// Added to the diagonal of the normal equations, in parts of the number of steps: coordinates have a variance of about one.
const RIDGE: f64 = 1e-2;

/// Sums of the normal equations: Gram matrix of the coordinates and a one, products with the outputs, steps.
struct Sums {
    gram: Vec<f64>,
    right: Vec<f64>,
    /// Of each output: sum and sum of squares.
    outputs: Vec<[f64; 2]>,
    steps: f64,
}

/// The parameters, in `coordinates`, of the controller that comes closest to the outputs of the agent in the run folder's `first`, on the
/// episodes that this agent drove; and the share of the outputs' variance that it explains.
pub fn fit(folder: &RunFolder, world: &World, model: &ActingModel, coordinates: &Coordinates) -> Result<(Vec<f64>, f64)> {
    let preset = folder.preset();
    let agent = Agent::load(&folder.path(FIRST))?;
    let (old, controller) = (agent.acting_model(world)?, agent.controller()?);
    let driven = |i: usize| preset.collect.policies()[preset.collect.driver(i)] == FIRST;
    let chosen: Vec<usize> = (0..preset.collect.episodes).filter(|&i| !held_out(i) && driven(i)).take(EPISODES).collect();
    let (n, actions) = (coordinates.len() + 1, model.actions.width());
    let zero = || Sums { gram: vec![0.0; n * n], right: vec![0.0; n * actions], outputs: vec![[0.0; 2]; actions], steps: 0.0 };
    let mut all = zero();
    // A few episodes at a time, added in their order, so that the sums do not depend on threads.
    for chunk in chosen.chunks(8) {
        let parts: Vec<Sums> = chunk
            .par_iter()
            .map(|&i| {
                let mut sums = zero();
                let episode = Episode::load(&folder.episodes().path(i))?;
                let latents = LatentEpisode::load(&folder.latents().path(i))?;
                add(&mut sums, &episode, &latents, (&old, &controller), model, coordinates);
                Ok(sums)
            })
            .collect::<Result<_>>()?;
        for part in parts {
            all.gram.iter_mut().zip(part.gram).for_each(|(s, p)| *s += p);
            all.right.iter_mut().zip(part.right).for_each(|(s, p)| *s += p);
            all.outputs.iter_mut().zip(part.outputs).for_each(|(s, p)| *s = [s[0] + p[0], s[1] + p[1]]);
            all.steps += part.steps;
        }
    }
    (0..n - 1).for_each(|i| all.gram[i * n + i] += RIDGE * all.steps);
    let unsolvable =
        || RunError::Failed("controller: the first agent's episodes are empty: delete episodes/ and type the same command again".into());
    let gram = Cholesky::new(all.gram, n).ok_or_else(unsolvable)?;
    let mut x = Vec::with_capacity(n * actions);
    let (mut explained, mut total) = (0.0, 0.0);
    for action in 0..actions {
        let right: Vec<f64> = (0..n).map(|i| all.right[i * actions + action]).collect();
        let mut weights = right.clone();
        gram.solve(&mut weights);
        let [sum, squares] = all.outputs[action];
        // Σ y ŷ less the mean's part: with a ridge a little less than what is explained.
        explained += right.iter().zip(&weights).map(|(r, w)| r * w).sum::<f64>() - sum * sum / all.steps.max(1.0);
        total += squares - sum * sum / all.steps.max(1.0);
        x.extend(weights);
    }
    Ok((x, explained / total.max(f64::MIN_POSITIVE)))
}

/// Adds one episode, which both agents see.
fn add(
    sums: &mut Sums,
    episode: &Episode,
    latents: &LatentEpisode,
    (old, controller): (&ActingModel, &LinearController),
    new: &ActingModel,
    coordinates: &Coordinates,
) {
    let (n, actions) = (coordinates.len() + 1, controller.actions());
    let mut z = vec![0.0; old.latent];
    let (mut eyes, mut scratch) = (EncoderScratch::default(), [Scratch::default(), Scratch::default()]);
    let (mut before, mut now) = (vec![0.0; old.memory.state_len()], vec![0.0; new.memory.state_len()]);
    let mut raw = vec![0.0; actions];
    for t in 0..episode.steps() {
        let action = &episode.actions[t * actions..(t + 1) * actions];
        old.encoder.encode(&mut eyes, &episode.frames[t * episode.frame_len..(t + 1) * episode.frame_len], &mut z);
        controller.outputs(&z, old.memory.hidden(&before), &mut raw);
        let wanted: Vec<f64> = raw.iter().map(|w| f64::from(w.clamp(-MOST, MOST))).collect();
        let seen = &latents.mean[t * new.latent..(t + 1) * new.latent];
        let mut row = coordinates.of(&[seen, new.memory.hidden(&now)].concat());
        row.push(1.0);
        for (i, x) in row.iter().enumerate() {
            sums.gram[i * n..=i * n + i].iter_mut().zip(&row).for_each(|(s, y)| *s += x * y);
            let right = &mut sums.right[i * actions..(i + 1) * actions];
            right.iter_mut().zip(&wanted).for_each(|(s, w)| *s += x * w);
        }
        sums.outputs.iter_mut().zip(&wanted).for_each(|(s, w)| *s = [s[0] + w, s[1] + w * w]);
        sums.steps += 1.0;
        old.memory.step(1, &z, action, &mut before, &mut scratch[0]);
        new.memory.step(1, seen, action, &mut now, &mut scratch[1]);
    }
}
