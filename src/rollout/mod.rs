//! Acting in real environments: batched over episodes in each thread, parallel over threads.
//!
//! A result depends on weights and seeds alone: every row of a batch is computed independently of
//! the other rows, so neither the number of threads nor which episodes share a batch can change it.

mod acting;
mod blackout;
mod blind;
mod driving;
mod evaluation;
mod policy;

pub use acting::{ActingModel, DriveOptions, Job, Observer, Outcome, View};
pub use blackout::Blackout;
pub use blind::{Blind, BlindDriver, Brownian};
pub(crate) use driving::AHEAD;
pub use driving::{Driving, driving};
pub(crate) use evaluation::student_t_975;
pub use evaluation::{Evaluation, Summary};
pub use policy::{AgentDriven, Driven, EpisodeObserver, Policy, step, watch};
