"""Settings and inputs of neurons and networks that make no sense, said in words before they do harm."""

import math
from inspect import isfunction

import torch
from torch import nn

RESETS = ("subtract", "zero", "none")


def check_neuron(name, beta, threshold, reset, spike=None, shape=None):
    """Raise, in the ``name`` of what was called, unless ``lif`` can take these settings for a step of ``shape``."""
    for parameter, value in ("beta", beta), ("threshold", threshold):
        if torch.is_tensor(value) and value.ndim:
            _check_tensor(name, parameter, value, shape)
        elif isinstance(value, str) or not hasattr(value, "__float__"):
            raise TypeError(f"{name}: {parameter} must be one number, got {type(value).__name__}.")
    low, high = _range(beta)
    if not (low >= 0 and high <= 1):
        wrong = high if high > 1 else low
        advice = (
            f" Is it a tau? Use beta_from_tau({wrong:g})." if wrong > 1 else " It is what is left of U after a step."
        )
        raise ValueError(f"{name}: beta must be in [0, 1], got {wrong:g}.{advice}")
    low, high = _range(threshold)
    if not (0 < low and high < math.inf):
        raise ValueError(
            f"{name}: threshold must be a finite number above 0, got {low if not low > 0 else high:g}. "
            "At 0 or below, a neuron at rest would fire for ever."
        )
    if reset not in RESETS:
        raise ValueError(f'{name}: reset must be "subtract", "zero" or "none", got {reset!r}.')
    uncalled = isfunction(spike) and spike.__module__ == "snn_helpers.surrogates"
    if spike is not None and (uncalled or not callable(spike)):
        got = getattr(spike, "__name__", type(spike).__name__)
        raise TypeError(f"{name}: spike must be a Surrogate, got {got}. Call it: surrogates.fast_sigmoid().")


def _range(value):
    """The least and the largest of a number, or of a tensor."""
    if torch.is_tensor(value) and value.ndim:
        return tuple(end.item() for end in torch.aminmax(value.detach()))
    return (float(value.detach() if torch.is_tensor(value) else value),) * 2


def _check_tensor(name, parameter, value, shape):
    if not value.is_floating_point() or value.numel() == 0:
        raise TypeError(f"{name}: {parameter} must be one number, or a float tensor, got {value.dtype}.")
    try:
        fits = shape is None or torch.broadcast_shapes(value.shape, shape) == torch.Size(shape)
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: {parameter} must be one number, or fit a step of shape {list(shape)}, got {list(value.shape)}."
        )


def shown(value):
    """A setting of neurons in a few words, for a repr."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if torch.is_tensor(value):
        return f"{value.item():g}" if value.ndim == 0 else f"one of {list(value.shape)} each"
    return str(getattr(value, "name", value))


def check_settings(net):
    """Raise unless the settings of ``net`` make sense, and make parameters of it what is learnt of them."""
    count = len(net.layers)
    for name, given in net.neuron.items():
        each = isinstance(given, (list, tuple))
        if each and len(given) != count:
            raise ValueError(f"SNN: {name} must be one, or one a layer ({count}), got {len(given)}.")
        for i, value in enumerate(given if each else [given]):
            if isinstance(value, nn.Parameter):
                net.register_parameter(f"{name}_{i}" if each else name, value)
            elif torch.is_tensor(value) and value.ndim:
                raise TypeError(
                    f"SNN: {name} must be a number or an nn.Parameter, got a tensor. Wrap it: nn.Parameter(..., "
                    "requires_grad=False) is not learnt."
                )
    for i in range(count):  # a wrong beta is an error here, not at the first image
        own = {name: value[i] if isinstance(value, (list, tuple)) else value for name, value in net.neuron.items()}
        check_neuron("SNN", **own)
    if not 0 <= net.v_init <= 1:
        raise ValueError(f"SNN: v_init must be a share of the threshold, in [0, 1], got {net.v_init:g}.")
    if net.recompute is not None and net.recompute < 1:
        raise ValueError(f"SNN: recompute must be a number of steps of at least 1, or None, got {net.recompute}.")


def check_input(net, x, initial):
    if not torch.is_tensor(x) or x.ndim < 3 or 0 in x.shape[:2]:
        shape = list(x.shape) if torch.is_tensor(x) else type(x).__name__
        raise ValueError(
            f"SNN: input must be [T, B, ...], time first, then the batch, got {shape}. Encode the images first."
        )
    if initial is not None and (len(initial) != len(net.layers) or not all(hasattr(r, "membrane") for r in initial)):
        raise ValueError(
            f"SNN: initial must be the list of Records of an earlier call, one a layer ({len(net.layers)}), got a "
            f"{type(initial).__name__} of {len(initial)}. With recompute only the output is recorded: call it without."
        )


def check_training(name, precision=torch.float32, **given):
    """Raise ValueError, in the name of a function, for digits that are none, numbers under 1 and another precision."""
    for what, value in given.items():
        if hasattr(value, "labels") and not len(value.labels):
            raise ValueError(f"{name}: {what} must be at least one, got none. Is a slice of them empty?")
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{name}: {what} must be at least 1, got {value}.")
    if precision not in (torch.float32, torch.bfloat16):
        raise ValueError(
            f"{name}: precision must be torch.float32 or torch.bfloat16, got {precision}. "
            "engine.hardware.best_precision() says which of them is the quicker one here."
        )
