//! Our own game: its preset goes through all stages, with a planner for data, C that begins at the
//! planner's ways, and generations that begin in recorded episodes.

mod common;

use std::{path::Path, process::Command};

use common::{MICRO, error, frmdn, frmdn_in, hashes, success};
use serde_json::Value;

const SMALLER: [&str; 12] = [
    "gates.rare_mse=1.0",
    "collect.episodes=12",
    "collect.steps=40",
    "controller.tracks=1",
    "controller.select_every=2",
    "controller.archive.starts=2",
    "controller.archive.steps=8",
    "controller.archive.backward=2",
    "controller.archive.own=1",
    "controller.hidden=[8, 4]",
    "controller.lessons.rounds=1",
    "controller.lessons.episodes=2",
];

fn train(folder: &Path, run: &str, threads: &str, more: &[&str]) -> Command {
    let mut args = vec!["train", "homebrew", "--threads", threads, "--run", run];
    for set in MICRO.iter().chain(&SMALLER).chain(more) {
        args.extend(["--set", set]);
    }
    frmdn_in(folder, &args)
}

#[test]
fn the_preset_goes_through_all_stages_and_resumes_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let archive = "controller.archive.generations=5";
    let trained = train(folder, "a", "2", &[archive]).output().unwrap();
    let text = success(&trained);
    for word in ["lesson 1 of 1", "what planners found"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let table = String::from_utf8_lossy(&trained.stdout);
    assert!(table.contains("the clone of the experts"), "{table}");
    // Stopped in the middle of the generations that begin in recorded episodes, and gone on with.
    let short = [archive, "controller.generations=4"];
    success(&train(folder, "b", "1", &short).output().unwrap());
    let long = [archive, "controller.generations=8"];
    success(&train(folder, "b", "1", &long).output().unwrap());
    let of = |run: &str| {
        let mut all = hashes(&folder.join(run));
        all.retain(|name, _| !name.starts_with("pictures/"));
        all
    };
    assert_eq!(of("a"), of("b"));

    let out = frmdn_in(folder, &["evaluate", "a", "--episodes", "3", "--json"]).output();
    let out = out.unwrap();
    success(&out);
    let score: Value = serde_json::from_slice(&out.stdout).unwrap();
    let names: Vec<&str> = score["measurements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"x") && names.contains(&"flag"), "{names:?}");
    // The file of the agent has the hidden layers too.
    let file = [
        "evaluate",
        "a/agent.safetensors",
        "--episodes",
        "3",
        "--json",
    ];
    let file = frmdn_in(folder, &file).output().unwrap();
    success(&file);
    let of_file: Value = serde_json::from_slice(&file.stdout).unwrap();
    assert_eq!(score["scores"], of_file["scores"]);
    let play = frmdn_in(folder, &["play", "a", "--out", "a.gif"]).output();
    success(&play.unwrap());
    assert!(folder.join("a.gif").exists());
}

/// Both comparisons take episodes of this game as they take those of a car: no part of them knows
/// which game it is.
#[test]
fn comparisons_take_its_episodes() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let mut args = vec!["vision", "homebrew", "--run", "data"];
    // Long enough for what is measured many steps ahead.
    for set in MICRO.iter().chain(&SMALLER).chain(&["collect.steps=90"]) {
        args.extend(["--set", set]);
    }
    success(&frmdn_in(folder, &args).output().unwrap());
    let two = ["--variants", "rmdn,frmdn", "--seeds", "1"];
    let likelihood = ["compare", "likelihood", "data", "--out", "likelihood"];
    let few = [
        "--test-episodes",
        "3",
        "--shifted",
        "",
        "--noisy",
        "",
        "--no-grid",
    ];
    let args = [&likelihood[..], &two, &few].concat();
    let out = frmdn_in(folder, &args).output().unwrap();
    success(&out);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    for word in [
        "planner, planner, planner, brownian",
        "| frmdn |",
        "| rmdn |",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let score = ["compare", "score", "data", "--out", "score", "--quick"];
    let few = ["--temperatures", "1", "--experiments", "e1,e2,e3,e4"];
    let args = [&score[..], &two[..2], &few].concat();
    let out = frmdn_in(folder, &args).output().unwrap();
    success(&out);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    for word in ["E1", "E2", "E3", "E4", "came out"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// They are not written where there is nothing of them, and can be set all the same.
#[test]
fn what_is_not_written_can_be_set() {
    for set in ["controller.hidden=[8]", "controller.temperature=0.5"] {
        let text = error(&frmdn(&["plan", "tiny", "--set", set]));
        assert!(text.contains("controller.start = \"values\""), "{text}");
    }
}

#[test]
fn what_needs_experts_says_so() {
    for (sets, words) in [
        (
            ["controller.start=imitate", "collect.policy=brownian,noop"],
            ["controller.start = \"imitate\"", "planner"],
        ),
        (
            ["controller.hidden=[]", "collect.policy=random"],
            ["controller.start = \"values\"", "planner"],
        ),
        (
            ["controller.start=imitate", "seed=2"],
            ["controller.hidden", "controller.start = \"values\""],
        ),
        (
            ["controller.hidden=[8, 257]", "seed=2"],
            ["controller.hidden", "1 to 256 units"],
        ),
        (
            ["controller.hidden=[8, 8, 8, 8, 8]", "seed=2"],
            ["controller.hidden", "at most 4 layers"],
        ),
        (
            ["controller.archive.own=25", "seed=2"],
            ["controller.archive.own", "24 starts"],
        ),
        (
            ["collect.random_start=true", "seed=2"],
            ["homebrew", "random start"],
        ),
        (
            ["controller.archive.starts=0", "seed=2"],
            ["controller.archive.starts = 0", "at least 1"],
        ),
    ] {
        let text = error(&frmdn(&[
            "plan", "homebrew", "--set", sets[0], "--set", sets[1],
        ]));
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
