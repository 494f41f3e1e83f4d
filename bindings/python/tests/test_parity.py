"""Code for Gymnasium's ``CarRacing-v3`` does the same with our id; `frmdn env parity` compares whole laps."""

import os

import gymnasium
import numpy as np
import pytest

import frmdn_gym

THEIRS = "CarRacing-v3"
OURS = "frmdn_gym:" + frmdn_gym.ENV_ID
"""With the name of the module a script needs no other import."""


@pytest.fixture(autouse=True)
def gymnasiums_own():
    """Without Gymnasium's environment the test is skipped, or fails if FRMDN_REQUIRE_GYMNASIUM is set."""
    try:
        gymnasium.make(THEIRS).close()
    except gymnasium.error.DependencyNotInstalled as error:
        if os.environ.get("FRMDN_REQUIRE_GYMNASIUM"):
            raise
        pytest.skip(f"SKIPPED: needs gymnasium[box2d]==1.4.0: {error}")


def pair(**options):
    return [gymnasium.make(name, **options) for name in (OURS, THEIRS)]


def difference(a, b):
    """Mean absolute difference of two pictures. Rounding gives far less than 2 of 255, another picture far more."""
    assert a.shape == b.shape and a.dtype == b.dtype
    return np.abs(a.astype(int) - b.astype(int)).mean()


def tiles(env):
    """Visited and all tiles of a single environment, of either kind."""
    inner = env.unwrapped
    return [inner.tile_visited_count, len(inner.track)] if hasattr(inner, "track") else list(inner._info().values())


def walk(seed, steps, bounds):
    """A random walk of actions in ``float64``, so that the car moves."""
    rng = np.random.default_rng(seed)
    action = np.zeros(3)
    for _ in range(steps):
        action = np.clip(action + rng.normal(0, 0.2, 3), *bounds)
        yield action


INSIDE = ([-1, 0, 0], [1, 1, 0.3])
BEYOND = ([-3, -0.5, -2], [3, 2, 0.5])


@pytest.mark.parametrize(("seed", "bounds"), [(1, INSIDE), (20, INSIDE), (300, INSIDE), (1, BEYOND), (20, BEYOND)])
def test_rewards_and_flags_are_gymnasiums(seed, bounds):
    ours, theirs = pair()
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    a, b = ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]
    assert difference(a, b) < 2
    errors = []
    for step, action in enumerate(walk(seed, 200, bounds)):
        a, b = ours.step(action), theirs.step(action)
        assert a[1:4] == b[1:4], f"step {step}"
        assert tiles(ours) == tiles(theirs)
        errors.append(difference(a[0], b[0]))
        if a[2] or a[3]:
            break
    assert np.mean(errors) < 2
    theirs.close()


def loop(name, limit, **options):
    """A loop as training scripts have it, of three environments over three episodes each. All that it saw."""
    envs = gymnasium.make_vec(name, num_envs=3, max_episode_steps=limit, **options)
    observations, _ = envs.reset(seed=5)
    first = observations.copy()
    rng = np.random.default_rng(5)
    actions = np.zeros((3, 3))
    seen = []
    for _ in range(3 * limit + 10):
        actions = np.clip(actions + rng.normal(0, 0.2, (3, 3)), [-1, 0, 0], [1, 1.2, 0.3])
        observations, rewards, terminations, truncations, infos = envs.step(actions)
        assert observations.shape == (3, 96, 96, 3) and observations.dtype == np.uint8
        laps = infos["lap_finished"][infos["_lap_finished"]].tolist() if "lap_finished" in infos else []
        seen.append((rewards.tolist(), terminations.tolist(), truncations.tolist(), laps))
    if hasattr(envs, "envs"):
        all_tiles = [tiles(env) for env in envs.envs]
    else:
        all_tiles = [list(row) for row in zip(infos["tiles_visited"].tolist(), infos["tiles"].tolist(), strict=True)]
    states = [generator.bit_generator.state for generator in envs.np_random]
    seeds = envs.np_random_seed
    envs.close()
    return first, observations, seen, all_tiles, states, seeds


@pytest.mark.parametrize(("limit", "options"), [(100, {}), (30, {"domain_randomize": True})])
def test_a_training_loop_sees_the_same_after_a_change_of_the_id(limit, options):
    # The episodes are cut off, so that each environment starts three more by autoreset.
    ours, theirs = (loop(name, limit, **options) for name in (OURS, THEIRS))
    assert sum(sum(truncations) for _, _, truncations, _ in ours[2]) == 9
    for step, (a, b) in enumerate(zip(ours[2], theirs[2], strict=True)):
        assert a == b, f"rewards, terminations, truncations, laps of step {step}"
    assert ours[3:] == theirs[3:], "tiles, states of the generators, seeds"
    assert difference(ours[0], theirs[0]) < 2 and difference(ours[1], theirs[1]) < 2


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasiums_vectors_hold_ours_too(mode):
    envs = gymnasium.make_vec(OURS, num_envs=2, vectorization_mode=mode)
    native = gymnasium.make_vec(OURS, num_envs=2)
    assert np.array_equal(envs.reset(seed=3)[0], native.reset(seed=3)[0])
    actions = np.tile([0.1, 0.5, 0.0], (2, 1))
    assert np.array_equal(envs.step(actions)[0], native.step(actions)[0])
    envs.close()


@pytest.mark.parametrize("options", [{}, {"domain_randomize": True}, {"continuous": False}])
def test_resets_go_on_with_the_stream(options):
    ours, theirs = pair(**options)
    # The generator of every reset after the first goes on; `randomize` keeps the colours or draws new ones.
    for seed, reset_options in [
        (5, None),
        (None, None),
        (None, {"randomize": False}),
        (None, {"randomize": True}),
        (7, {"randomize": False}),
        (None, {}),
    ]:
        a, b = (env.reset(seed=seed, options=reset_options)[0] for env in (ours, theirs))
        assert tiles(ours) == tiles(theirs)
        assert difference(a, b) < 2
        assert ours.unwrapped.np_random.bit_generator.state == theirs.unwrapped.np_random.bit_generator.state
    theirs.close()


def test_the_first_reset_that_keeps_colours_draws_none():
    ours, theirs = pair(domain_randomize=True)
    for env in (ours, theirs):
        env.reset(seed=5, options={"randomize": False})
    # Both show random colours that the seed does not draw, so the frames differ.
    assert tiles(ours) == tiles(theirs)
    assert ours.unwrapped.np_random.bit_generator.state == theirs.unwrapped.np_random.bit_generator.state


@pytest.mark.parametrize("options", [{"continuous": False}, {"continuous": False, "domain_randomize": True}])
def test_options_are_gymnasiums(options):
    ours, theirs = pair(**options)
    assert ours.action_space == theirs.action_space
    a, b = ours.reset(seed=8)[0], theirs.reset(seed=8)[0]
    ours.action_space.seed(8)
    for step in range(100):
        assert difference(a, b) < 2, f"frame after step {step}"
        action = ours.action_space.sample()
        (a, *rest), (b, *expected) = ours.step(action), theirs.step(action)
        assert rest[:3] == expected[:3], f"step {step}"
    for env in (ours, theirs):
        with pytest.raises(gymnasium.error.InvalidAction):
            env.unwrapped.step(5)
    theirs.close()


@pytest.mark.parametrize("render_mode", ["rgb_array", "state_pixels"])
def test_pictures_are_gymnasiums(render_mode):
    # Full gas and a sharp turn leave skid marks on the road and on the grass.
    ours, theirs = pair(render_mode=render_mode)
    for env in (ours, theirs):
        env.reset(seed=3)
    for step in range(131):
        if step % 10 == 0:
            a, b = ours.render(), theirs.render()
            off = np.abs(a.astype(int) - b.astype(int)) > 40
            # The score is written in another font: left of its end the bar is not compared.
            height, width, _ = a.shape
            off[height * 7 // 8 :, : width // 7] = False
            assert off.mean() < 0.005, f"step {step}: {off.mean():.4f} of the values are off"
        for env in (ours, theirs):
            env.step(np.array([0.0 if step < 70 else 1.0, 1.0, 0.0]))
    if render_mode == "rgb_array":
        mud = [(np.abs(picture.astype(int) - [101, 101, 0]).max(axis=2) < 3).sum() for picture in (a, b)]
        assert min(mud) > 20, "marks on the grass"
    theirs.close()


def test_a_share_of_the_lap_has_no_effect():
    ours, theirs = pair(lap_complete_percent=0.05)
    for seed in range(3):
        for env in (ours, theirs):
            env.reset(seed=seed)
        a, b = (env.step(np.array([0.0, 0.5, 0.0])) for env in (ours, theirs))
        assert a[1:4] == b[1:4] and not a[2]
    theirs.close()


def test_a_batch_with_buttons_is_the_single_environment():
    envs = gymnasium.make_vec(OURS, num_envs=3, continuous=False)
    single = [gymnasium.make(OURS, continuous=False) for _ in range(3)]
    envs.reset(seed=5)
    envs.action_space.seed(1)
    for i, env in enumerate(single):
        env.reset(seed=5 + i)
    for _ in range(60):
        actions = envs.action_space.sample()
        rewards = envs.step(actions)[1]
        assert rewards.tolist() == [env.step(action)[1] for env, action in zip(single, actions)]
