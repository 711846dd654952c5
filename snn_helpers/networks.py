"""Spiking networks: weights, then the neuron, repeated. No state between calls: same input, same output."""

import json
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from snn_helpers import assets, checkpoints
from snn_helpers.memory import empty_steps
from snn_helpers.neurons import Record, check_finite, lif, lif_piece
from snn_helpers.surrogates import atan, fast_sigmoid


class SNN(nn.Module):
    """Layers of weights, each followed by LIF neurons: ``SNN(nn.Linear(784, 10), beta=0.9)(x) -> [Record]``.

    Parameters
    ----------
    layers : modules without state that turn [B, ...] into a current [B, ...] (a Linear, or a Sequential of
        Conv2d and MaxPool2d); they see several time steps at once, folded into the batch
    beta, threshold, reset, spike : of all neurons, as in ``neurons.lif``
    v_init : membrane before the first step, as a share of the threshold; 0 is rest

    Called on x [T, B, ...] it returns one Record (spikes and membrane [T, B, ...]) a layer, the last is the output.
    Raises ValueError for an input that has not got the axes its layers need, and as ``neurons.lif`` does.

    Two things make it fast, and change nothing. All layers go through a few steps at a time, handing their membranes
    on, so that what one layer writes is still in the processor's cache when the next one reads it. And an input that
    does not change (``encoding.direct``, a view with time stride 0) goes through the first layer once, not T times:
    the same function, and the same gradients up to float order.
    """

    def __init__(self, *layers, beta, threshold=1.0, reset="subtract", spike=fast_sigmoid(), v_init=0.0):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.neuron = dict(beta=beta, threshold=threshold, reset=reset, spike=spike)
        self.v_init = v_init
        lif(torch.zeros(1, 1), **self.neuron)  # a wrong beta is an error here, not at the first image
        if not 0 <= v_init <= 1:
            raise ValueError(f"SNN: v_init must be a share of the threshold, in [0, 1], got {v_init:g}.")

    def forward(self, x):
        if not torch.is_tensor(x) or x.ndim < 3:
            shape = list(x.shape) if torch.is_tensor(x) else type(x).__name__
            raise ValueError(
                f"SNN: input must be [T, B, ...], time first, then the batch, got {shape}. Encode the images first."
            )
        constant = self._current(0, x[:1]) if x.stride(0) == 0 else None
        states = [None] * len(self.layers)
        wholes, pieces = [None] * len(self.layers), [[] for _ in self.layers]
        start = 0
        for signal in x.split(self._steps_at_once(x)):
            end = start + len(signal)
            for i, state in enumerate(states):
                if i == 0 and constant is not None:
                    current = constant.expand(len(signal), *constant.shape[1:])
                else:
                    current = self._current(i, signal)
                if start == 0:
                    state = torch.full_like(current[0], self.v_init * self.neuron["threshold"])
                    wholes[i] = Record(*(empty_steps(len(x), current[0]) for _ in Record._fields))
                out = Record(*(whole.data[start:end] for whole in wholes[i]))
                piece, states[i] = lif_piece(current, state, out, **self.neuron)
                pieces[i].append(piece)
                signal = piece.spikes
            start = end
        for membrane in states:
            check_finite(membrane)
        return [_joined(whole, parts) for whole, parts in zip(wholes, pieces, strict=True)]

    def _steps_at_once(self, x):
        """So many that the input, and the current of the first layer, take about 8 MB."""
        with torch.no_grad():
            image = self._current(0, x[:1, :1])
        return max(1, 2_000_000 // (x.shape[1] * max(x[0, 0].numel(), image.numel())))

    def _current(self, i, x):
        """What layer i makes of x [t, B, ...]: time folded into the batch, for it has no state."""
        try:
            # back to x's own precision: under torch.autocast a layer gives bfloat16, membranes stay float32
            return self.layers[i](x.flatten(0, 1)).unflatten(0, x.shape[:2]).to(x.dtype)
        except (RuntimeError, IndexError) as error:
            raise ValueError(
                f"SNN: layer {i} ({_name(self.layers[i])}) cannot take [T, B, ...] where ... is {list(x.shape[2:])}: "
                f"{error}. Is time the first axis? Encode the images first, or unsqueeze(1) for a batch of one."
            ) from error

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
    net = SNN(*layers, beta=beta, threshold=threshold, reset=reset, spike=spike)
    return net.to(memory_format=torch.channels_last)  # convolves and pools several times as fast on a CPU


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


def save_weights(net, path, about, *, dtype=None):
    """Write the weights of ``net`` as safetensors; ``about``, a dict that JSON can hold, goes into the header.

    dtype : torch.float16 to store them in half the room; they come back as the network's own precision
    """
    tensors = {name: tensor.to(dtype).cpu().contiguous() for name, tensor in net.state_dict().items()}
    checkpoints.write(path, safetensors.torch.save(tensors, {"about": json.dumps(about)}))


def load_weights(net, path):
    """Fill ``net`` with the weights of a file of ``save_weights``, and return it.

    Raises FileNotFoundError if there is none, ValueError, with its name, if it is damaged or of another network.
    """
    content = Path(path).read_bytes()
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"load_weights: {path} is damaged, or no safetensors file ({error}).") from error
    found = {name: list(tensor.shape) for name, tensor in tensors.items()}
    wanted = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    if found != wanted:
        raise ValueError(f"load_weights: {path} is of another network: it holds {found}, wanted {wanted}.")
    net.load_state_dict(tensors)
    return net


def weights(name):
    """The bundled weights of a recorded run, ready for ``net.load_state_dict``. Raises ValueError for another name.

    >>> list(weights("single-layer-fast"))
    ['layers.0.1.weight']
    """
    return safetensors.torch.load(assets.read(f"{name}.safetensors"))


class _Joined(torch.autograd.Function):
    """``_Joined.apply(whole, *pieces)``: whole, which the pieces were written into; its gradient goes to the pieces."""

    @staticmethod
    def forward(ctx, whole, *pieces):
        ctx.lengths = [len(piece) for piece in pieces]
        return whole.detach()

    @staticmethod
    def backward(ctx, grad):
        return None, *grad.split(ctx.lengths)


def _joined(whole, pieces):
    return Record(*(_Joined.apply(w, *parts) for w, parts in zip(whole, zip(*pieces, strict=True), strict=True)))


def _name(layer):
    return type(layer[-1] if isinstance(layer, nn.Sequential) else layer).__name__
