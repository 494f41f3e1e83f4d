//! Every command with each of its arguments missing, empty, huge, not a number and not UTF-8: it is
//! refused by name, fails with a reason, or works until a signal stops it.
#![cfg(unix)]

mod common;

use std::{
    ffi::{OsStr, OsString},
    io::Read,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long a command may be at work before it is stopped.
const WORK: Duration = Duration::from_millis(300);
/// How long it may take to stop. It takes a second; the rest is for busy machines.
const STOP: Duration = Duration::from_secs(20);

/// Values that no argument means.
fn values() -> Vec<OsString> {
    let texts = [
        "",
        "99999999999999999999999999",
        "18446744073709551615",
        "-1",
        "x",
        "1e400",
        "nan",
    ];
    let mut values: Vec<OsString> = texts.map(OsString::from).into();
    values.push(OsStr::from_bytes(b"\xff\xfe").into());
    values
}

/// A command as it is typed, with what it needs to work for a while.
#[derive(Clone)]
struct Typed {
    name: Vec<String>,
    /// What stands in place of each positional argument.
    positional: Vec<OsString>,
    /// Options, each one argument.
    options: Vec<OsString>,
}

impl Typed {
    fn arguments(&self) -> Vec<OsString> {
        let name = self.name.iter().map(OsString::from);
        let options = self.options.iter().cloned();
        // What follows `--` is no option, whatever it begins with.
        let positional = self.positional.iter().cloned();
        let rest = std::iter::once(OsString::from("--")).chain(positional);
        name.chain(options).chain(rest).collect()
    }
}

fn agent() -> OsString {
    concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/car-racing-tiny").into()
}

/// What each command needs, by name.
fn usual(name: &str) -> Vec<OsString> {
    match name {
        "evaluate" | "play" | "dream" | "inspect" | "robustness" => vec![agent()],
        "train" | "collect" | "vision" | "memory" | "controller" | "plan" => vec!["tiny".into()],
        "trace" => vec!["car-racing".into()],
        "likelihood" | "score" => vec!["run".into()],
        "seeds" => vec!["one=run".into()],
        _ => Vec::new(),
    }
}

/// Every command that does something, with its declaration.
fn commands(command: &clap::Command, above: &[String]) -> Vec<(Vec<String>, clap::Command)> {
    let mut all = Vec::new();
    for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
        let name = [above, &[inner.get_name().to_owned()]].concat();
        if inner.has_subcommands() {
            all.extend(commands(inner, &name));
        } else {
            all.push((name, inner.clone()));
        }
    }
    all
}

/// All that is to be typed.
fn cases() -> Vec<Vec<OsString>> {
    let mut root = frmdn::cli::command();
    root.build();
    let mut cases = Vec::new();
    for (name, command) in commands(&root, &[]) {
        let base = Typed {
            positional: usual(name.last().unwrap()),
            options: Vec::new(),
            name,
        };
        cases.push(base.arguments());
        for argument in command.get_arguments() {
            if !argument.get_action().takes_values() {
                continue;
            }
            for value in values() {
                let mut typed = base.clone();
                if let Some(long) = argument.get_long() {
                    let option = [b"--", long.as_bytes(), b"=", value.as_bytes()].concat();
                    typed.options.push(OsStr::from_bytes(&option).into());
                } else {
                    typed.positional = vec![value];
                }
                cases.push(typed.arguments());
            }
            let mut missing = base.clone();
            match argument.get_long() {
                Some(long) => missing.positional.push(format!("--{long}").into()),
                None => missing.positional.clear(),
            }
            let mut arguments = missing.arguments();
            arguments.retain(|argument| argument != "--");
            cases.push(arguments);
        }
    }
    cases
}

/// Types it in a folder of its own, and says what is wrong with what happens.
fn fault(arguments: &[OsString], folder: &Path) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stderr = child.stderr.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let began = Instant::now();
    let mut stopped = None;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is a child") {
            break status;
        }
        if stopped.is_none() && began.elapsed() > WORK {
            let mut kill = Command::new("kill");
            let _ = kill
                .args(["-TERM", &child.id().to_string()])
                .stderr(Stdio::null())
                .status();
            stopped = Some(Instant::now());
        }
        if stopped.is_some_and(|at| at.elapsed() > STOP) {
            let _ = child.kill();
            let _ = child.wait();
            return Some("a signal does not stop it".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = reader.join().expect("the reader ends");
    if text.contains("panicked") {
        return Some(text);
    }
    match status.code() {
        Some(0 | 130) => None,
        // Refused by clap, which names the argument.
        Some(2) if text.contains("--") || text.contains('<') || text.contains('[') => None,
        Some(1) if text.contains("error: ") => None,
        _ => Some(format!("{status}: {text}")),
    }
}

#[test]
fn no_argument_makes_it_panic_hang_or_end_without_a_reason() {
    let cases = cases();
    assert!(cases.len() > 300, "only {} cases", cases.len());
    let next = Mutex::new(cases.iter());
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                loop {
                    let Some(case) = next.lock().unwrap().next() else {
                        return;
                    };
                    if let Some(fault) = fault(case, folder.path()) {
                        faults.lock().unwrap().push(format!("{case:?}: {fault}"));
                    }
                    // What a case leaves is nothing to the next one.
                    for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
                        let _ = std::fs::remove_dir_all(entry.path());
                        let _ = std::fs::remove_file(entry.path());
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        cases.len(),
        faults.join("\n")
    );
}
