//! Progress on the terminal: bars on a terminal, a log line now and then in a file.

use std::{
    fmt,
    io::{IsTerminal, Write},
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

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

/// Where messages go. What only tells must not stop what works: a message that cannot be written,
/// because the reader is gone or the disk is full, or for which a slow reader has no room, is lost.
#[derive(Clone)]
pub enum Teller {
    /// A terminal, which bars share.
    Terminal,
    /// A file or a pipe, which a thread of its own writes to.
    File(NonBlocking),
}

impl Teller {
    /// Writes a line.
    pub fn line(&self, text: &str) {
        // Lost if it cannot be written.
        let _ = writeln!(self.make_writer(), "{text}");
    }

    /// Gives the lines before it time to be written.
    pub fn flush(&self) {
        if let Self::File(_) = self {
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

/// A writer that is never an error.
pub struct Lossy(Teller);

impl Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = match &mut self.0 {
            Teller::Terminal => std::io::stderr().write_all(bytes),
            Teller::File(file) => file.write_all(bytes),
        };
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Teller {
    type Writer = Lossy;

    fn make_writer(&self) -> Lossy {
        Lossy(self.clone())
    }
}

/// Standard error: a terminal or a file.
pub struct Terminal {
    teller: Teller,
    work: Mutex<Option<Work>>,
    /// Writes what is left when it is dropped.
    _rest: Option<WorkerGuard>,
}

impl Terminal {
    /// Sets up the log (`FRMDN_LOG` chooses levels, default `info`; `FRMDN_LOG_FORMAT=json` gives
    /// JSON lines; `NO_COLOR` leaves out colours).
    pub fn start() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let (teller, rest) = if is_terminal {
            (Teller::Terminal, None)
        } else {
            let builder = NonBlockingBuilder::default().lossy(true);
            let (file, rest) = builder.finish(std::io::stderr());
            (Teller::File(file), Some(rest))
        };
        let filter =
            EnvFilter::try_from_env("FRMDN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(teller.clone())
            .log_internal_errors(false)
            .with_target(false);
        let json = std::env::var("FRMDN_LOG_FORMAT").is_ok_and(|v| v == "json");
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // A second subscriber (in tests) is no reason to fail.
        let _ = if json {
            log.json().try_init()
        } else {
            log.with_ansi(is_terminal && !no_colour)
                .compact()
                .try_init()
        };
        Self {
            teller,
            work: Mutex::new(None),
            _rest: rest,
        }
    }

    /// Where messages go.
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// The last line of a failed command.
    pub fn error(&self, text: &str) {
        self.end();
        self.teller.line(&format!("error: {text}"));
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
                "{{prefix:>10}} {{bar:28}} {{pos}}/{{len}} {unit} · {{pace}} · ETA {{eta}} · \
                 {{msg}}"
            );
            let style = ProgressStyle::with_template(&template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .with_key("pace", |state: &ProgressState, out: &mut dyn fmt::Write| {
                    // A line that cannot be written is lost.
                    let _ = out.write_str(&pace(state.per_sec()));
                });
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
                // What was interrupted stays where it is.
                Some(bar) if Some(bar.position()) < bar.length() => bar.abandon(),
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
