//! Drawing: convex polygons into a buffer of palette numbers at twice the resolution, averaged down to the picture.

/// Colours, as they look after the reference's scaling (which leaves flat colours a little lower than they were drawn).
pub const PALETTE: [[u8; 3]; 12] = [
    [0, 0, 0],       // beyond the field
    [100, 202, 100], // background
    [100, 228, 100], // grass patches
    [100, 100, 100], // road, and tile stripes 0, 1, 2
    [103, 103, 103],
    [105, 105, 105],
    [253, 253, 253], // border
    [253, 0, 0],
    [0, 0, 0],       // wheels
    [75, 75, 75],    // wheel marks
    [202, 0, 0],     // hull
    [0, 0, 0],
];

/// A canvas of palette numbers: 2 × 2 samples a pixel.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    samples: Vec<u8>,
}

impl Canvas {
    /// A canvas for a picture of `width · height` pixels.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width: 2 * width, height: 2 * height, samples: vec![0; 4 * width * height] }
    }

    /// Everything in one colour.
    pub fn fill(&mut self, colour: u8) {
        self.samples.fill(colour);
    }

    /// Samples across and down.
    pub fn size(&self) -> (f32, f32) {
        (self.width as f32, self.height as f32)
    }

    /// Fills a convex polygon given in samples (0, 0 is the upper left corner of the first sample).
    pub fn polygon(&mut self, corners: &[(f32, f32)], colour: u8) {
        let (mut top, mut bottom) = (f32::MAX, f32::MIN);
        for &(_, y) in corners {
            top = top.min(y);
            bottom = bottom.max(y);
        }
        // Rows whose middle is inside.
        let first = (top - 0.5).ceil().max(0.0) as usize;
        let last = (bottom - 0.5).floor().min(self.height as f32 - 1.0);
        if last < first as f32 {
            return;
        }
        for row in first..=last as usize {
            let y = row as f32 + 0.5;
            let (mut left, mut right) = (f32::MAX, f32::MIN);
            let mut a = corners[corners.len() - 1];
            for &b in corners {
                if (a.1 <= y) != (b.1 <= y) {
                    let x = a.0 + (y - a.1) * (b.0 - a.0) / (b.1 - a.1);
                    left = left.min(x);
                    right = right.max(x);
                }
                a = b;
            }
            let from = (left - 0.5).ceil().max(0.0);
            let to = (right - 0.5).floor().min(self.width as f32 - 1.0);
            if from <= to {
                self.samples[row * self.width..][from as usize..=to as usize].fill(colour);
            }
        }
    }

    /// Averages 2 × 2 samples into RGB pixels.
    pub fn resolve(&self, rgb: &mut [u8]) {
        let rows = self.samples.chunks_exact(2 * self.width).zip(rgb.chunks_exact_mut(self.width / 2 * 3));
        for (pair, out) in rows {
            let (upper, lower) = pair.split_at(self.width);
            for ((a, b), pixel) in upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0).zip(out.as_chunks_mut::<3>().0) {
                let p = [a[0], a[1], b[0], b[1]];
                if p == [p[0]; 4] {
                    *pixel = PALETTE[p[0] as usize];
                } else {
                    let c = p.map(|i| PALETTE[i as usize]);
                    for (k, v) in pixel.iter_mut().enumerate() {
                        *v = ((u16::from(c[0][k]) + u16::from(c[1][k]) + u16::from(c[2][k]) + u16::from(c[3][k]) + 2) / 4) as u8;
                    }
                }
            }
        }
    }
}
