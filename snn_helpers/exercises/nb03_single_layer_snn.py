"""Exercises of notebook 03."""

import torch

from snn_helpers import data, networks, training
from snn_helpers.encoding import poisson
from snn_helpers.exercises.core import NotYet, call, close, exercise, same


@exercise(
    "03.1",
    "first the firing rate of each neuron: its spikes divided by the number of steps.",
    "the rates are 3/4, 1/4 and 0; the target is 1 for class 0 and 0 for the others.",
    "average the three squares (3/4 - 1)^2, (1/4)^2 and 0^2.",
)
def loss_by_hand(answer):
    wanted = ((3 / 4 - 1) ** 2 + (1 / 4) ** 2) / 3
    if isinstance(answer, (int, float)) and abs(answer - 3 * wanted) < 1e-4:
        raise NotYet("this is the sum of the squares; the loss is their mean over the classes.")
    if isinstance(answer, (int, float)) and abs(answer - ((3 - 1) ** 2 + 1) / 3) < 1e-3:
        raise NotYet("these are squares of spike counts; divide by the number of steps first: the rate is compared.")
    close(answer, wanted, what="the loss", tolerance=1e-3)
    return "three numbers, two of them slightly off: that is all the network is told about this digit."


@exercise(
    "03.2",
    "a silent network has a rate of 0 everywhere. How far is that from the one-hot target?",
    "nine differences are 0, one is 1. Square and average.",
    "one square of 1, shared by ten classes.",
)
def silent_loss(answer):
    if isinstance(answer, (int, float)) and answer == 1:
        raise NotYet("1 is the sum of the squares; the loss is their mean over ten classes.")
    if isinstance(answer, (int, float)) and answer == 0:
        raise NotYet(
            "0 would be a perfect score; the neuron of the right class should fire at every step and does not."
        )
    close(answer, 0.1, what="the loss of a silent network", tolerance=1e-6)
    return "a loss stuck at exactly 1/C says: nobody fires. Remember the number, you will meet it again."


@exercise(
    "03.3",
    "counts.max(-1) gives the highest count of each digit. How many classes reach it?",
    "compare counts with counts.max(-1, keepdim=True).values and add up over the classes.",
    "((counts == counts.max(-1, keepdim=True).values).sum(-1) > 1).sum()",
)
def ties(answer):
    generator = torch.Generator().manual_seed(3)
    for top in 2, 5, 40:
        counts = torch.randint(0, top, (53, 7), generator=generator).float()
        wanted = ((counts == counts.max(-1, keepdim=True).values).sum(-1) > 1).sum()
        got = call(answer, counts.clone())
        if torch.is_tensor(got) and got.shape == (53,):
            raise NotYet("your function returns one value a digit; wanted is how many digits end in a tie: one number.")
        anywhere = sum(len(row.unique()) < len(row) for row in counts)
        if anywhere != wanted and _equals(got, anywhere):
            raise NotYet("this counts equal counts anywhere; only a tie for first place makes the vote ambiguous.")
        same(got, wanted.to(torch.int64), what=f"the number of ties among 53 digits with up to {top - 1} spikes")
    return "argmax settles each tie in favour of the smaller digit, silently: with few steps that is many digits."


@exercise(
    "03.4",
    "the last entry of the curve is the accuracy with all steps. Which entries lie within half a point of it?",
    "once within is not enough: the curve has to stay there. Look for the last entry that is outside.",
    "outside = (accuracy - accuracy[-1]).abs() > 0.005; the answer is the last True's index plus 2, or 1 if there "
    "is none.",
)
def enough_steps(answer):
    generator = torch.Generator().manual_seed(4)
    for steps in 13, 31, 101:
        noise = torch.randn(steps, generator=generator) * 0.02
        curve = 0.9 - 0.4 * torch.exp(-torch.arange(steps) / 6) + noise * torch.linspace(1, 0, steps)
        outside = ((curve - curve[-1]).abs() > 0.005).nonzero().flatten()
        wanted = outside[-1].item() + 2 if len(outside) else 1
        first = ((curve - curve[-1]).abs() <= 0.005).nonzero()[0].item() + 1
        got = call(answer, curve.clone())
        if _equals(got, wanted - 1):
            raise NotYet(
                f"{wanted - 1} is the index; the curve's first entry stands for one step, so index k means k + 1 steps."
            )
        if first != wanted and _equals(got, first):
            raise NotYet(
                f"at {first} steps the curve comes within half a point, but it leaves again: wanted is where it stays."
            )
        same(got, wanted, what=f"the number of steps for a curve of {steps}")
    return "the rest of the steps buy next to nothing: early exit, the cheapest speed-up a spiking network has."


@exercise(
    "03.5",
    "go through data.batches(digits, 500), encode, ask the network, count the spikes, compare with the labels.",
    "net(encoding.poisson(images, 50))[-1] is the output's Record; training.spike_count adds up its spikes.",
    "right += (counts.argmax(-1) == labels).sum().item() for every batch; in the end right / len(digits.labels).",
)
def judged_accuracy(answer):
    net = networks.single_layer()
    net.load_state_dict(networks.weights("single-layer-fast"))
    every = data.mnist(train=False, root=data.BUNDLED)
    some = data.Digits(every.images[:523], every.labels[:523], "")
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        got = call(answer, net, some)
        wanted = training.accuracy(net, some, lambda images: poisson(images, 50))
        if isinstance(got, float) and abs(got / 100 - wanted) < 0.03:
            raise NotYet(f"{got:.4g} looks like per cent; wanted is a share between 0 and 1.")
        same(got, torch.tensor(wanted), what="the accuracy on 523 bundled digits", tolerance=0.02)
        full = data.mnist(train=False)
        if len(full.labels) != 10_000:
            return (
                "your function judges rightly. MNIST's own test set is not on this machine, so the 0.92 waits for it."
            )
        share = call(answer, net, full)
    if not share >= 0.92:
        raise NotYet(f"on all 10,000 test images your function says {share:.4f}; the bundled weights reach 0.92.")
    return f"{share:.2%} of all 10,000 test images."


def _equals(got, value):
    try:
        return float(got) == value
    except (TypeError, ValueError):
        return False
