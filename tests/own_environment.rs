//! An environment from outside (`examples/own_environment.rs`): other frames, discrete actions, no
//! limit on steps, measurements of its own. Every stage, film and table works on it, and what it
//! does not declare is refused by name.

mod common;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{MICRO, error, hashes};
use serde_json::Value;

/// The example, which `cargo test` builds beside the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let path = folder.join("examples/own_environment");
    assert!(
        path.exists(),
        "{} is missing: cargo build --release --example own_environment",
        path.display()
    );
    path
}

fn ladder(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(args).current_dir(folder);
    command.output().expect("the example starts")
}

fn success(out: &Output) -> String {
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn train(folder: &Path, run: &str, threads: &str) -> Output {
    let mut args = vec!["train", "tiny", "--env", "ladder", "--run", run];
    args.extend(["--threads", threads, "--set", "collect.random_start=false"]);
    for set in MICRO {
        args.extend(["--set", set]);
    }
    ladder(folder, &args)
}

#[test]
fn every_stage_film_and_table_works_on_an_environment_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let text = success(&train(folder, "a", "2"));
    assert!(text.contains("1 for a rung climbed"), "{text}");
    success(&train(folder, "b", "1"));
    assert_eq!(hashes(&folder.join("a")), hashes(&folder.join("b")));
    assert!(folder.join("a/pictures/drive.gif").exists());

    let args = ["evaluate", "a", "--episodes", "5", "--json"];
    let score: Value = serde_json::from_str(&success(&ladder(folder, &args))).unwrap();
    let names: Vec<&str> = score["measurements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["rung", "slips", "at the top"]);
    assert_eq!(score["measurements"][1]["higher_is_better"], false);
    // A score is the rungs climbed less those slipped, from the second one on; the last slip of a
    // fall is from the ground.
    let rung = score["measurements"][0]["mean"].as_f64().unwrap();
    let mean = score["mean"].as_f64().unwrap();
    assert!(
        (rung - 2.0 - 1.0..=rung - 2.0).contains(&mean),
        "{rung} {mean}"
    );

    let text = success(&ladder(folder, &["play", "a", "--out", "a.gif"]));
    assert!(text.contains(" rungs, slips "), "{text}");
    assert!(folder.join("a.gif").exists());
    let args = [
        "dream",
        "a",
        "--warm-up",
        "1",
        "--steps",
        "1",
        "--out",
        "d.gif",
    ];
    success(&ladder(folder, &args));
    success(&ladder(folder, &["inspect", "a"]));
    let args = ["evaluate", "--policy", "random", "--episodes", "20"];
    let wrapped = [&args[..], &["--env", "ladder,skip=2,limit=9"]].concat();
    let text = success(&ladder(folder, &wrapped));
    assert!(
        text.contains("2 frames a step; cut off after 9 steps") && text.contains("rung "),
        "{text}"
    );
}

#[test]
fn what_it_does_not_declare_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |args: &[&str], words: &[&str]| {
        let text = error(&ladder(dir.path(), args));
        for word in words {
            assert!(text.contains(word), "`{word}` is missing in: {text}");
        }
    };
    refused(
        &["train", "tiny", "--env", "ladder", "--run", "r"],
        &[
            "ladder has no random start",
            "--set collect.random_start=false",
        ],
    );
    assert!(!dir.path().join("r").exists());
    refused(
        &["evaluate", "--policy", "scripted", "--env", "ladder"],
        &["ladder has no scripted driver"],
    );
    refused(
        &["play", "--policy", "random", "--env", "ladder,high=3"],
        &["ladder has no option high=3"],
    );
    refused(
        &["play", "--policy", "random", "--env", "stairs"],
        &["no such environment", "car-racing, ladder, or gym:ID"],
    );
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/car-racing-tiny");
    refused(
        &["compare", "robustness", agent, "--env", "ladder"],
        &["ladder has no perturbations"],
    );
}
