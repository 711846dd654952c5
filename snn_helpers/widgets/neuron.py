"""Explorers of notebook 02: the neuron as a playground, its landscape over tau, Euler's step against the exact one."""

import math

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets

from snn_helpers import plots
from snn_helpers.neurons import beta_from_tau, lif
from snn_helpers.widgets.neuron_pictures import membranes
from snn_helpers.widgets.panel import InBrowser, Panel, choice, keep_left, module, slider

STEPS = 100
WIRINGS = ["current per step", "physical current"]


class Playground(anywidget.AnyWidget):
    """The picture of ``lif_explorer``, and its values: playground.js simulates the neuron where it is drawn.

    Of a choice the browser knows the place in its list, not the words.
    """

    _esm = module("playground")
    plain = traitlets.Bool(False).tag(sync=True)
    wiring = traitlets.Int(0).tag(sync=True)
    kind = traitlets.Int(0).tag(sync=True)
    size = traitlets.Float(0.2).tag(sync=True)
    tau = traitlets.Float(10.0).tag(sync=True)
    threshold = traitlets.Float(1.0).tag(sync=True)
    reset = traitlets.Int(0).tag(sync=True)
    dt = traitlets.Float(1.0).tag(sync=True)
    method = traitlets.Int(0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)


def lif_explorer(plain=False):
    """The playground: an input, a neuron, its membrane and its spikes; the headline compares with the closed form.

    plain : time in steps, a current per step, no f-I curve: for a reader who has met none of the other things yet
    """
    controls = {
        "wiring": choice("wiring", WIRINGS),
        "kind": choice("input", ["constant", "pulse", "Poisson", "two spikes"]),
        "size": slider("current I", 0.2, 0.0, 2.0 if plain else 3.0, 0.01),
        "tau": slider("tau", 10.0, 1.0, 50.0, 0.5, unit="steps" if plain else "ms"),
        "threshold": slider("threshold", 1.0, 0.1, 3.0, 0.05),
        "reset": choice("reset", ["subtract", "zero", "none"]),
        "dt": slider("step dt", 1.0, 0.1, 5.0, 0.1, unit="ms"),
        "method": choice("decay", ["exact", "euler"]),
        "seed": slider("seed (Poisson)", 0, 0, 9, 1),
    }
    if plain:
        controls = {name: control for name, control in controls.items() if name not in ("wiring", "dt", "method")}
        sentence = (
            "One neuron under a current of 0.2 per step, at four values of tau: at tau = 2 the membrane settles under "
            "the threshold and the neuron is silent; with a slower leak the same current per step fires it more often."
        )
        return InBrowser(Playground(plain=True), controls, strip=_strip_plain, sentence=sentence)
    return InBrowser(
        Playground(),
        controls,
        strip=_strip_lif,
        sentence="The first 50 ms of a neuron with tau = 10 ms, in steps of 2 ms and of 0.25 ms. Under a physical "
        "current of 1.5 the rate in the finer steps is nearer to that of the circuit; of 0.2 per step eight times as "
        "much flows in when the steps are an eighth as long, and the rate grows with it.",
    )


def _strip_plain():
    current, records = torch.full((STEPS,), 0.2), {}
    for tau in 2.0, 5.0, 10.0, 40.0:
        record = lif(current, beta=beta_from_tau(tau))
        records[f"tau = {tau:g}: {record.spikes.sum():.0f} spikes"] = record
    figure = membranes(records, inputs=dict.fromkeys(records, current), size=(7.5, 2.4))
    silent = figure.axes[len(records)]
    silent.text(STEPS - 3, 1.02, "threshold", ha="right", va="bottom", fontsize=8, color=plots.COLORS["threshold"])
    return figure


def rate(size, tau, dt, wiring, span=1000.0):
    """Spikes a second of one neuron (threshold 1, reset by subtraction) under a constant current, and its Record."""
    beta = beta_from_tau(tau, dt)
    gain = 1 if wiring == WIRINGS[0] else 1 - beta
    record = lif(gain * torch.full((round(span / dt),), size), beta=beta)
    return record.spikes.sum().item() / span * 1000, record


def _strip_lif():
    figure, axes = plt.subplots(1, 4, figsize=(7.8, 1.9), sharey=True)
    for ax, (wiring, dt) in zip(axes, [(w, dt) for w in WIRINGS[::-1] for dt in (2.0, 0.25)], strict=True):
        hertz, record = rate(1.5 if wiring == WIRINGS[1] else 0.2, 10.0, dt, wiring)
        time = np.arange(len(record.membrane)) * dt
        ax.plot(time, record.membrane, **plots.LINES["membrane"])
        ax.axhline(1, **plots.LINES["threshold"])
        fired = time[record.spikes > 0]
        ax.plot(fired, np.full(len(fired), 1.5), "|", color="black", markersize=9)
        ax.set(xlim=(-1, 50), ylim=(-0.15, 1.7), xlabel="time [ms]")
        ax.set_title(f"{wiring},\ndt = {dt:g} ms: {hertz:.0f} Hz")
    axes[0].set_ylabel("membrane U")
    return figure


# ---- the landscape: one row a tau, or a threshold

TAUS, THRESHOLDS, SAME = torch.linspace(1, 30, 88), torch.linspace(0.8, 2.4, 89), 10.0


def landscape(rows, wiring, size, steps=60):
    """(membranes, spikes), each [steps, rows], under one current: of neurons with other taus, or other thresholds.

    A physical current is chosen so that the neuron of tau = 10 does the same in both wirings.
    """
    taus = TAUS if rows == "tau" else torch.full((len(THRESHOLDS),), SAME)
    thresholds = torch.ones(len(taus)) if rows == "tau" else THRESHOLDS
    betas = torch.exp(-1 / taus)
    gain = torch.ones(len(taus)) if wiring == WIRINGS[0] else (1 - betas) / (1 - math.exp(-1 / SAME))
    record = lif((size * gain).expand(steps, -1), beta=betas, threshold=thresholds)
    return record.membrane / thresholds, record.spikes


def landscape_explorer():
    """The membranes of 88 neurons under one current: over tau or over the threshold, in both wirings."""
    controls = {
        "wiring": choice("wiring", WIRINGS),
        "size": slider("current I per step", 0.2, 0.1, 0.6, 0.01),
        "rows": choice("a row is a", ["tau", "threshold"]),
    }
    return Panel(
        _draw_landscape,
        controls,
        layout=lambda figure: keep_left(figure, 0.02).subplots(),
        strip=_strip_landscape,
        sentence="Neurons under one current, row by row; outlined: spikes. With a current per step the stripes draw "
        "together as tau grows; with a physical current, of the same effect at tau = 10, they draw apart. Bottom: the "
        "spikes counted, and rows with a rising threshold, which fire ever less.",
        size=(8, 3),
    )


def _draw_landscape(ax, wiring, size, rows):
    membranes, spikes = landscape(rows, wiring, size)
    values = TAUS if rows == "tau" else THRESHOLDS
    plots.heatmap(membranes, ax, label="U / threshold", vmin=0, vmax=1.3, threshold=1.0)
    marks = (1, 10, 20, 30) if rows == "tau" else (0.8, 1.2, 1.6, 2.0, 2.4)
    at = [int((values - mark).abs().argmin()) for mark in marks]
    ax.set(yticks=at, yticklabels=marks, ylabel="tau [steps]" if rows == "tau" else "threshold")
    physical = size / (1 - math.exp(-1 / SAME))
    what = f"{size:.2f} per step" if wiring == WIRINGS[0] else f"physical current {physical:.2f}"
    if rows == "threshold":
        fire = spikes.any(0)
        edge = (
            f"the last that fires: {values[fire].max():.2f}, in theory {physical:.2f}" if fire.any() else "none fires"
        )
        if fire.all():
            edge = f"all fire: thresholds up to {physical:.2f} would"
        return f"{what} · tau = 10 in every row, so both wirings are one · {edge}"
    few, many = (int(spikes[:, (values - tau).abs().argmin()].sum()) for tau in (5, 30))
    edge = f" · silent up to tau = {-1 / math.log(1 - size):.2f}" if wiring == WIRINGS[0] else ""
    return f"{what} · spikes in 60 steps: {few} at tau = 5, {many} at tau = 30{edge}"


def _strip_landscape():
    figure, axes = plt.subplots(2, 2, figsize=(7, 3.2))
    for ax, wiring in zip(axes[0], WIRINGS, strict=True):
        _draw_landscape(ax, wiring, 0.2, "tau")
        ax.set_title(wiring)
    for wiring, name, mark in zip(WIRINGS, ("membrane", "other"), ("-", "--"), strict=True):
        counts = landscape("tau", wiring, 0.2)[1].sum(0)
        axes[1, 0].plot(TAUS, counts, mark, color=plots.COLORS[name], label=wiring)
    axes[1, 0].set(xlabel="tau [steps]", ylabel="spikes in 60 steps", title="counted")
    axes[1, 0].legend()
    _draw_landscape(axes[1, 1], WIRINGS[0], 0.2, "threshold")
    axes[1, 1].set_title("a rising threshold, tau = 10")
    return figure


# ---- Euler's step against the exact one


def charge(tau, dt, steps):
    """A membrane that charges towards 1, at 0, dt, ..., steps dt: exact, and by Euler's rule, each [steps + 1].

    The exact solution of tau dU/dt = 1 - U is 1 - exp(-t/tau); Euler's rule multiplies what is left by 1 - dt/tau.
    """
    n = np.arange(steps + 1)
    return 1 - np.exp(-n * dt / tau), 1 - (1 - dt / tau) ** n


def euler_explorer():
    """One membrane charging, computed in exact steps and in Euler's steps, as the step grows."""
    controls = {
        "tau": slider("tau", 10.0, 5.0, 20.0, 0.5, unit="ms"),
        "dt": slider("step dt", 5.0, 0.5, 25.0, 0.5, unit="ms"),
    }
    return Panel(
        _draw_euler,
        controls,
        layout=lambda figure: figure.subplots(),
        strip=_strip_euler,
        sentence="A membrane with tau = 10 ms charging, at four sizes of step: Euler's steps (circles) keep close to "
        "the true curve while dt is small, run ahead of it at dt = tau / 2, swing about it past dt = tau, and swing "
        "ever farther past 2 tau.",
        size=(8, 3),
    )


def _draw_euler(ax, tau, dt, label=True):
    span = max(60.0, 10 * dt)
    time = np.linspace(0, span, 200)
    exact, euler = charge(tau, dt, int(span / dt))
    at = np.arange(len(exact)) * dt
    ax.plot(time, 1 - np.exp(-time / tau), **plots.LINES["target"], label="true curve")
    ax.plot(at, exact, ".", color=plots.COLORS["membrane"], markersize=9, label="exact step")
    ax.plot(at, euler, "o-", color=plots.COLORS["other"], fillstyle="none", linewidth=1, label="Euler's step")
    limits = (
        (-0.05, 1.15) if dt <= tau else (-0.1, 2.1) if dt <= 2 * tau else (-12.5, 12.5)
    )  # beyond that it has left the picture
    ax.set(xlim=(-span / 60, span + span / 60), ylim=limits, xlabel="time [ms]", ylabel="membrane U")
    if label:
        ax.legend(loc="lower right" if dt <= 2 * tau else "lower left")
    x = dt / tau
    fate = (
        "it settles"
        if x <= 1
        else "it overshoots, then settles"
        if x < 2
        else "it never settles"
        if x == 2
        else "it blows up"
    )
    if x > 1:
        fate += "; beta_from_tau refuses this"
    error = np.abs(exact - euler).max()
    return f"dt / tau = {x:.2f} · beta exact {math.exp(-x):.3f}, Euler {1 - x:.3f} · largest error {error:.3g} · {fate}"


def _strip_euler():
    figure, axes = plt.subplots(1, 4, figsize=(8, 1.9))
    for ax, dt in zip(axes, (1.0, 5.0, 15.0, 22.0), strict=True):
        _draw_euler(ax, 10.0, dt, label=dt == 1)
        ax.set(title=f"dt / tau = {dt / 10:g}", ylabel="")
    axes[0].set_ylabel("membrane U")
    return figure
