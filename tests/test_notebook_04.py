"""Notebook 04: its two explorers, held to computations of their own, what it says of other libraries, its exercises."""

import math
import re

import pytest
import torch

from snn_helpers import surrogates, widgets
from snn_helpers.exercises import grade
from snn_helpers.neurons import lif, lif_step
from snn_helpers.widgets import gradients

EXPLORERS = ["surrogate_explorer", "gradient_flow_explorer"]


def headline(panel, **values):
    for name, value in values.items():
        panel.controls[name].value = value
    return panel.headline.value


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_position_of_the_controls_draws(name, drive):
    drive(getattr(widgets, name)(), most=8)


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_strip_and_its_sentence(name, good_strip):
    good_strip(getattr(widgets, name)())


# how far from the threshold each derivative is down to a tenth of its peak, solved by hand; slope 1
REACH = {
    "fast_sigmoid": math.sqrt(10) - 1,
    "sigmoid": math.log((1 + math.sqrt(0.9)) / (1 - math.sqrt(0.9))),
    "atan": 3 / (math.pi / 2),
    "boxcar": 0.5,
}
PEAK = {"fast_sigmoid": lambda k: 1, "sigmoid": lambda k: k / 4, "atan": lambda k: k / 2, "boxcar": lambda k: k}


@pytest.mark.parametrize("shape", gradients.SHAPES)
@pytest.mark.parametrize("slope, gain", [(2.0, 1.0), (25.0, 1.0), (7.0, 0.3)])
def test_the_share_that_hears_is_the_share_within_reach(shape, slope, gain):
    text = headline(widgets.surrogate_explorer(), shape=shape, slope=slope, gain=gain)
    distance = gradients.hidden_distance(gain)
    within = (distance.abs() <= REACH[shape] / slope).double().mean().item()
    assert f"peak {PEAK[shape](slope):.3g} · " in text
    assert float(re.search(r"([\d.]+)% of all", text)[1]) == pytest.approx(100 * within, abs=0.06)
    assert f"{(distance > 0).double().mean():.1%} spike" in text


@pytest.mark.parametrize("shape", gradients.SHAPES)
def test_the_stand_in_has_the_derivative_it_is_drawn_with_up_to_its_height(shape):
    x = torch.tensor([-1.3, -0.3, -0.1, 0.2, 0.4, 1.7], dtype=torch.float64)
    curve, derivative = gradients.CURVES[shape], gradients.SHAPES[shape](1.0).derivative(x)
    slope = (curve(x + 1e-6) - curve(x - 1e-6)) / 2e-6
    torch.testing.assert_close(slope / slope[2], derivative / derivative[2], rtol=1e-4, atol=1e-9)
    far = curve(torch.tensor([-1e6, 0.0, 1e6]))
    torch.testing.assert_close(far, torch.tensor([0.0, 0.5, 1.0]), atol=1e-5, rtol=0)


def test_larger_weights_are_a_larger_membrane_before_anybody_fires():
    low, lower = (gradients.hidden_distance(gain) + 1 for gain in (0.1, 0.05))
    assert low.max() < 1 and low.shape == (15, 8, 256)
    torch.testing.assert_close(low, 2 * lower)


@pytest.mark.parametrize("beta, slope, steps", [(0.9, 5.0, 13), (0.37, 1.0, 7), (1.0, 31.0, 11)])
def test_the_output_of_the_flow_gets_what_the_leak_leaves(beta, slope, steps):
    left = beta ** torch.arange(steps - 1, -1, -1.0)
    last = gradients.gradient_flow(beta, slope, steps)
    every = gradients.gradient_flow(beta, slope, steps, every_step=True)
    assert [grad.shape for grad in last] == [(steps, 16)] * 3
    torch.testing.assert_close(last[-1], left[:, None].expand(-1, 16))
    torch.testing.assert_close(every[-1][:, 0], left.flip(0).cumsum(0).flip(0))


def test_the_flow_is_that_of_a_loop_of_single_steps():
    beta, slope, steps = 0.8, 3.0, 11
    draw = torch.Generator().manual_seed(1)
    weights = [1.5 * torch.randn(n, m, generator=draw) / n**0.5 for n, m in ((20, 16), (16, 16), (16, 16))]
    x = gradients.poisson(torch.full((20,), 0.4), 60, generator=draw)[:steps]
    spike, currents = surrogates.fast_sigmoid(slope), [[], [], []]
    membranes = [torch.zeros(16)] * 3
    for s in x:
        for i, weight in enumerate(weights):
            currents[i].append((s @ weight + 0.1).requires_grad_() if i == 0 else s @ weight + 0.1)
            s, membranes[i] = lif_step(currents[i][-1], membranes[i], beta=beta, spike=spike)
    wanted = torch.autograd.grad(membranes[-1].sum(), [current for layer in currents for current in layer])
    wanted = torch.stack(wanted).view(3, steps, 16).abs()
    torch.testing.assert_close(torch.stack(gradients.gradient_flow(beta, slope, steps)), wanted)


def test_the_flow_says_how_much_arrives():
    text = headline(widgets.gradient_flow_explorer(), beta=0.7, slope=9.0, steps=23)
    first, _, output = gradients.gradient_flow(0.7, 9.0, 23)
    numbers = re.search(r"layer 1 gets ([\d.e+-]+) of .* first step gets ([\d.e+-]+) of its", text).groups()
    a_step = [row.mean().item() for row in first]
    wanted = sum(a_step) / sum(row.mean().item() for row in output), a_step[0] / max(a_step)
    assert [float(number) for number in numbers] == pytest.approx(wanted, rel=0.06)


# ---- what the notebook says of the libraries


def derivative(spike, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(spike(x).sum(), x)[0]


X = torch.tensor([-1.7, -0.4, -0.03, 0.2, 0.9])


def test_snntorchs_default_and_its_sigmoid_far_below_the_threshold():
    import snntorch
    from snntorch import surrogate

    assert torch.allclose(derivative(snntorch.Leaky(beta=0.5).spike_grad, X), surrogates.atan(2.0).derivative(X))
    assert derivative(surrogate.sigmoid(slope=25), torch.tensor([-4.0])).isnan().all()


def test_spikingjellys_default_and_its_reset_in_the_graph():
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    node = neuron.LIFNode(tau=2.0)
    ours = surrogates.sigmoid(4.0).derivative(X)
    torch.testing.assert_close(derivative(node.surrogate_function, X), ours, rtol=1e-4, atol=1e-6)
    through, cut = (_last_membrane_gradient(neuron.LIFNode(tau=2.0, detach_reset=cut)) for cut in (False, True))
    assert _last_membrane_gradient(node) == through != cut


def _last_membrane_gradient(node):
    w = torch.tensor([1.2], requires_grad=True)
    for _ in range(5):
        node(w)
    return torch.autograd.grad(node.v.sum(), w)[0].item()


@pytest.mark.parametrize("alpha", [1.0, 100.0])
def test_norses_super_takes_no_notice_of_alpha(alpha):
    threshold = pytest.importorskip("norse.torch.functional.threshold").threshold
    grad = derivative(lambda x: threshold(x, "super", torch.tensor(alpha)), X)
    torch.testing.assert_close(grad, surrogates.fast_sigmoid(1.0).derivative(X))


# ---- the exercises


def spike_with(backward, forward=lambda x: (x > 0).float()):
    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, slope):
            ctx.save_for_backward(x)
            ctx.slope = slope
            return forward(x)

        @staticmethod
        def backward(ctx, grad):
            return backward(grad, ctx.saved_tensors[0], ctx.slope), None

    return Spike.apply


def right(grad, x, k):
    return grad / (1 + k * x.abs()) ** 2


@pytest.mark.parametrize(
    "answer, words",
    [
        (spike_with(lambda g, x, k: g / (1 + k * x.abs())), "the square missing"),
        (spike_with(lambda g, x, k: 1 / (1 + k * x.abs()) ** 2), "arrives from above left out"),
        (spike_with(lambda g, x, k: g / (1 + k * x) ** 2), "in place of its absolute value"),
        (spike_with(lambda g, x, k: g / (1 + 25 * x.abs()) ** 2), "a slope of 25, whatever slope came"),
        (spike_with(lambda g, x, k: k * right(g, x, k)), "a factor of the slope too many"),
        (spike_with(lambda g, x, k: 0 * g), "the true derivative"),
        (spike_with(lambda g, x, k: g), "straight-through"),
        (spike_with(lambda g, x, k: -right(g, x, k)), "the gradient at slope 25 first differs at step 0"),
        (spike_with(right, lambda x: (x >= 0).float()), "fires at exactly 0 too"),
        (spike_with(right, lambda x: torch.sigmoid(x)), "The spike stays a step"),
        (spike_with(right, lambda x: (x > 0.1).float()), "the spikes first differs"),
        (lambda x, slope: (x > 0).float(), "cut off from the graph"),
        (spike_with(lambda g, x, k: g[:2]), "the backward pass raised RuntimeError"),
        (lambda x: x, "your function raised TypeError"),
    ],
)
def test_04_1_fast_sigmoid(refused, answer, words):
    refused("04.1", answer, words)


@pytest.mark.parametrize(
    "answer, words",
    [
        (0.734375, r"the sign of \(N - y\)"),
        (-(1 / 4 + 1 / 4 + 1 / 16), "traces that forget"),
        (-(1 / 4 + 2 / 4 + 3 / 16), "a trace that does not decay"),
        (-(1 / 4 + 1.25 / 4 + (1 + 0.5 * 1.25 - 1.25 / 4) / 16), "a gradient through the reset"),
        (-1.75 / 16, "the last step alone"),
        (-1.5 / 4, "only the step that spiked"),
        (-2 * 0.734375, "the factor 2"),
        (0.0, "too large"),
        (-5.0, "too small"),
        ([-0.734], "should be one number, got list|is too"),
    ],
)
def test_04_2_by_hand(refused, answer, words):
    refused("04.2", answer, words)


def test_04_2_is_what_autograd_says():
    w = torch.tensor(0.8, requires_grad=True)
    record = lif(w * torch.ones(3), beta=0.5, spike=surrogates.fast_sigmoid(5.0))
    (wanted,) = torch.autograd.grad((record.spikes.sum() - 2) ** 2 / 2, w)
    assert grade("04.2", wanted.item()).status == "right"


def slope_from(share=0.3, part=10, sign=torch.abs):
    return lambda distance: (part**0.5 - 1) / sign(distance).quantile(share).item()


@pytest.mark.parametrize(
    "answer, words",
    [
        (slope_from(part=2), "half of the peak"),
        (slope_from(share=0.7), "the nearest 70 %"),
        (lambda d: d.abs().quantile(0.3), "the reach itself"),
        (lambda d: 1 / d.abs().quantile(0.3), "a quarter of its peak"),
        (slope_from(sign=lambda d: d), "a finite number above 0, got -"),
        (lambda d: 25.0, r"with your slope 25, \d+% hear, not 30 %: it is too steep"),
        (lambda d: 0.5, "it is too flat"),
        (lambda d: d, "should return one number, the slope, got Tensor"),
        (lambda d: math.nan, "a finite number above 0"),
    ],
)
def test_04_3_slope(refused, answer, words):
    refused("04.3", answer, words)


def naive(x, k):
    return k * torch.exp(-k * x) / (1 + torch.exp(-k * x)) ** 2


@pytest.mark.parametrize(
    "answer, words",
    [
        (naive, "gives nan for an x .* Large numbers in exp overflow"),
        (lambda x, k: naive(x.abs(), k) / k, "the factor slope in front is missing"),
        (lambda x, k: naive(x.clamp(-1, 1), k), "the derivative at slope 4 first differs"),
        (lambda x, k: surrogates.fast_sigmoid(k).derivative(x), "the derivative at slope 25 first differs"),
        (lambda x, k: naive(x.abs_(), k), "changed its input"),
        (lambda x, k: naive(x, k).nan_to_num(posinf=1e3).exp().exp(), "gives inf|first differs"),
        (lambda x, k: x[:3], r"should have shape \[24\], got \[3\]"),
    ],
)
def test_04_4_safe(refused, answer, words):
    refused("04.4", answer, words)


def peaks(current, beta):
    return lif(current, beta=beta, threshold=1e6).membrane


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda i, b: 1 / i.amax(0).median(), "the peak of the current"),
        (lambda i, b: 1 / peaks(i, b)[-1].median().abs(), "the last step's membrane|with your gain"),
        (lambda i, b: 1 / peaks(i, b).max(), "the highest peak of all"),
        (lambda i, b: 1.0, r"with your gain 1, \d+% of 53 neurons fire at least once, not half"),
        (lambda i, b: math.inf, "a finite number above 0"),
        (lambda i, b: i, "should return one number, the gain, got Tensor"),
    ],
)
def test_04_5_wake(refused, answer, words):
    refused("04.5", answer, words)
