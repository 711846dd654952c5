"""Training and judging: losses, readouts, fit, accuracy. Nothing here draws or prints (but for the progress bar).

Losses take the Record of the output layer (spikes [T, B, C]) and labels [B], and return a scalar. They raise TypeError
for something else than a Record, ValueError for other shapes or a label without a neuron.
"""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from snn_helpers.data import batches


def spike_count(record):
    """Spikes of each neuron over all steps, [T, B, C] -> [B, C]. The class with most spikes is the answer."""
    return record.spikes.sum(0)


def ce_rate_loss(record, label):
    """Cross entropy of the spikes at each step, averaged over steps and batch (snntorch.functional.ce_rate_loss).

    Spikes are 0 or 1, so for C classes it cannot fall below ln(1 + (C - 1)/e): 1.461 for ten.
    """
    steps = len(_checked("ce_rate_loss", record, label).spikes)
    return F.cross_entropy(record.spikes.flatten(0, 1), label.repeat(steps))


def ce_count_loss(record, label):
    """Cross entropy of the spike counts, averaged over the batch (snntorch.functional.ce_count_loss)."""
    return F.cross_entropy(spike_count(_checked("ce_count_loss", record, label)), label)


def mse_rate_loss(record, label):
    """Mean squared difference between firing rate and one-hot label, over batch and classes.

    A network that never fires scores exactly 1/C: 0.1 for ten classes.
    """
    rate = _checked("mse_rate_loss", record, label).spikes.mean(0)
    return F.mse_loss(rate, F.one_hot(label, rate.shape[-1]).to(rate.dtype))


@dataclass
class History:
    """What ``fit`` has seen so far. Lists grow while it runs, so an ``on_step`` callback can draw them."""

    loss: list = field(default_factory=list)  # one a step, of that step's batch
    test_accuracy: list = field(default_factory=list)  # one an epoch, if ``test`` was given
    epoch_end: list = field(default_factory=list)  # number of steps taken at the end of each epoch
    seconds: list = field(default_factory=list)  # training time of each epoch
    interrupted: bool = False


def fit(
    net, digits, encode, loss, *, epochs, batch_size, lr, seed, test=None, schedule=None, on_step=None, progress=True
):
    """Train ``net`` in place with Adam and return the History.

    Parameters
    ----------
    net : an SNN, or any module (an ANN twin) that turns ``encode(images)`` into scores [B, C]
    digits : data.Digits to learn from
    encode : images [B, 1, 28, 28] -> the network's input
    loss : (output, labels) -> scalar; the output is the last Record of an SNN, the scores of another module
    epochs, batch_size, lr : as usual; lr is Adam's
    seed : order of the digits and all random draws of ``encode`` follow from it, to the bit on one machine.
        The caller's random state is left as it was
    test : data.Digits to judge after each epoch
    schedule : (optimizer, total steps) -> a scheduler of torch.optim.lr_scheduler, stepped after each batch
    on_step : called with the History after each step
    progress : show a progress bar

    Ctrl-C, or the notebook's stop button, ends it early: the network keeps what it has learnt and the History says
    ``interrupted``. Raises ValueError for epochs or a batch size under 1, or a learning rate that is not above 0.
    """
    for name, value in ("epochs", epochs), ("batch_size", batch_size):
        if value < 1:
            raise ValueError(f"fit: {name} must be at least 1, got {value}.")
    if not lr > 0:
        raise ValueError(f"fit: lr (learning rate) must be above 0, got {lr}.")
    device = next(net.parameters()).device
    steps = epochs * -(-len(digits.labels) // batch_size)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    scheduler = schedule(optimizer, steps) if schedule else None
    history = History()
    with _seeded(seed, device), _without_denormals(), tqdm(total=steps, disable=not progress, unit="batch") as bar:
        try:
            for _ in range(epochs):
                start = time.perf_counter()
                net.train()
                order = torch.randint(2**62, ()).item()
                for images, labels in batches(digits, batch_size, shuffle=True, seed=order, device=device):
                    optimizer.zero_grad()
                    value = loss(_output(net, encode(images)), labels)
                    value.backward()
                    optimizer.step()
                    if scheduler:
                        scheduler.step()
                    history.loss.append(value.item())
                    bar.update()
                    bar.set_postfix_str(f"loss {history.loss[-1]:.4f}", refresh=False)
                    if on_step:
                        on_step(history)
                history.seconds.append(time.perf_counter() - start)
                history.epoch_end.append(len(history.loss))
                if test:
                    history.test_accuracy.append(accuracy(net, test, encode, seed=seed))
        except KeyboardInterrupt:
            history.interrupted = True
    return history


def scores(net, digits, encode, *, batch_size=500, seed=0):
    """What ``net`` gives each class for each of ``digits``, [N, C]: spike counts of an SNN, outputs of another module.

    Random draws of ``encode`` follow from ``seed``; the caller's random state is left as it was.
    """
    device = next(net.parameters()).device
    parts = []
    net.eval()
    with _seeded(seed, device), torch.no_grad():
        for images, _ in batches(digits, batch_size, device=device):
            output = _output(net, encode(images))
            parts.append(spike_count(output) if hasattr(output, "spikes") else output)
    return torch.cat(parts).cpu()


def accuracy(net, digits, encode, *, batch_size=500, seed=0):
    """The share of ``digits`` that ``net`` names rightly, over all of them; ties go to the smaller class."""
    answers = scores(net, digits, encode, batch_size=batch_size, seed=seed).argmax(-1)
    return (answers == digits.labels).double().mean().item()


def _output(net, x):
    output = net(x)
    return output[-1] if isinstance(output, list) else output


@contextmanager
def _seeded(seed, device):
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _without_denormals():
    """Gradients that decay over many steps become denormal floats (under 1e-38), which take many times as long."""
    flushed = (torch.tensor([1e-40]) * 1).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


def _checked(name, record, label):
    if not hasattr(record, "spikes"):
        raise TypeError(f"{name}: wanted the Record of the output layer, got {type(record).__name__}. Use net(x)[-1].")
    if record.spikes.ndim != 3 or record.spikes.shape[1:2] != label.shape:
        raise ValueError(
            f"{name}: wanted spikes [T, B, C] and labels [B], got {list(record.spikes.shape)} and {list(label.shape)}."
        )
    classes = record.spikes.shape[-1]
    if len(label) and not 0 <= label.min() <= label.max() < classes:
        raise ValueError(
            f"{name}: labels must be 0 to {classes - 1}, one of the {classes} output neurons, "
            f"got {label.min()} to {label.max()}."
        )
    return record
