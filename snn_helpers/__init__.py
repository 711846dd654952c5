"""Spiking neural networks in small, exact pieces: the package behind the notebooks.

Import the piece you need, ``from snn_helpers import encoding, neurons, plots``. Data flows
``data -> encoding -> networks -> training / plots / widgets``; time is always the first axis, [T, B, ...].
"""

import os

# On Linux torch then asks for large tensors in huge pages: to touch fresh memory costs less. THP_MEM_ALLOC_ENABLE=0,
# set before, leaves it as it was.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.2.0"
