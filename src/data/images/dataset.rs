//! Images as sequences to learn from.

use std::sync::Arc;

use frmdn_engine::random::{Pcg64, stream};

use super::{ImageSet, Images, Logit, Order, Sequence, pixel_nats};
use crate::{
    data::{Card, Dataset, Domain, Parts},
    recurrent::Sequences,
    run::Result,
};

/// Most images of the held-out likelihood.
const HELD_OUT: usize = 1000;

/// Images as sequences of rows or pixels: what is seen at a step is the row, or pixel, before, at the
/// first step zeros. Nothing is given beside it.
#[derive(Clone, Debug)]
pub struct ImageSequences {
    /// Those to learn from, then those of the final judgement.
    images: Arc<Images>,
    /// Number of the former.
    training: usize,
    /// In which steps they are read.
    pub order: Order,
    /// How pixels become real numbers.
    pub logit: Logit,
}

impl ImageSequences {
    /// Of all images of `set`.
    pub fn new(set: ImageSet, order: Order, logit: Logit) -> Self {
        let mut images = set.training;
        let training = images.len();
        images.pixels.extend_from_slice(&set.test.pixels);
        images.labels.extend_from_slice(&set.test.labels);
        Self {
            images: Arc::new(images),
            training,
            order,
            logit,
        }
    }

    /// The images.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// The values of image `index` with the noise of `rng`, as [`Dataset::fill`] draws them.
    pub fn sequence(&self, index: usize, rng: &mut Pcg64) -> Sequence {
        Sequence::of(&self.images, index, self.order, self.logit, rng)
    }
}

impl Dataset for ImageSequences {
    /// Number of the image.
    type Item = usize;
    type Targets = ();

    fn widths(&self, _: &usize) -> [usize; 2] {
        [self.order.shape(&self.images)[1], 0]
    }

    fn load(&self, index: usize) -> Result<usize> {
        Ok(index)
    }

    fn name(&self, index: &usize) -> String {
        format!("image {index}")
    }

    fn steps(&self, _: &usize) -> usize {
        self.order.shape(&self.images)[0]
    }

    fn fill(
        &self,
        batch: &mut Sequences,
        column: usize,
        index: &usize,
        first: usize,
        steps: usize,
        rng: &mut Pcg64,
    ) {
        let Sequence { shape, values, .. } = self.sequence(*index, rng);
        let (d, b) = (shape[1], batch.batch);
        for t in 0..steps {
            let (row, at) = (t * b + column, first + t);
            if at > 0 {
                batch.seen[row * d..][..d].copy_from_slice(&values[(at - 1) * d..][..d]);
            }
            batch.next[row * d..][..d].copy_from_slice(&values[at * d..][..d]);
            batch.mask[row] = 1.0;
        }
    }

    fn floor(&self, _: &usize) -> f64 {
        0.0
    }
}

impl Domain for ImageSequences {
    fn parts(&self) -> Parts {
        Parts::new(self.training, self.images.len() - self.training, HELD_OUT)
    }

    fn classes(&self) -> &'static [&'static str] {
        &["all"]
    }

    fn class(&self, _: &usize, _: usize) -> usize {
        0
    }

    fn unit(&self, index: &usize, seed: u64, name: &str, number: usize) -> f64 {
        let rng = &mut stream(seed, name, &[number as u64]);
        let log_jacobian = self.sequence(*index, rng).log_jacobian;
        -pixel_nats(0.0, log_jacobian, self.images.dimensions())
    }

    fn card(&self) -> Card {
        let Images {
            width,
            height,
            channels,
            ..
        } = *self.images;
        Card::Images {
            pixels: self.order == Order::Pixels,
            width,
            height,
            channels,
            alpha: self.logit.alpha,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_before_is_seen_and_nothing_is_given() {
        let images = Images {
            width: 3,
            height: 4,
            channels: 1,
            pixels: (0..24).map(|i| i * 10).collect(),
            labels: vec![0, 1],
        };
        let set = ImageSet {
            name: "two".into(),
            test: Images {
                pixels: Vec::new(),
                labels: Vec::new(),
                ..images
            },
            training: images,
        };
        let data = ImageSequences::new(set, Order::Rows, Logit::MNIST);
        let batch = data.whole(&1, 3, "t", 1);
        assert_eq!((batch.steps, batch.given.len()), (4, 0));
        assert_eq!(batch.seen[..3], [0.0; 3]);
        assert_eq!(batch.seen[3..], batch.next[..9]);
        assert_eq!(
            super::super::pixels(&batch.next, Logit::MNIST),
            data.images().image(1)
        );
    }
}
