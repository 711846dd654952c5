"""Exercises of notebook 08."""

import math
from itertools import pairwise

import torch

from snn_helpers.exercises.core import NotYet, call, close, exercise, kind_of, number, recognise, same, tensor, whole
from snn_helpers.neurons import beta_from_tau, lif

# what is asked for, its shape, and what other shapes show; csnn(), 5 digits, 12 steps
_SHAPES = (
    (
        "membranes of layer 2",
        (12, 5, 64, 7, 7),
        {
            (5, 12, 64, 7, 7): "this has the batch first; time is the first axis",
            (64, 7, 7): "these are the neurons of one digit at one step; where are time and batch?",
            (12, 64, 7, 7): "where is the batch?",
            (12, 5, 3136): "the neurons keep the shape that their layer gives them: maps, height, width",
            (12, 5, 64, 14, 14): "this is before the pooling; the neurons come after it",
            (12, 5, 32, 14, 14): "this is layer 1",
        },
    ),
    (
        "currents of layer 1",
        (11, 5, 32, 14, 14),
        {
            (12, 5, 32, 14, 14): "each of them takes the membrane of the step before, and the first step has none",
            (5, 32, 14, 14): "it does not change here, but there is one for each pair of neighbouring steps",
            (11, 32, 14, 14): "where is the batch?",
        },
    ),
    (
        "rates of layer 3",
        (5, 512),
        {
            (12, 5, 512): "a rate is a mean over time, so time is gone",
            (12, 512): "a mean over time, not over the digits",
            (512,): "where is the batch? One rate for each digit",
            (512, 5): "the digits come before the neurons",
        },
    ),
    (
        "order of layer 3",
        (512,),
        {
            (12, 512): "the order is one row of numbers: who comes first, second, ...; time is gone",
            (5, 512): "of one digit, not of all five",
            (12,): "neurons are ordered here, not steps",
        },
    ),
    (
        "votes so far",
        (12, 5, 10),
        {
            (5, 10): "these are the votes at the end; there are some after every step",
            (12, 10): "where is the batch?",
            (5, 12, 10): "time is the first axis",
            (12, 5): "each of the ten classes has its own count",
        },
    ),
)


@exercise(
    "08.1",
    "a record is [time, digit, neurons of the layer]. What is averaged over is gone; what is added up step by step "
    "stays.",
    "layer 1 has 32 maps of 14 x 14 after its pooling, layer 2 64 of 7 x 7. I[t] = U[t] - V[t-1] needs two "
    "neighbouring steps. The order is one number a neuron.",
    "(12, 5, 64, 7, 7), then one step less for layer 1; then spikes.mean(0), an argsort of 512 numbers, and "
    "spikes.cumsum(0).",
)
def shapes(answer):
    if isinstance(answer, (str, dict, set)) or not hasattr(answer, "__len__") or getattr(answer, "ndim", 1) == 0:
        raise NotYet(f"wanted five tuples of whole numbers, [(..), (..), (..), (..), (..)], got {kind_of(answer)}.")
    if len(answer) != len(_SHAPES):
        raise NotYet(f"wanted five tuples of whole numbers, one for each question, got {len(answer)}.")
    for row, (what, wanted, slips) in zip(answer, _SHAPES, strict=True):
        if isinstance(row, (str, dict, set)):
            raise NotYet(f"{what}: wanted a tuple of whole numbers, got {kind_of(row)}.")
        row = (row,) if not hasattr(row, "__len__") or getattr(row, "ndim", 1) == 0 else row  # (512) is meant as (512,)
        shape = tuple(whole(size, what) for size in row)
        if shape != wanted:
            raise NotYet(f"{what}: {list(shape)}: {slips.get(shape, 'that is not the shape of it')}.")
    return "time, digit, neurons: what is not averaged over stays, and a difference in time costs one step."


@exercise(
    "08.2",
    "after the input, each membrane is the one before times beta. Find two such steps and divide.",
    "beta is membrane[peak + 1] / membrane[peak]; and beta = exp(-dt / tau). Solve for tau.",
    "tau = -dt / log(beta), with the natural logarithm.",
)
def tau(answer):
    for wanted, dt, size, start in (5.0, 1.0, 0.9, 3), (20.0, 0.5, 0.4, 0), (3.0, 2.0, -0.7, 6), (7.3, 0.1, 0.05, 2):
        current = torch.zeros(37)
        current[start] = size
        beta = beta_from_tau(wanted, dt)
        case = f"dt = {dt:g} ms, an input of {size:g} at step {start}"
        got = call(answer, membrane=lif(current, beta=beta).membrane, dt=dt)
        if torch.is_tensor(got) and got.numel() == 1 and got.isnan().any():
            raise NotYet(
                f"{case}: your tau is NaN. Is something divided by a membrane that is 0, before the input came, or is "
                "the logarithm of a negative number taken?"
            )
        got = number(got, f"tau for {case}")
        slips = {
            "this is beta; tau is the time constant that makes it.": beta,
            "this is tau in steps; a step lasts dt.": wanted / dt,
            "this is negative: the logarithm of a number under 1 is.": -wanted,
            "this is Euler's tau, dt / (1 - beta); here the decay is exact.": dt / (1 - beta),
            "this is with the logarithm to base 10; beta is a power of e.": -dt / math.log10(beta),
            "this is the half-life, or a logarithm to base 2; after tau a membrane has fallen to 1/e.": (
                wanted * math.log(2)
            ),
            "this is 1 / tau.": 1 / wanted,
            "this is a whole number of steps until it is under 1/e; tau may lie between two steps.": (
                dt * math.ceil(wanted / dt + 1e-6)
            ),
            "two steps lie between the two values that were divided, not one.": wanted / 2,
        }
        recognise(got, wanted, slips, what=case, tolerance=1e-3)
        close(got, wanted, what=f"tau for {case}", tolerance=1e-3, unit=" ms")
    return "a jump and a decay are enough: two neighbouring values give tau, whoever wrote the neuron."


@exercise(
    "08.3",
    "count the steps since the last spike, for all neurons at once; keep the largest count that you have seen.",
    "a spike sets the count to 0, a step without one adds 1: pause = (pause + 1) * (1 - step).",
    "for step in spikes: pause = (pause + 1) * (1 - step); longest = torch.maximum(longest, pause). Both begin at 0.",
)
def longest_pause(answer):
    generator = torch.Generator().manual_seed(8)
    for steps, neurons, rate in (11, 7, 0.3), (13, 5, 0.1), (23, 17, 0.2), (5, 3, 0.0), (6, 4, 1.0):
        spikes = (torch.rand(steps, neurons, generator=generator) < rate).float()
        pauses = [_pauses(row) for row in spikes.T]
        wanted = torch.tensor([max(row) for row in pauses])
        got = tensor(call(answer, spikes=spikes), "the longest pauses")
        inner = torch.tensor([max([0, *row[1:-1]]) for row in pauses])
        slips = {
            "these are all steps without a spike; only those in a row make a pause.": (1 - spikes).sum(0),
            "pauses before the first spike and after the last count as well.": inner,
            "a pause after the last spike counts as well.": torch.tensor([max([0, *row[:-1]]) for row in pauses]),
            "a pause before the first spike counts as well.": torch.tensor([max([0, *row[1:]]) for row in pauses]),
            "these are the steps before the first spike; the longest pause may come later.": torch.tensor(
                [row[0] for row in pauses]
            ),
            "these are the steps after the last spike; the longest pause may come earlier.": torch.tensor(
                [row[-1] for row in pauses]
            ),
            "that is the distance between two spikes, or one too many: neighbouring spikes have no pause.": wanted + 1,
            "one too few: count the steps without a spike themselves.": wanted - 1,
            "a neuron that never fires pauses for all T steps, not for 0 (nor -1).": wanted * spikes.any(0),
            "these are the longest runs of spikes; asked is without.": torch.tensor(
                [max(_pauses(1 - row)) for row in spikes.T]
            ),
            "this is one pause of the layer; each neuron has its own.": torch.tensor(max(_pauses(spikes.amax(1)))),
        }
        recognise(got, wanted, slips, what=f"{neurons} neurons, {steps} steps", tolerance=0)
        same(got, wanted, what="the longest pauses", tolerance=0, first="neuron")
    return "a rate does not tell a burst from a steady beat; the longest pause does."


def _pauses(row):
    """Steps without a spike before the first one, between two, and after the last; of spikes [T]."""
    at = [-1, *row.nonzero().flatten().tolist(), len(row)]
    return [after - before - 1 for before, after in pairwise(at)]


@exercise(
    "08.4",
    "what is left of a membrane after a spike that resets to zero, and after a step without a spike? The current is "
    "what came on top of it.",
    "U[t] = beta U[t-1] (1 - S[t-1]) + I[t]. Solve for I[t]. At the first step there was nothing before.",
    "left = beta * record.membrane * (1 - record.spikes); the currents are record.membrane, less left[:-1] from its "
    "second step on.",
)
def currents(answer):
    generator = torch.Generator().manual_seed(84)
    for steps, neurons, beta in (13, 7, 0.9), (23, 3, 0.5), (7, 11, 0.8):
        wanted = torch.rand(steps, neurons, generator=generator) * 0.9
        record = lif(wanted, beta=beta, reset="zero")
        got = tensor(call(answer, record=record, beta=beta), "the currents")
        S, U = record
        slips = {
            "this takes a threshold off, as after a reset by subtraction; here a spike leaves nothing.": _from(
                U, beta * U - S
            ),
            "a spike leaves what is above the threshold here; after a reset to zero it leaves nothing.": _from(
                U, beta * (U - S)
            ),
            "a spike empties the membrane; here it goes on as if there was none.": _from(U, beta * U),
            "the spikes of the step itself are taken; those of the step before have emptied the membrane.": torch.cat(
                [U[:1] * (1 - S[:1]), U[1:] - beta * U[:-1] * (1 - S[1:])]
            ),
            "the leak is missing: beta of what was there is left after a step.": _from(U, U * (1 - S)),
            "the first current is missing: before it the membrane was 0, so it is U[0] itself.": _from(
                U, beta * U * (1 - S)
            )[1:],
            "the first current is not 0: before it the membrane was 0, so it is U[0] itself.": torch.cat(
                [0 * U[:1], _from(U, beta * U * (1 - S))[1:]]
            ),
            "the first step has no last step before it; here the membrane of the end is wrapped around.": U
            - (beta * U * (1 - S)).roll(1, 0),
            "these are the membranes; take off what is left of the step before.": U,
            "this is what is left after leak and reset; the current is what comes on top of it.": beta * U * (1 - S),
            "the sign is the other way round: the current is the membrane less what was left.": -wanted,
        }
        recognise(got, wanted, slips, what=f"beta = {beta}", tolerance=1e-4)
        same(got, wanted, what=f"the currents for beta = {beta}", tolerance=1e-4)
    return "a record holds all that drove its neurons, if you know how they were reset."


def _from(U, left):  # the membrane less what was left of it one step before
    return torch.cat([U[:1], U[1:] - left[:-1]])


@exercise(
    "08.5",
    "begin with the firing rates and the highest membranes: two of the four show themselves.",
    "then each check for each: one question twice, a grey image, a perfect answer, gradients. Two have two sicknesses.",
    "one gives two answers to one question, one has next to no gradient; one is saturated, one silent, and these two "
    "have something else besides, in the encoder or in the loss.",
    seconds=20,  # the explorers are slow to import
)
def strangers(answer):
    from snn_helpers.widgets import clinic, ward

    answer = answer.tolist() if hasattr(answer, "tolist") else answer
    form = "wanted a list of four, one a stranger: a name out of list(clinic.SICKNESSES), or a list of two names"
    if not isinstance(answer, (list, tuple)) or len(answer) != 4:
        raise NotYet(f"{form}, got {len(answer) if isinstance(answer, (list, tuple)) else kind_of(answer)}.")
    known = {name.lower(): name for name in clinic.SICKNESSES}
    for who, names in enumerate(answer, 1001):
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, (list, tuple, set)) or not names or not all(isinstance(name, str) for name in names):
            raise NotYet(f"stranger {who}: {form}, got {'dots' if names is ... else kind_of(names)} in this place.")
        found = {known.get(name.strip().lower(), name) for name in names}
        for name in sorted(found - set(ward.sicknesses(who))):
            if name not in clinic.SICKNESSES:
                raise NotYet(f"stranger {who}: {name!r} is none of the seven: {', '.join(clinic.SICKNESSES)}.")
            raise NotYet(f"stranger {who}: not {name}: {_AGAINST[name]}")
        if len(found) < len(ward.sicknesses(who)):
            raise NotYet(f"stranger {who}: that is right, but not all: it has something else as well.")
    return "by records, by asking twice, by a grey, by gradients, by a perfect answer: all four, and the hidden two."


# what speaks against each wrong diagnosis; true of every stranger that has not got the sickness
_AGAINST = {
    "no reset between batches": "asked the same question twice, it gives the same answer.",
    "negatives into Poisson": "its encoder fires for every pixel above 0, at the rate of its grey value. Dim one.",
    "slope 1000": "its surrogate is a healthy one. Its gradients are what they are by its loss or its membranes.",
    "beta 1 with bias": "its hidden layer is far from saturated. Look at the firing rates.",
    "threshold 100": "under a threshold of 100 nothing fires, and yet the membranes move. Look at both.",
    "zero weights": "with weights and biases of zero no membrane ever leaves 0. Look at the highest ones.",
    "loss on the wrong axis": "a perfect answer gets a loss near 0 from it. Make one by hand and try.",
}
