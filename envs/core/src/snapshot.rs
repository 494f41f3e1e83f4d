//! The whole state of an environment as a value.

use std::{any::Any, fmt, sync::Arc};

use crate::EnvError;

/// The whole state of an environment, which only that kind of environment can read. Cloning it
/// copies a pointer.
#[derive(Clone)]
pub struct Snapshot(Arc<dyn Any + Send + Sync>);

impl Snapshot {
    /// A snapshot that holds `state`.
    pub fn new<T: Any + Send + Sync>(state: T) -> Self {
        Self(Arc::new(state))
    }

    /// The state.
    ///
    /// # Errors
    /// If another kind of environment made it.
    pub fn get<T: Any>(&self) -> Result<&T, EnvError> {
        self.0
            .downcast_ref()
            .ok_or_else(|| EnvError::other("the snapshot is one of another kind of environment"))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
