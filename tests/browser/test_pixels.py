"""The digit in which a pixel is picked: by a click, by the arrow keys, never outside."""

import pytest


@pytest.fixture
def picker(load):
    page = load("pixels", [i % 256 for i in range(784)])
    page.evaluate("window.picked = []; place.replaceChildren()")
    page.evaluate("() => { window.view = module.picker(place, (...at) => picked.push(at)); }")
    return page


def at(page):
    return page.evaluate("[view.state.row, view.state.column]")


def test_a_click_picks_the_pixel_under_it(picker):
    box = picker.locator("canvas").bounding_box()
    for row, column in (3, 22), (27, 0), (14, 14):
        x, y = (place + (i + 0.5) / 28 * box["width"] for place, i in ((box["x"], column), (box["y"], row)))
        picker.mouse.click(x, y)
        assert at(picker) == [row, column]
    assert picker.evaluate("picked") == [[3, 22], [27, 0], [14, 14]]


def test_the_arrow_keys_move_it_and_stop_at_the_edge(picker):
    picker.locator("canvas").focus()
    for key in "ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowLeft", "a":
        picker.keyboard.press(key)
    assert at(picker) == [1, 0]
    assert picker.evaluate("picked") == [[1, 0], [2, 0], [2, 1], [1, 1], [1, 0]], "it was told of moves that were none"


def test_it_shows_the_digit_and_marks_the_pixel(load):
    page = load("pixels", [i % 256 for i in range(784)])
    page.evaluate("view.show({ row: 10, column: 20 })")
    colour = "(x, y) => [...view.canvas.getContext('2d').getImageData(x, y, 1, 1).data]"
    assert page.evaluate(f"({colour})(20 * 7 + 3, 10 * 7 + 3)") == [300 % 256] * 3 + [255]
    red, _, blue, _ = page.evaluate(f"({colour})(20 * 7 + 3, 10 * 7 - 1)")
    assert red > 150 and blue < 60, "no orange frame around it"
    assert page.evaluate(f"({colour})(3, 3)")[:3] == [0, 0, 0]
