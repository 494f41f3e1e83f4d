//! The ABI as a caller of C uses it.

use std::ffi::CStr;
use std::ptr::{null, null_mut};

use super::*;

const N: usize = 3;
const ROW: usize = 64 * 64 * 3;

struct Buffers {
    observations: Vec<u8>,
    rewards: Vec<f64>,
    terminated: Vec<u8>,
    truncated: Vec<u8>,
    progress: Vec<u32>,
}

impl Buffers {
    fn new(n: usize) -> Self {
        Self {
            observations: vec![0; n * ROW],
            rewards: vec![0.0; n],
            terminated: vec![0; n],
            truncated: vec![0; n],
            progress: vec![0; n * PROGRESS],
        }
    }

    fn reset(&mut self, handle: *const FrmdnCarRacing, seeds: &[u64]) -> i32 {
        // SAFETY: the handle is open and the buffers have a row per environment.
        unsafe {
            frmdn_car_racing_reset(
                handle,
                null(),
                seeds.as_ptr(),
                self.observations.as_mut_ptr(),
                self.progress.as_mut_ptr(),
            )
        }
    }

    fn step(
        &mut self,
        handle: *const FrmdnCarRacing,
        actions: &[f32],
        resets: Option<(&[u8], &[u64])>,
    ) -> i32 {
        let (mask, seeds) = resets.map_or((null(), null()), |(mask, seeds)| {
            (mask.as_ptr(), seeds.as_ptr())
        });
        // SAFETY: the handle is open and the buffers have a row per environment.
        unsafe {
            frmdn_car_racing_step(
                handle,
                actions.as_ptr(),
                mask,
                seeds,
                self.observations.as_mut_ptr(),
                self.rewards.as_mut_ptr(),
                self.terminated.as_mut_ptr(),
                self.truncated.as_mut_ptr(),
                self.progress.as_mut_ptr(),
            )
        }
    }
}

fn create(n: usize, threads: usize, config: &CStr) -> *mut FrmdnCarRacing {
    let mut handle = null_mut();
    // SAFETY: a C string and a place for the handle.
    assert_eq!(
        unsafe { frmdn_car_racing_create(n, threads, config.as_ptr(), &mut handle) },
        0,
        "{}",
        text()
    );
    handle
}

fn close(handle: *mut FrmdnCarRacing) {
    // SAFETY: each test closes its handle once.
    assert_eq!(unsafe { frmdn_car_racing_close(handle) }, 0);
}

fn text() -> String {
    // SAFETY: the text of the last error is a C string.
    unsafe { CStr::from_ptr(frmdn_last_error()) }
        .to_string_lossy()
        .into_owned()
}

#[test]
fn batch_equals_single_on_any_number_of_threads() {
    let seeds = [5, 6, 7];
    let actions = [0.1, 0.6, 0.0, -0.2, 0.5, 0.0, 0.0, 0.9, 0.1];
    let (parallel, serial) = (create(N, 2, c"{}"), create(N, 1, c"{}"));
    let (mut a, mut b) = (Buffers::new(N), Buffers::new(N));
    assert_eq!((a.reset(parallel, &seeds), b.reset(serial, &seeds)), (0, 0));
    for _ in 0..30 {
        assert_eq!(
            (
                a.step(parallel, &actions, None),
                b.step(serial, &actions, None)
            ),
            (0, 0)
        );
        assert_eq!(a.observations, b.observations);
        assert_eq!(a.rewards, b.rewards);
        assert_eq!(a.progress, b.progress);
    }
    let single = create(1, 0, c"{}");
    let mut c = Buffers::new(1);
    assert_eq!(c.reset(single, &seeds[1..2]), 0);
    for _ in 0..30 {
        assert_eq!(c.step(single, &actions[3..6], None), 0);
    }
    assert_eq!(c.observations, a.observations[ROW..2 * ROW]);
    assert_eq!(c.rewards[0], a.rewards[1]);
    for handle in [parallel, serial, single] {
        close(handle);
    }
}

#[test]
fn ended_episodes_are_reset_in_the_next_step() {
    let handle = create(2, 0, cr#"{"max_steps": 2}"#);
    let mut rows = Buffers::new(2);
    assert_eq!(rows.reset(handle, &[1, 2]), 0);
    assert_eq!(rows.step(handle, &[0.0; 6], None), 0);
    assert_eq!(rows.step(handle, &[0.0; 6], None), 0);
    assert_eq!(
        (rows.truncated.as_slice(), rows.terminated.as_slice()),
        (&[1, 1][..], &[0, 0][..])
    );
    assert_eq!(
        rows.step(handle, &[0.0; 6], Some((&[1, 0], &[3, 0]))),
        -3,
        "environment 1 is over"
    );
    assert!(text().contains("environment 1"), "{}", text());
    assert_eq!(rows.step(handle, &[0.0; 6], Some((&[1, 1], &[3, 4]))), 0);
    assert_eq!(
        (rows.rewards.as_slice(), rows.truncated.as_slice()),
        (&[0.0, 0.0][..], &[0, 0][..])
    );
    close(handle);
}

#[test]
fn faults_have_codes_and_messages() {
    let mut handle = null_mut();
    // SAFETY: C strings or null, and a place for the handle or null.
    unsafe {
        assert_eq!(frmdn_car_racing_create(0, 0, null(), &mut handle), -1);
        assert!(text().contains("at least one"), "{}", text());
        assert_eq!(
            frmdn_car_racing_create(1, 0, c"{\"colour\": 1}".as_ptr(), &mut handle),
            -1
        );
        assert!(text().contains("colour"), "{}", text());
        assert_eq!(frmdn_car_racing_create(1, 0, null(), null_mut()), -1);
        assert_eq!(frmdn_car_racing_spaces(null(), null_mut()), -1);
        assert_eq!(frmdn_car_racing_close(null_mut()), 0);
    }
    let handle = create(1, 0, c"{}");
    let mut rows = Buffers::new(1);
    assert_eq!(rows.step(handle, &[0.0; 3], None), -3);
    assert_eq!(rows.reset(handle, &[1]), 0);
    assert_eq!(rows.step(handle, &[0.0, f32::NAN, 0.0], None), -2);
    assert_eq!(rows.step(handle, &[0.0, -0.5, 0.0], None), -2);
    assert!(text().contains("[0, 1]"), "{}", text());
    let mut picture = vec![0; PICTURE * PICTURE * 3];
    // SAFETY: an open handle and a buffer of the size of a picture.
    unsafe {
        assert_eq!(
            frmdn_car_racing_picture(handle, 1, picture.as_mut_ptr()),
            -1
        );
        assert_eq!(frmdn_car_racing_picture(handle, 0, picture.as_mut_ptr()), 0);
    }
    assert!(picture.iter().any(|&byte| byte != picture[0]));
    close(handle);
}

#[test]
fn a_panic_becomes_an_error_and_breaks_the_batch() {
    let handle = create(1, 0, c"{}");
    // SAFETY: an open handle.
    unsafe {
        assert_eq!(with(handle, |_| panic!("thrown on purpose")), -5);
        assert!(text().contains("thrown on purpose"), "{}", text());
        assert_eq!(with(handle, |_| Ok(())), -5);
    }
    assert!(text().contains("close it"), "{}", text());
    close(handle);
}

#[test]
fn spaces_are_those_of_the_configuration() {
    let handle = create(2, 0, cr#"{"observation": "full96"}"#);
    let mut spaces = FrmdnSpaces::default();
    // SAFETY: an open handle and a place for the spaces.
    assert_eq!(unsafe { frmdn_car_racing_spaces(handle, &mut spaces) }, 0);
    assert_eq!(
        (spaces.n_envs, spaces.observation, spaces.picture),
        (2, [96, 96, 3], [96, 96, 3])
    );
    assert_eq!(
        (spaces.action_low, spaces.action_high),
        ([-1.0, 0.0, 0.0], [1.0; 3])
    );
    close(handle);
}
