"""Writes the reference data of the parity tests from the real Gymnasium.

Versions: gymnasium 1.4.0, box2d (pybox2d) 2.3.10, pygame-ce 2.5.8, numpy 2, Python 3.11, x86-64 Linux.
Run from this folder: python generate.py [tracks|traces|frames|options]

tracks.bin  per seed: u64 seed, u32 tiles, then per tile 4 f64: alpha, beta, x, y.
trace_*.bin u32 seed, u32 steps, then one row for the reset and one per step:
            3 f32 action, 5 bodies (wheels, hull) of 6 f32 (x, y, angle, vx, vy, spin), 4 f64 omega, 4 f64 phase,
            f64 reward, u32 tiles visited, u32 flags (1 terminated, 2 lap finished, 4.. one bit per wheel on the road).
frames.bin  per drive: u32 seed, u32 steps, u32 frames, 3 f32 action per step, one u32 per frame: the step it follows.
trace_buttons.bin  the same for continuous=False; the action is its number, 0, 0.
colors.bin  with domain_randomize=True, per seed: u64 seed, u32 tiles, 4 f64 of tile 0: alpha, beta, x, y, and one frame.
frames.rgb  the frames one after the other, 96 * 96 * 3 bytes each.
All numbers are little-endian.
"""

import math
import os
import struct
import sys

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing


def quiet(env):
    """Skips the drawing: it takes nearly all of the time and changes no state."""
    env._render = lambda mode: None
    return env


def row(env, action, reward, terminated, finished):
    bodies = [*env.car.wheels, env.car.hull]
    out = struct.pack("<3f", *action)
    for b in bodies:
        out += struct.pack(
            "<6f", b.position[0], b.position[1], b.angle, b.linearVelocity[0], b.linearVelocity[1], b.angularVelocity
        )
    out += struct.pack("<4d", *[w.omega for w in env.car.wheels])
    out += struct.pack("<4d", *[w.phase for w in env.car.wheels])
    flags = int(terminated) | int(finished) << 1
    for i, w in enumerate(env.car.wheels):
        flags |= int(len(w.tiles) > 0) << (2 + i)
    return out + struct.pack("<dII", reward, env.tile_visited_count, flags)


def follow(env, speed=35.0, ahead=4):
    """A driver that sees the track: steers towards a point ahead and keeps a speed."""
    hull = env.car.hull
    x, y = hull.position
    points = [(p[2], p[3]) for p in env.track]
    near = min(range(len(points)), key=lambda i: (points[i][0] - x) ** 2 + (points[i][1] - y) ** 2)
    tx, ty = points[(near + ahead) % len(points)]
    # the car looks along +y of its own coordinates
    local = hull.GetLocalPoint((tx, ty))
    steer = max(-1.0, min(1.0, 2.0 * math.atan2(local[0], local[1])))
    v = math.hypot(*hull.linearVelocity)
    limit = speed * (1.0 - 0.5 * abs(steer))
    return [steer, 0.6 if v < limit else 0.0, 0.25 if v > limit + 6 else 0.0]


def varied(rng):
    """Follows the road for a while, then holds random controls for a while, and so on."""
    state = {"left": 0}

    def act(env, step):
        if state["left"] == 0:
            state["left"] = int(rng.integers(3, 40))
            state["kind"] = int(rng.integers(0, 6))
            state["action"] = [float(rng.uniform(-1, 1)), float(rng.uniform(0, 1)), float(rng.uniform(0, 1))]
        state["left"] -= 1
        steer, gas, brake = state["action"]
        match state["kind"]:
            case 0 | 1 | 2:
                return follow(env, speed=30.0 + 40.0 * gas)
            case 3:
                return [steer, gas, 0.0]
            case 4:
                return [steer, 0.0, brake]
            case _:
                return [steer, gas, 1.0]

    return act


def follow_fast(env, step):
    return follow(env, speed=55.0, ahead=6)


def outward(env, step):
    """Follows the road for 100 steps, then drives away from the middle of the field."""
    if step < 100:
        return follow(env)
    x, y = env.car.hull.position
    local = env.car.hull.GetLocalPoint((2 * x, 2 * y))
    return [max(-1.0, min(1.0, math.atan2(local[0], local[1]))), 0.3, 0.0]


def trace(name, seed, steps, act, continuous=True):
    env = quiet(CarRacing(continuous=continuous))
    env.reset(seed=seed)
    rows = [row(env, [0, 0, 0], 0.0, False, False)]
    for step in range(steps):
        action = np.array(act(env, step), dtype=np.float32)
        _, reward, terminated, _, info = env.step(action if continuous else int(action[0]))
        rows.append(row(env, action, float(reward), terminated, info.get("lap_finished", False)))
        if terminated:
            break
    data = struct.pack("<II", seed, len(rows) - 1) + b"".join(rows)
    with open(f"{name}.bin", "wb") as f:
        f.write(data)
    on_road = np.mean([len(w.tiles) > 0 for w in env.car.wheels])
    print(name, seed, len(rows) - 1, len(data), "visited", env.tile_visited_count, len(env.track), "terminated", terminated, info, on_road)


def frames():
    """Frames along four drives: while the camera zooms in, on and off the road, in turns with kerbs, at the field's edge."""
    drives = [
        (0, (1, 10, 25, 49, 90, 200, 330), varied(np.random.default_rng(0))),
        (6, (0, 5, 120, 260, 400), varied(np.random.default_rng(6))),
        (3, (240, 380, 520, 540), follow_fast),
        (5, (236,), outward),
    ]
    index = b""
    pixels = b""
    for seed, steps, act in drives:
        env = CarRacing()
        frame, _ = env.reset(seed=seed)
        drawn, actions = [(0, frame)] if 0 in steps else [], b""
        for step in range(max(steps)):
            action = np.array(act(env, step), dtype=np.float32)
            actions += struct.pack("<3f", *action)
            render = env._render
            if step + 1 not in steps:
                env._render = lambda mode: None
            frame = env.step(action)[0]
            env._render = render
            if step + 1 in steps:
                drawn.append((step + 1, frame))
        index += struct.pack("<III", seed, max(steps), len(drawn)) + actions
        for step, frame in drawn:
            index += struct.pack("<I", step)
            pixels += np.ascontiguousarray(frame).tobytes()
    with open("frames.bin", "wb") as f:
        f.write(index)
    with open("frames.rgb", "wb") as f:
        f.write(pixels)
    print("frames", len(index), len(pixels))


def tracks():
    out = b""
    for seed in [*range(18), 2**32, 2**64 - 1]:
        env = quiet(CarRacing())
        env.reset(seed=seed)
        out += struct.pack("<QI", seed, len(env.track))
        out += b"".join(struct.pack("<4d", *p) for p in env.track)
    with open("tracks.bin", "wb") as f:
        f.write(out)
    print("tracks", len(out))


def options():
    rng = np.random.default_rng(3)
    held = {}

    def buttons(env, step):
        if step % 9 == 0:
            held["button"] = int(rng.choice(5, p=[0.1, 0.15, 0.15, 0.5, 0.1]))
        return [held["button"], 0, 0]

    trace("trace_buttons", 4, 300, buttons, continuous=False)
    out = b""
    for seed in (0, 1, 2, 12345):
        env = CarRacing(domain_randomize=True)
        env.reset(seed=seed)
        frame = None
        for step in range(60):
            render = env._render
            if step < 59:
                env._render = lambda mode: None
            frame = env.step(np.array([0.1, 0.3, 0.0], dtype=np.float32))[0]
            env._render = render
        out += struct.pack("<QI4d", seed, len(env.track), *env.track[0]) + np.ascontiguousarray(frame).tobytes()
    with open("colors.bin", "wb") as f:
        f.write(out)
    print("colors", len(out))


def traces():
    trace("trace_varied", 1, 1000, varied(np.random.default_rng(7)))
    trace("trace_field", 5, 1000, outward)
    trace("trace_lap", 3, 1000, follow_fast)
    stand = lambda env, step: [0.0, 0.0, 0.0] if step < 60 else ([0.5, 0.4, 0.0] if step < 100 else [0.0, 0.0, 1.0])
    trace("trace_sleep", 11, 200, stand)


if __name__ == "__main__":
    what = sys.argv[1:] or ["tracks", "traces", "frames", "options"]
    for w in what:
        globals()[w]()
