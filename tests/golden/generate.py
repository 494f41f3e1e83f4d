"""Writes memories.json: for every variant a small memory with random weights, inputs, and log p in float64, all by PyTorch.

    python tests/golden/generate.py            # PyTorch 1.13; with 2.9.1 the same to 4e-13
"""

import json
import pathlib
import sys

import torch

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parents[1] / "src/memory/python"))
import frmdn_torch  # noqa: E402

LATENT, ACTIONS, HIDDEN, FLOW_HIDDEN, STEPS, BATCH = 4, 2, 5, 6, 4, 2


def shapes(config):
    form, flow, conditional = frmdn_torch.VARIANTS[config["variant"]]
    k, d, r = config["components"], LATENT, config["rank"]
    features = HIDDEN + (LATENT if config["residual"] else 0)
    yield "lstm.weight_input", (LATENT + ACTIONS, 4 * HIDDEN)
    yield "lstm.weight_hidden", (HIDDEN, 4 * HIDDEN)
    yield "lstm.bias", (4 * HIDDEN,)

    def layer(name, a, b):
        yield f"{name}.weight", (a, b)
        yield f"{name}.bias", (b,)

    yield from layer("head.logits", features, k * (d if form == "factored" else 1))
    yield from layer("head.mean", features, k * d)
    yield from layer("head.log_precision", features, k * d)
    if form in ("low-rank", "low-rank-covariance"):
        for a in range(r):
            yield from layer(f"head.direction{a}", features, k * d)
    if form == "full":
        yield from layer("head.lower", features, k * d * (d - 1) // 2)
    if form == "tied":
        for a in range(r):
            yield f"tied.factor{a}", (k * d,)
    if flow == "linear":
        yield "flow.lower", (d, d)
        yield "flow.upper", (d, d)
        yield "flow.log_diagonal", (d,)
    elif flow:
        half = d // 2
        for i in range(config["flow_couplings"]):
            yield from layer(f"flow.{i}.layer1", half + (features if conditional else 0), FLOW_HIDDEN)
            yield from layer(f"flow.{i}.layer2", FLOW_HIDDEN, FLOW_HIDDEN)
            yield from layer(f"flow.{i}.layer3", FLOW_HIDDEN, FLOW_HIDDEN)
            if flow == "spline":
                yield from layer(f"flow.{i}.spline", FLOW_HIDDEN, half * 23)
            else:
                yield from layer(f"flow.{i}.log_scale", FLOW_HIDDEN, half)
                yield from layer(f"flow.{i}.shift", FLOW_HIDDEN, half)
                yield f"flow.{i}.bound", (half,)
    if flow != "linear" and (config["variant"] == "frmdn-linear" or config.get("matrix")):
        yield "flow.lower", (d, d)
        yield "flow.upper", (d, d)
        yield "flow.log_diagonal", (d,)
    yield from layer("reward", HIDDEN, 1)
    yield from layer("done", HIDDEN, 1)


def rounded(tensor):
    """Values that a file of few digits and f32 hold exactly alike."""
    return (tensor * 256).round() / 256


out = []
cases = [dict(variant=variant) for variant in frmdn_torch.VARIANTS]
cases.append(dict(variant="frmdn", mask="interleaved", matrix=True, log_precision_limit=1.5))
for number, case in enumerate(cases):
    torch.manual_seed(number)
    config = dict(**case, hidden=HIDDEN, components=2, rank=2, flow_couplings=2, flow_hidden=FLOW_HIDDEN, residual=number % 3 == 2)
    tensors = {name: rounded(torch.randn(shape, dtype=torch.float64) * 0.5) for name, shape in shapes(config)}
    memory = frmdn_torch.Memory(config, tensors)
    draw = lambda width: rounded(torch.randn(STEPS, BATCH, width, dtype=torch.float64))
    z, actions, z_next = draw(LATENT), draw(ACTIONS), draw(LATENT)
    with torch.no_grad():
        log_prob = memory.log_prob(z, actions, z_next)
        reward, done = memory.heads(z, actions)
    flat = lambda t: t.flatten().tolist()
    out.append(
        dict(
            config=config,
            tensors={name: dict(shape=list(t.shape), value=flat(t)) for name, t in tensors.items()},
            z=flat(z),
            actions=flat(actions),
            z_next=flat(z_next),
            log_prob=flat(log_prob),
            reward=flat(reward),
            done=flat(done),
        )
    )
sizes = dict(latent=LATENT, actions=ACTIONS, steps=STEPS, batch=BATCH)
with open(here / "memories.json", "w") as file:
    json.dump(dict(torch=torch.__version__.split("+")[0], sizes=sizes, memories=out), file)
    file.write("\n")
