"""Convolution and max-pooling of many time steps that keep little: places of maxima, and nothing between the two."""

import torch
from torch import nn

from snn_helpers.engine.kernels import blocks
from snn_helpers.engine.memory import empty_laid_out

_pool, _scatter = torch.ops.aten.max_pool2d_with_indices, torch.ops.aten.max_pool2d_with_indices_backward.grad_input


class Chunked(nn.Sequential):
    """``nn.Sequential`` on a few images at a time: what lies between its layers is small and stays in the cache."""

    images = 640  # the quickest that was tried for 32 channels of 14 x 14

    def forward(self, x):
        parts = [super(Chunked, self).forward(part) for part in x.split(self.images)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class MaxPool2d(nn.MaxPool2d):
    """``nn.MaxPool2d``: the same numbers and gradients, and a fraction of the memory from forward to backward pass.

    torch keeps the whole input, of which it uses the shape alone, and eight bytes for each place: in a convolutional
    SNN, which does so at every time step, more than its spikes take. Here two bytes a place are kept (four if
    there are 32,768 places or more).
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
        small = torch.int16 if x.shape[2] * x.shape[3] < 2**15 else torch.int32
        compact = empty_laid_out(places.shape, places.stride(), dtype=small, device=x.device)
        for narrow, wide in zip(blocks(compact), blocks(places), strict=True):
            narrow.copy_(wide)
        ctx.save_for_backward(compact)
        ctx.shape, ctx.strides, ctx.how = x.shape, x.stride(), how
        return largest

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (places,) = ctx.saved_tensors
        # laid out as x was, for the convolution that comes next; of x itself torch asks for the shape alone
        grad_input = empty_laid_out(ctx.shape, ctx.strides, dtype=grad.dtype, device=grad.device)
        _scatter(grad, grad_input, *ctx.how, places.long(), grad_input=grad_input)
        return grad_input, *(None for _ in ctx.how)
