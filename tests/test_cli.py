"""The command line: what a wrong call says, what a run leaves, and that a killed run can go on."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from snn_helpers import checkpoints, data, inputs, networks, recipes, training
from snn_helpers.__main__ import main


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
        (["train", "csnn", "--beta", "2"], r"--beta: must be in \[0, 1\], got 2"),
        (["train", "csnn", "--tau", "2", "--beta", "0.5"], "not allowed with"),
        (
            ["train", "single-layer", "--recipe", "best"],
            "single-layer has no recipe 'best'. There are: reference, fast",
        ),
        (["train", "cnn", "-T", "5"], "a cnn has no time while it is trained"),
        (["train", "csnn"], "found only the bundled sample. Run: python -m snn_helpers download"),
        (["train", "csnn", "--data-dir", "none"], "wanted train-images-idx3-ubyte .* in none, found no such file"),
        (
            ["evaluate", "single-layer", "--weights", "none.safetensors"],
            "No such file or directory: 'none.safetensors'",
        ),
        (["evaluate", "cnn", "-T", "5"], "judge the converted cnn with: convert --steps"),
        (["convert", "--spike-threshold", "2"], "--spike-threshold is for --input poisson"),
    ],
)
def test_a_wrong_call_ends_in_one_line_that_says_what_was_wanted(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    import re

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
    assert "of 97 test digits after 2 epochs" in capsys.readouterr().out
    record = json.loads((tmp_path / "single-layer-custom-seed3.json").read_text())
    assert (record["system"], record["recipe"], record["seed"], record["epochs"], record["steps"]) == (
        "single-layer",
        "custom",
        3,
        2,
        7,
    )
    folder = tmp_path / "single-layer-custom-seed3"
    assert {path.name for path in folder.iterdir()} == {
        "accuracy.npy",
        "accuracy.png",
        "checkpoint.pt",
        "settings.json",
        "spikes.npy",
        "voltage.npy",
        "weights.safetensors",
    }
    assert np.load(folder / "accuracy.npy").tolist() == record["history"]["test_accuracy"]
    voltage, spikes = np.load(folder / "voltage.npy"), np.load(folder / "spikes.npy")
    assert voltage.shape == spikes.shape == (7, 10)
    assert np.array_equal(voltage > 1, spikes == 1)
    assert (folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")

    message = fails(capsys, "train", "single-layer", "--seed", 3, "--epochs", 2, "-T", 7, "--data-dir", few,
                    "--out", tmp_path)  # fmt: skip
    assert "holds the checkpoint of an earlier run. Go on from it with --resume" in message

    weights = folder / "weights.safetensors"
    main(f"evaluate single-layer -T 7 --seed 3 --weights {weights} --data-dir {few}".split())
    assert f"{record['test_accuracy']:.2%} of 97 test digits" in capsys.readouterr().out
    message = fails(capsys, "evaluate", "hidden-layer", "--weights", weights, "--data-dir", few)
    assert f"{weights} is of another network" in message


def test_a_recipe_that_is_judged_on_the_way_says_so_and_logs(few, capsys, tmp_path):
    log = tmp_path / "log"
    main(f"train csnn --recipe reference -T 3 -b 4 --tau 2 --data-dir {few} --out {tmp_path} --log-dir {log}".split())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("iteration")]
    assert [line.split(":")[0] for line in lines] == ["iteration 0", "iteration 50", "iteration 52"]
    assert all("loss 2.30" in line and "test accuracy" in line for line in lines), "silent: ln 10"
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = event_accumulator.EventAccumulator(str(log))
    events.Reload()
    assert [event.step for event in events.Scalars("accuracy/test")] == [1, 51, 53]
    assert len(events.Scalars("loss/train")) == 53
    record = json.loads((tmp_path / "csnn-custom-seed0.json").read_text())
    assert record["history"]["test_step"] == [1, 51, 53] and len(record["history"]["batch_loss"]) == 53
    assert "beta=0.60653" in record["settings"]["layer"]


def test_a_cnn_is_trained_converted_and_converted_again(few, capsys, tmp_path):
    main(f"train cnn --recipe reference --epochs 2 --data-dir {few} --out {tmp_path}".split())
    record = json.loads((tmp_path / "cnn-to-snn-custom-seed0.json").read_text())
    assert len(record["accuracy_per_step"]) == 40 and record["test_accuracy"] == record["accuracy_per_step"][-1]
    weights = tmp_path / "cnn-to-snn-custom-seed0" / "weights.safetensors"
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
    name = "single-layer-custom-seed0"
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


def test_a_run_interrupted_in_the_middle_of_an_epoch_goes_on_there(few, tmp_path):
    digits = data.mnist(root=few)

    def learn(checkpoint, on_step=None):
        torch.manual_seed(1)
        net = networks.single_layer()
        history = training.fit(net, digits, lambda x: inputs.plain_poisson(5, x), training.mse_rate_loss, epochs=2,
                               batch_size=20, lr=0.01, seed=4, test=digits, test_every=3, schedule=recipes.one_cycle,
                               checkpoint=checkpoint, on_step=on_step, progress=False)  # fmt: skip
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
    assert (history.loss, history.test_accuracy, history.test_step) == (
        whole.loss,
        whole.test_accuracy,
        whole.test_step,
    )
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
    checkpoints.write(path, "before")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="file could not be written: No space left on device"):
        checkpoints.write(path, "after")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to_shows_before_the_training(capsys, few, tmp_path):
    (tmp_path / "single-layer-fast-seed0").write_text("a file where the folder should be")
    message = fails(capsys, "train", "single-layer", "--data-dir", few, "--out", tmp_path)
    assert "single-layer-fast-seed0" in message
