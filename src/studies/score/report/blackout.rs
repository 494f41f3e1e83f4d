//! E2: blackout.

use super::{
    BASELINE, OURS, Section,
    findings::Findings,
    finished::{Finished, Outcome, finished_variants, of_variant},
    intervals::{data_of, format_interval, mean, pooled_iqm, samples},
};
use crate::{
    pictures::Series,
    run::Result,
    studies::{
        report::{Picture, Table},
        score::{
            Score,
            blackout::{Blind, HOLD, LENGTHS, SEEN},
        },
        statistics::{Sample, bootstrap},
    },
};

/// The section of E2; `None` before a result is finished.
pub fn section(
    findings: &mut Findings,
    plan: &Score,
    finished: &Finished,
) -> Result<Option<Section>> {
    let mut variants = finished_variants(plan, &finished.e2);
    if !of_variant(&finished.e2, HOLD).is_empty() {
        variants.insert(0, HOLD.to_owned());
    }
    if variants.is_empty() {
        return Ok(None);
    }
    let table = table(findings, finished, &variants);
    for length in LENGTHS {
        for variant in variants.iter().filter(|variant| *variant != HOLD) {
            compare(findings, finished, variant, length);
        }
    }
    let pictures = vec![picture(plan, finished, &variants)?];
    Ok(Some(Section { table, pictures }))
}

fn table(findings: &mut Findings, finished: &Finished, variants: &[String]) -> Table {
    let heading = ["z filled by", "L", "mean score", "IQM"];
    let mut rows = Vec::new();
    let mut add = |variant: &str, length: u32| {
        let scores = scores(finished, variant, length);
        let mean = mean(&scores);
        rows.push(vec![
            variant.to_owned(),
            length.to_string(),
            format_interval(mean, 1),
            format_interval(pooled_iqm(&scores), 1),
        ]);
        findings.add_figure("e2", variant, &format!("L{length}"), mean);
    };
    add(SEEN, 0);
    for variant in variants {
        for length in LENGTHS {
            add(variant, length);
        }
    }
    Table::new(&heading, rows)
}

/// The contrasts of `variant` with holding the last latent and with the baseline.
fn compare(findings: &mut Findings, finished: &Finished, variant: &str, length: u32) {
    let own = scores(finished, variant, length);
    let hold = scores_beside(finished, HOLD, &own, length);
    let to_hold = bootstrap(&own, &hold, |a, b| a - b);
    findings.add_contrast(
        format!("E2 score, L = {length}: {variant} − {HOLD}"),
        to_hold,
    );
    if variant == OURS {
        let expected = format!("L = {length}: draws of `frmdn` beat holding the last z");
        findings.add_expectation("E2", &expected, to_hold, 1);
    }
    if variant == BASELINE {
        return;
    }
    let baseline = scores(finished, BASELINE, length);
    let to_baseline = bootstrap(&own, &baseline, |a, b| a - b);
    findings.add_contrast(
        format!("E2 score, L = {length}: {variant} − {BASELINE}"),
        to_baseline,
    );
    if variant == OURS {
        let expected = format!("L = {length}: `frmdn` above `rmdn`");
        findings.add_expectation("E2", &expected, to_baseline, 1);
    }
}

/// Score against length, from the score without a blackout on.
fn picture(plan: &Score, finished: &Finished, variants: &[String]) -> Result<Picture> {
    let point = |variant: &str, length: u32| {
        let i = mean(&scores(finished, variant, length))?;
        Some([f64::from(length), i.value, i.ci95[0], i.ci95[1]])
    };
    let seen = point(SEEN, 0);
    let mut series = Vec::new();
    for variant in variants {
        let mut points: Vec<[f64; 4]> = seen.into_iter().collect();
        points.extend(LENGTHS.iter().filter_map(|&length| point(variant, length)));
        series.push(Series::banded(variant, points));
    }
    Picture::plot(
        &plan.out,
        "e2-blackout.png",
        "Score under blackouts",
        ["steps without z of every 60", "score"],
        &series,
    )
}

/// Scores of both controllers with blackouts of `length` steps, track by track: both have the
/// tracks in common.
fn scores(finished: &Finished, variant: &str, length: u32) -> Vec<Sample> {
    let values = |outcome: &Outcome<Blind>| -> Vec<[f64; 2]> {
        let mut values = Vec::new();
        for (steps, [one, other]) in &outcome.value.lengths {
            if *steps == length {
                for (&a, &b) in one.iter().zip(other) {
                    values.extend([[a, 1.0], [b, 1.0]]);
                }
            }
        }
        values
    };
    samples(&of_variant(&finished.e2, variant), values)
        .into_iter()
        .map(|sample| sample.common("test tracks", 2))
        .collect()
}

/// The scores of a baseline without seeds, for every cell of `samples` on the same data.
fn scores_beside(
    finished: &Finished,
    baseline: &str,
    samples: &[Sample],
    length: u32,
) -> Vec<Sample> {
    let all = scores(finished, baseline, length);
    let mut beside = Vec::new();
    for Sample { cell, .. } in samples {
        if let Some(sample) = all.iter().find(|s| data_of(&s.cell) == data_of(cell)) {
            beside.push(Sample {
                cell: cell.clone(),
                ..sample.clone()
            });
        }
    }
    beside
}
