"""best_precision: what the processor says decides. without_denormals: in all threads, and only inside."""

import platform

import pytest
import torch

from snn_helpers.engine.hardware import best_precision, without_denormals


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


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"),
    reason="whether threads share the setting was seen on x86 only",
)
def test_a_setting_of_the_caller_is_found_again(two_threads):
    tiny = torch.full((2**20,), 1e-39)
    matrix = torch.full((600, 600), 1e-39)

    def kept():
        results = tiny * 0.5, tiny + tiny, torch.full_like(tiny, 1.0) * tiny, matrix @ torch.eye(600)
        return [result.view(torch.int32).any().item() for result in results]

    assert all(kept())
    with without_denormals():
        assert not any(kept())
        with without_denormals():
            assert not any(kept())
        assert not any(kept())
    assert all(kept())
