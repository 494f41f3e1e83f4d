//! What was typed, for reports and for messages that say how to go on.

use crate::run::quoted;
pub(crate) use crate::run::typed;

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
