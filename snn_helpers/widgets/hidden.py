"""Explorers of notebook 05: one hidden neuron, digits that two networks read differently, and what breaks them."""

from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from snn_helpers import data, plots, training, weights
from snn_helpers.encoding import poisson
from snn_helpers.neurons import Record, lif
from snn_helpers.widgets.panel import Panel, choice, round_limits, slider

NOISE, DROP, DEAD = (0.0, 0.1, 0.2, 0.3), (0.0, 0.25, 0.5, 0.75), (0.0, 0.2, 0.4, 0.6)
_SPIKING, _PLAIN = dict(color=plots.COLORS["membrane"]), dict(color=plots.COLORS["input"], linestyle="--")


def hidden_explorer(net=None, digits=None, *, steps=25):
    """A hidden neuron: its weights, its membrane for a digit, and how often it fires for each class.

    ``net`` is a hidden-layer SNN (by default the bundled one), ``digits`` what it reads (by default MNIST's test
    digits; rates are over the first 1,000).
    """
    net, digits = net or weights.trained("hidden-layer", "fast"), _some(digits, 1000)
    weight = net.layers[0][1].weight.detach().unflatten(1, (28, 28))
    rates = class_rates(net, digits, steps)
    orders = {
        "number": range(len(weight)),
        "firing rate, busiest first": rates.mean(0).argsort(descending=True, stable=True).tolist(),
        "choice, pickiest first": rates.topk(2, dim=0).values.diff(dim=0)[0].argsort(stable=True).tolist(),
    }

    @lru_cache(maxsize=256)
    def journey(index, seed):
        spikes = poisson(_images(digits, index), steps, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return net(spikes)[0]

    def draw(axes, order, place, index, seed):
        neuron, label = orders[order][place], digits.labels[index].item()
        record = Record(*(part[:, 0, neuron] for part in journey(index, seed)))
        plots.signed_image(weight[neuron], axes["weights"]).set_title(f"weights of neuron {neuron}")
        plots.image(digits.images[index], axes["image"]).set_title(f"a {label}")
        plots.membrane(record, axes["membrane"], threshold=net.neuron["threshold"])
        y = round_limits(record.membrane.min(), record.membrane.max().clamp(min=net.neuron["threshold"]))
        axes["membrane"].set(title=f"{record.spikes.sum():.0f} spikes in {steps} steps", xticks=(0, steps - 1), ylim=y)
        plots.bars(rates[:, neuron], axes["rates"], highlight=label)
        axes["rates"].set(title="firing rate by class", ylim=(0, 1), yticks=(0, 0.5, 1))
        mean = rates[:, neuron].mean().item()
        if not mean:
            return f"neuron {neuron} is dead: it fires for none of {len(digits.labels):,} test digits"
        most, least = rates[:, neuron].argmax().item(), rates[:, neuron].argmin().item()
        return (
            f"neuron {neuron} fires at {mean:.1%} of the steps: most for a {most} ({rates[most, neuron]:.1%}), least "
            f"for a {least} ({rates[least, neuron]:.1%}) · {record.spikes.sum():.0f} spikes for this {label}"
        )

    def strip():
        figure = Figure(figsize=(9, 3.6))
        axes = figure.subplots(2, 5, height_ratios=(1.4, 1))
        of_class = {}
        for neuron in orders["choice, pickiest first"]:
            of_class.setdefault(rates[:, neuron].argmax().item(), neuron)
        for (favourite, neuron), (top, bottom) in zip(of_class.items(), axes.T, strict=False):
            plots.signed_image(weight[neuron], top).set_title(f"neuron {neuron}")
            plots.bars(rates[:, neuron], bottom, highlight=favourite).set(ylim=(0, 1), ylabel="")
        axes[1, 0].set_ylabel("firing rate")
        return figure

    return Panel(
        draw,
        {
            "order": choice("in order of", list(orders), "choice, pickiest first"),
            "place": slider("hidden neuron", 0, 0, len(weight) - 1, 1),
            "index": slider("test digit", 0, 0, min(200, len(digits.labels)) - 1, 1),
            "seed": slider("seed", 0, 0, 20, 1),
        },
        layout=lambda figure: figure.subplot_mosaic(
            [["weights", "image", "membrane", "rates"]], width_ratios=(1, 1, 2, 1.6)
        ),
        strip=strip,
        sentence="Five hidden neurons of a trained network, the pickiest of five classes: above their weights (teal "
        "excites, brown inhibits), below their firing rate for each class, the largest in green. Each has its "
        "favourite, and fires now and then for others too: the output has to weigh them all.",
        size=(10, 2.6),
    )


def class_rates(net, digits, steps, *, seed=0):
    """Mean firing rate of each hidden neuron for each class: [C, hidden], a share of the steps."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        rate = [net(poisson(x, steps, generator=generator))[0].spikes.mean(0) for x, _ in data.batches(digits, 250)]
    of_class = F.one_hot(digits.labels).float()
    return of_class.T @ torch.cat(rate) / of_class.sum(0).clamp(min=1)[:, None]


def disagreement_explorer(snn, ann, digits=None, *, steps=25):
    """Browse the test digits that a spiking network and its twin read differently, with what both say.

    ``snn`` reads ``steps`` Poisson steps, ``ann`` the clean image. Raises ValueError if they agree on all ``digits``.
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
        sentence="The first test digits that the two networks read differently; above each what it is, and what each "
        "network says.",
        size=(9, 2.8),
    )


def robustness_grid(snn, ann, digits, *, noise=NOISE, drop=DROP, dead=DEAD, steps=25, seed=0):
    """Accuracy of both networks, disturbed in every combination, after each step: [2, noise, drop, dead, T].

    noise : standard deviations of Gaussian noise on the pixels, the result cut off at 0 and 1
    drop : shares of the input spikes that are lost
    dead : shares of the hidden neurons that are silent for good

    Both read the same spikes: the SNN (first in the result) counts its output's spikes up to each step, the ANN gets
    the mean of the frames up to there. Random numbers are the same in every combination.
    """
    images, labels, hidden = _images(digits), digits.labels, ann[3].in_features
    fixed = torch.Generator().manual_seed(seed)
    static = torch.randn(images.shape, generator=fixed)
    rank = torch.randperm(hidden, generator=fixed)
    uniform = torch.rand((steps, *images.shape), generator=fixed)
    grid = torch.zeros(2, len(noise), len(drop), len(dead), steps)
    count = torch.arange(1, steps + 1).view(-1, *[1] * images.ndim)
    with torch.no_grad():
        for i, sd in enumerate(noise):
            noisy = (images + sd * static).clamp(0, 1)
            for j, lost in enumerate(drop):
                # a spike that comes with chance p and is lost with chance d comes with chance p (1 - d)
                spikes = (uniform < noisy * (1 - lost)).float()
                fired = snn(spikes)[0].spikes
                active = ann[:3](spikes.cumsum(0).div_(count).flatten(0, 1)).unflatten(0, (steps, -1))
                for k, share in enumerate(dead):
                    alive = (rank >= round(share * hidden)).float()
                    votes = lif(snn.layers[1](fired * alive), **snn.neuron).spikes.cumsum(0)
                    for n, answer in enumerate((votes, ann[3](active * alive))):
                        grid[n, i, j, k] = (answer.argmax(-1) == labels).float().mean(-1)
    return grid


def robustness_explorer(snn, ann, digits=None, *, steps=25):
    """Noise, dropped spikes, dead neurons and early exit, for a spiking network and its twin on the same spikes.

    The whole grid is computed once, on the first 300 of ``digits`` (by default MNIST's test digits).
    """
    digits = _some(digits, 300)
    grid = robustness_grid(snn, ann, digits, steps=steps).numpy()
    static = torch.randn(_images(digits).shape, generator=torch.Generator().manual_seed(0))[0, 0]

    def curves(ax, i, j, k, until=None):
        time = np.arange(1, steps + 1)
        ax.plot(time, grid[:, 0, 0, 0].T, color="0.85", linewidth=1)
        ax.plot(time, grid[0, i, j, k], **_SPIKING, label="SNN")
        ax.plot(time, grid[1, i, j, k], **_PLAIN, label="ANN, mean of frames")
        if until:
            ax.axvline(until, color="0.6", linewidth=1)
        ax.set(ylim=(0, 1.02), xlim=(0.5, steps + 0.5), xlabel="time steps used", ylabel="accuracy")

    def draw(axes, noise, drop, dead, until):
        i, j, k = NOISE.index(round(noise, 3)), DROP.index(round(drop, 3)), DEAD.index(round(dead, 3))
        curves(axes["curves"], i, j, k, until)
        axes["curves"].legend(loc="lower right")
        seen = (data.pixels(digits.images[0])[0] + NOISE[i] * static).clamp(0, 1) * (1 - DROP[j])
        plots.spike_map(seen[None], axes["image"]).set_title("chance of a spike")
        spiking, plain = grid[:, i, j, k, until - 1]
        return (
            f"after {until} step{'s' * (until > 1)}: SNN {spiking:.1%}, ANN on the same spikes {plain:.1%} "
            f"(undisturbed: {grid[0, 0, 0, 0, until - 1]:.1%} and {grid[1, 0, 0, 0, until - 1]:.1%})"
        )

    def strip():
        figure, axes = plt.subplots(1, 4, figsize=(10, 2.7), sharey=True)
        cases = {"undisturbed": (0, 0, 0), f"noise of {NOISE[3]:g}": (3, 0, 0)}
        cases |= {f"{DROP[2]:.0%} of the spikes lost": (0, 2, 0), f"{DEAD[2]:.0%} of the neurons dead": (0, 0, 2)}
        for ax, (title, case) in zip(axes, cases.items(), strict=True):
            curves(ax, *case)
            spiking, plain = grid[:, *case, -1]
            ax.set(title=f"{title}\nSNN {spiking:.0%}, ANN {plain:.0%}", ylabel="")
        axes[0].set_ylabel("accuracy")
        axes[0].legend(loc="lower right")
        return figure

    return Panel(
        draw,
        {
            "noise": slider("pixel noise", 0.0, NOISE[0], NOISE[-1], 0.1, unit="sd"),
            "drop": slider("spikes lost", 0.0, DROP[0], DROP[-1], 0.25),
            "dead": slider("neurons dead", 0.0, DEAD[0], DEAD[-1], 0.2),
            "until": slider("steps used", steps, 1, steps, 1),
        },
        layout=lambda figure: figure.subplot_mosaic([["image", "curves"]], width_ratios=(1, 2.5)),
        strip=strip,
        sentence="Accuracy against the steps used, of the SNN (solid) and of its twin on the mean of the same frames "
        "(dashed), undisturbed (grey, in all four) and disturbed in three ways; above each, what both reach in "
        "the end. The twin is soon where it ends, the SNN gets there step by step.",
        size=(9, 3),
    )


def _some(digits, count):
    digits = digits or data.mnist(train=False, root="bundled")
    return data.Digits(digits.images[:count], digits.labels[:count], digits.source)


def _images(digits, index=slice(None)):
    images = data.pixels(digits.images[index])
    return images[None] if images.ndim == 3 else images
