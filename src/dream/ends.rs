//! How a memory foresees the ends of episodes, by how they end.
//!
//! A dream ends where its memory says so. One that sees no death makes a dream in which falling
//! costs nothing, and one that sees no flag makes one in which there is nothing to reach.

use std::ops::ControlFlow;

use frmdn_env::{Better, EnvSpec};
use rayon::prelude::*;
use serde::Serialize;

use super::onlooker::Onlooker;
use crate::{
    agent::Agent,
    memory::Scratch,
    pilot::Pilot,
    rollout::{Moment, Outcome, Summary},
    run::{Interrupt, Result, RunError},
    worlds::World,
};

/// From this probability on an end counts as foreseen.
const FORESEEN: f64 = 0.5;

/// The ends of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct End {
    /// What the environment measured of it, as "flag" or "fell"; "otherwise" where nothing tells.
    pub kind: String,
    /// Number of episodes that ended so.
    pub episodes: usize,
    /// The probability of an end in their last steps.
    pub probability: Summary,
    /// The share of them in which it was at least a half.
    pub foreseen: f64,
}

/// What a memory predicts of ends.
#[derive(Clone, Debug, Serialize)]
pub struct Ends {
    /// By kind, in the order of their names.
    pub kinds: Vec<End>,
    /// Number of episodes that a limit cut off.
    pub cut_off: usize,
    /// Number of steps after which the episode went on.
    pub others: u64,
    /// The mean probability of an end in them.
    pub probability: f64,
    /// The share of them in which it was at least a half: false alarms.
    pub foreseen: f64,
}

/// An episode: the kind of its end, if it came to one, and the predicted probability of an end in each
/// step.
struct Followed {
    kind: Option<String>,
    probabilities: Vec<f64>,
}

/// What the memory of `agent` predicts of the ends of `episodes` episodes from `first_seed` on that `pilot`
/// drives. `None` if interrupted.
///
/// # Errors
/// If the memory predicts nothing.
pub fn ends(
    agent: &Agent,
    pilot: &Pilot,
    world: &World,
    [first_seed, episodes]: [u64; 2],
    stop: &Interrupt,
) -> Result<Option<Ends>> {
    let spec = world.spec()?;
    let onlooker = Onlooker {
        origin: agent.origin(),
        model: &agent.acting_model(&spec)?,
        world,
        stop,
    };
    let seeds = (first_seed..first_seed + episodes).into_par_iter();
    let episodes = seeds.map(|seed| follow(&onlooker, pilot, &spec, seed));
    let episodes: Vec<Followed> = episodes.collect::<Result<_>>()?;
    Ok((!stop.is_set()).then(|| count(&episodes)))
}

/// What the memory predicts in the episode of `seed`.
fn follow(onlooker: &Onlooker<'_>, pilot: &Pilot, spec: &EnvSpec, seed: u64) -> Result<Followed> {
    let memory = onlooker.model.memory.as_ref();
    let mut z = vec![0.0; onlooker.model.latent];
    let mut probability = |state: &[f32]| -> Result<f64> {
        let predicted = memory.predict_mean(state, &mut z);
        let predicted = predicted.map_err(|e| RunError::Failed(e.to_string()))?;
        Ok(f64::from(predicted.done))
    };
    let (mut probabilities, mut last) = (Vec::new(), None);
    let mut watch = |moment: Moment<'_>| -> Result<ControlFlow<()>> {
        // Its state has taken in what came before: it says whether the last step was to be the end.
        if moment.outcome.steps > 0 {
            probabilities.push(probability(moment.state)?);
        }
        last = Some((
            moment.state.to_vec(),
            moment.latent.to_vec(),
            moment.action.to_vec(),
        ));
        Ok(ControlFlow::Continue(()))
    };
    let outcome = onlooker.watch(pilot, seed, u32::MAX, &mut watch)?;
    // Nobody sees what follows the last step.
    if let Some((mut state, latent, action)) = last {
        memory.step(1, &latent, &action, &mut state, &mut Scratch::default());
        probabilities.push(probability(&state)?);
    }
    Ok(Followed {
        kind: kind(&outcome, spec),
        probabilities,
    })
}

/// The kind of an end: what is completed, or the first of what had better not be and was measured as 1.
fn kind(outcome: &Outcome, spec: &EnvSpec) -> Option<String> {
    let name = |i: usize| spec.measurements[i].name.to_string();
    if outcome.completed {
        return Some(spec.completed.map_or_else(|| "completed".into(), name));
    }
    let is_told = |i: &usize| {
        let measurement = &spec.measurements[*i];
        measurement.better == Better::Lower
            && measurement.unit.is_empty()
            && outcome.measured[*i] == 1.0
    };
    let told = (0..spec.measurements.len()).find(is_told);
    outcome
        .failed
        .then(|| told.map_or_else(|| "otherwise".into(), name))
}

fn share(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    values.filter(|p| *p >= FORESEEN).count() as f64 / n
}

fn count(episodes: &[Followed]) -> Ends {
    let kinds = episodes.iter().filter_map(|episode| episode.kind.as_ref());
    let mut names: Vec<&String> = kinds.collect();
    names.sort();
    names.dedup();
    let kinds = names.into_iter().map(|name| {
        let of_kind = episodes
            .iter()
            .filter(|episode| episode.kind.as_ref() == Some(name));
        let at_end: Vec<f64> = of_kind
            .filter_map(|episode| episode.probabilities.last().copied())
            .collect();
        End {
            kind: name.clone(),
            episodes: at_end.len(),
            probability: Summary::of(&at_end),
            foreseen: share(at_end.iter().copied()),
        }
    });
    let kinds = kinds.collect();
    let mut others = Vec::new();
    for episode in episodes {
        let ends = usize::from(episode.kind.is_some());
        let went_on = episode.probabilities.len().saturating_sub(ends);
        others.extend_from_slice(&episode.probabilities[..went_on]);
    }
    Ends {
        kinds,
        cut_off: episodes
            .iter()
            .filter(|episode| episode.kind.is_none())
            .count(),
        others: others.len() as u64,
        probability: others.iter().sum::<f64>() / others.len().max(1) as f64,
        foreseen: share(others.iter().copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_kind_and_what_goes_on_apart() {
        let episode = |kind: Option<&str>, probabilities: &[f64]| Followed {
            kind: kind.map(str::to_owned),
            probabilities: probabilities.to_vec(),
        };
        let ends = count(&[
            episode(Some("flag"), &[0.0, 0.1, 0.9]),
            episode(Some("fell"), &[0.6, 0.2]),
            episode(Some("flag"), &[0.0, 0.4]),
            // Cut off by a limit: its last step is none of an end.
            episode(None, &[0.7, 0.0]),
        ]);
        let flag = &ends.kinds[1];
        assert_eq!(
            (&*flag.kind, flag.episodes, flag.foreseen),
            ("flag", 2, 0.5)
        );
        assert!((flag.probability.mean - 0.65).abs() < 1e-12);
        let fell = &ends.kinds[0];
        assert_eq!(
            (&*fell.kind, fell.episodes, fell.foreseen),
            ("fell", 1, 0.0)
        );
        assert_eq!((ends.cut_off, ends.others), (1, 6));
        assert!((ends.probability - 1.4 / 6.0).abs() < 1e-12);
        assert!((ends.foreseen - 2.0 / 6.0).abs() < 1e-12);
    }
}
