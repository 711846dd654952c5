"""Notebook 07, one image: the spikes that it becomes, and what a converted network answers step by step."""

from functools import lru_cache

import numpy as np
import torch
from matplotlib.figure import Figure

from snn_helpers import conversion, data, plots, weights
from snn_helpers.widgets.classifier import race, verdict
from snn_helpers.widgets.conversion import INPUTS, STARTS, first_digits, training_images
from snn_helpers.widgets.panel import Panel, choice, slider


def decision_explorer(cnn=None, digits=None, *, steps=40):
    """One digit on its way through a converted CNN: the spikes of its pixels so far, and those of the ten outputs.

    ``cnn`` is a network that ``conversion.to_snn`` takes (by default with the bundled weights), ``digits`` the
    pictures to pick from (by default the first 100 of MNIST's test digits, on which it was not trained).
    """
    cnn, digits = cnn or weights.trained("cnn-to-snn", "fast"), digits or first_digits(100)
    balanced = conversion.normalize(cnn, training_images())

    @lru_cache(maxsize=64)
    def run(index, kind, start):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            x = INPUTS[kind](data.pixels(digits.images[index : index + 1]), steps)
            return x[:, 0, 0], conversion.to_snn(balanced, v_init=STARTS[start])(x)[-1].spikes[:, 0]

    def draw(axes, index, step, kind, start):
        x, spikes = run(index, kind, start)
        label = digits.labels[index].item()
        plots.image(digits.images[index], axes["image"]).set_title(f"a {label}")
        plots.spike_map(x[:step], axes["input"]).set_title(f"input, mean of {step}")
        race(spikes[:step], axes["race"], label)
        axes["race"].set(xlim=(-0.5, steps + 2), xticks=(0, steps // 2, steps - 1))
        most = spikes.sum(0).max().item()
        plots.bars(spikes[:step].sum(0), axes["votes"], highlight=label)
        axes["votes"].set(ylabel="spikes so far", ylim=(0, max(12, 1.1 * most)))
        return verdict(spikes[:step].sum(0), step, label)

    def strip():
        figure = Figure(figsize=(9.5, 2.3))
        x, spikes = run(0, "Poisson, threshold 2.5", "0")
        label, most = digits.labels[0].item(), spikes.sum(0).max().item()
        for ax, step in zip(figure.subplots(1, 4, sharey=True), (5, 10, 20, steps), strict=True):
            plots.bars(spikes[:step].sum(0), ax, highlight=label)
            ax.set(title=f"after {step} steps", ylabel="spikes so far" if step == 5 else "", ylim=(0, 2 * max(1, most)))
            shown = ax.inset_axes((0.02, 0.58, 0.4, 0.4))
            plots.spike_map(x[:step], shown, vmax=1 / 2.5, cmap="gray")
        return figure

    return Panel(
        draw,
        {
            "index": slider("test digit", 0, 0, len(digits.labels) - 1, 1),
            "step": slider("time step", steps // 4, 1, steps, 1),
            "kind": choice("input", list(INPUTS), "Poisson, threshold 2.5"),
            "start": choice("start at", list(STARTS), "0"),
        },
        layout=lambda figure: figure.subplot_mosaic([["image", "input", "votes", "race"]], width_ratios=(1, 1, 2, 2)),
        strip=strip,
        sentence=f"A {digits.labels[0]} as Poisson spikes through a converted network whose membranes start at 0: the "
        "spikes of its ten outputs after 5, 10, 20 and all steps, the right one green, and above them how often each "
        "pixel has fired so far (black: never, white: at two steps of five).",
        size=(9.5, 2.8),
    )


def train_maps(trains, steps=(1, 4, 10, 40)):
    """Spike trains [R, T, 1, H, W] as pictures: how often each pixel has fired after so many steps. One row a train."""
    figure = Figure(figsize=(1.7 * len(steps) + 0.8, 1.75 * len(trains)))
    axes = figure.subplots(len(trains), len(steps), squeeze=False)
    top = max(float(np.asarray(train[: max(steps)]).mean(0).max()) for train in trains)
    for i, (row, train) in enumerate(zip(axes, trains, strict=True)):
        for ax, count in zip(row, steps, strict=True):
            plots.spike_map(train[:count], ax, vmax=top)
            ax.set_title(f"{count} step{'s' * (count > 1)}" if i == 0 else "")
        row[0].set_ylabel(f"train {i + 1}")
    figure.colorbar(axes[0, 0].images[0], ax=axes, label="share of the steps", shrink=0.7, extend="max")
    return figure
