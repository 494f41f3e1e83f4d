//! How far frames are apart.

use frmdn_car_racing::agent_view;
use serde::{Serialize, ser::SerializeStruct};

use super::{Native, Reference};

/// Side of a whole frame.
const SIDE: usize = 96;
/// Bytes above the bar of gauges.
const SCENE: usize = SIDE * 84 * 3;
/// The score is written with other digits, left of this column of the bar.
const TEXT: usize = 13;
/// An error that can be seen.
const FAR: u8 = 16;

/// Errors of many values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    /// Frames that were compared.
    pub frames: u64,
    sum: u64,
    far: u64,
    values: u64,
    /// Mean error of the worst frame.
    pub worst: f64,
}

impl Serialize for Errors {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Errors", 4)?;
        out.serialize_field("frames", &self.frames)?;
        out.serialize_field("mean", &self.mean())?;
        out.serialize_field("worst", &self.worst)?;
        out.serialize_field("far", &self.far())?;
        out.end()
    }
}

impl Errors {
    /// Mean absolute error, of 255.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.values.max(1) as f64
    }

    /// Share of the values that are off by more than 16.
    pub fn far(&self) -> f64 {
        self.far as f64 / self.values.max(1) as f64
    }

    fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.sum += other.sum;
        self.far += other.far;
        self.values += other.values;
        self.worst = self.worst.max(other.worst);
    }

    fn compare(ours: &[u8], theirs: &[u8]) -> Self {
        let off = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
        let mut errors = Self {
            frames: 1,
            sum: 0,
            far: 0,
            values: ours.len() as u64,
            worst: 0.0,
        };
        errors.sum = off().map(u64::from).sum();
        errors.far = off().filter(|e| *e > FAR).count() as u64;
        errors.worst = errors.mean();
        errors
    }
}

/// Errors by part of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FrameErrors {
    /// Above the gauges, all frames.
    pub scene: Errors,
    /// The same, frames with a wheel on the road.
    pub on_track: Errors,
    /// The same, in the first second, while the camera zooms in.
    pub zooming: Errors,
    /// The gauges without the digits of the score.
    pub gauges: Errors,
    /// The agent's view as it is drawn, against its definition on Gymnasium's frames.
    pub view: Errors,
}

/// A pair of frames.
#[derive(Clone, Debug)]
pub struct FramePair {
    /// Where it is from.
    pub seed: u64,
    /// Steps after the reset.
    pub step: u32,
    /// Mean error above the gauges.
    pub error: f64,
    /// Ours, `[96, 96, 3]`.
    pub ours: Vec<u8>,
    /// Gymnasium's.
    pub theirs: Vec<u8>,
}

impl FrameErrors {
    pub(super) fn add(&mut self, other: &Self) {
        self.scene.add(&other.scene);
        self.on_track.add(&other.on_track);
        self.zooming.add(&other.zooming);
        self.gauges.add(&other.gauges);
        self.view.add(&other.view);
    }

    /// Compares what both show now.
    pub(super) fn compare(
        &mut self,
        ours: &Native,
        theirs: &mut Reference,
        seed: u64,
        step: u32,
    ) -> Result<FramePair, String> {
        let reference = theirs.frame()?;
        if reference.len() != ours.frame().len() {
            return Err("the frames have different sizes".into());
        }
        let scene = Errors::compare(&ours.frame()[..SCENE], &reference[..SCENE]);
        self.scene.add(&scene);
        if ours.state()?.on_road.contains(&true) {
            self.on_track.add(&scene);
        }
        if step < 50 {
            self.zooming.add(&scene);
        }
        let gauges = |frame: &[u8]| -> Vec<u8> {
            frame[SCENE..]
                .chunks_exact(SIDE * 3)
                .flat_map(|row| row[TEXT * 3..].to_vec())
                .collect()
        };
        self.gauges
            .add(&Errors::compare(&gauges(ours.frame()), &gauges(&reference)));
        let mut view = vec![0; ours.view().len()];
        agent_view().write(&reference, &mut view);
        self.view.add(&Errors::compare(ours.view(), &view));
        Ok(FramePair {
            seed,
            step,
            error: scene.mean(),
            ours: ours.frame().to_vec(),
            theirs: reference,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_value() {
        let mut all = Errors::compare(&[10, 20, 30, 40], &[10, 37, 30, 36]);
        assert_eq!(
            (all.mean(), all.far(), all.worst),
            (21.0 / 4.0, 0.25, 21.0 / 4.0)
        );
        all.add(&Errors::compare(&[0; 4], &[0; 4]));
        assert_eq!(
            (all.frames, all.mean(), all.far(), all.worst),
            (2, 21.0 / 8.0, 0.125, 21.0 / 4.0)
        );
    }
}
