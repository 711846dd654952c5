"""How the benchmarks measure and where they write: interleaved runs, medians, one JSON and one table of the README."""

import json
import os
import platform
import re
import statistics
import time
from pathlib import Path

import torch

from snn_helpers.engine.hardware import best_precision

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def interleaved(works, *, repeats=7, warm_up=1):
    """Median seconds of each of ``works`` (name -> function), called in turn, so that noise hits them alike."""
    times = {name: [] for name in works}
    for repeat in range(warm_up + repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if repeat >= warm_up:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def machine():
    """What was measured on, in words and numbers."""
    return {
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "chosen precision": str(best_precision()).removeprefix("torch."),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def save(name, content):
    """Write benchmarks/results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(name):
    """What ``save`` wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def markdown(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def into_readme(name, text):
    """Put ``text`` where the README says ``<!-- name -->`` ... ``<!-- end of name -->``."""
    path = ROOT / "README.md"
    whole = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    if begin not in whole:
        raise ValueError(f"README.md has no place for {name}: wanted a line {begin.strip()}")
    changed = re.sub(f"{begin}.*?{end}", lambda _: f"{begin}{text}\n{end}", whole, flags=re.DOTALL)
    path.write_text(changed, encoding="utf-8")
