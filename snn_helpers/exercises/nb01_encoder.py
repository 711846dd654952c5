"""Exercise 01.1: an encoder of one's own."""

import functools
import inspect
import sys

import torch

from snn_helpers.exercises.core import NotYet, call, exercise, tensor

_ENCODERS = ("snn_helpers.encoding", "snn_helpers.engine", "snntorch", "spikingjelly", "norse")  # ready-made ones


@exercise(
    "01.1",
    "one coin a pixel and step: how many random numbers do you need, and in which shape?",
    "draw torch.rand(steps, *image.shape, generator=generator) and ask of each number whether it lies under its pixel.",
    "return (torch.rand(steps, *image.shape, generator=generator) < image).float().",
)
def poisson(answer):
    _refuse_ready_made(answer)
    image = torch.rand(2, 3, 5, generator=_seeded(11))
    image[0, 0, :2], image[1, 2, 4] = torch.tensor([0.0, 1.0]), 0.25
    spikes = _encode(answer, image, 13)
    if spikes.shape == (*image.shape, 13):
        raise NotYet("the spikes have time as their last axis; in this series it is the first: [T, *image.shape].")
    if spikes.shape != (13, *image.shape):
        raise NotYet(
            f"an image {list(image.shape)} and 13 steps should give {[13, *image.shape]}, got {list(spikes.shape)}."
        )
    if not ((spikes == 0) | (spikes == 1)).all():
        raise NotYet(
            "a spike is 1 and no spike is 0, but other values came. Compare the random numbers with the image."
        )
    if not torch.equal(spikes, _encode(answer, image, 13)):
        raise NotYet(
            "one seed gave other spikes the second time. Hand the generator on: torch.rand(..., generator=generator)."
        )
    if torch.equal(spikes, _encode(answer, image, 13, seed=1)):
        raise NotYet("two seeds gave the same spikes: nothing is drawn from the generator.")
    if (spikes == spikes[0]).all():
        raise NotYet("every step is the same: one draw was used for all steps. Each step needs a draw of its own.")
    for shape in (7,), (), (2, 1, 3, 2):
        other = _encode(answer, torch.full(shape, 0.5), 5)
        if other.shape != (5, *shape):
            raise NotYet(f"an image {list(shape)} and 5 steps should give {[5, *shape]}, got {list(other.shape)}.")
    return _judge_rates(answer, image)


def _judge_rates(answer, image, steps=1000):
    rate, error = _encode(answer, image, steps).mean(0), 5 * (image * (1 - image) / steps).sqrt() + 1e-9
    if (abs(rate - (1 - image)) <= error).all():
        raise NotYet(
            "bright pixels fire least: x fires at the rate 1 - x, which is what rand > x gives. Turn the comparison."
        )
    wrong = abs(rate - image) > error
    if wrong.any():
        at = tuple(wrong.nonzero()[0].tolist())
        raise NotYet(
            f"a pixel of {image[at]:.3f} fired at a rate of {rate[at]:.3f} over {steps:,} steps, not near its value."
        )
    # one flat grey: all pixels alike, so only a draw they share could make them fire together
    grey = _encode(answer, torch.full(image.shape, 0.5), steps).flatten(1) - 0.5
    if grey.mean(1).square().mean() > 1.5 * 0.25 / grey.shape[1]:
        raise NotYet(
            "the rates are right, but pixels fire together: they share a random number. Each needs a draw of its own."
        )
    if (grey[1:] * grey[:-1]).mean().abs() > 5 * 0.25 / grey.numel() ** 0.5:
        raise NotYet("the rates are right, but a step depends on the one before it. Each step needs a draw of its own.")
    _check_spread(answer)
    return "every pixel fires at the rate of its value, each step and each pixel on a coin of its own."


def _check_spread(answer, pixels=900, steps=40):
    """The counts of many pixels of one grey are binomial: neither alike nor further apart than coins throw them."""
    counts = _encode(answer, torch.full((pixels,), 0.5), steps).sum(0)
    ratio = counts.var().item() / (0.25 * steps)
    if ratio < 0.7:  # six deviations from 1
        raise NotYet(
            "the rates are right, but pixels of one grey are counted too much alike: coins would spread their counts. "
            "Decide about each step by a draw of its own, whatever the others gave."
        )
    if ratio > 1.4:
        raise NotYet(
            "the rates are right, but the counts of one grey spread too far: some draws were used at several steps. "
            "Each step needs a draw of its own."
        )


def _refuse_ready_made(answer):
    name = _ready_made(answer, set())
    if name:
        raise NotYet(
            f"the coins are thrown by {name} here, which is the encoder asked for. Write it yourself, from torch.rand "
            "and a comparison."
        )


def _ready_made(function, seen):
    """The encoder of a library that a function mentions, itself or in a helper beside it; None if there is none."""
    while isinstance(function, functools.partial):
        function = function.func
    module, code = str(getattr(function, "__module__", "")), getattr(function, "__code__", None)
    if module.startswith(_ENCODERS) and callable(function):
        return f"{module}.{function.__qualname__}"
    if code is None or code in seen:
        return None
    seen.add(code)
    scope, names = inspect.getclosurevars(function).nonlocals, set(_names(code))
    for name in names:
        found = scope.get(name, function.__globals__.get(name, sys.modules.get(name)))
        for thing in _inside(found, names):
            near = isinstance(thing, functools.partial) or getattr(thing, "__globals__", None) is function.__globals__
            if near or str(getattr(thing, "__module__", "")).startswith(_ENCODERS):
                ready_made = _ready_made(thing, seen)
                if ready_made:
                    return ready_made
    return None


def _names(code):
    """All names and words in a function's code, in the functions within it as well."""
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif inspect.iscode(constant):
            yield from _names(constant)


def _inside(thing, names):
    """A thing; of a library that has an encoder, also what it holds under one of the names."""
    yield thing
    if inspect.ismodule(thing) and f"{thing.__name__}.".startswith(("snn_helpers.", *_ENCODERS)):
        for name in names:
            held = vars(thing).get(name)
            if held is not None and held is not thing:
                yield from _inside(held, names - {name})


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


def _encode(answer, image, steps, seed=0):
    return tensor(call(answer, image=image, steps=steps, generator=_seeded(seed)), "the spikes")
