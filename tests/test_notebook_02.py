"""Notebook 02: its explorers and its game, held to computations of their own."""

import math
import re
import statistics

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from snn_helpers import plots, widgets
from snn_helpers.conventions import PRESETS, SWITCHES, simulate
from snn_helpers.neurons import beta_from_tau, lif
from snn_helpers.widgets import conventions, neuron_pictures
from snn_helpers.widgets.conventions import SIZE, TAU
from snn_helpers.widgets.mystery import KINDS, STEPS, Game, Neuron, hidden_neuron, question, respond, score
from snn_helpers.widgets.neuron import TAUS, WIRINGS, charge, landscape

EXPLORERS = ["lif_explorer", "euler_explorer", "landscape_explorer", "mystery_explorer", "convention_explorer"]


def headline(panel, **values):
    for name, value in values.items():
        panel.controls[name].value = value
    return panel.headline.value


@pytest.mark.parametrize("name", EXPLORERS[1:])  # the first one draws in the browser: tests/browser
def test_every_position_of_the_controls_draws(name, drive):
    drive(getattr(widgets, name)(), most=4)


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_strip_and_its_sentence(name, good_strip):
    good_strip(getattr(widgets, name)())


@pytest.mark.parametrize("plain", [True, False])
def test_the_playground_is_linked_to_its_controls_and_starts_where_they_do(plain):
    explorer = widgets.lif_explorer(plain=plain)
    assert explorer.canvas.plain == plain
    found = {link.target[1]: link.source for link in explorer.links if link.target[0] is explorer.canvas}
    assert set(found) == set(explorer.controls)
    for name, (control, trait) in found.items():
        assert control is explorer.controls[name] and getattr(control, trait) == getattr(explorer.canvas, name)


def test_the_first_strip_shows_what_the_text_beside_it_speaks_of():
    plots.use_style()  # titles to the left
    figure = widgets.lif_explorer(plain=True).strip()
    currents, membranes = figure.axes[:4], figure.axes[4:]
    for above, below in zip(currents, membranes, strict=True):
        current = above.lines[0]
        assert current.get_color() == plots.COLORS["input"] and set(current.get_ydata()) == {np.float32(0.2)}
        trace, threshold, marks = below.lines
        assert trace.get_color() == plots.COLORS["membrane"] and threshold.get_linestyle() == "--"
        assert above.get_title("left").endswith(f": {len(marks.get_xdata())} spikes")
    assert [text.get_text() for text in membranes[0].texts] == ["threshold"]
    counts = [int(ax.get_title("left").split(": ")[1].split()[0]) for ax in currents]
    assert counts[0] == 0 and counts == sorted(set(counts)), "silent, then more often the slower the leak"


def test_no_threshold_is_drawn_before_there_is_one():
    figure = neuron_pictures.charging({"a": torch.arange(5.0), "b": torch.zeros(5)})
    assert [len(ax.lines) for ax in figure.axes] == [1, 1]


def test_charge_is_the_two_rules_step_by_step():
    exact, euler, u, v = *charge(7.0, 2.0, 13), 0.0, 0.0
    for n in range(14):
        assert exact[n] == pytest.approx(u) and euler[n] == pytest.approx(v)
        u = math.exp(-2 / 7) * u + (1 - math.exp(-2 / 7))
        v += 2 / 7 * (1 - v)


@pytest.mark.parametrize(
    "dt, fate", [(5.0, "it settles<"), (15.0, "it overshoots"), (20.0, "never settles"), (24.0, "blows up")]
)
def test_euler_says_what_will_become_of_it(dt, fate):
    text = headline(widgets.euler_explorer(), tau=10.0, dt=dt)
    assert fate in text and f"exact {math.exp(-dt / 10):.3f}, Euler {1 - dt / 10:.3f}" in text
    assert ("refuses" in text) == (dt > 10)
    if dt > 10:
        with pytest.raises(ValueError, match="Euler's step needs dt <= tau"):
            beta_from_tau(10.0, dt, method="euler")
    error = float(re.search(r"largest error ([\d.e+]+)", text)[1])
    steps = range(int(max(60, 10 * dt) / dt) + 1)
    assert error == pytest.approx(max(abs(math.exp(-n * dt / 10) - (1 - dt / 10) ** n) for n in steps), rel=5e-3)


# ---- the landscape


@pytest.mark.parametrize("wiring, gain", [("current per step", lambda b: 1), ("physical current", lambda b: 1 - b)])
def test_the_landscape_is_the_neuron_row_by_row(wiring, gain):
    membranes, spikes = landscape("tau", wiring, 0.2, steps=97)
    same = 1 / gain(math.exp(-0.1))  # of one effect at tau = 10
    for row in (0, 11, 27, 58, 87):
        beta = beta_from_tau(TAUS[row].item())
        record = lif(torch.full((97,), 0.2 * same * gain(beta)), beta=beta)
        assert torch.equal(record.spikes, spikes[:, row])
        torch.testing.assert_close(record.membrane, membranes[:, row], rtol=0, atol=1e-5)


def test_tau_works_one_way_in_one_wiring_and_the_other_way_in_the_other():
    per_step, physical = (landscape("tau", wiring, 0.2, steps=400)[1].sum(0) for wiring in WIRINGS)
    assert (per_step.diff() >= -1).all() and per_step[-1] > 2 * per_step[12]
    firing = physical[TAUS >= 1]
    assert (firing.diff() <= 1).all() and physical[-1] < physical[12] / 2
    tenth = (TAUS - 10).abs().argmin()
    assert TAUS[tenth] == 10 and torch.equal(*(landscape("tau", w, 0.2)[1][:, tenth] for w in WIRINGS))


def test_the_landscape_says_where_it_falls_silent():
    panel = widgets.landscape_explorer()
    for size in (0.15, 0.2, 0.4):
        edge = -1 / math.log(1 - size)
        assert f"silent up to tau = {edge:.2f}" in headline(panel, size=size)
        for factor, fires in (0.999, False), (1.001, True):
            record = lif(torch.full((20_000,), size).double(), beta=beta_from_tau(factor * edge))
            assert record.spikes.any().item() == fires
    text = headline(panel, rows="threshold", size=0.2)
    last, theory = map(float, re.search(r"last that fires: ([\d.]+), in theory ([\d.]+)", text).groups())
    assert theory == pytest.approx(0.2 / (1 - math.exp(-0.1)), abs=0.005) and theory - 0.05 < last <= theory
    assert "all fire: thresholds up to 6.30 would" in headline(panel, size=0.6)
    assert landscape("threshold", WIRINGS[0], 0.6)[1].any(0).all()


# ---- the mystery neuron


def test_a_hidden_neuron_pauses_and_is_the_series_neuron_without_a_pause():
    current = question("constant", 0.4) + 0.3 * torch.rand(200, generator=torch.Generator().manual_seed(1))
    record = lif(current, beta=beta_from_tau(7.0), threshold=1.1, reset="zero")
    got = respond(Neuron(7.0, 1.1, 0), current)
    assert torch.equal(got.spikes, record.spikes)
    torch.testing.assert_close(got.membrane, record.membrane, rtol=0, atol=1e-5)
    gaps = respond(Neuron(10.0, 1.0, 4), question("constant", 0.4)).spikes.nonzero()[:, 0].diff()
    assert set(gaps.tolist()) == {7}, "three steps of charging and a pause of four, as in exercise 02.5"


@pytest.mark.parametrize("kind", KINDS)
def test_every_question_grows_with_its_size(kind):
    one = question(kind, 1.0)
    assert one.max() == 1 and one.min() >= 0 and torch.equal(question(kind, 2.0), 2 * one) and one.shape == (STEPS,)


def test_it_answers_eight_questions_and_the_noise_is_drawn_anew():
    game = Game()
    for n in range(10):
        assert game.left(3) == max(0, 8 - n)
        game.ask(3, "constant", 0.5)
    answers = [spikes for _, _, spikes in game.asked[3]]
    assert len(answers) == 8 and len({tuple(spikes.tolist()) for spikes in answers}) > 1
    again = Game()
    again.ask(3, "constant", 0.5)
    assert torch.equal(again.asked[3][0][2], answers[0]), "the same game for everybody"
    assert game.left(4) == 8


def test_one_answer_after_a_question_and_no_more():
    game, hidden, wrong = Game(), hidden_neuron(2), Neuron(2.0, 0.4, 8)
    game.answer(2, wrong)
    assert 2 not in game.scores, "nothing was asked"
    game.ask(2, "constant", 0.5)
    game.answer(2, hidden)
    game.answer(2, wrong)
    assert game.scores == {2: (hidden, 100)}
    game.ask(2, "constant", 0.5)
    assert game.left(2) == 7, "it is over"


@pytest.mark.parametrize(
    "yours, left, points",
    [
        (Neuron(10.0, 1.0, 3), 7, 100),
        (Neuron(10.0, 1.0, 3), 0, 90),
        (Neuron(12.5, 1.0, 3), 0, 70),
        (Neuron(10.0, 0.75, 3), 0, 75),
        (Neuron(10.0, 1.0, 1), 0, 80),
        (Neuron(16.0, 2.0, 8), 0, 0),
    ],
)
def test_the_score(yours, left, points):
    assert score(Neuron(10.0, 1.0, 3), yours, left) == points


def test_hidden_neurons_are_where_the_notebook_says_and_differ():
    hidden = [hidden_neuron(number) for number in range(1, 51)]
    assert hidden == [hidden_neuron(number) for number in range(1, 51)] and len(set(hidden)) == 50
    assert all(4 <= tau <= 30 and 0.6 <= threshold <= 1.8 and 0 <= pause <= 6 for tau, threshold, pause in hidden)
    assert {pause for _, _, pause in hidden} == set(range(7))


def by_intervals(number):
    """From constant currents alone, as the notebook hints: an interval less the first time is the pause."""
    game = Game()
    for size in (2.0, 1.0, 0.7, 0.5, 0.4, 0.3, 0.2):
        game.ask(number, "constant", size)
    asked = [(float(current[0]), spikes.nonzero()[:, 0]) for _, current, spikes in game.asked[number]]
    asked = [(size, at[0].item() + 1, at.diff().double().mean().item()) for size, at in asked if len(at) > 1]
    pause = round(statistics.median(gap - first for _, first, gap in asked))

    def off(neuron):
        return sum((gap - pause - reach(size, *neuron)) ** 2 for size, _, gap in asked)

    grid = [(t / 4, h / 50) for t in range(12, 140) for h in range(25, 95)]
    return Neuron(*min(grid, key=off), pause), game.left(number)


def reach(size, tau, threshold):
    """Steps to the threshold from 0, not rounded; the end of the scale where it is never reached."""
    part = 1 - threshold * (1 - math.exp(-1 / tau)) / size
    return 0.5 - tau * math.log(part) if part > 0 else 99.0


@pytest.mark.parametrize("number", [1, 2, 7, 23])
def test_it_can_be_found_from_what_it_answers(number):
    yours, left = by_intervals(number)
    assert score(hidden_neuron(number), yours, left) >= 70, (yours, hidden_neuron(number))


def test_the_game_gives_nothing_away_before_the_answer():
    panel = widgets.mystery_explorer()
    send, done = panel.buttons
    assert done.disabled and not send.disabled
    hidden = hidden_neuron(1)
    for name, value in zip(("tau", "threshold", "pause"), hidden, strict=True):
        panel.controls[name].value = value
    assert "points" not in panel.headline.value and "8 of 8 questions left" in panel.headline.value
    before = panel.image.value
    send.click()
    assert "7 of 8" in panel.headline.value and panel.image.value != before and not done.disabled
    done.click()
    assert f"100 of 100 points: tau {hidden.tau:g} (you said {hidden.tau:g})" in panel.headline.value
    assert send.disabled and done.disabled
    panel.controls["number"].value = 2
    assert "8 of 8" in panel.headline.value and not send.disabled


@pytest.mark.parametrize("size", [0.0, 0.5, 3.0])
def test_the_next_input_stands_on_zero(size):
    axes = Figure().subplots(3)
    Game().draw(axes, 1, "constant", size, 8.0, 1.0, 0)
    low, high = axes[0].get_ylim()
    assert low <= 0 and high > size and -low < high / 10


# ---- the switchboard


def test_the_switchboard_counts_the_steps_that_differ():
    panel = widgets.convention_explorer()
    assert "snnTorch" in headline(panel, preset="snnTorch", kind="constant", size=1.0)
    assert "0 of 60 steps differ" in panel.headline.value
    text = headline(panel, preset="SpikingJelly", kind="constant", size=1.5, tau=5.0)
    a, b = (simulate(torch.full((60,), 1.5), PRESETS[name], tau=5.0).spikes for name in ("snnTorch", "SpikingJelly"))
    assert f"snnTorch {a.sum():.0f} spikes, SpikingJelly {b.sum():.0f} · {(a != b).sum()} of 60 steps differ" in text
    assert (a != b).any()


def flips(base, current, tau):
    """How many steps differ from ``base`` when one switch is flipped, a switch at a time."""
    usual = simulate(current, base, tau=tau).spikes
    for switch, options in SWITCHES.items():
        other = next(option for option in options if option != getattr(base, switch))
        yield switch, int((simulate(current, base._replace(**{switch: other}), tau=tau).spikes != usual).sum())


def test_the_switchboard_starts_where_no_membrane_sits_on_an_edge():
    panel = widgets.convention_explorer()
    assert panel.values() == dict.fromkeys(SWITCHES) | {
        "preset": "snnTorch",
        "kind": "Poisson",
        "size": SIZE,
        "tau": TAU,
    }
    current = conventions._current("Poisson", SIZE)
    for row in PRESETS.values():
        start = dict(flips(row, current, TAU))
        count = simulate(current, row, tau=TAU).spikes.sum()
        for factor in (0.98, 0.99, 1.01, 1.02):
            assert simulate(factor * current, row, tau=TAU).spikes.sum() == count > 0
            if row == PRESETS["snnTorch"]:
                assert dict(flips(row, factor * current, TAU)) == start
    for switch, wanted in flips(PRESETS["snnTorch"], current, TAU):
        for name in SWITCHES:
            panel.controls[name].value = None
        other = next(option for option in SWITCHES[switch] if option != getattr(PRESETS["snnTorch"], switch))
        assert f"{wanted} of 60 steps differ" in headline(panel, **{switch: other})


def test_what_is_saved_below_the_question_of_the_switches_names_none_of_them():
    assert not re.search("beta|scale|input whole|full|reset|subtract", widgets.convention_explorer().sentence)


def test_a_flipped_switch_turns_one_library_into_another():
    panel = widgets.convention_explorer()
    assert "Norse = Euler" in headline(panel, preset="SpikingJelly", fires=">")
    text = headline(
        panel, preset="SpikingJelly", decay="exact", input="full", reset="subtract", when="next step", fires=">"
    )
    assert "0 of 60 steps differ" in text and "snnTorch = exact beta, full input, reset minus the threshold" in text
    assert "your own" in headline(panel, reset="zero")
