//! Plane vectors and rotations in `f32`, rounded as Box2D rounds them (`b2Math.h`).

use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use crate::sincos::sin_cos;

/// A vector of the plane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Vec2 {
    pub x: f32,
    pub y: f32,
}

impl Vec2 {
    pub const ZERO: Self = Self { x: 0.0, y: 0.0 };

    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    pub fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y
    }

    pub fn cross(self, other: Self) -> f32 {
        self.x * other.y - self.y * other.x
    }

    pub fn length_squared(self) -> f32 {
        self.x * self.x + self.y * self.y
    }

    pub fn length(self) -> f32 {
        self.length_squared().sqrt()
    }
}

impl Add for Vec2 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Vec2 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y)
    }
}

impl Neg for Vec2 {
    type Output = Self;
    fn neg(self) -> Self {
        Self::new(-self.x, -self.y)
    }
}

impl Mul<Vec2> for f32 {
    type Output = Vec2;
    fn mul(self, v: Vec2) -> Vec2 {
        Vec2::new(self * v.x, self * v.y)
    }
}

impl AddAssign for Vec2 {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Vec2 {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

/// The cross product of an angular velocity and a vector.
pub(crate) fn cross_scalar(s: f32, v: Vec2) -> Vec2 {
    Vec2::new(-s * v.y, s * v.x)
}

/// A rotation, stored as sine and cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rot {
    pub sin: f32,
    pub cos: f32,
}

impl Rot {
    pub fn new(angle: f32) -> Self {
        let (sin, cos) = sin_cos(angle);
        Self { sin, cos }
    }

    pub fn apply(self, v: Vec2) -> Vec2 {
        Vec2::new(
            self.cos * v.x - self.sin * v.y,
            self.sin * v.x + self.cos * v.y,
        )
    }

    pub fn apply_inverse(self, v: Vec2) -> Vec2 {
        Vec2::new(
            self.cos * v.x + self.sin * v.y,
            -self.sin * v.x + self.cos * v.y,
        )
    }
}

/// The transform from a body's coordinates to the world's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Transform {
    pub position: Vec2,
    pub rotation: Rot,
}

impl Transform {
    pub fn apply(self, v: Vec2) -> Vec2 {
        let Rot { sin, cos } = self.rotation;
        Vec2::new(
            (cos * v.x - sin * v.y) + self.position.x,
            (sin * v.x + cos * v.y) + self.position.y,
        )
    }
}
