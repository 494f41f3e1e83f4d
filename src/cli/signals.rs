//! What ends the program from outside: Ctrl-C, `kill`, a terminal that is closed.

use std::{thread, time::Duration};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::progress::Teller;
use crate::run::Interrupt;

/// Exit code of an interrupted command.
pub const EXIT: u8 = 130;

/// Time that a command has for stopping by itself, if nothing of it is kept anyway.
const AT_ONCE: Duration = Duration::from_millis(700);
/// The same, if it saves its state.
const WITH_SAVING: Duration = Duration::from_secs(10);

/// The flag that a signal sets. A second one ends the program, and so does time: what stops late
/// has lost no more than by `kill -9`, which every run survives. `saves` says whether the command
/// keeps its state.
///
/// A signal that was ignored when the program started (`nohup`, a job in the background) stays
/// ignored.
pub fn stop_on_signals(tell: Teller, saves: bool) -> Interrupt {
    let stop = Interrupt::default();
    let flag = stop.clone();
    let ignored = ignored();
    let caught = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| !ignored.contains(signal));
    let mut signals = match Signals::new(caught) {
        Ok(signals) => signals,
        Err(e) => {
            // Ctrl-C still stops the program; the state is then not saved immediately.
            tracing::warn!("cannot catch Ctrl-C: {e}");
            return stop;
        }
    };
    thread::spawn(move || {
        for _ in signals.forever() {
            if flag.is_set() {
                std::process::exit(EXIT.into());
            }
            flag.set();
            let tell = tell.clone();
            thread::spawn(move || end_late(&tell, saves));
        }
    });
    stop
}

/// Ends the program if it has not stopped in time.
fn end_late(tell: &Teller, saves: bool) {
    if !saves {
        thread::sleep(AT_ONCE);
        tell.line("error: interrupted; this command keeps nothing on its way");
    } else {
        tell.line("stopping as soon as nothing is lost by it (press Ctrl-C again to stop at once)");
        thread::sleep(WITH_SAVING);
        tell.line("error: interrupted; the same command goes on from the last save");
    }
    tell.flush();
    std::process::exit(EXIT.into());
}

/// Signals that were ignored when the program started, as Linux tells it; none elsewhere.
fn ignored() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_of(&status)
}

/// Those of the line `SigIgn` of /proc/PID/status, a mask in hexadecimal digits.
fn ignored_of(status: &str) -> Vec<i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let is_ignored = |signal: &i32| mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1);
    (1..=64).filter(is_ignored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tfrmdn\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\n";
        assert_eq!(ignored_of(status), [SIGHUP, SIGINT, 13]);
        assert!(ignored_of("Name:\tfrmdn\n").is_empty());
        // Rust's own runtime ignores SIGPIPE.
        assert!(ignored().contains(&13), "{:?}", ignored());
    }
}
