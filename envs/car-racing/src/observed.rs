//! What is observed instead of a picture: the car's own numbers and the road ahead
//! ([`Observation::State`](crate::Observation::State)).
//!
//! Nothing tells where in the world the car is or where it points: the values stay the same if car
//! and track are moved and turned together. Of the 38 numbers that parity compares (position,
//! angle, velocity and spin of hull and wheels, rolling speeds and rolled angles)
//!
//! - the hull's position and angle become its place on the road: offset and heading;
//! - its velocity becomes one forwards and one sideways;
//! - the wheels' numbers become those relative to the hull;
//! - the wheels' rolled angles are left out, because only the picture of the wheels depends on them;
//!   in their place stands how fast each tyre slips.
//!
//! The gas of the rear wheels, which rises gradually, and whether each wheel is on the road are
//! added: the next step depends on them. Brake and steering do not last beyond the step that sets
//! them. Not observed are the friction of the road ([`CarRacingConfig::friction`]), which tiles were
//! visited, and the joints' last impulses, a start for the solver's next ones.
//!
//! Sides: lengths and speeds are positive to the right, as the steering; angles, turns and bends are
//! positive to the left, counter-clockwise. Each value is a quantity divided by the [`Value::size`]
//! that [`VALUES`] states with its name and unit, so that the values are of about unit size.
//!
//! [`CarRacingConfig::friction`]: crate::CarRacingConfig::friction

use crate::car::{SIZE, WHEEL_R, WHEELS};
use crate::state::CarState;
use crate::track::{TRACK_WIDTH, Track};

/// Number of values.
pub const COUNT: usize = ROAD + 3 + STRETCHES;

/// Index of the hull's speed forwards, units/s.
pub const FORWARD: usize = 0;
/// Index of the hull's speed to its right, units/s.
pub const SIDEWAYS: usize = 1;
/// Index of the hull's angular velocity, rad/s.
pub const TURNING: usize = 2;
/// Index of the gas of the rear wheels, 0 to 1.
pub const GAS: usize = 3;

/// Index of the first value of the first wheel. Wheel `i` (front left, front right, rear left, rear
/// right) has the [`PER_WHEEL`] values from `WHEEL + i · PER_WHEEL` on.
pub const WHEEL: usize = 4;
/// Values of a wheel; the following indices count from its first one.
pub const PER_WHEEL: usize = 9;
/// The wheel's position in the hull's frame, to the right, units. The joint holds it at ± 1.1.
pub const RIGHT_OF_HULL: usize = 0;
/// The wheel's position in the hull's frame, forwards, units. The joint holds it at 1.6 (front) or
/// −1.64 (rear).
pub const AHEAD_OF_HULL: usize = 1;
/// The wheel's velocity beyond the hull's, along the hull's right, units/s.
pub const RIGHTWARD: usize = 2;
/// The wheel's velocity beyond the hull's, along the hull's direction, units/s.
pub const ONWARD: usize = 3;
/// The wheel's angle relative to the hull, radians; front wheels are steered within ± 0.4.
pub const ANGLE: usize = 4;
/// The wheel's angular velocity beyond the hull's, rad/s.
pub const STEERING: usize = 5;
/// The wheel's rolling speed, rad/s.
pub const ROLLING: usize = 6;
/// Speed of the tyre at its rim beyond that of the ground below it, along the wheel, units/s:
/// positive if the wheel spins, negative if it is braked.
pub const SLIP: usize = 7;
/// Whether the wheel stands on at least one tile (1) or on grass (0), as the tyres of the next step
/// take it: at the place where the wheel was before the last step moved it.
pub const ON_ROAD: usize = 8;

/// Index of the first value of the road.
pub const ROAD: usize = WHEEL + 4 * PER_WHEEL;
/// Index of the hull's distance to the right of the centre line, in half widths of the road: the
/// road ends at ± 1, to 2 %. It has no limit: on the grass it can be 20 and more.
pub const OFFSET: usize = ROAD;
/// Index of the sine of the angle between hull and centre line, positive if the car points to the
/// left of it.
pub const HEADING_SIN: usize = ROAD + 1;
/// Index of the cosine of that angle, negative if the car points backwards.
pub const HEADING_COS: usize = ROAD + 2;
/// Index of the curvature in the first of the stretches ahead, the mean over it in rad/unit. Stretch
/// `k` is the centre line from `5 k` to `5 (k + 1)` units ahead of the car's place on it.
pub const BENDS: usize = ROAD + 3;
/// Number of the stretches. Together they reach 40 units ahead, as far as a picture does (37).
pub const STRETCHES: usize = 8;
/// Length of a stretch, world units.
pub const STRETCH: f64 = 5.0;

/// What an observed value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// Its name.
    pub name: &'static str,
    /// Unit of the quantity; empty for shares, sines, and yes (1) or no (0).
    pub unit: &'static str,
    /// The quantity in that unit is the observed value times this.
    pub size: f64,
    /// Whether it varies at all. The joints hold the wheels so well that, after the first three
    /// steps, their places never leave the anchors by more than 5e-4 units, and the rear wheels'
    /// angles stay within 1e-3 rad. A network may take such a value as it is, but a density of it
    /// has no width.
    pub varies: bool,
}

const fn value(name: &'static str, unit: &'static str, size: f64) -> Value {
    Value {
        name,
        unit,
        size,
        varies: true,
    }
}

/// A value that the joints hold.
const fn held(name: &'static str, unit: &'static str, size: f64) -> Value {
    Value {
        varies: false,
        ..value(name, unit, size)
    }
}

/// The values of a wheel; `$held` is how one is made that the joints of rear wheels hold.
macro_rules! wheel {
    ($wheel:literal, $held:ident) => {
        [
            held(concat!($wheel, ": right of hull"), "units", 1.0),
            held(concat!($wheel, ": ahead of hull"), "units", 1.0),
            value(concat!($wheel, ": rightward"), "units/s", 4.0),
            value(concat!($wheel, ": onward"), "units/s", 4.0),
            $held(concat!($wheel, ": angle"), "rad", 0.2),
            $held(concat!($wheel, ": steering"), "rad/s", 2.0),
            value(concat!($wheel, ": rolling"), "rad/s", 100.0),
            value(concat!($wheel, ": slip"), "units/s", 10.0),
            value(concat!($wheel, ": on road"), "", 1.0),
        ]
    };
}

const HULL_VALUES: [Value; WHEEL] = [
    value("forward speed", "units/s", 50.0),
    value("sideways speed", "units/s", 5.0),
    value("turning", "rad/s", 2.0),
    value("gas", "", 1.0),
];

const WHEEL_VALUES: [[Value; PER_WHEEL]; 4] = [
    wheel!("front left", value),
    wheel!("front right", value),
    wheel!("rear left", held),
    wheel!("rear right", held),
];

/// Curvature of the road, rad/unit: the hardest bends of the game have 0.089.
const BEND: f64 = 0.05;

const ROAD_VALUES: [Value; COUNT - ROAD] = [
    value("offset", "half road widths", 1.0),
    value("heading: sine", "", 1.0),
    value("heading: cosine", "", 1.0),
    value("bend 0..5 units ahead", "rad/unit", BEND),
    value("bend 5..10 units ahead", "rad/unit", BEND),
    value("bend 10..15 units ahead", "rad/unit", BEND),
    value("bend 15..20 units ahead", "rad/unit", BEND),
    value("bend 20..25 units ahead", "rad/unit", BEND),
    value("bend 25..30 units ahead", "rad/unit", BEND),
    value("bend 30..35 units ahead", "rad/unit", BEND),
    value("bend 35..40 units ahead", "rad/unit", BEND),
];

/// Name, unit and size of every value, in their order.
pub const VALUES: [Value; COUNT] = {
    let mut all = [HULL_VALUES[0]; COUNT];
    let mut i = 0;
    while i < COUNT {
        all[i] = if i < WHEEL {
            HULL_VALUES[i]
        } else if i < ROAD {
            WHEEL_VALUES[(i - WHEEL) / PER_WHEEL][(i - WHEEL) % PER_WHEEL]
        } else {
            ROAD_VALUES[i - ROAD]
        };
        i += 1;
    }
    all
};

/// Where the joints hold the wheels in the hull's frame, right and ahead in world units: front left,
/// front right, rear left, rear right.
pub const ANCHORS: [[f64; 2]; 4] = {
    let mut anchors = [[0.0; 2]; 4];
    let mut i = 0;
    while i < 4 {
        anchors[i] = [WHEELS[i].0 * SIZE, WHEELS[i].1 * SIZE];
        i += 1;
    }
    anchors
};

/// The observed values of `car` on `track`, if `nearest` is the point of the track nearest to its
/// hull ([`Track::follow`]).
pub fn values(car: &CarState, track: &Track, nearest: usize) -> [f32; COUNT] {
    let mut values = [0.0; COUNT];
    let quantities = quantities(car, track, nearest);
    for i in 0..COUNT {
        values[i] = (quantities[i] / VALUES[i].size) as f32;
    }
    values
}

/// The values in their units.
fn quantities(car: &CarState, track: &Track, nearest: usize) -> [f64; COUNT] {
    let hull = &car.hull;
    let (sin, cos) = libm::sincos(f64::from(hull.angle));
    let [x, y] = hull.position.map(f64::from);
    let [vx, vy] = hull.velocity.map(f64::from);
    // A vector of the world along the hull's right and its direction.
    let in_hull = |x: f64, y: f64| [x * cos + y * sin, y * cos - x * sin];

    let mut out = [0.0; COUNT];
    [out[SIDEWAYS], out[FORWARD]] = in_hull(vx, vy);
    out[TURNING] = f64::from(hull.angular_velocity);
    // Both rear wheels have the same.
    out[GAS] = car.wheels[2].gas;

    for (i, wheel) in car.wheels.iter().enumerate() {
        let out = &mut out[WHEEL + i * PER_WHEEL..][..PER_WHEEL];
        let body = &wheel.body;
        let [wheel_x, wheel_y] = body.position.map(f64::from);
        let [wheel_vx, wheel_vy] = body.velocity.map(f64::from);
        [out[RIGHT_OF_HULL], out[AHEAD_OF_HULL]] = in_hull(wheel_x - x, wheel_y - y);
        [out[RIGHTWARD], out[ONWARD]] = in_hull(wheel_vx - vx, wheel_vy - vy);
        out[ANGLE] = f64::from(body.angle) - f64::from(hull.angle);
        out[STEERING] = f64::from(body.angular_velocity) - f64::from(hull.angular_velocity);
        out[ROLLING] = wheel.omega;
        let [forward, _] = body.forward_and_sideways();
        out[SLIP] = wheel.omega * (WHEEL_R * SIZE) - forward;
        out[ON_ROAD] = f64::from(u8::from(wheel.on_road));
    }

    let place = track.place((x, y), nearest);
    out[OFFSET] = place.offset / TRACK_WIDTH;
    let (sin, cos) = libm::sincos(f64::from(hull.angle) - place.beta);
    (out[HEADING_SIN], out[HEADING_COS]) = (sin, cos);
    let bends: [f64; STRETCHES] = track.curvatures(&place, STRETCH);
    out[BENDS..].copy_from_slice(&bends);
    out
}
