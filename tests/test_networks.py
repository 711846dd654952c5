"""networks: weights then neuron, no state."""

import copy

import pytest
import snntorch
import torch
from torch import nn

from snn_helpers import data, networks, neurons, surrogates, training, weights
from snn_helpers.encoding import direct, poisson
from snn_helpers.surrogates import fast_sigmoid


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


@pytest.mark.extra("bench")
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
        (torch.rand(4, 1, 28, 28), r"layer 1, given .*\[28, 28\].*Encode the images first"),
        (torch.rand(3, 28, 28), "is time the first axis"),
        (torch.rand(7, 3, 1, 27, 28), "is time the first axis"),
    ],
)
def test_a_missing_axis_is_named(x, message):
    with pytest.raises((ValueError, RuntimeError, IndexError), match=f"(?s){message}"):
        networks.single_layer()(x)


def test_a_wrong_neuron_is_refused_when_the_network_is_made():
    with pytest.raises(ValueError, match=r"beta must be in \[0, 1\], got 20. Is it a tau"):
        networks.single_layer(beta=20)
    with pytest.raises(TypeError, match=r"spike must be a Surrogate, got atan\. Call it"):
        networks.single_layer(spike=surrogates.atan)
    with pytest.raises(TypeError, match="spike must be a Surrogate, got float"):
        networks.single_layer(spike=25.0)


@pytest.mark.parametrize(
    "make, parameters, shapes",
    [
        (networks.hidden_layer, 203_530, [(256,), (10,)]),
        (lambda: networks.hidden_layer(hidden=17), 784 * 17 + 17 + 170 + 10, [(17,), (10,)]),
        (networks.csnn, 1_630_090, [(32, 14, 14), (64, 7, 7), (512,), (10,)]),
    ],
)
def test_the_other_spiking_networks_have_their_sizes(make, parameters, shapes):
    net = make()
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert [tuple(r.spikes.shape) for r in net(torch.rand(2, 3, 1, 28, 28))] == [(2, 3, *shape) for shape in shapes]


@pytest.mark.parametrize("make, parameters", [(networks.mlp, 203_530), (networks.cnn, 29_740)])
def test_the_ann_twins_have_their_sizes(make, parameters):
    net = make()
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_the_twin_cnn_can_be_converted():
    kinds = {type(layer) for layer in networks.cnn()}
    assert nn.MaxPool2d not in kinds and nn.AvgPool2d in kinds
    assert not any("bias" in name for name, _ in networks.cnn().named_parameters())


def test_csnn_is_the_published_network_spelled_in_snntorch():
    torch.manual_seed(2)
    net, image = networks.csnn().double(), torch.rand(3, 1, 28, 28).double()
    net.layers[0][0].weight.data *= 3  # as drawn, it would be silent
    neurons_ = [snntorch.Leaky(beta=0.5).double() for _ in range(4)]
    membranes, counts = [neuron.reset_mem() for neuron in neurons_], []
    with torch.no_grad():
        for _ in range(11):
            x = image
            for i, (layer, neuron) in enumerate(zip(net.layers, neurons_, strict=True)):
                x, membranes[i] = neuron(layer(x.double()), membranes[i])
            counts.append(x)
        records = net(image.expand(11, *image.shape))
    assert all(record.spikes.any() for record in records[:2])
    assert torch.equal(records[-1].spikes, torch.stack(counts).double())
    torch.testing.assert_close(records[-1].membrane[-1], membranes[-1])


@pytest.mark.parametrize("make", [networks.csnn, networks.hidden_layer])
def test_a_constant_input_goes_through_the_first_layer_once_and_nothing_changes(make):
    torch.manual_seed(0)
    net, image = make().double(), torch.rand(3, 1, 28, 28).double()
    calls = []
    net.layers[0].register_forward_hook(lambda layer, x, y: calls.append(len(y)))
    grads = []
    for x in direct(image, 7), direct(image, 7).contiguous():
        net.zero_grad()
        records = net(x)
        sum(record.membrane.sum() for record in records).backward()
        grads.append([p.grad.clone() for p in net.parameters()])
        membranes = [record.membrane.detach() for record in records]
        if len(grads) == 1:
            once, seen = membranes, sum(calls)
    assert seen == 3 and sum(calls) == 3 + 7 * 3
    torch.testing.assert_close(once, membranes)
    torch.testing.assert_close(grads[0], grads[1])


def test_a_stream_gives_the_same_records_piece_by_piece_and_nothing_runs_ahead():
    torch.manual_seed(6)
    net, x = networks.hidden_layer(17), (torch.rand(11, 3, 1, 28, 28) < 0.3).float()
    whole, pieces = net(x), list(net.stream(x, 4))
    assert [len(records[0].spikes) for records in pieces] == [4, 4, 3]
    for i in range(2):
        assert torch.equal(torch.cat([records[i].spikes for records in pieces]), whole[i].spikes)
        torch.testing.assert_close(torch.cat([records[i].membrane for records in pieces]), whole[i].membrane)
    taken = []
    net.layers[0].register_forward_hook(lambda *_: taken.append(1))
    next(net.stream(x))
    assert len(taken) == 1


@pytest.mark.parametrize("encode", [direct, poisson])
def test_bfloat16_leaves_membranes_and_spikes_exact_and_every_weight_its_gradient(encode):
    torch.manual_seed(7)
    net, x = networks.hidden_layer(17), encode(torch.rand(3, 1, 28, 28), 5)
    with torch.autocast("cpu", torch.bfloat16):
        records = net(x)
        records[-1].membrane.sum().backward()
    assert all(record.membrane.dtype == record.spikes.dtype == torch.float32 for record in records)
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in net.parameters())
    torch.testing.assert_close(records[0].membrane[0], net(x)[0].membrane[0], rtol=0.02, atol=0.02)


def test_v_init_is_where_the_membranes_start():
    net = networks.SNN(nn.Linear(5, 3), beta=0.8, threshold=2.0, v_init=0.25)
    x = torch.rand(7, 2, 5)
    before = neurons.Record(torch.zeros(2, 3), torch.full((2, 3), 0.5))
    wanted = neurons.lif(net.layers[0](x), beta=0.8, threshold=2.0, initial=before)
    assert torch.equal(net(x)[0].membrane, wanted.membrane)
    with pytest.raises(ValueError, match=r"v_init must be a share of the threshold, in \[0, 1\], got -1"):
        networks.SNN(nn.Linear(5, 3), beta=0.8, v_init=-1)


def test_channels_last_stays_and_changes_nothing():
    torch.manual_seed(5)
    net, x = networks.csnn(threshold=0.2), torch.rand(3, 2, 1, 28, 28)
    wanted = net(x)
    got = net.to(memory_format=torch.channels_last)(x)
    assert got[1].spikes[0].is_contiguous(memory_format=torch.channels_last)
    assert wanted[3].spikes.any()
    for a, b in zip(wanted, got, strict=True):
        assert torch.equal(a.spikes, b.spikes)
        torch.testing.assert_close(a.membrane, b.membrane)


def test_bundled_weights_read_digits(tmp_path):
    net = weights.trained("single-layer", "fast")
    assert training.accuracy(net, data.mnist(train=False, root="bundled"), lambda x: poisson(x, 20)) > 0.9
    weights.save(net, tmp_path / "w.safetensors", {"seed": 3})
    from safetensors import safe_open

    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert file.metadata() == {"about": '{"seed": 3}'}
        assert torch.equal(file.get_tensor("layers.0.1.weight"), net.layers[0][1].weight)
    with pytest.raises(ValueError, match="has no weights of single-layer's recipe 'nothing', only of fast"):
        weights.trained("single-layer", "nothing")


@pytest.mark.parametrize("recompute", [1, 3, 7, 11])
@pytest.mark.parametrize("constant", [True, False])
def test_recomputing_over_time_changes_nothing_but_memory(recompute, constant):
    torch.manual_seed(5)
    layers = nn.Linear(5, 11), nn.Linear(11, 3)
    nets = [
        networks.SNN(*copy.deepcopy(layers), beta=0.9, threshold=0.3, v_init=0.5, recompute=steps)
        for steps in (None, recompute)
    ]
    x = direct(torch.rand(2, 5), 7) if constant else torch.rand(7, 2, 5)
    records = [net(x)[-1] for net in nets]
    assert records[0].spikes.any() and torch.equal(records[0].spikes, records[1].spikes)
    torch.testing.assert_close(records[0].membrane, records[1].membrane)
    for record in records:
        (record.spikes.sum() + record.membrane.square().sum()).backward()
    for whole, cut in zip(*(net.parameters() for net in nets), strict=True):
        assert whole.grad.any()
        torch.testing.assert_close(whole.grad, cut.grad)


def test_recomputing_keeps_the_membranes_between_and_not_the_steps_they_come_from():
    net = networks.SNN(nn.Linear(5, 11), nn.Linear(11, 2), beta=0.9, recompute=5)
    _, membranes = net._run(torch.rand(5, 3, 5), None, [None, None])
    assert [membrane.untyped_storage().nbytes() for membrane in membranes] == [4 * 3 * 11, 4 * 3 * 2]


def test_recompute_is_a_number_of_steps():
    with pytest.raises(ValueError, match="at least 1, or None, got 0"):
        networks.SNN(nn.Linear(5, 2), beta=0.9, recompute=0)


@pytest.mark.parametrize("constant", [True, False])
def test_a_network_goes_on_from_the_records_of_an_earlier_call(constant):
    torch.manual_seed(3)
    how = dict(beta=[0.9, 0.7], threshold=[0.3, 0.2], reset=["zero", "subtract"], v_init=0.5)
    net = networks.SNN(nn.Linear(5, 11), nn.Linear(11, 3), **how)
    x = direct(torch.rand(2, 5), 9) if constant else torch.rand(9, 2, 5)
    whole = net(x)
    first = net(x[:4])
    rest = net(x[4:], initial=first)
    streamed = [records for records in net.stream(x[4:], 2, initial=first)]
    for i, record in enumerate(whole):
        assert record.spikes[4:].any() and record.spikes[4:].mean() < 1
        assert torch.equal(torch.cat([first[i].spikes, rest[i].spikes]), record.spikes)
        assert torch.equal(torch.cat([records[i].spikes for records in streamed]), rest[i].spikes)
    (rest[-1].spikes.sum() + rest[-1].membrane.sum()).backward()
    cut = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    (whole[-1].spikes[4:].sum() + whole[-1].membrane[4:].sum()).backward()
    for got, wanted in zip(cut, (p.grad for p in net.parameters()), strict=True):
        torch.testing.assert_close(got, wanted)


def test_a_network_goes_on_with_recomputing_too():
    torch.manual_seed(3)
    layers, x = (nn.Linear(5, 11), nn.Linear(11, 3)), torch.rand(9, 2, 5)
    plain, frugal = (networks.SNN(*layers, beta=0.9, threshold=0.3, recompute=steps) for steps in (None, 2))
    first = plain(x[:4])
    wanted, got = plain(x[4:], initial=first)[-1], frugal(x[4:], initial=first)[-1]
    assert wanted.spikes.any() and torch.equal(got.spikes, wanted.spikes)


def test_records_that_do_not_fit_are_refused():
    net = networks.SNN(nn.Linear(5, 11), nn.Linear(11, 3), beta=0.9)
    records = net(torch.rand(4, 2, 5))
    with pytest.raises(
        ValueError, match=r"SNN: initial must be the list of Records .* one a layer \(2\), got a list of 1"
    ):
        net(torch.rand(4, 2, 5), initial=records[-1:])
    with pytest.raises(ValueError, match=r"one a layer \(2\), got a Record of 2"):
        net(torch.rand(4, 2, 5), initial=records[-1])
    with pytest.raises(ValueError, match=r"lif: initial must be the Record of a step of shape \[3, 11\]"):
        net(torch.rand(4, 3, 5), initial=records)


@pytest.mark.parametrize("name", ["beta", "threshold", "reset", "spike"])
def test_settings_of_each_layer_are_as_many_as_the_layers(name):
    value = {"beta": 0.9, "threshold": 1.0, "reset": "zero", "spike": fast_sigmoid()}[name]
    with pytest.raises(ValueError, match=rf"SNN: {name} must be one, or one a layer \(2\), got 3"):
        networks.SNN(nn.Linear(5, 11), nn.Linear(11, 3), **{"beta": 0.9, name: [value] * 3})
