//! Pixels of rare colours that count more: what is small and matters, a player of twenty pixels, is
//! else lost beside a sky of three thousand.

/// Colours that count as one: sixteen values a channel.
const COLOURS: usize = 16 * 16 * 16;

/// Part of all pixels below which a colour is rare.
const RARE: f64 = 0.01;

fn colour(pixel: &[u8]) -> usize {
    let bin = |value: u8| usize::from(value >> 4);
    (bin(pixel[0]) * 16 + bin(pixel[1])) * 16 + bin(pixel[2])
}

/// How many pixels of `frames` have each colour.
fn counts(frames: &[u8]) -> [u32; COLOURS] {
    let mut counts = [0; COLOURS];
    for pixel in frames.chunks_exact(3) {
        counts[colour(pixel)] += 1;
    }
    counts
}

/// The mean squared error, values in 0..1, of what was `rebuilt` of those pixels of `frames`, both
/// [n, 64, 64, 3], whose colour is that of less than a hundredth of them; 0 where there are none.
pub fn error(frames: &[u8], rebuilt: &[u8]) -> f64 {
    let counts = counts(frames);
    let most = RARE * (frames.len() / 3) as f64;
    let (mut sum, mut values) = (0.0, 0.0);
    for (pixel, rebuilt) in frames.chunks_exact(3).zip(rebuilt.chunks_exact(3)) {
        if f64::from(counts[colour(pixel)]) < most {
            for (a, b) in pixel.iter().zip(rebuilt) {
                let difference = (f64::from(*a) - f64::from(*b)) / 255.0;
                sum += difference * difference;
                values += 1.0;
            }
        }
    }
    sum / f64::max(values, 1.0)
}

/// The weight of each pixel of `frames` [n, 64, 64, 3]: the frequency of its colour in them to the
/// power of −`power` (0 to 1), with a mean of 1.
pub(super) fn weights(frames: &[u8], power: f64) -> Vec<f32> {
    let counts = counts(frames);
    let mut of = [0.0; COLOURS];
    let mut sum = 0.0;
    for (weight, &count) in of.iter_mut().zip(&counts) {
        if count > 0 {
            *weight = libm::pow(f64::from(count), -power);
            sum += f64::from(count) * *weight;
        }
    }
    let scale = (frames.len() / 3) as f64 / sum;
    let pixels = frames.chunks_exact(3);
    pixels.map(|p| (scale * of[colour(p)]) as f32).collect()
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

    /// By hand: of 4,096 pixels one is red. With power 1 both colours weigh as much together, so
    /// the red one 2,048 and each of the others 2,048 / 4,095.
    #[test]
    fn rare_colours_weigh_more_and_the_mean_is_one() {
        let mut frame = [90, 120, 250].repeat(PIXELS);
        frame[..3].copy_from_slice(&[255, 0, 0]);
        let all = weights(&frame, 1.0);
        assert_eq!(all.len(), PIXELS);
        assert!((all[0] - 2048.0).abs() < 1e-3, "{}", all[0]);
        assert!((all[1] - 2048.0 / 4095.0).abs() < 1e-6, "{}", all[1]);
        let half = weights(&frame, 0.5);
        let ratio = half[0] / half[1];
        assert!((ratio - 4095f32.sqrt()).abs() < 1e-3, "{ratio}");
        assert!(weights(&frame, 0.0).iter().all(|w| *w == 1.0));
    }
}
