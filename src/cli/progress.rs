//! Progress on the terminal: bars on a terminal, a log line now and then in a file.

use std::{
    io::{IsTerminal, Write},
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;

use crate::run::Reporter;

/// Time between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(10);

struct Work {
    what: String,
    unit: String,
    start: u64,
    total: u64,
    began: Instant,
    logged: Instant,
    bar: Option<ProgressBar>,
}

/// Standard error: a terminal or a file.
pub struct Terminal {
    work: Mutex<Option<Work>>,
}

impl Terminal {
    /// Sets up the log (`FRMDN_LOG` chooses levels, default `info`; `FRMDN_LOG_FORMAT=json` gives
    /// JSON lines).
    pub fn start() -> Self {
        let filter =
            EnvFilter::try_from_env("FRMDN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_target(false);
        let json = std::env::var("FRMDN_LOG_FORMAT").is_ok_and(|v| v == "json");
        // A second subscriber (in tests) is no reason to fail.
        let _ = if json {
            log.json().try_init()
        } else {
            log.with_ansi(std::io::stderr().is_terminal())
                .compact()
                .try_init()
        };
        Self {
            work: Mutex::new(None),
        }
    }

    /// The last line of a failed command.
    pub fn error(&self, text: &str) {
        self.end();
        // Nothing can be done if standard error is gone.
        let _ = writeln!(std::io::stderr(), "error: {text}");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Work>> {
        self.work
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A span of time in a readable unit.
pub fn span(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5400.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

/// A rate in the shortest unit of time in which something is done.
fn pace(per_second: f64) -> String {
    if per_second >= 1.0 {
        format!("{per_second:.1}/s")
    } else if per_second >= 1.0 / 60.0 {
        format!("{:.1}/min", per_second * 60.0)
    } else {
        format!("{:.1}/h", per_second * 3600.0)
    }
}

impl Reporter for Terminal {
    fn begin(&self, what: &str, unit: &str, done: u64, total: u64) {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = format!(
                "{{prefix:>10}} {{bar:28}} {{pos}}/{{len}} {unit} · {{per_sec}} \
                · ETA {{eta}} · {{msg}}"
            );
            let style = ProgressStyle::with_template(&template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(total)
                .with_style(style)
                .with_prefix(what.to_owned());
            bar.set_position(done);
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        if bar.is_none() {
            tracing::info!("{what}: {done} of {total} {unit} done");
        }
        let now = Instant::now();
        *self.lock() = Some(Work {
            what: what.into(),
            unit: unit.into(),
            start: done,
            total,
            began: now,
            logged: now,
            bar,
        });
    }

    fn advance(&self, done: u64, note: &str) {
        let mut guard = self.lock();
        let Some(work) = guard.as_mut() else { return };
        if let Some(bar) = &work.bar {
            bar.set_position(done);
            bar.set_message(note.to_owned());
        } else if work.logged.elapsed() >= PAUSE || done >= work.total {
            work.logged = Instant::now();
            let seconds = work.began.elapsed().as_secs_f64().max(1e-9);
            let rate = done.saturating_sub(work.start) as f64 / seconds;
            let left = work.total.saturating_sub(done) as f64 / rate.max(1e-9);
            let Work {
                what, total, unit, ..
            } = work;
            tracing::info!(
                "{what}: {done}/{total} {unit} · {} · ETA {} · {note}",
                pace(rate),
                span(left)
            );
        }
    }

    fn end(&self) {
        if let Some(work) = self.lock().take() {
            let seconds = work.began.elapsed().as_secs_f64();
            match work.bar {
                Some(bar) => bar.finish(),
                None => tracing::info!("{}: {seconds:.1} s", work.what),
            }
        }
    }

    fn say(&self, line: &str) {
        match self.lock().as_ref().and_then(|w| w.bar.as_ref()) {
            Some(bar) => bar.suspend(|| tracing::info!("{line}")),
            None => tracing::info!("{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_is_counted_by_the_minute_and_by_the_hour() {
        assert_eq!(
            [1234.56, 1.0, 0.02, 0.01].map(pace),
            ["1234.6/s", "1.0/s", "1.2/min", "36.0/h"]
        );
        assert_eq!(
            [89.0, 300.0, 9000.0].map(span),
            ["89 s", "5.0 min", "2.5 h"]
        );
    }
}
