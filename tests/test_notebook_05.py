"""Notebook 05: its three explorers, held to computations of their own, what it says of libraries, its exercises."""

import math
import re

import pytest
import torch
import torch.nn.functional as F

from snn_helpers import data, networks, plots, surrogates, training, widgets
from snn_helpers.encoding import poisson
from snn_helpers.exercises import grade
from snn_helpers.neurons import lif
from snn_helpers.widgets import hidden

T = 7


@pytest.fixture(scope="module")
def digits():
    every = data.mnist(train=False, root=data.BUNDLED)
    return data.Digits(every.images[:83], every.labels[:83], every.source)


@pytest.fixture(scope="module")
def snn():
    torch.manual_seed(0)
    net = networks.hidden_layer(spike=surrogates.fast_sigmoid(10))
    train = data.mnist(train=True, root=data.BUNDLED)
    few = data.Digits(train.images[:1501], train.labels[:1501], "")
    options = dict(epochs=2, batch_size=64, lr=3e-3, seed=0, progress=False)
    training.fit(net, few, lambda images: poisson(images, T), training.ce_count_loss, **options)
    return net


@pytest.fixture(scope="module")
def ann():
    torch.manual_seed(0)
    net = networks.mlp()
    train = data.mnist(train=True, root=data.BUNDLED)
    few = data.Digits(train.images[:1501], train.labels[:1501], "")
    options = dict(epochs=2, batch_size=64, lr=1e-2, seed=0, progress=False)
    training.fit(net, few, lambda images: images, F.cross_entropy, **options)
    return net


@pytest.fixture(scope="module")
def panels(snn, ann, digits):
    return {
        "hidden": widgets.hidden_explorer(snn, digits, steps=T),
        "disagreement": widgets.disagreement_explorer(snn, ann, digits, steps=T),
        "robustness": widgets.robustness_explorer(snn, ann, digits, steps=T),
    }


EXPLORERS = "hidden", "disagreement", "robustness"


def headline(panel, **values):
    for name, value in values.items():
        panel.controls[name].value = value
    return panel.headline.value


def pixels(digits):
    return digits.images.unsqueeze(1).float() / 255


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_position_of_the_controls_draws(name, panels, drive):
    drive(panels[name], most=8)


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_strip_and_its_sentence(name, panels):
    panel = panels[name]
    figure = panel.strip()
    assert len(figure.axes) >= 4 and sum(ax.has_data() for ax in figure.axes) >= 4
    assert plots.png(figure) == plots.png(panel.strip()), "the strip differs from one time to the next"
    assert len(panel.sentence) > 40


# ---- one hidden neuron


def test_class_rates_are_those_of_a_loop_over_the_digits(snn, digits):
    rates = hidden.class_rates(snn, digits, T)
    with torch.no_grad():
        spikes = snn(poisson(pixels(digits), T, generator=torch.Generator().manual_seed(0)))[0].spikes
    for c in 0, 3, 9:
        one_by_one = [spikes[:, i].mean(0) for i in range(83) if digits.labels[i] == c]
        assert torch.allclose(rates[c], torch.stack(one_by_one).mean(0), atol=1e-6)


def test_a_class_without_digits_has_rate_0(snn, digits):
    some = digits.labels != 4
    rates = hidden.class_rates(snn, data.Digits(digits.images[some], digits.labels[some], ""), T)
    assert rates.shape == (10, 256) and not rates[4].any() and rates[5].any()


def test_the_hidden_headline_says_what_the_neuron_does(panels, snn, digits):
    rates = hidden.class_rates(snn, digits, T)
    neuron = int(rates.mean(0).argmax())
    text = headline(panels["hidden"], order="number", place=neuron, index=5, seed=3)
    spikes = poisson(pixels(digits)[5:6], T, generator=torch.Generator().manual_seed(3))
    mine = lif(snn.layers[0](spikes.flatten(0, 1)).view(T, 256), beta=0.9).spikes[:, neuron].sum()
    assert f"neuron {neuron} fires at {rates[:, neuron].mean():.1%}" in text
    assert f"most for a {rates[:, neuron].argmax()} ({rates[:, neuron].max():.1%})" in text
    assert f"{mine:.0f} spikes for this {digits.labels[5]}" in text


def test_the_order_by_rate_starts_with_the_busiest_and_ends_with_a_dead_one(panels, snn, digits):
    rates = hidden.class_rates(snn, digits, T).mean(0)
    first = headline(panels["hidden"], order="firing rate, busiest first", place=0)
    assert f"{rates.max():.1%} of the steps" in first
    assert rates.min() == 0, "the small network of this test has dead neurons"
    assert re.search(r"neuron \d+ is dead: it fires for none of 83 test digits", headline(panels["hidden"], place=255))


def test_the_bundled_network_is_what_the_sentence_says():
    net = hidden.recipes.trained("hidden-layer", "fast")
    rates = hidden.class_rates(net, hidden._some(None, 1000), 25)
    share = rates.max(0).values / rates.sum(0).clamp(min=1e-9)
    pickiest = (rates.max(0).values - rates.mean(0)).topk(5).indices
    assert ((share[pickiest] > 0.4) & (share[pickiest] < 1)).all()
    assert (rates.sum(0) == 0).any(), "the notebook asks whether one is dead"


# ---- digits that two networks read differently


def test_the_disagreements_are_all_found_and_sorted(panels, snn, ann, digits):
    torch.manual_seed(0)  # as training.scores draws
    with torch.no_grad():
        votes = snn(poisson(pixels(digits), T))[-1].spikes.sum(0).argmax(-1)
        plain = ann(pixels(digits)).argmax(-1)
    apart = (votes != plain).nonzero().flatten().tolist()
    panel = panels["disagreement"]
    assert len(apart) > 3 and panel.controls["place"].max == len(apart) - 1
    text = headline(panel, group="all", place=2)
    index = apart[2]
    label = digits.labels[index].item()
    assert f"3 of {len(apart)} (all)" in text and f"a {label}: the SNN says {votes[index]}" in text
    assert f"the ANN {plain[index]} (" in text
    only = [i for i in apart if plain[i] == digits.labels[i]]
    assert f"1 of {len(only)} (only the ANN is right)" in headline(panel, group="only the ANN is right", place=0)


def zeroed(net):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    return net


def test_a_tie_is_called_a_tie_and_a_silent_network_drawn(ann, digits):
    panel = widgets.disagreement_explorer(zeroed(networks.hidden_layer()), ann, digits, steps=T)
    assert "the SNN says 0 in a tie (0 spikes, 0 for the" in headline(panel, place=1)


def test_two_networks_that_agree_leave_nothing_to_browse(digits):
    with pytest.raises(ValueError, match="wanted two networks that differ, got the same answer to all 83 digits"):
        widgets.disagreement_explorer(zeroed(networks.hidden_layer()), zeroed(networks.mlp()), digits, steps=T)


# ---- what breaks them


def by_hand(snn, ann, digits, sd, lost, dead, seed=0):
    """[2, T]: as robustness_grid describes itself, one digit and one step after the other."""
    generator = torch.Generator().manual_seed(seed)
    x = pixels(digits)
    static = torch.randn(x.shape, generator=generator)
    order = torch.randperm(256, generator=generator).tolist()
    draws = torch.rand((T, *x.shape), generator=generator)
    seen = (x + sd * static).clamp(0, 1) * (1 - lost)
    dies = [neuron for neuron in range(256) if order[neuron] < round(dead * 256)]
    right = torch.zeros(2, T)
    for i, label in enumerate(digits.labels):
        u, v, votes, total = torch.zeros(256), torch.zeros(10), torch.zeros(10), torch.zeros(784)
        for t in range(T):
            frame = (draws[t, i] < seen[i]).float().flatten()
            u = 0.9 * u + snn.layers[0][1](frame) - (u > 1).float()
            fired = (u > 1).float()
            fired[dies] = 0
            v = 0.9 * v + snn.layers[1](fired) - (v > 1).float()
            votes += v > 1
            total += frame
            h = ann[1](total / (t + 1)).relu()
            h[dies] = 0
            right[0, t] += votes.argmax() == label
            right[1, t] += ann[3](h).argmax() == label
    return right / len(digits.labels)


def test_the_robustness_grid_is_what_it_says(snn, ann, digits):
    few = data.Digits(digits.images[:23], digits.labels[:23], "")
    noise, drop, dead = (0.0, 0.3), (0.0, 0.6, 0.8), (0.0, 0.4)
    grid = hidden.robustness_grid(snn, ann, few, noise=noise, drop=drop, dead=dead, steps=T)
    assert grid.shape == (2, 2, 3, 2, T)
    with torch.no_grad():
        for at in (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 2, 1):
            wanted = by_hand(snn, ann, few, *(level[i] for level, i in zip((noise, drop, dead), at, strict=True)))
            assert torch.allclose(grid[(slice(None), *at)], wanted, atol=1e-6), at


def test_the_robustness_headline_reads_the_grid(panels, snn, ann, digits):
    grid = hidden.robustness_grid(snn, ann, digits, steps=T)
    text = headline(panels["robustness"], noise=0.2, drop=0.5, dead=0.6, until=5)
    spiking, plain = grid[:, 2, 2, 3, 4]
    assert f"after 5 steps: SNN {spiking:.1%}, ANN on the same spikes {plain:.1%}" in text
    assert f"undisturbed: {grid[0, 0, 0, 0, 4]:.1%}" in text


def test_lost_spikes_are_a_dimmer_image():
    generator = torch.Generator().manual_seed(0)
    image, lost = torch.rand(11, 13, generator=generator), 0.3
    spikes = poisson(image, 4001, generator=generator)
    kept = spikes * (torch.rand(spikes.shape, generator=generator) >= lost)
    assert (kept.mean(0) - image * (1 - lost)).abs().max() < 4 * math.sqrt(0.25 / 4001)


# ---- what the notebook says of other libraries


def test_spikingjelly_resets_at_once_even_when_set_as_shown():
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    current = torch.rand(29, 5, generator=torch.Generator().manual_seed(0)) * 0.8
    node = neuron.LIFNode(tau=10.0, decay_input=False, v_reset=None, step_mode="m")
    from snn_helpers.conventions import Convention, simulate

    tau = -1 / math.log(0.9)
    assert torch.equal(node(current), simulate(current, Convention(when="at once", fires=">="), tau=tau).spikes)
    assert not torch.equal(node(current), lif(current, beta=0.9).spikes)


def test_norse_runs_as_shown():
    norse = pytest.importorskip("norse.torch")
    parameters = norse.LIFBoxParameters(tau_mem_inv=100.0)
    net = norse.SequentialState(torch.nn.Flatten(), torch.nn.Linear(784, 10), norse.LIFBoxCell(parameters))
    out, state = net(torch.rand(3, 1, 28, 28), None)
    assert out.shape == (3, 10) and state is not None


# ---- exercises


@pytest.mark.parametrize(
    "answer, words",
    [
        (203_264, "weights alone; each of the 266 neurons has a bias"),
        (784 * 256, "first layer alone"),
        (784 * 256 * 10, "they do not multiply"),
        (203_264 + 784 + 256, "bias belongs to the neuron that receives"),
        (203_531, "too large"),
        ((203_530, 0), "should be one number, got tuple"),
    ],
)
def test_05_1_parameters(refused, answer, words):
    refused("05.1", answer, words)


def test_05_1_agrees_with_the_networks():
    for net in networks.hidden_layer(), networks.mlp():
        assert grade("05.1", sum(p.numel() for p in net.parameters())).status == "right"


@pytest.mark.parametrize(
    "answer, words",
    [
        (0, "a spike is worth 1 and no more"),
        (2.3026, "this is ln 10, a guess"),
        (math.log(math.e + 9), "logarithm of the sum alone"),
        (math.e / (math.e + 9), "the chance that the softmax gives"),
        (math.log10(1 + 9 / math.e), "base 10"),
        (1.3, "too small"),
    ],
)
def test_05_2_floor(refused, answer, words):
    refused("05.2", answer, words)


def test_05_2_is_the_least_over_all_spikes():
    spikes = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 10)
    losses = F.cross_entropy(spikes, torch.zeros(len(spikes), dtype=torch.long), reduction="none")
    assert grade("05.2", losses.min().item()).status == "right"


def scaled(factor):
    def repair(net, spikes):
        net.layers[0][1].weight.data *= factor
        return net

    return repair


def one_value(net, spikes):
    net.layers[0][1].weight.data[:] = 0.002
    return net


def slightly(net, spikes):
    while not net(spikes)[0].spikes.any():
        net.layers[0][1].weight.data *= 1.1
    return net


@pytest.mark.parametrize(
    "answer, words",
    [
        (scaled(1), "still silent"),
        (scaled(1000), r"fire at \d+\.\d% of the steps after your repair, wanted 5 to 20 %: smaller"),
        (slightly, "wanted 5 to 20 %: larger"),
        (one_value, "all weights are the same"),
        (lambda net, spikes: networks.hidden_layer(hidden=31), "this is another network"),
        (lambda net, spikes: 0.07, "should return the network, got float"),
        (lambda net: net, "your function raised TypeError"),
        (7, "wanted a function, got int"),
    ],
)
def test_05_3_repair(refused, answer, words):
    refused("05.3", answer, words)


def accuracy(running, labels):
    return (running.argmax(-1) == labels).double().mean(1)


def last_outside(outside):
    return outside.nonzero()[-1].item() + 2


def first_inside(running, labels):
    curve = accuracy(running, labels)
    return (curve >= curve[-1] - 0.003).nonzero()[0].item() + 1


def index(running, labels):
    curve = accuracy(running, labels)
    return last_outside(curve < curve[-1] - 0.003) - 1


def either_side(running, labels):
    curve = accuracy(running, labels)
    return last_outside((curve - curve[-1]).abs() > 0.003)


def thirty_points(running, labels):
    curve = accuracy(running, labels)
    return last_outside(curve < curve[-1] - 0.3)


@pytest.mark.parametrize(
    "answer, words",
    [
        (index, "is the index; entry 0 stands for one step"),
        (first_inside, "but not at every step after"),
        (either_side, "Being better than the last step is no loss"),
        (thirty_points, "0.3 points are 0.003"),
        (lambda running, labels: len(running) - 1, "the number of steps for|is the index"),
        (lambda running: 3, "your function raised TypeError"),
    ],
)
def test_05_4_enough_steps(refused, answer, words):
    refused("05.4", answer, words)


def binomial(k, n):
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)


def b_and_c(labels, first, second):
    b = ((first == labels) & (second != labels)).sum().item()
    return b, ((first != labels) & (second == labels)).sum().item()


def one_sided(labels, first, second):
    b, c = b_and_c(labels, first, second)
    return sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)


def all_that_differ(labels, first, second):
    return binomial(min(b_and_c(labels, first, second)), (first != second).sum().item())


def all_digits(labels, first, second):
    return binomial(min(b_and_c(labels, first, second)), len(labels))


def chi_square(labels, first, second):
    b, c = b_and_c(labels, first, second)
    return math.erfc(abs(b - c) / math.sqrt(2 * max(1, b + c)))


@pytest.mark.parametrize(
    "answer, words",
    [
        (one_sided, "one side of it"),
        (all_that_differ, "where both are wrong, neither is better"),
        (all_digits, "your n is all 211 digits"),
        (chi_square, "chi-square approximation"),
        (lambda *a: 2 * one_sided(*a), "where b = c the middle counts twice"),
        (lambda *a: 0.5, "too large"),
        (lambda *a: math.nan, "p-value for 211 digits"),
        (lambda *a: b_and_c(*a), "should be one number, got tuple"),
    ],
)
def test_05_5_mcnemar(refused, answer, words):
    refused("05.5", answer, words)
