"""conversion: balanced weights change no answer, spikes count what ReLU says, what cannot be converted is named."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from snn_helpers import conversion, data, networks, training
from snn_helpers.encoding import direct, poisson
from snn_helpers.neurons import Record, lif


def small(seed=0, gain=3.0):
    """A chain for 28 x 28 whose every layer is at work, in double precision."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 5, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Sequential(nn.Conv2d(3, 5, 5, bias=False), nn.ReLU()),
        nn.AvgPool2d(2),
        nn.Dropout(),
        nn.Flatten(-3),
        nn.Linear(80, 7, bias=False),
    ).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(gain)
    return net.eval()


def images(count=23, seed=1):
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def some(count):
    digits = data.mnist(train=False, root="bundled")
    return data.Digits(digits.images[:count], digits.labels[:count], "")


def activations(net, x):
    """ReLU of each weight layer with what lies before it, computed one by one."""
    conv1, conv2 = net[0](x).relu(), None
    conv2 = net[3][0](nn.functional.avg_pool2d(conv1, 2)).relu()
    return conv1, conv2, net[7](nn.functional.avg_pool2d(conv2, 2).flatten(1)).relu()


@pytest.mark.parametrize("percentile", [100, 99.9, 99, 50, 3])
def test_scales_are_the_percentile_of_the_positive_activations(percentile):
    net, x = small(), images()
    with torch.no_grad():
        wanted = [
            np.quantile(a[a > 0].numpy(), percentile / 100, method="inverted_cdf").item() for a in activations(net, x)
        ]
    got = conversion.activation_scales(net, x, percentile)
    assert got == pytest.approx(wanted, rel=1e-12)


def test_normalised_activations_end_at_one_and_the_answers_stay():
    net, x = small(), images()
    before = [p.clone() for p in net.parameters()]
    new = conversion.normalize(net, x, 100)
    with torch.no_grad():
        assert [a.max().item() for a in activations(new, x)] == pytest.approx([1, 1, 1])
        ratio = new(x) / net(x)
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
    assert ratio[0, 0] == pytest.approx(1 / conversion.activation_scales(net, x, 100)[-1])
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    again = conversion.normalize(new, x, 100)
    for a, b in zip(new.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_percentile_lets_the_largest_few_above_one():
    net, x = small(), images(211)
    with torch.no_grad():
        for a in activations(conversion.normalize(net, x, 99), x):
            assert (a[a > 0] > 1 + 1e-9).double().mean() == pytest.approx(0.01, abs=1 / (a > 0).sum().item())


def test_balancing_thresholds_gives_the_same_spikes_as_balancing_weights():
    net, x, steps = small(), images(5), 17
    scales = conversion.activation_scales(net, x, 99)
    got = conversion.to_snn(conversion.normalize(net, x, 99), v_init=0.5)(direct(x, steps))
    signal = direct(x, steps)
    for layer, record, scale, before in zip(
        conversion.to_snn(net).layers, got, scales, [1.0, *scales[:-1]], strict=True
    ):
        current = layer(signal.flatten(0, 1)).unflatten(0, (steps, 5))
        threshold = scale / before
        start = Record(None, torch.full_like(current[0], threshold / 2))
        signal = lif(current, beta=1.0, threshold=threshold, initial=start).spikes
        assert signal.any() and not signal.all()
        assert torch.equal(signal, record.spikes)


@pytest.mark.parametrize("v_init, low, high", [(0.0, 0, 1), (0.5, -0.5, 0.5), (1.0, -1, 0)])
def test_the_first_layers_rate_is_relu_within_one_spike_in_T(v_init, low, high):
    """r = a - (V_T - V_0) / (T threshold), with V after reset in [0, 1] for 0 <= a <= 1."""
    net, x, steps = small(), images(7), 29
    new = conversion.normalize(net, x, 100)
    with torch.no_grad():
        record = conversion.to_snn(new, v_init=v_init)(direct(x, steps))[0]
        a = new[0](x)
    rate, last = record.spikes.mean(0), record.membrane[-1] - record.spikes[-1]
    torch.testing.assert_close(rate, a - (last - v_init) / steps)
    error = (a.relu() - rate) * steps
    assert low - 1e-9 <= error.min() and error.max() <= high + 1e-9
    assert error.max() - error.min() > 0.9


def test_the_converted_network_is_if_neurons_after_each_block():
    snn = conversion.to_snn(small(), v_init=0.25)
    assert snn.neuron["beta"] == 1 and snn.neuron["threshold"] == 1 and snn.neuron["reset"] == "subtract"
    assert snn.v_init == 0.25 and not any(isinstance(m, nn.Dropout | nn.ReLU) for m in snn.modules())
    shapes = [tuple(record.spikes.shape) for record in snn(direct(images(3), 2))]
    assert shapes == [(2, 3, 3, 24, 24), (2, 3, 5, 8, 8), (2, 3, 7)]


def test_the_copy_is_a_copy():
    net = small()
    snn = conversion.to_snn(net)
    snn.layers[0][0].weight.data.zero_()
    assert net[0].weight.any()


def test_a_zero_bias_and_one_relu_used_twice_are_fine():
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(5, 3), relu, nn.Linear(3, 2, bias=False), relu)
    net[0].bias.data.zero_()
    assert len(conversion.to_snn(net).layers) == 2


def chain(*middle, bias=False):
    return nn.Sequential(nn.Conv2d(1, 2, 3, bias=bias), *middle, nn.Flatten(), nn.Linear(338, 10, bias=False))


@pytest.mark.parametrize(
    "cnn, words",
    [
        (chain(nn.ReLU(), nn.MaxPool2d(2)), r"layer 2 is MaxPool2d: the largest .* Put AvgPool2d in its place and tr"),
        (chain(nn.ReLU(), nn.AvgPool2d(2), bias=True), r"layer 0 is Conv2d with a bias.*Train again with bias=False"),
        (chain(nn.Sigmoid(), nn.AvgPool2d(2)), r"layer 1 is Sigmoid: a firing rate is .* Put ReLU in its place"),
        (chain(nn.LeakyReLU(), nn.AvgPool2d(2)), "layer 1 is LeakyReLU: a firing rate is"),
        (chain(nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(2)), "layer 1 is BatchNorm2d: it shifts and scales"),
        (nn.Sequential(chain(nn.ReLU(), nn.AvgPool2d(2)), nn.Softmax(-1)), "layer 1 is Softmax: .* Leave it out"),
        (nn.Sequential(nn.Sequential(nn.Bilinear(2, 2, 2))), r"layer 0\.0 is Bilinear: it is not known here"),
        (chain(nn.AvgPool2d(2)), "number 1 has 2. Put a ReLU between"),
        (nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU(), nn.ReLU()), "number 2 has 0"),
        (nn.Sequential(), "number 1 has 0"),
    ],
)
@pytest.mark.parametrize(
    "function", [conversion.to_snn, lambda cnn: conversion.normalize(cnn, torch.rand(3, 1, 28, 28))]
)
def test_what_cannot_be_converted_is_refused_by_name(function, cnn, words):
    with pytest.raises(ValueError, match=f"^(to_snn|normalize): .*{words}"):
        function(cnn)


@pytest.mark.parametrize("wrap", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_weights_that_are_computed_anew_at_each_call_are_refused(wrap):
    """``normalize`` would scale what the next call throws away."""
    net = nn.Sequential(nn.Linear(784, 5, bias=False), nn.ReLU(), wrap(nn.Linear(5, 3, bias=False)))
    for function in conversion.to_snn, lambda cnn: conversion.normalize(cnn, torch.rand(3, 784)):
        with pytest.raises(ValueError, match=r"layer 2 is \w+Linear whose weight is computed at each"):
            function(net)
    nn.utils.parametrize.remove_parametrizations(net[2], "weight")
    assert len(conversion.to_snn(net).layers) == 2


def test_shared_weights_and_modules_that_are_no_chain_are_refused():
    linear = nn.Linear(3, 3, bias=False)
    with pytest.raises(ValueError, match="layer 2 is Linear for a second time"):
        conversion.to_snn(nn.Sequential(linear, nn.ReLU(), linear))
    with pytest.raises(TypeError, match=r"to_snn: cnn must be an nn\.Sequential, got Linear"):
        conversion.to_snn(linear)
    with pytest.raises(ValueError, match=r"v_init must be a share of the threshold, in \[0, 1\], got 2"):
        conversion.to_snn(networks.cnn(), v_init=2)


@pytest.mark.parametrize(
    "x, percentile, error, words",
    [
        (torch.zeros(3, 1, 28, 28, dtype=torch.uint8), 99, TypeError, "got torch.uint8. Divide 8-bit pixels by 255"),
        (torch.full((3, 1, 28, 28), 2.5), 99, ValueError, r"must lie in \[0, 1\].*got \[2\.5, 2\.5\]"),
        (torch.full((3, 1, 28, 28), torch.nan), 99, ValueError, r"got \[nan, nan\]"),
        (torch.zeros(0, 1, 28, 28), 99, ValueError, "at least one, got none"),
        (torch.zeros(3, 1, 28, 28), 99, ValueError, "weight layer 1 is silent: none .* on the 3 images"),
        (torch.rand(3, 1, 28, 28), 0, ValueError, r"at most 100 \(the largest\), got 0"),
        (torch.rand(3, 1, 28, 28), 101, ValueError, "got 101"),
    ],
)
def test_normalize_refuses(x, percentile, error, words):
    with pytest.raises(error, match=words):
        conversion.normalize(networks.cnn(), x, percentile)


def test_a_cnn_that_has_diverged_is_not_called_silent():
    cnn = networks.cnn()
    cnn[3].weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="normalize: weight layer 2 gives NaN or infinity"):
        conversion.normalize(cnn, torch.rand(3, 1, 28, 28))


def test_simulate_counts_what_the_network_does_for_every_digit():
    digits = some(29)
    snn = conversion.to_snn(conversion.normalize(networks.cnn(), digits.pixels, 95))
    run = conversion.simulate(snn, digits, 13, batch_size=7)
    records = snn(direct(digits.pixels, 13))
    assert torch.equal(run.votes.float(), records[-1].spikes.cumsum(0)) and run.votes.any()
    for i, record in enumerate(records):
        assert torch.equal(run.spikes[..., i].float(), record.spikes.flatten(2).sum(-1))
    assert torch.equal(run.labels, digits.labels)
    torch.testing.assert_close(run.spikes_per_image()[-1], torch.stack([r.spikes.sum() / 29 for r in records]).double())
    torch.testing.assert_close(run.left, records[-1].membrane - records[-1].spikes, atol=1e-4, rtol=0)
    # what has fired and what is left is all that ever came in
    current = snn.layers[-1](records[-2].spikes.flatten(0, 1)).unflatten(0, (13, 29))
    torch.testing.assert_close(run.votes + run.left, 0.5 + current.cumsum(0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("threshold", [0.3, 0.6, [0.4, 0.3], [0.2, nn.Parameter(torch.full((10,), 0.3))]])
def test_what_is_left_is_the_membrane_after_its_reset(reset, threshold):
    torch.manual_seed(0)
    snn = networks.hidden_layer(31, reset=reset, threshold=threshold)
    digits = some(13)
    run = conversion.simulate(snn, digits, 9)
    threshold = threshold[-1] if isinstance(threshold, list) else threshold
    with torch.no_grad():
        record = snn(direct(digits.pixels, 9))[-1]
    fired = record.spikes == 1
    after = {
        "subtract": record.membrane - threshold,
        "zero": torch.zeros_like(record.membrane),
        "none": record.membrane,
    }
    assert fired.any() and not fired.all()
    torch.testing.assert_close(run.left, torch.where(fired, after[reset], record.membrane), atol=1e-5, rtol=0)


def test_simulate_judges_without_dropout_and_leaves_each_module_in_the_mode_it_was_in():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Flatten(-3), nn.Dropout(0.9), nn.Linear(784, 10, bias=False))
    snn = networks.SNN(layer, beta=0.9)
    layer[1].eval()
    modes = [module.training for module in snn.modules()]
    assert True in modes and False in modes
    wanted = conversion.simulate(snn, some(7), 3).spikes
    assert [module.training for module in snn.modules()] == modes
    layer[1].train()
    assert torch.equal(conversion.simulate(snn, some(7), 3).spikes, wanted) and layer[1].training
    with pytest.raises(ZeroDivisionError):
        conversion.simulate(snn, some(7), 3, lambda x, steps: 1 / 0)
    assert all(module.training for module in snn.modules())


def test_no_digits_are_refused():
    for function in conversion.simulate, conversion.accuracy_per_step:
        with pytest.raises(ValueError, match="simulate: digits must be at least one, got none"):
            function(conversion.to_snn(networks.cnn()), some(0), 3)


def test_a_confusion_of_other_classes_is_refused():
    answers, labels = torch.tensor([2, 1, 1]), torch.tensor([2, 0, 1])
    assert conversion.confusion(answers, labels, 3).tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert conversion.confusion(answers[:0], labels[:0], 2).tolist() == [[0, 0], [0, 0]]
    for wrong in (answers, labels), (labels, answers), (-answers, labels):  # 2 of 2 classes would be 0 of the next row
        with pytest.raises(ValueError, match="confusion: classes must be 0 to 1, got"):
            conversion.confusion(*wrong, 2)
    with pytest.raises(ValueError, match=r"wanted an answer a label, \[N\] each, got \[1\] and \[3\]"):
        conversion.confusion(answers[:1], labels)


def test_votes_are_counted_however_many_they_are():
    snn = networks.SNN(nn.Sequential(nn.Flatten(-3), nn.Linear(784, 2)), beta=1.0)
    nn.init.zeros_(snn.layers[0][1].weight)
    snn.layers[0][1].bias.data = torch.tensor([1.5, 0.0])
    assert conversion.simulate(snn, some(3), 307).votes[-1].tolist() == [[307, 0]] * 3


def test_answers_accuracy_and_confusion_by_hand():
    votes = torch.tensor([[[0, 0, 0], [0, 1, 1]], [[0, 0, 2], [0, 2, 1]], [[0, 1, 2], [3, 2, 1]]])
    left = torch.zeros(3, 2, 3)
    left[0, 0], left[0, 1], left[1, 0] = torch.tensor([[0.1, -3, 0.4], [0.9, 0.2, 0.3], [0.9, 0, 0]])
    run = conversion.Simulation(votes, left, torch.zeros(3, 2, 1, dtype=torch.int32), torch.tensor([2, 1]))
    # no spike yet, and a tie: the one that is nearest to its next spike; otherwise what is left does not count
    assert run.answers().tolist() == [[2, 2], [2, 1], [2, 0]]
    assert run.accuracy().tolist() == [0.5, 1, 0.5]
    assert run.confusion()[2].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert run.confusion().sum((1, 2)).tolist() == [2, 2, 2]


def test_random_inputs_follow_the_seed_and_leave_the_callers_alone():
    digits = some(17)
    snn = conversion.to_snn(conversion.normalize(networks.cnn(), digits.pixels))
    encode = partial(poisson, gain=1 / 2.5)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    a, b, c = (conversion.simulate(snn, digits, 7, encode, seed=seed).spikes for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(
        conversion.accuracy_per_step(snn, digits, 7, encode), conversion.simulate(snn, digits, 7, encode).accuracy()
    )


def test_a_trained_cnn_keeps_its_answers_as_spikes():
    digits = data.mnist(train=True, root="bundled")
    few = data.Digits(digits.images[:1500], digits.labels[:1500], "")
    torch.manual_seed(0)
    cnn = networks.cnn()
    adam = torch.optim.Adam(cnn.parameters(), lr=3e-3)
    training.fit(cnn, few, lambda x: x, nn.functional.cross_entropy, adam, epochs=2, batch_size=50, seed=0)
    test = some(199)
    wanted = training.accuracy(cnn, test, lambda x: x)
    snn = conversion.to_snn(conversion.normalize(cnn, data.pixels(few.images[:300])))
    accuracy = conversion.accuracy_per_step(snn, test, 40)
    assert wanted > 0.8 and abs(accuracy[-1] - wanted) <= 0.025 and accuracy[0] < wanted - 0.1
