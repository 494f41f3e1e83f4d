"""One environment, for ``gymnasium.make``."""

import gymnasium
import numpy as np

from frmdn_gym import native


class CarRacing(gymnasium.Env):
    """Native Car-Racing: tracks, rewards and ends of episodes are those of Gymnasium's ``CarRacing-v3``.

    ``reset(seed=s)`` starts the episode of ``s``. A reset without a seed draws one from ``np_random``, so it starts another
    track than the same reset of Gymnasium's environment. ``info`` has ``tiles_visited`` and ``tiles``, and ``lap_finished``
    when the episode terminates. The limit of 1,000 steps is put on by ``gymnasium.make``; made directly, episodes are
    only limited by ``max_episode_steps``.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}

    def __init__(
        self,
        render_mode=None,
        observation="agent64",
        random_start=False,
        rule="v3",
        domain_randomize=False,
        continuous=True,
        max_episode_steps=None,
    ):
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode {render_mode!r} is not one of {self.metadata['render_modes']} or None")
        self.render_mode = render_mode
        limit = native.max_steps(max_episode_steps)
        self._batch = native.Batch(
            1,
            observation=observation,
            random_start=random_start,
            rule=rule,
            domain_randomize=domain_randomize,
            continuous=continuous,
            max_steps=limit,
            threads=1,
        )
        self.observation_space = self._batch.observation_space
        self.action_space = self._batch.action_space
        self._all = np.ones(1, np.bool_)

    def reset(self, *, seed=None, options=None):
        """Starts an episode; ``options`` is ignored."""
        if seed is not None:
            native.check_seed(seed)
        super().reset(seed=seed)
        self._batch.reset(self._all, native.draw_seed(self.np_random) if seed is None else seed)
        return self._batch.observations[0].copy(), self._info()

    def step(self, action):
        """Applies ``[steer, gas, brake]``, or the number of a discrete action.

        An action outside of the space is an error; it is not clipped.
        """
        batch = self._batch
        batch.step(np.asarray(action)[None])
        terminated, truncated = bool(batch.terminated[0]), bool(batch.truncated[0])
        info = self._info()
        if terminated:
            info["lap_finished"] = bool(batch.progress[0, 2])
        return batch.observations[0].copy(), float(batch.rewards[0]), terminated, truncated, info

    def render(self):
        """The whole 96×96 picture with its gauges, if the render mode is ``rgb_array``."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render was called without a render mode: make the environment with render_mode='rgb_array'"
            )
            return None
        return self._batch.picture(0)

    def close(self):
        """Frees the environment."""
        self._batch.close()

    def _info(self):
        visited, tiles, _ = self._batch.progress[0].tolist()
        return {"tiles_visited": visited, "tiles": tiles}
