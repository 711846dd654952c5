"""Exercises of notebook 01."""

import torch

from snn_helpers.exercises.core import NotYet, call, close, exercise, same

MEAN, STD = 0.1307, 0.3081


@exercise(
    "01.1",
    "one coin a pixel and step: how many random numbers do you need, and in which shape?",
    "draw torch.rand(steps, *image.shape, generator=generator) and ask of each number whether it lies under its pixel.",
    "return (torch.rand(steps, *image.shape, generator=generator) < image).float().",
)
def poisson(answer):
    image = torch.rand(3, 5, 7, generator=_seeded(11))
    image[0, 0, :2], image[2, 4, 6] = torch.tensor([0.0, 1.0]), 0.25
    spikes = _encode(answer, image, 13)
    if not torch.is_tensor(spikes):
        raise NotYet(f"the spikes should be a tensor [T, ...], got {type(spikes).__name__}.")
    if spikes.shape == (*image.shape, 13):
        raise NotYet("the spikes have time as their last axis; in this series it is the first: [T, *image.shape].")
    if spikes.shape != (13, *image.shape):
        raise NotYet(
            f"an image {list(image.shape)} and 13 steps should give {[13, *image.shape]}, got {list(spikes.shape)}."
        )
    if spikes.dtype == torch.bool:
        raise NotYet("these are True and False; the layers to come want numbers: add .float().")
    if not ((spikes == 0) | (spikes == 1)).all():
        raise NotYet(
            "a spike is 1 and no spike is 0, but other values came. Compare the random numbers with the image."
        )
    if not torch.equal(spikes, _encode(answer, image, 13)):
        raise NotYet(
            "one seed gave other spikes the second time. Hand the generator on: torch.rand(..., generator=generator)."
        )
    if torch.equal(spikes, _encode(answer, image, 13, seed=1)):
        raise NotYet("two seeds gave the same spikes: nothing is drawn from the generator.")
    if (spikes == spikes[0]).all():
        raise NotYet("every step is the same: one draw was used for all steps. Each step needs a draw of its own.")
    return _judge_rates(answer, image)


def _judge_rates(answer, image, steps=4000):
    spikes = _encode(answer, image, steps).double()
    rate, error = spikes.mean(0), 5 * (image * (1 - image) / steps).sqrt() + 1e-9
    if (abs(rate - (1 - image)) <= error).all():
        raise NotYet(
            "bright pixels fire least: x fires at the rate 1 - x, which is what rand > x gives. Turn the comparison."
        )
    wrong = abs(rate - image) > error
    if wrong.any():
        at = tuple(wrong.nonzero()[0].tolist())
        raise NotYet(
            f"a pixel of {image[at]:.3f} fired at a rate of {rate[at]:.3f} over {steps:,} steps, not near its value."
        )
    # one flat grey: all pixels alike, so only a draw they share could make them fire together
    grey = _encode(answer, torch.full(image.shape, 0.5), steps).double().flatten(1) - 0.5
    if grey.mean(1).square().mean() > 2 * 0.25 / grey.shape[1]:
        raise NotYet(
            "the rates are right, but pixels fire together: they share a random number. Each needs a draw of its own."
        )
    if (grey[1:] * grey[:-1]).mean().abs() > 5 * 0.25 / grey.numel() ** 0.5:
        raise NotYet("the rates are right, but a step depends on the one before it. Each step needs a draw of its own.")
    return "every pixel fires at the rate of its value, each step and each pixel on a coin of its own."


@exercise(
    "01.2",
    "the spikes in T steps are T coins with chance p: their number is binomial.",
    "the mean is T p; the variance is T p (1 - p), and the standard deviation is its square root.",
    "write (100 * 0.3, (100 * 0.3 * 0.7) ** 0.5).",
)
def expectation(answer):
    mean, spread = _pair(answer, "(mean, standard deviation)")
    if abs(mean - 4.583) < 0.05 and abs(spread - 30) < 0.5:
        raise NotYet("these are the two, but in the other order: the mean first, then the standard deviation.")
    close(mean, 30, what="the mean", tolerance=1e-6)
    if abs(spread - 21) < 0.05:
        raise NotYet("21 is the variance T p (1 - p); the standard deviation is its square root.")
    if abs(spread - 30**0.5) < 0.03:
        raise NotYet(
            "5.48 is sqrt(T p), the spread of a true Poisson count. A coin a step spreads sqrt(1 - p) times that."
        )
    if abs(spread - 0.0458) < 0.001:
        raise NotYet("0.046 is the spread of the rate (the count divided by T); here the count is asked for.")
    close(spread, 21**0.5, what="the standard deviation", tolerance=0.005)
    return "about 30 ± 4.6 spikes: two encodings of one pixel differ by several spikes, and neither is wrong."


@exercise(
    "01.3",
    "the standard deviation of the decoded value is sqrt(p (1 - p) / T); set it to 0.05 and solve for T.",
    "T = p (1 - p) / 0.05^2. With p = 0.5 the numerator is 0.25.",
    "0.25 / 0.0025.",
)
def smallest(answer):
    reasons = {
        5: "5 is sqrt(25), or 0.25 / 0.05: the deviation must be squared before you divide by it.",
        10: "10 is 0.5 / 0.05: that is the square root of T. Error falls as 1/sqrt(T), so square it.",
        25: "at T = 25 the deviation is 0.1, twice too much: half the error costs four times the steps.",
        200: "200 is 0.5 / 0.0025: the variance of one coin is p (1 - p), which is 0.25 and not 0.5.",
    }
    try:
        number = float(answer)
    except (TypeError, ValueError):
        number = None
    if number in reasons:
        raise NotYet(reasons[number])
    close(answer, 100, what="T", tolerance=1e-9)
    return "100 steps to know one grey to ± 0.05. A tenth of that error would take 10,000."


@exercise(
    "01.4",
    "at which rate does this encoder make a pixel of value x fire? Try x = 0, 0.3 and 1.",
    "the rate of a pixel is 1 - x. Average over time first, then solve for x.",
    "return 1 - spikes.mean(0).",
)
def decode_the_negative(answer):
    image = torch.rand(3, 5, generator=_seeded(4))
    spikes = (torch.rand(7, 3, 5, generator=_seeded(5)) > image).float()
    kept = spikes.clone()
    decoded = call(answer, spikes)
    if not torch.equal(spikes, kept):
        raise NotYet("your function changed the spikes it was given. Return a new tensor.")
    wanted = 1 - spikes.mean(0)
    for got, reason in (
        (
            spikes.mean(0),
            "this is the plain average, the negative of the image: with this bug a pixel x fires at the rate 1 - x.",
        ),
        (1 - spikes, "these are still spikes, one picture a step: average over time, the first axis."),
        (1 - spikes.mean(), "this is one number for the whole image: average over time only, mean(0)."),
        (1 - spikes.mean(1), "this averages over the rows of the image; time is the first axis, mean(0)."),
        (1 - spikes.mean(-1), "this averages over the columns of the image; time is the first axis, mean(0)."),
        (1 - spikes.sum(0), "this counts the spikes; a rate is the count divided by the number of steps."),
    ):
        if torch.is_tensor(decoded) and decoded.shape == got.shape and torch.allclose(decoded.to(got.dtype), got):
            raise NotYet(reason)
    same(decoded, wanted, what="the decoded image")
    return "nothing was lost, only turned round: the bug costs spikes (all of the background fires), not information."


@exercise(
    "01.5",
    "normalising took away the mean and divided by the standard deviation. Undo it in the opposite order.",
    "multiply by the standard deviation 0.3081, then add the mean 0.1307.",
    "return (normalised * 0.3081 + 0.1307).clamp(0, 1).",
)
def repair(answer):
    # a dim image: its own smallest and largest value are not 0 and 1
    image = 0.1 + 0.6 * torch.rand(3, 5, 7, generator=_seeded(2))
    x = (image - MEAN) / STD
    kept = x.clone()
    repaired = call(answer, x)
    if not torch.equal(x, kept):
        raise NotYet("your function changed the tensor it was given (an operation in place). Return a new tensor.")
    low, high = x.min(), x.max()
    for got, reason in (
        (
            x.clamp(0, 1),
            "clamping alone keeps the error quiet: every pixel under the mean is black now, and the greys are wrong.",
        ),
        (
            (x - low) / (high - low),
            "this stretches each image to the full range: a dim picture comes out bright. Undo exactly what was done.",
        ),
        ((x + MEAN) * STD, "the order is wrong: the last thing done (the division) must be undone first."),
        (x * STD, "the deviation is undone, the mean is not: add it."),
        (x + MEAN, "the mean is added, but the division by the deviation is not undone."),
        (x.sigmoid(), "a sigmoid lies between 0 and 1, but it is not what was done, so it does not undo it."),
        (x.abs(), "the absolute value makes dark pixels bright: what was negative was dark."),
    ):
        if torch.is_tensor(repaired) and repaired.shape == got.shape and torch.allclose(repaired.to(got.dtype), got):
            raise NotYet(reason)
    same(repaired, image, what="the repaired image")
    edge = call(
        answer, torch.tensor([-0.4243, 2.8216])
    )  # a black and a white pixel, rounded to four digits as logs print them
    same(edge, torch.tensor([0.0, 1.0]), what="a black and a white pixel", tolerance=1e-3)
    if edge.min() < 0 or edge.max() > 1:
        raise NotYet(
            "rounding left a white pixel a hair above 1 or a black one below 0, and poisson refuses it: .clamp(0, 1)."
        )
    return "back in [0, 1]: the numbers are probabilities again."


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


def _encode(answer, image, steps, seed=0):
    return call(answer, image.clone(), steps, _seeded(seed))


def _pair(answer, names):
    try:
        first, second = answer
        return float(first), float(second)
    except (TypeError, ValueError):
        raise NotYet(f"wanted two numbers in brackets, {names}.") from None
