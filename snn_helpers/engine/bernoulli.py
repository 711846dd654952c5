"""Bernoulli draws from single random bytes, exact to 2**-32: what ``encoding.poisson`` draws on the CPU."""

import numpy as np
import torch

_CHUNK = 2**20  # random bytes drawn at a time: they stay in the cache between the draw and the comparison


def bernoulli(probability, steps, generator):
    """Yield draws with the probabilities [n] for each step, as a bool array [n].

    In numpy, which has one thread. Torch would divide the work among several and wait for the slowest, and on a
    machine that has other work to do that one is not running.
    """
    n = len(probability)
    scaled = probability * np.float32(256)
    integer = np.minimum(np.floor(scaled), np.float32(255))  # p = 1 is 255 and a fractional part of 1: it always fires
    fraction = scaled - integer
    integer = integer.astype(np.uint8)
    rows = max(1, min(steps, _CHUNK // max(n, 1)))
    words = torch.empty((rows * n + 7) // 8, dtype=torch.int64)
    room, tied = np.empty((rows, n), dtype=bool), np.zeros(8 * len(words), dtype=bool)
    for start in range(0, steps, rows):
        out = room[: steps - start]
        # from the lowest int64 up to None: all 64 bits are random (a plain random_() leaves the top one at 0)
        words.random_(torch.iinfo(torch.int64).min, None, generator=generator)
        draws = words.numpy().view(np.uint8)[: out.size].reshape(out.shape)
        np.less(draws, integer, out=out)
        np.equal(draws, integer, out=tied[: out.size].reshape(out.shape))
        tied[out.size :] = False
        # ties are rare, so look for them eight at a time
        eights = np.flatnonzero(tied.view(np.int64))
        row, column = tied.reshape(-1, 8)[eights].nonzero()
        at = eights[row] * 8 + column
        out.reshape(-1)[at] = torch.rand(len(at), generator=generator).numpy() < fraction[at % max(n, 1)]
        yield from out
