"""A network that notes what an answer shows it: some mistakes can be seen there that hardly change the result."""

import torch
from torch import nn

from snn_helpers.exercises.compare import NotYet
from snn_helpers.networks import SNN


class Watched(SNN):
    """784 pixels to 10 neurons, with these weights; ``neuron`` as in SNN."""

    def __init__(self, weight, **neuron):
        super().__init__(nn.Sequential(nn.Flatten(-3), nn.Linear(784, 10, bias=False)), **neuron)
        self.layers[0][1].weight.data.copy_(weight)
        self.seen = []  # of each call: steps, digits, what its first two steps are of

    def forward(self, x, initial=None):
        self._note(x, goes_on=initial is not None)
        return super().forward(x, initial)

    def stream(self, x, *how, **named):
        self._note(x)
        return super().stream(x, *how, **named)

    def _note(self, x, goes_on=False):
        if torch.is_tensor(x) and x.ndim > 2:
            values = x[:2].unique()
            kind = "spikes" if ((values == 0) | (values == 1)).all() else "half" if len(values) <= 2 else "grey"
            before = self.seen.pop()[0] if goes_on and self.seen else 0
            self.seen.append((before + len(x), x.shape[1], kind))

    def check_shown(self, steps, digits):
        """Raise NotYet if it was shown something else than ``steps`` steps of spikes, of fewer than all ``digits``."""
        if not self.seen:  # the neurons were written out anew, which is fine: the result decides
            return
        lengths = sorted({length for length, _, _ in self.seen})
        count = sum(count for _, count, _ in self.seen)
        kinds = {kind for _, _, kind in self.seen}
        if "grey" in kinds:
            raise NotYet("the network was shown grey values, not spikes: encode the images first.")
        if "half" in kinds:
            raise NotYet("the network was shown spikes of another height than 1. The notebook's `encode` halves them.")
        if lengths != [steps]:
            raise NotYet(
                f"the network was shown {' and '.join(map(str, lengths))} steps of a digit, wanted are {steps}."
            )
        if count < digits:
            raise NotYet(
                f"the network was shown {count:,} of {digits:,} digits. Is the loop left after its first batch?"
            )
