//! What stands in a file is not taken on trust: sizes, links, names and settings of others are
//! refused by name, and what is written stays where it belongs.

mod common;

use std::{path::Path, process::Command, sync::OnceLock};

use common::{MICRO, copy_folder, error, frmdn, hashes, success, train};
use frmdn::agent::Agent;

/// A finished micro run, made once for all tests of this file.
fn finished() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        success(&train(dir.path(), "2").output().unwrap());
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

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn contains(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[test]
fn a_copy_of_another_episode_is_refused_and_made_anew_as_the_error_says() {
    let run = copy();
    let episode = |n: usize| run.path().join(format!("episodes/{n:06}.npz"));
    let good = std::fs::read(episode(3)).unwrap();
    std::fs::copy(episode(4), episode(3)).unwrap();
    for stage in ["vision", "latents"] {
        std::fs::remove_dir_all(run.path().join(stage)).unwrap();
    }
    let text = error(&train(run.path(), "2").output().unwrap());
    contains(
        &text,
        &[
            "000003.npz",
            "its seed is 4",
            "of this number is 3",
            "Delete this file",
        ],
    );
    std::fs::remove_file(episode(3)).unwrap();
    success(&train(run.path(), "2").output().unwrap());
    assert_eq!(std::fs::read(episode(3)).unwrap(), good);
    assert_eq!(hashes(run.path()), hashes(finished()));
}

#[test]
fn a_preset_that_no_machine_can_hold_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let huge = "4611686018427387904";
    for (key, words) in [
        ("vision.batch", &["vision.batch", "GB of memory"][..]),
        ("memory.batch", &["memory.batch", "GB of memory"]),
        (
            "controller.population",
            &["controller.population", "GB of memory"],
        ),
        ("controller.tracks", &["controller.tracks", "impossible"]),
        (
            "controller.generations",
            &["controller.generations", "impossible"],
        ),
        ("controller.select_tracks", &["select_tracks", "impossible"]),
        ("controller.starts", &["controller", "impossible"]),
        ("collect.steps", &["collect.steps", "at most 150000"]),
        ("collect.episodes", &["collect.episodes", "impossible"]),
        ("evaluate.episodes", &["evaluate.episodes", "impossible"]),
        ("memory.sequence", &["memory.sequence", "impossible"]),
        ("memory.model.hidden", &["hidden", "impossible"]),
        ("memory.model.components", &["components", "impossible"]),
        ("memory.model.rank", &["rank", "impossible"]),
        ("vision.model.width", &["width", "impossible"]),
        ("vision.model.latent", &["latent", "impossible"]),
    ] {
        for command in ["train", "plan"] {
            let set = format!("{key}={huge}");
            let mut args = vec![command, "tiny", "--set", &set];
            if command == "train" {
                args.extend(["--run", path(&run)]);
            }
            contains(&error(&frmdn(&args)), words);
        }
        assert!(!run.exists(), "{key} left something behind");
    }
    // Windows are bounded by the episodes there are.
    let text = error(&frmdn(&[
        "train",
        "tiny",
        "--run",
        path(&run),
        "--set",
        "collect.steps=150000",
        "--set",
        "collect.episodes=100000",
        "--set",
        &format!("vision.window_episodes={huge}"),
    ]));
    contains(
        &text,
        &["vision.window_episodes", "GB of memory", "this machine has"],
    );
    let set = "vision.learning_rate=1e400";
    let text = error(&frmdn(&[
        "train",
        "tiny",
        "--run",
        path(&run),
        "--set",
        set,
    ]));
    contains(&text, &[set, "out of range", "1.8e308"]);
}

#[test]
fn an_agent_of_impossible_sizes_or_of_a_name_that_steers_the_terminal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.safetensors");
    let agent = Agent::load(finished()).unwrap();
    type Change = fn(&mut Agent);
    let changes: [(Change, &[&str]); 6] = [
        (
            |a| a.info.memory.rank = 1 << 40,
            &["rank = 1099511627776", "0..=8"],
        ),
        (
            |a| a.info.memory.hidden = 1 << 40,
            &["hidden = 1099511627776"],
        ),
        (
            |a| a.info.memory.members = 1 << 40,
            &["members = 1099511627776"],
        ),
        (
            |a| a.info.vision.width = 1 << 40,
            &["width = 1099511627776"],
        ),
        (
            |a| a.info.actions = usize::MAX,
            &["its actions have 18446744073709551615 values"],
        ),
        (
            |a| a.info.environment = "car-racing\u{1b}[2J\u{7}".into(),
            &["its environment is called \"car-racing\\u{1b}[2J\\u{7}\""],
        ),
    ];
    for (change, words) in changes {
        let mut changed = agent.clone();
        change(&mut changed);
        changed.save(&file).unwrap();
        for command in ["inspect", "evaluate"] {
            let out = frmdn(&[command, path(&file)]);
            let text = error(&out);
            contains(&text, words);
            contains(&text, &[path(&file), "Restore the file"]);
            let steers = |byte: &u8| byte.is_ascii_control() && *byte != b'\n';
            assert!(
                !out.stdout.iter().chain(&out.stderr).any(steers),
                "{text:?}"
            );
        }
    }
    std::fs::write(&file, "# Notes\n\nnot a checkpoint at all\n").unwrap();
    let text = error(&frmdn(&["evaluate", path(&file)]));
    contains(&text, &["is no checkpoint: it is no safetensors file"]);
    assert!(
        !text.contains("damaged") && !text.contains("Restore"),
        "{text}"
    );
}

#[test]
fn damaged_figures_name_their_file_and_what_helps() {
    let run = copy();
    for (file, text, words) in [
        ("evaluation/summary.json", "{", &["Delete it"][..]),
        (
            "evaluation/summary.json",
            "[]",
            &["it has no scores of `agent`", "Delete it"],
        ),
        ("evaluation/summary.json", "\u{0}", &["Delete it"]),
        (
            "times.jsonl",
            "{\"n\":0}\n{\"n\":1e400}\n",
            &["line 2", "Delete that line"],
        ),
        (
            "vision/metrics.jsonl",
            "1\n",
            &["line 1", "Delete that line"],
        ),
    ] {
        let place = run.path().join(file);
        let good = std::fs::read(&place).unwrap();
        std::fs::write(&place, text).unwrap();
        let said = error(&frmdn(&["train", "--run", path(run.path())]));
        contains(&said, &[file, "is damaged"]);
        contains(&said, words);
        std::fs::write(&place, good).unwrap();
    }
    // What is deleted is made anew, the same.
    std::fs::remove_file(run.path().join("evaluation/summary.json")).unwrap();
    success(&frmdn(&["train", "--run", path(run.path())]));
    assert_eq!(hashes(run.path()), hashes(finished()));
}

#[cfg(unix)]
#[test]
fn a_lock_that_is_a_link_destroys_nothing() {
    let run = copy();
    let precious = run.path().with_extension("precious");
    std::fs::write(&precious, "precious").unwrap();
    let lock = run.path().join(".lock");
    let _ = std::fs::remove_file(&lock);
    std::os::unix::fs::symlink(&precious, &lock).unwrap();
    let text = error(&frmdn(&["train", "--run", path(run.path())]));
    contains(
        &text,
        &[path(&lock), path(&precious), "a link out of the run folder"],
    );
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    std::fs::remove_file(&precious).unwrap();
}

#[cfg(unix)]
#[test]
fn a_film_has_the_rights_that_the_umask_leaves_and_what_a_kill_left_beside_it_goes() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(".partial-frmdn-abcdef");
    for (umask, mode) in [("077", 0o600), ("022", 0o644), ("000", 0o644)] {
        std::fs::write(&left, "half a film").unwrap();
        let film = dir.path().join(format!("{umask}.gif"));
        let script = format!(
            "umask {umask}; exec {} dream {} --warm-up 5 --steps 3 --out {}",
            env!("CARGO_BIN_EXE_frmdn"),
            path(finished()),
            path(&film)
        );
        success(&Command::new("sh").args(["-c", &script]).output().unwrap());
        let found = std::fs::metadata(&film).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "umask {umask}: {found:o}");
        assert!(!left.exists());
    }
}

/// A disk that cannot be written is a folder that is mounted so, in a space of mounts of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_finished_run_on_a_disk_that_cannot_be_written_prints_its_table() {
    let run = copy();
    let sets: String = MICRO.iter().map(|set| format!(" --set {set}")).collect();
    let (program, run_path) = (env!("CARGO_BIN_EXE_frmdn"), path(run.path()));
    let in_read_only = |command: &str| {
        let script = format!(
            "mount --bind {run_path} {run_path} && mount -o remount,bind,ro {run_path} || exit 99\n\
             {command}"
        );
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .output()
    };
    let train = format!("exec {program} train tiny --run {run_path}{sets}");
    let out = match in_read_only(&train) {
        Ok(out) if out.status.code() != Some(99) && out.status.code() != Some(1) => out,
        _ if in_read_only("exit 0").is_ok_and(|out| out.status.success()) => {
            in_read_only(&train).unwrap()
        }
        _ => return common::skipped("folders cannot be mounted here"),
    };
    success(&out);
    contains(
        &String::from_utf8_lossy(&out.stdout),
        &["controller", "score", "a random policy"],
    );
    // One that is not finished needs its disk.
    std::fs::remove_file(run.path().join("evaluation/summary.json")).unwrap();
    contains(
        &error(&in_read_only(&train).unwrap()),
        &[".lock", "Read-only"],
    );
}
