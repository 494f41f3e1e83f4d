//! An earlier round for data, an evolution with everything that can be asked of it, and gates.

mod common;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{MICRO, error, frmdn};
use frmdn::run::{
    ControllerInputs, ControllerOutputs, ControllerStart, FirstConfig, GatesConfig, LateConfig,
    LateRecombination, Preset,
};

/// A preset of two rounds in `dir`, with races, hard tracks, two starts, restarts, late generations
/// and a final choice.
fn two_rounds(dir: &Path) -> String {
    let inner = Preset::resolve("tiny", &MICRO.map(String::from)).unwrap();
    let mut outer = inner.clone();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    outer.first = Some(FirstConfig {
        preset: path("inner.toml"),
    });
    outer.collect.policy = "brownian,first".into();
    let c = &mut outer.controller;
    (c.inputs, c.axes, c.start) = (ControllerInputs::Principal, 5, ControllerStart::First);
    (c.hard_seeds, c.more_seeds, c.starts, c.start_generations) = (1, 1, 2, 2);
    (c.select_every, c.patience, c.finalists, c.generations) = (2, 1, 4, 14);
    c.late = Some(LateConfig {
        score: -1000.0,
        population: 8,
        seeds: 2,
        hard_seeds: 1,
        more_seeds: 0,
        candidate_ratio: 0.96,
        recombination: LateRecombination::Mirrored,
        loss_limit: 5.0,
    });
    c.outputs = ControllerOutputs::Scaled;
    std::fs::write(path("inner.toml"), inner.to_toml()).unwrap();
    std::fs::write(path("outer.toml"), outer.to_toml()).unwrap();
    path("outer.toml")
}

fn train(preset: &str, run: &Path, threads: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frmdn"));
    command
        .args(["train", preset, "--threads", threads, "--run"])
        .arg(run);
    command
}

#[test]
fn two_rounds_killed_in_the_first_and_in_the_evolution_end_in_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let preset = two_rounds(dir.path());
    let (calm, stormy) = (dir.path().join("calm"), dir.path().join("stormy"));
    let out = train(&preset, &calm, "2").output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{text}");
    for word in [
        "begins at the first agent's ways",
        "start 1 of 2",
        "going on with start",
        "generations of 8",
        "again from the best mean",
        "is chosen",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let table = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        table.contains("first ") && table.contains("inner.toml"),
        "{table}"
    );
    for mark in ["first/controller/metrics.jsonl", "controller/metrics.jsonl"] {
        let mut child = train(&preset, &stormy, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while std::fs::read_to_string(stormy.join(mark)).map_or(0, |t| t.lines().count()) < 3 {
            assert!(
                began.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none(),
                "{mark} never came"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(
        train(&preset, &stormy, "2")
            .output()
            .unwrap()
            .status
            .success()
    );
    for file in [
        "first/controller/weights.safetensors",
        "controller/state.safetensors",
        "controller/metrics.jsonl",
        "agent.safetensors",
    ] {
        assert_eq!(
            std::fs::read(calm.join(file)).unwrap(),
            std::fs::read(stormy.join(file)).unwrap(),
            "{file}"
        );
    }
    // Begun runs go on whatever has become of the text of their earlier round.
    let inner = dir.path().join("inner.toml");
    let text = std::fs::read_to_string(&inner).unwrap();
    std::fs::write(
        &inner,
        text.replace("sigma = ", "sigma = 9")
            .replace("description = \"", "description = \"Now "),
    )
    .unwrap();
    let out = train(&preset, &calm, "2").output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    // A third round that begins with the agent of a folder keeps its own copy of it, and goes on
    // without the folder.
    let mut third = Preset::resolve(&preset, &[]).unwrap();
    third.first = Some(FirstConfig {
        preset: calm.to_str().unwrap().to_owned(),
    });
    (third.controller.generations, third.controller.starts) = (2, 1);
    let (toml, run) = (dir.path().join("third.toml"), dir.path().join("third"));
    std::fs::write(&toml, third.to_toml()).unwrap();
    let stage = |name| frmdn(&[name, toml.to_str().unwrap(), "--run", run.to_str().unwrap()]);
    assert!(stage("collect").status.success());
    assert_eq!(
        std::fs::read(run.join("first/agent.safetensors")).unwrap(),
        std::fs::read(calm.join("agent.safetensors")).unwrap()
    );
    std::fs::remove_dir_all(&calm).unwrap();
    let out = stage("controller");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.success() && text.contains("begins at the first agent's ways"),
        "{text}"
    );
    // What its controller can know of the car; and an episode that is cut short.
    let inspect = || frmdn(&["inspect", run.to_str().unwrap(), "--car"]);
    let out = inspect();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success() && text.contains("forward speed") && text.contains("turning"),
        "{text}"
    );
    assert!(
        text.contains("the first 100 steps") && text.contains("sharper bends"),
        "{text}"
    );
    let episode = std::fs::read(run.join("episodes/000001.npz")).unwrap();
    std::fs::write(
        run.join("episodes/000001.npz"),
        &episode[..episode.len() / 2],
    )
    .unwrap();
    assert!(error(&inspect()).contains("000001"));
    // A round that comes back to itself.
    let mut circle = third.clone();
    circle.first = Some(FirstConfig {
        preset: toml.to_str().unwrap().to_owned(),
    });
    std::fs::write(&toml, circle.to_toml()).unwrap();
    let new = dir.path().join("circle");
    let text = error(&frmdn(&[
        "train",
        toml.to_str().unwrap(),
        "--run",
        new.to_str().unwrap(),
    ]));
    assert!(
        text.contains("an earlier round of itself") && !new.exists(),
        "{text}"
    );
    // A first round that was never trained is named.
    let text = error(&frmdn(&[
        "collect",
        "tiny",
        "--run",
        dir.path().join("none").to_str().unwrap(),
        "--set",
        "collect.policy=first",
    ]));
    assert!(text.contains("[first]"), "{text}");
}

#[test]
fn a_gate_stops_what_falls_short_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut preset = Preset::resolve("tiny", &MICRO.map(String::from)).unwrap();
    let path = dir.path().join("gated.toml");
    let run = dir.path().join("run");
    preset.gates = Some(GatesConfig {
        pixel_mse: 1.0,
        kl: 99.0,
        active: 0,
        above_floor: -1e9,
        reward_correlation: -1.0,
    });
    std::fs::write(&path, preset.to_toml()).unwrap();
    let train = |more: &[&str]| {
        frmdn(
            &[
                &[
                    "train",
                    path.to_str().unwrap(),
                    "--run",
                    run.to_str().unwrap(),
                ],
                more,
            ]
            .concat(),
        )
    };
    for _ in 0..2 {
        let text = error(&train(&[]));
        for word in [
            "memory: the nats a step above the floor",
            "at most -1000000000",
            "memory.updates",
            "--ignore-gates",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
    assert!(!run.join("controller").exists());
    let out = train(&["--ignore-gates"]);
    assert!(
        out.status.success() && String::from_utf8_lossy(&out.stderr).contains("ignored, as asked")
    );
}
