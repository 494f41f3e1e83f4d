//! Pixels of colours that are rare where they are count more: what is small and matters, a player of
//! twenty pixels, is else lost beside a sky of three thousand. An enemy that is as white as a cloud is
//! rare all the same, on the ground.

use super::SIDE;

/// Colours that count as one: sixteen values a channel.
const COLOURS: usize = 16 * 16 * 16;

/// Rows of a frame that are counted together.
const BAND: usize = 4;

/// Part of a band's pixels below which a colour is rare there.
const RARE: f64 = 0.01;

/// The places of each pixel of `frames` in counts by band and colour.
fn places(frames: &[u8]) -> impl Iterator<Item = usize> {
    let bin = |value: u8| usize::from(value >> 4);
    frames.chunks_exact(3).enumerate().map(move |(i, pixel)| {
        let band = i / (BAND * SIDE) % (SIDE / BAND);
        ((band * 16 + bin(pixel[0])) * 16 + bin(pixel[1])) * 16 + bin(pixel[2])
    })
}

/// How many pixels of `frames` have each colour, in each band.
fn counts(frames: &[u8]) -> Vec<u32> {
    let mut counts = vec![0; SIDE / BAND * COLOURS];
    for place in places(frames) {
        counts[place] += 1;
    }
    counts
}

/// The mean squared error, values in 0..1, of what was `rebuilt` of those pixels of `frames`, both
/// [n, 64, 64, 3], whose colour is that of less than a hundredth of the pixels in its four rows; 0
/// where there are none.
pub fn error(frames: &[u8], rebuilt: &[u8]) -> f64 {
    let counts = counts(frames);
    let most = RARE * (frames.len() / 3 * BAND / SIDE) as f64;
    let (mut sum, mut values) = (0.0, 0.0);
    let pixels = frames.chunks_exact(3).zip(rebuilt.chunks_exact(3));
    for (place, (pixel, rebuilt)) in places(frames).zip(pixels) {
        if f64::from(counts[place]) < most {
            for (a, b) in pixel.iter().zip(rebuilt) {
                let difference = (f64::from(*a) - f64::from(*b)) / 255.0;
                sum += difference * difference;
                values += 1.0;
            }
        }
    }
    sum / f64::max(values, 1.0)
}

/// The weight of each pixel of `frames` [n, 64, 64, 3]: the frequency of its colour in its four rows to
/// the power of −`power` (0 to 1), with a mean of 1.
pub(super) fn weights(frames: &[u8], power: f64) -> Vec<f32> {
    let counts = counts(frames);
    let mut of = vec![0.0; counts.len()];
    let mut sum = 0.0;
    for (weight, &count) in of.iter_mut().zip(&counts) {
        if count > 0 {
            *weight = libm::pow(f64::from(count), -power);
            sum += f64::from(count) * *weight;
        }
    }
    let scale = (frames.len() / 3) as f64 / sum;
    places(frames)
        .map(|place| (scale * of[place]) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::FRAME;

    const PIXELS: usize = FRAME / 3;

    /// One red pixel of 4,096, rebuilt as blue sky: 165, 120 and 250 of 255 away. The sky's own error
    /// does not count.
    #[test]
    fn the_error_of_rare_pixels_is_theirs_alone() {
        let mut frame = [90, 120, 250].repeat(PIXELS);
        frame[..3].copy_from_slice(&[255, 0, 0]);
        let rebuilt = [90, 120, 250].repeat(PIXELS);
        let expected = (165f64.powi(2) + 120f64.powi(2) + 250f64.powi(2)) / 3.0 / 255f64.powi(2);
        assert!((error(&frame, &rebuilt) - expected).abs() < 1e-12);
        let mut darker = frame.clone();
        darker[3..].fill(0);
        assert_eq!(error(&frame, &darker), 0.0);
        assert_eq!(error(&rebuilt, &frame), 0.0);
    }

    /// By hand: of the 256 pixels of the first four rows one is red. With power 1 the colours of every
    /// band weigh as much together: 17 of them, and 4,096 pixels, so 4,096 / 17 for the red one and
    /// 1 / 255 of that for the others of its band.
    #[test]
    fn rare_colours_weigh_more_and_the_mean_is_one() {
        let mut frame = [90, 120, 250].repeat(PIXELS);
        frame[..3].copy_from_slice(&[255, 0, 0]);
        let all = weights(&frame, 1.0);
        assert_eq!(all.len(), PIXELS);
        let expected = 4096.0 / 17.0;
        assert!((all[0] - expected).abs() < 1e-3, "{}", all[0]);
        assert!((all[1] - expected / 255.0).abs() < 1e-6, "{}", all[1]);
        assert!((all[256] - expected / 256.0).abs() < 1e-6, "{}", all[256]);
        let half = weights(&frame, 0.5);
        let ratio = half[0] / half[1];
        assert!((ratio - 255f32.sqrt()).abs() < 1e-3, "{ratio}");
        assert!(weights(&frame, 0.0).iter().all(|w| *w == 1.0));
    }

    /// What is white above is not rare; the same white below is.
    #[test]
    fn a_colour_is_rare_where_it_is_rare() {
        let mut frame = [90, 120, 250].repeat(PIXELS);
        frame[..3 * 256].fill(255);
        let below = 3 * 256 * 15;
        frame[below..below + 3].fill(255);
        let rebuilt = [90, 120, 250].repeat(PIXELS);
        let expected = (165f64.powi(2) + 135f64.powi(2) + 5f64.powi(2)) / 3.0 / 255f64.powi(2);
        assert!((error(&frame, &rebuilt) - expected).abs() < 1e-12);
        let all = weights(&frame, 0.5);
        assert!(all[256 * 15] > 10.0 * all[0]);
    }
}
