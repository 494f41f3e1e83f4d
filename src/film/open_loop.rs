//! The memory's open-loop prediction beside the real episode.

use std::path::Path;

use frmdn_engine::random::stream;

use super::{
    DELAY,
    dream::{decoder, too_late},
    frame_panel, record,
};
use crate::{
    agent::Agent,
    memory::Prediction,
    pictures::{Film, Panel},
    run::{Interrupt, Result, RunError},
    vision::{DecoderScratch, FRAME},
    worlds::World,
};

/// Settings of [`replay`].
#[derive(Clone, Copy, Debug)]
pub struct ReplayFilm {
    /// Seed of the environment.
    pub seed: u64,
    /// Number of real frames that the memory sees first.
    pub warm_up: usize,
    /// Number of frames that it then predicts, with the real actions.
    pub steps: usize,
    /// Temperature of the samples; 0 takes the mean of the likeliest component.
    pub temperature: f32,
}

/// Errors of the dream against the recorded episode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Replayed {
    /// Number of frames predicted; fewer than asked for if the episode ended.
    pub steps: usize,
    /// Sum of the real rewards of these steps.
    pub real_reward: f64,
    /// Sum of the rewards that the memory predicted.
    pub dreamt_reward: f64,
    /// Mean squared error between real and predicted frames, pixels from 0 to 1.
    pub dream_mse: f64,
    /// The same for V's reconstruction of the real frames, a lower bound for the dream's error.
    pub reconstruction_mse: f64,
}

/// Writes a film of the memory's open-loop prediction beside the real episode to `path`. The
/// controller drives, or a Brownian policy if there is none; after the warm-up the memory gets its
/// own samples and the real actions, but no real frame.
///
/// # Errors
/// If the agent does not fit `world`, if the episode ends before the dream begins, if the memory
/// predicts nothing, or if the film cannot be written.
pub fn replay(
    agent: &Agent,
    world: &World,
    film: ReplayFilm,
    path: &Path,
    stop: &Interrupt,
) -> Result<Replayed> {
    let decoder = decoder(agent)?;
    let wanted = film.warm_up + film.steps + 1;
    let episode = record(agent, world, film.seed, wanted, stop)?;
    if stop.is_set() {
        return Ok(Replayed::default());
    }
    if episode.len() < film.warm_up + 2 {
        return Err(too_late(film.seed, episode.len()));
    }
    let (memory, spec) = (agent.memory()?, world.spec()?);
    let mut out = Film::create(path, DELAY)?;
    let mut rng = stream(film.seed, "film/dream", &[]);
    let mut state = vec![0.0; memory.state_len()];
    let (mut vision, mut scratch) = (DecoderScratch::default(), crate::memory::Scratch::default());
    let (mut rebuilt, mut imagined) = (vec![0u8; FRAME], vec![0u8; FRAME]);
    let mut z = episode[0].latent.clone();
    let mut outcome = Replayed::default();
    for (t, pair) in episode.windows(2).enumerate() {
        let [now, next] = pair else {
            unreachable!("windows of two")
        };
        if stop.is_set() {
            return Ok(Replayed::default());
        }
        let dreaming = t >= film.warm_up;
        if !dreaming {
            z.copy_from_slice(&now.latent);
        }
        decoder.decode_u8(&mut vision, &now.latent, &mut rebuilt);
        decoder.decode_u8(&mut vision, &z, &mut imagined);
        if dreaming {
            outcome.dream_mse += mse(&imagined, &now.frame);
            outcome.reconstruction_mse += mse(&rebuilt, &now.frame);
            outcome.steps += 1;
            outcome.real_reward += next.score - now.score;
        }
        let title = match t.checked_sub(film.warm_up) {
            Some(step) => format!("DREAM +{step}"),
            None => "SEES THE REAL WORLD".to_owned(),
        };
        let in_view = spec.steps_in_view.map(|steps| steps as usize);
        let banner = match t.checked_sub(film.warm_up) {
            Some(step) if in_view.is_some_and(|steps| step >= steps) => {
                "NOTHING OF THIS WAS IN VIEW: WHAT LIES BEYOND IS INVENTED"
            }
            Some(_) => "THE SAME ACTIONS; THE MEMORY SEES NO FRAME ANY MORE",
            None => "THE MEMORY SEES THE REAL WORLD",
        };
        let panels = vec![
            frame_panel(&now.frame).titled("REAL"),
            frame_panel(&rebuilt).titled("RECONSTRUCTION"),
            frame_panel(&imagined).titled(&title),
        ];
        out.push(&Panel::row(panels).titled(banner))?;
        memory.step(1, &z, &now.action, &mut state, &mut scratch);
        if t + 1 >= film.warm_up {
            let mut prediction = [Prediction::default()];
            memory
                .predict(
                    &state,
                    film.temperature,
                    std::slice::from_mut(&mut rng),
                    &mut z,
                    &mut prediction,
                    &mut scratch,
                )
                .map_err(|e| RunError::Failed(format!("this memory cannot dream: {e}")))?;
            if dreaming {
                outcome.dreamt_reward += f64::from(prediction[0].reward);
            }
        }
    }
    out.finish()?;
    let n = outcome.steps.max(1) as f64;
    outcome.dream_mse /= n;
    outcome.reconstruction_mse /= n;
    Ok(outcome)
}

/// Mean squared error of bytes as numbers from 0 to 1.
fn mse(a: &[u8], b: &[u8]) -> f64 {
    let sum: f64 = a
        .iter()
        .zip(b)
        .map(|(&x, &y)| ((f64::from(x) - f64::from(y)) / 255.0).powi(2))
        .sum();
    sum / a.len() as f64
}
