"""Notebook 07: its explorers say what an independent computation says, its checkers refuse for the right reason."""

import json
import re

import pytest
import torch
from torch import nn

from snn_helpers import conversion, data, networks, training, widgets
from snn_helpers.encoding import direct
from snn_helpers.widgets.surface import percentile_explorer


@pytest.fixture(scope="module")
def cnn():
    """Trained for a moment, so that its spikes mean something."""
    digits = data.mnist(train=True, root="bundled")
    few = data.Digits(digits.images[:1000], digits.labels[:1000], "")
    torch.manual_seed(0)
    net = networks.cnn()
    training.fit(
        net, few, lambda x: x, nn.functional.cross_entropy, epochs=2, batch_size=50, lr=3e-3, seed=0, progress=False
    )
    return net


def some(count):
    digits = data.mnist(train=False, root="bundled")
    return data.Digits(digits.images[:count], digits.labels[:count], "")


def converted(cnn, v_init=0.5):
    images = data.mnist(train=True, root="bundled").images[:500].unsqueeze(1) / 255
    return conversion.to_snn(conversion.normalize(cnn, images), v_init=v_init)


def test_conversion_explorer(cnn, drive):
    panel = widgets.conversion_explorer(cnn, some(31), steps=13)
    drive(panel)
    panel.controls["kind"].value = "constant"
    for start, v_init in ("0", 0.0), ("half the threshold", 0.5):
        panel.controls["start"].value = start
        records = converted(cnn, v_init)(direct(some(31).images.unsqueeze(1) / 255, 13))
        for step in 1, 7, 13:
            panel.controls["step"].value = step
            left = records[-1].membrane[step - 1] - records[-1].spikes[step - 1]
            answers = (records[-1].spikes[:step].sum(0) + left / 100).argmax(-1)  # a tie goes to the fullest
            share = (answers == some(31).labels).double().mean()
            spikes = sum(record.spikes[:step].sum() for record in records) / 31
            assert f"after {step} step" in panel.headline.value and f": {share:.1%} right" in panel.headline.value
            assert f"{spikes:,.0f} spikes an image" in panel.headline.value
            assert int(sum(float(text.get_text()) for text in panel.axes["confusion"].texts)) == 31


def test_activation_explorer(cnn, drive):
    panel = widgets.activation_explorer(cnn, some(3), longest=23)
    drive(panel)
    images = data.mnist(train=True, root="bundled").images[:500].unsqueeze(1) / 255
    balanced, x = conversion.normalize(cnn, images), some(3).images[1:2].unsqueeze(1) / 255
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
    curves = [slow, quick, slow, low]
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
    ],
)
def test_percentile_explorer(surface, scale, start, step, words):
    panel = percentile_explorer(surface)
    for control, value in dict(scale=scale, start=start, step=step).items():
        panel.controls[control].value = value
    assert re.search(words, panel.headline.value), panel.headline.value
    assert "1,234 test digits for four of 4 scales" in panel.sentence


def test_percentile_explorer_moves(surface, drive):
    drive(percentile_explorer(surface))


def test_the_recorded_surface_is_what_the_tool_records(cnn):
    import record_surface

    digits = some(17)
    got = record_surface.record(cnn, digits.images.unsqueeze(1) / 255, digits, steps=7)
    again = json.loads(json.dumps(got))
    assert percentile_explorer(again).headline.value
    place = got["scales"].index("largest / 2")
    half = conversion.normalize(cnn, digits.images.unsqueeze(1) / 255, 100)
    half[0].weight.data.mul_(2)
    wanted = conversion.simulate(conversion.to_snn(half, v_init=0.0), digits, 7)
    assert got["accuracy"][0][place] == wanted.accuracy().tolist()
    assert got["spikes_per_image"][0][place][-1] == pytest.approx(wanted.spikes.sum().item() / 17, abs=0.1)
    assert {len(starts) for starts in got["accuracy"]} == {len(got["scales"])} == {10}


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


def own_scale_only(weights, activations):
    return [W / a.max() for W, a in zip(weights, activations, strict=True)]


def upside_down(weights, activations):
    scales = [1.0, *(a.max() for a in activations)]
    return [W * scales[i + 1] / scales[i] for i, W in enumerate(weights)]


@pytest.mark.parametrize(
    "answer, words",
    [
        (own_scale_only, "divided by its own scale only"),
        (upside_down, "the wrong way round"),
        (lambda weights, activations: weights, "weights of layer 1 of 2 first differs at"),
        (lambda weights, activations: weights[0], "wanted a list of 2 weight tensors, one a layer, got Tensor"),
        (lambda weights, activations: weights[:1], "got list of 1"),
        (lambda weights, activations: [w.T for w in weights], r"should have shape \[7, 5\], got \[5, 7\]"),
        (lambda weights, activations: [1, 2], r"should have shape"),
        (lambda weights, activations: activations.max(), "your function raised AttributeError"),
    ],
)
def test_07_1_balance(refused, answer, words):
    refused("07.1", answer, words)


@pytest.mark.parametrize("answer, words", [(100, "from V_0 = 0"), (49, "too small"), (51, "too large"), ([50], "list")])
def test_07_2_error_bound(refused, answer, words):
    refused("07.2", answer, words)


def has_bias(layer):
    return getattr(layer, "bias", None) is not None


@pytest.mark.parametrize(
    "answer, words",
    [
        (
            lambda cnn: [i for i, m in enumerate(cnn) if isinstance(m, nn.MaxPool2d | nn.Sigmoid | nn.Tanh)],
            "one with a bias: position 0, Conv2d, cannot be converted .*unless it is told not to",
        ),
        (lambda cnn: [i for i, m in enumerate(cnn) if has_bias(m)], "a max-pooled one: position 2, MaxPool2d"),
        (
            lambda cnn: [i for i, m in enumerate(cnn) if not isinstance(m, nn.Conv2d | nn.Linear | nn.ReLU)],
            "a network that is fine: you object to position 2, AvgPool2d",
        ),
        (lambda cnn: [7], "position 7, which is not there"),
        (lambda cnn: True, "wanted a list of positions"),
        (lambda cnn: ["MaxPool2d"], "wanted a list of positions"),
    ],
)
def test_07_3_diagnose(refused, answer, words):
    refused("07.3", answer, words)


def needed(accuracy, cnn, offset=2, never=0):
    low = (accuracy < cnn - 0.005).nonzero().flatten()
    steps = low[-1].item() + offset if len(low) else 1
    return steps if steps <= len(accuracy) else never


def from_the_end(accuracy, cnn):
    return ((accuracy - accuracy[-1]).abs() > 0.005).nonzero().flatten()[-1].item() + 2


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda accuracy, cnn: needed(accuracy, cnn, offset=1), "is the index of the entry"),
        (lambda accuracy, cnn: needed(accuracy, cnn, never=len(accuracy)), "never gets there: return 0"),
        (from_the_end, "compare with the accuracy of the CNN"),
        (lambda accuracy, cnn: 3, "number of steps for a curve of 19: yours 3"),
    ],
)
def test_07_4_steps(refused, answer, words):
    refused("07.4", answer, words)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda a, steps, v0: (steps * a).floor().clamp(0, steps), "right for V_0 = 0; with V_0 = 0.5"),
        (lambda a, steps, v0: (v0 + steps * a).clamp(0, steps), "whole numbers: only full thresholds"),
        (lambda a, steps, v0: (v0 + steps * a).floor().clamp(max=steps), "a negative current fires no spikes"),
        (lambda a, steps, v0: (v0 + steps * a).floor().clamp(min=0), "one spike a step is the most"),
        (lambda a, steps, v0: (v0 + steps * a).floor().clamp(0, steps) / steps, "these are rates"),
        (lambda a, steps, v0: (v0 + steps * a).ceil().clamp(0, steps), "number of spikes in 7 steps from V_0 = 0.0"),
        (lambda a, steps, v0: 3, r"should have shape \[53\], got \[\]"),
    ],
)
def test_07_5_count(refused, answer, words):
    refused("07.5", answer, words)
