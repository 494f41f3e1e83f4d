//! The C ABI: any order of calls with any values. Pointers are good or null: others are the
//! caller's promise.
#![no_main]

use std::{
    ffi::{CStr, CString},
    ptr::{null, null_mut},
};

use frmdn_env_cabi as cabi;
use libfuzzer_sys::fuzz_target;

/// Environments of the largest batch that is driven.
const MOST: usize = 3;
/// Bytes of a row of the largest observation.
const ROW: usize = 96 * 96 * 3;
/// Bytes of the largest picture.
const PICTURE: usize = 600 * 400 * 3;

/// Numbers of environments and of threads: small ones, and such as nobody has.
const COUNTS: [i64; 8] = [1, 2, MOST as i64, 0, -1, 1 << 40, i64::MAX, i64::MIN];

/// Buffers of a batch of `n` environments.
struct Buffers {
    observations: Vec<u8>,
    rewards: [f64; MOST],
    flags: [[u8; MOST]; 2],
    progress: [u32; 3 * MOST],
    streams: [cabi::FrmdnStream; MOST],
    picture: Vec<u8>,
}

impl Buffers {
    fn rows(&mut self, num_envs: i64, observation_bytes: i64) -> cabi::FrmdnRows {
        let [terminated, truncated] = &mut self.flags;
        cabi::FrmdnRows {
            num_envs,
            observation_bytes,
            observations: self.observations.as_mut_ptr(),
            rewards: self.rewards.as_mut_ptr(),
            terminated: terminated.as_mut_ptr(),
            truncated: truncated.as_mut_ptr(),
            progress: self.progress.as_mut_ptr(),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(([counts, length], rest)) = data.split_first_chunk() else {
        return;
    };
    let (config, mut calls) = rest.split_at(usize::from(*length).min(rest.len()));
    let config = CString::new(config).ok();
    let config = config.as_ref().map_or(null(), |text| text.as_ptr());
    let n = COUNTS[usize::from(counts % 8)];
    let threads = match COUNTS[usize::from(counts / 8 % 8)] {
        3 => 0,
        few => few,
    };
    let mut handle = 0;
    // SAFETY: a C string or null, and a place for the handle.
    let code = unsafe { cabi::frmdn_car_racing_create(n, threads, config, &mut handle) };
    if code != 0 {
        // SAFETY: a message is always there.
        assert!(!unsafe { CStr::from_ptr(cabi::frmdn_last_error()) }.is_empty());
        return;
    }
    assert!((1..=MOST as i64).contains(&n));
    let mut buffers = Buffers {
        observations: vec![0; MOST * ROW],
        rewards: [0.0; MOST],
        flags: [[0; MOST]; 2],
        progress: [0; 3 * MOST],
        streams: Default::default(),
        picture: vec![0; PICTURE],
    };
    for _ in 0..12 {
        let Some((what, rest)) = calls.split_first() else {
            break;
        };
        calls = call(handle, n, *what, rest, &mut buffers);
    }
    assert!((-6..=0).contains(&cabi::frmdn_car_racing_close(handle)));
    // SAFETY: a place for the sizes. The batch is closed now, if it was not before.
    let after = unsafe { cabi::frmdn_car_racing_spaces(handle, &mut Default::default()) };
    assert_eq!(after, -6);
});

/// One call; what it does not use of `rest`.
fn call<'a>(handle: u64, n: i64, what: u8, rest: &'a [u8], b: &mut Buffers) -> &'a [u8] {
    let (head, rest) = rest.split_at(rest.len().min(8 * 3 * MOST));
    let mut bytes = [0; 8 * 3 * MOST];
    bytes[..head.len()].copy_from_slice(head);
    let numbers: Vec<u64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|n| u64::from_le_bytes(*n))
        .collect();
    let actions: Vec<f64> = numbers.iter().map(|n| f64::from_bits(*n)).collect();
    let seeds = numbers.as_ptr();
    let mask = [what & 8, what & 16, what & 32];
    let mask = if what & 64 == 0 {
        null()
    } else {
        mask.as_ptr()
    };
    for (stream, numbers) in b.streams.iter_mut().zip(numbers.as_chunks::<3>().0) {
        stream.state = [numbers[0], numbers[1]];
        stream.increment = [numbers[2], numbers[0]];
        (stream.half, stream.has_half) = (numbers[1] as u32, numbers[2] as u32);
    }
    let streams = if what & 128 == 0 {
        null_mut()
    } else {
        b.streams.as_mut_ptr()
    };
    let (index, sizes) = (
        numbers[0] as i64,
        [[96, 96], [600, 400], [numbers[1] as i64; 2]],
    );
    let mut spaces = Default::default();
    // SAFETY: every buffer is as large as the largest batch and picture need.
    let code = unsafe {
        cabi::frmdn_car_racing_spaces(handle, &mut spaces);
        let row = spaces.observation.iter().product();
        let rows = b.rows(n, row);
        match what % 8 {
            0 => cabi::frmdn_car_racing_spaces(numbers[0], &mut spaces),
            1 => cabi::frmdn_car_racing_reset(handle, mask, seeds, streams, index as i32, &rows),
            2 => {
                let rows = b.rows(index, numbers[1] as i64);
                let fits = rows.num_envs == n && rows.observation_bytes == row;
                let code = cabi::frmdn_car_racing_reset(handle, mask, seeds, null_mut(), 0, &rows);
                assert!(fits || code != 0);
                code
            }
            3 => {
                let [width, height] = sizes[numbers[2] as usize % 3];
                let out = b.picture.as_mut_ptr();
                cabi::frmdn_car_racing_picture(handle, index, width, height, out)
            }
            4 => cabi::frmdn_car_racing_step(handle, null(), null(), null(), null_mut(), null()),
            5 => cabi::frmdn_car_racing_close(if what & 128 == 0 { handle } else { numbers[0] }),
            _ => {
                let actions = actions.as_ptr();
                cabi::frmdn_car_racing_step(handle, actions, mask, seeds, streams, &rows)
            }
        }
    };
    assert!((-7..=0).contains(&code) && code != -5, "code {code}");
    rest
}
