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

#[cfg(test)]
mod tests {
    use super::*;

    /// A memory with these bytes, on the ground in the middle of the picture.
    fn with(bytes: &[(usize, u8)]) -> Box<Ram> {
        let mut ram = Box::new([0; 0x800]);
        (ram[at::VIEWPORT], ram[usize::from(at::PLAYER_STATE)]) = (1, 8);
        bytes.iter().for_each(|(place, byte)| ram[*place] = *byte);
        ram
    }

    /// A byte would begin again at 0 behind column 255.
    #[test]
    fn x_goes_on_behind_the_first_page() {
        assert_eq!(x(&with(&[(at::PAGE, 0), (at::X, 255)])), 255);
        assert_eq!(x(&with(&[(at::PAGE, 1), (at::X, 0)])), 256);
        assert_eq!(x(&with(&[(at::PAGE, 12), (at::X, 89)])), 3161);
    }

    /// Above the picture y is 255 and what is left of the height there, which no byte holds.
    #[test]
    fn y_goes_on_above_the_picture() {
        assert_eq!(y(&with(&[(at::Y, 0xB0)])), 79);
        assert_eq!(y(&with(&[(at::Y, 0)])), 255);
        assert_eq!(y(&with(&[(at::VIEWPORT, 0), (at::Y, 0xF0)])), 270);
    }

    #[test]
    fn it_dies_below_the_picture_and_not_above() {
        assert!(!is_dying(&with(&[])) && !is_dying(&with(&[(at::VIEWPORT, 0)])));
        assert!(is_dying(&with(&[(at::VIEWPORT, 2)])) && is_dying(&with(&[(at::VIEWPORT, 5)])));
        let state = usize::from(at::PLAYER_STATE);
        assert!(is_dying(&with(&[(state, player::DYING)])));
        assert!(is_dead(&with(&[(state, player::DEAD)])));
    }

    /// Sliding (3) is that of the flagpole and that of a vine: what stands in the enemies' slots
    /// tells them apart.
    #[test]
    fn a_vine_is_no_flag() {
        let slides = (at::FLOAT_STATE, 3);
        let enemy = |kind: u8| (at::ENEMIES.start + 3, kind);
        assert!(is_flag(&with(&[slides, enemy(0x31)])));
        assert!(is_flag(&with(&[slides, enemy(0x2D)])));
        assert!(!is_flag(&with(&[slides, enemy(0x2F)])), "4-2's vine");
        assert!(!is_flag(&with(&[slides])) && !is_flag(&with(&[enemy(0x31)])));
        assert!(is_flag(&with(&[(at::MODE, 2)])));
    }

    #[test]
    fn numbers_are_decimal_digits() {
        let time = with(&[
            (at::TIME.start, 3),
            (at::TIME.start + 1, 0),
            (at::TIME.start + 2, 7),
        ]);
        assert_eq!(digits(&time, at::TIME), 307);
    }
}
