"""Weights and figures on disk: of a network, of the recorded runs that come with the package, of published systems."""

import json
import os
from pathlib import Path

import safetensors.torch
import torch

from snn_helpers import assets
from snn_helpers.recipes import RECIPES


def write(path: str | Path, content: bytes | str) -> None:
    """Write bytes (or a str) to ``path``, whole or not at all: beside it first, then moved over in one step.

    Raises OSError, with what was at ``path`` before untouched, if the disk is full or the folder read-only.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.partial")
    content = content.encode() if isinstance(content, str) else content
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(f"{path} could not be written: {error.strerror}. What was there before is unharmed.") from error


def save(net: torch.nn.Module, path: str | Path, about: dict, *, dtype: torch.dtype | None = None) -> None:
    """Write the weights of ``net`` as safetensors; ``about``, a dict that JSON can hold, goes into the header.

    dtype : torch.float16 to store them in half the room; they come back as the network's own precision
    """
    tensors = {name: tensor.to(dtype).cpu().contiguous() for name, tensor in net.state_dict().items()}
    write(path, safetensors.torch.save(tensors, {"about": json.dumps(about)}))


def load(net: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """Fill ``net`` with the weights of a file of ``save``, and return it.

    Raises FileNotFoundError if there is none, IsADirectoryError for a folder, ValueError, with the file's name, if it
    is damaged or of another network.
    """
    content = _file(path).read_bytes()
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"weights: {path} is damaged, or no safetensors file ({error}).") from error
    found = {name: list(tensor.shape) for name, tensor in tensors.items()}
    wanted = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    if found != wanted:
        raise ValueError(f"weights: {path} is of another network: it holds {found}, wanted {wanted}.")
    net.load_state_dict(tensors)
    return net


def about(path: str | Path) -> dict:
    """What ``save`` wrote into the header of a file, a dict; {} if the file says nothing.

    Raises FileNotFoundError if there is none, IsADirectoryError for a folder, ValueError, with the file's name, if it
    is damaged.
    """
    try:
        with safetensors.safe_open(_file(path), "pt") as file:
            return json.loads((file.metadata() or {}).get("about", "{}"))
    except safetensors.SafetensorError as error:
        raise ValueError(f"weights: {path} is damaged, or no safetensors file ({error}).") from error


def _file(path: str | Path) -> Path:
    if Path(path).is_dir():
        raise IsADirectoryError(f"weights: wanted a .safetensors file, got the folder {path}. Name the file in it.")
    return Path(path)


def trained(system: str, name: str) -> torch.nn.Module:
    """The network of a recipe with the weights of its recorded run of seed 0: ``trained("csnn", "fast")``.

    Raises ValueError for a recipe whose weights do not come with the package.
    """
    file = f"{system}-{name}.safetensors"
    if file not in assets.SHA256:
        bundled = [recipe for recipe in RECIPES[system] if f"{system}-{recipe}.safetensors" in assets.SHA256]
        command = f"python -m snn_helpers train {system.removesuffix('-to-snn')} --recipe {name}"
        raise ValueError(
            f"trained: the package has no weights of {system}'s recipe {name!r}, only of {', '.join(bundled)}. Make "
            f"them: {command}; and name the file that it writes: --weights."
        )
    net = RECIPES[system][name].network()
    net.load_state_dict(safetensors.torch.load(assets.read(file)))
    return net


def recorded(system: str, name: str) -> list[dict]:
    """The recorded runs of a recipe, one dict a seed: settings, accuracy, history (made by ``runs.by_recipe``).

    Raises FileNotFoundError if there are none.
    """
    paths = sorted(assets.RECORDED.glob(f"{system}-{name}-seed*.json"))
    if not paths:
        there = sorted({path.stem.split("-seed")[0] for path in assets.RECORDED.glob("*-seed*.json")})
        raise FileNotFoundError(
            f"recorded: the package has no runs of {system}-{name}, only of {', '.join(there)}. python -m snn_helpers "
            "train makes new ones."
        )
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def published(system: str) -> dict:
    """The published figure that a system is held against: a dict with source, test_accuracy and what it is of."""
    return json.loads((assets.RECORDED / "published.json").read_text(encoding="utf-8"))[system]
