"""The command line: ``python -m snn_helpers download`` and ``python -m snn_helpers train``."""

import argparse
import json
import os
import sys
from pathlib import Path

from snn_helpers import data


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m snn_helpers", description="The full MNIST, and recorded runs on it. The notebooks need neither."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("download", help="fetch the full MNIST (11 MB) into the cache; the notebooks do without it")
    train = commands.add_parser("train", help="a recorded run on the full MNIST, written as one JSON file")
    train.add_argument("system", choices=["single-layer"])
    train.add_argument(
        "--recipe", choices=["reference", "fast"], default="fast", help="published settings, or ours (default)"
    )
    train.add_argument(
        "--seed", type=int, default=0, help="initial weights, order and encoding follow from it (default 0)"
    )
    train.add_argument("--epochs", type=int, help="passes over the training digits (default: the recipe's)")
    train.add_argument("--data-dir", help="folder with MNIST's files (default: SNN_DATA_DIR, then the cache)")
    train.add_argument(
        "--out", type=Path, default=Path("."), help="folder for SYSTEM-RECIPE-seedN.json (default: this one)"
    )
    train.add_argument("--weights", action="store_true", help="write the weights beside it, as .safetensors")
    options = parser.parse_args(arguments)
    try:
        {"download": _download, "train": _train}[options.command](options)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"{options.command}: {str(error).splitlines()[0]}")
    except KeyboardInterrupt:
        sys.exit(f"{options.command}: interrupted, nothing was written.")


def _download(options):
    try:
        folder = data.download()
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"wanted MNIST's four files, got: {str(error).splitlines()[0].rstrip(':')}. Nothing was kept. Check the "
            "network and try again, or set SNN_DATA_DIR to a folder that has them; the notebooks do without."
        ) from error
    print(f"The full MNIST is in {folder}: data.mnist() finds it there.")


def _train(options):
    from snn_helpers import networks, recipes  # here, so that download and --help do not wait for what they do not use

    if options.epochs is not None and options.epochs < 1:
        raise ValueError(f"--epochs must be at least 1, got {options.epochs}.")
    options.out.mkdir(parents=True, exist_ok=True)
    parts = [data.mnist(train, root=options.data_dir) for train in (True, False)]
    if len(parts[1].labels) != 10_000:
        raise ValueError(
            "a recorded run wants the full MNIST, found only the bundled sample. Run: python -m snn_helpers download"
        )
    net, record = recipes.run(options.system, options.recipe, *parts, seed=options.seed, epochs=options.epochs)
    path = options.out / f"{options.system}-{options.recipe}-seed{options.seed}.json"
    if options.weights:
        networks.save_weights(net, path.with_suffix(".safetensors"), {k: record[k] for k in record if k != "history"})
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
    print(
        f"{record['test_accuracy']:.2%} of {record['test_images']:,} test digits after {record['epochs']} epochs: "
        f"{path}"
    )


if __name__ == "__main__":
    main()
