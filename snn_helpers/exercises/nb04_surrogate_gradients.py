"""Exercises of notebook 04."""

import torch

from snn_helpers import surrogates
from snn_helpers.exercises.core import NotYet, call, close, exercise, number, recognise, same, tensor
from snn_helpers.neurons import lif


@exercise(
    "04.2",
    "first forward: U is 0.8 at the first step. Then the product rule: both factors of beta U[t-1] depend on beta.",
    "f[t] = dU[t]/dbeta = U[t-1] + beta f[t-1], starting from U[0] = f[0] = 0. U = 0.8, 1.2, 0.4; derivatives 1/4, "
    "1/4, 1/16.",
    "f = 0, 0.8, 1.2 + 0.5 * 0.8; (N - y) is 1 - 2: -(1/4 * 0 + 1/4 * 0.8 + 1/16 * 1.6).",
)
def leak_by_hand(answer):
    answer = number(answer, "dL/dbeta")
    slips = {
        "this is dL/dw, the one of the text. Now beta is learnt: e[t] = x[t] + beta e[t-1] belongs to w.": -0.734375,
        "half of the product rule is missing: U[t-1] depends on beta too, so beta f[t-1] comes on top.": -0.275,
        "the trace does not decay: beta is missing in front of f[t-1].": -0.325,
        "U[t] stands where U[t-1] belongs: the leak acts on the membrane of the step before.": -0.675,
        "U[2] is taken after its reset. The reset is a term of its own in the equation, and beta stands at U.": -0.2375,
        "a gradient goes through the reset here. It is detached.": -0.2875,
        "this is the last step alone. N adds up the spikes of all three.": -0.1,
        "this is the step that spiked alone. Steps that come close have a derivative too.": -0.2,
        "the sign is that of y - N, or (N - y) is missing: there is a spike too few.": 0.3,
        "there is a factor 2 too many; L has a half in front.": -0.6,
        "the surrogate's derivative is missing.": -2.4,
    }
    recognise(answer, -0.3, slips, tolerance=1e-3)
    close(answer, -0.3, what="dL/dbeta", tolerance=1e-3, decimals=4)
    return "negative: a slower leak lowers the loss, for there is a spike too few. Where beta is learnt, this is how."


@exercise(
    "04.3",
    "solve the equation of the reach for k. Which distance is it that the given share of the membranes lies within?",
    "the distance without its sign: distance.abs().quantile(share). The slope that reaches so far is (sqrt(10) - 1) "
    "over it.",
    "return (10**0.5 - 1) / distance.abs().quantile(share).item()",
)
def slope_to_order(answer):
    draw, cases, rows = torch.Generator().manual_seed(403), [], []
    for count, centre, spread, share in (1009, -1.3, 0.7, 0.3), (4999, 0.2, 3.0, 0.05), (2003, -0.5, 0.2, 0.8):
        distance = centre + spread * torch.randn(count, generator=draw)
        size = distance.abs()
        cases.append((number(call(answer, distance=distance, share=share), "the slope"), distance, share))
        of_signed = distance.quantile(share).abs()
        rows.append([share, size.quantile(share), size.quantile(1 - share), size.median(), of_signed])
    shares, near, far, middle, of_signed = torch.tensor(rows).T  # a slip must show in all cases: one may fit by chance
    tenth = 10**0.5 - 1
    slips = {
        "the sign has to go before the share is counted: distance.abs() first, then the quantile.": tenth / of_signed,
        "this is the slope at which the derivative is down to a half; the reach asks for a tenth.": (2**0.5 - 1) / near,
        "this puts the share in place of the tenth: how many are within reach, and what that is, are two things.": (
            (shares**-0.5 - 1) / near
        ),
        "this is 1 / distance. At that distance the derivative is a quarter of its peak, not a tenth.": 1 / near,
        "this leaves out the square of the derivative: 1 / (1 + k r) is a tenth at k r = 9.": 9 / near,
        "the - 1 is missing: 1 + k r is the root of 10.": 10**0.5 / near,
        "this is 10 in place of its root.": 10 / near,
        "this is the reach; wanted is the slope that has it.": near,
        "this multiplies by the distance; k = (sqrt(10) - 1) / r divides by it.": tenth * near,
        "this reaches the share that should be left out, not the one that should be within reach.": tenth / far,
        "this reaches half of them, whatever share comes in.": tenth / middle,
    }
    recognise([slope for slope, _, _ in cases], tenth / near, slips, tolerance=5e-3)
    for slope, distance, share in cases:
        if slope <= 0:
            raise NotYet(f"a slope must be above 0, got {slope:.4g}. Is the distance's sign in the way?")
        reached = (surrogates.fast_sigmoid(slope).derivative(distance) >= 0.1).double().mean().item()
        if abs(reached - share) > 0.012:
            way = "steep" if reached < share else "flat"
            raise NotYet(
                f"with your slope {slope:.3g}, {reached:.0%} are within reach, not {share:.0%}: it is too {way}."
            )
    return "the slope has a unit: one over the distance to the threshold. It follows from where the membranes are."


@exercise(
    "04.4",
    "exp(1e4) is infinite in 32 bits, and 1 - s is 0 as soon as s rounds to 1. Which exponentials stay below 1?",
    "the derivative is the same at x and -x: take exp(-slope |x|), which is never above 1, and no difference from 1.",
    "small = torch.exp(-slope * x.abs()); return slope * small / (1 + small) ** 2",
)
def safe_sigmoid(answer):
    draw = torch.Generator().manual_seed(404)
    for slope in 25.0, 4.0, 1.0:
        tails = torch.tensor([0.0, 8.0, -8.0, 20.0, -20.0, 50.0, -50.0, 85.0, -85.0]) / slope
        x = torch.cat([torch.randn(17, generator=draw), tails, torch.tensor([1e4, -1e4])])
        got = call(answer, x=x, slope=slope)
        small = x.double().abs().mul(-slope).exp()
        wanted = slope * small / (1 + small) ** 2
        values = tensor(got, f"the derivative at slope {slope:g}")
        if getattr(getattr(got, "dtype", None), "itemsize", 4) < 4:
            raise NotYet(f"this is {got.dtype}, which does not reach down to 1e-37. Leave it the precision of x.")
        if values.shape == x.shape:
            _refuse_overflow(values, x, slope)
            _refuse_tails(values, wanted, x, slope)
            slips = {
                "the factor slope in front is missing (the chain rule).": wanted / slope,
                "this is the sigmoid; wanted is its derivative.": torch.sigmoid(slope * x),
                "this is the fast sigmoid's derivative; wanted is that of the sigmoid.": 1 / (1 + slope * x.abs()) ** 2,
                "there is a square missing below.": slope * small / (1 + small),
                "this is the exponential alone: (1 + small)**2 belongs below it.": slope * small,
                "this is the exponential alone: the slope belongs in front, (1 + small)**2 below.": small,
                "the square stands at the exponential alone; wanted is (1 + small)**2.": slope * small / (1 + small**2),
                "the slope is missing in the exponent: s is the sigmoid of slope * x.": slope
                * (flat := x.double().abs().neg().exp())
                / (1 + flat) ** 2,
                "the slope is nowhere: it stands in the exponent, and in front.": flat / (1 + flat) ** 2,
                "the slope stands in front twice.": slope * wanted,
                "the sign is turned.": -wanted,
            }
            recognise(got, wanted, slips)
        same(got, wanted, what=f"the derivative at slope {slope:g}", first="position")
    return "finite everywhere, the same on both sides, and right to the last step that 32 bits can write down."


def _refuse_overflow(values, x, slope):
    odd = ~torch.isfinite(values)
    if odd.any():
        place = x[odd][x[odd].abs().argmin()].item()
        value = "NaN" if torch.isnan(values[odd]).any() else "infinity"
        if abs(slope * place) < 1:
            raise NotYet(
                f"at slope {slope:g} your function gives {value} for x = {place:g}, on the threshold: there it divides "
                "by 0. The bottom is (1 + ...)**2, which is never below 1."
            )
        raise NotYet(
            f"at slope {slope:g} your function gives {value} for x = {place:g}. The exponential of a large number "
            "overflows; one of a negative number cannot."
        )


def _refuse_tails(values, wanted, x, slope):
    """Raise NotYet where all is well at the threshold, but not far from it, where the derivative is tiny."""
    near = (values - wanted).abs() <= 1e-5 * slope
    wrong = ((values / wanted - 1).abs() > 1e-3) & (wanted > 1e-37)
    if near.all() and wrong.any():
        at = wanted.where(wrong, 0).argmax()
        if wrong[x > 0].any() and wrong[x < 0].any():
            why = "far from the threshold it goes on falling, on both sides. Is x cut off, or 1 - s rounded?"
        else:
            why = (
                "the other side is right. Does 1 - s lose its digits where s comes close to 1, or a large exponential?"
            )
        raise NotYet(
            f"right near the threshold, but at slope {slope:g} and x = {x[at]:.3g} your function gives "
            f"{values[at]:.3g}, wanted {wanted[at]:.3g}: {why}"
        )


@exercise(
    "04.5",
    "as long as nobody has fired there is no reset, so twice the current means twice the membrane.",
    "run the neuron with reset='none' and take the peak of each neuron over time. Which gain lifts the middle one of "
    "them to the threshold?",
    "peaks = neurons.lif(current, beta=beta, reset='none').membrane.amax(0); return 1 / peaks.median().",
)
def wake(answer):
    draw = torch.Generator().manual_seed(405)
    for steps, count, beta in (11, 53, 0.6), (29, 101, 0.9), (7, 31, 0.8):
        current = 0.2 * torch.randn(steps, count, generator=draw) * torch.rand(count, generator=draw)
        gain = number(call(answer, current=current, beta=beta), "the gain")
        membrane = lif(current, beta=beta, reset="none").membrane
        peaks = membrane.amax(0)
        slips = {
            "the peak of the current. The membrane adds up what it gets over the steps.": current.amax(0).median(),
            "the sum of the current. The membrane forgets on the way.": current.sum(0).median(),
            "the membrane of the last step. A neuron fires at its peak.": membrane[-1].median(),
            "the highest peak of all: that wakes one neuron, not half.": peaks.max(),
            "the lowest peak of all: that wakes everybody.": peaks.min(),
            "the mean of the peaks. Half of the neurons are above their median, not above their mean.": peaks.mean(),
            "the mean membrane in place of its peak.": membrane.mean(0).median(),
            "the middle of all membranes. Take the peak of each neuron over the steps, then their middle.": (
                membrane.median()
            ),
            "the peak of each step. A peak for each neuron is wanted: the maximum over the steps, the first axis.": (
                membrane.amax(1).median()
            ),
            "half of the highest peak. Half of the neurons are wanted, not half of a peak.": peaks.max() / 2,
            "half of the middle peak: at twice the gain more than half of them fire.": peaks.median() / 2,
            "twice the middle peak: at half the gain hardly anybody fires.": 2 * peaks.median(),
            "the mean current. A neuron fires at its peak, and the membrane adds up what it gets.": (
                current.mean(0).median()
            ),
            "the membrane that a constant current leads to. This one is not constant: run the neuron.": (
                current.mean(0).median() / (1 - beta)
            ),
            "the membrane that a constant current of the peak's size leads to. This one is not constant.": (
                current.amax(0).median() / (1 - beta)
            ),
            "a current scaled by 1 - beta. The neuron of this series adds the current as it comes.": (
                (1 - beta) * peaks.median()
            ),
            "the current without its sign. One below 0 pushes the membrane down.": (
                lif(current.abs(), beta=beta, reset="none").membrane.amax(0).median()
            ),
            "a membrane without a leak: beta is missing.": current.cumsum(0).amax(0).median(),
            "the size of the membrane without its sign. One far below 0 does not fire.": membrane.abs()
            .amax(0)
            .median(),
            "a beta of 0.9, whatever beta comes in.": lif(current, beta=0.9, reset="none").membrane.amax(0).median(),
        }
        slips = {f"this is what you get with {reason}": 1 / value for reason, value in slips.items()}
        slips["this is the peak of the middle neuron; wanted is the factor that lifts it to the threshold."] = (
            peaks.median()
        )
        slips["this is what is missing to the threshold; a factor lifts the membrane, not a sum."] = 1 - peaks.median()
        slips[
            "this is the middle of the gains. A peak below 0 has a negative one: take the middle of the peaks first."
        ] = (1 / peaks).median()
        recognise(gain, 1 / peaks.median(), slips, tolerance=2e-3)
        if gain <= 0:
            raise NotYet(f"a gain must be above 0, got {gain:.4g}: a negative one turns every current round.")
        awake = (lif(gain * current, beta=beta).spikes.sum(0) > 0).double().mean().item()
        if not abs(awake - 0.5) <= 1.6 / count:
            raise NotYet(f"with your gain {gain:.3g}, {awake:.0%} of {count} neurons fire at least once, not half.")
    return "no search, one forward pass: a good start is computed, not hoped for."
