"""How this package and snnTorch share a machine that has other work to do: python benchmarks/busy.py

Poisson encoding, the neuron, a training step of each network with the steps of its recipe "fast", and a move of a
slider whose picture is drawn in Python: alone, beside one and two processes that never rest, and beside a training.
Nothing is set by hand: no number of threads, no way of waiting. Writes benchmarks/results/busy.json and the table of
the README. Needs the extra ``bench``. Takes minutes.
"""

import contextlib
import signal
import subprocess
import sys
import time

import snntorch
import torch
from measure import interleaved, into_readme, machine, markdown, save
from peers import BETA, Ours, SnnTorch
from snntorch import spikegen, surrogate
from speed import LAYERS, digits, step_of

from snn_helpers import encoding, neurons, surrogates, widgets

STEPS = {"single layer": 50, "hidden layer": 25, "CSNN": 8}
RESTLESS = "while True: pass"
TRAINING = """
from snn_helpers import data, recipes
from snn_helpers.runs import by_recipe
from dataclasses import replace
by_recipe.run(replace(recipes.RECIPES["csnn"]["fast"], epochs=1000, test_every=None), data.mnist(root="bundled"),
         data.mnist(train=False, root="bundled").first(500), seed=0, progress=False)
"""
# what else the machine does: the programs that run beside, and the seconds until they are at work
BESIDE = {
    "alone": ([], 0),
    "beside one process": ([RESTLESS], 1),
    "beside two": ([RESTLESS] * 2, 1),
    "beside a training": ([TRAINING], 15),
}


@contextlib.contextmanager
def company(programs, seconds):
    """The ``programs`` run as processes of their own for as long as the block does."""
    others = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    try:
        time.sleep(seconds)
        yield
        assert all(other.poll() is None for other in others), "what was to run beside has ended"
    finally:
        for other in others:
            other.kill()
            other.wait()


def encoder():
    images, _ = digits()
    return {"ours": lambda: encoding.poisson(images, 100), "snnTorch": lambda: spikegen.rate(images, num_steps=100)}


def neuron():
    """[100, 128, 1024], forward and backward."""
    current = (torch.randn(100, 128, 1024) * 0.5 + 0.3).requires_grad_()
    weight = torch.randn(100, 128, 1024)
    leaky = snntorch.Leaky(beta=BETA, reset_mechanism="zero", spike_grad=surrogate.atan(alpha=2.0))

    def ours():
        return neurons.lif(current, beta=BETA, reset="zero", spike=surrogates.atan(2.0)).spikes

    def snntorchs():
        membrane, spikes = leaky.init_leaky(), []
        for step in current.unbind(0):
            spike, membrane = leaky(step, membrane)
            spikes.append(spike)
        return torch.stack(spikes)

    def both(run):
        current.grad = None
        run().backward(weight)

    return {"ours": lambda: both(ours), "snnTorch": lambda: both(snntorchs)}


def training_step(name):
    torch.manual_seed(0)
    layers = LAYERS[name]()
    nets = {"ours": Ours(layers), "snnTorch": SnnTorch(layers)}
    return {who: step_of(net, STEPS[name], constant=name == "CSNN") for who, net in nets.items()}


def slider():
    explorer = widgets.poisson_explorer()
    control = explorer.controls["seed"]

    def move():
        control.value = 1 - control.value

    return {"ours": move}


def works():
    """What is timed: name -> {library: function}."""
    found = {
        "Poisson encoding of 128 digits, T = 100": encoder(),
        "neuron alone, forward and backward, T = 100": neuron(),
    }
    for name, steps in STEPS.items():
        found[f"training step, {name}, T = {steps}"] = training_step(name)
    return found | {"a move of a slider, picture drawn in Python": slider()}


def text(content):
    """The rows as Markdown: milliseconds alone, and how many times as long the same takes in company."""
    crowds = [name for name in BESIDE if name != "alone"]
    lines = []
    for row in content["rows"]:
        for who, seconds in row["seconds"].items():
            times = [f"{seconds[crowd] / seconds['alone']:.1f} x" for crowd in crowds]
            slower = ""
            if who == "snnTorch":
                ours = row["seconds"]["ours"]["beside a training"]
                slower = f"{seconds['beside a training'] / ours:.1f} x"
            lines.append([row["work"], who, f"{1000 * seconds['alone']:,.1f} ms", *times, slower])
    return markdown(["work", "", "alone", *crowds, "beside a training, times ours"], lines)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that what runs beside is ended too
    found = works()
    rows = [{"work": work, "seconds": {who: {} for who in each}} for work, each in found.items()]
    for crowd, programs in BESIDE.items():
        with company(*programs):
            for row, each in zip(rows, found.values(), strict=True):
                for who, median in interleaved(each).items():
                    row["seconds"][who][crowd] = median
                print(crowd, row["work"], {who: seconds[crowd] for who, seconds in row["seconds"].items()}, flush=True)
    content = {**machine(), "rows": rows}
    save("busy", content)
    into_readme("busy", text(content))
    print(text(content))


if __name__ == "__main__":
    main()
