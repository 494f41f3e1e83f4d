"""Car-Racing's steps per second and core: this project's, Gymnasium's and envpool's, side by side in one run.

    python3 benches/car_racing.py [--rounds 3] [--seconds 3] [--json FILE]

Makes a throw-away virtual environment, installs gymnasium[box2d] 1.4.0 and envpool 1.2.5 from PyPI into it, and builds our
example with cargo. In each round everyone runs in turn, in a process of its own held to one core: uniform random actions,
resets included, 96 x 96 frames (ours at 64 x 64 too). The medians over the rounds are printed. Needs Python 3.10 or newer
with venv, cargo, and the network for pip.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GYMNASIUM, ENVPOOL = "gymnasium[box2d]==1.4.0", "envpool==1.2.5"

# Run by the throw-away environment's Python: NAME SECONDS; prints steps per second.
PEER = '''
import os, sys, time
os.environ["SDL_VIDEODRIVER"] = "dummy"
import numpy as np
name, seconds = sys.argv[1], float(sys.argv[2])
low, high = np.array([-1.0, 0.0, 0.0]), np.ones(3)
draw = lambda *shape: np.random.default_rng(0).uniform(low, high, (4096, *shape, 3)).astype(np.float32)
steps = 0
if name == "gymnasium":
    import gymnasium
    env, actions = gymnasium.make("CarRacing-v3"), draw()
    env.reset(seed=0)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        _, _, terminated, truncated, _ = env.step(actions[steps % 4096])
        steps += 1
        if terminated or truncated:
            env.reset()
else:
    import envpool
    n = int(name.removeprefix("envpool-"))
    # It resets by itself: the step after the end of an episode is the reset.
    env = envpool.make("CarRacing-v3", env_type="gymnasium", num_envs=n, batch_size=n, num_threads=1, seed=0)
    actions = draw(n)
    env.reset()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        env.step(actions[steps // n % 4096])
        steps += n
print(steps / (time.perf_counter() - began))
'''


def one_core():
    """Holds the process that is about to start to one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def run(command, **options):
    """Standard output of a command, or None and its last words on standard error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        return None
    if done.returncode != 0:
        print(f"`{' '.join(map(str, command[:4]))} ...` failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return done.stdout


def build(package, example):
    """Path of an example of ours, built."""
    cargo = os.environ.get("CARGO") or shutil.which("cargo")
    if cargo is None:
        sys.exit("cargo was not found: install Rust, or point the variable CARGO at it")
    command = [cargo, "build", "--release", "-p", package, "--example", example, "--message-format=json"]
    told = run(command, cwd=ROOT)
    for line in (told or "").splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == example:
            return message["executable"]
    sys.exit("our example could not be built: the messages are above")


def install(folder):
    """The Python of a new virtual environment, and which of the peers it has."""
    if run([sys.executable, "-m", "venv", folder]) is None:
        sys.exit("no virtual environment could be made: on Debian, apt-get install python3-venv")
    python = str(Path(folder) / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    there = [p for p in (GYMNASIUM, ENVPOOL) if run([python, "-m", "pip", "install", "--quiet", p]) is not None]
    return python, there


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--json", help="a file for the figures")
    args = parser.parse_args()
    if args.rounds < 1 or args.seconds <= 0:
        parser.error("--rounds must be at least 1 and --seconds above 0")
    example = build("frmdn-car-racing", "car_speed")
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        python, there = install(folder)
        script = Path(folder) / "peer.py"
        script.write_text(PEER)
        # One environment, and the batches that one core serves fastest, as it turned out.
        peers = ["gymnasium"] * (GYMNASIUM in there) + ["envpool-1", "envpool-4", "envpool-8"] * (ENVPOOL in there)
        for _ in range(args.rounds):
            told = run([example, str(args.seconds)], preexec_fn=one_core if os.name == "posix" else None)
            if told is None:
                sys.exit("our example failed: its message is above")
            for key, value in json.loads(told).items():
                rates.setdefault(key, []).append(value)
            for peer in peers:
                told = run([python, str(script), peer, str(args.seconds)], preexec_fn=one_core if os.name == "posix" else None)
                if told is not None:
                    rates.setdefault(peer, []).append(float(told.split()[-1]))
    median = {name: statistics.median(values) for name, values in rates.items()}
    envpool = max((name for name in median if name.startswith("envpool")), key=lambda name: median[name], default=None)
    rows = [("frmdn, 96 x 96", "full96"), ("frmdn, 64 x 64", "agent64"), ("Gymnasium 1.4.0, 96 x 96", "gymnasium")]
    rows.append((f"envpool 1.2.5, 96 x 96, {envpool.split('-')[1]} at a time" if envpool else "envpool 1.2.5", envpool))
    print(f"{platform.machine()}, Python {platform.python_version()}, median of {args.rounds} rounds of {args.seconds:g} s, one core\n")
    print(f"{'':36} {'steps/s':>10}   frmdn at 96 x 96 is")
    for name, key in rows:
        if key not in median:
            print(f"{name:36} {'-':>10}   not measured: see above")
            continue
        ratio = f"{median['full96'] / median[key]:.1f} times as fast" if key not in ("full96", "agent64") else ""
        print(f"{name:36} {median[key]:>10,.0f}   {ratio}")
    print(f"{'frmdn, mean time of a reset':36} {median['reset_ms']:>7.2f} ms")
    if args.json:
        Path(args.json).write_text(json.dumps({"median": median, "rounds": rates}, indent=2) + "\n")


if __name__ == "__main__":
    main()
