//! E3: small populations.

use super::{
    BASELINE, OURS, Section,
    findings::Findings,
    finished::{Finished, Outcome, finished_variants, of_variant},
    intervals::{format_interval, mean, paired_difference, pooled_iqm, samples},
};
use crate::{
    pictures::Series,
    run::Result,
    studies::{
        report::{Picture, Table},
        score::{
            Score,
            figures::area,
            population::{Curve, POPULATIONS, Point},
        },
    },
};

/// An axis of the learning curves: its name, the name in the file's, and its value at a point.
type Axis = (&'static str, &'static str, fn(&Point) -> f64);

const AXES: [Axis; 3] = [
    ("episodes", "episodes", |p| p.episodes as f64),
    ("frames", "frames", |p| p.frames as f64),
    ("seconds on one core", "seconds", |p| p.seconds),
];

/// The section of E3; `None` before a result is finished.
pub fn section(
    findings: &mut Findings,
    plan: &Score,
    finished: &Finished,
) -> Result<Option<Section>> {
    let variants = finished_variants(plan, &finished.e3);
    if variants.is_empty() {
        return Ok(None);
    }
    let heading = [
        "population",
        "memory",
        "evolutions",
        "mean height",
        "IQM",
        "last score",
        "thousand frames",
        "seconds, one core",
    ];
    let mut rows = Vec::new();
    for population in POPULATIONS {
        for variant in &variants {
            rows.push(row(findings, finished, variant, population));
        }
        for variant in variants.iter().filter(|variant| *variant != OURS) {
            compare(findings, finished, variant, population);
        }
    }
    let mut pictures = Vec::new();
    for population in POPULATIONS {
        for axis in AXES {
            pictures.push(picture(plan, finished, &variants, population, axis)?);
        }
    }
    let table = Table::new(&heading, rows);
    Ok(Some(Section { table, pictures }))
}

fn row(
    findings: &mut Findings,
    finished: &Finished,
    variant: &str,
    population: usize,
) -> Vec<String> {
    let curves = curves(finished, variant, population);
    let heights = samples(&curves, height);
    let last_scores = samples(&curves, |curve| {
        let last = curve.value.points.last();
        last.map(|point| [point.score, 1.0]).into_iter().collect()
    });
    let mean_at_end = |value: fn(&Point) -> f64| {
        let last = curves.iter().filter_map(|c| c.value.points.last());
        last.map(value).sum::<f64>() / curves.len().max(1) as f64
    };
    let area = mean(&heights);
    let name = format!("area_population{population}");
    findings.add_figure("e3", variant, &name, area);
    vec![
        population.to_string(),
        variant.to_owned(),
        curves.len().to_string(),
        format_interval(area, 1),
        format_interval(pooled_iqm(&heights), 1),
        format_interval(mean(&last_scores), 1),
        format!("{:.0}", mean_at_end(|p| p.frames as f64) / 1e3),
        format!("{:.0}", mean_at_end(|p| p.seconds)),
    ]
}

/// The contrast of our memory with `variant`.
fn compare(findings: &mut Findings, finished: &Finished, variant: &str, population: usize) {
    let [ours, other] = [OURS, variant].map(|v| curves(finished, v, population));
    let difference = paired_difference(&ours, &other, height);
    findings.add_contrast(
        format!("E3 area, population {population}: {OURS} − {variant}"),
        difference,
    );
    let claim = match variant {
        BASELINE => "`rmdn` (the paper's first versions claim one for small ones)",
        "untrained" => "`untrained`",
        _ => return,
    };
    let expected = format!("population {population}: no difference of `frmdn` from {claim}");
    findings.add_expectation("E3", &expected, difference, 1);
}

fn picture(
    plan: &Score,
    finished: &Finished,
    variants: &[String],
    population: usize,
    (axis, name, x): Axis,
) -> Result<Picture> {
    let mut series = Vec::new();
    for variant in variants {
        let curves = curves(finished, variant, population);
        series.push(Series::banded(variant, mean_curve(&curves, x)));
    }
    Picture::plot(
        &plan.out,
        &format!("e3-population{population}-{name}.png"),
        &format!("Population {population}: the mean controller"),
        [axis, "score"],
        &series,
    )
}

/// Mean over evolutions, point by point: x, score, and its interval.
fn mean_curve(curves: &[&Outcome<Curve>], x: fn(&Point) -> f64) -> Vec<[f64; 4]> {
    let lengths = curves.iter().map(|curve| curve.value.points.len());
    let mut out = Vec::new();
    for i in 0..lengths.max().unwrap_or_default() {
        let mut longer = curves.to_vec();
        longer.retain(|curve| curve.value.points.len() > i);
        let sum: f64 = longer.iter().map(|curve| x(&curve.value.points[i])).sum();
        let scores = samples(&longer, |curve| vec![[curve.value.points[i].score, 1.0]]);
        if let Some(score) = mean(&scores) {
            let [low, high] = score.ci95;
            out.push([sum / longer.len() as f64, score.value, low, high]);
        }
    }
    out
}

fn curves<'a>(finished: &'a Finished, variant: &str, population: usize) -> Vec<&'a Outcome<Curve>> {
    let mut curves = of_variant(&finished.e3, variant);
    curves.retain(|curve| curve.subject.population == population);
    curves
}

/// Mean height of a curve over episodes, as the only value of a sample.
fn height(curve: &Outcome<Curve>) -> Vec<[f64; 2]> {
    let points = curve.value.points.iter();
    let points: Vec<[f64; 2]> = points.map(|p| [p.episodes as f64, p.score]).collect();
    vec![[area(&points), 1.0]]
}
