"""Many environments stepped on all cores, for ``gymnasium.make_vec``."""

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from frmdn_gym import native


class VectorCarRacing(VectorEnv):
    """A batch of Car-Racing, stepped natively on ``threads`` threads (0: one per core).

    Environment ``i`` of ``num_envs`` (1 to 4,096) is what ``CarRacing`` is, with a generator of its own: ``reset(seed=s)`` gives
    it the seed ``s + i``, and later resets go on from there, so that the batch equals Gymnasium's ``SyncVectorEnv`` of
    ``CarRacing-v3``.

    The autoreset mode is ``NEXT_STEP``: the step after an end ignores the action, starts an episode and returns its first
    observation with reward 0 and both flags false. ``reset(options={"reset_mask": mask})`` resets some of the environments.
    """

    metadata = {"render_modes": list(native.PICTURES), "render_fps": 50, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs=1,
        render_mode=None,
        verbose=False,
        lap_complete_percent=0.95,
        domain_randomize=False,
        continuous=True,
        observation="full96",
        random_start=False,
        rule="v3",
        clip=True,
        max_episode_steps=1000,
        threads=0,
    ):
        super().__init__()
        self.render_mode = native.check_render_mode(render_mode)
        native.check_lap_complete_percent(lap_complete_percent, rule=rule, random_start=random_start)
        self._batch = native.Batch(
            num_envs,
            observation=observation,
            random_start=random_start,
            rule=rule,
            domain_randomize=domain_randomize,
            continuous=continuous,
            clip=clip,
            max_steps=native.max_steps(max_episode_steps),
            threads=threads,
        )
        self.num_envs = num_envs = len(self._batch.observations)
        self.single_observation_space = self._batch.observation_space
        self.single_action_space = self._batch.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        # A generator and the seed that it was made of, for each environment.
        self._random = [gymnasium.utils.seeding.np_random() for _ in range(num_envs)]
        self._ended = np.zeros(num_envs, np.bool_)

    @property
    def np_random(self):
        """The generators of the environments, which draw their tracks."""
        return tuple(generator for generator, _ in self._random)

    @property
    def np_random_seed(self):
        """The seeds that the generators were made of."""
        return tuple(seed for _, seed in self._random)

    @native.one_at_a_time
    def reset(self, *, seed=None, options=None):
        """Starts an episode everywhere, or where ``options["reset_mask"]`` is true.

        ``seed`` is ``None``, an integer ``s`` for ``s, s + 1, …``, or one integer or ``None`` per environment. Environments without
        a seed go on with their generator. ``options={"randomize": False}`` keeps the colours of ``domain_randomize``.
        """
        mask = self._mask(options)
        seeds = self._seeds(seed)
        for i in np.flatnonzero(mask):
            if seeds[i] is not None:
                self._random[i] = gymnasium.utils.seeding.np_random(seeds[i])
        self._batch.reset(mask, self.np_random, seeds, native.kept_colors(options))
        self._ended[mask] = False
        return self._batch.observations.copy(), self._info(mask)

    @native.one_at_a_time
    def step(self, actions):
        """Steps the batch with actions ``[num_envs, 3]``, or ``[num_envs]`` if they are discrete.

        An environment whose episode ended in the last step is reset instead. A refused action (``InvalidAction``) moves no
        environment.
        """
        batch = self._batch
        if self._ended.any():
            batch.step(actions, self._ended, self.np_random)
        else:
            batch.step(actions)
        terminated, truncated = batch.terminated.copy(), batch.truncated.copy()
        np.logical_or(terminated, truncated, out=self._ended)
        info = self._info(np.ones(self.num_envs, np.bool_))
        if terminated.any():
            info["lap_finished"], info["_lap_finished"] = batch.progress[:, 2].astype(np.bool_) & terminated, terminated.copy()
        return batch.observations.copy(), batch.rewards.copy(), terminated, truncated, info

    @native.one_at_a_time
    def render(self):
        """The picture of each environment: ``(400, 600, 3)`` as ``rgb_array``, ``(96, 96, 3)`` as ``state_pixels``."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render was called without a render mode: make the environments with render_mode='rgb_array'"
            )
            return None
        return tuple(self._batch.picture(i, self.render_mode) for i in range(self.num_envs))

    @native.one_at_a_time
    def close_extras(self, **kwargs):
        """Frees the environments, after the call of another thread that is under way."""
        self._batch.close()

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
        return [None if s is None else int(s) for s in seeds]

    def _info(self, mask):
        visited, tiles = self._batch.progress[:, 0].astype(np.int64), self._batch.progress[:, 1].astype(np.int64)
        return {"tiles_visited": visited, "_tiles_visited": mask.copy(), "tiles": tiles, "_tiles": mask.copy()}
