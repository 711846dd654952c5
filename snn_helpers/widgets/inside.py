"""Explorers of notebook 08: the membranes of a whole layer, neuron by neuron and step by step."""

from functools import lru_cache

import anywidget
import torch
import traitlets
from matplotlib.figure import Figure

from snn_helpers import data
from snn_helpers.widgets.convolutional import defaults
from snn_helpers.widgets.panel import InBrowser, choice, module, slider

COLOURS = (-1.5, 1.5)  # darkest and brightest, in thresholds: what goes on around 0 and the threshold shows
ORDERS = ["number", "peak", "first spike", "mean rate", "class"]


class Heatmap(anywidget.AnyWidget):
    """The picture of ``heatmap_explorer``: heatmap.js sorts, zooms and draws ``levels`` as ``meta`` says."""

    _esm = module("heatmap")
    levels = traitlets.Bytes().tag(sync=True)
    meta = traitlets.Dict().tag(sync=True)
    order = traitlets.Int(0).tag(sync=True)
    picked = traitlets.Int(-1).tag(sync=True)  # the neuron that was clicked, or chosen by Enter; -1 if none was


def to_levels(record, threshold):
    """A Record [T, ...] of one image as bytes, and what they mean: (bytes, {"values", "level", "range", "threshold"}).

    Neuron by neuron, each membrane as one of 256 levels: level i stands for ``values[i]``, quantiles of what is there,
    so that few levels go to the far ends. Those up to ``level`` are at or below the threshold, the others above it:
    the bytes hold the spikes as well, exactly. ``range``: the membranes of the darkest and the brightest colour.
    """
    membrane = record.membrane.flatten(1).T.contiguous()  # [N, T]
    few = torch.cat([membrane.flatten()[:: 1 + membrane.numel() // 20_000], torch.stack(membrane.aminmax())])
    upper = min(192, max(16, round(256 * record.spikes.mean().item())))
    low, high = (
        quantiles(few[few <= threshold], 256 - upper, threshold),
        quantiles(few[few > threshold], upper, threshold),
    )
    between = torch.cat([(low[1:] + low[:-1]) / 2, torch.tensor([threshold]), (high[1:] + high[:-1]) / 2])
    levels = torch.bucketize(membrane, between, out_int32=True)
    return as_bytes(levels), {
        "values": torch.cat([low, high]).tolist(),
        "level": 255 - upper,
        "range": [share * threshold for share in COLOURS],
        "threshold": threshold,
    }


def as_bytes(numbers):
    """A tensor of whole numbers from 0 to 255 as bytes, which reach the browser as they are, unlike a list."""
    return numbers.byte().numpy().tobytes()


def quantiles(values, count, default):
    """``count`` quantiles of values, from the smallest to the largest; all ``default`` if there are none."""
    return values.quantile(torch.linspace(0, 1, count)) if len(values) else torch.full((count,), default)


def heatmap_explorer(net=None, digits=None, *, encode=None):
    """Every membrane of a layer as a row of colour, for one digit: sort the rows, zoom in, read a neuron's trace.

    ``net`` is an SNN (by default the convolutional one with the bundled weights), ``encode`` turns images
    [B, 1, 28, 28] into its input (by default that of its recipe), ``digits`` are the pictures to pick from.
    """
    net, digits, encode = defaults(net, digits, encode, steps=25)

    @lru_cache(maxsize=64)
    def records(index):
        return run(net, encode, digits.images[index][None])

    favourites = [rate_by_class(record.spikes, digits.labels[:100]) for record in run(net, encode, digits.images[:100])]
    shown = 1 if len(net.layers) > 2 else 0
    names = {f"{i + 1}: {' x '.join(map(str, r.spikes.shape[2:]))}": i for i, r in enumerate(records(0))}
    controls = {
        "index": slider("test digit", 0, 0, min(100, len(digits.labels)) - 1, 1),
        **({"layer": choice("layer", names, shown)} if len(names) > 1 else {}),
        "order": choice("sort by", ORDERS, "first spike"),
    }
    canvas = Heatmap(order=ORDERS.index("first spike"))

    def show(_=None):
        index, layer = controls["index"].value, controls["layer"].value if len(names) > 1 else shown
        record = records(index)[layer]
        levels, meaning = to_levels(record, net.neuron["threshold"])
        shape = list(record.spikes.shape[2:])
        with canvas.hold_sync():
            canvas.picked = -1
            canvas.levels = levels
            canvas.meta = meaning | {
                "steps": len(record.spikes),
                "neurons": record.spikes[0].numel(),
                "shape": shape,
                "classes": as_bytes(favourites[layer]),
                "image": as_bytes(digits.images[index]),
                "title": f"layer {layer + 1}, a {digits.labels[index]}",
            }

    for name in controls.keys() - {"order"}:  # the browser sorts by itself
        controls[name].observe(show, "value")
    show()

    def strip():
        figure = Figure(figsize=(8.5, 2.6))
        record = records(0)[shown]
        for ax, order in zip(figure.subplots(1, 4, sharey=True), ORDERS[:4], strict=True):
            low, high = (share * net.neuron["threshold"] for share in COLOURS)
            rows = ordered(record, order).membrane.T.numpy()
            picture = ax.imshow(rows, aspect="auto", cmap="cividis", interpolation="nearest", vmin=low, vmax=high)
            ax.set(title=f"by {order}", xlabel="time step", ylabel="neuron" if order == "number" else "rank")
        bar = ax.inset_axes((1.03, 0, 0.05, 1))
        figure.colorbar(picture, cax=bar, label="membrane U", extend="both")
        return figure

    return InBrowser(
        canvas,
        controls,
        strip=strip,
        sentence=f"The membranes of layer {shown + 1} for a {digits.labels[0]}, one row a neuron: in order of their "
        "numbers, of their highest membrane, of their first spike and of their firing rate. Sorted, those that fire "
        f"stand on top. Yellow is {COLOURS[1]} thresholds or more, dark blue {COLOURS[0]} or less.",
    )


def run(net, encode, images):
    """The Records of ``net`` for uint8 images [B, 28, 28]; what ``encode`` draws is the same each time."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return net(encode(data.pixels(images)))


def rate_by_class(spikes, labels):
    """The class that each neuron fires most for, [T, B, ...] -> [...]."""
    rates = spikes.mean(0)
    return torch.stack([rates[labels == label].mean(0) for label in range(10)]).argmax(0)


def ordered(record, order):
    """A Record [T, 1, ...] as [T, N] with its neurons in one of the orders of the heatmap."""
    spikes, membrane = (part.flatten(2)[:, 0] for part in record)
    first = torch.where(spikes.any(0), spikes.argmax(0), len(spikes)) - spikes.sum(0) / (len(spikes) + 1)
    keys = {"peak": -membrane.amax(0), "first spike": first, "mean rate": -spikes.sum(0)}
    rows = keys.get(order, torch.arange(spikes.shape[1])).argsort(stable=True)
    return type(record)(spikes[:, rows], membrane[:, rows])
