"""This package beside snnTorch, SpikingJelly and Norse, on the same work in one run: python benchmarks/speed.py

Training steps, the neuron alone, Poisson encoding, inference, time against T, and the floor that the arithmetic and
the memory set. Before anything is timed, all libraries must agree on spikes and gradients. Writes
benchmarks/results/speed.json and the table of the README. Needs: pip install --editable ".[bench]". Takes minutes.
"""

import time
from itertools import pairwise

import numpy as np
import snntorch
import torch
from measure import interleaved, into_readme, machine, markdown, save
from peers import BETA, LAYERS, Norse, Ours, SnnTorch, SpikingJelly, jelly_neuron, loss_of, must_agree
from snntorch import spikegen, surrogate
from spikingjelly.activation_based import encoding as jelly_encoding

from snn_helpers import data, encoding, neurons, surrogates
from snn_helpers.engine import hardware

BATCH = 128
PEERS = {"snnTorch": SnnTorch, "SpikingJelly": SpikingJelly, "Norse": Norse}


def digits():
    return next(data.batches(data.mnist(root="bundled"), BATCH, shuffle=True, seed=0))


def networks_of(name):
    """Library -> network, all with the same weights; ours also in the precision that it chooses by itself."""
    torch.manual_seed(0)
    layers = LAYERS[name]()
    for weights in layers:  # louder, so that the untrained network spikes in all layers
        for p in weights.parameters():
            p.data *= 3
    nets = {"ours": Ours(layers)} | {peer: kind(layers) for peer, kind in PEERS.items()}
    with_norses = Ours(layers, spike=Norse.spike)
    images, labels = digits()
    x = encoding.direct(images, 6) if name == "CSNN" else encoding.poisson(images, 6)
    for peer in PEERS:
        must_agree(with_norses if peer == "Norse" else nets["ours"], nets[peer], x, labels)
    if hardware.best_precision() == torch.bfloat16:
        nets["ours, bfloat16"] = Ours(layers, precision=torch.bfloat16)
    return nets


def step_of(net, steps, constant):
    """One training step: encoding, forward, loss, backward, Adam."""
    images, labels = digits()
    optimizer = torch.optim.Adam(net.parameters())

    def step():
        x = encoding.direct(images, steps) if constant else net.encode(images, steps)
        optimizer.zero_grad()
        loss_of(net, x, labels).backward()
        optimizer.step()

    return step


def training_steps():
    for name in LAYERS:
        nets = networks_of(name)
        for steps in (8, 25, 100):
            works = {who: step_of(net, steps, constant=name == "CSNN") for who, net in nets.items()}
            if name == "CSNN":
                works["floor"] = floor(nets["ours"].net.layers, steps)
            yield {"work": f"training step, {name}", "T": steps, "seconds": interleaved(works)}


def floor(layers, steps):
    """The convolutions and products of a CSNN's step alone, and a copy of the bytes that its neurons must move.

    The first layer once, as its input does not change, the others four steps at a time, which is quickest here. A
    neuron reads the current and writes spikes and membrane, and in the backward pass reads the membrane and the
    gradient and writes one: a copy of three arrays (it moves two each).
    """
    images, _ = digits()
    optimizer = torch.optim.Adam(layers.parameters())
    with torch.no_grad():
        shapes, x = [], images
        for weights in layers:
            x = weights(x)
            shapes.append(x)
    moved = [torch.empty_like(x) for x in shapes for _ in range(3)]
    targets = [torch.empty_like(x) for x in moved]
    pieces = [[4] * (steps // 4), [steps % 4] * (steps % 4 > 0)]
    works = [(layers[0], images, 1)]
    for weights, x in zip(layers[1:], shapes[:-1], strict=True):
        spikes = (x > 1).float()
        works += [(weights, torch.cat([spikes] * size[0]).requires_grad_(), len(size)) for size in pieces if size]

    def step():
        for weights, x, times in works:
            wanted = [x, *weights.parameters()] if x.requires_grad else [*weights.parameters()]
            for _ in range(times):
                y = weights(x)
                grads = torch.autograd.grad(y, wanted, y)
            for p, grad in zip(wanted, grads, strict=True):
                p.grad = grad  # what is not a parameter has no use for it
        for _ in range(steps):
            for a, b in zip(moved, targets, strict=True):
                b.copy_(a)
        optimizer.step()

    return step


def neuron_alone():
    """[100, 128, 1024], forward, and forward with backward."""
    current = (torch.randn(100, BATCH, 1024) * 0.5 + 0.3).requires_grad_()
    leaky = snntorch.Leaky(beta=BETA, reset_mechanism="zero", spike_grad=surrogate.atan(alpha=2.0))
    node = jelly_neuron()

    def ours():
        return neurons.lif(current, beta=BETA, reset="zero", spike=surrogates.atan(2.0)).spikes

    def snntorchs():
        membrane, spikes = leaky.init_leaky(), []
        for step in current.unbind(0):
            spike, membrane = leaky(step, membrane)
            spikes.append(spike)
        return torch.stack(spikes)

    def jellys():
        node.reset()
        return node(current)

    forward = {"ours": ours, "snnTorch": snntorchs, "SpikingJelly": jellys}
    weight = torch.randn(100, BATCH, 1024)
    both, known = {}, None
    for who, run in forward.items():

        def step(run=run):
            current.grad = None
            run().backward(weight)

        step()
        both[who] = step
        known = known or (run(), current.grad.clone())
        # SpikingJelly fires on the threshold, others above it: of 13 million membranes one or two lie there
        assert (run() != known[0]).sum() <= 10, f"the neuron of {who} spikes elsewhere"
        off = (current.grad - known[1]).norm() / known[1].norm()
        assert off <= 1e-3, f"a gradient of the neuron of {who} is off by {off:.2e} of its length"
    with torch.no_grad():
        yield {"work": "neuron alone, forward", "T": 100, "seconds": interleaved(forward)}
    yield {"work": "neuron alone, forward and backward", "T": 100, "seconds": interleaved(both)}


def encoders():
    images, _ = digits()
    encoder = jelly_encoding.PoissonEncoder(step_mode="m")
    works = {
        "ours": lambda: encoding.poisson(images, 100),
        "snnTorch": lambda: spikegen.rate(images, num_steps=100),
        "SpikingJelly": lambda: encoder(images.expand(100, *images.shape)),
    }
    for who, encode in works.items():
        off = (encode().mean(0) - images).abs().mean()
        assert off < 0.02, f"{who} does not encode the images"
    yield {"work": "Poisson encoding of 128 digits", "T": 100, "seconds": interleaved(works, repeats=15)}


def inference():
    images, _ = digits()
    nets = networks_of("CSNN")
    x = encoding.direct(images, 25)
    with torch.no_grad():
        works = {who: lambda net=net: net(x) for who, net in nets.items() if "bfloat16" not in who}
        works["ours, streamed"] = lambda: [records[-1].spikes for records in nets["ours"].net.stream(x)]
        yield {"work": "inference, CSNN, 128 digits", "T": 25, "seconds": interleaved(works)}


def against_time():
    """A fit of a + b T + c T^2 to the time of a training step: what share of it the last term has at T = 256.

    Each T by itself, not in turns: the first step of another T would each time need fresh memory.
    """
    net = networks_of("CSNN")["ours"]
    lengths = (8, 16, 32, 64, 128, 256)
    seconds = {}
    for steps in lengths:
        seconds |= interleaved({str(steps): step_of(net, steps, constant=True)}, repeats=5, warm_up=2)
    *_, square = terms = np.polynomial.polynomial.polyfit(lengths, [*seconds.values()], 2, w=1 / np.array(lengths))
    growth = [seconds[str(b)] / seconds[str(a)] for a, b in pairwise(lengths)]
    return {
        "seconds": seconds,
        "growth_a_doubling": growth,
        "square_share_at_256": float(square * 256**2 / np.polynomial.polynomial.polyval(256, terms)),
    }


def text(content):
    """The rows as Markdown: milliseconds of ours, and how many times as long the others take; and the rest."""
    others = "snnTorch", "SpikingJelly", "Norse"
    header = ["work", "T", "ours", "in bfloat16", *others, "ours above the floor"]
    lines = []
    for row in content["rows"]:
        seconds = row["seconds"]
        ours = seconds["ours"]
        half = _ms(seconds["ours, bfloat16"]) if "ours, bfloat16" in seconds else ""
        ratios = [f"{seconds[who] / ours:.1f} x" if who in seconds else "" for who in others]
        above = f"{ours / seconds['floor']:.2f} x" if "floor" in seconds else ""
        lines.append([row["work"], row["T"], _ms(ours), half, *ratios, above])
    length = content["time_against_steps"]
    longer = length["seconds"]["256"] / length["seconds"]["8"]
    return (
        f"{markdown(header, lines)}\n\n"
        f"Time and T: 32 times as many steps (256 after 8) take {longer:.0f} times as long; in a fit of "
        f"a + b T + c T² to six lengths the last term makes {length['square_share_at_256']:+.0%} at T = 256."
    )


def _ms(seconds):
    return f"{1000 * seconds:,.{0 if seconds >= 0.1 else 1}f} ms"


def main():
    start = time.time()
    content = {**machine(), "rows": []}
    print(content)
    for part in (encoders, neuron_alone, training_steps, inference):
        for row in part():
            print(row, flush=True)
            content["rows"].append(row)
    content["time_against_steps"] = against_time()
    save("speed", content)
    into_readme("speed", text(content))
    print(text(content), f"\n{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
