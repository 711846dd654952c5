"""Notebook 08: the patients of the clinic, its explorer, and typical wrong answers refused for the right reason."""

import ast
import math
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from snn_helpers import data, diagnosis, encoding, networks, neurons, plots, surrogates, widgets
from snn_helpers.widgets import clinic, ward

NAMES = [clinic.HEALTHY, *clinic.SICKNESSES]
DIGITS = data.mnist(train=False, root="bundled")
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "08_inside_the_network.ipynb"


def seen(who):
    """Records of two batches in a row, the loss and the gradients of the second: all that a sickness can change."""
    x, image = spikes(), DIGITS.images[:11, None] / 255
    torch.manual_seed(1)
    encoded = who.encode(image)
    records = [*who(x), *who(x)]
    value = who.loss(records[-1], DIGITS.labels[:11])
    value.backward()
    gradients = [parameter.grad for parameter in who.parameters()]
    return [encoded, value.detach(), *(part.detach() for record in records for part in record), *gradients]


@pytest.mark.parametrize("treated, line", [(False, r"clinic\.patient\(\)"), (True, r'clinic\.patient\("{}"\)')])
@pytest.mark.parametrize("name", clinic.SICKNESSES)
def test_a_line_of_the_notebook_does_what_the_clinic_does(name, treated, line):
    code = "\n".join(cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code")
    lines = re.findall(rf"^patient = {line.format(re.escape(name))}\n(patient\..*)$", code, re.M)
    wanted, same = seen(clinic.patient(name, treated=treated)), []
    for text in lines:
        who = clinic.patient(name) if treated else clinic.patient()
        exec(
            text,
            {"patient": who, "clinic": clinic, "torch": torch, "F": F, "encoding": encoding, "surrogates": surrogates},
        )
        found = seen(who)
        same.append(len(found) == len(wanted) and all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True)))
    assert sum(same) == 1 and len(same) == (1 if treated else 7)


def test_seven_patients_start_from_the_same_weights():
    first = [tuple(clinic.patient(name).net.layers[1].weight.flatten()[:13].tolist()) for name in NAMES]
    assert len(set(first)) == 2 and first.count(first[0]) == 7 and set(first[NAMES.index("zero weights")]) == {0.0}


def test_the_cards_are_folded_for_their_code_says_why():
    cards = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if "widgets.guess(" in cell.source]
    keys = {re.search(r'"(08\.\w+)"', cell.source)[1] for cell in cards}
    assert len(cards) == len(keys) == 6 and all("hide-input" in cell.metadata.tags for cell in cards)


def test_a_patient_is_built_as_it_is_told():
    torch.manual_seed(0)
    same = networks.hidden_layer(100, beta=0.9, spike=surrogates.fast_sigmoid(10))
    for own, wanted in zip(clinic.network().parameters(), same.parameters(), strict=True):
        assert torch.equal(own, wanted)
    who = clinic.Patient(hidden=(7, 5), seed=3)
    assert [layer.weight.shape[0] for layer in (who.net.layers[0][1], *who.net.layers[1:])] == [7, 5, 10]
    for name in "zero weights", "beta 1 with bias":
        clinic.SICKNESSES[name].sick(who)
        clinic.SICKNESSES[name].heal(who)
        for own, other in zip(who.net.parameters(), clinic.Patient(hidden=(7, 5), seed=3).parameters(), strict=True):
            assert torch.equal(own, other) or name == "beta 1 with bias"


def test_building_and_examining_leave_the_random_state_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    who = clinic.patient("beta 1 with bias")
    clinic.examine(who, DIGITS.images[:7], DIGITS.labels[:7])
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("name", clinic.SICKNESSES)
def test_a_treated_patient_learns(name):
    assert clinic.visit(name, treated=True).losses[-1] < 1.2 < clinic.visit().losses[0]


@pytest.mark.parametrize(
    "name, first",
    [
        (clinic.HEALTHY, "Nothing is wrong"),
        ("no reset between batches", "Nothing is wrong"),
        ("negatives into Poisson", "Nothing is wrong"),
        ("loss on the wrong axis", "Nothing is wrong"),
        ("slope 1000", r"\d\d% of layer 1 is dead"),
        ("beta 1 with bias", r"Layer \d is saturated"),
        ("threshold 100", "Layer 1 is silent: its membranes come no higher"),
        ("zero weights", "Layer 1 is silent: its membranes never leave 0"),
    ],
)
def test_what_diagnose_sees(name, first):
    assert re.match(first, clinic.visit(name).findings[0])


def spikes(batch=11):
    return encoding.poisson(DIGITS.images[:batch, None] / 255, 10, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_kept_state_goes_on_where_the_last_batch_ended():
    who, x = clinic.patient("no reset between batches"), spikes()
    both = [torch.cat(part) for part in zip(who(x)[0], who(x)[0], strict=True)]
    current = who.net.layers[0](x.flatten(0, 1)).unflatten(0, x.shape[:2])
    wanted = neurons.lif(torch.cat([current, current]), **who.net.neuron)
    assert torch.equal(both[0], wanted.spikes)
    torch.testing.assert_close(both[1], wanted.membrane)
    assert not torch.equal(both[0][:10], both[0][10:])
    healthy = clinic.patient()
    assert torch.equal(healthy(x)[-1].spikes, healthy(x)[-1].spikes)


def test_a_pixel_below_one_half_never_fires_in_the_encoder_that_asks_no_questions():
    images = torch.linspace(0, 1, 1001).expand(17, -1)
    rate = clinic.patient("negatives into Poisson").encode(images).mean((0, 1))
    assert not rate[:501].any() and rate[501:].any() and rate[1000] == 1
    assert not clinic.patient("negatives into Poisson").encode(DIGITS.images[:7, None] // 2 / 255).any()


def test_the_wrong_axis_is_a_loss_of_time_steps():
    label = torch.arange(10)
    early = torch.zeros(10, 10, 10)
    early[label, label] = 1  # [T, B, C]: for digit n the neurons all fire at step n, and at no other
    record = neurons.Record(early, early)
    sick, treated = (clinic.patient("loss on the wrong axis", treated=t).loss(record, label) for t in (False, True))
    assert sick < 0.01 and abs(treated - math.log(10)) < 1e-5


def test_a_steep_slope_changes_no_spike_and_takes_the_gradient():
    x, label = spikes(), DIGITS.labels[:11]
    sizes, seen = [], []
    for name in clinic.HEALTHY, "slope 1000":
        who = clinic.patient(name)
        records = who(x)
        who.loss(records[-1], label).backward()
        sizes.append(who.net.layers[0][1].weight.grad.norm())
        seen.append(records[-1].spikes)
    assert torch.equal(*seen) and sizes[0] > 30 * sizes[1] > 0


def test_unknown_patients_are_refused():
    with pytest.raises(ValueError, match=r"there is no 'flu'\. There are: healthy, no reset"):
        clinic.patient("flu")
    with pytest.raises(ValueError, match="number must be a whole number of at least 1, got 0"):
        ward.stranger(0)


def test_every_position_of_the_controls_draws(drive):
    drive(widgets.clinic_explorer())


@pytest.mark.parametrize("name", NAMES)
def test_the_headline_is_the_first_finding_and_the_bars_are_the_rates(name):
    panel = widgets.clinic_explorer()
    panel.controls["name"].value = name
    who = clinic.patient(name)
    clinic.treat(who)
    records, loss, _ = clinic.examine(who, DIGITS.images[: clinic.BATCH], DIGITS.labels[: clinic.BATCH])
    assert diagnosis.diagnose(records, loss)[0] in panel.headline.value
    bars = [bar.get_height() for bar in panel.axes["rates"].patches]
    assert bars[:2] == pytest.approx([record.spikes.mean().item() for record in records])
    assert panel.axes["loss"].lines[-1].get_ydata()[-1] == pytest.approx(clinic.visit(name).losses[-1])
    panel.controls["layer"].value, panel.controls["index"].value = 1, 5
    shown = torch.tensor(panel.axes["membranes"].images[0].get_array())
    wanted = records[1].membrane[:, 5].T
    torch.testing.assert_close(shown, wanted[wanted.amax(1).argsort(descending=True, stable=True)])


def test_the_strip_shows_all_eight_and_is_the_same_each_time():
    panel = widgets.clinic_explorer()
    figure = panel.strip()
    assert len(figure.axes) == 16 and all(ax.has_data() for ax in figure.axes)
    assert plots.png(figure) == plots.png(panel.strip())
    flat = re.search(r"does not come down to 2: (.*)\.$", panel.sentence)[1].split(", ")
    assert flat == [name for name in clinic.SICKNESSES if clinic.visit(name).losses[-1] > 2] and len(flat) == 5


SHAPES = [(12, 5, 64, 7, 7), (11, 5, 32, 14, 14), (5, 512), (512,), (12, 5, 10)]


def test_the_shapes_of_exercise_08_1_are_those_of_the_network():
    records = networks.csnn()(torch.rand(12, 5, 1, 28, 28))
    U, S = records[0].membrane, records[0].spikes
    order = records[2].spikes[:, 0].argmax(0).argsort()
    parts = U[1:] - (0.5 * U - S)[:-1], records[2].spikes.mean(0), order, records[3].spikes.cumsum(0)
    assert [tuple(part.shape) for part in (records[1].membrane, *parts)] == SHAPES


@pytest.mark.parametrize(
    "answer",
    [
        SHAPES,
        tuple(map(list, SHAPES)),
        [torch.Size(shape) for shape in SHAPES],
        [np.array(shape) for shape in SHAPES],
        [tuple(map(float, shape)) for shape in SHAPES],
        [*SHAPES[:3], 512, SHAPES[4]],
        [torch.tensor(shape) for shape in SHAPES],
        [tuple(map(np.int64, shape)) for shape in SHAPES],
    ],
)
def test_08_1_right_ways(accepted, answer):
    accepted("08.1", answer, "a difference in time costs one step")


@pytest.mark.parametrize(
    "place, shape, words",
    [
        (0, (5, 12, 64, 7, 7), r"membranes of layer 2: \[5, 12, 64, 7, 7\]: this has the batch first"),
        (0, (64, 7, 7), "where are time and batch"),
        (0, (12, 64, 7, 7), "where is the batch"),
        (0, (12, 5, 3136), "keep the shape"),
        (0, (12, 5, 64, 14, 14), "before the pooling"),
        (0, (12, 5, 32, 14, 14), "this is layer 1"),
        (0, (12.7, 5, 64, 7, 7), "membranes of layer 2 should be a whole number, got 12.7"),
        (0, (True, 5, 64, 7, 7), "got bool"),
        (1, (12, 5, 32, 14, 14), "the first step has none"),
        (1, (5, 32, 14, 14), "one for each pair of neighbouring steps"),
        (2, (12, 5, 512), "a rate is a mean over time"),
        (2, (12, 512), "not over the digits"),
        (2, (512,), "One rate for each digit"),
        (2, (512, 5), "the digits come before"),
        (3, (12, 512), "time is gone"),
        (3, (5, 512), "of one digit"),
        (3, (12,), "not steps"),
        (4, (5, 10), "votes at the end"),
        (4, (12, 5), "its own count"),
        (4, (12, 10), "where is the batch"),
        (4, (5, 12, 10), "time is the first axis"),
        (4, (10,), "that is not the shape of it"),
        (4, "12, 5, 10", "wanted a tuple of whole numbers, got text"),
    ],
)
def test_08_1_wrong_ways(refused, place, shape, words):
    refused("08.1", [*SHAPES[:place], shape, *SHAPES[place + 1 :]], words)


@pytest.mark.parametrize("answer", [SHAPES[:4], [*SHAPES, (1,)], 60, "abcde", dict(enumerate(SHAPES)), set(SHAPES)])
def test_08_1_wants_five_shapes(refused, answer):
    refused("08.1", answer, "wanted five tuples")


def of_beta(function):
    def answer(membrane, dt):
        peak = membrane.abs().argmax()
        return function((membrane[peak + 1] / membrane[peak]).item(), dt)

    return answer


def by_two_values(membrane, dt):
    for now, later in pairwise(membrane.tolist()):
        if now != 0:
            return -dt / math.log(later / now)


def by_a_line(membrane, dt):
    """The slope of the logarithm, through all that is not 0."""
    U = np.log(np.abs(membrane.numpy()[membrane.numpy() != 0].astype(np.float64)))
    return -dt / np.polyfit(np.arange(len(U)), U, 1)[0]


def by_the_last(membrane, dt):
    return -dt / torch.log(membrane[-1] / membrane[-2])


def by_the_area(membrane, dt):
    """All that follows the input is the input over 1 - beta, less what is still to come."""
    U = membrane.double()[membrane.abs().argmax() :]
    return -dt / torch.log(U[1:].sum() / U[:-1].sum())


@pytest.mark.parametrize(
    "answer",
    [
        of_beta(lambda beta, dt: -dt / math.log(beta)),
        by_two_values,
        by_a_line,
        by_the_last,
        by_the_area,
        lambda membrane, dt: np.float32(by_two_values(membrane, dt)),
        lambda membrane, dt: by_the_last(membrane, dt)[None],
    ],
)
def test_08_2_right_ways(accepted, answer):
    accepted("08.2", answer, "two neighbouring values give tau")


@pytest.mark.parametrize(
    "answer, words",
    [
        (of_beta(lambda beta, dt: beta), "this is beta"),
        (of_beta(lambda beta, dt: -1 / math.log(beta)), "tau in steps"),
        (of_beta(lambda beta, dt: dt / math.log(beta)), "this is negative"),
        (of_beta(lambda beta, dt: dt / (1 - beta)), "Euler's tau"),
        (of_beta(lambda beta, dt: -dt / math.log10(beta)), "base 10"),
        (of_beta(lambda beta, dt: -dt / math.log2(beta)), "half-life, or a logarithm to base 2"),
        (of_beta(lambda beta, dt: -dt / math.log(beta) * math.log(2)), "half-life"),
        (of_beta(lambda beta, dt: -math.log(beta) / dt), "this is 1 / tau"),
        (of_beta(lambda beta, dt: -dt / math.log(beta**2)), "two steps lie between"),
        (of_beta(lambda beta, dt: -1.05 * dt / math.log(beta)), "too large"),
        (lambda U, dt: (U.abs() > U.abs().max() / math.e).sum() * dt, "a whole number of steps"),
        (lambda U, dt: -dt / torch.log(U[1] / U[0]), "your tau is NaN"),
        (lambda U, dt: -dt / torch.log(U[U.argmax() + 1] / U.max()), "input of -0.7"),
        (lambda U, dt: 5.0, "dt = 0.5 ms.* too small"),
        (lambda U, dt: U, "should be one number, got a tensor"),
        (lambda U, dt: -dt / math.log(U[1]), "your function raised ValueError"),
        (lambda U: U, r"should take 2 arguments: \(membrane, dt\)"),
    ],
)
def test_08_2_wrong_ways(refused, answer, words):
    refused("08.2", answer, words)


def longest_pause(spikes):
    pause = longest = torch.zeros(spikes.shape[1])
    for step in spikes:
        pause = (pause + 1) * (1 - step)
        longest = torch.maximum(longest, pause)
    return longest


def neuron_by_neuron(spikes):
    result = []
    for row in spikes.T.tolist():
        longest = count = 0
        for spike in row:
            count = 0 if spike else count + 1
            longest = max(longest, count)
        result.append(longest)
    return result


def in_text(spikes):
    rows = ("".join(str(int(s)) for s in row) for row in spikes.T)
    return torch.tensor([max(map(len, row.split("1"))) for row in rows])


def by_differences(spikes):
    edge = np.ones((1, spikes.shape[1]))
    rows = np.concatenate([edge, spikes.numpy(), edge]).T
    return np.array([np.diff(np.flatnonzero(row)).max() - 1 for row in rows])


def without_a_loop(spikes):
    t = torch.arange(1, len(spikes) + 1)[:, None]
    last = torch.cummax(t * spikes, 0).values
    return (t - last).amax(0)


def pause_in_place(spikes):
    for t in range(len(spikes)):
        before = spikes[t - 1] if t else 0
        spikes[t] = (before + 1) * (1 - spikes[t])
    return spikes.amax(0)


@pytest.mark.parametrize(
    "answer", [longest_pause, neuron_by_neuron, in_text, by_differences, without_a_loop, pause_in_place]
)
def test_08_3_right_ways(accepted, answer):
    accepted("08.3", answer, "the longest pause does")


def of_runs(function):
    """The answer that takes this of the pauses before the first spike, between each two, and after the last."""

    def answer(spikes):
        rows = ("".join(str(int(s)) for s in row) for row in spikes.T)
        return torch.tensor([float(function([len(part) for part in row.split("1")])) for row in rows])

    return answer


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda s: (1 - s).sum(0), "only those in a row"),
        (of_runs(lambda runs: max([0, *runs[1:-1]])), "before the first spike and after the last count as well"),
        (of_runs(lambda runs: max([0, *runs[:-1]])), "after the last spike counts as well"),
        (of_runs(lambda runs: max([0, *runs[1:]])), "before the first spike counts as well"),
        (of_runs(lambda runs: runs[0]), "the steps before the first spike"),
        (of_runs(lambda runs: runs[-1]), "the steps after the last spike"),
        (of_runs(min), "first differ at neuron"),
        (of_runs(lambda runs: sum(runs) / len(runs)), "first differ at neuron 0"),
        (lambda s: s.argmax(0), "the steps before the first spike; the longest pause may come later"),
        (lambda s: torch.where(s.any(0), s.argmax(0), len(s)), "the steps before the first spike"),
        (lambda s: longest_pause(s) + 1, "one too many"),
        (lambda s: longest_pause(s) - 1, "one too few"),
        (lambda s: longest_pause(s) * s.any(0), "a neuron that never fires pauses for all T steps, not for 0"),
        (lambda s: longest_pause(1 - s), "the longest runs of spikes"),
        (lambda s: longest_pause(s.amax(1, keepdim=True))[0], "one pause of the layer"),
        (lambda s: longest_pause(s.T), r"should have shape \[7\], got \[11\]"),
        (lambda s: torch.full((s.shape[1],), 5), "first differ at neuron"),
        (lambda s: s.sum(0), "first differ at neuron"),
        (lambda s: max(s), "your function raised RuntimeError"),
        (3, "wanted a function"),
    ],
)
def test_08_3_wrong_ways(refused, answer, words):
    refused("08.3", answer, words)


def currents(record, beta):
    left = beta * record.membrane * (1 - record.spikes)
    return torch.cat([record.membrane[:1], record.membrane[1:] - left[:-1]])


def current_by_current(record, beta):
    S, U = record
    found = [U[0]]
    for t in range(1, len(U)):
        found.append(U[t] - beta * torch.where(S[t - 1] > 0, 0, U[t - 1]))
    return torch.stack(found)


def currents_in_numpy(record, beta):
    U, S = record.membrane.numpy().astype(float), record.spikes.numpy()
    U[1:] -= beta * np.where(S[:-1] == 1, 0, U[:-1].copy())
    return U


def currents_in_place(record, beta):
    left = record.membrane.clone()
    left[record.spikes == 1] = 0
    record.membrane[1:] -= beta * left[:-1]
    return record.membrane


def by_stepping(record, beta):
    """What the neuron would have without a current, taken off what it has."""
    before, found = None, []
    for S, U in zip(*record, strict=True):
        alone = torch.zeros_like(U) if before is None else beta * before
        found.append((U - alone).tolist())
        before = U * (S == 0)
    return found


@pytest.mark.parametrize(
    "answer",
    [
        currents,
        current_by_current,
        currents_in_numpy,
        currents_in_place,
        by_stepping,
        lambda record, beta: currents(neurons.Record(*(part.double() for part in record)), beta),
    ],
)
def test_08_4_right_ways(accepted, answer):
    accepted("08.4", answer, "if you know how they were reset")


def less(left):
    """The answer that takes this off each membrane, one step later."""

    def answer(record, beta):
        off = left(record.membrane, record.spikes, beta)
        return torch.cat([record.membrane[:1], record.membrane[1:] - off[:-1]])

    return answer


@pytest.mark.parametrize(
    "answer, words",
    [
        (less(lambda U, S, beta: beta * U - S), "as after a reset by subtraction"),
        (less(lambda U, S, beta: beta * (U - S)), "a spike leaves what is above the threshold here"),
        (less(lambda U, S, beta: beta * U), "as if there was none"),
        (less(lambda U, S, beta: U * (1 - S)), "the leak is missing"),
        (less(lambda U, S, beta: beta * U * S), "the currents for beta = 0.9 first differs at step 1"),
        (lambda r, beta: currents(r, beta)[1:], "the first current is missing"),
        (lambda r, beta: torch.cat([0 * r[1][:1], currents(r, beta)[1:]]), "the first current is not 0"),
        (lambda r, beta: r.membrane - (beta * r.membrane * (1 - r.spikes)).roll(1, 0), "wrapped around"),
        (
            lambda r, beta: r.membrane - beta * r.membrane.roll(1, 0) * (1 - r.spikes),
            "first differs|of the step itself",
        ),
        (
            lambda r, beta: torch.cat([r[1][:1] * (1 - r[0][:1]), r[1][1:] - beta * r[1][:-1] * (1 - r[0][1:])]),
            "the spikes of the step itself",
        ),
        (lambda r, beta: r.membrane, "these are the membranes"),
        (lambda r, beta: beta * r.membrane * (1 - r.spikes), "this is what is left"),
        (lambda r, beta: -currents(r, beta), "the sign is the other way round"),
        (lambda r, beta: currents(r, beta).flip(0), "first differs at step 0"),
        (lambda r, beta: currents(r, beta).T, "Is time the first axis"),
        (lambda r, beta: currents(r, 0.9), "beta = 0.5"),
        (lambda r, beta: torch.full_like(r.membrane, 0.45), "first differs at step 0"),
        (lambda r, beta: currents(r.membrane, beta), "your function raised AttributeError"),
        (lambda record: record.membrane, r"should take 2 arguments: \(record, beta\)"),
    ],
)
def test_08_4_wrong_ways(refused, answer, words):
    refused("08.4", answer, words)


STRANGERS = [list(ward.sicknesses(number)) for number in range(1001, 1005)]


def test_the_four_strangers_of_exercise_08_5_are_six_of_the_seven():
    assert sorted(map(len, STRANGERS)) == [1, 1, 2, 2] and len({name for names in STRANGERS for name in names}) == 6


@pytest.mark.parametrize(
    "answer",
    [
        STRANGERS,
        tuple(map(tuple, STRANGERS)),
        [names if len(names) > 1 else names[0] for names in STRANGERS],
        [{f" {name} ".upper() for name in names} for names in STRANGERS],
        [names[::-1] for names in STRANGERS],
    ],
)
def test_08_5_right_ways(accepted, answer):
    accepted("08.5", answer, "all four, and the hidden two")


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("name", clinic.SICKNESSES)
def test_08_5_wrong_ways(refused, place, name):
    if name not in STRANGERS[place]:
        for wrong in ([name], [*STRANGERS[place], name]):
            answer = [*STRANGERS[:place], wrong, *STRANGERS[place + 1 :]]
            refused("08.5", answer, f"^stranger {1001 + place}: not {name}: ")


@pytest.mark.parametrize("place", range(4))
def test_08_5_half_of_two_is_not_all(refused, place):
    for name in STRANGERS[place] if len(STRANGERS[place]) == 2 else ():
        answer = [*STRANGERS[:place], name, *STRANGERS[place + 1 :]]
        refused("08.5", answer, f"^stranger {1001 + place}: that is right, but not all")


@pytest.mark.parametrize(
    "answer, words",
    [
        (["flu"] * 4, "stranger 1001: 'flu' is none of the seven"),
        (STRANGERS[:3], "wanted a list of four"),
        ([1, 2, 3, 4], "stranger 1001: wanted .* got int"),
        ("slope 1000", "wanted a list of four.* got text"),
        ({"slope 1000"}, "wanted a list of four.* got set"),
        ([..., *STRANGERS[1:]], "stranger 1001: wanted .* got dots"),
        ([[], *STRANGERS[1:]], "stranger 1001: wanted"),
        ([[1], *STRANGERS[1:]], "stranger 1001: wanted"),
    ],
)
def test_08_5_wants_four_of_the_names(refused, answer, words):
    refused("08.5", answer, words)


@pytest.mark.parametrize("number", range(1001, 1005))
def test_what_is_said_against_a_diagnosis_is_true_of_every_stranger_it_is_said_to(number):
    """Each reason names a check; the check comes out as it says for all strangers that do not have that sickness."""
    has, found = ward.sicknesses(number), {}
    for examine in (ward.records, ward.twice, ward.grey, ward.perfect):
        found |= examine(ward.stranger(number))
    peaks = [float(peak) for peak in found["highest membranes"].split(", ")]
    assert ("no reset between batches" in has) == (found["same question twice"] == "two answers")
    assert ("negatives into Poisson" in has) == (found["a grey of 0.4 fires at"] == "0%")
    assert ("beta 1 with bias" in has) == (int(found["firing rates"].split("%")[0]) > 90)
    assert ("zero weights" in has) == (max(peaks) == 0)
    assert ("threshold 100" in has) == (max(peaks) > 0 and set(found["firing rates"]) <= set("0%, "))
    assert ("loss on the wrong axis" in has) == (float(found["loss of a perfect answer"]) > 0.1)


def test_a_number_is_always_the_same_stranger_and_all_cases_come():
    for number in 1, 17, 1003:
        weights = [next(ward.stranger(number).parameters()).flatten()[:7] for _ in range(2)]
        assert torch.equal(*weights)
    drawn = [ward.sicknesses(number) for number in range(1, 401)]
    assert set(drawn) == {*ward.CASES, *ward.PAIRS}
    assert len({tuple(ward.stranger(number).built["hidden"]) for number in range(1, 41)}) == len(ward.HIDDEN)


@pytest.mark.parametrize("pair", ward.PAIRS, ids=" and ".join)
def test_of_two_sicknesses_each_still_shows(pair):
    """What each does to the examinations by itself it does beside the other, and the healthy one shows nothing."""

    def found(*names):
        who = clinic.Patient(hidden=(60,), seed=3)
        for name in names:
            clinic.SICKNESSES[name].sick(who)
        return {**ward.twice(who), **ward.grey(who), **ward.perfect(who), **ward.records(who), **ward.gradients(who)}

    both, usual = found(*pair), found()
    for name in pair:
        alone = found(name)
        shows = {
            "no reset between batches": "same question twice",
            "negatives into Poisson": "a grey of 0.4 fires at",
            "loss on the wrong axis": "loss of a perfect answer",
            "beta 1 with bias": "firing rates",
            "threshold 100": "firing rates",
            "zero weights": "highest membranes",
        }.get(name)
        if shows:
            assert both[shows] == alone[shows] != usual[shows], name
        else:  # slope 1000: next to no gradient, though it fires
            shares = [float(share) for share in both["gradients, healthy = 1"].split(", ")]
            assert max(shares) < 0.05 and not both["firing rates"].startswith("0%")


def test_what_is_clearly_another_finding():
    for how, usual in ("2%, 0%", "3%, 0%"), ("1.54, 1.21", "1.51, 1.27"), ("0.6, 0.5", "1, 1"), ("same", "same"):
        assert not ward._other(how, usual)
    for how, usual in ("3%, 1%", "3%, 0%"), ("3e-06, 1", "1, 1"), ("2.30", "0.00"), ("0%", "40%"), ("two", "same"):
        assert ward._other(how, usual)


def test_a_patient_is_examined_with_its_own_encoder():
    """Half the pixels' worth of spikes goes in where numbers are lost: the records and the gradients show it."""
    for examine in ward.records, ward.gradients:
        seen = [examine(clinic.patient(name)) for name in (clinic.HEALTHY, "negatives into Poisson")]
        assert seen[0] != seen[1] and seen[1] == examine(clinic.patient("negatives into Poisson"))
    who, drawn = clinic.patient(), []
    who.encode = lambda images: drawn.append(1) or encoding.poisson(images, clinic.STEPS)
    assert ward.twice(who) == {"same question twice": "same answer"} and len(drawn) == 1


@torch.no_grad()
def test_a_patient_that_is_healed_forgets_what_it_kept():
    who, x = clinic.patient("no reset between batches"), spikes()
    first = who(x)[-1].membrane
    assert not torch.equal(first, who(x)[-1].membrane)
    clinic.SICKNESSES["no reset between batches"].heal(who)
    assert torch.equal(first, who(x)[-1].membrane)


def test_names_of_the_notebook_are_not_overwritten_where_a_cell_is_run_again():
    """A name that a cell reads and an earlier one has made is not made anew by a later one."""
    cells = [ast.parse(cell.source) for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    made = [module_names(tree) for tree in cells]
    for place, tree in enumerate(cells):
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        for name in (read - own) & set().union(*made[:place]):
            assert not any(name in later for later in made[place + 1 :]), name


def module_names(tree):
    """The names that a cell makes: assigned, imported, defined; not those inside functions and comprehensions."""
    found, left = set(), [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            left += ast.iter_child_nodes(node)
    return found


def test_a_game_is_scored_by_examinations_used():
    game = widgets.clinic_game()
    number = next(n for n in range(2, 99) if len(ward.sicknesses(n)) == 1)
    game.controls["number"].value = number
    (name,) = ward.sicknesses(number)
    game.press("records")
    game.press("records")  # known already
    game.press("gradients")
    assert game.case.points == 2 and "2 points so far" in game.headline.value and "firing rates" in game.notes.value
    game.controls["first"].value = next(other for other in clinic.SICKNESSES if other != name)
    game.press("that is it")
    assert game.case.points == 4 and "No, that is not it" in game.headline.value
    game.controls["first"].value = name
    assert name in game.headline.value and "4 points so far" in game.headline.value
    game.press("that is it")
    assert f"Right: {name}, for 4 points" in game.headline.value and game.record == {number: 4}
    game.press("a perfect answer")
    game.press("that is it")
    assert game.record == {number: 4} and game.case.points == 4
    game.controls["number"].value = 3
    assert "0 points so far" in game.headline.value and game.notes.value.count("Not examined") == 1
    game.press("show me")
    assert " and ".join(ward.sicknesses(3)) in game.headline.value
    game.controls["first"].value, game.controls["second"].value = (*ward.sicknesses(3), ward.NONE)[:2]
    game.press("that is it")
    assert game.record == {number: 4}


def test_two_at_once_are_found_in_either_order():
    number = next(n for n in range(1, 99) if len(ward.sicknesses(n)) == 2)
    case = ward.Case(number)
    assert not case.say(ward.sicknesses(number)[:1]) and case.points == ward.WRONG
    assert case.say(ward.sicknesses(number)[::-1]) and case.over


def test_the_table_of_the_game_marks_what_is_not_as_in_the_healthy_one():
    figure = widgets.clinic_game().strip()
    (ax,) = figure.axes
    assert len(ax.texts) == 8 * 7 and len(ax.collections) == 19
    assert plots.png(figure) == plots.png(widgets.clinic_game().strip())
