"""The single environment: Gymnasium's own checker, seeds, spaces, errors."""

import copy
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import frmdn_gym


@pytest.mark.parametrize(("observation", "side"), [("agent64", 64), ("full96", 96)])
def test_check_env_has_nothing_to_say(observation, side):
    env = gymnasium.make(frmdn_gym.ENV_ID, render_mode="rgb_array", observation=observation)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (side, side, 3), np.uint8)
    assert env.metadata["render_fps"] == 50
    env.close()


def test_equal_seeds_give_equal_episodes():
    rows = []
    for _ in range(2):
        env = gymnasium.make(frmdn_gym.ENV_ID)
        env.action_space.seed(3)
        observation, info = env.reset(seed=7)
        seen = [(observation.tobytes(), info)]
        for _ in range(50):
            observation, *rest = env.step(env.action_space.sample())
            seen.append((observation.tobytes(), rest))
        # A reset without a seed goes on with the generator of the last given seed: another track.
        observation, info = env.reset()
        assert observation.tobytes() != seen[0][0]
        seen.append((observation.tobytes(), info))
        rows.append(seen)
    assert rows[0] == rows[1]


def test_observations_are_the_callers_own():
    env = gymnasium.make(frmdn_gym.ENV_ID)
    first, _ = env.reset(seed=1)
    kept = first.copy()
    for _ in range(20):
        last = env.step(np.array([1, 1, 0], np.float32))[0]
    assert np.array_equal(first, kept) and not np.array_equal(first, last)


def test_the_time_limit_is_gymnasiums_and_can_be_chosen():
    env = gymnasium.make(frmdn_gym.ENV_ID, max_episode_steps=5)
    env.reset(seed=1)
    flags = [env.step(np.zeros(3, np.float32))[2:4] for _ in range(5)]
    assert flags == [(False, False)] * 4 + [(False, True)]
    env = gymnasium.make(frmdn_gym.ENV_ID, max_episode_steps=1500)
    env.reset(seed=1)
    assert not any(env.step(np.zeros(3, np.float32))[3] for _ in range(1200))


def test_leaving_the_field_terminates():
    env = gymnasium.make(frmdn_gym.ENV_ID)
    env.reset(seed=4)
    for _ in range(1000):
        _, reward, terminated, _, info = env.step(np.array([0, 0.5, 0], np.float32))
        if terminated:
            break
    assert terminated and reward == -100 and info["lap_finished"] is False
    with pytest.raises(frmdn_gym.NativeError, match="reset"):
        env.unwrapped.step(np.zeros(3, np.float32))


def test_pictures():
    env = gymnasium.make(frmdn_gym.ENV_ID, render_mode="state_pixels")
    observation, _ = env.reset(seed=1)
    assert np.array_equal(env.render(), observation)
    large = gymnasium.make(frmdn_gym.ENV_ID, render_mode="rgb_array", observation="agent64")
    large.reset(seed=1)
    picture = large.render()
    assert picture.shape == (400, 600, 3) and picture.dtype == np.uint8
    large.reset()
    assert not np.array_equal(picture, large.render()), "the picture is the caller's own"


def test_seeds_are_gymnasiums():
    env = frmdn_gym.CarRacing()
    tiles = [env.reset(seed=seed)[1]["tiles"] for seed in (2**40, 2**64, 2**100)]
    assert len(set(tiles)) == 3 and env.np_random_seed == 2**100
    for seed in (-1, 0.5):
        with pytest.raises(gymnasium.error.Error, match="Seed"):
            env.reset(seed=seed)
    env.np_random = np.random.Generator(np.random.MT19937(1))
    with pytest.raises(ValueError, match="PCG64"):
        env.reset()


def test_random_starts_follow_from_the_seed():
    frames = []
    for _ in range(2):
        env = gymnasium.make(frmdn_gym.ENV_ID, random_start=True)
        plain = gymnasium.make(frmdn_gym.ENV_ID)
        for seed in (4, None, None):
            observation, info = env.reset(seed=seed)
            usual, expected = plain.reset(seed=seed)
            # The start is drawn beside the stream of the tracks.
            assert info["tiles"] == expected["tiles"] and not np.array_equal(observation, usual)
            frames.append(observation)
    assert all(np.array_equal(a, b) for a, b in zip(frames[:3], frames[3:], strict=True))


def test_actions_are_clipped_unless_asked_not_to():
    edge, beyond, strict = (frmdn_gym.CarRacing(clip=clip) for clip in (True, True, False))
    for env in (edge, beyond, strict):
        env.reset(seed=1)
    for _ in range(20):
        a, b = edge.step(np.array([-1.0, 1.0, 0.0])), beyond.step(np.array([-np.inf, 1.5, -3.0]))
        assert np.array_equal(a[0], b[0]) and a[1:] == b[1:]
    for action in ([0, 2, 0], [0, np.nan, 0]):
        with pytest.raises(frmdn_gym.InvalidAction, match="outside of the action space"):
            strict.step(np.array(action, np.float32))
    with pytest.raises(ValueError, match="NaN|nan"):
        beyond.step(np.array([0, np.nan, 0]))


def test_a_copy_is_a_new_environment():
    env = frmdn_gym.CarRacing(observation="agent64", continuous=False)
    for other in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert other.observation_space == env.observation_space and other.action_space == env.action_space
        env.close()
        assert other.reset(seed=1)[0].shape == (64, 64, 3)


def test_faults_are_clear():
    with pytest.raises(ValueError, match="render_mode"):
        frmdn_gym.CarRacing(render_mode="human")
    with pytest.raises(ValueError, match="agent65"):
        frmdn_gym.CarRacing(observation="agent65")
    with pytest.raises(ValueError, match="lap_complete_percent"):
        frmdn_gym.CarRacing(lap_complete_percent=0.01)
    with pytest.raises(ValueError, match="lap_complete_percent"):
        frmdn_gym.CarRacing(lap_complete_percent=0.9, rule="v4")
    for limit in (0, -2, 2**32):
        with pytest.raises(ValueError, match="max_episode_steps"):
            frmdn_gym.CarRacing(max_episode_steps=limit)
    with pytest.raises(TypeError, match="max_episode_steps"):
        frmdn_gym.CarRacing(max_episode_steps=10.5)
    env = frmdn_gym.CarRacing()
    with pytest.raises(frmdn_gym.NativeError, match="reset"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(frmdn_gym.NativeError, match="reset"):
        frmdn_gym.CarRacing(render_mode="rgb_array").render()
    env.reset(seed=1)
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros(2, np.float32))
    env.close()
    env.close()
    with pytest.raises(frmdn_gym.NativeError, match="closed"):
        env.reset(seed=1)
