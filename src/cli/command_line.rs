//! What was typed, for reports and for messages that say how to go on.

use std::ffi::OsStr;

/// The command line as it can be typed again.
pub fn command_line() -> String {
    std::iter::once("frmdn".to_owned())
        .chain(
            std::env::args_os()
                .skip(1)
                .map(|argument| quoted(&argument)),
        )
        .collect::<Vec<_>>()
        .join(" ")
}

/// An argument as a shell takes it.
pub fn quoted(argument: &OsStr) -> String {
    let argument = argument.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.into_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}
