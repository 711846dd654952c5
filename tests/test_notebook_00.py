"""Notebook 00: from a pixel to a vote."""

import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from snn_helpers import data, encoding, plots, weights, widgets
from snn_helpers.widgets.basics import CLOSE, PixelPad, part_of_membrane


@pytest.fixture(scope="module")
def net():
    return weights.trained("single-layer", "fast")


@pytest.fixture(scope="module")
def images():
    digits = data.mnist(train=False, root="bundled")
    assert [digits.labels[i] for i in CLOSE] == list(range(10))
    return {k: digits.images[i] for k, i in enumerate(CLOSE)}


def run(net, image, silenced=None):
    """The spikes [50, 784] that the explorer draws for an image, and what the network's neurons do with them."""
    spikes = encoding.poisson(data.pixels(image)[None], 50, generator=torch.Generator().manual_seed(1)).flatten(1)
    if silenced is not None:
        spikes[:, silenced] = 0
    with torch.no_grad():
        record = net(spikes.view(50, 1, 1, 28, 28))[-1]
    return spikes, record.spikes[:, 0], record.membrane[:, 0]


def test_every_position_of_the_controls_draws(drive):
    drive(widgets.journey_explorer(), most=8)


def test_the_strip_and_its_sentence():
    panel = widgets.journey_explorer()
    figure = panel.strip()
    assert len(figure.axes) == 15 and all(ax.has_data() for ax in figure.axes)
    assert plots.png(figure) == plots.png(panel.strip()), "the strip differs from one time to the next"
    assert len(panel.sentence) > 40


@pytest.mark.parametrize("digit", [7, 8])
def test_the_parts_of_all_pixels_are_the_membrane(net, images, digit):
    spikes, fired, membrane = run(net, images[digit])
    weight, lit = net.layers[0][1].weight.detach(), images[digit].flatten().nonzero().flatten().tolist()
    whole = sum(part_of_membrane(spikes[:, i], weight[:, i], fired, net.neuron["beta"]) for i in lit)
    assert fired.any() and torch.allclose(whole, membrane, atol=1e-4)


@pytest.mark.parametrize("digit, row, column", [(9, 6, 16), (9, 5, 15), (3, 14, 14), (0, 0, 0), (7, 9, 13)])
def test_the_headline_is_what_the_network_does(net, images, digit, row, column):
    panel = widgets.journey_explorer()
    for name, value in ("digit", digit), ("row", row), ("column", column):
        panel.controls[name].value = value
    pixel = 28 * row + column
    spikes, fired, _ = run(net, images[digit])
    without = run(net, images[digit], silenced=pixel)[1].sum(0)
    votes, weight = fired.sum(0).numpy(), net.layers[0][1].weight[digit, pixel].item()
    assert f"pixel ({row}, {column}), brightness {images[digit][row, column] / 255:.2f}" in panel.headline.value
    assert (
        f"{spikes[:, pixel].sum():.0f} spikes in 50 steps, each {weight:+.2f} for neuron {digit}:"
        in panel.headline.value
    )
    assert f": {votes[digit]:.0f} votes, {without[digit]:.0f} without this pixel" in panel.headline.value
    assert re.search(rf"answer {votes.argmax()}, without it {without.argmax()}<", panel.headline.value)
    (lines,), (own,), (diamonds,) = (getattr(panel.axes["votes"], kind) for kind in ("collections", "patches", "lines"))
    assert {int(end[1]): end[0] for _, end in lines.get_segments()} | {digit: own.get_width()} == dict(enumerate(votes))
    assert own.get_y() + own.get_height() / 2 == pytest.approx(digit)
    shown = panel.axes["weight"].collections[0].get_segments()
    assert [end[0] for _, end in shown] == pytest.approx(net.layers[0][1].weight[:, pixel].tolist())
    where = {i: count for i, count in enumerate(without.tolist()) if count or votes[i]}
    assert dict(zip(diamonds.get_ydata().tolist(), diamonds.get_xdata().tolist(), strict=True)) == where


def test_every_digit_is_told_right_and_single_pixels_matter(net, images):
    for digit, image in images.items():
        votes = run(net, image)[1].sum(0)
        second = votes.topk(2).values[1] / votes.max()
        assert votes.argmax() == digit and (second > 0.3 or digit == 1), digit
    without_its_bar = run(net, images[9], silenced=28 * 6 + 16)[1].sum(0)
    assert without_its_bar.argmax() == 4


def test_a_picture_redrawn_in_part_is_the_whole_picture():
    panel = widgets.journey_explorer()
    for name, value in ("digit", 0), ("row", 27), ("column", 27), ("digit", 9), ("row", 5), ("column", 15):
        panel.controls[name].value = value
        shown, whole = (
            np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
            for png in (panel.image.value, plots.png(panel.figure, live=True))
        )
        assert shown.shape == whole.shape and np.abs(shown - whole).max() <= 20, name


def test_pad_and_controls_follow_each_other(images):
    panel = widgets.journey_explorer()
    pad = panel.pad
    assert isinstance(pad, PixelPad) and pad.pixels == images[9].numpy().tobytes()
    pad.row, pad.column = 3, 22  # as a click does
    assert (panel.controls["row"].value, panel.controls["column"].value) == (3, 22)
    assert "pixel (3, 22)" in panel.headline.value
    panel.controls["column"].value, panel.controls["digit"].value = 5, 2
    assert (pad.row, pad.column) == (3, 5) and pad.pixels == images[2].numpy().tobytes()
    assert panel.pad in panel.children[2].children, "the pad is not on the page"


NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def new_words():
    """(notebook, word) for each first column of the lessons' tables of new words, without symbols and explanations."""
    for path in sorted(NOTEBOOKS.glob("0[1-9]*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            table = cell.source.lower().partition("new word")[2] if cell.cell_type == "markdown" else ""
            for row in re.findall(r"^\| (.+?) \|", table.partition("|---")[2], re.M):
                yield path.stem[:2], re.split(r" \(|:", re.sub(r"\$.*?\$", "", row))[0]


def test_the_glossary_has_the_new_words_of_every_lesson():
    (glossary,) = (
        cell.source.lower()
        for cell in nbformat.read(NOTEBOOKS / "00_start_here.ipynb", 4).cells
        if cell.source.startswith("## Glossary")
    )
    words, known = list(new_words()), set(re.findall(r"[a-z]+", glossary))
    assert {lesson for lesson, _ in words} == {f"{k:02}" for k in range(1, 9)}
    missing = [(lesson, word) for lesson, word in words if not set(re.findall(r"[a-z]+", word)) <= known]
    assert not missing
