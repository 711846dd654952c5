"""Notebook 08: the neuron explorer and the three networks, against counting by hand and networks with weights of 0."""

import copy

import pytest
import torch
from torch import nn

from snn_helpers import data, encoding, networks, plots, weights, widgets
from snn_helpers.widgets import features, three

DIGITS = data.mnist(train=False, root="bundled").first(11)


def csnn(**neuron):
    torch.manual_seed(2)
    return networks.csnn(**{"beta": 0.8, "threshold": 0.05, **neuron})


def direct(x):
    return encoding.direct(x, 5)


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@torch.no_grad()
def test_the_mean_current_is_what_the_weights_give(reset):
    net = csnn(reset=reset)
    records, found = net(direct(DIGITS.pixels)), features.mean_currents(net, direct, DIGITS.images)
    inputs = [direct(DIGITS.pixels), *(record.spikes for record in records)]
    for layer, x, mean in zip(net.layers, inputs, found, strict=False):
        wanted = layer(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(0)
        torch.testing.assert_close(mean, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer, unit", [(0, 3), (1, 40), (2, 100), (3, 7)])
@torch.no_grad()
def test_without_a_unit_is_with_its_outgoing_weights_at_zero(layer, unit):
    net = csnn()
    x = direct(DIGITS.pixels)
    records, maimed = net(x), copy.deepcopy(net)
    found = features.votes_without(net, records, layer, unit)
    if layer == 3:
        assert not found[:, unit].any() and torch.equal(found[:, 0], records[3].spikes.sum(0)[:, 0])
        return
    module = next(m for m in maimed.layers[layer + 1].modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
    rows = slice(unit * 49, unit * 49 + 49) if layer == 1 else unit
    module.weight[:, rows] = 0
    assert torch.equal(found, maimed(x)[-1].spikes.sum(0))
    assert not torch.equal(found, records[-1].spikes.sum(0)), "it has no say: a weak test"


@pytest.mark.parametrize("layer, place", [(0, (3, 5)), (0, (0, 0)), (1, (2, 4)), (1, (6, 0))])
def test_the_field_is_where_a_pixel_can_be_felt(layer, place):
    net = csnn()
    image = torch.rand(64, 1, 28, 28, requires_grad=True)
    x = image
    for block in net.layers[: layer + 1]:
        x = block(x)
    x[..., place[0], place[1]].sum().backward()
    felt = image.grad[:, 0].abs().sum(0) > 0
    size, step, start = features.field(net, layer)
    for axis, at in enumerate(place):
        rows = felt.any(1 - axis).nonzero().flatten()
        assert rows.min() == max(0, start + step * at) and rows.max() == min(27, start + step * at + size - 1)


@torch.no_grad()
def test_the_nine_are_those_that_drive_it_most():
    net = csnn()
    drive = features.mean_currents(net, direct, DIGITS.images)[0][:, 5]
    patches = features.nine(net, 0, drive, DIGITS.images)
    assert patches.shape == (9, 4, 4)
    convolution = net.layers[0][0]
    again = nn.functional.conv2d(patches[:, None], convolution.weight[5:6], convolution.bias[5:6]).amax((1, 2, 3))
    best = drive.flatten(1).amax(1).sort(descending=True).values[:9]
    torch.testing.assert_close(again, best, rtol=1e-4, atol=1e-5)
    by_image = features.nine(net, 2, torch.arange(11.0), DIGITS.images)
    assert torch.equal(by_image, DIGITS.images[2:].flip(0) / 255)


def test_the_initial_network_is_that_of_the_recorded_run():
    nets = weights.trained("csnn", "fast"), features.initial("csnn", "fast"), features.initial("csnn", "fast", seed=1)
    trained, start, other = (net.layers[0][0].weight.detach().flatten() for net in nets)
    assert torch.corrcoef(torch.stack([trained, start]))[0, 1] > 0.9
    assert abs(torch.corrcoef(torch.stack([trained, other]))[0, 1]) < 0.3


def test_a_click_above_chooses_below():
    explorer = widgets.neuron_explorer(csnn(), csnn(), DIGITS, encode=direct)
    panel, canvas = explorer.panel, explorer.heatmap.canvas
    canvas.picked = 49 * 37 + 12
    assert panel.controls["unit"].value == 37 and "layer 2, map 37" in panel.headline.value
    explorer.heatmap.controls["layer"].value = 2
    assert panel.controls["layer"].value == 2
    canvas.picked = 411
    assert "layer 3, neuron 411" in panel.headline.value
    panel.controls["layer"].value = 0
    assert explorer.heatmap.controls["layer"].value == 0 and panel.controls["unit"].value == 31
    explorer.heatmap.controls["index"].value = 4
    assert f"for this {DIGITS.labels[4]} " in panel.headline.value


def test_the_panel_says_what_the_loss_of_a_unit_does():
    net = csnn()
    explorer = widgets.neuron_explorer(net, csnn(), DIGITS, encode=direct)
    panel = explorer.panel
    panel.controls["layer"].value, panel.controls["unit"].value = 2, 100
    records = net(direct(DIGITS.pixels[:1]))
    whole, without = records[-1].spikes.sum(0)[0], features.votes_without(net, records, 2, 100)[0]
    everybody = net(direct(DIGITS.pixels))
    changed = features.votes_without(net, everybody, 2, 100).argmax(1) != everybody[-1].spikes.sum(0).argmax(1)
    assert f"of the first 11 digits {changed.sum()} change their answer" in panel.headline.value
    assert panel.axes["vote"].patches and whole.any() and without.any()
    marks = panel.axes["vote"].lines[0].get_ydata()
    assert marks.tolist() == whole.tolist()


def test_every_position_draws(drive):
    explorer = widgets.neuron_explorer(csnn(), csnn(), DIGITS, encode=direct)
    drive(explorer.panel, most=12)
    assert plots.png(explorer.strip()) == plots.png(explorer.strip())
    assert len(explorer.sentence) > 40


def by_hand(weight, x, padding=0):
    """Every weight of a convolution that meets a number other than 0, counted one by one."""
    x, count = nn.functional.pad(x, [padding] * 4), 0
    for _, channel, row, column in torch.cartesian_prod(*map(torch.arange, weight.shape)).tolist():
        height, width = (size - kernel + 1 for size, kernel in zip(x.shape[1:], weight.shape[2:], strict=True))
        count += (x[channel, row : row + height, column : column + width] != 0).sum().item()
    return count


@torch.no_grad()
def test_operations_are_weights_that_meet_a_number():
    torch.manual_seed(0)
    x = (torch.rand(3, 2, 7, 6) < 0.3).float()
    block = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.MaxPool2d(2))
    assert three.operations(block, x).tolist() == [by_hand(block[0].weight, image, 1) for image in x]
    block = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 4))
    met = (nn.functional.avg_pool2d(x, 2) != 0).flatten(1).sum(1)
    assert three.operations(block, x).tolist() == (4 * met).tolist()
    assert three.operations(nn.Linear(6, 4), x[:, 0, 0]).tolist() == (4 * x[:, 0, 0].sum(1)).tolist()


@torch.no_grad()
def test_operations_per_step_add_up():
    net = networks.SNN(nn.Linear(5, 7), nn.Linear(7, 3), beta=0.5, threshold=0.3)
    x = (torch.rand(11, 2, 5) < 0.5).float()
    records = net(x)
    per_step = 7 * x.sum(-1) + 3 * records[0].spikes.sum(-1)
    assert torch.equal(three.operations_per_step(net, x, records), per_step.cumsum(0))
    same = encoding.direct(torch.tensor([[1.0, 0, 2, 0, 3], [0, 0, 0, 0, 4]]), 11)
    records = net(same)
    per_step = 3 * records[0].spikes.sum(-1)
    per_step[0] += torch.tensor([21.0, 7.0])  # a constant input meets the weights once
    assert torch.equal(three.operations_per_step(net, same, records), per_step.cumsum(0))


def test_a_network_without_spikes_multiplies_by_everything():
    assert (
        three.dense_operations([nn.Sequential(nn.Flatten(-3), nn.Linear(784, 10))], torch.zeros(1, 1, 28, 28)) == 7840
    )
    conv = nn.Sequential(nn.Conv2d(1, 12, 5, bias=False), nn.ReLU(), nn.AvgPool2d(2))
    assert three.dense_operations([conv], torch.zeros(1, 1, 28, 28)) == 24 * 24 * 25 * 12


def test_decided_is_from_where_the_answer_stays():
    answers = torch.tensor([[1, 2, 3, 4], [1, 5, 3, 4], [1, 2, 4, 4], [1, 2, 4, 9]])
    assert three.decided(answers).tolist() == [1, 3, 3, 4]


def test_three_networks_side_by_side(drive):
    panel = widgets.three_explorer()
    drive(panel, most=8)
    panel.controls["order"].value, panel.controls["place"].value = "as they come", 3
    _, spiking = three.networks()
    for name, one in spiking.items():
        x = one.input(DIGITS.pixels[3:4])
        records = one.net(x)
        votes = records[-1].spikes.sum(0)[0]
        assert f"{name}: {votes.argmax()}" in panel.headline.value
        row = list(spiking).index(name)
        assert len(panel.axes[f"spikes {row}"].lines[0].get_xdata()) == votes.sum()
        spent = three.operations_per_step(one.net, x, records)[:, 0]
        shown = panel.axes["cost"].lines[3 * row].get_ydata()
        assert list(shown) == pytest.approx(spent.tolist())
    assert plots.png(panel.strip()) == plots.png(panel.strip()) and len(panel.sentence) > 40
