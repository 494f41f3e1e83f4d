//! Bad input and bad luck: each ends with an error that says what to do, a non-zero exit, and loses
//! nothing.

mod common;

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use common::{MICRO, copy_folder, error, frmdn, train};

/// A finished micro run, made once for all tests of this file.
fn finished() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let output = train(dir.path(), "2").output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        for word in [
            "collect",
            "vision",
            "memory",
            "controller",
            "score",
            "random policy",
            "rule",
        ] {
            assert!(table.contains(word), "{word} is missing in\n{table}");
        }
        dir
    })
    .path()
}

/// A copy of the finished run that a test may damage.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_folder(finished(), dir.path());
    dir
}

fn path(dir: &tempfile::TempDir) -> &str {
    dir.path().to_str().unwrap()
}

fn damage(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() * 2 / 3]).unwrap();
}

#[test]
fn a_finished_run_prints_its_table_again_and_writes_nothing() {
    let run = copy();
    let before = std::fs::metadata(run.path().join("agent.safetensors"))
        .unwrap()
        .modified()
        .unwrap();
    let first = train(run.path(), "2").output().unwrap();
    let again = frmdn(&["train", "--run", path(&run)]);
    assert!(first.status.success() && again.status.success());
    assert_eq!(first.stdout, again.stdout);
    assert_eq!(
        std::fs::metadata(run.path().join("agent.safetensors"))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
}

#[test]
fn the_run_folder_alone_suffices_to_evaluate_play_and_dream() {
    let run = copy();
    // Nothing but the folder under another name; the episodes are not needed either.
    std::fs::remove_dir_all(run.path().join("episodes")).unwrap();
    let out = frmdn(&[
        "evaluate",
        path(&run),
        "--seeds",
        "600000..600002",
        "--json",
    ]);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let summary: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(run.path().join("evaluation/summary.json")).unwrap(),
    )
    .unwrap();
    // The same tracks, the same agent: the same scores, to the last digit.
    assert_eq!(json["scores"], summary["agent"]["scores"]);
    assert_eq!(
        (
            json["episodes"].as_u64(),
            json["seeds"][0].as_u64(),
            json["seeds"][1].as_u64()
        ),
        (Some(2), Some(600_000), Some(600_002))
    );
    for key in ["mean", "sd", "ci95", "rule"] {
        assert!(!json[key].is_null(), "{key}");
    }
    for (command, name) in [("play", "drive.gif"), ("dream", "dream.gif")] {
        let gif = run.path().join(name);
        let mut args = vec![command, path(&run), "--out", gif.to_str().unwrap()];
        if command == "dream" {
            args.extend(["--warm-up", "10", "--steps", "12"]);
        }
        let out = frmdn(&args);
        assert!(
            out.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        assert_eq!(&std::fs::read(&gif).unwrap()[..6], b"GIF89a");
    }
    // The one-file agent that the run ends with is the same agent.
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(
        run.path().join("agent.safetensors"),
        alone.path().join("agent.safetensors"),
    )
    .unwrap();
    let out = frmdn(&["evaluate", path(&alone), "--episodes", "2", "--json"]);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap()["scores"],
        json["scores"]
    );
}

#[test]
fn a_changed_preset_is_refused_with_the_key() {
    let run = copy();
    let text = error(&frmdn(&[
        "train",
        "--run",
        path(&run),
        "--set",
        "controller.population=8",
    ]));
    assert!(
        text.contains("controller.population")
            && text.contains('6')
            && text.contains('8')
            && text.contains("--run"),
        "{text}"
    );
    let text = error(&frmdn(&["train", "car-racing-rmdn", "--run", path(&run)]));
    assert!(text.contains("memory.model.variant"), "{text}");
}

#[test]
fn wrong_settings_are_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("new");
    let (tiny, frmdn_preset) = ("tiny", "car-racing-frmdn");
    for (preset, set, words) in [
        (
            tiny,
            "vision.speed=3",
            &["vision.speed", "allowed here", "learning_rate"][..],
        ),
        (tiny, "vision.batch=0", &["vision.batch = 0", "at least 1"]),
        (
            tiny,
            "controller.finalists=9",
            &["controller.finalists = 9", "8 tested means"],
        ),
        (
            tiny,
            "controller.select_tracks=60000",
            &["select_tracks = 60000", "there are 100000"],
        ),
        (
            tiny,
            "controller.starts=20",
            &["20 starts of 10 generations take more"],
        ),
        (
            frmdn_preset,
            "controller.late.more_tracks=2",
            &[
                "controller.late.more_tracks = 2",
                "both sides of a pair",
                "write 0",
            ],
        ),
        (
            frmdn_preset,
            "controller.late.population=63",
            &[
                "controller.late.population = 63",
                "pairs need an even number",
            ],
        ),
        (
            frmdn_preset,
            "first.preset=checkpoints/scuot",
            &[
                "first.preset",
                "checkpoints/scuot",
                "car-racing-scout",
                "the folder of a run",
            ],
        ),
    ] {
        let folder = run.to_str().unwrap();
        let text = error(&frmdn(&["train", preset, "--run", folder, "--set", set]));
        for word in words {
            assert!(text.contains(word), "{set}: {text}");
        }
        assert!(!run.exists(), "{set} left something behind");
    }
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new");
    let run = new.to_str().unwrap();
    for (args, words) in [
        (
            &["train", "nothing", "--run", run][..],
            &["nothing", "tiny", "car-racing-frmdn"][..],
        ),
        (&["evaluate", run], &["neither a run folder", "frmdn train"]),
        (&["inspect", run], &["neither a run folder", "frmdn train"]),
        (&["play"], &["--policy"]),
        (
            &["train", "--run", run, "--device", "gpu"],
            &["no device gpu", "wgpu", "cuda", "--device NAME"],
        ),
        (&["play", "--policy", "random", "--out", "x.mp4"], &[".gif"]),
    ] {
        let text = error(&frmdn(args));
        for word in words {
            assert!(text.contains(word), "{args:?}: {text}");
        }
        assert!(!new.exists(), "{args:?} left something behind");
    }
    let finished = finished().to_str().unwrap();
    let text = error(&frmdn(&["evaluate", finished, "--seeds", "5..5"]));
    assert!(text.contains("--seeds 600000..600100"), "{text}");
}

#[test]
fn a_truncated_episode_names_the_file_and_is_made_anew() {
    let run = copy();
    let episode = run.path().join("episodes/000003.npz");
    let good = std::fs::read(&episode).unwrap();
    damage(&episode);
    std::fs::remove_dir_all(run.path().join("vision")).unwrap();
    let text = error(&train(run.path(), "2").output().unwrap());
    assert!(
        text.contains("000003.npz") && text.contains("Delete this file"),
        "{text}"
    );
    // The error's own advice works, and brings back the same bytes.
    std::fs::remove_file(&episode).unwrap();
    let out = train(run.path(), "2").output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(std::fs::read(&episode).unwrap(), good);
}

#[test]
fn damaged_checkpoints_name_the_file() {
    for (file, reach) in [
        ("vision/state.safetensors", "train"),
        ("vision/weights.safetensors", "evaluate"),
        ("memory/weights.safetensors", "evaluate"),
        ("controller/weights.safetensors", "evaluate"),
        ("controller/state.safetensors", "train"),
    ] {
        let run = copy();
        damage(&run.path().join(file));
        let out = if reach == "train" {
            train(run.path(), "2").output().unwrap()
        } else {
            frmdn(&["evaluate", path(&run)])
        };
        let text = error(&out);
        assert!(
            text.contains(file)
                && text.contains("damaged")
                && text.contains("type the same train command"),
            "{text}"
        );
        // The advice works, and brings back the same bytes.
        let folder = file.split('/').next().unwrap();
        assert!(
            text.contains(&format!("Delete the folder {folder}/")),
            "{text}"
        );
        std::fs::remove_dir_all(run.path().join(folder)).unwrap();
        let out = train(run.path(), "2").output().unwrap();
        assert!(
            out.status.success(),
            "{file}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        let weights = format!("{folder}/weights.safetensors");
        assert_eq!(
            std::fs::read(run.path().join(&weights)).unwrap(),
            std::fs::read(finished().join(&weights)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn a_v_that_is_another_one_is_not_built_on() {
    let (run, other) = (copy(), tempfile::tempdir().unwrap());
    let out = train(other.path(), "2")
        .args(["--set", "seed=6"])
        .output()
        .unwrap();
    assert!(out.status.success());
    let weights = "vision/weights.safetensors";
    std::fs::copy(other.path().join(weights), run.path().join(weights)).unwrap();
    let text = error(&train(run.path(), "2").output().unwrap());
    assert!(
        text.contains("another V")
            && text.contains("Delete the folders memory, controller and evaluation"),
        "{text}"
    );
}

#[test]
fn a_c_for_another_m_is_not_driven_on_and_another_c_is_evaluated_anew() {
    let (run, other) = (copy(), tempfile::tempdir().unwrap());
    assert!(
        train(other.path(), "2")
            .args(["--set", "seed=6"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let take = |file: &str| std::fs::copy(other.path().join(file), run.path().join(file)).unwrap();
    let summary = || {
        serde_json::from_slice::<serde_json::Value>(
            &std::fs::read(run.path().join("evaluation/summary.json")).unwrap(),
        )
        .unwrap()
    };
    let good = summary();

    take("controller/weights.safetensors");
    assert!(train(run.path(), "2").output().unwrap().status.success());
    let changed = summary();
    assert_ne!(changed["checksum"], good["checksum"]);
    let scores = std::fs::read_to_string(run.path().join("evaluation/scores.jsonl")).unwrap();
    assert!(
        scores.lines().count() == 2
            && scores
                .lines()
                .all(|l| l.contains(changed["checksum"].as_str().unwrap())),
        "{scores}"
    );

    take("memory/weights.safetensors");
    let text = error(&train(run.path(), "2").output().unwrap());
    assert!(
        text.contains("controller was evolved for another V or M")
            && text.contains("Delete the folder controller/"),
        "{text}"
    );
    std::fs::remove_dir_all(run.path().join("controller")).unwrap();
    assert!(train(run.path(), "2").output().unwrap().status.success());
    assert!(
        summary()["checksum"] != changed["checksum"] && summary()["checksum"] != good["checksum"]
    );
}

#[test]
fn seeds_at_the_end_of_their_range_and_an_agents_file_are_taken() {
    let file = finished().join("agent.safetensors");
    let last = format!("{}..{}", u64::MAX - 2, u64::MAX);
    let out = frmdn(&[
        "evaluate",
        file.to_str().unwrap(),
        "--seeds",
        &last,
        "--json",
    ]);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap()["episodes"],
        2
    );
}

#[test]
fn an_altered_config_and_a_folder_of_another_version_are_refused() {
    let run = copy();
    let config = run.path().join("run.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, good.replace("seed = 5", "seed = 6")).unwrap();
    let text = error(&frmdn(&["train", "--run", path(&run)]));
    assert!(
        text.contains("run.toml") && text.contains("altered"),
        "{text}"
    );
    std::fs::write(&config, good.replace("# format 1", "# format 2")).unwrap();
    let text = error(&frmdn(&["train", "--run", path(&run)]));
    assert!(
        text.contains("format version 2") && text.contains("version 1"),
        "{text}"
    );
}

#[test]
fn a_folder_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = train(dir.path(), "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !dir.path().join("run.toml").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let text = error(&train(dir.path(), "1").output().unwrap());
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(
        text.contains("in use by another process") && text.contains(&first.id().to_string()),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_the_same_command_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_frmdn");
    let sets: String = MICRO.iter().map(|s| format!(" --set {s}")).collect();
    // A limit on file sizes (16 blocks of 1 KiB) makes every larger write fail just as a full disk
    // does, without one.
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {program} train tiny --run {} {sets}",
        dir.path().display()
    );
    let text = error(&Command::new("bash").args(["-c", &script]).output().unwrap());
    assert!(
        text.contains("cannot write") && text.contains("free some space"),
        "{text}"
    );
    let leftovers = std::fs::read_dir(dir.path().join("episodes"))
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(leftovers.count(), 0, "temporary files stay behind");
    let out = train(dir.path(), "2").output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    for file in ["controller/state.safetensors", "agent.safetensors"] {
        assert_eq!(
            std::fs::read(dir.path().join(file)).unwrap(),
            std::fs::read(finished().join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_names_the_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = train(dir.path(), "2");
    // A rate at which any VAE explodes within a few updates.
    command.args(["--set", "vision.learning_rate=1e30"]);
    let text = error(&command.output().unwrap());
    assert!(
        text.contains("not finite at update")
            && text.contains("vision.learning_rate")
            && text.contains("last checkpoint"),
        "{text}"
    );
    let mut command = train(dir.path(), "2");
    command.args(["--set", "vision.learning_rate=1e30"]);
    let again = error(&command.output().unwrap());
    assert!(again.contains("not finite at update"), "{again}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let child = train(dir.path(), "2")
        .arg("--ignore-gates")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !dir.path().join("vision/metrics.jsonl").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    // The command as it was typed, with what is no part of the run's settings.
    let (_, command) = text
        .split_once("everything is saved. Go on with: frmdn ")
        .unwrap_or_else(|| panic!("{text}"));
    let command: Vec<&str> = command.split_whitespace().collect();
    assert!(
        command.contains(&"--ignore-gates") && command.contains(&"--threads"),
        "{text}"
    );
    let out = frmdn(&command);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    for file in [
        "vision/weights.safetensors",
        "memory/state.safetensors",
        "controller/state.safetensors",
    ] {
        assert_eq!(
            std::fs::read(dir.path().join(file)).unwrap(),
            std::fs::read(finished().join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn an_unknown_set_of_instructions_is_refused() {
    let mut command = common::frmdn_in(Path::new("."), &["doctor"]);
    let text = error(&command.env("FRMDN_INSTRUCTIONS", "sse9").output().unwrap());
    assert!(
        text.contains("sse9") && text.contains("set it to fused"),
        "{text}"
    );
}
