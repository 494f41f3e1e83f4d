//! The servers of one environment, and the environments in their slots.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use frmdn_env::{
    ActionForm, ActionSpace, AgentView, EnvSpec, Measured, Measurement, ObservationSpace, Progress,
};

use crate::{
    GymEnv, GymError, Launch,
    process::Server,
    protocol::{Action, Made, Request},
};

/// Settings of a [`Fleet`].
#[derive(Clone, Debug)]
pub struct GymConfig {
    /// Its name for `gymnasium.make`.
    pub id: String,
    /// Its name in this program, `gym:` with its options.
    pub name: String,
    /// How outputs of a controller become its actions ([`EnvSpec::action_forms`]).
    pub action_forms: Vec<ActionForm>,
    /// What a step without progress costs ([`EnvSpec::stall_cost`]).
    pub stall_cost: Option<f64>,
    /// Its keyword arguments.
    pub kwargs: serde_json::Map<String, serde_json::Value>,
    /// The agent's view: the rows of the frame that it covers (`None`: all), and its side in
    /// pixels. Without a view, observations are whole frames.
    pub view: Option<(Option<Range<usize>>, usize)>,
    /// Largest number of processes; environments are spread over them.
    pub processes: usize,
    /// Longest time of a reset or a step.
    pub deadline: Duration,
    /// Longest time for the start of a server, and for the making of an environment, in which
    /// packages are imported.
    pub start_deadline: Duration,
    /// Whether frames are drawn. Only Car-Racing can run without drawing; its state, rewards and
    /// ends stay the same.
    pub draw: bool,
}

impl GymConfig {
    /// The environment `id` with its own defaults.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            name: format!("gym:{id}"),
            id,
            action_forms: Vec::new(),
            stall_cost: None,
            kwargs: serde_json::Map::new(),
            view: None,
            processes: 1,
            deadline: Duration::from_secs(60),
            start_deadline: Duration::from_secs(180),
            draw: true,
        }
    }
}

/// What the server reports about the environment.
#[derive(Clone, Debug)]
pub struct GymSpec {
    /// Its declaration.
    pub env: EnvSpec,
    /// Height, width and channels of its frames.
    pub frame: (usize, usize, usize),
    /// The agent's view of them, if [`GymConfig::view`] asks for one.
    pub view: Option<AgentView>,
}

/// The servers of one environment.
pub struct Fleet {
    config: GymConfig,
    launch: Launch,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    /// The servers, each with the number of its environments.
    servers: Vec<(Arc<Server>, usize)>,
    /// Environments that are not in use.
    free: Vec<EnvSlot>,
    spec: Option<Arc<GymSpec>>,
}

/// One environment in one server.
pub(crate) struct EnvSlot {
    pub server: Arc<Server>,
    /// Its number in the server.
    pub number: u32,
}

impl Fleet {
    /// A fleet without servers; they are started when they are needed.
    pub fn new(config: GymConfig, launch: Launch) -> Arc<Self> {
        Arc::new(Self {
            config,
            launch,
            pool: Mutex::default(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &GymConfig {
        &self.config
    }

    /// An environment before its first reset.
    ///
    /// # Errors
    /// If a server cannot be started, or if it refuses to make the environment.
    pub fn make(self: &Arc<Self>) -> Result<GymEnv, GymError> {
        let (slot, spec) = self.acquire()?;
        Ok(GymEnv::new(self.clone(), slot, spec))
    }

    /// What the environment is. The first call starts a server.
    ///
    /// # Errors
    /// As those of [`Fleet::make`].
    pub fn spec(&self) -> Result<Arc<GymSpec>, GymError> {
        let (slot, spec) = self.acquire()?;
        self.release(slot);
        Ok(spec)
    }

    /// An environment that is not in use: a released one, or a new one in the server with the
    /// fewest.
    pub(crate) fn acquire(&self) -> Result<(EnvSlot, Arc<GymSpec>), GymError> {
        let mut pool = self
            .pool
            .lock()
            .expect("nothing panics while it holds this");
        pool.free.retain(|slot| slot.server.is_alive());
        if let (Some(slot), Some(spec)) = (pool.free.pop(), pool.spec.clone()) {
            return Ok((slot, spec));
        }
        pool.servers.retain(|(server, _)| server.is_alive());
        if pool.servers.len() < self.config.processes.max(1) {
            let server = Server::start(&self.config.id, &self.launch)?;
            let hello = server.hello(self.config.start_deadline)?;
            tracing::info!(pid = server.pid, versions = ?hello.versions, "started a server of \
                gym:{}", self.config.id);
            pool.servers.push((Arc::new(server), 0));
        }
        let (server, load) = pool
            .servers
            .iter_mut()
            .min_by_key(|(_, load)| *load)
            .expect("one was just started");
        let (slot, spec) = self.open_in(server.clone())?;
        *load += 1;
        let spec = pool.spec.get_or_insert(Arc::new(spec)).clone();
        Ok((slot, spec))
    }

    /// Gives an environment back for later use.
    pub(crate) fn release(&self, slot: EnvSlot) {
        // If another thread panicked the slot is dropped instead, and its server ends with it.
        if let Ok(mut pool) = self.pool.lock() {
            pool.free.push(slot);
        }
    }

    /// Makes an environment in `server`.
    fn open_in(&self, server: Arc<Server>) -> Result<(EnvSlot, GymSpec), GymError> {
        let refused = |why: String| GymError::Refused {
            id: self.config.id.clone(),
            why,
        };
        let request = serde_json::json!({ "id": self.config.id, "kwargs": self.config.kwargs,
            "draw": self.config.draw });
        let body = server
            .send(Request::Make, request.to_string().as_bytes())?
            .wait(&server, self.config.start_deadline);
        let body = body.map_err(|e| match e {
            GymError::Missing { package, id, .. } => GymError::Missing {
                program: self.launch.program.clone(),
                package,
                id,
            },
            other => other,
        })?;
        let made: Made = serde_json::from_slice(&body)
            .map_err(|e| server.garbled(format!("its environment is none: {e}")))?;
        if made.autoreset != "disabled" {
            return Err(refused(format!(
                "its autoreset mode is {}; the server must not reset by itself (mode disabled)",
                made.autoreset
            )));
        }
        let action_space = match made.action.clone() {
            Action::Box { low, high } if !low.is_empty() && low.len() == high.len() => {
                ActionSpace::Box { low, high }
            }
            Action::Discrete { n } if n > 0 => ActionSpace::Discrete(n),
            other => return Err(refused(format!("it has no actions: {other:?}"))),
        };
        let [height, width, channels] = made.observation;
        let frame = (height, width, channels);
        let view = match &self.config.view {
            Some((rows, side)) => {
                let rows = rows.clone().unwrap_or(0..height);
                Some(AgentView::new(frame, rows, *side).map_err(|e| refused(e.to_string()))?)
            }
            None => None,
        };
        if made.measurements.len() > Measured::MOST {
            return Err(refused(format!(
                "it measures {} things, {} are the most",
                made.measurements.len(),
                Measured::MOST
            )));
        }
        let named = [made.progress, made.most_progress, made.completed];
        if named
            .iter()
            .flatten()
            .any(|i| *i >= made.measurements.len())
        {
            let what = "it names measurements that it does not make".into();
            return Err(server.garbled(what));
        }
        let slot = EnvSlot {
            server,
            number: made.slot,
        };
        let spec = GymSpec {
            env: self.declaration(made, action_space, view.as_ref()),
            frame,
            view,
        };
        Ok((slot, spec))
    }

    /// What the environment says of itself, from the server's answer and the configuration.
    fn declaration(&self, made: Made, actions: ActionSpace, view: Option<&AgentView>) -> EnvSpec {
        let [height, width, channels] = made.observation;
        let [height, width, channels] = match view {
            Some(view) => [view.side(), view.side(), 3],
            None => [height, width, channels],
        };
        let observation = ObservationSpace::Frame {
            height,
            width,
            channels,
        };
        let fits = actions.len() == self.config.action_forms.len();
        let plain = EnvSpec::new(&self.config.name, actions, observation);
        let versions: Vec<(String, String)> = made.versions.into_iter().collect();
        EnvSpec {
            rule: self.rule(&versions, made.max_steps),
            max_steps: made.max_steps,
            steps_per_second: made.steps_per_second.unwrap_or(plain.steps_per_second),
            action_forms: if fits {
                self.config.action_forms.clone()
            } else {
                Vec::new()
            },
            action_names: made.action_names.into_iter().map(Into::into).collect(),
            steps_in_view: made.steps_in_view,
            measurements: made
                .measurements
                .into_iter()
                .map(Measurement::from)
                .collect(),
            progress: made.progress.map(|value| Progress {
                value,
                most: made.most_progress,
            }),
            completed: made.completed,
            stall_cost: self.config.stall_cost,
            is_deterministic: made.deterministic,
            versions,
            ..plain
        }
    }

    /// The rule of its scores: its own, of packages with these `versions`.
    fn rule(&self, versions: &[(String, String)], max_steps: Option<u32>) -> String {
        let packages: Vec<String> = versions
            .iter()
            .filter(|(name, _)| ["gymnasium", "gym-super-mario-bros"].contains(&name.as_str()))
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let most = max_steps.map_or("no limit on steps".into(), |n| format!("{n} steps at most"));
        format!(
            "{}'s own, of {}: {most}",
            self.config.name,
            packages.join(", ")
        )
    }
}
