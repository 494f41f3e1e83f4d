//! Actions that are sometimes repeated.

use super::uniform;
use crate::{Env, EnvError, EnvSpec, ObservationMut, Snapshot, Step};

/// The stream of the repetitions.
const STREAM: u64 = 0x73_7469_636b;

/// Repeats the last action instead of the given one with some probability (the sticky actions of
/// Machado et al. 2018): the same episode is then not won by the same list of actions. Around
/// [`super::FrameSkip`] it acts on steps, inside of it on frames.
pub struct Sticky {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    probability: f64,
    episode: Option<Episode>,
    last: Vec<f32>,
}

#[derive(Clone, Copy)]
struct Episode {
    seed: u64,
    steps: u64,
}

impl Sticky {
    /// What `inner` says of itself with this probability of a repetition; `of` is what it acts on,
    /// a step or a frame.
    pub fn spec(inner: &EnvSpec, probability: f64, of: &str) -> EnvSpec {
        EnvSpec {
            rule: format!(
                "{}; each {of} repeats the last action with probability {probability}",
                inner.rule
            ),
            is_deterministic: inner.is_deterministic && probability == 0.0,
            ..inner.clone()
        }
    }

    /// `inner` with actions that are repeated with `probability`, in 0..=1.
    pub fn new(inner: Box<dyn Env>, probability: f64, of: &str) -> Self {
        Self {
            spec: Self::spec(inner.spec(), probability, of),
            last: Vec::new(),
            inner,
            probability,
            episode: None,
        }
    }

    /// Whether the next step repeats the last action. The first one has none to repeat.
    fn repeats(&self, episode: Episode) -> bool {
        episode.steps > 0 && uniform(episode.seed, STREAM, episode.steps) < self.probability
    }
}

impl Sticky {
    /// A step of the inner environment, with `action` or the last one.
    fn step_with(
        &mut self,
        action: &[f32],
        step: impl FnOnce(&mut dyn Env, &[f32]) -> Result<Step, EnvError>,
    ) -> Result<Step, EnvError> {
        let episode = self.episode.ok_or(EnvError::NeedsReset)?;
        self.spec.actions.check(action)?;
        let step = if self.repeats(episode) {
            step(self.inner.as_mut(), &self.last)?
        } else {
            let step = step(self.inner.as_mut(), action)?;
            self.last.clear();
            self.last.extend_from_slice(action);
            step
        };
        self.episode = (!step.done()).then_some(Episode {
            steps: episode.steps + 1,
            ..episode
        });
        Ok(step)
    }
}

impl Env for Sticky {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    forward!(history, picture, probe);

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        self.inner.reset(seed, observation)?;
        self.episode = Some(Episode { seed, steps: 0 });
        Ok(())
    }

    fn begin(&mut self, action: &[f32]) -> Result<(), EnvError> {
        self.spec.actions.check(action)?;
        match self.episode {
            Some(episode) if self.repeats(episode) => self.inner.begin(&self.last),
            Some(_) => self.inner.begin(action),
            None => Ok(()),
        }
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        self.step_with(action, |inner, action| inner.step(action, observation))
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        self.step_with(action, |inner, action| {
            inner.step_unseen(action, observation)
        })
    }

    fn reseed(&mut self, seed: u64) {
        self.inner.reseed(seed);
        if let Some(episode) = &mut self.episode {
            episode.seed = seed;
        }
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let inner = self.inner.snapshot()?;
        Some(Snapshot::new((inner, self.episode?, self.last.clone())))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        let (inner, episode, last) = snapshot.get::<(Snapshot, Episode, Vec<f32>)>()?;
        self.inner.restore(inner)?;
        (self.episode, self.last) = (Some(*episode), last.clone());
        Ok(())
    }
}
