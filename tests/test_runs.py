"""runs: what is reported of a run, and that a recipe's settings reach the training."""

import dataclasses

import pytest
import torch

from snn_helpers import data, losses, recipes, training
from snn_helpers.runs import by_recipe, loop

RECIPE = dataclasses.replace(recipes.RECIPES["csnn"]["fast"], epochs=2, steps=2, test_every=None)
DIGITS = data.Digits(torch.randint(256, (9, 28, 28), dtype=torch.uint8), torch.arange(9), "")


@pytest.fixture
def fitted(monkeypatch):
    """What ``fit`` was called with, in place of a training whose second of three epochs was its best."""
    seen = {}

    def train(net, digits, recipe, **how):
        seen.update(how, net=net, digits=digits, recipe=recipe)
        return training.History(
            loss=[3.0, 1.0, 0.5, 0.25, 2.0, 4.0],
            test_accuracy=[0.5, 0.75, 0.25],
            test_step=[2, 4, 6],
            epoch_end=[2, 4, 6],
            seconds=[1.25, 2.25, 4.0],
        )

    monkeypatch.setattr(loop, "train", train)
    return seen


def test_the_last_epoch_is_reported_not_the_best(fitted):
    _, record = by_recipe.run(RECIPE, DIGITS, DIGITS, seed=3)
    assert record["test_accuracy"] == 0.25
    assert record["history"]["test_accuracy"] == [0.5, 0.75, 0.25]
    assert record["history"]["loss"] == [2, 0.375, 3] and record["train_seconds"] == 7.5
    assert record["history"]["seconds"] == [1.25, 2.25, 4.0]


def test_what_a_recipe_says_reaches_the_training(fitted):
    odd = dict(
        epochs=3,
        batch_size=7,
        lr=0.125,
        precision=torch.bfloat16,
        test_every=4,
        schedule=training.one_cycle,
        optimizer=torch.optim.SGD,
        augment=torch.neg,
        readout=losses.count_then_membrane,
        loss=losses.mse_rate_loss,
    )
    test = DIGITS.first(4)
    net, record = by_recipe.run(dataclasses.replace(RECIPE, **odd), DIGITS, test, seed=11)
    assert {name: getattr(fitted["recipe"], name) for name in odd} == odd
    assert fitted["seed"] == 11 and fitted["digits"] is DIGITS and fitted["test"] is test and fitted["net"] is net
    assert (record["seed"], record["epochs"], record["steps"]) == (11, 3, 2)
    assert (record["train_images"], record["test_images"]) == (9, 4)
    assert record["settings"]["batch_size"] == 7 and record["settings"]["lr"] == 0.125
    assert record["settings"]["precision"] == "bfloat16"


def test_the_first_weights_follow_from_the_seed(fitted):
    weights = [next(by_recipe.run(RECIPE, DIGITS, DIGITS, seed=seed)[0].parameters()) for seed in (3, 3, 4)]
    assert torch.equal(*weights[:2]) and not torch.equal(*weights[1:])


def test_an_interrupted_training_is_no_run(monkeypatch):
    monkeypatch.setattr(loop, "train", lambda *_, **__: training.History(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        by_recipe.run(RECIPE, DIGITS, DIGITS, seed=0)


def test_a_cnn_is_converted_as_its_recipe_says(monkeypatch):
    """Its scales come from the training digits, its spikes are judged on the test digits, after the last step."""
    cnn = recipes.RECIPES["cnn-to-snn"]["reference"]
    cnn = dataclasses.replace(cnn, epochs=1, convert=cnn.convert | {"steps": 5})
    train, test = data.mnist(root="bundled").first(1100), data.mnist(train=False, root="bundled").first(31)
    seen = {}
    plain = by_recipe.conversion.activation_scales

    def scales(cnn, images, percentile):
        seen.update(images=images, percentile=percentile)
        return plain(cnn, images, percentile)

    monkeypatch.setattr(by_recipe.conversion, "activation_scales", scales)
    net, record = by_recipe.run(cnn, train, test, seed=1, progress=False)
    assert torch.equal((seen["images"][:, 0] * 255).round().to(torch.uint8), train.images[:1000])
    assert seen["percentile"] == 100
    snn = by_recipe.spiking(net, train, cnn.convert)
    assert snn.v_init == 0
    again = by_recipe.conversion.simulate(snn, test, 5, cnn.convert["encode"], seed=1)
    assert record["accuracy_per_step"] == again.accuracy().tolist() and record["steps"] == 5
    assert record["test_accuracy"] == record["accuracy_per_step"][-1]
    assert record["cnn_accuracy"] == record["history"]["test_accuracy"][-1]
    assert record["spikes_per_image"] == pytest.approx(again.spikes_per_image()[-1].tolist(), abs=0.01)
