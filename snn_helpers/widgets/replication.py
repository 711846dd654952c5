"""The table of notebook 05 that holds a published report's claims against what can be checked."""

from IPython.display import Markdown

from snn_helpers import weights

HEAD = "the report says", "not given, or to be asked", "our settings", "what we find"


def replication_table(history, by_bits):
    """Each claim of system C beside our recorded runs, as Markdown.

    history : training.History of the lesson's own run, on fewer digits
    by_bits : {bits of a weight: accuracy of the network whose weights are rounded so}, the full precision first
    """
    system = "hidden-layer"
    reference, fast = (weights.recorded(system, name) for name in ("reference", "fast"))
    twin = weights.recorded("mlp-twin", "fast")
    settings, published = reference[0]["settings"], weights.published(system)
    ahead = sum(run["test_accuracy"] > published["test_accuracy"] for run in reference)
    gaps = [100 * (snn["test_accuracy"] - ann["test_accuracy"]) for snn, ann in zip(fast, twin, strict=True)]
    while_learning, at_the_end = _shares(history.train_accuracy[:1]), _shares(history.test_accuracy[:1])
    rows = [
        (
            f"**{published['test_accuracy']:.2%}** of the test digits after {published['epochs']} epochs",
            "$\\beta$, reset, slope of the surrogate, what the cross entropy is of: not given; one run",
            f"`{settings['layer']}`; `{settings['loss']}`; what was open, chosen for accuracy on the last 5,000 "
            "training digits",
            f"{_all(reference)} after the last epoch; {ahead} of {len(reference)} seeds above the report",
        ),
        (
            f"**{published['first_epoch_train_accuracy']:.2%}** of the training digits in the first epoch",
            "counted while the network learns, or afterwards?",
            "this lesson's run on a sixth of the digits counts while it learns; the full runs are tested after it",
            f"lesson: {while_learning} while it learns, but {at_the_end} of the test digits at the end of that epoch. "
            "Full runs: "
            f"{_shares(run['history']['test_accuracy'][0] for run in reference)} of the test digits",
        ),
        (
            "encoded in advance, the digits are 4.7 billion values: hence **on the fly**",
            "",
            "the same",
            f"{60_000 * 784 * 100:,} values: right",
        ),
        (
            "an SNN is discussed beside an **ANN**",
            "in pairs, over several seeds, each side with a learning rate chosen for it?",
            "`fast` and its twin",
            f"{_all(fast)} and {_all(twin)}; SNN - twin {', '.join(f'{gap:+.2f}' for gap in gaps)} points",
        ),
        (
            "**specialised hardware** raises the accuracy",
            "by what? It computes the same sums, as a rule with fewer bits",
            f"the trained `fast`, its weights in {', '.join(map(str, by_bits))} bits, 2,000 test digits",
            _shares(by_bits.values()),
        ),
    ]
    return Markdown("\n".join(f"| {' | '.join(row)} |" for row in (HEAD, ("---",) * len(HEAD), *rows)))


def _shares(shares):
    return ", ".join(f"{share:.2%}" for share in shares)


def _all(runs):
    return _shares(run["test_accuracy"] for run in runs)
