"""Exercises of notebook 06."""

import math

import torch
from torch import nn

from snn_helpers import networks
from snn_helpers.encoding import direct
from snn_helpers.exercises.core import NotAttempted, NotYet, call, exercise, same
from snn_helpers.neurons import lif

LAYERS = ((32 * 14 * 14, 32 * (9 + 1)), (64 * 7 * 7, 64 * (32 * 9 + 1)), (512, 512 * 3137), (10, 10 * 513))


@exercise(
    "06.1",
    "a neuron sits on every value of a layer's output, after pooling. A convolution has one small kernel for each "
    "pair of an input and an output map.",
    "neurons: maps x height x width. Weights of a convolution: out x in x 3 x 3, of a Linear: out x in; and one bias "
    "for each output map or neuron.",
    "layer 1: 32 x 14 x 14 neurons and 32 x 1 x 9 + 32 parameters; the last layer: 10 and 512 x 10 + 10.",
)
def neurons_and_parameters(answer):
    rows = _rows(answer)
    for number, (got, wanted) in enumerate(zip(rows, LAYERS, strict=True), 1):
        for what, value, right in zip(("neurons", "parameters"), got, wanted, strict=True):
            if value != right:
                raise NotYet(f"layer {number}, {what}: {_said(value)} is {_why(number, what, value, right)}.")
    total, largest = sum(row[1] for row in LAYERS), LAYERS[2][1]
    return f"together {total:,}, and {largest / total:.1%} of them in the one large matrix, where no weight is shared."


def _rows(answer):
    try:
        rows = [tuple(row) for row in answer]
        if any(value is ... for row in rows for value in row):
            raise NotAttempted
        rows = [tuple(float(value) for value in row) for row in rows]
    except (TypeError, ValueError):
        raise NotYet(f"wanted four pairs (neurons, parameters), got {type(answer).__name__}.") from None
    if isinstance(answer, dict) or [len(row) for row in rows] != [2] * 4:
        raise NotYet(f"wanted four pairs (neurons, parameters), one a layer, got {len(rows)} of other sizes.")
    return rows


def _why(number, what, value, right):
    neurons, _ = LAYERS[number - 1]
    outputs = (32, 64, 512, 10)[number - 1]
    if what == "neurons" and number <= 2 and value == 4 * right:
        return "what there is before pooling; pooling comes first, so a neuron stands for a patch of 2 x 2"
    if what == "neurons" and number <= 2 and value == outputs:
        return "the number of maps; every position of every map has a neuron of its own"
    if what == "parameters" and value == right - outputs:
        return "the weights alone; each output map (or neuron) has a bias as well"
    if what == "parameters" and number == 2 and value == outputs * 10:
        return "one kernel an output map; it has one for each of the 32 input maps"
    if (
        what == "parameters"
        and number <= 2
        and value in (neurons * right, 4 * neurons * right, neurons // outputs * right)
    ):
        return "a kernel of its own at every position; a convolution shares one kernel over all positions"
    return "too small" if value < right else "too large"


@exercise(
    "06.2",
    "which part of the network sees the same input at every step? Only the first weights: the first neurons already "
    "change from step to step.",
    "current = net.layers[0](image) once, [B, ...]; encoding.direct(current, steps) shows it to neurons.lif at every "
    "step.",
    "then for each further layer: current = layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2]); "
    "spikes = neurons.lif(current, **net.neuron).spikes",
)
def hoisted(answer):
    for seed, (steps, batch) in enumerate([(7, 3), (11, 2), (5, 5)]):
        net, image = _case(seed, batch)
        seen = []
        handle = net.layers[0].register_forward_hook(lambda _, inputs, out: seen.append(len(inputs[0])))  # noqa: B023
        with torch.no_grad():
            got = call(answer, net, image.clone(), steps)
            handle.remove()
            wanted = net(direct(image, steps))[-1].spikes
            frozen = _frozen(net, image, steps)
        if isinstance(got, list):
            raise NotYet("wanted the spikes of the last layer, one tensor [T, B, C], got a list.")
        if torch.is_tensor(got) and got.shape == wanted.shape[1:]:
            raise NotYet("this has no time axis: wanted all steps of the last layer, [T, B, C].")
        if torch.is_tensor(got) and got.shape == frozen.shape and torch.equal(got, frozen):
            raise NotYet(
                "this is what you get when the first neurons are computed once as well: their input is constant, "
                "their membrane is not."
            )
        same(got, wanted, what="the output spikes")
        if sum(seen) != batch:
            raise NotYet(
                f"the spikes are right, but the first weights saw {sum(seen)} images for a batch of {batch} and "
                f"{steps} steps; wanted is one pass a batch."
            )
    return "equal spike for spike, with the first convolution and its pooling computed once instead of T times."


def _case(seed, batch):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = (
            nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(2)),
            nn.Sequential(nn.Flatten(-3), nn.Linear(75, 7)),
        )
        net, image = networks.SNN(*layers, nn.Linear(7, 5), beta=0.8, threshold=0.3), torch.rand(batch, 1, 11, 11)
    return net, image


def _frozen(net, image, steps):
    """The misconception: the spikes of the first step of the first layer, shown at every step."""
    spikes = direct(lif(net.layers[0](image)[None], **net.neuron).spikes[0], steps)
    for layer in net.layers[1:]:
        spikes = lif(layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2]), **net.neuron).spikes
    return spikes


@exercise(
    "06.3",
    "how many numbers does one output value of the convolution need, and how many output values are there?",
    "each output value is a sum over 32 input maps and 3 x 3 places. Padding keeps the size: 14 x 14 places, 64 maps.",
    "14 * 14 * 64 values, 32 * 3 * 3 multiplications each.",
)
def macs(answer):
    wanted = 14 * 14 * 64 * 32 * 9
    wrong = {
        wanted // 4: "of 7 x 7 places; the convolution comes before its pooling, at 14 x 14",
        wanted * 4: "of 28 x 28 places; the first pooling has halved each side already",
        wanted // 32: "one input map; every kernel adds up all 32",
        64 * 32 * 9: "the number of weights; each of them is used at every one of the 14 x 14 places",
        wanted * 8: "the count of eight steps; asked is one",
        2 * wanted: "twice as many: a multiplication with its addition counts as one MAC",
    }
    value = _whole(answer, "the number of MACs")
    if value in wrong:
        raise NotYet(f"{value:,.0f} is {wrong[value]}.")
    if value == 3.61:
        raise NotYet("in full, please, not in millions.")
    if value != wanted:
        raise NotYet(f"{value:,.0f} is too {'small' if value < wanted else 'large'}.")
    return "3.61 million a step and digit, sixteen times the first convolution, and unlike it at every step."


@exercise(
    "06.4",
    "how many full batches fit into the test set, and what is left over?",
    "the left-over is the remainder of a division.",
    "images % batch_size",
)
def skipped(answer):
    for images, batch in (10_000, 128), (10_007, 97), (512, 64), (53, 64):
        got, wanted = call(answer, images, batch), images % batch
        for value, reason in (
            (images - wanted, "the number of images that are judged; asked is how many are not"),
            (images // batch, "the number of full batches"),
            (batch - wanted, "how many images the last batch lacks; all those that are in it are dropped"),
        ):
            if value != wanted and _equals(got, value):
                raise NotYet(f"{images:,} images in batches of {batch}: {value:,} is {reason}.")
        same(got, wanted, what=f"the images skipped of {images:,} in batches of {batch}", tolerance=0)
    return "16 of MNIST's 10,000 at batch 128. Harmless there; of 53 images in batches of 64, not one is judged."


@exercise(
    "06.5",
    "which value does the loss have while no output neuron fires? You met it above.",
    "ln 10 = 2.3026, printed with four digits. Count how many batches from the first on have exactly that, and stop "
    "at the first that has not.",
    "go through the list with enumerate; return i at the first loss with abs(loss - math.log(10)) > 1e-3.",
)
def silent_batches(answer):
    generator = torch.Generator().manual_seed(6)
    for silent, later in (0, 5), (17, 0), (61, 3), (7, 1):
        learning = 1.461 + 0.75 * torch.exp(-torch.arange(83) / 19) + 0.05 * torch.rand(83, generator=generator)
        log = [math.log(10)] * silent + [2.2981] + learning.tolist()
        log[silent + 11 : silent + 11 + later] = [math.log(10)] * later  # silent again for a moment
        log = [round(value, 4) for value in log]
        got = call(answer, list(log))
        anywhere = sum(abs(value - math.log(10)) < 1e-3 for value in log)
        if later and _equals(got, anywhere):
            raise NotYet(
                f"{anywhere} batches of the log are at ln 10, but {later} of them come after it had begun to learn: "
                "count those at the start."
            )
        if _equals(got, silent + 1):
            raise NotYet(f"2.2981 is not ln 10: at batch {silent} (counted from 0) somebody fires already.")
        if _equals(got, next((i for i, v in enumerate(log) if v < 1.5), len(log))):
            raise NotYet("that is when the loss nears 1.461, its other floor; the silence is at ln 10 = 2.303.")
        same(got, silent, what="the number of silent batches", tolerance=0)
    return (
        "a loss that is constant to four digits is not slow learning: it is silence. Look at the log before you wait."
    )


def _whole(answer, what):
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise NotYet(f"{what} should be one number, got {type(answer).__name__}.") from None
    if math.isnan(value):
        raise NotYet(f"{what} should be one number, got NaN.")
    return value


def _said(value):
    return f"{value:,.0f}" if math.isfinite(value) else str(value)


def _equals(got, value):
    try:
        return float(got) == value
    except (TypeError, ValueError):
        return False
