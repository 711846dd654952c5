"""What make lab starts: python tools/start_lab.py [OPTION OF JUPYTERLAB ...] [NOTEBOOK]

JupyterLab, by root too (in a container everybody is), without its question about news, which it would ask everybody
anew; and where no browser can be opened, with the address to open.
"""

import logging
import os
import sys
import webbrowser
from pathlib import Path

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_escape, url_path_join
from jupyterlab.labapp import LabApp

CONFIG = Path(__file__).parent / "jupyter"  # JupyterLab's defaults; what somebody chose for themselves goes before


class Server(ServerApp):
    def start_app(self):
        level = self.log.level
        self.log.setLevel(logging.CRITICAL + 1)  # it would name another page, and its own way of saying so is long
        super().start_app()
        self.log.setLevel(level)
        self.io_loop.add_callback(self.say)  # after it has begun to listen

    def say(self):
        if not self.open_browser:
            print("\nJupyterLab runs. Open this address in a browser:")
        elif can_open_a_browser():
            print("\nJupyterLab runs, and your browser opens it. If it does not, open this address:")
        else:
            print("\nJupyterLab runs, but no browser can be opened from here. Open this address in one:")
        print(f"\n    {self.address()}\n\nCtrl-C ends it.", flush=True)

    def launch_browser(self):
        if can_open_a_browser():
            super().launch_browser()

    def address(self):
        """Of the notebook, for a browser on this machine."""
        page, _, token = self.local_url.partition("?")
        if self.file_to_run:
            name = Path(self.file_to_run).resolve().relative_to(Path(self.root_dir).resolve())
            page = url_path_join(page, "tree", url_escape(name.as_posix()))
        return f"{page}?{token}" if token else page


def can_open_a_browser():
    screen = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & {name for name, value in os.environ.items() if value}
    if sys.platform not in ("darwin", "win32") and not screen:
        return False  # webbrowser would take one that shows text, which JupyterLab cannot do with
    try:
        return bool(webbrowser.get())
    except webbrowser.Error:
        return False


def main(arguments):
    places = os.environ.get("JUPYTER_CONFIG_PATH"), str(CONFIG)
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, places))
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    LabApp.serverapp_class = Server
    LabApp.launch_instance(["--Application.log_level=WARN", *(["--allow-root"] if root else []), *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
