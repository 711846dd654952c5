"""Exercises of notebook 04."""

import math

import torch

from snn_helpers import surrogates
from snn_helpers.exercises.core import NotYet, call, close, exercise, same
from snn_helpers.neurons import lif

BY_HAND = dict(w=0.8, beta=0.5, threshold=1.0, slope=5.0, x=(1.0, 1.0, 1.0), goal=2)


@exercise(
    "04.1",
    "the class SigmoidSpike above, with another derivative, and with the slope as a second argument that you keep on "
    "ctx.",
    "backward gets grad, what arrives from above. It returns one value for each argument of forward; the slope gets "
    "None.",
    "grad / (1 + ctx.slope * x.abs()) ** 2, None; and my_spike(x, slope) is MySpike.apply(x, slope).",
)
def fast_sigmoid(answer):
    draw = torch.Generator().manual_seed(401)
    for shape, slope in (((13,), 25.0), ((7, 3), 5.0), ((2, 3, 5), 0.7)):
        x = torch.randn(shape, generator=draw)
        x.view(-1)[0] = 0.0  # on the threshold
        upstream = 1 + 2 * torch.rand(shape, generator=draw)
        mine = x.clone().requires_grad_()
        spikes = call(answer, mine, slope)
        _spikes_of(spikes, x)
        if not spikes.requires_grad:
            raise NotYet("the spikes are right, but cut off from the graph: return what your Function.apply returns.")
        grad = _backward(spikes, mine, upstream)
        _recognise_derivative(grad, x, upstream, slope)
        same(grad, upstream * surrogates.fast_sigmoid(slope).derivative(x), what=f"the gradient at slope {slope:g}")
    return "the step forward and SuperSpike's derivative backward, as in snnTorch, at any slope."


def _spikes_of(spikes, x):
    wanted = (x > 0).float()
    if torch.is_tensor(spikes) and spikes.shape == x.shape and torch.equal(spikes.float(), (x >= 0).float()):
        raise NotYet("your spike fires at exactly 0 too. Here, as in snnTorch, it fires above the threshold only.")
    if torch.is_tensor(spikes) and spikes.shape == x.shape and not torch.isin(spikes, torch.tensor([0.0, 1.0])).all():
        raise NotYet("forward returns values between 0 and 1. The spike stays a step; only its derivative is replaced.")
    same(spikes, wanted, what="the spikes")


def _backward(spikes, x, upstream):
    try:
        (grad,) = torch.autograd.grad(spikes, x, upstream)
    except Exception as error:
        raise NotYet(f"the backward pass raised {type(error).__name__}: {str(error).splitlines()[0]}") from None
    return grad


def _recognise_derivative(grad, x, upstream, slope):
    base = 1 + slope * x.abs()
    slips = {
        "the square missing": upstream / base,
        "the gradient that arrives from above left out: multiply by grad": 1 / base**2,
        "x in place of its absolute value": upstream / (1 + slope * x) ** 2,
        "a slope of 25, whatever slope came": upstream / (1 + 25 * x.abs()) ** 2,
        "a factor of the slope too many": slope * upstream / base**2,
        "the true derivative, which is 0": torch.zeros_like(x),
        "the derivative 1 everywhere (straight-through)": upstream,
    }
    right = upstream / base**2
    for slip, value in slips.items():
        if torch.allclose(grad, value, rtol=1e-4, atol=1e-7) and not torch.allclose(value, right, rtol=1e-4):
            raise NotYet(f"the spikes are right; this gradient is what you get with {slip}.")


@exercise(
    "04.2",
    "first forward: U is 0.8 at the first step. Which of the three steps spikes? Then the traces e[1], e[2], e[3].",
    "U = 0.8, 1.2, 0.4: distances -0.2, 0.2, -0.6, derivatives 1/4, 1/4, 1/16. The traces are 1, 1.5, 1.75.",
    "(N - y) is 1 - 2; multiply it by 1/4 * 1 + 1/4 * 1.5 + 1/16 * 1.75.",
)
def by_hand(answer):
    wanted = _by_hand()
    slips = {
        "the sign of (N - y) the other way round": -wanted,
        "traces that forget: e[t] = x[t] alone, without beta e[t-1]": _by_hand(beta_trace=0.0),
        "a trace that does not decay: beta is missing in it": _by_hand(beta_trace=1.0),
        "a gradient through the reset. The reset is detached": _by_hand(through_reset=True),
        "the last step alone. N adds up the spikes of all three": _by_hand(steps=(2,)),
        "only the step that spiked. Steps that came close have a derivative too": _by_hand(steps=(1,)),
        "the factor (N - y) missing": _by_hand(factor=1.0),
        "the factor 2 of a square; L has a half in front": 2 * wanted,
    }
    for slip, value in slips.items():
        if isinstance(answer, (int, float)) and math.isclose(answer, value, rel_tol=1e-4):
            raise NotYet(f"this is what you get with {slip}.")
    close(answer, wanted, what="dL/dw", tolerance=1e-3)
    return "negative: a larger w lowers the loss, for there is a spike too few. What autograd does, you can do by hand."


def _by_hand(beta_trace=None, through_reset=False, steps=(0, 1, 2), factor=None):
    case, u, s, trace, total, slope_before = BY_HAND, 0.0, 0.0, 0.0, [], 0.0
    decay = case["beta"] if beta_trace is None else beta_trace
    spikes = 0
    for x in case["x"]:
        trace = x + decay * trace - (case["threshold"] * slope_before * trace if through_reset else 0)
        u = case["beta"] * u + case["w"] * x - case["threshold"] * s
        s = float(u > case["threshold"])
        slope_before = 1 / (1 + case["slope"] * abs(u - case["threshold"])) ** 2
        total.append(slope_before * trace)
        spikes += s
    return (spikes - case["goal"] if factor is None else factor) * sum(total[t] for t in steps)


@exercise(
    "04.3",
    "the surrogate's reach is (sqrt(10) - 1) / slope. How far from the threshold are the nearest 30 %?",
    "distance.abs().quantile(0.3) is the distance within which 30 % lie. Make that the reach.",
    "return (math.sqrt(10) - 1) / distance.abs().quantile(0.3)",
)
def slope_for_a_share(answer):
    draw = torch.Generator().manual_seed(403)
    for shape, shift, width in (((31, 23), -1.0, 0.8), ((997,), -0.2, 0.3), ((7, 11, 13), -2.5, 1.6)):
        distance = shift + width * torch.randn(shape, generator=draw)
        got = call(answer, distance.clone())
        try:
            slope = float(got)
        except (TypeError, ValueError, RuntimeError):
            raise NotYet(f"your function should return one number, the slope, got {type(got).__name__}.") from None
        near = distance.abs().quantile(0.3).item()
        slips = {
            "half of the peak in place of a tenth": (2**0.5 - 1) / near,
            "the nearest 70 %, not 30 %": (10**0.5 - 1) / distance.abs().quantile(0.7).item(),
            "the reach itself; wanted is the slope that has this reach": near,
            "1 / distance. At that distance the derivative is a quarter of its peak": 1 / near,
        }
        for slip, value in slips.items():
            if math.isclose(slope, value, rel_tol=0.01):
                raise NotYet(f"this is what you get with {slip}.")
        if not 0 < slope < math.inf:
            raise NotYet(
                f"a slope must be a finite number above 0, got {slope:.4g}. Is the distance's sign in the way?"
            )
        share = (surrogates.fast_sigmoid(slope).derivative(distance) >= 0.1).double().mean().item()
        if not abs(share - 0.3) < 0.012:
            way = "steep" if share < 0.3 else "flat"
            raise NotYet(f"with your slope {slope:.3g}, {share:.0%} hear, not 30 %: it is too {way}.")
    return "the slope has a unit: one over the distance to the threshold. It follows from where the membranes are."


@exercise(
    "04.4",
    "exp(1e4) is infinite in 32 bits, and infinite / infinite is not a number. Which exponentials stay below 1?",
    "the derivative is symmetric: take exp(-slope |x|), which is never above 1. Or let torch.sigmoid do it.",
    "s = torch.sigmoid(-slope * x.abs()); return slope * s * (1 - s)",
)
def safe_sigmoid(answer):
    draw = torch.Generator().manual_seed(404)
    for slope in (25.0, 4.0, 1.0):
        x = torch.cat([torch.randn(17, generator=draw), torch.tensor([0.0, -3.6, 3.6, 40.0, -40.0, 1e4, -1e4])])
        given = x.clone()
        got = call(answer, given, slope)
        if not torch.equal(given, x):
            raise NotYet("your function changed its input. Autograd still needs it: work on a copy.")
        exact = x.double().abs().mul(-slope).exp()
        wanted = (slope * exact / (1 + exact) ** 2).float()
        if torch.is_tensor(got) and got.shape == x.shape:
            _refuse_overflow(got, x, slope)
            if torch.allclose(got, wanted / slope, rtol=1e-3) and slope != 1:
                raise NotYet("the factor slope in front is missing (the chain rule).")
        same(got, wanted, what=f"the derivative at slope {slope:g}")
    return "finite everywhere, at 10,000 from the threshold as well, and right where it matters."


def _refuse_overflow(got, x, slope):
    wrong = ~torch.isfinite(got)
    if wrong.any():
        place, value = x[wrong].abs().min().item(), got[wrong][0].item()
        if torch.isnan(got[wrong]).any():
            value = math.nan
        raise NotYet(
            f"at slope {slope:g} your function gives {value} for an x {place:g} away from the threshold. "
            "Large numbers in exp overflow."
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
    for steps, count, beta in ((11, 53, 0.5), (29, 101, 0.9), (7, 31, 0.8)):
        current = 0.2 * torch.randn(steps, count, generator=draw) * torch.rand(count, generator=draw)
        got = call(answer, current.clone(), beta)
        try:
            gain = float(got)
        except (TypeError, ValueError, RuntimeError):
            raise NotYet(f"your function should return one number, the gain, got {type(got).__name__}.") from None
        if not 0 < gain < math.inf:
            raise NotYet(f"a gain must be a finite number above 0, got {gain:.4g}.")
        membrane = lif(current, beta=beta, threshold=1e6).membrane
        slips = {
            "the peak of the current. The membrane adds up what it gets over the steps": current.amax(0).median(),
            "the last step's membrane. A neuron fires at its peak": membrane[-1].median(),
            "the highest peak of all: that wakes one neuron, not half": membrane.max(),
            "the lowest peak of all: that wakes everybody": membrane.amax(0).min(),
            "the mean membrane in place of its peak": membrane.mean(0).median(),
        }
        for slip, peak in slips.items():
            if math.isclose(gain, 1 / peak.item(), rel_tol=2e-3):
                raise NotYet(f"this is what you get with {slip}.")
        awake = (lif(gain * current, beta=beta).spikes.sum(0) > 0).double().mean().item()
        if not abs(awake - 0.5) <= 1.6 / count:
            raise NotYet(f"with your gain {gain:.3g}, {awake:.0%} of {count} neurons fire at least once, not half.")
    return "no search, one forward pass: a good start is computed, not hoped for."
