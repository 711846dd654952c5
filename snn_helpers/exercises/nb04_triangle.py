"""The exercise of notebook 04 that writes a surrogate of its own: a triangle, as an autograd.Function."""

import torch

from snn_helpers.exercises.core import NotYet, alike, call, exercise, recognise, same


@exercise(
    "04.1",
    "the class SigmoidSpike above with another derivative, and with the width as a second argument that you keep on "
    "ctx. How high is a triangle whose base is 2 width long and whose area is 1?",
    "1 / width. Beyond the width the straight line goes below 0: cut it off there. backward returns one value for each "
    "argument of forward; the width gets None.",
    "grad * (1 - x.abs() / ctx.width).clamp(min=0) / ctx.width, None; and my_spike(x, width) is "
    "MySpike.apply(x, width).",
)
def triangle(answer):
    draw = torch.Generator().manual_seed(401)
    for shape, width in ((13,), 0.4), ((7, 3), 2.0), ((2, 3, 5), 0.8):
        x = torch.randn(shape, generator=draw)
        x.view(-1)[:3] = torch.tensor([0.0, 0.3 * width, -0.8 * width])  # on the threshold, and on both flanks
        upstream = 0.05 + 0.3 * torch.rand(shape, generator=draw)
        mine = x.clone().requires_grad_()
        spikes = _spikes(answer, mine, width)
        _check_step(spikes, x)
        grad = _backward(spikes, mine, upstream)
        flank, inside = 1 - x.abs() / width, x.abs() < width
        right = upstream * flank.clamp(min=0) / width
        slips = {
            "the area is not 1: a triangle from -width to width with a height of 1 has the area width.": right * width,
            "the height is wrong: a base of 2 width and an area of 1 ask for a height of 1 / width.": right / 2,
            "it is twice as high as it should be: the area is half of base times height.": right * 2,
            "the height is the width; for an area of 1 it is 1 / width.": right * width**2,
            "the base is too short: it falls to 0 at a distance of width on each side, not of half of it.": (
                upstream * 2 * (1 - 2 * x.abs() / width).clamp(min=0) / width
            ),
            "the base is too long: it falls to 0 at a distance of width, not of twice that.": (
                upstream * (1 - x.abs() / (2 * width)).clamp(min=0) / (2 * width)
            ),
            "beyond the width it goes below 0: cut it off there.": upstream * flank / width,
            "beyond the width it goes below 0: cut it off there. And the area is not 1.": upstream * flank,
            "the flank is as long at every width: it is 1 - |x| / width that falls to 0 at the width.": (
                upstream * (1 - x.abs()).clamp(min=0) / width
            ),
            "this is a boxcar; a triangle falls from the middle on.": upstream * inside / (2 * width),
            "this is a boxcar, of area 2; a triangle falls from the middle on.": upstream * inside / width,
            "this is a boxcar, of height 1; a triangle falls from the middle on.": upstream * inside,
            "this is how steep the triangle is; its height is what is wanted, for it is the derivative itself.": (
                -upstream * x.sign() * inside / width**2
            ),
            "this is the triangle at the spike, 0 or 1. Save x, what comes in, not what goes out.": (
                upstream * (1 - (x > 0).float() / width).clamp(min=0) / width
            ),
            "x is used with its sign; the triangle has a flank on each side.": (
                upstream * ((1 - x / width).clamp(min=0) / width)
            ),
            "x is used with its sign: above the threshold it goes on rising; the triangle has a flank on each side.": (
                upstream * ((1 + x / width).clamp(min=0) / width)
            ),
            "this is the triangle of grad. It belongs to x, which forward has saved; grad is multiplied by it.": (
                (1 - upstream / width).clamp(min=0) / width
            ),
            "the gradient that arrives from above is left out: multiply by grad.": flank.clamp(min=0) / width,
            "the gradient that arrives from above is left out (multiply by grad), and the area is not 1.": (
                flank.clamp(min=0)
            ),
            "the gradient that arrives from above is left out, and beyond the width it goes below 0.": (flank / width),
            "the gradient that arrives from above is added; the chain rule multiplies.": upstream + right / upstream,
            "the sign is turned: it should be largest where a little more would make a spike.": -right,
            "this is the fast sigmoid of the text, not the triangle.": upstream / (1 + width * x.abs()) ** 2,
            "this is the fast sigmoid of the text, at slope 25, not the triangle.": upstream / (1 + 25 * x.abs()) ** 2,
            "this is still the sigmoid of SigmoidSpike, not the triangle.": (
                upstream * 25 * torch.sigmoid(25 * x) * torch.sigmoid(-25 * x)
            ),
            "this is the true derivative, which is 0.": torch.zeros(shape),
            "this is a derivative of 1 everywhere (straight-through).": upstream,
            "the width is always the same, whatever comes in.": upstream * (1 - x.abs()).clamp(min=0),
        }
        grad = grad.where(x != 0, right)  # a derivative by autograd may say 0 at the very tip
        slips = {reason: value.where(x != 0, right) for reason, value in slips.items()}
        recognise(grad, right, slips, what="the spikes are right, the gradient is not")
        same(grad, right, what=f"the gradient at width {width:g}", first="position")
    return "a step forward, a triangle backward, at any width. Any bump at the threshold will do, if it is one."


def _spikes(answer, x, width):
    try:
        return call(answer, x=x, width=width)
    except NotYet as reason:
        if "can only save variables" in str(reason):
            raise NotYet("save_for_backward takes tensors only. The width is a number: ctx.width = width.") from None
        raise


def _check_step(spikes, x):
    """Raise NotYet unless ``spikes`` is the step of x and the graph goes on behind it."""
    if alike(spikes, (x >= 0).float()):
        raise NotYet("your spike fires at exactly 0 too. Here, as in snnTorch, it fires above the threshold only.")
    if alike(spikes, (x > 1).float()):
        raise NotYet("your spike fires above 1. But x is U - threshold already: it fires above 0.")
    inside = torch.is_tensor(spikes) and spikes.shape == x.shape and ((spikes > 1e-3) & (spikes < 1 - 1e-3)).any()
    if inside:
        raise NotYet("forward returns values between 0 and 1. The spike stays a step; only its derivative is replaced.")
    same(spikes, (x > 0).float(), what="the spikes", first="position")
    if not torch.is_tensor(spikes):
        raise NotYet("the spikes are right, but not a tensor: a gradient only goes back through what PyTorch computed.")
    if not spikes.is_floating_point():
        raise NotYet(
            f"the spikes are right, but of {spikes.dtype}, through which PyTorch sends no gradient. Make them floats: "
            "(x > 0).float()."
        )
    if not spikes.requires_grad:
        raise NotYet("the spikes are right, but cut off from the graph: return what your Function.apply returns.")


# what PyTorch says of a backward, and what to do about it
_BACKWARD = {
    "incorrect number of gradients": ". It returns one value for each argument of forward: `return ..., None`.",
    "no attribute": ". What backward needs is kept in forward: `ctx.width = width`.",
    "tuple index out of range": ". Nothing was saved in forward: `ctx.save_for_backward(x)`.",
    "not enough values to unpack": ". Nothing was saved in forward: `ctx.save_for_backward(x)`.",
    "Boolean value of Tensor": ". Python's max and if look at one number; a tensor has .clamp(min=0).",
}


def _backward(spikes, x, upstream):
    try:
        (grad,) = torch.autograd.grad(spikes, x, upstream.to(spikes.dtype), allow_unused=True)
    except Exception as error:
        said = str(error).splitlines()[0]
        why = next((why for words, why in _BACKWARD.items() if words in said), "")
        raise NotYet(f"the backward pass raised {type(error).__name__}: {said}{why}") from None
    if grad is None:
        raise NotYet("the spikes are right, but backward gives no gradient for x: its first value is None.")
    return grad
