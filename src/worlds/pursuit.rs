//! Car-Racing's driver that reads the track and the car's state.

use frmdn_car_racing::{
    CarRacing,
    pursuit::{PurePursuit, PursuitConfig},
};
use frmdn_engine::random::{Pcg64, fill_normal, stream};
use frmdn_env::Env;

use super::{Expert, WorldError};

/// An environment with the scripted driver. Its steering and throttle carry correlated noise, so
/// that its data show more than the middle of the road.
pub(super) struct Scripted {
    env: CarRacing,
    script: Script,
}

/// The scripted driver without an environment: pure pursuit with correlated noise.
pub struct Script {
    driver: PurePursuit,
    /// Present noise of steering and throttle.
    deviation: [f32; 2],
    noise: f32,
    rng: Pcg64,
}

impl Script {
    /// Decay of the noise in one step; its correlation lasts about half a second.
    const DECAY: f32 = 0.96;

    /// The driver of the episode of `seed`, with this noise on its controls.
    pub fn new(noise: f32, root: u64, seed: u64) -> Self {
        let rng = stream(root, "worlds/scripted", &[seed]);
        Self {
            driver: PurePursuit::new(PursuitConfig::default()),
            deviation: [0.0; 2],
            noise,
            rng,
        }
    }

    /// Writes the next action for the present state of `env`.
    ///
    /// # Errors
    /// Before the first reset.
    pub fn act(&mut self, env: &CarRacing, action: &mut [f32]) -> Result<(), WorldError> {
        let (Some(state), Some(track)) = (env.state(), env.track()) else {
            return Err(WorldError::NotStarted);
        };
        let [steer, gas, brake] = self.driver.act(&state, track);
        let mut fresh = [0.0; 2];
        fill_normal(&mut self.rng, &mut fresh);
        let scale = self.noise * (1.0 - Self::DECAY * Self::DECAY).sqrt();
        for (w, f) in self.deviation.iter_mut().zip(fresh) {
            *w = Self::DECAY * *w + scale * f;
        }
        action[0] = (steer + self.deviation[0]).clamp(-1.0, 1.0);
        action[1] = (gas + self.deviation[1]).clamp(0.0, 1.0);
        action[2] = brake.clamp(0.0, 1.0);
        Ok(())
    }
}

impl Scripted {
    /// The scripted driver in `env`, which has continuous actions, for the episode of `seed`.
    /// `noise` is the standard deviation of the noise on steering and throttle; 0 drives as well as
    /// it can.
    pub(super) fn new(env: CarRacing, noise: f32, root: u64, seed: u64) -> Self {
        Self {
            env,
            script: Script::new(noise, root, seed),
        }
    }
}

impl Expert for Scripted {
    fn env(&mut self) -> &mut dyn Env {
        &mut self.env
    }

    fn act(&mut self, action: &mut [f32]) -> Result<(), WorldError> {
        self.script.act(&self.env, action)
    }
}
