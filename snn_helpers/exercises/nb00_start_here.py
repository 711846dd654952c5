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
    steps = round(after / dt)
    exact, euler = beta_from_tau(tau, dt), beta_from_tau(tau, dt, "euler")
    wanted = exact**steps, euler**steps
    slips = {
        "these are the two, but in the other order: exact first, then Euler.": wanted[::-1],
        "this is beta, what is left after one step of 0.5 ms; 3 ms are six such steps.": (exact, euler),
        "this is with three steps; 3 ms are six steps of 0.5 ms.": (exact**3, euler**3),
        "this is right, but in per cent; asked is the share, a number from 0 to 1.": (100 * wanted[0], 100 * wanted[1]),
        "this is one step too few: 3 ms are six steps of 0.5 ms.": (exact**5, euler**5),
        "this is one step too many: 3 ms are six steps of 0.5 ms.": (exact**7, euler**7),
        "the exact one is right; Euler's took one step of 3 ms, and dt is 0.5 ms.": (wanted[0], 1 - after / tau),
        "the exact one is right; Euler's took steps of 1 ms, and dt is 0.5 ms.": (wanted[0], (1 - 1 / tau) ** 3),
        "this is with a dt of 1 ms: six steps of 0.5 ms are only 3 ms.": (math.exp(-6 / tau), (1 - 1 / tau) ** 6),
        "this is tau/dt where dt/tau belongs: a long tau should forget slowly.": (math.exp(-8) ** 6, (1 - 8) ** 6),
        "this is six times beta; but each step multiplies by beta: beta^6.": (6 * exact, 6 * euler),
        "this is the share that is lost; asked is what is left.": (1 - wanted[0], 1 - wanted[1]),
        "both are the exact one; Euler's rule takes 1 - dt/tau a step.": (wanted[0], wanted[0]),
        "both are Euler's; the exact one is an exponential.": (wanted[1], wanted[1]),
    }
    recognise(got, wanted, slips, tolerance=1e-3)
    close(got[0], wanted[0], what="exact", tolerance=5e-4, decimals=3)
    close(got[1], wanted[1], what="euler", tolerance=5e-4, decimals=3)
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
        "this is one batch with each image's steps counted; asked is an epoch, and a batch takes its steps once.": batch
        * steps,
    }
    wanted = steps * batches
    recognise(answer, wanted, slips, tolerance=1e-6)
    close(answer, wanted, what="the number of steps", tolerance=1e-6)
    return f"{batches} batches, {steps} steps each. Half the step, twice the steps: the same 40 ms cost twice the work."
