"""Triton's kernels: held to the steps taken one by one, in Triton's interpreter and, where there is one, on a GPU."""

import importlib.util
import itertools
import os
import subprocess
import sys
import types
from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from snn_helpers import encoding, networks, neurons, surrogates
from snn_helpers.engine import kernels, memory
from snn_helpers.engine.checks import RESETS
from snn_helpers.neurons import Record

triton = pytest.importorskip("triton", reason="Triton is not installed (there is none for every system)")

SOURCE = Path(kernels.__file__).with_name("triton_kernels.py")
SURROGATES = [surrogates.fast_sigmoid(5.0), surrogates.sigmoid(3.0), surrogates.atan(), surrogates.boxcar(2.0)]
TOLERANCE = {torch.float64: 1e-14, torch.float32: 4e-6, torch.float16: 4e-3, torch.bfloat16: 4e-2}  # of the largest
GPU = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not GPU, reason="no GPU that CUDA can use")


def load(name, *, interpret):
    """A copy of the kernels under this name: whether Triton compiles or interprets them is settled as it is loaded."""
    spec = importlib.util.spec_from_file_location(name, SOURCE)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with mock.patch.dict("os.environ", {"TRITON_INTERPRET": "1" if interpret else "0"}):
        spec.loader.exec_module(module)
    return module


INTERPRETED = load("interpreted_kernels", interpret=True)
SITES = {"interpreter": ("cpu", INTERPRETED.__name__), "gpu": ("cuda", kernels.TRITON)}


@pytest.fixture(scope="module", params=["interpreter", "gpu"] if GPU else ["interpreter"])
def site(request):
    """(device, name of the module of kernels): every comparison is made in the interpreter and on a GPU."""
    return SITES[request.param]


def run(site, current, before=None, *, parts=("spikes", "membrane", "last"), fused=True, **neuron):
    """What the neuron does and the gradients, by the kernels of the site, or step by step if not ``fused``.

    Returns {"spikes", "membrane", "last", "grad", "grad_before"}; the loss sees the ``parts``, each number of them with
    a weight of its own. Fails if the kernels were not what did it, or were.
    """
    device, module = site
    original, taken = kernels._fused, []

    def spied(*arguments):
        result = original(*arguments)
        taken.append(result is not None)
        return result

    current = current.detach().to(device).requires_grad_()
    before = None if before is None else before.detach().to(device).requires_grad_()
    options = dict(beta=0.85, threshold=0.9, reset="subtract", spike=SURROGATES[0]) | neuron
    changed = dict(_fused=spied, _DEVICES=(device,), _KERNELS=module if fused else None)
    with mock.patch.multiple(kernels, **changed):
        record, last = neurons.lif_piece(current, before, **options)
        did = {"spikes": record.spikes, "membrane": record.membrane, "last": last}
        loss = sum((weights(did[part], seed) * did[part]).sum() for seed, part in enumerate(parts))
        loss.backward()
        assert kernels._KERNELS == changed["_KERNELS"], "the kernels failed"
    assert taken == [fused, fused], f"by the kernels (forward, backward): {taken}"
    grads = {"grad": current.grad} | ({"grad_before": before.grad} if before is not None else {})
    return {name: value.detach().cpu() for name, value in (did | grads).items()}


def weights(like, seed):
    return randn(like.shape, seed, like.dtype).to(like.device)


def randn(shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def assert_same(site, current, before=None, **options):
    """Forward to the bit; backward to float tolerance. Returns what the kernels gave."""
    got, wanted = run(site, current, before, **options), run(site, current, before, fused=False, **options)
    assert got.keys() == wanted.keys()
    for part in ("spikes", "membrane", "last"):
        assert torch.equal(got[part], wanted[part]), part
        assert got[part].stride() == wanted[part].stride(), "laid out in another way"
    for part in got.keys() - {"spikes", "membrane", "last"}:
        assert got[part].dtype == wanted[part].dtype == current.dtype
        assert torch.isfinite(wanted[part]).all()
        error = (got[part] - wanted[part]).double().abs().max() / wanted[part].double().abs().max().clamp(min=1e-12)
        assert error <= TOLERANCE[current.dtype], f"{part}: {error:.2g}"
    return got


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
@pytest.mark.parametrize("spike", SURROGATES, ids=lambda spike: spike.name)
@pytest.mark.parametrize("reset", RESETS)
def test_every_reset_surrogate_and_dtype(site, reset, spike, dtype):
    current, before = 0.5 + randn((7, 3, 5), 1, dtype), 0.5 + randn((3, 5), 2, dtype)
    got = assert_same(site, current, before, reset=reset, spike=spike)
    assert 0.1 < got["spikes"].double().mean() < 0.9 and (got["membrane"] < 0).any() and (got["grad"] != 0).any()


@pytest.mark.parametrize("reset", RESETS)
def test_bfloat16(site, reset):
    """Of numbers that no step has to round: Triton's interpreter cuts a bfloat16 off where a GPU rounds it."""
    current = (randn((3, 3, 5), 1).mul(4).round() / 4).clamp(-1, 2)
    before = (randn((3, 5), 2).mul(4).round() / 4).clamp(-1, 2)
    options = dict(beta=0.5, threshold=1.0, reset=reset)
    got = assert_same(site, current.bfloat16(), before.bfloat16(), **options)
    exact = run(site, current, before, fused=False, **options)
    assert torch.equal(got["membrane"].float(), exact["membrane"]) and 0.1 < exact["spikes"].mean() < 0.9


PARTS = [c for n in (1, 2, 3) for c in itertools.combinations(("spikes", "membrane", "last"), n)]


@pytest.mark.parametrize("started", [False, True], ids=["at rest", "before"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("parts", PARTS, ids=" ".join)
def test_every_gradient_that_may_be_absent(site, parts, reset, started):
    current, before = 0.5 + randn((5, 2, 3), 3), 0.5 + randn((2, 3), 4)
    got = assert_same(site, current, before if started else None, reset=reset, parts=parts)
    assert (got["grad"] != 0).any() and ("grad_before" in got) == started


@pytest.mark.parametrize("part", Record._fields)
def test_a_gradient_that_is_the_same_at_every_step(site, part):
    """As the sum over time has it: one step in memory, T times."""
    device, module = site
    current, weight = (0.5 + randn((7, 3, 5), 1)).to(device).requires_grad_(), randn((3, 5), 2).to(device)
    grads = []
    for kernel in (module, None):
        with mock.patch.multiple(kernels, _DEVICES=(device,), _KERNELS=kernel):
            total = getattr(neurons.lif(current, beta=0.85, spike=SURROGATES[0]), part).sum(0)
            grads += torch.autograd.grad(total, current, weight)
            assert kernels._KERNELS == kernel
    torch.testing.assert_close(*grads)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(1, 11), (7, 1), (19,), (13, 2, 3, 5), (3, 1031), (101, 2)]),
    beta=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    threshold=st.floats(0.05, 5),
    reset=st.sampled_from(RESETS),
    started=st.booleans(),
)
@example(seed=0, shape=(3, 1031), beta=0.9, threshold=1.0, reset="zero", started=True)
@example(seed=0, shape=(1, 11), beta=0.9, threshold=1.0, reset="subtract", started=False)
@example(seed=0, shape=(101, 2), beta=0.99, threshold=0.3, reset="subtract", started=True)
def test_any_neuron(site, seed, shape, beta, threshold, reset, started):
    """Up to three blocks of neurons of which the last is not full, a single step, and many."""
    current, before = (threshold * (0.5 + randn(s, seed)) for s in (shape, shape[1:]))
    options = dict(beta=beta, threshold=threshold, reset=reset, spike=SURROGATES[seed % 4])
    assert_same(site, current, before if started else None, **options)


def laid_out():
    image = randn((2, 3, 5, 7), 5)
    last = image.contiguous(memory_format=torch.channels_last)
    steps = (0.5 + randn((5, 2, 3, 5, 7), 6)).permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    return {  # name: (current, whether it can be read as it lies)
        "channels last": (steps, True),
        "one image at every step": (encoding.direct(last, 5), True),
        "every second step": (torch.cat([steps, steps])[::2], True),
        "a single channel": (steps[:, :, :1].contiguous(), True),
        "every second column": (steps[..., ::2], False),
        "one image for the batch": (steps[:, :1].expand(5, 2, 3, 5, 7), False),
    }


@pytest.mark.parametrize("layout", laid_out())
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_any_layout(site, layout, reset):
    current, as_it_lies = laid_out()[layout]
    before = current[0].mul(0.7).contiguous()  # laid out differently where the channels come last
    assert_same(site, current, before, reset=reset)
    like = memory.empty_steps(len(current), current[0])
    assert (INTERPRETED._laid_out(current, like) is current) == as_it_lies


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_a_network(site, reset):
    """Convolution, pieces of time, an input that does not change, a membrane to start from."""
    device, module = site
    torch.manual_seed(0)
    layers = (
        nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(2)),
        nn.Sequential(nn.Flatten(-3), nn.Linear(27, 5)),
    )
    net = networks.SNN(*layers, beta=0.8, threshold=0.4, reset=reset, spike=SURROGATES[0], v_init=0.5).to(
        device, memory_format=torch.channels_last
    )
    x = encoding.direct(randn((2, 1, 6, 6), 8).to(device), 7)
    found = []
    for kernel in (module, None):
        net.zero_grad()
        with mock.patch.multiple(kernels, _DEVICES=(device,), _KERNELS=kernel):
            records = net(x)
            sum((weights(part, 9) * part).sum() for record in records for part in record).backward()
            assert kernels._KERNELS == kernel
        found.append((records, [parameter.grad for parameter in net.parameters()]))
    (records, grads), (wanted_records, wanted_grads) = found
    for record, wanted in zip(records, wanted_records, strict=True):
        assert 0.05 < record.spikes.mean() < 0.95
        assert torch.equal(record.spikes, wanted.spikes) and torch.equal(record.membrane, wanted.membrane)
    for grad, wanted in zip(grads, wanted_grads, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-5 * wanted.abs().max().item())


# ---- when they are used, and when not


def test_a_surrogate_says_what_the_kernels_need_to_know():
    known = [(spike.derivative.kind, spike.derivative.parameter) for spike in SURROGATES]
    assert known == [("fast_sigmoid", 5.0), ("sigmoid", 3.0), ("atan", 2.0), ("boxcar", 2.0)]
    assert [kind for kind, _ in known] == list(INTERPRETED.KINDS)


def test_a_derivative_of_ones_own_is_computed_step_by_step(site):
    current = (0.5 + randn((7, 3, 5), 1)).to(site[0]).requires_grad_()
    mine = surrogates.Surrogate("mine", lambda x: 1 / (1 + 5 * x.abs()) ** 2)
    with mock.patch.multiple(kernels, _DEVICES=site[:1], _KERNELS="never.looked.for"):
        record = neurons.lif(current, beta=0.85, threshold=0.9, spike=mine)
        (weights(record.spikes, 0) * record.spikes).sum().backward()
        assert kernels._KERNELS == "never.looked.for"
    wanted = run(site, current, parts=("spikes",), fused=False)
    torch.testing.assert_close(current.grad.cpu(), wanted["grad"])


def test_without_triton_the_steps_are_taken_one_by_one_and_nothing_is_said(recwarn):
    current = 0.5 + randn((7, 3, 5), 1)
    with mock.patch.multiple(kernels, _DEVICES=("cpu",), _KERNELS="snn_helpers.not_there"):
        record = neurons.lif(current, beta=0.9)
        assert kernels._KERNELS is None
    assert torch.equal(record.membrane, neurons.lif(current, beta=0.9).membrane) and not recwarn


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_a_kernel_that_cannot_be_built_is_said_once_and_done_without(name):
    def fails(*_):
        raise RuntimeError("Failed to find C compiler.")

    broken = types.SimpleNamespace(forward=INTERPRETED.forward, backward=INTERPRETED.backward)
    setattr(broken, name, fails)
    current = 0.5 + randn((7, 3, 5), 1)
    grads = []
    with (
        mock.patch.multiple(kernels, _DEVICES=("cpu",), _KERNELS="broken_kernels"),
        mock.patch.dict(sys.modules, {"broken_kernels": broken}),
        pytest.warns(RuntimeWarning, match=r"one by one: the same results, slower.*C compiler\?") as said,
    ):
        for _ in range(2):
            traced = current.clone().requires_grad_()
            neurons.lif(traced, beta=0.9).membrane.square().sum().backward()
            grads.append(traced.grad)
    assert len(said) == 1 and "RuntimeError: Failed to find C compiler." in str(said[0].message)
    torch.testing.assert_close(*grads)


def test_memory_that_has_run_out_is_not_a_kernel_that_cannot_be_built():
    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with (
        mock.patch.multiple(kernels, _DEVICES=("cpu",), _KERNELS="full"),
        mock.patch.dict(sys.modules, {"full": types.SimpleNamespace(forward=full)}),
        pytest.raises(torch.cuda.OutOfMemoryError, match="out of memory"),
    ):
        neurons.lif(torch.ones(7, 3), beta=0.9)


def said(code, **environment):
    """What a Python of its own prints."""
    env = {name: value for name, value in os.environ.items() if name != "SNN_TRITON"} | environment
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout


def test_without_a_gpu_triton_is_not_imported():
    code = (
        "import sys, torch; from snn_helpers import neurons; neurons.lif(torch.ones(3, 2), beta=0.9); "
        "print([name for name in ('triton', 'snn_helpers.engine.triton_kernels') if name in sys.modules])"
    )
    assert said(code, SNN_TRITON="1") == "[]\n"


@pytest.mark.parametrize("asked, taken", [({}, False), ({"SNN_TRITON": "0"}, False), ({"SNN_TRITON": "1"}, True)])
def test_the_kernels_are_taken_only_where_they_are_asked_for(asked, taken):
    code = (
        "import sys, types, torch; from snn_helpers import neurons; from snn_helpers.engine import kernels; "
        "kernels._DEVICES = ('cpu',); "
        "sys.modules[kernels.TRITON] = types.SimpleNamespace(forward=lambda *_: print('taken') or True); "
        "neurons.lif(torch.ones(3, 2), beta=0.9)"
    )
    assert said(code, **asked) == "taken\n" * taken


# ---- what is compiled


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(
    "dtype, arithmetic", [(torch.float32, "f32"), (torch.float64, "f64"), (torch.bfloat16, "f32")], ids=str
)
def test_a_gpu_would_round_each_operation(reset, dtype, arithmetic, tmp_path, monkeypatch):
    """What is launched, compiled for an A100 (which takes none): no product of the forward pass is fused with a sum."""
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton does not compile for NVIDIA")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module = load("compiled_kernels", interpret=False)
    current, before = randn((7, 3, 5), 1, dtype), randn((3, 5), 2, dtype)
    code = ptx(
        module, "_forward", module.forward, current, before, 0.85, 0.9, reset, *torch.empty(2, 7, 3, 5).to(dtype)
    )
    assert f"mul.rn.{arithmetic}" in code and f"fma.rn.{arithmetic}" not in code
    assert ".param .f64" in code, "beta has lost its last digits"
    for spike in SURROGATES:
        grads = current, None, before
        code = ptx(module, "_backward", module.backward, grads, current, before, 0.85, 0.9, reset, spike.derivative)
        assert "st.global" in code


def ptx(module, name, call, *arguments):
    """The assembly of the kernel of this name, as ``call(*arguments)`` launches it."""
    kernel = getattr(module, name)
    with mock.patch.object(module, name, mock.MagicMock()) as launched:
        assert call(*arguments)
    given, named = launched.__getitem__.return_value.call_args
    constants = {name: named.pop(name) for name in kernel.arg_names if name in named}
    kinds = dict.fromkeys(constants, "constexpr")
    for parameter, value in zip(kernel.params, given, strict=False):
        kinds[parameter.name] = parameter.annotation_type or triton.runtime.jit.mangle_type(value)
        if value is None:
            constants[parameter.name] = None
    source = triton.compiler.ASTSource(kernel, {name: kinds[name] for name in kernel.arg_names}, constants)
    target = triton.backends.compiler.GPUTarget("cuda", 80, 32)
    return triton.compile(source, target=target, options=named).asm["ptx"]


# ---- on a GPU


@needs_gpu
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_a_gpu_takes_the_kernels_that_are_asked_for_and_agrees_with_the_cpu(reset, dtype):
    current = 0.5 + randn((53, 7, 1031), 1, dtype)
    options = dict(beta=0.875, threshold=1.25, reset=reset, spike=SURROGATES[0])
    results, taken, original = [], [], kernels._fused
    for device in ("cuda", "cpu"):
        traced = current.to(device).requires_grad_()

        def spied(*arguments):
            result = original(*arguments)
            taken.append(result is not None)
            return result

        with mock.patch.multiple(kernels, _fused=spied, _KERNELS=kernels.TRITON):
            record = neurons.lif(traced, **options)
            record.spikes.sum().backward()
        results.append([record.spikes.cpu(), record.membrane.detach().cpu(), traced.grad.cpu()])
    assert taken == [True, True, False, False]
    (spikes, membrane, grad), (wanted_spikes, wanted_membrane, wanted_grad) = results
    assert torch.equal(spikes, wanted_spikes) and torch.equal(membrane, wanted_membrane)
    error = (grad - wanted_grad).double().abs().max() / wanted_grad.double().abs().max()
    assert error <= TOLERANCE[dtype]


@needs_gpu
def test_more_numbers_than_32_bits_can_count():
    n = 2**31 + 11
    if torch.cuda.mem_get_info()[0] < 5 * 2 * n:
        pytest.skip("needs about 21 GB of free memory on the GPU")
    current = torch.zeros(1, n, dtype=torch.float16, device="cuda")
    current[0, -1] = 2
    with mock.patch.object(kernels, "_KERNELS", kernels.TRITON):
        record = neurons.lif(current, beta=0.5)
    assert record.spikes[0, -1] == 1 and record.spikes.count_nonzero() == 1 and record.membrane[0, -1] == 2
