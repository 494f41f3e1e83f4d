//! `compare robustness`: every perturbation a cell, finished cells not driven again, and refused
//! where there is nothing to perturb.

mod common;

use std::path::Path;

use common::{error, frmdn};
use serde_json::Value;

const AGENT: &str = "checkpoints/car-racing-tiny";
const ROWS: [&str; 7] = [
    "none", "colour", "bars", "blob", "noise", "throttle", "friction",
];

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_table_of_every_perturbation_that_is_driven_once() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let run = |threads: &str, out: &Path| {
        let done = frmdn(&[
            "compare",
            "robustness",
            AGENT,
            "--episodes",
            "2",
            "--threads",
            threads,
            "--out",
            out.to_str().unwrap(),
        ]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let text = run("1", &out);
    assert!(
        text.contains("--episodes 2")
            && text.contains("seeds 600000..600002")
            && text.contains("stopped"),
        "{text}"
    );
    let report = json(&out.join("report.json"));
    let cells = report["agents"][0]["cells"].as_array().unwrap();
    assert_eq!(
        cells
            .iter()
            .map(|c| c["perturbation"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ROWS
    );
    for cell in cells {
        let (name, evaluation) = (cell["perturbation"].as_str().unwrap(), &cell["evaluation"]);
        let (rule, environment) = (
            evaluation["rule"].as_str().unwrap(),
            evaluation["environment"].as_str().unwrap(),
        );
        let plain = &cells[0]["evaluation"];
        assert_eq!(rule == plain["rule"], name == "none", "{rule}");
        assert_eq!(
            environment,
            if name == "none" {
                "car-racing".to_owned()
            } else {
                format!("car-racing,perturb={name}")
            }
        );
        assert_eq!(
            evaluation["scores"] == plain["scores"],
            name == "none",
            "{name} changes nothing"
        );
        assert!(
            text.contains(&format!(
                "| {name} | {:.1} [",
                evaluation["mean"].as_f64().unwrap()
            )),
            "{name}: {text}"
        );
        let [stopped, lost] = ["stopped", "lost"].map(|key| evaluation[key].as_f64().unwrap());
        assert!(
            0.0 <= stopped && stopped <= lost && lost <= 1.0,
            "{evaluation}"
        );
    }
    // The same score by the one path of scores.
    let alone = frmdn(&[
        "evaluate",
        AGENT,
        "--episodes",
        "2",
        "--env",
        "car-racing,perturb=noise",
        "--json",
    ]);
    assert_eq!(
        serde_json::from_slice::<Value>(&alone.stdout).unwrap(),
        cells[4]["evaluation"]
    );

    // What is finished is read; what is damaged or was asked otherwise is driven.
    let files: Vec<_> = std::fs::read_dir(out.join("runs"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    assert_eq!(files.len(), ROWS.len());
    let modified = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
    let before: Vec<_> = files.iter().map(|f| modified(f)).collect();
    let damaged = files
        .iter()
        .position(|f| f.to_string_lossy().ends_with("-bars.json"))
        .unwrap();
    std::fs::write(&files[damaged], "{\"agent\":").unwrap();
    let tables = |text: &str| {
        text.lines()
            .skip_while(|l| !l.starts_with("## "))
            .filter(|l| l.starts_with('|'))
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(tables(&run("2", &out)), tables(&text));
    for (i, file) in files.iter().enumerate() {
        assert_eq!(
            modified(file) == before[i],
            i != damaged,
            "{}",
            file.display()
        );
    }
}

#[test]
fn what_has_no_perturbations_is_refused_before_anything_is_driven() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let refused = |more: &[&str], words: &[&str]| {
        let text = error(&frmdn(
            &[
                &[
                    "compare",
                    "robustness",
                    AGENT,
                    "--out",
                    out.to_str().unwrap(),
                ],
                more,
            ]
            .concat(),
        ));
        words
            .iter()
            .for_each(|word| assert!(text.contains(word), "{text}"));
    };
    refused(
        &["--env", "car-racing,perturb=noise"],
        &["perturbed already", "--env car-racing"],
    );
    refused(
        &["--env", "car-racing,perturb=rain"],
        &["rain", "perturb=colour|bars|blob|noise|throttle|friction"],
    );
    refused(&["nothing"], &["nothing", "frmdn train"]);
    assert!(!out.exists());
}
