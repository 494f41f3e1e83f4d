//! Our own game as an environment: a platform game whose levels are made from the seed.

use frmdn_env::{Env, EnvError, EnvSpec, ObservationMut, Picture, Snapshot, Step};
use frmdn_nes::Picture as Screen;

use crate::{
    config::Buttons,
    episode::{self, Episode},
    game::Game,
    rom::Rom,
};

/// x at which the flag is touched, in every level, in pixels.
const FLAG: u16 = 184 * 16 - 8;

/// The game Ember Run (`homebrew/`), with one life. Every seed has a level of its own.
#[derive(Clone, Debug)]
pub struct Homebrew {
    spec: EnvSpec,
    episode: Episode,
}

impl Homebrew {
    /// What it says of itself.
    pub fn spec_of(buttons: Buttons) -> EnvSpec {
        EnvSpec {
            rule: format!(
                "Ember Run, a level by the seed, one life, rewards: {}; actions {}",
                episode::REWARDS,
                buttons.name()
            ),
            ..episode::spec("homebrew", buttons, true)
        }
    }

    /// The environment.
    pub fn new(buttons: Buttons) -> Self {
        Self {
            spec: Self::spec_of(buttons),
            episode: Episode::new(Game::homebrew(&Rom::homebrew()), buttons, Some(FLAG)),
        }
    }

    /// The number of the level that the episode of `seed` has: the upper half of the product with
    /// 2⁶⁴ divided by the golden ratio. Near seeds have numbers far apart, the first 2³² all
    /// different ones, and seed 0 has level 0.
    pub fn level_of(seed: u64) -> u32 {
        (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
    }

    /// The game.
    pub fn game(&self) -> &Game {
        &self.episode.game
    }

    /// The last picture that was drawn.
    pub fn screen(&self) -> &Screen {
        &self.episode.screen
    }
}

impl Env for Homebrew {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        self.episode.reset(observation, |game| {
            game.begin_level(Self::level_of(seed))
                .map_err(EnvError::other)
        })
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        self.episode.step(action, observation)
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        self.episode.step_unseen(action, observation)
    }

    fn picture(&mut self) -> Option<Picture> {
        Some(self.episode.picture())
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.episode.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        self.episode.restore(snapshot)
    }
}
