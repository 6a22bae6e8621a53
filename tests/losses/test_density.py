import pytest
import torch

from corpuscle.losses import density
from corpuscle.losses.density import count_loss, density_loss


def test_the_loss_of_the_target_itself_is_nothing_and_grows_with_the_distance():
    target_NKhw = torch.rand(2, 3, 16, 16) * 0.1
    losses = [density_loss(target_NKhw + shift, target_NKhw).item() for shift in (0.0, 0.01, 0.02)]
    assert losses[0] == 0
    assert losses == sorted(losses)
    assert losses[1] > 0


def test_errors_that_add_up_cost_more_than_errors_that_cancel():
    target_NKhw = torch.rand(2, 1, 32, 32) * 0.1
    same = torch.full((32, 32), 0.01)
    cancel = same * torch.tensor([1.0, -1.0]).repeat(16)
    unit = 0.01**2 * density.UNIT**2
    for error, expected in ((cancel, unit), (same, unit * (1 + density.SHARE * (4**2 + 16**2)))):
        assert density_loss(target_NKhw + error, target_NKhw).item() == pytest.approx(expected, rel=1e-3)


def test_a_density_smaller_than_the_windows_is_judged_whole():
    target_NKhw = torch.zeros(1, 1, 3, 5)
    assert density_loss(target_NKhw + 0.01, target_NKhw).item() > 0


def test_a_count_is_judged_in_units_of_its_scatter():
    true_NK = torch.tensor([[3.0], [99.0]])
    assert count_loss(true_NK, true_NK) == 0
    assert count_loss(true_NK + torch.tensor([[2.0], [0.0]]), true_NK).item() == pytest.approx(0.5)
    assert count_loss(true_NK + torch.tensor([[0.0], [-20.0]]), true_NK).item() == pytest.approx(1.0)


@pytest.mark.parametrize("loss", [density_loss, count_loss])
def test_the_gradient_is_finite_where_nothing_is(loss):
    shape = (2, 1, 8, 8) if loss is density_loss else (2, 1)
    output = torch.zeros(shape, requires_grad=True)
    loss(output, torch.zeros(shape)).backward()
    assert output.grad.isfinite().all()
