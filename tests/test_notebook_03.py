"""Notebook 03: typical wrong answers are refused for the right reason."""

import pytest
import torch

from snn_helpers import data, training
from snn_helpers.encoding import poisson
from snn_helpers.exercises import grade


@pytest.mark.parametrize(
    "answer, words",
    [
        (0.125, "sum of the squares; the loss is their mean"),
        (((3 - 1) ** 2 + 1) / 3, "squares of spike counts"),
        (0.5, "too large"),
        (-1, "too small"),
        ([0.04], "should be one number, got list"),
    ],
)
def test_03_1_loss_by_hand(refused, answer, words):
    refused("03.1", answer, words)


@pytest.mark.parametrize("answer, words", [(1, "1 is the sum"), (0, "0 would be a perfect score"), (0.01, "too small")])
def test_03_2_silent_loss(refused, answer, words):
    refused("03.2", answer, words)


def per_digit(counts):
    return ((counts == counts.max(-1, keepdim=True).values).sum(-1) > 1).int()


def anywhere(counts):
    return sum(len(row.unique()) < len(row) for row in counts)


@pytest.mark.parametrize(
    "answer, words",
    [
        (per_digit, "returns one value a digit"),
        (anywhere, "only a tie for first place"),
        (lambda counts: 53 - per_digit(counts).sum(), "number of ties among 53 digits .*: yours"),
        (lambda counts: counts[99], r"your function raised IndexError"),
        (7, "wanted a function, got int"),
    ],
)
def test_03_3_ties(refused, answer, words):
    refused("03.3", answer, words)


def outside(curve):
    return ((curve - curve[-1]).abs() > 0.005).nonzero().flatten()


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda curve: outside(curve)[-1].item() + 1, "is the index"),
        (lambda curve: ((curve - curve[-1]).abs() <= 0.005).nonzero()[0].item() + 1, "but it leaves again"),
        (lambda curve: len(curve), "number of steps for a curve of 31: yours 31"),
    ],
)
def test_03_4_enough_steps(refused, answer, words):
    refused("03.4", answer, words)


def judge(net, digits):
    return training.accuracy(net, digits, lambda images: poisson(images, 50))


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda net, digits: 100 * judge(net, digits), "looks like per cent"),
        (lambda net, digits: 1 - judge(net, digits), "the accuracy on 523 bundled digits"),
        (lambda net, digits: 0.1, "yours 0.1"),
        (lambda net: 1.0, "your function raised TypeError"),
    ],
)
def test_03_5_accuracy(refused, answer, words):
    refused("03.5", answer, words)


def test_03_5_says_which_digits_it_judged_on(monkeypatch):
    assert "MNIST's own test set is not on this machine" in grade("03.5", judge).reason
    digits = data.mnist(root="bundled")
    index = torch.arange(10_000) % 8000
    many = data.Digits(digits.images[index], digits.labels[index], "")
    find = data.mnist
    monkeypatch.setattr(data, "mnist", lambda train=True, root=None: many if root is None else find(train, root=root))
    assert "of all 10,000 test images" in grade("03.5", judge).reason


@pytest.mark.parametrize(
    "number, answer, words",
    [
        ("00.1", (0.8, 0.8187), "in the other order"),
        ("00.1", 0.8187, "wanted two numbers"),
        ("00.1", (0.9, 0.8), "the exact beta: 0.9 is too large"),
        ("00.2", 25, "25 is 50 times 0.5"),
        ("00.2", 101, "too large"),
    ],
)
def test_00(refused, number, answer, words):
    refused(number, answer, words)
