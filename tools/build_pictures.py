"""Draw the README's pictures: python tools/build_pictures.py

The explorer is photographed as a reader meets it: in a real JupyterLab, in a real Chromium (on the PATH), after
running notebook 02. The heatmap is that notebook's own picture. Needs: pip install --editable ".[browser]".
"""

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "02_lif_neuron.ipynb"
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


@contextlib.contextmanager
def jupyterlab(folder):
    """JupyterLab on a copy of ``folder``, with settings of its own; gives its address."""
    with tempfile.TemporaryDirectory() as place, socket.socket() as free:
        shutil.copytree(folder, Path(place) / "notebooks")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = {
            name: place for name in ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
        }
        options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=", "--LabApp.news_url="]
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={place}"],
            env={**os.environ, **settings},
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(120):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/lab/tree/notebooks"
        finally:
            server.terminate()
            server.wait()


def photograph_explorer(page, address):
    page.goto(f"{address}/{NOTEBOOK}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_timeout(4000)
    with contextlib.suppress(Exception):  # the question about news, on a first start
        page.get_by_role("button", name="No", exact=True).first.click(timeout=2000)
    page.get_by_text("Run", exact=True).first.click()
    page.locator("[data-command='runmenu:run-all']").click()
    explorer = page.locator(".jp-OutputArea-output:has(.widget-hslider)").first
    explorer.wait_for(timeout=120_000)
    explorer.scroll_into_view_if_needed()
    page.wait_for_timeout(15_000)
    explorer.scroll_into_view_if_needed()
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
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM)
        photograph_explorer(browser.new_page(viewport={"width": 1250, "height": 1000}), address)
        browser.close()


if __name__ == "__main__":
    main()
