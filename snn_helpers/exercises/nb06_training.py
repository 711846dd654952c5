"""The exercise of notebook 06 that changes the training loop: every spike has a price."""

from functools import partial
from itertools import pairwise

import torch
from torch import nn

from snn_helpers import losses, networks
from snn_helpers.encoding import direct
from snn_helpers.exercises.core import NotYet, alike, call, exercise, same, tensor
from snn_helpers.surrogates import fast_sigmoid

SGD, ADAM = partial(torch.optim.SGD, lr=0.02), partial(torch.optim.Adam, lr=0.02)
# seed, sizes of the layers, batches, price, optimizer
CASES = (0, (49, 17, 5), 12, 3.0, SGD), (1, (49, 13, 11, 5), 5, 2.0, SGD), (2, (49, 17, 5), 4, 0.0, ADAM)


def rates(records):
    return [record.spikes.mean() for record in records]


# what can go wrong with the price -> what is to be said of it
PRICES = {
    "the weights moved as if spikes were free. The price must be part of what backward() starts from: a tensor, "
    "without .item() or detach().": lambda records: torch.zeros(()),
    "spikes are paid for, not charged: the price is added to the loss.": lambda records: -sum(rates(records)),
    "the price is on the spikes of the output alone; each layer pays.": lambda records: rates(records)[-1],
    "the price is on the first layer alone; each layer pays.": lambda records: rates(records)[0],
    "the price is on the first two layers; there are networks with more.": lambda records: sum(rates(records)[:2]),
    "the output pays nothing; each layer pays, the last one too.": lambda records: sum(rates(records)[:-1]),
    "this is the mean of the layers' rates; wanted is their sum.": lambda records: sum(rates(records)) / len(records),
    "spikes are added up here; a rate is their mean, over steps, digits and neurons.": lambda records: sum(
        record.spikes.sum() for record in records
    ),
    "this is a count over the steps; a rate is the mean over the steps as well.": lambda records: sum(
        record.spikes.sum(0).mean() for record in records
    ),
    "large layers pay more here: take the mean of each layer, then add them up.": lambda records: torch.cat(
        [record.spikes.flatten() for record in records]
    ).mean(),
    "the price is on the membranes; it is the spikes that cost.": lambda records: sum(
        record.membrane.mean() for record in records
    ),
}


def train(net, batches, encode, optimizer, price, *, cost=None, loss=losses.ce_count_loss, zero=True):
    """The loop that is asked for; the keywords are for what may go wrong in it."""
    values = []
    for images, labels in batches:
        records = net(encode(images))
        value = loss(records[-1], labels) + price * (sum(rates(records)) if cost is None else cost(records))
        if zero:
            optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    return values


@exercise(
    "06.4",
    "take the loop of notebook 03, and keep the records of all layers, not the last alone: net(encode(images)) is "
    "their list.",
    "loss = ce_count_loss(records[-1], labels) + price * sum(record.spikes.mean() for record in records); then "
    "zero_grad, backward, step, as ever.",
    "losses = [] before the loop; in it the line of hint 2, optimizer.zero_grad(), loss.backward(), optimizer.step(), "
    "losses.append(loss.item()); return losses after it.",
    seconds=20,
)
def with_a_price(answer):
    for number, case in enumerate(CASES):
        wanted, moved = _run(train, case)
        with torch.enable_grad():
            got, way = _run(lambda *arguments: call(answer, **dict(zip(NAMES, arguments, strict=True))), case)
        if not alike(way, moved):
            _explain(way, case, price=case[3])
        values = tensor(got, "the losses")
        if values.shape != (len(wanted),):
            raise NotYet(f"wanted one loss a batch, {len(wanted)} of them, got shape {list(values.shape)}.")
        if number == 0:
            free = [value - case[3] * cost for value, cost in zip(wanted, _costs(case), strict=True)]
            if alike(values, free):
                raise NotYet("the weights are right, but the losses that you return are without the price.")
        same(values, wanted, what="the loss of a batch", tolerance=1e-4, first="position")
    free, charged = (sum(_costs(CASES[0], price)[-3:]) / 3 for price in (0.0, CASES[0][3]))
    return (
        f"after {CASES[0][2]} batches the layers of the small test network fire, added up, at {charged:.0%} of the "
        f"steps; with spikes for free it is {free:.0%}."
    )


NAMES = "net", "batches", "encode", "optimizer", "price"


def _run(function, case, price=None):
    """(what the function returns, how far each weight has moved) for a new network and its batches."""
    seed, sizes, count, its_price, make = case
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(n, m) for n, m in pairwise(sizes)]
        net = networks.SNN(nn.Sequential(nn.Flatten(-3), layers[0]), *layers[1:], beta=0.8, spike=fast_sigmoid(2))
        with torch.no_grad():
            for layer in layers:
                layer.weight *= 3  # lively: every layer fires
        batches = [(torch.rand(6, 1, 7, 7), torch.randint(5, (6,))) for _ in range(count)]
    start = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    returned = function(
        net, batches, lambda images: direct(images, 7), make(net.parameters()), its_price if price is None else price
    )
    return returned, nn.utils.parameters_to_vector(net.parameters()).detach() - start


def _costs(case, price=None):
    """The sum of the layers' rates, batch by batch, as the network is trained."""
    seen = []

    def cost(records):
        seen.append(sum(rates(records)).item())
        return sum(rates(records))

    _run(lambda *arguments: train(*arguments, cost=cost), case, price)
    return seen


def _explain(way, case, price):
    """Raise NotYet with what the way of the weights says."""
    if not way.any():
        raise NotYet(
            "no weight has moved. Is optimizer.step() called for every batch, after backward(), with no zero_grad() in "
            "between?"
        )

    def like(**how):
        return alike(way, _run(lambda *arguments: train(*arguments, **how), case)[1])

    def first(net, batches, *others):
        return train(net, batches[:1], *others)

    if like(zero=False):
        raise NotYet("the gradients of earlier batches are still there: zero_grad() before each backward().")
    if alike(way, _run(first, case)[1]):
        raise NotYet("the weights moved for the first batch only. Is there a `return` inside the loop?")
    if like(loss=losses.ce_rate_loss):
        raise NotYet("this is with the rate loss; wanted is the count loss, ce_count_loss.")
    for reason, cost in PRICES.items() if price else ():
        if like(cost=cost):
            raise NotYet(reason)
    raise NotYet(
        "the weights end elsewhere than with encode, forward, loss, zero_grad, backward, step for each batch"
        + (", and the sum of all layers' rates times price in the loss." if price else ", here with a price of 0.")
    )
