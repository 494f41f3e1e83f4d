//! Batches of sequences for training and evaluation.

use std::borrow::Cow;

/// What a batch has of every step besides the values that are predicted.
pub trait Targets: Clone + Send + Sync {
    /// Those of `rows` steps, all 0.
    fn zeros(rows: usize) -> Self;

    /// Those of the columns `from..to` of `batch` [T, B] columns.
    #[must_use]
    fn columns(&self, batch: usize, from: usize, to: usize) -> Self;
}

/// Nothing but the values.
impl Targets for () {
    fn zeros(_: usize) -> Self {}

    fn columns(&self, _: usize, _: usize, _: usize) -> Self {}
}

/// A batch of sequences, time first. Padding has mask 0 and counts nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequences<T = ()> {
    /// Steps T.
    pub steps: usize,
    /// Sequences B.
    pub batch: usize,
    /// Values seen [T, B, dim]: latents, frames of sound, rows of an image.
    pub seen: Vec<f32>,
    /// What is given beside them [T, B, given]: the actions that were taken, the energy of a frame;
    /// empty where nothing is.
    pub given: Vec<f32>,
    /// Values that followed [T, B, dim].
    pub next: Vec<f32>,
    /// What else is known of these steps.
    pub targets: T,
    /// Whether the step is real [T, B], 0 or 1.
    pub mask: Vec<f32>,
    /// [h, c] before the first step [B, 2 hidden]; empty for zeros.
    pub start: Vec<f32>,
}

impl<T: Targets> Sequences<T> {
    /// A batch of padding, of `dim` values a step and `given` beside them.
    pub fn zeros(steps: usize, batch: usize, dim: usize, given: usize) -> Self {
        let n = steps * batch;
        let zeros = |width: usize| vec![0.0; n * width];
        Self {
            steps,
            batch,
            seen: zeros(dim),
            given: zeros(given),
            next: zeros(dim),
            targets: T::zeros(n),
            mask: zeros(1),
            start: Vec::new(),
        }
    }

    /// Columns `from..to`.
    pub(crate) fn columns(&self, from: usize, to: usize) -> Self {
        let cut = |values: &[f32]| columns(values, self.steps * self.batch, self.batch, from, to);
        Self {
            steps: self.steps,
            batch: to - from,
            seen: cut(&self.seen),
            given: cut(&self.given),
            next: cut(&self.next),
            targets: self.targets.columns(self.batch, from, to),
            mask: cut(&self.mask),
            start: self
                .start
                .get(self.start_row(from)..self.start_row(to))
                .unwrap_or_default()
                .to_vec(),
        }
    }

    fn start_row(&self, column: usize) -> usize {
        self.start.len() / self.batch * column
    }

    /// Rows of what the density sees: `hidden` `[T · B, h]`, and the present values beside it if
    /// `residual` (equation 13).
    pub(crate) fn features<'a>(&self, hidden: &'a [f32], residual: bool) -> Cow<'a, [f32]> {
        match residual {
            true => Cow::Owned(joined(hidden, &self.seen, self.steps * self.batch)),
            false => Cow::Borrowed(hidden),
        }
    }

    /// Rows [seen, given]: what the recurrence consumes.
    pub(crate) fn inputs(&self) -> Cow<'_, [f32]> {
        match self.given.is_empty() {
            true => Cow::Borrowed(&self.seen),
            false => Cow::Owned(joined(&self.seen, &self.given, self.steps * self.batch)),
        }
    }
}

/// `n` rows of `left`, each followed by its row of `right`.
fn joined(left: &[f32], right: &[f32], n: usize) -> Vec<f32> {
    left.chunks_exact(left.len() / n)
        .zip(right.chunks_exact(right.len() / n))
        .flat_map(|(left, right)| left.iter().chain(right).copied())
        .collect()
}

/// Columns `from..to` of `batch` of `values`, which has `rows` rows of one width.
pub(crate) fn columns(
    values: &[f32],
    rows: usize,
    batch: usize,
    from: usize,
    to: usize,
) -> Vec<f32> {
    let width = values.len() / rows;
    if width == 0 {
        return Vec::new();
    }
    values
        .chunks_exact(batch * width)
        .flat_map(|row| row[from * width..to * width].iter().copied())
        .collect()
}
