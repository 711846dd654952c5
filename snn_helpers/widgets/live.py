"""A picture that grows while a network trains."""

import time

import ipywidgets
from matplotlib.figure import Figure

from snn_helpers import plots


class LiveHistory(ipywidgets.Image):
    """``live = LiveHistory(); display(live); fit(..., on_step=live)``: loss and accuracy, one Image updated in place.

    Redraws at most twice a second, so that drawing takes a small share of the training time, and whenever the network
    was judged.
    """

    def __init__(self):
        super().__init__(format="png")
        self._figure = Figure(figsize=(8, 2.4))
        self._ax = self._figure.subplots()
        self._drawn, self._judged = 0.0, 0

    def __call__(self, history):
        news = len(history.test_accuracy) != self._judged
        if time.monotonic() - self._drawn < 0.5 and not news:
            return
        self._judged = len(history.test_accuracy)
        self._ax.clear()
        plots.history(history.loss, self._ax, accuracy=history.test_accuracy, test_step=history.test_step)
        self.value = plots.png(self._figure, live=True)
        self._drawn = time.monotonic()
