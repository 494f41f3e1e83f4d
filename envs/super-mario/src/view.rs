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
/// Pixels of a box.
const COUNT: u64 = (ROWS * COLUMNS) as u64;
/// Bits of a channel in a sum of colours: enough for [`COUNT`] bytes.
const BITS: u32 = 16;

/// The channels of each colour, side by side in a word, so that one addition adds them all.
const CHANNELS: [u64; 64] = {
    let mut channels = [0; 64];
    let mut i = 0;
    while i < 64 {
        let [red, green, blue] = RGB[i];
        channels[i] = red as u64 | (green as u64) << BITS | (blue as u64) << (2 * BITS);
        i += 1;
    }
    channels
};

/// Half of [`COUNT`] in every channel.
const HALF: u64 = COUNT / 2 * (1 | 1 << BITS | 1 << (2 * BITS));

/// Writes the view of `picture`, 64 × 64 × 3 bytes: rows 32 to 223, each pixel the mean of its box,
/// rounded to the nearest value (a half upwards).
pub fn view(picture: &Picture, out: &mut [u8]) {
    let rows = picture.colours()[TOP * WIDTH..].chunks_exact(ROWS * WIDTH);
    for (rows, out) in rows.zip(out.chunks_exact_mut(SIDE * 3)) {
        let (first, rest) = rows.split_at(WIDTH);
        let (second, third) = rest.split_at(WIDTH);
        let boxes = first
            .as_chunks::<COLUMNS>()
            .0
            .iter()
            .zip(second.as_chunks::<COLUMNS>().0)
            .zip(third.as_chunks::<COLUMNS>().0);
        for (((a, b), c), pixel) in boxes.zip(out.as_chunks_mut::<3>().0) {
            // Most boxes have one colour.
            *pixel = match *a == [a[0]; COLUMNS] && a == b && a == c {
                true => RGB[usize::from(a[0] & 63)],
                false => mean([*a, *b, *c].as_flattened()),
            };
        }
    }
}

/// The mean of some colours, as many as a box has.
fn mean(colours: &[u8]) -> [u8; 3] {
    let of = |colour: &u8| CHANNELS[usize::from(colour & 63)];
    let sum = HALF + colours.iter().map(of).sum::<u64>();
    [0, BITS, 2 * BITS].map(|at| ((sum >> at & 0xFFFF) / COUNT) as u8)
}
