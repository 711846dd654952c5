"""Explorers: controls around pure functions. Each is one line in a notebook, ``widgets.<name>_explorer()``."""

from snn_helpers.widgets.basics import hello_explorer
from snn_helpers.widgets.classifier import vote_explorer
from snn_helpers.widgets.clinic import clinic_explorer
from snn_helpers.widgets.conventions import convention_explorer
from snn_helpers.widgets.conversion import LiveConfusion, activation_explorer, conversion_explorer
from snn_helpers.widgets.convolutional import digit_explorer, feature_map_explorer, layer_diagram
from snn_helpers.widgets.encoding import pixel_explorer, poisson_explorer
from snn_helpers.widgets.gradients import gradient_flow_explorer, surrogate_explorer
from snn_helpers.widgets.hidden import disagreement_explorer, hidden_explorer, robustness_explorer
from snn_helpers.widgets.inside import heatmap_explorer
from snn_helpers.widgets.live import LiveHistory
from snn_helpers.widgets.neuron import euler_explorer, lif_explorer, mystery_explorer
from snn_helpers.widgets.panel import Panel
from snn_helpers.widgets.surface import percentile_explorer

__all__ = [
    "LiveConfusion",
    "LiveHistory",
    "Panel",
    "activation_explorer",
    "clinic_explorer",
    "convention_explorer",
    "conversion_explorer",
    "digit_explorer",
    "disagreement_explorer",
    "euler_explorer",
    "feature_map_explorer",
    "gradient_flow_explorer",
    "heatmap_explorer",
    "hello_explorer",
    "hidden_explorer",
    "layer_diagram",
    "lif_explorer",
    "mystery_explorer",
    "percentile_explorer",
    "pixel_explorer",
    "poisson_explorer",
    "robustness_explorer",
    "surrogate_explorer",
    "vote_explorer",
]
