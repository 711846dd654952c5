"""How answers are judged: the time limit, the learner's own line, what is read as a number, copies, rounding."""

import _thread
import functools
import gc
import math
import re
import signal
import sys
import threading
import time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from snn_helpers import neurons
from snn_helpers.exercises import check, grade
from snn_helpers.exercises.core import (
    EXERCISES,
    NotYet,
    alike,
    call,
    close,
    exercise,
    number,
    numbers,
    recognise,
    same,
    tensor,
    whole,
)


@pytest.fixture
def judge():
    """``judge(function, seconds=5)``: an exercise 99.9 for the length of a test; gives its number."""

    def register(function, seconds=5):
        EXERCISES.pop("99.9", None)
        exercise("99.9", "one", "two", "three", seconds=seconds)(function)
        return "99.9"

    yield register
    EXERCISES.pop("99.9", None)


def twice(answer):
    same(call(answer, image=torch.arange(5.0), steps=2), 2 * torch.arange(5.0))
    return "doubled"


def refusal(function, *arguments, **options):
    with pytest.raises(NotYet) as caught:
        function(*arguments, **options)
    return str(caught.value)


# ---- time


@pytest.fixture(autouse=True)
def no_garbage_is_collected():
    """What is raised from outside while a callback of the collector runs (hypothesis has one) would be lost there."""
    gc.disable()
    yield
    gc.enable()


def endless():
    while True:
        pass


def endless_and_deaf():
    while True:
        try:
            while True:
                pass
        except:  # noqa: E722
            pass


def asleep_and_deaf():
    while True:
        try:
            time.sleep(0.01)
        except:  # noqa: E722
            pass


def deaf_twice():
    try:
        try:
            endless()
        except:  # noqa: E722
            endless()
    except:  # noqa: E722
        endless()


def judgements():
    return [thread for thread in threading.enumerate() if type(thread).__name__ == "_Judgement"]


def nobody_goes_on():
    end = time.monotonic() + 10
    while judgements() and time.monotonic() < end:
        time.sleep(0.02)
    assert not judgements(), "the learner's loop goes on in the background"


@pytest.mark.parametrize("function", [endless, endless_and_deaf, asleep_and_deaf, deaf_twice])
def test_what_never_ends_is_stopped_and_said_so(function, judge, refused):
    refused(
        judge(lambda answer: call(answer), seconds=0.2), function, r"no end after 0\.2 s: stopped\. Is there a loop"
    )
    nobody_goes_on()


def test_a_library_that_cannot_be_interrupted_is_left_behind(judge, refused):
    refused(
        judge(lambda answer: call(answer), seconds=0.1),
        lambda: time.sleep(2.5),
        "no end after 0.1 s: it goes on in the background until",
    )
    assert judgements()
    check("00.2", 100)  # the next judgement has its own thread


def test_a_stopped_judgement_hits_nothing_that_comes_later(judge):
    """It ends just when its time does: it may be right or stopped, the code that follows never is."""
    number = judge(lambda answer: call(answer), seconds=0.1)
    for _ in range(15):
        grade(number, lambda: time.sleep(0.1))
        total = 0
        for value in range(20_000):  # long enough for an exception that is on its way
            total += value
        assert total == 199_990_000
    assert sys.gettrace() is None or "limit" not in sys.gettrace().__module__


def test_the_limit_is_five_seconds_unless_an_exercise_says_otherwise():
    assert all(5 <= entry.seconds <= 30 for entry in EXERCISES.values())
    assert EXERCISES["01.1"].seconds == EXERCISES["02.1"].seconds == 5


def test_an_interrupt_of_the_user_interrupts(judge):
    number = judge(lambda answer: call(answer), seconds=30)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in the background
    threading.Timer(0.2, _thread.interrupt_main).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        grade(number, endless)
    signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 20
    nobody_goes_on()


@pytest.mark.parametrize("leave", [sys.exit, lambda: exit(), lambda: quit(), lambda: sys.exit("enough")])
def test_exit_is_refused_and_ends_nothing(leave, judge, refused):
    refused(judge(lambda answer: call(answer)), lambda: leave(), r"your function ended Python \(exit\)")
    refused(judge(lambda answer: answer.leave()), Leaver(leave), "could not be judged")


class Leaver:
    def __init__(self, leave):
        self.leave = leave


# ---- a kernel

F = "def f(image, steps, generator):\n    z = 1\n    "
CELLS = {
    "import threading, _thread, torch\nfrom snn_helpers import neurons\nfrom snn_helpers.exercises import check": "",
    f"{F}exit()\ncheck('01.1', f)": r"ended Python \(exit\).*line 3 of its cell: exit\(\)",
    f"{F}quit()\ncheck('01.1', f)": r"ended Python \(exit\).*line 3 of its cell: quit\(\)",
    "def g(x):\n    return x / 0": "",
    f"{F}return g(1)\ncheck('01.1', f)": r"ZeroDivisionError: .* \(line 2 of its cell: return x / 0\)",
    f"{F}return torch.rand(2) @ torch.rand(3)\ncheck('01.1', f)": r"RuntimeError: .*\(line 3 of its cell: return torch",
    f"{F}return neurons.lif(torch.rand(2, 3), beta=2)\ncheck('01.1', f)": (
        r"ValueError: .*beta.* \(inside \w+, called from line 3 of its cell: return neurons"
    ),
    f"{F}while True:\n        try:\n            z\n        except:\n            pass\ncheck('01.1', f)": "5 s: stopped",
    "threading.Timer(0.5, _thread.interrupt_main).start()\ntry:\n    check('01.1', f)\nexcept KeyboardInterrupt:\n"
    "    print('interrupted')": "interrupted",
    "print('exits', 'ask_exit' not in vars(get_ipython()))": "exits True",
    "import time\ntime.sleep(1)\nprint([t for t in threading.enumerate() if 'Judgement' in repr(t)])": r"^\[\]",
}


def test_in_the_kernel_of_a_notebook():
    import nbclient
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    for cell, words in zip(book.cells, CELLS.values(), strict=True):
        printed = "".join(output.get("text", "") for output in cell.outputs)
        assert re.search(words, printed), (cell.source, printed)


# ---- not attempted, no return, errors


def only_dots(image, steps): ...


def only_a_docstring(image, steps):
    """What to do."""
    # your code here


def dots_returned(image, steps):
    return ...


def two_dots_returned(image, steps):
    return ..., ...


def to_be_written(image, steps):
    """What to do."""
    raise NotImplementedError("your code here")


def some_lines_are_given(image, steps):
    image = image + 1
    return ...


@pytest.mark.parametrize(
    "answer",
    [
        None,
        ...,
        (..., ...),
        [[..., ...], [...]],
        only_dots,
        only_a_docstring,
        dots_returned,
        two_dots_returned,
        to_be_written,
        some_lines_are_given,
        functools.partial(only_dots),
        lambda image, steps: ...,
    ],
)
def test_untouched_is_not_attempted(answer, judge):
    assert grade(judge(twice), answer).status == "not attempted"


def no_return(image, steps):
    image = 2 * image


def returns_what_is_done_in_place(image, steps):
    return list(image).sort()


def returns_on_some_paths(image, steps):
    if steps > 100:
        return image


@pytest.mark.parametrize(
    "answer",
    [no_return, returns_what_is_done_in_place, returns_on_some_paths, lambda image, steps: print(end=""), print],
)
def test_a_forgotten_return_is_told(answer, judge, refused):
    refused(judge(twice), answer, r"gives nothing back \(None\): it ends without a `return`")


def test_an_answer_with_some_dots_left_is_told_where(judge, refused):
    refused(judge(lambda answer: numbers(answer, "mean", "spread")), (30, ...), "spread: there are still dots")


def not_implemented_by_a_library(image, steps):
    return torch.empty(1, device="meta").numpy().tolist()


def raises_not_implemented_itself(image, steps):
    if steps == 2:
        raise NotImplementedError("two steps")


@pytest.mark.parametrize("answer", [not_implemented_by_a_library, raises_not_implemented_itself])
def test_a_not_implemented_error_of_working_code_is_an_error(answer, judge, refused):
    refused(judge(twice), answer, r"your function raised \w+: .*line \d+ of test_exercise_core\.py: ")


def divides(image, steps):
    return image / 1 + 1 // 0


def calls_the_package(image, steps):
    return neurons.lif(
        image,
        beta=10.0,
    )


def calls_torch(image, steps):
    return torch.nn.functional.softmax(image, dim=7)


class Thing:
    def __call__(self, image, steps):
        return image.no_such_thing

    def method(self, image, steps):
        return image.no_such_thing


@functools.wraps(divides)
def wrapped(*arguments):
    return divides(*arguments)


@pytest.mark.parametrize(
    "answer, words",
    [
        (divides, r"ZeroDivisionError: .*\(line \d+ of test_exercise_core\.py: return image / 1 \+ 1 // 0\)"),
        (wrapped, r"line \d+ of test_exercise_core\.py: return image / 1 \+ 1 // 0\)"),
        (calls_the_package, r"ValueError: lif: beta .*\(inside \w+, called from line \d+ of .*: return neurons\.lif\("),
        (calls_torch, r"IndexError: .*\(inside softmax, called from line \d+ of .*: return torch\.nn"),
        (Thing(), r"AttributeError.*line \d+ of .*: return image\.no_such_thing"),
        (Thing().method, r"AttributeError.*line \d+ of .*: return image\.no_such_thing"),
        (functools.partial(divides), r"line \d+ of .*: return image / 1"),
        (torch.nn.Linear(2, 3), r"\(inside Linear, at no line of your own\)"),
        (torch.dot, r"\(inside .*dot, at no line of your own\)"),
        (lambda image, steps: 2.0**10_000, r"OverflowError: .*\. A number became too large \(overflow\)"),
    ],
)
def test_an_error_is_told_at_the_learners_own_line(answer, words, judge, refused):
    refused(judge(twice), answer, words)
    assert "\n" not in grade("99.9", answer).reason


def recursive(image, steps):
    return recursive(image, steps)


def test_endless_recursion_is_an_error_of_one_line(judge, refused):
    refused(judge(twice), recursive, r"RecursionError: .*: return recursive\(image, steps\)")


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda image: image, r"should take 2 arguments: \(image, steps\); yours takes \(image\)"),
        (lambda: 3, r"should take 2 arguments: \(image, steps\); yours takes \(\)"),
        (lambda a, b, c: a, r"\(image, steps\); yours takes \(a, b, c\)"),
        (lambda a, *, b: a, r"\(image, steps\); yours takes \(a, \*, b\)"),
        (3, "wanted a function, got int"),
        (torch.ones(3), r"wanted a function, got a tensor of shape \[3\]"),
    ],
)
def test_a_wrong_number_of_arguments_says_which_were_wanted(answer, words, judge, refused):
    refused(judge(twice), answer, words)


def test_names_of_the_learners_own_and_more_arguments_with_defaults_are_right(judge):
    for answer in lambda a, b: b * a, lambda a, b, c=3: b * a, lambda *all: all[0] * all[1]:
        assert grade(judge(twice), answer).status == "right"


# ---- copies


def test_the_learner_gets_copies_of_all_that_is_compared_with():
    record = neurons.Record(torch.ones(3), torch.ones(3))
    given = [torch.ones(3), np.ones(3), [torch.ones(3)], (torch.ones(3), [1.0]), {"a": torch.ones(3)}, record]

    def spoil(value):
        if torch.is_tensor(value):
            return value.zero_()
        if isinstance(value, np.ndarray):
            value[:] = 0
        elif isinstance(value, dict):
            spoil(list(value.values()))
        elif isinstance(value, list) and isinstance(value[0], float):
            value[0] = 0.0
        else:
            for part in value:
                spoil(part)

    def answer(*values):
        spoil(values)
        assert type(values[-1]) is neurons.Record
        return 1

    call(answer, *given)
    assert all(alike(value, torch.ones(3)) for value in (*given[:2], given[2][0], given[3][0], given[4]["a"]))
    assert given[3][1] == [1.0] and record.spikes.all() and record.membrane.all()


def test_a_tensor_that_requires_grad_is_handed_over_itself():
    x = torch.ones(3, requires_grad=True)
    (grad,) = torch.autograd.grad(call(lambda x: 3 * x, x=x).sum(), x)
    assert grad.tolist() == [3, 3, 3]


# ---- numbers


@pytest.mark.parametrize(
    "got",
    [
        7, 7.0, np.int64(7), np.float32(7), np.uint16(7), np.array(7), np.array([7.0]), torch.tensor(7), [7], (7.0,),
        torch.tensor([[7.0]]), torch.tensor(7.0, dtype=torch.bfloat16), torch.tensor(7.0, requires_grad=True),
        torch.tensor(7, dtype=torch.uint8), Fraction(7), Decimal(7), [torch.tensor(7)],
    ],
)  # fmt: skip
def test_a_number_is_read_in_any_form(got):
    assert number(got) == 7 and whole(got) == 7 and close(got, 7, tolerance=0) == 7 and alike(got, 7)
    same(got, 7) if not isinstance(got, (Fraction, Decimal)) else None


@pytest.mark.parametrize(
    "got, words",
    [
        (math.nan, r"the rate is NaN \(not a number\)"),
        (torch.tensor(math.nan), r"the rate is NaN \(not a number\)"),
        (np.float64("inf"), "the rate is infinite"),
        (-math.inf, "the rate is infinite"),
        (10**400, r"the rate is too large for a float \(overflow\)"),
        (1j, "the rate is a complex number"),
        (torch.tensor(1j), "the rate is a complex number"),
        (np.complex64(1), "the rate is a complex number"),
        ("7", "the rate should be one number, got text"),
        (True, "the rate should be one number, got bool"),
        (torch.tensor(True), "the rate should be one number, got bool"),
        (torch.ones(2), r"the rate should be one number, got a tensor of shape \[2\]"),
        (np.ones(2), r"the rate should be one number, got an array of shape \[2\]"),
        ([1, 2], "the rate should be one number, got list"),
        ({7}, "the rate should be one number, got set"),
        (math.exp, r"the rate should be one number, got builtin.*was it called, with brackets\?"),
        (..., "the rate: there are still dots in this place"),
    ],
)
def test_what_is_no_number_is_told_in_its_own_word(got, words):
    assert re.search(words, refusal(number, got, "the rate")), refusal(number, got, "the rate")


def test_whole_numbers_and_several_numbers():
    assert whole(np.float16(12)) == 12 and "whole number, got 12.5" in refusal(whole, 12.5)
    for pair in (3, 0.5), [3, 0.5], np.array([3, 0.5]), torch.tensor([3, 0.5]), (torch.tensor(3), np.float32(0.5)):
        assert numbers(pair, "mean", "spread") == [3, 0.5]
    wanted = "wanted 2 numbers in brackets, (mean, spread), got "
    for got, words in ({3, 0.5}, "a set, which has no order"), (3, "int"), ("ab", "text"), ({1: 2, 3: 4}, "dict"), (
        (1, 2, 3), "3."), (torch.tensor(3), "a tensor of shape []"):  # fmt: skip
        assert wanted + words in refusal(numbers, got, "mean", "spread")
    assert refusal(numbers, (3, "a"), "mean", "spread") == "spread should be one number, got text."


@pytest.mark.parametrize(
    "got",
    [
        torch.tensor([0, 1, 1]), torch.tensor([False, True, True]), np.array([0, 1, 1], dtype=np.uint16), [0, 1, 1],
        (0.0, 1.0, 1.0), [torch.tensor(0.0), torch.tensor(1), np.int64(1)], [np.int64(0), np.int64(1), 1],
        torch.tensor([0, 1, 1.0], dtype=torch.float64), torch.tensor([0, 1, 1.0], dtype=torch.bfloat16),
        np.array([1.0, 1.0, 0.0])[::-1], torch.tensor([0, 1.0, 1.0], requires_grad=True), [False, True, True],
        (torch.tensor(0.0, requires_grad=True), torch.tensor(1.0), torch.tensor(1.0)), np.array([0, 1, 1.0], "f2"),
    ],
)  # fmt: skip
def test_a_tensor_is_read_in_any_form(got):
    assert tensor(got).dtype == torch.float64 and not tensor(got).requires_grad
    same(got, torch.tensor([0.0, 1.0, 1.0]), tolerance=0)
    assert alike(got, [0, 1, 1])


def test_whole_numbers_are_not_cut_off_before_they_are_compared():
    assert "yours 2.5, wanted 2" in refusal(same, torch.tensor(2.5), torch.tensor(2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_an_answer_is_judged_by_its_own_precision(dtype):
    wanted = torch.rand(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same(wanted.to(dtype), wanted)
    close(wanted[0, 0].to(dtype), wanted[0, 0].item(), tolerance=1e-9)
    assert alike(list(wanted.to(dtype)), wanted, tolerance=1e-6)
    assert "first differs at step 0" in refusal(same, wanted.to(dtype) * 1.1, wanted)
    assert not alike(wanted.to(dtype) * 1.1, wanted)


def test_same_tells_what_is_wrong():
    wanted = torch.arange(6.0).view(2, 3)
    assert "shape [2, 3], got [3, 2]. Is time the first axis?" in refusal(same, wanted.T, wanted)
    assert "first axis" not in refusal(same, wanted.T, wanted, first="neuron")
    assert "first differs at neuron 1, position [2]: yours 0, wanted 5 (17%" in refusal(
        same, torch.tensor([[0, 1, 2], [3, 4, 0]]), wanted, first="neuron"
    )
    assert refusal(same, wanted.log() * 0, wanted) == "the result is NaN (not a number) at step 0, position [0]."
    assert "the result is infinite at step 1, position [0]" in refusal(same, 1 / (3 - wanted) + wanted, wanted)
    assert "complex numbers" in refusal(same, wanted * 1j, wanted) and "complex" in refusal(same, [1j, 2.0], wanted)
    for got in ["a", "b"], [[1, 2], [3]], [torch.ones(2), torch.ones(3)], {1: 2}, "ab", None:
        assert "should be a tensor" in refusal(same, got, wanted)


def test_close_takes_what_the_notebook_prints_and_nothing_else():
    wanted = 0.1237112
    for got in 0.124, 0.1237, 0.12371, 0.1237112, torch.tensor(0.124), np.float16(0.124), [0.124]:
        close(got, wanted, tolerance=1e-5, decimals=3)
    for got in 0.12, 0.123, 0.125, 0.1236, 0.1238, 0.1242, 0.12372:
        assert "is too" in refusal(close, got, wanted, tolerance=1e-5, decimals=3)
    assert "is too" in refusal(close, 0.124, wanted, tolerance=1e-5)
    for got in 0.062, 0.063, 0.0625:  # either way of rounding a half
        close(got, 0.0625, tolerance=1e-6, decimals=3)
    close(30, 29.6, tolerance=1e-6, decimals=0)


def test_close_says_a_wrong_sign_and_enough_digits():
    assert refusal(close, -0.2, 0.2, what="U") == "U: the size is right, the sign is not."
    assert refusal(close, 100.0000001, 100, tolerance=0) == "the answer: 100.0000001 is too large."
    assert refusal(close, 1.3, 2, unit=" mV") == "the answer: 1.3 mV is too small."
    close(0.25 / torch.tensor(0.05) ** 2, 100, tolerance=1e-6)


def test_a_slip_is_told_only_where_it_shows():
    slips = {"the sign is turned.": -torch.ones(3), "the mean is missing.": torch.zeros(3), "a pair.": (1.0, (2, 3))}
    assert refusal(recognise, [0, 0, 0], torch.ones(3), slips, what="case 2") == "case 2: the mean is missing."
    assert refusal(recognise, (1.0, [2, 3]), (1, (2, 4)), slips) == "a pair."
    recognise(torch.ones(3), torch.ones(3), {"wrong": torch.ones(3)})  # a slip that gives what is wanted is none
    recognise(torch.ones(3).half() * 1.0005, torch.ones(3), {"wrong": torch.ones(3) * 1.0005}, tolerance=1e-6)
    for got in "text", None, object(), math.nan, [], [[1], [1, 2]], {}, torch.ones(3, 1), 1j, lambda: 3, ...:
        recognise(got, torch.ones(3), slips)


def test_alike_looks_at_the_largest_magnitude_and_takes_nan_for_nan():
    assert alike(torch.tensor([1e-9, 1000.0]), [0, 1000]) and not alike(1e-9, 2e-9)
    assert alike(math.nan, math.nan) and not alike(1.0, math.nan) and alike(math.inf, math.inf)
    assert not alike(torch.ones(3), torch.ones(1, 3)) and alike(torch.ones(1, 1), 1.0)
