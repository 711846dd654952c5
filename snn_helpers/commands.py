"""What the command line does, one function a command; ``__main__`` holds the words and the options."""

import dataclasses
import io
import json
from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from snn_helpers import checkpoints, conversion, data, distributed, inputs, networks, recipes, runs, training
from snn_helpers.hardware import best_precision
from snn_helpers.neurons import beta_from_tau


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
    recipe, name = _recipe(options)
    system = _system(options)
    digits, test = _digits(options, True), _digits(options, False)
    device = _device(options.device, team)
    stem = f"{system}-{name}-seed{options.seed}"
    folder = options.out / stem
    settings = {"system": system, "recipe": name, "seed": options.seed, **_settings(recipe, device)}
    if team.size > 1:  # not said of one, so that a checkpoint of before it could be more stays valid
        settings["processes"] = team.size
    checkpoint = checkpoints.Checkpoint(folder / "checkpoint.pt", settings)

    def begin():
        folder.mkdir(parents=True, exist_ok=True)
        if checkpoint.path.exists() and not options.resume:
            raise ValueError(
                f"{folder} holds the checkpoint of an earlier run. Go on from it with --resume, or name another --out."
            )
        checkpoints.write(folder / "settings.json", _json(settings))  # a folder that cannot be written to shows at once

    team.decide(begin)
    with _Log(options.log_dir, recipe) as log:
        how = dict(seed=options.seed, device=device, checkpoint=checkpoint, on_step=log if team.first else None)
        net, record = runs.run(recipe, digits, test, team=team, **how)
    if not team.first:
        return
    record = {"system": system, "recipe": name, **record}
    about = {
        k: record[k] for k in record if k not in ("history", "train_seconds")
    }  # nothing that a resumed run changes
    networks.save_weights(net, folder / "weights.safetensors", about)
    _save_arrays(folder, net, record, recipe, digits, test)
    path = options.out / f"{stem}.json"
    checkpoints.write(path, _json(record))
    print(f"{record['test_accuracy']:.2%} of {len(test.labels):,} test digits after {recipe.epochs} epochs: {path}")


def evaluate(options):
    system = _system(options)
    recipe = _known(system, options.recipe)
    if options.steps and recipe.convert:
        raise ValueError("--steps is for a network with time; judge the converted cnn with: convert --steps")
    net = _trained(system, options.recipe, options.weights).to(_device(options.device))
    test, steps = _digits(options, False), options.steps or recipe.steps
    share = training.accuracy(net, test, partial(recipe.encode, steps), readout=recipe.readout, seed=options.seed)
    print(f"{share:.2%} of {len(test.labels):,} test digits")


def convert(options):
    if options.input == "constant" and options.spike_threshold != 1:
        raise ValueError("--spike-threshold is for --input poisson; a constant input has no spikes.")
    cnn = _trained("cnn-to-snn", "fast", options.weights).to(_device(options.device))
    digits, test = _digits(options, True), _digits(options, False)
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
    checkpoints.write(f"{stem}-accuracy.png", _curve(range(1, options.steps + 1), shares, "simulation step"))
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
        judged = history.test_step[-1:] == [step]
        if judged:
            tqdm.write(
                f"iteration {step - 1}: loss {history.loss[-1]:.4f}, test accuracy {history.test_accuracy[-1]:.2%}"
            )
        if self.folder:
            # what a killed run wrote after its last checkpoint is written again: purge_step drops the first version
            self.writer = self.writer or self.writer_of(self.folder, purge_step=step)
            self.writer.add_scalar("loss/train", history.loss[-1], step)
            if judged:
                self.writer.add_scalar("accuracy/test", history.test_accuracy[-1], step)


def _system(options):
    return "cnn-to-snn" if options.system == "cnn" else options.system


def _known(system, name):
    if name not in recipes.RECIPES[system]:
        raise ValueError(f"{system} has no recipe {name!r}. There are: {', '.join(recipes.RECIPES[system])}.")
    return recipes.RECIPES[system][name]


def _recipe(options):
    """The recipe with what the command line changes, and its name, which is "custom" then."""
    recipe = _known(_system(options), options.recipe)
    neuron = {"beta": options.beta, "threshold": options.threshold}
    if options.tau:
        neuron["beta"] = beta_from_tau(options.tau)
    neuron = {key: value for key, value in neuron.items() if value is not None}
    if recipe.convert and (neuron or options.steps or options.loss):
        raise ValueError(
            "a cnn has no time while it is trained: --steps, --tau, --beta, --threshold and --loss are for spiking "
            "networks; convert has --steps and --v-init."
        )
    changed = {key: getattr(options, key) for key in ("epochs", "steps", "batch_size", "lr") if getattr(options, key)}
    if options.loss:
        changed["loss"] = getattr(training, f"{options.loss}_loss")
    if neuron:
        changed["network"] = partial(recipe.network, **neuron)
    changed = {key: value for key, value in changed.items() if value != getattr(recipe, key)}
    return dataclasses.replace(recipe, **changed), "custom" if changed else options.recipe


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


def _digits(options, train):
    digits = data.mnist(train, root=options.data_dir)
    if digits.source.startswith("bundled"):
        raise ValueError(
            "wanted the full MNIST, found only the bundled sample. Run: python -m snn_helpers download. Or name the "
            "folder that holds it: --data-dir"
        )
    return digits


def _device(name, team=distributed.Team()):
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in has if has[kind] and not (kind == "mps" and team.size > 1))
    if not has[name]:
        raise ValueError(f"--device {name}: this machine, or this build of torch, has none. Use --device auto.")
    return team.device(name)


def _trained(system, recipe, path):
    if path is None:
        return recipes.trained(system, recipe)
    return networks.load_weights(_known(system, recipe).network(), path)


def _save_arrays(folder, net, record, recipe, digits, test):
    history = record["history"]
    snn = runs.spiking(net, digits, recipe.convert) if recipe.convert else net
    encode = recipe.convert.get("encode", recipe.encode)
    first = test.images[:1].unsqueeze(1).float().div(255).to(next(net.parameters()).device)
    torch.manual_seed(record["seed"])
    with torch.no_grad():
        output = snn(encode(record["steps"], first))[-1]
    checkpoints.write(folder / "accuracy.npy", _npy(np.array(history["test_accuracy"])))
    checkpoints.write(folder / "voltage.npy", _npy(output.membrane[:, 0].cpu().numpy()))
    checkpoints.write(folder / "spikes.npy", _npy(output.spikes[:, 0].cpu().numpy()))
    checkpoints.write(folder / "accuracy.png", _curve(history["test_step"], history["test_accuracy"], "batch"))


def _curve(x, shares, label):
    from snn_helpers import plots  # here, because matplotlib takes a second, and a wrong call should not wait for it

    plots.use_style()
    ax = plots.spread(np.atleast_2d(shares), x=list(x), marker="o", markersize=3)
    ax.set(xlabel=label, ylabel="test accuracy", title=f"{shares[-1]:.2%} of the test digits at the end")
    return plots.png(ax.figure)


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _json(content):
    return json.dumps(content, indent=1) + "\n"
