"""checkpoints: a state goes back only into a run with the same settings, and random draws go on where they were."""

import pytest
import torch

from snn_helpers import weights
from snn_helpers.runs import checkpoints


@pytest.mark.parametrize(
    "saved, wanted, words",
    [
        ({}, {"lr": 0.1}, "with lr None, wanted one with 0.1"),
        ({"lr": 0.1}, {}, "with lr 0.1, wanted one with None"),
        ({"lr": 0.1, "seed": 1}, {"lr": 0.1, "seed": 2}, "with seed 1, wanted one with 2"),
    ],
)
def test_a_setting_that_only_one_of_them_names_counts_too(tmp_path, saved, wanted, words):
    path = tmp_path / "c.pt"
    checkpoints.Checkpoint(path, saved).save({"x": 3})
    assert checkpoints.Checkpoint(path, saved).load() == {"x": 3}
    with pytest.raises(ValueError, match=f"is of a run {words}"):
        checkpoints.Checkpoint(path, wanted).load()


def test_random_draws_go_on_where_they_were():
    device = torch.device("cpu")
    with torch.random.fork_rng():
        state = checkpoints.random_state(device)
        wanted = torch.rand(3)
        checkpoints.set_random_state(state, device)
        assert torch.equal(torch.rand(3), wanted) and not torch.equal(torch.rand(3), wanted)


def test_a_file_takes_the_place_of_the_one_before(tmp_path):
    path = tmp_path / "file"
    for content in "before", b"after":
        weights.write(path, content)
    assert path.read_bytes() == b"after" and list(tmp_path.iterdir()) == [path]
