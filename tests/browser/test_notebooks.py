"""Every notebook in a real JupyterLab: Run All ends without an error, every control moves its picture, cards answer."""

import shutil
from pathlib import Path

import lab
import nbformat
import pytest

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


RAISES = """
from snn_helpers.widgets.panel import Panel, slider

def draw(ax, size):
    if size > 2:
        raise ValueError("no more than 2 of them")
    ax.plot([0, size])
    return f"{size} of them"

Panel(draw, {"size": slider("size", 2, 0, 9, 1)}, strip=Figure, sentence="A line that goes up, for the test.")
"""


# press "Show me" on a card, and wait for the truth; its question, and how many paragraphs it then has
ANSWER = """async (button) => {
    const card = button.closest(".snn-guess");
    button.click();
    while (![...card.querySelectorAll("button")].some((b) => b.textContent === "Guess anew"))
        await new Promise((resolve) => setTimeout(resolve, 50));
    return [card.querySelector("p").textContent, card.querySelectorAll("p").length];
}"""


@pytest.fixture(scope="module")
def address(browser, tmp_path_factory):
    folder = shutil.copytree(NOTEBOOKS, tmp_path_factory.mktemp("browser") / "notebooks")
    cells = [nbformat.v4.new_code_cell(text) for text in ("from matplotlib.figure import Figure", RAISES)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), folder / "raises.ipynb")
    with lab.jupyterlab(folder) as address:
        yield address


@pytest.fixture
def opened(browser, address):
    """``opened(notebook)``: run from top to bottom."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})

    def run(name):
        page = context.new_page()
        lab.run_all(page, address(name))
        return page

    yield run
    context.close()


def changes(page, control):
    before = lab.picture(control)
    lab.press(control)
    for _ in range(30):
        page.wait_for_timeout(100)
        if lab.picture(control) != before:
            return True
    return False


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_run_all_and_every_control_by_keyboard(opened, name):
    page, moved, answered, faults = opened(name), set(), set(), []
    for _ in lab.every_cell(page):
        faults += page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()
        faults += page.locator(".jp-OutputArea-output:has-text('⚠')").all_inner_texts()
        unanswered = page.locator(".snn-guess button:text-is('Show me'):visible")
        while unanswered.count():
            question, words = unanswered.first.evaluate(ANSWER)
            answered.add(question)
            if words < 3:  # the question, the answer, and why
                faults.append(f"a card that does not say why: {question}")
        for control in page.locator(lab.CONTROLS).all():
            key = control.evaluate("(e) => (e.dataset.seen = e.dataset.seen || Math.random())")
            if key in moved or not control.is_visible():
                continue
            moved.add(key)
            if control.evaluate("(e) => !(e.ariaLabel || e.labels?.[0]?.textContent || e.textContent.trim())"):
                faults.append(f"no name for a screen reader: {control.evaluate('(e) => e.outerHTML')}")
            if "seed (Poisson)" in control.evaluate("(e) => e.closest('.jupyter-widgets')?.innerText ?? ''"):
                continue  # says itself that it does nothing to another input
            if not any(changes(page, control) for _ in range(3)):  # one move may be to what it was before
                name = control.evaluate("(e) => e.getAttribute('aria-label')")
                faults.append(f"nothing changes when {name} is moved")
    assert not faults, faults
    calls = [line for line in (NOTEBOOKS / name).read_text(encoding="utf-8").splitlines() if "_explorer(" in line]
    assert len(moved) >= len(calls), "an explorer without controls"
    assert len(answered) >= (1 if name.startswith("00") else 3)


def test_a_callback_that_raises_says_so_in_the_page(opened):
    page = opened("raises.ipynb")
    assert page.locator(".Toastify__toast").count() == 0, "JupyterLab asks something, such as about its news"
    slider = page.locator(".jp-OutputArea-output [role=slider]").first
    page.get_by_text("2 of them", exact=True).wait_for()
    slider.focus()
    slider.press("ArrowRight")
    page.get_by_text("⚠ ValueError: no more than 2 of them").wait_for(timeout=10_000)
    slider.press("ArrowLeft")  # and the explorer goes on
    page.get_by_text("2 of them", exact=True).wait_for(timeout=10_000)
