//! An episode of a game, as both environments play it: one frame a step.

use frmdn_env::{
    ActionSpace, Better, EnvError, EnvSpec, Measured, Measurement, ObservationMut,
    ObservationSpace, Picture, Progress, Snapshot, Step,
};
use frmdn_nes::{HEIGHT, Picture as Screen, WIDTH};

use crate::{
    config::Buttons,
    game::{Death, Frame, Game, GameState, MOST_SKIPPED},
    palette::RGB,
    view::{SIDE, view},
};

/// Frames of a second.
const RATE: f64 = 60.0988;
/// Values of an observation.
const VIEW: usize = SIDE * SIDE * 3;

/// How rewards are counted, for the rules.
pub const REWARDS: &str = "change of x, less time passed, -25 for a death, -15 to 15 a frame";

/// What an environment with these buttons says of itself.
pub fn spec(name: &str, buttons: Buttons, has_goal: bool) -> EnvSpec {
    let frame = ObservationSpace::Frame {
        height: SIDE,
        width: SIDE,
        channels: 3,
    };
    let actions = ActionSpace::Discrete(buttons.actions().len());
    let names = buttons.action_names().iter();
    EnvSpec {
        steps_per_second: RATE,
        action_names: names.map(|name| (*name).into()).collect(),
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
            most: has_goal.then_some(1),
        }),
        completed: Some(7),
        // 144 of the 256 columns are ahead of who runs, by two and a half a frame.
        steps_in_view: Some(57),
        has_snapshots: true,
        ..EnvSpec::new(name, actions, frame)
    }
}

/// A game and the episode that is played in it.
#[derive(Clone, Debug)]
pub struct Episode {
    pub game: Game,
    /// The last picture that was drawn.
    pub screen: Screen,
    buttons: Buttons,
    /// x of the flag, where it is known.
    goal: Option<u16>,
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

impl Episode {
    /// None yet.
    pub fn new(game: Game, buttons: Buttons, goal: Option<u16>) -> Self {
        Self {
            game,
            screen: Screen::default(),
            buttons,
            goal,
            furthest: 0,
            running: false,
        }
    }

    /// Begins at the present state of the game, which `begin` brings about and whose picture it
    /// returns.
    pub fn reset(
        &mut self,
        observation: ObservationMut<'_>,
        begin: impl FnOnce(&mut Game) -> Result<Screen, EnvError>,
    ) -> Result<(), EnvError> {
        let out = observation.frame(VIEW)?;
        self.running = false;
        self.screen = begin(&mut self.game)?;
        self.furthest = self.game.info().x_pos;
        self.running = true;
        view(&self.screen, out);
        Ok(())
    }

    /// The buttons of `action`.
    fn held(&self, action: &[f32]) -> Result<u8, EnvError> {
        if !self.running {
            return Err(EnvError::NeedsReset);
        }
        let actions = self.buttons.actions();
        ActionSpace::Discrete(actions.len()).check(action)?;
        Ok(actions[action[0] as usize])
    }

    pub fn step(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        let buttons = self.held(action)?;
        let out = observation.frame(VIEW)?;
        let frame = self.game.frame(buttons, Some(&mut self.screen));
        view(&self.screen, out);
        self.step_of(frame)
    }

    /// Draws nothing, unless the episode ends.
    pub fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        let buttons = self.held(action)?;
        let out = observation.frame(VIEW)?;
        let before = self.game.state();
        let mut frame = self.game.frame(buttons, None);
        if frame.done {
            self.game.restore(&before);
            frame = self.game.frame(buttons, Some(&mut self.screen));
            view(&self.screen, out);
        }
        self.step_of(frame)
    }

    /// What follows from a frame.
    fn step_of(&mut self, frame: Frame) -> Result<Step, EnvError> {
        self.furthest = self.furthest.max(frame.info.x_pos);
        self.running = !frame.done && frame.skipped < MOST_SKIPPED;
        if !frame.done && !self.running {
            return Err(EnvError::other(format!(
                "the game hangs: nothing could be steered in {MOST_SKIPPED} frames"
            )));
        }
        let yes = |is: bool| f64::from(u8::from(is));
        let info = frame.info;
        let death = match frame.done && !info.flag_get {
            true => self.game.death(),
            false => Death::None,
        };
        Ok(Step {
            reward: frame.reward,
            terminated: frame.done,
            truncated: false,
            measured: Measured::new(&[
                self.furthest.into(),
                self.goal.unwrap_or(0).into(),
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
        })
    }

    pub fn picture(&self) -> Picture {
        let colours = self.screen.colours();
        Picture {
            width: WIDTH,
            height: HEIGHT,
            rgb: colours
                .iter()
                .flat_map(|c| RGB[usize::from(c & 63)])
                .collect(),
        }
    }

    pub fn snapshot(&self) -> Option<Snapshot> {
        let (game, furthest) = (self.game.state(), self.furthest);
        self.running
            .then(|| Snapshot::new(Running { game, furthest }))
    }

    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        let Running { game, furthest } = snapshot.get()?;
        self.game.restore(game);
        (self.furthest, self.running) = (*furthest, true);
        Ok(())
    }
}
