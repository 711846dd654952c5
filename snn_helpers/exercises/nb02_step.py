"""Exercise 02.1: one step of the neuron, with another reset."""

import functools
import inspect
from types import CodeType

import torch

from snn_helpers.exercises.core import NotYet, alike, call, exercise, kind_of, recognise, same
from snn_helpers.neurons import lif_step


def _step_cases():
    """Currents, membranes, beta, threshold: of odd shapes, above and below the threshold, negative, and exactly on it.

    The last of them fires exactly at the threshold at one step and at the other: numbers without rounding.
    """
    draw = torch.Generator().manual_seed(202)
    for shape, beta, threshold in ((7,), 0.9, 1.0), ((3, 5), 0.55, 0.7), ((2, 3, 11), 0.8, 1.9):
        current, membrane = (threshold * (4 * torch.rand(shape, generator=draw) - 1.5) for _ in range(2))
        yield current, membrane, beta, threshold
    yield torch.tensor([1.0, 0.5, 0.25, 0.5]), torch.tensor([0.0, 1.0, 1.5, 2.0]), 0.5, 1.0


@exercise(
    "02.1",
    "the step before spiked where its membrane was above the threshold. What is left of such a membrane?",
    "nothing is left of it, all of the others: membrane * (membrane <= threshold). Then decay, add, compare.",
    "membrane = beta * membrane * (membrane <= threshold) + current; return (membrane > threshold).float(), membrane.",
)
def step(answer):
    for current, membrane, beta, threshold in _step_cases():
        got = call(answer, current=current, membrane=membrane, beta=beta, threshold=threshold)
        if getattr(got, "shape", ())[:1] == (2,):  # the two, stacked
            got = tuple(got)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            came = f"{len(got)} things" if isinstance(got, (tuple, list)) else kind_of(got)
            raise NotYet(f"wanted two things back, (spikes, membrane), got {came}.")
        wanted = lif_step(current, membrane, beta=beta, threshold=threshold, reset="zero")
        if alike(got[0], wanted[1]) and alike(got[1], wanted[0]):
            raise NotYet("these are the two, in the other order: wanted is (spikes, membrane).")
        slips = _steps_with_a_slip(current, membrane, beta, threshold)
        recognise(got[1], wanted[1], slips, tolerance=1e-5)
        same(got[1], wanted[1], what="the membrane", first="position")
        spikes = {
            "the spikes are those of the step before; compare the new membrane.": membrane > threshold,
            "the spikes of >=: exactly at the threshold it does not fire, only above it.": (wanted[1] >= threshold),
            "the spikes are turned round: it fires above the threshold.": wanted[1] <= threshold,
            "the spikes of a membrane above 0; it fires above the threshold.": wanted[1] > 0,
        }
        recognise(got[0], wanted[0], {why: value.float() for why, value in spikes.items()})
        same(got[0], wanted[0], what="the spikes", tolerance=0, first="position")
    if helper := _ready_made(answer):
        raise NotYet(f"the numbers are right, but `{helper}` has computed them. Write its two lines yourself.")
    return "the same spikes and the same membrane as the series' own neuron, on arrays of any shape."


# neurons that somebody else has written: of this package, snnTorch, SpikingJelly and Norse
READY_MADE = {"lif_step", "lif", "lif_piece", "LIF", "simulate", "Leaky", "LIFNode", "LIFBoxCell"}


def _ready_made(function, deep=4):
    """The name of a ready-made neuron that a function names, or one of the learner's functions that it names; or ""."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if _is_ready_made(function):
        return function.__name__
    function = function if hasattr(function, "__code__") else type(function).__call__
    if not deep or not hasattr(function, "__code__"):
        return ""
    known = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    for name in _names(function.__code__):
        value = known.get(name)
        if value is None and name in READY_MADE:  # an attribute, or imported inside
            return name
        if _is_ready_made(value):
            return value.__name__
        if inspect.isfunction(value) and value is not function and (found := _ready_made(value, deep - 1)):
            return found
    return ""


def _is_ready_made(value):
    package = (getattr(value, "__module__", None) or "").split(".")[0]
    written = package in ("snn_helpers", "snntorch", "spikingjelly", "norse")
    return written and getattr(value, "__name__", "") in READY_MADE


def _names(code):
    yield from (*code.co_names, *code.co_freevars)
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)


def _steps_with_a_slip(current, membrane, beta, threshold):
    spiked = (membrane > threshold).float()
    kept, on_it = membrane * (1 - spiked), (membrane >= threshold).float()
    full = beta * membrane + current
    slips = {
        "no reset: whoever spiked at the step before should start from 0": full,
        "a reset by subtraction. Here nothing is left of a membrane that spiked": full - threshold * spiked,
        "beta times the threshold taken off. Here nothing is left of a membrane that spiked": full
        - beta * threshold * spiked,
        "a reset of the current as well: what comes in at this step counts": full * (1 - spiked),
        "the test turned round: it keeps those that spiked, and forgets all others": beta * membrane * spiked + current,
        "a reset to the threshold: what spiked starts from 0": beta * membrane.clamp(max=threshold) + current,
        "a reset to minus the threshold: what spiked starts from 0": beta
        * torch.where(spiked > 0, -threshold, membrane)
        + current,
        "a threshold of 1; yours comes with the call": beta * membrane * (membrane <= 1) + current,
        "no leak: what is left is multiplied by beta": kept + current,
        "a scaled input, (1 - beta) I. Here the current goes in whole": beta * kept + (1 - beta) * current,
        "beta on the current too. It comes in now and has not leaked yet": beta * (kept + current),
        "the membrane after its own reset. Keep it as it was when it spiked; the reset comes one step later": (
            beta * kept + current
        )
        * (beta * kept + current <= threshold),
        "no look at the step before: U[t] is set to 0 where it is above the threshold itself": full
        * (full <= threshold),
        ">= for the spike before: a membrane exactly at the threshold has not fired, and keeps its value": (
            beta * membrane * (1 - on_it) + current
        ),
        "a membrane that cannot be negative. It can: currents are, in a network": (beta * kept + current).relu(),
        "what was below 0 cut off before the leak. A membrane can be negative": beta * kept.relu() + current,
        "the size of the membrane, without its sign": beta * kept.abs() + current,
        "the size of the current, without its sign": beta * kept + current.abs(),
        "the sign of the current turned": beta * kept - current,
    }
    return {f"this is what you get with {slip}.": value for slip, value in slips.items()}
