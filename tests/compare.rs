//! `compare likelihood`: resumed to the same figures, extended by what is missing only, and refused
//! where it must be.

mod common;

use std::path::{Path, PathBuf};

use common::{
    edit_run, error, files, finished_runs, frmdn, kill_until_done, rename_stores, sections,
    unpack_runs,
};
use serde_json::Value;

const SETS: [&str; 15] = [
    "gates.pixel_mse=9",
    "gates.kl=99",
    "gates.active=0",
    "collect.episodes=20",
    "collect.steps=80",
    "collect.policy=brownian,scripted",
    "vision.model.width=4",
    "vision.batch=16",
    "vision.updates=40",
    "vision.evaluate_every=20",
    "memory.batch=4",
    "memory.sequence=16",
    "memory.updates=240",
    "memory.evaluate_every=20",
    "memory.model.hidden=16",
];

const TWO: &str = "rmdn,frmdn";
const THREE: &str = "rmdn,frmdn,rmdn:components=2";

/// What a report does not need of the data.
const EPISODES: [&str; 3] = ["episodes", "latents", "test-latents"];

/// Data with a trained V, and folders of comparisons on them.
struct Study {
    dir: tempfile::TempDir,
    data: String,
}

impl Study {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data").to_str().unwrap().to_owned();
        let mut args = vec!["vision", "tiny", "--run", &data];
        for set in SETS {
            args.extend(["--set", set]);
        }
        let out = frmdn(&args);
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        Self { dir, data }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn arguments<'a>(&'a self, out: &'a Path, variants: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let out = out.to_str().unwrap();
        let mut args = vec!["compare", "likelihood", &self.data, "--out", out];
        args.extend([
            "--variants",
            variants,
            "--seeds",
            "1",
            "--test-episodes",
            "6",
        ]);
        args.extend(["--shifted", "frmdn", "--noisy", "rmdn", "--noises", "0.1"]);
        args.extend(more);
        args
    }

    /// What the command prints, which must succeed.
    fn run(&self, out: &Path, variants: &str, more: &[&str]) -> String {
        let done = frmdn(&self.arguments(out, variants, more));
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Runs the command, which must fail with all of `words`.
    fn refused(&self, out: &Path, variants: &str, more: &[&str], words: &[&str]) {
        let text = error(&frmdn(&self.arguments(out, variants, more)));
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    /// Runs the command on `rmdn` with default lists, which must fail with all of `words`.
    fn refused_alone(&self, out: &Path, more: &[&str], words: &[&str]) {
        let out = out.to_str().unwrap();
        let mut args = vec!["compare", "likelihood", &self.data, "--out", out];
        args.extend(["--seeds", "1", "--variants", "rmdn"]);
        args.extend(more);
        let text = error(&frmdn(&args));
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

/// Everything of the finished runs that is no time.
fn figures(out: &Path) -> Vec<(String, Value)> {
    let mut all = finished_runs(out);
    for (_, result) in &mut all {
        result["seconds_per_update"].take();
        result["step_us"].take();
    }
    all
}

#[test]
fn killed_and_typed_again_it_comes_to_the_same_figures_and_is_extended_by_what_is_missing() {
    let study = Study::new();
    let (calm, killed) = (study.folder("calm"), study.folder("killed"));
    let report = study.run(&calm, TWO, &[]);
    check_report(&calm, &report);
    kill_until_done(&study.arguments(&killed, TWO, &[]), 150);
    assert_eq!(figures(&calm), figures(&killed));
    let report = extended(&study, &calm);
    reported_without_training(&study, &calm, &report);
    packed_results_give_the_same_report(&study, &calm);
    trained_longer(&study, &study.folder("longer"));
    refusals(&study, &calm);
    results_are_not_mixed(&study, &calm, &study.folder("longer"));
}

fn check_report(out: &Path, report: &str) {
    assert!(
        report.contains("nats above the floor")
            && report.contains("not as expected") | report.contains("as expected"),
        "{report}"
    );
    for file in [
        "report.md",
        "report.html",
        "report.json",
        "training.png",
        "open-loop.png",
        "pit-values.png",
        "pit-likelihoods.png",
    ] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let json = std::fs::read_to_string(out.join("report.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    for variant in ["rmdn", "frmdn"] {
        let v = &json[variant];
        let number = |name: &str| v[name].as_f64().unwrap();
        let above = number("nats_above_floor");
        assert!(
            (number("nats_per_step") - number("floor") - above).abs() < 1e-6
                && v["ci95"][0].as_f64().unwrap() <= above
                && v["seeds"] == 1,
            "{v}"
        );
    }
}

/// Another variant costs its own run; the finished ones are not touched. Returns the new report.
fn extended(study: &Study, calm: &Path) -> String {
    let before = finished_runs(calm);
    let report = study.run(calm, THREE, &[]);
    assert!(report.contains("rmdn:components=2"));
    // With their times: none was made anew.
    let after = finished_runs(calm);
    assert_eq!(after.len(), before.len() + 1);
    assert!(before.iter().all(|run| after.contains(run)));
    report
}

/// The report alone is that of what is finished, and needs no episodes; without anything finished
/// there is none.
fn reported_without_training(study: &Study, calm: &Path, report: &str) {
    rename_stores(&study.data, &EPISODES, "", "-aside");
    let again = study.run(calm, THREE, &["--report"]);
    assert_eq!(sections(&again), sections(report));
    let nothing = study.folder("nothing");
    study.refused(&nothing, THREE, &["--report"], &["without --report"]);
    assert!(!nothing.exists());
    rename_stores(&study.data, &EPISODES, "-aside", "");
}

/// Files of single runs, as an older version left them or a kill, are packed by the report, which
/// does not change by it.
fn packed_results_give_the_same_report(study: &Study, calm: &Path) {
    study.run(calm, THREE, &["--report"]);
    let before = files(calm);
    unpack_runs(calm);
    study.run(calm, THREE, &["--report"]);
    assert!(before == files(calm) && !calm.join("runs").exists());
    // Killed before the files were removed.
    let packed = std::fs::read(calm.join("runs.jsonl")).unwrap();
    unpack_runs(calm);
    std::fs::write(calm.join("runs.jsonl"), packed).unwrap();
    study.run(calm, THREE, &["--report"]);
    assert!(before == files(calm) && !calm.join("runs").exists());
}

/// Another length of training, with the rate as it is.
fn trained_longer(study: &Study, longer: &Path) {
    let sets = ["--no-grid", "--set", "memory.updates=250"];
    let report = study.run(longer, THREE, &sets);
    assert!(!report.contains("dropout"));
    assert!(
        figures(longer)
            .iter()
            .all(|(_, run)| run["settings"]["updates"] == 250)
    );
}

fn refusals(study: &Study, calm: &Path) {
    let vision = ["--set", "vision.target_kl=16"];
    study.refused(calm, THREE, &vision, &["only keys of memory"]);
    study.refused(calm, "rmdn,none", &[], &["none", "no likelihood"]);
    study.refused(
        calm,
        "rmdn:components=0",
        &[],
        &["components = 0", "1..=40"],
    );
    let twice = ["--noisy", "rmdn,rmdn"];
    study.refused_alone(calm, &twice, &["noisy: rmdn is there twice"]);
    let noise = ["--set", "memory.noise=0.1"];
    study.refused_alone(
        calm,
        &noise,
        &["memory.noise = 0.1", "leave it out of --noises"],
    );
    let updates = [
        "--set",
        "memory.updates=300",
        "--test-episodes",
        "6",
        "--report",
    ];
    study.refused_alone(calm, &updates, &["other settings", "delete that line"]);
    let episodes = "was judged on 6 test episodes, not 90. Type --test-episodes 6";
    study.refused_alone(calm, &[], &[episodes]);
}

fn results_are_not_mixed(study: &Study, calm: &Path, longer: &Path) {
    // A result that is deleted is not made again from a training with other settings.
    edit_run(longer, "data-rmdn-1", |_| String::new());
    let mut other = vec![
        "--no-grid",
        "--test-episodes",
        "6",
        "--shifted=",
        "--noisy=",
    ];
    other.extend(["--set", "memory.updates=260"]);
    study.refused_alone(longer, &other, &["data-rmdn-1", "other settings"]);
    // Results of other settings are not mixed with new ones.
    let text = std::fs::read(calm.join("runs.jsonl")).unwrap();
    edit_run(calm, "data-rmdn-1", |line| {
        line.replace("\"updates\":240", "\"updates\":241")
    });
    let words = [
        "runs.jsonl, line ",
        "(run data-rmdn-1)",
        "other settings",
        "--out",
    ];
    study.refused(calm, TWO, &[], &words);
    std::fs::write(calm.join("runs.jsonl"), &text).unwrap();
    edit_run(calm, "data-rmdn-1", |line| {
        line[..line.len() / 2].to_owned()
    });
    let words = ["runs.jsonl", "damaged", "line ", "Delete that line"];
    study.refused(calm, TWO, &[], &words);
    study.refused(calm, TWO, &["--report"], &words);
    // The same of a run in a file of its own.
    std::fs::write(calm.join("runs.jsonl"), &text).unwrap();
    std::fs::create_dir(calm.join("runs")).unwrap();
    std::fs::write(calm.join("runs/data-rmdn-1.json"), "{\"format\":").unwrap();
    study.refused(
        calm,
        TWO,
        &[],
        &["data-rmdn-1.json", "damaged", "Delete it"],
    );
}

#[test]
fn a_folder_without_a_trained_v_is_refused_with_the_command_that_trains_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let text = error(&frmdn(&[
        "compare",
        "likelihood",
        dir.path().to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]));
    assert!(
        text.contains("no run folder") && text.contains("frmdn train"),
        "{text}"
    );
    assert!(!out.exists());
}
