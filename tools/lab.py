"""JupyterLab in Chromium, as a reader meets it: for the browser tests, the latency benchmark, the README's pictures."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
TOKEN = "a-token-of-the-tests"
STATUS = ".jp-Notebook-ExecutionIndicator"
# controls of an explorer, as a keyboard finds them
CONTROLS = ".jp-OutputArea-output [role=slider]:not(canvas), .jp-OutputArea-output select"


def chromium():
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextlib.contextmanager
def jupyterlab(folder):
    """JupyterLab on a copy of ``folder``, with settings of its own; gives ``address(notebook)``."""
    with tempfile.TemporaryDirectory() as place, socket.socket() as free:
        shutil.copytree(folder, Path(place) / "notebooks")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        names = ("_CONFIG_DIR", "_DATA_DIR", "_RUNTIME_DIR", "LAB_SETTINGS_DIR", "LAB_WORKSPACES_DIR")
        options = ["--no-browser", f"--port={port}", f"--IdentityProvider.token={TOKEN}"]
        server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("start_lab.py"), *options, f"--ServerApp.root_dir={place}"],
            env={**os.environ, **{f"JUPYTER{name}": place for name in names}, "SNN_DATA_DIR": "bundled"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(240):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.25)
            yield lambda name: f"http://127.0.0.1:{port}/lab/tree/notebooks/{name}?token={TOKEN}&reset"
        finally:
            server.terminate()
            server.wait()


def run_all(page, address, *, seconds=900):
    """Open a notebook, run all of its cells, and wait until the kernel is idle."""
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    page.wait_for_selector(".jp-StatusBar-TextItem:has-text('| Idle')", timeout=90_000)  # its kernel is there
    page.wait_for_timeout(2000)
    page.get_by_text("Run", exact=True).first.click()
    page.locator("[data-command='runmenu:run-all']").click()
    done = """(status) => document.querySelector(status).dataset.status === "idle" &&
        ![...document.querySelectorAll(".jp-InputPrompt")].some((prompt) => prompt.textContent.includes("*"))"""
    page.wait_for_timeout(3000)  # a saved notebook looks done before anything ran
    for _ in range(3):  # and between two cells it looks done for a moment
        page.wait_for_function(done, arg=STATUS, timeout=seconds * 1000)
        page.wait_for_timeout(500)


def every_cell(page):
    """Scroll the notebook from top to bottom, so that all of it is in the page; yields after every step."""
    scroll = """(top) => {
        const area = document.querySelector(".jp-WindowedPanel-outer"), before = area.scrollTop;
        top ? area.scrollTo(0, 0) : area.scrollBy(0, 600);
        return before !== area.scrollTop;
    }"""
    page.evaluate(scroll, True)
    moved = True
    while moved:
        page.wait_for_timeout(300)
        yield
        moved = page.evaluate(scroll, False)


def picture(control):
    """What the output that a control belongs to shows: its pictures and its text."""
    return control.evaluate(
        """(control) => {
            const output = control.closest(".jp-OutputArea-output");
            const shown = [...output.querySelectorAll("img, canvas, svg")].map(
                (e) => e.toDataURL?.() ?? e.src ?? e.outerHTML
            );
            return shown.join() + output.querySelector(".widget-html-content, [aria-live]")?.innerText;
        }"""
    )


def press(control):
    """One move by keyboard: the next value, or the one before at the end of the range."""
    control.focus()
    if control.evaluate("(e) => e.tagName") == "SELECT":
        control.press("ArrowDown" if control.evaluate("(e) => e.selectedIndex + 1 < e.options.length") else "ArrowUp")
    else:
        at_end = control.evaluate("(e) => e.ariaValueNow === e.ariaValueMax")
        control.press("ArrowLeft" if at_end else "ArrowRight")
