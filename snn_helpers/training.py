"""Training and judging: fit, accuracy, and the losses and readouts. Nothing here draws or prints (but for the bar)."""

import math
import time
from dataclasses import asdict, dataclass, field
from itertools import islice

import torch
from tqdm.auto import tqdm

from snn_helpers.checkpoints import random_state, set_random_state
from snn_helpers.data import batches
from snn_helpers.diagnosis import diagnose
from snn_helpers.distributed import Team
from snn_helpers.hardware import without_denormals
from snn_helpers.judging import accuracy, autocast, check, output_of, same_modes, scores, seeded
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
    # one an epoch: of its batches as they were trained on, each before its step; so it costs nothing, and is lower than
    # what the network reaches at the end of the epoch on the same digits
    train_accuracy: list = field(default_factory=list)
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
    precision : torch.float32, or torch.bfloat16 for convolutions and matrix products (torch.autocast), not membranes
    checkpoint : checkpoints.Checkpoint: the run goes on from what is saved there, and saves whenever it judges, and
        at the end of each epoch. A run that was killed and resumed ends with the same weights, bit for bit
    on_step : called with the History after each step
    progress : show a progress bar
    team : distributed.Team of processes that call this with one another, each with the same network. Batches,
        ``seed`` and History are then of all of them; the loss must be a mean over the batch. Each draws its own
        random numbers, so ``encode`` draws other ones than in one process. The first one saves and shows the bar

    Ctrl-C, or the notebook's stop button, ends it early: the network keeps what it has learnt and the History says
    ``interrupted``. Each module of ``net`` is left in the mode (train or eval) that it was in. Raises ValueError for
    no digits, epochs, test_every or a batch size under 1, a learning rate that is not above 0, and another precision;
    and as the checkpoint does.
    """
    check("fit", precision, digits=digits, **({"test": test} if test else {}))
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
    history, order, right, spread = History(), None, 0, team.spread(net)

    def save():
        if checkpoint:
            states = {name: part.state_dict() for name, part in parts.items()}
            own = {"random": team.gather(random_state(device)), "right": team.gather(right)}
            state = {**states, **own, "history": asdict(history), "order": order}

            def write():
                checkpoint.save(state)
                team.saved = len(history.loss)

            team.decide(write)
            team.saved = len(history.loss)

    with (
        seeded(team.seed(seed), device),
        same_modes(net),
        without_denormals(),
        tqdm(total=epochs * in_epoch, disable=not (progress and team.first), unit="batch") as bar,
    ):
        if saved := checkpoint and team.decide(checkpoint.load):
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            set_random_state(team.own(saved["random"]), device)
            history, order, right = History(**saved["history"]), saved["order"], team.own(saved["right"])
            team.saved = len(history.loss)
        bar.update(len(history.loss))
        try:
            for epoch in range(len(history.epoch_end), epochs):
                done = len(history.loss) - epoch * in_epoch
                if done == 0:
                    order = team.decide(lambda: torch.randint(2**62, ()).item())
                    history.seconds.append(0.0)
                    right = 0
                todo = batches(digits, batch_size, shuffle=True, seed=order, device=device)
                for images, labels in islice(todo, done, None):
                    start = time.perf_counter()
                    images, labels, weight = team.share(images, labels)
                    net.train()
                    optimizer.zero_grad()
                    with autocast(device, precision):
                        output = output_of(spread, encode(augment(images) if augment else images))
                        value = loss(output, labels) * weight
                    value.backward()
                    optimizer.step()
                    if scheduler:
                        scheduler.step()
                    history.loss.append(team.total(value.item()))
                    if weight:  # else a blank image stands in for none
                        right += _right(output, labels, readout)
                    history.seconds[-1] += time.perf_counter() - start
                    ended = len(history.loss) == (epoch + 1) * in_epoch
                    if ended:
                        history.epoch_end.append(len(history.loss))
                        history.train_accuracy.append(team.total(right) / len(digits.labels))
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


@torch.no_grad()
def _right(output, labels, readout):
    """How many of a batch the output names rightly."""
    found = readout(output) if hasattr(output, "spikes") else output
    return (found.argmax(-1) == labels).sum().item()
