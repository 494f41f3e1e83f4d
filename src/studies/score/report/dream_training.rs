//! E4: trained in the dream.

use super::{
    BASELINE, OURS,
    findings::Findings,
    finished::{Finished, Outcome, finished_variants, of_variant},
    intervals::{format_interval, mean, paired_difference, pooled_iqm, samples},
};
use crate::studies::{
    report::Table,
    score::{Score, dream_training::Dreamt},
    statistics::Sample,
};

/// The table of E4; `None` before a result is finished.
pub fn table(findings: &mut Findings, plan: &Score, finished: &Finished) -> Option<Table> {
    let variants = finished_variants(plan, &finished.e4);
    if variants.is_empty() {
        return None;
    }
    let heading = [
        "memory",
        "controllers",
        "dream score",
        "predicted",
        "real, same actions",
        "exploit gap",
        "real score",
        "IQM of tracks",
    ];
    let mut rows = Vec::new();
    for variant in &variants {
        rows.push(row(findings, plan, finished, variant));
    }
    for variant in variants.iter().filter(|variant| *variant != BASELINE) {
        compare(findings, finished, variant);
    }
    Some(Table::new(&heading, rows))
}

fn row(findings: &mut Findings, plan: &Score, finished: &Finished, variant: &str) -> Vec<String> {
    let controllers = of_variant(&finished.e4, variant);
    let dream_score = samples(&controllers, |c| vec![[c.value.dream_score, 1.0]]);
    let [predicted, real] =
        [0, 1].map(|side| samples(&controllers, |c| vec![[c.value.same_actions[side], 1.0]]));
    // A controller's tracks are drawn together: it is controllers that differ by chance.
    let tracks: Vec<Sample> = samples(&controllers, |c| {
        c.value.scores.iter().map(|&score| [score, 1.0]).collect()
    })
    .into_iter()
    .map(|sample| Sample {
        unit: plan.scale.tracks,
        ..sample
    })
    .collect();
    let figures = [
        ("dream_score", mean(&dream_score)),
        ("predicted_same_actions", mean(&predicted)),
        ("real_same_actions", mean(&real)),
        ("exploit_gap", mean(&samples(&controllers, exploit_gap))),
        ("score", mean(&samples(&controllers, real_score))),
        ("score_iqm", pooled_iqm(&tracks)),
    ];
    let mut row = vec![variant.to_owned(), controllers.len().to_string()];
    for (name, interval) in figures {
        row.push(format_interval(interval, 1));
        findings.add_figure("e4", variant, name, interval);
    }
    row
}

/// The contrasts of `variant` with the baseline.
fn compare(findings: &mut Findings, finished: &Finished, variant: &str) {
    let [own, baseline] = [variant, BASELINE].map(|v| of_variant(&finished.e4, v));
    let score = paired_difference(&own, &baseline, real_score);
    findings.add_contrast(format!("E4 real score: {variant} − {BASELINE}"), score);
    let gap = paired_difference(&own, &baseline, exploit_gap);
    findings.add_contrast(format!("E4 exploit gap: {variant} − {BASELINE}"), gap);
    if variant == OURS {
        let expected = "the real score of `frmdn` is above `rmdn`'s";
        findings.add_expectation("E4", expected, score, 1);
        let expected = "the exploit gap of `frmdn` is smaller than `rmdn`'s";
        findings.add_expectation("E4", expected, gap, 1);
        let own_gap = mean(&samples(&own, exploit_gap));
        let expected = "the dream promises more than the road pays";
        findings.add_expectation("E4", expected, own_gap, 1);
    }
}

/// Mean real score of a controller, as the only value of a sample.
fn real_score(controller: &Outcome<Dreamt>) -> Vec<[f64; 2]> {
    let scores = &controller.value.scores;
    vec![[scores.iter().sum::<f64>() / scores.len().max(1) as f64, 1.0]]
}

/// Predicted less real return of the same actions, as the only value of a sample.
fn exploit_gap(controller: &Outcome<Dreamt>) -> Vec<[f64; 2]> {
    let [predicted, real] = controller.value.same_actions;
    vec![[predicted - real, 1.0]]
}
