"""The explorer of notebook 07 that reads a recorded surface: scale of the weights, start and step -> accuracy."""

import json

import numpy as np
from matplotlib.figure import Figure

from snn_helpers import assets, plots
from snn_helpers.widgets.conversion import STARTS
from snn_helpers.widgets.panel import Panel, choice, slider


def percentile_explorer(surface=None):
    """How the scale of the weights decides speed and end: accuracy after every step, from a recorded run on MNIST.

    ``surface`` is the dict that tools/record_surface.py writes (by default the recorded one): for each way to choose
    the scale and each start, the accuracy and the spikes an image after every step.
    """
    if surface is None:
        surface = json.loads((assets.RECORDED / "cnn-to-snn-surface.json").read_text(encoding="utf-8"))
    names, target = surface["scales"], surface["cnn_accuracy"]
    accuracy = np.array(surface["accuracy"])  # [start, scale, step]
    spikes = np.array(surface["spikes_per_image"])
    steps = np.arange(1, accuracy.shape[-1] + 1)
    starts = dict(zip(STARTS, range(len(accuracy)), strict=True))

    def curves(ax, chosen, start, step=None):
        ax.plot(steps, accuracy[start].T, color="0.85", linewidth=1)
        ax.plot(steps, accuracy[start, chosen], color=plots.COLORS["membrane"], marker=".", markersize=4)
        ax.axhline(target, **plots.LINES["target"])
        if step:
            ax.axvline(step, color=plots.COLORS["input"], linewidth=1)
        low = target - 0.12
        ax.set(ylim=(low, target + 0.01), xlabel="time step", ylabel="accuracy", title=f"scale: {names[chosen]}")
        ax.set_xticks((1, len(steps) // 2, len(steps)))

    def draw(axes, scale, start, step):
        chosen, start = names.index(scale), starts[start]
        curves(axes["curves"], chosen, start, step)
        axes["surface"].imshow(
            accuracy[start],
            aspect="auto",
            vmin=target - 0.05,
            vmax=target,
            extent=(0.5, len(steps) + 0.5, len(names) - 0.5, -0.5),
        )
        axes["surface"].plot([step], [chosen], "o", color=plots.COLORS["threshold"], fillstyle="none", markersize=8)
        axes["surface"].set(
            yticks=range(len(names)), yticklabels=names, xlabel="time step", title="accuracy, bright = that of the CNN"
        )
        at = accuracy[start, chosen]
        outside = np.flatnonzero(at < target - 0.005)
        wait = f"within half a point from step {outside[-1] + 2 if len(outside) else 1} on"
        if len(outside) and outside[-1] == len(at) - 1:
            wait = f"never within half a point in {len(at)} steps"
        return (
            f"step {step}: {at[step - 1]:.2%} (CNN {target:.2%}), {spikes[start, chosen, step - 1]:,.0f} spikes an "
            f"image · {wait}"
        )

    def strip():
        figure = Figure(figsize=(9.5, 2.5))
        picked = [0, names.index("99.9 %"), names.index("95 %"), len(names) - 1]
        for ax, chosen in zip(figure.subplots(1, 4, sharey=True), picked, strict=True):
            curves(ax, chosen, starts["half the threshold"])
            ax.set_ylabel("accuracy" if chosen == 0 else "")
        return figure

    return Panel(
        draw,
        {
            "scale": choice("scale", names, "99.9 %"),
            "start": choice("start at", list(STARTS), "half the threshold"),
            "step": slider("time step", 10, 1, len(steps), 1),
        },
        layout=lambda figure: figure.subplot_mosaic([["curves", "surface"]]),
        strip=strip,
        sentence=f"Accuracy after every step on {surface['test_images']:,} test digits for four of {len(names)} scales "
        f"(blue; the others grey; the CNN, {target:.1%}, dash-dotted), started at half the threshold. Scale "
        + ", scale ".join(
            f"{names[i]}: {accuracy[-1, i, 2]:.1%} after 3 steps, {accuracy[-1, i, -1]:.1%} at the end" for i in (0, -1)
        )
        + ".",
        size=(9.5, 3.2),
    )
