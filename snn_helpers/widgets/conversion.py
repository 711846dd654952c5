"""Explorers of notebook 07: from the activations of a CNN to spikes, and the answer as it forms."""

import time
from functools import cache, lru_cache, partial

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure

from snn_helpers import conversion, data, plots, training, weights
from snn_helpers.encoding import direct, poisson
from snn_helpers.widgets.panel import Panel, choice, round_limits, slider

INPUTS = {"constant": direct, "Poisson": poisson, "Poisson, threshold 2.5": partial(poisson, gain=1 / 2.5)}
RATES = {"constant": 1.0, "Poisson": 1.0, "Poisson, threshold 2.5": 1 / 2.5}  # what is left of a pixel, on average
STARTS = {"0": 0.0, "half the threshold": 0.5}


class LiveConfusion(ipywidgets.Image):
    """``live = LiveConfusion(steps, target); display(live)``, then ``live(accuracy, counts)`` after each step.

    accuracy : list of the accuracies so far; counts : the confusion [C, C] of the step; target : the CNN's accuracy.
    One Image updated in place, at most five times a second; ``live.figure`` is the picture to keep.
    """

    def __init__(self, steps, target):
        super().__init__(format="png")
        self.figure = Figure(figsize=(9, 3.8))
        self._axes = _two_axes(self.figure)
        self._steps, self._target, self._drawn = steps, target, 0.0

    def __call__(self, accuracy, counts):
        last = len(accuracy) == self._steps
        if time.monotonic() - self._drawn < 0.2 and not last:
            return
        for ax in self._axes.values():
            ax.clear()
        _after_step(self._axes, counts, accuracy, self._target, len(accuracy), self._steps)
        self.value = plots.png(self.figure, live=True)
        self._drawn = time.monotonic()


def conversion_explorer(cnn=None, digits=None, *, steps=40):
    """A converted CNN reads test digits: its confusion chart after every step, beside its accuracy.

    ``cnn`` is a network that ``conversion.to_snn`` takes (by default with the bundled weights), ``digits`` what it
    reads (by default the first 300 of MNIST's test digits, on which it was not trained).
    """
    cnn, digits = cnn or weights.trained("cnn-to-snn", "fast"), digits or first_digits(300)
    balanced = conversion.normalize(cnn, training_images())
    target = training.accuracy(cnn, digits, lambda images: images)

    @cache
    def run(kind, start):
        snn = conversion.to_snn(balanced, v_init=STARTS[start])
        result = conversion.simulate(snn, digits, steps, INPUTS[kind])
        return result.accuracy(), result.confusion(), result.spikes_per_image().sum(1)

    def draw(axes, step, kind, start):
        accuracy, counts, spikes = run(kind, start)
        _after_step(axes, counts[step - 1], accuracy[:step].tolist(), target, step, steps)
        axes["accuracy"].plot(range(1, steps + 1), accuracy, color="0.85", zorder=0)
        return (
            f"after {step} step{'s' * (step > 1)}: {accuracy[step - 1]:.1%} right (CNN {target:.1%}) · "
            f"{spikes[step - 1]:,.0f} spikes an image so far"
        )

    def strip():
        figure = Figure(figsize=(9.5, 2.8))
        accuracy, counts, _ = run("constant", "half the threshold")
        for ax, step in zip(figure.subplots(1, 4), (1, 2, min(5, steps), steps), strict=True):
            chart(counts[step - 1], ax)
            ax.set(title=f"step {step}: {accuracy[step - 1]:.1%}", ylabel="digit" if step == 1 else "")
        return figure

    return Panel(
        draw,
        {
            "step": slider("time step", 5, 1, steps, 1),
            "kind": choice("input", list(INPUTS)),
            "start": choice("start at", list(STARTS), "half the threshold"),
        },
        layout=_two_axes,
        strip=strip,
        sentence=f"The confusion chart of a converted network after 1, 2, 5 and all steps, for {len(digits.labels):,} "
        "test digits: at first the answers scatter, then the diagonal lights up.",
        size=(9, 3.8),
    )


def activation_explorer(cnn=None, digits=None, *, longest=100):
    """Every neuron of a layer: the CNN's activation across, the SNN's firing rate up, and the band of one spike in T.

    ``cnn`` and ``digits`` as in ``conversion_explorer``; one digit at a time.
    """
    cnn, digits = cnn or weights.trained("cnn-to-snn", "fast"), digits or first_digits(50)
    balanced = conversion.normalize(cnn, training_images())
    blocks = conversion.to_snn(balanced).layers

    @lru_cache(maxsize=64)
    def run(index, kind, start):
        image = data.pixels(digits.images[index : index + 1])
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            records = conversion.to_snn(balanced, v_init=STARTS[start])(INPUTS[kind](image, longest))
            x, activations = image, []
            for block in blocks:
                x = block(x).relu()
                activations.append(x.flatten())
        return activations, [record.spikes.flatten(1).cumsum(0) for record in records]

    def compare(index, layer, steps, kind, start):
        """Activation, rate, and by how much the rate of a constant current can be wrong."""
        activations, counts = run(index, kind, start)
        a, rate = activations[layer] * RATES[kind], counts[layer][steps - 1] / steps
        return a, rate, max(STARTS[start], 1 - STARTS[start]) / steps

    def within(a, rate, half):
        return ((rate - a.clamp(max=1)).abs() <= half + 1e-5).float().mean().item()

    def scatter(ax, *place):
        a, rate, half = compare(*place)
        relu, (_, top) = np.array([0.0, 1.0, 1.0]), round_limits(0, max(1.0, a.max().item()))
        ax.fill_between([0, 1, top], relu - half, relu + half, color="0.88", linewidth=0)
        ax.plot([0, 1, top], relu, **plots.LINES["target"])
        shown = (a > 0) | (rate > 0)
        ax.plot(a[shown], rate[shown], ".", color=plots.COLORS["membrane"], markersize=2.5, alpha=0.6)
        ax.set(xlim=(-0.03, 1.03 * top), ylim=(-0.05, 1.08), xlabel="activation of the CNN", ylabel="firing rate")
        return a, rate, half

    def draw(axes, index, layer, steps, kind, start):
        a, rate, half = scatter(axes["scatter"], index, layer, steps, kind, start)
        error = rate - a.clamp(max=1)
        axes["scatter"].set_title(f"layer {layer + 1}, T = {steps}")
        plots.image(digits.images[index], axes["image"]).set_title(f"a {digits.labels[index]}")
        axes["error"].stairs(*np.histogram(error[error != 0], bins=41), fill=True, color=plots.COLORS["membrane"])
        limits = round_limits(error.min(), error.max(), symmetric=True)
        axes["error"].set(xlabel="rate - activation", xlim=limits, yticks=[], title="errors other than 0")
        axes["error"].locator_params(axis="x", nbins=4)
        return (
            f"layer {layer + 1} after {steps} steps: root mean square error {error.square().mean().sqrt():.3f} · "
            f"{within(a, rate, half):.1%} of {len(a):,} neurons within {half:.3g}"
        )

    def strip():
        figure = Figure(figsize=(9.5, 4.6))
        axes = figure.subplots(2, 3, sharex="col")
        for row, steps in zip(axes, (5, longest), strict=True):
            for layer, ax in enumerate(row):
                scatter(ax, 0, layer, steps, "constant", "half the threshold")
                ax.set(title=f"layer {layer + 1}, T = {steps}", xlabel="" if steps == 5 else ax.get_xlabel())
                ax.set_ylabel("firing rate" if layer == 0 else "")
        return figure

    first, second = (within(*compare(0, layer, 5, "constant", "half the threshold")) for layer in (0, 1))
    return Panel(
        draw,
        {
            "index": slider("test digit", 0, 0, len(digits.labels) - 1, 1),
            "layer": choice("layer", {f"{i + 1}": i for i in range(len(blocks))}, 1),
            "steps": slider("steps T", 20, 1, longest, 1),
            "kind": choice("input", list(INPUTS)),
            "start": choice("start at", list(STARTS), "half the threshold"),
        },
        layout=lambda figure: figure.subplot_mosaic([["image", "scatter", "error"]], width_ratios=(1, 2, 2)),
        strip=strip,
        sentence="Each point is a neuron, the activation of the CNN across and the firing rate up, after few steps and "
        "after many; dash-dotted: a ReLU capped at 1; grey: half a spike in T. After 5 steps "
        f"{first:.1%} of layer 1 lie in the grey band, and {second:.1%} of layer 2, which gets spikes and no constant "
        "current.",
        size=(9.5, 3.2),
    )


def step_curves(curves, target=None, *, low=0, title=""):
    """The accuracy after each step in %, one line an entry of ``curves`` {name: [T] shares}, the CNN's dash-dotted.

    low : in %, where the vertical axis begins; what lies below is not seen. Returns a Figure
    """
    figure = Figure(figsize=(8, 3))
    ax = figure.subplots()
    looks = ("C0", "o"), ("C1", "x"), ("C3", "s"), ("C4", "^"), ("0.5", ".")  # C2 is the CNN's green
    for (colour, mark), (name, curve) in zip(looks, curves.items(), strict=False):
        percent = [100 * float(share) for share in curve]
        ax.plot(range(1, len(curve) + 1), percent, colour, label=name, marker=mark, markersize=3.5, linewidth=1)
    if target is not None:
        ax.axhline(100 * target, **plots.LINES["target"], label="the CNN")
    ax.set(xlabel="time step", ylabel="accuracy [%]", ylim=(low, 100 + 0.02 * (100 - low)))
    ax.set_title(title)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="lower right")
    return figure


def chart(counts, ax=None):
    """A confusion chart with its row summary in numbers: of each digit, how many per cent were answered right."""
    ax = plots.confusion(counts, ax)
    column = len(counts) - 0.2
    ax.text(column, -1, "right, %", fontsize=7, va="center")
    for row, (right, total) in enumerate(zip(counts.diag().tolist(), counts.sum(1).tolist(), strict=True)):
        ax.text(column, row, f"{100 * right / total:.1f}" if total else "-", fontsize=7, va="center")
    return ax


def _after_step(axes, counts, accuracy, target, step, steps):
    chart(counts, axes["confusion"]).set_title(f"after step {step}")
    ax = axes["accuracy"]
    ax.plot(range(1, len(accuracy) + 1), accuracy, color=plots.COLORS["membrane"], marker=".", markersize=4)
    ax.axhline(target, **plots.LINES["target"])
    ax.set(xlim=(0.5, steps + 0.5), ylim=(0, 1.02), xlabel="time step", ylabel="accuracy")
    ax.set(xticks=(1, steps // 2, steps), yticks=(0, 0.5, 1))  # few labels: text is slow to draw
    ax.set_title(f"{accuracy[-1]:.1%} right; the CNN {target:.1%}")


def _two_axes(figure):
    return figure.subplot_mosaic([["confusion", "accuracy"]], width_ratios=(2, 3))


def first_digits(count):
    return data.mnist(train=False, root=data.BUNDLED).first(count)


def training_images(count=500):
    return data.pixels(data.mnist(train=True, root=data.BUNDLED).images[:count])
