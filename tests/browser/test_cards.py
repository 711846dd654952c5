"""Guess cards in Chromium: on a page without a kernel, by pointer and by keyboard, and in a running JupyterLab."""

import base64
import json

import lab
import nbformat
import pytest

from snn_helpers.widgets.panel import module

NUMBER = {
    "key": "02.rate",
    "question": "How many?",
    "unit": "spikes",
    "log": False,
    "labels": ["", ""],
    "kind": "number",
}
NUMBER |= {"between": [0, 100], "whole": True, "x": []}
CURVE = {**NUMBER, "key": "02.curve", "kind": "curve", "between": [0, 1], "whole": False, "x": [1, 4, 16]}
CURVE |= {"labels": ["steps T", "error"], "unit": ""}
CHOICE = {**NUMBER, "key": "02.way", "kind": "choice", "options": ["it rises", "it falls"]}
SUMMARY = {"kind": "summary", "keys": ["02.rate", "02.curve", "02.way"]}


def coded(spec, value=None):
    answer = {} if spec is SUMMARY else {"value": value, "because": "For it leaks.", "picture": "", "alt": ""}
    return base64.b64encode(json.dumps({"spec": spec, "answer": answer}).encode()).decode()


@pytest.fixture
def show(page):
    """``show(code, ...)``: an empty page with these cards, mounted as the site mounts them."""

    def start(*codes, dark=False):
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.set_content("<body>" + "".join(f"<div class='place' data-guess='{code}'></div>" for code in codes))
        page.evaluate(
            """async (code) => {
                const url = URL.createObjectURL(new Blob([code], {type: "text/javascript"}));
                const { mount } = await import(url);
                for (const place of document.querySelectorAll("[data-guess]")) mount(place, place.dataset.guess);
            }""",
            module("cards"),
        )
        return page

    return start


def test_a_number_is_taken_down_before_the_answer_is_seen(show):
    page = show(coded(NUMBER, 18))
    assert "18" not in page.inner_text("body") and "leaks" not in page.inner_text("body")
    page.get_by_text("Commit").click()
    assert "First set your guess" in page.inner_text("[aria-live]")
    page.fill("input[type=number]", "30")
    assert page.locator("path.true").count() == 0
    page.get_by_text("Commit").click()
    assert page.inner_text("[aria-live]") == "You guessed 30 spikes; it is 18 spikes: 12 spikes too high."
    assert "For it leaks." in page.inner_text("body") and page.locator("path.true").count() == 1
    assert page.locator("input").count() == 0
    page.get_by_text("Guess anew").click()
    assert "leaks" not in page.inner_text("body") and page.locator("input[type=range]").count() == 1


def test_a_slider_is_moved_by_keyboard(show):
    page = show(coded(NUMBER, 18))
    page.focus("input[type=range]")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("[aria-live]") == "your guess: 99 spikes" and page.input_value("input[type=number]") == "99"


def test_a_curve_is_drawn_by_keyboard(show):
    page = show(coded(CURVE, [0.5, 0.25, 0.125]))
    page.get_by_text("Commit").click()
    assert "First set" in page.inner_text("[aria-live]")
    page.focus("svg")
    for key in "ArrowRight", "ArrowDown", "Shift+ArrowDown", "ArrowRight", "ArrowRight", "ArrowDown":
        page.keyboard.press(key)
    assert page.get_attribute("svg", "aria-valuetext") == "point 3 of 3, at 16: 0.48"
    assert page.locator("polyline.true").count() == 0
    page.get_by_text("Commit").click()
    words = page.inner_text("[aria-live]")
    assert words == "On average 16 % of the axis off; furthest at 16: you drew 0.48, it is 0.125."
    assert page.locator("polyline.true").count() == 1 and page.locator("polyline.yours").count() == 1


def test_a_curve_is_drawn_by_pointer(show):
    page = show(coded(CURVE, [1, 0.5, 0]))
    frame = page.locator("svg").bounding_box()
    at = lambda x, y: (frame["x"] + x * frame["width"] / 520, frame["y"] + y * frame["height"] / 258)  # noqa: E731
    page.mouse.move(*at(76, 14))
    page.mouse.down()
    page.mouse.move(*at(279, 109), steps=5)
    page.mouse.move(*at(482, 204), steps=5)
    page.mouse.up()
    page.get_by_text("Commit").click()
    assert "On average 0 % of the axis off." in page.inner_text("[aria-live]")
    dots = page.evaluate("[...document.querySelectorAll('circle')].map((dot) => Math.round(+dot.getAttribute('cy')))")
    assert dots == [14, 109, 204]


def test_on_a_logarithmic_scale_a_guess_is_off_by_a_factor(show):
    page = show(coded({**NUMBER, "log": True, "between": [1, 1000], "whole": False}, 10))
    page.fill("input[type=number]", "100")
    page.get_by_text("Commit").click()
    assert "10 times too large" in page.inner_text("[aria-live]")


def test_giving_up_is_counted_as_such_and_all_is_summed_up(show):
    codes = coded(NUMBER, 18), coded(CURVE, [0.5, 0.25, 0.125]), coded(CHOICE, "it falls"), coded(SUMMARY)
    page = show(*codes)
    cards = page.locator(".place")
    assert "None of the 3" in cards.nth(3).inner_text()
    cards.nth(0).get_by_text("Show me").click()
    assert "It is 18 spikes." in cards.nth(0).inner_text()
    cards.nth(2).get_by_text("it rises").click()
    cards.nth(2).get_by_text("Commit").click()
    assert "You chose “it rises”; it is “it falls”." in cards.nth(2).inner_text()
    cards.nth(1).locator("svg").press("Shift+ArrowUp")
    cards.nth(1).get_by_text("Commit").click()
    cards.nth(3).get_by_text("You guessed 2 of 3 cards, and had 1 shown.").wait_for()
    assert "were 24 % of the scale off, on average. Of 1 choices 0 were right." in cards.nth(3).inner_text()
    assert "A surprise: How many? You chose" in cards.nth(3).inner_text()


@pytest.mark.parametrize("dark", [False, True])
def test_a_card_can_be_read_in_both_themes(show, dark):
    page = show(coded(NUMBER, 18), dark=dark)
    page.add_style_tag(content=":root { color-scheme: light dark } ")
    ink, paper = page.evaluate(
        """() => [getComputedStyle(document.querySelector("svg text")).fill,
                  getComputedStyle(document.querySelector(".snn-guess")).color]"""
    )
    assert ink == paper


@pytest.fixture
def notebook(tmp_path):
    """A folder with a notebook of one card and a summary."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = """from snn_helpers import widgets
widgets.guess("09.sum", "What is 17 + 25?", 17 + 25, between=(0, 100), because="Ten and two are carried.")
---
widgets.guesses("09")"""
    cells = [nbformat.v4.new_code_cell(text) for text in source.split("\n---\n")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "cards.ipynb")
    return folder


def test_a_card_in_jupyterlab_asks_keeps_and_remembers(browser, notebook):
    with lab.jupyterlab(notebook) as address:
        page = browser.new_page()
        lab.run_all(page, address("cards.ipynb"))
        output = ".jp-OutputArea-output"
        assert "42" not in page.inner_text(".jp-Notebook")
        page.locator(f"{output} input[type=number]").fill("40")
        page.get_by_text("Commit", exact=True).click()
        page.get_by_text("You guessed 40; it is 42: 2 too low.").first.wait_for()
        page.get_by_text("Ten and two are carried.", exact=True).wait_for()
        page.get_by_text("You guessed 1 of 1 cards. Numbers and curves were 2 %").wait_for()
        page.wait_for_timeout(500)
        lab.run_all(page, address("cards.ipynb"))  # another day, the same machine
        page.get_by_text("Kept from before. You guessed 40; it is 42: 2 too low.").wait_for()
        page.get_by_text("Guess anew").click()
        page.get_by_text("None of the 1 guess cards above").wait_for()
        page.close()
