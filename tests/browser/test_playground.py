"""The LIF playground computes in the browser: held to Python's neuron, spike for spike, and driven by keys."""

import itertools
import math
import random

import pytest
import torch

from snn_helpers.neurons import beta_from_tau, lif
from snn_helpers.widgets import lif_explorer

SETTINGS = 240
# where all of a membrane is left of a step, or nothing; and currents under, at and over the rheobase
EDGES, CURRENTS = (0, 2**-20, 0.5, 1 - 2**-20, 1), (-1, 0, 1 / 32, 0.40625, 1, 1.28125, 2, 2.03125, 7)


def drawn(seed):
    """Settings of the controls, as a reader might leave them."""
    pick = random.Random(seed)
    tau = pick.choice([pick.uniform(1, 50), 10.0])
    return {
        "wiring": pick.choice(["current per step", "physical current"]),
        "kind": pick.choice(["constant", "pulse", "Poisson", "two spikes"]),
        "size": round(pick.uniform(0, 3), 2),
        "tau": tau,
        "threshold": round(pick.uniform(0.1, 3), 2),
        "reset": pick.choice(["subtract", "zero", "none"]),
        "dt": round(pick.uniform(0.1, min(5, tau)), 1),
        "method": pick.choice(["exact", "euler"]),
        "seed": pick.randrange(10),
    }


SIMULATE = """(all) => all.map((values) => {
    const neuron = module.neuronOf(values), current = module.inputCurrent(values);
    const {membrane, spikes} = module.simulate(current, neuron);
    return {...neuron, current: [...current], membrane: [...membrane], spikes: [...spikes]};
})"""


def test_the_browsers_neuron_is_pythons_in_both_wirings(load):
    settings = [drawn(seed) for seed in range(SETTINGS)]
    found = load("playground").evaluate(SIMULATE, settings)
    fired = dict.fromkeys(("current per step", "physical current"), 0)
    for values, got in zip(settings, found, strict=True):
        beta = beta_from_tau(values["tau"], values["dt"], values["method"])
        assert got["beta"] == pytest.approx(beta, abs=1e-15)
        current = torch.tensor(got["current"], dtype=torch.float32)
        assert len(current) == math.floor(100 / values["dt"] + 0.5)
        if values["wiring"] == "physical current":
            current = (1 - beta) * current
        record = lif(current, beta=beta, threshold=values["threshold"], reset=values["reset"])
        assert record.spikes.tolist() == got["spikes"], values
        membrane = torch.tensor(got["membrane"], dtype=torch.float32)
        torch.testing.assert_close(record.membrane, membrane, rtol=0, atol=1e-5)
        fired[values["wiring"]] += record.spikes.any().item()
    assert min(fired.values()) > SETTINGS / 10, "too few of the settings fire to show anything"


def test_refining_the_step_converges_with_a_physical_current_only(load):
    page = load("playground")
    start = {"kind": "constant", "tau": 10, "threshold": 1, "reset": "zero", "method": "exact", "seed": 0}
    limit = page.evaluate("module.limitRate({size: 1.5, tau: 10, threshold: 1})")
    assert limit == pytest.approx(1000 / (10 * math.log(3)))
    rates = {}
    for wiring, size in ("physical current", 1.5), ("current per step", 0.2):
        runs = [start | {"wiring": wiring, "size": size, "dt": dt} for dt in (2, 1, 0.5, 0.1)]
        at = [[t for t, s in enumerate(run["spikes"]) if s] for run in page.evaluate(SIMULATE, runs)]
        gaps = [(a[-1] - a[0]) / (len(a) - 1) * run["dt"] for a, run in zip(at, runs, strict=True)]
        rates[wiring] = [1000 / gap for gap in gaps]
    errors = [abs(rate - limit) for rate in rates["physical current"]]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 2
    assert all(b > 1.9 * a for a, b in itertools.pairwise(rates["current per step"]))


@pytest.mark.parametrize("kind", ["two spikes", "Poisson"])
def test_an_input_spike_is_as_much_however_fine_the_steps(load, kind):
    page = load("playground")
    for wiring in "current per step", "physical current":
        runs = [{"kind": kind, "wiring": wiring, "size": 0.7, "seed": 3, "dt": dt} for dt in (0.3, 0.5, 1, 2, 5)]
        currents = page.evaluate("(all) => all.map((values) => [...module.inputCurrent(values)])", runs)
        per_step = wiring == "current per step"
        totals = [sum(i) * (1 if per_step else run["dt"]) for i, run in zip(currents, runs, strict=True)]
        assert totals == pytest.approx([totals[2]] * 5, rel=1e-3) and totals[2] > 1


def test_the_closed_form_is_what_the_neuron_does(load):
    settings = [{"beta": beta, "threshold": 1.0, "size": i} for beta in EDGES for i in CURRENTS]
    pick = random.Random(0)
    for _ in range(60):
        beta, threshold = beta_from_tau(pick.uniform(1.5, 40)), pick.uniform(0.3, 3)
        settings.append({"beta": beta, "threshold": threshold, "size": pick.uniform(1.01, 9) * threshold * (1 - beta)})
    settings = [values | {"reset": reset} for values in settings for reset in ("zero", "subtract")]
    found = load("playground").evaluate(
        "(all) => all.map((values) => module.interval(values.size, values).map(String))", settings
    )
    for values, got in zip(settings, found, strict=True):
        low, high = (float(x.replace("Infinity", "inf")) for x in got)
        current = torch.full((2003,), values.pop("size"), dtype=torch.float64)
        gaps = lif(current, **values).spikes.nonzero()[:, 0].diff().double()
        if math.isinf(low):
            assert high == math.inf and not len(gaps)
        else:
            assert 1 <= low <= high <= low + 1 and low - 1.0 / len(gaps) <= gaps.mean() <= high + 1e-9
            assert low == high or (values["reset"] == "subtract" and values["beta"] > 0)


def test_poisson_input_follows_its_seed_and_its_rate(load):
    page = load("playground")
    train = "[...module.inputCurrent({kind: 'Poisson', wiring: 'current per step', size: 1, dt: 1, seed: i})]"
    trains = page.evaluate(f"Array.from({{length: 10}}, (_, i) => {train})")
    assert len({tuple(train) for train in trains}) == 10
    assert abs(sum(map(sum, trains)) / 1000 - 0.3) < 4 * math.sqrt(0.21 / 1000)
    assert trains[4] == page.evaluate(f"((i) => {train})(4)")


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
        **dict.fromkeys(["reset", "method", "wiring", "kind"], "ArrowDown"),
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
        f"step 10, 10.0 ms: current 0.20, membrane {record.membrane[10]:.3f}, no spike"
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


def test_the_plain_playground_counts_steps_and_has_no_curve(load):
    page = load("playground")
    values = "{...Object.fromEntries(Object.entries(module.CONTROLS).map(([name, {value}]) => [name, value])), ...more}"
    says = f"(more) => {{const v = {values}; const c = module.inputCurrent(v); "
    says += "return module.headline(v, module.simulate(c, module.neuronOf(v)).spikes, more.plain)}"
    assert page.evaluate(says, {"plain": True}).startswith("14 spikes in 100 steps · mean interval 7.0 steps")
    assert page.evaluate(says, {"plain": False}).startswith("14 spikes in 100 ms · mean interval 7.0 ms = 143 Hz")
    assert "current must exceed 0.393" in page.evaluate(says, {"tau": 2, "plain": True})
    silent = {"wiring": "physical current", "size": 0.9, "plain": False}
    assert "current must exceed 1.000" in page.evaluate(says, silent)
    assert page.evaluate(says, silent | {"size": 1.5}).endswith("in ever finer steps 91 Hz")
    page.evaluate("document.body.append(Object.assign(document.createElement('div'), {id: 'second'}))")
    page.evaluate("void module.playground(document.getElementById('second'), () => view.values, true)")
    assert page.locator("#second canvas").get_attribute("aria-valuetext").startswith("step 0: current")
