"""How long until system A's network reads 97.41 % of the test digits: python benchmarks/time_to_accuracy.py

The published recipe, written in snnTorch, against ``csnn-fast``. How many batches each needs is read from the recorded
runs (all 10,000 test images, three seeds, judged every 50 and every 200 batches); how long a batch takes
is measured here, in turns. Judging is not counted. Writes benchmarks/results/time_to_accuracy.json and a sentence
of the README. Needs the extra ``bench``. Takes a minute or two.
"""

import statistics
from dataclasses import replace

import torch
from measure import interleaved, into_readme, machine, markdown, save
from peers import SnnTorch
from snntorch import functional, surrogate

from snn_helpers import data, networks, recipes, weights
from snn_helpers.runs import loop

GOAL = weights.published("csnn")["test_accuracy"]
FAST = 10  # batches at a time: one alone is over before the clock is sure


def batches_needed(name):
    """Of each recorded seed, after how many batches the network was first found to reach the goal."""
    histories = [run["history"] for run in weights.recorded("csnn", name)]
    return [
        next(step for step, right in zip(h["test_step"], h["test_accuracy"], strict=True) if right >= GOAL)
        for h in histories
    ]


def published(digits):
    """One batch of the published recipe, in snnTorch."""
    recipe = recipes.RECIPES["csnn"]["reference"]
    neuron = dict(beta=0.5, reset_mechanism="subtract", spike_grad=surrogate.fast_sigmoid(slope=25))
    net = SnnTorch(networks.csnn().layers, **neuron)
    optimizer, loss = torch.optim.Adam(net.parameters(), lr=recipe.lr), functional.ce_rate_loss()
    images, labels = next(data.batches(digits, recipe.batch_size))

    def batch():
        optimizer.zero_grad()
        loss(net(recipe.input(images)), labels).backward()
        optimizer.step()

    return batch


def fast(digits):
    """FAST batches of csnn-fast, as the recorded runs were trained."""
    recipe = recipes.RECIPES["csnn"]["fast"]
    few = data.Digits(digits.images[: FAST * recipe.batch_size], digits.labels[: FAST * recipe.batch_size], "")
    net, recipe = recipe.network(), replace(recipe, epochs=1, test_every=None)
    return lambda: loop.train(net, few, recipe, seed=0, progress=False)


def seconds(content, name):
    """Of each seed."""
    return [number * content["seconds_a_batch"][name] for number in content["batches"][name]]


def text(content):
    rows = []
    for name in ("published", "fast"):
        took = seconds(content, name)
        number = ", ".join(map(str, content["batches"][name]))
        a_batch = f"{1000 * content['seconds_a_batch'][name]:,.0f} ms"
        rows.append([name, number, a_batch, f"{statistics.median(took):,.0f} s"])
    rows[0][0], rows[1][0] = "the published recipe, in snnTorch", "`csnn-fast`"
    ratio = statistics.median(seconds(content, "published")) / statistics.median(seconds(content, "fast"))
    rows[1][-1] += f", **{ratio:.0f} times shorter**"
    return markdown([f"until {GOAL:.2%} of the test digits", "batches, three seeds", "a batch", "median time"], rows)


def main():
    torch.manual_seed(0)
    digits = data.mnist(root="bundled")
    took = interleaved({"published": published(digits), "fast": fast(digits)})
    took["fast"] /= FAST
    content = {
        **machine(),
        "goal": GOAL,
        "batches": {"published": batches_needed("reference"), "fast": batches_needed("fast")},
        "seconds_a_batch": took,
    }
    save("time_to_accuracy", content)
    into_readme("time to accuracy", text(content))
    print(text(content))


if __name__ == "__main__":
    main()
