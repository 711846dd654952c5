"""Every exercise of every notebook: its solution passes, a blank is not attempted, hints exist."""

import re
from pathlib import Path

import nbformat
import pytest

from snn_helpers.exercises import check, grade, hint
from snn_helpers.exercises.core import EXERCISES

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def exercises():
    """(number, first code cell, exercise cell, solution) of each check(...) in the notebooks."""
    for path in NOTEBOOKS:
        cells = nbformat.read(path, 4).cells
        setup = next(cell.source for cell in cells if cell.cell_type == "code")
        for i, cell in enumerate(cells):
            for number in re.findall(r"^check\(\"(\d\d\.\d)\"", cell.source, re.M) if cell.cell_type == "code" else []:
                solution = re.search(r"<details>.*?```python\n(.*?)```", cells[i + 1].source, re.S)
                assert solution, f"{path.name}: no solution in <details> after check {number}"
                yield pytest.param(number, setup, cell.source, solution[1], id=number)


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


@pytest.mark.parametrize("answer", ["a word", object(), [1, "two"], {}, float("nan")])
@pytest.mark.parametrize("number", sorted(EXERCISES))
def test_nonsense_is_refused_without_an_exception(number, answer, capsys):
    check(number, answer)
    assert capsys.readouterr().out.startswith("✘")


def test_the_learners_own_exception_is_shown_in_one_line(refused):
    from snn_helpers.exercises.core import call, exercise

    @exercise("99.9", "one", "two", "three")
    def judge(answer):
        return call(answer, 3)

    try:
        refused("99.9", lambda x: x / 0, r"your function raised ZeroDivisionError: division by zero \(line \d+")
        assert "\n" not in grade("99.9", lambda x: x / 0).reason
        refused("99.9", 3, "wanted a function, got int")
        assert grade("99.9", lambda x: None).status == "not attempted"
    finally:
        del EXERCISES["99.9"]


def test_an_unknown_number_says_which_there_are():
    with pytest.raises(ValueError, match=r"there is no exercise '07\.99'.*00\.1"):
        check("07.99", 1)
