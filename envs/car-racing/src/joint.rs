//! The revolute joint between the hull and a wheel (`b2RevoluteJoint.cpp`).

use std::f32::consts::PI;

use crate::math::{Rot, Vec2, cross_scalar};
use crate::solver::{Body, DT};

const LINEAR_SLOP: f32 = 0.005;
const ANGULAR_SLOP: f32 = 2.0 / 180.0 * PI;
const MAX_ANGULAR_CORRECTION: f32 = 8.0 / 180.0 * PI;
const LOWER: f32 = -0.4;
const UPPER: f32 = 0.4;

/// Linear and angular velocity during the solver's sweeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Velocity {
    pub v: Vec2,
    pub w: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Inactive,
    Lower,
    Upper,
}

/// Fixes a wheel to its place on the hull, with a motor that steers it within ± 0.4 rad.
#[derive(Clone, Debug)]
pub(crate) struct Joint {
    /// The anchor on the hull, in the hull's coordinates.
    anchor: Vec2,
    max_motor_torque: f32,
    /// Target speed of the motor, radians per second.
    pub motor_speed: f32,

    impulse: Vec2,
    limit_impulse: f32,
    motor_impulse: f32,
    limit: Limit,
    step: Prepared,
}

/// Values that are constant during one step.
#[derive(Clone, Copy, Debug, Default)]
struct Prepared {
    r_hull: Vec2,
    r_wheel: Vec2,
    inv_mass: [f32; 2],
    inv_inertia: [f32; 2],
    /// Columns of the symmetric 3 × 3 matrix of the constraint.
    ex: [f32; 3],
    ey: [f32; 3],
    ez: [f32; 3],
    inv_det22: f32,
    inv_det33: f32,
    motor_mass: f32,
}

impl Joint {
    pub fn new(anchor: Vec2, max_motor_torque: f32) -> Self {
        Self {
            anchor,
            max_motor_torque,
            motor_speed: 0.0,
            impulse: Vec2::ZERO,
            limit_impulse: 0.0,
            motor_impulse: 0.0,
            limit: Limit::Inactive,
            step: Prepared::default(),
        }
    }

    pub fn impulse_bits(&self) -> [u32; 4] {
        [
            self.impulse.x.to_bits(),
            self.impulse.y.to_bits(),
            self.limit_impulse.to_bits(),
            self.motor_impulse.to_bits(),
        ]
    }

    /// Computes the constants of a step and applies the impulses of the previous step.
    pub fn prepare(
        &mut self,
        hull: &Body,
        wheel: &Body,
        v_hull: &mut Velocity,
        v_wheel: &mut Velocity,
    ) {
        let ra = Rot::new(hull.angle).apply(self.anchor - hull.local_center);
        let rb = Rot::new(wheel.angle).apply(Vec2::ZERO - wheel.local_center);
        let (ma, mb) = (hull.inv_mass, wheel.inv_mass);
        let (ia, ib) = (hull.inv_inertia, wheel.inv_inertia);

        let xx = ma + mb + ra.y * ra.y * ia + rb.y * rb.y * ib;
        let xy = -ra.y * ra.x * ia - rb.y * rb.x * ib;
        let xz = -ra.y * ia - rb.y * ib;
        let yy = ma + mb + ra.x * ra.x * ia + rb.x * rb.x * ib;
        let yz = ra.x * ia + rb.x * ib;
        let zz = ia + ib;
        let (ex, ey, ez) = ([xx, xy, xz], [xy, yy, yz], [xz, yz, zz]);
        let invert = |det: f32| if det == 0.0 { det } else { 1.0 / det };
        self.step = Prepared {
            r_hull: ra,
            r_wheel: rb,
            inv_mass: [ma, mb],
            inv_inertia: [ia, ib],
            ex,
            ey,
            ez,
            inv_det22: invert(xx * yy - xy * xy),
            inv_det33: invert(dot3(ex, cross3(ey, ez))),
            motor_mass: 1.0 / zz,
        };

        let angle = wheel.angle - hull.angle;
        let limit = if angle <= LOWER {
            Limit::Lower
        } else if angle >= UPPER {
            Limit::Upper
        } else {
            Limit::Inactive
        };
        if limit != self.limit || limit == Limit::Inactive {
            self.limit_impulse = 0.0;
        }
        self.limit = limit;

        // the ratio of two equal time steps, rounded twice as in Box2D
        let ratio = (1.0 / DT) * DT;
        self.impulse = ratio * self.impulse;
        self.limit_impulse *= ratio;
        self.motor_impulse *= ratio;
        let p = self.impulse;
        v_hull.v -= ma * p;
        v_hull.w -= ia * (ra.cross(p) + self.motor_impulse + self.limit_impulse);
        v_wheel.v += mb * p;
        v_wheel.w += ib * (rb.cross(p) + self.motor_impulse + self.limit_impulse);
    }

    /// One pass over motor, limit and point constraint.
    #[inline]
    pub fn solve_velocity(&mut self, hull: &mut Velocity, wheel: &mut Velocity) {
        let Prepared {
            r_hull: ra,
            r_wheel: rb,
            inv_mass: [ma, mb],
            inv_inertia: [ia, ib],
            ..
        } = self.step;

        let wanted = -self.step.motor_mass * (wheel.w - hull.w - self.motor_speed);
        let most = DT * self.max_motor_torque;
        let old = self.motor_impulse;
        self.motor_impulse = (old + wanted).min(most).max(-most);
        let change = self.motor_impulse - old;
        hull.w -= ia * change;
        wheel.w += ib * change;

        let drift = wheel.v + cross_scalar(wheel.w, rb) - hull.v - cross_scalar(hull.w, ra);
        if self.limit == Limit::Inactive {
            let p = self.solve22(-drift);
            self.impulse += p;
            hull.v -= ma * p;
            hull.w -= ia * ra.cross(p);
            wheel.v += mb * p;
            wheel.w += ib * rb.cross(p);
        } else {
            let (p, turn) = self.limit_step(drift, wheel.w - hull.w);
            hull.v -= ma * p;
            hull.w -= ia * (ra.cross(p) + turn);
            wheel.v += mb * p;
            wheel.w += ib * (rb.cross(p) + turn);
        }
    }

    /// The impulse of a joint at its limit: the part of the point and the angular part.
    fn limit_step(&mut self, drift: Vec2, spin: f32) -> (Vec2, f32) {
        let x = self.solve33([drift.x, drift.y, spin]);
        let (mut p, mut turn) = (Vec2::new(-x[0], -x[1]), -x[2]);
        let sum = self.limit_impulse + turn;
        let leaves = if self.limit == Limit::Lower {
            sum < 0.0
        } else {
            sum > 0.0
        };
        if leaves {
            let ez = Vec2::new(self.step.ez[0], self.step.ez[1]);
            p = self.solve22(-drift + self.limit_impulse * ez);
            turn = -self.limit_impulse;
            self.impulse += p;
            self.limit_impulse = 0.0;
        } else {
            self.impulse += p;
            self.limit_impulse = sum;
        }
        (p, turn)
    }

    #[inline]
    fn solve22(&self, b: Vec2) -> Vec2 {
        let Prepared {
            ex,
            ey,
            inv_det22: det,
            ..
        } = self.step;
        Vec2::new(
            det * (ey[1] * b.x - ey[0] * b.y),
            det * (ex[0] * b.y - ex[1] * b.x),
        )
    }

    fn solve33(&self, b: [f32; 3]) -> [f32; 3] {
        let Prepared {
            ex,
            ey,
            ez,
            inv_det33: det,
            ..
        } = self.step;
        [
            det * dot3(b, cross3(ey, ez)),
            det * dot3(ex, cross3(b, ez)),
            det * dot3(ex, cross3(ey, b)),
        ]
    }

    /// Corrects the positions of the two bodies. True if they were within tolerance already.
    pub fn solve_position(&self, hull: &mut Body, wheel: &mut Body) -> bool {
        let (ma, mb) = (hull.inv_mass, wheel.inv_mass);
        let (ia, ib) = (hull.inv_inertia, wheel.inv_inertia);

        let mut angular_error = 0.0f32;
        if self.limit != Limit::Inactive {
            let angle = wheel.angle - hull.angle;
            let c = if self.limit == Limit::Lower {
                let c = angle - LOWER;
                angular_error = -c;
                (c + ANGULAR_SLOP).clamp(-MAX_ANGULAR_CORRECTION, 0.0)
            } else {
                let c = angle - UPPER;
                angular_error = c;
                (c - ANGULAR_SLOP).clamp(0.0, MAX_ANGULAR_CORRECTION)
            };
            let impulse = -self.step.motor_mass * c;
            hull.angle -= ia * impulse;
            wheel.angle += ib * impulse;
        }

        let ra = Rot::new(hull.angle).apply(self.anchor - hull.local_center);
        let rb = Rot::new(wheel.angle).apply(Vec2::ZERO - wheel.local_center);
        let gap = wheel.center + rb - hull.center - ra;
        let xx = ma + mb + ia * ra.y * ra.y + ib * rb.y * rb.y;
        let xy = -ia * ra.x * ra.y - ib * rb.x * rb.y;
        let yy = ma + mb + ia * ra.x * ra.x + ib * rb.x * rb.x;
        let det = xx * yy - xy * xy;
        let det = if det == 0.0 { det } else { 1.0 / det };
        let p = -Vec2::new(
            det * (yy * gap.x - xy * gap.y),
            det * (xx * gap.y - xy * gap.x),
        );
        hull.center -= ma * p;
        hull.angle -= ia * ra.cross(p);
        wheel.center += mb * p;
        wheel.angle += ib * rb.cross(p);

        gap.length() <= LINEAR_SLOP && angular_error <= ANGULAR_SLOP
    }
}

fn dot3(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross3(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}
