//! The track generator of `CarRacing._create_track` (gymnasium/envs/box2d/car_racing.py), in `f64` throughout.

use std::f64::consts::PI;

use crate::rng::NumpyRng;

const CHECKPOINTS: usize = 12;
const SCALE: f64 = 6.0;
const TRACK_RAD: f64 = 900.0 / SCALE;
const DETAIL_STEP: f64 = 21.0 / SCALE;
const TURN_RATE: f64 = 0.31;
/// Half the width of the road, world units.
pub const TRACK_WIDTH: f64 = 40.0 / SCALE;
const BORDER: f64 = 8.0 / SCALE;
const BORDER_MIN_COUNT: usize = 4;

/// A corner of a polygon in world units.
pub type Point = (f64, f64);

/// One point of the centre line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Angle seen from the origin.
    pub alpha: f64,
    /// Direction: the road runs along (−sin β, cos β).
    pub beta: f64,
    /// Position.
    pub x: f64,
    /// Position.
    pub y: f64,
}

/// One tile of the road.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    /// Its corners: left and right of its own node, right and left of the one before.
    pub quad: [Point; 4],
    /// The red-white border beside it on hard turns, and whether it is white.
    pub border: Option<([Point; 4], bool)>,
}

/// A closed track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// Centre line.
    pub nodes: Vec<Node>,
    /// Tiles, one per node.
    pub tiles: Vec<Tile>,
}

impl Track {
    /// The track of `seed`: attempts are repeated on the same random stream until one closes.
    pub fn generate(seed: u64) -> Self {
        let mut rng = NumpyRng::new(seed);
        loop {
            if let Some(nodes) = attempt(&mut rng) {
                let tiles = tiles(&nodes);
                return Self { nodes, tiles };
            }
        }
    }
}

fn attempt(rng: &mut NumpyRng) -> Option<Vec<Node>> {
    let n = CHECKPOINTS as f64;
    let start_alpha = 2.0 * PI * (-0.5) / n;
    let mut checkpoints = [(0.0, 0.0, 0.0); CHECKPOINTS];
    for (c, checkpoint) in checkpoints.iter_mut().enumerate() {
        // Both are drawn even where they are overwritten: the stream must stay in step.
        let noise = rng.uniform(0.0, 2.0 * PI * 1.0 / n);
        let mut alpha = 2.0 * PI * c as f64 / n + noise;
        let mut rad = rng.uniform(TRACK_RAD / 3.0, TRACK_RAD);
        if c == 0 {
            alpha = 0.0;
            rad = 1.5 * TRACK_RAD;
        }
        if c == CHECKPOINTS - 1 {
            alpha = 2.0 * PI * c as f64 / n;
            rad = 1.5 * TRACK_RAD;
        }
        *checkpoint = (alpha, rad * alpha.cos(), rad * alpha.sin());
    }
    let nodes = walk(&checkpoints);
    closed_loop(&nodes, start_alpha)
}

/// Walks from checkpoint to checkpoint for up to five laps.
fn walk(checkpoints: &[(f64, f64, f64); CHECKPOINTS]) -> Vec<Node> {
    let (mut x, mut y, mut beta) = (1.5 * TRACK_RAD, 0.0f64, 0.0f64);
    let (mut dest, mut laps, mut visited_other_side) = (0usize, 0, false);
    let mut nodes = Vec::with_capacity(2500);
    for _ in 0..2500 {
        let mut alpha = y.atan2(x);
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
                let (dest_alpha, dx, dy) = checkpoints[dest % CHECKPOINTS];
                if alpha <= dest_alpha {
                    break 'found (dx, dy);
                }
                dest += 1;
                if dest.is_multiple_of(CHECKPOINTS) {
                    break;
                }
            }
            alpha -= 2.0 * PI;
        };
        let (r1x, r1y) = (beta.cos(), beta.sin());
        let (p1x, p1y) = (-r1y, r1x);
        let mut proj = r1x * (dest_x - x) + r1y * (dest_y - y);
        while beta - alpha > 1.5 * PI {
            beta -= 2.0 * PI;
        }
        while beta - alpha < -1.5 * PI {
            beta += 2.0 * PI;
        }
        let before = beta;
        proj *= SCALE;
        if proj > 0.3 {
            beta -= TURN_RATE.min((0.001 * proj).abs());
        }
        if proj < -0.3 {
            beta += TURN_RATE.min((0.001 * proj).abs());
        }
        x += p1x * DETAIL_STEP;
        y += p1y * DETAIL_STEP;
        #[expect(clippy::manual_midpoint, reason = "the reference rounds each product")]
        nodes.push(Node { alpha, beta: before * 0.5 + beta * 0.5, x, y });
        if laps > 4 {
            break;
        }
    }
    nodes
}

/// The last whole lap, if its ends meet.
fn closed_loop(nodes: &[Node], start_alpha: f64) -> Option<Vec<Node>> {
    let passes = |i: usize| nodes[i].alpha > start_alpha && nodes[i - 1].alpha <= start_alpha;
    let i2 = (1..nodes.len()).rev().find(|&i| passes(i))?;
    let i1 = (1..i2).rev().find(|&i| passes(i))?;
    let lap = nodes[i1..i2 - 1].to_vec();
    let (first, last) = (lap[0], lap[lap.len() - 1]);
    let gap_x = first.beta.cos() * (first.x - last.x);
    let gap_y = first.beta.sin() * (first.y - last.y);
    ((gap_x * gap_x + gap_y * gap_y).sqrt() <= DETAIL_STEP).then_some(lap)
}

fn sign(x: f64) -> f64 {
    if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { 0.0 }
}

fn tiles(nodes: &[Node]) -> Vec<Tile> {
    let n = nodes.len();
    // Python's negative indices wrap round to the end.
    let before = |i: usize, back: usize| (i + n - back) % n;
    let mut border: Vec<bool> = (0..n)
        .map(|i| {
            let turns = (0..BORDER_MIN_COUNT).map(|k| nodes[before(i, k)].beta - nodes[before(i, k + 1)].beta);
            let (hard, side) = turns.fold((true, 0.0), |(hard, side), t| (hard && t.abs() > TURN_RATE * 0.2, side + sign(t)));
            hard && side.abs() == BORDER_MIN_COUNT as f64
        })
        .collect();
    for i in 0..n {
        for k in 0..BORDER_MIN_COUNT {
            border[before(i, k)] |= border[i];
        }
    }
    (0..n)
        .map(|i| {
            let (a, b) = (nodes[i], nodes[before(i, 1)]);
            let at = |node: Node, offset: f64| (node.x + offset * node.beta.cos(), node.y + offset * node.beta.sin());
            let minus = |node: Node| (node.x - TRACK_WIDTH * node.beta.cos(), node.y - TRACK_WIDTH * node.beta.sin());
            let quad = [minus(a), at(a, TRACK_WIDTH), at(b, TRACK_WIDTH), minus(b)];
            let side = sign(b.beta - a.beta);
            let (near, far) = (side * TRACK_WIDTH, side * (TRACK_WIDTH + BORDER));
            let border = border[i].then(|| ([at(a, near), at(a, far), at(b, far), at(b, near)], i % 2 == 0));
            Tile { quad, border }
        })
        .collect()
}
