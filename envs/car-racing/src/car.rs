//! The car: engine, brakes, steering and tyres (`car_dynamics.py`).
//!
//! Controls and forces are `f64`, as in Python; the bodies are `f32`, as in Box2D. Every read of a
//! body rounds up to `f64` and every write rounds down to `f32`, at the same places.

use crate::joint::Joint;
use crate::math::Vec2;
use crate::polygon::Polygon;
use crate::solver::{self, Body, HULL};
use crate::track::{TrackPoint, sign};

/// World units per unit of the car's drawing.
pub(crate) const SIZE: f64 = 0.02;
/// Half of the length of a wheel, in units of the drawing.
pub(crate) const WHEEL_R: f64 = 27.0;
/// Half of the width of a wheel, in units of the drawing.
pub(crate) const WHEEL_W: f64 = 14.0;

const ENGINE_POWER: f64 = 100_000_000.0 * SIZE * SIZE;
const WHEEL_MOMENT_OF_INERTIA: f64 = 4000.0 * SIZE * SIZE;
const FRICTION_LIMIT: f64 = 1_000_000.0 * SIZE * SIZE;
const MAX_MOTOR_TORQUE: f64 = 180.0 * 900.0 * SIZE * SIZE;
const DT: f64 = 1.0 / 50.0;

/// Places of the wheels on the hull, front left, front right, rear left, rear right, in units of the
/// drawing.
pub(crate) const WHEELS: [(f64, f64); 4] =
    [(-55.0, 80.0), (55.0, 80.0), (-55.0, -82.0), (55.0, -82.0)];
const HULL_PARTS: [&[(f64, f64)]; 4] = [
    &[(-60.0, 130.0), (60.0, 130.0), (60.0, 110.0), (-60.0, 110.0)],
    &[(-15.0, 120.0), (15.0, 120.0), (20.0, 20.0), (-20.0, 20.0)],
    &[
        (25.0, 20.0),
        (50.0, -10.0),
        (50.0, -40.0),
        (20.0, -90.0),
        (-20.0, -90.0),
        (-50.0, -40.0),
        (-50.0, -10.0),
        (-25.0, 20.0),
    ],
    &[
        (-50.0, -120.0),
        (50.0, -120.0),
        (50.0, -90.0),
        (-50.0, -90.0),
    ],
];

/// The state of a wheel beside its body.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Wheel {
    pub gas: f64,
    pub brake: f64,
    pub steer: f64,
    /// Angle rolled so far, radians.
    pub phase: f64,
    /// Rolling speed, radians per second.
    pub omega: f64,
    /// Whether the wheel stands on at least one tile.
    pub on_road: bool,
    /// Whether the tyre was pushed by more than twice what it can hold, so that it leaves a mark.
    pub skids: bool,
}

/// The car and its bodies.
#[derive(Clone, Debug)]
pub(crate) struct Car {
    /// Front left, front right, rear left, rear right, hull.
    pub bodies: [Body; 5],
    pub wheels: [Wheel; 4],
    pub joints: [Joint; 4],
    /// The parts of the hull, in its coordinates.
    pub hull_parts: [Polygon; 4],
    /// The outline of a wheel, in its coordinates.
    pub wheel_shape: Polygon,
    /// Factor of the road's friction.
    pub road_friction: f64,
    /// Factor of each tyre's friction limit, on road and grass. See [`Car::drive`].
    pub grip: [f64; 4],
}

impl Car {
    /// A car at rest at a point of the track. The wheels are placed around the hull as if it were
    /// not rotated, as in the reference; the joints pull them into place in the first step.
    pub fn new(start: TrackPoint) -> Self {
        let scaled = |points: &[(f64, f64)]| {
            let points: Vec<Vec2> = points
                .iter()
                .map(|&(x, y)| Vec2::new((x * SIZE) as f32, (y * SIZE) as f32))
                .collect();
            Polygon::hull(&points)
        };
        let hull_parts = HULL_PARTS.map(scaled);
        let wheel_shape = scaled(&[
            (-WHEEL_W, WHEEL_R),
            (WHEEL_W, WHEEL_R),
            (WHEEL_W, -WHEEL_R),
            (-WHEEL_W, -WHEEL_R),
        ]);
        let angle = start.beta as f32;
        let wheel = |(x, y): (f64, f64)| {
            let position = Vec2::new((start.x + x * SIZE) as f32, (start.y + y * SIZE) as f32);
            Body::new(position, angle, &[wheel_shape], 0.1)
        };
        let [w0, w1, w2, w3] = WHEELS.map(wheel);
        let hull = Body::new(
            Vec2::new(start.x as f32, start.y as f32),
            angle,
            &hull_parts,
            1.0,
        );
        let joints = WHEELS.map(|(x, y)| {
            Joint::new(
                Vec2::new((x * SIZE) as f32, (y * SIZE) as f32),
                MAX_MOTOR_TORQUE as f32,
            )
        });
        Self {
            bodies: [w0, w1, w2, w3, hull],
            wheels: [Wheel::default(); 4],
            joints,
            hull_parts,
            wheel_shape,
            road_friction: 1.0,
            grip: [1.0; 4],
        }
    }

    /// The hull.
    pub fn hull(&self) -> &Body {
        &self.bodies[HULL]
    }

    /// Sets the pedals and the steering wheel.
    pub fn control(&mut self, steer: f64, gas: f64, brake: f64) {
        for wheel in &mut self.wheels[..2] {
            wheel.steer = steer;
        }
        let gas = gas.clamp(0.0, 1.0);
        for wheel in &mut self.wheels[2..] {
            // gas rises gradually and falls at once
            wheel.gas += (gas - wheel.gas).min(0.1);
        }
        for wheel in &mut self.wheels {
            wheel.brake = brake;
        }
    }

    /// Angle of wheel `i` relative to the hull, radians.
    pub fn joint_angle(&self, i: usize) -> f32 {
        self.bodies[i].angle - self.bodies[HULL].angle
    }

    /// Applies the forces of engine, brakes and tyres to the wheels.
    ///
    /// A tyre pushes against its slip, ahead and to the side, in proportion to it, until the whole
    /// force reaches the friction limit; then the force keeps its direction and the limit's length.
    /// The factors of the limit, that of the road and that of the tyre's grip, so change nothing in
    /// gentle driving. They cap what a tyre can give where it is pushed hard: in bends, on the
    /// brakes, and while the wheel is spun up. A factor of 1 changes no bit.
    pub fn drive(&mut self) {
        for i in 0..4 {
            let turn = self.wheels[i].steer - f64::from(self.joint_angle(i));
            self.joints[i].motor_speed = (sign(turn) * (50.0 * turn.abs()).min(3.0)) as f32;

            let body = &mut self.bodies[i];
            let wheel = &mut self.wheels[i];
            let ground_limit = if wheel.on_road {
                FRICTION_LIMIT * self.road_friction
            } else {
                FRICTION_LIMIT * 0.6
            };
            let friction_limit = ground_limit * self.grip[i];
            let wheel_rad = WHEEL_R * SIZE;
            let wide = |v: Vec2| (f64::from(v.x), f64::from(v.y));
            let forw = wide(body.transform.rotation.apply(Vec2::new(0.0, 1.0)));
            let side = wide(body.transform.rotation.apply(Vec2::new(1.0, 0.0)));
            let v = wide(body.velocity);
            let forward_speed = forw.0 * v.0 + forw.1 * v.1;
            let side_speed = side.0 * v.0 + side.1 * v.1;

            wheel.omega +=
                DT * ENGINE_POWER * wheel.gas / WHEEL_MOMENT_OF_INERTIA / (wheel.omega.abs() + 5.0);
            if wheel.brake >= 0.9 {
                wheel.omega = 0.0;
            } else if wheel.brake > 0.0 {
                let slower = (15.0 * wheel.brake).min(wheel.omega.abs());
                wheel.omega += -sign(wheel.omega) * slower;
            }
            wheel.phase += wheel.omega * DT;

            let mut f_force =
                (-forward_speed + wheel.omega * wheel_rad) * (205_000.0 * SIZE * SIZE);
            let mut p_force = -side_speed * (205_000.0 * SIZE * SIZE);
            let force = (f_force * f_force + p_force * p_force).sqrt();
            wheel.skids = force > 2.0 * friction_limit;
            if force > friction_limit {
                f_force = f_force / force * friction_limit;
                p_force = p_force / force * friction_limit;
            }
            wheel.omega -= DT * f_force * wheel_rad / WHEEL_MOMENT_OF_INERTIA;
            let push = (
                p_force * side.0 + f_force * forw.0,
                p_force * side.1 + f_force * forw.1,
            );
            body.force += Vec2::new(push.0 as f32, push.1 as f32);
        }
    }

    /// Advances the bodies by one step.
    pub fn advance(&mut self) {
        solver::step(&mut self.bodies, &mut self.joints);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tyre that slides sideways gives its whole friction limit.
    #[test]
    fn grip_is_a_factor_of_the_limit_on_road_and_grass() {
        let start = TrackPoint {
            alpha: 0.0,
            beta: 0.0,
            x: 0.0,
            y: 0.0,
        };
        let force = |grip: f64, on_road: bool, sideways: f32| {
            let mut car = Car::new(start);
            car.grip[0] = grip;
            car.wheels[0].on_road = on_road;
            car.bodies[0].velocity = Vec2::new(sideways, 0.0);
            car.drive();
            -car.bodies[0].force.x
        };
        assert_eq!(
            [force(1.0, true, 30.0), force(1.0, false, 30.0)],
            [400.0, 240.0]
        );
        assert_eq!(
            [force(0.3, true, 30.0), force(0.3, false, 30.0)],
            [120.0, 72.0]
        );
        // Below the limit nothing changes.
        assert_eq!(force(0.3, true, 0.5), force(1.0, true, 0.5));
    }
}
