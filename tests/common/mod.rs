//! A preset in which every stage takes a second or two, with several checkpoints each.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    collections::BTreeMap,
    path::Path,
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
