//! Paths and arguments as a shell takes them, for messages that say what to type.

use std::{ffi::OsStr, path::Path};

/// A path as an argument that can be typed: quoted where a shell asks for it, and never taken for
/// an option.
pub fn typed(path: &Path) -> String {
    match path.to_string_lossy().starts_with('-') {
        true => quoted(Path::new(".").join(path).as_os_str()),
        false => quoted(path.as_os_str()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advised_can_be_typed() {
        for (path, text) in [
            ("runs/a", "runs/a"),
            ("my run", "'my run'"),
            ("it's", r"'it'\''s'"),
            ("-dash", "./-dash"),
            ("a;b", "'a;b'"),
            ("", "''"),
        ] {
            assert_eq!(typed(Path::new(path)), text);
        }
    }
}
