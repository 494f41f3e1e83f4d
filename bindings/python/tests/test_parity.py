"""A short comparison with Gymnasium's own environment; `frmdn env parity` is the full one."""

import os

import gymnasium
import numpy as np
import pytest

import frmdn_gym

STEPS = 200


def reference(**options):
    """Gymnasium's environment; without it the test is skipped, or fails if FRMDN_REQUIRE_GYMNASIUM is set."""
    try:
        return gymnasium.make("CarRacing-v3", **options)
    except gymnasium.error.DependencyNotInstalled as error:
        if os.environ.get("FRMDN_REQUIRE_GYMNASIUM"):
            raise
        pytest.skip(f"SKIPPED: needs gymnasium[box2d]==1.4.0: {error}")


@pytest.mark.parametrize("seed", [1, 20, 300])
def test_rewards_and_flags_are_gymnasiums(seed):
    theirs, ours = reference(), gymnasium.make(frmdn_gym.ENV_ID, observation="full96")
    a, b = ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]
    rng = np.random.default_rng(seed)
    action = np.zeros(3, np.float32)
    errors = []
    for step in range(STEPS):
        # a random walk, so that the car moves
        action = np.clip(action + rng.normal(0, 0.2, 3), [-1, 0, 0], [1, 1, 0.3]).astype(np.float32)
        a, b = ours.step(action), theirs.step(action)
        assert a[1] == b[1], f"reward of step {step}"
        assert a[2:4] == b[2:4], f"flags of step {step}"
        errors.append(np.abs(a[0].astype(int) - b[0].astype(int)).mean())
        if a[2] or a[3]:
            break
    # Rounding gives a mean far below 2 of 255, another picture one far above.
    assert np.mean(errors) < 2
    theirs.close()


@pytest.mark.parametrize("options", [{"continuous": False}, {"domain_randomize": True}, {"continuous": False, "domain_randomize": True}])
def test_options_are_gymnasiums(options):
    theirs, ours = reference(**options), gymnasium.make(frmdn_gym.ENV_ID, observation="full96", **options)
    assert ours.action_space == theirs.action_space
    a, b = ours.reset(seed=8)[0], theirs.reset(seed=8)[0]
    ours.action_space.seed(8)
    for step in range(100):
        assert np.abs(a.astype(int) - b.astype(int)).mean() < 2, f"frame after step {step}"
        action = ours.action_space.sample()
        (a, *rest), (b, *expected) = ours.step(action), theirs.step(action)
        assert rest[:3] == expected[:3], f"step {step}"
    theirs.close()


def test_a_batch_with_buttons_is_the_single_environment():
    envs = gymnasium.make_vec(frmdn_gym.ENV_ID, num_envs=3, continuous=False)
    single = [gymnasium.make(frmdn_gym.ENV_ID, continuous=False) for _ in range(3)]
    envs.reset(seed=5)
    envs.action_space.seed(1)
    for i, env in enumerate(single):
        env.reset(seed=5 + i)
    for _ in range(60):
        actions = envs.action_space.sample()
        rewards = envs.step(actions)[1]
        assert rewards.tolist() == [env.step(action)[1] for env, action in zip(single, actions)]
    with pytest.raises(ValueError, match="5"):
        single[0].unwrapped.step(5)
