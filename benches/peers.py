"""V, M and CMA-ES beside PyTorch, onnxruntime and pycma, in one run.

    python3 benches/peers.py [--rounds 3] [--python PATH] [--json FILE]

Makes a throw-away virtual environment with torch 2.9.1, onnxruntime 1.23.2 and cma 4.5.0 from PyPI (several gigabytes; --python
names one that has them), builds our program, and in each round lets ours and theirs work in turn on one core and on two. The
medians over the rounds are printed, and how many times as fast ours is. Both sides do the same: V is Ha & Schmidhuber's VAE on
64 frames of bytes an update; M an LSTM of 256 cells on 32 sequences of 128 steps with the same head, a mixture of 5 Gaussians
with diagonal precisions (rmdn), or with precisions of rank 2 behind a flow of two couplings (frmdn), and heads for reward and
end; M for speech the same on values of 200 samples, 16 sequences of 40 steps; Adam with clipping by the global norm. PyTorch runs as it is, in eager mode; of its two memory layouts the faster counts.
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
PACKAGES = ["torch==2.9.1", "onnxruntime==1.23.2", "cma==4.5.0", "numpy>=2,<3"]

# Run by the other Python: THREADS; prints one JSON object of rates.
PEER = r'''
import json, sys, time, io, warnings
import numpy as np, torch
from torch import nn
warnings.filterwarnings("ignore")
threads = int(sys.argv[1])
torch.set_num_threads(threads)
torch.manual_seed(1)
rates = {}

def rate(work, span=2.0):
    work(); work()
    began, n = time.perf_counter(), 0
    while n < 2 or time.perf_counter() - began < span:
        work(); n += 1
    return n / (time.perf_counter() - began)

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = [3, 32, 64, 128, 256]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, 2) for a, b in zip(sizes, sizes[1:]))
        self.mean, self.log_variance = nn.Linear(1024, 32), nn.Linear(1024, 32)
    def features(self, x):
        for conv in self.convs:
            x = torch.relu(conv(x))
        return x.flatten(1)
    def forward(self, x):
        return self.mean(self.features(x))

class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.linear = Encoder(), nn.Linear(32, 1024)
        sizes = [(1024, 128, 5), (128, 64, 5), (64, 32, 6), (32, 3, 6)]
        self.deconvs = nn.ModuleList(nn.ConvTranspose2d(a, b, k, 2) for a, b, k in sizes)
    def loss(self, x):
        h = self.encoder.features(x)
        mean, log_variance = self.encoder.mean(h), self.encoder.log_variance(h)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        y = self.linear(z)[:, :, None, None]
        for deconv in self.deconvs[:-1]:
            y = torch.relu(deconv(y))
        y = torch.sigmoid(self.deconvs[-1](y))
        kl = 0.5 * (log_variance.exp() + mean * mean - 1 - log_variance).sum(1).mean()
        return ((y - x) ** 2).sum((1, 2, 3)).mean() + kl

def both_layouts(make):
    """The faster of PyTorch's two memory layouts."""
    return max(make(layout) for layout in (torch.contiguous_format, torch.channels_last))

def encoding(batch):
    def make(layout):
        encoder = Encoder().eval().to(memory_format=layout)
        x = torch.randint(0, 256, (batch, 64, 64, 3), dtype=torch.uint8)
        with torch.inference_mode():
            return batch * rate(lambda: encoder(x.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout) / 255))
    return both_layouts(make)

def training(batch):
    def make(layout):
        vae = Vae().to(memory_format=layout)
        adam = torch.optim.Adam(vae.parameters(), 1e-4)
        x = torch.randint(0, 256, (batch, 64, 64, 3), dtype=torch.uint8)
        def step():
            adam.zero_grad(set_to_none=True)
            vae.loss(x.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout) / 255).backward()
            adam.step()
        return batch * rate(step)
    return both_layouts(make)

class Memory(nn.Module):
    k, r = 5, 2
    def __init__(self, flow, d, width):
        super().__init__()
        self.d, self.lstm, self.flow = d, nn.LSTM(d + 3, 256), flow
        half, rank = d // 2, self.r if flow else 0
        self.head = nn.Linear(256, self.k * (1 + d * (2 + rank)))
        self.reward, self.done = nn.Linear(256, 1), nn.Linear(256, 1)
        leak = lambda: nn.LeakyReLU(0.01)
        net = lambda: nn.Sequential(nn.Linear(half, width), leak(), nn.Linear(width, width), leak(), nn.Linear(width, width), leak(), nn.Linear(width, d))
        self.couplings = nn.ModuleList(net() for _ in range(2 if flow else 0))
        self.bounds = nn.ParameterList(nn.Parameter(torch.ones(half)) for _ in range(2 if flow else 0))
    def loss(self, x, target, reward, done):
        h, _ = self.lstm(x)
        h, y = h.flatten(0, 1), target.flatten(0, 1)
        d, k, half = self.d, self.k, self.d // 2
        log_det = 0.0
        for i, (net, bound) in enumerate(zip(self.couplings, self.bounds)):
            a, b = (y[:, :half], y[:, half:]) if i % 2 == 0 else (y[:, half:], y[:, :half])
            s, t = net(a).chunk(2, 1)
            s = torch.tanh(s) * bound
            b, log_det = b * s.exp() + t, log_det + s.sum(1)
            y = torch.cat((a, b), 1) if i % 2 == 0 else torch.cat((b, a), 1)
        raw = self.head(h)
        log_pi = torch.log_softmax(raw[:, :k], 1)
        raw = raw[:, k:].view(len(h), k, -1, d)
        mean, log_p = raw[:, :, 0], raw[:, :, 1].clamp(-12, 12)
        e = y[:, None] - mean
        quadratic, log_det_p = (log_p.exp() * e * e).sum(2), log_p.sum(2)
        if self.flow:
            u, v = raw[:, :, 2], raw[:, :, 3]
            inverse = (-log_p).exp()
            a, b, c = (u * u * inverse).sum(2) + 1, (u * v * inverse).sum(2), (v * v * inverse).sum(2) + 1
            log_det_p = log_det_p + torch.log(a * c - b * b)
            quadratic = quadratic + (u * e).sum(2) ** 2 + (v * e).sum(2) ** 2
        nll = -(torch.logsumexp(log_pi + 0.5 * (log_det_p - quadratic), 1) + log_det).mean()
        ends = nn.functional.binary_cross_entropy_with_logits(self.done(h)[:, 0], done.flatten())
        return nll + 0.01 * ((self.reward(h)[:, 0] - reward.flatten()) ** 2).mean() + ends

def remembering(flow, d=32, width=64, steps=128, batch=32):
    memory = Memory(flow, d, width)
    adam = torch.optim.Adam(memory.parameters(), 1e-4)
    x, target = torch.randn(steps, batch, d + 3), torch.randn(steps, batch, d)
    reward, done = torch.randn(steps, batch), torch.zeros(steps, batch)
    def step():
        adam.zero_grad(set_to_none=True)
        memory.loss(x, target, reward, done).backward()
        nn.utils.clip_grad_norm_(memory.parameters(), 100.0)
        adam.step()
    return batch * rate(step)

if threads == 1:
    import onnxruntime, cma, os, tempfile
    for batch in (1, 16, 64):
        rates[f"torch_encoder_batch_{batch}"] = encoding(batch)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "encoder.onnx")
        torch.onnx.export(Encoder().eval(), torch.zeros(1, 3, 64, 64), path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for batch in (1, 16, 64):
            x = np.random.rand(batch, 3, 64, 64).astype(np.float32)
            rates[f"onnxruntime_encoder_batch_{batch}"] = batch * rate(lambda: session.run(None, {"x": x}))
    for name, options in (("separable", {"CMA_diagonal": True}), ("full", {})):
        es = cma.CMAEvolutionStrategy(867 * [0.0], 0.1, {"popsize": 64, "seed": 1, "verbose": -9, **options})
        def generation():
            asked = es.ask()
            es.tell(asked, [float(np.dot(x, x)) for x in asked])
        rates[f"pycma_{name}_generations"] = rate(generation)
rates["torch_vision"] = training(64)
rates["torch_memory_rmdn"], rates["torch_memory_frmdn"] = remembering(False), remembering(True)
# Half a second of speech in frames of 200 samples.
speech = {"d": 200, "width": 128, "steps": 40, "batch": 16}
rates["torch_speech_rmdn"], rates["torch_speech_frmdn"] = remembering(False, **speech), remembering(True, **speech)
print(json.dumps(rates))
'''


# The widths of `frmdn density speech`; the mask decides which half a value is in, and not the cost.
SPEECH = '''
base = "car-racing-frmdn"
description = "Frames of 200 samples"

[vision.model]
latent = 200

[memory]
batch = 16
sequence = 40

[memory.model]
flow_hidden = 128
'''


def run(command, **options):
    """Standard output of a command, or None and its last words on standard error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        return None
    if done.returncode != 0:
        print(f"`{' '.join(map(str, command[:4]))} ...` failed:\n{done.stderr[-3000:]}", file=sys.stderr)
        return None
    return done.stdout


def cargo(*arguments):
    """Runs cargo in the repository."""
    found = os.environ.get("CARGO") or shutil.which("cargo")
    if found is None:
        sys.exit("cargo was not found: install Rust, or point the variable CARGO at it")
    told = run([found, *arguments], cwd=ROOT)
    if told is None:
        sys.exit("our program could not be built: the messages are above")
    return told


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", help="a Python that has the packages; none is installed then")
    parser.add_argument("--json", help="a file for the figures")
    args = parser.parse_args()
    told = cargo("build", "--release", "--workspace", "--bins", "--message-format=json")
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    program = next(l["executable"] for l in lines if l.get("executable") and l["target"]["name"] == "frmdn")
    with tempfile.TemporaryDirectory() as folder:
        python = args.python
        if python is None:
            if run([sys.executable, "-m", "venv", folder]) is None:
                sys.exit("no virtual environment could be made: on Debian, apt-get install python3-venv")
            python = str(Path(folder) / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
            if run([python, "-m", "pip", "install", "--quiet", *PACKAGES]) is None:
                sys.exit("the packages could not be installed: the messages are above")
        script = Path(folder) / "peer.py"
        script.write_text(PEER)
        speech = Path(folder) / "speech.toml"
        speech.write_text(SPEECH)
        ours, theirs = [], {1: [], 2: []}
        for number in range(args.rounds):
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
            figures = {}
            for part in ("vision", "memory", "controller"):
                told = run([program, "bench", part, "--json"])
                if told is None:
                    sys.exit("our program failed: its message is above")
                figures |= json.loads(told)
            told = run([program, "bench", "memory", "--preset", str(speech), "--json"])
            if told is None:
                sys.exit("our program failed: its message is above")
            figures |= {f"speech_{part}": rates for part, rates in json.loads(told).items() if part.startswith("memory")}
            ours.append(figures)
            for threads in theirs:
                told = run([python, str(script), str(threads)])
                if told is None:
                    sys.exit("the other side failed: its message is above")
                theirs[threads].append(json.loads(told.splitlines()[-1]))
    mine = lambda part, key="frames_per_core_second": statistics.median(f[part][key] for f in ours)
    both = lambda part, key="frames_per_core_second": statistics.median(f[part][key] * f[part]["scaling_2_cores"] for f in ours)
    other = lambda name, threads=1: statistics.median(f[name] for f in theirs[threads])
    rows = []
    for batch in (1, 16, 64):
        for peer in ("torch", "onnxruntime"):
            rows.append((f"encoder, batch {batch}, 1 thread", "frames/s", peer, mine(f"encoder_batch_{batch}"), other(f"{peer}_encoder_batch_{batch}")))
    rows.append(("training of V, 1 thread", "frames/s", "torch", mine("vision"), other("torch_vision")))
    rows.append(("training of V, 2 threads", "frames/s", "torch", both("vision"), other("torch_vision", 2)))
    for what, ours_of, theirs_of in (("M", "", "memory"), ("M for speech", "speech_", "speech")):
        for variant, part in (("rmdn", "memory_rmdn"), ("frmdn", "memory")):
            part, peer, key = ours_of + part, f"torch_{theirs_of}_{variant}", "sequences_per_core_second"
            rows.append((f"training of {what} ({variant}), 1 thread", "sequences/s", "torch", mine(part, key), other(peer)))
            rows.append((f"training of {what} ({variant}), 2 threads", "sequences/s", "torch", both(part, key), other(peer, 2)))
    rows.append(("CMA-ES, n = 867, 64 candidates, separable", "generations/s", "pycma", 1e3 / mine("controller", "optimiser_ms"), other("pycma_separable_generations")))
    print(f"{platform.machine()}, Python {platform.python_version()}, {', '.join(PACKAGES[:3])}, median of {args.rounds} rounds\n")
    print(f"{'':42} {'':14} {'ours':>9} {'theirs':>9}   ratio")
    for what, unit, peer, a, b in rows:
        print(f"{what:42} {unit:14} {a:>9,.0f} {b:>9,.0f}   {a / b:.2f} ({peer})")
    if args.json:
        Path(args.json).write_text(json.dumps({"ours": ours, "theirs": theirs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
