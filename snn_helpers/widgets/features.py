"""The neuron explorer of notebook 08: what excites a neuron and what the vote is without it, before and after training.

A neuron of a convolutional layer stands for its whole map, whose neurons share their weights: a "unit".
"""

import math
from functools import cache, lru_cache

import torch
import torch.nn.functional as F
from ipywidgets import link
from matplotlib.figure import Figure
from torch import nn

from snn_helpers import plots, recipes
from snn_helpers.neurons import lif
from snn_helpers.widgets.convolutional import defaults
from snn_helpers.widgets.inside import heatmap_explorer, run
from snn_helpers.widgets.panel import Explorer, Panel, choice, slider

AFTER, BEFORE = "after training", "before training"
MANY, SOME = 300, 60  # digits that the nine are chosen from, and whose answers are counted


class NeuronExplorer(Explorer):
    """``heatmap`` above, ``panel`` below: what is clicked above is shown below."""

    def __init__(self, heatmap, panel):
        self.heatmap, self.panel = heatmap, panel
        for name in "index", "layer":
            link((heatmap.controls[name], "value"), (panel.controls[name], "value"))
        heatmap.canvas.observe(self._picked, "picked")
        super().__init__([heatmap, panel], strip=panel.strip, sentence=panel.sentence)

    def _picked(self, change):
        if change.new >= 0:
            _, *places = self.heatmap.canvas.meta["shape"]
            self.panel.controls["unit"].value = change.new // math.prod(places)


def neuron_explorer(net=None, before=None, digits=None, *, encode=None):
    """Click a neuron of the heatmap: its weights, the nine patches or digits that excite it most, the vote without it.

    ``net`` is an SNN of several layers (by default the convolutional one with the bundled weights), ``before`` the
    same network untrained, ``encode`` turns images [B, 1, 28, 28] into its input; the nine are chosen from the first
    300 of ``digits`` (by default MNIST's test digits).
    """
    before = initial("csnn", "fast") if before is None else before
    net, digits, encode = defaults(net, digits, encode)
    panel = _panel({AFTER: net, BEFORE: before}, digits, encode)
    return NeuronExplorer(heatmap_explorer(net, digits, encode=encode), panel)


def initial(system, name, seed=0):
    """The network of a recipe as its recorded run of that seed began; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return recipes.RECIPES[system][name].network()


def mean_currents(net, encode, images):
    """The mean current of each neuron for each of the images uint8 [N, 28, 28]: a tensor [N, ...] a layer.

    They follow from what is recorded, I[t] = U[t] - (beta U[t-1] - threshold S[t-1]).
    """
    parts = []
    for some in images.split(100):
        records = run(net, encode, some)
        parts.append([_mean_current(record, **net.neuron_of(i)) for i, record in enumerate(records)])
    return [torch.cat(part) for part in zip(*parts, strict=True)]


def _mean_current(record, *, beta, threshold, reset, **_):
    spikes, membrane = (part[:-1].sum(0) for part in record)  # all steps but the last leave something to the next
    if reset == "zero":
        left = beta * (record.membrane * (1 - record.spikes))[:-1].sum(0)
    else:
        left = beta * membrane - (threshold * spikes if reset == "subtract" else 0)
    return (record.membrane.sum(0) - left) / len(record.membrane)


def votes_without(net, records, layer, unit):
    """Output spikes [B, C] if a unit of a layer never fires; ``records`` are what ``net`` gave for the same input."""
    spikes = records[layer].spikes.clone()
    spikes[:, :, unit] = 0
    with torch.no_grad():
        for i in range(layer + 1, len(net.layers)):
            current = net.layers[i](spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])
            spikes = lif(current, **net.neuron_of(i)).spikes
    return spikes.sum(0)


def field(net, layer):
    """What a neuron of a convolutional layer sees: (size, step, start); that of row y sees ``size`` rows of pixels,
    from ``start + step * y`` on."""
    size, step, start = 1, 1, 0
    for module in (module for block in net.layers[: layer + 1] for module in block.modules()):
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            numbers = module.kernel_size, module.stride, module.padding
            width, stride, padding = (number if isinstance(number, int) else number[0] for number in numbers)
            size, start, step = size + (width - 1) * step, start - padding * step, step * stride
    return size, step, start


def nine(net, layer, drive, images):
    """The nine of the images uint8 [N, 28, 28] that drive a unit most, [9, h, w] in [0, 1], from the most driven on.

    drive : mean current of the unit, [N], or [N, H, W] of a map: then it is what the most driven place of each sees
    """
    best = drive.flatten(1).amax(1) if drive.ndim > 1 else drive
    best = best.argsort(descending=True, stable=True)[:9]
    if drive.ndim == 1:
        return images[best] / 255
    size, step, start = field(net, layer)
    wide, patches = F.pad(images[best] / 255, [size] * 4), []
    for image, place in zip(wide, drive[best].flatten(1).argmax(1).tolist(), strict=True):
        top, left = (size + start + step * at for at in divmod(place, drive.shape[-1]))
        patches.append(image[top : top + size, left : left + size])
    return torch.stack(patches)


def weights_of(net, layer):
    """The weights that lead to each unit of a layer, [units, ...]."""
    return next(m for m in net.layers[layer].modules() if isinstance(m, (nn.Conv2d, nn.Linear))).weight.detach()


def weight_maps(weight, before):
    """The weights that lead to a unit as small pictures [C, h, w]; ``before``: shape of the layer before."""
    if weight.ndim == 3:
        return weight
    if len(before) == 3:
        return weight.view(before)
    height = max(n for n in range(1, math.isqrt(len(weight)) + 1) if len(weight) % n == 0)
    return weight.view(1, height, -1)


def _panel(nets, digits, encode):
    few = digits.images[:MANY]

    @cache
    def drives(when):
        return mean_currents(nets[when], encode, few)

    @lru_cache(maxsize=64)
    def records(when, start, stop):
        return run(nets[when], encode, digits.images[start:stop])

    shapes = [[1, 28, 28], *(list(record.spikes.shape[2:]) for record in records(AFTER, 0, 1))]
    layers = {f"{i}: {' x '.join(map(str, shape))}": i - 1 for i, shape in enumerate(shapes) if i}

    def name(layer, unit):
        return f"{'map' if len(shapes[layer + 1]) > 1 else 'neuron'} {unit}"

    def weights(ax, when, layer, unit):
        maps = weight_maps(weights_of(nets[when], layer)[unit], shapes[layer])
        top = maps.abs().quantile(0.97).item() or 1
        plots.tiles(maps, ax, cmap="BrBG", vmin=-top, vmax=top)

    def excites(ax, when, layer, unit):
        plots.tiles(nine(nets[when], layer, drives(when)[layer][:, unit], few), ax, cmap="gray", vmin=0, vmax=1)

    def draw(axes, index, layer, unit, when):
        unit, label = min(unit, shapes[layer + 1][0] - 1), digits.labels[index].item()
        weights(axes["weights"], when, layer, unit)
        axes["weights"].set_title(f"weights of {name(layer, unit)}")
        excites(axes["nine"], when, layer, unit)
        axes["nine"].set_title("what excites it most")
        plots.image(digits.images[index], axes["image"]).set_title(f"a {label}")
        found, ax = records(when, index, index + 1), axes["vote"]
        whole, without = found[-1].spikes.sum(0)[0], votes_without(nets[when], found, layer, unit)[0]
        plots.bars(without, ax, highlight=label)
        ax.plot(whole.numpy(), "_", color="black", markersize=13, label="with it")
        steps = len(found[0].spikes)
        ax.set(title=f"output spikes without {name(layer, unit)}", ylim=(0, steps + 0.5), yticks=(0, steps))
        ax.legend(loc="upper right", handlelength=1)
        fired = found[layer].spikes[:, 0, unit]
        count = f"fires {fired.sum():.0f} times in {fired.numel():,} chances"
        answers = [str(c.argmax().item()) if c.any() else "none" for c in (whole, without)]
        change = f"still {answers[0]}" if answers[0] == answers[1] else f"{answers[1]}, not {answers[0]}"
        first = records(when, 0, SOME)
        others = votes_without(nets[when], first, layer, unit).argmax(1) != first[-1].spikes.sum(0).argmax(1)
        return (
            f"layer {layer + 1}, {name(layer, unit)}, {when}: for this {label} it {count}. Without it the vote is "
            f"{change}, and of the first {len(others)} digits {others.sum()} change their answer"
        )

    def strip():
        figure = Figure(figsize=(8, 3.9))
        rows = figure.subplots(3, len(shown), height_ratios=(1, 1, 1))
        for (layer, unit), column in zip(shown, rows.T, strict=True):
            weights(column[0], AFTER, layer, unit)
            excites(column[1], AFTER, layer, unit)
            excites(column[2], BEFORE, layer, unit)
            column[0].set_title(f"layer {layer + 1},\n{name(layer, unit)}")
        for ax, text in zip(rows[:, 0], ("weights", "excited by,\nafter", "excited by,\nbefore"), strict=True):
            ax.set_ylabel(text, rotation=0, ha="right", va="center")
        return figure

    shown = []  # of each layer but the last the two that the first digit drives most
    for layer in range(len(shapes) - 2):
        drive = drives(AFTER)[layer][0].flatten(1).amax(1) if len(shapes[layer + 1]) > 1 else drives(AFTER)[layer][0]
        shown += [(layer, unit) for unit in drive.topk(2).indices.tolist()]
    first = min(1, len(shapes) - 3)
    controls = {
        "index": slider("test digit", 0, 0, min(100, len(digits.labels)) - 1, 1),
        "layer": choice("layer", layers, first),
        "unit": slider("map or neuron", dict(shown)[first], 0, max(shape[0] for shape in shapes) - 1, 1),
        "when": choice("network", [AFTER, BEFORE]),
    }

    def fit(_=None):  # the slider to the layer
        controls["unit"].max = shapes[controls["layer"].value + 1][0] - 1

    controls["layer"].observe(fit, "value")
    panel = Panel(
        draw,
        controls,
        layout=lambda figure: figure.subplot_mosaic(
            [["weights", "nine", "image", "vote"]], width_ratios=(1, 1, 1, 1.6)
        ),
        strip=strip,
        sentence="Two units each of the hidden layers, those that the first digit drives most: their weights (teal "
        "excites, brown inhibits), and the nine patches, in a fully connected layer the nine digits, that excite them "
        "most, after training and before.",
        size=(10, 2.9),
    )
    fit()
    return panel
