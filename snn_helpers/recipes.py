"""Settings of the recorded runs, each under a name. ``weights`` has what they reached, and what was learnt.

``reference`` keeps the published settings, ``fast`` and ``best`` are ours; their numbers are never mixed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
import torch.nn.functional as F

from snn_helpers import losses, networks, surrogates
from snn_helpers.data import random_affine
from snn_helpers.encoding import Encoder, direct, poisson, standardized
from snn_helpers.training import one_cycle


def decayed_poisson(image: torch.Tensor, steps: int, tau: float) -> torch.Tensor:
    """Poisson spikes of height 1 / tau: what reaches a neuron that decays its input as it decays its membrane."""
    return poisson(image, steps).div_(tau)


def without_time(image: torch.Tensor, steps: int) -> torch.Tensor:
    """The image, for a network that has no time."""
    return image


@dataclass(frozen=True)
class Recipe:
    """All that decides a run but its seed."""

    network: Callable[..., torch.nn.Module]
    encode: Encoder
    loss: losses.Loss
    epochs: int
    batch_size: int
    lr: float
    about: dict[str, str]  # the settings in words, kept in the recorded file
    steps: int = 1
    tau: float | None = None  # of a neuron that decays its input too: beta is 1 - 1/tau, the input comes divided by tau
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    schedule: Callable[[torch.optim.Optimizer, int], torch.optim.lr_scheduler.LRScheduler] | None = None
    precision: torch.dtype | None = torch.float32  # None: bfloat16 where the processor has it (hardware.best_precision)
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None
    test_every: int | None = None
    readout: losses.Readout = losses.spike_count
    convert: dict[str, object] = field(default_factory=dict)  # of a CNN: how it becomes spikes

    def input(self, images: torch.Tensor) -> torch.Tensor:
        """What the network gets for images [B, 1, 28, 28]: encoded, in the steps of this recipe."""
        return self.encode(images, self.steps)


RECIPES: dict[str, dict[str, Recipe]] = {
    "single-layer": {
        "reference": Recipe(
            # 1 - 2**-24 is the largest float32 below 1: "above it" is "at 1 or above", as published
            network=partial(networks.single_layer, beta=0.5, threshold=1 - 2**-24, reset="zero"),
            encode=partial(decayed_poisson, tau=2.0),
            tau=2.0,
            loss=losses.mse_rate_loss,
            steps=100,
            epochs=20,
            batch_size=128,
            lr=1e-3,
            about={
                "source": "SpikingJelly, clock-driven tutorial: single-layer fully connected SNN (100 epochs there)",
                "neuron": "LIF, tau 2 with decayed input, threshold 1 (fires at or above), reset to 0, ATan surrogate",
                "encoding": "Poisson, drawn anew at each step",
                "loss": "mean squared error between firing rate and one-hot label",
                "optimizer": "Adam, constant learning rate",
                "difference": "no gradient through the reset, where SpikingJelly's default lets it through",
            },
        ),
        "fast": Recipe(
            network=networks.single_layer,
            encode=poisson,
            loss=losses.mse_rate_loss,
            steps=50,
            epochs=8,
            batch_size=128,
            lr=5e-3,
            schedule=one_cycle,
            about={
                "source": "ours; chosen on the last 5,000 training images",
                "neuron": "LIF, beta 0.5, full input, threshold 1, reset to 0, ATan surrogate",
                "encoding": "Poisson, drawn anew at each step",
                "loss": "mean squared error between firing rate and one-hot label",
                "optimizer": "Adam, one-cycle learning rate",
            },
        ),
    },
    "hidden-layer": {
        "reference": Recipe(
            network=partial(networks.hidden_layer, spike=surrogates.sigmoid(slope=4.0)),
            encode=poisson,
            loss=losses.ce_rate_loss,
            steps=100,
            epochs=5,
            batch_size=64,
            lr=1e-3,
            about={
                "source": 'report "MNIST Digit Classification using SNN" (A. Daiya, 2025): 784-256-10',
                "neuron": "LIF, beta 0.9, threshold 1, reset by subtraction, derivative of a sigmoid (slope 4) as "
                "surrogate",
                "encoding": "Poisson, drawn anew at each step",
                "loss": "cross entropy of the spikes at each step",
                "optimizer": "Adam, constant learning rate",
                "difference": "the report gives no beta, reset, slope, or what its cross entropy is of: those are "
                "ours, chosen on the last 5,000 training images",
            },
        ),
        "fast": Recipe(
            network=partial(networks.hidden_layer, spike=surrogates.fast_sigmoid(10)),
            encode=poisson,
            loss=losses.ce_count_loss,
            steps=25,
            epochs=5,
            batch_size=128,
            lr=3e-3,
            schedule=one_cycle,
            about={
                "source": "ours; chosen on the last 5,000 training images",
                "neuron": "LIF, beta 0.9, threshold 1, reset by subtraction, fast sigmoid (slope 10) as surrogate",
                "encoding": "Poisson, drawn anew at each step",
                "loss": "cross entropy of the spike counts",
                "optimizer": "Adam, one-cycle learning rate",
            },
        ),
    },
    "csnn": {
        "reference": Recipe(
            network=networks.csnn,
            encode=direct,
            loss=losses.ce_rate_loss,
            steps=100,
            epochs=1,
            batch_size=128,
            lr=1e-2,
            test_every=50,
            about={
                "source": "ManiMajd89/convolutional-spiking-neural-network, CSNN.py (snnTorch)",
                "neuron": "LIF, beta 0.5, threshold 1, reset by subtraction, fast sigmoid (slope 25) as surrogate",
                "encoding": "the image itself at every step, pixels in [0, 1]",
                "loss": "cross entropy of the spikes at each step",
                "optimizer": "Adam, constant learning rate",
                "difference": "judged on all 10,000 test images, where the original leaves out the last batch",
            },
        ),
        "fast": Recipe(
            network=partial(networks.csnn, beta=0.9, spike=surrogates.fast_sigmoid(5)),
            encode=standardized,
            loss=losses.ce_count_loss,
            steps=8,
            epochs=1,
            batch_size=32,
            lr=1.5e-3,
            schedule=one_cycle,
            precision=None,
            test_every=200,
            about={
                "source": "ours; chosen on the last 5,000 training images",
                "neuron": "LIF, beta 0.9, threshold 1, reset by subtraction, fast sigmoid (slope 5) as surrogate",
                "encoding": "the image itself at every step, pixels shifted and scaled to mean 0, variance 1",
                "loss": "cross entropy of the spike counts",
                "optimizer": "Adam, one-cycle learning rate",
            },
        ),
    },
    "cnn-to-snn": {
        "reference": Recipe(
            network=networks.cnn,
            encode=without_time,
            loss=F.cross_entropy,
            epochs=15,
            batch_size=40,
            lr=0.05,
            optimizer=partial(torch.optim.SGD, momentum=0.5),
            convert=dict(percentile=100, v_init=0.0, encode=partial(poisson, gain=1 / 2.5), steps=40),
            about={
                "source": 'MathWorks, "Convert Convolutional Network to Spiking Neural Network" (R2023b), on MNIST',
                "neuron": "integrate-and-fire, threshold 1, reset by subtraction, start at rest",
                "encoding": "Poisson, a pixel against a random number up to 2.5",
                "loss": "cross entropy of the CNN's scores",
                "optimizer": "SGD, momentum 0.5, constant learning rate",
                "difference": "MNIST, not the synthetic digits; a tie goes to the neuron nearest to its next spike",
            },
        ),
        "fast": Recipe(
            network=networks.cnn,
            encode=without_time,
            loss=F.cross_entropy,
            epochs=12,
            batch_size=128,
            lr=5e-3,
            schedule=one_cycle,
            augment=random_affine,
            convert=dict(percentile=99, v_init=0.5, encode=direct, steps=10),
            about={
                "source": "ours; chosen on the last 5,000 training images",
                "neuron": "integrate-and-fire, threshold 1, reset by subtraction, start at half the threshold",
                "encoding": "the image itself at every step, pixels in [0, 1]",
                "loss": "cross entropy of the CNN's scores",
                "augmentation": "each digit turned by up to 9 degrees, scaled by up to 8 %, moved by up to 1.4 pixels",
                "optimizer": "Adam, one-cycle learning rate",
            },
        ),
    },
}

_fast = RECIPES["csnn"]["fast"]
RECIPES["csnn"]["best"] = replace(  # fewer steps for longer, on digits that are never twice the same
    _fast,
    steps=5,
    epochs=18,
    batch_size=64,
    lr=2e-3,
    test_every=None,
    augment=partial(random_affine, turn=12, zoom=0.11, shift=2),
    readout=losses.count_then_membrane,
    about=_fast.about
    | {
        "augmentation": "each digit turned by up to 12 degrees, scaled by up to 11 %, moved by up to 2 pixels",
        "readout": "the class with most spikes; between equals, the higher mean membrane",
    },
)
