"""What this machine is good at, asked for at run time."""

import torch


def best_precision(device="cpu"):
    """torch.bfloat16 where the device computes in it by itself, torch.float32 elsewhere (emulated, it is slower).

    For the ``precision`` of ``training.fit``: convolutions and matrix products, the membranes stay float32.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    has = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32
