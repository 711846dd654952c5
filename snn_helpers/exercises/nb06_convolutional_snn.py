"""Exercises of notebook 06; those that count are in nb06_counting."""

import math

import torch
from torch import nn

from snn_helpers import networks
from snn_helpers.encoding import direct
from snn_helpers.exercises.core import NotYet, call, exercise, recognise, same, whole
from snn_helpers.neurons import lif


@exercise(
    "06.2",
    "which part of the network sees the same at every step, in the light and then in the dark? Only the first weights: "
    "the first neurons already change from step to step.",
    "first(image) once and first(torch.zeros_like(image)) once; encoding.direct shows each of them as often as needed, "
    "torch.cat puts one after the other. Then the neurons run through all steps without a break.",
    "then for each further layer: current = layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2]); "
    "spikes = neurons.lif(current, **net.neuron).spikes",
)
def light_then_dark(answer):
    for seed, (on, off, batch) in enumerate([(7, 4, 3), (11, 1, 2), (2, 9, 5)]):
        net, image = _case(seed, batch)
        seen, asked = [], []
        with torch.no_grad():
            lit, dark = direct(image, on), torch.zeros(off, *image.shape)
            wanted = net(torch.cat([lit, dark]))[-1].spikes
            slips = _slips(net, image, on, off)
            net.layers[0][0].register_forward_hook(lambda _, inputs, out: seen.append(len(inputs[0])))  # noqa: B023
            for name in "forward", "stream":  # what calls net calls the first of them
                setattr(net, name, _watched(getattr(net, name), asked))
            got = call(answer, net=net, image=image, on=on, off=off)
        if isinstance(got, list) and got and hasattr(got[0], "spikes"):
            raise NotYet("wanted the spikes of the last layer, one tensor [T, B, C], got the records of all layers.")
        if hasattr(got, "spikes"):
            raise NotYet("wanted the spikes of the last layer, one tensor [T, B, C], got its whole record.")
        recognise(got, wanted, slips, tolerance=0)
        same(got, wanted, what="the output spikes", tolerance=0)
        if asked:
            raise NotYet("right, but net itself was called, which sees what is constant. Write the pass yourself.")
        if sum(seen) > 2 * batch:
            raise NotYet(
                f"the spikes are right, but the first weights saw {sum(seen)} images for a batch of {batch} and "
                f"{on + off} steps; wanted is the batch once, and black once."
            )
    return "equal spike for spike, with the first convolution and its pooling computed twice instead of T times."


def _watched(method, calls):
    def call(*arguments, **named):
        calls.append(True)
        return method(*arguments, **named)

    return call


def _case(seed, batch):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(2))
        first[0].bias.data.abs_().add_(0.05)  # a current in the dark, too
        others = nn.Sequential(nn.Flatten(-3), nn.Linear(75, 7)), nn.Linear(7, 5)
        for layer in others[0][1], others[1]:
            layer.weight.data.mul_(3)  # lively, so that each mistake shows
        net, image = networks.SNN(first, *others, beta=0.8, threshold=0.5), torch.rand(batch, 1, 11, 11)
    return net, image


def _slips(net, image, on, off):
    """What the misconceptions give, under what is to be said of them."""
    bright = net.layers[0](image)
    black = net.layers[0](torch.zeros_like(image))
    lit, dark = direct(bright, on), direct(black, off)
    whole_film = torch.cat([lit, dark])
    first_step = lif(bright[None], **net.neuron).spikes[0], lif(black[None], **net.neuron).spikes[0]
    frozen = torch.cat([direct(spikes, steps) for spikes, steps in zip(first_step, (on, off), strict=True)])
    anew = torch.cat([lif(part, **net.neuron).spikes for part in (lit, dark)])
    right = lif(whole_film, **net.neuron).spikes
    output = _others(net, right)
    return {
        "in the dark you send no current at all; black pixels still leave the bias of the first weights.": _others(
            net, lif(torch.cat([lit, torch.zeros_like(dark)]), **net.neuron).spikes
        ),
        "the light never goes out here: after `on` steps the image is black.": _others(
            net, lif(direct(bright, on + off), **net.neuron).spikes
        ),
        "the membranes start from rest again when the light goes out; the neurons know nothing of that moment.": (
            torch.cat([_others(net, part) for part in anew.split([on, off])])
        ),
        "layer 1 starts from rest again when the light goes out; its membranes go on.": _others(net, anew),
        "this is what you get when the first neurons are computed once as well: their input is constant, their "
        "membrane is not.": _others(net, frozen),
        "the neurons start anew at every step; run neurons.lif over all steps at once.": _anew_each_step(
            net, whole_film
        ),
        "the dark comes first here; it comes after the light.": _others(
            net, lif(torch.cat([dark, lit]), **net.neuron).spikes
        ),
        "this has no time axis: wanted all steps of the last layer, [T, B, C].": output.sum(0),
        "these are the steps in the light alone; those in the dark belong to it.": output[:on],
    }


def _others(net, spikes):
    for layer in net.layers[1:]:
        spikes = lif(layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2]), **net.neuron).spikes
    return spikes


def _anew_each_step(net, current):
    return torch.cat([_others(net, lif(step[None], **net.neuron).spikes) for step in current])


@exercise(
    "06.5",
    "which value does the loss have while no output neuron fires? You met it above.",
    "of C classes it is ln C, printed with four digits. Count how many batches from the first on have exactly that, "
    "and stop at the first that has not, be it above or below.",
    "go through the list with enumerate; return i at the first loss with abs(loss - math.log(classes)) > 1e-4, and "
    "len(log) after the loop.",
)
def silent_batches(answer):
    generator = torch.Generator().manual_seed(6)
    for classes, silent, later, then in (
        *((10, 17, 0, 2.2981), (10, 61, 3, 2.2981), (4, 0, 5, 1.3819), (26, 7, 4, 3.2744)),
        *((10, 83, 0, None), (11, 29, 2, 2.4021), (10, 41, 0, 2.3022), (10, 23, 3, 2.3029)),
    ):
        silence = math.log(classes)
        learning = 0.63 + 0.33 * torch.exp(-torch.arange(83) / 19) + 0.02 * torch.rand(83, generator=generator)
        learning *= silence
        log = [silence] * silent + ([then, *learning.tolist()] if then else [])
        log[silent + 11 : silent + 11 + later] = [silence] * later  # silent again for a moment
        log = [round(value, 4) for value in log]
        got = whole(call(answer, log=log, classes=classes), "the number of silent batches")

        floor = math.log(1 + (classes - 1) / math.e)

        def until(awake, log=log):
            return next((i for i, value in enumerate(log) if awake(value)), len(log))

        close = {
            f"{then} is not ln {classes}: somebody fires already. Rounding to four decimals moves a value by 0.00005 "
            "at most, so 1e-4 is tolerance enough.": silent + 1
        }
        slips = (close if then and abs(then - silence) < 1e-3 else {}) | {
            f"a loss above ln {classes} is no silence either: somebody fires, and wrongly.": until(
                lambda v, silence=silence: v < silence - 1e-3
            ),
            f"this is with ln 10; a network of {classes} classes that is silent has a loss of ln {classes}.": until(
                lambda v: abs(v - math.log(10)) > 1e-3
            ),
            f"the log is rounded to four decimals, ln {classes} is not: leave a tolerance.": 0,
            f"{later} batches at ln {classes} come after it had begun to learn: count those at the start.": silent
            + later,
            f"{then} is not ln {classes}: at batch {silent} (counted from 0) somebody fires already.": silent + 1,
            f"that is when the loss nears {floor:.3f}, its other floor; silence is {silence:.3f}.": until(
                lambda v, floor=floor: v < floor + 0.04
            ),
            "that is the last silent batch, counted from 0; asked is how many there are.": silent - 1,
        }
        if silent == len(log):
            slips = {f"this log never wakes up: all its {silent} batches are silent.": got}
        recognise(got, silent, slips, tolerance=0)
        same(got, silent, what=f"the number of silent batches of {len(log)}", tolerance=0)
    return "constant to four digits is not slow learning: it is silence. Look at the log before you wait."
