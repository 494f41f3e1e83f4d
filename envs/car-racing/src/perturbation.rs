//! Changes of the environment for tests of robustness.
//!
//! Colours, bars and blob are of the kinds that Tang, Nguyen and Ha use (“Neuroevolution of
//! Self-Interpretable Agents”, 2020); their sizes here are our own.

use serde::{Deserialize, Serialize};

use crate::raster::{BAR, WINDOW};
use crate::rng::Rng;
use crate::scene::Colors;
use crate::sincos::sin_cos;
use crate::track::Point;

/// Largest change of a colour, as a share of the range.
const SHIFT: f64 = 0.2;
/// Width of a side bar, as a share of the picture's width.
const BAR_WIDTH: f64 = 1.0 / 8.0;
/// Middle of the blob, in pixels of the reference's surface, y upwards; the car stands at (500,
/// 200), a straight road reaches from 392 to 608.
const BLOB: Point = (250.0, 400.0);
/// Radius of the blob, in the same pixels.
const BLOB_RADIUS: f64 = 80.0;
/// Standard deviation of the noise, in values of a byte: a tenth of the range.
const NOISE: f32 = 25.5;
/// Largest gas.
const MAX_GAS: f64 = 0.5;
/// Factor of the road's friction.
const FRICTION: f64 = 0.8;
/// Factor of the friction limit of a blown tyre, on whatever it stands.
const BLOWN: f64 = 0.3;
/// The tyre that is blown: the front left one.
const BLOWN_TYRE: usize = 0;
/// The children of the seed that draw colours and noise.
const COLOR_STREAM: u32 = 1;
const NOISE_STREAM: u32 = 2;

/// One change of the picture or of the car's physics. The track of a seed stays the same, and so
/// does the car's motion if only the picture changes. It lasts for the whole episode, or begins in
/// one of its steps ([`CarRacingConfig`](crate::CarRacingConfig::perturbation_from)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Perturbation {
    /// Each channel of the road's colour and of the grass's (in both shades alike) is shifted by a
    /// uniform number within ± 0.2 of the range, drawn once per episode.
    Colour,
    /// Black bars cover an eighth of the picture on either side.
    Bars,
    /// A red disc on the ground ahead of the car to its left. It moves with the car and is covered
    /// by the road.
    Blob,
    /// Normal noise with a standard deviation of 0.1 of the range on every value of an observation,
    /// but not of a [`picture`](frmdn_env::Env::picture).
    Noise,
    /// Gas has no effect above 0.5.
    Throttle,
    /// The road has 0.8 of its friction; that of grass is unchanged.
    Friction,
    /// The front left tyre is blown: it has 0.3 of its friction limit, on road and grass.
    Tyre,
}

impl Perturbation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Colour,
        Self::Bars,
        Self::Blob,
        Self::Noise,
        Self::Throttle,
        Self::Friction,
        Self::Tyre,
    ];

    /// Its name in options of environments.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Colour => "colour",
            Self::Bars => "bars",
            Self::Blob => "blob",
            Self::Noise => "noise",
            Self::Throttle => "throttle",
            Self::Friction => "friction",
            Self::Tyre => "tyre",
        }
    }

    /// Its effect in words, for the rule beside a score.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Colour => "colours of road and grass moved by up to ± 0.2 of the range a channel",
            Self::Bars => "black bars over an eighth of the picture at either side",
            Self::Blob => "a red disc on the ground that moves with the car",
            Self::Noise => "pixel noise with a standard deviation of 0.1 of the range",
            Self::Throttle => "gas at most 0.5",
            Self::Friction => "road friction × 0.8",
            Self::Tyre => "grip of the front left tyre × 0.3",
        }
    }

    /// Whether only pictures change. Then an agent that observes the car's own numbers
    /// ([`Observation::State`](crate::Observation::State)) notices nothing.
    pub const fn is_only_seen(self) -> bool {
        !matches!(self, Self::Throttle | Self::Friction | Self::Tyre)
    }

    /// Largest gas that has an effect, 0 to 1.
    pub(crate) fn max_gas(self) -> f64 {
        if self == Self::Throttle { MAX_GAS } else { 1.0 }
    }

    /// Factor of the road's friction.
    pub(crate) fn road_friction(self) -> f64 {
        if self == Self::Friction {
            FRICTION
        } else {
            1.0
        }
    }

    /// Factors of the tyres' friction limits: front left, front right, rear left, rear right.
    pub(crate) fn grip(self) -> [f64; 4] {
        let mut grip = [1.0; 4];
        if self == Self::Tyre {
            grip[BLOWN_TYRE] = BLOWN;
        }
        grip
    }

    /// The colours of the episode of `seed`.
    pub(crate) fn colors(self, plain: Colors, seed: u64) -> Colors {
        if self != Self::Colour {
            return plain;
        }
        let mut rng = Rng::child(seed, COLOR_STREAM);
        let mut shift = || std::array::from_fn(|_| 255.0 * rng.uniform(-SHIFT, SHIFT));
        let (road, grass): ([f64; 3], [f64; 3]) = (shift(), shift());
        let moved = |color: [f64; 3], by: [f64; 3]| {
            std::array::from_fn(|i| (color[i] + by[i]).clamp(0.0, 255.0))
        };
        Colors {
            road: moved(plain.road, road),
            field: moved(plain.field, grass),
            grass: moved(plain.grass, grass),
        }
    }

    /// Convex polygons on the ground below the road, in pixels of the reference's surface. Together
    /// they are the disc.
    pub(crate) fn ground(self) -> impl Iterator<Item = [Point; 8]> {
        // 32 corners as four octagons, each rotated against the last: the outline is within a
        // hundredth of the radius of a disc.
        let octagon = |turn: usize| {
            std::array::from_fn(|i| {
                let angle = std::f64::consts::PI / 4.0 * (i as f64 + turn as f64 / 4.0);
                (
                    BLOB.0 + BLOB_RADIUS * libm::cos(angle),
                    BLOB.1 + BLOB_RADIUS * libm::sin(angle),
                )
            })
        };
        (0..if self == Self::Blob { 4 } else { 0 }).map(octagon)
    }

    /// Convex polygons in front of everything else, in pixels of the reference's surface.
    pub(crate) fn front(self) -> impl Iterator<Item = [Point; 4]> {
        let width = BAR_WIDTH * WINDOW.0;
        let bar = |left: f64, right: f64| {
            [
                (left, BAR),
                (right, BAR),
                (right, WINDOW.1),
                (left, WINDOW.1),
            ]
        };
        // Polygons grow by half a pixel on each side.
        let bars = [bar(0.0, width - 1.0), bar(WINDOW.0 - width, WINDOW.0)];
        bars.into_iter()
            .take(if self == Self::Bars { 2 } else { 0 })
    }

    /// The noise of the episode of `seed`, if any, from the first altered observation on.
    pub(crate) fn noise(self, seed: u64) -> Option<Noise> {
        (self == Self::Noise).then(|| Noise(Rng::child(seed, NOISE_STREAM)))
    }
}

/// Normal noise on bytes, new for every frame.
#[derive(Clone, Debug)]
pub(crate) struct Noise(Rng);

impl Noise {
    /// Adds noise to every value, rounded and clamped to a byte. Two values at a time, by the
    /// Box-Muller transform.
    pub fn add(&mut self, values: &mut [u8]) {
        // 24 random bits, never 0.
        let unit = |bits: u64| ((bits & 0xff_ffff) as f32 + 0.5) / 16_777_216.0;
        for pair in values.chunks_mut(2) {
            let bits = self.0.next_u64();
            let radius = NOISE * (-2.0 * libm::logf(unit(bits))).sqrt();
            let (sin, cos) = sin_cos(std::f32::consts::TAU * unit(bits >> 32));
            for (value, part) in pair.iter_mut().zip([sin, cos]) {
                // The cast clamps to a byte.
                *value = (f32::from(*value) + radius * part).round() as u8;
            }
        }
    }
}
