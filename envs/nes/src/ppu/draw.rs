//! Draws lines, eight pixels at a time: a byte each in a word, the leftmost one lowest.

use super::{Board, Ppu, control, mask};
use crate::{
    cartridge::CHR,
    picture::{HEIGHT, Picture, WIDTH},
};

/// Tiles of a line; the scroll cuts off the first of them on the left and the last on the right.
const TILES: usize = WIDTH / 8 + 1;
/// Sprites that a line shows.
const SPRITES: usize = 8;
/// A byte in all eight places of a word.
const ALL: u64 = 0x0101_0101_0101_0101;

/// The bits of a byte, the highest one first, as eight bytes of 0 or 1.
const SPREAD: [u64; 256] = {
    let mut spread = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut i = 0;
        while i < 8 {
            spread[byte] |= (byte as u64 >> (7 - i) & 1) << (8 * i);
            i += 1;
        }
        byte += 1;
    }
    spread
};

/// Eight pixels of a pattern, 0 to 3 each.
fn pattern([low, high]: [u8; 2]) -> u64 {
    SPREAD[usize::from(low)] | SPREAD[usize::from(high)] << 1
}

/// 0xFF in each byte of eight pixels that a pattern covers.
fn covered([low, high]: [u8; 2]) -> u64 {
    SPREAD[usize::from(low | high)] * 0xFF
}

/// A tile of the background.
#[derive(Clone, Copy, Default)]
struct Tile {
    /// Where the pattern of its first row is.
    at: u16,
    /// Its palette, in the place in which colours have it.
    palette: u8,
}

/// What lines have in common that are drawn while nothing is written.
pub struct Lines {
    /// The tiles of the last line, and the scroll by which they were found, without its row inside
    /// of a tile.
    tiles: Option<(u16, [Tile; TILES])>,
    /// The sprites of each line, and how many they are.
    sprites: [[u8; SPRITES]; HEIGHT],
    counts: [u8; HEIGHT],
}

impl Lines {
    /// The lines of a picture that `ppu` is about to draw.
    pub fn of(ppu: &Ppu) -> Self {
        let mut lines = Self {
            tiles: None,
            sprites: [[0; SPRITES]; HEIGHT],
            counts: [0; HEIGHT],
        };
        if ppu.mask & mask::SPRITES == 0 {
            return lines;
        }
        for (i, sprite) in (0..).zip(ppu.oam.as_chunks::<4>().0) {
            let first = usize::from(sprite[0]) + 1;
            let rows = first..HEIGHT.min(first + usize::from(ppu.height()));
            for line in rows {
                let count = &mut lines.counts[line];
                if let Some(place) = lines.sprites[line].get_mut(usize::from(*count)) {
                    *place = i;
                    *count += 1;
                }
            }
        }
        lines
    }
}

/// The pixels of a line, palette and pattern each, 0 where nothing is; with room for what reaches
/// out of it on both sides.
type Pixels = [u8; WIDTH + 16];

fn word(pixels: &Pixels, at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| pixels[at + i]))
}

fn set_word(pixels: &mut Pixels, at: usize, word: u64) {
    pixels[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

impl Ppu {
    /// Draws `line`, whose scroll is in `v`.
    pub(super) fn draw(
        &self,
        line: u8,
        lines: &mut Lines,
        board: &Board<'_>,
        picture: &mut Picture,
    ) {
        let out = picture.line(line);
        let grey = if self.mask & mask::GREY != 0 {
            0x30
        } else {
            0x3F
        };
        let colours = self.palette.map(|colour| colour & grey);
        if !self.shows() {
            out.fill(colours[0]);
            return;
        }
        let mut pixels = [0u8; WIDTH + 16];
        let left = usize::from(self.fine_x);
        if self.mask & mask::BACKGROUND != 0 {
            self.draw_background(&mut lines.tiles, board, &mut pixels);
            if self.mask & mask::BACKGROUND_LEFT == 0 {
                pixels[left..left + 8].fill(0);
            }
        }
        let count = usize::from(lines.counts[usize::from(line)]);
        let sprites = &lines.sprites[usize::from(line)][..count];
        if !sprites.is_empty() {
            self.draw_sprites(line, sprites, board.chr(), &mut pixels);
        }
        for (out, pixel) in out.iter_mut().zip(&pixels[left..]) {
            *out = colours[usize::from(pixel & 31)];
        }
    }

    fn draw_background(
        &self,
        last: &mut Option<(u16, [Tile; TILES])>,
        board: &Board<'_>,
        pixels: &mut Pixels,
    ) {
        let (place, row) = (self.v & 0x0FFF, usize::from(self.v >> 12 & 7));
        let tiles = match last {
            Some((same, tiles)) if *same == place => tiles,
            _ => &mut last.insert((place, self.tiles_of(place, board))).1,
        };
        let chr = board.chr();
        for (tile, out) in tiles.iter().zip(pixels.as_chunks_mut::<8>().0) {
            let at = usize::from(tile.at) + row;
            let bits = [chr[at & (CHR - 1)], chr[(at | 8) & (CHR - 1)]];
            let palette = covered(bits) & (u64::from(tile.palette) * ALL);
            *out = (pattern(bits) | palette).to_le_bytes();
        }
    }

    /// The tiles of the lines whose scroll begins at `place`.
    fn tiles_of(&self, place: u16, board: &Board<'_>) -> [Tile; TILES] {
        let table = u16::from(self.control & control::BACKGROUND_TABLE) << 8;
        let mut at = place;
        std::array::from_fn(|_| {
            let (name, palette) = self.name(at, board.mirroring());
            at = match at & 31 {
                31 => (at & !31) ^ 0x400,
                _ => at + 1,
            };
            Tile {
                at: table | u16::from(name) << 4,
                palette: palette << 2,
            }
        })
    }

    /// Of two sprites at one place the earlier one is seen, even where it is behind the background.
    fn draw_sprites(&self, line: u8, sprites: &[u8], chr: &[u8; CHR], pixels: &mut Pixels) {
        let mut taken: Pixels = [0; WIDTH + 16];
        for &i in sprites {
            let [y, tile, attributes, x] = self.oam.as_chunks::<4>().0[usize::from(i)];
            let mut bits = self.sprite_row(tile, attributes, line - y - 1, chr);
            if attributes & 0x40 != 0 {
                bits = bits.map(u8::reverse_bits);
            }
            let at = usize::from(self.fine_x) + usize::from(x);
            let mut seen = covered(bits) & !word(&taken, at);
            if x < 8 && self.mask & mask::SPRITES_LEFT == 0 {
                // The leftmost columns show none. A shift by all bits leaves none either.
                seen &= u64::MAX.checked_shl(8 * (8 - u32::from(x))).unwrap_or(0);
            }
            let before = word(&taken, at);
            set_word(&mut taken, at, before | seen);
            let under = word(pixels, at);
            if attributes & 0x20 != 0 {
                // Pixels are below 32, so no byte overflows into the next.
                seen &= !(((under + 0x7F * ALL) >> 7 & ALL) * 0xFF);
            }
            let palette = u64::from(0x10 | (attributes & 3) << 2) * ALL;
            set_word(pixels, at, under & !seen | (pattern(bits) | palette) & seen);
        }
    }
}
