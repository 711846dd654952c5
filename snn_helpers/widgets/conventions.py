"""The convention switchboard of notebook 02: one input, this series' neuron, and one that follows your switches."""

import math

import matplotlib.pyplot as plt
import torch

from snn_helpers import plots
from snn_helpers.conventions import PRESETS, SWITCHES, simulate
from snn_helpers.encoding import poisson
from snn_helpers.widgets.panel import Panel, choice, keep_left, slider

_LABELS = {
    "decay": "beta",
    "input": "input",
    "reset": "reset by / to",
    "when": "reset acts",
    "fires": "fires if U is",
}
_STEPS = 60
_RATE = 0.3  # input spikes a step
# here no membrane sits on the threshold: with 2 % more or less each flip of a switch changes as many spikes
TAU, SIZE = 4.0, 3.3


def convention_explorer():
    """Start from a library's preset, flip single switches, and count where the spikes differ from snnTorch's."""
    controls = {
        "preset": choice("start from", list(PRESETS)),
        **{
            name: choice(_LABELS[name], {"as the preset": None, **{option: option for option in options}})
            for name, options in SWITCHES.items()
        },
        "kind": choice("input kind", ["constant", "Poisson"], "Poisson"),
        "size": slider("current I", SIZE, 0.0, 6.0, 0.05),
        "tau": slider("tau", TAU, 1.5, 30.0, 0.5, unit="steps"),
    }
    return Panel(
        _draw,
        controls,
        layout=lambda figure: keep_left(figure, 0.03).subplots(2, 1, sharex=True, height_ratios=[1, 2]),
        strip=_strip,
        sentence="The same input spikes, of size 3.3 into a neuron with tau = 4, as four conventions spell it. "
        "snnTorch's neuron fires most, often twice for one of them; the others fire only where several come close "
        "together.",
        size=(8, 3.4),
    )


def _draw(axes, preset, kind, size, tau, **switches):
    convention = PRESETS[preset]._replace(**{name: value for name, value in switches.items() if value is not None})
    current = _current(kind, size)
    ours, theirs = (simulate(current, c, tau=tau) for c in (PRESETS["snnTorch"], convention))
    named = next((name for name, row in PRESETS.items() if row == convention), "your own")
    compare_trains(ours.spikes, theirs.spikes, axes[0], names=("snnTorch", named))
    axes[1].plot(ours.membrane, color="0.6", linewidth=1, label="snnTorch")
    axes[1].plot(theirs.membrane, **plots.LINES["membrane"], label=named)
    axes[1].axhline(1, **plots.LINES["threshold"])
    low, high = (pick(ours.membrane.tolist() + theirs.membrane.tolist()) for pick in (min, max))
    axes[1].set(
        xlim=(-0.5, _STEPS - 0.5),
        ylim=(math.floor(min(0, low)) - 0.1, math.ceil(1.25 * max(1, high))),
        xlabel="time step",
        ylabel="membrane U",
    )
    axes[1].legend(loc="upper right", ncols=2)
    differ = int((ours.spikes != theirs.spikes).sum())
    a, b = int(ours.spikes.sum()), int(theirs.spikes.sum())
    counts = f"snnTorch {a} spikes, {named} {b} · {differ} of {_STEPS} steps differ"
    return f"{counts} · {named} = {describe(convention)}"


def _current(kind, size):
    if kind == "constant":
        return torch.full((_STEPS,), size)
    return size * poisson(torch.tensor(_RATE), _STEPS, generator=torch.Generator().manual_seed(0))


def describe(convention):
    """A Convention in one line."""
    reset = "minus the threshold" if convention.reset == "subtract" else "to zero"
    beta = "Euler's" if convention.decay == "euler" else "exact"
    return f"{beta} beta, {convention.input} input, reset {reset}, {convention.when}, fires at {convention.fires}"


def _strip():
    figure, axes = plt.subplots(4, 1, figsize=(6.5, 3.2), sharex=True)
    current = _current("Poisson", SIZE)
    for ax, (name, convention) in zip(axes, PRESETS.items(), strict=True):
        record = simulate(current, convention, tau=TAU)
        plots.membrane(record, ax)
        ax.set(xlabel="", ylabel="U", title=f"{name}: {record.spikes.sum():.0f} spikes")
    axes[-1].set_xlabel("time step")
    return figure


def compare_trains(a, b, ax, names):
    """Two spike trains [T] as two rows, and between them a cross at every step where they differ."""
    differ = (a != b).nonzero()[:, 0]
    ax.plot(differ, [1] * len(differ), "x", color=plots.COLORS["threshold"], markersize=4)
    plots.raster(torch.stack([a, torch.zeros_like(a), b], 1), ax, markersize=11)
    ax.set(yticks=[0, 1, 2], yticklabels=[names[0], "differ", names[1]], ylabel="", xlabel="")
