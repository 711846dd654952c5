"""The training loop, and how good a network is: fit, accuracy, scores. Nothing here draws or prints."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from snn_helpers.data import Digits, batches
from snn_helpers.engine.checks import check_training
from snn_helpers.engine.context import autocast, evaluating, same_modes, seeded
from snn_helpers.engine.hardware import without_denormals
from snn_helpers.losses import Loss, Readout, spike_count
from snn_helpers.neurons import Record


@dataclass
class History:
    """What a training has seen so far. Lists grow while it runs, so an ``on_step`` callback can draw them."""

    loss: list[float] = field(default_factory=list)  # one a step, of that step's batch
    # one an epoch: of its batches as they were trained on, each before its step; so it costs nothing, and is lower than
    # what the network reaches at the end of the epoch on the same digits
    train_accuracy: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)  # one each time the network was evaluated on test digits
    test_step: list[int] = field(default_factory=list)  # number of steps taken when it was
    epoch_end: list[int] = field(default_factory=list)  # number of steps taken at the end of each epoch
    seconds: list[float] = field(default_factory=list)  # training time of each epoch
    interrupted: bool = False

    def evaluate(
        self, net: nn.Module, test: Digits, encode: Callable[[torch.Tensor], torch.Tensor], **how: Any
    ) -> None:
        """Add the accuracy of ``net`` on the ``test`` digits, now; ``how`` as in ``scores``."""
        self.test_accuracy.append(accuracy(net, test, encode, **how))
        self.test_step.append(len(self.loss))


def fit(
    net: nn.Module,
    digits: Digits,
    encode: Callable[[torch.Tensor], torch.Tensor],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    test: Digits | None = None,
    on_step: Callable[[History], object] | None = None,
) -> History:
    """Train ``net`` in place and return the History.

    net : an SNN, or any module (an ANN twin) that turns ``encode(images)`` into scores [B, C]
    digits : data.Digits to learn from, ``batch_size`` at a time, in an order of its own each epoch
    encode : images as of ``data.pixels`` -> the network's input
    loss : (output, labels) -> scalar; the output is the last Record of an SNN, the scores of another module
    optimizer : of torch.optim, with the parameters of ``net``; ``one_cycle`` gives it a schedule
    seed : order of the digits and all random draws of ``encode`` follow from it, to the bit on one machine
    test : data.Digits to evaluate after each epoch
    on_step : called with the History after each step

    Ctrl-C, or the notebook's stop button, ends it early: the network keeps what it has learnt and the History says
    ``interrupted``. The caller's random state, and the mode (train or eval) of each module, are left as they were.
    Raises ValueError for no digits, and for epochs or a batch size under 1.
    """
    check_training("fit", epochs=epochs, batch_size=batch_size, digits=digits, test=test)
    history, device = History(), next(net.parameters()).device
    with seeded(seed, device), same_modes(net), without_denormals():
        try:
            for _ in range(epochs):
                order, right = int(torch.randint(2**62, ())), 0
                history.seconds.append(0.0)
                for images, labels in batches(digits, batch_size, shuffle=True, seed=order, device=device):
                    start = time.perf_counter()
                    net.train()
                    optimizer.zero_grad()
                    output = output_of(net, encode(images))
                    value = loss(output, labels)
                    value.backward()
                    optimizer.step()
                    history.loss.append(value.item())
                    right += count_right(output, labels)
                    history.seconds[-1] += time.perf_counter() - start
                    if len(history.loss) == len(history.seconds) * digits.steps(batch_size):
                        history.epoch_end.append(len(history.loss))
                        history.train_accuracy.append(right / len(digits.labels))
                        if test:
                            history.evaluate(net, test, encode, seed=seed)
                    if on_step:
                        on_step(history)
        except KeyboardInterrupt:
            history.interrupted = True
    return history


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """Let the learning rate rise for a fifth of the ``steps``, then fall to nothing; its peak is the optimizer's lr.

    Returns torch's OneCycleLR (Smith and Topin 2018, arXiv 1708.07120), which from now on takes a step whenever the
    optimizer does: ``one_cycle(optimizer, epochs * digits.steps(batch_size))``.
    """
    peak, steps = optimizer.param_groups[0]["lr"], max(steps, 3)
    rise = max(0.2, 2 / steps)  # torch divides by the length of the rise and of the fall: neither may be nothing
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=rise)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return schedule


def scores(
    net: nn.Module,
    digits: Digits,
    encode: Callable[[torch.Tensor], torch.Tensor],
    *,
    readout: Readout = spike_count,
    batch_size: int = 500,
    seed: int = 0,
    precision: torch.dtype = torch.float32,
) -> torch.Tensor:
    """What ``net`` gives each class for each of ``digits``, [N, C]: spike counts of an SNN, outputs of another module.

    Random draws of ``encode`` follow from ``seed``; ``readout`` turns a Record into scores; ``precision`` is that of
    convolutions and matrix products. The caller's random state, and the mode (train or eval) of each module, are left
    as they were. Raises ValueError for no digits, another precision than torch.float32 or torch.bfloat16, and scores
    that are NaN or not one row a digit.
    """
    check_training("scores", precision, digits=digits)
    parts = []
    with evaluating(net, seed) as device:
        for images, _ in batches(digits, batch_size, device=device):
            with autocast(device, precision):
                found = _scores(net, encode(images), readout)
            if found.ndim != 2 or len(found) != len(images):
                raise ValueError(
                    f"scores: wanted [B, C] of the network and its readout, for {len(images)} images, got "
                    f"{list(found.shape)}. A readout sums over time, its first axis; encode keeps every image."
                )
            parts.append(found)
    found = torch.cat(parts).cpu()
    if found.isnan().any():
        raise ValueError("scores: the network answers NaN (not a number): it has diverged. Try a smaller lr.")
    return found


def accuracy(net: nn.Module, digits: Digits, encode: Callable[[torch.Tensor], torch.Tensor], **how: Any) -> float:
    """The share of all ``digits`` that ``net`` classifies correctly, ``how`` as in ``scores``, as which it raises.

    Of equal scores the lower class is the answer.
    """
    check_training("accuracy", digits=digits)
    return (scores(net, digits, encode, **how).argmax(-1) == digits.labels).sum().item() / len(digits.labels)


def _scores(net: Any, x: torch.Tensor, readout: Readout) -> torch.Tensor:
    if hasattr(net, "stream"):  # of all layers but the last nothing is kept: for 500 images it can take gigabytes
        pieces = (records[-1] for records in net.stream(x))
        return readout(Record(*map(torch.cat, zip(*pieces, strict=True))))
    output = output_of(net, x)
    return output if torch.is_tensor(output) else readout(output)


def output_of(net: nn.Module, x: torch.Tensor) -> Record | torch.Tensor:
    """The last Record of an SNN, what another module returns."""
    output = net(x)
    return output[-1] if isinstance(output, list) else output


@torch.no_grad()
def count_right(output: Record | torch.Tensor, labels: torch.Tensor, readout: Readout = spike_count) -> int:
    """How many of a batch the output, a Record or scores [B, C], classifies correctly."""
    found = output if torch.is_tensor(output) else readout(output)
    return int((found.argmax(-1) == labels).sum())
