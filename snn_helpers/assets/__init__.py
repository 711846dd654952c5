"""Files that come with the package; digits and weights are held to their checksums.

train-*.gz       MNIST's first 10,000 training images and labels (LeCun, Cortes, Burges), by tools/make_sample.py
test-*.gz        its 10,000 test images and labels, by the same
*.safetensors    weights of recorded runs, by ``python -m snn_helpers train``; the header says which
recorded/*.json  what those runs reached, by the same, and published.json: what they are held against
"""

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent
RECORDED = FOLDER / "recorded"

SHA256 = {
    "train-images.gz": "11a772a6dc925b05dd399880865d80fdc378f1482a27072a7fe2c10be2367eda",
    "train-labels.gz": "4e8b4ac90e302aa725dd50c14268e8630d3941e30cf889ea15dfa1a6dedf8665",
    "test-images.gz": "197e111ae341b0770be9011ac5e622d0e6cd1c640b32eb0de5dc1dd26cc6e182",
    "test-labels.gz": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
    "csnn-best.safetensors": "0140fba60fc97ec8d534d9eb809de80e89d15884aba859073adee33f51db8caf",
    "csnn-fast.safetensors": "57aba915d605d0660e33a1d4f11aee81eb23aecee2e3cb606e931f509dcc904f",
    "hidden-layer-best.safetensors": "de88cd4466e720ab9811db16f91e73939d282cdcc91eaae3962ce5720b6104e1",
    "hidden-layer-fast.safetensors": "05aa87b78d4acff4979d81a695ef009ffd922c031c746c7b6078e3a3f318b497",
    "cnn-to-snn-best.safetensors": "d964d8c61ffd2a765e88db3aa02f0f834db9bf1e5dd6a3dc646bcac61cf60219",
    "cnn-to-snn-fast.safetensors": "0ed1189f59d500ca2f33e22e4c4cd462ba40acc207de23c7da3f75f83bf0e3be",
    "single-layer-fast.safetensors": "6e56c322cb2f779f79fa24e2f133de2dc3621ae99fc4621b0f3c332bf7f1108f",
}


def read(name):
    """The bytes of a bundled file, after comparing its checksum.

    >>> len(read("train-labels.gz"))
    4997
    """
    if name not in SHA256:
        raise ValueError(f"assets: there is no bundled file {name!r}. There are: {', '.join(SHA256)}.")
    content = (FOLDER / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise ValueError(
            f"assets: {name} is not the file that came with the package (its checksum differs). "
            "Install the package again, or restore the file with git checkout."
        )
    return content
