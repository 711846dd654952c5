"""Explorers of a convolutional SNN: what its maps do to a digit, and a digit that you draw, move, turn and thicken."""

import base64
import math
from functools import lru_cache

import anywidget
import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from snn_helpers import data, plots, recipes, weights
from snn_helpers.widgets.classifier import race, verdict, voltages
from snn_helpers.widgets.panel import Panel, choice, module, slider

COLUMNS = {0: 8, 1: 12}  # of the grid of maps: 32 of 14 x 14, 64 of 7 x 7, about twice as wide as high


def feature_map_explorer(net=None, digits=None, *, encode=None):
    """Scrub through the convolutional layers of ``net``: digit, layer, channel, time step.

    ``net`` is a ``networks.csnn`` (by default with the bundled weights), ``encode`` turns images [B, 1, 28, 28] into
    its input (by default that of the fast recipe), ``digits`` are the pictures to pick from.
    """
    net, digits, encode = defaults(net, digits, encode)
    shown = min(100, len(digits.labels))

    @lru_cache(maxsize=128)
    def records(index):
        with torch.no_grad():
            return net(encode(data.pixels(digits.images[index])[None]))[:2]

    steps, last = len(records(0)[0].spikes), 63

    def draw(axes, index, layer, channel, step):
        spikes, membrane = (values[:, 0] for values in records(index)[layer])  # [T, C, H, W]
        channel = min(channel, spikes.shape[1] - 1)
        plots.image(digits.images[index], axes["image"]).set_title(f"a {digits.labels[index]}")
        plots.tiles(spikes[step], axes["maps"], columns=COLUMNS[layer], cmap="gray", vmin=0, vmax=1)
        axes["maps"].set_title(f"spikes of all {spikes.shape[1]} maps")
        _frame(axes["maps"], channel, spikes.shape[-1], COLUMNS[layer])
        _potential(membrane[step, channel], spikes[step, channel], axes["membrane"])
        axes["membrane"].set_title(f"membrane of map {channel}")
        ax, size = axes["share"], spikes[0, 0].numel()
        ax.plot(spikes.mean((1, 2, 3)).numpy(), color="0.6", label="whole layer")
        ax.plot(
            spikes[:, channel].mean((1, 2)).numpy(), color=plots.COLORS["membrane"], marker="o", label=f"map {channel}"
        )
        ax.axvline(step, color=plots.COLORS["threshold"], linestyle=":")
        ax.set(ylim=(-0.02, 1.02), xlabel="time step", ylabel="share that fires", xticks=(0, steps - 1))
        ax.legend(loc="upper right", fontsize=8)
        here = int(spikes[step, channel].sum())
        return (
            f"layer {layer + 1}, map {channel}, step {step}: {here} of {size} neurons fire ({here / size:.0%}); "
            f"of the whole layer {spikes[step].mean():.0%}"
        )

    def strip():
        figure = Figure(figsize=(9, 5))
        for row, layer in zip(figure.subplots(2, 2), (0, 1), strict=True):
            spikes = records(0)[layer].spikes[:, 0]
            for ax, step in zip(row, (0, steps - 1), strict=True):
                plots.tiles(spikes[step], ax, columns=COLUMNS[layer], cmap="gray", vmin=0, vmax=1)
                ax.set_title(f"layer {layer + 1}, step {step}", fontsize=9)
        return figure

    shares = [records(0)[0].spikes[[0, -1]].mean((1, 2, 3, 4)), records(0)[1].spikes[[0, -1]].mean((1, 2, 3, 4))]
    return Panel(
        draw,
        {
            "index": slider("test digit", 0, 0, shown - 1, 1),
            "layer": choice("layer", {"1: 32 maps of 14 x 14": 0, "2: 64 maps of 7 x 7": 1}),
            "channel": slider("map", 0, 0, last, 1),
            "step": slider("time step", 0, 0, steps - 1, 1),
        },
        layout=lambda figure: figure.subplot_mosaic(
            [["image", "maps", "membrane", "share"]], width_ratios=(1.1, 2, 1.5, 1.8)
        ),
        strip=strip,
        sentence=f"The spikes (white) of a {digits.labels[0]} in all maps of both convolutional layers, in the first "
        f"and the last step. In the first {shares[0][0]:.0%} of layer 1 and {shares[1][0]:.0%} of layer 2 fire, in the "
        f"last {shares[0][1]:.0%} and {shares[1][1]:.0%}. The maps of layer 1 still show the digit, those of layer 2 "
        "parts of it.",
        size=(10, 2.9),
    )


def digit_explorer(net=None, digits=None, *, encode=None):
    """Draw a digit or take one, move it, turn it, thicken it, add noise, and watch it travel to the vote.

    ``net``, ``digits``, ``encode`` as in ``feature_map_explorer``; the ten presets are the first digit of each class
    and, with the sliders, the keyboard's way to a digit of one's own. A drawing goes before the preset until Clear.
    """
    net, digits, encode = defaults(net, digits, encode)
    presets = [(digits.labels == label).nonzero()[0].item() for label in range(10)]
    noises = torch.randn(1, 28, 28, generator=torch.Generator().manual_seed(0))  # one pattern: only its size moves

    @lru_cache(maxsize=64)
    def journey(drawing, preset, right, down, turn, thicker, noise):
        image = as_mnist(drawing) if drawing else data.pixels(digits.images[presets[preset]])
        image = (moved(image, right, down, turn, thicker) + noise * noises).clamp(0, 1)
        with torch.no_grad():
            records = net(encode(image[None]))
        return image, [record.spikes[:, 0] for record in records], records[-1].membrane[:, 0]

    def draw(axes, drawing, preset, right, down, turn, thicker, noise):
        image, spikes, membrane = journey(drawing, preset, right, down, turn, thicker, noise)
        label = None if drawing else preset
        steps, count = len(spikes[-1]), spikes[2].sum(0)
        firing = count.argsort(descending=True, stable=True)[: count.count_nonzero()]
        some = firing[:: max(1, -(-len(firing) // SHOWN))]
        plots.image(image, axes["image"]).set_title("what it sees")
        for name, layer in ("first", 0), ("second", 1):
            plots.tiles(spikes[layer].sum(0), axes[name], columns=8, cmap="gray", vmin=0, vmax=steps)
            axes[name].set_title(f"spikes of layer {layer + 1}")
        plots.raster(spikes[2][:, some], axes["raster"], markersize=3.5)
        axes["raster"].set(yticks=[], ylabel="neurons, busiest below", ylim=(-0.5, SHOWN - 0.5))
        axes["raster"].set_title(f"layer 3: {len(firing)} of {len(count)} fire, {len(some)} shown")
        voltages(membrane, spikes[-1], axes["voltage"])
        axes["voltage"].set(yticks=(0, 3, 6, 9), xlabel="")
        race(spikes[-1], axes["race"], label)
        for name in "raster", "voltage", "race":
            axes[name].set(xlim=(-0.5, steps - 0.5), xticks=(0, steps - 1), xlabel="")
        axes["raster"].set(xlabel="time step")
        return verdict(spikes[-1].sum(0), steps, label)

    def strip():
        figure = Figure(figsize=(9, 4))
        top, bottom = figure.subplots(2, len(TURNS), height_ratios=(1, 1.1))
        for angle, above, below in zip(TURNS, top, bottom, strict=True):
            image, (*_, spikes), _ = journey("", PRESET, 0, 0, angle, 0, 0)
            plots.image(image, above).set_title(f"turned by {angle}°")
            plots.bars(spikes.sum(0), below, highlight=PRESET).set(ylim=(0, len(spikes)), ylabel="", xlabel="")
        bottom[0].set(xlabel="class", ylabel="spikes")
        return figure

    votes = [journey("", PRESET, 0, 0, angle, 0, 0)[1][-1].sum(0) for angle in TURNS]
    read = ", ".join(str(count.argmax().item()) if count.any() else "nothing" for count in votes)
    return Panel(
        draw,
        {
            "drawing": DigitPad(),
            "preset": choice("digit", {str(label): label for label in range(10)}, PRESET),
            "turn": slider("turn", 0, -180, 180, 5, unit="°"),
            "right": slider("shift right", 0, -10, 10, 1, unit="pixel"),
            "down": slider("shift down", 0, -10, 10, 1, unit="pixel"),
            "thicker": slider("thickness", 0.0, -1.0, 2.0, 0.1),
            "noise": slider("noise", 0.0, 0.0, 0.5, 0.02),
        },
        layout=lambda figure: figure.subplot_mosaic(
            [["image", "first", "second", "voltage"], ["image", "first", "second", "voltage"]]
            + [["raster", "raster", "race", "race"]] * 2,
            width_ratios=(1.2, 1.6, 1.4, 1.8),
        ),
        strip=strip,
        sentence=f"A {PRESET}, upright and turned step by step, and how often each output neuron fires for it: the "
        f"answers are {read}. Nobody taught the network that a turned {PRESET} is still a {PRESET}.",
        size=(9, 5),
    )


class DigitPad(anywidget.AnyWidget):
    """A field to draw a digit on. ``value``: the drawing, 112 x 112 bytes as base64, sent when the pen is lifted."""

    _esm = module("pad")
    value = traitlets.Unicode("").tag(sync=True)


PRESET, TURNS = 4, (0, 30, 60, 90, 120)  # of the strip
SHOWN = 40  # neurons of layer 3 in the raster, at most


def as_mnist(drawing):
    """A drawing of a ``DigitPad`` as MNIST made its digits, [1, 28, 28]: 20 pixels at its longer side, its centre of
    mass in the middle of 28 x 28 (LeCun et al. 1998). Black if nothing was drawn.
    """
    side = math.isqrt(len(raw := base64.b64decode(drawing)))
    ink = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(1, 1, side, side) / 255
    rows, columns = (ink[0, 0].amax(axis).nonzero().flatten() for axis in (1, 0))
    if not len(rows):
        return torch.zeros(1, 28, 28)
    ink = ink[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = [max(1, round(20 * length / max(ink.shape[2:]))) for length in ink.shape[2:]]
    ink = F.interpolate(ink, size, mode="bilinear", antialias=True)
    top, left = ((28 - length) // 2 for length in size)
    image = F.pad(ink, (left, 28 - size[1] - left, top, 28 - size[0] - top))[0]
    place = torch.arange(28.0) - 14  # where the centres of MNIST's digits are, to half a pixel
    across, down = (-(image.sum(axis) * place).sum() / image.sum() for axis in ((0, 1), (0, 2)))
    return moved(image, round(across.item()), round(down.item()))


def moved(image, right=0, down=0, turn=0, thicker=0.0):
    """A digit [1, 28, 28] thickened, turned counter-clockwise by ``turn`` degrees, then shifted (in pixels).

    thicker : 1 takes the largest of each pixel's 3 x 3 neighbours (dilation), 2 does it twice, -1 the smallest
        (erosion); fractions lie in between. Between pixels the value is interpolated linearly, outside it is 0.
    """
    image = image[None]
    for _ in range(math.ceil(abs(thicker))):
        part = min(1.0, abs(thicker))
        sign = 1 if thicker > 0 else -1
        image = image + part * (sign * F.max_pool2d(sign * image, 3, stride=1, padding=1) - image)
        thicker -= sign * part
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    first = dict(right=cos * right - sin * down, down=sin * right + cos * down)  # affine moves before it turns
    return data.affine(image, turn=turn, **first)[0].clamp(0, 1)


def layer_diagram(shapes, ax, *, steps=(), **style):
    """A network from left to right: maps (C, H, W) as stacked squares, (N,) as a column, ``steps`` between them."""
    shapes, x, at = [tuple(map(int, shape)) for shape in shapes], 0.0, []
    style = {"facecolor": "white", "edgecolor": plots.COLORS["membrane"], **style}
    for shape in shapes:
        high, wide = (shape[1] / 28, shape[2] / 28) if len(shape) == 3 else ((shape[0] / 512) ** 0.5, 0.08)
        sheets = min(shape[0], 6) if len(shape) == 3 else 1
        for sheet in range(sheets):
            ax.add_patch(Rectangle((x + 0.06 * sheet, 0.06 * sheet - high / 2), wide, high, **style))
        right = x + wide + 0.06 * (sheets - 1)
        ax.text((x + right) / 2, -0.62, " x ".join(map(str, shape)), ha="center", va="top")
        at.append((x, right))
        x = right + 1.1
    for (_, start), (end, _), step in zip(at, at[1:], steps, strict=False):
        ax.annotate("", (end - 0.08, 0), (start + 0.08, 0), arrowprops=dict(arrowstyle="->", color="0.4"))
        ax.text((start + end) / 2, 0.1, step, ha="center", va="bottom", fontsize=8)
    ax.set(xlim=(-0.3, right + 0.3), ylim=(-0.85, 0.95), aspect="equal")
    ax.set_axis_off()
    return ax


def defaults(net, digits, encode, *, steps=None):
    """What the explorers show when they are given nothing: the recorded network, the bundled test digits."""
    recipe = recipes.RECIPES["csnn"]["fast"]
    return (
        weights.trained("csnn", "fast") if net is None else net,
        digits or data.mnist(train=False, root=data.BUNDLED),
        encode or (lambda images: recipe.encode(images, steps or recipe.steps)),
    )


def _frame(ax, index, size, columns):
    """A frame around one picture of ``plots.tiles``."""
    row, column = divmod(index, columns)
    left, top = column * (size + 1) - 0.5, row * (size + 1) - 0.5
    x, y = [left, left + size, left + size, left, left], [top, top, top + size, top + size, top]
    ax.plot(x, y, color=plots.COLORS["threshold"], linewidth=2, clip_on=False)


def _potential(membrane, spikes, ax):
    """A membrane map [H, W]; where a neuron fires, a white mark."""
    ax.imshow(membrane.numpy(), cmap="cividis", vmin=-2, vmax=2)
    row, column = np.nonzero(spikes.numpy())
    ax.plot(column, row, "|", color="white", markersize=5)
    ax.set(xticks=[], yticks=[], xlabel="dark -2, bright 2; white marks: spikes")
