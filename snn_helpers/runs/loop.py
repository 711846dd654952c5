"""The loop of ``training.fit`` for long runs: with all that a recipe says, a checkpoint, and several processes."""

import time
from dataclasses import asdict
from itertools import islice

import torch
from tqdm.auto import tqdm

from snn_helpers.data import batches
from snn_helpers.engine.checks import check_training
from snn_helpers.engine.context import autocast, same_modes, seeded
from snn_helpers.engine.hardware import best_precision, without_denormals
from snn_helpers.runs.checkpoints import random_state, set_random_state
from snn_helpers.runs.distributed import Team
from snn_helpers.training import History, count_right, output_of, scores


def train(net, digits, recipe, *, seed, test=None, checkpoint=None, on_step=None, progress=True, team=None):
    """Train ``net`` in place by a recipes.Recipe and return the History (training.History).

    Parameters
    ----------
    net, digits, seed, test, on_step : as in ``training.fit``; ``net`` may lie on any device
    recipe : everything else; with ``test_every`` it is evaluated after the first step too, and after so many more
    checkpoint : checkpoints.Checkpoint: the run goes on from what is saved there, and saves whenever it evaluates, and
        at the end of each epoch. A run that was killed and resumed ends with the same weights, bit for bit
    progress : show a progress bar
    team : distributed.Team of processes that call this with one another, each with the same network. Batches,
        ``seed`` and History are then of all of them; the loss must be a mean over the batch. Each draws its own
        random numbers, so ``encode`` draws other ones than in one process. The first one saves and shows the bar

    By itself, without ``augment`` and in float32, it does what ``training.fit`` does, bit for bit. Raises as that, and
    as the checkpoint does.
    """
    device, team = next(net.parameters()).device, team or Team()
    precision = recipe.precision or best_precision(device)
    counts = dict(epochs=recipe.epochs, batch_size=recipe.batch_size, test_every=recipe.test_every)
    check_training("train", precision, digits=digits, test=test, **counts)
    in_epoch = digits.steps(recipe.batch_size)
    optimizer = recipe.optimizer(net.parameters(), lr=recipe.lr)
    parts = {"net": net, "optimizer": optimizer}
    if recipe.schedule:
        parts["scheduler"] = recipe.schedule(optimizer, recipe.epochs * in_epoch)
    history, order, right, spread = History(), None, 0, team.spread(net)

    def evaluate():
        how = dict(readout=recipe.readout, seed=team.seed(seed), precision=precision)
        part, found = team.part(test), 0
        if len(part.labels):
            found = (scores(net, part, recipe.input, **how).argmax(-1) == part.labels).sum().item()
        history.test_accuracy.append(team.total(found) / len(test.labels))
        history.test_step.append(len(history.loss))

    def save():
        states = {name: part.state_dict() for name, part in parts.items()}
        own = {"random": team.gather(random_state(device)), "right": team.gather(right)}
        team.save(checkpoint, {**states, **own, "history": asdict(history), "order": order})

    with (
        seeded(team.seed(seed), device),
        same_modes(net),
        without_denormals(),
        tqdm(total=recipe.epochs * in_epoch, disable=not (progress and team.first), unit="batch") as bar,
    ):
        if saved := checkpoint and team.load(checkpoint):
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            set_random_state(team.own(saved["random"]), device)
            history, order, right = History(**saved["history"]), saved["order"], team.own(saved["right"])
        bar.update(len(history.loss))
        try:
            for epoch in range(len(history.epoch_end), recipe.epochs):
                done = len(history.loss) - epoch * in_epoch
                if done == 0:
                    order, right = team.decide(lambda: torch.randint(2**62, ()).item()), 0
                    history.seconds.append(0.0)
                todo = batches(digits, recipe.batch_size, shuffle=True, seed=order, device=device)
                for images, labels in islice(todo, done, None):
                    start = time.perf_counter()
                    images, labels, weight = team.share(images, labels)
                    net.train()
                    optimizer.zero_grad()
                    with autocast(device, precision):
                        output = output_of(spread, recipe.input(recipe.augment(images) if recipe.augment else images))
                        value = recipe.loss(output, labels) * weight
                    value.backward()
                    optimizer.step()
                    history.loss.append(team.total(value.item()))
                    if weight:  # else a blank image stands in for none
                        right += count_right(output, labels, recipe.readout)
                    history.seconds[-1] += time.perf_counter() - start
                    ended = len(history.loss) == (epoch + 1) * in_epoch
                    if ended:
                        history.epoch_end.append(len(history.loss))
                        history.train_accuracy.append(team.total(right) / len(digits.labels))
                    if ended or (recipe.test_every and (len(history.loss) - 1) % recipe.test_every == 0):
                        if test:
                            evaluate()
                        if checkpoint:
                            save()
                    bar.update()
                    bar.set_postfix_str(f"loss {history.loss[-1]:.4f}", refresh=False)
                    if on_step:
                        on_step(history)
        except KeyboardInterrupt:
            history.interrupted = True
    return history
