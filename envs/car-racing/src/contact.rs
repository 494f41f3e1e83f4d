//! Which tiles touch which parts of the car: Box2D's sensor overlap of convex polygons with a skin of 0.01 each.

use crate::{
    solver::{POLYGON_RADIUS, Vec2, vec2},
    track::Tile,
};

/// A tile's corners as the solver sees them, with a circle about them.
#[derive(Clone, Debug)]
struct Shape {
    corners: [Vec2; 4],
    center: Vec2,
    radius: f32,
}

/// All tiles of a track, to be asked what a polygon touches.
#[derive(Clone, Debug, Default)]
pub struct TileMap {
    shapes: Vec<Shape>,
}

impl TileMap {
    /// The map of `tiles`.
    pub fn new(tiles: &[Tile]) -> Self {
        let shape = |tile: &Tile| {
            let corners = tile.quad.map(|(x, y)| vec2(x as f32, y as f32));
            let sum = corners.iter().fold(vec2(0.0, 0.0), |a, &b| a + b);
            let center = 0.25 * sum;
            let radius = corners.iter().map(|&c| (c - center).dot(c - center).sqrt()).fold(0.0, f32::max);
            Shape { corners, center, radius }
        };
        Self { shapes: tiles.iter().map(shape).collect() }
    }

    /// Numbers of tiles whose circle comes within `reach` of `at`, into `out`.
    pub fn near(&self, at: Vec2, reach: f32, out: &mut Vec<usize>) {
        out.clear();
        for (i, s) in self.shapes.iter().enumerate() {
            let d = s.center - at;
            let r = s.radius + reach;
            if d.dot(d) <= r * r {
                out.push(i);
            }
        }
    }

    /// Whether tile `tile` touches the convex polygon `other`.
    pub fn touches(&self, tile: usize, other: &[Vec2]) -> bool {
        distance_within(&self.shapes[tile].corners, other, f64::from(2.0 * POLYGON_RADIUS))
    }
}

/// Whether two convex polygons are at most `reach` apart.
fn distance_within(a: &[Vec2], b: &[Vec2], reach: f64) -> bool {
    let wide = |v: Vec2| (f64::from(v.x), f64::from(v.y));
    !separated(a, b) || {
        let closest = |from: &[Vec2], to: &[Vec2]| {
            from.iter().map(|&p| to.iter().zip(to.iter().cycle().skip(1)).map(|(&q, &r)| to_segment(wide(p), wide(q), wide(r))).fold(f64::MAX, f64::min)).fold(f64::MAX, f64::min)
        };
        closest(a, b).min(closest(b, a)) <= reach * reach
    }
}

/// Whether an edge of either polygon separates them.
fn separated(a: &[Vec2], b: &[Vec2]) -> bool {
    let one = |a: &[Vec2], b: &[Vec2]| {
        let wide = |v: Vec2| (f64::from(v.x), f64::from(v.y));
        let sum: f64 = area2(a);
        a.iter().zip(a.iter().cycle().skip(1)).any(|(&p, &q)| {
            let (p, q) = (wide(p), wide(q));
            b.iter().all(|&r| {
                let r = wide(r);
                // On the outer side of the edge, whichever way the polygon runs.
                ((q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0)) * sum < 0.0
            })
        })
    };
    one(a, b) || one(b, a)
}

fn area2(a: &[Vec2]) -> f64 {
    a.iter().zip(a.iter().cycle().skip(1)).map(|(p, q)| f64::from(p.x) * f64::from(q.y) - f64::from(p.y) * f64::from(q.x)).sum()
}

/// Squared distance of a point to a segment.
fn to_segment(p: (f64, f64), a: (f64, f64), b: (f64, f64)) -> f64 {
    let (d, e) = ((b.0 - a.0, b.1 - a.1), (p.0 - a.0, p.1 - a.1));
    let t = ((d.0 * e.0 + d.1 * e.1) / (d.0 * d.0 + d.1 * d.1)).clamp(0.0, 1.0);
    let (x, y) = (e.0 - t * d.0, e.1 - t * d.1);
    x * x + y * y
}
