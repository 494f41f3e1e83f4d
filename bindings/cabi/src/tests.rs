//! The ABI as a caller of C uses it.

use std::ffi::CStr;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

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

    fn rows(&mut self) -> FrmdnRows {
        FrmdnRows {
            num_envs: self.rewards.len() as i64,
            observation_bytes: ROW as i64,
            observations: self.observations.as_mut_ptr(),
            rewards: self.rewards.as_mut_ptr(),
            terminated: self.terminated.as_mut_ptr(),
            truncated: self.truncated.as_mut_ptr(),
            progress: self.progress.as_mut_ptr(),
        }
    }

    fn reset(&mut self, handle: Handle, seeds: &[u64]) -> i32 {
        assert_eq!(seeds.len(), self.rewards.len());
        // SAFETY: the buffers have a row per environment.
        unsafe {
            frmdn_car_racing_reset(handle, null(), seeds.as_ptr(), null_mut(), 0, &self.rows())
        }
    }

    fn reset_streams(
        &mut self,
        handle: Handle,
        mask: &[u8],
        seeds: &[u64],
        streams: &mut [FrmdnStream],
    ) -> i32 {
        // SAFETY: the buffers have a row per environment.
        unsafe {
            frmdn_car_racing_reset(
                handle,
                mask.as_ptr(),
                seeds.as_ptr(),
                streams.as_mut_ptr(),
                0,
                &self.rows(),
            )
        }
    }

    fn step(&mut self, handle: Handle, actions: &[f64], resets: Option<(&[u8], &[u64])>) -> i32 {
        assert_eq!(actions.len(), self.rewards.len() * ACTION);
        let (mask, seeds) = resets.map_or((null(), null()), |(mask, seeds)| {
            (mask.as_ptr(), seeds.as_ptr())
        });
        // SAFETY: the buffers have a row per environment.
        unsafe {
            frmdn_car_racing_step(
                handle,
                actions.as_ptr(),
                mask,
                seeds,
                null_mut(),
                &self.rows(),
            )
        }
    }
}

fn try_create(num_envs: i64, threads: i64, config: &CStr) -> Result<Handle, i32> {
    let mut handle = 0;
    // SAFETY: a C string and a place for the handle.
    match unsafe { frmdn_car_racing_create(num_envs, threads, config.as_ptr(), &mut handle) } {
        0 => Ok(handle),
        code => Err(code),
    }
}

fn create(n: usize, threads: i64, config: &CStr) -> Handle {
    try_create(n as i64, threads, config).unwrap_or_else(|code| panic!("{code}: {}", text()))
}

fn close(handle: Handle) {
    assert_eq!(frmdn_car_racing_close(handle), 0);
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

// numpy 2: `PCG64(5).state`; the tiles are those of Gymnasium's tracks after `reset(seed=5)` and after
// the reset without a seed that follows.
#[test]
fn a_stream_goes_on_with_the_next_track() {
    let seeded = FrmdnStream {
        state: [0xe500_c1d1_29ce_9183, 0xd973_b921_e554_efee],
        increment: [0xaf6f_7b8c_936a_b4a4, 0x4f02_0b7b_2d10_234d],
        half: 0,
        has_half: 0,
    };
    let handle = create(2, 0, c"{}");
    let (mut rows, mut seeds) = (Buffers::new(2), Buffers::new(2));
    let mut streams = [seeded; 2];
    assert_eq!(
        rows.reset_streams(handle, &[1, 1], &[9, 9], &mut streams),
        0
    );
    assert_eq!([rows.progress[1], rows.progress[4]], [329, 329]);
    let first = streams[0];
    assert_ne!(first, seeded);
    let row = rows.observations[..ROW].to_vec();
    assert_eq!(
        rows.reset_streams(handle, &[0, 1], &[9, 9], &mut streams),
        0
    );
    assert_eq!([rows.progress[1], rows.progress[4]], [329, 273]);
    assert_eq!(streams[0], first, "without a mark the stream stays");
    assert_eq!(row, rows.observations[..ROW], "and so does the row");
    assert_eq!(seeds.reset(handle, &[5, 6]), 0);
    assert_eq!(seeds.observations[..ROW], row, "the episode of the seed");

    streams[1].increment[1] = 2;
    assert_eq!(
        rows.reset_streams(handle, &[1, 1], &[9, 9], &mut streams),
        -1
    );
    assert!(text().contains("streams[1].increment"), "{}", text());
    close(handle);
}

#[test]
fn counts_have_ranges() {
    for (num_envs, threads, name) in [
        (0, 0, "num_envs is 0"),
        (-1, 0, "num_envs is -1"),
        (4097, 0, "from 1 to 4096"),
        (i64::MAX, 0, "num_envs is 9223372036854775807"),
        (i64::MIN, 0, "num_envs"),
        (1, -1, "threads is -1"),
        (1, 1025, "from 0 to 1024"),
    ] {
        assert_eq!(try_create(num_envs, threads, c"{}"), Err(-1));
        assert!(text().contains(name), "{}", text());
    }
}

#[test]
fn faults_of_a_configuration_have_messages() {
    for (config, name) in [
        (c"", "does not parse"),
        (c"[]", "does not parse"),
        (c"\xff", "does not parse"),
        (c"{\"colour\": 1}", "colour"),
        (c"{\"clip\": 1}", "boolean"),
        (c"{\"observation\": \"agent65\"}", "agent65"),
        (c"{\"max_steps\": -1}", "-1"),
    ] {
        assert_eq!(try_create(1, 0, config), Err(-1));
        assert!(text().contains(name), "{}", text());
    }
}

#[test]
fn null_and_unaligned_pointers_are_refused() {
    let handle = create(1, 0, c"{}");
    let mut buffers = Buffers::new(1);
    let rows = buffers.rows();
    let (seed, action) = ([1], [0.0; ACTION]);
    // SAFETY: every pointer has the size that is promised, or is null or unaligned.
    unsafe {
        assert_eq!(frmdn_car_racing_create(1, 0, null(), null_mut()), -1);
        assert_eq!(frmdn_car_racing_spaces(handle, null_mut()), -1);
        let reset =
            |seeds, rows| frmdn_car_racing_reset(handle, null(), seeds, null_mut(), 0, rows);
        let step = |actions, rows| {
            frmdn_car_racing_step(handle, actions, null(), null(), null_mut(), rows)
        };
        assert_eq!(reset(null(), &rows), -1);
        assert!(text().contains("seeds"), "{}", text());
        assert_eq!(reset(seed.as_ptr(), null()), -1);
        assert_eq!(reset(seed.as_ptr().byte_add(1), &rows), -1);
        assert!(text().contains("aligned"), "{}", text());
        assert_eq!(reset(seed.as_ptr(), &rows), 0);
        assert_eq!(step(null(), &rows), -1);
        assert_eq!(step(action.as_ptr(), null()), -1);
        let resets = [1];
        let code = frmdn_car_racing_step(
            handle,
            action.as_ptr(),
            resets.as_ptr(),
            null(),
            null_mut(),
            &rows,
        );
        assert_eq!(code, -1, "resets without seeds");
        for (name, rows) in [
            (
                "observations",
                FrmdnRows {
                    observations: null_mut(),
                    ..rows
                },
            ),
            (
                "rewards",
                FrmdnRows {
                    rewards: null_mut(),
                    ..rows
                },
            ),
            (
                "terminated",
                FrmdnRows {
                    terminated: null_mut(),
                    ..rows
                },
            ),
            (
                "truncated",
                FrmdnRows {
                    truncated: null_mut(),
                    ..rows
                },
            ),
            (
                "progress",
                FrmdnRows {
                    progress: null_mut(),
                    ..rows
                },
            ),
            (
                "num_envs",
                FrmdnRows {
                    num_envs: 2,
                    ..rows
                },
            ),
            (
                "num_envs",
                FrmdnRows {
                    num_envs: -1,
                    ..rows
                },
            ),
            (
                "observation_bytes",
                FrmdnRows {
                    observation_bytes: 96 * 96 * 3,
                    ..rows
                },
            ),
        ] {
            assert_eq!(reset(seed.as_ptr(), &rows), -1);
            assert!(text().contains(name), "{}", text());
            assert_eq!(step(action.as_ptr(), &rows), -1);
        }
        assert_eq!(frmdn_car_racing_picture(handle, 0, 96, 96, null_mut()), -1);
    }
    close(handle);
}

#[test]
fn actions_are_clipped_or_refused() {
    let (clips, strict) = (create(1, 0, c"{}"), create(1, 0, cr#"{"clip": false}"#));
    let (mut a, mut b) = (Buffers::new(1), Buffers::new(1));
    assert_eq!(a.step(clips, &[0.0; 3], None), -3);
    assert_eq!((a.reset(clips, &[1]), b.reset(strict, &[1])), (0, 0));
    for _ in 0..20 {
        assert_eq!(a.step(clips, &[-7.0, 1.5, -0.5], None), 0);
        assert_eq!(b.step(strict, &[-1.0, 1.0, 0.0], None), 0);
    }
    assert_eq!(a.observations, b.observations);
    assert_eq!(a.rewards, b.rewards);
    assert_eq!(a.step(clips, &[0.0, f64::NAN, 0.0], None), -2);
    assert_eq!(b.step(strict, &[0.0, f64::NAN, 0.0], None), -2);
    assert_eq!(b.step(strict, &[0.0, -0.5, 0.0], None), -2);
    assert!(text().contains("[0, 1]"), "{}", text());
    let buttons = create(1, 0, cr#"{"actions": "discrete"}"#);
    assert_eq!(a.reset(buttons, &[1]), 0);
    for (action, code) in [(4.0, 0), (5.0, -2), (-1.0, -2), (0.5, -2), (f64::NAN, -2)] {
        assert_eq!(a.step(buttons, &[action, 0.0, 0.0], None), code);
    }
    for handle in [clips, strict, buttons] {
        close(handle);
    }
}

#[test]
fn pictures_have_two_sizes() {
    let handle = create(1, 0, c"{}");
    let picture = |index, width: i64, height: i64| {
        let mut out = vec![0; 600 * 400 * 3];
        // SAFETY: a buffer of the largest size.
        let code =
            unsafe { frmdn_car_racing_picture(handle, index, width, height, out.as_mut_ptr()) };
        let last = out.iter().rposition(|&byte| byte != 0).unwrap_or_default();
        (code, last)
    };
    assert_eq!(picture(0, 96, 96).0, -3);
    assert_eq!(Buffers::new(1).reset(handle, &[1]), 0);
    // The last row of pixels is below the gauges, the bar is an eighth of the height.
    for (width, height) in [(96, 96), (600, 400)] {
        let (code, last) = picture(0, width, height);
        let bytes = (width * height * 3) as usize;
        assert_eq!(code, 0);
        assert!((bytes * 7 / 8..bytes).contains(&last), "{last} of {bytes}");
    }
    for (index, width, height) in [
        (1, 96, 96),
        (-1, 96, 96),
        (0, 95, 96),
        (0, -96, 96),
        (0, 0, 0),
    ] {
        assert_eq!(picture(index, width, height).0, -1);
    }
    close(handle);
}

#[test]
fn a_closed_batch_is_found_out() {
    let handle = create(1, 0, c"{}");
    let mut rows = Buffers::new(1);
    close(handle);
    close(handle);
    close(0);
    assert_eq!(rows.reset(handle, &[1]), -6);
    assert_eq!(rows.step(handle, &[0.0; 3], None), -6);
    assert!(text().contains("closed"), "{}", text());
    for unknown in [0, u64::MAX, u64::from(u32::MAX)] {
        assert_eq!(rows.reset(unknown, &[1]), -1);
        assert!(text().contains("not the handle"), "{}", text());
    }
    assert_eq!(frmdn_car_racing_close(u64::MAX), -1);
    assert_ne!(create(1, 0, c"{}"), handle, "handles are not used again");
}

/// Threads step one batch while it is closed: each of them is told so, and after the close no buffer
/// is written any more.
#[test]
fn closing_waits_for_a_step_of_another_thread() {
    for _ in 0..20 {
        let handle = create(N, 2, c"{}");
        assert_eq!(Buffers::new(N).reset(handle, &[1, 2, 3]), 0);
        let (closed, stepped) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut rows = Buffers::new(N);
                    loop {
                        let before = closed.load(Ordering::SeqCst);
                        match rows.step(handle, &[0.0; 9], None) {
                            0 => {
                                assert!(!before, "a step after the close");
                                stepped.store(true, Ordering::SeqCst);
                            }
                            -4 => std::thread::yield_now(),
                            code => {
                                assert_eq!(code, -6);
                                break;
                            }
                        }
                    }
                });
            }
            while !stepped.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            close(handle);
            closed.store(true, Ordering::SeqCst);
        });
    }
}

#[test]
fn a_panic_becomes_an_error_and_breaks_the_batch() {
    let handle = create(1, 0, c"{}");
    assert_eq!(
        guard(|| handles::with(handle, |_| panic!("thrown on purpose"))),
        -5
    );
    assert!(text().contains("thrown on purpose"), "{}", text());
    assert_eq!(Buffers::new(1).reset(handle, &[1]), -5);
    assert!(text().contains("close it"), "{}", text());
    close(handle);
    assert_eq!(Buffers::new(1).reset(handle, &[1]), -6);
}

#[test]
fn spaces_are_those_of_the_configuration() {
    let handle = create(2, 0, cr#"{"observation": "full96"}"#);
    let mut spaces = FrmdnSpaces::default();
    // SAFETY: a place for the spaces.
    assert_eq!(unsafe { frmdn_car_racing_spaces(handle, &mut spaces) }, 0);
    assert_eq!((spaces.num_envs, spaces.observation), (2, [96, 96, 3]));
    assert_eq!(
        (spaces.action_low, spaces.action_high),
        ([-1.0, 0.0, 0.0], [1.0; 3])
    );
    close(handle);
}
