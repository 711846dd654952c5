"""Record the ANN twin of the hidden layer on the full MNIST: what notebook 05 pairs with hidden-layer fast.

python tools/record_twin.py [SEED ...]    writes snn_helpers/assets/recorded/mlp-twin-fast-seedN.json, seeds 0, 1, 2 by
                                          default, and how its learning rate was chosen: mlp-twin-choice.json (minutes)

SNN_DATA_DIR names the folder with MNIST's files. The twin is trained as ``hidden-layer fast`` is, but for its network,
its input (the image) and its learning rate: its own, chosen on the last 5,000 training digits with three seeds.
"""

import argparse
import json
from dataclasses import replace

import torch.nn.functional as F

from snn_helpers import assets, data, networks, recipes, weights
from snn_helpers.runs import by_recipe

RATES = 1e-3, 3e-3, 1e-2, 3e-2
CHOICE = assets.RECORDED / "mlp-twin-choice.json"
TWIN = replace(
    recipes.RECIPES["hidden-layer"]["fast"],
    network=networks.mlp,
    encode=recipes.without_time,
    loss=F.cross_entropy,
    steps=1,
    source="ours: the ANN twin of hidden-layer fast; learning rate chosen on the last 5,000 training images",
)


def held_out(lr, digits, held=5000):
    """Accuracy on the last ``held`` digits, one a seed, of twins trained on the others at this learning rate."""
    count = len(digits.labels) - held
    rest = data.Digits(digits.images[count:], digits.labels[count:], "")
    runs = (by_recipe.run(replace(TWIN, lr=lr), digits.first(count), rest, seed=s, progress=False) for s in range(3))
    return [record["test_accuracy"] for _, record in runs]


def choose(digits):
    """The best of RATES. What was found is written down after each, so that it is not found again."""
    found = json.loads(CHOICE.read_text(encoding="utf-8")) if CHOICE.exists() else {}
    for lr in RATES:
        if str(lr) not in found:
            found[str(lr)] = held_out(lr, digits)
            weights.write(CHOICE, json.dumps(found, indent=1) + "\n")
            print(f"learning rate {lr:g}: {found[str(lr)]}", flush=True)
    return max(RATES, key=lambda lr: sum(found[str(lr)]))


def record(recipe, seed, digits, test):
    result = {"system": "mlp-twin", "recipe": "fast"}
    result |= by_recipe.run(recipe, digits, test, seed=seed, progress=False)[1]
    weights.write(assets.RECORDED / f"mlp-twin-fast-seed{seed}.json", json.dumps(result, indent=1) + "\n")
    print(f"seed {seed}: {result['test_accuracy']:.2%}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    digits, test = data.mnist(True), data.mnist(False)
    if len(digits.labels) != 60_000:
        parser.error(f"wanted the full MNIST, got {digits.source}: set SNN_DATA_DIR, or run: snn download")
    recipe = replace(TWIN, lr=choose(digits))
    for seed in options.seeds:
        record(recipe, seed, digits, test)


if __name__ == "__main__":
    main()
