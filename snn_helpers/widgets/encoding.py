"""Explorers of notebook 01: a digit as spikes, and one pixel of it."""

import math
from functools import lru_cache

import numpy as np
import torch
from matplotlib.figure import Figure

from snn_helpers import data, encoding, plots
from snn_helpers.widgets.basics import first_of_each, pixel_panel, pixel_strip
from snn_helpers.widgets.panel import Panel, choice, slider

_STEPS, _TRAINS = 256, 500


def poisson_explorer(digits=None, *, error=False):
    """Digit, gain, T and seed -> the image, its spikes, and the image decoded by averaging them.

    ``digits`` : ``data.Digits``; the first example of each class is shown (by default of the bundled training digits)
    ``error`` : whether to say how far off the decoded image is
    """
    digits = digits or data.mnist(root="bundled")
    images = {k: data.pixels(image)[0] for k, image in first_of_each(digits).items()}

    def draw(axes, digit, gain, steps, seed):
        image = images[digit]
        spikes = _train(image, gain, seed)[:steps]
        decoded = spikes.mean(0) / gain
        plots.image(image, axes["image"]).set_title("image x")
        _digit_raster(spikes, image, axes["raster"])
        axes["raster"].set_xlim(-0.5, max(steps, 64) - 0.5)  # it grows with T
        plots.image(decoded, axes["decoded"], vmax=1).set_title("decoded")
        seen = f"T = {steps} steps, {spikes.sum():,.0f} spikes"
        if not error:
            return seen
        expected = expected_rmse(image, steps, gain)
        return f"RMSE {_rmse(decoded, image):.3f}, expected {expected:.3f}; {seen}"

    def codes():
        figure = Figure(figsize=(8, 7))
        rows = figure.subplots(4, 3, width_ratios=(1, 2, 1))
        for row, (steps, gain) in zip(rows, ((4, 1.0), (64, 1.0), (64, 0.25), (64, 2.0)), strict=True):
            draw(dict(zip(("image", "raster", "decoded"), row, strict=True)), 4, gain, steps, 0)
            row[1].set(xlim=(-0.5, 63.5), ylabel="lit pixels", title=f"spikes, T = {steps}, gain {gain:g}")
        for ax in rows[:-1, 1]:
            ax.set_xlabel("")
        return figure

    def errors():
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
    shows = (
        "A 4 decoded from 1 to 256 steps of Poisson spikes, at full gain and at a quarter: "
        "more steps, less grain; a quarter of the gain, a quarter of the spikes and more grain."
        if error
        else "A 4, its spikes, and the picture decoded from them: after 4 steps, after 64, and after 64 at a quarter "
        "and at twice the gain. Few spikes leave grain; at twice the gain all above a half is one grey."
    )
    return Panel(
        draw,
        controls,
        layout=_mosaic("image raster raster decoded"),
        strip=errors if error else codes,
        sentence=shows,
        size=(8, 2.6),
    )


def pixel_explorer(digits=None):
    """Pick a pixel of a digit -> its row among all spikes, its count (binomial), its intervals (geometric)."""
    originals = first_of_each(digits or data.mnist(root="bundled"))
    images = {k: data.pixels(image)[0] for k, image in originals.items()}

    @lru_cache(maxsize=32)
    def all_spikes(digit, seed):
        return _train(images[digit], 1.0, seed)

    def draw(axes, digit, row, column, steps, seed):
        image, value = images[digit], images[digit][row, column].item()
        spikes = all_spikes(digit, seed)[:steps]
        train = spikes[:, row, column]
        rank = _digit_raster(spikes, image, axes["raster"], (row, column))
        spread = (steps * value * (1 - value)) ** 0.5
        tries = _train(torch.full((_TRAINS,), value), 1.0, seed + 1)[:steps]
        counts = np.arange(int(max(0, steps * value - 4 * spread)), int(min(steps, steps * value + 4 * spread)) + 2)
        plots.tally(tries.sum(0), axes["count"], expected=(counts, binomial(counts, steps, value)))
        axes["count"].axvline(train.sum().item(), color=plots.COLORS["input"])
        axes["count"].set(title="count (• binomial)", xlabel="spikes in T steps", xlim=(-0.5, steps + 0.5))
        # the tries laid end to end are one long train: every step is a draw of its own
        intervals = tries.T.flatten().nonzero().flatten().diff()
        waits = np.arange(1, 10 * math.ceil(0.4 / max(value, 0.05)) + 1)
        plots.tally(intervals, axes["wait"], expected=(waits, value * (1 - value) ** (waits - 1)))
        axes["wait"].set(title="interval (• geometric)", xlabel="steps to the next spike", xlim=(0.5, waits[-1] + 0.5))
        for name in ("count", "wait"):
            axes[name].set_yticks([])
            axes[name].xaxis.get_major_locator().set_params(integer=True)
        place = "black, so not in the raster" if rank is None else f"raster row {rank}"
        return (
            f"pixel ({row}, {column}), {place}: x = {value:.2f}; {train.sum():.0f} spikes in {steps} steps, "
            f"expected {steps * value:.1f} ± {spread:.1f}"
        )

    def beside(axes, i, j):
        draw(dict(zip(("raster", "count", "wait"), axes, strict=True)), 4, i, j, 100, 0)

    def strip():
        title = "pixel ({i}, {j}): x = {x:.2f}"
        return pixel_strip(beside, images[4], STOPS, (2, 1, 1), height=7, title=title)

    return pixel_panel(
        draw,
        originals,
        (4, *STOPS[1]),
        controls={"steps": slider("T", 100, 1, 200, 1, unit="steps"), "seed": slider("seed", 0, 0, 20, 1)},
        layout=lambda figure: figure.subplot_mosaic([["raster", "count", "wait"]], width_ratios=(2, 1, 1)),
        strip=strip,
        sentence="A dark, a grey and a bright pixel of a 4: where it is, its row in the raster of all lit pixels "
        "(orange), how many spikes it had (orange line) among 500 other tries (bars, and the binomial's points), and "
        "how long it was from one spike to the next (bars, and the geometric's points).",
        size=(8.4, 2.6),
    )


STOPS = (10, 21), (13, 3), (15, 12)  # pixels of the saved picture


def _digit_raster(spikes, image, ax, marked=None):
    """The spikes [T, 28, 28] of the pixels that are not black, brightest on top; the row of the pixel ``marked``."""
    brightest_first = image.flatten().argsort(descending=True, stable=True)[: int((image > 0).sum())]
    plots.raster(spikes.flatten(1)[:, brightest_first], ax, markersize=1.5)
    ax.set(title="spikes S[t]", ylabel="lit pixels, brightest on top")
    found = [] if marked is None else (brightest_first == 28 * marked[0] + marked[1]).nonzero().flatten().tolist()
    if not found:
        return None
    time = spikes[:, *marked].nonzero().flatten().numpy()
    ax.axhspan(found[0] - 3, found[0] + 3, color="white")
    ax.plot(time, np.full(len(time), found[0]), "|", color=plots.COLORS["input"], markersize=8)
    return found[0]


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
