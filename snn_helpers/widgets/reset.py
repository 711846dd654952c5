"""An explorer of notebook 04: the reset in the gradient or not, beside what a nudge of the weight really does."""

from functools import lru_cache

import matplotlib.pyplot as plt
import torch

from snn_helpers import plots, surrogates
from snn_helpers.neurons import Record
from snn_helpers.widgets.bptt import BETA, RESETS, SLOPE
from snn_helpers.widgets.panel import Panel, slider

STEPS, FROM = 30, 10


def nudged(w, nudge):
    """dU[t]/dw of one neuron (beta 0.8, constant input of size w): {detached, in the graph, nudged}, each [30].

    ``nudged`` is no derivative: the membrane at w + nudge less that at w - nudge, over twice the nudge.
    """
    low, high = (_run(torch.tensor(at, dtype=torch.float64)).membrane for at in (w - nudge, w + nudge))
    return {**_derivatives(w), "nudged": (high - low) / (2 * nudge)}


def _run(w, attached=False):
    U = S = torch.zeros((), dtype=w.dtype)
    membranes, spikes = [], []
    for _ in range(STEPS):
        U = BETA * U + w - (S if attached else S.detach())
        S = surrogates.fast_sigmoid(SLOPE)(U - 1)
        membranes.append(U)
        spikes.append(S)
    return Record(torch.stack(spikes), torch.stack(membranes))


@lru_cache(maxsize=256)
def _derivatives(w):
    at = torch.tensor(w, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    return {name: jacobian(lambda w, way=way: _run(w, way).membrane, at) for name, way in RESETS.items()}


def reset_explorer():
    """dU/dw of one neuron, with the reset detached and in the graph, beside what a nudge of w really does."""
    return Panel(
        _draw_reset,
        {
            "w": slider("weight w", 0.35, 0.25, 0.6, 0.001),
            "nudge": slider("nudge of w", 0.001, 0.001, 0.2, 0.001),
        },
        layout=lambda figure: figure.subplots(2, 1, sharex=True),
        strip=_strip_reset,
        sentence="dU/dw at w = 0.35: with the reset detached (line), in the graph (circles), and what really happens "
        "when w is nudged up and down (crosses). A nudge of 0.001 moves no spike and lies on the detached line; "
        "larger ones move spikes, and then neither line is what happens.",
        size=(8, 3.8),
    )


def _draw_reset(axes, w, nudge):
    for at, style in (w - nudge, ":"), (w + nudge, "--"):
        axes[0].plot(_run(torch.tensor(at)).membrane, style, color="0.5", linewidth=1)
    middle = _run(torch.tensor(w))
    plots.membrane(middle, axes[0]).set(xlabel="", title="forward: the membrane at w, and at w - and w + the nudge")
    _answers(axes[1], w, nudge)
    axes[1].legend(loc="upper left", ncols=3)
    moved = sum((_run(torch.tensor(at)).spikes != middle.spikes).any().item() for at in (w - nudge, w + nudge))
    means = {name: value[FROM:].mean().item() for name, value in nudged(w, nudge).items()}
    return (
        f"dU/dw, mean of steps {FROM} to {STEPS - 1}: detached {means['detached']:.2f}, in the graph "
        f"{means['in the graph']:.2f}, really nudged {means['nudged']:.2f} · "
        f"{('no spike moves', 'spikes move on one side', 'spikes move on both sides')[moved]}"
    )


def _answers(ax, w, nudge):
    values = nudged(w, nudge)
    ax.plot(values["detached"], **plots.LINES["membrane"], label="reset detached")
    ax.plot(values["in the graph"], "o-", color=plots.COLORS["other"], markersize=3, linewidth=1, label="in the graph")
    ax.plot(values["nudged"], "x", color="black", markersize=4, label="really nudged")
    ax.set_yscale("symlog", linthresh=5)  # a spike that moves weighs 1 / (2 nudge): up to 500
    ticks = (-500, -50, -5, 0, 5, 50, 500)
    ax.set(xlim=(-0.5, STEPS - 0.5), ylim=(-1000, 1000), xlabel="time step", ylabel="dU[t] / dw")
    ax.set(yticks=ticks, yticklabels=[f"{tick:d}" for tick in ticks])
    ax.minorticks_off()
    return values


def _strip_reset():
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), sharey=True)
    for ax, nudge in zip(axes, (0.001, 0.01, 0.05, 0.1), strict=True):
        mean = _answers(ax, 0.35, nudge)["nudged"][FROM:].mean()
        ax.set(title=f"nudge {nudge:g} (mean {mean:.2f})", ylabel="")
    axes[0].set_ylabel("dU[t] / dw")
    axes[0].legend(loc="lower left", fontsize=7)
    return figure
