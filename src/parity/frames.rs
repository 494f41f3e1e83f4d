//! Errors between frames of the two environments.

use frmdn_car_racing::agent_view;
use serde::{Serialize, ser::SerializeStruct};

use super::{Native, ParityError, Reference};

/// Side of a whole frame, pixels.
const SIDE: usize = 96;
/// Bytes of a frame above the bar of gauges.
const SCENE: usize = SIDE * 84 * 3;
/// Left of this column the bar shows the score, whose digits are drawn in another font.
const SCORE_COLUMNS: usize = 13;
/// Largest difference of a byte that does not count as a large error.
const SMALL: u8 = 16;

/// Absolute errors of the bytes of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    /// Frames that were compared.
    pub frames: u64,
    sum: u64,
    far: u64,
    values: u64,
    /// Mean error of the worst frame, of 255.
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

    /// Share of the values that differ by more than 16, 0 to 1.
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
        let mut errors = Self {
            frames: 1,
            values: ours.len() as u64,
            ..Self::default()
        };
        for (a, b) in ours.iter().zip(theirs) {
            let error = a.abs_diff(*b);
            errors.sum += u64::from(error);
            errors.far += u64::from(error > SMALL);
        }
        errors.worst = errors.mean();
        errors
    }
}

/// Errors by part of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FrameErrors {
    /// The part above the gauges, all frames.
    pub scene: Errors,
    /// The same part, frames with a wheel on the road.
    pub on_track: Errors,
    /// The same part, in the first 50 steps, while the camera zooms in.
    pub zooming: Errors,
    /// The gauges without the digits of the score.
    pub gauges: Errors,
    /// The agent's view as it is drawn here, against its definition applied to Gymnasium's frames.
    pub view: Errors,
}

/// A pair of frames.
#[derive(Clone, Debug)]
pub struct FramePair {
    /// Seed of its episode.
    pub seed: u64,
    /// Steps after the reset.
    pub step: u32,
    /// Mean error of the part above the gauges, of 255.
    pub error: f64,
    /// Ours, `[96, 96, 3]`.
    pub ours: Vec<u8>,
    /// Gymnasium's, `[96, 96, 3]`.
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

    /// Adds the errors between the present frames of both, and returns the pair.
    pub(super) fn compare(
        &mut self,
        ours: &Native,
        theirs: &mut Reference,
        seed: u64,
        step: u32,
    ) -> Result<FramePair, ParityError> {
        let reference = theirs.frame()?;
        if reference.len() != ours.frame().len() {
            return Err(ParityError::FrameLength);
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
            let mut bytes = Vec::new();
            for row in frame[SCENE..].chunks_exact(SIDE * 3) {
                bytes.extend_from_slice(&row[SCORE_COLUMNS * 3..]);
            }
            bytes
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
