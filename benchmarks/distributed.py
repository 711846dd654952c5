"""One process with one thread, one with two, two with one each: python benchmarks/distributed.py

Each trains csnn by the recipe "fast" on 13 batches: 2 warm up, the last waits for the judging, 10 count. Four rounds,
the three in turn. Several are started by torchrun, as a reader would. Prints the README's numbers and writes
benchmarks/results/distributed.json.
"""

import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from snn_helpers import data, recipes
from snn_helpers.runs import by_recipe, distributed

RESULT = Path(__file__).with_name("results") / "distributed.json"
ROUNDS, BATCHES, WARM = 4, 13, 2
SETTINGS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}


def times(path):
    """Leave the seconds of each batch after the first ones, and of what machine, as JSON in a file."""
    recipe = dataclasses.replace(recipes.RECIPES["csnn"]["fast"], epochs=1, test_every=None)
    digits, test = data.mnist(root="bundled"), data.mnist(False, root="bundled")
    count = BATCHES * recipe.batch_size
    few = data.Digits(digits.images[:count], digits.labels[:count], "")
    ends = []
    with distributed.team() as team:
        by_recipe.run(
            recipe,
            few,
            test._replace(images=test.images[:2], labels=test.labels[:2]),
            seed=0,
            on_step=lambda history: ends.append(time.perf_counter()),
            progress=False,
            team=team,
        )
    if team.first:  # the last batch is left out: it waits for the judging
        seconds = [b - a for a, b in zip(ends[WARM - 1 : -2], ends[WARM:-1], strict=True)]
        path.write_text(json.dumps({"seconds": seconds, "batch_size": recipe.batch_size, "steps": recipe.steps}))


def measured(processes, threads, path):
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    subprocess.run([*command, __file__, str(path)], env=environment, check=True)
    return json.loads(path.read_text())


def main():
    seconds = {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for name, setting in SETTINGS.items():
                seen = measured(*setting, Path(folder) / "seconds.json")
                new = seen.pop("seconds")
                seconds[name] += new
                print(name, [round(value, 3) for value in new], flush=True)
    result = {
        "network": "csnn, recipe fast",
        **seen,
        "images_per_second": {
            name: round(seen["batch_size"] / statistics.median(values), 1) for name, values in seconds.items()
        },
        "median_ms": {name: round(statistics.median(values) * 1000, 1) for name, values in seconds.items()},
        "batches": {name: len(values) for name, values in seconds.items()},
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores seen",
        "torch": torch.__version__,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("; ".join(f"{name}: {value:.0f} ms a batch" for name, value in result["median_ms"].items()))


if __name__ == "__main__":
    times(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
