"""Exercises of notebook 02."""

import math

import torch

from snn_helpers.exercises.core import (
    NotYet,
    call,
    close,
    exercise,
    number,
    recognise,
)
from snn_helpers.exercises.limit import OutOfTime, within
from snn_helpers.neurons import beta_from_tau, lif

ENDLESS = 10**15  # steps: no loop gets there, no array holds them
# so slow a leak that after so many steps it is still on its way: a loop that stops early is seen
SLOW = dict(n=10**8, current=1e-7, beta=1 - 2.0**-24, start=3.0)
THREE = dict(current=0.6, threshold=1.5, steps=3)
PAIR = dict(weight=0.6, window=5)
PAUSING = dict(tau=10.0, current=0.4, pause=4)


@exercise(
    "02.2",
    "what is left of the start after n steps, and what has the current filled in? The two just add up.",
    "the start has shrunk to beta^n of itself; the current has filled in what it fills in from rest.",
    "return start * beta**n + current * (1 - beta**n) / (1 - beta).",
)
def closed_form(answer):
    draw = torch.Generator().manual_seed(203)
    for n in 3, 1, 2, 7, 31, 0:
        current, beta, start = (torch.rand(3, generator=draw, dtype=torch.float64) * 0.85 + 0.1).tolist()
        beta = 0.5 + beta / 2  # so that the start is still to be seen after seven steps
        start = -2 * start if n == 7 else 2 * start
        u = start
        for _ in range(n):
            u = beta * u + current
        got = call(answer, n=n, current=current, beta=beta, start=start)
        filled, end = current * (1 - beta**n) / (1 - beta), current / (1 - beta)
        slips = {
            "the start left out: this is the membrane that starts from rest": filled,
            "a start that does not leak: after n steps beta^n of it is left": start + filled,
            "a start that leaks once only: after n steps beta^n of it is left": beta * start + filled,
            "a start that leaks one step too few: after n steps beta^n of it is left": start * beta ** (n - 1) + filled,
            "a current that came in one time too few: after n steps it came in n times": start * beta**n
            + current * (1 - beta ** (n - 1)) / (1 - beta),
            "a current that came in one time too often: after n steps it came in n times": start * beta**n
            + current * (1 - beta ** (n + 1)) / (1 - beta),
            "the start fed in at every step, as if it were a current": (start + current) * (1 - beta**n) / (1 - beta),
            "the current left out: this is what is left of the start": start * beta**n,
            "one step too many": beta * u + current,
            "one step too few: after one step the current has come in once": (u - current) / beta,
            "a scaled input: this settles at I, ours settles at I / (1 - beta)": start * beta**n
            + current * (1 - beta**n),
            "n already at infinity: this is where it settles": end,
            "a current that never leaks: n times I": start * beta**n + n * current,
            "the way to the end turned round: it starts at `start` and goes to I / (1 - beta)": end
            + (end - start) * beta**n,
            "beta times n where beta to the power n belongs": start * beta * n + current * (1 - beta * n) / (1 - beta),
        }
        what = f"U[{n}] for I = {current:.3f}, beta = {beta:.3f} and a start of {start:.3f}"
        slips = {f"this is what you get with {slip}.": value for slip, value in slips.items()}
        recognise(got, u, slips, what=what, tolerance=1e-5)
        close(got, u, what=what, tolerance=1e-5)
    late = _far(answer, "10^15", n=ENDLESS, current=0.2, beta=0.5, start=3.0)
    close(late, 0.4, what="U[10^15] for I = 0.2 and beta = 0.5", tolerance=1e-5)
    late = number(_far(answer, "10^8", **SLOW))
    n, current, beta, start = SLOW.values()
    end = current / (1 - beta)
    share = (late - end) / (start - end)
    steps = math.log(share) / math.log(beta) if 0 < share <= 1 else math.inf
    if steps < 0.9 * n and abs(steps - round(steps)) < 0.05:
        raise NotYet(
            f"right up to 31 steps; with n = 10^8 and a beta next to 1 this is the membrane after {round(steps):,} "
            "steps: a loop cut short. A formula needs none."
        )
    close(late, end + (start - end) * beta**n, what="U[10^8] for a beta next to 1", tolerance=1e-5)
    return "thirty-one steps of a loop in one line, and a million billion of them in no more time."


def _far(answer, name, **case):
    """The answer for so many steps that no loop gets there."""
    try:
        return within(1.5, lambda: call(answer, **case))
    except OutOfTime:
        raise NotYet(
            f"right, but with n = {name} it does not end: a loop over the steps. A formula needs none."
        ) from None
    except NotYet as reason:
        raise NotYet(f"right up to 31 steps; with n = {name}: {reason}") from None


@exercise(
    "02.3",
    "after three steps the membrane is I + beta I + beta^2 I. It fires only if that is above the threshold.",
    "0.6 (1 + beta + beta^2) = 1.5 is a quadratic equation for beta; then beta = exp(-1/tau) for tau.",
    "beta = (math.sqrt(7) - 1) / 2, and tau = -1 / math.log(beta).",
)
def smallest_tau(answer):
    current, threshold, steps = THREE.values()
    beta = _beta(threshold / current, range(steps))
    wanted = -1 / math.log(beta)
    slips = {
        "this is beta; asked is the tau that makes it": beta,
        "this is the share that leaks, 1 - beta": 1 - beta,
        "this is for a current that never stops; here it flows for three steps": -1 / math.log(1 - current / threshold),
        "this is for four steps of current; here there are three": -1 / math.log(_beta(threshold / current, range(4))),
        "this is with a leak before the first input too: the last of the three has not leaked when U is compared": -1
        / math.log(_beta(threshold / current, range(1, 4))),
        "this is 1 / (1 - beta), the answer for Euler's beta. Take the exact one, exp(-1/tau)": 1 / (1 - beta),
        "this is the answer for a threshold of 1; here it is 1.5": -1 / math.log(_beta(1 / current, range(steps))),
        "this is with the logarithm to base 10; beta is a power of e": -1 / math.log10(beta),
        "this is with the logarithm to base 2; beta is a power of e": -1 / math.log2(beta),
        "this is the logarithm itself, 1/tau": -math.log(beta),
    }
    slips = {f"{why}.": value for why, value in slips.items()}
    recognise(answer, wanted, slips, tolerance=3e-3)  # they may be rounded to two decimals
    close(answer, wanted, what="tau", tolerance=3e-3, decimals=1, unit=" steps")
    return f"with a tau of {wanted:.2f} or less too much of the first two steps is gone when the third arrives."


def _beta(total, powers):
    """The beta in [0, 1] for which the sum of these powers of it is ``total``."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(middle**k for k in powers) < total else (low, middle)
    return low


@exercise(
    "02.4",
    "the first spike leaves 0.6 behind, which decays for d steps; then the second one adds 0.6. When is that above 1?",
    "0.6 beta^d + 0.6 > 1 must hold for d = 4 and fail for d = 5.",
    "beta^4 > 2/3 >= beta^5, so tau lies between 4 / ln(3/2) and 5 / ln(3/2).",
)
def coincidence(answer):
    tau = _positive(answer, "tau")
    beta = beta_from_tau(tau)
    if beta == 1:
        raise NotYet(f"with tau = {tau:g} nothing leaks: every pair fires, however far apart.")
    gaps = torch.arange(1, 20)
    current = torch.zeros(41, 19)
    current[0] = PAIR["weight"]
    current[gaps, gaps - 1] = PAIR["weight"]
    fires = lif(current, beta=beta).spikes.any(0)
    last = gaps[fires].max().item() if fires.any() else 0
    if last >= PAIR["window"]:
        raise NotYet(f"with tau = {tau:g} a pair {last} steps apart fires too: it remembers too long.")
    if last < PAIR["window"] - 1:
        extra = " The window is not tau itself." if tau in (PAIR["window"], PAIR["window"] - 1) else ""
        if (1 / PAIR["weight"] - 1) ** (1 / 4) < tau <= (1 / PAIR["weight"] - 1) ** (1 / 5):
            extra = " As a beta it would do; asked is the tau that makes it."
        gap = f"{last + 1} step{'s' * (last > 0)}"
        raise NotYet(f"with tau = {tau:g} a pair {gap} apart does not fire: it forgets too soon.{extra}")
    return "pairs 1 to 4 steps apart fire, all others do not. This neuron detects coincidences."


def _positive(answer, what):
    value = number(answer, what)
    if not value > 0:
        raise NotYet(f"{what} should be a number above 0, got {value:g}.")
    return value


@exercise(
    "02.5",
    "how many steps from 0 to the first spike, under 0.4? Run it, or take the formula of the f-I curve.",
    "three steps of charging, the last of which is the spike; then a pause of four. How far apart are two spikes?",
    "a spike every 7 steps of 1 ms: 1000 / 7.",
)
def refractory(answer):
    tau, current, pause = PAUSING.values()
    membrane = lif(torch.full((50,), current), beta=beta_from_tau(tau), reset="zero").spikes
    charging = membrane.nonzero()[0].item() + 1
    interval = charging + pause
    slips = {
        f"this is the rate without a pause: a spike every {charging} steps": 1000 / charging,
        "this is the highest rate there can be, a spike and four steps of pause; but it must charge first": 1000
        / (pause + 1),
        "this is one spike every four steps, the pause alone; it must charge as well": 1000 / pause,
        f"this is one step too short: {charging} of charging and {pause} of pause are {interval}": 1000
        / (interval - 1),
        f"this is one step too long: the spike comes in the last step of charging, so {charging} and {pause} are "
        f"{interval}": 1000 / (interval + 1),
        "this takes a part of a step for the charging; a spike comes at a whole step: 2.7 steps are 3": 1000
        / (math.log(1 - (1 - beta_from_tau(tau)) / current) / math.log(beta_from_tau(tau)) + pause),
        "this is right per step; asked is the rate per second, and a step lasts 1 ms": 1 / interval,
        "this is the interval in steps; asked is the rate": interval,
        "this is a spike at every step": 1000,
        "this is with a scaled input, which would never fire": 0,
    }
    slips = {f"{why}.": value for why, value in slips.items()}
    recognise(answer, 1000 / interval, slips, tolerance=3e-3)
    value = number(answer, "the rate")
    if 0.007 < abs(value * interval / 1000 - 1) < 0.03:
        raise NotYet(
            f"{value:.1f} Hz is close: so it comes out of a count over a short run, which ends in the middle of an "
            "interval. Take the steps between two spikes, or run for longer."
        )
    close(answer, 1000 / interval, what="the rate", unit=" Hz", tolerance=0.007)
    return "142.9 Hz in place of 333.3: a pause of four steps costs most where a neuron is fast."


@exercise(
    "02.6",
    "here the input is scaled: U[t] = U[t-1] / 2 + I / 2. Where does the membrane settle under a constant I?",
    "it settles where U = U / 2 + I / 2.",
    "it settles at U = I, so I must reach the threshold itself.",
)
def scaled_input(answer):
    slips = {
        "0.5 is the rheobase of a neuron that takes its input whole. Here half the input is lost: U = U/2 + I/2.": 0.5,
        "this is threshold (1 - exp(-1/2)): the other library's beta, and its whole input.": 1 - math.exp(-0.5),
        "this is with half the input, but a beta of exp(-1/2); this library's is 1 - 1/2.": 2 - 2 * math.exp(-0.5),
        "2 makes it fire at every step; with less it still fires, only later.": 2.0,
    }
    recognise(answer, 1.0, slips, tolerance=1e-3)
    value = _positive(answer, "the smallest input")
    if value < 1 - 1e-6:
        raise NotYet(
            f"under {value:g} the membrane settles at {value:g}, below the threshold: it never fires, wait as you may."
        )
    close(value, 1.0, what="the smallest input", tolerance=0.011)
    return "with a scaled input the rheobase is the threshold itself, whatever tau is."
