"""One environment, for ``gymnasium.make``."""

import gymnasium
import numpy as np
from gymnasium.utils import EzPickle

from frmdn_gym import native


class CarRacing(gymnasium.Env, EzPickle):
    """Native Car-Racing: a stand-in for Gymnasium's ``CarRacing-v3``.

    For the same seeds and actions, tracks, rewards and ends of episodes are Gymnasium's in every bit, in later episodes too:
    a reset without a seed goes on with ``np_random``. The first five arguments are Gymnasium's. The limit of 1,000 steps is
    put on by ``gymnasium.make``; made directly, episodes are only limited by ``max_episode_steps``.

    Observations are ``uint8``, ``(96, 96, 3)`` or, with ``observation="agent64"``, ``(64, 64, 3)`` without the gauges. Actions
    are ``[steer, gas, brake]`` in ``[-1, 1] × [0, 1] × [0, 1]``. Beyond it they act as the nearest inside, as in Gymnasium;
    with ``clip=False`` they are an error. ``info`` has ``tiles_visited`` and ``tiles``, and ``lap_finished`` when the episode
    terminates.

    Threads may share an environment: one call waits for another, and after ``close`` every call raises ``NativeError``.
    A copy or a pickle of it is a new environment with the same arguments, as Gymnasium's is.
    """

    metadata = {"render_modes": list(native.PICTURES), "render_fps": 50}

    def __init__(
        self,
        render_mode=None,
        verbose=False,
        lap_complete_percent=0.95,
        domain_randomize=False,
        continuous=True,
        observation="full96",
        random_start=False,
        rule="v3",
        clip=True,
        max_episode_steps=None,
    ):
        EzPickle.__init__(
            self,
            render_mode,
            verbose,
            lap_complete_percent,
            domain_randomize,
            continuous,
            observation,
            random_start,
            rule,
            clip,
            max_episode_steps,
        )
        self.render_mode = native.check_render_mode(render_mode)
        native.check_lap_complete_percent(lap_complete_percent, rule=rule, random_start=random_start)
        self._batch = native.Batch(
            1,
            observation=observation,
            random_start=random_start,
            rule=rule,
            domain_randomize=domain_randomize,
            continuous=continuous,
            clip=clip,
            max_steps=native.max_steps(max_episode_steps),
            threads=1,
        )
        self.observation_space = self._batch.observation_space
        self.action_space = self._batch.action_space
        self._all = np.ones(1, np.bool_)

    @native.one_at_a_time
    def reset(self, *, seed=None, options=None):
        """Starts the episode of ``seed``, or the next one of ``np_random``.

        ``options={"randomize": False}`` keeps the colours of ``domain_randomize``.
        """
        super().reset(seed=seed)
        self._batch.reset(self._all, [self.np_random], [seed], native.kept_colors(options))
        return self._batch.observations[0].copy(), self._info()

    @native.one_at_a_time
    def step(self, action):
        """Applies ``[steer, gas, brake]``, or the number of a discrete action.

        Raises ``InvalidAction`` (a ``ValueError``) if a value is not a number, if a discrete action does not exist, and with
        ``clip=False`` if an action is outside of the space; ``NativeError`` if no episode is running.
        """
        batch = self._batch
        batch.step(np.asarray(action)[None])
        terminated, truncated = bool(batch.terminated[0]), bool(batch.truncated[0])
        info = self._info()
        if terminated:
            info["lap_finished"] = bool(batch.progress[0, 2])
        return batch.observations[0].copy(), float(batch.rewards[0]), terminated, truncated, info

    @native.one_at_a_time
    def render(self):
        """The picture with its gauges: ``(400, 600, 3)`` as ``rgb_array``, ``(96, 96, 3)`` as ``state_pixels``."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render was called without a render mode: make the environment with render_mode='rgb_array'"
            )
            return None
        return self._batch.picture(0, self.render_mode)

    @native.one_at_a_time
    def close(self):
        """Frees the environment, after the call of another thread that is under way. May be called again."""
        self._batch.close()

    def _info(self):
        visited, tiles, _ = self._batch.progress[0].tolist()
        return {"tiles_visited": visited, "tiles": tiles}
