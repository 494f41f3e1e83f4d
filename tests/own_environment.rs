//! An environment from outside (`examples/own_environment.rs`): other frames, discrete actions, no
//! limit on steps, measurements of its own. Every stage, film and table works on it, and what it
//! does not declare is refused by name.

mod common;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{MICRO, error, hashes};
use frmdn::run::{Episode, LatentEpisode, Observed};
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
    train_in("ladder", folder, run, &["--threads", threads])
}

fn train_in(env: &str, folder: &Path, run: &str, more: &[&str]) -> Output {
    stage("train", env, folder, run, more)
}

fn stage(command: &str, env: &str, folder: &Path, run: &str, more: &[&str]) -> Output {
    let mut args = vec![command, "tiny", "--env", env, "--run", run];
    args.extend(["--set", "collect.random_start=false"]);
    for set in MICRO {
        args.extend(["--set", set]);
    }
    args.extend(more);
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
    let args = [
        "compare",
        "robustness",
        "a",
        "--episodes",
        "3",
        "--out",
        "r",
    ];
    let text = success(&ladder(folder, &args));
    for word in ["colour", "bars", "noise"] {
        assert!(text.contains(word), "{word}: {text}");
    }
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

/// Where an environment gives latents, there is no V, and all else is as everywhere.
#[test]
fn latents_need_no_v() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let env = "ladder,see=numbers";
    let two = [
        "--set",
        "vision.model.latent=2",
        "--set",
        "collect.steps=80",
    ];
    let text = error(&train_in(env, folder, "a", &[]));
    assert!(
        text.contains("gives 2 numbers") && text.contains(two[1]),
        "{text}"
    );
    assert!(!folder.join("a").exists());
    let text = success(&train_in(env, folder, "a", &two));
    assert!(
        text.contains("none: what is seen is the latent already"),
        "{text}"
    );
    assert!(!text.contains("frmdn dream"), "{text}");
    success(&train_in(
        env,
        folder,
        "b",
        &[&two[..], &["--threads", "1"]].concat(),
    ));
    assert_eq!(hashes(&folder.join("a")), hashes(&folder.join("b")));
    // What is recorded is what was seen.
    let episode = Episode::load(&folder.join("a/episodes/000003.npz")).unwrap();
    let Observed::Latents { len: 2, values } = &episode.observed else {
        panic!("{:?}", episode.observed);
    };
    assert_eq!(values.len(), 2 * (episode.steps() + 1));
    assert_eq!(values[0], 0.2, "two rungs of ten at the start");
    let latents = LatentEpisode::load(&folder.join("a/latents/000003.npz")).unwrap();
    assert_eq!(&latents.mean, values);

    success(&ladder(folder, &["play", "a", "--out", "a.gif"]));
    assert!(folder.join("a.gif").exists());
    let args = [
        "evaluate",
        "a",
        "--episodes",
        "3",
        "--env",
        "ladder,see=numbers,limit=4",
    ];
    assert!(success(&ladder(folder, &args)).contains("cut off after 4 steps"));
    // An agent without V in a world of frames, and the other way round.
    let text = error(&ladder(folder, &["evaluate", "a", "--env", "ladder"]));
    assert!(
        text.contains("a sees 2 numbers, ladder gives frames"),
        "{text}"
    );
    let text = error(&ladder(folder, &["dream", "a"]));
    assert!(text.contains("nothing to draw"), "{text}");
    // The comparison of memories on its data.
    let args = [
        "compare",
        "likelihood",
        "a",
        "--out",
        "c",
        "--variants",
        "rmdn,frmdn",
    ];
    let few = [
        "--seeds",
        "1",
        "--shifted",
        "",
        "--noisy",
        "",
        "--test-episodes",
        "9",
    ];
    success(&ladder(
        folder,
        &[&args[..], &few[..], &["--no-grid"]].concat(),
    ));
    assert!(folder.join("c/report.md").exists());
}

/// Whoever can drive drives in every command that asks for a driver.
#[test]
fn everyone_drives_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    success(&train(folder, "a", "2"));
    // Right hand, left hand, wait.
    std::fs::write(folder.join("list.txt"), "2\n1\n0\n").unwrap();
    let score = |args: &[&str]| -> Value {
        let base = ["evaluate", "--json"];
        let out = ladder(folder, &[&base[..], args].concat());
        serde_json::from_str(&success(&out)).unwrap()
    };
    for policy in [
        "random",
        "brownian",
        "noop",
        "planner",
        "actions:list.txt",
        "a",
    ] {
        let three = ["--policy", policy, "--episodes", "3"];
        let own = score(&[&three[..], &["--env", "ladder"]].concat());
        // In the environment of an agent, in its place.
        let in_place = score(&[&["a"], &three[..]].concat());
        assert_eq!(own["scores"], in_place["scores"], "{policy}");
        let args = [
            "play", "--policy", policy, "--env", "ladder", "--out", "p.gif",
        ];
        success(&ladder(folder, &args));
        // And they record.
        let set = format!("collect.policy={policy}");
        let run = format!("run-{}", policy.replace(':', "-"));
        let more = ["--set", &set, "--set", "collect.episodes=10"];
        success(&stage("collect", "ladder", folder, &run, &more));
        assert!(
            folder.join(&run).join("episodes/000009.npz").exists(),
            "{policy}"
        );
    }
    let rungs = |policy: &str| {
        let score = score(&["--policy", policy, "--episodes", "5", "--env", "ladder"]);
        score["mean"].as_f64().unwrap()
    };
    let (planned, random) = (rungs("planner"), rungs("random"));
    assert!(planned > random + 3.0, "planned {planned}, random {random}");
    let by_policy = score(&["--policy", "a", "--episodes", "9"]);
    assert_eq!(
        score(&["a", "--episodes", "9"])["scores"],
        by_policy["scores"]
    );
    // The recorded actions of an episode bring its rewards again.
    let recorded = |i: u64| {
        let path = format!("a/episodes/{i:06}.npz");
        (i, Episode::load(&folder.join(&path)).unwrap(), path)
    };
    let (seed, episode, path) = (0..20)
        .map(recorded)
        .find(|(_, episode, _)| episode.terminated)
        .expect("one of twenty falls or arrives");
    let (list, seeds) = (format!("actions:{path}"), format!("{seed}..{}", seed + 1));
    let again = score(&["--policy", &list, "--env", "ladder", "--seeds", &seeds]);
    let there: f32 = episode.rewards.iter().sum();
    assert_eq!(again["mean"].as_f64().unwrap(), f64::from(there));
    for (policy, words) in [
        ("nobody", "there is no such policy or agent"),
        ("first", "name the run folder too"),
        ("actions:none.txt", "none.txt"),
    ] {
        let text = error(&ladder(
            folder,
            &["play", "--policy", policy, "--env", "ladder"],
        ));
        assert!(text.contains(words), "{policy}: {text}");
    }
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
        &["ladder has no option high=3", "see=picture|numbers"],
    );
    refused(
        &["play", "--policy", "random", "--env", "stairs"],
        &[
            "no such environment",
            "car-racing, homebrew, super-mario, ladder, dream:RUN, or gym:ID",
        ],
    );
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/car-racing-tiny");
    refused(
        &[
            "compare",
            "robustness",
            agent,
            "--env",
            "ladder,see=numbers",
        ],
        &["ladder,see=numbers has no perturbations"],
    );
}
