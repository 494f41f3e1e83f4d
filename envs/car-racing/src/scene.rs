//! What the camera sees: field, grass, road and car (`_render_road` in `car_racing.py`, `Car.draw`
//! in `car_dynamics.py`).

use crate::car::{Car, SIZE, WHEEL_R, WHEEL_W};
use crate::contact::Tiles;
use crate::math::{Transform, Vec2};
use crate::perturbation::Perturbation;
use crate::raster::{Canvas, Color, Palette, Shrunk, WINDOW};
use crate::rng::Rng;
use crate::skid::Skids;
use crate::track::{PLAYFIELD, Point, SCALE, Tile, sign};

const ZOOM: f64 = 2.7;
const GRASS_DIM: f64 = PLAYFIELD / 20.0;

const BLACK: Color = 0;
const FIELD: Color = 1;
const GRASS: Color = 2;
/// First of the three shades of road. An untouched tile has one of them, a touched tile the first.
const ROAD: Color = 3;
const WHITE: Color = 6;
const RED: Color = 7;
const HULL: Color = 8;
const STRIPE: Color = 9;
const MUD: Color = 10;

/// The colours that can be drawn at every reset, RGB as the reference stores them
/// (`_init_colors`, `_reinit_colors`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Colors {
    pub road: [f64; 3],
    pub field: [f64; 3],
    pub grass: [f64; 3],
}

impl Colors {
    /// The standard colours.
    pub const PLAIN: Self = Self {
        road: [102.0; 3],
        field: [102.0, 204.0, 102.0],
        grass: [102.0, 230.0, 102.0],
    };

    /// Random colours. Grass is the colour of the field with one of its three values increased.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut color = || std::array::from_fn(|_| rng.uniform(0.0, 210.0));
        let (road, field) = (color(), color());
        let mut grass: [f64; 3] = field;
        grass[rng.integer(3) as usize] += 20.0;
        Self { road, field, grass }
    }

    /// The palette for the indices above.
    pub fn palette(&self, shrunk: Shrunk) -> Palette {
        let whole = |color: [f64; 3]| color.map(|c| c as u8);
        let shade = |k: f64| whole(self.road.map(|c| c + 0.01 * k * 255.0));
        let colors = [
            [0, 0, 0],
            whole(self.field),
            whole(self.grass),
            shade(0.0),
            shade(1.0),
            shade(2.0),
            [255, 255, 255],
            [255, 0, 0],
            [204, 0, 0],
            [77, 77, 77],
            [102, 102, 0],
        ];
        Palette::new(&colors, shrunk)
    }
}

/// Maps the world to the reference's surface, with the car at the lower middle, pointing up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Camera {
    sin: f64,
    cos: f64,
    zoom: f64,
    shift: Point,
    /// Centre of the view, world units.
    center: Point,
    /// Radius of a circle around the view, world units.
    radius: f64,
}

impl Camera {
    /// The camera `time` seconds after reset. It zooms in during the first second.
    pub fn new(car: &Car, time: f64) -> Self {
        let hull = car.hull();
        let (x, y) = (
            f64::from(hull.transform.position.x),
            f64::from(hull.transform.position.y),
        );
        let (sin, cos) = libm::sincos(-f64::from(hull.angle));
        let zoom = 0.1 * SCALE * (1.0 - time).max(0.0) + ZOOM * SCALE * time.min(1.0);
        let (scroll_x, scroll_y) = (-x * zoom, -y * zoom);
        let shift = (
            WINDOW.0 / 2.0 + (cos * scroll_x - sin * scroll_y),
            WINDOW.1 / 4.0 + (sin * scroll_x + cos * scroll_y),
        );
        let ahead = (WINDOW.1 / 2.0 - WINDOW.1 / 4.0) / zoom;
        let center = (x + sin * ahead, y + cos * ahead);
        let radius = libm::hypot(WINDOW.0 / 2.0, WINDOW.1 / 2.0) / zoom;
        Self {
            sin,
            cos,
            zoom,
            shift,
            center,
            radius,
        }
    }

    fn project(&self, (x, y): Point) -> Point {
        let (rx, ry) = (self.cos * x - self.sin * y, self.sin * x + self.cos * y);
        (rx * self.zoom + self.shift.0, ry * self.zoom + self.shift.1)
    }

    /// Whether a circle can be in view.
    fn sees(&self, (x, y): Point, radius: f64) -> bool {
        let (dx, dy, reach) = (x - self.center.0, y - self.center.1, self.radius + radius);
        dx * dx + dy * dy <= reach * reach
    }
}

/// What is to be seen.
pub(crate) struct Scene<'a> {
    /// From where.
    pub camera: Camera,
    /// The road.
    pub road: &'a [Tile],
    /// Which tiles of it are drawn in one shade.
    pub tiles: &'a Tiles,
    /// The car.
    pub car: &'a Car,
    /// Skid marks, if they are shown.
    pub skids: Option<&'a Skids>,
    /// A change of the picture.
    pub perturbation: Option<Perturbation>,
}

impl Scene<'_> {
    /// Draws everything above the bar of gauges.
    pub fn draw(&self, canvas: &mut Canvas) {
        let camera = &self.camera;
        field(canvas, camera);
        for polygon in self.perturbation.into_iter().flat_map(Perturbation::ground) {
            canvas.fill(&polygon, RED);
        }
        for (i, tile) in self.road.iter().enumerate() {
            // a tile with its kerb lies within 10 units of the middle of its first two corners
            let [left, right, ..] = tile.corners;
            if !camera.sees(((left.0 + right.0) / 2.0, (left.1 + right.1) / 2.0), 12.0) {
                continue;
            }
            let shade = if self.tiles.flat[i] {
                0
            } else {
                (i % 3) as Color
            };
            canvas.fill(&tile.corners.map(|p| camera.project(p)), ROAD + shade);
            if let Some(kerb) = &tile.kerb {
                canvas.fill(
                    &kerb.corners.map(|p| camera.project(p)),
                    if kerb.white { WHITE } else { RED },
                );
            }
        }
        for mark in self.skids.into_iter().flat_map(Skids::marks) {
            let color = if mark.grass { MUD } else { BLACK };
            for ends in mark.points().windows(2) {
                line(canvas, camera, [ends[0], ends[1]], color);
            }
        }
        for i in 0..4 {
            wheel(canvas, camera, self.car, i);
        }
        for part in &self.car.hull_parts {
            body(
                canvas,
                camera,
                part.vertices(),
                self.car.hull().transform,
                HULL,
            );
        }
        for polygon in self.perturbation.into_iter().flat_map(Perturbation::front) {
            canvas.fill(&polygon, BLACK);
        }
    }
}

fn field(canvas: &mut Canvas, camera: &Camera) {
    let inside = |v: f64| v.abs() + camera.radius < PLAYFIELD;
    if inside(camera.center.0) && inside(camera.center.1) {
        canvas.clear(FIELD);
    } else {
        canvas.clear(BLACK);
        let b = PLAYFIELD;
        canvas.fill(
            &[(b, b), (b, -b), (-b, -b), (-b, b)].map(|p| camera.project(p)),
            FIELD,
        );
    }
    // squares with even numbers have grass
    let range = |c: f64| {
        let square = |v: f64| ((v / (2.0 * GRASS_DIM)).floor() as i32).clamp(-10, 9);
        square(c - camera.radius)..=square(c + camera.radius)
    };
    for column in range(camera.center.0) {
        for row in range(camera.center.1) {
            let (x, y) = (
                GRASS_DIM * f64::from(2 * column),
                GRASS_DIM * f64::from(2 * row),
            );
            if camera.sees((x + GRASS_DIM / 2.0, y + GRASS_DIM / 2.0), GRASS_DIM) {
                let corners = [
                    (x + GRASS_DIM, y),
                    (x, y),
                    (x, y + GRASS_DIM),
                    (x + GRASS_DIM, y + GRASS_DIM),
                ];
                canvas.fill(&corners.map(|p| camera.project(p)), GRASS);
            }
        }
    }
}

/// A line two pixels of the surface wide, of which filling adds half a pixel on each side.
fn line(canvas: &mut Canvas, camera: &Camera, ends: [Vec2; 2], color: Color) {
    let [(ax, ay), (bx, by)] = ends.map(|p| camera.project((f64::from(p.x), f64::from(p.y))));
    let (dx, dy) = (bx - ax, by - ay);
    let length = libm::hypot(dx, dy);
    if length > 0.0 {
        let (x, y) = (0.5 * dy / length, -0.5 * dx / length);
        let corners = [
            (ax + x, ay + y),
            (bx + x, by + y),
            (bx - x, by - y),
            (ax - x, ay - y),
        ];
        canvas.fill(&corners, color);
    }
}

fn body(canvas: &mut Canvas, camera: &Camera, shape: &[Vec2], placed: Transform, color: Color) {
    let mut corners = [(0.0, 0.0); 8];
    for (corner, &v) in corners.iter_mut().zip(shape) {
        let world = placed.apply(v);
        *corner = camera.project((f64::from(world.x), f64::from(world.y)));
    }
    canvas.fill(&corners[..shape.len()], color);
}

/// A wheel is black with a stripe that shows how far it has rolled.
fn wheel(canvas: &mut Canvas, camera: &Camera, car: &Car, i: usize) {
    let placed = car.bodies[i].transform;
    body(canvas, camera, car.wheel_shape.vertices(), placed, BLACK);
    let (a1, a2) = (car.wheels[i].phase, car.wheels[i].phase + 1.2);
    let ((s1, mut c1), (s2, mut c2)) = (libm::sincos(a1), libm::sincos(a2));
    if s1 > 0.0 && s2 > 0.0 {
        return;
    }
    if s1 > 0.0 {
        c1 = sign(c1);
    }
    if s2 > 0.0 {
        c2 = sign(c2);
    }
    let corner = |x: f64, c: f64| Vec2::new((x * SIZE) as f32, (WHEEL_R * c * SIZE) as f32);
    body(
        canvas,
        camera,
        &[
            corner(-WHEEL_W, c1),
            corner(WHEEL_W, c1),
            corner(WHEEL_W, c2),
            corner(-WHEEL_W, c2),
        ],
        placed,
        STRIPE,
    );
}
