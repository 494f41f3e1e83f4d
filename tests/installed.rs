//! The program away from its repository: what it finds, and what it says where it finds nothing.

mod common;

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use common::{error, frmdn_in, success};

const VARIABLE: &str = "FRMDN_CHECKPOINTS";
const AGENT: &str = "car-racing-tiny";

/// Shipped agents of the sources that this test was built from.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints")
}

/// Runs the program in `dir` with `FRMDN_CHECKPOINTS` unset.
fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = frmdn_in(dir, args);
    command.env_remove(VARIABLE).output().unwrap()
}

/// Runs the program in `dir` with `FRMDN_CHECKPOINTS` set to `folder`.
fn run_with(dir: &Path, folder: &Path, args: &[&str]) -> Output {
    let mut command = frmdn_in(dir, args);
    command.env(VARIABLE, folder).output().unwrap()
}

/// Copies the shipped agent into the folder of checkpoints `to`.
fn copy_agent(to: &Path) {
    let folder = to.join(AGENT);
    std::fs::create_dir_all(&folder).unwrap();
    let file = "agent.safetensors";
    std::fs::copy(sources().join(AGENT).join(file), folder.join(file)).unwrap();
}

/// The `agent: …` line of `frmdn play`.
fn agent_line(output: &Output) -> String {
    success(output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("agent: "));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn agents_are_found_here_then_by_the_variable_or_in_the_sources() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |folder: &Path| {
        let path = folder.join(AGENT).join("agent.safetensors");
        path.to_str().unwrap().to_owned()
    };
    let play = ["play", AGENT];
    assert_eq!(agent_line(&run(dir.path(), &play)), file(&sources()));
    copy_agent(other.path());
    let named = run_with(
        dir.path(),
        other.path(),
        &["play", "checkpoints/car-racing-tiny"],
    );
    assert_eq!(agent_line(&named), file(other.path()));
    copy_agent(&dir.path().join("checkpoints"));
    let own = run_with(dir.path(), other.path(), &play);
    assert_eq!(agent_line(&own), file(Path::new("checkpoints")));
}

#[test]
fn every_command_finds_a_shipped_agent_and_says_which() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["evaluate", AGENT, "--episodes", "1"][..],
        &["dream", AGENT, "--warm-up", "2", "--steps", "2"],
        &["inspect", AGENT],
    ] {
        let text = success(&run(dir.path(), args));
        let folder = sources().join(AGENT);
        assert!(text.contains(folder.to_str().unwrap()), "{args:?}: {text}");
    }
}

#[test]
fn without_any_weights_the_error_says_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let first = ["--set", "first.preset=checkpoints/car-racing-tiny"];
    for args in [
        &["play", AGENT][..],
        &["evaluate", AGENT],
        &["dream", AGENT],
        &["inspect", AGENT],
        &["collect", "likelihood"],
        &[&["collect", "car-racing-frmdn"], &first[..]].concat(),
    ] {
        let text = error(&run_with(dir.path(), &nowhere, args));
        for word in ["clone the repository", VARIABLE, nowhere.to_str().unwrap()] {
            assert!(
                text.contains(word),
                "{args:?}: `{word}` is missing in {text}"
            );
        }
        assert!(!dir.path().join("runs").exists(), "{args:?}");
    }
    // Where there are some, those are named.
    let text = error(&run(dir.path(), &["play", "car-racing-unknown"]));
    assert!(
        text.contains("car-racing-frmdn, ") && !text.contains(VARIABLE),
        "{text}"
    );
}

#[test]
fn shipped_presets_find_their_agents_and_runs_keep_the_names() {
    let dir = tempfile::tempdir().unwrap();
    let policy = "checkpoints/likelihood-car-racing/driver";
    let collect = |preset: &str, sets: &[&str]| {
        let small = [
            "collect.episodes=10",
            "collect.steps=2",
            "memory.sequence=1",
        ];
        let mut args = vec!["collect", preset, "--run", preset];
        for set in small.iter().chain(sets) {
            args.extend(["--set", set]);
        }
        success(&run(dir.path(), &args));
        std::fs::read_to_string(dir.path().join(preset).join("run.toml")).unwrap()
    };
    let text = collect("likelihood", &[]);
    assert!(
        text.contains(&format!("brownian,scripted,{policy}\"")),
        "{text}"
    );
    assert!(
        dir.path()
            .join("likelihood/drivers/2/agent.safetensors")
            .is_file()
    );
    let text = collect(
        "car-racing-rmdn",
        &["first.preset=checkpoints/car-racing-tiny"],
    );
    assert!(
        text.contains("preset = \"checkpoints/car-racing-tiny\""),
        "{text}"
    );
    assert!(
        dir.path()
            .join("car-racing-rmdn/first/agent.safetensors")
            .is_file()
    );
}
