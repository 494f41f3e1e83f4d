//! Who drives in a comparison: between them they show every part of the environment.

use frmdn_car_racing::CarRacing;
use frmdn_engine::random::{Pcg64, fill_uniform, stream};
use serde::Serialize;

use crate::{
    controller::Actions,
    rollout::{Blind, BlindDriver},
    worlds::Script,
};

/// A driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    /// Uniform actions, new at each step.
    Random,
    /// Actions that wander.
    Brownian,
    /// As well as it can be done: it finishes laps.
    Scripted,
    /// The scripted driver, interrupted by random controls held for a while: skids, spins, hard
    /// brakes, long stands.
    Varied,
    /// The scripted driver, who after a while leaves the road for the end of the field.
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

    /// Whether it needs steering, gas and brake of any strength.
    pub fn is_continuous(self) -> bool {
        matches!(self, Self::Scripted | Self::Varied | Self::Outward)
    }

    /// The name in tables.
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
            Self::Random => Driver::Blind(Blind::Random.driver(actions, 0, seed)),
            Self::Brownian => Driver::Blind(Blind::Brownian.driver(actions, 0, seed)),
            Self::Scripted => Driver::Scripted(script()),
            Self::Varied => Driver::Varied {
                script: script(),
                rng: stream(seed, "parity/varied", &[]),
                left: 0,
                held: None,
            },
            Self::Outward => Driver::Outward {
                script: script(),
                step: 0,
            },
        }
    }
}

/// A driver at work.
pub(super) enum Driver {
    Blind(BlindDriver),
    Scripted(Script),
    Varied {
        script: Script,
        rng: Pcg64,
        left: u32,
        held: Option<[f32; 3]>,
    },
    Outward {
        script: Script,
        step: u32,
    },
}

impl Driver {
    /// The next action for what `env` is in.
    pub fn act(&mut self, env: &CarRacing, action: &mut [f32]) -> Result<(), String> {
        match self {
            Self::Blind(driver) => driver.act(action),
            Self::Scripted(script) => script.act(env, action)?,
            Self::Varied {
                script,
                rng,
                left,
                held,
            } => {
                if *left == 0 {
                    let mut drawn = [0.0f32; 6];
                    fill_uniform(rng, 1.0, &mut drawn);
                    let [span, kind, steer, gas, brake, hard] =
                        drawn.map(|x| f32::midpoint(x, 1.0));
                    *left = 3 + (span * 40.0) as u32;
                    // Half of the time the script; else gas or brake, now and then the wheels
                    // stopped.
                    let controls = if kind > 0.75 {
                        [2.0 * steer - 1.0, gas, 0.0]
                    } else {
                        [2.0 * steer - 1.0, 0.0, brake.max((hard - 0.5).ceil())]
                    };
                    *held = (kind > 0.5).then_some(controls);
                }
                *left -= 1;
                // The script is asked all the same: it has to know where it is.
                script.act(env, action)?;
                if let Some(controls) = held {
                    action.copy_from_slice(controls);
                }
            }
            Self::Outward { script, step } => {
                *step += 1;
                script.act(env, action)?;
                if *step > 100 {
                    let hull = env.state().ok_or("the episode was never started")?.hull;
                    let [x, y] = hull.position;
                    let (sin, cos) = hull.angle.sin_cos();
                    // Away from the middle of the field, as the car sees it: it looks along +y of
                    // its own axes.
                    let (right, ahead) = (x * cos + y * sin, y * cos - x * sin);
                    // Slowly at first: a car that spins on the grass goes nowhere.
                    let gas = if *step < 160 { 0.0 } else { 0.25 };
                    action.copy_from_slice(&[
                        (0.5 * right.atan2(ahead)).clamp(-0.3, 0.3),
                        gas,
                        0.0,
                    ]);
                }
            }
        }
        Ok(())
    }
}
