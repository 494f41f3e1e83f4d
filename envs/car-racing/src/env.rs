//! The environment: episodes, rewards and observations (`CarRacing` in `car_racing.py`).

use std::sync::Arc;

use frmdn_env::{
    Better, Env, EnvError, EnvSpec, Measured, Measurement, ObservationMut, Picture, Probe,
    Snapshot, Step,
};

use crate::car::Car;
use crate::config::{AGENT, Actions, CarRacingConfig, FULL, Observation, Rule, SCENE, STEP_COST};
use crate::contact::Tiles;
use crate::gauges;
use crate::observed;
use crate::perturbation::{Noise, Perturbation};
use crate::raster::{Canvas, Palette, Shrunk};
use crate::rng::Rng;
use crate::scene::{Camera, Colors, Scene};
use crate::skid::Skids;
use crate::state::{CarState, Pose};
use crate::track::{PLAYFIELD, Track};

pub(crate) const FPS: f64 = 50.0;
/// Steering, gas and brake of the discrete actions.
const BUTTONS: [[f64; 3]; 5] = [
    [0.0; 3],
    [0.6, 0.0, 0.0],
    [-0.6, 0.0, 0.0],
    [0.0, 0.2, 0.0],
    [0.0, 0.0, 0.8],
];
/// Share of the tiles that must be visited before the tile of the rule ends a lap.
const LAP_COMPLETE: f64 = 0.95;
/// The child of the seed that draws the tile of a random start.
const START_STREAM: u32 = 0;
/// The child of the seed that draws the colours to keep where no episode has drawn any before.
const COLOR_STREAM: u32 = 1;
/// Width and height of [`CarRacing::video`] in pixels.
pub const VIDEO: [usize; 2] = [600, 400];
/// Below this speed of the hull the car stands still, world units per second: in two seconds it
/// moves by less than a twentieth of its length.
const STILL: f32 = 0.1;

/// Car-Racing. An action is `[steer, gas, brake]` in `[−1, 1] × [0, 1] × [0, 1]`, where positive
/// steering is to the right; or one of [`Actions::Discrete`].
///
/// The reward is −0.1 per step, and 1000 / N for each of the N tiles when a wheel first touches it.
/// Leaving the field ends the episode with the reward −100 for that step.
pub struct CarRacing {
    config: CarRacingConfig,
    spec: EnvSpec,
    palette: Palette,
    /// The canvas of the observation, if that is a picture.
    canvas: Option<Canvas>,
    /// The canvas of [`Env::picture`], made by its first call.
    picture: Option<Canvas>,
    episode: Option<Episode>,
    running: bool,
    /// Whether episodes remember the marks of skidding wheels, for [`CarRacing::video`].
    remembers_skids: bool,
}

/// Where the random numbers of an episode come from, for [`CarRacing::reset_from`].
#[derive(Debug)]
pub struct EpisodeSource<'a> {
    /// Gymnasium's stream: the colours, if they are randomised, and then the track. It is left where
    /// the next episode of the same environment begins.
    pub stream: &'a mut Rng,
    /// The seed for what Gymnasium does not draw: random starts, perturbations and hidden friction.
    pub seed: u64,
    /// Keep the colours of the last episode and draw none (Gymnasium's option `randomize=False`).
    /// Before the first episode, the colours that are kept are drawn from `seed`.
    pub keep_colors: bool,
}

/// The numbers of Car-Racing's measurements.
pub mod measured {
    /// Tiles that a wheel has touched.
    pub const TILES: usize = 0;
    /// Tiles of the track.
    pub const TRACK: usize = 1;
    /// Whether the lap was finished.
    pub const LAP: usize = 2;
    /// Speed of the hull, world units per second.
    pub const SPEED: usize = 3;
    /// Whether the hull is slower than 0.1 world units per second.
    pub const STILL: usize = 4;
}

/// What Car-Racing measures, in the order of [`measured`].
pub(crate) const MEASUREMENTS: [Measurement; 5] = [
    Measurement::new("tiles", "tiles", Better::Higher),
    Measurement::new("track", "tiles", Better::Neither),
    Measurement::new("lap finished", "", Better::Higher),
    Measurement::new("speed", "units/s", Better::Higher),
    Measurement::new("standing still", "", Better::Lower),
];

/// A perturbation that has not begun, with all that it draws: a step allocates nothing.
#[derive(Clone)]
struct Later {
    perturbation: Perturbation,
    /// Number of the first step with it, 0 for the reset.
    from: u32,
    colors: Colors,
    noise: Option<Noise>,
}

/// The state of an episode.
#[derive(Clone)]
struct Episode {
    /// Shared with snapshots: it never changes.
    track: Arc<Track>,
    tiles: Tiles,
    car: Car,
    /// The colours as they were drawn, before a perturbation.
    drawn: Colors,
    colors: Colors,
    rule: Rule,
    start: usize,
    on_line: [bool; 4],
    visited: u32,
    lap: bool,
    score: f64,
    previous_score: f64,
    time: f64,
    steps: u32,
    /// The perturbation that has begun.
    perturbation: Option<Perturbation>,
    /// The one that has not. Boxed, so that episodes without it stay small.
    later: Option<Box<Later>>,
    noise: Option<Noise>,
    /// The point of the track that was nearest to the car when its state was last read.
    nearest: Option<usize>,
    /// The point of the track that is nearest to the car, for the observed state. It follows every
    /// step, seen or not, and does not depend on who else reads the state.
    followed: usize,
    /// Where the hull was before the last step of physics, seen or not, for the observed state.
    before: Pose,
    /// Boxed, so that episodes without it stay small.
    skids: Option<Box<Skids>>,
}

impl Episode {
    /// An episode before its first step of physics. `last` holds the colours of the one before it.
    fn new(source: EpisodeSource<'_>, config: &CarRacingConfig, last: Option<Colors>) -> Self {
        let EpisodeSource { stream, seed, .. } = source;
        let drawn = match (config.domain_randomize, source.keep_colors) {
            (false, _) => Colors::PLAIN,
            (true, false) => Colors::draw(stream),
            (true, true) => {
                last.unwrap_or_else(|| Colors::draw(&mut Rng::child(seed, COLOR_STREAM)))
            }
        };
        let track = Track::generate(stream);
        let count = track.points.len();
        let start = if config.random_start {
            (Rng::child(seed, START_STREAM).random() * count as f64) as usize
        } else {
            0
        };
        let car = Car {
            road_friction: config.friction.map_or(1.0, |range| range.draw(seed)),
            ..Car::new(track.points[start])
        };
        let later = config.perturbation.map(|perturbation| {
            Box::new(Later {
                perturbation,
                from: config.perturbation_from,
                colors: perturbation.colors(drawn, seed),
                noise: perturbation.noise(seed),
            })
        });
        let mut episode = Self {
            tiles: Tiles::new(&track.tiles),
            before: car.hull().into(),
            car,
            track: Arc::new(track),
            drawn,
            colors: drawn,
            rule: config.rule,
            start,
            on_line: [false; 4],
            visited: 0,
            lap: false,
            score: 0.0,
            previous_score: 0.0,
            time: 0.0,
            steps: 0,
            perturbation: None,
            later,
            noise: None,
            nearest: None,
            followed: start,
            skids: None,
        };
        episode.alter(0);
        episode
    }

    /// Begins the perturbation if `step` is the number of its first step. Returns whether it is.
    fn alter(&mut self, step: u32) -> bool {
        let Some(later) = self.later.take_if(|later| step >= later.from) else {
            return false;
        };
        self.perturbation = Some(later.perturbation);
        self.colors = later.colors;
        self.noise = later.noise;
        self.car.road_friction *= later.perturbation.road_friction();
        self.car.grip = later.perturbation.grip();
        true
    }

    /// One step of physics. Contacts are those of the bodies after the last step.
    fn advance(&mut self) {
        self.car.drive();
        if let Some(skids) = &mut self.skids {
            skids.update(&self.car);
        }
        let touched = self
            .tiles
            .update(&mut self.car, self.start, &mut self.on_line);
        let total = self.track.tiles.len();
        for _ in 0..touched.new {
            self.score += 1000.0 / total as f64;
        }
        self.visited += touched.new;
        let at_line = match self.rule {
            Rule::V3 => touched.zero,
            Rule::V4 => touched.line,
        };
        self.lap |= at_line && f64::from(self.visited) / total as f64 > LAP_COMPLETE;
        self.before = self.car.hull().into();
        self.car.advance();
        self.time += 1.0 / FPS;
        let at = self.car.hull().transform.position;
        let position = (f64::from(at.x), f64::from(at.y));
        self.followed = self.track.follow(position, self.followed);
    }

    fn draw(&self, canvas: &mut Canvas, skids: Option<&Skids>) {
        let scene = Scene {
            camera: Camera::new(&self.car, self.time),
            road: &self.track.tiles,
            tiles: &self.tiles,
            car: &self.car,
            skids,
            perturbation: self.perturbation,
        };
        scene.draw(canvas);
    }

    /// Draws the whole picture with the bar of gauges into `out`, `[96, 96, 3]`.
    fn draw_full(&self, canvas: &mut Canvas, palette: &Palette, out: &mut [u8]) {
        self.draw(canvas, None);
        let (scene, bar) = out.split_at_mut(FULL * SCENE * 3);
        canvas.resolve(palette, scene);
        gauges::draw(bar, FULL, Shrunk::BothAxes, &self.car, self.score);
    }

    /// The whole picture at the size of [`VIDEO`], with skid marks.
    fn video(&self) -> Picture {
        let [width, height] = VIDEO;
        let mut rgb = vec![0; width * height * 3];
        let rows = height * SCENE / FULL;
        let mut canvas = Canvas::new(width, rows);
        self.draw(&mut canvas, self.skids.as_deref());
        let (scene, bar) = rgb.split_at_mut(width * rows * 3);
        canvas.resolve(&self.colors.palette(Shrunk::Width), scene);
        gauges::draw(bar, width, Shrunk::Width, &self.car, self.score);
        Picture { width, height, rgb }
    }
}

impl CarRacing {
    /// The environment, before its first reset.
    pub fn new(config: CarRacingConfig) -> Self {
        let canvas = match config.observation {
            Observation::Agent64 => Some(Canvas::new(AGENT, AGENT)),
            Observation::Full96 => Some(Canvas::new(FULL, SCENE)),
            Observation::State => None,
        };
        Self {
            spec: config.spec(),
            config,
            palette: Colors::PLAIN.palette(Shrunk::BothAxes),
            canvas,
            picture: None,
            episode: None,
            running: false,
            remembers_skids: false,
        }
    }

    /// Remembers from the next reset on where wheels skid, so that [`CarRacing::video`] shows it.
    #[must_use]
    pub fn with_skids(mut self) -> Self {
        self.remembers_skids = true;
        self
    }

    /// Starts the next episode of a stream of random numbers. With a stream of `Rng::new(seed)` it is
    /// the episode of [`Env::reset`]; going on with the stream gives the episodes of Gymnasium's
    /// resets without a seed.
    ///
    /// # Errors
    /// If the observation has another kind or length than [`Env::observation_space`].
    pub fn reset_from(
        &mut self,
        source: EpisodeSource<'_>,
        mut observation: ObservationMut<'_>,
    ) -> Result<(), EnvError> {
        observation.check(self.spec.observation)?;
        let last = self.episode.as_ref().map(|episode| episode.drawn);
        let mut episode = Episode::new(source, &self.config, last);
        if self.remembers_skids {
            episode.skids = Some(Box::default());
        }
        // The reference takes one step of physics before it shows the first frame.
        episode.advance();
        self.palette = episode.colors.palette(Shrunk::BothAxes);
        self.episode = Some(episode);
        self.running = true;
        self.observe(observation);
        Ok(())
    }

    /// Steps with `[steer, gas, brake]` in the precision in which Gymnasium takes them. Values beyond
    /// the action space act as the nearest inside of it, as they do there.
    ///
    /// # Errors
    /// If no episode is running, a control is not a number, or the observation has another kind or
    /// length than [`Env::observation_space`].
    pub fn drive(
        &mut self,
        controls: [f64; 3],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        self.drive_with(controls, observation, true)
    }

    /// As [`CarRacing::drive`], for a frame that is looked at, or not unless the episode ends.
    fn drive_with(
        &mut self,
        controls: [f64; 3],
        mut observation: ObservationMut<'_>,
        is_seen: bool,
    ) -> Result<Step, EnvError> {
        let episode = self
            .episode
            .as_mut()
            .filter(|_| self.running)
            .ok_or(EnvError::NeedsReset)?;
        if controls.iter().any(|value| value.is_nan()) {
            return Err(EnvError::Action {
                action: controls.map(|value| value as f32).to_vec(),
                allowed: "three numbers".into(),
            });
        }
        observation.check(self.spec.observation)?;

        if episode.alter(episode.steps + 1) {
            self.palette = episode.colors.palette(Shrunk::BothAxes);
        }
        let [steer, gas, brake] = controls;
        let max_gas = episode.perturbation.map_or(1.0, Perturbation::max_gas);
        episode.car.control(
            -steer.clamp(-1.0, 1.0),
            gas.min(max_gas),
            brake.clamp(0.0, 1.0),
        );
        episode.advance();
        episode.steps += 1;
        episode.score -= STEP_COST;
        let mut reward = episode.score - episode.previous_score;
        episode.previous_score = episode.score;

        let total = episode.track.tiles.len() as u32;
        let mut completed = episode.visited == total || episode.lap;
        let mut terminated = completed;
        let hull = episode.car.hull();
        let (position, velocity) = (hull.transform.position, hull.velocity);
        if f64::from(position.x).abs() > PLAYFIELD || f64::from(position.y).abs() > PLAYFIELD {
            terminated = true;
            completed = false;
            reward = -100.0;
        }
        let truncated = episode.steps >= self.config.max_steps;
        let speed = libm::hypotf(velocity.x, velocity.y);
        let measured = Measured::new(&[
            f64::from(episode.visited),
            f64::from(total),
            f64::from(u8::from(completed)),
            f64::from(speed),
            f64::from(u8::from(speed < STILL)),
        ]);
        self.running = !(terminated || truncated);
        // The noise of a frame follows that of the one before.
        if is_seen || !self.running || episode.noise.is_some() {
            self.observe(observation);
        }
        Ok(Step {
            reward,
            terminated,
            truncated,
            measured,
        })
    }

    /// The picture of Gymnasium's `rgb_array`: 600 × 400 with the gauges, and with skid marks if
    /// [`CarRacing::with_skids`] was asked for; `None` before the first reset. The score is drawn in
    /// another font.
    pub fn video(&self) -> Option<Picture> {
        self.episode.as_ref().map(Episode::video)
    }

    /// The configuration.
    pub fn config(&self) -> &CarRacingConfig {
        &self.config
    }

    /// The state of the car; `None` before the first reset.
    pub fn state(&self) -> Option<CarState> {
        self.episode.as_ref().map(|episode| (&episode.car).into())
    }

    /// The track; `None` before the first reset.
    pub fn track(&self) -> Option<&Track> {
        self.episode.as_ref().map(|episode| episode.track.as_ref())
    }

    /// Whether each tile was touched by a wheel; `None` before the first reset.
    pub fn visited(&self) -> Option<&[bool]> {
        self.episode
            .as_ref()
            .map(|episode| episode.tiles.visited.as_slice())
    }

    /// Index of the tile on which the car started; `None` before the first reset.
    pub fn start(&self) -> Option<usize> {
        self.episode.as_ref().map(|episode| episode.start)
    }

    /// Factor of the road's friction at present, the hidden one included
    /// ([`CarRacingConfig::friction`]); `None` before the first reset. Agents must not use it.
    pub fn road_friction(&self) -> Option<f64> {
        self.episode
            .as_ref()
            .map(|episode| episode.car.road_friction)
    }

    pub(crate) fn last_nearest(&self) -> Option<usize> {
        self.episode.as_ref().and_then(|episode| episode.nearest)
    }

    pub(crate) fn set_nearest(&mut self, point: usize) {
        if let Some(episode) = &mut self.episode {
            episode.nearest = Some(point);
        }
    }

    /// Steering, gas and brake of an action.
    fn controls(&self, action: &[f32]) -> Result<[f64; 3], EnvError> {
        if !self.running {
            return Err(EnvError::NeedsReset);
        }
        self.spec.actions.check(action)?;
        Ok(match self.config.actions {
            Actions::Continuous => [0, 1, 2].map(|i| f64::from(action[i])),
            Actions::Discrete => BUTTONS[action[0] as usize],
        })
    }

    /// Writes the present observation; the place for it was checked.
    fn observe(&mut self, observation: ObservationMut<'_>) {
        let Some(episode) = &mut self.episode else {
            return;
        };
        let out = match observation {
            ObservationMut::Frame(out) => out,
            ObservationMut::Latent(out) => {
                let car = (&episode.car).into();
                let values =
                    observed::values(&car, &episode.before, &episode.track, episode.followed);
                out.copy_from_slice(&values);
                return;
            }
        };
        if let Some(canvas) = &mut self.canvas {
            if self.config.observation == Observation::Full96 {
                episode.draw_full(canvas, &self.palette, out);
            } else {
                episode.draw(canvas, None);
                canvas.resolve(&self.palette, out);
            }
        }
        if let Some(noise) = &mut episode.noise {
            noise.add(out);
        }
    }
}

impl Env for CarRacing {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let source = EpisodeSource {
            stream: &mut Rng::new(seed),
            seed,
            keep_colors: false,
        };
        self.reset_from(source, observation)
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let controls = self.controls(action)?;
        self.drive_with(controls, observation, true)
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        let controls = self.controls(action)?;
        self.drive_with(controls, observation, false)
    }

    fn picture(&mut self) -> Option<Picture> {
        let episode = self.episode.as_ref()?;
        let canvas = self.picture.get_or_insert_with(|| Canvas::new(FULL, SCENE));
        let mut rgb = vec![0; FULL * FULL * 3];
        episode.draw_full(canvas, &self.palette, &mut rgb);
        Some(Picture {
            width: FULL,
            height: FULL,
            rgb,
        })
    }

    fn probe(&mut self) -> Option<&mut dyn Probe> {
        Some(self)
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let episode = self.episode.as_ref().filter(|_| self.running)?;
        Some(Snapshot::new(episode.clone()))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        let episode: &Episode = snapshot.get()?;
        self.palette = episode.colors.palette(Shrunk::BothAxes);
        self.episode = Some(episode.clone());
        self.running = true;
        Ok(())
    }
}
