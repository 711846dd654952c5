"""The LIF playground computes in the browser: held to Python's neuron, spike for spike, and driven by keys."""

import math
import random

import pytest
import torch

from snn_helpers import conventions
from snn_helpers.neurons import beta_from_tau, lif
from snn_helpers.widgets import lif_explorer

SETTINGS = 240


def drawn(seed):
    """Settings of the controls, as a reader might leave them."""
    pick = random.Random(seed)
    tau = pick.choice([pick.uniform(1, 50), 10.0])
    return {
        "kind": pick.choice(["constant", "pulse", "Poisson", "two spikes"]),
        "size": round(pick.uniform(0, 2), 2),
        "tau": tau,
        "threshold": round(pick.uniform(0.1, 3), 2),
        "reset": pick.choice(["subtract", "zero", "none"]),
        "dt": round(pick.uniform(0.1, min(5, tau)), 1),
        "method": pick.choice(["exact", "euler"]),
        "seed": pick.randrange(10),
    }


def test_the_browsers_neuron_is_pythons(load):
    settings = [drawn(seed) for seed in range(SETTINGS)]
    found = load("playground").evaluate(
        """(all) => all.map((values) => {
            const beta = module.betaFromTau(values.tau, values.dt, values.method);
            const current = module.inputCurrent(values.kind, values.size, values.seed);
            const {membrane, spikes} = module.simulate(current, {...values, beta});
            return {beta, current: [...current], membrane: [...membrane], spikes: [...spikes]};
        })""",
        settings,
    )
    fired = 0
    for values, got in zip(settings, found, strict=True):
        beta = beta_from_tau(values["tau"], values["dt"], values["method"])
        assert got["beta"] == pytest.approx(beta, abs=1e-15)
        record = lif(
            torch.tensor(got["current"], dtype=torch.float32),
            beta=beta,
            threshold=values["threshold"],
            reset=values["reset"],
        )
        assert record.spikes.tolist() == got["spikes"], values
        torch.testing.assert_close(record.membrane, torch.tensor(got["membrane"]), rtol=0, atol=1e-5)
        fired += record.spikes.any().item()
    assert fired > SETTINGS / 4, "too few of the settings fire to show anything"


def test_the_closed_form_is_pythons(load):
    settings = [values for seed in range(120) if (values := drawn(seed))["reset"] != "none"]
    for values in settings:
        values["beta"] = math.exp(-values["dt"] / values["tau"])
    # Euler's step can be as long as tau: then nothing is left
    settings += [values | {"beta": beta} for values in settings[:30] for beta in (0, 1)]
    found = load("playground").evaluate(
        "(all) => all.map((values) => module.interval(values.size, values).map(String))", settings
    )
    for values, got in zip(settings, found, strict=True):
        wanted = conventions.interval(values["size"], values["beta"], values["threshold"], values["reset"])
        assert [float(x.replace("Infinity", "inf")) for x in got] == pytest.approx(wanted)


def test_poisson_input_follows_its_seed_and_its_rate(load):
    page = load("playground")
    trains = page.evaluate("Array.from({length: 10}, (_, i) => [...module.inputCurrent('Poisson', 1, i)])")
    assert len({tuple(train) for train in trains}) == 10
    assert abs(sum(map(sum, trains)) / 1000 - 0.3) < 4 * math.sqrt(0.21 / 1000)
    assert trains[4] == page.evaluate("[...module.inputCurrent('Poisson', 1, 4)]")


def test_both_sets_of_controls_are_the_same(load):
    table = load("playground").evaluate("module.CONTROLS")
    controls = lif_explorer().controls
    assert list(table) == list(controls)
    for name, row in table.items():
        control = controls[name]
        assert row["label"] == control.description and row["value"] == control.value
        if "options" in row:
            assert tuple(row["options"]) == control.options
        else:
            assert (row["min"], row["max"], row["step"]) == (control.min, control.max, control.step)


def picture(page):
    return page.evaluate("document.querySelector('canvas').toDataURL()")


def test_every_control_answers_to_the_keyboard(load):
    page = load("playground")
    page.select_option("select[name=kind]", "Poisson")  # the seed does nothing to the others
    for name, key in {
        **dict.fromkeys(["size", "tau", "threshold", "dt", "seed"], "ArrowRight"),
        **dict.fromkeys(["reset", "method", "kind"], "ArrowDown"),
    }.items():
        before = picture(page)
        page.focus(f"[name={name}]")
        page.keyboard.press(key)
        assert picture(page) != before, name


def test_a_step_is_read_by_keys_and_by_pointer(load):
    page = load("playground")
    for key in "Shift+ArrowRight", "ArrowLeft", "End", "Home":
        page.focus("canvas")
        page.keyboard.press(key)
    canvas = page.locator("canvas")
    assert canvas.get_attribute("aria-valuenow") == "0"
    page.keyboard.press("Shift+ArrowRight")
    current, beta = 0.2, math.exp(-0.1)
    record = lif(torch.full((100,), current), beta=beta)
    assert canvas.get_attribute("aria-valuetext") == (
        f"step 10: current 0.20, membrane {record.membrane[10]:.3f}, no spike"
    )
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    assert int(canvas.get_attribute("aria-valuenow")) > 20


@pytest.mark.parametrize("width", [320, 1000])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_page_and_follows_its_theme(load, page, width, dark):
    page.set_viewport_size({"width": width, "height": 700})
    load("playground", dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("[...document.querySelector('canvas').getContext('2d').getImageData(2, 2, 1, 1).data]")
    assert (sum(paper[:3]) < 200) == dark and paper[3] == 255
