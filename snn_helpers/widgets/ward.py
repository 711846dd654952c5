"""The ward of notebook 08: strangers drawn from a number, and a game: what ails them, by few examinations."""

import html
import random
import re
from itertools import combinations

import ipywidgets
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from snn_helpers import data, plots
from snn_helpers.neurons import Record
from snn_helpers.widgets import clinic
from snn_helpers.widgets.panel import Explorer, choice, slider

NONE = "nothing else"
HIDDEN = (60,), (100,), (150,), (80, 40)  # neurons of the hidden layers of a stranger
_SEEN = {"negatives into Poisson", "loss on the wrong axis"}  # whatever else there is
_BOTH = {"no reset between batches", "slope 1000"}
CASES = [(name,) for name in clinic.SICKNESSES]
PAIRS = [pair for pair in combinations(clinic.SICKNESSES, 2) if _SEEN & set(pair) or _BOTH == set(pair)]
WRONG = 2  # points for a wrong diagnosis; an examination is one


def sicknesses(number):
    """What ``stranger(number)`` has: one name of ``clinic.SICKNESSES``, or two that do not hide one another."""
    return _drawn(number)[0]


def stranger(number):
    """An untrained clinic.Patient drawn from a whole number: its network, its initial weights, one or two sicknesses.

    Raises ValueError for a number below 1.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"stranger: number must be a whole number of at least 1, got {number!r}.")
    names, built = _drawn(number)
    who = clinic.Patient(**built)
    for name in names:
        clinic.SICKNESSES[name].sick(who)
    return who


def _drawn(number):
    draw = random.Random(number).random  # the same numbers in every version of Python
    some = PAIRS if draw() < 0.5 else CASES
    names = some[int(draw() * len(some))]
    return names, dict(hidden=HIDDEN[int(draw() * len(HIDDEN))], seed=int(draw() * 10_000))


def _batch(who):
    """A batch of test digits as the patient itself encodes them, (spikes [T, B, ...], labels); drawn from seed 0."""
    digits = data.mnist(train=False, root=data.BUNDLED).first(clinic.BATCH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return who.encode(digits.pixels), digits.labels


@torch.no_grad()
def records(who):
    """Firing rates and highest membranes of the layers, for a batch of digits."""
    found = who(_batch(who)[0])
    rates = ", ".join(f"{record.spikes.mean():.0%}" for record in found)
    return {"firing rates": rates, "highest membranes": ", ".join(f"{record.membrane.max():.3g}" for record in found)}


def gradients(who):
    """The gradient of each layer's weights, as a share of that in a healthy network with the same initial weights."""
    norms = []
    for one in who, clinic.Patient(**who.built):
        x, labels = _batch(one)
        one.loss(one(x)[-1], labels).backward()
        norms.append([p.grad.norm().item() for p in one.parameters() if p.ndim == 2])
    return {"gradients, healthy = 1": ", ".join(f"{own / usual:.1g}" for own, usual in zip(*norms, strict=True))}


@torch.no_grad()
def twice(who):
    """Whether the same input gives the same membranes twice."""
    spikes, _ = _batch(who)
    first, second = (who(spikes)[-1].membrane for _ in range(2))
    return {"same question twice": "same answer" if torch.equal(first, second) else "two answers"}


@torch.no_grad()
def grey(who):
    """How often a pixel of 0.4 fires in the encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        share = who.encode(torch.full((clinic.BATCH, 1, 28, 28), 0.4)).mean()
    return {"a grey of 0.4 fires at": f"{share:.0%}"}


@torch.no_grad()
def perfect(who):
    """The loss of ten spikes in a row from the right neurons, and from no other."""
    label = torch.arange(10)
    spikes = F.one_hot(label, 10).float().expand(clinic.STEPS, 10, 10)
    return {"loss of a perfect answer": f"{who.loss(Record(spikes, spikes), label):.2f}"}


def batches(who):
    """The loss after 40 batches of training."""
    return {"loss after 40 batches": f"{clinic.treat(who)[-1]:.2f}"}


EXAMINATIONS = {
    "records": records,
    "gradients": gradients,
    "same question twice": twice,
    "a grey image": grey,
    "a perfect answer": perfect,
    "40 batches": batches,
}


class Case:
    """A stranger being examined: ``examine(name)``, ``say(names)``, and ``points`` so far (few are good)."""

    def __init__(self, number):
        self.number, self.points, self.over, self.notes = number, 0, False, {}

    def examine(self, name):
        """What was found, {what: how it is}; of a new copy of the stranger, so that no examination spoils another."""
        found = EXAMINATIONS[name](stranger(self.number))
        self.points += not self.over and not self.notes.keys() >= found.keys()
        self.notes |= found
        return found

    def say(self, names):
        """Whether ``names`` are what it has. A wrong diagnosis costs points, a right one ends the case."""
        right = set(names) == set(sicknesses(self.number))
        self.points += 0 if right or self.over else WRONG
        self.over = self.over or right
        return right


class Game(Explorer):
    """A stranger, six buttons to examine it, and a diagnosis of one or two names. ``case`` is the stranger's Case."""

    def __init__(self):
        self.record = {}  # number of a stranger that was found -> points
        self.case = Case(1)
        self.controls = {
            "number": slider("stranger number", 1, 1, 200, 1),
            "first": choice("it has", list(clinic.SICKNESSES)),
            "second": choice("and", [NONE, *clinic.SICKNESSES]),
        }
        self.headline, self.notes = ipywidgets.HTML(), ipywidgets.HTML()
        self.buttons = {name: ipywidgets.Button(description=name) for name in (*EXAMINATIONS, "that is it", "show me")}
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: self.press(name))
        row = ipywidgets.Layout(flex_flow="row wrap")
        examine, answer = list(self.buttons.values())[:-2], list(self.buttons.values())[-2:]
        number, *diagnosis = self.controls.values()
        self.controls["number"].observe(lambda change: self.start(change.new), "value")
        for control in diagnosis:
            control.observe(lambda _: self.show(), "value")
        self.start(number.value)
        rows = [number], examine, [*diagnosis, *answer]
        boxes = [ipywidgets.Box(widgets, layout=row) for widgets in rows]
        sentence = (
            "What the six examinations say of a healthy network and of seven sick ones; orange where it is clearly not "
            "what they say of the healthy one."
        )
        super().__init__([boxes[0], self.headline, boxes[1], self.notes, boxes[2]], strip=_strip, sentence=sentence)

    def start(self, number):
        """Turn to another stranger; nothing is known of it."""
        self.case = Case(number)
        self.show()

    def press(self, name):
        """What a button does."""
        if name in EXAMINATIONS:
            self.case.examine(name)
            return self.show()
        has, over = " and ".join(sicknesses(self.case.number)), self.case.over
        if name == "show me":
            self.case.over = True
            return self.show(f"It has: {has}.")
        if not self.case.say(self.names()):
            return self.show(f"No, that is not it (or not all of it). {WRONG} points more.")
        if not over:
            self.record.setdefault(self.case.number, self.case.points)
        self.show(f"Right: {has}, for {_points(self.case.points)}. Fewer is better." if not over else f"Right: {has}.")

    def names(self):
        """The diagnosis that the two lists stand at."""
        chosen = [self.controls[name].value for name in ("first", "second")]
        return list(dict.fromkeys(name for name in chosen if name != NONE))

    def show(self, verdict=""):
        """Write what is known so far."""
        text = verdict or f"{_points(self.case.points)} so far. Your diagnosis: {' and '.join(self.names())}?"
        found = len(self.record)
        mean = f"Found so far: {found}, for {sum(self.record.values()) / found:.1f} points each." if found else ""
        text = f"<b>Stranger {self.case.number}. {html.escape(text)}</b> {mean}"
        self.headline.value = f'<div aria-live="polite" style="line-height: normal">{text}</div>'
        notes = (f"{what}: <b>{how}</b>" for what, how in self.case.notes.items())
        self.notes.value = f'<div aria-live="polite">{"<br>".join(notes) or "Not examined yet."}</div>'


def _other(how, usual):
    """Whether a finding is clearly another: other words, or a number under half of the usual one or over twice."""
    own, healthy = (list(map(float, re.findall(r"\d[\d.]*(?:e-?\d+)?", text))) for text in (how, usual))
    return any(2 * a < b or a > 2 * b for a, b in zip(own, healthy, strict=True)) if healthy else how != usual


def _points(count):
    return f"{count} point{'s' * (count != 1)}"


def _strip():
    """What each examination says of each patient, as a table; orange where it differs from the healthy one."""
    rows = {}
    for name in (clinic.HEALTHY, *clinic.SICKNESSES):
        rows[name] = {}
        for examine in list(EXAMINATIONS.values())[:-1]:
            rows[name] |= examine(clinic.patient(name))
        rows[name]["loss after 40 batches"] = f"{clinic.visit(name).losses[-1]:.2f}"
    usual, figure = rows[clinic.HEALTHY], Figure(figsize=(10, 3.2))
    ax = figure.subplots()
    for y, found in enumerate(rows.values()):
        for x, (what, how) in enumerate(found.items()):
            more = what.startswith("loss after") and float(how) > float(usual[what]) + 0.15
            if more or _other(how, usual[what]):
                orange = dict(color=plots.COLORS["input"], alpha=0.45, linewidth=0)
                ax.fill_between([x - 0.47, x + 0.47], y - 0.4, y + 0.4, **orange)
            ax.text(x, y, how, ha="center", va="center", fontsize=8)
    names = [what.replace(", ", ",\n").replace(" of ", "\nof ").replace(" after", "\nafter") for what in usual]
    ax.set(xlim=(-0.5, len(usual) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(usual)), names)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return figure


def clinic_game():
    """Strangers to diagnose, each drawn from its number: an examination costs one point, a wrong diagnosis two."""
    return Game()
