"""The spike: a step in the forward pass, a smooth derivative of our choice in the backward pass.

The true derivative of a step is 0 almost everywhere, so nothing could be learnt through it. A surrogate
keeps the step and replaces only its derivative (Neftci, Mostafa and Zenke 2019, doi 10.1109/MSP.2019.2931595).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch


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

    def __call__(self, x):
        return _Step.apply(x, self.derivative)


@dataclass(frozen=True)
class Derivative:
    """A derivative with a name: ``kind`` and ``parameter`` say which, for a GPU kernel that must compute it itself."""

    kind: str
    parameter: float
    formula: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)

    def __call__(self, x):
        return self.formula(x)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, derivative):
        ctx.save_for_backward(x)
        ctx.derivative = derivative
        return (x > 0).to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad * ctx.derivative(ctx.saved_tensors[0]), None


def fast_sigmoid(slope=25.0):
    """1 / (1 + slope |x|)^2, the derivative of a fast sigmoid (Zenke and Ganguli 2018, SuperSpike)."""
    _positive("fast_sigmoid", "slope", slope)

    def derivative(x):
        base = x.abs().mul_(slope).add_(1)
        return base.mul_(base).reciprocal_()

    return _named("fast_sigmoid", "slope", slope, derivative)


def sigmoid(slope=25.0):
    """slope s (1 - s) with s = 1 / (1 + exp(-slope x)), the derivative of a sigmoid; its peak is slope / 4."""
    _positive("sigmoid", "slope", slope)

    def derivative(x):
        s = torch.sigmoid(x.abs().mul_(-slope))  # symmetric, and small on both sides: 1 - s would lose its tail
        return s.mul_(1 - s).mul_(slope)

    return _named("sigmoid", "slope", slope, derivative)


def atan(alpha=2.0):
    """(alpha / 2) / (1 + (pi/2 alpha x)^2), the derivative of an arc tangent (Fang et al. 2021)."""
    _positive("atan", "alpha", alpha)

    def derivative(x):  # alpha / 2 goes below the line: one pass over x less
        return (x * x).mul_(torch.pi**2 / 2 * alpha).add_(2 / alpha).reciprocal_()

    return _named("atan", "alpha", alpha, derivative)


def boxcar(width=1.0):
    """1 / width where |x| <= width / 2, else 0: the plainest surrogate (area 1, like the step's derivative)."""
    _positive("boxcar", "width", width)

    def derivative(x):
        return (x.abs() <= width / 2).to(x.dtype).div_(width)

    return _named("boxcar", "width", width, derivative)


def _named(kind, parameter, value, formula):
    return Surrogate(f"{kind}({parameter}={value:g})", Derivative(kind, float(value), formula))


def _positive(name, parameter, value):
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: {parameter} must be a finite number above 0, got {value}.")
