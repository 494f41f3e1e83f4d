//! Car-Racing: a native port of Gymnasium 1.4.0's `CarRacing-v3` on pybox2d 2.3.10.

mod car;
mod contact;
mod raster;
mod rng;
mod scene;
pub mod solver;
mod track;

pub use car::{Car, Wheel};
pub use rng::NumpyRng;
pub use track::{Node, Tile, Track};

use frmdn_env::{ActionSpace, Env, EnvError, Info, ObservationMut, ObservationSpace, Picture, Step};
use serde::{Deserialize, Serialize};

use contact::TileMap;
use raster::Canvas;
use solver::Vec2;

/// Half the side of the field; leaving it ends the episode.
const PLAYFIELD: f64 = 2000.0 / 6.0;
/// Frames a second.
const FPS: f64 = 50.0;
/// No part of the car is farther from the hull's origin than that.
const REACH: f32 = 4.0;

/// Settings of [`CarRacing`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CarRacingConfig {
    /// The car starts at a random tile instead of the first.
    pub random_start: bool,
    /// Steps after which an episode is truncated.
    pub max_steps: u32,
}

impl Default for CarRacingConfig {
    fn default() -> Self {
        Self { random_start: false, max_steps: 1000 }
    }
}

/// The environment. Observation: 64×64 RGB, rows 0–83 of the reference's 96×96 frame (without its gauges) drawn at that
/// size. Actions: steering −1..1, gas 0..1, brake 0..1.
#[derive(Clone, Debug)]
pub struct CarRacing {
    config: CarRacingConfig,
    space: ActionSpace,
    running: bool,
    track: Track,
    map: TileMap,
    car: Car,
    touched: [Vec<usize>; 4],
    visited: Vec<bool>,
    recoloured: Vec<bool>,
    visited_count: usize,
    new_lap: bool,
    reward: f64,
    previous: f64,
    time: f64,
    steps: u32,
    small: Canvas,
    near: Vec<usize>,
}

impl CarRacing {
    /// A new environment; it needs a reset.
    pub fn new(config: CarRacingConfig) -> Self {
        Self {
            config,
            space: ActionSpace::Box { low: vec![-1.0, 0.0, 0.0], high: vec![1.0; 3] },
            running: false,
            track: Track::default(),
            map: TileMap::default(),
            car: Car::new(0.0, 0.0, 0.0),
            touched: Default::default(),
            visited: Vec::new(),
            recoloured: Vec::new(),
            visited_count: 0,
            new_lap: false,
            reward: 0.0,
            previous: 0.0,
            time: 0.0,
            steps: 0,
            small: Canvas::new(64, 64),
            near: Vec::new(),
        }
    }

    /// The car.
    pub fn car(&self) -> &Car {
        &self.car
    }

    /// The track.
    pub fn track(&self) -> &Track {
        &self.track
    }

    /// Tiles visited so far.
    pub fn tiles_visited(&self) -> usize {
        self.visited_count
    }

    /// The world as far as it moves: tiles are touched where the car stands at the start of the step, then the car moves.
    fn advance(&mut self) {
        let on_road = std::array::from_fn(|w| !self.touched[w].is_empty());
        // car.step sees the contacts of the last step, the world's step finds the new ones before it moves anything.
        let mut car = std::mem::replace(&mut self.car, Car::new(0.0, 0.0, 0.0));
        self.contacts(&car);
        car.step(1.0 / FPS, on_road);
        self.car = car;
        self.time += 1.0 / FPS;
    }

    fn contacts(&mut self, car: &Car) {
        let mut near = std::mem::take(&mut self.near);
        self.map.near(car.island.bodies[0].position, REACH, &mut near);
        let tiles = self.visited.len();
        for w in 0..4 {
            let body = &car.island.bodies[w + 1];
            let corners: [Vec2; 4] = std::array::from_fn(|i| body.point(car.wheel_shape[i]));
            self.touched[w].clear();
            for &tile in &near {
                if self.map.touches(tile, &corners) {
                    self.touched[w].push(tile);
                    self.recoloured[tile] = true;
                    if !self.visited[tile] {
                        self.visited[tile] = true;
                        self.visited_count += 1;
                        self.reward += 1000.0 / tiles as f64;
                        // The rule of 1.4.0: it needs tile 0 not to be visited at the start (see the documentation).
                        self.new_lap |= tile == 0 && self.visited_count as f64 / tiles as f64 > 0.95;
                    }
                }
            }
        }
        // The hull only wipes the stripes off the tiles it passes.
        let hull = &car.island.bodies[0];
        for shape in &car.hull_shape {
            for &tile in &near {
                if !self.recoloured[tile] {
                    let corners: Vec<Vec2> = shape.iter().map(|&v| hull.point(v)).collect();
                    self.recoloured[tile] = self.map.touches(tile, &corners);
                }
            }
        }
        self.near = near;
    }
}

impl Env for CarRacing {
    fn action_space(&self) -> &ActionSpace {
        &self.space
    }

    fn observation_space(&self) -> ObservationSpace {
        ObservationSpace::Frame { height: 64, width: 64, channels: 3 }
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let frame = observation.frame(64 * 64 * 3)?;
        self.track = Track::generate(seed);
        self.map = TileMap::new(&self.track.tiles);
        let n = self.track.nodes.len();
        let start = if self.config.random_start {
            // A stream of its own: the track stays the one of the seed.
            NumpyRng::new(seed ^ 0x5EED_0000_0000_0000).uniform(0.0, n as f64) as usize
        } else {
            0
        };
        let node = self.track.nodes[start];
        self.car = Car::new(node.beta, node.x, node.y);
        self.visited = vec![false; n];
        self.recoloured = vec![false; n];
        self.touched.iter_mut().for_each(Vec::clear);
        (self.visited_count, self.new_lap, self.steps) = (0, false, 0);
        (self.reward, self.previous, self.time) = (0.0, 0.0, 0.0);
        self.running = true;
        self.advance();
        self.draw_small(frame);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        if !self.running {
            return Err(EnvError::NeedsReset);
        }
        self.space.check(action)?;
        let frame = observation.frame(64 * 64 * 3)?;
        self.car.control(f64::from(action[0]), f64::from(action[1]), f64::from(action[2]));
        self.advance();
        self.draw_small(frame);
        self.steps += 1;
        self.reward -= 0.1;
        let mut reward = self.reward - self.previous;
        self.previous = self.reward;
        let mut completed = self.visited_count == self.track.nodes.len() || self.new_lap;
        let mut terminated = completed;
        let at = self.car.island.bodies[0].position;
        if f64::from(at.x).abs() > PLAYFIELD || f64::from(at.y).abs() > PLAYFIELD {
            (terminated, completed, reward) = (true, false, -100.0);
        }
        let truncated = self.steps >= self.config.max_steps;
        self.running = !(terminated || truncated);
        let progress = (self.visited_count as u32, self.track.nodes.len() as u32);
        Ok(Step { reward, terminated, truncated, info: Info { steps: self.steps, progress, completed } })
    }

    fn picture(&mut self) -> Option<Picture> {
        Some(self.draw_large())
    }
}
