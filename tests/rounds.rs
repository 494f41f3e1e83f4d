//! An earlier round for data, an evolution with everything that can be asked of it, and gates.

mod common;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{MICRO, error, frmdn, hashes, success};
use frmdn::run::{
    ControllerInputs, ControllerOutputs, ControllerStart, DreamsConfig, FirstConfig, GatesConfig,
    HoldGates, LateConfig, LateRecombination, Preset,
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

/// A preset of two rounds, and a run of it that was never disturbed.
struct Rounds {
    dir: tempfile::TempDir,
    preset: String,
    calm: PathBuf,
    /// What the run said on standard error.
    log: String,
    /// Its closing table.
    table: String,
}

impl Rounds {
    fn trained() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let preset = two_rounds(dir.path());
        let calm = dir.path().join("calm");
        let out = train(&preset, &calm, "2").output().unwrap();
        Self {
            dir,
            preset,
            calm,
            log: success(&out),
            table: String::from_utf8_lossy(&out.stdout).into_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[test]
fn two_rounds_killed_in_the_first_and_in_the_evolution_end_in_the_same_bytes() {
    let rounds = Rounds::trained();
    for word in [
        "begins at the first agent's ways",
        "start 1 of 2",
        "going on with start",
        "generations of 8",
        "again from the best mean",
        "is chosen",
    ] {
        assert!(rounds.log.contains(word), "{word}: {}", rounds.log);
    }
    let table = &rounds.table;
    assert!(
        table.contains("first ") && table.contains("inner.toml"),
        "{table}"
    );
    let stormy = rounds.path("stormy");
    for mark in ["first/controller/metrics.jsonl", "controller/metrics.jsonl"] {
        kill_after_three_lines(&rounds.preset, &stormy, mark);
    }
    success(&train(&rounds.preset, &stormy, "2").output().unwrap());
    for file in [
        "first/controller/weights.safetensors",
        "controller/state.safetensors",
        "controller/metrics.jsonl",
        "agent.safetensors",
    ] {
        assert_eq!(
            std::fs::read(rounds.calm.join(file)).unwrap(),
            std::fs::read(stormy.join(file)).unwrap(),
            "{file}"
        );
    }
}

/// A micro preset whose C learns in dreams, in `dir`: four rounds of two generations, with two real
/// episodes in between.
fn dreaming(dir: &Path) -> String {
    let mut preset = Preset::resolve("tiny", &MICRO.map(String::from)).unwrap();
    preset.collect.give_up_after = 20;
    preset.collect.policy = "brownian,scripted".into();
    preset.memory.carry = true;
    preset.controller.dreams = Some(DreamsConfig {
        round: 2,
        horizon: 12,
        temperature: 1.0,
        beginning: 0.25,
        lost: 0.25,
        price: 0.01,
        episodes: 2,
        disturbed: 1,
        give_up_after: 30,
        updates: 8,
        rate: 0.1,
        own: 0.5,
        dropout: 0.1,
        unpaid: 5,
        enough: 3.0,
        back: 1e-9,
        choice_seeds: 1,
    });
    (preset.controller.seeds, preset.controller.select_every) = (4, 1);
    preset.controller.finalists = 3;
    let path = dir.join("dreaming.toml").to_str().unwrap().to_owned();
    std::fs::write(&path, preset.to_toml()).unwrap();
    path
}

#[test]
fn rounds_of_dreams_killed_on_the_way_end_in_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (preset, calm) = (dreaming(dir.path()), dir.path().join("calm"));
    success(&train(&preset, &calm, "2").output().unwrap());
    // Three rounds after the first one: two episodes and one line of metrics of M each.
    assert!(calm.join("episodes/000025.npz").exists());
    assert!(!calm.join("episodes/000026.npz").exists());
    let lines = |file: &str| {
        let text = std::fs::read_to_string(calm.join(file)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<serde_json::Value>>()
    };
    let memory = lines("memory/metrics.jsonl");
    let updates: Vec<u64> = memory
        .iter()
        .filter_map(|line| line["update"].as_u64())
        .collect();
    assert_eq!(updates, [8, 16, 24, 32, 40, 48, 56, 64]);
    assert_eq!(memory.last().unwrap()["kept"], 64);
    // Three means and their average drove one real track each, the better two another one.
    let choice = std::fs::read(calm.join("controller/choice.json")).unwrap();
    let choice: serde_json::Value = serde_json::from_slice(&choice).unwrap();
    assert_eq!((&choice["of"], &choice["episodes"]), (&4.into(), &2.into()));
    let recorded = lines("controller/rounds.jsonl")[2]["frames"]
        .as_u64()
        .unwrap();
    let counted = choice["frames"].as_u64().unwrap();
    assert!(
        (recorded + 6..=recorded + 6 * 1000).contains(&counted),
        "{recorded} {counted}"
    );
    assert!(calm.join("pictures/rounds.png").exists());
    // Beside the agent stand what its last candidates did, and what the expert did.
    let scores = std::fs::read(calm.join("evaluation/summary.json")).unwrap();
    let scores: serde_json::Value = serde_json::from_slice(&scores).unwrap();
    for clone in ["clone", "experts_clone"] {
        let ahead = &scores[format!("better_than_{clone}")]["mean"];
        assert!(scores[clone].is_object() && ahead.is_f64(), "{scores}");
    }
    let stormy = dir.path().join("stormy");
    kill_after_three_lines(&preset, &stormy, "controller/metrics.jsonl");
    success(&train(&preset, &stormy, "1").output().unwrap());
    let different = |root: &Path| {
        let mut all = hashes(root);
        all.remove("run.toml");
        all
    };
    assert_eq!(different(&calm), different(&stormy));
    // And typed again it is done.
    let before = hashes(&calm);
    success(&train(&preset, &calm, "2").output().unwrap());
    assert_eq!(before, hashes(&calm));
}

/// Trains until the file `mark` of the run has three lines, and kills the program.
fn kill_after_three_lines(preset: &str, run: &Path, mark: &str) {
    let mut child = train(preset, run, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while std::fs::read_to_string(run.join(mark)).map_or(0, |t| t.lines().count()) < 3 {
        assert!(
            began.elapsed() < Duration::from_secs(300) && child.try_wait().unwrap().is_none(),
            "{mark} never came"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_third_round_needs_neither_the_text_nor_the_folder_of_the_earlier_ones() {
    let rounds = Rounds::trained();
    // A run that was begun goes on, whatever became of the preset of its earlier round.
    let inner = rounds.path("inner.toml");
    let text = std::fs::read_to_string(&inner).unwrap();
    let changed = text
        .replace("sigma = ", "sigma = 9")
        .replace("description = \"", "description = \"Now ");
    std::fs::write(&inner, changed).unwrap();
    success(&train(&rounds.preset, &rounds.calm, "2").output().unwrap());
    // A third round that begins with the agent of a folder has its own copy of it.
    let third = third_round(&rounds);
    let (toml, run) = (rounds.path("third.toml"), rounds.path("third"));
    std::fs::write(&toml, third.to_toml()).unwrap();
    let stage = |name| frmdn(&[name, toml.to_str().unwrap(), "--run", run.to_str().unwrap()]);
    success(&stage("collect"));
    assert_eq!(
        std::fs::read(run.join("first/agent.safetensors")).unwrap(),
        std::fs::read(rounds.calm.join("agent.safetensors")).unwrap()
    );
    std::fs::remove_dir_all(&rounds.calm).unwrap();
    let text = success(&stage("controller"));
    assert!(text.contains("begins at the first agent's ways"), "{text}");
    shows_the_car(&run);
}

/// A round after those of `rounds` that takes the agent of their run.
fn third_round(rounds: &Rounds) -> Preset {
    let mut third = Preset::resolve(&rounds.preset, &[]).unwrap();
    third.first = Some(FirstConfig {
        preset: rounds.calm.to_str().unwrap().to_owned(),
    });
    (third.controller.generations, third.controller.starts) = (2, 1);
    third
}

/// `frmdn inspect --car` of a run, and of one with an episode that is cut short.
fn shows_the_car(run: &Path) {
    let inspect = || frmdn(&["inspect", run.to_str().unwrap(), "--car"]);
    let out = inspect();
    success(&out);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    for word in [
        "forward speed",
        "turning",
        "the first 100",
        "below 0.02 rad/unit",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let path = run.join("episodes/000001.npz");
    let episode = std::fs::read(&path).unwrap();
    std::fs::write(&path, &episode[..episode.len() / 2]).unwrap();
    assert!(error(&inspect()).contains("000001"));
}

#[test]
fn a_round_that_comes_back_to_itself_and_a_missing_one_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut circle = Preset::resolve(&two_rounds(dir.path()), &[]).unwrap();
    let toml = dir.path().join("circle.toml");
    circle.first = Some(FirstConfig {
        preset: toml.to_str().unwrap().to_owned(),
    });
    std::fs::write(&toml, circle.to_toml()).unwrap();
    let new = dir.path().join("circle");
    let text = error(&train(toml.to_str().unwrap(), &new, "2").output().unwrap());
    assert!(
        text.contains("an earlier round of itself") && !new.exists(),
        "{text}"
    );
    // A first round that was never trained is named.
    let none = dir.path().join("none");
    let set = "collect.policy=first";
    let text = error(&frmdn(&[
        "collect",
        "tiny",
        "--run",
        none.to_str().unwrap(),
        "--set",
        set,
    ]));
    assert!(text.contains("[first]"), "{text}");
}

/// Steps of twice the smallest number move nothing: the optimiser stops after its first generation,
/// and would do so again after a restart.
#[test]
fn an_evolution_whose_optimiser_stops_ends_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let train = || {
        let mut command = common::train(&run, "2");
        command.args(["--set", "controller.sigma=1e-323"]);
        command.args(["--set", "controller.patience=2"]);
        command.output().unwrap()
    };
    let out = train();
    let log = success(&out);
    let why = "the evolution ends here: its steps are too short to change parameter 0";
    assert!(log.contains(why), "{log}");
    let table = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(table.contains("1 generations"), "{table}");
    // And it stays ended.
    let before = hashes(&run);
    let again = train();
    success(&again);
    assert!(again.stdout == out.stdout && hashes(&run) == before);
}

/// So it is in dreams: no further round is driven, and the choice is made.
#[test]
fn dreams_end_with_their_optimiser() {
    let dir = tempfile::tempdir().unwrap();
    let (preset, run) = (dreaming(dir.path()), dir.path().join("run"));
    let train = || {
        let mut command = train(&preset, &run, "2");
        command.args(["--set", "controller.sigma=1e-323"]);
        command.output().unwrap()
    };
    let log = success(&train());
    assert!(log.contains("the evolution ends here"), "{log}");
    assert!(run.join("episodes/000019.npz").exists());
    assert!(!run.join("episodes/000020.npz").exists());
    assert!(run.join("controller/choice.json").exists());
    let before = hashes(&run);
    success(&train());
    assert_eq!(hashes(&run), before);
}

#[test]
fn a_gate_stops_what_falls_short_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut preset = Preset::resolve("tiny", &MICRO.map(String::from)).unwrap();
    let path = dir.path().join("gated.toml");
    let run = dir.path().join("run");
    preset.gates = Some(GatesConfig {
        pixel_mse: 1.0,
        rare_mse: None,
        kl: 99.0,
        active: 0,
        above_floor: -1e9,
        reward_correlation: -1.0,
        holds: None,
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
    // Finished, it prints its table whether it is asked again or not.
    let again = train(&[]);
    assert!(
        again.status.success() && again.stdout == out.stdout,
        "{again:?}"
    );
}

/// What dreams pay too much is found before an evolution is spent, once for each M, and what to do is
/// said.
#[test]
fn a_dream_that_pays_too_much_stops_a_run_before_its_evolution() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut preset = Preset::resolve("tiny", &MICRO.map(String::from)).unwrap();
    preset.controller.dreams = Preset::resolve("car-racing-dream-frmdn", &[])
        .unwrap()
        .controller
        .dreams;
    let gates = preset.gates.as_mut().unwrap();
    gates.holds = Some(HoldGates {
        policy: "scripted".into(),
        states: 2,
        first: -1e9,
        later: 1e9,
    });
    let path = dir.path().join("held.toml");
    std::fs::write(&path, preset.to_toml()).unwrap();
    let out = train(path.to_str().unwrap(), &run, "2").output().unwrap();
    let text = error(&out);
    for words in [
        "above the real one",
        "steps 0 to 20",
        "frmdn inspect",
        "bursts",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!run.join("controller").exists());
    // The tests of the same M are not made again.
    let held = std::fs::read(run.join("memory/holds.json")).unwrap();
    let again = error(&train(path.to_str().unwrap(), &run, "2").output().unwrap());
    assert!(!again.contains("hold tests of its dreams"), "{again}");
    assert_eq!(held, std::fs::read(run.join("memory/holds.json")).unwrap());
}
