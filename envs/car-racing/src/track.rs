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
        turn(a, b) / libm::hypot(b.x - a.x, b.y - a.y).max(1.0)
    }

    /// The largest curvature, to either side, within the `tiles` tiles (three or more) from point
    /// `i` on.
    pub fn max_curvature(&self, i: usize, tiles: usize) -> f64 {
        (i..i + tiles - 2)
            .map(|i| self.curvature(i).abs())
            .fold(0.0, f64::max)
    }

    /// Index of the point nearest to `position` for something that was nearest to point `last` a
    /// step ago. Only points near that one are searched, so that it stays on its own part of a
    /// track that comes close to itself; unless it has left the road by more than half the road's
    /// width, for then it may return to another part.
    pub fn follow(&self, position: Point, last: usize) -> usize {
        let n = self.points.len();
        let mut best = last % n;
        let mut least = self.square_distance(position, best);
        let mut search = |i: usize| {
            let square = self.square_distance(position, i);
            if square < least {
                (best, least) = (i, square);
            }
            least
        };
        let mut reached = 0.0;
        for step in 0..=2 * FOLLOWED {
            reached = search((last + step + n - FOLLOWED % n) % n);
        }
        if reached > LOST * LOST {
            for i in 0..n {
                search(i);
            }
        }
        best
    }

    fn square_distance(&self, (x, y): Point, i: usize) -> f64 {
        let (dx, dy) = (self.points[i].x - x, self.points[i].y - y);
        dx * dx + dy * dy
    }

    /// Where `position` lies beside the centre line, if `nearest` is the point nearest to it. It
    /// changes without jumps as the position moves, on the road and beside it up to where
    /// [`Track::follow`] searches everywhere.
    pub fn place(&self, position: Point, nearest: usize) -> Place {
        let n = self.points.len();
        let (x, y) = position;
        // How far the position is ahead of a point, along the direction of the road there.
        let ahead = |i: usize| {
            let p = self.points[i];
            let (sin, cos) = libm::sincos(p.beta);
            (y - p.y) * cos - (x - p.x) * sin
        };
        let (before, after) = ((nearest + n - 1) % n, (nearest + 1) % n);
        let here = ahead(nearest);
        let (from, to, past, rest) = if here < 0.0 {
            (before, nearest, ahead(before), here)
        } else {
            (nearest, after, here, ahead(after))
        };
        // It is ahead of one point and behind the other, except far inside a bend, where the lines
        // across the road have met.
        let share = if past <= 0.0 {
            0.0
        } else if rest >= 0.0 {
            1.0
        } else {
            past / (past - rest)
        };
        let (a, b) = (self.points[from], self.points[to]);
        let beta = a.beta + share * turn(a, b);
        let (sin, cos) = libm::sincos(beta);
        let (dx, dy) = (
            x - (a.x + share * (b.x - a.x)),
            y - (a.y + share * (b.y - a.y)),
        );
        Place {
            point: from,
            share,
            beta,
            offset: dx * cos + dy * sin,
        }
    }

    /// Mean curvature of the centre line over `N` stretches of `length` world units each, which
    /// follow one another from `place` on: the change of the road's direction over the stretch by
    /// its length, radians per world unit, positive to the left. Nothing between them is left out.
    pub fn curvatures<const N: usize>(&self, place: &Place, length: f64) -> [f64; N] {
        let n = self.points.len();
        let (mut point, mut share) = (place.point, place.share);
        let mut curvatures = [0.0; N];
        for curvature in &mut curvatures {
            let (mut left, mut turned) = (length, 0.0);
            // No stretch is longer than a lap.
            for _ in 0..n {
                let (a, b) = (self.points[point], self.points[(point + 1) % n]);
                let (dx, dy) = (b.x - a.x, b.y - a.y);
                let whole = (dx * dx + dy * dy).sqrt();
                let rest = (1.0 - share) * whole;
                if rest > left {
                    turned += left / whole * turn(a, b);
                    share += left / whole;
                    break;
                }
                turned += (1.0 - share) * turn(a, b);
                left -= rest;
                (point, share) = ((point + 1) % n, 0.0);
            }
            *curvature = turned / length;
        }
        curvatures
    }
}

/// Points to either side in which [`Track::follow`] searches. A car moves by 2 units in a step at
/// most, which are not more than 2 points even inside the hardest bend.
const FOLLOWED: usize = 4;
/// Distance from the centre line from which on [`Track::follow`] searches everywhere.
const LOST: f64 = 1.5 * TRACK_WIDTH;

/// Where something lies beside the centre line of a track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Index of the point of the centre line before it.
    pub point: usize,
    /// Share of the way to the next point, 0 to 1.
    pub share: f64,
    /// Direction of the road there, radians: that of the two points, mixed by `share`.
    pub beta: f64,
    /// Distance from the centre line, world units, positive to the right.
    pub offset: f64,
}

/// By how much the road turns from one point to another, radians within ± π, positive to the left.
fn turn(a: TrackPoint, b: TrackPoint) -> f64 {
    (b.beta - a.beta + PI).rem_euclid(2.0 * PI) - PI
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

    /// A circle of radius 50, driven to the left or, with −1, to the right; 90 points.
    fn circle(side: f64) -> Track {
        let points = (0..90)
            .map(|i| side * f64::from(i) * PI / 45.0)
            .map(|alpha| TrackPoint {
                alpha,
                beta: if side > 0.0 { alpha } else { alpha + PI },
                x: 50.0 * libm::cos(alpha),
                y: 50.0 * libm::sin(alpha),
            })
            .collect();
        Track {
            points,
            tiles: Vec::new(),
        }
    }

    #[test]
    fn sides_of_a_circle() {
        for (side, name) in [(1.0, "left"), (-1.0, "right")] {
            let track = circle(side);
            for (radius, step) in [(45.0, 0.25), (50.0, 0.5), (57.0, 0.9), (50.0, 0.0)] {
                let alpha = side * (20.0 + step) * PI / 45.0;
                let at = (radius * libm::cos(alpha), radius * libm::sin(alpha));
                let place = track.place(at, track.nearest(at, None));
                // Driven to the left, the outside is on the right. Chords of 4° are up to 0.03 inside
                // of the circle.
                assert!(
                    (place.offset - side * (radius - 50.0)).abs() < 0.035,
                    "{name}, {radius}: {place:?}"
                );
                assert_eq!(place.point, 20);
                assert!((place.share - step).abs() < 0.01, "{name}: {place:?}");
                let beta = 20.0 + place.share;
                let wanted = side * beta * PI / 45.0 + if side > 0.0 { 0.0 } else { PI };
                assert!((place.beta - wanted).abs() < 1e-12, "{name}: {place:?}");
                let bends: [f64; 8] = track.curvatures(&place, 5.0);
                for bend in bends {
                    // A chord is shorter than its arc by 2e-4.
                    assert!((bend - side / 50.0).abs() < 1e-5, "{name}: {bends:?}");
                }
            }
        }
    }

    /// From a point on, 35 units are ten tiles. What the road turns over them is the change of its
    /// direction: as the points state it, and as it follows from their places alone.
    #[test]
    fn curvatures_are_what_the_road_turns() {
        let wrapped = |angle: f64| (angle + PI).rem_euclid(2.0 * PI) - PI;
        for seed in 0..20 {
            let track = Track::generate(&mut Rng::new(seed));
            let points = &track.points;
            let turned = |place: &Place| {
                let bends: [f64; 7] = track.curvatures(place, 5.0);
                5.0 * bends.iter().sum::<f64>()
            };
            // The direction of the tile's side from point i on, and that of the road in the middle of
            // this side: at its ends the road points along the mean of two sides.
            let side = |i: usize| {
                let (a, b) = (points[i], points[i + 1]);
                libm::atan2(-(b.x - a.x), b.y - a.y)
            };
            let middle = |i: usize| {
                let here = side(i);
                here + (wrapped(side(i - 1) - here) + wrapped(side(i + 1) - here)) / 4.0
            };
            for i in 1..points.len() - 12 {
                let (a, b) = (points[i], points[i + 1]);
                let place = track.place((a.x, a.y), i);
                assert!(place.offset.abs() < 1e-9);
                let error = wrapped(turned(&place) - (points[i + 10].beta - a.beta));
                assert!(error.abs() < 1e-9, "seed {seed}, point {i}: {error}");

                let place = track.place(((a.x + b.x) / 2.0, (a.y + b.y) / 2.0), i);
                assert!(
                    place.point == i && (place.share - 0.5).abs() < 0.02,
                    "{place:?}"
                );
                let place = Place {
                    share: 0.5,
                    ..place
                };
                let error = wrapped(turned(&place) - (middle(i + 10) - middle(i)));
                assert!(error.abs() < 1e-9, "seed {seed}, side {i}: {error}");
            }
        }
    }

    /// Along lines at every distance from the middle up to where the whole track is searched, and
    /// across the road, in steps of a hundredth.
    #[test]
    fn places_change_without_jumps() {
        let near = |a: &Place, b: &Place| {
            let off = (a.beta - b.beta) / (2.0 * PI);
            let bend = (off - off.round()).abs() * 2.0 * PI;
            bend.max((a.offset - b.offset).abs())
        };
        let mut largest = 0.0f64;
        for seed in 0..4 {
            let track = Track::generate(&mut Rng::new(seed));
            let n = track.points.len();
            for aside in [-9.5, -TRACK_WIDTH, -3.0, 0.0, 4.0, TRACK_WIDTH, 9.5] {
                let at = |i: usize, share: f64| {
                    let (a, b) = (track.points[i], track.points[(i + 1) % n]);
                    let beta = a.beta + share * turn(a, b);
                    (
                        a.x + share * (b.x - a.x) + aside * libm::cos(beta),
                        a.y + share * (b.y - a.y) + aside * libm::sin(beta),
                    )
                };
                let mut point = 0;
                let mut last: Option<Place> = None;
                for i in 0..n {
                    for k in 0..350 {
                        let position = at(i, f64::from(k) / 350.0);
                        point = track.follow(position, point);
                        let place = track.place(position, point);
                        if let Some(last) = last {
                            largest = largest.max(near(&last, &place));
                        }
                        assert!(
                            (place.offset - aside).abs() < 0.05,
                            "{aside} at {i}: {place:?}"
                        );
                        last = Some(place);
                    }
                }
            }
        }
        assert!(largest < 0.05, "a jump by {largest}");
    }

    /// Two straight roads side by side, 16 units apart, driven in opposite directions.
    #[test]
    fn a_place_stays_on_its_road_until_it_is_lost() {
        let mut points = Vec::new();
        for i in 0..40 {
            let y = 3.5 * f64::from(i);
            points.push((0.0, y, 0.0));
        }
        for i in 0..40 {
            let y = 3.5 * f64::from(39 - i);
            points.push((16.0, y, PI));
        }
        let points = points
            .into_iter()
            .map(|(x, y, beta)| TrackPoint {
                alpha: 0.0,
                beta,
                x,
                y,
            })
            .collect();
        let track = Track {
            points,
            tiles: Vec::new(),
        };
        assert_eq!(track.follow((9.0, 70.0), 20), 20);
        assert_eq!(track.follow((9.0, 74.0), 20), 21);
        assert_eq!(track.follow((9.0, 70.0), 59), 59);
        assert_eq!(track.follow((10.5, 70.0), 20), 59);
        assert_eq!(track.follow((9.0, 70.0), 5), 59, "far from where it was");
        assert_eq!(track.follow((-60.0, 70.0), 70), 20);
        let place = track.place((9.0, 71.0), 59);
        assert!(
            (place.offset - 7.0).abs() < 1e-12 && place.point == 58,
            "{place:?}"
        );
    }
}
