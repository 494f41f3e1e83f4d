//! Filling convex polygons into a small picture.
//!
//! The reference draws on a surface of 1000 × 800 pixels and shrinks it. Here each pixel of the
//! small picture has 4 × 4 samples, each the index of a colour; a polygon is filled by spans of
//! samples, and the samples of a pixel are averaged at the end. With indices instead of colours a
//! span is a `memset`, and four comparisons find out whether a pixel has one colour.

/// Samples per pixel, along each axis.
const SAMPLES: usize = 4;

/// Number of pixels that are averaged together; the width of a canvas is a multiple of it.
const RUN: usize = 4;

/// Width and height of the reference's surface.
pub(crate) const WINDOW: (f64, f64) = (1000.0, 800.0);

/// Height of the bar of gauges at the bottom of that surface.
pub(crate) const BAR: f64 = 5.0 * WINDOW.1 / 40.0;

/// Index of a colour in a [`Palette`].
pub(crate) type Color = u8;

/// Number of colours in a palette, a power of two so that an index needs no check.
const COLORS: usize = 16;

/// The colours of a picture.
pub(crate) struct Palette {
    colors: [[u8; 3]; COLORS],
    /// The three values of a colour in lanes of 16 bits, so that one addition adds them all.
    lanes: [u64; COLORS],
}

impl Palette {
    /// The colours as the reference draws them, at most 16, after it has shrunk its surface.
    pub fn new(colors: &[[u8; 3]], shrunk: Shrunk) -> Self {
        let mut palette = Self {
            colors: [[0; 3]; COLORS],
            lanes: [0; COLORS],
        };
        for ((color, lanes), given) in palette
            .colors
            .iter_mut()
            .zip(&mut palette.lanes)
            .zip(colors)
        {
            *color = given.map(|value| shrunk.value(value));
            *lanes = u64::from(color[0]) | u64::from(color[1]) << 16 | u64::from(color[2]) << 32;
        }
        palette
    }

    /// The mean colour of the samples of one pixel.
    fn average(&self, rows: [[Color; SAMPLES]; SAMPLES]) -> [u8; 3] {
        let sum: u64 = rows
            .as_flattened()
            .iter()
            .map(|&index| self.lanes[usize::from(index) % COLORS])
            .sum();
        [0, 16, 32].map(|shift| ((((sum >> shift) & 0xffff) + 8) / 16) as u8)
    }
}

/// The axes along which the reference shrinks its surface by a ratio that is not whole. Along each
/// of them the fixed-point arithmetic of pygame's smooth scaling loses one of 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shrunk {
    /// To 96 × 96, or the agent's view of it.
    BothAxes,
    /// To 600 × 400, which is half of the height.
    Width,
}

impl Shrunk {
    /// A colour value of the surface in the shrunk picture.
    pub fn value(self, value: u8) -> u8 {
        value.saturating_sub(match self {
            Self::BothAxes => 2,
            Self::Width => 1,
        })
    }
}

/// A picture of samples.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    /// `[height · 4, width · 4]` colour indices.
    samples: Vec<Color>,
    /// Samples per surface pixel, along each axis.
    scale: (f32, f32),
}

impl Canvas {
    /// A picture of `width` × `height` pixels of the surface above the bar of gauges.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            samples: vec![0; width * height * SAMPLES * SAMPLES],
            scale: (
                (width * SAMPLES) as f32 / WINDOW.0 as f32,
                (height * SAMPLES) as f32 / (WINDOW.1 - BAR) as f32,
            ),
        }
    }

    /// Fills the whole canvas.
    pub fn clear(&mut self, color: Color) {
        self.samples.fill(color);
    }

    /// Fills a convex polygon of at most eight corners, given in pixels of the surface with y
    /// upwards.
    ///
    /// The reference truncates corners to whole pixels and fills every pixel that the outline
    /// touches, which adds half a pixel on each side. A polygon without area fills nothing.
    pub fn fill(&mut self, corners: &[(f64, f64)], color: Color) {
        let (columns, rows) = (self.width * SAMPLES, self.height * SAMPLES);
        let (sx, sy) = self.scale;
        let (grow_x, grow_y) = (0.5 * sx, 0.5 * sy);
        let mut points = [(0.0f32, 0.0f32); 8];
        let points = &mut points[..corners.len()];
        let (mut left, mut right, mut top, mut bottom) = (f32::MAX, f32::MIN, f32::MAX, f32::MIN);
        let mut area = 0.0;
        for (point, &(x, y)) in points.iter_mut().zip(corners) {
            *point = (
                (x.trunc() as f32 + 0.5) * sx,
                (WINDOW.1 as f32 - 0.5 - y.trunc() as f32) * sy,
            );
            (left, right) = (left.min(point.0), right.max(point.0));
            (top, bottom) = (top.min(point.1), bottom.max(point.1));
        }
        (left, right, top, bottom) = (left - grow_x, right + grow_x, top - grow_y, bottom + grow_y);
        if right < 0.0 || bottom < 0.0 || left > columns as f32 || top > rows as f32 {
            return;
        }
        for i in 0..points.len() {
            let (p, q) = (points[i], points[(i + 1) % points.len()]);
            area += p.0 * q.1 - p.1 * q.0;
        }
        if area == 0.0 {
            return;
        }

        // an edge bounds the spans from one side: x = at + slope · y
        let (mut lefts, mut rights) = ([(0.0f32, 0.0f32); 8], [(0.0f32, 0.0f32); 8]);
        let (mut n_left, mut n_right) = (0, 0);
        for i in 0..points.len() {
            let (p, q) = (points[i], points[(i + 1) % points.len()]);
            let dy = q.1 - p.1;
            if dy == 0.0 {
                continue;
            }
            let slope = (q.0 - p.0) / dy;
            let at = p.0 - slope * p.1;
            let grow = grow_x.max(slope.abs() * grow_y);
            if (dy > 0.0) == (area > 0.0) {
                rights[n_right] = (at + grow, slope);
                n_right += 1;
            } else {
                lefts[n_left] = (at - grow, slope);
                n_left += 1;
            }
        }

        // sample k covers the point k + 0.5
        let first = (top - 0.5).ceil().max(0.0) as usize;
        let last = ((bottom - 0.5).ceil().max(0.0) as usize).min(rows);
        let (left, right) = (left.max(0.0), right.min(columns as f32));
        for row in first..last {
            let y = row as f32 + 0.5;
            let from = lefts[..n_left]
                .iter()
                .fold(left, |x, &(at, slope)| x.max(at + slope * y));
            let to = rights[..n_right]
                .iter()
                .fold(right, |x, &(at, slope)| x.min(at + slope * y));
            let (from, to) = ((from + 0.5) as usize, (to + 0.5) as usize);
            if from < to {
                self.samples[row * columns + from..row * columns + to].fill(color);
            }
        }
    }

    /// Averages the samples into `out`, `[height, width, 3]` bytes.
    pub fn resolve(&self, palette: &Palette, out: &mut [u8]) {
        const WIDE: usize = RUN * SAMPLES;
        let columns = self.width * SAMPLES;
        for (strip, line) in self
            .samples
            .chunks_exact(columns * SAMPLES)
            .zip(out.chunks_exact_mut(self.width * 3))
        {
            let row = |k: usize| strip[k * columns..(k + 1) * columns].as_chunks::<WIDE>().0;
            let runs = row(0).iter().zip(row(1)).zip(row(2).iter().zip(row(3)));
            let pixels = line.as_chunks_mut::<3>().0.as_chunks_mut::<RUN>().0;
            for (pixels, ((a, b), (c, d))) in pixels.iter_mut().zip(runs) {
                // most of the picture has one colour, so several pixels are tested at once first
                let all = |row: &[u8; WIDE]| {
                    u128::from_ne_bytes(*row) ^ u128::from_ne_bytes([a[0]; WIDE])
                };
                if all(a) | all(b) | all(c) | all(d) == 0 {
                    *pixels = [palette.colors[usize::from(a[0]) % COLORS]; RUN];
                    continue;
                }
                let quads = [a, b, c, d].map(|row| row.as_chunks::<SAMPLES>().0);
                for (i, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = palette.average(quads.map(|row| row[i]));
                }
            }
        }
    }
}
