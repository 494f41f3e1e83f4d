//! The dummy environment passes the conformance tests with every kind of space.

use frmdn_env::{ActionSpace, DummyEnv, ObservationSpace, conformance_tests};

fn continuous() -> ActionSpace {
    ActionSpace::Box {
        low: vec![-1.0, 0.0],
        high: vec![1.0, 0.5],
    }
}

const FRAME: ObservationSpace = ObservationSpace::Frame {
    height: 2,
    width: 3,
    channels: 3,
};

conformance_tests!(mod continuous_frame, DummyEnv::new(continuous(), FRAME), rewards = 0.0..=1.0);
conformance_tests!(
    mod continuous_latent,
    DummyEnv::new(continuous(), ObservationSpace::Latent(5)),
    rewards = 0.0..=1.0
);
conformance_tests!(
    mod discrete_frame,
    DummyEnv::new(ActionSpace::Discrete(4), FRAME),
    rewards = 0.0..=1.0
);
conformance_tests!(DummyEnv::new(
    ActionSpace::Discrete(4),
    ObservationSpace::Latent(5)
));
