"""Guess cards as the kernel sees them: what is saved, what is sent, what is kept. The card itself is in browser/."""

import base64
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from snn_helpers import widgets
from snn_helpers.widgets import cards as module


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A reader's machine on which nothing was guessed."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(module, "_cards", {})
    monkeypatch.setattr(module, "_session", {})
    return tmp_path


def number(key="02.rate", truth=18, **how):
    return widgets.guess(key, "How many spikes?", truth, between=(0, 100), **how)


RECORD = {
    "key": "02.rate",
    "kind": "number",
    "question": "How many spikes?",
    "guess": 10,
    "share": 0.08,
    "text": "8 too few.",
}


def commit(card, value=10):
    """What the browser does: the guess goes to the kernel, and what became of it after the truth has come."""
    card.guess = {"value": value}
    card.record = {**RECORD, "key": card.spec["key"], "guess": value}


def test_the_truth_is_sent_only_after_a_guess():
    card = number(because="It leaks.")
    assert "18" not in json.dumps([card.spec, card.answer, card.record])
    card.guess = {"value": None}  # "show me" is an answer too
    assert card.answer == {"value": 18.0, "because": "It leaks.", "picture": "", "alt": ""}
    card.guess = {}
    assert card.answer == {}


@pytest.mark.parametrize("curve", [[1, 2, 4], np.array([1, 2, 4]), torch.tensor([1.0, 2.0, 4.0])])
def test_a_curve_is_a_list_of_any_kind(curve):
    card = widgets.guess("02.curve", "How?", curve, x=torch.tensor([1, 4, 16]), between=(1, 8), log=True)
    card.guess = {"value": [1, 1, 1]}
    assert card.answer["value"] == [1, 2, 4] and card.spec["x"] == [1, 4, 16] and card.spec["kind"] == "curve"


def test_what_is_saved_holds_the_answer_only_in_code(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(module, "display", lambda data, raw, metadata: shown.append((data, metadata)))
    figure = Figure()
    figure.subplots().plot([0, 1])
    options = ["it rises", "it falls <b>"]
    card = widgets.guess("02.way", "Which way?", options[1], options=options, picture=figure, alt="A line that falls.")
    card._ipython_display_()
    (data, metadata), readable = shown[0], str({**shown[0][0]})
    assert data["text/plain"] == "Guess first. Which way?" and "it falls &lt;b&gt;" in data["text/html"]
    assert "iVBOR" not in readable and "A line" not in readable
    coded = json.loads(base64.b64decode(metadata["guess"]))
    assert coded["answer"]["value"] == options[1] and coded["answer"]["picture"].startswith("iVBOR")
    assert coded["spec"] == card.spec


@pytest.mark.parametrize(
    "how, words",
    [
        ({"truth": "c", "options": ["a", "b"]}, "one of the options"),
        ({"truth": 5}, "between must be"),
        ({"truth": 5, "between": (6, 9)}, "between must be"),
        ({"truth": float("nan"), "between": (6, 9)}, "between must be"),
        ({"truth": [1, 2], "between": (0, 9), "x": [1, 2, 3]}, "shape"),
        ({"truth": [1, 2], "between": (0, 9)}, "shape"),
        ({"truth": 1, "between": (0, 9), "log": True}, "logarithmic"),
        ({"truth": 1, "between": (0, 9), "picture": Figure()}, "alt"),
    ],
)
def test_a_card_that_nobody_could_answer_is_refused(how, words):
    with pytest.raises(ValueError, match=words):
        widgets.guess("02.x", "What?", **how)


def test_guesses_outlive_the_kernel(machine, monkeypatch):
    commit(number())
    monkeypatch.setattr(module, "_session", {})
    again = number()
    assert again.record["guess"] == 10 and again.answer["value"] == 18
    again.guess, again.record = {}, {}  # "guess anew"
    assert number().record == {} and number().answer == {}


def test_the_summary_follows_the_cards_of_its_notebook():
    first, second, other = number(), number("02.more"), number("03.rate")
    summary = widgets.guesses("02")
    assert summary.count == 2 and summary.records == []
    commit(other)
    commit(second, None)
    commit(first)
    assert [record["guess"] for record in summary.records] == [10, None]
    first.record = {}
    assert [record["key"] for record in summary.records] == ["02.more"]


def test_where_nothing_can_be_written_guesses_last_as_long_as_the_kernel(machine, monkeypatch):
    blocked = machine / "file"
    blocked.write_text("")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(blocked))
    commit(number())
    assert number().record["guess"] == 10


def test_a_broken_file_is_no_guess(machine):
    module.place().parent.mkdir()
    module.place().write_text("{")
    assert number().record == {}
    commit(number())
    assert json.loads(module.place().read_text())["02.rate"]["guess"] == 10


NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_saved_notebook_asks_and_does_not_tell(path):
    cells, keys, sums = nbformat.read(path, 4).cells, [], 0
    for place, cell in enumerate(cells):
        for output in cell.get("outputs", []):
            if "guess" not in output.get("metadata", {}):
                continue
            saved = json.loads(base64.b64decode(output.metadata.guess))
            if saved["spec"]["kind"] == "summary":
                sums += 1
                assert saved["spec"]["keys"] == keys, "a card that is not summed up"
                continue
            keys.append(saved["spec"]["key"])
            assert saved["answer"]["because"], keys[-1]
            around = cells[max(0, place - 2) : place + 2]  # what is read in the same minute
            seen = "".join(cell.source if cell.cell_type == "markdown" else json.dumps(cell.outputs) for cell in around)
            seen = seen.replace(output.metadata.guess, "").replace(saved["spec"]["question"], "")
            assert saved["answer"]["because"] not in seen
            if saved["spec"]["kind"] == "number" and len(words := f"{saved['answer']['value']:.3g}") > 2:
                assert not re.search(rf"(?<![\d.]){re.escape(words)}(?![\d.])", seen), (keys[-1], words)
    assert sums == 1 and len(keys) == len(set(keys)) >= (1 if path.stem.startswith("00") else 3)
    assert all(key.startswith(f"{path.stem[:2]}.") for key in keys)
