"""Several processes, started by torchrun as a reader would: their gradients, what they write, and their end.

Run by torchrun, this file is one of the processes: it takes a folder, and leaves there what it saw.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from snn_helpers import data, losses, networks, recipes, training, weights
from snn_helpers.__main__ import main
from snn_helpers.encoding import direct
from snn_helpers.runs import distributed, loop
from snn_helpers.surrogates import fast_sigmoid

NETS = {
    "csnn": (lambda: networks.csnn(beta=0.9, threshold=0.3, spike=fast_sigmoid(2)), losses.ce_count_loss),
    "hidden": (lambda: networks.hidden_layer(31, threshold=0.3, spike=fast_sigmoid(2)), losses.ce_rate_loss),
    "single": (networks.single_layer, losses.mse_rate_loss),
    "cnn": (networks.cnn, F.cross_entropy),
}
COUNTS = 12, 7, 1  # divides by two processes; does not; is fewer than they are


def some(count, train=True):
    digits = data.mnist(train, root="bundled")
    return data.Digits(digits.images[:count], digits.labels[:count], "")


def step(name, count, team=None):
    """The gradients of one batch of ``count`` digits, its loss, its accuracy, and that on 13 digits after it."""
    network, loss = NETS[name]
    torch.manual_seed(0)
    net = network()
    before = [weight.detach().clone() for weight in net.parameters()]
    recipe = recipes.Recipe(network, recipes.without_time if name == "cnn" else direct, loss, steps=5, epochs=1,
                            batch_size=count, lr=1.0, optimizer=torch.optim.SGD)  # fmt: skip
    history = loop.train(net, some(count), recipe, seed=0, test=some(13, train=False), progress=False, team=team)
    gradients = [old - new.detach() for old, new in zip(before, net.parameters(), strict=True)]
    return gradients, history.loss[0], history.train_accuracy[0], history.test_accuracy[0]


def two_epochs(team=None):
    """The numbers of the digits in each of the batches of 3 of 7 digits, and a random number drawn at each."""
    digits, seen, drawn = some(7), [], []
    digits.images[:, 0, 0] = torch.arange(1, 8, dtype=torch.uint8)

    def encode(images, steps):
        seen.append((images[:, 0, 0, 0] * 255).round().int().tolist())
        drawn.append(torch.rand(()).item())
        return direct(images, steps)

    net, batch = networks.single_layer(), dict(epochs=2, batch_size=3, lr=0.01)
    recipe = recipes.Recipe(None, encode, losses.mse_rate_loss, steps=2, **batch)
    loop.train(net, digits, recipe, seed=5, progress=False, team=team)
    return seen, drawn


def refusal(team):
    def refuse():
        raise ValueError(f"said by {team.rank}")

    with pytest.raises(ValueError) as error:
        team.decide(refuse)
    return str(error.value)


def one_of_them(folder):
    with distributed.team() as team:
        steps = {(name, count): step(name, count, team) for name in NETS for count in COUNTS}
        seen = dict(steps=steps, epochs=two_epochs(team), refusal=refusal(team), saved=team.decide(lambda: team.rank))
        torch.save(seen, folder / f"{team.rank}.pt")


def torchrun(count, *arguments):
    """Start ``count`` processes; a thread each, as torchrun would choose, but then it says so."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, *arguments]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen(list(map(str, command)), env=os.environ | {"OMP_NUM_THREADS": "1"}, **pipes)


def train(count, few, out, *arguments):
    return torchrun(count, "-m", "snn_helpers", "train", *arguments, "--data-dir", few, "--out", out)


def said(text):
    """The lines of the command line itself, among torchrun's."""
    return [line for line in text.splitlines() if line.startswith("train: ")]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes saw of ``one_of_them``."""
    folder = tmp_path_factory.mktemp("two")
    run = torchrun(2, __file__, folder)
    _, errors = run.communicate()
    assert run.returncode == 0, errors
    assert "Warning" not in errors, errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", NETS)
def test_two_processes_have_the_gradients_of_one(two, name, count):
    wanted, loss, *accuracy = step(name, count)
    assert all(gradient.abs().max() > 1e-3 for gradient in wanted)
    for seen in two:
        gradients, got_loss, *got_accuracy = seen["steps"][name, count]
        for got, right in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(got, right, atol=1e-5, rtol=0)
        assert got_loss == pytest.approx(loss, abs=1e-6)
        assert got_accuracy == accuracy
    for ours, theirs in zip(*(seen["steps"][name, count][0] for seen in two), strict=True):
        assert torch.equal(ours, theirs)


def test_each_digit_is_seen_once_an_epoch_in_the_batches_of_one_process(two):
    (seen, drawn), ((seen_0, drawn_0), (seen_1, drawn_1)) = two_epochs(), (each["epochs"] for each in two)
    assert [len(batch) for batch in seen] == [3, 3, 1, 3, 3, 1] and seen[:3] != seen[3:]
    assert [[n for n in a + b if n] for a, b in zip(seen_0, seen_1, strict=True)] == seen
    assert [len(batch) for batch in seen_0] == [2, 2, 1] * 2 and seen_1[2] == seen_1[5] == [0]  # a blank stands in
    assert drawn_0 == drawn and not set(drawn_0) & set(drawn_1)


def test_what_the_first_decides_or_refuses_holds_for_all(two):
    assert [seen["saved"] for seen in two] == [0, 0]
    assert [seen["refusal"] for seen in two] == ["said by 0", "said by 0"]


def test_a_cnn_is_trained_by_two_and_written_by_one(few, capsys, tmp_path):
    cnn = "train", "cnn", "--recipe", "reference", "--epochs", "2", "-b", "9"
    run = train(2, few, tmp_path, *cnn[1:])
    out, errors = run.communicate()
    assert run.returncode == 0, errors
    assert errors.count(" 0/48 ") == 1 and "Warning" not in errors, errors  # one bar
    assert [line.split(":")[0] for line in out.splitlines()[1:3]] == ["iteration 23", "iteration 47"]
    assert len(out.splitlines()) == 4 and "of 97 test digits after 2 epochs" in out
    record = json.loads((tmp_path / "cnn-to-snn-custom-211-seed0.json").read_text())
    assert record["settings"]["processes"] == 2 and len(record["accuracy_per_step"]) == 40
    folder = tmp_path / "cnn-to-snn-custom-211-seed0"
    random = torch.load(folder / "checkpoint.pt", weights_only=True)["state"]["random"]
    assert len(random) == 2 and not torch.equal(random[0]["cpu"], random[1]["cpu"])
    net = weights.load(networks.cnn(), folder / "weights.safetensors")
    assert training.accuracy(net, data.mnist(False, root=few), lambda x: x) == record["cnn_accuracy"]

    with pytest.raises(SystemExit, match="is of a run with processes 2, wanted one with 1"):
        main([*cnn, "--data-dir", str(few), "--out", str(tmp_path), "--resume"])


@pytest.mark.extra("tensorboard")
def test_one_of_them_writes_the_log(few, tmp_path):
    run = train(2, few, tmp_path, "single-layer", "-T", "2", "--epochs", "1", "--log-dir", tmp_path / "log")
    _, errors = run.communicate()
    assert run.returncode == 0 and len(list((tmp_path / "log").iterdir())) == 1, errors


def test_what_all_of_them_refuse_is_said_once(few, tmp_path):
    (tmp_path / "single-layer-fast-211-seed0").write_text("a file where the folder should be")
    run = train(2, few, tmp_path, "single-layer")
    _, errors = run.communicate()
    assert run.returncode != 0 and len(said(errors)) == 1 and "single-layer-fast-211-seed0" in said(errors)[0], errors


def test_other_commands_run_in_one_process(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(SystemExit, match=r"evaluate: runs in one process, got 3\. Only train shares its work"):
        main(["evaluate", "csnn"])


SLOW = "hidden-layer", "--recipe", "reference", "--epochs", "12", "-T", "10", "-b", "20"
NAME = "hidden-layer-custom-211-seed0"


def processes(run):
    """The processes of a torchrun, by rank."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "stat").read_text().rpartition(")")[2].split()[1] == str(run.pid):
                names = dict(line.partition("=")[::2] for line in (place / "environ").read_text().split("\0"))
                found[int(names["RANK"])] = int(place.name)
        except (OSError, KeyError):  # it has ended, or has not begun
            continue
    return found


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def strike(run, checkpoint, number, rank=None):
    """Once all know of a checkpoint, send the signal to one of the processes, or to torchrun; return their ids."""
    for _ in range(1 if checkpoint.exists() else 2):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while run.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
            time.sleep(0.01)
    pids = processes(run)
    assert len(pids) == 3, "it was over before it could be stopped"
    os.kill(run.pid if rank is None else pids[rank], number)
    return pids


def stopped(run, pids, checkpoint):
    """What a run says that was stopped: all of it has ended, and the checkpoint that it names is whole."""
    _, errors = run.communicate()
    assert run.returncode != 0 and all(map(gone, pids.values()))
    ends = torch.load(checkpoint, weights_only=True)["state"]["history"]["epoch_end"]
    assert ends[-1] < 12 * 11
    [line] = said(errors)
    batch = re.search(r"The checkpoint of batch (\d+) is whole: the same command with --resume goes on from it", line)
    assert int(batch[1]) in ends[-2:]  # the last but one if it was stopped between writing and knowing that all is well
    return line


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the processes of a run by Linux' /proc")
def test_a_run_interrupted_killed_and_resumed_ends_with_the_weights_of_one_that_was_not(few, tmp_path):
    killed = tmp_path / "killed"
    checkpoint = killed / NAME / "checkpoint.pt"
    lost = "train: stopped, for another of its 3 processes ended, or torchrun was told to stop"
    with train(3, few, tmp_path / "whole", *SLOW) as whole:
        run = train(3, few, killed, *SLOW)
        pids = strike(run, checkpoint, signal.SIGINT)
        assert stopped(run, pids, checkpoint).startswith("train: interrupted. ")

        run = train(3, few, killed, *SLOW, "--resume")
        pids = strike(run, checkpoint, signal.SIGKILL, rank=1)
        assert stopped(run, pids, checkpoint).startswith(lost)

        again = "--data-dir", few, "--out", killed, "--resume"
        run = torchrun(3, "--max-restarts", "1", "-m", "snn_helpers", "train", *SLOW, *again)
        strike(run, checkpoint, signal.SIGKILL, rank=0)
        out, errors = run.communicate()
        assert run.returncode == 0 and "of 97 test digits after 12 epochs" in out, errors
        assert len(said(errors)) == 1 and said(errors)[0].startswith(lost)

        _, errors = whole.communicate()
        assert whole.returncode == 0, errors
    files = [(tmp_path / part / NAME / "weights.safetensors").read_bytes() for part in ("whole", "killed")]
    records = [json.loads((tmp_path / part / f"{NAME}.json").read_text()) for part in ("whole", "killed")]
    assert files[0] and files[0] == files[1]  # header and all
    assert records[0]["history"]["loss"] == records[1]["history"]["loss"]
    for part in "train_accuracy", "test_accuracy":
        assert records[0]["history"][part] == records[1]["history"][part]


if __name__ == "__main__":
    one_of_them(Path(sys.argv[1]))
