//! Acting in real environments: batched over episodes in each thread, parallel over threads.
//!
//! A result depends on weights and seeds only: every row of a batch is computed independently of
//! the other rows, so neither the number of threads nor the episodes of a batch change it.

mod acting;
mod blackout;
mod correlation;
mod driver;
mod driving;
mod error;
mod evaluation;
mod open_loop;
mod outcome;
mod planner;
mod policy;
mod start;
mod watcher;

pub use acting::ActingModel;
pub use blackout::Blackout;
pub use correlation::spearman;
pub use driver::{DriveOptions, Driver, Job, Who};
pub use driving::{Driving, driving};
pub use error::DriveError;
pub(crate) use evaluation::student_t_975;
pub use evaluation::{Evaluation, MeanMeasurement, Summary, wilson};
pub use open_loop::{Brownian, Bursts, OpenLoop, OpenLoopDriver};
pub use outcome::{Outcome, progress_json};
pub use planner::{PLANNED_STEPS, WATCHED_STEPS};
pub use policy::Policy;
pub use start::StartPoint;
pub use watcher::{Moment, Seen, Watcher};
