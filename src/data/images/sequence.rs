//! Images as sequences of real numbers, and back.

use rand::{Rng, RngExt};

use super::{
    Images,
    transform::{Logit, dequantise, quantise},
};

/// In which steps an image is read. Both go from the top left to the bottom right, so that the
/// values of both are the same and only the shape is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A row at each step: 28 steps of 28 values for MNIST, 32 of 96 for CIFAR-10.
    Rows,
    /// A pixel at each step, row after row: 784 steps of 1 value for MNIST, 1,024 of 3 for CIFAR-10.
    Pixels,
}

impl Order {
    /// Steps of a sequence, T, and values of a step, d, for each of `images`.
    pub fn shape(self, images: &Images) -> [usize; 2] {
        match self {
            Self::Rows => [images.height, images.width * images.channels],
            Self::Pixels => [images.height * images.width, images.channels],
        }
    }
}

/// An image as a sequence of real numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// Steps T and values of a step d, as [`Order::shape`] gives them.
    pub shape: [usize; 2],
    /// Transformed values, `[T, d]`, within `± log((1 − α) / α)`.
    pub values: Vec<f32>,
    /// `Σ log |dy/dx|` over all values, in nats, of the values before they were rounded to `f32`.
    pub log_jacobian: f64,
}

impl Sequence {
    /// Image number `i` of `images`, with fresh noise of `rng` in every value: `u` is drawn once for
    /// each, in the order of the values, and has 53 random bits.
    ///
    /// # Panics
    /// If there is no such image, as [`Images::image`].
    pub fn of(images: &Images, i: usize, order: Order, logit: Logit, rng: &mut impl Rng) -> Self {
        let image = images.image(i);
        let mut values = Vec::with_capacity(image.len());
        let mut log_jacobian = 0.0;
        for &pixel in image {
            let x = dequantise(pixel, rng.random());
            let (y, log_slope) = logit.forward_with_log_jacobian(x);
            values.push(y as f32);
            log_jacobian += log_slope;
        }
        Self {
            shape: order.shape(images),
            values,
            log_jacobian,
        }
    }
}

/// The pixels, 0 to 255 each, that transformed values stand for, in the same order:
/// `⌊256 x⌋` of each `x` that [`Logit::inverse`] gives, at most 255. Values beyond those of any
/// pixel give the nearest one; what is no number gives 0.
///
/// The values are rounded to 24 bits, so that about one pixel of a million, whose `u` is nearly 0 or
/// 1, comes back as its neighbour.
pub fn pixels(values: &[f32], logit: Logit) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(values.len());
    for &y in values {
        pixels.push(quantise(logit.inverse(f64::from(y))));
    }
    pixels
}

#[cfg(test)]
mod tests {
    use frmdn_engine::random::Pcg64;

    use super::*;

    /// `count` images of noise.
    fn noise(
        count: usize,
        height: usize,
        width: usize,
        channels: usize,
        rng: &mut Pcg64,
    ) -> Images {
        let size = count * height * width * channels;
        Images {
            width,
            height,
            channels,
            pixels: (0..size).map(|_| rng.random()).collect(),
            labels: vec![0; count],
        }
    }

    #[test]
    fn shapes_are_those_of_rows_and_pixels() {
        let mut rng = Pcg64::new(1, 2);
        let grey = noise(1, 28, 28, 1, &mut rng);
        let colour = noise(1, 32, 32, 3, &mut rng);
        assert_eq!(Order::Rows.shape(&grey), [28, 28]);
        assert_eq!(Order::Pixels.shape(&grey), [784, 1]);
        assert_eq!(Order::Rows.shape(&colour), [32, 96]);
        assert_eq!(Order::Pixels.shape(&colour), [1024, 3]);
        for order in [Order::Rows, Order::Pixels] {
            let sequence = Sequence::of(&colour, 0, order, Logit::CIFAR, &mut rng);
            assert_eq!(sequence.values.len(), sequence.shape[0] * sequence.shape[1]);
        }
    }

    #[test]
    fn pixels_come_back() {
        let mut rng = Pcg64::new(3, 4);
        for logit in [Logit::MNIST, Logit::CIFAR] {
            let mut others = 0;
            let images = noise(100, 32, 32, 3, &mut rng);
            for i in 0..images.len() {
                let sequence = Sequence::of(&images, i, Order::Rows, logit, &mut rng);
                let back = pixels(&sequence.values, logit);
                for (&found, &expected) in back.iter().zip(images.image(i)) {
                    assert!(found.abs_diff(expected) <= 1);
                    others += usize::from(found != expected);
                }
            }
            // Of 307,200, where one in 700,000 is expected.
            assert!(others < 8, "{logit:?}: {others}");
        }
    }

    #[test]
    fn extreme_pixels_and_values_are_held() {
        let logit = Logit::MNIST;
        let images = Images {
            width: 2,
            height: 1,
            channels: 1,
            pixels: vec![0, 255],
            labels: vec![0],
        };
        let mut rng = Pcg64::new(5, 6);
        for _ in 0..10_000 {
            let sequence = Sequence::of(&images, 0, Order::Pixels, logit, &mut rng);
            assert!(sequence.values.iter().all(|y| y.abs() < 13.816));
            assert!(sequence.log_jacobian.is_finite());
        }
        let beyond = [f32::NEG_INFINITY, -20.0, 20.0, f32::INFINITY, f32::NAN];
        assert_eq!(pixels(&beyond, logit), [0, 0, 255, 255, 0]);
    }

    #[test]
    fn the_log_jacobian_is_the_sum_and_draws_repeat() {
        let images = noise(2, 4, 5, 3, &mut Pcg64::new(7, 8));
        let logit = Logit::MNIST;
        let draw = |seed| Sequence::of(&images, 1, Order::Rows, logit, &mut Pcg64::new(seed, 1));
        let sequence = draw(9);
        assert_eq!(sequence, draw(9));
        assert_ne!(sequence, draw(10));
        let mut rng = Pcg64::new(9, 1);
        let mut sum = 0.0;
        for (&pixel, &y) in images.image(1).iter().zip(&sequence.values) {
            let x = dequantise(pixel, rng.random());
            sum += logit.log_jacobian(x);
            assert_eq!(logit.forward(x) as f32, y);
        }
        assert_eq!(sequence.log_jacobian, sum);
    }
}
