//! What can be wrong with a sound file, and what to do about it.

use std::path::PathBuf;

use super::sound::{HIGHEST_RATE, LARGEST, LOWEST_RATE};

/// Why a sound cannot be had. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// The operating system refused to read the file.
    #[error("cannot read {}: {cause}; check its path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause. Not named `source`, because the message tells it already.
        cause: std::io::Error,
    },
    /// A folder or a device, which could be read for ever.
    #[error("{} is no file; give the path of a sound file", path.display())]
    NotAFile {
        /// What it is.
        path: PathBuf,
    },
    /// More bytes than are read of one file.
    #[error(
        "{} has {bytes} bytes, and {LARGEST} are the most that are read of one file; cut it into \
         parts: {remedy}",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        bytes: u64,
        /// A command that cuts it.
        remedy: String,
    },
    /// A file of no bytes.
    #[error("{} is empty (0 bytes); copy or download it again, or delete it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Another kind of file.
    #[error(
        "{} is {found}, and only WAV, FLAC and NIST SPHERE files are read; {remedy}",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is, in words.
        found: String,
        /// What to do, in words or as a command.
        remedy: String,
    },
    /// A kind of file that is read, with samples that are not.
    #[error("the samples of {} are {coding}, which is not read; {remedy}", path.display())]
    Coding {
        /// The file.
        path: PathBuf,
        /// How they are coded, in words.
        coding: String,
        /// What to do, in words or as a command.
        remedy: String,
    },
    /// A header or data that contradict themselves.
    #[error("{} is damaged: {what}; copy or download it again, or delete it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Fewer samples than the header says.
    #[error(
        "{} is cut short: its header states {stated} samples of each channel, and {found} are \
         there; {remedy}",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Samples of each channel that the header states.
        stated: u64,
        /// Whole samples of each channel that are there.
        found: u64,
        /// What to do, in words or as a command.
        remedy: String,
    },
    /// A whole file without any sound.
    #[error("{} holds no samples; record or download it again, or delete it", path.display())]
    NoSamples {
        /// The file.
        path: PathBuf,
    },
    /// A sample that is infinite or not a number.
    #[error(
        "sample {at} of {} is {value}, which is no finite number; record or convert it again, or \
         delete it",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Number of the sample, from 0, where all channels count.
        at: u64,
        /// The sample.
        value: f32,
    },
    /// A rate that no sound has.
    #[error(
        "a sound of {from} Hz cannot be resampled to {to} Hz: rates are {LOWEST_RATE} to \
         {HIGHEST_RATE} Hz; choose another rate"
    )]
    Rate {
        /// Rate of the sound, in Hz.
        from: u32,
        /// Rate that was asked for, in Hz.
        to: u32,
    },
    /// The resampler refused to go on.
    #[error("cannot resample from {from} to {to} Hz: {what}; choose another rate")]
    Resampler {
        /// Rate of the sound, in Hz.
        from: u32,
        /// Rate that was asked for, in Hz.
        to: u32,
        /// What is the matter, in words.
        what: String,
    },
}
