"""Exercises of notebook 03 about votes: ties, and the share that a network recognises.

Each is judged by several cases. A slip is named only if it gives what came in all of them: in one case alone two
slips may give the same number.
"""

import torch

from snn_helpers import data, weights
from snn_helpers.encoding import direct, poisson
from snn_helpers.exercises.core import NotYet, alike, call, exercise, number, recognise, same
from snn_helpers.exercises.watched import Watched


@exercise(
    "03.3",
    "counts.max(-1) gives the highest count of each digit. How many classes reach it?",
    "compare counts with counts.max(-1, keepdim=True).values and add up over the classes.",
    "((counts == counts.max(-1, keepdim=True).values).sum(-1) > 1).sum()",
)
def ties(answer):
    generator = torch.Generator().manual_seed(3)
    cases, got = [], []
    for digits, classes, top in (53, 7, 3), (31, 5, 4), (211, 10, 40), (11, 11, 3):
        counts = torch.randint(0, top, (digits, classes), generator=generator).float()
        counts[:2], counts[2, :3] = 0, top  # nobody has fired; three in first place
        cases.append(counts)
        got.append(call(answer, counts=counts))
    first = [counts == counts.max(-1, keepdim=True).values for counts in cases]
    shared = [one.sum(-1) > 1 for one in first]
    how_many = first[0].sum(-1)
    if any(alike(got[0], each) for each in (shared[0], how_many, torch.where(shared[0], how_many, 0))):
        raise NotYet("your function returns one value a digit; wanted is how many digits end in a tie: one number.")
    got = [number(value, "the number of ties") for value in got]
    wanted = [float(one.sum()) for one in shared]
    # a slip is named if it gives what came in all cases: in one alone, two slips may give the same number
    slips = {
        reason: [float(slip(counts, one.sum(-1))) for counts, one in zip(cases, first, strict=True)]
        for reason, slip in _TIES.items()
    }
    recognise(got, wanted, slips)
    for counts, value, right in zip(cases, got, wanted, strict=True):
        digits, classes = counts.shape
        same(value, right, what=f"ties among {digits} digits, {classes} classes with up to {int(counts.max())} spikes")
    return "argmax settles each tie in favour of the smaller digit, silently: with few steps that is many digits."


# slips of exercise 03.3: (counts [N, C], how many classes share first place [N]) -> what they give
_TIES = {
    "this is 1 in every case: a return inside the loop, one digit only, or the highest of all digits together?": (
        lambda counts, n: 1
    ),
    "this counts equal counts anywhere; only a tie for first place makes the vote ambiguous.": (
        lambda counts, n: sum(len(row.unique()) < len(row) for row in counts)
    ),
    "this counts first places that two classes share; three may share one too.": lambda counts, n: (n == 2).sum(),
    "this counts first places that three or more share; two may share one too.": lambda counts, n: (n > 2).sum(),
    "this leaves out the digits for which nobody has fired: there, all classes tie with 0 spikes.": (
        lambda counts, n: ((n > 1) & counts.any(-1)).sum()
    ),
    "this counts the classes in first place; wanted is the number of digits.": lambda counts, n: n.sum(),
    "this counts the classes that share one; wanted is the number of digits.": lambda counts, n: n[n > 1].sum(),
    "this counts the classes beside the winner; wanted is the number of digits.": lambda counts, n: (n - 1).sum(),
    "this counts the digits that have one winner; wanted are the others.": lambda counts, n: (n == 1).sum(),
    "this counts all digits: each has a highest count. How many have it twice or more?": lambda counts, n: len(n),
    "this counts the digits for which nobody has fired; others may end in a tie as well.": (
        lambda counts, n: (~counts.any(-1)).sum()
    ),
    "this counts close races too; in a tie there is no difference at all.": (
        lambda counts, n: (counts.topk(2).values.diff(dim=-1) >= -1).sum()
    ),
    "this is a share; wanted is the number of digits.": lambda counts, n: (n > 1).double().mean(),
    "this is a share in per cent; wanted is the number of digits.": lambda counts, n: 100 * (n > 1).double().mean(),
    "this takes the highest count of each class; wanted is that of each digit. Counts are [N, C].": (
        lambda counts, n: ((counts == counts.max(0).values).sum(0) > 1).sum()
    ),
    "this takes the highest count of all digits together; wanted is that of each digit.": (
        lambda counts, n: ((counts == counts.max()).sum(-1) > 1).sum()
    ),
    "this looks at the lowest count of each digit; wanted is the highest.": (
        lambda counts, n: ((counts == counts.min(-1, keepdim=True).values).sum(-1) > 1).sum()
    ),
}


@exercise(
    "03.5",
    "go through data.batches(digits, 500), encode, ask the network, count the spikes, compare with the labels.",
    "net(encoding.poisson(images, 50))[-1] is the output's Record; losses.spike_count adds up its spikes.",
    "right += (counts.argmax(-1) == labels).sum().item() for every batch; in the end right / len(digits.labels).",
    seconds=30,  # three networks, 50 steps, and one digit at a time is a right way too
)
def judged_accuracy(answer):
    cases, got = _networks(), []
    with torch.random.fork_rng(), torch.no_grad():
        for name, (net, digits) in cases.items():
            torch.manual_seed(5)
            net.seen.clear()  # _wrong_last has asked it too
            got.append(number(call(answer, net=net, digits=digits), f"{name}, {len(digits.labels):,} digits"))
            net.check_shown(50, len(digits.labels))
        right = [_right(*case) for case in cases.values()]
        wanted = [float(one.mean()) for one in right]
        if all(value in (0, 1) for value in got):
            raise NotYet("this is 0 or 1 for all three: was the share rounded, or were only a few digits looked at?")
        if len(set(got)) == 1:
            raise NotYet("the same share for three different networks: does it run each, on all of its digits?")
        if not all(map(_near, got, wanted)):
            for reason, slip in _SHARES.items():
                values = [float(slip(one, *case)) for one, case in zip(right, cases.values(), strict=True)]
                if all(map(_near, got, values)):
                    raise NotYet(reason)
    for name, value, share in zip(cases, got, wanted, strict=True):
        same(value, share, what=f"{name}, {len(cases[name][1].labels):,} digits", tolerance=0.025)
    recorded = weights.recorded("single-layer", "fast")[0]
    return (
        f"{got[0]:.1%} of the first 503 of MNIST's test digits with the bundled weights; the run that trained them "
        f"says {recorded['test_accuracy']:.1%} of all {recorded['test_images']:,}."
    )


def _near(one, other):
    """Whether two shares are the same but for what random spikes do."""
    return abs(one - other) <= 0.04 * max(1, abs(other))


def _right(net, digits, *, steps=50, encode=poisson, part="spikes", last=False):
    """Which digits are recognised, [N], by the spikes or the membranes, of all steps or the last one."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(6)
        found = getattr(net(encode(digits.pixels, steps))[-1], part)
    return ((found[-1] if last else found.sum(0)).argmax(-1) == digits.labels).double()


def _of_batches(right, size):
    return torch.stack([part.mean() for part in right.split(size)]).mean()


# slips of exercise 03.5: (which digits are recognised [N], network, digits) -> what they give
_SHARES = {
    "this is in per cent; wanted is a share between 0 and 1.": lambda right, *_: 100 * right.mean(),
    "this is how many digits it recognises; divide by the number of digits.": lambda right, *_: right.sum(),
    "this is the share that it gets wrong.": lambda right, *_: 1 - right.mean(),
    "this is the share of the first digits alone; take all batches.": lambda right, *_: right[:50].mean(),
    "this is the share of the last digits alone; keep count over all batches.": lambda right, *_: right[
        -(len(right) % 100 or 100) :
    ].mean(),
    "this is the mean of the shares of batches, and the last batch is smaller: count digits.": lambda right, *_: (
        _of_batches(right, 100)
    ),
    "this is the mean of the shares of batches, and the last one is smaller: count digits.": lambda right, *_: (
        _of_batches(right, 500)
    ),
    "this is what grey values give in place of spikes.": lambda right, *case: _right(*case, encode=direct).mean(),
    "this is what membranes give in place of votes.": lambda right, *case: _right(*case, part="membrane").mean(),
    "this is what you get with a few steps; wanted are 50.": lambda right, *case: _right(*case, steps=5).mean(),
    "this is what the last step alone says; count the spikes of all 50.": lambda right, *case: _right(
        *case, last=True
    ).mean(),
}


def _networks():
    """The bundled network, one that needs ten steps to fire at all, and one whose neurons forget at once."""
    weight, test = (
        weights.trained("single-layer", "fast").layers[0][1].weight.detach(),
        data.mnist(train=False, root=data.BUNDLED),
    )
    bundled = Watched(weight, beta=0.5, reset="zero")
    slow = Watched(weight / 20, beta=0.98)
    # class c lights a bright pixel of its own, three of class c + 1 and seven of class c + 2. By spikes it is c; grey
    # values drive both others above the threshold, and say c + 1, the first of them; the highest membrane is of c + 2
    forgetful, images, classes = torch.zeros(10, 784), torch.zeros(10, 784), torch.arange(10)
    forgetful[classes, classes], images[classes, classes] = 1.1, 229
    for i in range(1, 11):
        forgetful[(classes + (1 if i < 4 else 2)) % 10, 10 * i + classes] = 0.478 if i < 4 else 0.24
        images[classes, 10 * i + classes] = 179
    label = torch.arange(101) % 10
    other = torch.tensor([0] * 60 + [1] * 25 + [2] * 16)
    codes = data.Digits(images[label].view(-1, 28, 28).byte(), (label + other) % 10, "")
    return {
        "the bundled network": (bundled, _wrong_last(bundled, test.first(503))),
        "a slow network": (slow, _wrong_last(slow, test.first(151))),
        "a network that forgets at once": (Watched(forgetful, beta=0.0, reset="zero"), codes),
    }


def _wrong_last(net, digits):
    """The same digits, those that the network misses at the end: the first batch alone looks better than it is."""
    order = _right(net, digits).byte().argsort(stable=True, descending=True)
    return data.Digits(digits.images[order], digits.labels[order], digits.source)
