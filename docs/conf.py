"""The static site, by ``make site``: the notebooks as they were saved, and two explorers that need no kernel.

Nothing is executed and nothing is fetched: MathJax comes from a package, the explorers' modules from this one.
"""

import base64
import html
import json
import re
import shutil
from pathlib import Path

from snn_helpers import __version__, widgets
from snn_helpers.widgets.panel import module

HERE = Path(__file__).parent
COPIED, STATIC = HERE / "notebooks", HERE / "made"  # written here at every build, neither kept

project = "Spiking neural networks, by running them"
author = copyright = "The authors of snn-helpers"
release = __version__

extensions = ["myst_nb", "sphinx-mathjax-offline"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
exclude_patterns = ["_build", "pictures", "made"]
suppress_warnings = ["mystnb.unknown_mime_type"]  # a saved explorer: its picture is shown

html_theme = "furo"
html_title = project
html_static_path = ["made"]
html_css_files = ["pictures.css"]
html_js_files = [("cards.js", {"type": "module"})]
html_show_sphinx = False
html_copy_source = False


def write_modules():
    """The explorers' JavaScript, and the membranes of one layer of the recorded network as an example."""
    shutil.rmtree(STATIC, ignore_errors=True)
    STATIC.mkdir()
    for name in "playground", "heatmap":
        (STATIC / f"{name}.js").write_text(module(name), encoding="utf-8")
    start = "for (const card of document.querySelectorAll('[data-guess]')) mount(card, card.dataset.guess);\n"
    (STATIC / "cards.js").write_text(module("cards") + start, encoding="utf-8")
    card = ".cell_output img { background: #fff; padding: 6px; border-radius: 6px; }\n"
    (STATIC / "pictures.css").write_text(card, encoding="utf-8")  # they are black on white: on a dark page too
    canvas = widgets.heatmap_explorer().canvas
    meta = {name: [*value] if isinstance(value, bytes) else value for name, value in canvas.meta.items()}
    example = {"levels": base64.b64encode(canvas.levels).decode(), "meta": meta}
    (STATIC / "example.js").write_text(f"export default {json.dumps(example)};\n", encoding="utf-8")


def card(coded):
    """A guess card of a saved notebook. Without JavaScript it is the question and a folded answer."""
    saved = json.loads(base64.b64decode(coded))
    spec, answer = saved["spec"], saved["answer"]
    fold = "<p>Your guesses are counted here, by JavaScript.</p>"
    if answer:
        given = zip(spec["x"], answer["value"], strict=True) if spec["kind"] == "curve" else ()
        value = ", ".join(f"{at:.4g}: {truth:.3g}" for at, truth in given) or answer["value"]
        picture = f'<img alt="{html.escape(answer["alt"])}" src="data:image/png;base64,{answer["picture"]}">'
        fold = (
            f"<p><b>Guess first.</b> {html.escape(spec['question'])}</p><details><summary>The answer</summary>"
            f"<p>{html.escape(str(value))} {spec['unit']}</p><p>{html.escape(answer['because'])}</p>"
            f"{picture if answer['picture'] else ''}</details>"
        )
    return f'<div data-guess="{coded}">{fold}</div>'


def copy_notebooks():
    """The notebooks, with the alt text of each picture put where myst-nb looks for it, and guess cards that work."""
    shutil.rmtree(COPIED, ignore_errors=True)
    COPIED.mkdir()
    for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        book = json.loads(path.read_text(encoding="utf-8"))
        for cell in book["cells"]:
            if cell["cell_type"] == "markdown":  # JupyterLab keeps a heading's capitals in its anchor, myst does not
                text = "".join(cell["source"])
                cell["source"] = re.sub(r"\]\(([^)\s]*\.ipynb#[^)\s]+)\)", lambda link: link[0].lower(), text)
            for output in cell.get("outputs", []):
                if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                    cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
                if coded := output.get("metadata", {}).get("guess"):
                    output["data"] = {"text/html": card(coded)}
        (COPIED / path.name).write_text(json.dumps(book), encoding="utf-8")


write_modules()
copy_notebooks()
