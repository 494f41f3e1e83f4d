//! A server without Python: an environment of arithmetic, and every fault there is. The first
//! argument names the fault, the second a file that it leaves when a fault is to happen once only.

use std::{
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use frmdn_gym_bridge::protocol::{Action, ERROR, Hello, Made, REPLY, Stepped, VERSION, message};

/// Height, width and channels of a frame.
const FRAME: [usize; 3] = [6, 4, 3];

/// An environment: 12 steps or more, ended by the seed or cut off after 20.
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
        let flags = u8::from(ended)
            | u8::from(cut) << 1
            | u8::from(ended && self.state.is_multiple_of(8)) << 2;
        Stepped {
            reward: (self.state % 1000) as f64 / 999.0,
            flags,
            progress: (self.steps, 20),
        }
    }

    fn frame(&self) -> Vec<u8> {
        (0..FRAME.iter().product::<usize>())
            .map(|i| (self.state.rotate_left(i as u32) >> 7) as u8)
            .collect()
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let fault = args.get(1).map_or("good", String::as_str);
    // A fault that is to happen once leaves a file behind, so that the next server is a good one.
    let once = args.get(2).map(Path::new);
    let spent = once.is_some_and(Path::exists);
    let fault = if spent {
        args.get(3).map_or("good", String::as_str)
    } else {
        fault
    };
    let strike = || {
        if let Some(path) = once {
            std::fs::write(path, "").expect("a folder for tests can be written");
        }
    };
    eprintln!("fake server: {fault}");
    match fault {
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
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut worlds: Vec<World> = Vec::new();
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        if input.read_exact(&mut request).is_err() {
            return;
        }
        let (kind, ticket) = (
            request[0],
            u32::from_le_bytes(request[1..5].try_into().expect("four bytes")),
        );
        let body = &request[5..];
        let slot = || u32::from_le_bytes(body[..4].try_into().expect("four bytes")) as usize;
        let failure = |kind: &str, message: &str| {
            serde_json::json!({ "kind": kind, "message": message, "trace": "Traceback\n  line 7" })
                .to_string()
                .into_bytes()
        };
        let mut answer = (kind + REPLY, Vec::new());
        match kind {
            1 => {
                let protocol = if fault == "version" {
                    VERSION + 8
                } else {
                    VERSION
                };
                let versions = [("python".to_owned(), "0.0-fake".to_owned())].into();
                answer.1 = serde_json::to_vec(&Hello { protocol, versions }).expect("plain data");
            }
            2 if fault == "missing" => answer = (ERROR, failure("Missing", "gymnasium")),
            2 if fault == "refused" => {
                answer = (ERROR, failure("Refused", "its action space is Text(4)"))
            }
            2 => {
                worlds.push(World::default());
                let action = if fault == "discrete" {
                    Action::Discrete { n: 3 }
                } else {
                    Action::Box {
                        low: vec![-1.0, 0.0],
                        high: vec![1.0, 2.0],
                    }
                };
                let autoreset = if fault == "autoreset" {
                    "next_step"
                } else {
                    "disabled"
                };
                let slot = worlds.len() as u32 - 1;
                let versions = [("python".to_owned(), "0.0-fake".to_owned())].into();
                let made = Made {
                    slot,
                    action,
                    observation: FRAME,
                    max_steps: Some(20),
                    autoreset: autoreset.into(),
                    versions,
                };
                answer.1 = serde_json::to_vec(&made).expect("plain data");
            }
            3 => {
                let world = &mut worlds[slot()];
                world.reset(u64::from_le_bytes(
                    body[4..12].try_into().expect("eight bytes"),
                ));
                if fault == "crash-reset" {
                    strike();
                    std::process::exit(9);
                }
                answer.1 = world.frame();
            }
            4 => {
                let action: Vec<f32> = body[4..]
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b))
                    .collect();
                let world = &mut worlds[slot()];
                if world.steps == 6 {
                    match fault {
                        "crash" => {
                            strike();
                            eprintln!(
                                "terminate called after throwing an instance of 'std::bad_alloc'"
                            );
                            std::process::abort();
                        }
                        "hang" => {
                            strike();
                            eprintln!("waiting for a lock that nobody gives back");
                            std::thread::sleep(Duration::from_secs(600));
                        }
                        "closed" => {
                            strike();
                            return;
                        }
                        "raise" => {
                            answer = (ERROR, failure("ZeroDivisionError", "division by zero"));
                            write(&mut output, &message(answer.0, ticket, &answer.1));
                            continue;
                        }
                        "long" => {
                            strike();
                            write(&mut output, &u32::MAX.to_le_bytes());
                            continue;
                        }
                        "ticket" => {
                            strike();
                            write(&mut output, &message(kind + REPLY, ticket + 1000, &[]));
                            continue;
                        }
                        "short" => {
                            strike();
                            write(&mut output, &message(kind + REPLY, ticket, &[1, 2, 3]));
                            continue;
                        }
                        _ => {}
                    }
                }
                let drift = u64::from(fault == "drift");
                let mut bytes = world.step(&action, drift).bytes();
                bytes.extend(world.frame());
                answer.1 = bytes;
            }
            5 if fault == "late" => std::thread::sleep(Duration::from_millis(300)),
            5 => answer.1 = body[4..].to_vec(),
            _ => {}
        }
        write(&mut output, &message(answer.0, ticket, &answer.1));
    }
}

fn write(output: &mut impl Write, bytes: &[u8]) {
    // The client may be gone: then the next read ends the loop.
    let _ = output.write_all(bytes).and_then(|()| output.flush());
}
