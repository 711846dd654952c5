"""Explorers of notebook 02: the neuron as a playground, Euler against exact, and a neuron that hides."""

import math

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets

from snn_helpers import plots
from snn_helpers.neurons import beta_from_tau, lif
from snn_helpers.widgets.panel import InBrowser, Panel, choice, module, slider

STEPS = 100


class Playground(anywidget.AnyWidget):
    """The picture of ``lif_explorer``, and its values: playground.js simulates the neuron where it is drawn.

    Of a choice the browser knows the place in its list, not the words.
    """

    _esm = module("playground")
    kind = traitlets.Int(0).tag(sync=True)
    size = traitlets.Float(0.2).tag(sync=True)
    tau = traitlets.Float(10.0).tag(sync=True)
    threshold = traitlets.Float(1.0).tag(sync=True)
    reset = traitlets.Int(0).tag(sync=True)
    dt = traitlets.Float(1.0).tag(sync=True)
    method = traitlets.Int(0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)


def lif_explorer():
    """The playground: an input, a neuron, its membrane and its spikes; the headline compares with the closed form."""
    controls = {
        "kind": choice("input", ["constant", "pulse", "Poisson", "two spikes"]),
        "size": slider("current I", 0.2, 0.0, 2.0, 0.01),
        "tau": slider("tau", 10.0, 1.0, 50.0, 0.5, unit="ms"),
        "threshold": slider("threshold", 1.0, 0.1, 3.0, 0.05),
        "reset": choice("reset", ["subtract", "zero", "none"]),
        "dt": slider("step dt", 1.0, 0.1, 5.0, 0.1, unit="ms"),
        "method": choice("decay", ["exact", "euler"]),
        "seed": slider("seed (Poisson)", 0, 0, 9, 1),
    }
    return InBrowser(
        Playground(),
        controls,
        strip=_strip_lif,
        sentence="One neuron under one constant current, at four values of tau: at tau = 2 the membrane settles under "
        "the threshold and the neuron is silent; the longer its memory, the sooner it reaches the threshold and the "
        "more often it fires.",
    )


def _strip_lif():
    figure, axes = plt.subplots(1, 4, figsize=(9, 2.2), sharey=True)
    current = torch.full((STEPS,), 0.2)
    for ax, tau in zip(axes, (2.0, 5.0, 10.0, 40.0), strict=True):
        record = lif(current, beta=beta_from_tau(tau))
        plots.membrane(record, ax)
        ax.set(title=f"tau = {tau:g}: {record.spikes.sum():.0f} spikes", ylabel="")
    axes[0].set_ylabel("membrane U")
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
        "the true curve while dt is small, run ahead of it at dt = tau / 2, overshoot past dt = tau, and grow without "
        "end past 2 tau.",
        size=(8, 3),
    )


def _draw_euler(ax, tau, dt, label=True):
    span = 60.0
    time = np.linspace(0, span, 200)
    exact, euler = charge(tau, dt, int(span / dt))
    at = np.arange(len(exact)) * dt
    ax.plot(time, 1 - np.exp(-time / tau), **plots.LINES["target"], label="true curve")
    ax.plot(at, exact, ".", color=plots.COLORS["membrane"], markersize=9, label="exact step")
    ax.plot(at, euler, "o-", color=plots.COLORS["other"], fillstyle="none", linewidth=1, label="Euler's step")
    ax.set(
        xlim=(-1, span + 1), ylim=(-1.1, 3.1) if dt > tau else (-0.05, 1.15), xlabel="time [ms]", ylabel="membrane U"
    )
    if label:
        ax.legend(loc="lower right")
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
    figure, axes = plt.subplots(1, 4, figsize=(9.5, 2.3))
    for ax, dt in zip(axes, (1.0, 5.0, 15.0, 22.0), strict=True):
        _draw_euler(ax, 10.0, dt, label=dt == 1)
        ax.set(title=f"dt = {dt:g} ms, dt / tau = {dt / 10:g}", ylabel="")
    axes[0].set_ylabel("membrane U")
    return figure


# ---- the mystery neuron


def hidden_neuron(number):
    """tau (4 to 30 steps) and threshold (0.6 to 1.8) of mystery neuron ``number``, always the same ones."""
    a, b = torch.rand(2, generator=torch.Generator().manual_seed(100 + number)).tolist()
    return round(4 * (30 / 4) ** a, 1), round(0.6 + 1.2 * b, 2)


def mystery_explorer():
    """A neuron whose tau and threshold are hidden: send it a current, see its spikes, match them."""
    controls = {
        "number": slider("hidden neuron", 1, 1, 9, 1),
        "size": slider("your current I", 0.3, 0.0, 2.0, 0.01),
        "tau": slider("your tau", 5.0, 2.0, 40.0, 0.5, unit="steps"),
        "threshold": slider("your threshold", 1.0, 0.4, 2.0, 0.02),
    }
    return Panel(
        _draw_mystery,
        controls,
        layout=lambda figure: figure.subplots(2, 1, sharex=True, height_ratios=[1, 2]),
        strip=_strip_mystery,
        sentence="The spikes of hidden neuron 1 under four constant currents: the stronger the current, the shorter "
        "the intervals; the weakest does not reach it. From such trains alone, its tau and its threshold can be found.",
        size=(8, 3.4),
    )


def _draw_mystery(axes, number, size, tau, threshold):
    hidden = hidden_neuron(number)
    current = torch.full((STEPS,), size)
    theirs = lif(current, beta=beta_from_tau(hidden[0]), threshold=hidden[1])
    yours = lif(current, beta=beta_from_tau(tau), threshold=threshold)
    compare_trains(theirs.spikes, yours.spikes, axes[0], names=("hidden", "yours"))
    plots.membrane(yours, axes[1], threshold=threshold)
    axes[1].set_ylabel("your membrane U")
    differ = int((theirs.spikes != yours.spikes).sum())
    text = f"{theirs.spikes.sum():.0f} spikes, yours {yours.spikes.sum():.0f} · {differ} steps differ · "
    if abs(tau - hidden[0]) <= 0.1 * hidden[0] and abs(threshold - hidden[1]) <= 0.1 * hidden[1]:
        return text + f"FOUND: tau {hidden[0]:g}, threshold {hidden[1]:g}, both of yours within 10 %"
    return text + ("not found: another current will tell these two apart" if not differ else "not found yet")


def compare_trains(a, b, ax, names):
    """Two spike trains [T] as two rows, and between them a cross at every step where they differ."""
    differ = (a != b).nonzero()[:, 0]
    ax.plot(differ, [1] * len(differ), "x", color=plots.COLORS["threshold"], markersize=4)
    plots.raster(torch.stack([a, torch.zeros_like(a), b], 1), ax, markersize=11)
    ax.set(yticks=[0, 1, 2], yticklabels=[names[0], "differ", names[1]], ylabel="", xlabel="")


def _strip_mystery():
    figure, axes = plt.subplots(4, 1, figsize=(8, 2.6), sharex=True)
    tau, threshold = hidden_neuron(1)
    for ax, size in zip(axes, (0.1, 0.3, 0.6, 1.2), strict=True):
        spikes = lif(torch.full((STEPS,), size), beta=beta_from_tau(tau), threshold=threshold).spikes
        plots.raster(spikes[:, None], ax, markersize=12)
        ax.set(yticks=[0], yticklabels=[f"I = {size:g}"], ylabel="", xlabel="")
    axes[-1].set_xlabel("time step")
    return figure
