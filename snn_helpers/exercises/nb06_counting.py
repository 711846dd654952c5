"""Exercises of notebook 06 that count: neurons, parameters, operations."""

import math

from snn_helpers.exercises.core import NotYet, exercise, kind_of, numbers, whole

# 2 x 34 x 34, convolution of 5 x 5 to 12 maps, pooling, to 32 maps, pooling, linear to 10: (neurons, parameters)
LAYERS = ((12 * 15 * 15, 12 * (2 * 25 + 1)), (32 * 5 * 5, 32 * (12 * 25 + 1)), (10, 10 * (32 * 5 * 5 + 1)))

_BEFORE = "what there is before the pooling; a neuron stands for a patch of 2 x 2"
_PADDED = "of a convolution with padding; without it 5 x 5 takes two pixels off each side"
_MAPS = "the number of maps; every position of every map has a neuron of its own"
_NO_BIAS = "the weights alone; each output map (or neuron) has a bias as well"
_ONE_MAP = "one kernel an output map; it has one for each of the maps below"
_OWN = "a kernel of its own at every position; a convolution shares one kernel over all positions"
_WIDTH = "of another number of inputs: they are the neurons of layer 2"
_SLIPS = (
    ({12 * 30 * 30: _BEFORE, 12 * 17 * 17: _PADDED, 12: _MAPS}, {600: _NO_BIAS, 312: _ONE_MAP, 612 * 900: _OWN}),
    (
        {
            32 * 11 * 11: _BEFORE,
            32 * 7 * 7: _PADDED,
            32 * 8 * 8: _PADDED,
            32 * 6 * 6: "with half a window kept; the pooling drops an odd last row and column",
            32: _MAPS,
        },
        {9600: _NO_BIAS, 832: _ONE_MAP, 9632 * 121: _OWN},
    ),
    (
        {800: "the number of its inputs; how many are its outputs?"},
        {8000: _NO_BIAS} | {10 * (32 * n + 1): _WIDTH for n in (1, 121, 49, 64, 36)},
    ),
)


@exercise(
    "06.1",
    "a neuron sits on every value of a layer's output, after pooling. A convolution has one small kernel for each "
    "pair of an input and an output map.",
    "neurons: maps x height x width, with 34 - 4 = 30 before the first pooling. Weights of a convolution: out x in x "
    "5 x 5, of a Linear: out x in; and one bias for each output map or neuron.",
    "layer 1: 12 x 15 x 15 neurons and 12 x 2 x 25 + 12 parameters; layer 2 has maps of 5 x 5; the Linear sees 800.",
)
def neurons_and_parameters(answer):
    if isinstance(answer, (set, dict, str)) or not hasattr(answer, "__len__") or getattr(answer, "ndim", 2) == 0:
        raise NotYet(f"wanted three pairs (neurons, parameters), one a layer, got {kind_of(answer)}.")
    if len(answer) != 3:
        raise NotYet(f"wanted three pairs (neurons, parameters), one a layer, got {len(answer)}.")
    if all(
        tuple(numbers(row, "neurons", "parameters")) == wanted[::-1] for row, wanted in zip(answer, LAYERS, strict=True)
    ):
        raise NotYet("the right numbers, the wrong way round: of each pair the neurons come first.")
    for layer, (row, wanted, slips) in enumerate(zip(answer, LAYERS, _SLIPS, strict=True), 1):
        for what, value, right, slip in zip(
            ("neurons", "parameters"), numbers(row, "neurons", "parameters"), wanted, slips, strict=True
        ):
            place = f"layer {layer}, {what}"
            value = whole(value, place)
            if value != right:
                raise NotYet(f"{place}: {value:,} is {slip.get(value, _size(value, right))}.")
    return (
        f"together {sum(row[1] for row in LAYERS):,}, a hundredth of the lesson's network: 800 inputs of ten neurons "
        "are no longer one large matrix."
    )


def _size(value, right):
    return "too small" if value < right else "too large"


DENSE, SPARSE = 14 * 14 * 64 * 32 * 9, 1000 * 9 * 64


@exercise(
    "06.3",
    "dense: how many numbers does one output value need, and how many output values are there? In spikes, ask it the "
    "other way round: into how many sums does one input go?",
    "each output value is a sum over 32 input maps and 3 x 3 places; padding keeps the size, 14 x 14 places, 64 maps. "
    "A spike is in reach of 3 x 3 places of every output map.",
    "14 * 14 * 64 values of 32 * 3 * 3 multiplications each; 1,000 spikes, each into 3 * 3 * 64 sums.",
)
def dense_and_sparse(answer):
    dense, sparse = numbers(answer, "MACs of all inputs", "additions of the spikes")
    wrong = {
        DENSE // 4: "of 7 x 7 places; the convolution comes before its pooling, at 14 x 14",
        DENSE * 4: "of 28 x 28 places; the first pooling has halved each side already",
        DENSE // 32: "one input map; every kernel adds up all 32",
        64 * 32 * 9: "the number of weights; each of them is used at every one of the 14 x 14 places",
        DENSE * 8: "the count of eight steps; asked is one",
        2 * DENSE: "twice as many: a multiplication with its addition counts as one MAC",
        SPARSE: "what the spikes need; the first number is of all inputs",
        12 * 12 * 64 * 32 * 9: "without padding; with it there are 14 x 14 places",
    }
    few = {
        1000: "one addition a spike; each goes into many sums",
        1000 * 9: "one output map; a spike goes into all 64",
        1000 * 64: "one place of each map; 3 x 3 places have the spike in reach",
        1000 * 9 * 32: "with the number of input maps; a spike is in one of them and goes into all 64 output maps",
        1000 * 14 * 14 * 64: "every place of every map; only 3 x 3 of them have the spike in reach",
        1000 * 9 * 64 * 32: "once too often by 32: a spike is in one input map, not in all",
        2 * SPARSE: "twice as many; a spike is a 1, so there is nothing to multiply",
        SPARSE * 8: "the count of eight steps; asked is one",
        DENSE: "what all inputs need; the second number is of the spikes alone",
    }
    for what, value, right, slips in ("all inputs", dense, DENSE, wrong), ("the spikes", sparse, SPARSE, few):
        if 0 < value < 100 and math.isclose(value, right / 1e6, rel_tol=0.01):
            raise NotYet(f"{what}: in full, please, not in millions.")
        value = whole(value, what)
        if value != right:
            raise NotYet(f"{what}: {value:,} is {slips.get(value, _size(value, right))}.")
    return (
        f"{SPARSE / DENSE:.0%} of the work, the same share as of the inputs that fire (1,000 of 6,272): what is silent "
        "costs nothing, on hardware that can skip it."
    )
