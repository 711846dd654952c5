"""The neuron on a GPU: one kernel for all time steps, forward and backward, in Triton. ``kernels`` chooses it.

A program takes a block of neurons through all T steps; their membranes stay in registers, so each number is read once
and written once, in one launch. Forward, each operation is rounded to the tensor's dtype, in the order of
``kernels.forward``, and none is contracted with the next (no fused multiply-add): spikes and membranes are the same
to the bit. Backward, arithmetic is in float32 for float16 and bfloat16 and rounded when it is written; the division
and the exponential of a GPU are exact to a few units in the last place: gradients are the same to float tolerance.
"""

import torch
import triton
import triton.language as tl

from snn_helpers.engine.memory import empty_steps

BLOCK = 512  # neurons a program: 16 bytes of float32 a thread
KINDS = ("fast_sigmoid", "sigmoid", "atan", "boxcar")  # the surrogates that _derivative knows
DTYPES = {
    torch.float16: tl.float32,
    torch.bfloat16: tl.float32,
    torch.float32: tl.float32,
    torch.float64: tl.float64,
}  # of tensors, and what is computed with
if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 3):
    del DTYPES[torch.float64]  # before Triton 3.3 a number reaches a kernel as float32, whatever its annotation says


def forward(current, before, beta, threshold, reset, spikes, membrane):
    """As ``kernels.forward``; returns True, or None, with nothing done, for tensors that the kernel does not take."""
    if not _fits(membrane, current, before, spikes) or not _alike(spikes, membrane):
        return None
    current, before = _laid_out(current, membrane), _step_laid_out(before, membrane)
    n = membrane[0].numel()
    with torch.cuda.device_of(membrane):
        tensors = current, before, spikes, membrane, *(x.stride(0) for x in (current, spikes, membrane))
        how = dict(RESET=reset, WORK=DTYPES[membrane.dtype], BLOCK=BLOCK, enable_fp_fusion=False)
        _forward[(triton.cdiv(n, BLOCK),)](*tensors, len(membrane), n, beta, threshold, **how)
    return True


def backward(grads, membrane, before, beta, threshold, reset, derivative):
    """As ``kernels.backward``; None, with nothing done, for tensors or a surrogate that the kernel does not take."""
    if derivative.kind not in KINDS or not _fits(membrane, before, *grads):
        return None
    grads = *(None if g is None else _laid_out(g, membrane) for g in grads[:2]), _step_laid_out(grads[2], membrane)
    grad = empty_steps(len(membrane), membrane[0])
    grad_before = None if before is None else torch.empty_like(membrane[0])
    n = membrane[0].numel()
    with torch.cuda.device_of(membrane):
        given = *grads, membrane, _step_laid_out(before, membrane), grad, grad_before
        strides = (0 if x is None else x.stride(0) for x in (*grads[:2], membrane, grad))
        numbers = len(membrane), n, beta, threshold, derivative.parameter
        how = dict(KIND=derivative.kind, RESET=reset, WORK=DTYPES[membrane.dtype], BLOCK=BLOCK, enable_fp_fusion=False)
        _backward[(triton.cdiv(n, BLOCK),)](*given, *strides, *numbers, **how)
    return grad, grad_before


def _fits(membrane, *others):
    """Whether the kernels know the dtype, all tensors share it, and a step lies in memory without gaps or overlap."""
    if membrane.dtype not in DTYPES or not membrane.numel():
        return False
    expected = 1
    for stride, size in sorted(zip(membrane.stride()[1:], membrane.shape[1:], strict=True)):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return all(x is None or (x.dtype, x.device) == (membrane.dtype, membrane.device) for x in others)


def _alike(x, like):
    """Whether the steps of both lie in memory alike. How far apart they are may differ (0 if all are the same)."""
    strides = zip(x.shape[1:], x.stride()[1:], like.stride()[1:], strict=True)
    return all(size == 1 or ours == theirs for size, ours, theirs in strides)


def _laid_out(x, like):
    return x if _alike(x, like) else empty_steps(len(x), like[0]).copy_(x)


def _step_laid_out(x, like):
    return None if x is None else _laid_out(x.unsqueeze(0), like)


@triton.jit
def _rounded(x, DTYPE: tl.constexpr):
    return x.to(DTYPE).to(x.dtype)


@triton.jit(do_not_specialize=["steps"])
def _forward(
    current,
    before,
    spikes,
    membrane,
    current_stride,
    spikes_stride,
    membrane_stride,
    steps,
    n,
    beta: tl.float64,
    threshold: tl.float64,
    RESET: tl.constexpr,
    WORK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    DTYPE: tl.constexpr = membrane.dtype.element_ty
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    beta = tl.full((BLOCK,), beta, WORK)
    threshold = _rounded(tl.full((BLOCK,), threshold, WORK), DTYPE)
    if before is None:
        u = tl.full((BLOCK,), 0, WORK)
    else:
        u = tl.load(before + at, mask=inside, other=0).to(WORK)
    s = (u > threshold).to(WORK)
    for _ in range(steps):
        i = tl.load(current + at, mask=inside, other=0).to(WORK)
        u = _rounded(u * beta, DTYPE)
        if RESET == "zero":
            u = u * (1 - s)
        u = _rounded(u + i, DTYPE)
        if RESET == "subtract":
            u = _rounded(u - threshold * s, DTYPE)
        s = (u > threshold).to(WORK)
        tl.store(membrane + at, u.to(DTYPE), mask=inside)
        tl.store(spikes + at, s.to(DTYPE), mask=inside)
        current += current_stride
        membrane += membrane_stride
        spikes += spikes_stride


@triton.jit(do_not_specialize=["steps"])
def _backward(
    grad_spikes,
    grad_membrane,
    grad_last,
    membrane,
    before,
    grad,
    grad_before,
    grad_spikes_stride,
    grad_membrane_stride,
    membrane_stride,
    grad_stride,
    steps,
    n,
    beta: tl.float64,
    threshold: tl.float64,
    parameter: tl.float64,
    KIND: tl.constexpr,
    RESET: tl.constexpr,
    WORK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    DTYPE: tl.constexpr = membrane.dtype.element_ty
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    beta = tl.full((BLOCK,), beta, WORK)
    threshold = _rounded(tl.full((BLOCK,), threshold, WORK), DTYPE)
    parameter = tl.full((BLOCK,), parameter, WORK)
    last = (steps - 1).to(tl.int64)
    membrane += last * membrane_stride
    grad += last * grad_stride
    if grad_spikes is not None:
        grad_spikes += last * grad_spikes_stride
    if grad_membrane is not None:
        grad_membrane += last * grad_membrane_stride
    if grad_last is None:
        carried = tl.full((BLOCK,), 0, WORK)
    else:
        carried = tl.load(grad_last + at, mask=inside, other=0).to(WORK)
    u = tl.load(membrane + at, mask=inside, other=0).to(WORK)
    for back in range(steps):
        g = tl.full((BLOCK,), 0, WORK)
        if grad_spikes is not None:
            g = _derivative(u - threshold, parameter, KIND) * tl.load(grad_spikes + at, mask=inside, other=0).to(WORK)
            grad_spikes -= grad_spikes_stride
        if grad_membrane is not None:
            g += tl.load(grad_membrane + at, mask=inside, other=0).to(WORK)
            grad_membrane -= grad_membrane_stride
        g += carried
        tl.store(grad + at, g.to(DTYPE), mask=inside)
        grad -= grad_stride
        membrane -= membrane_stride
        # the step before; there is none before the first, and 0 is under the threshold
        u = tl.load(membrane + at, mask=inside & (tl.full((BLOCK,), back, tl.int64) < last), other=0).to(WORK)
        carried = g * beta
        if RESET == "zero":
            carried *= 1 - (u > threshold).to(WORK)
    if before is not None:
        if RESET == "zero":
            carried *= 1 - (tl.load(before + at, mask=inside, other=0).to(WORK) > threshold).to(WORK)
        tl.store(grad_before + at, carried.to(DTYPE), mask=inside)


@triton.jit
def _derivative(x, parameter, KIND: tl.constexpr):
    """The formulas of ``surrogates``, of membrane - threshold."""
    x = tl.abs(x)
    if KIND == "fast_sigmoid":
        base = x * parameter + 1
        y = 1 / (base * base)
    elif KIND == "sigmoid":
        e = tl.exp(-x * parameter)
        y = parameter * e / ((1 + e) * (1 + e))
    elif KIND == "atan":
        base = x * (1.5707963267948966 * parameter)
        y = parameter / 2 / (base * base + 1)
    else:
        y = (x <= parameter / 2).to(x.dtype) / parameter
    return y
