"""Notebook 07: its explorers say what an independent computation says, its checkers refuse for the right reason."""

import json
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from snn_helpers import assets, conversion, data, networks, neurons, training, widgets
from snn_helpers.encoding import direct
from snn_helpers.widgets.surface import percentile_explorer


@pytest.fixture(scope="module")
def cnn():
    """Trained for a moment, so that its spikes mean something."""
    digits = data.mnist(train=True, root="bundled")
    torch.manual_seed(0)
    net = networks.cnn()
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    few, loss = digits.first(1000), nn.functional.cross_entropy
    training.fit(net, few, lambda x: x, loss, adam, epochs=2, batch_size=50, seed=0)
    return net


def some(count):
    return data.mnist(train=False, root="bundled").first(count)


def converted(cnn, v_init=0.5):
    images = data.pixels(data.mnist(train=True, root="bundled").images[:500])
    return conversion.to_snn(conversion.normalize(cnn, images), v_init=v_init)


def test_conversion_explorer(cnn, drive):
    panel = widgets.conversion_explorer(cnn, some(31), steps=13)
    drive(panel)
    panel.controls["kind"].value = "constant"
    for start, v_init in ("0", 0.0), ("half the threshold", 0.5):
        panel.controls["start"].value = start
        records = converted(cnn, v_init)(direct(some(31).pixels, 13))
        for step in 1, 7, 13:
            panel.controls["step"].value = step
            left = records[-1].membrane[step - 1] - records[-1].spikes[step - 1]
            answers = (records[-1].spikes[:step].sum(0) + left / 100).argmax(-1)  # a tie goes to the fullest
            share = (answers == some(31).labels).double().mean()
            spikes = sum(record.spikes[:step].sum() for record in records) / 31
            assert f"after {step} step" in panel.headline.value and f": {share:.1%} right" in panel.headline.value
            assert f"{spikes:,.0f} spikes an image" in panel.headline.value
            inside = [text for text in panel.axes["confusion"].texts if text.get_position()[0] < 9.5]
            assert int(sum(float(text.get_text()) for text in inside)) == 31


def test_activation_explorer(cnn, drive):
    panel = widgets.activation_explorer(cnn, some(3), longest=23)
    drive(panel)
    images = data.pixels(data.mnist(train=True, root="bundled").images[:500])
    balanced, x = conversion.normalize(cnn, images), data.pixels(some(3).images[1:2])
    for control, value in dict(index=1, layer=1, steps=17, kind="constant", start="half the threshold").items():
        panel.controls[control].value = value
    with torch.no_grad():
        a = balanced[:5](x).flatten().clamp(max=1)
        rate = conversion.to_snn(balanced)(direct(x, 17))[1].spikes.mean(0).flatten()
    assert f"root mean square error {(rate - a).square().mean().sqrt():.3f}" in panel.headline.value
    panel.controls["layer"].value = 0
    assert "100.0% of 6,912 neurons within 0.0294" in panel.headline.value  # the bound of a constant current


@pytest.fixture
def surface():
    """Two starts, three scales, seven steps; the CNN reads 0.97."""
    slow, quick, low = [0.1, 0.5, 0.9, 0.96, 0.97, 0.96, 0.971], [0.9, *[0.966] * 6], [0.95] * 7
    capped = [0.9, 0.97, 0.97, 0.96, 0.95, 0.94, 0.93]
    curves = [slow, quick, capped, low]
    return {
        "scales": ["largest", "99.9 %", "95 %", "largest / 2"],
        "test_images": 1234,
        "cnn_accuracy": 0.97,
        "accuracy": [curves, curves[::-1]],
        "spikes_per_image": [[[100 * (i + 1) * t for t in range(1, 8)] for i in range(4)]] * 2,
    }


@pytest.mark.parametrize(
    "scale, start, step, words",
    [
        ("largest", "0", 4, r"step 4: 96\.00% \(CNN 97\.00%\), 400 spikes .* from step 7 on"),
        ("99.9 %", "0", 1, r"step 1: 90\.00% .*, 200 spikes .* from step 2 on"),
        ("largest / 2", "0", 7, r"95\.00% .*, 2,800 spikes .* never within half a point in 7 steps"),
        ("largest", "half the threshold", 7, r"95\.00% .*, 700 spikes .* never within"),
        ("95 %", "0", 7, r"within half a point at step 2, but not to stay"),
    ],
)
def test_percentile_explorer(surface, scale, start, step, words):
    panel = percentile_explorer(surface)
    for control, value in dict(scale=scale, start=start, step=step).items():
        panel.controls[control].value = value
    assert re.search(words, panel.headline.value), panel.headline.value
    assert "1,234 test digits, on a logarithmic scale, for four of 4 scales" in panel.sentence


def test_percentile_explorer_moves(surface, drive):
    drive(percentile_explorer(surface))


def test_the_recorded_surface_is_what_the_tool_records(cnn):
    import record_surface

    digits = some(17)
    got = record_surface.record(cnn, digits.pixels, digits, steps=7)
    again = json.loads(json.dumps(got))
    assert percentile_explorer(again).headline.value
    place = got["scales"].index("largest / 2")
    half = conversion.normalize(cnn, digits.pixels, 100)
    half[0].weight.data.mul_(2)
    wanted = conversion.simulate(conversion.to_snn(half, v_init=0.0), digits, 7)
    assert got["accuracy"][0][place] == wanted.accuracy().tolist()
    assert got["spikes_per_image"][0][place][-1] == pytest.approx(wanted.spikes.sum().item() / 17, abs=0.1)
    assert {len(starts) for starts in got["accuracy"]} == {len(got["scales"])} == {10}


def test_what_the_text_says_of_the_recorded_scales():
    """Smaller is sooner, until it never arrives; half full is sooner for every scale that arrives."""
    recorded = json.loads((assets.RECORDED / "cnn-to-snn-surface.json").read_text(encoding="utf-8"))
    arrives = [
        [max(np.flatnonzero(np.array(curve) < recorded["cnn_accuracy"] - 0.005), default=-1) + 2 for curve in curves]
        for curves in recorded["accuracy"]
    ]
    never = len(recorded["accuracy"][0][0]) + 1
    names = recorded["scales"]
    for chain in (
        ["largest", "99.99 %", "99.9 %", "99 %", "95 %", "90 %"],
        ["largest", "largest / 2", "largest / 3"],
    ):
        for steps in arrives:
            waits = [steps[names.index(name)] for name in chain]
            assert waits == sorted(waits, reverse=True) and waits[0] < never
    for name, at_0, half in zip(names, *arrives, strict=True):
        assert at_0 == half == never if name in ("largest / 5", "largest / 10") else half < at_0 < never, name


def test_the_colours_of_the_surface_have_a_bar(surface):
    panel = percentile_explorer(surface)
    assert panel.axes["surface"].images[0].colorbar is not None
    panel.controls["step"].value = 2  # and one only, after a move
    assert len(panel.axes["surface"].child_axes) == 1


def test_a_chart_says_of_each_row_how_much_of_it_is_right():
    ax = widgets.chart(torch.tensor([[3, 1, 0, 0], [0, 7, 0, 0], [2, 1, 5, 0], [0, 0, 0, 0]]))
    beside = [text for text in ax.texts if text.get_position()[0] > 3.5]
    assert [text.get_text() for text in beside] == ["right, %", "75.0", "100.0", "62.5", "-"]
    assert [text.get_position()[1] for text in beside] == [-1, 0, 1, 2, 3]


def test_step_curves_begin_at_one_step_and_name_every_line():
    figure = widgets.step_curves({"one": torch.tensor([0.2, 0.9]), "two": torch.tensor([0.5, 0.6])}, 0.95, low=10)
    (ax,) = figure.axes
    assert [line.get_label() for line in ax.lines] == ["one", "two", "the CNN"] and ax.get_legend()
    assert list(ax.lines[0].get_xdata()) == [1, 2] and list(ax.lines[2].get_ydata()) == [95, 95]
    assert list(ax.lines[0].get_ydata()) == pytest.approx([20, 90])
    assert ax.get_ylim()[0] == 10 and ax.get_ylim()[1] >= 100
    assert all(tick == round(tick) for tick in ax.get_xticks())


# ---- one image


def test_decision_explorer(cnn, drive, good_strip):
    panel = widgets.decision_explorer(cnn, some(3), steps=17)
    drive(panel)
    good_strip(panel)
    for control, value in dict(index=2, kind="constant", start="half the threshold").items():
        panel.controls[control].value = value
    spikes = converted(cnn)(direct(some(3).pixels[2:], 17))[-1].spikes[:, 0]
    for step in 1, 9, 17:
        panel.controls["step"].value = step
        votes = spikes[:step].sum(0)
        words = f"{votes.argmax()} leads with {votes.max():.0f} spike" if votes.any() else "nobody has fired"
        if (votes == votes.max()).sum() == 1 or not votes.any():
            assert words in panel.headline.value
        shown = [patch.get_data().values for patch in panel.axes["votes"].patches]
        assert np.nansum(shown) == votes.sum()


def test_the_same_spikes_each_time(cnn):
    panel = widgets.decision_explorer(cnn, some(2), steps=11)
    panel.controls["kind"].value = "Poisson"
    panel.controls["index"].value = 1
    before = panel.image.value
    again = widgets.decision_explorer(cnn, some(2), steps=11)
    again.controls["kind"].value = "Poisson"
    again.controls["index"].value = 1
    assert panel.headline.value == again.headline.value and before == panel.image.value


def test_train_maps_add_up_what_has_fired():
    trains = [torch.zeros(40, 1, 3, 5), torch.zeros(40, 1, 3, 5)]
    trains[0][:2, 0, 1, 2] = 1
    trains[1][9, 0, 2, 4] = 1
    figure = widgets.train_maps(trains, (1, 4, 10))
    shown = [ax.images[0].get_array() for ax in figure.axes[:6]]
    assert [picture[1, 2] for picture in shown] == [1, 0.5, 0.2, 0, 0, 0]
    assert shown[5][2, 4] == 0.1 and shown[4].sum() == 0
    assert len(figure.axes) == 7  # and one bar for all


# ---- what can be converted


@pytest.fixture(scope="module")
def grid():
    """The grid, recorded for a moment: 40 digits to learn from, 23 to test on, 5 steps, two of the seeds."""
    import record_rules

    train, test = data.mnist(train=True, root="bundled").first(40), some(23)
    found = record_rules.empty(train, test)
    saved = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_rules, "SEEDS", (0, 1))
        record_rules.record(train, test, found, steps=5, save=lambda found: saved.append(len(found["right"])))
        assert saved == list(range(1, len(found["right"]) + 1)), "not saved after each"
        before = json.dumps(found)
        record_rules.record(train, test, found, steps=5)
    assert json.dumps(found) == before, "what was there is done again"
    return json.loads(before)


def test_the_grid_is_whole(grid):
    ways = {True: 4, False: 6}  # without a bias, with one
    assert len(grid["right"]) == 2 * 2 * (ways[True] + 2 * ways[False]) and len(grid["cnn"]) == 2 * 2 * 3


def test_a_recorded_conversion_is_what_the_formula_says():
    """Average pooling, no biases: the same network as by normalize and to_snn."""
    import record_rules

    torch.manual_seed(3)
    cnn, digits = record_rules.network("average", "no biases"), some(19)
    mine = record_rules.converted(cnn, digits.pixels, "balanced", "", "half the threshold")
    theirs = conversion.to_snn(conversion.normalize(cnn, digits.pixels, 99.9))
    for one, two in zip(mine(direct(digits.pixels, 7)), theirs(direct(digits.pixels, 7)), strict=True):
        assert (one.spikes != two.spikes).double().mean() < 1e-3


@pytest.mark.parametrize("pooling", ["average", "maximum"])
@pytest.mark.parametrize("extra", ["biases", "batch normalisation"])
def test_balanced_biases_leave_the_answers(pooling, extra):
    """Divided by its scale a bias passes: with ReLU in place of spikes, all scores are divided by one number."""
    import record_rules

    digits = some(31)
    cnn = record_rules.trained(pooling, extra, 0, data.mnist(train=True, root="bundled").first(300)).eval()
    snn = record_rules.converted(cnn, digits.pixels, "balanced", "divided by the layer's scale", "0")
    with torch.no_grad():
        x = digits.pixels
        for layer in snn.layers[:-1]:
            x = layer(x).relu()
        ratio = cnn(digits.pixels) / snn.layers[-1](x)
    assert ratio.min() > 0 and ratio.max() / ratio.min() < 1.001
    left = record_rules.converted(cnn, digits.pixels, "balanced", "left as they were", "0")
    bias = next(m for m in left.layers[0] if hasattr(m, "bias")).bias
    assert torch.allclose(bias, next(m for m in record_rules.blocks(cnn)[0]).bias)


def test_rules_explorer(grid, drive, good_strip):
    rules = widgets.surface.Rules(grid)
    panel = widgets.rules_explorer(rules)
    drive(panel)
    good_strip(panel)
    for control, value in dict(pooling="maximum", extra="biases", biases="left as they were", start="0").items():
        panel.controls[control].value = value
    for scale, treated in ("balanced", "left as they were"), ("as trained", ""):
        panel.controls["scale"].value = scale
        way = f"maximum | biases | {scale} | {treated} | 0"
        lost = [
            100 * (grid["cnn"][f"{seed} | maximum | biases"] - grid["right"][f"{seed} | {way}"][-1] / 23)
            for seed in (0, 1)
        ]
        wanted = f"{sum(lost) / 2:+.2f} points lost, {min(lost):+.2f} to {max(lost):+.2f}"
        assert wanted in panel.headline.value, panel.headline.value
    panel.controls["extra"].value = "no biases"
    assert "there are none" in panel.headline.value


@pytest.mark.parametrize("start", ["0", "half the threshold"])
def test_the_quick_run_of_the_grid_says_what_simulate_says(start):
    import record_rules

    torch.manual_seed(5)
    digits = some(137)  # more than a batch
    snn = record_rules.converted(record_rules.network("maximum", "biases"), digits.pixels, "as trained", "", start)
    wanted = conversion.simulate(snn, digits, 7).accuracy() * 137
    assert record_rules.right_answers(snn, digits, 7) == pytest.approx(wanted.tolist(), abs=0.1)


def test_the_recorded_grid_is_of_all_test_digits():
    recorded = widgets.recorded_rules().recorded
    assert (recorded["train_images"], recorded["test_images"]) == (10_000, 10_000)
    assert {len(curve) for curve in recorded["right"].values()} == {10}
    assert len(recorded["cnn"]) == 6 * len(widgets.recorded_rules().seeds())


def test_what_the_text_says_of_the_recorded_grid():
    rules = widgets.recorded_rules()
    for pooling in "average", "maximum":
        for extra in "no biases", "biases", "batch normalisation":
            way = dict(pooling=pooling, extra=extra)
            assert (rules.lost(**way) < rules.lost(scale="as trained", **way)).all(), "balance helps all six"
            if pooling == "average":
                assert (abs(rules.lost(**way)) < 0.3).all(), "what passes"
                assert (abs(rules.lost(**way) - rules.lost(start="0", **way)) < 0.5).all(), "little of the start"
            else:
                assert (rules.lost(**way) > 0.2).all(), "a maximum does not pass"
            if extra != "no biases":
                left = rules.lost(biases="left as they were", **way)
                assert (left > rules.lost(**way) + 0.2).all(), "biases left as they were cost points"


def test_the_saved_picture_of_the_switches_leaves_the_card_before_it_unanswered():
    """Of what the card 07.rules offers, only one is in it."""
    sentence = widgets.rules_explorer().sentence
    assert "biases divided" not in sentence and "biases left" not in sentence and "normalisation" not in sentence


def test_live_confusion_draws_the_last_step_whatever_the_time():
    live = widgets.LiveConfusion(3, 0.9)
    counts = torch.tensor([[5, 2], [0, 4]])
    pictures = []
    for curve in [0.2], [0.2, 0.6], [0.2, 0.6, 0.8]:
        live(curve, counts)
        pictures.append(live.value)
    assert pictures[0] == pictures[1] != pictures[2]  # the second came too soon after the first
    title = live.figure.axes[1].get_title(loc="left")
    assert "80.0% right" in title and "90.0%" in title


# ---- exercises


def balance(weights, biases, activations):
    new, before = ([], []), 1.0
    for W, b, a in zip(weights, biases, activations, strict=True):
        new[0].append(W * before / a.max())
        new[1].append(b / a.max())
        before = a.max()
    return new


def balance_in_place(weights, biases, activations):
    before = 1.0
    for W, b, a in zip(weights, biases, activations, strict=True):
        own = a.max().item()
        W *= before / own
        b /= own
        before = own
    return weights, biases


def balance_in_numpy(weights, biases, activations):
    own = np.array([a.numpy().max() for a in activations])
    before = np.concatenate([[1.0], own[:-1]])
    return [w.numpy() * p / s for w, p, s in zip(weights, before, own, strict=True)], [
        b.numpy() / s for b, s in zip(biases, own, strict=True)
    ]


def balance_in_float64(weights, biases, activations):
    return balance(*([part.double() for part in parts] for parts in (weights, biases, activations)))


def from_the_network(weights, biases, activations):
    """Scale the input back up, the layer as it was, then scale down: the same, thought of in another way."""
    scales = [1.0] + [float(a.max()) for a in activations]
    return [
        [W.mul(scales[i]).div(scales[i + 1]) for i, W in enumerate(weights)],
        tuple(b.div(scales[i + 1]) for i, b in enumerate(biases)),
    ]


@pytest.mark.parametrize("answer", [balance, balance_in_place, balance_in_numpy, balance_in_float64, from_the_network])
def test_07_1_right_ways(accepted, answer):
    accepted("07.1", answer, "a bias can be balanced, too")


def test_07_1_is_true():
    """Balanced by its solution, a network with biases gives its answers divided by one number, all activations to 1."""
    torch.manual_seed(0)
    layers = [nn.Linear(5, 7), nn.Linear(7, 3)]
    x, seen = torch.rand(31, 5), []
    for layer in layers:
        seen.append(layer(seen[-1] if seen else x).relu())
    new = balance([la.weight for la in layers], [la.bias for la in layers], seen)
    y = x
    for W, b, old in zip(*new, seen, strict=True):
        y = (y @ W.T + b).relu()
        torch.testing.assert_close(y, old / old.max())


def scaled(weight, bias):
    """The answer that scales layer i's weights and biases by these functions of its own and the one before's scale."""

    def answer(weights, biases, activations):
        own = [a.max() for a in activations]
        before = [torch.tensor(1.0), *own[:-1]]
        both = list(zip(own, before, strict=True))
        return [W * weight(s, p) for W, (s, p) in zip(weights, both, strict=True)], [
            b * bias(s, p) for b, (s, p) in zip(biases, both, strict=True)
        ]

    return answer


def by_the_mean(weights, biases, activations):
    return balance(weights, biases, [a.mean() for a in activations])


def by_the_product(weights, biases, activations):
    """As if the activations had been measured in the network that is balanced so far."""
    new, before = ([], []), 1.0
    for W, b, a in zip(weights, biases, activations, strict=True):
        new[0].append(W * before / a.max())
        before = before * a.max()
        new[1].append(b / before)
    return new


def by_the_neuron(weights, biases, activations):
    new, before = ([], []), 1.0
    for W, b, a in zip(weights, biases, activations, strict=True):
        new[0].append(W * before / a.amax(0)[:, None])
        before = a.amax(0)
        new[1].append(b / before)
    return new


def upside_down(s, p):
    return s / p


def right(s, p):
    return p / s


@pytest.mark.parametrize(
    "answer, words",
    [
        (scaled(lambda s, p: 1 / s, lambda s, p: 1 / s), "divided by their own scale only"),
        (scaled(upside_down, lambda s, p: 1 / s), "weights are scaled the wrong way round"),
        (scaled(lambda s, p: 1, lambda s, p: 1), "nothing is balanced yet"),
        (by_the_mean, "the scale is the largest"),
        (scaled(right, lambda s, p: 1), "the biases are those of before"),
        (scaled(right, right), "a bias does not come from the layer before"),
        (scaled(right, lambda s, p: s), "the biases are scaled the wrong way round"),
        (scaled(right, lambda s, p: 0), "without its biases"),
        (scaled(right, lambda s, p: 1 / p), "not by that of the layer before"),
        (scaled(right, lambda s, p: -1 / s), "the biases of layer 1 first differs at neuron 0"),
        (lambda *all: list(zip(*balance(*all), strict=True)), "that is a pair for each layer"),
        (lambda W, b, a: balance(W, b, [x.quantile(0.999) for x in a]), "the scale is a percentile"),
        (lambda W, b, a: balance(W, b, [x[x > 0].quantile(0.999) for x in a]), "the scale is a percentile"),
        (lambda W, b, a: balance(W, b, [max(x.max() for x in a)] * len(a)), "largest activation of all layers"),
        (lambda W, b, a: ([w / max(x.max() for x in a) for w in W], b), "divided by one number"),
        (by_the_product, "weights are right: a bias is divided by the scales of all layers"),
        (lambda *all: (by_the_product(*all)[0], balance(*all)[1]), "the scales of all layers before are multiplied"),
        (by_the_neuron, "each neuron has a scale of its own"),
        (lambda *all: (balance(*all)[0], by_the_neuron(*all)[1]), "each neuron's bias has a scale of its own"),
        (lambda *all: (balance(*all)[0], [b / b.abs().max() for b in all[1]]), "not its own largest"),
        (scaled(lambda s, p: -p / s, lambda s, p: 1 / s), "the weights of layer 1 first differs at row 0"),
        (lambda *all: ([W.T for W in balance(*all)[0]], balance(*all)[1]), r"should have shape \[7, 5\], got \[5, 7\]"),
        (lambda *all: balance(*all)[0], "wanted two lists|2 weights and as many"),
        (lambda *all: ([1, 2], [3, 4]), r"weights of layer 1 should have shape"),
        (
            lambda *all: tuple(part[:1] for part in balance(*all)),
            "wanted 2 weights and as many biases, got 1 and 1",
        ),
        (lambda *all: all[0][0], "wanted two lists, the weights and the biases"),
        (lambda weights, biases, activations: activations.max(), "your function raised AttributeError"),
        (lambda weights, activations: weights, r"should take 3 arguments: \(weights, biases, activations\)"),
        (lambda *all: ([W / 0 for W in all[0]], all[1]), "is infinite"),
    ],
)
def test_07_1_wrong_ways(refused, answer, words):
    refused("07.1", answer, words)


def steps_for(error, v_init, largest):
    return 0 if largest - 1 > error else math.ceil(max(v_init, 1 - v_init) / error)


def by_search(error, v_init, largest):
    if largest > 1 + error:
        return 0
    T = 1
    while max(v_init, 1 - v_init) / T > error:
        T += 1
    return T


def in_tensors(error, v_init, largest):
    worst = torch.tensor([v_init, 1 - v_init]).max()
    return (worst / error).ceil() * (largest <= 1 + error)


@pytest.mark.parametrize(
    "answer",
    [
        steps_for,
        by_search,
        in_tensors,
        lambda e, v, top: np.where(top - 1 > e, 0, np.ceil(np.maximum(v, 1 - v) / e)),
        lambda e, v, top: float(steps_for(e, v, top)),
        lambda e, v, top: -int(-(0.5 + abs(v - 0.5)) // e) if top <= 1 + e else 0,
    ],
)
def test_07_2_right_ways(accepted, answer):
    accepted("07.2", answer, "the cap whether waiting helps")


@pytest.mark.parametrize("error, v_init, largest", [(0.11, 0.5, 1.0), (0.07, 0.25, 1.05), (0.13, 0.8, 0.9)])
def test_07_2_is_true(error, v_init, largest):
    """The bound holds from the wanted number of steps on, and one step before it is broken by some current."""
    a = torch.linspace(0, largest, 20_001, dtype=torch.double)
    start = neurons.Record(None, torch.full_like(a, v_init))
    steps = steps_for(error, v_init, largest)
    worst = [
        (neurons.lif(direct(a, T), beta=1.0, initial=start).spikes.mean(0) - a).abs().max()
        for T in (steps - 1, steps, steps + 1)
    ]
    assert worst[0] > error - 1e-4 and max(worst[1:]) <= error + 1e-9


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda e, v, top: math.floor(max(v, 1 - v) / e), "one step less than needed"),
        (lambda e, v, top: round(max(v, 1 - v) / e), "one step less than needed"),
        (lambda e, v, top: math.ceil(1 / e), "that is for V_0 = 0"),
        (lambda e, v, top: math.ceil(0.5 / e), "that is for half a threshold"),
        (lambda e, v, top: math.ceil(v / e), "start at 0, .*also above it"),
        (lambda e, v, top: math.ceil((1 - v) / e), "start at 0.8, .*also below it"),
        (lambda e, v, top: math.ceil(max(v, 1 - v) / e), "too low for ever: 0"),
        (
            lambda e, v, top: 0 if top > 1 else steps_for(e, v, 1),
            "up to 1.05: a rate of 1 for a current of 1.05 is within",
        ),
        (lambda e, v, top: max(v, 1 - v) / e, "the number of steps should be a whole number"),
        (lambda e, v, top: 46, "start at 0, .*46|yours 46"),
        (lambda e, v, top: math.ceil(max(v, 1 - v) / e) + 1, "the number of steps for error"),
        (lambda e, v, top: -steps_for(e, v, top), "yours -46, wanted 46"),
        (lambda e, v, top: max(v, 1 - v) / 0, "ZeroDivisionError"),
        (lambda e, v: 50, r"should take 3 arguments: \(error, v_init, largest\)"),
        (50, "wanted a function, got int"),
    ],
)
def test_07_2_wrong_ways(refused, answer, words):
    refused("07.2", answer, words)


def diagnose(layers, spikes):
    return [i for i, layer in enumerate(layers) if not torch.allclose(*both(layer, spikes), atol=1e-5)]


def both(layer, spikes):
    """What the layer makes of the rate, and the rate of what it makes of the spikes."""
    each = layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])
    return layer(spikes.mean(0)), each.mean(0)


def step_by_step(layers, spikes):
    faulty = []
    for i in range(len(layers)):
        total = 0
        for step in spikes:
            total = total + layers[i](step)
        if (total / len(spikes) - layers[i](spikes.mean(0))).abs().max() > 1e-4:
            faulty.append(i)
    return faulty


def positions_in_numpy(layers, spikes):
    gaps = [np.abs(np.subtract(*(part.numpy() for part in both(layer, spikes)))).max() for layer in layers]
    return list(np.flatnonzero(np.array(gaps) > 1e-3))  # of np.int64


@pytest.mark.parametrize(
    "answer",
    [
        diagnose,
        step_by_step,
        positions_in_numpy,
        lambda layers, spikes: np.array(diagnose(layers, spikes)),
        lambda layers, spikes: torch.tensor(diagnose(layers, spikes)),
        lambda layers, spikes: set(diagnose(layers, spikes)),
        lambda layers, spikes: diagnose(layers, spikes)[::-1],
        lambda layers, spikes: diagnose(layers, spikes[:, :1]),  # one digit is enough
    ],
)
def test_07_3_right_ways(accepted, answer):
    accepted("07.3", answer, "and a bias does")


NAMES = nn.MaxPool2d | nn.Sigmoid | nn.Tanh


@pytest.mark.parametrize(
    "answer, words",
    [
        (
            lambda layers, spikes: [
                i
                for i, layer in enumerate(layers)
                if isinstance(layer, NAMES) or (isinstance(layer, nn.Conv2d) and layer.bias is not None)
            ],
            "list 1 of 2: position 0, Conv2d, lets an average pass: its bias is the same at every step",
        ),
        (
            lambda layers, spikes: [i for i, layer in enumerate(layers) if isinstance(layer, NAMES)],
            r"list 2 of 2: position 0, Softmax, does not let an average pass: the two differ by up to 0\.\d\d",
        ),
        (
            lambda layers, spikes: [
                i for i, m in enumerate(layers) if not isinstance(m, nn.Conv2d | nn.Linear | nn.AvgPool2d | nn.Flatten)
            ],
            "list 2 of 2: position 2, BatchNorm2d, lets an average pass",
        ),
        (
            lambda layers, spikes: [i for i, m in enumerate(layers) if not torch.equal(*both(m, spikes))],
            "which is rounding. Leave a tolerance",
        ),
        (
            lambda layers, spikes: [i for i, m in enumerate(layers) if torch.allclose(*both(m, spikes), atol=1e-5)],
            "let an average pass; asked are the others",
        ),
        (lambda layers, spikes: [i + 1 for i in diagnose(layers, spikes)], "counted from 0"),
        (
            lambda layers, spikes: [
                i for i, m in enumerate(layers) if not torch.allclose(m(spikes.sum(0)), m(spikes[0]) * 9, atol=1e-3)
            ],
            "lets an average pass",
        ),
        (lambda layers, spikes: diagnose(layers, spikes[:1]), "position 1, MaxPool2d, does not let an average pass"),
        (lambda layers, spikes: diagnose(layers, spikes)[:1], "position 3, Tanh, does not"),
        (lambda layers, spikes: [1, 2, 3], r"list 1 of 2: position 2, AvgPool2d, .* differ by \de-\d\d at most"),
        (lambda layers, spikes: [1, 3], "list 2 of 2"),
        (lambda layers, spikes: [], "position 1, MaxPool2d"),
        (lambda layers, spikes: [7], "there is no position 7; there are 0 to 4"),
        (lambda layers, spikes: True, "wanted a list of positions"),
        (lambda layers, spikes: [False, True, False, True, False], "got bool"),
        (lambda layers, spikes: ["MaxPool2d"], "a position should be one number, got text"),
        (lambda layers, spikes: [layer(spikes) for layer in layers], "your function raised RuntimeError"),
        (lambda layers: [], r"should take 2 arguments: \(layers, spikes\)"),
    ],
)
def test_07_3_wrong_ways(refused, answer, words):
    refused("07.3", answer, words)


def needed(accuracy, cnn, offset=2, never=0):
    low = (accuracy < cnn - 0.005).nonzero().flatten()
    steps = low[-1].item() + offset if len(low) else 1
    return steps if steps <= len(accuracy) else never


def from_behind(accuracy, cnn):
    steps = len(accuracy)
    while steps > 0 and accuracy[steps - 1] >= cnn - 0.005:
        steps -= 1
    return 0 if steps == len(accuracy) else steps + 1


def step_after_step(accuracy, cnn):
    answer = 0
    for t, value in enumerate(accuracy, 1):
        if value < cnn - 0.005:
            answer = 0
        elif answer == 0:
            answer = t
    return answer


def in_numpy(accuracy, cnn):
    fine = np.minimum.accumulate((accuracy.numpy() >= cnn - 0.005)[::-1])[::-1]
    return fine.argmax() + 1 if fine.any() else 0


@pytest.mark.parametrize(
    "answer",
    [
        needed,
        from_behind,
        step_after_step,
        in_numpy,
        lambda accuracy, cnn: float(needed(accuracy, cnn)),
        lambda accuracy, cnn: torch.tensor(needed(accuracy.float(), cnn)),
    ],
)
def test_07_4_right_ways(accepted, answer):
    accepted("07.4", answer, "is judged by")


def first_crossing(accuracy, cnn):
    for t, value in enumerate(accuracy, 1):
        if value >= cnn - 0.005:
            return t
    return 0


@pytest.mark.parametrize(
    "answer, words",
    [
        (first_crossing, "a curve of 31 steps: that is where it comes within half a point for the first time"),
        (lambda accuracy, cnn: first_crossing(accuracy, cnn) or -1, "within half a point for the first time"),
        (lambda accuracy, cnn: 1 + int((accuracy >= cnn - 0.005).int().argmax()), "for the first time"),
        (lambda accuracy, cnn: needed(accuracy, cnn - 0.045), "half a point is 0.005, not 0.05"),
        (lambda accuracy, cnn: needed(accuracy, cnn - 0.495), "half a point is 0.005, not 0.5"),
        (lambda accuracy, cnn: needed(accuracy, 0.995 * cnn + 0.005), "not half a per cent of its accuracy"),
        (lambda accuracy, cnn: (accuracy >= cnn - 0.005).sum(), "counts the entries that are near enough"),
        (lambda accuracy, cnn: needed(accuracy, cnn, offset=0, never=len(accuracy)), "the last entry that is too low"),
        (lambda accuracy, cnn: len(accuracy), "the length of the curve"),
        (lambda accuracy, cnn: first_crossing(accuracy, cnn) - 1, "first time; .* And .* index k means"),
        (lambda accuracy, cnn: accuracy.argmax(), "highest; .* And .* index k means"),
        (lambda accuracy, cnn: needed(accuracy, cnn, offset=1), "the answer is the index of an entry"),
        (lambda accuracy, cnn: needed(accuracy, cnn, never=len(accuracy)), "never gets there: return 0"),
        (lambda accuracy, cnn: needed(accuracy, cnn, never=len(accuracy) + 1), "never gets there: return 0"),
        (lambda accuracy, cnn: needed(accuracy, cnn, never=-1), "never gets there: return 0"),
        (lambda accuracy, cnn: needed(accuracy, accuracy[-1]), "compare with the accuracy of the CNN"),
        (lambda accuracy, cnn: needed(-(accuracy - cnn).abs(), 0), "above the CNN is no fault"),
        (lambda accuracy, cnn: needed(accuracy, cnn + 0.005), "half a point below the CNN is near enough"),
        (lambda accuracy, cnn: accuracy.argmax().item() + 1, "where the curve is highest"),
        (lambda accuracy, cnn: (accuracy < cnn - 0.005).sum() + 1, "counts the entries that are too low"),
        (lambda accuracy, cnn: 17, "number of steps for a curve of 23: yours 17"),
        (lambda accuracy, cnn: accuracy[-1], "should be a whole number"),
        (lambda accuracy, cnn: (accuracy < cnn - 0.005).nonzero()[-1] + 2, "raised IndexError|never gets there"),
        (lambda accuracy, cnn: max(t for t, v in enumerate(accuracy, 2) if v < cnn - 0.005), "raised ValueError|never"),
        (lambda accuracy, cnn: accuracy < cnn, "should be one number, got a tensor"),
        (lambda accuracy: 3, r"should take 2 arguments: \(accuracy, cnn\)"),
    ],
)
def test_07_4_wrong_ways(refused, answer, words):
    refused("07.4", answer, words)


def spike_count(a, steps, v0):
    return (v0 + steps * a).floor().clamp(0, steps)


@pytest.mark.parametrize(
    "answer",
    [
        spike_count,
        lambda a, steps, v0: np.clip(np.floor(v0 + steps * a.numpy()), 0, steps),
        lambda a, steps, v0: [min(max(math.floor(v0 + steps * x), 0), steps) for x in a.tolist()],
        lambda a, steps, v0: (v0 + steps * a.relu()).int().clamp(max=steps),
        lambda a, steps, v0: a.mul_(steps).add_(v0).floor_().clamp_(0, steps),
        lambda a, steps, v0: (v0 + steps * a.float()).floor().clamp(0, steps),
        lambda a, steps, v0: torch.where(a < 0, 0, torch.where(a > 1, steps, (v0 + steps * a) // 1)).long(),
    ],
)
def test_07_5_right_ways(accepted, answer):
    accepted("07.5", answer, r"-0\.050 from V_0 = 0 and by 0\.000")


def by_running(a, steps, v0):
    V, N = torch.full_like(a, v0), torch.zeros_like(a)
    for _ in range(steps):
        V = V + a
        S = (V > 1).double()
        V, N = V - S, N + S
    return N


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda a, steps, v0: (steps * a).floor().clamp(0, steps), "right for V_0 = 0; with V_0 = 0.5"),
        (lambda a, steps, v0: (steps * a).round().clamp(0, steps), "right for V_0 = 1/2 alone"),
        (lambda a, steps, v0: (steps * (a + v0)).floor().clamp(0, steps), "V_0 is there once"),
        (lambda a, steps, v0: (v0 + steps * a).clamp(0, steps), "whole numbers: only full thresholds"),
        (lambda a, steps, v0: (v0 + steps * a).floor().clamp(max=steps), "a negative current fires no spikes"),
        (lambda a, steps, v0: (v0 + steps * a).floor().clamp(min=0), "one spike a step is the most"),
        (lambda a, steps, v0: (v0 + steps * a).floor(), "one above 1 one a step and no more"),
        (lambda a, steps, v0: (v0 + steps * a).floor().clamp(0, steps) / steps, "these are rates"),
        (lambda a, steps, v0: (v0 + steps * a).ceil().clamp(0, steps), "round down, not up"),
        (
            lambda a, steps, v0: (steps * a - v0).floor().clamp(0, steps),
            "spikes in 19 steps from V_0 = 0.5 first differs",
        ),
        (lambda a, steps, v0: spike_count(a, steps + 1, v0), "number of spikes in 7 steps from V_0 = 0.0"),
        (lambda a, steps, v0: spike_count(a, 7, 0), "number of spikes|right for V_0 = 0"),
        (lambda a, steps, v0: spike_count(a, steps, v0).sum(), r"should have shape \[53\], got \[\]"),
        (lambda a, steps, v0: 3, r"should have shape \[53\], got \[\]"),
        (by_running, "1,048,576 steps took it more than 2 s: it runs the neuron"),
        (
            lambda a, steps, v0: neurons.lif(
                direct(a, steps), beta=1.0, initial=neurons.Record(None, torch.full_like(a, v0))
            ).spikes.sum(0),
            "it runs the neuron",
        ),
    ],
)
def test_07_5_wrong_ways(refused, answer, words):
    refused("07.5", answer, words)


def test_07_3_layers_may_be_brought_to_double_precision(accepted):
    def in_double(layers, spikes):
        found = []
        for i, layer in enumerate(layers):
            layer.double()
            mean = layer(spikes.double().mean(0))
            each = sum(layer(step.double()) for step in spikes) / len(spikes)
            if not torch.allclose(mean, each, atol=1e-5):
                found.append(i)
        return found

    accepted("07.3", in_double)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda e, v, top: 0 if top - 1 > e else math.floor(max(v, 1 - v) / e) + 1, "error 0.125"),
        (lambda e, v, top: 0 if top - 1 >= e else math.ceil(max(v, 1 - v) / e), "error 0.25"),
    ],
)
def test_07_2_exactly_at_the_error_is_allowed(refused, answer, words):
    refused("07.2", answer, words)
