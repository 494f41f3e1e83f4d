//! Another sampling rate.

use rubato::{Fft, FixedSync, Resampler, audioadapter_buffers::owned::InterleavedOwned};

use super::{
    error::SoundError,
    sound::{HIGHEST_RATE, LOWEST_RATE, Sound},
};

/// Samples, at the lower of both rates, that are transformed at once. They set how steep the filter
/// is: it falls from all to nothing within the last fortieth below half of the lower rate.
const BLOCK: usize = 1024;

/// Most samples of a resampled sound.
const MOST: u64 = 1 << 29;

/// The sound at `rate` Hz, 1000 to 768 000: as long as before to one sample, without delay, and
/// without what is above half of the lower of both rates. Samples can go a little beyond −1 and 1,
/// because a filtered wave overshoots where it was clipped; they are not cut. `bits` and `clipped`
/// stay what they were.
///
/// # Errors
/// If the rate is none of these, or the resampled sound has more than 2²⁹ samples.
pub fn resample(sound: Sound, rate: u32) -> Result<Sound, SoundError> {
    let (from, to) = (sound.rate, rate);
    if from == to {
        return Ok(sound);
    }
    let rates = LOWEST_RATE..=HIGHEST_RATE;
    if !rates.contains(&from) || !rates.contains(&to) {
        return Err(SoundError::Rate { from, to });
    }
    let refused = |what: String| SoundError::Resampler { from, to, what };
    let length = sound.samples.len();
    if length as u64 * u64::from(to) / u64::from(from) > MOST {
        return Err(refused(format!("there would be more than {MOST} samples")));
    }
    // In `f64`, though samples are `f32`: transforms differ between processors in their last bits,
    // and rounding hides that.
    let wave: Vec<f64> = sound
        .samples
        .iter()
        .map(|&sample| f64::from(sample))
        .collect();
    let wave = InterleavedOwned::new_from(wave, 1, length).map_err(|e| refused(e.to_string()))?;
    let block = block(from as usize, to as usize);
    let mut resampler = Fft::<f64>::new_custom(
        from as usize,
        to as usize,
        block,
        1,
        1,
        rubato::WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )
    .map_err(|e| refused(e.to_string()))?;
    let wave = resampler
        .process_all(&wave, length, None)
        .map_err(|e| refused(e.to_string()))?;
    Ok(Sound {
        rate,
        samples: wave
            .take_data()
            .into_iter()
            .map(|sample| sample as f32)
            .collect(),
        ..sound
    })
}

/// Samples before resampling that are transformed at once: a multiple of the shortest stretch of
/// both rates' common beat. An even one, because the resampler's delay is half of it, and only a
/// delay of whole samples can be taken away.
fn block(from: usize, to: usize) -> usize {
    let beat = from / common_divisor(from, to);
    let wanted = BLOCK * from.div_ceil(to);
    beat * wanted.div_ceil(beat).next_multiple_of(2)
}

fn common_divisor(mut a: usize, mut b: usize) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f64, rate: u32, length: usize) -> Vec<f32> {
        let angle = |i: usize| std::f64::consts::TAU * hertz * i as f64 / f64::from(rate);
        (0..length).map(|i| (0.5 * angle(i).sin()) as f32).collect()
    }

    fn sound(rate: u32, samples: Vec<f32>) -> Sound {
        Sound {
            rate,
            bits: 16,
            samples,
            clipped: 3,
        }
    }

    /// Samples that are away from both ends.
    fn middle(samples: &[f32]) -> &[f32] {
        &samples[samples.len() / 8..samples.len() - samples.len() / 8]
    }

    fn power(samples: &[f32]) -> f64 {
        let squares: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
        squares / samples.len() as f64
    }

    fn correlation(a: &[f32], b: &[f32]) -> f64 {
        let products: f64 = a
            .iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum();
        products / a.len() as f64 / (power(a) * power(b)).sqrt()
    }

    #[test]
    fn a_tone_keeps_its_phase_and_its_size_at_any_rate() {
        for (from, to) in [
            (16000, 8000),
            (8000, 16000),
            (44100, 16000),
            (48000, 16000),
            (16000, 44100),
            (22050, 16000),
            (44101, 16000),
        ] {
            let length = from as usize + 123;
            let done = resample(sound(from, sine(440.0, from, length)), to).unwrap();
            let expected = length * to as usize / from as usize;
            assert!(done.samples.len().abs_diff(expected) <= 1, "{from} to {to}");
            assert_eq!((done.rate, done.bits, done.clipped), (to, 16, 3));
            let ideal = sine(440.0, to, done.samples.len());
            let (done, ideal) = (middle(&done.samples), middle(&ideal));
            let alike = correlation(done, ideal);
            assert!(alike > 0.99999, "{from} to {to}: {alike}");
            let error: Vec<f32> = done.iter().zip(ideal).map(|(a, b)| a - b).collect();
            let quieter = power(&error) / power(ideal);
            assert!(quieter < 1e-8, "{from} to {to}: {quieter}");
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_gone_and_the_rest_is_kept() {
        let quieter = |hertz| {
            let before = sine(hertz, 16000, 16000);
            let after = resample(sound(16000, before.clone()), 8000).unwrap();
            10.0 * (power(middle(&after.samples)) / power(middle(&before))).log10()
        };
        for (hertz, least, most) in [
            (3600.0, -0.1, 0.1),
            (4100.0, -400.0, -80.0),
            (6000.0, -400.0, -100.0),
        ] {
            let quieter = quieter(hertz);
            assert!((least..most).contains(&quieter), "{hertz} Hz: {quieter} dB");
        }
    }

    #[test]
    fn a_click_stays_where_it_is_and_short_sounds_are_resampled() {
        let mut click = vec![0.0; 5000];
        click[3000] = 1.0;
        let done = resample(sound(16000, click), 8000).unwrap();
        let loudest = |a: &usize, b: &usize| done.samples[*a].total_cmp(&done.samples[*b]);
        assert_eq!((0..done.samples.len()).max_by(loudest), Some(1500));
        for length in [1, 2, 3, 100] {
            let done = resample(sound(16000, vec![0.5; length]), 8000).unwrap();
            assert_eq!(done.samples.len(), length.div_ceil(2));
            assert!(done.samples.iter().all(|s| s.is_finite()));
        }
    }

    #[test]
    fn rates_that_no_sound_has_are_refused() {
        let same = sound(16000, vec![0.1, 0.2]);
        assert_eq!(resample(same.clone(), 16000).unwrap(), same);
        for rate in [0, 1, 999, 768_001, u32::MAX] {
            let error = resample(same.clone(), rate).unwrap_err().to_string();
            let words = format!("cannot be resampled to {rate} Hz: rates are 1000 to 768000 Hz");
            assert!(error.contains(&words), "{error}");
            assert!(resample(sound(rate, vec![0.0]), 16000).is_err());
        }
        // The most that both rates can differ, without a common divisor.
        assert!(resample(sound(1001, vec![0.5; 10]), 768_000).is_ok());
        assert!(resample(sound(767_999, vec![0.5; 10]), 1000).is_ok());
        let error = resample(sound(1000, vec![0.0; 1_000_000]), 768_000).unwrap_err();
        assert!(
            error.to_string().contains("more than 536870912 samples"),
            "{error}"
        );
    }
}
