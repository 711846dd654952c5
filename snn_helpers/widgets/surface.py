"""Explorers of notebook 07 that read recorded runs: the scale of the weights, and what can be converted at all."""

import json
from typing import NamedTuple

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
        ax.plot(steps, 100 * (1 - accuracy[start].T), color="0.85", linewidth=1)
        ax.plot(steps, 100 * (1 - accuracy[start, chosen]), color=plots.COLORS["membrane"], marker=".", markersize=4)
        ax.axhline(100 * (1 - target), **plots.LINES["target"])
        if step:
            ax.axvline(step, color=plots.COLORS["input"], linewidth=1)
        _errors(ax, len(steps)).set_title(f"scale: {names[chosen]}")

    def draw(axes, scale, start, step):
        chosen, start = names.index(scale), starts[start]
        curves(axes["curves"], chosen, start, step)
        picture = axes["surface"].imshow(
            accuracy[start],
            aspect="auto",
            vmin=target - 0.05,
            vmax=target,
            extent=(0.5, len(steps) + 0.5, len(names) - 0.5, -0.5),
        )
        bar = axes["surface"].inset_axes((1.03, 0, 0.04, 1))
        axes["surface"].figure.colorbar(picture, cax=bar, ticks=(target - 0.05, target), format="{x:.1%}", extend="min")
        axes["surface"].plot([step], [chosen], "o", color=plots.COLORS["threshold"], fillstyle="none", markersize=8)
        axes["surface"].set(
            yticks=range(len(names)), yticklabels=names, xlabel="time step", title="accuracy; top: that of the CNN"
        )
        at = accuracy[start, chosen]
        outside = np.flatnonzero(at < target - 0.005)
        wait = f"within half a point from step {outside[-1] + 2 if len(outside) else 1} on"
        if len(outside) and outside[-1] == len(at) - 1:
            near = np.flatnonzero(at >= target - 0.005)
            wait = f"never within half a point in {len(at)} steps"
            if len(near):
                wait = f"within half a point at step {near[0] + 1}, but not to stay"
        return (
            f"step {step}: {at[step - 1]:.2%} (CNN {target:.2%}), {spikes[start, chosen, step - 1]:,.0f} spikes an "
            f"image · {wait}"
        )

    def strip():
        figure = Figure(figsize=(9.5, 2.5))
        picked = [0, names.index("99.9 %"), names.index("95 %"), len(names) - 1]
        for ax, chosen in zip(figure.subplots(1, 4, sharey=True), picked, strict=True):
            curves(ax, chosen, starts["half the threshold"])
            ax.set_ylabel(ax.get_ylabel() if chosen == 0 else "")
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
        sentence=f"Errors after every step on {surface['test_images']:,} test digits, on a logarithmic scale, for "
        f"four of {len(names)} scales (blue; the others grey; the CNN dash-dotted), started at half the threshold. "
        f"Right, with the CNN at {target:.1%}: scale "
        + ", scale ".join(
            f"{names[i]}: {accuracy[-1, i, 2]:.1%} after 3 steps, {accuracy[-1, i, -1]:.1%} at the end" for i in (0, -1)
        )
        + ".",
        size=(9.5, 3.2),
    )


NETWORKS = "average", "maximum"
EXTRAS = "no biases", "biases", "batch normalisation"
SCALES = "as trained", "balanced"
BIASES = "divided by the layer's scale", "left as they were"


class Rules(NamedTuple):
    """The recorded grid of conversions; the switches of ``cnn`` and ``curve`` are those of ``rules_explorer``."""

    recorded: dict  # as tools/record_rules.py writes it

    def cnn(self, pooling="average", extra="no biases", **_):
        """[S]: the accuracy of the CNN, one entry a training."""
        found = self.recorded["cnn"]
        return np.array([found[f"{seed} | {pooling} | {extra}"] for seed in self.seeds()])

    def curve(
        self, pooling="average", extra="no biases", scale="balanced", biases=BIASES[0], start="half the threshold"
    ):
        """[S, T]: the accuracy of the network converted from it after each step, one row a training."""
        treated = biases if scale == "balanced" and extra != "no biases" else ""
        way = f"{pooling} | {extra} | {scale} | {treated} | {start}"
        right = [self.recorded["right"][f"{seed} | {way}"] for seed in self.seeds()]
        return np.array(right) / self.recorded["test_images"]

    def lost(self, **switches):
        """[S]: by how many points the converted network is below its CNN after the last step, one entry a training."""
        return 100 * (self.cnn(**switches) - self.curve(**switches)[:, -1])

    def seeds(self):
        """The trainings of which the whole grid is recorded."""
        runs = [name.split(" | ")[0] for name in self.recorded["right"]]
        most = max(map(runs.count, runs))
        return sorted(seed for seed in set(runs) if runs.count(seed) == most)


def recorded_rules():
    """The Rules that tools/record_rules.py has recorded: 10,000 training digits, 10,000 test digits."""
    return Rules(json.loads((assets.RECORDED / "cnn-to-snn-rules.json").read_text(encoding="utf-8")))


def rules_explorer(rules=None):
    """What survives the conversion: pooling, biases, batch normalisation, scale and start as switches."""
    rules = rules or recorded_rules()
    count, seeds = rules.recorded["test_images"], len(rules.seeds())

    def errors(ax, **switches):
        curve, cnn = 100 * (1 - rules.curve(**switches)), 100 * (1 - rules.cnn(**switches))
        steps = np.arange(1, curve.shape[1] + 1)
        ax.fill_between(steps, cnn.min(), cnn.max(), color=plots.COLORS["target"], alpha=0.2, linewidth=0)
        ax.axhline(cnn.mean(), **plots.LINES["target"])
        plots.spread(curve, ax, x=steps, color=plots.COLORS["membrane"], marker=".", markersize=4)
        _errors(ax, len(steps))

    def draw(ax, **switches):
        errors(ax, **switches)
        curve, cnn, lost = rules.curve(**switches), rules.cnn(**switches), rules.lost(**switches)
        ax.set_title(f"blue: in spikes; dash-dotted: its CNN{f'; mean and range of {seeds} trainings' * (seeds > 1)}")
        spread = f", {lost.min():+.2f} to {lost.max():+.2f}" if seeds > 1 else ""
        nothing = ""
        if switches["extra"] == "no biases":
            nothing = f" · biases {switches['biases']}: there are none"
        elif switches["scale"] == "as trained":
            nothing = f" · biases {switches['biases']}: the same, for every scale is 1"
        return (
            f"after {curve.shape[1]} steps {curve[:, -1].mean():.2%} right (CNN {cnn.mean():.2%}): "
            f"{lost.mean():+.2f} points lost{spread}{nothing}"
        )

    shown = {f"{pooling}, {scale}": dict(pooling=pooling, scale=scale) for pooling in NETWORKS for scale in SCALES}

    def strip():
        figure = Figure(figsize=(9.5, 2.8))
        for ax, (name, switches) in zip(figure.subplots(1, 4, sharey=True), shown.items(), strict=True):
            errors(ax, **switches)
            ax.set(title=name, ylabel=ax.get_ylabel() if ax.get_subplotspec().is_first_col() else "")
        return figure

    return Panel(
        draw,
        {
            "pooling": choice("pooling", list(NETWORKS)),
            "extra": choice("the CNN has", list(EXTRAS)),
            "scale": choice("weights", list(SCALES), "balanced"),
            "biases": choice("biases", list(BIASES)),
            "start": choice("start at", list(STARTS), "half the threshold"),
        },
        strip=strip,
        sentence=f"Errors on {count:,} test digits after each step (blue) and of the CNN (dash-dotted), on a "
        f"logarithmic scale; {seeds} training{'s' * (seeds > 1)} each; no biases, started at half the threshold. "
        "Points lost in the end: "
        + ", ".join(f"{name} {rules.lost(**how).mean():.2f}" for name, how in shown.items())
        + ".",
        size=(8, 3.4),
    )


def _errors(ax, steps):
    """An axis on which 1 % and 90 % of errors can both be seen."""
    ax.set(yscale="log", ylim=(0.4, 100), xlabel="time step", ylabel="errors [% of the digits]")
    ax.set(xticks=(1, steps // 2, steps), yticks=(0.5, 1, 2, 5, 10, 20, 50, 100))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    return ax
