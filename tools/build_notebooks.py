"""Write the notebooks: execute, strip, normalise. Running it twice gives the same bytes.

python tools/build_notebooks.py [NOTEBOOK ...]   all of notebooks/ by default
python tools/build_notebooks.py --check          only say what is wrong with them; exit 1 if anything is

Executed offline on the bundled digits. Live widgets leave the static picture that they carry, progress bars leave
nothing, and the run time in the header ("runs in about **N s**") is set to the measured one when it is off by half.
"""

import argparse
import math
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
RUN_TIME = re.compile(r"runs in about \*\*(\d+) s\*\*")
FORBIDDEN = {
    r"^\s*[!%]": "a shell or magic line",
    r"sys\.path": "sys.path",
    r"https?://": "an address in code",
    r"[\"'](/|~|[A-Z]:\\)": "an absolute path",
}


def build(path):
    book = nbformat.read(path, 4)
    start = time.perf_counter()
    NotebookClient(
        book,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    seconds = time.perf_counter() - start
    for cell in book.cells:
        normalise(cell)
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    book.cells[0].source = RUN_TIME.sub(lambda found: run_time(int(found[1]), seconds), book.cells[0].source)
    nbformat.validate(book)
    nbformat.write(book, path)
    print(f"{path.name}: {seconds:.0f} s")


def normalise(cell):
    cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
    if "hide-input" in cell.metadata.get("tags", []):  # the tag folds it on the site, this in JupyterLab
        cell.metadata["jupyter"] = {"source_hidden": True}
    if cell.cell_type != "code":
        return
    kept = []
    for output in cell.outputs:
        data = output.get("data", {})
        if WIDGET in data and not {"image/png", "text/html", "text/markdown"} & data.keys():
            continue  # a progress bar or a live picture: it has done its work
        data.pop(WIDGET, None)
        if kept and output.output_type == "stream" and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    cell.outputs = kept


def run_time(stored, measured):
    if abs(measured - stored) > max(5, stored / 2):
        stored = max(5, 5 * math.ceil(measured / 5))
    return f"runs in about **{stored} s**"


def faults(path):
    """What is wrong with one notebook, each as a line."""
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    first = book.cells[0]
    found = []
    if first.cell_type != "markdown" or len(re.findall(r"^# ", first.source, re.M)) != 1:
        found.append("the first cell should be markdown with one # title")
    if not RUN_TIME.search(first.source):
        found.append("the first cell should say: runs in about **N s**")
    if len({cell.id for cell in book.cells}) != len(book.cells):
        found.append("cell ids are not unique")
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("code cells are not executed 1..n")
    if "widgets" in book.metadata:
        found.append("metadata.widgets is saved")
    if book.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append("the kernel should be python3")
    if path.stat().st_size > 1_000_000:
        found.append(f"{path.stat().st_size:,} bytes, over 1 MB")
    for number, cell in enumerate(code, 1):
        found += [f"code cell {number}: {fault}" for fault in cell_faults(cell)]
    for target in re.findall(r"\]\(([^)#]+)", "\n".join(c.source for c in book.cells if c.cell_type == "markdown")):
        if not target.startswith(("http", "mailto:")) and not (path.parent / target).exists():
            found.append(f"the link to {target} leads nowhere")
    return found


def cell_faults(cell):
    tags = cell.metadata.get("tags", [])
    most = 25 if "hide-input" in tags else 12  # what a learner reads
    if len(cell.source.splitlines()) > most:
        yield f"over {most} lines"
    for pattern, what in FORBIDDEN.items():
        if re.search(pattern, cell.source, re.M):
            yield f"holds {what}"
    for output in cell.outputs:
        data = output.get("data", {})
        if output.output_type == "error" and "raises-exception" not in tags:
            yield f"ends in {output.ename}"
        if output.get("name") == "stderr":
            yield "writes to stderr"
        if WIDGET in data:
            yield "holds a live widget"
        if "image/svg+xml" in data:
            yield "holds an SVG, whose text nbval would compare"
        if "image/png" in data and not output.metadata.get("image/png", {}).get("alt"):
            yield "has a picture without alt text"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    paths = [path.resolve() for path in options.notebooks] or sorted(FOLDER.glob("*.ipynb"))
    if options.check:
        lines = [f"{path.name}: {fault}" for path in paths for fault in faults(path)]
        sys.exit("\n".join(lines) or None)
    os.environ["SNN_DATA_DIR"] = "bundled"
    for path in paths:
        build(path)


if __name__ == "__main__":
    main()
