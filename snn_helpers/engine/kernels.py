"""The fast neuron: all time steps in one ``autograd.Function``. Called by ``neurons.lif``, which checks the input.

Per step it does what ``neurons.lif_step`` says, in the same order of operations, so the two are equal to the bit.
It saves what the backward pass needs and recomputes the surrogate there; results are written in place, step by step.
On a processor a block of neurons, small enough for torch to keep it on one thread, goes through all its steps before
the next block does. Divided among threads, each operation would wait for the slowest of them, which on a machine that
has other work to do is one that is not running.
On a GPU ``triton_kernels`` does the same in one launch instead of several a step, where the environment variable
``SNN_TRITON`` asks for it: it has not run on a real one yet.
"""

import importlib
import os
import warnings

import torch

from snn_helpers.engine.memory import empty_steps

BLOCK = 2**15 - 1  # values that torch works on with one thread: it divides an array of 2**15 or more among several
LARGE = 2**18  # values from which on an operation takes so long that dividing it pays, also on a busy machine


def blocks(x):
    """Views that make up ``x`` [...], each of at most ``BLOCK`` values on a processor; elsewhere x as it is."""
    if x.device.type != "cpu" or x.numel() <= BLOCK:
        return [x]
    rows = BLOCK * len(x) // x.numel()
    return x.split(rows) if rows else [block for row in x.unbind(0) for block in blocks(row)]


def has_nan(x):
    """Whether any value of ``x`` is NaN (not a number)."""
    return any(torch.isnan(block).any() for block in blocks(x))


class Lif(torch.autograd.Function):
    """``Lif.apply(current, before, beta, threshold, reset, derivative) -> (spikes, membrane, last)``.

    current [T, ...]; before: the membrane [...] of the step before, or None for rest. ``last`` [...] is the membrane
    of the last step, to go on from (``membrane[-1]``, but its gradient does not first fill a [T, ...] with zeros).
    Gradients reach ``current`` and ``before``, none passes through the reset (as in snnTorch).
    """

    @staticmethod
    def forward(current, before, beta, threshold, reset, derivative):
        spikes, membrane = (empty_steps(len(current), current[0]) for _ in range(2))
        arguments = current, before, beta, threshold, reset, spikes, membrane
        if not _fused("forward", current, derivative, *arguments):
            forward(*arguments)
        return spikes, membrane, membrane[-1].clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, before, *ctx.constants = inputs
        ctx.save_for_backward(output[1], before)
        ctx.set_materialize_grads(False)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_spikes, grad_membrane, carried):
        membrane, before = ctx.saved_tensors
        arguments = (grad_spikes, grad_membrane, carried), membrane, before, *ctx.constants
        grads = _fused("backward", membrane, ctx.constants[-1], *arguments) or backward(*arguments)
        return *grads, None, None, None, None

    @staticmethod
    def vmap(*_):
        raise RuntimeError(
            "lif: torch.func.vmap is not for it. All axes after the first, time, are its batch: map there."
        )

    @staticmethod
    def jvp(*_):
        raise RuntimeError("lif: has no forward-mode derivative (torch.func.jvp, jacfwd). Use torch.func.grad or vjp.")


def forward(current, before, beta, threshold, reset, spikes, membrane):
    """Write the ``spikes`` and the ``membrane`` [T, ...] that ``current`` leads to, one step after the other."""
    decay, limit = _numbers(membrane, beta, threshold)
    before = torch.zeros_like(membrane[0]) if before is None else before
    for u, *steps in zip(_parts(before), *map(_columns, (current, spikes, membrane)), strict=True):
        s = (u > threshold).to(u.dtype)
        silent = torch.empty_like(s)
        for i, s_next, u_next in zip(*steps, strict=True):
            torch.mul(u, decay, out=u_next)
            if reset == "zero":  # times 0 or 1 is exact, so multiplying and adding at once rounds no differently
                torch.addcmul(i, u_next, torch.le(u, limit, out=silent), out=u_next)
            else:
                u_next.add_(i)
            if reset == "subtract":
                u_next.sub_(s, alpha=threshold)
            torch.gt(u_next, limit, out=s_next)
            u, s = u_next, s_next


def backward(grads, membrane, before, beta, threshold, reset, derivative):
    """What reaches the current [T, ...], and what reaches ``before`` [...] (None if that is None).

    grads : of spikes [T, ...], membrane [T, ...] and the last membrane [...], each None where no loss sees it
    """
    grad_spikes, grad_membrane, grad_last = grads
    (limit,) = _numbers(membrane, threshold)
    grad = empty_steps(len(membrane), membrane[0])
    # what each step adds by itself
    for out, u, from_spikes, from_membrane in _together(grad, membrane, grad_spikes, grad_membrane):
        if from_spikes is None:
            out.zero_()
        else:
            torch.mul(derivative(u - limit), from_spikes, out=out)
        if from_membrane is not None:
            out.add_(from_membrane)
    if grad_last is not None:
        grad[-1].add_(grad_last)
    # and what comes back from the step after it
    for steps, membranes in zip(_columns(grad), _columns(membrane), strict=True):
        for following, g, u in zip(steps[:0:-1], steps[-2::-1], membranes[-2::-1], strict=True):
            _carry(following, u, g, beta, limit, reset)
    if before is None:
        return grad, None
    grad_before = torch.zeros_like(membrane[0])
    _carry(grad[0], before, grad_before, beta, limit, reset)
    return grad, grad_before


def _carry(following, u, grad, beta, limit, reset):
    """Add to the gradient of a membrane ``u`` what comes through the leak from that of the step after it."""
    if reset == "zero":
        grad.addcmul_(following, torch.le(u, limit, out=torch.empty_like(u)), value=beta)
    else:
        grad.add_(following, alpha=beta)


def _parts(step):
    """The parts that a step [...] is worked on in."""
    return [step] if step.numel() >= LARGE else blocks(step)


def _columns(x):
    """For each of the parts that the steps of ``x`` [T, ...] fall into, a tuple of what it is at each step."""
    # unbind, not x[t]: indexing a tensor T times costs more than the arithmetic of a small layer
    return list(zip(*map(_parts, x.unbind(0)), strict=True))


def _together(first, *others):
    """The same parts of several [T, ...], of some steps at once if they are small; what is None is so in all."""
    one_by_one = first[0].numel() >= LARGE
    parts = [x.unbind(0) if one_by_one else blocks(x) for x in (first, *others) if x is not None]
    for group in zip(*parts, strict=True):
        given = iter(group)
        yield [None if x is None else next(given) for x in (first, *others)]


def _numbers(x, *numbers):
    """The numbers as tensors without axes: of a Python number torch makes one anew in each call, which takes longer.

    In float32 at least, so that nothing of them is lost beside a narrower ``x``.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    return [torch.tensor(number, dtype=dtype, device=x.device) for number in numbers]


_DEVICES = ("cuda",)  # those that Triton's kernels run on
TRITON = "snn_helpers.engine.triton_kernels"
# imported when a tensor on such a device is seen; None: nobody asked for them, or they do not work here
_KERNELS = TRITON if os.environ.get("SNN_TRITON", "0") != "0" else None


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
