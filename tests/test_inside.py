"""What the heatmap explorer sends to the browser, and its static strip."""

import pytest
import torch

from snn_helpers import data, encoding, networks, recipes, weights, widgets
from snn_helpers.neurons import Record, lif
from snn_helpers.widgets.inside import ORDERS, ordered, rate_by_class, to_levels


@pytest.mark.parametrize("threshold", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("scale", [0.0, 0.5, 30.0])
def test_levels_hold_the_spikes_exactly_and_the_membranes_closely(threshold, scale):
    torch.manual_seed(1)
    record = lif(torch.randn(13, 7, 5) * scale + 0.05, beta=0.8, threshold=threshold)
    levels, meta = to_levels(record, threshold)
    assert len(levels) == 13 * 35 and len(meta["values"]) == 256
    got = torch.tensor(list(levels)).view(35, 13).T
    assert torch.equal(got > meta["level"], record.spikes.flatten(1) > 0)
    values, membrane = torch.tensor(meta["values"])[got], record.membrane.flatten(1)
    assert (values - membrane).abs().median() <= 0.02 * (membrane.max() - membrane.min())
    assert values.min() == membrane.min() and values.max() == membrane.max()


def test_orders_put_the_first_first():
    record = Record(*(torch.rand(11, 1, 17) for _ in range(2)))
    record = Record((record.membrane > 0.8).float(), record.membrane)
    peaks = ordered(record, "peak").membrane.amax(0)
    assert torch.equal(peaks, peaks.sort(descending=True).values)
    counts = ordered(record, "mean rate").spikes.sum(0)
    assert torch.equal(counts, counts.sort(descending=True).values)
    early = ordered(record, "first spike").spikes
    first = torch.where(early.any(0), early.argmax(0), 11)
    assert torch.equal(first, first.sort().values)
    assert torch.equal(ordered(record, "number").membrane, record.membrane[:, 0])


def test_the_favourite_class_is_the_one_with_most_spikes():
    spikes = torch.zeros(5, 20, 3)
    labels = torch.arange(20) % 10
    for neuron, label in enumerate((7, 0, 4)):
        spikes[:, labels == label, neuron] = 1
    assert rate_by_class(spikes, labels).tolist() == [7, 0, 4]


@pytest.mark.parametrize("system, shapes", [("csnn", 4), ("hidden-layer", 2)])
def test_digit_and_layer_change_what_is_sent(system, shapes):
    recipe = recipes.RECIPES[system]["fast"]
    explorer = widgets.heatmap_explorer(weights.trained(system, "fast"), encode=lambda x: recipe.encode(x, 6))
    canvas, seen = explorer.canvas, set()
    assert len(explorer.controls["layer"].options) == shapes
    for layer in range(shapes):
        for index in 0, 5:
            explorer.controls["index"].value, explorer.controls["layer"].value = index, layer
            assert len(canvas.levels) == canvas.meta["steps"] * canvas.meta["neurons"]
            assert canvas.meta["title"] == f"layer {layer + 1}, a {data.mnist(False, root='bundled').labels[index]}"
            assert len(canvas.meta["classes"]) == canvas.meta["neurons"] and len(canvas.meta["image"]) == 784
            seen.add(canvas.levels)
    assert len(seen) == 2 * shapes
    assert [link.target[1] for link in explorer.links] == ["order"]
    assert explorer.controls["order"].options == tuple(ORDERS)


def test_the_strip_and_its_sentence(good_strip):
    torch.manual_seed(0)
    good_strip(widgets.heatmap_explorer(networks.csnn(threshold=0.2)))


def test_one_layer_leaves_nothing_to_choose():
    explorer = widgets.heatmap_explorer(networks.single_layer(threshold=0.2))
    assert list(explorer.controls) == ["index", "order"] and explorer.canvas.meta["neurons"] == 10
    before = explorer.canvas.levels
    explorer.controls["index"].value = 1
    assert explorer.canvas.levels != before


def test_a_click_on_another_layer_forgets_the_neuron_that_was_picked():
    explorer = widgets.heatmap_explorer(networks.hidden_layer(7, threshold=0.2), encode=lambda x: encoding.direct(x, 5))
    explorer.canvas.picked = 3
    explorer.controls["layer"].value = 0
    assert explorer.canvas.picked == 3
    explorer.controls["layer"].value = 1
    assert explorer.canvas.picked == -1
