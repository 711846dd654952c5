"""Max-pooling that remembers where each maximum was, and nothing else."""

import torch
from torch import nn

from snn_helpers.memory import empty

_pool, _scatter = torch.ops.aten.max_pool2d_with_indices, torch.ops.aten.max_pool2d_with_indices_backward.grad_input


class MaxPool2d(nn.MaxPool2d):
    """``nn.MaxPool2d``: the same numbers and gradients, and a fraction of the memory from forward to backward pass.

    torch keeps the whole input, of which it uses the shape alone, and eight bytes for each place: in a convolutional
    SNN, which does so at every time step, as much as all its spikes. Here two bytes a place are kept.
    """

    def forward(self, x):
        if x.ndim != 4 or self.return_indices:
            return super().forward(x)
        sizes = self.kernel_size, self.stride, self.padding, self.dilation
        return _MaxPool.apply(x, *([size, size] if isinstance(size, int) else size for size in sizes), self.ceil_mode)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, *how):
        largest, places = _pool(x, *how)
        ctx.save_for_backward(places.to(torch.int16 if x.shape[2] * x.shape[3] < 2**15 else torch.int32))
        ctx.shape, ctx.strides, ctx.how = x.shape, x.stride(), how
        return largest

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        # laid out in memory as x was, for the convolution that comes next
        axes = sorted(range(4), key=lambda axis: -ctx.strides[axis])
        whole = empty([ctx.shape[axis] for axis in axes], dtype=grad.dtype, device=grad.device)
        whole = whole.permute(*(axes.index(axis) for axis in range(4)))
        (places,) = ctx.saved_tensors
        _scatter(grad, whole, *ctx.how, places.long(), grad_input=whole)  # of x it asks for the shape alone
        return whole, *(None for _ in ctx.how)
