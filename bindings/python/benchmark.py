"""Steps per second of this package and of Gymnasium's own Car-Racing, in one run.

    python benchmark.py --num-envs 16 --steps 2000

Both act with the same random actions through ``gymnasium.make`` and ``make_vec``, with resets where episodes end. Without
``gymnasium[box2d]`` only this package is measured.
"""

import argparse
import time

import gymnasium
import numpy as np

import frmdn_gym


def single(env, steps):
    """Steps per second of one environment."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(256)]
    env.reset(seed=0)
    started = time.perf_counter()
    for i in range(steps):
        _, _, terminated, truncated, _ = env.step(actions[i % len(actions)])
        if terminated or truncated:
            env.reset()
    rate = steps / (time.perf_counter() - started)
    env.close()
    return rate


def vector(envs, steps):
    """Steps per second of a batch, all environments together."""
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(64)]
    envs.reset(seed=0)
    started = time.perf_counter()
    for i in range(steps):
        envs.step(actions[i % len(actions)])
    rate = steps * envs.num_envs / (time.perf_counter() - started)
    envs.close()
    return rate


def main():
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-envs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2000, help="steps of a batch; single environments take five times as many")
    parser.add_argument("--rounds", type=int, default=3, help="the median is printed")
    args = parser.parse_args()
    n, steps = args.num_envs, args.steps
    ours = frmdn_gym.ENV_ID
    rows = {}
    for observation in ("full96", "agent64"):
        rows[f"frmdn, single, {observation}"] = lambda o=observation: single(gymnasium.make(ours, observation=o), 5 * steps)
        rows[f"frmdn, vector of {n}, {observation}"] = lambda o=observation: vector(
            gymnasium.make_vec(ours, num_envs=n, observation=o), steps
        )
    rows["Gymnasium, single"] = lambda: single(gymnasium.make("CarRacing-v3"), max(steps // 10, 1))
    rows[f"Gymnasium, async vector of {n}"] = lambda: vector(
        gymnasium.make_vec("CarRacing-v3", num_envs=n, vectorization_mode="async"), max(steps // 20, 1)
    )
    print(f"frmdn-gym {frmdn_gym.version()}, gymnasium {gymnasium.__version__}")
    for name, measure in rows.items():
        try:
            rates = [measure() for _ in range(args.rounds)]
        except gymnasium.error.DependencyNotInstalled as error:
            print(f"{name:34} not measured: {error}")
            continue
        print(f"{name:34} {np.median(rates):>10,.0f} steps/s")


if __name__ == "__main__":
    main()
