"""The explorer of notebook 06 that reads a recorded run: how a silent network wakes up, batch by batch."""

import json

import numpy as np
import torch
from matplotlib.figure import Figure

from snn_helpers import assets, plots, recipes
from snn_helpers.widgets.panel import Panel, slider

EPSILON = 1e-8  # that Adam adds to the size of a gradient before it divides by it
OTHERS = "0.6"  # colour of all outputs but the one that leads
NOTHING = 1e-14  # where a gradient of exactly 0 is drawn
LAYERS = ("C0", "-", "layer 1"), ("C4", "--", "layer 2"), ("C3", "-.", "layer 3"), ("C2", ":", "layer 4")


def waking_run():
    """The first batches with the published settings but 25 steps: the dict that tools/record_waking.py writes."""
    return json.loads((assets.RECORDED / "csnn-waking.json").read_text(encoding="utf-8"))


def waking_explorer(run=None):
    """Scrub through the silent start of the published network: last biases, surrogate, gradients, first spike.

    ``run`` is a dict as of ``waking_run()``, by default that one.
    """
    run = waking_run() if run is None else run
    neuron = recipes.RECIPES["csnn"]["reference"].network().neuron
    theta, alone = neuron["threshold"], (1 - neuron["beta"]) * neuron["threshold"]
    bias, membrane, hidden = (np.array(run[name]) for name in ("bias", "membrane", "hidden"))
    gradient = np.array(run["gradient"])[:, :4]
    spikes, count = np.array(run["spikes"])[:, -1], len(bias)
    awake = int(np.flatnonzero(spikes)[0]) if spikes.any() else None
    loud = gradient.max(1) > EPSILON
    opens = int(loud.argmax()) if loud.any() else count - 1
    leader = int(bias[opens].argmax())  # the output that is drawn apart from the others

    def reached(x):
        return neuron["spike"].derivative(torch.as_tensor(x) - theta).numpy()

    def march(ax):
        others = ax.plot(np.delete(bias, leader, axis=1), color=OTHERS, linewidth=1)
        ax.plot(bias[:, leader], color=plots.COLORS["membrane"], linewidth=2, label=f"output {leader}")
        others[0].set_label("the other outputs")
        ax.plot(hidden[:, 2], color=plots.COLORS["input"], linestyle="-.", label="highest of layer 3")
        ax.axhline(alone, **plots.LINES["threshold"])
        ax.set(xlim=(0, count - 1), xlabel="batch", ylabel="bias", title="biases (dashed: fires by itself)")
        ax.set_ylim(top=1.6 * alone)
        ax.legend(loc="upper left")

    def window(ax, batch):
        x = np.linspace(-0.4, 1.2 * theta, 321)
        ax.plot(x, reached(x), **plots.LINES["target"])
        ax.axvline(theta, **plots.LINES["threshold"])
        ax.plot(np.delete(membrane[batch], leader), reached(np.delete(membrane[batch], leader)), "o", color=OTHERS)
        first = membrane[batch, leader], reached(membrane[batch, leader])
        ax.plot(*first, "o", color=plots.COLORS["membrane"])
        away, side = ((6, 4), "left") if first[0] < 0.3 else ((-6, 4), "right")  # of the axis on the left
        ax.annotate(f"output {leader}", first, away, textcoords="offset points", ha=side, fontsize=8)
        ax.set(yscale="log", ylim=(5e-4, 2), xlim=(-0.45, 1.25 * theta), xlabel="membrane U of the ten outputs")
        ax.minorticks_off()
        ax.set(yticks=(0.001, 0.01, 0.1, 1), yticklabels=("0.001", "0.01", "0.1", "1"), ylabel="surrogate")

    def sizes(ax):
        for values, (colour, line, label) in zip(gradient.T, LAYERS, strict=True):
            ax.plot(np.maximum(values, NOTHING), color=colour, linestyle=line, label=label)
        ax.axhline(EPSILON, color="0.5", linewidth=1)
        ax.set(yscale="log", ylim=(NOTHING / 3, 10), xlim=(0, count - 1), xlabel="batch")
        ax.minorticks_off()
        ticks = (NOTHING, 1e-11, EPSILON, 1e-4, 1)
        ax.set(yticks=ticks, yticklabels=("0", "1e-11", "ε 1e-8", "1e-4", "1"), title="largest gradient of a weight")
        ax.legend(loc="upper left")

    def cursor(ax, batch):
        ax.axvline(batch, color=plots.COLORS["other"], linewidth=1.5)

    def draw(axes, batch):
        march(axes["march"])
        window(axes["window"], batch)
        axes["window"].set_title("how much gradient gets through")
        sizes(axes["sizes"])
        for name in "march", "sizes":
            cursor(axes[name], batch)
        best = int(membrane[batch].argmax())
        fires = f"{spikes[batch]:.1%} of all output steps have a spike" if spikes[batch] else "no output spike"
        return (
            f"batch {batch}: loss {run['loss'][batch]:.4f}, {fires} · nearest: output {best}, bias "
            f"{bias[batch, best]:.2f}, U = {membrane[batch, best]:.2f}, surrogate {reached(membrane[batch, best]):.2g}"
        )

    shown = count // 2 if awake is None else awake

    def strip():
        figure = Figure(figsize=(10.5, 2.9))
        axes = figure.subplots(1, 4, width_ratios=(1.3, 1, 1, 1.4))
        march(axes[0])
        for ax, batch in zip(axes[1:3], (0, shown), strict=True):
            window(ax, batch)
            ax.set_title(f"before batch {batch}")
        axes[2].set_ylabel("")
        sizes(axes[3])
        for ax in axes[0], axes[3]:
            cursor(ax, shown)
        return figure

    moved = np.array(run["moved"])[max(opens - 1, 0)]
    return Panel(
        draw,
        {"batch": slider("batch", 0, 0, count - 1, 1)},
        layout=lambda figure: figure.subplot_mosaic([["march", "window", "sizes"]], width_ratios=(1.2, 1, 1.3)),
        strip=strip,
        sentence=f"The first {count} batches with the published settings, but {run['steps']} steps. Left: the biases "
        f"of the ten outputs, of which {leader} leads, and the highest of layer 3; in the middle: the membranes of the "
        f"outputs (dots) on the surrogate, at the start and before batch {shown} (upright line), the first with an "
        f"output spike; right: the largest gradient in each layer's weights. Before batch {opens}, where one first "
        f"exceeds ε, the weights of the large matrix have moved by at most {moved[2]:.0e}, the biases of the outputs "
        f"by up to {moved[7]:.2f}.",
        size=(10, 3),
    )
