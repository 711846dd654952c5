"""Explorers of notebook 00: proof that a slider moves a picture here, and the way from a pixel to a vote."""

from functools import lru_cache

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure

from snn_helpers import data, encoding, plots, weights
from snn_helpers.widgets.panel import Panel, choice, module, slider

MORE, LESS = "#01665E", "#8C510A"  # the ends of the map of signed values: teal adds, brown takes away


def hello_explorer(steps=100):
    """A slider from silence to a spike at every step: if the picture follows it, widgets are live."""

    def spikes(rate):
        time = np.arange(1, steps + 1)
        return (np.floor(time * rate) > np.floor((time - 1) * rate)).astype(float)[:, None]

    def draw(ax, rate):
        train = spikes(rate)
        plots.raster(train, ax)
        ax.set(yticks=[], ylabel="", title="drag the slider: the marks should follow at once")
        return f"{train.sum():.0f} spikes in {steps} steps: a firing rate of {rate:.2f}. Widgets are live."

    def strip():
        figure = Figure(figsize=(8, 1.8))
        for ax, rate in zip(figure.subplots(3, 1, sharex=True), (0.05, 0.2, 0.8), strict=True):
            plots.raster(spikes(rate), ax)
            ax.set(yticks=[], ylabel="", xlabel="time step" if rate == 0.8 else "")
            ax.set_title(f"firing rate {rate:.2f}", fontsize=9)
        return figure

    return Panel(
        draw,
        {"rate": slider("spikes per step", 0.2, 0.0, 1.0, 0.01)},
        strip=strip,
        sentence="One neuron's spikes at three firing rates: the higher the rate, the denser the marks.",
        size=(8, 1.4),
    )


class PixelPad(anywidget.AnyWidget):
    """A digit in which a pixel is picked, by pointer or arrow keys: ``row`` and ``column`` of ``pixels``, 784 bytes."""

    _esm = module("pixels")
    pixels = traitlets.Bytes(bytes(784)).tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)
    column = traitlets.Int(0).tag(sync=True)


def pixel_panel(draw, images, at, *, controls=(), **panel):
    """A ``Panel`` with a ``PixelPad`` before its picture: controls digit, row and column, then ``controls``.

    ``images`` : {digit: [28, 28] uint8}, ``at`` : the (digit, row, column) it starts with
    """
    digit, row, column = at
    controls = {
        "digit": choice("digit", list(images), digit),
        "row": slider("row of the pixel", row, 0, 27, 1),
        "column": slider("column", column, 0, 27, 1),
        **dict(controls),
    }
    explorer = Panel(draw, controls, **panel)
    explorer.pad = pad = PixelPad()
    for name in "row", "column":
        traitlets.link((controls[name], "value"), (pad, name))
    traitlets.dlink((controls["digit"], "value"), (pad, "pixels"), lambda digit: images[digit].numpy().tobytes())
    rows, headline, picture, keys = explorer.children
    picture.layout.flex = "1 1 560px"  # as wide as there is room for beside the pad, or under it
    side_by_side = ipywidgets.Box([pad, picture], layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center"))
    explorer.children = rows, headline, side_by_side, keys
    return explorer


def pixel_strip(draw, image, stops, widths, *, height, title="pixel ({i}, {j})"):
    """The saved picture of a ``pixel_panel``: a row for each of the ``stops`` (row, column) of one image.

    ``draw(axes, i, j)`` draws beside it, on axes of the relative ``widths``; titles stand above the first row only
    """
    figure = Figure(figsize=(10, height))
    rows = figure.subplots(len(stops), 1 + len(widths), width_ratios=(1.2, *widths))
    for row, (i, j) in zip(rows, stops, strict=True):
        draw(row[1:], i, j)
        plots.image(image, row[0]).set_title(title.format(i=i, j=j, x=image[i, j]))
        row[0].plot(j, i, "s", markerfacecolor="none", markersize=9, color=plots.COLORS["input"])
    for ax in rows[1:, 1:].flat:
        ax.set_title("")
    for ax in rows[:-1, 1:].flat:
        ax.set_xlabel("")
    return figure


def first_of_each(digits):
    """{class: its first image, [28, 28] uint8}, so that a digit can be picked by its name."""
    return {k: digits.images[digits.labels == k][0] for k in range(10)}


def part_of_membrane(train, weight, fired, beta):
    """What one pixel's spikes [T] have left in the membranes [T, C]: its current leaks and is reset with the rest.

    ``weight`` [C] to each neuron, ``fired`` [T, C] the neurons' own spikes (reset to zero). Over all pixels the parts
    add up to the membrane.
    """
    part, before, parts = torch.zeros_like(weight), torch.zeros_like(weight), []
    for spike, now in zip(train, fired, strict=True):
        part = beta * part * (1 - before) + spike * weight
        before = now
        parts.append(part)
    return torch.stack(parts)


def journey_explorer(steps=50):
    """Pick a pixel of a digit: its spikes, its weight to each of ten neurons, its part of their membranes, the vote.

    The network is the single layer with the bundled weights, the digits are test digits, which it was not trained on;
    those (but the 1) were chosen of which the race is close, so that a single pixel can matter.
    """
    net, digits = weights.trained("single-layer", "fast"), data.mnist(train=False, root="bundled")
    images = {digits.labels[i].item(): digits.images[i] for i in CLOSE}
    weight, beta = net.layers[0][1].weight.detach(), net.neuron["beta"]

    @lru_cache(maxsize=16)
    def spikes_of(digit):
        generator = torch.Generator().manual_seed(1)
        return encoding.poisson(data.pixels(images[digit])[None], steps, generator=generator).flatten(1)  # [T, 784]

    def fired(spikes):
        with torch.no_grad():
            return net(spikes.view(steps, 1, 1, 28, 28))[-1].spikes[:, 0]  # [T, 10]

    @lru_cache(maxsize=256)
    def travel(digit, pixel):
        spikes = spikes_of(digit)
        silenced = spikes.clone()
        silenced[:, pixel] = 0
        output = fired(spikes)
        part = part_of_membrane(spikes[:, pixel], weight[:, pixel], output, beta)
        return [found.numpy() for found in (spikes[:, pixel], part, output.sum(0), fired(silenced).sum(0))]

    def draw(axes, digit, row, column):
        pixel = 28 * row + column
        train, part, votes, without = travel(digit, pixel)
        ax, w = axes["weight"], weight[:, pixel].numpy()
        ax.hlines(range(10), 0, w, colors=[MORE if value > 0 else LESS for value in w], linewidth=9)
        ax.axvline(0, color="0.6", linewidth=0.8)
        end = 0.4 if np.abs(w).max() < 0.4 else 1.3  # few weights are larger
        ax.set(xlim=(-end, end), ylabel="neuron", xlabel="weight w", title="its weight to each neuron")
        ax = axes["part"]
        colours = {"aspect": "auto", "cmap": "BrBG", "vmin": -0.4, "vmax": 0.4}
        ax.imshow(part.T, **colours)
        time = np.flatnonzero(train)
        ax.plot(time, np.full(len(time), -1), "|", color="black", markersize=8)
        ax.set(xlim=(-0.5, steps - 0.5), xlabel="time step", title="its spikes (top) → its part of the membranes")
        ax = axes["votes"]
        others = [k for k in range(10) if k != digit]
        ax.hlines(others, 0, votes[others], colors=plots.COLORS["membrane"], linewidth=9)
        ax.barh(digit, votes[digit], facecolor=plots.COLORS["target"], hatch="//", edgecolor="white")
        voted = np.flatnonzero(votes + without)
        ax.plot(without[voted], voted, "D", color="black", markerfacecolor="white", markersize=5, clip_on=False)
        ax.set(xlim=(0, steps), xlabel="spikes", title="votes; ◇ without it")
        for ax in axes["weight"], axes["part"], axes["votes"]:
            ax.set(ylim=(9.5, -1.6), yticks=range(10))
        ax = axes["scale"]  # drawn as it is: a colour bar made anew would take as long as all the rest
        ax.imshow(np.linspace(0.4, -0.4, 64)[:, None], **colours, extent=(0, 1, -0.4, 0.4))
        ax.set(xticks=[], ylabel="part of U")
        return (
            f"pixel ({row}, {column}), brightness {images[digit][row, column] / 255:.2f}: {train.sum():.0f} spikes in "
            f"{steps} steps, each {w[digit]:+.2f} for neuron {digit}: {votes[digit]:.0f} votes, {without[digit]:.0f} "
            f"without this pixel; answer {votes.argmax()}, without it {without.argmax()}"
        )

    def strip():
        return pixel_strip(
            lambda axes, i, j: draw(dict(zip(PARTS, axes, strict=True)), 9, i, j), images[9], STOPS, WIDTHS, height=8
        )

    return pixel_panel(
        draw,
        images,
        (9, *STOPS[0]),
        layout=lambda figure: figure.subplot_mosaic([PARTS], width_ratios=WIDTHS),
        strip=strip,
        sentence="Three pixels of a 9, each from left to right: where it is, its weight to each of the ten neurons, "
        "its spikes (black marks) and what they leave in the ten membranes, teal more and brown less, and the votes "
        "of the ten neurons, with white diamonds where they would be without this pixel.",
        size=(8.4, 3.2),
    )


PARTS, WIDTHS = ("weight", "part", "scale", "votes"), (1.2, 2, 0.06, 1.2)
CLOSE = 1570, 2, 624, 890, 969, 218, 386, 605, 1033, 336  # a test digit of each class
STOPS = (6, 16), (5, 15), (9, 13)  # pixels of the saved picture: for the 9, against it, and a black one
