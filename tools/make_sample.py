"""Make the bundled digits: python tools/make_sample.py MNIST

MNIST is a folder with its four official files (*-ubyte.gz). Writes into snn_helpers/assets the first 10,000 training
digits, and the 10,000 test digits as they are, each as a pair of IDX files, zipped; prints their sha256 for
assets/__init__.py.
"""

import gzip
import hashlib
import sys
from pathlib import Path

from snn_helpers import assets, data

COUNT = 10_000


def main(mnist):
    for name, train in ("train", True), ("test", False):
        digits = data.mnist(train, root=mnist).first(COUNT)
        for kind, array in ("images", digits.images.numpy()), ("labels", digits.labels.byte().numpy()):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            packed = gzip.compress(header + array.tobytes(), 9, mtime=0)
            (Path(assets.__file__).parent / f"{name}-{kind}.gz").write_bytes(packed)
            print(f'    "{name}-{kind}.gz": "{hashlib.sha256(packed).hexdigest()}",')


if __name__ == "__main__":
    main(Path(sys.argv[1]))
