//! A friction of the road that is drawn anew for every episode.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// The child of the seed that draws the friction.
const FRICTION_STREAM: u32 = 3;
/// Largest factor.
const MOST: f64 = 10.0;

/// The range from which each episode draws a factor of the road's friction, uniformly. Within an
/// episode the factor is constant, and no observation shows it: an agent can only feel it.
///
/// As a text, in options and in the rule beside a score, it is `LOW..HIGH`, as `0.6..1.4`: two
/// numbers above 0 and at most 10, the first one not above the second. In a configuration file it is
/// `[LOW, HIGH]`.
///
/// ```
/// use frmdn_car_racing::FrictionRange;
///
/// let range: FrictionRange = "0.6..1.4".parse()?;
/// assert_eq!((range.low(), range.high(), range.to_string()), (0.6, 1.4, "0.6..1.4".into()));
/// assert!("1.4..0.6".parse::<FrictionRange>().is_err());
/// # Ok::<(), frmdn_car_racing::FrictionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; 2]", into = "[f64; 2]")]
pub struct FrictionRange {
    low: f64,
    high: f64,
}

// Neither limit is ever NaN.
impl Eq for FrictionRange {}

/// A range of friction that there cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no range of friction: LOW..HIGH are two numbers above 0 and at most 10, the first one \
     not above the second, as 0.6..1.4"
)]
pub struct FrictionError(String);

impl FrictionRange {
    /// The range from `low` to `high`.
    ///
    /// # Errors
    /// If the two are not above 0 and at most 10, or `low` is above `high`.
    pub fn new(low: f64, high: f64) -> Result<Self, FrictionError> {
        if low > 0.0 && low <= high && high <= MOST {
            Ok(Self { low, high })
        } else {
            Err(FrictionError(format!("{low}..{high}")))
        }
    }

    /// The smallest factor.
    pub fn low(self) -> f64 {
        self.low
    }

    /// The largest factor.
    pub fn high(self) -> f64 {
        self.high
    }

    /// The factor of the episode of `seed`.
    pub fn draw(self, seed: u64) -> f64 {
        // Rounding may reach just beyond the limit.
        Rng::child(seed, FRICTION_STREAM)
            .uniform(self.low, self.high)
            .min(self.high)
    }
}

impl FromStr for FrictionRange {
    type Err = FrictionError;

    fn from_str(text: &str) -> Result<Self, FrictionError> {
        let error = || FrictionError(text.to_owned());
        let (low, high) = text.split_once("..").ok_or_else(error)?;
        match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) => Self::new(low, high).map_err(|_| error()),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for FrictionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.low, self.high)
    }
}

impl TryFrom<[f64; 2]> for FrictionRange {
    type Error = FrictionError;

    fn try_from([low, high]: [f64; 2]) -> Result<Self, FrictionError> {
        Self::new(low, high)
    }
}

impl From<FrictionRange> for [f64; 2] {
    fn from(range: FrictionRange) -> Self {
        [range.low, range.high]
    }
}
