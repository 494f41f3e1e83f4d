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

/// Bits a sample that `flac -8` needs for the test files of `corpus`, without padding and seek tables;
/// `None` where the program is not installed. The figure is kept in `flac.json` in `out`.
///
/// # Errors
/// If a file cannot be read, or the figure cannot be kept.
pub fn flac(corpus: &Corpus, out: &Path) -> Result<Option<f64>> {
    let path = out.join("flac.json");
    if path.exists() {
        return read(&path).map(Some);
    }
    let (mut bytes, mut samples) = (0, 0);
    for file in &corpus.test {
        let encoded = Command::new("flac")
            .args([
                "-8",
                "--silent",
                "--no-padding",
                "--no-seektable",
                "--stdout",
            ])
            .arg(file)
            .stderr(Stdio::null())
            .output();
        // One that cannot be encoded, for example because it is FLAC already, is left out of both.
        match encoded {
            Ok(output) if output.status.success() => bytes += output.stdout.len(),
            Ok(_) => continue,
            Err(_) => return Ok(None),
        }
        let sound = sound::read(file).map_err(|e| RunError::Config(e.to_string()))?;
        samples += sound.samples.len();
    }
    if samples == 0 {
        return Ok(None);
    }
    let bits = 8.0 * bytes as f64 / samples as f64;
    std::fs::create_dir_all(out).map_err(RunError::io("create", out))?;
    write_json(&path, &bits)?;
    Ok(Some(bits))
}
