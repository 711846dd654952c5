"""The most memory that the kernel of each notebook ever held: python benchmarks/notebook_memory.py [NOTEBOOK ...]

Each notebook runs alone, all cells in order, on the bundled digits and with one thread, as in a class; then the
kernel's own record of its peak (VmHWM: resident, shared libraries included) is read. Writes MiB by notebook into
benchmarks/results/notebook_memory.json, where notebooks that are not named keep theirs. Linux only; needs nbclient.
"""

import json
import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "notebook_memory.json"


def peak_mib(path):
    """The highest resident memory of the notebook's kernel while it ran all cells, in MiB."""
    book = nbformat.read(path, 4)
    client = NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}})
    with client.setup_kernel():
        for place, cell in enumerate(book.cells):
            client.execute_cell(cell, place)
        status = Path(f"/proc/{client.km.provisioner.pid}/status").read_text(encoding="utf-8")
    return round(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)


def main(names):
    os.environ |= {"SNN_DATA_DIR": "bundled", "OMP_NUM_THREADS": "1"}
    peaks = json.loads(RESULT.read_text(encoding="utf-8"))["peak_mib"] if RESULT.exists() else {}
    for path in [Path(name).resolve() for name in names] or sorted((ROOT / "notebooks").glob("*.ipynb")):
        peaks[path.name[:2]] = peak_mib(path)
        print(path.name, peaks[path.name[:2]], "MiB", flush=True)
    about = {"processor": platform.machine(), "python": platform.python_version(), "torch": version("torch")}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({**about, "peak_mib": dict(sorted(peaks.items()))}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
