//! Presets: files, single settings, and the settings of a run folder under a right checksum.
#![no_main]

#[path = "scratch.rs"]
mod scratch;

use frmdn::run::{Preset, RunFolder};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

fuzz_target!(|data: &[u8]| {
    let Some((how, data)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match how % 3 {
        0 => {
            let path = scratch::file("preset.toml", data);
            let _ = Preset::resolve(path.to_str().unwrap(), &[]);
        }
        1 => {
            let sets: Vec<String> = text.lines().map(String::from).collect();
            let _ = Preset::resolve("car-racing-frmdn", &sets);
        }
        _ => {
            let sum: String = Sha256::digest(data)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let file = format!("#\n# format 1, sha256 {sum}\n{text}");
            let path = scratch::file("run.toml", file.as_bytes());
            if let Ok(folder) = RunFolder::open(path.parent().unwrap()) {
                folder.preset().to_toml();
            }
        }
    }
});
