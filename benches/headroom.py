"""What a better shape of the density could still add to a trained `rmdn`: the dependence that its prediction leaves between values.

    python benches/headroom.py runs/kl64 runs/likelihood/unfinished/kl64-rmdn-1/weights.safetensors

Needs PyTorch and NumPy; the run's folder holds test-latents/ (frmdn compare likelihood). With F_i the predicted distribution function of value i,
u_i = Phi^-1(F_i(z_i)) is standard normal if the prediction of each value is right. The correlation R of u over all test steps then is what the
memory does not know of how values go together, and -1/2 log det R the nats a step that one constant correlation (a Gaussian copula) would add.
"""

import json
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "src/memory/python"))
import frmdn_torch  # noqa: E402

run, weights = map(pathlib.Path, sys.argv[1:3])
means_are_fed = "--means" in sys.argv
memory = frmdn_torch.load(weights)
if memory.config["variant"] != "rmdn":
    sys.exit(f"{weights} holds {memory.config['variant']}: give the weights of an rmdn, whose values have distribution functions in closed form")
torch.manual_seed(0)
k, d = memory.config["components"], memory.dim
totals = np.zeros(3)
us = []
with torch.no_grad():
    for path in sorted((run / "test-latents").glob("*.npz")):
        episode = np.load(path)
        mean, log_variance, actions = (torch.tensor(episode[name]) for name in ("mean", "log_variance", "actions"))
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        h = memory.hidden((mean if means_are_fed else z)[:-1, None], actions[:, None])[:, 0]
        target = z[1:, None]
        wide = lambda name: memory.linear(f"head.{name}", h).reshape(-1, k, d)
        log_d = wide("log_precision").clamp(-frmdn_torch.LOG_PRECISION_LIMIT, frmdn_torch.LOG_PRECISION_LIMIT)
        standard = (0.5 * log_d).exp() * (target - wide("mean"))
        each = 0.5 * (log_d - standard**2 - np.log(2 * np.pi))
        log_weight = torch.log_softmax(memory.linear("head.logits", h), -1)
        joint = (log_weight + each.sum(-1)).logsumexp(-1)
        apart = (log_weight[..., None] + each).logsumexp(1).sum(-1)
        floor = 0.5 * (np.log(2 * np.pi * np.e) + log_variance[1:]).sum(-1)
        f = (log_weight.exp()[..., None] * torch.special.ndtr(standard.double())).sum(1).clamp(1e-9, 1 - 1e-9)
        us.append(torch.special.ndtri(f).numpy())
        totals += [len(joint), (-joint - floor).sum(), (-apart - floor).sum()]
u = np.concatenate(us)
r = np.corrcoef(u.T)
print(json.dumps({
    "steps": int(totals[0]),
    "nats_above_floor": totals[1] / totals[0],
    "nats_above_floor_values_apart": totals[2] / totals[0],
    "nats_of_a_constant_correlation": -0.5 * np.linalg.slogdet(r)[1],
    "largest_correlation": float(np.abs(r - np.eye(d)).max()),
    "variance_of_u": float(u.var()),
}, indent=1))
