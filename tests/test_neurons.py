"""THE neuron: held to snnTorch, to its own one-line-an-equation form, and to closed forms."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import snntorch
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snn_helpers import surrogates
from snn_helpers.engine import memory
from snn_helpers.engine.checks import RESETS
from snn_helpers.neurons import Record, beta_from_tau, lif, lif_step

SPIKE = surrogates.fast_sigmoid(5.0)
SHAPES = st.sampled_from([(7, 3, 5), (13, 2, 3, 5), (1, 11), (19,), (23, 3)])
neurons = given(
    seed=st.integers(0, 10**6),
    shape=SHAPES,
    beta=st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)),
    threshold=st.floats(0.05, 5),
    reset=st.sampled_from(RESETS),
)
thorough = settings(deadline=None, max_examples=60)


def currents(seed, shape, threshold=1.0, dtype=torch.float32):
    """Around the threshold, of both signs, so that neurons spike, rest and go below zero."""
    draw = torch.Generator().manual_seed(seed)
    return (threshold * (0.5 + torch.randn(shape, generator=draw, dtype=dtype))).requires_grad_()


def loss(record, seed=0):
    """Sees every spike and every membrane with a weight of its own."""
    draw = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(record.spikes.shape, generator=draw, dtype=torch.float64) for _ in range(2))
    return (a * record.spikes).sum() + (b * record.membrane).sum()


def gradient(run, current):
    record = run(current)
    (grad,) = torch.autograd.grad(loss(record), current)
    return record, grad


def stepped(current, initial=None, **options):
    membrane, spikes, trace = torch.zeros_like(current[0]) if initial is None else initial, [], []
    for i in current.unbind(0):
        spike, membrane = lif_step(i, membrane, **options)
        spikes.append(spike)
        trace.append(membrane)
    return Record(torch.stack(spikes), torch.stack(trace))


def by_snntorch(current, *, beta, threshold, reset, spike_grad):
    neuron = snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism=reset, spike_grad=spike_grad)
    mem, spikes, trace = torch.zeros_like(current[0]), [], []
    for i in current.unbind(0):
        spike, mem = neuron(i, mem)
        spikes.append(spike)
        trace.append(mem)
    return Record(torch.stack(spikes), torch.stack(trace))


def assert_same_gradient(got, wanted, tolerance=1e-5):
    assert torch.isfinite(wanted).all()
    error = (got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12)
    assert error <= tolerance, f"relative error {error:.2g}"


@thorough
@neurons
@example(seed=0, shape=(7, 3, 5), beta=0.9, threshold=1.0, reset="subtract")
def test_snntorch_exactly(seed, shape, beta, threshold, reset):
    current = currents(seed, shape, threshold)
    theirs, their_grad = gradient(
        lambda i: by_snntorch(
            i, beta=beta, threshold=threshold, reset=reset, spike_grad=snntorch.surrogate.fast_sigmoid(slope=5)
        ),
        current,
    )
    ours, grad = gradient(lambda i: lif(i, beta=beta, threshold=threshold, reset=reset, spike=SPIKE), current)
    assert torch.equal(ours.spikes, theirs.spikes)
    assert torch.equal(ours.membrane, theirs.membrane)
    assert_same_gradient(grad, their_grad)


@pytest.mark.parametrize("reset", RESETS)
def test_the_comparison_with_snntorch_is_of_neurons_that_spike(reset):
    record = lif(currents(0, (7, 3, 5)), beta=0.9, reset=reset)
    assert 0.1 < record.spikes.mean() < 0.9 and (record.membrane < 0).any()


@thorough
@neurons
def test_all_steps_at_once_equal_one_by_one(seed, shape, beta, threshold, reset):
    current = currents(seed, shape, threshold)
    options = dict(beta=beta, threshold=threshold, reset=reset, spike=SPIKE)
    one_by_one, wanted = gradient(lambda i: stepped(i, **options), current)
    record, grad = gradient(lambda i: lif(i, **options), current)
    assert torch.equal(record.spikes, one_by_one.spikes) and torch.equal(record.membrane, one_by_one.membrane)
    assert_same_gradient(grad, wanted)
    assert torch.equal(record.spikes == 1, record.membrane > threshold), "the trace must explain the spikes"
    assert set(record.spikes.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "spike", [surrogates.sigmoid(3.0), surrogates.atan(), surrogates.boxcar(2.0)], ids=lambda s: s.name
)
@pytest.mark.parametrize("reset", RESETS)
def test_every_surrogate_reaches_the_current_as_plain_autograd_has_it(spike, reset):
    current = currents(5, (11, 3, 2), dtype=torch.float64)
    options = dict(beta=0.8, threshold=0.9, reset=reset, spike=spike)
    _, wanted = gradient(lambda i: stepped(i, **options), current)
    _, grad = gradient(lambda i: lif(i, **options), current)
    assert wanted.abs().max() > 0
    torch.testing.assert_close(grad, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("part", ["spikes", "membrane"])
@pytest.mark.parametrize("reset", RESETS)
def test_a_loss_on_one_output_alone(part, reset):
    current = currents(3, (7, 3, 5))
    options = dict(beta=0.7, reset=reset, spike=SPIKE)
    weight = torch.randn(7, 3, 5, generator=torch.Generator().manual_seed(1))
    grads = [
        torch.autograd.grad((weight * getattr(run(current, **options), part)).sum(), current)[0]
        for run in (lif, stepped)
    ]
    assert_same_gradient(*grads)
    assert grads[1].abs().max() > 0


@thorough
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 12), second=st.integers(1, 12), reset=st.sampled_from(RESETS))
def test_time_can_be_cut(seed, cut, second, reset):
    current = currents(seed, (13, 3, 5))
    options = dict(beta=0.85, threshold=0.6, reset=reset, spike=SPIKE)

    def pieces(i):
        record, parts = None, []
        for part in (i[: min(cut, second)], i[min(cut, second) : max(cut, second)], i[max(cut, second) :]):
            if len(part):
                record = lif(part, initial=record, **options)
                parts.append(record)
        return Record(*map(torch.cat, zip(*parts, strict=True)))

    whole, wanted = gradient(lambda i: lif(i, **options), current)
    cut_up, grad = gradient(pieces, current)
    assert torch.equal(cut_up.spikes, whole.spikes) and torch.equal(cut_up.membrane, whole.membrane)
    assert_same_gradient(grad, wanted)


@pytest.mark.parametrize("reset", RESETS)
def test_initial_may_be_a_single_step_and_passes_a_gradient_back(reset):
    current = currents(2, (7, 3, 5))
    before = currents(9, (3, 5))
    start = Record((before > 1).float(), before)
    grads = []
    for run in (
        lambda: lif(current, beta=0.8, reset=reset, spike=SPIKE, initial=start),
        lambda: stepped(current, before, beta=0.8, reset=reset, spike=SPIKE),
    ):
        record = run()
        grads.append(torch.autograd.grad(loss(record), before)[0])
        assert record.membrane.shape == (7, 3, 5)
    assert_same_gradient(*grads)
    assert grads[1].abs().max() > 0
    if reset == "zero":
        assert (grads[0][before > 1] == 0).all(), "what was thrown away cannot matter"


def test_it_is_a_function_of_its_input():
    current = currents(4, (7, 3, 5)).detach()
    kept = current.clone()
    first, second = lif(current, beta=0.9), lif(current, beta=0.9)
    assert torch.equal(first.spikes, second.spikes) and torch.equal(current, kept)
    assert lif(current.transpose(1, 2), beta=0.9).spikes.transpose(1, 2).equal(first.spikes), "strides must not matter"
    assert lif(current[:1].expand(7, 3, 5), beta=0.9).spikes.equal(lif(current[:1].repeat(7, 1, 1), beta=0.9).spikes)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_is_kept(reset, dtype):
    current = currents(6, (7, 3, 5)).detach().to(dtype).requires_grad_()
    record = lif(current, beta=0.9, reset=reset)
    record.spikes.sum().backward()
    assert record.spikes.dtype == record.membrane.dtype == current.grad.dtype == dtype
    assert set(record.spikes.unique().tolist()) == {0.0, 1.0}
    wanted = lif(current.detach().float(), beta=0.9, reset=reset)
    torch.testing.assert_close(record.membrane[0].float(), wanted.membrane[0])


@pytest.mark.parametrize("reset", RESETS)
def test_a_membrane_exactly_at_the_threshold_is_silent(reset):
    current = torch.tensor([[0.5, 0.0], [0.75, 1.0], [0.5, 0.5]])
    record = lif(current, beta=0.5, reset=reset)
    assert record.membrane.tolist() == [[0.5, 0.0], [1.0, 1.0], [1.0, 1.0]]
    assert record.spikes.sum() == 0 and lif_step(current[1], record.membrane[0], beta=0.5)[0].sum() == 0
    theirs = by_snntorch(current, beta=0.5, threshold=1.0, reset=reset, spike_grad=snntorch.surrogate.fast_sigmoid())
    assert torch.equal(record.spikes, theirs.spikes) and torch.equal(record.membrane, theirs.membrane)


# ---- closed forms


@given(tau=st.floats(0.5, 60), threshold=st.floats(0.1, 4))
@settings(deadline=None, max_examples=40)
def test_rheobase(tau, threshold):
    beta = beta_from_tau(tau)
    rheobase = threshold * (1 - beta)
    steps = int(20 * tau) + 20
    under, over = (
        lif(torch.full((steps,), f * rheobase, dtype=torch.float64), beta=beta, threshold=threshold)
        for f in (0.999, 1.001)
    )
    assert under.spikes.sum() == 0 and over.spikes.sum() >= 1


@given(beta=st.floats(0.1, 0.99), ratio=st.floats(1.01, 8))
@settings(deadline=None, max_examples=40)
def test_the_interval_from_rest_is_the_closed_form(beta, ratio):
    current = ratio * (1 - beta)
    n = next(n for n in range(1, 10_000) if current * (1 - beta**n) / (1 - beta) > 1)
    record = lif(torch.full((3 * n,), current, dtype=torch.float64), beta=beta, reset="zero")
    assert record.spikes.nonzero()[:, 0].tolist() == [n - 1, 2 * n - 1, 3 * n - 1]


def test_it_charges_and_decays_as_the_formulas_say():
    n = torch.arange(1, 38, dtype=torch.float64)
    beta = beta_from_tau(6.0)
    charging = lif(torch.full((37,), 0.13, dtype=torch.float64), beta=beta, threshold=5.0).membrane
    torch.testing.assert_close(charging, 0.13 * (1 - beta**n) / (1 - beta))
    kick = torch.zeros(37, dtype=torch.float64)
    kick[0] = 0.9
    torch.testing.assert_close(lif(kick, beta=beta).membrane, 0.9 * torch.exp(-(n - 1) / 6))


def test_beta():
    assert beta_from_tau(5.0) == math.exp(-0.2) and beta_from_tau(5.0, method="euler") == 0.8
    assert beta_from_tau(10.0, 0.5) == math.exp(-0.05) and beta_from_tau(2.0, 2.0, "euler") == 0
    assert all(beta_from_tau(tau, method="euler") < beta_from_tau(tau) for tau in (1.0, 3.0, 50.0))


# ---- errors, by their words


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(beta=20), r"beta must be in \[0, 1\], got 20\. Is it a tau\? Use beta_from_tau\(20\)"),
        (dict(beta=-0.1), r"beta must be in \[0, 1\], got -0\.1"),
        (dict(beta=math.nan), r"beta must be in \[0, 1\], got nan"),
        (dict(beta=0.9, threshold=0), "threshold must be a finite number above 0, got 0.*fire for ever"),
        (dict(beta=0.9, threshold=-1.5), "threshold must be a finite number above 0, got -1.5"),
        (dict(beta=0.9, threshold=math.inf), "threshold must be a finite number above 0, got inf"),
        (dict(beta=0.9, reset="hard"), """reset must be "subtract", "zero" or "none", got 'hard'"""),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ValueError, match="^lif: " + words):
        lif(torch.ones(7, 3), **options)
    with pytest.raises(ValueError, match="^lif_step: " + words):
        lif_step(torch.ones(3), torch.zeros(3), **options)


@pytest.mark.parametrize(
    "current, error, words",
    [
        (
            torch.ones(7, 3, dtype=torch.int64),
            TypeError,
            r"must be a float tensor \[T, \.\.\.\], got torch\.int64.*float\(\)",
        ),
        (torch.ones(7, dtype=torch.bool), TypeError, "got torch.bool"),
        ([0.1, 0.2], TypeError, "must be a float tensor.*got list"),
        (torch.tensor(0.3), ValueError, r"time as its first axis and T of at least 1, got shape \[\].*lif_step"),
        (torch.ones(0, 3), ValueError, r"T of at least 1, got shape \[0, 3\]"),
        (torch.tensor([0.1, math.nan, 0.2]), ValueError, "the membrane became NaN.*current must be finite"),
    ],
)
@pytest.mark.parametrize("reset", RESETS)
def test_wrong_currents(current, error, words, reset):
    with pytest.raises(error, match="^lif: .*" + words):
        lif(current, beta=0.9, reset=reset)


def test_a_nan_in_one_neuron_of_many_is_found():
    current = torch.ones(7, 3, 5)
    current[2, 1, 4] = math.nan
    with pytest.raises(ValueError, match="became NaN"):
        lif(current, beta=0.5, reset="zero")


@pytest.mark.parametrize("shape", [(3, 4), (7, 5, 3), (2, 7, 3, 5)])
def test_an_initial_of_another_shape(shape):
    start = Record(torch.zeros(shape), torch.zeros(shape))
    with pytest.raises(
        ValueError,
        match=r"lif: initial must be the Record of a step of shape \[3, 5\].*got "
        + str(list(shape)).replace("[", r"\["),
    ):
        lif(torch.ones(7, 3, 5), beta=0.9, initial=start)


def test_lif_step_wants_one_shape():
    with pytest.raises(
        ValueError, match=r"lif_step: current and membrane must have one shape, got \[3, 5\] and \[5\].*zeros_like"
    ):
        lif_step(torch.ones(3, 5), torch.zeros(5), beta=0.9)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((0.0,), "tau must be a finite number above 0, a time in the unit of dt, got 0.0"),
        ((-3.0,), "tau must be a finite number above 0, .*, got -3.0"),
        ((math.inf,), "tau must be a finite number above 0, .*, got inf"),
        ((5.0, 0.0), "dt must be a finite number above 0, a time in the unit of tau, got 0.0"),
        ((5.0, 1.0, "rk4"), """method must be "exact" or "euler", got 'rk4'"""),
        ((5.0, 6.0, "euler"), "Euler's step needs dt <= tau, got dt=6.0, tau=5.0. Take a smaller dt"),
    ],
)
def test_wrong_time_constants(arguments, words):
    with pytest.raises(ValueError, match="^beta_from_tau: " + words):
        beta_from_tau(*arguments)


# ---- the memory that results are written to


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("shape", [(7, 3, 5), (0, 3), (), (1_048_583, 2)])
def test_empty_is_an_ordinary_tensor(shape, dtype):
    got = memory.empty(shape, dtype=dtype)
    assert got.shape == shape and got.dtype == dtype and got.is_contiguous()
    got.fill_(3)
    assert (got == 3).all()


def test_memory_that_was_freed_is_lent_again_and_never_to_two():
    shape = 1_048_583, 7
    first = memory.empty(shape)
    place, view = first.data_ptr(), first[3:]
    del first
    second = memory.empty(shape)
    assert second.data_ptr() != place, "a view still looks at the first one"
    del view
    assert memory.empty(shape).data_ptr() == place


def test_little_more_is_kept_than_was_once_in_use():
    """Whatever is asked for, in whatever order: what is lent and what is kept stay near the most that was lent."""
    lot, generator = [], torch.Generator().manual_seed(5)
    for _ in range(400):
        size = 2**20 + 2**18 * torch.randint(9, (), generator=generator).item()
        lot.append(memory.empty((size,), dtype=torch.uint8))
        if len(lot) > torch.randint(12, (), generator=generator):
            lot.pop(0)
        assert memory._lent + sum(size * len(kept) for size, kept in memory._spare.items()) <= 9 / 8 * memory._most
        assert len({part.data_ptr() for part in lot}) == len(lot)


def test_a_loop_over_many_sizes_comes_to_need_nothing_new(monkeypatch):
    def step():
        long = [memory.empty((16, size), dtype=torch.uint8) for size in (2**20, 2**21)]
        for size in (2**20, 3 * 2**20, 5 * 2**20) * 4:  # as a backward pass does, layer after layer
            memory.empty((size,), dtype=torch.uint8)
        return long

    step(), step()
    fresh = []
    monkeypatch.setattr(
        memory, "np", SimpleNamespace(empty=lambda *a, **k: fresh.append(a) or np.empty(*a, **k), uint8="u1")
    )
    step()
    assert not fresh


def test_empty_elsewhere_is_torchs_own():
    assert memory.empty((3, 5), device="meta").device.type == "meta"


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"beta": -0.1}, ValueError, r"beta must be in \[0, 1\], got -0\.1\. It is what is left of U after a step"),
        ({"beta": "0.9"}, TypeError, "beta must be one number, got str"),
        ({"beta": 0.9, "threshold": None}, TypeError, "threshold must be one number, got NoneType"),
        (
            {"beta": 0.9, "spike": 25},
            TypeError,
            r"spike must be a Surrogate, got int\. Call it: surrogates\.fast_sigmoid\(\)",
        ),
    ],
)
def test_wrong_kinds_are_named(options, error, words):
    with pytest.raises(error, match=words):
        lif(torch.rand(3, 2), **options)
