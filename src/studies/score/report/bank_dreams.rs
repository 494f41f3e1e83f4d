//! E1: the bank, ranked in dreams.

use super::{
    BASELINE, GOOD, OURS, Section, by_temperature,
    findings::Findings,
    finished::{Finished, Outcome, finished_variants, of_variant},
    intervals::{bank_samples, format_interval, mean},
};
use crate::{
    pictures::Series,
    rollout::spearman,
    run::Result,
    studies::{
        report::{Picture, Table},
        score::{
            Score,
            bank::Scored,
            bank_dreams::{Dreams, PRIMARY, Ranked, TEMPERATURES},
        },
        statistics::{Interval, Sample, bootstrap, bootstrap_of},
    },
};

/// All controllers of the bank.
const ALL: f64 = f64::NEG_INFINITY;

/// The section of E1; `None` before a result is finished.
pub fn section(
    findings: &mut Findings,
    plan: &Score,
    finished: &Finished,
) -> Result<Option<Section>> {
    let variants = finished_variants(plan, &finished.e1);
    if variants.is_empty() {
        return Ok(None);
    }
    let table = table(findings, finished, &variants);
    for variant in variants.iter().filter(|variant| *variant != BASELINE) {
        compare(findings, finished, variant);
    }
    let pictures = vec![
        temperature_picture(plan, finished, &variants)?,
        bank_picture(plan, finished, &variants)?,
    ];
    Ok(Some(Section { table, pictures }))
}

fn table(findings: &mut Findings, finished: &Finished, variants: &[String]) -> Table {
    let heading = [
        "memory",
        "temperature",
        "Spearman",
        "above 700",
        "predicted",
        "really",
        "exploit gap",
        "dreams ended",
    ];
    let mut rows = Vec::new();
    for variant in variants {
        for temperature in TEMPERATURES {
            let all = correlation(finished, variant, temperature, ALL);
            let good = correlation(finished, variant, temperature, GOOD);
            let gap = mean(&gaps(finished, variant, temperature));
            if temperature == PRIMARY {
                findings.add_figure("e1", variant, "spearman", all);
                findings.add_figure("e1", variant, "spearman_above_700", good);
                findings.add_figure("e1", variant, "exploit_gap", gap);
            }
            let mark = if temperature == PRIMARY {
                " (primary)"
            } else {
                ""
            };
            let [predicted, real] = [0, 1].map(|side| {
                let samples = beside(finished, variant, temperature, |pair| pair[side]);
                format_interval(mean(&samples), 1)
            });
            let ended = 100.0 * ended(finished, variant, temperature);
            rows.push(vec![
                variant.clone(),
                format!("{temperature}{mark}"),
                format_interval(all, 3),
                format_interval(good, 3),
                predicted,
                real,
                format_interval(gap, 1),
                format!("{ended:.0} %"),
            ]);
        }
    }
    Table::new(&heading, rows)
}

/// The contrasts of `variant` with the baseline.
fn compare(findings: &mut Findings, finished: &Finished, variant: &str) {
    let difference = |least: f64| {
        let [a, b] = [variant, BASELINE].map(|v| predictions(finished, v, PRIMARY, least));
        bootstrap_of(&a, &b, rank_correlation, |a, b| a - b)
    };
    let name = format!("E1 Spearman: {variant} − {BASELINE}");
    let all = difference(ALL);
    if variant == OURS {
        findings.add_primary_contrast(name, all);
    } else {
        findings.add_contrast(name, all);
    }
    let good = difference(GOOD).filter(|i| i.value.is_finite());
    findings.add_contrast(
        format!("E1 Spearman above 700: {variant} − {BASELINE}"),
        good,
    );
    let [a, b] = [variant, BASELINE].map(|v| gaps(finished, v, PRIMARY));
    let gap = bootstrap(&a, &b, |a, b| a - b);
    findings.add_contrast(format!("E1 exploit gap: {variant} − {BASELINE}"), gap);
    if variant == OURS {
        findings.add_expectation(
            "E1",
            "`frmdn` and `rmdn` rank the bank alike (the primary contrast)",
            all,
            3,
        );
        findings.add_expectation(
            "E1",
            "the exploit gaps of `frmdn` and `rmdn` are not told apart",
            gap,
            1,
        );
    }
}

fn temperature_picture(plan: &Score, finished: &Finished, variants: &[String]) -> Result<Picture> {
    let series = by_temperature(variants, &TEMPERATURES, |variant, temperature| {
        correlation(finished, variant, temperature, ALL)
    });
    Picture::plot(
        &plan.out,
        "e1-temperature.png",
        "Rank correlation against temperature",
        ["temperature", "Spearman"],
        &series,
    )
}

fn bank_picture(plan: &Score, finished: &Finished, variants: &[String]) -> Result<Picture> {
    let mut series = Vec::new();
    for variant in variants {
        let tenths = tenths(&predictions(finished, variant, PRIMARY, ALL));
        series.push(Series::new(variant, tenths));
    }
    Picture::plot(
        &plan.out,
        "e1-bank.png",
        "Predicted return against real score, tenths of the bank",
        ["real score", "predicted return"],
        &series,
    )
}

/// Mean real score and mean prediction of each tenth of the bank, by real score; means over
/// memories.
fn tenths(samples: &[Sample]) -> Vec<(f64, f64)> {
    let mut all: Vec<[f64; 2]> = samples
        .iter()
        .flat_map(|s| s.episodes.iter().copied())
        .collect();
    all.sort_by(|a, b| a[1].total_cmp(&b[1]));
    let mean = |pairs: &[[f64; 2]], side: usize| {
        pairs.iter().map(|p| p[side]).sum::<f64>() / pairs.len() as f64
    };
    all.chunks(all.len().div_ceil(10).max(1))
        .map(|pairs| (mean(pairs, 1), mean(pairs, 0)))
        .collect()
}

/// Predicted return and real score of the controllers with a real score above `least`.
fn predictions(finished: &Finished, variant: &str, temperature: f32, least: f64) -> Vec<Sample> {
    let pairs = |outcome: &Outcome<Dreams>| {
        let real = finished.banks[outcome.subject.data]
            .as_ref()
            .map(Scored::means)
            .unwrap_or_default();
        let mut pairs = Vec::new();
        if let Some(ranked) = at(&outcome.value, temperature) {
            for (predicted, real) in ranked.predicted.iter().zip(real) {
                if real > least {
                    pairs.push([*predicted, real]);
                }
            }
        }
        pairs
    };
    bank_samples(&of_variant(&finished.e1, variant), pairs)
}

/// A figure of the predicted and the real return from the same states, for each controller.
fn beside(
    finished: &Finished,
    variant: &str,
    temperature: f32,
    figure: impl Fn(&[f64; 2]) -> f64,
) -> Vec<Sample> {
    let values = |outcome: &Outcome<Dreams>| {
        let pairs = at(&outcome.value, temperature).map(|ranked| &ranked.beside[..]);
        let pairs = pairs.unwrap_or_default();
        pairs.iter().map(|pair| [figure(pair), 1.0]).collect()
    };
    bank_samples(&of_variant(&finished.e1, variant), values)
}

/// Predicted less real return from the same states.
fn gaps(finished: &Finished, variant: &str, temperature: f32) -> Vec<Sample> {
    beside(finished, variant, temperature, |[predicted, real]| {
        predicted - real
    })
}

/// Mean part of the dreams that the memory ended.
fn ended(finished: &Finished, variant: &str, temperature: f32) -> f64 {
    let outcomes = of_variant(&finished.e1, variant).into_iter();
    let ended: Vec<f64> = outcomes
        .filter_map(|outcome| Some(at(&outcome.value, temperature)?.ended))
        .collect();
    ended.iter().sum::<f64>() / ended.len().max(1) as f64
}

fn correlation(
    finished: &Finished,
    variant: &str,
    temperature: f32,
    least: f64,
) -> Option<Interval> {
    let samples = predictions(finished, variant, temperature, least);
    bootstrap_of(&samples, &samples, rank_correlation, |a, _| a).filter(|i| i.value.is_finite())
}

/// Mean over cells.
fn rank_correlation(cells: &[Vec<[f64; 2]>]) -> f64 {
    cells.iter().map(|c| spearman(c)).sum::<f64>() / cells.len() as f64
}

fn at(dreams: &Dreams, temperature: f32) -> Option<&Ranked> {
    dreams
        .temperatures
        .iter()
        .find(|r| r.temperature == temperature)
}
