"""Notebook 04: its explorers, held to computations of their own, what it says of other libraries, its exercises."""

import functools
import itertools
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from snn_helpers import data, networks, surrogates, widgets
from snn_helpers.encoding import poisson
from snn_helpers.neurons import lif, lif_step
from snn_helpers.widgets import bptt, gradients, reset

EXPLORERS = ["surrogate_explorer", "gradient_flow_explorer", "reset_explorer"]


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
def test_the_share_it_names_is_the_share_within_reach(shape, slope, gain):
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
    assert low.max() < 1 and low.shape == (15, 20, 256)
    torch.testing.assert_close(low, 2 * lower)


def test_the_membranes_of_the_explorer_are_those_of_part_4():
    torch.manual_seed(0)
    net, draw = networks.hidden_layer(), torch.Generator().manual_seed(0)
    images = data.mnist(train=False, root="bundled").images[:20]
    with torch.no_grad():
        record = net(poisson(data.pixels(images), 15, generator=draw))[0]
    torch.testing.assert_close(gradients.hidden_distance(1.0), record.membrane - 1)


def test_no_learning_rate_hides_another_and_a_ring_is_around_the_one_chosen():
    accuracy = torch.tensor([[30.0, 20.0], [40.0, 50.0], [10.0, 60.0]])
    best = accuracy.argmax(0)
    *marks, ring = gradients.slope_picture([1, 10], [0.1, 0.2, 0.3], accuracy, best).axes[0].lines
    for left, right in itertools.pairwise(marks):
        assert (np.array(right.get_xdata()) > 1.3 * np.array(left.get_xdata())).all()
    assert ring.get_fillstyle() == "none"
    for slope, rate in enumerate(best):
        chosen = marks[rate].get_xdata()[slope], accuracy[rate, slope].item()
        assert (ring.get_xdata()[slope], ring.get_ydata()[slope]) == pytest.approx(chosen)


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


# ---- the stepper

SETTINGS = [{}, dict(x=(1.0, 0.3, 1.7), w=0.7, v=1.9, beta=0.6, slope=3.0, target=3), dict(w=1.6, v=1.3, target=0)]


def by_torch(attached, x=bptt.X, w=bptt.W, v=bptt.V, beta=bptt.BETA, slope=bptt.SLOPE, target=bptt.TARGET):
    """The same graph node for node, {name: tensor}, with the gradient of each found by autograd."""
    spike, cut = surrogates.fast_sigmoid(slope), (lambda S: S) if attached else torch.Tensor.detach
    nodes = {"w": torch.tensor(w, requires_grad=True), "v": torch.tensor(v, requires_grad=True)}
    U1 = S1 = U2 = S2 = torch.zeros(())
    for t, x_t in enumerate(x, 1):
        U1 = beta * U1 + nodes["w"] * x_t - cut(S1)
        S1 = spike(U1 - 1)
        U2 = beta * U2 + nodes["v"] * S1 - cut(S2)
        S2 = spike(U2 - 1)
        nodes |= {f"U1[{t}]": U1, f"S1[{t}]": S1, f"U2[{t}]": U2, f"S2[{t}]": S2}
    nodes["N"] = sum(nodes[f"S2[{t}]"] for t in range(1, len(x) + 1))
    nodes["L"] = (nodes["N"] - target) ** 2 / 2
    for node in nodes.values():
        node.retain_grad()
    nodes["L"].backward()
    return nodes


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("attached", [False, True])
def test_every_value_and_gradient_of_the_stepper_is_autograds(attached, setting):
    graph, nodes = bptt.unrolled(attached, **setting), by_torch(attached, **setting)
    assert set(graph.order) == set(nodes) == set(graph.values) == set(graph.gradients)
    for name, node in nodes.items():
        assert graph.values[name] == pytest.approx(node.item(), abs=1e-5), name
        assert graph.gradients[name] == pytest.approx(node.grad.item(), abs=1e-5), name


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("attached", [False, True])
def test_every_factor_of_the_stepper_is_autograds(attached, setting):
    graph = bptt.unrolled(attached, **setting)
    names = "x", "beta", "slope", "target"
    defaults = dict(x=bptt.X, beta=bptt.BETA, slope=bptt.SLOPE, target=bptt.TARGET)
    x, beta, slope, target = ((defaults | setting)[name] for name in names)
    leaf = {name: torch.tensor(float(value), requires_grad=True) for name, value in graph.values.items()}

    def node(name):  # from its own inputs alone, each a leaf
        if name == "L":
            return (leaf["N"] - target) ** 2 / 2
        if name == "N":
            return sum(leaf[f"S2[{t}]"] for t in (1, 2, 3))
        letter, n, t = name[0], name[1], int(name[3])
        if letter == "S":
            return surrogates.fast_sigmoid(slope)(leaf[f"U{n}[{t}]"] - 1)
        arrives = leaf["w"] * x[t - 1] if n == "1" else leaf["v"] * leaf[f"S1[{t}]"]
        if t == 1:
            return arrives
        before = leaf[f"S{n}[{t - 1}]"]
        return beta * leaf[f"U{n}[{t - 1}]"] + arrives - (before if attached else before.detach())

    found = {}
    for end in graph.order[:-2]:
        for start, grad in zip(
            leaf, torch.autograd.grad(node(end), list(leaf.values()), allow_unused=True), strict=True
        ):
            if grad is not None:
                found[start, end] = grad.item()
    factors = {pair: factor for pair, (symbol, factor) in graph.edges.items() if symbol != "cut"}
    assert found == pytest.approx(factors, abs=1e-5)
    assert all(factor == 0 for symbol, factor in graph.edges.values() if symbol == "cut")


def test_detached_the_stepper_is_the_helper():
    w, v = torch.tensor(bptt.W, requires_grad=True), torch.tensor(bptt.V, requires_grad=True)
    neuron = dict(beta=bptt.BETA, spike=surrogates.fast_sigmoid(bptt.SLOPE))
    first = lif(w * torch.tensor(bptt.X), **neuron).spikes
    second = lif(v * first, **neuron).spikes
    wanted = torch.autograd.grad((second.sum() - bptt.TARGET) ** 2 / 2, (w, v))
    graph = bptt.unrolled()
    assert (graph.gradients["w"], graph.gradients["v"]) == pytest.approx([g.item() for g in wanted], abs=1e-6)
    assert [graph.values[f"S2[{t}]"] for t in (1, 2, 3)] == second.tolist()


@pytest.mark.parametrize("attached", [False, True])
def test_every_line_of_the_stepper_adds_up(attached):
    graph = bptt.unrolled(attached)
    stages = bptt.stages(graph)
    assert [stage["node"] for stage in stages] == graph.order and "= 0.5." in stages[0]["line"]
    for stage in stages[1:]:
        _, _, sums, result = stage["line"].split(" = ")
        total = sum(math.prod(float(f.strip("()")) for f in term.split(" · ")) for term in sums.split(" + "))
        assert total == pytest.approx(float(result), abs=2e-3), stage["line"]
        assert float(result) == pytest.approx(graph.gradients[stage["node"]], abs=6e-4)
        assert len(stage["edges"]) == len(sums.split(" + ")) and all(tuple(e) in graph.edges for e in stage["edges"])


def test_the_switch_of_the_reset_changes_gradients_and_no_spike():
    cut, through = bptt.bptt_data()["ways"]
    assert {name: node["value"] for name, node in cut["nodes"].items()} == {
        name: node["value"] for name, node in through["nodes"].items()
    }
    assert sum(edge["symbol"] == "cut" for edge in cut["edges"]) == 4
    assert [edge["factor"] for edge in through["edges"] if edge["symbol"] == "-θ"] == ["-1"] * 4
    assert cut["nodes"]["w"]["gradient"] != through["nodes"]["w"]["gradient"]


def test_the_stepper_without_a_kernel_is_a_picture_with_its_numbers():
    explorer = widgets.bptt_explorer()
    figure = explorer.strip()
    for ax, attached in zip(figure.axes, (False, True), strict=True):
        drawn = " ".join(text.get_text() for text in ax.texts)
        for name, gradient in bptt.unrolled(attached).gradients.items():
            assert bptt.shown(gradient) in drawn, name
            if name in "wv":
                assert f"dL/d{name} = {bptt.shown(gradient)}" in explorer.sentence
    assert explorer.controls["back"].max == len(bptt.stages(bptt.unrolled())) - 1


# ---- the reset in the gradient


@pytest.mark.parametrize("w", [0.35, 0.42])
def test_what_the_reset_explorer_draws(w):
    found = reset.nudged(w, 1e-6)
    at = torch.tensor(w, dtype=torch.float64)
    spike = surrogates.fast_sigmoid(reset.SLOPE)
    wanted = torch.autograd.functional.jacobian(
        lambda w: lif(w * torch.ones(30, dtype=torch.float64), beta=0.8, spike=spike).membrane, at
    )
    torch.testing.assert_close(found["detached"], wanted)
    torch.testing.assert_close(found["nudged"], wanted, rtol=1e-6, atol=1e-6)
    by_hand, U, S, s = [], 0.0, 0.0, 0.0  # the reset's gradient: minus sigma' times that of the step before
    slope = 0.0
    for _ in range(30):
        slope = 0.8 * slope + 1 - s * slope
        U = 0.8 * U + w - S
        S, s = float(U > 1), 1 / (1 + reset.SLOPE * abs(U - 1)) ** 2
        by_hand.append(slope)
    torch.testing.assert_close(found["in the graph"], torch.tensor(by_hand, dtype=torch.float64))


def test_the_headline_of_the_reset_explorer():
    for nudge, words in (0.001, "no spike moves"), (0.1, "spikes move on both sides"):
        text = headline(widgets.reset_explorer(), w=0.35, nudge=nudge)
        numbers = [float(number) for number in re.findall(r"(?:detached|graph|nudged) (-?[\d.]+)", text)]
        values = reset.nudged(0.35, nudge)
        assert numbers == pytest.approx([value[10:].mean().item() for value in values.values()], abs=6e-3)
        assert words in text


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


@pytest.mark.extra("bench")
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


@pytest.mark.extra("bench")
@pytest.mark.parametrize("alpha", [1.0, 100.0])
def test_norses_super_takes_no_notice_of_alpha(alpha):
    threshold = pytest.importorskip("norse.torch.functional.threshold").threshold
    grad = derivative(lambda x: threshold(x, "super", torch.tensor(alpha)), X)
    torch.testing.assert_close(grad, surrogates.fast_sigmoid(1.0).derivative(X))


# ---- the exercises


def spike_with(backward, forward=lambda x: (x > 0).float()):
    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, width):
            ctx.save_for_backward(x)
            ctx.width = width
            return forward(x)

        @staticmethod
        def backward(ctx, grad):
            return backward(grad, ctx.saved_tensors[0], ctx.width), None

    return Spike.apply


def badly(backward, keep=lambda ctx, x, width: None):
    """A Function whose forward keeps what it should not, or nothing."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, width):
            keep(ctx, x, width)
            return (x > 0).float()

        @staticmethod
        def backward(ctx, grad):
            return backward(ctx, grad)

    return Spike.apply


def flank(x, w):
    return (1 - x.abs() / w).clamp(min=0)


def triangle(grad, x, w):
    return grad * flank(x, w) / w


def in_numpy(grad, x, w):
    return torch.from_numpy(grad.numpy() * np.maximum(0, w - np.abs(x.numpy())) / w**2)


def in_a_loop(grad, x, w):
    out = torch.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        if abs(x[place]) < w:
            out[place] = grad[place] * (w - abs(x[place])) / w / w
    return out


def in_place(grad, x, w):
    return x.clone().abs_().div_(-w).add_(1).clamp_(min=0).div_(w).mul_(grad)


def straight_through(x, width):
    """The step forward, and backward whatever a smooth curve with that derivative has, without a Function."""
    side = (0.5 - x.abs() / width + (x / width) ** 2 / 2).where(x.abs() < width, 0)
    smooth = torch.where(x > 0, 1 - side, side)
    return smooth + ((x > 0).float() - smooth).detach()


def in_float64(x, width):
    return spike_with(triangle, lambda x: (x > 0).double())(x.double(), width)


@pytest.mark.parametrize(
    "answer",
    [
        spike_with(triangle),
        spike_with(in_numpy),
        spike_with(in_a_loop),
        spike_with(in_place),
        spike_with(lambda g, x, w: g * torch.where(x.abs() < w, (1 - x.abs() / w) / w, 0)),
        spike_with(triangle, lambda x: torch.heaviside(x, torch.zeros(1))),
        straight_through,
        in_float64,
        lambda x, width: surrogates.Surrogate("triangle", lambda x: flank(x, width) / width)(x),
    ],
)
def test_04_1_right(accepted, answer):
    accepted("04.1", answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (spike_with(lambda g, x, w: g * flank(x, w)), "the area is not 1"),
        (spike_with(lambda g, x, w: triangle(g, x, w) / 2), "a height of 1 / width"),
        (spike_with(lambda g, x, w: triangle(g, x, w) * 2), "twice as high"),
        (spike_with(lambda g, x, w: g * flank(x, w) * w), "the height is the width"),
        (spike_with(lambda g, x, w: triangle(g, x, w / 2)), "the base is too short"),
        (spike_with(lambda g, x, w: triangle(g, x, 2 * w)), "the base is too long"),
        (spike_with(lambda g, x, w: g * (1 - x.abs() / w) / w), "beyond the width it goes below 0"),
        (spike_with(lambda g, x, w: g * (1 - x.abs() / w)), "below 0: cut it off there. And the area is not 1"),
        (spike_with(lambda g, x, w: (1 - x.abs() / w) / w), "left out, and beyond the width it goes below 0"),
        (spike_with(lambda g, x, w: flank(x, w)), "left out .* and the area is not 1"),
        (spike_with(lambda g, x, w: g * flank(x, 1) / w), "the flank is as long at every width"),
        (spike_with(lambda g, x, w: g * (x.abs() <= w) / (2 * w)), "this is a boxcar"),
        (spike_with(lambda g, x, w: g * (x.abs() < w) / w), "a boxcar, of area 2"),
        (spike_with(lambda g, x, w: g * (x.abs() < w)), "a boxcar, of height 1"),
        (spike_with(lambda g, x, w: -g * x.sign() * (x.abs() < w) / w**2), "this is how steep the triangle is"),
        (spike_with(lambda g, x, w: triangle(g, (x > 0).float(), w)), "the triangle at the spike"),
        (spike_with(lambda g, x, w: flank(g, w) / w), "this is the triangle of grad"),
        (spike_with(lambda g, x, w: g + flank(x, w) / w), "from above is added"),
        (spike_with(lambda g, x, w: g * (1 + x / w).clamp(min=0) / w), "above the threshold it goes on rising"),
        (spike_with(lambda g, x, w: g / (1 + 25 * x.abs()) ** 2), "the fast sigmoid of the text, at slope 25"),
        (spike_with(lambda g, x, w: g * 25 * torch.sigmoid(25 * x) * torch.sigmoid(-25 * x)), "still the sigmoid"),
        (spike_with(lambda g, x, w: g * (1 - x / w).clamp(min=0) / w), "x is used with its sign"),
        (spike_with(lambda g, x, w: flank(x, w) / w), "arrives from above is left out"),
        (spike_with(lambda g, x, w: -triangle(g, x, w)), "the sign is turned"),
        (spike_with(lambda g, x, w: g / (1 + w * x.abs()) ** 2), "the fast sigmoid of the text"),
        (spike_with(lambda g, x, w: 0 * g), "the true derivative"),
        (spike_with(lambda g, x, w: g), "straight-through"),
        (spike_with(lambda g, x, w: triangle(g, x, 1)), "always the same, whatever comes in"),
        (spike_with(lambda g, x, w: triangle(g, x, 25)), "the gradient at width 0.4 first differs at position"),
        (spike_with(triangle, lambda x: (x >= 0).float()), "fires at exactly 0 too"),
        (spike_with(triangle, lambda x: (x > 1).float()), "x is U - threshold already"),
        (spike_with(triangle, lambda x: torch.sigmoid(x)), "The spike stays a step"),
        (spike_with(triangle, lambda x: (x < 0).float()), "the spikes first differ at position"),
        (spike_with(triangle, lambda x: x > 0), r"torch.bool, through which PyTorch sends no gradient.*\.float\(\)"),
        (lambda x, width: x > 0, "through which PyTorch sends no gradient"),
        (lambda x, width: (x > 0).float(), "cut off from the graph"),
        (lambda x, width: (x > 0).tolist(), "not a tensor"),
        (spike_with(lambda g, x, w: g[:2]), "the backward pass raised RuntimeError"),
        (spike_with(lambda g, x, w: g * max(0, flank(x, w))), r"has \.clamp\(min=0\)"),
        (spike_with(lambda g, x, w: None), "backward gives no gradient for x"),
        (badly(lambda ctx, g: g), "one value for each argument of forward"),
        (badly(lambda ctx, g: (g * ctx.width, None)), r"ctx\.width = width"),
        (badly(lambda ctx, g: (g * ctx.saved_tensors[0], None)), r"ctx\.save_for_backward\(x\)"),
        (badly(lambda ctx, g: g, lambda ctx, x, width: ctx.save_for_backward(x, width)), "takes tensors only"),
        (lambda x: x, r"should take 2 arguments: \(x, width\)"),
    ],
)
def test_04_1_wrong(refused, answer, words):
    refused("04.1", answer, words)


def test_04_1_has_the_area_of_a_step():
    x = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    for width in 0.5, 2.0:
        assert torch.trapezoid(flank(x, width) / width, x).item() == pytest.approx(1, abs=1e-6)


def by_autograd(cast=float):
    beta = torch.tensor(0.5, requires_grad=True)
    U = S = N = 0
    for _ in range(3):
        U = beta * U + 0.8 - S
        S = surrogates.fast_sigmoid(5.0)(U - 1)
        N, S = N + S, S.detach()
    return cast(torch.autograd.grad((N - 2) ** 2 / 2, beta)[0])


@pytest.mark.parametrize("cast", [float, torch.Tensor.double, torch.Tensor.numpy, lambda g: [g], lambda g: -0.3])
def test_04_2_right(accepted, cast):
    accepted("04.2", by_autograd(cast))


@pytest.mark.parametrize(
    "answer, words",
    [
        (-0.734375, "this is dL/dw, the one of the text"),
        (-0.2 - 1.2 / 16, "half of the product rule is missing"),
        (-0.2 - 2 / 16, "the trace does not decay"),
        (-(0.8 + 1.6) / 4 - 1.2 / 16, r"U\[t\] stands where"),
        (-0.2 - 0.6 / 16, r"U\[2\] is taken after its reset"),
        (-0.2 - (1.6 - 0.2) / 16, "a gradient goes through the reset"),
        (-0.1, "the last step alone"),
        (-0.2, "the step that spiked alone"),
        (0.3, "there is a spike too few"),
        (-0.6, "a factor 2 too many"),
        (-0.8 - 1.6, "surrogate's derivative is missing"),
        (0.0, "too large"),
        (-5, "too small"),
        (math.nan, "dL/dbeta is NaN"),
        ([-0.3, 0], "should be one number"),
    ],
)
def test_04_2_wrong(refused, answer, words):
    refused("04.2", answer, words)


def slope_from(distance, share, part=10, sign=torch.abs):
    return (part**0.5 - 1) / sign(distance).quantile(share).item()


def slope_by_search(distance, share):
    low, high = 1e-3, 1e4
    for _ in range(60):
        middle = (low * high) ** 0.5
        hear = (1 / (1 + middle * distance.abs()) ** 2 >= 0.1).double().mean()
        low, high = (middle, high) if hear > share else (low, middle)
    return low


def slope_in_numpy(distance, share):
    return (np.sqrt(10) - 1) / np.quantile(np.abs(distance.numpy()), share)


def slope_from_order(distance, share):
    order = sorted(abs(value) for value in distance.tolist())
    return (10**0.5 - 1) / order[int(share * len(order))]


def slope_in_place(distance, share):
    return distance.abs_().kthvalue(round(share * len(distance))).values.reciprocal_().mul_(10**0.5 - 1)


@pytest.mark.parametrize(
    "answer",
    [
        slope_from,
        slope_by_search,
        slope_in_numpy,
        slope_from_order,
        slope_in_place,
        lambda distance, share: slope_from(distance.double(), share),
    ],
)
def test_04_3_right(accepted, answer):
    accepted("04.3", answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (functools.partial(slope_from, part=2), "the reach asks for a tenth"),
        (lambda d, share: 1 / d.abs().quantile(share), "a quarter of its peak"),
        (lambda d, share: 9 / d.abs().quantile(share), "leaves out the square"),
        (lambda d, share: 10**0.5 / d.abs().quantile(share), "the - 1 is missing"),
        (lambda d, share: 10 / d.abs().quantile(share), "10 in place of its root"),
        (lambda d, share: d.abs().quantile(share), "this is the reach; wanted is the slope"),
        (lambda d, share: (10**0.5 - 1) * d.abs().quantile(share), "this multiplies by the distance"),
        (lambda d, share: slope_from(d, 1 - share), "the share that should be left out"),
        (lambda d, share: slope_from(d, 0.5), "this reaches half of them, whatever share"),
        (lambda d, share: (10**0.5 - 1) / abs(d.quantile(share)), "the sign has to go before the share is counted"),
        (lambda d, share: (share**-0.5 - 1) / d.abs().quantile(share), "the share in place of the tenth"),
        (lambda d, share: (10**0.5 - 1) / d.std(), "with your slope .* are within reach, not 30%: it is too steep"),
        (lambda d, share: slope_from(d, 0.3), r"with your slope .*, 30% are within reach, not 5%: it is too flat"),
        (functools.partial(slope_from, sign=lambda d: d), "must be above 0, got -"),
        (lambda d, share: 25.0, r"with your slope 25, \d+% are within reach, not 30%: it is too steep"),
        (lambda d, share: 0.5, "it is too flat"),
        (lambda d, share: d, r"the slope should be one number, got a tensor of shape \[1009\]"),
        (lambda d, share: math.nan, "the slope is NaN"),
        (lambda d: 25.0, r"should take 2 arguments: \(distance, share\)"),
    ],
)
def test_04_3_wrong(refused, answer, words):
    refused("04.3", answer, words)


def small(x, k):
    return torch.exp(-k * x.abs())


def safe(x, k):
    return k * small(x, k) / (1 + small(x, k)) ** 2


def safe_in_place(x, k):
    small = x.abs_().mul_(-k).exp_()
    return small.div_((1 + small) ** 2).mul_(k)


def safe_in_a_loop(x, k):
    small = [math.exp(-k * abs(value)) for value in x.tolist()]
    return [k * s / (1 + s) ** 2 for s in small]


def safe_in_numpy(x, k):
    small = np.exp(-k * np.abs(x.double().numpy()))
    return k * small / (1 + small) ** 2


def safe_by_logarithms(x, k):
    return k * torch.exp(-F.softplus(k * x) - F.softplus(-k * x))


def naive(x, k):
    return k * torch.exp(-k * x) / (1 + torch.exp(-k * x)) ** 2


def of_the_text(x, k, half=torch.sigmoid):
    s = half(k * x)
    return k * s * (1 - s)


@pytest.mark.parametrize(
    "answer",
    [
        safe,
        safe_in_place,
        safe_in_a_loop,
        safe_in_numpy,
        safe_by_logarithms,
        lambda x, k: safe(x.double(), k),
        lambda x, k: k * torch.sigmoid(k * x) * torch.sigmoid(-k * x),
        lambda x, k: of_the_text(-x.abs(), k),
    ],
)
def test_04_4_right(accepted, answer):
    accepted("04.4", answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (naive, "gives NaN for x = -.* The exponential of a large number overflows"),
        (of_the_text, r"right near the threshold, but .* 1 - s lose its digits"),
        (lambda x, k: of_the_text(x.double(), k), "1 - s lose its digits"),
        (functools.partial(of_the_text, half=lambda x: 1 / (1 + torch.exp(-x))), "1 - s lose its digits"),
        (lambda x, k: torch.autograd.functional.jacobian(lambda x: torch.sigmoid(k * x).sum(), x), "1 - s lose"),
        (lambda x, k: naive(x, k).nan_to_num(), "the other side is right"),
        (lambda x, k: naive(x.double(), k), "gives NaN for x = -"),
        (lambda x, k: of_the_text(x.abs(), k), "on both sides. Is x cut off, or 1 - s rounded"),
        (lambda x, k: k / 4 * (1 - torch.tanh(k * x / 2) ** 2), "or 1 - s rounded"),
        (lambda x, k: safe(x.clamp(-1, 1), k), "it goes on falling, on both sides"),
        (lambda x, k: safe(x, k) + 1e-6, "it goes on falling, on both sides"),
        (lambda x, k: naive(x, k).nan_to_num(torch.inf), "gives infinity for x ="),
        (lambda x, k: safe(x, k) / k, "the factor slope in front is missing"),
        (lambda x, k: torch.sigmoid(k * x), "this is the sigmoid; wanted is its derivative"),
        (lambda x, k: 1 / (1 + k * x.abs()) ** 2, "the fast sigmoid's derivative"),
        (lambda x, k: -safe(x, k), "the sign is turned"),
        (lambda x, k: k * small(x, k) / (1 - small(x, k)) ** 2, "infinity for x = 0, on the threshold.* divides by 0"),
        (lambda x, k: k * small(x, k), "this is the exponential alone: .1 . small.* belongs below it"),
        (small, "this is the exponential alone: the slope belongs in front"),
        (lambda x, k: k * small(x, k) / (1 + small(x, k)), "a square missing below"),
        (lambda x, k: k * small(x, k) / (1 + small(x, k) ** 2), "the square stands at the exponential alone"),
        (lambda x, k: k * safe(x, 1), "the slope is missing in the exponent"),
        (lambda x, k: safe(x, 1), "the slope is nowhere"),
        (lambda x, k: k * safe(x, k), "in front twice"),
        (lambda x, k: safe(x, 25.0), "the derivative at slope 4 first differs at position"),
        (lambda x, k: 0 * x, "the derivative at slope 25 first differs"),
        (lambda x, k: x[:3], r"should have shape \[28\], got \[3\]"),
        (lambda x: x, r"should take 2 arguments: \(x, slope\)"),
    ],
)
def test_04_4_wrong(refused, answer, words):
    refused("04.4", answer, words)


def peaks(current, beta):
    return lif(current, beta=beta, reset="none").membrane.amax(0)


def wake_in_a_loop(current, beta):
    U, highest = torch.zeros(current.shape[1]), torch.full((current.shape[1],), -torch.inf)
    for step in current:
        U = beta * U + step
        highest = torch.maximum(highest, U)
    return 1 / sorted(highest.tolist())[len(highest) // 2]


def wake_in_numpy(current, beta):
    U = np.zeros((len(current) + 1, current.shape[1]))
    for t, step in enumerate(current.numpy()):
        U[t + 1] = beta * U[t] + step
    return 1 / np.median(U[1:].max(0))


def wake_in_place(current, beta):
    for before, step in itertools.pairwise(current):
        step.add_(before, alpha=beta)
    return current.amax(0).median().reciprocal_()


def wake_by_search(current, beta):
    low, high = 0.0, 100.0
    for _ in range(50):
        middle = (low + high) / 2
        awake = lif(middle * current, beta=beta).spikes.any(0).double().mean()
        low, high = (middle, high) if awake < 0.5 else (low, middle)
    return high


@pytest.mark.parametrize(
    "answer",
    [
        lambda current, beta: 1 / peaks(current, beta).median(),
        lambda current, beta: 1 / peaks(current.double(), beta).quantile(0.5).item(),
        wake_in_a_loop,
        wake_in_numpy,
        wake_in_place,
        wake_by_search,
    ],
)
def test_04_5_right(accepted, answer):
    accepted("04.5", answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda i, b: 1 / i.amax(0).median(), "the peak of the current"),
        (lambda i, b: 1 / i.sum(0).median(), "the sum of the current|with your gain|above 0"),
        (lambda i, b: 1 / lif(i, beta=b, reset="none").membrane[-1].median(), "the membrane of the last step"),
        (lambda i, b: 1 / peaks(i, b).max(), "the highest peak of all"),
        (lambda i, b: 1 / peaks(i, b).min(), "the lowest peak of all"),
        (lambda i, b: 1 / peaks(i, b).mean(), "the mean of the peaks"),
        (lambda i, b: 1 / lif(i, beta=b, reset="none").membrane.abs().amax(0).median(), "without its sign"),
        (lambda i, b: 1 / peaks(i, 0.9).median(), "a beta of 0.9, whatever beta comes in"),
        (lambda i, b: peaks(i, b).median(), "wanted is the factor that lifts it"),
        (lambda i, b: 1 - peaks(i, b).median(), "what is missing to the threshold"),
        (lambda i, b: (1 / peaks(i, b)).median(), "the middle of the gains|with your gain"),
        (lambda i, b: 1 / lif(i, beta=b, reset="none").membrane.amax(1).median(), "the maximum over the steps"),
        (lambda i, b: 1 / lif(i, beta=b, reset="none").membrane.median(), "the middle of all membranes"),
        (lambda i, b: 2 / peaks(i, b).max(), "half of the highest peak"),
        (lambda i, b: 2 / peaks(i, b).median(), "half of the middle peak"),
        (lambda i, b: 0.5 / peaks(i, b).median(), "twice the middle peak"),
        (lambda i, b: 1 / ((1 - b) * peaks(i, b).median()), "a current scaled by 1 - beta"),
        (lambda i, b: (1 - b) / i.amax(0).median(), "a constant current of the peak's size"),
        (lambda i, b: (1 - b) / i.mean(0).median(), "the membrane that a constant current leads to"),
        (lambda i, b: 1 / i.mean(0).median(), "the mean current"),
        (lambda i, b: 1 / peaks(i.abs(), b).median(), "the current without its sign"),
        (lambda i, b: 1 / peaks(i, 1.0).median(), "a membrane without a leak"),
        (lambda i, b: 1.0, r"with your gain 1, \d+% of 53 neurons fire at least once, not half"),
        (lambda i, b: -1 / peaks(i, b).median(), "must be above 0"),
        (lambda i, b: math.inf, "the gain is infinite"),
        (lambda i, b: i, r"the gain should be one number, got a tensor of shape \[11, 53\]"),
        (lambda i, b: lif(b, beta=i), "your function raised TypeError.*called from line"),
    ],
)
def test_04_5_wrong(refused, answer, words):
    refused("04.5", answer, words)


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_04_4_in_sixteen_bits_is_refused(refused, narrow):
    refused("04.4", lambda x, k: safe(x, k).to(narrow), "does not reach down to 1e-37")
