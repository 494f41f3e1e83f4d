//! The picture processing unit: 262 lines of 341 dots, of which 240 × 256 are seen.
//!
//! It is behind the processor until something asks for it: [`Ppu::catch_up`] then does the lines
//! that have passed. Time is counted in dots from the start of the line before the picture
//! (the pre-render line), so picture line `l` begins at dot `(l + 1) · 341`.

mod draw;

use serde::{Deserialize, Serialize};

use crate::{
    cartridge::{CHR, Cartridge, Mirroring},
    picture::Picture,
};
use draw::Lines;

/// Dots of a line.
const LINE: u32 = 341;
/// When the flags of the last frame are cleared.
const CLEAR: u32 = 0;
/// Where in a line the scroll goes on to the next one.
const NEXT: u32 = 256;
/// Where in the pre-render line the vertical scroll begins anew.
const TOP: u32 = 303;
/// Where in the pre-render line a frame becomes one dot shorter.
const SKIP: u32 = 339;
/// When the vertical blank is flagged, and the processor interrupted.
const VBLANK: u32 = 242 * LINE;
/// Dots of a frame; one less every other frame while something is shown.
const FRAME: u32 = 262 * LINE;

/// The events of a frame, in their order; between [`FIRST_LINE`] and this the lines go by.
const VBLANK_EVENT: u16 = FIRST_LINE + 240;
/// The event that ends the first picture line.
const FIRST_LINE: u16 = 4;

/// Bits of the control register (0x2000).
mod control {
    pub const INCREMENT: u8 = 0x04;
    pub const SPRITE_TABLE: u8 = 0x08;
    pub const BACKGROUND_TABLE: u8 = 0x10;
    pub const TALL: u8 = 0x20;
    pub const NMI: u8 = 0x80;
}

/// Bits of the mask register (0x2001).
mod mask {
    pub const GREY: u8 = 0x01;
    pub const BACKGROUND_LEFT: u8 = 0x02;
    pub const SPRITES_LEFT: u8 = 0x04;
    pub const BACKGROUND: u8 = 0x08;
    pub const SPRITES: u8 = 0x10;
}

/// Bits of the status register (0x2002).
mod status {
    pub const OVERFLOW: u8 = 0x20;
    pub const HIT: u8 = 0x40;
    pub const VBLANK: u8 = 0x80;
}

/// The state of the unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ppu {
    #[serde(with = "crate::bytes")]
    pub vram: [u8; 0x800],
    #[serde(with = "crate::bytes")]
    pub oam: [u8; 0x100],
    pub palette: [u8; 32],
    control: u8,
    mask: u8,
    status: u8,
    oam_address: u8,
    /// Address in video memory and scroll of the line that is drawn: yyy NN YYYYY XXXXX.
    v: u16,
    /// The same of the next picture, as it was written.
    t: u16,
    fine_x: u8,
    /// The next write to 0x2005 or 0x2006 is the second.
    second: bool,
    /// What the next read of video memory gives.
    buffer: u8,
    /// Last value on the unit's bus.
    latch: u8,
    /// Dots since the frame began.
    pub dot: u32,
    /// The number of events of [`Ppu::event`] that are done.
    done: u16,
    /// Odd frames are a dot shorter, if anything is shown.
    is_odd: bool,
    /// This one is.
    is_short: bool,
    /// An interrupt waits for the processor.
    pub nmi: bool,
    /// The status as it was when it was last read.
    last_read: u8,
}

impl Default for Ppu {
    fn default() -> Self {
        Self {
            vram: [0; 0x800],
            oam: [0; 0x100],
            palette: [0; 32],
            control: 0,
            mask: 0,
            status: 0,
            oam_address: 0,
            v: 0,
            t: 0,
            fine_x: 0,
            second: false,
            buffer: 0,
            latch: 0,
            // The first frame begins with an idle dot, and three have passed in the first cycle.
            dot: 1,
            done: 0,
            is_odd: false,
            is_short: false,
            nmi: false,
            last_read: 0,
        }
    }
}

/// What the unit needs of the cartridge.
pub struct Board<'a> {
    pub cartridge: &'a Cartridge,
    /// Memory in the place of patterns, where the cartridge has it.
    pub ram: Option<&'a mut [u8; CHR]>,
}

impl Board<'_> {
    /// The patterns that are seen.
    pub fn chr(&self) -> &[u8; CHR] {
        self.ram.as_deref().unwrap_or(&self.cartridge.chr)
    }

    fn mirroring(&self) -> Mirroring {
        self.cartridge.mirroring
    }
}

impl Ppu {
    fn shows(&self) -> bool {
        self.mask & (mask::BACKGROUND | mask::SPRITES) != 0
    }

    /// Whether the unit interrupts the processor at the vertical blank.
    fn interrupts(&self) -> bool {
        self.control & control::NMI != 0
    }

    /// When the next event happens: the flags are cleared, the scroll begins anew (two events), the
    /// frame becomes shorter, the 240 lines go by, the vertical blank begins, the frame ends.
    fn event(&self) -> u32 {
        let dot = match self.done {
            0 => CLEAR,
            1 => NEXT,
            2 => TOP,
            3 => SKIP,
            FIRST_LINE..VBLANK_EVENT => u32::from(self.done - FIRST_LINE + 1) * LINE + NEXT,
            VBLANK_EVENT => VBLANK,
            _ => FRAME,
        };
        dot - u32::from(self.is_short)
    }

    /// Whether the status has changed since it was last read.
    pub fn is_unread(&self) -> bool {
        self.status != self.last_read
    }

    /// When the processor has to look up: where the length of the frame is decided, at the vertical
    /// blank, at the end of the frame.
    pub fn next_stop(&self) -> u32 {
        let dot = match self.done {
            ..FIRST_LINE => SKIP,
            FIRST_LINE..=VBLANK_EVENT => VBLANK,
            _ => FRAME,
        };
        dot - u32::from(self.is_short)
    }

    /// Does all that has happened up to now. Lines are drawn into `picture`, if there is one.
    pub fn catch_up(&mut self, board: &Board<'_>, mut picture: Option<&mut Picture>) {
        let mut lines = None;
        while self.event() <= self.dot {
            if let Some(picture) = &mut picture
                && (FIRST_LINE..VBLANK_EVENT).contains(&self.done)
            {
                let line = (self.done - FIRST_LINE) as u8;
                let lines = lines.get_or_insert_with(|| Lines::of(self));
                self.draw(line, lines, board, picture);
            }
            match self.done {
                FIRST_LINE..VBLANK_EVENT if picture.is_none() => self.pass_lines(board),
                _ => self.pass_event(board),
            }
        }
    }

    /// Does all lines that are over; one at least is.
    fn pass_lines(&mut self, board: &Board<'_>) {
        let over = (self.dot + u32::from(self.is_short) - NEXT) / LINE;
        let end = VBLANK_EVENT.min(FIRST_LINE + over as u16);
        if self.shows() {
            for done in self.done..end {
                self.flag_line((done - FIRST_LINE) as u8, board.chr(), board.mirroring());
                self.next_line();
                self.v = self.v & !0x041F | self.t & 0x041F;
            }
        }
        self.done = end;
    }

    /// Does the next event.
    fn pass_event(&mut self, board: &Board<'_>) {
        match self.done {
            0 => self.status = 0,
            1 => self.copy_x(),
            2 if self.shows() => self.v = self.v & !0x7BE0 | self.t & 0x7BE0,
            2 => {}
            3 => self.is_short = self.is_odd && self.shows(),
            FIRST_LINE..VBLANK_EVENT if self.shows() => {
                let line = (self.done - FIRST_LINE) as u8;
                self.flag_line(line, board.chr(), board.mirroring());
                self.next_line();
                self.copy_x();
            }
            FIRST_LINE..VBLANK_EVENT => {}
            VBLANK_EVENT => {
                self.status |= status::VBLANK;
                self.nmi = self.interrupts();
            }
            _ => {
                self.dot -= self.event();
                self.is_odd = !self.is_odd;
                self.is_short = false;
                self.done = 0;
                return;
            }
        }
        self.done += 1;
    }

    fn copy_x(&mut self) {
        if self.shows() {
            self.v = self.v & !0x041F | self.t & 0x041F;
        }
    }

    /// The scroll of the next line.
    fn next_line(&mut self) {
        if self.v & 0x7000 != 0x7000 {
            self.v += 0x1000;
            return;
        }
        self.v &= !0x7000;
        let row = self.v >> 5 & 31;
        match row {
            29 => self.v = (self.v & !0x03E0) ^ 0x0800,
            31 => self.v &= !0x03E0,
            _ => self.v += 0x20,
        }
    }

    fn height(&self) -> u8 {
        if self.control & control::TALL != 0 {
            16
        } else {
            8
        }
    }

    /// Flags of a line that was shown: sprite 0 over the background, and more than eight sprites.
    fn flag_line(&mut self, line: u8, chr: &[u8; CHR], mirroring: Mirroring) {
        if self.status & status::HIT == 0 && self.hit(line, chr, mirroring).is_some() {
            self.status |= status::HIT;
        }
        if line == 0 {
            // The sprites of a picture are known by its first line; games that change them while
            // it is drawn and ask for this flag are not known.
            if self.overflows() {
                self.status |= status::OVERFLOW;
            }
        }
    }

    /// Whether any line has more than eight sprites.
    fn overflows(&self) -> bool {
        let mut starts = [0u8; 0x100];
        for sprite in self.oam.as_chunks::<4>().0 {
            if sprite[0] < 239 {
                starts[usize::from(sprite[0])] += 1;
            }
        }
        let height = usize::from(self.height());
        let mut here = 0u8;
        for line in 0..239 {
            here += starts[line];
            if line >= height {
                here -= starts[line - height];
            }
            if here > 8 {
                return true;
            }
        }
        false
    }

    /// Column at which an opaque pixel of sprite 0 meets one of the background on `line`, whose
    /// scroll is in `v`.
    fn hit(&self, line: u8, chr: &[u8; CHR], mirroring: Mirroring) -> Option<u8> {
        let both = mask::BACKGROUND | mask::SPRITES;
        if self.mask & both != both {
            return None;
        }
        let [y, tile, attributes, x] = [self.oam[0], self.oam[1], self.oam[2], self.oam[3]];
        let row = line.checked_sub(y.checked_add(1)?)?;
        if row >= self.height() {
            return None;
        }
        let [low, high] = self.sprite_row(tile, attributes, row, chr);
        let opaque = low | high;
        if opaque == 0 {
            return None;
        }
        let clipped = self.mask & mask::BACKGROUND_LEFT == 0 || self.mask & mask::SPRITES_LEFT == 0;
        (0..8u8).find_map(|i| {
            let column = x.checked_add(i).filter(|column| *column != 255)?;
            let bit = if attributes & 0x40 != 0 { i } else { 7 - i };
            let is_seen = opaque >> bit & 1 == 1 && !(clipped && column < 8);
            (is_seen && self.background(column, chr, mirroring) != 0).then_some(column)
        })
    }

    /// Colour of the background in `column` of the line whose scroll is in `v`: palette and
    /// pattern, 0 where it is transparent.
    fn background(&self, column: u8, chr: &[u8; CHR], mirroring: Mirroring) -> u8 {
        let x = u16::from(self.fine_x) + u16::from(column);
        let tile = (self.v & 31) + (x >> 3);
        let v = self.v & !31 ^ (if tile > 31 { 0x400 } else { 0 }) | tile & 31;
        let [low, high, palette] = self.tile(v, chr, mirroring);
        let bit = 7 - (x & 7);
        let pattern = low >> bit & 1 | (high >> bit & 1) << 1;
        if pattern == 0 {
            0
        } else {
            palette << 2 | pattern
        }
    }

    /// The two bits of the row of the tile at scroll `v`, and its palette.
    fn tile(&self, v: u16, chr: &[u8; CHR], mirroring: Mirroring) -> [u8; 3] {
        let (name, palette) = self.name(v, mirroring);
        let table = u16::from(self.control & control::BACKGROUND_TABLE) << 8;
        let at = usize::from(table | u16::from(name) << 4 | v >> 12 & 7);
        [chr[at], chr[at | 8], palette]
    }

    /// The tile at scroll `v`, and its palette.
    fn name(&self, v: u16, mirroring: Mirroring) -> (u8, u8) {
        let name = self.vram[place(0x2000 | v & 0x0FFF, mirroring)];
        let attribute = 0x23C0 | v & 0x0C00 | v >> 4 & 0x38 | v >> 2 & 0x07;
        let shift = v >> 4 & 4 | v & 2;
        let palette = self.vram[place(attribute, mirroring)] >> shift & 3;
        (name, palette)
    }

    /// The two bits of row `row` of a sprite, not yet turned sideways.
    fn sprite_row(&self, tile: u8, attributes: u8, row: u8, chr: &[u8; CHR]) -> [u8; 2] {
        let height = self.height();
        let row = if attributes & 0x80 != 0 {
            height - 1 - row
        } else {
            row
        };
        let at = if height == 16 {
            let table = usize::from(tile & 1) << 12;
            table | usize::from(tile & !1) << 4 | usize::from(row & 8) << 1 | usize::from(row & 7)
        } else {
            let table = usize::from(self.control & control::SPRITE_TABLE) << 9;
            table | usize::from(tile) << 4 | usize::from(row)
        };
        [chr[at & 0x1FFF], chr[(at | 8) & 0x1FFF]]
    }

    /// When the status next changes, if the processor only looks on; at the latest, the next time at
    /// which it has to look up.
    pub fn next_change(&self, board: &Board<'_>) -> u32 {
        let stop = self.next_stop();
        if !self.shows() || self.done > VBLANK_EVENT {
            return if self.done == 0 { self.event() } else { stop };
        }
        // The lines until then, on a copy. Sprite 0 is met in the middle of a line.
        let mut ahead = self.clone();
        while ahead.event() < stop {
            if ahead.status & status::HIT == 0
                && (FIRST_LINE..VBLANK_EVENT).contains(&ahead.done)
                && let line = (ahead.done - FIRST_LINE) as u8
                && let Some(column) = ahead.hit(line, board.chr(), board.mirroring())
            {
                return ahead.hit_dot(line, column);
            }
            ahead.dot = ahead.event();
            ahead.pass_event(board);
            if ahead.status != self.status {
                return ahead.dot;
            }
        }
        stop
    }

    /// When sprite 0 meets the background.
    fn hit_dot(&self, line: u8, column: u8) -> u32 {
        (u32::from(line) + 1) * LINE + u32::from(column) - u32::from(self.is_short)
    }

    /// Reads a register; everything up to now is done.
    pub fn read(&mut self, address: u16, board: &Board<'_>) -> u8 {
        match address & 7 {
            2 => {
                let mut value = self.status | self.latch & 0x1F;
                // The line that is being drawn.
                if self.status & status::HIT == 0
                    && self.shows()
                    && (FIRST_LINE..VBLANK_EVENT).contains(&self.done)
                {
                    let line = (self.done - FIRST_LINE) as u8;
                    let hit = self.hit(line, board.chr(), board.mirroring());
                    if hit.is_some_and(|column| self.hit_dot(line, column) <= self.dot) {
                        value |= status::HIT;
                    }
                }
                self.status &= !status::VBLANK;
                self.last_read = self.status | value & status::HIT;
                self.second = false;
                self.latch = value;
            }
            4 => self.latch = self.oam[usize::from(self.oam_address)],
            7 => self.latch = self.read_memory(board),
            _ => {}
        }
        self.latch
    }

    fn read_memory(&mut self, board: &Board<'_>) -> u8 {
        let at = self.v & 0x3FFF;
        let read = match at {
            0..0x2000 => board.chr()[usize::from(at)],
            _ => self.vram[place(at, board.mirroring())],
        };
        let value = match at {
            0x3F00.. => self.palette[colour(at)] | self.latch & 0xC0,
            _ => self.buffer,
        };
        self.buffer = read;
        self.advance();
        value
    }

    fn advance(&mut self) {
        let step = if self.control & control::INCREMENT != 0 {
            32
        } else {
            1
        };
        self.v = self.v.wrapping_add(step) & 0x7FFF;
    }

    /// Writes a register; everything up to now is done.
    pub fn write(&mut self, address: u16, value: u8, board: &mut Board<'_>) {
        self.latch = value;
        match address & 7 {
            0 => {
                let was = self.interrupts();
                self.control = value;
                self.t = self.t & !0x0C00 | u16::from(value & 3) << 10;
                // Asked for while the vertical blank is flagged: at once.
                if !was && self.interrupts() && self.status & status::VBLANK != 0 {
                    self.nmi = true;
                }
            }
            1 => self.mask = value,
            3 => self.oam_address = value,
            4 => self.write_oam(value),
            5 if self.second => {
                let value = u16::from(value);
                self.t = self.t & !0x73E0 | (value & 7) << 12 | (value & 0xF8) << 2;
                self.second = false;
            }
            5 => {
                self.t = self.t & !0x001F | u16::from(value >> 3);
                self.fine_x = value & 7;
                self.second = true;
            }
            6 if self.second => {
                self.t = self.t & 0xFF00 | u16::from(value);
                self.v = self.t;
                self.second = false;
            }
            6 => {
                self.t = self.t & 0x00FF | u16::from(value & 0x3F) << 8;
                self.second = true;
            }
            7 => {
                let at = self.v & 0x3FFF;
                match at {
                    0..0x2000 => {
                        if let Some(ram) = &mut board.ram {
                            ram[usize::from(at)] = value;
                        }
                    }
                    0x3F00.. => {
                        let at = colour(at);
                        self.palette[at] = value & 0x3F;
                        // The first colours of sprites are those of the background.
                        if at & 3 == 0 {
                            self.palette[at ^ 0x10] = value & 0x3F;
                        }
                    }
                    _ => self.vram[place(at, board.mirroring())] = value,
                }
                self.advance();
            }
            _ => {}
        }
    }

    /// Writes one byte of the sprites.
    pub fn write_oam(&mut self, value: u8) {
        // Three bits of the attributes do not exist.
        let value = if self.oam_address & 3 == 2 {
            value & 0xE3
        } else {
            value
        };
        self.oam[usize::from(self.oam_address)] = value;
        self.oam_address = self.oam_address.wrapping_add(1);
    }
}

/// Place of an address of the name tables in their memory.
fn place(address: u16, mirroring: Mirroring) -> usize {
    let table = match mirroring {
        Mirroring::Vertical => address & 0x400,
        Mirroring::Horizontal => address >> 1 & 0x400,
    };
    usize::from(address & 0x3FF | table) & 0x7FF
}

/// Place of an address in the palettes.
fn colour(address: u16) -> usize {
    usize::from(address & 31)
}
