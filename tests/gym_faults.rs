//! gym: environments with a missing, broken or silent Python: each case is an error that says what
//! to type next.
#![cfg(unix)]

mod common;

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use common::error;
use frmdn::{
    agent::Agent,
    run::{Preset, RunFolder},
};

/// Writes a program that replaces Python.
fn python(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("python3");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Runs the program without access to this machine's Python.
fn frmdn(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
    command
        .args(args)
        .current_dir(dir)
        .env("PATH", dir)
        .env_remove("VIRTUAL_ENV")
        .env_remove("FRMDN_PYTHON");
    command.output().expect("the program starts")
}

const EVALUATE: [&str; 6] = ["evaluate", "--policy", "random", "--episodes", "2", "--env"];

fn evaluate<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    EVALUATE
        .iter()
        .copied()
        .chain(rest.iter().copied())
        .collect()
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

/// A folder with settings that can never be used would stand in the way of the next try.
#[test]
fn a_run_without_its_environment_leaves_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "tiny",
        "--env",
        "gym:CarRacing-v3",
        "--set",
        "collect.random_start=false",
        "--run",
        "r",
    ];
    has(
        &error(&frmdn(dir.path(), &train)),
        &["no Python was found", "--python"],
    );
    assert!(!dir.path().join("r").exists());
}

#[test]
fn no_python_says_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let text = error(&frmdn(dir.path(), &evaluate(&["gym:CarRacing-v3"])));
    has(
        &text,
        &[
            "no Python was found",
            "--python",
            "-m venv gym-env",
            "gymnasium[box2d]==1.4.0",
        ],
    );
    let text = error(&frmdn(dir.path(), &evaluate(&["gym:SuperMarioBros-v0"])));
    has(&text, &["gym-super-mario-bros==7.4.0", "numpy==1.26.4"]);
    let text = error(&frmdn(
        dir.path(),
        &evaluate(&["gym:CarRacing-v3", "--python", "/nowhere/python"]),
    ));
    has(
        &text,
        &["/nowhere/python cannot be started", "--python PATH"],
    );
    let out = frmdn(dir.path(), &["doctor"]);
    assert!(out.status.success());
    has(
        &String::from_utf8_lossy(&out.stdout),
        &["no Python", "gymnasium[box2d]==1.4.0", "frmdn train"],
    );
}

#[test]
fn a_python_that_is_none_or_never_answers_is_stopped_and_named() {
    let dir = tempfile::tempdir().unwrap();
    python(dir.path(), "echo 'no module named encodings' >&2; exit 3");
    let text = error(&frmdn(dir.path(), &evaluate(&["gym:CarRacing-v3"])));
    has(
        &text,
        &[
            "ended (exit status: 3)",
            "asked to start",
            "no module named encodings",
        ],
    );
    has(
        &String::from_utf8_lossy(&frmdn(dir.path(), &["doctor"]).stdout),
        &["does not work", "exit status: 3"],
    );

    // exec, so that the killed process is the sleeping one
    python(dir.path(), "exec /bin/sleep 600");
    let began = Instant::now();
    let text = error(&frmdn(
        dir.path(),
        &evaluate(&["gym:CarRacing-v3", "--env-timeout", "0.2"]),
    ));
    has(
        &text,
        &["no answer within 0.6", "asked to start", "--env-timeout"],
    );
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "it waited {:?}",
        began.elapsed()
    );
}

#[test]
fn names_and_options_that_do_not_exist_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (args, words) in [
        (evaluate(&["pong"]), vec!["no such environment", "gym:ID"]),
        (
            evaluate(&["car-racing,rule=v5"]),
            vec!["rule=v5", "rule=v3|v4"],
        ),
        (
            evaluate(&["gym:CarRacing-v3", "--env-timeout", "0"]),
            vec!["--env-timeout 0"],
        ),
        (
            vec!["train", "--run", "r", "--env", "pong"],
            vec!["environment = \"pong\"", "car-racing"],
        ),
        (
            vec!["train", "--run", "r", "--env", "gym:CarRacing-v3"],
            vec!["collect.random_start", "--set collect.random_start=false"],
        ),
        (
            vec![
                "evaluate",
                "--policy",
                "scripted",
                "--env",
                "car-racing,continuous=false",
            ],
            vec!["scripted", "continuous"],
        ),
        (
            vec![
                "env",
                "trace",
                "car-racing",
                "--actions",
                "none.txt",
                "--out",
                "t",
            ],
            vec!["cannot read none.txt"],
        ),
        (
            vec!["env", "parity", "--episodes", "0", "--tracks", "0"],
            vec!["nothing to compare"],
        ),
    ] {
        let text = error(&frmdn(dir.path(), &args));
        has(&text, &words);
        assert!(
            !dir.path().join("r").exists(),
            "{args:?} left something behind"
        );
    }
}

#[test]
fn every_score_names_its_environment_and_rule() {
    let dir = tempfile::tempdir().unwrap();
    let json = |env: &str| -> serde_json::Value {
        let out = frmdn(
            dir.path(),
            &[
                "evaluate",
                "--policy",
                "noop",
                "--episodes",
                "2",
                "--json",
                "--env",
                env,
            ],
        );
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let (v3, v4) = (
        json("car-racing"),
        json("car-racing,rule=v4,random_start=true"),
    );
    assert_eq!(
        (v3["environment"].as_str(), v4["environment"].as_str()),
        (
            Some("car-racing"),
            Some("car-racing,rule=v4,random_start=true")
        )
    );
    has(
        v3["rule"].as_str().unwrap(),
        &["CarRacing-v3", "every tile"],
    );
    has(v4["rule"].as_str().unwrap(), &["v4", "95 %", "random tile"]);
    // No action costs 0.1 for each of 1000 steps, and earns the tiles under the car.
    assert!(v3["mean"].as_f64().unwrap() < -80.0);
}

#[test]
fn a_trace_holds_every_step_and_refuses_what_is_no_action() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("a.csv"),
        "# steer, gas, brake\n0, 0.5, 0\n0.3 1 0\n\n-1,0,0.8\n",
    )
    .unwrap();
    let out = frmdn(
        dir.path(),
        &[
            "env",
            "trace",
            "car-racing",
            "--seed",
            "4",
            "--actions",
            "a.csv",
            "--out",
            "t",
        ],
    );
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = std::fs::read_to_string(dir.path().join("t/trace.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3]["action"], serde_json::json!([-1.0, 0.0, 0.8f32]));
    assert!(
        lines[1]["reward"].as_f64().unwrap() > 0.0
            && lines[2]["car"]["hull"][3] != lines[1]["car"]["hull"][3]
    );
    let frames = std::fs::read(dir.path().join("t/frames.npy")).unwrap();
    let npy = npyz::NpyFile::new(&frames[..]).unwrap();
    assert_eq!(npy.shape(), [4, 96, 96, 3]);
    assert_eq!(
        &std::fs::read(dir.path().join("t/frames.gif")).unwrap()[..6],
        b"GIF89a"
    );
    for (actions, words) in [
        ("0 1", vec!["line 1", "3 numbers"]),
        ("0 1 0\n0 2 0", vec!["action 2", "[0, 1]"]),
        ("0 x 0", vec!["line 1"]),
    ] {
        std::fs::write(dir.path().join("b.csv"), actions).unwrap();
        let text = error(&frmdn(
            dir.path(),
            &[
                "env",
                "trace",
                "car-racing",
                "--actions",
                "b.csv",
                "--out",
                "u",
            ],
        ));
        has(&text, &words);
    }
}

/// The shipped agent `car-racing-tiny` in a file that says it was trained in `environment`.
fn foreign_agent(dir: &Path, environment: &str) {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/car-racing-tiny");
    let mut agent = Agent::load(Path::new(shipped)).unwrap();
    agent.info.environment = environment.to_owned();
    agent.save(&dir.join("agent.safetensors")).unwrap();
}

/// The package that a file names is imported only if the user says so: the agent's and the run's
/// environments start no Python.
#[test]
fn a_package_that_a_file_names_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let started = dir.path().join("started");
    python(dir.path(), ": > started; exit 3");
    foreign_agent(dir.path(), "gym:this:X");
    let sets = ["environment=gym:this:X", "collect.random_start=false"].map(String::from);
    let preset = Preset::resolve("tiny", &sets).unwrap();
    std::fs::write(dir.path().join("mine.toml"), preset.to_toml()).unwrap();
    RunFolder::create_or_resume(&dir.path().join("run"), Some(preset)).unwrap();
    let refused: [&[&str]; 6] = [
        &["evaluate", "agent.safetensors"],
        &["play", "agent.safetensors"],
        &["play", "--policy", "agent.safetensors"],
        &["dream", "agent.safetensors"],
        &["compare", "robustness", "agent.safetensors"],
        &["train", "--run", "run"],
    ];
    for args in refused {
        let text = error(&frmdn(dir.path(), args));
        has(
            &text,
            &["\"gym:this:X\"", "package \"this\"", "--trust", "--env"],
        );
        assert!(!started.exists(), "{args:?}");
    }
    let trusted: [&[&str]; 6] = [
        &["evaluate", "agent.safetensors", "--trust"],
        &["evaluate", "agent.safetensors", "--env", "gym:this:X"],
        &["train", "--run", "run", "--trust"],
        &["train", "--run", "run", "--env", "gym:this:X"],
        &["train", "mine.toml", "--run", "new"],
        &["train", "--run", "new", "--set", "environment=gym:this.y:Z"],
    ];
    for args in trusted {
        let args = match args.contains(&"new") {
            true => [args, &["--set", "collect.random_start=false"]].concat(),
            false => args.to_vec(),
        };
        has(&error(&frmdn(dir.path(), &args)), &["exit status: 3"]);
        std::fs::remove_file(&started).unwrap();
    }
    // An agent of a known package needs no word.
    foreign_agent(dir.path(), "gym:CarRacing-v3");
    let text = error(&frmdn(dir.path(), &["play", "agent.safetensors"]));
    has(&text, &["exit status: 3"]);
}
