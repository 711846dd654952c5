"""Where large results are written: one function, because fresh memory can cost more than the arithmetic."""

import math

import numpy as np
import torch


def empty(shape, *, dtype=torch.float32, device="cpu"):
    """An uninitialised tensor, like ``torch.empty``, that is cheap to touch for the first time.

    numpy asks Linux for huge pages for arrays of 4 MiB and more, torch does not; the first write to a fresh
    40 MB tensor then takes about a fifth of the time. On other devices this is ``torch.empty``.
    """
    if torch.device(device).type != "cpu" or 0 in shape:
        return torch.empty(shape, dtype=dtype, device=device)
    size = math.prod(shape) * torch.empty(0, dtype=dtype).element_size()
    return torch.from_numpy(np.empty(size, dtype=np.uint8)).view(dtype).view(shape)


def empty_steps(steps, example):
    """An uninitialised [steps, ...] for steps like ``example`` [...], each laid out in memory as ``example`` is.

    So what is channels_last stays channels_last: convolution and pooling of it are then several times as fast.
    """
    axes = sorted(range(example.ndim), key=lambda axis: -example.stride(axis))
    shape = [steps, *(example.shape[axis] for axis in axes)]
    whole = empty(shape, dtype=example.dtype, device=example.device)
    return whole.permute(0, *(1 + axes.index(axis) for axis in range(example.ndim)))
