//! `compare seeds`: methods compared over seeds that have their episodes and V in common.

mod common;

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use common::{copy_folder, error, frmdn, hashes, success, train};
use serde_json::Value;

/// Runs of the micro preset in `dir`: the first one, and others on its episodes and V.
struct Runs {
    dir: tempfile::TempDir,
    first: PathBuf,
}

impl Runs {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let first = dir.path().join("first");
        success(&train(&first, "2").output().unwrap());
        Self { dir, first }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Another seed of M and C, as the guide says.
    fn trained(&self, name: &str, seed: u64) -> PathBuf {
        let run = self.path(name);
        for folder in ["episodes", "vision"] {
            copy_folder(&self.first.join(folder), &run.join(folder));
        }
        let mut command = train(&run, "1");
        command.args(["--set", &format!("seed={seed}")]);
        success(&command.output().unwrap());
        run
    }
}

fn scores(run: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(run.join("evaluation/scores.jsonl")).unwrap();
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["score"].as_f64();
    text.lines().map(|l| line(l).unwrap()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn of_folder(run: &Path, folder: &str) -> Vec<(String, String)> {
    let all = hashes(run).into_iter();
    all.filter(|(name, _)| name.starts_with(folder)).collect()
}

#[test]
fn methods_over_seeds_on_the_same_episodes_and_v() {
    let runs = Runs::new();
    let second = runs.trained("second", 6);
    for folder in ["episodes", "vision"] {
        let taken = of_folder(&second, folder);
        assert!(!taken.is_empty());
        assert_eq!(taken, of_folder(&runs.first, folder));
    }
    for folder in ["memory", "controller"] {
        assert_ne!(of_folder(&second, folder), of_folder(&runs.first, folder));
    }
    a_table_over_seeds(&runs, &second);
}

fn a_table_over_seeds(runs: &Runs, second: &Path) {
    let third = runs.trained("third", 7);
    let out = runs.path("out");
    let compare = |methods: &[String]| {
        let mut args = vec!["compare", "seeds", "--out", out.to_str().unwrap()];
        args.extend(methods.iter().map(String::as_str));
        frmdn(&args)
    };
    let method = |name: &str, folders: &[&Path]| {
        let folders: Vec<_> = folders.iter().map(|f| f.to_str().unwrap()).collect();
        format!("{name}={}", folders.join(","))
    };
    let [a, b, c] = [runs.first.as_path(), second, &third];
    let printed = |done: Output| {
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    };
    let table = printed(compare(&[method("one", &[a]), method("other", &[b, c])]));
    let report = std::fs::read_to_string(out.join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let of = |i: usize, key: &str| report["methods"][i][key]["mean"].as_f64().unwrap();
    let [of_a, of_b, of_c] = [a, b, c].map(|run| mean(&scores(run)));
    let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-9, "{x} {y}");
    close(of(0, "score"), of_a);
    close(of(1, "score"), 0.5 * (of_b + of_c));
    // Of what both have: the first seed.
    close(of(1, "score_above_one"), of_b - of_a);
    assert!(
        table.contains(&format!("| other | 1 | {:.1} [", of_b - of_a))
            && table.contains("Where a method has one seed")
            && out.join("curves.png").exists(),
        "{table}"
    );
    // Scores and curves by themselves are enough.
    let kept = runs.path("kept");
    std::fs::create_dir(&kept).unwrap();
    for (from, to) in [
        ("evaluation/scores.jsonl", "scores.jsonl"),
        ("controller/metrics.jsonl", "controller.jsonl"),
    ] {
        std::fs::copy(a.join(from), kept.join(to)).unwrap();
    }
    let again = printed(compare(&[
        method("one", &[&kept]),
        method("other", &[b, c]),
    ]));
    let rows = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.starts_with("| other"));
        rows.map(String::from).collect()
    };
    assert_eq!(rows(&again), rows(&table));
    let refused = |methods: &[String], words: &[&str]| {
        let text = error(&compare(methods));
        for word in words {
            assert!(text.contains(word), "{word}: {text}");
        }
    };
    refused(
        &[method("one", &[a]), method("other", &[&kept])],
        &["have the same agent", "leave one out"],
    );
    refused(
        &[method("one", &[a]), method("one", &[b])],
        &["one is there twice"],
    );
    let wrong = compare(&["one".into()]);
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(2), "{text}");
    assert!(text.contains("write NAME=RUN,RUN"), "{text}");
    let text = std::fs::read_to_string(kept.join("scores.jsonl")).unwrap();
    let first = text.lines().next().unwrap();
    std::fs::write(kept.join("scores.jsonl"), format!("{first}\n")).unwrap();
    refused(
        &[method("one", &[b]), method("other", &[&kept])],
        &[
            "seeds 600000..600001",
            "of 600000..600002",
            "evaluate.episodes",
        ],
    );
    std::fs::write(kept.join("scores.jsonl"), format!("{first}\n{first}\n")).unwrap();
    refused(
        &[method("one", &[&kept])],
        &["scores.jsonl is damaged: line 2"],
    );
    std::fs::remove_file(b.join("evaluation/scores.jsonl")).unwrap();
    refused(
        &[method("one", &[b])],
        &["the evaluation is missing", "frmdn train --run"],
    );
}
