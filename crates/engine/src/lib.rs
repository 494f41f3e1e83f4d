//! The CPU hot path, forward and backward: matrix products, convolution, LSTM, linear layers and
//! Adam.
//!
//! Everything is `f32`, row-major and single-threaded inside one call; callers split a batch into
//! shards of a fixed size, run the shards on any number of threads and add the results up in shard
//! order, so that a result never depends on the number of threads. The crate depends neither on
//! burn nor on reinforcement learning.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod activation;
pub mod adam;
pub mod cholesky;
pub mod conv;
mod gather;
pub mod limit;
pub mod linear;
pub mod lstm;
pub mod params;
pub mod random;
mod simd;
mod winograd;

pub use params::{Param, Params};

/// Whether a setting has its default: those that came later are written only where they have not, so
/// that files keep their bytes. For serde's `skip_serializing_if`.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
