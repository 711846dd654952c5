"""A picture that grows while a network trains."""

import time

import ipywidgets
from matplotlib.figure import Figure

from snn_helpers import plots


class LiveHistory(ipywidgets.Image):
    """``live = LiveHistory(); display(live); fit(..., on_step=live)``: loss and accuracy, one Image updated in place.

    Redraws at most twice a second, so that drawing takes a small share of the training time.
    """

    def __init__(self):
        super().__init__(format="png")
        self._figure = Figure(figsize=(8, 2.4))
        self._ax = self._figure.subplots()
        self._drawn = 0.0

    def __call__(self, history):
        if time.monotonic() - self._drawn < 0.5:
            return
        self._ax.clear()
        plots.history(history.loss, self._ax, accuracy=history.test_accuracy, epoch_end=history.epoch_end)
        self.value = plots.png(self._figure, live=True)
        self._drawn = time.monotonic()
