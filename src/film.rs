//! Films: the agent driving with its own reconstruction beside it, and the memory's dream beside
//! what really happened.

use std::path::Path;

use frmdn_engine::random::stream;
use frmdn_env::{AgentView, Env, ObservationMut, Picture};

use crate::{
    agent::Agent,
    memory::Prediction,
    pictures::{Film, Panel},
    rollout::{Blind, Job, Outcome, Policy, View, watch},
    run::{Interrupt, Result, RunError},
    vision::{DecoderScratch, EncoderScratch, FRAME, SIDE as VIEW},
    worlds::World,
};

/// Only every fourth step is filmed, and shown at twice the speed of life: 25 pictures a second of
/// 50 steps a second.
const EVERY: u32 = 4;
/// Milliseconds between two pictures.
const DELAY: u32 = 40;
/// Side of a panel in pixels: the 96-pixel picture twice, the 64-pixel observation three times.
const SIDE: usize = 192;

fn frame_panel(rgb: &[u8]) -> Panel {
    Panel::new(VIEW, VIEW, rgb.to_vec()).enlarged(SIDE / VIEW)
}

fn picture_panel(picture: Picture) -> Panel {
    // Larger ones, and those that are not square, are made to fit as the agent's view is.
    if picture.width == picture.height && SIDE.is_multiple_of(picture.width) {
        return Panel::new(picture.width, picture.height, picture.rgb)
            .enlarged(SIDE / picture.width);
    }
    let fitted =
        AgentView::new((picture.height, picture.width, 3), 0..picture.height, SIDE).map(|view| {
            let mut rgb = vec![0; view.len()];
            view.write(&picture.rgb, &mut rgb);
            rgb
        });
    Panel::new(
        SIDE,
        SIDE,
        fitted.unwrap_or_else(|_| vec![0; SIDE * SIDE * 3]),
    )
}

/// Drives one episode and films it: what a person sees, what the agent sees, what V makes of it.
pub fn drive(
    agent: &Agent,
    world: &World,
    seed: u64,
    path: &Path,
    stop: &Interrupt,
) -> Result<Outcome> {
    let (model, controller, decoder) = (
        agent.acting_model(world)?,
        agent.controller()?,
        agent.decoder()?,
    );
    let mut film = Film::create(path, DELAY)?;
    let mut step = 0;
    let mut scratch = DecoderScratch::default();
    let mut rebuilt = vec![0u8; FRAME];
    let mut observe = |view: View<'_>| -> std::result::Result<(), String> {
        if step % EVERY == 0 {
            decoder.decode_u8(&mut scratch, view.latent, &mut rebuilt);
            let person = view.env.picture().map(picture_panel);
            let panels = [
                person.map(|p| p.titled(&format!("SCORE {:.0}", view.score))),
                Some(frame_panel(view.frame).titled("THE AGENT'S VIEW")),
                Some(frame_panel(&rebuilt).titled("ITS RECONSTRUCTION")),
            ];
            film.push(&Panel::row(panels.into_iter().flatten().collect()))
                .map_err(|e| e.to_string())?;
        }
        step += 1;
        Ok(())
    };
    let outcome = model
        .watch(
            world,
            Job {
                controller: &controller,
                seed,
            },
            stop,
            &mut observe,
        )
        .map_err(RunError::Failed)?;
    if !stop.is_set() {
        film.finish()?;
    }
    Ok(outcome)
}

/// Films one episode of a policy that needs no run.
pub fn drive_policy(
    world: &World,
    policy: Policy,
    seed: u64,
    path: &Path,
    stop: &Interrupt,
) -> Result<Outcome> {
    let mut driven = policy.start(world, 0, seed).map_err(RunError::Failed)?;
    let mut film = Film::create(path, DELAY)?;
    let mut observe =
        |env: &mut dyn Env, frame: &[u8], outcome: &Outcome| -> std::result::Result<(), String> {
            if !outcome.steps.is_multiple_of(EVERY) {
                return Ok(());
            }
            let person = env
                .picture()
                .map(|p| picture_panel(p).titled(&format!("SCORE {:.0}", outcome.score)));
            let panels = [person, Some(frame_panel(frame).titled("THE AGENT'S VIEW"))];
            film.push(&Panel::row(panels.into_iter().flatten().collect()))
                .map_err(|e| e.to_string())
        };
    let outcome = watch(driven.as_mut(), seed, stop, &mut observe).map_err(RunError::Failed)?;
    if !stop.is_set() {
        film.finish()?;
    }
    Ok(outcome)
}

/// What to dream.
#[derive(Clone, Copy, Debug)]
pub struct DreamFilm {
    /// Environment seed.
    pub seed: u64,
    /// Real frames the memory sees first.
    pub warm_up: usize,
    /// Frames it then imagines, with the real actions.
    pub steps: usize,
    /// Temperature of the samples.
    pub temperature: f32,
}

/// How far the dream was from what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DreamOutcome {
    /// Frames imagined (fewer if the episode ended).
    pub steps: usize,
    /// Sum of the real rewards of these steps.
    pub real_reward: f64,
    /// Sum of the rewards the memory imagined.
    pub dreamt_reward: f64,
    /// Mean squared pixel error (0..1) between real and imagined frames.
    pub dream_mse: f64,
    /// The same for V's reconstruction of the real frames: the best the dream could do.
    pub reconstruction_mse: f64,
}

/// One real step: frame, its latent, the action taken on it, and the reward it brought.
struct Moment {
    frame: Vec<u8>,
    latent: Vec<f32>,
    action: Vec<f32>,
    score: f64,
}

/// Films the memory's open-loop continuation beside reality: the controller drives (or, without
/// one, a Brownian policy); after the warm-up the memory gets its own samples and the real actions,
/// and no real frame any more.
pub fn dream(
    agent: &Agent,
    world: &World,
    film: DreamFilm,
    path: &Path,
    stop: &Interrupt,
) -> Result<DreamOutcome> {
    let moments = moments(agent, world, film, stop)?;
    if stop.is_set() {
        return Ok(DreamOutcome::default());
    }
    if moments.len() < film.warm_up + 2 {
        return Err(RunError::Failed(format!(
            "the episode on track {} ended after {} steps, before the dream began: give a smaller \
             --warm-up or another --seed",
            film.seed,
            moments.len()
        )));
    }
    let (memory, decoder) = (agent.memory()?, agent.decoder()?);
    let mut out = Film::create(path, DELAY)?;
    let mut rng = stream(film.seed, "film/dream", &[]);
    let mut state = vec![0.0; memory.state_len()];
    let (mut vision, mut scratch) = (DecoderScratch::default(), crate::memory::Scratch::default());
    let (mut rebuilt, mut imagined) = (vec![0u8; FRAME], vec![0u8; FRAME]);
    let mut z = moments[0].latent.clone();
    let mut outcome = DreamOutcome::default();
    for (t, pair) in moments.windows(2).enumerate() {
        let [now, next] = pair else {
            unreachable!("windows of two")
        };
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
        let title = if dreaming {
            format!("DREAM +{}", t - film.warm_up)
        } else {
            "WARM-UP".to_owned()
        };
        let panels = vec![
            frame_panel(&now.frame).titled("REAL"),
            frame_panel(&rebuilt).titled("RECONSTRUCTION"),
            frame_panel(&imagined).titled(&title),
        ];
        out.push(&Panel::row(panels))?;
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

fn mse(a: &[u8], b: &[u8]) -> f64 {
    let sum: f64 = a
        .iter()
        .zip(b)
        .map(|(&x, &y)| ((f64::from(x) - f64::from(y)) / 255.0).powi(2))
        .sum();
    sum / a.len() as f64
}

fn moments(agent: &Agent, world: &World, film: DreamFilm, stop: &Interrupt) -> Result<Vec<Moment>> {
    let wanted = film.warm_up + film.steps + 1;
    let model = agent.acting_model(world)?;
    let mut moments = Vec::new();
    if let Ok(controller) = agent.controller() {
        // The episode ends when enough was seen: `enough` is the observer's way to say so.
        let enough = "enough was seen";
        let mut observe = |view: View<'_>| -> std::result::Result<(), String> {
            let (frame, latent, action) = (
                view.frame.to_vec(),
                view.latent.to_vec(),
                view.action.to_vec(),
            );
            moments.push(Moment {
                frame,
                latent,
                action,
                score: view.score,
            });
            if moments.len() == wanted {
                Err(enough.into())
            } else {
                Ok(())
            }
        };
        match model.watch(
            world,
            Job {
                controller: &controller,
                seed: film.seed,
            },
            stop,
            &mut observe,
        ) {
            Err(e) if e != enough => return Err(RunError::Failed(e)),
            _ => return Ok(moments),
        }
    }
    let failed = |e: frmdn_env::EnvError| RunError::Failed(e.to_string());
    let mut env: Box<dyn Env> = world.make().map_err(RunError::Failed)?;
    let mut frame = vec![0; env.observation_space().len()];
    let mut scratch = EncoderScratch::default();
    let mut driver = Blind::Brownian.driver(&model.actions, 0, film.seed);
    let mut score = 0.0;
    env.reset(film.seed, ObservationMut::Frame(&mut frame))
        .map_err(failed)?;
    while moments.len() < wanted && !stop.is_set() {
        let (mut latent, mut action) = (vec![0.0; model.latent], vec![0.0; model.actions.width()]);
        model.encoder.encode(&mut scratch, &frame, &mut latent);
        driver.act(&mut action);
        moments.push(Moment {
            frame: frame.clone(),
            latent,
            action: action.clone(),
            score,
        });
        let mut index = [0.0];
        let step = env
            .step(
                model.actions.for_env(&action, &mut index),
                ObservationMut::Frame(&mut frame),
            )
            .map_err(failed)?;
        score += step.reward;
        if step.done() {
            break;
        }
    }
    Ok(moments)
}
