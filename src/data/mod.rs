//! Data to learn from: sequences of vectors, wherever they come from, and how a few of them are held
//! in memory at a time.
//!
//! The latents of a run's episodes ([`Latents`]) are such data, with actions, rewards and ends; sound
//! and images have none of these.

mod dataset;
mod domain;
pub mod images;
mod latents;
pub mod sound;
mod speech;
mod windows;

pub use dataset::{Dataset, held_out_batches};
pub use domain::{Card, Domain, Parts};
pub use latents::Latents;
pub use speech::{LOUD, Sentence, Speech, energy};
pub use windows::Windows;
