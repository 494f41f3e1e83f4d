//! Studies: memories compared in likelihood and in score by protocol, agents under changes that
//! they were not trained with, and densities of sequences that are no worlds.
//!
//! A study is a folder of finished runs and a report made from them. A stopped command resumes when
//! it is typed again, and another variant or seed costs only its own runs.

mod data;
mod density;
mod headroom;
mod likelihood;
mod predictor;
mod progress;
mod queue;
mod report;
mod robustness;
mod score;
mod seeds;
mod spec;
mod statistics;
mod store;

pub use density::{DensityKind, DensityStudy, Draws, Trained, density, draw};
pub use headroom::{Headroom, headroom};
pub use likelihood::{Likelihood, likelihood};
pub use robustness::{Robustness, robustness};
pub use score::{Experiment, Scale, Score, score};
pub use seeds::{Group, Seeds, seeds};
pub use spec::Spec;
use spec::distinct;
