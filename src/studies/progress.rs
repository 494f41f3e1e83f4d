//! Combined progress of parallel trainings.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{run::Reporter, stages::Context};

/// The sum of the progress of several trainings.
pub struct Progress<'a> {
    context: &'a Context<'a>,
    done: AtomicU64,
}

impl<'a> Progress<'a> {
    /// Nothing is done yet.
    pub fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            done: AtomicU64::new(0),
        }
    }

    /// The context of a training that reports its progress through `part`.
    pub fn context<'b>(&self, part: &'b Part<'b>) -> Context<'b>
    where
        'a: 'b,
    {
        Context {
            report: part,
            ..*self.context
        }
    }
}

/// The progress of one training.
pub struct Part<'a> {
    all: &'a Progress<'a>,
    name: String,
    at: AtomicU64,
    /// Seconds of the updates, and when the last one ended.
    times: Mutex<(Vec<f64>, Option<Instant>)>,
}

impl<'a> Part<'a> {
    /// The part of the training called `name`.
    pub fn new(all: &'a Progress<'a>, name: String) -> Self {
        Self {
            all,
            name,
            at: AtomicU64::new(0),
            times: Mutex::default(),
        }
    }

    /// The lower decile of the times of an update, which other work on the machine hardly changes;
    /// 0 if none was timed.
    pub fn seconds_per_update(&self) -> f64 {
        let mut times = self
            .times
            .lock()
            .expect("no thread panics while it holds the times")
            .0
            .clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 10).copied().unwrap_or_default()
    }
}

impl Reporter for Part<'_> {
    fn begin(&self, _: &str, _: &str, done: u64, _: u64) {
        self.all.done.fetch_add(done, Ordering::Relaxed);
        self.at.store(done, Ordering::Relaxed);
    }

    fn advance(&self, done: u64, note: &str) {
        {
            let (times, last) = &mut *self
                .times
                .lock()
                .expect("no thread panics while it holds the times");
            let now = Instant::now();
            times.extend(last.map(|last| (now - last).as_secs_f64()));
            *last = Some(now);
        }
        let before = self.at.swap(done, Ordering::Relaxed);
        let all = self.all.done.fetch_add(done - before, Ordering::Relaxed) + done - before;
        self.all
            .context
            .report
            .advance(all, &format!("{}: {note}", self.name));
    }

    fn end(&self) {}

    fn say(&self, line: &str) {
        tracing::debug!("{}: {line}", self.name);
    }
}
