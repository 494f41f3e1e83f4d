//! Draws from a trained density: sounds to listen to, images to look at.

use std::{
    io::{Cursor, Write},
    path::PathBuf,
    time::Instant,
};

use frmdn_engine::random::{Pcg64, stream};

use super::train::Trained;
use crate::{
    data::{
        Card, Dataset, Domain, Speech, energy,
        images::{self, ImageSequences, Logit, Order, pixels},
        sound,
    },
    pictures::{Panel, spectrogram, waveform},
    recurrent::{Buffers, Recurrent},
    run::{Recovery, Result, RunError, write_atomically},
};

/// Images in a row of the picture, and rows.
const GRID: usize = 8;
/// Images that are completed, and how often each.
const COMPLETED: usize = 8;
const COMPLETIONS: usize = 4;

/// What is to be drawn.
pub struct Draws {
    /// The density: `weights.safetensors`, or its folder.
    pub density: PathBuf,
    /// Data to show beside the draws; else those that it was fitted to, if they are here.
    pub data: Option<String>,
    /// Temperature of the draws.
    pub temperature: f32,
    /// Seconds of sound.
    pub seconds: f64,
    /// Root of the random numbers.
    pub seed: u64,
    /// Folder of the files.
    pub out: PathBuf,
}

/// Draws, and writes what was drawn. Returns the files and what can be said of them.
///
/// # Errors
/// If there is no such density, data that were named cannot be read, or a file cannot be written.
pub fn draw(draws: &Draws) -> Result<(Vec<PathBuf>, String)> {
    let (state, tensors) = Trained::load(&draws.density)?;
    let model = Recurrent::load(&state.recurrent()?, &tensors)
        .map_err(|e| RunError::damaged(&draws.density, e, Recovery::Restore))?;
    let out = &draws.out;
    std::fs::create_dir_all(out).map_err(RunError::io("create", out))?;
    let data = draws.data.clone().unwrap_or_else(|| state.source.clone());
    match state.data {
        Card::Speech { rate, frame, sd } => {
            let sampler = Sampler {
                draws,
                model: &model,
                dim: frame,
            };
            let real = open(draws, sound::open(&data))?
                .map(|corpus| Speech::new(corpus, frame))
                .transpose()?;
            sampler.speech(rate, sd, real.as_ref())
        }
        Card::Images {
            pixels,
            width,
            height,
            channels,
            alpha,
        } => {
            let order = match pixels {
                true => Order::Pixels,
                false => Order::Rows,
            };
            let sampler = Sampler {
                draws,
                model: &model,
                dim: state.widths[0],
            };
            let set = open(draws, images::open(&data))?;
            let is_same = |set: &images::ImageSet| {
                let t = &set.training;
                [t.width, t.height, t.channels] == [width, height, channels]
            };
            if let Some(set) = set.as_ref().filter(|set| !is_same(set)) {
                return Err(RunError::Config(format!(
                    "{}: its images have another size than those that the density was fitted to",
                    set.name
                )));
            }
            let real = set.map(|set| ImageSequences::new(set, order, Logit { alpha }));
            sampler.images([width, height, channels], Logit { alpha }, real.as_ref())
        }
    }
}

/// Data that were not named are left out where they are not here.
fn open<T, E: std::fmt::Display>(
    draws: &Draws,
    opened: std::result::Result<T, E>,
) -> Result<Option<T>> {
    match (opened, &draws.data) {
        (Ok(data), _) => Ok(Some(data)),
        (Err(_), None) => Ok(None),
        (Err(e), Some(_)) => Err(RunError::Config(e.to_string())),
    }
}

struct Sampler<'a> {
    draws: &'a Draws,
    model: &'a Recurrent,
    /// Values of a step.
    dim: usize,
}

impl Sampler<'_> {
    /// A sequence of `steps` steps that begins with the whole steps `begun`. `beside` is what is given
    /// beside a step's values.
    fn sequence(
        &self,
        begun: &[f32],
        steps: usize,
        beside: impl Fn(&[f32]) -> Vec<f32>,
        rng: &mut Pcg64,
    ) -> Vec<f32> {
        let (d, mut buffers) = (self.dim, Buffers::default());
        let mut state = vec![0.0; self.model.state_len()];
        let mut all = begun.to_vec();
        let mut seen = vec![0.0; d];
        for t in 0..steps {
            self.model
                .step(1, &seen, &beside(&seen), &mut state, &mut buffers);
            if t * d >= begun.len() {
                let mut next = vec![0.0; d];
                let rngs = std::slice::from_mut(rng);
                let temperature = self.draws.temperature;
                self.model
                    .sample(&state, temperature, rngs, &mut next, &mut buffers);
                all.extend(next);
            }
            seen.copy_from_slice(&all[t * d..(t + 1) * d]);
        }
        all
    }

    fn stream(&self, numbers: &[u64]) -> Pcg64 {
        stream(self.draws.seed, "density/sample", numbers)
    }

    /// A sound as WAV, and a picture of it beside a real one.
    fn speech(&self, rate: u32, sd: f32, real: Option<&Speech>) -> Result<(Vec<PathBuf>, String)> {
        let seconds = self.draws.seconds;
        let steps = (seconds * f64::from(rate) / self.dim as f64).ceil() as usize;
        let begun = Instant::now();
        let beside = |seen: &[f32]| vec![energy(seen)];
        let values = self.sequence(&[], steps.max(1), beside, &mut self.stream(&[]));
        let took = begun.elapsed().as_secs_f64();
        // Converters of 16 bits are what speech is recorded with.
        let full = f32::from(i16::MAX);
        let drawn: Vec<f32> = values.iter().map(|v| v * sd / full).collect();
        let mut files = vec![self.write_wav("sample.wav", &drawn, rate)?];
        let mut columns = vec![("DRAWN", drawn)];
        if let Some(real) = real {
            let test = real.parts().test;
            let sentence = real.load(test[self.draws.seed as usize % test.len()])?;
            let count = (steps * self.dim).min(sentence.samples.len());
            let samples = sentence.samples[..count].iter();
            let samples: Vec<f32> = samples.map(|s| s / sentence.full_scale).collect();
            files.push(self.write_wav("real.wav", &samples, rate)?);
            columns.insert(0, ("REAL", samples));
        }
        let loudest = columns.iter().flat_map(|(_, samples)| samples);
        let loudest = loudest.fold(0.0f32, |most, s| most.max(s.abs()));
        let panels = columns.iter().map(|(title, samples)| {
            let wave = waveform(samples, loudest);
            let seconds = samples.len() as f64 / f64::from(rate);
            let title = format!("{title} - {seconds:.1} S AT {rate} HZ");
            Panel::column(vec![wave, spectrogram(samples)]).titled(&title)
        });
        let picture = self.draws.out.join("sample.png");
        Panel::row(panels.collect()).save(&picture)?;
        files.push(picture);
        let lasts = steps as f64 * self.dim as f64 / f64::from(rate);
        let said = format!(
            "{lasts:.1} s of sound in {took:.2} s: {:.1} times as fast as it lasts",
            lasts / took.max(1e-9)
        );
        Ok((files, said))
    }

    /// Writes `samples`, −1 to 1, as a WAV file of 16 bits; what is beyond is clipped.
    fn write_wav(&self, name: &str, samples: &[f32], rate: u32) -> Result<PathBuf> {
        let path = self.draws.out.join(name);
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let failed = |e: hound::Error| RunError::Failed(format!("{}: {e}", path.display()));
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).map_err(failed)?;
        for sample in samples {
            let level = (sample * f32::from(i16::MAX)).round();
            writer.write_sample(level as i16).map_err(failed)?;
        }
        writer.finalize().map_err(failed)?;
        write_atomically(&path, |w| w.write_all(bytes.get_ref()))?;
        Ok(path)
    }

    /// A grid of images, and real ones whose second half is drawn.
    fn images(
        &self,
        [width, height, channels]: [usize; 3],
        logit: Logit,
        real: Option<&ImageSequences>,
    ) -> Result<(Vec<PathBuf>, String)> {
        let steps = width * height * channels / self.dim;
        let nothing = |_: &[f32]| Vec::new();
        let panel = |values: &[f32]| {
            let bytes = pixels(values, logit);
            let rgb = match channels {
                3 => bytes,
                _ => bytes.iter().flat_map(|v| [*v; 3]).collect(),
            };
            Panel::new(width, height, rgb).enlarged(2)
        };
        let begun = Instant::now();
        let mut rows = Vec::new();
        for y in 0..GRID {
            let mut row = Vec::new();
            for x in 0..GRID {
                let rng = &mut self.stream(&[0, y as u64, x as u64]);
                row.push(panel(&self.sequence(&[], steps, nothing, rng)));
            }
            rows.push(Panel::row(row));
        }
        let took = begun.elapsed().as_secs_f64();
        let grid = self.draws.out.join("sample.png");
        Panel::column(rows).titled("DRAWN").save(&grid)?;
        let mut files = vec![grid];
        if let Some(real) = real {
            let mut rows = Vec::new();
            for (number, index) in real.parts().test.into_iter().take(COMPLETED).enumerate() {
                let values = real
                    .sequence(index, &mut self.stream(&[1, number as u64]))
                    .values;
                let half = steps / 2 * self.dim;
                let mut begun = values.clone();
                begun[half..].fill(logit.forward(0.5) as f32);
                let mut row = vec![panel(&values), panel(&begun)];
                for draw in 0..COMPLETIONS {
                    let rng = &mut self.stream(&[2, number as u64, draw as u64]);
                    row.push(panel(&self.sequence(&values[..half], steps, nothing, rng)));
                }
                rows.push(Panel::row(row));
            }
            let path = self.draws.out.join("completed.png");
            let title = "REAL - GIVEN - DRAWN";
            Panel::column(rows).titled(title).save(&path)?;
            files.push(path);
        }
        let said = format!("{} images in {took:.2} s", GRID * GRID);
        Ok((files, said))
    }
}
