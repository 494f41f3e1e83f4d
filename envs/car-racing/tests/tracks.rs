//! Tracks compared with Gymnasium's, and properties of all tracks.

mod reader;

use frmdn_car_racing::rng::Rng;
use frmdn_car_racing::track::{PLAYFIELD, TRACK_WIDTH, Track};
use reader::Reader;

/// The simulation gets the corners of the tiles as `f32`: these are equal in every bit. The points
/// themselves are `f64` from sines of another library than the reference's, and differ in the last
/// bits.
#[test]
fn tiles_of_twenty_seeds_equal_gymnasiums_in_every_bit() {
    let mut data = Reader(include_bytes!("reference/tracks.bin"));
    let mut seeds = 0;
    while !data.is_empty() {
        let (seed, count) = (data.u64(), data.u32() as usize);
        let track = Track::generate(&mut Rng::new(seed));
        assert_eq!(track.points.len(), count, "tiles of seed {seed}");
        for (i, p) in track.points.iter().enumerate() {
            let expected = [data.f64(), data.f64(), data.f64(), data.f64()];
            for (ours, theirs) in [p.alpha, p.beta, p.x, p.y].into_iter().zip(expected) {
                assert!(
                    (ours - theirs).abs() < 1e-11,
                    "point {i} of seed {seed}: {p:?}, not {expected:?}"
                );
            }
            let [_, beta, x, y] = expected;
            let corner = |side: f64| {
                (
                    (x + side * TRACK_WIDTH * beta.cos()) as f32,
                    (y + side * TRACK_WIDTH * beta.sin()) as f32,
                )
            };
            let [left, right, ..] = track.tiles[i].corners;
            assert_eq!(
                [left, right].map(|(x, y)| (x as f32, y as f32)),
                [corner(-1.0), corner(1.0)],
                "tile {i} of seed {seed}"
            );
        }
        seeds += 1;
    }
    assert_eq!(seeds, 20);
}

#[test]
fn tiles_and_kerbs_hang_together() {
    let mut kerbs = 0;
    for seed in 0..50 {
        let track = Track::generate(&mut Rng::new(seed));
        assert_eq!(track.tiles.len(), track.points.len());
        for (i, (tile, point)) in track.tiles.iter().zip(&track.points).enumerate() {
            let [left, right, ..] = tile.corners;
            let [.., right_before, left_before] = track.tiles[(i + 1) % track.tiles.len()].corners;
            assert_eq!(
                (left, right),
                (left_before, right_before),
                "tile {i} of seed {seed} ends where the next begins"
            );
            let width = (left.0 - right.0).hypot(left.1 - right.1);
            assert!(
                (width - 2.0 * TRACK_WIDTH).abs() < 1e-9,
                "tile {i} of seed {seed} is {width} wide"
            );
            assert!(point.x.abs() < PLAYFIELD && point.y.abs() < PLAYFIELD);
            if let Some(kerb) = tile.kerb {
                assert_eq!(kerb.white, i % 2 == 0);
                let inner = kerb.corners[0];
                assert!(
                    inner == left || inner == right,
                    "the kerb of tile {i} of seed {seed} lies at the road's edge"
                );
                kerbs += 1;
            }
        }
    }
    assert!(kerbs > 1000, "hard turns have kerbs, {kerbs} were found");
}
