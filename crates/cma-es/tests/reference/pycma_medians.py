"""Evaluations that pycma needs to reach a target, 21 seeds each. Writes pycma_medians.json beside this file.

Needs: pip install cma==4.5.0 numpy
"""
import json
import pathlib
import statistics
import warnings

import cma
import numpy as np

FUNCTIONS = {
    "sphere": lambda x: float(np.sum(x**2)),
    "ellipsoid": lambda x: float(np.sum(10 ** (6 * np.arange(len(x)) / (len(x) - 1)) * x**2)),
    "rosenbrock": lambda x: float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)),
}
TARGET, BUDGET, SEEDS = 1e-9, 400_000, range(1, 22)

PROBLEMS = [(name, n, "full") for name in FUNCTIONS for n in (10, 40)]
PROBLEMS += [("ellipsoid", 40, "separable"), ("sphere", 200, "separable"), ("ellipsoid", 200, "separable")]

warnings.simplefilter("ignore")
rows = []
for name, n, covariance in PROBLEMS:
    f = FUNCTIONS[name]
    start = np.zeros(n) if name == "rosenbrock" else np.ones(n)
    counts, failures = [], 0
    for seed in SEEDS:
        options = {"seed": seed, "verbose": -9, "ftarget": TARGET, "maxfevals": BUDGET, "tolfun": 0, "tolx": 0,
                   "tolfunhist": 0, "tolstagnation": 10**9, "tolflatfitness": 10**9, "CMA_diagonal": covariance == "separable"}
        es = cma.CMAEvolutionStrategy(start, 0.5, options)
        best, evaluations = np.inf, 0
        while best > TARGET and evaluations < BUDGET:
            xs = es.ask()
            values = [f(x) for x in xs]
            es.tell(xs, values)
            evaluations += len(xs)
            best = min(best, min(values))
            # A local optimum of Rosenbrock (f close to 4) never leads to the target.
            if es.sigma * max(es.D) * max(es.sigma_vec.scaling * np.ones(n)) < 1e-10:
                break
        if best <= TARGET:
            counts.append(evaluations)
        else:
            failures += 1
    rows.append({"function": name, "dimension": n, "covariance": covariance, "median": statistics.median(counts), "failures": failures})
    print(rows[-1], flush=True)
out = {"cma": cma.__version__, "numpy": np.__version__, "target": TARGET, "sigma0": 0.5, "seeds": len(SEEDS), "rows": rows}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")
