"""What a network is trained by and evaluated by: losses and readouts of its output layer.

Losses take the Record of the output layer (spikes [T, B, C]) and labels [B], and return a scalar, a mean over the
batch. They raise TypeError for anything but a Record, ValueError for other shapes, no steps or no labels, and a
label without a neuron.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from snn_helpers.neurons import Record

# (output, labels) -> scalar, where the output is a Record, or the scores [B, C] of an ANN; Record -> scores [B, C]
Loss = Callable[[Any, torch.Tensor], torch.Tensor]
Readout = Callable[[Record], torch.Tensor]


def spike_count(record: Record) -> torch.Tensor:
    """Spikes of each neuron over all steps, [T, B, C] -> [B, C]. The class with most spikes is the answer."""
    return record.spikes.sum(0)


def count_then_membrane(record: Record) -> torch.Tensor:
    """The spike count, [T, B, C] -> [B, C], and a thousandth of the membrane's sum: it decides between equal counts."""
    return record.spikes.sum(0) + record.membrane.sum(0) / 1000


def ce_rate_loss(record: Record, label: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the spikes at each step, averaged over steps and batch (snntorch.functional.ce_rate_loss).

    Spikes are 0 or 1, so for C classes it cannot fall below ln(1 + (C - 1)/e): 1.461 for ten.
    """
    steps = len(_checked("ce_rate_loss", record, label).spikes)
    return F.cross_entropy(record.spikes.flatten(0, 1), label.repeat(steps))


def ce_count_loss(record: Record, label: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the spike counts, averaged over the batch (snntorch.functional.ce_count_loss)."""
    return F.cross_entropy(spike_count(_checked("ce_count_loss", record, label)), label)


def mse_rate_loss(record: Record, label: torch.Tensor) -> torch.Tensor:
    """Mean squared difference between firing rate and one-hot label, over batch and classes.

    A network that never fires scores exactly 1/C: 0.1 for ten classes.
    """
    rate = _checked("mse_rate_loss", record, label).spikes.mean(0)
    return F.mse_loss(rate, F.one_hot(label, rate.shape[-1]).to(rate.dtype))


def _checked(name: str, record: Record, label: torch.Tensor) -> Record:
    if not hasattr(record, "spikes"):
        raise TypeError(f"{name}: wanted the Record of the output layer, got {type(record).__name__}. Use net(x)[-1].")
    if record.spikes.ndim != 3 or record.spikes.shape[1:2] != label.shape or not record.spikes.numel():
        raise ValueError(
            f"{name}: wanted spikes [T, B, C] and labels [B], got {list(record.spikes.shape)} and {list(label.shape)}."
            + ("" if record.spikes.numel() else " Without a spike or a silence there is no mean.")
        )
    classes = record.spikes.shape[-1]
    if not 0 <= label.min() <= label.max() < classes:
        raise ValueError(
            f"{name}: labels must be 0 to {classes - 1}, one of the {classes} output neurons, "
            f"got {label.min()} to {label.max()}."
        )
    return record
