"""What the command line does: one function a command, and its options are the function's arguments.

``options`` holds the words. Here they become, at the top of each function, a recipe and a place to write.
"""

import io
import json
from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from snn_helpers import conversion, data, encoding, training, weights
from snn_helpers.engine.hardware import best_precision
from snn_helpers.runs import by_recipe, checkpoints, distributed, settings

FULL = 60_000, 10_000  # training and test digits of MNIST


def download():
    try:
        folder = data.download()
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"wanted MNIST's four files, got: {str(error).splitlines()[0].rstrip(':')}. Nothing was kept. Check the "
            "network and try again, or set SNN_DATA_DIR to a folder that has them; the notebooks do without."
        ) from error
    print(f"The full MNIST is in {folder}: data.mnist() finds it there.")


def train(system, recipe, seed, device, data_dir, out, log_dir, resume, **changes):
    """``changes``: the settings of ``settings.SETTINGS``, each None where it is the recipe's."""
    with distributed.team() as team:
        changes = {key: value for key, value in changes.items() if value is not None}
        name, recipe = settings.named(_full_name(system), recipe, changes)
        digits, test = (data.mnist(part, root=data_dir) for part in (True, False))
        count = "" if (len(digits.labels), len(test.labels)) == FULL else f"-{len(digits.labels)}"
        folder = out / f"{name['system']}-{name['recipe']}{count}-seed{seed}"
        _train(name, recipe, digits, test, folder, seed, _device(device, team), resume, _Log(log_dir), team)


def _train(name, recipe, digits, test, folder, seed, device, resume, log, team):
    decides = {**name, "seed": seed, "train_images": len(digits.labels), "processes": team.size}
    decides |= by_recipe.settings(recipe, device)
    checkpoint = checkpoints.Checkpoint(folder / "checkpoint.pt", decides)

    def begin():
        folder.mkdir(parents=True, exist_ok=True)
        if checkpoint.path.exists() and not resume:
            raise ValueError(
                f"{folder} holds the checkpoint of an earlier run. Go on from it with --resume, or name another --out."
            )
        checkpoint.load()  # what is not of this run raises here, before anything is written
        weights.write(folder / "settings.json", _json(decides))  # a folder that cannot be written to shows at once

    team.decide(begin)
    count, source = f"{len(digits.labels):,} training digits", digits.source
    if source.startswith("the bundled digits"):
        count = f"the bundled {len(digits.labels):,} of MNIST's {FULL[0]:,} training digits"
        source = f"{count}; python -m snn_helpers download fetches all of them"
    if team.first:
        print(f"training on {source}")
    with log:
        how = dict(seed=seed, device=device, checkpoint=checkpoint, on_step=log if team.first else None)
        net, record = by_recipe.run(recipe, digits, test, team=team, **how)
    if not team.first:
        return
    record = {**name, **record}
    about = {
        k: record[k] for k in record if k not in ("history", "train_seconds")
    }  # nothing that a resumed run changes
    weights.save(net, folder / "weights.safetensors", about)
    _save_arrays(folder, net, record, recipe, digits, test)
    path = folder.with_name(f"{folder.name}.json")
    weights.write(path, _json(record))
    time = f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)}"
    print(f"{record['test_accuracy']:.2%} of {len(test.labels):,} test digits after {time} on {count}: {path}")


def evaluate(system, recipe, file, steps, seed, device, data_dir):
    system, device = _full_name(system), _device(device)
    if system == "cnn-to-snn" and steps:
        raise ValueError("--steps is for a network with time; evaluate the converted cnn with: convert --steps")
    net, recipe, trained_with = _trained(system, file, recipe)
    steps, test = steps or recipe.steps, data.mnist(False, root=data_dir)
    seed = trained_with if seed is None else seed
    how = dict(readout=recipe.readout, seed=seed, precision=recipe.precision or best_precision(device))
    share = training.accuracy(net.to(device), test, lambda images: recipe.encode(images, steps), **how)
    if steps != recipe.steps:
        print(f"evaluated in {steps} steps, trained in {recipe.steps}")
    print(f"{share:.2%} of {len(test.labels):,} test digits")


def convert(file, percentile, v_init, input, spike_threshold, steps, seed, device, data_dir, out):
    if input == "constant" and spike_threshold != 1:
        raise ValueError("--spike-threshold is for --input poisson; a constant input has no spikes.")
    cnn = _trained("cnn-to-snn", file)[0].to(_device(device))
    digits, test = (data.mnist(part, root=data_dir) for part in (True, False))
    encode = partial(encoding.poisson, gain=1 / spike_threshold) if input == "poisson" else encoding.direct
    asked = dict(percentile=percentile, v_init=v_init, input=input, spike_threshold=spike_threshold, steps=steps)
    snn = by_recipe.spiking(cnn, digits, asked)
    out.mkdir(parents=True, exist_ok=True)
    seen = conversion.simulate(snn, test, steps, encode, seed=seed)
    _save_conversion(out, seen, training.accuracy(cnn, test, lambda images: images), asked | {"seed": seed})


def _save_conversion(out, seen, cnn_accuracy, asked):
    shares, steps = seen.accuracy(), len(seen.votes)
    result = {
        "cnn_accuracy": cnn_accuracy,
        "accuracy_per_step": shares.tolist(),
        "spikes_per_image": seen.spikes_per_image()[-1].tolist(),
        "settings": asked,
    }
    stem = out / "cnn-to-snn"
    weights.write(f"{stem}-confusion.npy", _npy(seen.confusion().numpy()))
    weights.write(f"{stem}-accuracy.png", _curve("simulation step", range(1, steps + 1), shares))
    weights.write(f"{stem}.json", _json(result))
    for step in sorted({1, 2, 5, 10, 20, 50, 100, steps}):
        if step <= steps:
            print(f"after {step:3d} steps: {shares[step - 1]:.2%}")
    print(f"the CNN itself: {cnn_accuracy:.2%} of {len(seen.labels):,} test digits: {stem}.json")


class _Log:
    """Called after each step: prints what was evaluated, and writes TensorBoard's scalars if asked to."""

    def __init__(self, folder):
        self.folder, self.writer = folder, None
        if folder:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ValueError("--log-dir wants TensorBoard. Install it: pip install tensorboard") from error
            self.writer_of = SummaryWriter

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.writer:
            self.writer.close()

    def __call__(self, history):
        step = len(history.loss)
        evaluated, ended = (at[-1:] == [step] for at in (history.test_step, history.epoch_end))
        if evaluated:
            train = f"train accuracy {history.train_accuracy[-1]:.2%}, " if ended else ""
            test = f"test accuracy {history.test_accuracy[-1]:.2%}"
            tqdm.write(f"iteration {step - 1}: loss {history.loss[-1]:.4f}, {train}{test}")
        if self.folder:
            # what a killed run wrote after its last checkpoint is written again: purge_step drops the first version
            self.writer = self.writer or self.writer_of(self.folder, purge_step=step)
            self.writer.add_scalar("loss/train", history.loss[-1], step)
            if evaluated:
                self.writer.add_scalar("accuracy/test", history.test_accuracy[-1], step)
            if ended:
                self.writer.add_scalar("accuracy/train", history.train_accuracy[-1], step)


def _full_name(system):
    return "cnn-to-snn" if system == "cnn" else system


def _device(name, team=distributed.Team()):
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in has if has[kind] and not (kind == "mps" and team.size > 1))
    if not has[name]:
        raise ValueError(f"--device {name}: this machine, or this build of torch, has none. Use --device auto.")
    return team.device(name)


def _trained(system, path=None, name=None):
    """(network, recipe, seed): of the file that is named, by what it says of itself, or what comes with the package."""
    if path is None:
        recipe = settings.known(system, name or "fast")
        return weights.trained(system, name or "fast"), recipe, 0
    recipe, name, said = settings.trained_by(system, path, name)
    net = weights.load(recipe.network(), path)
    if not said:
        neuron = f": {net.extra_repr()}, {recipe.steps} steps" if net.extra_repr() else ""
        print(f"{path} does not say how it was trained. Taken to be of recipe {name}{neuron}.")
    return net, recipe, said.get("seed", 0)


def _save_arrays(folder, net, record, recipe, digits, test):
    history = record["history"]
    snn = by_recipe.spiking(net, digits, recipe.convert) if recipe.convert else net
    encode = recipe.convert.get("encode", recipe.encode)
    first = test.first(1).pixels.to(next(net.parameters()).device)
    torch.manual_seed(record["seed"])
    with torch.no_grad():
        output = snn(encode(first, record["steps"]))[-1]
    for part in "train_accuracy", "test_accuracy":
        weights.write(folder / f"{part}.npy", _npy(np.array(history[part])))
    weights.write(folder / "voltage.npy", _npy(output.membrane[:, 0].cpu().numpy()))
    weights.write(folder / "spikes.npy", _npy(output.spikes[:, 0].cpu().numpy()))
    in_epoch = digits.steps(recipe.batch_size)
    learning = [in_epoch * epoch for epoch in range(1, recipe.epochs + 1)], history["train_accuracy"]
    weights.write(folder / "accuracy.png", _curve("batch", history["test_step"], history["test_accuracy"], learning))


def _curve(label, x, shares, learning=None):
    """The test accuracy at each x; beside it that of the training batches, (x, shares), if there is one."""
    from snn_helpers import plots  # here, because matplotlib takes a second, and a wrong call should not wait for it

    plots.use_style()
    ax = plots.spread(np.atleast_2d(shares), x=list(x), marker="o", markersize=3, label="test digits")
    if learning:
        x, train = learning
        look = dict(color=plots.COLORS["input"], marker="s", markersize=3, linestyle="--")
        plots.spread(np.atleast_2d(train), ax, x=x, label="training batches, while it learns", **look)
        ax.legend()
    ax.set(xlabel=label, ylabel="accuracy", title=f"{shares[-1]:.2%} of the test digits at the end")
    return plots.png(ax.figure)


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _json(content):
    return json.dumps(content, indent=1) + "\n"
