"""Record what survives a conversion, switch by switch: for ``widgets.rules_explorer``.

python tools/record_rules.py [MINUTES]    writes snn_helpers/assets/recorded/cnn-to-snn-rules.json

CNNs with the layers of ``networks.cnn``, with average or max pooling, with biases, batch normalisation or neither,
learn the bundled 10,000 of MNIST's training digits in two epochs. Each is converted in every way of the grid and
classifies MNIST's 10,000 test digits in 10 steps of constant input. What is in the file is not done again: stop it at
any time, or give it MINUTES, and call it anew.
"""

import copy
import itertools
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from snn_helpers import assets, data, training, weights
from snn_helpers.networks import SNN

STEPS, SEEDS, PERCENTILE = 10, (0, 1), 0.999
POOLING = {"average": nn.AvgPool2d, "maximum": nn.MaxPool2d}
EXTRAS = "no biases", "biases", "batch normalisation"
SCALES = "as trained", "balanced"
BIASES = "divided by the layer's scale", "left as they were"
STARTS = {"0": 0.0, "half the threshold": 0.5}
OUT = assets.RECORDED / "cnn-to-snn-rules.json"


def network(pooling, extra):
    pool, bias = POOLING[pooling], extra == "biases"

    def convolution(before, after):
        norm = [nn.BatchNorm2d(after)] if extra == "batch normalisation" else []
        return nn.Conv2d(before, after, 5, bias=bias), *norm, nn.ReLU(), pool(2)

    return nn.Sequential(*convolution(1, 12), *convolution(12, 64), nn.Flatten(-3), nn.Linear(1024, 10, bias=bias))


def blocks(cnn):
    """The chain cut at its ReLUs: in each block what pools, then one weight layer, a batch normalisation folded in."""
    found = [[]]
    for module in copy.deepcopy(cnn).eval():
        if isinstance(module, nn.ReLU):
            found.append([])
        elif isinstance(module, nn.BatchNorm2d):
            found[-1][-1] = nn.utils.fuse_conv_bn_eval(found[-1][-1], module)
        else:
            found[-1].append(module)
    return [nn.Sequential(*block) for block in found]


@torch.no_grad()
def converted(cnn, images, scale, treatment, start):
    """The spiking network: weights, and biases if they are to be, brought to the scale of the activations."""
    new, x, before = blocks(cnn), images, 1.0
    for block, old in zip(new, blocks(cnn), strict=True):
        x = old(x).relu()
        above = x[x > 0]
        own = above.kthvalue(round(PERCENTILE * len(above))).values.item() if scale == "balanced" else 1.0
        block[-1].weight *= before / own
        if block[-1].bias is not None and treatment == BIASES[0]:
            block[-1].bias /= own
        before = own
    return SNN(*new, beta=1.0, v_init=STARTS[start])


def ways(extra):
    """(scale, treatment of the biases, start): those that differ; where there is no bias to treat it is ""."""
    for scale, start in itertools.product(SCALES, STARTS):
        for treatment in BIASES if scale == "balanced" and extra != "no biases" else [""]:
            yield scale, treatment, start


@torch.inference_mode()
def right_answers(snn, digits, steps):
    """[T]: how many of the digits are right after each step; as ``conversion.simulate`` says, but nothing is kept."""
    right = torch.zeros(steps, dtype=torch.long)
    for images, labels in data.batches(digits, 100):
        constant = snn.layers[0](images.to(memory_format=torch.channels_last))
        membranes, votes, spikes = [None] * len(snn.layers), 0, None
        for t in range(steps):
            for i, layer in enumerate(snn.layers):
                current = layer(spikes) if i else constant
                if membranes[i] is None:
                    membranes[i] = torch.full_like(current, snn.v_init)
                membrane = membranes[i].add_(current)
                spikes = torch.gt(membrane, 1, out=torch.empty_like(membrane))
                membrane.sub_(spikes)
            votes = votes + spikes
            behind = votes < votes.amax(1, keepdim=True)  # a tie goes to the neuron nearest to its next spike
            right[t] += (membrane.masked_fill(behind, -torch.inf).argmax(1) == labels).sum()
    return right.tolist()


def trained(pooling, extra, seed, digits):
    torch.manual_seed(seed)
    cnn = network(pooling, extra)
    adam = torch.optim.Adam(cnn.parameters(), lr=5e-3)
    training.one_cycle(adam, 2 * digits.steps(128))
    training.fit(cnn, digits, lambda x: x, F.cross_entropy, adam, epochs=2, batch_size=128, seed=seed)
    return cnn


def record(train, test, found, *, steps=STEPS, until=float("inf"), save=lambda found: None):
    """Add to ``found`` what is missing in it: for each seed and network its CNN's accuracy, for each way the curve."""
    for seed, pooling, extra in itertools.product(SEEDS, POOLING, EXTRAS):
        missing = [way for way in ways(extra) if name(seed, pooling, extra, *way) not in found["right"]]
        if not missing or time.monotonic() > until:
            continue
        cnn = trained(pooling, extra, seed, train)
        found["cnn"][name(seed, pooling, extra)] = round(training.accuracy(cnn, test, lambda x: x), 4)
        for way in missing:
            if time.monotonic() > until:
                break
            snn = converted(cnn, data.pixels(train.images[:1000]), *way)
            right = found["right"][name(seed, pooling, extra, *way)] = right_answers(snn, test, steps)
            print(seed, pooling, extra, *way, f"{right[-1] / len(test.labels):.2%}", flush=True)
            save(found)
    return found


def name(*switches):
    return " | ".join(map(str, switches))


def empty(train, test):
    return {
        "about": "CNNs of two epochs of Adam, one-cycle learning rate of 5e-3, batches of 128; the scale of a layer "
        "is the 99.9th percentile of its activations above 0 on 1,000 training digits. Of each: seed | pooling | what "
        "the CNN has | scale | biases | start. cnn: its accuracy; right: how many test digits are, after each step",
        "train_images": len(train.labels),
        "test_images": len(test.labels),
        "cnn": {},
        "right": {},
    }


def text(found):
    """As JSON, a line a curve."""
    return json.dumps(found).replace("], ", "],\n") + "\n"


if __name__ == "__main__":
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
    train, test = (data.mnist(train, root=data.BUNDLED) for train in (True, False))
    found = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else empty(train, test)
    end = time.monotonic() + 60 * minutes
    record(train, test, found, until=end, save=lambda found: weights.write(OUT, text(found)))
