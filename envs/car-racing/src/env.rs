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
use crate::perturbation::{Noise, Perturbation};
use crate::raster::{Canvas, Palette};
use crate::rng::Rng;
use crate::scene::{self, Camera, Colors};
use crate::state::CarState;
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
    canvas: Canvas,
    /// The canvas of [`Env::picture`], made by its first call.
    picture: Option<Canvas>,
    episode: Option<Episode>,
    running: bool,
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

/// The state of an episode.
#[derive(Clone)]
struct Episode {
    /// Shared with snapshots: it never changes.
    track: Arc<Track>,
    tiles: Tiles,
    car: Car,
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
    perturbation: Option<Perturbation>,
    noise: Option<Noise>,
    /// The point of the track that was nearest to the car when its state was last read.
    nearest: Option<usize>,
}

impl Episode {
    fn new(seed: u64, config: &CarRacingConfig) -> Self {
        let mut rng = Rng::new(seed);
        let colors = if config.domain_randomize {
            Colors::draw(&mut rng)
        } else {
            Colors::PLAIN
        };
        let perturbation = config.perturbation;
        let colors = perturbation.map_or(colors, |p| p.colors(colors, seed));
        let track = Track::generate(&mut rng);
        let count = track.points.len();
        let start = if config.random_start {
            (Rng::child(seed, START_STREAM).random() * count as f64) as usize
        } else {
            0
        };
        let car = Car {
            road_friction: config.road_friction(),
            ..Car::new(track.points[start])
        };
        let mut episode = Self {
            tiles: Tiles::new(&track.tiles),
            car,
            track: Arc::new(track),
            colors,
            rule: config.rule,
            start,
            on_line: [false; 4],
            visited: 0,
            lap: false,
            score: 0.0,
            previous_score: 0.0,
            time: 0.0,
            steps: 0,
            perturbation,
            noise: perturbation.and_then(|p| p.noise(seed)),
            nearest: None,
        };
        episode.advance();
        episode
    }

    /// One step of physics. Contacts are those of the bodies after the last step.
    fn advance(&mut self) {
        self.car.drive();
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
        self.car.advance();
        self.time += 1.0 / FPS;
    }

    fn draw(&self, canvas: &mut Canvas) {
        scene::draw(
            canvas,
            &Camera::new(&self.car, self.time),
            &self.track.tiles,
            &self.tiles,
            &self.car,
            self.perturbation,
        );
    }

    /// Draws the whole picture with the bar of gauges into `out`, `[96, 96, 3]`.
    fn draw_full(&self, canvas: &mut Canvas, palette: &Palette, out: &mut [u8]) {
        self.draw(canvas);
        let (scene, bar) = out.split_at_mut(FULL * SCENE * 3);
        canvas.resolve(palette, scene);
        gauges::draw(bar, FULL, &self.car, self.score);
    }
}

impl CarRacing {
    /// The environment, before its first reset.
    pub fn new(config: CarRacingConfig) -> Self {
        let canvas = match config.observation {
            Observation::Agent64 => Canvas::new(AGENT, AGENT),
            Observation::Full96 => Canvas::new(FULL, SCENE),
        };
        Self {
            spec: config.spec(),
            config,
            palette: Colors::PLAIN.palette(),
            canvas,
            picture: None,
            episode: None,
            running: false,
        }
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

    pub(crate) fn last_nearest(&self) -> Option<usize> {
        self.episode.as_ref().and_then(|episode| episode.nearest)
    }

    pub(crate) fn set_nearest(&mut self, point: usize) {
        if let Some(episode) = &mut self.episode {
            episode.nearest = Some(point);
        }
    }

    fn observe(&mut self, out: &mut [u8]) {
        if let Some(episode) = &mut self.episode {
            match self.config.observation {
                Observation::Agent64 => {
                    episode.draw(&mut self.canvas);
                    self.canvas.resolve(&self.palette, out);
                }
                Observation::Full96 => episode.draw_full(&mut self.canvas, &self.palette, out),
            }
            if let Some(noise) = &mut episode.noise {
                noise.add(out);
            }
        }
    }
}

impl Env for CarRacing {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let out = observation.frame(self.config.observation.space().len())?;
        let episode = Episode::new(seed, &self.config);
        self.palette = episode.colors.palette();
        self.episode = Some(episode);
        self.running = true;
        self.observe(out);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let episode = self
            .episode
            .as_mut()
            .filter(|_| self.running)
            .ok_or(EnvError::NeedsReset)?;
        self.spec.actions.check(action)?;
        let out = observation.frame(self.config.observation.space().len())?;

        let [steer, gas, brake] = match self.config.actions {
            Actions::Continuous => [0, 1, 2].map(|i| f64::from(action[i])),
            Actions::Discrete => BUTTONS[action[0] as usize],
        };
        episode
            .car
            .control(-steer, gas.min(self.config.max_gas()), brake);
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
        self.observe(out);
        Ok(Step {
            reward,
            terminated,
            truncated,
            measured,
        })
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
        self.palette = episode.colors.palette();
        self.episode = Some(episode.clone());
        self.running = true;
        Ok(())
    }
}
