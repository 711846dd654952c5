"""The state of a run on disk: one that is killed at any moment leaves the last checkpoint as it was."""

import io
from pathlib import Path

import torch

from snn_helpers.weights import write


class Checkpoint:
    """Where a run keeps its state, and the settings that a run must share to go on from it.

    Parameters
    ----------
    path : the file; it need not exist
    settings : dict of what decides the run (system, seed, learning rate, ...), of numbers and words
    """

    def __init__(self, path, settings):
        self.path, self.settings = Path(path), settings

    def save(self, state):
        """Keep ``state``, a dict of tensors, numbers, words and lists or dicts of them. Raises as ``weights.write``."""
        buffer = io.BytesIO()
        torch.save({"settings": self.settings, "state": state}, buffer)
        write(self.path, buffer.getvalue())

    def load(self):
        """The state last saved, or None if there is none.

        Raises ValueError if the file is no checkpoint, or one of a run with other settings (it names them).
        """
        if not self.path.exists():
            return None
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            settings, state = found["settings"], found["state"]
        except Exception as error:  # torch.load has no error of its own: what it raises depends on the damage
            raise ValueError(
                f"checkpoint: {self.path} is not a checkpoint of this package, or is damaged. Name another "
                "--out, or delete its folder."
            ) from error
        for name in sorted({*settings, *self.settings}):
            if settings.get(name) != self.settings.get(name):
                raise ValueError(
                    f"checkpoint: {self.path} is of a run with {name} {settings.get(name)}, wanted one with "
                    f"{self.settings.get(name)}. Use its settings, name another --out, or delete its folder."
                )
        return state


def random_state(device):
    """What decides the next random draws on a torch.device, and on the CPU."""
    return {"cpu": torch.get_rng_state()} | (
        {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    )


def set_random_state(state, device):
    """Draw on from where ``random_state`` was."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
