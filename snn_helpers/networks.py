"""Spiking networks: weights, then the neuron, repeated. No state between calls: same input, same output."""

import json
import re
from pathlib import Path

import safetensors.torch
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint as recomputed

from snn_helpers import assets, checkpoints
from snn_helpers.neurons import Record, check_neuron, lif_piece
from snn_helpers.pooling import Chunked, MaxPool2d
from snn_helpers.surrogates import atan, fast_sigmoid


class SNN(nn.Module):
    """Layers of weights, each followed by LIF neurons: ``SNN(nn.Linear(784, 10), beta=0.9)(x) -> [Record]``.

    Parameters
    ----------
    layers : modules without state that turn [B, ...] into a current [B, ...] (a Linear, or a Sequential of
        Conv2d and MaxPool2d); each is called once, with all time steps folded into the batch
    beta, threshold, reset, spike : of all neurons, as in ``neurons.lif``; beta and threshold may also be lists, one
        entry a layer. An entry that is an nn.Parameter is learnt with the weights; a learnt beta is held in [0, 1]
    v_init : membrane before the first step, as a share of the threshold; 0 is rest
    checkpoint : steps that are remembered at a time, or None for all. The backward pass then runs them a second time,
        from the membranes that were kept between: memory grows with T / checkpoint + checkpoint, least at the square
        root of T (Chen et al. 2016, arXiv 1604.06174), and time by the second run. Only the output is recorded

    Called on x [T, B, ...] it returns one Record (spikes and membrane [T, B, ...]) a layer, the last is the output.
    Raises ValueError for an input that has not got the axes its layers need, and as ``neurons.lif`` does.

    An input that does not change (``encoding.direct``, a view with time stride 0) goes through the first layer once,
    not T times: the same function, and the same gradients up to float order.
    """

    def __init__(
        self, *layers, beta, threshold=1.0, reset="subtract", spike=fast_sigmoid(), v_init=0.0, checkpoint=None
    ):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.neuron = dict(beta=beta, threshold=threshold, reset=reset, spike=spike)
        self.v_init, self.checkpoint = v_init, checkpoint
        for name in "beta", "threshold":
            self._register(name, self.neuron[name])
        for i in range(len(layers)):  # a wrong beta is an error here, not at the first image
            check_neuron("SNN", **self._neuron(i, held=False))
        if not 0 <= v_init <= 1:
            raise ValueError(f"SNN: v_init must be a share of the threshold, in [0, 1], got {v_init:g}.")
        if checkpoint is not None and checkpoint < 1:
            raise ValueError(f"SNN: checkpoint must be a number of steps of at least 1, or None, got {checkpoint}.")

    def forward(self, x):
        _check(x)
        first, states = self._first(x), [None] * len(self.layers)
        if not self.checkpoint:
            return self._run(x, first, states)[0]
        outputs = []
        for piece in x.split(self.checkpoint):
            *output, states = recomputed(self._output, piece, first, states, use_reentrant=False)
            outputs.append(output)
        return [Record(*map(torch.cat, zip(*outputs, strict=True)))]

    def stream(self, x, steps=1):
        """Yield the Records of ``steps`` steps of x at a time; what is not kept of them is forgotten.

        The same spikes as ``net(x)``, for a picture that moves while the network runs, an early exit, or more digits
        than there is memory for. The state lives in this generator alone, so each call starts anew.
        """
        _check(x)
        first, states = self._first(x), [None] * len(self.layers)
        for piece in x.split(steps):
            records, states = self._run(piece, first, states)
            yield records

    def _run(self, x, first, states):
        """The Records of all layers, and the membranes they end with; ``states``: those they start from, or None."""
        records, ends = [], []
        for i, state in enumerate(states):
            current = self._current(i, x) if i or first is None else first.expand(len(x), *first.shape[1:])
            neuron = self._neuron(i)
            check_neuron("SNN", **neuron, shape=current.shape[1:])
            if state is None and self.v_init:
                state = torch.zeros_like(current[0]) + self.v_init * neuron["threshold"]
            record, end = lif_piece(current, state, **neuron)
            records.append(record)
            ends.append(end)
            x = record.spikes
        return records, ends

    def _output(self, x, first, states):
        records, ends = self._run(x, first, states)
        return *records[-1], ends

    def _first(self, x):
        """What the first layer makes of an input that does not change, [1, B, ...]; None of one that may."""
        return self._current(0, x[:1]) if x.stride(0) == 0 else None

    def _current(self, i, x):
        """What layer i makes of x [T, B, ...]: time folded into the batch, for it has no state."""
        try:
            # back to x's own precision: under torch.autocast a layer gives bfloat16, membranes stay float32
            return self.layers[i](x.flatten(0, 1)).unflatten(0, x.shape[:2]).to(x.dtype)
        except (RuntimeError, IndexError) as error:
            if not _SHAPES.search(str(error)):
                raise
            raise ValueError(
                f"SNN: layer {i} ({_name(self.layers[i])}) cannot take [T, B, ...] where ... is {list(x.shape[2:])}: "
                f"{error}. Is time the first axis? Encode the images first, or unsqueeze(1) for a batch of one."
            ) from error

    def _register(self, name, given):
        """Make what is learnt of a setting of the neurons a parameter of this module."""
        each = isinstance(given, (list, tuple))
        if each and len(given) != len(self.layers):
            raise ValueError(f"SNN: {name} must be one, or one a layer ({len(self.layers)}), got {len(given)}.")
        for i, value in enumerate(given if each else [given]):
            if isinstance(value, nn.Parameter):
                self.register_parameter(f"{name}_{i}" if each else name, value)
            elif torch.is_tensor(value) and value.ndim:
                raise TypeError(
                    f"SNN: {name} must be a number or an nn.Parameter, got a tensor. Wrap it: nn.Parameter(..., "
                    "requires_grad=False) is not learnt."
                )

    def _neuron(self, i, held=True):
        """The settings of layer i's neurons, as ``neurons.lif`` takes them."""
        own = {k: v[i] if isinstance(v, (list, tuple)) else v for k, v in self.neuron.items()}
        if held and isinstance(own["beta"], nn.Parameter):
            own["beta"] = own["beta"].clamp(0, 1)  # where an optimizer may have put it; as snnTorch does
        return own

    def extra_repr(self):
        return ", ".join(f"{name}={_shown(value)}" for name, value in self.neuron.items())


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
    Records are [T, B, 32, 14, 14], [T, B, 64, 7, 7], [T, B, 512] and [T, B, 10]. channels_last: several times as fast.
    """
    layers = (
        Chunked(nn.Conv2d(1, 32, 3, padding=1), MaxPool2d(2)),
        Chunked(nn.Conv2d(32, 64, 3, padding=1), MaxPool2d(2)),
        nn.Sequential(nn.Flatten(-3), nn.Linear(3136, 512)),
        nn.Linear(512, 10),
    )
    return SNN(*layers, beta=beta, threshold=threshold, reset=reset, spike=spike).to(memory_format=torch.channels_last)


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


def _check(x):
    if not torch.is_tensor(x) or x.ndim < 3 or 0 in x.shape[:2]:
        shape = list(x.shape) if torch.is_tensor(x) else type(x).__name__
        raise ValueError(
            f"SNN: input must be [T, B, ...], time first, then the batch, got {shape}. Encode the images first."
        )


# what torch says of an input of the wrong shape; all else that a layer raises is not about axes
_SHAPES = re.compile(
    r"shapes cannot be multiplied|size mismatch|[Ss]izes? of tensor|must match the size|[Dd]imension out of range"
    r"|[Ee]xpected \S+ ?(\(|\dD|input)|to have \d+ channels|is invalid for input of size|too (many|few) (indices|dim)"
    r"|same shape|running_mean should contain|normalized_shape|dimension specified as|size \(\d+\)"
)


def _shown(value):
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value))}]"
    if torch.is_tensor(value):
        return f"{value.item():g}" if value.ndim == 0 else f"one of {list(value.shape)} each"
    return str(getattr(value, "name", value))


def _name(layer):
    return type(layer[-1] if isinstance(layer, nn.Sequential) else layer).__name__
