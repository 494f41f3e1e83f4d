"""The shared library through ctypes, and a batch of environments with the buffers it writes."""

import ctypes
import functools
import json
import operator
import os
import sys
import threading
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces

ABI_VERSION = 3
NO_LIMIT = 2**32 - 1
"""As ``max_steps``: episodes are never truncated."""
PICTURES = {"rgb_array": (600, 400), "state_pixels": (96, 96)}
"""Width and height of a picture by render mode, as in Gymnasium."""


class NativeError(RuntimeError):
    """The library refused a call or could not be loaded."""


class InvalidAction(gymnasium.error.InvalidAction, ValueError):
    """The action is not a number, or outside of a space whose actions are not clipped."""


class _Spaces(ctypes.Structure):
    _fields_ = [
        ("num_envs", ctypes.c_int64),
        ("observation", ctypes.c_int64 * 3),
        ("action_low", ctypes.c_float * 3),
        ("action_high", ctypes.c_float * 3),
        ("num_actions", ctypes.c_int64),
    ]


class _Rows(ctypes.Structure):
    _fields_ = [("num_envs", ctypes.c_int64), ("observation_bytes", ctypes.c_int64)] + [
        (name, ctypes.c_void_p) for name in ("observations", "rewards", "terminated", "truncated", "progress")
    ]


_STREAM = np.dtype([("state", "u8", 2), ("increment", "u8", 2), ("half", "u4"), ("has_half", "u4")])
"""``FrmdnStream``: numbers of 128 bits are their upper and lower half."""


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
    pointer, whole, handle = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64
    library.frmdn_version.argtypes, library.frmdn_version.restype = [], ctypes.c_char_p
    library.frmdn_last_error.argtypes, library.frmdn_last_error.restype = [], ctypes.c_char_p
    for name, arguments in {
        "create": [whole, whole, ctypes.c_char_p, ctypes.POINTER(handle)],
        "spaces": [handle, ctypes.POINTER(_Spaces)],
        "reset": [handle, pointer, pointer, pointer, ctypes.c_int32, ctypes.POINTER(_Rows)],
        "step": [handle, pointer, pointer, pointer, pointer, ctypes.POINTER(_Rows)],
        "picture": [handle, whole, whole, whole, pointer],
        "close": [handle],
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


_ERRORS = {-1: ValueError, -2: InvalidAction, -7: MemoryError}


def _check(code):
    if code != 0:
        raise _ERRORS.get(code, NativeError)(library().frmdn_last_error().decode())


def one_at_a_time(method):
    """A method of an environment that other threads wait for: it holds the lock of ``self._batch``.

    The lock can be taken again by the same thread, so that a handler of a signal may close the environment during a step.
    """

    @functools.wraps(method)
    def locked(self, *args, **kwargs):
        with self._batch.lock:
            return method(self, *args, **kwargs)

    return locked


class Batch:
    """``n`` native environments. The arrays are overwritten by every call."""

    def __init__(self, n, *, max_steps=NO_LIMIT, threads=0, continuous=True, **options):
        self._library, self._handle = library(), None
        self.lock = threading.RLock()
        config = {**options, "actions": "continuous" if continuous else "discrete", "max_steps": max_steps}
        handle = ctypes.c_uint64()
        n, threads = _int64("num_envs", n), _int64("threads", threads)
        _check(self._library.frmdn_car_racing_create(n, threads, json.dumps(config).encode(), ctypes.byref(handle)))
        self._handle = handle.value
        sizes = _Spaces()
        _check(self._library.frmdn_car_racing_spaces(self._handle, ctypes.byref(sizes)))
        self.observation_space = spaces.Box(0, 255, tuple(sizes.observation), np.uint8)
        low, high = (np.array(tuple(bound), np.float32) for bound in (sizes.action_low, sizes.action_high))
        self.action_space = spaces.Box(low, high, dtype=np.float32) if continuous else spaces.Discrete(sizes.num_actions)
        self.observations = np.zeros((n, *sizes.observation), np.uint8)
        self.rewards = np.zeros(n, np.float64)
        self.terminated = np.zeros(n, np.bool_)
        self.truncated = np.zeros(n, np.bool_)
        self.progress = np.zeros((n, 3), np.uint32)
        """Tiles visited, all tiles, 1 if the lap was finished; ``[n, 3]``."""
        self._actions = np.zeros((n, 3), np.float64)
        self._mask = np.zeros(n, np.bool_)
        self._seeds = np.zeros(n, np.uint64)
        self._streams = np.zeros(n, _STREAM)
        # Addresses are computed once: the arrays live as long as the batch and are never replaced.
        written = [self.observations, self.rewards, self.terminated, self.truncated, self.progress]
        self._rows = _Rows(n, self.observations[0].nbytes, *(array.ctypes.data for array in written))
        self._actions_at = self._actions.ctypes.data
        self._starts = [array.ctypes.data for array in (self._mask, self._seeds, self._streams)]

    def reset(self, mask, generators, seeds, keep_colors=False):
        """Starts an episode wherever ``mask[i]``, drawn from ``generators[i]`` as Gymnasium draws it.

        ``seeds[i]`` is the seed that the generator was just made of, or ``None``. Random starts, which Gymnasium does not have,
        follow from it, and from the state of the generator where there is none.
        """
        self._give(mask, generators, seeds)
        _check(self._library.frmdn_car_racing_reset(self._open(), *self._starts, bool(keep_colors), self._rows))
        self._take(mask, generators)

    def step(self, actions, mask=None, generators=None):
        """Steps every environment, except those with ``mask[i]``, which start an episode drawn from ``generators[i]``."""
        actions = np.asarray(actions)
        wanted = self._actions if isinstance(self.action_space, spaces.Box) else self._actions[:, 0]
        if actions.shape != wanted.shape:
            raise ValueError(f"actions of shape {actions.shape} were given, {wanted.shape} is needed")
        wanted[:] = actions
        if mask is None:
            _check(self._library.frmdn_car_racing_step(self._open(), self._actions_at, None, None, None, self._rows))
        else:
            self._give(mask, generators, [None] * len(generators))
            _check(self._library.frmdn_car_racing_step(self._open(), self._actions_at, *self._starts, self._rows))
            self._take(mask, generators)

    def picture(self, index, render_mode):
        """The picture of environment ``index`` for people, of the size of the render mode."""
        width, height = PICTURES[render_mode]
        picture = np.zeros((height, width, 3), np.uint8)
        _check(self._library.frmdn_car_racing_picture(self._open(), index, width, height, picture.ctypes.data))
        return picture

    def close(self):
        """Frees the environments, after the call of another thread that is under way. May be called again."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._library.frmdn_car_racing_close(handle)

    def __del__(self):
        if getattr(self, "_handle", None) is not None:
            self.close()

    def __reduce__(self):
        raise TypeError("native environments cannot be copied or pickled: make another one with gymnasium.make_vec")

    def _open(self):
        if self._handle is None:
            raise NativeError("the environment is closed: make another one")
        return self._handle

    def _give(self, mask, generators, seeds):
        """Writes the states of the generators where the library reads them."""
        self._mask[:] = mask
        for i in np.flatnonzero(mask):
            state = generators[i].bit_generator.state
            if state["bit_generator"] != "PCG64":
                raise ValueError(f"np_random must be a generator on PCG64, as Gymnasium's, not on {state['bit_generator']}")
            at, step = state["state"]["state"], state["state"]["inc"]
            self._streams[i] = divmod(at, 2**64), divmod(step, 2**64), state["uinteger"], state["has_uint32"]
            self._seeds[i] = (at if seeds[i] is None else seeds[i]) % 2**64

    def _take(self, mask, generators):
        """Moves the generators to where the library has left their states."""
        for i in np.flatnonzero(mask):
            stream = self._streams[i]
            at, step = (int(upper) << 64 | int(lower) for upper, lower in (stream["state"], stream["increment"]))
            generators[i].bit_generator.state = {
                "bit_generator": "PCG64",
                "state": {"state": at, "inc": step},
                "has_uint32": int(stream["has_half"]),
                "uinteger": int(stream["half"]),
            }


def _int64(name, value):
    """A whole number as the library takes it, which knows the range; one beyond 64 bits becomes the nearest within."""
    try:
        return min(max(operator.index(value), -(2**63)), 2**63 - 1)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {value!r}") from None


def check_render_mode(render_mode):
    """Raises an error for a render mode that is not offered, and returns it otherwise."""
    if render_mode is not None and render_mode not in PICTURES:
        raise ValueError(
            f"render_mode {render_mode!r} is not one of {list(PICTURES)} or None (gymnasium.make opens a window for 'human')"
        )
    return render_mode


def check_lap_complete_percent(percent, *, rule, random_start):
    """Raises an error for a share of the lap that would act in Gymnasium, or that would be expected to act here."""
    # In Gymnasium 1.4 it acts when tile 0 is first visited. That is in the first step of an episode, which begins there,
    # when a handful of hundreds of tiles are visited: below a twentieth a lap would end at once.
    if percent != 0.95 and (rule != "v3" or random_start):
        raise ValueError("with rule='v4' or random_start=True, lap_complete_percent is 0.95 and cannot be changed")
    if not percent >= 0.05:
        raise ValueError(f"lap_complete_percent is {percent}: give 0.05 or more")


def kept_colors(options):
    """Whether the options of a reset keep the colours, in Gymnasium's way."""
    return isinstance(options, dict) and "randomize" in options and not options["randomize"]


def max_steps(max_episode_steps):
    """Gymnasium's limit on steps in the library's form: ``None`` and ``-1`` mean no limit."""
    if max_episode_steps is None or max_episode_steps == -1:
        return NO_LIMIT
    limit = _int64("max_episode_steps", max_episode_steps)
    if not 0 < limit <= NO_LIMIT:
        raise ValueError(f"max_episode_steps is {max_episode_steps}: give a number of steps from 1 to {NO_LIMIT}, or -1 for no limit")
    return limit
