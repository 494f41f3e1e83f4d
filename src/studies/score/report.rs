//! The report of all finished pieces: what was expected, what came out, and how sure that is.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::{
    Arm, Data, Experiment, Results, Score,
    bank::{self, Scored},
    bank_dreams::{self, Dreams, PRIMARY, Ranked, TEMPERATURES},
    blackout::{self, Blind, HOLD, LENGTHS, SEEN},
    dream_training::{self, Dreamt},
    evolve::{SIGMA, SIGMA_AT_DRIVER, TRACKS},
    figures::{area, iqm, spearman},
    population::{self, Curve, POPULATIONS, Point},
};
use crate::{
    pictures::{Series, plot_curves},
    run::{Result, RunError},
    studies::{
        report::{Block, save},
        statistics::{Interval, Sample, bootstrap, bootstrap_of, format_p, holm},
    },
};

/// The memory that others are compared with, and the one whose contrast with it was declared as the
/// primary one.
const BASELINE: &str = "rmdn";
const OURS: &str = "frmdn";
/// Real score from which a controller of the bank is good.
const GOOD: f64 = 700.0;

/// A finished piece of one memory.
struct Of<T> {
    data: usize,
    variant: String,
    seed: u64,
    /// Population of E3.
    population: usize,
    /// Number of the controller in E3 and E4.
    controller: u64,
    outcome: T,
}

impl<T> Of<T> {
    /// What is drawn first in a bootstrap: the V and the memory's seed.
    fn cell(&self) -> String {
        format!("{}/{}", self.data, self.seed)
    }

    /// Whether `other` had the same chances.
    fn like(&self, other: &Self) -> bool {
        self.cell() == other.cell()
            && (self.population, self.controller) == (other.population, other.controller)
    }
}

/// All finished pieces.
#[derive(Default)]
pub struct Found {
    /// Real scores of each data's bank.
    banks: Vec<Option<Scored>>,
    e1: Vec<Of<Dreams>>,
    /// Baselines have their own names as variants.
    e2: Vec<Of<Blind>>,
    e3: Vec<Of<Curve>>,
    e4: Vec<Of<Dreamt>>,
}

impl Found {
    /// Reads what is finished of `data`.
    pub fn collect(
        &mut self,
        plan: &Score,
        data: &Data,
        arms: &[Arm],
        results: &Results,
    ) -> Result<()> {
        let at = self.banks.len();
        self.banks.push(bank::scored(plan, data, results)?);
        fn add<T: serde::de::DeserializeOwned>(
            results: &Results,
            to: &mut Vec<Of<T>>,
            (name, settings): (String, Value),
            of: (usize, &str, u64),
            (population, controller): (usize, u64),
        ) -> Result<()> {
            let (data, variant, seed) = of;
            to.extend(results.load_settled(&name, &settings)?.map(|outcome| Of {
                data,
                variant: variant.to_owned(),
                seed,
                population,
                controller,
                outcome,
            }));
            Ok(())
        }
        for baseline in [SEEN, HOLD] {
            add(
                results,
                &mut self.e2,
                blackout::baseline(plan, data, baseline),
                (at, baseline, 1),
                (0, 0),
            )?;
        }
        for arm in arms {
            let variant = arm.spec.to_string();
            let of = (at, variant.as_str(), arm.seed);
            add(
                results,
                &mut self.e1,
                bank_dreams::key(plan, data, arm),
                of,
                (0, 0),
            )?;
            add(
                results,
                &mut self.e2,
                blackout::key(plan, data, arm),
                of,
                (0, 0),
            )?;
            for controller in 1..=plan.controllers {
                for population in POPULATIONS {
                    let key = population::key(plan, data, arm, population, controller);
                    add(results, &mut self.e3, key, of, (population, controller))?;
                }
                add(
                    results,
                    &mut self.e4,
                    dream_training::key(plan, data, arm, controller),
                    of,
                    (0, controller),
                )?;
            }
        }
        Ok(())
    }
}

/// The difference of two memories in some figure.
struct Contrast {
    name: String,
    interval: Interval,
    primary: bool,
}

/// What is written, as it grows.
#[derive(Default)]
struct Draft {
    blocks: Vec<Block>,
    contrasts: Vec<Contrast>,
    /// Experiment, what was expected, what came out.
    expectations: Vec<[String; 3]>,
    figures: Map<String, Value>,
}

impl Draft {
    fn heading(&mut self, text: &str) {
        self.blocks.push(Block::Heading(text.into()));
    }

    fn text(&mut self, text: String) {
        self.blocks.push(Block::Text(text));
    }

    fn table(&mut self, heading: &[&str], rows: Vec<Vec<String>>) {
        self.blocks.push(Block::Table(
            heading.iter().map(|h| (*h).to_owned()).collect(),
            rows,
        ));
    }

    fn picture(
        &mut self,
        plan: &Score,
        file: &str,
        title: &str,
        axes: [&str; 2],
        series: &[Series],
    ) -> Result<()> {
        plot_curves(title, axes[0], axes[1], series, &plan.out.join(file))?;
        self.blocks.push(Block::Picture(file.into(), title.into()));
        Ok(())
    }

    fn contrast(
        &mut self,
        name: String,
        interval: Option<Interval>,
        primary: bool,
    ) -> Option<Interval> {
        self.contrasts.extend(interval.map(|interval| Contrast {
            name,
            interval,
            primary,
        }));
        interval
    }

    fn expect(&mut self, experiment: &str, expected: &str, seen: String) {
        self.expectations
            .push([experiment.into(), expected.into(), seen]);
    }

    /// A figure of a variant in report.json.
    fn figure(&mut self, experiment: &str, variant: &str, name: &str, interval: Option<Interval>) {
        let Some(i) = interval else { return };
        let of = self.figures.entry(experiment).or_insert_with(|| json!({}));
        of[variant][name] = json!({ "value": i.value, "ci95": i.ci95 });
    }
}

/// A figure with its interval; of a single value there is none.
fn shown(interval: Option<Interval>, digits: usize) -> String {
    match interval {
        None => "–".into(),
        Some(Interval {
            value,
            ci95: [low, high],
            ..
        }) if low == high => format!("{value:.digits$}"),
        Some(Interval {
            value,
            ci95: [low, high],
            ..
        }) => format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]"),
    }
}

/// Whether an interval is above zero, below, or neither.
fn verdict(interval: Option<Interval>, digits: usize) -> String {
    let Some(i) = interval else {
        return "not measured yet".into();
    };
    let word = match i.ci95 {
        [low, _] if low > 0.0 => "higher",
        [_, high] if high < 0.0 => "lower",
        _ => "no difference seen",
    };
    format!("{word}: {}", shown(interval, digits))
}

/// Variants in the plan's order, of which there are pieces.
fn there<'a, T>(plan: &'a Score, pieces: &'a [Of<T>]) -> Vec<String> {
    let all = plan.variants.iter().map(ToString::to_string);
    all.filter(|v| pieces.iter().any(|p| p.variant == *v))
        .collect()
}

fn of<'a, T>(pieces: &'a [Of<T>], variant: &str) -> Vec<&'a Of<T>> {
    pieces.iter().filter(|p| p.variant == variant).collect()
}

/// One sample a cell, of the values of all its pieces.
fn samples<T>(pieces: &[&Of<T>], values: impl Fn(&Of<T>) -> Vec<[f64; 2]>) -> Vec<Sample> {
    let mut out: Vec<Sample> = Vec::new();
    for piece in pieces {
        let cell = piece.cell();
        match out.iter_mut().find(|s| s.cell == cell) {
            Some(sample) => sample.episodes.extend(values(piece)),
            None => out.push(Sample::own(cell, values(piece))),
        }
    }
    out
}

/// The same of values that all memories on the same data have in common: the bank's.
fn of_bank<T>(pieces: &[&Of<T>], values: impl Fn(&Of<T>) -> Vec<[f64; 2]>) -> Vec<Sample> {
    let shared = |s: Sample| {
        let data = s.cell.split('/').next().unwrap_or_default().to_owned();
        s.common(&data, 1)
    };
    samples(pieces, values).into_iter().map(shared).collect()
}

fn mean(samples: &[Sample]) -> Option<Interval> {
    bootstrap(samples, samples, |a, _| a)
}

fn pooled_iqm(samples: &[Sample]) -> Option<Interval> {
    bootstrap_of(
        samples,
        samples,
        |cells| iqm(&cells.iter().flatten().map(|e| e[0]).collect::<Vec<f64>>()),
        |a, _| a,
    )
}

/// Writes everything into the folder; returns the path of report.md.
pub fn write(plan: &Score, all: &[Data], found: &Found) -> Result<PathBuf> {
    if found.e1.is_empty() && found.e2.is_empty() && found.e3.is_empty() && found.e4.is_empty() {
        return Err(RunError::Config(format!(
            "nothing of this is finished in {}: type the command without --report",
            plan.out.display()
        )));
    }
    let mut body = Draft::default();
    bank(&mut body, all, found);
    e1(&mut body, plan, found)?;
    e2(&mut body, plan, found)?;
    e3(&mut body, plan, found)?;
    e4(&mut body, plan, found);
    let mut draft = Draft {
        figures: std::mem::take(&mut body.figures),
        ..Draft::default()
    };
    draft.heading("Memories compared in score");
    draft.text(format!("Made by `{}`.", plan.command));
    let memory = &all[0].preset.memory;
    draft.text(format!(
        "Data: {}, environment {}. Memories: {} cells, {} updates of {} sequences of {} steps, {} \
         seeds each; the weights of the best held-out \
         likelihood. `untrained` is a random LSTM; `none` and `stack2` show the controller z \
         alone, and z of two steps. Intervals: 95 %, \
         from the variance of a hierarchical bootstrap (the memory's seed first, with the data \
         where there are several; then what is named \
         with the experiment) by Student's t, whose degrees of freedom are those of the seeds \
         where these make the difference: of two seeds \
         it is 6.5 times as wide as the normal distribution would have it, of three 2.2, of five \
         1.4 times. Of baselines without seeds the \
         interval is of the tracks alone. IQM: mean without the lowest and the highest quarter. \
         With n seeds of each of two memories the \
         smallest difference that can be seen (80 % power) is 3.1 standard deviations of the seeds \
         at n = 3, 2.0 at 5 and 1.3 at 10.{}",
        all.iter()
            .map(|d| d.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        all[0].preset.environment,
        memory.model.hidden,
        memory.updates,
        memory.batch,
        memory.sequence,
        plan.seeds,
        if plan.scale == super::Scale::QUICK {
            " **A quick run: these figures say nothing.**"
        } else {
            ""
        }
    ));
    draft.heading("What was expected, and what came out");
    draft.text(
        "Expected by the protocol, before the first run: a controller on [z, h] in fully visible \
         Car-Racing hardly feels the memory's head; \
         the density shows where it is sampled. Each interval is by itself; under “Contrasts” they \
         are corrected for their number."
            .into(),
    );
    draft.table(
        &["experiment", "expected", "came out"],
        body.expectations.iter().map(|e| e.to_vec()).collect(),
    );
    draft.blocks.append(&mut body.blocks);
    contrasts(&mut draft, &body.contrasts);
    let missing = [
        (Experiment::E1, found.e1.len()),
        (Experiment::E2, found.e2.len()),
        (Experiment::E3, found.e3.len()),
        (Experiment::E4, found.e4.len()),
    ];
    draft.text(format!(
        "Finished pieces: {}.",
        missing
            .iter()
            .map(|(experiment, n)| format!("{n} of {experiment:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    ));
    save(&plan.out, &draft.blocks, &Value::Object(draft.figures))
}

fn contrasts(draft: &mut Draft, all: &[Contrast]) {
    if all.is_empty() {
        return;
    }
    let rest: Vec<&Contrast> = all.iter().filter(|c| !c.primary).collect();
    let corrected = holm(&rest.iter().map(|c| c.interval.p).collect::<Vec<_>>());
    let row = |c: &Contrast, p: String| vec![c.name.clone(), shown(Some(c.interval), 3), p];
    let mut rows: Vec<Vec<String>> = all
        .iter()
        .filter(|c| c.primary)
        .map(|c| row(c, format!("{} (primary)", format_p(c.interval.p))))
        .collect();
    rows.extend(rest.iter().zip(corrected).map(|(c, p)| row(c, format_p(p))));
    draft.heading("Contrasts");
    draft.text(format!(
        "Declared beforehand as the primary one: `{OURS}` less `{BASELINE}` in E1's rank \
         correlation at temperature {PRIMARY}. All the others \
         are corrected by Holm, together."
    ));
    draft.table(&["difference", "value", "p (Holm)"], rows);
}

fn bank(draft: &mut Draft, all: &[Data], found: &Found) {
    let rows: Vec<Vec<String>> = all
        .iter()
        .zip(&found.banks)
        .filter_map(|(data, scored)| {
            let mut means = scored.as_ref()?.means();
            means.sort_by(f64::total_cmp);
            let at = |q: f64| {
                format!(
                    "{:.0}",
                    means[((means.len() - 1) as f64 * q).round() as usize]
                )
            };
            let good = means.iter().filter(|m| **m > GOOD).count();
            Some(vec![
                data.name.clone(),
                format!("{}", means.len()),
                at(0.0),
                at(0.25),
                at(0.5),
                at(0.75),
                at(1.0),
                format!("{good}"),
            ])
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    draft.heading("The bank");
    draft.text(format!(
        "Controllers on z of two steps, of which no memory has a part: a candidate of every \
         generation (of the last one, the mean) of \
         evolutions in standardised coordinates ({TRACKS} tracks a candidate), in turn from the \
         origin (sigma {SIGMA}) and from the \
         controller that comes closest to the recorded drivers (sigma {SIGMA_AT_DRIVER}). Real \
         scores: whole episodes \
         on selection tracks that nothing else uses."
    ));
    draft.table(
        &[
            "data",
            "controllers",
            "worst",
            "25 %",
            "median",
            "75 %",
            "best",
            "above 700",
        ],
        rows,
    );
}

/// Predicted return and real score of the bank's controllers, of those with a real score of at
/// least `least`.
fn pairs(found: &Found, piece: &Of<Dreams>, temperature: f32, least: f64) -> Vec<[f64; 2]> {
    let real = found.banks[piece.data]
        .as_ref()
        .map(Scored::means)
        .unwrap_or_default();
    let ranked = at(&piece.outcome, temperature);
    ranked
        .map(|r| {
            r.predicted
                .iter()
                .zip(real)
                .filter(|(_, real)| *real > least)
                .map(|(p, real)| [*p, real])
                .collect()
        })
        .unwrap_or_default()
}

fn at(dreams: &Dreams, temperature: f32) -> Option<&Ranked> {
    dreams
        .temperatures
        .iter()
        .find(|r| r.temperature == temperature)
}

fn rank_correlation(cells: &[Vec<[f64; 2]>]) -> f64 {
    cells.iter().map(|c| spearman(c)).sum::<f64>() / cells.len() as f64
}

fn e1(draft: &mut Draft, plan: &Score, found: &Found) -> Result<()> {
    let variants = there(plan, &found.e1);
    if variants.is_empty() {
        return Ok(());
    }
    let ranks =
        |v: &str, t: f32, least: f64| of_bank(&of(&found.e1, v), |p| pairs(found, p, t, least));
    let correlation = |v: &str, t: f32, least: f64| {
        let s = ranks(v, t, least);
        bootstrap_of(&s, &s, rank_correlation, |a, _| a).filter(|i| i.value.is_finite())
    };
    // Pairs of what was foreseen less what came, and one.
    let gaps = |v: &str, t: f32| {
        let gap = |p: &Of<Dreams>| {
            at(&p.outcome, t)
                .map(|r| r.same_actions.iter().map(|[p, r]| [p - r, 1.0]).collect())
                .unwrap_or_default()
        };
        of_bank(&of(&found.e1, v), gap)
    };
    let side = |v: &str, t: f32, side: usize| {
        let one = |p: &Of<Dreams>| {
            at(&p.outcome, t)
                .map(|r| r.same_actions.iter().map(|s| [s[side], 1.0]).collect())
                .unwrap_or_default()
        };
        mean(&of_bank(&of(&found.e1, v), one))
    };
    draft.heading("E1: the bank, ranked in dreams");
    draft.text(format!(
        "Every controller of the bank dreams {} steps from each of {} real states of held-out \
         episodes, with common chances; its mean predicted \
         return ranks it. Dreams can end early only where some recorded episode came to its end. \
         Rank correlation (Spearman) with the real score, \
         of all controllers and of those above {GOOD}. Exploit gap: predicted less real return of \
         the same actions, driven in the real environment \
         from the same state ({} of the states). Bootstrap: memories, and the controllers, the \
         same for all of them. `none`, `stack2` and \
         `untrained` predict nothing, and `copy` foresees no reward: they cannot dream.",
        plan.scale.steps, plan.scale.starts, plan.scale.replayed
    ));
    let mut rows = Vec::new();
    for v in &variants {
        for t in TEMPERATURES {
            let of = [
                correlation(v, t, f64::NEG_INFINITY),
                correlation(v, t, GOOD),
                mean(&gaps(v, t)),
            ];
            let ended: Vec<f64> = self::of(&found.e1, v)
                .iter()
                .filter_map(|p| Some(at(&p.outcome, t)?.ended))
                .collect();
            if t == PRIMARY {
                for (name, interval) in ["spearman", "spearman_above_700", "exploit_gap"]
                    .into_iter()
                    .zip(of)
                {
                    draft.figure("e1", v, name, interval);
                }
            }
            rows.push(vec![
                v.clone(),
                format!("{t}{}", if t == PRIMARY { " (primary)" } else { "" }),
                shown(of[0], 3),
                shown(of[1], 3),
                shown(side(v, t, 0), 1),
                shown(side(v, t, 1), 1),
                shown(of[2], 1),
                format!(
                    "{:.0} %",
                    100.0 * ended.iter().sum::<f64>() / ended.len().max(1) as f64
                ),
            ]);
        }
    }
    let heading = [
        "memory",
        "temperature",
        "Spearman",
        "above 700",
        "predicted",
        "real, same actions",
        "exploit gap",
        "dreams ended",
    ];
    draft.table(&heading, rows);
    for v in variants.iter().filter(|v| *v != BASELINE) {
        let difference = |t, least| {
            bootstrap_of(
                &ranks(v, t, least),
                &ranks(BASELINE, t, least),
                rank_correlation,
                |a, b| a - b,
            )
        };
        let all = draft.contrast(
            format!("E1 Spearman: {v} − {BASELINE}"),
            difference(PRIMARY, f64::NEG_INFINITY),
            v == OURS,
        );
        let good = difference(PRIMARY, GOOD).filter(|i| i.value.is_finite());
        draft.contrast(
            format!("E1 Spearman above 700: {v} − {BASELINE}"),
            good,
            false,
        );
        let gap = bootstrap(&gaps(v, PRIMARY), &gaps(BASELINE, PRIMARY), |a, b| a - b);
        draft.contrast(format!("E1 exploit gap: {v} − {BASELINE}"), gap, false);
        if v == OURS {
            draft.expect(
                "E1",
                "`frmdn` ranks the bank better than `rmdn` (the primary contrast)",
                verdict(all, 3),
            );
            draft.expect(
                "E1",
                "the exploit gap of `frmdn` is smaller than `rmdn`'s",
                verdict(gap, 1),
            );
        }
    }
    let sweep = |v: &String| {
        let points = TEMPERATURES.iter().filter_map(|&t| {
            correlation(v, t, f64::NEG_INFINITY)
                .map(|i| [f64::from(t), i.value, i.ci95[0], i.ci95[1]])
        });
        Series::banded(v, points.collect())
    };
    let series: Vec<Series> = variants.iter().map(sweep).collect();
    draft.picture(
        plan,
        "e1-temperature.png",
        "Rank correlation against temperature",
        ["temperature", "Spearman"],
        &series,
    )?;
    let series: Vec<Series> = variants
        .iter()
        .map(|v| Series::new(v, tenths(&ranks(v, PRIMARY, f64::NEG_INFINITY))))
        .collect();
    let title = "Predicted return against real score, tenths of the bank";
    draft.picture(
        plan,
        "e1-bank.png",
        title,
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
    let mean =
        |of: &[[f64; 2]], side: usize| of.iter().map(|p| p[side]).sum::<f64>() / of.len() as f64;
    all.chunks(all.len().div_ceil(10).max(1))
        .map(|of| (mean(of, 1), mean(of, 0)))
        .collect()
}

fn e2(draft: &mut Draft, plan: &Score, found: &Found) -> Result<()> {
    let variants: Vec<String> = [HOLD.to_owned()]
        .into_iter()
        .filter(|v| !of(&found.e2, v).is_empty())
        .chain(there(plan, &found.e2))
        .collect();
    if variants.is_empty() {
        return Ok(());
    }
    let scores = |v: &str, length: u32| {
        let of_length = |p: &Of<Blind>| -> Vec<[f64; 2]> {
            let of = p.outcome.lengths.iter().filter(|(l, _)| *l == length);
            // Track by track: both drivers have it in common.
            of.flat_map(|(_, [one, other])| {
                one.iter()
                    .zip(other)
                    .flat_map(|(&a, &b)| [[a, 1.0], [b, 1.0]])
            })
            .collect()
        };
        samples(&of(&found.e2, v), of_length)
            .into_iter()
            .map(|s| s.common("test tracks", 2))
            .collect::<Vec<Sample>>()
    };
    // A baseline that has no seeds stands beside every one of them.
    let beside = |other: &str, like: &[Sample], length: u32| -> Vec<Sample> {
        let all = scores(other, length);
        let data = |cell: &str| cell.split('/').next().map(str::to_owned);
        let one = |s: &Sample| {
            Some(Sample {
                cell: s.cell.clone(),
                ..all.iter().find(|o| data(&o.cell) == data(&s.cell))?.clone()
            })
        };
        like.iter().filter_map(one).collect()
    };
    draft.heading("E2: blackout");
    draft.text(format!(
        "The two best controllers of the bank, {} test tracks. Of every 60 steps z is withheld for \
         L and filled by draws of the memory \
         (temperature 1), which goes on with them and the real actions. `untrained`, `none` and \
         `stack2` predict nothing: theirs is the \
         baseline that holds the last z. Nothing is trained for this. Bootstrap: memories, and the \
         tracks, the same for all of them.",
        plan.scale.tracks
    ));
    let mut rows = Vec::new();
    let seen = scores(SEEN, 0);
    rows.push(vec![
        SEEN.to_owned(),
        "0".into(),
        shown(mean(&seen), 1),
        shown(pooled_iqm(&seen), 1),
    ]);
    draft.figure("e2", SEEN, "L0", mean(&seen));
    for v in &variants {
        for length in LENGTHS {
            let of = scores(v, length);
            rows.push(vec![
                v.clone(),
                length.to_string(),
                shown(mean(&of), 1),
                shown(pooled_iqm(&of), 1),
            ]);
            draft.figure("e2", v, &format!("L{length}"), mean(&of));
        }
    }
    draft.table(&["z filled by", "L", "mean score", "IQM"], rows);
    for length in LENGTHS {
        for v in variants.iter().filter(|v| *v != HOLD) {
            let mine = scores(v, length);
            let held = bootstrap(&mine, &beside(HOLD, &mine, length), |a, b| a - b);
            draft.contrast(format!("E2 score, L = {length}: {v} − {HOLD}"), held, false);
            if v == OURS {
                draft.expect(
                    "E2",
                    &format!("L = {length}: draws of `frmdn` beat holding the last z"),
                    verdict(held, 1),
                );
            }
            if v != BASELINE {
                let other = bootstrap(&mine, &scores(BASELINE, length), |a, b| a - b);
                draft.contrast(
                    format!("E2 score, L = {length}: {v} − {BASELINE}"),
                    other,
                    false,
                );
                if v == OURS {
                    draft.expect(
                        "E2",
                        &format!("L = {length}: `frmdn` above `rmdn`"),
                        verdict(other, 1),
                    );
                }
            }
        }
    }
    let whole = mean(&seen).map(|i| [0.0, i.value, i.ci95[0], i.ci95[1]]);
    let curve = |v: &String| {
        let points = LENGTHS.iter().filter_map(|&l| {
            mean(&scores(v, l)).map(|i| [f64::from(l), i.value, i.ci95[0], i.ci95[1]])
        });
        Series::banded(v, whole.into_iter().chain(points).collect())
    };
    let series: Vec<Series> = variants.iter().map(curve).collect();
    draft.picture(
        plan,
        "e2-blackout.png",
        "Score under blackouts",
        ["steps without z of every 60", "score"],
        &series,
    )
}

fn height(piece: &Of<Curve>) -> f64 {
    area(
        &piece
            .outcome
            .points
            .iter()
            .map(|p| [p.episodes as f64, p.score])
            .collect::<Vec<_>>(),
    )
}

fn e3(draft: &mut Draft, plan: &Score, found: &Found) -> Result<()> {
    let variants = there(plan, &found.e3);
    if variants.is_empty() {
        return Ok(());
    }
    draft.heading("E3: small populations");
    draft.text(format!(
        "Controllers on [z, h], CMA-ES in standardised coordinates (sigma {SIGMA}), {TRACKS} \
         tracks a candidate, episodes given up after 100 \
         steps without progress, {} episodes in all. Every {} episodes the distribution's mean \
         drives {} selection tracks to their end. The \
         outcome is the area under that curve over episodes, as its mean height. Bootstrap: \
         memories, then controllers.",
        plan.budget, plan.scale.test_every, plan.scale.test_tracks
    ));
    let mut rows = Vec::new();
    for population in POPULATIONS {
        let pieces = |v: &str| -> Vec<&Of<Curve>> {
            of(&found.e3, v)
                .into_iter()
                .filter(|p| p.population == population)
                .collect()
        };
        let heights = |v: &str| samples(&pieces(v), |p| vec![[height(p), 1.0]]);
        for v in &variants {
            let (all, area) = (pieces(v), heights(v));
            let last = samples(&all, |p| {
                p.outcome
                    .points
                    .last()
                    .map(|l| [l.score, 1.0])
                    .into_iter()
                    .collect()
            });
            let end = |of: fn(&Point) -> f64| {
                all.iter()
                    .filter_map(|p| p.outcome.points.last().map(of))
                    .sum::<f64>()
                    / all.len().max(1) as f64
            };
            rows.push(vec![
                population.to_string(),
                v.clone(),
                all.len().to_string(),
                shown(mean(&area), 1),
                shown(pooled_iqm(&area), 1),
                shown(mean(&last), 1),
                format!("{:.0}", end(|p| p.frames as f64) / 1e3),
                format!("{:.0}", end(|p| p.seconds)),
            ]);
            draft.figure(
                "e3",
                v,
                &format!("area_population{population}"),
                mean(&area),
            );
        }
        for v in variants.iter().filter(|v| *v != OURS) {
            let difference = paired(&pieces(OURS), &pieces(v), |p| vec![[height(p), 1.0]]);
            draft.contrast(
                format!("E3 area, population {population}: {OURS} − {v}"),
                difference,
                false,
            );
            if v == BASELINE {
                let expected = format!(
                    "population {population}: no difference of `frmdn` from `rmdn` (the paper's \
                     first versions claim one for small ones)"
                );
                draft.expect("E3", &expected, verdict(difference, 1));
            } else if v == "untrained" {
                draft.expect(
                    "E3",
                    &format!("population {population}: no difference of `frmdn` from `untrained`"),
                    verdict(difference, 1),
                );
            }
        }
    }
    draft.table(
        &[
            "population",
            "memory",
            "evolutions",
            "mean height",
            "IQM",
            "last score",
            "thousand frames",
            "seconds, one core",
        ],
        rows,
    );
    for population in POPULATIONS {
        for (axis, name, x) in [
            (
                "episodes",
                "episodes",
                (|p: &Point| p.episodes as f64) as fn(&Point) -> f64,
            ),
            ("frames", "frames", |p: &Point| p.frames as f64),
            ("seconds on one core", "seconds", |p: &Point| p.seconds),
        ] {
            let curve = |v: &String| {
                let all: Vec<&Of<Curve>> = of(&found.e3, v)
                    .into_iter()
                    .filter(|p| p.population == population)
                    .collect();
                let longest = all
                    .iter()
                    .map(|p| p.outcome.points.len())
                    .max()
                    .unwrap_or_default();
                let points = (0..longest).filter_map(|i| {
                    let at: Vec<&Of<Curve>> = all
                        .iter()
                        .copied()
                        .filter(|p| p.outcome.points.len() > i)
                        .collect();
                    let mid =
                        at.iter().map(|p| x(&p.outcome.points[i])).sum::<f64>() / at.len() as f64;
                    mean(&samples(&at, |p| vec![[p.outcome.points[i].score, 1.0]]))
                        .map(|s| [mid, s.value, s.ci95[0], s.ci95[1]])
                });
                Series::banded(v, points.collect())
            };
            let series: Vec<Series> = variants.iter().map(curve).collect();
            let file = format!("e3-population{population}-{name}.png");
            draft.picture(
                plan,
                &file,
                &format!("Population {population}: the mean controller"),
                [axis, "score"],
                &series,
            )?;
        }
    }
    Ok(())
}

/// The difference of two memories in pieces with the same chances, which may not all be finished
/// yet.
fn paired<T>(
    a: &[&Of<T>],
    b: &[&Of<T>],
    value: impl Fn(&Of<T>) -> Vec<[f64; 2]>,
) -> Option<Interval> {
    let (a, b): (Vec<&Of<T>>, Vec<&Of<T>>) = a
        .iter()
        .filter_map(|a| b.iter().find(|b| a.like(b)).map(|b| (*a, *b)))
        .unzip();
    // One pair alone says nothing of how it might have come otherwise.
    (a.len() > 1).then(|| bootstrap(&samples(&a, &value), &samples(&b, &value), |a, b| a - b))?
}

fn e4(draft: &mut Draft, plan: &Score, found: &Found) {
    let variants = there(plan, &found.e4);
    if variants.is_empty() {
        return;
    }
    draft.heading("E4: trained in the dream");
    draft.text(format!(
        "Controllers on [z, h], evolved by predicted return alone: {} generations of {} \
         candidates, {} dreams each of {} steps from real states of \
         training episodes, temperature {PRIMARY}. Dream score: predicted return of the last mean \
         from {} held-out states. Exploit gap: predicted \
         less real return of the same actions from the first {} of these. Real score: whole \
         episodes on {} test tracks. Bootstrap: memories, \
         then controllers.",
        plan.scale.dream_generations,
        plan.scale.dream_population,
        plan.scale.dream_starts,
        plan.scale.steps,
        plan.scale.starts,
        plan.scale.replayed,
        plan.scale.tracks
    ));
    let score = |p: &Of<Dreamt>| {
        vec![[
            p.outcome.scores.iter().sum::<f64>() / p.outcome.scores.len().max(1) as f64,
            1.0,
        ]]
    };
    let gap = |p: &Of<Dreamt>| vec![[p.outcome.same_actions[0] - p.outcome.same_actions[1], 1.0]];
    let mut rows = Vec::new();
    for v in &variants {
        let all = of(&found.e4, v);
        let dream = mean(&samples(&all, |p| vec![[p.outcome.dream_score, 1.0]]));
        let real = mean(&samples(&all, score));
        // A controller's tracks together: it is controllers that differ by chance.
        let of_controllers = |s: Sample| Sample {
            unit: plan.scale.tracks,
            ..s
        };
        let tracks: Vec<Sample> = samples(&all, |p| {
            p.outcome.scores.iter().map(|&s| [s, 1.0]).collect()
        })
        .into_iter()
        .map(of_controllers)
        .collect();
        let [predicted, same] = [0, 1].map(|side| {
            mean(&samples(&all, |p| {
                vec![[p.outcome.same_actions[side], 1.0]]
            }))
        });
        let row = [
            dream,
            predicted,
            same,
            mean(&samples(&all, gap)),
            real,
            pooled_iqm(&tracks),
        ];
        rows.push(
            [v.clone(), all.len().to_string()]
                .into_iter()
                .chain(row.map(|i| shown(i, 1)))
                .collect(),
        );
        let names = [
            "dream_score",
            "predicted_same_actions",
            "real_same_actions",
            "exploit_gap",
            "score",
            "score_iqm",
        ];
        for (name, interval) in names.into_iter().zip(row) {
            draft.figure("e4", v, name, interval);
        }
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
    draft.table(&heading, rows);
    for v in variants.iter().filter(|v| *v != BASELINE) {
        let (mine, other) = (of(&found.e4, v), of(&found.e4, BASELINE));
        let difference = draft.contrast(
            format!("E4 real score: {v} − {BASELINE}"),
            paired(&mine, &other, score),
            false,
        );
        let gaps = draft.contrast(
            format!("E4 exploit gap: {v} − {BASELINE}"),
            paired(&mine, &other, gap),
            false,
        );
        if v == OURS {
            draft.expect(
                "E4",
                "the real score of `frmdn` is above `rmdn`'s",
                verdict(difference, 1),
            );
            draft.expect(
                "E4",
                "the exploit gap of `frmdn` is smaller than `rmdn`'s",
                verdict(gaps, 1),
            );
            draft.expect(
                "E4",
                "the dream promises more than the road pays",
                verdict(mean(&samples(&mine, gap)), 1),
            );
        }
    }
}
