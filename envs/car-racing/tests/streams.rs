//! Later episodes of one stream, controls beyond the space, and the large picture: what the Python
//! package needs to stand in for Gymnasium's environment.

use std::collections::HashMap;

use frmdn_car_racing::{CarRacing, CarRacingConfig, EpisodeSource, Observation, VIDEO, rng::Rng};
use frmdn_env::{Env, EnvError, ObservationMut, Picture, Step};

const FRAME: usize = 96 * 96 * 3;

fn make(domain_randomize: bool) -> CarRacing {
    CarRacingConfig {
        observation: Observation::Full96,
        domain_randomize,
        ..CarRacingConfig::default()
    }
    .init()
}

fn reset_from(env: &mut CarRacing, stream: &mut Rng, keep_colors: bool) -> Vec<u8> {
    let mut frame = vec![0; FRAME];
    let source = EpisodeSource {
        stream,
        seed: 5,
        keep_colors,
    };
    env.reset_from(source, ObservationMut::Frame(&mut frame))
        .expect("a reset with a fitting buffer");
    frame
}

fn drive(env: &mut CarRacing, controls: [f64; 3]) -> Result<Step, EnvError> {
    env.drive(controls, ObservationMut::Frame(&mut [0; FRAME]))
}

fn tiles(env: &CarRacing) -> usize {
    env.track().expect("an episode").tiles.len()
}

/// The colour of the field: the most frequent one of a first frame, which shows all of it, beside the
/// black around it.
fn field(frame: &[u8]) -> [u8; 3] {
    let mut counts = HashMap::new();
    for pixel in frame.as_chunks::<3>().0 {
        *counts.entry(*pixel).or_insert(0) += 1;
    }
    counts.remove(&[0; 3]);
    let most = counts.into_iter().max_by_key(|&(_, count)| count);
    most.expect("a frame has pixels").0
}

// Gymnasium 1.4.0: `len(env.unwrapped.track)` after `reset(seed=5)` and three resets without a seed,
// the third of the four with `options={"randomize": False}`.
#[test]
fn later_episodes_are_gymnasiums() {
    for (domain_randomize, wanted) in [(false, [329, 273, 280, 325]), (true, [296, 254, 283, 264])]
    {
        let (mut env, mut stream) = (make(domain_randomize), Rng::new(5));
        let episodes = [false, false, true, false].map(|keep| {
            let frame = reset_from(&mut env, &mut stream, keep);
            (tiles(&env), field(&frame))
        });
        assert_eq!(episodes.map(|(tiles, _)| tiles), wanted);
        let colors = episodes.map(|(_, color)| color);
        assert_eq!(colors[1], colors[2], "kept");
        assert_eq!(colors[0] != colors[1], domain_randomize, "drawn anew");
    }
}

#[test]
fn the_first_episode_is_that_of_the_seed() {
    for domain_randomize in [false, true] {
        let (mut one, mut other) = (make(domain_randomize), make(domain_randomize));
        let mut frame = vec![0; FRAME];
        one.reset(5, ObservationMut::Frame(&mut frame))
            .expect("a reset");
        assert_eq!(frame, reset_from(&mut other, &mut Rng::new(5), false));
        assert_eq!((one.state(), one.track()), (other.state(), other.track()));
    }
}

#[test]
fn colours_are_kept_before_any_were_drawn() {
    let (mut env, mut stream) = (make(true), Rng::new(5));
    let first = field(&reset_from(&mut env, &mut stream, true));
    // No number was drawn for the colours, so the track is that of plain colours.
    assert_eq!(tiles(&env), 329);
    assert_eq!(field(&reset_from(&mut env, &mut stream, true)), first);
    assert_ne!(
        first,
        field(&reset_from(&mut make(false), &mut stream, false))
    );
}

#[test]
fn controls_beyond_the_space_act_as_its_edge() {
    let (mut beyond, mut edge) = (make(false), make(false));
    for env in [&mut beyond, &mut edge] {
        reset_from(env, &mut Rng::new(5), false);
    }
    for (given, nearest) in [
        ([0.3, f64::INFINITY, -2.0], [0.3, 1.0, 0.0]),
        ([-9.0, 1.5, 0.0], [-1.0, 1.0, 0.0]),
        ([4.0, -3.0, f64::INFINITY], [1.0, 0.0, 1.0]),
    ] {
        for _ in 0..20 {
            let (a, b) = (drive(&mut beyond, given), drive(&mut edge, nearest));
            assert_eq!(a.expect("a step"), b.expect("a step"));
            assert_eq!(beyond.state(), edge.state());
        }
    }
    for i in 0..3 {
        let mut controls = [0.0; 3];
        controls[i] = f64::NAN;
        let refused = drive(&mut beyond, controls);
        assert!(matches!(refused, Err(EnvError::Action { .. })));
        assert_eq!(beyond.state(), edge.state(), "it has not moved");
    }
}

/// The picture after a start in full gas and a sharp turn off the road.
fn skidding(mut env: CarRacing) -> (Vec<u8>, Picture) {
    assert_eq!(env.video(), None);
    reset_from(&mut env, &mut Rng::new(3), false);
    let mut frame = vec![0; FRAME];
    for step in 0..130 {
        let controls = [if step < 70 { 0.0 } else { 1.0 }, 1.0, 0.0];
        env.drive(controls, ObservationMut::Frame(&mut frame))
            .expect("a step");
    }
    (frame, env.video().expect("a picture after a reset"))
}

#[test]
fn the_large_picture_shows_the_scene_with_skid_marks() {
    let (frame, plain) = skidding(make(false));
    let (same, marked) = skidding(make(false).with_skids());
    assert_eq!(frame, same, "observations have no marks");
    assert_eq!([plain.width, plain.height], VIDEO);
    assert_eq!(marked.rgb.len(), 600 * 400 * 3);

    let pixels = |picture: &Picture| picture.rgb.as_chunks::<3>().0.to_vec();
    let (plain, marked) = (pixels(&plain), pixels(&marked));
    // Grass, field and mud as Gymnasium has them there: what is drawn as 102, 204, 102 is one less.
    let count = |pixels: &[[u8; 3]], color| pixels.iter().filter(|&&p| p == color).count();
    assert!(count(&plain, [101, 203, 101]) > 100_000);
    assert!(count(&plain, [101, 229, 101]) > 10_000);
    assert_eq!(count(&plain, [101, 101, 0]), 0);
    assert!(count(&marked, [101, 101, 0]) > 20);
    let changed = plain.iter().zip(&marked).filter(|(a, b)| a != b).count();
    assert!((50..2000).contains(&changed), "{changed} pixels changed");

    // The scene is that of the small picture: each of its pixels is 6.25 × 4.17 of the large one.
    let (mut sum, mut values) = (0.0, 0.0);
    for (y, row) in frame.chunks_exact(96 * 3).take(84).enumerate() {
        for (x, small) in row.as_chunks::<3>().0.iter().enumerate() {
            let middle = plain[(y * 25 + 12) / 6 * 600 + (x * 25 + 12) / 4];
            for (a, b) in small.iter().zip(middle) {
                sum += f64::from(a.abs_diff(b));
                values += 1.0;
            }
        }
    }
    assert!(sum / values < 3.0, "mean difference {}", sum / values);
}
