//! Paths and commands as a shell takes them, for the advice in errors.

use std::path::{Path, PathBuf};

pub(super) use crate::run::typed;

/// Where a converted copy of `path` goes: beside it, under a name that is not its own.
pub(super) fn converted(path: &Path) -> PathBuf {
    let wav = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("wav"));
    path.with_extension(if wav { "pcm.wav" } else { "wav" })
}

/// The command that converts `path` to a WAV file that is read; `options` go before the output.
pub(super) fn ffmpeg(path: &Path, options: &str) -> String {
    let (from, to) = (typed(path), typed(&converted(path)));
    format!("ffmpeg -i {from} {options} {to}")
}

/// The command that converts the NIST SPHERE file `path`, whatever its coding.
pub(super) fn sph2pipe(path: &Path) -> String {
    format!(
        "sph2pipe -f wav {} {}",
        typed(path),
        typed(&converted(path))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_asks_for_it() {
        for (path, expected) in [
            ("a/b-1.wav", "a/b-1.wav"),
            ("my files/a.wav", "'my files/a.wav'"),
            ("it's.wav", r"'it'\''s.wav'"),
            ("-i.wav", "./-i.wav"),
            ("$(rm).wav", "'$(rm).wav'"),
            ("", "''"),
        ] {
            assert_eq!(typed(Path::new(path)), expected);
        }
        assert_eq!(
            ffmpeg(Path::new("a b.mp3"), "-ac 1"),
            "ffmpeg -i 'a b.mp3' -ac 1 'a b.wav'"
        );
        assert_eq!(
            sph2pipe(Path::new("SA1.WAV")),
            "sph2pipe -f wav SA1.WAV SA1.pcm.wav"
        );
    }
}
