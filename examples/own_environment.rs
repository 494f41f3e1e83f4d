//! An environment of your own, with the whole command line of frmdn.
//!
//! Type: cargo run --release --example own_environment -- play --policy random --env ladder
//! and every other command, for example
//! train tiny --env ladder --set collect.random_start=false --run runs/ladder.
//!
//! A ladder of ten rungs. A light on the left or on the right says which hand comes next: the right
//! one climbs a rung, the wrong one slips a rung. Who waits may slip too. `ladder,see=numbers` gives
//! the rung and the light as two numbers in place of a picture: then no V is needed, and
//! `--set vision.model.latent=2` says so.

use std::{process::ExitCode, sync::Arc};

use frmdn::worlds::{self, Frames, Kind, Maker, WorldError};
use frmdn_env::{
    ActionSpace, Better, Env, EnvError, EnvSpec, Measured, Measurement, ObservationMut,
    ObservationSpace, Picture, Progress, Snapshot, Step,
};

const HEIGHT: usize = 33;
const WIDTH: usize = 20;
const RUNGS: u32 = 10;

/// An episode: who knows this, knows what comes.
#[derive(Clone, Copy)]
struct Climb {
    rung: u32,
    slips: u32,
    random: u64,
}

struct Ladder {
    spec: EnvSpec,
    see: See,
    climb: Option<Climb>,
}

/// What is seen of the ladder.
#[derive(Clone, Copy)]
enum See {
    Picture,
    Numbers,
}

/// The environment says what it is; films, tables, early stops and wrappers follow from it.
fn spec(see: See) -> EnvSpec {
    let observation = match see {
        See::Picture => ObservationSpace::Frame {
            height: HEIGHT,
            width: WIDTH,
            channels: 1,
        },
        See::Numbers => ObservationSpace::Latent(2),
    };
    EnvSpec {
        rule: "1 for a rung climbed, -1 for one slipped; over at the top or below the lowest"
            .into(),
        steps_per_second: 10.0,
        measurements: vec![
            Measurement::new("rung", "rungs", Better::Higher),
            Measurement::new("slips", "", Better::Lower),
            Measurement::new("at the top", "", Better::Higher),
        ],
        progress: Some(Progress {
            value: 0,
            most: None,
        }),
        completed: Some(2),
        has_snapshots: true,
        ..EnvSpec::new("ladder", ActionSpace::Discrete(3), observation)
    }
}

impl Climb {
    /// Whether the light is on the right.
    fn right(self) -> bool {
        self.random >> 63 == 1
    }

    fn draw(&mut self) {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
    }

    fn show(self, see: See, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        match see {
            See::Picture => self.frame(observation.frame(HEIGHT * WIDTH)?),
            See::Numbers => {
                let light = if self.right() { 1.0 } else { -1.0 };
                let rung = self.rung as f32 / RUNGS as f32;
                observation.latent(2)?.copy_from_slice(&[rung, light]);
            }
        }
        Ok(())
    }

    fn frame(self, out: &mut [u8]) {
        for (i, pixel) in out.iter_mut().enumerate() {
            let (y, x) = (i / WIDTH, i % WIDTH);
            let rung = y % 3 == 0 && (7..13).contains(&x);
            let here = y / 3 == (RUNGS - self.rung) as usize && (8..12).contains(&x);
            let light = y < 6 && (x < 5 && !self.right() || x >= 15 && self.right());
            *pixel = match (light, here, rung) {
                (true, ..) => 255,
                (_, true, _) => 190,
                (.., true) => 90,
                _ => 20,
            };
        }
    }
}

impl Env for Ladder {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let mut climb = Climb {
            rung: 2,
            slips: 0,
            random: seed ^ 0x9E37_79B9_7F4A_7C15,
        };
        climb.draw();
        climb.draw();
        climb.show(self.see, observation)?;
        self.climb = Some(climb);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let mut climb = self.climb.ok_or(EnvError::NeedsReset)?;
        self.spec.actions.check(action)?;
        let climbs = match action[0] as u32 {
            0 => (climb.random >> 60 & 7 == 0).then_some(false),
            hand => Some((hand == 2) == climb.right()),
        };
        let mut reward = 0.0;
        let mut fell = false;
        match climbs {
            Some(true) => (climb.rung, reward) = (climb.rung + 1, 1.0),
            Some(false) => {
                (climb.slips, reward, fell) = (climb.slips + 1, -1.0, climb.rung == 0);
                climb.rung = climb.rung.saturating_sub(1);
            }
            None => {}
        }
        climb.draw();
        let top = climb.rung == RUNGS;
        climb.show(self.see, observation)?;
        self.climb = (!top && !fell).then_some(climb);
        Ok(Step {
            reward,
            terminated: top || fell,
            truncated: false,
            measured: Measured::new(&[
                f64::from(climb.rung),
                f64::from(climb.slips),
                f64::from(u8::from(top)),
            ]),
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        let mut grey = vec![0; HEIGHT * WIDTH];
        self.climb?.frame(&mut grey);
        Some(Picture {
            width: WIDTH,
            height: HEIGHT,
            rgb: grey.iter().flat_map(|v| [*v; 3]).collect(),
        })
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.climb.map(Snapshot::new)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        self.climb = Some(*snapshot.get()?);
        Ok(())
    }
}

/// Makes ladders.
struct Ladders(See);

impl Maker for Ladders {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        Ok(spec(self.0))
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        Ok(Box::new(Ladder {
            spec: spec(self.0),
            see: self.0,
            climb: None,
        }))
    }
}

/// What names of ladders mean.
struct LadderKind;

impl Kind for LadderKind {
    fn name(&self) -> &'static str {
        "ladder"
    }

    fn open(&self, options: &[(&str, &str)], _: Frames) -> Result<Arc<dyn Maker>, WorldError> {
        match options {
            [] | [("see", "picture")] => Ok(Arc::new(Ladders(See::Picture))),
            [("see", "numbers")] => Ok(Arc::new(Ladders(See::Numbers))),
            [(key, value), ..] => Err(WorldError::UnknownOption {
                kind: "ladder",
                key: (*key).to_owned(),
                value: (*value).to_owned(),
                allowed: "see=picture|numbers".into(),
            }),
        }
    }
}

fn main() -> ExitCode {
    worlds::add(&LadderKind);
    frmdn::cli::main()
}

frmdn_env::conformance_tests!(mod picture, Ladders(See::Picture).make().unwrap());
frmdn_env::conformance_tests!(mod numbers, Ladders(See::Numbers).make().unwrap());
