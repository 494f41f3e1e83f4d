"""A training loop in the form of CleanRL's scripts, with a policy in numpy."""

import gymnasium
import numpy as np
from gymnasium.wrappers.vector import ClipAction, RecordEpisodeStatistics

import frmdn_gym

SEED, NUM_ENVS, NUM_STEPS, NUM_UPDATES = 1, 4, 120, 6


def features(observations):
    """8×8 means of the green channel and a bias, ``[num_envs, 65]``."""
    green = observations[..., 1].reshape(len(observations), 8, 8, 8, 8).mean(axis=(2, 4)) / 255
    return np.concatenate([green.reshape(len(observations), -1), np.ones((len(observations), 1))], axis=1)


def rollout(envs, weights, seed):
    """The mean reward per environment, without rows of a reset."""
    observations, _ = envs.reset(seed=seed)
    total, reset_row, episodes = np.zeros(envs.num_envs), np.zeros(envs.num_envs, bool), 0
    for _ in range(NUM_STEPS):
        actions = np.tanh(features(observations) @ weights)
        observations, rewards, terminated, truncated, infos = envs.step(actions.astype(np.float32))
        total += np.where(reset_row, 0, rewards)
        reset_row = terminated | truncated
        episodes += int(infos["_episode"].sum()) if "episode" in infos else 0
    return total.mean(), episodes


def test_random_search_improves_a_policy():
    envs = gymnasium.make_vec(frmdn_gym.ENV_ID, num_envs=NUM_ENVS, max_episode_steps=100, observation="agent64")
    envs = ClipAction(RecordEpisodeStatistics(envs))
    rng = np.random.default_rng(SEED)
    weights = np.zeros((65, 3))
    first, episodes = rollout(envs, weights, SEED)
    assert episodes == NUM_ENVS
    best = first
    for _ in range(NUM_UPDATES):
        candidate = weights + rng.normal(0, 0.3, weights.shape)
        score, _ = rollout(envs, candidate, SEED)
        if score > best:
            weights, best = candidate, score
    envs.close()
    assert np.isfinite(best) and best > first, f"random search went from {first:.2f} to {best:.2f}"
