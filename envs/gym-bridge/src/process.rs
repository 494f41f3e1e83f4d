//! One server: a child process, its pipes, and the requests without a reply yet.

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
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    runtime::Runtime,
    sync::{mpsc, oneshot, watch},
};

use crate::{
    GymError,
    protocol::{self, ERROR, Failure, HEAD, Hello, LONGEST, REPLY, Request},
};

/// Number of lines of standard error that are kept for errors.
const MAX_LINES: usize = 20;
/// Bytes of a line that are kept.
const MAX_LINE_LEN: usize = 400;
/// Time for a server to end by itself after its input was closed; then it is killed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// One thread serves the pipes of all servers.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("gym-bridge")
        .enable_all()
        .build()
        .expect("the system can start one more thread")
});

/// The command that starts a server.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The interpreter.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl Launch {
    /// Any program that speaks the protocol.
    pub fn new(program: impl Into<PathBuf>, args: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().collect(),
        }
    }
}

/// A running server.
pub(crate) struct Server {
    /// What it serves, for errors.
    id: String,
    /// Messages for its standard input. Dropping the sender closes the input, which ends the
    /// server.
    requests: mpsc::UnboundedSender<Vec<u8>>,
    shared: Arc<Shared>,
    ticket: AtomicU32,
    /// How it ended; `None` while it runs.
    ended: watch::Receiver<Option<String>>,
    kill: mpsc::UnboundedSender<()>,
    /// Process number, for logs.
    pub pid: u32,
}

/// Kind and body of a reply.
type Reply = (u8, Vec<u8>);

#[derive(Default)]
struct Shared {
    /// The receiver of each reply by its ticket; `None` once no reply can come any more.
    waiting: Mutex<Option<HashMap<u32, oneshot::Sender<Reply>>>>,
    /// The last lines of standard error.
    stderr: Mutex<VecDeque<String>>,
    /// What the server sent instead of a reply.
    garbled: Mutex<Option<String>>,
    /// It is being stopped and takes no new requests.
    stopping: AtomicBool,
}

/// A request whose reply has not been read.
#[derive(Debug)]
pub(crate) struct Pending {
    request: Request,
    reply: oneshot::Receiver<Reply>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this")
}

impl Server {
    /// Starts a process; [`Server::hello`] checks that it is a server.
    pub fn start(id: &str, launch: &Launch) -> Result<Self, GymError> {
        let _guard = RUNTIME.enter();
        let mut child = spawn(launch)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three were piped");
        };
        let pid = child.id().unwrap_or(0);
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Some(HashMap::new())),
            ..Shared::default()
        });
        let (requests, outbox) = mpsc::unbounded_channel();
        let (kill, killed) = mpsc::unbounded_channel();
        let (end_sender, ended) = watch::channel(None);
        RUNTIME.spawn(write_requests(stdin, outbox));
        let stderr_task = RUNTIME.spawn(keep_stderr(stderr, shared.clone(), pid));
        let reply_task = RUNTIME.spawn(read_replies(stdout, shared.clone()));
        let watched = shared.clone();
        RUNTIME.spawn(async move {
            let status = supervise(child, killed, reply_task).await;
            // The last lines of standard error are part of the error. The wait is short, because a
            // grandchild may keep the pipe open.
            let _ = tokio::time::timeout(Duration::from_millis(200), stderr_task).await;
            let _ = end_sender.send(Some(status));
            *lock(&watched.waiting) = None;
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

    /// Reads the versions and checks that of the protocol.
    pub fn hello(&self, deadline: Duration) -> Result<Hello, GymError> {
        let request = format!("{{\"protocol\": {}}}", protocol::VERSION);
        let body = self
            .send(Request::Hello, request.as_bytes())?
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
        // A closed channel means a broken pipe: the process is about to end, and waiting for the
        // reply returns that error.
        let _ = self
            .requests
            .send(protocol::message(request as u8, ticket, body));
        Ok(Pending { request, reply })
    }

    /// Whether the process runs and takes requests.
    pub fn is_alive(&self) -> bool {
        !self.shared.stopping.load(Ordering::Relaxed)
            && lock(&self.shared.waiting).is_some()
            && self.ended.borrow().is_none()
    }

    /// Stops the process at once.
    pub fn kill(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
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

    /// Stops the process and returns the error of a message that breaks the protocol.
    pub fn garbled(&self, what: String) -> GymError {
        self.kill();
        GymError::Garbled {
            id: self.id.clone(),
            what,
            stderr: self.stderr(),
        }
    }

    /// The error of a process that has ended or is ending. Waits for its exit status.
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
            tokio::time::timeout(EXIT_TIMEOUT * 2, wait)
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
    /// Waits for the reply and returns its body. A server that misses `deadline` is stopped.
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

/// The error of an exception in the server. The fleet fills in the program of
/// [`GymError::Missing`].
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
            let tail = lines[lines.len().saturating_sub(MAX_LINES)..].join("\n");
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

/// Starts the process with all of its pipes.
fn spawn(launch: &Launch) -> Result<Child, GymError> {
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
    command.spawn().map_err(|e| GymError::NotStarted {
        program: launch.program.clone(),
        why: e.to_string(),
    })
}

/// Writes the messages of `outbox` to the server, until that is closed or the pipe breaks.
async fn write_requests(mut stdin: ChildStdin, mut outbox: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(message) = outbox.recv().await {
        if stdin.write_all(&message).await.is_err() {
            break;
        }
    }
}

/// Keeps the last lines of standard error, until the pipe closes.
async fn keep_stderr(stderr: ChildStderr, shared: Arc<Shared>, pid: u32) {
    let mut source = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(source.read_until(b'\n', &mut line).await, Ok(n) if n > 0) {
        let text = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE_LEN)])
            .trim_end()
            .to_owned();
        tracing::debug!(pid, "{text}");
        let mut kept = lock(&shared.stderr);
        if kept.len() == MAX_LINES {
            kept.pop_front();
        }
        kept.push_back(text);
        drop(kept);
        line.clear();
    }
}

/// Reads replies until the pipe closes or something else than a reply arrives.
async fn read_replies(stdout: ChildStdout, shared: Arc<Shared>) {
    if let Err(fault) = deliver(stdout, &shared).await {
        shared.stopping.store(true, Ordering::Relaxed);
        *lock(&shared.garbled) = Some(fault.to_string());
    }
}

/// What a server sent instead of a reply.
#[derive(Debug, thiserror::Error)]
enum StreamFault {
    #[error("it announced a message of {0} bytes")]
    Length(usize),
    #[error("it answered request {0}, which was never made")]
    Ticket(u32),
}

/// Hands each reply to the one who waits for it, until the pipe closes.
async fn deliver(stdout: ChildStdout, shared: &Shared) -> Result<(), StreamFault> {
    let mut source = BufReader::with_capacity(1 << 16, stdout);
    loop {
        let mut length = [0; 4];
        if source.read_exact(&mut length).await.is_err() {
            return Ok(());
        }
        let length = u32::from_le_bytes(length) as usize;
        if !(HEAD..=LONGEST).contains(&length) {
            return Err(StreamFault::Length(length));
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
            // Sending fails if the receiver has timed out and no longer needs the reply.
            Some(waiter) => drop(waiter.send((head[0], body))),
            None => return Err(StreamFault::Ticket(ticket)),
        }
    }
}

/// Waits until the process ends, which happens by itself, after [`Server::kill`], or within a
/// timeout after its input was closed. Returns its exit status in words.
async fn supervise(
    mut child: Child,
    mut killed: mpsc::UnboundedReceiver<()>,
    mut replies: tokio::task::JoinHandle<()>,
) -> String {
    let mut reading = true;
    loop {
        tokio::select! {
            status = child.wait() => {
                // Replies that it sent before are still read from the pipe.
                if reading {
                    let _ = tokio::time::timeout(Duration::from_millis(200), &mut replies).await;
                }
                return status.map_or_else(|e| e.to_string(), |status| status.to_string());
            }
            request = killed.recv() => match request {
                Some(()) => { let _ = child.start_kill(); }
                // The server was dropped and its input closed with it.
                None => {
                    if let Ok(status) = tokio::time::timeout(EXIT_TIMEOUT, child.wait()).await {
                        return status.map_or_else(|e| e.to_string(), |status| status.to_string());
                    }
                    let _ = child.start_kill();
                    let status = child.wait().await;
                    return status.map_or_else(|e| e.to_string(), |status| status.to_string());
                }
            },
            // It closed its output or sent something else than a reply: no reply can follow.
            _ = &mut replies, if reading => {
                reading = false;
                if tokio::time::timeout(Duration::from_millis(500), child.wait()).await.is_err() {
                    let _ = child.start_kill();
                }
            }
        }
    }
}
