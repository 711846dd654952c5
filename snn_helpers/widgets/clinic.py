"""The clinic of notebook 08: one small network, seven lines that make it sick, and the seven that heal it."""

import textwrap
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

from snn_helpers import data, diagnosis, encoding, losses, networks, plots, surrogates, training
from snn_helpers.neurons import Record
from snn_helpers.widgets.inside import ordered
from snn_helpers.widgets.panel import Panel, choice, slider

STEPS, HIDDEN, BATCH = 10, 100, 64  # ten steps for ten classes: one of the sicknesses needs the coincidence
COLOURS = (-4, 4)  # darkest and brightest, in thresholds
HEALTHY = "healthy"


class Sickness(NamedTuple):
    """``sick(patient)`` and ``heal(patient)``: what is done to a Patient, in notebook 08 by one line each."""

    sick: Callable
    heal: Callable


SICKNESSES = {
    "no reset between batches": Sickness(
        lambda patient: setattr(patient, "keeps_state", True),
        lambda patient: setattr(patient, "keeps_state", False),
    ),
    "negatives into Poisson": Sickness(
        lambda patient: setattr(patient, "encode", _signed_poisson),
        lambda patient: setattr(patient, "encode", _poisson),
    ),
    "slope 1000": Sickness(
        lambda patient: patient.net.neuron.update(spike=surrogates.fast_sigmoid(slope=1000)),
        lambda patient: patient.net.neuron.update(spike=surrogates.fast_sigmoid(slope=10)),
    ),
    "beta 1 with bias": Sickness(
        lambda patient: setattr(patient, "net", network(beta=1.0, bias=5.0, **patient.built)),
        lambda patient: setattr(patient, "net", network(beta=1.0, bias=0.0, **patient.built)),
    ),
    "threshold 100": Sickness(
        lambda patient: patient.net.neuron.update(threshold=100.0),
        lambda patient: patient.net.neuron.update(threshold=1.0),
    ),
    "zero weights": Sickness(
        lambda patient: setattr(patient, "net", network(scale=0.0, **patient.built)),
        lambda patient: setattr(patient, "net", network(scale=1.0, **patient.built)),
    ),
    "loss on the wrong axis": Sickness(
        lambda patient: setattr(patient, "loss", _loss_over_classes),
        lambda patient: setattr(patient, "loss", losses.ce_count_loss),
    ),
}


def _poisson(images):
    return encoding.poisson(images, STEPS)


def _signed_poisson(images):
    return (torch.rand(STEPS, *images.shape) < 2 * images - 1).float()


def _loss_over_classes(output, label):
    return F.cross_entropy(output.spikes.sum(-1).T, label)


def network(*, beta=0.9, bias=None, scale=1.0, hidden=(HIDDEN,), seed=0):
    """784-100-10, or other ``hidden`` layers, with the initial weights of ``seed``. ``scale`` multiplies all
    parameters, weights and biases of every layer; ``bias`` replaces the biases. The random state is left as it was.
    """
    sizes = [784, *hidden, 10]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, *others = (nn.Linear(*pair) for pair in pairwise(sizes))
    spike = surrogates.fast_sigmoid(10)
    net = networks.SNN(nn.Sequential(nn.Flatten(-3), first), *others, beta=beta, spike=spike)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(scale)
            if bias is not None and parameter.ndim == 1:
                parameter.fill_(bias)
    return net


class Patient(nn.Module):
    """A network with all that its training needs: ``net``, ``encode``, ``loss``. Healthy, until a line is changed.

    With ``keeps_state`` it does what a library does whose reset was forgotten: the membranes of one batch are where
    those of the next one start. All batches must then have the same size. ``hidden`` and ``seed`` as in ``network``.
    """

    def __init__(self, **built):
        super().__init__()
        self.built = built
        self.net = network(**built)
        self.encode = _poisson
        self.loss = losses.ce_count_loss
        self.keeps_state = False
        self.state = None

    def forward(self, x):
        records = self.net(x, initial=self.state if self.keeps_state else None)
        if self.keeps_state:
            self.state = [Record(*(part[-1:].detach() for part in record)) for record in records]
        return records


def patient(name=HEALTHY, *, treated=False):
    """A new Patient: the healthy one, or one with the sickness ``name``, and then ``treated`` or not.

    Raises ValueError for another name.
    """
    if name != HEALTHY and name not in SICKNESSES:
        raise ValueError(f"patient: there is no {name!r}. There are: {', '.join([HEALTHY, *SICKNESSES])}.")
    who = Patient()
    if name != HEALTHY:
        SICKNESSES[name].sick(who)
        if treated:
            SICKNESSES[name].heal(who)
    return who


def treat(who, batches=40):
    """Train a Patient on a few batches; the losses, one a batch. The same digits and draws for each."""
    digits = data.mnist(train=True, root=data.BUNDLED)
    how = dict(epochs=1, batch_size=BATCH, seed=0)
    adam = torch.optim.Adam(who.parameters(), lr=2e-3)
    return training.fit(who, digits.first(batches * BATCH), who.encode, who.loss, adam, **how).loss


class Visit(NamedTuple):
    """What an examination found: losses of the training, threshold, then Records and loss of a batch of test digits."""

    losses: list
    threshold: float
    records: list
    loss: float
    findings: list


def examine(who, images, labels):
    """Records, loss and findings for images uint8 [B, 28, 28]: (records, loss, findings). Draws from seed 0."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        records = who(who.encode(data.pixels(images)))
        loss = who.loss(records[-1], labels).item()
    return records, loss, diagnosis.diagnose(records, loss)


@cache
def visit(name=HEALTHY, treated=False):
    """Train the patient ``name`` on 40 batches, then examine it on the first test digits: a Visit, computed once."""
    who, digits = patient(name, treated=treated), data.mnist(train=False, root=data.BUNDLED)
    losses = treat(who)
    return Visit(losses, who.net.neuron["threshold"], *examine(who, digits.images[:BATCH], digits.labels[:BATCH]))


def clinic_explorer():
    """Eight networks, seven of them sick: the membranes of a layer, the rates of both, the loss of 40 batches.

    The headline is what ``diagnosis.diagnose`` says first. Each is trained once, when it is first looked at.
    """
    digits = data.mnist(train=False, root=data.BUNDLED)

    def membranes(ax, record, index, threshold):
        record = ordered(Record(*(part[:, index : index + 1] for part in record)), "peak")
        low, high = (share * threshold for share in COLOURS)
        ax.imshow(record.membrane.T.numpy(), aspect="auto", cmap="cividis", vmin=low, vmax=high)
        plots.raster(record.spikes, ax, markersize=3)

    def losses(ax, name, treated):
        ax.axhline(torch.tensor(10.0).log(), **plots.LINES["threshold"])
        ax.plot(visit().losses, color="0.7")
        dashes = "--" if treated else "-"
        ax.plot(visit(name, treated).losses, dashes, color=plots.COLORS["membrane"])
        ax.set(xlabel="batch", ylim=(0, 4.5), xlim=(0, len(visit().losses) - 1))

    def draw(axes, name, treated, layer, index):
        treated = treated and name != HEALTHY
        found = visit(name, treated)
        membranes(axes["membranes"], found.records[layer], index, found.threshold)
        axes["membranes"].set_title(f"membranes of layer {layer + 1} for a {digits.labels[index]}, highest on top")
        axes["membranes"].set(xticks=(0, STEPS - 1), yticks=(), ylabel="neurons")
        rates = [[r.spikes.mean().item() for r in seen.records] for seen in (found, visit())]
        for shift, rate, colour in (-0.2, rates[0], plots.COLORS["membrane"]), (0.2, rates[1], "0.7"):
            axes["rates"].bar([1 + shift, 2 + shift], rate, 0.36, color=colour)
        axes["rates"].set(
            ylim=(0, 1), yticks=(0, 0.5, 1), xticks=(1, 2), xlabel="layer", title="firing rate (grey: healthy)"
        )
        losses(axes["loss"], name, treated)
        axes["loss"].set(title="loss (grey: healthy, dashed red: ln 10)", yticks=(0, 2, 4), xticks=(0, 20, 39))
        return f"diagnose: {found.findings[0]}"

    def strip():
        figure = Figure(figsize=(10, 3.2))
        top, bottom = figure.subplots(2, 8, sharey="row", height_ratios=(1.5, 1))
        for name, above, below in zip([HEALTHY, *SICKNESSES], top, bottom, strict=True):
            membranes(above, visit(name).records[0], 0, visit(name).threshold)
            above.set_title(textwrap.fill(name, 13))
            above.set(xlabel="", ylabel="", xticks=(0, 9), yticks=())
            losses(below, name, False)
            below.set(xticks=(0, 39))
        top[0].set_ylabel("layer 1, neurons")
        bottom[0].set_ylabel("loss")
        return figure

    flat = [name for name in SICKNESSES if visit(name).losses[-1] > 2]
    return Panel(
        draw,
        {
            "name": choice("patient", [HEALTHY, *SICKNESSES]),
            "treated": choice("condition", {"as it came": False, "after the repair": True}),
            "layer": choice("layer", {"1: hidden": 0, "2: output": 1}),
            "index": slider("test digit", 0, 0, BATCH - 1, 1),
        },
        layout=lambda figure: figure.subplot_mosaic([["membranes", "rates", "loss"]], width_ratios=(2, 1, 1.6)),
        strip=strip,
        sentence="Eight networks, the first one healthy: above the membranes of the hidden layer for one digit (blue "
        "low, yellow high, black marks are spikes), below the loss over 40 batches (the healthy one grey, ln 10 "
        f"dashed). The loss of these does not come down to 2: {', '.join(flat)}.",
        size=(9.5, 2.9),
    )
