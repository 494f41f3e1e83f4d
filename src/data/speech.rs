//! Recorded speech as frames of samples.

use std::{path::PathBuf, sync::Arc};

use frmdn_engine::random::Pcg64;
use rand::RngExt;

use super::{
    Card, Dataset, Domain, Parts,
    sound::{self, Corpus, SoundError},
};
use crate::{
    recurrent::Sequences,
    run::{Result, RunError},
};

/// Files that the spread of samples is measured on.
const SPREAD_FILES: usize = 100;
/// Most sentences of the held-out likelihood.
const HELD_OUT: usize = 30;
/// Frames quieter than this share of full scale, −40 dB, count as silence.
pub const LOUD: f64 = 0.01;
/// Added to a frame's mean square, in squared standard deviations, before its logarithm is taken.
const QUIETEST: f32 = 1e-6;
/// Factor of that logarithm: energies then lie within ± 3.
const ENERGY_SCALE: f32 = 0.2;

/// Sentences as sequences of frames: what is seen at a step is the frame before, at the first step
/// silence, and its energy is given beside it.
///
/// Samples are whole numbers of the converter. A density of such numbers could become infinitely
/// sharp, so each has uniform noise of one step of the converter (dequantisation), drawn anew
/// whenever it is used. Values are these divided by their standard deviation.
#[derive(Clone, Debug)]
pub struct Speech {
    /// Those to learn from, then those of the final judgement.
    files: Arc<Vec<PathBuf>>,
    /// Number of the former.
    training: usize,
    /// Samples a second.
    rate: u32,
    /// Samples of a frame.
    frame: usize,
    /// Standard deviation of the samples, in steps of the converter.
    sd: f32,
}

/// A sentence in memory.
#[derive(Clone, Debug)]
pub struct Sentence {
    /// Path of its file.
    pub path: PathBuf,
    /// Samples in steps of the converter; whole frames only.
    pub samples: Vec<f32>,
    /// Largest sample of the converter, in its steps.
    pub full_scale: f32,
}

impl Speech {
    /// The sounds of `corpus` in frames of `frame` samples.
    ///
    /// # Errors
    /// If a file cannot be read, or all of them are silent.
    pub fn new(corpus: Corpus, frame: usize) -> Result<Self> {
        let mut speech = Self {
            training: corpus.training.len(),
            files: Arc::new([corpus.training, corpus.test].concat()),
            rate: corpus.rate,
            frame,
            sd: 1.0,
        };
        let (mut n, mut squares) = (0.0, 0.0);
        for index in 0..SPREAD_FILES.min(speech.training) {
            for &sample in &speech.load(index)?.samples {
                n += 1.0;
                squares += f64::from(sample) * f64::from(sample);
            }
        }
        if squares == 0.0 {
            return Err(RunError::Failed(
                "all of these sounds are silent: nothing can be learned from them".into(),
            ));
        }
        speech.sd = (squares / n).sqrt() as f32;
        Ok(speech)
    }

    /// Root mean square of frame `step` of a sentence, as a share of the converter's full scale.
    pub fn loudness(&self, sentence: &Sentence, step: usize) -> f64 {
        let frame = &sentence.samples[step * self.frame..][..self.frame];
        let squares: f64 = frame.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
        (squares / self.frame as f64).sqrt() / f64::from(sentence.full_scale)
    }
}

/// What is given beside a frame of standardised samples: its energy.
pub fn energy(frame: &[f32]) -> f32 {
    let squares: f32 = frame.iter().map(|v| v * v).sum();
    ENERGY_SCALE * libm::logf(squares / frame.len() as f32 + QUIETEST)
}

impl Dataset for Speech {
    type Item = Sentence;
    type Targets = ();

    fn widths(&self, _: &Sentence) -> [usize; 2] {
        [self.frame, 1]
    }

    fn load(&self, index: usize) -> Result<Sentence> {
        let path = &self.files[index];
        let failed = |e: SoundError| RunError::Config(e.to_string());
        let sound = sound::read(path).map_err(failed)?;
        let sound = match sound.rate == self.rate {
            true => sound,
            false => sound::resample(sound, self.rate).map_err(failed)?,
        };
        let full_scale = libm::exp2f(sound.bits.min(32) as f32 - 1.0);
        let whole = sound.samples.len() / self.frame * self.frame;
        if whole == 0 {
            return Err(RunError::Config(format!(
                "{} has {} samples, less than a frame of {}: leave it out, or choose a smaller \
                 frame",
                path.display(),
                sound.samples.len(),
                self.frame
            )));
        }
        let samples = &sound.samples[..whole];
        Ok(Sentence {
            path: path.clone(),
            samples: samples.iter().map(|s| s * full_scale).collect(),
            full_scale,
        })
    }

    fn name(&self, sentence: &Sentence) -> String {
        sentence.path.display().to_string()
    }

    fn steps(&self, sentence: &Sentence) -> usize {
        sentence.samples.len() / self.frame
    }

    fn fill(
        &self,
        batch: &mut Sequences,
        column: usize,
        sentence: &Sentence,
        first: usize,
        steps: usize,
        rng: &mut Pcg64,
    ) {
        let (d, b) = (self.frame, batch.batch);
        // A frame is seen as it was when it followed: its noise is drawn once. Before the first one
        // there is silence.
        let mut before = vec![0.0; d];
        if first > 0 {
            self.dequantise(sentence, first - 1, rng, &mut before);
        }
        let mut next = vec![0.0; d];
        for t in 0..steps {
            let row = t * b + column;
            self.dequantise(sentence, first + t, rng, &mut next);
            batch.seen[row * d..][..d].copy_from_slice(&before);
            batch.given[row] = energy(&before);
            batch.next[row * d..][..d].copy_from_slice(&next);
            batch.mask[row] = 1.0;
            std::mem::swap(&mut before, &mut next);
        }
    }

    fn floor(&self, _: &Sentence) -> f64 {
        0.0
    }
}

impl Domain for Speech {
    fn parts(&self) -> Parts {
        Parts::new(self.training, self.files.len() - self.training, HELD_OUT)
    }

    fn classes(&self) -> &'static [&'static str] {
        &["silence", "loud"]
    }

    fn class(&self, sentence: &Sentence, step: usize) -> usize {
        usize::from(self.loudness(sentence, step) >= LOUD)
    }

    /// A value is a sample divided by its standard deviation.
    fn unit(&self, sentence: &Sentence, _: u64, _: &str, _: usize) -> f64 {
        sentence.samples.len() as f64 * libm::log(f64::from(self.sd))
    }

    fn card(&self) -> Card {
        Card::Speech {
            rate: self.rate,
            frame: self.frame,
            sd: self.sd,
        }
    }
}

impl Speech {
    /// Standardised samples of frame `step` with noise of one step of the converter.
    fn dequantise(&self, sentence: &Sentence, step: usize, rng: &mut Pcg64, out: &mut [f32]) {
        let samples = &sentence.samples[step * self.frame..][..self.frame];
        for (out, sample) in out.iter_mut().zip(samples) {
            *out = (sample + rng.random::<f32>() - 0.5) / self.sd;
        }
    }
}

#[cfg(test)]
mod tests {
    use frmdn_engine::random::stream;

    use super::*;

    fn speech(sd: f32) -> Speech {
        Speech {
            files: Arc::default(),
            training: 0,
            rate: 16_000,
            frame: 4,
            sd,
        }
    }

    fn sentence() -> Sentence {
        Sentence {
            path: "a.wav".into(),
            samples: (0..20).map(|i| 10.0 * i as f32).collect(),
            full_scale: 32_768.0,
        }
    }

    /// What follows one step is seen at the next, noise included; before the first frame is silence.
    #[test]
    fn what_followed_is_seen_next_with_the_same_noise() {
        let (speech, sentence) = (speech(50.0), sentence());
        let batch = speech.whole(&sentence, 1, "t", 0);
        assert_eq!((batch.steps, batch.mask.len()), (5, 5));
        assert_eq!(batch.seen[..4], [0.0; 4]);
        assert_eq!(batch.seen[4..], batch.next[..16]);
        for (i, v) in batch.next.iter().enumerate() {
            let sample = v * 50.0;
            assert!((sample - 10.0 * i as f32).abs() <= 0.501, "{i}: {sample}");
        }
        for (frame, given) in batch.seen.chunks_exact(4).zip(&batch.given) {
            assert_eq!(*given, energy(frame));
        }
        // A segment in the middle sees the frame before it.
        let mut middle = Sequences::zeros(2, 1, 4, 1);
        speech.fill(&mut middle, 0, &sentence, 2, 2, &mut stream(1, "t", &[]));
        assert!((middle.seen[0] * 50.0 - 40.0).abs() <= 0.501);
    }

    #[test]
    fn loudness_is_a_share_of_full_scale() {
        let loud = Sentence {
            samples: vec![3276.8, -3276.8, 3276.8, -3276.8],
            ..sentence()
        };
        assert!((speech(1.0).loudness(&loud, 0) - 0.1).abs() < 1e-6);
    }
}
