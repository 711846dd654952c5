"""Exercises of notebook 08."""

import math

import torch

from snn_helpers.exercises.core import NotYet, call, close, exercise, same
from snn_helpers.neurons import Record, beta_from_tau, lif

SHAPES = [(12, 5, 32, 14, 14), (12, 5, 64, 7, 7), (12, 5, 512), (12, 5, 10)]


@exercise(
    "08.1",
    "time is the first axis, the digits of the batch the second; then the neurons of the layer.",
    "the neurons come after the pooling: the first layer has 32 maps of 14 x 14. What do the others have?",
    "(12, 5, 32, 14, 14), then 64 maps of 7 x 7, then 512 and 10 neurons.",
)
def shapes(answer):
    try:
        rows = [tuple(int(size) for size in row) for row in answer]
    except (TypeError, ValueError):
        rows = []
    if len(rows) != 4 or isinstance(answer, dict):
        raise NotYet("wanted four tuples of whole numbers, one a layer: [(..), (..), (..), (..)].")
    for number, (row, wanted) in enumerate(zip(rows, SHAPES, strict=True), 1):
        neurons = wanted[2:]
        typical = {
            (5, 12, *neurons): "this has the batch first; time is the first axis.",
            neurons: "these are the neurons of one digit at one step; where are time and batch?",
            (12, *neurons): "where is the batch?",
            (5, *neurons): "where is time?",
            (12, 5, math.prod(neurons)): "the neurons keep the shape that their layer gives them: maps, height, width.",
            (12, 5, neurons[0], *(2 * size for size in neurons[1:])): "this is before the pooling; the neurons come "
            "after it.",
            (12, 5, neurons[0], 28, 28): "this is before the pooling; the neurons come after it.",
        }
        if row != wanted:
            got = f"layer {number}: {list(row)}"
            raise NotYet(f"{got}: {typical.get(row, 'that is not what this layer of this network records.')}")
    return "time, digit, neurons: every record of the series, and every picture of a layer starts from it."


@exercise(
    "08.2",
    "after the input, each membrane is the one before times beta. Find two such steps and divide.",
    "beta is membrane[peak + 1] / membrane[peak]; and beta = exp(-dt / tau). Solve for tau.",
    "tau = -dt / log(beta), with the natural logarithm.",
)
def tau(answer):
    for wanted, dt, size, start in (5.0, 1.0, 0.9, 3), (20.0, 0.5, 0.4, 0), (3.0, 2.0, -0.7, 6), (11.0, 0.1, 0.05, 2):
        current = torch.zeros(37)
        current[start] = size
        beta = beta_from_tau(wanted, dt)
        got = call(answer, lif(current, beta=beta).membrane, dt)
        case = f"dt = {dt:g} ms, an input of {size:g} at step {start}"
        typical = {
            beta: "this is beta; tau is the time constant that makes it.",
            wanted / dt: "this is tau in steps; a step lasts dt.",
            -wanted: "this is negative: the logarithm of a number under 1 is.",
            dt / (1 - beta): "this is Euler's tau, dt / (1 - beta); here the decay is exact.",
            -dt / math.log10(beta): "this is with the logarithm to base 10; beta is a power of e.",
            wanted * math.log(2): "this is the half-life, or a logarithm to base 2; after tau a membrane has fallen "
            "to 1/e.",
        }
        for value, why in typical.items():
            if _is(got, value) and not _is(value, wanted):
                raise NotYet(f"{case}: {why}")
        if _is(got, math.nan):
            raise NotYet(f"{case}: your tau is NaN. Did you divide by a membrane that is 0, before the input came?")
        close(got, wanted, what=f"tau for {case}", tolerance=1e-3, unit=" ms")
    return "a jump and a decay are enough: two neighbouring values give tau, whoever wrote the neuron."


@exercise(
    "08.3",
    "argmax over time finds the first of several equal largest values. What does it say for a row of zeros?",
    "spikes.any(0) tells who fires at all; torch.where(condition, a, b) picks a where it is true, else b.",
    "torch.where(spikes.any(0), spikes.argmax(0), len(spikes))",
)
def first_spikes(answer):
    generator = torch.Generator().manual_seed(8)
    for steps, neurons, rate in (7, 11, 0.2), (13, 5, 0.1), (23, 17, 0.05), (5, 3, 0.0):
        spikes = (torch.rand(steps, neurons, generator=generator) < rate).float()
        fires, first = spikes.any(0), spikes.argmax(0)
        last = steps - 1 - spikes.flip(0).argmax(0)
        wanted = torch.where(fires, first, steps)
        got = call(answer, spikes.clone())
        typical = [
            (
                first,
                "a silent neuron is given step 0, because argmax of a row of zeros is 0: it would be sorted first.",
            ),
            (
                torch.where(fires, first, steps - 1),
                f"silent neurons are given the last step, {steps - 1}; wanted is T.",
            ),
            (torch.where(fires, first, -1), "silent neurons are given -1 and would be sorted first; wanted is T."),
            (torch.where(fires, last, steps), "this is the last spike of each neuron."),
            (torch.where(fires, first + 1, steps), "steps are counted from 0."),
            (spikes.sum(0), "this is the number of spikes of each neuron."),
        ]
        for value, why in typical:
            if torch.is_tensor(got) and got.shape == value.shape and torch.equal(got.long(), value.long()):
                if not torch.equal(value.long(), wanted):
                    raise NotYet(why)
        same(got, wanted, what="the first spikes", tolerance=0)
    return "silent neurons last: whoever sorts by a bare argmax puts them on top, before those that fire at once."


@exercise(
    "08.4",
    "record.spikes.any() says whether a layer fires at all. Go through the layers from the input.",
    "enumerate(records, 1) counts from 1; return at the first layer without a spike, and 0 after the loop.",
    "for number, record in enumerate(records, 1): if not record.spikes.any(): return number; at the end return 0.",
)
def silent_layer(answer):
    cases = [(0.2, 0.1, 0.3), (0.3, 0.0, 0.2), (0.2, 0.1, 0.0, 0.0), (0.0, 0.0), (0.1, "half", 0.0), (0.1, 0.001, 0.2)]
    for seed, rates in enumerate(cases):
        records = [_layer(rate, 100 * seed + number) for number, rate in enumerate(rates)]
        silent = [number for number, record in enumerate(records, 1) if not record.spikes.any()]
        wanted = silent[0] if silent else 0
        first_digit = [n for n, r in enumerate(records, 1) if not r.spikes[:, 0].any()]
        got = call(answer, records)
        said = "rates of the layers: " + ", ".join(f"{record.spikes.mean():.2%}" for record in records)
        typical = {
            wanted - 1 if wanted else None: "layers are counted from 1",
            len(records) if not wanted else None: "no layer is silent: wanted is 0",
            silent[-1] if silent else None: "that is the last silent layer; the first one is the one to treat",
            first_digit[0] if first_digit else None: "this layer is silent for the first digit, but not for the others",
            min(range(1, len(records) + 1), key=lambda n: records[n - 1].spikes.mean()): "this layer fires seldom, "
            "but it fires",
        }
        for value, why in typical.items():
            if value not in (None, wanted) and _is(got, value):
                raise NotYet(f"{said}: {why}.")
        same(got, wanted, what=f"the silent layer ({said})", tolerance=0)
    return "silent, not seldom, and the first of them: the layers above it may only be waiting for their input."


def _layer(rate, seed):
    """A layer [T, B, N] that fires at ``rate``; "half": only for the last digits of the batch."""
    chance = torch.rand(13, 7, 31, generator=torch.Generator().manual_seed(seed))
    spikes = (chance < (0.2 if rate == "half" else rate)).float()
    if rate == 0.001:
        spikes[:] = 0
        spikes[5, 2, 17] = 1
    if rate == "half":
        spikes[:, :3] = 0
    return Record(spikes, spikes + 0.1)


@exercise(
    "08.5",
    "report(clinic.stranger(1)), and so on: two of the four show themselves in diagnose.",
    "then same_answer_twice after keeps_state could matter, gradients against those of the healthy one, and the loss "
    "of a perfect answer.",
    "one has two answers to one question, one has next to no gradient, one gives a perfect answer a loss of ln 10, one "
    "is saturated.",
)
def strangers(answer):
    from snn_helpers.widgets.clinic import SICKNESSES, STRANGERS  # the explorers are slow to import

    if not isinstance(answer, (list, tuple)) or len(answer) != 4 or not all(isinstance(a, str) for a in answer):
        raise NotYet("wanted a list of four names, one a stranger, as in list(clinic.SICKNESSES).")
    for number, (name, wanted) in enumerate(zip(answer, STRANGERS, strict=True), 1):
        if name not in SICKNESSES:
            raise NotYet(f"stranger {number}: {name!r} is none of the seven: {', '.join(SICKNESSES)}.")
        if name != wanted:
            raise NotYet(f"stranger {number}: {_AGAINST[name]}")
    return "one by the records, one by asking twice, one by its gradients, one by a perfect answer: four finds."


# what speaks against each wrong diagnosis of one of STRANGERS
_AGAINST = {
    "no reset between batches": "asked the same question twice, it gives the same answer.",
    "negatives into Poisson": "its encoder fires for every pixel above 0, at the rate of its grey value. Dim one.",
    "slope 1000": "its gradients are not those of a spike that is nearly a step. Print them.",
    "beta 1 with bias": "its hidden layer is far from saturated. Look at the firing rates.",
    "threshold 100": "its layers fire. What would be silent with a threshold of 100?",
    "zero weights": "its layers fire. Could they, with weights of zero?",
    "loss on the wrong axis": "a perfect answer gets a loss near 0 from it. Make one by hand and try.",
}


def _is(got, value):
    try:
        return math.isclose(float(got), value, rel_tol=1e-3, abs_tol=1e-9) or (
            math.isnan(value) and math.isnan(float(got))
        )
    except (TypeError, ValueError, RuntimeError):
        return False
