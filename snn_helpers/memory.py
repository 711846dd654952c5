"""Where large results are written: one function, because fresh memory can cost more than the arithmetic."""

import math
import weakref
from collections import defaultdict

import numpy as np
import torch

_LARGE = 2**22  # bytes: from here on numpy asks for huge pages, and the C library gives freed memory back

_spare = defaultdict(list)  # size in bytes -> buffers that nobody uses any more


def empty(shape, *, dtype=torch.float32, device="cpu"):
    """An uninitialised tensor, like ``torch.empty``, that is cheap to touch.

    The first write to fresh memory can take longer than the arithmetic: the system hands it out page by page. So a
    large buffer that was freed is kept, and handed out again to the next request of its size, as each training step
    makes; a request of another size lets go of all that is kept, so that little more is held than is used. Fresh
    buffers come from numpy, which asks Linux for huge pages. On other devices this is ``torch.empty``.
    """
    size = math.prod(shape) * torch.empty(0, dtype=dtype).element_size()
    if torch.device(device).type != "cpu" or size < _LARGE:
        return torch.empty(shape, dtype=dtype, device=device)
    if _spare[size]:
        buffer = _spare[size].pop()
    else:
        _spare.clear()
        buffer = np.empty(size, dtype=np.uint8)
    lent = buffer[:]
    # the tensor keeps this view alive, and nothing else does: when it goes, the buffer is free
    weakref.finalize(lent, _keep, buffer).atexit = False
    return torch.from_numpy(lent).view(dtype).view(shape)


def _keep(buffer):
    _spare[buffer.nbytes].append(buffer)


def empty_steps(steps, example):
    """An uninitialised [steps, ...] for steps like ``example`` [...], each laid out in memory as ``example`` is.

    So what is channels_last stays channels_last: convolution and pooling of it are then several times as fast.
    """
    axes = sorted(range(example.ndim), key=lambda axis: -example.stride(axis))
    shape = [steps, *(example.shape[axis] for axis in axes)]
    whole = empty(shape, dtype=example.dtype, device=example.device)
    return whole.permute(0, *(1 + axes.index(axis) for axis in range(example.ndim)))
