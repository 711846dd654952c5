"""What this machine is good at, asked for at run time; and what it is slow at, kept away from it."""

import ctypes
import sys
from contextlib import contextmanager

import torch


def best_precision(device="cpu"):
    """torch.bfloat16 where the device computes in it by itself, torch.float32 elsewhere (emulated, it is slower).

    For the ``precision`` of a Recipe or of ``training.scores``; the membranes stay float32.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    has = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32


@contextmanager
def without_denormals():
    """For a ``with``: results under 1e-38 (denormal floats) are 0, in this thread and in those that torch gives work.

    Gradients that decay over many steps come to be that small, and some processors take many times as long for them.
    Afterwards both are as this thread was before.
    """
    flushed = (torch.tensor([1e-40]) * 1).item() == 0
    _flush_denormals(True)
    try:
        yield
    finally:
        _flush_denormals(flushed)


def _flush_denormals(flush):
    torch.set_flush_denormal(flush)
    # That was for this thread alone. A new thread has what the one that starts it has: so GNU's OpenMP lets its idle
    # threads go here, and starts others for the next work. Intel's and LLVM's (Windows, macOS) hand it on with the
    # work, on x86 processors.
    if sys.platform == "linux":
        pause = getattr(ctypes.CDLL(torch._C.__file__), "omp_pause_resource_all", None)
        if pause:
            pause(1)  # omp_pause_soft: the settings of OpenMP stay
