"""How an answer is judged: right, not yet (and why), or not attempted.

An exercise is a function ``judge(answer)`` under ``@exercise(number, hint, hint, hint)``. It returns a sentence that
says what the answer shows, or raises ``NotYet`` with the reason; ``call``, ``same`` and ``close`` raise it for most.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

RIGHT, NOT_YET, NOT_ATTEMPTED = "right", "not yet", "not attempted"
_MARKS = {RIGHT: "✔", NOT_YET: "✘", NOT_ATTEMPTED: "○"}
EXERCISES = {}


class NotYet(Exception):
    """The answer is wrong; the message says why, in one line."""


class NotAttempted(Exception):
    """There is no answer yet."""


@dataclass(frozen=True)
class Exercise:
    judge: Callable
    hints: tuple


@dataclass(frozen=True)
class Verdict:
    """What ``grade`` found: ``status`` is "right", "not yet" or "not attempted", ``reason`` one line."""

    status: str
    reason: str


def exercise(number, *hints):
    """Register the decorated judge under its number, with three hints from a nudge to nearly the answer."""

    def register(judge):
        assert len(hints) == 3 and number not in EXERCISES
        EXERCISES[number] = Exercise(judge, hints)
        return judge

    return register


def check(number, answer=None):
    """Say whether the answer to an exercise is right, and if not, why. Never raises for a wrong answer.

    >>> check("00.1", None)
    ○ 00.1 not attempted: put your answer in place of the dots and run the cell again. For a nudge: hint("00.1")
    """
    verdict = grade(number, answer)
    print(f"{_MARKS[verdict.status]} {number} {verdict.status}: {verdict.reason}")


def hint(number, level=1):
    """Show hint 1 (a nudge), 2 or 3 (nearly the answer).

    >>> hint("00.2", 3)
    hint 3 of 3: 50 ms / 0.5 ms.
    """
    hints = _find(number).hints
    if level not in (1, 2, 3):
        raise ValueError(f"hint: level must be 1, 2 or 3, got {level!r}.")
    more = f' (More: hint("{number}", {level + 1}))' if level < 3 else ""
    print(f"hint {level} of 3: {hints[level - 1]}{more}")


def grade(number, answer):
    """The Verdict on an answer; what ``check`` prints."""
    judge = _find(number).judge
    try:
        if answer is None or answer is Ellipsis:
            raise NotAttempted
        return Verdict(RIGHT, judge(answer))
    except NotAttempted:
        return Verdict(
            NOT_ATTEMPTED, f'put your answer in place of the dots and run the cell again. For a nudge: hint("{number}")'
        )
    except NotYet as reason:
        return Verdict(NOT_YET, str(reason))
    except Exception as error:
        return Verdict(NOT_YET, f"this answer, a {type(answer).__name__}, could not be judged ({_line(error)}).")


def call(function, *arguments, **options):
    """The learner's function on a case of ours. Its own exception becomes a reason in one line."""
    if not callable(function):
        raise NotYet(f"wanted a function, got {type(function).__name__}. Pass the function's name, without brackets.")
    try:
        result = function(*arguments, **options)
    except NotImplementedError:
        raise NotAttempted from None
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise NotYet(
            f"your function raised {_line(error)} (line {where.lineno} of its cell: {where.line or '?'})."
        ) from None
    if result is None or result is Ellipsis:
        raise NotAttempted
    return result


def same(got, wanted, *, what="the result", tolerance=1e-5):
    """Raise NotYet unless two tensors agree: type, shape, then the first step that differs, value against value."""
    got, wanted = _tensor(got, what), torch.as_tensor(wanted)
    if got.shape != wanted.shape:
        raise NotYet(f"{what} should have shape {list(wanted.shape)}, got {list(got.shape)}.{_axes_hint(got, wanted)}")
    wrong = ~torch.isclose(got.to(wanted.dtype), wanted, rtol=tolerance, atol=tolerance)
    if wrong.any():
        first = tuple(wrong.nonzero()[0].tolist())
        values = f"yours {got[first].item():.4g}, wanted {wanted[first].item():.4g}"
        if not first:
            raise NotYet(f"{what}: {values}.")
        place = f"step {first[0]}" + (f", position {list(first[1:])}" if len(first) > 1 else "")
        share = f"{wrong.float().mean():.0%} of the values differ"
        raise NotYet(f"{what} first differs at {place}: {values} ({share}).")


def close(got, wanted, *, what="the answer", tolerance=0.01, unit=""):
    """Raise NotYet unless a number lies within a relative tolerance; says only whether it is too large or too small."""
    value = _number(got, what)
    if not abs(value - wanted) <= tolerance * abs(wanted):  # written so that NaN is refused too
        raise NotYet(f"{what}: {value:.6g}{unit} is too {'small' if value < wanted else 'large'}.")
    return value


def _number(got, what="the answer"):
    try:
        return float(got)
    except (TypeError, ValueError):
        raise NotYet(f"{what} should be one number, got {type(got).__name__}.") from None


def _tensor(got, what):
    if isinstance(got, (np.ndarray, list, tuple, int, float, np.number)):
        try:
            got = torch.as_tensor(got)
        except (TypeError, ValueError, RuntimeError):
            raise NotYet(f"{what} should be a tensor of numbers, got {type(got).__name__} of something else.") from None
    if not torch.is_tensor(got):
        raise NotYet(f"{what} should be a tensor, got {type(got).__name__}.")
    return got.detach()


def _axes_hint(got, wanted):
    if got.ndim == wanted.ndim and sorted(got.shape) == sorted(wanted.shape):
        return " Is time the first axis?"
    return ""


def _line(error):
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _find(number):
    if number not in EXERCISES:
        raise ValueError(f"exercises: there is no exercise {number!r}. There are: {', '.join(sorted(EXERCISES))}.")
    return EXERCISES[number]
