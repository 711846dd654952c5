"""Explorers of a spiking classifier: from the picked digit to the vote."""

from functools import lru_cache

import numpy as np
import torch
from matplotlib.figure import Figure

from snn_helpers import data, plots, weights
from snn_helpers.encoding import poisson
from snn_helpers.widgets.panel import Panel, round_limits, slider


def vote_explorer(net=None, digits=None, *, steps=50):
    """Pick a digit: its input spikes, the ten output voltages, and the race of their spike counts.

    ``net`` is a single-layer SNN (by default with the bundled weights), ``digits`` the pictures to pick from.
    """
    if net is None:
        net = weights.trained("single-layer", "fast")
    digits = digits or data.mnist(train=False, root="bundled")
    shown = min(200, len(digits.labels))

    @lru_cache(maxsize=256)
    def journey(index, seed):
        image = data.pixels(digits.images[index])[0]
        spikes = poisson(image[None, None], steps, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            record = net(spikes)[-1]
        lit = image.flatten() > 0
        return image, spikes.flatten(1)[:, lit], record.membrane[:, 0], record.spikes[:, 0]

    def closest():
        """The two digits on offer whose runner-up reaches the largest share of the winner's spikes."""
        counts = torch.stack([journey(index, 0)[-1].sum(0) for index in range(shown)])
        first, second = counts.topk(2).values.T
        return (second / first.clamp(min=1)).argsort(descending=True, stable=True)[:2].tolist()

    def draw(axes, index, until, seed):
        image, inputs, membrane, spikes = journey(index, seed)
        inputs, membrane, spikes = inputs[:until], membrane[:until], spikes[:until]
        plots.image(image, axes["image"]).set_title(f"a {digits.labels[index]}")
        plots.raster(inputs, axes["raster"]).set(
            yticks=[], ylabel="lit pixel", title=f"{inputs.sum():.0f} input spikes"
        )
        voltages(membrane, spikes, axes["voltage"])
        race(spikes, axes["race"], digits.labels[index].item())
        for name in "raster", "voltage", "race":
            axes[name].set(
                xlim=(-0.5, steps - 0.5), xticks=(0, steps // 2, steps - 1)
            )  # few labels: text is slow to draw
        return verdict(spikes.sum(0), until, digits.labels[index].item())

    def strip():
        figure = Figure(figsize=(9, 6))
        rows = figure.subplots(3, 4, width_ratios=(1, 2, 2, 2))
        for row, index in zip(rows, (0, *closest()), strict=True):
            draw(dict(zip(("image", "raster", "voltage", "race"), row, strict=True)), index, steps, 0)
        for ax in rows[:-1].flat:
            ax.set_xlabel("")
        return figure

    return Panel(
        draw,
        {
            "index": slider("test digit", 0, 0, shown - 1, 1),
            "until": slider("steps shown", steps, 1, steps, 1),
            "seed": slider("seed", 0, 0, 20, 1),
        },
        layout=lambda figure: figure.subplot_mosaic(
            [["image", "raster", "voltage", "race"]], width_ratios=(1, 2, 2, 2)
        ),
        strip=strip,
        sentence="Three test digits on their way to a vote, a clear race and the two in which the runner-up, among "
        f"{shown} digits, reaches the largest share of the winner's spikes: input spikes, the voltages U of the ten "
        "output neurons (white marks are spikes), their spike counts racing, the first two by name; the digit's own "
        "neuron is green.",
        size=(10, 2.8),
    )


def verdict(counts, until, label):
    """Who leads after ``until`` steps, in words: spike counts [C] and the right class, None if nobody knows it."""
    known = f" (it is a {label})" if label is not None else ""
    leaders = (counts == counts.max()).nonzero().flatten().tolist()
    if not counts.any():
        return f"after {until} steps: nobody has fired, so there is no vote{known}"
    if len(leaders) > 1:
        names = " and ".join(map(str, leaders))
        return f"after {until} steps: {names} tie with {counts.max():.0f} spikes each{known}"
    second = counts.topk(2).indices[1].item()
    votes = f"{counts.max():.0f} spike{'s' * (counts.max().item() != 1)}"
    follows = f", {second} follows with {counts[second]:.0f}" if counts[second] else ", no other has fired"
    if known:
        known = f" ({'right' if leaders[0] == label else 'wrong'}: it is a {label})"
    return f"after {until} step{'s' * (until != 1)}: {leaders[0]} leads with {votes}{follows}{known}"


def voltages(membrane, spikes, ax):
    """The output layer as a heatmap, [T, C] each, its spikes as white marks."""
    picture = ax.imshow(membrane.T.numpy(), aspect="auto", vmin=-3, vmax=3)
    bar = ax.inset_axes((1.02, 0, 0.035, 1))
    ax.figure.colorbar(picture, cax=bar, ticks=(-3, 0, 3), extend="both", extendfrac=0.03)
    bar.set_title("U", fontsize=8)
    time, neuron = np.nonzero(spikes.numpy())
    ax.plot(time, neuron, "|", color="white", markersize=7)
    ax.set(yticks=range(10), xlabel="time step", ylabel="output neuron", title="voltages and spikes")


def race(spikes, ax, label):
    """The spike counts of the output neurons as they grow: spikes [T, C], the right class in green."""
    counts = spikes.cumsum(0).numpy()
    others = [neuron for neuron in range(counts.shape[1]) if neuron != label]
    # one line with gaps instead of nine, which take nine times as long
    time = np.arange(len(counts) + 1, dtype=float)
    time[-1] = np.nan
    gap = np.full((1, len(others)), np.nan)
    ax.plot(np.tile(time, len(others)), np.concatenate([counts[:, others], gap]).T.ravel(), color="0.6", linewidth=1)
    if label is not None:
        ax.plot(counts[:, label], color=plots.COLORS["target"], linewidth=2.5)
    ax.locator_params(axis="y", nbins=3, integer=True)
    _, top = round_limits(0, max(5, counts.max()), 3, integer=True)
    # the right one and the first two, if they have fired; names that would cover each other share a place
    order = sorted(range(counts.shape[1]), key=lambda neuron: -counts[-1, neuron])
    places = []
    for neuron in order:
        count = counts[-1, neuron]
        if neuron == label or (neuron in order[:2] and count):
            if not places or places[-1][0] - count > 0.12 * top:
                places.append((count, []))
            places[-1][1].append(str(neuron))
    for count, names in places:
        place = "center" if count > 0.06 * top else "bottom"  # above the axis, not across it
        ax.text(len(counts) - 1, count, f" {', '.join(names)}", va=place, fontweight="bold")
    ax.set(xlabel="time step", ylabel="spikes so far", ylim=(-0.02 * top, 1.05 * top), title="the vote race")
