//! `compare score`: all experiments go through, resume to the same bytes, are extended by what is
//! missing only, and refused where they must be.

mod common;

use std::path::{Path, PathBuf};

use common::{
    error, files, finished_runs, frmdn, kill_until_done, rename_stores, sections, unpack_runs,
};
use serde_json::Value;

const SETS: [&str; 16] = [
    "gates.pixel_mse=9",
    "gates.kl=99",
    "gates.active=0",
    "collect.episodes=20",
    "collect.steps=60",
    "collect.policy=brownian,scripted",
    "vision.model.width=4",
    "vision.model.latent=8",
    "vision.batch=16",
    "vision.updates=20",
    "vision.evaluate_every=20",
    "memory.batch=4",
    "memory.sequence=16",
    "memory.updates=20",
    "memory.evaluate_every=10",
    "memory.model.hidden=8",
];

const TWO: [&str; 4] = ["--variants", "rmdn,frmdn", "--temperatures", "0.5,1"];

/// What a report does not need of the data.
const EPISODES: [&str; 2] = ["episodes", "latents"];

/// Data with a trained V, and folders of comparisons on them.
struct Study {
    dir: tempfile::TempDir,
    data: String,
}

impl Study {
    fn new(sets: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data").to_str().unwrap().to_owned();
        train_vision(&data, sets);
        Self { dir, data }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn arguments<'a>(&'a self, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
        let out = out.to_str().unwrap();
        let mut args = vec!["compare", "score", &self.data, "--out", out, "--quick"];
        args.extend(more);
        args
    }

    /// What the command prints, which must succeed.
    fn run(&self, out: &Path, more: &[&str]) -> String {
        let done = frmdn(&self.arguments(out, more));
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Runs the command, which must fail with `words`.
    fn refused(&self, out: &Path, more: &[&str], words: &str) {
        let text = error(&frmdn(&self.arguments(out, more)));
        assert!(text.contains(words), "{words}: {text}");
    }
}

fn train_vision(run: &str, more: &[&str]) {
    let mut args = vec!["vision", "tiny", "--run", run];
    for set in SETS.iter().chain(more) {
        args.extend(["--set", *set]);
    }
    assert!(frmdn(&args).status.success());
}

/// Everything of the finished runs that is no time.
fn figures(out: &Path) -> Vec<(String, Value)> {
    fn remove_times(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("seconds");
                map.values_mut().for_each(remove_times);
            }
            Value::Array(all) => all.iter_mut().for_each(remove_times),
            _ => {}
        }
    }
    let mut all = finished_runs(out);
    for (_, result) in &mut all {
        remove_times(result);
    }
    all
}

#[test]
fn all_experiments_go_through_resume_and_are_extended_by_what_is_missing() {
    let study = Study::new(&[]);
    let (calm, killed) = (study.folder("calm"), study.folder("killed"));
    let report = study.run(&calm, &[&["--threads", "1"], &TWO[..]].concat());
    check_report(&calm, &report);
    // On another number of threads.
    let args = study.arguments(&killed, &[&["--threads", "2"], &TWO[..]].concat());
    kill_until_done(&args, 1500);
    assert_eq!(figures(&calm), figures(&killed));
    extended(&study, &calm);
    reported_without_training(&study, &calm, &report);
    packed_results_give_the_same_report(&study, &calm);
    refusals(&study, &calm);
}

fn check_report(out: &Path, report: &str) {
    for word in [
        "E1",
        "E2",
        "E3",
        "E4",
        "expected",
        "came out",
        "(primary)",
        "hold the last z",
        "cannot dream",
        "say nothing",
    ] {
        assert!(report.contains(word), "{word}: {report}");
    }
    // A single evolution has no interval.
    let written = std::fs::read_to_string(out.join("report.md")).unwrap();
    let alone = written
        .lines()
        .find(|line| line.starts_with("| 8 | rmdn | 1 |"))
        .unwrap();
    assert!(!alone.contains('['), "{alone}");
    for file in [
        "report.html",
        "report.json",
        "e1-bank.png",
        "e1-temperature.png",
        "e2-blackout.png",
        "e4-temperature.png",
        "e3-population8-seconds.png",
    ] {
        assert!(out.join(file).is_file(), "{file}");
    }
    // Two parts of the bank; E1 of the two that dream, E2 of these and of two baselines, E3 of three
    // populations, E4 at two temperatures.
    let runs = finished_runs(out);
    assert_eq!(runs.len(), 2 + 2 + 4 + 6 + 4);
    // No recorded episode came to an end, so no memory was taught what ends one: their dreams go on
    // to the last step.
    let mut ended = Vec::new();
    for (_, run) in runs.iter().filter(|(name, _)| name.starts_with("e1-")) {
        for temperature in run["outcome"]["temperatures"].as_array().unwrap() {
            ended.push(temperature["ended"].as_f64().unwrap());
        }
    }
    assert_eq!(ended, [0.0; 8]);
}

/// One more memory costs its own runs: what is finished is not touched.
fn extended(study: &Study, calm: &Path) {
    let before = finished_runs(calm);
    let variants = ["--variants", "rmdn,frmdn,untrained"];
    study.run(calm, &[&variants[..], &["--experiments", "e3"]].concat());
    let after = finished_runs(calm);
    assert_eq!(after.len(), before.len() + 3);
    // With their times: none was made anew.
    assert!(before.iter().all(|run| after.contains(run)));
}

/// The report alone is that of what is finished, and needs no episodes.
fn reported_without_training(study: &Study, calm: &Path, report: &str) {
    rename_stores(&study.data, &EPISODES, "", "-aside");
    let again = study.run(calm, &[&TWO[..], &["--report"]].concat());
    assert_eq!(sections(&again), sections(report));
    study.refused(&study.folder("nothing"), &["--report"], "without --report");
    rename_stores(&study.data, &EPISODES, "-aside", "");
}

/// Files of single runs, as an older version left them, are packed by the report, which does not
/// change by it.
fn packed_results_give_the_same_report(study: &Study, calm: &Path) {
    let report = [&TWO[..], &["--report"]].concat();
    study.run(calm, &report);
    let before = files(calm);
    unpack_runs(calm);
    study.run(calm, &report);
    assert!(before == files(calm) && !calm.join("runs").exists());
}

fn refusals(study: &Study, calm: &Path) {
    study.refused(calm, &["--variants", "gru"], "gru");
    for list in ["0.5,4", "1,0.5,1"] {
        study.refused(calm, &["--temperatures", list], "from 0 to 3");
    }
    study.refused(
        calm,
        &["--variants", "rmdn,frmdn,rmdn"],
        "rmdn is there twice",
    );
    study.refused(
        calm,
        &[&study.data],
        "two of the data folders are called data",
    );
    let other = study.folder("other").to_str().unwrap().to_owned();
    train_vision(&other, &["memory.updates=30"]);
    study.refused(
        calm,
        &[&other],
        "data and other train memories with other settings",
    );
    study.refused(
        calm,
        &["--set", "vision.target_kl=16"],
        "only keys of memory",
    );
    let updates = [&TWO[..], &["--set", "memory.updates=30"]].concat();
    study.refused(calm, &updates, "other settings");
    // From the report alone the line of a run is named.
    study.refused(
        calm,
        &[&updates[..], &["--report"]].concat(),
        "runs.jsonl, line ",
    );
    let mut episodes = files(&Path::new(&other).join("episodes"));
    let (first, _) = episodes.swap_remove(0);
    std::fs::remove_file(Path::new(&other).join("episodes").join(first)).unwrap();
    let out = study.folder("incomplete");
    let text = error(&frmdn(&[
        "compare",
        "score",
        &other,
        "--out",
        out.to_str().unwrap(),
    ]));
    let collect = format!("episode 0 is missing in {other}. Type: frmdn collect --run {other}");
    assert!(text.contains(&collect), "{text}");
    let experiment = frmdn(&study.arguments(calm, &["--experiments", "e5"]));
    let text = String::from_utf8_lossy(&experiment.stderr).into_owned();
    assert!(
        !experiment.status.success() && text.contains("write e1, e2, e3 or e4"),
        "{text}"
    );
}

/// A comparison with nothing but --quick, on data whose memories are trained for long.
#[test]
fn a_quick_comparison_is_small_whatever_the_settings_say() {
    let study = Study::new(&["memory.updates=100000", "memory.patience=100000"]);
    let out = study.folder("quick");
    study.run(&out, &[]);
    let runs = finished_runs(&out);
    // Two parts of the bank; E1 and E4 of the two memories that dream, E2 of these and of two
    // baselines, E3 of all five and three populations.
    assert_eq!(runs.len(), 2 + 2 + 2 + 4 + 15);
    for (name, run) in runs.iter().filter(|(name, _)| name.starts_with("e3-")) {
        let points = run["outcome"]["points"].as_array().unwrap();
        assert_eq!(points.last().unwrap()["episodes"], 64, "{name}");
    }
    for memory in ["data-rmdn-1", "data-frmdn-1"] {
        let path = out.join("memories").join(memory).join("metrics.jsonl");
        let metrics = std::fs::read_to_string(path).unwrap();
        let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        assert_eq!(last["update"], 40, "{memory}");
    }
}

#[test]
fn a_folder_without_a_trained_v_is_refused_with_the_command_that_trains_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let text = error(&frmdn(&[
        "compare",
        "score",
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
