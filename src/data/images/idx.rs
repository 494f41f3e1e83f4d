//! The format of MNIST's files, IDX: a magic number with the type and the number of dimensions, a
//! size of each dimension, and the values; all numbers have four bytes, the largest first.

use std::path::{Path, PathBuf};

use super::{
    CLASSES, FileError, ImageError, ImageSet, Images, Origin,
    source::{LARGEST, Source},
};

/// Largest height and width of an image.
pub(super) const LONGEST_SIDE: u32 = 1024;

/// Magic numbers: unsigned bytes (8) in three dimensions and in one.
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;

/// The four files of a set: training and test, images and labels, each by its name up to where
/// spellings differ and by the number of its dimensions.
const FILES: [(&str, u8); 4] = [
    ("train-images", 3),
    ("train-labels", 1),
    ("t10k-images", 3),
    ("t10k-labels", 1),
];

/// The file in `folder` in one of its four spellings: `train-images-idx3-ubyte` as its authors call
/// it, `train-images.idx3-ubyte` as some programs unpack it, and both with `.gz`.
fn find(folder: &Path, (name, dimensions): (&str, u8)) -> Option<PathBuf> {
    for ending in ["", ".gz"] {
        for joint in ["-", "."] {
            let path = folder.join(format!("{name}{joint}idx{dimensions}-ubyte{ending}"));
            if path.exists() {
                return Some(path);
            }
        }
    }
    None
}

/// Whether any of the four files is in `folder`.
pub(super) fn is_in(folder: &Path) -> bool {
    FILES.iter().any(|&file| find(folder, file).is_some())
}

/// Reads the four files in `folder`.
pub(super) fn open(folder: &Path, name: &str, origin: Origin) -> Result<ImageSet, ImageError> {
    let mut missing = Vec::new();
    let mut paths: [PathBuf; 4] = Default::default();
    for (&file, path) in FILES.iter().zip(&mut paths) {
        match find(folder, file) {
            Some(found) => *path = found,
            None => missing.push(format!("{}-idx{}-ubyte", file.0, file.1)),
        }
    }
    if !missing.is_empty() {
        return Err(ImageError::Missing {
            folder: folder.to_path_buf(),
            missing,
            origin,
        });
    }
    let [images, labels, test_images, test_labels] = &paths;
    let training = part(images, labels, None, origin)?;
    let test = part(test_images, test_labels, Some(&training), origin)?;
    Ok(ImageSet {
        name: name.to_owned(),
        training,
        test,
    })
}

/// Images with their labels; they must be as large as those of `like`.
fn part(
    images: &Path,
    labels: &Path,
    like: Option<&Images>,
    origin: Origin,
) -> Result<Images, ImageError> {
    let wrong = |path: &Path, what| ImageError::File {
        path: path.to_path_buf(),
        what,
        origin,
    };
    let mut read = read_images(images, like).map_err(|what| wrong(images, what))?;
    let count = read.pixels.len() / read.dimensions();
    read.labels = read_labels(labels, count).map_err(|what| wrong(labels, what))?;
    Ok(read)
}

/// Images without labels. The header is checked before any pixel is read.
fn read_images(path: &Path, like: Option<&Images>) -> Result<Images, FileError> {
    let mut source = Source::open(path)?;
    let count = header(&mut source, "images", IMAGES)?;
    let [height, width] = words(source.header::<8>()?);
    let sides = 1..=LONGEST_SIDE;
    if !sides.contains(&height) || !sides.contains(&width) {
        return Err(FileError::Size { height, width });
    }
    if let Some(like) = like
        && (height as usize, width as usize) != (like.height, like.width)
    {
        return Err(FileError::OtherSize {
            test: format!("{height} × {width}"),
            training: format!("{} × {}", like.height, like.width),
        });
    }
    // 2³² · 2¹⁰ · 2¹⁰ at most, which is no overflow.
    let size = u64::from(count) * u64::from(height) * u64::from(width);
    if size > LARGEST {
        return Err(FileError::TooLarge { count });
    }
    Ok(Images {
        width: width as usize,
        height: height as usize,
        channels: 1,
        pixels: source.rest(size)?,
        labels: Vec::new(),
    })
}

/// Labels of `images` images.
fn read_labels(path: &Path, images: usize) -> Result<Vec<u8>, FileError> {
    let mut source = Source::open(path)?;
    let labels = header(&mut source, "labels", LABELS)?;
    if labels as usize != images {
        return Err(FileError::Count { labels, images });
    }
    let labels = source.rest(u64::from(labels))?;
    check_labels(&labels)?;
    Ok(labels)
}

/// Checks that each label is one of a class.
pub(super) fn check_labels(labels: &[u8]) -> Result<(), FileError> {
    match labels.iter().position(|&label| label >= CLASSES) {
        Some(at) => Err(FileError::Label {
            at,
            label: labels[at],
        }),
        None => Ok(()),
    }
}

/// Checks the magic number, and gives the number of images or labels.
fn header(source: &mut Source, kind: &'static str, expected: u32) -> Result<u32, FileError> {
    let [found, count] = words(source.header::<8>()?);
    if found != expected {
        return Err(FileError::Magic {
            kind,
            found,
            expected,
        });
    }
    match count {
        0 => Err(FileError::Empty(kind)),
        count => Ok(count),
    }
}

/// Two numbers of a header.
fn words(bytes: [u8; 8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = bytes;
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ]
}
