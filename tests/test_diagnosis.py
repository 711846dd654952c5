"""diagnose: each sickness gets its name, and a healthy network none."""

import math

import pytest
import torch

from snn_helpers import losses, networks
from snn_helpers.diagnosis import diagnose
from snn_helpers.neurons import Record

LABEL = torch.tensor([0, 3, 7])
HEALTHY = (torch.rand(13, 3, 5, generator=torch.Generator().manual_seed(0)) < 0.5).float()


def layers(**sick):
    """Four layers of 5 neurons, healthy but for ``l2=spikes`` and the like; membranes as high as their number."""
    found = [sick.get(f"l{number}", HEALTHY) for number in range(1, 5)]
    return [Record(spikes, torch.full_like(HEALTHY, number / 10)) for number, spikes in enumerate(found, 1)]


def net(**options):
    torch.manual_seed(0)
    return networks.hidden_layer(17, **options)


def seen(network, scale=1.0):
    records = network(torch.rand(13, 3, 1, 28, 28) * scale)
    return records, losses.ce_rate_loss(records[-1], LABEL)


def test_a_healthy_network_has_nothing():
    network = net()
    network.layers[0][1].weight.data *= 3
    network.layers[1].weight.data *= 4
    findings = diagnose(*seen(network))
    assert len(findings) == 1 and findings[0].startswith("Nothing is wrong that these numbers show")


def test_a_layer_that_holds_no_numbers_is_neither_healthy_nor_silent():
    sick = layers()
    sick[1] = Record(HEALTHY, torch.full_like(HEALTHY, torch.nan))
    assert diagnose(sick)[0].startswith("Layer 2 holds NaN or infinity: it has diverged")


def test_a_silent_layer_is_named_with_its_voltage_and_what_follows_from_it():
    findings = diagnose(*seen(net(threshold=100.0)))
    assert findings[0].startswith("Layer 1 is silent: its membranes come no higher than ")
    assert "below the threshold. Try a lower threshold" in findings[0]
    assert findings[1] == "Layer 2 is silent because layer 1 sends it nothing. Wake that one first."
    assert findings[2].startswith("The loss is 2.303, at a known floor: ln 10, the cross entropy of a guess")


def test_of_a_silent_layer_the_highest_membrane_of_all_is_told_and_the_mean_of_each_neurons():
    membrane = torch.tensor([[[0.1, 0.2]], [[0.9, 0.3]], [[-3.0, 0.0]]])
    [finding] = diagnose([Record(torch.zeros(3, 1, 2), membrane)])
    assert "its membranes come no higher than 0.9 (on average 0.6), below the threshold" in finding


def test_no_input_at_all_is_told_from_too_little():
    network = net()
    for parameter in network.parameters():
        parameter.data.zero_()
    assert "never leave 0, so it gets no input" in diagnose(seen(network)[0])[0]


def test_saturation():
    network = net(reset="none", beta=1.0)
    network.layers[0][1].bias.data.fill_(3)
    assert diagnose(seen(network)[0])[0].startswith("Layer 1 is saturated: it fires at 100% of all steps")


def test_dead_neurons_are_counted():
    network = net()
    network.layers[0][1].weight.data[:12], network.layers[0][1].bias.data[:12] = 0, 0
    findings = diagnose(seen(network)[0])
    dead = (seen(network)[0][0].spikes.flatten(0, 1).sum(0) == 0).double().mean()
    assert findings[0].startswith(f"{dead:.0%} of layer 1 is dead") and dead > 0.5


NOTHING, ALL, FEW = torch.zeros_like(HEALTHY), torch.ones_like(HEALTHY), HEALTHY * torch.tensor([1.0, 0, 1, 0, 0])


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "spikes, words",
    [
        (NOTHING, "Layer {0} is silent: its membranes come no higher than 0.{0}"),
        (ALL, "Layer {0} is saturated: it fires at 100% of all steps"),
        (FEW, "60% of layer {0} is dead"),
    ],
)
def test_it_is_the_sick_layer_that_is_named(number, spikes, words):
    [finding] = diagnose(layers(**{f"l{number}": spikes}))
    assert finding.startswith(words.format(number))


def test_a_layer_after_a_silent_one_is_silent_for_that_reason_only():
    first, second = diagnose(layers(l2=NOTHING, l3=NOTHING))
    assert first.startswith("Layer 2 is silent: its membranes come no higher than 0.2")
    assert second == "Layer 3 is silent because layer 2 sends it nothing. Wake that one first."
    assert len(diagnose(layers(l2=NOTHING, l4=NOTHING))) == 2
    assert diagnose(layers(l2=NOTHING, l4=NOTHING))[1].startswith("Layer 4 is silent: its membranes come no higher")


@pytest.mark.parametrize("share, sick", [(0.89, False), (0.91, True)])
def test_saturation_begins_at_nine_tenths(share, sick):
    spikes = (torch.arange(1300).view(13, 10, 10) < share * 1300).float()
    assert diagnose([Record(spikes, spikes)])[0].startswith("Layer 1 is saturated") == sick


@pytest.mark.parametrize("dead, sick", [(5, False), (6, True)])
def test_a_layer_is_dead_once_more_than_half_of_it_is(dead, sick):
    spikes = torch.ones(4, 3, 10)
    spikes[..., :dead] = 0
    spikes[::2] = 0
    assert diagnose([Record(spikes, spikes)])[0].startswith(f"{dead}0% of layer 1 is dead") == sick


@pytest.mark.parametrize("loss", [math.log(5), math.log(1 + 4 / math.e), 1 / 5])
def test_a_loss_that_only_happens_to_be_at_a_floor_is_not_said_to_rest_there(loss):
    """An output that fires, and differs between classes, is neither silent nor perfect."""
    findings = diagnose(layers(), loss)
    assert len(findings) == 1
    if loss == math.log(5):
        assert findings[0].endswith("ln 5, the cross entropy of a guess: the output does not tell the classes apart.")
    else:
        assert findings[0].startswith("Nothing is wrong that these numbers show")


def test_the_floors_are_those_of_the_outputs_classes():
    output = Record(torch.zeros(13, 3, 7), torch.ones(13, 3, 7))
    assert "ln 7, the cross entropy of a guess: the outputs are all silent" in diagnose([*layers(), output], 1.9459)[1]
    assert "1/7, the mean squared error of a silent" in diagnose([*layers(), output], torch.tensor(1 / 7))[1]
    assert not any("floor" in finding for finding in diagnose([*layers(), output], math.log(5)))


@pytest.mark.parametrize("loss", [math.nan, math.inf, torch.tensor(-math.inf)])
def test_a_loss_that_is_no_number_is_said_alone(loss):
    [finding] = diagnose(layers(l1=NOTHING), loss)
    assert "the run has diverged" in finding


@pytest.mark.parametrize(
    "loss, words",
    [
        (losses.mse_rate_loss, "The loss is 0.1, at a known floor: 1/10"),
        (losses.ce_rate_loss, "The loss is 2.303, at a known floor: ln 10"),
    ],
)
def test_the_floors_of_silence(loss, words):
    records = [Record(torch.zeros(7, 3, 10), torch.full((7, 3, 10), 0.5))]
    assert any(finding.startswith(words) for finding in diagnose(records, loss(records[-1], LABEL)))


def test_the_floor_of_a_perfect_answer():
    spikes = torch.nn.functional.one_hot(LABEL, 10).float().expand(7, 3, 10)
    loss = losses.ce_rate_loss(Record(spikes, spikes * 2), LABEL)
    assert any("this loss can fall no further" in finding for finding in diagnose([Record(spikes, spikes * 2)], loss))


def test_divergence_comes_before_everything_else():
    assert diagnose(seen(net(threshold=100.0))[0], float("nan")) == [
        "The loss is nan: the run has diverged. Try a learning rate ten times smaller."
    ]


@pytest.mark.parametrize("shape", [(13,), (13, 5), (13, 0, 5), (0, 3, 5)])
def test_records_without_a_batch_are_refused(shape):
    """Its neurons would be taken for images."""
    with pytest.raises(ValueError, match=r"diagnose: wanted spikes \[T, B, \.\.\.\] of each layer, got \[\d"):
        diagnose([Record(HEALTHY, HEALTHY), Record(torch.ones(shape), torch.ones(shape))])


def test_something_else_than_records_is_refused():
    with pytest.raises(TypeError, match=r"wanted the list of Records that net\(x\) returns, got Record"):
        diagnose(seen(net())[0][-1])
