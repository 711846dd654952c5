"""What breaks a spiking network and its twin: pixels that change places, spikes that get lost, neurons that die."""

import matplotlib.pyplot as plt
import numpy as np
import torch

from snn_helpers import plots
from snn_helpers.neurons import lif
from snn_helpers.widgets.hidden import colour_bar, images_of, some
from snn_helpers.widgets.panel import Panel, slider

MOVED, DROP, DEAD = (0.0, 0.1, 0.2, 0.3), (0.0, 0.25, 0.5, 0.75), (0.0, 0.2, 0.4, 0.6)
SPIKING, PLAIN = dict(color=plots.COLORS["membrane"]), dict(color=plots.COLORS["input"], linestyle="--")
RANK = 1  # the seed of the order in which neurons die


def swapped(images, share, seed=0):
    """Images [B, ...] of which a share of the pixels have changed places with one another.

    Noise that adds no drive: an image keeps its pixels, so its mean too. Those that move at a smaller share move at a
    larger one as well.
    """
    flat = images.flatten(1)
    order = torch.rand(flat.shape, generator=torch.Generator().manual_seed(seed)).argsort(1)
    moving = order[:, : round(share * flat.shape[1])]
    return flat.scatter(1, moving, flat.gather(1, moving.roll(1, 1))).view_as(images)


def robustness_grid(snn, ann, digits, *, moved=MOVED, drop=DROP, dead=DEAD, steps=25, seed=0):
    """Accuracy of both networks, disturbed in every combination, after each step: [2, moved, drop, dead, T].

    moved : shares of the pixels that change places, as ``swapped`` moves them
    drop : shares of the input spikes that are lost
    dead : shares of the hidden neurons that are silent for good

    Both get the same spikes: of the SNN (first in the result) the output's spikes up to each step are counted, the ANN
    gets the mean of the frames up to there. Random numbers are the same in every combination.
    """
    images, labels, hidden = images_of(digits), digits.labels, ann[3].in_features
    rank = torch.randperm(hidden, generator=torch.Generator().manual_seed(seed + RANK))
    uniform = torch.rand((steps, *images.shape), generator=torch.Generator().manual_seed(seed))
    grid = torch.zeros(2, len(moved), len(drop), len(dead), steps)
    count = torch.arange(1, steps + 1).view(-1, *[1] * images.ndim)
    with torch.no_grad():
        for i, share in enumerate(moved):
            seen = swapped(images, share, seed)
            for j, lost in enumerate(drop):
                # a spike that comes with chance p and is lost with chance d comes with chance p (1 - d)
                spikes = (uniform < seen * (1 - lost)).float()
                fired = snn(spikes)[0].spikes
                active = ann[:3](spikes.cumsum(0).div_(count).flatten(0, 1)).unflatten(0, (steps, -1))
                for k, gone in enumerate(dead):
                    alive = (rank >= round(gone * hidden)).float()
                    votes = lif(snn.layers[1](fired * alive), **snn.neuron).spikes.cumsum(0)
                    for n, answer in enumerate((votes, ann[3](active * alive))):
                        grid[n, i, j, k] = (answer.argmax(-1) == labels).float().mean(-1)
    return grid


def robustness_explorer(snn, ann, digits=None, *, steps=25):
    """Moved pixels, lost spikes, dead neurons and early exit, for a spiking network and its twin on the same spikes.

    The whole grid is computed once, on the first 300 of ``digits`` (by default MNIST's test digits).
    """
    digits = some(digits, 300)
    grid = robustness_grid(snn, ann, digits, steps=steps).numpy()

    def curves(ax, i, j, k, until=None):
        time = np.arange(1, steps + 1)
        if i or j or k:
            for n, style in enumerate((SPIKING, PLAIN)):
                grey = {**style, "color": "0.8", "linewidth": 1}
                ax.plot(time, grid[n, 0, 0, 0], **grey, label="undisturbed" if n == 0 else None)
        ax.plot(time, grid[0, i, j, k], **SPIKING, label="SNN")
        ax.plot(time, grid[1, i, j, k], **PLAIN, label="ANN, mean of frames")
        if until:
            ax.axvline(until, color="0.6", linewidth=1)
        ax.set(ylim=(0, 1.02), xlim=(0.5, steps + 0.5), xlabel="time steps used", ylabel="accuracy")

    def draw(axes, moved, drop, dead, until):
        i, j, k = MOVED.index(round(moved, 3)), DROP.index(round(drop, 3)), DEAD.index(round(dead, 3))
        curves(axes["curves"], i, j, k, until)
        axes["curves"].legend(loc="lower right")
        seen = swapped(images_of(digits), MOVED[i])[0] * (1 - DROP[j])
        plots.spike_map(seen[None], axes["image"]).set_title(f"a {digits.labels[0]} as it arrives")
        colour_bar(axes["image"], "chance of a spike")
        spiking, plain = grid[:, i, j, k, until - 1]
        return (
            f"after {until} step{'s' * (until > 1)}: SNN {spiking:.1%}, ANN on the same spikes {plain:.1%} "
            f"(undisturbed: {grid[0, 0, 0, 0, until - 1]:.1%} and {grid[1, 0, 0, 0, until - 1]:.1%})"
        )

    cases = {"undisturbed": (0, 0, 0), f"{MOVED[3]:.0%} of the pixels moved": (3, 0, 0)}
    cases |= {f"{DROP[2]:.0%} of the spikes lost": (0, 2, 0), f"{DEAD[2]:.0%} of the neurons dead": (0, 0, 2)}

    def strip():
        figure, axes = plt.subplots(1, 4, figsize=(10.5, 2.8), sharey=True)
        for ax, (title, case) in zip(axes, cases.items(), strict=True):
            curves(ax, *case)
            spiking, plain = grid[:, *case, -1]
            ax.set(title=f"{title}\nSNN {spiking:.0%}, ANN {plain:.0%}", ylabel="")
        axes[0].set_ylabel("accuracy")
        axes[2].legend(loc="lower right", fontsize=7)
        return figure

    there = [[_there(grid[n, *case]) for case in cases.values()] for n in (0, 1)]
    return Panel(
        draw,
        {
            "moved": slider("pixels moved", 0.0, MOVED[0], MOVED[-1], 0.1),
            "drop": slider("spikes lost", 0.0, DROP[0], DROP[-1], 0.25),
            "dead": slider("neurons dead", 0.0, DEAD[0], DEAD[-1], 0.2),
            "until": slider("steps used", steps, 1, steps, 1),
        },
        layout=lambda figure: figure.subplot_mosaic([["image", "curves"]], width_ratios=(1, 2.5)),
        strip=strip,
        sentence=f"Accuracy on {len(digits.labels)} test digits against the steps used, of the SNN (solid) and of its "
        "twin on the mean of the same frames (dashed), undisturbed (grey in the other three) and disturbed in three "
        "ways; above each, what both reach in the end. The SNN's accuracy stays within 2 points of that from step "
        f"{', '.join(map(str, there[0]))} on, the twin's from step {', '.join(map(str, there[1]))}.",
        size=(9.5, 3),
    )


def _there(curve, points=0.02):
    """The number of steps from which on the curve is never farther from its end than that."""
    away = np.flatnonzero(np.abs(curve - curve[-1]) > points + 1e-6)
    return int(away[-1]) + 2 if len(away) else 1
