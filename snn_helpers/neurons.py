"""THE neuron of this series: discrete leaky integrate-and-fire (LIF), one step or all steps at once.

    U[t] = beta U[t-1] + I[t] - threshold S[t-1]        reset="subtract"
    U[t] = beta U[t-1] (1 - S[t-1]) + I[t]              reset="zero"
    U[t] = beta U[t-1] + I[t]                           reset="none"
    S[t] = 1 where U[t] > threshold, else 0

Notation of Eshraghian et al. 2023 (doi 10.1109/JPROC.2023.3280284); the same, step for step, as ``snntorch.Leaky``.
U is recorded before the reset, so ``membrane > threshold`` exactly where ``spikes == 1``. The reset carries no
gradient.
"""

import math
from typing import NamedTuple

import torch

from snn_helpers.kernels import Lif
from snn_helpers.surrogates import fast_sigmoid

RESETS = ("subtract", "zero", "none")


class Record(NamedTuple):
    """What a layer did: ``spikes`` (0 or 1) and ``membrane`` (before reset), both [T, B, ...]."""

    spikes: torch.Tensor
    membrane: torch.Tensor


def beta_from_tau(tau, dt=1.0, method="exact"):
    """The factor by which a membrane decays in one step: exp(-dt/tau) ("exact") or 1 - dt/tau ("euler").

    tau and dt in the same unit (ms, or steps). Euler's step is the first-order approximation of the exact one;
    it needs dt <= tau, past which beta would be negative and the membrane would oscillate.
    Raises ValueError for a tau or dt that is not above 0, for dt > tau with Euler, and for another method.

    >>> round(beta_from_tau(5.0), 3), beta_from_tau(5.0, method="euler")
    (0.819, 0.8)
    """
    if not 0 < tau < math.inf:
        raise ValueError(
            f"beta_from_tau: tau must be a finite number above 0, got {tau}. It is a time, in the unit of dt."
        )
    if not 0 < dt < math.inf:
        raise ValueError(
            f"beta_from_tau: dt must be a finite number above 0, got {dt}. It is the length of a step, in the unit "
            "of tau."
        )
    if method == "exact":
        return math.exp(-dt / tau)
    if method != "euler":
        raise ValueError(f'beta_from_tau: method must be "exact" or "euler", got {method!r}.')
    if dt > tau:
        raise ValueError(
            f"beta_from_tau: Euler's step needs dt <= tau, got dt={dt}, tau={tau}. Take a smaller dt, or "
            'method="exact".'
        )
    return 1 - dt / tau


def lif_step(current, membrane, *, beta, threshold=1.0, reset="subtract", spike=fast_sigmoid()):
    """One step of the neuron, one line an equation.

    Parameters
    ----------
    current : tensor [...], I[t]
    membrane : tensor of the same shape, U[t-1] before its reset; zeros at rest
    beta, threshold, reset, spike : as in ``lif``

    Returns
    -------
    (spikes, membrane) : S[t] and U[t], each [...]

    Raises ValueError if the shapes differ, and as ``lif`` does for its parameters.

    >>> lif_step(torch.tensor([0.4, 0.8]), torch.tensor([0.5, 0.5]), beta=0.5)[0].tolist()
    [0.0, 1.0]
    """
    _check("lif_step", beta, threshold, reset)
    if current.shape != membrane.shape:
        raise ValueError(
            f"lif_step: current and membrane must have one shape, got {list(current.shape)} and "
            f"{list(membrane.shape)}. At rest, membrane is torch.zeros_like(current)."
        )
    spiked = (membrane > threshold).to(membrane.dtype).detach()
    if reset == "subtract":
        membrane = beta * membrane + current - threshold * spiked
    elif reset == "zero":
        membrane = beta * membrane * (1 - spiked) + current
    else:
        membrane = beta * membrane + current
    return spike(membrane - threshold), membrane


def lif(current, *, beta, threshold=1.0, reset="subtract", spike=fast_sigmoid(), initial=None):
    """All T steps of the neuron.

    Parameters
    ----------
    current : float tensor [T, ...], the input I at every step; time is the first axis
    beta : decay a step, in [0, 1] (``beta_from_tau`` makes it from a time constant)
    threshold : above 0, in the unit of the membrane
    reset : "subtract", "zero" or "none"
    spike : a ``surrogates.Surrogate``, which gives the backward pass its derivative
    initial : the ``Record`` of what came before (its last step counts, and gradient flows through its membrane),
        or None to start at rest. Running T steps equals running the pieces, each with the Record of the one before.

    Returns
    -------
    Record(spikes, membrane), each [T, ...]

    Raises TypeError for a current that is not of floats or a parameter of the wrong kind, ValueError for beta outside
    [0, 1], a threshold not above 0, an unknown reset, a missing time axis, an ``initial`` of another shape, and a
    current with NaN.

    >>> lif(torch.full((5,), 0.6), beta=0.9).spikes.tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0]
    """
    _check("lif", beta, threshold, reset)
    if not torch.is_tensor(current) or not current.is_floating_point():
        kind = current.dtype if torch.is_tensor(current) else type(current).__name__
        raise TypeError(f"lif: current must be a float tensor [T, ...], got {kind}. Use torch.tensor(...).float().")
    if current.ndim == 0 or len(current) == 0:
        raise ValueError(
            "lif: current must be [T, ...] with time as its first axis and T of at least 1, got shape "
            f"{list(current.shape)}. For a single step use current.unsqueeze(0), or lif_step."
        )
    if not hasattr(spike, "derivative"):
        raise TypeError(f"lif: spike must be a Surrogate, got {type(spike).__name__}. Use surrogates.fast_sigmoid().")
    before = _last_membrane(initial, current)
    record, last = lif_piece(current, before, beta=beta, threshold=threshold, reset=reset, spike=spike)
    check_finite(last)
    return record


def lif_piece(current, before=None, out=None, *, beta, threshold, reset, spike):
    """What ``lif`` does once its arguments are checked: for a network that takes its steps in pieces.

    before : the membrane [...] that the piece starts from, None at rest
    out : a Record [T, ...] to write into, or None

    Returns (Record, membrane of the last step [...], the ``before`` of the next piece).
    """
    *record, last = Lif.apply(current, before, float(beta), float(threshold), reset, spike.derivative, out)
    return Record(*record), last


def check_finite(last):
    """Raise ValueError if the membrane of the last step holds a NaN: once in, it stays, whatever the reset."""
    if torch.isnan(last).any():
        raise ValueError(
            "lif: the membrane became NaN (not a number): current must be finite. Look for a division by zero, an "
            "infinite current or a diverged weight."
        )


def _last_membrane(initial, current):
    if initial is None:
        return None
    membrane = initial.membrane[-1] if initial.membrane.ndim == current.ndim else initial.membrane
    if membrane.shape != current.shape[1:]:
        raise ValueError(
            f"lif: initial must be the Record of a step of shape {list(current.shape[1:])}, or of [T, ...] steps "
            f"of it, got {list(initial.membrane.shape)}. Is the batch the same, and time the first axis?"
        )
    return membrane


def _check(name, beta, threshold, reset):
    for parameter, value in ("beta", beta), ("threshold", threshold):
        if isinstance(value, str) or not hasattr(value, "__float__"):
            raise TypeError(f"{name}: {parameter} must be one number, got {type(value).__name__}.")
    if not 0 <= beta <= 1:
        advice = f" Is it a tau? Use beta_from_tau({beta:g})." if beta > 1 else " It is what is left of U after a step."
        raise ValueError(f"{name}: beta must be in [0, 1], got {beta:g}.{advice}")
    if not 0 < threshold < math.inf:
        raise ValueError(
            f"{name}: threshold must be a finite number above 0, got {threshold:g}. "
            "At 0 or below, a neuron at rest would fire for ever."
        )
    if reset not in RESETS:
        raise ValueError(f'{name}: reset must be "subtract", "zero" or "none", got {reset!r}.')
