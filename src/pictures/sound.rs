//! Pictures of sound.

use std::f64::consts::PI;

use super::Panel;

/// Pixels of a picture, from left to right and from top to bottom.
const WIDTH: usize = 640;
const WAVE: usize = 120;
/// Samples of a window of the spectrogram; frequencies from 0 to half the rate are half as many.
const WINDOW: usize = 256;
/// Loudness below the loudest, in decibels, that is black.
const RANGE: f64 = 80.0;
const PAPER: [u8; 3] = [245, 245, 245];
const INK: [u8; 3] = [40, 70, 120];

/// The waveform of `samples`, −1 to 1: at each pixel from the smallest to the largest of its samples,
/// so enlarged that the loudest of all, or `loudest` if that is more, fills the height.
pub fn waveform(samples: &[f32], loudest: f32) -> Panel {
    let mut rgb = PAPER.repeat(WIDTH * WAVE);
    let most = samples.iter().fold(loudest, |most, s| most.max(s.abs()));
    for x in 0..WIDTH {
        let part = &samples[x * samples.len() / WIDTH..];
        let count = (samples.len() / WIDTH + 1).min(part.len());
        let (mut low, mut high) = (0.0f32, 0.0f32);
        for sample in &part[..count] {
            low = low.min(*sample);
            high = high.max(*sample);
        }
        let row = |v: f32| {
            let share = 0.5 - 0.5 * v / most.max(f32::MIN_POSITIVE);
            ((share * (WAVE - 1) as f32) as usize).min(WAVE - 1)
        };
        for y in row(high)..=row(low) {
            rgb[(y * WIDTH + x) * 3..][..3].copy_from_slice(&INK);
        }
    }
    Panel::new(WIDTH, WAVE, rgb)
}

/// The spectrogram of `samples`: time to the right, frequency upward from 0 to half the sampling rate,
/// the loudest white and what is 80 dB below it black.
pub fn spectrogram(samples: &[f32]) -> Panel {
    let height = WINDOW / 2;
    let mut power = vec![0.0f64; WIDTH * height];
    let turn = |i: usize| 2.0 * PI * (i % WINDOW) as f64 / WINDOW as f64;
    let cosines: Vec<f64> = (0..WINDOW).map(|i| libm::cos(turn(i))).collect();
    let sines: Vec<f64> = (0..WINDOW).map(|i| libm::sin(turn(i))).collect();
    let last = samples.len().saturating_sub(WINDOW);
    for x in 0..WIDTH {
        let first = x * last / (WIDTH - 1);
        let window = &samples[first..samples.len().min(first + WINDOW)];
        for k in 0..height {
            let (mut re, mut im) = (0.0, 0.0);
            for (i, sample) in window.iter().enumerate() {
                // Hann's window.
                let v = f64::from(*sample) * (0.5 - 0.5 * cosines[i]);
                re += v * cosines[i * k % WINDOW];
                im += v * sines[i * k % WINDOW];
            }
            power[(height - 1 - k) * WIDTH + x] = re * re + im * im;
        }
    }
    let most = power.iter().fold(f64::MIN_POSITIVE, |most, p| most.max(*p));
    let mut rgb = Vec::with_capacity(power.len() * 3);
    for p in power {
        let decibels = 10.0 * libm::log10((p / most).max(1e-30));
        let share = (1.0 + decibels / RANGE).clamp(0.0, 1.0);
        rgb.extend(heat(share));
    }
    Panel::new(WIDTH, height, rgb)
}

/// From black over violet and orange to white.
fn heat(share: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 4] = [
        [0.0, 0.0, 0.0],
        [90.0, 20.0, 110.0],
        [240.0, 120.0, 30.0],
        [255.0, 255.0, 230.0],
    ];
    let at = share * (STOPS.len() - 1) as f64;
    let low = (at as usize).min(STOPS.len() - 2);
    let part = at - low as f64;
    std::array::from_fn(|i| (STOPS[low][i] * (1.0 - part) + STOPS[low + 1][i] * part) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of an eighth of the sampling rate is a line at a quarter of the height, from below.
    #[test]
    fn a_tone_is_a_line_at_its_frequency() {
        let samples: Vec<f32> = (0..4000)
            .map(|i| libm::sinf(std::f32::consts::PI / 4.0 * i as f32))
            .collect();
        let panel = spectrogram(&samples);
        let bright = |y: usize| -> u32 {
            let row = &panel.rgb()[y * WIDTH * 3..(y + 1) * WIDTH * 3];
            row.iter().map(|v| u32::from(*v)).sum()
        };
        let brightest = (0..panel.height()).max_by_key(|y| bright(*y)).unwrap();
        assert_eq!(brightest, panel.height() - 1 - panel.height() / 4);
        assert!(bright(10) < bright(brightest) / 10);
    }

    #[test]
    fn silence_and_short_sounds_are_drawn_too() {
        for samples in [vec![0.0; 3], vec![0.0; 5000], vec![0.5; 100]] {
            assert_eq!(waveform(&samples, 0.0).width(), WIDTH);
            assert_eq!(spectrogram(&samples).height(), WINDOW / 2);
        }
    }
}
