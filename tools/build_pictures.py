"""Draw the README's pictures: python tools/build_pictures.py

The explorer is photographed as a reader meets it: in a real JupyterLab, in a real Chromium (on the PATH), after
running notebook 02. The heatmap is that notebook's own picture. Needs: pip install --editable ".[browser]".
"""

import base64
from pathlib import Path

import nbformat
from lab import FLAGS, chromium, jupyterlab, run_all
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "02_lif_neuron.ipynb"
PICTURES = ROOT / "docs" / "pictures"


def photograph_explorer(page, address):
    run_all(page, address)
    explorer = page.locator(".jp-OutputArea-output:has(canvas)").nth(1)  # the first one knows no f-I curve yet
    explorer.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    explorer.screenshot(path=PICTURES / "lif_explorer.png")


def copy_heatmap():
    for cell in nbformat.read(ROOT / "notebooks" / NOTEBOOK, 4).cells:
        if "plots.heatmap" in cell.source:
            picture = next(output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {}))
            (PICTURES / "membrane_heatmap.png").write_bytes(base64.b64decode(picture))
            return


def main():
    copy_heatmap()
    with jupyterlab(ROOT / "notebooks") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        photograph_explorer(browser.new_page(viewport={"width": 1250, "height": 1000}), address(NOTEBOOK))
        browser.close()


if __name__ == "__main__":
    main()
