"""The stepper of notebook 04: walked backwards by its buttons, by keys and by a click on a node; the reset's switch."""

import pytest

from snn_helpers.widgets import bptt
from snn_helpers.widgets.panel import module


@pytest.fixture
def stepper(page):
    page.set_content("<body><div id='place'></div></body>")
    page.evaluate(
        """async ([code, data]) => {
            window.module = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
            window.view = module.mount(document.getElementById("place"), data);
        }""",
        [module("bptt"), bptt.bptt_data()],
    )
    return page


def told(page):
    return page.inner_text("[aria-live]")


def lines(attached=False):
    return [stage["line"] for stage in bptt.stages(bptt.unrolled(attached))]


def test_buttons_and_keys_walk_through_every_node(stepper):
    assert told(stepper) == lines()[0]
    for wanted in lines()[1:]:
        stepper.click("text=one step back")
        assert told(stepper) == wanted
    stepper.click("text=one step back")
    assert told(stepper) == lines()[-1], "there is nothing behind the last node"
    stepper.click("text=to the loss")
    stepper.focus("svg")
    for key, place in ("ArrowLeft", 1), ("ArrowLeft", 2), ("ArrowRight", 1), ("End", -1), ("Home", 0):
        stepper.keyboard.press(key)
        assert told(stepper) == lines()[place]


def test_a_click_on_a_node_leads_to_it(stepper):
    place = bptt.unrolled().order.index("U2[2]")
    stepper.click("svg g:has-text('U₂[2]')")
    assert told(stepper) == lines()[place]
    shown = stepper.evaluate("document.querySelector('svg').textContent")
    assert bptt.shown(bptt.unrolled().gradients["U2[2]"]) in shown
    assert bptt.shown(bptt.unrolled().gradients["U1[1]"]) not in shown, "it has not been reached yet"


def test_the_switch_shows_the_other_gradients_at_the_same_node(stepper):
    stepper.click("text=to the weights")
    assert told(stepper) == lines()[-1]
    stepper.select_option("select", "in the graph")
    assert told(stepper) == lines(attached=True)[-1]
    assert stepper.locator("svg line[stroke-dasharray='2 4']").count() == 0
    stepper.select_option("select", "detached")
    assert stepper.locator("svg line[stroke-dasharray='2 4']").count() == 4
