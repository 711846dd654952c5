"""For a ``with``: precision, random state and modes for the length of a block; afterwards they are as before."""

from contextlib import contextmanager

import torch


def autocast(device, precision):
    """For a ``with``: convolutions and matrix products in ``precision``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16)


@contextmanager
def same_modes(net):
    """For a ``with``: afterwards each module of ``net`` is in the mode (train or eval) that it was in before."""
    modes = [(module, module.training) for module in net.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def seeded(seed, device):
    """For a ``with``: random draws follow from ``seed``; afterwards the caller's random state is as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def evaluating(net, seed):
    """For a ``with``: ``net`` in eval mode, no gradients, random draws from ``seed``; gives the device of ``net``.

    Afterwards the caller's random state, and the mode of each module, are as they were.
    """
    device = next(net.parameters()).device
    with same_modes(net), seeded(seed, device), torch.no_grad():
        net.eval()
        yield device
