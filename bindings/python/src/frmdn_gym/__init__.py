"""Native Car-Racing as a Gymnasium environment.

Importing this package registers ``frmdn/CarRacing-v3``::

    import gymnasium, frmdn_gym

    env = gymnasium.make("frmdn/CarRacing-v3")
    envs = gymnasium.make_vec("frmdn/CarRacing-v3", num_envs=16)

Both stand in for Gymnasium's ``CarRacing-v3`` and take its arguments, and ``observation`` (``"full96"``: Gymnasium's 96×96 RGB,
the default; ``"agent64"``: 64×64 RGB without the gauges), ``random_start``, ``rule`` (``"v3"`` or ``"v4"``) and ``clip``.
"""

import gymnasium

from frmdn_gym.car_racing import CarRacing
from frmdn_gym.native import InvalidAction, NativeError, version
from frmdn_gym.vector import VectorCarRacing

__all__ = ["ENV_ID", "CarRacing", "InvalidAction", "NativeError", "VectorCarRacing", "version"]

ENV_ID = "frmdn/CarRacing-v3"
"""The id that this package registers."""

if ENV_ID not in gymnasium.registry:
    gymnasium.register(
        id=ENV_ID,
        entry_point="frmdn_gym.car_racing:CarRacing",
        vector_entry_point="frmdn_gym.vector:VectorCarRacing",
        max_episode_steps=1000,
        reward_threshold=900,
    )
