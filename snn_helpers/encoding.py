"""From numbers to spikes: five ways to turn an image (or a signal) into [T, ...]. Time is the first axis."""

from collections.abc import Callable

import numpy as np
import torch

from snn_helpers.engine.bernoulli import bernoulli
from snn_helpers.engine.memory import empty

Encoder = Callable[[torch.Tensor, int], torch.Tensor]  # (images, steps) -> [T, ...]


def poisson(
    image: torch.Tensor, steps: int, *, gain: float = 1.0, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Spike at each step with probability ``p = min(1, gain * image)``, every step independent of the others.

    One Bernoulli draw a pixel and step, the discrete form of a Poisson spike train. The probability is exact to
    2**-32, both ends included: a pixel of 0 never fires and ``p = 1`` fires at every step. On the CPU a random byte is
    compared with the whole part of 256 p; only where the two are equal (one draw in 256) does a second draw decide
    about the fractional part. An 8-bit comparison alone would round p to a multiple of 1/256 and miss one of the ends.

    image : float tensor of any shape, values in [0, 1]
    steps : number of time steps T, at least 1
    gain : factor on the probability, at least 0
    generator : ``torch.Generator`` on the image's device; the same seed gives the same spikes

    Returns [T, *image.shape] of 0 and 1, in the dtype and on the device of the image.
    Raises TypeError for an image that is not of floats, ValueError for a pixel outside [0, 1] (NaN included), fewer
    than one step, or a gain that is negative or not finite.

    >>> poisson(torch.tensor([0.0, 1.0]), steps=3).tolist()
    [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    """
    _check("poisson", image, steps)
    if not 0 <= gain < float("inf"):
        raise ValueError(
            f"poisson: gain must be a finite number of at least 0, got {gain}. It multiplies the probability; 1 "
            "leaves it."
        )
    shape = (steps, *image.shape)
    if image.device.type != "cpu":
        draws = torch.rand(shape, generator=generator, device=image.device)
        return (draws < (image.detach() * gain).clamp(max=1)).to(image.dtype)
    probability = np.minimum(image.detach().float().flatten().numpy() * np.float32(gain), np.float32(1))
    lit = np.flatnonzero(probability)
    spikes = empty((steps, len(probability)))
    if 2 * len(lit) > len(probability):
        for row, fired in zip(spikes.numpy(), bernoulli(probability, steps, generator), strict=True):
            row[:] = fired
    else:  # most pixels of a digit are 0 and need no draw
        drawn = np.zeros(len(lit) + 1, dtype=np.float32)  # the last is what all other pixels take
        place = np.full(len(probability), len(lit))
        place[lit] = np.arange(len(lit))
        for row, fired in zip(spikes.numpy(), bernoulli(probability[lit], steps, generator), strict=True):
            drawn[:-1] = fired
            np.take(drawn, place, out=row, mode="clip")
    return spikes.to(image.dtype).view(shape)


def latency(image: torch.Tensor, steps: int, *, tau: float = 5.0, cutoff: float = 0.01) -> torch.Tensor:
    """One spike a pixel, the brighter the earlier, at ``t = tau ln(x / (x - cutoff))`` rounded to a step.

    That is when an RC circuit with time constant tau, charged by the current x, crosses ``cutoff``
    (Eshraghian et al. 2023). Pixels at or under the cutoff, and those that would fire
    after the last step, stay silent.

    image : float tensor of any shape, values in [0, 1]
    steps : number of time steps T
    tau : time constant in steps, above 0
    cutoff : smallest pixel value that can fire, between 0 and 1

    Returns [T, *image.shape] of 0 and 1, at most one spike a pixel.
    Raises TypeError or ValueError as ``poisson`` does, and ValueError for a tau or a cutoff out of range.

    >>> latency(torch.tensor([1.0, 0.02, 0.0]), steps=5).argmax(0).tolist()
    [0, 3, 0]
    """
    _check("latency", image, steps)
    if not 0 < tau < float("inf"):
        raise ValueError(f"latency: tau must be above 0 (in steps), got {tau}.")
    if not 0 < cutoff < 1:
        raise ValueError(f"latency: cutoff must lie between 0 and 1, got {cutoff}. Pixels at or under it never fire.")
    image = image.detach()
    when = (tau * torch.log(image / (image - cutoff))).round()
    when = torch.where(image > cutoff, when, steps)
    time = torch.arange(steps, device=image.device).view(-1, *[1] * image.ndim)
    return (time == when).to(image.dtype)


def delta(signal: torch.Tensor, threshold: float = 0.1) -> torch.Tensor:
    """Spikes where the signal changes: +1 for a rise of at least ``threshold`` since the step before, -1 for a fall.

    An event camera (Lichtsteiner et al. 2008) is close to this, but compares with the signal at its own last event. A
    constant signal is silent, and so is the first step, which has no step before it.

    signal : float tensor [T, ...]
    threshold : smallest change that counts, above 0, in the unit of the signal

    Returns [T, ...] of -1, 0 and 1.
    Raises TypeError for a signal that is not of floats or has no axis, ValueError for NaN, infinity, or a threshold
    that is not above 0.

    >>> delta(torch.tensor([0.0, 0.5, 0.55, 0.1])).tolist()
    [0.0, 1.0, 0.0, -1.0]
    """
    if not torch.is_tensor(signal) or not signal.is_floating_point() or signal.ndim == 0:
        raise TypeError(f"delta: signal must be a float tensor [T, ...], got {_describe(signal)}.")
    if not 0 < threshold < float("inf"):
        raise ValueError(f"delta: threshold must be above 0, got {threshold}.")
    if not torch.isfinite(signal).all():
        raise ValueError("delta: signal must be finite, got NaN or infinity. Find where it was divided by zero.")
    change = torch.diff(signal.detach(), dim=0, prepend=signal[:1].detach())
    return (change >= threshold).to(signal.dtype) - (change <= -threshold).to(signal.dtype)


def direct(image: torch.Tensor, steps: int) -> torch.Tensor:
    """The image itself at every step, as a current: no spikes and no noise. A view, nothing is copied.

    image : float tensor of any shape and range (it is a current, so normalised images are welcome)
    steps : number of time steps T

    Returns [T, *image.shape] whose time stride is 0.
    Raises TypeError for an image that is not of floats, ValueError for fewer than one step.

    >>> direct(torch.tensor([0.2, 0.7]), steps=1000).stride(0)
    0
    """
    if not torch.is_tensor(image) or not image.is_floating_point():
        raise TypeError(f"direct: image must be a float tensor, got {_describe(image)}.")
    return image.expand(_steps("direct", steps), *image.shape)


def standardized(image: torch.Tensor, steps: int) -> torch.Tensor:
    """The image at every step, as ``direct``, its pixels standardized by their mean and deviation over MNIST."""
    return direct((image - 0.1307) / 0.3081, steps)


def _check(name: str, image: torch.Tensor, steps: int) -> None:
    if not torch.is_tensor(image) or not image.is_floating_point():
        raise TypeError(
            f"{name}: image must be a float tensor with values in [0, 1], got {_describe(image)}. "
            "Divide 8-bit pixels by 255."
        )
    _steps(name, steps)
    if not image.numel():
        return
    low, high = _range(image.detach())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{name}: image must lie in [0, 1], got [{low:.3g}, {high:.3g}]. "
            "Undo its normalisation: image * deviation + mean."
        )


def _range(image: torch.Tensor) -> tuple[float, float]:
    # numpy again: torch would divide among threads even this
    array = image.float().numpy() if image.device.type == "cpu" else torch.stack(torch.aminmax(image)).cpu().numpy()
    return array.min().item(), array.max().item()


def _steps(name: str, steps: int) -> int:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{name}: steps must be a whole number of at least 1, got {steps!r}.")
    return steps


def _describe(value: object) -> str:
    return str(value.dtype) if torch.is_tensor(value) else type(value).__name__
