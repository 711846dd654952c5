"""networks: weights then neuron, no state."""

import pytest
import torch
from torch import nn

from snn_helpers import networks, neurons


def test_an_snn_is_weights_then_lif_repeated():
    torch.manual_seed(0)
    net = networks.SNN(nn.Linear(5, 11), nn.Linear(11, 2), beta=0.8, threshold=0.3)
    x = torch.rand(7, 3, 5)
    first, second = net(x)
    hidden = neurons.lif(torch.stack([net.layers[0](step) for step in x]), beta=0.8, threshold=0.3)
    torch.testing.assert_close(first.membrane, hidden.membrane)
    assert torch.equal(first.spikes, hidden.spikes) and first.spikes.any()
    output = neurons.lif(net.layers[1](hidden.spikes), beta=0.8, threshold=0.3)
    torch.testing.assert_close(second.membrane, output.membrane)
    assert second.spikes.shape == (7, 3, 2)


def test_calling_twice_gives_the_same_answer():
    net, x = networks.single_layer(), torch.rand(7, 3, 1, 28, 28)
    assert torch.equal(net(x)[0].membrane, net(x)[0].membrane)


def test_the_batch_is_independent():
    net, x = networks.single_layer(), torch.rand(7, 3, 1, 28, 28)
    together = net(x)[0].membrane
    for b in range(3):
        torch.testing.assert_close(net(x[:, b : b + 1])[0].membrane[:, 0], together[:, b])


def test_single_layer_is_the_published_network():
    net = networks.single_layer()
    assert sum(p.numel() for p in net.parameters()) == 7840
    assert net(torch.rand(2, 3, 1, 28, 28))[-1].spikes.shape == (2, 3, 10)
    assert "reset=zero" in repr(net) and "beta=0.5" in repr(net)


def test_its_neuron_is_spikingjellys_with_tau_2():
    """halved input, beta 1/2, the largest float below 1 as threshold: at 1 or above, as there."""
    base = pytest.importorskip("spikingjelly.activation_based")
    from spikingjelly.activation_based import layer, neuron

    torch.manual_seed(1)
    theirs = nn.Sequential(layer.Flatten(), layer.Linear(784, 10, bias=False), neuron.LIFNode(tau=2.0))
    ours = networks.single_layer(threshold=1 - 2**-24)
    ours.load_state_dict({"layers.0.1.weight": theirs[1].weight.detach() * 3})
    theirs[1].weight.data *= 3
    x = (torch.rand(23, 5, 1, 28, 28) < 0.3).float()
    with torch.no_grad():
        wanted = torch.stack([theirs(step) for step in x])
        got = ours(x / 2)[-1].spikes
    assert base and wanted.any() and not wanted.all()
    assert torch.equal(got, wanted)


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.rand(3, 5), r"input must be \[T, B, ...\], time first, then the batch, got \[3, 5\]"),
        ("image", "got str"),
        (torch.rand(4, 1, 28, 28), r"layer 0 \(Linear\) cannot take .*\[4, 1, 28, 28\].*Encode the images first"),
        (torch.rand(3, 28, 28), "Is time the first axis"),
        (torch.rand(7, 3, 1, 27, 28), "Is time the first axis"),
    ],
)
def test_a_missing_axis_is_named(x, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        networks.single_layer()(x)


def test_a_wrong_neuron_is_refused_when_the_network_is_made():
    with pytest.raises(ValueError, match=r"beta must be in \[0, 1\], got 20. Is it a tau"):
        networks.single_layer(beta=20)
    with pytest.raises(TypeError, match="spike must be a Surrogate, got float"):
        networks.single_layer(spike=25.0)


def test_bundled_weights_read_digits(tmp_path):
    from snn_helpers import data, training
    from snn_helpers.encoding import poisson

    net = networks.single_layer()
    net.load_state_dict(networks.weights("single-layer-fast"))
    assert training.accuracy(net, data.mnist(train=False, root="bundled"), lambda x: poisson(x, 20)) > 0.9
    networks.save_weights(net, tmp_path / "w.safetensors", {"seed": 3})
    from safetensors import safe_open

    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert file.metadata() == {"about": '{"seed": 3}'}
        assert torch.equal(file.get_tensor("layers.0.1.weight"), net.layers[0][1].weight)
    with pytest.raises(ValueError, match=r"no bundled file 'nothing\.safetensors'"):
        networks.weights("nothing")
