"""Exercises of notebook 07."""

import copy
import math
from itertools import pairwise

import torch
from torch import nn

from snn_helpers.exercises.core import NotYet, call, exercise, kind_of, recognise, same, tensor, whole
from snn_helpers.exercises.limit import OutOfTime, within
from snn_helpers.neurons import Record, lif


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
        new = [
            [tensor(value, f"{what} of layer {i}") for i, value in enumerate(part, 1)]
            for what, part in zip(("the weights", "the biases"), got, strict=True)
        ]
        if [len(part) for part in new] != [len(weights)] * 2:
            raise NotYet(f"wanted {len(weights)} weights and as many biases, got {len(new[0])} and {len(new[1])}.")
        largest, mean = ([1.0, *(of(a).item() for a in activations)] for of in (torch.max, torch.mean))

        def scaled(parts, how, scales=largest):
            return [part * how(own, before) for part, (before, own) in zip(parts, pairwise(scales), strict=True)]

        right = scaled(weights, lambda own, before: before / own)
        slips = {
            "the weights are divided by their own scale only; what arrives there is smaller too, by the scale of the "
            "layer before: multiply by that one.": scaled(weights, lambda own, _: 1 / own),
            "the weights are scaled the wrong way round: a layer with large activations needs smaller ones.": scaled(
                weights, lambda own, before: own / before
            ),
            "the weights are scaled by the mean activations; the scale is the largest.": scaled(
                weights, lambda own, before: before / own, mean
            ),
            "the weights are those of before: nothing is balanced yet.": weights,
        }
        recognise(new[0], right, slips)
        for i, (mine, wanted) in enumerate(zip(new[0], right, strict=True), 1):
            same(mine, wanted, what=f"the weights of layer {i}", first="row")
        right = scaled(biases, lambda own, _: 1 / own)
        slips = {
            "the biases are those of before, and too large beside currents that were scaled.": biases,
            "a bias does not come from the layer before: it is divided by its own scale only.": scaled(
                biases, lambda own, before: before / own
            ),
            "the biases are scaled the wrong way round.": scaled(biases, lambda own, _: own),
            "without its biases the network gives other answers.": scaled(biases, lambda *_: 0),
        }
        recognise(new[1], right, slips, what="the weights are right")
        for i, (mine, wanted) in enumerate(zip(new[1], right, strict=True), 1):
            same(mine, wanted, what=f"the biases of layer {i}", first="neuron")
    return "every layer's activations end at 1, and the answers are those of before: a bias can be balanced, too."


@exercise(
    "07.2",
    "a current up to the threshold: the error is |V_T - V_0| / (T theta). How far from V_0 can V_T be, upwards and "
    "downwards? A current above it: what is the rate?",
    "V_T lies between 0 and theta, so the worst is max(v_init, 1 - v_init) / T. Above the threshold the rate is 1 from "
    "the first step on, off by largest - 1, however long one waits.",
    "0 if largest - 1 > error, else math.ceil(max(v_init, 1 - v_init) / error).",
)
def steps_for(answer):
    for error, v_init, largest in (
        *((0.011, 0.5, 1.0), (0.03, 0.0, 0.8), (0.03, 0.8, 1.0)),
        *((0.07, 0.25, 1.05), (0.03, 0.5, 1.2), (0.013, 0.4, 1.0)),
        *((0.125, 0.5, 1.0), (0.25, 0.25, 1.25)),  # exactly at the error, which is allowed
    ):
        got = whole(call(answer, error=error, v_init=v_init, largest=largest), "the number of steps")
        need = {part: math.ceil(part / error) for part in (v_init, 1 - v_init, 0.5, 1.0)}
        wanted = 0 if largest - 1 > error else need[max(v_init, 1 - v_init)]
        case = f"error {error:g}, start at {v_init:g}, currents up to {largest:g}"
        slips = {
            "with such a current it fires at every step, and a rate of 1 is too low for ever: 0.": wanted or got,
            f"a rate of 1 for a current of {largest:g} is within {error:g}: there is a T.": wanted * (largest <= 1),
            "with one step less than needed the bound is still above the error: round up.": wanted - 1,
            "that is for V_0 = 0; from here V_T cannot be a whole threshold away.": need[1.0],
            "that is for half a threshold; V_0 is elsewhere here.": need[0.5],
            "V_T may lie below V_0, but also above it, up to the threshold: take the larger way.": need[v_init],
            "V_T may lie above V_0, but also below it, down to 0: take the larger way.": need[1 - v_init],
        }
        recognise(got, wanted, slips, what=case, tolerance=0)
        same(got, wanted, what=f"the number of steps for {case}", tolerance=0)
    return "the start decides how long one waits, the cap whether waiting helps at all."


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


@exercise(
    "07.4",
    "which entries lie more than 0.005 below the CNN? An entry above it is no fault.",
    "the curve has to stay: look for the last entry that is too low. Entry 0 is one step.",
    "low = (accuracy < cnn - 0.005).nonzero().flatten(); 1 if there is none, else low[-1] + 2; and 0 where that is "
    "more than len(accuracy).",
)
def steps_to_the_cnn(answer):
    for curve, cnn in _curves():
        steps, wanted = len(curve), _from_when_not(curve < cnn - 0.005)
        got = whole(call(answer, accuracy=curve, cnn=cnn), "the number of steps")
        slips = {
            "a curve that ends more than half a point below the CNN never gets there: return 0 for it.": wanted or got,
            "that is where it comes within half a point for the first time; it has to stay.": 1
            + int((curve >= cnn - 0.005).int().argmax()),
            f"{wanted - 1} is the index of an entry; entry 0 is one step, so index k means k + 1 steps.": wanted - 1,
            "above the CNN is no fault; only more than half a point below it.": _from_when_not(
                (curve - cnn).abs() > 0.005
            ),
            "compare with the accuracy of the CNN, not with the end of the curve.": _from_when_not(
                (curve - curve[-1]).abs() > 0.005
            ),
            "half a point below the CNN is near enough.": _from_when_not(curve < cnn),
            "that is where the curve is highest; asked is from where on it is near enough.": 1 + int(curve.argmax()),
            "that counts the entries that are too low; asked is where the last of them is.": 1
            + int((curve < cnn - 0.005).sum()),
        }
        recognise(got, wanted, slips, what=f"a curve of {steps} steps", tolerance=0)
        same(got, wanted, what=f"the number of steps for a curve of {steps}", tolerance=0)
    return "that number, and not the accuracy after ever so many steps, is what a converted network is judged by."


def _from_when_not(low):
    """The number of steps from which on ``low`` does not come again; 0 if it comes at the end."""
    steps = max(low.nonzero().flatten().tolist(), default=-1) + 2
    return steps if steps <= len(low) else 0


def _curves():
    """Curves that rise and stay, rise, fall out and come back, end too low, end above, and need no waiting."""
    rise = 0.5 * torch.exp(-torch.arange(41) / 3.0).double()
    dip, late = 0.001 - rise[:31], -0.001 - rise[:17]
    dip[19:22] -= 0.02
    late[-1] -= 0.01
    ends = (0.97, 0.002 - rise[:23]), (0.91, dip), (0.97, -0.02 - rise[:19])
    for cnn, below in *ends, (0.88, 0.02 - rise), (0.93, late), (0.97, 0.001 - rise[14:21]):
        yield cnn + below, cnn


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
        wanted, all_of_it = record.spikes.sum(0), v0 + steps * a
        got = tensor(call(answer, a=a, steps=steps, v0=v0), "the number of spikes")
        slips = {
            f"right for V_0 = 0; with V_0 = {v0} the first spike comes earlier.": (steps * a).floor().clamp(0, steps),
            "this rounds to the nearest, which is right for V_0 = 1/2 alone.": (steps * a).round().clamp(0, steps),
            "V_0 is there once, not at every step.": (steps * (a + v0)).floor().clamp(0, steps),
            "spikes are whole numbers: only full thresholds count.": all_of_it.clamp(0, steps),
            "a negative current fires no spikes, not a negative number of them.": all_of_it.floor().clamp(max=steps),
            "one spike a step is the most; a current above 1 cannot fire more.": all_of_it.floor().clamp(min=0),
            "a current below 0 fires no spikes, and one above 1 one a step and no more.": all_of_it.floor(),
            "only full thresholds count: round down, not up.": all_of_it.ceil().clamp(0, steps),
            "these are rates; wanted is the number of spikes.": wanted / steps,
        }
        recognise(got, wanted, slips)
        same(got, wanted, what=f"the number of spikes in {steps} steps from V_0 = {v0}", first="neuron")
    steps, a = 2**20, torch.tensor([-102, 7, 300, 511, 900, 1400]).double() / 1024
    try:
        got = within(2, lambda: call(answer, a=a, steps=steps, v0=0.25))
    except OutOfTime:
        raise NotYet(
            f"right for a few steps, but {steps:,} steps took it more than 2 s: it runs the neuron. Count without that."
        ) from None
    same(got, (steps * a).clamp(0, steps), what=f"the number of spikes in {steps:,} steps", first="neuron")
    a = (torch.arange(1000) + 0.5) / 1000
    zero, half = (((v0 + 10 * a).floor() / 10 - a).mean() for v0 in (0.0, 0.5))
    return (
        f"on average over currents from 0 to 1 and T = 10, the rate is off by {zero:+.3f} from V_0 = 0 and by "
        f"{abs(half):.3f} from one half: starting half full rounds to the nearest instead of down."
    )
