//! An environment whose steps are traced, with its car's state where it has one.

use std::sync::{Arc, Mutex, PoisonError};

use frmdn_env::{Env, EnvError, EnvSpec, ObservationMut, Picture, Step};
use serde_json::{Value, json};

use super::{ParityError, State, state_of, state_of_gym};
use crate::worlds::{self, Bridge, Frames, Maker, World, WorldError, car_racing, gym::Gym};

/// A world of whole frames in which the car's state can be seen, where there is a car.
pub struct Traced {
    /// The world. Its environments share what [`Traced::state`] shows, so it is for one at a time.
    pub world: World,
    state: Shown,
}

/// The car's state after the last reset or step.
type Shown = Arc<Mutex<Value>>;

impl Traced {
    /// The environment `name`.
    ///
    /// # Errors
    /// If there is none of that name, or its server fails.
    pub fn open(name: &str, bridge: &Bridge) -> Result<Self, ParityError> {
        let state = Shown::default();
        let source = Source::open(name, bridge)?;
        let shown = Arc::clone(&state);
        let world = World::of(name, Arc::new(TracedMaker { source, shown }));
        Ok(Self { world, state })
    }

    /// The car's state after the last reset or step, or null.
    pub fn state(&self) -> Value {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }
}

/// Where environments come from.
enum Source {
    /// The native Car-Racing.
    Native(car_racing::Native),
    /// Gymnasium.
    Gym(Gym),
    /// Another one, or one in wrappers: there is no car to be seen.
    Other(World),
}

impl Source {
    fn open(name: &str, bridge: &Bridge) -> Result<Self, WorldError> {
        let other = || World::open_with(name, bridge, Frames::Whole).map(Self::Other);
        if worlds::has_wrappers(name)? {
            return other();
        }
        match car_racing::Native::open(name, Frames::Whole) {
            Ok(native) => return Ok(Self::Native(native)),
            Err(WorldError::UnknownName(_)) => {}
            Err(e) => return Err(e),
        }
        match Gym::open(name, bridge, Frames::Whole, true) {
            Ok(gym) => Ok(Self::Gym(gym)),
            Err(WorldError::UnknownName(_)) => other(),
            Err(e) => Err(e),
        }
    }
}

struct TracedMaker {
    source: Source,
    shown: Shown,
}

impl Maker for TracedMaker {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        match &self.source {
            Source::Native(native) => native.spec(),
            Source::Gym(gym) => gym.spec(),
            Source::Other(world) => world.spec(),
        }
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        let shown = Arc::clone(&self.shown);
        Ok(match &self.source {
            Source::Native(native) => Box::new(TracedEnv {
                env: native.env(),
                read: |env| state_of(env).ok(),
                shown,
            }),
            Source::Gym(gym) => Box::new(TracedEnv {
                env: gym.env()?,
                read: |env| state_of_gym(env).ok(),
                shown,
            }),
            Source::Other(world) => world.make()?,
        })
    }
}

/// An environment whose car's state is shown after every reset and step.
struct TracedEnv<E> {
    env: E,
    read: fn(&E) -> Option<State>,
    shown: Shown,
}

impl<E> TracedEnv<E> {
    fn show(&self) {
        let body = |s: &State, k: usize| s.car[k * 6..k * 6 + 6].to_vec();
        let state = (self.read)(&self.env).map_or(Value::Null, |s| {
            json!({
                "hull": body(&s, 4),
                "wheels": [body(&s, 0), body(&s, 1), body(&s, 2), body(&s, 3)],
                "rolling": s.car[30..34],
                "phase": s.car[34..38],
                "on_road": s.on_road,
            })
        });
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl<E: Env> Env for TracedEnv<E> {
    fn spec(&self) -> &EnvSpec {
        self.env.spec()
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        self.env.reset(seed, observation)?;
        self.show();
        Ok(())
    }

    fn begin(&mut self, action: &[f32]) -> Result<(), EnvError> {
        self.env.begin(action)
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let step = self.env.step(action, observation)?;
        self.show();
        Ok(step)
    }

    fn picture(&mut self) -> Option<Picture> {
        self.env.picture()
    }
}
