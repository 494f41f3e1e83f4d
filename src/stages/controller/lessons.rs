//! Episodes that C drives before its evolution while a planner looks on.

use std::{ops::ControlFlow, path::Path, sync::Mutex};

use frmdn_env::Step;
use rayon::prelude::*;

use super::{
    CandidateEvaluator, mean,
    planned::{Fitted, Planned, Steps},
};
use crate::{
    agent::Agent,
    rollout::{Driver, Job, Moment, Outcome, Seen, Watcher, Who},
    run::{Episode, LessonsConfig, Observed, Recovery, Result, RunError, seeds},
};

/// C fitted to `planned`, and again after every round of lessons, whose plans are added to it.
/// Episodes that are in the folder are not driven again. `None` after Ctrl-C.
pub fn learn(evaluator: &CandidateEvaluator<'_>, mut planned: Planned) -> Result<Option<Fitted>> {
    let (folder, model) = (evaluator.folder, evaluator.model);
    let Some(lessons) = &evaluator.preset.controller.lessons else {
        return planned.fit(folder, model).map(Some);
    };
    // Another V or M has lessons of its own.
    let of = Agent::model_checksum(folder)?;
    let place = folder.path(&format!("controller/lessons/{}", &of[..8]));
    for round in 0..lessons.rounds {
        let Some(episodes) = drive(evaluator, lessons, round, &planned, &place)? else {
            return Ok(None);
        };
        let before = planned.len();
        for episode in &episodes {
            let Observed::Latents { values, .. } = &episode.observed else {
                continue;
            };
            let steps = Steps {
                latents: values,
                actions: &episode.actions,
                values: &episode.values,
            };
            planned.add(&steps, model);
        }
        evaluator.context.report.say(&format!(
            "controller: lesson {} of {}: {} plans more",
            round + 1,
            lessons.rounds,
            planned.len() - before,
        ));
    }
    planned.fit(folder, model).map(Some)
}

/// The episodes of a round, which what is fitted to `planned` drives; they are kept in `place`.
/// `None` after Ctrl-C.
fn drive(
    evaluator: &CandidateEvaluator<'_>,
    lessons: &LessonsConfig,
    round: usize,
    planned: &Planned,
    place: &Path,
) -> Result<Option<Vec<Episode>>> {
    let (context, model) = (evaluator.context, evaluator.model);
    let number = |i: usize| round * lessons.episodes + i;
    let path = |i: usize| place.join(format!("{:06}.npz", number(i)));
    // From the end of the range: generations take theirs from its beginning.
    let seed = |i: usize| seeds::EVOLVE.end - 1 - number(i) as u64;
    if (0..lessons.episodes).all(|i| path(i).exists()) {
        let load = |i: usize| load(evaluator, &path(i), seed(i));
        let episodes: Result<_> = (0..lessons.episodes).into_par_iter().map(load).collect();
        return episodes.map(Some);
    }
    let temperature = evaluator.preset.controller.temperature;
    let fitted = planned.fit(evaluator.folder, model)?;
    let controller = fitted.controller(model.actions.width(), temperature);
    let total = lessons.episodes as u64;
    let done = Mutex::new(Vec::<Outcome>::new());
    context.report.begin("lessons", "episodes", 0, total);
    let episode = |i: usize| -> Result<Option<Episode>> {
        let (path, seed) = (path(i), seed(i));
        if path.exists() {
            return load(evaluator, &path, seed).map(Some);
        }
        let mut lesson = Lesson::new(evaluator, seed);
        let who = Who::Watched(&controller, evaluator.preset.seed);
        let driver = Driver::new(evaluator.world, context.stop)
            .with_model(model)
            .with_options(evaluator.options());
        let outcome = driver.watch(Job::of(who, seed), &mut lesson)?;
        if context.stop.is_set() {
            return Ok(None);
        }
        if let Observed::Latents { len, values } = &mut lesson.episode.observed {
            // What it ends with was not encoded, and nothing is planned there.
            values.resize(values.len() + *len, 0.0);
        }
        lesson.episode.save(&path)?;
        let mut done = done
            .lock()
            .expect("no thread panics while it holds the lock");
        done.push(outcome);
        let score = mean(&done, |o| o.score);
        (context.report).advance(done.len() as u64, &format!("mean score {score:.0}"));
        Ok(Some(lesson.episode))
    };
    let episodes: Result<Option<Vec<Episode>>> = (0..lessons.episodes)
        .into_par_iter()
        .map(episode)
        .collect::<Result<Vec<_>>>()
        .map(|all| all.into_iter().collect());
    context.report.end();
    episodes
}

/// The lesson in `path`, which must be that of `seed` and of this V and these actions.
fn load(evaluator: &CandidateEvaluator<'_>, path: &Path, seed: u64) -> Result<Episode> {
    let (episode, model) = (Episode::load(path)?, evaluator.model);
    let is_ours = episode.seed == seed
        && episode.action_len == model.actions.width()
        && matches!(episode.observed, Observed::Latents { len, .. } if len == model.latent);
    if is_ours {
        return Ok(episode);
    }
    Err(RunError::refused(
        format!("{} is another lesson than this run needs", path.display()),
        Recovery::Stage("controller"),
    ))
}

/// Records what V makes of the observations, and the planner's values.
struct Lesson {
    episode: Episode,
}

impl Lesson {
    fn new(evaluator: &CandidateEvaluator<'_>, seed: u64) -> Self {
        Self {
            episode: Episode {
                seed,
                observed: Observed::Latents {
                    len: evaluator.model.latent,
                    values: Vec::new(),
                },
                action_len: evaluator.model.actions.width(),
                actions: Vec::new(),
                values: Vec::new(),
                rewards: Vec::new(),
                measured: Vec::new(),
                terminated: false,
            },
        }
    }
}

impl Watcher for Lesson {
    fn before(&mut self, moment: Moment<'_>) -> Result<ControlFlow<()>> {
        let episode = &mut self.episode;
        if let Observed::Latents { values, .. } = &mut episode.observed {
            values.extend_from_slice(moment.latent);
        }
        episode.add(moment.action, moment.values);
        Ok(ControlFlow::Continue(()))
    }

    fn after(&mut self, step: &Step, _: Seen<'_>) -> Result<()> {
        self.episode.rewards.push(step.reward as f32);
        self.episode.terminated = step.terminated;
        Ok(())
    }
}
