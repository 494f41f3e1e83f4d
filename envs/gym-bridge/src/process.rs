//! One server: a child process, its pipes, and the requests that are under way.

use std::{
    collections::{HashMap, VecDeque},
    ffi::OsString,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdout, Command},
    runtime::Runtime,
    sync::{mpsc, oneshot, watch},
};

use crate::{
    GymError,
    protocol::{self, ERROR, Failure, HEAD, Hello, LONGEST, REPLY, Request},
};

/// Lines of standard error that are kept.
const LINES: usize = 20;
/// Longest line that is kept, in bytes.
const LINE: usize = 400;
/// How long a server may take to end after its input was closed, before it is killed.
const FAREWELL: Duration = Duration::from_secs(2);

/// The pipes of all servers are served by one thread of their own.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("gym-bridge")
        .enable_all()
        .build()
        .expect("the system gives one more thread and its pipes")
});

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The interpreter.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The folder of its script, which lives as long as any server may be started.
    #[expect(dead_code, reason = "held, not read: dropping it deletes the folder")]
    pub(crate) folder: Option<Arc<tempfile::TempDir>>,
}

impl Launch {
    /// Any program that speaks the protocol.
    pub fn new(program: impl Into<PathBuf>, args: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().collect(),
            folder: None,
        }
    }
}

/// A running server.
pub(crate) struct Server {
    /// What it serves, for errors.
    id: String,
    /// Requests on their way to its standard input. Dropping it closes the input, which ends the
    /// server.
    requests: mpsc::UnboundedSender<Vec<u8>>,
    shared: Arc<Shared>,
    ticket: AtomicU32,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
    kill: mpsc::UnboundedSender<()>,
    /// Process number, for logs.
    pub pid: u32,
}

/// Kind and body.
type Reply = (u8, Vec<u8>);

#[derive(Default)]
struct Shared {
    /// Who waits for which reply; `None` once nothing more will come.
    waiting: Mutex<Option<HashMap<u32, oneshot::Sender<Reply>>>>,
    stderr: Mutex<VecDeque<String>>,
    /// What was wrong with its messages.
    garbled: Mutex<Option<String>>,
    /// It was told to end: nobody may start anything with it.
    condemned: AtomicBool,
}

/// A reply that is to come.
#[derive(Debug)]
pub(crate) struct Pending {
    request: Request,
    reply: oneshot::Receiver<Reply>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this")
}

impl Server {
    /// Starts a process; [`Server::hello`] tells whether it is a server.
    pub fn start(id: &str, launch: &Launch) -> Result<Self, GymError> {
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C in a terminal goes to the whole process group; the server is to end when its input
        // closes, not before.
        #[cfg(unix)]
        command.process_group(0);
        let _guard = RUNTIME.enter();
        let mut child = command.spawn().map_err(|e| GymError::NotStarted {
            program: launch.program.clone(),
            why: e.to_string(),
        })?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three were piped");
        };
        let pid = child.id().unwrap_or(0);
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Some(HashMap::new())),
            ..Shared::default()
        });

        let (requests, mut outbox) = mpsc::unbounded_channel::<Vec<u8>>();
        RUNTIME.spawn(async move {
            while let Some(message) = outbox.recv().await {
                if stdin.write_all(&message).await.is_err() {
                    break;
                }
            }
        });
        let mut words = BufReader::new(stderr);
        let said = shared.clone();
        let listen = RUNTIME.spawn(async move {
            let mut line = Vec::new();
            while matches!(words.read_until(b'\n', &mut line).await, Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line[..line.len().min(LINE)])
                    .trim_end()
                    .to_owned();
                tracing::debug!(pid, "{text}");
                let mut kept = lock(&said.stderr);
                if kept.len() == LINES {
                    kept.pop_front();
                }
                kept.push_back(text);
                drop(kept);
                line.clear();
            }
        });
        let inbox = shared.clone();
        let read = RUNTIME.spawn(async move {
            if let Err(what) = deliver(stdout, &inbox).await {
                inbox.condemned.store(true, Ordering::Relaxed);
                *lock(&inbox.garbled) = Some(what);
            }
        });
        let (kill, killed) = mpsc::unbounded_channel();
        let (tell, ended) = watch::channel(None);
        let all = shared.clone();
        RUNTIME.spawn(async move {
            let status = supervise(child, killed, read).await;
            // What it said last is part of the error; a grandchild may keep the pipe open, so not
            // forever.
            let _ = tokio::time::timeout(Duration::from_millis(200), listen).await;
            let _ = tell.send(Some(status));
            *lock(&all.waiting) = None;
        });
        Ok(Self {
            id: id.to_owned(),
            requests,
            shared,
            ticket: AtomicU32::new(0),
            ended,
            kill,
            pid,
        })
    }

    /// Asks for versions and checks the protocol's.
    pub fn hello(&self, deadline: Duration) -> Result<Hello, GymError> {
        let wish = format!("{{\"protocol\": {}}}", protocol::VERSION);
        let body = self
            .send(Request::Hello, wish.as_bytes())?
            .wait(self, deadline)?;
        let hello: Hello = serde_json::from_slice(&body)
            .map_err(|e| self.garbled(format!("its greeting is none: {e}")))?;
        if hello.protocol == protocol::VERSION {
            Ok(hello)
        } else {
            Err(GymError::Version {
                found: hello.protocol,
                expected: protocol::VERSION,
            })
        }
    }

    /// Sends a request.
    pub fn send(&self, request: Request, body: &[u8]) -> Result<Pending, GymError> {
        let ticket = self.ticket.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        match lock(&self.shared.waiting).as_mut() {
            Some(waiting) => waiting.insert(ticket, sender),
            None => return Err(self.ended(request)),
        };
        // A closed outbox means a broken pipe: the process is about to end, and the reply will
        // tell.
        let _ = self
            .requests
            .send(protocol::message(request as u8, ticket, body));
        Ok(Pending { request, reply })
    }

    /// Whether the process still answers.
    pub fn is_alive(&self) -> bool {
        !self.shared.condemned.load(Ordering::Relaxed)
            && lock(&self.shared.waiting).is_some()
            && self.ended.borrow().is_none()
    }

    /// Stops the process at once.
    pub fn kill(&self) {
        self.shared.condemned.store(true, Ordering::Relaxed);
        let _ = self.kill.send(());
    }

    /// The last lines of its standard error.
    fn stderr(&self) -> String {
        lock(&self.shared.stderr)
            .iter()
            .map(|line| format!("  {line}"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub fn garbled(&self, what: String) -> GymError {
        self.kill();
        GymError::Garbled {
            id: self.id.clone(),
            what,
            stderr: self.stderr(),
        }
    }

    /// The error of a process that is gone: how it ended is waited for.
    fn ended(&self, request: Request) -> GymError {
        let mut ended = self.ended.clone();
        let wait = async {
            ended
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|status| status.clone())
        };
        let status = RUNTIME.block_on(async {
            tokio::time::timeout(FAREWELL * 2, wait)
                .await
                .ok()
                .flatten()
        });
        if let Some(what) = lock(&self.shared.garbled).clone() {
            return GymError::Garbled {
                id: self.id.clone(),
                what,
                stderr: self.stderr(),
            };
        }
        let status = status.unwrap_or_else(|| "its pipe was closed".into());
        GymError::Ended {
            id: self.id.clone(),
            request: request.verb(),
            status,
            stderr: self.stderr(),
        }
    }
}

impl Pending {
    /// The body of the reply, within `deadline`; a server that misses it is stopped.
    pub fn wait(self, server: &Server, deadline: Duration) -> Result<Vec<u8>, GymError> {
        let request = self.request;
        let reply = RUNTIME.block_on(async { tokio::time::timeout(deadline, self.reply).await });
        match reply {
            Err(_) => {
                server.kill();
                Err(GymError::Hung {
                    id: server.id.clone(),
                    request: request.verb(),
                    after: deadline,
                    stderr: server.stderr(),
                })
            }
            Ok(Err(_)) => Err(server.ended(request)),
            Ok(Ok((kind, body))) if kind == request as u8 + REPLY => Ok(body),
            Ok(Ok((ERROR, body))) => {
                let failure: Failure = serde_json::from_slice(&body)
                    .map_err(|e| server.garbled(format!("its error is none: {e}")))?;
                Err(raised(server, request, failure))
            }
            Ok(Ok((kind, _))) => Err(server.garbled(format!(
                "a reply of kind {kind} to a request of kind {}",
                request as u8
            ))),
        }
    }
}

/// The error of an exception on the other side. What the server's own classes mean is the fleet's
/// to say.
fn raised(server: &Server, request: Request, failure: Failure) -> GymError {
    let id = server.id.clone();
    let Failure {
        kind,
        message,
        trace,
    } = failure;
    match kind.as_str() {
        "Refused" => GymError::Refused { id, why: message },
        "Missing" => GymError::Missing {
            program: PathBuf::new(),
            package: message,
            id,
        },
        _ => {
            let lines: Vec<&str> = trace.trim_end().lines().collect();
            let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
            GymError::Raised {
                id,
                request: request.verb(),
                kind,
                message,
                trace: tail,
            }
        }
    }
}

/// Hands replies to those who wait, until the pipe closes; an error says what was no message.
async fn deliver(stdout: ChildStdout, shared: &Shared) -> Result<(), String> {
    let mut source = BufReader::with_capacity(1 << 16, stdout);
    loop {
        let mut length = [0; 4];
        if source.read_exact(&mut length).await.is_err() {
            return Ok(());
        }
        let length = u32::from_le_bytes(length) as usize;
        if !(HEAD..=LONGEST).contains(&length) {
            return Err(format!("it announced a message of {length} bytes"));
        }
        let mut head = [0; HEAD];
        let mut body = vec![0; length - HEAD];
        if source.read_exact(&mut head).await.is_err()
            || source.read_exact(&mut body).await.is_err()
        {
            return Ok(());
        }
        let ticket = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let waiter = lock(&shared.waiting)
            .as_mut()
            .and_then(|waiting| waiting.remove(&ticket));
        match waiter {
            // Whoever has stopped waiting does not want it.
            Some(waiter) => drop(waiter.send((head[0], body))),
            None => {
                return Err(format!(
                    "it answered request {ticket}, which was never made"
                ));
            }
        }
    }
}

/// Waits for the end of the process and reaps it: by itself, by [`Server::kill`], or some time
/// after its input was closed.
async fn supervise(
    mut child: Child,
    mut killed: mpsc::UnboundedReceiver<()>,
    read: tokio::task::JoinHandle<()>,
) -> String {
    let mut read = read;
    let mut reading = true;
    loop {
        tokio::select! {
            status = child.wait() => {
                // What it had answered is still read from the pipe.
                if reading {
                    let _ = tokio::time::timeout(Duration::from_millis(200), &mut read).await;
                }
                return status.map_or_else(|e| e.to_string(), |status| status.to_string());
            }
            order = killed.recv() => match order {
                Some(()) => { let _ = child.start_kill(); }
                // The server was dropped and its input closed with it.
                None => {
                    if let Ok(status) = tokio::time::timeout(FAREWELL, child.wait()).await {
                        return status.map_or_else(|e| e.to_string(), |status| status.to_string());
                    }
                    let _ = child.start_kill();
                    let status = child.wait().await;
                    return status.map_or_else(|e| e.to_string(), |status| status.to_string());
                }
            },
            // It closed its output, or said something that is no message: nothing more will come.
            _ = &mut read, if reading => {
                reading = false;
                if tokio::time::timeout(Duration::from_millis(500), child.wait()).await.is_err() {
                    let _ = child.start_kill();
                }
            }
        }
    }
}
