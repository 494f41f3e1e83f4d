//! Handles: numbers that stand for open batches.
//!
//! A number that is not of an open batch is found out, where a pointer would be followed: a batch may
//! be closed twice, used after it was closed, and closed while another thread is in a call with it.

use std::collections::HashMap;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::batch::Batch;
use crate::error::Error;

/// The handle of a batch, never 0 and never given out twice.
pub(crate) type Handle = u64;

/// A batch, or none after it was closed. A call holds the lock as long as it works with the batch.
type Place = Arc<Mutex<Option<Batch>>>;

/// The open batches of one process.
struct Registry {
    process: u32,
    open: Mutex<HashMap<Handle, Place>>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);
static CURRENT: AtomicPtr<Registry> = AtomicPtr::new(null_mut());

/// The registry of this process. A process that was forked gets an empty one: the threads of its
/// parent's batches do not exist in it, and the parent's locks may have been copied locked.
fn open() -> MutexGuard<'static, HashMap<Handle, Place>> {
    let process = std::process::id();
    let mut current = CURRENT.load(Ordering::Acquire);
    loop {
        // SAFETY: null, or a registry that was leaked below.
        if let Some(registry) = unsafe { current.as_ref() }
            && registry.process == process
        {
            // Nothing that is done under this lock leaves the map half changed.
            let open = registry.open.lock();
            return open.unwrap_or_else(PoisonError::into_inner);
        }
        let fresh = Box::into_raw(Box::new(Registry {
            process,
            open: Mutex::default(),
        }));
        let stored = CURRENT.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire);
        current = stored.map_or_else(
            |other| {
                // SAFETY: made above, and no other thread has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                other
            },
            |_| fresh,
        );
    }
}

/// Gives a batch a handle.
pub(crate) fn insert(batch: Batch) -> Handle {
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    open().insert(handle, Arc::new(Mutex::new(Some(batch))));
    handle
}

/// Calls `call` with the batch of `handle`.
pub(crate) fn with(
    handle: Handle,
    call: impl FnOnce(&mut Batch) -> Result<(), Error>,
) -> Result<(), Error> {
    let place = open().get(&handle).cloned();
    let place = place.ok_or_else(|| missing(handle))?;
    let mut batch = place.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::Busy,
        TryLockError::Poisoned(_) => {
            Error::Internal("the batch broke in an earlier call: close it and make another".into())
        }
    })?;
    // Between the two locks another thread may have closed it.
    call(batch.as_mut().ok_or(Error::Closed)?)
}

/// Frees the batch of `handle`, after the call that is under way with it. Does nothing if the batch
/// is closed already.
pub(crate) fn close(handle: Handle) -> Result<(), Error> {
    let place = open().remove(&handle);
    match place.ok_or_else(|| missing(handle)) {
        Ok(place) => {
            let mut batch = place.lock().unwrap_or_else(PoisonError::into_inner);
            drop(batch.take());
            Ok(())
        }
        Err(Error::Closed) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Why no open batch has this handle.
fn missing(handle: Handle) -> Error {
    if (1..NEXT.load(Ordering::Relaxed)).contains(&handle) {
        Error::Closed
    } else {
        Error::Argument(format!("{handle} is not the handle of a batch"))
    }
}
