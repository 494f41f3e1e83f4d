//! Standard output, standard error and signals: what is lost is an error, what only tells can fail
//! without harm, and what stops says so.
#![cfg(unix)]

mod common;

use std::{
    fs::File,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
};

use common::{frmdn_in, hashes, success, train};

const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/car-racing-tiny");

/// A file that takes no byte; `None` where there is none.
fn full() -> Option<File> {
    let file = File::options().write(true).open("/dev/full").ok();
    if file.is_none() {
        common::skipped("there is no /dev/full");
    }
    file
}

fn send(signal: &str, child: &Child) {
    let mut kill = Command::new("kill");
    let sent = kill.args([signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Waits until `child` has begun to work in `run`.
fn wait_for(run: &Path, file: &str, child: &mut Child) {
    while !run.join(file).exists() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    success(&train(&run, "2").output().unwrap());
    let run = run.to_str().unwrap();
    for args in [
        &["evaluate", AGENT, "--episodes", "1", "--json"][..],
        &["evaluate", AGENT, "--episodes", "1"],
        &["inspect", AGENT],
        &["inspect", run],
        &["train", "--run", run],
        &["play", "--policy", "noop", "--out", "a.gif"],
        &["doctor"],
        &["--help"],
        &["train", "--help"],
        &["--version"],
    ] {
        let Some(full) = full() else { return };
        let mut command = frmdn_in(dir.path(), args);
        let out = command.stdout(full).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(3), "{args:?}: {text}");
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        // Help and version are printed before there is a log.
        if args.len() > 1 && !args.contains(&"--help") || args == ["doctor"] {
            assert!(text.contains("standard output cannot be written"), "{text}");
        }
    }
}

/// A reader that has seen enough is no error; one that was interrupted too ends like this.
#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = frmdn_in(dir.path(), &["inspect", AGENT]);
    let out = command.stdout(writer).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(!text.contains("error"), "{text}");
}

/// A log that cannot be written, and one that nobody reads: the training ends as it would, and
/// signals are heard.
#[test]
fn what_only_tells_neither_stops_nor_blocks_what_works() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str| dir.path().join(name);
    success(&train(&run("calm"), "2").output().unwrap());

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = train(&run("gone"), "2");
    let status = command.stderr(writer).stdout(Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(0));
    assert_eq!(hashes(&run("calm")), hashes(&run("gone")));

    // The pipe is full before the first line.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&vec![b'.'; 65536]).unwrap();
    let mut command = train(&run("unread"), "2");
    let status = command.stderr(writer).stdout(Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(0));
    assert_eq!(hashes(&run("calm")), hashes(&run("unread")));
    drop(reader);

    if let Some(full) = full() {
        let mut command = train(&run("full"), "2");
        let status = command.stderr(full).stdout(Stdio::null()).status();
        assert_eq!(status.unwrap().code(), Some(0));
        assert_eq!(hashes(&run("calm")), hashes(&run("full")));
    }

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = train(&run("off"), "2");
    command
        .env("FRMDN_LOG", "off")
        .args(["--set", "vision.updates=1000000"]);
    command.args(["--set", "vision.patience=1000000"]);
    let mut child = command
        .stderr(writer)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&run("off"), "vision/metrics.jsonl", &mut child);
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// `nohup` and jobs in the background ignore signals, and so does what they start.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let program = train(&run, "2");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP INT; exec \"$@\"", "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = silent.spawn().unwrap();
    wait_for(&run, "vision/metrics.jsonl", &mut child);
    send("-HUP", &child);
    send("-INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(run.join("evaluation/summary.json").exists());

    // Without it, a terminal that is closed stops it; but what these tests were started with may
    // ignore that itself, as `nohup` does.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if ignored.is_some_and(|mask| mask & 1 != 0) {
        common::skipped("the closed terminal: these tests run under nohup");
        return;
    }
    let run = dir.path().join("other");
    let mut child = train(&run, "2").stderr(Stdio::null()).spawn().unwrap();
    wait_for(&run, "vision/metrics.jsonl", &mut child);
    send("-HUP", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Commands that keep nothing say so, and leave nothing.
#[test]
fn what_keeps_nothing_stops_at_once_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["evaluate", "--policy", "noop", "--seeds", "600000..640000"][..],
        &["dream", AGENT, "--steps", "900", "--out", "d.gif"],
        &["plan", "tiny"],
        &["bench"],
    ] {
        let mut command = frmdn_in(dir.path(), args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        // By then it catches signals, and is far from its end.
        std::thread::sleep(std::time::Duration::from_millis(500));
        send("-TERM", &child);
        let out = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(130), "{args:?}: {text}");
        assert!(
            text.contains("this command keeps nothing on its way"),
            "{args:?}: {text}"
        );
        assert!(out.stdout.is_empty(), "{args:?}");
        assert!(!dir.path().join("d.gif").exists());
    }
}

#[test]
fn what_is_advised_can_be_typed_and_paths_need_no_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let collect = |run: &std::ffi::OsStr| {
        let mut command = train(Path::new("x"), "2");
        let args: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
        command = frmdn_in(dir.path(), &["collect"]);
        let more = args[1..]
            .iter()
            .filter(|arg| *arg != "x" && *arg != "--run");
        let equals = [std::ffi::OsStr::new("--run="), run]
            .map(std::ffi::OsStr::as_bytes)
            .concat();
        command.args(more).arg(std::ffi::OsStr::from_bytes(&equals));
        let out = command.output().unwrap();
        success(&out);
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    for (run, advice) in [
        (&b"my run"[..], "frmdn train --run 'my run'"),
        (b"-dash", "frmdn train --run ./-dash"),
        (b"latin-\xe9", "frmdn train --run"),
    ] {
        let text = collect(std::ffi::OsStr::from_bytes(run));
        assert!(text.contains(advice), "{text}");
        assert!(
            dir.path()
                .join(std::ffi::OsStr::from_bytes(run))
                .join("run.toml")
                .exists()
        );
    }
}

/// What `command` shows on a terminal; `None` where there is no tool that makes one.
fn on_a_terminal(command: &Command, environment: &[(&str, &str)]) -> Option<String> {
    let mut words = vec![command.get_program()];
    words.extend(command.get_args());
    let quoted = words.iter().map(|word| format!("'{}'", word.display()));
    let line = quoted.collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    script
        .env("TERM", "xterm")
        .envs(environment.iter().copied());
    match script.output() {
        Ok(out) => Some(String::from_utf8_lossy(&out.stdout).into_owned()),
        Err(_) => {
            common::skipped("there is no script(1)");
            None
        }
    }
}

#[test]
fn no_colour_where_none_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let is_coloured = |text: &str| {
        // Codes that end with an m are colours and styles; others move the cursor.
        let codes = text.split("\x1b[").skip(1);
        let end = |code: &str| code.chars().find(char::is_ascii_alphabetic);
        codes.map(end).any(|end| end == Some('m'))
    };
    for (i, command) in [
        frmdn_in(dir.path(), &["--help"]),
        train(&dir.path().join("run"), "1"),
    ]
    .iter()
    .enumerate()
    {
        let Some(text) = on_a_terminal(command, &[]) else {
            return;
        };
        assert!(is_coloured(&text), "{i}: {text}");
        std::fs::remove_dir_all(dir.path().join("run")).ok();
        let text = on_a_terminal(command, &[("NO_COLOR", "1")]).unwrap();
        assert!(!is_coloured(&text), "{i}: {text}");
    }
}
