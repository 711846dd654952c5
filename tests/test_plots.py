"""One contract for all plots: draw on the Axes given, return it, alter nothing else."""

import copy
import inspect

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from snn_helpers import plots
from snn_helpers.neurons import Record, lif

torch.manual_seed(0)
TRACE = lif(torch.rand(23) * 0.4, beta=0.9)
SPIKES = (torch.rand(23, 7) < 0.3).float()
# the arguments of each verb, by its name; a new verb needs a line here
DATA = {
    "image": (torch.rand(1, 28, 28),),
    "signed_image": (torch.randn(28, 28),),
    "spike_map": ((torch.rand(11, 1, 28, 28) < 0.3).float(),),
    "raster": (SPIKES,),
    "current": (torch.rand(23),),
    "membrane": (TRACE,),
    "heatmap": (torch.randn(23, 7),),
    "bars": (torch.rand(10),),
    "tally": (torch.randint(0, 9, (53,)),),
    "confusion": (torch.randint(0, 9, (10, 10)),),
    "history": ([0.5, 0.4, 0.3, 0.2],),
    "spread": (torch.rand(3, 11),),
    "tiles": (torch.randn(7, 3, 5),),
}
NOT_VERBS = {"use_style", "show", "publish", "png"}


def verbs():
    public = {name for name, f in inspect.getmembers(plots, inspect.isfunction) if f.__module__ == plots.__name__}
    return sorted(name for name in public - NOT_VERBS if not name.startswith("_"))


def test_every_verb_is_held_to_the_contract():
    assert set(verbs()) == set(DATA)


@pytest.mark.parametrize("name", verbs())
def test_a_verb_draws_on_its_axes_and_alters_nothing(name):
    draw, data = getattr(plots, name), DATA[name]
    before = copy.deepcopy(data)
    figure = Figure()
    ax, other = figure.subplots(1, 2)
    state, open_figures = torch.get_rng_state(), plt.get_fignums()
    assert draw(*data, ax) is ax
    assert ax.has_data() and not other.has_data()
    assert figure.axes == [ax, other]
    assert plt.get_fignums() == open_figures
    assert torch.equal(torch.get_rng_state(), state)
    for part, kept in zip(data, before, strict=True):
        torch.testing.assert_close(part, kept, rtol=0, atol=0)
    image = plots.png(figure)
    assert image.startswith(b"\x89PNG") and image == plots.png(figure)


@pytest.mark.parametrize("name", verbs())
def test_a_verb_opens_one_figure_of_its_own_without_an_axes(name):
    plt.close("all")
    ax = getattr(plots, name)(*DATA[name])
    assert plt.get_fignums() == [ax.figure.number]


@pytest.mark.parametrize("name", verbs())
def test_a_verb_takes_numpy_and_tensors_that_need_a_gradient(name):
    for convert in np.asarray, lambda x: torch.as_tensor(x).float().requires_grad_():
        data = copy.deepcopy(DATA[name])
        data = [Record(*map(convert, part)) if isinstance(part, Record) else convert(part) for part in data]
        assert getattr(plots, name)(*data, Figure().subplots()).has_data()


def marks(ax):
    return {(int(x), int(y)) for x, y in ax.lines[0].get_xydata()}


def test_a_raster_has_a_mark_for_each_spike_and_no_other():
    ax = plots.raster(SPIKES, Figure().subplots())
    assert marks(ax) == {tuple(place) for place in SPIKES.nonzero().tolist()}


def test_neurons_of_a_raster_are_counted_downwards_as_in_a_heatmap():
    (bottom, top), (left, right) = (getattr(plots.raster(SPIKES, Figure().subplots()), f"get_{x}lim")() for x in "yx")
    assert (bottom, top, left, right) == (6.5, -0.5, -0.5, 22.5)


def test_a_current_holds_around_its_step():
    line = plots.current(torch.rand(23), Figure().subplots()).lines[0]
    assert line.get_drawstyle() == "steps-mid" and line.get_xdata().tolist() == list(range(23))


def test_a_membrane_is_drawn_as_recorded_with_a_mark_a_spike():
    ax = plots.membrane(TRACE, Figure().subplots(), threshold=1.0)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), TRACE.membrane)
    assert ax.lines[2].get_xdata().tolist() == TRACE.spikes.nonzero().flatten().tolist() != []


def test_a_membrane_of_several_neurons_is_refused():
    """Their spikes would be marked at the place in the flat array."""
    with pytest.raises(ValueError, match=r"membrane: wanted the Record of one neuron, \[T\], got \[23, 7\]"):
        plots.membrane(Record(SPIKES, SPIKES), Figure().subplots())


@pytest.mark.parametrize("threshold", [0.5, 2.5])
def test_a_membranes_threshold_is_where_it_is_said_to_be(threshold):
    ax = plots.membrane(TRACE, Figure().subplots(), threshold=threshold)
    assert set(ax.lines[1].get_ydata()) == {threshold}
    assert ax.lines[2].get_ydata().min() > max(threshold, TRACE.membrane.max()) and ax.get_ylim()[1] > threshold


def test_a_tally_is_the_share_of_each_number_and_refuses_what_is_none():
    heights, edges, _ = plots.tally(torch.tensor([3, 1, 3, 0]), Figure().subplots()).patches[0].get_data()
    assert heights.tolist() == [0.25, 0.25, 0, 0.5] and edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
    for wrong in 0.5, -1.0, float("nan"):
        with pytest.raises(ValueError, match="tally: wanted whole numbers of at least 0"):
            plots.tally(torch.tensor([1.0, wrong]), Figure().subplots())


def test_bars_stand_at_their_class_and_one_of_them_is_highlighted():
    ax = plots.bars([3.0, 1.0, 2.0], Figure().subplots(), highlight=1)
    usual, chosen = (patch.get_data() for patch in ax.patches)
    np.testing.assert_array_equal(usual.values[::2], [3, np.nan, 2])
    np.testing.assert_array_equal(chosen.values[::2], [np.nan, 1, np.nan])
    assert (ax.patches[1].get_hatch(), ax.patches[0].get_hatch()) == ("//", None)


def test_a_confusion_has_the_digits_as_rows_each_a_share_of_its_class():
    counts = np.array([[8, 2], [0, 5]])
    ax = plots.confusion(counts, Figure().subplots())
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.8, 0.2], [0, 1]])
    assert {(text.get_position(), text.get_text()) for text in ax.texts} == {
        ((0, 0), "8"),
        ((1, 0), "2"),
        ((1, 1), "5"),
    }
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("answer", "digit")
    assert ax.images[0].norm(0.001) >= 0.1, "one error in a thousand does not have the colour of none"
    assert [text.get_color() for text in ax.texts] == ["black", "black", "black"]  # 0.2 is bright by now


def test_a_history_has_its_running_mean_where_the_batches_are():
    loss = np.arange(90.0)  # a straight line is its own running mean, one batch later
    ax = plots.history(loss, Figure().subplots())
    x, mean = ax.lines[1].get_data()
    assert len(mean) == 88 and x[-1] == 89
    np.testing.assert_allclose(mean, x - 1)


def test_a_spread_is_the_mean_within_the_smallest_and_the_largest():
    curves = np.array([[1.0, 5, 3], [3, 1, 3], [2, 3, 6]])
    ax = plots.spread(curves, Figure().subplots(), x=[10, 20, 30])
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 2], [20, 3], [30, 4]])
    band = {(x, y) for x, y in ax.collections[0].get_paths()[0].vertices.tolist()}
    assert {(10, 1), (10, 3), (20, 1), (20, 5), (30, 3), (30, 6)} <= band


def test_tiles_are_read_row_by_row_with_a_gap_between():
    maps = np.arange(5)[:, None, None] + np.zeros((5, 2, 3))
    picture = plots.tiles(maps, Figure().subplots(), columns=3).images[0].get_array().filled(-1)
    assert picture.shape == (5, 11)
    assert picture[0].tolist() == [0, 0, 0, -1, 1, 1, 1, -1, 2, 2, 2]
    assert picture[3].tolist() == [3, 3, 3, -1, 4, 4, 4, -1, -1, -1, -1] and (picture[2] == -1).all()


@pytest.mark.parametrize("pixels, top", [(np.full((28, 28), 9, np.uint8), 255), (np.full((28, 28), 0.3), 1.0)])
def test_an_images_white_is_that_of_its_kind_of_pixels(pixels, top):
    assert plots.image(pixels, Figure().subplots()).images[0].get_clim() == (0, top)


def test_a_signed_image_is_white_at_zero():
    low, high = plots.signed_image(np.linspace(-1, 3, 784).reshape(28, 28), Figure().subplots()).images[0].get_clim()
    assert low == -high and 2.8 < high < 2.9  # 97 % of the absolute values are under it


def test_a_heatmap_shows_neurons_as_rows_and_outlines_the_cells_above_the_threshold():
    values = np.zeros((7, 3))  # steps, neurons
    values[2, 0] = values[2, 1] = values[5, 2] = 1
    ax = plots.heatmap(values, Figure().subplots(), threshold=0.5)
    np.testing.assert_allclose(ax.images[0].get_array(), values.T)
    edges = {tuple(map(tuple, segment)) for lines in ax.collections for segment in lines.get_segments()}
    pair = {((x, y), (x, y + 1)) for x in (1.5, 2.5) for y in (-0.5, 0.5)} | {((1.5, y), (2.5, y)) for y in (-0.5, 1.5)}
    single = {((x, 1.5), (x, 2.5)) for x in (4.5, 5.5)} | {((4.5, y), (5.5, y)) for y in (1.5, 2.5)}
    assert edges == pair | single
    quiet = plots.heatmap(values, Figure().subplots(), threshold=99)
    assert not any(len(lines.get_segments()) for lines in quiet.collections)


def test_a_spike_map_is_the_rate():
    ax = plots.spike_map(DATA["spike_map"][0], Figure().subplots())
    np.testing.assert_allclose(ax.images[0].get_array(), DATA["spike_map"][0].mean(0)[0])


def test_show_publishes_the_picture_with_its_sentence_twice_and_closes_it(monkeypatch):
    published = []
    monkeypatch.setattr(plots, "display", lambda data, raw, metadata=None: published.append((data, metadata)))
    ax = plots.bars([1, 2, 3])
    plots.show(ax, "Three bars.")
    (picture, metadata), (sentence, _) = published
    assert picture["image/png"].startswith(b"\x89PNG") and metadata["image/png"]["alt"] == "Three bars."
    assert sentence["text/markdown"] == "*Three bars.*"
    assert not plt.get_fignums()


def test_colours_are_okabe_and_itos():
    okabe_ito = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "black"}
    assert set(plots.COLORS.values()) <= okabe_ito and len(set(plots.COLORS.values())) == len(plots.COLORS)


def test_a_history_labels_accuracies_where_there_is_room_and_always_the_last():
    steps = [1, 51, 60, 101, 151, 200]
    ax = plots.history([0.5] * 200, Figure().subplots(), accuracy=[0.1, 0.2, 0.25, 0.3, 0.4, 0.5], test_step=steps)
    assert [text.get_text().strip() for text in ax.texts] == ["50.0%", "40.0%", "30.0%", "25.0%"]
    assert len(ax.lines) == 2 + len(steps)
