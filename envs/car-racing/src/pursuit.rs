//! A driver that reads the track: pure pursuit (Coulter 1992) of a point ahead on the centre line,
//! at a speed that the next bends allow. It is an upper reference for scores, and a source of data
//! with finished laps.

use crate::{CarState, track::Track};

/// Settings of [`PurePursuit`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PursuitConfig {
    /// Distance to the pursued point at rest, world units.
    pub look_ahead: f64,
    /// Added to this distance per unit of speed, seconds.
    pub look_ahead_per_speed: f64,
    /// Lateral acceleration in bends, world units per second squared.
    pub lateral: f64,
    /// Deceleration before bends, world units per second squared.
    pub braking: f64,
    /// Highest speed, world units per second.
    pub top_speed: f64,
}

impl Default for PursuitConfig {
    fn default() -> Self {
        Self {
            look_ahead: 6.0,
            look_ahead_per_speed: 0.12,
            lateral: 110.0,
            braking: 60.0,
            top_speed: 100.0,
        }
    }
}

/// Number of points of the centre line that are searched for bends.
const HORIZON: usize = 22;

/// The driver of one episode.
#[derive(Clone, Debug, PartialEq)]
pub struct PurePursuit {
    config: PursuitConfig,
    /// Index of the nearest point in the last step; `None` before the first step.
    nearest: Option<usize>,
}

impl PurePursuit {
    /// A driver at the start of an episode.
    pub fn new(config: PursuitConfig) -> Self {
        Self {
            config,
            nearest: None,
        }
    }

    /// The action (steering −1..1, gas 0..1, brake 0..1) for the car's state on `track`.
    pub fn act(&mut self, car: &CarState, track: &Track) -> [f32; 3] {
        let c = &self.config;
        let n = track.points.len();
        let (x, y) = (
            f64::from(car.hull.position[0]),
            f64::from(car.hull.position[1]),
        );
        let distance = |i: usize| libm::hypot(track.points[i % n].x - x, track.points[i % n].y - y);
        let at = track.nearest((x, y), self.nearest);
        self.nearest = Some(at);
        let [vx, vy] = car.hull.velocity.map(f64::from);
        let speed = libm::hypot(vx, vy);

        let reach = c.look_ahead + c.look_ahead_per_speed * speed;
        let target = (at + 1..at + HORIZON)
            .find(|&i| distance(i) >= reach)
            .unwrap_or(at + HORIZON);
        let (sin, cos) = libm::sincos(f64::from(car.hull.angle));
        // The car points along (−sin, cos); its right is (cos, sin).
        let (dx, dy) = (
            track.points[target % n].x - x,
            track.points[target % n].y - y,
        );
        let (ahead, right) = (-dx * sin + dy * cos, dx * cos + dy * sin);
        let bearing = libm::atan2(right, ahead);
        let steer = (2.2 * bearing).clamp(-1.0, 1.0);

        // For every bend ahead, the present speed from which the car can brake in time.
        let mut allowed = c.top_speed;
        for k in 0..HORIZON {
            let bend = (c.lateral / track.curvature(at + k).abs().max(1e-3)).sqrt();
            allowed = allowed.min((bend * bend + 2.0 * c.braking * 3.5 * k as f64).sqrt());
        }
        let gas = (0.08 * (allowed - speed)).clamp(0.0, 1.0) * (1.0 - 0.6 * steer.abs());
        let brake = (0.04 * (speed - allowed)).clamp(0.0, 0.6);
        [steer as f32, gas as f32, brake as f32]
    }
}

#[cfg(test)]
mod tests {
    use frmdn_env::{Env, ObservationMut};

    use super::*;
    use crate::{CarRacing, CarRacingConfig, measured};

    #[test]
    fn it_finishes_laps() {
        let mut env = CarRacing::new(CarRacingConfig::default());
        let mut frame = vec![0; env.observation_space().len()];
        let (mut finished, mut total) = (0, 0.0);
        for seed in 0..10 {
            env.reset(seed, ObservationMut::Frame(&mut frame)).unwrap();
            let mut driver = PurePursuit::new(PursuitConfig::default());
            let mut score = 0.0;
            loop {
                let action = driver.act(&env.state().unwrap(), env.track().unwrap());
                let step = env
                    .step(&action, ObservationMut::Frame(&mut frame))
                    .unwrap();
                score += step.reward;
                if step.done() {
                    finished += step.measured[measured::LAP] as u32;
                    println!("{seed}: {score:.0} {:?}", step.measured);
                    break;
                }
            }
            total += score;
        }
        assert!(
            finished >= 8 && total / 10.0 > 850.0,
            "{finished} of 10 laps, mean score {}",
            total / 10.0
        );
    }
}
