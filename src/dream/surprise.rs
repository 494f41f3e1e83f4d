//! Surprise: how much less likely a memory finds what it sees than what it saw before.
//!
//! A memory knows its world; where that is altered, what comes next has little likelihood. So the
//! likelihood is an alarm without any training for it. How good a one is measured here, beside the
//! plain change of the latents, for which no memory is needed.

use std::ops::ControlFlow;

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    memory::{NoPrediction, Scratch},
    pilot::AgentPilot,
    rollout::{ActingModel, Driver, Job, Moment, Outcome, Summary, Who},
    run::{Interrupt, Recovery, Result, RunError},
    worlds::World,
};

/// Nats above the running mean, from step to step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surprise {
    mean: f64,
    steps: u32,
}

impl Surprise {
    /// Steps that the running mean is of, as soon as there are so many.
    const MEAN_OF: u32 = 50;

    /// Takes the nats (−log of the density) of what is seen: how many more they are than the mean of
    /// those before; 0 where there were none.
    pub fn of(&mut self, nats: f64) -> f64 {
        let above = match self.steps {
            0 => 0.0,
            _ => nats - self.mean,
        };
        self.steps = (self.steps + 1).min(Self::MEAN_OF);
        self.mean += (nats - self.mean) / f64::from(self.steps);
        above
    }

    /// The same of a moment of an episode, on which `model` looks on. Its first latent surprises
    /// nobody.
    ///
    /// # Errors
    /// If the memory has no density.
    pub fn at(
        &mut self,
        model: &ActingModel,
        moment: &Moment<'_>,
    ) -> std::result::Result<f64, NoPrediction> {
        if moment.outcome.steps == 0 {
            return Ok(0.0);
        }
        Ok(self.of(model.memory.nats(moment.state, moment.latent)?))
    }
}

/// Settings of [`alarms`].
#[derive(Clone, Copy, Debug)]
pub struct AlarmConfig {
    /// Seed of the first episode.
    pub first_seed: u64,
    /// Number of episodes.
    pub episodes: u64,
    /// Steps before the world is altered.
    pub before: u32,
    /// Steps after that in which it is to be noticed.
    pub within: u32,
}

/// How well an altered world is told from an unaltered one.
#[derive(Clone, Debug, Serialize)]
pub struct Alarm {
    /// How it is altered.
    pub altered: &'static str,
    /// Whether the agent itself drives in the altered world, because the same actions lead
    /// elsewhere there. If not, they are repeated in it.
    pub is_driven: bool,
    /// Area under the receiver operating characteristic of the mean surprise within the steps: the
    /// probability that an altered episode has more of it than an unaltered one.
    pub surprise: Summary,
    /// The same of the first step alone.
    pub at_once: Summary,
    /// The same of the mean change of the latents from step to step, above its running mean.
    pub change: Summary,
}

/// Mean surprise within the steps, surprise of the first one, mean change within the steps.
type Noticed = [f64; 3];

/// What was seen of an episode.
struct Course {
    /// One more than steps.
    latents: Vec<Vec<f32>>,
    actions: Vec<f32>,
    /// Of all steps.
    outcome: Outcome,
}

impl Course {
    /// Whether the environment gave the same for both, beside what is seen: the score, and what it
    /// measured last. The score alone may be the same by chance.
    fn is_like(&self, other: &Self) -> bool {
        // By their bits: a measurement may be no number, which equals nothing.
        let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
        let mut measured = self.outcome.measured.iter().zip(&*other.outcome.measured);
        self.latents.len() == other.latents.len()
            && self.outcome.score == other.outcome.score
            && measured.all(same)
    }
}

/// An episode in the unaltered world, and what is noticed of it.
struct Episode {
    seed: u64,
    seen: Course,
    unaltered: Noticed,
    /// In each altered world, after the same actions; nothing where that takes another course.
    repeated: Vec<Option<Noticed>>,
}

/// An alarm for each of the world's perturbations ([`World::perturbations`]), in their order.
/// Episodes that end before the last step are left out. `None` if interrupted.
///
/// The agent drives in the unaltered world. What it did is then repeated in the altered ones, which
/// its memory sees from step `before` on. Where that takes another course in any of the episodes,
/// the perturbation changes what actions do. Then the agent drives anew in all of them, in a world
/// that is altered from step `before` on, and its memory sees what it meets there. A perturbation of
/// that kind is left out where the world cannot be altered later ([`World::altered_from`]).
///
/// # Errors
/// If the world has no perturbations, no episode is long enough, the memory has no density, or a
/// world that is altered later is another one before that.
pub fn alarms(
    pilot: &AgentPilot,
    world: &World,
    open: impl Fn(&str) -> Result<World>,
    config: AlarmConfig,
    stop: &Interrupt,
) -> Result<Option<Vec<Alarm>>> {
    let perturbations = world.perturbations();
    if perturbations.is_empty() {
        return Err(RunError::refused(
            format!(
                "{} has no perturbations, or is perturbed already",
                world.name()
            ),
            Recovery::OtherEnvironment,
        ));
    }
    let mut altered = Vec::with_capacity(perturbations.len());
    for (name, _) in perturbations {
        altered.push(open(&format!("{},perturb={name}", world.name()))?);
    }
    let seeds: Vec<u64> = (config.first_seed..)
        .take(config.episodes as usize)
        .collect();
    let steps = (config.before + config.within) as usize;
    let episodes = seeds.par_iter().map(|&seed| -> Result<_> {
        let job = Job::of(&pilot.controller, seed);
        let seen = look(pilot, world, job, steps, stop)?;
        if seen.latents.len() <= steps {
            return Ok(None);
        }
        let mut repeated = Vec::with_capacity(altered.len());
        for world in &altered {
            let job = Job::of(Who::Recorded(&seen.actions), seed);
            let changed = look(pilot, world, job, steps, stop)?;
            repeated.push(match changed.is_like(&seen) {
                true => Some(notice(pilot, &seen, &changed, config)?),
                false => None,
            });
        }
        Ok(Some(Episode {
            seed,
            unaltered: notice(pilot, &seen, &seen, config)?,
            repeated,
            seen,
        }))
    });
    let episodes: Vec<Option<Episode>> = episodes.collect::<Result<_>>()?;
    if stop.is_set() {
        return Ok(None);
    }
    let episodes: Vec<Episode> = episodes.into_iter().flatten().collect();
    if episodes.len() < 2 {
        return Err(RunError::Config(format!(
            "not even two of {} episodes have {steps} steps, which the alarms need: choose more of \
             them (--episodes), or an agent that lasts longer",
            config.episodes
        )));
    }
    let mut alarms = Vec::new();
    for (i, (altered, _)) in perturbations.iter().enumerate() {
        let repeated = episodes.iter().map(|e| Some([e.repeated[i]?, e.unaltered]));
        let repeated: Option<Vec<[Noticed; 2]>> = repeated.collect();
        let is_driven = repeated.is_none();
        let pairs = match repeated {
            Some(pairs) => pairs,
            None => match world.altered_from(altered, config.before) {
                Some(later) => drive_anew(pilot, [world, &later], &episodes, config, stop)?,
                None => continue,
            },
        };
        if stop.is_set() {
            return Ok(None);
        }
        // Altered driving may end early: then there may be too little to compare.
        if pairs.len() < 2 {
            continue;
        }
        let of = |figure: usize| {
            let figures = pairs.iter().map(|pair| pair.map(|noticed| noticed[figure]));
            area(&figures.collect::<Vec<_>>())
        };
        alarms.push(Alarm {
            altered,
            is_driven,
            surprise: of(0),
            at_once: of(1),
            change: of(2),
        });
    }
    Ok(Some(alarms))
}

/// The agent drives in the second one of `worlds`, which is altered from step `before` on; the
/// first one is unaltered. What is noticed there and was in the unaltered one, of each of
/// `episodes` that is long enough there.
///
/// # Errors
/// If the two differ before that step, or the memory has no density.
fn drive_anew(
    pilot: &AgentPilot,
    worlds: [&World; 2],
    episodes: &[Episode],
    config: AlarmConfig,
    stop: &Interrupt,
) -> Result<Vec<[Noticed; 2]>> {
    let [world, later] = worlds;
    let before = config.before as usize;
    let steps = (config.before + config.within) as usize;
    let pairs = episodes.par_iter().map(|episode| -> Result<_> {
        let job = Job::of(&pilot.controller, episode.seed);
        let met = look(pilot, later, job, steps, stop)?;
        if met.latents.len() <= steps {
            return Ok(None);
        }
        if met.latents[..before] != episode.seen.latents[..before] {
            return Err(RunError::Failed(format!(
                "{} is another world than {} before step {before} already",
                later.name(),
                world.name()
            )));
        }
        let altered = notice(pilot, &met, &met, config)?;
        Ok(Some([altered, episode.unaltered]))
    });
    let pairs: Vec<Option<[Noticed; 2]>> = pairs.collect::<Result<_>>()?;
    Ok(pairs.into_iter().flatten().collect())
}

/// The first `steps` steps of `job`, and what they lead to.
fn look(
    pilot: &AgentPilot,
    world: &World,
    job: Job<'_>,
    steps: usize,
    stop: &Interrupt,
) -> Result<Course> {
    let mut course = Course {
        latents: Vec::new(),
        actions: Vec::new(),
        outcome: Outcome::default(),
    };
    let mut watch = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
        course.latents.push(moment.latent.to_vec());
        course.actions.extend_from_slice(moment.action);
        course.outcome = *moment.outcome;
        Ok(match course.latents.len() > steps {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    };
    Driver::new(world, stop)
        .with_model(&pilot.model)
        .watch(job, &mut watch)?;
    Ok(course)
}

/// What is noticed where the latents are those of `seen` at first, and from step `before` on those of
/// `changed`, after the same actions.
fn notice(
    pilot: &AgentPilot,
    seen: &Course,
    changed: &Course,
    config: AlarmConfig,
) -> Result<Noticed> {
    let memory = pilot.model.memory.as_ref();
    let (mut state, mut scratch) = (vec![0.0; memory.state_len()], Scratch::default());
    let (mut surprise, mut change) = (Surprise::default(), Surprise::default());
    let before = config.before as usize;
    let latent = |t: usize| match t < before {
        true => &seen.latents[t],
        false => &changed.latents[t],
    };
    let actions = seen.actions.chunks_exact(pilot.model.actions.width());
    let mut noticed = [0.0; 3];
    let share = 1.0 / f64::from(config.within);
    for (t, action) in (1..before + config.within as usize).zip(actions) {
        let (z, next) = (latent(t - 1), latent(t));
        memory.step(1, z, action, &mut state, &mut scratch);
        let nats = memory.nats(&state, next);
        let nats = nats.map_err(|e| RunError::Failed(e.to_string()))?;
        let squares = z.iter().zip(next).map(|(a, b)| (a - b) * (a - b));
        let change = change.of(f64::from(squares.sum::<f32>()));
        let surprise = surprise.of(nats);
        if t >= before {
            noticed[0] += share * surprise;
            noticed[2] += share * change;
        }
        if t == before {
            noticed[1] = surprise;
        }
    }
    Ok(noticed)
}

/// The share of pairs of an altered and an unaltered episode in which the altered one's figure is the
/// larger, equal ones half; `pairs` holds both of an episode. The interval is by leaving out one
/// episode at a time (Tukey's pseudo-values).
fn area(pairs: &[[f64; 2]]) -> Summary {
    let n = pairs.len();
    // How often an episode's altered figure wins against others, and others' against its unaltered one.
    let (mut wins, mut total) = (vec![0.0; n], 0.0);
    for (i, [altered, _]) in pairs.iter().enumerate() {
        for (j, [_, unaltered]) in pairs.iter().enumerate() {
            let won = match altered.total_cmp(unaltered) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
            total += won;
            wins[i] += won;
            if i != j {
                wins[j] += won;
            }
        }
    }
    let size = n as f64;
    let area = total / (size * size);
    let rest = (size - 1.0) * (size - 1.0);
    let without = wins.iter().map(|won| (total - won) / rest);
    let values: Vec<f64> = without.map(|a| size * area - (size - 1.0) * a).collect();
    let Summary { sd, ci95, mean } = Summary::of(&values);
    let moved = area - mean;
    Summary {
        mean: area,
        sd,
        ci95: ci95.map(|end| (end + moved).clamp(0.0, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprise_is_above_the_mean_of_what_came_before() {
        let mut surprise = Surprise::default();
        assert_eq!(
            [4.0, 6.0, 8.0, 5.0].map(|nats| surprise.of(nats)),
            [0.0, 2.0, 3.0, -1.0]
        );
    }

    /// Altered figures 1, 3, 5 against 0, 2, 1: 1 wins once and once half, 3 and 5 three times, of nine.
    #[test]
    fn the_area_is_the_share_of_pairs_that_are_told_apart() {
        let told = area(&[[1.0, 0.0], [3.0, 2.0], [5.0, 1.0]]);
        assert!((told.mean - 7.5 / 9.0).abs() < 1e-12, "{told:?}");
        assert!(
            told.ci95[0] < told.mean && told.mean <= told.ci95[1],
            "{told:?}"
        );
        let never = area(&[[1.0, 1.0], [1.0, 1.0]]);
        assert_eq!((never.mean, never.ci95), (0.5, [0.5, 0.5]));
        let always = area(&[[9.0, 1.0], [8.0, 2.0]]);
        assert_eq!((always.mean, always.ci95), (1.0, [1.0, 1.0]));
    }
}
