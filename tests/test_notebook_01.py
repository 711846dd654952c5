"""Notebook 01: its two explorers."""

import math
import re

import pytest
import torch

from snn_helpers import data, encoding, plots, widgets
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


@pytest.mark.parametrize(
    "name, how", [("poisson_explorer", {}), ("poisson_explorer", {"error": True}), ("pixel_explorer", {})]
)
def test_the_strip_and_its_sentence(name, how):
    panel = getattr(widgets, name)(**how)
    figure = panel.strip()
    assert len(figure.axes) >= 9 and all(ax.has_data() for ax in figure.axes)
    assert plots.png(figure) == plots.png(panel.strip()), "the strip differs from one time to the next"
    assert len(panel.sentence) > 40


@pytest.mark.parametrize(
    "digit, gain, steps, seed", [(4, 1.0, 64, 0), (0, 0.25, 7, 3), (7, 2.0, 256, 11), (1, 1.0, 1, 20)]
)
def test_the_digits_headline_is_the_error_and_what_it_should_be(digit, gain, steps, seed):
    digits = data.mnist(train=False, root="bundled")
    panel = widgets.poisson_explorer(digits, error=True)
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


def test_before_the_error_is_guessed_the_explorer_does_not_tell_it():
    panel = widgets.poisson_explorer()
    panel.controls["steps"].value = 7
    assert re.search(r"<b>T = 7 steps, [\d,]+ spikes</b>", panel.headline.value)
    told = [text.get_text() for ax in panel.strip().axes for text in (ax.title, ax.xaxis.label, ax.yaxis.label)]
    told += [ax.get_title(loc="left") for ax in panel.strip().axes]
    assert "RMSE" not in " ".join([*told, panel.sentence]) and any("gain 0.25" in text for text in told)


def test_a_digits_spikes_stay_when_t_moves():
    panel = widgets.poisson_explorer()
    counts = []
    for steps in 1, 2, 100, 101, 256, 255, 100, 2, 1:
        panel.controls["steps"].value = steps
        counts.append(numbers(panel)[-1])
    assert counts[:3] == counts[:-4:-1] and counts == sorted(counts[:5]) + sorted(counts[5:], reverse=True)


@pytest.mark.parametrize(
    "digit, row, column, steps", [(4, 13, 3, 100), (4, 10, 21, 7), (0, 14, 7, 53), (9, 27, 27, 11), (1, 14, 14, 200)]
)
def test_the_pixels_headline(digit, row, column, steps):
    panel = widgets.pixel_explorer()
    for name, value in ("digit", digit), ("row", row), ("column", column), ("steps", steps):
        panel.controls[name].value = value
    digits = data.mnist(root="bundled")
    image = digits.images[digits.labels == digit][0].double() / 255
    value = image[row, column].item()
    if value:
        rank = numbers(panel).pop(2)
        assert (image > value).sum() <= rank < (image >= value).sum()
        assert panel.axes["raster"].lines[1].get_ydata().tolist() == pytest.approx([rank] * len(marks(panel)))
    else:
        assert "black, so not in the raster" in panel.headline.value and len(panel.axes["raster"].lines) == 1
    shown, count, shown_steps, mean, spread = numbers(panel)[-5:]
    assert shown == pytest.approx(value, abs=0.0051) and shown_steps == steps
    spikes = encoding.poisson(image.float(), 256, generator=seeded(0))[:steps, row, column]
    assert count == spikes.sum() and (not value or marks(panel) == spikes.nonzero().flatten().tolist())
    chances = [(k, binomial_chance(k, steps, value)) for k in range(steps + 1)]
    assert mean == pytest.approx(sum(k * c for k, c in chances), abs=0.051)
    assert spread == pytest.approx(sum((k - steps * value) ** 2 * c for k, c in chances) ** 0.5, abs=0.051)
    assert abs(count - mean) <= 5 * spread + 0.1


def marks(panel):
    return panel.axes["raster"].lines[1].get_xdata().tolist()


def test_the_pixels_bars_follow_their_laws():
    panel = widgets.pixel_explorer()
    panel.controls["seed"].value = 7
    p = data.mnist(root="bundled")
    p = p.images[p.labels == 4][0][13, 3].item() / 255
    laws = {"count": lambda k: binomial_chance(k, 100, p), "wait": lambda k: p * (1 - p) ** (k - 1) if k > 0 else 0}
    for name, law in laws.items():
        ax = panel.axes[name]
        points, bars = ax.lines[0], ax.patches[0]
        assert points.get_ydata() == pytest.approx([law(k) for k in points.get_xdata()], abs=1e-6)
        share, edges, _ = bars.get_data()
        assert share.sum() == pytest.approx(1)
        # 500 tries, or about 30,000 intervals
        assert max(abs(s - law(k)) for s, k in zip(share, edges[:-1] + 0.5, strict=True)) < (
            0.06 if name == "count" else 0.02
        )


def test_the_pad_picks_the_pixel():
    panel = widgets.pixel_explorer()
    panel.pad.row, panel.pad.column = 15, 12
    assert "pixel (15, 12), raster row 30: x = 0.94" in panel.headline.value


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
