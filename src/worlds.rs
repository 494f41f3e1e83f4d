//! The one place where a name becomes an environment.

use frmdn_car_racing::{CarRacing, CarRacingConfig};
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
