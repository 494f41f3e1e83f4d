//! First weights of C for a new V and M that imitate an earlier agent, or experts: ridge regression
//! onto their outputs.

use frmdn_env::EnvSpec;
use rayon::prelude::*;

use super::ridge::Ridge;
use crate::{
    agent::Agent,
    controller::{Controller, Whitening},
    memory::Scratch,
    rollout::ActingModel,
    run::{
        ControllerStart, DriverName, Episode, FIRST, LatentEpisode, Recovery, Result, RunError,
        RunFolder,
    },
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

/// Whose ways are imitated.
enum Imitated {
    /// Those of an agent, on the episodes that it drove.
    Agent(Box<ActingModel>, Controller),
    /// The recorded actions of experts, or of a run's own candidates.
    Recorded,
}

impl Imitated {
    fn of(start: ControllerStart, folder: &RunFolder, spec: &EnvSpec) -> Result<Self> {
        if start == ControllerStart::Imitate {
            return Ok(Self::Recorded);
        }
        let agent = Agent::load(&folder.path(FIRST))?;
        let (model, controller) = (agent.acting_model(spec)?, agent.controller()?);
        Ok(Self::Agent(Box::new(model), controller))
    }

    /// Whether `driver` has driven what is imitated.
    fn drove(&self, driver: &DriverName) -> bool {
        match self {
            Self::Agent(..) => *driver == DriverName::First,
            Self::Recorded => driver.is_expert(),
        }
    }
}

/// The parameters, in the coordinates of `whitening`, of the controller that comes closest to the
/// outputs of the agent in the run folder's `first`, on the episodes that this agent drove, or to
/// the recorded actions of experts; and the share of the outputs' variance that it explains.
pub fn fit(
    folder: &RunFolder,
    world: &World,
    model: &ActingModel,
    whitening: &Whitening,
) -> Result<(Vec<f64>, f64)> {
    let preset = folder.preset();
    let spec = world.spec()?;
    let imitated = Imitated::of(preset.controller.start, folder, &spec)?;
    let collect = &preset.collect;
    let is_chosen = |&i: &usize| imitated.drove(&collect.policies()[collect.driver(i)]);
    let chosen: Vec<usize> = training_indices(collect.episodes)
        .filter(is_chosen)
        .take(EPISODES)
        .collect();
    regress(folder, &spec, &chosen, &imitated, model, whitening)
}

/// The same for the recorded actions of the candidates that drove the last `episodes` episodes of
/// `folder`, held-out ones too.
pub fn fit_last(
    folder: &RunFolder,
    world: &World,
    model: &ActingModel,
    whitening: &Whitening,
    episodes: usize,
) -> Result<(Vec<f64>, f64)> {
    let all = folder.preset().collect.episodes;
    let chosen: Vec<usize> = (all - episodes..all).collect();
    let imitated = Imitated::Recorded;
    regress(folder, &world.spec()?, &chosen, &imitated, model, whitening)
}

/// The same for the recorded actions of the experts among the drivers of the data; `None` where there
/// is none.
pub fn fit_experts(
    folder: &RunFolder,
    world: &World,
    model: &ActingModel,
    whitening: &Whitening,
) -> Result<Option<(Vec<f64>, f64)>> {
    let (collect, imitated) = (&folder.preset().collect, Imitated::Recorded);
    let is_chosen = |&i: &usize| imitated.drove(&collect.policies()[collect.driver(i)]);
    let chosen: Vec<usize> = training_indices(collect.driven())
        .filter(is_chosen)
        .take(EPISODES)
        .collect();
    if chosen.is_empty() {
        return Ok(None);
    }
    regress(folder, &world.spec()?, &chosen, &imitated, model, whitening).map(Some)
}

/// The regression on the episodes `chosen`.
fn regress(
    folder: &RunFolder,
    spec: &EnvSpec,
    chosen: &[usize],
    imitated: &Imitated,
    model: &ActingModel,
    whitening: &Whitening,
) -> Result<(Vec<f64>, f64)> {
    let (n, actions) = (whitening.len() + 1, model.actions.width());
    let sums_of = |&i: &usize| {
        let (episode, latents) = folder.episode(i, spec)?;
        let mut sums = Ridge::new(n, actions);
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
            "controller: the episodes to be imitated are empty",
            Recovery::Episodes,
        )
    };
    let (weights, explained) = all.solve(RIDGE).ok_or_else(unsolvable)?;
    Ok((whitening.parameters(&weights), explained))
}

/// Adds one episode.
fn add(
    sums: &mut Ridge,
    episode: &Episode,
    latents: &LatentEpisode,
    imitated: &Imitated,
    new: &ActingModel,
    whitening: &Whitening,
) {
    let actions = new.actions.width();
    let mut old = match imitated {
        Imitated::Agent(model, controller) => Some(Old::new(model, controller)),
        Imitated::Recorded => None,
    };
    let mut scratch = Scratch::default();
    let mut state = vec![0.0; new.memory.state_len()];
    let mut raw = vec![0.0; actions];
    for t in 0..episode.steps() {
        let action = &episode.actions[t * actions..(t + 1) * actions];
        let z = &latents.mean[t * new.latent..(t + 1) * new.latent];
        match &mut old {
            Some(old) => old.outputs(episode, t, z, action, &mut raw),
            None => new.actions.unsquash(action, &mut raw),
        }
        let wanted: Vec<f64> = raw
            .iter()
            .map(|w| f64::from(w.clamp(-MAX_OUTPUT, MAX_OUTPUT)))
            .collect();
        let mut row = whitening.of(&[z, new.memory.hidden(&state)].concat());
        row.push(1.0);
        sums.add(&row, &wanted);
        new.memory.step(1, z, action, &mut state, &mut scratch);
    }
}

/// The agent that is imitated, in an episode.
struct Old<'a> {
    model: &'a ActingModel,
    controller: &'a Controller,
    z: Vec<f32>,
    state: Vec<f32>,
    vision: EncoderScratch,
    memory: Scratch,
}

impl<'a> Old<'a> {
    fn new(model: &'a ActingModel, controller: &'a Controller) -> Self {
        Self {
            z: vec![0.0; model.latent],
            state: vec![0.0; model.memory.state_len()],
            vision: EncoderScratch::default(),
            memory: Scratch::default(),
            model,
            controller,
        }
    }

    /// Its outputs at step `t` of `episode`, after which `action` was done; `z` is what the new
    /// agent sees.
    fn outputs(&mut self, episode: &Episode, t: usize, z: &[f32], action: &[f32], raw: &mut [f32]) {
        let memory = &self.model.memory;
        match &self.model.encoder {
            Some(encoder) => encoder.encode(&mut self.vision, episode.frame(t), &mut self.z),
            // Without V both see the same.
            None => self.z.copy_from_slice(z),
        }
        (self.controller).outputs(&self.z, memory.hidden(&self.state), raw);
        memory.step(1, &self.z, action, &mut self.state, &mut self.memory);
    }
}
