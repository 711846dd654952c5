"""Notebook 06: its explorers over their controls, typical wrong answers refused for the right reason."""

import base64
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import record_waking
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from snn_helpers import data, exercises, networks, neurons, plots, recipes, training, weights, widgets
from snn_helpers.encoding import direct
from snn_helpers.losses import ce_count_loss, ce_rate_loss
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


def test_layers_are_as_high_and_wide_as_their_maps_and_as_many_as_fit():
    ax = widgets.layer_diagram([(1, 28, 14), (9, 7, 21), (512,)], Figure().subplots(), steps=["a", "b"])
    sizes = [(patch.get_height(), patch.get_width()) for patch in ax.patches]
    assert sizes == [(1, 0.5)] + [(0.25, 0.75)] * 6 + [(1, 0.08)]
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["1 x 28 x 14", "9 x 7 x 21", "512", "a", "b"]


def test_layers_are_labelled_with_their_shapes():
    ax = widgets.layer_diagram([(1, 28, 28), (32, 14, 14), (10,)], Figure().subplots(), steps=("conv", "linear"))
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


RIGHT = [(2700, 612), (800, 9632), (10, 8010)]


def test_the_numbers_of_exercise_06_1_are_the_networks():
    weights = (
        torch.nn.Sequential(torch.nn.Conv2d(2, 12, 5), torch.nn.MaxPool2d(2)),
        torch.nn.Sequential(torch.nn.Conv2d(12, 32, 5), torch.nn.MaxPool2d(2)),
        torch.nn.Sequential(torch.nn.Flatten(-3), torch.nn.Linear(800, 10)),
    )
    records = networks.SNN(*weights, beta=0.9)(torch.rand(2, 1, 2, 34, 34))
    assert RIGHT == [
        (record.spikes[0, 0].numel(), sum(p.numel() for p in layer.parameters()))
        for layer, record in zip(weights, records, strict=True)
    ]


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        tuple(map(list, RIGHT)),
        np.array(RIGHT),
        torch.tensor(RIGHT),
        torch.tensor(RIGHT).double(),
        [(np.int64(n), float(p)) for n, p in RIGHT],
        [(12 * (34 - 4) / 2 * 15, (2 * 25 + 1) * 12), *RIGHT[1:]],
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_06_1_right_ways(accepted, answer):
    accepted("06.1", answer, "18,254")


@pytest.mark.parametrize(
    "layer, pair, words",
    [
        (0, (10_800, 612), "layer 1, neurons: 10,800 is what there is before the pooling"),
        (1, (3872, 9632), "layer 2, neurons: 3,872 is what there is before the pooling"),
        (0, (3468, 612), "of a convolution with padding"),
        (1, (1568, 9632), "of a convolution with padding"),
        (1, (1152, 9632), "drops an odd last row"),
        (0, (12, 612), "the number of maps"),
        (1, (800, 9600), "layer 2, parameters: 9,600 is the weights alone"),
        (2, (10, 8000), "the weights alone"),
        (1, (800, 832), "one kernel an output map"),
        (0, (2700, 312), "one kernel an output map"),
        (0, (2700, 612 * 900), "a kernel of its own at every position"),
        (2, (10, 10 * 3873), "the neurons of layer 2"),
        (2, (10, 5130), "layer 3, parameters: 5,130 is too small"),
        (2, (800, 8010), "the number of its inputs"),
        (2, (11, 8010), "layer 3, neurons: 11 is too large"),
        (0, (612, 2700), "layer 1, neurons: 612 is too small"),
        (2, (10, math.nan), "parameters is NaN"),
        (2, (10, 8010.5), "layer 3, parameters should be a whole number"),
        (1, (800,), "wanted 2 numbers"),
    ],
)
def test_06_1_wrong_ways(refused, layer, pair, words):
    refused("06.1", [*RIGHT[:layer], pair, *RIGHT[layer + 1 :]], words)


def test_06_1_says_that_the_pairs_are_the_wrong_way_round(refused):
    refused("06.1", [pair[::-1] for pair in RIGHT], "of each pair the neurons come first")


@pytest.mark.parametrize(
    "answer",
    [18_254, RIGHT[:2], [*RIGHT, (1, 1)], dict(RIGHT), set(RIGHT), [(6272, 320), (3136, 18496), (512, 1), (10, 5130)]],
)
def test_06_1_wants_three_pairs(refused, answer):
    refused("06.1", answer, "wanted three pairs")


def onward(net, spikes):
    for layer in net.layers[1:]:
        current = layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])
        spikes = neurons.lif(current, **net.neuron).spikes
    return spikes


def with_direct(net, image, on, off):
    first = net.layers[0]
    film = torch.cat([direct(first(image), on), direct(first(torch.zeros_like(image)), off)])
    return onward(net, neurons.lif(film, **net.neuron).spikes)


def with_conv_and_pool(net, image, on, off):
    """The idiom of the lesson's patch by hand."""
    conv, pool = net.layers[0]
    lit, dark = pool(conv(image)), pool(conv(0 * image))
    return onward(net, neurons.lif(torch.stack([lit] * on + [dark] * off), **net.neuron).spikes)


def one_black_image(net, image, on, off):
    lit, dark = net.layers[0](image), net.layers[0](torch.zeros(1, *image.shape[1:]))
    current = torch.stack([lit if t < on else dark.expand_as(lit) for t in range(on + off)])
    return onward(net, neurons.lif(current, **net.neuron).spikes)


def step_by_hand(net, image, on, off):
    first, *others = net.layers
    currents = [first(image), first(torch.zeros_like(image))]
    beta, theta = net.neuron["beta"], net.neuron["threshold"]
    U, S, out = [0.0] * 3, [0.0] * 3, []
    for t in range(on + off):
        signal = currents[t >= on]
        for i, layer in enumerate([torch.nn.Identity(), *others]):
            U[i] = beta * U[i] + layer(signal) - theta * S[i]
            signal = S[i] = (U[i] > theta).to(signal.dtype)
        out.append(signal)
    return torch.stack(out)


def handed_on(net, image, on, off):
    """The light, then the dark, with the membranes handed on from one to the other."""
    first, *others = net.layers
    states, out = [None] * 3, []
    for picture, steps in (image, on), (torch.zeros_like(image), off):
        signal = direct(first(picture), steps)
        for i, layer in enumerate([torch.nn.Identity(), *others]):
            current = layer(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
            states[i] = neurons.lif(current, initial=states[i], **net.neuron)
            signal = states[i].spikes
        out.append(signal)
    return torch.cat(out)


@pytest.mark.parametrize(
    "answer",
    [
        with_direct,
        with_conv_and_pool,
        one_black_image,
        step_by_hand,
        handed_on,
        lambda *case: with_direct(*case).numpy(),
        lambda *case: with_direct(*case).double(),
        lambda *case: with_direct(*case).bool(),
        lambda *case: list(with_direct(*case)),
    ],
)
def test_06_2_right_ways(accepted, answer):
    accepted("06.2", answer, "computed twice instead of T times")


def film(net, image, on, off):
    return torch.cat([direct(image, on), direct(torch.zeros_like(image), off)])


def no_current_in_the_dark(net, image, on, off):
    lit = net.layers[0](image)
    current = torch.cat([direct(lit, on), torch.zeros(off, *lit.shape)])
    return onward(net, neurons.lif(current, **net.neuron).spikes)


def every_time(net, image, on, off):
    x = film(net, image, on, off)
    current = net.layers[0](x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return onward(net, neurons.lif(current, **net.neuron).spikes)


def reset_at_the_switch(net, image, on, off):
    parts = [(net.layers[0](image), on), (net.layers[0](torch.zeros_like(image)), off)]
    return torch.cat([onward(net, neurons.lif(direct(current, n), **net.neuron).spikes) for current, n in parts])


def reset_of_the_first(net, image, on, off):
    parts = [(net.layers[0](image), on), (net.layers[0](torch.zeros_like(image)), off)]
    return onward(net, torch.cat([neurons.lif(direct(current, n), **net.neuron).spikes for current, n in parts]))


def dark_first(net, image, on, off):
    dark, light = direct(net.layers[0](torch.zeros_like(image)), off), direct(net.layers[0](image), on)
    return onward(net, neurons.lif(torch.cat([dark, light]), **net.neuron).spikes)


def frozen(net, image, on, off):
    parts = [(net.layers[0](image), on), (net.layers[0](torch.zeros_like(image)), off)]
    return onward(
        net, torch.cat([direct(neurons.lif(current[None], **net.neuron).spikes[0], n) for current, n in parts])
    )


def without_state(net, image, on, off):
    """The neurons start anew at every step."""
    out = []
    for signal in film(net, image, on, off):
        for layer in net.layers:
            signal = neurons.lif(layer(signal)[None], **net.neuron).spikes[0]
        out.append(signal)
    return torch.stack(out)


def light_for_ever(net, image, on, off):
    current = direct(net.layers[0](image), on + off)
    return onward(net, neurons.lif(current, **net.neuron).spikes)


def forgotten_return(net, image, on, off):
    with_direct(net, image, on, off)


def other_reset(net, image, on, off):
    first = net.layers[0]
    spikes, how = None, net.neuron | {"reset": "zero"}
    current = torch.cat([direct(first(image), on), direct(first(torch.zeros_like(image)), off)])
    for layer in [*net.layers[1:], None]:
        spikes = neurons.lif(current, **how).spikes
        current = layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2]) if layer else current
    return spikes


@pytest.mark.parametrize(
    "answer, words",
    [
        (
            every_time,
            r"the first weights saw 33 images for a batch of 3 and 11 steps; wanted is the batch once, and black",
        ),
        (no_current_in_the_dark, "black pixels still leave the bias"),
        (light_for_ever, "the light never goes out"),
        (reset_at_the_switch, "the membranes start from rest again"),
        (reset_of_the_first, "layer 1 starts from rest again"),
        (dark_first, "the dark comes first here"),
        (frozen, "the first neurons are computed once as well"),
        (without_state, "start anew at every step"),
        (other_reset, "the output spikes first differ at step"),
        (lambda net, *case: net(film(net, *case))[-1].spikes, "net itself was called"),
        (lambda net, *case: net.forward(film(net, *case))[-1].spikes, "net itself was called"),
        (lambda net, *case: next(net.stream(film(net, *case), 99))[-1].spikes, "net itself was called"),
        (lambda net, *case: net(film(net, *case)), "got the records of all layers"),
        (lambda net, *case: net(film(net, *case))[-1], "got its whole record"),
        (lambda *case: with_direct(*case).sum(0), "no time axis"),
        (lambda *case: with_direct(*case).transpose(0, 1), "Is time the first axis"),
        (lambda net, image, on, off: with_direct(net, image, on, off)[:on], "the steps in the light alone"),
        (lambda net, image, on, off: with_direct(net, image, on, off).flip(0), "the output spikes first differ"),
        (lambda *case: torch.zeros_like(with_direct(*case)), "yours 0, wanted 1"),
        (lambda net, image, steps: image, r"should take 4 arguments: \(net, image, on, off\)"),
        (forgotten_return, "ends without a `return`"),
        (lambda net, image, on, off: neurons.lif(image, **net.layers).spikes, "your function raised TypeError"),
    ],
)
def test_06_2_wrong_ways(refused, answer, words):
    refused("06.2", answer, words)


COUNTS = (3_612_672, 576_000)


@pytest.mark.parametrize(
    "answer",
    [
        COUNTS,
        list(COUNTS),
        np.array(COUNTS),
        torch.tensor(COUNTS),
        torch.tensor(COUNTS).float(),
        (14 * 14 * 64 * 32 * 3 * 3, 1000 / 6272 * 14 * 14 * 64 * 32 * 9),
        (np.int64(COUNTS[0]), 1e3 * 9 * 64),
    ],
)
def test_06_3_right_ways(accepted, answer):
    accepted("06.3", answer, "16% of the work")


@pytest.mark.parametrize(
    "dense, words",
    [
        (903_168, "of 7 x 7 places"),
        (14_450_688, "of 28 x 28 places"),
        (2_654_208, "without padding"),
        (112_896, "one input map"),
        (18_432, "the number of weights"),
        (7_225_344, "counts as one MAC"),
        (28_901_376, "eight steps"),
        (3.61, "not in millions"),
        (3.61e6, "all inputs: 3,610,000 is too small"),
        (1e9, "too large"),
        (576_000, "the first number is of all inputs"),
        (-COUNTS[0], "too small"),
        (math.inf, "infinite"),
    ],
)
def test_06_3_wrong_macs(refused, dense, words):
    refused("06.3", (dense, COUNTS[1]), words)


@pytest.mark.parametrize(
    "sparse, words",
    [
        (1000, "one addition a spike"),
        (9000, "one output map"),
        (64_000, "one place of each map"),
        (288_000, "with the number of input maps"),
        (12_544_000, "every place of every map"),
        (18_432_000, "once too often by 32"),
        (1_152_000, "nothing to multiply"),
        (4_608_000, "eight steps"),
        (COUNTS[0], "of the spikes alone"),
        (0.576, "not in millions"),
        (575_999.5, "should be a whole number"),
        (577_000, "the spikes: 577,000 is too large"),
    ],
)
def test_06_3_wrong_additions(refused, sparse, words):
    refused("06.3", (COUNTS[0], sparse), words)


@pytest.mark.parametrize("answer", [COUNTS[0], set(COUNTS), (*COUNTS, 1), "3612672, 576000"])
def test_06_3_wants_two_numbers(refused, answer):
    refused("06.3", answer, "wanted 2 numbers in brackets")


def priced(net, batches, encode, optimizer, price):
    losses = []
    for images, labels in batches:
        records = net(encode(images))
        loss = ce_count_loss(records[-1], labels) + price * sum(record.spikes.mean() for record in records)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def by_hand(net, batches, encode, optimizer, price):
    """zero_grad at the end, the cross entropy and the rates written out, losses in an array."""
    losses = torch.zeros(len(batches))
    for i, (images, labels) in enumerate(batches):
        *hidden, output = net(encode(images))
        loss = F.cross_entropy(output.spikes.sum(0), labels)
        for spikes, _ in [*hidden, output]:
            loss = loss + price * spikes.sum() / spikes.numel()
        loss.backward()
        optimizer.step()
        net.zero_grad()
        losses[i] = loss.detach()
    return losses.numpy()


def in_two_backwards(net, batches, encode, optimizer, price):
    """The price's gradient added to that of the loss, and tensors given back with their graph."""
    losses = []
    for images, labels in batches:
        net.train()
        optimizer.zero_grad(set_to_none=False)
        records = net(encode(images))
        loss = ce_count_loss(records[-1], labels)
        cost = price * torch.stack([record.spikes.mean((0, 1, 2)) for record in records]).sum()
        loss.backward(retain_graph=True)
        cost.backward()
        optimizer.step()
        losses.append(loss + cost)
    return losses


@pytest.mark.parametrize("answer", [priced, by_hand, in_two_backwards, lambda *case: tuple(priced(*case))])
def test_06_4_right_ways(accepted, answer):
    accepted("06.4", answer, "with spikes for free")


def test_06_4_says_what_a_price_does(accepted):
    charged, free = map(int, re.findall(r"(\d+)%", accepted("06.4", priced)))
    assert 0 < charged < free - 3


def with_cost(cost, returned=None):
    """The right loop with another cost of the records."""

    def answer(net, batches, encode, optimizer, price):
        losses = []
        for images, labels in batches:
            records = net(encode(images))
            loss = ce_count_loss(records[-1], labels) + price * cost(records)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append((loss if returned is None else returned(loss, price, records)).item())
        return losses

    return answer


def rates(records):
    return [record.spikes.mean() for record in records]


def with_order(*order):
    """The right loss, the three calls in another order; "zero" may be left out."""

    def answer(net, batches, encode, optimizer, price):
        losses = []
        for images, labels in batches:
            records = net(encode(images))
            loss = ce_count_loss(records[-1], labels) + price * sum(rates(records))
            for what in order:
                {"zero": optimizer.zero_grad, "back": loss.backward, "step": optimizer.step}[what]()
            losses.append(loss.item())
        return losses

    return answer


def first_batch(net, batches, *others):
    return priced(net, batches[:1], *others)


def return_in_the_loop(net, batches, encode, optimizer, price):
    for batch in batches:
        return priced(net, [batch], encode, optimizer, price)


def of_the_rate_loss(net, batches, encode, optimizer, price):
    for images, labels in batches:
        records = net(encode(images))
        loss = ce_rate_loss(records[-1], labels) + price * sum(rates(records))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [0.0] * len(batches)


def another_optimizer(net, batches, encode, optimizer, price):
    return priced(net, batches, encode, torch.optim.SGD(net.parameters(), lr=0.01), price)


def forgotten_losses(*case):
    priced(*case)


def not_encoded(net, batches, encode, optimizer, price):
    return priced(net, batches, lambda images: images, optimizer, price)


@pytest.mark.parametrize(
    "answer, words",
    [
        (with_cost(lambda records: 0 * rates(records)[0]), "as if spikes were free"),
        (with_cost(lambda records: sum(rate.item() for rate in rates(records))), "as if spikes were free"),
        (with_cost(lambda records: sum(rates(records)).detach()), "as if spikes were free"),
        (with_cost(lambda records: -sum(rates(records))), "paid for, not charged"),
        (with_cost(lambda records: rates(records)[-1]), "the output alone"),
        (with_cost(lambda records: rates(records)[0]), "the first layer alone|pays nothing"),
        (with_cost(lambda records: sum(rates(records)[:-1])), "the first layer alone|pays nothing"),
        (with_cost(lambda records: sum(rates(records)[:2])), "the first two layers"),
        (with_cost(lambda records: sum(rates(records)) / len(records)), "the mean of the layers' rates"),
        (with_cost(lambda records: sum(r.spikes.sum() for r in records)), "spikes are added up here"),
        (with_cost(lambda records: sum(r.spikes.sum(0).mean() for r in records)), "a count over the steps"),
        (with_cost(lambda records: torch.cat([r.spikes.flatten() for r in records]).mean()), "large layers pay more"),
        (with_cost(lambda records: sum(r.membrane.mean() for r in records)), "on the membranes"),
        (with_cost(lambda records: sum(rate**2 for rate in rates(records))), "the weights end elsewhere"),
        (
            with_cost(lambda r: sum(rates(r)), returned=lambda loss, price, r: loss - price * sum(rates(r))),
            "the losses that you return are without the price",
        ),
        (
            with_cost(lambda r: sum(rates(r)), returned=lambda loss, price, r: 2 * loss),
            "the loss of a batch first differs",
        ),
        (with_order("back", "step"), "gradients of earlier batches"),
        (with_order("zero", "back"), "no weight has moved"),
        (with_order("back", "zero", "step"), "no weight has moved"),
        (with_order("step", "zero", "back"), "your function raised RuntimeError: .* modified by an inplace"),
        (first_batch, "for the first batch only"),
        (return_in_the_loop, "for the first batch only"),
        (of_the_rate_loss, "with the rate loss"),
        (another_optimizer, "the weights end elsewhere"),
        (forgotten_losses, "ends without a `return`"),
        (not_encoded, "your function raised"),
        (lambda *case: priced(*case)[-1], "wanted one loss a batch"),
        (lambda *case: priced(*case)[:-1], "wanted one loss a batch, 12 of them"),
        (lambda *case: [math.nan for _ in priced(*case)], "the loss of a batch is NaN"),
        (lambda net, batches: 0, r"should take 5 arguments: \(net, batches, encode, optimizer, price\)"),
        (3.0, "wanted a function"),
    ],
)
def test_06_4_wrong_ways(refused, answer, words):
    refused("06.4", answer, words)


def test_06_4_blank_is_not_attempted():
    def blank(net, batches, encode, optimizer, price):
        return ...

    assert exercises.grade("06.4", blank).status == "not attempted"


def leading(log, silent):
    return next((i for i, value in enumerate(log) if not silent(value)), len(log))


def is_silent(value):
    return abs(value - math.log(10)) < 1e-4


def with_a_loop(log):
    for i, loss in enumerate(log):
        if abs(loss - math.log(10)) > 1e-4:
            return i
    return len(log)


def with_while(log):
    count = 0
    while count < len(log) and round(log[count], 4) == 2.3026:
        count += 1
    return count


def vectorised(log):
    awake = (torch.tensor(log) - math.log(10)).abs() > 1e-4
    return awake.int().argmax() if awake.any() else len(log)


def in_numpy(log):
    return np.cumprod(np.isclose(log, np.log(10), atol=1e-4)).sum()


def in_place(log):
    count = 0
    while log and log.pop(0) == 2.3026:
        count += 1
    return count


def of_ten_classes(answer):
    """An answer that knows ln 10 alone, for logs of any number of classes."""
    return lambda log, classes: answer([round(v * math.log(10) / math.log(classes), 4) for v in log])


def test_06_5_with_the_notebooks_own_lines_is_right_for_ten_classes_only(refused):
    def copied(log, classes):
        spoke = [abs(value - math.log(10)) > 1e-4 for value in log]
        return spoke.index(True) if any(spoke) else len(log)

    refused("06.5", copied, "the number of silent batches|with ln 10; a network of (4|26|11) classes")


def test_06_5_without_a_tolerance_is_told_of_rounding(refused):
    def exactly(log, classes):
        return next((i for i, value in enumerate(log) if value != math.log(classes)), len(log))

    refused("06.5", exactly, "rounded to four decimals, ln 10 is not: leave a tolerance")


@pytest.mark.parametrize(
    "answer", [with_a_loop, with_while, vectorised, in_numpy, in_place, lambda log: float(leading(log, is_silent))]
)
def test_06_5_right_ways(accepted, answer):
    accepted("06.5", of_ten_classes(answer), "it is silence")


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda log: sum(map(is_silent, log)), "3 batches at ln 10 come after it had begun to learn"),
        (lambda log: leading(log, lambda v: v > 2.29), r"2\.2981 is not ln 10"),
        (lambda log: leading(log, lambda v: v > 2.302), "above ln 26 is no silence"),
        (lambda log: leading(log, lambda v: abs(v - math.log(10)) < 0.01), r"2\.2981 is not ln 10"),
        (lambda log: leading(log, lambda v: abs(v - math.log(10)) < 1e-3), r"2\.3022 is not ln 10.*1e-4 is tolerance"),
        (lambda log: leading(log, lambda v: round(v, 3) == 2.303), r"2\.3029 is not ln 10.*1e-4 is tolerance"),
        (lambda log: leading(log, lambda v: v >= math.log(1 + 9 / math.e) + 0.04), "when the loss nears 1.461"),
        (lambda log: leading(log, lambda v: v > 1.9), "the number of silent batches of"),
        (lambda log: leading(log, is_silent) - 1, "the last silent batch, counted from 0"),
        (lambda log: next(i for i, v in enumerate(log) if not is_silent(v)), "your function raised StopIteration"),
        (lambda log: leading([*log, 0.0], is_silent) % len(log), "this log never wakes up: all its 83 batches"),
        (lambda log: 17, r"2\.2981|the number of silent batches"),
        (lambda log: leading(log[::-1], lambda v: not is_silent(v)), "the number of silent batches|come after"),
        (lambda log: leading(log, is_silent) / len(log), "should be a whole number"),
        (lambda log: log, "should be one number, got list"),
        (lambda log: math.nan, "is NaN"),
        (with_a_loop, r"should take 2 arguments: \(log, classes\); yours takes \(log\)"),
    ],
)
def test_06_5_wrong_ways(refused, answer, words):
    refused("06.5", answer if answer is with_a_loop else of_ten_classes(answer), words)


def test_the_recipes_named_in_the_notebook_exist():
    assert {"reference", "fast"} <= set(recipes.RECIPES["csnn"])
    assert weights.published("csnn")["steps"] == recipes.RECIPES["csnn"]["reference"].steps == 100


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


RUN = widgets.waking_run()


def test_the_recorded_start_is_silent_as_the_recorded_run_is():
    """Fewer steps, the same first weights and digits: silent for about as long."""
    log = weights.recorded("csnn", "reference")[RUN["seed"]]["history"]["batch_loss"]
    silent = leading(log, is_silent)
    awake = [rates[-1] > 0 for rates in RUN["spikes"]].index(True)
    assert [round(loss, 4) for loss in RUN["loss"][:awake]] == [2.3026] * awake
    assert awake < len(RUN["loss"]) - 3 and abs(awake - silent) < 20


def test_the_march_is_of_the_last_biases_alone():
    opens = [max(row[:4]) > 1e-8 for row in RUN["gradient"]].index(True)
    moved = RUN["moved"][opens - 1]
    assert opens > 50 and moved[2] < 2e-3 and moved[3] == 0
    assert max(moved[:2] + moved[4:6]) < 0.03 < 0.3 < min(moved[6:])


def test_a_recording_is_what_the_loop_does():
    recipe = replace(recipes.RECIPES["csnn"]["reference"], steps=5)
    digits = data.mnist(train=True, root="bundled").first(300)
    run = record_waking.record(recipe, digits, batches=2, seed=3)
    torch.manual_seed(3)
    net = recipe.network()
    before = [p.detach().clone() for p in net.parameters()]
    biases = [net.layers[3].bias.tolist()]

    def look(history):
        if len(history.loss) == 1:
            biases.append(net.layers[3].bias.tolist())
        if len(history.loss) == 2:
            raise KeyboardInterrupt

    adam = torch.optim.Adam(net.parameters(), lr=recipe.lr)
    how = dict(epochs=1, batch_size=recipe.batch_size, seed=3, on_step=look)
    log = training.fit(net, digits, recipe.input, recipe.loss, adam, **how).loss
    assert run["loss"] == pytest.approx(log, rel=1e-4)
    np.testing.assert_allclose(run["bias"], biases, rtol=1e-4)
    moved = [(p - old).abs().max().item() for p, old in zip(net.parameters(), before, strict=True)]
    np.testing.assert_allclose(run["moved"][-1], moved[::2] + moved[1::2], rtol=1e-3)
    largest = [p.grad.abs().max().item() for p in net.parameters()]
    np.testing.assert_allclose(run["gradient"][-1], largest[::2] + largest[1::2], rtol=1e-3, atol=1e-20)
    assert {len(values) for values in run.values() if isinstance(values, list)} == {2}


def test_the_output_that_leads_is_told_from_the_others():
    panel = widgets.waking_explorer()
    lines = {line.get_label(): line for line in panel.axes["march"].lines}
    np.testing.assert_array_equal(lines["output 1"].get_ydata(), [row[1] for row in RUN["bias"]])
    assert lines["output 1"].get_color() != lines["the other outputs"].get_color()
    move(panel, batch=90)
    assert [text.get_text() for text in panel.axes["window"].texts] == ["output 1"]
    assert panel.axes["window"].texts[0].xy[0] == RUN["membrane"][90][1] == max(RUN["membrane"][90])


def test_the_waking_explorer_says_what_was_recorded():
    panel = widgets.waking_explorer()
    awake = [rates[-1] > 0 for rates in RUN["spikes"]].index(True)
    assert "no output spike" in panel.headline.value and f"{RUN['loss'][0]:.4f}" in panel.headline.value
    move(panel, batch=awake)
    best = int(np.argmax(RUN["membrane"][awake]))
    for words in f"batch {awake}:", f"{RUN['loss'][awake]:.4f}", f"output {best}", f"{RUN['bias'][awake][best]:.2f}":
        assert words in panel.headline.value
    assert "no output spike" not in panel.headline.value
    move(panel, batch=awake - 1)
    assert (
        "no output spike" in panel.headline.value
        and f"before batch {awake} (upright line), the first" in panel.sentence
    )
