"""A trained memory in PyTorch: loads the weights that `frmdn memory` keeps, and computes log p(z' | z, a, past).

    import torch, frmdn_torch
    memory = frmdn_torch.load("runs/tiny/memory/weights.safetensors")      # or an agent.safetensors
    log_prob = memory.log_prob(z, actions, z_next)                         # [T, B, d], [T, B, A], [T, B, d] -> [T, B]

Needs PyTorch alone. Equations are numbered as in the crate `frmdn-density`. As a program it checks itself against a file of inputs
and likelihoods: python frmdn_torch.py WEIGHTS CHECK.json
"""

import json
import math
import struct
import sys

import torch
import torch.nn.functional as F

BINS, TAIL, LEAST = 8, 4.0, 1e-3
LOG_PRECISION_LIMIT = 12.0

# variant: (form of the components, kind of the flow, whether the flow sees h)
VARIANTS = {
    "rmdn-factored": ("factored", None, False),
    "rmdn": ("diagonal", None, False),
    "rmdn-lowrank": ("low-rank", None, False),
    "rmdn-lowrank-cov": ("low-rank-covariance", None, False),
    "rmdn-full": ("full", None, False),
    "rmdn-linear": ("diagonal", "linear", False),
    "frmdn-diagonal": ("diagonal", "affine", False),
    "frmdn": ("low-rank", "affine", False),
    "frmdn-tied": ("tied", "affine", False),
    "frmdn-conditional": ("low-rank", "affine", True),
    "frmdn-lowrank-cov": ("low-rank-covariance", "affine", False),
    "frmdn-spline": ("low-rank", "spline", True),
    "frmdn-linear": ("low-rank", "affine", False),
    "frmdn-factored": ("factored", "affine", False),
}


def read(path):
    """Tensors and the plain state of a checkpoint (safetensors)."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = bytearray(file.read())
    state = json.loads(header.pop("__metadata__")["frmdn"])
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(data[begin:end], dtype=torch.float32) if end > begin else torch.zeros(0)
        tensors[name] = flat.reshape(entry["shape"]).clone()
    return tensors, state


def load(path, dtype=torch.float32):
    """The memory of a weights.safetensors of a run's folder memory/, or of an agent.safetensors."""
    tensors, state = read(path)
    config = state["state"]
    if state["kind"] == "agent":
        config = config["memory"]
        tensors = {name.removeprefix("memory."): t for name, t in tensors.items() if name.startswith("memory.")}
    elif state["kind"] != "memory":
        raise ValueError(f"{path} holds {state['kind']}, not a memory: take memory/weights.safetensors of a run")
    return Memory(config, {name: t.to(dtype) for name, t in tensors.items()})


class Memory(torch.nn.Module):
    """An LSTM (equation 14), and the density of the next latent given its hidden state (equation 15)."""

    def __init__(self, config, tensors):
        super().__init__()
        if config["variant"] not in VARIANTS:
            raise ValueError(f"{config['variant']} has no density")
        if config.get("members", 1) > 1:
            raise ValueError("this is an ensemble: load its members one by one, memory/member0/weights.safetensors and so on")
        self.config = config
        self.form, self.flow, self.conditional = VARIANTS[config["variant"]]
        self.limit = config.get("log_precision_limit", LOG_PRECISION_LIMIT)
        self.matrix = self.flow == "linear" or config.get("matrix", False) or config["variant"] == "frmdn-linear"
        self.names = {name: name.replace(".", "__") for name in tensors}
        for name, tensor in tensors.items():
            self.register_parameter(self.names[name], torch.nn.Parameter(tensor))
        self.dim = self["head.mean.bias"].numel() // config["components"]
        # The order in which the couplings see the values, whose halves take turns.
        mask, every = config.get("mask", "halves"), list(range(self.dim))
        if mask == "random":
            raise ValueError("the order of a random mask is drawn by the program and is not in the file")
        self.order = every[1::2] + every[::2] if mask == "interleaved" else every

    def __getitem__(self, name):
        return getattr(self, self.names[name])

    def linear(self, name, x):
        return x @ self[f"{name}.weight"] + self[f"{name}.bias"]

    def hidden(self, z, actions):
        """h after every step [T, B, H], from zeros; gates i, f, g, o."""
        n = self.config["hidden"]
        x = torch.cat([z, actions], -1)
        h = c = x.new_zeros(x.shape[1], n)
        out = []
        for step in x:
            gates = step @ self["lstm.weight_input"] + h @ self["lstm.weight_hidden"] + self["lstm.bias"]
            i, f, g, o = gates.split(n, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            out.append(h)
        return torch.stack(out)

    def log_prob(self, z, actions, z_next):
        """log p(z_next) of every step [T, B]."""
        features = self.hidden(z, actions)
        if self.config.get("residual"):
            features = torch.cat([features, z], -1)
        flat = self.density(features.flatten(0, 1), z_next.flatten(0, 1))
        return flat.reshape(z.shape[:2])

    def heads(self, z, actions, z_next=None):
        """Predicted reward, and the probability that the episode ends with the step, both [T, B]; z_next is
        needed where the reward's head has a hidden layer, which sees it."""
        h = seen = self.hidden(z, actions)
        if self.config.get("reward_hidden", 0):
            seen = torch.relu(self.linear("reward.hidden", torch.cat([h, z_next], -1)))
        return self.linear("reward", seen)[..., 0], torch.sigmoid(self.linear("done", h)[..., 0])

    def density(self, h, y):
        """Equation 1: log p(y | h) of rows [n, features], [n, d]."""
        d, k = self.dim, self.config["components"]
        x, log_det = self.base(h, y)
        if self.config.get("residual"):
            x = x - self.base(h, h[:, -d:])[0]
        wide = lambda name: self.linear(f"head.{name}", h).reshape(-1, k, d)
        log_d = wide("log_precision").clamp(-self.limit, self.limit)
        e = x[:, None] - wide("mean")
        logits = self.linear("head.logits", h)
        constant = math.log(2 * math.pi)
        if self.form == "factored":
            each = (0.5 * (log_d - log_d.exp() * e * e - constant)).transpose(1, 2)
            return (F.log_softmax(logits.reshape(-1, d, k), -1) + each).logsumexp(-1).sum(-1) + log_det
        if self.form == "full":
            a = torch.zeros(*e.shape, d, dtype=e.dtype, device=e.device)
            i, j = torch.tril_indices(d, d, -1)
            a[..., i, j] = self.linear("head.lower", h).reshape(len(y), k, -1)
            e = e + (a.transpose(-1, -2) @ e[..., None])[..., 0]  # equation 8: A' e
            quadratic, log_det_p = (log_d.exp() * e * e).sum(-1), log_d.sum(-1)
        else:
            rank = self.config["rank"] if self.form in ("low-rank", "tied", "low-rank-covariance") else 0
            if self.form == "tied":
                half = (-0.5 * log_d).exp()
                columns = [self[f"tied.factor{a}"].reshape(1, k, d) * half for a in range(rank)]
            else:
                columns = [wide(f"direction{a}") for a in range(rank)]
            covariance = self.form == "low-rank-covariance"
            quadratic, log_det_p = (log_d.exp() * e * e).sum(-1), log_d.sum(-1)
            if columns:
                v = torch.stack(columns, -1)  # [n, k, d, rank]
                scaled = ((0.5 * log_d).exp() * e)[..., None]
                cholesky = torch.linalg.cholesky(torch.eye(rank, dtype=v.dtype, device=v.device) + v.mT @ v)
                log_det_c = 2 * cholesky.diagonal(dim1=-2, dim2=-1).log().sum(-1)
                t = v.mT @ scaled
                if covariance:  # equation 7
                    t = torch.cholesky_solve(t, cholesky)
                    rest = scaled - v @ t
                    quadratic, log_det_p = (rest * rest).sum((-1, -2)) + (t * t).sum((-1, -2)), log_det_p - log_det_c
                else:  # equations 3 and 4
                    quadratic, log_det_p = quadratic + (t * t).sum((-1, -2)), log_det_p + log_det_c
        each = 0.5 * (log_det_p - quadratic - d * constant)
        return (F.log_softmax(logits, -1) + each).logsumexp(-1) + log_det

    def base(self, h, y):
        """The flow from data to base: f(y) and log|det|."""
        log_det = y.new_zeros(len(y))
        if self.flow is None:
            return y, log_det
        if self.matrix:  # equation 10
            diagonal = self["flow.log_diagonal"].clamp(-self.limit, self.limit)
            upper = self["flow.upper"].triu(1) + torch.diag(diagonal.exp())
            lower = self["flow.lower"].tril(-1) + torch.eye(self.dim, dtype=y.dtype)
            y, log_det = y @ upper.T @ lower.T, log_det + diagonal.sum()
        if self.flow == "linear":
            return y, log_det
        y = y[:, self.order]
        halves = [y[:, : self.dim // 2], y[:, self.dim // 2 :]]
        for i in range(self.config["flow_couplings"]):
            kept, moved = (0, 1) if i % 2 == 0 else (1, 0)
            a = torch.cat([halves[kept], h], -1) if self.conditional else halves[kept]
            for layer in (1, 2, 3):
                a = F.leaky_relu(self.linear(f"flow.{i}.layer{layer}", a), 0.01)
            if self.flow == "spline":
                raw = self.linear(f"flow.{i}.spline", a).reshape(*halves[moved].shape, 3 * BINS - 1)
                halves[moved], log_slope = spline(raw, halves[moved])
                log_det = log_det + log_slope.sum(-1)
            else:  # equation 6
                s = torch.tanh(self.linear(f"flow.{i}.log_scale", a)) * self[f"flow.{i}.bound"]
                halves[moved] = halves[moved] * s.exp() + self.linear(f"flow.{i}.shift", a)
                log_det = log_det + s.sum(-1)
        return torch.cat(halves, -1), log_det


def spline(raw, x):
    """Equation 9: a rational-quadratic spline of each value within ±4, the identity beyond; and log of its slope."""
    ends = lambda r: F.pad((2 * TAIL * (LEAST + (1 - LEAST * BINS) * F.softmax(r, -1))).cumsum(-1), (1, 0)) - TAIL
    left, bottom = ends(raw[..., :BINS]), ends(raw[..., BINS : 2 * BINS])
    slope = LEAST + F.softplus(raw[..., 2 * BINS :] + math.log(math.expm1(1 - LEAST)))
    slope = F.pad(slope, (1, 1), value=1.0)
    inside = x.abs() < TAIL
    at = torch.where(inside, x, torch.zeros_like(x))
    k = (at[..., None] >= left[..., 1:-1]).sum(-1, keepdim=True)
    pick = lambda v, shift=0: v.gather(-1, k + shift)[..., 0]
    width, height = pick(left, 1) - pick(left), pick(bottom, 1) - pick(bottom)
    s, xi = height / width, (at - pick(left)) / width
    a, b, both = pick(slope), pick(slope, 1), xi * (1 - xi)
    below = s + (a + b - 2 * s) * both
    y = pick(bottom) + height * (s * xi * xi + a * both) / below
    log_slope = 2 * (s.log() - below.log()) + (b * xi * xi + 2 * s * both + a * (1 - xi) ** 2).log()
    return torch.where(inside, y, x), torch.where(inside, log_slope, torch.zeros_like(x))


def check(weights, reference):
    """The largest error of log p against a file {"z", "actions", "z_next", "log_prob"}, relative to values above 1."""
    memory = load(weights, torch.float64)
    with open(reference) as file:
        given = {name: torch.tensor(value, dtype=torch.float64) for name, value in json.load(file).items()}
    with torch.no_grad():
        got = memory.log_prob(given["z"], given["actions"], given["z_next"])
    return float(((got - given["log_prob"]).abs() / given["log_prob"].abs().clamp(min=1.0)).max())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    error = check(sys.argv[1], sys.argv[2])
    print(f"largest relative error of log p: {error:.2e}")
    sys.exit(0 if error < 1e-5 else 1)
