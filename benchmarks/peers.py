"""The same networks in four libraries: the same weights, neuron, surrogate and loss, each spelled as its users would.

All neurons have beta = 1/2 (exact in binary, so that libraries that round at other places still agree), threshold 1,
reset to 0 without a gradient, and the arc tangent's derivative; Norse has no such surrogate, so it is held against
this package with the one that it has. Needs the extra ``bench``.
"""

import contextlib
import copy

import norse.torch as norse
import snntorch
import torch
import torch.nn.functional as F
from snntorch import spikegen, surrogate
from spikingjelly.activation_based import encoding as jelly_encoding
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based import surrogate as jelly_surrogate
from torch import nn

from snn_helpers import encoding, networks, surrogates

BETA = 0.5
LAYERS = {
    "single layer": lambda: [nn.Sequential(nn.Flatten(-3), nn.Linear(784, 10))],
    "hidden layer": lambda: [nn.Sequential(nn.Flatten(-3), nn.Linear(784, 256)), nn.Linear(256, 10)],
    "CSNN": lambda: list(networks.csnn().layers),
}


def plain(layers):
    """The same layers with torch's own pooling, as another library's user would write them."""
    layers = copy.deepcopy(layers)
    for weights in layers:
        if isinstance(weights[-1] if isinstance(weights, nn.Sequential) else weights, nn.MaxPool2d):
            weights[-1] = nn.MaxPool2d(2)
    return layers


def jelly_neuron():
    """The neuron of this comparison in SpikingJelly."""
    return neuron.LIFNode(
        tau=1 / (1 - BETA),
        decay_input=False,
        detach_reset=True,
        surrogate_function=jelly_surrogate.ATan(alpha=2.0),
        step_mode="m",
    )


class Ours(nn.Module):
    """This package; ``precision`` as in a recipe."""

    def __init__(self, layers, spike=None, precision=torch.float32, recompute=None):
        super().__init__()
        options = dict(beta=BETA, reset="zero", spike=spike or surrogates.atan(2.0), recompute=recompute)
        self.net = networks.SNN(*copy.deepcopy(layers), **options)
        self.precision = precision

    def encode(self, images, steps):
        return encoding.poisson(images, steps)

    def forward(self, x):
        return self.net(x)[-1].spikes


class SnnTorch(nn.Module):
    """The loop over time steps of snnTorch's tutorials 5 and 6; ``options`` change its neuron."""

    def __init__(self, layers, **options):
        super().__init__()
        self.layers = nn.ModuleList(plain(layers))
        cell = dict(beta=BETA, reset_mechanism="zero", spike_grad=surrogate.atan(alpha=2.0)) | options
        self.neurons = nn.ModuleList(snntorch.Leaky(**cell) for _ in layers)

    def encode(self, images, steps):
        return spikegen.rate(images, num_steps=steps)

    def forward(self, x):
        membranes = [cell.init_leaky() for cell in self.neurons]
        spikes = []
        for step in range(len(x)):
            signal = x[step]
            for i, (weights, cell) in enumerate(zip(self.layers, self.neurons, strict=True)):
                signal, membranes[i] = cell(weights(signal), membranes[i])
            spikes.append(signal)
        return torch.stack(spikes)


class SpikingJelly(nn.Module):
    """SpikingJelly 2 in multi-step mode, its quick way on a CPU."""

    def __init__(self, layers):
        super().__init__()
        parts = []
        for weights in plain(layers):
            parts += [layer.SeqToANNContainer(weights), jelly_neuron()]
        self.net = nn.Sequential(*parts)
        self.encoder = jelly_encoding.PoissonEncoder(step_mode="m")

    def encode(self, images, steps):
        return self.encoder(images.expand(steps, *images.shape))

    def forward(self, x):
        functional.reset_net(self.net)
        return self.net(x)


class Norse(nn.Module):
    """Norse's cell without a synapse, in a loop. It scales its input by 1 - beta, which is undone here."""

    spike = surrogates.fast_sigmoid(1.0)  # what its "super" is, whatever its alpha

    def __init__(self, layers):
        super().__init__()
        parameters = norse.LIFBoxParameters(
            tau_mem_inv=torch.tensor(1 - BETA),
            alpha=torch.tensor(1.0),
            reset_method=lambda z, v, v_reset, v_th: (1 - z.detach()) * v,
        )
        self.layers = nn.ModuleList(plain(layers))
        self.neurons = nn.ModuleList(norse.LIFBoxCell(parameters, dt=1.0) for _ in layers)

    def encode(self, images, steps):
        return norse.poisson_encode(images, steps, f_max=1, dt=1)

    def forward(self, x):
        states = [None] * len(self.layers)
        spikes = []
        for step in range(len(x)):
            signal = x[step]
            for i, (weights, cell) in enumerate(zip(self.layers, self.neurons, strict=True)):
                signal, states[i] = cell(weights(signal) / (1 - BETA), states[i])
            spikes.append(signal)
        return torch.stack(spikes)


def loss_of(net, x, labels):
    """Cross entropy of the spike counts."""
    precision = getattr(net, "precision", torch.float32)
    with torch.autocast("cpu", precision) if precision != torch.float32 else contextlib.nullcontext():
        return F.cross_entropy(net(x).sum(0), labels)


def must_agree(ours, theirs, x, labels):
    """Raise AssertionError unless both give the same spikes, and gradients that differ by rounding alone."""
    name = type(theirs).__name__
    with torch.no_grad():
        a, b = ours(x), theirs(x)
    assert a.any() and not a.all(), "a network that is silent, or always fires, shows nothing"
    apart = (a != b).double().mean().item()
    # a membrane that lies on the threshold but for its last bit may fall to either side
    assert apart <= 1e-3, f"{name}: {apart:.2%} of the output spikes differ"
    grads = []
    for net in (ours, theirs):
        net.zero_grad()
        loss_of(net, x, labels).backward()
        grads.append([p.grad for p in net.parameters()])
    for g, h in zip(*grads, strict=True):
        distance = ((g - h).norm() / g.norm()).item()
        # where a hidden spike falls to the other side, so do the gradients of its weights
        assert distance <= 2e-2, f"{name}: a gradient is off by {distance:.2e} of its length"
    return apart
