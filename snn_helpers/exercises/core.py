"""How an answer is judged: right, not yet (and why), or not attempted.

An exercise is a function ``judge(answer)`` under ``@exercise(number, hint, hint, hint)``. It returns a sentence that
says what the answer shows, or raises ``NotYet`` with the reason. What raises it for most:

- ``call(function, image=image, steps=7)`` the learner's function on a case of ours;
- ``number``, ``whole``, ``numbers``, ``tensor`` read what came, in whatever form its meaning is right;
- ``recognise(got, wanted, {reason: value})`` tells a known slip by what it gives;
- ``same`` and ``close`` compare tensors and numbers.
"""

import dis
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from snn_helpers.exercises.blame import first_line, own_line
from snn_helpers.exercises.compare import NotYet, alike, close, kind_of, number, numbers, recognise, same, tensor, whole
from snn_helpers.exercises.limit import OutOfTime, within

__all__ = ["NotAttempted", "NotYet", "alike", "call", "check", "close", "exercise", "grade", "hint"]
__all__ += ["number", "numbers", "recognise", "same", "tensor", "whole"]

RIGHT, NOT_YET, NOT_ATTEMPTED = "right", "not yet", "not attempted"
_MARKS = {RIGHT: "✔", NOT_YET: "✘", NOT_ATTEMPTED: "○"}
EXERCISES = {}


class NotAttempted(Exception):
    """There is no answer yet."""


@dataclass(frozen=True)
class Exercise:
    judge: Callable
    hints: tuple
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """What ``grade`` found: ``status`` is "right", "not yet" or "not attempted", ``reason`` one line."""

    status: str
    reason: str


def exercise(number, *hints, seconds=5):
    """Register the decorated judge under its number, with three hints from a nudge to nearly the answer.

    A judgement that takes longer than ``seconds`` is stopped; raise it only for a judge that is slow by itself.
    """

    def register(judge):
        assert len(hints) == 3 and number not in EXERCISES
        EXERCISES[number] = Exercise(judge, hints, seconds)
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
    hint 3 of 3: 80 steps x 235 batches.
    """
    hints = _find(number).hints
    if level not in (1, 2, 3):
        raise ValueError(f"hint: level must be 1, 2 or 3, got {level!r}.")
    more = f' (More: hint("{number}", {level + 1}))' if level < 3 else ""
    print(f"hint {level} of 3: {hints[level - 1]}{more}")


def grade(number, answer):
    """The Verdict on an answer; what ``check`` prints."""
    exercise = _find(number)
    try:
        if answer is None or _is_blank(answer):
            raise NotAttempted
        return Verdict(RIGHT, within(exercise.seconds, lambda: exercise.judge(answer)))
    except NotAttempted:
        return Verdict(
            NOT_ATTEMPTED, f'put your answer in place of the dots and run the cell again. For a nudge: hint("{number}")'
        )
    except NotYet as reason:
        return Verdict(NOT_YET, str(reason))
    except OutOfTime as late:
        fate = "stopped" if late.stopped else "it goes on in the background until the kernel is restarted"
        return Verdict(NOT_YET, f"no end after {exercise.seconds:g} s: {fate}. Is there a loop that never ends?")
    except (Exception, SystemExit) as error:
        reason = f"this answer, a {type(answer).__name__}, could not be judged ({first_line(error)})."
        return Verdict(NOT_YET, reason)


def call(function, *arguments, **named):
    """The learner's function on a case of ours; what it raises becomes a reason in one line.

    Arguments given by name are handed over by their position too, for a learner may call them as they like; the names
    are for telling which arguments were wanted. Tensors, arrays and lists, nested ones as well, are copied, so that
    nobody can change what is compared with; only a tensor that requires grad is handed over itself, to be asked for it.
    A function that does nothing but hold dots is not attempted; one that gives back None has forgotten its return.
    """
    if not callable(function):
        raise NotYet(f"wanted a function, got {kind_of(function)}. Pass the function's name, without brackets.")
    by_name = _check_arguments(function, len(arguments), named)
    by_place = [value for name, value in named.items() if name not in by_name]
    try:
        result = function(*map(_copy, (*arguments, *by_place)), **{name: _copy(named[name]) for name in by_name})
    except (Exception, SystemExit) as error:
        if isinstance(error, NotImplementedError) and _does_nothing(function):
            raise NotAttempted from None
        raised = "ended Python (exit)" if isinstance(error, SystemExit) else f"raised {first_line(error)}"
        overflow = " A number became too large (overflow)." if isinstance(error, OverflowError) else ""
        raise NotYet(f"your function {raised}{own_line(error, function)}.{overflow}") from None
    if _is_blank(result) or (result is None and _does_nothing(function)):
        raise NotAttempted
    if result is None:
        raise NotYet("your function gives nothing back (None): it ends without a `return` of its result.")
    return result


def _check_arguments(function, unnamed, named):
    """Raise NotYet unless the function takes the arguments; the names of those that it takes by name only."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some of C have none
        return []
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    by_name = [name for name in named if kinds.get(name) is inspect.Parameter.KEYWORD_ONLY]
    try:
        signature.bind(*range(unnamed + len(named) - len(by_name)), **dict.fromkeys(by_name))
    except TypeError:
        count = unnamed + len(named)
        names = f": ({', '.join(named)})" if named and not unnamed else ""
        raise NotYet(
            f"your function should take {count} argument{'s' * (count != 1)}{names}; yours takes {signature}."
        ) from None
    return by_name


def _copy(value):
    if torch.is_tensor(value):
        return value if value.requires_grad else value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [_copy(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _is_blank(answer):
    return answer is Ellipsis or (isinstance(answer, (list, tuple)) and len(answer) > 0 and all(map(_is_blank, answer)))


def _does_nothing(function):
    """Whether its body is only dots, a docstring, pass, an empty return, or raise NotImplementedError."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    idle = {"RESUME", "NOP", "CACHE", "PUSH_NULL", "PRECALL", "CALL", "POP_TOP", "COPY_FREE_VARS", "RAISE_VARARGS"}
    idle |= {"LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "LOAD_COMMON_CONSTANT"}
    return code is not None and all(
        step.opname in idle or step.argval == "NotImplementedError" for step in dis.get_instructions(code)
    )


def _find(number):
    if number not in EXERCISES:
        raise ValueError(f"exercises: there is no exercise {number!r}. There are: {', '.join(sorted(EXERCISES))}.")
    return EXERCISES[number]
