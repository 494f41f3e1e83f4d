//! Super-Mario as an environment: one frame a step.

use frmdn_env::{Env, EnvError, EnvSpec, ObservationMut, Picture, Snapshot, Step};
use frmdn_nes::Picture as Screen;

use crate::{
    config::{Lives, MarioConfig},
    episode::{self, Episode},
    game::Game,
    rom::Rom,
};

/// Super-Mario in one stage with one life, or from 1-1 on with three.
#[derive(Clone, Debug)]
pub struct SuperMario {
    spec: EnvSpec,
    episode: Episode,
}

impl SuperMario {
    /// What it says of itself.
    pub fn spec_of(rom: &Rom, config: &MarioConfig) -> EnvSpec {
        let MarioConfig {
            stage,
            buttons,
            lives,
        } = config;
        let version = rom.version();
        let course = match lives {
            Lives::One => format!("{stage} ({version}), one life"),
            Lives::Three => format!("from {stage} on ({version}), three lives"),
        };
        EnvSpec {
            rule: format!(
                "Super-Mario {course}, rewards as in gym-super-mario-bros 7.4.0: {}; actions {}",
                episode::REWARDS,
                buttons.name()
            ),
            is_deterministic: true,
            ..episode::spec("super-mario", *buttons, config.goal().is_some())
        }
    }

    /// The environment.
    ///
    /// # Errors
    /// If the game does not come to the beginning of the stage.
    pub fn new(rom: &Rom, config: MarioConfig) -> Result<Self, EnvError> {
        let game = match config.lives {
            Lives::One => Game::new(rom, config.stage),
            Lives::Three => Game::whole(rom),
        };
        let game = game.map_err(EnvError::other)?;
        Ok(Self {
            spec: Self::spec_of(rom, &config),
            episode: Episode::new(game, config.buttons, config.goal()),
        })
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

impl Env for SuperMario {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, _: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        self.episode.reset(observation, |game| {
            game.reset();
            Ok(game.first_picture().clone())
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
