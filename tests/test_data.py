"""data and assets: where digits come from, and what happens to damaged ones."""

import gzip
import hashlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from snn_helpers import assets, data


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    """Five digits as IDX files, the way MNIST's are."""
    images = np.arange(5 * 28 * 28).reshape(5, 28, 28) % 251
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([3, 1, 4, 1, 5]))))
    return tmp_path


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No SNN_DATA_DIR, and an empty cache."""
    monkeypatch.delenv("SNN_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_bundled_digits_are_the_default(nowhere):
    train, test = data.mnist(), data.mnist(train=False)
    assert train.images.shape == test.images.shape == (10_000, 28, 28) and train.images.dtype == torch.uint8
    assert train.labels.shape == test.labels.shape == (10_000,) and test.labels.dtype == torch.int64
    assert train.source == "the bundled digits: MNIST's first 10,000 training digits"
    assert test.source == "the bundled digits: MNIST's 10,000 test digits"


@pytest.mark.parametrize(
    "name, md5",
    [
        # as MNIST's own files have it
        ("test-images.gz", "2646ac647ad5339dbf082846283269ea"),
        ("test-labels.gz", "27ae3e4e09519cfbb04c329615203637"),
        # of their first 10,000 images, and labels, under a header that says 10,000
        ("train-images.gz", "63a563d3843dba5073e604e3a7990e87"),
        ("train-labels.gz", "e6ef65212ddc6f9010e22d95b5269050"),
    ],
)
def test_the_bundled_digits_are_mnists_byte_for_byte(name, md5):
    assert hashlib.md5(gzip.decompress(assets.read(name))).hexdigest() == md5


def test_no_digit_is_bundled_for_training_and_for_test():
    train, test = data.mnist(root="bundled"), data.mnist(train=False, root="bundled")
    prints = [{hashlib.md5(image.numpy().tobytes()).digest() for image in part.images} for part in (train, test)]
    assert len(prints[0] | prints[1]) == 20_000
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert train.labels.bincount().tolist() == [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]


def test_the_first_so_many_say_so():
    test = data.mnist(train=False, root="bundled")
    some = test.first(2000)
    assert torch.equal(some.images, test.images[:2000]) and torch.equal(some.labels, test.labels[:2000])
    assert some.source == "the first 2,000 of the bundled digits: MNIST's 10,000 test digits"
    assert test.first(10_000) == test and len(test.first(1).labels) == 1
    for count in 0, -3, 10_001:
        words = f"first: count must be from 1 to 10,000, the digits there are, got {count}."
        with pytest.raises(ValueError, match=re.escape(words)):
            test.first(count)
    with pytest.raises(ValueError, match="from 1 to 2,000"):
        some.first(2001)


def test_the_bundled_digits_are_made_from_a_folder_that_holds_mnist(tmp_path, monkeypatch, capsys):
    """The folder's training files go on after the first 10,000, as MNIST's do."""
    path = Path(__file__).parents[1] / "tools" / "make_sample.py"
    spec = importlib.util.spec_from_file_location("make_sample", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for part, train, more in ("train", True, 7), ("t10k", False, 0):
        digits = data.mnist(train, root="bundled")
        for kind, array in ("images-idx3", digits.images), ("labels-idx1", digits.labels):
            content = idx(torch.cat([array, array[:more]]).numpy())
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(content, 1))
    there = tmp_path / "assets"
    there.mkdir()
    wanted = {name: assets.read(name) for name in assets.SHA256 if name.endswith(".gz")}
    monkeypatch.setattr(assets, "__file__", str(there / "__init__.py"))
    tool.main(tmp_path)
    printed = dict(re.findall(r'"([\w-]+\.gz)": "(\w{64})",', capsys.readouterr().out))
    made = {path.name: path.read_bytes() for path in there.iterdir()}
    assert set(made) == set(wanted) == set(printed)
    for name, content in made.items():
        assert gzip.decompress(content) == gzip.decompress(wanted[name])  # zipped, they differ by the version of zlib
        assert hashlib.sha256(content).hexdigest() == printed[name]
        assert content[4:8] == bytes(4)  # no time of day in it


def test_idx_files_are_read_plain_and_zipped_and_in_torchvisions_folder(folder, tmp_path):
    digits = data.mnist(train=False, root=folder)
    assert digits.labels.tolist() == [3, 1, 4, 1, 5]
    assert digits.images[1, 0, :3].tolist() == [784 % 251, 785 % 251, 786 % 251]
    assert digits.source == f"digits from IDX files: 5 test digits in {folder}"
    raw = tmp_path / "other" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in folder.glob("t10k*"):
        path.rename(raw / path.name)
    assert data.mnist(train=False, root=str(tmp_path / "other")).labels.tolist() == digits.labels.tolist()


def test_the_environment_and_the_cache_are_looked_into_in_that_order(folder, nowhere, monkeypatch):
    data.cache().mkdir(parents=True)
    for path in folder.glob("t10k*"):
        path.rename(data.cache() / path.name)
    assert data.mnist(train=False).source.endswith(str(data.cache()))
    assert "bundled" in data.mnist(train=True).source
    monkeypatch.setenv("SNN_DATA_DIR", str(folder))
    with pytest.raises(FileNotFoundError, match="found no such file"):
        data.mnist(train=False)
    assert "bundled" in data.mnist(train=False, root="bundled").source


def test_a_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"wanted train-images-idx3-ubyte .* in .*nothing.*python -m snn_helpers download"
    ):
        data.mnist(root=tmp_path / "nothing")


def damage(name, change, message):
    return pytest.param(name, change, message, id=message)


@pytest.mark.parametrize(
    "name, change, message",
    [
        damage("t10k-images-idx3-ubyte", lambda b: b[:-1], r"should hold \[5, 28, 28\] values, got 3919"),
        damage("t10k-images-idx3-ubyte", lambda b: b + b"\0", r"should hold \[5, 28, 28\] values, got 3921"),
        damage("t10k-images-idx3-ubyte", lambda b: b[:7], "not an IDX file of bytes"),
        damage("t10k-images-idx3-ubyte", lambda b: b"", "not an IDX file of bytes"),
        damage("t10k-images-idx3-ubyte", lambda b: b"<html>" + b, "not an IDX file of bytes"),
        damage("t10k-images-idx3-ubyte", lambda b: idx(np.zeros((5, 27, 28))), r"got \[5, 27, 28\] and \[5\]"),
        damage("t10k-images-idx3-ubyte", lambda b: idx(np.zeros((4, 28, 28))), r"got \[4, 28, 28\] and \[5\]"),
        damage("t10k-labels-idx1-ubyte.gz", lambda b: b[:-9], "truncated or damaged"),
        damage("t10k-labels-idx1-ubyte.gz", lambda b: b[:12] + bytes([b[12] ^ 255]) + b[13:], "truncated or damaged"),
        damage(
            "t10k-labels-idx1-ubyte.gz",
            lambda b: gzip.compress(idx(np.array([3, 1, 4, 10, 5]))),
            "labels must be 0 to 9, got 10",
        ),
        damage(
            "t10k-images-idx3-ubyte",
            lambda b: idx(np.zeros((10_000, 28, 28))),
            "size of MNIST's file but not its content",
        ),
    ],
)
def test_damaged_files_are_refused_by_name(folder, name, change, message):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as error:
        data.mnist(train=False, root=folder)
    assert str(folder) in str(error.value) and "download" in str(error.value)


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_each_of_mnists_files_is_held_to_its_checksum(tmp_path, kind):
    """One pixel, or one label, of the official test files is another."""
    for name, official in ("images", "t10k-images-idx3-ubyte"), ("labels", "t10k-labels-idx1-ubyte"):
        content = bytearray(gzip.decompress(assets.read(f"test-{name}.gz")))
        if name == kind:
            content[-1] ^= 1
        (tmp_path / official).write_bytes(content)
    with pytest.raises(ValueError, match=rf"t10k-{kind}-idx\d-ubyte has the size of MNIST's file but not its content"):
        data.mnist(train=False, root=tmp_path)
    content[-1] ^= kind == "labels"
    (tmp_path / official).write_bytes(content)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(gzip.decompress(assets.read("test-images.gz")))
    digits = data.mnist(train=False, root=tmp_path)
    assert digits.source == f"MNIST: 10,000 test digits in {tmp_path}"
    assert torch.equal(digits.images, data.mnist(train=False, root="bundled").images)


def test_a_damaged_bundled_file_is_refused(monkeypatch):
    monkeypatch.setitem(assets.SHA256, "train-labels.gz", "0" * 64)
    with pytest.raises(ValueError, match=r"train-labels\.gz is not the file that came with the package"):
        data.mnist()
    with pytest.raises(ValueError, match=r"no bundled file 'nothing.gz'. There are: train-images.gz"):
        assets.read("nothing.gz")


def test_every_bundled_file_is_listed_and_whole():
    there = {path.name for path in Path(assets.__file__).parent.iterdir() if path.suffix in (".gz", ".safetensors")}
    assert there == set(assets.SHA256)
    assert all(assets.read(name) for name in there)


def test_batches_leave_no_digit_out_and_scale_to_one():
    digits = data.Digits(torch.randint(0, 256, (17, 28, 28), dtype=torch.uint8), torch.arange(17) % 10, "")
    parts = list(data.batches(digits, 5))
    assert [len(y) for _, y in parts] == [5, 5, 5, 2]
    images = torch.cat([x for x, _ in parts])
    assert images.shape == (17, 1, 28, 28) and images.dtype == torch.float32
    assert torch.equal((images[:, 0] * 255).round().to(torch.uint8), digits.images)
    assert images.max() <= 1


@pytest.mark.parametrize(
    "images, labels",
    [
        (torch.rand(5, 28, 28), torch.arange(5)),  # they would be divided by 255 again
        (torch.zeros(5, 1, 28, 28, dtype=torch.uint8), torch.arange(5)),
        (torch.zeros(6, 28, 28, dtype=torch.uint8), torch.arange(5)),
        (torch.zeros(5, 28, 28, dtype=torch.uint8), torch.arange(6)),
        (torch.zeros(5, 28, 28, dtype=torch.uint8), torch.zeros(5, 10)),
    ],
)
def test_batches_of_something_else_than_digits_are_refused(images, labels):
    with pytest.raises(ValueError, match=r"batches: wanted images uint8 \[N, 28, 28\] and labels \[N\], got torch\."):
        next(data.batches(data.Digits(images, labels, ""), 3))


def test_shuffled_batches_follow_the_seed_and_keep_pairs_together():
    digits = data.Digits(torch.arange(23, dtype=torch.uint8).view(-1, 1, 1).expand(-1, 28, 28), torch.arange(23), "")

    def order(seed):
        parts = list(data.batches(digits, 7, shuffle=True, seed=seed))
        labels = torch.cat([y for _, y in parts])
        assert torch.equal((torch.cat([x for x, _ in parts])[:, 0, 0, 0] * 255).round().long(), labels)
        return labels.tolist()

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == list(range(23))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        next(data.batches(digits, 0))


class FakeMNIST:
    """Stands in for torchvision's, which needs the network: writes what ``files`` holds, then fails if told to."""

    files, fails = {}, False

    def __init__(self, root, download):
        raw = Path(root) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name, content in self.files.items():
            (raw / name).write_bytes(content)
        if self.fails:
            raise RuntimeError("connection lost")


@pytest.fixture
def torchvision(monkeypatch, nowhere):
    import torchvision.datasets

    monkeypatch.setattr(torchvision.datasets, "MNIST", FakeMNIST)
    content = {"images-idx3": idx(np.zeros((3, 28, 28))), "labels-idx1": idx(np.array([1, 2, 3]))}
    files = {f"{part}-{kind}-ubyte.gz": gzip.compress(c) for part in ("train", "t10k") for kind, c in content.items()}
    monkeypatch.setattr(FakeMNIST, "files", files)
    return monkeypatch


def left_over():
    return [path for path in data.cache().parent.rglob("*")] if data.cache().parent.exists() else []


def test_a_download_fills_the_cache(torchvision):
    assert data.download() == data.cache()
    assert data.mnist(train=False).labels.tolist() == [1, 2, 3]
    assert {path.name for path in left_over()} == {"mnist", *FakeMNIST.files}


def test_a_download_that_fails_leaves_nothing_behind(torchvision):
    torchvision.setattr(FakeMNIST, "fails", True)
    with pytest.raises(RuntimeError, match="connection lost"):
        data.download()
    assert left_over() == []


def test_a_download_that_arrives_damaged_leaves_nothing_behind(torchvision):
    torchvision.setitem(FakeMNIST.files, "t10k-labels-idx1-ubyte.gz", b"half a fi")
    with pytest.raises(ValueError, match="truncated or damaged"):
        data.download()
    assert left_over() == []
