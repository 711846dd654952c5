"""The questions of the notebooks: ``check("02.1", answer)`` judges, ``hint("02.1")`` helps. Neither ever stops Run All."""

from snn_helpers.exercises import (  # noqa: F401  each registers its exercises
    nb00_start_here,
    nb01_poisson_encoding,
    nb02_lif_neuron,
    nb03_single_layer_snn,
)
from snn_helpers.exercises.core import check, grade, hint

__all__ = ["check", "grade", "hint"]
