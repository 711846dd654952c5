"""The fast neuron: all time steps in one ``autograd.Function``. Called by ``neurons.lif``, which checks the input.

Per step it does what ``neurons.lif_step`` says, in the same order of operations, so the two are equal to the bit.
It saves what the backward pass needs and recomputes the surrogate there; results are written in place, step by step.
On a GPU, where Triton is installed, ``triton_kernels`` does the same in one launch instead of several a step.
"""

import importlib
import warnings

import torch

from snn_helpers.memory import empty_steps

_AT_ONCE = 2**18  # values of each array that the backward pass takes at a time: from 2**15 to 2**20 hardly a difference


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
        arguments = current, before, beta, threshold, reset, spikes, membrane
        if not _fused("forward", current, derivative, *arguments):
            forward(*arguments)
        ctx.save_for_backward(membrane, spikes if reset == "zero" else None, before)
        ctx.constants = beta, threshold, reset, derivative
        ctx.set_materialize_grads(False)
        return spikes, membrane, membrane.data[-1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_spikes, grad_membrane, carried):
        membrane, spikes, before = ctx.saved_tensors
        arguments = (grad_spikes, grad_membrane, carried), membrane, spikes, before, *ctx.constants
        grads = _fused("backward", membrane, ctx.constants[-1], *arguments) or backward(*arguments)
        return *grads, None, None, None, None, None


def forward(current, before, beta, threshold, reset, spikes, membrane):
    """Write the ``spikes`` and the ``membrane`` [T, ...] that ``current`` leads to, one step after the other."""
    u = torch.zeros_like(membrane[0]) if before is None else before
    s = (u > threshold).to(u.dtype)
    silent = torch.empty_like(s)
    # unbind, not x[t]: indexing a tensor T times costs more than the arithmetic of a small layer
    for i, u_next, s_next in zip(current.unbind(0), membrane.unbind(0), spikes.unbind(0), strict=True):
        torch.mul(u, beta, out=u_next)
        if reset == "zero":  # times 0 or 1 is exact, so multiplying and adding at once rounds no differently
            torch.addcmul(i, u_next, torch.le(u, threshold, out=silent), out=u_next)
        else:
            u_next.add_(i)
        if reset == "subtract":
            u_next.sub_(s, alpha=threshold)
        torch.gt(u_next, threshold, out=s_next)
        u, s = u_next, s_next


def backward(grads, membrane, spikes, before, beta, threshold, reset, derivative):
    """What reaches the current [T, ...], and what reaches ``before`` [...] (None if that is None).

    grads : of spikes [T, ...], membrane [T, ...] and the last membrane [...], each None where no loss sees it
    spikes : needed for reset "zero" alone, else None
    """
    grad_spikes, grad_membrane, carried = grads
    grad = empty_steps(len(membrane), membrane[0])
    at_once = max(1, _AT_ONCE // max(1, grad[0].numel()))
    later = None  # dL/dU[t + 1]
    for end in range(len(grad), 0, -at_once):
        # what each step adds by itself, for several small steps in one go
        some = slice(max(0, end - at_once), end)
        if grad_spikes is None:
            grad[some].zero_()
        else:
            torch.mul(derivative(membrane[some] - threshold), grad_spikes[some], out=grad[some])
        if grad_membrane is not None:
            grad[some].add_(grad_membrane[some])
        steps = grad[some].unbind(0)
        if reset == "zero":
            kept = torch.rsub(spikes[some], beta, alpha=beta).unbind(0)  # beta (1 - S): beta or 0, exactly
        else:
            kept = [beta] * len(steps)
        # and what comes back from the step after it
        for g, keep in zip(reversed(steps), reversed(kept), strict=True):
            if later is not None:
                g.add_(later * keep)
            elif carried is not None:
                g.add_(carried)
            later = g
    if before is None:
        return grad, None
    carried = later * beta
    if reset == "zero":
        carried.mul_((before <= threshold).to(carried.dtype))
    return grad, carried


_DEVICES = ("cuda",)  # those that Triton's kernels run on
_KERNELS = "snn_helpers.triton_kernels"  # imported when a tensor on such a device is seen; None: they do not work here


def _fused(name, tensor, derivative, *arguments):
    """What ``name`` of Triton's kernels returns; None where there is none that fits: the steps are then taken here."""
    global _KERNELS
    if _KERNELS is None or tensor.device.type not in _DEVICES or not hasattr(derivative, "kind"):
        return None
    try:
        kernels = importlib.import_module(_KERNELS)
    except ModuleNotFoundError:  # there is no Triton for every system
        _KERNELS = None
        return None
    try:
        return getattr(kernels, name)(*arguments)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # no C compiler, a GPU it does not know: Triton raises whatever its tools do
        _KERNELS = None
        warnings.warn(
            f"lif: Triton could not build the kernel that takes all steps at once ({type(error).__name__}: {error}). "
            "From now on they are taken one by one: the same results, slower. Has this machine a C compiler?",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
