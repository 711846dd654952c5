"""Training and judging: fit, accuracy, and the losses and readouts. Nothing here draws or prints (but for the bar)."""

import math
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice

import torch
from tqdm.auto import tqdm

from snn_helpers.checkpoints import random_state, set_random_state
from snn_helpers.data import batches
from snn_helpers.diagnosis import diagnose
from snn_helpers.distributed import Team
from snn_helpers.losses import ce_count_loss, ce_rate_loss, count_then_membrane, mse_rate_loss, spike_count

__all__ = [
    "History",
    "accuracy",
    "ce_count_loss",
    "ce_rate_loss",
    "count_then_membrane",
    "diagnose",
    "fit",
    "mse_rate_loss",
    "scores",
    "spike_count",
]


@dataclass
class History:
    """What ``fit`` has seen so far. Lists grow while it runs, so an ``on_step`` callback can draw them."""

    loss: list = field(default_factory=list)  # one a step, of that step's batch
    test_accuracy: list = field(default_factory=list)  # one each time the network was judged on ``test``
    test_step: list = field(default_factory=list)  # number of steps taken when it was
    epoch_end: list = field(default_factory=list)  # number of steps taken at the end of each epoch
    seconds: list = field(default_factory=list)  # training time of each epoch
    interrupted: bool = False


def fit(
    net,
    digits,
    encode,
    loss,
    *,
    epochs,
    batch_size,
    lr,
    seed,
    test=None,
    test_every=None,
    optimizer=torch.optim.Adam,
    schedule=None,
    augment=None,
    readout=spike_count,
    precision=torch.float32,
    checkpoint=None,
    on_step=None,
    progress=True,
    team=None,
):
    """Train ``net`` in place and return the History.

    Parameters
    ----------
    net : an SNN, or any module (an ANN twin) that turns ``encode(images)`` into scores [B, C]
    digits : data.Digits to learn from
    encode : images [B, 1, 28, 28] -> the network's input
    loss : (output, labels) -> scalar; the output is the last Record of an SNN, the scores of another module
    epochs, batch_size, lr : as usual; lr is the optimizer's
    seed : order of the digits and all random draws of ``encode`` follow from it, to the bit on one machine.
        The caller's random state is left as it was
    test : data.Digits to judge after each epoch
    test_every : judge also after the first step, and after each ``test_every`` more
    optimizer : (parameters, lr=...) -> an optimizer of torch.optim
    schedule : (optimizer, total steps) -> a scheduler of torch.optim.lr_scheduler, stepped after each batch
    augment : images -> images, for training only, before ``encode``
    readout : Record of the last layer -> scores [B, C] that an SNN is judged by
    precision : torch.bfloat16 lets convolutions and matrix products run in it (torch.autocast); membranes do not
    checkpoint : checkpoints.Checkpoint: the run goes on from what is saved there, and saves whenever it judges, and
        at the end of each epoch. A run that was killed and resumed ends with the same weights, bit for bit
    on_step : called with the History after each step
    progress : show a progress bar
    team : distributed.Team of processes that call this with one another, each with the same network. Batches,
        ``seed`` and History are then of all of them; the loss must be a mean over the batch. Each draws its own
        random numbers, so ``encode`` draws other ones than in one process. The first one saves and shows the bar

    Ctrl-C, or the notebook's stop button, ends it early: the network keeps what it has learnt and the History says
    ``interrupted``. Raises ValueError for epochs, test_every or a batch size under 1, or a learning rate that is not
    above 0; and as the checkpoint does.
    """
    for name, value in ("epochs", epochs), ("batch_size", batch_size), ("test_every", test_every):
        if value is not None and value < 1:
            raise ValueError(f"fit: {name} must be at least 1, got {value}.")
    if not 0 < lr < math.inf:
        raise ValueError(f"fit: lr (learning rate) must be a number above 0, got {lr}.")
    team = team or Team()
    device = next(net.parameters()).device
    in_epoch = -(-len(digits.labels) // batch_size)
    optimizer = optimizer(net.parameters(), lr=lr)
    scheduler = schedule(optimizer, epochs * in_epoch) if schedule else None
    parts = {"net": net, "optimizer": optimizer} | ({"scheduler": scheduler} if scheduler else {})
    history, order, spread = History(), None, team.spread(net)

    def save():
        if checkpoint:
            states = {name: part.state_dict() for name, part in parts.items()}
            random = team.gather(random_state(device))
            state = {**states, "random": random, "history": asdict(history), "order": order}

            def write():
                checkpoint.save(state)
                team.saved = len(history.loss)

            team.decide(write)
            team.saved = len(history.loss)

    with (
        _seeded(team.seed(seed), device),
        _without_denormals(),
        tqdm(total=epochs * in_epoch, disable=not (progress and team.first), unit="batch") as bar,
    ):
        if saved := checkpoint and team.decide(checkpoint.load):
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            set_random_state(team.own(saved["random"]), device)
            history, order = History(**saved["history"]), saved["order"]
            team.saved = len(history.loss)
        bar.update(len(history.loss))
        try:
            for epoch in range(len(history.epoch_end), epochs):
                done = len(history.loss) - epoch * in_epoch
                if done == 0:
                    order = team.decide(lambda: torch.randint(2**62, ()).item())
                    history.seconds.append(0.0)
                todo = batches(digits, batch_size, shuffle=True, seed=order, device=device)
                for images, labels in islice(todo, done, None):
                    start = time.perf_counter()
                    images, labels, weight = team.share(images, labels)
                    net.train()
                    optimizer.zero_grad()
                    with torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
                        output = _output(spread, encode(augment(images) if augment else images))
                        value = loss(output, labels) * weight
                    value.backward()
                    optimizer.step()
                    if scheduler:
                        scheduler.step()
                    history.loss.append(team.total(value.item()))
                    history.seconds[-1] += time.perf_counter() - start
                    ended = len(history.loss) == (epoch + 1) * in_epoch
                    if ended:
                        history.epoch_end.append(len(history.loss))
                    if ended or (test_every and (len(history.loss) - 1) % test_every == 0):
                        if test:
                            how = dict(readout=readout, seed=team.seed(seed), precision=precision, team=team)
                            history.test_accuracy.append(accuracy(net, test, encode, **how))
                            history.test_step.append(len(history.loss))
                        save()
                    bar.update()
                    bar.set_postfix_str(f"loss {history.loss[-1]:.4f}", refresh=False)
                    if on_step:
                        on_step(history)
        except KeyboardInterrupt:
            history.interrupted = True
    return history


def scores(net, digits, encode, *, readout=spike_count, batch_size=500, seed=0, precision=torch.float32):
    """What ``net`` gives each class for each of ``digits``, [N, C]: spike counts of an SNN, outputs of another module.

    Random draws of ``encode`` follow from ``seed``; the caller's random state is left as it was. ``readout`` must be a
    sum over time, for the network is asked a few steps at a time; it and ``precision`` are as in ``fit``.
    """
    device = next(net.parameters()).device
    parts = []
    net.eval()
    with _seeded(seed, device), torch.no_grad():
        for images, _ in batches(digits, batch_size, device=device):
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
                parts.append(_scores(net, encode(images), readout))
    return torch.cat(parts).cpu()


def accuracy(net, digits, encode, *, team=None, **how):
    """The share of all ``digits`` that ``net`` names rightly, ``how`` as in ``scores``; ties go to the lower class.

    The processes of a ``team`` (distributed.Team), if there is one, judge a part each.
    """
    team = team or Team()
    part, right = team.part(digits), 0
    if len(part.labels):
        right = (scores(net, part, encode, **how).argmax(-1) == part.labels).sum().item()
    return team.total(right) / len(digits.labels)


def _scores(net, x, readout):
    if hasattr(net, "stream"):  # nothing but the scores is kept: the records of 500 images can take gigabytes
        return sum(readout(records[-1]) for records in net.stream(x))
    output = _output(net, x)
    return readout(output) if hasattr(output, "spikes") else output


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
