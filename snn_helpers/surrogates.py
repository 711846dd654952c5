"""The spike: a step in the forward pass, a smooth derivative of our choice in the backward pass.

The true derivative of a step is 0 almost everywhere, so nothing could be learnt through it. A surrogate
keeps the step and replaces only its derivative (Neftci, Mostafa and Zenke 2019, doi 10.1109/MSP.2019.2931595).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

Formula = Callable[[torch.Tensor, float], torch.Tensor]  # (x, parameter) -> derivative
Spike = Callable[[torch.Tensor], torch.Tensor]  # membrane - threshold -> spikes, with a gradient of its own


@dataclass(frozen=True)
class Surrogate:
    """A step function with a chosen derivative. Call it on ``membrane - threshold``.

    ``name`` says which one, with its parameter. ``derivative`` maps x = membrane - threshold to what stands in
    for the derivative of the step, same shape, elementwise; it need not be differentiable itself.

    >>> x = torch.tensor([-0.5, 0.0, 0.5], requires_grad=True)
    >>> spikes = boxcar(width=2.0)(x)
    >>> spikes.tolist()
    [0.0, 0.0, 1.0]
    >>> spikes.sum().backward(); x.grad.tolist()
    [0.5, 0.5, 0.5]
    """

    name: str
    derivative: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return _Step.apply(x, self.derivative)


@dataclass(frozen=True)
class Derivative:
    """A derivative with a name: ``kind`` and ``parameter`` say which, for a GPU kernel that must compute it itself."""

    kind: str
    parameter: float
    formula: Formula = field(repr=False)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.formula(x, self.parameter)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(x: torch.Tensor, derivative: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return (x > 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
        x, ctx.derivative = inputs
        ctx.save_for_backward(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad * ctx.derivative(ctx.saved_tensors[0]), None


def fast_sigmoid(slope: float = 25.0) -> Surrogate:
    """1 / (1 + slope |x|)^2, the derivative of a fast sigmoid (Zenke and Ganguli 2018, SuperSpike)."""
    return _named("fast_sigmoid", "slope", slope, _fast_sigmoid)


def _fast_sigmoid(x: torch.Tensor, slope: float) -> torch.Tensor:
    base = x.abs().mul_(slope).add_(1)
    return base.mul_(base).reciprocal_()


def sigmoid(slope: float = 25.0) -> Surrogate:
    """slope s (1 - s) with s = 1 / (1 + exp(-slope x)), the derivative of a sigmoid; its peak is slope / 4."""
    return _named("sigmoid", "slope", slope, _sigmoid)


def _sigmoid(x: torch.Tensor, slope: float) -> torch.Tensor:
    s = torch.sigmoid(x.abs().mul_(-slope))  # symmetric, and small on both sides: 1 - s would lose its tail
    return s.mul_(1 - s).mul_(slope)


def atan(alpha: float = 2.0) -> Surrogate:
    """(alpha / 2) / (1 + (pi/2 alpha x)^2), the derivative of an arc tangent (Fang et al. 2021)."""
    return _named("atan", "alpha", alpha, _atan)


def _atan(x: torch.Tensor, alpha: float) -> torch.Tensor:  # alpha / 2 goes below the line: one pass over x less
    return (x * x).mul_(torch.pi**2 / 2 * alpha).add_(2 / alpha).reciprocal_()


def boxcar(width: float = 1.0) -> Surrogate:
    """1 / width where |x| <= width / 2, else 0: the plainest surrogate (area 1, like the step's derivative)."""
    return _named("boxcar", "width", width, _boxcar)


def _boxcar(x: torch.Tensor, width: float) -> torch.Tensor:
    return (x.abs() <= width / 2).to(x.dtype).div_(width)


def _named(kind: str, parameter: str, value: float, formula: Formula) -> Surrogate:
    if not 0 < value < float("inf"):
        raise ValueError(f"{kind}: {parameter} must be a finite number above 0, got {value}.")
    return Surrogate(f"{kind}({parameter}={value:g})", Derivative(kind, value, formula))
