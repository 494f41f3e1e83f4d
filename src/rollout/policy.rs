//! Policies that need no training.

use super::OpenLoop;
use crate::run::DriverName;

/// A policy that needs no training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// Ignores the observation.
    OpenLoop(OpenLoop),
    /// The environment's own driver, which knows more than an agent sees
    /// ([`crate::worlds::Maker::expert`]).
    Scripted {
        /// Standard deviation of the noise on its controls; 0 drives as well as it can.
        noise: f32,
    },
    /// Plans on snapshots of the environment.
    Planner {
        /// Probability that a step begins a disturbance.
        noise: f32,
    },
}

impl Policy {
    /// The policy called `name`, with `noise` if it is one that has some; `None` for agents and
    /// recorded actions.
    pub fn named(name: &DriverName, noise: f32) -> Option<Self> {
        match name {
            DriverName::Random => Some(Self::OpenLoop(OpenLoop::Random)),
            DriverName::Brownian => Some(Self::OpenLoop(OpenLoop::Brownian)),
            DriverName::Bursts => Some(Self::OpenLoop(OpenLoop::Bursts)),
            DriverName::Noop => Some(Self::OpenLoop(OpenLoop::Noop)),
            DriverName::Scripted => Some(Self::Scripted { noise }),
            DriverName::Planner => Some(Self::Planner { noise }),
            DriverName::First | DriverName::Agent(_) | DriverName::Recorded(_) => None,
        }
    }
}
