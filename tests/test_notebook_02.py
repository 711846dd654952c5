"""Notebook 02: its four explorers, held to computations of their own."""

import math
import re

import pytest
import torch

from snn_helpers import widgets
from snn_helpers.conventions import PRESETS, simulate
from snn_helpers.neurons import beta_from_tau, lif
from snn_helpers.widgets.neuron import charge, hidden_neuron

EXPLORERS = ["lif_explorer", "euler_explorer", "mystery_explorer", "convention_explorer"]


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


def test_the_playground_is_linked_to_its_controls_and_starts_where_they_do():
    explorer = widgets.lif_explorer()
    found = {link.target[1]: link.source for link in explorer.links if link.target[0] is explorer.canvas}
    assert set(found) == set(explorer.controls)
    for name, (control, trait) in found.items():
        assert control is explorer.controls[name] and getattr(control, trait) == getattr(explorer.canvas, name)


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
    steps = range(int(60 / dt) + 1)
    assert error == pytest.approx(max(abs(math.exp(-n * dt / 10) - (1 - dt / 10) ** n) for n in steps), rel=5e-3)


@pytest.mark.parametrize("number", range(1, 10))
def test_a_hidden_neuron_can_be_found_and_is_only_found_within_ten_per_cent(number):
    tau, threshold = hidden_neuron(number)
    assert (tau, threshold) == hidden_neuron(number) and 4 <= tau <= 30 and 0.6 <= threshold <= 1.8
    panel = widgets.mystery_explorer()
    near = dict(tau=round(2 * tau) / 2, threshold=round(50 * threshold) / 50)
    assert f"FOUND: tau {tau:g}, threshold {threshold:g}" in headline(panel, number=number, **near)
    assert "FOUND" not in headline(panel, tau=min(40.0, near["tau"] * 1.2))
    assert "FOUND" not in headline(panel, tau=near["tau"], threshold=near["threshold"] * 0.85)
    assert f"{threshold:g}" not in re.sub(r"\d+ spikes.*differ", "", panel.headline.value), "it gives the answer away"


def test_the_two_experiments_that_the_notebook_hints_at_find_it():
    tau, threshold = hidden_neuron(1)
    sizes = torch.arange(201) / 100  # the slider's positions, all at once
    spikes = lif(sizes.expand(400, -1), beta=beta_from_tau(tau), threshold=threshold).spikes
    at_once, at_all = sizes[spikes[0] > 0].min().item(), sizes[spikes.any(0)].min().item()
    assert at_once == pytest.approx(threshold, abs=0.011)
    assert -1 / math.log(1 - at_all / at_once) == pytest.approx(tau, rel=0.1)


def test_the_switchboard_counts_the_steps_that_differ():
    panel = widgets.convention_explorer()
    assert "snnTorch" in headline(panel, preset="snnTorch", kind="constant", size=1.0)
    assert "0 of 60 steps differ" in panel.headline.value
    text = headline(panel, preset="SpikingJelly", kind="constant", size=1.5, tau=5.0)
    a, b = (simulate(torch.full((60,), 1.5), PRESETS[name], tau=5.0).spikes for name in ("snnTorch", "SpikingJelly"))
    assert f"snnTorch {a.sum():.0f} spikes, SpikingJelly {b.sum():.0f} · {(a != b).sum()} of 60 steps differ" in text
    assert (a != b).any()


def test_a_flipped_switch_turns_one_library_into_another():
    panel = widgets.convention_explorer()
    assert "Norse = Euler" in headline(panel, preset="SpikingJelly", fires=">")
    text = headline(
        panel, preset="SpikingJelly", decay="exact", input="full", reset="subtract", when="next step", fires=">"
    )
    assert "0 of 60 steps differ" in text and "snnTorch = exact beta, full input, reset minus the threshold" in text
    assert "your own" in headline(panel, reset="zero")
