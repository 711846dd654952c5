"""One digit, three networks side by side, for notebook 08: a CNN, the same converted, and one trained in spikes."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

from snn_helpers import conversion, data, plots, recipes, weights
from snn_helpers.engine import chain
from snn_helpers.widgets.classifier import race
from snn_helpers.widgets.panel import Panel, choice, round_limits, slider

CONVERTED, TRAINED = "converted", "trained in spikes"
_LOOKS = {
    CONVERTED: dict(color=plots.COLORS["membrane"], marker="."),
    TRAINED: dict(color=plots.COLORS["threshold"], marker=".", linestyle="--"),
}


class Network(NamedTuple):
    """``net`` spikes; ``encode(images [B, 1, 28, 28], steps)`` makes its input; ``dense`` are its twin's operations."""

    net: nn.Module
    encode: Callable
    steps: int
    dense: float

    def input(self, images):
        """What the network gets for images."""
        return self.encode(images, self.steps)


@cache
def networks():
    """The CNN with the bundled weights, scaled for its conversion, and the Networks: (cnn, {"converted": ..., ...})."""
    csnn, recipe = weights.trained("csnn", "fast"), recipes.RECIPES["csnn"]["fast"]
    how = recipes.RECIPES["cnn-to-snn"]["fast"].convert
    images, blank = data.pixels(data.mnist(train=True, root=data.BUNDLED).images[:1000]), torch.zeros(1, 1, 28, 28)
    cnn = conversion.normalize(weights.trained("cnn-to-snn", "fast"), images, how["percentile"])
    converted, dense = (
        conversion.to_snn(cnn, v_init=how["v_init"]),
        dense_operations(chain.blocks("networks", cnn), blank),
    )
    return cnn, {
        CONVERTED: Network(converted, how["encode"], how["steps"], dense),
        TRAINED: Network(csnn, recipe.encode, recipe.steps, dense_operations(csnn.layers, blank)),
    }


def operations(block, x):
    """How many operations a layer of weights needs for each input [B, ...]: one for each weight that meets a number
    other than 0. Returns [B]; what stands beside the weights (pooling, biases) is not counted.
    """
    count = torch.zeros(len(x))
    for module in block if isinstance(block, nn.Sequential) else [block]:
        met = (x != 0).float()
        if isinstance(module, nn.Conv2d):
            ones = torch.ones(1, 1, *module.kernel_size)
            how = dict(stride=module.stride, padding=module.padding)
            count = F.conv2d(met.sum(1, keepdim=True), ones, **how).flatten(1).sum(1) * module.out_channels
        elif isinstance(module, nn.Linear):
            count = met.flatten(1).sum(1) * module.out_features
        x = module(x)
    return count


@torch.no_grad()
def operations_per_step(net, x, records):
    """Operations of an SNN up to each step, [T, B]. What a constant input gives the first layer is computed once."""
    steps, batch = x.shape[:2]
    total = torch.zeros(steps, batch)
    for i, block in enumerate(net.layers):
        inputs = x if i == 0 else records[i - 1].spikes
        if inputs.stride(0) == 0:
            total[0] += operations(block, inputs[0])
        else:
            total += operations(block, inputs.flatten(0, 1)).view(steps, batch)
    return total.cumsum(0)


@torch.no_grad()
def dense_operations(blocks, image):
    """Operations of a network without spikes that multiplies by every number, zeros too; borders are not counted."""
    total, x = 0, torch.ones_like(image)
    for block in blocks:
        total += operations(block, x)[0].item()
        for module in block if isinstance(block, nn.Sequential) else [block]:
            x = module(x)
        x = torch.ones_like(x)
    return total


def decided(answers):
    """From which step on the answer stays what it is at the end: answers [T, B] -> [B], counted from 1."""
    stays = (answers == answers[-1]).flip(0).int().cumprod(0).sum(0)
    return len(answers) - stays + 1


def three_explorer(digits=None):
    """One digit on its way through a CNN, the same CNN converted to spikes, and a network trained in spikes.

    What flows into the ten outputs, their spikes, the race of their counts and who decides when; and the operations
    that each needs up to each step. ``digits`` are the pictures to pick from (by default MNIST's test digits).
    """
    digits = (digits or data.mnist(train=False, root=data.BUNDLED)).first(100)
    cnn, spiking = networks()
    with torch.no_grad():
        scores = cnn(digits.pixels)
    latest = {name: conversion.simulate(one.net, digits, one.steps, one.encode) for name, one in spiking.items()}
    when = {name: decided(seen.answers()) for name, seen in latest.items()}
    late = torch.stack(list(when.values())).sum(0).argsort(descending=True, stable=True).tolist()
    orders = {"as they come": list(range(len(late))), "decided late, first": late}

    @lru_cache(maxsize=64)
    @torch.no_grad()
    def journey(name, index):
        net, x = spiking[name].net, spiking[name].input(digits.pixels[index : index + 1])
        records = net(x)
        current = net.layers[-1](records[-2].spikes.flatten(0, 1))
        return current, records[-1].spikes[:, 0], operations_per_step(net, x, records)[:, 0]

    def currents(ax, name, index, label):
        current, *_ = journey(name, index)
        others = [i for i in range(10) if i != label]
        ax.plot(current[:, others], color="0.6", linewidth=1)
        ax.plot(current[:, label], **plots.LINES["target"] | dict(linestyle="-"))
        if name == CONVERTED:
            ax.axhline(scores[index, label], color="black", linestyle=":", linewidth=1)
        ax.set(title=f"{name}: output currents I", xlabel="time step", ylim=round_limits(*current.aminmax()))

    def cost(ax, index):
        for name, one in spiking.items():
            spent = journey(name, index)[2]
            ax.plot(range(len(spent)), spent, **_LOOKS[name], label=name)
            ax.axhline(one.dense, color=_LOOKS[name]["color"], linestyle=":", linewidth=1)
            at = when[name][index] - 1
            ax.plot([at], [spent[at]], "o", color=_LOOKS[name]["color"], markersize=6)
        ax.set(yscale="log", ylim=(1e5, 2e7), xlabel="time step", title="operations so far (dotted: no spikes)")
        ax.legend(loc="lower right")

    def draw(axes, order, place):
        index = orders[order][place]
        label = digits.labels[index].item()
        plots.image(digits.images[index], axes["image"]).set_title(f"test digit {index}: a {label}")
        plots.bars(scores[index], axes["scores"], highlight=label).set_title("CNN: scores of the ten classes")
        axes["scores"].set(ylim=round_limits(*scores[index].aminmax()))
        cost(axes["cost"], index)
        for row, name in enumerate(spiking):
            currents(axes[f"current {row}"], name, index, label)
            spikes = journey(name, index)[1]
            plots.raster(spikes, axes[f"spikes {row}"], markersize=6).set(title="output spikes", ylabel="class")
            axes[f"spikes {row}"].set(yticks=(0, 3, 6, 9))
            race(spikes, axes[f"race {row}"], label)
            axes[f"race {row}"].axvline(when[name][index] - 1, color=plots.COLORS["input"], linewidth=1)
        answers = {name: seen.answers()[-1, index].item() for name, seen in latest.items()}
        said = [
            f"{name}: {answers[name]}, settled after {when[name][index]} of {spiking[name].steps} steps "
            f"({journey(name, index)[2][when[name][index] - 1] / 1e6:.2f} M by then)"
            for name in spiking
        ]
        plain = f"CNN: {scores[index].argmax()} ({spiking[CONVERTED].dense / 1e6:.2f} M operations)"
        return " · ".join([f"a {label}", plain, *said])

    def layout(figure):
        rows = [[f"{part} {row}" for part in ("current", "spikes", "race")] for row in (0, 1)]
        return figure.subplot_mosaic([["image", "scores", "cost"], *rows])

    def strip():
        figure = Figure(figsize=(8.5, 5.4))
        draw(layout(figure), "decided late, first", 0)
        return figure

    index = late[0]
    return Panel(
        draw,
        {
            "order": choice("digits", list(orders)),
            "place": slider("place", 0, 0, len(late) - 1, 1),
        },
        layout=layout,
        strip=strip,
        sentence=f"A {digits.labels[index]} in three networks: the scores of a CNN; then, for the same CNN converted "
        "and for a network trained in spikes, the current into the ten outputs, their spikes and the race of counts. "
        "The right class is green, dotted black its score in the CNN; orange: from here on the answer stays. Top right "
        "the operations so far, a circle where the answer is settled; dotted, the same layers without spikes.",
        size=(10, 6.8),
    )
