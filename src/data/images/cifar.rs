//! CIFAR-10's binary version: six files of 10,000 records, each a label and the planes of red,
//! green and blue, row by row.

use std::path::Path;

use super::{FileError, ImageError, ImageSet, Images, Origin, idx::check_labels, source::Source};

/// Pixels in a row, and rows.
const SIDE: usize = 32;

/// Red, green and blue.
const CHANNELS: usize = 3;

/// Bytes of one plane.
const PLANE: usize = SIDE * SIDE;

/// Bytes of a record: a label and three planes.
const RECORD: usize = 1 + CHANNELS * PLANE;

/// Records of each file.
pub(super) const RECORDS: usize = 10_000;

/// Images to fit a model to, in their order.
const TRAINING: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];

/// Images to measure a model on.
const TEST: [&str; 1] = ["test_batch.bin"];

/// Whether any of the six files is in `folder`.
pub(super) fn is_in(folder: &Path) -> bool {
    let mut files = TRAINING.iter().chain(&TEST);
    files.any(|file| folder.join(file).exists())
}

/// Reads the six files in `folder`, of `records` records each; only tests have others than
/// [`RECORDS`].
pub(super) fn open(folder: &Path, records: usize) -> Result<ImageSet, ImageError> {
    let files = TRAINING.iter().chain(&TEST);
    let missing: Vec<String> = files
        .filter(|file| !folder.join(file).exists())
        .map(|&file| file.to_owned())
        .collect();
    if !missing.is_empty() {
        return Err(ImageError::Missing {
            folder: folder.to_path_buf(),
            missing,
            origin: Origin::Cifar,
        });
    }
    Ok(ImageSet {
        name: "cifar-10".to_owned(),
        training: part(folder, &TRAINING, records)?,
        test: part(folder, &TEST, records)?,
    })
}

/// The images of some files, one file after the other.
fn part(folder: &Path, files: &[&str], records: usize) -> Result<Images, ImageError> {
    let count = files.len() * records;
    let mut images = Images {
        width: SIDE,
        height: SIDE,
        channels: CHANNELS,
        pixels: Vec::with_capacity(count * CHANNELS * PLANE),
        labels: Vec::with_capacity(count),
    };
    for file in files {
        let path = folder.join(file);
        append(&path, records, &mut images).map_err(|what| ImageError::File {
            path,
            what,
            origin: Origin::Cifar,
        })?;
    }
    Ok(images)
}

fn append(path: &Path, records: usize, images: &mut Images) -> Result<(), FileError> {
    let bytes = Source::open(path)?.rest((records * RECORD) as u64)?;
    let first = images.labels.len();
    for record in bytes.as_chunks::<RECORD>().0 {
        images.labels.push(record[0]);
        let planes = &record[1..];
        for pixel in 0..PLANE {
            for channel in 0..CHANNELS {
                images.pixels.push(planes[channel * PLANE + pixel]);
            }
        }
    }
    check_labels(&images.labels[first..])
}
