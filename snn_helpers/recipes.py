"""Settings of the recorded runs, each under a name, and the run itself: full MNIST in, one JSON-ready dict out.

``reference`` keeps the published settings, ``fast`` is ours; their numbers are never mixed.
"""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

from snn_helpers import __version__, networks, training
from snn_helpers.encoding import poisson


@dataclass(frozen=True)
class Recipe:
    """All that decides a run but its seed. ``encode`` and ``schedule`` take a number of steps first."""

    network: Callable
    encode: Callable  # (steps, images) -> input
    loss: Callable
    steps: int
    epochs: int
    batch_size: int
    lr: float
    about: dict  # the settings in words, kept in the recorded file
    schedule: Callable | None = None


def halved_poisson(steps, images):
    """Poisson spikes of height 1/2: the decayed input of a neuron with tau = 2, as I / tau."""
    return poisson(images, steps).div_(2)


def plain_poisson(steps, images):
    return poisson(images, steps)


def one_cycle(optimizer, steps):
    """Learning rate up for a fifth of the run, then down to nothing (torch's OneCycleLR); its peak is the lr."""
    peak = optimizer.param_groups[0]["lr"]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.2)


RECIPES = {
    "single-layer": {
        "reference": Recipe(
            # 1 - 2**-24 is the largest float32 below 1: "above it" is "at 1 or above", as published
            network=partial(networks.single_layer, beta=0.5, threshold=1 - 2**-24, reset="zero"),
            encode=halved_poisson,
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
}


def recorded(system, name):
    """The recorded runs of a recipe, one dict a seed, from notebooks/results (keys as in ``run``)."""
    found = _results(f"{system}-{name}-seed*.json")
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def published(system):
    """The published figure that a system is held against: a dict with source, test_accuracy and what it is of."""
    return json.loads(_results("published.json")[0].read_text(encoding="utf-8"))[system]


def _results(pattern):
    for folder in Path("results"), Path(__file__).parents[1] / "notebooks" / "results":
        if found := sorted(folder.glob(pattern)):
            return found
    raise FileNotFoundError(
        f"recorded: found no {pattern} in notebooks/results. Open the notebooks from a clone of the repository, "
        "installed with pip install --editable; python -m snn_helpers train records new runs."
    )


def run(system, name, train, test, *, seed, epochs=None, progress=True):
    """Train by the recipe and return (network, record); the record holds what a results file holds."""
    recipe = RECIPES[system][name]
    epochs = epochs or recipe.epochs
    torch.manual_seed(seed)
    net = recipe.network()
    start = time.perf_counter()
    history = training.fit(
        net,
        train,
        partial(recipe.encode, recipe.steps),
        recipe.loss,
        epochs=epochs,
        batch_size=recipe.batch_size,
        lr=recipe.lr,
        seed=seed,
        test=test,
        schedule=recipe.schedule,
        progress=progress,
    )
    seconds = time.perf_counter() - start
    if history.interrupted:
        raise KeyboardInterrupt
    ends = [0, *history.epoch_end]
    record = {
        "system": system,
        "recipe": name,
        "seed": seed,
        "epochs": epochs,
        "steps": recipe.steps,
        "train_images": len(train.labels),
        "test_images": len(test.labels),
        "test_accuracy": history.test_accuracy[-1],
        "train_seconds": round(sum(history.seconds), 1),
        "total_seconds": round(seconds, 1),
        "history": {
            "test_accuracy": history.test_accuracy,
            "loss": [round(sum(history.loss[a:b]) / (b - a), 6) for a, b in pairwise(ends)],
            "seconds": [round(s, 2) for s in history.seconds],
        },
        "settings": {
            **recipe.about,
            "batch_size": recipe.batch_size,
            "lr": recipe.lr,
            "layer": net.extra_repr(),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "snn_helpers": __version__},
        "processor": f"{platform.machine()}, {torch.get_num_threads()} threads ({os.cpu_count()} cores seen), "
        f"{torch.backends.cpu.get_cpu_capability()}",
    }
    return net, record
