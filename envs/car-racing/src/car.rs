//! The car of car_dynamics.py: engine, brakes, steering and tyres in `f64`, on the bodies of the solver.

use crate::solver::{Body, Island, Joint, Vec2, hull_order, vec2};

const SIZE: f64 = 0.02;
const ENGINE_POWER: f64 = 100_000_000.0 * SIZE * SIZE;
const WHEEL_INERTIA: f64 = 4000.0 * SIZE * SIZE;
const FRICTION_LIMIT: f64 = 1_000_000.0 * SIZE * SIZE;
const WHEEL_R: f64 = 27.0;
const WHEEL_W: f64 = 14.0;
const WHEEL_RAD: f64 = WHEEL_R * SIZE;
const WHEEL_AT: [(f64, f64); 4] = [(-55.0, 80.0), (55.0, 80.0), (-55.0, -82.0), (55.0, -82.0)];
const HULL: [&[(f64, f64)]; 4] = [
    &[(-60.0, 130.0), (60.0, 130.0), (60.0, 110.0), (-60.0, 110.0)],
    &[(-15.0, 120.0), (15.0, 120.0), (20.0, 20.0), (-20.0, 20.0)],
    &[(25.0, 20.0), (50.0, -10.0), (50.0, -40.0), (20.0, -90.0), (-20.0, -90.0), (-50.0, -40.0), (-50.0, -10.0), (-25.0, 20.0)],
    &[(-50.0, -120.0), (50.0, -120.0), (50.0, -90.0), (-50.0, -90.0)],
];

/// What a wheel has beside its body.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wheel {
    /// Throttle, 0..1.
    pub gas: f64,
    /// Brake, 0..1.
    pub brake: f64,
    /// Angle it is steered to.
    pub steer: f64,
    /// Turn of the wheel about its axle.
    pub phase: f64,
    /// Speed of that turn, radians per second.
    pub omega: f64,
}

/// The car.
#[derive(Clone, Debug, PartialEq)]
pub struct Car {
    /// Hull, wheels, joints.
    pub island: Island,
    /// The wheels, in the order front left, front right, rear left, rear right.
    pub wheels: [Wheel; 4],
    /// Corners of the hull's four polygons, in the hull's frame.
    pub hull_shape: [Vec<Vec2>; 4],
    /// Corners of a wheel, in its frame.
    pub wheel_shape: Vec<Vec2>,
}

fn scaled(points: &[(f64, f64)]) -> Vec<Vec2> {
    hull_order(&points.iter().map(|&(x, y)| vec2((x * SIZE) as f32, (y * SIZE) as f32)).collect::<Vec<_>>())
}

impl Car {
    /// A car at rest. Wheels start unrotated about the hull; the joints pull them into place in the first step.
    pub fn new(angle: f64, x: f64, y: f64) -> Self {
        let hull_shape = HULL.map(scaled);
        let wheel_shape = scaled(&[(-WHEEL_W, WHEEL_R), (WHEEL_W, WHEEL_R), (WHEEL_W, -WHEEL_R), (-WHEEL_W, -WHEEL_R)]);
        let body = |dx: f64, dy: f64, shape: &[Vec<Vec2>], density| {
            Body::new(vec2((x + dx * SIZE) as f32, (y + dy * SIZE) as f32), angle as f32, shape, density)
        };
        let wheel = |i: usize| body(WHEEL_AT[i].0, WHEEL_AT[i].1, std::slice::from_ref(&wheel_shape), 0.1);
        let bodies = [body(0.0, 0.0, &hull_shape, 1.0), wheel(0), wheel(1), wheel(2), wheel(3)];
        let torque = (180.0 * 900.0 * SIZE * SIZE) as f32;
        let joints = std::array::from_fn(|i| {
            let (wx, wy) = WHEEL_AT[i];
            Joint::new(vec2((wx * SIZE) as f32, (wy * SIZE) as f32), i, torque)
        });
        Self { island: Island::new(bodies, joints), wheels: [Wheel::default(); 4], hull_shape, wheel_shape }
    }

    /// Steering −1 (left) .. 1 (right), gas and brake 0..1.
    pub fn control(&mut self, steer: f64, gas: f64, brake: f64) {
        self.wheels[0].steer = -steer;
        self.wheels[1].steer = -steer;
        let gas = gas.clamp(0.0, 1.0);
        for w in &mut self.wheels[2..] {
            // Rises gradually, falls at once.
            w.gas += (gas - w.gas).min(0.1);
        }
        for w in &mut self.wheels {
            w.brake = brake;
        }
    }

    /// `Car.step` and `b2World.Step`; `on_road` tells which wheels touch a tile.
    pub fn step(&mut self, dt: f64, on_road: [bool; 4]) {
        for (i, w) in self.wheels.iter_mut().enumerate() {
            let angle = f64::from(self.island.joint_angle(i));
            let turn = w.steer - angle;
            self.island.joints[i].motor_speed = (sign(turn) * (50.0 * turn.abs()).min(3.0)) as f32;
            let limit = if on_road[i] { FRICTION_LIMIT } else { FRICTION_LIMIT * 0.6 };
            let body = &self.island.bodies[i + 1];
            let wide = |v: Vec2| (f64::from(v.x), f64::from(v.y));
            let forward = wide(body.rotation.apply(vec2(0.0, 1.0)));
            let side = wide(body.rotation.apply(vec2(1.0, 0.0)));
            let v = wide(body.velocity);
            let vf = forward.0 * v.0 + forward.1 * v.1;
            let vs = side.0 * v.0 + side.1 * v.1;
            w.omega += dt * ENGINE_POWER * w.gas / WHEEL_INERTIA / (w.omega.abs() + 5.0);
            if w.brake >= 0.9 {
                w.omega = 0.0;
            } else if w.brake > 0.0 {
                let direction = -sign(w.omega);
                let strength = (15.0 * w.brake).min(w.omega.abs());
                w.omega += direction * strength;
            }
            w.phase += w.omega * dt;
            let vr = w.omega * WHEEL_RAD;
            let mut f = -vf + vr;
            let mut p = -vs;
            f *= 205_000.0 * SIZE * SIZE;
            p *= 205_000.0 * SIZE * SIZE;
            let force = (f * f + p * p).sqrt();
            if force.abs() > limit {
                f /= force;
                p /= force;
                f *= limit;
                p *= limit;
            }
            w.omega -= dt * f * WHEEL_RAD / WHEEL_INERTIA;
            let push = vec2((p * side.0 + f * forward.0) as f32, (p * side.1 + f * forward.1) as f32);
            self.island.bodies[i + 1].apply_force(push);
        }
        self.island.step(dt as f32);
    }

    /// The white mark on a wheel in its frame, where it faces up: it shows that the wheel turns.
    pub fn wheel_mark(&self, wheel: usize) -> Option<[Vec2; 4]> {
        let a1 = self.wheels[wheel].phase;
        let a2 = a1 + 1.2;
        let (s1, s2) = (a1.sin(), a2.sin());
        if s1 > 0.0 && s2 > 0.0 {
            return None;
        }
        let c1 = if s1 > 0.0 { sign(a1.cos()) } else { a1.cos() };
        let c2 = if s2 > 0.0 { sign(a2.cos()) } else { a2.cos() };
        let corner = |x: f64, c: f64| vec2((x * WHEEL_W * SIZE) as f32, (WHEEL_R * c * SIZE) as f32);
        Some([corner(-1.0, c1), corner(1.0, c1), corner(1.0, c2), corner(-1.0, c2)])
    }
}

fn sign(x: f64) -> f64 {
    if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { 0.0 }
}
