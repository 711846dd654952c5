"""The table of conventions, held to the libraries it speaks of."""

import math

import pytest
import torch

from snn_helpers.conventions import PRESETS, SWITCHES, Convention, simulate
from snn_helpers.neurons import beta_from_tau, lif

# times 30 keeps the "scaled" inputs of slow neurons above their threshold: every case must hold spikes
CASES = [(2.0, 1.0, 0), (5.0, 0.7, 1), (11.0, 1.3, 2)]


def current(seed, gain=3.0, shape=(47, 5, 3)):
    return gain * torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spikes_of(step, current):
    return torch.stack([step(i) for i in current])


@pytest.mark.parametrize("tau, threshold, seed", CASES)
def test_snntorch(tau, threshold, seed):
    import snntorch

    i = current(seed, gain=1.0)
    beta = torch.tensor(math.exp(-1 / tau), dtype=torch.float64)
    neuron, mem, spikes, membrane = snntorch.Leaky(beta=beta, threshold=threshold), torch.zeros_like(i[0]), [], []
    for step in i:
        spike, mem = neuron(step, mem)
        spikes.append(spike)
        membrane.append(mem)
    record = simulate(i, PRESETS["snnTorch"], tau=tau, threshold=torch.tensor(threshold).double())
    assert 0 < record.spikes.mean() < 1
    assert torch.equal(record.spikes.float(), torch.stack(spikes).float())
    assert torch.allclose(record.membrane, torch.stack(membrane), atol=1e-6)


@pytest.mark.extra("bench")
@pytest.mark.parametrize("decayed", [True, False])
@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize("tau, threshold, seed", CASES)
def test_spikingjelly(tau, threshold, seed, decayed, v_reset):
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    i = current(seed, gain=3.0 if decayed else 0.6)
    node = neuron.LIFNode(tau=tau, decay_input=decayed, v_threshold=threshold, v_reset=v_reset)
    convention = PRESETS["SpikingJelly"]._replace(
        input="scaled" if decayed else "full", reset="zero" if v_reset == 0 else "subtract"
    )
    assert convention == PRESETS["SpikingJelly"] or not decayed or v_reset is None
    spikes = simulate(i, convention, tau=tau, threshold=threshold).spikes
    assert 0 < spikes.mean() < 1
    assert torch.equal(spikes, spikes_of(node, i))


@pytest.mark.extra("bench")
def test_spikingjelly_fires_on_the_threshold_and_norse_does_not():
    i = torch.full((5,), 2.0, dtype=torch.float64)  # tau 2: half of it is exactly the threshold, at every step
    jelly = pytest.importorskip("spikingjelly.activation_based.neuron").LIFNode(tau=2.0)
    assert torch.equal(simulate(i, PRESETS["SpikingJelly"], tau=2.0).spikes, spikes_of(jelly, i))
    assert simulate(i, PRESETS["SpikingJelly"], tau=2.0).spikes.sum() == 5
    norse = pytest.importorskip("norse.torch")
    cell, state, spikes = (
        norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(0.5).double()), dt=1.0),
        None,
        [],
    )
    for step in i:
        spike, state = cell(step, state)
        spikes.append(spike.detach())
    assert torch.equal(simulate(i, PRESETS["Norse"], tau=2.0).spikes, torch.stack(spikes))
    assert spikes[0] == 0 and spikes[1] == 1


@pytest.mark.extra("bench")
@pytest.mark.parametrize("synapse", [False, True], ids=["LIFBoxCell", "LIF with tau_syn = dt"])
@pytest.mark.parametrize("tau, threshold, seed", CASES)
def test_norse(tau, threshold, seed, synapse):
    norse = pytest.importorskip("norse.torch")
    i = current(seed)
    options = dict(tau_mem_inv=torch.tensor(1 / tau).double(), v_th=torch.tensor(threshold).double())
    if synapse:
        spikes, _ = norse.LIF(norse.LIFParameters(tau_syn_inv=torch.tensor(1.0), **options), dt=1.0)(i)
    else:
        cell, state, spikes = norse.LIFBoxCell(norse.LIFBoxParameters(**options), dt=1.0), None, []
        for step in i:
            spike, state = cell(step, state)
            spikes.append(spike)
        spikes = torch.stack(spikes)
    mine = simulate(i, PRESETS["Norse"], tau=tau, threshold=torch.tensor(threshold).double()).spikes
    assert 0 < mine.mean() < 1
    assert torch.equal(mine, spikes.detach())


@pytest.mark.parametrize("reset", SWITCHES["reset"])
@pytest.mark.parametrize("tau, threshold, seed", CASES)
def test_our_own_neuron_is_the_first_of_every_switch(tau, threshold, seed, reset):
    i = current(seed, gain=1.0)
    record = simulate(i, Convention(reset=reset), tau=tau, threshold=threshold)
    ours = lif(i, beta=beta_from_tau(tau), threshold=threshold, reset=reset)
    assert torch.equal(record.spikes, ours.spikes)
    assert torch.allclose(record.membrane, ours.membrane)
    assert Convention() == tuple(options[0] for options in SWITCHES.values()) == PRESETS["snnTorch"]


@pytest.mark.parametrize("tau, threshold, seed", CASES)
def test_a_reset_to_zero_gives_the_same_spikes_at_once_or_at_the_next_step(tau, threshold, seed):
    i = current(seed, gain=1.0)
    at_once, next_step = (
        simulate(i, Convention(reset="zero", when=when), tau=tau, threshold=threshold)
        for when in ("at once", "next step")
    )
    assert torch.equal(at_once.spikes, next_step.spikes)
    subtract = [simulate(i, Convention(when=when), tau=tau, threshold=threshold).spikes for when in SWITCHES["when"]]
    assert not torch.equal(*subtract)


def test_the_textbook_neuron_solves_the_equation():
    # tau dU/dt = -U + I with I constant: U(t) = I (1 - exp(-t / tau)), until the threshold
    t = torch.arange(1, 24, dtype=torch.float64)
    record = simulate(torch.full((23,), 0.97, dtype=torch.float64), PRESETS["textbook"], tau=7.0)
    assert torch.allclose(record.membrane, 0.97 * (1 - torch.exp(-t / 7)))


def test_the_disputed_reset_of_the_issue_on_snntorch():
    # beta 0.8, constant 0.21: the step after the spike is 0.013 or 0.213 (snntorch#341)
    i, tau = torch.full((30,), 0.21, dtype=torch.float64), -1 / math.log(0.8)
    after = {}
    for when in SWITCHES["when"]:
        record = simulate(i, Convention(when=when), tau=tau)
        first = int(record.spikes.argmax())
        after[when] = round(record.membrane[first + 1].item(), 3)
    assert after == {"next step": 0.013, "at once": 0.213}


def test_errors_say_what_to_do():
    i = torch.ones(3)
    with pytest.raises(ValueError, match="simulate: reset must be one of subtract, zero, got 'none'"):
        simulate(i, Convention(reset="none"), tau=5.0)
    with pytest.raises(ValueError, match=r"simulate: tau must be at least 1 step, got 0\.5"):
        simulate(i, Convention(), tau=0.5)
    with pytest.raises(ValueError, match="simulate: tau must be at least 1 step, got nan"):
        simulate(i, Convention(), tau=math.nan)
