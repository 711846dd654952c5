"""Explorers: controls around pure functions. Each is one line in a notebook, ``widgets.<name>_explorer()``."""

from snn_helpers.widgets.basics import hello_explorer
from snn_helpers.widgets.classifier import vote_explorer
from snn_helpers.widgets.conventions import convention_explorer
from snn_helpers.widgets.encoding import pixel_explorer, poisson_explorer
from snn_helpers.widgets.live import LiveHistory
from snn_helpers.widgets.neuron import euler_explorer, lif_explorer, mystery_explorer
from snn_helpers.widgets.panel import Panel

__all__ = [
    "LiveHistory",
    "Panel",
    "convention_explorer",
    "euler_explorer",
    "hello_explorer",
    "lif_explorer",
    "mystery_explorer",
    "pixel_explorer",
    "poisson_explorer",
    "vote_explorer",
]
