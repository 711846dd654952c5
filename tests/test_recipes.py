"""The recorded runs: they say what they are, reach what is promised, and their recipes run and follow their seed."""

import dataclasses
import functools
import re
from pathlib import Path

import nbformat
import pytest
import torch

from snn_helpers import assets, data, networks, recipes, training, weights
from snn_helpers.runs import by_recipe

ROOT = Path(__file__).parents[1]
# what the mean of three seeds has to reach on all 10,000 test images
AT_LEAST = {
    ("single-layer", "reference"): 0.922,
    ("single-layer", "fast"): 0.922,
    ("hidden-layer", "reference"): 0.9634,
    ("hidden-layer", "fast"): 0.98,
    ("hidden-layer", "best"): 0.984,
    ("csnn", "reference"): 0.9741,
    ("csnn", "fast"): 0.988,
    ("csnn", "best"): 0.994,
    ("cnn-to-snn", "reference"): 0.985,
    ("cnn-to-snn", "fast"): 0.99,
    ("cnn-to-snn", "best"): 0.995,
}
ALL = [(system, name) for system, table in recipes.RECIPES.items() for name in table]


def test_every_recipe_has_a_bar():
    assert set(ALL) == set(AT_LEAST)


@pytest.mark.parametrize("system, name", ALL)
def test_recorded_runs_say_what_they_are(system, name):
    recipe, found = recipes.RECIPES[system][name], weights.recorded(system, name)
    assert [run["seed"] for run in found] == [0, 1, 2]
    for run in found:
        assert (run["system"], run["recipe"]) == (system, name)
        assert (run["train_images"], run["test_images"]) == (60_000, 10_000)
        assert run["epochs"] == recipe.epochs == len(run["history"]["loss"])
        assert run["steps"] == recipe.convert.get("steps", recipe.steps)
        assert {"train_seconds", "versions", "processor"} <= set(run)
        last = run["cnn_accuracy"] if recipe.convert else run["test_accuracy"]
        assert last == run["history"]["test_accuracy"][-1]
    assert len({run["history"]["loss"][-1] for run in found}) == 3, "three seeds, three runs"


@pytest.mark.parametrize("system, name", ALL)
def test_a_recipe_still_has_the_settings_that_its_runs_were_recorded_with(system, name):
    recipe = recipes.RECIPES[system][name]
    for run in weights.recorded(system, name):
        precision = getattr(torch, run["settings"]["precision"])
        assert precision in ((recipe.precision,) if recipe.precision else (torch.bfloat16, torch.float32))
        now = by_recipe.settings(dataclasses.replace(recipe, precision=precision), "cpu")
        assert run["settings"] == now
        if recipe.convert:
            encode = by_recipe._words(recipe.convert["encode"])
            assert run["conversion"] == recipe.convert | {"encode": encode, "images": by_recipe.IMAGES}


def test_the_settings_name_each_function_with_what_it_is_given():
    best = by_recipe.settings(recipes.RECIPES["csnn"]["best"], "cpu")
    assert (
        best["augment"] == "random_affine(turn=12, zoom=0.11, shift=2, bend=0.5)"
        and best["readout"] == "count_then_membrane"
    )
    published = by_recipe.settings(recipes.RECIPES["cnn-to-snn"]["reference"], "cpu")
    assert (published["encode"], published["optimizer"]) == ("without_time", "SGD(momentum=0.5)")
    assert "augment" not in published and "schedule" not in published
    ours = dict(loss=torch.nn.CrossEntropyLoss(), optimizer=functools.partial(torch.optim.Adam, betas=(0.8, 0.9)))
    settings = by_recipe.settings(dataclasses.replace(recipes.RECIPES["csnn"]["fast"], **ours), "cpu")
    assert (settings["loss"], settings["optimizer"]) == ("CrossEntropyLoss()", "Adam(betas=(0.8, 0.9))")


@pytest.mark.parametrize("system, name", ALL)
def test_recorded_runs_reach_what_is_promised(system, name):
    accuracies = [run["test_accuracy"] for run in weights.recorded(system, name)]
    assert sum(accuracies) / 3 >= AT_LEAST[system, name]


def test_the_short_recipes_are_short():
    assert recipes.RECIPES["csnn"]["fast"].epochs == 1 and recipes.RECIPES["csnn"]["fast"].steps <= 25
    assert recipes.RECIPES["cnn-to-snn"]["fast"].convert["steps"] <= 10


@pytest.mark.parametrize("name, points", [("reference", 0.005), ("fast", 0.001), ("best", 0.0005)])
def test_the_converted_network_is_close_to_its_cnn(name, points):
    found = weights.recorded("cnn-to-snn", name)
    gaps = [run["cnn_accuracy"] - run["test_accuracy"] for run in found]
    assert sum(gaps) / 3 <= points
    if name == "best":
        assert sum(run["accuracy_per_step"][3] - run["test_accuracy"] for run in found) / 3 >= -0.002
    for run in found:
        assert len(run["accuracy_per_step"]) == run["steps"] and run["accuracy_per_step"][-1] == run["test_accuracy"]
        assert len(run["spikes_per_image"]) == 3


def some(count, train=True):
    digits = data.mnist(train, root="bundled")
    return data.Digits(digits.images[:count], digits.labels[:count], "")


def short(system, name):
    return dataclasses.replace(
        recipes.RECIPES[system][name], epochs=1, steps=min(5, recipes.RECIPES[system][name].steps)
    )


@pytest.mark.parametrize("system, name", ALL)
def test_a_recipe_runs_and_follows_its_seed(system, name):
    results = [
        by_recipe.run(short(system, name), some(130), some(53, train=False), seed=seed, progress=False)
        for seed in (5, 5, 6)
    ]
    first, again, other = (next(net.parameters()).detach() for net, _ in results)
    assert torch.equal(first, again) and not torch.equal(first, other)
    record = results[0][1]
    assert record["seed"] == 5 and record["test_images"] == 53
    assert record["history"]["loss"] == results[1][1]["history"]["loss"]


def test_missing_results_say_how_to_get_them():
    with pytest.raises(
        FileNotFoundError, match=r"has no runs of nothing-fast, only of .*cnn-to-snn-fast.*python -m snn_helpers train"
    ):
        weights.recorded("nothing", "fast")


@pytest.mark.parametrize("system, name", [run for run in ALL if "{}-{}.safetensors".format(*run) in assets.SHA256])
def test_trained_networks_read_the_bundled_digits(system, name):
    recipe, net = recipes.RECIPES[system][name], weights.trained(system, name)
    assert training.accuracy(net, some(500, train=False), recipe.input) > 0.9


def test_weights_of_another_network_or_a_damaged_file_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(networks.single_layer(), path, {"seed": 3})
    with pytest.raises(ValueError, match=r"w.safetensors is of another network: it holds .*\[10, 784\].*wanted"):
        weights.load(networks.hidden_layer(), path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"w.safetensors is damaged, or no safetensors file"):
        weights.load(networks.single_layer(), path)
    with pytest.raises(FileNotFoundError):
        weights.load(networks.single_layer(), tmp_path / "none")


def test_weights_can_be_stored_in_half_the_room(tmp_path):
    net, again = networks.csnn(), networks.csnn()
    weights.save(net, tmp_path / "w.safetensors", {}, dtype=torch.float16)
    assert (tmp_path / "w.safetensors").stat().st_size < 3.4e6
    weight = weights.load(again, tmp_path / "w.safetensors").layers[3].weight
    assert weight.dtype == torch.float32 and torch.equal(weight, net.layers[3].weight.half().float())
    assert again.layers[1][0].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_random_affine_moves_each_digit_its_own_way_within_its_bounds():
    torch.manual_seed(0)
    image = torch.zeros(1, 1, 28, 28)
    image[..., 13:15, 13:15] = 1  # a dot in the middle
    dots = data.random_affine(image.expand(101, 1, 28, 28), turn=0, zoom=0, shift=2)
    axis = torch.arange(28.0) - 13.5
    x, y = ((dots[:, 0].sum(1 + i) * axis).sum(-1) / dots.sum((1, 2, 3)) for i in range(2))
    assert x.abs().max() <= 2.01 and y.abs().max() <= 2.01 and x.std() > 0.8 and y.std() > 0.8
    torch.testing.assert_close(dots.sum((1, 2, 3)), torch.full((101,), 4.0))
    torch.testing.assert_close(data.random_affine(image, turn=0, zoom=0, shift=0), image, atol=1e-5, rtol=0)
    bar = torch.zeros(1, 1, 28, 28)
    bar[..., 13:15, 4:24] = 1
    turned = data.random_affine(bar.expand(101, 1, 28, 28), turn=10, zoom=0, shift=0)[:, 0]
    slope = (turned[:, :, 22] * axis[:, None].T).sum(-1) / turned[:, :, 22].sum(-1) / 8.5
    assert slope.abs().max() < 0.19 and slope.std() > 0.05  # tan 10 degrees is 0.176


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 9, 10, 11, 400])
def test_one_cycle_goes_up_and_down_however_short_the_run(steps):
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.5)
    rates = []
    training.one_cycle(optimizer, steps)
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
    assert rates[0] < 0.1 and (steps < 2 or max(rates) > 0.4) and (steps < 3 or rates[-1] < 0.01)


def test_a_run_says_which_precision_it_chose(monkeypatch):
    few = data.Digits(torch.randint(256, (8, 28, 28), dtype=torch.uint8), torch.arange(8), "")
    recipe = dataclasses.replace(recipes.RECIPES["csnn"]["fast"], epochs=1, steps=2, test_every=None)
    for chosen in torch.float32, torch.bfloat16:
        monkeypatch.setattr(by_recipe, "best_precision", lambda device, chosen=chosen: chosen)
        record = by_recipe.run(recipe, few, few, seed=0, progress=False)[1]
        assert record["settings"]["precision"] == str(chosen).removeprefix("torch.")


def words_of(notebook, cell):
    book = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", 4)
    return next(c.source for c in book.cells if c.id == cell)


def mean_of(system, name, step=-1):
    runs = weights.recorded(system, name)
    return sum(run["accuracy_per_step"][step] if step >= 0 else run["test_accuracy"] for run in runs) / len(runs)


def test_what_notebook_06_says_of_the_hidden_layers_best_run():
    said = words_of("06_convolutional_snn", "06-102")
    assert "past the convolutions by the published settings already by `fast`, after five epochs. Thirty" in said
    assert "add 0.4 points, and still leave it behind what the convolutions reach after one epoch by `fast`" in said
    assert "the convolutional network has also eight times as many weights" in said
    best, fast = recipes.RECIPES["hidden-layer"]["best"], recipes.RECIPES["csnn"]["fast"]
    assert (best.epochs, fast.epochs) == (30, 1) and best.augment.keywords["bend"]
    assert recipes.RECIPES["hidden-layer"]["fast"].epochs == 5
    assert mean_of("csnn", "reference") < mean_of("hidden-layer", "fast")
    assert round(mean_of("hidden-layer", "best") - mean_of("hidden-layer", "fast"), 3) == 0.004
    assert mean_of("hidden-layer", "best") < mean_of("csnn", "fast")
    large, small = (by_recipe.settings(recipe, "cpu")["parameters"] for recipe in (fast, best))
    assert round(large / small) == 8


def test_what_notebook_07_says_of_the_longer_runs():
    went_in, said = words_of("07_cnn_to_snn", "07-c18"), words_of("07_cnn_to_snn", "07-067")
    cnn, csnn = recipes.RECIPES["cnn-to-snn"], recipes.RECIPES["csnn"]
    assert (cnn["fast"].epochs, cnn["best"].epochs, csnn["best"].epochs) == (12, 30, 22)
    assert "twelve times" in went_in and "22 epochs" in went_in and "trains for 30" in went_in and "22 epochs" in said
    sizes = [by_recipe.settings(table["fast"], "cpu")["parameters"] for table in (csnn, cnn)]
    assert "55 times as many weights" in went_in and round(sizes[0] / sizes[1]) == 55
    for key, value in cnn["fast"].augment.keywords.items():
        assert cnn["best"].augment.keywords[key] > value, "turned, scaled and moved further"
    assert csnn["best"].augment.keywords == cnn["best"].augment.keywords, "changed as those of the CNN's"
    assert (csnn["best"].steps, csnn["fast"].steps) == (3, 8) and "3 steps in place of 8" in said
    precisions = [{run["settings"]["precision"] for run in weights.recorded("csnn", n)} for n in ("best", "fast")]
    assert precisions == [{"float32"}, {"bfloat16"}] and "32 bits in training in place of 16" in said


def test_what_notebook_07_says_of_who_is_ahead():
    short, long = ([run["accuracy_per_step"] for run in weights.recorded("cnn-to-snn", n)] for n in ("fast", "best"))
    spiking = [run["test_accuracy"] for run in weights.recorded("csnn", "best")]
    assert min(spiking) > max(run[2] for run in short), "each of its three seeds is above each of the other's"
    assert min(spiking) < max(run[9] for run in short) and min(run[9] for run in short) < max(spiking), "they overlap"
    three = [run[2] for run in long]
    assert min(three) < max(spiking) and min(spiking) < max(three), "three seeds cannot decide"
    assert min(run[9] for run in long) > max(spiking), "at its ten, each is above each"
    assert len(long[0]) == 10
    book = nbformat.read(ROOT / "notebooks" / "06_convolutional_snn.ipynb", 4)
    printed = next(c.outputs[0].text for c in book.cells if c.id == "06-100b")
    now, then, lowest = (float(share) / 100 for share in re.findall(r"([\d.]+)%", printed))
    assert then == spiking[0] and now - lowest > spiking[0] - short[0][2], "a tie is worth more than the lead"
    own = weights.recorded("csnn", "fast")[0]["test_accuracy"]
    assert round(now - lowest, 3) == 0.002 and 0.4 < (now - lowest) / (spiking[0] - own) < 0.6, "0.2 points, half"
    spikes = [[sum(run["spikes_per_image"]) for run in weights.recorded("cnn-to-snn", n)] for n in ("fast", "best")]
    assert all(best < fast for fast, best in zip(*spikes, strict=True)), "in every seed fewer"


def test_what_the_readme_says_of_published_figures():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    published = {system: weights.published(system) for system in recipes.RECIPES}
    assert published["single-layer"]["of"] == "best of 100 test evaluations of one run"
    epochs = published["single-layer"]["epochs"], recipes.RECIPES["single-layer"]["reference"].epochs
    assert "best of 100 evaluations of one run of {} epochs (here {})".format(*epochs) in readme
    assert "9,984" in published["csnn"]["of"] and "`csnn` on 9,984 digits" in readme
    assert f"(an older text of it says {100 * published['csnn']['another_readme']['test_accuracy']:.2f} %)" in readme
    steps = [recipe.convert["steps"] for recipe in recipes.RECIPES["cnn-to-snn"].values()]
    assert "after conversion, in {}, {} and {} steps".format(*steps) in readme
