//! Scores of many episodes, and their mean and interval.

use frmdn_env::{Better, EnvSpec};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean, standard deviation and interval of a list of scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n − 1).
    pub sd: f64,
    /// 95 % confidence interval of the mean, Student's t with n − 1 degrees of freedom.
    pub ci95: [f64; 2],
}

impl Summary {
    /// The summary of one score or more. With a single score the interval is that point.
    pub fn of(scores: &[f64]) -> Self {
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        if scores.len() < 2 {
            return Self {
                mean,
                sd: 0.0,
                ci95: [mean, mean],
            };
        }
        let sd = (scores.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / (n - 1.0)).sqrt();
        let half = student_t_975(n - 1.0) * sd / n.sqrt();
        Self {
            mean,
            sd,
            ci95: [mean - half, mean + half],
        }
    }
}

/// Wilson's 95 % interval of a share of `n` trials.
pub fn wilson(share: f64, n: usize) -> [f64; 2] {
    let (n, z) = (n as f64, 1.959_964);
    let middle = share + z * z / (2.0 * n);
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    [middle - half, middle + half].map(|end| (end / (1.0 + z * z / n)).clamp(0.0, 1.0))
}

/// The 97.5 % quantile of Student's t with `df` > 0 degrees of freedom.
pub(crate) fn student_t_975(df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).map_or(f64::NAN, |t| t.inverse_cdf(0.975))
}

/// The outcome of an evaluation, as `evaluate --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean score.
    pub mean: f64,
    /// Standard deviation of the scores.
    pub sd: f64,
    /// 95 % interval of the mean.
    pub ci95: [f64; 2],
    /// Number of episodes.
    pub episodes: usize,
    /// The first seed, and the last one plus 1.
    pub seeds: [u64; 2],
    /// Name of the environment.
    pub environment: String,
    /// Rule under which the scores were counted.
    pub rule: String,
    /// Share of episodes that completed the task (finished the lap), 0 to 1.
    pub completed: f64,
    /// Share of episodes that ended at a standstill: the car did not move in the last 100 steps or
    /// more. 0 where the environment cannot tell.
    #[serde(default, rename = "stopped", alias = "standstill")]
    pub standstill: f64,
    /// Share of episodes that were not completed and made no progress in the last 100 steps or
    /// more, those at a standstill included.
    #[serde(default, rename = "lost", alias = "no_progress")]
    pub no_progress: f64,
    /// Mean number of steps of an episode.
    pub steps: f64,
    /// One score per seed, in the order of the seeds.
    pub scores: Vec<f64>,
    /// Means over the episodes of what the environment measured last; empty where it was not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<MeanMeasurement>,
}

/// The mean over episodes of what an environment measured in their last steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanMeasurement {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Whether higher values are better; `None`: it only describes.
    pub higher_is_better: Option<bool>,
    /// The mean.
    pub mean: f64,
    /// Whether it was 0 or 1 in every episode, so that the mean is a share of them.
    #[serde(default)]
    pub is_share: bool,
    /// 95 % interval of the mean: Student's, of a share Wilson's; `None` of a single episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[f64; 2]>,
    /// Of progress whose largest value is known: the mean share of it, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_most: Option<f64>,
}

impl Evaluation {
    /// The evaluation of `outcomes`, which are those of consecutive seeds from `first` on.
    pub fn of(outcomes: &[super::Outcome], first: u64, environment: &str, rule: &str) -> Self {
        let scores: Vec<f64> = outcomes.iter().map(|o| o.score).collect();
        let Summary { mean, sd, ci95 } = Summary::of(&scores);
        let n = outcomes.len() as f64;
        let share =
            |is: fn(&super::Outcome) -> bool| outcomes.iter().filter(|o| is(o)).count() as f64 / n;
        Self {
            mean,
            sd,
            ci95,
            episodes: outcomes.len(),
            seeds: [first, first + outcomes.len() as u64],
            environment: environment.to_owned(),
            rule: rule.to_owned(),
            completed: share(|o| o.completed),
            standstill: share(super::Outcome::ended_at_standstill),
            no_progress: share(super::Outcome::ended_without_progress),
            steps: outcomes.iter().map(|o| f64::from(o.steps)).sum::<f64>() / n,
            scores,
            measurements: Vec::new(),
        }
    }

    /// The same with the means of what the environment `spec` measured in the last steps of
    /// `outcomes`.
    #[must_use]
    pub fn measured(mut self, outcomes: &[super::Outcome], spec: &EnvSpec) -> Self {
        let of_most = |i: usize| {
            let is_progress = spec.progress.as_ref().is_some_and(|p| p.value == i);
            let shares = outcomes.iter().filter_map(|o| {
                let (now, most) = o.progress.filter(|_| is_progress)?;
                (most > 0.0).then_some(now / most)
            });
            let shares: Vec<f64> = shares.collect();
            let is_whole = !shares.is_empty() && shares.len() == outcomes.len();
            is_whole.then(|| Summary::of(&shares).mean)
        };
        self.measurements = spec
            .measurements
            .iter()
            .enumerate()
            .map(|(i, measurement)| {
                let values = outcomes.iter().filter_map(|o| o.measured.get(i).copied());
                let values: Vec<f64> = values.collect();
                let Summary { mean, ci95, .. } = Summary::of(&values);
                let is_share = measurement.unit.is_empty()
                    && measurement.better != Better::Neither
                    && values.iter().all(|value| [0.0, 1.0].contains(value));
                let ci95 = match is_share {
                    true => wilson(mean, values.len()),
                    false => ci95,
                };
                MeanMeasurement {
                    name: measurement.name.to_string(),
                    unit: measurement.unit.to_string(),
                    higher_is_better: match measurement.better {
                        Better::Higher => Some(true),
                        Better::Lower => Some(false),
                        Better::Neither => None,
                    },
                    mean,
                    is_share,
                    ci95: (values.len() > 1).then_some(ci95),
                    of_most: of_most(i),
                }
            })
            .collect();
        self
    }

    /// Whether all of several episodes came to the same score in the same number of steps: then one
    /// episode was driven again and again, and an interval would say nothing.
    pub fn is_one_episode(&self) -> bool {
        let first = self.scores.first();
        self.episodes > 1
            && self.scores.iter().all(|score| Some(score) == first)
            && self.steps.fract() == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.binomtest(k, n).proportion_ci(method="wilson") of 5 of 10, 0 of 20 and 94 of 100.
    #[test]
    fn intervals_of_shares() {
        for (share, n, [low, high]) in [
            (0.5, 10, [0.236_59, 0.763_41]),
            (0.0, 20, [0.0, 0.161_13]),
            (0.94, 100, [0.875_23, 0.972_21]),
        ] {
            let found = wilson(share, n);
            assert!(
                (found[0] - low).abs() < 1e-4 && (found[1] - high).abs() < 1e-4,
                "{found:?}"
            );
        }
    }

    /// scipy.stats.t.ppf(0.975, df) for df = 1, 10, 31, 99: 12.7062, 2.2281, 2.0395, 1.9842.
    #[test]
    fn the_points_of_student() {
        for (df, t) in [
            (1.0, 12.7062),
            (10.0, 2.2281),
            (31.0, 2.0395),
            (99.0, 1.9842),
        ] {
            assert!(
                (student_t_975(df) - t).abs() < 5e-5,
                "{df} {}",
                student_t_975(df)
            );
        }
    }

    /// Hand calculation: scores 1, 2, 3, 4: mean 2.5, sd √(5/3) = 1.29099, half width 3.18245 ·
    /// 1.29099/2 = 2.05426.
    #[test]
    fn summary_of_four() {
        let s = Summary::of(&[1.0, 2.0, 3.0, 4.0]);
        assert!((s.mean - 2.5).abs() < 1e-12 && (s.sd - 1.290_994_4).abs() < 1e-6);
        assert!((s.ci95[1] - 4.554_26).abs() < 1e-5 && (s.ci95[0] - 0.445_74).abs() < 1e-5);
    }
}
