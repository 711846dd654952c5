"""Notebook 03: right answers are taken in whatever form, typical wrong ones refused for the right reason."""

import functools
import itertools
import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from snn_helpers import data, encoding, losses, networks, training, weights, widgets
from snn_helpers.encoding import poisson
from snn_helpers.exercises import nb03_single_layer_snn as nb03
from snn_helpers.neurons import lif

BOOK = nbformat.read(Path(__file__).parents[1] / "notebooks" / "03_single_layer_snn.ipynb", 4)
SOURCES = [cell.source for cell in BOOK.cells if cell.cell_type == "code"]


def small(digits):
    torch.manual_seed(2)
    return networks.single_layer(), digits.first(211), lambda images: poisson(images, 7)


def test_the_live_templates_leave_the_training_what_it_is():
    """A loop with the picture ends with the weights of fit, and each moment's picture is of that moment's weights."""
    ends, seen = [], {}
    for watched in True, False:
        net, digits, encode = small(data.mnist(True, root="bundled"))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        weight = net.layers[0][1].weight
        if not watched:
            training.fit(net, digits, encode, losses.mse_rate_loss, optimizer, epochs=1, batch_size=53, seed=0)
            ends.append(weight)
            continue
        random = torch.get_rng_state()
        live = widgets.LiveTemplates(net, digits, encode, moments=(0, 2))
        assert torch.equal(torch.get_rng_state(), random), "a spike drawn for the picture is one less for the loop"
        seen[0] = weight.detach().clone()
        torch.manual_seed(0)
        order = int(torch.randint(2**62, ()))
        for images, labels in data.batches(digits, 53, shuffle=True, seed=order):
            loss = losses.mse_rate_loss(net(encode(images))[-1], labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            live(loss)
            seen[len(live.loss)] = weight.detach().clone()
        ends.append(weight)
    assert torch.equal(*ends) and len(live.loss) == 4
    rows = live.strip().axes
    titles = [ax.title.get_text() or ax._left_title.get_text() for ax in rows[:6:2]]
    assert titles == ["after 0 batches", "after 2 batches", "after 4 batches"]
    for ax, step in zip(rows[:6:2], (0, 2, 4), strict=True):
        shown = ax.images[0].get_array()[:28, 29:57]  # the second template
        assert np.array_equal(shown, seen[step][1].view(28, 28)), step
    counts = net(poisson_of(digits, encode))[-1].spikes.sum(0)[0]
    own = digits.labels[0]
    assert max(rows[5].lines[1].get_ydata()) == counts[own], "the race ends with the spikes of the weights at the end"


def poisson_of(digits, encode):
    torch.manual_seed(0)
    return encode(digits.first(1).pixels)


def test_the_live_templates_are_redrawn_at_most_twice_a_second(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(widgets.live.time, "monotonic", lambda: clock[0])
    net, digits, encode = small(data.mnist(True, root="bundled"))
    live = widgets.LiveTemplates(net, digits, encode)
    first = live.value
    live(torch.tensor(0.5))
    assert live.value == first and live.loss == [0.5]
    clock[0] += 0.6
    live(torch.tensor(0.4))
    assert live.value != first


def test_the_notebook_writes_the_loop_and_compares_it_with_fit():
    (loop,) = [source for source in SOURCES if "live(loss)" in source]
    steps = "encode(", "net(", "mse_rate_loss(", ".zero_grad()", ".backward()", ".step()"
    assert [step for step in steps if step in loop] == list(steps)
    assert any("torch.equal(twin.layers[0][1].weight, net.layers[0][1].weight)" in source for source in SOURCES)


def test_no_cell_before_a_card_prints_what_the_card_asks():
    cards = [re.search(r'guess\(\s*"(03\.\w+)"', source) for source in SOURCES]
    keys = [found[1] for found in cards if found]
    assert len(keys) == len(set(keys)) >= 3 and {"03.silent", "03.steps"} <= set(keys)
    for cell in BOOK.cells:
        if cell.cell_type == "code" and re.search(r"^(accuracy|found|spiking, plain|size) = ", cell.source, re.M):
            assert not any(output.output_type == "stream" for output in cell.outputs), cell.id
    assert 'widgets.guesses("03")' in SOURCES[-1]


def test_the_notebook_asks_for_a_digit_at_which_nobody_fires():
    panel = widgets.vote_explorer()
    panel.controls["index"].value = 18
    assert "nobody has fired" in panel.headline.value


def test_the_strip_names_the_first_two_of_each_race():
    axes = widgets.vote_explorer().strip().axes
    clear, *close = ([text.get_text().strip() for text in ax.texts] for ax in axes[3::4])
    assert len(clear) == 1 and all(len(", ".join(names).split(", ")) == 2 for names in close)
    for row in 1, 2:
        counts = axes[4 * row + 2].lines[0].get_ydata()
        first, second = np.bincount(counts.astype(int), minlength=10)[np.argsort(np.bincount(counts.astype(int)))[-2:]]
        assert 0 < first < second < 2 * first, "a close race, in which both have fired"


def test_the_strip_shows_the_closest_races_of_all():
    panel = widgets.vote_explorer()
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in panel.strip().axes[::4][:3]]
    net, digits = weights.trained("single-layer", "fast"), data.mnist(False, root="bundled")
    shares = []
    for index in range(200):
        spikes = poisson(digits.pixels[index][None], 50, generator=torch.Generator().manual_seed(0))
        first, second = net(spikes)[-1].spikes.sum(0)[0].topk(2).values.tolist()
        shares.append(second / max(1, first))
    closest = sorted(range(200), key=lambda index: -shares[index])[:2]
    assert titles == [f"a {digits.labels[index]}" for index in (0, *closest)]
    assert "largest share of the winner's spikes" in panel.sentence


@pytest.mark.parametrize(
    "answer",
    [
        (3, (0.3**2 + 0.4**2 + 0.4**2) / 5),
        (3, 0.082),
        [3.0, np.float32(0.082)],
        np.array([3, 0.082]),
        torch.tensor([3, 0.082]),
        (torch.tensor(3), torch.tensor([0.3, 0, 0.4, 0.4, 0]).square().mean()),
    ],
)
def test_03_1_right(accepted, answer):
    accepted("03.1", answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (0.082, r"wanted 2 numbers in brackets, \(class, loss\)"),
        ((0.082, 3), "the class should be a whole number"),
        ((2, 0.086), "class 2 is 0.4 off its target, but another class is further off"),
        ((0, 0.09), "class 0 is 0.3 off"),
        ((4, 0.082), "class 4 is silent, as it should be"),
        ((7, 0.082), "classes 0 to 4, got 7"),
        ((3, 0.41), "the sum of the squares"),
        ((3, 0.041), "divided by the ten steps"),
        ((3, 0.1), "before the change"),
        ((3, 0.018), "by how much the loss falls"),
        ((3, 0.122), "with one more spike of class 3"),
        ((3, 8.2), "squares of spike counts"),
        ((3, -0.082), "the size is right, the sign is not"),
        ((3, 0.08), "too small"),
        ((3, math.nan), r"loss is NaN"),
    ],
)
def test_03_1_wrong(refused, answer, words):
    refused("03.1", answer, words)


def test_03_1_is_the_best_of_all_changes_by_one_spike():
    counts, target = torch.tensor([3.0, 0, 6, 5, 0]), torch.tensor([0.0, 0, 1, 0, 0])
    changes = torch.cat([torch.eye(5), -torch.eye(5)])
    losses = ((counts + changes) / 10 - target).square().mean(1).where((counts + changes >= 0).all(1), torch.inf)
    assert losses.argmin() == 5 + 3 and losses.min().item() == pytest.approx(0.082)


BLIND = 25 / 26**2


@pytest.mark.parametrize(
    "answer",
    [
        (1 / 26, 25 / 26, BLIND),
        (0.0385, 0.9615, 0.037),
        [0.0385, 0.962, 0.03698],
        np.array([1 / 26, 25 / 26, BLIND]),
        torch.tensor([1 / 26, 25 / 26, BLIND]),
    ],
)
def test_03_2_right(accepted, answer):
    accepted("03.2", answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        ((0.1, 0.9, 0.09), "silent: this is silence with ten classes"),
        ((1, 25, 25 / 26), "silent: this is the sum of the squares"),
        ((0, 1, 0), "silent: 0 is a perfect score"),
        ((1 / 26, 1, BLIND), "all firing: .* 25 ones, not 26"),
        ((1 / 26, 0, BLIND), "all firing: .* the other 25 should be silent"),
        ((1 / 26, 25, BLIND), "all firing: this is the sum"),
        ((1 / 26, 1 / 26, BLIND), "all firing: this is the loss of silence"),
        ((25 / 26, 1 / 26, BLIND), "silent: 0.96.* is too large"),
        ((1 / 26, 25 / 26, 1 / 26), "best common rate: this is what silence costs.* wanted is its loss"),
        ((1 / 26, 25 / 26, 0.25), "best common rate: a rate of one half"),
        ((1 / 26, 25 / 26, 25 / 26), "best common rate: this is the sum"),
        ((1 / 26, 25 / 26, 0), "best common rate: it does not look at the picture"),
        ((1 / 26, 25 / 26), "wanted 3 numbers"),
        ({1 / 26, 25 / 26, BLIND}, "a set, which has no order"),
    ],
)
def test_03_2_wrong(refused, answer, words):
    refused("03.2", answer, words)


def test_03_2_are_losses_of_networks():
    rates = torch.linspace(0, 1, 26 * 50 + 1, dtype=torch.float64)
    losses = torch.stack([(torch.full((26,), r) - torch.eye(26)[7]).square().mean() for r in rates])
    assert losses[0].item() == pytest.approx(1 / 26) and losses[-1].item() == pytest.approx(25 / 26)
    assert rates[losses.argmin()].item() == pytest.approx(1 / 26) and losses.min().item() == pytest.approx(BLIND)


def top(counts):
    return counts == counts.max(-1, keepdim=True).values


def ties_in_a_loop(counts):
    tied = 0
    for row in counts.tolist():
        tied += row.count(max(row)) > 1
    return tied


def ties_in_numpy(counts):
    counts = counts.numpy()
    return ((counts == counts.max(-1, keepdims=True)).sum(-1) > 1).sum()


def ties_in_place(counts):
    counts -= counts.max(-1, keepdim=True).values
    return counts.eq_(0).sum(-1).gt(1).sum()


def ties_by_rank(counts):
    best = counts.topk(2).values
    return (best[:, 0] == best[:, 1]).double().sum()


def ties_by_sorting(counts):
    order = counts.sort(descending=True).values
    return len(order[order[:, 0] == order[:, 1]])


@pytest.mark.parametrize("answer", [ties_in_a_loop, ties_in_numpy, ties_in_place, ties_by_rank, ties_by_sorting])
def test_03_3_right(accepted, answer):
    accepted("03.3", answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda counts: 3, "ties among 53 digits, 7 classes with up to .*: yours 3"),
        (lambda counts: (top(counts).sum(-1) > 1).int(), "one value a digit"),
        (lambda counts: (top(counts).sum(-1) > 1).tolist(), "one value a digit"),
        (lambda counts: sum(len(row.unique()) < len(row) for row in counts), "only a tie for first place"),
        (lambda counts: (top(counts).sum(-1) == 2).sum(), "three may share one too"),
        (lambda counts: ((top(counts).sum(-1) > 1) & counts.any(-1)).sum(), "for which nobody has fired"),
        (lambda counts: top(counts).sum(), "counts the classes in first place"),
        (lambda counts: (top(counts).sum(-1) == 1).sum(), "the digits that have one winner"),
        (lambda counts: 1, "return inside the loop"),
        (lambda counts: (top(counts).sum(-1) > 1).double().mean(), "this is a share"),
        (lambda counts: ((counts == counts.max(0).values).sum(0) > 1).sum(), "the highest count of each class"),
        (lambda counts: (top(counts).sum(-1) > 2).sum(), "two may share one too"),
        (lambda counts: (top(counts).sum(-1) - 1).sum(), "the classes beside the winner"),
        (lambda counts: top(counts).sum(-1)[top(counts).sum(-1) > 1].sum(), "the classes that share one"),
        (len, "counts all digits"),
        (lambda counts: (top(counts).sum(-1) >= 1).sum(), "counts all digits"),
        (lambda counts: (~counts.any(-1)).sum(), "for which nobody has fired; others"),
        (lambda counts: (counts.topk(2).values.diff(dim=-1) >= -1).sum(), "close races too"),
        (lambda counts: 100 * (top(counts).sum(-1) > 1).double().mean(), "in per cent"),
        (lambda counts: (counts == counts.max()).sum(-1).gt(1).sum(), "of all digits together"),
        (lambda counts: (counts == counts.min(-1, keepdim=True).values).sum(-1).gt(1).sum(), "the lowest count"),
        # what is none of these slips is called none of them, though in one case it may give the same number
        (lambda counts: (counts.mode(-1).values == counts.max(-1).values).sum(), "^ties among .*: yours"),
        (lambda counts: top(counts).sum(-1)[:-1].gt(1).sum(), "^ties among .*: yours"),
        (lambda counts: (counts[:, 0] == counts[:, 1]).sum(), "^ties among .*: yours"),
        (lambda counts: (top(counts).sum(-1) > 1).any(), "should be one number, got a?.*bool"),
        (lambda counts: counts[99], "your function raised IndexError.*line"),
        (lambda counts, top: 3, r"should take 1 argument: \(counts\)"),
        (7, "wanted a function, got int"),
    ],
)
def test_03_3_wrong(refused, answer, words):
    refused("03.3", answer, words)


def zero_reset(U, current, beta):
    return beta * U * (U <= 1) + current


def read(batches, W, beta, *, start="batch", reset=zero_reset, fires=torch.gt, last=False):
    """The reader of exercise 03.4; ``start``: what starts anew with a batch."""
    U = votes = torch.zeros(())
    answers = []
    for spikes in batches:
        if start in ("batch", "membrane"):
            U = 0 * torch.ones(spikes.shape[1], len(W))
        if start in ("batch", "votes"):
            votes = 0
        for current in spikes @ W.T:
            U = reset(U, current, beta)
            votes = (0 if last else votes) + fires(U, torch.ones(())).int()
        answers.append(votes.argmax(-1))
    return torch.cat(answers)


def input_cut(U, current, beta):
    return beta * U + current * (U <= 1)


def subtracted(U, current, beta):
    return beta * U + current - (U > 1).float()


def counted_after_the_reset(batches, W, beta):
    answers = []
    for spikes in batches:
        U = votes = torch.zeros(())
        for current in spikes @ W.T:
            U = beta * U + current
            U = U * (U <= 1)
            votes = votes + (U > 1)
        answers.append(votes.argmax(-1))
    return torch.cat(answers)


def broken_reader(batches, W, beta):  # as it stands in the notebook
    U, votes, answers = 0, 0, []
    for spikes in batches:
        for current in spikes @ W.T:
            U = beta * U + current * (U <= 1)
            votes = votes + (U > 1)
        answers.append(votes.argmax(-1))
    return torch.cat(answers)


def repaired_in_place(batches, W, beta):
    answers = []
    for spikes in batches:
        U, votes = torch.zeros(spikes.shape[1], 5), torch.zeros(spikes.shape[1], 5)
        for current in spikes @ W.T:
            U.mul_(beta * (U <= 1)).add_(current)
            votes += U > 1
        answers += votes.argmax(-1).tolist()
    return answers


def repaired_with_the_helper(batches, W, beta):
    spikes = [lif(batch @ W.T, beta=beta, reset="zero").spikes for batch in batches]
    return torch.cat([part.sum(0).argmax(-1) for part in spikes])


def repaired_all_at_once(batches, W, beta):
    return lif(torch.cat(list(batches), 1) @ W.T, beta=beta, reset="zero").spikes.sum(0).argmax(-1).int()


def repaired_in_numpy(batches, W, beta):
    answers = []
    for spikes in batches:
        U, votes = 0.0, 0
        for current in spikes.numpy().astype(float) @ W.numpy().T:
            U = np.where(np.greater(U, 1), 0, beta * U) + current
            votes = votes + (U > 1)
        answers.append(votes.argmax(-1))
    return np.concatenate(answers)


def repaired_in_float64(batches, W, beta):
    return read([spikes.double() for spikes in batches], W.double(), beta)


@pytest.mark.parametrize(
    "answer",
    [read, repaired_in_place, repaired_with_the_helper, repaired_all_at_once, repaired_in_numpy, repaired_in_float64],
)
def test_03_4_right(accepted, answer):
    accepted("03.4", answer)


part = functools.partial


@pytest.mark.parametrize(
    "answer, words",
    [
        (broken_reader, "all three faults are still in it"),
        (part(read, start="votes"), "starts with the membranes of the first"),
        (part(read, start="membrane"), "starts with the votes of the first"),
        (part(read, start="never"), "starts with the membranes and the votes of the first"),
        (part(read, reset=input_cut), "after a spike the input is forgotten, and the membrane kept"),
        (part(read, reset=lambda U, current, beta: beta * U + current), "after a spike nothing is forgotten"),
        (part(read, reset=subtracted), "afresh.* the threshold is taken off"),
        (part(read, reset=lambda U, current, beta: (beta * U + current) * (U <= 1)), "the input is forgotten as well"),
        (part(read, start="votes", reset=input_cut), "membranes of the first; and after a spike the input is forg"),
        (part(read, start="membrane", reset=input_cut), "votes of the first; and after a spike the input is forg"),
        (part(read, start="membrane", reset=subtracted), "votes of the first; and after a spike the threshold is"),
        (part(read, start="never", reset=subtracted), "the votes of the first; and after a spike the threshold is"),
        (counted_after_the_reset, "counted after the reset, when no membrane is above 1"),
        (part(read, start="batch", last=True), "only the last step counts"),
        (lambda batches, W, beta: read(batches, W, 0.5), "beta|first differ at digit"),
        (lambda batches, W, beta: read(batches, W, 0 * beta), "the membrane starts from 0 at every step"),
        (part(read, fires=torch.ge), "above the threshold, not at it|batches of .* digit .*: yours"),
        (lambda batches, W, beta: read(batches[:1], W, beta), "the first batch alone"),
        (lambda batches, W, beta: read(batches[1:], W, beta), "the last batch alone|should have shape"),
        (lambda batches, W, beta: torch.zeros(26), "it is 0 for every digit"),
        (lambda batches, W, beta: torch.ones(26), "the answer for batches of 13, 13 digits first differ at digit"),
        (lambda batches, W, beta: read(batches, W, beta)[:, None], r"should have shape \[26\], got \[26, 1\]"),
        (lambda batches, W, beta: print(end=""), "ends without a `return`"),
        (lambda batches, W: 3, r"should take 3 arguments: \(batches, W, beta\)"),
    ],
)
def test_03_4_wrong(refused, answer, words):
    refused("03.4", answer, words)


def test_03_4_no_two_faults_give_the_same_answers():
    """In the first case: a reason is named there, and must not be another fault's."""
    spikes, weight = nb03._race(0.5, 26)
    how = nb03._faults(True)
    found = {reason: nb03._read(spikes.split(13, 1), weight, **dict(beta=0.5) | how[reason]) for reason in how}
    found["right"] = nb03._read(spikes.split(13, 1), weight, beta=0.5)
    pairs = itertools.combinations(found, 2)
    same = [pair for pair in pairs if torch.equal(found[pair[0]], found[pair[1]])]
    three = "all three faults are still in it."
    assert [pair[0] for pair in same] == [three], "named as its three parts, it is the same"


def judge(net, digits, steps=50, encode=poisson, readout=losses.spike_count):
    return training.accuracy(net, digits, lambda images: encode(images, steps), readout=readout)


def judge_by_batches(net, digits, readout=losses.spike_count, steps=50, most=None, size=100):
    right = 0
    for images, labels in list(data.batches(digits, size))[:most]:
        right += (readout(net(poisson(images, steps))[-1]).argmax(-1) == labels).sum().item()
    return right / (min(most * size, len(digits.labels)) if most else len(digits.labels))


def judge_one_by_one(net, digits):
    right = []
    with torch.no_grad():
        for image, label in zip(digits.images, digits.labels, strict=True):
            spikes = poisson(image.double()[None, None] / 255, 50).float()
            right.append((net(spikes)[-1].spikes.sum(0)[0].argmax() == label).item())
    return np.mean(right)


def judge_from_scratch(net, digits):
    weight = net.layers[0][1].weight
    spikes = (torch.rand(50, len(digits.labels), 784) < digits.images.flatten(1) / 255).float()
    record = lif(spikes @ weight.T, **net.neuron)
    return (record.spikes.mean(0).argmax(-1) == digits.labels).double().mean()


def judge_in_numpy(net, digits):
    with torch.no_grad():
        counts = net(poisson(digits.pixels, 50))[-1].spikes.numpy().sum(0)
    return (counts.argmax(1) == digits.labels.numpy()).mean()


def judge_step_by_step(net, digits):
    state, votes = None, 0
    for spikes in poisson(digits.pixels, 50):
        state = net(spikes[None], initial=state)
        votes = votes + state[-1].spikes[0]
    return (votes.argmax(-1) == digits.labels).double().mean()


@pytest.mark.parametrize(
    "answer",
    [judge, judge_by_batches, judge_one_by_one, judge_from_scratch, judge_in_numpy, judge_step_by_step],
)
def test_03_5_right(accepted, answer):
    accepted("03.5", answer, r"9\d\.\d% of the first 503 of MNIST's test digits .* 92\.6% of all 10,000")


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda net, digits: 0.93, "the same share for three different networks"),
        (lambda net, digits: judge(net, digits.first(50)), "shown 50 of 503 digits"),
        (part(judge_by_batches, most=1), "shown 100 of 503 digits"),
        (part(judge_by_batches, most=1, size=500), "shown 500 of 503 digits"),
        (part(judge, steps=5), "shown 5 steps of a digit, wanted are 50"),
        (part(judge, encode=encoding.direct), "grey values, not spikes"),
        (part(judge, encode=lambda images, steps: poisson(images, steps) / 2), "spikes of another height than 1"),
        (lambda net, digits: training.accuracy(net, digits, lambda images: images[None]), "grey values, not spikes"),
        (part(judge, readout=lambda record: record.membrane.sum(0)), "membranes give in place of votes"),
        (part(judge_by_batches, readout=lambda record: record.membrane.mean(0)), "membranes give in place of votes"),
        (lambda net, digits: 100 * judge(net, digits), "in per cent"),
        (lambda net, digits: 1 - judge(net, digits), "that it gets wrong"),
        (lambda net, digits: judge(net, digits) * len(digits.labels), "divide by the number of digits"),
        (lambda net, digits: judge_from_scratch(net, digits.first(50)), "the first digits alone"),
        (lambda net, digits: net(digits.images), "your function raised"),
        (lambda net: 1.0, r"should take 2 arguments: \(net, digits\)"),
        (lambda net, digits: math.nan, "is NaN"),
    ],
)
def test_03_5_wrong(refused, answer, words):
    refused("03.5", answer, words)


def test_03_5_needs_no_network_that_can_be_watched(refused):
    """Steps, encoding and readout show in the result too, where the neurons are written out anew."""

    def alone(steps=50, spikes=True, readout="spikes", last=False, share=lambda right: right.mean()):
        def answer(net, digits):
            twin = networks.SNN(*net.layers, **net.neuron)
            images = digits.pixels
            record = twin(poisson(images, steps) if spikes else encoding.direct(images, steps))[-1]
            found = getattr(record, readout)
            return share(((found[-1] if last else found.sum(0)).argmax(-1) == digits.labels).double())

        return answer

    refused("03.5", alone(steps=5), "what you get with a few steps|: yours")
    refused(
        "03.5",
        alone(spikes=False),
        "this is what grey values give in place of spikes",
    )
    refused("03.5", alone(readout="membrane"), "membranes give in place of votes")
    refused("03.5", alone(last=True), "the last step alone")
    refused("03.5", alone(share=lambda right: right[:50].mean()), "the first digits alone")
    refused("03.5", alone(share=lambda right: right.split(100)[-1].mean()), "the last digits alone")
    refused("03.5", alone(share=lambda right: np.mean([part.mean() for part in right.split(100)])), "shares of batches")
    refused("03.5", alone(share=lambda right: np.mean([part.mean() for part in right.split(500)])), "shares of batches")
    # none of the slips: no reason is better than another slip's
    refused("03.5", alone(share=lambda right: right.split(100)[-1].sum() / len(right)), "^the bundled network.*: yours")
    refused("03.5", alone(share=lambda right: right.mean().round()), "was the share rounded")
    refused("03.5", alone(share=lambda right: 0.98), "the same share for three")
