"""Exercises of notebook 02."""

import math

import torch

from snn_helpers.exercises.core import NotYet, call, close, exercise, same
from snn_helpers.neurons import beta_from_tau, lif, lif_step

RHEOBASE = dict(tau=10.0, threshold=1.3)
PAIR = dict(weight=0.6, window=5)


def _step_cases():
    """Currents, membranes, beta, threshold: seeded, of odd shapes, some neurons over the threshold and some under."""
    draw = torch.Generator().manual_seed(202)
    for shape, beta, threshold in (((7,), 0.9, 1.0), ((3, 5), 0.55, 0.7), ((2, 3, 11), 0.8, 1.9)):
        current, membrane = (2.5 * threshold * torch.rand(shape, generator=draw) for _ in range(2))
        yield current, membrane, beta, threshold


@exercise(
    "02.1",
    "three lines: who spiked at the step before? Decay, add the current, take the threshold off those. Then compare.",
    "the step before spiked where its membrane is above the threshold: (membrane > threshold).float().",
    "membrane = beta * membrane + current - threshold * spiked; then return (membrane > threshold).float(), membrane.",
)
def step(answer):
    for current, membrane, beta, threshold in _step_cases():
        got = call(answer, current.clone(), membrane.clone(), beta, threshold)
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise NotYet(f"wanted two things back, (spikes, membrane), got {type(got).__name__}.")
        wanted = lif_step(current, membrane, beta=beta, threshold=threshold)
        _recognise_step(got, wanted, current, membrane, beta, threshold)
        same(got[1], wanted[1], what="the membrane")
        same(got[0], wanted[0], what="the spikes")
    zeros, ones = torch.zeros(3), torch.ones(3)
    on_it = call(answer, ones, zeros, 0.5, 1.0)
    same(on_it[0], zeros, what="the spikes of a membrane exactly at the threshold (it fires above, not at it)")
    return "the same spikes and the same membrane as the series' own neuron, on arrays of any shape."


def _recognise_step(got, wanted, current, membrane, beta, threshold):
    def is_like(a, b):
        return torch.is_tensor(a) and a.shape == b.shape and torch.allclose(a.to(b.dtype), b, atol=1e-5)

    spiked = (membrane > threshold).float()
    decayed = beta * membrane + current
    slips = {
        "no reset: whoever spiked at the step before should start one threshold lower": decayed,
        "a reset to zero. Here the threshold is subtracted and what is above it stays": decayed
        - beta * membrane * spiked,
        "beta times the threshold taken off (a reset before the leak). Take off the whole threshold": decayed
        - beta * threshold * spiked,
        "a scaled input, (1 - beta) I. Here the current goes in whole": beta * membrane
        + (1 - beta) * current
        - threshold * spiked,
        "the membrane after its own reset. Keep it as it was when it spiked; the reset comes one step later": decayed
        - threshold * (decayed > threshold),
    }
    if is_like(got[0], wanted[1]) and is_like(got[1], wanted[0]):
        raise NotYet("these are the two, but in the other order: (spikes, membrane).")
    for what, membrane_of_slip in slips.items():
        if is_like(got[1], membrane_of_slip) and not is_like(got[1], wanted[1]):
            raise NotYet(f"this is what you get with {what}.")


@exercise(
    "02.2",
    "write out U[1], U[2], U[3] from rest: I, then I + beta I, then I + beta I + beta^2 I. What kind of sum is that?",
    "a geometric sum: 1 + beta + ... + beta^(n-1) = (1 - beta^n) / (1 - beta).",
    "return current * (1 - beta**n) / (1 - beta).",
)
def closed_form(answer):
    draw = torch.Generator().manual_seed(203)
    for n in (1, 2, 7, 31):
        current, beta = (0.1 + 0.85 * torch.rand(2, generator=draw, dtype=torch.float64)).tolist()
        u = 0.0
        for _ in range(n):
            u = beta * u + current
        got = call(answer, n, current, beta)
        what = f"U[{n}] for I = {current:.3f}, beta = {beta:.3f}"
        slips = {
            "one step too many: after n steps there are n terms, the last is beta^(n-1)": current
            * (1 - beta ** (n + 1))
            / (1 - beta),
            "one step too few: U[1] is already I": current * (1 - beta ** (n - 1)) / (1 - beta),
            "a scaled input: this settles at I, ours settles at I / (1 - beta)": current * (1 - beta**n),
            "n already at infinity: this is where it settles, not where it is after n steps": current / (1 - beta),
        }
        for slip, value in slips.items():
            if _is(got, value) and not _is(got, u):
                raise NotYet(f"{what}: this is what you get with {slip}.")
        close(got, u, what=what, tolerance=1e-6)
    return "thirty-one steps of a loop in one line, to six digits."


def _is(got, value, tolerance=1e-6):
    try:
        return math.isclose(float(got), value, rel_tol=tolerance)
    except (TypeError, ValueError):
        return False


@exercise(
    "02.3",
    "under a constant current the membrane settles at I / (1 - beta). It fires only if that is above the threshold.",
    "set I / (1 - beta) equal to the threshold and solve for I. beta is exp(-1/10).",
    "1.3 * (1 - math.exp(-1 / 10)).",
)
def rheobase(answer):
    tau, threshold = RHEOBASE["tau"], RHEOBASE["threshold"]
    beta = beta_from_tau(tau)
    wanted = threshold * (1 - beta)
    if _is(answer, threshold, 1e-3):
        raise NotYet(
            "this is the threshold itself; but the membrane adds up what it gets, so a far smaller current is enough."
        )
    if _is(answer, threshold / tau, 1e-3):
        raise NotYet("this is the answer for Euler's beta, 1 - 1/tau. Take the exact one, exp(-1/tau).")
    if _is(answer, threshold * beta, 1e-3):
        raise NotYet(
            "this is threshold times beta; what has to be made up at each step is the share that leaks, 1 - beta."
        )
    if _is(answer, 1 - beta, 1e-3):
        raise NotYet("this is the answer for a threshold of 1; here it is 1.3.")
    close(answer, wanted, what="the rheobase", tolerance=2e-3)
    return "one per cent less and it never fires, one per cent more and it does, if you wait."


@exercise(
    "02.4",
    "the first spike leaves 0.6 behind, which decays for d steps; then the second one adds 0.6. When is that above 1?",
    "0.6 beta^d + 0.6 > 1 must hold for d = 4 and fail for d = 5.",
    "beta^4 > 2/3 >= beta^5, so tau lies between 4 / ln(3/2) and 5 / ln(3/2).",
)
def coincidence(answer):
    tau = _positive_number(answer, "tau")
    beta = beta_from_tau(tau)
    current = torch.zeros(41, 19)
    for gap in range(1, 20):
        current[0, gap - 1] = current[gap, gap - 1] = PAIR["weight"]
    fired = lif(current, beta=beta).spikes.sum(0) > 0
    for gap in range(1, 20):
        if fired[gap - 1] and gap >= PAIR["window"]:
            raise NotYet(
                f"with tau = {tau:g} a pair {fired.nonzero().max() + 1} steps apart fires too: it remembers too long."
            )
        if not fired[gap - 1] and gap < PAIR["window"]:
            extra = " The window is not tau itself." if tau == PAIR["window"] else ""
            raise NotYet(f"with tau = {tau:g} a pair {gap} steps apart does not fire: it forgets too soon.{extra}")
    return "pairs 1 to 4 steps apart fire, all others do not. This neuron detects coincidences."


def _positive_number(answer, what):
    if isinstance(answer, (dict, list, tuple, str, bool)):
        raise NotYet(f"{what} should be one number, got {type(answer).__name__}.")
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise NotYet(f"{what} should be one number, got {type(answer).__name__}.") from None
    if not 0 < value < math.inf:
        raise NotYet(f"{what} should be a finite number above 0, got {value:g}.")
    return value


@exercise(
    "02.5",
    "draw it: a spike, four steps of rest, a spike. How far apart are the two spikes?",
    "the shortest interval is the step of the spike plus four steps of rest: 5 steps, 5 ms.",
    "1000 ms / 5 ms.",
)
def refractory(answer):
    if _is(answer, 250):
        raise NotYet("250 is one spike every 4 ms; but the step in which it spikes takes time too.")
    if _is(answer, 0.2):
        raise NotYet("0.2 is right per step; asked is the rate per second, and a step lasts 1 ms.")
    if _is(answer, 1000):
        raise NotYet("1000 is the highest rate without a refractory period: a spike at every step.")
    close(answer, 200, what="the highest rate", unit=" Hz", tolerance=1e-6)
    return "however strong the current, no more than one spike in five steps."


@exercise(
    "02.6",
    "here the input is scaled: U[t] = U[t-1] / 2 + I / 2. Where does the membrane settle under a constant I?",
    "it settles where U = U / 2 + I / 2.",
    "it settles at U = I, so I must reach the threshold itself.",
)
def scaled_input(answer):
    if _is(answer, 0.5, 1e-3):
        raise NotYet(
            "0.5 is the rheobase of a neuron that takes its input whole. Here half the input is lost: U = U/2 + I/2."
        )
    if _is(answer, 1 - math.exp(-0.5), 1e-3):
        raise NotYet("this is threshold (1 - exp(-1/2)): the other library's beta, and its whole input.")
    if _is(answer, 2, 1e-3):
        raise NotYet("2 makes it fire at every step; with less it still fires, only later.")
    value = _positive_number(answer, "the smallest input")
    if value < 1 - 1e-6:
        raise NotYet(
            f"under {value:g} the membrane settles at {value:g}, below the threshold: it never fires, wait as you may."
        )
    close(value, 1.0, what="the smallest input", tolerance=0.011)
    return "with a scaled input the rheobase is the threshold itself, whatever tau is."
