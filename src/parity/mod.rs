//! Our Car-Racing and Gymnasium's, side by side: both must do the same, bit for bit.
//!
//! Both get the same actions, from a driver that sees ours. Rewards, flags, progress, contacts,
//! tiles and the car's state must be equal in every bit. Frames are compared by their mean error,
//! because edges are rounded differently.

mod drivers;
mod error;
mod frames;
mod sides;
mod traced;
mod twins;

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

use frmdn_car_racing::measured;
use frmdn_env::{ActionSpace, Env as _, Step};
use serde::Serialize;

use crate::{
    run::{Interrupt, Reporter},
    worlds::{Bridge, Frames, Maker as _, car_racing, gym::Gym},
};

pub use drivers::Drive;
pub use error::ParityError;
pub use frames::{FrameErrors, FramePair};
pub use sides::{Native, Reference, State, name_of, state_of, state_of_gym};
pub use traced::Traced;
pub use twins::{Twins, compare_twins};

/// What to compare.
#[derive(Clone, Debug)]
pub struct ParityConfig {
    /// Options of both environments, as they follow a name: empty, or for example
    /// `continuous=false`.
    pub options: String,
    /// Number of episodes, spread evenly over the drivers.
    pub episodes: usize,
    /// Number of tracks to compare tile by tile.
    pub tracks: usize,
    /// The first seed.
    pub seed: u64,
    /// Number of steps between two frames that are compared; 10 in the first fifty steps, in which
    /// the camera zooms.
    pub frames_every: u32,
}

/// Where the two first differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Seed of the episode.
    pub seed: u64,
    /// Step after which they differ; 0 is the reset.
    pub step: u32,
    /// Name of the value that differs.
    pub what: String,
    /// Our value.
    pub ours: String,
    /// Gymnasium's value.
    pub theirs: String,
}

/// The episodes of one driver.
#[derive(Clone, Debug, Serialize)]
pub struct DriverComparison {
    /// The driver.
    pub drive: Drive,
    /// Number of episodes.
    pub episodes: usize,
    /// Number of steps of all of them.
    pub steps: u64,
    /// Number of episodes that ended with a finished lap.
    pub laps: usize,
    /// Number of episodes that ended off the field.
    pub off_field: usize,
    /// The difference in the episode of the smallest seed.
    pub difference: Option<Difference>,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Parity {
    /// Names of both environments, ours first.
    pub names: [String; 2],
    /// Versions of Python and its packages.
    pub versions: Vec<(String, String)>,
    /// Number of tracks that were compared.
    pub tracks: usize,
    /// Largest difference of a coordinate of any tile, world units or radians.
    pub track_error: f64,
    /// The first track that differs in the number of tiles or by more than 1e-9.
    pub track_difference: Option<Difference>,
    /// The episodes by driver.
    pub drives: Vec<DriverComparison>,
    /// Errors of the frames.
    pub frames: FrameErrors,
    /// The frames with the largest error.
    #[serde(skip)]
    pub worst: Option<FramePair>,
}

impl Parity {
    /// Whether states, rewards, flags and tracks are equal, the mean errors of frames on the track
    /// and of gauges at most `mean` of 255, and at most the share `far` of the values on the track
    /// off by more than 16.
    pub fn holds(&self, mean: f64, far: f64) -> bool {
        let equal =
            self.track_difference.is_none() && self.drives.iter().all(|d| d.difference.is_none());
        let frames = &self.frames;
        equal
            && frames.on_track.mean() <= mean
            && frames.on_track.far() <= far
            && frames.gauges.mean() <= mean
    }
}

/// One episode: its driver and seed.
#[derive(Clone, Copy, Debug)]
struct Case {
    drive: Drive,
    seed: u64,
}

/// Compares the two environments on all threads of the current rayon pool; `None` if interrupted.
///
/// # Errors
/// If an environment cannot be made or fails. A difference is no error.
pub fn compare(
    config: &ParityConfig,
    bridge: &Bridge,
    report: &dyn Reporter,
    stop: &Interrupt,
) -> Result<Option<Parity>, ParityError> {
    let comparison = Comparison::new(config, bridge, report, stop)?;
    let failure = Mutex::new(None);
    report.begin("parity", "tracks and episodes", 0, comparison.jobs() as u64);
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|_| {
                if let Err(e) = comparison.work() {
                    comparison.cancel();
                    *failure.lock().expect("nothing panics while it holds this") = Some(e);
                }
            });
        }
    });
    report.end();
    if let Some(e) = failure.into_inner().expect("no thread panicked") {
        return Err(e);
    }
    let parity = comparison.parity.into_inner().expect("no thread panicked");
    Ok(if stop.is_set() { None } else { Some(parity) })
}

/// A comparison in progress, shared by all threads. Its jobs are the tracks, then the episodes.
struct Comparison<'a> {
    config: &'a ParityConfig,
    report: &'a dyn Reporter,
    stop: &'a Interrupt,
    /// Name of the native environment.
    ours: String,
    theirs: Gym,
    cases: Vec<Case>,
    /// Number of the first job that no thread has started.
    next_job: AtomicUsize,
    parity: Mutex<Parity>,
}

impl<'a> Comparison<'a> {
    fn new(
        config: &'a ParityConfig,
        bridge: &Bridge,
        report: &'a dyn Reporter,
        stop: &'a Interrupt,
    ) -> Result<Self, ParityError> {
        let options = if config.options.is_empty() {
            String::new()
        } else {
            format!(",{}", config.options)
        };
        let names = [
            format!("car-racing{options}"),
            format!("gym:CarRacing-v3{options}"),
        ];
        let ours = car_racing::Native::open(&names[0], Frames::Whole)?;
        let theirs = Gym::open(&names[1], bridge, Frames::Whole, false)?;
        let continuous = matches!(ours.spec()?.actions, ActionSpace::Box { .. });
        let drives: Vec<Drive> = Drive::ALL
            .into_iter()
            .filter(|d| continuous || !d.is_continuous())
            .collect();
        let cases = (0..config.episodes)
            .map(|i| Case {
                drive: drives[i % drives.len()],
                seed: config.seed + i as u64,
            })
            .collect();
        let name = names[0].clone();
        let parity = Parity {
            names,
            versions: theirs.spec()?.versions,
            tracks: config.tracks,
            track_error: 0.0,
            track_difference: None,
            drives: drives.into_iter().map(DriverComparison::new).collect(),
            frames: FrameErrors::default(),
            worst: None,
        };
        Ok(Self {
            config,
            report,
            stop,
            ours: name,
            theirs,
            cases,
            next_job: AtomicUsize::new(0),
            parity: Mutex::new(parity),
        })
    }

    /// Number of jobs.
    fn jobs(&self) -> usize {
        self.config.tracks + self.cases.len()
    }

    /// Lets no thread start another job.
    fn cancel(&self) {
        self.next_job.store(self.jobs(), Ordering::Relaxed);
    }

    /// The work of one thread: jobs until none is left. It has one pair of environments for all of
    /// them, so that what a reset fails to clear shows as a difference.
    fn work(&self) -> Result<(), ParityError> {
        let mut pair = Pair {
            ours: Native::new(&self.ours)?,
            theirs: Reference::new(&self.theirs)?,
            config: self.config,
        };
        loop {
            let job = self.next_job.fetch_add(1, Ordering::Relaxed);
            if job >= self.jobs() || self.stop.is_set() {
                return Ok(());
            }
            match job.checked_sub(self.config.tracks) {
                None => {
                    let (error, difference) = pair.tracks(self.config.seed + job as u64)?;
                    self.parity().add_track(error, difference);
                }
                Some(episode) => {
                    let case = self.cases[episode];
                    let outcome = pair.episode(case)?;
                    self.parity().add_episode(case.drive, outcome);
                }
            }
            let started = self.next_job.load(Ordering::Relaxed).min(self.jobs());
            self.report.advance(started as u64, "");
        }
    }

    fn parity(&self) -> MutexGuard<'_, Parity> {
        self.parity
            .lock()
            .expect("nothing panics while it holds this")
    }
}

impl DriverComparison {
    /// A driver without episodes.
    fn new(drive: Drive) -> Self {
        Self {
            drive,
            episodes: 0,
            steps: 0,
            laps: 0,
            off_field: 0,
            difference: None,
        }
    }
}

impl Parity {
    fn add_track(&mut self, error: f64, difference: Option<Difference>) {
        self.track_error = self.track_error.max(error);
        keep_first(&mut self.track_difference, difference);
    }

    fn add_episode(&mut self, drive: Drive, outcome: EpisodeOutcome) {
        self.frames.add(&outcome.frames);
        keep_worst(&mut self.worst, outcome.worst);
        if let Some(row) = self.drives.iter_mut().find(|row| row.drive == drive) {
            row.episodes += 1;
            row.steps += outcome.steps;
            row.laps += usize::from(outcome.lap);
            row.off_field += usize::from(outcome.off_field);
            keep_first(&mut row.difference, outcome.difference);
        }
    }
}

/// Keeps the difference with the smaller seed.
fn keep_first(known: &mut Option<Difference>, new: Option<Difference>) {
    if let Some(new) = new
        && known.as_ref().is_none_or(|known| new.seed < known.seed)
    {
        *known = Some(new);
    }
}

/// Keeps the pair with the larger error.
fn keep_worst(known: &mut Option<FramePair>, new: Option<FramePair>) {
    if let Some(new) = new
        && known.as_ref().is_none_or(|known| new.error > known.error)
    {
        *known = Some(new);
    }
}

/// Both environments.
struct Pair<'a> {
    ours: Native,
    theirs: Reference,
    config: &'a ParityConfig,
}

/// The outcome of one episode.
#[derive(Default)]
struct EpisodeOutcome {
    steps: u64,
    /// It ended with a finished lap.
    lap: bool,
    /// It ended off the field.
    off_field: bool,
    difference: Option<Difference>,
    frames: FrameErrors,
    /// The frames with the largest error.
    worst: Option<FramePair>,
}

impl Pair<'_> {
    /// The largest difference of a coordinate on the track of `seed`, and where it is if it is
    /// above 1e-9.
    fn tracks(&mut self, seed: u64) -> Result<(f64, Option<Difference>), ParityError> {
        self.ours.reset(seed)?;
        self.theirs.reset(seed)?;
        let (ours, theirs) = (self.ours.track()?, self.theirs.track()?);
        let differ = |what: String, ours: String, theirs: String| {
            Some(Difference {
                seed,
                step: 0,
                what,
                ours,
                theirs,
            })
        };
        if ours.len() != theirs.len() {
            return Ok((
                0.0,
                differ(
                    "number of tiles".into(),
                    (ours.len() / 4).to_string(),
                    (theirs.len() / 4).to_string(),
                ),
            ));
        }
        let worst = ours
            .iter()
            .zip(&theirs)
            .enumerate()
            .map(|(i, (a, b))| ((a - b).abs(), i))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let (error, at) = worst.unwrap_or_default();
        let what = || format!("{} of tile {}", ["alpha", "beta", "x", "y"][at % 4], at / 4);
        let difference = if error <= 1e-9 {
            None
        } else {
            differ(what(), ours[at].to_string(), theirs[at].to_string())
        };
        Ok((error, difference))
    }

    /// Drives an episode in both, to the end of either or to the first difference.
    fn episode(&mut self, case: Case) -> Result<EpisodeOutcome, ParityError> {
        let mut driver = case.drive.start(self.ours.actions(), case.seed);
        let mut action = vec![0.0; self.ours.actions().width()];
        let mut outcome = EpisodeOutcome::default();
        self.ours.reset(case.seed)?;
        self.theirs.reset(case.seed)?;
        let mut step = 0;
        let mut last = None;
        loop {
            outcome.difference = self.difference(case.seed, step, last)?;
            let every = if step < 50 {
                10
            } else {
                self.config.frames_every.max(1)
            };
            if step % every == 0 {
                let frames =
                    outcome
                        .frames
                        .compare(&self.ours, &mut self.theirs, case.seed, step)?;
                keep_worst(&mut outcome.worst, Some(frames));
            }
            let done = last.is_some_and(|(a, b): (Step, Step)| a.done() || b.done());
            if done || outcome.difference.is_some() {
                if let Some((ours, _)) = last {
                    outcome.lap = ours.measured[measured::LAP] != 0.0;
                    outcome.off_field = ours.terminated && !outcome.lap;
                }
                return Ok(outcome);
            }
            driver.act(self.ours.env(), &mut action)?;
            last = Some((self.ours.step(&action)?, self.theirs.step(&action)?));
            step += 1;
            outcome.steps += 1;
        }
    }

    /// The first value in which both differ after `step`, whose outcomes are `last`.
    fn difference(
        &mut self,
        seed: u64,
        step: u32,
        last: Option<(Step, Step)>,
    ) -> Result<Option<Difference>, ParityError> {
        let found = |what: &str, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
            Ok(Some(Difference {
                seed,
                step,
                what: what.to_owned(),
                ours: format!("{ours:?}"),
                theirs: format!("{theirs:?}"),
            }))
        };
        if let Some((a, b)) = last {
            if a.reward.to_bits() != b.reward.to_bits() {
                return found("reward", &a.reward, &b.reward);
            }
            if (a.terminated, a.truncated) != (b.terminated, b.truncated) {
                return found(
                    "(terminated, truncated)",
                    &(a.terminated, a.truncated),
                    &(b.terminated, b.truncated),
                );
            }
            // Gymnasium's environment does not measure more than these.
            for i in [measured::LAP, measured::TILES, measured::TRACK] {
                if a.measured[i] != b.measured[i] {
                    let name = self.ours.env().spec().measurements[i].name.clone();
                    return found(&name, &a.measured[i], &b.measured[i]);
                }
            }
        }
        let (a, b) = (self.ours.state()?, self.theirs.state()?);
        for (i, (x, y)) in a.car.iter().zip(&b.car).enumerate() {
            if x.to_bits() != y.to_bits() {
                return found(&name_of(i), x, y);
            }
        }
        if a.on_road != b.on_road {
            return found("wheels on the road", &a.on_road, &b.on_road);
        }
        if a.visited != b.visited {
            let at = a.visited.iter().zip(&b.visited).position(|(x, y)| x != y);
            return found(
                &format!("contact with tile {at:?}"),
                &a.visited.len(),
                &b.visited.len(),
            );
        }
        Ok(None)
    }
}
