//! Memories side by side by protocol: which predicts best, and what for; and agents under changes
//! they were not trained with.
//!
//! A comparison is a folder of finished runs, one JSON file each, and a report made from all there
//! are: stopped, it goes on with the same command, and another variant or seed costs only its own
//! runs.

mod data;
mod likelihood;
mod progress;
mod queue;
mod report;
mod robustness;
mod score;
mod spec;
mod statistics;
mod store;

pub use likelihood::{Likelihood, likelihood};
pub use robustness::{Robustness, robustness};
pub use score::{Experiment, Scale, Score, score};
pub use spec::Spec;
use spec::distinct;
