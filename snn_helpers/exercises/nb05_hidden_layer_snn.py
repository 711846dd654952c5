"""Exercises of notebook 05."""

import math

import torch

from snn_helpers import data, networks
from snn_helpers.encoding import poisson
from snn_helpers.exercises.core import NotYet, call, close, exercise, same


@exercise(
    "05.1",
    "each hidden neuron has one weight a pixel, and a bias. How many hidden neurons are there?",
    "784 weights and 1 bias for each of 256 neurons; then 256 weights and 1 bias for each of 10.",
    "(784 + 1) * 256 + (256 + 1) * 10",
)
def parameters(answer):
    known = {
        203_264: "these are the weights alone; each of the 266 neurons has a bias as well.",
        784 * 256: "these are the weights of the first layer alone.",
        784 * 256 * 10: "the layers come one after the other: their weights add up, they do not multiply.",
        203_264 + 784 + 256: "a bias belongs to the neuron that receives, not to the pixel that sends.",
    }
    if _value(answer) in known:
        raise NotYet(known[_value(answer)])
    close(answer, 203_530, what="the number of parameters", tolerance=0)
    return "of 203,530 parameters nearly 99 % sit in the first layer. Its twin without spikes has just as many."


@exercise(
    "05.2",
    "the best a step can do: the right neuron fires, the other nine do not. Which ten scores are that?",
    "one score of 1 and nine of 0. Their softmax gives the right class e / (e + 9).",
    "-ln(e / (e + 9)), which is ln(1 + 9 / e).",
)
def floor(answer):
    known = {
        0.0: "0 would need a score that grows without end; a spike is worth 1 and no more.",
        math.log(10): "this is ln 10, a guess: ten equal scores, all silent or all firing. Which scores are the best?",
        math.log(math.e + 9): "this is the logarithm of the sum alone; the score of the right class, 1, comes off.",
        math.e / (math.e + 9): "this is the chance that the softmax gives the right class; the loss is minus its "
        "logarithm.",
        math.log10(1 + 9 / math.e): "this is the logarithm to base 10; cross entropy takes the natural one.",
    }
    for value, why in known.items():
        if abs(_value(answer) - value) < 2e-3:
            raise NotYet(why)
    close(answer, math.log(1 + 9 / math.e), what="the least loss", tolerance=1e-3)
    return "a loss of 1.461 is a perfect score in disguise: read a loss against its floor, not against 0."


@exercise(
    "05.3",
    "net(spikes)[0].spikes.mean() is the share of steps at which the hidden neurons fire. Make the weights larger.",
    "multiply net.layers[0][1].weight.data by a little over 1, measure, and go on until the rate is 5 % or more.",
    "while net(spikes)[0].spikes.mean() < 0.05: net.layers[0][1].weight.data *= 1.1; then return net.",
)
def repair(answer):
    images = next(data.batches(data.mnist(train=True, root=data.BUNDLED), 101))[0]
    spikes = poisson(images, 13, generator=torch.Generator().manual_seed(0))
    for seed, scale in (0, 0.05), (1, 0.2), (2, 0.01):
        net = _sick(seed, scale)
        healed = call(answer, net, spikes)
        if not isinstance(healed, networks.SNN):
            raise NotYet(f"your function should return the network, got {type(healed).__name__}.")
        shape = tuple(tuple(p.shape) for p in healed.parameters())
        if shape != tuple(tuple(p.shape) for p in _sick(seed, scale).parameters()):
            raise NotYet("this is another network: its layers have other shapes. Change the weights of the one given.")
        with torch.no_grad():
            rate = healed(spikes)[0].spikes.mean().item()
        what = f"with weights of {scale:g} times the usual size the hidden neurons fire at"
        if rate == 0:
            raise NotYet(f"{what} no step after your repair: still silent.")
        if not 0.05 <= rate <= 0.2:
            cure = "larger" if rate < 0.05 else "smaller"
            raise NotYet(f"{what} {rate:.1%} of the steps after your repair, wanted 5 to 20 %: {cure} weights.")
        if healed.layers[0][1].weight.std() < 1e-9:
            raise NotYet("all weights are the same, so all neurons do the same. Scale them, do not replace them.")
    return "measured on data, not guessed: three networks of different sizes, and all of them speak."


def _sick(seed, scale):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = networks.hidden_layer()
    with torch.no_grad():
        net.layers[0][1].weight.mul_(scale)
    return net


@exercise(
    "05.4",
    "running[t].argmax(-1) are the answers after t + 1 steps. Compare them with the labels: one accuracy a step.",
    "a loss of 0.3 points is 0.003 below the last accuracy. Which is the last step whose accuracy is lower than that?",
    "short = (accuracy < accuracy[-1] - 0.003).nonzero(); the answer is its last entry plus 2, or 1 if it is empty.",
)
def fewest_steps(answer):
    generator = torch.Generator().manual_seed(5)
    for steps, digits in (31, 499), (23, 1009), (17, 307):
        running, labels = _votes(steps, digits, generator)
        accuracy = (running.argmax(-1) == labels).double().mean(1)
        wanted, first, two_sided = _last(accuracy, 0.003), _first(accuracy, 0.003), _last(accuracy, 0.003, True)
        got = call(answer, running.clone(), labels.clone())
        typical = {
            wanted - 1: f"{wanted - 1} is the index; entry 0 stands for one step, so index k means k + 1 steps.",
            first: f"after {first} steps the loss is 0.3 points or less, but not at every step after: wanted is from "
            "where on it stays.",
            two_sided: f"from {two_sided} steps on the accuracy is within 0.3 points, above or below. Being better "
            "than the last step is no loss.",
            _last(accuracy, 0.3): "0.3 points are 0.003, not 0.3.",
            steps: "you ask for all the steps; compare each accuracy with the last one.",
        }
        for value, why in typical.items():
            if value != wanted and _value(got) == value:
                raise NotYet(why)
        same(got, wanted, what=f"the number of steps for {digits:,} digits and {steps} steps")
    return "every step after that is paid for and buys nothing that shows: latency and energy are chosen, not given."


def _votes(steps, digits, generator):
    """Running counts [T, N, C] and labels [N]; every eighth digit looks like two classes, so the accuracy wavers."""
    labels = torch.randint(0, 7, (digits,), generator=generator)
    chance = torch.full((digits, 7), 0.05).scatter_(1, labels[:, None], 0.6)
    chance[::8].scatter_(1, ((labels + 1) % 7)[::8, None], 0.6)
    spikes = torch.rand((steps, digits, 7), generator=generator) < chance
    return spikes.float().cumsum(0), labels


def _last(accuracy, tolerance, two_sided=False):
    short = accuracy < accuracy[-1] - tolerance
    if two_sided:
        short |= accuracy > accuracy[-1] + tolerance
    at = short.nonzero().flatten()
    return at[-1].item() + 2 if len(at) else 1


def _first(accuracy, tolerance):
    return (accuracy >= accuracy[-1] - tolerance).nonzero()[0].item() + 1


@exercise(
    "05.5",
    "only digits that one of them reads rightly and the other does not say anything. Count b and c, one for each way.",
    "if the two were equally good, each of the n = b + c would be a coin toss. How likely is min(b, c) or fewer heads?",
    "min(1, 2 * sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n)",
)
def mcnemar(answer):
    generator = torch.Generator().manual_seed(6)
    for digits, right, other in (211, 0.9, 0.8), (503, 0.95, 0.95), (401, 0.7, 0.6), (97, 0.9, None), (59, 0.5, 0.9):
        labels = torch.randint(0, 10, (digits,), generator=generator)
        first = _answers(labels, right, generator)
        second = first.clone() if other is None else _answers(labels, other, generator)
        b = ((first == labels) & (second != labels)).sum().item()
        c = ((first != labels) & (second == labels)).sum().item()
        differ = (first != second).sum().item()
        wanted = _two_sided(b, c)
        got = call(answer, labels.clone(), first.clone(), second.clone())
        case = f"{digits} digits, b = {b}, c = {c}"
        typical = {
            wanted / 2: f"this is one side of it ({case}): the gap could have gone the other way as well, so times 2.",
            _two_sided(min(b, c), differ - min(b, c)): "you count every digit with two different answers; where both "
            "are wrong, neither is better, and the digit says nothing.",
            _two_sided(min(b, c), digits - min(b, c)): f"your n is all {digits} digits; only the {b + c} that one of "
            "them reads and the other does not are coin tosses.",
            math.erfc(abs(b - c) / math.sqrt(2 * max(1, b + c))): "this is the chi-square approximation; wanted is the "
            "exact sum of binomial chances.",
        }
        for value, why in typical.items():
            if abs(value - wanted) > 1e-4 * wanted and abs(_value(got) - value) <= 1e-4 * value:
                raise NotYet(why)
        if _value(got) > 1 + 1e-9:
            raise NotYet(
                f"a probability of {_value(got):.4g} ({case}): where b = c the middle counts twice; cut it off at 1."
            )
        close(got, wanted, what=f"the p-value for {case}", tolerance=1e-5)
    return "no distribution table, only coin tosses; and it used that both read the same digits."


def _answers(labels, right, generator):
    wrong = torch.rand(len(labels), generator=generator) >= right
    return torch.where(wrong, (labels + torch.randint(1, 10, labels.shape, generator=generator)) % 10, labels)


def _two_sided(b, c):
    n = b + c
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n)


def _value(answer):
    """The answer as a number, nan if it is none."""
    try:
        return float(answer)
    except (TypeError, ValueError, RuntimeError):
        return math.nan
