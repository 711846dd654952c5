"""Where large results are written: one function, because fresh memory can cost more than the arithmetic."""

import math
import threading
import weakref

import numpy as np
import torch

_LARGE = 2**20  # bytes: from here on a buffer is worth keeping

_lock = threading.RLock()  # the same thread may come back, when a tensor goes while another is being made
_spare = {}  # size in bytes -> buffers that nobody uses any more; the size that was asked for last comes last
_lent = _most = 0  # bytes in use now, and the most that ever were


def empty(shape, *, dtype=torch.float32, device="cpu"):
    """An uninitialised tensor, like ``torch.empty``, that is cheap to touch.

    The first write to fresh memory can take longer than the arithmetic: the system hands it out page by page. So a
    large buffer that was freed is kept, and handed out again to the next request of its size, as each training step
    makes. In use or kept, there is at most an eighth more than was once in use: before that, what was not asked for
    the longest is let go. Fresh buffers come from numpy, which asks Linux for huge pages. On other devices this is
    ``torch.empty``.
    """
    size = math.prod(shape) * torch.empty(0, dtype=dtype).element_size()
    if torch.device(device).type != "cpu" or size < _LARGE:
        return torch.empty(shape, dtype=dtype, device=device)
    buffer = _take(size)
    lent = buffer[:]
    # the tensor keeps this view alive, and nothing else does: when it goes, the buffer is free
    weakref.finalize(lent, _give_back, buffer).atexit = False
    return torch.from_numpy(lent).view(dtype).view(shape)


def _take(size):
    global _lent, _most
    with _lock:
        _lent += size
        _most = max(_most, _lent)
        if buffers := _spare.pop(size, None):
            buffer = buffers.pop()
            if buffers:
                _spare[size] = buffers
            return buffer
        too_much = _lent + sum(size * len(buffers) for size, buffers in _spare.items()) - _most * 9 // 8
        while too_much > 0:
            oldest = next(iter(_spare))
            _spare[oldest].pop()
            too_much -= oldest
            if not _spare[oldest]:
                del _spare[oldest]
    return np.empty(size, dtype=np.uint8)


def _give_back(buffer):
    global _lent
    with _lock:
        _lent -= buffer.nbytes
        _spare.setdefault(buffer.nbytes, []).append(buffer)


def empty_steps(steps, example):
    """An uninitialised [steps, ...] for steps like ``example`` [...], each laid out in memory as ``example`` is.

    So what is channels_last stays channels_last: convolution and pooling of it are then several times as fast.
    """
    shape, strides = [steps, *example.shape], [math.inf, *example.stride()]
    return empty_laid_out(shape, strides, dtype=example.dtype, device=example.device)


def empty_laid_out(shape, strides, *, dtype, device):
    """Like ``empty``, with its axes ordered in memory by descending ``strides``, without gaps."""
    axes = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    ordered = empty([shape[axis] for axis in axes], dtype=dtype, device=device)
    return ordered.permute(*(axes.index(axis) for axis in range(len(shape))))
