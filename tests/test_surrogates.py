"""The surrogates: the step is a step, its derivatives are those of snnTorch, none of them ever overflows."""

import math

import pytest
import snntorch.surrogate
import torch

from snn_helpers import surrogates

X = torch.cat([torch.linspace(-3, 3, 101), torch.tensor([-0.04, 0.04, -1e-6, 1e-6])])
ALL = [surrogates.fast_sigmoid(), surrogates.sigmoid(), surrogates.atan(), surrogates.boxcar()]


def gradient(spike, x):
    x = x.clone().requires_grad_()
    spikes = spike(x)
    spikes.backward(torch.linspace(-2, 3, x.numel()).to(x.dtype).view(x.shape))
    return spikes.detach(), x.grad


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (surrogates.fast_sigmoid(25.0), snntorch.surrogate.fast_sigmoid(slope=25)),
        (surrogates.fast_sigmoid(3.0), snntorch.surrogate.fast_sigmoid(slope=3)),
        (surrogates.sigmoid(25.0), snntorch.surrogate.sigmoid(slope=25)),
        (surrogates.sigmoid(1.7), snntorch.surrogate.sigmoid(slope=1.7)),
        (surrogates.atan(2.0), snntorch.surrogate.atan(alpha=2.0)),
        (surrogates.atan(0.6), snntorch.surrogate.atan(alpha=0.6)),
    ],
    ids=lambda spike: getattr(spike, "name", ""),
)
def test_spikes_and_derivatives_are_snntorchs(ours, theirs):
    (spikes, grad), (wanted_spikes, wanted_grad) = gradient(ours, X), gradient(theirs, X)
    assert torch.equal(spikes, wanted_spikes)
    torch.testing.assert_close(grad, wanted_grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("x", [0.0, 0.1, -0.1, 0.9])
def test_each_derivative_is_that_of_the_curve_it_is_named_after(x):
    curves = {
        surrogates.fast_sigmoid(7.0): lambda v: v / (1 + 7 * abs(v)),
        surrogates.sigmoid(7.0): lambda v: 1 / (1 + math.exp(-7 * v)),
        surrogates.atan(3.0): lambda v: math.atan(math.pi / 2 * 3 * v) / math.pi,
    }
    for spike, curve in curves.items():
        slope = (curve(x + 1e-6) - curve(x - 1e-6)) / 2e-6
        assert spike.derivative(torch.tensor(x, dtype=torch.float64)).item() == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(
    "spike", [surrogates.sigmoid(6.0), surrogates.atan(2.0), surrogates.boxcar(0.7)], ids=lambda s: s.name
)
def test_the_area_under_a_derivative_is_that_of_a_step(spike):
    x = torch.linspace(-400, 400, 4_000_001, dtype=torch.float64)
    assert torch.trapezoid(spike.derivative(x), x).item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("spike", ALL, ids=lambda s: s.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_finite_far_out_and_in_the_dtype_that_came(spike, dtype):
    x = torch.tensor([-1e4, -1.0, 0.0, 1.0, 1e4], dtype=dtype)
    spikes, grad = gradient(spike, x)
    assert spikes.dtype == grad.dtype == dtype
    assert spikes.tolist() == [0, 0, 0, 1, 1]
    derivative = spike.derivative(x)
    assert torch.isfinite(derivative).all() and (derivative >= 0).all()
    assert derivative[2] == derivative.max() > 100 * derivative[[0, 4]].max()
    assert torch.equal(x, torch.tensor([-1e4, -1.0, 0.0, 1.0, 1e4], dtype=dtype)), "the input was altered"


def test_boxcar_has_its_edges_where_it_says():
    x = torch.tensor([-0.3, -0.25, 0.0, 0.25, 0.3])
    assert surrogates.boxcar(0.5).derivative(x).tolist() == [0, 2, 2, 2, 0]


@pytest.mark.parametrize(
    "make, parameter",
    [
        (surrogates.fast_sigmoid, "slope"),
        (surrogates.sigmoid, "slope"),
        (surrogates.atan, "alpha"),
        (surrogates.boxcar, "width"),
    ],
)
def test_a_parameter_must_be_above_zero(make, parameter):
    for value in (0, -2.0, math.inf, math.nan):
        with pytest.raises(
            ValueError, match=rf"{make.__name__}: {parameter} must be a finite number above 0, got {value}\."
        ):
            make(value)
    assert make(4.0).name == f"{make.__name__}({parameter}=4)"


def test_a_second_derivative_is_refused_and_not_silently_wrong():
    x = torch.tensor([0.2], requires_grad=True)
    (grad,) = torch.autograd.grad((surrogates.atan()(x) * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
