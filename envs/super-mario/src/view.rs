//! What an agent sees: the picture without clock and score, in exact boxes of 4 × 3 pixels.

use frmdn_nes::{Picture, WIDTH};

use crate::palette::RGB;

/// Side of the view in pixels.
pub const SIDE: usize = 64;
/// The first row that is seen.
const TOP: usize = 32;
/// Rows of the picture in one of the view.
const ROWS: usize = 3;
/// Columns of the picture in one of the view.
const COLUMNS: usize = 4;

/// Writes the view of `picture`, 64 × 64 × 3 bytes: rows 32 to 223, each pixel the mean of its box,
/// rounded to the nearest value (a half upwards).
pub fn view(picture: &Picture, out: &mut [u8]) {
    const COUNT: u16 = (ROWS * COLUMNS) as u16;
    let colours = picture.colours();
    for (row, out) in out.chunks_exact_mut(SIDE * 3).enumerate() {
        let lines = &colours[(TOP + row * ROWS) * WIDTH..][..ROWS * WIDTH];
        for (column, pixel) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let mut sums = [COUNT / 2; 3];
            for line in lines.chunks_exact(WIDTH) {
                for colour in &line[column * COLUMNS..][..COLUMNS] {
                    let rgb = RGB[usize::from(colour & 63)];
                    for (sum, value) in sums.iter_mut().zip(rgb) {
                        *sum += u16::from(value);
                    }
                }
            }
            *pixel = sums.map(|sum| (sum / COUNT) as u8);
        }
    }
}
