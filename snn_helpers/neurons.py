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
from torch import nn

from snn_helpers.engine.checks import check_neuron, shown
from snn_helpers.engine.kernels import Lif, has_nan
from snn_helpers.surrogates import Spike, fast_sigmoid

Value = float | torch.Tensor  # a setting of neurons: one number, or a tensor; an nn.Parameter is learnt


class Record(NamedTuple):
    """What a layer did: ``spikes`` (0 or 1) and ``membrane`` (before reset), both [T, B, ...]."""

    spikes: torch.Tensor
    membrane: torch.Tensor


def beta_from_tau(tau: float, dt: float = 1.0, method: str = "exact") -> float:
    """The factor by which a membrane decays in one step: exp(-dt/tau) ("exact") or 1 - dt/tau ("euler").

    tau and dt in the same unit (ms, or steps). Euler's step is the first-order approximation of the exact one;
    it needs dt <= tau, past which beta would be negative and the membrane would oscillate.
    Raises ValueError for a tau or dt that is not above 0, for dt > tau with Euler, and for another method.

    >>> round(beta_from_tau(5.0), 3), beta_from_tau(5.0, method="euler")
    (0.819, 0.8)
    """
    for name, value, other in ("tau", tau, "dt"), ("dt", dt, "tau"):
        if not 0 < value < math.inf:
            raise ValueError(
                f"beta_from_tau: {name} must be a finite number above 0, a time in the unit of {other}, got {value}."
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


def lif_step(
    current: torch.Tensor,
    membrane: torch.Tensor,
    *,
    beta: Value,
    threshold: Value = 1.0,
    reset: str = "subtract",
    spike: Spike = fast_sigmoid(),
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of the neuron, one line an equation.

    current : tensor [...], I[t]
    membrane : tensor of the same shape, U[t-1] before its reset; zeros at rest
    beta, threshold, reset, spike : as in ``lif``

    Returns (spikes, membrane): S[t] and U[t], each [...].
    Raises ValueError if the shapes differ, and as ``lif`` does for its parameters.

    >>> lif_step(torch.tensor([0.4, 0.8]), torch.tensor([0.5, 0.5]), beta=0.5)[0].tolist()
    [0.0, 1.0]
    """
    if current.shape != membrane.shape:
        raise ValueError(
            f"lif_step: current and membrane must have one shape, got {list(current.shape)} and "
            f"{list(membrane.shape)}. At rest, membrane is torch.zeros_like(current)."
        )
    check_neuron("lif_step", beta, threshold, reset, shape=current.shape)
    return _step(current, membrane, beta, threshold, reset, spike)


def _step(
    current: torch.Tensor, membrane: torch.Tensor, beta: Value, threshold: Value, reset: str, spike: Spike
) -> tuple[torch.Tensor, torch.Tensor]:
    spiked = (membrane > threshold).to(membrane.dtype)
    if reset == "subtract":
        membrane = beta * membrane + current - threshold * spiked
    elif reset == "zero":
        membrane = beta * membrane * (1 - spiked) + current
    else:
        membrane = beta * membrane + current
    return spike(membrane - threshold), membrane


def lif(
    current: torch.Tensor,
    *,
    beta: Value,
    threshold: Value = 1.0,
    reset: str = "subtract",
    spike: Spike = fast_sigmoid(),
    initial: Record | torch.Tensor | None = None,
) -> Record:
    """All T steps of the neuron.

    current : float tensor [T, ...], the input I at every step; time is the first axis
    beta : decay a step, in [0, 1] (``beta_from_tau`` makes it from a time constant)
    threshold : above 0, in the unit of the membrane
    reset : "subtract", "zero" or "none"
    spike : a ``surrogates.Surrogate``, which gives the backward pass its derivative; or any function of
        membrane - threshold that gives spikes and knows its own gradient, such as a ``snntorch.surrogate``
    initial : the ``Record`` of what came before (its last step counts, and gradient flows through its membrane),
        or None to start at rest. Running T steps equals running the pieces, each with the Record of the one before.

    beta and threshold may be tensors that fit a step [...]: one for all neurons, or one each. If they require a
    gradient they get one, as with learn_beta and learn_threshold of ``snntorch.Leaky``. Then, and with a function of
    your own for ``spike``, all steps are remembered by autograd, which takes longer.

    Returns Record(spikes, membrane), each [T, ...].
    Raises TypeError for a current that is not of floats or a parameter of the wrong kind, ValueError for beta outside
    [0, 1], a threshold not above 0, an unknown reset, a missing time axis, an ``initial`` or a parameter of another
    shape, and a current with NaN.

    >>> lif(torch.full((5,), 0.6), beta=0.9).spikes.tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0]
    """
    if not torch.is_tensor(current) or not current.is_floating_point():
        kind = current.dtype if torch.is_tensor(current) else type(current).__name__
        raise TypeError(f"lif: current must be a float tensor [T, ...], got {kind}. Use torch.tensor(...).float().")
    if current.ndim == 0 or len(current) == 0:
        raise ValueError(
            "lif: current must be [T, ...] with time as its first axis and T of at least 1, got shape "
            f"{list(current.shape)}. For a single step use current.unsqueeze(0), or lif_step."
        )
    check_neuron("lif", beta, threshold, reset, spike, current.shape[1:])
    return lif_piece(current, membrane_before(initial, current), beta, threshold, reset, spike)[0]


class LIF(nn.Module):
    """The neuron as a module, between the layers of an nn.Sequential: current [T, ...] -> spikes [T, ...].

        nn.Sequential(nn.Flatten(2), nn.Linear(784, 10), LIF(beta=0.9))

    beta, threshold, reset, spike : as in ``lif``; an nn.Parameter is learnt, a learnt beta is held in [0, 1]
    stateful : whether a call goes on from where the one before it ended, until ``restart()``; the state is no part of
        the state_dict, and no gradient passes from one call to the one before

    Raises as ``lif`` does, at once for settings that make no sense.
    """

    def __init__(
        self,
        beta: Value,
        threshold: Value = 1.0,
        reset: str = "subtract",
        spike: Spike = fast_sigmoid(),
        stateful: bool = False,
    ) -> None:
        super().__init__()
        check_neuron("LIF", beta, threshold, reset, spike)
        self.beta, self.threshold, self.reset, self.spike = beta, threshold, reset, spike
        self.stateful = stateful
        self.restart()

    def restart(self) -> None:
        """Let the next call start at rest."""
        self._last: Record | None = None

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        beta = self.beta.clamp(0, 1) if isinstance(self.beta, nn.Parameter) else self.beta
        settings: dict = dict(beta=beta, threshold=self.threshold, reset=self.reset, spike=self.spike)
        record = lif(current, initial=self._last, **settings)
        if self.stateful:
            self._last = Record(*(part[-1].detach() for part in record))
        return record.spikes

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={shown(getattr(self, name))}" for name in ("beta", "threshold", "reset", "spike"))


def lif_piece(
    current: torch.Tensor, before: torch.Tensor | None, beta: Value, threshold: Value, reset: str, spike: Spike
) -> tuple[Record, torch.Tensor]:
    """What ``lif`` does once its arguments are checked: for a network that goes on from where it was.

    before : the membrane [...] that it starts from, None at rest

    Returns (Record, membrane of the last step [...], the ``before`` of what comes next).
    """
    if _fixed(beta) and _fixed(threshold) and hasattr(spike, "derivative"):
        *record, last = Lif.apply(current, before, float(beta), float(threshold), reset, spike.derivative)
    else:
        last, steps = torch.zeros_like(current[0]) if before is None else before, []
        for i in current.unbind(0):
            spikes, last = _step(i, last, beta, threshold, reset, spike)
            steps.append((spikes, last))
        record = map(torch.stack, zip(*steps, strict=True))
    # once in, it stays, whatever the reset; torch.export cannot ask for a value
    if not torch.compiler.is_exporting() and has_nan(last.detach()):
        raise ValueError(
            "lif: the membrane became NaN (not a number): current must be finite. Look for a division by zero, an "
            "infinite current or a diverged weight."
        )
    return Record(*record), last


def _fixed(value: Value) -> bool:
    """Whether a parameter is one number, and no gradient is wanted for it."""
    return not torch.is_tensor(value) or (value.ndim == 0 and not value.requires_grad)


def membrane_before(initial: Record | torch.Tensor | None, current: torch.Tensor) -> torch.Tensor | None:
    """The membrane [...] that ``current`` [T, ...] starts from: None, itself, or the last of the Record ``initial``."""
    if initial is None or torch.is_tensor(initial):
        return initial
    membrane = initial.membrane[-1] if initial.membrane.ndim == current.ndim else initial.membrane
    if membrane.shape != current.shape[1:]:
        raise ValueError(
            f"lif: initial must be the Record of a step of shape {list(current.shape[1:])}, or of [T, ...] steps "
            f"of it, got {list(initial.membrane.shape)}. Is the batch the same, and time the first axis?"
        )
    return membrane
