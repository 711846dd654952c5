"""Guess cards: the reader says what will come before it is seen; what was guessed is kept on the reader's machine."""

import base64
import html
import json
import os
import weakref
from pathlib import Path

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from IPython.display import display
from jupyter_core.paths import jupyter_data_dir

from snn_helpers import plots
from snn_helpers.widgets.panel import module

COUNT = "How your guesses of this notebook went: run the notebook to see."
_session: dict = {}  # guesses that could not be written
_cards: dict = {}  # every card made here, in order: key -> True
_shown: weakref.WeakSet = weakref.WeakSet()  # the summaries that follow


def guess(
    key, question, truth, *, options=None, x=None, between=None, labels=("", ""), unit="", log=False, picture=None,
    alt="", because="",
):  # fmt: skip
    """A card that takes a guess down, and shows ``truth`` only then (or after "show me").

    Parameters
    ----------
    key : the notebook's number, a dot and a word, "02.rate": the guess is kept under it
    question : plain text
    truth : computed by the notebook: a number; or one of ``options``; or as many numbers as ``x``, a curve
    options : what there is to choose from
    x : 3 to 12 positions along the axis of a curve; the reader sets a height at each
    between : (low, high), the ends of the scale of a number or of the vertical axis of a curve; they hold the truth
    labels : of the two axes of a curve, with their units
    unit : stands behind a number
    log : a logarithmic scale
    picture : a Figure, shown with the truth; ``alt`` is what it shows, in a sentence. It is closed
    because : why it is so, shown with the truth

    Raises
    ------
    ValueError : where the truth lies outside what can be guessed, so that the card could not be answered
    """
    spec = {"key": key, "question": question, "unit": unit, "log": log, "labels": list(labels)}
    if options is not None:
        if truth not in options:
            raise ValueError(f"guess: truth must be one of the options {list(options)}, got {truth!r}.")
        spec |= {"kind": "choice", "options": list(options)}
    else:
        values = np.asarray(truth, float)
        wanted = () if x is None else (len(x),)
        if values.shape != wanted:
            raise ValueError(
                f"guess: truth must have the shape {wanted}, one number a position of x, got {values.shape}."
            )
        if between is None or not (
            between[0] <= values.min() and values.max() <= between[1] and between[0] < between[1]
        ):
            raise ValueError(f"guess: between must be (low, high) around the truth, got {between} for {values}.")
        if log and between[0] <= 0:
            raise ValueError(f"guess: a logarithmic scale must begin above 0, got {between}.")
        truth = values.tolist()
        spec |= {"kind": "number" if x is None else "curve", "between": [float(end) for end in between]}
        spec["whole"] = bool((values == values.round()).all() and between[1] - between[0] >= 5)
        spec["x"] = [] if x is None else [float(at) for at in x]
    answer = {"value": truth, "because": because, "picture": "", "alt": alt}
    if picture is not None:
        if " " not in alt.strip():
            raise ValueError("guess: a picture needs alt, one sentence that says what it shows.")
        answer["picture"] = base64.b64encode(plots.png(picture)).decode()
        plt.close(picture)
    return Card(spec, answer)


def guesses(notebook):
    """How the cards of a notebook ("02") went: how many, how far off, and where the reader was surprised."""
    return Summary(notebook)


class Browser(anywidget.AnyWidget):
    """What cards.js draws. A saved notebook holds the question, and for the site the rest in base64 as metadata."""

    _esm = module("cards")
    spec = traitlets.Dict().tag(sync=True)

    def saved(self):
        """(html, text, answer): what a reader without a kernel sees, and what only the site's card may show."""
        raise NotImplementedError

    def _ipython_display_(self):
        shown, text, answer = self.saved()
        live = self._repr_mimebundle_()
        live = live[0] if isinstance(live, tuple) else live
        coded = base64.b64encode(json.dumps({"spec": self.spec, "answer": answer}).encode()).decode()
        display({**live, "text/html": shown, "text/plain": text}, raw=True, metadata={"guess": coded})


class Card(Browser):
    """One question. ``answer`` reaches the browser only when ``guess`` has come from there."""

    guess = traitlets.Dict().tag(sync=True)  # {} until committed, then {"value": ...}; None for "show me"
    answer = traitlets.Dict().tag(sync=True)
    record = traitlets.Dict().tag(sync=True)  # what is kept: question, guess, share of the scale, words

    def __init__(self, spec, answer):
        self._truth = answer
        _cards[spec["key"]] = True
        earlier = kept().get(spec["key"], {})
        super().__init__(spec=spec, record=earlier, answer=answer if earlier else {})
        self.observe(lambda change: self.set_trait("answer", self._truth if change.new else {}), "guess")
        self.observe(lambda change: keep(spec["key"], change.new), "record")

    def saved(self):
        question = html.escape(self.spec["question"])
        offered = "".join(f"<li>{html.escape(option)}</li>" for option in self.spec.get("options", ()))
        shown = f"<p><b>Guess first.</b> {question}</p>{f'<ul>{offered}</ul>' if offered else ''}"
        return shown + "<p><i>Run this cell to answer.</i></p>", f"Guess first. {self.spec['question']}", self._truth


class Summary(Browser):
    """Follows the cards of one notebook."""

    records = traitlets.List().tag(sync=True)
    count = traitlets.Int().tag(sync=True)

    def __init__(self, notebook):
        super().__init__(spec={"kind": "summary", "keys": [key for key in _cards if key.startswith(f"{notebook}.")]})
        _shown.add(self)
        self.update()

    def update(self):
        """Read the guesses again."""
        found = kept()
        self.count = len(self.spec["keys"])
        self.records = [found[key] for key in self.spec["keys"] if key in found]

    def saved(self):
        return f"<p><i>{COUNT}</i></p>", COUNT, {}


def place():
    """The file of the guesses, where Jupyter keeps what belongs to this user."""
    return Path(jupyter_data_dir()) / "snn_helpers" / "guesses.json"


def kept():
    """What was guessed on this machine: key -> record."""
    try:
        return {**json.loads(place().read_text(encoding="utf-8")), **_session}
    except (OSError, ValueError):
        return dict(_session)


def keep(key, record):
    """Keep one record, or forget it if it is empty; where nothing can be written, until the kernel ends."""
    found = {name: value for name, value in kept().items() if name != key} | ({key: record} if record else {})
    try:
        place().parent.mkdir(parents=True, exist_ok=True)
        half = place().with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(found, indent=1), encoding="utf-8")
        half.replace(place())
        _session.clear()
    except OSError:
        _session.clear()
        _session.update(found)
    for summary in _shown:
        summary.update()
