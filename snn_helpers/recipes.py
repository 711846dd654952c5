"""Settings of the recorded runs, each under a name; what was recorded with them, and the weights that came of it.

``reference`` keeps the published settings, ``fast`` and ``best`` are ours; their numbers are never mixed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from snn_helpers import assets, networks, surrogates, training
from snn_helpers.inputs import centred, constant, decayed_poisson, jitter, plain_poisson, sparse_poisson, still


@dataclass(frozen=True)
class Recipe:
    """All that decides a run but its seed. ``encode`` takes a number of steps first."""

    network: Callable
    encode: Callable  # (steps, images) -> input
    loss: Callable
    epochs: int
    batch_size: int
    lr: float
    about: dict  # the settings in words, kept in the recorded file
    steps: int = 1
    tau: float | None = None  # of a neuron that decays its input too: beta is 1 - 1/tau, the input comes divided by tau
    optimizer: Callable = torch.optim.Adam
    schedule: Callable | None = None
    precision: torch.dtype | None = torch.float32  # None: bfloat16 where the processor has it (hardware.best_precision)
    augment: Callable | None = None
    test_every: int | None = None
    readout: Callable = training.spike_count
    convert: dict = field(default_factory=dict)  # of a CNN: how it becomes spikes


def one_cycle(optimizer, steps):
    """Learning rate up for a fifth of the run, then down to nothing (torch's OneCycleLR); its peak is the lr."""
    peak, steps = optimizer.param_groups[0]["lr"], max(steps, 3)
    rise = max(0.2, 2 / steps)  # torch divides by the length of the rise and of the fall: neither may be nothing
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=rise)


RECIPES = {
    "single-layer": {
        "reference": Recipe(
            # 1 - 2**-24 is the largest float32 below 1: "above it" is "at 1 or above", as published
            network=partial(networks.single_layer, beta=0.5, threshold=1 - 2**-24, reset="zero"),
            encode=decayed_poisson,
            tau=2.0,
            loss=training.mse_rate_loss,
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
            encode=plain_poisson,
            loss=training.mse_rate_loss,
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
            encode=plain_poisson,
            loss=training.ce_rate_loss,
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
            encode=plain_poisson,
            loss=training.ce_count_loss,
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
            encode=constant,
            loss=training.ce_rate_loss,
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
            encode=centred,
            loss=training.ce_count_loss,
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
            encode=still,
            loss=F.cross_entropy,
            epochs=15,
            batch_size=40,
            lr=0.05,
            optimizer=partial(torch.optim.SGD, momentum=0.5),
            convert=dict(percentile=100, v_init=0.0, encode=sparse_poisson, steps=40),
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
            encode=still,
            loss=F.cross_entropy,
            epochs=12,
            batch_size=128,
            lr=5e-3,
            schedule=one_cycle,
            augment=jitter,
            convert=dict(percentile=99, v_init=0.5, encode=constant, steps=10),
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
    augment=partial(jitter, turn=12, zoom=0.11, shift=2),
    readout=training.count_then_membrane,
    about=_fast.about
    | {
        "augmentation": "each digit turned by up to 12 degrees, scaled by up to 11 %, moved by up to 2 pixels",
        "readout": "the class with most spikes; between equals, the higher mean membrane",
    },
)


def recorded(system, name):
    """The recorded runs of a recipe, one dict a seed, from notebooks/results (keys as in ``run``)."""
    found = results(f"{system}-{name}-seed*.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def published(system):
    """The published figure that a system is held against: a dict with source, test_accuracy and what it is of."""
    return json.loads(results("published.json")[0].read_text(encoding="utf-8"))[system]


def results(pattern):
    """The files of notebooks/results whose name matches, sorted. Raises FileNotFoundError if there is none."""
    for folder in Path("results"), Path(__file__).parents[1] / "notebooks" / "results":
        if found := sorted(folder.glob(pattern)):
            return found
    raise FileNotFoundError(
        f"recorded: found no {pattern} in notebooks/results. Open the notebooks from a clone of the repository, "
        "installed with pip install --editable; python -m snn_helpers train records new runs."
    )


def trained(system, name):
    """The network of a recipe with the bundled weights of its seed-0 run: ``trained("csnn", "fast")``.

    Raises ValueError for a recipe whose weights do not come with the package.
    """
    bundled = [recipe for recipe in RECIPES[system] if f"{system}-{recipe}.safetensors" in assets.SHA256]
    if name not in bundled:
        command = f"python -m snn_helpers train {system.removesuffix('-to-snn')} --recipe {name}"
        raise ValueError(
            f"trained: the package has no weights of {system}'s recipe {name!r}, only of {', '.join(bundled)}. Make "
            f"them: {command}; and name the file that it writes: --weights."
        )
    net = RECIPES[system][name].network()
    net.load_state_dict(networks.weights(f"{system}-{name}"))
    return net
