from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch import losses as reference

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.legend import IGNORED
from corpuscle.losses.segmentation import LOSSES, Judged, cross_entropy, dice_loss, focal_loss, mask_loss

every_loss = pytest.mark.parametrize("name", LOSSES)
WEIGHT_K = torch.tensor([0.1, 2.0, 1.0, 5.0])


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Class scores and true classes with some pixels ignored."""
    random = torch.Generator().manual_seed(0)
    logits_NKHW = 2 * torch.randn(3, 4, 9, 7, generator=random)
    target_NHW = torch.randint(4, (3, 9, 7), generator=random)
    target_NHW[torch.rand(3, 9, 7, generator=random) < 0.2] = IGNORED
    return logits_NKHW, target_NHW


@pytest.mark.parametrize("weight_K", [None, WEIGHT_K])
def test_the_cross_entropy_is_that_of_torch(batch: tuple, weight_K: torch.Tensor | None) -> None:
    expected = F.cross_entropy(*batch, weight_K, ignore_index=IGNORED)
    assert cross_entropy(Judged.of(*batch), weight_K).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_dice_loss_is_that_of_segmentation_models_where_all_classes_are_there(batch: tuple) -> None:
    expected = reference.DiceLoss("multiclass", ignore_index=IGNORED)(*batch)
    assert dice_loss(Judged.of(*batch)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_dice_loss_is_the_mean_over_the_classes_that_are_there(batch: tuple) -> None:
    logits_NKHW, target_NHW = batch
    target_NHW = torch.where(target_NHW == 2, 1, target_NHW)
    others = reference.DiceLoss("multiclass", ignore_index=IGNORED, classes=[0, 1, 3])(logits_NKHW, target_NHW)
    assert dice_loss(Judged.of(logits_NKHW, target_NHW)).item() == pytest.approx(others.item(), rel=1e-5)


def test_the_focal_loss_of_two_classes_is_the_sigmoid_one_of_segmentation_models(batch: tuple) -> None:
    logits_NKHW, target_NHW = batch[0][:, :2], batch[1] % 2
    difference_N1HW = (logits_NKHW[:, 1] - logits_NKHW[:, 0])[:, None]
    for gamma in (1.0, 2.0, 3.5):
        expected = reference.FocalLoss("binary", gamma=gamma)(difference_N1HW, target_NHW[:, None].float())
        assert focal_loss(Judged.of(logits_NKHW, target_NHW), gamma=gamma).item() == pytest.approx(
            expected.item(), rel=1e-4
        )


@pytest.mark.parametrize("weight_K", [None, WEIGHT_K])
def test_the_focal_loss_is_that_of_a_loop_over_pixels(batch: tuple, weight_K: torch.Tensor | None) -> None:
    logits_NKHW, target_NHW = batch
    total = weights = 0.0
    for logit_K, true in zip(logits_NKHW.movedim(1, -1).reshape(-1, 4), target_NHW.flatten().tolist(), strict=True):
        if true != IGNORED:
            p, weight = logit_K.softmax(0)[true], 1.0 if weight_K is None else weight_K[true]
            total, weights = total - weight * (1 - p) ** 2 * p.log(), weights + weight
    assert focal_loss(Judged.of(*batch), weight_K).item() == pytest.approx(float(total / weights), rel=1e-4)


@every_loss
def test_the_true_classes_cost_nothing_and_wrong_ones_more_than_unsure_ones(name: str, batch: tuple) -> None:
    true_NKHW = F.one_hot(torch.where(batch[1] == IGNORED, 0, batch[1]), 4).movedim(-1, 1).float()
    right, unsure, wrong = (mask_loss(factor * true_NKHW, batch[1], [name]).item() for factor in (40.0, 0.0, -40.0))
    assert right == pytest.approx(0, abs=1e-6)
    assert right < unsure < wrong


@every_loss
def test_ignored_pixels_change_nothing_and_learn_nothing(name: str, batch: tuple) -> None:
    logits_NKHW, target_NHW = batch[0].requires_grad_(), batch[1]
    loss = mask_loss(logits_NKHW, target_NHW, [name], WEIGHT_K)
    loss.backward()
    ignored_NKHW = (target_NHW == IGNORED)[:, None].expand_as(logits_NKHW)
    assert logits_NKHW.grad[ignored_NKHW].abs().max() == 0
    assert logits_NKHW.grad[~ignored_NKHW].abs().min() > 0
    moved_NKHW = torch.where(ignored_NKHW, torch.randn_like(logits_NKHW), logits_NKHW.detach())
    assert mask_loss(moved_NKHW, target_NHW, [name], WEIGHT_K).item() == pytest.approx(loss.item(), rel=1e-6)


@every_loss
@pytest.mark.parametrize("weight_K", [None, WEIGHT_K])
def test_a_batch_that_is_all_ignored_costs_nothing_and_has_a_gradient(name: str, weight_K: torch.Tensor | None) -> None:
    logits_NKHW = torch.randn(2, 4, 5, 5, requires_grad=True)
    loss = mask_loss(logits_NKHW, torch.full((2, 5, 5), IGNORED), [name], weight_K)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits_NKHW.grad, torch.zeros_like(logits_NKHW))


@every_loss
def test_all_is_computed_in_fp32_whatever_the_net_computed_in(name: str, batch: tuple) -> None:
    logits_NKHW = batch[0].bfloat16()
    expected = mask_loss(logits_NKHW.float(), batch[1], [name], WEIGHT_K)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mask_loss(logits_NKHW, batch[1], [name], WEIGHT_K)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@every_loss
def test_the_gradient_is_finite_where_the_net_is_sure_and_right_or_wrong(name: str) -> None:
    for sure in (1e4, -1e4):
        logits_NKHW = (sure * F.one_hot(torch.tensor([[[0, 1]]]), 3).movedim(-1, 1).float()).requires_grad_()
        loss = mask_loss(logits_NKHW, torch.tensor([[[0, 1]]]), [name])
        loss.backward()
        assert loss.isfinite() and logits_NKHW.grad.isfinite().all()


def test_the_named_losses_are_added(batch: tuple) -> None:
    names = ["cross_entropy", "dice"]
    alone = [mask_loss(*batch, [name], WEIGHT_K).item() for name in names]
    assert alone == pytest.approx(
        [cross_entropy(Judged.of(*batch), WEIGHT_K).item(), dice_loss(Judged.of(*batch)).item()]
    )
    assert mask_loss(*batch, names, WEIGHT_K).item() == pytest.approx(sum(alone))


def test_unknown_losses_and_none_are_refused(batch: tuple) -> None:
    with pytest.raises(CorpuscleError, match=r"'dicee' is not a loss of masks\. Did you mean dice\?"):
        mask_loss(*batch, ["focal", "dicee"])
    with pytest.raises(CorpuscleError, match="at least one loss, got none; name some of cross_entropy, dice, focal"):
        mask_loss(*batch, [])
