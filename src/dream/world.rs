//! `dream:RUN`: the dream of an agent's memory as an environment.
//!
//! An episode begins with real steps of the environment that the agent was trained in, which the
//! agent drives (where it has no controller, a random walk); from there on the memory invents what
//! follows. What is observed are latents; [`frmdn_env::EnvSpec::encoder`] says of which V. Whoever
//! acts with a memory of its own lets it see the real steps ([`Env::history`]). Reward and end are
//! the memory's. With the same seed, equal actions meet what [`super::dream`] dreams at the root seed
//! 0 from the same start, bit for bit.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use frmdn_env::{
    Env, EnvError, EnvSpec, History, Measured, ObservationMut, ObservationSpace, Picture, Snapshot,
    Step,
};

use super::{Rows, Start, chances};
use crate::{
    agent::Agent,
    controller::Controller,
    memory::TEMPERATURES,
    rollout::{ActingModel, Driver, Job, Moment, OpenLoop, Policy, Who},
    run::{self, Interrupt, RunError},
    vision::{Decoder, DecoderScratch, FRAME, SIDE},
    worlds::{Bridge, Frames, Kind, Maker, World, WorldError},
};

/// What the name begins with.
const NAME: &str = "dream";

/// The options.
const OPTIONS: &str =
    "temperature=0..3, horizon=STEPS, warm_up=STEPS, future=NUMBER, ends=drawn|never";

/// Most steps of a dream whose environment has no limit of its own.
const HORIZON: u32 = 1000;
/// Real steps before a dream: Car-Racing begins with fifty from high above.
const WARM_UP: u32 = 60;
/// Most steps of either.
const MOST: u32 = 100_000;

/// The kind of environment. It is added ([`crate::worlds::add`]), and not built into the list of
/// environments, because agents are made for environments and not the other way round.
pub struct DreamKind {
    bridge: Bridge,
}

impl DreamKind {
    /// Dreams whose real steps, where those are of a `gym:` environment, go over `bridge`.
    pub fn new(bridge: Bridge) -> Self {
        Self { bridge }
    }
}

impl Kind for DreamKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn form(&self) -> &'static str {
        "dream:RUN"
    }

    fn open(&self, _: &[(&str, &str)], _: Frames) -> Result<Arc<dyn Maker>, WorldError> {
        Err(WorldError::Other(
            "dream needs an agent whose memory dreams: dream:RUN, dream:CHECKPOINT or the name of a \
             shipped one, for example dream:car-racing-frmdn"
                .into(),
        ))
    }

    fn open_of(
        &self,
        subject: &str,
        options: &[(&str, &str)],
        _: Frames,
    ) -> Result<Arc<dyn Maker>, WorldError> {
        if subject.is_empty() {
            return self.open(options, Frames::Agent);
        }
        let mut settings = DreamSettings::default();
        for &(key, value) in options {
            settings
                .set(key, value)
                .ok_or_else(|| WorldError::UnknownOption {
                    kind: NAME,
                    key: key.to_owned(),
                    value: value.to_owned(),
                    allowed: OPTIONS.to_owned(),
                })?;
        }
        Ok(Arc::new(DreamMaker {
            agent: subject.into(),
            settings,
            bridge: self.bridge.clone(),
            dreamer: OnceLock::new(),
        }))
    }
}

/// The world of the dreams of `agent`, whose real steps are of `real`: those that the agent drives,
/// or those of the recorded actions `driven` `[steps, width]`.
///
/// # Errors
/// If the agent does not fit `real`, or its memory predicts nothing.
pub fn dream_world(
    agent: &Agent,
    real: &World,
    settings: DreamSettings,
    driven: Option<&[f32]>,
) -> run::Result<World> {
    let mut dreamer = Dreamer::new(agent, real.clone(), settings)?;
    dreamer.driven = driven.map(<[f32]>::to_vec);
    let dreamer = Arc::new(dreamer);
    let name = dreamer.spec.name.clone();
    Ok(World::of(&name, Arc::new(dreamer)))
}

/// Options of a dream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DreamSettings {
    /// Temperature of the latents, in [`TEMPERATURES`].
    pub temperature: f32,
    /// Most steps; `None`: as many as the real environment has.
    pub horizon: Option<u32>,
    /// Real steps before.
    pub warm_up: u32,
    /// Which of the many futures of an episode, from 0 on.
    pub future: u32,
    /// Whether the memory can end it.
    pub ends: bool,
}

impl Default for DreamSettings {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            horizon: None,
            warm_up: WARM_UP,
            future: 0,
            ends: true,
        }
    }
}

impl DreamSettings {
    /// `None` where the option does not exist, or not with this value.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let steps = || value.parse().ok().filter(|steps| *steps <= MOST);
        match key {
            "temperature" => {
                let temperature = value.parse().ok();
                self.temperature = temperature.filter(|t| TEMPERATURES.contains(t))?;
            }
            "horizon" => self.horizon = Some(steps().filter(|steps| *steps > 0)?),
            "warm_up" => self.warm_up = steps()?,
            "future" => self.future = steps()?,
            "ends" => {
                self.ends = [("drawn", true), ("never", false)]
                    .into_iter()
                    .find_map(|(name, ends)| (name == value).then_some(ends))?
            }
            _ => return None,
        }
        Some(())
    }
}

/// Makes dreams of one agent.
struct DreamMaker {
    agent: PathBuf,
    settings: DreamSettings,
    bridge: Bridge,
    dreamer: OnceLock<Arc<Dreamer>>,
}

impl DreamMaker {
    fn dreamer(&self) -> Result<&Arc<Dreamer>, WorldError> {
        if let Some(dreamer) = self.dreamer.get() {
            return Ok(dreamer);
        }
        let made = self.load().map_err(|e| WorldError::Other(Box::new(e)))?;
        Ok(self.dreamer.get_or_init(|| Arc::new(made)))
    }

    fn load(&self) -> run::Result<Dreamer> {
        let agent = Agent::load(&self.agent)?;
        let real = World::open(&agent.info.environment, &self.bridge)?;
        Dreamer::new(&agent, real, self.settings)
    }
}

impl Maker for DreamMaker {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        Ok(self.dreamer()?.spec.clone())
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        self.dreamer()?.make()
    }
}

impl Maker for Arc<Dreamer> {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        Ok(self.spec.clone())
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        Ok(Box::new(DreamEnv::new(Self::clone(self))))
    }
}

/// What all dreams of one agent share.
struct Dreamer {
    settings: DreamSettings,
    horizon: u32,
    spec: EnvSpec,
    /// The real environment.
    world: World,
    model: ActingModel,
    /// Who drives the real steps; a random walk where there is none.
    controller: Option<Controller>,
    /// What is driven instead.
    driven: Option<Vec<f32>>,
    decoder: Option<Decoder>,
}

impl Dreamer {
    fn new(agent: &Agent, world: World, settings: DreamSettings) -> run::Result<Self> {
        let real = world.spec()?;
        let model = agent.acting_model(&real)?;
        let horizon = settings.horizon.or(real.max_steps).unwrap_or(HORIZON);
        let spec = EnvSpec {
            rule: format!(
                "dream of {} after {} real steps of {} ({}), temperature {}, future {}, ends {}, at \
                 most {horizon} steps",
                agent.checksum(),
                settings.warm_up,
                real.name,
                real.rule,
                settings.temperature,
                settings.future,
                if settings.ends { "drawn" } else { "never" },
            ),
            max_steps: Some(horizon),
            steps_per_second: real.steps_per_second,
            action_names: real.action_names,
            action_forms: real.action_forms,
            encoder: agent.encoder_checksum(),
            has_snapshots: true,
            ..EnvSpec::new(
                format!("{NAME}:{}", agent.origin().display()),
                real.actions,
                ObservationSpace::Latent(model.latent),
            )
        };
        // A memory that predicts nothing says so now, and not in the first step.
        let state = vec![0.0; model.memory.state_len()];
        let predicted = (model.memory).predict_mean(&state, &mut vec![0.0; model.latent]);
        predicted.map_err(|e| {
            RunError::Failed(format!("{} cannot dream: {e}", agent.origin().display()))
        })?;
        Ok(Self {
            settings,
            horizon,
            spec,
            controller: agent.controller().ok(),
            driven: None,
            decoder: agent.decoder()?,
            world,
            model,
        })
    }

    /// The real steps of the episode of `seed`, and where they lead. Where the episode ends before,
    /// the dream begins with its last observation.
    fn real_steps(&self, seed: u64) -> run::Result<(RealSteps, Start)> {
        let (mut steps, mut index) = (RealSteps::default(), [0.0]);
        let mut start = Start {
            latent: Vec::new(),
            state: Vec::new(),
            chances: seed.wrapping_add(u64::from(self.settings.future) << 40),
        };
        let mut last: Option<Vec<f32>> = None;
        let mut look = |moment: Moment<'_>| -> run::Result<ControlFlow<()>> {
            if let Some(action) = last.replace(moment.action.to_vec()) {
                let action = self.model.actions.for_env(&action, &mut index);
                steps.actions.extend_from_slice(action);
                steps.latents.extend_from_slice(&start.latent);
            }
            start.latent = moment.latent.to_vec();
            start.state = moment.state.to_vec();
            Ok(match moment.outcome.steps == self.settings.warm_up {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        let who = match (&self.driven, &self.controller) {
            (Some(actions), _) => Who::Recorded(actions),
            (None, Some(controller)) => Who::Controller(controller),
            (None, None) => Who::Policy(Policy::OpenLoop(OpenLoop::Brownian), 0),
        };
        Driver::new(&self.world, &Interrupt::default())
            .with_model(&self.model)
            .watch(Job::of(who, seed), &mut look)?;
        Ok((steps, start))
    }
}

/// Real steps before a dream, with actions in the environment's form.
#[derive(Clone, Debug, Default)]
struct RealSteps {
    latents: Vec<f32>,
    actions: Vec<f32>,
}

/// A dream as an environment.
struct DreamEnv {
    dreamer: Arc<Dreamer>,
    before: RealSteps,
    episode: Option<Episode>,
    row: Rows,
    decoder: DecoderScratch,
}

/// A running dream.
#[derive(Clone)]
struct Episode {
    at: Start,
    steps: u32,
}

impl DreamEnv {
    fn new(dreamer: Arc<Dreamer>) -> Self {
        Self {
            dreamer,
            before: RealSteps::default(),
            episode: None,
            row: Rows::default(),
            decoder: DecoderScratch::default(),
        }
    }
}

impl Env for DreamEnv {
    fn spec(&self) -> &EnvSpec {
        &self.dreamer.spec
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let out = observation.latent(self.dreamer.model.latent)?;
        let (before, at) = self.dreamer.real_steps(seed).map_err(EnvError::other)?;
        out.copy_from_slice(&at.latent);
        self.before = before;
        self.episode = Some(Episode { at, steps: 0 });
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let (dreamer, episode) = (&self.dreamer, self.episode.as_mut());
        let Episode { at, steps } = episode.ok_or(EnvError::NeedsReset)?;
        dreamer.spec.actions.check(action)?;
        let out = observation.latent(dreamer.model.latent)?;
        let own = dreamer.model.actions.of_env(action);
        let own = own.map_err(EnvError::other)?;
        let row = &mut self.row;
        row.begin(own.len(), std::iter::once(&*at));
        row.actions.copy_from_slice(&own);
        row.draw(std::iter::once(chances(0, at.chances, *steps)));
        row.advance(dreamer.model.memory.as_ref(), dreamer.settings.temperature)
            .map_err(EnvError::other)?;
        at.latent.copy_from_slice(&row.latents);
        at.state.copy_from_slice(&row.states);
        out.copy_from_slice(&at.latent);
        *steps += 1;
        let step = Step {
            reward: row.reward(0),
            terminated: dreamer.settings.ends && row.ends(0),
            truncated: *steps >= dreamer.horizon,
            measured: Measured::default(),
        };
        if step.done() {
            self.episode = None;
        }
        Ok(step)
    }

    fn reseed(&mut self, seed: u64) {
        if let Some(episode) = &mut self.episode {
            episode.at.chances = seed;
        }
    }

    fn history(&self) -> History<'_> {
        History {
            latents: &self.before.latents,
            actions: &self.before.actions,
        }
    }

    fn picture(&mut self) -> Option<Picture> {
        let (decoder, episode) = (self.dreamer.decoder.as_ref()?, self.episode.as_ref()?);
        let mut rgb = vec![0; FRAME];
        decoder.decode_u8(&mut self.decoder, &episode.at.latent, &mut rgb);
        Some(Picture {
            width: SIDE,
            height: SIDE,
            rgb,
        })
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.episode.clone().map(Snapshot::new)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        self.episode = Some(snapshot.get::<Episode>()?.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use frmdn_env::conformance_tests;

    use super::*;
    use crate::dream::{DreamConfig, dream};

    const AGENT: &str = "checkpoints/car-racing-tiny";

    fn settings() -> DreamSettings {
        DreamSettings {
            horizon: Some(30),
            warm_up: 6,
            ..DreamSettings::default()
        }
    }

    fn dreamer() -> Arc<Dreamer> {
        static ONE: OnceLock<Arc<Dreamer>> = OnceLock::new();
        let one = ONE.get_or_init(|| {
            let agent = Agent::load(AGENT.as_ref()).unwrap();
            let real = World::open(&agent.info.environment, &Bridge::default()).unwrap();
            Arc::new(Dreamer::new(&agent, real, settings()).unwrap())
        });
        Arc::clone(one)
    }

    conformance_tests!(DreamEnv::new(dreamer()));

    /// What an agent meets in the environment is what the population engine dreams, bit for bit;
    /// that M and C act on what the real steps left in M is part of it.
    #[test]
    fn the_environment_is_the_engines_dream() {
        let dreamer = dreamer();
        let world = World::of("dream", Arc::new(Arc::clone(&dreamer)));
        let agent = Agent::load(AGENT.as_ref()).unwrap();
        let controller = agent.controller().unwrap();
        let model = agent.acting_model(&world.spec().unwrap()).unwrap();
        let seeds = [3, 600_000, 7];
        let jobs = seeds.map(|seed| Job::of(&controller, seed));
        let stop = Interrupt::default();
        let driver = Driver::new(&world, &stop).with_model(&model);
        let outcomes = driver.drive(&jobs).unwrap().unwrap();
        let starts = seeds.map(|seed| dreamer.real_steps(seed).unwrap().1);
        let config = DreamConfig {
            steps: 30,
            temperature: 1.0,
            seed: 0,
            ends: true,
            dropout: 0.0,
        };
        let actions = &model.actions;
        let dreams = dream(
            model.memory.as_ref(),
            actions,
            &[&controller],
            &starts,
            config,
        );
        for (outcome, dream) in outcomes.iter().zip(dreams.unwrap()) {
            assert_eq!((outcome.score, outcome.steps), (dream.reward, dream.steps));
        }
        assert_ne!(outcomes[0].score, outcomes[1].score);
    }

    #[test]
    fn a_dream_is_entered_with_the_v_that_it_is_dreamt_in() {
        let spec = dreamer().spec.clone();
        let other = Agent::load("checkpoints/car-racing-rmdn".as_ref()).unwrap();
        let error = other.acting_model(&spec).err().unwrap().to_string();
        assert!(error.contains("another V"), "{error}");
        // Frames of a dream for people are V's.
        let mut env = DreamEnv::new(dreamer());
        let mut latent = vec![0.0; spec.observation.len()];
        env.reset(1, ObservationMut::Latent(&mut latent)).unwrap();
        assert_eq!(env.picture().unwrap().rgb.len(), FRAME);
        assert_eq!(env.history().latents.len(), 6 * latent.len());
        assert_eq!(env.history().actions.len(), 6 * 3);
    }

    #[test]
    fn other_futures_begin_alike_and_go_elsewhere() {
        let agent = Agent::load(AGENT.as_ref()).unwrap();
        let real = World::open(&agent.info.environment, &Bridge::default()).unwrap();
        let [(first, then), (other_first, other_then)] = [0, 1].map(|future| {
            let settings = DreamSettings {
                future,
                ..settings()
            };
            let world = dream_world(&agent, &real, settings, None).unwrap();
            let mut env = world.make().unwrap();
            let (mut first, mut then) = (vec![0.0; 32], vec![0.0; 32]);
            env.reset(1, ObservationMut::Latent(&mut first)).unwrap();
            let action = [0.0, 0.1, 0.0];
            env.step(&action, ObservationMut::Latent(&mut then))
                .unwrap();
            (first, then)
        });
        assert_eq!(first, other_first);
        assert_ne!(then, other_then);
    }

    #[test]
    fn options_that_cannot_be_are_refused_with_those_that_can() {
        let kind = DreamKind::new(Bridge::default());
        for option in [
            ("temperature", "100"),
            ("temperature", "NaN"),
            ("horizon", "0"),
            ("warm_up", "-1"),
            ("ends", "maybe"),
            ("speed", "2"),
        ] {
            let error = kind.open_of(AGENT, &[option], Frames::Agent).err();
            let error = error.unwrap().to_string();
            assert!(
                error.contains(option.1) && error.contains("temperature=0..3"),
                "{error}"
            );
        }
        for nothing in [
            kind.open(&[], Frames::Agent),
            kind.open_of("", &[], Frames::Agent),
        ] {
            let error = nothing.err().unwrap().to_string();
            assert!(error.contains("dream:RUN"), "{error}");
        }
    }
}
