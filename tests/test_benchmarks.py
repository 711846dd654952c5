"""The pages for people say what benchmarks/results says; the plan is complete; a class that ends leaves nothing."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from itertools import chain
from pathlib import Path

import nbformat
import pytest
from measure import load

from snn_helpers.exercises.core import EXERCISES

ROOT = Path(__file__).parents[1]
TEACHERS = (ROOT / "docs" / "teachers.md").read_text(encoding="utf-8")
CLASS, MEMORY = load("classroom"), load("notebook_memory")
NUMBER = re.compile(r"[\d.]+")


def rows(first):
    """The cells of the table of the teachers' page whose head starts with ``first``, row by row."""
    table = re.search(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEACHERS, re.M)[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_of_the_class_is_the_measured_one():
    printed = [[float(NUMBER.match(cell)[0]) for cell in row] for row in rows("students")]
    keys = "students", "median_ms", "p95_ms", "run_s", "pss_mib"
    assert printed == [[round(row[key]) for key in keys] for row in CLASS["one_thread"]["rows"]]


def test_the_numbers_in_the_text_are_measured_ones():
    reached = CLASS["one_thread"]["students"]
    row = next(row for row in CLASS["one_thread"]["rows"] if row["students"] == reached)
    heaviest = max(MEMORY["peak_mib"], key=MEMORY["peak_mib"].get)
    for words in (
        f"**{CLASS['cores']} cores and {CLASS['memory_gib']:.0f} GiB** carried **{reached} students**",
        f"{row['free_gib']} GiB were still free",
        f"{row['run_s'] / reached:.1f} s a student",
        f"about **{row['pss_mib']} MiB** with notebook 02",
        f"that of notebook {heaviest}, at **{MEMORY['peak_mib'][heaviest]:,} MiB**",
    ):
        assert words in TEACHERS, words
    assert all(row["median_ms"] <= 30 for row in CLASS["one_thread"]["rows"])  # "half ... within 30 ms"
    assert row["p95_ms"] <= 100  # "within a tenth of a second"
    assert CLASS["one_thread"]["ended_by"] == "memory"  # "too little for eight more"


def test_the_limit_of_memory_leaves_room_for_every_notebook():
    assert sorted(MEMORY["peak_mib"]) == [path.name[:2] for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    limit = int(re.search(r"limits\.memory (\d+)G", TEACHERS)[1]) * 1024
    server = 200  # MiB: what a student's server itself may take
    assert max(MEMORY["peak_mib"].values()) + server < limit


def test_the_plan_has_every_notebook_with_its_times_and_every_exercise_once():
    plan, assigned = rows("week"), []
    books = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert [row[1][:2] for row in plan] == [path.name[:2] for path in books]
    for (_, name, read, run, *exercises), path in zip(plan, books, strict=True):
        header = nbformat.read(path, 4).cells[0].source
        minutes, seconds = re.search(r"Read: about (\d+) min · runs in about \*\*(\d+) s\*\*", header).groups()
        assert (read, run) == (f"{minutes} min", f"{seconds} s"), name
        numbers = re.findall(r"\d\d\.\d+", " ".join(exercises))
        assert all(number.startswith(name[:2]) for number in numbers), name
        assigned.append(numbers)
    assert sorted(chain(*assigned)) == sorted(EXERCISES)


def test_the_page_names_no_address_of_this_repository():
    for owner in re.findall(r"github\.com(?:/|%2F)(\w+)", TEACHERS):
        assert owner == "OWNER"


@pytest.mark.extra("classroom")
@pytest.mark.skipif(not Path("/proc").exists(), reason="the benchmark is for Linux")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_class_that_is_broken_off_leaves_no_process_and_no_file(end, tmp_path):
    import psutil

    if not (shutil.which("configurable-http-proxy") or os.environ.get("CONFIGURABLE_HTTP_PROXY")):
        pytest.skip("needs configurable-http-proxy, see benchmarks/classroom.py")

    def started():
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SNN_CLASSROOM", "").startswith(str(tmp_path)):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    command = [sys.executable, ROOT / "benchmarks" / "classroom.py", "1"]
    with open(tmp_path / "log", "w") as log:
        run = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while len(started()) < 3:  # the hub, its proxy, a student's server
        assert time.monotonic() < deadline and run.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.2)
    run.send_signal(end)
    assert run.wait(60) != 0
    assert started() == []
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize(
    "script, place",
    [
        ("latency", "latency"),
        ("accuracy", "accuracy"),
        pytest.param("speed", "speed", marks=pytest.mark.extra("bench")),
        pytest.param("busy", "busy", marks=pytest.mark.extra("bench")),
        pytest.param("time_to_accuracy", "time to accuracy", marks=pytest.mark.extra("bench")),
        ("step_memory", "memory of a step"),
    ],
)
def test_the_readme_says_what_was_measured(script, place):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the other libraries, as they are imported
        module = importlib.import_module(script)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    printed = re.search(f"<!-- {place} -->\n(.*?)<!-- end of {place} -->", readme, re.S)[1]
    assert printed == module.text(load(script)) + "\n"


def test_the_readme_says_when_two_processes_pay():
    one, threads, processes = (round(ms) for ms in load("distributed")["median_ms"].values())
    words = (
        f"takes {one} ms in one process with one thread, {threads} ms with two threads, {processes} ms in two processes"
    )
    assert words in (ROOT / "README.md").read_text(encoding="utf-8")
