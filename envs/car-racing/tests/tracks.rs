//! Tracks of twenty seeds against Gymnasium: equal in number of tiles and, to 1e-9, in coordinates.

use frmdn_car_racing::{CarRacingConfig, track::Track};
use frmdn_env::{Env, ObservationMut};

#[test]
fn tracks_are_gymnasiums() {
    let mut data: &[u8] = include_bytes!("reference/tracks.bin");
    let mut seeds = 0;
    let mut env = CarRacingConfig::default().init();
    let mut frame = vec![0; env.observation_space().len()];
    while !data.is_empty() {
        let mut take = |n: usize| {
            let (head, tail) = data.split_at(n);
            data = tail;
            head
        };
        let seed = u64::from_le_bytes(take(8).try_into().unwrap());
        let tiles = u32::from_le_bytes(take(4).try_into().unwrap()) as usize;
        env.reset(seed, ObservationMut::Frame(&mut frame)).unwrap();
        let track: &Track = env.track().unwrap();
        assert_eq!((track.points.len(), track.tiles.len()), (tiles, tiles), "seed {seed}");
        for (i, point) in track.points.iter().enumerate() {
            for got in [point.alpha, point.beta, point.x, point.y] {
                let want = f64::from_le_bytes(take(8).try_into().unwrap());
                assert!((got - want).abs() < 1e-9, "seed {seed}, point {i}: {got} {want}");
            }
        }
        seeds += 1;
    }
    assert_eq!(seeds, 20);
}
