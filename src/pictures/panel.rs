//! An RGB picture that can be enlarged, titled, and placed beside others.

use std::path::Path;

use super::font::{GLYPH, glyph};
use crate::run::{Result, RunError, write_atomically};

/// Colour of gaps and title bars.
const DARK: [u8; 3] = [24, 26, 32];
/// Colour of titles.
const LIGHT: [u8; 3] = [235, 235, 235];
/// Pixels between two panels.
const GAP: usize = 4;
/// Height of a title bar: the glyph and three pixels above and below it.
const TITLE: usize = GLYPH.1 + 6;

/// An RGB picture, 3 bytes per pixel, rows from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// How many characters of a title fit above a picture of `width` pixels.
#[cfg(test)]
pub fn title_len(width: usize) -> usize {
    width.saturating_sub(2) / (GLYPH.0 + 1)
}

impl Panel {
    /// A picture of `width · height` pixels.
    ///
    /// # Panics
    /// If `rgb` does not hold 3 bytes for each pixel: a programming error.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width * height * 3);
        Self { width, height, rgb }
    }

    fn blank(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rgb: DARK.repeat(width * height),
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes, `[height, width, 3]`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The picture with every pixel `factor` times as wide and high.
    #[must_use]
    pub fn enlarged(&self, factor: usize) -> Self {
        let mut rgb = Vec::with_capacity(self.rgb.len() * factor * factor);
        for row in self.rgb.chunks_exact(self.width * 3) {
            let mut wide = Vec::with_capacity(row.len() * factor);
            for pixel in row.as_chunks::<3>().0 {
                for _ in 0..factor {
                    wide.extend_from_slice(pixel);
                }
            }
            for _ in 0..factor {
                rgb.extend_from_slice(&wide);
            }
        }
        Self {
            width: self.width * factor,
            height: self.height * factor,
            rgb,
        }
    }

    fn paste(&mut self, other: &Self, x: usize, y: usize) {
        for (i, row) in other.rgb.chunks_exact(other.width * 3).enumerate() {
            let at = ((y + i) * self.width + x) * 3;
            self.rgb[at..at + row.len()].copy_from_slice(row);
        }
    }

    /// The picture with `title` in a bar above it, truncated at the picture's width.
    #[must_use]
    pub fn titled(&self, title: &str) -> Self {
        let mut out = Self::blank(self.width, self.height + TITLE);
        out.paste(self, 0, TITLE);
        for (i, c) in title.chars().enumerate() {
            let left = 3 + i * (GLYPH.0 + 1);
            if left + GLYPH.0 > self.width {
                break;
            }
            for (y, bits) in glyph(c).into_iter().enumerate() {
                for x in (0..GLYPH.0).filter(|x| bits >> (GLYPH.0 - 1 - x) & 1 == 1) {
                    let at = ((3 + y) * out.width + left + x) * 3;
                    out.rgb[at..at + 3].copy_from_slice(&LIGHT);
                }
            }
        }
        out
    }

    /// Panels from left to right, with gaps between them.
    pub fn row(panels: Vec<Self>) -> Self {
        let width = panels
            .iter()
            .map(|p| p.width + GAP)
            .sum::<usize>()
            .saturating_sub(GAP);
        let mut out = Self::blank(width, panels.iter().map(|p| p.height).max().unwrap_or(0));
        let mut x = 0;
        for panel in &panels {
            out.paste(panel, x, 0);
            x += panel.width + GAP;
        }
        out
    }

    /// Panels from top to bottom, with gaps between them.
    pub fn column(panels: Vec<Self>) -> Self {
        let height = panels
            .iter()
            .map(|p| p.height + GAP)
            .sum::<usize>()
            .saturating_sub(GAP);
        let mut out = Self::blank(panels.iter().map(|p| p.width).max().unwrap_or(0), height);
        let mut y = 0;
        for panel in &panels {
            out.paste(panel, 0, y);
            y += panel.height + GAP;
        }
        out
    }

    /// Panels in rows of `columns`, with gaps between them; the last row may be shorter.
    ///
    /// # Panics
    /// If `columns` is 0.
    pub fn grid(panels: Vec<Self>, columns: usize) -> Self {
        Self::column(
            panels
                .chunks(columns)
                .map(|row| Self::row(row.to_vec()))
                .collect(),
        )
    }

    /// Writes a PNG.
    ///
    /// # Errors
    /// If it cannot be encoded or written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let image =
            image::RgbImage::from_raw(self.width as u32, self.height as u32, self.rgb.clone())
                .ok_or_else(|| RunError::Failed("a picture of impossible size".into()))?;
        let mut bytes = std::io::Cursor::new(Vec::new());
        image
            .write_to(&mut bytes, image::ImageFormat::Png)
            .map_err(|e| RunError::Failed(format!("cannot encode {}: {e}", path.display())))?;
        write_atomically(path, |w| std::io::Write::write_all(w, bytes.get_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_picture_reads_back_pixel_for_pixel() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.png");
        let panel = Panel::new(2, 1, vec![1, 2, 3, 250, 251, 252]).enlarged(2);
        Panel::row(vec![panel.clone(), panel.clone()])
            .save(&path)
            .unwrap();
        let read = image::open(&path).unwrap().to_rgb8();
        assert_eq!((read.width(), read.height()), (4 + 4 + 4, 2));
        assert_eq!(read.get_pixel(1, 1).0, [1, 2, 3]);
        assert_eq!(read.get_pixel(2, 0).0, [250, 251, 252]);
        assert_eq!(read.get_pixel(5, 0).0, DARK);
        assert_eq!(read.get_pixel(11, 1).0, [250, 251, 252]);
    }

    #[test]
    fn a_grid_fills_rows_from_the_left() {
        let panels: Vec<Panel> = (1..=5).map(|i| Panel::new(2, 3, vec![i; 18])).collect();
        let grid = Panel::grid(panels, 3);
        assert_eq!(
            (grid.width(), grid.height()),
            (3 * 2 + 2 * GAP, 2 * 3 + GAP)
        );
        let at = |x: usize, y: usize| grid.rgb()[(y * grid.width() + x) * 3];
        assert_eq!([at(0, 0), at(2 + GAP, 2), at(4 + 2 * GAP, 0)], [1, 2, 3]);
        assert_eq!(
            [
                at(1, 3 + GAP),
                at(2 + GAP, 3 + GAP),
                at(4 + 2 * GAP, 3 + GAP),
                at(2, 0)
            ],
            [4, 5, DARK[0], DARK[0]]
        );
    }

    #[test]
    fn titles_are_drawn_above_and_cut_at_the_edge() {
        let panel = Panel::new(16, 1, vec![9; 48]).titled("II AND MORE");
        assert_eq!(panel.height(), 1 + TITLE);
        // The stem of the first I is in column 3 + 2, that of the second 6 further on.
        for x in [5, 11] {
            let at = (6 * 16 + x) * 3;
            assert_eq!(panel.rgb()[at..at + 3], LIGHT);
        }
        assert_eq!(panel.rgb()[TITLE * 48..], [9; 48]);
    }
}
