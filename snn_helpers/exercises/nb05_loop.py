"""The exercise of notebook 05 that changes the training loop: a loss of membranes in place of spikes."""

import torch
import torch.nn.functional as F
from torch import nn

from snn_helpers import losses, networks
from snn_helpers.encoding import poisson
from snn_helpers.exercises.core import NotYet, alike, call, exercise, same, tensor
from snn_helpers.surrogates import fast_sigmoid

STEPS, PIXELS, HIDDEN, CLASSES = 9, 7, 17, 5
SGD, ADAM = (lambda p: torch.optim.SGD(p, lr=0.3)), (lambda p: torch.optim.Adam(p, lr=0.02))
CASES = (0, 6, SGD), (1, 4, ADAM)  # seed, batches, optimizer


def highest(records, labels):
    """The loss that is asked for."""
    return F.cross_entropy(records[-1].membrane.amax(0), labels)


# what can go wrong with the loss -> what is to be said of it
LOSSES = {
    "the loss is still that of the spike counts: take the membranes of the last layer.": lambda records, labels: (
        losses.ce_count_loss(records[-1], labels)
    ),
    "this is the cross entropy of the spikes at each step: take the membranes.": lambda records, labels: (
        losses.ce_rate_loss(records[-1], labels)
    ),
    "this is the mean membrane of each neuron; wanted is the highest.": lambda records, labels: F.cross_entropy(
        records[-1].membrane.mean(0), labels
    ),
    "this adds up the membranes of all steps; wanted is the highest.": lambda records, labels: F.cross_entropy(
        records[-1].membrane.sum(0), labels
    ),
    "this is the membrane at the last step; wanted is the highest of all steps.": lambda records, labels: (
        F.cross_entropy(records[-1].membrane[-1], labels)
    ),
    "this takes each step by itself; of each neuron only its highest membrane counts.": lambda records, labels: (
        F.cross_entropy(records[-1].membrane.flatten(0, 1), labels.repeat(STEPS))
    ),
    "these are the membranes of the hidden layer; the classes are in the last one, records[-1].": (
        lambda records, labels: F.cross_entropy(records[0].membrane.amax(0), labels)
    ),
    "cross_entropy takes the scores as they are; it does the softmax itself.": lambda records, labels: F.cross_entropy(
        records[-1].membrane.amax(0).softmax(-1), labels
    ),
    "the sign is turned: the network learns to be wrong.": lambda records, labels: -highest(records, labels),
    "the loss is added up over the batch; wanted is its mean.": lambda records, labels: (
        highest(records, labels) * len(labels)
    ),
    "nll_loss wants logarithms of chances; cross_entropy takes the scores as they are.": lambda records, labels: (
        F.nll_loss(records[-1].membrane.amax(0), labels)
    ),
    "this is the mean squared difference from 0 and 1; wanted is the cross entropy.": lambda records, labels: (
        F.mse_loss(records[-1].membrane.amax(0), F.one_hot(labels, CLASSES).float())
    ),
    "this is the lowest membrane of each neuron; wanted is the highest.": lambda records, labels: F.cross_entropy(
        records[-1].membrane.amin(0), labels
    ),
    "this is the membrane after its reset, with the spikes taken off: record.membrane is the one before.": (
        lambda records, labels: F.cross_entropy((records[-1].membrane - records[-1].spikes).amax(0), labels)
    ),
    "the loss is that of the spikes and of the membranes together; wanted is that of the membranes alone.": (
        lambda records, labels: highest(records, labels) + losses.ce_count_loss(records[-1], labels)
    ),
}


def train(net, batches, encode, optimizer, *, loss=highest, zero=True, late=False, once=False):
    """The loop that is asked for; the keywords are for what may go wrong in it."""
    values = []
    for images, labels in batches:
        if late:
            optimizer.step()
        value = loss(net(encode(images)), labels)
        if zero:
            optimizer.zero_grad()
        value.backward()
        if not late and not once:
            optimizer.step()
        values.append(value.item())
    if once:
        optimizer.step()
    return values


# what can go wrong with the loop
LOOPS = {
    "the gradients of earlier batches are still there: optimizer.zero_grad() before each backward().": {"zero": False},
    "the gradients of the last batch move nothing: step() comes after backward(), in the same batch.": {"late": True},
    "there is one step at the end, by the gradient of the last batch; wanted is one after each.": {"once": True},
    "there is one step at the end, by the gradients of all batches; wanted is one after each.": {
        "once": True,
        "zero": False,
    },
}


@exercise(
    "05.4",
    "one line of the six changes. Which of them sees spikes only, and what else does a record hold?",
    "record.membrane is [T, B, C]: its highest value over the steps is amax(0), ten scores a digit.",
    "loss = F.cross_entropy(net(encode(images))[-1].membrane.amax(0), labels); the other five lines stay as they are.",
    seconds=20,
)
def membrane_loss(answer):
    for seed, count, make in CASES:
        batches = _batches(seed, count)
        wanted, moved, _ = _trained(seed, make, batches, train)
        got, change, steps = _trained(
            seed,
            make,
            batches,
            lambda net, given, encode, optimizer: call(
                answer, net=net, batches=given, encode=encode, optimizer=optimizer
            ),
        )
        if not alike(change, moved, 1e-3):
            _name_what_moved(seed, make, batches, change, steps)
            raise NotYet(
                "the weights end elsewhere. One change only: the loss is the cross entropy of the highest membrane."
            )
        if isinstance(got, nn.Module):
            raise NotYet("the weights are right. Return the losses, one number a batch; got the network.")
        values = tensor(got, "the list of losses")
        if values.shape != (count,):
            raise NotYet(f"the weights are right. Return the losses, one number a batch: {count} here.")
        same(values, torch.tensor(wanted), what="the losses", tolerance=1e-3, first="batch")
    return "one line changed. A membrane says how near a spike was, so no surrogate stands before the last weights."


def _name_what_moved(seed, make, batches, change, steps):
    """Raise NotYet with the slip that moves the weights in this way, if there is one."""
    if not change.any():
        raise NotYet(
            "no weight has moved. The order is zero_grad(), backward(), step(): the first clears the gradients, the "
            "second fills them, the third goes by them."
        )
    if not steps:
        raise NotYet(
            "the weights have moved, but not by the optimizer that is given: take its steps, optimizer.step()."
        )
    if 1 < steps < len(batches):
        raise NotYet(f"{steps} steps for {len(batches)} batches; wanted is one each.")
    for reason, how in {**{reason: {"loss": loss} for reason, loss in LOSSES.items()}, **LOOPS}.items():
        if alike(change, _trained(seed, make, batches, lambda *given, how=how: train(*given, **how))[1], 1e-3):
            raise NotYet(reason)
    if alike(change, _trained(seed, make, batches[:1], train)[1], 1e-3):
        raise NotYet("only the first batch was learnt from. Does `return` stand inside the loop?")
    if steps != len(batches):
        times, rest = divmod(steps, len(batches))
        often = {2: "twice", 3: "three times"}.get(times, f"{times} times")
        raise NotYet(
            f"{steps} step{'s' * (steps > 1)} for {len(batches)} batches; wanted is one each."
            if rest
            else f"every batch was learnt from {often}; wanted is one pass."
        )


def _trained(seed, make, batches, loop):
    """What ``loop`` returned, how far it moved all weights of this seed's network (one row), and in how many steps."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first = nn.Sequential(nn.Flatten(-3), nn.Linear(PIXELS**2, HIDDEN))
        net = networks.SNN(first, nn.Linear(HIDDEN, CLASSES), beta=0.9, spike=fast_sigmoid(10))
        with torch.no_grad():
            for part in net.parameters():
                part.mul_(2)  # lively, so that spikes and membranes teach different things
    before = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    given = [(images.clone(), labels.clone()) for images, labels in batches]
    optimizer, steps = make(net.parameters()), []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    got = loop(net, given, encode, optimizer)
    return got, nn.utils.parameters_to_vector(net.parameters()).detach() - before, len(steps)


def encode(images):
    """Poisson spikes, the same for the same images."""
    return poisson(images, STEPS, generator=torch.Generator().manual_seed(0))


def _batches(seed, count):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((count, 13, 1, PIXELS, PIXELS), generator=generator)
    labels = torch.randint(0, CLASSES, (count, 13), generator=generator)
    return list(zip(images, labels, strict=True))
