"""Why two libraries disagree about one neuron: a small table of their conventions, and a neuron under any of them.

The series' own neuron is ``neurons.lif``; it has no such options. Tests hold the table to the real libraries, spike for
spike. Where each row was read, and the version it was tested against:

- snnTorch 1.0: ``snntorch/_neurons/leaky.py``, ``Leaky.forward`` and ``_base_sub``, with the defaults
  ``reset_mechanism="subtract"`` and ``reset_delay=True``; beta is the caller's, here exp(-dt/tau), as in its tutorials.
- SpikingJelly 2.0: ``spikingjelly/activation_based/neuron/lif.py``, ``LIFNode``, with the defaults ``decay_input=True``
  and ``v_reset=0.0``. It fires at ``>=``: the forward pass of its surrogates is ``(x >= 0)``.
- Norse 1.1: ``norse/torch/functional/lif_box.py``, ``lif_box_feed_forward_step`` (``LIFBoxCell``), with the default
  ``reset_value``; ``heaviside.py`` has the ``>``. ``norse.torch.LIF`` adds a synaptic current that itself decays; with
  tau_syn = dt that is gone within a step, and it is the same neuron.
- textbook: the ODE solved over one step in which the current is constant; fires where it reaches the threshold, and is
  reset at once (Gerstner, Kistler, Naud and Paninski 2014, Neuronal Dynamics, section 1.3).
"""

import math
from typing import NamedTuple

import torch

from snn_helpers.neurons import Record

# what each switch can be; the first is what snnTorch, and this series, do
SWITCHES = {
    "decay": ("exact", "euler"),
    "input": ("full", "scaled"),
    "reset": ("subtract", "zero"),
    "when": ("next step", "at once"),
    "fires": (">", ">="),
}


class Convention(NamedTuple):
    """How a library spells the neuron.

    decay : beta = exp(-dt/tau) ("exact") or 1 - dt/tau ("euler")
    input : beta U + I ("full") or beta U + (1 - beta) I ("scaled", also called decayed input)
    reset : "subtract" or "zero"
    when : the reset acts with the "next step", after the leak, and takes off the whole threshold; or "at once",
        before the leak, which leaves beta times the threshold less. A reset to zero gives the same spikes either way
    fires : where U ">" threshold, or ">="
    """

    decay: str = "exact"
    input: str = "full"
    reset: str = "subtract"
    when: str = "next step"
    fires: str = ">"


PRESETS = {
    "snnTorch": Convention(),
    "SpikingJelly": Convention("euler", "scaled", "zero", "at once", ">="),
    "Norse": Convention("euler", "scaled", "zero", "at once", ">"),
    "textbook": Convention("exact", "scaled", "zero", "at once", ">="),
}


def simulate(current: torch.Tensor, convention: Convention, *, tau: float, threshold: float = 1.0) -> Record:
    """A neuron under a ``Convention``: current [T, ...] -> Record, its membrane before the reset. tau in steps.

    >>> current = torch.full((30,), 1.5)
    >>> {name: int(simulate(current, preset, tau=5.0).spikes.sum()) for name, preset in PRESETS.items()}
    {'snnTorch': 30, 'SpikingJelly': 6, 'Norse': 6, 'textbook': 5}
    """
    for switch, value in zip(SWITCHES, convention, strict=True):
        if value not in SWITCHES[switch]:
            raise ValueError(f"simulate: {switch} must be one of {', '.join(SWITCHES[switch])}, got {value!r}.")
    if not tau >= 1:
        raise ValueError(f"simulate: tau must be at least 1 step, got {tau}. Below, Euler's beta would be negative.")
    beta = math.exp(-1 / tau) if convention.decay == "exact" else 1 - 1 / tau
    gain = 1 if convention.input == "full" else 1 - beta
    u = s = torch.zeros_like(current[0])
    spikes, membrane = [], []
    for i in current * gain:
        if convention.reset == "zero":
            u = beta * u * (1 - s) + i  # one line for both: nothing is left, now or one step later
        elif convention.when == "at once":
            u = beta * (u - threshold * s) + i
        else:
            u = beta * u + i - threshold * s
        s = (u > threshold if convention.fires == ">" else u >= threshold).to(u.dtype)
        spikes.append(s)
        membrane.append(u)
    return Record(torch.stack(spikes), torch.stack(membrane))
