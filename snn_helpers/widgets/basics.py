"""The explorer of notebook 00: proof that a slider moves a picture here."""

import numpy as np
from matplotlib.figure import Figure

from snn_helpers import plots
from snn_helpers.widgets.panel import Panel, slider


def hello_explorer(steps=100):
    """A slider from silence to a spike at every step: if the picture follows it, widgets are live."""

    def spikes(rate):
        time = np.arange(1, steps + 1)
        return (np.floor(time * rate) > np.floor((time - 1) * rate)).astype(float)[:, None]

    def draw(ax, rate):
        train = spikes(rate)
        plots.raster(train, ax)
        ax.set(yticks=[], ylabel="", title="drag the slider: the marks should follow at once")
        return f"{train.sum():.0f} spikes in {steps} steps: a firing rate of {rate:.2f}. Widgets are live."

    def strip():
        figure = Figure(figsize=(8, 1.8))
        for ax, rate in zip(figure.subplots(3, 1, sharex=True), (0.05, 0.2, 0.8), strict=True):
            plots.raster(spikes(rate), ax)
            ax.set(yticks=[], ylabel="", xlabel="time step" if rate == 0.8 else "")
            ax.set_title(f"firing rate {rate:.2f}", fontsize=9)
        return figure

    return Panel(
        draw,
        {"rate": slider("spikes per step", 0.2, 0.0, 1.0, 0.01)},
        strip=strip,
        sentence="One neuron's spikes at three firing rates: the higher the rate, the denser the marks.",
        size=(8, 1.4),
    )
