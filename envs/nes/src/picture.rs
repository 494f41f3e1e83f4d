//! Pictures of 256 × 240 pixels.

/// Width of a picture in pixels.
pub const WIDTH: usize = 256;
/// Height of a picture in pixels.
pub const HEIGHT: usize = 240;

/// A picture: for each pixel, row by row, the number of its colour, 0 to 63.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture(Box<[u8; WIDTH * HEIGHT]>);

impl Default for Picture {
    fn default() -> Self {
        Self(Box::new([0; WIDTH * HEIGHT]))
    }
}

impl Picture {
    /// The numbers of the colours.
    pub fn colours(&self) -> &[u8] {
        &self.0[..]
    }

    /// One row.
    pub(crate) fn line(&mut self, line: u8) -> &mut [u8] {
        let line = usize::from(line);
        &mut self.0[line * WIDTH..(line + 1) * WIDTH]
    }
}
