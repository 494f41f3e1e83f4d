//! World models.
