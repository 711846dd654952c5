"""Exercises of notebook 07 that count steps and spikes."""

import math

import torch

from snn_helpers.exercises.core import NotYet, call, exercise, recognise, same, tensor, whole
from snn_helpers.exercises.limit import OutOfTime, within
from snn_helpers.neurons import Record, lif


@exercise(
    "07.2",
    "a current up to the threshold: the error is |V_T - V_0| / (T theta). How far from V_0 can V_T be, upwards and "
    "downwards? A current above it: what is the rate?",
    "V_T lies between 0 and theta, so the worst is max(v_init, 1 - v_init) / T. Above the threshold the rate is 1 from "
    "the first step on, off by largest - 1, however long one waits.",
    "0 if largest - 1 > error, else math.ceil(max(v_init, 1 - v_init) / error).",
)
def steps_for(answer):
    for error, v_init, largest in (
        *((0.011, 0.5, 1.0), (0.03, 0.0, 0.8), (0.03, 0.8, 1.0)),
        *((0.07, 0.25, 1.05), (0.03, 0.5, 1.2), (0.013, 0.4, 1.0)),
        *((0.125, 0.5, 1.0), (0.25, 0.25, 1.25)),  # exactly at the error, which is allowed
    ):
        got = whole(call(answer, error=error, v_init=v_init, largest=largest), "the number of steps")
        need = {part: math.ceil(part / error) for part in (v_init, 1 - v_init, 0.5, 1.0)}
        wanted = 0 if largest - 1 > error else need[max(v_init, 1 - v_init)]
        case = f"error {error:g}, start at {v_init:g}, currents up to {largest:g}"
        slips = {
            "with such a current it fires at every step, and a rate of 1 is too low for ever: 0.": wanted or got,
            f"a rate of 1 for a current of {largest:g} is within {error:g}: there is a T.": wanted * (largest <= 1),
            "with one step less than needed the bound is still above the error: round up.": wanted - 1,
            "that is for V_0 = 0; from here V_T cannot be a whole threshold away.": need[1.0],
            "that is for half a threshold; V_0 is elsewhere here.": need[0.5],
            "V_T may lie below V_0, but also above it, up to the threshold: take the larger way.": need[v_init],
            "V_T may lie above V_0, but also below it, down to 0: take the larger way.": need[1 - v_init],
        }
        recognise(got, wanted, slips, what=case, tolerance=0)
        same(got, wanted, what=f"the number of steps for {case}", tolerance=0)
    return "the start decides how long one waits, the cap whether waiting helps at all."


@exercise(
    "07.4",
    "which entries lie more than 0.005 below the CNN? An entry above it is no fault.",
    "the curve has to stay: look for the last entry that is too low. Entry 0 is one step.",
    "low = (accuracy < cnn - 0.005).nonzero().flatten(); 1 if there is none, else low[-1] + 2; and 0 where that is "
    "more than len(accuracy).",
)
def steps_to_the_cnn(answer):
    cases = []
    for curve, cnn in _curves():
        got = whole(call(answer, accuracy=curve, cnn=cnn), "the number of steps")
        cases.append((got, _from_when_not(curve < cnn - 0.005), _slips(curve, cnn, got), len(curve)))
    wrong = next((i for i, (got, wanted, _, _) in enumerate(cases) if got != wanted), None)
    if wrong is not None:
        got, wanted, _, steps = cases[wrong]
        for shift, more in (0, ""), (1, f" And {_INDEX}"):
            reason = _reason(cases, shift)
            if reason:
                case = next(steps for got, wanted, _, steps in cases if got != wanted and (wanted or reason == _NEVER))
                raise NotYet(f"a curve of {case} steps: {reason}{more}")
        same(got, wanted, what=f"the number of steps for a curve of {steps}", tolerance=0)
    return "that number, and not the accuracy after ever so many steps, is what a converted network is judged by."


_NEVER = "a curve that ends more than half a point below the CNN never gets there: return 0 for it."
_INDEX = "the answer is the index of an entry; entry 0 is one step, so index k means k + 1 steps."


def _reason(cases, shift):
    """The slip that explains every answer, or every one but those for curves that never get there; or None.

    shift : 1 where on top of it an index was given for a number of steps
    """
    for some in cases, [case for case in cases if case[1]]:
        for reason in cases[0][2]:
            if shift and reason in (_NEVER, _INDEX):
                continue
            explains = all(got + shift == slip[reason] for got, _, slip, _ in some)
            if explains and any(got != wanted for got, wanted, *_ in some):
                return reason
    return None


def _slips(curve, cnn, got):
    """{reason: the answer that this slip gives for the curve}; where the slip says nothing, what came."""
    low, wanted = curve < cnn - 0.005, _from_when_not(curve < cnn - 0.005)
    near = (~low).nonzero().flatten().tolist()
    return {
        _NEVER: wanted or got,
        "that is where it comes within half a point for the first time; it has to stay.": near[0] + 1 if near else 0,
        _INDEX: wanted - 1 if wanted > 1 else got,
        "above the CNN is no fault; only more than half a point below it.": _from_when_not((curve - cnn).abs() > 0.005),
        "compare with the accuracy of the CNN, not with the end of the curve.": _from_when_not(
            (curve - curve[-1]).abs() > 0.005
        ),
        "half a point below the CNN is near enough.": _from_when_not(curve < cnn),
        "half a point is 0.005, not 0.05.": _from_when_not(curve < cnn - 0.05),
        "half a point is 0.005, not 0.5.": _from_when_not(curve < cnn - 0.5),
        "half a point is 0.005 for every CNN, not half a per cent of its accuracy.": _from_when_not(
            curve < 0.995 * cnn
        ),
        "that is the last entry that is too low, as an index; the next is near enough, and entry k is step k + 1.": (
            low.nonzero()[-1].item() if low.any() else got
        ),
        "that is the length of the curve; asked is from where on it is near enough.": len(curve),
        "that is where the curve is highest; asked is from where on it is near enough.": 1 + int(curve.argmax()),
        "that counts the entries that are too low; asked is where the last of them is.": 1 + int(low.sum()),
        "that counts the entries that are near enough; asked is from which one on all are.": int((~low).sum()),
    }


def _from_when_not(low):
    """The number of steps from which on ``low`` does not come again; 0 if it comes at the end."""
    steps = max(low.nonzero().flatten().tolist(), default=-1) + 2
    return steps if steps <= len(low) else 0


def _curves():
    """Curves that rise and stay, rise, fall out and come back, end too low, end above, need no waiting, end just in."""
    rise = 0.5 * torch.exp(-torch.arange(41) / 3.0).double()
    dip, late = 0.001 - rise[:31], -0.001 - rise[:17]
    dip[19:22] -= 0.02
    late[-1] -= 0.01
    ends = (0.97, 0.002 - rise[:23]), (0.91, dip), (0.97, -0.02 - rise[:19])
    just = -0.004 - rise[:29]
    just[24] += 0.002  # the highest entry is not the last
    more = (0.88, 0.02 - rise), (0.93, late), (0.97, 0.001 - rise[14:21]), (0.6, just)
    for cnn, below in *ends, *more:
        yield cnn + below, cnn


@exercise(
    "07.5",
    "from V_0 the membrane has collected V_0 + T a after T steps; every spike took 1 of it.",
    "spikes are whole: how many thresholds fit into V_0 + T a? Never fewer than none, never more than one a step.",
    "(v0 + steps * a).floor().clamp(0, steps)",
    seconds=20,  # an answer that runs the neuron step by step is told so, not that it is slow
)
def count_without_running(answer):
    generator = torch.Generator().manual_seed(75)
    for steps, v0 in (7, 0.0), (19, 0.5), (31, 0.25):
        a = 2 * torch.rand(53, generator=generator, dtype=torch.double) - 0.5
        record = lif(a.expand(steps, 53), beta=1.0, initial=Record(None, torch.full_like(a, v0)))
        wanted, all_of_it = record.spikes.sum(0), v0 + steps * a
        got = tensor(call(answer, a=a, steps=steps, v0=v0), "the number of spikes")
        slips = {
            f"right for V_0 = 0; with V_0 = {v0} the first spike comes earlier.": (steps * a).floor().clamp(0, steps),
            "this rounds to the nearest, which is right for V_0 = 1/2 alone.": (steps * a).round().clamp(0, steps),
            "V_0 is there once, not at every step.": (steps * (a + v0)).floor().clamp(0, steps),
            "spikes are whole numbers: only full thresholds count.": all_of_it.clamp(0, steps),
            "a negative current fires no spikes, not a negative number of them.": all_of_it.floor().clamp(max=steps),
            "one spike a step is the most; a current above 1 cannot fire more.": all_of_it.floor().clamp(min=0),
            "a current below 0 fires no spikes, and one above 1 one a step and no more.": all_of_it.floor(),
            "only full thresholds count: round down, not up.": all_of_it.ceil().clamp(0, steps),
            "these are rates; wanted is the number of spikes.": wanted / steps,
        }
        recognise(got, wanted, slips)
        same(got, wanted, what=f"the number of spikes in {steps} steps from V_0 = {v0}", first="neuron")
    steps, a = 2**20, torch.tensor([-102, 7, 300, 511, 900, 1400]).double() / 1024
    try:
        got = within(2, lambda: call(answer, a=a, steps=steps, v0=0.25))
    except OutOfTime:
        raise NotYet(
            f"right for a few steps, but {steps:,} steps took it more than 2 s: it runs the neuron. Count without that."
        ) from None
    same(got, (steps * a).clamp(0, steps), what=f"the number of spikes in {steps:,} steps", first="neuron")
    a = (torch.arange(1000) + 0.5) / 1000
    zero, half = (((v0 + 10 * a).floor() / 10 - a).mean() for v0 in (0.0, 0.5))
    return (
        f"on average over currents from 0 to 1 and T = 10, the rate is off by {zero:+.3f} from V_0 = 0 and by "
        f"{abs(half):.3f} from one half: starting half full rounds to the nearest instead of down."
    )
