//! The observed state of the car, and the hidden friction of the road.

use std::f64::consts::PI;

use frmdn_car_racing::{
    BodyState, CarRacing, CarRacingConfig, CarState, FrictionRange, Observation, Perturbation,
    Pose, WheelState,
    observed::{self, ANCHORS, PER_WHEEL, VALUES, WHEEL},
    pursuit::{PurePursuit, PursuitConfig},
    rng::Rng,
    track::{TRACK_WIDTH, Track, TrackPoint},
};
use frmdn_env::{
    Env, ObservationMut, ObservationSpace, Step, conformance_tests,
    wrappers::{FrameSkip, NoopStart, StepLimit, Sticky},
};

fn config(observation: Observation, friction: Option<&str>) -> CarRacingConfig {
    CarRacingConfig {
        observation,
        friction: friction.map(|text| text.parse().expect("a range")),
        ..CarRacingConfig::default()
    }
}

fn short(observation: Observation, friction: Option<&str>) -> CarRacing {
    CarRacingConfig {
        max_steps: 40,
        ..config(observation, friction)
    }
    .init()
}

conformance_tests!(mod state, short(Observation::State, None), rewards = -100.0..=100.0);
conformance_tests!(
    mod hidden_friction,
    short(Observation::State, Some("0.6..1.4")),
    rewards = -100.0..=100.0
);
conformance_tests!(
    mod hidden_friction_in_pictures,
    short(Observation::Agent64, Some("0.6..1.4")),
    rewards = -100.0..=100.0
);
conformance_tests!(
    mod perturbed,
    CarRacingConfig {
        perturbation: Some(Perturbation::Noise),
        random_start: true,
        max_steps: 40,
        ..config(Observation::State, None)
    }
    .init(),
    rewards = -100.0..=100.0
);
conformance_tests!(mod wrapped, wrapped(), rewards = -1000.0..=1000.0);

/// Wrappers around the observed state; the inner limit leaves more than the outer one uses.
fn wrapped() -> Box<dyn Env> {
    let env = config(Observation::State, Some("0.5..1")).init();
    let env = Box::new(NoopStart::new(Box::new(env), 5));
    let env = Box::new(FrameSkip::new(env, 2, false));
    let env = Box::new(Sticky::new(env, 0.25, "step"));
    Box::new(StepLimit::new(env, 20))
}

/// What a drive saw, the car, and what the steps gave; the first moment is that of the reset.
struct Drive {
    observed: Vec<Vec<f32>>,
    cars: Vec<CarState>,
    /// Where the hull was one step before each moment: before the first, on the point of the track
    /// on which the car was placed.
    before: Vec<Pose>,
    steps: Vec<Step>,
}

/// `count` steps of `act`, or of the scripted driver.
fn drive(env: &mut CarRacing, seed: u64, count: usize, act: Option<[f32; 3]>) -> Drive {
    let space = env.observation_space();
    let (mut bytes, mut latent) = (vec![0; space.len()], vec![0.0; space.len()]);
    let mut place = match space {
        ObservationSpace::Frame { .. } => ObservationMut::Frame(&mut bytes),
        ObservationSpace::Latent(_) => ObservationMut::Latent(&mut latent),
    };
    env.reset(seed, place.again()).expect("a reset");
    let mut driver = PurePursuit::new(PursuitConfig::default());
    let mut all = Drive {
        observed: Vec::new(),
        cars: Vec::new(),
        before: vec![placed(env)],
        steps: Vec::new(),
    };
    for at in 0..=count {
        let car = env.state().expect("a reset");
        if let ObservationMut::Latent(values) = place.again() {
            all.observed.push(values.to_vec());
        }
        all.cars.push(car);
        all.before.push(car.hull.pose());
        let followed = driver.act(&car, env.track().expect("a reset"));
        if at < count {
            let step = env.step(&act.unwrap_or(followed), place.again());
            all.steps.push(step.expect("a step"));
        }
    }
    // The pose at the last moment is the one before a moment that is not there.
    all.before.pop();
    all
}

/// Where a reset places the hull before its step of physics.
fn placed(env: &CarRacing) -> Pose {
    let point = env.track().expect("a reset").points[env.start().expect("a reset")];
    Pose {
        position: [point.x as f32, point.y as f32],
        angle: point.beta as f32,
    }
}

/// What is observed, as many values as there are.
fn whole(values: &[f32]) -> &[f32; observed::COUNT] {
    values.try_into().expect("all values")
}

/// Full gas to the left at times: the car spins and leaves the road.
const WILD: Option<[f32; 3]> = Some([-0.4, 0.9, 0.0]);

/// A wheel at its anchor on a hull at `position`, turned by `angle`, whose every point moves by
/// `velocity` of the world.
fn car(position: [f64; 2], angle: f64, velocity: [f64; 2]) -> CarState {
    let body = |x: f64, y: f64| BodyState {
        position: [x as f32, y as f32],
        angle: angle as f32,
        velocity: velocity.map(|v| v as f32),
        angular_velocity: 0.0,
    };
    CarState {
        hull: body(position[0], position[1]),
        wheels: ANCHORS.map(|[right, ahead]| WheelState {
            body: body(
                position[0] + right * angle.cos() - ahead * angle.sin(),
                position[1] + right * angle.sin() + ahead * angle.cos(),
            ),
            gas: 0.25,
            brake: 0.5,
            steer: 0.1,
            joint_angle: 0.0,
            omega: 40.0,
            phase: 123.0,
            on_road: true,
        }),
    }
}

/// 40 tiles along +y, and ten to the left (1) or the right (−1) with a radius of 20.
fn straight_and_bend(side: f64) -> Track {
    let mut points = Vec::new();
    let (mut x, mut y, mut beta) = (0.0, 0.0, 0.0f64);
    for i in 0..50 {
        points.push(TrackPoint {
            alpha: 0.0,
            beta,
            x,
            y,
        });
        let turn = if i < 40 { 0.0 } else { side * 3.5 / 20.0 };
        // The side of a tile points along the mean of its ends.
        x -= 3.5 * (beta + turn / 2.0).sin();
        y += 3.5 * (beta + turn / 2.0).cos();
        beta += turn;
    }
    Track {
        points,
        tiles: Vec::new(),
    }
}

/// The observed quantity `i` in its unit.
fn quantity(values: &[f32], i: usize) -> f64 {
    f64::from(values[i]) * VALUES[i].size
}

fn assert_near(value: f64, wanted: f64, most: f64, what: &str) {
    assert!(
        (value - wanted).abs() < most,
        "{what}: {value}, not {wanted}"
    );
}

#[test]
fn every_value_has_a_name_of_its_own() {
    assert_eq!(
        Observation::State.space(),
        ObservationSpace::Latent(observed::COUNT)
    );
    assert_eq!(observed::COUNT, 54);
    for (i, value) in VALUES.iter().enumerate() {
        assert!(value.size > 0.0 && !value.name.is_empty());
        assert!(VALUES[..i].iter().all(|other| other.name != value.name));
    }
    let wheel = |i: usize| WHEEL + i * PER_WHEEL;
    for (index, name) in [
        (observed::MOVED_RIGHT, "moved right"),
        (observed::MOVED_AHEAD, "moved ahead"),
        (observed::TURNED, "turned"),
        (observed::SIDEWAYS, "sideways speed"),
        (observed::FORWARD, "forward speed"),
        (observed::TURNING, "turning"),
        (observed::GAS, "gas"),
        (wheel(0) + observed::RIGHT, "front left: right"),
        (wheel(1) + observed::AHEAD, "front right: ahead"),
        (wheel(0) + observed::ANGLE, "front left: angle"),
        (wheel(2) + observed::RIGHTWARD, "rear left: rightward"),
        (wheel(3) + observed::ONWARD, "rear right: onward"),
        (wheel(1) + observed::SPIN, "front right: spin"),
        (wheel(2) + observed::ROLLING, "rear left: rolling"),
        (wheel(3) + observed::SLIP, "rear right: slip"),
        (wheel(3) + observed::ON_ROAD, "rear right: on road"),
        (observed::OFFSET, "offset"),
        (observed::HEADING_SIN, "heading: sine"),
        (observed::HEADING_COS, "heading: cosine"),
        (observed::BENDS, "bend 0..5 units ahead"),
        (
            observed::BENDS + observed::STRETCHES - 1,
            "bend 35..40 units ahead",
        ),
    ] {
        assert_eq!(VALUES[index].name, name);
    }
    assert_eq!(VALUES[observed::TURNING].unit, "rad/s");
}

/// `point` turned about the origin and moved.
fn moved(turn: f64, [dx, dy]: [f64; 2], [x, y]: [f64; 2]) -> [f64; 2] {
    let (sin, cos) = turn.sin_cos();
    [x * cos - y * sin + dx, x * sin + y * cos + dy]
}

fn moved_pose(turn: f64, by: [f64; 2], pose: Pose) -> Pose {
    Pose {
        position: moved(turn, by, pose.position.map(f64::from)).map(|v| v as f32),
        angle: (f64::from(pose.angle) + turn) as f32,
    }
}

fn moved_body(turn: f64, by: [f64; 2], body: BodyState) -> BodyState {
    let Pose { position, angle } = moved_pose(turn, by, body.pose());
    BodyState {
        position,
        angle,
        velocity: moved(turn, [0.0; 2], body.velocity.map(f64::from)).map(|v| v as f32),
        ..body
    }
}

/// Car and track are turned and moved together; the values stay the same. Each coordinate of 256
/// to 512 units as `f32` is rounded by up to 1.5e-5, a position by 2.2e-5 in some direction. The
/// hull's displacement is the difference of two positions and so uncertain by 4.3e-5 units, which
/// is 4.3e-4 in its value to the right, of size 0.1. In all other values the rounding is less.
#[test]
fn nothing_tells_where_in_the_world_the_car_is() {
    for (act, seed) in [(None, 5), (WILD, 6)] {
        let mut env = config(Observation::State, None).init();
        let all = drive(&mut env, seed, 150, act);
        let track = env.track().expect("a reset");
        for (turn, by) in [
            (0.0, [40.0, -70.0]),
            (1.0, [0.0, 0.0]),
            (-2.5, [-90.0, 30.0]),
            (PI, [3.0, 100.0]),
        ] {
            let mut turned = track.clone();
            for p in &mut turned.points {
                [p.x, p.y] = moved(turn, by, [p.x, p.y]);
                p.beta += turn;
            }
            let (mut point, mut other) = (0, 0);
            for (at, car) in all.cars.iter().enumerate() {
                let before = all.before[at];
                let before_there = moved_pose(turn, by, before);
                let mut car_there = *car;
                car_there.hull = moved_body(turn, by, car.hull);
                for wheel in &mut car_there.wheels {
                    wheel.body = moved_body(turn, by, wheel.body);
                }
                let place = |car: &CarState| {
                    let [x, y] = car.hull.position.map(f64::from);
                    (x, y)
                };
                point = track.follow(place(car), point);
                other = turned.follow(place(&car_there), other);
                let here = observed::values(car, &before, track, point);
                assert_eq!(here[..], all.observed[at][..], "what the environment says");
                let there = observed::values(&car_there, &before_there, &turned, other);
                for i in 0..observed::COUNT {
                    let most = if i == observed::MOVED_RIGHT {
                        4.5e-4
                    } else {
                        1e-4
                    };
                    assert!(
                        (here[i] - there[i]).abs() < most,
                        "step {at}, turned by {turn}: {} is {} and {}",
                        VALUES[i].name,
                        here[i],
                        there[i]
                    );
                }
            }
        }
    }
}

#[test]
fn in_the_middle_of_a_straight_road_nothing_is_off() {
    let track = straight_and_bend(1.0);
    for y in [35.0, 36.0, 38.4] {
        let car = car([0.0, y], 0.0, [0.0, 21.6]);
        // In 1/50 s the car went 0.432 units.
        let before = Pose {
            position: [0.0, (y - 0.432) as f32],
            angle: 0.0,
        };
        let nearest = track.nearest((0.0, y), None);
        let values = observed::values(&car, &before, &track, nearest);
        assert_near(quantity(&values, observed::FORWARD), 21.6, 1e-5, "forward");
        for (i, value) in VALUES.iter().enumerate() {
            let wanted = match i {
                observed::MOVED_AHEAD => 0.432,
                observed::FORWARD => 21.6,
                observed::GAS => 0.25,
                observed::HEADING_COS => 1.0,
                _ if (WHEEL..observed::ROAD).contains(&i) => {
                    let (wheel, i) = ((i - WHEEL) / PER_WHEEL, (i - WHEEL) % PER_WHEEL);
                    match i {
                        observed::RIGHT => ANCHORS[wheel][0],
                        observed::AHEAD => ANCHORS[wheel][1] + 0.432,
                        observed::ONWARD => 21.6,
                        observed::ROLLING => 40.0,
                        observed::ON_ROAD => 1.0,
                        // A rim of 0.54 at 40 rad/s is as fast as the car.
                        _ => 0.0,
                    }
                }
                _ => 0.0,
            };
            assert_near(quantity(&values, i), wanted, 1e-5, value.name);
        }
    }
}

/// The scripted driver keeps to the middle: so do offset and heading. The environment's own track,
/// whose start is straight.
#[test]
fn along_the_middle_of_a_track_offset_and_heading_are_small() {
    let mut env = config(Observation::State, None).init();
    let all = drive(&mut env, 3, 400, None);
    let first = &all.observed[0];
    assert!(first[observed::OFFSET].abs() < 0.02 && first[observed::HEADING_SIN].abs() < 0.05);
    for values in &all.observed {
        assert!(values[observed::OFFSET].abs() < 0.9 && values[observed::HEADING_COS] > 0.7);
    }
    let mean = |i: usize| {
        all.observed.iter().map(|v| f64::from(v[i])).sum::<f64>() / all.observed.len() as f64
    };
    assert!(mean(observed::OFFSET).abs() < 0.2 && mean(observed::HEADING_SIN).abs() < 0.05);
    assert!(mean(observed::HEADING_COS) > 0.98);
}

#[test]
fn sides_have_their_signs() {
    let track = straight_and_bend(1.0);
    let see_from = |before: Pose, car: CarState, track: &Track| {
        let [x, y] = car.hull.position.map(f64::from);
        observed::values(&car, &before, track, track.nearest((x, y), None))
    };
    // A car that did not move since the step before.
    let see = |car: CarState, track: &Track| see_from(car.hull.pose(), car, track);
    // On the right edge of the road.
    let values = see(car([TRACK_WIDTH, 40.0], 0.0, [0.0; 2]), &track);
    assert_near(quantity(&values, observed::OFFSET), 1.0, 1e-5, "right edge");
    let values = see(car([-3.0, 40.0], 0.0, [0.0; 2]), &track);
    let offset = -3.0 / TRACK_WIDTH;
    assert_near(
        quantity(&values, observed::OFFSET),
        offset,
        1e-5,
        "left of the middle",
    );
    // Pointing to the left by 0.3 rad, and moving straight along the road: to its own right.
    let values = see(car([0.0, 40.0], 0.3, [0.0, 10.0]), &track);
    let heading = (
        quantity(&values, observed::HEADING_SIN),
        quantity(&values, observed::HEADING_COS),
    );
    assert_near(heading.0, 0.3f64.sin(), 1e-6, "sine");
    assert_near(heading.1, 0.3f64.cos(), 1e-6, "cosine");
    let sideways = quantity(&values, observed::SIDEWAYS);
    assert_near(sideways, 10.0 * 0.3f64.sin(), 1e-5, "sideways");
    // Backwards on the road.
    let values = see(car([1.0, 40.0], PI, [0.0, -10.0]), &track);
    assert_near(
        quantity(&values, observed::HEADING_COS),
        -1.0,
        1e-6,
        "backwards",
    );
    assert_near(
        quantity(&values, observed::FORWARD),
        10.0,
        1e-5,
        "backwards",
    );
    assert!(
        values[observed::OFFSET] > 0.1,
        "right of the road's direction"
    );

    // Two wheels turn about an axis of their own: to the left, and one rolls without a grip.
    let mut turning = car([0.0, 40.0], 0.3, [0.0; 2]);
    turning.hull.angular_velocity = 1.0;
    turning.wheels[0].body.angle += 0.2;
    turning.wheels[0].body.angular_velocity = 3.0;
    turning.wheels[3].body.velocity = [-(0.3f32.sin()), 0.3f32.cos()];
    let values = see(turning, &track);
    let of = |wheel: usize, i: usize| quantity(&values, WHEEL + wheel * PER_WHEEL + i);
    assert_near(of(0, observed::ANGLE), 0.2, 1e-6, "angle");
    assert_near(of(0, observed::SPIN), 3.0, 1e-6, "spin");
    assert_near(
        of(1, observed::SPIN),
        0.0,
        1e-6,
        "spin, not less the hull's",
    );
    assert_near(of(3, observed::ONWARD), 1.0, 1e-6, "onward");
    assert_near(of(3, observed::RIGHTWARD), 0.0, 1e-6, "rightward");
    assert_near(of(2, observed::SLIP), 21.6, 1e-5, "slip");
    assert_near(
        of(3, observed::SLIP),
        20.6,
        1e-5,
        "slip of the one that moves",
    );

    // A step before, the hull pointed to the left by 0.3 rad. Since then it moved by 0.2 to its
    // right and 1 ahead, and turned by 0.1 to the left; all of it moves straight along the road.
    let before = Pose {
        position: [1.0, 40.0],
        angle: 0.3,
    };
    let now = moved(0.3, [1.0, 40.0], [0.2, 1.0]);
    let values = see_from(before, car(now, 0.4, [0.0, 10.0]), &track);
    // Coordinates of 40 units as `f32` are rounded by 1.9e-6.
    for (i, wanted) in [
        (observed::MOVED_RIGHT, 0.2),
        (observed::MOVED_AHEAD, 1.0),
        (observed::TURNED, 0.1),
        (observed::SIDEWAYS, 10.0 * 0.3f64.sin()),
        (observed::FORWARD, 10.0 * 0.3f64.cos()),
        (observed::HEADING_SIN, 0.4f64.sin()),
        (observed::OFFSET, now[0] / TRACK_WIDTH),
    ] {
        assert_near(quantity(&values, i), wanted, 1e-5, VALUES[i].name);
    }
    for (wheel, [right, ahead]) in ANCHORS.into_iter().enumerate() {
        let place = moved(0.1, [0.2, 1.0], [right, ahead]);
        for (i, wanted) in [
            (observed::RIGHT, place[0]),
            (observed::AHEAD, place[1]),
            (observed::ANGLE, 0.1),
            (observed::RIGHTWARD, 10.0 * 0.3f64.sin()),
            (observed::ONWARD, 10.0 * 0.3f64.cos()),
        ] {
            let i = WHEEL + wheel * PER_WHEEL + i;
            assert_near(quantity(&values, i), wanted, 1e-5, VALUES[i].name);
        }
    }

    // 20 units before a bend with a radius of 20, to either side.
    for side in [1.0, -1.0] {
        let track = straight_and_bend(side);
        // Directions are interpolated from point 40 on, which is 140 units from the start.
        let values = see(car([0.0, 120.0], 0.0, [0.0; 2]), &track);
        for stretch in 0..8 {
            let wanted = if stretch < 4 { 0.0 } else { side / 20.0 };
            let bend = quantity(&values, observed::BENDS + stretch);
            assert_near(
                bend,
                wanted,
                1e-6,
                &format!("stretch {stretch} to side {side}"),
            );
        }
    }
}

/// What the values say of hull and wheels, computed from `CarRacing::state` before and after each
/// step, and for the first observation from the point on which the car was placed.
#[test]
fn hull_and_wheels_are_seen_from_the_step_before() {
    for (random_start, act, seed) in [(false, None, 7), (true, None, 8), (true, WILD, 9)] {
        let mut env = CarRacingConfig {
            random_start,
            ..config(Observation::State, None)
        }
        .init();
        let all = drive(&mut env, seed, 200, act);
        assert!(
            all.observed[0][observed::MOVED_AHEAD] != 0.0,
            "the reset moves it"
        );
        for (at, values) in all.observed.iter().enumerate() {
            let (now, before) = (&all.cars[at], all.before[at]);
            let angle = f64::from(before.angle);
            let right = [angle.cos(), angle.sin()];
            let ahead = [-angle.sin(), angle.cos()];
            let along = |axis: [f64; 2], [x, y]: [f64; 2]| axis[0] * x + axis[1] * y;
            let from = |body: &BodyState| {
                [0, 1].map(|i| f64::from(body.position[i]) - f64::from(before.position[i]))
            };
            // Values are rounded to `f32`, by 6e-8 of the quantity.
            let is = |i: usize, wanted: f64| {
                let most = 1e-7 * wanted.abs() + 1e-9;
                let what = format!("step {at}, {}", VALUES[i].name);
                assert_near(quantity(values, i), wanted, most, &what);
            };
            let bodies = now.wheels.iter().map(|wheel| &wheel.body);
            for (i, body) in std::iter::once(&now.hull).chain(bodies).enumerate() {
                let speed = body.velocity.map(f64::from);
                let turned = f64::from(body.angle) - angle;
                let spin = f64::from(body.angular_velocity);
                let indices = if i == 0 {
                    [
                        observed::MOVED_RIGHT,
                        observed::MOVED_AHEAD,
                        observed::TURNED,
                        observed::SIDEWAYS,
                        observed::FORWARD,
                        observed::TURNING,
                    ]
                } else {
                    [
                        observed::RIGHT,
                        observed::AHEAD,
                        observed::ANGLE,
                        observed::RIGHTWARD,
                        observed::ONWARD,
                        observed::SPIN,
                    ]
                    .map(|index| WHEEL + (i - 1) * PER_WHEEL + index)
                };
                for (index, wanted) in indices.into_iter().zip([
                    along(right, from(body)),
                    along(ahead, from(body)),
                    turned,
                    along(right, speed),
                    along(ahead, speed),
                    spin,
                ]) {
                    is(index, wanted);
                }
            }
        }
    }
}

/// The step before is the last one that was taken, whether or not anyone looked, and goes with the
/// episode into a snapshot.
#[test]
fn the_step_before_is_kept_unseen_and_in_snapshots() {
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for (act, seed) in [([0.1, 0.4, 0.0], 11), (WILD.expect("an action"), 12)] {
        let mut seen = config(Observation::State, None).init();
        let all = drive(&mut seen, seed, 90, Some(act));

        // The same with two of three steps unseen: what is seen is the same.
        let mut unseen = config(Observation::State, None).init();
        let mut latent = vec![0.0; observed::COUNT];
        unseen
            .reset(seed, ObservationMut::Latent(&mut latent))
            .expect("a reset");
        for at in 1..=90 {
            let place = ObservationMut::Latent(&mut latent);
            if at % 3 == 0 {
                unseen.step(&act, place).expect("a step");
                assert_eq!(bits(&latent), bits(&all.observed[at]), "step {at}");
            } else {
                latent.fill(f32::NAN);
                let place = ObservationMut::Latent(&mut latent);
                unseen.step_unseen(&act, place).expect("a step");
            }
        }

        // Another environment, in the middle of another episode, goes on from a snapshot: at once,
        // and with an unseen step first.
        for unseen_first in [false, true] {
            let mut env = config(Observation::State, None).init();
            drive(&mut env, seed, 40, Some(act));
            let snapshot = env.snapshot().expect("a running episode");
            let mut other = config(Observation::State, None).init();
            drive(&mut other, seed + 100, 25, None);
            other.restore(&snapshot).expect("one of its kind");
            for at in 41..=90 {
                let place = ObservationMut::Latent(&mut latent);
                if unseen_first && at == 41 {
                    other.step_unseen(&act, place).expect("a step");
                    continue;
                }
                other.step(&act, place).expect("a step");
                assert_eq!(bits(&latent), bits(&all.observed[at]), "step {at}");
            }
        }
    }
}

/// How far wheel `i` is from its anchor on the hull, of two states at the same moment.
fn gap(car: &CarState, i: usize) -> f64 {
    let hull = &car.hull;
    let [x, y] =
        [0, 1].map(|k| f64::from(car.wheels[i].body.position[k]) - f64::from(hull.position[k]));
    let [right, ahead] = moved(-f64::from(hull.angle), [0.0; 2], [x, y]);
    (right - ANCHORS[i][0]).hypot(ahead - ANCHORS[i][1])
}

/// The distances that the values alone tell are those of the bodies, and small from the first
/// observation on. Rear wheels point and spin as the hull in all moments but the first two, in
/// which they turn back to its direction.
#[test]
fn joints_hold_the_wheels() {
    for (random_start, act, seed) in [
        (false, Some([0.0; 3]), 4),
        (false, WILD, 4),
        (true, WILD, 5),
        (false, None, 6),
        (true, None, 7),
    ] {
        let mut env = CarRacingConfig {
            random_start,
            ..config(Observation::State, None)
        }
        .init();
        let all = drive(&mut env, seed, 300, act);
        for (at, values) in all.observed.iter().enumerate() {
            let gaps = observed::joint_gaps(whole(values));
            for (i, told) in gaps.into_iter().enumerate() {
                // Values of up to 4 are rounded to `f32`, by 1.2e-7.
                assert_near(told, gap(&all.cars[at], i), 1e-6, "the joint's distance");
                assert!(told < 5e-4, "step {at}, wheel {i}: {told} units");
            }
            if at < 2 {
                continue;
            }
            let beyond_hull = |i: usize, hull: usize| quantity(values, i) - quantity(values, hull);
            for wheel in [2, 3].map(|i| WHEEL + i * PER_WHEEL) {
                let angle = beyond_hull(wheel + observed::ANGLE, observed::TURNED);
                assert_near(angle, 0.0, 1e-3, "a rear wheel's angle");
                let spin = beyond_hull(wheel + observed::SPIN, observed::TURNING);
                assert_near(spin, 0.0, 0.02, "a rear wheel's spin");
            }
        }
    }
    assert_eq!(ANCHORS[0], [-1.1, 1.6]);
}

/// A wheel that is torn off its joint by 0.3 and 0.4 units is 0.5 units off, wherever the car
/// points, and a hull that is said to have moved further than its wheels is off all of them.
#[test]
fn joint_gaps_tell_how_far_wheels_are_off() {
    let track = straight_and_bend(1.0);
    for angle in [0.0, 0.7, -2.9] {
        let before = Pose {
            position: [1.0, 39.0],
            angle: (angle - 0.15) as f32,
        };
        let mut car = car([0.5, 40.0], angle, [0.0, 10.0]);
        let see = |car: &CarState| {
            observed::values(car, &before, &track, track.nearest((0.5, 40.0), None))
        };
        // Coordinates of 40 units as `f32` are rounded by 1.9e-6.
        for gap in observed::joint_gaps(&see(&car)) {
            assert_near(gap, 0.0, 1e-5, "at the anchor");
        }
        car.wheels[1].body.position[0] += 0.3;
        car.wheels[1].body.position[1] -= 0.4;
        let mut values = see(&car);
        let gaps = observed::joint_gaps(&values);
        for (i, wanted) in [0.0, 0.5, 0.0, 0.0].into_iter().enumerate() {
            assert_near(gaps[i], wanted, 1e-5, "torn off");
        }
        // The hull leaves its wheels, along an axis of the earlier frame.
        values[observed::MOVED_AHEAD] += 0.25;
        let gaps = observed::joint_gaps(&values);
        for i in [0, 2, 3] {
            assert_near(gaps[i], 0.25, 1e-5, "left behind");
        }
    }
}

/// Standard deviation.
fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    square.sqrt()
}

/// Least standard deviation of a value: half of the smallest that was measured, 0.056, that of a
/// front wheel's place to the right. In drives along the road only, the rear wheels' places to the
/// right follow the road and have 0.006.
const VARIES: f64 = 0.028;

/// A density of each value has a width, also without the first moments, in which the rear wheels
/// turn back to the hull's direction. What the joints hold has none, or less than a fiftieth of it.
#[test]
fn every_value_varies() {
    let mut env = config(Observation::State, None).init();
    let mut columns = vec![Vec::new(); observed::COUNT];
    // A rear wheel's place and angle relative to the hull at the same moment.
    let mut held = vec![Vec::new(); 2];
    for (seed, act) in [(1, None), (2, None), (3, WILD)] {
        let all = drive(&mut env, seed, 300, act);
        for at in 3..all.cars.len() {
            for (column, value) in columns.iter_mut().zip(&all.observed[at]) {
                column.push(f64::from(*value));
            }
            let (hull, wheel) = (&all.cars[at].hull, &all.cars[at].wheels[2].body);
            let from = [0, 1].map(|k| f64::from(wheel.position[k]) - f64::from(hull.position[k]));
            held[0].push(moved(-f64::from(hull.angle), [0.0; 2], from)[1]);
            held[1].push((f64::from(wheel.angle) - f64::from(hull.angle)) / 0.04);
        }
    }
    for (value, column) in VALUES.iter().zip(&columns) {
        let deviation = deviation(column);
        assert!(deviation > VARIES, "{}: {deviation}", value.name);
    }
    for column in &held {
        let deviation = deviation(column);
        assert!(deviation < VARIES / 50.0, "held by the joints: {deviation}");
    }
}

/// The car moves in the same way whatever is observed, and a picture is drawn for those who ask.
#[test]
fn the_observation_changes_nothing_else() {
    for act in [None, WILD] {
        let (mut state, mut frames) = (
            config(Observation::State, None).init(),
            config(Observation::Agent64, None).init(),
        );
        assert!(state.picture().is_none(), "before the first reset");
        let (a, b) = (
            drive(&mut state, 8, 200, act),
            drive(&mut frames, 8, 200, act),
        );
        assert!(a.cars == b.cars && a.steps == b.steps);
        assert_eq!(state.picture(), frames.picture());
        assert_eq!(state.track(), frames.track());
    }
    let (state, frames) = (
        config(Observation::State, None).spec(),
        config(Observation::Agent64, None).spec(),
    );
    assert!(state.rule.starts_with(&frames.rule) && state.rule.contains("54 numbers"));
    let same = frmdn_env::EnvSpec {
        rule: frames.rule.clone(),
        observation: frames.observation,
        ..state
    };
    assert_eq!(same, frames);
}

/// Reading the probe keeps another memory of the nearest point than the observation.
#[test]
fn a_probe_changes_nothing() {
    let mut read = [0.0; 7];
    let mut observe = |is_probed: bool| {
        let mut env = config(Observation::State, None).init();
        let mut latent = vec![0.0; observed::COUNT];
        env.reset(6, ObservationMut::Latent(&mut latent))
            .expect("a reset");
        let mut all = Vec::new();
        for _ in 0..300 {
            let action = WILD.expect("an action");
            env.step(&action, ObservationMut::Latent(&mut latent))
                .expect("a step");
            if is_probed {
                let probe = env.probe().expect("a probe");
                probe.read(&mut read).expect("a running episode");
            }
            all.push(latent.clone());
        }
        all
    };
    assert!(observe(true) == observe(false));
}

#[test]
fn all_values_are_numbers_of_unit_size() {
    let mut env = config(Observation::State, None).init();
    let (mut sums, mut count) = (vec![0.0; observed::COUNT], 0.0);
    for (seed, act) in [(1, None), (2, None), (3, Some([-0.3, 0.3, 0.0]))] {
        for values in drive(&mut env, seed, 300, act).observed {
            count += 1.0;
            for (sum, value) in sums.iter_mut().zip(values) {
                assert!(value.is_finite() && value.abs() < 20.0);
                *sum += f64::from(value * value);
            }
        }
    }
    for (i, sum) in sums.iter().enumerate() {
        let size = f64::sqrt(sum / count);
        assert!((0.1..4.0).contains(&size), "{}: {size}", VALUES[i].name);
    }
}

#[test]
fn friction_is_drawn_from_its_range() {
    let range: FrictionRange = "0.6..1.4".parse().expect("a range");
    let drawn: Vec<f64> = (0..400).map(|seed| range.draw(seed)).collect();
    assert!(drawn.iter().all(|f| (0.6..=1.4).contains(f)));
    // The mean of 400 has a standard deviation of 0.0115; a quarter has a hundred of them.
    let mean = drawn.iter().sum::<f64>() / 400.0;
    assert!((mean - 1.0).abs() < 0.05, "{mean}");
    for quarter in 0..4 {
        let low = 0.6 + 0.2 * f64::from(quarter);
        let count = drawn
            .iter()
            .filter(|f| (low..low + 0.2).contains(*f))
            .count();
        assert!((65..135).contains(&count), "{count} in quarter {quarter}");
    }
    // The first of SeedSequence(7, spawn_key=(3,)).
    let wanted = 0.6 + (1.4 - 0.6) * Rng::child(7, 3).random();
    assert_eq!(range.draw(7).to_bits(), wanted.to_bits());
}

#[test]
fn a_hidden_friction_is_felt_but_not_seen() {
    let mut hidden = config(Observation::State, Some("0.6..1.4")).init();
    assert_eq!(hidden.road_friction(), None);
    let mut plain = config(Observation::State, None).init();
    let range = hidden.config().friction.expect("a range");
    let drives = |env: &mut CarRacing, seed: u64| {
        let all = drive(env, seed, 120, Some([-0.2, 0.4, 0.0]));
        (all, env.road_friction().expect("a reset"))
    };
    for seed in 20..24 {
        let (a, friction) = drives(&mut hidden, seed);
        assert_eq!(friction, range.draw(seed), "as the seed says, to the end");
        let (again, _) = drives(&mut hidden, seed);
        assert!(a.cars == again.cars && a.observed == again.observed);
        let (b, one) = drives(&mut plain, seed);
        assert_eq!(one, 1.0);
        assert_eq!(a.observed[0], b.observed[0], "the reset shows it");
        assert!(a.cars[120] != b.cars[120], "seed {seed}: nothing is felt");
        assert_eq!(hidden.track(), plain.track());
    }
    assert_ne!(drives(&mut hidden, 20).1, drives(&mut hidden, 21).1);

    // Another environment goes on from a snapshot with the same friction.
    let (_, friction) = drives(&mut hidden, 22);
    let snapshot = hidden.snapshot().expect("a running episode");
    let mut other = config(Observation::State, Some("0.6..1.4")).init();
    drives(&mut other, 23);
    other.restore(&snapshot).expect("one of its kind");
    other.reseed(5);
    assert_eq!(other.road_friction(), Some(friction));
}

/// Locked wheels on the road slow the car by the limit of friction only.
#[test]
fn brakes_hold_as_the_friction_says() {
    let slowed = |friction: Option<&str>, perturbation| {
        let mut env = CarRacingConfig {
            perturbation,
            ..config(Observation::Agent64, friction)
        }
        .init();
        let mut frame = vec![0; env.observation_space().len()];
        env.reset(600_003, ObservationMut::Frame(&mut frame))
            .expect("a reset");
        let mut speeds = Vec::new();
        for t in 0..46 {
            let action = if t < 40 {
                [0.0, 0.3, 0.0]
            } else {
                [0.0, 0.0, 1.0]
            };
            env.step(&action, ObservationMut::Frame(&mut frame))
                .expect("a step");
            let [vx, vy] = env.state().expect("a reset").hull.velocity;
            speeds.push(f64::from(vx).hypot(f64::from(vy)));
        }
        assert!(speeds[45] > 2.0, "{speeds:?}");
        speeds[41] - speeds[45]
    };
    let plain = slowed(None, None);
    for (friction, perturbation, wanted) in [
        (Some("0.7..0.7"), None, 0.7),
        (Some("0.7..0.7"), Some(Perturbation::Friction), 0.56),
        (None, Some(Perturbation::Friction), 0.8),
    ] {
        let ratio = slowed(friction, perturbation) / plain;
        assert!((ratio - wanted).abs() < 0.02, "{friction:?}: {ratio}");
    }
    assert_eq!(slowed(Some("1..1"), None).to_bits(), plain.to_bits());
}

#[test]
fn ranges_of_friction_are_read_and_refused() {
    for text in ["0.6..1.4", "1..1", "0.05..10"] {
        let range: FrictionRange = text.parse().expect("a range");
        assert_eq!(range.to_string(), text);
    }
    for text in [
        "",
        "1",
        "..",
        "0.6..",
        "..1",
        "0..1",
        "-1..1",
        "1.4..0.6",
        "1..11",
        "1..inf",
        "nan..1",
        "1..nan",
        "0.6...1.4",
        "a..b",
        "0.6..1.4..2",
    ] {
        let error = text.parse::<FrictionRange>().expect_err(text);
        assert!(error.to_string().contains("0.6..1.4"), "{error}");
    }
    let config = config(Observation::State, Some("0.6..1.4"));
    let text = serde_json::to_string(&config).expect("it can be written");
    assert!(text.contains(r#""observation":"state""#) && text.contains(r#""friction":[0.6,1.4]"#));
    assert_eq!(
        serde_json::from_str::<CarRacingConfig>(&text).expect("and read"),
        config
    );
    serde_json::from_str::<CarRacingConfig>(r#"{"friction":[1.4,0.6]}"#)
        .expect_err("a range the wrong way round");
    let rule = config.spec().rule;
    assert!(
        rule.contains("road friction × 0.6..1.4") && rule.contains("hidden"),
        "{rule}"
    );
    let plain = CarRacingConfig::default().spec().rule;
    assert!(
        !plain.contains("friction") && !plain.contains("observed"),
        "{plain}"
    );
}
