"""What is told of an image that was made again, in the grey levels of the image."""

import numpy as np
import polars as pl
import pytest
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.prepare import PreparePlan
from corpuscle.nets.zoo import NetPlan, build
from corpuscle.tasks.reconstruct import Reconstruct
from corpuscle.tasks.zoo import ReconstructPlan

MEAN, STD = (0.5, 0.4, 0.3), (0.1, 0.2, 0.4)


def task(**plan):
    return Reconstruct(ReconstructPlan(**plan), MEAN, STD)


def normalised(grey_NCHW):
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (MEAN, STD))
    return (grey_NCHW - mean) / std


def test_an_error_is_told_in_grey_levels_whatever_the_normalisation():
    seen = torch.rand(2, 3, 16, 16)
    off = torch.tensor([0.1, 0.02]).view(2, 1, 1, 1)
    said = task().decode(normalised(seen + off), normalised(seen))
    np.testing.assert_allclose(said[:, 0], [0.1, 0.02], rtol=1e-4)
    assert said[0, 1] < said[1, 1] < 1
    np.testing.assert_allclose(task().decode(seen, seen), [[0, 1], [0, 1]], atol=1e-6)


@pytest.mark.parametrize(("pixel", "expected"), [("l1", 0.5), ("mse", 0.25)])
def test_the_loss_is_shared_between_pixels_and_structure(pixel, expected):
    torch.manual_seed(0)
    seen = torch.randn(2, 3, 16, 16)
    made = seen + 0.5
    pixels, structure = (task(pixel=pixel, structure=share).loss(made, seen) for share in (0.0, 1.0))
    assert pixels.item() == pytest.approx(expected, rel=1e-5) and 0 < structure < 1
    likeness = task().decode(made, seen)[:, 1].mean()
    assert structure.item() == pytest.approx(1 - likeness, rel=1e-4)
    half = task(pixel=pixel, structure=0.5).loss(made, seen)
    torch.testing.assert_close(half, (pixels + structure) / 2)


def test_a_net_that_gives_no_image_is_refused():
    net = build(NetPlan(model="localiser"), 3, 32)
    frame = pl.DataFrame({"image": ["a.png"]})
    with pytest.raises(
        CorpuscleError, match=r"^task=reconstruct expects net\.head=image, got linear; pass --recipe prcc"
    ):
        task().targets(frame, PreparePlan(), net)
