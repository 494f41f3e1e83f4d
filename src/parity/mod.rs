//! Our Car-Racing and Gymnasium's, side by side: what the one does the other must do, bit for bit.
//!
//! Both are driven with the same actions, from a driver that sees ours. Rewards, flags, progress,
//! contacts, tiles and the car's state must be equal in every bit; frames are measured, because
//! edges are rounded differently.

mod drivers;
mod frames;
mod sides;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use frmdn_env::{ActionSpace, Step};
use serde::Serialize;

use crate::{
    run::{Interrupt, Reporter},
    worlds::{Bridge, Frames, World},
};

pub use drivers::Drive;
pub use frames::{FrameErrors, FramePair};
pub use sides::{Native, Reference, State, name_of, state_of, state_of_gym};

/// What to compare.
#[derive(Clone, Debug)]
pub struct ParityConfig {
    /// Options of both environments, as they follow a name: empty, or `continuous=false`.
    pub options: String,
    /// Episodes, spread evenly over the drivers.
    pub episodes: usize,
    /// Tracks to compare tile for tile.
    pub tracks: usize,
    /// The first seed.
    pub seed: u64,
    /// Steps between two frames that are compared; the first fifty steps, in which the camera
    /// zooms, have one in ten.
    pub frames_every: u32,
}

/// Where the two first differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Seed of the episode.
    pub seed: u64,
    /// Step after which they differ; 0 is the reset.
    pub step: u32,
    /// In what.
    pub what: String,
    /// Our value.
    pub ours: String,
    /// Gymnasium's.
    pub theirs: String,
}

/// The episodes of one driver.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The driver.
    pub drive: Drive,
    /// Episodes.
    pub episodes: usize,
    /// Steps of all of them.
    pub steps: u64,
    /// Episodes that ended with a finished lap.
    pub laps: usize,
    /// Episodes that ended off the field.
    pub off_field: usize,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Parity {
    /// Names of both, with the versions of the other's packages.
    pub names: [String; 2],
    /// Versions of Python and its packages.
    pub versions: Vec<(String, String)>,
    /// Tracks that were compared.
    pub tracks: usize,
    /// Largest difference of a coordinate of any tile.
    pub track_error: f64,
    /// The first track that differs in the number of tiles or by more than 1e-9.
    pub track_difference: Option<Difference>,
    /// By driver.
    pub drives: Vec<Compared>,
    /// Frames.
    pub frames: FrameErrors,
    /// The frames with the largest error.
    #[serde(skip)]
    pub worst: Option<FramePair>,
}

impl Parity {
    /// Whether states, rewards, flags and tracks are equal and the frames within `mean` of 255 and
    /// `far` of all values.
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

/// Compares; `None` if interrupted.
pub fn compare(
    config: &ParityConfig,
    bridge: &Bridge,
    report: &dyn Reporter,
    stop: &Interrupt,
) -> Result<Option<Parity>, String> {
    let options = if config.options.is_empty() {
        String::new()
    } else {
        format!(",{}", config.options)
    };
    let names = [
        format!("car-racing{options}"),
        format!("gym:CarRacing-v3{options}"),
    ];
    let ours = World::open_with(&names[0], bridge, Frames::Whole, true)?;
    let theirs = World::open_with(&names[1], bridge, Frames::Whole, false)?;
    let small = World::open(&names[0], bridge)?;
    let continuous = matches!(ours.action_space()?, ActionSpace::Box { .. });
    let drives: Vec<Drive> = Drive::ALL
        .into_iter()
        .filter(|d| continuous || !d.is_continuous())
        .collect();
    let cases: Vec<Case> = (0..config.episodes)
        .map(|i| Case {
            drive: drives[i % drives.len()],
            seed: config.seed + i as u64,
        })
        .collect();
    let empty = |drive| Compared {
        drive,
        episodes: 0,
        steps: 0,
        laps: 0,
        off_field: 0,
        difference: None,
    };
    let outcome = Mutex::new(Parity {
        names: names.clone(),
        versions: theirs.versions()?,
        tracks: config.tracks,
        track_error: 0.0,
        track_difference: None,
        drives: drives.into_iter().map(empty).collect(),
        frames: FrameErrors::default(),
        worst: None,
    });
    let total = config.tracks + cases.len();
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    report.begin("parity", "tracks and episodes", 0, total as u64);
    // Each thread has one pair of environments for all of its episodes: what a reset leaves behind
    // would show.
    let work = || -> Result<(), String> {
        let mut pair = Pair {
            ours: Native::new(&ours, &small)?,
            theirs: Reference::new(&theirs)?,
            config,
        };
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= total || stop.is_set() {
                return Ok(());
            }
            if i < config.tracks {
                let (error, difference) = pair.tracks(config.seed + i as u64)?;
                let mut all = outcome.lock().expect("nothing panics while it holds this");
                all.track_error = all.track_error.max(error);
                let earlier = all
                    .track_difference
                    .as_ref()
                    .is_none_or(|old| difference.as_ref().is_some_and(|new| new.seed < old.seed));
                if earlier && difference.is_some() {
                    all.track_difference = difference;
                }
            } else {
                let case = cases[i - config.tracks];
                let (seen, frames, worst) = pair.episode(case)?;
                let mut all = outcome.lock().expect("nothing panics while it holds this");
                all.frames.add(&frames);
                if all
                    .worst
                    .as_ref()
                    .is_none_or(|old| worst.as_ref().is_some_and(|new| new.error > old.error))
                    && worst.is_some()
                {
                    all.worst = worst;
                }
                if let Some(row) = all.drives.iter_mut().find(|row| row.drive == case.drive) {
                    row.episodes += 1;
                    row.steps += seen.steps;
                    row.laps += seen.laps;
                    row.off_field += seen.off_field;
                    let first = row.difference.as_ref().is_none_or(|old| {
                        seen.difference
                            .as_ref()
                            .is_some_and(|new| new.seed < old.seed)
                    });
                    if first && seen.difference.is_some() {
                        row.difference = seen.difference;
                    }
                }
            }
            report.advance(next.load(Ordering::Relaxed).min(total) as u64, "");
        }
    };
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|_| {
                if let Err(e) = work() {
                    next.store(total, Ordering::Relaxed);
                    *failure.lock().expect("nothing panics while it holds this") = Some(e);
                }
            });
        }
    });
    report.end();
    match failure.into_inner().expect("no thread panicked") {
        Some(e) => Err(e),
        None if stop.is_set() => Ok(None),
        None => Ok(Some(outcome.into_inner().expect("no thread panicked"))),
    }
}

/// Both environments.
struct Pair<'a> {
    ours: Native,
    theirs: Reference,
    config: &'a ParityConfig,
}

/// What came of an episode.
#[derive(Default)]
struct EpisodeOutcome {
    steps: u64,
    laps: usize,
    off_field: usize,
    difference: Option<Difference>,
}

impl Pair<'_> {
    /// The largest difference of a tile's coordinates on the track of `seed`, and whether that is
    /// too large.
    fn tracks(&mut self, seed: u64) -> Result<(f64, Option<Difference>), String> {
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

    /// An episode of both to the end of either, or to the first difference.
    fn episode(
        &mut self,
        case: Case,
    ) -> Result<(EpisodeOutcome, FrameErrors, Option<FramePair>), String> {
        let mut driver = case.drive.start(self.ours.actions(), case.seed);
        let mut action = vec![0.0; self.ours.actions().width()];
        let (mut seen, mut frames, mut worst) = (
            EpisodeOutcome::default(),
            FrameErrors::default(),
            None::<FramePair>,
        );
        self.ours.reset(case.seed)?;
        self.theirs.reset(case.seed)?;
        let mut step = 0;
        let mut done = None;
        loop {
            seen.difference = self.difference(case.seed, step, done)?;
            let every = if step < 50 {
                10
            } else {
                self.config.frames_every.max(1)
            };
            if step % every == 0 {
                let picked = frames.compare(&self.ours, &mut self.theirs, case.seed, step)?;
                if worst.as_ref().is_none_or(|old| picked.error > old.error) {
                    worst = Some(picked);
                }
            }
            if seen.difference.is_some()
                || done.is_some_and(|(a, b): (Step, Step)| a.done() || b.done())
            {
                seen.laps += usize::from(done.is_some_and(|(a, _)| a.info.completed));
                seen.off_field +=
                    usize::from(done.is_some_and(|(a, _)| a.terminated && !a.info.completed));
                return Ok((seen, frames, worst));
            }
            driver.act(self.ours.env(), &mut action)?;
            done = Some((self.ours.step(&action)?, self.theirs.step(&action)?));
            step += 1;
            seen.steps += 1;
        }
    }

    /// The first thing in which both differ after `step`.
    fn difference(
        &mut self,
        seed: u64,
        step: u32,
        last: Option<(Step, Step)>,
    ) -> Result<Option<Difference>, String> {
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
            if a.info.completed != b.info.completed {
                return found("info: lap_finished", &a.info.completed, &b.info.completed);
            }
            if a.info.progress != b.info.progress {
                return found("tiles visited, of", &a.info.progress, &b.info.progress);
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
