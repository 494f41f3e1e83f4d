//! E4: trained in the dream.

use super::{
    BASELINE, OURS, Section, by_temperature,
    findings::Findings,
    finished::{Finished, Outcome, finished_variants, of_variant},
    intervals::{format_interval, mean, paired_difference, pooled_iqm, samples},
};
use crate::{
    run::Result,
    studies::{
        report::{Picture, Table},
        score::{Score, bank_dreams::PRIMARY, dream_training::Dreamt},
        statistics::Sample,
    },
};

/// The section of E4; `None` before a result is finished.
pub fn section(
    findings: &mut Findings,
    plan: &Score,
    finished: &Finished,
) -> Result<Option<Section>> {
    let variants = finished_variants(plan, &finished.e4);
    if variants.is_empty() {
        return Ok(None);
    }
    let heading = [
        "memory",
        "temperature",
        "controllers",
        "dream score",
        "predicted",
        "really",
        "exploit gap",
        "real score",
        "IQM of tracks",
    ];
    let mut rows = Vec::new();
    for variant in &variants {
        for &temperature in &plan.temperatures {
            let controllers = of_variant_at(finished, variant, temperature);
            if !controllers.is_empty() {
                rows.push(row(findings, plan, variant, temperature, &controllers));
            }
        }
    }
    for variant in variants.iter().filter(|variant| *variant != BASELINE) {
        compare(findings, finished, variant);
    }
    let mut pictures = Vec::new();
    if plan.temperatures.len() > 1 {
        pictures.push(picture(plan, finished, &variants)?);
    }
    let table = Table::new(&heading, rows);
    Ok(Some(Section { table, pictures }))
}

/// The controllers evolved in dreams of `variant` at `temperature`.
fn of_variant_at<'a>(
    finished: &'a Finished,
    variant: &str,
    temperature: f32,
) -> Vec<&'a Outcome<Dreamt>> {
    let mut all = of_variant(&finished.e4, variant);
    all.retain(|outcome| outcome.subject.temperature == temperature);
    all
}

/// Real scores by the temperature of the dreams.
fn picture(plan: &Score, finished: &Finished, variants: &[String]) -> Result<Picture> {
    let mut temperatures = plan.temperatures.clone();
    temperatures.sort_by(f32::total_cmp);
    let series = by_temperature(variants, &temperatures, |variant, temperature| {
        let controllers = of_variant_at(finished, variant, temperature);
        mean(&samples(&controllers, real_score))
    });
    Picture::plot(
        &plan.out,
        "e4-temperature.png",
        "Real score of controllers evolved in dreams",
        ["temperature of the dreams", "real score"],
        &series,
    )
}

fn row(
    findings: &mut Findings,
    plan: &Score,
    variant: &str,
    temperature: f32,
    controllers: &[&Outcome<Dreamt>],
) -> Vec<String> {
    let dream_score = samples(controllers, |c| vec![[c.value.dream_score, 1.0]]);
    let [predicted, real] =
        [0, 1].map(|side| samples(controllers, |c| vec![[c.value.beside[side], 1.0]]));
    // A controller's tracks are drawn together: it is controllers that differ by chance.
    let tracks: Vec<Sample> = samples(controllers, |c| {
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
        ("predicted", mean(&predicted)),
        ("really", mean(&real)),
        ("exploit_gap", mean(&samples(controllers, exploit_gap))),
        ("score", mean(&samples(controllers, real_score))),
        ("score_iqm", pooled_iqm(&tracks)),
    ];
    let experiment = match temperature == PRIMARY {
        true => "e4".to_owned(),
        false => format!("e4-t{temperature}"),
    };
    let mut row = vec![
        variant.to_owned(),
        temperature.to_string(),
        controllers.len().to_string(),
    ];
    for (name, interval) in figures {
        row.push(format_interval(interval, 1));
        findings.add_figure(&experiment, variant, name, interval);
    }
    row
}

/// The contrasts of `variant` with the baseline.
fn compare(findings: &mut Findings, finished: &Finished, variant: &str) {
    let [own, baseline] = [variant, BASELINE].map(|v| of_variant_at(finished, v, PRIMARY));
    let score = paired_difference(&own, &baseline, real_score);
    findings.add_contrast(format!("E4 real score: {variant} − {BASELINE}"), score);
    let gap = paired_difference(&own, &baseline, exploit_gap);
    findings.add_contrast(format!("E4 exploit gap: {variant} − {BASELINE}"), gap);
    if variant == OURS {
        let expected = "the real scores of `frmdn` and `rmdn` are not told apart";
        findings.add_expectation("E4", expected, score, 1);
        let expected = "nor are their exploit gaps";
        findings.add_expectation("E4", expected, gap, 1);
        let own_gap = mean(&samples(&own, exploit_gap));
        let expected = "the dream promises more than the road pays, by less than a third of it";
        findings.add_expectation("E4", expected, own_gap, 1);
    }
}

/// Mean real score of a controller, as the only value of a sample.
fn real_score(controller: &Outcome<Dreamt>) -> Vec<[f64; 2]> {
    let scores = &controller.value.scores;
    vec![[scores.iter().sum::<f64>() / scores.len().max(1) as f64, 1.0]]
}

/// Predicted less real return from the same states, as the only value of a sample.
fn exploit_gap(controller: &Outcome<Dreamt>) -> Vec<[f64; 2]> {
    let [predicted, real] = controller.value.beside;
    vec![[predicted - real, 1.0]]
}
