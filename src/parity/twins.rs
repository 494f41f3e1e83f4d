//! A native environment beside the one it re-implements, whatever they are: rewards, ends and all
//! that both measure must be equal in every step, and what an agent sees is compared.

use frmdn_env::{Env, ObservationMut, Step};
use serde::Serialize;

use super::{Difference, ParityError};
use crate::{
    controller::Actions,
    rollout::{DriveError, Driver, Job, Moment, OpenLoop, Policy, Watcher, Who},
    run::{self, Interrupt, Reporter},
    worlds::{Bridge, World},
};

/// What came out of it.
#[derive(Clone, Debug, Serialize)]
pub struct Twins {
    /// Names of both environments, ours first.
    pub names: [String; 2],
    /// Versions of Python and its packages.
    pub versions: Vec<(String, String)>,
    /// Number of episodes.
    pub episodes: u32,
    /// Number of steps of all of them.
    pub steps: u64,
    /// Number of episodes in which the task was done.
    pub completed: u32,
    /// The first difference in a reward, an end or a measurement.
    pub difference: Option<Difference>,
    /// Number of frames that were compared, and of those that are equal in every value.
    pub frames: [u64; 2],
}

/// Drives `episodes` episodes of the environment `name` and of its reference with the same actions:
/// those of the planner and of random walks in turn, for at most `steps` steps. `None` if
/// interrupted.
///
/// # Errors
/// If the environment has no reference, or if one of the two fails.
pub fn compare_twins(
    name: &str,
    [first, episodes, steps]: [u64; 3],
    bridge: &Bridge,
    report: &dyn Reporter,
    stop: &Interrupt,
) -> Result<Option<Twins>, ParityError> {
    let ours = World::open(name, bridge)?;
    let reference = ours.reference()?;
    let theirs = World::open(&reference, bridge)?;
    if ours.spec()?.measurements != theirs.spec()?.measurements {
        let names = (name.to_owned(), reference);
        return Err(ParityError::Measurements(names.0, names.1));
    }
    let mut twin = Twin::new(theirs.make()?, steps);
    let mut twins = Twins {
        names: [name.to_owned(), reference],
        versions: theirs.spec()?.versions,
        episodes: 0,
        steps: 0,
        completed: 0,
        difference: None,
        frames: [0; 2],
    };
    report.begin("parity", "episodes", 0, episodes);
    let policies = match ours.spec()?.has_snapshots {
        true => vec![
            Policy::Planner { noise: 0.0 },
            Policy::OpenLoop(OpenLoop::Brownian),
        ],
        false => vec![Policy::OpenLoop(OpenLoop::Brownian)],
    };
    for seed in first..first + episodes {
        let policy = policies[((seed - first) % policies.len() as u64) as usize];
        twin.begin(seed)?;
        let job = Job::of(Who::Policy(policy, 0), seed);
        let outcome = Driver::new(&ours, stop).watch(job, &mut twin)?;
        if stop.is_set() {
            report.end();
            return Ok(None);
        }
        twins.episodes += 1;
        twins.steps += u64::from(outcome.steps);
        twins.completed += u32::from(outcome.completed);
        report.advance(u64::from(twins.episodes), &format!("{} steps", twins.steps));
        if twin.difference.is_some() {
            break;
        }
    }
    report.end();
    twins.frames = twin.frames;
    twins.difference = twin.difference;
    Ok(Some(twins))
}

/// The reference, which does what is done in ours.
struct Twin {
    env: Box<dyn Env>,
    actions: Actions,
    names: Vec<String>,
    most: u64,
    seed: u64,
    steps: u32,
    frame: Vec<u8>,
    step: Option<Step>,
    frames: [u64; 2],
    difference: Option<Difference>,
}

impl Twin {
    fn new(env: Box<dyn Env>, most: u64) -> Self {
        let spec = env.spec();
        Self {
            actions: Actions::of(spec),
            names: spec
                .measurements
                .iter()
                .map(|m| m.name.to_string())
                .collect(),
            most,
            seed: 0,
            steps: 0,
            frame: vec![0; spec.observation.len()],
            step: None,
            frames: [0; 2],
            difference: None,
            env,
        }
    }

    fn begin(&mut self, seed: u64) -> Result<(), ParityError> {
        (self.seed, self.steps) = (seed, 0);
        self.env
            .reset(seed, ObservationMut::Frame(&mut self.frame))?;
        Ok(())
    }

    fn see(&mut self, frame: &[u8]) {
        self.frames[0] += 1;
        self.frames[1] += u64::from(frame == self.frame);
    }

    /// Notes the first difference between two values.
    fn check(&mut self, what: &str, ours: f64, theirs: f64) {
        if self.difference.is_none() && ours != theirs {
            self.difference = Some(Difference {
                seed: self.seed,
                step: self.steps,
                what: what.to_owned(),
                ours: ours.to_string(),
                theirs: theirs.to_string(),
            });
        }
    }
}

impl Watcher for Twin {
    fn before(&mut self, moment: Moment<'_>) -> run::Result<std::ops::ControlFlow<()>> {
        if self.steps == 0 {
            self.see(moment.seen.frame());
        }
        if self.difference.is_some() || u64::from(self.steps) >= self.most {
            return Ok(std::ops::ControlFlow::Break(()));
        }
        let mut index = [0.0];
        let action = self.actions.for_env(moment.action, &mut index);
        let out = ObservationMut::Frame(&mut self.frame);
        let step = self.env.step(action, out).map_err(DriveError::from)?;
        self.step = Some(step);
        Ok(std::ops::ControlFlow::Continue(()))
    }

    fn after(&mut self, ours: &Step, seen: crate::rollout::Seen<'_>) -> run::Result<()> {
        let Some(theirs) = self.step.take() else {
            return Ok(());
        };
        self.steps += 1;
        self.see(seen.frame());
        self.check("reward", ours.reward, theirs.reward);
        let ends = |step: &Step| f64::from(u8::from(step.done()));
        self.check("end", ends(ours), ends(&theirs));
        for (i, name) in self.names.clone().iter().enumerate() {
            self.check(name, ours.measured[i], theirs.measured[i]);
        }
        Ok(())
    }
}
