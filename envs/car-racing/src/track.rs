//! The track: a closed chain of road tiles, drawn from the seed (`car_racing.py`, `_create_track`).
//!
//! Every expression keeps the order of operations of the reference, so that the coordinates are the
//! same `f64`.

use std::f64::consts::PI;

use crate::rng::Rng;

/// World units per unit of the original drawing.
pub(crate) const SCALE: f64 = 6.0;
/// The car leaves the field beyond ± this value.
pub const PLAYFIELD: f64 = 2000.0 / SCALE;
/// Half of the width of the road.
pub const TRACK_WIDTH: f64 = 40.0 / SCALE;

const TRACK_RAD: f64 = 900.0 / SCALE;
const TRACK_DETAIL_STEP: f64 = 21.0 / SCALE;
const TRACK_TURN_RATE: f64 = 0.31;
const BORDER: f64 = 8.0 / SCALE;
const BORDER_MIN_COUNT: usize = 4;
const CHECKPOINTS: usize = 12;

/// A point in world units.
pub type Point = (f64, f64);

/// One point of the centre line of the road.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackPoint {
    /// Angle of the point seen from the middle of the field, radians.
    pub alpha: f64,
    /// Direction of the road, radians: the road runs along `(−sin beta, cos beta)`.
    pub beta: f64,
    /// Position, world units.
    pub x: f64,
    /// Position, world units.
    pub y: f64,
}

/// A red or white kerb stone beside a hard turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kerb {
    /// Corners.
    pub corners: [Point; 4],
    /// White, or else red.
    pub white: bool,
}

/// The part of the road between two points of the track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    /// Corners: left and right at this point, right and left at the point before.
    pub corners: [Point; 4],
    /// The kerb stone beside it, on hard turns.
    pub kerb: Option<Kerb>,
}

/// A closed track. Tile `i` lies between points `i − 1` and `i`.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// The centre line.
    pub points: Vec<TrackPoint>,
    /// The road, one tile per point.
    pub tiles: Vec<Tile>,
}

impl Track {
    /// Draws tracks until the two ends of one meet.
    pub fn generate(rng: &mut Rng) -> Self {
        loop {
            if let Some(points) = close_loop(&drive_checkpoints(&checkpoints(rng))) {
                let tiles = tiles(&points);
                return Self { points, tiles };
            }
        }
    }
}

impl Track {
    /// Index of the point nearest to (`x`, `y`). With the index `last` of an earlier call only
    /// points near it are searched, from 3 before to 14 after, because a track can come close to
    /// itself.
    pub fn nearest(&self, (x, y): Point, last: Option<usize>) -> usize {
        let n = self.points.len();
        let distance = |i: usize| libm::hypot(self.points[i % n].x - x, self.points[i % n].y - y);
        let nearest = |range: std::ops::Range<usize>| {
            range
                .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
                .unwrap_or(0)
        };
        last.map_or_else(
            || nearest(0..n),
            |last| nearest(last + n - 3..last + n + 15),
        ) % n
    }

    /// Curvature of the road over the three tiles from point `i` on, radians per world unit,
    /// positive to the left. `i` may be beyond the last point and wraps around.
    pub fn curvature(&self, i: usize) -> f64 {
        let n = self.points.len();
        let (a, b) = (self.points[i % n], self.points[(i + 3) % n]);
        let turn = (b.beta - a.beta + PI).rem_euclid(2.0 * PI) - PI;
        turn / libm::hypot(b.x - a.x, b.y - a.y).max(1.0)
    }

    /// The largest curvature, to either side, within the `tiles` tiles (three or more) from point
    /// `i` on.
    pub fn max_curvature(&self, i: usize, tiles: usize) -> f64 {
        (i..i + tiles - 2)
            .map(|i| self.curvature(i).abs())
            .fold(0.0, f64::max)
    }
}

/// The points that the road turns towards: (angle, x, y).
fn checkpoints(rng: &mut Rng) -> [(f64, f64, f64); CHECKPOINTS] {
    std::array::from_fn(|c| {
        let turn = 2.0 * PI * c as f64 / CHECKPOINTS as f64;
        // both numbers are drawn for every checkpoint, even if they are replaced
        let noise = rng.uniform(0.0, 2.0 * PI * 1.0 / CHECKPOINTS as f64);
        let rad = rng.uniform(TRACK_RAD / 3.0, TRACK_RAD);
        let (alpha, rad) = match c {
            0 => (0.0, 1.5 * TRACK_RAD),
            _ if c == CHECKPOINTS - 1 => (turn, 1.5 * TRACK_RAD),
            _ => (turn + noise, rad),
        };
        (alpha, rad * libm::cos(alpha), rad * libm::sin(alpha))
    })
}

/// Drives from checkpoint to checkpoint for several laps.
fn drive_checkpoints(checkpoints: &[(f64, f64, f64); CHECKPOINTS]) -> Vec<TrackPoint> {
    let (mut x, mut y, mut beta) = (1.5 * TRACK_RAD, 0.0f64, 0.0f64);
    let mut dest = 0usize;
    let mut laps = 0;
    let mut visited_other_side = false;
    let mut track = Vec::with_capacity(2500);
    for _ in 0..2500 {
        let mut alpha = libm::atan2(y, x);
        if visited_other_side && alpha > 0.0 {
            laps += 1;
            visited_other_side = false;
        }
        if alpha < 0.0 {
            visited_other_side = true;
            alpha += 2.0 * PI;
        }

        let (dest_x, dest_y) = 'found: loop {
            loop {
                let (dest_alpha, dest_x, dest_y) = checkpoints[dest % CHECKPOINTS];
                if alpha <= dest_alpha {
                    break 'found (dest_x, dest_y);
                }
                dest += 1;
                if dest.is_multiple_of(CHECKPOINTS) {
                    break;
                }
            }
            alpha -= 2.0 * PI;
        };

        let (r1x, r1y) = (libm::cos(beta), libm::sin(beta));
        let (p1x, p1y) = (-r1y, r1x);
        let proj = r1x * (dest_x - x) + r1y * (dest_y - y);
        while beta - alpha > 1.5 * PI {
            beta -= 2.0 * PI;
        }
        while beta - alpha < -1.5 * PI {
            beta += 2.0 * PI;
        }
        let prev_beta = beta;
        let proj = proj * SCALE;
        let turn = TRACK_TURN_RATE.min((0.001 * proj).abs());
        if proj > 0.3 {
            beta -= turn;
        }
        if proj < -0.3 {
            beta += turn;
        }
        x += p1x * TRACK_DETAIL_STEP;
        y += p1y * TRACK_DETAIL_STEP;
        track.push(TrackPoint {
            alpha,
            beta: prev_beta * 0.5 + beta * 0.5,
            x,
            y,
        });
        if laps > 4 {
            break;
        }
    }
    track
}

/// The last full lap, if its two ends meet.
fn close_loop(track: &[TrackPoint]) -> Option<Vec<TrackPoint>> {
    let start_alpha = 2.0 * PI * (-0.5) / CHECKPOINTS as f64;
    let mut crossings = (1..track.len())
        .rev()
        .filter(|&i| track[i].alpha > start_alpha && track[i - 1].alpha <= start_alpha);
    let end = crossings.next()?;
    let begin = crossings.next()?;
    let lap = &track[begin..end - 1];
    let (first, last) = (lap.first()?, lap.last()?);
    let gap_x = libm::cos(first.beta) * (first.x - last.x);
    let gap_y = libm::sin(first.beta) * (first.y - last.y);
    let gap = (gap_x * gap_x + gap_y * gap_y).sqrt();
    (gap <= TRACK_DETAIL_STEP).then(|| lap.to_vec())
}

/// Whether each point has a kerb: where the road turns hard in one direction.
fn kerbs(points: &[TrackPoint]) -> Vec<bool> {
    let n = points.len();
    let before = |i: usize, back: usize| (i + n - back % n) % n;
    let hard: Vec<bool> = (0..n)
        .map(|i| {
            let turns = (0..BORDER_MIN_COUNT)
                .map(|back| points[before(i, back)].beta - points[before(i, back + 1)].beta);
            let one_sided: f64 = turns.clone().map(sign).sum();
            turns.clone().all(|turn| turn.abs() > TRACK_TURN_RATE * 0.2)
                && one_sided.abs() == BORDER_MIN_COUNT as f64
        })
        .collect();
    let mut kerbs = hard;
    // in place, as the reference does it: points that a turn marks behind itself mark no others,
    // except across the start
    for i in 0..n {
        for back in 0..BORDER_MIN_COUNT {
            let here = kerbs[i];
            kerbs[before(i, back)] |= here;
        }
    }
    kerbs
}

fn tiles(points: &[TrackPoint]) -> Vec<Tile> {
    let kerbs = kerbs(points);
    (0..points.len())
        .map(|i| {
            let (p1, p2) = (points[i], points[(i + points.len() - 1) % points.len()]);
            let aside = |p: TrackPoint, distance: f64| {
                (
                    p.x + distance * libm::cos(p.beta),
                    p.y + distance * libm::sin(p.beta),
                )
            };
            let corners = [
                aside(p1, -TRACK_WIDTH),
                aside(p1, TRACK_WIDTH),
                aside(p2, TRACK_WIDTH),
                aside(p2, -TRACK_WIDTH),
            ];
            let kerb = kerbs[i].then(|| {
                let side = sign(p2.beta - p1.beta);
                let (inner, outer) = (side * TRACK_WIDTH, side * (TRACK_WIDTH + BORDER));
                Kerb {
                    corners: [
                        aside(p1, inner),
                        aside(p1, outer),
                        aside(p2, outer),
                        aside(p2, inner),
                    ],
                    white: i % 2 == 0,
                }
            });
            Tile { corners, kerb }
        })
        .collect()
}

/// −1, 0 or 1, as numpy's `sign`.
pub(crate) fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A circle of radius 50 driven to the left: the road at angle α runs along (−sin α, cos α).
    /// Over three of 90 points a chord is shorter than its arc by the factor sin(φ/2)/(φ/2), φ =
    /// 12°.
    #[test]
    fn a_circle_has_one_curvature_and_every_point_is_nearest_to_itself() {
        let points: Vec<TrackPoint> = (0..90)
            .map(|i| f64::from(i) * PI / 45.0)
            .map(|alpha| TrackPoint {
                alpha,
                beta: alpha,
                x: 50.0 * alpha.cos(),
                y: 50.0 * alpha.sin(),
            })
            .collect();
        let track = Track {
            points,
            tiles: Vec::new(),
        };
        let phi = PI / 15.0;
        let wanted = phi / 2.0 / (phi / 2.0).sin() / 50.0;
        for i in 0..95 {
            assert!(
                (track.curvature(i) - wanted).abs() < 1e-12,
                "{i}: {}",
                track.curvature(i)
            );
        }
        assert!((track.max_curvature(80, 30) - wanted).abs() < 1e-12);
        let at = |i: usize| (track.points[i].x * 1.1, track.points[i].y * 1.1);
        assert_eq!(
            (0..90)
                .map(|i| track.nearest(at(i), None))
                .collect::<Vec<_>>(),
            (0..90).collect::<Vec<_>>()
        );
        // With a last point only the three before it and the fourteen after it are searched, across
        // the end of the lap too.
        assert_eq!(
            (
                track.nearest(at(3), Some(89)),
                track.nearest(at(45), Some(0))
            ),
            (3, 14)
        );
    }
}
