"""Exercises of notebook 01."""

import math

import torch

from snn_helpers.exercises.core import (
    NotYet,
    alike,
    call,
    close,
    exercise,
    number,
    numbers,
    recognise,
    same,
    tensor,
)

PIXELS = dict(values=(0.2, 0.5, 1.0), steps=25)
LOOK = dict(x=0.5, gain=0.4, error=0.06)
RECORDED_GAIN = 0.8


@exercise(
    "01.2",
    "each pixel's count is binomial. Of independent counts the means add up, and so do the variances.",
    "the mean is 25 (0.2 + 0.5 + 1); the variance is 25 times the sum of p (1 - p), and a white pixel adds none.",
    "write (25 * 1.7, math.sqrt(25 * (0.2 * 0.8 + 0.5 * 0.5))).",
)
def expectation(answer):
    got = numbers(answer, "mean", "standard deviation")
    p, T = torch.tensor(PIXELS["values"], dtype=torch.float64), PIXELS["steps"]
    mean, variance, middle = T * p.sum().item(), T * (p * (1 - p)).sum().item(), p.mean().item()
    wanted = mean, math.sqrt(variance)
    spreads = {
        "this is the variance; the standard deviation is its square root.": variance,
        "the standard deviations were added up; of independent counts the variances add up.": (T * p * (1 - p))
        .sqrt()
        .sum()
        .item(),
        "this is sqrt of the mean, the spread of a true Poisson count. A coin a step spreads less.": math.sqrt(mean),
        "this treats the three as alike, each with the mean brightness; add up p (1 - p) of each.": math.sqrt(
            3 * T * middle * (1 - middle)
        ),
        "this is the spread of the rate, the count divided by T; here the count is asked for.": wanted[1] / T,
        "the factor T is missing under the root.": wanted[1] / math.sqrt(T),
        "T belongs under the root, too: the spread grows like the square root of T.": wanted[1] * math.sqrt(T),
        "the spread is not 0: the white pixel alone is certain, the other two are coins.": 0.0,
    }
    recognise(
        got,
        wanted,
        {
            "these are the two, but in the other order: the mean first, then the standard deviation.": wanted[::-1],
            "this is of one pixel with the mean brightness; asked is the sum of all three.": (
                T * middle,
                math.sqrt(T * middle * (1 - middle)),
            ),
        },
        tolerance=2e-3,
    )
    recognise(
        got[0],
        mean,
        {
            "these are the spikes in one step; there are 25 steps.": mean / T,
            "this is the mean of one pixel; asked is the sum of all three.": mean / 3,
            "the white pixel is missing: it fires at all 25 steps.": mean - T,
            "this is rounded down; a mean need not be a whole number.": math.floor(mean),
            "this is rounded up; a mean need not be a whole number.": math.ceil(mean),
        },
        what="the mean",
    )
    close(got[0], mean, what="the mean", tolerance=1e-6)
    recognise(got[1], wanted[1], spreads, what="the standard deviation", tolerance=2e-3)
    close(got[1], wanted[1], what="the standard deviation", tolerance=1e-3, decimals=1)
    return "42.5 ± 3.2 spikes: the white pixel adds 25 to the count and nothing to its spread."


@exercise(
    "01.3",
    "the pixel fires with p = gain x = 0.2. What is the deviation of its rate, and what becomes of it by dividing?",
    "the deviation of the decoded value is sqrt(p (1 - p) / T) / gain; set it to 0.06 and solve for T.",
    "T = p (1 - p) / (0.4 * 0.06)^2 = 277.8, rounded up.",
)
def smallest(answer):
    x, gain, error = LOOK.values()
    p = gain * x

    def steps(variance):
        return variance / error**2

    exact = steps(p * (1 - p) / gain**2)
    wanted = math.ceil(exact)
    value = number(answer, "T")
    typical = {
        "the noise is divided by the gain too, when the value is decoded": steps(p * (1 - p)),
        "this is without the gain: it fires at every other step here, not at every fifth": steps(x * (1 - x)),
        "dividing by the gain divides the deviation by it, and so the variance by its square": steps(
            p * (1 - p) / gain
        ),
        "this is the square root of T: the deviation must be squared before you divide by it": math.sqrt(exact),
        "the variance of one coin is p (1 - p), not p": steps(p / gain**2),
        "the coin fires with p = gain x = 0.2, so its variance is 0.2 * 0.8": steps(x * (1 - x) / gain**2),
        "the variance of one coin, p (1 - p), is missing": steps(1 / gain**2),
    }
    for reason, other in typical.items():
        if value in (math.ceil(other), math.floor(other)) or alike(value, other, 2e-3):
            raise NotYet(f"T = {value:.6g}: {reason}.")
    if value != round(value) and alike(value, exact, 1e-3):
        raise NotYet(f"{value:.5g} is where the deviation is just 0.06; T is a whole number of steps, so round up.")
    if value == wanted - 1:
        raise NotYet(f"at T = {value:.0f} the deviation is still a hair above 0.06: round up, not down.")
    close(value, wanted, what="T", tolerance=0)
    return "278 steps; at full gain 70 would do. Fewer spikes a step are paid for with four times the steps."


@exercise(
    "01.4",
    "at which rate does this encoder make a pixel of value x fire? Try x = 0, 0.5 and 1.",
    "the rate of a pixel is 1 - 0.8 x. Average over time first, then solve for x.",
    "return (1 - spikes.mean(0)) / 0.8.",
)
def decode_the_negative(answer):
    gain, steps = RECORDED_GAIN, 31
    image = 0.15 + 0.7 * torch.rand(3, 5, generator=_seeded(4))  # its own smallest and largest value are not 0 and 1
    spikes = (torch.rand(steps, 3, 5, generator=_seeded(5)) > gain * image).float()
    decoded = call(answer, spikes=spikes)
    rate, count = spikes.mean(0), spikes.sum(0)
    wanted = (1 - rate) / gain
    if alike(decoded, wanted.clamp(0, 1)):  # noise can lift a white pixel above 1: to cut it off is right as well
        decoded = wanted
    slips = {
        "these are the spikes as they came: average over time, the first axis.": spikes,
        "these are still spikes, one picture a step: average over time, the first axis.": (1 - spikes) / gain,
        "this only turns every spike round: average over time, then undo the gain.": 1 - spikes,
        "this is the plain average, the negative of the image: the darker a pixel, the more it fires here.": rate,
        "this is turned the right way round, but a white pixel comes out at 0.8: the gain is not undone.": 1 - rate,
        "the gain is undone, but not the turn: the darker a pixel, the more it fires here.": rate / gain,
        "this is 1 - x: a white pixel comes out black. Take it from 1.": (rate - (1 - gain)) / gain,
        "the order is wrong: the rate is 1 - 0.8 x, so take it from 1 first, then divide the whole.": 1 - rate / gain,
        "the rate must be divided by 0.8 as well: x = (1 - rate) / 0.8, with its brackets.": 1 / gain - rate,
        "0.8 x is taken from 1 once more: the rate is 1 - 0.8 x, so solve that for x.": 1 - gain * rate,
        "the gain is multiplied in once more; divide by it.": (1 - rate) * gain,
        "a factor of 0.8 is undone by dividing, not by adding what is missing.": 1 - rate + (1 - gain),
        "the rate is 1 - 0.8 x: take it from 1, not from 0.8, and divide by 0.8.": gain - rate,
        "0.8 is the gain, and what is to be divided by; 0.2 is only the rate of a white pixel.": (1 - rate)
        / (1 - gain),
        "the turn is done, but with the wrong sign, and the gain is not undone.": rate - 1,
        "this stretches the image to the full range, whatever it was. Divide by 0.8.": (rate.max() - rate)
        / (rate.max() - rate.min()),
        "this makes the brightest pixel 1, whatever it was. Divide by 0.8.": (1 - rate) / (1 - rate).max(),
        "the sign is turned: the darker a pixel, the more it fires here, so take the rate from 1.": (rate - 1) / gain,
        "this is the first step alone; the average over all steps says more.": (1 - spikes[0]) / gain,
        "this is the last step alone; the average over all steps says more.": (1 - spikes[-1]) / gain,
        "the mean divides by the number of steps, not by one less.": (1 - count / (steps - 1)) / gain,
        f"this divides by 100 steps; the recording that comes may be shorter: here len(spikes) is {steps}.": (
            1 - count / 100
        )
        / gain,
        "this counts the spikes; a rate is the count divided by the number of steps.": (1 - count) / gain,
        "this is the number of spikes; divide by the number of steps, take that from 1, undo the gain.": count,
        "this counts the steps without a spike; divide by the number of steps, and undo the gain.": steps - count,
        "this counts the steps without a spike; divide by the number of steps, too.": (steps - count) / gain,
        "this is one number for the whole image: average over time only, mean(0).": (1 - spikes.mean()) / gain,
        "this averages over the rows of the image; time is the first axis, mean(0).": (1 - spikes.mean(1)) / gain,
        "this averages over the columns of the image; time is the first axis, mean(0).": (1 - spikes.mean(-1)) / gain,
    }
    for reason, value in slips.items():
        recognise(decoded, wanted, {reason: value})
        if len(value.clamp(0, 1).unique()) > 2:  # else it is any answer of these two values
            recognise(decoded, wanted, {reason: value.clamp(0, 1)})
    got = tensor(decoded, "the decoded image")
    if got.shape == (28, 28):
        raise NotYet(
            "this is a picture of 28 x 28 pixels; decode the `spikes` that are handed in, which may be smaller."
        )
    if len(got.unique()) == 1 and got.isfinite().all():
        raise NotYet("every pixel comes out the same; the greys are in the average of each pixel's spikes over time.")
    if got.shape == wanted.shape and ((got == 0) | (got == 1)).all():
        raise NotYet("this is black and white only; the average over time has the greys as well.")
    same(decoded, wanted, what="the decoded image", first="row")
    return "nothing was lost, only turned round: the bug costs spikes (all of the background fires), not information."


@exercise(
    "01.5",
    "two things were done, one after the other. Undo them in the opposite order.",
    "multiply by 0.5 and add 0.5: that is dark ink on white paper. Then take it from 1.",
    "return (1 - (scan * 0.5 + 0.5)).clamp(0, 1).",
)
def repair(answer):
    # a dim image: its own smallest and largest value are not 0 and 1
    image = 0.1 + 0.6 * torch.rand(3, 5, 7, generator=_seeded(2))
    scan = ((1 - image) - 0.5) / 0.5
    repaired = call(answer, scan=scan)
    low, high = scan.min(), scan.max()
    stretched = (
        "this stretches each image to the full range: a dim picture comes out bright. Undo exactly what was done."
    )
    slips = {
        "the normalisation is undone, but it is still dark ink on white paper: take it from 1.": scan * 0.5 + 0.5,
        "first undo the normalisation, all of it, and only then take the result from 1.": (1 - scan) * 0.5 + 0.5,
        "it is turned round before the normalisation is undone: the last thing done must be undone first.": 1 - scan,
        "0.5 is added and then halved with the rest: multiply by the deviation first, then add the mean.": 1
        - (scan + 0.5) * 0.5,
        "the mean is added, but the division by the deviation is not undone.": 1 - (scan + 0.5),
        "the sign is turned, and nothing else is undone.": -scan,
        "this undoes another normalisation, that of the notebook. And it is dark ink on white.": scan * 0.3081 + 0.1307,
        "this undoes another normalisation, that of the notebook; here both numbers are 0.5.": 1
        - (scan * 0.3081 + 0.1307),
        stretched: (high - scan) / (high - low),
        stretched + " And turn it round.": (scan - low) / (high - low),
        "a sigmoid lies between 0 and 1, but it is not what was done, so it does not undo it.": (-scan).sigmoid(),
        "the absolute value mixes dark and bright pixels.": scan.abs(),
        "clamping alone keeps the error quiet: the greys are wrong, and black and white are still exchanged.": scan,
    }
    for reason, value in slips.items():
        recognise(repaired, image, {reason: value})
        recognise(repaired, image, {reason: value.clamp(0, 1)})
    same(repaired, image, what="the repaired image", first="picture")
    # one pixel has overshot, at the white end and at the black: it alone is to be put right
    for where, scan in ("white", [-1.02, -0.2, 0.6]), ("black", [1.02, 0.4, -0.4]):
        wanted = (0.5 - torch.tensor([[scan]]) / 2).clamp(0, 1)
        edge = tensor(call(answer, scan=torch.tensor([[scan]])), "a scan with an overshot pixel")
        if edge.min() < 0 or edge.max() > 1:
            raise NotYet(
                f"a pixel that overshot at the {where} end lies outside [0, 1], and poisson refuses it: "
                ".clamp(0, 1) at the end."
            )
        if edge.shape == wanted.shape and (edge - wanted).abs()[..., 1:].max() > 1e-3:
            raise NotYet(
                f"where a pixel overshoots at the {where} end, all others change as well: the whole picture is "
                "rescaled. Cut off what lies outside, .clamp(0, 1), and leave the rest."
            )
        same(edge, wanted, what="a scan with an overshot pixel", tolerance=1e-3, first="picture")
    return "back in [0, 1], bright ink on a dark ground: the numbers are probabilities again."


def _seeded(seed):
    return torch.Generator().manual_seed(seed)
