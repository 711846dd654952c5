"""The figures of notebook 02, each drawn from what the notebook has computed."""

import matplotlib.pyplot as plt
import numpy as np

from snn_helpers import plots


def circuit():
    """The membrane as a circuit: a current that leaks through a resistor R or is stored on a capacitor C."""
    figure, ax = plt.subplots(figsize=(5.2, 2.1))
    wire = dict(color="black", linewidth=1.4)
    ax.plot([0, 5.6], [2, 2], **wire)
    ax.plot([0, 5.6], [0, 0], **wire)
    ax.annotate("", (1.5, 2), (0.5, 2), arrowprops=dict(arrowstyle="-|>", color=plots.COLORS["input"], lw=3))
    ax.text(1.0, 2.2, "current I", ha="center", color="#8a5f00")
    zigzag = np.array([0, 0.15, -0.15, 0.15, -0.15, 0.15, -0.15, 0])
    ax.plot([2.4, *(2.4 + zigzag), 2.4], [2, *np.linspace(1.5, 0.5, 8), 0], **wire)
    ax.text(2.7, 1, "R lets\nit leak", va="center")
    for side, (start, end) in (1.1, (2, 1.1)), (0.9, (0, 0.9)):
        ax.plot([4.2, 4.2], [start, end], **wire)
        ax.plot([3.85, 4.55], [side, side], color="black", linewidth=2.5)
    ax.text(4.7, 1, "C\nstores it", va="center")
    for y, text, colour in (2, "membrane U", plots.COLORS["membrane"]), (0, "rest: U = 0", "black"):
        ax.plot(5.6, y, "o", color=colour)
        ax.text(5.8, y, text, va="center", color=colour)
    ax.set(xlim=(-0.1, 7.4), ylim=(-0.3, 2.6))
    ax.axis("off")
    return figure


def charging(traces):
    """A panel for each of {title: membrane [T]}, each on a vertical axis of its own; there is no threshold yet."""
    figure, axes = plt.subplots(1, len(traces), figsize=(7.5, 1.85))
    for ax, (title, trace) in zip(axes, traces.items(), strict=True):
        ax.plot(trace, **plots.LINES["membrane"])
        ax.set(title=title, xlabel="time step", xlim=(-0.5, len(trace) - 0.5), ylim=(0, None))
    axes[0].set_ylabel("membrane U")
    return figure


def membranes(records, *, columns=None, size=None, inputs=None):
    """A panel for each of {title: Record of one neuron, threshold 1}, with one vertical axis.

    inputs : {title: current [T]}, as many, drawn above them
    """
    columns = columns or len(records)
    rows = -(-len(records) // columns) * (2 if inputs else 1)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=size or (7.5, 1.1 * rows + 0.75),
        sharex=True,
        squeeze=False,
        height_ratios=[1, 2] if inputs else None,
    )
    below = axes[1:] if inputs else axes
    for ax, (title, record) in zip(below.flat, records.items(), strict=True):
        plots.membrane(record, ax).set(title="" if inputs else title, xlabel="", ylabel="")
    for ax, (title, values) in zip(axes[0], (inputs or {}).items(), strict=False):
        plots.current(values, ax).set(title=title, xlabel="", ylabel="", ylim=(-0.05, 0.6))
    _same_height(list(below.flat))
    if inputs:
        axes[0, 0].set_ylabel("current I")
    for ax in below[:, 0]:
        ax.set_ylabel("membrane U")
    for ax in axes[-1]:
        ax.set_xlabel("time step")
    for ax in axes.flat:
        ax.label_outer()  # one scale a row: its numbers stand once
    return figure


def _same_height(axes):
    """One vertical axis for all, and the marks of spikes at one height above the highest membrane."""
    low = min(float(np.min(ax.lines[0].get_ydata())) for ax in axes)
    high = max(1.15, *(float(np.max(ax.lines[0].get_ydata())) for ax in axes))
    low = min(low, 0.0)
    room = high - low
    for ax in axes:
        ax.set_ylim(low - 0.05 * room, high + 0.22 * room)
        marks = ax.lines[2]
        marks.set_ydata(np.full(len(marks.get_xdata()), high + 0.12 * room))


def two_halves(whole, forgot):
    """The membrane of one run, and of two that were cut apart in the middle and put one behind the other."""
    ax = plt.subplots(figsize=(6.5, 2))[1]
    ax.plot(whole, **plots.LINES["target"], label="in one piece")
    ax.plot(forgot, **plots.LINES["membrane"], label="two pieces, state forgotten")
    ax.axvline(len(whole) / 2 - 0.5, color="0.7")
    ax.axhline(1, **plots.LINES["threshold"])
    ax.set(xlabel="time step", ylabel="membrane U", ylim=(-0.05, 1.4))
    ax.legend(loc="upper right", ncols=2)
    return ax


def rates(currents, predicted, measured, rheobase):
    """Spikes a step against the current: predicted, and measured for {reset: rates}."""
    figure, ax = plt.subplots(figsize=(6.5, 2.7))
    ax.plot(currents, predicted, **plots.LINES["target"], label="predicted (zero)")
    ax.plot(currents, measured["zero"], ".", color=plots.COLORS["membrane"], label="measured, zero")
    look = dict(color=plots.COLORS["other"], markersize=4)
    ax.plot(currents, measured["subtract"], "x", **look, label="measured, subtract")
    ax.axvline(rheobase, **plots.LINES["threshold"], label="rheobase")
    ax.set(xlabel="current I, per step", ylabel="spikes per step")
    ax.legend(loc="lower right")
    return figure


def flips(counts):
    """Bars: for each of {setting: {switch: steps whose spike differs}} one colour."""
    figure, ax = plt.subplots(figsize=(7, 2.5))
    hatches, colours = ("", "//", ".."), (plots.COLORS["membrane"], plots.COLORS["input"], plots.COLORS["other"])
    for k, (setting, found) in enumerate(counts.items()):
        at = np.arange(len(found)) + 0.27 * (k - 1)
        bars = ax.bar(at, list(found.values()), 0.25, color=colours[k], hatch=hatches[k], edgecolor="white")
        ax.bar_label(bars, fontsize=7)
        bars.set_label(setting)
    ax.set(xticks=range(len(found)), xticklabels=list(found), ylabel="steps that differ, of 60")
    ax.margins(y=0.15)
    ax.legend()
    return figure


def regularity(trains, spreads, steps=150):
    """Spikes of five neurons under each of {name: spikes [T, N]}, and the spread of their intervals."""
    figure, axes = plt.subplots(len(trains), 1, figsize=(6, 0.4 + 0.8 * len(trains)), sharex=True)
    for ax, (name, spikes) in zip(axes, trains.items(), strict=True):
        plots.raster(spikes[:steps, :5], ax, markersize=6).set(xlabel="", ylabel="5 neurons", yticks=[])
        ax.set_title(f"{name}: {spikes.mean():.3f} spikes a step, CV of the intervals {spreads[name]:.2f}")
    axes[-1].set_xlabel("time step")
    return figure


def tracking(pixel, membranes, error, start=200, steps=300):
    """A changing pixel and what membranes of two taus make of its spikes; the error against tau for all of them."""
    figure, axes = plt.subplots(1, 2, figsize=(6.2, 2), width_ratios=(2, 1))
    shown, at = (min(error, key=error.get), max(membranes)), np.arange(start, start + steps)  # after the charging
    looks = (plots.COLORS["membrane"], 1.5), (plots.COLORS["other"], 1.5)
    for tau, (colour, width) in zip(shown, looks, strict=True):
        axes[0].plot(at, membranes[tau][at, 0], color=colour, linewidth=width, label=f"tau = {tau:g}")
    axes[0].plot(at, pixel[at], **plots.LINES["target"], label="the pixel")
    axes[0].set(xlabel="time step", ylabel="brightness; U", ylim=(-0.05, 1.4))
    axes[0].legend(ncols=4, loc="upper center", columnspacing=1, handlelength=1.5)
    axes[1].semilogx(list(error), list(error.values()), "o-", color=plots.COLORS["membrane"])
    axes[1].set(xlabel="tau [steps]", ylabel="error (RMS)", ylim=(0, None))
    axes[1].set_xticks(list(error), [f"{tau:g}" for tau in error], minor=False)
    axes[1].minorticks_off()
    return figure
