//! Standard output: what a command is typed for. A line that cannot be written is an error.

use std::{
    fmt,
    io::{self, Write as _},
};

/// Exit code of a command whose output could not be written.
pub const EXIT: u8 = 3;

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}")]
pub struct OutputError(pub io::Error);

impl OutputError {
    /// Whether the reader has seen enough (`| head`) and closed the pipe, which is no error.
    pub fn is_closed(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes a line.
///
/// # Errors
/// If it cannot be written.
pub fn line(text: fmt::Arguments<'_>) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(OutputError)
}

/// Prints a line on standard output, formatted as by `println!`; returns from the function if it
/// cannot be written.
macro_rules! out {
    ($($argument:tt)*) => {
        $crate::cli::out::line(format_args!($($argument)*))?
    };
}
pub(super) use out;
