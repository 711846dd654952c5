"""What all tests share."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

EXTRAS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]


def _installed(extra):
    for requirement in EXTRAS[extra]:
        try:
            importlib.metadata.distribution(re.match(r"[\w-]+", requirement)[0])
        except importlib.metadata.PackageNotFoundError:
            return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """A test marked ``extra("bench")`` needs what that extra installs; ``pytest -m extra`` runs just these."""
    for marker in item.iter_markers("extra"):
        for extra in marker.args:
            if not _installed(extra):
                pytest.skip(f"needs the extra {extra}: pip install --editable '.[{extra}]'")


class ByFile(LoadFileScheduling):
    """A file goes to one of the processes as a whole; the notebooks in JupyterLab, minutes each, one by one."""

    def _split_scope(self, nodeid):
        return nodeid if "browser/test_notebooks.py" in nodeid else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def closed_figures():
    """Every test ends with the figures it opened closed."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture
def two_threads():
    """torch shares work out to two threads, however many this machine, or its user, gives it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def refused():
    """``refused("02.1", answer, "words")``: the checker calls the answer wrong, for this reason."""
    from snn_helpers.exercises import grade

    def assert_refused(number, answer, words):
        verdict = grade(number, answer)
        assert verdict.status == "not yet", verdict
        assert re.search(words, verdict.reason), verdict.reason

    return assert_refused


@pytest.fixture
def accepted():
    """``accepted("02.1", answer)``: the checker calls the answer right; its sentence."""
    from snn_helpers.exercises import grade

    def assert_accepted(number, answer, words=""):
        verdict = grade(number, answer)
        assert verdict.status == "right", verdict
        assert re.search(words, verdict.reason), verdict.reason
        return verdict.reason

    return assert_accepted


@pytest.fixture
def good_strip():
    """``good_strip(panel)``: four pictures that hold something, the same each time, and a sentence."""
    from snn_helpers import plots

    def assert_good(panel):
        figure = panel.strip()
        assert len(figure.axes) == 4 and all(ax.has_data() for ax in figure.axes)
        assert plots.png(figure) == plots.png(panel.strip()), "the strip differs from one time to the next"
        assert len(panel.sentence) > 40

    return assert_good


@pytest.fixture
def drive():
    """``drive(panel)``: move its controls over corners and random interior; every picture holds something."""
    import itertools
    import random

    from snn_helpers.widgets.panel import _each

    def positions(control):
        if hasattr(control, "options"):
            return [value for _, value in control._options_full]
        return [control.min, control.max] if hasattr(control, "min") else [control.value]  # a pad: left alone

    def inside(control, draw):
        if not hasattr(control, "min"):
            return draw.choice(positions(control))
        count = round((control.max - control.min) / control.step)
        value = control.min + control.step * draw.randint(0, count)
        return min(value, control.max)

    def run(panel, most=24):
        draw = random.Random(0)
        corners = list(itertools.product(*(positions(control) for control in panel.controls.values())))
        draw.shuffle(corners)
        moves = corners[:most] + [[inside(c, draw) for c in panel.controls.values()] for _ in range(12)]
        pictures = set()
        for values in moves:
            for control, value in zip(panel.controls.values(), values, strict=True):
                control.value = value
            assert "⚠" not in panel.headline.value, (panel.values(), panel.headline.value)
            assert any(ax.has_data() for ax in _each(panel.axes)), panel.values()
            pictures.add(panel.image.value)
        assert len(pictures) > 1, "no control changes the picture"

    return run


@pytest.fixture(scope="session")
def few(tmp_path_factory):
    """A folder with MNIST's four files, of 211 and 97 digits."""
    import gzip

    import numpy as np

    from snn_helpers import data

    folder = tmp_path_factory.mktemp("few")
    for part, train, count in ("train", True, 211), ("t10k", False, 97):
        digits = data.mnist(train, root="bundled")
        for kind, array in ("images-idx3", digits.images[:count]), ("labels-idx1", digits.labels[:count]):
            axes = b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = bytes([0, 0, 8, array.ndim]) + axes + array.numpy().astype(np.uint8).tobytes()
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    return folder
