"""data and assets: where digits come from, and what happens to damaged ones."""

import gzip
import hashlib
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


def test_the_bundled_digits_are_the_default_and_split_8000_2000(nowhere):
    train, test = data.mnist(), data.mnist(train=False)
    assert train.images.shape == (8000, 28, 28) and train.images.dtype == torch.uint8
    assert test.labels.shape == (2000,) and test.labels.dtype == torch.int64
    assert "bundled sample" in train.source and "8,000 training" in train.source and "2,000 test" in test.source


def test_the_split_is_stratified_and_disjoint():
    train, test = data.mnist(root="bundled"), data.mnist(train=False, root="bundled")
    share = test.labels.bincount() / (train.labels.bincount() + test.labels.bincount())
    assert ((share - 0.2).abs() < 0.002).all()
    prints = [{hashlib.md5(image.numpy().tobytes()).digest() for image in part.images} for part in (train, test)]
    assert len(prints[0] | prints[1]) == 10_000


def test_the_bundled_digits_are_mnists_first_ten_thousand_training_labels():
    labels = gzip.decompress(assets.read("digits-labels.gz"))[8:]
    assert list(labels[:10]) == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(np.frombuffer(labels, np.uint8)).tolist() == [
        1001,
        1127,
        991,
        1032,
        980,
        863,
        1014,
        1070,
        944,
        978,
    ]


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


def test_a_damaged_bundled_file_is_refused(monkeypatch):
    monkeypatch.setitem(assets.SHA256, "digits-labels.gz", "0" * 64)
    with pytest.raises(ValueError, match=r"digits-labels\.gz is not the file that came with the package"):
        data.mnist()
    with pytest.raises(ValueError, match=r"no bundled file 'nothing.gz'. There are: digits-images.gz"):
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
