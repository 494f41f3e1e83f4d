//! The report of methods over seeds.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Method, Scored, Seeds};
use crate::{
    pictures::Series,
    rollout::{Outcome, Summary},
    run::{Result, write_json},
    studies::{
        report::{self, Format, Picture, Table},
        statistics::{Interval, Sample, bootstrap},
    },
};

/// What `seeds.jinja` shows.
#[derive(Serialize)]
struct Report<'a> {
    command: &'a str,
    tracks: usize,
    /// First seed, and the one after the last.
    seeds: [u64; 2],
    baseline: &'a str,
    methods: Table,
    differences: Table,
    runs: Table,
    /// Whether there is a method with a single seed.
    has_single: bool,
    curves: Option<Picture>,
}

/// Something that is measured of every episode.
struct Figure {
    /// Key of report.json.
    key: &'static str,
    heading: &'static str,
    of: fn(&Outcome) -> f64,
    text: fn(f64) -> String,
}

const SCORE: Figure = Figure {
    key: "score",
    heading: "score",
    of: |outcome| outcome.score,
    text: |value| format!("{value:.1}"),
};
const FINISHED: Figure = Figure {
    key: "finished",
    heading: "finished",
    of: |outcome| if outcome.completed { 100.0 } else { 0.0 },
    text: |value| format!("{value:.1} %"),
};
const PROGRESS: Figure = Figure {
    key: "progress",
    heading: "progress",
    of: |outcome| outcome.progress.map_or(0.0, |(now, _)| now),
    text: |value| format!("{value:.0}"),
};

impl Figure {
    fn values(&self, scored: &Scored) -> Vec<f64> {
        scored.outcomes.iter().map(self.of).collect()
    }

    /// The seeds of `method`, number by number; the tracks are the same in all.
    fn samples(&self, method: &Method) -> Vec<Sample> {
        let sample = |(i, scored): (usize, &Scored)| {
            let episodes = self.values(scored).into_iter().map(|v| [v, 1.0]).collect();
            Sample::own(format!("{:04}", i + 1), episodes).common("tracks", 1)
        };
        method.seeds.iter().enumerate().map(sample).collect()
    }

    fn interval(&self, Interval { value, ci95, .. }: &Interval) -> String {
        let [value, low, high] = [*value, ci95[0], ci95[1]].map(self.text);
        format!("{value} [{low}, {high}]")
    }
}

/// Writes report.json, report.md and the curves; returns the path of report.md.
///
/// # Errors
/// If a file cannot be written.
pub fn write(plan: &Seeds, methods: &[Method]) -> Result<PathBuf> {
    let all = || methods.iter().flat_map(|method| &method.seeds);
    let mut figures = vec![SCORE, FINISHED];
    if all().all(|s| s.outcomes.iter().all(|o| o.progress.is_some())) {
        figures.push(PROGRESS);
    }
    let (mut means, mut differences, mut runs, mut json) = (vec![], vec![], vec![], vec![]);
    for method in methods {
        let mut row = vec![method.name.clone(), method.seeds.len().to_string()];
        let mut difference = vec![method.name.clone(), pairs(&methods[0], method).to_string()];
        let mut of_json = json!({ "method": method.name });
        for figure in &figures {
            let (samples, baseline) = (figure.samples(method), figure.samples(&methods[0]));
            if let Some(mean) = bootstrap(&samples, &samples, |a, _| a) {
                row.push(figure.interval(&mean));
                of_json[figure.key] = interval_json(&mean);
            }
            if let Some(paired) = bootstrap(&samples, &baseline, |a, b| a - b) {
                difference.push(figure.interval(&paired));
                of_json[format!("{}_above_{}", figure.key, methods[0].name)] =
                    interval_json(&paired);
            }
        }
        means.push(row);
        if method.name != methods[0].name {
            differences.push(difference);
        }
        let mut of_runs = Vec::new();
        for (i, scored) in method.seeds.iter().enumerate() {
            let mut row = vec![method.name.clone(), (i + 1).to_string()];
            let mut of_run = json!({ "folder": scored.folder, "checksum": scored.checksum });
            for figure in &figures {
                let values = figure.values(scored);
                let Summary { mean, ci95, .. } = Summary::of(&values);
                let [text, low, high] = [mean, ci95[0], ci95[1]].map(figure.text);
                row.push(match figure.key {
                    "score" => format!("{text} [{low}, {high}]"),
                    _ => text,
                });
                of_run[figure.key] = json!({ "mean": mean, "ci95": ci95 });
            }
            row.push(format!("`{}`", scored.folder.display()));
            runs.push(row);
            of_runs.push(of_run);
        }
        of_json["seeds"] = json!(of_runs);
        json.push(of_json);
    }
    let heading = |first: &[&str], last: &[&str]| -> Vec<String> {
        let names = figures.iter().map(|figure| figure.heading);
        let all = first
            .iter()
            .copied()
            .chain(names)
            .chain(last.iter().copied());
        all.map(String::from).collect()
    };
    let table = |heading: Vec<String>, rows: Vec<Vec<String>>| Table { heading, rows };
    let first = &methods[0].seeds[0];
    let range = [first.first, first.first + first.outcomes.len() as u64];
    std::fs::create_dir_all(&plan.out).map_err(crate::run::RunError::io("create", &plan.out))?;
    let report = Report {
        command: &plan.command,
        tracks: first.outcomes.len(),
        seeds: range,
        baseline: &methods[0].name,
        methods: table(heading(&["method", "seeds"], &[]), means),
        differences: table(heading(&["method", "pairs"], &[]), differences),
        runs: table(heading(&["method", "seed"], &["folder"]), runs),
        has_single: methods.iter().any(|method| method.seeds.len() == 1),
        curves: curves(plan, methods)?,
    };
    let json = json!({ "command": plan.command, "test_seeds": range, "methods": json });
    write_json(&plan.out.join("report.json"), &json)?;
    report::write(&plan.out, "seeds", Format::Markdown, &report)
}

/// Number of seeds that both methods have.
fn pairs(one: &Method, other: &Method) -> usize {
    one.seeds.len().min(other.seeds.len())
}

fn interval_json(Interval { value, ci95, p }: &Interval) -> Value {
    json!({ "mean": value, "ci95": ci95, "p": p })
}

/// The tested means of all evolutions, where they are recorded.
fn curves(plan: &Seeds, methods: &[Method]) -> Result<Option<Picture>> {
    let mut series = Vec::new();
    for method in methods {
        for (i, scored) in method.seeds.iter().enumerate() {
            if !scored.curve.is_empty() {
                let name = format!("{} {}", method.name, i + 1);
                series.push(Series::new(&name, scored.curve.clone()));
            }
        }
    }
    if series.is_empty() {
        return Ok(None);
    }
    let axes = [
        "frames driven for C",
        "score of the mean on selection tracks",
    ];
    let title = "Evolution of C, a curve for each seed";
    Picture::plot(&plan.out, "curves.png", title, axes, &series).map(Some)
}
