//! The game as gym-super-mario-bros plays it: one frame a step, and what is skipped between them.

use std::sync::Arc;

use frmdn_nes::{Nes, Picture, State};

use crate::{
    config::Stage,
    memory::{self, Ram, at, player},
    rom::Rom,
};

/// Most frames that are skipped between two steps; as many are a game that hangs.
pub(crate) const MOST_SKIPPED: u32 = 4_000;
/// Frames after which the homebrew game shows its title.
const TITLE: u32 = 12;
/// The Start button.
const START: u8 = 8;
/// Largest change of x in a frame that is paid: more is a pipe or another life.
const LARGEST_MOVE: i32 = 5;
/// Lives after the last one.
const NO_LIFE: u8 = 255;
/// What a death costs.
const DEATH: f64 = 25.0;
/// Bounds of the reward of a frame.
const REWARD: f64 = 15.0;

/// Why there is no beginning.
const NO_STAGE: &str = "it does not come to the beginning of the stage";

/// How a player looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Small.
    Small,
    /// Tall.
    Tall,
    /// Tall and with fireballs.
    Fireball,
}

/// What gym-super-mario-bros tells of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Coins, 0 to 99.
    pub coins: u32,
    /// The flag was reached.
    pub flag_get: bool,
    /// Lives that are left; 255 after the last.
    pub life: u8,
    /// The score.
    pub score: u32,
    /// The level of the world.
    pub stage: u16,
    /// How the player looks.
    pub status: Status,
    /// Time that is left.
    pub time: u32,
    /// The world.
    pub world: u16,
    /// Horizontal position in pixels.
    pub x_pos: u16,
    /// Height above the lower edge in pixels.
    pub y_pos: u16,
}

/// The outcome of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Progress less time and death, −15 to 15.
    pub reward: f64,
    /// The life is over, or the stage; of [`Game::whole`] the last life.
    pub done: bool,
    /// What the memory said, before anything was skipped.
    pub info: Info,
    /// Frames that were skipped after it, in which nothing could be steered.
    pub skipped: u32,
}

/// The beginning of a stage.
#[derive(Debug)]
struct Start {
    state: State,
    picture: Picture,
}

/// A game: a stage of it, or the whole one.
#[derive(Clone, Debug)]
pub struct Game {
    nes: Nes,
    /// The beginning of the stage.
    start: Arc<Start>,
    /// It goes on after a life and after a stage, until no life is left.
    is_whole: bool,
    /// How the last life ended.
    death: Death,
    x_last: i32,
    time_last: i32,
}

/// What a game is besides the console, for snapshots.
#[derive(Clone, Debug)]
pub struct GameState {
    console: State,
    death: Death,
    x_last: i32,
    time_last: i32,
}

impl Game {
    /// The game at the beginning of `stage`, reached as gym-super-mario-bros reaches it.
    ///
    /// # Errors
    /// If the game does not get there: it is no Super-Mario.
    pub fn new(rom: &Rom, stage: Stage) -> Result<Self, &'static str> {
        let mut nes = Nes::new(rom.cartridge());
        let picture = begin(&mut nes, Some(stage)).ok_or(NO_STAGE)?;
        Ok(Self::at(nes, picture))
    }

    /// The whole game, from 1-1 on with three lives.
    ///
    /// # Errors
    /// If the game does not get there: it is no Super-Mario.
    pub fn whole(rom: &Rom) -> Result<Self, &'static str> {
        let mut nes = Nes::new(rom.cartridge());
        let picture = begin(&mut nes, None).ok_or(NO_STAGE)?;
        Ok(Self {
            is_whole: true,
            ..Self::at(nes, picture)
        })
    }

    /// The game of [`Rom::homebrew`] at its title, where [`Game::begin_level`] begins.
    pub fn homebrew(rom: &Rom) -> Self {
        let mut nes = Nes::new(rom.cartridge());
        let mut picture = Picture::default();
        for _ in 0..TITLE {
            nes.play(0, Some(&mut picture));
        }
        Self::at(nes, picture)
    }

    /// The game whose start is the present state of the console.
    fn at(nes: Nes, picture: Picture) -> Self {
        let state = nes.state().clone();
        let mut game = Self {
            nes,
            start: Arc::new(Start { state, picture }),
            is_whole: false,
            death: Death::None,
            x_last: 0,
            time_last: 0,
        };
        game.reset();
        game
    }

    /// Back to the beginning of the stage.
    pub fn reset(&mut self) {
        self.nes.restore(&self.start.state);
        self.forget();
    }

    /// Goes from the title of [`Game::homebrew`] to the beginning of a level. Returns its picture.
    ///
    /// # Errors
    /// If the game does not get there.
    pub fn begin_level(&mut self, level: u32) -> Result<Picture, &'static str> {
        self.nes.restore(&self.start.state);
        for (address, byte) in (at::SEED..).zip(level.to_le_bytes()) {
            self.nes.poke(address, byte);
        }
        let picture = begin(&mut self.nes, None).ok_or("the level does not begin")?;
        self.forget();
        Ok(picture)
    }

    /// Rewards count from here.
    fn forget(&mut self) {
        self.death = Death::None;
        self.time_last = self.time();
        self.x_last = i32::from(memory::x(self.ram()));
    }

    /// The picture at the beginning of the stage.
    pub fn first_picture(&self) -> &Picture {
        &self.start.picture
    }

    /// The area of the stage.
    pub fn area(&self) -> u8 {
        self.ram()[usize::from(at::AREA)].wrapping_add(1)
    }

    /// Plays a frame with these buttons, draws it into `picture` if there is one, and skips what
    /// cannot be steered: deaths, changes of area, the ends of worlds. After [`Frame::done`] only
    /// [`Game::reset`] makes sense.
    pub fn frame(&mut self, buttons: u8, picture: Option<&mut Picture>) -> Frame {
        let mut picture = picture;
        self.nes.play(buttons, picture.as_deref_mut());
        let reward = self.reward();
        if self.dies() {
            self.death = died_of(self.ram());
        }
        let (done, info) = (self.is_over(), self.info());
        let skipped = if done {
            0
        } else {
            self.skip(picture, MOST_SKIPPED)
        };
        Frame {
            reward,
            done,
            info,
            skipped,
        }
    }

    /// The console's memory.
    pub fn ram(&self) -> &Ram {
        self.nes.ram()
    }

    /// Everything that changes.
    pub(crate) fn state(&self) -> GameState {
        GameState {
            console: self.nes.state().clone(),
            death: self.death,
            x_last: self.x_last,
            time_last: self.time_last,
        }
    }

    /// Goes on from `state`.
    pub(crate) fn restore(&mut self, state: &GameState) {
        self.nes.restore(&state.console);
        self.death = state.death;
        (self.x_last, self.time_last) = (state.x_last, state.time_last);
    }

    /// How the last life ended.
    pub(crate) fn death(&self) -> Death {
        self.death
    }

    fn time(&self) -> i32 {
        memory::digits(self.ram(), at::TIME).cast_signed()
    }

    fn dies(&self) -> bool {
        memory::is_dying(self.ram()) || memory::is_dead(self.ram())
    }

    fn is_over(&self) -> bool {
        match self.is_whole {
            true => self.ram()[at::LIFE] == NO_LIFE,
            false => self.dies() || memory::is_flag(self.ram()),
        }
    }

    fn reward(&mut self) -> f64 {
        let (x, time) = (i32::from(memory::x(self.ram())), self.time());
        let (moved, passed) = (x - self.x_last, time - self.time_last);
        (self.x_last, self.time_last) = (x, time);
        let moved = if moved.abs() > LARGEST_MOVE { 0 } else { moved };
        let death = if self.dies() { DEATH } else { 0.0 };
        (f64::from(moved) + f64::from(passed.min(0)) - death).clamp(-REWARD, REWARD)
    }

    /// What gym-super-mario-bros tells of the present frame.
    pub fn info(&self) -> Info {
        let ram = self.ram();
        Info {
            coins: memory::digits(ram, at::COINS),
            flag_get: memory::is_flag(ram),
            life: ram[at::LIFE],
            score: memory::digits(ram, at::SCORE),
            stage: u16::from(ram[usize::from(at::LEVEL)]) + 1,
            status: match ram[at::STATUS] {
                0 => Status::Small,
                1 => Status::Tall,
                _ => Status::Fireball,
            },
            time: memory::digits(ram, at::TIME),
            world: u16::from(ram[usize::from(at::WORLD)]) + 1,
            x_pos: memory::x(ram),
            y_pos: memory::y(ram),
        }
    }

    /// Skips a death, the end of a world, the change of an area, and what the player does by itself.
    /// Only the last frame of it is drawn. Returns how many frames there were, at most `most`.
    fn skip(&mut self, picture: Option<&mut Picture>, most: u32) -> u32 {
        let mut passed = Passed {
            frames: 0,
            before: None,
            is_drawn: picture.is_some(),
        };
        if self.is_whole && memory::is_dying(self.ram()) {
            self.nes.poke(at::PLAYER_STATE, player::DEAD);
            passed.pass(&mut self.nes);
        }
        if self.is_whole && memory::is_world_over(self.ram()) {
            let time = self.time();
            while self.time() == time && passed.frames < most {
                passed.pass(&mut self.nes);
            }
        }
        let timer = self.ram()[usize::from(at::AREA_TIMER)];
        if (2..255).contains(&timer) {
            self.nes.poke(at::AREA_TIMER, 1);
        }
        while (memory::is_busy(self.ram()) || memory::is_world_over(self.ram()))
            && passed.frames < most
        {
            self.nes.poke(at::PRELEVEL_TIMER, 0);
            passed.pass(&mut self.nes);
        }
        if let (Some(before), Some(picture)) = (passed.before, picture) {
            let mut again = self.nes.clone();
            again.restore(&before);
            again.play(0, Some(picture));
        }
        passed.frames
    }
}

/// Frames that are skipped.
struct Passed {
    frames: u32,
    /// Before the last one, if it is drawn afterwards.
    before: Option<State>,
    is_drawn: bool,
}

impl Passed {
    fn pass(&mut self, nes: &mut Nes) {
        if self.is_drawn {
            self.before = Some(nes.state().clone());
        }
        nes.frame(0);
        self.frames += 1;
    }
}

/// Presses Start until the stage, or the level, begins, and waits until its clock runs. Returns the
/// last picture.
fn begin(nes: &mut Nes, stage: Option<Stage>) -> Option<Picture> {
    let time = |nes: &Nes| memory::digits(nes.ram(), at::TIME);
    nes.frame(START);
    nes.frame(0);
    let mut left = MOST_SKIPPED;
    while time(nes) == 0 {
        nes.frame(START);
        if let Some(stage) = stage {
            nes.poke(at::WORLD, stage.world - 1);
            nes.poke(at::LEVEL, stage.level - 1);
            nes.poke(at::AREA, stage.area() - 1);
        }
        nes.frame(0);
        nes.poke(at::PRELEVEL_TIMER, 0);
        left = left.checked_sub(1)?;
    }
    let mut last = time(nes);
    let mut picture = Picture::default();
    loop {
        let now = time(nes);
        if now < last {
            return Some(picture);
        }
        last = now;
        nes.frame(START);
        nes.play(0, Some(&mut picture));
        left = left.checked_sub(1)?;
    }
}

/// How the life ends that is ending.
fn died_of(ram: &Ram) -> Death {
    if memory::digits(ram, at::TIME) == 0 {
        Death::Time
    } else if memory::is_below(ram) {
        Death::Pit
    } else if ram[usize::from(at::PLAYER_STATE)] == player::DYING || memory::is_dead(ram) {
        Death::Enemy
    } else {
        Death::None
    }
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// It goes on.
    None,
    /// By an enemy, or fire.
    Enemy,
    /// In a pit.
    Pit,
    /// Its time ran out.
    Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x falls back where a pipe leads, and jumps where an area begins: neither is a move.
    #[test]
    fn a_change_of_x_beyond_five_pixels_pays_nothing() {
        let mut game = Game::homebrew(&Rom::homebrew());
        game.begin_level(1).unwrap();
        for (moved, paid) in [(5, 5.0), (6, 0.0), (-5, -5.0), (-6, 0.0), (-3000, 0.0)] {
            game.x_last = i32::from(memory::x(game.ram())) - moved;
            game.time_last = game.time();
            assert_eq!(game.reward(), paid, "{moved}");
        }
    }

    /// State 0 is one of those that are skipped; the homebrew game leaves it after 256 frames.
    #[test]
    fn frames_that_are_skipped_are_counted_and_bounded() {
        let mut game = Game::homebrew(&Rom::homebrew());
        game.begin_level(1).unwrap();
        assert_eq!(game.frame(0, None).skipped, 0);
        game.nes.poke(at::PLAYER_STATE, 0);
        let mut picture = Picture::default();
        assert_eq!(game.clone().skip(None, 100), 100);
        assert_eq!(game.frame(0, Some(&mut picture)).skipped, 256);
    }
}
