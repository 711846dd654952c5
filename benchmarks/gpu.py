"""This package beside snnTorch and SpikingJelly on an NVIDIA GPU, on the same work in one run: make gpu

The neuron alone, beside a plain copy of as many bytes as it must move; the training step of the convolutional network;
one epoch of its recipes, as published and ours. Ours is timed twice: by Triton's kernel, and step by step as without
it. Before anything is timed, all must agree on spikes and gradients. Times are with the settings that PyTorch has by
itself; with bfloat16, all run under torch.autocast: our membranes stay float32, the others' are what the library makes
of them. Writes benchmarks/results/gpu.json. Needs a GPU and pip install --editable ".[bench]".
"""

import importlib.util
import statistics
import sys
from dataclasses import replace
from unittest import mock

import torch
import torch.nn.functional as F
from measure import machine, markdown, save

from snn_helpers import data, encoding, neurons, recipes, surrogates
from snn_helpers.engine import kernels
from snn_helpers.runs import by_recipe

BATCH = 128
STEPS = 8, 25, 100
SHAPES = (1024,), (32, 14, 14)  # of the neuron alone: a dense layer, and the first layer of the CSNN


def missing():
    """What there is not, in words; empty if nothing is missing."""
    found = []
    if not torch.cuda.is_available():
        found.append("an NVIDIA GPU, and a PyTorch built with CUDA (torch.cuda.is_available() is False)")
    for module in ("triton", "snntorch", "spikingjelly", "norse"):
        if importlib.util.find_spec(module) is None:
            found.append(f"the package {module}")
    return found


def timed(works, device, *, repeats=7, warm_up=3):
    """Median seconds of each of ``works`` (name -> function), called in turn, and the most memory that each takes."""
    times, peak = {name: [] for name in works}, {}
    for repeat in range(warm_up + repeats):
        for name, work in works.items():
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize(device)
            start.record()
            work()
            end.record()
            torch.cuda.synchronize(device)
            peak[name] = (torch.cuda.max_memory_allocated(device) - before) / 2**20
            if repeat >= warm_up:
                times[name].append(start.elapsed_time(end) / 1000)
    return {
        "seconds": {name: statistics.median(seconds) for name, seconds in times.items()},
        "peak_megabytes": {name: round(size) for name, size in peak.items()},
    }


def step_by_step(work):
    """``work`` as it runs where nobody asks for Triton."""

    def run():
        with mock.patch.object(kernels, "_KERNELS", None):
            return work()

    return run


def neuron_alone(steps, shape, device):
    """Forward and backward of [steps, 128, ...]. Raises AssertionError if the libraries do not agree."""
    import snntorch
    from peers import BETA, jelly_neuron
    from snntorch import surrogate

    torch.manual_seed(0)
    current = (torch.randn(steps, BATCH, *shape, device=device) * 0.5 + 0.3).requires_grad_()
    weight = torch.randn_like(current)
    leaky = snntorch.Leaky(beta=BETA, reset_mechanism="zero", spike_grad=surrogate.atan(alpha=2.0)).to(device)
    node = jelly_neuron().to(device)

    def ours():
        return neurons.lif(current, beta=BETA, reset="zero", spike=surrogates.atan(2.0)).spikes

    def snntorchs():
        membrane, spikes = torch.zeros_like(current[0]), []
        for i in current.unbind(0):
            spike, membrane = leaky(i, membrane)
            spikes.append(spike)
        return torch.stack(spikes)

    def jellys():
        node.reset()
        return node(current)

    def both_ways(forward):
        def run():
            current.grad = None
            spikes = forward()
            spikes.backward(weight)
            return spikes.detach()

        return run

    works = {"ours": both_ways(ours), "snnTorch": both_ways(snntorchs), "SpikingJelly": both_ways(jellys)}
    works["ours, step by step"] = step_by_step(works["ours"])
    wanted, grad = works["ours, step by step"](), current.grad.clone()
    assert 0.01 < wanted.mean() < 0.99, "neurons that are silent, or always fire, show nothing"
    for who, work in works.items():
        # SpikingJelly fires on the threshold, the others above it; and a GPU may fuse its product with its sum
        apart = (work() != wanted).double().mean().item()
        assert apart <= (0 if who == "ours" else 1e-5), f"the neuron of {who} spikes elsewhere: {apart:.1e}"
        off = ((current.grad - grad).norm() / grad.norm()).item()
        assert off <= 1e-3, f"a gradient of the neuron of {who} is off by {off:.1e} of its length"
    # what is read: the current, the membrane, a gradient; what is written: spikes, the membrane, a gradient
    whence, where = torch.randn_like(weight), torch.empty_like(weight)
    works["copy"] = lambda: [where.copy_(whence) for _ in range(3)]
    return works


def training_steps(layers, steps, precision, device):
    """One training step of each library's network of ``layers``: forward, loss, backward, Adam.

    Raises AssertionError if, in float32 and from the same weights, they do not agree.
    """
    from peers import Ours, SnnTorch, SpikingJelly

    torch.manual_seed(0)
    layers = layers()
    for weights in layers:  # louder, so that the untrained network spikes in all layers
        for p in weights.parameters():
            p.data *= 3
    kinds = {"ours": Ours, "snnTorch": SnnTorch, "SpikingJelly": SpikingJelly}
    nets = {who: kind(layers).to(device) for who, kind in kinds.items()}
    images, labels = next(data.batches(data.mnist(root="bundled"), BATCH, shuffle=True, seed=0, device=device))
    must_agree(nets, encoding.direct(images, 6), labels)
    x = encoding.direct(images, steps)

    def step_of(net):
        optimizer = torch.optim.Adam(net.parameters())

        def run():
            optimizer.zero_grad()
            with torch.autocast(torch.device(device).type, precision, enabled=precision != torch.float32):
                value = F.cross_entropy(net(x).sum(0), labels)
            value.backward()
            optimizer.step()

        return run

    works = {who: step_of(net) for who, net in nets.items()}
    works["ours, step by step"] = step_by_step(works["ours"])
    return works


def must_agree(nets, x, labels):
    """Raise AssertionError unless all give the spikes and gradients of ours, but for what rounding alone can change.

    A convolution of several steps at once rounds otherwise than one of a single step (TF32, which rounds more, is
    off here), and what that does to a membrane beside the threshold is a spike more or less: also in a hidden layer.
    """
    found = {}
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for who, net in nets.items():
            spikes = net(x)
            grads = torch.autograd.grad(F.cross_entropy(spikes.sum(0), labels), list(net.parameters()))
            found[who] = spikes.detach(), torch.cat([grad.flatten() for grad in grads])
    wanted, grad = found["ours"]
    assert 0.01 < wanted.mean() < 0.99, "a network that is silent, or always fires, shows nothing"
    for who, (spikes, theirs) in found.items():
        apart = (spikes != wanted).double().mean().item()
        off = ((theirs - grad).norm() / grad.norm()).item()
        assert apart <= 1e-3 and off <= 2e-2, (
            f"{who}: {apart:.1e} of the spikes differ, the gradient is off by {off:.1e}"
        )


def epoch(name_of_recipe, precision, device):
    """One epoch of a convolutional recipe with this package, and its test accuracy."""
    recipe = replace(recipes.RECIPES["csnn"][name_of_recipe], epochs=1, test_every=None, precision=precision)
    train, test = data.mnist(train=True), data.mnist(train=False)
    _, record = by_recipe.run(recipe, train, test, seed=0, device=device, progress=False)
    wanted = "train_images", "steps", "train_seconds", "test_images", "test_accuracy"
    named = {"recipe": name_of_recipe, "precision": name(precision), "digits": train.source}
    return named | {key: record[key] for key in wanted}


def jelly_runs_on():
    """What SpikingJelly chose to run its neuron on: its own CUDA code, Triton or PyTorch."""
    from spikingjelly._ops.lif import _selection

    return sorted({chosen.name for chosen in _selection._selections.values() if chosen}) or ["torch"]


def table(content):
    """Milliseconds of ours, how many times as long the others take, the memory of each, and a copy's share of ours."""
    others = "ours, step by step", "snnTorch", "SpikingJelly"
    header = ["work", "T", "precision", "ours", "copy / ours", *others, *(f"MB, {who}" for who in ("ours", *others))]
    lines = []
    for row in content["rows"]:
        seconds, size = row["seconds"], row["peak_megabytes"]
        ratios = [f"{seconds[who] / seconds['ours']:.1f} x" for who in others]
        sizes = [size[who] for who in ("ours", *others)]
        share = f"{seconds['copy'] / seconds['ours']:.0%}" if "copy" in seconds else ""
        lines.append(
            [row["work"], row["T"], row["precision"], f"{1000 * seconds['ours']:.3g} ms", share, *ratios, *sizes]
        )
    return markdown(header, lines)


def name(precision):
    return str(precision).removeprefix("torch.")


def main():
    if found := missing():
        sys.exit("gpu.py: there is nothing to measure here, for there is not: " + "; ".join(found) + ".")
    from peers import LAYERS

    kernels._KERNELS = kernels.TRITON
    device, rows = "cuda", []
    facts = torch.cuda.get_device_properties(device)
    content = machine() | {"gpu": facts.name, "gpu_gigabytes": round(facts.total_memory / 2**30), "rows": rows}
    content["cuda"] = torch.version.cuda

    def measure(work, steps, precision, works):
        rows.append({"work": work, "T": steps, "precision": name(precision)} | timed(works, device))
        print(rows[-1], flush=True)

    for steps in STEPS:
        for shape in SHAPES:
            works = neuron_alone(steps, shape, device)
            measure(f"neuron alone, 128 x {' x '.join(map(str, shape))}", steps, torch.float32, works)
        for precision in (torch.float32, torch.bfloat16):
            measure("training step, CSNN", steps, precision, training_steps(LAYERS["CSNN"], steps, precision, device))
    content["epochs"] = [
        epoch(recipe, precision, device)
        for recipe in ("fast", "reference")
        for precision in (torch.float32, torch.bfloat16)
    ]
    content["spikingjelly_runs_on"] = jelly_runs_on()
    if kernels._KERNELS is None:
        sys.exit("gpu.py: Triton's kernel could not be built here (see the warning), so nothing is written.")
    save("gpu", content)
    print(table(content))
    for one in content["epochs"]:
        print(one)


if __name__ == "__main__":
    main()
