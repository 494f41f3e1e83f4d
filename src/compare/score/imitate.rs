//! A controller that comes closest to the drivers of the recorded episodes: ridge regression onto the outputs behind their actions.

use frmdn_engine::cholesky::Cholesky;

use super::Data;
use crate::{
    controller::Coordinates,
    memory::Scratch,
    rollout::ActingModel,
    run::{LatentEpisode, Result},
    stages,
};

/// Episodes that it is fitted to.
const EPISODES: usize = 200;
/// Added to the diagonal of the normal equations, in parts of the number of steps: coordinates have a variance of about one.
const RIDGE: f64 = 1e-2;

/// The parameters of that controller in `coordinates`, from training episodes of all drivers but the blind one; `None` without such.
pub fn drivers(data: &Data, model: &ActingModel, coordinates: &Coordinates) -> Result<Option<Vec<f64>>> {
    let collect = &data.preset.collect;
    let seeing = |&i: &usize| collect.policies()[collect.driver(i)] != "brownian";
    let (n, actions) = (coordinates.len() + 1, model.actions.width());
    let (mut gram, mut right, mut steps) = (vec![0.0; n * n], vec![0.0; n * actions], 0.0);
    let (mut wanted, mut scratch) = (vec![0.0; actions], Scratch::default());
    for index in stages::training_indices(collect.episodes).filter(seeing).take(EPISODES) {
        let episode = LatentEpisode::load(&data.folder.latents().path(index))?;
        let mut state = vec![0.0; model.memory.state_len()];
        for (z, action) in episode.mean.chunks_exact(episode.latent).zip(episode.actions.chunks_exact(actions)) {
            let mut row = coordinates.of(&[z, model.memory.hidden(&state)].concat());
            row.push(1.0);
            model.actions.unsquash(action, &mut wanted);
            for (i, x) in row.iter().enumerate() {
                gram[i * n..=i * n + i].iter_mut().zip(&row).for_each(|(s, y)| *s += x * y);
                right[i * actions..(i + 1) * actions].iter_mut().zip(&wanted).for_each(|(s, w)| *s += x * f64::from(*w));
            }
            steps += 1.0;
            model.memory.step(1, z, action, &mut state, &mut scratch);
        }
    }
    (0..n - 1).for_each(|i| gram[i * n + i] += RIDGE * steps);
    let Some(gram) = Cholesky::new(gram, n) else { return Ok(None) };
    let mut x = Vec::with_capacity(n * actions);
    for action in 0..actions {
        let mut column: Vec<f64> = (0..n).map(|i| right[i * actions + action]).collect();
        gram.solve(&mut column);
        x.extend(column);
    }
    Ok(Some(x))
}
