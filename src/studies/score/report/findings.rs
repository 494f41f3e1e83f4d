//! What all experiments contribute to: contrasts, expectations, and figures of report.json.

use serde_json::{Map, Value, json};

use super::intervals::{format_comparison, format_interval};
use crate::studies::{
    report::Table,
    statistics::{Interval, format_p, holm},
};

/// The difference of two memories in some figure.
struct Contrast {
    name: String,
    interval: Interval,
    is_primary: bool,
}

/// The findings of the experiments so far.
#[derive(Default)]
pub struct Findings {
    contrasts: Vec<Contrast>,
    /// Experiment, what was expected, what came out.
    expectations: Vec<Vec<String>>,
    /// Experiment, variant, name of the figure.
    pub figures: Map<String, Value>,
}

impl Findings {
    pub fn add_contrast(&mut self, name: String, interval: Option<Interval>) {
        self.contrasts.extend(interval.map(|interval| Contrast {
            name,
            interval,
            is_primary: false,
        }));
    }

    pub fn add_primary_contrast(&mut self, name: String, interval: Option<Interval>) {
        self.contrasts.extend(interval.map(|interval| Contrast {
            name,
            interval,
            is_primary: true,
        }));
    }

    /// An expectation, and the difference that came out.
    pub fn add_expectation(
        &mut self,
        experiment: &str,
        expected: &str,
        difference: Option<Interval>,
        digits: usize,
    ) {
        let seen = format_comparison(difference, digits);
        self.expectations
            .push(vec![experiment.into(), expected.into(), seen]);
    }

    /// A figure of a variant in report.json.
    pub fn add_figure(
        &mut self,
        experiment: &str,
        variant: &str,
        name: &str,
        interval: Option<Interval>,
    ) {
        let Some(i) = interval else { return };
        let figures = self.figures.entry(experiment).or_insert_with(|| json!({}));
        figures[variant][name] = json!({ "value": i.value, "ci95": i.ci95 });
    }

    pub fn expectations(&self) -> Table {
        let heading = ["experiment", "expected", "came out"];
        Table::new(&heading, self.expectations.clone())
    }

    /// All contrasts, the primary one first; the others are corrected for their number.
    pub fn contrasts(&self) -> Option<Table> {
        if self.contrasts.is_empty() {
            return None;
        }
        let row = |contrast: &Contrast, p: String| {
            let interval = format_interval(Some(contrast.interval), 3);
            vec![contrast.name.clone(), interval, p]
        };
        let (primary, others): (Vec<&Contrast>, Vec<&Contrast>) =
            self.contrasts.iter().partition(|c| c.is_primary);
        let mut rows = Vec::new();
        for contrast in primary {
            let p = format!("{} (primary)", format_p(contrast.interval.p));
            rows.push(row(contrast, p));
        }
        let p_values: Vec<f64> = others.iter().map(|c| c.interval.p).collect();
        for (contrast, p) in others.iter().zip(holm(&p_values)) {
            rows.push(row(contrast, format_p(p)));
        }
        Some(Table::new(&["difference", "value", "p (Holm)"], rows))
    }
}
