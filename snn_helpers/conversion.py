"""From a trained CNN to spikes: scale its weights, put integrate-and-fire neurons where its ReLUs were, and run it.

An integrate-and-fire neuron that gets the mean current a fires at the rate a / threshold, up to an error of one spike
in T steps: it is a ReLU that cannot go above 1. So the activations must be brought under 1 first (Diehl et al. 2015,
IJCNN), and what does not scale with them is refused: a bias (it would have to be scaled, too), a maximum.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import nn

from snn_helpers.data import Digits, batches
from snn_helpers.encoding import Encoder, direct
from snn_helpers.engine import chain
from snn_helpers.engine.checks import check_training
from snn_helpers.engine.context import evaluating
from snn_helpers.networks import SNN
from snn_helpers.neurons import Record, Value


class Simulation(NamedTuple):
    """What ``simulate`` saw of N digits in T steps; a row 0 of T is the state after the first step."""

    votes: torch.Tensor  # [T, N, C]: spikes of each output neuron up to and with this step
    left: torch.Tensor  # [T, N, C]: membrane of each output neuron after this step and its reset
    spikes: torch.Tensor  # [T, N, L]: spikes of all neurons of a layer at this step; the last layer is the output
    labels: torch.Tensor  # [N]

    def answers(self) -> torch.Tensor:
        """[T, N]: the class with most output spikes so far; a tie goes to the neuron nearest to its next spike."""
        behind = self.votes < self.votes.amax(-1, keepdim=True)
        return self.left.masked_fill(behind, -torch.inf).argmax(-1)

    def accuracy(self) -> torch.Tensor:
        """[T]: the share of right answers after each step."""
        return (self.answers() == self.labels).double().mean(1)

    def confusion(self) -> torch.Tensor:
        """[T, C, C]: after each step, how many digits of class i (row) were called class j (column)."""
        return torch.stack([confusion(answers, self.labels, self.votes.shape[-1]) for answers in self.answers()])

    def spikes_per_image(self) -> torch.Tensor:
        """[T, L]: the mean number of spikes of each layer up to and with each step."""
        return self.spikes.double().mean(1).cumsum(0)


def activation_scales(cnn: nn.Sequential, images: torch.Tensor, percentile: float = 99.9) -> list[float]:
    """The scale of each weight layer: the largest of its ReLU activations on ``images``, or a percentile of them.

    Only activations above 0 count for the percentile, so that it means the same for a layer that is mostly silent
    (the edges of digits) and for one that is not. The output layer counts, through the ReLU that its neurons are.

    cnn : nn.Sequential that ``to_snn`` takes
    images : float [N, 1, 28, 28] in [0, 1], of the training set; a few hundred are enough
    percentile : above 0, up to 100 (the largest)

    Returns one number a weight layer: the smallest activation that ``percentile`` % of them do not exceed.
    Raises as ``to_snn`` does, ValueError for a percentile or images out of range, and for a layer that is silent.
    """
    blocks = chain.blocks("normalize", cnn)
    if not 0 < percentile <= 100:
        raise ValueError(f"normalize: percentile must be above 0 and at most 100 (the largest), got {percentile}.")
    if not torch.is_tensor(images) or not images.is_floating_point():
        kind = images.dtype if torch.is_tensor(images) else type(images).__name__
        raise TypeError(f"normalize: images must be a float tensor in [0, 1], got {kind}. Divide 8-bit pixels by 255.")
    if not len(images):
        raise ValueError("normalize: images must be at least one, got none. Take a few hundred to train on.")
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"normalize: images must lie in [0, 1], as the spiking network will see them, got [{images.min():.3g}, "
            f"{images.max():.3g}]. Undo their normalisation: images * deviation + mean."
        )
    scales: list[float] = []
    with torch.no_grad():
        x = images.to(next(cnn.parameters()))
        for block in blocks:
            x = block(x).relu_()
            if not x.isfinite().all():
                raise ValueError(f"normalize: weight layer {len(scales) + 1} gives NaN or infinity: it has diverged.")
            positive = x[x > 0]
            if not len(positive):
                raise ValueError(
                    f"normalize: weight layer {len(scales) + 1} is silent: none of its activations on the "
                    f"{len(images)} images is above 0. Was it trained, and on images in [0, 1]?"
                )
            larger = int((1 - percentile / 100) * len(positive) + 1e-9)  # how many may lie above the scale
            scales.append(positive.kthvalue(max(len(positive) - larger, 1)).values.item())
    return scales


def normalize(cnn: nn.Sequential, images: torch.Tensor, percentile: float = 99.9) -> nn.Sequential:
    """Data-based weight balancing (Diehl et al. 2015): a new CNN whose activations are those of ``cnn`` in [0, 1].

    Each layer's weights are multiplied by the scale of the layer before and divided by their own (that of the input
    is 1), with the scales of ``activation_scales``. The answers of the CNN do not change: all ten scores are divided
    by one number. The same can be had from the other side, threshold balancing: leave the weights, and give layer l
    the threshold scale[l] / scale[l - 1].

    The parameters and errors are those of ``activation_scales``; the given ``cnn`` is not altered.
    """
    scales = activation_scales(cnn, images, percentile)
    new = copy.deepcopy(cnn)
    before = 1.0
    with torch.no_grad():
        for block, scale in zip(chain.blocks("normalize", new), scales, strict=True):
            next(part for part in block if isinstance(part, chain.WEIGHTS)).weight.mul_(before / scale)
            before = scale
    return new


def to_snn(cnn: nn.Sequential, *, v_init: float = 0.5) -> SNN:
    """The spiking network of a CNN: its weights, and for each ReLU a layer of integrate-and-fire neurons.

    They are ``neurons.lif`` with beta = 1 (nothing leaks), threshold 1, reset by subtraction (nothing is lost), and
    one more layer of them at the output. Normalise the CNN first.

    cnn : nn.Sequential of Conv2d, Linear, ReLU, AvgPool2d, Flatten, without bias; Dropout is left out
    v_init : membrane before the first step, as a share of the threshold; one half makes the error of the rate
        symmetric, and its largest value half as large

    Returns an SNN with copies of the weights.
    Raises TypeError for anything but a Sequential, ValueError for a layer that cannot be converted (a maximum,
    a bias that is not 0, another activation than ReLU, a normalisation), by its name and with what to do instead.

    >>> from snn_helpers import networks
    >>> len(to_snn(networks.cnn()).layers)
    3
    """
    return SNN(*copy.deepcopy(chain.blocks("to_snn", cnn)), beta=1.0, threshold=1.0, reset="subtract", v_init=v_init)


def simulate(
    snn: SNN, digits: Digits, steps: int, encode: Encoder = direct, *, batch_size: int = 100, seed: int = 0
) -> Simulation:
    """Run ``snn``, converted or trained, on all ``digits`` and return the Simulation, of every step.

    encode : (images, steps) -> input [T, B, ...]: ``encoding.direct``, or ``encoding.poisson``; its random draws
        follow from ``seed`` (and the batch size), and the caller's random state is left as it was

    Each module of ``snn`` is left in the mode (train or eval) that it was in. Raises ValueError for no digits.
    """
    check_training("simulate", digits=digits)
    parts, neuron = [], snn.neuron_of(len(snn.layers) - 1)
    with evaluating(snn, seed) as device:
        for images, _ in batches(digits, batch_size, device=device):
            seen = []
            for records in snn.stream(encode(images, steps), 4):
                per_layer = torch.stack([record.spikes.flatten(2).sum(-1) for record in records], -1)
                seen.append((records[-1].spikes, _after_reset(records[-1], **neuron), per_layer))
            fired, left, per_layer = (torch.cat(pieces) for pieces in zip(*seen, strict=True))
            votes = fired.cumsum(0).to(torch.int32)
            parts.append([part.cpu() for part in (votes, left, per_layer.to(torch.int32))])
    votes, left, spikes = (torch.cat(part, 1) for part in zip(*parts, strict=True))
    return Simulation(votes, left, spikes, digits.labels.cpu())


def _after_reset(record: Record, *, threshold: Value, reset: str, **_: Any) -> torch.Tensor:
    if reset == "subtract":
        return record.membrane - threshold * record.spikes
    return record.membrane * (1 - record.spikes) if reset == "zero" else record.membrane


def accuracy_per_step(snn: SNN, digits: Digits, steps: int, encode: Encoder = direct, **options: Any) -> torch.Tensor:
    """[T]: the accuracy of ``snn`` on ``digits`` after 1, 2, ..., T steps; arguments of ``simulate``."""
    return simulate(snn, digits, steps, encode, **options).accuracy()


def confusion(answers: torch.Tensor, labels: torch.Tensor, classes: int = 10) -> torch.Tensor:
    """[C, C]: how many of the N digits of class i (row) were called class j (column); answers and labels [N].

    Raises ValueError for other shapes, and for a class that is not one of 0 to C - 1.
    """
    if answers.ndim != 1 or answers.shape != labels.shape:
        raise ValueError(
            f"confusion: wanted an answer a label, [N] each, got {list(answers.shape)} and {list(labels.shape)}."
        )
    both = torch.cat([answers, labels])
    if len(both) and not 0 <= both.min() <= both.max() < classes:
        raise ValueError(
            f"confusion: classes must be 0 to {classes - 1}, got {both.min()} to {both.max()}. Say how many: classes="
        )
    return torch.bincount(labels * classes + answers, minlength=classes**2).view(classes, classes)
