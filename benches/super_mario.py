"""Super-Mario's speed on one core: this project's and gym-super-mario-bros', side by side in one run.

    python3.11 benches/super_mario.py [--rounds 3] [--seconds 3] [--ntsc GAME] [--json FILE]

Makes a throw-away virtual environment, installs gym-super-mario-bros 7.4.0 with the pins that work from PyPI into it (nes-py is
compiled, which needs g++; Python 3.11), and builds our example with cargo. The game is the one inside of gym-super-mario-bros. In
each round everyone runs in turn, in a process of its own held to one core: stage 1-1, random actions of the set SIMPLE_MOVEMENT
that are held for 1 to 16 frames, resets included. Rates are of CPU seconds. The medians over the rounds are printed.

env-supermariobrosnes-turbo-emu 0.7.4, the fastest peer, accepts the NTSC game only, which --ntsc names: then it is installed too,
and runs beside ours in steps of four frames at 64 x 64 colours and, its own format, at the last four of 84 x 84 shades of grey. (Those
two rows were never run: that game was not at hand.) Without it our rate at its format is printed alone.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from car_racing import ROOT, build, one_core, run

PINS = ["gym-super-mario-bros==7.4.0", "nes-py==8.2.1", "gym==0.26.2", "numpy==1.26.4"]
GAME = "lib/python3.11/site-packages/gym_super_mario_bros/_roms/super-mario-bros.nes"

# Run by the throw-away environment's Python: NAME SECONDS; prints a rate a CPU second.
PEER = '''
import random, sys, time, warnings
warnings.simplefilter("ignore")
name, seconds = sys.argv[1], float(sys.argv[2])
from gym_super_mario_bros import SuperMarioBrosEnv
from gym_super_mario_bros.actions import SIMPLE_MOVEMENT
from nes_py.wrappers import JoypadSpace
draw = random.Random(1)
env = JoypadSpace(SuperMarioBrosEnv(target=(1, 1)), SIMPLE_MOVEMENT)
env.reset()
count, left, action = 0, 0, 0
began = time.process_time()
while time.process_time() - began < seconds:
    if left == 0:
        action, left = draw.randrange(len(SIMPLE_MOVEMENT)), draw.randint(1, 16 if name == "frames" else 4)
    left -= 1
    for _ in range(1 if name == "frames" else 4):
        out = env.step(action)
        if out[2]:
            env.reset()
            break
    count += 1
print(count / (time.process_time() - began))
'''

# The same for the fastest peer: NAME SECONDS GAME.
TURBO_PACKAGE = "env-supermariobrosnes-turbo-emu==0.7.4"
TURBO = '''
import random, sys, time
name, seconds, rom = sys.argv[1], float(sys.argv[2]), sys.argv[3]
from env_supermariobrosnes_turbo_emu import Actions, EnvSuperMarioBrosNesTurboEmuVecEnv, action_batch
shown = {"obs_resize": (64, 64), "obs_grayscale": False, "frame_stack": 1} if name == "steps" else {}
env = EnvSuperMarioBrosNesTurboEmuVecEnv(
    "SuperMarioBros-Nes-v0", "Level1-1", num_envs=1, num_threads=1, rom_path=rom, use_restricted_actions=Actions.ALL, **shown)
draw = random.Random(1)
batches = [action_batch(held, 1) for held in ("noop", "right", "right_a", "right_b", "right_a_b", "a", "left")]
env.reset(seed=1)
count, left, action = 0, 0, 0
began = time.process_time()
while time.process_time() - began < seconds:
    if left == 0:
        action, left = draw.randrange(len(batches)), draw.randint(1, 4)
    left -= 1
    _, _, terminated, truncated, _ = env.step(batches[action])
    done = terminated | truncated
    if done.any():
        env.reset(options={"reset_mask": done.copy()})
    count += 1
print(count / (time.process_time() - began))
'''


def install(folder):
    """The Python of a new virtual environment with the peers."""
    if run([sys.executable, "-m", "venv", folder]) is None:
        sys.exit("no virtual environment could be made: on Debian, apt-get install python3-venv")
    python = str(Path(folder) / "bin/python")
    if run([python, "-m", "pip", "install", "--quiet", "setuptools<81", "wheel", *PINS]) is None:
        sys.exit("gym-super-mario-bros could not be installed: it needs Python 3.11, and g++ to compile nes-py")
    return python


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--ntsc", metavar="GAME", help="the file of the NTSC game, for the fastest peer's rows")
    parser.add_argument("--json", help="a file for the figures")
    args = parser.parse_args()
    if args.rounds < 1 or args.seconds <= 0:
        parser.error("--rounds must be at least 1 and --seconds above 0")
    example = build("frmdn-super-mario", "mario_speed")
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        python = install(folder)
        script = Path(folder) / "peer.py"
        script.write_text(PEER)
        turbo = Path(folder) / "turbo.py"
        turbo.write_text(TURBO)
        if args.ntsc and run([sys.executable, "-m", "venv", Path(folder) / "turbo"]) is None:
            sys.exit("no virtual environment could be made for the fastest peer")
        turbo_python = str(Path(folder) / "turbo/bin/python")
        if args.ntsc and run([turbo_python, "-m", "pip", "install", "--quiet", TURBO_PACKAGE]) is None:
            sys.exit(f"{TURBO_PACKAGE} could not be installed")
        for _ in range(args.rounds):
            told = run([example, str(Path(folder) / GAME), str(args.seconds)], preexec_fn=one_core)
            if told is None:
                sys.exit("our example failed: its message is above")
            for key, value in json.loads(told).items():
                rates.setdefault(key, []).append(value)
            for peer in ("frames", "steps"):
                told = run([python, str(script), peer, str(args.seconds)], preexec_fn=one_core)
                if told is not None:
                    rates.setdefault(f"nes-py {peer}", []).append(float(told.split()[-1]))
            for peer in ("steps", "grey") if args.ntsc else ():
                command = [turbo_python, str(turbo), peer, str(args.seconds), str(Path(args.ntsc).resolve())]
                told = run(command, preexec_fn=one_core)
                if told is not None:
                    rates.setdefault(f"turbo {peer}", []).append(float(told.split()[-1]))
    median = {name: statistics.median(values) for name, values in rates.items()}
    rows = [
        ("frmdn, frames without pictures", "console", "nes-py frames"),
        ("frmdn, frames with a picture each", "drawn", "nes-py frames"),
        ("gym-super-mario-bros 7.4.0, frames", "nes-py frames", None),
        ("frmdn, steps of 4 frames, 64 x 64", "steps", "nes-py steps"),
        ("gym-super-mario-bros 7.4.0, 4 frames", "nes-py steps", None),
        ("frmdn, 4 frames, 84 x 84 grey, last 4", "grey", "turbo grey"),
    ]
    if args.ntsc:
        rows += [
            ("turbo-emu, 4 frames, 64 x 64", "turbo steps", None),
            ("turbo-emu, 4 frames, 84 x 84 grey, last 4", "turbo grey", None),
        ]
    print(f"{platform.machine()}, Python {platform.python_version()}, median of {args.rounds} rounds of {args.seconds:g} s, one core\n")
    for name, key, peer in rows:
        if key not in median:
            print(f"{name:42} {'-':>10}   not measured: see above")
            continue
        ratio = f"{median[key] / median[peer]:.0f} times as fast" if peer in median else ""
        print(f"{name:42} {median[key]:>10,.0f}/s   {ratio}")
    print(f"\nto copy the console's state, {median['state_bytes']:.0f} bytes: {median['clone_ns']:.0f} ns")
    if args.json:
        Path(args.json).write_text(json.dumps({"median": median, "rounds": rates}, indent=2) + "\n")


if __name__ == "__main__":
    main()
