"""Spiking neural networks in small, exact pieces: the package behind the notebooks.

Import the piece you need, ``from snn_helpers import encoding, neurons, plots``. Data flows
``data -> encoding -> networks -> training / plots / widgets``; time is always the first axis, [T, B, ...].
"""

import os

__version__ = "0.3.0"

# A thread that waits for the others sleeps. By default it keeps its core busy for a while, and on a machine that has
# other work to do that is the core which the others wait for. OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
