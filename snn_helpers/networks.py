"""Spiking networks: weights, then the neuron, repeated. No state between calls: same input, same output."""

import json
from pathlib import Path

import safetensors.torch
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint as recomputed

from snn_helpers import assets, checkpoints
from snn_helpers.memory import empty_steps
from snn_helpers.neurons import Record, check_finite, lif, lif_piece
from snn_helpers.pooling import MaxPool2d
from snn_helpers.surrogates import atan, fast_sigmoid


class SNN(nn.Module):
    """Layers of weights, each followed by LIF neurons: ``SNN(nn.Linear(784, 10), beta=0.9)(x) -> [Record]``.

    Parameters
    ----------
    layers : modules without state that turn [B, ...] into a current [B, ...] (a Linear, or a Sequential of
        Conv2d and pooling.MaxPool2d); they see several time steps at once, folded into the batch
    beta, threshold, reset, spike : of all neurons, as in ``neurons.lif``
    v_init : membrane before the first step, as a share of the threshold; 0 is rest
    checkpoint : steps that are remembered at a time, or None for all. The backward pass then runs them a second time,
        from the membranes that were kept between: memory grows with T / checkpoint + checkpoint, least at the square
        root of T (Chen et al. 2016, arXiv 1604.06174), and time by the second run. Only the output is recorded

    Called on x [T, B, ...] it returns one Record (spikes and membrane [T, B, ...]) a layer, the last is the output.
    Raises ValueError for an input that has not got the axes its layers need, and as ``neurons.lif`` does.

    Two things make it fast, and change nothing. All layers go through a few steps at a time, handing their membranes
    on, so that what one layer writes is still in the processor's cache when the next one reads it. And an input that
    does not change (``encoding.direct``, a view with time stride 0) goes through the first layer once, not T times:
    the same function, and the same gradients up to float order.
    """

    def __init__(
        self, *layers, beta, threshold=1.0, reset="subtract", spike=fast_sigmoid(), v_init=0.0, checkpoint=None
    ):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.neuron = dict(beta=beta, threshold=threshold, reset=reset, spike=spike)
        self.v_init, self.checkpoint = v_init, checkpoint
        lif(torch.zeros(1, 1), **self.neuron)  # a wrong beta is an error here, not at the first image
        if not 0 <= v_init <= 1:
            raise ValueError(f"SNN: v_init must be a share of the threshold, in [0, 1], got {v_init:g}.")
        if checkpoint is not None and checkpoint < 1:
            raise ValueError(f"SNN: checkpoint must be a number of steps of at least 1, or None, got {checkpoint}.")

    def forward(self, x):
        _check(x)
        first, states, parts = self._first(x), [None] * len(self.layers), []
        if not self.checkpoint:
            return self._records(x, first, states)
        for some in x.split(self.checkpoint):
            *record, states = recomputed(self._forgetful, some, first, states, use_reentrant=False)
            parts.append(record)
        return [Record(*map(torch.cat, zip(*parts, strict=True)))]

    def _forgetful(self, x, first, states):
        states = list(states)
        output = self._records(x, first, states)[-1]
        return *output, [state.clone() for state in states]  # views, which would keep all steps alive

    def _records(self, x, first, states):
        steps, wholes = self._room(x)
        pieces = zip(*self._pieces(x, steps, wholes, first, states), strict=True)
        return [_joined(whole, parts) for whole, parts in zip(wholes, pieces, strict=True)]

    def stream(self, x, steps=1):
        """Yield the Records of ``steps`` steps of x at a time; what is not kept of them is forgotten.

        The same spikes as ``net(x)``, for a picture that moves while the network runs, an early exit, or more digits
        than there is memory for. The state lives in this generator alone, so each call starts anew.
        """
        _check(x)
        nothing = [None] * len(self.layers)
        return self._pieces(x, steps, nothing, self._first(x), list(nothing))

    def _first(self, x):
        """What the first layer makes of an input that does not change, [1, B, ...]; None of one that may."""
        return self._current(0, x[:1]) if x.stride(0) == 0 else None

    def _pieces(self, x, steps, wholes, first, states):
        """Yield the Records of ``steps`` steps at a time; ``states``, the layers' membranes, move on with them."""
        start = 0
        for signal in x.split(steps):
            end, records = start + len(signal), []
            for i, (state, whole) in enumerate(zip(states, wholes, strict=True)):
                if i == 0 and first is not None:
                    current = first.expand(len(signal), *first.shape[1:])
                else:
                    current = self._current(i, signal)
                if state is None and self.v_init:
                    state = torch.full_like(current[0], self.v_init * self.neuron["threshold"])
                out = whole and Record(*(part.data[start:end] for part in whole))
                record, states[i] = lif_piece(current, state, out, **self.neuron)
                records.append(record)
                signal = record.spikes
            start = end
            yield records
        for membrane in states:
            check_finite(membrane)

    def _room(self, x):
        """How many steps to take at once, and where to write them all; one image shows how wide the layers are.

        The widest layer's take about 26 MB, the quickest that was tried; a GPU wants more work at a time.
        """
        shown, wholes = x[:1, :1], []
        widest = shown.numel()
        # without autocast: it would keep the weights it has cast here, and they would get no gradient
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            for i in range(len(self.layers)):
                shown = self._current(i, shown)
                room = (empty_steps(x.shape[0] * x.shape[1], shown[0, 0]) for _ in Record._fields)
                wholes.append(Record(*(whole.unflatten(0, x.shape[:2]) for whole in room)))
                widest = max(widest, shown.numel())
        at_once = 6_600_000 if x.device.type == "cpu" else 100_000_000
        return max(1, at_once // (widest * x.shape[1])), wholes

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
    Records are [T, B, 32, 14, 14], [T, B, 64, 7, 7], [T, B, 512] and [T, B, 10]. channels_last: several times as fast.
    """
    layers = (
        nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), MaxPool2d(2)),
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
