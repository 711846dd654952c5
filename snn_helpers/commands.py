"""What the command line does, one function a command; ``__main__`` holds the words and the options."""

import io
import json
from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from snn_helpers import checkpoints, conversion, data, distributed, inputs, networks, recipes, runs, settings, training
from snn_helpers.hardware import best_precision

FULL = 60_000, 10_000  # training and test digits of MNIST


def download(options):
    try:
        folder = data.download()
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"wanted MNIST's four files, got: {str(error).splitlines()[0].rstrip(':')}. Nothing was kept. Check the "
            "network and try again, or set SNN_DATA_DIR to a folder that has them; the notebooks do without."
        ) from error
    print(f"The full MNIST is in {folder}: data.mnist() finds it there.")


def train(options):
    with distributed.team() as team:
        _train(options, team)


def _train(options, team):
    system = _system(options)
    base = settings.known(system, options.recipe)
    changes = {key: value for key in settings.SETTINGS if (value := getattr(options, key)) is not None}
    recipe = settings.changed(base, changes)
    changes = {key: value for key, value in changes.items() if settings.changed(base, {key: value}) is not base}
    name = {"system": system, "recipe": "custom", "based_on": options.recipe, "changes": changes}
    if not changes:
        name = {"system": system, "recipe": options.recipe}
    digits, test = _digits(options)
    count = "" if (len(digits.labels), len(test.labels)) == FULL else f"-{len(digits.labels)}"
    stem = f"{system}-{name['recipe']}{count}-seed{options.seed}"
    folder = options.out / stem
    device = _device(options.device, team)
    decides = {**name, "seed": options.seed, "train_images": len(digits.labels), **_settings(recipe, device)}
    if team.size > 1:  # not said of one, so that a checkpoint of before it could be more stays valid
        decides["processes"] = team.size
    checkpoint = checkpoints.Checkpoint(folder / "checkpoint.pt", decides)

    log = _Log(options.log_dir, recipe)

    def begin():
        folder.mkdir(parents=True, exist_ok=True)
        if checkpoint.path.exists() and not options.resume:
            raise ValueError(
                f"{folder} holds the checkpoint of an earlier run. Go on from it with --resume, or name another --out."
            )
        checkpoints.write(folder / "settings.json", _json(decides))  # a folder that cannot be written to shows at once

    team.decide(begin)
    some, source = f"{len(digits.labels):,} training digits", digits.source
    if source.startswith("the bundled digits"):
        some = f"the bundled {len(digits.labels):,} of MNIST's {FULL[0]:,} training digits"
        source = f"{some}; python -m snn_helpers download fetches all of them"
    if team.first:
        print(f"training on {source}")
    with log:
        how = dict(seed=options.seed, device=device, checkpoint=checkpoint, on_step=log if team.first else None)
        net, record = runs.run(recipe, digits, test, team=team, **how)
    if not team.first:
        return
    record = {**name, **record}
    about = {
        k: record[k] for k in record if k not in ("history", "train_seconds")
    }  # nothing that a resumed run changes
    networks.save_weights(net, folder / "weights.safetensors", about)
    _save_arrays(folder, net, record, recipe, digits, test)
    path = options.out / f"{stem}.json"
    checkpoints.write(path, _json(record))
    time = f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)}"
    print(f"{record['test_accuracy']:.2%} of {len(test.labels):,} test digits after {time} on {some}: {path}")


def evaluate(options):
    system, device = _system(options), _device(options.device)
    if system == "cnn-to-snn" and options.steps:
        raise ValueError("--steps is for a network with time; judge the converted cnn with: convert --steps")
    net, recipe, seed = _trained(system, options)
    steps, test = options.steps or recipe.steps, data.mnist(False, root=options.data_dir)
    how = dict(readout=recipe.readout, seed=seed, precision=recipe.precision or best_precision(device))
    share = training.accuracy(net.to(device), test, partial(recipe.encode, steps), **how)
    if steps != recipe.steps:
        print(f"judged in {steps} steps, trained in {recipe.steps}")
    print(f"{share:.2%} of {len(test.labels):,} test digits")


def convert(options):
    if options.input == "constant" and options.spike_threshold != 1:
        raise ValueError("--spike-threshold is for --input poisson; a constant input has no spikes.")
    cnn = _trained("cnn-to-snn", options)[0].to(_device(options.device))
    digits, test = _digits(options)
    options.out.mkdir(parents=True, exist_ok=True)
    how = dict(
        percentile=options.percentile,
        v_init=options.v_init,
        encode=partial(inputs.sparse_poisson, spike_threshold=options.spike_threshold)
        if options.input == "poisson"
        else inputs.constant,
        steps=options.steps,
    )
    snn = runs.spiking(cnn, digits, how)
    seen = conversion.simulate(
        snn, test, options.steps, lambda images, steps: how["encode"](steps, images), seed=options.seed
    )
    shares = seen.accuracy()
    result = {
        "cnn_accuracy": training.accuracy(cnn, test, lambda images: images),
        "accuracy_per_step": shares.tolist(),
        "spikes_per_image": seen.spikes_per_image()[-1].tolist(),
        "settings": {key: value for key, value in vars(options).items() if isinstance(value, (int, float, str))},
    }
    stem = options.out / "cnn-to-snn"
    checkpoints.write(f"{stem}-confusion.npy", _npy(seen.confusion().numpy()))
    checkpoints.write(f"{stem}-accuracy.png", _curve("simulation step", range(1, options.steps + 1), shares))
    checkpoints.write(f"{stem}.json", _json(result))
    for step in sorted({1, 2, 5, 10, 20, 50, 100, options.steps}):
        if step <= options.steps:
            print(f"after {step:3d} steps: {shares[step - 1]:.2%}")
    print(f"the CNN itself: {result['cnn_accuracy']:.2%} of {len(test.labels):,} test digits: {stem}.json")


class _Log:
    """Called after each step: prints what was judged, and writes TensorBoard's scalars if asked to."""

    def __init__(self, folder, recipe):
        self.folder, self.recipe, self.writer = folder, recipe, None
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
        judged, ended = (at[-1:] == [step] for at in (history.test_step, history.epoch_end))
        if judged:
            train = f"train accuracy {history.train_accuracy[-1]:.2%}, " if ended else ""
            test = f"test accuracy {history.test_accuracy[-1]:.2%}"
            tqdm.write(f"iteration {step - 1}: loss {history.loss[-1]:.4f}, {train}{test}")
        if self.folder:
            # what a killed run wrote after its last checkpoint is written again: purge_step drops the first version
            self.writer = self.writer or self.writer_of(self.folder, purge_step=step)
            self.writer.add_scalar("loss/train", history.loss[-1], step)
            if judged:
                self.writer.add_scalar("accuracy/test", history.test_accuracy[-1], step)
            if ended:
                self.writer.add_scalar("accuracy/train", history.train_accuracy[-1], step)


def _system(options):
    return "cnn-to-snn" if options.system == "cnn" else options.system


def _settings(recipe, device):
    """What decides a run, as numbers and words: two runs that agree in it can go on from each other's checkpoint."""
    net = recipe.network()
    return {
        **{key: getattr(recipe, key) for key in ("epochs", "steps", "batch_size", "lr")},
        "loss": recipe.loss.__name__,
        "neuron": net.extra_repr(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "precision": str(recipe.precision or best_precision(device)),
    }


def _digits(options):
    return tuple(data.mnist(train, root=options.data_dir) for train in (True, False))


def _device(name, team=distributed.Team()):
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in has if has[kind] and not (kind == "mps" and team.size > 1))
    if not has[name]:
        raise ValueError(f"--device {name}: this machine, or this build of torch, has none. Use --device auto.")
    return team.device(name)


def _trained(system, options):
    """(network, recipe, seed): of the file that is named, by what it says of itself, or what comes with the package."""
    name, seed = getattr(options, "recipe", None), options.seed
    if options.weights is None:
        recipe = settings.known(system, name or "fast")
        return recipes.trained(system, name or "fast"), recipe, seed or 0
    recipe, name, said = settings.trained_by(system, options.weights, name)
    net = networks.load_weights(recipe.network(), options.weights)
    if not said:
        neuron = f": {net.extra_repr()}, {recipe.steps} steps" if net.extra_repr() else ""
        print(f"{options.weights} does not say how it was trained. Taken to be of recipe {name}{neuron}.")
    return net, recipe, said.get("seed", 0) if seed is None else seed


def _save_arrays(folder, net, record, recipe, digits, test):
    history = record["history"]
    snn = runs.spiking(net, digits, recipe.convert) if recipe.convert else net
    encode = recipe.convert.get("encode", recipe.encode)
    first = test.images[:1].unsqueeze(1).float().div(255).to(next(net.parameters()).device)
    torch.manual_seed(record["seed"])
    with torch.no_grad():
        output = snn(encode(record["steps"], first))[-1]
    for part in "train_accuracy", "test_accuracy":
        checkpoints.write(folder / f"{part}.npy", _npy(np.array(history[part])))
    checkpoints.write(folder / "voltage.npy", _npy(output.membrane[:, 0].cpu().numpy()))
    checkpoints.write(folder / "spikes.npy", _npy(output.spikes[:, 0].cpu().numpy()))
    in_epoch = -(-len(digits.labels) // recipe.batch_size)
    learning = [in_epoch * epoch for epoch in range(1, recipe.epochs + 1)], history["train_accuracy"]
    checkpoints.write(
        folder / "accuracy.png", _curve("batch", history["test_step"], history["test_accuracy"], learning)
    )


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
