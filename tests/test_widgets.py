"""Panel, and the explorers of notebooks 00 and 03. Each other notebook's explorers are tested with the notebook."""

import io
import re

import ipywidgets
import numpy as np
import pytest
import torch
from PIL import Image

from snn_helpers import data, losses, networks, plots, widgets
from snn_helpers.encoding import poisson
from snn_helpers.training import History
from snn_helpers.widgets import panel
from snn_helpers.widgets.classifier import verdict


def simple(draw=None, **controls):
    def line(ax, **values):
        ax.plot([0, sum(values.values())])
        return f"the sum is {sum(values.values()):g}"

    controls = controls or {"a": panel.slider("a", 3, 0, 7, 1, unit="ms"), "b": panel.slider("b", 0.5, 0.0, 1.0, 0.1)}
    return widgets.Panel(draw or line, controls, strip=lambda: plots.plt.figure(), sentence="A line.")


def test_a_panel_draws_on_every_move_and_says_the_key_number():
    p = simple()
    assert "the sum is 3.5" in p.headline.value and bytes(p.image.value).startswith(b"\x89PNG")
    before = p.image.value
    p.controls["a"].value = 5
    assert "the sum is 5.5" in p.headline.value and p.image.value != before
    p.controls["a"].value = 3
    assert p.image.value == before, "the same values should give the same picture"


def test_each_slider_has_a_box_of_its_kind_and_a_unit():
    first, second = simple().children[0].children
    assert isinstance(first.children[1], ipywidgets.BoundedIntText) and first.children[0].description == "a [ms]"
    assert isinstance(second.children[1], ipywidgets.BoundedFloatText)
    assert (second.children[1].min, second.children[1].max, second.children[1].value) == (0.0, 1.0, 0.5)


def test_an_error_in_a_callback_is_shown_not_lost():
    def draw(ax, a):
        ax.plot([1, a])
        return f"{1 / a:.2f}"

    p = simple(draw, a=panel.slider("a", 2, 0, 5, 1))
    p.controls["a"].value = 0
    assert "⚠ ZeroDivisionError: division by zero" in p.headline.value
    p.controls["a"].value = 4
    assert "0.25" in p.headline.value and "⚠" not in p.headline.value


def test_markup_in_a_headline_is_text():
    p = simple(lambda ax, a: "<b>5 < 6</b>", a=panel.choice("a", [1, 2]))
    assert "&lt;b&gt;5 &lt; 6" in p.headline.value


def test_a_panel_is_shown_live_with_a_picture_and_a_sentence_for_those_without_a_kernel(monkeypatch):
    shown = []
    monkeypatch.setattr(panel, "display", lambda data, raw, metadata=None: shown.append((data, metadata)))
    simple()._ipython_display_()
    (bundle, metadata), (sentence, _) = shown
    assert "application/vnd.jupyter.widget-view+json" in bundle and bundle["image/png"].startswith(b"\x89PNG")
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == "A line."
    assert sentence["text/markdown"] == "*A line.*"
    assert "application/vnd.jupyter.widget-view+json" in sentence, "live, nothing is said of the saved picture"


def test_wiping_an_axes_leaves_nothing_that_was_drawn():
    ax = plots.plt.figure().subplots()
    plots.heatmap(torch.randn(7, 5), ax, threshold=0.1)
    ax.bar([1, 2], [3, 4], label="bars")
    ax.text(0, 0, "text")
    ax.legend()
    panel._wipe(ax)
    assert not ax.has_data() and not ax.texts and not ax.child_axes and ax.get_legend() is None


@pytest.mark.parametrize("explorer", [widgets.hello_explorer, widgets.vote_explorer])
def test_explorers_over_their_grid(explorer, drive):
    p = explorer()
    drive(p)
    assert plots.png(p.strip()).startswith(b"\x89PNG")


def test_hello_fires_at_the_rate_it_says():
    p = widgets.hello_explorer(steps=40)
    for rate, count in (0.0, 0), (0.25, 10), (1.0, 40):
        p.controls["rate"].value = rate
        assert p.headline.value.count(f"{count} spikes in 40 steps")
        marks = p.axes.lines[0].get_xdata()
        assert len(marks) == count


def test_the_vote_is_the_networks():
    torch.manual_seed(0)
    net = networks.single_layer()
    digits = data.mnist(train=False, root="bundled")
    p = widgets.vote_explorer(net, digits, steps=11)
    for index, seed, until in (3, 2, 11), (5, 0, 4), (17, 1, 1):
        for name, value in ("index", index), ("seed", seed), ("until", until):
            p.controls[name].value = value
        image = data.pixels(digits.images[index])[None]
        spikes = poisson(image, 11, generator=torch.Generator().manual_seed(seed))[:until]
        counts = losses.spike_count(net(spikes)[-1])[0]
        assert f"after {until} steps" in p.headline.value
        assert f" {counts.max():.0f} spikes" in p.headline.value or not counts.any()
        leaders = (counts == counts.max()).nonzero().flatten().tolist()
        assert " and ".join(map(str, leaders)) in p.headline.value or not counts.any()


@pytest.mark.parametrize(
    "counts, words",
    [
        ([0, 0, 0], "nobody has fired, so there is no vote"),
        ([4, 1, 4], "0 and 2 tie with 4 spikes each"),
        ([1, 5, 0], r"1 leads with 5 spikes, 0 follows with 1 \(right"),
        ([9, 5, 0], r"0 leads with 9 spikes, 1 follows with 5 \(wrong"),
        ([0, 1, 0], r"1 leads with 1 spike, no other has fired \(right"),
    ],
)
def test_verdicts(counts, words):
    assert re.search(words, verdict(torch.tensor(counts).float(), 9, 1))


def test_a_live_history_redraws_at_most_twice_a_second(monkeypatch):
    from snn_helpers.widgets import live

    clock = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    picture = widgets.LiveHistory()
    picture(History(loss=[1.0, 0.5]))
    first = picture.value
    assert bytes(first).startswith(b"\x89PNG")
    picture(History(loss=[1.0, 0.5, 0.2]))
    assert picture.value == first
    clock[0] += 0.6
    picture(History(loss=[1.0, 0.5, 0.2], test_accuracy=[0.7], test_step=[3]))
    assert picture.value != first


def test_slider_and_box_move_each_other():
    p = simple()
    slider, box = p.children[0].children[1].children
    slider.value = 0.30000000000000004
    assert box.value == 0.3 and "the sum is 3.3" in p.headline.value
    box.value = 0.7
    assert slider.value == 0.7 and "the sum is 3.7" in p.headline.value


@pytest.mark.parametrize("explorer", [widgets.poisson_explorer, widgets.pixel_explorer, widgets.convention_explorer])
def test_a_picture_redrawn_in_part_is_the_whole_picture(explorer):
    """Ticks kept from earlier moves, limits that move and stay: the same pixels as a full drawing, but for edges."""
    p = explorer()
    for control in p.controls.values():
        if isinstance(control, ipywidgets.Dropdown):
            control.index = len(control.options) - 1
        else:
            control.value = control.max
        shown, whole = (
            np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
            for png in (p.image.value, plots.png(p.figure, live=True))
        )
        assert shown.shape == whole.shape and whole.min() == 0
        assert np.abs(shown - whole).max() <= 20, "where an axis crosses its ticks, two soft edges lie on each other"
