"""The command line: what a wrong call says, and that a failed run leaves nothing."""

import json

import numpy as np
import pytest

from snn_helpers import data, recipes
from snn_helpers.__main__ import main


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code not in (0, None)
    return f"{stop.value.code}\n{capsys.readouterr().err}"


def test_wrong_calls_say_what_was_wanted(capsys, tmp_path):
    assert "choose from" in fails(capsys, "train", "triple-layer")
    assert "--epochs must be at least 1, got 0" in fails(capsys, "train", "single-layer", "--epochs", "0")
    assert "only the bundled sample. Run: python -m snn_helpers download" in fails(
        capsys, "train", "single-layer", "--out", str(tmp_path)
    )
    message = fails(capsys, "train", "single-layer", "--data-dir", str(tmp_path / "none"), "--out", str(tmp_path))
    assert "found no such file" in message and "\n\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    for option in "--recipe", "--seed", "--epochs", "--data-dir", "--out", "--weights":
        assert option in text


def test_a_download_without_network_ends_in_one_line(capsys, monkeypatch):
    def offline():
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz\nlong\ntraceback")

    monkeypatch.setattr(data, "download", offline)
    message = fails(capsys, "download").strip()
    assert "\n" not in message and message.startswith(
        "download: wanted MNIST's four files, got: Error downloading train-images-idx3-ubyte.gz. Nothing was kept."
    )


@pytest.fixture
def mnist(monkeypatch):
    """A full MNIST in name: 10,000 test digits, 150 to learn from."""
    digits = data.mnist(root="bundled")
    few = data.Digits(digits.images[:150], digits.labels[:150], "few")
    index = np.arange(10_000) % 8000
    many = data.Digits(digits.images[index], digits.labels[index], "many")
    monkeypatch.setattr(data, "mnist", lambda train=True, root=None: few if train else many)


def test_a_run_writes_its_record_and_weights(mnist, capsys, tmp_path):
    main(
        [
            "train",
            "single-layer",
            "--recipe",
            "fast",
            "--seed",
            "3",
            "--epochs",
            "1",
            "--out",
            str(tmp_path),
            "--weights",
        ]
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "single-layer-fast-seed3.json",
        "single-layer-fast-seed3.safetensors",
    }
    record = json.loads((tmp_path / "single-layer-fast-seed3.json").read_text())
    assert (record["seed"], record["epochs"], record["test_images"]) == (3, 1, 10_000)
    assert f"{record['test_accuracy']:.2%} of 10,000 test digits after 1 epochs" in capsys.readouterr().out


def test_an_interrupted_run_writes_nothing(mnist, capsys, tmp_path, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes.training, "fit", stopped)
    assert "interrupted, nothing was written" in fails(capsys, "train", "single-layer", "--out", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
