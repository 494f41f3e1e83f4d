//! The car's state in plain numbers.

use crate::car::Car;
use crate::solver::{Body, HULL};

/// Where a rigid body is and where it points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Position of the body's origin, world units.
    pub position: [f32; 2],
    /// Angle in radians, counter-clockwise; 0 points along +y.
    pub angle: f32,
}

/// Position and motion of a rigid body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BodyState {
    /// Position of the body's origin, world units.
    pub position: [f32; 2],
    /// Angle in radians, counter-clockwise; 0 points along +y.
    pub angle: f32,
    /// Velocity of the centre of mass, world units per second.
    pub velocity: [f32; 2],
    /// Angular velocity, radians per second.
    pub angular_velocity: f32,
}

impl BodyState {
    /// Where it is and where it points.
    pub fn pose(&self) -> Pose {
        Pose {
            position: self.position,
            angle: self.angle,
        }
    }

    /// Its velocity forwards and to its right, world units per second.
    pub fn forward_and_sideways(&self) -> [f64; 2] {
        let (sin, cos) = libm::sincos(f64::from(self.angle));
        let [x, y] = self.velocity.map(f64::from);
        [y * cos - x * sin, x * cos + y * sin]
    }
}

/// A wheel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WheelState {
    /// Position and motion.
    pub body: BodyState,
    /// Gas, 0 to 1 (rear wheels).
    pub gas: f64,
    /// Brake, 0 to 1.
    pub brake: f64,
    /// Target angle relative to the hull, radians (front wheels); the joint is limited to ± 0.4.
    pub steer: f64,
    /// Angle relative to the hull, radians.
    pub joint_angle: f32,
    /// Rolling speed, radians per second.
    pub omega: f64,
    /// Rolled angle since reset, radians.
    pub phase: f64,
    /// Whether the wheel stands on at least one tile.
    pub on_road: bool,
}

/// Hull and wheels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CarState {
    /// The hull.
    pub hull: BodyState,
    /// Front left, front right, rear left, rear right.
    pub wheels: [WheelState; 4],
}

impl From<&Car> for CarState {
    fn from(car: &Car) -> Self {
        let wheels = std::array::from_fn(|i| {
            let wheel = car.wheels[i];
            WheelState {
                body: (&car.bodies[i]).into(),
                gas: wheel.gas,
                brake: wheel.brake,
                steer: wheel.steer,
                joint_angle: car.joint_angle(i),
                omega: wheel.omega,
                phase: wheel.phase,
                on_road: wheel.on_road,
            }
        });
        Self {
            hull: (&car.bodies[HULL]).into(),
            wheels,
        }
    }
}

impl From<&Body> for Pose {
    fn from(body: &Body) -> Self {
        let p = body.transform.position;
        Self {
            position: [p.x, p.y],
            angle: body.angle,
        }
    }
}

impl From<&Body> for BodyState {
    fn from(body: &Body) -> Self {
        let (p, v) = (body.transform.position, body.velocity);
        Self {
            position: [p.x, p.y],
            angle: body.angle,
            velocity: [v.x, v.y],
            angular_velocity: body.spin,
        }
    }
}
