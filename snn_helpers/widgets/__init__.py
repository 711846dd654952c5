"""Explorers: controls around pure functions. Each is one line in a notebook, ``widgets.<name>_explorer()``."""

from snn_helpers.widgets.basics import hello_explorer, journey_explorer
from snn_helpers.widgets.bptt import bptt_explorer
from snn_helpers.widgets.cards import guess, guesses
from snn_helpers.widgets.classifier import vote_explorer
from snn_helpers.widgets.clinic import clinic_explorer
from snn_helpers.widgets.conventions import convention_explorer
from snn_helpers.widgets.conversion import LiveConfusion, activation_explorer, chart, conversion_explorer, step_curves
from snn_helpers.widgets.convolutional import digit_explorer, feature_map_explorer, layer_diagram
from snn_helpers.widgets.decision import decision_explorer, train_maps
from snn_helpers.widgets.disturbed import robustness_explorer
from snn_helpers.widgets.encoding import pixel_explorer, poisson_explorer
from snn_helpers.widgets.features import neuron_explorer
from snn_helpers.widgets.gradients import gradient_flow_explorer, surrogate_explorer
from snn_helpers.widgets.hidden import disagreement_explorer, hidden_explorer
from snn_helpers.widgets.inside import heatmap_explorer
from snn_helpers.widgets.live import LiveHistory, LiveTemplates
from snn_helpers.widgets.mystery import mystery_explorer
from snn_helpers.widgets.neuron import euler_explorer, landscape_explorer, lif_explorer
from snn_helpers.widgets.panel import Panel
from snn_helpers.widgets.reset import reset_explorer
from snn_helpers.widgets.surface import percentile_explorer, recorded_rules, rules_explorer
from snn_helpers.widgets.three import three_explorer
from snn_helpers.widgets.waking import waking_explorer, waking_run
from snn_helpers.widgets.ward import clinic_game

__all__ = [
    "LiveConfusion",
    "LiveHistory",
    "LiveTemplates",
    "Panel",
    "activation_explorer",
    "bptt_explorer",
    "chart",
    "clinic_explorer",
    "clinic_game",
    "convention_explorer",
    "conversion_explorer",
    "decision_explorer",
    "digit_explorer",
    "disagreement_explorer",
    "euler_explorer",
    "feature_map_explorer",
    "gradient_flow_explorer",
    "guess",
    "guesses",
    "heatmap_explorer",
    "hello_explorer",
    "hidden_explorer",
    "journey_explorer",
    "landscape_explorer",
    "layer_diagram",
    "lif_explorer",
    "mystery_explorer",
    "neuron_explorer",
    "percentile_explorer",
    "pixel_explorer",
    "poisson_explorer",
    "recorded_rules",
    "reset_explorer",
    "robustness_explorer",
    "rules_explorer",
    "step_curves",
    "surrogate_explorer",
    "three_explorer",
    "train_maps",
    "vote_explorer",
    "waking_explorer",
    "waking_run",
]
