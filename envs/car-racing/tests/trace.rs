//! Whole episodes, step for step, against Gymnasium: every bit of the state, the rewards, the tiles
//! and the ends.
//!
//! The data come from `reference/generate.py`, which describes the layout.

mod reader;

use frmdn_car_racing::{Actions, BodyState, CarRacing, CarRacingConfig, measured};
use frmdn_env::{Env, ObservationMut, Step};
use reader::Reader;

const ROW: usize = 212;

fn body_bits(body: &BodyState) -> [u32; 6] {
    let [x, y] = body.position;
    let [vx, vy] = body.velocity;
    [x, y, body.angle, vx, vy, body.angular_velocity].map(f32::to_bits)
}

/// Compares the environment with one row of the trace, whose action was already read.
fn compare(env: &CarRacing, step: Option<Step>, row: &mut Reader<'_>, at: usize) {
    let state = env.state().expect("the episode has begun");
    let bodies = state.wheels.iter().map(|w| &w.body).chain([&state.hull]);
    for (i, body) in bodies.enumerate() {
        let expected: [u32; 6] = std::array::from_fn(|_| row.f32().to_bits());
        assert_eq!(
            body_bits(body),
            expected,
            "body {i} after step {at}: {body:?} != {:?}",
            expected.map(f32::from_bits)
        );
    }
    let omega: [f64; 4] = std::array::from_fn(|_| row.f64());
    assert_eq!(
        state.wheels.map(|w| w.omega.to_bits()),
        omega.map(f64::to_bits),
        "omega after step {at}"
    );
    let phase: [f64; 4] = std::array::from_fn(|_| row.f64());
    assert_eq!(
        state.wheels.map(|w| w.phase.to_bits()),
        phase.map(f64::to_bits),
        "phase after step {at}"
    );
    let (reward, visited, flags) = (row.f64(), row.u32(), row.u32());
    if let Some(step) = step {
        assert_eq!(
            step.reward.to_bits(),
            reward.to_bits(),
            "reward of step {at}: {} != {reward}",
            step.reward
        );
        assert_eq!(step.terminated, flags & 1 != 0, "terminated in step {at}");
        assert_eq!(
            step.measured[measured::LAP] != 0.0,
            flags & 2 != 0,
            "lap finished in step {at}"
        );
        assert_eq!(
            step.measured[measured::TILES],
            f64::from(visited),
            "tiles visited after step {at}"
        );
    }
    let touched = env
        .visited()
        .expect("the episode has begun")
        .iter()
        .filter(|v| **v)
        .count();
    assert_eq!(touched, visited as usize, "tiles visited after step {at}");
    for (i, wheel) in state.wheels.iter().enumerate() {
        assert_eq!(
            wheel.on_road,
            flags >> (2 + i) & 1 != 0,
            "wheel {i} on the road after step {at}"
        );
    }
}

/// Replays a trace; returns the last step and the number of steps with a wheel off the road.
fn replay(data: &[u8]) -> (Step, usize) {
    replay_with(Actions::Continuous, data)
}

fn replay_with(actions: Actions, data: &[u8]) -> (Step, usize) {
    let mut header = Reader(&data[..8]);
    let (seed, steps) = (header.u32(), header.u32() as usize);
    assert_eq!(data.len(), 8 + ROW * (steps + 1));
    let mut rows = data[8..].chunks_exact(ROW);

    let mut env = CarRacingConfig {
        actions,
        ..CarRacingConfig::default()
    }
    .init();
    let width = env.action_space().len();
    let mut frame = vec![0; env.observation_space().len()];
    env.reset(u64::from(seed), ObservationMut::Frame(&mut frame))
        .expect("a reset with a fitting buffer");
    let mut last = None;
    let mut off_road = 0;
    for at in 0..=steps {
        let mut row = Reader(rows.next().expect("counted above"));
        let action = [row.f32(), row.f32(), row.f32()];
        if at > 0 {
            last = Some(
                env.step(&action[..width], ObservationMut::Frame(&mut frame))
                    .expect("a step of a running episode"),
            );
        }
        compare(&env, last, &mut row, at);
        off_road += usize::from(
            env.state()
                .is_some_and(|s| s.wheels.iter().any(|w| !w.on_road)),
        );
    }
    (last.expect("a trace has steps"), off_road)
}

#[test]
fn a_thousand_varied_steps() {
    let (last, off_road) = replay(include_bytes!("reference/trace_varied.bin"));
    assert!(last.truncated && !last.terminated);
    assert!(
        (200..800).contains(&off_road),
        "the drive should mix road and grass, {off_road} steps were off the road"
    );
}

#[test]
fn leaving_the_field_costs_100_and_ends() {
    let (last, _) = replay(include_bytes!("reference/trace_field.bin"));
    assert_eq!(
        (last.reward, last.terminated, last.measured[measured::LAP]),
        (-100.0, true, 0.0)
    );
}

#[test]
fn a_whole_lap_ends_with_the_last_tile() {
    let (last, _) = replay(include_bytes!("reference/trace_lap.bin"));
    assert!(last.terminated && last.measured[measured::LAP] == 1.0);
    assert_eq!(
        last.measured[measured::TILES],
        last.measured[measured::TRACK]
    );
}

#[test]
fn five_buttons() {
    let (last, _) = replay_with(
        Actions::Discrete,
        include_bytes!("reference/trace_buttons.bin"),
    );
    assert!(last.measured[measured::TILES] > 5.0, "{last:?}");
}

#[test]
fn a_standing_car_falls_asleep_and_wakes() {
    replay(include_bytes!("reference/trace_sleep.bin"));
}
