//! The figures of a density study's report.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{DensityStudy, judge::Finished};
use crate::{
    data::{Card, LOUD},
    pictures::Series,
    run::{Result, write_json},
    studies::{
        report::{self, Format, Picture, Table},
        statistics::{Interval, Sample, bootstrap},
    },
};

/// What all others are compared with.
const BASELINE: &str = "rmdn";
/// Samples that the literature sums over on Blizzard.
const STRETCH: f64 = 8000.0;

/// All that is finished of a study.
pub struct Source<'a> {
    pub plan: &'a DensityStudy,
    /// Name of the data.
    pub data: &'a str,
    /// Classes of steps.
    pub classes: &'a [&'static str],
    /// What values stand for.
    pub card: Card,
    /// Bits a sample that `flac -8` needs ([`super::yardstick::flac`]).
    pub flac: Option<[f64; 2]>,
    pub finished: &'a [Finished],
}

/// What `density.jinja` shows.
#[derive(Serialize)]
struct Report<'a> {
    command: &'a str,
    data: &'a str,
    is_speech: bool,
    is_pixels: bool,
    seeds: usize,
    items: usize,
    steps: usize,
    updates: u64,
    batch: usize,
    sequence: usize,
    hidden: usize,
    limit: f32,
    loud: String,
    loud_steps: String,
    alpha: f64,
    sd: String,
    rate: u32,
    flac: Option<[String; 2]>,
    figures: Table,
    removed: Table,
    training: Table,
    curves: Option<Picture>,
    diverged: Vec<String>,
}

/// Writes report.md, report.html and report.json. Returns the path of the first.
///
/// # Errors
/// If a file cannot be written.
pub fn write(source: &Source<'_>) -> Result<PathBuf> {
    let out = &source.plan.out;
    let variants = source.variants();
    let first = &source.finished[0];
    let settings = &first.settings;
    let judged = source.finished.iter().find(|f| !f.items.is_empty());
    let steps = |class: Option<usize>| -> f64 {
        let items = judged.map_or(&[][..], |f| &f.items);
        items.iter().map(|item| item.nats(class)[0]).sum()
    };
    let (alpha, sd, rate, is_pixels) = match source.card {
        Card::Speech { rate, sd, .. } => (0.0, sd, rate, false),
        Card::Images { alpha, pixels, .. } => (alpha, 0.0, 0, pixels),
    };
    let last = source.classes.len() - 1;
    let report = Report {
        command: &source.plan.command,
        data: source.data,
        is_speech: source.is_speech(),
        is_pixels,
        seeds: source
            .finished
            .iter()
            .filter(|f| f.variant == first.variant)
            .count(),
        items: judged.map_or(0, |f| f.items.len()),
        steps: steps(None) as usize,
        updates: settings.updates,
        batch: settings.batch,
        sequence: settings.sequence,
        hidden: settings.model.hidden,
        limit: settings.model.log_precision_limit,
        loud: format!("{:.0}", 100.0 * LOUD),
        loud_steps: format!("{:.1} %", 100.0 * steps(Some(last)) / steps(None).max(1.0)),
        alpha,
        sd: format!("{sd:.1}"),
        rate,
        flac: source
            .flac
            .map(|bits| bits.map(|bits| format!("{bits:.2}"))),
        figures: source.figures(&variants),
        removed: source.removed_table(&variants),
        training: source.training(&variants),
        curves: source.curves(&variants)?,
        diverged: source.finished.iter().filter_map(diverged).collect(),
    };
    write_json(&out.join("report.json"), &source.json(&variants))?;
    report::write(out, "density", Format::Html, &report)?;
    report::write(out, "density", Format::Markdown, &report)
}

fn diverged(finished: &Finished) -> Option<String> {
    let error = finished.diverged.as_ref()?;
    Some(format!(
        "{} seed {}: {error}",
        finished.variant, finished.seed
    ))
}

/// How much better `variant` is than the baseline.
struct Removed {
    /// Nats a step.
    nats: Option<Interval>,
    /// Share of the baseline's nats of the values as they were learned.
    share: Option<Interval>,
}

impl Source<'_> {
    fn is_speech(&self) -> bool {
        matches!(self.card, Card::Speech { .. })
    }

    /// Those of the plan that are finished.
    fn variants(&self) -> Vec<String> {
        let named = self.plan.variants.iter().map(ToString::to_string);
        named
            .filter(|name| self.finished.iter().any(|f| f.variant == *name))
            .collect()
    }

    /// Nats, in the data's own unit or as they were learned, and steps of each test sequence, for each
    /// seed of a variant.
    fn samples(&self, variant: &str, class: Option<usize>, in_unit: bool) -> Vec<Sample> {
        let runs = self.finished.iter();
        let judged = runs.filter(|f| f.variant == variant && !f.items.is_empty());
        let sample = |run: &Finished| {
            let pairs = run.items.iter().map(|item| {
                let [steps, nats] = item.nats(class);
                let unit = match in_unit {
                    true => 0.0,
                    false => item.unit * steps / item.steps(),
                };
                [nats - unit, steps]
            });
            Sample::own(run.seed.to_string(), pairs.collect()).common("test", 1)
        };
        judged.map(sample).collect()
    }

    /// Nats a step, by seeds and test sequences.
    fn nats(&self, variant: &str, class: Option<usize>, in_unit: bool) -> Option<Interval> {
        let samples = self.samples(variant, class, in_unit);
        bootstrap(&samples, &samples, |a, _| a)
    }

    /// How much of the baseline's nats a variant removes, sequence by sequence.
    fn removed(&self, variant: &str, class: Option<usize>) -> Removed {
        let [own, base] = [variant, BASELINE].map(|name| self.samples(name, class, true));
        let [raw, raw_base] = [variant, BASELINE].map(|name| self.samples(name, class, false));
        Removed {
            nats: bootstrap(&own, &base, |a, b| b - a),
            share: bootstrap(&raw, &raw_base, |a, b| (b - a) / b),
        }
    }

    /// Values of a step.
    fn dim(&self) -> f64 {
        self.finished[0].dim as f64
    }

    /// Steps of a sequence, where all have as many.
    fn length(&self) -> f64 {
        let judged = self.finished.iter().find_map(|f| f.items.first());
        judged.map_or(0.0, |item| item.steps())
    }

    fn figures(&self, variants: &[String]) -> Table {
        let heading: &[&str] = match self.is_speech() {
            true => &[
                "density",
                "nats a frame",
                "nats per 8,000 samples",
                "bits a sample",
                "bits a sample, silence",
                "bits a sample, loud",
                "at the limit",
            ],
            false => &[
                "density",
                "nats an image (pixels)",
                "bits a dimension",
                "nats an image (logits)",
                "at the limit",
            ],
        };
        let rows = variants.iter().map(|variant| self.figures_of(variant));
        Table::new(heading, rows.collect())
    }

    fn figures_of(&self, variant: &str) -> Vec<String> {
        let scaled = |interval: Option<Interval>, by: f64, digits: usize| {
            interval.map_or("–".into(), |i| {
                let [low, high] = i.ci95.map(|v| v * by);
                format!(
                    "{:.digits$} [{low:.digits$}, {high:.digits$}]",
                    i.value * by
                )
            })
        };
        let (dim, bit) = (self.dim(), std::f64::consts::LN_2);
        let all = self.nats(variant, None, true);
        let limit = self.mean(variant, |f| 100.0 * f.at_limit);
        let limit = format!("{limit:.1} % of steps");
        if self.is_speech() {
            let bits = 1.0 / (dim * bit);
            let of = |class| scaled(self.nats(variant, Some(class), true), bits, 2);
            vec![
                format!("`{variant}`"),
                scaled(all, 1.0, 1),
                scaled(all, STRETCH / dim, 0),
                scaled(all, bits, 3),
                of(0),
                of(1),
                limit,
            ]
        } else {
            let length = self.length();
            vec![
                format!("`{variant}`"),
                scaled(all, length, 1),
                scaled(all, 1.0 / (dim * bit), 3),
                scaled(self.nats(variant, None, false), length, 1),
                limit,
            ]
        }
    }

    fn removed_table(&self, variants: &[String]) -> Table {
        let nats = |i: Option<Interval>| {
            i.map_or("–".into(), |i| {
                format!("{:.1} [{:.1}, {:.1}]", i.value, i.ci95[0], i.ci95[1])
            })
        };
        let mut heading = vec!["density", "nats a step removed"];
        if self.is_speech() {
            heading.push("of loud frames");
        } else {
            heading.push("share of the logits' nats");
        }
        let mut rows = Vec::new();
        for variant in variants.iter().filter(|variant| *variant != BASELINE) {
            let all = self.removed(variant, None);
            let other = match self.is_speech() {
                true => nats(self.removed(variant, Some(1)).nats),
                false => all.share.map_or("–".into(), |i| {
                    let [value, low, high] = [i.value, i.ci95[0], i.ci95[1]].map(|v| 100.0 * v);
                    format!("{value:+.1} % [{low:+.1}, {high:+.1}]")
                }),
            };
            rows.push(vec![format!("`{variant}`"), nats(all.nats), other]);
        }
        Table::new(&heading, rows)
    }

    /// Mean of a figure over the seeds of a variant.
    fn mean(&self, variant: &str, figure: impl Fn(&Finished) -> f64) -> f64 {
        let runs = self.finished.iter().filter(|f| f.variant == variant);
        let (mut n, mut sum) = (0.0, 0.0);
        for run in runs {
            n += 1.0;
            sum += figure(run);
        }
        sum / f64::max(n, 1.0)
    }

    fn training(&self, variants: &[String]) -> Table {
        let heading = ["density", "parameters", "ms an update", "last update kept"];
        let row = |variant: &String| {
            let kept = |f: &Finished| {
                let best = f.curve.iter().min_by(|a, b| a[1].total_cmp(&b[1]));
                best.map_or(0.0, |[update, _]| *update)
            };
            vec![
                format!("`{variant}`"),
                format!("{:.0}", self.mean(variant, |f| f.parameters as f64)),
                format!(
                    "{:.0}",
                    self.mean(variant, |f| 1000.0 * f.seconds_per_update)
                ),
                format!("{:.0}", self.mean(variant, kept)),
            ]
        };
        Table::new(&heading, variants.iter().map(row).collect())
    }

    /// Held-out nats along training, of the first seed.
    fn curves(&self, variants: &[String]) -> Result<Option<Picture>> {
        let mut series = Vec::new();
        for variant in variants {
            let run = self.finished.iter().find(|f| f.variant == *variant);
            let points = run.map_or(&[][..], |run| &run.curve);
            if points.len() > 1 {
                let points = points.iter().map(|[x, y]| (*x, *y)).collect();
                series.push(Series::new(variant, points));
            }
        }
        if series.is_empty() {
            return Ok(None);
        }
        let axes = ["update", "nats a step, lower is better"];
        let title = format!("Held-out negative log-likelihood: {}", self.data);
        Picture::plot(&self.plan.out, "training.png", &title, axes, &series).map(Some)
    }

    fn json(&self, variants: &[String]) -> Value {
        let bits = 1.0 / (self.dim() * std::f64::consts::LN_2);
        let interval = |i: Option<Interval>, by: f64| {
            i.map_or(
                Value::Null,
                |i| json!({ "value": i.value * by, "ci95": i.ci95.map(|v| v * by) }),
            )
        };
        let mut all = Map::new();
        for variant in variants {
            let nats = self.nats(variant, None, true);
            let unit = match self.is_speech() {
                true => ["nats_per_frame", "bits_per_sample"],
                false => ["nats_per_step", "bits_per_dimension"],
            };
            let removed = self.removed(variant, None);
            let mut figures = Map::new();
            figures.insert(unit[0].into(), json!(nats.map(|i| i.value)));
            figures.insert("ci95".into(), json!(nats.map(|i| i.ci95)));
            figures.insert(unit[1].into(), json!(nats.map(|i| i.value * bits)));
            figures.insert("removed".into(), interval(removed.nats, 1.0));
            figures.insert("removed_share".into(), interval(removed.share, 1.0));
            for (class, name) in self.classes.iter().enumerate().filter(|_| self.is_speech()) {
                let nats = self.nats(variant, Some(class), true);
                figures.insert(format!("bits_{name}"), interval(nats, bits));
                let removed = self.removed(variant, Some(class)).nats;
                figures.insert(format!("removed_{name}"), interval(removed, 1.0));
            }
            figures.insert("at_limit".into(), json!(self.mean(variant, |f| f.at_limit)));
            figures.insert(
                "seeds".into(),
                json!(
                    self.finished
                        .iter()
                        .filter(|f| f.variant == *variant)
                        .count()
                ),
            );
            all.insert(variant.clone(), Value::Object(figures));
        }
        Value::Object(all)
    }
}
