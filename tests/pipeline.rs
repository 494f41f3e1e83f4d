//! The whole pipeline with every memory there is, and the commands that work on what it leaves.

mod common;

use std::path::Path;

use common::{frmdn, train};
use frmdn::memory::Variant;

#[test]
fn every_memory_goes_through_the_whole_pipeline() {
    for variant in Variant::ALL {
        let weights = match variant {
            Variant::None | Variant::Copy => 3 * 33,
            Variant::Stack2 => 3 * (32 + 32 + 1),
            _ => 3 * (32 + 16 + 1),
        };
        goes_through(&variant.to_string(), &[], weights);
    }
}

#[test]
fn every_option_of_a_memory_goes_through_the_whole_pipeline() {
    let options = [
        "memory.model.residual=true",
        "memory.carry=true",
        "memory.noise=0.1",
        "memory.input_noise=0.1",
        "memory.model.loss.dropout=0.1",
        "memory.model.loss.scheduled_sampling=0.2",
        "memory.model.reward_hidden=4",
        "memory.auxiliary=speed",
        "memory.model.loss.auxiliary_weight=1",
    ];
    goes_through("frmdn", &options, 3 * (32 + 16 + 1));
    goes_through("rmdn", &["memory.model.members=2"], 3 * (32 + 2 * 16 + 1));
}

/// What is to be learned beside must be measured, and have a weight.
#[test]
fn an_auxiliary_target_needs_its_measurement_and_its_weight() {
    let dir = tempfile::tempdir().unwrap();
    let told = |sets: &[&str]| {
        let mut command = train(dir.path(), "1");
        for set in sets {
            command.args(["--set", set]);
        }
        common::error(&command.output().unwrap())
    };
    let name = "memory.auxiliary=speed";
    let weight = "memory.model.loss.auxiliary_weight=1";
    for (sets, words) in [
        (vec![name], "set memory.model.loss.auxiliary_weight above 0"),
        (vec![weight], "name the measurement"),
        (
            vec!["memory.auxiliary=height", weight],
            "it measures tiles, track, lap finished, speed",
        ),
    ] {
        let text = told(&sets);
        assert!(
            text.contains("memory.auxiliary") && text.contains(words),
            "{text}"
        );
    }
}

/// Trains with the memory `variant`. `weights` is the number of weights that C must have.
fn goes_through(variant: &str, options: &[&str], weights: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = train(dir.path(), "2");
    command.args(["--set", &format!("memory.model.variant={variant}")]);
    command.args(["--set", "controller.generations=2"]);
    for option in options {
        command.args(["--set", option]);
    }
    let out = command.output().unwrap();
    assert!(
        out.status.success(),
        "{variant}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let table = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        table.contains(variant) && table.contains("score"),
        "{table}"
    );
    let run = dir.path().to_str().unwrap();
    let text = String::from_utf8_lossy(&frmdn(&["inspect", run]).stdout).into_owned();
    assert!(
        text.contains("controller.weight") && text.contains(&weights.to_string()),
        "{variant}: {text}"
    );
    dreams(variant, dir.path());
}

/// Memories that predict can dream; the others say why not.
fn dreams(variant: &str, run: &Path) {
    let gif = run.join("d.gif");
    let dream = frmdn(&[
        "dream",
        run.to_str().unwrap(),
        "--out",
        gif.to_str().unwrap(),
        "--warm-up",
        "5",
        "--steps",
        "5",
    ]);
    if matches!(variant, "untrained" | "none" | "stack2") {
        let text = common::error(&dream);
        assert!(
            text.contains("cannot dream") && text.contains(variant),
            "{text}"
        );
        assert!(!gif.exists());
    } else {
        common::success(&dream);
    }
}

#[test]
fn a_random_policy_plays_without_any_run() {
    let dir = tempfile::tempdir().unwrap();
    let gif = dir.path().join("random.gif");
    let out = frmdn(&[
        "play",
        "--policy",
        "brownian",
        "--seed",
        "7",
        "--out",
        gif.to_str().unwrap(),
    ]);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("score") && text.contains("tiles"), "{text}");
    let file = std::io::BufReader::new(std::fs::File::open(&gif).unwrap());
    let decoder = image::codecs::gif::GifDecoder::new(file).unwrap();
    assert!(image::AnimationDecoder::into_frames(decoder).count() > 50);
}

#[test]
fn plan_doctor_and_help_answer() {
    let plan = frmdn(&["plan", "tiny", "--set", "vision.updates=10"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    for word in [
        "collect",
        "vision",
        "memory",
        "controller",
        "in all",
        "disk",
    ] {
        assert!(text.contains(word), "{text}");
    }
    let doctor = String::from_utf8_lossy(&frmdn(&["doctor"]).stdout).into_owned();
    assert!(
        doctor.contains("cores") && doctor.contains("frmdn train"),
        "{doctor}"
    );
    let help = String::from_utf8_lossy(&frmdn(&["--help"]).stdout).into_owned();
    for command in [
        "train",
        "collect",
        "vision",
        "memory",
        "controller",
        "evaluate",
        "play",
        "dream",
        "plan",
        "inspect",
        "doctor",
    ] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn stages_by_themselves_end_where_train_ends() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(train(whole.path(), "2").output().unwrap().status.success());
    for stage in ["collect", "vision", "memory", "controller"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_frmdn"));
        command.args([stage, "tiny", "--run"]).arg(parts.path());
        for set in common::MICRO {
            command.args(["--set", set]);
        }
        let out = command.output().unwrap();
        assert!(
            out.status.success(),
            "{stage}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        assert!(String::from_utf8_lossy(&out.stdout).contains("frmdn train --run"));
    }
    // Of a run that was killed between a stage's last checkpoint and its pictures.
    let pictures =
        ["vision-kl.png", "memory.png"].map(|name| parts.path().join("pictures").join(name));
    pictures
        .iter()
        .for_each(|picture| std::fs::remove_file(picture).unwrap());
    assert!(
        frmdn(&["memory", "--run", parts.path().to_str().unwrap()])
            .status
            .success()
    );
    assert!(pictures.iter().all(|picture| picture.is_file()));
    for file in [
        "vision/weights.safetensors",
        "memory/weights.safetensors",
        "controller/weights.safetensors",
    ] {
        assert_eq!(
            std::fs::read(whole.path().join(file)).unwrap(),
            std::fs::read(parts.path().join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn a_lengthened_evolution_ends_like_a_long_one() {
    let (long, short) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(train(long.path(), "2").output().unwrap().status.success());
    assert!(
        train(short.path(), "2")
            .args(["--set", "controller.generations=3"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let out = frmdn(&[
        "train",
        "--run",
        short.path().to_str().unwrap(),
        "--set",
        "controller.generations=8",
    ]);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    for file in [
        "run.toml",
        "controller/state.safetensors",
        "controller/metrics.jsonl",
        "agent.safetensors",
        "evaluation/summary.json",
    ] {
        assert_eq!(
            std::fs::read(long.path().join(file)).unwrap(),
            std::fs::read(short.path().join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn data_come_from_a_scripted_driver_or_from_an_agent_too() {
    let first = tempfile::tempdir().unwrap();
    let out = train(first.path(), "2")
        .args(["--set", "collect.policy=scripted"])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let second = tempfile::tempdir().unwrap();
    let set = format!("collect.policy={}", first.path().display());
    let out = train(second.path(), "2")
        .args(["--set", &set])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    // The run has its own copy of the driver, and needs the other's folder no more: the same
    // episode again without it.
    let recorded = second.path().join("episodes/000000.npz");
    let before = std::fs::read(&recorded).unwrap();
    std::fs::remove_file(&recorded).unwrap();
    let aside = first.path().join("aside");
    std::fs::rename(first.path().join("run.toml"), &aside).unwrap();
    let again = frmdn(&["collect", "--run", second.path().to_str().unwrap()]);
    assert!(
        again.status.success() && before == std::fs::read(&recorded).unwrap(),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    std::fs::rename(&aside, first.path().join("run.toml")).unwrap();
    let third = tempfile::tempdir().unwrap().path().join("run");
    let out = frmdn(&[
        "train",
        "--run",
        third.to_str().unwrap(),
        "--set",
        "collect.policy=nobody",
    ]);
    assert!(
        common::error(&out)
            .contains("`nobody` is neither one of random, brownian, bursts, noop, scripted")
            && !third.exists()
    );
    let episodes =
        [&first, &second].map(|d| std::fs::read(d.path().join("episodes/000000.npz")).unwrap());
    assert_ne!(episodes[0], episodes[1]);
}

#[test]
fn the_floor_and_the_ceiling_can_be_scored() {
    let score = |policy: &str| {
        let out = frmdn(&["evaluate", "--policy", policy, "--episodes", "12", "--json"]);
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap()
    };
    let (noop, random, scripted) = (score("noop"), score("random"), score("scripted"));
    let mean = |v: &serde_json::Value| v["mean"].as_f64().unwrap();
    assert!(
        (-95.0..-90.0).contains(&mean(&noop)) && (-45.0..-20.0).contains(&mean(&random)),
        "{noop} {random}"
    );
    assert!(
        mean(&scripted) > 850.0 && scripted["completed"].as_f64().unwrap() > 0.7,
        "{scripted}"
    );
}
