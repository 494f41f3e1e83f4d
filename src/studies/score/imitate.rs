//! A controller that imitates the drivers of the recorded episodes: ridge regression onto the
//! outputs behind their actions.

use super::data::Data;
use crate::{
    controller::Whitening,
    memory::Scratch,
    rollout::ActingModel,
    run::{DriverName, Result},
    stages::{self, Ridge},
};

/// Number of episodes that it is fitted to.
const EPISODES: usize = 200;
/// Added to the diagonal of the normal equations, in parts of the number of steps: coordinates have
/// a variance of about one.
const RIDGE: f64 = 1e-2;

/// The parameters of that controller in the coordinates of `whitening`, from training episodes of
/// all drivers but the blind one; `None` if there are none.
///
/// # Errors
/// If an episode cannot be read.
pub fn imitate_drivers(
    data: &Data,
    model: &ActingModel,
    whitening: &Whitening,
) -> Result<Option<Vec<f64>>> {
    let collect = &data.preset.collect;
    let seeing = |&i: &usize| {
        let driver = &collect.policies()[collect.driver(i)];
        !matches!(
            driver,
            DriverName::Random | DriverName::Brownian | DriverName::Bursts | DriverName::Noop
        )
    };
    let (n, actions) = (whitening.len() + 1, model.actions.width());
    let mut sums = Ridge::new(n, actions);
    let (mut outputs, mut scratch) = (vec![0.0; actions], Scratch::default());
    for index in stages::training_indices(collect.episodes)
        .filter(seeing)
        .take(EPISODES)
    {
        let episode = data.folder.latents().load_latents(index, actions)?;
        let mut state = vec![0.0; model.memory.state_len()];
        for (z, action) in episode
            .mean
            .chunks_exact(episode.latent)
            .zip(episode.actions.chunks_exact(actions))
        {
            let mut row = whitening.of(&[z, model.memory.hidden(&state)].concat());
            row.push(1.0);
            model.actions.unsquash(action, &mut outputs);
            sums.add(
                &row,
                &outputs.iter().map(|o| f64::from(*o)).collect::<Vec<_>>(),
            );
            model.memory.step(1, z, action, &mut state, &mut scratch);
        }
    }
    Ok(sums
        .solve(RIDGE)
        .map(|(weights, _)| whitening.parameters(&weights)))
}
