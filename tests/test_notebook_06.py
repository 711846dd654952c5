"""Notebook 06: its explorers over their controls, typical wrong answers refused for the right reason."""

import base64
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from snn_helpers import data, networks, neurons, plots, recipes, widgets
from snn_helpers.encoding import direct
from snn_helpers.widgets.convolutional import as_mnist, moved

EXPLORERS = ["feature_map_explorer", "digit_explorer"]
DIGITS = data.mnist(train=False, root="bundled")


@pytest.fixture(scope="module")
def net():
    """A network that fires in all layers, though it has learnt nothing."""
    torch.manual_seed(0)
    net = networks.csnn(beta=0.7)
    with torch.no_grad():
        for p in net.parameters():
            p *= 3
    return net


def numbers(panel):
    return [int(n) for n in re.findall(r"\d+", panel.headline.value)]


def move(panel, **values):
    for name, value in values.items():
        panel.controls[name].value = value


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_position_of_the_controls_draws(name, net, drive):
    drive(getattr(widgets, name)(net), most=12)


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_strip_is_the_same_each_time(name, net):
    panel = getattr(widgets, name)(net)
    figure = panel.strip()
    assert all(ax.has_data() for ax in figure.axes) and panel.sentence.endswith(".")
    assert plots.png(figure) == plots.png(panel.strip()), "the strip differs from one time to the next"


def step_by_step(net, image, steps):
    """The network as in the notebook: spikes of each layer, [T, ...]."""
    U, S, spikes = [0.0] * 4, [0.0] * 4, []
    for _ in range(steps):
        signal = image
        for i, layer in enumerate(net.layers):
            U[i] = net.neuron["beta"] * U[i] + layer(signal) - S[i]
            signal = S[i] = (U[i] > 1).float()
        spikes.append([s[0].clone() for s in S])
    return [torch.stack(layer) for layer in zip(*spikes, strict=True)]


@pytest.mark.parametrize("index, layer, channel, step", [(0, 0, 5, 0), (7, 0, 31, 3), (13, 1, 61, 6), (99, 1, 0, 2)])
@torch.no_grad()
def test_the_headline_counts_the_spikes_of_a_map(net, index, layer, channel, step):
    panel = widgets.feature_map_explorer(net, encode=lambda images: direct(images, 7))
    move(panel, layer=layer, index=index, channel=channel, step=step)
    wanted = step_by_step(net, DIGITS.images[index][None, None] / 255, 7)[layer][step]
    fire, size = int(wanted[channel].sum()), wanted[channel].numel()
    share, whole = (float(f"{x:.0%}"[:-1]) for x in (fire / size, wanted.mean()))
    assert numbers(panel) == [layer + 1, channel, step, fire, size, share, whole]
    assert wanted.any() and not wanted.all()


def test_layer_1_has_no_map_past_31(net):
    panel = widgets.feature_map_explorer(net)
    move(panel, layer=1, channel=50)
    assert "map 50" in panel.headline.value
    move(panel, layer=0)
    assert "map 31," in panel.headline.value


@pytest.mark.parametrize("preset, right, down, turn, noise", [(3, 0, 0, 0, 0), (8, 4, -3, 0, 0), (5, 0, 2, 35, 0.2)])
@torch.no_grad()
def test_the_vote_is_that_of_the_digit_that_is_shown(net, preset, right, down, turn, noise):
    panel = widgets.digit_explorer(net, encode=lambda images: direct(images, 11))
    move(panel, preset=preset, right=right, down=down, turn=turn, noise=noise)
    seen = torch.as_tensor(np.asarray(panel.axes["image"].images[0].get_array()))
    first = DIGITS.images[(DIGITS.labels == preset).nonzero()[0, 0]] / 255
    if not noise and not turn:
        wanted = F.pad(first, (10, 10, 10, 10))[10 - down : 38 - down, 10 - right : 38 - right]
        torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=0)
    counts = step_by_step(net, seen[None, None], 11)[-1].sum(0)
    best = int(counts.max())
    assert best > 0
    assert {11, best, preset, *(counts == best).nonzero().flatten().tolist()} <= set(numbers(panel))


IMAGE = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(6))


def test_an_image_that_is_not_moved_is_the_same():
    torch.testing.assert_close(moved(IMAGE), IMAGE)


@pytest.mark.parametrize("right, down", [(3, 0), (-7, 0), (0, 5), (2, -11)])
def test_shifted_by_whole_pixels(right, down):
    wanted = F.pad(IMAGE, (11, 11, 11, 11))[:, 11 - down : 39 - down, 11 - right : 39 - right]
    torch.testing.assert_close(moved(IMAGE, right, down), wanted, atol=1e-5, rtol=0)


def test_turned_counter_clockwise_then_shifted():
    turned = torch.rot90(IMAGE, 1, (-2, -1))
    torch.testing.assert_close(moved(IMAGE, turn=90), turned, atol=1e-4, rtol=0)
    torch.testing.assert_close(moved(IMAGE, turn=90, right=3), moved(turned, right=3), atol=1e-4, rtol=0)
    torch.testing.assert_close(moved(IMAGE, turn=-180), moved(IMAGE, turn=180), atol=1e-4, rtol=0)


def test_thicker_and_thinner():
    padded = F.pad(IMAGE[0], (1, 1, 1, 1), value=0)
    around = torch.stack([padded[i : i + 28, j : j + 28] for i in range(3) for j in range(3)])
    thick = around.amax(0)[None]
    torch.testing.assert_close(moved(IMAGE, thicker=1), thick)
    torch.testing.assert_close(moved(IMAGE, thicker=0.25), IMAGE + 0.25 * (thick - IMAGE))
    torch.testing.assert_close(moved(IMAGE, thicker=1.5), moved(thick, thicker=0.5))
    inside = around.amin(0)[None, 1:-1, 1:-1]
    torch.testing.assert_close(moved(IMAGE, thicker=-1)[:, 1:-1, 1:-1], inside)


def test_tiles_stand_row_by_row_with_a_gap():
    maps = torch.arange(7 * 3 * 5).view(7, 3, 5).float()
    grid = np.ma.filled(plots.tiles(maps, Figure().subplots(), columns=4).images[0].get_array(), np.nan)
    assert grid.shape == (2 * 4 - 1, 4 * 6 - 1)
    for index, tile in enumerate(maps):
        row, column = divmod(index, 4)
        np.testing.assert_array_equal(grid[4 * row : 4 * row + 3, 6 * column : 6 * column + 5], tile)
    assert np.isnan(grid[3]).all() and np.isnan(grid[:, 5]).all() and np.isnan(grid[4:, 18:]).all()


def test_layers_are_labelled_with_their_shapes():
    ax = plots.layers([(1, 28, 28), (32, 14, 14), (10,)], Figure().subplots(), steps=("conv", "linear"))
    assert {"1 x 28 x 28", "32 x 14 x 14", "10", "conv", "linear"} <= {text.get_text() for text in ax.texts}
    assert len(ax.patches) >= 1 + 6 + 1


@torch.no_grad()
def test_the_notebooks_two_claims_about_pooling():
    """Constant input: spikes pooled afterwards contain those of pooled currents. Currents that change: not so."""
    torch.manual_seed(1)
    pool, lost = torch.nn.MaxPool2d(2), 0
    for current in torch.rand(1, 17, 8, 8).expand(23, 17, 8, 8), torch.rand(23, 17, 8, 8):
        before, after = (
            neurons.lif(pool(current), beta=0.6).spikes,
            pool(neurons.lif(current, beta=0.6).spikes),
        )
        lost = int((before > after).sum())
        assert lost == 0 or current.stride(0) != 0
    assert lost > 0


RIGHT = [(6272, 320), (3136, 18496), (512, 1606144), (10, 5130)]


def test_the_numbers_of_exercise_06_1_are_the_networks():
    net = networks.csnn()
    records = net(torch.rand(2, 1, 1, 28, 28))
    assert RIGHT == [
        (record.spikes[0, 0].numel(), sum(p.numel() for p in layer.parameters()))
        for layer, record in zip(net.layers, records, strict=True)
    ]


@pytest.mark.parametrize(
    "layer, pair, words",
    [
        (0, (25088, 320), "layer 1, neurons: 25,088 is what there is before pooling"),
        (1, (64, 18496), "the number of maps"),
        (1, (3136, 18432), "layer 2, parameters: 18,432 is the weights alone"),
        (3, (10, 5120), "the weights alone"),
        (1, (3136, 640), "one kernel an output map"),
        (0, (6272, 320 * 196), "a kernel of its own at every position"),
        (2, (512, 10), "layer 3, parameters: 10 is too small"),
        (2, (513, 1606144), "layer 3, neurons: 513 is too large"),
        (2, (512, math.nan), "layer 3, parameters: nan"),
    ],
)
def test_06_1_neurons_and_parameters(refused, layer, pair, words):
    refused("06.1", [*RIGHT[:layer], pair, *RIGHT[layer + 1 :]], words)


@pytest.mark.parametrize("answer", [1630090, RIGHT[:3], [*RIGHT, (1, 1)], [1, 2, 3, 4], dict(RIGHT), [(1, 2, 3)] * 4])
def test_06_1_wants_four_pairs(refused, answer):
    refused("06.1", answer, "wanted four pairs")


def every_time(net, image, steps):
    return net(direct(image, steps).contiguous())[-1].spikes


def frozen(net, image, steps):
    spikes = direct(neurons.lif(net.layers[0](image)[None], **net.neuron).spikes[0], steps)
    for layer in net.layers[1:]:
        spikes = neurons.lif(layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2]), **net.neuron).spikes
    return spikes


def without_state(net, image, steps):
    """The neurons start anew at every step."""
    signal = image
    for layer in net.layers:
        signal = neurons.lif(layer(signal)[None], **net.neuron).spikes[0]
    return direct(signal, steps)


@pytest.mark.parametrize(
    "answer, words",
    [
        (every_time, r"the first weights saw \d\d images for a batch of 3"),
        (frozen, "the first neurons are computed once as well"),
        (without_state, "the output spikes first differs at step"),
        (lambda net, image, steps: net(direct(image, steps)), "got a list"),
        (lambda net, image, steps: net(direct(image, steps))[-1].spikes.sum(0), "no time axis"),
        (lambda net, image, steps: net(direct(image, steps))[-1].spikes.transpose(0, 1), "Is time the first axis"),
        (lambda net, image: image, "your function raised TypeError"),
    ],
)
def test_06_2_hoisted(refused, answer, words):
    refused("06.2", answer, words)


@pytest.mark.parametrize(
    "answer, words",
    [
        (903_168, "of 7 x 7 places"),
        (14_450_688, "of 28 x 28 places"),
        (112_896, "one input map"),
        (18_432, "the number of weights"),
        (7_225_344, "counts as one MAC"),
        (28_901_376, "eight steps"),
        (3.61, "not in millions"),
        (3.61e6, "too small"),
        (1e9, "too large"),
    ],
)
def test_06_3_macs(refused, answer, words):
    refused("06.3", answer, words)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda n, b: n - n % b, "10,000 images in batches of 128: 9,984 is the number of images that are judged"),
        (lambda n, b: n // b, "78 is the number of full batches"),
        (lambda n, b: b - n % b, "112 is how many images the last batch lacks"),
        (lambda n, b: 16, "the images skipped of 10,007 in batches of 97: yours 16, wanted 16|yours 16"),
        (16, "wanted a function"),
    ],
)
def test_06_4_skipped(refused, answer, words):
    refused("06.4", answer, words)


def leading(log, silent):
    return next((i for i, value in enumerate(log) if not silent(value)), len(log))


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda log: sum(abs(v - math.log(10)) < 1e-3 for v in log), "come after it had begun to learn"),
        (lambda log: leading(log, lambda v: v > 2.29), r"2\.2981 is not ln 10"),
        (lambda log: leading(log, lambda v: v >= 1.5), "when the loss nears 1.461"),
        (lambda log: leading(log, lambda v: v > 1.9), "the number of silent batches: yours"),
        (lambda log: log, "should have shape"),
    ],
)
def test_06_5_silent_batches(refused, answer, words):
    refused("06.5", answer, words)


def test_the_recipes_named_in_the_notebook_exist():
    assert {"reference", "fast"} <= set(recipes.RECIPES["csnn"])
    assert recipes.published("csnn")["steps"] == recipes.RECIPES["csnn"]["reference"].steps == 100


def as_drawing(image):
    """A picture [112, 112] of bytes as the pad sends it."""
    return base64.b64encode(image.byte().numpy().tobytes()).decode()


@pytest.mark.parametrize("index", range(5))
def test_a_digit_of_mnist_drawn_large_somewhere_becomes_itself_again(index):
    image = DIGITS.images[index]
    large = image.repeat_interleave(4, 0).repeat_interleave(4, 1)
    again = as_mnist(as_drawing(large.roll((-7, 4), (0, 1))))
    difference = (again[0] - image / 255).abs().mean()
    assert difference < 0.3 * (image / 255).mean()


def test_a_small_drawing_is_made_20_pixels_and_put_in_the_middle():
    field = torch.zeros(112, 112)
    field[80:104, 3:13] = 255
    image = as_mnist(as_drawing(field))[0]
    rows, columns = (image.amax(axis).gt(0.1).sum().item() for axis in (1, 0))
    assert (rows, columns) == (20, 8)
    place = torch.arange(28.0) - 14
    assert all(abs((image.sum(axis) * place).sum() / image.sum()) < 0.51 for axis in (0, 1))


def test_nothing_drawn_is_black():
    assert not as_mnist(as_drawing(torch.zeros(112, 112))).any()
