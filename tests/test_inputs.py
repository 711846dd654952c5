"""What recipes make of images: the mean and the deviation of an input, and a random affine transform."""

import math

import pytest
import torch

from snn_helpers import data, encoding, recipes

AXIS = torch.arange(28.0) - 13.5


def centre(images, axis):
    """The mean place of the ink of each image along x (axis 1) or y (axis 0), from the middle, in pixels."""
    return (images.sum(2 - axis) * AXIS).sum(-1) / images.sum((1, 2))


def jittered(image, **how):
    torch.manual_seed(0)
    how = dict(turn=0.0, zoom=0.0, shift=0.0) | how
    return data.random_affine(image.expand(307, 1, 28, 28), **how)[:, 0]


def test_a_centred_image_has_mean_0_and_deviation_1_over_the_training_digits():
    images = data.mnist(root="bundled").pixels
    x = encoding.standardized(images, 3)
    assert x.shape == (3, *images.shape) and x.stride(0) == 0
    assert x[0].mean() == pytest.approx(0, abs=0.01) and x[0].std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("system, drive", [("hidden-layer", 1), ("cnn-to-snn", 0.4)])
def test_poisson_inputs_fire_at_so_much_of_a_pixels_value(system, drive):
    torch.manual_seed(0)
    recipe = recipes.RECIPES[system]["reference"]
    x = recipe.convert.get("encode", recipe.encode)(torch.full((13, 1, 7, 5), 0.75), 211)
    assert x.shape == (211, 13, 1, 7, 5) and set(x.unique().tolist()) == {0, 1}
    assert x.mean() == pytest.approx(0.75 * drive, abs=4 * 0.5 / x.numel() ** 0.5)


def test_a_decayed_input_is_smaller_by_tau():
    torch.manual_seed(0)
    x = recipes.decayed_poisson(torch.full((13, 1, 7, 5), 0.75), 211, tau=4.0)
    assert set(x.unique().tolist()) == {0, 0.25} and (x > 0).double().mean() == pytest.approx(0.75, abs=0.01)


def test_a_network_without_time_gets_the_image_itself():
    images = torch.rand(5, 1, 28, 28)
    assert recipes.RECIPES["cnn-to-snn"]["fast"].input(images) is images


def test_a_random_affine_turns_and_does_not_shear():
    """A bar across and a bar upright turn by the same angle the same way round: they stay at a right angle."""
    across, upright = torch.zeros(2, 1, 1, 28, 28)
    across[..., 13:15, 4:24] = 1
    upright[..., 4:24, 13:15] = 1
    right, below = (jittered(bar, turn=30) for bar in (across, upright))
    column, row = right[:, :, 20], below[:, 20, :]  # 6.5 pixels to the right of the middle, and below it
    down = (column * AXIS).sum(-1) / column.sum(-1) / 6.5
    left = -(row * AXIS).sum(-1) / row.sum(-1) / 6.5
    torch.testing.assert_close(down, left, atol=0.02, rtol=0)
    assert math.tan(math.radians(24)) < down.max() < math.tan(math.radians(31)) and down.min() < -0.4
    assert abs(down.mean()) < 0.06  # both ways alike
    for axis in 0, 1:
        assert centre(right, axis).abs().max() < 0.05
    torch.testing.assert_close(right.sum((1, 2)), torch.full((307,), 40.0), atol=0.8, rtol=0)  # nothing is stretched


def test_a_random_affine_scales_across_and_down_alike():
    square = torch.zeros(1, 1, 28, 28)
    square[..., 8:20, 8:20] = 1
    scaled = jittered(square, zoom=0.2)
    wide, high = scaled[:, 14].sum(-1), scaled[:, :, 14].sum(-1)
    torch.testing.assert_close(wide, high)
    assert 12 / 1.2 - 0.1 < wide.min() < 10.5 and 14.3 < wide.max() < 12 / 0.8 + 0.1
    for axis in 0, 1:
        assert centre(scaled, axis).abs().max() < 0.01


def test_a_random_affine_moves_across_and_down_apart():
    dot = torch.zeros(1, 1, 28, 28)
    dot[..., 13:15, 13:15] = 1
    moved = jittered(dot, shift=3)
    x, y = centre(moved, 1), centre(moved, 0)
    for places in x, y:
        assert -3.01 < places.min() < -2.8 and 2.8 < places.max() < 3.01 and abs(places.mean()) < 0.4
    assert abs(torch.corrcoef(torch.stack([x, y]))[0, 1]) < 0.2


def test_a_bent_image_is_looked_up_elsewhere():
    image = torch.rand(2, 1, 28, 20)
    place = torch.tensor([3.0, -2.0]).expand(2, 28, 20, 2)  # three to the right, two up
    bent = data.affine(image, bend=place)
    wanted = torch.zeros_like(image)
    wanted[..., 2:, :-3] = image[..., :-2, 3:]
    torch.testing.assert_close(bent, wanted, atol=1e-5, rtol=0)


def test_what_is_near_bends_alike_and_what_is_far_does_not():
    torch.manual_seed(0)
    places = torch.stack(torch.meshgrid(AXIS, AXIS, indexing="ij")[::-1])  # each pixel holds where it is
    bent = data.random_affine(places.expand(307, 2, 28, 28), turn=0, zoom=0, shift=0, bend=0.8) - places
    middle, near, far = bent[:, :, 13, 13], bent[:, :, 13, 15], bent[:, :, 13, 24]
    assert middle.std(0).tolist() == pytest.approx([0.8, 0.8], rel=0.1) and middle.mean(0).abs().max() < 0.15
    for axis in 0, 1:
        assert torch.corrcoef(torch.stack([middle[:, axis], near[:, axis]]))[0, 1] > 0.9
        assert abs(torch.corrcoef(torch.stack([middle[:, axis], far[:, axis]]))[0, 1]) < 0.25
    assert abs(torch.corrcoef(middle.T)[0, 1]) < 0.2
