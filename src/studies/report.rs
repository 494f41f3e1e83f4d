//! The report: Markdown, HTML, JSON and pictures from the runs that are finished.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{
    Likelihood,
    judge::{Finished, TestEpisode},
    linear::{self, Linear},
    statistics::{Interval, Sample, bootstrap, format_p, holm},
};
use crate::{
    memory::{Calibration, EvaluationSums},
    pictures::{Series, plot_curves},
    run::{Inputs, Preset, Result, write_atomically, write_json},
};

/// What was declared before the first run: the part of `rmdn`'s nats above the floor that a memory
/// removes at least.
const EXPECTED: [(&str, f64); 2] = [("frmdn", 0.10), ("frmdn-conditional", 0.25)];
const BASELINE: &str = "rmdn";
/// Memories that pictures show.
const SHOWN: [&str; 6] = [
    "rmdn",
    "rmdn-lowrank-cov",
    "rmdn-full",
    "frmdn",
    "frmdn-conditional",
    "frmdn-spline",
];

/// A part of a report.
pub enum Block {
    /// The first one is the title.
    Heading(String),
    /// A paragraph of Markdown.
    Text(String),
    /// Heading and rows.
    Table(Vec<String>, Vec<Vec<String>>),
    /// File beside the report, and what it shows.
    Picture(String, String),
}

/// Runs on one regime's data.
struct Regime<'a> {
    target_kl: f64,
    runs: Vec<&'a Finished>,
    /// Runs on any data: times do not depend on them.
    all: &'a [Finished],
}

impl Regime<'_> {
    fn of(&self, variant: &str) -> Vec<&Finished> {
        self.runs
            .iter()
            .copied()
            .filter(|r| r.variant == variant && r.diverged.is_none())
            .collect()
    }

    fn samples(&self, variant: &str, chosen: &dyn Fn(&TestEpisode) -> bool) -> Vec<Sample> {
        let sample = |r: &&Finished| {
            let episodes = r
                .measured
                .episodes
                .iter()
                .filter(|e| chosen(e))
                .map(TestEpisode::above)
                .collect();
            Sample::own(format!("{}/{}", r.data, r.seed), episodes).common("test episodes", 1)
        };
        self.of(variant).iter().map(sample).collect()
    }

    fn above(&self, variant: &str, chosen: &dyn Fn(&TestEpisode) -> bool) -> Option<Interval> {
        let samples = self.samples(variant, chosen);
        bootstrap(&samples, &samples, |a, _| a)
    }

    /// Part of `other`'s nats above the floor that `variant` removes.
    fn removed(&self, variant: &str, other: &str) -> Option<Interval> {
        let all = |_: &TestEpisode| true;
        bootstrap(
            &self.samples(variant, &all),
            &self.samples(other, &all),
            |a, b| 1.0 - a / b,
        )
    }

    fn floor(&self, variant: &str) -> f64 {
        let (mut floor, mut steps) = (0.0, 0.0);
        for e in self.of(variant).iter().flat_map(|r| &r.measured.episodes) {
            floor += e.floor;
            steps += e.sums.steps;
        }
        floor / f64::max(steps, 1.0)
    }

    fn sums(&self, variant: &str) -> EvaluationSums {
        let mut all = EvaluationSums::default();
        self.of(variant)
            .iter()
            .flat_map(|r| &r.measured.episodes)
            .for_each(|e| all += e.sums);
        all
    }

    /// The least of the runs of `variant` on any data, of a time that is known: other work on the
    /// machine only ever adds to it.
    fn least(&self, variant: &str, time: impl Fn(&Finished) -> f64) -> f64 {
        let known = self
            .all
            .iter()
            .filter(|r| r.variant == variant && r.diverged.is_none())
            .map(time)
            .filter(|t| *t > 0.0);
        known.fold(f64::INFINITY, f64::min)
    }

    /// Seconds of one update.
    fn seconds(&self, variant: &str) -> f64 {
        self.least(variant, |r| r.seconds_per_update)
    }

    /// Median and 99 % quantile of a step with a draw, microseconds.
    fn step_us(&self, variant: &str) -> [f64; 2] {
        [0, 1].map(|at| self.least(variant, |r| r.measured.step_us[at]))
    }

    fn mean(&self, variant: &str, value: impl Fn(&Finished) -> f64) -> f64 {
        let runs = self.of(variant);
        runs.iter().map(|r| value(r)).sum::<f64>() / runs.len().max(1) as f64
    }
}

fn percent(i: Option<Interval>) -> String {
    i.map_or("–".into(), |i| {
        format!(
            "{:+.1} % [{:+.1}, {:+.1}]",
            100.0 * i.value,
            100.0 * i.ci95[0],
            100.0 * i.ci95[1]
        )
    })
}

fn nats(i: Option<Interval>) -> String {
    i.map_or("–".into(), |i| {
        format!("{:.3} [{:.3}, {:.3}]", i.value, i.ci95[0], i.ci95[1])
    })
}

/// Held-out nats above the floor of a run after `update` updates, between two held-out losses along
/// a line.
fn at_update(run: &Finished, update: f64) -> Option<f64> {
    let at = run.curve.iter().position(|[u, _]| *u >= update);
    match at {
        None => run.curve.last().map(|[_, nats]| *nats),
        Some(0) => None,
        Some(i) => {
            let ([u0, n0], [u1, n1]) = (run.curve[i - 1], run.curve[i]);
            Some(n0 + (n1 - n0) * (update - u0) / (u1 - u0))
        }
    }
}

/// The grid that learning rate and dropout were chosen from.
pub struct Grid<'a> {
    /// Factors of the learning rate, and dropouts.
    pub points: &'a [(f64, f64)],
    /// The best for `rmdn` and for `frmdn`.
    pub chosen: [usize; 2],
    /// All of it for `rmdn`, then for `frmdn`.
    pub trials: &'a [Finished],
}

/// Writes everything into the folder; returns the path of report.md.
pub fn write(
    plan: &Likelihood,
    presets: &[&Preset],
    linear: &[Linear],
    grid: Option<Grid<'_>>,
    finished: &[Finished],
) -> Result<PathBuf> {
    let variants: Vec<String> = plan.variants.iter().map(ToString::to_string).collect();
    let plain = |r: &&Finished| r.split == "all" && r.settings.noise == 0.0;
    let mut kls: Vec<f64> = Vec::new();
    finished.iter().for_each(|r| {
        if !kls.contains(&r.target_kl) {
            kls.push(r.target_kl)
        }
    });
    let regimes: Vec<Regime<'_>> = kls
        .iter()
        .map(|&target_kl| Regime {
            target_kl,
            runs: finished
                .iter()
                .filter(plain)
                .filter(|r| r.target_kl == target_kl)
                .collect(),
            all: finished,
        })
        .collect();
    let drivers = presets[0].collect.policies();
    let mut blocks = vec![
        Block::Heading("Memories compared in likelihood".into()),
        Block::Text(format!("Made by `{}`.", plan.command)),
        Block::Text(format!(
            "{} episodes of at most {} steps a V, drivers in turn: {}; every tenth is held out to \
             stop training by. {} test episodes on tracks \
             that neither V nor M has seen. Targets are draws from V's posterior, so that the mean \
             negative log-likelihood minus their entropy \
             (the floor) is the mean KL divergence from prediction to posterior: **nats above the \
             floor**, the primary figure. Memories: {} \
             cells, {} sequences of {} steps an update, at most {} updates; the weights of the \
             best held-out likelihood are judged. Intervals: \
             95 %, from the variance of a paired hierarchical bootstrap (V and seed, and the test \
             episodes, the same for all memories) by Student's t; \
             of a single run they speak of its test episodes alone. Times of an update: one core, \
             the lower decile of the updates; \
             a step with a draw: one row; both of the quickest run.",
            presets[0].collect.episodes,
            presets[0].collect.steps,
            drivers.join(", "),
            plan.test_episodes,
            presets[0].memory.model.hidden,
            presets[0].memory.batch,
            presets[0].memory.sequence,
            presets[0].memory.updates
        )),
    ];
    if presets[0].memory.inputs == Inputs::Means {
        blocks.push(Block::Text(
            "Memories are fed V's means, not draws from its posterior; what \
            they predict are draws."
                .into(),
        ));
    }
    let mut out = Map::new();
    for (n, regime) in regimes.iter().enumerate() {
        let mine: Vec<&Linear> = linear
            .iter()
            .zip(presets)
            .filter(|(_, p)| p.vision.target_kl == regime.target_kl)
            .map(|(linear, _)| linear)
            .collect();
        blocks.extend(main_tables(regime, &variants, &drivers, &mine));
        for variant in &variants {
            if let Some(above) = regime.above(variant, &|_| true) {
                let sums = regime.sums(variant);
                let figures = json!({
                    "nats_above_floor": above.value,
                    "nats_per_step": sums.nll / sums.steps,
                    "ci95": above.ci95,
                    "floor": regime.floor(variant),
                    "seeds": regime.of(variant).len(),
                    "target_kl": regime.target_kl,
                    "removed_of_rmdn": regime.removed(variant, BASELINE).map(|i| json!({
                        "value": i.value, "ci95": i.ci95 })),
                });
                let entry = out
                    .entry(variant.clone())
                    .or_insert_with(|| if n == 0 { figures.clone() } else { json!({}) });
                entry[format!("kl{}", regime.target_kl)] = figures;
            }
        }
    }
    blocks.extend(expectations(&regimes));
    blocks.extend(claims(&regimes));
    blocks.extend(noises(plan, finished)?);
    blocks.extend(shifted(plan, finished, drivers.len()));
    if let Some(regime) = regimes.first() {
        blocks.extend(pictures(plan, regime)?);
    }
    blocks.extend(grid.iter().flat_map(searched));
    save(&plan.out, &blocks, &Value::Object(out))
}

/// Writes report.md, report.html and report.json into `folder`; returns the path of the first.
pub fn save(folder: &Path, blocks: &[Block], figures: &Value) -> Result<PathBuf> {
    write_json(&folder.join("report.json"), figures)?;
    let path = folder.join("report.md");
    let (markdown, html) = (markdown(blocks), html(blocks));
    write_atomically(&folder.join("report.html"), |w| {
        std::io::Write::write_all(w, html.as_bytes())
    })?;
    write_atomically(&path, |w| std::io::Write::write_all(w, markdown.as_bytes()))?;
    Ok(path)
}

fn searched(grid: &Grid<'_>) -> Vec<Block> {
    let text = "The same grid for both, a quarter of the updates each, on held-out episodes of the \
        first data; variants with a flow inherit \
                `frmdn`'s choice, the others `rmdn`'s.";
    let rows = grid.trials.iter().enumerate().map(|(i, t)| {
        let (family, trial) = (i / grid.points.len(), i % grid.points.len());
        let best = t
            .curve
            .iter()
            .map(|[_, nats]| *nats)
            .fold(f64::INFINITY, f64::min);
        let mark = if grid.chosen[family] == trial {
            " ← chosen"
        } else {
            ""
        };
        let dropout = grid.points[trial].1;
        vec![
            t.variant.clone(),
            format!("{:e}", t.settings.learning_rate),
            format!("{dropout}"),
            format!("{best:.3}{mark}"),
        ]
    });
    let heading = [
        "memory",
        "learning rate",
        "dropout",
        "held-out nats above the floor",
    ]
    .map(String::from)
    .to_vec();
    vec![
        Block::Heading("Learning rate and dropout".into()),
        Block::Text(text.into()),
        Block::Table(heading, rows.collect()),
    ]
}

fn main_tables(
    regime: &Regime<'_>,
    variants: &[String],
    drivers: &[&str],
    linear: &[&Linear],
) -> Vec<Block> {
    let there: Vec<&String> = variants
        .iter()
        .filter(|v| !regime.of(v).is_empty())
        .collect();
    let removed: Vec<Option<Interval>> =
        there.iter().map(|v| regime.removed(v, BASELINE)).collect();
    let others: Vec<usize> = (0..there.len())
        .filter(|&i| there[i] != BASELINE && removed[i].is_some())
        .collect();
    // The primary contrast stands alone; the rest is corrected.
    let rest: Vec<usize> = others
        .iter()
        .copied()
        .filter(|&i| there[i] != EXPECTED[0].0)
        .collect();
    let corrected = holm(
        &rest
            .iter()
            .map(|&i| removed[i].map_or(1.0, |r| r.p))
            .collect::<Vec<_>>(),
    );
    let p = |i: usize| match rest.iter().position(|&r| r == i) {
        Some(at) => format_p(corrected[at]),
        None if others.contains(&i) => {
            removed[i].map_or_else(String::new, |r| format!("{} (primary)", format_p(r.p)))
        }
        None => String::new(),
    };
    let baseline_seconds =
        regime.seconds(BASELINE) * regime.mean(BASELINE, |r| r.curve.last().map_or(0.0, |c| c[0]));
    let rows = there.iter().enumerate().map(|(i, v)| {
        let (sums, runs) = (regime.sums(v), regime.of(v));
        let all = regime.runs.iter().filter(|r| r.variant == **v).count();
        let judged = sums.evaluation();
        vec![
            (*v).clone(),
            nats(regime.above(v, &|_| true)),
            format!("{:.3}", sums.nll / sums.steps),
            percent(removed[i]),
            p(i),
            Some(regime.mean(v, |r| {
                at_update(r, baseline_seconds / regime.seconds(v)).unwrap_or(f64::NAN)
            }))
            .filter(|nats| nats.is_finite())
            .map_or("–".into(), |nats| format!("{nats:.3}")),
            format!("{:.3}", judged.reward_correlation),
            format!("{:.4}", judged.done_bce),
            format!("{}", runs.first().map_or(0, |r| r.parameters)),
            format!("{:.1}", 1e3 * regime.seconds(v)),
            format!(
                "{:.0}",
                regime.seconds(v) * regime.mean(v, |r| r.curve.last().map_or(0.0, |c| c[0]))
            ),
            format!("{:.1} / {:.1}", regime.step_us(v)[0], regime.step_us(v)[1]),
            format!("{} of {all}", all - runs.len()),
        ]
    });
    let heading = [
        "memory",
        "nats above the floor",
        "nats a step",
        "removed of rmdn's",
        "p (Holm)",
        "held out, in rmdn's time",
        "reward correlation",
        "end, nats",
        "parameters",
        "ms an update",
        "s in all",
        "µs a step, median / 99 %",
        "diverged",
    ];
    let mut blocks = vec![
        Block::Heading(format!("V at {} nats a frame", regime.target_kl)),
        Block::Text(format!(
            "Floor {:.3} nats a step; {} runs. “In rmdn's time”: held-out nats above the floor \
             after as many seconds of one core as `rmdn` \
             took for all of its updates (another number of updates along the same schedule). A \
             memory with fewer runs is compared with `rmdn`'s \
             on the same V and seed.",
            regime.floor(BASELINE),
            regime.runs.len()
        )),
        Block::Table(heading.map(String::from).to_vec(), rows.collect()),
    ];
    if !linear.is_empty() {
        let mean = |of: fn(&Linear) -> f64| {
            linear.iter().map(|l| of(l)).sum::<f64>() / linear.len() as f64
        };
        blocks.push(Block::Text(format!(
            "For scale: a linear map of the last {} latents and {} actions, fitted to {} episodes, \
             with one Gaussian that never changes stands at \
             {:.3} (diagonal) and {:.3} nats (full covariance) above the floor.",
            linear::PAST,
            linear::ACTIONS,
            linear::EPISODES,
            mean(|l| l.diagonal),
            mean(|l| l.full)
        )));
    }
    let rows = there.iter().map(|v| {
        let of = |d: usize| nats(regime.above(v, &|e: &TestEpisode| e.driver == d));
        std::iter::once((*v).clone())
            .chain((0..drivers.len()).map(of))
            .collect()
    });
    let heading = std::iter::once("memory")
        .chain(drivers.iter().copied())
        .map(String::from)
        .collect();
    blocks.push(Block::Text(
        "Nats above the floor by who drove the test episode:".into(),
    ));
    blocks.push(Block::Table(heading, rows.collect()));
    let horizons: Vec<f64> = there
        .first()
        .and_then(|v| {
            regime
                .of(v)
                .first()
                .map(|r| r.measured.open_loop.iter().map(|o| o[0]).collect())
        })
        .unwrap_or_default();
    let mut ranks = 0;
    let mut rows: Vec<Vec<String>> = there
        .iter()
        .map(|v| {
            let of = |h: usize| format!("{:.3}", regime.mean(v, |r| r.measured.open_loop[h][1]));
            let mut calibration = Calibration::default();
            regime
                .of(v)
                .iter()
                .for_each(|r| calibration += r.measured.calibration);
            let errors = [
                Calibration::error(&calibration.values),
                Calibration::error(&calibration.likelihoods),
            ];
            ranks = calibration.likelihoods.iter().sum::<u64>();
            let errors = errors.map(|e| format!("{:.1} %", 100.0 * e));
            std::iter::once((*v).clone())
                .chain((0..horizons.len()).map(of))
                .chain(errors)
                .collect()
        })
        .collect();
    if let Some(v) = there.first() {
        let of = |h: usize| format!("{:.3}", regime.mean(v, |r| r.measured.open_loop[h][2]));
        rows.push(
            std::iter::once("copy".into())
                .chain((0..horizons.len()).map(of))
                .chain(["–".into(), "–".into()])
                .collect(),
        );
    }
    let heading =
        std::iter::once("memory".to_owned()).chain(horizons.iter().map(|h| format!("{h} steps")));
    let heading = heading
        .chain(["PIT of values".into(), "PIT of likelihoods".into()])
        .collect();
    blocks.push(Block::Text(format!(
        "Open loop: squared error of the mean of eight rollouts with the real actions against V's \
         means, over the latents' variance; `copy` \
         holds the last latent. Calibration: mean distance from level of rank histograms, of each \
         value among 19 draws, and of the \
         likelihood of the whole latent among those of the draws; for {ranks} latents of a perfect \
         memory chance alone makes the latter about \
         {:.1} %.",
        100.0 * Calibration::expected_error(ranks)
    )));
    blocks.push(Block::Table(heading, rows));
    blocks
}

fn expectations(regimes: &[Regime<'_>]) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(
        "What was expected, and what came out".into(),
    )];
    for (variant, least) in EXPECTED {
        let seen: Vec<String> = regimes
            .iter()
            .filter_map(|r| {
                let i = r.removed(variant, BASELINE)?;
                let verdict = if i.value >= least && i.ci95[0] > 0.0 {
                    "as expected"
                } else {
                    "not as expected"
                };
                Some(format!(
                    "{} at {} nats a frame: {verdict}",
                    percent(Some(i)),
                    r.target_kl
                ))
            })
            .collect();
        let expected = format!(
            "`{variant}` removes at least {:.0} % of `rmdn`'s nats above the floor, interval clear \
             of zero",
            100.0 * least
        );
        blocks.push(Block::Text(format!(
            "Expected: {expected}. Seen: {}.",
            if seen.is_empty() {
                "no run yet".into()
            } else {
                seen.join("; ")
            }
        )));
    }
    blocks
}

fn claims(regimes: &[Regime<'_>]) -> Vec<Block> {
    let mut blocks = vec![Block::Heading("The paper's claims".into())];
    for regime in regimes {
        let mut answers = Vec::new();
        for few in ["frmdn:components=1", "frmdn:components=2"] {
            if let Some(i) = regime.removed(few, "rmdn:components=20") {
                answers.push(format!(
                    "fewer components needed: `{few}` removes {} of what `rmdn:components=20` is \
                     above the floor",
                    percent(Some(i))
                ));
            }
        }
        for wider in ["rmdn:components=10", "rmdn:components=20"] {
            if let (Some(i), Some(other), Some(own)) = (
                regime.removed("frmdn", wider),
                regime.of(wider).first(),
                regime.of("frmdn").first(),
            ) {
                answers.push(format!(
                    "against a wider head: `frmdn` ({} parameters, {:.1} ms an update) removes {} \
                     of what `{wider}` ({} parameters, {:.1} ms) is \
                     above the floor",
                    own.parameters,
                    1e3 * regime.seconds("frmdn"),
                    percent(Some(i)),
                    other.parameters,
                    1e3 * regime.seconds(wider)
                ));
            }
        }
        let (a, b) = (regime.of("frmdn"), regime.of(BASELINE));
        if !a.is_empty() && !b.is_empty() {
            let diverged = |v: &str| {
                regime
                    .runs
                    .iter()
                    .filter(|r| r.variant == v && r.diverged.is_some())
                    .count()
            };
            answers.push(format!(
                "only marginally harder to train: {} of {} `frmdn` and {} of {} `rmdn` runs \
                 diverged; an update takes {:.2} times `rmdn`'s",
                diverged("frmdn"),
                a.len() + diverged("frmdn"),
                diverged(BASELINE),
                b.len() + diverged(BASELINE),
                regime.seconds("frmdn") / regime.seconds(BASELINE)
            ));
            answers.push(format!(
                "fast enough for real time: a step with a draw takes {:.1} µs (99 %: {:.1} µs); \
                 Car-Racing has 50 frames a second",
                regime.step_us("frmdn")[0],
                regime.step_us("frmdn")[1]
            ));
            let model = a[0].settings.model;
            let d = model.density(32).map_or(0, |d| d.outputs());
            answers.push(format!(
                "parameters O(K d (1 + d′)): the head has K (1 + d (2 + d′)) = {d} outputs at K = \
                 {}, d = 32, d′ = {}, a full covariance {}",
                model.components,
                model.rank,
                model.components * (1 + 32 + 32 * 33 / 2)
            ));
        }
        for answer in answers {
            blocks.push(Block::Text(format!(
                "At {} nats a frame: {answer}.",
                regime.target_kl
            )));
        }
    }
    blocks
}

fn noises(plan: &Likelihood, finished: &[Finished]) -> Result<Vec<Block>> {
    let (mut rows, mut curves) = (Vec::new(), vec![Vec::new(); plan.noisy.len()]);
    let of = |variant: &str, noise: f64| -> Vec<Sample> {
        let runs = finished.iter().filter(|r| {
            r.variant == variant && r.split == "all" && r.settings.noise == noise && r.seed == 1
        });
        let runs = runs.filter(|r| finished.first().is_some_and(|first| r.data == first.data));
        runs.map(|r| {
            Sample::own(
                r.data.clone(),
                r.measured.episodes.iter().map(TestEpisode::above).collect(),
            )
        })
        .collect()
    };
    for noise in std::iter::once(0.0).chain(plan.noises.iter().copied()) {
        for (variant, curve) in plan.noisy.iter().zip(&mut curves) {
            let mine = of(&variant.to_string(), noise);
            let name = if noise == 0.0 {
                "V's posterior".to_owned()
            } else {
                format!("{noise} of the latents' sd")
            };
            let above = bootstrap(&mine, &mine, |a, _| a);
            let removed = bootstrap(&mine, &of(BASELINE, noise), |a, b| 1.0 - a / b);
            let difference = bootstrap(&of(BASELINE, noise), &mine, |a, b| a - b);
            if let (true, Some(removed)) = (noise > 0.0, removed) {
                curve.push((noise.log10(), 100.0 * removed.value));
            }
            if above.is_some() {
                rows.push(vec![
                    name,
                    variant.to_string(),
                    nats(above),
                    percent(removed),
                    nats(difference),
                ]);
            }
        }
    }
    if rows.len() <= plan.noisy.len() {
        return Ok(Vec::new());
    }
    let mut series: Vec<Series> = Vec::new();
    for (variant, mut curve) in plan
        .noisy
        .iter()
        .zip(curves)
        .filter(|(_, curve)| !curve.is_empty())
    {
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        series.push(Series::new(&variant.to_string(), curve));
    }
    let (file, title) = ("target-noise.png", "Gain against target noise");
    plot_curves(
        title,
        "log10 (noise / the latents' standard deviation)",
        "% of rmdn's nats removed",
        &series,
        &plan.out.join(file),
    )?;
    Ok(vec![
        Block::Heading(title.into()),
        Block::Text(
            "Latents drawn around V's means with another noise, in training and test; \
            first data, one seed."
                .into(),
        ),
        Block::Table(
            [
                "noise",
                "memory",
                "nats above the floor",
                "removed of rmdn's",
                "nats gained",
            ]
            .map(String::from)
            .to_vec(),
            rows,
        ),
        Block::Picture(file.into(), title.into()),
    ])
}

fn shifted(plan: &Likelihood, finished: &[Finished], drivers: usize) -> Vec<Block> {
    let last = |r: &Finished| {
        let episodes = r
            .measured
            .episodes
            .iter()
            .filter(|e| e.driver + 1 == drivers)
            .map(TestEpisode::above);
        Sample::own(r.data.clone(), episodes.collect())
    };
    let of = |variant: &str, split: &str| -> Vec<Sample> {
        let runs = finished.iter().filter(|r| {
            r.variant == variant && r.split == split && r.settings.noise == 0.0 && r.seed == 1
        });
        runs.filter(|r| {
            finished.first().is_some_and(|first| r.data == first.data) && r.diverged.is_none()
        })
        .map(last)
        .collect()
    };
    let rows: Vec<Vec<String>> = plan
        .shifted
        .iter()
        .map(ToString::to_string)
        .filter(|v| !of(v, "shifted").is_empty())
        .map(|v| {
            let interval = |split: &str| nats(bootstrap(&of(&v, split), &of(&v, split), |a, _| a));
            let removed = percent(bootstrap(
                &of(&v, "shifted"),
                &of(BASELINE, "shifted"),
                |a, b| 1.0 - a / b,
            ));
            vec![v.clone(), interval("all"), interval("shifted"), removed]
        })
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let heading = [
        "memory",
        "trained on all drivers",
        "trained without the last",
        "removed of rmdn's, shifted",
    ];
    vec![
        Block::Heading("Shifted split".into()),
        Block::Text(
            "Nats above the floor on the last driver's test episodes; first data, one seed.".into(),
        ),
        Block::Table(heading.map(String::from).to_vec(), rows),
    ]
}

fn pictures(plan: &Likelihood, regime: &Regime<'_>) -> Result<Vec<Block>> {
    let shown: Vec<&str> = SHOWN
        .into_iter()
        .filter(|v| !regime.of(v).is_empty())
        .collect();
    let mut blocks = vec![Block::Heading(format!(
        "Pictures, V at {} nats a frame",
        regime.target_kl
    ))];
    let mut add = |file: &str, title: &str, x: &str, y: &str, series: Vec<Series>| -> Result<()> {
        plot_curves(title, x, y, &series, &plan.out.join(file))?;
        blocks.push(Block::Picture(file.into(), title.into()));
        Ok(())
    };
    let curves = shown.iter().map(|v| {
        let runs = regime.of(v);
        let points = runs[0].curve.iter().enumerate().skip(1).map(|(i, [u, _])| {
            let at: Vec<f64> = runs
                .iter()
                .filter_map(|r| r.curve.get(i).map(|c| c[1]))
                .collect();
            (*u, at.iter().sum::<f64>() / at.len() as f64)
        });
        Series::new(v, points.collect())
    });
    add(
        "training.png",
        "Held-out likelihood in training",
        "update",
        "nats above the floor",
        curves.collect(),
    )?;
    let copy = |v: &str, at: usize| {
        let horizons: Vec<f64> = regime.of(v)[0]
            .measured
            .open_loop
            .iter()
            .map(|o| o[0])
            .collect();
        horizons
            .iter()
            .enumerate()
            .map(|(h, x)| (*x, regime.mean(v, |r| r.measured.open_loop[h][at])))
            .collect::<Vec<_>>()
    };
    let mut open: Vec<Series> = shown.iter().map(|v| Series::new(v, copy(v, 1))).collect();
    open.truncate(5);
    if let Some(v) = shown.first() {
        open.push(Series::new("copy", copy(v, 2)));
    }
    add(
        "open-loop.png",
        "Open-loop error",
        "steps ahead",
        "squared error / variance",
        open,
    )?;
    for (file, title, which) in [
        ("pit-values.png", "PIT of values", 0),
        ("pit-likelihoods.png", "PIT of likelihoods", 1),
    ] {
        let series = shown.iter().map(|v| {
            let mut all = Calibration::default();
            regime
                .of(v)
                .iter()
                .for_each(|r| all += r.measured.calibration);
            let counts = if which == 0 {
                all.values
            } else {
                all.likelihoods
            };
            let level = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
            Series::new(
                v,
                counts
                    .iter()
                    .enumerate()
                    .map(|(i, &c)| (i as f64, c as f64 / level))
                    .collect(),
            )
        });
        add(
            file,
            title,
            "rank among 19 draws",
            "share / level",
            series.collect(),
        )?;
    }
    Ok(blocks)
}

pub(super) fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for (i, block) in blocks.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = match block {
            Block::Heading(text) => writeln!(out, "{} {text}\n", if i == 0 { "#" } else { "##" }),
            Block::Text(text) => writeln!(out, "{text}\n"),
            Block::Table(heading, rows) => {
                let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
                let body: String = rows.iter().map(|r| line(r)).collect();
                writeln!(
                    out,
                    "{}|{}\n{body}",
                    line(heading),
                    "---|".repeat(heading.len())
                )
            }
            Block::Picture(file, title) => writeln!(out, "![{title}]({file})\n"),
        };
    }
    out
}

fn html(blocks: &[Block]) -> String {
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let title = blocks
        .iter()
        .find_map(|b| {
            if let Block::Heading(text) = b {
                Some(escape(text))
            } else {
                None
            }
        })
        .unwrap_or_default();
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta \
         charset=\"utf-8\"><title>{title}</title>\n<style>body{{font:15px/1.5 \
         sans-serif;max-width:1200px;margin:2em auto;padding:0 \
         1em}}table{{border-collapse:collapse;font-size:13px}}td,th{{border:1px solid \
         #bbb;padding:.2em \
         .5em;text-align:right}}td:first-child,th:first-child{{text-align:left}}img{{\
         max-width:100%}}</style></head><body>\n",
    );
    for (i, block) in blocks.iter().enumerate() {
        let level = if i == 0 { 1 } else { 2 };
        let _ = match block {
            Block::Heading(text) => writeln!(out, "<h{level}>{}</h{level}>", escape(text)),
            Block::Text(text) => writeln!(
                out,
                "<p>{}</p>",
                escape(text).replace("**", "").replace('`', "")
            ),
            Block::Table(heading, rows) => {
                let line = |cells: &[String], tag: &str| {
                    format!(
                        "<tr>{}</tr>\n",
                        cells
                            .iter()
                            .map(|c| format!("<{tag}>{}</{tag}>", escape(c)))
                            .collect::<String>()
                    )
                };
                let body: String = rows.iter().map(|r| line(r, "td")).collect();
                writeln!(out, "<table>\n{}{body}</table>", line(heading, "th"))
            }
            Block::Picture(file, title) => {
                writeln!(out, "<p><img src=\"{file}\" alt=\"{}\"></p>", escape(title))
            }
        };
    }
    out + "</body></html>\n"
}
