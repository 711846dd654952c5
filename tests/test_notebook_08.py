"""Notebook 08: the patients of the clinic, its explorer, and typical wrong answers refused for the right reason."""

import math
import re
from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F

from snn_helpers import data, encoding, neurons, plots, surrogates, training, widgets
from snn_helpers.widgets import clinic

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
    with pytest.raises(ValueError, match="number must be 1, 2, 3 or 4, got 5"):
        clinic.stranger(5)


def test_every_position_of_the_controls_draws(drive):
    drive(widgets.clinic_explorer())


@pytest.mark.parametrize("name", NAMES)
def test_the_headline_is_the_first_finding_and_the_bars_are_the_rates(name):
    panel = widgets.clinic_explorer()
    panel.controls["name"].value = name
    who = clinic.patient(name)
    clinic.treat(who)
    records, loss, _ = clinic.examine(who, DIGITS.images[: clinic.BATCH], DIGITS.labels[: clinic.BATCH])
    assert training.diagnose(records, loss)[0] in panel.headline.value
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


SHAPES = [(12, 5, 32, 14, 14), (12, 5, 64, 7, 7), (12, 5, 512), (12, 5, 10)]


@pytest.mark.parametrize(
    "layer, shape, words",
    [
        (0, (5, 12, 32, 14, 14), r"layer 1: \[5, 12, 32, 14, 14\]: this has the batch first"),
        (1, (64, 7, 7), "layer 2: .* where are time and batch"),
        (2, (12, 512), "where is the batch"),
        (3, (5, 10), "where is time"),
        (1, (12, 5, 3136), "keep the shape"),
        (0, (12, 5, 32, 28, 28), "before the pooling"),
        (1, (12, 5, 64, 14, 14), "before the pooling"),
        (2, (12, 5, 3136), "not what this layer"),
    ],
)
def test_08_1_shapes(refused, layer, shape, words):
    refused("08.1", [*SHAPES[:layer], shape, *SHAPES[layer + 1 :]], words)


@pytest.mark.parametrize("answer", [SHAPES[:3], [*SHAPES, (1,)], [1, 2, 3, 4], 60, ["ab", "cd", "ef", "gh"]])
def test_08_1_wants_four_shapes(refused, answer):
    refused("08.1", answer, "wanted four tuples")


def of_beta(function):
    def answer(membrane, dt):
        peak = membrane.abs().argmax()
        return function((membrane[peak + 1] / membrane[peak]).item(), dt)

    return answer


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
        (of_beta(lambda beta, dt: -1.05 * dt / math.log(beta)), "too large"),
        (lambda membrane, dt: -dt / torch.log(membrane[1] / membrane[0]), "NaN|too"),
        (lambda membrane, dt: -dt / torch.log(membrane[membrane.argmax() + 1] / membrane.max()), "input of -0.7"),
        (lambda membrane, dt: membrane, "should be one number"),
    ],
)
def test_08_2_tau(refused, answer, words):
    refused("08.2", answer, words)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda s: s.argmax(0), "argmax of a row of zeros is 0"),
        (lambda s: torch.where(s.any(0), s.argmax(0), len(s) - 1), "the last step, 6; wanted is T"),
        (lambda s: torch.where(s.any(0), s.argmax(0), -1), "are given -1"),
        (lambda s: torch.where(s.any(0), len(s) - 1 - s.flip(0).argmax(0), len(s)), "the last spike"),
        (lambda s: torch.where(s.any(0), s.argmax(0) + 1, len(s)), "counted from 0"),
        (lambda s: s.sum(0), "the number of spikes"),
        (lambda s: s.argmax(1), "should have shape"),
        (lambda s: torch.where(s.any(0), s.argmax(0), math.nan), "first spikes first differs"),
    ],
)
def test_08_3_first_spikes(refused, answer, words):
    refused("08.3", answer, words)


def search(test, start=1, order=1):
    def answer(records):
        for number, record in list(enumerate(records, start))[::order]:
            if test(record.spikes):
                return number
        return 0

    return answer


@pytest.mark.parametrize(
    "answer, words",
    [
        (search(lambda s: not s.any(), start=0), "counted from 1"),
        (search(lambda s: not s.any(), order=-1), "the last silent layer"),
        (search(lambda s: not s[:, 0].any()), "silent for the first digit"),
        (search(lambda s: s.mean() < 0.01), "fires seldom"),
        (lambda records: min(range(3), key=lambda n: records[n].spikes.mean()) + 1, "fires seldom"),
        (lambda records: len(records), "no layer is silent"),
        (lambda records: records, "should have shape|should be a tensor"),
        (3, "wanted a function"),
    ],
)
def test_08_4_silent_layer(refused, answer, words):
    refused("08.4", answer, words)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("name", clinic.SICKNESSES)
def test_08_5_strangers(refused, place, name):
    if name != clinic.STRANGERS[place]:
        answer = [*clinic.STRANGERS[:place], name, *clinic.STRANGERS[place + 1 :]]
        refused("08.5", answer, f"^stranger {place + 1}: (?!.*none of the seven)")


@pytest.mark.parametrize("answer", [["flu"] * 4, clinic.STRANGERS[:3], [1, 2, 3, 4], "slope 1000"])
def test_08_5_wants_four_of_the_names(refused, answer):
    refused("08.5", answer, "none of the seven|wanted a list of four names")


@torch.no_grad()
def test_what_is_said_against_a_diagnosis_is_true_of_every_stranger_it_is_said_to():
    """Each reason names a check; the check comes out as it says for all strangers that do not have that sickness."""
    x, label = spikes(64), DIGITS.labels[:64]
    perfect = F.one_hot(torch.arange(10), 10).float().expand(10, 10, 10)
    for number, name in enumerate(clinic.STRANGERS, 1):
        who = clinic.stranger(number)
        records = who(x)
        assert (name == "no reset between batches") != torch.equal(records[-1].spikes, who(x)[-1].spikes)
        assert (name == "beta 1 with bias") == (records[0].spikes.mean() > 0.9)
        assert records[0].spikes.any() and records[1].spikes.any()
        loss = who.loss(neurons.Record(perfect, perfect), torch.arange(10))
        assert (name == "loss on the wrong axis") == (loss > 0.1)
        assert who.encode(torch.full((1, 1, 28, 28), 0.4)).any()
        with torch.enable_grad():
            who = clinic.stranger(number)
            who.loss(who(x)[-1], label).backward()
        steep = who.net.layers[1].weight.grad.norm() < 0.01
        assert steep == (name == "slope 1000") or name == "beta 1 with bias"
