"""Exercises of notebook 00."""

import math

from snn_helpers.exercises.core import close, exercise, numbers, recognise
from snn_helpers.neurons import beta_from_tau

LEAK = dict(tau=4.0, dt=0.5, after=3.0)  # ms
EPOCH = dict(images=60_000, batch=256, ms=40.0, dt=0.5)


@exercise(
    "00.1",
    "beta is what is left after one step. How many steps of 0.5 ms are 3 ms, and what does each of them leave?",
    "each step multiplies by beta: six steps leave beta^6. And dt/tau is 0.5/4 = 0.125.",
    "write (math.exp(-0.125) ** 6, (1 - 0.125) ** 6).",
)
def what_is_left(answer):
    got = numbers(answer, "exact", "euler")
    tau, dt, after = LEAK.values()
    wanted = beta_from_tau(tau, dt) ** 6, beta_from_tau(tau, dt, "euler") ** 6
    pairs = {
        "these are the two, but in the other order: exact first, then Euler.": wanted[::-1],
        "both are the exact one; Euler's rule takes 1 - dt/tau a step.": (wanted[0], wanted[0]),
        "both are Euler's; the exact one is an exponential.": (wanted[1], wanted[1]),
        "this is rounded too far: give three decimals.": (round(wanted[0], 2), round(wanted[1], 2)),
    }
    recognise(got, wanted, pairs, tolerance=1e-3)

    def left(steps, dt, tau=tau):
        return math.exp(-dt / tau) ** steps, (1 - dt / tau) ** steps

    slips = {
        "this is beta, what is left after one step of 0.5 ms; 3 ms are six such steps.": left(1, dt),
        "this is beta of a step of 1 ms; here a step is 0.5 ms, and 3 ms are six of them.": left(1, 1),
        "this is one step of 3 ms; each of six steps of 0.5 ms takes off an eighth of what is left.": left(1, after),
        "these are three steps of 1 ms; dt is 0.5 ms, so there are six shorter ones.": left(3, 1),
        "these are three steps of 0.5 ms, which is 1.5 ms; 3 ms are six of them.": left(3, dt),
        "these are six steps of 1 ms; six steps of 0.5 ms are 3 ms.": left(6, 1),
        "3 times 0.5 is 1.5; but divide: 3 ms hold six steps of 0.5 ms.": left(1.5, dt),
        "this is one step too few: 3 ms are six steps of 0.5 ms.": left(5, dt),
        "this is one step too many: 3 ms are six steps of 0.5 ms.": left(7, dt),
        "this is tau/dt where dt/tau belongs: a long tau should forget slowly.": left(6, tau, dt),
        "this is tau times dt where dt/tau belongs: a long tau should forget slowly.": left(6, tau * dt, 1),
        "this grows; a leak takes away: the sign before dt/tau is minus.": left(6, -dt),
        "this is six times beta; but each step multiplies by beta: beta^6.": (6 * left(1, dt)[0], 6 * left(1, dt)[1]),
        "this is the exponent, without its sign: what is left is e to the power of minus 3/4.": (after / tau, math.nan),
        "this is the share that is lost; asked is what is left.": (1 - wanted[0], 1 - wanted[1]),
        "this is (dt/tau)^6; a step leaves beta of what is there, so it is beta^6.": ((dt / tau) ** 6,) * 2,
        "this is right, but in per cent; asked is the share, a number from 0 to 1.": (100 * wanted[0], 100 * wanted[1]),
    }
    for shown in 3, 5, 10:
        slips[f"this is beta of tau = {shown} in the cell above; here tau is 4 ms."] = left(1, 1, shown)
    for place, name in enumerate(("exact", "euler")):
        values = {reason: pair[place] for reason, pair in slips.items()}
        if got[place]:  # 0 is no slip, though the exact one of tau/dt is nearly 0
            recognise(got[place], wanted[place], values, what=name, tolerance=1e-3)
        close(got[place], wanted[place], what=name, tolerance=5e-4, decimals=3)
    return (
        f"after 3 ms {wanted[0]:.3f} is left, by Euler {wanted[1]:.3f}: it decays a little too fast, step after step."
    )


@exercise(
    "00.2",
    "all images of a batch go through the same steps, side by side. How many batches, and how many steps for each?",
    "40 ms / 0.5 ms steps a batch; 60,000 / 256 batches, and the last one, which is not full, takes its steps as well.",
    "80 steps x 235 batches.",
)
def steps_of_an_epoch(answer):
    images, batch, ms, dt = EPOCH.values()
    steps, batches = round(ms / dt), math.ceil(images / batch)
    slips = {
        f"these are the steps of {images // batch} batches; the last one, of {images % batch} images, goes through as "
        "well.": images // batch * steps,
        "the last batch is not full, but it takes all its steps: count it as one.": images / batch * steps,
        "this counts the steps of every image; the images of a batch go through the same steps, side by side.": images
        * steps,
        "40 times 0.5 is 20; but shorter steps mean more of them, not fewer.": batches * ms * dt,
        "this is with steps of 1 ms; dt is 0.5 ms, so there are twice as many.": batches * ms,
        f"these are the steps of one batch; an epoch has {batches} batches.": steps,
        f"these are the batches; each takes {steps} steps.": batches,
        f"these are the batches, and the last one, not full, counts as one; each takes {steps} steps.": images / batch,
        f"these are the batches without the last one, of {images % batch} images; each takes {steps} steps.": images
        // batch,
        "this counts each step once an image; the images of a batch go through it side by side.": steps
        * batches
        * batch,
        "this is 40 steps for every image; a step is 0.5 ms, and the images of a batch go side by side.": images * ms,
        "this is one batch with each image's steps counted; asked is an epoch, and a batch takes its steps once.": batch
        * steps,
    }
    wanted = steps * batches
    recognise(answer, wanted, slips, tolerance=1e-6)
    close(answer, wanted, what="the number of steps", tolerance=1e-6)
    return f"{batches} batches, {steps} steps each. Half the step, twice the steps: the same 40 ms cost twice the work."
