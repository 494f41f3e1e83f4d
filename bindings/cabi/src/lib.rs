//! A C ABI over the native environments, for the Python package `frmdn_gym` and other callers of C
//! functions.
//!
//! Every function that can fail returns 0 or a negative code: −1 a wrong argument, −2 an action
//! outside of the space, −3 no episode is running, −4 the batch is in use by another thread, −5 a
//! fault of the library (after a panic the batch can only be closed), −6 the batch is closed, −7 too
//! little memory. [`frmdn_last_error`] returns the message. No panic crosses the boundary, and no
//! handle is followed blindly: a batch may be closed twice, used after that, and closed during a call
//! of another thread.
//!
//! Buffers hold one row per environment, without gaps: actions `f64 [n, 3]`, observations `u8 [n,
//! height, width, 3]`, rewards `f64 [n]`, flags `u8 [n]`, progress `u32 [n, 3]` (tiles visited, all
//! tiles, 1 if the lap was finished). Buffers of one call do not overlap.
//! `include/frmdn_env.h` declares the functions for C.
#![expect(
    unsafe_code,
    reason = "pointers come from C; no other crate handles them"
)]

mod batch;
mod error;
mod handles;

use std::ffi::{CStr, c_char};
use std::slice::{from_raw_parts, from_raw_parts_mut};

use frmdn_car_racing::CarRacingConfig;

pub use batch::FrmdnStream;
use batch::{ACTION, Batch, PROGRESS, Rows, Starts};
use error::{Error, guard};
use handles::Handle;

/// Version of the interface. It changes with the meaning or the arguments of a function.
const ABI_VERSION: u32 = 3;

/// Sizes and ranges of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrmdnSpaces {
    /// Number of environments.
    pub num_envs: i64,
    /// Height, width and channels of an observation.
    pub observation: [i64; 3],
    /// Smallest values of an action: steering, gas, brake.
    pub action_low: [f32; 3],
    /// Largest values of an action.
    pub action_high: [f32; 3],
    /// Number of discrete actions, of which a row of actions holds one in its first value; 0 where
    /// actions are continuous.
    pub num_actions: i64,
}

/// The buffers that a call writes, and the sizes that the caller gave them. A call whose sizes are
/// not the batch's is refused.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FrmdnRows {
    /// Rows of every buffer of the call, those that it reads too.
    pub num_envs: i64,
    /// Bytes of a row of `observations`.
    pub observation_bytes: i64,
    /// `[num_envs, height, width, 3]`.
    pub observations: *mut u8,
    /// `[num_envs]`.
    pub rewards: *mut f64,
    /// `[num_envs]`, 0 or 1.
    pub terminated: *mut u8,
    /// `[num_envs]`, 0 or 1.
    pub truncated: *mut u8,
    /// `[num_envs, 3]`: tiles visited, all tiles, 1 if the lap was finished.
    pub progress: *mut u32,
}

/// Refuses a null or unaligned pointer.
fn check<T>(pointer: *const T, what: &str) -> Result<(), Error> {
    if pointer.is_null() {
        return Err(Error::Argument(format!("{what} is a null pointer")));
    }
    if !pointer.is_aligned() {
        return Err(Error::Argument(format!("{what} is not aligned")));
    }
    Ok(())
}

/// The `len` values at `pointer`.
///
/// # Safety
/// `pointer` is null or points to `len` values that nothing writes during `'a`.
unsafe fn input<'a, T>(pointer: *const T, len: usize, what: &str) -> Result<&'a [T], Error> {
    check(pointer, what)?;
    // SAFETY: not null and aligned; the caller promises that `len` values are there and that
    // nothing writes them.
    Ok(unsafe { from_raw_parts(pointer, len) })
}

/// The `len` values at `pointer`, to write.
///
/// # Safety
/// `pointer` is null or points to `len` initialised values that nothing else touches during `'a`.
unsafe fn output<'a, T>(pointer: *mut T, len: usize, what: &str) -> Result<&'a mut [T], Error> {
    check(pointer, what)?;
    // SAFETY: not null and aligned; the caller promises that `len` values are there and that
    // nothing else touches them.
    Ok(unsafe { from_raw_parts_mut(pointer, len) })
}

/// The buffers of `rows`, if they are those of `batch`.
///
/// # Safety
/// `rows` is null or can be read; its buffers are null or have the sizes that it names, and nothing
/// else touches them during `'a`.
unsafe fn buffers<'a>(batch: &Batch, rows: *const FrmdnRows) -> Result<Rows<'a>, Error> {
    // SAFETY: the caller promises that `rows` can be read; null is refused.
    let rows = unsafe { input(rows, 1, "rows") }?[0];
    let (n, width) = (batch.len(), batch.observation_len());
    for (name, given, wanted) in [
        ("num_envs", rows.num_envs, n),
        ("observation_bytes", rows.observation_bytes, width),
    ] {
        if given != wanted as i64 {
            return Err(Error::Argument(format!(
                "rows.{name} is {given}, the batch has {wanted}"
            )));
        }
    }
    // SAFETY: the sizes are those that the caller promises the buffers to have.
    unsafe {
        Ok(Rows {
            observation: output(rows.observations, n * width, "rows.observations")?,
            reward: output(rows.rewards, n, "rows.rewards")?,
            terminated: output(rows.terminated, n, "rows.terminated")?,
            truncated: output(rows.truncated, n, "rows.truncated")?,
            progress: output(rows.progress, n * PROGRESS, "rows.progress")?,
        })
    }
}

/// The starts of `n` environments; `mask` and `streams` may be null.
///
/// # Safety
/// The pointers are null or have `n` values, and nothing else touches them during `'a`.
unsafe fn starts<'a>(
    n: usize,
    mask: *const u8,
    seeds: *const u64,
    streams: *mut FrmdnStream,
    keep_colors: bool,
) -> Result<Starts<'a>, Error> {
    // SAFETY: the caller promises the sizes; null is refused where it has no meaning.
    unsafe {
        Ok(Starts {
            mask: (!mask.is_null())
                .then(|| input(mask, n, "mask"))
                .transpose()?,
            seeds: input(seeds, n, "seeds")?,
            streams: (!streams.is_null())
                .then(|| output(streams, n, "streams"))
                .transpose()?,
            keep_colors,
        })
    }
}

/// The configuration in `text` (defaults where it is null), and whether actions are clipped.
///
/// # Safety
/// `text` is null or a C string.
unsafe fn configuration(text: *const c_char) -> Result<(CarRacingConfig, bool), Error> {
    if text.is_null() {
        return Ok((CarRacingConfig::default(), true));
    }
    // SAFETY: not null, so by the caller's promise it is a C string.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let parse = || {
        // `clip` is an option of the batch, the others are the environment's.
        let mut options: serde_json::Map<_, _> = serde_json::from_slice(text)?;
        let clip = options.remove("clip").unwrap_or(true.into());
        let clip = serde_json::from_value(clip)?;
        Ok((serde_json::from_value(options.into())?, clip))
    };
    parse().map_err(|error: serde_json::Error| {
        Error::Argument(format!("the configuration does not parse: {error}"))
    })
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

/// Makes a batch of `num_envs` environments, 1 to 4096, and writes its handle to `out`.
///
/// `config` is a JSON object, or null for the defaults: `{"observation": "agent64" | "full96",
/// "random_start": bool, "rule": "v3" | "v4", "max_steps": integer, "actions": "continuous" |
/// "discrete", "domain_randomize": bool, "clip": bool}`. With `clip`, the default, continuous actions
/// beyond the space are taken as the nearest inside, as Gymnasium takes them; without it they are
/// refused. `threads` is the number of threads that step the batch, 1 to 1024, or 0 for one per core.
/// Every environment must be reset before its first step.
///
/// # Safety
/// `config` is null or a C string; `out` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_create(
    num_envs: i64,
    threads: i64,
    config: *const c_char,
    out: *mut Handle,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises that `out` can be written and `config` is a C string.
        let (out, (config, clip)) = unsafe { (output(out, 1, "out")?, configuration(config)?) };
        out[0] = handles::insert(Batch::new(num_envs, threads, &config, clip)?);
        Ok(())
    })
}

/// Writes the sizes and ranges of the batch to `out`.
///
/// # Safety
/// `out` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_spaces(handle: Handle, out: *mut FrmdnSpaces) -> i32 {
    guard(|| {
        handles::with(handle, |batch| {
            // SAFETY: the caller promises that `out` can be written; null is refused.
            let out = unsafe { output(out, 1, "out") }?;
            out[0] = FrmdnSpaces {
                num_envs: batch.len() as i64,
                observation: batch.observation().map(|size| size as i64),
                action_low: [-1.0, 0.0, 0.0],
                action_high: [1.0; 3],
                num_actions: batch.buttons() as i64,
            };
            Ok(())
        })
    })
}

/// Starts an episode in every environment `i` with `mask[i] ≠ 0` (all of them if `mask` is null) and
/// writes their rows: reward and flags are 0. The other rows stay as they are.
///
/// The episode is that of `seeds[i]`. If `streams` is not null, it is drawn from `streams[i]` instead,
/// which is moved on to where the next one begins, as Gymnasium moves its `np_random`; `seeds[i]` then
/// draws what Gymnasium does not, the tile of a random start. `keep_colors ≠ 0` keeps the colours of
/// randomised domains (Gymnasium's option `randomize=False`).
///
/// # Safety
/// The pointers are null or have one row per environment of `rows.num_envs`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_reset(
    handle: Handle,
    mask: *const u8,
    seeds: *const u64,
    streams: *mut FrmdnStream,
    keep_colors: i32,
    rows: *const FrmdnRows,
) -> i32 {
    guard(|| {
        handles::with(handle, |batch| {
            // SAFETY: the caller promises the sizes that `rows` names, and they are the batch's.
            let (rows, starts) = unsafe {
                let rows = buffers(batch, rows)?;
                let starts = starts(batch.len(), mask, seeds, streams, keep_colors != 0)?;
                (rows, starts)
            };
            batch.reset(starts, rows)
        })
    })
}

/// Steps the whole batch with `actions` and writes every row.
///
/// If `resets` is not null and `resets[i] ≠ 0`, environment `i` starts an episode as
/// [`frmdn_car_racing_reset`] does instead: its action is ignored, its reward is 0 and its flags are 0
/// (Gymnasium's autoreset in the next step). Without `resets`, `seeds` and `streams` are not read.
/// Fails with −1, −2 or −3 before any environment moves.
///
/// # Safety
/// The pointers are null or have one row per environment of `rows.num_envs`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_step(
    handle: Handle,
    actions: *const f64,
    resets: *const u8,
    seeds: *const u64,
    streams: *mut FrmdnStream,
    rows: *const FrmdnRows,
) -> i32 {
    guard(|| {
        handles::with(handle, |batch| {
            let n = batch.len();
            // SAFETY: the caller promises the sizes that `rows` names, and they are the batch's.
            let (rows, actions, starts) = unsafe {
                let rows = buffers(batch, rows)?;
                let actions = input(actions, n * ACTION, "actions")?;
                let starts = (!resets.is_null())
                    .then(|| starts(n, resets, seeds, streams, false))
                    .transpose()?;
                (rows, actions, starts)
            };
            batch.step(actions, starts, rows)
        })
    })
}

/// Writes the picture of environment `index` for people, `[height, width, 3]`, to `out`: 96 × 96 is
/// Gymnasium's observation, 600 × 400 its `rgb_array`.
///
/// # Safety
/// `out` is null or has that size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn frmdn_car_racing_picture(
    handle: Handle,
    index: i64,
    width: i64,
    height: i64,
    out: *mut u8,
) -> i32 {
    guard(|| {
        handles::with(handle, |batch| {
            let picture = batch.picture(index, width, height)?;
            // SAFETY: the caller promises a buffer of the size that it named; null is refused.
            let out = unsafe { output(out, picture.rgb.len(), "out") }?;
            out.copy_from_slice(&picture.rgb);
            Ok(())
        })
    })
}

/// Frees the batch and its threads. Waits for a call of another thread that is under way with it; once
/// this has returned, no call writes into a buffer any more. A batch that is closed already is left
/// alone, and so is 0.
#[unsafe(no_mangle)]
pub extern "C" fn frmdn_car_racing_close(handle: Handle) -> i32 {
    guard(|| {
        if handle == 0 {
            return Ok(());
        }
        handles::close(handle)
    })
}

#[cfg(test)]
mod tests;
