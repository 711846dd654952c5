"""Activation checkpointing over time: what lies between is run a second time in the backward pass, not remembered."""

import torch
from torch.utils.checkpoint import checkpoint


def recomputed(run, x, constant, states, steps):
    """Spikes and membrane of the last layer as ``run(x, constant, states)`` records them, ``steps`` steps at a time."""

    def last(piece, constant, states):
        records, states = run(piece, constant, states)
        return *records[-1], states

    outputs = []
    for piece in x.split(steps):
        *output, states = checkpoint(last, piece, constant, states, use_reentrant=False)
        outputs.append(output)
    return [torch.cat(pieces) for pieces in zip(*outputs, strict=True)]
