"""Spiking networks: weights, then the neuron, repeated. No state between calls: same input, same output."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from snn_helpers.engine import checks
from snn_helpers.engine.pooling import Chunked, MaxPool2d
from snn_helpers.engine.recompute import recomputed
from snn_helpers.neurons import Record, Value, lif_piece, membrane_before
from snn_helpers.surrogates import Spike, atan, fast_sigmoid


class SNN(nn.Module):
    """Layers of weights, each followed by LIF neurons: ``SNN(nn.Linear(784, 10), beta=0.9)(x) -> [Record]``.

    layers : modules without state that turn [B, ...] into a current [B, ...] (a Linear, or a Sequential of
        Conv2d and MaxPool2d); each is called once, with all time steps folded into the batch
    beta, threshold, reset, spike : of all neurons, as in ``neurons.lif``, or lists with one entry a layer. An entry
        that is an nn.Parameter is learnt with the weights; a learnt beta is held in [0, 1]
    v_init : membrane before the first step, as a share of the threshold; 0 is rest
    recompute : steps that are remembered at a time, or None for all. The backward pass then runs them a second time,
        from the membranes that were kept between (activation checkpointing, Chen et al. 2016, arXiv 1604.06174):
        memory grows with T / recompute + recompute, least at the square root of T. Only the output is recorded

    Called on x [T, B, ...] it returns one Record (spikes and membrane [T, B, ...]) a layer, the last is the output.
    ``initial``, the Records of an earlier call, lets it go on from there. Raises ValueError for an input without time
    and batch, and as ``neurons.lif`` does; what a layer raises says in a note which layer it was, and its input.

    An input that does not change (``encoding.direct``, a view with time stride 0) goes through the first layer once,
    not T times: the same function, and the same gradients up to float order.
    """

    def __init__(
        self,
        *layers: nn.Module,
        beta: Value | Sequence[Value],
        threshold: Value | Sequence[Value] = 1.0,
        reset: str | Sequence[str] = "subtract",
        spike: Spike | Sequence[Spike] = fast_sigmoid(),
        v_init: float = 0.0,
        recompute: int | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.neuron: dict = dict(beta=beta, threshold=threshold, reset=reset, spike=spike)
        self.v_init, self.recompute = v_init, recompute
        checks.check_settings(self)

    def forward(self, x: torch.Tensor, initial: Sequence[Record] | None = None) -> list[Record]:
        checks.check_input(self, x, initial)
        if self.recompute:
            return [Record(*recomputed(self._run, x, self._constant(x), initial, self.recompute))]
        return self._run(x, self._constant(x), initial)[0]

    def stream(
        self, x: torch.Tensor, steps: int = 1, initial: Sequence[Record] | None = None
    ) -> Iterator[list[Record]]:
        """Yield the Records of ``steps`` steps of x at a time; what is not kept of them is forgotten.

        The same spikes as ``net(x)``, for a picture that moves while the network runs, an early exit, or more digits
        than there is memory for. The state lives in this generator alone, so each call starts anew.
        """
        checks.check_input(self, x, initial)
        constant = self._constant(x)
        states: Sequence[Record | torch.Tensor] | None = initial
        for piece in x.split(steps):
            records, states = self._run(piece, constant, states)
            yield records

    def _run(
        self, x: torch.Tensor, constant: torch.Tensor | None, states: Sequence[Record | torch.Tensor] | None
    ) -> tuple[list[Record], list[torch.Tensor]]:
        """The Records of all layers, and the membranes that they end with; ``states``: what each starts from."""
        records, ends = [], []
        for i, (layer, before) in enumerate(zip(self.layers, states or (None,) * len(self.layers), strict=True)):
            if i == 0 and constant is not None:
                current = constant.expand(len(x), *constant.shape[1:])
            else:
                current = _current(layer, i, x)
            neuron = self.neuron_of(i)
            checks.check_neuron("SNN", **neuron, shape=current.shape[1:])
            before = membrane_before(before, current)
            if before is None and self.v_init:
                before = torch.zeros_like(current[0]) + self.v_init * neuron["threshold"]
            record, end = lif_piece(current, before, **neuron)
            records.append(record)
            ends.append(end)
            x = record.spikes
        return records, ends

    def _constant(self, x: torch.Tensor) -> torch.Tensor | None:
        """What the first layer makes of an input that does not change, [1, B, ...]; None of one that may."""
        return _current(self.layers[0], 0, x[:1]) if x.stride(0) == 0 else None

    def neuron_of(self, i: int) -> dict:
        """The settings of layer i's neurons, as ``neurons.lif`` takes them."""
        own = {}
        for name, value in self.neuron.items():
            each = isinstance(value, (list, tuple))
            own[name] = value[i] if each else value
            if isinstance(own[name], nn.Parameter):  # read where load_state_dict and torch.func put it
                own[name] = getattr(self, f"{name}_{i}" if each else name)
                if name == "beta":
                    own[name] = own[name].clamp(0, 1)  # where an optimizer may have put it; as snnTorch does
        return own

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={checks.shown(value)}" for name, value in self.neuron.items())


def single_layer(*, beta: Value = 0.5, threshold: Value = 1.0, reset: str = "zero", spike: Spike = atan()) -> SNN:
    """784 pixels to 10 neurons without bias: [T, B, 1, 28, 28] -> [Record with [T, B, 10]].

    The network of SpikingJelly's first MNIST tutorial. Its neuron, tau = 2 with a decayed input, is this one with
    beta = 1 - 1/2 and the input divided by 2.
    """
    layer = nn.Sequential(nn.Flatten(-3), nn.Linear(784, 10, bias=False))
    return SNN(layer, beta=beta, threshold=threshold, reset=reset, spike=spike)


def hidden_layer(
    hidden: int = 256,
    *,
    beta: Value = 0.9,
    threshold: Value = 1.0,
    reset: str = "subtract",
    spike: Spike = fast_sigmoid(),
) -> SNN:
    """784 pixels, ``hidden`` neurons, 10 neurons: [T, B, 1, 28, 28] -> [Record [T, B, hidden], Record [T, B, 10]]."""
    layers = nn.Sequential(nn.Flatten(-3), nn.Linear(784, hidden)), nn.Linear(hidden, 10)
    return SNN(*layers, beta=beta, threshold=threshold, reset=reset, spike=spike)


def csnn(*, beta: Value = 0.5, threshold: Value = 1.0, reset: str = "subtract", spike: Spike = fast_sigmoid()) -> SNN:
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


def mlp(hidden: int = 256) -> nn.Sequential:
    """The ANN twin of ``hidden_layer``: the same weights, ReLU for the neurons, [B, 1, 28, 28] -> scores [B, 10]."""
    return nn.Sequential(nn.Flatten(-3), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def cnn() -> nn.Sequential:
    """A CNN that can be turned into spikes, [B, 1, 28, 28] -> scores [B, 10]: ReLU, average pooling, no bias.

    The layers of MathWorks' example "Convert Convolutional Network to Spiking Neural Network", after Diehl et al. 2015.
    """
    first = nn.Conv2d(1, 12, 5, bias=False), nn.ReLU(), nn.AvgPool2d(2)
    second = nn.Conv2d(12, 64, 5, bias=False), nn.ReLU(), nn.AvgPool2d(2)
    return nn.Sequential(*first, *second, nn.Flatten(-3), nn.Linear(1024, 10, bias=False))


def _current(layer: nn.Module, i: int, x: torch.Tensor) -> torch.Tensor:
    """What layer i makes of x [T, B, ...]: time folded into the batch, for it has no state."""
    try:
        # back to x's own precision: under torch.autocast a layer gives bfloat16, membranes stay float32
        return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2]).to(x.dtype)
    except (RuntimeError, IndexError, ValueError) as error:
        error.add_note(
            f"SNN: raised by layer {i + 1}, given [T, B, ...] where ... is {list(x.shape[2:])}. If about shapes: is "
            "time the first axis? Encode the images first, or unsqueeze(1) for a batch of one."
        )
        raise
