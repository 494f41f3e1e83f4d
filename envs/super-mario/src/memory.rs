//! What the game's memory says, by the addresses that gym-super-mario-bros reads.

/// The console's two kilobytes.
pub type Ram = [u8; 0x800];

/// Addresses.
pub mod at {
    pub const PLAYER_STATE: u16 = 0x000E;
    pub const ENEMIES: std::ops::Range<usize> = 0x0016..0x001B;
    pub const FLOAT_STATE: usize = 0x001D;
    pub const PAGE: usize = 0x006D;
    pub const X: usize = 0x0086;
    pub const VIEWPORT: usize = 0x00B5;
    pub const Y: usize = 0x03B8;
    pub const AREA_TIMER: u16 = 0x06DE;
    pub const STATUS: usize = 0x0756;
    pub const LIFE: usize = 0x075A;
    pub const LEVEL: u16 = 0x075C;
    pub const WORLD: u16 = 0x075F;
    pub const AREA: u16 = 0x0760;
    pub const MODE: usize = 0x0770;
    pub const PRELEVEL_TIMER: u16 = 0x07A0;
    pub const SCORE: std::ops::Range<usize> = 0x07DE..0x07E4;
    /// The level of the homebrew game, four bytes.
    pub const SEED: u16 = 0x07E8;
    pub const COINS: std::ops::Range<usize> = 0x07ED..0x07EF;
    pub const TIME: std::ops::Range<usize> = 0x07F8..0x07FB;
}

/// States of the player.
pub mod player {
    pub const DYING: u8 = 0x0B;
    pub const DEAD: u8 = 0x06;
    /// Those in which it cannot be steered: climbing, entering a pipe, walking by itself.
    pub const BUSY: [u8; 7] = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x07];
}

/// Enemies that end a stage: Bowser and the flag. A vine, in whose place they could be, does not.
const ENDS: [u8; 2] = [0x2D, 0x31];

/// A number that is stored as decimal digits.
pub fn digits(ram: &Ram, place: std::ops::Range<usize>) -> u32 {
    let digits = ram[place].iter();
    digits.fold(0, |number, digit| number * 10 + u32::from(*digit))
}

/// Horizontal position in pixels.
pub fn x(ram: &Ram) -> u16 {
    u16::from(ram[at::PAGE]) * 0x100 + u16::from(ram[at::X])
}

/// Height above the lower edge of the picture, in pixels; above 255 beyond the upper one.
pub fn y(ram: &Ram) -> u16 {
    let y = u16::from(ram[at::Y]);
    match ram[at::VIEWPORT] {
        0 => 255 + (255 - y),
        _ => 255 - y,
    }
}

fn state(ram: &Ram) -> u8 {
    ram[usize::from(at::PLAYER_STATE)]
}

/// It dies, or falls into a pit.
pub fn is_dying(ram: &Ram) -> bool {
    state(ram) == player::DYING || is_below(ram)
}

/// It is below the picture.
pub fn is_below(ram: &Ram) -> bool {
    ram[at::VIEWPORT] > 1
}

/// It is dead.
pub fn is_dead(ram: &Ram) -> bool {
    state(ram) == player::DEAD
}

/// It cannot be steered.
pub fn is_busy(ram: &Ram) -> bool {
    player::BUSY.contains(&state(ram))
}

/// The end of a world is shown.
pub fn is_world_over(ram: &Ram) -> bool {
    ram[at::MODE] == 2
}

/// The flag or Bowser's axe is reached.
pub fn is_flag(ram: &Ram) -> bool {
    let is_at_end = ram[at::ENEMIES].iter().any(|enemy| ENDS.contains(enemy));
    is_world_over(ram) || is_at_end && ram[at::FLOAT_STATE] == 3
}
