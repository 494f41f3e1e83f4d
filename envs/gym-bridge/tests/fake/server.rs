//! A server without Python: an environment of integer arithmetic, and all faults of a server. The
//! first argument names the fault, the second a file that it leaves when it is to happen once only,
//! the third the fault of processes that find this file.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use frmdn_env::Measured;
use frmdn_gym_bridge::protocol::{
    Action, ERROR, Hello, Made, NamedMeasurement, REPLY, Request, Stepped, VERSION, message,
};

/// Height, width and channels of a frame.
const FRAME: [usize; 3] = [6, 4, 3];

/// An environment: an episode has 12 steps or more, ends by the seed, and is truncated after 20.
#[derive(Default)]
struct World {
    state: u64,
    steps: u32,
}

impl World {
    fn reset(&mut self, seed: u64) {
        *self = Self {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D,
            steps: 0,
        };
    }

    fn step(&mut self, action: &[f32], drift: u64) -> Stepped {
        let bits = action
            .iter()
            .fold(drift, |all, a| all.rotate_left(7) ^ u64::from(a.to_bits()));
        self.state = (self.state ^ bits)
            .wrapping_mul(0xD129_0F5A_3C1B_52A7)
            .rotate_left(23);
        self.steps += 1;
        let ended = self.steps > 11 && self.state.is_multiple_of(4);
        let cut = self.steps >= 20;
        let flags = u8::from(ended) | u8::from(cut) << 1;
        let completed = ended && self.state.is_multiple_of(8);
        Stepped {
            reward: (self.state % 1000) as f64 / 999.0,
            flags,
            measured: Measured::new(&[f64::from(self.steps), 20.0, f64::from(u8::from(completed))]),
        }
    }

    fn frame(&self) -> Vec<u8> {
        (0..FRAME.iter().product::<usize>())
            .map(|i| (self.state.rotate_left(i as u32) >> 7) as u8)
            .collect()
    }
}

/// The fault of this process.
struct Fault {
    name: String,
    /// The file that a fault leaves when it is to happen once only.
    mark: Option<PathBuf>,
}

impl Fault {
    /// The fault of the first argument. If the file of the second argument exists, that fault has
    /// happened, and the third argument is the fault; without it this is a good server.
    fn from_args() -> Self {
        let args: Vec<String> = std::env::args().collect();
        let mark = args.get(2).map(PathBuf::from);
        let happened = mark.as_deref().is_some_and(Path::exists);
        let name = args.get(if happened { 3 } else { 1 });
        Self {
            name: name.map_or("good", String::as_str).to_owned(),
            mark,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Leaves the file.
    fn mark(&self) {
        if let Some(path) = &self.mark {
            std::fs::write(path, "").expect("a folder for tests can be written");
        }
    }

    /// The faults of a process that never answers.
    fn at_start(&self) {
        match self.name.as_str() {
            "exit" => {
                eprintln!("SyntaxError: this is no Python");
                std::process::exit(3)
            }
            "silent" => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            "chatter" => {
                println!("Hello, I print to standard output.");
                std::thread::sleep(Duration::from_secs(30));
            }
            _ => {}
        }
    }

    /// The faults of step 7 of an episode; the answer where there is another one than the step's.
    fn at_step(&self, ticket: u32) -> Option<Answer> {
        match self.name.as_str() {
            "crash" => {
                self.mark();
                eprintln!("terminate called after throwing an instance of 'std::bad_alloc'");
                std::process::abort();
            }
            "hang" => {
                self.mark();
                eprintln!("waiting for a lock that nobody gives back");
                std::thread::sleep(Duration::from_secs(600));
                None
            }
            "closed" => {
                self.mark();
                std::process::exit(0);
            }
            "raise" => Some(Answer::failure("ZeroDivisionError", "division by zero")),
            "long" => {
                self.mark();
                Some(Answer::Bytes(u32::MAX.to_le_bytes().to_vec()))
            }
            "ticket" => {
                self.mark();
                Some(Answer::Bytes(message(
                    Request::Step as u8 + REPLY,
                    ticket + 1000,
                    &[],
                )))
            }
            "short" => {
                self.mark();
                Some(Answer::Reply(vec![1, 2, 3]))
            }
            _ => None,
        }
    }
}

enum Answer {
    /// The body of a reply.
    Reply(Vec<u8>),
    /// The body of an error.
    Error(Vec<u8>),
    /// Bytes that are written as they are.
    Bytes(Vec<u8>),
}

impl Answer {
    fn failure(kind: &str, message: &str) -> Self {
        let trace = "Traceback\n  line 7";
        let body = serde_json::json!({ "kind": kind, "message": message, "trace": trace });
        Self::Error(body.to_string().into_bytes())
    }

    fn json(value: &impl serde::Serialize) -> Self {
        Self::Reply(serde_json::to_vec(value).expect("plain data"))
    }
}

struct Server {
    fault: Fault,
    worlds: Vec<World>,
}

impl Server {
    fn answer(&mut self, kind: u8, ticket: u32, body: &[u8]) -> Answer {
        match kind {
            1 => Answer::json(&Hello {
                protocol: VERSION + if self.fault.is("version") { 8 } else { 0 },
                versions: versions(),
            }),
            2 => self.make(),
            3 => self.reset(body),
            4 => self.step(ticket, body),
            5 => {
                if self.fault.is("late") {
                    std::thread::sleep(Duration::from_millis(300));
                    return Answer::Reply(Vec::new());
                }
                Answer::Reply(body[4..].to_vec())
            }
            _ => Answer::Reply(Vec::new()),
        }
    }

    fn make(&mut self) -> Answer {
        if self.fault.is("missing") {
            return Answer::failure("Missing", "gymnasium");
        }
        if self.fault.is("refused") {
            return Answer::failure("Refused", "its action space is Text(4)");
        }
        self.worlds.push(World::default());
        let action = if self.fault.is("discrete") {
            Action::Discrete { n: 3 }
        } else {
            Action::Box {
                low: vec![-1.0, 0.0],
                high: vec![1.0, 2.0],
            }
        };
        let autoreset = if self.fault.is("autoreset") {
            "next_step"
        } else {
            "disabled"
        };
        let mut made = Made {
            slot: self.worlds.len() as u32 - 1,
            action,
            observation: FRAME,
            max_steps: Some(20),
            steps_per_second: None,
            measurements: ["steps", "all", "end"].map(measurement).into(),
            progress: Some(0),
            most_progress: Some(1),
            completed: Some(2),
            deterministic: false,
            action_names: Vec::new(),
            steps_in_view: None,
            autoreset: autoreset.into(),
            versions: versions(),
        };
        match self.fault.name.as_str() {
            "no-progress" => made.progress = Some(3),
            "no-most" => made.most_progress = Some(3),
            "no-end" => made.completed = Some(usize::MAX),
            "measures" => {
                made.measurements = vec![measurement("one of many"); Measured::MOST + 1];
            }
            _ => {}
        }
        Answer::json(&made)
    }

    fn reset(&mut self, body: &[u8]) -> Answer {
        let world = &mut self.worlds[slot(body)];
        world.reset(u64::from_le_bytes(
            body[4..12].try_into().expect("eight bytes"),
        ));
        if self.fault.is("crash-reset") {
            self.fault.mark();
            std::process::exit(9);
        }
        Answer::Reply(world.frame())
    }

    fn step(&mut self, ticket: u32, body: &[u8]) -> Answer {
        let action: Vec<f32> = body[4..]
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        let world = &mut self.worlds[slot(body)];
        if world.steps == 6
            && let Some(answer) = self.fault.at_step(ticket)
        {
            return answer;
        }
        let drift = u64::from(self.fault.is("drift"));
        let mut bytes = world.step(&action, drift).bytes();
        bytes.extend(world.frame());
        Answer::Reply(bytes)
    }
}

fn measurement(name: &str) -> NamedMeasurement {
    NamedMeasurement {
        name: name.into(),
        unit: String::new(),
        higher_is_better: None,
    }
}

fn versions() -> BTreeMap<String, String> {
    [("python".to_owned(), "0.0-fake".to_owned())].into()
}

/// The environment that a request is for.
fn slot(body: &[u8]) -> usize {
    u32::from_le_bytes(body[..4].try_into().expect("four bytes")) as usize
}

fn main() {
    let fault = Fault::from_args();
    eprintln!("fake server: {}", fault.name);
    fault.at_start();
    let mut server = Server {
        fault,
        worlds: Vec::new(),
    };
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        if input.read_exact(&mut request).is_err() {
            return;
        }
        let kind = request[0];
        let ticket = u32::from_le_bytes(request[1..5].try_into().expect("four bytes"));
        let bytes = match server.answer(kind, ticket, &request[5..]) {
            Answer::Reply(body) => message(kind + REPLY, ticket, &body),
            Answer::Error(body) => message(ERROR, ticket, &body),
            Answer::Bytes(bytes) => bytes,
        };
        // The client may be gone: then the next read ends the loop.
        let _ = output.write_all(&bytes).and_then(|()| output.flush());
    }
}
