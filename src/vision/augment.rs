//! Altered colours, for a V that is invariant to them.

use frmdn_engine::random::{fill_uniform, stream};

use super::FRAME;

/// `frames` [n, 64, 64, 3] with altered colours: each channel c of frame `row` becomes g_c x + o_c,
/// clamped to a byte, with the gains g within 1 ± `part` and the offsets o within ± `part` of the
/// range, all six uniform and new for every frame, from the stream (`seed`, `vision/augment`,
/// `update`, row).
pub(super) fn augment(frames: &[u8], part: f64, seed: u64, update: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(frames.len());
    for (row, frame) in frames.chunks_exact(FRAME).enumerate() {
        let mut change = [0.0; 6];
        fill_uniform(
            &mut stream(seed, "vision/augment", &[update, row as u64]),
            part as f32,
            &mut change,
        );
        // A table a channel: 256 values instead of 4,096 products.
        let tables: [[u8; 256]; 3] = std::array::from_fn(|c| {
            let (gain, offset) = (1.0 + change[c], 255.0 * change[3 + c]);
            // The cast clamps to a byte.
            std::array::from_fn(|x| (gain * x as f32 + offset).round() as u8)
        });
        out.extend(
            frame
                .iter()
                .enumerate()
                .map(|(i, &x)| tables[i % 3][usize::from(x)]),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_and_channel_is_altered_by_its_own_within_the_part_and_repeats() {
        let frames: Vec<u8> = (0..2 * FRAME).map(|i| (i / 3 % 256) as u8).collect();
        let out = augment(&frames, 0.2, 7, 3);
        assert_eq!(out, augment(&frames, 0.2, 7, 3));
        for other in [augment(&frames, 0.2, 7, 4), augment(&frames, 0.2, 8, 3)] {
            assert_ne!(out, other);
        }
        assert_eq!(frames, augment(&frames, 0.0, 7, 3));
        // What black, and what a middle grey becomes: at most 0.2 of the range, and 0.2 of itself
        // and of the range.
        let at = |frame: usize, value: usize, c: usize| out[frame * FRAME + value * 3 + c];
        for (frame, c) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            assert!(
                at(frame, 0, c) <= 51 && at(frame, 128, c).abs_diff(128) <= 77,
                "{} {}",
                at(frame, 0, c),
                at(frame, 128, c)
            );
        }
        let greys: std::collections::BTreeSet<u8> =
            [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
                .map(|(f, c)| at(f, 128, c))
                .into();
        assert!(greys.len() > 3, "{greys:?}");
    }
}
