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
    steps: int = 1
    tau: float | None = None  # of a neuron that decays its input too: beta is 1 - 1/tau, the input comes divided by tau
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    schedule: Callable[[torch.optim.Optimizer, int], torch.optim.lr_scheduler.LRScheduler] | None = None
    precision: torch.dtype | None = torch.float32  # None: bfloat16 where the processor has it (hardware.best_precision)
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None
    test_every: int | None = None
    readout: losses.Readout = losses.spike_count
    convert: dict[str, object] = field(default_factory=dict)  # of a CNN: how it becomes spikes
    source: str = "ours; chosen on the last 5,000 training images"
    difference: str = ""  # from the published settings

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
            source="SpikingJelly, clock-driven tutorial: single-layer fully connected SNN (100 epochs there)",
            difference="no gradient through the reset, where SpikingJelly's default lets it through",
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
            source='report "MNIST Digit Classification using SNN" (A. Daiya, 2025): 784-256-10',
            difference="the report gives no beta, reset, slope, or what its cross entropy is of: those are "
            "ours, chosen on the last 5,000 training images",
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
            source="ManiMajd89/convolutional-spiking-neural-network, CSNN.py (snnTorch)",
            difference="judged on all 10,000 test images, where the original leaves out the last batch",
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
            source='MathWorks, "Convert Convolutional Network to Spiking Neural Network" (R2023b), on MNIST',
            difference="MNIST, not the synthetic digits; a tie goes to the neuron nearest to its next spike",
        ),
        "fast": Recipe(
            network=networks.cnn,
            encode=without_time,
            loss=F.cross_entropy,
            epochs=12,
            batch_size=128,
            lr=5e-3,
            schedule=one_cycle,
            augment=partial(random_affine, turn=9, zoom=0.08, shift=1.4),
            convert=dict(percentile=99, v_init=0.5, encode=direct, steps=10),
        ),
    },
}

# for longer, on digits that are never twice the same
RECIPES["hidden-layer"]["best"] = replace(
    RECIPES["hidden-layer"]["fast"],
    network=partial(networks.hidden_layer, spike=surrogates.fast_sigmoid(5)),
    epochs=30,
    augment=partial(random_affine, turn=7, zoom=0.06, shift=1, bend=0.5),
)
RECIPES["cnn-to-snn"]["best"] = replace(
    RECIPES["cnn-to-snn"]["fast"],
    epochs=30,
    augment=partial(random_affine, turn=12, zoom=0.11, shift=2, bend=0.5),
)
RECIPES["csnn"]["best"] = replace(
    RECIPES["csnn"]["fast"],
    steps=3,
    epochs=22,
    batch_size=64,
    lr=2e-3,
    test_every=None,
    augment=partial(random_affine, turn=12, zoom=0.11, shift=2, bend=0.5),
    readout=losses.count_then_membrane,
)
