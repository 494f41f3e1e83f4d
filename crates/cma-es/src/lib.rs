//! CMA-ES with ask and tell, separable and full, with a state that can be saved.
//!
//! N. Hansen, "The CMA Evolution Strategy: A Tutorial" (arXiv 1604.00772), with active covariance
//! update; R. Ros and N. Hansen, "A Simple Modification in CMA-ES Achieving Linear Time and Space
//! Complexity" (PPSN 2008) for the separable form. It minimises: negate a fitness.
//!
//! ```
//! use frmdn_cma_es::{CmaEs, CmaEsConfig, Covariance, Recombination};
//!
//! let (covariance, recombination) = (Covariance::Full, Recombination::BetterHalf);
//! let config = CmaEsConfig {
//!     dimension: 5,
//!     population: None,
//!     sigma0: 0.5,
//!     covariance,
//!     recombination,
//!     seed: 1,
//! };
//! let mut es = CmaEs::new(config)?;
//! es.start_at(&[1.0; 5])?;
//! while es.stop().is_none() {
//!     let losses: Vec<f64> = es.ask().iter().map(|x| x.iter().map(|v| v * v).sum()).collect();
//!     es.tell(&losses)?;
//! }
//! assert!(es.mean().iter().all(|x| x.abs() < 1e-6));
//! # Ok::<(), frmdn_cma_es::CmaError>(())
//! ```
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod config;
mod covariance;
mod random;
mod stop;
mod strategy;

pub use config::{CmaEsConfig, Covariance, Recombination};
pub use stop::Stop;
pub use strategy::CmaEs;

/// Why the optimiser refused a call.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum CmaError {
    /// Settings that cannot be used.
    #[error(
        "dimension {dimension}, population {population}, sigma0 {sigma0}: the dimension must be at \
         least 1 (2 where all candidates or pairs move the mean), the population 4 to 16777216 (and \
         even for pairs), sigma0 a number above 0"
    )]
    Config {
        /// Number of parameters.
        dimension: usize,
        /// Candidates per generation.
        population: usize,
        /// Initial step size.
        sigma0: f64,
    },
    /// A first mean that cannot be used.
    #[error(
        "a start of {found} values in generation {generation}: it needs {expected} finite values, \
         before the first generation is told"
    )]
    Start {
        /// Number of parameters.
        expected: usize,
        /// Values given.
        found: usize,
        /// Generation, from 0.
        generation: u64,
    },
    /// As many losses as candidates are needed.
    #[error("{found} losses for {expected} candidates")]
    Count {
        /// Losses given.
        found: usize,
        /// Candidates asked.
        expected: usize,
    },
    /// A loss that is not a finite number.
    #[error(
        "the loss of candidate {candidate} in generation {generation} is {loss}, not a finite \
         number"
    )]
    Loss {
        /// Index of the candidate.
        candidate: usize,
        /// Generation, from 0.
        generation: u64,
        /// The loss.
        loss: f64,
    },
    /// The distribution itself degenerated.
    #[error(
        "the search distribution degenerated in generation {generation} (sigma {sigma}): start \
         again with another sigma0 or seed"
    )]
    Degenerate {
        /// Generation, from 0.
        generation: u64,
        /// Step size.
        sigma: f64,
    },
    /// A saved state whose parts do not belong together.
    #[error(
        "a saved optimiser of {dimension} parameters whose parts have {lengths:?}, or another form \
         of covariance"
    )]
    Saved {
        /// Number of parameters.
        dimension: usize,
        /// Values of mean, both paths and covariance.
        lengths: [usize; 4],
    },
    /// A saved covariance of another size.
    #[error("a covariance of {dimension} parameters has {expected} entries, not {found}")]
    SavedEntries {
        /// Number of parameters.
        dimension: usize,
        /// Entries of a triangle.
        expected: usize,
        /// Entries saved.
        found: usize,
    },
    /// A saved covariance that cannot be decomposed.
    #[error("the saved covariance is not positive definite")]
    SavedIndefinite,
}
