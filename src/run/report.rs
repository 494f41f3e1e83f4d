//! Progress reports and the stop flag of a stage; `cli` implements them for the terminal.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Set once by Ctrl-C; stages look at it between updates, generations and episodes.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks every stage to save and stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether to save and stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Receives the progress of long work.
pub trait Reporter: Sync {
    /// Work of `total` steps begins, `done` of which were done earlier. `unit` is a
    /// plural, for example `updates`.
    fn begin(&self, what: &str, unit: &str, done: u64, total: u64);
    /// `done` steps are done in all; `note` is a short line of the latest figures.
    fn advance(&self, done: u64, note: &str);
    /// The work is finished (or stopped).
    fn end(&self);
    /// A line about something that is finished.
    fn say(&self, line: &str);
}

/// Reports nothing.
impl Reporter for () {
    fn begin(&self, _: &str, _: &str, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: &str) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
}
