"""Exercises of notebook 05."""

import math

import torch

from snn_helpers import data, networks
from snn_helpers.encoding import poisson
from snn_helpers.exercises.core import NotYet, alike, call, close, exercise, number, recognise
from snn_helpers.neurons import lif


@exercise(
    "05.1",
    "layer by layer: how many numbers does a neuron of the first hidden layer learn, how many one of the second?",
    "785 n for the first, (n + 1) n for the second, (n + 1) 10 for the output: together n^2 + 796 n + 10.",
    "the largest whole n with n**2 + 796 * n + 10 <= 199_000. A loop will find it, so will the formula for squares.",
)
def second_layer(answer):
    n = number(answer, "n")
    if n != round(n):
        raise NotYet(f"{n:g} is no number of neurons: a neuron is there, or it is not.")
    slips = {
        "200 would need 199,210 numbers: 210 too many. Each of the 410 neurons has a bias as well.": 200,
        "this is for one hidden layer. The second one has n n weights and n biases more.": 250,
        "this leaves out the output layer: ten neurons with n weights and a bias each.": 201,
        "this is both hidden layers together; wanted is the size of one.": 398,
        "the layers come one after the other: their weights add up, they do not multiply.": 5,
        "this leaves out the first layer, the largest of all.": 440,
    }
    recognise(n, 199, slips, tolerance=1e-6)
    need = n * n + 796 * n + 10
    if n != 199:
        raise NotYet(
            f"784-{n:g}-{n:g}-10 has {need:,.0f} numbers to learn: "
            + ("more than 199,000." if need > 199_000 else "there is room for more.")
        )
    return "784-199-199-10 learns 198,015 numbers, nearly four fifths of them in the first layer."


@exercise(
    "05.2",
    "the best that can happen: the right neuron fires at every step, the others never. Which scores are that?",
    "one score of `steps` and classes - 1 of 0. Their softmax gives the right class e^T / (e^T + C - 1).",
    "return math.log(1 + (classes - 1) * math.exp(-steps))",
)
def floor(answer):
    cases = (10, 1), (10, 5), (26, 1), (3, 2), (2, 1), (10, 25)
    got = {case: call(answer, classes=case[0], steps=case[1]) for case in cases}
    tell = [case for case in cases if _floor(*case) > 1e-4]  # below that, several slips are as good as 0
    for reason, slip in FLOORS.items():
        # a slip is named where it explains every value, not where it happens to give one of them
        if all(alike(got[case], slip(*case)) for case in tell) and not all(
            alike(slip(*case), _floor(*case)) for case in tell
        ):
            raise NotYet(reason)
    for classes, steps in cases:
        what = f"{classes} classes, {steps} step{'s' * (steps > 1)}"
        close(got[classes, steps], _floor(classes, steps), what=what, tolerance=1e-5, decimals=4)
    return "1.461 for one step and ten classes is a perfect score in disguise: read a loss against its floor."


def _floor(classes, steps):
    return math.log(1 + (classes - 1) * math.exp(-steps))


# what the misconceptions give -> what is to be said of them
FLOORS = {
    "0 would need a score that grows without end, and there are only so many steps.": lambda c, t: 0.0,
    "this is a guess: equal scores, all silent or all firing. Which scores are the best?": lambda c, t: math.log(c),
    "this is the floor of ten classes and one step, whatever is asked for.": lambda c, t: _floor(10, 1),
    "this is the floor with one step, whatever the number of steps: a count of T is a score of T.": (
        lambda c, t: _floor(c, 1)
    ),
    "this is the floor with ten classes, whatever their number.": lambda c, t: _floor(10, t),
    "this is with one step too few: a neuron can fire at every step, the first one too.": lambda c, t: _floor(c, t - 1),
    "this is with one step too many: with `steps` steps there are at most `steps` spikes.": (
        lambda c, t: _floor(c, t + 1)
    ),
    "this is the loss of a guess divided by the steps; which counts are the best, and what is their loss?": (
        lambda c, t: math.log(c) / t
    ),
    "this is the logarithm of the sum alone (the loss when a wrong neuron fires at every step): the score of the "
    "right class comes off.": (lambda c, t: math.log(c - 1 + math.exp(t))),
    "this is the chance that the softmax gives the right class; the loss is minus its logarithm.": (
        lambda c, t: math.exp(-_floor(c, t))
    ),
    "this is the chance of all wrong classes together; the loss is minus the logarithm of the right one's.": (
        lambda c, t: 1 - math.exp(-_floor(c, t))
    ),
    "the sign is turned: the loss is minus the logarithm of the chance.": lambda c, t: -_floor(c, t),
    "this is the logarithm to base 10; cross entropy takes the natural one.": lambda c, t: _floor(c, t) / math.log(10),
    "this is the logarithm to base 2; cross entropy takes the natural one.": lambda c, t: _floor(c, t) / math.log(2),
    "there are C - 1 other classes, not C: the right one is in the sum already.": (
        lambda c, t: math.log(1 + c * math.exp(-t))
    ),
    "the counts are compared, not their mean: do not divide by the steps.": lambda c, t: _floor(c, t) / t,
    "this is the floor of one step times the number of steps; here the counts are compared, once.": (
        lambda c, t: _floor(c, 1) * t
    ),
    "this has one other class only; there are C - 1 of them.": lambda c, t: _floor(2, t),
    "the sign in the exponent is turned; this is the largest loss, the right neuron silent and all others firing.": (
        lambda c, t: math.log(1 + (c - 1) * math.exp(t))
    ),
    "in the sum under the softmax the right class is missing: its own e^T stands there too.": (
        lambda c, t: math.log((c - 1) * math.exp(-t))
    ),
    "mind the brackets: it is (classes - 1) that is multiplied, not 1.": lambda c, t: math.log(1 + c - math.exp(-t)),
    "a neuron that never fires has a score of 0, not of -T.": lambda c, t: _floor(c, 2 * t),
    "the loss of a digit is one logarithm, that of the right class; it is not divided by the classes.": (
        lambda c, t: _floor(c, t) / c
    ),
}


@exercise(
    "05.3",
    "net(spikes)[0].spikes.mean() is the share of steps at which the hidden neurons fire. Make the weights larger.",
    "multiply net.layers[0][1].weight.data by a little over 1, measure, and go on until the rate is 5 % or more.",
    "while net(spikes)[0].spikes.mean() < 0.05: net.layers[0][1].weight.data *= 1.1; then return net.",
    seconds=30,  # small steps are a right way too, and each is a run of the network
)
def repair(answer):
    images = next(data.batches(data.mnist(train=True, root=data.BUNDLED), 53))[0]
    for seed, scale, light in (51, 0.05, 1.0), (52, 0.2, 0.3), (53, 0.01, 0.6):  # so that one guess does not do
        spikes = poisson(images * light, 13, generator=torch.Generator().manual_seed(0))
        given = _sick(seed, scale)
        healed = call(answer, net=_sick(seed, scale), spikes=spikes)
        if not isinstance(healed, torch.nn.Module):
            raise NotYet(f"your function should return the network, got {type(healed).__name__}.")
        before, after = given.state_dict(), healed.state_dict()
        if {name: part.shape for name, part in before.items()} != {name: part.shape for name, part in after.items()}:
            raise NotYet("this is another network: its layers have other shapes. Change the weights of the one given.")
        _check_weights(before, after)
        with torch.no_grad():
            rate = _hidden_rate(after, spikes)
        what = f"with weights of {scale:g} times the usual size and pixels of {light:g} the hidden neurons fire at"
        if rate == 0:
            if healed.neuron != given.neuron and healed(spikes)[0].spikes.any():
                raise NotYet("you changed the neuron; here it is the weights that are too small.")
            raise NotYet(f"{what} no step after your repair: still silent.")
        if not 0.05 <= rate <= 0.2:
            cure = "larger" if rate < 0.05 else "smaller"
            raise NotYet(f"{what} {rate:.1%} of the steps after your repair, wanted 5 to 20 %: {cure} weights.")
    return "measured on data, not guessed: three networks of different sizes, and all of them speak."


def _sick(seed, scale):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = networks.hidden_layer()
    with torch.no_grad():
        net.layers[0][1].weight.mul_(scale)
    return net


def _hidden_rate(state, spikes):
    current = spikes.flatten(2) @ state["layers.0.1.weight"].T + state["layers.0.1.bias"]
    return lif(current, beta=0.9).spikes.mean().item()


def _check_weights(before, after):
    """Raise NotYet unless the hidden weights are those given, enlarged (all alike, or each neuron's by its own)."""
    if not all(part.isfinite().all() for part in after.values()):
        raise NotYet("some weights are NaN or infinite after your repair.")
    old, new = before["layers.0.1.weight"], after["layers.0.1.weight"]
    likeness = torch.nn.functional.cosine_similarity(old.double(), new.double(), dim=1)
    if (new.std(1) < 1e-9).any():
        raise NotYet("all weights of a neuron are the same, so all pixels count alike. Scale them.")
    if likeness.mean() < -0.9:
        raise NotYet("the weights have changed their sign: a larger weight is multiplied by a number above 1.")
    if likeness.min() < 0.99:
        if likeness.mean() < 0.3:
            raise NotYet("these are other weights than the network's own. A repair keeps what it knows: scale them.")
        raise NotYet("something was added to the weights, so they are no longer in proportion: multiply them.")
    if any(not torch.equal(before[f"layers.1.{name}"], after[f"layers.1.{name}"]) for name in ("weight", "bias")):
        raise NotYet("the output layer was changed too. The hidden layer is the silent one; leave the other as it is.")
    old, new = before["layers.0.1.bias"], after["layers.0.1.bias"]
    grown = after["layers.0.1.weight"].norm() / before["layers.0.1.weight"].norm()
    if torch.nn.functional.cosine_similarity(old, new, dim=0) < 0.99 or new.norm() > 1.01 * grown * old.norm():
        raise NotYet("the biases do the firing here, whatever the picture. Enlarge the weights, which know the pixels.")
