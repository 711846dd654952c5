"""Judging a network: what it gives each class, and the share that it names rightly. It is left as it was."""

from contextlib import contextmanager

import torch

from snn_helpers.data import batches
from snn_helpers.distributed import Team
from snn_helpers.losses import spike_count
from snn_helpers.neurons import Record


def scores(net, digits, encode, *, readout=spike_count, batch_size=500, seed=0, precision=torch.float32):
    """What ``net`` gives each class for each of ``digits``, [N, C]: spike counts of an SNN, outputs of another module.

    Random draws of ``encode`` follow from ``seed``; ``readout`` and ``precision`` are as in ``fit``. The caller's
    random state, and the mode (train or eval) of each module, are left as they were. Raises ValueError for no digits,
    another precision, and scores that are NaN or not one row a digit.
    """
    check("scores", precision, digits=digits)
    parts = []
    with judging(net, seed) as device:
        for images, _ in batches(digits, batch_size, device=device):
            with autocast(device, precision):
                found = _scores(net, encode(images), readout)
            if found.ndim != 2 or len(found) != len(images):
                raise ValueError(
                    f"scores: wanted [B, C] of the network and its readout, for {len(images)} images, got "
                    f"{list(found.shape)}. A readout sums over time, its first axis; encode keeps every image."
                )
            parts.append(found)
    found = torch.cat(parts).cpu()
    if found.isnan().any():
        raise ValueError("scores: the network answers NaN (not a number): it has diverged. Try a smaller lr.")
    return found


def accuracy(net, digits, encode, *, team=None, **how):
    """The share of all ``digits`` that ``net`` names rightly, ``how`` as in ``scores``; ties go to the lower class.

    The processes of a ``team`` (distributed.Team), if there is one, judge a part each. Raises as ``scores`` does.
    """
    check("accuracy", digits=digits)
    team = team or Team()
    part, right = team.part(digits), 0
    if len(part.labels):
        right = (scores(net, part, encode, **how).argmax(-1) == part.labels).sum().item()
    return team.total(right) / len(digits.labels)


@contextmanager
def judging(net, seed):
    """For a ``with``: ``net`` in eval mode, no gradients, random draws from ``seed``; gives the device of ``net``.

    Afterwards the caller's random state, and the mode of each module, are as they were.
    """
    device = next(net.parameters()).device
    with same_modes(net), seeded(seed, device), torch.no_grad():
        net.eval()
        yield device


def _scores(net, x, readout):
    if hasattr(net, "stream"):  # of all layers but the last nothing is kept: for 500 images it can take gigabytes
        pieces = (records[-1] for records in net.stream(x))
        return readout(Record(*map(torch.cat, zip(*pieces, strict=True))))
    output = output_of(net, x)
    return readout(output) if hasattr(output, "spikes") else output


def output_of(net, x):
    """The last Record of an SNN, what another module returns."""
    output = net(x)
    return output[-1] if isinstance(output, list) else output


def check(name, precision=torch.float32, **given):
    """Raise ValueError, in the name of a function, for ``given`` digits that are none, and for another precision."""
    for what, digits in given.items():
        if not len(digits.labels):
            raise ValueError(f"{name}: {what} must be at least one, got none. Is a slice of them empty?")
    if precision not in (torch.float32, torch.bfloat16):
        raise ValueError(
            f"{name}: precision must be torch.float32 or torch.bfloat16, got {precision}. "
            "hardware.best_precision() says which of them is the quicker one here."
        )


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
