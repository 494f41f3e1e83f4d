//! Dreams from outside: as films, and as environments.

mod common;

use std::{os::unix::fs::PermissionsExt, path::Path, process::Output};

use common::{MICRO, error, frmdn_in, success};

const AGENT: &str = "car-racing-tiny";

/// `frmdn dream` of a few steps in `dir`, with more arguments.
fn dream(dir: &Path, more: &[&str]) -> Output {
    let mut args = vec!["dream", AGENT];
    for (option, few) in [("--warm-up", "4"), ("--steps", "6")] {
        if !more.contains(&option) {
            args.extend([option, few]);
        }
    }
    frmdn_in(dir, &[&args, more].concat()).output().unwrap()
}

/// What a command that succeeds prints.
fn printed(output: &Output) -> String {
    success(output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn futures_and_temperatures_stand_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let more = [
        "--temperature",
        "0.5,1",
        "--futures",
        "2",
        "--out",
        "d.webp",
    ];
    let text = printed(&dream(dir.path(), &more));
    for words in ["real", "T 0.5 no. 1", "T 1 no. 2", "4 dreams", "d.webp"] {
        assert!(text.contains(words), "`{words}` is missing in {text}");
    }
    let film = std::fs::read(dir.path().join("d.webp")).unwrap();
    assert_eq!((&film[..4], &film[8..12]), (&b"RIFF"[..], &b"WEBP"[..]));
    // The same again is the same film.
    success(&dream(dir.path(), &more));
    assert!(film == std::fs::read(dir.path().join("d.webp")).unwrap());

    let text = printed(&dream(dir.path(), &["--beside", AGENT]));
    assert!(text.contains("2 dreams"), "{text}");
    // Two equal agents dream the same from the same start.
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(AGENT))
        .collect();
    assert!(rows.len() == 2 && rows[0] == rows[1], "{text}");

    let text = printed(&dream(dir.path(), &["--open-loop", "--steps", "40"]));
    assert!(
        text.contains("40 frames imagined after 4 real ones") && text.contains("first 25"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_shown_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for (more, words) in [
        (&["--temperature", "100"][..], "from 0 to 3"),
        (&["--temperature", "1,-0.5"], "from 0 to 3"),
        (&["--temperature", "0.5,1", "--futures", "13"], "26 dreams"),
        (
            &["--open-loop", "--temperature", "0.5,1"],
            "one temperature",
        ),
        (&["--out", "d.avi"], ".gif, .webp or .mp4"),
        (&["--warm-up", "9999"], "smaller --warm-up"),
    ] {
        let text = error(&dream(dir.path(), more));
        assert!(text.contains(words), "{more:?}: {text}");
    }
    let mut command = frmdn_in(dir.path(), &["dream", AGENT, "--out", "d.mp4"]);
    let text = error(&command.env("PATH", dir.path()).output().unwrap());
    assert!(text.contains("ffmpeg") && text.contains(".gif"), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// A program that stands for ffmpeg: the frames that it is given are its film.
#[test]
fn an_mp4_is_what_ffmpeg_makes_of_the_frames() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("ffmpeg");
    let write = |script: &str| {
        std::fs::write(&program, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:/bin:/usr/bin", dir.path().display());
    let dream = || {
        let args = ["dream", AGENT, "--warm-up", "4", "--steps", "6"];
        let mut command = frmdn_in(dir.path(), &[&args[..], &["--out", "d.mp4"]].concat());
        command.env("PATH", &path).output().unwrap()
    };
    write(
        "test \"$1\" = -version && exit; for last; do :; done; echo \"$@\" > said; cat > \"$last\"",
    );
    success(&dream());
    let said = std::fs::read_to_string(dir.path().join("said")).unwrap();
    assert!(said.contains("-s 388x231 -r 1000/40"), "{said}");
    // Of 11 steps every second one, as Car-Racing has fifty a second.
    let film = std::fs::metadata(dir.path().join("d.mp4")).unwrap();
    assert_eq!(film.len(), 6 * 388 * 231 * 3);

    std::fs::remove_file(dir.path().join("d.mp4")).unwrap();
    write("test \"$1\" = -version && exit; echo no such encoder >&2; exit 1");
    let text = error(&dream());
    assert!(text.contains("ffmpeg failed: no such encoder"), "{text}");
    assert!(!dir.path().join("d.mp4").exists());
}

#[test]
fn whatever_runs_in_environments_runs_in_dreams() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| frmdn_in(dir.path(), args).output().unwrap();
    let world = format!("dream:{AGENT},horizon=20,warm_up=5,temperature=0.5");
    for who in [
        &[AGENT][..],
        &["--policy", "brownian"],
        &["--policy", "planner"],
    ] {
        let few = ["--env", &world, "--episodes", "2", "--json"];
        let text = printed(&run(&[&["evaluate"], who, &few[..]].concat()));
        assert!(
            text.contains("after 5 real steps of car-racing") && text.contains("temperature 0.5"),
            "{text}"
        );
    }
    success(&run(&["play", AGENT, "--env", &world, "--out", "d.gif"]));
    // All stages: the episodes are latents, so there is no V to train.
    let mut args = vec!["train", "tiny", "--run", "r", "--env", &world];
    let sets = [
        &MICRO[..],
        &["controller.give_up_after=0", "collect.random_start=false"],
    ]
    .concat();
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    success(&run(&args));
    success(&run(&["evaluate", "r", "--episodes", "1"]));

    // An agent with another V does not see what this one dreams.
    let text = error(&run(&["evaluate", "car-racing-rmdn", "--env", &world]));
    assert!(
        text.contains("another V") && text.contains("--env dream:"),
        "{text}"
    );
    for (name, words) in [
        ("dream:nowhere", "nowhere is neither a run folder"),
        ("dream:", "dream:CHECKPOINT"),
        ("dream", "dream:CHECKPOINT"),
        ("dream:car-racing-tiny,temperature=9", "temperature=0..3"),
        ("car-racing:fast", "car-racing,key=value"),
    ] {
        let text = error(&run(&["evaluate", AGENT, "--env", name]));
        assert!(text.contains(words), "{name}: {text}");
    }
}

#[test]
fn hold_tests_set_the_dream_beside_reality() {
    let dir = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let few = ["inspect", AGENT, "--dream", "--states", "4"];
        frmdn_in(dir.path(), &[&few, more].concat())
            .output()
            .unwrap()
    };
    let text = printed(&run(&["--policy", "scripted"]));
    for words in [
        "steering -1",
        "brake 1",
        "20–60",
        "on the road",
        "4 real states",
    ] {
        assert!(text.contains(words), "`{words}` is missing in {text}");
    }
    let text = printed(&run(&["--json"]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let holds = json["holds"].as_array().unwrap();
    assert_eq!(holds.len(), 5);
    // A car on its brakes has stopped after 40 steps, which costs a tenth of a point each.
    assert_eq!(holds[4]["action"], "brake 1");
    let real = holds[4]["by_step"][0].as_array().unwrap();
    assert_eq!(real.len(), 60);
    for reward in &real[40..] {
        assert!((reward.as_f64().unwrap() + 0.1).abs() < 1e-9, "{reward}");
    }
    assert_eq!(text, printed(&run(&["--json"])));
    // Then the agent itself drives on, at each of the temperatures.
    let both = printed(&run(&["--temperature", "1,0.5", "--json"]));
    let both: serde_json::Value = serde_json::from_str(&both).unwrap();
    assert_eq!(both["holds"], json["holds"]);
    let controlled = both["against"]["controller"].as_array().unwrap();
    let temperatures: Vec<f64> = (controlled.iter())
        .filter_map(|c| c["temperature"].as_f64())
        .collect();
    assert_eq!(temperatures, [1.0, 0.5]);
    // Reality is the same beside both.
    let real = |i: usize| &controlled[i]["test"]["reward"][1]["real"];
    assert!(real(0)["mean"].is_f64() && real(0) == real(1));
    assert_eq!(both["against"]["again"]["steps"], 25);
    assert!(both["against"]["above_floor"]["mean"].as_f64().unwrap() > 0.0);

    let text = error(&run(&["--temperature", "4"]));
    assert!(text.contains("from 0 to 3"), "{text}");
    // Hidden units change the dream and nothing else.
    let hidden = printed(&run(&["--dropout", "0.3", "--json"]));
    let hidden: serde_json::Value = serde_json::from_str(&hidden).unwrap();
    let by_step = |json: &serde_json::Value, side: usize| json["holds"][4]["by_step"][side].clone();
    assert_eq!(by_step(&hidden, 0), by_step(&json, 0));
    assert_ne!(by_step(&hidden, 1), by_step(&json, 1));
    let text = error(&run(&["--dropout", "1"]));
    assert!(text.contains("from 0 to below 1"), "{text}");
}

#[test]
fn an_altered_world_surprises_and_an_unaltered_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["inspect", AGENT, "--surprise", "--episodes", "6", "--json"];
    let text = printed(&frmdn_in(dir.path(), &args).output().unwrap());
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let alarms = found["alarms"].as_array().unwrap();
    let names: Vec<&str> = alarms
        .iter()
        .filter_map(|alarm| alarm["altered"].as_str())
        .collect();
    let seen = ["colour", "bars", "blob", "noise"];
    let felt = ["throttle", "friction", "tyre"];
    assert_eq!(names, [&seen[..], &felt].concat());
    for (alarm, name) in alarms.iter().zip(&names) {
        let area = alarm["surprise"]["mean"].as_f64().unwrap();
        // In those that change what actions do the agent drives itself. How far it notices them
        // depends on how it drives.
        let is_felt = felt.contains(name);
        assert_eq!(alarm["is_driven"].as_bool(), Some(is_felt), "{alarm}");
        assert!(is_felt || area > 0.9, "{alarm}");
    }
    let film = ["play", AGENT, "--surprise", "--out", "s.gif"];
    success(&frmdn_in(dir.path(), &film).output().unwrap());
    assert!(dir.path().join("s.gif").exists());
    let text = error(
        &frmdn_in(dir.path(), &["play", "--policy", "noop", "--surprise"])
            .output()
            .unwrap(),
    );
    assert!(
        text.contains("--surprise is what the memory of an agent says"),
        "{text}"
    );
    let text = error(
        &frmdn_in(dir.path(), &["inspect", AGENT, "--json"])
            .output()
            .unwrap(),
    );
    assert!(text.contains("--dream, --surprise or --ends"), "{text}");
}

/// Ember Run's agent reaches flags, and its memory sees them come; what goes on is no end.
#[test]
fn a_memory_foresees_the_ends_that_it_has_learned() {
    let dir = tempfile::tempdir().unwrap();
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/homebrew");
    let args = ["inspect", agent, "--ends", "--episodes", "12"];
    let text = printed(
        &frmdn_in(dir.path(), &[&args[..], &["--json"]].concat())
            .output()
            .unwrap(),
    );
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let kinds = found["ends"]["kinds"].as_array().unwrap();
    let flag = kinds.iter().find(|end| end["kind"] == "flag").unwrap();
    let [at_flag, others] =
        [&flag["probability"]["mean"], &found["ends"]["probability"]].map(|p| p.as_f64().unwrap());
    assert!(at_flag > 20.0 * others, "{found}");
    let ended: u64 = kinds
        .iter()
        .map(|end| end["episodes"].as_u64().unwrap())
        .sum();
    assert_eq!(ended + found["ends"]["cut_off"].as_u64().unwrap(), 12);
    let shown = printed(&frmdn_in(dir.path(), &args).output().unwrap());
    for word in ["the last step: flag", "every other step", "at least a half"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
}
