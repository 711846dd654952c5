"""A run by a recipe: digits in, a trained network and one JSON-ready dict out."""

import os
import platform
from itertools import pairwise

import torch

from snn_helpers import __version__, conversion, training
from snn_helpers.data import pixels
from snn_helpers.engine.hardware import best_precision
from snn_helpers.runs import distributed, loop

IMAGES = 1000  # that the scales of a conversion are read from


def settings(recipe, device):
    """What decides a run but its seed, as numbers and words: the seeds of a recipe agree in it."""
    net, precision = recipe.network(), recipe.precision or best_precision(device)
    called = ("encode", "augment", "loss", "optimizer", "schedule", "readout")
    return {
        **{key: getattr(recipe, key) for key in ("source", "difference", "epochs", "steps", "batch_size", "lr")},
        **{key: _words(getattr(recipe, key)) for key in called if getattr(recipe, key)},
        "layer": net.extra_repr(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "precision": str(precision).removeprefix("torch."),
    }


def _words(function):
    """A function, or a partial of one, as it is called: ``poisson(gain=0.4)``."""
    name = getattr(getattr(function, "func", function), "__name__", repr(function))
    given = ", ".join(f"{key}={value!r}" for key, value in getattr(function, "keywords", {}).items())
    return f"{name}({given})" if given else name


def run(recipe, train, test, *, seed, device="cpu", checkpoint=None, on_step=None, progress=True, team=None):
    """Train by ``recipe`` (recipes.Recipe) and return (network, record); the record holds what a results file holds.

    seed : of the initial weights, the order of the digits and all random draws
    checkpoint, on_step, progress, team : as in ``loop.train``; what is of a CNN's conversion is in the record of the
        first process only

    Raises KeyboardInterrupt if the training was interrupted; the checkpoint, if there is one, is then of its last
    evaluation or epoch.
    """
    team = team or distributed.Team()
    decides = settings(recipe, device)  # before hours of training, in case that there is something wrong with it
    torch.manual_seed(seed)
    net = recipe.network().to(device)
    how = dict(checkpoint=checkpoint, on_step=on_step, progress=progress, team=team)
    history = loop.train(net, train, recipe, seed=seed, test=test, **how)
    if history.interrupted:
        raise KeyboardInterrupt
    ends = [0, *history.epoch_end]
    record = {
        "seed": seed,
        "epochs": recipe.epochs,
        "steps": recipe.steps,
        "train_images": len(train.labels),
        "test_images": len(test.labels),
        "test_accuracy": history.test_accuracy[-1],
        "train_seconds": round(sum(history.seconds), 1),
        "history": {
            "train_accuracy": history.train_accuracy,
            "test_accuracy": history.test_accuracy,
            "test_step": history.test_step,
            "loss": [round(sum(history.loss[a:b]) / (b - a), 6) for a, b in pairwise(ends)],
            "seconds": [round(s, 2) for s in history.seconds],
        },
        "settings": decides,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "snn_helpers": __version__},
        "processor": f"{platform.machine()}, {torch.get_num_threads()} threads ({os.cpu_count()} cores seen), "
        f"{torch.backends.cpu.get_cpu_capability()}, {device}",
    }
    if recipe.test_every:  # a short run, seen closely
        record["history"]["batch_loss"] = [round(loss, 4) for loss in history.loss]
    if team.size > 1:
        record["settings"]["processes"] = team.size
    if recipe.convert and team.first:
        record |= _converted(net, train, test, recipe, seed)
    return net, record


def spiking(cnn, train, how):
    """The CNN as a spiking network: scaled on the first 1,000 training digits, ``how`` as in ``Recipe.convert``."""
    balanced = conversion.normalize(cnn, pixels(train.images[:IMAGES]), how["percentile"])
    return conversion.to_snn(balanced, v_init=how["v_init"])


def _converted(cnn, train, test, recipe, seed):
    """What the CNN does as a spiking network; ``test_accuracy`` is then that of the spikes."""
    how = recipe.convert
    snn = spiking(cnn, train, how)
    seen = conversion.simulate(snn, test, how["steps"], how["encode"], seed=seed)
    per_step = seen.accuracy().tolist()
    return {
        "steps": how["steps"],
        "cnn_accuracy": training.accuracy(cnn, test, recipe.input),
        "test_accuracy": per_step[-1],
        "accuracy_per_step": per_step,
        "spikes_per_image": [round(count, 2) for count in seen.spikes_per_image()[-1].tolist()],
        "conversion": {**how, "encode": _words(how["encode"]), "images": IMAGES},
    }
