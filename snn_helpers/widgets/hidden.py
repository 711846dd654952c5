"""Explorers of notebook 05: one hidden neuron, and the digits that two networks classify differently."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snn_helpers import data, plots, training, weights
from snn_helpers.encoding import poisson
from snn_helpers.neurons import Record
from snn_helpers.widgets.panel import Panel, choice, round_limits, slider

PICKIEST = "the pickiest of each class"


def hidden_explorer(net=None, digits=None, *, steps=25):
    """A hidden neuron: its weights, its membrane for a digit, and how often it fires for each class.

    ``net`` is a hidden-layer SNN (by default the bundled one), ``digits`` what it is shown (by default MNIST's test
    digits; rates are over the first 1,000).
    """
    net, digits = net or weights.trained("hidden-layer", "fast"), some(digits, 1000)
    weight = net.layers[0][1].weight.detach().unflatten(1, (28, 28))
    rates = class_rates(net, digits, steps)
    orders = {
        "number": range(len(weight)),
        "firing rate, busiest first": rates.mean(0).argsort(descending=True, stable=True).tolist(),
        PICKIEST: class_by_class(rates),
    }

    @lru_cache(maxsize=256)
    def journey(index, seed):
        spikes = poisson(images_of(digits, index), steps, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return net(spikes)[0]

    def draw(axes, order, place, index, seed):
        neuron, label = orders[order][place], digits.labels[index].item()
        record = Record(*(part[:, 0, neuron] for part in journey(index, seed)))
        plots.signed_image(weight[neuron], axes["weights"]).set_title(f"weights of neuron {neuron}")
        colour_bar(axes["weights"], "weight")
        plots.image(digits.images[index], axes["image"]).set_title(f"a {label}")
        plots.membrane(record, axes["membrane"], threshold=net.neuron["threshold"])
        y = round_limits(record.membrane.min(), record.membrane.max().clamp(min=net.neuron["threshold"]))
        axes["membrane"].set(title=f"{record.spikes.sum():.0f} spikes in {steps} steps", xticks=(0, steps - 1), ylim=y)
        plots.bars(rates[:, neuron], axes["rates"], highlight=label)
        axes["rates"].set(title="firing rate by class [share of steps]", ylim=(0, 1), yticks=(0, 0.5, 1))
        mean = rates[:, neuron].mean().item()
        if not mean:
            return f"neuron {neuron} is dead: it fires for none of {len(digits.labels):,} test digits"
        most, second = rates[:, neuron].argsort(descending=True, stable=True)[:2].tolist()
        return (
            f"neuron {neuron} fires at {mean:.1%} of the steps: most for a {most} ({rates[most, neuron]:.1%}), next "
            f"for a {second} ({rates[second, neuron]:.1%}) · {record.spikes.sum():.0f} spikes for this {label}"
        )

    def strip():
        of_class = {}
        for neuron in orders[PICKIEST]:
            of_class.setdefault(rates[:, neuron].argmax().item(), neuron)
        lead = rates.topk(2, dim=0).values.diff(dim=0)[0]  # of the second class over the first: the pickier, the lower
        five = sorted(of_class.values(), key=lambda neuron: lead[neuron])[:5]
        figure = Figure(figsize=(9.5, 3.8))
        axes = figure.subplots(2, 5, height_ratios=(1.4, 1), sharey="row")
        for neuron, (top, bottom) in zip(five, axes.T, strict=False):
            plots.signed_image(weight[neuron], top).set_title(f"neuron {neuron}")
            favourite = rates[:, neuron].argmax().item()
            plots.bars(rates[:, neuron], bottom, highlight=favourite).set(ylim=(0, 1), xlabel="class of the digit")
        bar = colour_bar(axes[0, -1], "weight")
        bar.set_ticks([*bar.vmin * torch.tensor([1, 0, -1])], labels=["inhibits", "0", "excites"])
        axes[1, 0].set_ylabel("firing rate\n[share of steps]")
        return figure

    return Panel(
        draw,
        {
            "order": choice("in order of", list(orders), PICKIEST),
            "place": slider("hidden neuron", 0, 0, len(weight) - 1, 1),
            "index": slider("test digit", 0, 0, min(200, len(digits.labels)) - 1, 1),
            "seed": slider("seed", 0, 0, 20, 1),
        },
        layout=lambda figure: figure.subplot_mosaic(
            [["weights", "image", "membrane", "rates"]], width_ratios=(1, 1, 2, 1.6)
        ),
        strip=strip,
        sentence="Five hidden neurons of a trained network. The class that a neuron fires most for is green: five "
        "different ones, and of all neurons of that class the one whose lead over the next class is largest. Above, "
        "their weights, each neuron on a scale of its own; below, how often each fires for the digits of a class, over "
        f"{len(digits.labels):,} test digits.",
        size=(10.5, 2.6),
    )


def class_by_class(rates):
    """Neurons in an order for rates [C, N]: the pickiest of each class, then the second of each; the silent last.

    A neuron is of the class that it fires most for, and the pickier, the farther its rate for it is ahead of that for
    the next.
    """
    first, second = rates.topk(2, dim=0).values
    lead, favourite = (first - second).tolist(), rates.argmax(0).tolist()
    place, count = {}, {}
    for neuron in sorted(range(len(lead)), key=lambda n: -lead[n]):
        place[neuron] = count[favourite[neuron]] = count.get(favourite[neuron], -1) + 1
    alive = first.tolist()
    return sorted(range(len(lead)), key=lambda n: (not alive[n], place[n], favourite[n]))


def class_rates(net, digits, steps, *, seed=0):
    """Mean firing rate of each hidden neuron for each class: [C, hidden], a share of the steps."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        rate = [net(poisson(x, steps, generator=generator))[0].spikes.mean(0) for x, _ in data.batches(digits, 250)]
    of_class = F.one_hot(digits.labels).float()
    return of_class.T @ torch.cat(rate) / of_class.sum(0).clamp(min=1)[:, None]


def disagreement_explorer(snn, ann, digits=None, *, steps=25):
    """Browse the test digits that a spiking network and its twin classify differently, with what both say.

    ``snn`` is shown ``steps`` Poisson steps, ``ann`` the clean image. Raises ValueError if they agree on all of them.
    """
    digits = digits or data.mnist(train=False, root="bundled")
    counts = training.scores(snn, digits, lambda images: poisson(images, steps))
    chances = training.scores(ann, digits, lambda images: images).softmax(-1)
    spiking, plain = counts.argmax(-1), chances.argmax(-1)
    apart, right, top = spiking != plain, digits.labels, max(1, int(counts.max()))
    if not apart.any():
        raise ValueError(
            f"disagreement_explorer: wanted two networks that differ, got the same answer to all {len(right):,} digits."
        )
    groups = {
        "all": apart,
        "only the SNN is right": apart & (spiking == right),
        "only the ANN is right": apart & (plain == right),
        "both wrong": apart & (spiking != right) & (plain != right),
    }
    groups = {name: where.nonzero().flatten().tolist() for name, where in groups.items() if where.any()}

    def draw(axes, group, place):
        place %= len(groups[group])
        index = groups[group][place]
        label = right[index].item()
        plots.image(digits.images[index], axes["image"]).set_title(f"test digit {index}: a {label}")
        plots.bars(counts[index], axes["snn"], highlight=label).set(
            title=f"SNN says {spiking[index]}", ylabel=f"spikes in {steps} steps", ylim=(0, top), yticks=(0, top)
        )
        plots.bars(chances[index], axes["ann"], highlight=label, color=plots.COLORS["input"]).set(
            title=f"ANN says {plain[index]}", ylabel="softmax of the score", ylim=(0, 1.02), yticks=(0, 0.5, 1)
        )
        tie = " in a tie" if (counts[index] == counts[index].max()).sum() > 1 else ""
        return (
            f"{place + 1} of {len(groups[group])} ({group}) · a {label}: the SNN says {spiking[index]}{tie} "
            f"({counts[index].max():.0f} spikes, {counts[index, label]:.0f} for the {label}), the ANN {plain[index]} "
            f"({chances[index].max():.0%}, {chances[index, label]:.0%} for the {label})"
        )

    def strip():
        figure = Figure(figsize=(9, 3.2))
        for ax in figure.subplots(2, 8).flat:
            ax.set_axis_off()
        for ax, index in zip(figure.axes, groups["all"], strict=False):
            plots.image(digits.images[index], ax)
            ax.set_title(f"a {right[index]}\nSNN {spiking[index]}, ANN {plain[index]}", fontsize=8)
        return figure

    return Panel(
        draw,
        {"group": choice("show", list(groups)), "place": slider("number", 0, 0, len(groups["all"]) - 1, 1)},
        layout=lambda figure: figure.subplot_mosaic([["image", "snn", "ann"]], width_ratios=(1, 1.5, 1.5)),
        strip=strip,
        sentence="The first test digits, 16 at most, to which the two networks give different answers; above each what "
        "it is, and what each network says.",
        size=(9, 2.8),
    )


def colour_bar(ax, label):
    """A colour bar on the right of the image in ``ax``."""
    bar = ax.figure.colorbar(ax.images[-1], cax=ax.inset_axes((1.04, 0, 0.05, 1)), label=label)
    bar.locator = MaxNLocator(4)
    return bar


def some(digits, count):
    """The first ``count`` of ``digits``; by default of MNIST's test digits."""
    digits = digits or data.mnist(train=False, root="bundled")
    return digits.first(min(count, len(digits.labels)))


def images_of(digits, index=slice(None)):
    """The pixels of some digits as a batch, also of one."""
    images = data.pixels(digits.images[index])
    return images[None] if images.ndim == 3 else images
