"""diagnose: each sickness gets its name, and a healthy network none."""

import pytest
import torch

from snn_helpers import networks, training
from snn_helpers.neurons import Record
from snn_helpers.training import diagnose

LABEL = torch.tensor([0, 3, 7])


def net(**options):
    torch.manual_seed(0)
    return networks.hidden_layer(17, **options)


def seen(network, scale=1.0):
    records = network(torch.rand(13, 3, 1, 28, 28) * scale)
    return records, training.ce_rate_loss(records[-1], LABEL)


def test_a_healthy_network_has_nothing():
    network = net()
    network.layers[0][1].weight.data *= 3
    network.layers[1].weight.data *= 4
    findings = diagnose(*seen(network))
    assert len(findings) == 1 and findings[0].startswith("Nothing is wrong that these numbers show")


def test_a_silent_layer_is_named_with_its_voltage_and_what_follows_from_it():
    findings = diagnose(*seen(net(threshold=100.0)))
    assert findings[0].startswith("Layer 1 is silent: its membranes come no higher than ")
    assert "below the threshold. Try a lower threshold" in findings[0]
    assert findings[1] == "Layer 2 is silent because layer 1 sends it nothing. Wake that one first."
    assert findings[2].startswith("The loss is 2.303, at a known floor: ln 10, the cross entropy of a guess")


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


@pytest.mark.parametrize(
    "loss, words",
    [
        (training.mse_rate_loss, "The loss is 0.1, at a known floor: 1/10"),
        (training.ce_rate_loss, "The loss is 2.303, at a known floor: ln 10"),
    ],
)
def test_the_floors_of_silence(loss, words):
    records = [Record(torch.zeros(7, 3, 10), torch.full((7, 3, 10), 0.5))]
    assert any(finding.startswith(words) for finding in diagnose(records, loss(records[-1], LABEL)))


def test_the_floor_of_a_perfect_answer():
    spikes = torch.nn.functional.one_hot(LABEL, 10).float().expand(7, 3, 10)
    loss = training.ce_rate_loss(Record(spikes, spikes * 2), LABEL)
    assert any("this loss can fall no further" in finding for finding in diagnose([Record(spikes, spikes * 2)], loss))


def test_divergence_comes_before_everything_else():
    assert diagnose(seen(net(threshold=100.0))[0], float("nan")) == [
        "The loss is nan: the run has diverged. Try a learning rate ten times smaller."
    ]


def test_something_else_than_records_is_refused():
    with pytest.raises(TypeError, match=r"wanted the list of Records that net\(x\) returns, got Record"):
        diagnose(seen(net())[0][-1])
