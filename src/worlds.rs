//! The one place where a name becomes an environment.

use frmdn_car_racing::{
    CarRacing, CarRacingConfig,
    pursuit::{PurePursuit, PursuitConfig},
};
use frmdn_engine::random::{Pcg64, fill_normal, stream};
use frmdn_env::Env;

/// The environments there are, in words for messages.
const NAMES: &str = "car-racing";

/// How an environment is made, beside its name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorldOptions {
    /// The car starts at a random tile.
    pub random_start: bool,
}

/// Refuses a name that is not an environment.
pub fn check(name: &str) -> Result<(), String> {
    if name == "car-racing" { Ok(()) } else { Err(format!("there is no such environment; allowed: {NAMES}")) }
}

/// The environment `name` at the agent's observation.
pub fn make(name: &str, options: WorldOptions) -> Result<Box<dyn Env>, String> {
    check(name)?;
    let config = CarRacingConfig { random_start: options.random_start, ..CarRacingConfig::default() };
    Ok(Box::new(CarRacing::new(config)))
}

/// The rule under which scores of `name` are counted; every score names it.
pub fn rule(name: &str) -> Result<&'static str, String> {
    check(name)?;
    Ok("CarRacing-v3 as in Gymnasium 1.4.0: 1000 / tiles per tile, -0.1 per step, 1000 steps at most, -100 for leaving the field")
}

/// An environment with a driver that knows what is hidden from the agent. Its steering and throttle wander about what it
/// means to do, so that its data show more than the middle of the road.
pub struct Scripted {
    env: CarRacing,
    driver: PurePursuit,
    wander: [f32; 2],
    noise: f32,
    rng: Pcg64,
}

impl Scripted {
    /// Decay of the wandering in one step: it lasts about half a second.
    const DECAY: f32 = 0.96;

    /// The scripted driver of environment `name`, for the episode of `seed`; `noise` is the standard deviation that its
    /// steering and throttle wander with (0: it drives as well as it can).
    pub fn new(name: &str, options: WorldOptions, noise: f32, root: u64, seed: u64) -> Result<Self, String> {
        check(name)?;
        let config = CarRacingConfig { random_start: options.random_start, ..CarRacingConfig::default() };
        let driver = PurePursuit::new(PursuitConfig::default());
        Ok(Self { env: CarRacing::new(config), driver, wander: [0.0; 2], noise, rng: stream(root, "worlds/scripted", &[seed]) })
    }

    /// The environment.
    pub fn env(&mut self) -> &mut dyn Env {
        &mut self.env
    }

    /// The driver's next action, after a reset.
    pub fn act(&mut self, action: &mut [f32]) -> Result<(), String> {
        let (Some(state), Some(track)) = (self.env.state(), self.env.track()) else { return Err("the episode was never started".into()) };
        let [steer, gas, brake] = self.driver.act(&state, track);
        let mut fresh = [0.0; 2];
        fill_normal(&mut self.rng, &mut fresh);
        let scale = self.noise * (1.0 - Self::DECAY * Self::DECAY).sqrt();
        for (w, f) in self.wander.iter_mut().zip(fresh) {
            *w = Self::DECAY * *w + scale * f;
        }
        action[0] = (steer + self.wander[0]).clamp(-1.0, 1.0);
        action[1] = (gas + self.wander[1]).clamp(0.0, 1.0);
        action[2] = brake.clamp(0.0, 1.0);
        Ok(())
    }
}
