//! Whether two convex polygons overlap, as Box2D decides it (`b2Distance.cpp`, `b2TestOverlap`).
//!
//! Box2D computes the distance of two polygons with the GJK algorithm in `f32`; they overlap if it
//! is at most the sum of their skins (0.01 each). The reward depends on the step of the first
//! contact with a tile, so the algorithm is followed operation by operation instead of replaced by
//! an exact test.

use crate::math::{Transform, Vec2};

const SKIN: f32 = 2.0 * 0.005;
const MAX_ITERATIONS: usize = 20;

/// A corner of the Minkowski difference.
#[derive(Clone, Copy, Default)]
struct Corner {
    on_a: Vec2,
    on_b: Vec2,
    w: Vec2,
    /// Barycentric weight of the closest point.
    weight: f32,
    index: (usize, usize),
}

/// Whether `a`, in world coordinates, and `b`, transformed by `placed`, overlap.
pub(crate) fn overlap(a: &[Vec2], b: &[Vec2], placed: Transform) -> bool {
    let corner = |ia: usize, ib: usize| {
        let (on_a, on_b) = (a[ia], placed.apply(b[ib]));
        Corner {
            on_a,
            on_b,
            w: on_b - on_a,
            weight: 0.0,
            index: (ia, ib),
        }
    };
    let mut simplex = [Corner::default(); 3];
    simplex[0] = corner(0, 0);
    simplex[0].weight = 1.0;
    let mut count = 1;
    for _ in 0..MAX_ITERATIONS {
        let saved = simplex.map(|c| c.index);
        let saved_count = count;
        match count {
            2 => count = solve2(&mut simplex),
            3 => count = solve3(&mut simplex),
            _ => {}
        }
        if count == 3 {
            break;
        }
        let direction = if count == 1 {
            -simplex[0].w
        } else {
            let edge = simplex[1].w - simplex[0].w;
            if edge.cross(-simplex[0].w) > 0.0 {
                Vec2::new(-edge.y, edge.x)
            } else {
                Vec2::new(edge.y, -edge.x)
            }
        };
        if direction.length_squared() < f32::EPSILON * f32::EPSILON {
            break;
        }
        let next = corner(
            support(a, -direction),
            support(b, placed.rotation.apply_inverse(direction)),
        );
        if saved[..saved_count].contains(&next.index) {
            break;
        }
        simplex[count] = next;
        count += 1;
    }
    let [c1, c2, _] = simplex;
    let distance = match count {
        1 => (c1.on_a - c1.on_b).length(),
        2 => ((c1.weight * c1.on_a + c2.weight * c2.on_a)
            - (c1.weight * c1.on_b + c2.weight * c2.on_b))
            .length(),
        _ => 0.0,
    };
    let skins = SKIN + SKIN;
    distance <= skins || distance <= f32::EPSILON || distance - skins < 10.0 * f32::EPSILON
}

fn support(points: &[Vec2], direction: Vec2) -> usize {
    let mut best = (0, points[0].dot(direction));
    for (i, p) in points.iter().enumerate().skip(1) {
        let value = p.dot(direction);
        if value > best.1 {
            best = (i, value);
        }
    }
    best.0
}

/// Reduces a segment to the part that is closest to the origin; returns the number of corners left.
fn solve2(s: &mut [Corner; 3]) -> usize {
    let (w1, w2) = (s[0].w, s[1].w);
    let edge = w2 - w1;
    let along2 = -w1.dot(edge);
    if along2 <= 0.0 {
        return keep1(s, 0);
    }
    let along1 = w2.dot(edge);
    if along1 <= 0.0 {
        return keep1(s, 1);
    }
    keep2(s, 0, 1, along1, along2)
}

/// Reduces a triangle to the part that is closest to the origin; returns the number of corners
/// left.
fn solve3(s: &mut [Corner; 3]) -> usize {
    let [w1, w2, w3] = s.map(|c| c.w);
    let (e12, e13, e23) = (w2 - w1, w3 - w1, w3 - w2);
    let (d12_1, d12_2) = (w2.dot(e12), -w1.dot(e12));
    let (d13_1, d13_2) = (w3.dot(e13), -w1.dot(e13));
    let (d23_1, d23_2) = (w3.dot(e23), -w2.dot(e23));
    let n = e12.cross(e13);
    let (d1, d2, d3) = (n * w2.cross(w3), n * w3.cross(w1), n * w1.cross(w2));

    if d12_2 <= 0.0 && d13_2 <= 0.0 {
        return keep1(s, 0);
    }
    if d12_1 > 0.0 && d12_2 > 0.0 && d3 <= 0.0 {
        return keep2(s, 0, 1, d12_1, d12_2);
    }
    if d13_1 > 0.0 && d13_2 > 0.0 && d2 <= 0.0 {
        return keep2(s, 0, 2, d13_1, d13_2);
    }
    if d12_1 <= 0.0 && d23_2 <= 0.0 {
        return keep1(s, 1);
    }
    if d13_1 <= 0.0 && d23_1 <= 0.0 {
        return keep1(s, 2);
    }
    if d23_1 > 0.0 && d23_2 > 0.0 && d1 <= 0.0 {
        // Box2D moves the third corner to the front here
        return keep2(s, 2, 1, d23_2, d23_1);
    }
    3
}

fn keep1(s: &mut [Corner; 3], i: usize) -> usize {
    s[0] = s[i];
    s[0].weight = 1.0;
    1
}

/// Keeps corners `i` and `j` with weights in the ratio of `along_i` to `along_j`.
fn keep2(s: &mut [Corner; 3], i: usize, j: usize, along_i: f32, along_j: f32) -> usize {
    let (mut first, mut second) = (s[i], s[j]);
    // the order of the sum does not matter: the addition of two numbers commutes
    let inverse = 1.0 / (along_i + along_j);
    first.weight = along_i * inverse;
    second.weight = along_j * inverse;
    s[0] = first;
    s[1] = second;
    2
}
