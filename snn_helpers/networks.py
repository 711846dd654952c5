"""Spiking networks: weights, then the neuron, repeated. No state between calls: same input, same output."""

import json

import safetensors.torch
import torch
from torch import nn

from snn_helpers import assets
from snn_helpers.neurons import lif
from snn_helpers.surrogates import atan, fast_sigmoid


class SNN(nn.Module):
    """Layers of weights, each followed by LIF neurons: ``SNN(nn.Linear(784, 10), beta=0.9)(x) -> [Record]``.

    Parameters
    ----------
    layers : modules without state that turn [B, ...] into a current [B, ...] (a Linear, or a Sequential of
        Conv2d and MaxPool2d); they see all time steps at once, folded into the batch
    beta, threshold, reset, spike : of all neurons, as in ``neurons.lif``

    An input that does not change (``encoding.direct``, a view with time stride 0) goes through the first layer once,
    not T times: the same function, and the same gradients up to float order.

    Called on x [T, B, ...] it returns one Record (spikes and membrane [T, B, ...]) a layer, the last is the output.
    Raises ValueError for an input that has not got the axes its layers need, and as ``neurons.lif`` does.
    """

    def __init__(self, *layers, beta, threshold=1.0, reset="subtract", spike=fast_sigmoid()):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.neuron = dict(beta=beta, threshold=threshold, reset=reset, spike=spike)
        lif(torch.zeros(1, 1), **self.neuron)  # a wrong beta is an error here, not at the first image

    def forward(self, x):
        if not torch.is_tensor(x) or x.ndim < 3:
            shape = list(x.shape) if torch.is_tensor(x) else type(x).__name__
            raise ValueError(
                f"SNN: input must be [T, B, ...], time first, then the batch, got {shape}. Encode the images first."
            )
        records = []
        for i, layer in enumerate(self.layers):
            try:
                current = _over_time(layer, x)
            except (RuntimeError, IndexError) as error:
                raise ValueError(
                    f"SNN: layer {i} ({_name(layer)}) cannot take [T, B, ...] = {list(x.shape)}: {error}. "
                    "Is time the first axis? Encode the images first, or unsqueeze(1) for a batch of one."
                ) from error
            records.append(lif(current, **self.neuron))
            x = records[-1].spikes
        return records

    def extra_repr(self):
        return ", ".join(f"{name}={getattr(value, 'name', value)}" for name, value in self.neuron.items())


def single_layer(*, beta=0.5, threshold=1.0, reset="zero", spike=atan()):
    """784 pixels to 10 neurons without bias: [T, B, 1, 28, 28] -> [Record with [T, B, 10]].

    The network of SpikingJelly's first MNIST tutorial. Its neuron, tau = 2 with a decayed input, is this one with
    beta = 1 - 1/2 and the input divided by 2.
    """
    return SNN(
        nn.Sequential(nn.Flatten(-3), nn.Linear(784, 10, bias=False)),
        beta=beta,
        threshold=threshold,
        reset=reset,
        spike=spike,
    )


def hidden_layer(hidden=256, *, beta=0.9, threshold=1.0, reset="subtract", spike=fast_sigmoid()):
    """784 pixels, ``hidden`` neurons, 10 neurons: [T, B, 1, 28, 28] -> [Record [T, B, hidden], Record [T, B, 10]]."""
    layers = nn.Sequential(nn.Flatten(-3), nn.Linear(784, hidden)), nn.Linear(hidden, 10)
    return SNN(*layers, beta=beta, threshold=threshold, reset=reset, spike=spike)


def csnn(*, beta=0.5, threshold=1.0, reset="subtract", spike=fast_sigmoid()):
    """Two convolutions with max-pooling, 512 neurons, 10 neurons: [T, B, 1, 28, 28] -> four Records.

    The layers and the neuron of ManiMajd89's convolutional SNN on snnTorch; pooling comes before the spike. The
    Records are [T, B, 32, 14, 14], [T, B, 64, 7, 7], [T, B, 512] and [T, B, 10].
    """
    layers = (
        nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.MaxPool2d(2)),
        nn.Sequential(nn.Flatten(-3), nn.Linear(3136, 512)),
        nn.Linear(512, 10),
    )
    return SNN(*layers, beta=beta, threshold=threshold, reset=reset, spike=spike)


def mlp(hidden=256):
    """The ANN twin of ``hidden_layer``: the same weights, ReLU for the neurons, [B, 1, 28, 28] -> scores [B, 10]."""
    return nn.Sequential(nn.Flatten(-3), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def cnn():
    """A CNN that can be turned into spikes, [B, 1, 28, 28] -> scores [B, 10]: ReLU, average pooling, no bias.

    The layers of MathWorks' example "Convert Convolutional Network to Spiking Neural Network", after Diehl et al. 2015.
    """
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(12, 64, 5, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(-3),
        nn.Linear(1024, 10, bias=False),
    )


def save_weights(net, path, about):
    """Write the weights of ``net`` as safetensors; ``about``, a dict that JSON can hold, goes into the header."""
    safetensors.torch.save_file(net.state_dict(), path, metadata={"about": json.dumps(about)})


def weights(name):
    """The bundled weights of a recorded run, ready for ``net.load_state_dict``. Raises ValueError for another name.

    >>> list(weights("single-layer-fast"))
    ['layers.0.1.weight']
    """
    return safetensors.torch.load(assets.read(f"{name}.safetensors"))


def _over_time(layer, x):
    """What a layer without state makes of x [T, B, ...]: time folded into the batch, or one step for all if x stays."""
    if x.stride(0) == 0:
        current = layer(x[0])
        return current.expand(len(x), *current.shape)
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _name(layer):
    return type(layer[-1] if isinstance(layer, nn.Sequential) else layer).__name__
