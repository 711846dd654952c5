"""Pictures: one verb a concept, ``plots.<verb>(data, ax=None, **style) -> Axes``.

A verb draws on the Axes it is given (or on a new one), returns it, and alters nothing else. Arrays may be torch or
numpy; time is their first axis. One colour and one mark a meaning, through the whole series, in ``COLORS``.
"""

import io
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from PIL import Image

from snn_helpers.neurons import Record

Array = torch.Tensor | np.ndarray | Sequence
# Okabe and Ito's colours, safe for colour-blind readers
COLORS = {
    "input": "#E69F00",
    "membrane": "#0072B2",
    "spike": "black",
    "threshold": "#D55E00",
    "target": "#009E73",
    "other": "#CC79A7",
}
LINES: dict[str, dict[str, Any]] = {
    "input": dict(color=COLORS["input"]),
    "membrane": dict(color=COLORS["membrane"]),
    "threshold": dict(color=COLORS["threshold"], linestyle="--", linewidth=1),
    "target": dict(color=COLORS["target"], linestyle="-."),
}


def use_style() -> None:
    """Set the series' style for all figures that follow."""
    plt.style.use(str(files(__package__) / "snn.mplstyle"))


def show(picture: Figure | Axes, sentence: str) -> None:
    """Show a Figure or Axes as PNG with ``sentence`` under it and as its alt text, then close the figure."""
    figure = picture if isinstance(picture, Figure) else picture.figure.get_figure(root=True)
    publish(png(figure), sentence)
    plt.close(figure)


def publish(image: bytes, sentence: str) -> None:
    """Display PNG bytes with their sentence: as alt text for screen readers, and in print for everybody."""
    display({"image/png": image, "text/plain": sentence}, raw=True, metadata={"image/png": {"alt": sentence}})
    display({"text/markdown": f"*{sentence}*", "text/plain": sentence}, raw=True)


def png(figure: Figure, *, live: bool = False) -> bytes:
    """The figure as PNG bytes, the same for the same figure.

    ``live`` is for a picture that will be replaced in a moment: drawn once, where a still one is drawn a first time
    to settle its layout, and compressed lightly.
    """
    canvas = FigureCanvasAgg(figure)
    if not live:
        figure.draw_without_rendering()
    canvas.draw()
    buffer = io.BytesIO()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # no alpha: the background is opaque
    Image.fromarray(pixels).save(buffer, format="png", compress_level=1 if live else 9)
    return buffer.getvalue()


def image(pixels: Array, ax: Axes | None = None, **style: Any) -> Axes:
    """A digit: [28, 28] or [1, 28, 28], values in [0, 1] or 0 to 255, white on black."""
    ax, pixels = _axes(ax), _array(pixels).squeeze()
    top = 255 if pixels.dtype == np.uint8 else max(1.0, pixels.max(initial=0))
    ax.imshow(pixels, **{"cmap": "gray", "vmin": 0, "vmax": top, **style})
    return _bare(ax)


def signed_image(values: Array, ax: Axes | None = None, **style: Any) -> Axes:
    """A map of weights [28, 28]: brown negative, teal positive, white 0; the largest 3 % of each sign saturate."""
    ax, values = _axes(ax), _array(values).squeeze()
    top = np.quantile(np.abs(values), 0.97) or 1
    ax.imshow(values, **{"cmap": "BrBG", "vmin": -top, "vmax": top, **style})
    return _bare(ax)


def spike_map(spikes: Array, ax: Axes | None = None, **style: Any) -> Axes:
    """How often each pixel fired: [T, 28, 28] or [T, 1, 28, 28] -> the firing rate of each, a share of the steps."""
    ax, rate = _axes(ax), _array(spikes).mean(0).squeeze()
    ax.imshow(rate, **{"cmap": "cividis", "vmin": 0, "vmax": 1, **style})
    return _bare(ax)


def tiles(maps: Array, ax: Axes | None = None, *, columns: int | None = None, **style: Any) -> Axes:
    """Many small pictures as one grid, row by row from the top left: [C, H, W], with a gap of one pixel."""
    ax, maps = _axes(ax), _array(maps)
    count, height, width = maps.shape
    columns = columns or int(np.ceil(count**0.5))
    rows = -(-count // columns)
    grid = np.full((rows * columns, height + 1, width + 1), np.nan)
    grid[:count, :-1, :-1] = maps
    grid = grid.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2).reshape(rows * (height + 1), -1)
    ax.imshow(grid[:-1, :-1], **{"cmap": "cividis", **style})
    ax.set_facecolor("0.6")  # the gap
    return _bare(ax)


def raster(spikes: Array, ax: Axes | None = None, **style: Any) -> Axes:
    """A mark for each spike: [T, N], time across, one row a neuron."""
    ax, spikes = _axes(ax), _array(spikes)
    time, neuron = np.nonzero(spikes)
    size = float(np.clip(180 / max(spikes.shape[1], 1), 1.0, 9.0))
    ax.plot(time, neuron, **{"marker": "|", "linestyle": "", "color": COLORS["spike"], "markersize": size, **style})
    ax.set(xlim=(-0.5, len(spikes) - 0.5), ylim=(spikes.shape[1] - 0.5, -0.5), xlabel="time step", ylabel="neuron")
    return ax


def current(values: Array, ax: Axes | None = None, **style: Any) -> Axes:
    """The input current [T] of one neuron."""
    ax, values = _axes(ax), _array(values)
    ax.plot(values, **{"drawstyle": "steps-mid", **LINES["input"], **style})
    ax.set(xlim=(-0.5, len(values) - 0.5), xlabel="time step", ylabel="current I")
    return ax


def membrane(record: Record, ax: Axes | None = None, *, threshold: float = 1.0, **style: Any) -> Axes:
    """One neuron's Record ([T]): membrane before reset, threshold, and a mark on top for each spike."""
    ax = _axes(ax)
    trace, spiked = _array(record.membrane), np.flatnonzero(_array(record.spikes))
    if trace.ndim != 1:
        raise ValueError(
            f"membrane: wanted the Record of one neuron, [T], got {list(trace.shape)}. Choose one of them."
        )
    ax.plot(trace, **{**LINES["membrane"], **style})
    ax.axhline(threshold, **LINES["threshold"])
    low, high = min(0.0, trace.min(initial=0)), max(1.15 * threshold, trace.max(initial=0))
    ax.plot(spiked, np.full(len(spiked), high + 0.12 * (high - low)), "|", color=COLORS["spike"], markersize=9)
    ax.set(xlim=(-0.5, len(trace) - 0.5), ylim=(low - 0.05 * (high - low), high + 0.22 * (high - low)))
    ax.set(xlabel="time step", ylabel="membrane U")
    return ax


def heatmap(
    values: Array, ax: Axes | None = None, *, threshold: float | None = None, label: str = "membrane U", **style: Any
) -> Axes:
    """Many traces as colour: [T, N], time across, one row a neuron; cells above ``threshold`` are outlined."""
    ax, values = _axes(ax), _array(values)
    picture = ax.imshow(values.T, **{"aspect": "auto", "cmap": "cividis", **style})
    ax.figure.colorbar(picture, cax=ax.inset_axes((1.02, 0, 0.025, 1)), label=label)
    if threshold is not None:  # along the cells' edges: between two neurons there is nothing to interpolate
        above = np.pad(values.T > threshold, 1)
        rows, steps = np.nonzero(above[:, 1:] != above[:, :-1])
        ax.vlines(steps - 0.5, rows - 1.5, rows - 0.5, colors=COLORS["threshold"], linewidth=0.8)
        rows, steps = np.nonzero(above[1:] != above[:-1])
        ax.hlines(rows - 0.5, steps - 1.5, steps - 0.5, colors=COLORS["threshold"], linewidth=0.8)
    ax.set(xlabel="time step", ylabel="neuron")
    return ax


def bars(values: Array, ax: Axes | None = None, *, highlight: int | None = None, **style: Any) -> Axes:
    """One bar a class: counts or rates [C]; the bar ``highlight`` is green and hatched."""
    ax, values = _axes(ax), _array(values).astype(float)
    edges = (np.arange(len(values))[:, None] + [-0.4, 0.4]).ravel()
    chosen = np.arange(len(values)) == (-1 if highlight is None else highlight)
    green = {"color": COLORS["target"], "hatch": "//", "edgecolor": "white"}
    for which, look in (~chosen, {"color": COLORS["membrane"], **style}), (chosen, green):
        heights = np.full(2 * len(values) - 1, np.nan)  # what is not a number is a gap: two patches, not ten
        heights[::2][which] = values[which]
        ax.stairs(heights, edges, fill=True, **look)
    ax.set(xticks=np.arange(len(values)), xlabel="class")
    return ax


def tally(
    values: Array, ax: Axes | None = None, *, expected: tuple | None = None, label: str | None = None, **style: Any
) -> Axes:
    """How often each whole number came, as a share of all; ``expected`` (numbers, their chances) as green points."""
    ax, values = _axes(ax), _array(values)
    if (values != values.round()).any() or (values < 0).any():
        raise ValueError("tally: wanted whole numbers of at least 0, got others. Sort them into numbered bins first.")
    count = np.bincount(values.astype(int), minlength=1)
    ax.stairs(count / max(1, count.sum()), np.arange(len(count) + 1) - 0.5, **{"fill": True, "color": "0.75", **style})
    if expected is not None:
        ax.plot(*map(_array, expected), color=COLORS["target"], marker=".", linestyle="", markersize=4, label=label)
        if label:
            ax.legend(loc="upper right", handletextpad=0)
    ax.set(ylim=(0, None), ylabel="share")
    return ax


def confusion(counts: Array, ax: Axes | None = None, **style: Any) -> Axes:
    """How often class i (row) was called class j (column): counts [C, C].

    Each row is shown as a share of its class, its colour by the cube root of that: a rare error is seen too.
    """
    ax, counts = _axes(ax), _array(counts)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(share, **{"cmap": "cividis", "norm": PowerNorm(1 / 3, 0, 1), **style})
    for (i, j), count in np.ndenumerate(counts):
        if count:
            shade = "black" if share[i, j] > 0.125 else "white"  # past the middle of the colours
            ax.text(j, i, f"{count:.0f}", ha="center", va="center", fontsize=7, color=shade)
    ticks = np.arange(len(counts))
    ax.set(xticks=ticks, yticks=ticks, xlabel="answer", ylabel="digit")
    return ax


def history(
    loss: Array, ax: Axes | None = None, *, accuracy: list | None = None, test_step: list | None = None, **style: Any
) -> Axes:
    """Loss of every batch, faint, and its running mean; on top the test accuracy, after the batch it was measured."""
    ax, loss = _axes(ax), _array(loss)
    ax.plot(loss, **{"color": COLORS["membrane"], "alpha": 0.25, "linewidth": 0.8, **style})
    width = max(1, len(loss) // 30)
    if len(loss) >= width:
        mean = np.convolve(loss, np.ones(width) / width, "valid")
        ax.plot(np.arange(len(mean)) + width - 1, mean, color=COLORS["membrane"], label="loss")
    ax.set(xlabel="batch", ylabel="loss", xlim=(0, max(1, len(loss))))
    if accuracy:
        room = 0.09 * len(loss)  # that a label takes; the last one always gets it
        free = len(loss) + room
        for x, y in reversed(list(zip(test_step or [], accuracy, strict=True))):
            ax.axvline(x, color="0.85", linewidth=1, zorder=0)
            if room <= x <= free - room:
                place: dict[str, Any] = dict(ha="right", va="top", transform=ax.get_xaxis_transform())
                ax.text(x, 1.0, f"{y:.1%} ", color=COLORS["target"], **place)
                free = x
    return ax


def spread(curves: Array, ax: Axes | None = None, *, x: Array | None = None, **style: Any) -> Axes:
    """Several runs of one thing, [R, N]: their mean as a line, smallest to largest as a band."""
    ax, curves = _axes(ax), _array(curves)
    x = np.arange(curves.shape[1]) if x is None else _array(x)
    (line,) = ax.plot(x, curves.mean(0), **style)
    ax.fill_between(x, curves.min(0), curves.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
    return ax


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots()[1] if ax is None else ax


def _array(values: Array) -> np.ndarray:
    return values.detach().cpu().numpy() if torch.is_tensor(values) else np.asarray(values)


def _bare(ax: Axes) -> Axes:
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax
