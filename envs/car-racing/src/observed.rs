//! What is observed instead of a picture: the car's own numbers and the road ahead
//! ([`Observation::State`](crate::Observation::State)).
//!
//! Nothing tells where in the world the car is or where it points: the values stay the same if car
//! and track are moved and turned together. All numbers of hull and wheels are those in the
//! *earlier frame*: that of the hull as it was one step of the environment, 1/50 s, before. Its
//! origin is the hull's position then, its axes point to the hull's right and ahead. Of the 38
//! numbers that parity compares (position, angle, velocity and spin of hull and wheels, rolling
//! speeds and rolled angles)
//!
//! - the hull's position and angle become how far it moved and turned since then, and its place on
//!   the road: offset and heading;
//! - the wheels' positions and angles become those in the earlier frame;
//! - velocities become one to the right and one ahead in it; spins stay as they are;
//! - the wheels' rolled angles are left out, because only the picture of the wheels depends on
//!   them; in their place stands how fast each tyre slips.
//!
//! Why the frame of a step before, not that of the hull as it is: the joints are rigid. Seen from
//! the present hull no wheel ever leaves its place, and the rear wheels neither turn nor spin. That
//! would make twelve of the values constants, and a density of a constant has no width. Seen from a
//! step before, all five bodies move, and that they move as one becomes a relation between values:
//! where each wheel is follows from how far the hull moved and turned, to 5e-4 units. A model that
//! draws the values must keep to it, and [`joint_gaps`] measures how far it does not. Another such
//! relation: in a step the hull moves and turns by nearly 1/50 of its speeds.
//!
//! Right after a reset the earlier frame is that of the hull as it was placed on the track, before
//! the one step of physics that a reset takes. In that step the joints pull the wheels into place,
//! and the hull a little aside.
//!
//! The gas of the rear wheels, which rises gradually, and whether each wheel is on the road are
//! added: the next step depends on them. Brake and steering do not last beyond the step that sets
//! them. Not observed are the friction of the road ([`CarRacingConfig::friction`]), which tiles
//! were visited, and the joints' last impulses, a start for the solver's next ones.
//!
//! Sides: lengths and speeds are positive to the right, as the steering; angles, turns and bends
//! are positive to the left, counter-clockwise. Each value is a quantity divided by the
//! [`Value::size`] that [`VALUES`] states with its name and unit, so that the values are of about
//! unit size.
//!
//! [`CarRacingConfig::friction`]: crate::CarRacingConfig::friction

use crate::car::{SIZE, WHEEL_R, WHEELS};
use crate::state::{CarState, Pose};
use crate::track::{TRACK_WIDTH, Track};

/// Number of values.
pub const COUNT: usize = ROAD + 3 + STRETCHES;

/// Index of how far the hull moved to the right since the step before, in the earlier frame, units.
pub const MOVED_RIGHT: usize = 0;
/// Index of how far the hull moved ahead since the step before, in the earlier frame, units.
pub const MOVED_AHEAD: usize = 1;
/// Index of the angle by which the hull turned since the step before, radians.
pub const TURNED: usize = 2;
/// Index of the hull's velocity to the right, in the earlier frame, units/s.
pub const SIDEWAYS: usize = 3;
/// Index of the hull's velocity ahead, in the earlier frame, units/s.
pub const FORWARD: usize = 4;
/// Index of the hull's angular velocity, rad/s.
pub const TURNING: usize = 5;
/// Index of the gas of the rear wheels, 0 to 1.
pub const GAS: usize = 6;

/// Index of the first value of the first wheel. Wheel `i` (front left, front right, rear left, rear
/// right) has the [`PER_WHEEL`] values from `WHEEL + i · PER_WHEEL` on.
pub const WHEEL: usize = 7;
/// Values of a wheel; the following indices count from its first one.
pub const PER_WHEEL: usize = 9;
/// The wheel's position in the earlier frame, to the right, units. If the hull had not moved, the
/// joint would hold it at ± 1.1.
pub const RIGHT: usize = 0;
/// The wheel's position in the earlier frame, ahead, units. If the hull had not moved, the joint
/// would hold it at 1.6 (front) or −1.64 (rear).
pub const AHEAD: usize = 1;
/// The wheel's angle relative to the hull's a step before, radians: the angle by which the hull
/// turned since then and, for front wheels, the steering within ± 0.4.
pub const ANGLE: usize = 2;
/// The wheel's velocity to the right, in the earlier frame, units/s.
pub const RIGHTWARD: usize = 3;
/// The wheel's velocity ahead, in the earlier frame, units/s.
pub const ONWARD: usize = 4;
/// The wheel's angular velocity as a body seen from above, rad/s. It is the hull's but for front
/// wheels that are being steered.
pub const SPIN: usize = 5;
/// The wheel's rolling speed about its axle, rad/s.
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
/// Index of the curvature in the first of the stretches ahead, the mean over it in rad/unit.
/// Stretch `k` is the centre line from `5 k` to `5 (k + 1)` units ahead of the car's place on it.
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
}

const fn value(name: &'static str, unit: &'static str, size: f64) -> Value {
    Value { name, unit, size }
}

/// The values of a wheel, whose angle has the size `$angle`.
macro_rules! wheel {
    ($wheel:literal, $angle:literal) => {
        [
            value(concat!($wheel, ": right"), "units", 1.0),
            value(concat!($wheel, ": ahead"), "units", 1.0),
            value(concat!($wheel, ": angle"), "rad", $angle),
            value(concat!($wheel, ": rightward"), "units/s", 5.0),
            value(concat!($wheel, ": onward"), "units/s", 50.0),
            value(concat!($wheel, ": spin"), "rad/s", 2.0),
            value(concat!($wheel, ": rolling"), "rad/s", 100.0),
            value(concat!($wheel, ": slip"), "units/s", 10.0),
            value(concat!($wheel, ": on road"), "", 1.0),
        ]
    };
}

/// In a step the hull moves and turns by nearly 1/50 of its speeds, and so are the sizes.
const HULL_VALUES: [Value; WHEEL] = [
    value("moved right", "units", 0.1),
    value("moved ahead", "units", 1.0),
    value("turned", "rad", 0.04),
    value("sideways speed", "units/s", 5.0),
    value("forward speed", "units/s", 50.0),
    value("turning", "rad/s", 2.0),
    value("gas", "", 1.0),
];

/// Front wheels are steered by more than the hull turns in a step.
const WHEEL_VALUES: [[Value; PER_WHEEL]; 4] = [
    wheel!("front left", 0.2),
    wheel!("front right", 0.2),
    wheel!("rear left", 0.04),
    wheel!("rear right", 0.04),
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

/// Where the joints hold the wheels in the frame of the hull at the same moment, right and ahead in
/// world units: front left, front right, rear left, rear right.
pub const ANCHORS: [[f64; 2]; 4] = {
    let mut anchors = [[0.0; 2]; 4];
    let mut i = 0;
    while i < 4 {
        anchors[i] = [WHEELS[i].0 * SIZE, WHEELS[i].1 * SIZE];
        i += 1;
    }
    anchors
};

/// The observed values of `car` on `track`, if `before` is where its hull was a step before, and
/// `nearest` is the point of the track nearest to its hull now ([`Track::follow`]).
pub fn values(car: &CarState, before: &Pose, track: &Track, nearest: usize) -> [f32; COUNT] {
    let mut values = [0.0; COUNT];
    let quantities = quantities(car, before, track, nearest);
    for i in 0..COUNT {
        values[i] = (quantities[i] / VALUES[i].size) as f32;
    }
    values
}

/// How far each wheel is from where its joint would hold it on the hull, 0 and more in world units:
/// front left, front right, rear left, rear right. It follows from the values alone. In episodes it
/// is below 5e-4; in values that a model draws it says how well they keep to the joints.
pub fn joint_gaps(values: &[f32; COUNT]) -> [f64; 4] {
    let quantity = |i: usize| f64::from(values[i]) * VALUES[i].size;
    let (sin, cos) = libm::sincos(quantity(TURNED));
    let mut gaps = [0.0; 4];
    for (i, gap) in gaps.iter_mut().enumerate() {
        let wheel = WHEEL + i * PER_WHEEL;
        // From the hull as it is now, still along the axes of the earlier frame.
        let right = quantity(wheel + RIGHT) - quantity(MOVED_RIGHT);
        let ahead = quantity(wheel + AHEAD) - quantity(MOVED_AHEAD);
        let [anchor_right, anchor_ahead] = ANCHORS[i];
        *gap = libm::hypot(
            right * cos + ahead * sin - anchor_right,
            ahead * cos - right * sin - anchor_ahead,
        );
    }
    gaps
}

/// The values in their units.
fn quantities(car: &CarState, before: &Pose, track: &Track, nearest: usize) -> [f64; COUNT] {
    let hull = &car.hull;
    let [x, y] = hull.position.map(f64::from);
    let [x_before, y_before] = before.position.map(f64::from);
    let angle_before = f64::from(before.angle);
    let (sin, cos) = libm::sincos(angle_before);
    // A vector of the world to the right and ahead in the earlier frame.
    let turned = |x: f64, y: f64| [x * cos + y * sin, y * cos - x * sin];

    let mut out = [0.0; COUNT];
    [out[MOVED_RIGHT], out[MOVED_AHEAD]] = turned(x - x_before, y - y_before);
    out[TURNED] = f64::from(hull.angle) - angle_before;
    let [vx, vy] = hull.velocity.map(f64::from);
    [out[SIDEWAYS], out[FORWARD]] = turned(vx, vy);
    out[TURNING] = f64::from(hull.angular_velocity);
    // Both rear wheels have the same.
    out[GAS] = car.wheels[2].gas;

    for (i, wheel) in car.wheels.iter().enumerate() {
        let out = &mut out[WHEEL + i * PER_WHEEL..][..PER_WHEEL];
        let body = &wheel.body;
        let [wheel_x, wheel_y] = body.position.map(f64::from);
        let [wheel_vx, wheel_vy] = body.velocity.map(f64::from);
        [out[RIGHT], out[AHEAD]] = turned(wheel_x - x_before, wheel_y - y_before);
        out[ANGLE] = f64::from(body.angle) - angle_before;
        [out[RIGHTWARD], out[ONWARD]] = turned(wheel_vx, wheel_vy);
        out[SPIN] = f64::from(body.angular_velocity);
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
