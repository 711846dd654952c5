"""From a key press to changed pixels, for every explorer of the series: python benchmarks/latency.py [notebook ...]

JupyterLab runs each notebook in a real Chromium (on the PATH); then the first slider of each explorer is moved 20 times
by keyboard. A move lasts from the key's own time stamp to the first animation frame that shows other pixels. The same
LIF trace as the playground's, drawn with ``ipywidgets.interact`` as a tutorial would, is measured in the same run.
Writes benchmarks/results/latency.json and the README's table: all rows, or those of the notebooks that are named. Needs
pip install --editable ".[browser]".
"""

import re
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat
from measure import ROOT, into_readme, load, machine, markdown, save

sys.path.append(str(ROOT / "tools"))
import lab

MOVES = 20
INTERACT = """
import matplotlib.pyplot as plt
import torch
from ipywidgets import interact

from snn_helpers import neurons


@interact(tau=(1.0, 50.0, 0.5), threshold=(0.1, 3.0, 0.05))
def trace(tau=10.0, threshold=1.0):
    record = neurons.lif(torch.full((100,), 0.2), beta=neurons.beta_from_tau(tau), threshold=threshold)
    figure, axes = plt.subplots(2, 1, figsize=(8, 4), sharex=True)
    axes[0].plot(record.membrane)
    axes[0].axhline(threshold, linestyle="--")
    axes[1].eventplot(record.spikes.nonzero().flatten())
    plt.show()
"""

# resolves to the milliseconds from the next key press to the first frame in which a picture of the output differs
WATCH = """(control) => {
    const output = control.closest(".jp-Cell-outputArea");
    const pixels = (canvas) => new Uint32Array(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    const all = (kind) => [...output.querySelectorAll(kind)];
    const seen = () => ({
        loaded: all("img").every((e) => e.complete),
        images: all("img").map((e) => e.src).join(),
        canvases: all("canvas").filter((e) => e.width && e.height).map(pixels),
    });
    const equal = (p, q) => { // a plain loop: what watches must not take the time that it measures
        let i = 0;
        while (i < p.length && p[i] === q[i]) i++;
        return p.length === q.length && i === p.length;
    };
    const same = (a, b) => !b.loaded || (a.images === b.images && a.canvases.length === b.canvases.length &&
        a.canvases.every((canvas, i) => equal(canvas, b.canvases[i])));
    const before = seen();
    let pressed;
    control.addEventListener("keydown", (event) => (pressed = event.timeStamp), { capture: true, once: true });
    window.latency = new Promise((resolve) => {
        const look = () => {
            const now = performance.now();
            if (pressed && !same(before, seen())) resolve(now - pressed);
            else if (pressed && now - pressed > 3000) resolve(null);
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    });
}"""


def measure(page, control):
    """Milliseconds of MOVES moves of a control that changed the picture; up the range first, then down and up."""
    times = []
    for move in range(3 * MOVES):
        control.evaluate(WATCH)
        control.press("ArrowLeft" if move // 5 % 2 else "ArrowRight")
        time = page.evaluate("window.latency")
        page.wait_for_timeout(150)  # a hand does not move at once again; what is still under way settles
        if time is not None:
            times.append(time)
        if len(times) == MOVES:
            return times
    raise RuntimeError(f"only {len(times)} of {3 * MOVES} moves changed a picture")


def explorers(page):
    """The (name, control) of each explorer that scrolling through the page brings up: its first slider, or list."""
    found = set()
    for _ in lab.every_cell(page):
        for cell in page.locator(f".jp-CodeCell:has(.jp-OutputArea-output :is({lab.CONTROLS}))").all():
            source = cell.locator(".jp-InputArea-editor").inner_text()
            name = re.search(r"(\w+_explorer|interact)\b", source)
            if not name or source in found:
                continue
            found.add(source)
            sliders = cell.locator("[role=slider]:not(canvas)")
            control = sliders.first if sliders.count() else cell.locator("select").first
            control.scroll_into_view_if_needed()
            control.focus()
            page.wait_for_timeout(500)
            yield name[1], control


def summary(times):
    return {
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
        "moves": len(times),
    }


def text(content):
    """The rows as Markdown, quickest first."""
    return markdown(
        ["explorer", "notebook", "median", "95 of 100 under"],
        [
            [f"`{row['explorer']}`", row["notebook"], f"{row['median_ms']:.0f} ms", f"{row['p95_ms']:.0f} ms"]
            for row in sorted(content["rows"], key=lambda row: row["median_ms"])
        ],
    )


def main(names):
    from playwright.sync_api import sync_playwright

    rows = []
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        folder = Path(place)
        for path in (ROOT / "notebooks").glob("*.ipynb"):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "results").symlink_to(ROOT / "notebooks" / "results")
        plain = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(INTERACT.strip())])
        plain.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(plain, folder / "interact.ipynb")
        browser = driver.chromium.launch(executable_path=lab.chromium(), args=lab.FLAGS)
        for name in ["interact.ipynb", *(names or sorted(p.name for p in folder.glob("[0-9]*.ipynb")))]:
            with lab.jupyterlab(folder) as address:  # a server each: no kernel of an earlier notebook beside it
                page = browser.new_page(viewport={"width": 1280, "height": 1000})
                lab.run_all(page, address(name))
                for explorer, control in explorers(page):
                    where = "-" if name == "interact.ipynb" else name[:2]
                    rows.append({"explorer": explorer, "notebook": where, **summary(measure(page, control))})
                    print(rows[-1], flush=True)
                page.close()
        browser.close()
    if names:
        measured = {row["notebook"] for row in rows}
        rows += [row for row in load("latency")["rows"] if row["notebook"] not in measured]
        rows.sort(key=lambda row: row["notebook"])
    content = {**machine(), "rows": rows}
    print(text(content))
    save("latency", content)
    into_readme("latency", text(content))


if __name__ == "__main__":
    main(sys.argv[1:])
