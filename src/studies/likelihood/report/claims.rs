//! What was expected before the first run, and the paper's claims, beside what came out.

use serde::Serialize;

use super::{
    BASELINE,
    figures::{Regime, percent},
};

/// The memory of the primary contrast with the baseline.
pub const PRIMARY: &str = "frmdn";

/// What was declared before the first run: the part of `rmdn`'s nats above the floor that a memory
/// removes at least.
const EXPECTED: [(&str, f64); 2] = [(PRIMARY, 0.10), ("frmdn-conditional", 0.25)];

/// A declared expectation and what was seen.
#[derive(Serialize)]
pub struct Expectation {
    variant: &'static str,
    /// Per cent that it removes at least.
    least: String,
    seen: Vec<Seen>,
}

/// What was seen in one regime.
#[derive(Serialize)]
struct Seen {
    removed: String,
    kl: String,
    met: bool,
}

pub fn expectations(regimes: &[Regime<'_>]) -> Vec<Expectation> {
    let mut out = Vec::new();
    for (variant, least) in EXPECTED {
        let mut seen = Vec::new();
        for regime in regimes {
            let Some(removed) = regime.removed(variant, BASELINE) else {
                continue;
            };
            seen.push(Seen {
                removed: percent(Some(removed)),
                kl: regime.target_kl.to_string(),
                met: removed.value >= least && removed.ci95[0] > 0.0,
            });
        }
        let least = format!("{:.0}", 100.0 * least);
        out.push(Expectation {
            variant,
            least,
            seen,
        });
    }
    out
}

/// Figures on the paper's claims in one regime.
#[derive(Serialize)]
pub struct Claims {
    kl: String,
    components: Vec<FewerComponents>,
    wider: Vec<WiderHead>,
    training: Option<Training>,
}

/// A memory with few components behind a flow against one with many and no flow.
#[derive(Serialize)]
struct FewerComponents {
    variant: &'static str,
    other: &'static str,
    removed: String,
}

/// `frmdn` against a memory with more components instead of a flow.
#[derive(Serialize)]
struct WiderHead {
    other: &'static str,
    removed: String,
    parameters: usize,
    update_ms: String,
    other_parameters: usize,
    other_update_ms: String,
}

/// Costs of `frmdn`; of pairs the second one is of `rmdn`.
#[derive(Serialize)]
struct Training {
    diverged: [usize; 2],
    runs: [usize; 2],
    update_ratio: String,
    /// Median and 99 % quantile.
    step_us: [String; 2],
    outputs: usize,
    components: usize,
    rank: usize,
    full_outputs: usize,
}

pub fn claims(regime: &Regime<'_>) -> Claims {
    let mut components = Vec::new();
    for variant in ["frmdn:components=1", "frmdn:components=2"] {
        let other = "rmdn:components=20";
        if let Some(removed) = regime.removed(variant, other) {
            let removed = percent(Some(removed));
            components.push(FewerComponents {
                variant,
                other,
                removed,
            });
        }
    }
    let wider = ["rmdn:components=10", "rmdn:components=20"];
    Claims {
        kl: regime.target_kl.to_string(),
        components,
        wider: wider
            .into_iter()
            .filter_map(|other| wider_head(regime, other))
            .collect(),
        training: training(regime),
    }
}

fn wider_head(regime: &Regime<'_>, other: &'static str) -> Option<WiderHead> {
    let update_ms = |variant: &str| format!("{:.1}", 1e3 * regime.seconds(variant));
    Some(WiderHead {
        other,
        removed: percent(Some(regime.removed(PRIMARY, other)?)),
        parameters: regime.trained(PRIMARY).first()?.parameters,
        update_ms: update_ms(PRIMARY),
        other_parameters: regime.trained(other).first()?.parameters,
        other_update_ms: update_ms(other),
    })
}

/// `None` before both memories have a run.
fn training(regime: &Regime<'_>) -> Option<Training> {
    let both = [PRIMARY, BASELINE];
    let [trained, baseline] = both.map(|variant| regime.trained(variant));
    let model = trained.first()?.settings.model;
    baseline.first()?;
    let diverged = both.map(|variant| regime.diverged(variant));
    let update_ratio = regime.seconds(PRIMARY) / regime.seconds(BASELINE);
    Some(Training {
        diverged,
        runs: [trained.len() + diverged[0], baseline.len() + diverged[1]],
        update_ratio: format!("{update_ratio:.2}"),
        step_us: regime.step_us(PRIMARY).map(|us| format!("{us:.1}")),
        outputs: model.density(32).map_or(0, |density| density.outputs()),
        components: model.components,
        rank: model.rank,
        full_outputs: model.components * (1 + 32 + 32 * 33 / 2),
    })
}
