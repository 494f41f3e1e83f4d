"""Many environments stepped on all cores, for ``gymnasium.make_vec``."""

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from frmdn_gym import native


class VectorCarRacing(VectorEnv):
    """A batch of Car-Racing, stepped natively on ``threads`` threads (0: one per core).

    Environment ``i`` is what ``CarRacing`` is, with a generator of its own: ``reset(seed=s)`` gives it the seed ``s + i``
    and later resets draw from there, so it equals a single environment that was reset with that seed.

    The autoreset mode is ``NEXT_STEP``: the step after an end ignores the action, starts an episode and returns its first
    observation with reward 0 and both flags false. ``reset(options={"reset_mask": mask})`` resets some of the environments.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs=1,
        render_mode=None,
        observation="agent64",
        random_start=False,
        rule="v3",
        domain_randomize=False,
        continuous=True,
        max_episode_steps=1000,
        threads=0,
    ):
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode {render_mode!r} is not one of {self.metadata['render_modes']} or None")
        super().__init__()
        limit = native.max_steps(max_episode_steps)
        self._batch = native.Batch(
            num_envs,
            observation=observation,
            random_start=random_start,
            rule=rule,
            domain_randomize=domain_randomize,
            continuous=continuous,
            max_steps=limit,
            threads=threads,
        )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = self._batch.observation_space
        self.single_action_space = self._batch.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators = [None] * num_envs
        self._ended = np.zeros(num_envs, np.bool_)

    def reset(self, *, seed=None, options=None):
        """Starts an episode everywhere, or where ``options["reset_mask"]`` is true.

        ``seed`` is ``None``, an integer ``s`` for ``s, s + 1, …``, or one integer or ``None`` per environment.
        """
        mask = self._mask(options)
        seeds = self._seeds(seed)
        drawn = np.zeros(self.num_envs, np.uint64)
        for i in np.flatnonzero(mask):
            if seeds[i] is None:
                drawn[i] = self._draw(i)
            else:
                self._generators[i], _ = gymnasium.utils.seeding.np_random(seeds[i])
                drawn[i] = seeds[i]
        self._batch.reset(mask, drawn)
        self._ended[mask] = False
        return self._batch.observations.copy(), self._info(mask)

    def step(self, actions):
        """Steps the batch with actions ``[num_envs, 3]``, or ``[num_envs]`` if they are discrete.

        An environment whose episode ended in the last step is reset instead.
        """
        batch = self._batch
        if self._ended.any():
            seeds = np.zeros(self.num_envs, np.uint64)
            states = {int(i): self._generators[i].bit_generator.state for i in np.flatnonzero(self._ended)}
            for i in states:
                seeds[i] = self._draw(i)
            try:
                batch.step(actions, self._ended, seeds)
            except ValueError:
                # A refused action changes no environment, so the step can be repeated: restore the draws.
                for i, state in states.items():
                    self._generators[i].bit_generator.state = state
                raise
        else:
            batch.step(actions)
        terminated, truncated = batch.terminated.copy(), batch.truncated.copy()
        np.logical_or(terminated, truncated, out=self._ended)
        info = self._info(np.ones(self.num_envs, np.bool_))
        if terminated.any():
            info["lap_finished"], info["_lap_finished"] = batch.progress[:, 2].astype(np.bool_) & terminated, terminated.copy()
        return batch.observations.copy(), batch.rewards.copy(), terminated, truncated, info

    def render(self):
        """The whole 96×96 picture of each environment, if the render mode is ``rgb_array``."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render was called without a render mode: make the environments with render_mode='rgb_array'"
            )
            return None
        return tuple(self._batch.picture(i) for i in range(self.num_envs))

    def close_extras(self, **kwargs):
        """Frees the environments."""
        self._batch.close()

    def _draw(self, i):
        if self._generators[i] is None:
            self._generators[i], _ = gymnasium.utils.seeding.np_random()
        return native.draw_seed(self._generators[i])

    def _mask(self, options):
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"options['reset_mask'] must be a boolean array of shape ({self.num_envs},) with a True in it")
        return mask

    def _seeds(self, seed):
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            seed = range(int(seed), int(seed) + self.num_envs)
        seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds were given to {self.num_envs} environments")
        return [None if s is None else native.check_seed(s) for s in seeds]

    def _info(self, mask):
        visited, tiles = self._batch.progress[:, 0].astype(np.int64), self._batch.progress[:, 1].astype(np.int64)
        return {"tiles_visited": visited, "_tiles_visited": mask.copy(), "tiles": tiles, "_tiles": mask.copy()}
