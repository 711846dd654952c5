"""The neuron as a module: in a Sequential, with and without state, beside snnTorch's, and through torch's own tools."""

import copy
import io
import pickle

import pytest
import snntorch
import torch
from torch import nn

from snn_helpers import networks
from snn_helpers.neurons import LIF, lif
from snn_helpers.surrogates import atan, fast_sigmoid


def current(steps=7, batch=3, count=5, seed=0):
    return torch.rand(steps, batch, count, generator=torch.Generator().manual_seed(seed))


def network(**settings):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 11), LIF(0.9, threshold=0.3), nn.Linear(11, 4), LIF(0.8, **settings))


def test_in_a_sequential_it_is_the_network_of_its_layers():
    net = network(threshold=0.2)
    whole = networks.SNN(net[0], net[2], beta=[0.9, 0.8], threshold=[0.3, 0.2])
    x, y = current().requires_grad_(), current().requires_grad_()
    spikes, wanted = net(x), whole(y)[-1].spikes
    assert spikes.any() and torch.equal(spikes, wanted)
    spikes.sum().backward(), wanted.sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_it_forgets_between_calls_unless_it_is_asked_not_to():
    x = current()
    forgets, remembers = LIF(0.9), LIF(0.9, stateful=True)
    wanted = lif(x, beta=0.9).spikes
    assert wanted[3:].any()
    assert torch.equal(torch.cat([forgets(x), forgets(x)]), torch.cat([wanted, wanted]))
    assert torch.equal(torch.cat([remembers(x[:3]), remembers(x[3:])]), wanted)
    assert not torch.equal(remembers(x), wanted)
    remembers.restart()
    assert torch.equal(remembers(x), wanted) and not remembers.state_dict()
    learner = x.clone().requires_grad_()
    remembers.restart()
    remembers(learner)
    remembers(x.clone().requires_grad_()).sum().backward()
    assert learner.grad is None


def test_what_it_learns_is_a_parameter_and_is_held_in_its_range():
    neuron = LIF(nn.Parameter(torch.tensor(0.9)), threshold=nn.Parameter(torch.full((5,), 0.4)))
    assert {name: tuple(p.shape) for name, p in neuron.named_parameters()} == {"beta": (), "threshold": (5,)}
    neuron(current()).sum().backward()
    assert neuron.beta.grad != 0 and neuron.threshold.grad.all()
    with torch.no_grad():
        neuron.beta.fill_(1.3)
    assert torch.equal(neuron(current()), lif(current(), beta=1.0, threshold=0.4).spikes)


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(beta=5), r"LIF: beta must be in \[0, 1\], got 5"),
        (dict(beta=0.5, threshold=0), "LIF: threshold must be a finite number above 0"),
        (dict(beta=0.5, reset="soft"), "LIF: reset must be"),
        (dict(beta=0.5, spike=2), "LIF: spike must be a Surrogate"),
    ],
)
def test_senseless_settings_are_refused_at_once(settings, words):
    with pytest.raises((ValueError, TypeError), match=words):
        LIF(**settings)


def test_it_is_copied_pickled_and_saved_whole():
    net, x = network(), current()
    for again in copy.deepcopy(net), pickle.loads(pickle.dumps(net)), saved(net):
        assert torch.equal(again(x), net(x)) and repr(again) == repr(net)


def saved(net):
    buffer = io.BytesIO()
    torch.save(net, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


def test_its_repr_says_its_settings():
    assert repr(LIF(0.9, spike=atan(2.0))) == "LIF(beta=0.9, threshold=1.0, reset=subtract, spike=atan(alpha=2))"


class Leaky(nn.Module):
    """A neuron of snnTorch on [T, ...]."""

    def __init__(self):
        super().__init__()
        self.neuron = snntorch.Leaky(beta=0.8, spike_grad=snntorch.surrogate.fast_sigmoid(slope=25))

    def forward(self, x):
        membrane, spikes = self.neuron.init_leaky(), []
        for step in x:
            spike, membrane = self.neuron(step, membrane)
            spikes.append(spike)
        return torch.stack(spikes)


def test_a_neuron_of_snntorch_stands_beside_it():
    ours = network(spike=fast_sigmoid(25))
    mixed = nn.Sequential(*copy.deepcopy(ours)[:3], Leaky())
    with torch.no_grad():
        for net in ours, mixed:
            net[2].weight.mul_(9)
    x, y = current().requires_grad_(), current().requires_grad_()
    assert ours(x).any() and torch.equal(ours(x), mixed(y))
    ours(x).sum().backward(), mixed(y).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_a_surrogate_of_snntorch_stands_in_for_ours():
    x, y = current().requires_grad_(), current().requires_grad_()
    ours, theirs = LIF(0.9, 0.3, spike=fast_sigmoid(25)), LIF(0.9, 0.3, spike=snntorch.surrogate.fast_sigmoid(slope=25))
    assert ours(x).any() and torch.equal(ours(x), theirs(y))
    ours(x).sum().backward(), theirs(y).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_torch_func_calls_it():
    net, x = network(), current()
    weights = dict(net.named_parameters())

    def loss(weights):
        return torch.func.functional_call(net, weights, (x,)).sum()

    wanted = torch.autograd.grad(loss(weights), weights.values())
    for got, right in zip(torch.func.grad(loss)(weights).values(), wanted, strict=True):
        torch.testing.assert_close(got, right)


@torch.no_grad()
def test_torch_compile_and_export_keep_its_spikes():
    net, x = network(threshold=0.2), current()
    assert net(x).any()
    assert torch.equal(torch.compile(net, backend="eager")(x), net(x))
    assert torch.equal(torch.export.export(net, (x,)).module()(x), net(x))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*deprecated")  # torch warns of its own
def test_what_torch_func_cannot_do_with_it_is_refused_in_words():
    net, x = network(), current()
    with pytest.raises(RuntimeError, match=r"lif: torch\.func\.vmap is not for it"):
        torch.func.vmap(net)(x[None])
    with pytest.raises(RuntimeError, match="lif: has no forward-mode derivative"):
        torch.func.jvp(net, (x,), (x,))
