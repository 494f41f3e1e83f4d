"""Stable-Baselines3's PPO on Car-Racing, by the id of the environment alone.

    pip install ./bindings/python stable-baselines3
    python bindings/python/examples/sb3_ppo.py --steps 200000

The same script trains in Gymnasium's own environment: ``--env CarRacing-v3`` (it needs ``gymnasium[box2d]``).
"""

import argparse
import time

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


def main():
    """Trains, then prints the mean return of some episodes on other tracks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="frmdn_gym:frmdn/CarRacing-v3", help="the id; the part before the colon is imported")
    parser.add_argument("--steps", type=int, default=200_000, help="steps of training, all environments together")
    parser.add_argument("--num-envs", type=int, default=8)
    parser.add_argument("--episodes", type=int, default=5, help="episodes of the test")
    args = parser.parse_args()
    envs = make_vec_env(args.env, n_envs=args.num_envs, seed=0)
    agent = PPO("CnnPolicy", envs, n_steps=128, batch_size=256, n_epochs=4, seed=0, verbose=1)
    began = time.perf_counter()
    agent.learn(args.steps)
    print(f"{args.steps / (time.perf_counter() - began):.0f} steps of training a second")
    test = make_vec_env(args.env, n_envs=1, seed=1000)
    mean, deviation = evaluate_policy(agent, test, n_eval_episodes=args.episodes)
    print(f"return of {args.episodes} episodes: {mean:.1f} ± {deviation:.1f}")


if __name__ == "__main__":
    main()
