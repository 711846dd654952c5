"""Exercises of notebooks 00 to 02: right ways and wrong ones, each with the verdict and the reason it deserves."""

import functools
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import snntorch
import torch
from snntorch import spikegen

import snn_helpers
from snn_helpers import encoding, neurons
from snn_helpers.exercises import nb01_poisson_encoding, nb02_lif_neuron

nan, inf, e = math.nan, math.inf, math.exp


def cases(table):
    """(number, answer, words) for each of {number: [(answer, words), ...]}."""
    return [
        pytest.param(number, answer, words, id=f"{number}-{i}")
        for number, rows in table.items()
        for i, (answer, words) in enumerate(rows)
    ]


def ways(table):
    return [
        pytest.param(number, answer, id=f"{number}-{i}")
        for number, answers in table.items()
        for i, answer in enumerate(answers)
    ]


def my_decay(steps):
    exact = euler = 1.0
    for _ in range(steps):
        exact, euler = exact * e(-0.125), euler - 0.125 * euler
    return exact, euler


# ---- numbers: 00.1, 00.2, 01.2, 01.3, 02.3 to 02.6

RIGHT_NUMBERS = {
    "00.1": [
        (e(-0.75), (7 / 8) ** 6),
        [0.472, 0.449],
        (0.4724, 0.4488),
        my_decay(6),
        np.array([e(-0.125), 0.875]) ** 6,
        torch.tensor([-0.125]).exp().tolist()[0] ** 6 * torch.tensor([1, 0.448795 / 0.472367]),
        (np.float16(0.4724), torch.tensor(0.875, dtype=torch.float16) ** 6),
        torch.tensor([e(-0.75), 0.875**6], dtype=torch.float64),
        (Decimal("0.472"), Fraction(117649, 262144)),
    ],
    "00.2": [18_800, 18_800.0, 80 * math.ceil(60_000 / 256), np.int64(18_800), torch.tensor(18_800), [18_800]],
    "01.2": [
        (42.5, math.sqrt(10.25)),
        [42.5, 3.2],
        (42.5, 3.20),
        np.array([42.5, 3.2016]),
        torch.tensor([42.5, 3.2016]),
        (torch.tensor(42.5), torch.tensor(10.25).sqrt()),
        (25 * sum((0.2, 0.5, 1.0)), (25 * sum(p * (1 - p) for p in (0.2, 0.5, 1.0))) ** 0.5),
        (np.float16(42.5), np.float32(3.2016)),
    ],
    "01.3": [
        278,
        278.0,
        np.int64(278),
        torch.tensor(278),
        math.ceil(0.2 * 0.8 / (0.4 * 0.06) ** 2),
        (torch.tensor(0.16) / torch.tensor(0.024) ** 2).ceil(),
        next(T for T in range(1, 999) if math.sqrt(0.16 / T) / 0.4 <= 0.06),
    ],
    "02.3": [
        -1 / math.log((math.sqrt(7) - 1) / 2),
        -1 / np.log(np.roots([1, 1, -1.5]).max()),
        next(t / 1000 for t in range(1000, 9999) if 0.6 * (1 + e(-1000 / t) + e(-2000 / t)) > 1.5),
        *(5.1, 5.13, 5.130, np.float32(5.1299), torch.tensor(5.1299), [5.13]),
    ],
    "02.4": [10, 9.9, 11, 12.3, torch.tensor(10.0), np.int64(12), 4.5 / math.log(1.5), np.float16(11)],
    "02.5": [1000 / 7, 143, 142.9, 142.86, 142, np.float32(142.857), torch.tensor(1000 / 7), Fraction(1000, 7)],
    "02.6": [1, 1.0, 1.01, torch.tensor(1.0), np.float16(1), True + 0, [1]],
}

OTHER_ORDER = "the other order"
WRONG_NUMBERS = {
    "00.1": [
        ((0.449, 0.472), OTHER_ORDER),
        ((e(-0.125), 0.875), "exact: this is beta, what is left after one step"),
        ((0.882, 0.875), "exact: this is beta, what is left after one step"),
        ((0.472, 0.875), "euler: this is beta, what is left after one step"),
        ((e(-1 / 4), 0.75), "exact: this is beta of a step of 1 ms"),
        ((0.819, 0.8), "exact: this is beta of tau = 5 in the cell above; here tau is 4 ms"),
        ((0.717, 0.667), "exact: this is beta of tau = 3 in the cell above"),
        ((0.905, 0.9), "exact: this is beta of tau = 10 in the cell above"),
        ((0.472, 0.25), "euler: this is one step of 3 ms; each of six"),
        ((0.472, 1 - 6 * 0.125), "takes off an eighth of what is left"),
        ((0.75, 0.449), "exact: this is the exponent, without its sign"),
        ((0, 0), "exact: 0 is too small"),
        ((0.472, 0.75**3), "euler: these are three steps of 1 ms; dt is 0.5 ms"),
        ((0.472, 0.875**3), "euler: these are three steps of 0.5 ms, which is 1.5 ms"),
        ((e(-3 / 8), 0.875**3), "exact: these are three steps of 0.5 ms"),
        ((e(-1.5), 0.75**6), "exact: these are six steps of 1 ms"),
        ((e(-0.125 * 1.5), 0.875**1.5), r"exact: 3 times 0\.5 is 1\.5; but divide"),
        ((47.24, 44.88), "exact: .*in per cent; asked is the share"),
        ((e(-5 / 8), 0.875**5), "one step too few"),
        (my_decay(7), "one step too many"),
        ((6 * e(-0.125), 5.25), "six times beta"),
        ((e(0.75), 1.125**6), "exact: this grows; a leak takes away"),
        ((0.472, 1.125**6), "euler: this grows; a leak takes away"),
        ((1 - e(-0.75), 1 - 0.875**6), "the share that is lost"),
        ((0.472, 1 - 0.875**6), "euler: this is the share that is lost"),
        ((0.472, 0.125**6), r"euler: this is \(dt/tau\)\^6"),
        ((0.472, 0.472), "both are the exact one"),
        ((0.449, 0.449), "both are Euler's"),
        ((0.47, 0.45), "give three decimals"),
        ((e(-48), 7**6), "tau/dt where dt/tau belongs"),
        ((e(-12), 1), "tau times dt where dt/tau belongs"),
        ((0.48, 0.45), "exact: 0.48 is too large"),
        ((0.472, 0.46), "euler: 0.46 is too large"),
        ({0.472, 0.449}, "a set, which has no order"),
        (0.472, r"2 numbers in brackets, \(exact, euler\)"),
        ((0.472, 0.449, 1), "got 3"),
        ((0.472, -0.449), "euler: the size is right, the sign is not"),
        ((0.472, nan), r"euler is NaN"),
        ((inf, 0.449), "exact is infinite"),
        ((0.472, "0.449"), "euler should be one number, got text"),
        ((0.472, ...), "euler: there are still dots"),
    ],
    "00.2": [
        (234 * 80, r"234 batches; the last one, of 96 images"),
        (60_000 / 256 * 80, "takes all its steps"),
        (60_000 * 80, "side by side"),
        (235 * 20, "40 times 0.5 is 20"),
        (235 * 40, "steps of 1 ms"),
        (80, "steps of one batch; an epoch has 235"),
        (235, "these are the batches; each takes 80"),
        (60_000 / 256, "the last one, not full, counts as one; each takes 80"),
        (234, "without the last one, of 96 images; each takes 80"),
        (235 * 256 * 80, "once an image"),
        (60_000 * 40, "40 steps for every image"),
        (256 * 80, "asked is an epoch"),
        (0, "the number of steps: 0 is too small"),
        (-18_800, "the sign is not"),
        (18_801, "18801 is too large"),
        (nan, "NaN"),
        ((18_800, 1), "one number, got tuple"),
        (lambda: 18_800, "was it called"),
    ],
    "01.2": [
        (42.5, "2 numbers in brackets"),
        ((3.2, 42.5), OTHER_ORDER),
        ((42.5, 10.25), "standard deviation: this is the variance"),
        ((42.5, 4.5), "the variances add up"),
        ((42.5, 42.5**0.5), "true Poisson count"),
        ((42.5, 4.291), "three as alike"),
        ((14.17, 2.478), "one pixel with the mean brightness"),
        ((42.5, 0.128), "the spread of the rate"),
        ((42.5, 0.6403), "factor T is missing"),
        ((42.5, 16.008), "T belongs under the root, too"),
        ((42.5, 0), "the white pixel alone is certain"),
        ((1.7, 3.2), "the mean: these are the spikes in one step"),
        ((14.1667, 3.2), "the mean: this is the mean of one pixel"),
        ((17.5, 3.2), "the mean: the white pixel is missing"),
        ((42, 3.2), "the mean: this is rounded down"),
        ((43, 3.2), "the mean: this is rounded up"),
        ((30, 4.58), "the mean: 30 is too small"),  # of the cell above
        ((42.5, 3.3), "standard deviation: 3.3 is too large"),
        ((42.5, 3), "standard deviation: 3 is too small"),
        ((42.5, -3.2016), "standard deviation: the size is right, the sign is not"),
        ((42.5, (-10.25) ** 0.5), "standard deviation is a complex number"),
        ((42.5, nan), "standard deviation is NaN"),
        ({42.5, 3.2}, "a set, which has no order"),
        ({"mean": 42.5, "sd": 3.2}, "got dict"),
    ],
    "01.3": [
        (44.4, "divided by the gain too"),
        (45, "divided by the gain too"),
        (70, "without the gain"),
        (112, "so the variance by its square"),
        (17, "the square root of T"),
        (16.67, "the square root of T"),
        (348, r"p \(1 - p\), not p"),
        (435, r"p = gain x = 0\.2"),
        (1737, r"p \(1 - p\), is missing"),
        (0.16 / 0.16 / 0.06, "the square root of T"),
        (100, "T: 100 is too small"),
        (277, "at T = 277 the deviation is still a hair above"),
        (277.78, "277.78 is where the deviation is just 0.06"),
        (279, "279 is too large"),
        (-278, "the sign is not"),
        (inf, "T is infinite"),
        (1j, "T is a complex number"),
        ("278", "T should be one number, got text"),
    ],
    "02.3": [
        ((math.sqrt(7) - 1) / 2, "this is beta"),
        (1 - (math.sqrt(7) - 1) / 2, "the share that leaks"),
        (-1 / math.log(0.6), "for a current that never stops"),  # the formula of the heatmap above
        (1.96, "for a current that never stops"),
        (2.7099, "four steps of current; here there are three"),
        (10.8005, "a leak before the first input too"),
        (2 / (3 - math.sqrt(7)), "Euler's beta"),
        (1.2785, "for a threshold of 1"),
        (-1 / math.log10((math.sqrt(7) - 1) / 2), "base 10"),
        (-1 / math.log2((math.sqrt(7) - 1) / 2), "base 2"),
        (-math.log((math.sqrt(7) - 1) / 2), "the logarithm itself"),
        (1 / math.log((math.sqrt(7) - 1) / 2), "the size is right, the sign is not"),
        (4.48, "tau: 4.48 steps is too small"),  # of the heatmap above
        (5, "too small"),
        (5.2, "too large"),
        (10, "too large"),
        (0, "too small"),
        (inf, "tau is infinite"),
        (nan, "NaN"),
    ],
    "02.4": [
        (5, "4 steps apart does not fire|3 steps apart does not fire.*The window is not tau itself"),
        (4, "The window is not tau itself"),
        (9.8, "a pair 4 steps apart does not fire"),
        (12.4, "a pair 5 steps apart fires too"),
        (60.0, r"a pair \d\d steps apart fires too"),
        (0.6, "a pair 1 step apart does not fire"),
        (1e-3, "a pair 1 step apart does not fire"),
        (0.91, "a pair 1 step apart does not fire.*As a beta it would do"),
        (1e30, "nothing leaks: every pair fires"),
        (-10, "above 0, got -10"),
        (0, "above 0, got 0"),
        (inf, "tau is infinite"),
        (nan, "NaN"),
        ((9.9, 12.3), "one number, got tuple"),
        (10**400, "overflow"),
    ],
    "02.5": [
        (200, "the highest rate there can be"),
        (1000 / 3, "without a pause: a spike every 3 steps"),
        (250, "the pause alone"),
        (1000 / 6, "one step too short: 3 of charging and 4 of pause are 7"),
        (125, "one step too long"),
        (1000 / 6.7, "takes a part of a step for the charging"),
        (1 / 7, "right per step"),
        (7, "the interval in steps"),
        (1000, "a spike at every step"),
        (0, "scaled input, which would never fire"),
        (140, r"140\.0 Hz is close.* a count over a short run"),
        (145, r"145\.0 Hz is close.* a count over a short run"),
        (1000 * 36 / 250, r"144\.0 Hz is close"),
        (137, "137 Hz is too small"),
        (150, "150 Hz is too large"),
        (-1000 / 7, "the sign is not"),
        (inf, "infinite"),
        (torch.tensor([142.9, 142.9]), r"a tensor of shape \[2\]"),
    ],
    "02.6": [
        (0.5, "takes its input whole"),
        (1 - e(-0.5), "the other library's beta"),
        (2 - 2 * e(-0.5), "a beta of exp"),
        (2.0, "fire at every step"),
        (0.99, "never fires, wait as you may"),
        (0.25, "under 0.25 the membrane settles at 0.25"),
        (1.05, "too large"),
        (0, "above 0"),
        (-1, "above 0"),
        (nan, "NaN"),
        ("one", "one number, got text"),
        (True, "one number, got bool"),
    ],
}


@pytest.mark.parametrize("number, answer", ways(RIGHT_NUMBERS))
def test_right_numbers(number, answer, accepted):
    accepted(number, answer)


@pytest.mark.parametrize("number, answer, words", cases(WRONG_NUMBERS))
def test_wrong_numbers_are_refused_for_their_reason(number, answer, words, refused):
    refused(number, answer, words)


# ---- 01.1: an encoder


def draws(image, steps, generator):
    return torch.rand(steps, *image.shape, generator=generator)


def poisson_by_name(image, steps, *, generator):
    return (torch.rand(steps, *image.shape, generator=generator) < image).float()


def poisson_in_a_loop(image, steps, generator):
    spikes = []
    for _ in range(steps):
        spikes.append(torch.zeros_like(image))
        spikes[-1][torch.rand(image.shape, generator=generator) < image] = 1
    return torch.stack(spikes)


def poisson_pixel_by_pixel(image, steps, generator):
    out = torch.zeros(steps, *image.shape)
    flat = out.view(steps, -1)
    for t in range(steps):
        for i, x in enumerate(image.flatten().tolist()):
            flat[t, i] = torch.rand(1, generator=generator).item() < x
    return out


def poisson_in_place(image, steps, generator):
    return torch.empty(steps, *image.shape).uniform_(generator=generator).sub_(image).lt_(0)


RIGHT_ENCODERS = [
    lambda x, t, g: (draws(x, t, g) < x).float(),
    lambda x, t, g: (draws(x, t, g) <= x).to(torch.float64),
    lambda x, t, g: draws(x, t, g) < x,
    lambda x, t, g: (draws(x, t, g) < x).half(),
    lambda x, t, g: (draws(x, t, g) < x).to(torch.uint8),
    lambda x, t, g: torch.bernoulli(x.expand(t, *x.shape), generator=g),
    lambda x, t, g: (draws(x, t, g).numpy() < x.numpy()).astype(int),
    lambda x, t, g: [(torch.rand(x.shape, generator=g) < x).float() for _ in range(t)],
    lambda x, t, g: torch.where(draws(x, t, g) < x, 1, 0),
    poisson_in_a_loop,
    poisson_pixel_by_pixel,
    poisson_in_place,
    poisson_by_name,
]


@pytest.mark.parametrize("answer", RIGHT_ENCODERS)
def test_right_encoders(answer, accepted):
    accepted("01.1", answer)


WRONG_ENCODERS = {
    "1 - x, which is what rand > x": lambda x, t, g: (draws(x, t, g) > x).float(),
    "time as their last axis": lambda x, t, g: (torch.rand(*x.shape, t, generator=g) < x[..., None]).float(),
    r"should give \[13, 2, 3, 5\], got \[2, 3, 5\]": lambda x, t, g: (torch.rand(x.shape, generator=g) < x).float(),
    r"should give \[13, 2, 3, 5\], got \[14, ": lambda x, t, g: (draws(x, t + 1, g) < x).float(),
    r"should give \[13, 2, 3, 5\], got \[13, 30\]": lambda x, t, g: (draws(x, t, g) < x).float().flatten(1),
    "other values came": lambda x, t, g: draws(x, t, g) * x,
    r"other values came\. Compare": lambda x, t, g: draws(x, t, g) - x,
    "Hand the generator on": lambda x, t, g: (torch.rand(t, *x.shape) < x).float(),
    "two seeds gave the same spikes": lambda x, t, g: (x > 0.5).float().expand(t, *x.shape),
    "nothing is drawn from the generator": lambda x, t, g: (draws(x, t, torch.Generator().manual_seed(0)) < x).float(),
    "one draw was used for all steps": lambda x, t, g: (
        (torch.rand(x.shape, generator=g) < x).float().expand(t, *x.shape)
    ),
    "fired at a rate of": lambda x, t, g: (torch.randn(t, *x.shape, generator=g) < x).float(),
    r"of 0\.000 fired at a rate of 0\.[45]": lambda x, t, g: (draws(x, t, g) < 0.5).float(),
    r"fired at a rate of .* over 1,000 steps": lambda x, t, g: (draws(x, t, g) < x * x).float(),
    "pixels fire together": lambda x, t, g: (torch.rand(t, *[1] * x.ndim, generator=g) < x).float(),
    "a step depends on the one before": lambda x, t, g: (
        (draws(x, t // 2 + 1, g) < x).float().repeat_interleave(2, 0)[:t]
    ),
    "counted too much alike": lambda x, t, g: (
        (
            draws(x, t, g).argsort(0).argsort(0) < (x * t).round()  # as many spikes as expected, at random places
        ).float()
    ),
    "some draws were used at several steps": lambda x, t, g: (
        torch.cat([first := draws(x, (t + 1) // 2, g), first])[:t] < x
    ).float(),
    r"an image \[7\] and 5 steps should give|your function raised": lambda x, t, g: (
        torch.rand(t, *x.shape[-3:], generator=g) < x.reshape(2, 3, 5)
    ).float(),
    r"your function raised RuntimeError: .*\(line \d+ of": lambda x, t, g: (torch.rand(t, generator=g) < x).float(),
    r"wanted|should take 3 arguments: \(image, steps, generator\)": lambda x, t: (torch.rand(t, *x.shape) < x).float(),
    "the spikes should be a tensor, got dict": lambda x, t, g: {"spikes": draws(x, t, g)},
    "other values came\\. ": lambda x, t, g: draws(x, t, g) * nan,
}


@pytest.mark.parametrize("words", WRONG_ENCODERS)
def test_wrong_encoders_are_refused_for_their_reason(words, refused):
    refused("01.1", WRONG_ENCODERS[words], words)


def snntorch_seeded(image, steps, generator):
    torch.manual_seed(generator.initial_seed())
    return spikegen.rate(image, steps)


def by_another_name(image, steps, generator):
    toss = vars(encoding)["poisson"]
    return torch.stack([toss(image, 1, generator=generator)[0] for _ in range(steps)])


def ready_made_after_draws_of_its_own(image, steps, generator):
    torch.rand(steps, *image.shape, generator=generator)
    return encoding.poisson(image, steps, generator=generator).numpy()


def through_a_helper(image, steps, generator):
    return ready_made_after_draws_of_its_own(image, steps, generator)


def imported_within(image, steps, generator):
    from snn_helpers.encoding import poisson as toss

    return toss(image, steps, generator=generator)


def enclosed(toss):
    return lambda image, steps, generator: toss(image, steps)


OURS, THEIRS = r"thrown by snn_helpers\.encoding\.poisson here", r"thrown by snntorch\.spikegen\.rate here"
READY_MADE = [
    (encoding.poisson, OURS),
    (lambda x, t, g: encoding.poisson(x, t, generator=g), OURS),
    (lambda x, t, g: snn_helpers.encoding.poisson(x, t, generator=g), OURS),
    (lambda x, t, g: 1 - encoding.poisson(1 - x, t, generator=g), OURS),
    (functools.partial(encoding.poisson, gain=1.0), OURS),
    (by_another_name, OURS),
    (through_a_helper, OURS),
    (imported_within, OURS),
    (lambda x, t, g: torch.stack([encoding.poisson(x, 1, generator=g)[0] for _ in range(t)]), OURS),
    (ready_made_after_draws_of_its_own, OURS),
    (spikegen.rate, THEIRS),
    (lambda x, t, g: spikegen.rate(x, t), THEIRS),
    (lambda x, t, g: snntorch.spikegen.rate(x, num_steps=t).flatten(1), THEIRS),
    (enclosed(spikegen.rate), THEIRS),
    (snntorch_seeded, THEIRS),
]


@pytest.mark.parametrize("answer, words", READY_MADE)
def test_a_ready_made_encoder_is_not_an_encoder_of_ones_own(answer, words, refused):
    refused("01.1", answer, words + r", which is the encoder asked for\. Write it yourself, from torch\.rand")


@pytest.mark.parametrize("shared", [(1, 3, 5), (2, 1, 5), (2, 3, 1)])
def test_a_draw_shared_along_one_axis_is_refused(shared, refused):
    def wrong(x, t, g):
        shape = [1 if one == 1 else size for one, size in zip(shared[-x.ndim :], x.shape[-3:], strict=False)]
        return (torch.rand(t, *shape, generator=g) < x).float() if x.shape == (2, 3, 5) else (draws(x, t, g) < x)

    refused("01.1", wrong, "pixels fire together")


# ---- 01.4, 01.5: undoing


def decode_in_a_loop(spikes):
    total = torch.zeros(spikes.shape[1:])
    for step in spikes:
        total += step
    return [[(1 - n / len(spikes)) / 0.8 for n in row] for row in total.tolist()]


def over_the_largest(scan):
    x = 0.5 - scan / 2
    return (x / x.max().clamp(min=1)).clamp(min=0)


def stretched_on_overflow(scan):
    x = 0.5 - scan / 2
    return (x - x.min()) / (x.max() - x.min()) if x.min() < 0 or x.max() > 1 else x


def lifted_on_overflow(scan):
    x = 0.5 - scan / 2
    return (x - x.min().clamp(max=0)).clamp(max=1)


RIGHT_FUNCTIONS = {
    "01.4": [
        lambda s: (1 - s.mean(0)) / 0.8,
        lambda s: ((1 - s.mean(0)) / 0.8).clamp(0, 1),
        lambda s: 1.25 * (1 - s).mean(0),
        lambda s: (1 - s.numpy().mean(0)) / 0.8,
        lambda s: np.clip((1 - s.numpy().mean(0)) / 0.8, 0, 1),
        lambda s: (1 - s.double().mean(0)) / 0.8,
        lambda s: (1 - s.half().mean(0)) / 0.8,
        lambda s: s.neg_().add_(1).mean(0).div_(0.8),
        lambda s: (len(s) - s.sum(0)) / len(s) / 0.8,
        decode_in_a_loop,
    ],
    "01.5": [
        lambda s: (1 - (s * 0.5 + 0.5)).clamp(0, 1),
        lambda s: (0.5 - s / 2).clamp(0, 1),
        lambda s: s.mul_(-0.5).add_(0.5).clamp_(0, 1),
        lambda s: np.clip(0.5 - 0.5 * s.numpy(), 0, 1),
        lambda s: ((1 - s.double()) / 2).clamp(0, 1),
        lambda s: 0.5 - 0.5 * s.clamp(-1, 1),
        lambda s: torch.stack([(0.5 - 0.5 * x).clamp(0, 1) for x in s]),
        lambda s: (n := s.shape[0], h := s.shape[1], w := s.shape[2], (0.5 - s.view(n, h, w) / 2).clamp(0, 1))[-1],
        lambda s: torch.minimum(torch.maximum(0.5 - s / 2, torch.zeros(())), torch.ones(())),
    ],
}

WRONG_FUNCTIONS = {
    "01.4": [
        (lambda s: s.mean(0), "plain average, the negative"),
        (lambda s: s, "the spikes as they came"),
        (lambda s: 1 - s, "only turns every spike round"),
        (lambda s: s.sum(0), "the number of spikes; divide by the number of steps, take"),
        (lambda s: s.mean(0) + 0.01, "first differs at row 0"),
        (lambda s: (1 - s.sum(0) / 100) / 0.8, r"divides by 100 steps; .* len\(spikes\) is 31"),
        (lambda s: (1 - s).sum(0), "counts the steps without a spike; .* undo the gain"),
        (lambda s: (1 - s).sum(0) / 0.8, "counts the steps without a spike; divide by the number of steps, too"),
        (lambda s: 1 / 0.8 - s.mean(0), "the rate must be divided by 0.8 as well"),
        (lambda s: 1 - 0.8 * s.mean(0), "taken from 1 once more"),
        (lambda s: (s.mean(0) - 0.2) / 0.8, "this is 1 - x: a white pixel comes out black"),
        (lambda s: 1.2 - s.mean(0), "by dividing, not by adding"),
        (lambda s: (s.mean(0) < 0.6).float(), "black and white only"),
        (lambda s: 1 - s.median(0).values, "black and white only"),
        (lambda s: ((1 - s[0]) / 0.8).clamp(0, 1), "black and white only"),
        (lambda s: torch.rand(28, 28), "28 x 28 pixels; decode the `spikes` that are handed in"),
        (lambda s: torch.ones(3, 5), "every pixel comes out the same"),
        (lambda s: ((1 - s.mean(0)) / 0.8).flatten(), r"should have shape \[3, 5\], got \[15\]"),
        (lambda s: 1 - s.mean(0), "the gain is not undone"),
        (lambda s: s.mean(0) / 0.8, "the gain is undone, but not the turn"),
        (lambda s: 1 - s.mean(0) / 0.8, "the order is wrong"),
        (lambda s: 0.8 * (1 - s.mean(0)), "multiplied in once more"),
        (lambda s: (1 - s) / 0.8, "still spikes"),
        (lambda s: (1 - s.mean()) / 0.8, "one number for the whole"),
        (lambda s: (1 - s.mean(1)) / 0.8, "rows of the image"),
        (lambda s: (1 - s.mean(-1)) / 0.8, "columns of the image"),
        (lambda s: (1 - s.sum(0)) / 0.8, "counts the spikes"),
        (lambda s: (1 - s[0]) / 0.8, "the first step alone"),
        (lambda s: (s[-1] - 1).neg() / 0.8, "the last step alone"),
        (lambda s: (x := 1 - s.mean(0), (x - x.min()) / (x.max() - x.min()))[1], "stretches the image"),
        (lambda s: (x := 1 - s.mean(0), x / x.max())[1], "makes the brightest pixel 1"),
        (lambda s: (s.mean(0) - 1) / 0.8, "the sign is turned"),
        (lambda s: (1 - s.sum(0) / (len(s) - 1)) / 0.8, "not by one less"),
        (lambda s: 0.5 * torch.ones(3, 5), "every pixel comes out the same"),
        (lambda s: torch.rand(3, 5), "first differs at row 0"),
        (lambda s: 0.8 - s.mean(0), r"from 1, not from 0\.8"),
        (lambda s: (1 - s.mean(0)) / 0.2, r"0\.2 is only the rate of a white pixel"),
        (lambda s: s.mean(0) - 1, "the wrong sign, and the gain is not undone"),
        (lambda s: s.mean(0) * nan, "the decoded image is NaN"),
        (lambda s: 1 / s.mean(0) / 0 * 0 + 1 / (s.mean(0) * 0), "the decoded image is (NaN|infinite)"),
        (lambda s: (1 - s.mean(0)) * 1j, "complex"),
        (lambda s: s.sub_(1).mean(0), "the wrong sign"),
        (lambda s: print(end=""), "gives nothing back"),
        (lambda s, gain: s, r"should take 1 argument: \(spikes\); yours takes \(s, gain\)"),
    ],
    "01.5": [
        (lambda s: s * 0.5 + 0.5, "still dark ink on white paper"),
        (lambda s: (s * 0.5 + 0.5).clamp(0, 1), "still dark ink on white paper"),
        (lambda s: ((1 - s) * 0.5 + 0.5).clamp(0, 1), "first undo the normalisation, all of it"),
        (lambda s: 1 - s, "turned round before the normalisation"),
        (lambda s: 1 - (s + 0.5) * 0.5, "halved with the rest"),
        (lambda s: 1 - s * 0.5, "first undo the normalisation, all of it"),
        (lambda s: 1 - (s + 0.5), "the division by the deviation is not undone"),
        (lambda s: -s, "sign is turned"),
        (lambda s: (s * 0.3081 + 0.1307).clamp(0, 1), "that of the notebook. And it is dark ink"),
        (lambda s: (1 - (s * 0.3081 + 0.1307)).clamp(0, 1), "undoes another normalisation"),
        (lambda s: (s.max() - s) / (s.max() - s.min()), "a dim picture comes out bright"),
        (lambda s: (s - s.min()) / (s.max() - s.min()), "a dim picture comes out bright.*turn it round"),
        (lambda s: torch.sigmoid(-s), "a sigmoid"),
        (torch.abs, "absolute value"),
        (lambda s: s.clamp(0, 1), "clamping alone"),
        (lambda s: s, "clamping alone"),
        (lambda s: 0.5 - s / 2, "overshot at the white end lies outside"),
        (lambda s: (0.5 - s / 2).clamp(max=1), "overshot at the black end lies outside"),
        (lambda s: (0.5 - s / 2).clamp(min=0), "overshot at the white end lies outside"),
        (lambda s: (0.5 - s / 2).clamp(0.1, 1), "with an overshot pixel first differs at picture 0"),
        (over_the_largest, "overshoots at the white end, all others change"),
        (stretched_on_overflow, "overshoots at the white end, all others change"),
        (lifted_on_overflow, "overshoots at the black end, all others change"),
        (lambda s: (0.5 - s / 2).clamp(0, 1)[0], r"should have shape \[3, 5, 7\], got \[5, 7\]"),
        (lambda s: s.mul_(0.5), "first differs"),
    ],
}


@pytest.mark.parametrize("number, answer", ways(RIGHT_FUNCTIONS))
def test_right_functions(number, answer, accepted):
    accepted(number, answer)


@pytest.mark.parametrize("number, answer, words", cases(WRONG_FUNCTIONS))
def test_wrong_functions_are_refused_for_their_reason(number, answer, words, refused):
    refused(number, answer, words)


# ---- 02.1: a step


def good_step(current, membrane, beta, threshold):
    spiked = (membrane > threshold).float()
    membrane = beta * membrane * (1 - spiked) + current
    return (membrane > threshold).float(), membrane


def borrowed_step(current, membrane, beta, threshold):
    return neurons.lif_step(current, membrane, beta=beta, threshold=threshold, reset="zero")


def borrowed_from_lif(current, membrane, beta, threshold):
    record = neurons.lif(current[None], beta=beta, threshold=threshold, reset="zero", initial=membrane)
    return record.spikes[0], record.membrane[0]


def borrowed_from_snntorch(current, membrane, beta, threshold):
    import snntorch

    neuron = snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism="zero")
    return neuron(current, membrane)


def step_in_place(current, membrane, beta, threshold):
    membrane[membrane > threshold] = 0
    membrane *= beta
    membrane += current
    return (membrane > threshold).float(), membrane


def step_one_by_one(current, membrane, beta, threshold):
    spikes, new = torch.zeros_like(current), torch.zeros_like(current)
    for i, (current_i, u) in enumerate(zip(current.flatten(), membrane.flatten(), strict=True)):
        new.view(-1)[i] = current_i if u > threshold else beta * u + current_i
        spikes.view(-1)[i] = new.view(-1)[i] > threshold
    return spikes, new


def step_in_numpy(current, membrane, beta, threshold):
    new = np.where(membrane > threshold, 0, beta * membrane.numpy()) + current.numpy()
    return new > threshold, new


def step_in_double(current, membrane, beta, threshold):
    membrane = beta * membrane.double().masked_fill(membrane > threshold, 0) + current
    return (membrane > threshold).int(), membrane


RIGHT_STEPS = [
    good_step,
    lambda *given: list(good_step(*given)),
    lambda *given: neurons.Record(*good_step(*given)),
    lambda i, m, b, h: (lambda u: ((u > h) * 1.0, u))(b * (m - m * (m > h)) + i),
    lambda i, m, b, h: ((u := b * m * (m <= h) + i) > h, u),
    lambda i, m, b, h: (((u := torch.where(m > h, i, b * m + i)) > h).float(), u),
    step_in_place,
    step_one_by_one,
    step_in_numpy,
    step_in_double,
    lambda *given: torch.stack([part.float() for part in good_step(*given)]),
]


@pytest.mark.parametrize("answer", RIGHT_STEPS)
def test_right_steps(answer, accepted):
    accepted("02.1", answer)


def bent(change):
    """A step whose membrane is bent by ``change(kept, full, spiked, current, membrane, beta, threshold)``."""

    def step(current, membrane, beta, threshold):
        spiked = (membrane > threshold).float()
        kept = membrane * (1 - spiked)
        u = change(kept, beta * membrane + current, spiked, current, membrane, beta, threshold)
        return (u > threshold).float(), u

    return step


def with_spikes(spikes):
    def step(current, membrane, beta, threshold):
        u = good_step(current, membrane, beta, threshold)[1]
        return spikes(u, membrane, threshold).float(), u

    return step


WRONG_STEPS = [
    (bent(lambda k, f, s, i, m, b, h: f), "no reset"),
    (bent(lambda k, f, s, i, m, b, h: f - h * s), "a reset by subtraction"),
    (bent(lambda k, f, s, i, m, b, h: f - b * h * s), "beta times the threshold"),
    (bent(lambda k, f, s, i, m, b, h: f * (1 - s)), "reset of the current as well"),
    (bent(lambda k, f, s, i, m, b, h: k + i), "no leak"),
    (bent(lambda k, f, s, i, m, b, h: b * m * (m > h) + i), "the test turned round"),
    (bent(lambda k, f, s, i, m, b, h: b * m.clamp(max=h) + i), "a reset to the threshold"),
    (bent(lambda k, f, s, i, m, b, h: b * torch.where(m > h, -h, m) + i), "a reset to minus the threshold"),
    (bent(lambda k, f, s, i, m, b, h: b * m * (m <= 1) + i), "a threshold of 1; yours comes with the call"),
    (lambda i, m, b, h: (*good_step(i, m, b, h), m), "two things back.*got 3 things"),
    (bent(lambda k, f, s, i, m, b, h: b * k + (1 - b) * i), "a scaled input"),
    (bent(lambda k, f, s, i, m, b, h: b * (k + i)), "beta on the current too"),
    (bent(lambda k, f, s, i, m, b, h: (u := b * k + i) * (u <= h)), "the membrane after its own reset"),
    (bent(lambda k, f, s, i, m, b, h: f * (f <= h)), "no look at the step before"),
    (bent(lambda k, f, s, i, m, b, h: b * m * (m < h) + i), ">= for the spike before"),
    (bent(lambda k, f, s, i, m, b, h: (b * k + i).relu()), "a membrane that cannot be negative"),
    (bent(lambda k, f, s, i, m, b, h: b * k.relu() + i), "cut off before the leak"),
    (bent(lambda k, f, s, i, m, b, h: b * k.abs() + i), "size of the membrane, without its sign"),
    (bent(lambda k, f, s, i, m, b, h: b * k + i.abs()), "size of the current, without its sign"),
    (bent(lambda k, f, s, i, m, b, h: b * k - i), "the sign of the current turned"),
    (bent(lambda k, f, s, i, m, b, h: f.sum() + 0 * f), r"membrane first differs at position \[0\]"),
    (bent(lambda k, f, s, i, m, b, h: 0.9 * k + i), "membrane first differs"),
    (bent(lambda k, f, s, i, m, b, h: b * k + i + (m == h) * 0.1), r"membrane first differs at position \[1\]"),
    (bent(lambda k, f, s, i, m, b, h: f / 0), r"the membrane is infinite at position \[0\]"),
    (bent(lambda k, f, s, i, m, b, h: f * nan), "the membrane is NaN"),
    (with_spikes(lambda u, m, h: m > h), "those of the step before"),
    (with_spikes(lambda u, m, h: u >= h), "the spikes of >=: exactly at the threshold"),
    (with_spikes(lambda u, m, h: u <= h), "turned round"),
    (with_spikes(lambda u, m, h: u > 0), "of a membrane above 0"),
    (with_spikes(lambda u, m, h: u > 1), "the spikes first differ at"),
    (with_spikes(lambda u, m, h: 0 * u), "the spikes first differ at"),
    (with_spikes(lambda u, m, h: (u - h).sigmoid()), "the spikes first differ at"),
    (lambda i, m, b, h: tuple(good_step(i, m, b, h))[::-1], "the other order"),
    (lambda i, m, b, h: good_step(i, m, b, h)[1], "two things back.*got a tensor"),
    (lambda i, m, b, h: (good_step(i, m, b, h)[0], good_step(i, m, b, h)[1][:1]), "membrane should have shape"),
    (lambda i, m: (i, m), r"should take 4 arguments: \(current, membrane, beta, threshold\); yours takes \(i, m\)"),
    (lambda i, m, b, h: (1 if m > h else 0, m), r"your function raised RuntimeError: Boolean value"),
    (0.5, "wanted a function"),
    (borrowed_step, "the numbers are right, but `lif_step` has computed them"),
    (functools.partial(neurons.lif_step, reset="zero"), "the numbers are right, but `lif_step` has computed them"),
    (neurons.lif_step, "a reset by subtraction"),
    (borrowed_from_lif, "the numbers are right, but `lif` has computed them"),
    (borrowed_from_snntorch, "the numbers are right, but `Leaky` has computed them"),
]


@pytest.mark.parametrize("answer, words", WRONG_STEPS)
def test_wrong_steps_are_refused_for_their_reason(answer, words, refused):
    refused("02.1", answer, words)


# ---- 02.2: a formula


def filled(n, i, b):
    return i * (1 - b**n) / (1 - b)


def looped(n, i, b, u):
    for _ in range(n):
        u = b * u + i
    return u


def until_it_stands(n, i, b, u):
    for _ in range(n):
        before, u = u, b * u + i
        if abs(u - before) < 1e-6:
            break
    return u


RIGHT_FORMULAS = [
    lambda n, i, b, u: u * b**n + filled(n, i, b),
    lambda n, i, b, u: i / (1 - b) + (u - i / (1 - b)) * b**n,
    lambda n, i, b, u: torch.tensor(u) * b**n + filled(n, torch.tensor(i), b),
    lambda n, i, b, u: np.float64(u) * np.power(b, n) + filled(n, np.float64(i), b),
    lambda n, i, b, u: torch.tensor([u], dtype=torch.float64) * b**n + filled(n, i, b),
    lambda n, i, b, u: u * e(n * math.log(b)) + i * (e(n * math.log(b)) - 1) / (b - 1),
    lambda n, i, b, u: float(u * math.pow(b, n) + filled(n, i, b)),
]


@pytest.mark.parametrize("answer", RIGHT_FORMULAS)
def test_right_formulas(answer, accepted):
    accepted("02.2", answer)


WRONG_FORMULAS = [
    (lambda n, i, b, u: filled(n, i, b), "the start left out"),  # the formula that stands above
    (lambda n, i, b, u: u + filled(n, i, b), "a start that does not leak|leaks once only"),
    (lambda n, i, b, u: b * u + filled(n, i, b), r"U\[3\].*leaks once only"),
    (lambda n, i, b, u: u * b**n, "the current left out"),
    (lambda n, i, b, u: u * b ** (n + 1) + filled(n + 1, i, b), "one step too many"),
    (lambda n, i, b, u: u * b ** (n - 1) + filled(n - 1, i, b), "one step too few"),
    (lambda n, i, b, u: u * b**n + i * (1 - b**n), "a scaled input"),
    (lambda n, i, b, u: i / (1 - b), "where it settles"),
    (lambda n, i, b, u: u * b ** (n - 1) + filled(n, i, b), r"U\[3\].*one step too few: after n steps beta\^n"),
    (lambda n, i, b, u: u * b**n + filled(n - 1, i, b), r"U\[3\].*current that came in one time too few"),
    (lambda n, i, b, u: u * b**n + filled(n + 1, i, b), r"U\[3\].*current that came in one time too often"),
    (lambda n, i, b, u: filled(n, u + i, b), r"U\[3\].*the start fed in at every step"),
    (lambda n, i, b, u: [u * b**k + filled(k, i, b) for k in range(min(n, 50))], "should be one number, got list"),
    (lambda n, i, b, u: u * b**n + n * i, r"U\[3\].*a current that never leaks"),
    (lambda n, i, b, u: (end := i / (1 - b)) + (end - u) * b**n, "turned round"),
    (lambda n, i, b, u: u * b * n + i * (1 - b * n) / (1 - b), r"U\[3\].*beta times n"),
    (lambda n, i, b, u: (u * b**n + filled(n, i, b)) * (1 + 3e-5), "is too"),
    (lambda n, i, b, u: -u * b**n - filled(n, i, b), "the size is right, the sign is not"),
    (lambda n, i, b, u: abs(u) * b**n + filled(n, i, b), r"U\[7\].*is too large"),
    (lambda n, i, b, u: 1.0, r"U\[3\] for I = .*: 1 is too"),
    (lambda n, i, b, u: nan, r"U\[3\] .* is NaN"),
    (lambda n, i, b, u: u * b**n + i * (1 - b**n) / 0, "ZeroDivisionError"),
    (lambda n, i, b, u: 2.0 ** (10_000 * n), "overflow"),
    (lambda n, i, b, u: (b - 1) ** 0.5, "complex number"),
    (lambda n, i, b, u: "one", "should be one number"),
    (lambda n, i, b: i, r"\(n, current, beta, start\); yours takes \(n, i, b\)"),
    (looped, r"n = 10\^15 it does not end: a loop over the steps"),
    (lambda n, i, b, u: u * b**n + i * sum(b**k for k in range(n)), r"n = 10\^15 it does not end"),
    (lambda n, i, b, u: u * b**n + (i * b ** torch.arange(n)).sum(), r"right up to 31 steps; with n = 10\^15: your"),
    (lambda n, i, b, u: looped(min(n, 200), i, b, u), "the membrane after 200 steps: a loop cut short"),
    (lambda n, i, b, u: looped(min(n, 54_321), i, b, u), "the membrane after 54,321 steps: a loop cut short"),
    (until_it_stands, r"right up to 31 steps.* a loop cut short"),
    (lambda n, i, b, u: (u * b**n + filled(n, i, b)) if n < 100 else i / (1 - b), r"U\[10\^8\] for a beta next to 1"),
]


@pytest.mark.parametrize("answer, words", WRONG_FORMULAS)
def test_wrong_formulas_are_refused_for_their_reason(answer, words, refused):
    refused("02.2", answer, words)


# ---- what is called right is right


def test_the_wanted_numbers_are_what_the_package_does():
    look, p = nb01_poisson_encoding.LOOK, nb01_poisson_encoding.LOOK["x"] * nb01_poisson_encoding.LOOK["gain"]
    deviations = [math.sqrt(p * (1 - p) / T) / look["gain"] for T in (277, 278)]
    assert deviations[0] > look["error"] >= deviations[1]
    current, threshold, steps = nb02_lif_neuron.THREE.values()
    pulse = current * (torch.arange(900) < steps)
    for tau, fires in (5.12, False), (5.14, True):
        record = neurons.lif(pulse, beta=neurons.beta_from_tau(tau), threshold=threshold)
        assert bool(record.spikes.any()) == fires
    pixels = torch.tensor(nb01_poisson_encoding.PIXELS["values"])
    trains = encoding.poisson(pixels.expand(9001, 3), 25, generator=torch.Generator().manual_seed(0)).sum((0, 2))
    assert trains.mean().item() == pytest.approx(42.5, abs=0.15) and trains.std().item() == pytest.approx(3.2, abs=0.1)
