"""Every exercise of every notebook: its solution passes, a blank is not attempted, nonsense is refused, hints exist."""

import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from snn_helpers.exercises import check, grade, hint
from snn_helpers.exercises.core import EXERCISES

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def exercises():
    """(number, what is imported, exercise cells, solution) of each check(...) in the notebooks."""
    for path in NOTEBOOKS:
        cells = nbformat.read(path, 4).cells
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        setup = "\n".join([code[0], *re.findall(r"^(?:from|import) .*[^(]$", "\n".join(code), re.M)])
        for i, cell in enumerate(cells):
            for number in re.findall(r"^check\(\"(\d\d\.\d)\"", cell.source, re.M) if cell.cell_type == "code" else []:
                solution = re.search(r"<details>.*?```python\n(.*?)```", cells[i + 1].source, re.S)
                assert solution, f"{path.name}: no solution in <details> after check {number}"
                start = next(k for k in range(i, 0, -1) if cells[k - 1].cell_type != "code")
                blank = "\n".join(each.source for each in cells[start : i + 1])
                yield pytest.param(number, setup, blank, solution[1], id=number)


@pytest.mark.parametrize("number, setup, cell, solution", list(exercises()))
def test_the_solution_is_right_and_the_blank_not_attempted(number, setup, cell, solution, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1] / "notebooks")
    argument = re.search(rf'^check\("{number}", (.*)\)$', cell, re.M)[1]
    names = {}
    exec(setup, names)
    exec(re.sub(r"^(check|hint)\(.*$", "", cell, flags=re.M), names)
    assert grade(number, eval(argument, names)).status == "not attempted"
    exec(solution, names)
    verdict = grade(number, eval(argument, names))
    assert verdict.status == "right", verdict


def test_every_exercise_is_asked_in_a_notebook():
    assert {parameter.id for parameter in exercises()} == set(EXERCISES)


@pytest.mark.parametrize("number", sorted(EXERCISES))
def test_three_hints_and_a_blank(number, capsys):
    for level in 1, 2, 3:
        hint(number, level)
    check(number, None)
    check(number, ...)
    lines = capsys.readouterr().out.splitlines()
    assert len({line.split(": ", 1)[1] for line in lines[:3]}) == 3
    assert all("not attempted" in line for line in lines[3:])


NONSENSE = [
    "a word", "", b"7", object(), [1, "two"], {}, {1: 2}, {3}, [], (), [[1, 2], [3]], True, 1j, 10**400, -math.inf,
    math.nan, [math.nan, math.inf], torch.zeros(0), torch.tensor(math.nan), np.array(["a"]), torch.ones(2, 3, 5),
    print, int, torch, torch.nn.Linear(2, 3), lambda: 1, [..., 1], (1, 2, 3, 4, 5, 6, 7), range(3), iter([1, 2]),
]  # fmt: skip


@pytest.mark.parametrize("number", sorted(EXERCISES))
def test_nonsense_is_refused_in_words_without_an_exception(number):
    for answer in NONSENSE:
        verdict = grade(number, answer)
        assert verdict.status == "not yet", (answer, verdict)
        assert not re.search(r"could not be judged|(nan|inf)\S* is too", verdict.reason), (answer, verdict.reason)
        assert "\n" not in verdict.reason, (answer, verdict.reason)


def forgetful(*given, **named):
    len(given)


def failing(*given, **named):
    raise KeyError("mine")


def greedy(a, b, c, d, e, f, g, h, i): ...


def leaving(*given, **named):
    exit()


def asks_for_a_function():
    """The numbers of the exercises whose answer is a function that the learner writes."""
    return [p.id for p in exercises() if re.search(rf'^check\("{p.id}", (\w+)\)$', p.values[2], re.M)[1] in defined(p)]


def defined(parameter):
    return re.findall(r"^def (\w+)\(", parameter.values[2], re.M)


@pytest.mark.parametrize("number", asks_for_a_function())
def test_a_function_that_fails_is_told_how(number, refused):
    refused(number, forgetful, "gives nothing back")
    refused(number, failing, r"your function raised KeyError: 'mine' \(line \d+ of test_exercises\.py: raise KeyError")
    refused(number, greedy, r"should take \d arguments?: \(\w+.*\); yours takes \(a, b, c, d, e, f, g, h, i\)")
    refused(number, leaving, "ended Python")


def test_an_unknown_number_says_which_there_are():
    with pytest.raises(ValueError, match=r"there is no exercise '07\.99'.*00\.1"):
        check("07.99", 1)
