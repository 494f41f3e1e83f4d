//! Figures of the memories of one regime, and how they are printed.

use crate::{
    memory::{Calibration, EvaluationSums},
    studies::{
        likelihood::judge::{Finished, TestEpisode},
        statistics::{Interval, Sample, bootstrap},
    },
};

/// Runs on the data of one KL target of V.
pub struct Regime<'a> {
    pub target_kl: f64,
    pub runs: Vec<&'a Finished>,
    /// Runs on any data: times do not depend on them.
    pub all: &'a [Finished],
}

impl Regime<'_> {
    /// The runs of `variant` that did not diverge.
    pub fn trained(&self, variant: &str) -> Vec<&Finished> {
        self.runs
            .iter()
            .copied()
            .filter(|r| r.variant == variant && r.diverged.is_none())
            .collect()
    }

    /// Those of `variants` that have such runs.
    pub fn trained_variants<'v>(&self, variants: &'v [String]) -> Vec<&'v str> {
        variants
            .iter()
            .map(String::as_str)
            .filter(|variant| !self.trained(variant).is_empty())
            .collect()
    }

    /// Number of runs of `variant` that diverged.
    pub fn diverged(&self, variant: &str) -> usize {
        self.runs
            .iter()
            .filter(|r| r.variant == variant && r.diverged.is_some())
            .count()
    }

    fn samples(&self, variant: &str, include: impl Fn(&TestEpisode) -> bool) -> Vec<Sample> {
        let sample = |run: &Finished| {
            let episodes = run.measured.episodes.iter().filter(|e| include(e));
            let episodes = episodes.map(TestEpisode::above).collect();
            Sample::own(format!("{}/{}", run.data, run.seed), episodes).common("test episodes", 1)
        };
        self.trained(variant).into_iter().map(sample).collect()
    }

    /// Nats a step above the floor on the test episodes that are included.
    pub fn above_floor(
        &self,
        variant: &str,
        include: impl Fn(&TestEpisode) -> bool,
    ) -> Option<Interval> {
        let samples = self.samples(variant, include);
        bootstrap(&samples, &samples, |a, _| a)
    }

    /// Part of `other`'s nats above the floor that `variant` removes.
    pub fn removed(&self, variant: &str, other: &str) -> Option<Interval> {
        let [samples, others] = [variant, other].map(|v| self.samples(v, |_| true));
        bootstrap(&samples, &others, |a, b| 1.0 - a / b)
    }

    /// Entropy of the targets, nats a step.
    pub fn floor(&self, variant: &str) -> f64 {
        let (mut floor, mut steps) = (0.0, 0.0);
        for run in self.trained(variant) {
            for episode in &run.measured.episodes {
                floor += episode.floor;
                steps += episode.sums.steps;
            }
        }
        floor / f64::max(steps, 1.0)
    }

    /// Sums over all test episodes of all runs.
    pub fn sums(&self, variant: &str) -> EvaluationSums {
        let mut all = EvaluationSums::default();
        for run in self.trained(variant) {
            for episode in &run.measured.episodes {
                all += episode.sums;
            }
        }
        all
    }

    /// Ranks of all runs.
    pub fn calibration(&self, variant: &str) -> Calibration {
        let mut all = Calibration::default();
        for run in self.trained(variant) {
            all += run.measured.calibration;
        }
        all
    }

    /// The least of the runs of `variant` on any data, of a time that is known: other work on the
    /// machine only ever adds to it.
    fn least(&self, variant: &str, time: impl Fn(&Finished) -> f64) -> f64 {
        self.all
            .iter()
            .filter(|r| r.variant == variant && r.diverged.is_none())
            .map(time)
            .filter(|t| *t > 0.0)
            .fold(f64::INFINITY, f64::min)
    }

    /// Seconds of one update.
    pub fn seconds(&self, variant: &str) -> f64 {
        self.least(variant, |r| r.seconds_per_update)
    }

    /// Median and 99 % quantile of a step with a draw, microseconds.
    pub fn step_us(&self, variant: &str) -> [f64; 2] {
        [0, 1].map(|at| self.least(variant, |r| r.measured.step_us[at]))
    }

    /// Mean of a figure over the runs of `variant`.
    pub fn mean(&self, variant: &str, value: impl Fn(&Finished) -> f64) -> f64 {
        let runs = self.trained(variant);
        runs.iter().map(|r| value(r)).sum::<f64>() / runs.len().max(1) as f64
    }

    /// Mean number of updates.
    pub fn updates(&self, variant: &str) -> f64 {
        self.mean(variant, |r| r.curve.last().map_or(0.0, |c| c[0]))
    }

    /// Steps ahead at which the open-loop errors of `variant` were taken.
    pub fn horizons(&self, variant: &str) -> Vec<f64> {
        let runs = self.trained(variant);
        let horizons = |run: &&Finished| run.measured.open_loop.iter().map(|o| o[0]).collect();
        runs.first().map(horizons).unwrap_or_default()
    }

    /// Open-loop errors of `variant` and of `copy` at its horizon number `horizon`.
    pub fn open_loop(&self, variant: &str, horizon: usize) -> [f64; 2] {
        [1, 2].map(|at| self.mean(variant, |r| r.measured.open_loop[horizon][at]))
    }
}

/// A part as signed per cent with its interval.
pub fn percent(interval: Option<Interval>) -> String {
    let Some(i) = interval else {
        return "–".into();
    };
    let [value, low, high] = [i.value, i.ci95[0], i.ci95[1]].map(|part| 100.0 * part);
    format!("{value:+.1} % [{low:+.1}, {high:+.1}]")
}

/// Nats with their interval.
pub fn nats(interval: Option<Interval>) -> String {
    interval.map_or("–".into(), |i| {
        format!("{:.3} [{:.3}, {:.3}]", i.value, i.ci95[0], i.ci95[1])
    })
}
