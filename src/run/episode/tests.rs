//! Episodes come back from their files as they were, and damaged ones do not.

use std::io::Write;

use super::*;
use crate::run::npy::header;

fn sample() -> Episode {
    let len = SIDE * SIDE * 3;
    let frames: Vec<u8> = (0..3 * len).map(|i| (i * 7 % 251) as u8).collect();
    Episode {
        seed: 9,
        observed: Observed::Frames { len, bytes: frames },
        action_len: 2,
        actions: vec![0.5, -1.0, 0.0, 1.0],
        values: vec![2.0, -2.0, 0.0, 0.0],
        rewards: vec![-0.1, 3.3],
        measured: vec![12.5, -3.0],
        terminated: true,
    }
}

#[test]
fn episodes_come_back_and_damage_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.npz");
    sample().save(&path).unwrap();
    assert_eq!(Episode::load(&path).unwrap(), sample());
    let latents = Episode {
        observed: Observed::Latents {
            len: 2,
            values: vec![0.5, -1.0, 2.0, 3.0, -4.0, 5.0],
        },
        ..sample()
    };
    latents.save(&path).unwrap();
    assert_eq!(Episode::load(&path).unwrap(), latents);
    sample().save(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    let error = Episode::load(&path).unwrap_err().to_string();
    assert!(
        error.contains("0.npz") && error.contains("damaged"),
        "{error}"
    );
    // Flip bytes inside of the compressed frames: the CRC of the entry must fail, or the
    // archive itself.
    let mut noticed = 0;
    for at in (60..good.len() / 2).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&path, &bad).unwrap();
        match Episode::load(&path) {
            Err(_) => noticed += 1,
            Ok(read) => assert_eq!(read, sample(), "byte {at} changed the episode unnoticed"),
        }
    }
    assert!(noticed > 3);
}

#[test]
fn latents_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.npz");
    let latent = LatentEpisode {
        seed: 1,
        latent: 2,
        action_len: 1,
        mean: vec![0.1, 0.2, 0.3, 0.4],
        log_variance: vec![-1.0; 4],
        actions: vec![0.3],
        rewards: vec![1.0],
        measured: vec![7.5],
        terminated: false,
        vision: u64::MAX - 1,
    };
    latent.save(&path).unwrap();
    assert_eq!(LatentEpisode::load(&path).unwrap(), latent);
}

/// Arrays of an archive: name, header and bytes.
type Arrays = Vec<(&'static str, Vec<u8>, Vec<u8>)>;

const STEPS: usize = 3;

/// The arrays of an episode of Car-Racing with the seed 2.
fn arrays() -> Arrays {
    let floats = |n: usize| [0.5f32.to_le_bytes(); 100][..n].concat();
    let meta = [VERSION, 2, 0].map(u64::to_le_bytes).concat();
    let frames = [STEPS + 1, SIDE, SIDE, 3];
    vec![
        ("meta", header("<u8", &[3]), meta),
        (
            "frames",
            header("|u1", &frames),
            vec![7; frames.iter().product()],
        ),
        ("actions", header("<f4", &[STEPS, 3]), floats(3 * STEPS)),
        ("rewards", header("<f4", &[STEPS]), floats(STEPS)),
    ]
}

fn write(path: &Path, arrays: &Arrays) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for (name, header, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(header).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn set(arrays: &mut Arrays, name: &str, descr: &str, shape: &[usize], bytes: Vec<u8>) {
    let array = arrays.iter_mut().find(|array| array.0 == name).unwrap();
    (array.1, array.2) = (header(descr, shape), bytes);
}

/// Writes `to` for `from` in the header of the array `name`.
fn rewrite(arrays: &mut Arrays, name: &str, from: &str, to: &str) {
    let array = arrays.iter_mut().find(|array| array.0 == name).unwrap();
    let text = String::from_utf8_lossy(&array.1[10..]).replace(from, to);
    array.1.splice(8..10, (text.len() as u16).to_le_bytes());
    array.1.splice(10.., text.into_bytes());
}

/// Episodes of a run of Car-Racing, of at most 100 steps.
struct Episodes {
    _dir: tempfile::TempDir,
    store: EpisodeStore,
    recorded: Recorded,
}

impl Episodes {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sets = ["collect.steps=100", "memory.sequence=100"].map(String::from);
        let preset = Preset::resolve("tiny", &sets).unwrap();
        Self {
            store: EpisodeStore::new(dir.path().to_path_buf(), 0, &preset),
            recorded: Recorded::of(&crate::worlds::default_spec()),
            _dir: dir,
        }
    }

    /// Episode 2 of these arrays is refused with these words, its file and what helps.
    fn refuse(&self, arrays: &Arrays, words: &[&str]) {
        write(&self.store.path(2), arrays);
        let Err(error) = self.store.load(2, Some(self.recorded)) else {
            panic!("accepted: {words:?}");
        };
        let text = error.to_string();
        for word in ["000002.npz"].iter().chain(words) {
            assert!(text.contains(word), "`{word}` is missing in: {text}");
        }
        let (RunError::Damaged { recovery, .. } | RunError::Refused { recovery, .. }) = error
        else {
            panic!("{text}");
        };
        assert_eq!(recovery, Recovery::Episode, "{text}");
    }
}

#[test]
fn arrays_of_other_sizes_and_types_are_refused_with_file_member_and_what_is_needed() {
    let episodes = Episodes::new();
    write(&episodes.store.path(2), &arrays());
    let good = episodes.store.load(2, Some(episodes.recorded)).unwrap();
    assert_eq!(good.steps(), STEPS);
    let (wanted, rewards) = ("[4, 64, 64, 3] is needed", "[1 to 100] is needed");
    for (name, descr, shape, words) in [
        ("frames", "|u1", &[4, 32, 32, 3][..], wanted),
        ("frames", "|u1", &[3, 64, 64, 3], wanted),
        ("frames", "|u1", &[4, 64, 64, 1], wanted),
        ("frames", "|i1", &[4, 64, 64, 3], "'|i1', '|u1' is needed"),
        ("actions", "<f4", &[3, 2], "[3, 2], [3, 3] is needed"),
        ("actions", "<f4", &[3, 5], "[3, 5], [3, 3] is needed"),
        ("actions", "<f4", &[9], "[9], [3, 3] is needed"),
        ("rewards", "<f4", &[0], rewards),
        ("rewards", "<f4", &[3000], rewards),
        ("rewards", ">f4", &[3], "'>f4', '<f4' is needed"),
        ("rewards", "<f8", &[3], "'<f8', '<f4' is needed"),
        ("meta", "<u8", &[2], "[2], [3] is needed"),
    ] {
        let mut changed = arrays();
        let width = usize::from(descr.as_bytes()[2] - b'0');
        let zeros = vec![0; width * shape.iter().product::<usize>()];
        set(&mut changed, name, descr, shape, zeros);
        episodes.refuse(&changed, &[&format!("`{name}`"), words]);
    }
    // Larger than it says, and not unpacked.
    let mut changed = arrays();
    set(
        &mut changed,
        "frames",
        "|u1",
        &[4, 64, 64, 3],
        vec![0; 100_000_000],
    );
    episodes.refuse(
        &changed,
        &["`frames`", "needs 49152 bytes, and it has 100000000"],
    );
    let huge = "(1, 9223372036854775808, 2, 3)";
    let mut changed = arrays();
    rewrite(&mut changed, "frames", "(4, 64, 64, 3,)", huge);
    episodes.refuse(&changed, &["`frames`", "9223372036854775808", wanted]);
}

#[test]
fn an_episode_of_another_number_order_or_without_a_member_or_a_number_is_refused() {
    let episodes = Episodes::new();
    for name in ["frames", "actions"] {
        let mut changed = arrays();
        rewrite(&mut changed, name, "False", "True ");
        episodes.refuse(&changed, &[&format!("`{name}`"), "Fortran order"]);
    }
    for name in ["meta", "rewards", "actions", "frames"] {
        let mut changed = arrays();
        changed.retain(|array| array.0 != name);
        episodes.refuse(&changed, &[&format!("no array `{name}`")]);
    }
    let mut changed = arrays();
    let rewards = [1.0f32, f32::NAN, 1.0].map(f32::to_le_bytes).concat();
    set(&mut changed, "rewards", "<f4", &[3], rewards);
    episodes.refuse(&changed, &["`rewards`", "number 1 is NaN"]);
    let mut changed = arrays();
    let actions = f32::INFINITY.to_le_bytes().repeat(9);
    set(&mut changed, "actions", "<f4", &[3, 3], actions);
    episodes.refuse(&changed, &["`actions`", "number 0 is inf"]);
    let mut changed = arrays();
    let meta = [VERSION, 3, 0].map(u64::to_le_bytes).concat();
    set(&mut changed, "meta", "<u8", &[3], meta);
    episodes.refuse(
        &changed,
        &["`meta`", "its seed is 3", "of this number is 2"],
    );
    // A copy of another episode.
    let (store, recorded) = (&episodes.store, episodes.recorded);
    write(&store.path(2), &arrays());
    std::fs::copy(store.path(2), store.path(7)).unwrap();
    let text = store.load(7, Some(recorded)).unwrap_err().to_string();
    assert!(
        text.contains("000007.npz") && text.contains("its seed is 2"),
        "{text}"
    );
}

#[test]
fn the_actions_of_an_episode_of_any_run_are_read_if_their_width_fits() {
    let episodes = Episodes::new();
    let path = episodes.store.path(2);
    write(&path, &arrays());
    assert_eq!(recorded_actions(&path, 3).unwrap(), [0.5; 3 * STEPS]);
    let text = recorded_actions(&path, 2).unwrap_err().to_string();
    assert!(text.contains("[3, 3], [3, 2] is needed"), "{text}");
}

/// The archive states a size for each entry, and can lie.
#[test]
fn an_entry_that_is_longer_than_the_archive_states_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.npz");
    let mut arrays = arrays();
    let packed = 3_000_000;
    arrays[1].2 = vec![0; packed];
    write(&path, &arrays);
    let mut bytes = std::fs::read(&path).unwrap();
    let stated = (arrays[1].1.len() + packed) as u32;
    let lie = (arrays[1].1.len() + (STEPS + 1) * SIDE * SIDE * 3) as u32;
    let mut found = 0;
    for at in 0..bytes.len() - 4 {
        if bytes[at..at + 4] == stated.to_le_bytes() {
            bytes[at..at + 4].copy_from_slice(&lie.to_le_bytes());
            found += 1;
        }
    }
    assert!(found >= 1);
    std::fs::write(&path, bytes).unwrap();
    let text = Episode::load(&path).unwrap_err().to_string();
    assert!(
        text.contains("`frames`") && text.contains("larger than its declared"),
        "{text}"
    );
}

#[test]
fn latents_of_another_length_width_or_seed_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let preset = Preset::resolve("tiny", &["vision.model.latent=2".into()]).unwrap();
    let store = EpisodeStore::new(dir.path().to_path_buf(), 5, &preset);
    let latent = |latent: usize, seed: u64| LatentEpisode {
        seed,
        latent,
        action_len: 1,
        mean: vec![0.5; 2 * latent],
        log_variance: vec![-1.0; 2 * latent],
        actions: vec![0.3],
        rewards: vec![1.0],
        measured: Vec::new(),
        terminated: false,
        vision: 1,
    };
    let refused = |episode: LatentEpisode, actions: usize, words: &str| {
        episode.save(&store.path(1)).unwrap();
        let text = store.load_latents(1, actions).unwrap_err().to_string();
        assert!(
            text.contains(words) && text.contains("000001.npz"),
            "{text}"
        );
    };
    latent(2, 6).save(&store.path(1)).unwrap();
    assert_eq!(store.load_latents(1, 1).unwrap(), latent(2, 6));
    refused(
        latent(3, 6),
        1,
        "`mean`: its shape is [2, 3], [2, 2] is needed",
    );
    refused(
        latent(2, 6),
        3,
        "`actions`: its shape is [1, 1], [1, 3] is needed",
    );
    refused(
        latent(2, 5),
        1,
        "its seed is 5, that of the episode of this number is 6",
    );
    let mut infinite = latent(2, 6);
    infinite.log_variance[3] = f32::NEG_INFINITY;
    refused(infinite, 1, "`log_variance`: its value number 3 is -inf");
}
