//! The agent's view: how a frame of any size becomes the square picture that an agent sees.

use std::ops::Range;

use crate::EnvError;

/// Scales some rows of a frame `[height, width, channels]` to `[side, side, 3]` by averaging over
/// areas: each pixel of the view is the mean of the part of the frame that it covers, rounded to
/// the nearest value (exactly, a half upwards, where that part is a whole number of pixels).
///
/// One channel becomes grey; a fourth (alpha) is ignored.
#[derive(Clone, Debug)]
pub struct AgentView {
    frame: (usize, usize, usize),
    side: usize,
    rows: Vec<Span>,
    columns: Vec<Span>,
    /// Rows and columns of the frame under each pixel, where these are whole numbers.
    whole: Option<(usize, usize)>,
}

/// The rows (or columns) of the frame under one row (or column) of the view: the first of them, and
/// the share of each from there on.
#[derive(Clone, Debug)]
struct Span {
    first: usize,
    shares: Vec<f32>,
}

impl AgentView {
    /// The view of `rows` of frames `[height, width, channels]` with 1, 3 or 4 channels.
    ///
    /// # Errors
    /// If the frame has another number of channels, if one of the sizes is 0, or if the rows lie
    /// outside of the frame.
    pub fn new(
        (height, width, channels): (usize, usize, usize),
        rows: Range<usize>,
        side: usize,
    ) -> Result<Self, EnvError> {
        if ![1, 3, 4].contains(&channels)
            || width == 0
            || side == 0
            || rows.is_empty()
            || rows.end > height
        {
            return Err(EnvError::other(format!(
                "frames of {height} × {width} pixels with {channels} channels, rows {}..{}, make \
                 no picture: images of 1, 3 or 4 channels do",
                rows.start, rows.end
            )));
        }
        let spans = |from: Range<usize>| {
            let scale = from.len() as f64 / side as f64;
            let span = |i: usize| {
                let (low, high) = (
                    from.start as f64 + i as f64 * scale,
                    from.start as f64 + (i + 1) as f64 * scale,
                );
                let first = low as usize;
                let last = (high.ceil() as usize).min(from.end);
                let share =
                    |j: usize| ((high.min((j + 1) as f64) - low.max(j as f64)) / scale) as f32;
                Span {
                    first,
                    shares: (first..last).map(share).collect(),
                }
            };
            (0..side).map(span).collect()
        };
        let is_whole = rows.len().is_multiple_of(side) && width.is_multiple_of(side);
        Ok(Self {
            frame: (height, width, channels),
            side,
            whole: is_whole.then(|| (rows.len() / side, width / side)),
            rows: spans(rows),
            columns: spans(0..width),
        })
    }

    /// Side of the view in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Number of bytes of a frame.
    pub fn frame_len(&self) -> usize {
        self.frame.0 * self.frame.1 * self.frame.2
    }

    /// Number of bytes of the view.
    pub fn len(&self) -> usize {
        self.side * self.side * 3
    }

    /// Always false, see [`AgentView::new`].
    pub fn is_empty(&self) -> bool {
        self.side == 0
    }

    /// Writes the view of `frame` into `out`.
    ///
    /// # Panics
    /// If their lengths are not [`AgentView::frame_len`] and [`AgentView::len`].
    pub fn write(&self, frame: &[u8], out: &mut [u8]) {
        assert_eq!(
            (frame.len(), out.len()),
            (self.frame_len(), self.len()),
            "a frame and its view"
        );
        if let Some(part) = self.whole {
            return self.write_boxes(part, frame, out);
        }
        let (_, width, channels) = self.frame;
        let colors = channels.min(3);
        let mut line = vec![0.0f32; width * colors];
        for (row, out) in self.rows.iter().zip(out.chunks_exact_mut(self.side * 3)) {
            line.fill(0.0);
            for (j, share) in (row.first..).zip(&row.shares) {
                let source = &frame[j * width * channels..(j + 1) * width * channels];
                for (sum, pixel) in line
                    .chunks_exact_mut(colors)
                    .zip(source.chunks_exact(channels))
                {
                    sum.iter_mut()
                        .zip(pixel)
                        .for_each(|(s, &v)| *s += share * f32::from(v));
                }
            }
            for (column, pixel) in self.columns.iter().zip(out.chunks_exact_mut(3)) {
                for (c, value) in pixel.iter_mut().enumerate() {
                    let c = c.min(colors - 1);
                    let parts = (column.first..).zip(&column.shares);
                    let mean: f32 = parts.map(|(i, share)| share * line[i * colors + c]).sum();
                    *value = mean.round() as u8;
                }
            }
        }
    }
}

impl AgentView {
    /// As [`AgentView::write`], where each pixel covers `rows` × `columns` of the frame.
    fn write_boxes(&self, (rows, columns): (usize, usize), frame: &[u8], out: &mut [u8]) {
        let (_, width, channels) = self.frame;
        let count = (rows * columns) as u32;
        for (span, out) in self.rows.iter().zip(out.chunks_exact_mut(self.side * 3)) {
            let lines = &frame[span.first * width * channels..][..rows * width * channels];
            for (column, pixel) in out.chunks_exact_mut(3).enumerate() {
                for (c, value) in pixel.iter_mut().enumerate() {
                    let channel = c.min(channels.min(3) - 1);
                    let first = column * columns * channels + channel;
                    let mut sum = count / 2;
                    for line in lines.chunks_exact(width * channels) {
                        let part = line[first..].iter().step_by(channels).take(columns);
                        sum += part.map(|&v| u32::from(v)).sum::<u32>();
                    }
                    *value = (sum / count) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 3 × 3 pixels are scaled to 2 × 2. Each pixel of the view covers 1.5 × 1.5, so the
    /// corner has the share 4/9, the edges 2/9 each, the middle 1/9.
    #[test]
    fn areas_are_averaged() {
        let frame = [90, 0, 0, 0, 90, 0, 0, 0, 9];
        let view = AgentView::new((3, 3, 1), 0..3, 2).unwrap();
        let mut out = [0; 12];
        view.write(&frame, &mut out);
        // 90 · 4/9 + 90 · 1/9 = 50; 90/9 = 10; 9 · 4/9 + 90/9 = 14
        assert_eq!(out, [50, 50, 50, 10, 10, 10, 10, 10, 10, 14, 14, 14]);
    }

    #[test]
    fn a_frame_of_the_same_size_stays_and_rows_outside_are_not_seen() {
        let frame: Vec<u8> = (0..6 * 4 * 4).map(|i| (i * 7 % 251) as u8).collect();
        let view = AgentView::new((6, 4, 4), 1..5, 4).unwrap();
        let mut out = vec![0; view.len()];
        view.write(&frame, &mut out);
        let expected: Vec<u8> = frame[16..5 * 16]
            .chunks_exact(4)
            .flat_map(|p| p[..3].to_vec())
            .collect();
        assert_eq!(out, expected);
    }

    /// By hand: boxes of 1 × 2 pixels, a half rounded upwards.
    #[test]
    fn whole_boxes_are_averaged_exactly() {
        let view = AgentView::new((3, 4, 1), 1..3, 2).unwrap();
        let mut out = vec![0; view.len()];
        view.write(&[9, 9, 9, 9, 1, 2, 255, 254, 0, 0, 7, 10], &mut out);
        let [a, b, c, d] = [2, 255, 0, 9];
        assert_eq!(out, [a, a, a, b, b, b, c, c, c, d, d, d]);
    }

    #[test]
    fn small_frames_are_enlarged() {
        let view = AgentView::new((1, 2, 3), 0..1, 4).unwrap();
        let mut out = vec![0; view.len()];
        view.write(&[10, 20, 30, 40, 50, 60], &mut out);
        for row in out.chunks_exact(12) {
            assert_eq!(row, [10, 20, 30, 10, 20, 30, 40, 50, 60, 40, 50, 60]);
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for (frame, rows) in [
            ((4, 4, 2), 0..4),
            ((4, 0, 3), 0..4),
            ((4, 4, 3), 2..2),
            ((4, 4, 3), 0..5),
        ] {
            assert!(AgentView::new(frame, rows, 4).is_err());
        }
    }
}
