"""Peak memory of one training step of the CSNN, against T: python benchmarks/step_memory.py

Each figure is a process of its own: what it holds at most (VmHWM), less what it held before the step. Writes
benchmarks/results/step_memory.json and the table of the README. Linux only. Needs the extra ``bench``.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from measure import into_readme, machine, markdown, save

STEPS = 25, 100, 225
WHO = "ours", "ours, recompute", "snnTorch", "SpikingJelly"


def one(who, steps):
    """In a process of its own: MiB of one step, and its seconds, after a step of T = 2 that loads what is needed."""
    import torch
    from peers import LAYERS, Ours, SnnTorch, SpikingJelly
    from speed import step_of

    torch.manual_seed(0)
    layers = LAYERS["CSNN"]()
    if who == "ours, recompute":
        net = Ours(layers, recompute=round(steps**0.5))
    else:
        net = {"ours": Ours, "snnTorch": SnnTorch, "SpikingJelly": SpikingJelly}[who](layers)
    step_of(net, 2, constant=True)()
    before = held("VmRSS")
    step = step_of(net, steps, constant=True)
    start = time.perf_counter()
    step()
    print(json.dumps({"mib": round(held("VmHWM") - before), "seconds": time.perf_counter() - start}))


def held(what):
    """MiB that this process holds now (VmRSS) or held at most (VmHWM)."""
    return int(re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def text(content):
    rows = []
    for who in WHO:
        found = [row for row in content["rows"] if row["who"] == who]
        rows.append([who, *(f"{row['mib']:,} MiB, {row['seconds']:.1f} s" for row in found)])
    return markdown(["peak memory and time of a training step", *(f"T = {steps}" for steps in STEPS)], rows)


def main():
    rows = []
    for steps in STEPS:
        for who in WHO:
            run = subprocess.run(
                [sys.executable, __file__, who, str(steps)], check=True, capture_output=True, text=True
            )
            rows.append({"who": who, "T": steps, **json.loads(run.stdout.splitlines()[-1])})
            print(rows[-1], flush=True)
    content = {**machine(), "rows": rows}
    save("step_memory", content)
    into_readme("memory of a step", text(content))
    print(text(content))


if __name__ == "__main__":
    one(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else main()
