"""Record how the published convolutional network wakes up, batch by batch: for ``widgets.waking_explorer``.

python tools/record_waking.py    writes snn_helpers/assets/recorded/csnn-waking.json (about five minutes on two cores)

The first batches of ``csnn-reference``, seed 0, with the loop that made the recorded run, but for 25 steps in place of
100: what is silent under a constant input has settled by then. Kept is what the biases, membranes and gradients do
until the output fires, and a little longer. Full MNIST is needed: name its folder in SNN_DATA_DIR.
"""

import json
from dataclasses import replace

import torch

from snn_helpers import assets, data
from snn_helpers.recipes import RECIPES
from snn_helpers.runs import loop

BATCHES, STEPS = 112, 25
OUT = assets.RECORDED / "csnn-waking.json"


def record(recipe, digits, batches=BATCHES, seed=0):
    """One dict of lists, an entry a batch; all but ``gradient`` and ``moved`` is of before the batch's step.

    spikes, top : of the four layers: share of steps with a spike, and the highest membrane
    bias, membrane : of the ten outputs: the bias, and the membrane at the last step, mean of the digits
    hidden : lowest, middle and highest bias of layer 3
    gradient, moved : of the four weight matrices, then of the four biases: the largest gradient in it, and how far it
        has moved at most since the start
    """
    torch.manual_seed(seed)
    net = recipe.network()
    start = [parameter.detach().clone() for parameter in _in_order(net)]
    names = "loss", "spikes", "top", "bias", "membrane", "hidden", "gradient", "moved"
    run = {name: [] for name in names}

    @torch.no_grad()
    def look(net, _, records):
        run["spikes"].append([layer.spikes.mean().item() for layer in records])
        run["top"].append([layer.membrane.max().item() for layer in records])
        run["bias"].append(net.layers[3].bias.tolist())
        run["membrane"].append(records[-1].membrane[-1].mean(0).tolist())
        hidden = net.layers[2][1].bias
        run["hidden"].append([hidden.min().item(), hidden.median().item(), hidden.max().item()])

    def after(history):
        now = _in_order(net)
        run["loss"].append(history.loss[-1])
        run["gradient"].append([parameter.grad.abs().max().item() for parameter in now])
        run["moved"].append([(new - old).abs().max().item() for new, old in zip(now, start, strict=True)])
        if len(run["loss"]) == batches:
            raise KeyboardInterrupt  # the loop ends as if somebody had pressed the button

    net.register_forward_hook(look)
    loop.train(net, digits, replace(recipe, test_every=None), seed=seed, on_step=after, progress=False)
    run = {name: _short(values) for name, values in run.items()}
    about = {"seed": seed, "steps": recipe.steps, "batch_size": recipe.batch_size, "lr": recipe.lr}
    return {**about, "digits": digits.source.split(" in ")[0], **run}


def _in_order(net):
    """The four weight matrices (or kernels), then the four biases."""
    parameters = list(net.parameters())
    return parameters[::2] + parameters[1::2]


def _short(values):
    """Five digits of each number: the file stays small."""
    return [_short(value) for value in values] if isinstance(values, list) else float(f"{values:.5g}")


if __name__ == "__main__":
    run = record(replace(RECIPES["csnn"]["reference"], steps=STEPS), data.mnist(train=True))
    OUT.write_text(json.dumps(run) + "\n", encoding="utf-8")
