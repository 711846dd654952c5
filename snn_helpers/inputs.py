"""From images to a network's input, as recipes name it: ``(steps, images) -> input``; and jitter, for training."""

import math

import torch
import torch.nn.functional as F

from snn_helpers.encoding import direct, poisson


def decayed_poisson(steps, images, tau=2.0):
    """Poisson spikes of height 1 / tau: what reaches a neuron that decays its input as it decays its membrane."""
    return poisson(images, steps).div_(tau)


def plain_poisson(steps, images):
    """Poisson spikes, drawn anew at each step."""
    return poisson(images, steps)


def sparse_poisson(steps, images, spike_threshold=2.5):
    """Poisson spikes of a pixel that is compared with a random number up to the spike threshold, not up to 1."""
    return poisson(images, steps, gain=1 / spike_threshold)


def constant(steps, images):
    """The image itself at every step."""
    return direct(images, steps)


def centred(steps, images):
    """The image at every step, its pixels shifted and scaled to mean 0 and variance 1 over MNIST's training set."""
    return direct((images - 0.1307) / 0.3081, steps)


def still(steps, images):
    """The image, for a network without time."""
    return images


def jitter(images, turn=9.0, zoom=0.08, shift=1.4):
    """Each image turned by up to ``turn`` degrees, scaled by up to ``zoom``, moved by up to ``shift`` pixels."""
    angle, scale, *move = (torch.rand(4, len(images), device=images.device) * 2 - 1).unbind(0)
    angle, scale = angle * math.pi / 180 * turn, 1 + scale * zoom
    across, down = scale * angle.cos(), scale * angle.sin()
    x, y = (2 * shift / images.shape[-1] * m for m in move)  # grid_sample counts from -1 to 1
    rows = torch.stack([torch.stack([across, -down, x], -1), torch.stack([down, across, y], -1)], 1)
    return F.grid_sample(images, F.affine_grid(rows, images.shape, align_corners=False), align_corners=False)
