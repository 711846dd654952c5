"""What is wrong with a network that does not learn: findings in words, from what its layers did and from its loss."""

import math
from collections.abc import Sequence

import torch

from snn_helpers.neurons import Record

SATURATED, DEAD = 0.9, 0.5  # shares beyond which a layer counts as sick


def diagnose(records: Sequence[Record], loss: float | torch.Tensor | None = None) -> list[str]:
    """Say which layer is silent, saturated or largely dead, whether the loss sits at a known floor, and what to try.

    records : what ``net(x)`` returned for a batch: a list of Records, one a layer, spikes [T, B, ...]
    loss : the loss of that batch (a number or a scalar tensor), if there is one

    Returns one finding each, the first to look at first; one sentence that says so if nothing is wrong.
    A layer is counted from 1, and a neuron is dead if no image of the batch makes it fire, so give it a hundred images.
    Findings name what was seen and what to try first. Raises TypeError for something else than a list of Records,
    ValueError for Records without a time or a batch.

    The floors: cross entropy of C binary scores that are all equal (all silent, or all firing) is ln C, and averaged
    over steps it never falls below ln(1 + (C - 1)/e); the mean squared error of rates against a one-hot label is 1/C
    when the output is silent. ln C is named for any loss that is near it, the others only where the output is such.
    """
    if not isinstance(records, (list, tuple)) or not records or not all(hasattr(r, "spikes") for r in records):
        raise TypeError(
            f"diagnose: wanted the list of Records that net(x) returns, got {type(records).__name__}. "
            "Call it with net(x), not with net(x)[-1]."
        )
    for record in records:
        if record.spikes.ndim < 3 or not record.spikes.numel():
            raise ValueError(
                f"diagnose: wanted spikes [T, B, ...] of each layer, got {list(record.spikes.shape)}. Give it a batch."
            )
    loss = loss.item() if torch.is_tensor(loss) else loss
    layers = [finding for number, record in enumerate(records, 1) if (finding := _layer(number, record, records))]
    if loss is not None and not math.isfinite(loss):
        return [f"The loss is {loss}: the run has diverged. Try a learning rate ten times smaller."]
    return [*layers, *_floor(loss, records[-1].spikes.detach())] or [
        "Nothing is wrong that these numbers show: every layer fires, none is saturated. If it does not learn, look at "
        "the labels, the learning rate and the loss over time."
    ]


def _layer(number: int, record: Record, records: Sequence[Record]) -> str | None:
    spikes, name = record.spikes.detach(), f"Layer {number}"
    if not record.membrane.isfinite().all():
        return f"{name} holds NaN or infinity: it has diverged. Try a learning rate ten times smaller."
    rate = spikes.mean().item()
    if rate == 0:
        if number > 1 and not records[number - 2].spikes.any():
            return f"{name} is silent because layer {number - 1} sends it nothing. Wake that one first."
        return f"{name} is silent: {_why_silent(record)}"
    if rate > SATURATED:
        return (
            f"{name} is saturated: it fires at {rate:.0%} of all steps, so its rate says nothing. Try a higher "
            "threshold, smaller weights or a smaller input; look for a reset that is missing, a beta of 1 with a bias, "
            "or a state that was carried over from another batch."
        )
    dead = (spikes.flatten(0, 1).sum(0) == 0).double().mean().item()
    if dead > DEAD:
        return (
            f"{dead:.0%} of layer {number} is dead: it fires for no image of this batch. Try larger weights or a lower "
            "threshold; a wider surrogate (a smaller slope) lets gradient reach them."
        )
    return None


def _why_silent(record: Record) -> str:
    highest = record.membrane.detach().amax(0)
    if not record.membrane.detach().any():
        return "its membranes never leave 0, so it gets no input. Look for weights, or an image, that are zero."
    return (
        f"its membranes come no higher than {highest.max().item():.3g} (on average {highest.mean().item():.3g}), below "
        "the threshold. Try a lower threshold, larger weights, a larger input, or a beta nearer to 1; a "
        "wider surrogate (a smaller slope) lets gradient reach neurons that are far below."
    )


def _floor(loss: float | None, spikes: torch.Tensor) -> list[str]:
    if loss is None or spikes.ndim != 3:
        return []
    classes = spikes.shape[-1]
    if (spikes == spikes[..., :1]).all():
        guess = "the outputs are all silent, or all firing. Nothing of the image reaches them."
    else:
        guess = "the output does not tell the classes apart."
    floors = [(math.log(classes), f"ln {classes}, the cross entropy of a guess: {guess}")]
    if (spikes.sum(-1) == 1).double().mean() > 0.99:
        least = f"ln(1 + {classes - 1}/e), the least that the cross entropy of each step's spikes can be"
        right = "this loss can fall no further, and every answer is right."
        floors.append((math.log(1 + (classes - 1) / math.e), f"{least}: {right}"))
    if spikes.mean() < 0.01:
        floors.append((1 / classes, f"1/{classes}, the mean squared error of a silent output."))
    near = [text for value, text in floors if abs(loss - value) < 0.002 * value]
    return [f"The loss is {loss:.4g}, at a known floor: {text}" for text in near]
