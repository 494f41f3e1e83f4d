//! Which tiles the car touches (`FrictionDetector` in `car_racing.py`).
//!
//! Box2D updates its contacts at the start of a step, with the bodies as the previous step left
//! them. The reference reacts to the begin and the end of contacts and stores three facts: whether
//! a wheel stands on any tile, which tiles a wheel has ever touched, and which tiles the car has
//! ever touched (those lose their shade). They are computed here from the present overlaps, without
//! a list of contacts.

use crate::car::Car;
use crate::distance::overlap;
use crate::math::Vec2;
use crate::polygon::Polygon;
use crate::solver::HULL;
use crate::track::Tile;

/// Side of a square of the grid, world units.
const CELL: f32 = 8.0;
/// The grid covers ± this value, world units; all tracks lie well within it.
const HALF: f32 = 400.0;
const COLUMNS: usize = (2.0 * HALF / CELL) as usize;
/// Largest distance of a point of the hull, or of a wheel, from the origin of its body.
const HULL_REACH: f32 = 2.87;
const WHEEL_REACH: f32 = 0.61;
/// Allowance for the skins of two polygons and for rounding.
const MARGIN: f32 = 0.05;

/// The tiles of a track, with a grid to find those near a point.
#[derive(Clone, Debug)]
pub(crate) struct Tiles {
    shapes: Vec<Shape>,
    /// For each square of the grid the tiles whose bounding box meets it, as a range of `listed`.
    cells: Vec<(u32, u32)>,
    listed: Vec<u16>,
    /// A wheel has touched the tile.
    pub visited: Vec<bool>,
    /// Any part of the car has touched the tile.
    pub flat: Vec<bool>,
}

#[derive(Clone, Debug)]
struct Shape {
    polygon: Polygon,
    low: Vec2,
    high: Vec2,
}

/// Contacts that [`Tiles::update`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Number of tiles that a wheel touched for the first time.
    pub new: u32,
    /// A wheel's contact with the tile of the start line began.
    pub line: bool,
    /// Tile 0 is among the new ones.
    pub zero: bool,
}

impl Tiles {
    pub fn new(tiles: &[Tile]) -> Self {
        let shapes: Vec<Shape> = tiles
            .iter()
            .map(|tile| {
                let corners = tile.corners.map(|(x, y)| Vec2::new(x as f32, y as f32));
                let polygon = Polygon::hull(&corners);
                let (mut low, mut high) = (corners[0], corners[0]);
                for c in corners {
                    low = Vec2::new(low.x.min(c.x), low.y.min(c.y));
                    high = Vec2::new(high.x.max(c.x), high.y.max(c.y));
                }
                let margin = Vec2::new(MARGIN, MARGIN);
                Shape {
                    polygon,
                    low: low - margin,
                    high: high + margin,
                }
            })
            .collect();
        let (mut cells, mut listed) = (Vec::with_capacity(COLUMNS * COLUMNS), Vec::new());
        let mut members = vec![Vec::new(); COLUMNS * COLUMNS];
        for (i, shape) in shapes.iter().enumerate() {
            for row in cell(shape.low.y)..=cell(shape.high.y) {
                for column in cell(shape.low.x)..=cell(shape.high.x) {
                    members[row * COLUMNS + column].push(i as u16);
                }
            }
        }
        for member in members {
            let from = listed.len() as u32;
            listed.extend(member);
            cells.push((from, listed.len() as u32));
        }
        Self {
            cells,
            listed,
            visited: vec![false; shapes.len()],
            flat: vec![false; shapes.len()],
            shapes,
        }
    }

    /// Finds the tiles that the car touches now. `line` is the tile of the start line, `on_line` is
    /// updated to the wheels that stand on it.
    ///
    /// Within a step Box2D reports contacts in the order of its lists; here the line is checked
    /// after all others.
    pub fn update(&mut self, car: &mut Car, line: usize, on_line: &mut [bool; 4]) -> Touched {
        let mut touched = Touched::default();
        for (i, on_line) in on_line.iter_mut().enumerate() {
            let placed = car.bodies[i].transform;
            let (mut on_road, mut line_now) = (false, false);
            self.near(placed.position, WHEEL_REACH, |tiles, tile| {
                // a visited tile changes nothing for a wheel that is known to be on the road
                if on_road && tiles.visited[tile] && tile != line {
                    return;
                }
                if !overlap(
                    tiles.shapes[tile].polygon.vertices(),
                    car.wheel_shape.vertices(),
                    placed,
                ) {
                    return;
                }
                on_road = true;
                line_now |= tile == line;
                touched.new += u32::from(!tiles.visited[tile]);
                touched.zero |= tile == 0 && !tiles.visited[0];
                tiles.visited[tile] = true;
                tiles.flat[tile] = true;
            });
            touched.line |= line_now && !*on_line;
            *on_line = line_now;
            car.wheels[i].on_road = on_road;
        }
        let placed = car.bodies[HULL].transform;
        self.near(placed.position, HULL_REACH, |tiles, tile| {
            if !tiles.flat[tile] {
                let shape = tiles.shapes[tile].polygon.vertices();
                tiles.flat[tile] = car
                    .hull_parts
                    .iter()
                    .any(|part| overlap(shape, part.vertices(), placed));
            }
        });
        touched
    }

    /// Calls `visit` for every tile whose box comes within `reach` of `at`.
    fn near(&mut self, at: Vec2, reach: f32, mut visit: impl FnMut(&mut Self, usize)) {
        // a tile is listed in every cell that its box meets, so it can be visited more than once;
        // visits are idempotent
        for row in cell(at.y - reach)..=cell(at.y + reach) {
            for column in cell(at.x - reach)..=cell(at.x + reach) {
                let (from, to) = self.cells[row * COLUMNS + column];
                for k in from..to {
                    let tile = usize::from(self.listed[k as usize]);
                    let Shape { low, high, .. } = self.shapes[tile];
                    let inside = at.x + reach >= low.x
                        && at.x - reach <= high.x
                        && at.y + reach >= low.y
                        && at.y - reach <= high.y;
                    if inside {
                        visit(self, tile);
                    }
                }
            }
        }
    }
}

/// The row or column of the grid for a coordinate, clamped to the grid.
fn cell(x: f32) -> usize {
    (((x + HALF) / CELL) as usize).min(COLUMNS - 1)
}
