"""What came and what is wanted: numbers and tensors are read in any form that means the right thing, and compared."""

import math
from decimal import Decimal
from numbers import Real

import numpy as np
import torch


class NotYet(Exception):
    """The answer is wrong; the message says why, in one line."""


def recognise(got, wanted, slips, *, what="", tolerance=1e-4):
    """Raise NotYet with the reason of the slip, in {reason: value}, whose value came and is not what is wanted."""
    if alike(got, wanted, tolerance):
        return
    for reason, value in slips.items():
        if alike(got, value, tolerance) and not alike(value, wanted, tolerance):
            raise NotYet(f"{what}: {reason}" if what else reason)


def alike(got, value, tolerance=1e-4):
    """Whether two numbers, tensors or sequences of them agree, relative to the largest magnitude. Never raises."""
    try:
        got, value, finest = tensor(got), tensor(value), _precision(got)
    except NotYet:
        pairs = isinstance(got, (list, tuple)) and isinstance(value, (list, tuple)) and len(got) == len(value)
        return pairs and all(alike(g, v, tolerance) for g, v in zip(got, value, strict=True))
    if got.numel() == value.numel() == 1:
        got = got.reshape(value.shape)
    if got.shape != value.shape:
        return False
    finite = value[value.isfinite()].abs()
    scale = finite.max().item() if len(finite) else 0.0
    return torch.allclose(got, value, rtol=0, atol=max(tolerance, finest) * scale + 1e-12, equal_nan=True)


def same(got, wanted, *, what="the result", tolerance=1e-5, first="step"):
    """Raise NotYet unless two tensors agree: type, shape, then the first place that differs, value against value.

    ``first`` is what the first axis counts ("position": nothing). Tolerance 0 is for whole numbers and spikes.
    """
    finest = _precision(got)
    got, wanted = tensor(got, what), torch.as_tensor(wanted).detach().double()
    if got.numel() == wanted.numel() == 1:
        got = got.reshape(wanted.shape)
    if got.shape != wanted.shape:
        axes = sorted(got.shape) == sorted(wanted.shape) and first == "step"
        hint = " Is time the first axis?" if axes else ""
        raise NotYet(f"{what} should have shape {list(wanted.shape)}, got {list(got.shape)}.{hint}")
    tolerance = tolerance and max(tolerance, finest)
    wrong = ~torch.isclose(got, wanted, rtol=tolerance, atol=tolerance)
    if not wrong.any():
        return
    odd = wrong & ~got.isfinite()
    at = tuple((odd if odd.any() else wrong).nonzero()[0].tolist())
    place = f" at {first} {at[0]}" + (f", position {list(at[1:])}" if len(at) > 1 else "") if at else ""
    if first == "position" and at:
        place = f" at position {list(at)}"
    if odd.any():
        raise NotYet(f"{what} is {_odd(got[at].item())}{place}.")
    values = f"yours {got[at].item():.4g}, wanted {wanted[at].item():.4g}"
    if not at:
        raise NotYet(f"{what}: {values}.")
    differ = "differ" if what.endswith("s") or " and " in what else "differs"
    raise NotYet(f"{what} first {differ}{place}: {values} ({wrong.double().mean():.0%} of the values differ).")


def close(got, wanted, *, what="the answer", tolerance=0.01, decimals=None, unit=""):
    """The number, if it lies within a relative tolerance; else NotYet, which says only whether too large or too small.

    ``decimals``: how many the notebook prints; ``wanted`` rounded to so many, or to more, is right as well.
    Tolerance 0 is exact; any other is at least what the answer's own precision can do.
    """
    value = number(got, what)
    tolerance = tolerance and max(tolerance, _precision(got))
    if abs(value - wanted) <= tolerance * abs(wanted) or _is_rounded(value, wanted, decimals):
        return value
    if wanted and math.isclose(value, -wanted, rel_tol=max(tolerance, 0.01)):
        raise NotYet(f"{what}: the size is right, the sign is not.")
    digits = next((d for d in range(6, 17) if f"{value:.{d}g}" != f"{wanted:.{d}g}"), 17)
    raise NotYet(f"{what}: {value:.{digits}g}{unit} is too {'small' if value < wanted else 'large'}.")


def number(got, what="the answer"):
    """The one number in an answer, as a float: Python's, numpy's, or the only one in a tensor, array, list or tuple."""
    while isinstance(got, (list, tuple)) and len(got) == 1:
        (got,) = got
    if torch.is_tensor(got) or isinstance(got, np.ndarray):
        if math.prod(got.shape) != 1:
            raise NotYet(f"{what} should be one number, got {kind_of(got)}.")
        got = got.item()
    if got is Ellipsis:
        raise NotYet(f"{what}: there are still dots in this place.")
    if isinstance(got, (str, bytes, bool, np.bool_)):
        raise NotYet(f"{what} should be one number, got {kind_of(got)}.")
    if isinstance(got, (complex, np.complexfloating)):
        raise NotYet(f"{what} is a complex number. Was a root or a power taken of a negative number?")
    try:
        value = float(got)
    except OverflowError:
        raise NotYet(f"{what} is too large for a float (overflow).") from None
    except (TypeError, ValueError):
        raise NotYet(f"{what} should be one number, got {kind_of(got)}.") from None
    if not math.isfinite(value):
        raise NotYet(f"{what} is {_odd(value)}.")
    return value


def whole(got, what="the answer"):
    """The one whole number in an answer, as an int; 7.0 is one."""
    value = number(got, what)
    if value != round(value):
        raise NotYet(f"{what} should be a whole number, got {value:.6g}.")
    return round(value)


def numbers(got, *names):
    """As many numbers as there are names, as floats, from anything that has an order."""
    wanted = f"{len(names)} numbers in brackets, ({', '.join(names)})"
    if isinstance(got, (set, frozenset)):
        raise NotYet(f"wanted {wanted}, got a set, which has no order: write round brackets.")
    if isinstance(got, (str, bytes, dict)) or not hasattr(got, "__len__") or getattr(got, "ndim", 1) == 0:
        raise NotYet(f"wanted {wanted}, got {kind_of(got)}.")
    if len(got) != len(names):
        raise NotYet(f"wanted {wanted}, got {len(got)}.")
    return [number(value, name) for value, name in zip(got, names, strict=True)]


def tensor(got, what="the result"):
    """The numbers of an answer as a tensor of float64: from a tensor, array, list, tuple (of tensors too), number."""
    if isinstance(got, (list, tuple)) and any(torch.is_tensor(value) or isinstance(value, list) for value in got):
        parts = [tensor(value, what) for value in got]
        if len({part.shape for part in parts}) > 1:
            raise NotYet(f"{what} should be a tensor, got {kind_of(got)} whose parts differ in shape.")
        return torch.stack(parts)
    if (isinstance(got, Real) and not isinstance(got, np.generic)) or isinstance(got, Decimal):
        try:
            got = float(got)
        except OverflowError:
            raise NotYet(f"{what} is too large for a float (overflow).") from None
    if isinstance(got, (list, tuple, float, complex, np.ndarray, np.generic)):
        try:
            array = np.array(got)
        except ValueError:  # of ragged rows
            array = np.array([None])
        if array.dtype.kind not in "biufc":
            raise NotYet(f"{what} should be a tensor of numbers, got {kind_of(got)} of something else.")
        got = torch.from_numpy(array.astype(complex if array.dtype.kind == "c" else float))
    if not torch.is_tensor(got):
        raise NotYet(f"{what} should be a tensor, got {kind_of(got)}.")
    if got.is_complex():
        raise NotYet(f"{what} has complex numbers. Was a root or a power taken of a negative number?")
    return got.detach().cpu().double()


def _precision(got):
    """What the precision of an answer lets one ask of it: a few of its smallest steps; 1e-6 for what has none."""
    kind = getattr(got, "dtype", None)
    if isinstance(kind, torch.dtype) and kind.is_floating_point:
        return max(1e-6, 4 * torch.finfo(kind).eps)
    if isinstance(kind, np.dtype) and kind.kind == "f":
        return max(1e-6, 4 * float(np.finfo(kind).eps))
    if isinstance(got, (list, tuple)) and len(got):
        return max(map(_precision, got))
    return 1e-6


def _is_rounded(value, wanted, decimals):
    """Whether ``value`` is ``wanted`` rounded to ``decimals`` or more places, as far as float32 can tell."""
    for places in range(decimals, 12) if decimals is not None else ():
        scaled, error = value * 10**places, 1e-6 * abs(value) * 10**places + 1e-9
        if error > 0.1:
            return False
        if abs(scaled - round(scaled)) <= error and abs(round(scaled) - wanted * 10**places) <= 0.5 + error:
            return True
    return False


def _odd(value):
    return "NaN (not a number)" if math.isnan(value) else "infinite"


def kind_of(got):
    if torch.is_tensor(got) or isinstance(got, np.ndarray):
        return f"{'a tensor' if torch.is_tensor(got) else 'an array'} of shape {list(got.shape)}"
    if callable(got):
        return f"{type(got).__name__} (was it called, with brackets?)"
    return "text" if isinstance(got, str) else type(got).__name__
