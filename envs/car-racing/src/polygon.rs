//! Convex polygons and their mass (`b2PolygonShape.cpp`).

use crate::math::Vec2;

const MAX_VERTICES: usize = 8;

/// A convex polygon, counter-clockwise, in the coordinates of its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Polygon {
    vertices: [Vec2; MAX_VERTICES],
    count: usize,
}

/// Mass, centre and rotational inertia about the body's origin.
pub(crate) struct Mass {
    pub mass: f32,
    pub center: Vec2,
    pub inertia: f32,
}

impl Polygon {
    /// The convex hull of at most eight points, wrapped from the rightmost one as in Box2D: the
    /// order of the corners determines the rounding of later sums.
    pub fn hull(points: &[Vec2]) -> Self {
        let mut first = 0;
        for (i, p) in points.iter().enumerate() {
            let best = points[first];
            if p.x > best.x || (p.x == best.x && p.y < best.y) {
                first = i;
            }
        }
        let mut polygon = Self {
            vertices: [Vec2::ZERO; MAX_VERTICES],
            count: 0,
        };
        let mut here = first;
        // a closed hull has at most as many corners as there are points, whatever the rounding
        while polygon.count < points.len() {
            polygon.vertices[polygon.count] = points[here];
            polygon.count += 1;
            let mut next = 0;
            for j in 1..points.len() {
                if next == here {
                    next = j;
                    continue;
                }
                let r = points[next] - points[here];
                let v = points[j] - points[here];
                let c = r.cross(v);
                if c < 0.0 || (c == 0.0 && v.length_squared() > r.length_squared()) {
                    next = j;
                }
            }
            here = next;
            if here == first {
                break;
            }
        }
        polygon
    }

    /// The corners.
    pub fn vertices(&self) -> &[Vec2] {
        &self.vertices[..self.count]
    }

    /// Mass, centre and inertia for `density`.
    pub fn mass(&self, density: f32) -> Mass {
        let vertices = self.vertices();
        let mut origin = Vec2::ZERO;
        for &v in vertices {
            origin += v;
        }
        origin = (1.0 / vertices.len() as f32) * origin;

        let third = 1.0f32 / 3.0;
        let (mut center, mut area, mut inertia) = (Vec2::ZERO, 0.0f32, 0.0f32);
        for (i, &v) in vertices.iter().enumerate() {
            let e1 = v - origin;
            let e2 = vertices[(i + 1) % vertices.len()] - origin;
            let d = e1.cross(e2);
            let triangle = 0.5 * d;
            area += triangle;
            center += (triangle * third) * (e1 + e2);
            let x2 = e1.x * e1.x + e2.x * e1.x + e2.x * e2.x;
            let y2 = e1.y * e1.y + e2.y * e1.y + e2.y * e2.y;
            inertia += (0.25 * third * d) * (x2 + y2);
        }
        let mass = density * area;
        center = (1.0 / area) * center;
        let shifted = center + origin;
        let inertia = density * inertia + mass * (shifted.dot(shifted) - center.dot(center));
        Mass {
            mass,
            center: shifted,
            inertia,
        }
    }
}
