//! Batches of sequences for training and evaluation of M.

use std::borrow::Cow;

/// A batch of sequences, time first. Padding has mask 0 and counts nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceBatch {
    /// Steps T.
    pub steps: usize,
    /// Sequences B.
    pub batch: usize,
    /// Latents seen [T, B, latent].
    pub z: Vec<f32>,
    /// Actions taken on them [T, B, actions].
    pub actions: Vec<f32>,
    /// Latents that followed [T, B, latent].
    pub z_next: Vec<f32>,
    /// Rewards of these steps [T, B].
    pub reward: Vec<f32>,
    /// Whether the episode ended with the step [T, B], 0 or 1.
    pub done: Vec<f32>,
    /// Whether the step is real [T, B], 0 or 1.
    pub mask: Vec<f32>,
    /// [h, c] before the first step [B, 2 hidden]; empty for zeros.
    pub start: Vec<f32>,
}

impl SequenceBatch {
    /// A batch of padding.
    pub fn zeros(steps: usize, batch: usize, latent: usize, actions: usize) -> Self {
        let n = steps * batch;
        let zeros = |width: usize| vec![0.0; n * width];
        Self {
            steps,
            batch,
            z: zeros(latent),
            actions: zeros(actions),
            z_next: zeros(latent),
            reward: zeros(1),
            done: zeros(1),
            mask: zeros(1),
            start: Vec::new(),
        }
    }

    /// Columns `from..to`.
    pub(super) fn columns(&self, from: usize, to: usize) -> Self {
        let cut = |v: &[f32]| {
            let width = v.len() / (self.steps * self.batch);
            v.chunks_exact(self.batch * width)
                .flat_map(|row| row[from * width..to * width].iter().copied())
                .collect()
        };
        Self {
            steps: self.steps,
            batch: to - from,
            z: cut(&self.z),
            actions: cut(&self.actions),
            z_next: cut(&self.z_next),
            reward: cut(&self.reward),
            done: cut(&self.done),
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

    /// Rows of what the density sees: `hidden` `[T · B, h]`, and the present latent beside it if
    /// `residual` (equation 13).
    pub(super) fn features<'a>(&self, hidden: &'a [f32], residual: bool) -> Cow<'a, [f32]> {
        if !residual {
            return Cow::Borrowed(hidden);
        }
        let n = self.steps * self.batch;
        let (h, d) = (hidden.len() / n, self.z.len() / n);
        Cow::Owned(
            hidden
                .chunks_exact(h)
                .zip(self.z.chunks_exact(d))
                .flat_map(|(h, z)| h.iter().chain(z).copied())
                .collect(),
        )
    }

    /// Rows [z, a].
    pub(super) fn inputs(&self) -> Vec<f32> {
        let n = self.steps * self.batch;
        let (d, a) = (self.z.len() / n, self.actions.len() / n);
        self.z
            .chunks_exact(d)
            .zip(self.actions.chunks_exact(a))
            .flat_map(|(z, a)| z.iter().chain(a).copied())
            .collect()
    }
}
