"""Notebook 01: its two explorers and its exercises."""

import math
import re

import pytest
import torch

from snn_helpers import data, encoding, plots, widgets
from snn_helpers.exercises import grade
from snn_helpers.widgets.encoding import binomial, expected_rmse


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def binomial_chance(k, n, p):
    return math.comb(n, int(k)) * p ** int(k) * (1 - p) ** (n - int(k))


def numbers(panel):
    return [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\.?\d*", panel.headline.value)]


@pytest.mark.parametrize("name", ["poisson_explorer", "pixel_explorer"])
def test_every_position_of_the_controls_draws(name, drive):
    drive(getattr(widgets, name)(), most=12)


@pytest.mark.parametrize("name", ["poisson_explorer", "pixel_explorer"])
def test_the_strip_and_its_sentence(name):
    panel = getattr(widgets, name)()
    figure = panel.strip()
    assert len(figure.axes) >= 9 and all(ax.has_data() for ax in figure.axes)
    assert plots.png(figure) == plots.png(panel.strip()), "the strip differs from one time to the next"
    assert len(panel.sentence) > 40


@pytest.mark.parametrize(
    "digit, gain, steps, seed", [(4, 1.0, 64, 0), (0, 0.25, 7, 3), (7, 2.0, 256, 11), (1, 1.0, 1, 20)]
)
def test_the_digits_headline_is_the_error_and_what_it_should_be(digit, gain, steps, seed):
    digits = data.mnist(train=False, root="bundled")
    panel = widgets.poisson_explorer(digits)
    for control, value in zip(panel.controls.values(), (digit, gain, steps, seed), strict=True):
        control.value = value
    image = next(i for i, label in zip(digits.images, digits.labels, strict=True) if label == digit).double() / 255
    error, expected, shown_steps, spikes = numbers(panel)
    assert shown_steps == steps
    # computed from its own formula: each pixel's squared bias and variance
    p = (image * gain).clamp(max=1)
    variance = sum(
        q * (1 - q) / steps / gain**2 + (q / gain - x) ** 2 for q, x in zip(p.flatten(), image.flatten(), strict=True)
    )
    assert expected == pytest.approx(float(variance / 784) ** 0.5, abs=6e-4)
    spread = float((p * (1 - p)).sum() * steps) ** 0.5
    assert abs(spikes - p.sum() * steps) < 5 * spread
    assert error == pytest.approx(expected, rel=0.35), "the error met is far from the expected one"


def test_a_digits_spikes_stay_when_t_moves():
    panel = widgets.poisson_explorer()
    counts = []
    for steps in 1, 2, 100, 101, 256, 255, 100, 2, 1:
        panel.controls["steps"].value = steps
        counts.append(numbers(panel)[-1])
    assert counts[:3] == counts[:-4:-1] and counts == sorted(counts[:5]) + sorted(counts[5:], reverse=True)


@pytest.mark.parametrize("value, steps", [(0.3, 100), (0.01, 7), (0.99, 53), (0.0, 11), (1.0, 13)])
def test_the_pixels_headline(value, steps):
    panel = widgets.pixel_explorer()
    panel.controls["value"].value, panel.controls["steps"].value = value, steps
    count, shown_steps, mean, spread = numbers(panel)
    assert shown_steps == steps and count <= steps
    chances = [(k, binomial_chance(k, steps, value)) for k in range(steps + 1)]
    assert mean == pytest.approx(sum(k * c for k, c in chances), abs=0.051)
    assert spread == pytest.approx(sum((k - steps * value) ** 2 * c for k, c in chances) ** 0.5, abs=0.051)
    assert abs(count - mean) <= 5 * spread + 0.1


def test_the_pixels_bars_follow_their_laws():
    panel = widgets.pixel_explorer()
    panel.controls["seed"].value = 7
    laws = {"count": lambda k: binomial_chance(k, 100, 0.3), "wait": lambda k: 0.3 * 0.7 ** (k - 1) if k > 0 else 0}
    for name, law in laws.items():
        ax = panel.axes[name]
        (points,), (bars,) = ax.lines, ax.patches
        assert points.get_ydata() == pytest.approx([law(k) for k in points.get_xdata()], abs=1e-6)
        share, edges, _ = bars.get_data()
        assert share.sum() == pytest.approx(1)
        # 500 tries, or about 15,000 intervals
        assert max(abs(s - law(k)) for s, k in zip(share, edges[:-1] + 0.5, strict=True)) < (
            0.06 if name == "count" else 0.02
        )


@pytest.mark.parametrize("steps, p", [(1, 0.5), (7, 0.0), (7, 1.0), (97, 0.03), (1009, 0.7)])
def test_binomial_against_exact_whole_numbers(steps, p):
    wanted = [binomial_chance(k, steps, p) for k in range(steps + 1)] + [0, 0]  # more than T is impossible
    assert binomial(range(steps + 3), steps, p) == pytest.approx(wanted, rel=1e-6, abs=1e-12)


def test_expected_rmse_is_what_many_draws_give():
    image = torch.rand(5, 7, generator=seeded(1))
    for gain in 0.4, 1.0, 1.7:
        rates = encoding.poisson(image.expand(3001, 5, 7), 11, gain=gain, generator=seeded(2)).mean(0) / gain
        measured = (rates - image).square().mean().sqrt().item()
        assert expected_rmse(image, 11, gain) == pytest.approx(measured, rel=0.02)


def test_tally():
    ax = plots.tally(torch.tensor([3, 1, 3, 0]), expected=([0, 1], [0.5, 0.5]), label="coin")
    share, edges, _ = ax.patches[0].get_data()
    assert share.tolist() == [0.25, 0.25, 0, 0.5] and edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.5] and ax.get_legend().get_texts()[0].get_text() == "coin"
    assert not plots.tally(torch.tensor([])).patches[0].get_data()[0].any()


def draws(image, steps, generator):
    return torch.rand(steps, *image.shape, generator=generator)


WRONG_POISSON = {
    "1 - x, which is what rand > x": lambda x, t, g: (draws(x, t, g) > x).float(),
    "time as their last axis": lambda x, t, g: (torch.rand(*x.shape, t, generator=g) < x[..., None]).float(),
    r"should give \[13, 3, 5, 7\]": lambda x, t, g: (torch.rand(x.shape, generator=g) < x).float(),
    r"add \.float\(\)": lambda x, t, g: draws(x, t, g) < x,
    "other values came": lambda x, t, g: draws(x, t, g) * x,
    "Hand the generator on": lambda x, t, g: (torch.rand(t, *x.shape) < x).float(),
    "nothing is drawn from the generator": lambda x, t, g: (x > 0.5).float().expand(t, *x.shape),
    "one draw was used for all steps": lambda x, t, g: (
        (torch.rand(x.shape, generator=g) < x).float().expand(t, *x.shape)
    ),
    "fired at a rate of": lambda x, t, g: (torch.randn(t, *x.shape, generator=g) < x).float(),
    "pixels fire together": lambda x, t, g: (torch.rand(t, *[1] * x.ndim, generator=g) < x).float(),
    "a step depends on the one before": lambda x, t, g: (
        (draws(x, t // 2 + 1, g) < x).float().repeat_interleave(2, 0)[:t]
    ),
    r"your function raised .*": lambda x, t, g: (torch.rand(t, generator=g) < x).float(),
    "should be a tensor": lambda x, t, g: (draws(x, t, g) < x).float().tolist(),
}


@pytest.mark.parametrize("words", WRONG_POISSON)
def test_wrong_encoders_are_refused_for_their_reason(words, refused):
    refused("01.1", WRONG_POISSON[words], words)


@pytest.mark.parametrize("shared", [(1, 5, 7), (3, 1, 7), (3, 5, 1)])
def test_a_draw_shared_along_one_axis_is_refused(shared, refused):
    def wrong(x, t, g):
        return (torch.rand(t, *(min(pair) for pair in zip(shared, x.shape, strict=True)), generator=g) < x).float()

    refused("01.1", wrong, "pixels fire together")


@pytest.mark.parametrize(
    "right",
    [
        lambda x, t, g: (draws(x, t, g) < x).float(),
        lambda x, t, g: (draws(x, t, g) <= x).to(torch.float64),
        lambda x, t, g: torch.bernoulli(x.expand(t, *x.shape), generator=g),
        lambda x, t, g: torch.stack([(torch.rand(x.shape, generator=g) < x).float() for _ in range(t)]),
        lambda x, t, g: encoding.poisson(x, t, generator=g),
    ],
)
def test_other_right_encoders_are_accepted(right):
    assert grade("01.1", right).status == "right", grade("01.1", right)


@pytest.mark.parametrize("number, answer, words", [
    ("01.2", 30, "two numbers in brackets"),
    ("01.2", (4.583, 30), "other order"),
    ("01.2", (30, 21), "21 is the variance"),
    ("01.2", (30, 30**0.5), "true Poisson count"),
    ("01.2", (30, 0.0458), "spread of the rate"),
    ("01.2", (0.3, 4.583), "the mean: 0.3 is too small"),
    ("01.2", (30, 5.0), "the standard deviation: 5 is too large"),
    ("01.3", 10, "square root of T"),
    ("01.3", 5, "squared before"),
    ("01.3", 25, "the deviation is 0.1"),
    ("01.3", 200, "0.25 and not 0.5"),
    ("01.3", 99, "too small"),
    ("01.3", 101, "too large"),
    ("01.4", lambda s: s.mean(0), "the negative of the image"),
    ("01.4", lambda s: 1 - s, "still spikes"),
    ("01.4", lambda s: 1 - s.mean(), "one number for the whole"),
    ("01.4", lambda s: 1 - s.mean(1), "rows of the image"),
    ("01.4", lambda s: 1 - s.mean(-1), "columns of the image"),
    ("01.4", lambda s: 1 - s.sum(0), "counts the spikes"),
    ("01.4", lambda s: s.mean(0) ** 2, "first differs"),
    ("01.4", lambda s: 1 - s.zero_(), "changed the spikes"),
    ("01.5", lambda x: x.clamp(0, 1), "clamping alone"),
    ("01.5", lambda x: (x - x.min()) / (x.max() - x.min()), "stretches"),
    ("01.5", lambda x: (x + 0.1307) * 0.3081, "the order is wrong"),
    ("01.5", lambda x: x * 0.3081, "the mean is not"),
    ("01.5", lambda x: x + 0.1307, "division by the deviation is not undone"),
    ("01.5", torch.sigmoid, "a sigmoid"),
    ("01.5", torch.abs, "absolute value"),
    ("01.5", lambda x: x * 0.3081 + 0.1307, "a hair above 1"),
    ("01.5", lambda x: x.mul_(0.3081).add_(0.1307), "in place"),
    ("01.5", lambda x: x * 0.3 + 0.13, "first differs"),
])  # fmt: skip
def test_typical_wrong_answers_are_refused_for_their_reason(number, answer, words, refused):
    refused(number, answer, words)


def test_rounded_answers_are_right():
    for number, answer in ("01.2", (30, 4.6)), ("01.2", [30.0, 4.58]), ("01.3", 100.0):
        assert grade(number, answer).status == "right", grade(number, answer)
