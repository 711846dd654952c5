"""The fast neuron: all time steps in one ``autograd.Function``. Called by ``neurons.lif``, which checks the input.

Per step it does what ``neurons.lif_step`` says, in the same order of operations, so the two are equal to the bit.
It saves what the backward pass needs and recomputes the surrogate there; results are written in place, step by step.
"""

import torch

from snn_helpers.memory import empty_steps


class Lif(torch.autograd.Function):
    """``Lif.apply(current, before, beta, threshold, reset, derivative, out) -> (spikes, membrane, last)``.

    current [T, ...]; before: the membrane [...] of the step before, or None for rest; out: None, or a list of two
    tensors [T, ...] to write spikes and membrane into. ``last`` [...] is the membrane of the last step, to go on from
    (``membrane[-1]``, but its gradient does not first fill a [T, ...] with zeros). Gradients reach ``current`` and
    ``before``, none passes through the reset (as in snnTorch).
    """

    @staticmethod
    def forward(ctx, current, before, beta, threshold, reset, derivative, out):
        spikes, membrane = out or (empty_steps(len(current), current[0]) for _ in range(2))
        u = torch.zeros_like(membrane[0]) if before is None else before
        s = (u > threshold).to(u.dtype)
        # unbind, not x[t]: indexing a tensor T times costs more than the arithmetic of a small layer
        for i, u_next, s_next in zip(current.unbind(0), membrane.unbind(0), spikes.unbind(0), strict=True):
            torch.mul(u, beta, out=u_next)
            if reset == "zero":
                u_next.mul_(1 - s)
            u_next.add_(i)
            if reset == "subtract":
                u_next.sub_(s, alpha=threshold)
            torch.gt(u_next, threshold, out=s_next)
            u, s = u_next, s_next
        ctx.save_for_backward(membrane, spikes if reset == "zero" else None, before)
        ctx.constants = beta, threshold, derivative
        ctx.set_materialize_grads(False)
        return spikes, membrane, membrane.data[-1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_spikes, grad_membrane, carried):
        membrane, spikes, before = ctx.saved_tensors
        beta, threshold, derivative = ctx.constants
        grad = empty_steps(len(membrane), membrane[0])
        for t in range(len(membrane) - 1, -1, -1):
            g = grad[t]
            if grad_spikes is None:
                g.zero_()
            else:
                torch.mul(derivative(membrane[t] - threshold), grad_spikes[t], out=g)
            if grad_membrane is not None:
                g.add_(grad_membrane[t])
            if carried is not None:  # dL/dU[t] as it arrives from step t + 1
                g.add_(carried)
            carried = g * beta
            if spikes is not None and t > 0:
                carried.mul_(1 - spikes[t - 1])
        if before is not None and spikes is not None:
            carried.mul_((before <= threshold).to(carried.dtype))
        return grad, None if before is None else carried, None, None, None, None, None
