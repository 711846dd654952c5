"""What the recorded runs reached, and whether their weights still do in plain snnTorch: python benchmarks/accuracy.py

The weights that come with the package are those of seed 0. Here snnTorch's own ``Leaky`` runs them on the 10,000 test
digits, step by step, with the recipe's input, for the same accuracy. Writes benchmarks/results/accuracy.json and a
table of the README. Takes some minutes.
"""

from statistics import mean, stdev

import snntorch
import torch
from measure import into_readme, machine, markdown, save
from torch import nn

from snn_helpers import assets, data, neurons, recipes, training, weights
from snn_helpers.runs import by_recipe

PUBLISHED = {"single-layer": "", "hidden-layer": "", "csnn": "", "cnn-to-snn": "CNN, other digits: "}


class InSnnTorch(nn.Module):
    """The layers of an SNN with snnTorch's neurons, and the loop over time of its tutorials."""

    def __init__(self, net):
        super().__init__()
        self.layers, self.start = net.layers, net.v_init * net.neuron["threshold"]
        given = {key: net.neuron[key] for key in ("beta", "threshold")}
        self.neurons = nn.ModuleList(snntorch.Leaky(**given, reset_mechanism=net.neuron["reset"]) for _ in net.layers)

    def forward(self, x):
        membranes, out = [None] * len(self.layers), []
        for signal in x:
            for i, (layer, leaky) in enumerate(zip(self.layers, self.neurons, strict=True)):
                current = layer(signal)
                before = torch.full_like(current, self.start) if membranes[i] is None else membranes[i]
                signal, membranes[i] = leaky(current, before)
            out.append((signal, membranes[i]))
        return [neurons.Record(*map(torch.stack, zip(*out, strict=True)))]


def nearest(record):
    """The spike count; between equals, who is nearest to the next spike (``conversion.Simulation.answers``)."""
    return record.spikes.sum(0) + (record.membrane[-1] - record.spikes[-1]) / 1000


def in_snntorch(system, name):
    """The accuracy of the weights that come with the package, all in float32."""
    recipe, net = recipes.RECIPES[system][name], weights.trained(system, name)
    if not recipe.convert:
        return training.accuracy(InSnnTorch(net), data.mnist(False), recipe.input, readout=recipe.readout)
    how = recipe.convert
    snn = by_recipe.spiking(net, data.mnist(), how)
    return training.accuracy(
        InSnnTorch(snn), data.mnist(False), lambda images: how["encode"](images, how["steps"]), readout=nearest
    )


def recorded(system, name):
    return [100 * run["test_accuracy"] for run in weights.recorded(system, name)]


def text(content):
    rows = []
    for system, others in PUBLISHED.items():
        row = [f"`{system}`", f"{others}{weights.published(system)['test_accuracy']:.2%}"]
        for name in "reference", "fast", "best":
            found = recorded(system, name) if name in recipes.RECIPES[system] else None
            row.append(f"{mean(found):.2f} ± {stdev(found):.2f} %" if found else "")
        rows.append(row)
    again = "; ".join(
        f"`{system}` `{name}` {100 * share:.2f} % (recorded: {recorded(system, name)[0]:.2f} %)"
        for system, names in content["in snnTorch"].items()
        for name, share in names.items()
    )
    table = markdown(["", "published", "`reference`", "`fast`", "`best`"], rows)
    return (
        f"{table}\n\nThe weights that come with the package, of seed 0, run by snnTorch's own `Leaky`: {again}. Some "
        "of them are stored with half as many bits, so the number that is right may differ by a digit or two."
    )


def main():
    shipped = {system: [n for n in names if f"{system}-{n}.safetensors" in assets.SHA256]
               for system, names in recipes.RECIPES.items()}  # fmt: skip
    found = {system: {name: in_snntorch(system, name) for name in names} for system, names in shipped.items()}
    content = {**machine(), "in snnTorch": found}
    save("accuracy", content)
    into_readme("accuracy", text(content))
    print(text(content))


if __name__ == "__main__":
    main()
