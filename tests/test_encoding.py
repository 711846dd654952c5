"""The encoders: chances, exactness, independence, seeds, errors, speed and memory."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from snn_helpers.encoding import delta, direct, latency, poisson
from snn_helpers.engine import memory

quick = settings(max_examples=40, deadline=None)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_rate(spikes, p, sigmas=5):
    """The mean of independent draws lies within ``sigmas`` binomial standard errors of p; exact where p is 0 or 1."""
    spikes = spikes.double()
    error = (p * (1 - p) / spikes.numel()) ** 0.5
    assert abs(spikes.mean().item() - p) <= sigmas * error, (spikes.mean().item(), p, error)


# --- poisson: chances


@quick
@given(p=st.floats(0, 1, width=32), steps=st.integers(1, 300), n=st.integers(1, 300), seed=st.integers(0, 2**31))
def test_the_rate_is_the_pixel(p, steps, n, seed):
    spikes = poisson(torch.full((n,), p), steps, generator=seeded(seed))
    # an approximate interval is wrong where T p is a few: there, the count itself is bounded (a Poisson tail of 1e-9)
    expected, rare = steps * n * min(p, 1 - p), spikes.sum().item() if p < 0.5 else (1 - spikes).sum().item()
    assert abs(rare - expected) <= 6 * expected**0.5 + 15 * (expected > 0)


@pytest.mark.parametrize("p", [1 / 512, 255 / 256, 1 - 1 / 512, 1 / 3, 0.5, 1 / 256, 254.5 / 256, 0.999])
def test_the_fractional_part_of_256_p_counts(p):
    # 12 million draws: an encoder exact only to 1/256 would be off by dozens of standard errors
    assert_rate(poisson(torch.full((4001,), p), 3001, generator=seeded(1)), torch.tensor(p).item())


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 13, 64, 1009, 2**20 + 3])
def test_black_never_fires_and_white_always_does(n):
    steps = 3 if n > 2000 else 1021
    assert not poisson(torch.zeros(n), steps, generator=seeded()).any()
    assert poisson(torch.ones(n), steps, generator=seeded()).all()


def test_black_and_white_among_greys():
    image = torch.tensor([0.0, 0.4, 1.0, 0.7, 0.0, 1.0, 1e-9])
    spikes = poisson(image, 20011, generator=seeded(3))
    assert (spikes[:, image == 0] == 0).all() and (spikes[:, image == 1] == 1).all()
    assert_rate(spikes[:, 1], 0.4)


@quick
@given(gain=st.floats(0, 4), x=st.floats(0, 1, width=32), seed=st.integers(0, 2**31))
def test_gain_multiplies_the_chance_up_to_1(gain, x, seed):
    spikes = poisson(torch.full((97,), x), 103, gain=gain, generator=seeded(seed))
    p = min(1.0, gain * x)
    if p in (0, 1):
        assert (spikes == p).all()
    else:
        assert abs(spikes.mean().item() - p) <= 6 * (p * (1 - p) / spikes.numel()) ** 0.5 + 15 / spikes.numel()


@quick
@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40), steps=st.integers(1, 30))
def test_only_0_and_1_and_the_images_shape_and_dtype(values, steps):
    image = torch.tensor(values)
    spikes = poisson(image, steps, generator=seeded())
    assert spikes.shape == (steps, len(values)) and spikes.dtype == image.dtype
    assert ((spikes == 0) | (spikes == 1)).all()


@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 1, 7, 11), (2, 0, 3)])
@pytest.mark.parametrize("encode", [poisson, latency, direct])
def test_time_is_put_first(encode, shape):
    assert encode(torch.rand(shape, generator=seeded()), 13).shape == (13, *shape)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type(dtype):
    spikes = poisson(torch.full((1009,), 0.25, dtype=dtype), 101, generator=seeded(5))
    assert spikes.dtype == dtype
    assert_rate(spikes, 0.25)


def test_the_image_may_be_strided_and_stays_as_it_is():
    image = torch.rand(7, 5, generator=seeded())
    kept = image.clone()
    ours = poisson(image.T, 11, generator=seeded(1))
    assert torch.equal(ours, poisson(image.T.contiguous(), 11, generator=seeded(1))) and torch.equal(image, kept)
    assert poisson(torch.tensor(0.5).expand(3, 5), 7).shape == (7, 3, 5)


def test_no_gradient_is_carried():
    image = torch.rand(5, requires_grad=True)
    assert not poisson(image, 7).requires_grad and not latency(image, 7).requires_grad


# --- poisson: independence and seeds


@pytest.mark.parametrize("p", [0.03, 0.3, 0.9])
def test_steps_and_pixels_are_independent(p):
    n, steps = 211, 5003
    z = poisson(torch.full((n,), p), steps, generator=seeded(7)).double().sub(p).div((p * (1 - p)) ** 0.5)
    for lag in range(1, 10):  # 8 bytes make a word: neighbours within one word, and across
        for a, b in ((z[lag:], z[:-lag]), (z[:, lag:], z[:, :-lag])):
            assert abs((a * b).mean().item()) < 5 / a.numel() ** 0.5, lag
    # the mean of all pixels in a step, and of all steps of a pixel, spread as independent ones do
    assert z.mean(1).var().item() * n == pytest.approx(1, abs=5 * (2 / steps) ** 0.5)
    assert z.mean(0).var().item() * steps == pytest.approx(1, abs=5 * (2 / n) ** 0.5)


def test_every_one_of_the_eight_bytes_of_a_word_is_fair():
    spikes = poisson(torch.full((8,), 0.75), 200_003, generator=seeded(2))
    for byte in range(8):
        assert_rate(spikes[:, byte], 0.75)


SIZES = [((3, 5), 7), ((1,), 1), ((2**18 + 5,), 11), ((13,), 100_003)]  # one chunk, a single draw, several chunks


@pytest.mark.parametrize("shape, steps", SIZES)
@pytest.mark.parametrize("encoded", [0.3, 1 / 512])
def test_one_seed_gives_one_answer(shape, steps, encoded):
    image = torch.full(shape, encoded)
    first = poisson(image, steps, generator=seeded(11))
    torch.rand(17)  # the global generator plays no part
    assert torch.equal(first, poisson(image, steps, generator=seeded(11)))
    if first.numel() > 1000:
        assert not torch.equal(first, poisson(image, steps, generator=seeded(12)))


@pytest.mark.parametrize("shape, steps", SIZES)
def test_a_given_generator_leaves_the_global_one_alone(shape, steps):
    before, generator = torch.get_rng_state(), seeded(1)
    poisson(torch.full(shape, 0.3), steps, generator=generator)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(generator.get_state(), seeded(1).get_state())


def test_without_a_generator_the_global_seed_decides():
    def draw(seed):
        torch.manual_seed(seed)
        return poisson(torch.full((101,), 0.5), 7)

    assert torch.equal(draw(3), draw(3)) and not torch.equal(draw(3), draw(4))


def test_a_second_call_goes_on_in_the_generator():
    generator, image = seeded(1), torch.full((101,), 0.5)
    assert not torch.equal(poisson(image, 7, generator=generator), poisson(image, 7, generator=generator))


def test_threads_do_not_change_the_spikes():
    threads, image = torch.get_num_threads(), torch.rand(50_021, generator=seeded())
    try:
        torch.set_num_threads(1)
        one = poisson(image, 23, generator=seeded(1))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, poisson(image, 23, generator=seeded(1)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu():
    image = torch.full((4001,), 1 - 1 / 512, device="cuda")
    spikes = poisson(image, 301, generator=torch.Generator("cuda").manual_seed(1))
    assert spikes.is_cuda and torch.equal(spikes, poisson(image, 301, generator=torch.Generator("cuda").manual_seed(1)))
    assert_rate(spikes.cpu(), 1 - 1 / 512)
    assert poisson(torch.ones(5, device="cuda"), 1009).all() and not poisson(torch.zeros(5, device="cuda"), 1009).any()


# --- poisson: memory


def test_memory_is_the_output_and_a_small_buffer():
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    image = torch.rand(256, 1, 28, 28, generator=seeded())
    poisson(image, 3)

    def kilobytes(name):
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))

    try:
        reset.write_text("5")  # the peak starts anew from here
    except OSError:
        pytest.skip("the peak of this process's memory cannot be reset here")
    memory._spare.clear()  # or it would need nothing new
    before = kilobytes("VmRSS")
    spikes = poisson(image, 199)
    peak = (kilobytes("VmHWM") - before) * 1024
    output = spikes.numel() * spikes.element_size()
    assert 0.9 * output < peak < output + 24 * 2**20, f"peak {peak / 1e6:.0f} MB for {output / 1e6:.0f} MB of spikes"


# --- latency


@quick
@given(x=st.floats(0, 1, width=32), tau=st.floats(0.1, 50), cutoff=st.floats(0.001, 0.9), steps=st.integers(1, 60))
def test_latency_is_when_the_circuit_crosses_the_cutoff(x, tau, cutoff, steps):
    spikes = latency(torch.tensor([x], dtype=torch.float64), steps, tau=tau, cutoff=cutoff)[:, 0]
    if x <= cutoff:
        assert not spikes.any()
        return
    when = tau * math.log(x / (x - cutoff))
    assume(abs(when % 1 - 0.5) > 1e-6)
    assert spikes.sum() == (round(when) < steps)
    if round(when) < steps:
        assert spikes.argmax() == round(when)
        # and charging by the current x, with that time constant, is at the cutoff then
        assert x * (1 - math.exp(-when / tau)) == pytest.approx(cutoff)


def test_the_brighter_the_earlier():
    image = torch.linspace(0.02, 1, 53)
    times = latency(image, 101).argmax(0)
    assert (times.diff() <= 0).all() and times[0] > times[-1]
    assert latency(image, 101).sum(0).tolist() == [1] * 53


@pytest.mark.parametrize("tau", [1.0, 5.0, 11.0])
def test_latency_against_snntorch(tau):
    # with clip and bypass it, too, keeps silent what is too dark or too late; a pixel at the cutoff is left out
    from snntorch import spikegen

    image = torch.rand(3, 1, 7, 11, generator=seeded(3))
    image[0, 0, 0, :3] = torch.tensor([0.0, 0.0099, 1.0])
    theirs = spikegen.latency(image, num_steps=13, tau=tau, threshold=0.01, clip=True, bypass=True)
    assert torch.equal(latency(image, 13, tau=tau, cutoff=0.01), theirs)
    assert 0 < theirs.sum() <= theirs[0].numel()


# --- delta


def test_delta_by_hand():
    signal = torch.tensor([[0.0, 1.0], [0.05, 0.5], [0.3, 0.5], [0.29, 1.0], [0.0, 1.0]])
    assert delta(signal, 0.25).tolist() == [[0, 0], [0, -1], [1, 0], [0, 1], [-1, 0]]


@quick
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=30), st.integers(1, 10))
def test_delta_against_its_definition(values, threshold):
    wanted = [0] + [(b - a >= threshold) - (b - a <= -threshold) for a, b in itertools.pairwise(values)]
    signal = torch.tensor(values, dtype=torch.float32)[:, None, None].expand(-1, 3, 5)
    assert delta(signal, threshold)[:, 2, 4].tolist() == wanted


def test_delta_against_snntorch():
    from snntorch import spikegen

    signal = torch.rand(13, 3, 5, generator=seeded(1))
    assert torch.equal(delta(signal, 0.2), spikegen.delta(signal, threshold=0.2, padding=True, off_spike=True))


# --- direct


def test_direct_is_a_view_of_the_image():
    image = torch.randn(3, 1, 5, 7)
    current = direct(image, 11)
    assert current.stride(0) == 0 and current.data_ptr() == image.data_ptr()
    assert all(torch.equal(step, image) for step in current)
    assert direct(image.requires_grad_(), 11).requires_grad


# --- errors, by their words


@pytest.mark.parametrize("encode", [poisson, latency])
@pytest.mark.parametrize("image, error, words", [
    (torch.tensor([-0.42, 2.82]), ValueError, r"image must lie in \[0, 1\], got \[-0.42, 2.82\]. Undo its norm"),
    (torch.tensor([0.5, float("nan")]), ValueError, r"image must lie in \[0, 1\], got \[nan, nan\]"),
    (torch.tensor([0.5, float("inf")]), ValueError, r"got \[0.5, inf\]"),
    (torch.tensor([0, 255], dtype=torch.uint8), TypeError, r"got torch.uint8. Divide 8-bit pixels by 255"),
    ([0.5], TypeError, r"must be a float tensor with values in \[0, 1\], got list"),
])  # fmt: skip
def test_an_image_that_is_none(encode, image, error, words):
    with pytest.raises(error, match=f"^{encode.__name__}: .*{words}"):
        encode(image, 7)


@pytest.mark.parametrize("encode", [poisson, latency, direct])
@pytest.mark.parametrize("steps", [0, -3, 2.0, True, "7", None, torch.tensor(7)])
def test_steps_that_are_none(encode, steps):
    with pytest.raises(ValueError, match=f"^{encode.__name__}: steps must be a whole number of at least 1, got "):
        encode(torch.rand(5), steps)


@pytest.mark.parametrize("gain", [-0.1, float("nan"), float("inf")])
def test_a_gain_that_is_none(gain):
    with pytest.raises(ValueError, match=r"^poisson: gain must be a finite number of at least 0, got .* 1 leaves it"):
        poisson(torch.rand(5), 7, gain=gain)


@pytest.mark.parametrize("call, words", [
    (lambda: latency(torch.rand(5), 7, tau=0), "latency: tau must be above 0"),
    (lambda: latency(torch.rand(5), 7, tau=float("nan")), "latency: tau must be above 0"),
    (lambda: latency(torch.rand(5), 7, cutoff=0), "latency: cutoff must lie between 0 and 1"),
    (lambda: latency(torch.rand(5), 7, cutoff=1), "latency: cutoff must lie between 0 and 1"),
    (lambda: delta(torch.rand(5), 0), "delta: threshold must be above 0"),
    (lambda: delta(torch.tensor([0.0, float("nan")])), "delta: signal must be finite"),
    (lambda: delta(torch.arange(5)), "delta: signal must be a float tensor .*got torch.int64"),
    (lambda: delta(torch.tensor(0.5)), "delta: signal must be a float tensor"),
    (lambda: direct(torch.arange(5), 3), "direct: image must be a float tensor, got torch.int64"),
])  # fmt: skip
def test_other_errors(call, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        call()
