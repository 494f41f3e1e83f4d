//! Episodes: archives as they are, and intact ones whose arrays are anything.
#![no_main]

#[path = "scratch.rs"]
mod scratch;

use std::{io::Write, sync::LazyLock};

use frmdn::{
    run::{Episode, EpisodeStore, LatentEpisode, Preset, Recorded},
    worlds::{Bridge, World},
};
use libfuzzer_sys::fuzz_target;

static PRESET: LazyLock<Preset> = LazyLock::new(|| Preset::resolve("tiny", &[]).unwrap());
static RECORDED: LazyLock<Recorded> = LazyLock::new(|| {
    let world = World::open("car-racing", &Bridge::default()).unwrap();
    Recorded::of(&world.spec().unwrap())
});

const MEMBERS: [&str; 7] = [
    "meta",
    "rewards",
    "actions",
    "frames",
    "latents",
    "mean",
    "log_variance",
];

/// An archive whose members are the pieces of `data`: the first byte says which member, two more
/// how long it is.
fn packed(mut data: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    while let Some(([which, low, high], rest)) = data.split_first_chunk() {
        let name = MEMBERS[usize::from(*which) % MEMBERS.len()];
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        // A name that was there already is refused by the writer.
        if zip.start_file(format!("{name}.npy"), options).is_ok() {
            zip.write_all(bytes).unwrap();
        }
        data = rest;
    }
    zip.finish().unwrap().into_inner()
}

fuzz_target!(|data: &[u8]| {
    let Some((how, data)) = data.split_first() else {
        return;
    };
    let bytes = if how % 2 == 0 {
        data.to_vec()
    } else {
        packed(data)
    };
    let path = scratch::file("000000.npz", &bytes);
    let store = EpisodeStore::new(path.parent().unwrap().to_path_buf(), 0, &PRESET);
    if let Ok(episode) = store.load(0, Some(*RECORDED)) {
        assert_eq!(episode.frame(episode.steps()).len(), 64 * 64 * 3);
    }
    let _ = store.load(0, None);
    let _ = store.load_latents(0, 3);
    let _ = Episode::load(&path);
    if let Ok(latents) = LatentEpisode::load(&path) {
        assert_eq!(latents.mean.len(), (latents.steps() + 1) * latents.latent);
    }
});
