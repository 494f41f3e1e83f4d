//! The rigid bodies of the car: one hull, four wheels, four revolute joints with motor and limit.
//!
//! Follows Box2D 2.3 (b2Island.cpp, b2RevoluteJoint.cpp, b2PolygonShape.cpp) operation by operation in `f32`, so that
//! every bit is equal: expressions keep the reference's order, and nothing may be contracted or reassociated. Nothing ever
//! collides (tiles are sensors, wheels and hull are joined), so there is no contact solver.

use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

/// b2Vec2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vec2 {
    /// First coordinate.
    pub x: f32,
    /// Second coordinate.
    pub y: f32,
}

/// A vector.
pub const fn vec2(x: f32, y: f32) -> Vec2 {
    Vec2 { x, y }
}

impl Add for Vec2 {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        vec2(self.x + o.x, self.y + o.y)
    }
}
impl Sub for Vec2 {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        vec2(self.x - o.x, self.y - o.y)
    }
}
impl Neg for Vec2 {
    type Output = Self;
    fn neg(self) -> Self {
        vec2(-self.x, -self.y)
    }
}
impl Mul<Vec2> for f32 {
    type Output = Vec2;
    fn mul(self, v: Vec2) -> Vec2 {
        vec2(self * v.x, self * v.y)
    }
}
impl AddAssign for Vec2 {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl SubAssign for Vec2 {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl Vec2 {
    /// Dot product.
    pub fn dot(self, o: Self) -> f32 {
        self.x * o.x + self.y * o.y
    }
    /// Cross product.
    pub fn cross(self, o: Self) -> f32 {
        self.x * o.y - self.y * o.x
    }
}

/// b2Cross(scalar, vector).
fn cross(s: f32, v: Vec2) -> Vec2 {
    vec2(-s * v.y, s * v.x)
}

/// b2Rot: sine and cosine of an angle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rot {
    s: f32,
    c: f32,
}

impl Rot {
    fn new(angle: f32) -> Self {
        Self { s: angle.sin(), c: angle.cos() }
    }
    /// The vector turned by the angle.
    pub fn apply(self, v: Vec2) -> Vec2 {
        vec2(self.c * v.x - self.s * v.y, self.s * v.x + self.c * v.y)
    }
}

const LINEAR_SLOP: f32 = 0.005;
const PI: f32 = 3.141_592_653_59;
const ANGULAR_SLOP: f32 = 2.0 / 180.0 * PI;
const MAX_ANGULAR_CORRECTION: f32 = 8.0 / 180.0 * PI;
const MAX_TRANSLATION: f32 = 2.0;
const MAX_ROTATION: f32 = 0.5 * PI;
const TIME_TO_SLEEP: f32 = 0.5;
const LINEAR_SLEEP: f32 = 0.01;
const ANGULAR_SLEEP: f32 = 2.0 / 180.0 * PI;
const VELOCITY_ITERATIONS: usize = 180;
const POSITION_ITERATIONS: usize = 60;
const LOWER: f32 = -0.4;
const UPPER: f32 = 0.4;
/// b2_polygonRadius: the skin of a polygon.
pub const POLYGON_RADIUS: f32 = 2.0 * LINEAR_SLOP;

/// Order of a polygon's corners in Box2D: counter-clockwise from the rightmost (lowest among equals).
pub fn hull_order(ps: &[Vec2]) -> Vec<Vec2> {
    let mut first = 0;
    for (i, p) in ps.iter().enumerate().skip(1) {
        if p.x > ps[first].x || (p.x == ps[first].x && p.y < ps[first].y) {
            first = i;
        }
    }
    let mut out = Vec::new();
    let mut at = first;
    loop {
        out.push(ps[at]);
        let mut next = 0;
        for j in 1..ps.len() {
            if next == at {
                next = j;
                continue;
            }
            let (r, v) = (ps[next] - ps[at], ps[j] - ps[at]);
            let c = r.cross(v);
            if c < 0.0 || (c == 0.0 && v.dot(v) > r.dot(r)) {
                next = j;
            }
        }
        at = next;
        if at == first {
            return out;
        }
    }
}

/// b2PolygonShape::ComputeMass: mass, centre, rotational inertia about the body's origin.
fn polygon_mass(vertices: &[Vec2], density: f32) -> (f32, Vec2, f32) {
    let n = vertices.len();
    let (mut center, mut area, mut inertia, mut s) = (vec2(0.0, 0.0), 0.0f32, 0.0f32, vec2(0.0, 0.0));
    for &v in vertices {
        s += v;
    }
    s = (1.0 / n as f32) * s;
    let inv3 = 1.0f32 / 3.0;
    for i in 0..n {
        let e1 = vertices[i] - s;
        let e2 = vertices[(i + 1) % n] - s;
        let d = e1.cross(e2);
        let triangle = 0.5 * d;
        area += triangle;
        center += (triangle * inv3) * (e1 + e2);
        let x2 = e1.x * e1.x + e2.x * e1.x + e2.x * e2.x;
        let y2 = e1.y * e1.y + e2.y * e1.y + e2.y * e2.y;
        inertia += (0.25 * inv3 * d) * (x2 + y2);
    }
    let mass = density * area;
    center = (1.0 / area) * center;
    let about = center + s;
    (mass, about, density * inertia + mass * (about.dot(about) - center.dot(center)))
}

/// A dynamic body.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Position of the body's origin.
    pub position: Vec2,
    /// Its rotation.
    pub rotation: Rot,
    /// Centre of mass in the world.
    center: Vec2,
    /// Angle, radians.
    pub angle: f32,
    /// Velocity of the centre of mass.
    pub velocity: Vec2,
    /// Angular velocity.
    pub angular: f32,
    local_center: Vec2,
    inv_mass: f32,
    inv_inertia: f32,
    force: Vec2,
    sleep_time: f32,
}

impl Body {
    /// A body at `position` made of `polygons` (each counter-clockwise) of equal `density`.
    pub fn new(position: Vec2, angle: f32, polygons: &[Vec<Vec2>], density: f32) -> Self {
        let (mut mass, mut center, mut inertia) = (0.0f32, vec2(0.0, 0.0), 0.0f32);
        // Fixtures are kept newest first.
        for polygon in polygons.iter().rev() {
            let (m, c, i) = polygon_mass(polygon, density);
            mass += m;
            center += m * c;
            inertia += i;
        }
        let inv_mass = 1.0 / mass;
        center = inv_mass * center;
        inertia -= mass * center.dot(center);
        let rotation = Rot::new(angle);
        Self {
            position,
            rotation,
            center: rotation.apply(center) + position,
            angle,
            velocity: vec2(0.0, 0.0),
            angular: 0.0,
            local_center: center,
            inv_mass,
            inv_inertia: 1.0 / inertia,
            force: vec2(0.0, 0.0),
            sleep_time: 0.0,
        }
    }

    /// A point of the body in the world.
    pub fn point(&self, local: Vec2) -> Vec2 {
        let (q, p) = (self.rotation, self.position);
        vec2((q.c * local.x - q.s * local.y) + p.x, (q.s * local.x + q.c * local.y) + p.y)
    }

    /// Adds a force at the centre of mass for the next step.
    pub fn apply_force(&mut self, force: Vec2) {
        self.force += force;
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Inactive,
    Lower,
    Upper,
}

/// A revolute joint between the hull (A) and a wheel (B).
#[derive(Clone, Debug, PartialEq)]
pub struct Joint {
    anchor: Vec2,
    wheel: usize,
    /// Speed the motor drives to, radians per second.
    pub motor_speed: f32,
    max_torque: f32,
    impulse: [f32; 3],
    motor_impulse: f32,
    limit: Limit,
    // Of the present step:
    ra: Vec2,
    rb: Vec2,
    ex: [f32; 3],
    ey: [f32; 3],
    ez: [f32; 3],
    motor_mass: f32,
}

fn dot3(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross3(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

impl Joint {
    /// A joint at `anchor` of the hull and the centre of wheel `wheel`.
    pub fn new(anchor: Vec2, wheel: usize, max_torque: f32) -> Self {
        let z = [0.0; 3];
        let o = vec2(0.0, 0.0);
        Self {
            anchor,
            wheel,
            motor_speed: 0.0,
            max_torque,
            impulse: z,
            motor_impulse: 0.0,
            limit: Limit::Inactive,
            ra: o,
            rb: o,
            ex: z,
            ey: z,
            ez: z,
            motor_mass: 0.0,
        }
    }

    fn solve22(&self, b: Vec2) -> Vec2 {
        let (a11, a12, a21, a22) = (self.ex[0], self.ey[0], self.ex[1], self.ey[1]);
        let mut det = a11 * a22 - a12 * a21;
        if det != 0.0 {
            det = 1.0 / det;
        }
        vec2(det * (a22 * b.x - a12 * b.y), det * (a11 * b.y - a21 * b.x))
    }

    fn solve33(&self, b: [f32; 3]) -> [f32; 3] {
        let mut det = dot3(self.ex, cross3(self.ey, self.ez));
        if det != 0.0 {
            det = 1.0 / det;
        }
        [
            det * dot3(b, cross3(self.ey, self.ez)),
            det * dot3(self.ex, cross3(b, self.ez)),
            det * dot3(self.ex, cross3(self.ey, b)),
        ]
    }

    fn prepare(&mut self, hull: &mut Body, wheel: &mut Body, dt_ratio: f32) {
        self.ra = Rot::new(hull.angle).apply(self.anchor - hull.local_center);
        self.rb = Rot::new(wheel.angle).apply(vec2(0.0, 0.0) - wheel.local_center);
        let (ma, mb, ia, ib) = (hull.inv_mass, wheel.inv_mass, hull.inv_inertia, wheel.inv_inertia);
        let (ra, rb) = (self.ra, self.rb);
        self.ex[0] = ma + mb + ra.y * ra.y * ia + rb.y * rb.y * ib;
        self.ey[0] = -ra.y * ra.x * ia - rb.y * rb.x * ib;
        self.ez[0] = -ra.y * ia - rb.y * ib;
        self.ex[1] = self.ey[0];
        self.ey[1] = ma + mb + ra.x * ra.x * ia + rb.x * rb.x * ib;
        self.ez[1] = ra.x * ia + rb.x * ib;
        self.ex[2] = self.ez[0];
        self.ey[2] = self.ez[1];
        self.ez[2] = ia + ib;
        self.motor_mass = 1.0 / (ia + ib);
        let angle = wheel.angle - hull.angle;
        let limit = if angle <= LOWER {
            Limit::Lower
        } else if angle >= UPPER {
            Limit::Upper
        } else {
            Limit::Inactive
        };
        if limit == Limit::Inactive || limit != self.limit {
            self.impulse[2] = 0.0;
        }
        self.limit = limit;
        // Warm start.
        self.impulse = self.impulse.map(|i| i * dt_ratio);
        self.motor_impulse *= dt_ratio;
        let p = vec2(self.impulse[0], self.impulse[1]);
        hull.velocity -= ma * p;
        hull.angular -= ia * (ra.cross(p) + self.motor_impulse + self.impulse[2]);
        wheel.velocity += mb * p;
        wheel.angular += ib * (rb.cross(p) + self.motor_impulse + self.impulse[2]);
    }

    fn solve_velocity(&mut self, hull: &mut Body, wheel: &mut Body, dt: f32) {
        let (ma, mb, ia, ib) = (hull.inv_mass, wheel.inv_mass, hull.inv_inertia, wheel.inv_inertia);
        let (mut va, mut wa, mut vb, mut wb) = (hull.velocity, hull.angular, wheel.velocity, wheel.angular);
        let (ra, rb) = (self.ra, self.rb);
        let speed = wb - wa - self.motor_speed;
        let impulse = -self.motor_mass * speed;
        let old = self.motor_impulse;
        let most = dt * self.max_torque;
        // b2Clamp: max(low, min(a, high)).
        self.motor_impulse = clamp(old + impulse, -most, most);
        let impulse = self.motor_impulse - old;
        wa -= ia * impulse;
        wb += ib * impulse;
        let slip = vb + cross(wb, rb) - va - cross(wa, ra);
        if self.limit == Limit::Inactive {
            let impulse = self.solve22(-slip);
            self.impulse[0] += impulse.x;
            self.impulse[1] += impulse.y;
            va -= ma * impulse;
            wa -= ia * ra.cross(impulse);
            vb += mb * impulse;
            wb += ib * rb.cross(impulse);
        } else {
            let solved = self.solve33([slip.x, slip.y, wb - wa]).map(|x| -x);
            let mut impulse = solved;
            let new = self.impulse[2] + solved[2];
            if (self.limit == Limit::Lower && new < 0.0) || (self.limit == Limit::Upper && new > 0.0) {
                let rhs = -slip + self.impulse[2] * vec2(self.ez[0], self.ez[1]);
                let reduced = self.solve22(rhs);
                impulse = [reduced.x, reduced.y, -self.impulse[2]];
                self.impulse[0] += reduced.x;
                self.impulse[1] += reduced.y;
                self.impulse[2] = 0.0;
            } else {
                for (a, b) in self.impulse.iter_mut().zip(impulse) {
                    *a += b;
                }
            }
            let p = vec2(impulse[0], impulse[1]);
            va -= ma * p;
            wa -= ia * (ra.cross(p) + impulse[2]);
            vb += mb * p;
            wb += ib * (rb.cross(p) + impulse[2]);
        }
        (hull.velocity, hull.angular, wheel.velocity, wheel.angular) = (va, wa, vb, wb);
    }

    fn solve_position(&self, hull: &mut Body, wheel: &mut Body) -> bool {
        let (ma, mb, ia, ib) = (hull.inv_mass, wheel.inv_mass, hull.inv_inertia, wheel.inv_inertia);
        let mut angular_error = 0.0;
        if self.limit != Limit::Inactive {
            let angle = wheel.angle - hull.angle;
            let correction = if self.limit == Limit::Lower {
                let c = angle - LOWER;
                angular_error = -c;
                clamp(c + ANGULAR_SLOP, -MAX_ANGULAR_CORRECTION, 0.0)
            } else {
                let c = angle - UPPER;
                angular_error = c;
                clamp(c - ANGULAR_SLOP, 0.0, MAX_ANGULAR_CORRECTION)
            };
            let impulse = -self.motor_mass * correction;
            hull.angle -= ia * impulse;
            wheel.angle += ib * impulse;
        }
        let ra = Rot::new(hull.angle).apply(self.anchor - hull.local_center);
        let rb = Rot::new(wheel.angle).apply(vec2(0.0, 0.0) - wheel.local_center);
        let c = wheel.center + rb - hull.center - ra;
        let error = (c.x * c.x + c.y * c.y).sqrt();
        let exx = ma + mb + ia * ra.y * ra.y + ib * rb.y * rb.y;
        let exy = -ia * ra.x * ra.y - ib * rb.x * rb.y;
        let eyy = ma + mb + ia * ra.x * ra.x + ib * rb.x * rb.x;
        let mut det = exx * eyy - exy * exy;
        if det != 0.0 {
            det = 1.0 / det;
        }
        let impulse = -vec2(det * (eyy * c.x - exy * c.y), det * (exx * c.y - exy * c.x));
        hull.center -= ma * impulse;
        hull.angle -= ia * ra.cross(impulse);
        wheel.center += mb * impulse;
        wheel.angle += ib * rb.cross(impulse);
        error <= LINEAR_SLOP && angular_error <= ANGULAR_SLOP
    }
}

fn clamp(a: f32, low: f32, high: f32) -> f32 {
    let least = if a < high { a } else { high };
    if low > least { low } else { least }
}

/// Hull, wheels and joints as one island.
#[derive(Clone, Debug, PartialEq)]
pub struct Island {
    /// Hull, then the wheels: front left, front right, rear left, rear right.
    pub bodies: [Body; 5],
    /// The wheels' joints, in the wheels' order.
    pub joints: [Joint; 4],
    started: bool,
}

impl Island {
    /// An island of a hull and four wheels.
    pub fn new(bodies: [Body; 5], joints: [Joint; 4]) -> Self {
        Self { bodies, joints, started: false }
    }

    /// Angle of a wheel against the hull.
    pub fn joint_angle(&self, wheel: usize) -> f32 {
        self.bodies[wheel + 1].angle - self.bodies[0].angle
    }

    /// b2World::Step with the iterations of the environment: joints newest first.
    pub fn step(&mut self, dt: f32) {
        // On a world's first step there is nothing to warm-start from.
        let dt_ratio = if self.started { (1.0 / dt) * dt } else { 0.0 };
        self.started = true;
        for b in &mut self.bodies {
            b.velocity += dt * (b.inv_mass * b.force);
        }
        let [hull, wheels @ ..] = &mut self.bodies;
        for j in self.joints.iter_mut().rev() {
            j.prepare(hull, &mut wheels[j.wheel], dt_ratio);
        }
        for _ in 0..VELOCITY_ITERATIONS {
            // A sweep that changes no bit is a fixed point: all the others would change nothing either.
            let mut changed = false;
            for j in self.joints.iter_mut().rev() {
                let wheel = &mut wheels[j.wheel];
                let before = (hull.velocity, hull.angular, wheel.velocity, wheel.angular, j.impulse, j.motor_impulse);
                j.solve_velocity(hull, wheel, dt);
                changed |= before != (hull.velocity, hull.angular, wheel.velocity, wheel.angular, j.impulse, j.motor_impulse);
            }
            if !changed {
                break;
            }
        }
        for b in &mut self.bodies {
            let translation = dt * b.velocity;
            if translation.dot(translation) > MAX_TRANSLATION * MAX_TRANSLATION {
                let ratio = MAX_TRANSLATION / translation.dot(translation).sqrt();
                b.velocity = ratio * b.velocity;
            }
            let rotation = dt * b.angular;
            if rotation * rotation > MAX_ROTATION * MAX_ROTATION {
                b.angular *= MAX_ROTATION / rotation.abs();
            }
            b.center += dt * b.velocity;
            b.angle += dt * b.angular;
        }
        let [hull, wheels @ ..] = &mut self.bodies;
        let mut solved = false;
        for _ in 0..POSITION_ITERATIONS {
            solved = true;
            for j in self.joints.iter().rev() {
                solved &= j.solve_position(hull, &mut wheels[j.wheel]);
            }
            if solved {
                break;
            }
        }
        for b in &mut self.bodies {
            b.rotation = Rot::new(b.angle);
            b.position = b.center - b.rotation.apply(b.local_center);
            b.force = vec2(0.0, 0.0);
        }
        self.sleep(dt, solved);
    }

    /// A car that hardly moves for half a second is put to sleep: its velocities become zero. The forces of the next step
    /// wake it again.
    fn sleep(&mut self, dt: f32, solved: bool) {
        let mut least = f32::MAX;
        for b in &mut self.bodies {
            if b.angular * b.angular > ANGULAR_SLEEP * ANGULAR_SLEEP || b.velocity.dot(b.velocity) > LINEAR_SLEEP * LINEAR_SLEEP {
                b.sleep_time = 0.0;
            } else {
                b.sleep_time += dt;
            }
            least = least.min(b.sleep_time);
        }
        if least >= TIME_TO_SLEEP && solved {
            for b in &mut self.bodies {
                b.sleep_time = 0.0;
                b.velocity = vec2(0.0, 0.0);
                b.angular = 0.0;
            }
        }
    }
}
