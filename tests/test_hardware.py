"""best_precision: what the processor says decides."""

import pytest
import torch

from snn_helpers.hardware import best_precision


@pytest.mark.parametrize(
    "has, wanted",
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_bfloat16_where_the_processor_has_it(monkeypatch, has, wanted):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert best_precision("cpu") == wanted


def test_float32_where_nobody_knows(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert best_precision() == torch.float32
    assert best_precision(torch.device("mps")) == torch.float32
