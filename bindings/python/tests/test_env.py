"""The single environment: Gymnasium's own checker, seeds, spaces, errors."""

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
        # A reset without a seed draws the next one from the last given seed: another track.
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
    env = gymnasium.make(frmdn_gym.ENV_ID, render_mode="rgb_array", observation="full96")
    observation, _ = env.reset(seed=1)
    assert np.array_equal(env.render(), observation)


def test_faults_are_clear():
    with pytest.raises(ValueError, match="render_mode"):
        frmdn_gym.CarRacing(render_mode="human")
    with pytest.raises(ValueError, match="agent65"):
        frmdn_gym.CarRacing(observation="agent65")
    env = frmdn_gym.CarRacing()
    with pytest.raises(frmdn_gym.NativeError, match="reset"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="seed"):
        env.reset(seed=2**64)
    env.reset(seed=2**40)
    with pytest.raises(ValueError, match="ClipAction"):
        env.step(np.array([0, 2, 0], np.float32))
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros(2, np.float32))
    env.close()
    env.close()
    with pytest.raises(frmdn_gym.NativeError, match="closed"):
        env.reset(seed=1)
