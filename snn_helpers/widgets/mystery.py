"""The mystery neuron of notebook 02: eight questions to a neuron that is hidden, noisy and must pause, then a score."""

from typing import NamedTuple

import ipywidgets
import matplotlib.pyplot as plt
import torch

from snn_helpers import plots
from snn_helpers.neurons import Record, beta_from_tau
from snn_helpers.widgets.panel import Panel, choice, keep_left, slider

STEPS, QUESTIONS, NOISE = 200, 8, 0.02
KINDS = ["constant", "ramp", "growing kicks", "pairs of kicks"]
_PAIRS = {0: 1, 30: 2, 60: 4, 90: 8, 130: 16}  # first step of a pair -> steps to its second kick


class Neuron(NamedTuple):
    """Its reset is to zero, and after a spike it is held at 0 for ``pause`` steps."""

    tau: float
    threshold: float
    pause: int


def hidden_neuron(number):
    """Mystery neuron ``number``, always the same one: tau 4 to 30 steps, threshold 0.6 to 1.8, a pause of 0 to 6."""
    draw = torch.Generator().manual_seed(100 + number)
    a, b = torch.rand(2, generator=draw).tolist()
    pause = torch.randint(0, 7, (), generator=draw).item()
    return Neuron(round(4 * (30 / 4) ** a, 1), round(0.6 + 1.2 * b, 2), pause)


def question(kind, size):
    """The current [STEPS] of a question: constant, growing from 0 to ``size``, eight ever larger kicks, or pairs."""
    current, step = torch.zeros(STEPS), torch.arange(STEPS)
    if kind == "constant":
        current += size
    elif kind == "ramp":
        current += size * step / (STEPS - 1)
    elif kind == "growing kicks":
        current[::25] = size * torch.arange(1, 9) / 8
    else:
        for first, gap in _PAIRS.items():
            current[[first, first + gap]] = size
    return current


def respond(neuron, current, noise=None):
    """What a neuron does with ``current`` [T]: its Record. ``noise`` [T] is added to the membrane at each step."""
    beta, u, pausing, membrane, spikes = beta_from_tau(neuron.tau), 0.0, 0, [], []
    for i in (current if noise is None else current + noise).tolist():
        u = 0.0 if pausing else beta * u + i
        pausing = max(0, pausing - 1)
        membrane.append(u)
        spikes.append(float(u > neuron.threshold))
        if spikes[-1]:
            u, pausing = 0.0, neuron.pause
    return Record(torch.tensor(spikes), torch.tensor(membrane))


def score(hidden, yours, left):
    """Points out of 100: 40 for tau and 30 for the threshold, fewer the more per cent they are off and none at 50 %;

    20 for the pause, 5 fewer for each step it is off; 10 for questions left over, of which there can be seven.
    """
    near = [max(0.0, 1 - 2 * abs(mine / theirs - 1)) for mine, theirs in zip(yours[:2], hidden[:2], strict=True)]
    pause = max(0, 20 - 5 * abs(yours.pause - hidden.pause))
    return round(40 * near[0] + 30 * near[1] + pause + 10 * left / (QUESTIONS - 1))


class Game:
    """What was asked of each neuron and what it answered, and the score once an answer was given for it."""

    def __init__(self):
        self.asked, self.scores = {}, {}

    def left(self, number):
        return QUESTIONS - len(self.asked.get(number, ()))

    def ask(self, number, kind, size):
        """Put a question to a neuron; nothing happens once there are none left, or an answer was given."""
        before = self.asked.setdefault(number, [])
        if number in self.scores or not self.left(number):
            return
        draw = torch.Generator().manual_seed(1000 * number + len(before))
        noise = NOISE * torch.randn(STEPS, generator=draw)
        current = question(kind, size)
        before.append((f"{kind} {size:.2f}", current, respond(hidden_neuron(number), current, noise).spikes))

    def answer(self, number, yours):
        """Give an answer, once, after at least one question."""
        if self.asked.get(number):
            self.scores.setdefault(number, (yours, score(hidden_neuron(number), yours, self.left(number))))

    def draw(self, axes, number, kind, size, tau, threshold, pause):
        yours, current = Neuron(tau, threshold, pause), question(kind, size)
        plots.current(current, axes[0]).set(xlabel="", ylabel="next input", ylim=(-0.05 * size, max(1.15 * size, 0.1)))
        plots.membrane(respond(yours, current), axes[1], threshold=threshold).set(xlabel="", ylabel="your U")
        rows = self.asked.get(number, [])
        for row, (_, sent, spikes) in enumerate(rows):
            for at, train, colour in (
                (row - 0.2, spikes, "black"),
                (row + 0.2, respond(yours, sent).spikes, plots.COLORS["membrane"]),
            ):
                fired = train.nonzero()[:, 0]
                axes[2].plot(fired, [at] * len(fired), "|", color=colour, markersize=6)
        names = [f"{row + 1} {name}" for row, (name, _, _) in enumerate(rows)]
        axes[2].set(ylim=(QUESTIONS - 0.5, -0.5), yticks=range(len(rows)), yticklabels=names)
        axes[2].set(xlim=(-0.5, STEPS - 0.5), xlabel="time step; hidden neuron black, yours blue")
        return self.headline(number, yours)

    def headline(self, number, yours):
        if number not in self.scores:
            left = self.left(number)
            said = f"neuron {number}: {left} of {QUESTIONS} questions left" + ("" if left else ", now answer")
            return f"{said} · yours: tau {yours.tau:g}, threshold {yours.threshold:g}, pause {yours.pause:g}"
        hidden, (given, points) = hidden_neuron(number), self.scores[number]
        found = " · ".join(
            f"{name} {theirs:g} (you said {mine:g})"
            for name, theirs, mine in zip(("tau", "threshold", "pause"), hidden, given, strict=True)
        )
        mean = sum(points for _, points in self.scores.values()) / len(self.scores)
        return f"{points} of 100 points: {found} · {len(self.scores)} played, {mean:.0f} points on average"


def mystery_explorer():
    """A neuron whose tau, threshold and pause are hidden: eight questions, then one answer, then the score."""
    game = Game()
    controls = {
        "number": slider("hidden neuron", 1, 1, 50, 1),
        "kind": choice("next input", KINDS),
        "size": slider("its size", 0.5, 0.0, 3.0, 0.01),
        "tau": slider("your tau", 8.0, 2.0, 40.0, 0.1, unit="steps"),
        "threshold": slider("your threshold", 1.0, 0.4, 2.0, 0.01),
        "pause": slider("your pause", 0, 0, 8, 1, unit="steps"),
    }
    panel = Panel(
        game.draw,
        controls,
        layout=lambda figure: keep_left(figure).subplots(3, 1, sharex=True, height_ratios=[1, 1.4, 3]),
        strip=_strip,
        sentence="Four questions to hidden neuron 1, each with the spikes (black) that it answers with: a constant "
        "current, a growing one, ever larger kicks, and pairs of kicks 1, 2, 4, 8 and 16 steps apart.",
        size=(8, 4.6),
    )
    wide = ipywidgets.Layout(width="16em")
    send = ipywidgets.Button(description="ask this", layout=wide)
    done = ipywidgets.Button(description="that is my answer", layout=wide)

    def follow(_=None):
        number = controls["number"].value
        send.disabled = number in game.scores or not game.left(number)
        done.disabled = number in game.scores or not game.asked.get(number)

    def on(button, act):
        button.on_click(lambda _: (act(panel.values()), panel.update(), follow()))

    on(send, lambda v: game.ask(v["number"], v["kind"], v["size"]))
    on(done, lambda v: game.answer(v["number"], Neuron(v["tau"], v["threshold"], v["pause"])))
    controls["number"].observe(follow, "value")
    panel.game, panel.buttons = game, (send, done)
    rows, *others = panel.children
    panel.children = (rows, ipywidgets.HBox([send, done]), *others)
    follow()
    return panel


def _strip():
    figure, axes = plt.subplots(4, 1, figsize=(8, 3.6), sharex=True)
    for ax, kind, size in zip(axes, KINDS, (0.3, 0.6, 2.4, 1.0), strict=True):
        game = Game()
        game.ask(1, kind, size)
        _, current, spikes = game.asked[1][0]
        plots.current(current, ax).set(xlabel="", ylabel="I", title=f"{kind}, {size:g}: {spikes.sum():.0f} spikes")
        fired = spikes.nonzero()[:, 0]
        ax.plot(fired, [1.35 * size] * len(fired), "|", color="black", markersize=7)
        ax.set_ylim(-0.1 * size, 1.6 * size)
    axes[-1].set_xlabel("time step")
    return figure
