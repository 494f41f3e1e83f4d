//! Super-Mario as an environment: one frame a step.

use frmdn_env::{
    ActionSpace, Better, Env, EnvError, EnvSpec, Measured, Measurement, ObservationMut,
    ObservationSpace, Picture, Progress, Snapshot, Step,
};
use frmdn_nes::{HEIGHT, Picture as Screen, WIDTH};

use crate::{
    config::MarioConfig,
    game::{Death, Frame, Game, GameState, died_of},
    palette::RGB,
    rom::Rom,
    view::{SIDE, view},
};

/// Frames of a second.
const RATE: f64 = 60.0988;

/// Super-Mario in one stage, with one life.
#[derive(Clone, Debug)]
pub struct SuperMario {
    spec: EnvSpec,
    config: MarioConfig,
    game: Game,
    screen: Screen,
    /// Largest x of the episode.
    furthest: u16,
    running: bool,
}

/// A snapshot of the running episode.
#[derive(Clone)]
struct Running {
    game: GameState,
    furthest: u16,
}

impl SuperMario {
    /// What it says of itself.
    pub fn spec_of(rom: &Rom, config: &MarioConfig) -> EnvSpec {
        let MarioConfig { stage, buttons } = config;
        let frame = ObservationSpace::Frame {
            height: SIDE,
            width: SIDE,
            channels: 3,
        };
        let actions = ActionSpace::Discrete(buttons.actions().len());
        EnvSpec {
            rule: format!(
                "Super-Mario {stage} ({}), one life, rewards as in gym-super-mario-bros 7.4.0: \
                 change of x, less time passed, -25 for a death, -15 to 15 a frame; actions {}",
                rom.version(),
                buttons.name()
            ),
            steps_per_second: RATE,
            measurements: vec![
                Measurement::new("x", "pixels", Better::Higher),
                Measurement::new("goal", "pixels", Better::Neither),
                Measurement::new("y", "pixels", Better::Neither),
                Measurement::new("coins", "coins", Better::Higher),
                Measurement::new("points", "points", Better::Higher),
                Measurement::new("time left", "", Better::Higher),
                Measurement::new("area", "", Better::Neither),
                Measurement::new("flag", "", Better::Higher),
                Measurement::new("killed", "", Better::Lower),
                Measurement::new("fell", "", Better::Lower),
                Measurement::new("time ran out", "", Better::Lower),
            ],
            progress: Some(Progress {
                value: 0,
                most: stage.goal().map(|_| 1),
            }),
            completed: Some(7),
            is_deterministic: true,
            has_snapshots: true,
            ..EnvSpec::new("super-mario", actions, frame)
        }
    }

    /// The environment.
    ///
    /// # Errors
    /// If the game does not come to the beginning of the stage.
    pub fn new(rom: &Rom, config: MarioConfig) -> Result<Self, EnvError> {
        Ok(Self {
            spec: Self::spec_of(rom, &config),
            config,
            game: Game::new(rom, config.stage).map_err(EnvError::other)?,
            screen: Screen::default(),
            furthest: 0,
            running: false,
        })
    }

    /// The game.
    pub fn game(&self) -> &Game {
        &self.game
    }

    /// The last picture that was drawn.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    fn action(&self, action: &[f32]) -> Result<u8, EnvError> {
        if !self.running {
            return Err(EnvError::NeedsReset);
        }
        self.spec.actions.check(action)?;
        Ok(self.config.buttons.actions()[action[0] as usize])
    }

    /// What follows from a frame.
    fn step_of(&mut self, frame: Frame) -> Step {
        self.furthest = self.furthest.max(frame.info.x_pos);
        self.running = !frame.done;
        let yes = |is: bool| f64::from(u8::from(is));
        let info = frame.info;
        let death = match frame.done && !info.flag_get {
            true => died_of(self.game.ram()),
            false => Death::None,
        };
        Step {
            reward: frame.reward,
            terminated: frame.done,
            truncated: false,
            measured: Measured::new(&[
                self.furthest.into(),
                self.config.stage.goal().unwrap_or(0).into(),
                info.y_pos.into(),
                info.coins.into(),
                info.score.into(),
                info.time.into(),
                f64::from(self.game.area()),
                yes(info.flag_get),
                yes(death == Death::Enemy),
                yes(death == Death::Pit),
                yes(death == Death::Time),
            ]),
        }
    }
}

impl Env for SuperMario {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, _: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let out = observation.frame(SIDE * SIDE * 3)?;
        self.game.reset();
        self.screen.clone_from(self.game.first_picture());
        self.furthest = self.game.info().x_pos;
        self.running = true;
        view(&self.screen, out);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let buttons = self.action(action)?;
        let out = observation.frame(SIDE * SIDE * 3)?;
        let frame = self.game.frame(buttons, Some(&mut self.screen));
        view(&self.screen, out);
        Ok(self.step_of(frame))
    }

    /// Draws nothing, unless the episode ends.
    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        let buttons = self.action(action)?;
        let out = observation.frame(SIDE * SIDE * 3)?;
        let before = self.game.state();
        let mut frame = self.game.frame(buttons, None);
        if frame.done {
            self.game.restore(&before);
            frame = self.game.frame(buttons, Some(&mut self.screen));
            view(&self.screen, out);
        }
        Ok(self.step_of(frame))
    }

    fn picture(&mut self) -> Option<Picture> {
        let colours = self.screen.colours();
        Some(Picture {
            width: WIDTH,
            height: HEIGHT,
            rgb: colours
                .iter()
                .flat_map(|c| RGB[usize::from(c & 63)])
                .collect(),
        })
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let (game, furthest) = (self.game.state(), self.furthest);
        self.running
            .then(|| Snapshot::new(Running { game, furthest }))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        let Running { game, furthest } = snapshot.get()?;
        self.game.restore(game);
        (self.furthest, self.running) = (*furthest, true);
        Ok(())
    }
}
