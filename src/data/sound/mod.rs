//! Recorded sound: files are read to one channel of numbers, resampled, and gathered to corpora with
//! a training and a test part.
//!
//! Files come from anywhere, so nothing that they say of themselves is taken on trust: what a header
//! states is compared with the bytes that are there before anything is allocated.

mod channel;
mod corpus;
mod error;
mod flac;
mod foreign;
mod layout;
mod package;
mod resample;
mod shell;
// Its main type has the name of the folder.
#[allow(clippy::module_inception)]
mod sound;
mod sphere;
mod walk;
mod wav;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod mutations;

pub use corpus::{Corpus, CorpusError, open};
pub use error::SoundError;
pub use resample::resample;
pub use sound::{Sound, rate, read};
