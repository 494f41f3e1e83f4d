//! A C ABI over the native environments, for the Python package `frmdn_gym` and other callers of C
//! functions.
//!
//! Every function that can fail returns 0 or a negative code: −1 a wrong argument, −2 an action
//! outside of the space, −3 no episode is running, −4 the handle is in use by another thread, −5 a
//! fault of the library (after a panic the handle can only be closed). [`frmdn_last_error`] returns
//! the message. No panic crosses the boundary.
//!
//! Buffers hold one row per environment, without gaps: actions `f32 [n, 3]`, observations `u8 [n,
//! height, width, 3]`, rewards `f64 [n]`, flags `u8 [n]`, progress `u32 [n, 3]` (tiles visited, all
//! tiles, 1 if the lap was finished). Buffers of one call do not overlap.
//! `include/frmdn_env.h` declares the functions for C.
#![expect(
    unsafe_code,
    reason = "pointers come from C; no other crate handles them"
)]

mod batch;
mod error;

use std::ffi::{CStr, c_char};
use std::slice::{from_raw_parts, from_raw_parts_mut};
use std::sync::{Mutex, TryLockError};

use frmdn_car_racing::CarRacingConfig;

use batch::{ACTION, Batch, PROGRESS, StepOutputs};
use error::{Error, guard};

/// Version of the interface. It changes with the meaning or the arguments of a function.
const ABI_VERSION: u32 = 2;
/// Side of a picture in pixels.
const PICTURE: usize = 96;

/// A batch of Car-Racing environments, opaque to the caller.
pub struct FrmdnCarRacing(Mutex<Batch>);

/// Sizes and ranges of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrmdnSpaces {
    /// Number of environments.
    pub n_envs: usize,
    /// Height, width and channels of an observation.
    pub observation: [usize; 3],
    /// Height, width and channels of a picture.
    pub picture: [usize; 3],
    /// Smallest values of an action: steering, gas, brake.
    pub action_low: [f32; 3],
    /// Largest values of an action.
    pub action_high: [f32; 3],
    /// Number of discrete actions, of which a row of actions holds one in its first value; 0 where
    /// actions are continuous.
    pub n_actions: usize,
}

/// Runs `call` with the batch behind `handle`.
///
/// # Safety
/// `handle` is null or from [`frmdn_car_racing_create`] and not closed.
unsafe fn with(
    handle: *const FrmdnCarRacing,
    call: impl FnOnce(&mut Batch) -> Result<(), Error>,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises that a handle that is not null points to a live batch.
        let handle = unsafe { handle.as_ref() }.ok_or_else(|| null("handle"))?;
        let mut batch = handle.0.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::Busy,
            TryLockError::Poisoned(_) => Error::Internal(
                "the batch broke in an earlier call: close it and create another".into(),
            ),
        })?;
        call(&mut batch)
    })
}

fn null(what: &str) -> Error {
    Error::Argument(format!("{what} is a null pointer"))
}

/// The `len` values at `pointer`.
///
/// # Safety
/// `pointer` is null or points to `len` values that nothing writes during `'a`.
unsafe fn input<'a, T>(pointer: *const T, len: usize, what: &str) -> Result<&'a [T], Error> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(if pointer.is_null() {
            null(what)
        } else {
            Error::Argument(format!("{what} is not aligned"))
        });
    }
    // SAFETY: not null and aligned; the caller promises that `len` values are there and that
    // nothing writes them.
    Ok(unsafe { from_raw_parts(pointer, len) })
}

/// The `len` values at `pointer`, to write.
///
/// # Safety
/// `pointer` is null or points to `len` initialised values that nothing else touches during `'a`.
unsafe fn output<'a, T>(pointer: *mut T, len: usize, what: &str) -> Result<&'a mut [T], Error> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(if pointer.is_null() {
            null(what)
        } else {
            Error::Argument(format!("{what} is not aligned"))
        });
    }
    // SAFETY: not null and aligned; the caller promises that `len` values are there and that
    // nothing else touches them.
    Ok(unsafe { from_raw_parts_mut(pointer, len) })
}

/// The version of this interface. A caller that was written for another one must stop.
#[unsafe(no_mangle)]
pub extern "C" fn frmdn_abi_version() -> u32 {
    ABI_VERSION
}

/// The version of the library as a static C string.
#[unsafe(no_mangle)]
pub extern "C" fn frmdn_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The message of the last failing call on this thread, UTF-8, empty if none failed. Valid until
/// the next failing call on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn frmdn_last_error() -> *const c_char {
    error::last()
}

/// Makes a batch of `n_envs` environments and writes its handle to `out`.
///
/// `config` is a JSON object, or null for the defaults: `{"observation": "agent64" | "full96",
/// "random_start": bool, "rule": "v3" | "v4", "max_steps": integer, "actions": "continuous" |
/// "discrete", "domain_randomize": bool}`. `threads` is the number of threads that step the batch,
/// 0 for one per core. Every environment must be reset before its first step.
///
/// # Safety
/// `config` is null or a C string; `out` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_create(
    n_envs: usize,
    threads: usize,
    config: *const c_char,
    out: *mut *mut FrmdnCarRacing,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises that `out` can be written; null is refused.
        let out = unsafe { output(out, 1, "out") }?;
        let config = if config.is_null() {
            CarRacingConfig::default()
        } else {
            // SAFETY: not null, so by the caller's promise it is a C string.
            let text = unsafe { CStr::from_ptr(config) };
            serde_json::from_slice(text.to_bytes())
                .map_err(|e| Error::Argument(format!("the configuration does not parse: {e}")))?
        };
        out[0] = Box::into_raw(Box::new(FrmdnCarRacing(Mutex::new(Batch::new(
            n_envs, threads, &config,
        )?))));
        Ok(())
    })
}

/// Writes the sizes and ranges of the batch to `out`.
///
/// # Safety
/// `handle` is null or from [`frmdn_car_racing_create`] and not closed; `out` is null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_spaces(
    handle: *const FrmdnCarRacing,
    out: *mut FrmdnSpaces,
) -> i32 {
    // SAFETY: the caller's promise about `handle` is the one that `with` asks for.
    unsafe {
        with(handle, |batch| {
            // SAFETY: the caller promises that `out` can be written; null is refused.
            let out = output(out, 1, "out")?;
            out[0] = FrmdnSpaces {
                n_envs: batch.len(),
                observation: batch.observation(),
                picture: [PICTURE, PICTURE, 3],
                action_low: [-1.0, 0.0, 0.0],
                action_high: [1.0; 3],
                n_actions: batch.buttons(),
            };
            Ok(())
        })
    }
}

/// Starts the episode of `seed` in environment `index`; writes its observation `[height, width, 3]`
/// and progress `[3]`.
///
/// # Safety
/// `handle` is null or from [`frmdn_car_racing_create`] and not closed; the buffers are null or
/// have these sizes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_reset_one(
    handle: *const FrmdnCarRacing,
    index: usize,
    seed: u64,
    observation: *mut u8,
    progress: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise about `handle` is the one that `with` asks for.
    unsafe {
        with(handle, |batch| {
            // SAFETY: the caller promises buffers of one row; null is refused.
            let observation = output(observation, batch.observation_len(), "observation")?;
            batch.reset_one(
                index,
                seed,
                observation,
                output(progress, PROGRESS, "progress")?,
            )
        })
    }
}

/// Starts the episode of `seeds[i]` in every environment `i` with `mask[i] ≠ 0` (all of them if
/// `mask` is null) and writes their rows of `observations` and `progress`; the other rows stay as
/// they are.
///
/// # Safety
/// `handle` is null or from [`frmdn_car_racing_create`] and not closed; the buffers are null or
/// have one row per environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_reset(
    handle: *const FrmdnCarRacing,
    mask: *const u8,
    seeds: *const u64,
    observations: *mut u8,
    progress: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise about `handle` is the one that `with` asks for.
    unsafe {
        with(handle, |batch| {
            let n = batch.len();
            // SAFETY: the caller promises buffers of one row per environment; null is refused where
            // it has no meaning.
            let mask = if mask.is_null() {
                None
            } else {
                Some(input(mask, n, "mask")?)
            };
            let seeds = input(seeds, n, "seeds")?;
            let observations = output(observations, n * batch.observation_len(), "observations")?;
            batch.reset(
                mask,
                seeds,
                observations,
                output(progress, n * PROGRESS, "progress")?,
            )
        })
    }
}

/// Steps the whole batch with `actions` and writes every row of the other buffers.
///
/// If `resets` is not null and `resets[i] ≠ 0`, environment `i` starts the episode of `seeds[i]`
/// instead: its action is ignored, its reward is 0 and its flags are 0 (Gymnasium's autoreset in
/// the next step). Fails with −2 or −3 before any environment moves.
///
/// # Safety
/// `handle` is null or from [`frmdn_car_racing_create`] and not closed; the buffers are null or
/// have one row per environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_step(
    handle: *const FrmdnCarRacing,
    actions: *const f32,
    resets: *const u8,
    seeds: *const u64,
    observations: *mut u8,
    rewards: *mut f64,
    terminated: *mut u8,
    truncated: *mut u8,
    progress: *mut u32,
) -> i32 {
    // SAFETY: the caller's promise about `handle` is the one that `with` asks for.
    unsafe {
        with(handle, |batch| {
            let n = batch.len();
            // SAFETY: the caller promises buffers of one row per environment; null is refused where
            // it has no meaning.
            let resets = if resets.is_null() {
                None
            } else {
                Some((input(resets, n, "resets")?, input(seeds, n, "seeds")?))
            };
            let outputs = StepOutputs {
                observation: output(observations, n * batch.observation_len(), "observations")?,
                reward: output(rewards, n, "rewards")?,
                terminated: output(terminated, n, "terminated")?,
                truncated: output(truncated, n, "truncated")?,
                progress: output(progress, n * PROGRESS, "progress")?,
            };
            batch.step(input(actions, n * ACTION, "actions")?, resets, outputs)
        })
    }
}

/// Writes the picture of environment `index` for people, `[96, 96, 3]`, to `out`.
///
/// # Safety
/// `handle` is null or from [`frmdn_car_racing_create`] and not closed; `out` is null or has that
/// size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_picture(
    handle: *const FrmdnCarRacing,
    index: usize,
    out: *mut u8,
) -> i32 {
    // SAFETY: the caller's promise about `handle` is the one that `with` asks for.
    unsafe {
        with(handle, |batch| {
            // SAFETY: the caller promises a buffer of the size of a picture; null is refused.
            let out = output(out, PICTURE * PICTURE * 3, "out")?;
            let picture = batch.picture(index)?;
            if picture.rgb.len() != out.len() {
                return Err(Error::Internal(format!(
                    "a picture of {} × {}",
                    picture.width, picture.height
                )));
            }
            out.copy_from_slice(&picture.rgb);
            Ok(())
        })
    }
}

/// Frees the batch and its threads. Null is allowed.
///
/// # Safety
/// `handle` is null or from [`frmdn_car_racing_create`], not closed before, and no other call with
/// it is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_close(handle: *mut FrmdnCarRacing) -> i32 {
    guard(|| {
        if !handle.is_null() {
            // SAFETY: create leaked the box, and the caller promises that it is closed once and not
            // in use.
            drop(unsafe { Box::from_raw(handle) });
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests;
