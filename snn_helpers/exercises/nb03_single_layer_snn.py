"""Exercises of notebook 03; those about votes and accuracy are in nb03_votes."""

import torch

from snn_helpers.exercises.core import NotYet, call, close, exercise, numbers, recognise, same, whole
from snn_helpers.neurons import lif


@exercise(
    "03.1",
    "first the rates, then how far each is from its target: 1 for class 2, 0 for the others. One spike is a tenth.",
    "the errors are 0.3, 0, -0.4, 0.5 and 0. The loss adds up their squares: where does a tenth less count most?",
    "class 3, with a spike less: (3, (0.3**2 + 0.4**2 + 0.4**2) / 5).",
)
def one_spike(answer):
    chosen, loss = numbers(answer, "class", "loss")
    chosen = whole(chosen, "the class")
    errors = {0: 0.3, 1: 0, 2: 0.4, 3: 0.5, 4: 0}
    if chosen not in errors:
        raise NotYet(f"there are classes 0 to 4, got {chosen}. Wanted is (class, loss), in this order.")
    if not errors[chosen]:
        raise NotYet(f"class {chosen} is silent, as it should be: its error is 0, and a spike of it adds to the loss.")
    if chosen != 3:
        raise NotYet(f"class {chosen} is {errors[chosen]} off its target, but another class is further off.")
    slips = {
        "this is the sum of the squares; the loss is their mean over the classes.": 0.41,
        "this is divided by the ten steps; the mean is taken over the five classes.": 0.041,
        "this is the loss before the change; wanted is what it is after.": 0.1,
        "this is by how much the loss falls; wanted is what is left of it.": 0.018,
        "this is the loss with one more spike of class 3, which should be silent.": 0.122,
        "these are squares of spike counts; divide by the steps first: rates are compared.": 8.2,
    }
    recognise(loss, 0.082, slips, what="class 3 it is; the loss", tolerance=1e-3)
    close(loss, 0.082, what="class 3 it is; the loss", tolerance=1e-3, decimals=3)
    return "not the right class but the largest error has most to give: the slope of a square is twice the error."


@exercise(
    "03.2",
    "write down the rates, 26 of them. How far is each from the one-hot target? One should be 1, the other 25 be 0.",
    "with a common rate r the loss is ((r - 1)^2 + 25 r^2) / 26. Two of the three are r = 0 and r = 1.",
    "the parabola is lowest at r = 1/26: (1/26, 25/26, 25/26**2).",
)
def letters(answer):
    silent, busy, blind = numbers(answer, "silent", "all firing", "best common rate")
    slips = {
        "this is the sum of the squares; the loss is their mean over 26 classes.": 1,
        "0 is a perfect score; the neuron of the right letter should fire at every step and does not.": 0,
        "this is silence with ten classes; here there are 26.": 0.1,
    }
    recognise(silent, 1 / 26, slips, what="silent", tolerance=1e-3)
    close(silent, 1 / 26, what="silent", tolerance=1e-3, decimals=4)
    slips = {
        "one of them is right to fire; but the other 25 should be silent.": 0,
        "one of them is right to fire: the squares are 25 ones, not 26.": 1,
        "this is the sum of the squares; the loss is their mean over 26 classes.": 25,
        "this is the loss of silence, with one error of 1. If all fire, there are 25 of them.": 1 / 26,
        "this is for ten classes; here there are 26.": 0.9,
    }
    recognise(busy, 25 / 26, slips, what="all firing", tolerance=1e-3)
    close(busy, 25 / 26, what="all firing", tolerance=1e-3, decimals=4)
    slips = {
        "a rate of one half is half wrong everywhere, which costs more than silence.": 0.25,
        "this is the sum of the squares; the loss is their mean over 26 classes.": 25 / 26,
        "this is what silence costs, and a little activity costs less. If you mean a rate: wanted is its loss.": 1 / 26,
        "it does not look at the picture, so it cannot be right about all letters.": 0,
        "this is for ten classes; here there are 26.": 0.09,
    }
    recognise(blind, 25 / 26**2, slips, what="best common rate", tolerance=1e-3)
    close(blind, 25 / 26**2, what="best common rate", tolerance=1e-3, decimals=4)
    return "1/C is silence; a loss just below it is a network that fires, and says the same of every picture."


@exercise(
    "03.4",
    "give it one batch, then the same batch twice. Which variables still know of the first when the second comes?",
    "the membranes and the votes do. And the line with (U <= 1): after a spike, which of the two terms must go?",
    "U, votes = 0, 0 belongs inside the first loop; the membrane line is U = beta * U * (U <= 1) + I.",
)
def reader(answer):
    for beta, sizes in (0.5, (13, 13)), (0.75, (7, 7, 7)), (0.5, (11, 5, 3)):
        spikes, weight = _race(beta, sum(sizes))
        batches = list(spikes.split(sizes, 1))
        got = call(answer, batches=batches, W=weight, beta=beta)
        case = f"batches of {', '.join(map(str, sizes))} digits"
        wanted = _read(batches, weight, beta)
        slips = _faults(len(set(sizes)) == 1)
        slips = {reason: _read(batches, weight, **dict(dict(beta=beta) | how)) for reason, how in slips.items()}
        slips |= {
            "this is the answer to the first batch alone.": wanted[: sizes[0]],
            "this is the answer to the last batch alone.": wanted[-sizes[-1] :],
            "it is 0 for every digit. Are the spikes counted after the reset, when no membrane is above 1 any more?": (
                torch.zeros(sum(sizes))
            ),
        }
        recognise(got, wanted, slips, what=case)
        same(got, wanted, what=f"the answer for {case}", tolerance=0, first="digit")
    return "three faults, no error message. State is the caller's to start, and what a reset forgets is the membrane."


def _faults(carried):
    """What goes wrong in 03.4: reason -> settings of ``_read``; ``carried``: if all batches are of one size."""
    cuts = {
        "after a spike the input is forgotten, and the membrane kept: reset to zero is the other way round.": "input",
        "after a spike the input is forgotten as well; reset to zero clears the membrane alone.": "both",
        "after a spike nothing is forgotten.": "nothing",
        "after a spike the threshold is taken off; wanted is the reset to zero.": "threshold",
    }
    known = {f"each batch starts afresh, as it should. But {words}": dict(cut=cut) for words, cut in cuts.items()}
    known |= {
        "the membrane starts from 0 at every step, and remembers nothing.": dict(leak=0),
        "the votes start from 0 at every step, so only the last step counts.": dict(last=True),
        "a neuron spikes above the threshold, not at it: U > 1.": dict(at=True),
    }
    if not carried:  # with batches of other sizes, what is carried over does not fit
        return known
    kept = {
        "the second batch starts with the membranes of the first": dict(membrane=True),
        "the second batch starts with the votes of the first": dict(votes=True),
        "the second batch starts with the membranes and the votes of the first": dict(membrane=True, votes=True),
    }
    known["all three faults are still in it."] = dict(membrane=True, votes=True, cut="input")
    known |= {f"{start}.": how for start, how in kept.items()}
    return known | {
        f"{start}; and {words}": how | dict(cut=cut) for start, how in kept.items() for words, cut in cuts.items()
    }


def _race(beta, digits):
    """Spikes [7, N, 20] and weights [5, 20] in eighths, exact in float32; no digit ends in a tie."""
    generator = torch.Generator().manual_seed(28 if beta == 0.5 else 26)  # so that each known fault shows
    weight = torch.randint(-3, 6, (5, 20), generator=generator) / 8
    spikes = (torch.rand(7, 20 * digits, 20, generator=generator) < 0.25).float()
    votes = lif(spikes @ weight.T, beta=beta, reset="zero").spikes.sum(0).topk(2).values
    return spikes[:, votes[:, 0] > votes[:, 1]][:, :digits], weight


def _read(batches, weight, beta, *, membrane=False, votes=False, cut="membrane", leak=None, last=False, at=False):
    """The reader of exercise 03.4 with one fault or another: what is carried over, what a spike cuts."""
    keep_membrane, keep_votes, beta = membrane, votes, beta if leak is None else leak
    answers = []
    for spikes in batches:
        if not (keep_membrane and answers):
            u = torch.zeros(spikes.shape[1], len(weight))
        if not (keep_votes and answers):
            count = torch.zeros(spikes.shape[1], len(weight))
        for current in spikes @ weight.T:
            spiked = (u >= 1 if at else u > 1).float()
            decayed = beta * u * (1 - spiked * (cut in ("membrane", "both")))
            u = decayed + current * (1 - spiked * (cut in ("input", "both"))) - spiked * (cut == "threshold")
            fired = (u >= 1 if at else u > 1).float()
            count = fired if last else count + fired
        answers.append(count.argmax(-1))
    return torch.cat(answers)
