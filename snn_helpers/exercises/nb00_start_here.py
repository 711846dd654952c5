"""Exercises of notebook 00."""

from snn_helpers.exercises.core import NotYet, close, exercise
from snn_helpers.neurons import beta_from_tau


@exercise(
    "00.1",
    "the two ways to beta are in the table of symbols: one is an exponential, one a straight line.",
    "with tau = 5 ms and dt = 1 ms, dt/tau is 0.2; the exact one is exp(-dt/tau).",
    "write (math.exp(-0.2), 1 - 0.2).",
)
def betas(answer):
    try:
        exact, euler = answer
    except (TypeError, ValueError):
        raise NotYet("wanted two numbers in brackets, (exact, euler).") from None
    wanted = beta_from_tau(5.0), beta_from_tau(5.0, method="euler")
    if abs(exact - wanted[1]) < 1e-3 and abs(euler - wanted[0]) < 1e-3:
        raise NotYet("these are the two, but in the other order: exact first, then Euler.")
    close(exact, wanted[0], what="the exact beta", tolerance=1e-3)
    close(euler, wanted[1], what="the Euler beta", tolerance=1e-3)
    return "Euler's step decays a little faster than the true exponential; the smaller dt/tau, the closer they are."


@exercise(
    "00.2",
    "a step is dt long. How many of them fit into 50 ms?",
    "divide the duration by the length of one step, both in ms.",
    "50 ms / 0.5 ms.",
)
def steps(answer):
    if answer == 25:
        raise NotYet("25 is 50 times 0.5; but shorter steps mean more of them, not fewer.")
    close(answer, 100, what="the number of steps", tolerance=0)
    return "half the step, twice the steps: the same 50 ms cost twice the work."
