"""Exercises of notebook 07."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from snn_helpers.exercises.core import NotYet, call, close, exercise, same
from snn_helpers.neurons import Record, lif


@exercise(
    "07.1",
    "the scale of a layer is the largest of its activations. By what must its weights be divided?",
    "the layer before now gives activations that are smaller by ITS scale: multiply by it. For the input it is 1.",
    "new = W * before / own; then before = own for the next layer.",
)
def weight_balancing(answer):
    generator = torch.Generator().manual_seed(71)
    for sizes in (5, 7, 3), (11, 2, 5, 13):  # weights that are positive on average: no layer is silent
        weights = [torch.randn(n, m, generator=generator) + 0.5 for m, n in pairwise(sizes)]
        x, activations = torch.rand(17, sizes[0], generator=generator), []
        for W in weights:
            x = (x @ W.T).relu()
            activations.append(x)
        own = [a.max().item() for a in activations]
        before = [1.0, *own[:-1]]
        got = call(answer, [W.clone() for W in weights], [a.clone() for a in activations])
        if not isinstance(got, (list, tuple)) or len(got) != len(weights):
            size = f"{type(got).__name__}" + (f" of {len(got)}" if hasattr(got, "__len__") else "")
            raise NotYet(f"wanted a list of {len(weights)} weight tensors, one a layer, got {size}.")
        if _equal(got, [W / s for W, s in zip(weights, own, strict=True)]):
            raise NotYet(
                "each layer is divided by its own scale only; what arrives there is smaller too, by the scale of the "
                "layer before: multiply by that one."
            )
        if _equal(got, [W * s / b for W, s, b in zip(weights, own, before, strict=True)]):
            raise NotYet("this is the wrong way round: a layer with large activations needs smaller weights.")
        wanted = [W * b / s for W, s, b in zip(weights, own, before, strict=True)]
        for i, (mine, right) in enumerate(zip(got, wanted, strict=True)):
            same(mine, right, what=f"the weights of layer {i + 1} of {len(wanted)}")
    return "every layer's activations now end at 1, and the answers are those of before, divided by one number."


def _equal(got, mistake):
    return all(
        torch.is_tensor(g) and g.shape == m.shape and torch.allclose(g, m) for g, m in zip(got, mistake, strict=True)
    )


@exercise(
    "07.2",
    "the error of the rate is |V_T - V_0| / (T theta). How far from V_0 can V_T be?",
    "V_T, after reset, lies between 0 and theta; V_0 is in the middle.",
    "0.5 / T must not exceed 0.01.",
)
def error_bound(answer):
    if isinstance(answer, (int, float)) and answer == 100:
        raise NotYet(
            "100 steps are needed from V_0 = 0, where V_T can be a whole threshold away; from half of it, fewer."
        )
    close(answer, 50, what="the number of steps", tolerance=1e-6)
    return "half a threshold, shared by T steps. From V_0 = 0 it takes twice as many."


@exercise(
    "07.3",
    "go through the layers with enumerate. Which kinds have no counterpart in spikes?",
    "isinstance(layer, nn.MaxPool2d), an activation that is not nn.ReLU, and a bias: getattr(layer, 'bias', None).",
    "return [i for i, layer in enumerate(cnn) if isinstance(layer, (nn.MaxPool2d, nn.Sigmoid, nn.Tanh)) or "
    "getattr(layer, 'bias', None) is not None]",
)
def diagnosis(answer):
    clean = [nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3, bias=False)]
    sick = [nn.Conv2d(1, 2, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)]
    cases = {
        "a network that is fine": ([], clean),
        "a max-pooled one": ([2], [*clean[:2], nn.MaxPool2d(2), *clean[3:]]),
        "one with a bias": ([0], [nn.Conv2d(1, 2, 3), *clean[1:]]),
        "one with Sigmoid": ([1], [clean[0], nn.Sigmoid(), *clean[2:]]),
        "one with several faults": ([0, 1, 2, 4], sick),
    }
    for name, (wanted, layers) in cases.items():
        got = call(answer, nn.Sequential(*layers))
        if not isinstance(got, (list, tuple, set)) or not all(isinstance(i, int) for i in got):
            raise NotYet(f"wanted a list of positions, [] if there is nothing to object to, got {type(got).__name__}.")
        missed, extra = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
        for i in missed[:1]:
            bias = (
                " (a Conv2d has a bias unless it is told not to)"
                if getattr(layers[i], "bias", None) is not None
                else ""
            )
            raise NotYet(
                f"{name}: position {i}, {type(layers[i]).__name__}, cannot be converted{bias}; you let it pass."
            )
        for i in extra[:1]:
            kind = type(layers[i]).__name__ if 0 <= i < len(layers) else "which is not there"
            raise NotYet(f"{name}: you object to position {i}, {kind}, which can be converted.")
    return "conversion.to_snn says the same, and what to do about it."


@exercise(
    "07.4",
    "which entries lie more than 0.005 below the CNN? An entry above it is no fault.",
    "the curve has to stay: look for the last entry that is too low. Entry 0 is one step.",
    "low = (accuracy < cnn - 0.005).nonzero().flatten(); 1 if there is none, else low[-1] + 2; and 0 where that is "
    "more than len(accuracy).",
)
def steps_to_the_cnn(answer):
    generator = torch.Generator().manual_seed(74)
    for steps, end in (19, 0.002), (31, 0.004), (23, -0.02), (41, 0.02):
        cnn = 0.97
        rise = 0.5 * torch.exp(-torch.arange(steps) / 3.0)
        noise = 0.02 * torch.rand(steps, generator=generator) * torch.linspace(1, 0, steps)
        curve = (cnn + end - rise - noise).double()
        low = (curve < cnn - 0.005).nonzero().flatten()
        wanted = low[-1].item() + 2 if len(low) else 1
        wanted = 0 if wanted > steps else wanted
        got = call(answer, curve.clone(), cnn)
        from_end = ((curve - curve[-1]).abs() > 0.005).nonzero()[-1].item() + 2
        if wanted and _equals(got, wanted - 1):
            raise NotYet(f"{wanted - 1} is the index of the entry; entry 0 is one step, so index k means k + 1 steps.")
        if wanted == 0 and any(_equals(got, value) for value in (steps, steps + 1, from_end)):
            raise NotYet("a curve that ends more than half a point below the CNN never gets there: return 0 for it.")
        if wanted != from_end and _equals(got, from_end):
            raise NotYet("compare with the accuracy of the CNN, not with the end of the curve, and only downwards.")
        same(got, wanted, what=f"the number of steps for a curve of {steps}")
    return "that number, and not the accuracy after ever so many steps, is what a converted network is judged by."


@exercise(
    "07.5",
    "from V_0 the membrane has collected V_0 + T a after T steps; every spike took 1 of it.",
    "spikes are whole: how many thresholds fit into V_0 + T a? Never fewer than none, never more than one a step.",
    "(v0 + steps * a).floor().clamp(0, steps)",
)
def count_without_running(answer):
    generator = torch.Generator().manual_seed(75)
    for steps, v0 in (7, 0.0), (19, 0.5), (31, 0.25):
        a = 2 * torch.rand(53, generator=generator, dtype=torch.double) - 0.5
        record = lif(a.expand(steps, 53), beta=1.0, initial=Record(None, torch.full_like(a, v0)))
        wanted = record.spikes.sum(0)
        got = call(answer, a.clone(), steps, v0)
        if torch.is_tensor(got) and got.shape == a.shape:
            got = got.double()
            if v0 and torch.allclose(got, (steps * a).floor().clamp(0, steps)):
                raise NotYet(f"this is right for V_0 = 0; with V_0 = {v0} the first spike comes earlier.")
            if torch.allclose(got, (v0 + steps * a).clamp(0, steps)):
                raise NotYet("spikes are whole numbers: only full thresholds count.")
            if (got < 0).any():
                raise NotYet("a neuron with a negative current fires no spikes, not a negative number of them.")
            if (got > steps).any():
                raise NotYet(f"one spike a step is the most: {int(got.max())} spikes in {steps} steps cannot be.")
            if torch.allclose(got, wanted / steps):
                raise NotYet("these are rates; wanted is the number of spikes.")
        same(got, wanted, what=f"the number of spikes in {steps} steps from V_0 = {v0}")
    near, zero = (_mean_error(v0) for v0 in (0.5, 0.0))
    return (
        f"on average over currents from 0 to 1 and T = 10, the rate is off by {zero:+.3f} from V_0 = 0 and by "
        f"{near:+.3f} from one half: starting half full rounds to the nearest instead of down."
    )


def _mean_error(v0, steps=10):
    a = (np.arange(1000) + 0.5) / 1000
    return (np.floor(v0 + steps * a) / steps - a).mean() + 0.0


def _equals(got, value):
    try:
        return float(got) == value
    except (TypeError, ValueError):
        return False
