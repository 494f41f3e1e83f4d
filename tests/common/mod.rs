//! A preset in which every stage takes a second or two, with several checkpoints each.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The settings that make `tiny` micro.
pub const MICRO: [&str; 29] = [
    "gates.pixel_mse=9",
    "gates.kl=99",
    "gates.active=0",
    "gates.above_floor=1e9",
    "gates.reward_correlation=-1",
    "collect.episodes=20",
    "collect.steps=60",
    "vision.model.width=4",
    "vision.batch=16",
    "vision.updates=60",
    "vision.window_episodes=6",
    "vision.window_updates=7",
    "vision.evaluate_every=10",
    "memory.batch=4",
    "memory.sequence=16",
    "memory.updates=40",
    "memory.window_episodes=6",
    "memory.window_updates=7",
    "memory.evaluate_every=8",
    "memory.model.hidden=16",
    "memory.model.components=2",
    "memory.model.flow_hidden=8",
    "controller.population=6",
    "controller.generations=8",
    "controller.give_up_after=30",
    "controller.select_every=3",
    "controller.select_tracks=1",
    "evaluate.episodes=2",
    "seed=5",
];

/// `frmdn train` of the micro preset into `run`.
pub fn train(run: &Path, threads: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
    command
        .args(["train", "tiny", "--threads", threads, "--run"])
        .arg(run);
    for set in MICRO {
        command.args(["--set", set]);
    }
    command
}

/// Runs the program with `args`.
pub fn frmdn(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_frmdn"))
        .args(args)
        .output()
        .expect("the program starts")
}

/// Says that a test cannot run here, past the capture of what tests print.
pub fn skipped(why: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "SKIPPED: {why}").ok();
}

/// Standard error of a command that must fail with exit code 1 and without a panic.
pub fn error(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// The program with `args` and the current folder `dir`.
pub fn frmdn_in(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
    command.args(args).current_dir(dir);
    command
}

/// Standard error of a command that must succeed.
pub fn success(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Hashes of the files in `root` and its folders, by their path in it. Without temporary files and
/// the lock, whose names begin with a dot, and without the times that stages took.
pub fn hashes(root: &Path) -> BTreeMap<String, String> {
    use sha2::{Digest, Sha256};
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !name.starts_with('.') && name != "times.jsonl" {
                let hash = Sha256::digest(std::fs::read(&path).unwrap());
                let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                let inside = path.strip_prefix(root).unwrap();
                found.insert(inside.to_string_lossy().into_owned(), hash);
            }
        }
    }
    found
}

/// Files in `root` and its folders that were begun and not finished.
pub fn half_written(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with(".partial-") {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Name and result of every finished run of a study that has come to its report, sorted by name.
pub fn finished_runs(folder: &Path) -> Vec<(String, serde_json::Value)> {
    assert!(!folder.join("runs").exists(), "not all runs were packed");
    let text = std::fs::read_to_string(folder.join("runs.jsonl")).unwrap();
    let run = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        (
            line["run"].as_str().unwrap().to_owned(),
            line["result"].take(),
        )
    };
    text.lines().map(run).collect()
}

/// Changes the line of `run` in the `runs.jsonl` of `folder`; an empty line is left out.
pub fn edit_run(folder: &Path, run: &str, edit: impl Fn(&str) -> String) {
    let path = folder.join("runs.jsonl");
    let start = format!("{{\"run\":\"{run}\",");
    let mut out = String::new();
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let line = if line.starts_with(&start) {
            edit(line)
        } else {
            line.to_owned()
        };
        if !line.is_empty() {
            out.push_str(&line);
            out.push('\n');
        }
    }
    std::fs::write(&path, out).unwrap();
}

/// Writes every finished run of `folder` as a file of its own: how a study that is not packed lies
/// on disk.
pub fn unpack_runs(folder: &Path) {
    let text = std::fs::read_to_string(folder.join("runs.jsonl")).unwrap();
    std::fs::create_dir(folder.join("runs")).unwrap();
    for line in text.lines() {
        let (run, result) = line.split_once(",\"result\":").unwrap();
        let name = run
            .strip_prefix("{\"run\":\"")
            .unwrap()
            .trim_end_matches('"');
        let result = result.strip_suffix('}').unwrap();
        std::fs::write(folder.join("runs").join(format!("{name}.json")), result).unwrap();
    }
    std::fs::remove_file(folder.join("runs.jsonl")).unwrap();
}

/// Name and bytes of every file in `folder` itself.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

/// Starts the program with `args` again and again and kills it, `step_ms` later each time, until it
/// comes to its end.
pub fn kill_until_done(args: &[&str], step_ms: u64) {
    for wait in 1.. {
        let mut child = Command::new(env!("CARGO_BIN_EXE_frmdn"))
            .args(args)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(step_ms * wait));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success() && wait > 1, "it was never killed");
            return;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// A printed report from its first section on: the head names the command.
pub fn sections(report: &str) -> Vec<&str> {
    report
        .lines()
        .skip_while(|line| !line.starts_with("## "))
        .collect()
}

/// Renames the stores of episodes in the run folder `data` from one ending to another.
pub fn rename_stores(data: &str, stores: &[&str], from: &str, to: &str) {
    for store in stores {
        let [from, to] = [from, to].map(|end| Path::new(data).join(format!("{store}{end}")));
        std::fs::rename(from, to).unwrap();
    }
}
