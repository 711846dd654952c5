"""The membrane heatmap: sorted as Python sorts, quick with the largest layer, driven by keys and pointer."""

import base64

import pytest
import torch

from snn_helpers.neurons import Record, lif
from snn_helpers.widgets.inside import ORDERS, ordered, to_levels


def example(steps=23, shape=(7, 5, 3), threshold=0.8):
    torch.manual_seed(3)
    record = lif(torch.randn(steps, *shape) * 0.5 + 0.1, beta=0.9, threshold=threshold)
    levels, meaning = to_levels(record, threshold)
    neurons = record.spikes[0].numel()
    meta = meaning | {
        "steps": steps,
        "neurons": neurons,
        "shape": list(shape),
        "classes": [n % 10 for n in range(neurons)],
        "image": [n % 256 for n in range(784)],
        "title": "layer 1",
    }
    return record, {"levels": base64.b64encode(levels).decode(), "meta": meta}


def told(page):
    return page.locator("canvas").get_attribute("aria-valuetext")


@pytest.mark.parametrize("order", ORDERS[:4])
def test_the_order_is_pythons(load, order):
    record, data = example()
    rows = load("heatmap", data).evaluate(
        """([order, {levels, meta}]) => {
            const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0));
            return module.sorted(order, module.summary(bytes, meta));
        }""",
        [order, data],
    )
    whole = Record(*(part.unsqueeze(1) for part in record))
    spikes = record.spikes.flatten(1)
    wanted, got = ordered(whole, order), Record(spikes[:, rows], record.membrane.flatten(1)[:, rows])
    if order == "peak":  # by the levels, that is, up to rounding
        table = torch.tensor(data["meta"]["values"])
        highest = [(table - peak).abs().argmin().item() for peak in got.membrane.amax(0)]
        assert highest == sorted(highest, reverse=True)
    else:
        assert torch.equal(got.spikes, wanted.spikes)


def test_what_it_says_of_a_neuron_is_what_the_record_holds(load):
    record, data = example()
    page = load("heatmap", data)
    page.focus("canvas")
    for key in "ArrowDown", "Shift+ArrowDown", "Shift+ArrowRight", "ArrowLeft":
        page.keyboard.press(key)
    spikes, membrane = record.spikes.flatten(1)[:, 11], record.membrane.flatten(1)[:, 11]
    text = told(page)
    assert text.startswith("neuron 11 (map 0, row 3, column 2), step 9: membrane ")
    assert float(text.split("membrane ")[1].split(";")[0].split(",")[0]) == pytest.approx(membrane[9].item(), abs=0.06)
    assert (", a spike" in text) == bool(spikes[9])
    assert f"; {spikes.sum():.0f} spikes in all, most for a 1" in text


def test_zoom_and_scroll_by_keys_and_pointer(load):
    _, data = example(shape=(4, 14, 14))
    page = load("heatmap", data)
    page.focus("canvas")
    pictures = [page.evaluate("document.querySelector('canvas').toDataURL()")]
    for key in "+", "+", "PageDown", "End", "0", "-":
        page.keyboard.press(key)
        pictures.append(page.evaluate("document.querySelector('canvas').toDataURL()"))
    assert len(set(pictures)) == 6  # the last key finds nothing left to zoom out of
    assert told(page).startswith("neuron 783 ")
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    assert 0 < int(told(page).split()[1]) < 300
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function("(before) => document.querySelector('canvas').toDataURL() !== before", arg=before)


def test_a_click_or_enter_picks_the_neuron_and_a_drag_does_not(load):
    _, data = example(shape=(4, 14, 14))
    page = load("heatmap", data)
    page.evaluate(
        """(data) => {
            const place = document.getElementById("place");
            place.replaceChildren();
            window.seen = [];
            module.mount(place, data, (neuron) => seen.push(neuron));
        }""",
        data,
    )
    page.focus("canvas")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("seen") == [1]
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    box = page.locator("canvas").bounding_box()
    page.mouse.click(box["x"] + 300, box["y"] + 150)
    picked = page.evaluate("seen")
    assert len(picked) == 2 and told(page).startswith(f"neuron {picked[1]} ")
    assert page.evaluate("document.querySelector('canvas').toDataURL()") != before  # it is marked
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 90)
    page.mouse.up()
    assert page.evaluate("seen") == picked


def test_the_largest_layer_is_drawn_within_50_milliseconds(load):
    _, data = example(steps=100, shape=(64, 7, 7))
    page = load("heatmap", data)
    median = page.evaluate(
        """() => {
            const list = document.querySelector("select"), took = [];
            for (let i = 0; i < 21; i++) {
                list.selectedIndex = i % list.options.length;
                const start = performance.now();
                list.dispatchEvent(new Event("change"));
                took.push(performance.now() - start);
            }
            return took.sort((a, b) => a - b)[10];
        }"""
    )
    assert median < 50


@pytest.mark.parametrize("width", [320, 1000])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_page(load, page, width, dark):
    page.set_viewport_size({"width": width, "height": 700})
    load("heatmap", example()[1], dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_orders_are_named_alike_on_both_sides(load):
    assert load("heatmap", example()[1]).evaluate("module.ORDERS") == ORDERS
