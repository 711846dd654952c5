"""Explorers of notebook 04: the shape of a surrogate, and where gradients go in a network over time."""

from functools import cache, lru_cache
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch

from snn_helpers import data, networks, plots, surrogates
from snn_helpers.encoding import poisson
from snn_helpers.neurons import lif
from snn_helpers.widgets.panel import Panel, choice, slider

SHAPES = {
    "fast_sigmoid": surrogates.fast_sigmoid,
    "sigmoid": surrogates.sigmoid,
    "atan": surrogates.atan,
    "boxcar": lambda slope: surrogates.boxcar(1 / slope),
}
# the curve each one is the derivative of, scaled to run from 0 to 1
CURVES = {
    "fast_sigmoid": lambda x: 0.5 + 0.5 * x / (1 + x.abs()),
    "sigmoid": torch.sigmoid,
    "atan": lambda x: 0.5 + torch.atan(torch.pi / 2 * x) / torch.pi,
    "boxcar": lambda x: (0.5 + x).clamp(0, 1),
}
SHARE = 0.1  # a membrane is within reach if its derivative is at least this share of the peak
_X = torch.linspace(-2, 2, 801)


def share_reached(distance, spike):
    """The share of ``distance`` (membrane - threshold, any shape) whose derivative is a tenth of the peak or more."""
    peak = spike.derivative(torch.zeros(1))
    return (spike.derivative(distance) >= SHARE * peak).sum().item() / distance.numel()


@lru_cache(maxsize=64)
def hidden_distance(gain):
    """membrane - threshold [T, B, N] of an untrained hidden layer, its weights and biases times ``gain``.

    The first layer of ``networks.hidden_layer()`` after ``torch.manual_seed(0)``; the first 20 bundled test digits as
    15 steps of Poisson spikes, of a generator of seed 0: always the same ones, and those of the notebook's part 4.
    """
    return lif(gain * _hidden_current(), beta=0.9).membrane - 1


@cache
def _hidden_current():
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        layer = networks.hidden_layer().layers[0]
        images = data.pixels(data.mnist(train=False, root=data.BUNDLED).images[:20])
        return layer(poisson(images, 15, generator=torch.Generator().manual_seed(0)).flatten(0, 1)).unflatten(
            0, (15, 20)
        )


def surrogate_explorer():
    """Shape and slope of a surrogate: the step, its stand-in, the derivative, and which membranes are within reach."""
    return Panel(
        _draw_surrogate,
        {
            "shape": choice("shape", list(SHAPES)),
            "slope": slider("slope", 25.0, 0.5, 100.0, 0.5),
            "gain": slider("weights times", 1.0, 0.1, 4.0, 0.1),
        },
        layout=lambda figure: figure.subplots(1, 3, width_ratios=[1, 1, 1.4]),
        strip=_strip_surrogate,
        sentence="The membranes of an untrained hidden layer on digits, and the fast sigmoid's derivative at four "
        "slopes, drawn to the same height. Green: the membranes within reach, where the derivative is a tenth of its "
        "peak or more. At slope 1 those are most of them, at slope 100 hardly any.",
        size=(10, 2.7),
    )


def _draw_surrogate(axes, shape, slope, gain):
    spike, distance = SHAPES[shape](slope), hidden_distance(gain)
    axes[0].plot(_X, (_X > 0).float(), color=plots.COLORS["spike"])
    axes[0].plot(_X, CURVES[shape](slope * _X), **plots.LINES["target"])
    axes[0].set(title="forward: the step S", xlabel="U - threshold", ylim=(-0.1, 1.1), xlim=(-2, 2))
    axes[0].set(xticks=(-2, 0, 2), yticks=(0, 1))  # few labels: text is slow to draw
    axes[0].text(-1.9, 0.9, "dash-dotted: its\nsmooth stand-in", color=plots.COLORS["target"], fontsize=8, va="top")
    derivative = spike.derivative(_X)
    peak = derivative.max().item()
    axes[1].plot(_X, derivative, **plots.LINES["target"])
    axes[1].set(title="backward: the derivative", xlabel="U - threshold", ylim=(-0.05 * peak, 1.1 * peak), xlim=(-2, 2))
    axes[1].set(xticks=(-2, 0, 2), yticks=(0, peak), yticklabels=("0", f"{peak:.3g}"))
    share = _membranes(distance, spike, axes[2])
    axes[2].set_title("membranes of a hidden layer")
    return (
        f"{spike.name}: peak {peak:.3g} · {share:.1%} of all membranes are within reach (a tenth of the peak or more) "
        f"· {(distance > 0).float().mean():.1%} spike"
    )


def _membranes(distance, spike, ax, span=4.0):
    """Histogram of U - threshold, those within reach of the surrogate in green; its derivative drawn over it."""
    share = share_reached(distance, spike)
    edges = np.linspace(-span, span / 2, 61)
    count, _ = np.histogram(distance.numpy(), edges)
    count = count / distance.numel()
    top = 1.15 * count.max()
    ax.stairs(count, edges, fill=True, color="0.75")
    x = torch.linspace(-span, span / 2, 1201)
    height = spike.derivative(x) / spike.derivative(torch.zeros(1))
    near = (height >= SHARE).numpy()
    reached = count[np.clip(np.digitize(x.numpy(), edges) - 1, 0, len(count) - 1)]
    ax.fill_between(x, reached, where=near, color=plots.COLORS["target"], linewidth=0)
    ax.plot(x, height * count.max(), **plots.LINES["target"])
    ax.axvline(0, **plots.LINES["threshold"])
    ax.set(xlim=(-span, span / 2), ylim=(0, top), xticks=(-4, -2, 0, 2), yticks=[], xlabel="U - threshold")
    ax.set_ylabel("share of membranes")
    return share


def _strip_surrogate():
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.4), sharey=True)
    for ax, slope in zip(axes, (1.0, 5.0, 25.0, 100.0), strict=True):
        share = _membranes(hidden_distance(1.0), surrogates.fast_sigmoid(slope), ax)
        ax.set(title=f"slope {slope:g}: {share:.0%} within reach", ylabel="")
    axes[0].set_ylabel("share of membranes")
    return figure


def slope_picture(slopes, rates, accuracy, best):
    """Accuracy [rate, slope] in percent against the slope, the rates side by side; ``best``: the rate chosen for each.

    The Figure. A ring stands around what was chosen, and the line goes through the rings.
    """
    figure, ax = plt.subplots(figsize=(7, 3.2))
    places = torch.tensor([[0.72], [1.0], [1.39]]) * torch.tensor(slopes)
    for place, row, rate, mark in zip(places, accuracy, rates, "vs^", strict=True):
        ax.plot(place, row, mark, color="0.4", markersize=5, label=f"learning rate {rate:g}")
    chosen = torch.arange(len(slopes))
    ring = dict(color=plots.COLORS["membrane"], fillstyle="none", markersize=12, zorder=1)
    ax.plot(places[best, chosen], accuracy[best, chosen], "o-", **ring, label="the rate chosen for it")
    ax.set(xscale="log", xlabel="slope of the fast sigmoid", ylabel="test accuracy [%]")
    ax.set(ylim=(0, 100), title="each slope at the rate that suits it")
    ax.legend(loc="lower left")
    return figure


# ---- gradients over layer and time

SIZES = 20, 16, 16, 16  # input neurons, then three layers


def gradient_flow(beta, slope, steps, every_step=False):
    """|dL/dI| of every neuron and step of a small network: a list of [T, 16], one a layer, the last is the output.

    Three layers of 16 neurons behind 20 Poisson inputs, weights and input always the same. L adds up the output's
    membranes, of the last step or of every step, so what the output gets is known: beta^(T-1-t), or its sum.
    """
    generator = torch.Generator().manual_seed(1)
    weights = [1.5 * torch.randn(n, m, generator=generator) / n**0.5 for n, m in pairwise(SIZES)]
    x = poisson(torch.full((SIZES[0],), 0.4), 60, generator=generator)[:steps]
    currents = []
    for weight in weights:
        current = x @ weight + 0.1
        currents.append(current if currents else current.requires_grad_())
        record = lif(current, beta=beta, spike=surrogates.fast_sigmoid(slope))
        x = record.spikes
    loss = record.membrane.sum() if every_step else record.membrane[-1].sum()
    return [grad.abs() for grad in torch.autograd.grad(loss, currents)]


def gradient_flow_explorer():
    """How much of a gradient reaches each neuron and step of a small network, as beta, slope and T vary."""
    return Panel(
        _draw_flow,
        {
            "beta": slider("beta", 0.9, 0.0, 1.0, 0.01),
            "slope": slider("slope", 5.0, 0.5, 100.0, 0.5),
            "steps": slider("steps T", 40, 5, 60, 1),
            "every_step": choice("the loss looks at", {"the last step": False, "every step": True}),
        },
        layout=lambda figure: figure.subplots(1, 2, width_ratios=[1.3, 1]),
        strip=_strip_flow,
        sentence="The gradient of each neuron (rows: output on top, two layers below it) at each step, bright is "
        "large, dark a millionth of the largest or less; the loss looks at the last step. With beta = 0.5 it has faded "
        "away some twenty steps back; with 0.9 it reaches the first one; a slope of 1 feeds the lower layers more than "
        "the output, a slope of 50 starves them.",
        size=(9, 3.4),
    )


def _draw_flow(axes, beta, slope, steps, every_step):
    layers = gradient_flow(beta, slope, steps, every_step)
    _color_bar(_flow_map(layers, axes[0]), axes[0])
    names, colours = ("layer 1", "layer 2", "output"), ("input", "membrane", "spike")
    for grad, name, colour, mark in zip(layers, names, colours, ("o", "s", None), strict=True):
        mean = grad.mean(1).clamp(min=1e-12)
        axes[1].plot(mean, color=plots.COLORS[colour], marker=mark, markersize=3, label=name)
    axes[1].set(yscale="log", ylim=(1e-9, 1e3), xlim=(-0.5, steps - 0.5), xlabel="time step", ylabel="mean |dL/dI|")
    axes[1].minorticks_off()
    ticks = (1e-8, 1e-4, 1, 100)  # spelled out: matplotlib typesets powers of ten afresh, which takes its time
    axes[1].set(yticks=ticks, yticklabels=[f"{tick:g}" for tick in ticks], xticks=(0, steps // 2, steps - 1))
    axes[1].legend(loc="lower right", ncols=3)
    first, _, output = layers
    reach = first[0].mean() / first.mean(1).max()
    return (
        f"on average layer 1 gets {first.mean() / output.mean():.2g} of what the output gets · its first step gets "
        f"{reach:.2g} of its largest"
    )


def _flow_map(layers, ax):
    """Rows are neurons, the output's on top; log10 of the gradient relative to the largest, six decades."""
    rows = torch.cat([grad.T for grad in reversed(layers)])
    decades = (rows / rows.max()).clamp(min=1e-6).log10()
    picture = ax.imshow(decades.numpy(), aspect="auto", vmin=-6, vmax=0)
    width = SIZES[-1]
    for edge in width, 2 * width:
        ax.axhline(edge - 0.5, color="white", linewidth=2)
    ax.set(xlabel="time step", yticks=[width * (i + 0.5) for i in range(3)], title="|dL/dI| of each neuron and step")
    ax.set(xticks=(0, rows.shape[1] // 2, rows.shape[1] - 1))
    ax.set(yticklabels=["output", "layer 2", "layer 1"], xlim=(-0.5, rows.shape[1] - 0.5), ylim=(len(rows) - 0.5, -0.5))
    return picture


def _color_bar(picture, ax):
    bar = ax.figure.colorbar(picture, cax=ax.inset_axes((1.02, 0, 0.03, 1)), ticks=(-6, -3, 0))
    bar.ax.set_yticklabels(["1e-6", "1e-3", "1"])
    bar.set_label("share of the largest", fontsize=8)


def _strip_flow():
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), sharey=True)
    for ax, (beta, slope) in zip(axes, ((0.5, 5.0), (0.9, 5.0), (0.9, 1.0), (0.9, 50.0)), strict=True):
        picture = _flow_map(gradient_flow(beta, slope, 40), ax)
        ax.set_title(f"beta = {beta:g}, slope {slope:g}")
    _color_bar(picture, axes[-1])
    return figure
