"""Explorers of notebook 01: a digit as spikes, and one pixel of it."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure

from snn_helpers import data, encoding, plots
from snn_helpers.widgets.panel import Panel, choice, slider

_STEPS, _TRAINS = 256, 500


def poisson_explorer(digits=None):
    """Digit, gain, T and seed -> the image, its spikes, and the image decoded by averaging them.

    ``digits`` : ``data.Digits``; the first example of each class is shown (by default of the bundled training digits)
    """
    digits = digits or data.mnist(root="bundled")
    images = {k: data.pixels(digits.images[digits.labels == k][0])[0] for k in range(10)}

    def draw(axes, digit, gain, steps, seed):
        image = images[digit]
        spikes = _train(image, gain, seed)[:steps]
        decoded = spikes.mean(0) / gain
        plots.image(image, axes["image"]).set_title("image x")
        brightest_first = image.flatten().argsort(descending=True, stable=True)[: int((image > 0).sum())]
        plots.raster(spikes.flatten(1)[:, brightest_first], axes["raster"], markersize=1.5)
        axes["raster"].set(title="spikes S[t]", ylabel="lit pixels, brightest on top")
        plots.image(decoded, axes["decoded"], vmax=1).set_title("mean over t / gain")
        return (
            f"RMSE {_rmse(decoded, image):.3f}, expected {expected_rmse(image, steps, gain):.3f}; "
            f"T = {steps} steps, {spikes.sum():,.0f} spikes"
        )

    def strip():
        figure = Figure(figsize=(8, 3.7))
        for row, gain in zip(figure.subplots(2, 5), (1.0, 0.25), strict=True):
            for ax, steps in zip(row, (1, 4, 16, 64, 256), strict=True):
                decoded = _train(images[4], gain, seed=0)[:steps].mean(0) / gain
                plots.image(decoded, ax, vmax=1).set_title(
                    f"T = {steps}\nRMSE {_rmse(decoded, images[4]):.2f}", fontsize=9
                )
            row[0].set_ylabel(f"gain {gain:g}")
        return figure

    controls = {
        "digit": choice("digit", list(range(10)), 4),
        "gain": slider("gain", 1.0, 0.1, 2.0, 0.05),
        "steps": slider("T", 64, 1, _STEPS, 1, unit="steps"),
        "seed": slider("seed", 0, 0, 20, 1),
    }
    sentence = (
        "A 4 decoded from 1 to 256 steps of Poisson spikes, at full gain and at a quarter: "
        "more steps, less grain; a quarter of the gain, a quarter of the spikes and more grain."
    )
    return Panel(
        draw, controls, layout=_mosaic("image raster raster decoded"), strip=strip, sentence=sentence, size=(8, 2.6)
    )


def pixel_explorer():
    """One pixel's value, T and seed -> its spikes, its count (binomial), its intervals (geometric)."""

    def draw(axes, value, steps, seed):
        spikes = _train(torch.full((_TRAINS,), value), 1.0, seed)[:steps]
        plots.raster(spikes[:, :1], axes["train"], markersize=12)
        axes["train"].set(title="its spikes, first try", yticks=[], ylabel="")
        spread = (steps * value * (1 - value)) ** 0.5
        counts = np.arange(int(max(0, steps * value - 4 * spread)), int(min(steps, steps * value + 4 * spread)) + 2)
        plots.tally(spikes.sum(0), axes["count"], expected=(counts, binomial(counts, steps, value)))
        axes["count"].set(title="count (• binomial)", xlabel="spikes in T steps", xlim=(-0.5, steps + 0.5))
        # the tries laid end to end are one long train: every step is a draw of its own
        intervals = spikes.T.flatten().nonzero().flatten().diff()
        waits = np.arange(1, 10 * math.ceil(0.4 / max(value, 0.05)) + 1)
        plots.tally(intervals, axes["wait"], expected=(waits, value * (1 - value) ** (waits - 1)))
        axes["wait"].set(title="interval (• geometric)", xlabel="steps to the next spike", xlim=(0.5, waits[-1] + 0.5))
        for name in ("count", "wait"):
            axes[name].set_yticks([])
        return f"{spikes[:, 0].sum():.0f} spikes in {steps} steps; expected {steps * value:.1f} ± {spread:.1f}"

    def strip():
        figure = Figure(figsize=(8, 4.2))
        for row, value in zip(figure.subplots(3, 3, width_ratios=(2, 1, 1)), (0.05, 0.3, 0.9), strict=True):
            axes = dict(zip(("train", "count", "wait"), row, strict=True))
            draw(axes, value, 100, 0)
            axes["train"].set_title(f"x = {value:g}")
            for ax in row if value < 0.9 else ():
                ax.set_xlabel("")
            for ax in row[1:] if value > 0.05 else ():
                ax.set_title("")
        return figure

    controls = {
        "value": slider("pixel x", 0.3, 0.0, 1.0, 0.01),
        "steps": slider("T", 100, 1, 200, 1, unit="steps"),
        "seed": slider("seed", 0, 0, 20, 1),
    }
    sentence = (
        "A dark, a grey and a bright pixel: the spikes of one try, how many there were in each of many tries "
        "(as the binomial says), and how long from one spike to the next (as the geometric says)."
    )
    layout = _mosaic("train train count wait")
    return Panel(draw, controls, layout=layout, strip=strip, sentence=sentence, size=(8, 2.4))


def expected_rmse(image, steps, gain=1.0):
    """What the error of the decoded image should be: the noise of a mean of Bernoulli draws, and what the clipping cut.

    The variance of a mean of T draws is p (1 - p) / T; where gain * x exceeds 1 the mean comes out at 1 / gain.
    """
    p = (image * gain).clamp(max=1)
    return ((p * (1 - p) / steps) / gain**2 + (p / gain - image) ** 2).mean().sqrt().item()


def binomial(numbers, steps, p):
    """The chance of each count: (T over k) p^k (1 - p)^(T - k), through logarithms so that no T overflows."""
    k, t = torch.as_tensor(numbers, dtype=torch.float64), torch.tensor(float(steps), dtype=torch.float64)
    ways = torch.lgamma(t + 1) - torch.lgamma(k + 1) - torch.lgamma((t - k).clamp(min=0) + 1)
    chance = (ways + torch.xlogy(k, p) + torch.xlogy(t - k, 1 - p)).exp()
    return torch.where(k <= t, chance, 0).numpy()


def _train(image, gain, seed):
    """All steps, always: T only says how many of them are shown, so moving it leaves the first ones as they were."""
    return encoding.poisson(image, _STEPS, gain=gain, generator=torch.Generator().manual_seed(seed))


def _rmse(decoded, image):
    return (decoded - image).square().mean().sqrt().item()


def _mosaic(row):
    return lambda figure: figure.subplot_mosaic([row.split()])
