//! What is drawn, in which order: field, grass, road, car (`CarRacing._render`).

use frmdn_env::Picture;

use crate::{CarRacing, PLAYFIELD, raster::Canvas, solver::Vec2};

const WINDOW: (f32, f32) = (1000.0, 800.0);
const GRASS: f32 = PLAYFIELD as f32 / 20.0;

/// World → samples: turned by the hull's angle about the hull, scaled, moved, flipped.
struct View {
    sin: f32,
    cos: f32,
    at: (f32, f32),
    zoom: f32,
    scale: (f32, f32),
    /// World units within which something can be seen, about the hull.
    reach: f32,
}

impl View {
    fn of(env: &CarRacing, size: (f32, f32), rows: f32) -> Self {
        let hull = &env.car().island.bodies[0];
        let t = env.time as f32;
        // The camera comes closer during the first second.
        let zoom = 0.6 * (1.0 - t).max(0.0) + 16.2 * t.min(1.0);
        let (sin, cos) = (-hull.angle).sin_cos();
        Self { sin, cos, at: (hull.position.x, hull.position.y), zoom, scale: (size.0 / WINDOW.0, size.1 / rows), reach: 790.0 / zoom }
    }

    fn map(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        let rx = (dx * self.cos - dy * self.sin) * self.zoom + WINDOW.0 / 2.0;
        let ry = (dx * self.sin + dy * self.cos) * self.zoom + WINDOW.1 / 4.0;
        (rx * self.scale.0, (WINDOW.1 - ry) * self.scale.1)
    }

    fn sees(&self, x: f32, y: f32, radius: f32) -> bool {
        let (dx, dy) = (x - self.at.0, y - self.at.1);
        let r = self.reach + radius;
        dx * dx + dy * dy <= r * r
    }
}

impl CarRacing {
    fn draw(&self, canvas: &mut Canvas, rows: f32) {
        let view = View::of(self, canvas.size(), rows);
        canvas.fill(0);
        let b = PLAYFIELD as f32;
        canvas.polygon(&[(b, b), (b, -b), (-b, -b), (-b, b)].map(|(x, y)| view.map(x, y)), 1);
        for i in -10..10 {
            for j in -10..10 {
                let (x, y) = (2.0 * GRASS * i as f32, 2.0 * GRASS * j as f32);
                if view.sees(x + GRASS / 2.0, y + GRASS / 2.0, GRASS * 0.75) {
                    let corners = [(x + GRASS, y), (x, y), (x, y + GRASS), (x + GRASS, y + GRASS)];
                    canvas.polygon(&corners.map(|(x, y)| view.map(x, y)), 2);
                }
            }
        }
        for (i, tile) in self.track.tiles.iter().enumerate() {
            let (x, y) = tile.quad[0];
            if !view.sees(x as f32, y as f32, 20.0) {
                continue;
            }
            let corners = |quad: [(f64, f64); 4]| quad.map(|(x, y)| view.map(x as f32, y as f32));
            let colour = if self.recoloured[i] { 3 } else { 3 + (i % 3) as u8 };
            canvas.polygon(&corners(tile.quad), colour);
            if let Some((quad, white)) = tile.border {
                canvas.polygon(&corners(quad), if white { 6 } else { 7 });
            }
        }
        let car = self.car();
        let mut corners: Vec<(f32, f32)> = Vec::with_capacity(8);
        let mut part = |canvas: &mut Canvas, body: usize, shape: &[Vec2], colour: u8| {
            corners.clear();
            corners.extend(shape.iter().map(|&v| {
                let p = car.island.bodies[body].point(v);
                view.map(p.x, p.y)
            }));
            canvas.polygon(&corners, colour);
        };
        for w in 0..4 {
            part(canvas, w + 1, &car.wheel_shape, 8);
            if let Some(mark) = car.wheel_mark(w) {
                part(canvas, w + 1, &mark, 9);
            }
        }
        for shape in &car.hull_shape {
            part(canvas, 0, shape, 10);
        }
    }

    /// The agent's observation: the upper seven eighths of the window at 64×64.
    pub(crate) fn draw_small(&mut self, rgb: &mut [u8]) {
        let mut canvas = std::mem::replace(&mut self.small, Canvas::new(0, 0));
        self.draw(&mut canvas, 700.0);
        canvas.resolve(rgb);
        self.small = canvas;
    }

    /// The picture for people.
    pub(crate) fn draw_large(&self) -> Picture {
        let mut canvas = Canvas::new(96, 96);
        self.draw(&mut canvas, WINDOW.1);
        let mut rgb = vec![0; 96 * 96 * 3];
        canvas.resolve(&mut rgb);
        rgb[84 * 96 * 3..].fill(0);
        Picture { width: 96, height: 96, rgb }
    }
}
