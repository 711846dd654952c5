"""From a trained CNN to spikes: scale its weights, put integrate-and-fire neurons where its ReLUs were, and run it.

An integrate-and-fire neuron that gets the mean current a fires at the rate a / threshold, up to an error of one spike
in T steps: it is a ReLU that cannot go above 1. So the activations must be brought under 1 first (Diehl et al. 2015,
IJCNN), and only what scales with them can be converted: weights, ReLU, averages; no bias, no maximum.
"""

import copy
from typing import NamedTuple

import torch
from torch import nn

from snn_helpers.data import batches
from snn_helpers.encoding import direct
from snn_helpers.judging import check, judging
from snn_helpers.networks import SNN

_WEIGHTS = nn.Conv2d, nn.Linear
_KEPT = nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten
_DROPPED = nn.Dropout, nn.Dropout2d, nn.Identity
# what a chain often holds and a spiking network cannot, with what to do about it
_REMEDIES = {
    (nn.MaxPool2d, nn.AdaptiveMaxPool2d): "the largest of several spikes is not the spike of the largest rate. Put "
    "AvgPool2d in its place and train again.",
    (nn.BatchNorm2d, nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm): "it shifts and scales, which a neuron cannot. Train "
    "without it, or fold it into the weights (torch.nn.utils.fuse_conv_bn_eval), which leaves a bias to remove.",
    (nn.Softmax, nn.LogSoftmax): "it changes the scores, not their order, and most spikes win. Leave it out.",
    (nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.ReLU6): "a firing "
    "rate is 0 or a straight line, as ReLU is. Put ReLU in its place and train again.",
}


class Simulation(NamedTuple):
    """What ``simulate`` saw of N digits in T steps; a row 0 of T is the state after the first step."""

    votes: torch.Tensor  # [T, N, C]: spikes of each output neuron up to and with this step
    left: torch.Tensor  # [T, N, C]: membrane of each output neuron after this step and its reset
    spikes: torch.Tensor  # [T, N, L]: spikes of all neurons of a layer at this step; the last layer is the output
    labels: torch.Tensor  # [N]

    def answers(self):
        """[T, N]: the class with most output spikes so far; a tie goes to the neuron nearest to its next spike."""
        behind = self.votes < self.votes.amax(-1, keepdim=True)
        return self.left.masked_fill(behind, -torch.inf).argmax(-1)

    def accuracy(self):
        """[T]: the share of right answers after each step."""
        return (self.answers() == self.labels).double().mean(1)

    def confusion(self):
        """[T, C, C]: after each step, how many digits of class i (row) were called class j (column)."""
        return torch.stack([confusion(answers, self.labels, self.votes.shape[-1]) for answers in self.answers()])

    def spikes_per_image(self):
        """[T, L]: the mean number of spikes of each layer up to and with each step."""
        return self.spikes.double().mean(1).cumsum(0)


def activation_scales(cnn, images, percentile=99.9, *, batch_size=200):
    """The scale of each weight layer: the largest of its ReLU activations on ``images``, or a percentile of them.

    Only activations above 0 count for the percentile, so that it means the same for a layer that is mostly silent
    (the edges of digits) and for one that is not. The output layer counts, through the ReLU that its neurons are.

    Parameters
    ----------
    cnn : nn.Sequential that ``to_snn`` takes
    images : float [N, 1, 28, 28] in [0, 1], of the training set; a few hundred are enough
    percentile : above 0, up to 100 (the largest)

    Returns
    -------
    list of floats, one a weight layer: the smallest activation that ``percentile`` % of them do not exceed

    Raises as ``to_snn`` does, ValueError for a percentile or images out of range, and for a layer that is silent.
    """
    blocks = _blocks("normalize", cnn)
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
            f"{images.max():.3g}]. Undo the normalisation, or use images.clamp(0, 1)."
        )
    share = 1 - percentile / 100
    largest, positive = [next(cnn.parameters()).new_empty(0)] * len(blocks), [0] * len(blocks)
    with torch.no_grad():
        for part in images.split(batch_size):
            x = part.to(next(cnn.parameters()).device)
            for i, block in enumerate(blocks):
                x = block(x).relu_()
                above = x[x > 0]
                positive[i] += len(above)
                # those that could still be the percentile of the whole: all others are forgotten
                enough = int(share * x[0].numel() * len(images)) + 2
                seen = torch.cat([largest[i], above])
                largest[i] = seen.topk(enough, sorted=False).values if len(seen) > enough else seen
    if 0 in positive:
        raise ValueError(
            f"normalize: weight layer {positive.index(0)} is silent: none of its activations on the {len(images)} "
            "images is above 0. Was it trained, and on images in [0, 1]?"
        )
    # rank from the top of all n positive ones: the first with at least percentile % of them at or below it
    rank = (min(int(share * n + 1e-9), n - 1) for n in positive)
    return [values.topk(k + 1).values[-1].item() for values, k in zip(largest, rank, strict=True)]


def normalize(cnn, images, percentile=99.9):
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
        for block, scale in zip(_blocks("normalize", new), scales, strict=True):
            next(part for part in block if isinstance(part, _WEIGHTS)).weight.mul_(before / scale)
            before = scale
    return new


def to_snn(cnn, *, v_init=0.5):
    """The spiking network of a CNN: its weights, and for each ReLU a layer of integrate-and-fire neurons.

    They are ``neurons.lif`` with beta = 1 (nothing leaks), threshold 1, reset by subtraction (nothing is lost), and
    one more layer of them at the output. Normalise the CNN first.

    Parameters
    ----------
    cnn : nn.Sequential of Conv2d, Linear, ReLU, AvgPool2d, Flatten, without bias; Dropout is left out
    v_init : membrane before the first step, as a share of the threshold; one half makes the error of the rate
        symmetric, and its largest value half as large

    Returns
    -------
    networks.SNN with copies of the weights

    Raises TypeError for something else than a Sequential, ValueError for a layer that cannot be converted (a maximum,
    a bias that is not 0, another activation than ReLU, a normalisation), by its name and with what to do instead.

    >>> from snn_helpers import networks
    >>> len(to_snn(networks.cnn()).layers)
    3
    """
    return SNN(*copy.deepcopy(_blocks("to_snn", cnn)), beta=1.0, threshold=1.0, reset="subtract", v_init=v_init)


def simulate(snn, digits, steps, encode=direct, *, batch_size=100, seed=0):
    """Run ``snn``, converted or trained, on all ``digits`` and return the Simulation, of every step.

    encode : (images, steps) -> input [T, B, ...]: ``encoding.direct``, or ``encoding.poisson``; its random draws
        follow from ``seed`` (and the batch size), and the caller's random state is left as it was

    Each module of ``snn`` is left in the mode (train or eval) that it was in. Raises ValueError for no digits.
    """
    check("simulate", digits=digits)
    parts, neuron = [], {name: v[-1] if isinstance(v, (list, tuple)) else v for name, v in snn.neuron.items()}
    with judging(snn, seed) as device:
        for images, _ in batches(digits, batch_size, device=device):
            seen = []
            for records in snn.stream(encode(images, steps), 4):
                per_layer = torch.stack([record.spikes.flatten(2).sum(-1) for record in records], -1)
                seen.append((records[-1].spikes, _after_reset(records[-1], **neuron), per_layer))
            fired, left, per_layer = (torch.cat(pieces) for pieces in zip(*seen, strict=True))
            votes = fired.cumsum(0).to(torch.int32)
            parts.append([part.cpu() for part in (votes, left, per_layer.to(torch.int32))])
    return Simulation(*(torch.cat(part, 1) for part in zip(*parts, strict=True)), digits.labels.cpu())


def _after_reset(record, *, threshold, reset, **_):
    if reset == "subtract":
        return record.membrane - threshold * record.spikes
    return record.membrane * (1 - record.spikes) if reset == "zero" else record.membrane


def accuracy_per_step(snn, digits, steps, encode=direct, **options):
    """[T]: the share of ``digits`` that ``snn`` names rightly after 1, 2, ..., T steps; arguments of ``simulate``."""
    return simulate(snn, digits, steps, encode, **options).accuracy()


def confusion(answers, labels, classes=10):
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


def _blocks(name, cnn):
    """The chain cut at each ReLU: a Sequential each, with one weight layer; refuses what cannot be converted."""
    if not isinstance(cnn, nn.Sequential):
        raise TypeError(
            f"{name}: cnn must be an nn.Sequential, got {type(cnn).__name__}. Write its layers as one chain."
        )
    blocks, open_block = [], []
    for place, module in _flat(cnn):
        where = f"{name}: layer {place} is {type(module).__name__}"
        if isinstance(module, nn.ReLU):
            blocks.append(open_block)
            open_block = []
        elif isinstance(module, _WEIGHTS + _KEPT):
            if getattr(module, "bias", None) is not None and module.bias.any():
                raise ValueError(
                    f"{where} with a bias, a current that is there whatever the input and does not scale with it. "
                    "Train again with bias=False."
                )
            if isinstance(module, _WEIGHTS) and "weight" not in dict(module.named_parameters(recurse=False)):
                raise ValueError(  # what is scaled here would be forgotten
                    f"{where} whose weight is computed at each call (weight_norm, for instance). First make a plain "
                    "parameter of it: torch.nn.utils.parametrize.remove_parametrizations."
                )
            if isinstance(module, _WEIGHTS) and any(
                module is other for block in [*blocks, open_block] for other in block
            ):
                raise ValueError(f"{where} for a second time. Give each layer its own weights: each has its own scale.")
            open_block.append(module)
        elif not isinstance(module, _DROPPED):
            remedy = next((text for kinds, text in _REMEDIES.items() if isinstance(module, kinds)), None)
            known = "it is not known here. A chain may hold Conv2d, Linear, ReLU, AvgPool2d, Flatten and Dropout."
            raise ValueError(f"{where}: {remedy or known}")
    blocks += [open_block] if open_block or not blocks else []
    for i, block in enumerate(blocks):
        weights = sum(isinstance(module, _WEIGHTS) for module in block)
        if weights != 1:
            raise ValueError(
                f"{name}: each layer of neurons wants one Conv2d or Linear before its ReLU, number {i} has {weights}. "
                "Put a ReLU between two weight layers, and a Linear at the end."
            )
    return [nn.Sequential(*block) for block in blocks]


def _flat(sequential, prefix=""):
    for place, module in sequential._modules.items():  # named_children() would leave out a ReLU that is used twice
        if type(module) is nn.Sequential:
            yield from _flat(module, f"{prefix}{place}.")
        else:
            yield f"{prefix}{place}", module
