//! Some servers, and the environments in their slots.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use frmdn_env::{ActionSpace, AgentView};

use crate::{
    GymEnv, GymError, Launch,
    process::Server,
    protocol::{Action, Made, Request},
};

/// Which environment is served, and how.
#[derive(Clone, Debug)]
pub struct GymConfig {
    /// Its name for `gymnasium.make`.
    pub id: String,
    /// Its keyword arguments.
    pub kwargs: serde_json::Map<String, serde_json::Value>,
    /// The rows of its frames that an agent sees (`None`: all), as a square of that many pixels;
    /// without it observations are the frames as they are.
    pub view: Option<(Option<Range<usize>>, usize)>,
    /// Most processes; environments are spread over them.
    pub processes: usize,
    /// How long a reset or a step may take.
    pub deadline: Duration,
    /// How long the start of a server and the making of an environment may take: packages are
    /// imported in that time.
    pub start_deadline: Duration,
    /// Whether frames are drawn. Only Car-Racing can be run without: its state, rewards and ends
    /// stay the same.
    pub draw: bool,
}

impl GymConfig {
    /// The environment `id` with its own defaults.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kwargs: serde_json::Map::new(),
            view: None,
            processes: 1,
            deadline: Duration::from_secs(60),
            start_deadline: Duration::from_secs(180),
            draw: true,
        }
    }
}

/// What an environment turned out to be.
#[derive(Clone, Debug)]
pub struct GymSpec {
    /// Its actions.
    pub action_space: ActionSpace,
    /// Height, width and channels of its frames.
    pub frame: (usize, usize, usize),
    /// What an agent sees of them, where the configuration asks for that.
    pub view: Option<AgentView>,
    /// Steps after which its episodes are cut off.
    pub max_steps: Option<u32>,
    /// Versions of Python and of the packages that matter.
    pub versions: BTreeMap<String, String>,
}

/// The servers of one environment.
pub struct Fleet {
    config: GymConfig,
    launch: Launch,
    crew: Mutex<ServerLoad>,
}

#[derive(Default)]
struct ServerLoad {
    /// Each with the number of its environments.
    servers: Vec<(Arc<Server>, usize)>,
    /// Environments that nobody uses at the moment.
    free: Vec<Lease>,
    spec: Option<Arc<GymSpec>>,
}

/// One environment in one server.
pub(crate) struct Lease {
    pub server: Arc<Server>,
    pub slot: u32,
}

impl Fleet {
    /// The servers of `config`, started when they are needed.
    pub fn new(config: GymConfig, launch: Launch) -> Arc<Self> {
        Arc::new(Self {
            config,
            launch,
            crew: Mutex::default(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &GymConfig {
        &self.config
    }

    /// An environment, before its first reset.
    pub fn make(self: &Arc<Self>) -> Result<GymEnv, GymError> {
        let (lease, spec) = self.lease()?;
        Ok(GymEnv::new(self.clone(), lease, spec))
    }

    /// What the environment is; a server is started to know it.
    pub fn spec(&self) -> Result<Arc<GymSpec>, GymError> {
        let (lease, spec) = self.lease()?;
        self.release(lease);
        Ok(spec)
    }

    /// An environment that nobody uses: one that was given back, or a new one in the server that
    /// has the fewest.
    pub(crate) fn lease(&self) -> Result<(Lease, Arc<GymSpec>), GymError> {
        let mut crew = self
            .crew
            .lock()
            .expect("nothing panics while it holds this");
        crew.free.retain(|lease| lease.server.is_alive());
        if let (Some(lease), Some(spec)) = (crew.free.pop(), crew.spec.clone()) {
            return Ok((lease, spec));
        }
        crew.servers.retain(|(server, _)| server.is_alive());
        if crew.servers.len() < self.config.processes.max(1) {
            let server = Server::start(&self.config.id, &self.launch)?;
            let hello = server.hello(self.config.start_deadline)?;
            tracing::info!(pid = server.pid, versions = ?hello.versions, "started a server of \
                gym:{}", self.config.id);
            crew.servers.push((Arc::new(server), 0));
        }
        let (server, load) = crew
            .servers
            .iter_mut()
            .min_by_key(|(_, load)| *load)
            .expect("one was just started");
        let (lease, spec) = self.open_in(server.clone())?;
        *load += 1;
        let spec = crew.spec.get_or_insert(Arc::new(spec)).clone();
        Ok((lease, spec))
    }

    pub(crate) fn release(&self, lease: Lease) {
        // Dropped instead if another thread panicked: its server ends with it.
        if let Ok(mut crew) = self.crew.lock() {
            crew.free.push(lease);
        }
    }

    /// Makes an environment in `server`.
    fn open_in(&self, server: Arc<Server>) -> Result<(Lease, GymSpec), GymError> {
        let refused = |why: String| GymError::Refused {
            id: self.config.id.clone(),
            why,
        };
        let wish = serde_json::json!({ "id": self.config.id, "kwargs": self.config.kwargs,
            "draw": self.config.draw });
        let body = server
            .send(Request::Make, wish.to_string().as_bytes())?
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
        let action_space = match made.action {
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
        let lease = Lease {
            server,
            slot: made.slot,
        };
        Ok((
            lease,
            GymSpec {
                action_space,
                frame,
                view,
                max_steps: made.max_steps,
                versions: made.versions,
            },
        ))
    }
}
