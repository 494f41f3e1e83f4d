//! One channel out of the interleaved samples of a file.

use std::path::Path;

use super::{
    error::SoundError,
    sound::{HIGHEST_RATE, LOWEST_RATE, Sound},
};

/// Samples that come in as a file has them, channel after channel, and become their mean.
pub(super) struct Channel<'a> {
    path: &'a Path,
    rate: u32,
    bits: u32,
    channels: u32,
    /// Sum of the channels of the sample that is under way, in units of full scale.
    sum: f64,
    /// Channels of it that are in the sum.
    summed: u32,
    /// Whether one of them is at a limit.
    at_limit: bool,
    /// Values that came in.
    count: u64,
    samples: Vec<f32>,
    clipped: usize,
}

impl<'a> Channel<'a> {
    /// None yet, of the file `path` with `channels` channels of `bits` bits at `rate` Hz.
    ///
    /// # Errors
    /// If no sound has such a format.
    pub fn new(path: &'a Path, rate: u32, bits: u32, channels: u32) -> Result<Self, SoundError> {
        check_rate(path, rate)?;
        let damaged = |what| {
            let path = path.to_owned();
            Err(SoundError::Damaged { path, what })
        };
        if channels == 0 {
            return damaged("its header states 0 channels".to_owned());
        }
        if !(2..=32).contains(&bits) {
            return damaged(format!("its header states samples of {bits} bits"));
        }
        Ok(Self {
            path,
            rate,
            bits,
            channels,
            sum: 0.0,
            summed: 0,
            at_limit: false,
            count: 0,
            samples: Vec::new(),
            clipped: 0,
        })
    }

    /// The next value as the converter gave it.
    ///
    /// # Errors
    /// If the converter has no such value.
    pub fn whole(&mut self, value: i32) -> Result<(), SoundError> {
        let scale = 1_i64 << (self.bits - 1);
        let value = i64::from(value);
        if !(-scale..scale).contains(&value) {
            let (at, bits) = (self.count, self.bits);
            return Err(SoundError::Damaged {
                path: self.path.to_owned(),
                what: format!("its sample {at} is {value}, which has more than {bits} bits"),
            });
        }
        let at_limit = value == -scale || value == scale - 1;
        self.push(value as f64 / scale as f64, at_limit);
        Ok(())
    }

    /// The next value in units of full scale.
    ///
    /// # Errors
    /// If it is not finite.
    pub fn real(&mut self, value: f32) -> Result<(), SoundError> {
        if !value.is_finite() {
            return Err(SoundError::NotFinite {
                path: self.path.to_owned(),
                at: self.count,
                value,
            });
        }
        self.push(f64::from(value), value.abs() >= 1.0);
        Ok(())
    }

    fn push(&mut self, value: f64, at_limit: bool) {
        self.count += 1;
        self.sum += value;
        self.summed += 1;
        self.at_limit |= at_limit;
        if self.summed < self.channels {
            return;
        }
        self.samples
            .push((self.sum / f64::from(self.channels)) as f32);
        self.clipped += usize::from(self.at_limit);
        (self.sum, self.summed, self.at_limit) = (0.0, 0, false);
    }

    /// Whole samples so far.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// All that came in.
    ///
    /// # Errors
    /// If that is nothing.
    pub fn finish(self) -> Result<Sound, SoundError> {
        if self.samples.is_empty() {
            let path = self.path.to_owned();
            return Err(SoundError::NoSamples { path });
        }
        Ok(Sound {
            rate: self.rate,
            bits: self.bits,
            samples: self.samples,
            clipped: self.clipped,
        })
    }
}

/// `rate`, if a sound can have it.
pub(super) fn check_rate(path: &Path, rate: u32) -> Result<u32, SoundError> {
    if (LOWEST_RATE..=HIGHEST_RATE).contains(&rate) {
        return Ok(rate);
    }
    Err(SoundError::Damaged {
        path: path.to_owned(),
        what: format!("its header states a rate of {rate} Hz"),
    })
}
