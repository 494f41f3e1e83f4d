"""Serves environments of Gymnasium, and of gym-super-mario-bros 7.4.0, to frmdn over standard input and output.

Every message is `<u32 length> <u8 kind> <u32 ticket> <body>`, little-endian; the length is that of the rest. A reply has the
ticket of its request and its kind + 128, or the kind 255 and a JSON object that describes the error. Replies have the order of
their requests. Bodies:

    HELLO  request JSON {"protocol": 2}                    reply JSON {"protocol", "versions"}
    MAKE   request JSON {"id", "kwargs", "draw"}           reply JSON {"slot", "action", "observation", "max_steps", "autoreset",
                                                             "versions", "steps_per_second", "measurements", "progress",
                                                             "most_progress", "completed", "deterministic", "action_names",
                                                             "steps_in_view"}
    RESET  request <u32 slot> <u64 seed>                   reply the frame
    STEP   request <u32 slot> <f32 action>...              reply <f64 reward> <u8 flags> <f64 measurement>... the frame
    PROBE  request <u32 slot> <name>                       reply raw numbers, see `Slot.probe`
    CLOSE  request <u32 slot>                              reply empty

Flags: 1 terminated, 2 truncated. Measurements are named in the reply to MAKE, in their order; "progress", "most_progress" and
"completed" there are the numbers of some of them. A frame is height * width * channels bytes. One process has any
number of environments, each in its own slot, and steps them in the order of the requests.

Only RESET resets an environment (Gymnasium's autoreset mode "disabled"): after the end of an episode STEP is an error, so that
no frame of the next episode is mistaken for one of the last.
"""

import sys

if sys.path[:1] == [""]:  # the source was given by -c: modules are not searched in the current folder
    del sys.path[0]

import importlib
import importlib.metadata
import inspect
import json
import os
import platform
import struct
import threading
import time
import traceback

PROTOCOL = 2
HELLO, MAKE, RESET, STEP, PROBE, CLOSE = range(1, 7)
REPLY, ERROR = 128, 255
TERMINATED, TRUNCATED = 1, 2
PACKAGES = ("gymnasium", "numpy", "Box2D", "pygame-ce", "gym-super-mario-bros", "nes-py", "gym", "ale-py", "minigrid", "frmdn-gym")
# The packages with which gym-super-mario-bros works.
MARIO_PINS = "gym-super-mario-bros==7.4.0 nes-py==8.2.1 gym==0.26.2 numpy==1.26.4"
ACTION_SETS = {"right_only": "RIGHT_ONLY", "simple": "SIMPLE_MOVEMENT", "complex": "COMPLEX_MOVEMENT"}


# What is measured: name, unit, whether higher values are better (None: neither), and how it is found.
CAR_RACING = [
    ("tiles", "tiles", True, lambda base, info: info["tiles_visited"] if "tiles_visited" in info else base.tile_visited_count),
    ("track", "tiles", None, lambda base, info: info["tiles"] if "tiles" in info else len(base.track)),
    ("lap finished", "", True, lambda base, info: info.get("lap_finished", False)),
]
# Those of the native super-mario, in its order. "furthest" is the largest x of the episode, "goal" where its flag is, "ended" how
# it ended, if it did.
MARIO = [
    ("x", "pixels", True, lambda base, info: info["furthest"]),
    ("goal", "pixels", None, lambda base, info: info["goal"]),
    ("y", "pixels", None, lambda base, info: info.get("y_pos", 0)),
    ("coins", "coins", True, lambda base, info: info.get("coins", 0)),
    ("points", "points", True, lambda base, info: info.get("score", 0)),
    ("time left", "", True, lambda base, info: info.get("time", 0)),
    ("area", "", None, lambda base, info: memory(base, 0x0760) + 1),
    ("flag", "", True, lambda base, info: info.get("flag_get", 0)),
    ("killed", "", False, lambda base, info: info["ended"] == "killed"),
    ("fell", "", False, lambda base, info: info["ended"] == "fell"),
    ("time ran out", "", False, lambda base, info: info["ended"] == "time"),
]


def memory(base, address):
    """A byte of the console's memory; 0 where there is none to look at."""
    ram = getattr(base, "ram", None)
    return 0 if ram is None else int(ram[address])


def death(base):
    """How the life of Super-Mario ends that is ending; "killed" where there is no memory to look at."""
    if getattr(base, "_time", 1) == 0:
        return "time"
    return "fell" if memory(base, 0x00B5) > 1 else "killed"


class Refused(Exception):
    """An environment, space or request that this server does not support."""


class Missing(Exception):
    """A package that is not installed."""


def load(module, package):
    """Imports a module, or says which package is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == module.split(".")[0]:
            raise Missing(package) from error
        raise


def versions():
    """Versions of Python and of those packages of `PACKAGES` that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def make_gymnasium(name, kwargs):
    """An environment of Gymnasium, the largest number of steps of its episodes, and no names of its actions."""
    gymnasium = load("gymnasium", "gymnasium")
    try:
        env = gymnasium.make(name, disable_env_checker=True, **kwargs)
    except gymnasium.error.DependencyNotInstalled as error:
        raise Missing(str(error)) from error
    except gymnasium.error.UnregisteredEnv as error:
        module, colon, base = name.rpartition(":")
        if colon:
            raise Refused(f"{error} Python's {module} has no environment {base}") from error
        raise Refused(f"{error} Packages with environments of their own are named before a colon, as in gym:PACKAGE:{name}") from error
    return env, env.spec.max_episode_steps if env.spec else None, []


def make_mario(name, kwargs):
    """The same of gym-super-mario-bros 7.4.0, made without gym's wrappers, which need a newer interface; and its actions' names."""
    found = versions()
    if "nes-py" in found and int(found.get("numpy", "0").split(".")[0]) >= 2:  # its arithmetic of bytes is an error there
        raise Refused(
            f"gym-super-mario-bros 7.4.0 does not work with numpy {found['numpy']}. In a virtual environment of Python 3.11:"
            f" pip install {MARIO_PINS}"
        )
    kwargs = dict(kwargs)
    chosen = kwargs.pop("actions", "simple")
    if chosen not in ACTION_SETS:
        raise Refused(f"actions={chosen}: allowed are {', '.join(ACTION_SETS)}")
    load("gym_super_mario_bros", "gym-super-mario-bros")
    gym = load("gym", "gym")
    wrappers = load("nes_py.wrappers", "nes-py")
    actions = load("gym_super_mario_bros.actions", "gym-super-mario-bros")
    try:
        spec = gym.spec(name) if hasattr(gym, "spec") else gym.envs.registry[name]
    except (KeyError, gym.error.Error) as error:
        raise Refused(f"{error}") from error
    module, _, attribute = spec.entry_point.partition(":")
    settings = {**(getattr(spec, "kwargs", None) or getattr(spec, "_kwargs", {})), **kwargs}
    env = getattr(importlib.import_module(module), attribute)(**settings)
    chosen = getattr(actions, ACTION_SETS[chosen])
    return wrappers.JoypadSpace(env, chosen), None, [", ".join(held).replace("NOOP", "nothing") for held in chosen]


def takes_seed(reset):
    """Whether a reset takes the seed; in the old interface a method of its own does."""
    return any(p.name == "seed" or p.kind is p.VAR_KEYWORD for p in inspect.signature(reset).parameters.values())


class Slot:
    """One environment."""

    def __init__(self, name, kwargs, draw):
        make = make_mario if name.startswith("SuperMarioBros") else make_gymnasium
        self.env, self.max_steps, self.action_names = make(name, kwargs)
        self.goal = 3161 if name.startswith("SuperMarioBros-1-1-") else 0
        try:
            self.running = False
            self.action = self.action_space()
            self.shape = self.observation_shape()
            self.measured = self.measurements()
            self.note_deaths()
        except Refused:
            self.env.close()
            raise
        if not draw:
            self.blind()

    def action_space(self):
        """The action space as JSON; `self.to_env` converts the client's vector to an action."""
        import numpy as np

        space = self.env.action_space
        kind = type(space).__name__
        if kind == "Discrete":
            start = int(getattr(space, "start", 0))
            self.to_env = lambda vector: start + int(vector[0])
            return {"type": "discrete", "n": int(space.n)}
        if kind == "Box" and np.issubdtype(space.dtype, np.floating):
            if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
                raise Refused(f"its action space {space} has no bounds: wrap it in gymnasium.wrappers.RescaleAction or ClipAction")
            self.to_env = lambda vector: vector.reshape(space.shape).astype(space.dtype)
            return {"type": "box", "low": space.low.ravel().tolist(), "high": space.high.ravel().tolist()}
        raise Refused(f"its action space is {space}: Box of real numbers and Discrete are served")

    def observation_shape(self):
        """`[height, width, channels]` of a frame."""
        space = self.env.observation_space
        shape = getattr(space, "shape", None)
        image = shape is not None and type(space).__name__ == "Box" and str(space.dtype) == "uint8"
        if image and len(shape) == 2:
            return [*map(int, shape), 1]
        if image and len(shape) == 3 and shape[2] in (1, 3, 4):
            return [*map(int, shape)]
        raise Refused(
            f"its observation space is {space}: images are served, uint8 of shape (height, width) or (height, width, 1, 3 or 4)."
            " A wrapper such as gymnasium.wrappers.AddRenderObservation makes images of other environments"
        )

    def measurements(self):
        """The list of what is measured in this environment."""
        name = type(self.env.unwrapped).__name__
        if name == "CarRacing":
            return CAR_RACING
        return MARIO if name.startswith("SuperMarioBros") else []

    def note_deaths(self):
        """Has Super-Mario tell how a life ends before it skips to the next one."""
        base = self.env.unwrapped
        if self.measured is not MARIO or not hasattr(base, "_did_step"):
            return
        did_step = base._did_step

        def noted(done):
            if base._is_dying or base._is_dead:
                self.ended = death(base)
            did_step(done)

        base._did_step = noted

    def blind(self):
        """Disables Car-Racing's drawing, which takes most of its time and changes no state; `probe("frame")` still draws."""
        import numpy as np

        base = self.env.unwrapped
        if not (hasattr(base, "_render") and hasattr(base, "car")):
            raise Refused("only Car-Racing can be run without drawing")
        blank = np.zeros(self.shape, np.uint8)
        base._render = lambda mode: blank

    def frame(self, observation):
        """The bytes of an observation."""
        import numpy as np

        frame = np.ascontiguousarray(observation)
        if frame.dtype != np.uint8 or frame.size != self.shape[0] * self.shape[1] * self.shape[2]:
            raise Refused(f"it gave an observation of shape {frame.shape} and type {frame.dtype}, its space says {self.shape} of uint8")
        return frame.tobytes()

    def reset(self, seed):
        """Starts the episode of a seed and returns its first frame."""
        self.running = False
        self.furthest, self.ended = 0, None
        self.env.action_space.seed(seed % 2**32)
        if takes_seed(self.env.reset):
            result = self.env.reset(seed=seed)
        else:
            self.env.seed(seed)
            result = self.env.reset()
        observation = result[0] if isinstance(result, tuple) else result
        self.running = True
        return self.frame(observation)

    def step(self, body):
        """One step: the reply's body."""
        import numpy as np

        if not self.running:
            raise Refused("the episode is over or was never started: reset first")
        self.running = False
        result = self.env.step(self.to_env(np.frombuffer(body, "<f4")))
        if len(result) == 5:
            observation, reward, terminated, truncated, info = result
        else:  # the old interface: one flag; its TimeLimit wrapper says whether the episode was truncated
            observation, reward, done, info = result
            truncated = bool(done and info.get("TimeLimit.truncated", False))
            terminated = bool(done and not truncated)
        self.running = not (terminated or truncated)
        flags = TERMINATED * bool(terminated) + TRUNCATED * bool(truncated)
        base = self.env.unwrapped
        if self.measured is MARIO:
            self.furthest = max(self.furthest, int(info.get("x_pos", 0)))
            has_died = terminated and not info.get("flag_get", False)
            info = {**info, "furthest": self.furthest, "goal": self.goal, "ended": self.ended if has_died else None}
        measured = [float(find(base, info)) for *_, find in self.measured]
        return struct.pack(f"<dB{len(measured)}d", float(reward), flags, *measured) + self.frame(observation)

    def declaration(self):
        """What the environment says of itself beside its spaces, for the reply to MAKE."""
        metadata = getattr(self.env.unwrapped, "metadata", None) or {}
        told = {"steps_per_second": metadata.get("render_fps") or metadata.get("video.frames_per_second")}
        told["measurements"] = [{"name": name, "unit": unit, "higher_is_better": better} for name, unit, better, _ in self.measured]
        if self.measured is CAR_RACING:
            return {**told, "progress": 0, "most_progress": 1, "completed": 2}
        if self.measured is MARIO:
            random_stages = "RandomStages" in type(self.env.unwrapped).__name__
            told["action_names"] = self.action_names
            told["steps_in_view"] = 57  # 144 of the 256 columns are ahead of who runs, by two and a half a frame
            told["most_progress"] = 1 if self.goal else None
            return {**told, "progress": 0, "completed": 7, "deterministic": not random_stages}
        return told

    def probe(self, what):
        """The internal state of Car-Racing, for comparisons.

        "state": f64, per wheel and for the hull x, y, angle, vx, vy, spin; per wheel omega; per wheel phase; then u8, per wheel
        whether it is on the road, per tile whether it was visited. "track": f64, per tile alpha, beta, x, y. "frame": drawn now.
        """
        base = self.env.unwrapped
        if getattr(base, "car", None) is None:
            raise Refused(f"there is no {what} to look at: only a Car-Racing that was reset has one")
        if what == "state":
            numbers = []
            for body in (*base.car.wheels, base.car.hull):
                numbers += [*body.position, body.angle, *body.linearVelocity, body.angularVelocity]
            numbers += [wheel.omega for wheel in base.car.wheels] + [wheel.phase for wheel in base.car.wheels]
            flags = [len(wheel.tiles) > 0 for wheel in base.car.wheels] + [tile.road_visited for tile in base.road]
            return struct.pack(f"<{len(numbers)}d", *numbers) + bytes(flags)
        if what == "track":
            numbers = [number for point in base.track for number in point]
            return struct.pack(f"<{len(numbers)}d", *numbers)
        if what == "frame":
            return self.frame(type(base)._render(base, "state_pixels"))
        raise Refused(f"there is no {what} to look at")


class Server:
    """The environments and the loop that serves them."""

    def __init__(self):
        self.slots = {}
        self.made = 0

    def answer(self, kind, body):
        """The body of the reply to a request."""
        if kind == HELLO:
            return json.dumps({"protocol": PROTOCOL, "versions": versions()}).encode()
        if kind == MAKE:
            wish = json.loads(body)
            slot = Slot(wish["id"], wish.get("kwargs", {}), wish.get("draw", True))
            self.made += 1
            self.slots[self.made] = slot
            told = {"slot": self.made, "action": slot.action, "observation": slot.shape, "max_steps": slot.max_steps}
            return json.dumps({**told, **slot.declaration(), "autoreset": "disabled", "versions": versions()}).encode()
        (number,) = struct.unpack_from("<I", body)
        slot = self.slots.get(number)
        if slot is None:
            raise Refused(f"there is no environment {number}")
        if kind == RESET:
            return slot.reset(struct.unpack_from("<Q", body, 4)[0])
        if kind == STEP:
            return slot.step(body[4:])
        if kind == PROBE:
            return slot.probe(body[4:].decode())
        if kind == CLOSE:
            self.slots.pop(number).env.close()
            return b""
        raise Refused(f"there is no request of kind {kind}")

    def serve(self, source, target):
        """Answers requests until the client closes its end."""
        while head := source.read(4):
            (length,) = struct.unpack("<I", head)
            message = source.read(length)
            if len(message) < length:
                return
            kind, ticket = struct.unpack_from("<BI", message)
            try:
                reply = self.answer(kind, message[5:])
                kind += REPLY
            except Exception as error:  # every error of an environment is reported to the client
                kind = ERROR
                told = {"kind": type(error).__name__, "message": str(error), "trace": traceback.format_exc()}
                reply = json.dumps(told).encode()
            target.write(struct.pack("<IBI", len(reply) + 5, kind, ticket) + reply)
            target.flush()


def end_with_parent():
    """Ends this process when its parent has ended, even while an environment hangs."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def main():
    """Reserves standard input and output for the protocol; output of environments goes to standard error."""
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    # no window and no sound: only frames are needed
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    if hasattr(os, "getppid"):
        threading.Thread(target=end_with_parent, daemon=True).start()
    Server().serve(source, target)


if __name__ == "__main__":
    main()
