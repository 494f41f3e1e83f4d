//! Pixels of rare colours that count more: what is small and matters, a player of twenty pixels, is
//! else lost beside a sky of three thousand.

/// Colours that count as one: sixteen values a channel.
const COLOURS: usize = 16 * 16 * 16;

/// The weight of each pixel of `frames` [n, 64, 64, 3]: the frequency of its colour in them to the
/// power of −`power` (0 to 1), with a mean of 1.
pub(super) fn weights(frames: &[u8], power: f64) -> Vec<f32> {
    let colour = |pixel: &[u8]| {
        let bin = |value: u8| usize::from(value >> 4);
        (bin(pixel[0]) * 16 + bin(pixel[1])) * 16 + bin(pixel[2])
    };
    let mut counts = [0u32; COLOURS];
    for pixel in frames.chunks_exact(3) {
        counts[colour(pixel)] += 1;
    }
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
