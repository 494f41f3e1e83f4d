//! Error codes, the message of the last error, and the guard that catches panics.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use frmdn_env::EnvError;

/// The code of success.
pub(crate) const OK: i32 = 0;

/// Why a call failed. The call returns [`Error::code`], and `frmdn_last_error` the message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A null pointer, an index or a number outside of its range, a configuration that does not
    /// parse.
    #[error("{0}")]
    Argument(String),
    /// An action outside of the space.
    #[error("{0}")]
    Action(String),
    /// A step or a picture of an environment without a running episode.
    #[error("environment {0}: the episode is over or was never started, call reset first")]
    NeedsReset(usize),
    /// Another thread is in a call with the same handle.
    #[error("the batch is in use by another thread: one call at a time")]
    Busy,
    /// The handle was open once.
    #[error("the batch is closed, or was made before this process was forked: make another one")]
    Closed,
    /// There is no room for what a call needs.
    #[error("there is not enough memory: {0} more bytes are needed")]
    Memory(usize),
    /// A fault of this library.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    fn code(&self) -> i32 {
        match self {
            Self::Argument(_) => -1,
            Self::Action(_) => -2,
            Self::NeedsReset(_) => -3,
            Self::Busy => -4,
            Self::Internal(_) => -5,
            Self::Closed => -6,
            Self::Memory(_) => -7,
        }
    }
}

impl From<EnvError> for Error {
    fn from(error: EnvError) -> Self {
        match error {
            EnvError::Action { .. } => Self::Action(error.to_string()),
            _ => Self::Internal(error.to_string()),
        }
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// The message of the last error on this thread, empty if there was none. Valid until the next
/// failing call on this thread.
pub(crate) fn last() -> *const c_char {
    // A thread that is ending has no message any more.
    LAST.try_with(|last| last.borrow().as_ptr())
        .unwrap_or(c"".as_ptr())
}

/// Runs `call`; turns an error or a panic into its code and stores the message.
pub(crate) fn guard(call: impl FnOnce() -> Result<(), Error>) -> i32 {
    // Unwind safe: a panic can leave only the batch half changed, and it poisons the batch's mutex.
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned());
        // Dropping it could panic again, outside of the guard.
        std::mem::forget(panic);
        Err(Error::Internal(format!(
            "a panic inside of the environment: {}",
            text.unwrap_or_else(|| "no text".into())
        )))
    });
    match result {
        Ok(()) => OK,
        Err(error) => {
            let text = CString::new(error.to_string().replace('\0', " ")).unwrap_or_default();
            let _ = LAST.try_with(|last| *last.borrow_mut() = text);
            error.code()
        }
    }
}
