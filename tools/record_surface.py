"""Record how the scale of the weights decides the accuracy of a converted CNN: for ``widgets.percentile_explorer``.

python tools/record_surface.py    writes snn_helpers/assets/recorded/cnn-to-snn-surface.json (about ten minutes)

The bundled CNN, balanced on MNIST's first 1,000 training images, reads all of its 10,000 test images in 40 steps of
constant input: for each way to choose the scale, and for each start of the membrane. The bundled digits are enough.
"""

import json

import torch

from snn_helpers import assets, conversion, data, training, weights

STEPS = 40
PERCENTILES = {"largest": 100, "99.99 %": 99.99, "99.9 %": 99.9, "99 %": 99, "95 %": 95, "90 %": 90}
PARTS = {"largest / 2": 2, "largest / 3": 3, "largest / 5": 5, "largest / 10": 10}
STARTS = 0.0, 0.5
OUT = assets.RECORDED / "cnn-to-snn-surface.json"


def balanced(cnn, images):
    """(name, CNN) for each way to choose the scale; a part of the largest is the largest, with all scales divided."""
    for name, percentile in PERCENTILES.items():
        yield name, conversion.normalize(cnn, images, percentile)
    for name, part in PARTS.items():
        new = conversion.normalize(cnn, images, 100)
        with torch.no_grad():
            next(new.parameters()).mul_(part)
        yield name, new


def record(cnn, images, digits, steps=STEPS):
    runs = {}
    for name, net in balanced(cnn, images):
        for start in STARTS:
            runs[name, start] = conversion.simulate(conversion.to_snn(net, v_init=start), digits, steps)
            print(f"{name:>12}, start {start}: {runs[name, start].accuracy()[-1]:.2%}", flush=True)
    names = [name for name, _ in balanced(cnn, images)]
    return {
        "scales": names,
        "starts": STARTS,
        "test_images": len(digits.labels),
        "cnn_accuracy": training.accuracy(cnn, digits, lambda x: x),
        "accuracy": [[runs[name, start].accuracy().tolist() for name in names] for start in STARTS],
        "spikes_per_image": [
            [runs[name, start].spikes_per_image().sum(1).round(decimals=1).tolist() for name in names]
            for start in STARTS
        ],
    }


if __name__ == "__main__":
    train, test = (data.mnist(train, root=data.BUNDLED) for train in (True, False))
    images = data.pixels(train.images[:1000])
    OUT.write_text(json.dumps(record(weights.trained("cnn-to-snn", "fast"), images, test)) + "\n", encoding="utf-8")
