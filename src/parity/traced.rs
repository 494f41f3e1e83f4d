//! One environment whose steps are traced, with its car's state where it has one.

use frmdn_env::Env;
use serde_json::{Value, json};

use super::{ParityError, state_of, state_of_gym};
use crate::worlds::{self, Bridge, Frames, World, WorldError, car_racing, gym::Gym};

/// An environment, and the car's state where it has a car.
pub enum Traced {
    /// The native Car-Racing.
    Native(Box<frmdn_car_racing::CarRacing>),
    /// One of Gymnasium.
    Gym(frmdn_gym_bridge::GymEnv),
    /// Another one, or one in wrappers.
    Other(Box<dyn Env>),
}

impl Traced {
    /// The environment `name` with whole frames.
    ///
    /// # Errors
    /// If there is none of that name, or its server fails.
    pub fn open(name: &str, bridge: &Bridge) -> Result<Self, ParityError> {
        let other = || -> Result<Self, ParityError> {
            let world = World::open_with(name, bridge, Frames::Whole)?;
            Ok(Self::Other(world.make()?))
        };
        if worlds::has_wrappers(name)? {
            return other();
        }
        match car_racing::Native::open(name, Frames::Whole) {
            Ok(native) => return Ok(Self::Native(Box::new(native.env()))),
            Err(WorldError::UnknownName(_)) => {}
            Err(e) => return Err(e.into()),
        }
        match Gym::open(name, bridge, Frames::Whole, true) {
            Ok(gym) => Ok(Self::Gym(gym.env()?)),
            Err(WorldError::UnknownName(_)) => other(),
            Err(e) => Err(e.into()),
        }
    }

    /// The environment.
    pub fn env(&mut self) -> &mut dyn Env {
        match self {
            Self::Native(env) => env.as_mut(),
            Self::Gym(env) => env,
            Self::Other(env) => env.as_mut(),
        }
    }

    /// The car's state, or null.
    pub fn state(&self) -> Value {
        let state = match self {
            Self::Native(env) => state_of(env).ok(),
            Self::Gym(env) => state_of_gym(env).ok(),
            Self::Other(_) => None,
        };
        state.map_or(Value::Null, |s| {
            let body = |k: usize| s.car[k * 6..k * 6 + 6].to_vec();
            json!({ "hull": body(4), "wheels": [body(0), body(1), body(2), body(3)],
                "rolling": s.car[30..34], "phase": s.car[34..38], "on_road": s.on_road })
        })
    }
}
