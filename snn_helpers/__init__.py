"""Spiking neural networks in small, exact pieces: the package behind the notebooks.

Import the piece you need, ``from snn_helpers import encoding, neurons, plots``. Data flows
``data -> encoding -> networks -> training / plots / widgets``; time is always the first axis, [T, B, ...].
"""

import os

__version__ = "0.4.0"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: a thread that waits leaves its core to other work
