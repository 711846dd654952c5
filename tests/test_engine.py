"""What makes the neuron and the network quick, or lets them be learnt, must not make them wrong without a word."""

import re

import pytest
import snntorch
import torch
from torch import nn

from snn_helpers import networks, surrogates
from snn_helpers.encoding import direct
from snn_helpers.engine import kernels, pooling
from snn_helpers.engine.checks import RESETS
from snn_helpers.neurons import Record, lif, lif_step

SPIKE = surrogates.fast_sigmoid(5)


def currents(shape, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    return (0.4 + 0.8 * torch.randn(shape, generator=draw, dtype=dtype)).requires_grad_()


def stepped(current, before=None, **neuron):
    """``lif`` by ``lif_step``, one step after the other."""
    membrane = torch.zeros_like(current[0]) if before is None else before
    steps = []
    for i in current.unbind(0):
        spikes, membrane = lif_step(i, membrane, **neuron)
        steps.append((spikes, membrane))
    return Record(*map(torch.stack, zip(*steps, strict=True)))


def weighted(record):
    """A loss that sees every spike and membrane with a weight of its own."""
    return sum((part * torch.arange(part.numel()).view(part.shape).cos()).sum() for part in record)


def settings(net):
    return [parameter.grad for parameter in net.parameters()]


# ---- blocks of neurons


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("block", [1, 7, 50, 10**9])
@pytest.mark.parametrize("large", [1, 10**9])
def test_blocks_of_any_size_give_the_same(reset, block, large, monkeypatch):
    current, before = currents((11, 5, 3, 7)), currents((5, 3, 7), 1)
    neuron = dict(beta=0.85, threshold=0.9, reset=reset, spike=SPIKE)
    wanted = stepped(current, before, **neuron)
    wanted_grads = torch.autograd.grad(weighted(wanted), (current, before))
    monkeypatch.setattr(kernels, "BLOCK", block)
    monkeypatch.setattr(kernels, "LARGE", large)
    got = lif(current, initial=Record(None, before), **neuron)
    assert torch.equal(got.spikes, wanted.spikes) and torch.equal(got.membrane, wanted.membrane)
    assert 0.1 < got.spikes.mean() < 0.9
    torch.testing.assert_close(torch.autograd.grad(weighted(got), (current, before)), wanted_grads)


@pytest.mark.parametrize("shape", [(5,), (131, 1024), (3, 2, 40_000), (2, 3, 70_000), (0, 4)])
def test_blocks_are_small_and_make_up_the_whole(shape):
    x = torch.arange(float(torch.Size(shape).numel())).view(shape)
    parts = kernels.blocks(x)
    assert all(part.numel() <= kernels.BLOCK for part in parts)
    assert torch.equal(torch.cat([part.flatten() for part in parts]), x.flatten())
    assert all(part.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() for part in parts)


def test_a_nan_in_the_last_block_is_found():
    current = torch.zeros(3, 2, 70_000)
    current[1, 1, -1] = torch.nan
    with pytest.raises(ValueError, match="became NaN"):
        lif(current, beta=0.5)


# ---- learnt beta and threshold


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("shape", [(), (5,), (3, 5)], ids=["one for all", "one a neuron", "one a neuron and image"])
def test_a_learnt_beta_and_threshold_get_the_gradient_of_their_equation(reset, shape):
    current = currents((7, 3, 5))
    beta, threshold = (nn.Parameter(torch.rand(shape, dtype=torch.float64) * 0.5 + low) for low in (0.4, 0.6))
    neuron = dict(beta=beta, threshold=threshold, reset=reset, spike=SPIKE)
    got, wanted = (run(current, **neuron) for run in (lif, stepped))
    assert torch.equal(got.spikes, wanted.spikes) and torch.equal(got.membrane, wanted.membrane)
    each = [torch.autograd.grad(weighted(record), (current, beta, threshold)) for record in (got, wanted)]
    torch.testing.assert_close(*each)
    assert all(grad.any() for grad in each[0])
    fixed = lif(current, **neuron | dict(beta=beta.detach(), threshold=threshold.detach()))
    assert torch.equal(fixed.spikes, got.spikes) and torch.equal(fixed.membrane, got.membrane)


@pytest.mark.parametrize("reset", RESETS)
def test_learnt_as_in_snntorch(reset):
    theirs = snntorch.Leaky(
        beta=0.8,
        threshold=0.7,
        learn_beta=True,
        learn_threshold=True,
        reset_mechanism=reset,
        spike_grad=snntorch.surrogate.fast_sigmoid(slope=5),
    )
    current = currents((7, 3, 5), dtype=torch.float32)
    membrane, spikes = theirs.init_leaky(), []
    for i in current.unbind(0):
        spike, membrane = theirs(i, membrane)
        spikes.append(spike)
    torch.stack(spikes).cumsum(0).sum().backward()
    beta, threshold = nn.Parameter(torch.tensor(0.8)), nn.Parameter(torch.tensor(0.7))
    record = lif(current, beta=beta, threshold=threshold, reset=reset, spike=SPIKE)
    record.spikes.cumsum(0).sum().backward()
    assert torch.equal(record.spikes, torch.stack(spikes))
    torch.testing.assert_close([beta.grad, threshold.grad], [theirs.beta.grad, theirs.threshold.grad])


def test_a_network_learns_what_is_a_parameter():
    torch.manual_seed(0)
    beta = [nn.Parameter(torch.tensor(0.9)), nn.Parameter(torch.full((5,), 0.8))]
    net = networks.SNN(nn.Linear(11, 7), nn.Linear(7, 5), beta=beta, threshold=nn.Parameter(torch.tensor(0.5)))
    assert {"beta_0", "beta_1", "threshold"} < dict(net.named_parameters()).keys()
    assert "beta=[0.9, one of [5] each], threshold=0.5" in repr(net)
    x = torch.rand(13, 3, 11)
    weighted(net(x)[-1]).backward()
    assert all(grad is not None and grad.any() for grad in settings(net))
    hidden = lif(net.layers[0](x), beta=0.9, threshold=0.5)
    wanted = lif(net.layers[1](hidden.spikes), beta=torch.full((5,), 0.8), threshold=0.5)
    assert torch.equal(net(x)[-1].spikes, wanted.spikes) and wanted.spikes.any()
    with torch.no_grad():
        beta[0].fill_(1.3)  # as an optimizer may
    held = lif(net.layers[0](x), beta=1.0, threshold=0.5)
    torch.testing.assert_close(net(x)[0].membrane, held.membrane)
    # whichever way it is put there
    loaded = {name: value.detach().clone() for name, value in net.named_parameters()} | {"beta_0": torch.tensor(0.3)}
    wanted = lif(net.layers[0](x), beta=0.3, threshold=0.5).membrane
    torch.testing.assert_close(torch.func.functional_call(net, loaded, (x,))[0].membrane, wanted)
    net.load_state_dict(loaded, assign=True)
    torch.testing.assert_close(net(x)[0].membrane, wanted)


@pytest.mark.parametrize(
    "options, error, words",
    [
        (dict(beta=[0.9]), ValueError, r"beta must be one, or one a layer \(2\), got 1"),
        (dict(beta=torch.rand(5)), TypeError, r"beta must be a number or an nn\.Parameter, got a tensor"),
        (dict(beta=nn.Parameter(torch.tensor(20.0))), ValueError, r"SNN: beta must be in \[0, 1\], got 20"),
        (dict(beta=0.9, threshold=[1.0, -1.0]), ValueError, "SNN: threshold must be a finite number above 0, got -1"),
    ],
)
def test_wrong_settings_of_a_network(options, error, words):
    with pytest.raises(error, match=words):
        networks.SNN(nn.Linear(3, 5), nn.Linear(5, 5), **options)


@pytest.mark.parametrize(
    "beta, words",
    [
        (torch.tensor([0.5, 1.5, 0.2]), r"beta must be in \[0, 1\], got 1\.5"),
        (torch.tensor([0.5, -0.5, 0.2]), r"beta must be in \[0, 1\], got -0\.5"),
        (torch.rand(4), r"beta must be one number, or fit a step of shape \[2, 3\], got \[4\]"),
        (torch.rand(7, 2, 3), r"fit a step of shape \[2, 3\], got \[7, 2, 3\]"),
    ],
)
def test_a_tensor_of_settings_that_does_not_fit(beta, words):
    with pytest.raises(ValueError, match=words):
        lif(torch.rand(7, 2, 3), beta=beta)


# ---- no silent wrong answer


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("part", Record._fields)
def test_a_record_that_was_changed_does_not_give_a_wrong_gradient(layer, part):
    net = networks.SNN(nn.Linear(11, 7), nn.Linear(7, 5), beta=0.9, threshold=0.3)
    records = net(torch.rand(40, 3, 11))
    loss = records[-1].spikes.sum() + records[-1].membrane.sum()
    with torch.no_grad():
        getattr(records[layer], part).mul_(0.5)
    if part == "spikes" and layer == 1:
        loss.backward()  # nothing needs them any more
        return
    with pytest.raises(RuntimeError, match=r"modified (by an )?inplace"):
        loss.backward()


def test_each_layer_is_called_once_and_a_batchnorm_counts_once():
    net = networks.SNN(nn.Sequential(nn.Linear(11, 7), nn.BatchNorm1d(7)), nn.Linear(7, 5), beta=0.9, threshold=0.3)
    calls = []
    net.layers[1].register_forward_hook(lambda *_: calls.append(1))
    x = torch.rand(29, 3, 11)
    net(x)
    assert calls == [1] and net.layers[0][1].num_batches_tracked == 1
    seen = net.layers[0][0](x.flatten(0, 1))
    torch.testing.assert_close(net.layers[0][1].running_mean, 0.1 * seen.mean(0))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("out of memory"), RuntimeError("my own words"), KeyError("x")]
)
def test_an_error_of_the_users_own_layer_stays_what_it_is(error):
    class Mine(nn.Module):
        def forward(self, x):
            raise error

    with pytest.raises(type(error)) as found:
        networks.SNN(Mine(), beta=0.9)(torch.rand(7, 2, 5))
    assert found.value is error


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Linear(5, 3), (7, 2, 4)),
        (nn.Conv2d(2, 3, 3), (7, 2, 1, 9, 9)),
        (nn.Conv2d(1, 3, 3), (7, 2, 9)),
        (nn.Sequential(nn.Flatten(-3), nn.Linear(12, 3)), (7, 2, 12)),
        (nn.BatchNorm1d(5), (7, 2, 4)),
        (nn.Linear(4, 3, device="meta"), (7, 2, 4)),
    ],
    ids=str,
)
def test_what_a_layer_raises_says_which_layer_and_what_it_was_given(layer, shape):
    net = networks.SNN(nn.Identity(), layer, beta=0.9)
    words = rf"by layer 2, given .* is {re.escape(str(list(shape[2:])))}.*the first axis"
    with pytest.raises((RuntimeError, IndexError), match=words):
        net(torch.rand(shape))


def test_settings_that_become_senseless_later_are_refused_at_the_next_call():
    net = networks.SNN(nn.Linear(5, 3), beta=0.9)
    net.neuron["beta"] = 20
    with pytest.raises(ValueError, match=r"SNN: beta must be in \[0, 1\], got 20"):
        net(torch.rand(7, 2, 5))


def test_a_network_and_a_stream_find_a_nan_where_it_arises():
    net = networks.SNN(nn.Linear(5, 3), beta=0.9)
    x = torch.rand(7, 2, 5)
    x[3, 1, 2] = torch.nan
    with pytest.raises(ValueError, match="became NaN"):
        net(x)
    seen = []
    with pytest.raises(ValueError, match="became NaN"):
        for _ in net.stream(x):
            seen.append(1)
    assert len(seen) == 3


# ---- pooling and convolution


@pytest.mark.parametrize("side", [181, 182])  # 32,761 places can be numbered with two bytes, 33,124 cannot
def test_places_that_two_bytes_can_just_number(side):
    x = torch.zeros(1, 1, side, side)
    x[..., -1, -1] = 1
    results = []
    for kind in (nn.MaxPool2d, pooling.MaxPool2d):
        leaf = x.clone().requires_grad_()
        kind(2, ceil_mode=True)(leaf).sum().backward()
        results.append(leaf.grad)
    assert torch.equal(*results) and results[0][..., -1, -1] == 1


@pytest.mark.parametrize("at_once", [1, 3, 10])
def test_a_few_images_at_a_time_is_the_same(at_once, monkeypatch):
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 3, 3).double(), nn.Tanh()
    monkeypatch.setattr(pooling.Chunked, "images", at_once)
    x = currents((7, 2, 5, 5))
    found = []
    for kind in (nn.Sequential, pooling.Chunked):
        y = kind(*layers)(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), (x, *layers[0].parameters()))])
    torch.testing.assert_close(*found)


def test_the_input_that_does_not_change_is_hoisted_in_a_piece_too():
    net = networks.SNN(nn.Linear(5, 3), beta=0.9)
    image = torch.rand(2, 5)
    whole = net(direct(image, 7))[0]
    pieces = [records[0].membrane for records in net.stream(direct(image, 7), 3)]
    assert torch.equal(torch.cat(pieces), whole.membrane)
