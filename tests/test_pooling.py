"""Max-pooling that keeps little: torch's own numbers and gradients, in a fraction of the memory."""

import pytest
import torch
from torch import nn

from snn_helpers import networks
from snn_helpers.engine.pooling import MaxPool2d


def kept(pool, x):
    """Bytes from the forward pass to the backward pass."""
    parts = []
    with torch.autograd.graph.saved_tensors_hooks(lambda part: parts.append(part) or part, lambda part: part):
        pool(x.requires_grad_() * 1)
    return sum(part.untyped_storage().nbytes() for part in parts)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "shape, options",
    [
        ((5, 3, 14, 14), dict(kernel_size=2)),
        ((2, 7, 9, 13), dict(kernel_size=3, stride=2, padding=1)),
        ((1, 1, 5, 8), dict(kernel_size=(2, 3), stride=(1, 2), ceil_mode=True)),
        ((2, 2, 12, 11), dict(kernel_size=2, dilation=2)),
        ((1, 1, 300, 260), dict(kernel_size=2)),  # more places than two bytes can number
        ((40, 32, 28, 28), dict(kernel_size=2)),  # large enough for memory.empty's own buffers
    ],
)
def test_it_is_torchs(layout, dtype, shape, options):
    torch.manual_seed(2)
    x = torch.randint(-3, 3, shape).to(dtype).contiguous(memory_format=layout)  # small whole numbers: many ties
    results = []
    for kind in (nn.MaxPool2d, MaxPool2d):
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        y = kind(**options)(leaf)
        y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(3)).to(dtype))
        results.append((y, leaf.grad))
    (y, grad), (our_y, our_grad) = results
    assert torch.equal(y, our_y) and torch.equal(grad, our_grad) and grad.abs().sum() > 0
    assert our_y.stride() == y.stride() and our_grad.stride() == grad.stride()


def test_a_fraction_of_torchs_memory_is_kept():
    x = torch.randn(8, 16, 28, 28)
    assert kept(MaxPool2d(2), x) == 2 * 8 * 16 * 14 * 14
    assert kept(nn.MaxPool2d(2), x) == 4 * x.numel() + 8 * 8 * 16 * 14 * 14


def test_without_a_batch_or_with_the_places_it_is_torchs_own():
    x = torch.randn(3, 6, 6)
    assert torch.equal(MaxPool2d(2)(x), nn.MaxPool2d(2)(x))
    y, places = MaxPool2d(2, return_indices=True)(x[None])
    assert places.shape == y.shape == (1, 3, 3, 3)


def test_the_convolutional_network_pools_so():
    pools = [module for module in networks.csnn().modules() if isinstance(module, nn.MaxPool2d)]
    assert [type(pool) for pool in pools] == [MaxPool2d, MaxPool2d]
