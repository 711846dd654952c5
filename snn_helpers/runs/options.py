"""The words of the command line: its commands, their options, and what each may be."""

import argparse
import sys
from pathlib import Path

NETWORKS = "single-layer", "hidden-layer", "csnn", "cnn"


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}. Try: {self.prog} --help\n")


def parser():
    whole = _Parser(
        prog="snn" if Path(sys.argv[0]).stem == "snn" else "python -m snn_helpers",
        description="Train, evaluate and convert the series' networks. The notebooks need none of it.",
    )
    commands = whole.add_subparsers(dest="command", required=True)
    commands.add_parser("download", help="fetch the full MNIST (11 MB) into the cache; the notebooks do without it")

    train = commands.add_parser(
        "train",
        help="train a network by a recipe, from scratch or from a checkpoint",
        description="Trains on MNIST's 60,000 training digits, or on the bundled 10,000 of them where there are no "
        "more, and evaluates on its 10,000 test digits. Writes OUT/NAME.json (settings and figures) and a folder "
        "OUT/NAME: checkpoint, weights, train and test accuracy (PNG and .npy), output voltage and spikes of the first "
        "test image (.npy). NAME is SYSTEM-RECIPE-seedN, once a setting is changed SYSTEM-custom-seedN, and on fewer "
        "digits SYSTEM-RECIPE-10000-seedN. Train accuracy is counted batch by batch while the network learns, so that "
        "it costs nothing: that of an epoch is of digits as they were trained on, and of weights that still moved. On "
        "several processes, which divide each batch: torchrun --standalone --nproc-per-node 2 -m snn_helpers train ...",
    )
    train.add_argument("system", choices=NETWORKS, help="which network; cnn is trained, then converted to spikes")
    train.add_argument(
        "--recipe",
        choices=["reference", "fast", "best"],
        default="fast",
        help="published settings, ours, or ours for longer (not for single-layer) (default: %(default)s)",
    )
    train.add_argument("--epochs", type=_whole, help="passes over the training digits (default: the recipe's)")
    train.add_argument("--steps", "-T", type=_whole, help="time steps an image (default: the recipe's)")
    train.add_argument("--batch-size", "-b", type=_whole, help="images a batch (default: the recipe's)")
    train.add_argument("--lr", type=_above_0, help="learning rate, the peak of a schedule (default: the recipe's)")
    leak = train.add_mutually_exclusive_group()
    leak.add_argument(
        "--tau",
        type=_above_0,
        help="membrane time constant in steps: beta = exp(-1/tau); of single-layer's reference, "
        "as published, beta = 1 - 1/tau and the input divided by tau",
    )
    leak.add_argument("--beta", type=_share, help="share of the membrane left after a step (default: the recipe's)")
    train.add_argument("--threshold", type=_above_0, help="membrane at which a neuron fires (default: the recipe's)")
    train.add_argument(
        "--loss", choices=["ce_rate", "ce_count", "mse_rate"], help="of the output spikes (default: the recipe's)"
    )
    train.add_argument(
        "--seed",
        type=_seed,
        default=0,
        help="initial weights, order and encoding follow from it (default: %(default)s)",
    )
    _common(train)
    train.add_argument("--log-dir", type=Path, help="folder for TensorBoard's scalars (pip install tensorboard)")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in OUT/NAME, if there is one")

    evaluate = commands.add_parser("evaluate", help="evaluate trained weights on all 10,000 test digits")
    evaluate.add_argument("system", choices=NETWORKS, help="which network")
    evaluate.add_argument(
        "--recipe",
        choices=["reference", "fast", "best"],
        help="what the weights were trained by (default: what the file says of itself, else fast)",
    )
    evaluate.add_argument("--weights", dest="file", type=Path, help="a .safetensors file of train (default: ours)")
    evaluate.add_argument("--steps", "-T", type=_whole, help="time steps an image (default: those of the training)")
    evaluate.add_argument("--seed", type=_seed, help="of the encoding (default: that of the training)")
    _common(evaluate, out=False)

    convert = commands.add_parser(
        "convert",
        help="turn trained cnn weights into spikes and evaluate them after every step",
        description="Writes OUT/cnn-to-snn.json, -accuracy.png (accuracy after every step) and -confusion.npy "
        "(the confusion matrix after every step, [T, 10, 10]).",
    )
    convert.add_argument(
        "--weights", dest="file", type=Path, help="a .safetensors file of train cnn (default: ours, of fast)"
    )
    convert.add_argument(
        "--percentile",
        type=_above_0,
        default=99.9,
        help="of the activations that become rate 1; 100 is the largest (default: %(default)s)",
    )
    convert.add_argument(
        "--v-init",
        type=_share,
        default=0.5,
        help="membrane before the first step, as a share of the threshold (default: %(default)s)",
    )
    convert.add_argument(
        "--input",
        choices=["constant", "poisson"],
        default="constant",
        help="pixels at every step, or spikes (default: %(default)s)",
    )
    convert.add_argument(
        "--spike-threshold",
        type=_above_0,
        default=1.0,
        help="a pixel x fires with probability x / this; Poisson input only (default: %(default)s)",
    )
    convert.add_argument("--steps", "-T", type=_whole, default=20, help="simulation steps (default: %(default)s)")
    convert.add_argument("--seed", type=_seed, default=0, help="of the Poisson input (default: %(default)s)")
    _common(convert)
    return whole


def _common(parser, out=True):
    parser.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda", "mps"],
        default="auto",
        help="where to compute (default: %(default)s)",
    )
    parser.add_argument("--data-dir", help="folder with MNIST's files (default: SNN_DATA_DIR, then the cache)")
    if out:
        parser.add_argument("--out", type=Path, default=Path("runs"), help="folder to write to (default: %(default)s)")


def _number(kind, fits, wanted):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {text}")
        return value

    return parse


_whole = _number(int, lambda value: value >= 1, "a whole number of at least 1")
_seed = _number(int, lambda value: 0 <= value < 2**32, "a whole number from 0 to 2**32 - 1")
_above_0 = _number(float, lambda value: 0 < value < float("inf"), "a number above 0")
_share = _number(float, lambda value: 0 <= value <= 1, "in [0, 1]")
