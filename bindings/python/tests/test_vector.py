"""The batch is equal to single environments in every step, across the ends of episodes."""

import multiprocessing

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import frmdn_gym

N = 4


def make(n=N, **options):
    return gymnasium.make_vec(frmdn_gym.ENV_ID, num_envs=n, **options)


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("observation", ["agent64", "full96"])
def test_equals_gymnasiums_vector_of_single_environments(threads, observation):
    """Observations, rewards, flags and info over several episodes, with autoreset."""
    options = {"observation": observation, "max_episode_steps": 40}
    native = make(threads=threads, **options)
    single = SyncVectorEnv(
        [lambda: gymnasium.make(frmdn_gym.ENV_ID, **options) for _ in range(N)], autoreset_mode=AutoresetMode.NEXT_STEP
    )
    assert native.observation_space == single.observation_space
    assert native.action_space == single.action_space
    assert native.single_observation_space == single.single_observation_space
    single.action_space.seed(5)
    a, b = native.reset(seed=11), single.reset(seed=11)
    assert np.array_equal(a[0], b[0])
    ends = 0
    for _ in range(130):
        actions = single.action_space.sample()
        a, b = native.step(actions), single.step(actions)
        for ours, theirs in zip(a[:4], b[:4], strict=True):
            assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
        assert sorted(a[4]) == sorted(b[4])
        for key, value in b[4].items():
            assert np.array_equal(a[4][key], value), key
        ends += int(a[3].sum())
    assert ends == 3 * N
    native.close()
    single.close()


def test_autoreset_is_next_step():
    envs = make(2, max_episode_steps=3)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    first, _ = envs.reset(seed=1)
    still = np.zeros((2, 3), np.float32)
    for _ in range(3):
        last, _, terminated, truncated, _ = envs.step(still)
    assert truncated.all() and not terminated.any()
    # The observation with the flag is the last of its episode; the next one is the first of another, with reward 0.
    begun, rewards, terminated, truncated, info = envs.step(np.ones((2, 3), np.float32))
    assert not np.array_equal(begun, last) and not np.array_equal(begun, first)
    assert not rewards.any() and not truncated.any() and not terminated.any()
    assert (info["tiles_visited"] > 0).all()
    for _ in range(3):
        truncated = envs.step(still)[3]
    assert truncated.all(), "the step that resets does not count"


def test_leaving_the_field_resets_one_environment_alone():
    envs = make(2)
    envs.reset(seed=[4, 5])
    actions = np.array([[0, 0.5, 0], [0, 0, 0]], np.float32)
    for _ in range(900):
        _, rewards, terminated, _, info = envs.step(actions)
        if terminated[0]:
            break
    assert terminated.tolist() == [True, False] and rewards[0] == -100
    assert info["_lap_finished"].tolist() == [True, False] and not info["lap_finished"].any()
    _, rewards, terminated, _, _ = envs.step(actions)
    assert rewards[0] == 0 and not terminated.any()
    assert rewards[1] == pytest.approx(-0.1)


def test_a_refused_action_moves_nothing():
    runs = []
    for refused in (False, True):
        envs = make(2, max_episode_steps=2)
        envs.reset(seed=3)
        for _ in range(2):
            envs.step(np.zeros((2, 3), np.float32))
        envs.reset(seed=8, options={"reset_mask": np.array([True, False])})
        if refused:
            state = [generator.bit_generator.state for generator in envs.unwrapped.np_random]
            with pytest.raises(frmdn_gym.InvalidAction, match="environment 0"):
                envs.step(np.full((2, 3), np.nan, np.float32))
            assert state == [generator.bit_generator.state for generator in envs.unwrapped.np_random]
        runs.append(envs.step(np.zeros((2, 3), np.float32))[0])
    assert np.array_equal(*runs)


def test_reset_mask():
    envs = make(2)
    envs.reset(seed=1)
    before = envs.step(np.tile(np.array([0, 1, 0], np.float32), (2, 1)))[0]
    after, info = envs.reset(seed=[9, None], options={"reset_mask": np.array([True, False])})
    assert np.array_equal(before[1], after[1]) and info["_tiles"].tolist() == [True, False]
    single = gymnasium.make(frmdn_gym.ENV_ID)
    assert np.array_equal(after[0], single.reset(seed=9)[0])
    with pytest.raises(ValueError, match="reset_mask"):
        envs.reset(options={"reset_mask": np.array([1, 0])})


def test_render_and_faults():
    envs = make(2, render_mode="state_pixels")
    observations, _ = envs.reset(seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(envs.render(), observations, strict=True))
    large = make(2, render_mode="rgb_array")
    large.reset(seed=1)
    assert [picture.shape for picture in large.render()] == [(400, 600, 3)] * 2
    with pytest.raises(ValueError, match="2 environments"):
        envs.reset(seed=[1])
    with pytest.raises(ValueError, match="shape"):
        envs.step(np.zeros((3, 3), np.float32))
    for options, wanted in [
        ({"num_envs": 0}, "num_envs is 0: it must be a whole number from 1 to 4096"),
        ({"num_envs": -1}, "num_envs is -1"),
        ({"num_envs": 2**40}, "num_envs is 1099511627776"),
        ({"num_envs": 2**64}, "num_envs"),
        ({"threads": -1}, "threads is -1: it must be a whole number from 0 to 1024"),
        ({"threads": 2**64}, "threads"),
        ({"max_episode_steps": 0}, "max_episode_steps"),
    ]:
        with pytest.raises(ValueError, match=wanted):
            frmdn_gym.VectorCarRacing(**options)
    with pytest.raises(TypeError, match="num_envs"):
        frmdn_gym.VectorCarRacing(2.5)
    envs.close()
    envs.close()


def _child(parent, queue):
    envs = make(4, threads=2)
    queue.put(envs.reset(seed=1)[0].sum())
    try:
        parent.step(np.zeros((4, 3)))
    except frmdn_gym.NativeError as error:
        queue.put(str(error))
    parent.close()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_batch_made_after_a_fork_has_threads():
    parent = make(4, threads=2)
    expected = parent.reset(seed=1)[0].sum()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(parent, queue))
    child.start()
    try:
        assert queue.get(timeout=30) == expected
        assert "fork" in queue.get(timeout=30), "the parent's batch has no threads there"
        child.join(30)
        assert child.exitcode == 0
        assert parent.step(np.zeros((4, 3)))[0].shape == (4, 96, 96, 3), "the parent's batch is as it was"
    finally:
        child.join(5)
        child.kill()
