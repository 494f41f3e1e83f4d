//! World models.
pub mod vision;
