"""Exercises of notebook 07 about what can be converted; those that count steps and spikes are in nb07_steps."""

import copy
import operator
from itertools import accumulate, pairwise

import torch
from torch import nn

from snn_helpers.exercises.core import NotYet, call, exercise, kind_of, recognise, same, tensor, whole


@exercise(
    "07.1",
    "write the layer down, a = relu(W x + b), and ask for the layer that gives a / own for x / before.",
    "divide the whole sum by the layer's own scale: W x / own + b / own. Which of the two knows that x is smaller now, "
    "by the scale of the layer before?",
    "weights: W * before / own; biases: b / own; then before = own for the next layer. For the input, before is 1.",
)
def balancing(answer):
    generator = torch.Generator().manual_seed(71)
    for sizes in (5, 7, 3), (11, 2, 5, 13):  # weights that are positive on average: no layer is silent
        weights = [torch.randn(n, m, generator=generator) + 0.5 for m, n in pairwise(sizes)]
        biases = [torch.randn(n, generator=generator) / 2 + 0.3 for n in sizes[1:]]
        x, activations = torch.rand(17, sizes[0], generator=generator), []
        for W, b in zip(weights, biases, strict=True):
            x = (x @ W.T + b).relu()
            activations.append(x)
        got = call(answer, weights=weights, biases=biases, activations=activations)
        if not isinstance(got, (list, tuple)) or len(got) != 2 or not all(hasattr(part, "__len__") for part in got):
            raise NotYet(f"wanted two lists, the weights and the biases, got {kind_of(got)}.")
        if _are_pairs(got, weights):
            raise NotYet("that is a pair for each layer: put all the weights in one list, all the biases in another.")
        new = [
            [tensor(value, f"{what} of layer {i}") for i, value in enumerate(part, 1)]
            for what, part in zip(("the weights", "the biases"), got, strict=True)
        ]
        if [len(part) for part in new] != [len(weights)] * 2:
            raise NotYet(f"wanted {len(weights)} weights and as many biases, got {len(new[0])} and {len(new[1])}.")
        largest = [1.0, *(a.max().item() for a in activations)]
        right = _scaled(weights, lambda own, before: before / own, largest)
        recognise(new[0], right, _weight_slips(weights, activations, largest))
        for i, (mine, wanted) in enumerate(zip(new[0], right, strict=True), 1):
            same(mine, wanted, what=f"the weights of layer {i}", first="row")
        right = _scaled(biases, lambda own, _: 1 / own, largest)
        recognise(new[1], right, _bias_slips(biases, activations, largest), what="the weights are right")
        for i, (mine, wanted) in enumerate(zip(new[1], right, strict=True), 1):
            same(mine, wanted, what=f"the biases of layer {i}", first="neuron")
    return "every layer's activations end at 1, and the answers are those of before: a bias can be balanced, too."


def _are_pairs(got, weights):
    """Whether what came is a pair of weights and biases for each layer."""
    pairs = len(got) == len(weights) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in got)
    return pairs and all(getattr(W, "shape", None) == old.shape for (W, _), old in zip(got, weights, strict=True))


def _scaled(parts, how, scales):
    """Each layer's part times how(its own scale, that of the layer before)."""
    return [part * how(own, before) for part, (before, own) in zip(parts, pairwise(scales), strict=True)]


def _weight_slips(weights, activations, largest):
    def scaled(how, scales=largest):
        return _scaled(weights, how, scales)

    def balanced(scales):
        return scaled(lambda own, before: before / own, scales)

    above, neurons = [a[a > 0] for a in activations], [1.0, *(a.amax(0) for a in activations)]
    product = list(accumulate(largest, operator.mul))
    percentile = "the scale is a percentile; here it is the largest activation."
    return {
        "the weights are divided by their own scale only; what arrives there is smaller too, by the scale of the "
        "layer before: multiply by that one.": scaled(lambda own, _: 1 / own),
        "the weights are scaled the wrong way round: a layer with large activations needs smaller ones.": scaled(
            lambda own, before: own / before
        ),
        "the weights are scaled by the mean activations; the scale is the largest.": balanced(
            [1.0, *(a.mean().item() for a in activations)]
        ),
        percentile: balanced([1.0, *(a.quantile(0.999).item() for a in activations)]),
        percentile[:-1] + " of all.": balanced([1.0, *(a.quantile(0.999).item() for a in above)]),
        "the weights are those of before: nothing is balanced yet.": weights,
        "the weights are scaled by the largest activation of all layers; each layer has its own.": balanced(
            [1.0] + [max(largest[1:])] * len(weights)
        ),
        "each neuron has a scale of its own; asked is one a layer, the largest of all its activations.": [
            W * before / a.amax(0)[:, None] for W, before, a in zip(weights, neurons, activations, strict=False)
        ],
        "all the weights are divided by one number; each layer has its own, and gets smaller inputs besides.": [
            W / max(largest[1:]) for W in weights
        ],
        "the scales of all layers before are multiplied; an activation was measured in the network as it was, so take "
        "that of the layer before alone.": [
            W * before / own for W, before, own in zip(weights, product, largest[1:], strict=False)
        ],
    }


def _bias_slips(biases, activations, largest):
    def scaled(how, scales=largest):
        return _scaled(biases, how, scales)

    product = list(accumulate(largest, operator.mul))
    return {
        "the biases are those of before, and too large beside currents that were scaled.": biases,
        "a bias does not come from the layer before: it is divided by its own scale only.": scaled(
            lambda own, before: before / own
        ),
        "the biases are scaled the wrong way round.": scaled(lambda own, _: own),
        "without its biases the network gives other answers.": scaled(lambda *_: 0),
        "a bias is divided by the scale of its own layer, not by that of the layer before.": scaled(
            lambda _, before: 1 / before
        ),
        "a bias is divided by the scales of all layers so far; that of its own is enough, for the current beside it "
        "is divided by no other.": scaled(lambda own, _: 1 / own, product),
        "the biases are scaled by the largest activation of all layers; each layer has its own.": scaled(
            lambda own, _: 1 / own, [1.0] + [max(largest[1:])] * len(biases)
        ),
        "a bias is a current of its layer, so its scale is that of the layer's activations, not its own largest.": [
            b / b.abs().max() for b in biases
        ],
        "each neuron's bias has a scale of its own; asked is one a layer.": [
            b / a.amax(0) for b, a in zip(biases, activations, strict=True)
        ],
    }


@exercise(
    "07.3",
    "the rate is the mean over time. Compare what the layer makes of the rate with the rate of what it makes of the "
    "spikes.",
    "each = layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2]) is what it makes of every step; "
    "each.mean(0) and layer(spikes.mean(0)) should be equal, up to rounding.",
    "go through enumerate(layers) and keep i where not torch.allclose(layer(spikes.mean(0)), each.mean(0), atol=1e-5).",
)
def diagnosis(answer):
    for number, (layers, wanted) in enumerate(_layers(), 1):
        spikes = (torch.rand(9, 4, 3, 8, 8, generator=torch.Generator().manual_seed(number)) < 0.4).float()
        with torch.no_grad():
            gaps = [_gap(layer, spikes) for layer in layers]
            got = call(answer, layers=copy.deepcopy(layers), spikes=spikes)
        got = _positions(got)
        case = f"list {number} of 2"
        if got == sorted(set(range(len(layers))) - set(wanted)):
            raise NotYet(f"{case}: these are the layers that let an average pass; asked are the others.")
        if got == [i + 1 for i in wanted]:
            raise NotYet(f"{case}: positions are counted from 0.")
        extra = [i for i in got if i not in wanted]
        for i in extra:
            if not 0 <= i < len(layers):
                raise NotYet(f"{case}: there is no position {i}; there are 0 to {len(layers) - 1}.")
            name = f"{case}: position {i}, {type(layers[i]).__name__}, lets an average pass"
            if got == [j for j, gap in enumerate(gaps) if gap > 0]:
                raise NotYet(f"{name}: the two differ by {gaps[i]:.0e}, which is rounding. Leave a tolerance.")
            if getattr(layers[i], "bias", None) is not None:
                raise NotYet(f"{name}: its bias is the same at every step, so it is its own average.")
            raise NotYet(f"{name}: the two differ by {gaps[i]:.0e} at most, which is rounding.")
        for i in wanted:
            if i not in got:
                raise NotYet(
                    f"{case}: position {i}, {type(layers[i]).__name__}, does not let an average pass: the two differ "
                    f"by up to {gaps[i]:.2f}. You let it pass."
                )
    return "what lets averages pass can be converted, and a bias does. The others change what a rate means."


def _layers():
    """Two lists of layers for spikes [.., 3, 8, 8], each with the positions of those that stop an average."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(73)
        norm = nn.BatchNorm2d(3).eval()
        norm.running_mean.uniform_(-1, 1)
        first = [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Tanh(), nn.Flatten()]
        second = [nn.Softmax(1), nn.Conv2d(3, 2, 3, bias=False), norm, nn.Sigmoid(), nn.AdaptiveMaxPool2d(1)]
        return (first, [1, 3]), ([*second, nn.Linear(8, 5), nn.LPPool2d(2, 2)], [0, 3, 4, 6])


def _gap(layer, spikes):
    each = layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])
    return (layer(spikes.mean(0)) - each.mean(0)).abs().max().item()


def _positions(got):
    got = sorted(got) if isinstance(got, (set, frozenset)) else got
    if isinstance(got, (str, dict)) or not hasattr(got, "__len__") or getattr(got, "ndim", 1) != 1:
        raise NotYet(f"wanted a list of positions, [] if there is nothing to object to, got {kind_of(got)}.")
    return sorted({whole(i, "a position") for i in got})
