//! Frames compared with Gymnasium's: seventeen frames of four episodes, from the first zoom to
//! turns with kerbs and the edge of the field.

mod reader;

use frmdn_car_racing::{CarRacingConfig, Observation, agent_view};
use frmdn_env::{Env, ObservationMut, Picture};
use reader::Reader;

const SIDE: usize = 96;
/// Rows above the bar of gauges.
const SCENE: usize = 84;
/// Left of this column the bar shows the score, whose digits are drawn in another font.
const SCORE: usize = 13;
const AGENT: usize = 64;

/// One frame of an episode.
struct Moment {
    what: String,
    reference: &'static [u8],
    full: Vec<u8>,
    agent: Vec<u8>,
    picture: Picture,
}

/// Drives both environments and collects their frames at the steps of Gymnasium's stored frames.
fn moments() -> Vec<Moment> {
    let mut index = Reader(include_bytes!("reference/frames.bin"));
    let mut references = include_bytes!("reference/frames.rgb").chunks_exact(SIDE * SIDE * 3);
    let mut moments = Vec::new();
    while !index.is_empty() {
        let (seed, steps, frames) = (index.u32(), index.u32(), index.u32());
        let actions: Vec<[f32; 3]> = (0..steps)
            .map(|_| [index.f32(), index.f32(), index.f32()])
            .collect();
        let picked: Vec<u32> = (0..frames).map(|_| index.u32()).collect();
        let make = |observation| {
            CarRacingConfig {
                observation,
                ..CarRacingConfig::default()
            }
            .init()
        };
        let (mut full_env, mut agent_env) = (make(Observation::Full96), make(Observation::Agent64));
        let (mut full, mut agent) = (vec![0; SIDE * SIDE * 3], vec![0; AGENT * AGENT * 3]);
        for step in 0..=steps {
            if step == 0 {
                full_env
                    .reset(u64::from(seed), ObservationMut::Frame(&mut full))
                    .expect("a reset");
                agent_env
                    .reset(u64::from(seed), ObservationMut::Frame(&mut agent))
                    .expect("a reset");
            } else {
                let action = &actions[step as usize - 1];
                full_env
                    .step(action, ObservationMut::Frame(&mut full))
                    .expect("a step");
                agent_env
                    .step(action, ObservationMut::Frame(&mut agent))
                    .expect("a step");
            }
            if picked.contains(&step) {
                moments.push(Moment {
                    what: format!("seed {seed} after {step} steps"),
                    reference: references
                        .next()
                        .expect("a frame for each step of the index"),
                    full: full.clone(),
                    agent: agent.clone(),
                    picture: agent_env.picture().expect("a picture after reset"),
                });
            }
        }
    }
    assert_eq!((moments.len(), references.len()), (17, 0));
    moments
}

/// Mean absolute error, and the share of values that differ by more than 16.
fn errors(pairs: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (mut sum, mut far, mut count) = (0.0, 0, 0);
    for (a, b) in pairs {
        let error = (a - b).abs();
        sum += error;
        far += usize::from(error > 16.0);
        count += 1;
    }
    (sum / f64::from(count), far as f64 / f64::from(count))
}

fn byte_errors(a: &[u8], b: &[u8]) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    errors(a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b))))
}

#[test]
fn the_scene_is_gymnasiums_within_a_third_of_a_grey_level() {
    for Moment {
        what,
        reference,
        full,
        ..
    } in moments()
    {
        let rows = SIDE * SCENE * 3;
        let (mean, far) = byte_errors(&full[..rows], &reference[..rows]);
        println!(
            "scene, {what}: mean error {mean:.3}/255, {:.3} % are off by more than 16",
            far * 100.0
        );
        assert!(
            mean <= 0.3 && far <= 0.001,
            "{what}: mean error {mean:.3}, {:.3} % are off by more than 16",
            far * 100.0
        );
    }
}

#[test]
fn the_gauges_are_gymnasiums_within_a_tenth_of_a_grey_level() {
    for Moment {
        what,
        reference,
        full,
        ..
    } in moments()
    {
        let gauges = |frame: &[u8]| -> Vec<u8> {
            frame[SIDE * SCENE * 3..]
                .chunks_exact(SIDE * 3)
                .flat_map(|row| row[SCORE * 3..].to_vec())
                .collect()
        };
        assert!(
            gauges(reference).iter().any(|v| *v > 100) || what.ends_with(" 0 steps"),
            "{what} should show gauges"
        );
        let (mean, far) = byte_errors(&gauges(&full), &gauges(reference));
        assert!(
            mean <= 0.1 && far <= 0.002,
            "{what}: mean error {mean:.3}, {:.3} % are off by more than 16",
            far * 100.0
        );
    }
}

#[test]
fn the_agents_view_is_the_definition_of_gymnasiums_frame_within_a_grey_level() {
    let definition = agent_view();
    for Moment {
        what,
        reference,
        agent,
        ..
    } in moments()
    {
        let mut view = vec![0; definition.len()];
        definition.write(reference, &mut view);
        // the reference is blurred twice, the view once: they differ at edges, and most while the
        // camera shows the whole track
        let (mean, far) = byte_errors(&agent, &view);
        println!(
            "view, {what}: mean error {mean:.3}/255, {:.3} % are off by more than 16",
            far * 100.0
        );
        assert!(
            mean <= 0.9 && far <= 0.01,
            "{what}: mean error {mean:.3}, {:.3} % are off by more than 16",
            far * 100.0
        );
    }
}

/// Road, field and grass are drawn from the seed before the track is, so this is another track than
/// the plain one.
#[test]
fn colours_drawn_anew_are_gymnasiums() {
    let mut data = Reader(include_bytes!("reference/colors.bin"));
    let mut env = CarRacingConfig {
        observation: Observation::Full96,
        domain_randomize: true,
        ..CarRacingConfig::default()
    }
    .init();
    let mut frame = vec![0; SIDE * SIDE * 3];
    let mut seen = 0;
    while !data.is_empty() {
        let (seed, tiles) = (data.u64(), data.u32());
        // As `f32`, which the simulation sees.
        let first: [f32; 4] = std::array::from_fn(|_| data.f64() as f32);
        let (reference, rest) = data.0.split_at(SIDE * SIDE * 3);
        data.0 = rest;
        env.reset(seed, ObservationMut::Frame(&mut frame))
            .expect("a reset");
        let track = env.track().expect("a reset");
        assert_eq!(
            (
                track.points.len() as u32,
                [track.points[0].alpha, track.points[0].beta].map(|x| x as f32)
            ),
            (tiles, [first[0], first[1]])
        );
        for _ in 0..60 {
            env.step(&[0.1, 0.3, 0.0], ObservationMut::Frame(&mut frame))
                .expect("a step");
        }
        let rows = SIDE * SCENE * 3;
        let (mean, far) = byte_errors(&frame[..rows], &reference[..rows]);
        println!(
            "colours of seed {seed}: mean error {mean:.3}/255, {:.3} % are off by more than 16",
            far * 100.0
        );
        assert!(
            mean <= 0.35 && far <= 0.005,
            "seed {seed}: mean error {mean:.3}, {:.3} % are off by more than 16",
            far * 100.0
        );
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn flat_colours_are_exact() {
    let of = |frame: &[u8]| -> std::collections::BTreeSet<[u8; 3]> {
        // colours that fill a 3 × 3 square, away from edges
        let at = |x: usize, y: usize| [0, 1, 2].map(|c| frame[(y * SIDE + x) * 3 + c]);
        let inner = (1..SCENE - 1).flat_map(|y| (1..SIDE - 1).map(move |x| (x, y)));
        let flat =
            |&(x, y): &(usize, usize)| (0..9).all(|k| at(x + k % 3 - 1, y + k / 3 - 1) == at(x, y));
        inner.filter(flat).map(|(x, y)| at(x, y)).collect()
    };
    let (mut ours, mut theirs) = (
        std::collections::BTreeSet::new(),
        std::collections::BTreeSet::new(),
    );
    for moment in moments() {
        ours.extend(of(&moment.full));
        theirs.extend(of(moment.reference));
    }
    assert_eq!(ours, theirs);
    for color in [
        [100, 202, 100],
        [100, 228, 100],
        [100; 3],
        [102; 3],
        [105; 3],
    ] {
        assert!(ours.contains(&color), "no flat {color:?}");
    }
}

#[test]
fn the_picture_is_the_full_frame() {
    for Moment {
        what,
        full,
        picture,
        ..
    } in moments()
    {
        assert_eq!((picture.width, picture.height), (SIDE, SIDE));
        assert!(
            picture.rgb == full,
            "{what}: the picture differs from the full frame"
        );
    }
}
