"""make lab: what it starts answers at the address that it says, for root too, and without a screen."""

import os
import re
import subprocess
import sys
import urllib.request
import webbrowser
from pathlib import Path

import pytest
import start_lab

ROOT = Path(__file__).parents[1]


@pytest.fixture
def no_screen(monkeypatch):
    for name in "DISPLAY", "WAYLAND_DISPLAY", "BROWSER":
        monkeypatch.delenv(name, raising=False)


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="a browser can always be opened there")
def test_without_a_screen_the_address_is_said_and_answers(no_screen, tmp_path):
    env = os.environ | dict.fromkeys(("HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"), str(tmp_path))
    command = [sys.executable, ROOT / "tools" / "start_lab.py", ROOT / "notebooks" / "00_start_here.ipynb"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as lab:
        try:
            said = []
            for line in lab.stdout:
                said.append(line)
                if line.startswith("Ctrl-C"):
                    break
            said = "".join(said)
            assert "no browser can be opened from here. Open this address in one:" in said, said
            address = re.search(r"^ +(http://\S+/lab/tree/00_start_here.ipynb\?token=\w+)$", said, re.M)[1]
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address) as page:
                assert page.status == 200 and "JupyterLab" in page.read().decode()
        finally:
            lab.terminate()


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="screens are named in the environment elsewhere")
def test_a_browser_that_shows_text_will_not_do(no_screen, monkeypatch):
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("lynx"))
    assert not start_lab.can_open_a_browser()
    monkeypatch.setenv("DISPLAY", ":0")
    assert start_lab.can_open_a_browser()

    def none():
        raise webbrowser.Error

    monkeypatch.setattr(webbrowser, "get", none)
    assert not start_lab.can_open_a_browser()
