"""Handwritten digits as tensors: the 20,000 of MNIST that come with the package, or all 70,000.

MNIST is by Y. LeCun, C. Cortes and C. J. C. Burges (LeCun et al. 1998, doi 10.1109/5.726791).
"""

import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from snn_helpers import assets

BUNDLED = "bundled"
Each = float | torch.Tensor  # one number for all images, or a tensor [B] of one an image
# md5 of the unpacked official files, and how many digits each part has
_PARTS = {
    True: ("train", 60_000, "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
    False: ("t10k", 10_000, "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
}
_REMEDY = "Delete it and run: python -m snn_helpers download. Or use the bundled digits: root='bundled'."


class Digits(NamedTuple):
    """``images`` uint8 [N, 28, 28], ``labels`` int64 [N], and ``source``: one line that says where they come from."""

    images: torch.Tensor
    labels: torch.Tensor
    source: str

    @property
    def pixels(self) -> torch.Tensor:
        """The images as networks and encoders take them: ``data.pixels(self.images)``."""
        return pixels(self.images)

    def steps(self, batch_size: int) -> int:
        """How many batches they make: the optimizer's steps in one epoch."""
        return -(-len(self.labels) // batch_size)

    def first(self, count: int) -> "Digits":
        """The first ``count`` of them, in the same order. Raises ValueError if there are not as many.

        >>> mnist(train=False, root="bundled").first(2000).source
        "the first 2,000 of the bundled digits: MNIST's 10,000 test digits"
        """
        if not 1 <= count <= len(self.labels):
            raise ValueError(f"first: count must be from 1 to {len(self.labels):,}, the digits there are, got {count}.")
        if count == len(self.labels):
            return self
        return Digits(self.images[:count], self.labels[:count], f"the first {count:,} of {self.source}")


def pixels(images: torch.Tensor) -> torch.Tensor:
    """8-bit images [..., 28, 28] as networks and encoders take them: float32 [..., 1, 28, 28] in [0, 1]."""
    return images.unsqueeze(-3).float().div_(255)


def cache() -> Path:
    """The folder that ``python -m snn_helpers download`` fills."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "snn_helpers" / "mnist"


def mnist(train: bool = True, *, root: str | Path | None = None) -> Digits:
    """The training digits, or the test digits.

    Looked for in this order: ``root``; the folder named by the environment variable SNN_DATA_DIR; the cache that
    ``python -m snn_helpers download`` fills; the bundled digits. ``root="bundled"`` takes the bundled ones at once,
    which makes a result the same on every machine. A folder that was named but does not hold the files is an error.

    The bundled digits are the first 10,000 of MNIST's 60,000 training digits, and all of its 10,000 test digits, so
    accuracy on them is accuracy on MNIST's own test set.

    Raises FileNotFoundError if a named folder has not got the files, ValueError, with the file's name, if one is
    truncated, damaged or of another shape.

    >>> digits = mnist(train=False, root="bundled")
    >>> digits.images.shape, digits.source
    (torch.Size([10000, 28, 28]), "the bundled digits: MNIST's 10,000 test digits")
    """
    folder = root or os.environ.get("SNN_DATA_DIR") or None
    if folder is None and _find(cache(), _PARTS[train][0], "images-idx3"):
        folder = cache()
    if folder is None or str(folder) == BUNDLED:
        return _bundled(train)
    return _folder(Path(folder), train)


def batches(
    digits: Digits, batch_size: int, *, shuffle: bool = False, seed: int = 0, device: torch.device | str | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (images, labels) batch by batch, the last one smaller if need be: no digit is left out.

    images : as of ``pixels``, [B, 1, 28, 28];  labels : int64 [B];  both on ``device``.
    With ``shuffle`` the order is drawn anew from ``seed``. Raises ValueError for a batch size under 1, and for images
    that are not of 8-bit pixels, one a label.

    >>> [len(y) for _, y in batches(mnist(train=False, root="bundled").first(2000), 900)]
    [900, 900, 200]
    """
    if batch_size < 1:
        raise ValueError(f"batches: batch_size must be at least 1, got {batch_size}.")
    images, labels = digits.images, digits.labels
    if images.dtype != torch.uint8 or images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"batches: wanted images uint8 [N, 28, 28] and labels [N], got {images.dtype} {list(images.shape)} and "
            f"{list(labels.shape)}. Pixels are 0 to 255 in Digits, and in [0, 1] only in a batch."
        )
    count = len(labels)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)) if shuffle else torch.arange(count)
    for index in order.split(batch_size):
        yield pixels(digits.images[index].to(device)), digits.labels[index].to(device)


def affine(
    images: torch.Tensor,
    *,
    right: Each = 0.0,
    down: Each = 0.0,
    turn: Each = 0.0,
    shrink: Each = 1.0,
    bend: torch.Tensor | None = None,
) -> torch.Tensor:
    """Images [B, C, H, W] moved (in pixels), then turned counter-clockwise about their middle (in degrees) and made
    smaller by the factor ``shrink``. Between pixels the value is interpolated linearly, beyond the edge it is 0.

    Each of the four is a number, or a tensor [B] of one an image. ``bend`` [B, H, W, 2], if given, is no longer affine:
    how many pixels right and down of its place each pixel of the result is looked up.
    """
    each = [torch.as_tensor(value).to(images).expand(len(images)) for value in (right, down, turn, shrink)]
    right, down, turn, shrink = each
    across, along = shrink * turn.deg2rad().cos(), shrink * turn.deg2rad().sin()
    x, y = -2 * right / images.shape[-1], -2 * down / images.shape[-2]  # grid_sample counts from -1 to 1
    rows = torch.stack([torch.stack([across, -along, x], -1), torch.stack([along, across, y], -1)], 1)
    places = F.affine_grid(rows, list(images.shape), align_corners=False)
    if bend is not None:
        places = places + 2 * bend / torch.tensor(images.shape[:-3:-1], device=images.device)
    return F.grid_sample(images, places, align_corners=False)


def random_affine(images: torch.Tensor, turn: float, zoom: float, shift: float, bend: float = 0.0) -> torch.Tensor:
    """Images [B, C, H, W], each turned by up to ``turn`` degrees, scaled by up to ``zoom``, moved by up to ``shift``
    pixels, drawn anew at each call: digits that are never twice the same, to train on.

    With ``bend`` it is also bent as if drawn on rubber (elastic distortion, Simard, Steinkraus and Platt 2003, ICDAR):
    25 places are moved by random numbers of that deviation, in pixels, and what lies between follows smoothly.
    """
    angle, scale, right, down = (torch.rand(4, len(images), device=images.device) * 2 - 1).unbind(0)
    how = dict(turn=turn * angle, shrink=1 + zoom * scale, right=-shift * right, down=-shift * down)
    if bend:
        pulled = bend * torch.randn(len(images), 2, 5, 5, device=images.device)
        smooth = F.interpolate(pulled, images.shape[-2:], mode="bicubic", align_corners=True)
        how["bend"] = smooth.movedim(1, -1)
    return affine(images, **how)


def download() -> Path:
    """Fetch the full MNIST through torchvision into ``cache()`` and return that folder.

    Everything goes to a temporary folder first and moves over only when whole and checked, so a download
    that fails leaves nothing behind. Raises what torchvision does without a network (RuntimeError, OSError), and
    ValueError if a file arrived damaged.
    """
    from torchvision.datasets import MNIST  # here, because importing torchvision takes seconds

    cache().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache().parent) as partial:
        MNIST(partial, download=True)
        files = Path(partial) / "MNIST" / "raw"
        for train in True, False:
            _folder(files, train)
        for unpacked in files.glob("*-ubyte"):
            unpacked.unlink()
        shutil.rmtree(cache(), ignore_errors=True)
        files.rename(cache())
    return cache()


def _bundled(train: bool) -> Digits:
    part = "train" if train else "test"
    images, labels = (_parse(gzip.decompress(assets.read(n)), n) for n in (f"{part}-images.gz", f"{part}-labels.gz"))
    which = "first 10,000 training digits" if train else "10,000 test digits"
    return _digits(images, labels, f"the bundled digits: MNIST's {which}")


def _folder(folder: Path, train: bool) -> Digits:
    part, count, *md5 = _PARTS[train]
    arrays = []
    for kind, official in zip(("images-idx3", "labels-idx1"), md5, strict=True):
        path = _find(folder, part, kind)
        if path is None:
            raise FileNotFoundError(
                f"mnist: wanted {part}-{kind}-ubyte (or .gz) in {folder}, found no such file. Name the folder that "
                "holds MNIST's files (root=, SNN_DATA_DIR), or run: python -m snn_helpers download."
            )
        content = _unpack(path)
        array = _parse(content, path)
        if len(array) == count and hashlib.md5(content).hexdigest() != official:
            raise ValueError(f"mnist: {path} has the size of MNIST's file but not its content (md5 differs). {_REMEDY}")
        arrays.append(array)
    images, labels = arrays
    if images.shape[1:] != (28, 28) or labels.ndim != 1 or len(images) != len(labels):
        raise ValueError(
            f"mnist: wanted images [N, 28, 28] and labels [N], got {list(images.shape)} and {list(labels.shape)} "
            f"in {folder}. {_REMEDY}"
        )
    if labels.size and labels.max() > 9:
        raise ValueError(f"mnist: labels must be 0 to 9, got {labels.max()} in {folder}. {_REMEDY}")
    name = "MNIST" if len(labels) == count else "digits from IDX files"
    return _digits(images, labels, f"{name}: {len(labels):,} {'training' if train else 'test'} digits in {folder}")


def _digits(images: np.ndarray, labels: np.ndarray, source: str) -> Digits:
    return Digits(torch.tensor(images), torch.from_numpy(labels.astype(np.int64)), source)


def _find(folder: Path, part: str, kind: str) -> Path | None:
    for place in folder, folder / "MNIST" / "raw":
        for name in f"{part}-{kind}-ubyte", f"{part}-{kind}-ubyte.gz":
            if (place / name).is_file():
                return place / name
    return None


def _unpack(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"mnist: {path} is truncated or damaged ({error}). {_REMEDY}") from error


def _parse(content: bytes, name: str | Path) -> np.ndarray:
    """An IDX file of bytes: two zeros, 8 (unsigned byte), number of axes, each axis as 4 bytes, then the values."""
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError(
            f"mnist: {name} is not an IDX file of bytes (it starts with {content[:4].hex(' ')}). {_REMEDY}"
        )
    shape = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(content[3])]
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(
            f"mnist: {name} should hold {shape} values, got {values.size}: it is truncated or damaged. {_REMEDY}"
        )
    return values.reshape(shape)
