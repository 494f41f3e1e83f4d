//! The rigid bodies: one hull and four wheels, held by four revolute joints with a motor and a
//! limit.
//!
//! This is the part of Box2D 2.3 that the car needs (`b2Island.cpp`, `b2RevoluteJoint.cpp`), in
//! `f32` and in Box2D's order of operations, so that every bit of the state is the same. There are
//! no collisions: tiles are sensors, and the wheels' masks exclude each other and the hull.

use std::f32::consts::PI;

use crate::joint::{Joint, Velocity};
use crate::math::{Rot, Transform, Vec2};
use crate::polygon::Polygon;

/// Seconds of one step.
pub(crate) const DT: f32 = 1.0 / 50.0;

const VELOCITY_SWEEPS: usize = 180;
const POSITION_SWEEPS: usize = 60;
const MAX_TRANSLATION: f32 = 2.0;
const MAX_ROTATION: f32 = 0.5 * PI;
const LINEAR_SLEEP_TOLERANCE: f32 = 0.01;
const ANGULAR_SLEEP_TOLERANCE: f32 = 2.0 / 180.0 * PI;
const TIME_TO_SLEEP: f32 = 0.5;

/// Index of the hull among the bodies; the wheels are before it.
pub(crate) const HULL: usize = 4;

/// A rigid body.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Centre of mass in the body's own coordinates.
    pub local_center: Vec2,
    pub inv_mass: f32,
    pub inv_inertia: f32,
    /// Centre of mass in the world.
    pub center: Vec2,
    pub angle: f32,
    pub velocity: Vec2,
    pub spin: f32,
    pub force: Vec2,
    pub transform: Transform,
    sleep_time: f32,
}

impl Body {
    /// A body at rest made of `shapes`.
    pub fn new(position: Vec2, angle: f32, shapes: &[Polygon], density: f32) -> Self {
        let (mut mass, mut local_center, mut inertia) = (0.0f32, Vec2::ZERO, 0.0f32);
        // Box2D's list holds the shape added last first
        for shape in shapes.iter().rev() {
            let part = shape.mass(density);
            mass += part.mass;
            local_center += part.mass * part.center;
            inertia += part.inertia;
        }
        let inv_mass = 1.0 / mass;
        local_center = inv_mass * local_center;
        inertia -= mass * local_center.dot(local_center);
        let transform = Transform {
            position,
            rotation: Rot::new(angle),
        };
        Self {
            local_center,
            inv_mass,
            inv_inertia: 1.0 / inertia,
            center: transform.apply(local_center),
            angle,
            velocity: Vec2::ZERO,
            spin: 0.0,
            force: Vec2::ZERO,
            transform,
            sleep_time: 0.0,
        }
    }

    fn synchronize(&mut self) {
        let rotation = Rot::new(self.angle);
        self.transform = Transform {
            rotation,
            position: self.center - rotation.apply(self.local_center),
        };
    }
}

/// Advances the bodies and joints by one step of [`DT`].
///
/// `bodies` are the four wheels and the hull, `joints[i]` joins the hull and wheel `i`.
pub(crate) fn step(bodies: &mut [Body; 5], joints: &mut [Joint; 4]) {
    let mut velocities = [Velocity::default(); 5];
    for (body, velocity) in bodies.iter_mut().zip(&mut velocities) {
        // adding a gravity of zero turns a force of −0 into +0
        velocity.v = body.velocity + DT * (Vec2::ZERO + body.inv_mass * body.force);
        velocity.w = body.spin + DT * body.inv_inertia * 0.0;
        body.force = Vec2::ZERO;
    }

    // the last wheel seeds the island, and the hull lists its newest joint first
    for (i, joint) in joints.iter_mut().enumerate().rev() {
        let (mut hull, mut wheel) = (velocities[HULL], velocities[i]);
        joint.prepare(&bodies[HULL], &bodies[i], &mut hull, &mut wheel);
        (velocities[HULL], velocities[i]) = (hull, wheel);
    }

    for _ in 0..VELOCITY_SWEEPS {
        let before = bits(&velocities, joints);
        for (i, joint) in joints.iter_mut().enumerate().rev() {
            let (mut hull, mut wheel) = (velocities[HULL], velocities[i]);
            joint.solve_velocity(&mut hull, &mut wheel);
            (velocities[HULL], velocities[i]) = (hull, wheel);
        }
        // if a sweep changes no bit, the remaining sweeps change none either
        if same(&bits(&velocities, joints), &before) {
            break;
        }
    }

    for (body, velocity) in bodies.iter_mut().zip(&mut velocities) {
        let translation = DT * velocity.v;
        if translation.length_squared() > MAX_TRANSLATION * MAX_TRANSLATION {
            velocity.v = (MAX_TRANSLATION / translation.length()) * velocity.v;
        }
        let rotation = DT * velocity.w;
        if rotation * rotation > MAX_ROTATION * MAX_ROTATION {
            velocity.w *= MAX_ROTATION / rotation.abs();
        }
        body.center += DT * velocity.v;
        body.angle += DT * velocity.w;
        body.velocity = velocity.v;
        body.spin = velocity.w;
    }

    let mut solved = false;
    for _ in 0..POSITION_SWEEPS {
        solved = true;
        let [wheels @ .., hull] = bodies;
        for (joint, wheel) in joints.iter().zip(wheels).rev() {
            solved &= joint.solve_position(hull, wheel);
        }
        if solved {
            break;
        }
    }
    bodies.iter_mut().for_each(Body::synchronize);
    sleep(bodies, solved);
}

/// Stops bodies that were slow for half a second. The car wakes them in the next step, because it
/// sets the motors.
fn sleep(bodies: &mut [Body; 5], solved: bool) {
    let mut shortest = f32::MAX;
    for body in bodies.iter_mut() {
        if body.spin * body.spin > ANGULAR_SLEEP_TOLERANCE * ANGULAR_SLEEP_TOLERANCE
            || body.velocity.dot(body.velocity) > LINEAR_SLEEP_TOLERANCE * LINEAR_SLEEP_TOLERANCE
        {
            body.sleep_time = 0.0;
            shortest = 0.0;
        } else {
            body.sleep_time += DT;
            shortest = shortest.min(body.sleep_time);
        }
    }
    if shortest >= TIME_TO_SLEEP && solved {
        for body in bodies {
            body.sleep_time = 0.0;
            body.velocity = Vec2::ZERO;
            body.spin = 0.0;
        }
    }
}

/// Equality without a branch per word; it is computed once per sweep.
fn same(a: &[[u32; 4]; 9], b: &[[u32; 4]; 9]) -> bool {
    a.as_flattened()
        .iter()
        .zip(b.as_flattened())
        .fold(0, |other, (x, y)| other | (x ^ y))
        == 0
}

/// All values that a sweep over the joints' velocities reads and writes, as bits.
fn bits(velocities: &[Velocity; 5], joints: &[Joint; 4]) -> [[u32; 4]; 9] {
    let mut bits = [[0; 4]; 9];
    for (out, v) in bits.iter_mut().zip(velocities) {
        *out = [v.v.x.to_bits(), v.v.y.to_bits(), v.w.to_bits(), 0];
    }
    for (out, joint) in bits[5..].iter_mut().zip(joints) {
        *out = joint.impulse_bits();
    }
    bits
}
