//! Figures of results with their intervals.

use super::finished::Outcome;
use crate::studies::{
    score::figures::iqm,
    statistics::{Interval, Sample, bootstrap, bootstrap_of},
};

/// One sample a cell, of the values of all its results.
pub fn samples<T>(
    outcomes: &[&Outcome<T>],
    values: impl Fn(&Outcome<T>) -> Vec<[f64; 2]>,
) -> Vec<Sample> {
    let mut out: Vec<Sample> = Vec::new();
    for outcome in outcomes {
        let cell = outcome.cell();
        match out.iter_mut().find(|s| s.cell == cell) {
            Some(sample) => sample.episodes.extend(values(outcome)),
            None => out.push(Sample::own(cell, values(outcome))),
        }
    }
    out
}

/// The same of values that all memories on the same data have in common: the bank's.
pub fn bank_samples<T>(
    outcomes: &[&Outcome<T>],
    values: impl Fn(&Outcome<T>) -> Vec<[f64; 2]>,
) -> Vec<Sample> {
    let shared = |sample: Sample| {
        let data = data_of(&sample.cell).to_owned();
        sample.common(&data, 1)
    };
    samples(outcomes, values).into_iter().map(shared).collect()
}

/// The data's part of the name of a cell.
pub fn data_of(cell: &str) -> &str {
    cell.split('/').next().unwrap_or_default()
}

pub fn mean(samples: &[Sample]) -> Option<Interval> {
    bootstrap(samples, samples, |a, _| a)
}

/// Interquartile mean of all values together.
pub fn pooled_iqm(samples: &[Sample]) -> Option<Interval> {
    let pooled = |cells: &[Vec<[f64; 2]>]| {
        let values: Vec<f64> = cells.iter().flatten().map(|e| e[0]).collect();
        iqm(&values)
    };
    bootstrap_of(samples, samples, pooled, |a, _| a)
}

/// The difference of two memories in results with the same random numbers, which may not all be
/// finished yet. A single pair gives no estimate of its variance.
pub fn paired_difference<T>(
    a: &[&Outcome<T>],
    b: &[&Outcome<T>],
    value: impl Fn(&Outcome<T>) -> Vec<[f64; 2]>,
) -> Option<Interval> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for a in a {
        if let Some(b) = b.iter().find(|b| a.is_paired_with(b)) {
            first.push(*a);
            second.push(*b);
        }
    }
    if first.len() < 2 {
        return None;
    }
    let [first, second] = [first, second].map(|outcomes| samples(&outcomes, &value));
    bootstrap(&first, &second, |a, b| a - b)
}

/// A figure with its interval; a single value has none.
pub fn format_interval(interval: Option<Interval>, digits: usize) -> String {
    let Some(Interval { value, ci95, .. }) = interval else {
        return "–".into();
    };
    let [low, high] = ci95;
    if low == high {
        format!("{value:.digits$}")
    } else {
        format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
    }
}

/// Whether an interval is above zero, below, or neither, and the interval.
pub fn format_comparison(interval: Option<Interval>, digits: usize) -> String {
    let Some(i) = interval else {
        return "not measured yet".into();
    };
    let word = match i.ci95 {
        [low, _] if low > 0.0 => "higher",
        [_, high] if high < 0.0 => "lower",
        _ => "no difference seen",
    };
    format!("{word}: {}", format_interval(interval, digits))
}
