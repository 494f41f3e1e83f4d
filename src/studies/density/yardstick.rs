//! What an ordinary compressor needs for the same files.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    data::sound::{self, Corpus},
    run::{Result, RunError, write_json},
    studies::store::read,
};

/// Bits a sample that `flac -8` needs for the test files of `corpus`: as it is, and without the room
/// for later remarks and the seek tables that it leaves in every file. `None` where the program is not
/// installed. The figures are kept in `flac-NAME.json` in `out`.
///
/// # Errors
/// If a file cannot be read, or the figure cannot be kept.
pub fn flac(corpus: &Corpus, out: &Path) -> Result<Option<[f64; 2]>> {
    let path = out.join(format!("flac-{}.json", corpus.name));
    if path.exists() {
        return read(&path).map(Some);
    }
    let (mut bytes, mut samples) = ([0; 2], 0);
    for file in &corpus.test {
        let bare: &[&str] = &["--no-padding", "--no-seektable"];
        let [Some(whole), Some(bare)] = [encoded(file, &[]), encoded(file, bare)] else {
            continue;
        };
        let sound = sound::read(file).map_err(|e| RunError::Config(e.to_string()))?;
        bytes = [bytes[0] + whole, bytes[1] + bare];
        samples += sound.samples.len();
    }
    if samples == 0 {
        return Ok(None);
    }
    let bits = bytes.map(|bytes| 8.0 * bytes as f64 / samples as f64);
    std::fs::create_dir_all(out).map_err(RunError::io("create", out))?;
    write_json(&path, &bits)?;
    Ok(Some(bits))
}

/// Bytes of `file` as `flac -8` encodes it with these options; `None` if it cannot, for example because
/// the program is not installed or the file is FLAC already.
fn encoded(file: &Path, options: &[&str]) -> Option<usize> {
    let output = Command::new("flac")
        .args(["-8", "--silent", "--stdout"])
        .args(options)
        .arg(file)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout.len())
}
