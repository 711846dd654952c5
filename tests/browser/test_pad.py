"""The digit pad, drawn on with a pointer: what comes out is a digit that the bundled network reads."""

import torch

from snn_helpers import recipes, weights, widgets
from snn_helpers.widgets.convolutional import as_mnist

# Strokes of the ten digits, in shares of the field: lists of points, pen down between them.
STROKES = {
    0: [[(0.5, 0.12), (0.32, 0.2), (0.24, 0.42), (0.25, 0.65), (0.38, 0.86), (0.55, 0.87), (0.7, 0.72), (0.75, 0.45),
         (0.68, 0.22), (0.5, 0.12)]],
    1: [[(0.55, 0.1), (0.5, 0.5), (0.46, 0.9)]],
    2: [[(0.25, 0.3), (0.35, 0.14), (0.58, 0.12), (0.7, 0.27), (0.62, 0.47), (0.4, 0.68), (0.22, 0.86), (0.45, 0.84),
         (0.78, 0.84)]],
    3: [[(0.28, 0.17), (0.5, 0.1), (0.68, 0.22), (0.63, 0.38), (0.45, 0.47), (0.66, 0.55), (0.73, 0.72), (0.58, 0.87),
         (0.36, 0.88), (0.24, 0.78)]],
    4: [[(0.35, 0.12), (0.28, 0.45), (0.5, 0.52), (0.75, 0.48)], [(0.7, 0.12), (0.66, 0.5), (0.62, 0.9)]],
    5: [[(0.72, 0.13), (0.4, 0.14), (0.35, 0.44), (0.58, 0.42), (0.7, 0.58), (0.66, 0.78), (0.5, 0.89), (0.28, 0.85)]],
    6: [[(0.62, 0.1), (0.42, 0.3), (0.31, 0.55), (0.31, 0.75), (0.45, 0.89), (0.62, 0.84), (0.68, 0.68), (0.58, 0.56),
         (0.42, 0.6), (0.32, 0.72)]],
    7: [[(0.25, 0.16), (0.5, 0.15), (0.75, 0.15), (0.62, 0.4), (0.5, 0.65), (0.42, 0.9)]],
    8: [[(0.66, 0.2), (0.5, 0.1), (0.35, 0.2), (0.38, 0.36), (0.6, 0.54), (0.68, 0.72), (0.52, 0.89), (0.35, 0.76),
         (0.42, 0.56), (0.62, 0.36), (0.66, 0.2)]],
    9: [[(0.68, 0.25), (0.52, 0.12), (0.34, 0.22), (0.34, 0.42), (0.52, 0.5), (0.67, 0.38), (0.68, 0.22), (0.66, 0.55),
         (0.6, 0.9)]],
}  # fmt: skip


def drawn(page, digit):
    page.get_by_role("button", name="Clear").click()
    box = page.locator("canvas").bounding_box()
    for points in STROKES[digit]:
        for i, (x, y) in enumerate(points):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
            if i == 0:
                page.mouse.down()
        page.mouse.up()
    return page.evaluate("view.value")


def test_at_least_nine_of_ten_drawn_digits_are_read(load):
    page, recipe, net = load("pad"), recipes.RECIPES["csnn"]["fast"], weights.trained("csnn", "fast")
    images = torch.stack([as_mnist(drawn(page, digit)) for digit in range(10)])
    with torch.no_grad():
        answers = net(recipe.input(images))[-1].spikes.sum(0).argmax(-1)
    assert (answers == torch.arange(10)).sum() >= 9, answers.tolist()


def test_clear_leaves_nothing(load):
    page = load("pad")
    assert as_mnist(drawn(page, 3)).any()
    page.get_by_role("button", name="Clear").click()
    assert page.evaluate("view.value") == ""


def test_a_drawing_goes_before_the_preset_until_it_is_cleared(load):
    panel = widgets.digit_explorer()
    panel.controls["preset"].value = 8
    before = panel.headline.value
    panel.controls["drawing"].value = drawn(load("pad"), 3)
    assert "3 leads" in panel.headline.value and "it is" not in panel.headline.value
    panel.controls["drawing"].value = ""
    assert panel.headline.value == before
