"""The command line: what a wrong call says, what a run leaves, and that a killed run can go on."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from snn_helpers import data, encoding, networks, recipes, weights
from snn_helpers.__main__ import main
from snn_helpers.runs import checkpoints, loop, settings


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code not in (0, None)
    message = capsys.readouterr().err if isinstance(stop.value.code, int) else stop.value.code
    assert len(message.strip().splitlines()) == 1, message
    return message


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "triple-layer"], "invalid choice: 'triple-layer' .*'csnn'"),
        (["train", "csnn", "-T", "0"], "--steps/-T: must be a whole number of at least 1, got 0"),
        (["train", "csnn", "--lr", "-1"], "--lr: must be a number above 0, got -1"),
        (["train", "csnn", "--lr", "much"], "--lr: must be a number above 0, got much"),
        (["train", "csnn", "--epochs", "0.5"], "--epochs: must be a whole number"),
        (["train", "csnn", "--seed", str(2**70)], r"--seed: must be a whole number from 0 to 2\*\*32 - 1, got 118"),
        (["evaluate", "csnn", "--weights", "."], r"weights: wanted a .safetensors file, got the folder \.\. Name the"),
        (["convert", "--weights", "."], r"weights: wanted a .safetensors file, got the folder \."),
        (["train", "csnn", "--beta", "2"], r"--beta: must be in \[0, 1\], got 2"),
        (["train", "csnn", "--tau", "2", "--beta", "0.5"], "not allowed with"),
        (
            ["train", "single-layer", "--recipe", "best"],
            "single-layer has no recipe 'best'. There are: reference, fast",
        ),
        (["train", "cnn", "-T", "5"], "a cnn has no time while it is trained"),
        (["train", "single-layer", "--recipe", "reference", "--tau", "0.5"], "--tau must be at least 1 in this recipe"),
        (["train", "csnn", "--data-dir", "none"], "wanted train-images-idx3-ubyte .* in none, found no such file"),
        (
            ["evaluate", "single-layer", "--weights", "none.safetensors"],
            "No such file or directory: .*none.safetensors",
        ),
        (["evaluate", "cnn", "-T", "5"], "evaluate the converted cnn with: convert --steps"),
        (
            ["evaluate", "csnn", "--recipe", "reference"],
            "no weights of csnn's recipe 'reference', only of fast, best. Make them: .* train csnn --recipe reference",
        ),
        (["evaluate", "single-layer", "--recipe", "best"], "single-layer has no recipe 'best'. There are: reference, "),
        (["convert", "--spike-threshold", "2"], "--spike-threshold is for --input poisson"),
    ],
)
def test_a_wrong_call_ends_in_one_line_that_says_what_was_wanted(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    message = fails(capsys, *arguments)
    assert re.search(words, message), message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what the test says it has not")
def test_a_device_that_is_not_there_is_named(capsys, few, tmp_path):
    message = fails(capsys, "train", "csnn", "--device", "cuda", "--data-dir", few, "--out", tmp_path)
    assert "--device cuda: this machine, or this build of torch, has none" in message


@pytest.mark.parametrize("command", ["train", "evaluate", "convert"])
def test_help_explains_every_option(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    options = {
        "train": "--recipe --epochs --steps -T --batch-size -b --lr --tau --beta --threshold --loss --seed --device "
        "--data-dir --log-dir --out --resume",
        "evaluate": "--recipe --weights --steps --device --data-dir",
        "convert": "--weights --percentile --v-init --input --spike-threshold --steps --out",
    }
    for option in options[command].split():
        assert option in text
    assert text.count("default: ") >= 4


def test_a_download_without_network_ends_in_one_line(capsys, monkeypatch):
    def offline():
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz\nlong\ntraceback")

    monkeypatch.setattr(data, "download", offline)
    assert fails(capsys, "download").startswith(
        "download: wanted MNIST's four files, got: Error downloading train-images-idx3-ubyte.gz. Nothing was kept."
    )


def test_a_run_writes_its_record_its_arrays_and_its_weights(few, capsys, tmp_path):
    main(f"train single-layer --seed 3 --epochs 2 -T 7 --data-dir {few} --out {tmp_path}".split())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"training on digits from IDX files: 211 training digits in {few}"
    assert "of 97 test digits after 2 epochs on 211 training digits: " in lines[-1]
    record = json.loads((tmp_path / "single-layer-custom-211-seed3.json").read_text())
    assert (record["system"], record["recipe"], record["seed"], record["epochs"], record["steps"]) == (
        "single-layer",
        "custom",
        3,
        2,
        7,
    )
    folder = tmp_path / "single-layer-custom-211-seed3"
    assert {path.name for path in folder.iterdir()} == {
        "accuracy.png",
        "checkpoint.pt",
        "settings.json",
        "spikes.npy",
        "test_accuracy.npy",
        "train_accuracy.npy",
        "voltage.npy",
        "weights.safetensors",
    }
    for part in "train_accuracy", "test_accuracy":
        assert np.load(folder / f"{part}.npy").tolist() == record["history"][part] and len(record["history"][part]) == 2
    voltage, spikes = np.load(folder / "voltage.npy"), np.load(folder / "spikes.npy")
    assert voltage.shape == spikes.shape == (7, 10)
    assert np.array_equal(voltage > 1, spikes == 1)
    assert (folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")

    message = fails(capsys, "train", "single-layer", "--seed", 3, "--epochs", 2, "-T", 7, "--data-dir", few,
                    "--out", tmp_path)  # fmt: skip
    assert "holds the checkpoint of an earlier run. Go on from it with --resume" in message

    weights = folder / "weights.safetensors"
    message = fails(capsys, "evaluate", "hidden-layer", "--weights", weights, "--data-dir", few)
    assert f"{weights} is of another network" in message


def test_a_recipe_that_is_judged_on_the_way_says_so(few, capsys, tmp_path):
    main(f"train csnn --recipe reference -T 3 -b 4 --tau 2 --data-dir {few} --out {tmp_path}".split())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("iteration")]
    assert [line.split(":")[0] for line in lines] == ["iteration 0", "iteration 50", "iteration 52"]
    assert all("loss 2.30" in line and "test accuracy" in line for line in lines), "silent: ln 10"
    assert ["train accuracy" in line for line in lines] == [False, False, True]
    record = json.loads((tmp_path / "csnn-custom-211-seed0.json").read_text())
    assert record["history"]["test_step"] == [1, 51, 53] and len(record["history"]["batch_loss"]) == 53
    assert "beta=0.60653" in record["settings"]["layer"]


@pytest.mark.extra("tensorboard")
def test_a_run_is_logged_for_tensorboard(few, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = tmp_path / "log"
    short = "train single-layer -T 2 -b 20 --epochs 2"
    main(f"{short} --data-dir {few} --out {tmp_path} --log-dir {log}".split())
    record = json.loads((tmp_path / "single-layer-custom-211-seed0.json").read_text())["history"]
    events = EventAccumulator(str(log))
    events.Reload()
    assert len(events.Scalars("loss/train")) == 22
    for part in "train", "test":
        logged = events.Scalars(f"accuracy/{part}")
        assert [event.step for event in logged] == [11, 22]
        assert [event.value for event in logged] == pytest.approx(record[f"{part}_accuracy"])


def test_without_tensorboard_a_log_is_refused_before_the_training(few, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # to import it is an ImportError
    message = fails(
        capsys, "train", "single-layer", "--data-dir", few, "--out", tmp_path, "--log-dir", tmp_path / "log"
    )
    assert message == "train: --log-dir wants TensorBoard. Install it: pip install tensorboard"
    assert list(tmp_path.iterdir()) == []


def test_a_cnn_is_trained_converted_and_converted_again(few, capsys, tmp_path):
    main(f"train cnn --recipe reference --epochs 2 --data-dir {few} --out {tmp_path}".split())
    record = json.loads((tmp_path / "cnn-to-snn-custom-211-seed0.json").read_text())
    assert len(record["accuracy_per_step"]) == 40 and record["test_accuracy"] == record["accuracy_per_step"][-1]
    weights = tmp_path / "cnn-to-snn-custom-211-seed0" / "weights.safetensors"
    again = f"--weights {weights} --data-dir {few} --out {tmp_path}"
    main(f"convert {again} --percentile 100 --v-init 0 --input poisson --spike-threshold 2.5 -T 40".split())
    result = json.loads((tmp_path / "cnn-to-snn.json").read_text())
    assert result["accuracy_per_step"] == record["accuracy_per_step"]
    assert result["cnn_accuracy"] == record["cnn_accuracy"]
    confusion = np.load(tmp_path / "cnn-to-snn-confusion.npy")
    assert confusion.shape == (40, 10, 10) and (confusion.sum((1, 2)) == 97).all()
    assert "the CNN itself" in capsys.readouterr().out


SLOW = "train single-layer --recipe reference --epochs 40 -T 60 -b 20"


def start(few, out, *more):
    command = [sys.executable, "-m", "snn_helpers", *SLOW.split(), "--data-dir", few, "--out", out, *more]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_killed_and_resumed_ends_with_the_weights_of_one_that_was_not(few, tmp_path):
    name = "single-layer-custom-211-seed0"
    whole = start(few, tmp_path / "whole")
    killed = start(few, tmp_path / "killed")
    checkpoint = tmp_path / "killed" / name / "checkpoint.pt"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL, "it was over before it could be killed"
    assert torch.load(checkpoint, weights_only=True)["state"]["history"]["epoch_end"][-1] < 40 * 11
    out, err = start(few, tmp_path / "killed", "--resume").communicate()
    assert "of 97 test digits after 40 epochs" in out, err
    assert whole.wait() == 0, whole.communicate()
    files = [(tmp_path / part / name / "weights.safetensors").read_bytes() for part in ("whole", "killed")]
    records = [json.loads((tmp_path / part / f"{name}.json").read_text()) for part in ("whole", "killed")]
    assert files[0] and files[0] == files[1]  # header and all
    assert records[0]["history"]["loss"] == records[1]["history"]["loss"]
    whole.communicate()


@pytest.mark.parametrize(
    "system, how",
    [
        ("single-layer", "--recipe reference --tau 5 -T 7 -b 20 --lr 0.01"),
        ("hidden-layer", "--beta 0.5 --threshold 0.6 -T 5 --seed 2 -b 20"),
        ("csnn", "--recipe best -T 4 --threshold 0.7 -b 5"),
    ],
)
def test_evaluate_reads_from_the_file_how_it_was_trained(few, capsys, tmp_path, system, how):
    main(f"train {system} {how} --epochs 1 --data-dir {few} --out {tmp_path}".split())
    [path] = tmp_path.glob("*.json")
    trained, weights = json.loads(path.read_text()), path.with_suffix("") / "weights.safetensors"
    assert trained["test_accuracy"] > 0.3
    capsys.readouterr()
    main(f"evaluate {system} --weights {weights} --data-dir {few}".split())
    assert capsys.readouterr().out == f"{trained['test_accuracy']:.2%} of 97 test digits\n"
    main(f"evaluate {system} --weights {weights} --data-dir {few} -T 2".split())
    assert capsys.readouterr().out.startswith(f"evaluated in 2 steps, trained in {trained['steps']}\n")
    other = "fast" if "--recipe" in how else "reference"
    message = fails(capsys, "evaluate", system, "--weights", weights, "--recipe", other, "--data-dir", few)
    assert f"was trained by recipe {trained['based_on']}, wanted {other}. Leave out --recipe" in message


def test_of_a_file_that_says_nothing_evaluate_says_what_it_takes_it_for(few, capsys, tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(networks.single_layer(), path, {})
    main(f"evaluate single-layer --weights {path} --data-dir {few}".split())
    said = "does not say how it was trained. Taken to be of recipe fast: beta=0.5, threshold=1.0, reset=zero"
    assert said in capsys.readouterr().out
    main(f"evaluate single-layer --recipe reference --weights {path} --data-dir {few}".split())
    assert re.search(r"Taken to be of recipe reference: .* 100 steps", capsys.readouterr().out)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"settings": {"layer": "beta=0.7"}}, "was trained with beta=0.7 in 50 steps, but recipe fast has beta=0.5"),
        ({"steps": 49}, "in 49 steps, but recipe fast has .* in 50"),
    ],
)
def test_a_file_that_says_other_than_its_recipe_is_refused(few, capsys, tmp_path, wrong, words):
    path = tmp_path / "w.safetensors"
    weights.save(networks.single_layer(), path, {"system": "single-layer", "recipe": "custom", **wrong})
    message = fails(capsys, "evaluate", "single-layer", "--weights", path, "--data-dir", few)
    assert re.search(words, message), message


@pytest.fixture
def short(monkeypatch):
    """The recipes of the single layer, each of one epoch and three steps, under their own names."""
    for name, recipe in recipes.RECIPES["single-layer"].items():
        monkeypatch.setitem(
            recipes.RECIPES["single-layer"], name, dataclasses.replace(recipe, epochs=1, steps=3, batch_size=500)
        )


def test_a_run_on_the_bundled_digits_says_so_and_is_never_a_recorded_one(few, short, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SNN_DATA_DIR", raising=False)
    main("train single-layer --out results".split())
    lines = capsys.readouterr().out.splitlines()
    some = "the bundled 10,000 of MNIST's 60,000 training digits"
    assert lines[0] == f"training on {some}; python -m snn_helpers download fetches all of them"
    assert f"of 10,000 test digits after 1 epoch on {some}: " in lines[-1]
    record = json.loads((tmp_path / "results" / "single-layer-fast-10000-seed0.json").read_text())
    assert (record["train_images"], record["test_images"]) == (10_000, 10_000)
    assert [run["train_images"] for run in weights.recorded("single-layer", "fast")] == [60_000] * 3

    # nor does it go on from a run on other digits, even if its checkpoint were there
    main(f"train single-layer --out results --data-dir {few}".split())
    other, own = (tmp_path / "results" / f"single-layer-fast-{n}-seed0" / "checkpoint.pt" for n in (211, 10_000))
    own.write_bytes(other.read_bytes())
    message = fails(capsys, "train", "single-layer", "--out", "results", "--resume")
    assert "is of a run with train_images 211, wanted one with 10000" in message
    own.with_name("settings.json").write_text("of before")
    fails(capsys, "train", "single-layer", "--out", "results", "--resume")
    assert own.with_name("settings.json").read_text() == "of before", "a refused run writes nothing"


def test_the_full_mnist_gives_a_run_the_name_of_a_recorded_one(short, capsys, monkeypatch, tmp_path):
    def mnist(train=True, *, root=None):
        count = 60_000 if train else 10_000
        return data.Digits(
            torch.zeros(count, 28, 28, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64), "MNIST"
        )

    monkeypatch.setattr(data, "mnist", mnist)
    main(f"train single-layer -T 1 --out {tmp_path}".split())
    assert (tmp_path / "single-layer-custom-seed0.json").exists()
    assert "on 60,000 training digits: " in capsys.readouterr().out


def test_trained_weights_are_judged_and_converted_without_a_network(capsys, monkeypatch, tmp_path):
    mnist = data.mnist
    monkeypatch.setattr(data, "mnist", lambda train, root: mnist(train, root="bundled").first(500))
    monkeypatch.chdir(tmp_path)
    for system, least in ("single-layer", 88), ("hidden-layer", 95), ("csnn", 97), ("cnn", 97):
        main(["evaluate", system])
        assert float(capsys.readouterr().out.partition("%")[0]) > least
    main("convert -T 8".split())
    assert json.loads((tmp_path / "runs" / "cnn-to-snn.json").read_text())["accuracy_per_step"][-1] > 0.97


def test_tau_of_the_published_single_layer_means_what_it_means_there(few, short, tmp_path):
    out = f"--data-dir {few} --out {tmp_path}"
    main(f"train single-layer --recipe reference --tau 2 {out}".split())
    assert (tmp_path / "single-layer-reference-211-seed0.json").exists(), "tau = 2 is the recipe itself"

    reference = recipes.RECIPES["single-layer"]["reference"]
    assert settings.changed(reference, {"tau": 2.0}) is reference
    recipe = settings.changed(reference, {"tau": 5.0})
    image, net = torch.rand(3, 1, 28, 28), recipe.network()
    torch.manual_seed(1)
    record = net(recipe.encode(image, 11))[-1]
    torch.manual_seed(1)
    v, fired = torch.zeros(3, 10), 0
    for x in encoding.poisson(image, 11).flatten(2) @ net.layers[0][1].weight.T:  # SpikingJelly's LIFNode
        v = v + (x - v) / 5
        torch.testing.assert_close(record.membrane[fired], v, atol=1e-6, rtol=1e-5)
        spike = v >= 1
        v, fired = torch.where(spike, 0.0, v), fired + 1


@pytest.mark.parametrize("started, prog", [("/usr/bin/snn", "snn"), ("x/__main__.py", "python -m snn_helpers")])
def test_help_names_the_command_that_was_called(capsys, monkeypatch, started, prog):
    monkeypatch.setattr(sys, "argv", [started])
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert capsys.readouterr().out.startswith(f"usage: {prog} train ")


def test_the_console_command_is_the_command_line():
    command = Path(sysconfig.get_path("scripts")) / ("snn.exe" if os.name == "nt" else "snn")
    done = subprocess.run([command, "--help"], capture_output=True, text=True)
    assert done.stdout.startswith("usage: snn "), done.stderr


def test_a_run_interrupted_in_the_middle_of_an_epoch_goes_on_there(few, tmp_path):
    digits = data.mnist(root=few)

    def learn(checkpoint, on_step=None):
        torch.manual_seed(1)
        net = networks.single_layer()
        recipe = dataclasses.replace(
            recipes.RECIPES["single-layer"]["fast"], epochs=2, steps=5, batch_size=20, test_every=3
        )
        how = dict(seed=4, test=digits, checkpoint=checkpoint, on_step=on_step, progress=False)
        history = loop.train(net, digits, recipe, **how)
        return net.layers[0][1].weight.detach(), history

    def stop(history):
        if len(history.loss) == 16:
            raise KeyboardInterrupt

    wanted, whole = learn(None)
    checkpoint = checkpoints.Checkpoint(tmp_path / "c.pt", {})
    assert learn(checkpoint, stop)[1].interrupted
    seen = []
    got, history = learn(checkpoint, lambda history: seen.append(len(history.loss)))
    assert seen[0] == 17 and torch.equal(got, wanted)
    for name in "loss", "train_accuracy", "test_accuracy", "test_step":
        assert getattr(history, name) == getattr(whole, name)
    assert history.test_step == [1, 4, 7, 10, 11, 13, 16, 19, 22] and history.epoch_end == [11, 22]


def test_a_checkpoint_of_another_run_is_refused_by_name(tmp_path):
    path = tmp_path / "c.pt"
    checkpoints.Checkpoint(path, {"system": "csnn", "lr": 0.01}).save({"x": torch.ones(3)})
    assert checkpoints.Checkpoint(path, {"system": "csnn", "lr": 0.01}).load()["x"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"c.pt is of a run with system csnn, wanted one with single-layer"):
        checkpoints.Checkpoint(path, {"system": "single-layer", "lr": 0.01}).load()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"c.pt is not a checkpoint of this package, or is damaged"):
        checkpoints.Checkpoint(path, {}).load()
    assert checkpoints.Checkpoint(tmp_path / "none.pt", {}).load() is None


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    weights.write(path, "before")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="file could not be written: No space left on device"):
        weights.write(path, "after")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to_shows_before_the_training(capsys, few, tmp_path):
    (tmp_path / "single-layer-fast-211-seed0").write_text("a file where the folder should be")
    message = fails(capsys, "train", "single-layer", "--data-dir", few, "--out", tmp_path)
    assert "single-layer-fast-211-seed0" in message
