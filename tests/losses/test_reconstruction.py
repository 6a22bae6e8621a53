"""Structure against an independent computation, and what is equal, unrelated, or seen before learning."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from corpuscle.losses.reconstruction import pixel_loss, ssim


def reference(a_HW: np.ndarray, b_HW: np.ndarray) -> float:
    """Wang et al. 2004 as scikit-image computes it, with Gaussian windows that lie within the image."""

    def blurred(x_HW):
        return gaussian_filter(x_HW, 1.5, radius=5)[5:-5, 5:-5]

    mean_a, mean_b = blurred(a_HW), blurred(b_HW)
    var_a, var_b = blurred(a_HW**2) - mean_a**2, blurred(b_HW**2) - mean_b**2
    both = blurred(a_HW * b_HW) - mean_a * mean_b
    mean_part = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    return float((mean_part * (2 * both + 9e-4) / (var_a + var_b + 9e-4)).mean())


def test_it_is_that_of_the_paper_for_each_image_by_itself():
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.random((2, 3, 30, 41)), (0, 0, 2, 2))
    other = np.clip(smooth + rng.normal(0, (0.02, 0.2), (3, 30, 41, 2)).transpose(3, 0, 1, 2), 0, 1)
    expected = [
        np.mean([reference(a, b) for a, b in zip(*pair, strict=True)]) for pair in zip(smooth, other, strict=True)
    ]
    found = ssim(*(torch.from_numpy(x).float() for x in (smooth, other)))
    assert expected[0] > 0.6 > 0.2 > expected[1]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_equal_images_are_alike_and_noise_is_not():
    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(ssim(a, a), torch.ones(2))
    assert ssim(a, b).abs().max() < 0.1
    torch.testing.assert_close(ssim(a, b), ssim(b, a))


def test_what_was_first_seen_without_a_gradient_can_be_learned_from():
    with torch.inference_mode():
        ssim(torch.rand(1, 3, 23, 29), torch.rand(1, 3, 23, 29))
    image = torch.rand(1, 3, 23, 29, requires_grad=True)
    ssim(image, torch.rand(1, 3, 23, 29)).sum().backward()
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize(("how", "expected"), [("l1", 2.0), ("mse", 5.0)])
def test_the_difference_of_pixels_is_absolute_or_squared(how, expected):
    assert pixel_loss(torch.tensor([1.0, 3.0]), torch.zeros(2), how).item() == expected
