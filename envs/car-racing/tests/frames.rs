//! Frames along two drives against Gymnasium's: while the camera zooms in, on the road, in turns with kerbs, off the road.

use frmdn_car_racing::{CarRacing, CarRacingConfig, Observation};
use frmdn_env::{Env, ObservationMut};

/// Rows of the scene; below are the gauges and the score, whose digits are drawn with another font.
const SCENE: usize = 84;
const FULL: usize = 96;

/// Calls `check` with the environment's frame and the reference's, for every frame that is kept.
fn replay(observation: Observation, mut check: impl FnMut(&str, &[u8], &[u8])) {
    let mut data: &[u8] = include_bytes!("reference/frames.bin");
    let mut pixels = include_bytes!("reference/frames.rgb").chunks_exact(FULL * FULL * 3);
    let mut word = || {
        let (head, tail) = data.split_first_chunk::<4>()?;
        data = tail;
        Some(*head)
    };
    while let Some(seed) = word() {
        let seed = u32::from_le_bytes(seed);
        let mut number = || u32::from_le_bytes(word().unwrap());
        let (steps, frames) = (number(), number());
        let actions: Vec<f32> = (0..3 * steps).map(|_| f32::from_bits(number())).collect();
        let mut env: CarRacing = CarRacingConfig { observation, ..CarRacingConfig::default() }.init();
        let mut frame = vec![0; env.observation_space().len()];
        env.reset(u64::from(seed), ObservationMut::Frame(&mut frame)).unwrap();
        let mut driven = 0;
        for _ in 0..frames {
            let step = number();
            while driven < step {
                let action = &actions[3 * driven as usize..][..3];
                env.step(action, ObservationMut::Frame(&mut frame)).unwrap();
                driven += 1;
            }
            check(&format!("seed {seed}, step {step}"), &frame, pixels.next().unwrap());
        }
    }
    assert!(pixels.next().is_none());
}

/// Mean absolute difference in levels of 255, and the share of values more than 16 apart.
fn difference(a: &[u8], b: &[u8]) -> (f64, f64) {
    let n = a.len() as f64;
    let all = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)));
    (all.clone().sum::<f64>() / n, all.filter(|d| *d > 16.0).count() as f64 / n)
}

#[test]
fn full_frames_are_close_to_gymnasiums() {
    let mut errors = Vec::new();
    replay(Observation::Full96, |name, got, want| {
        let (mean, far) = difference(&got[..SCENE * FULL * 3], &want[..SCENE * FULL * 3]);
        println!("{name}: {mean:.3}/255, {:.3} % far off", 100.0 * far);
        errors.push((name.to_owned(), mean, far));
    });
    let n = errors.len() as f64;
    let (mean, far) = (errors.iter().map(|e| e.1).sum::<f64>() / n, errors.iter().map(|e| e.2).sum::<f64>() / n);
    println!("mean {mean:.3}/255, {:.3} % far off", 100.0 * far);
    assert!(mean <= 0.35 && far <= 0.005, "{mean} {far}");
}

#[test]
fn the_agents_view_is_the_scene_of_the_full_frame_made_smaller() {
    // Area average of rows 0..84 to 64 × 64: every output pixel covers 1.5 × 1.3125 input pixels.
    let shrink = |full: &[u8]| {
        let (sx, sy) = (FULL as f64 / 64.0, SCENE as f64 / 64.0);
        let cover = |from: f64, i: usize, size: f64| (f64::min(from + size, i as f64 + 1.0) - f64::max(from, i as f64)).max(0.0);
        let mut out = vec![0u8; 64 * 64 * 3];
        for (at, value) in out.iter_mut().enumerate() {
            let (y, x, channel) = (at / 3 / 64, at / 3 % 64, at % 3);
            let (top, left) = (y as f64 * sy, x as f64 * sx);
            let mut sum = 0.0;
            for i in top as usize..((top + sy).ceil() as usize).min(SCENE) {
                for j in left as usize..((left + sx).ceil() as usize).min(FULL) {
                    sum += cover(top, i, sy) * cover(left, j, sx) * f64::from(full[(i * FULL + j) * 3 + channel]);
                }
            }
            *value = (sum / (sx * sy)).round() as u8;
        }
        out
    };
    let mut means = Vec::new();
    replay(Observation::Agent64, |name, got, want| {
        let (mean, far) = difference(got, &shrink(want));
        println!("{name}: {mean:.3}/255, {:.3} % far off", 100.0 * far);
        means.push(mean);
    });
    // The frame is drawn directly at 64 × 64, once averaged instead of twice: edges differ, flat parts do not.
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    println!("mean {mean:.3}/255");
    assert!(mean <= 0.5, "{mean}");
}
