//! The five drivers of a comparison; together they cover every part of the environment.

use frmdn_car_racing::CarRacing;
use frmdn_engine::random::{Pcg64, fill_uniform, stream};
use serde::Serialize;

use super::ParityError;
use crate::{
    controller::Actions,
    rollout::{OpenLoop, OpenLoopDriver},
    worlds::Script,
};

/// A driver by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    /// An independent uniform action at each step.
    Random,
    /// A random walk of the action.
    Brownian,
    /// The scripted driver without noise: it finishes laps.
    Scripted,
    /// The scripted driver, interrupted by random controls for some steps at a time: skids, spins,
    /// hard braking, long standstills.
    Varied,
    /// The scripted driver for 100 steps, then off the road to the edge of the field.
    Outward,
}

impl Drive {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Random,
        Self::Brownian,
        Self::Scripted,
        Self::Varied,
        Self::Outward,
    ];

    /// Whether it needs continuous steering, gas and brake.
    pub fn is_continuous(self) -> bool {
        matches!(self, Self::Scripted | Self::Varied | Self::Outward)
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Brownian => "Brownian",
            Self::Scripted => "scripted (laps)",
            Self::Varied => "varied (skids, stands)",
            Self::Outward => "outward (off the field)",
        }
    }

    /// The driver of the episode of `seed`.
    pub(super) fn start(self, actions: &Actions, seed: u64) -> Driver {
        let script = || Script::new(0.0, 0, seed);
        match self {
            Self::Random => Driver::OpenLoop(OpenLoop::Random.driver(actions, 0, seed)),
            Self::Brownian => Driver::OpenLoop(OpenLoop::Brownian.driver(actions, 0, seed)),
            Self::Scripted => Driver::Scripted(script()),
            Self::Varied => Driver::Varied {
                script: script(),
                rng: stream(seed, "parity/varied", &[]),
                steps_left: 0,
                random_controls: None,
            },
            Self::Outward => Driver::Outward {
                script: script(),
                step: 0,
            },
        }
    }
}

/// A driver in an episode.
pub(super) enum Driver {
    OpenLoop(OpenLoopDriver),
    Scripted(Script),
    Varied {
        script: Script,
        rng: Pcg64,
        /// Steps until the next choice between the script and random controls.
        steps_left: u32,
        /// The present random controls; `None` while the script drives.
        random_controls: Option<[f32; 3]>,
    },
    Outward {
        script: Script,
        step: u32,
    },
}

impl Driver {
    /// Writes the next action for the present state of `env`.
    pub fn act(&mut self, env: &CarRacing, action: &mut [f32]) -> Result<(), ParityError> {
        match self {
            Self::OpenLoop(driver) => driver.act(action),
            Self::Scripted(script) => script.act(env, action)?,
            Self::Varied {
                script,
                rng,
                steps_left,
                random_controls,
            } => {
                if *steps_left == 0 {
                    let mut drawn = [0.0f32; 6];
                    fill_uniform(rng, 1.0, &mut drawn);
                    let [span, kind, steer, gas, brake, hard] =
                        drawn.map(|x| f32::midpoint(x, 1.0));
                    *steps_left = 3 + (span * 40.0) as u32;
                    // The script with probability 1/2; else gas or brake with probability 1/4
                    // each, the brake often full, so that the wheels lock.
                    let controls = if kind > 0.75 {
                        [2.0 * steer - 1.0, gas, 0.0]
                    } else {
                        [2.0 * steer - 1.0, 0.0, brake.max((hard - 0.5).ceil())]
                    };
                    *random_controls = (kind > 0.5).then_some(controls);
                }
                *steps_left -= 1;
                // The script is always asked, because it tracks the position on the road.
                script.act(env, action)?;
                if let Some(controls) = random_controls {
                    action.copy_from_slice(controls);
                }
            }
            Self::Outward { script, step } => {
                *step += 1;
                script.act(env, action)?;
                if *step > 100 {
                    let hull = env.state().ok_or(ParityError::NotStarted)?.hull;
                    let [x, y] = hull.position;
                    let (sin, cos) = libm::sincosf(hull.angle);
                    // Away from the middle of the field, in the car's axes: it looks along +y.
                    let (right, ahead) = (x * cos + y * sin, y * cos - x * sin);
                    // Without gas at first, or the car spins on the grass and stays there.
                    let gas = if *step < 160 { 0.0 } else { 0.25 };
                    action.copy_from_slice(&[
                        (0.5 * libm::atan2f(right, ahead)).clamp(-0.3, 0.3),
                        gas,
                        0.0,
                    ]);
                }
            }
        }
        Ok(())
    }
}
