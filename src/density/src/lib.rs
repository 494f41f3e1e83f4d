//! Conditional densities: Gaussian mixtures with low-rank precision behind a normalizing flow.
