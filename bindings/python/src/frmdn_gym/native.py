"""The shared library through ctypes, and a batch of environments with the buffers it writes."""

import ctypes
import json
import os
import sys
from pathlib import Path

import numpy as np
from gymnasium import spaces

ABI_VERSION = 2
NO_LIMIT = 2**32 - 1
"""As ``max_steps``: episodes are never truncated."""


class NativeError(RuntimeError):
    """The library refused a call or could not be loaded."""


class _Spaces(ctypes.Structure):
    _fields_ = [
        ("n_envs", ctypes.c_size_t),
        ("observation", ctypes.c_size_t * 3),
        ("picture", ctypes.c_size_t * 3),
        ("action_low", ctypes.c_float * 3),
        ("action_high", ctypes.c_float * 3),
        ("n_actions", ctypes.c_size_t),
    ]


def _library_path():
    given = os.environ.get("FRMDN_GYM_LIBRARY")
    if given:
        return Path(given)
    prefix, suffix = {"win32": ("", ".dll"), "darwin": ("lib", ".dylib")}.get(sys.platform, ("lib", ".so"))
    return Path(__file__).with_name(f"{prefix}frmdn_env_cabi{suffix}")


def _load():
    path = _library_path()
    if not path.exists():
        raise NativeError(
            f"{path} does not exist: install the package with `pip install ./bindings/python` from the repository, "
            "or name a built library in FRMDN_GYM_LIBRARY"
        )
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeError(f"{path} could not be loaded: {error}; install the package again on this machine") from error
    library.frmdn_abi_version.restype = ctypes.c_uint32
    library.frmdn_abi_version.argtypes = []
    found = library.frmdn_abi_version()
    if found != ABI_VERSION:
        raise NativeError(f"{path} has interface version {found}, this package needs {ABI_VERSION}: install the package again")
    pointer, size, seed = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64
    library.frmdn_version.argtypes, library.frmdn_version.restype = [], ctypes.c_char_p
    library.frmdn_last_error.argtypes, library.frmdn_last_error.restype = [], ctypes.c_char_p
    for name, arguments in {
        "create": [size, size, ctypes.c_char_p, ctypes.POINTER(pointer)],
        "spaces": [pointer, ctypes.POINTER(_Spaces)],
        "reset_one": [pointer, size, seed, pointer, pointer],
        "reset": [pointer] * 5,
        "step": [pointer] * 9,
        "picture": [pointer, size, pointer],
        "close": [pointer],
    }.items():
        function = getattr(library, f"frmdn_car_racing_{name}")
        function.argtypes, function.restype = arguments, ctypes.c_int32
    return library


_library = None


def library():
    """The loaded library."""
    global _library
    if _library is None:
        _library = _load()
    return _library


def version():
    """The version of the native library."""
    return library().frmdn_version().decode()


def _check(code):
    if code == 0:
        return
    text = library().frmdn_last_error().decode()
    if code == -2:
        raise ValueError(f"{text}; clip first, for example with gymnasium.wrappers.ClipAction")
    if code == -1:
        raise ValueError(text)
    raise NativeError(text)


class Batch:
    """``n`` native environments. The arrays are overwritten by every call."""

    def __init__(self, n, *, max_steps=NO_LIMIT, threads=0, continuous=True, **options):
        self._library, self._handle = library(), None
        config = {**options, "actions": "continuous" if continuous else "discrete", "max_steps": max_steps}
        handle = ctypes.c_void_p()
        _check(self._library.frmdn_car_racing_create(n, threads, json.dumps(config).encode(), ctypes.byref(handle)))
        self._handle = handle
        sizes = _Spaces()
        _check(self._library.frmdn_car_racing_spaces(handle, ctypes.byref(sizes)))
        self.observation_space = spaces.Box(0, 255, tuple(sizes.observation), np.uint8)
        low, high = (np.array(tuple(bound), np.float32) for bound in (sizes.action_low, sizes.action_high))
        self.action_space = spaces.Box(low, high, dtype=np.float32) if continuous else spaces.Discrete(sizes.n_actions)
        self.observations = np.zeros((n, *sizes.observation), np.uint8)
        self.rewards = np.zeros(n, np.float64)
        self.terminated = np.zeros(n, np.bool_)
        self.truncated = np.zeros(n, np.bool_)
        self.progress = np.zeros((n, 3), np.uint32)
        """Tiles visited, all tiles, 1 if the lap was finished; ``[n, 3]``."""
        self._actions = np.zeros((n, 3), np.float32)
        self._seeds = np.zeros(n, np.uint64)
        self._mask = np.zeros(n, np.bool_)
        self._picture = np.zeros(tuple(sizes.picture), np.uint8)
        # Addresses are computed once: the arrays live as long as the batch and are never replaced.
        written = [self.observations, self.rewards, self.terminated, self.truncated, self.progress]
        self._written = [array.ctypes.data for array in written]
        self._given = [array.ctypes.data for array in (self._actions, self._mask, self._seeds)]

    def reset(self, mask, seeds):
        """Starts the episode of ``seeds[i]`` wherever ``mask[i]``."""
        self._mask[:], self._seeds[:] = mask, seeds
        _, mask_at, seeds_at = self._given
        _check(self._library.frmdn_car_racing_reset(self._open(), mask_at, seeds_at, self._written[0], self._written[4]))

    def step(self, actions, resets=None, seeds=None):
        """Steps every environment, except those marked in ``resets``, which start the episode of their seed."""
        actions = np.asarray(actions)
        wanted = self._actions if isinstance(self.action_space, spaces.Box) else self._actions[:, 0]
        if actions.shape != wanted.shape:
            raise ValueError(f"actions of shape {actions.shape} were given, {wanted.shape} is needed")
        wanted[:] = actions
        actions_at, mask_at, seeds_at = self._given
        if resets is None:
            mask_at = seeds_at = None
        else:
            self._mask[:], self._seeds[:] = resets, seeds
        _check(self._library.frmdn_car_racing_step(self._open(), actions_at, mask_at, seeds_at, *self._written))

    def picture(self, index):
        """The picture of environment ``index`` for people, ``[96, 96, 3]``."""
        _check(self._library.frmdn_car_racing_picture(self._open(), index, self._picture.ctypes.data))
        return self._picture.copy()

    def close(self):
        """Frees the environments. May be called again."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._library.frmdn_car_racing_close(handle)

    def __del__(self):
        if getattr(self, "_handle", None) is not None:
            self.close()

    def __reduce__(self):
        raise TypeError("native environments cannot be copied or pickled: make another one with gymnasium.make")

    def _open(self):
        if self._handle is None:
            raise NativeError("the environment is closed: make another one")
        return self._handle


def check_seed(seed):
    """Raises an error for a seed that the library does not accept."""
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed {seed} is outside of 0..2**64")
    return int(seed)


def draw_seed(np_random):
    """A random seed, for an episode without a given one."""
    return int(np_random.integers(2**31))


def max_steps(max_episode_steps):
    """Gymnasium's limit on steps in the library's form: ``None`` and ``-1`` mean no limit."""
    if max_episode_steps is None or max_episode_steps == -1:
        return NO_LIMIT
    if not 0 < max_episode_steps <= NO_LIMIT:
        raise ValueError(f"max_episode_steps {max_episode_steps} is not a positive number of steps, None or -1")
    return int(max_episode_steps)
