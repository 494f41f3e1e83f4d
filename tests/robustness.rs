//! `compare robustness`: every perturbation a cell, finished cells not driven again, and refused
//! where there is nothing to perturb.

mod common;

use std::path::Path;

use common::{edit_run, error, files, finished_runs, frmdn, unpack_runs};
use serde_json::Value;

const AGENT: &str = "checkpoints/car-racing-tiny";
const ROWS: [&str; 8] = [
    "none", "colour", "bars", "blob", "noise", "throttle", "friction", "tyre",
];

/// What the command prints on standard output and on standard error; it must succeed.
fn run(threads: &str, out: &Path) -> [String; 2] {
    let out = out.to_str().unwrap();
    let mut args = vec!["compare", "robustness", AGENT, "--episodes", "2"];
    args.extend(["--threads", threads, "--out", out]);
    let done = frmdn(&args);
    let [printed, log] =
        [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(done.status.success(), "{log}");
    [printed, log]
}

fn tables(report: &str) -> Vec<&str> {
    report
        .lines()
        .skip_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with('|'))
        .collect()
}

#[test]
fn a_table_of_every_perturbation_that_is_driven_once() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let [report, _] = run("1", &out);
    assert!(
        report.contains("--episodes 2")
            && report.contains("seeds 600000..600002")
            && report.contains("stopped"),
        "{report}"
    );
    let json = std::fs::read_to_string(out.join("report.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    let cells = json["agents"][0]["cells"].as_array().unwrap();
    check_cells(cells, &report);
    scores_are_those_of_evaluate(&cells[4]);
    finished_cells_are_not_driven_again(&out, &report);
}

fn check_cells(cells: &[Value], report: &str) {
    let names: Vec<&str> = cells
        .iter()
        .map(|cell| cell["perturbation"].as_str().unwrap())
        .collect();
    assert_eq!(names, ROWS);
    let unperturbed = &cells[0]["evaluation"];
    for cell in cells {
        let (name, evaluation) = (cell["perturbation"].as_str().unwrap(), &cell["evaluation"]);
        let environment = if name == "none" {
            "car-racing".to_owned()
        } else {
            format!("car-racing,perturb={name}")
        };
        assert_eq!(evaluation["environment"], environment);
        for key in ["rule", "scores"] {
            let same = evaluation[key] == unperturbed[key];
            assert_eq!(same, name == "none", "{name}: {key}");
        }
        let mean = evaluation["mean"].as_f64().unwrap();
        assert!(
            report.contains(&format!("| {name} | {mean:.1} [")),
            "{name}: {report}"
        );
        let [stopped, lost] = ["stopped", "lost"].map(|key| evaluation[key].as_f64().unwrap());
        assert!(
            0.0 <= stopped && stopped <= lost && lost <= 1.0,
            "{evaluation}"
        );
    }
}

fn scores_are_those_of_evaluate(noise: &Value) {
    let environment = "car-racing,perturb=noise";
    let mut args = vec!["evaluate", AGENT, "--episodes", "2", "--json"];
    args.extend(["--env", environment]);
    let alone = frmdn(&args);
    let mut alone: Value = serde_json::from_slice(&alone.stdout).unwrap();
    // Tables of a study do not keep what the environment measured.
    let measured = alone.as_object_mut().unwrap().remove("measurements");
    assert_eq!(measured.unwrap()[0]["name"], "tiles");
    let laps = alone.as_object_mut().unwrap().remove("lap_finished_rate");
    assert_eq!(laps.unwrap(), noise["evaluation"]["completed"]);
    // Wilson's interval of 0 of 2: up to z²/(2 + z²).
    let laps = alone.as_object_mut().unwrap().remove("completed_ci95");
    let [low, high] = [0, 1].map(|i| laps.as_ref().unwrap()[i].as_f64().unwrap());
    assert!(low == 0.0 && (high - 0.657_62).abs() < 1e-4, "{low} {high}");
    assert_eq!(alone, noise["evaluation"]);
}

/// What is finished is read, packed or not; what is damaged, missing or was asked otherwise is
/// driven.
fn finished_cells_are_not_driven_again(out: &Path, report: &str) {
    let before = files(out);
    let names: Vec<String> = finished_runs(out).into_iter().map(|run| run.0).collect();
    assert_eq!(names.len(), ROWS.len());
    let driven = |log: &str| -> Vec<&str> {
        let cells = ROWS.into_iter();
        cells
            .filter(|row| log.contains(&format!("under {row}")))
            .collect()
    };
    let again = || {
        let [printed, log] = run("2", out);
        assert_eq!(tables(&printed), tables(report));
        driven(&log).join(" ")
    };
    assert_eq!(again(), "");
    unpack_runs(out);
    assert_eq!(again(), "");
    let name = |row: &str| names.iter().find(|name| name.ends_with(row)).unwrap();
    edit_run(out, name("blob"), |_| String::new());
    edit_run(out, name("none"), |line| line.replace("600002", "600003"));
    std::fs::create_dir(out.join("runs")).unwrap();
    let damaged = out.join("runs").join(format!("{}.json", name("bars")));
    std::fs::write(damaged, "{\"agent\":").unwrap();
    assert_eq!(again(), "none bars blob");
    // All but the command's line, which names the threads.
    let runs =
        |files: Vec<(String, Vec<u8>)>| files.into_iter().find(|file| file.0 == "runs.jsonl");
    assert_eq!(runs(files(out)), runs(before));
    edit_run(out, name("blob"), |line| line[..line.len() / 2].to_owned());
    let text = error(&frmdn(&[
        "compare",
        "robustness",
        AGENT,
        "--episodes",
        "2",
        "--out",
        out.to_str().unwrap(),
    ]));
    assert!(
        text.contains("runs.jsonl is damaged: line ") && text.contains("Delete that line"),
        "{text}"
    );
}

#[test]
fn what_has_no_perturbations_is_refused_before_anything_is_driven() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let refused = |more: &[&str], words: &[&str]| {
        let out = out.to_str().unwrap();
        let mut args = vec!["compare", "robustness", AGENT, "--out", out];
        args.extend(more);
        let text = error(&frmdn(&args));
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    };
    refused(
        &["--env", "car-racing,perturb=noise"],
        &["perturbed already", "--env NAME"],
    );
    refused(
        &["--env", "car-racing,perturb=rain"],
        &[
            "rain",
            "perturb=colour|bars|blob|noise|throttle|friction|tyre",
        ],
    );
    refused(&["nothing"], &["nothing", "frmdn train"]);
    assert!(!out.exists());
}
